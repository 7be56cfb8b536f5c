//! The SQL of the enforcement log. `record` is the one door in, `prune` the one way out.

use rusqlite::types::Value as SqlValue;
use rusqlite::{Connection, OptionalExtension, Row};
use serde_json::{Value, json};

use super::{Action, Event, NewEvent, sentence};
use crate::canonical::{self, has_one_spelling, other_form, unbracketed};
use crate::error::Result;
use crate::ids::Uuid;
use crate::imports::{Identity, Line};
use crate::owners::{tenants, workspaces};
use crate::store::counts::{Log, Recount, Series};
use crate::store::listing::{Equal, Index, Listing};
use crate::store::{Erasable, Kinds, Tx, clock_steps, numbers_as_json, texts};
use crate::time::Timestamp;
use crate::tlog::rows::{Column, Rows};

/// What `Event::from_row` reads.
const COLUMNS: &str =
    "seq, id, (SELECT uuid FROM tenants WHERE tenants.id = tenant) AS tenant_id, mailbox_address,
                  action, sent_count, limit_value, message, created_at,
                  coalesce(recorded_at, created_at) AS recorded_at,
                  (SELECT text FROM texts WHERE texts.id = recorded_by) AS recorded_by";

impl Event {
    pub fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let action = Action::from_number(row.get("action")?).unwrap_or(Action::Unblocked);
        let (sent_count, limit_value) = (row.get("sent_count")?, row.get("limit_value")?);
        let message: Option<String> = row.get("message")?;
        Ok(Self {
            id: row.get("id")?,
            tenant_id: row.get("tenant_id")?,
            mailbox_address: row.get("mailbox_address")?,
            action_taken: action,
            sent_count,
            limit_value,
            message: message.unwrap_or_else(|| sentence(action, sent_count, limit_value)),
            created_at: row.get("created_at")?,
            recorded_at: row.get("recorded_at")?,
            seq: row.get("seq")?,
            recorded_by: row.get("recorded_by")?,
        })
    }
}

/// The log's rows as leaves of the tree.
pub const ROWS: Rows = Rows {
    log: "enforcement",
    table: "enforcement_events",
    columns: &[
        Column::Value("id"),
        Column::Owner("workspace", workspaces::id_of),
        Column::Owner("tenant", tenants::id_of),
        Column::Value("mailbox_address"),
        Column::Word("action", |number| Action::from_number(number).map(Action::as_str)),
        Column::Value("sent_count"),
        Column::Value("limit_value"),
        Column::Value("message"),
        Column::Value("created_at"),
        Column::Value("recorded_at"),
    ],
    added: &[(6, Column::Text("recorded_by", texts::of))],
};

/// What a list asks for, besides time and order.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub workspace: i64,
    /// The tenant's key, not its UUID.
    pub tenant: Option<i64>,
    pub action: Option<Action>,
    pub mailbox_address: Option<String>,
}

impl Filter {
    /// With a `+` for each blank in an address that no event has as it is given: nobody had encoded it.
    pub fn in_stored_form(mut self, connection: &Connection) -> Result<Self> {
        if let Some(address) = self.mailbox_address.as_mut().filter(|address| address.contains(' '))
            && !has_address(connection, self.workspace, address)?
        {
            *address = address.replace(' ', "+");
        }
        Ok(self)
    }
}

/// The list, of an address however it was written (`canonical`), also in the angle brackets that an older version took. No
/// index leads to several forms in the order of time; so where there may be several, the rows of the owner are looked
/// through.
pub fn listing(
    connection: &Connection,
    filter: &Filter,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    newest_first: bool,
) -> Result<Listing> {
    let has_several = match &filter.mailbox_address {
        Some(address) => {
            !has_one_spelling(address) || has_address(connection, filter.workspace, &other_form(address))?
        }
        None => false,
    };
    let forms = if has_several { Forms::Any } else { Forms::One };
    Ok(list(filter, (from, to), newest_first, forms))
}

