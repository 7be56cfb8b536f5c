//! The SQL of the activity log. `record` is the one door in, `prune` the one way out.

use std::net::IpAddr;
use std::sync::LazyLock;

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row};
use serde_json::{Value as Json, json};

use super::redact::Metadata;
use super::{Entry, NewEntry, OWN_ACTIONS, Place};
use crate::canonical::{other_form, unbracketed};
use crate::error::Result;
use crate::ids::{Ulid, Uuid};
use crate::imports::{Identity, Line};
use crate::owners::{projects, users, workspaces};
use crate::store::counts::{Log, Recount, Series};
use crate::store::listing::{Equal, Index, Listing, Start};
use crate::store::{Erasable, Kinds, Tx, numbers_as_json, salt, texts};
use crate::time::{DAY, Timestamp};
use crate::tlog::rows::{Column, Rows};

/// What `Entry::from_row` reads.
const COLUMNS: &str = "seq, (SELECT salt FROM sequence WHERE one = 1) AS salt,
                  (SELECT text FROM texts WHERE texts.id = user_id) AS user_id,
                  (SELECT text FROM texts WHERE texts.id = actor) AS actor,
                  (SELECT text FROM texts WHERE texts.id = action) AS action,
                  (SELECT text FROM texts WHERE texts.id = target_type) AS target_type, target_id, metadata,
                  ip_address, (SELECT text FROM texts WHERE texts.id = user_agent) AS user_agent, created_at,
                  coalesce(recorded_at, created_at) AS recorded_at,
                  (SELECT uuid FROM projects WHERE projects.id = project) AS project_id,
                  (SELECT text FROM texts WHERE texts.id = recorded_by) AS recorded_by, redacted";

