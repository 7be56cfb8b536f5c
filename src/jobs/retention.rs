//! Retention: entries older than their days are deleted, oldest first, in bounded batches.
//!
//! A mailbox's days are its policy's, else the setting's; enforcement events and activities go by the settings. An
//! entry's age is by its own time (`received_at`, `created_at`), as the vendors say. Raising a number brings
//! nothing back; a legal hold on a mailbox, tenant or project keeps what belongs to it. A piece is one short
//! transaction, so that no writer waits long. A clock that stands before the latest write, or leapt more than a week
//! ahead of the last run, is not believed: nothing is deleted until it has caught up, or a person has looked.

use std::cell::Cell;
use std::ops::RangeInclusive;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::app::App;
use crate::error::{Error, Result};
use crate::owners::{mailboxes, tenants};
use crate::store::counts::{Log, PerLog};
use crate::store::{By, NOT_SEALED, Note, Sharing, Snapshot, Store, Takes, Tx, Whole, jobs};
use crate::time::Timestamp;
use crate::tlog::controls;
use crate::{activity, enforcement, messages};

/// Rows in the first transaction of a run, and the least and the most of a later one: as many as take about a step.
const FIRST_PIECE: i64 = 20;
const PIECES: RangeInclusive<i64> = 20..=5000;
/// How long a write may have to wait for a piece of a run, while somebody writes and when nobody has for `QUIET`. An
/// fsync takes half of the short one.
const STEP_BESIDE_WRITES: Duration = Duration::from_millis(1);
const STEP_ALONE: Duration = Duration::from_millis(10);
const QUIET: Duration = Duration::from_secs(1);

/// One owner whose old rows go.
#[derive(Debug, Clone, Copy)]
struct Scope {
    log: Log,
    /// The key of a tenant or mailbox, the `owner` of activities.
    owner: i64,
    /// Of the settings; a mailbox's policy goes first.
    default_days: Option<i64>,
}

impl Scope {
    fn has_old(self, connection: &rusqlite::Connection, now: Timestamp) -> Result<bool> {
        let Some(days) = self.days(connection)? else { return Ok(false) };
        let (owner, cutoff) = (self.owner, now.plus_days(-days));
        match self.log {
            Log::Enforcement => enforcement::sql::has_prunable(connection, owner, cutoff),
            Log::Messages => messages::sql::has_prunable(connection, owner, cutoff),
            Log::Activity => activity::sql::has_prunable(connection, owner, cutoff),
        }
    }

    /// Asks for holds and days in the transaction that deletes: they may be of this moment.
    fn prune(self, tx: &mut Tx<'_>, now: Timestamp, limit: i64) -> Result<usize> {
        let Some(days) = self.days(tx)? else { return Ok(0) };
        let (owner, cutoff) = (self.owner, now.plus_days(-days));
        match self.log {
            Log::Enforcement => enforcement::sql::prune(tx, owner, days, cutoff, limit),
            Log::Messages => messages::sql::prune(tx, owner, days, cutoff, limit),
            Log::Activity => activity::sql::prune(tx, owner, days, cutoff, limit),
        }
    }

    /// The days its rows are kept; `None`: for ever, or it is on hold. Asked again in every transaction that deletes:
    /// a run takes long, and a hold that was answered must hold from then on.
    fn days(self, connection: &rusqlite::Connection) -> Result<Option<i64>> {
        Ok(match self.log {
            Log::Enforcement if tenants::is_on_hold(connection, self.owner)? => None,
            Log::Messages => match mailboxes::find_for_retention(connection, self.owner)? {
                None => None,
                Some(own_days) => own_days.or(self.default_days),
            },
            Log::Activity if activity::sql::is_on_hold(connection, self.owner)? => None,
            Log::Enforcement | Log::Activity => self.default_days,
        })
    }
}

