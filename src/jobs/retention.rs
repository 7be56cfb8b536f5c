//! Retention: entries older than their days are deleted, oldest first, in bounded batches.
//!
//! A mailbox's days are its policy's, else the setting's; enforcement events and activities go by the settings. An
//! entry's age is by its own time (`received_at`, `created_at`), as the vendors say. Raising a number brings
//! nothing back; a legal hold on a mailbox, tenant or project keeps what belongs to it. A batch is one short
//! transaction, so that no writer waits long. A clock that stands before the latest write is not believed: nothing
//! is deleted until it has caught up.

use serde::Serialize;
use serde_json::{Value, json};

use crate::app::App;
use crate::error::{Error, Result};
use crate::owners::mailboxes;
use crate::store::counts::Log;
use crate::store::{By, Note};
use crate::time::Timestamp;
use crate::{activity, enforcement, messages};

/// Rows in one transaction.
const PIECE: i64 = 1000;

/// One owner whose old rows go.
#[derive(Debug, Clone, Copy)]
struct Scope {
    log: Log,
    /// The key of a tenant, mailbox or workspace.
    owner: i64,
    cutoff: Timestamp,
}

/// How many rows went, or would go.
#[derive(Debug, Default, Clone, Copy, Serialize)]
pub struct Deleted {
    pub enforcement: i64,
    pub messages: i64,
    pub activity: i64,
}

impl Deleted {
    fn add(&mut self, log: Log, n: i64) {
        match log {
            Log::Enforcement => self.enforcement += n,
            Log::Messages => self.messages += n,
            Log::Activity => self.activity += n,
        }
    }

    fn total(self) -> i64 {
        self.enforcement + self.messages + self.activity
    }
}

/// The scheduler's run: noted in the activity log when something went.
pub fn scheduled(app: &App) -> Result<Value> {
    let deleted = delete(app)?;
    if deleted.total() > 0 {
        note(app, By::system("retention"), deleted)?;
    }
    Ok(json!({ "deleted": deleted }))
}

/// A run by hand: always noted.
pub fn run(app: &App, by: By) -> Result<Value> {
    let deleted = delete(app)?;
    note(app, by, deleted)?;
    Ok(json!({ "dry_run": false, "deleted": deleted }))
}

/// What a run would take now.
pub fn dry_run(app: &App) -> Result<Value> {
    let mut deleted = Deleted::default();
    app.store.read(|snapshot| {
        for scope in scopes(app, snapshot)? {
            let Scope { log, owner, cutoff } = scope;
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

fn delete(app: &App) -> Result<Deleted> {
    refuse_a_clock_that_stepped_back(app)?;
    let mut deleted = Deleted::default();
    for Scope { log, owner, cutoff } in app.store.read(|snapshot| scopes(app, snapshot))? {
        loop {
            let n = app.store.write(move |tx| match log {
                Log::Enforcement => enforcement::sql::prune(tx, owner, cutoff, PIECE),
                Log::Messages => messages::sql::prune(tx, owner, cutoff, PIECE),
                Log::Activity => activity::sql::prune(tx, owner, cutoff, PIECE),
            })? as i64;
            deleted.add(log, n);
            if n < PIECE {
                break;
            }
        }
    }
    Ok(deleted)
}

/// Everything that has days and is not on hold.
fn scopes(app: &App, connection: &rusqlite::Connection) -> Result<Vec<Scope>> {
    let now = app.clock.now();
    let cutoff = |days: i64| now.plus_days(-days);
    let mut scopes = Vec::new();
    if let Some(days) = app.config.enforcement_days {
        let tenants = enforcement::sql::prunable_tenants(connection)?;
        let cutoff = cutoff(days);
        scopes.extend(tenants.into_iter().map(|owner| Scope { log: Log::Enforcement, owner, cutoff }));
    }
    for (owner, own_days) in mailboxes::list_for_retention(connection)? {
        if let Some(days) = own_days.or(app.config.messages_days) {
            scopes.push(Scope { log: Log::Messages, owner, cutoff: cutoff(days) });
        }
    }
    if let Some(days) = app.config.activity_days {
        let workspaces = activity::sql::prunable_workspaces(connection)?;
        let cutoff = cutoff(days);
        scopes.extend(workspaces.into_iter().map(|owner| Scope { log: Log::Activity, owner, cutoff }));
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

fn note(app: &App, by: By, deleted: Deleted) -> Result<()> {
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