impl Entry {
    pub fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let (recorded_at, seq) = (row.get("recorded_at")?, row.get("seq")?);
        let names: Option<String> = row.get("redacted")?;
        let metadata = Metadata::stored(row.get("metadata")?, names.as_deref());
        Ok(Self {
            id: Ulid::of(recorded_at, row.get("salt")?, seq),
            user_id: row.get("user_id")?,
            action: row.get("action")?,
            target_type: row.get("target_type")?,
            target_id: id_text(row, "target_id")?,
            redacted: metadata.names().to_vec(),
            metadata,
            ip_address: address_text(row, "ip_address")?,
            user_agent: row.get("user_agent")?,
            created_at: row.get("created_at")?,
            project_id: row.get("project_id")?,
            actor: row.get("actor")?,
            recorded_at,
            seq,
            recorded_by: row.get("recorded_by")?,
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

/// An address takes its 4 or 16 bytes.
fn address_value(address: &str) -> Value {
    match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(v4)) => Value::Blob(v4.octets().to_vec()),
        Ok(IpAddr::V6(v6)) => Value::Blob(v6.octets().to_vec()),
        Err(_) => Value::Text(address.to_owned()),
    }
}

fn address_text(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<String>> {
    Ok(match row.get_ref(column)? {
        ValueRef::Null => None,
        ValueRef::Blob(bytes) => match (<[u8; 4]>::try_from(bytes), <[u8; 16]>::try_from(bytes)) {
            (Ok(v4), _) => Some(IpAddr::from(v4).to_string()),
            (_, Ok(v6)) => Some(IpAddr::from(v6).to_string()),
            _ => None,
        },
        _ => Some(row.get(column)?),
    })
}

/// The log's rows as leaves of the tree.
pub const ROWS: Rows = Rows {
    log: "activity",
    table: "activity",
    columns: &[
        Column::Owner("workspace", workspaces::id_of),
        Column::Owner("project", projects::id_of),
        Column::Text("user_id", texts::of),
        Column::Text("actor", texts::of),
        Column::Text("action", texts::of),
        Column::Text("target_type", texts::of),
        Column::Value("target_id"),
        Column::Value("metadata"),
        Column::Value("ip_address"),
        Column::Text("user_agent", texts::of),
        Column::Value("created_at"),
        Column::Value("recorded_at"),
    ],
    added: &[(6, Column::Text("recorded_by", texts::of)), (6, Column::Value("redacted"))],
};

/// Whose activities a list asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Project(i64),
    /// Its own, and those of all its projects.
    Workspace(i64),
}

impl Scope {
    /// The `owner`s of the rows.
    fn owners(self, connection: &Connection) -> Result<Vec<i64>> {
        Ok(match self {
            Self::Project(key) => vec![key],
            Self::Workspace(key) => {
                let mut owners = projects::keys(connection, key)?;
                owners.push(-key);
                owners
            }
        })
    }
}

/// What a list asks for, besides time and order.
#[derive(Debug, Clone)]
pub struct Filter {
    pub scope: Scope,
    pub action: Option<String>,
    pub user_id: Option<String>,
    pub target_type: Option<String>,
    pub target_id: Option<String>,
}

impl Filter {
    /// The target as rows have it: as it is given; else with the `+` that a blank was, which nobody had encoded, and
    /// without angle brackets, or with those that an older version stored.
    pub fn in_stored_form(mut self, connection: &Connection) -> Result<Self> {
        let Some(given) = self.target_id.clone() else { return Ok(self) };
        let plain = unbracketed(&given.replace(' ', "+")).to_owned();
        let bracketed = other_form(&plain);
        for form in [given, plain.clone(), bracketed] {
            self.target_id = Some(form);
            let list = listing(connection, &self, None, None, true)?;
            if !list.page(connection, Start::Offset(0), 1, |_| Ok(()))?.is_empty() {
                return Ok(self);
            }
        }
        self.target_id = Some(plain);
        Ok(self)
    }
}

/// The list; a text that no row has stands for none of them.
pub fn listing(
    connection: &Connection,
    filter: &Filter,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    newest_first: bool,
) -> Result<Listing> {
    let number =
        |text: &Option<String>| text.as_deref().map(|text| texts::find(connection, text)).transpose();
    let (action, user) = (number(&filter.action)?, number(&filter.user_id)?);
    let by_target = filter.target_id.is_some();
    let by_user = !by_target && user.is_some();
    let mut equals = Vec::new();
    for (condition, number, is_indexed) in [
        ("action = ", action, !by_target && !by_user),
        ("user_id = ", user, by_user),
        ("target_type = ", number(&filter.target_type)?, false),
    ] {
        equals.extend(number.map(|number| Equal { condition, value: Value::from(number), is_indexed }));
    }
    equals.extend(filter.target_id.as_deref().map(|id| Equal {
        condition: "target_id = ",
        value: id_value(id),
        is_indexed: true,
    }));
    // The rarest first: a target, a user, an action.
    let index = match (by_target, user, action) {
        (true, _, _) => Index::ByDay(Log::Activity, "activity_target"),
        (false, Some(_), _) => Index::ByDay(Log::Activity, "activity_user"),
        (false, None, Some(_)) => Index::ByDay(Log::Activity, "activity_action"),
        (false, None, None) => Index::ByTime("activity_owner"),
    };
    let owners = filter.scope.owners(connection)?;
    let of_owner = |owner| Series::of(Log::Activity, owner);
    let counted = owners
        .iter()
        .map(|&owner| match (action, user, &filter.target_type, &filter.target_id) {
            (None, None, None, None) => Some(of_owner(owner)),
            (Some(action), None, None, None) => Some(of_owner(owner).of_kind(action)),
            (None, Some(user), None, None) => Some(of_owner(owner).of_person(user)),
            _ => None,
        })
        .collect();
    Ok(Listing {
        table: "activity",
        index,
        columns: COLUMNS,
        owner: "owner",
        owners,
        is_owner_indexed: true,
        equals,
        counted,
        from,
        to,
        newest_first,
    })
}

/// The number of the activity with this id, if it is within `scope`.
pub fn number_of(connection: &Connection, scope: Scope, id: Ulid) -> Result<Option<i64>> {
    let found = connection
        .prepare_cached("SELECT coalesce(recorded_at, created_at), owner FROM activity WHERE seq = ?1")?
        .query_row([id.seq()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((recorded_at, owner)) = found else { return Ok(None) };
    let is_it = Ulid::of(recorded_at, salt(connection)?, id.seq()) == id;
    Ok((is_it && scope.owners(connection)?.contains(&owner)).then(|| id.seq()))
}

/// Every series that a row is counted in.
fn series(owner: i64, action: i64, user: Option<i64>) -> impl Iterator<Item = Series> {
    let all = Series::of(Log::Activity, owner);
    [Some(all), Some(all.of_kind(action)), user.map(|user| all.of_person(user))].into_iter().flatten()
}

/// The own time of the activity that was recorded first of all that are still there.
pub fn oldest(connection: &Connection) -> Result<Option<Timestamp>> {
    Ok(connection
        .prepare_cached("SELECT created_at FROM activity ORDER BY seq LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?)
}

/// When the activity was recorded that was recorded last.
pub fn latest(connection: &Connection) -> Result<Option<Timestamp>> {
    Ok(connection
        .prepare_cached("SELECT coalesce(recorded_at, created_at) FROM activity ORDER BY seq DESC LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?)
}

/// What mailtrail noted of somebody or something.
pub struct Noted {
    pub seq: i64,
    pub workspace: i64,
    pub action: String,
    pub target: Option<Uuid>,
    /// Of a mailbox, which has no other id.
    pub number: Option<i64>,
    pub metadata: Json,
    pub at: Timestamp,
}

/// Tells what mailtrail noted of these actions, in the order of recording. In a project others record too, so what
/// stands there is not believed. Reads the whole log, of any version.
pub fn each_own_note(
    connection: &Connection,
    actions: &[&str],
    tell: impl FnMut(Noted) -> Result<()>,
) -> Result<()> {
    each_note(connection, "project IS NULL", actions, tell)
}

/// Tells what mailtrail noted of settings since rows say who recorded them, which is since version 6: older notes say it
/// otherwise. Those of projects stand in their own logs, where from then on nobody else records them, but the operator
/// what happened elsewhere, with its own time.
pub fn each_note_of_settings(
    connection: &Connection,
    actions: &[&str],
    tell: impl FnMut(Noted) -> Result<()>,
) -> Result<()> {
    let recorded = "activity.recorded_by IS NOT NULL
         AND (project IS NULL OR activity.recorded_at IS NULL AND substr(texts.text, 1, 8) = 'project.')";
    each_note(connection, recorded, actions, tell)
}

fn each_note(
    connection: &Connection,
    condition: &str,
    actions: &[&str],
    mut tell: impl FnMut(Noted) -> Result<()>,
) -> Result<()> {
    let mut statement = connection.prepare(&format!(
        "{NOTED} WHERE ({condition})
             AND action IN (SELECT id FROM texts WHERE text IN (SELECT value FROM json_each(?1)))
         ORDER BY seq"
    ))?;
    let mut rows = statement.query([json!(actions).to_string()])?;
    while let Some(row) = rows.next()? {
        tell(Noted::from_row(row)?)?;
    }
    Ok(())
}

const NOTED: &str =
    "SELECT seq, activity.workspace, texts.text AS action, target_id, metadata, activity.created_at AS at
     FROM activity JOIN texts ON texts.id = activity.action";

impl Noted {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let number = row.get_ref("target_id")?.as_str().ok().and_then(|text| text.parse().ok());
        Ok(Self {
            seq: row.get("seq")?,
            workspace: row.get("workspace")?,
            action: row.get("action")?,
            target: row.get("target_id").ok(),
            number,
            metadata: serde_json::from_str(&row.get::<_, String>("metadata")?).unwrap_or_default(),
            at: row.get("at")?,
        })
    }
}

/// What began by what mailtrail noted last of an action, and has not ended by it.
pub fn under_way(connection: &Connection, action: &str) -> Result<Option<Noted>> {
    let last = connection
        .prepare(&format!(
            "{NOTED} WHERE project IS NULL AND action = (SELECT id FROM texts WHERE text = ?1)
             ORDER BY seq DESC LIMIT 1"
        ))?
        .query_row([action], Noted::from_row)
        .optional()?;
    Ok(last.filter(|noted| noted.metadata["state"] == "begun"))
}

/// Who recorded an activity.
pub fn recorder(connection: &Connection, number: i64) -> Result<Option<String>> {
    Ok(find(connection, number)?.and_then(|entry| entry.recorded_by.or(entry.actor)))
}

/// How many activities a workspace has, with those of its projects.
pub fn total(connection: &Connection, workspace: i64) -> Result<i64> {
    let owners = Scope::Workspace(workspace).owners(connection)?;
    owners.into_iter().map(|owner| Series::of(Log::Activity, owner).total(connection)).sum()
}

/// Who did what is `recorded_by` somebody for a person: named as at this time, where the workspace knows the person.
pub fn actor_for(
    connection: &Connection,
    workspace: i64,
    user_id: Option<&str>,
    recorded_by: &str,
) -> Result<String> {
    let email = match user_id.and_then(Uuid::parse) {
        Some(user) => users::member_email(connection, workspace, user)?,
        None => None,
    };
    Ok(email.map_or_else(|| recorded_by.to_owned(), |email| format!("{recorded_by} for {email}")))
}

/// The activity with this number; `None` when it is gone.
pub fn find(connection: &Connection, number: i64) -> Result<Option<Entry>> {
    Ok(connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM activity WHERE seq = ?1"))?
        .query_row([number], Entry::from_row)
        .optional()?)
}

/// The number that an imported line says, if that is its activity.
pub fn same(connection: &Connection, owner: i64, line: &Line<NewEntry>) -> Result<Option<i64>> {
    let Some(number) = line.place.number else { return Ok(None) };
    let found = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM activity WHERE seq = ?1 AND owner = ?2"))?
        .query_row((number, owner), Entry::from_row)
        .optional()?;
    let is_dated = line.row.created_at.is_some();
    Ok(found.filter(|entry| entry.identity(is_dated) == line.identity).map(|entry| entry.seq))
}

/// Tells the activities of an owner that an imported one may be: those on its target, else those of its person on none, at
/// its time, or, where it has no time, all that had none either. Their numbers are after the first of two and up to the
/// second, and they are at most so many.
pub fn each_like(
    connection: &Connection,
    owner: i64,
    new: &NewEntry,
    ((after, through), most): ((i64, i64), usize),
    tell: &mut dyn FnMut(i64, Identity),
) -> Result<()> {
    let user = new.user_id.as_deref().map(|user| texts::find(connection, user)).transpose()?;
    let (of, what) = match (new.created_at, &new.target_id, user) {
        (Some(_), Some(target), _) => (
            "activity_target WHERE day = ?6 AND target_id = ?5 AND target_id IS NOT NULL AND created_at = ?7",
            id_value(target),
        ),
        (Some(_), None, user) => (
            "activity_user WHERE day = ?6 AND user_id = ?5 AND user_id IS NOT NULL AND target_id IS NULL
                 AND created_at = ?7",
            user.map_or(Value::Null, Value::from),
        ),
        // Their time is that of their recording, which rises with their numbers.
        (None, ..) => (
            "activity_owner WHERE recorded_at IS NULL AND ?5 IS NULL AND ?6 IS NULL AND ?7 IS NULL
                 AND created_at >= coalesce((SELECT coalesce(recorded_at, created_at) FROM activity
                                             WHERE seq <= ?2 ORDER BY seq DESC LIMIT 1), 0)",
            Value::Null,
        ),
    };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM activity INDEXED BY {of} AND owner = ?1 AND seq > ?2 AND seq <= ?3
         ORDER BY created_at, seq LIMIT ?4"
    ))?;
    let day = new.created_at.map(|at| at.micros().div_euclid(DAY));
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut rows = statement.query((owner, after, through, most, what, day, new.created_at))?;
    while let Some(row) = rows.next()? {
        let entry = Entry::from_row(row)?;
        tell(entry.seq, entry.identity(new.created_at.is_some()));
    }
    Ok(())
}

/// Tells the activities of an owner after the first of two numbers and up to the second, as `each_like` does: one without a
/// time of its own also as what it is without it.
pub fn each_since(
    connection: &Connection,
    owner: i64,
    (after, through): (i64, i64),
    tell: &mut dyn FnMut(i64, Identity),
) -> Result<()> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS}, recorded_at IS NULL AS is_undated FROM activity
         WHERE seq > ?1 AND seq <= ?2 AND owner = ?3 ORDER BY seq"
    ))?;
    let mut rows = statement.query((after, through, owner))?;
    while let Some(row) = rows.next()? {
        let entry = Entry::from_row(row)?;
        tell(entry.seq, entry.identity(true));
        if row.get("is_undated")? {
            tell(entry.seq, entry.identity(false));
        }
    }
    Ok(())
}