/// The scheduler's run: noted in the activity log when something went. It believes the clock for a week past the
/// last run; after a longer leap nothing is deleted until a person has looked and run it by hand.
pub fn scheduled(app: &App) -> Result<Value> {
    let now = app.clock.now();
    let trusted = app.store.read(|snapshot| jobs::started_at(snapshot, COMPLETED))?;
    if let Some(trusted) = trusted.filter(|trusted| now > trusted.plus_days(LEAP_DAYS)) {
        log::warn!("retention is paused: the clock says {now}, the last run was at {trusted}");
        return Ok(json!({
            "paused": format!("the clock is more than {LEAP_DAYS} days past the last run; `mailtrail retention run` goes on"),
        }));
    }
    let run = Run {
        app,
        now: now.min(app.believed()),
        by: By::system("retention"),
        is_by_hand: false,
        takes: Cell::new(Takes::WhatIsSealed),
    };
    match run.delete() {
        // Somebody's own run takes what this one would.
        Err(Error::Conflict { code: ALREADY_RUNNING, .. }) => Ok(Value::Null),
        deleted => Ok(json!({ "deleted": deleted? })),
    }
}

/// A clock that leapt further ahead than this since the last run is not believed.
const LEAP_DAYS: i64 = 7;
/// The row of `jobs` that says when the clock was last believed: a run that was paused or failed leaves it as it is.
const COMPLETED: &str = "retention_completed";

/// A run by hand: always noted.
pub fn run(app: &App, by: By) -> Result<Value> {
    let run = Run { app, now: app.clock.now(), by, is_by_hand: true, takes: Cell::new(Takes::WhatIsSealed) };
    Ok(json!({ "dry_run": false, "deleted": run.delete()? }))
}

/// What a run would take now, unless `is_over` says that nobody wants to know any more.
pub fn dry_run(app: &App, is_over: impl FnMut() -> bool + Send + 'static) -> Result<Value> {
    let now = app.clock.now();
    let deleted = app.store.read_whole(Whole::Retention, is_over, |snapshot| due(app, snapshot, now))?;
    Ok(json!({ "dry_run": true, "deleted": deleted }))
}

fn due(app: &App, snapshot: &Snapshot<'_>, now: Timestamp) -> Result<PerLog> {
    let mut due = PerLog::default();
    for scope in scopes(app, snapshot)? {
        let Some(days) = scope.days(snapshot)? else { continue };
        let (Scope { log, owner, .. }, cutoff) = (scope, now.plus_days(-days));
        let n = match log {
            Log::Enforcement => enforcement::sql::count_prunable(snapshot, owner, cutoff)?,
            Log::Messages => messages::sql::count_prunable(snapshot, owner, cutoff)?,
            Log::Activity => activity::sql::count_prunable(snapshot, owner, cutoff)?,
        };
        due.add(log, n);
    }
    Ok(due)
}

/// One run at a time: two would share the work between them, and each would say but half of it.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
/// How long a run waits for another: a short one is over by then, and a long one holds up no handler.
const PATIENCE: Duration = Duration::from_secs(5);

fn turn() -> Option<MutexGuard<'static, ()>> {
    let end = Instant::now() + PATIENCE;
    loop {
        match ONE_AT_A_TIME.try_lock() {
            Ok(turn) => return Some(turn),
            Err(TryLockError::Poisoned(turn)) => return Some(turn.into_inner()),
            Err(TryLockError::WouldBlock) if Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(TryLockError::WouldBlock) => return None,
        }
    }
}

/// Rows that go in one transaction, and have their note in it. What is more goes by pieces, between two notes.
const SMALL: i64 = 100;
/// Rows of an owner that have one row of `control`, more or less.
const GATHERED: i64 = 20_000;
/// The row of `jobs` of a run that goes by pieces, with how far it is, and the action that the log says it with.
pub const JOB: &str = "retention_run";
pub const ACTION: &str = "retention.run";
/// Codes of refusals that this file answers itself.
const ALREADY_RUNNING: &str = "already_running";
const TOO_MANY: &str = "too_many_for_one_transaction";

struct Run<'a> {
    app: &'a App,
    now: Timestamp,
    by: By,
    is_by_hand: bool,
    /// From the first seal of this run on, what that seal holds.
    takes: Cell<Takes>,
}

