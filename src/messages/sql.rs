//! The SQL of the message log. `record` and `append` are the one door in, `prune` the one way out.

use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};
use serde_json::{Value, json};

use super::{Entry, Kind, NewEntry, NewFact, Outcome, TextProblem, Verdict, fold, n_tokens};
use crate::app::{MOST_AHEAD, check_not_ahead};
use crate::error::{Error, Result, Subject};
use crate::ids::hex;
use crate::mask::quoted;
use crate::owners::mailboxes::{self, Mailbox};
use crate::owners::workspaces;
use crate::store::counts::{Log, Recount, Series};
use crate::store::{Erasable, Kinds, Tx, clock_steps, numbers_as_json, texts};
use crate::time::Timestamp;
use crate::tlog::rows::{Column, Rows};

const COLUMNS: &str = "seq, mailbox, message_id, thread_id, sender_address, recipient_address, received_at, outcome,
     reason, dkim, spf, dmarc, from_alignment, body_hash, message_hash, capabilities, policy_version, fingerprint,
     text_problem, recorded_at, (SELECT text FROM texts WHERE texts.id = recorded_by) AS recorded_by";

impl Entry {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let verdict =
            |name| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(name)?.and_then(Verdict::from_number));
        let hash =
            |name| Ok::<_, rusqlite::Error>(row.get::<_, Option<[u8; 32]>>(name)?.map(|hash| hex(&hash)));
        let capabilities: Option<String> = row.get("capabilities")?;
        Ok(Self {
            id: row.get("seq")?,
            message_id: row.get("message_id")?,
            thread_id: row.get("thread_id")?,
            sender_address: row.get("sender_address")?,
            recipient_address: row.get("recipient_address")?,
            received_at: row.get("received_at")?,
            outcome: Outcome::from_number(row.get("outcome")?).unwrap_or(Outcome::Delivered),
            reason: row.get("reason")?,
            verification_dkim: verdict("dkim")?,
            verification_spf: verdict("spf")?,
            verification_dmarc: verdict("dmarc")?,
            from_alignment: row.get("from_alignment")?,
            body_hash: hash("body_hash")?,
            capabilities_granted: capabilities.and_then(|text| serde_json::from_str(&text).ok()),
            tools_used: None,
            tokens_consumed: None,
            reply_sent: None,
            mailbox_id: row.get("mailbox")?,
            message_hash: hash("message_hash")?,
            policy_version: row.get("policy_version")?,
            recorded_at: row.get("recorded_at")?,
            appended: Vec::new(),
            recorded_by: row.get("recorded_by")?,
            text_problem: row.get::<_, Option<i64>>("text_problem")?.and_then(TextProblem::from_number),
            fingerprint: row.get("fingerprint")?,
        })
    }
}

/// What a list asks for.
#[derive(Debug, Clone)]
pub struct Filter {
    pub mailbox: i64,
    pub message_id: Option<String>,
    pub thread_id: Option<String>,
    pub outcome: Option<Outcome>,
    pub sender_address: Option<String>,
    pub recipient_address: Option<String>,
    pub reason: Option<String>,
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
    pub newest_first: bool,
}