/// Records one activity: the row, its counts, its number, and who `recorded_by` says recorded it.
pub fn record(tx: &mut Tx<'_>, place: Place, new: NewEntry, recorded_by: &str) -> Result<Entry> {
    new.check(tx.now)?;
    let Place { workspace, project } = place;
    let created_at = new.created_at.unwrap_or(tx.now.truncated());
    let (recorded_at, seq) = (tx.now.truncated(), tx.next_seq(Log::Activity));
    let redacted = new.metadata.names().to_vec();
    let entry = Entry {
        id: Ulid::of(recorded_at, tx.salt, seq),
        user_id: new.user_id,
        action: new.action,
        target_type: new.target_type,
        target_id: new.target_id,
        metadata: new.metadata,
        ip_address: new.ip_address,
        user_agent: new.user_agent,
        created_at,
        project_id: project.map(|(_, id)| id),
        actor: new.actor,
        recorded_at,
        seq,
        recorded_by: Some(recorded_by.to_owned()),
        redacted,
    };
    let action = tx.text(&entry.action)?;
    let mut number = |text: &Option<String>| text.as_deref().map(|text| tx.text(text)).transpose();
    let (user, actor) = (number(&entry.user_id)?, number(&entry.actor)?);
    let (target_type, user_agent) = (number(&entry.target_type)?, number(&entry.user_agent)?);
    let recorded_by = number(&entry.recorded_by)?;
    tx.prepare_cached(
        "INSERT INTO activity (seq, workspace, project, user_id, actor, action, target_type, target_id, metadata,
             ip_address, user_agent, created_at, recorded_at, recorded_by, redacted, salt)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, randomblob(16))",
    )?
    .execute((
        entry.seq,
        workspace,
        project.map(|(key, _)| key),
        user,
        actor,
        action,
        target_type,
        entry.target_id.as_deref().map(id_value),
        entry.metadata.as_str(),
        entry.ip_address.as_deref().map(address_value),
        user_agent,
        entry.created_at,
        Some(entry.recorded_at).filter(|at| *at != entry.created_at),
        recorded_by,
        entry.metadata.names_column(),
    ))?;
    for series in series(project.map_or(-workspace, |(key, _)| key), action, user) {
        tx.count(series, created_at, 1);
    }
    Ok(entry)
}