/// Whether any event of a workspace has this address, as it is written but for case.
fn has_address(connection: &Connection, workspace: i64, address: &str) -> Result<bool> {
    Ok(connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM enforcement_events INDEXED BY enforcement_mailbox
                 WHERE workspace = ?1 AND mailbox_address COLLATE NOCASE = ?2)",
        )?
        .query_row((workspace, address), |row| row.get(0))?)
}

/// In which forms an address that is looked for is stored.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Forms {
    One,
    Any,
}

fn list(
    filter: &Filter,
    (from, to): (Option<Timestamp>, Option<Timestamp>),
    newest_first: bool,
    forms: Forms,
) -> Listing {
    // Another workspace's tenant was refused before: `tenant` alone says enough.
    let (owner, key, series) = match filter.tenant {
        Some(tenant) => ("tenant", tenant, of_tenant(tenant)),
        None => ("workspace", filter.workspace, of_workspace(filter.workspace)),
    };
    let by_mailbox = filter.mailbox_address.is_some() && forms == Forms::One;
    let mut equals = Vec::new();
    if let Some(action) = filter.action {
        let value = SqlValue::from(action as i64);
        equals.push(Equal { condition: "action = ", value, is_indexed: !by_mailbox });
    }
    if let Some(address) = &filter.mailbox_address {
        let (condition, value) = match forms {
            Forms::One => ("mailbox_address COLLATE NOCASE = ", address.clone()),
            Forms::Any => ("one_form(mailbox_address) = ", canonical::address(unbracketed(address))),
        };
        equals.push(Equal { condition, value: SqlValue::from(value), is_indexed: by_mailbox });
        if by_mailbox && filter.tenant.is_some() {
            let value = SqlValue::from(filter.workspace);
            equals.push(Equal { condition: "workspace = ", value, is_indexed: true });
        }
    }
    let index = match (by_mailbox, filter.tenant, filter.action) {
        (true, _, _) => "enforcement_mailbox",
        (false, Some(_), Some(_)) => "enforcement_tenant_action",
        (false, Some(_), None) => "enforcement_tenant",
        (false, None, Some(_)) => "enforcement_workspace_action",
        (false, None, None) => "enforcement_workspace",
    };
    let counted = match (filter.action, &filter.mailbox_address) {
        (_, Some(_)) => None,
        (None, None) => Some(vec![series]),
        (Some(action), None) => Some(vec![series.of_kind(action as i64)]),
    };
    Listing {
        table: "enforcement_events",
        index: Index::ByTime(index),
        owner,
        owners: vec![key],
        is_owner_indexed: !(by_mailbox && filter.tenant.is_some()),
        columns: COLUMNS,
        equals,
        counted,
        from,
        to,
        newest_first,
    }
}

fn of_workspace(workspace: i64) -> Series {
    Series::of(Log::Enforcement, -workspace)
}

fn of_tenant(tenant: i64) -> Series {
    Series::of(Log::Enforcement, tenant)
}

fn series(workspace: i64, tenant: i64, action: i64) -> [Series; 4] {
    let (workspace, tenant) = (of_workspace(workspace), of_tenant(tenant));
    [workspace.of_kind(action), tenant.of_kind(action), workspace, tenant]
}