/// Up to `limit` entries after `cursor`, folded. The order is by id: newest first, or oldest first.
///
/// It walks one index in the order of ids, named here: SQLite keeps no statistics, and without them takes an outcome
/// for as rare as a sender, and sorts all that was received since `from` to find a page of it.
pub fn list(connection: &Connection, filter: &Filter, cursor: Option<i64>, limit: i64) -> Result<Vec<Entry>> {
    let mut sql = format!("SELECT {COLUMNS} FROM messages INDEXED BY {} WHERE mailbox = ?", filter.index());
    let mut values = vec![Sql::from(filter.mailbox)];
    let texts = [
        (" AND message_id = ?", &filter.message_id),
        (" AND sender_address COLLATE NOCASE = ?", &filter.sender_address),
        (" AND recipient_address COLLATE NOCASE = ?", &filter.recipient_address),
        (" AND reason = ?", &filter.reason),
    ];
    for (condition, value) in texts {
        if let Some(value) = value {
            sql.push_str(condition);
            values.push(value.clone().into());
        }
    }
    if let Some(outcome) = filter.outcome {
        sql.push_str(" AND outcome = ?");
        values.push((outcome as i64).into());
    }
    if let Some(thread) = &filter.thread_id {
        // Known at first, or learnt later.
        sql.push_str(
            " AND seq IN (SELECT seq FROM messages WHERE mailbox = ? AND thread_id = ?
                          UNION ALL SELECT message FROM message_facts WHERE mailbox = ? AND kind = 1 AND data = ?)",
        );
        let quoted = Value::from(thread.as_str()).to_string();
        values.extend([filter.mailbox.into(), thread.clone().into(), filter.mailbox.into(), quoted.into()]);
    }
    for (condition, bound) in [(" AND +received_at >= ?", filter.from), (" AND +received_at < ?", filter.to)]
    {
        if let Some(bound) = bound {
            sql.push_str(condition);
            values.push(bound.micros().into());
        }
    }
    let (first, end) = stretch(connection, filter, cursor)?;
    for (condition, bound) in [(" AND seq >= ?", first), (" AND seq < ?", end)] {
        if let Some(bound) = bound {
            sql.push_str(condition);
            values.push(bound.into());
        }
    }
    let direction = if filter.newest_first { "DESC" } else { "ASC" };
    sql.push_str(&format!(" ORDER BY seq {direction} LIMIT ?"));
    values.push(limit.into());
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params_from_iter(values), Entry::from_row)?;
    rows.map(|entry| with_facts(connection, entry?)).collect()
}

impl Filter {
    /// The index that leads to the rarest, all of them in the order of ids.
    fn index(&self) -> &'static str {
        if self.message_id.is_some() {
            "messages_message"
        } else if self.thread_id.is_some() {
            "messages_mailbox"
        } else if self.sender_address.is_some() {
            "messages_sender"
        } else if self.reason.is_some() {
            "messages_reason"
        } else if self.outcome.is_some() {
            "messages_outcome"
        } else if self.recipient_address.is_some() {
            "messages_recipient"
        } else {
            "messages_mailbox"
        }
    }
}

/// The ids to walk: from the first (inclusive) to the end (exclusive). Without it a list of the last day that is not
/// full would look through years for more.
fn stretch(
    connection: &Connection,
    filter: &Filter,
    cursor: Option<i64>,
) -> Result<(Option<i64>, Option<i64>)> {
    let (mut first, mut end) = match (filter.newest_first, cursor) {
        (true, cursor) => (None, cursor),
        (false, cursor) => (cursor.map(|cursor| cursor.saturating_add(1)), None),
    };
    if filter.message_id.is_some() || filter.thread_id.is_some() {
        return Ok((first, end));
    }
    if let Some(from) = filter.from {
        first = first.max(Some(first_since(connection, filter.mailbox, from)?));
        if let (true, None, Some(to)) = (filter.newest_first, end, filter.to) {
            // Over what the index holds between the two alone.
            let last: Option<i64> = connection
                .prepare_cached(
                    "SELECT max(seq) FROM messages INDEXED BY messages_received
                     WHERE mailbox = ?1 AND received_at >= ?2 AND received_at < ?3",
                )?
                .query_row((filter.mailbox, from, to), |row| row.get(0))?;
            end = Some(last.unwrap_or(0).saturating_add(1));
        }
    }
    Ok((first, end))
}

