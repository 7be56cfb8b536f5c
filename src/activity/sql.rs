//! The SQL of the activity log. `record` is the one door in, `prune` the one way out.

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Row};

use super::{Entry, NewEntry, redact};
use crate::app::check_not_ahead;
use crate::error::Result;
use crate::ids::Uuid;
use crate::owners::{projects, users};
use crate::store::Tx;
use crate::store::counts::{Log, Recount};
use crate::store::listing::Listing;
use crate::store::texts;
use crate::time::Timestamp;

impl Entry {
    pub fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let metadata: String = row.get("metadata")?;
        Ok(Self {
            id: row.get("id")?,
            user_id: id_text(row, "user_id")?,
            action: row.get("action")?,
            target_type: row.get("target_type")?,
            target_id: id_text(row, "target_id")?,
            metadata: serde_json::from_str(&metadata).unwrap_or_default(),
            ip_address: row.get("ip_address")?,
            user_agent: row.get("user_agent")?,
            created_at: row.get("created_at")?,
            project_id: row.get("project_id")?,
            actor: row.get("actor")?,
            recorded_at: row.get("recorded_at")?,
            seq: row.get("seq")?,
        })
    }
}

/// An id that somebody gave, as it is stored: a UUID in its one spelling takes 16 bytes, anything else is text.
fn id_value(id: &str) -> Value {
    match Uuid::parse(id).filter(|uuid| uuid.to_string() == id) {
        Some(uuid) => Value::Blob(uuid.0.to_vec()),
        None => Value::Text(id.to_owned()),
    }
}

fn id_text(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<String>> {
    Ok(match row.get_ref(column)? {
        ValueRef::Null => None,
        ValueRef::Blob(_) => Some(row.get::<_, Uuid>(column)?.to_string()),
        _ => Some(row.get(column)?),
    })
}

/// Whose activities a list asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    Project(i64),
    Workspace(i64),
}

/// What a list asks for, besides time and order.
#[derive(Debug, Clone)]
pub struct Filter {
    pub owner: Owner,
    /// Every project's too.
    pub workspace: i64,
    pub action: Option<String>,
    pub user_id: Option<String>,
    pub target_type: Option<String>,
    pub target_id: Option<String>,
}

/// The list; a text that no row has stands for none of them.
pub fn listing(
    connection: &Connection,
    filter: &Filter,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    newest_first: bool,
) -> Result<Listing> {
    let mut equals = match filter.owner {
        Owner::Project(key) => vec![("project = ", Value::from(key))],
        Owner::Workspace(key) => vec![("workspace = ", Value::from(key))],
    };
    for (column, text) in [("action = ", &filter.action), ("target_type = ", &filter.target_type)] {
        if let Some(text) = text {
            equals.push((column, Value::from(texts::find(connection, text)?.unwrap_or(-1))));
        }
    }
    for (column, id) in [("user_id = ", &filter.user_id), ("target_id = ", &filter.target_id)] {
        if let Some(id) = id {
            equals.push((column, id_value(id)));
        }
    }
    // The rarest first: a target, a user, an action.
    let is_given = (filter.target_id.is_some(), filter.user_id.is_some(), filter.action.is_some());
    let index = match (is_given, filter.owner) {
        ((true, _, _), _) => "activity_target",
        ((false, true, _), _) => "activity_user",
        ((false, false, true), Owner::Project(_)) => "activity_project_action",
        ((false, false, true), Owner::Workspace(_)) => "activity_workspace_action",
        ((false, false, false), Owner::Project(_)) => "activity_project",
        ((false, false, false), Owner::Workspace(_)) => "activity_workspace",
    };
    if matches!(index, "activity_target" | "activity_user") && matches!(filter.owner, Owner::Project(_)) {
        equals.push(("workspace = ", Value::from(filter.workspace)));
    }
    let is_counted = filter.user_id.is_none() && filter.target_type.is_none() && filter.target_id.is_none();
    Ok(Listing {
        log: Log::Activity,
        table: "activity",
        index,
        columns: "seq, id, user_id, actor, (SELECT text FROM texts WHERE texts.id = action) AS action,
                  (SELECT text FROM texts WHERE texts.id = target_type) AS target_type, target_id, metadata,
                  ip_address, (SELECT text FROM texts WHERE texts.id = user_agent) AS user_agent, created_at,
                  coalesce(recorded_at, created_at) AS recorded_at,
                  (SELECT uuid FROM projects WHERE projects.id = project) AS project_id",
        equals,
        series: is_counted.then(|| series_of(filter.owner, filter.action.as_deref())),
        from,
        to,
        newest_first,
    })
}

fn series_of(owner: Owner, action: Option<&str>) -> String {
    let owner = match owner {
        Owner::Project(key) => format!("p{key}"),
        Owner::Workspace(key) => format!("w{key}"),
    };
    match action {
        Some(action) => format!("{owner}/{action}"),
        None => owner,
    }
}