impl Run<'_> {
    fn delete(&self) -> Result<PerLog> {
        let Some(_turn) = turn() else {
            let message = "a run of retention is under way already; one runs at a time";
            return Err(Error::conflict(ALREADY_RUNNING, message));
        };
        let Self { app, now, .. } = *self;
        refuse_a_clock_that_stepped_back(app)?;
        // Of a run that ended without a word.
        note_broken_off(app)?;
        record_settings(app)?;
        let due = app.store.read(|snapshot| {
            let mut due = scopes(app, snapshot)?;
            let mut failed = None;
            due.retain(|scope| {
                scope.has_old(snapshot, now).unwrap_or_else(|error| {
                    failed = Some(error);
                    false
                })
            });
            failed.map_or(Ok(due), Err)
        })?;
        // One a day, and more only where none of them holds what goes.
        if !due.is_empty() && app.checkpoints.is_seal_due(&app.store, app.latest())? {
            app.checkpoints.seal_before_removal(&app.store)?;
        }
        if let Some(deleted) = self.at_once(&due)? {
            return Ok(deleted);
        }
        self.begin()?;
        self.by_pieces(&due).inspect_err(|_| {
            if let Err(error) = note_broken_off(app) {
                log::error!("a run of retention was broken off, which the next start will note: {error}");
            }
        })
    }

    /// The whole run in one transaction, its note with it. `None` when that would take too long.
    fn at_once(&self, due: &[Scope]) -> Result<Option<PerLog>> {
        let Self { app, now, ref by, is_by_hand, .. } = *self;
        app.store.disk().make_room();
        let attempt = |takes| {
            let (due, by, days) = (due.to_vec(), by.clone(), days(app));
            app.store.write_as(Sharing::Alone, move |tx| {
                tx.begin_retention(takes, false);
                let mut deleted = PerLog::default();
                for scope in due {
                    let n = scope.prune(tx, now, SMALL + 1 - deleted.total())?;
                    deleted.add(scope.log, n as i64);
                    if deleted.total() > SMALL {
                        return Err(Error::conflict(TOO_MANY, "it goes by pieces"));
                    }
                }
                jobs::note(tx, COMPLETED, now, &json!({ "deleted": deleted }))?;
                if is_by_hand || deleted.total() > 0 {
                    note(tx, by, "done", json!({ "deleted": deleted, "days": days }))?;
                }
                Ok(deleted)
            })
        };
        match self.sealed(attempt) {
            Err(Error::Conflict { code: TOO_MANY, .. }) => Ok(None),
            deleted => deleted.map(Some),
        }
    }

    /// Does it again with a seal before it, where it would take what no seal holds yet. One is enough for the rest of the
    /// run: what others record meanwhile that is old already is the next run's. Without room for a seal all goes.
    fn sealed<T>(&self, attempt: impl Fn(Takes) -> Result<T>) -> Result<T> {
        match attempt(self.takes.get()) {
            Err(Error::Conflict { code: NOT_SEALED, .. }) => {
                let sealed = self.app.checkpoints.seal_before_removal(&self.app.store)?;
                self.takes.set(sealed.map_or(Takes::Anything, Takes::UpTo));
                attempt(self.takes.get())
            }
            done => done,
        }
    }

    /// Says who removes what, before the first row goes.
    fn begin(&self) -> Result<()> {
        let Self { app, now, ref by, .. } = *self;
        let stopping = Arc::clone(&app.stopping);
        let is_stopping = move || stopping.load(Ordering::Relaxed);
        let due = app.store.read_whole(Whole::Retention, is_stopping, |snapshot| due(app, snapshot, now));
        let due = match due {
            // Somebody is counting already.
            Err(Error::Conflict { .. }) => None,
            due => Some(due?),
        };
        let (by, days) = (by.clone(), days(app));
        app.store.write(move |tx| {
            jobs::begin(tx, JOB, &json!({ "deleted": PerLog::default() }))?;
            note(tx, by, "begun", json!({ "due": due, "days": days }))
        })
    }

    fn by_pieces(&self, due: &[Scope]) -> Result<PerLog> {
        let Self { app, now, ref by, .. } = *self;
        let mut deleted = PerLog::default();
        let mut piece = FIRST_PIECE;
        let mut others = Others::new(&app.store);
        for scope in due {
            let mut gathered = 0;
            loop {
                if app.stopping.load(Ordering::Relaxed) {
                    let message = "mailtrail is stopping; what is left is old at the next start too".into();
                    return Err(Error::Unavailable { retry_after: 10, message });
                }
                app.store.disk().make_room();
                let started = Instant::now();
                let n = self.sealed(|takes| self.piece(*scope, takes, piece, gathered, deleted))?;
                deleted.add(scope.log, n);
                gathered = if gathered + n >= GATHERED { 0 } else { gathered + n };
                if n < piece {
                    break;
                }
                let took = started.elapsed();
                if others.are_quiet(&app.store) {
                    piece = next_piece(piece, took, STEP_ALONE);
                } else {
                    piece = next_piece(piece, took, STEP_BESIDE_WRITES);
                    // As long for the others as for itself.
                    std::thread::sleep(took.min(STEP_ALONE));
                }
            }
        }
        let (by, days) = (by.clone(), days(app));
        app.store.write(move |tx| {
            let outcome = json!({ "deleted": deleted });
            let begun_at = jobs::unfinished(tx, JOB)?.map_or(now, |(at, _)| at);
            jobs::note(tx, JOB, begun_at, &outcome)?;
            jobs::note(tx, COMPLETED, now, &outcome)?;
            note(tx, by, "done", json!({ "deleted": deleted, "days": days, "begun_at": begun_at }))
        })?;
        Ok(deleted)
    }

    /// A piece of an owner's rows, which has gone so far: their row of `control` comes with the last of them.
    fn piece(&self, scope: Scope, takes: Takes, limit: i64, gathered: i64, deleted: PerLog) -> Result<i64> {
        let now = self.now;
        let is_due = move |snapshot: &Snapshot<'_>| Ok(gathered > 0 || scope.has_old(snapshot, now)?);
        let n = self.app.store.write_if(Sharing::Alone, is_due, move |tx| {
            tx.begin_retention(takes, true);
            let n = scope.prune(tx, now, limit)? as i64;
            if n < limit || gathered + n >= GATHERED {
                tx.record_removals()?;
            }
            let mut so_far = deleted;
            so_far.add(scope.log, n);
            jobs::progress(tx, JOB, "deleted", &json!(so_far))?;
            Ok(n)
        })?;
        Ok(n.unwrap_or(0))
    }
}