/// An id below which nothing was received at `from` or later. Found in few steps: entries are recorded in the order
/// of ids, at times that only rise between two steps of the clock, and none is received much later than it is
/// recorded.
fn first_since(connection: &Connection, mailbox: i64, from: Timestamp) -> Result<i64> {
    // One second more, since `recorded_at` is whole seconds.
    let earliest = from.plus_seconds(-(MOST_AHEAD + 1));
    let last: Option<i64> = connection
        .prepare_cached("SELECT max(seq) FROM messages WHERE mailbox = ?1")?
        .query_row([mailbox], |row| row.get(0))?;
    let last = last.unwrap_or(0);
    let mut recorded_at = connection.prepare_cached(
        "SELECT seq, recorded_at FROM messages WHERE mailbox = ?1 AND seq >= ?2 AND seq < ?3 ORDER BY seq LIMIT 1",
    )?;
    let ends = clock_steps::ends_before(connection, last)?.into_iter().chain([last]);
    let mut first = 0;
    for stretch_end in ends.map(|seq| seq.saturating_add(1)) {
        let mut end = stretch_end;
        while first < end {
            let middle = first + (end - first) / 2;
            let found = recorded_at
                .query_row((mailbox, middle, end), |row| {
                    Ok((row.get::<_, i64>(0)?, row.get::<_, Timestamp>(1)?))
                })
                .optional()?;
            match found {
                Some((seq, at)) if at < earliest => first = seq.saturating_add(1),
                _ => end = middle,
            }
        }
        if first < stretch_end {
            break;
        }
    }
    Ok(first)
}

/// The entry of a message, folded.
pub fn find(connection: &Connection, mailbox: i64, message_id: &str) -> Result<Option<Entry>> {
    let found = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM messages WHERE mailbox = ?1 AND message_id = ?2"))?
        .query_row((mailbox, message_id), Entry::from_row)
        .optional()?;
    found.map(|entry| with_facts(connection, entry)).transpose()
}

/// The number of an entry's row, and those of the facts that came later, in order. Empty for an unknown message.
pub fn numbers_of(connection: &Connection, mailbox: i64, message_id: &str) -> Result<Vec<i64>> {
    let entry = connection
        .prepare_cached("SELECT seq FROM messages WHERE mailbox = ?1 AND message_id = ?2")?
        .query_row((mailbox, message_id), |row| row.get(0))
        .optional()?;
    with_numbers_of_facts(connection, entry.into_iter())
}

/// Numbers of entries, each with those of its facts behind it.
pub fn with_numbers_of_facts(
    connection: &Connection,
    entries: impl Iterator<Item = i64>,
) -> Result<Vec<i64>> {
    let mut facts =
        connection.prepare_cached("SELECT seq FROM message_facts WHERE message = ?1 ORDER BY seq")?;
    let mut numbers = Vec::new();
    for entry in entries {
        numbers.push(entry);
        for fact in facts.query_map([entry], |row| row.get(0))? {
            numbers.push(fact?);
        }
    }
    Ok(numbers)
}

fn with_facts(connection: &Connection, mut entry: Entry) -> Result<Entry> {
    let mut statement = connection.prepare_cached(
        "SELECT kind, data, recorded_at, (SELECT text FROM texts WHERE texts.id = recorded_by)
         FROM message_facts WHERE message = ?1 ORDER BY seq",
    )?;
    let mut rows = statement.query([entry.id])?;
    while let Some(row) = rows.next()? {
        let (kind, data): (i64, String) = (row.get(0)?, row.get(1)?);
        let Some(kind) = Kind::from_number(kind) else { continue };
        let data = serde_json::from_str(&data).unwrap_or_default();
        fold(&mut entry, kind, data, (row.get(2)?, row.get(3)?));
    }
    Ok(entry)
}

const fn verdict(name: &'static str) -> Column {
    Column::Word(name, |number| Verdict::from_number(number).map(Verdict::as_str))
}

/// The log's rows as leaves of the tree.
pub const ROWS: Rows = Rows {
    log: "messages",
    table: "messages",
    columns: &[
        Column::Owner("workspace", workspaces::id_of),
        Column::Value("mailbox"),
        Column::Value("message_id"),
        Column::Value("thread_id"),
        Column::Value("sender_address"),
        Column::Value("recipient_address"),
        Column::Value("received_at"),
        Column::Word("outcome", |number| Outcome::from_number(number).map(Outcome::as_str)),
        Column::Value("reason"),
        verdict("dkim"),
        verdict("spf"),
        verdict("dmarc"),
        Column::Value("from_alignment"),
        Column::Value("body_hash"),
        Column::Value("message_hash"),
        Column::Value("capabilities"),
        Column::Value("policy_version"),
        Column::Value("sender_rule"),
        Column::Value("fingerprint"),
        Column::Value("recorded_at"),
    ],
    added: &[
        (6, Column::Text("recorded_by", texts::of)),
        (6, Column::Word("text_problem", |number| TextProblem::from_number(number).map(TextProblem::as_str))),
    ],
};