/// Removes up to `limit` of an owner's activities from before `cutoff`, oldest first; says how many. They were kept
/// `days`.
pub fn prune(tx: &mut Tx<'_>, owner: i64, days: i64, cutoff: Timestamp, limit: i64) -> Result<usize> {
    let mut why = json!({ "log": "activity", "days": days, "before": cutoff });
    match owner {
        ..0 => why["workspace"] = json!(workspaces::id_of(tx, -owner)?),
        0.. => why["project"] = json!(projects::id_of(tx, owner)?),
    }
    let numbers = tx
        .prepare_cached(
            "SELECT seq FROM activity WHERE owner = ?1 AND created_at < ?2 AND seq <= ?4 ORDER BY created_at, seq LIMIT ?3",
        )?
        .query_map((owner, cutoff, limit, tx.removable()), |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<i64>>>()?;
    remove(tx, why, &numbers)
}

/// Which of these activities are a workspace's, whether each is kept by a legal hold, and whether it is an act of a
/// caller that mailtrail noted: all that it notes is one but the failed logins of accounts that it does not know.
pub fn erasable(connection: &Connection, workspace: i64, numbers: &[i64]) -> Result<Erasable> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        let own = format!("'{}'", OWN_ACTIONS.join("', '"));
        format!(
            "SELECT seq, EXISTS (SELECT 1 FROM projects WHERE id = project AND hold = 1)
                     OR EXISTS (SELECT 1 FROM workspaces WHERE id = ?2 AND hold = 1),
                 EXISTS (SELECT 1 FROM texts WHERE id = action AND text IN ({own})
                         AND NOT (text = 'auth.login_failed' AND target_id IS NULL))
             FROM activity WHERE seq IN (SELECT value FROM json_each(?1)) AND workspace = ?2"
        )
    });
    Erasable::of(connection, &SQL, workspace, numbers)
}

