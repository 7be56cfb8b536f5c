//! What has to be well for `/readyz`: each check with why it is not, in fixed words, and its figures.

use serde_json::{Map, Value, json};

use super::backup_age;
use crate::app::App;
use crate::store::last_now;
use crate::time::SECOND;

/// A write that takes longer than this is stuck.
const WRITER_SECONDS: u64 = 30;
/// A short job that takes longer than this is stuck.
const SCHEDULER_SECONDS: u64 = 120;
/// How far the clock may stand before the latest write: as far as retention believes it.
const CLOCK_SECONDS: i64 = 300;

/// One thing that has to be well.
pub struct Check {
    name: &'static str,
    /// Why it is not; `None`: it is.
    pub problem: Option<&'static str>,
    figures: Value,
}

impl Check {
    fn new(name: &'static str, problem: Option<&'static str>, figures: Value) -> Self {
        Self { name, problem, figures }
    }

    pub fn show(&self, with_figures: bool) -> Value {
        let mut shown = Map::new();
        shown.insert("name".into(), self.name.into());
        shown.insert("ok".into(), self.problem.is_none().into());
        if let Some(problem) = self.problem {
            shown.insert("problem".into(), problem.into());
        }
        if let (true, Value::Object(figures)) = (with_figures, &self.figures) {
            shown.extend(figures.clone());
        }
        Value::Object(shown)
    }
}

pub fn checks(app: &App) -> [Check; 5] {
    [writer(app), clock(app), scheduler(app), disk(app), backup(app)]
}

fn writer(app: &App) -> Check {
    let state = app.store.writer();
    let problem = if !state.is_alive {
        Some("writing has stopped")
    } else if state.is_locked_out {
        Some("another program holds the write lock of the database")
    } else if state.busy_for.as_secs() >= WRITER_SECONDS {
        Some("a write is stuck")
    } else {
        None
    };
    let figures = json!({ "waiting": state.waiting, "busy_seconds": state.busy_for.as_secs() });
    Check::new("writer", problem, figures)
}

/// Needs the database to be read, so a database that cannot be read fails it too.
fn clock(app: &App) -> Check {
    let Ok(latest) = app.store.read(|snapshot| last_now(snapshot)) else {
        return Check::new("clock", Some("the database cannot be read"), Value::Null);
    };
    let now = app.clock.now();
    let behind = (latest.micros() - now.micros()).max(0) / SECOND;
    let problem = (behind > CLOCK_SECONDS).then_some("the clock stands before the latest write");
    Check::new("clock", problem, json!({ "now": now, "latest_write": latest, "behind_seconds": behind }))
}

fn scheduler(app: &App) -> Check {
    let lag = app.rounds.lag().as_secs();
    let problem = (lag >= SCHEDULER_SECONDS).then_some("the scheduler is stuck");
    Check::new("scheduler", problem, json!({ "lag_seconds": lag }))
}

fn disk(app: &App) -> Check {
    let room = app.store.disk().room();
    let problem = if room.is_low {
        Some("too little is free to record")
    } else {
        room.has_no_inode.then_some("the file system has no inode left: no file can be made")
    };
    let figures = json!({ "free_bytes": room.free, "reserve_bytes": app.store.disk().reserve(), "ballast": room.has_ballast });
    Check::new("disk", problem, figures)
}

/// The schedule may be late by one backup.
fn backup(app: &App) -> Check {
    let (last, age) = (app.backups.last(), backup_age(app));
    let every = app.config.backups.as_ref().map(|backups| backups.every);
    let uptime = i64::try_from(app.rounds.uptime().as_secs()).unwrap_or(i64::MAX);
    let is_late = every.is_some_and(|every| age.unwrap_or(uptime) > 2 * every);
    let problem = match app.backups.has_failed() {
        true => Some("the last scheduled backup failed"),
        false => is_late.then_some("the last backup is too old"),
    };
    Check::new("backup", problem, json!({ "last": last, "age_seconds": age, "every_seconds": every }))
}