/// What came later, each a leaf of its own.
pub const FACTS: Rows = Rows {
    log: "message_facts",
    table: "message_facts",
    columns: &[
        Column::Value("message"),
        Column::Value("mailbox"),
        Column::Word("kind", |number| Kind::from_number(number).map(Kind::as_str)),
        Column::Value("data"),
        Column::Value("recorded_at"),
    ],
    added: &[(6, Column::Text("recorded_by", texts::of))],
};

/// An entry, and whether it was made now or stood already.
pub struct Recorded {
    pub entry: Entry,
    pub is_new: bool,
}

/// Records one message: the row, its facts, its counts, its number, and that it was `recorded_by` this caller. The same
/// message again gives the entry that stands.
///
/// # Errors
/// `Conflict` when the mailbox has another entry for this message id. Two raw messages with one Message-ID are two
/// messages (anybody may write any Message-ID): the second is told apart by its hash.
pub fn record(tx: &mut Tx<'_>, mailbox: &Mailbox, mut new: NewEntry, recorded_by: &str) -> Result<Recorded> {
    if let Some(standing) = find(tx, mailbox.id, &new.message_id)? {
        if standing.fingerprint == new.fingerprint {
            return Ok(Recorded { entry: standing, is_new: false });
        }
        match (&standing.message_hash, new.message_hash) {
            (Some(stored), Some(hash)) if *stored != hex(&hash) => {
                new.message_id = format!("{}#{}", new.message_id, &hex(&hash)[..16]);
                if let Some(standing) = find(tx, mailbox.id, &new.message_id)? {
                    return same_or_conflict(standing, &new);
                }
            }
            _ => return same_or_conflict(standing, &new),
        }
    }
    insert(tx, mailbox, new, recorded_by)
}

fn same_or_conflict(standing: Entry, new: &NewEntry) -> Result<Recorded> {
    if standing.fingerprint == new.fingerprint {
        return Ok(Recorded { entry: standing, is_new: false });
    }
    Err(Error::conflict(
        "message_recorded_differently",
        format!(
            "the message {} is recorded already (entry {}), with other content",
            quoted(&new.message_id),
            standing.id
        ),
    ))
}

fn insert(tx: &mut Tx<'_>, mailbox: &Mailbox, new: NewEntry, recorded_by: &str) -> Result<Recorded> {
    let outcome = new.outcome.ok_or_else(|| Error::Internal("an entry without an outcome".into()))?;
    let mut received_at = new.received_at.unwrap_or(tx.now.truncated());
    match check_not_ahead("received_at", received_at, tx.now) {
        // A raw message has arrived, whatever clock its last server had: refusing it would lose it.
        Err(_) if new.message_hash.is_some() => received_at = tx.now.truncated(),
        checked => checked?,
    }
    let thread_id = match new.thread_id {
        Some(thread) => Some(thread),
        None => thread_of(tx, mailbox.id, &new.references)?,
    };
    let recipient = new.recipient_address.unwrap_or_else(|| mailbox.primary_smtp.clone());
    let seq = tx.next_seq(Log::Messages);
    let by = tx.text(recorded_by)?;
    tx.prepare_cached(
        "INSERT INTO messages (seq, workspace, mailbox, message_id, thread_id, sender_address, recipient_address,
             received_at, outcome, reason, dkim, spf, dmarc, from_alignment, body_hash, message_hash, capabilities,
             policy_version, sender_rule, fingerprint, recorded_at, recorded_by, text_problem, salt)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22,
             ?23, randomblob(16))",
    )?
    .execute(rusqlite::params![
        seq,
        mailbox.workspace,
        mailbox.id,
        &new.message_id,
        thread_id,
        new.sender_address,
        recipient,
        received_at,
        outcome as i64,
        new.reason,
        new.dkim.map(|verdict| verdict as i64),
        new.spf.map(|verdict| verdict as i64),
        new.dmarc.map(|verdict| verdict as i64),
        new.from_alignment,
        new.body_hash.filter(|_| mailbox.include_body_hash),
        new.message_hash,
        new.capabilities.as_ref().map(Value::to_string),
        new.policy_version,
        new.sender_rule,
        &new.fingerprint[..],
        tx.now.truncated(),
        by,
        new.text_problem.map(|problem| problem as i64),
    ])?;
    for series in series(mailbox.id, outcome) {
        tx.count(series, received_at, 1);
    }
    for fact in &new.facts {
        insert_fact(tx, (mailbox.id, seq), fact, by)?;
    }
    let entry = find(tx, mailbox.id, &new.message_id)?;
    let entry = entry.ok_or_else(|| Error::Internal("a new entry is not there".into()))?;
    Ok(Recorded { entry, is_new: true })
}

