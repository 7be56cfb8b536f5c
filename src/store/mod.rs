//! The one SQLite file: many readers, one writer.
//!
//! `read` hands out a snapshot from a pool of read-only connections, `read_list` one for which its asker pays
//! (`readers`); `write` sends a closure to the writer thread and returns after the commit is on disk. All hand out
//! something that derefs to a `Connection`, so that a query is a free function on a connection and the caller decides in
//! what it runs.
//!
//! # Durability
//! WAL with `synchronous=FULL`: an answered write survives a kill, a crash and a power cut on storage that honours
//! flushes. An input/output error of the writer ends all writing (`failure`): SQLite itself would go on after a
//! lost fsync, and the next success would be a lie. A full disk ends nothing but the transaction that met it
//! (`disk`).
//!
//! # Dangers
//! A closure given to `write` must never call `write`: there is one writer, and it would wait for itself.
//! Only the writer's connection checkpoints. No other program may open the file while the server runs; `backup`
//! makes a copy that any program may open.
//!
//! This module knows no log: rows, counts and notes are named by those who record them.

pub mod backup;
pub mod backups;
mod believed;
pub mod checksums;
pub mod clock_steps;
pub mod counts;
pub mod disk;
pub mod following;
pub mod idempotency;
pub mod jobs;
pub mod listing;
pub mod migrate;
pub mod occurrences;
mod scrub;
mod readers;
pub mod schema;
pub mod settings;
pub mod texts;
mod writer;

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

use crate::canonical;
use crate::error::{Error, Result};
use crate::ids::Uuid;
use crate::metrics::Durations;
use crate::time::{Clock, Timestamp};
use crate::tlog::rows::Rows;
use crate::tlog::{controls, epochs, holes};
use believed::Believed;
use counts::{Deltas, Log, Series};
use disk::Disk;
pub use readers::{Asker, UnderWay, Whole};
use readers::{Patience, Readers, Turn};
use texts::Texts;
use writer::Scrubbed;
pub use writer::Sharing;

/// What changes a setting, told to the activity log in the same transaction. The sink is wired by `app`, so that
/// neither this module nor the one that changes the setting knows the log.
pub type NoteSink = fn(&mut Tx<'_>, Note) -> Result<()>;

/// One change, as the activity log will show it.
#[derive(Debug, Clone)]
pub struct Note {
    /// `None`: the appliance as a whole, which the first workspace answers for.
    pub workspace: Option<i64>,
    pub project: Option<i64>,
    pub by: By,
    /// Dotted and lower-case, as SendDock's: `api_key.create`.
    pub action: &'static str,
    pub target_type: &'static str,
    pub target_id: String,
    /// An object; before and after where there are both, secrets never.
    pub metadata: serde_json::Value,
}

/// What a removal may take. Retention takes what a seal holds: the seal says that it was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// What the last seal holds. A removal of anything else is refused (`NOT_SEALED`).
    WhatIsSealed,
    /// What a seal over so many leaves holds. Anything else is left, except that a message takes its facts along.
    UpTo(u64),
    Anything,
}

/// The code of the refusal to remove what no seal holds yet.
pub const NOT_SEALED: &str = "not_sealed";

/// Who did it, as named at the time: names change and people leave, the trail stays.
#[derive(Debug, Clone, Default)]
pub struct By {
    pub user: Option<Uuid>,
    /// As the actor of a change.
    pub name: String,
    /// As each row has it that they record: `key NAME`, `ada@example.org`, `mailtrail: retention`.
    pub recorded_by: String,
    pub ip_address: Option<String>,
    pub user_agent: Option<String>,
}

impl By {
    /// mailtrail itself: a job of the scheduler.
    pub fn system(job: &str) -> Self {
        let name = format!("mailtrail: {job}");
        Self { recorded_by: name.clone(), name, ..Self::default() }
    }
}

/// Steps of SQLite's machine for one list, and how often they are counted.
const LIST_STEPS: u64 = 20_000_000;
const STEPS_A_LOOK: i32 = 10_000;
/// Steps between two looks at whether anybody still waits for what reads the whole file: a millisecond or two.
const STEPS_A_LOOK_AT_WHOLE: i32 = 100_000;
/// How long the writer waits for a lock that somebody else has.
const BUSY: Duration = Duration::from_secs(5);
/// Between two tries at what a reader keeps from being done.
const WAIT_FOR_READERS: Duration = Duration::from_millis(20);
const TOO_LARGE: &str = "would read millions of rows to find this page; narrow it with an indexed filter (tenant_id, action, \
     mailbox_address, message_id, thread_id, outcome, sender_address, reason, user_id or target_id)";