/// Notes a run that began and has not ended, with how far it came: after a crash, at the next start. What it removed has
/// its rows of `control` then.
pub fn note_broken_off(app: &App) -> Result<()> {
    if app.store.read(|snapshot| jobs::unfinished(snapshot, JOB))?.is_none() {
        return Ok(());
    }
    app.store.write_as(Sharing::Alone, |tx| {
        let Some((begun_at, _)) = jobs::unfinished(tx, JOB)? else { return Ok(()) };
        let Some(begun) = activity::sql::under_way(tx, ACTION)? else {
            return jobs::note_unknown(tx, JOB, begun_at);
        };
        tx.record_removals()?;
        // What the rows of `control` say of it, which are leaves.
        let mut deleted = PerLog::default();
        for (_, body) in controls::removals_since(tx, begun.seq)? {
            let log = Log::ALL.into_iter().find(|log| body["log"] == log.word());
            if let Some(log) = log.filter(|_| body["erasure"].is_null()) {
                deleted.add(log, body["n"].as_i64().unwrap_or(0));
            }
        }
        jobs::note(tx, JOB, begun_at, &json!({ "error": "broken off", "deleted": deleted }))?;
        let metadata = json!({
            "deleted": deleted, "days": begun.metadata["days"],
            "begun_by": activity::sql::recorder(tx, begun.seq)?, "begun_at": begun_at,
        });
        note(tx, By::system("retention"), "broken off", metadata)
    })
}

/// The settings' own days are a row of `control`, in force from then on: what a removal is held against later.
pub fn record_settings(app: &App) -> Result<()> {
    let days = days(app);
    let is_on_record = |connection: &rusqlite::Connection| Ok(controls::days(connection)? == days);
    if app.store.read(|snapshot| is_on_record(snapshot))? {
        return Ok(());
    }
    app.store.write(move |tx| tx.record_setting(json!({ "days": days })))
}

