//! Retention: entries older than their days are deleted, oldest first, in bounded batches.
//!
//! A mailbox's days are its policy's, else the setting's; enforcement events and activities go by the settings. An
//! entry's age is by its own time (`received_at`, `created_at`), as the vendors say. Raising a number brings
//! nothing back; a legal hold on a mailbox, tenant or project keeps what belongs to it. A batch is one short
//! transaction, so that no writer waits long. A clock that stands before the latest write, or leapt more than a week
//! ahead of the last run, is not believed: nothing is deleted until it has caught up, or a person has looked.

use std::ops::RangeInclusive;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::app::App;
use crate::error::{Error, Result};
use crate::owners::{mailboxes, tenants};
use crate::store::counts::{Log, PerLog};
use crate::store::{By, Note, Sharing, Snapshot, Store, Tx, Whole, jobs};
use crate::time::Timestamp;
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
    let deleted = delete(app)?;
    if deleted.total() > 0 {
        note(app, By::system("retention"), deleted)?;
    }
    Ok(json!({ "deleted": deleted }))
}

/// A clock that leapt further ahead than this since the last run is not believed.
const LEAP_DAYS: i64 = 7;
/// The row of `jobs` that says when the clock was last believed: a run that was paused or failed leaves it as it is.
const COMPLETED: &str = "retention_completed";

/// A run by hand: always noted.
pub fn run(app: &App, by: By) -> Result<Value> {
    let deleted = delete(app)?;
    note(app, by, deleted)?;
    Ok(json!({ "dry_run": false, "deleted": deleted }))
}

/// What a run would take now, unless `is_over` says that nobody wants to know any more.
pub fn dry_run(app: &App, is_over: impl FnMut() -> bool + Send + 'static) -> Result<Value> {
    let mut deleted = PerLog::default();
    let now = app.clock.now();
    app.store.read_whole(Whole::Retention, is_over, |snapshot| {
        for scope in scopes(app, snapshot)? {
            let Some(days) = scope.days(snapshot)? else { continue };
            let (Scope { log, owner, .. }, cutoff) = (scope, now.plus_days(-days));
            let n = match log {
                Log::Enforcement => enforcement::sql::count_prunable(snapshot, owner, cutoff)?,
                Log::Messages => messages::sql::count_prunable(snapshot, owner, cutoff)?,
                Log::Activity => activity::sql::count_prunable(snapshot, owner, cutoff)?,
            };
            deleted.add(log, n);
        }
        Ok(())
    })?;
    Ok(json!({ "dry_run": true, "deleted": deleted }))
}

/// One run at a time: two would share the work between them, and each would say but half of it.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn delete(app: &App) -> Result<PerLog> {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    refuse_a_clock_that_stepped_back(app)?;
    let mut deleted = PerLog::default();
    let now = app.clock.now();
    let mut piece = FIRST_PIECE;
    let mut others = Others::new(&app.store);
    let mut is_sealed = false;
    for scope in app.store.read(|snapshot| scopes(app, snapshot))? {
        loop {
            let limit = piece;
            app.store.disk().make_room();
            if !is_sealed && app.store.read(|snapshot| scope.has_old(snapshot, now))? {
                app.checkpoints.seal_before_removal(&app.store)?;
                is_sealed = true;
            }
            let started = Instant::now();
            let is_due = move |snapshot: &Snapshot<'_>| scope.has_old(snapshot, now);
            let prune = move |tx: &mut Tx<'_>| scope.prune(tx, now, limit);
            let n = app.store.write_if(Sharing::Alone, is_due, prune)?.unwrap_or(0) as i64;
            deleted.add(scope.log, n);
            // What is left is old at the next start too.
            if app.stopping.load(Ordering::Relaxed) {
                return Ok(deleted);
            }
            if n < limit {
                break;
            }
            let took = started.elapsed();
            if others.are_quiet(&app.store) {
                piece = next_piece(limit, took, STEP_ALONE);
            } else {
                piece = next_piece(limit, took, STEP_BESIDE_WRITES);
                // As long for the others as for itself.
                std::thread::sleep(took.min(STEP_ALONE));
            }
        }
    }
    app.store.write(move |tx| jobs::note(tx, COMPLETED, now, &json!({ "deleted": deleted })))?;
    Ok(deleted)
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
    if app.config.enforcement_days.is_some() {
        add(Log::Enforcement, enforcement::sql::prunable_tenants(connection)?, app.config.enforcement_days);
    }
    let mailboxes = mailboxes::list_for_retention(connection)?;
    let with_days = mailboxes.into_iter().filter(|(_, own)| own.or(app.config.messages_days).is_some());
    add(Log::Messages, with_days.map(|(owner, _)| owner).collect(), app.config.messages_days);
    if app.config.activity_days.is_some() {
        add(Log::Activity, activity::sql::prunable_owners(connection)?, app.config.activity_days);
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

fn note(app: &App, by: By, deleted: PerLog) -> Result<()> {
    let metadata = json!({
        "deleted": deleted,
        "days": {
            "enforcement": app.config.enforcement_days, "messages": app.config.messages_days,
            "activity": app.config.activity_days,
        },
    });
    app.store.write(move |tx| {
        tx.note(Note {
            workspace: None,
            project: None,
            by,
            action: "retention.run",
            target_type: "appliance",
            target_id: String::new(),
            metadata,
        })
    })
}