pub struct Store {
    path: PathBuf,
    readers: Readers,
    writer: writer::Writer,
    shared: Arc<Shared>,
}

/// What the writer thread and the rest both look at.
struct Shared {
    disk: Disk,
    failure: OnceLock<String>,
    /// Rises whenever the writer goes round, and now and then in a write that takes long.
    rounds: AtomicU64,
    commits: AtomicU64,
    writes: AtomicU64,
    changes_noted: AtomicU64,
    /// The latest time any write saw, in microseconds.
    last_now: AtomicI64,
    believed: Believed,
    /// Commits by the number of writes in them: of 1, 2, up to 4, 8 … 256.
    sizes: [AtomicU64; 9],
    /// From the first statement of a batch to the end of its commit.
    commit_durations: Durations,
    /// By log.
    recorded: [AtomicU64; 3],
    /// Writes that wait for their answer.
    waiting: AtomicU64,
    /// Since when the writer is at what it has in hand; `None`: it waits for work.
    began: Mutex<Option<Instant>>,
    /// Whether the last transaction found the write lock in another program's hand.
    is_locked_out: AtomicBool,
}

/// What the writer is doing at this moment.
pub struct WriterState {
    pub is_alive: bool,
    /// Whether another program kept the last write from the database.
    pub is_locked_out: bool,
    pub waiting: u64,
    pub busy_for: Duration,
}

/// Counts the steps of what runs on a connection, and interrupts it once `is_over` says so; dropping it lets the
/// connection go on, also when the query panicked.
struct Watch<'c>(&'c Connection);

impl<'c> Watch<'c> {
    fn start(
        connection: &'c Connection,
        steps_a_look: i32,
        is_over: impl FnMut() -> bool + Send + 'static,
    ) -> Result<Self> {
        connection.progress_handler(steps_a_look, Some(is_over))?;
        Ok(Self(connection))
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.0.progress_handler(0, None::<fn() -> bool>) {
            log::error!("a read connection keeps its watch: {error}");
        }
    }
}

/// Counts the steps of a list where they are charged.
fn count_steps<'c>(snapshot: &'c Snapshot<'_>, turn: &Turn<'_>) -> Result<Watch<'c>> {
    let steps = turn.steps();
    let is_over = move || {
        let before = steps.fetch_add(STEPS_A_LOOK as u64, Ordering::Relaxed);
        before >= LIST_STEPS
    };
    Watch::start(snapshot, STEPS_A_LOOK, is_over)
}

/// Whether SQLite was told to stop in the middle.
fn is_interrupted(error: &Error) -> bool {
    matches!(error, Error::Database(rusqlite::Error::SqliteFailure(code, _))
        if code.code == rusqlite::ErrorCode::OperationInterrupted)
}

/// A consistent view of the database for as long as it lives.
pub struct Snapshot<'c>(rusqlite::Transaction<'c>);

impl Deref for Snapshot<'_> {
    type Target = Connection;
    fn deref(&self) -> &Connection {
        &self.0
    }
}

/// One write in the making. It commits with all that the writer took up at the same time, or rolls back alone.
pub struct Tx<'c> {
    connection: &'c Connection,
    /// Read once for the transaction; never before that of an earlier one, whatever the clock did (`clock_steps`).
    pub now: Timestamp,
    /// What ends by the time goes by this one: that of the clock, unless it leapt or stepped back (`believed`).
    pub believed: Timestamp,
    /// What the clock says, be it wrong, but never before what was believed.
    pub clock: Timestamp,
    /// In every id that is made of a row's number.
    pub salt: i64,
    last_seq: i64,
    recorded: [u64; 3],
    texts: &'c mut Texts,
    deltas: Deltas,
    sink: NoteSink,
    has_noted: bool,
    has_removed_texts: bool,
    takes: Takes,
    gathers_removals: bool,
}

impl Deref for Tx<'_> {
    type Target = Connection;
    fn deref(&self) -> &Connection {
        self.connection
    }
}

