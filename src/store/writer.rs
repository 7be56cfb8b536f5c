//! The writer thread: group commit.
//!
//! Closures wait in a queue. The thread takes those that wait (up to a bound), runs them in one transaction, commits
//! once, and only then answers each: one fsync for all of them. What takes long has a transaction to itself, and between
//! two of those all others go first. A closure that fails, or panics, rolls back alone, to
//! the savepoint that it runs under; a commit that fails, fails all. What is recorded most needs no savepoint, see
//! `Sharing`: without them single writes are an eighth faster.

use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};

use super::counts::Deltas;
use super::disk::{is_full, or_full_in};
use super::scrub::Scrubber;
use super::texts::Texts;
use super::{NoteSink, Shared, Takes, Tx, believed};
use crate::error::{Error, Result};
use crate::seldom;
use crate::time::{Clock, Timestamp};
use crate::tlog;
use crate::tlog::rows::{Names, Rows};
use crate::tlog::tree::Tree;

/// Writes that may wait; the next one blocks its own thread.
const QUEUE: usize = 1024;
/// Writes in one transaction, and how long they run until the rest is left to the next one: bounds how long the first of
/// them waits for its answer.
const BATCH: usize = 256;
const BATCH_TIME: Duration = Duration::from_millis(50);

/// The WAL is moved into the database by the writer alone, never by SQLite in the middle of a commit: a little of it
/// whenever nobody waits, which takes a few milliseconds; all of it once it has 64 MB, for who keeps the writer busy
/// is best served by few and large moves. A page that is written again and again is moved once.
const PAGES_WHEN_IDLE: i32 = 100;
const PAGES_WHEN_BUSY: i32 = 16_000;

/// Steps of SQLite's machine that count as a sign of life in a write that takes long: some ten milliseconds.
const STEPS_OF_LIFE: i32 = 1_000_000;

thread_local! {
    /// Pages in the WAL that are not in the database, as of the last commit of this thread's connection: SQLite tells
    /// it to a function without a state of its own.
    static WAL_PAGES: Cell<i32> = const { Cell::new(0) };
}

pub struct Writer {
    /// `None` only while being dropped.
    queue: Option<SyncSender<Message>>,
    thread: Option<std::thread::JoinHandle<()>>,
    shared: Arc<Shared>,
}

enum Message {
    Write(Box<dyn Work>),
    Checkpoint(SyncSender<Result<()>>),
    /// All of the WAL into the file, and nothing left of it; false while a reader needs it.
    EmptyWal(SyncSender<Result<bool>>),
    /// One step from a page on.
    Scrub(u64, SyncSender<Result<Scrubbed>>),
    Nudge,
}

/// How a step of `Message::Scrub` ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scrubbed {
    /// A reader still needs what is in the WAL.
    NotYet,
    UpTo(u64),
    /// All of it is on disk.
    Done,
}

/// How a write shares its transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Under a savepoint, which copies every page it touches: it may fail anywhere.
    Savepoint,
    /// It looks at everything that could be refused before its first row. Should it fail later all the same (a disk, a
    /// defect), the transaction fails for all.
    Checked,
    /// Not at all: it takes long, or reads the counts, which a batch writes at its end, or removes rows, which have their
    /// leaves only after the commit that recorded them. Others go before it.
    Alone,
}