/// The own time of the event that was recorded first of all that are still there.
pub fn oldest(connection: &Connection) -> Result<Option<Timestamp>> {
    Ok(connection
        .prepare_cached("SELECT created_at FROM enforcement_events ORDER BY seq LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?)
}

/// How many events a workspace has.
pub fn total(connection: &Connection, workspace: i64) -> Result<i64> {
    of_workspace(workspace).total(connection)
}

/// The event with this number; `None` when it is gone.
pub fn find(connection: &Connection, number: i64) -> Result<Option<Event>> {
    Ok(connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM enforcement_events WHERE seq = ?1"))?
        .query_row([number], Event::from_row)
        .optional()?)
}

/// Records one event: the row, its counts, its number. `tenant` is the key of `new.tenant_id`, which the caller
/// found in the workspace; `recorded_by` says who that is.
pub fn record(
    tx: &mut Tx<'_>,
    workspace: i64,
    tenant: i64,
    new: &NewEvent,
    recorded_by: &str,
) -> Result<Event> {
    new.check(tx.now)?;
    let created_at = new.created_at.unwrap_or(tx.now.truncated());
    let usual = sentence(new.action, new.sent_count, new.limit_value);
    let message = new.message.as_deref().filter(|message| *message != usual);
    let event = Event {
        id: Uuid::at(tx.now),
        tenant_id: new.tenant_id,
        mailbox_address: new.mailbox_address.clone(),
        action_taken: new.action,
        sent_count: new.sent_count,
        limit_value: new.limit_value,
        message: message.unwrap_or(&usual).to_owned(),
        created_at,
        recorded_at: tx.now.truncated(),
        seq: tx.next_seq(Log::Enforcement),
        recorded_by: Some(recorded_by.to_owned()),
    };
    let recorded_by = tx.text(recorded_by)?;
    tx.prepare_cached(
        "INSERT INTO enforcement_events (seq, id, workspace, tenant, mailbox_address, action, sent_count, limit_value,
             message, created_at, recorded_at, recorded_by, salt)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, randomblob(16))",
    )?
    .execute((
        event.seq,
        event.id,
        workspace,
        tenant,
        &event.mailbox_address,
        new.action as i64,
        event.sent_count,
        event.limit_value,
        message,
        event.created_at,
        Some(event.recorded_at).filter(|at| *at != event.created_at),
        recorded_by,
    ))?;
    for series in series(workspace, tenant, new.action as i64) {
        tx.count(series, created_at, 1);
    }
    Ok(event)
}

/// The number that an imported line says, if that is its event.
pub fn same(connection: &Connection, workspace: i64, line: &Line<NewEvent>) -> Result<Option<i64>> {
    let Some(number) = line.place.number else { return Ok(None) };
    let found = connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM enforcement_events WHERE seq = ?1 AND workspace = ?2"
        ))?
        .query_row((number, workspace), Event::from_row)
        .optional()?;
    let is_dated = line.row.created_at.is_some();
    Ok(found.filter(|event| event.identity(is_dated) == line.identity).map(|event| event.seq))
}

/// Tells the events that an imported one may be: of its mailbox and time, or, where it has no time, those that had none
/// either. Their numbers are after the first of two and up to the second, and they are at most so many.
pub fn each_like(
    connection: &Connection,
    workspace: i64,
    new: &NewEvent,
    ((after, through), most): ((i64, i64), usize),
    tell: &mut dyn FnMut(i64, Identity),
) -> Result<()> {
    let of_time = match new.created_at {
        Some(_) => "created_at = ?5",
        // Their time is that of their recording, which rises with their numbers.
        None => {
            "recorded_at IS NULL AND ?5 IS NULL AND created_at >=
                 coalesce((SELECT coalesce(recorded_at, created_at) FROM enforcement_events
                           WHERE seq <= ?3 ORDER BY seq DESC LIMIT 1), 0)"
        }
    };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM enforcement_events INDEXED BY enforcement_mailbox
         WHERE workspace = ?1 AND mailbox_address COLLATE NOCASE = ?2 AND seq > ?3 AND seq <= ?4 AND {of_time}
         ORDER BY created_at, seq LIMIT ?6"
    ))?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut rows =
        statement.query((workspace, &new.mailbox_address, after, through, new.created_at, most))?;
    while let Some(row) = rows.next()? {
        let event = Event::from_row(row)?;
        tell(event.seq, event.identity(new.created_at.is_some()));
    }
    Ok(())
}