impl Tx<'_> {
    /// The next number of the appliance, for a row of `log`; a write that fails gives its numbers back.
    pub fn next_seq(&mut self, log: Log) -> i64 {
        self.recorded[log.place()] += 1;
        self.next_number()
    }

    fn next_number(&mut self) -> i64 {
        self.last_seq += 1;
        self.last_seq
    }

    /// The last number that was given out.
    pub fn last_number(&self) -> i64 {
        self.last_seq
    }

    /// Counts `n` rows (negative when they go) with the time `at` into a series.
    pub fn count(&mut self, series: Series, at: Timestamp, n: i64) {
        self.deltas.add(series, at, n);
    }

    /// The number of a text that comes again and again, given to it now when it is new.
    pub fn text(&mut self, text: &str) -> Result<i64> {
        self.texts.number(self.connection, text)
    }

    /// Removes texts that no row names any more.
    pub fn remove_texts(&mut self, numbers: &[i64]) -> Result<usize> {
        self.texts.forget();
        self.has_removed_texts = true;
        let sql = "DELETE FROM texts WHERE id IN (SELECT value FROM json_each(?1))";
        Ok(self.execute(sql, [numbers_as_json(numbers)])?)
    }

    /// Records a change in the activity log, or fails the whole write.
    pub fn note(&mut self, note: Note) -> Result<()> {
        self.has_noted = true;
        (self.sink)(self, note)
    }

    /// Records that the log goes on under another name.
    pub fn begin_epoch(&mut self, why: serde_json::Value) -> Result<()> {
        let number = self.next_number();
        controls::record_epoch(self, number, self.now.truncated(), why)
    }

    /// Records for how long something is kept from now on: what a later removal is held against.
    pub fn record_setting(&mut self, setting: serde_json::Value) -> Result<()> {
        let number = self.next_number();
        controls::record_setting(self, number, self.now.truncated(), setting)
    }

    /// From here on what is pruned goes by retention. Where this write is a piece of something longer, what went is
    /// gathered until `record_removals`.
    pub fn begin_retention(&mut self, takes: Takes, is_a_piece: bool) {
        (self.takes, self.gathers_removals) = (takes, is_a_piece);
    }

    /// The highest number that retention may take.
    pub fn removable(&self) -> i64 {
        match self.takes {
            Takes::UpTo(n_leaves) => i64::try_from(n_leaves).unwrap_or(i64::MAX),
            Takes::WhatIsSealed | Takes::Anything => i64::MAX,
        }
    }

    /// Records what was gathered, here and in earlier writes.
    pub fn record_removals(&mut self) -> Result<()> {
        let (connection, now) = (self.connection, self.now.truncated());
        controls::record_gathered(connection, || self.next_number(), now)
    }

    /// Runs `delete` with the append-only triggers of `log` open, and records what went: `why`, and the numbers that
    /// `delete` gives beside its own outcome. The triggers close again also when it fails, for the caller may go on
    /// all the same.
    ///
    /// Alone in its transaction (`Sharing::Alone`): what is removed must have its leaf already.
    pub fn prune<T>(
        &mut self,
        log: Log,
        why: serde_json::Value,
        delete: impl FnOnce(&mut Self) -> Result<(T, Vec<i64>)>,
    ) -> Result<T> {
        self.execute("INSERT INTO pruning (log) VALUES (?1)", [log as i64])?;
        let pruned = delete(self);
        self.execute("DELETE FROM pruning", [])?;
        let (outcome, numbers) = pruned?;
        let Some(newest) = numbers.iter().max() else { return Ok(outcome) };
        if self.takes == Takes::WhatIsSealed
            && epochs::last_seal(self)?.is_none_or(|(_, n_leaves)| *newest > n_leaves)
        {
            return Err(Error::conflict(NOT_SEALED, "no seal holds what would be removed"));
        }
        if self.gathers_removals {
            holes::gather(self, &why, numbers)?;
        } else {
            let number = self.next_number();
            controls::record_removal(self, number, self.now.truncated(), why, numbers)?;
        }
        Ok(outcome)
    }
}