/// How many of these activities are of which action.
pub fn kinds(connection: &Connection, numbers: &[i64]) -> Result<Kinds> {
    let mut statement = connection.prepare_cached(
        "SELECT (SELECT text FROM texts WHERE texts.id = action), count(*) FROM activity
         WHERE seq IN (SELECT value FROM json_each(?1)) GROUP BY action",
    )?;
    let kinds = statement.query_map([numbers_as_json(numbers)], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(kinds.collect::<rusqlite::Result<_>>()?)
}

/// Removes the activities with these numbers, and records why; says how many there were.
pub fn remove(tx: &mut Tx<'_>, why: Json, numbers: &[i64]) -> Result<usize> {
    tx.prune(Log::Activity, why, |tx| {
        let removed = tx
            .prepare_cached(
                "DELETE FROM activity WHERE seq IN (SELECT value FROM json_each(?1))
                 RETURNING seq, owner, action, user_id, created_at",
            )?
            .query_map([numbers_as_json(numbers)], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
            })?
            .collect::<rusqlite::Result<Vec<(i64, i64, i64, Option<i64>, Timestamp)>>>()?;
        for &(_, owner, action, user, created_at) in &removed {
            for series in series(owner, action, user) {
                tx.count(series, created_at, -1);
            }
        }
        Ok((removed.len(), removed.iter().map(|(seq, ..)| *seq).collect()))
    })
}