/// Tells the events of a workspace after the first of two numbers and up to the second, as `each_like` does: one without a
/// time of its own also as what it is without it.
pub fn each_since(
    connection: &Connection,
    workspace: i64,
    (after, through): (i64, i64),
    tell: &mut dyn FnMut(i64, Identity),
) -> Result<()> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS}, recorded_at IS NULL AS is_undated FROM enforcement_events
         WHERE seq > ?1 AND seq <= ?2 AND workspace = ?3 ORDER BY seq"
    ))?;
    let mut rows = statement.query((after, through, workspace))?;
    while let Some(row) = rows.next()? {
        let event = Event::from_row(row)?;
        tell(event.seq, event.identity(true));
        if row.get("is_undated")? {
            tell(event.seq, event.identity(false));
        }
    }
    Ok(())
}

/// The number of a workspace's event. Ids have no index: one of ours begins with the millisecond in which its row was
/// recorded, and between two steps of the clock numbers rise with that time.
pub fn number_of(connection: &Connection, workspace: i64, id: Uuid) -> Result<Option<i64>> {
    let second = Timestamp::from_seconds(id.millis() / 1000);
    let last: Option<i64> = connection
        .prepare_cached("SELECT max(seq) FROM enforcement_events")?
        .query_row([], |row| row.get(0))?;
    let mut start = 1;
    for end in clock_steps::ends_before(connection, i64::MAX)?.into_iter().chain(last) {
        let from = first_since(connection, (start, end), second)?;
        let to = first_since(connection, (from, end), second.plus_seconds(1))?;
        let found = connection
            .prepare_cached(
                "SELECT seq FROM enforcement_events WHERE seq >= ?1 AND seq < ?2 AND id = ?3 AND workspace = ?4",
            )?
            .query_row((from, to, id, workspace), |row| row.get(0))
            .optional()?;
        if found.is_some() {
            return Ok(found);
        }
        start = end + 1;
    }
    Ok(None)
}

/// The first number from which on no event up to `end` was recorded before `at`; times rise between `first` and `end`.
fn first_since(connection: &Connection, (mut first, end): (i64, i64), at: Timestamp) -> Result<i64> {
    let mut next = connection.prepare_cached(
        "SELECT seq, coalesce(recorded_at, created_at) < ?3 FROM enforcement_events WHERE seq BETWEEN ?1 AND ?2
         ORDER BY seq LIMIT 1",
    )?;
    let mut after = end + 1;
    while first < after {
        let middle = first + (after - first) / 2;
        match next.query_row((middle, end, at), |row| Ok((row.get::<_, i64>(0)?, row.get(1)?))).optional()? {
            Some((seq, true)) => first = seq + 1,
            Some((_, false)) | None => after = middle,
        }
    }
    Ok(first)
}

/// What retention would take of a tenant: not what belongs to a mailbox on hold, however its address is written.
const PRUNABLE: &str = "tenant = ?1 AND created_at < ?2 AND one_form(mailbox_address) NOT IN
     (SELECT one_form(address) FROM mailboxes
      WHERE hold = 1 AND workspace = (SELECT workspace FROM tenants WHERE id = ?1))";