impl Store {
    /// Opens the database at `path`, which must exist at the program's schema version (`migrate::prepare`). Every row
    /// of `logs` becomes a leaf of the tree.
    pub fn open(
        path: &Path,
        disk: Disk,
        clock: Clock,
        sink: NoteSink,
        logs: &'static [Rows],
    ) -> Result<Self> {
        let shared = Arc::new(Shared {
            disk,
            failure: OnceLock::new(),
            rounds: AtomicU64::new(0),
            commits: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            changes_noted: AtomicU64::new(0),
            last_now: AtomicI64::new(0),
            believed: Believed::new(Timestamp::MIN),
            sizes: Default::default(),
            commit_durations: Durations::default(),
            recorded: Default::default(),
            waiting: AtomicU64::new(0),
            began: Mutex::default(),
            is_locked_out: AtomicBool::default(),
        });
        let writer = writer::Writer::start(connect(path)?, clock, sink, logs, Arc::clone(&shared))?;
        // The name of the WAL that was made just now: SQLite does this too, and does not look whether it went well.
        backup::sync_directory(path)?;
        let readers = Readers::open(path)?;
        Ok(Self { path: path.to_owned(), readers, writer, shared })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `query` on one snapshot. For what finds something by its key, in a fraction of a millisecond: everything
    /// waits for these.
    pub fn read<T>(&self, query: impl FnOnce(&Snapshot<'_>) -> Result<T>) -> Result<T> {
        let connection = self.readers.short.get().map_err(|_| readers::busy())?;
        let snapshot = Snapshot(connection.unchecked_transaction()?);
        query(&snapshot)
    }

    /// `read` for a list that somebody asks for: it may take so many steps of SQLite's machine and no more, about a
    /// third of a second, and those that look through much are charged to the asker (`readers`). What an index serves
    /// never comes near; a filter that would read millions of rows to find a page is refused, with what to add, rather
    /// than answered in part.
    pub fn read_list<T>(&self, asker: Asker, query: impl FnOnce(&Snapshot<'_>) -> Result<T>) -> Result<T> {
        self.read_for(asker, Patience::Some, query)
    }

    /// `read_list` for a piece of an export, which waits for nothing here: what is refused may be asked again.
    ///
    /// # Errors
    /// `Unavailable` when there is no connection for this asker at this moment, `TooMany` when their allowance is spent.
    pub fn read_piece<T>(&self, asker: Asker, query: impl FnOnce(&Snapshot<'_>) -> Result<T>) -> Result<T> {
        self.read_for(asker, Patience::None, query)
    }

    fn read_for<T>(
        &self,
        asker: Asker,
        patience: Patience,
        query: impl FnOnce(&Snapshot<'_>) -> Result<T>,
    ) -> Result<T> {
        let (turn, connection) = self.readers.list(asker, patience)?;
        let snapshot = Snapshot(connection.unchecked_transaction()?);
        let _watch = count_steps(&snapshot, &turn)?;
        query(&snapshot).map_err(|error| match is_interrupted(&error) {
            true => Error::invalid("query", TOO_LARGE),
            false => error,
        })
    }

    /// Runs `query` on a snapshot of a connection of its own: for what reads the whole file. One of a kind runs at a
    /// time, and it ends within milliseconds once `is_over` says so.
    ///
    /// # Errors
    /// `Conflict` while another of this kind runs; `Unavailable` when it was ended.
    pub fn read_whole<T>(
        &self,
        whole: Whole,
        is_over: impl FnMut() -> bool + Send + 'static,
        query: impl FnOnce(&Snapshot<'_>) -> Result<T>,
    ) -> Result<T> {
        self.read_under_way(&self.begin_whole(whole)?, is_over, query)
    }

    /// `read_whole`, as a part of something longer that nobody else may do meanwhile.
    ///
    /// # Errors
    /// `Unavailable` when it was ended.
    pub fn read_under_way<T>(
        &self,
        _: &UnderWay<'_>,
        is_over: impl FnMut() -> bool + Send + 'static,
        query: impl FnOnce(&Snapshot<'_>) -> Result<T>,
    ) -> Result<T> {
        let connection = readers::connect(&self.path)?;
        let snapshot = Snapshot(connection.unchecked_transaction()?);
        let _watch = Watch::start(&snapshot, STEPS_A_LOOK_AT_WHOLE, is_over)?;
        query(&snapshot).map_err(|error| match is_interrupted(&error) {
            true => Error::Unavailable { retry_after: 10, message: "it was broken off".into() },
            false => error,
        })
    }

    /// For what reads the whole file otherwise than by `read_whole`: one of a kind at a time.
    ///
    /// # Errors
    /// `Conflict` while another of this kind runs.
    pub fn begin_whole(&self, whole: Whole) -> Result<UnderWay<'_>> {
        self.readers.whole(whole)
    }

    /// Runs `change` on the writer thread and returns once it is on disk. When it fails, or the commit does,
    /// nothing of it is recorded.
    pub fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.write_as(Sharing::Savepoint, change)
    }

    /// `write`, for what needs less of its transaction than a savepoint, or all of it.
    pub fn write_as<T: Send + 'static>(
        &self,
        sharing: Sharing,
        change: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        if let Some(failure) = self.failure() {
            return Err(Error::Internal(format!("writing has stopped: {failure}")));
        }
        self.writer.run(sharing, change)
    }

    /// `write`, when a look at a snapshot says that there is something to do: a job that finds nothing costs no
    /// commit. `change` looks again, for the snapshot may be old by then.
    pub fn write_if<T: Send + 'static>(
        &self,
        sharing: Sharing,
        is_due: impl FnOnce(&Snapshot<'_>) -> Result<bool>,
        change: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<Option<T>> {
        if self.read(is_due)? { self.write_as(sharing, change).map(Some) } else { Ok(None) }
    }

    /// The disk that the database is on.
    pub fn disk(&self) -> &Disk {
        &self.shared.disk
    }

    /// Why writing has stopped for good, when it has.
    pub fn failure(&self) -> Option<&str> {
        self.shared.failure.get().map(String::as_str)
    }

    /// How many commits have noted a change so far: whoever remembers settings reads them again when it has grown. It
    /// grows before the change is answered.
    pub fn changes_noted(&self) -> u64 {
        self.shared.changes_noted.load(Ordering::Acquire)
    }

    /// The latest time any write saw: later than the clock's when that stepped back.
    pub fn last_now(&self) -> Timestamp {
        Timestamp::from_micros(self.shared.last_now.load(Ordering::Relaxed))
    }

    /// What the clock says, and what time it is for what ends by it: the same, unless it leapt or stepped back.
    pub fn believed(&self, clock: &Clock) -> (Timestamp, Timestamp) {
        let (clock, believed) = self.shared.believed.look(clock);
        (clock.now, believed)
    }

    /// Whether the writer thread is still there.
    pub fn is_writer_alive(&self) -> bool {
        self.writer.is_alive()
    }

    /// A number that rises as long as the writer thread gets on, and has it go round once: who finds the same number
    /// a while later knows that it hangs, on a disk that does not answer or on a lock.
    pub fn writer_rounds(&self) -> u64 {
        let rounds = self.shared.rounds.load(Ordering::Relaxed);
        self.writer.nudge();
        rounds
    }

    /// Commits and the writes they carried, since the start: their quotient is the size of a batch.
    pub fn batches(&self) -> (u64, u64) {
        (self.shared.commits.load(Ordering::Relaxed), self.shared.writes.load(Ordering::Relaxed))
    }

    /// How many commits carried up to so many writes, for 1, 2, 4 … 256.
    pub fn batch_sizes(&self) -> impl Iterator<Item = (u64, u64)> {
        let mut sum = 0;
        self.shared.sizes.iter().enumerate().map(move |(power, n)| {
            sum += n.load(Ordering::Relaxed);
            (1 << power, sum)
        })
    }

    pub fn commit_durations(&self) -> &Durations {
        &self.shared.commit_durations
    }

    /// Rows recorded since the start, by log.
    pub fn recorded(&self) -> impl Iterator<Item = (Log, u64)> {
        Log::ALL.into_iter().map(|log| (log, self.shared.recorded[log.place()].load(Ordering::Relaxed)))
    }

    /// The writer: whether its thread is there, how many wait for it, and for how long it is at what it has in hand.
    pub fn writer(&self) -> WriterState {
        let began = *self.shared.began.lock().unwrap_or_else(PoisonError::into_inner);
        WriterState {
            is_alive: self.writer.is_alive() && self.failure().is_none(),
            is_locked_out: self.shared.is_locked_out.load(Ordering::Relaxed),
            waiting: self.shared.waiting.load(Ordering::Relaxed),
            busy_for: began.map_or(Duration::ZERO, |began| began.elapsed()),
        }
    }

    /// Bytes of the database and of its WAL.
    pub fn bytes(&self) -> (u64, u64) {
        let size = |path: &Path| path.metadata().map_or(0, |metadata| metadata.len());
        let mut wal = self.path.as_os_str().to_owned();
        wal.push("-wal");
        (size(&self.path), size(Path::new(&wal)))
    }

    /// Overwrites what SQLite has left in the file of rows that are gone, and empties the WAL, a short step at a time; waits
    /// for readers who need it still. `may_go_on` is asked between two steps, and ends it with an error.
    pub fn scrub(&self, may_go_on: impl Fn() -> Result<()>) -> Result<()> {
        let mut next = Scrubbed::UpTo(1);
        while let Scrubbed::UpTo(first) = next {
            may_go_on()?;
            let started = Instant::now();
            match self.writer.scrub(first)? {
                Scrubbed::NotYet => std::thread::sleep(WAIT_FOR_READERS),
                further => next = further,
            }
            // As long for the others as for itself.
            std::thread::sleep(started.elapsed().min(WAIT_FOR_READERS));
        }
        while !self.writer.empty_wal()? {
            may_go_on()?;
            std::thread::sleep(WAIT_FOR_READERS);
        }
        Ok(())
    }

    /// Moves the whole WAL into the database file; the last thing before a clean end.
    pub fn checkpoint(&self) -> Result<()> {
        self.writer.checkpoint()
    }
}

/// The version of SQLite that is compiled in.
pub fn sqlite_version() -> &'static str {
    rusqlite::version()
}

/// Pages of the file, and those of them that hold nothing.
pub fn pages(connection: &Connection) -> Result<(i64, i64)> {
    let read = |pragma| connection.pragma_query_value(None, pragma, |row| row.get(0));
    Ok((read("page_count")?, read("freelist_count")?))
}

/// Gives up to `n_pages` empty pages back to the file system, from the end of the file.
pub fn give_back(tx: &Tx<'_>, n_pages: i64) -> Result<()> {
    let mut statement = tx.prepare(&format!("PRAGMA incremental_vacuum({n_pages})"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}

/// What of some rows an erasure may take.
pub struct Erasable {
    pub free: Vec<i64>,
    /// Kept by a legal hold.
    pub n_on_hold: i64,
    /// Kept because they say what callers did here.
    pub n_own_acts: i64,
}

/// How many rows are of which action, outcome or kind.
pub type Kinds = Vec<(String, i64)>;

impl Erasable {
    /// `sql` says which of the numbers ?1 (`json_each`) are rows of the workspace ?2, whether each is on hold, and, where
    /// a log has any, whether it is an act of a caller.
    pub fn of(connection: &Connection, sql: &str, workspace: i64, numbers: &[i64]) -> Result<Self> {
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query((numbers_as_json(numbers), workspace))?;
        let mut erasable = Self { free: Vec::new(), n_on_hold: 0, n_own_acts: 0 };
        let tells_acts = rows.as_ref().is_some_and(|statement| statement.column_count() > 2);
        while let Some(row) = rows.next()? {
            if tells_acts && row.get(2)? {
                erasable.n_own_acts += 1;
            } else if row.get(1)? {
                erasable.n_on_hold += 1;
            } else {
                erasable.free.push(row.get(0)?);
            }
        }
        Ok(erasable)
    }
}

/// Numbers of rows as a parameter of `json_each`.
pub fn numbers_as_json(numbers: &[i64]) -> String {
    serde_json::Value::from(numbers).to_string()
}

/// What is in every id that is made of a row's number.
pub fn salt(connection: &Connection) -> Result<i64> {
    Ok(connection.query_row("SELECT salt FROM sequence WHERE one = 1", [], |row| row.get(0))?)
}

/// The latest time any write saw.
pub fn last_now(connection: &Connection) -> Result<Timestamp> {
    Ok(connection.query_row("SELECT last_now FROM sequence WHERE one = 1", [], |row| row.get(0))?)
}

/// A connection for writing, with every setting that durability and append-only depend on.
pub(crate) fn connect(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    schema::guard(&connection)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(128);
    checksums::register(&connection)?;
    canonical::register(&connection)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON;
         PRAGMA recursive_triggers = ON;
         PRAGMA secure_delete = ON;
         PRAGMA cache_size = -65536;
         PRAGMA wal_autocheckpoint = 0;
         PRAGMA temp_store = MEMORY;
         PRAGMA journal_size_limit = 67108864;",
    )?;
    Ok(connection)
}

/// The latest time that stands in what is written again and again, beside the logs.
pub fn latest_written(connection: &Connection) -> Result<Option<Timestamp>> {
    Ok(connection.query_row(
        "SELECT max(at) FROM (SELECT max(started_at, coalesce(finished_at, 0)) AS at FROM jobs
             UNION ALL SELECT to_time FROM clock_steps UNION ALL SELECT recorded_at FROM controls
             UNION ALL SELECT created_at FROM sessions UNION ALL SELECT last_used_at FROM api_keys)",
        [],
        |row| row.get(0),
    )?)
}