/// A closure and the one who waits for it, with its type erased.
trait Work: Send {
    fn sharing(&self) -> Sharing;
    /// Runs it; an error asks for a rollback to the savepoint.
    fn run(&mut self, tx: &mut Tx<'_>) -> std::result::Result<(), &Error>;
    /// Answers, after the commit or with why there was none.
    fn finish(self: Box<Self>, committed: std::result::Result<(), &Error>);
}

struct Waiting<F, T> {
    sharing: Sharing,
    change: Option<F>,
    outcome: Option<Result<T>>,
    answer: SyncSender<Result<T>>,
}

impl<T: Send, F: FnOnce(&mut Tx<'_>) -> Result<T> + Send> Work for Waiting<F, T> {
    fn sharing(&self) -> Sharing {
        self.sharing
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> std::result::Result<(), &Error> {
        let Some(change) = self.change.take() else { return Ok(()) };
        let outcome = catch_unwind(AssertUnwindSafe(|| change(tx)))
            .unwrap_or_else(|_| Err(Error::Internal("a write panicked".into())));
        let connection = tx.connection;
        self.outcome.insert(outcome.map_err(|error| or_full_in(connection, error))).as_ref().map(|_| ())
    }

    fn finish(mut self: Box<Self>, committed: std::result::Result<(), &Error>) {
        let outcome = match (committed, self.outcome.take()) {
            (Err(error), None | Some(Ok(_))) => Err(copy(error)),
            (_, Some(outcome)) => outcome,
            (Ok(()), None) => Err(Error::Internal("a write was not run".into())),
        };
        // A caller that is gone needs no answer.
        let _ = self.answer.send(outcome);
    }
}

/// The same failure for each of those it failed. Not for every kind of write anew.
#[cold]
#[inline(never)]
fn copy(error: &Error) -> Error {
    match error {
        Error::Http { status, message } => Error::Http { status: *status, message: message.clone() },
        Error::Unavailable { retry_after, message } => {
            Error::Unavailable { retry_after: *retry_after, message: message.clone() }
        }
        other => Error::Internal(format!("the commit failed: {other}")),
    }
}

/// What SQLite says an error is.
fn code(error: &Error) -> Option<ErrorCode> {
    match error {
        Error::Database(rusqlite::Error::SqliteFailure(failure, _)) => Some(failure.code),
        _ => None,
    }
}

/// An error that ends all writing, with what was being done; SQLite's text for all of them is "disk I/O error".
fn reason(error: &Error) -> String {
    let Error::Database(rusqlite::Error::SqliteFailure(failure, _)) = error else { return error.to_string() };
    let what = match failure.extended_code {
        rusqlite::ffi::SQLITE_IOERR_READ | rusqlite::ffi::SQLITE_IOERR_SHORT_READ => "a read failed",
        rusqlite::ffi::SQLITE_IOERR_WRITE => "a write failed",
        rusqlite::ffi::SQLITE_IOERR_FSYNC => "a flush failed",
        rusqlite::ffi::SQLITE_IOERR_TRUNCATE => "a truncation failed",
        rusqlite::ffi::SQLITE_IOERR_SHMSIZE => "the -shm file cannot grow",
        _ => "an operation failed",
    };
    format!("{what}: {error} (SQLite's code {})", failure.extended_code)
}

impl Writer {
    pub fn start(
        connection: Connection,
        clock: Clock,
        sink: NoteSink,
        logs: &'static [Rows],
        shared: Arc<Shared>,
    ) -> Result<Self> {
        let (queue, waiting) = sync_channel(QUEUE);
        let mut state = State::load(connection, clock, sink, logs, Arc::clone(&shared))?;
        let thread = std::thread::Builder::new()
            .name("writer".into())
            .spawn(move || state.serve(&waiting))
            .map_err(Error::io("cannot start the writer thread"))?;
        Ok(Self { queue: Some(queue), thread: Some(thread), shared })
    }

    pub fn run<T: Send + 'static>(
        &self,
        sharing: Sharing,
        change: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = sync_channel(1);
        self.shared.waiting.fetch_add(1, Ordering::Relaxed);
        let sent = self.send(Message::Write(Box::new(Waiting {
            sharing,
            change: Some(change),
            outcome: None,
            answer,
        })));
        let outcome = sent.and_then(|()| answered.recv().map_err(|_| gone())?);
        self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
        outcome
    }

    pub fn checkpoint(&self) -> Result<()> {
        let (answer, answered) = sync_channel(1);
        self.send(Message::Checkpoint(answer))?;
        answered.recv().map_err(|_| gone())?
    }

    /// Empties the WAL; false while a reader needs it.
    pub fn empty_wal(&self) -> Result<bool> {
        let (answer, answered) = sync_channel(1);
        self.send(Message::EmptyWal(answer))?;
        answered.recv().map_err(|_| gone())?
    }

    /// One step of overwriting what is left in the file, from a page on.
    pub fn scrub(&self, first: u64) -> Result<Scrubbed> {
        let (answer, answered) = sync_channel(1);
        self.send(Message::Scrub(first, answer))?;
        answered.recv().map_err(|_| gone())?
    }

    /// Whether the thread is still there: without it every write fails.
    pub fn is_alive(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Has it go round once, if it waits; when the queue is full there is enough to do.
    pub fn nudge(&self) {
        if let Some(queue) = &self.queue {
            let _ = queue.try_send(Message::Nudge);
        }
    }

    fn send(&self, message: Message) -> Result<()> {
        self.queue.as_ref().ok_or_else(gone)?.send(message).map_err(|_| gone())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn gone() -> Error {
    Error::Internal("the writer thread is gone".into())
}

/// What a commit carried.
#[derive(Default)]
struct Commit {
    /// Those that were run.
    n_run: usize,
    /// Those that did not fail.
    n_writes: usize,
    has_noted: bool,
}

struct State {
    connection: Connection,
    clock: Clock,
    sink: NoteSink,
    shared: Arc<Shared>,
    last_seq: i64,
    last_now: Timestamp,
    believed: Timestamp,
    /// Which start of the machine this is.
    boot: Option<i64>,
    salt: i64,
    texts: Texts,
    logs: &'static [Rows],
    tree: Tree,
    names: Names,
    /// From the first erasure on.
    scrubber: Option<Scrubber>,
}

impl State {
    fn load(
        connection: Connection,
        clock: Clock,
        sink: NoteSink,
        logs: &'static [Rows],
        shared: Arc<Shared>,
    ) -> Result<Self> {
        let boot = believed::boot();
        let (last_seq, last_now, believed, uptime, salt): (_, Timestamp, Option<Timestamp>, _, _) =
            connection.query_row(
                "SELECT last_seq, last_now, believed, iif(boot = ?1, uptime, NULL) AS uptime, salt
                 FROM sequence WHERE one = 1",
                [boot],
                |row| {
                    let (now, believed) = (row.get("last_now")?, row.get("believed")?);
                    Ok((row.get("last_seq")?, now, believed, row.get("uptime")?, row.get("salt")?))
                },
            )?;
        if !(Timestamp::MIN..=Timestamp::MAX).contains(&last_now) {
            let why =
                format!("the latest time that a write saw is {}, in no year that can be", last_now.micros());
            return Err(Error::refused(why, "it was changed: restore a backup"));
        }
        // Where it was not kept yet: what had ended by the latest time has ended.
        let believed = believed.unwrap_or_else(|| last_now.max(clock.now()));
        shared.last_now.store(last_now.micros(), Ordering::Relaxed);
        shared.believed.go_on(believed, uptime);
        connection.wal_hook(Some(|_, n_pages| {
            WAL_PAGES.set(n_pages);
            Ok(())
        }));
        let life = Arc::clone(&shared);
        let is_spent = move || {
            life.rounds.fetch_add(1, Ordering::Relaxed);
            false
        };
        connection.progress_handler(STEPS_OF_LIFE, Some(is_spent))?;
        let path = connection.path().unwrap_or_default();
        let hint = format!("`mailtrail verify {path}` says where it was changed; restore a backup");
        let tree = match Tree::load(&connection) {
            Err(Error::Mismatch(why)) => return Err(Error::refused(why, hint)),
            tree => tree?,
        };
        if tlog::number_of(tree.size()) != last_seq + 1 {
            let why = format!("the tree has {} leaves, and {last_seq} numbers were given out", tree.size());
            return Err(Error::refused(why, hint));
        }
        let (texts, names) = (Texts::default(), Names::default());
        Ok(Self {
            connection,
            clock,
            sink,
            shared,
            last_seq,
            last_now,
            believed,
            boot,
            salt,
            texts,
            logs,
            tree,
            names,
            scrubber: None,
        })
    }

    fn serve(&mut self, waiting: &Receiver<Message>) {
        let (mut batch, mut alone) = (Vec::new(), VecDeque::new());
        loop {
            self.shared.rounds.fetch_add(1, Ordering::Relaxed);
            let mut next = waiting.try_recv().ok();
            let is_idle = next.is_none() && batch.is_empty() && alone.is_empty();
            self.check_wal(is_idle);
            if is_idle {
                self.began(None);
                next = waiting.recv().ok();
                if next.is_none() {
                    return;
                }
            }
            self.began(Some(Instant::now()));
            while let Some(Message::Write(work)) = next {
                match work.sharing() {
                    Sharing::Alone => alone.push_back(work),
                    Sharing::Savepoint | Sharing::Checked => batch.push(work),
                }
                next = if batch.len() < BATCH { waiting.try_recv().ok() } else { None };
            }
            if !batch.is_empty() {
                batch = self.commit(batch);
            }
            if let Some(work) = alone.pop_front() {
                self.commit(vec![work]);
            }
            match next {
                None | Some(Message::Nudge) => {}
                Some(Message::Write(work)) => batch.push(work),
                Some(Message::Checkpoint(answer)) => {
                    let _ = answer.send(self.move_wal("TRUNCATE").map(|_| ()));
                }
                Some(Message::EmptyWal(answer)) => {
                    let _ = answer.send(self.empty_wal());
                }
                Some(Message::Scrub(first, answer)) => {
                    let _ = answer.send(self.scrub(first));
                }
            }
        }
    }

    fn began(&self, at: Option<Instant>) {
        *self.shared.began.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    /// Moves the WAL's pages into the database when there are enough of them; an error is the next write's to meet.
    fn check_wal(&self, is_idle: bool) {
        if WAL_PAGES.get() >= if is_idle { PAGES_WHEN_IDLE } else { PAGES_WHEN_BUSY }
            && let Err(error) = self.move_wal("PASSIVE")
        {
            log::error!("a checkpoint failed: {error}");
        }
    }

    /// Says whether all of it was moved, which a reader can keep it from.
    fn move_wal(&self, mode: &str) -> Result<bool> {
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        let run = || {
            let moved = self.connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
                let (is_busy, n_pages, n_moved): (bool, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
                Ok(!is_busy && n_pages == n_moved)
            });
            moved.map_err(|error| self.failed(error.into()))
        };
        // When the disk was full, the ballast has made room meanwhile.
        let is_moved = run().or_else(|error| if is_full(&error) { run() } else { Err(error) })?;
        WAL_PAGES.set(0);
        Ok(is_moved)
    }

    /// Waits for no reader: others write meanwhile.
    fn empty_wal(&self) -> Result<bool> {
        self.connection.busy_timeout(Duration::ZERO)?;
        let is_empty = self.move_wal("TRUNCATE");
        self.connection.busy_timeout(super::BUSY)?;
        is_empty
    }

    /// A step of what `scrub` does to the file, once nothing would undo it.
    fn scrub(&mut self, first: u64) -> Result<Scrubbed> {
        if !self.move_wal("PASSIVE")? {
            return Ok(Scrubbed::NotYet);
        }
        self.connection.execute_batch("PRAGMA shrink_memory")?;
        let scrubber = match self.scrubber.take() {
            Some(scrubber) => scrubber,
            None => Scrubber::open(Path::new(self.connection.path().unwrap_or_default()))?,
        };
        let scrubber = self.scrubber.insert(scrubber);
        match scrubber.step(first)? {
            Some(next) => Ok(Scrubbed::UpTo(next)),
            None => scrubber.sync().map(|()| Scrubbed::Done),
        }
    }

    /// Runs a batch in one transaction, then answers. Returns those that it did not come to.
    fn commit(&mut self, mut batch: Vec<Box<dyn Work>>) -> Vec<Box<dyn Work>> {
        let before = (self.last_seq, self.last_now, self.believed, self.tree.clone());
        let started = Instant::now();
        let committed = match self.failure() {
            Some(error) => Err(error),
            None => self.transaction(&mut batch),
        };
        if let Err(error) = &committed {
            (self.last_seq, self.last_now, self.believed, self.tree) = before;
            self.texts.forget();
            self.names.forget();
            seldom::tell(error.level(), format_args!("a commit of {} writes failed: {error}", batch.len()));
        }
        if let Ok(Some(commit)) = &committed {
            if self.believed < before.2 {
                self.shared.believed.accept(self.believed);
            }
            self.shared.last_now.store(self.last_now.micros(), Ordering::Relaxed);
            self.shared.changes_noted.fetch_add(u64::from(commit.has_noted), Ordering::Release);
            self.shared.commit_durations.note(started.elapsed());
            self.shared.commits.fetch_add(1, Ordering::Relaxed);
            self.shared.writes.fetch_add(commit.n_writes as u64, Ordering::Relaxed);
            let power = commit.n_writes.next_power_of_two().trailing_zeros() as usize;
            self.shared.sizes[power.min(self.shared.sizes.len() - 1)].fetch_add(1, Ordering::Relaxed);
        }
        let rest = match &committed {
            Ok(Some(commit)) => batch.split_off(commit.n_run),
            Ok(None) | Err(_) => Vec::new(),
        };
        for work in batch {
            work.finish(committed.as_ref().map(|_| ()));
        }
        rest
    }

    fn failure(&self) -> Option<Error> {
        let failure = self.shared.failure.get()?;
        Some(Error::Internal(format!("writing has stopped: {failure}")))
    }

    fn transaction(&mut self, batch: &mut [Box<dyn Work>]) -> Result<Option<Commit>> {
        let result = self.transaction_or_error(batch);
        result.map_err(|error| {
            if !self.connection.is_autocommit()
                && let Err(error) = self.connection.execute_batch("ROLLBACK")
            {
                self.stop(format!("rollback: {error}"));
            }
            self.failed(error)
        })
    }

    /// What an error of the database means for what comes after it: nothing, or that the ballast is given up, or the
    /// end of all writing.
    fn failed(&self, error: Error) -> Error {
        self.stop_if_lost(&error);
        let error = or_full_in(&self.connection, error);
        if is_full(&error) {
            self.shared.disk.give_up_ballast();
        }
        error
    }

    /// Whatever statement met it, the commit's or a closure's own: after such an error no success can be believed.
    fn stop_if_lost(&self, error: &Error) {
        use ErrorCode::{
            CannotOpen, DatabaseCorrupt, FileLockingProtocolFailed, NotADatabase, ReadOnly, SystemIoFailure,
        };
        if matches!(
            code(error),
            Some(
                SystemIoFailure
                    | DatabaseCorrupt
                    | NotADatabase
                    | CannotOpen
                    | ReadOnly
                    | FileLockingProtocolFailed
            )
        ) {
            self.stop(reason(error));
        }
    }

    /// After this nothing is written any more, and `serve` ends the process.
    fn stop(&self, reason: String) {
        log::error!("writing stops: {reason}");
        let _ = self.shared.failure.set(reason);
    }

    /// Begins a transaction. Where another program holds the lock for longer than we wait, nothing is wrong with the
    /// file or with what was to be written: who asked is told to come again, and readiness says why.
    fn lock(&self) -> Result<()> {
        let began = self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([]);
        let is_locked_out = began.as_ref().is_err_and(|error| {
            matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
        });
        self.shared.is_locked_out.store(is_locked_out, Ordering::Relaxed);
        if is_locked_out {
            let message = "another program holds the write lock of the database".to_owned();
            return Err(Error::Unavailable { retry_after: 5, message });
        }
        began?;
        Ok(())
    }

    /// `None`: its only write failed, and nothing was to be committed.
    fn transaction_or_error(&mut self, batch: &mut [Box<dyn Work>]) -> Result<Option<Commit>> {
        self.lock()?;
        let (clock, believed) = self.shared.believed.look(&self.clock);
        self.last_now = self.last_now.max(clock.now);
        self.believed = believed;
        let mut deltas = Deltas::default();
        let (mut commit, mut recorded) = (Commit::default(), [0; 3]);
        // A write that has the transaction to itself needs no savepoint either.
        let is_alone = batch.len() == 1;
        let started = Instant::now();
        for work in batch {
            if commit.n_run > 0 && started.elapsed() >= BATCH_TIME {
                break;
            }
            commit.n_run += 1;
            let has_savepoint = !is_alone && work.sharing() == Sharing::Savepoint;
            let n_changes = self.connection.total_changes();
            if has_savepoint {
                self.connection.prepare_cached("SAVEPOINT work")?.execute([])?;
            }
            let mut tx = Tx {
                connection: &self.connection,
                now: self.last_now,
                believed: self.believed,
                clock: clock.now.max(self.believed),
                salt: self.salt,
                last_seq: self.last_seq,
                recorded: [0; 3],
                texts: &mut self.texts,
                deltas: Deltas::default(),
                sink: self.sink,
                has_noted: false,
                has_removed_texts: false,
                takes: Takes::Anything,
                gathers_removals: false,
            };
            let ran = work.run(&mut tx);
            if tx.has_removed_texts {
                // Their numbers may be given out again.
                self.names.forget();
            }
            match ran {
                // It met an error that ended the transaction, and took it for something else.
                Ok(()) if self.connection.is_autocommit() => {
                    return Err(Error::Internal("a write lost its transaction".into()));
                }
                Ok(()) => {
                    self.last_seq = tx.last_seq;
                    (self.last_now, self.believed) = (tx.now, tx.believed);
                    for (sum, n) in recorded.iter_mut().zip(tx.recorded) {
                        *sum += n;
                    }
                    deltas.merge(tx.deltas);
                    commit.has_noted |= tx.has_noted;
                    commit.n_writes += 1;
                }
                Err(error) => {
                    self.texts.forget();
                    self.stop_if_lost(error);
                    if let Some(failure) = self.failure() {
                        return Err(failure);
                    }
                    // An error such as a full disk can have ended the whole transaction already.
                    if self.connection.is_autocommit() {
                        return Err(copy(error));
                    }
                    if is_full(error) {
                        self.shared.disk.give_up_ballast();
                    }
                    if is_alone {
                        self.connection.execute_batch("ROLLBACK")?;
                        return Ok(None);
                    }
                    if has_savepoint {
                        self.connection.prepare_cached("ROLLBACK TO work")?.execute([])?;
                    } else if is_full(error) {
                        return Err(copy(error));
                    } else if self.connection.total_changes() != n_changes {
                        return Err(Error::Internal(format!("a write failed half-way: {error}")));
                    }
                }
            }
            if has_savepoint {
                self.connection.prepare_cached("RELEASE work")?.execute([])?;
            }
        }
        deltas.flush(&self.connection)?;
        tlog::grow(&self.connection, self.logs, &mut self.tree, &mut self.names, self.last_seq)?;
        self.connection
            .prepare_cached(
                "UPDATE sequence SET last_seq = ?1, last_now = ?2, believed = ?3, uptime = ?4, boot = ?5 WHERE one = 1",
            )?
            .execute((self.last_seq, self.last_now, self.believed, clock.uptime, self.boot))?;
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        for (sum, n) in self.shared.recorded.iter().zip(recorded) {
            sum.fetch_add(n, Ordering::Relaxed);
        }
        Ok(Some(commit))
    }
}