/// Removes up to `limit` of a tenant's events from before `cutoff`, oldest first; says how many. They were kept `days`.
pub fn prune(tx: &mut Tx<'_>, tenant: i64, days: i64, cutoff: Timestamp, limit: i64) -> Result<usize> {
    let id = tenants::id_of(tx, tenant)?;
    let why = json!({ "log": "enforcement", "tenant": id, "days": days, "before": cutoff });
    let numbers = tx
        .prepare_cached(&format!(
            "SELECT seq FROM enforcement_events WHERE {PRUNABLE} AND seq <= ?4 ORDER BY created_at, seq LIMIT ?3"
        ))?
        .query_map((tenant, cutoff, limit, tx.removable()), |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<i64>>>()?;
    remove(tx, why, &numbers)
}

/// Which of these events are a workspace's, and whether each is kept by a legal hold.
pub fn erasable(connection: &Connection, workspace: i64, numbers: &[i64]) -> Result<Erasable> {
    Erasable::of(
        connection,
        "SELECT seq, EXISTS (SELECT 1 FROM tenants WHERE id = tenant AND hold = 1)
             OR EXISTS (SELECT 1 FROM workspaces WHERE id = ?2 AND hold = 1)
             OR EXISTS (SELECT 1 FROM mailboxes WHERE mailboxes.workspace = enforcement_events.workspace AND hold = 1
                        AND one_form(address) = one_form(mailbox_address))
         FROM enforcement_events WHERE seq IN (SELECT value FROM json_each(?1)) AND workspace = ?2",
        workspace,
        numbers,
    )
}

/// Removes the events with these numbers, and records why; says how many there were.
pub fn remove(tx: &mut Tx<'_>, why: Value, numbers: &[i64]) -> Result<usize> {
    tx.prune(Log::Enforcement, why, |tx| {
        let removed = tx
            .prepare_cached(
                "DELETE FROM enforcement_events WHERE seq IN (SELECT value FROM json_each(?1))
                 RETURNING seq, workspace, tenant, action, created_at",
            )?
            .query_map([numbers_as_json(numbers)], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
            })?
            .collect::<rusqlite::Result<Vec<(i64, i64, i64, i64, Timestamp)>>>()?;
        for &(_, workspace, tenant, action, created_at) in &removed {
            for series in series(workspace, tenant, action) {
                tx.count(series, created_at, -1);
            }
        }
        Ok((removed.len(), removed.iter().map(|(seq, ..)| *seq).collect()))
    })
}

/// How many of these events are of which action.
pub fn kinds(connection: &Connection, numbers: &[i64]) -> Result<Kinds> {
    let mut statement = connection.prepare_cached(
        "SELECT action, count(*) FROM enforcement_events WHERE seq IN (SELECT value FROM json_each(?1)) GROUP BY action",
    )?;
    let kinds = statement.query_map([numbers_as_json(numbers)], |row| {
        Ok((Action::from_number(row.get(0)?).map_or("", Action::as_str).to_owned(), row.get(1)?))
    })?;
    Ok(kinds.collect::<rusqlite::Result<_>>()?)
}

/// Which of these texts no event names whose number is above `after`.
pub fn unnamed(connection: &Connection, texts: &[i64], after: i64) -> Result<Vec<i64>> {
    let mut statement = connection.prepare_cached(
        "SELECT value FROM json_each(?1) EXCEPT SELECT recorded_by FROM enforcement_events WHERE seq > ?2",
    )?;
    let found = statement.query_map((numbers_as_json(texts), after), |row| row.get(0))?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

/// Whether retention would take anything of a tenant.
pub fn has_prunable(connection: &Connection, tenant: i64, cutoff: Timestamp) -> Result<bool> {
    Ok(connection
        .prepare_cached(&format!("SELECT EXISTS (SELECT 1 FROM enforcement_events WHERE {PRUNABLE})"))?
        .query_row((tenant, cutoff), |row| row.get(0))?)
}

/// How many events of a tenant retention would take.
pub fn count_prunable(connection: &Connection, tenant: i64, cutoff: Timestamp) -> Result<i64> {
    Ok(connection
        .prepare_cached(&format!("SELECT count(*) FROM enforcement_events WHERE {PRUNABLE}"))?
        .query_row((tenant, cutoff), |row| row.get(0))?)
}

/// The tenants that retention may prune: not on hold.
pub fn prunable_tenants(connection: &Connection) -> Result<Vec<i64>> {
    let mut statement = connection.prepare_cached("SELECT id FROM tenants WHERE hold = 0 ORDER BY id")?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
}

/// Tells every row to a recount.
pub fn recount(connection: &Connection, recount: &mut Recount) -> Result<()> {
    let mut statement =
        connection.prepare("SELECT workspace, tenant, action, created_at FROM enforcement_events")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        for series in series(row.get(0)?, row.get(1)?, row.get(2)?) {
            recount.add(series, row.get(3)?);
        }
    }
    Ok(())
}