/// Which of these texts no activity names whose number is above `after`.
pub fn unnamed(connection: &Connection, texts: &[i64], after: i64) -> Result<Vec<i64>> {
    let mut statement = connection.prepare_cached(
        "SELECT value FROM json_each(?1) EXCEPT
         SELECT text FROM (SELECT user_id AS text FROM activity WHERE seq > ?2
             UNION SELECT actor FROM activity WHERE seq > ?2 UNION SELECT action FROM activity WHERE seq > ?2
             UNION SELECT target_type FROM activity WHERE seq > ?2 UNION SELECT user_agent FROM activity WHERE seq > ?2
             UNION SELECT recorded_by FROM activity WHERE seq > ?2)",
    )?;
    let found = statement.query_map((numbers_as_json(texts), after), |row| row.get(0))?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

/// Whether retention would take anything of an owner.
pub fn has_prunable(connection: &Connection, owner: i64, cutoff: Timestamp) -> Result<bool> {
    Ok(connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM activity WHERE owner = ?1 AND created_at < ?2)")?
        .query_row((owner, cutoff), |row| row.get(0))?)
}

/// How many activities of an owner retention would take.
pub fn count_prunable(connection: &Connection, owner: i64, cutoff: Timestamp) -> Result<i64> {
    Ok(connection
        .prepare_cached("SELECT count(*) FROM activity WHERE owner = ?1 AND created_at < ?2")?
        .query_row((owner, cutoff), |row| row.get(0))?)
}

/// Every owner that retention may prune: projects, deleted or not, and the workspaces themselves.
pub fn prunable_owners(connection: &Connection) -> Result<Vec<i64>> {
    let mut statement = connection.prepare_cached(
        "SELECT id FROM projects WHERE hold = 0 UNION ALL SELECT -id FROM workspaces ORDER BY 1",
    )?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
}

/// Whether an owner is on legal hold.
pub fn is_on_hold(connection: &Connection, owner: i64) -> Result<bool> {
    if owner < 0 {
        workspaces::is_on_hold(connection, -owner)
    } else {
        projects::is_on_hold(connection, owner)
    }
}

/// Tells every row to a recount.
pub fn recount(connection: &Connection, recount: &mut Recount) -> Result<()> {
    let mut statement = connection.prepare("SELECT owner, action, user_id, created_at FROM activity")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        for series in series(row.get(0)?, row.get(1)?, row.get(2)?) {
            recount.add(series, row.get(3)?);
        }
    }
    Ok(())
}