/// The row of `jobs` that says that `record_mailboxes` is done with.
const ON_RECORD: &str = "retention_on_record";
/// Mailboxes in one row of `control`.
const AT_ONCE: i64 = 1000;

/// Once: the days that mailboxes had before they came on record with each change.
pub fn record_mailboxes(app: &App) -> Result<()> {
    if app.store.read(|snapshot| jobs::started_at(snapshot, ON_RECORD))?.is_some() {
        return Ok(());
    }
    let mut after = 0;
    loop {
        let last = app.store.write(move |tx| {
            let days = mailboxes::list_own_days(tx, after, AT_ONCE)?;
            match days.last() {
                Some((last, _)) => tx.record_setting(json!({ "mailboxes": days })).map(|()| Some(*last)),
                None => jobs::note(tx, ON_RECORD, tx.now, &Value::Null).map(|()| None),
            }
        })?;
        match last {
            Some(last) => after = last,
            None => return Ok(()),
        }
    }
}

fn days(app: &App) -> Value {
    json!(app.days())
}

/// The writes of everybody else during a run.
struct Others {
    n_writes: u64,
    n_pieces: u64,
    last: Instant,
}

impl Others {
    fn new(store: &Store) -> Self {
        Self { n_writes: store.batches().1, n_pieces: 0, last: Instant::now() }
    }

    /// Whether nobody wrote for a while; to be asked once after each piece.
    fn are_quiet(&mut self, store: &Store) -> bool {
        self.n_pieces += 1;
        let n_writes = store.batches().1 - self.n_pieces;
        if n_writes != self.n_writes {
            self.n_writes = n_writes;
            self.last = Instant::now();
        }
        self.last.elapsed() >= QUIET
    }
}

/// As many rows as would have taken a step, at most twice as many as before.
fn next_piece(piece: i64, took: Duration, step: Duration) -> i64 {
    let share = step.as_secs_f64() / took.as_secs_f64().max(1e-6);
    let fitting = (piece as f64 * share.min(2.0)) as i64;
    fitting.clamp(*PIECES.start(), *PIECES.end())
}

/// Every owner of rows that may be old.
fn scopes(app: &App, connection: &rusqlite::Connection) -> Result<Vec<Scope>> {
    let mut scopes = Vec::new();
    let mut add = |log, owners: Vec<i64>, default_days| {
        scopes.extend(owners.into_iter().map(|owner| Scope { log, owner, default_days }));
    };
    let days = app.days();
    if days.enforcement.is_some() {
        add(Log::Enforcement, enforcement::sql::prunable_tenants(connection)?, days.enforcement);
    }
    let mailboxes = mailboxes::list_for_retention(connection)?;
    let with_days = mailboxes.into_iter().filter(|(_, own)| own.or(days.messages).is_some());
    add(Log::Messages, with_days.map(|(owner, _)| owner).collect(), days.messages);
    if days.activity.is_some() {
        add(Log::Activity, activity::sql::prunable_owners(connection)?, days.activity);
    }
    Ok(scopes)
}

/// The latest time any write saw is kept; a clock more than five minutes behind it was moved.
fn refuse_a_clock_that_stepped_back(app: &App) -> Result<()> {
    let latest = app.store.read(|snapshot| crate::store::last_now(snapshot))?;
    let now = app.clock.now();
    if now.plus_seconds(300) >= latest {
        return Ok(());
    }
    Err(Error::conflict(
        "clock_stepped_back",
        format!(
            "the clock says {now}, but something was recorded at {latest}; nothing is deleted until they agree"
        ),
    ))
}

fn note(tx: &mut Tx<'_>, by: By, state: &str, mut metadata: Value) -> Result<()> {
    metadata["state"] = state.into();
    tx.note(Note {
        workspace: None,
        project: None,
        by,
        action: ACTION,
        target_type: "appliance",
        target_id: String::new(),
        metadata,
    })
}