fn series(workspace: i64, project: Option<i64>, action: &str) -> impl Iterator<Item = String> {
    let owners = [Some(Owner::Workspace(workspace)), project.map(Owner::Project)];
    let action = action.to_owned();
    owners
        .into_iter()
        .flatten()
        .flat_map(move |owner| [series_of(owner, None), series_of(owner, Some(&action))])
}

/// Records one activity: the row, its counts, its number. The metadata loses its secrets first.
pub fn record(tx: &mut Tx<'_>, workspace: i64, project: Option<i64>, mut new: NewEntry) -> Result<Entry> {
    redact::redact(&mut new.metadata);
    let metadata = serde_json::Value::Object(new.metadata);
    let text = metadata.to_string();
    let created_at = new.created_at.unwrap_or(tx.now.truncated());
    check_not_ahead("created_at", created_at, tx.now)?;
    let known = new.user_id.as_deref().and_then(Uuid::parse);
    let actor = match (new.actor, known) {
        (None, Some(user)) => users::member_email(tx, workspace, user)?,
        (actor, _) => actor,
    };
    let entry = Entry {
        id: tx.next_ulid(),
        user_id: new.user_id,
        action: new.action,
        target_type: new.target_type,
        target_id: new.target_id,
        metadata,
        ip_address: new.ip_address,
        user_agent: new.user_agent,
        created_at,
        project_id: project.map(|key| projects::id_of(tx, key)).transpose()?.flatten(),
        actor,
        recorded_at: tx.now.truncated(),
        seq: tx.next_seq(),
    };
    let number = |text: &Option<String>| text.as_deref().map(|text| texts::number(tx, text)).transpose();
    tx.prepare_cached(
        "INSERT INTO activity (seq, id, workspace, project, user_id, actor, action, target_type, target_id, metadata,
             ip_address, user_agent, created_at, recorded_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?
    .execute((
        entry.seq,
        entry.id,
        workspace,
        project,
        entry.user_id.as_deref().map(id_value),
        &entry.actor,
        texts::number(tx, &entry.action)?,
        number(&entry.target_type)?,
        entry.target_id.as_deref().map(id_value),
        text,
        &entry.ip_address,
        number(&entry.user_agent)?,
        entry.created_at,
        Some(entry.recorded_at).filter(|at| *at != entry.created_at),
    ))?;
    for series in series(workspace, project, &entry.action) {
        tx.count(Log::Activity, series, created_at, 1);
    }
    Ok(entry)
}

/// What retention would take of a workspace: not what belongs to a project on hold.
const PRUNABLE: &str = "workspace = ?1 AND created_at < ?2
     AND (project IS NULL OR project NOT IN (SELECT id FROM projects WHERE hold = 1 AND workspace = ?1))";

/// Removes up to `limit` of a workspace's activities from before `cutoff`, oldest first; says how many.
pub fn prune(tx: &mut Tx<'_>, workspace: i64, cutoff: Timestamp, limit: i64) -> Result<usize> {
    tx.prune(Log::Activity, |tx| {
        let removed = tx
            .prepare_cached(&format!(
                "SELECT seq, project, (SELECT text FROM texts WHERE texts.id = action), created_at FROM activity
                 WHERE {PRUNABLE}
                 ORDER BY created_at, seq LIMIT ?3"
            ))?
            .query_map((workspace, cutoff, limit), |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })?
            .collect::<rusqlite::Result<Vec<(i64, Option<i64>, String, Timestamp)>>>()?;
        for (seq, project, action, created_at) in &removed {
            tx.prepare_cached("DELETE FROM activity WHERE seq = ?1")?.execute([seq])?;
            for series in series(workspace, *project, action) {
                tx.count(Log::Activity, series, *created_at, -1);
            }
        }
        Ok(removed.len())
    })
}

/// Whether retention would take anything of a workspace.
pub fn has_prunable(connection: &Connection, workspace: i64, cutoff: Timestamp) -> Result<bool> {
    Ok(connection
        .prepare_cached(&format!("SELECT EXISTS (SELECT 1 FROM activity WHERE {PRUNABLE})"))?
        .query_row((workspace, cutoff), |row| row.get(0))?)
}

/// How many activities of a workspace retention would take.
pub fn count_prunable(connection: &Connection, workspace: i64, cutoff: Timestamp) -> Result<i64> {
    Ok(connection
        .prepare_cached(&format!("SELECT count(*) FROM activity WHERE {PRUNABLE}"))?
        .query_row((workspace, cutoff), |row| row.get(0))?)
}

/// Every workspace with a trail, deleted or not.
pub fn prunable_workspaces(connection: &Connection) -> Result<Vec<i64>> {
    let mut statement = connection.prepare_cached("SELECT id FROM workspaces ORDER BY id")?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
}

/// Tells every row to a recount.
pub fn recount(connection: &Connection, recount: &mut Recount) -> Result<()> {
    let mut statement = connection.prepare(
        "SELECT workspace, project, (SELECT text FROM texts WHERE texts.id = action), created_at FROM activity",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let action: String = row.get(2)?;
        for series in series(row.get(0)?, row.get(1)?, &action) {
            recount.add(Log::Activity, series, row.get(3)?);
        }
    }
    Ok(())
}