fn of_mailbox(mailbox: i64) -> Series {
    Series::of(Log::Messages, mailbox)
}

fn series(mailbox: i64, outcome: Outcome) -> [Series; 2] {
    let mailbox = of_mailbox(mailbox);
    [mailbox.of_kind(outcome as i64), mailbox]
}

/// The own time of the entry that was recorded first of all that are still there.
pub fn oldest(connection: &Connection) -> Result<Option<Timestamp>> {
    Ok(connection
        .prepare_cached("SELECT received_at FROM messages ORDER BY seq LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?)
}

/// How many entries a mailbox has.
pub fn total(connection: &Connection, mailbox: i64) -> Result<i64> {
    of_mailbox(mailbox).total(connection)
}

/// The thread of the nearest known message that this one answers; else the first reference names it.
fn thread_of(connection: &Connection, mailbox: i64, references: &[String]) -> Result<Option<String>> {
    for reference in references.iter().rev().take(50) {
        if let Some(thread) = find(connection, mailbox, reference)?.and_then(|entry| entry.thread_id) {
            return Ok(Some(thread));
        }
    }
    Ok(references.first().cloned())
}

/// Appends what came later; the thread once.
///
/// # Errors
/// `NotFound` for an unknown message, `Conflict` for a second, different thread.
pub fn append(
    tx: &mut Tx<'_>,
    mailbox: i64,
    message_id: &str,
    facts: &[NewFact],
    recorded_by: &str,
) -> Result<Entry> {
    let entry = find(tx, mailbox, message_id)?.ok_or(Error::NotFound(Subject::Message))?;
    let by = tx.text(recorded_by)?;
    for fact in facts {
        if let (Kind::Thread, Some(known)) = (fact.0, &entry.thread_id) {
            if fact.1.as_str() == Some(known) {
                continue;
            }
            let message = format!(
                "the message is in the thread {} already; nothing recorded is overwritten",
                quoted(known)
            );
            return Err(Error::conflict("thread_known", message));
        }
        insert_fact(tx, (mailbox, entry.id), fact, by)?;
    }
    find(tx, mailbox, message_id)?.ok_or(Error::NotFound(Subject::Message))
}

fn insert_fact(
    tx: &mut Tx<'_>,
    (mailbox, message): (i64, i64),
    (kind, data): &NewFact,
    recorded_by: i64,
) -> Result<()> {
    let seq = tx.next_seq(Log::Messages);
    tx.prepare_cached(
        "INSERT INTO message_facts (seq, message, mailbox, kind, data, recorded_at, recorded_by, salt)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, randomblob(16))",
    )?
    .execute((
        seq,
        message,
        mailbox,
        *kind as i64,
        data.to_string(),
        tx.now.truncated(),
        recorded_by,
    ))?;
    Ok(())
}

/// From after one instant to another. There may be rows later than now: those of a time when the clock was wrong.
type Window = (Timestamp, Timestamp);

/// How many messages a sender rule let through.
pub fn n_delivered_of_rule(
    connection: &Connection,
    mailbox: i64,
    rule: i64,
    (since, now): Window,
) -> Result<i64> {
    Ok(connection
        .prepare_cached(
            "SELECT count(*) FROM messages
             WHERE mailbox = ?1 AND sender_rule = ?2 AND recorded_at > ?3 AND recorded_at <= ?4 AND outcome = 1
               AND sender_rule IS NOT NULL",
        )?
        .query_row((mailbox, rule, since, now), |row| row.get(0))?)
}

/// How many tokens were reported for the messages a sender rule let through.
pub fn n_tokens_of_rule(
    connection: &Connection,
    mailbox: i64,
    rule: i64,
    (since, now): Window,
) -> Result<i64> {
    let mut statement = connection.prepare_cached(
        "SELECT message_facts.data FROM messages JOIN message_facts ON message_facts.message = messages.seq
         WHERE messages.mailbox = ?1 AND messages.sender_rule = ?2 AND messages.recorded_at > ?3
           AND messages.recorded_at <= ?4 AND messages.outcome = 1 AND messages.sender_rule IS NOT NULL AND message_facts.kind = 5",
    )?;
    let reports = statement.query_map((mailbox, rule, since, now), |row| row.get::<_, String>(0))?;
    add_reports(reports)
}

/// How many tokens were reported for the messages of a thread.
pub fn n_tokens_of_thread(connection: &Connection, mailbox: i64, thread: &str) -> Result<i64> {
    let mut statement = connection.prepare_cached(
        "SELECT data FROM message_facts WHERE kind = 5 AND message IN
             (SELECT seq FROM messages WHERE mailbox = ?1 AND thread_id = ?2
              UNION ALL SELECT message FROM message_facts WHERE mailbox = ?1 AND kind = 1 AND data = ?3)",
    )?;
    let quoted = Value::from(thread).to_string();
    let reports = statement.query_map((mailbox, thread, quoted), |row| row.get::<_, String>(0))?;
    add_reports(reports)
}

fn add_reports(reports: impl Iterator<Item = rusqlite::Result<String>>) -> Result<i64> {
    let mut total = 0_i64;
    for report in reports {
        total =
            total.saturating_add(serde_json::from_str(&report?).map_or(0, |report: Value| n_tokens(&report)));
    }
    Ok(total)
}

/// The thread a new message would join.
pub fn thread_for(connection: &Connection, mailbox: i64, new: &NewEntry) -> Result<Option<String>> {
    match &new.thread_id {
        Some(thread) => Ok(Some(thread.clone())),
        None => thread_of(connection, mailbox, &new.references),
    }
}

/// Removes up to `limit` of a mailbox's entries received before `cutoff`, oldest first, with their facts; says how
/// many rows. They were kept `days`, as the policy of that version or a setting says.
pub fn prune(tx: &mut Tx<'_>, mailbox: i64, days: i64, cutoff: Timestamp, limit: i64) -> Result<usize> {
    let version = mailboxes::policy_version(tx, mailbox)?;
    let why = json!({
        "log": "messages", "mailbox": mailbox, "policy_version": version, "days": days, "before": cutoff,
    });
    let entries = tx
        .prepare_cached(
            "SELECT seq FROM messages WHERE mailbox = ?1 AND received_at < ?2 ORDER BY received_at, seq LIMIT ?3",
        )?
        .query_map((mailbox, cutoff, limit), |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<i64>>>()?;
    remove(tx, why, &entries)?;
    Ok(entries.len())
}

/// Which of these entries, of their facts, and of these facts are a workspace's, and whether each is kept by a legal
/// hold.
pub fn erasable(connection: &Connection, workspace: i64, numbers: &[i64]) -> Result<Erasable> {
    Erasable::of(
        connection,
        "WITH given AS (SELECT value AS seq FROM json_each(?1)),
             found (seq, mailbox) AS
                 (SELECT seq, mailbox FROM messages WHERE seq IN given
                  UNION ALL SELECT seq, mailbox FROM message_facts WHERE seq IN given OR message IN given)
         SELECT found.seq, mailboxes.hold = 1 OR coalesce(tenants.hold, 0) = 1
             OR EXISTS (SELECT 1 FROM workspaces WHERE id = ?2 AND hold = 1)
         FROM found JOIN mailboxes ON mailboxes.id = found.mailbox LEFT JOIN tenants ON tenants.id = mailboxes.tenant
         WHERE mailboxes.workspace = ?2",
        workspace,
        numbers,
    )
}

/// Removes the entries with these numbers, their facts, and the facts with these numbers, and records why; says how
/// many rows there were.
pub fn remove(tx: &mut Tx<'_>, why: Value, numbers: &[i64]) -> Result<usize> {
    tx.prune(Log::Messages, why, |tx| {
        let given = numbers_as_json(numbers);
        let mut seqs = tx
            .prepare_cached(
                "DELETE FROM message_facts WHERE message IN (SELECT value FROM json_each(?1))
                     OR seq IN (SELECT value FROM json_each(?1)) RETURNING seq",
            )?
            .query_map([&given], |row| row.get(0))?
            .collect::<rusqlite::Result<Vec<i64>>>()?;
        let removed = tx
            .prepare_cached(
                "DELETE FROM messages WHERE seq IN (SELECT value FROM json_each(?1))
                 RETURNING seq, mailbox, outcome, received_at",
            )?
            .query_map([&given], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
            .collect::<rusqlite::Result<Vec<(i64, i64, i64, Timestamp)>>>()?;
        for (seq, mailbox, outcome, received_at) in removed {
            seqs.push(seq);
            let outcome = Outcome::from_number(outcome).unwrap_or(Outcome::Delivered);
            for series in series(mailbox, outcome) {
                tx.count(series, received_at, -1);
            }
        }
        Ok((seqs.len(), seqs))
    })
}

/// How many of these entries are of which outcome, and how many of these facts of which kind.
pub fn kinds(connection: &Connection, numbers: &[i64]) -> Result<Kinds> {
    let mut statement = connection.prepare_cached(
        "SELECT 0, outcome, count(*) FROM messages WHERE seq IN (SELECT value FROM json_each(?1)) GROUP BY outcome
         UNION ALL
         SELECT 1, kind, count(*) FROM message_facts WHERE seq IN (SELECT value FROM json_each(?1)) GROUP BY kind",
    )?;
    let kinds = statement.query_map([numbers_as_json(numbers)], |row| {
        let word = match row.get(0)? {
            true => Kind::from_number(row.get(1)?).map_or("", Kind::as_str),
            false => Outcome::from_number(row.get(1)?).map_or("", Outcome::as_str),
        };
        Ok((word.to_owned(), row.get(2)?))
    })?;
    Ok(kinds.collect::<rusqlite::Result<_>>()?)
}

/// Which of these texts no entry and no fact names whose number is above `after`.
pub fn unnamed(connection: &Connection, texts: &[i64], after: i64) -> Result<Vec<i64>> {
    let mut statement = connection.prepare_cached(
        "SELECT value FROM json_each(?1) EXCEPT SELECT recorded_by FROM messages WHERE seq > ?2
         EXCEPT SELECT recorded_by FROM message_facts WHERE seq > ?2",
    )?;
    let found = statement.query_map((numbers_as_json(texts), after), |row| row.get(0))?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

/// Whether retention would take anything of a mailbox.
pub fn has_prunable(connection: &Connection, mailbox: i64, cutoff: Timestamp) -> Result<bool> {
    Ok(connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM messages WHERE mailbox = ?1 AND received_at < ?2)")?
        .query_row((mailbox, cutoff), |row| row.get(0))?)
}

/// How many entries of a mailbox retention would take.
pub fn count_prunable(connection: &Connection, mailbox: i64, cutoff: Timestamp) -> Result<i64> {
    Ok(connection
        .prepare_cached("SELECT count(*) FROM messages WHERE mailbox = ?1 AND received_at < ?2")?
        .query_row((mailbox, cutoff), |row| row.get(0))?)
}

/// Tells every row to a recount.
pub fn recount(connection: &Connection, recount: &mut Recount) -> Result<()> {
    let mut statement = connection.prepare("SELECT mailbox, outcome, received_at FROM messages")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let outcome = Outcome::from_number(row.get(1)?).unwrap_or(Outcome::Delivered);
        for series in series(row.get(0)?, outcome) {
            recount.add(series, row.get(2)?);
        }
    }
    Ok(())
}
