//! The SQL of the message log. `record` and `append` are the one door in, `prune` the one way out.

use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};
use serde_json::{Value, json};

use super::shown::{Appended, Entry, Fold, Raw, ReceivedAt, raw};
use super::{
    Kind, LARGEST_SUM, MOST_BYTES, MOST_FACTS, MOST_LATE_REPORTS, NewEntry, NewFact, Outcome, TextProblem,
    Verdict, in_order, n_tokens, sum,
};
use crate::app::{MOST_AHEAD, check_not_ahead};
use crate::canonical::{self, has_one_spelling, other_form, unbracketed};
use crate::error::{Error, Result, Subject};
use crate::ids::hex;
use crate::mask::quoted;
use crate::owners::mailboxes::{self, Mailbox};
use crate::owners::workspaces;
use crate::store::counts::{Log, Recount, Series};
use crate::store::following::{After, Followed};
use crate::store::{Erasable, Kinds, Tx, clock_steps, numbers_as_json, texts};
use crate::time::Timestamp;
use crate::tlog::rows::{Column, Rows};

const COLUMNS: &str = "seq, mailbox, message_id, thread_id, sender_address, recipient_address, received_at, outcome,
     reason, dkim, spf, dmarc, from_alignment, body_hash, message_hash, capabilities, policy_version, text_problem,
     recorded_at, (SELECT text FROM texts WHERE texts.id = recorded_by) AS recorded_by";

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
            received_at: ReceivedAt::seconds(row.get("received_at")?),
            outcome: Outcome::from_number(row.get("outcome")?).unwrap_or(Outcome::Delivered),
            reason: row.get("reason")?,
            verification_dkim: verdict("dkim")?,
            verification_spf: verdict("spf")?,
            verification_dmarc: verdict("dmarc")?,
            from_alignment: row.get("from_alignment")?,
            body_hash: hash("body_hash")?,
            capabilities_granted: capabilities.map(raw),
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
            seq: row.get("seq")?,
            appended_omitted: None,
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

/// The numbers of up to `limit` entries after `cursor`. The order is by id: newest first, or oldest first.
///
/// It walks one index in the order of ids, named here: SQLite keeps no statistics, and without them takes an outcome
/// for as rare as a sender, and sorts all that was received since `from` to find a page of it.
pub fn list(connection: &Connection, filter: &Filter, cursor: Option<i64>, limit: i64) -> Result<Vec<i64>> {
    let index = filter.index(connection)?;
    let (indexed, others) = filter.conditions(index);
    let mut select = Select::of(filter, index, "seq");
    select.add(indexed);
    select.add(others);
    select.within(stretch(connection, filter, cursor)?);
    let (sql, values) = select.in_order(filter, limit);
    let mut statement = connection.prepare_cached(&sql)?;
    Ok(statement.query_map(params_from_iter(values), |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
}

/// Walks the list from after an entry on, among those up to number `last`: at most `most` that are meant, having looked
/// at so many and no more, whatever is meant of them. Returns those, and from after which it goes on; `None` when it is
/// at its end.
pub fn walk(
    connection: &Connection,
    filter: &Filter,
    after: Option<i64>,
    last: i64,
    (most, most_looked_at): (usize, i64),
) -> Result<(Vec<i64>, Option<i64>)> {
    let index = filter.index(connection)?;
    let (indexed, (looked_for, looked_for_values)) = filter.conditions(index);
    let looked_for = if looked_for.is_empty() { "1".to_owned() } else { looked_for.join(" AND ") };
    let mut select = Select::of(filter, index, &format!("seq, {looked_for}"));
    select.values.splice(0..0, looked_for_values);
    select.add(indexed);
    let (first, end) = stretch(connection, filter, after)?;
    select.within((first, Some(end.map_or(last.saturating_add(1), |end| end.min(last.saturating_add(1))))));
    let (sql, values) = select.in_order(filter, most_looked_at);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let (mut meant, mut n_looked_at) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        n_looked_at += 1;
        let seq = row.get(0)?;
        if row.get::<_, Option<bool>>(1)? == Some(true) {
            meant.push(seq);
        }
        if meant.len() == most || n_looked_at == most_looked_at {
            return Ok((meant, Some(seq)));
        }
    }
    Ok((meant, None))
}

/// Walks what was recorded behind a number, in the order of recording: entries, and facts, each of which brings its entry.
/// `is_meant` is asked of an entry and its mailbox.
pub fn follow(
    connection: &Connection,
    after: &After,
    mut is_meant: impl FnMut(i64, i64) -> Result<bool>,
) -> Result<Followed> {
    // An outer join: a place that is passed over in here would not count as looked at.
    let mut statement = connection.prepare_cached(
        "SELECT place.number, place.entry, messages.mailbox
         FROM (SELECT seq AS number, seq AS entry FROM messages WHERE seq > ?1
               UNION ALL SELECT seq, message FROM message_facts WHERE seq > ?1 ORDER BY 1 LIMIT ?2) AS place
         LEFT JOIN messages ON messages.seq = place.entry",
    )?;
    let mut rows = statement.query((after.number, after.most_looked_at))?;
    after.collect(|| {
        let Some(row) = rows.next()? else { return Ok(None) };
        let place: (i64, i64) = (row.get(0)?, row.get(1)?);
        let mailbox: Option<i64> = row.get(2)?;
        let is_meant = mailbox.map_or(Ok(false), |mailbox| is_meant(place.1, mailbox))?;
        Ok(Some((place, is_meant)))
    })
}

/// Up to `limit` entries of whatever mailbox, each with its mailbox, by their ids: after one, up to number `last`.
pub fn of_any(
    connection: &Connection,
    newest_first: bool,
    (after, last): (Option<i64>, i64),
    limit: i64,
) -> Result<Vec<(i64, i64)>> {
    let sql = match newest_first {
        true => "SELECT seq, mailbox FROM messages WHERE seq < ?1 AND seq <= ?2 ORDER BY seq DESC LIMIT ?3",
        false => "SELECT seq, mailbox FROM messages WHERE seq > ?1 AND seq <= ?2 ORDER BY seq ASC LIMIT ?3",
    };
    let after = after.unwrap_or(if newest_first { i64::MAX } else { 0 });
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map((after, last, limit), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Whether a filter means this entry of its mailbox. `thread` is that of the filter, which has none itself: it would look
/// for all of the thread.
pub fn is_meant(connection: &Connection, filter: &Filter, thread: Option<&str>, entry: i64) -> Result<bool> {
    let ((indexed, values), (others, more)) = filter.conditions("");
    let mut sql = "SELECT 1 FROM messages WHERE seq = ?".to_owned();
    for condition in indexed.into_iter().chain(others) {
        sql.push_str(" AND ");
        sql.push_str(condition);
    }
    let mut bound = vec![Sql::from(entry)];
    bound.extend(values.into_iter().chain(more));
    if let Some(thread) = thread {
        sql.push_str(
            " AND (thread_id IN (?, ?) OR EXISTS (SELECT 1 FROM message_facts
                   WHERE message = messages.seq AND kind = 1 AND data IN (?, ?)))",
        );
        let forms = [thread.to_owned(), other_form(thread)];
        bound.extend(forms.clone().map(Sql::from));
        bound.extend(forms.map(|form| Sql::from(Value::from(form).to_string())));
    }
    Ok(connection.prepare_cached(&sql)?.exists(params_from_iter(bound))?)
}

/// Conditions, and what is bound to them.
type Conditions = (Vec<&'static str>, Vec<Sql>);

/// A statement on the mailbox's entries, in the making.
struct Select {
    sql: String,
    values: Vec<Sql>,
}

impl Select {
    fn of(filter: &Filter, index: &str, columns: &str) -> Self {
        let sql = format!("SELECT {columns} FROM messages INDEXED BY {index} WHERE mailbox = ?");
        Self { sql, values: vec![Sql::from(filter.mailbox)] }
    }

    fn add(&mut self, (conditions, values): Conditions) {
        for condition in conditions {
            self.sql.push_str(" AND ");
            self.sql.push_str(condition);
        }
        self.values.extend(values);
    }

    fn within(&mut self, (first, end): (Option<i64>, Option<i64>)) {
        for (condition, bound) in [(" AND seq >= ?", first), (" AND seq < ?", end)] {
            if let Some(bound) = bound {
                self.sql.push_str(condition);
                self.values.push(bound.into());
            }
        }
    }

    fn in_order(mut self, filter: &Filter, limit: i64) -> (String, Vec<Sql>) {
        let direction = if filter.newest_first { "DESC" } else { "ASC" };
        self.sql.push_str(&format!(" ORDER BY seq {direction} LIMIT ?"));
        self.values.push(limit.into());
        (self.sql, self.values)
    }
}

impl Filter {
    /// With a `+` for each blank in an id or an address that no entry has as it is given: nobody had encoded it.
    pub fn in_stored_form(mut self, connection: &Connection) -> Result<Self> {
        let mailbox = self.mailbox;
        let is_there = |sql: &str, text: &str| {
            let quoted = Value::from(text).to_string();
            let mut statement = connection.prepare_cached(sql)?;
            Ok::<_, Error>(match statement.parameter_count() {
                3 => statement.exists((mailbox, text, quoted))?,
                _ => statement.exists((mailbox, text))?,
            })
        };
        for (text, sql) in [
            (&mut self.message_id, "SELECT 1 FROM messages WHERE mailbox = ? AND message_id = ?"),
            (
                &mut self.thread_id,
                "SELECT 1 FROM messages WHERE mailbox = ?1 AND thread_id = ?2
                 UNION ALL SELECT 1 FROM message_facts WHERE mailbox = ?1 AND kind = 1 AND data = ?3",
            ),
            (&mut self.sender_address, HAS_SENDER),
            (&mut self.recipient_address, HAS_RECIPIENT),
        ] {
            if let Some(text) = text.as_mut().filter(|text| text.contains(' '))
                && !is_there(sql, text)?
            {
                *text = text.replace(' ', "+");
            }
        }
        Ok(self)
    }

    /// Whether it means not just all.
    pub fn has_conditions(&self) -> bool {
        let ((indexed, _), (others, _)) = self.conditions("");
        !indexed.is_empty() || !others.is_empty()
    }

    /// What the index leads to, and what is looked for among that.
    fn conditions(&self, index: &str) -> (Conditions, Conditions) {
        let (mut indexed, mut others): (Conditions, Conditions) = Default::default();
        let mut add = |of: &str, condition, value: Option<Sql>| {
            if let Some(value) = value {
                let (conditions, values) = if of == index { &mut indexed } else { &mut others };
                conditions.push(condition);
                values.push(value);
            }
        };
        let text = |text: &Option<String>| text.clone().map(Sql::from);
        for (of, as_stored, in_any_form, address) in [
            (
                "messages_sender",
                "sender_address COLLATE NOCASE = ?",
                "one_form(sender_address) = ?",
                &self.sender_address,
            ),
            (
                "messages_recipient",
                "recipient_address COLLATE NOCASE = ?",
                "one_form(recipient_address) = ?",
                &self.recipient_address,
            ),
        ] {
            match index == of {
                true => add(of, as_stored, text(address)),
                false => {
                    let address = address.as_deref().map(|address| canonical::address(unbracketed(address)));
                    add(of, in_any_form, address.map(Sql::from));
                }
            }
        }
        add("messages_reason", "reason = ?", text(&self.reason));
        add("messages_outcome", "outcome = ?", self.outcome.map(|outcome| (outcome as i64).into()));
        add("", "+received_at >= ?", self.from.map(|from| from.micros().into()));
        add("", "+received_at < ?", self.to.map(|to| to.micros().into()));
        if let Some(message) = &self.message_id {
            // As it is given, else as an older version may have stored it.
            indexed.0.push(
                "message_id = coalesce((SELECT message_id FROM messages WHERE mailbox = ? AND message_id = ?), ?)",
            );
            let other = other_form(message);
            indexed.1.extend([Sql::from(self.mailbox), message.clone().into(), other.into()]);
        }
        if let Some(thread) = &self.thread_id {
            // Known at first, or learnt later.
            indexed.0.push(
                "seq IN (SELECT seq FROM messages WHERE mailbox = ? AND thread_id IN (?, ?)
                         UNION ALL SELECT message FROM message_facts WHERE mailbox = ? AND kind = 1 AND data IN (?, ?))",
            );
            let mailbox = Sql::from(self.mailbox);
            let [thread, other] = [thread.clone(), other_form(thread)];
            let quoted = |text: &str| Sql::from(Value::from(text).to_string());
            let quoted = [quoted(&thread), quoted(&other)];
            indexed.1.extend([mailbox.clone(), thread.into(), other.into(), mailbox]);
            indexed.1.extend(quoted);
        }
        (indexed, others)
    }

    /// The index that leads to the rarest, all of them in the order of ids. None leads in that order to an address that is
    /// written in several ways, also where an older version stored some in angle brackets.
    fn index(&self, connection: &Connection) -> Result<&'static str> {
        Ok(if self.message_id.is_some() {
            "messages_message"
        } else if self.thread_id.is_some() {
            "messages_mailbox"
        } else if let Some(sender) = &self.sender_address
            && !self.has_several(connection, HAS_SENDER, sender)?
        {
            "messages_sender"
        } else if self.reason.is_some() {
            "messages_reason"
        } else if self.outcome.is_some() {
            "messages_outcome"
        } else if let Some(recipient) = &self.recipient_address
            && !self.has_several(connection, HAS_RECIPIENT, recipient)?
        {
            "messages_recipient"
        } else {
            "messages_mailbox"
        })
    }

    fn has_several(&self, connection: &Connection, sql: &str, address: &str) -> Result<bool> {
        if !has_one_spelling(address) {
            return Ok(true);
        }
        let mut statement = connection.prepare_cached(sql)?;
        Ok(statement.exists((self.mailbox, other_form(address)))?)
    }
}

const HAS_SENDER: &str = "SELECT seq FROM messages INDEXED BY messages_sender
     WHERE mailbox = ? AND sender_address COLLATE NOCASE = ? ORDER BY seq DESC LIMIT 1";
const HAS_RECIPIENT: &str = "SELECT seq FROM messages INDEXED BY messages_recipient
     WHERE mailbox = ? AND recipient_address COLLATE NOCASE = ? ORDER BY seq DESC LIMIT 1";

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
    match standing(connection, mailbox, message_id)? {
        Some(standing) => entry(connection, standing.number, i64::MAX),
        None => Ok(None),
    }
}

/// The entry with this number, folded with the facts up to number `last`; `None` when it is gone.
pub fn entry(connection: &Connection, number: i64, last: i64) -> Result<Option<Entry>> {
    let found = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM messages WHERE seq = ?1"))?
        .query_row([number], Entry::from_row)
        .optional()?;
    found.map(|entry| with_facts(connection, entry, last)).transpose()
}

/// How many of these entries are there.
pub fn count_there(connection: &Connection, numbers: &[i64]) -> Result<i64> {
    Ok(connection
        .prepare_cached("SELECT count(*) FROM messages WHERE seq IN (SELECT value FROM json_each(?1))")?
        .query_row([numbers_as_json(numbers)], |row| row.get(0))?)
}

/// What tells a recorded message from another.
struct Standing {
    number: i64,
    /// Whether an older version stored its id in angle brackets.
    is_bracketed: bool,
    outcome: Outcome,
    fingerprint: [u8; 32],
    message_hash: Option<[u8; 32]>,
}

/// The entry of a message by its id, as it is given, else in the form in which an older version may have stored it.
const BY_MESSAGE_ID: &str = "mailbox = ?1 AND message_id =
     coalesce((SELECT message_id FROM messages WHERE mailbox = ?1 AND message_id = ?2), ?3)";

fn standing(connection: &Connection, mailbox: i64, message_id: &str) -> Result<Option<Standing>> {
    Ok(connection
        .prepare_cached(&format!(
            "SELECT seq, outcome, fingerprint, message_hash, message_id FROM messages WHERE {BY_MESSAGE_ID}"
        ))?
        .query_row((mailbox, message_id, other_form(message_id)), |row| {
            let stored: String = row.get(4)?;
            Ok(Standing {
                number: row.get(0)?,
                is_bracketed: unbracketed(&stored) != stored,
                outcome: Outcome::from_number(row.get(1)?).unwrap_or(Outcome::Delivered),
                fingerprint: row.get(2)?,
                message_hash: row.get(3)?,
            })
        })
        .optional()?)
}

/// The thread of a message, as known at first or learnt later.
fn known_thread(connection: &Connection, message: i64) -> Result<Option<String>> {
    let found: Option<(Option<String>, Option<String>)> = connection
        .prepare_cached(
            "SELECT thread_id, (SELECT data FROM message_facts WHERE message = messages.seq AND kind = 1)
             FROM messages WHERE seq = ?1",
        )?
        .query_row([message], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((first, later)) = found else { return Ok(None) };
    Ok(later.and_then(|quoted| serde_json::from_str(&quoted).ok()).or(first))
}

/// The number of an entry's row, and those of the facts that came later, in order. Empty for an unknown message.
pub fn numbers_of(connection: &Connection, mailbox: i64, message_id: &str) -> Result<Vec<i64>> {
    let entry = connection
        .prepare_cached(&format!("SELECT seq FROM messages WHERE {BY_MESSAGE_ID}"))?
        .query_row((mailbox, message_id, other_form(message_id)), |row| row.get(0))
        .optional()?;
    let entries: Vec<i64> = entry.into_iter().collect();
    Ok(with_numbers_of_facts(connection, &entries, i64::MAX)?.0)
}

/// Numbers of entries, each with those of its facts up to number `last` behind it; of the first few entries, once these
/// are enough. Says of how many.
pub fn with_numbers_of_facts(
    connection: &Connection,
    entries: &[i64],
    last: i64,
) -> Result<(Vec<i64>, usize)> {
    const ENOUGH: usize = 256;
    let mut facts = connection
        .prepare_cached("SELECT seq FROM message_facts WHERE message = ?1 AND seq <= ?2 ORDER BY seq")?;
    let (mut numbers, mut n_entries) = (Vec::new(), 0);
    for entry in entries {
        if numbers.len() >= ENOUGH {
            break;
        }
        numbers.push(*entry);
        for fact in facts.query_map([*entry, last], |row| row.get(0))? {
            numbers.push(fact?);
        }
        n_entries += 1;
    }
    Ok((numbers, n_entries))
}

const FACT: &str =
    "kind, data, recorded_at, (SELECT text FROM texts WHERE texts.id = recorded_by) AS recorded_by,
     place, sum";

/// Folds the facts up to number `last` into an entry: the first ones, and what there is of those that came when it was
/// full (`FULL`).
fn with_facts(connection: &Connection, mut entry: Entry, last: i64) -> Result<Entry> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {FACT} FROM message_facts WHERE message = ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3"
    ))?;
    let mut rows = statement.query((entry.id, last, MOST_FACTS + 1))?;
    let (mut fold, mut n_bytes, mut full) = (Fold::default(), 0, None);
    while let Some(row) = rows.next()? {
        let place: Option<i64> = row.get("place")?;
        n_bytes += row.get_ref("data")?.as_bytes().map_or(0, <[u8]>::len) as i64;
        let is_late = match place {
            Some(place) => place > FULL,
            // Of before there was a bound.
            None => n_bytes > MOST_BYTES || entry.appended.len() as i64 == MOST_FACTS,
        };
        if is_late {
            full = Some(place);
            break;
        }
        show_fact(&mut entry, &mut fold, row)?;
    }
    if let Some(place) = full {
        with_late_facts(connection, &mut entry, &mut fold, (last, place.is_some()))?;
    }
    fold.finish(&mut entry);
    let latest: Option<i64> = connection
        .prepare_cached("SELECT max(seq) FROM message_facts WHERE message = ?1 AND seq <= ?2")?
        .query_row((entry.id, last), |row| row.get(0))?;
    entry.seq = latest.unwrap_or(entry.id);
    Ok(entry)
}

fn show_fact(entry: &mut Entry, fold: &mut Fold, row: &Row<'_>) -> Result<()> {
    let Some(kind) = Kind::from_number(row.get("kind")?) else { return Ok(()) };
    let data = raw(row.get("data")?);
    fold.add(kind, &data, known_sum(row, &data)?);
    let (recorded_at, recorded_by) = (row.get("recorded_at")?, row.get("recorded_by")?);
    entry.appended.push(Appended { kind, data, recorded_at, recorded_by });
    Ok(())
}

/// The sum that a report of tokens carries on; `None`: it was recorded before they did.
fn known_sum(row: &Row<'_>, data: &Raw) -> Result<Option<Raw>> {
    let (place, sum): (Option<i64>, Option<String>) = (row.get("place")?, row.get("sum")?);
    Ok(place.map(|_| sum.map_or_else(|| data.clone(), raw)))
}

/// Of what came when the entry was full: its thread, a reply and a bounce are shown, reports of tokens are in the sum.
fn with_late_facts(
    connection: &Connection,
    entry: &mut Entry,
    fold: &mut Fold,
    (last, are_numbered): (i64, bool),
) -> Result<()> {
    let n_early = entry.appended.len() as i64;
    let mut statement = connection.prepare_cached(&format!(
        "SELECT seq, {FACT} FROM message_facts
         WHERE message = ?1 AND kind = ?2 AND place > 1000 AND seq <= ?3 ORDER BY seq DESC LIMIT 1"
    ))?;
    let mut late = Vec::new();
    for kind in [Kind::Thread, Kind::Reply, Kind::Bounce] {
        let mut rows = statement.query((entry.id, kind as i64, last))?;
        if let Some(row) = rows.next()? {
            let mut shown = Fold::default();
            let n = entry.appended.len();
            show_fact(entry, &mut shown, row)?;
            late.push((row.get::<_, i64>("seq")?, entry.appended.split_off(n)));
        }
    }
    late.sort_by_key(|(seq, _)| *seq);
    for appended in late.into_iter().flat_map(|(_, appended)| appended) {
        fold.add(appended.kind, &appended.data, None);
        entry.appended.push(appended);
    }
    let mut rows = statement.query((entry.id, Kind::Tokens as i64, last))?;
    if let Some(row) = rows.next()? {
        let data = raw(row.get("data")?);
        fold.add(Kind::Tokens, &data, known_sum(row, &data)?);
    }
    // Those of before there was a bound are counted up to as many as a full entry has.
    let sql = match are_numbered {
        true => "SELECT place FROM message_facts WHERE message = ?1 AND seq <= ?2 ORDER BY seq DESC LIMIT 1",
        false => {
            "SELECT count(*) FROM (SELECT 1 FROM message_facts WHERE message = ?1 AND seq <= ?2 LIMIT 10000)"
        }
    };
    let found: i64 = connection.prepare_cached(sql)?.query_row((entry.id, last), |row| row.get(0))?;
    let n_facts = if are_numbered { n_early + found - FULL } else { found };
    entry.appended_omitted = Some(n_facts - entry.appended.len() as i64).filter(|n| *n > 0);
    Ok(())
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
    added: &[
        (6, Column::Text("recorded_by", texts::of)),
        (6, Column::Value("place")),
        (6, Column::Value("bytes")),
        (6, Column::Value("tokens")),
        (6, Column::Value("sum")),
    ],
};

/// The number of an entry, and whether it was made now or stood already.
pub struct Recorded {
    pub number: i64,
    pub outcome: Outcome,
    pub is_new: bool,
}

impl Recorded {
    fn standing(standing: &Standing) -> Self {
        Self { number: standing.number, outcome: standing.outcome, is_new: false }
    }
}

/// Records one message: the row, its facts, its counts, its number, and that it was `recorded_by` this caller. The same
/// message again gives the entry that stands.
///
/// # Errors
/// `Conflict` when the mailbox has another entry for this message id. Two raw messages with one Message-ID are two
/// messages (anybody may write any Message-ID): the second is told apart by its hash.
pub fn record(tx: &mut Tx<'_>, mailbox: &Mailbox, mut new: NewEntry, recorded_by: &str) -> Result<Recorded> {
    if let Some(known) = standing(tx, mailbox.id, &new.message_id)? {
        match (known.message_hash, new.message_hash) {
            _ if is_same(&known, &new) => return Ok(Recorded::standing(&known)),
            (Some(stored), Some(hash)) if stored != hash => {
                new.message_id = format!("{}#{}", new.message_id, &hex(&hash)[..16]);
                if let Some(known) = standing(tx, mailbox.id, &new.message_id)? {
                    return same_or_conflict(tx, &known, &new);
                }
            }
            _ => return same_or_conflict(tx, &known, &new),
        }
    }
    insert(tx, mailbox, new, recorded_by)
}

fn is_same(known: &Standing, new: &NewEntry) -> bool {
    known.fingerprint == new.fingerprint || new.former_fingerprints.contains(&known.fingerprint)
}

fn same_or_conflict(tx: &Tx<'_>, known: &Standing, new: &NewEntry) -> Result<Recorded> {
    // Of an id that is stored in angle brackets the fingerprint is over them: what the entry shows is compared.
    let may_be_shown = known.is_bracketed || new.is_import();
    if is_same(known, new) || may_be_shown && is_shown(tx, known, new)? {
        return Ok(Recorded::standing(known));
    }
    Err(Error::conflict(
        "message_recorded_differently",
        format!(
            "the message {} is recorded already (entry {}), with other content",
            quoted(&new.message_id),
            known.number
        ),
    ))
}

/// Whether an entry shows already what is said here of its message. Of its own export that is its row alone: what came
/// later may have been added since.
fn is_shown(connection: &Connection, known: &Standing, new: &NewEntry) -> Result<bool> {
    let Some(entry) = entry(connection, known.number, i64::MAX)? else { return Ok(false) };
    let is_text = |given: &Option<String>, shown: &Option<String>| match (given, shown) {
        (Some(given), Some(shown)) => unbracketed(given) == unbracketed(shown),
        (given, shown) => given.is_none() && shown.is_none(),
    };
    let is_json = |given: Option<&str>, shown: Option<&Raw>| match (given, shown) {
        (Some(given), Some(shown)) => in_order(given) == in_order(shown.get()),
        (given, shown) => given.is_none() && shown.is_none(),
    };
    let hash = new.body_hash.map(|hash| hex(&hash));
    let is_row = (new.thread_id.is_none() || is_text(&new.thread_id, &entry.thread_id))
        && is_text(&new.sender_address, &entry.sender_address)
        && (new.recipient_address.is_none() || is_text(&new.recipient_address, &entry.recipient_address))
        && new.received_at.is_none_or(|at| at.seconds() == entry.received_at.at.seconds())
        && new.outcome == Some(entry.outcome)
        && new.reason == entry.reason
        && [new.dkim, new.spf, new.dmarc]
            == [entry.verification_dkim, entry.verification_spf, entry.verification_dmarc]
        && new.from_alignment == entry.from_alignment
        && (hash.is_none() || entry.body_hash.is_none() || hash == entry.body_hash)
        && new.text_problem == entry.text_problem
        && is_json(new.capabilities.as_deref(), entry.capabilities_granted.as_ref());
    let number = new.imported.as_ref().and_then(|place| place.number);
    if !is_row || number == Some(known.number) {
        return Ok(is_row);
    }
    Ok(new.facts.iter().all(|(kind, data)| {
        let shown = match kind {
            Kind::Reply => entry.reply_sent.as_ref(),
            Kind::Tools => entry.tools_used.as_ref(),
            Kind::Tokens => entry.tokens_consumed.as_ref(),
            Kind::Thread | Kind::Bounce => None,
        };
        is_json(Some(data), shown)
    }))
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
        new.capabilities,
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
    let mut facts = Facts::of_new((mailbox.id, seq), by);
    for fact in &new.facts {
        facts.add(tx, fact)?;
    }
    Ok(Recorded { number: seq, outcome, is_new: true })
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
        if let Some(known) = standing(connection, mailbox, reference)?
            && let Some(thread) = known_thread(connection, known.number)?
        {
            return Ok(Some(thread));
        }
    }
    Ok(references.first().cloned())
}

/// Appends what came later; the thread once. Returns the number of the entry.
///
/// # Errors
/// `NotFound` for an unknown message, `Conflict` for a second, different thread, and for more than an entry holds.
pub fn append(
    tx: &mut Tx<'_>,
    mailbox: i64,
    message_id: &str,
    facts: &[NewFact],
    recorded_by: &str,
) -> Result<i64> {
    let known = standing(tx, mailbox, message_id)?.ok_or(Error::NotFound(Subject::Message))?;
    let by = tx.text(recorded_by)?;
    let mut so_far = Facts::of(tx, (mailbox, known.number), by)?;
    for fact in facts {
        if fact.0 == Kind::Thread
            && let Some(thread) = known_thread(tx, known.number)?
        {
            let is_same = |given: String| unbracketed(&given) == unbracketed(&thread);
            if serde_json::from_str(&fact.1).is_ok_and(is_same) {
                continue;
            }
            let message = format!(
                "the message is in the thread {} already; nothing recorded is overwritten",
                quoted(&thread)
            );
            return Err(Error::conflict("thread_known", message));
        }
        so_far.add(tx, fact)?;
    }
    Ok(known.number)
}

/// The places of facts that an entry took when it was full begin after this one; they have an index of their own, by
/// kind.
const FULL: i64 = 1000;

/// What the facts of an entry come to so far. Each fact's row carries it on, so that one more costs the same however many
/// there are: nothing is folded in a write.
struct Facts {
    mailbox: i64,
    message: i64,
    recorded_by: i64,
    place: i64,
    bytes: i64,
    tokens: i64,
    /// The sum of the reports of tokens; `None`: there is none.
    sum: Option<Value>,
}

impl Facts {
    fn of_new((mailbox, message): (i64, i64), recorded_by: i64) -> Self {
        Self { mailbox, message, recorded_by, place: 0, bytes: 0, tokens: 0, sum: None }
    }

    fn of(connection: &Connection, owner: (i64, i64), recorded_by: i64) -> Result<Self> {
        let mut facts = Self::of_new(owner, recorded_by);
        let last: Option<(Option<i64>, Option<i64>, Option<i64>)> = connection
            .prepare_cached(
                "SELECT place, bytes, tokens FROM message_facts WHERE message = ?1 ORDER BY seq DESC LIMIT 1",
            )?
            .query_row([facts.message], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        match last {
            None => {}
            Some((Some(place), bytes, tokens)) => {
                (facts.place, facts.bytes) = (place, bytes.unwrap_or_default());
                facts.tokens = tokens.unwrap_or_default();
                let report: Option<String> = connection
                    .prepare_cached(
                        "SELECT coalesce(sum, data) FROM message_facts WHERE message = ?1 AND kind = 5
                         ORDER BY seq DESC LIMIT 1",
                    )?
                    .query_row([facts.message], |row| row.get(0))
                    .optional()?;
                facts.sum = report.and_then(|report| serde_json::from_str(&report).ok());
            }
            Some((None, ..)) => facts.add_up(connection)?,
        }
        Ok(facts)
    }

    /// Of facts that were recorded before they carried it on. Where there are more than an entry holds now, it is full,
    /// for reports of tokens too.
    fn add_up(&mut self, connection: &Connection) -> Result<()> {
        let mut statement = connection.prepare_cached(
            "SELECT kind, data FROM message_facts WHERE message = ?1 ORDER BY seq LIMIT ?2",
        )?;
        let mut rows = statement.query((self.message, MOST_FACTS + 1))?;
        while let Some(row) = rows.next()? {
            let data: String = row.get(1)?;
            self.place += 1;
            self.bytes += data.len() as i64;
            if self.place > MOST_FACTS || self.bytes > MOST_BYTES {
                self.place = FULL + MOST_LATE_REPORTS;
                return Ok(());
            }
            if Kind::from_number(row.get(0)?) == Some(Kind::Tokens) {
                self.report(&serde_json::from_str(&data).unwrap_or_default());
            }
        }
        Ok(())
    }

    fn report(&mut self, data: &Value) {
        self.tokens = self.tokens.saturating_add(n_tokens(data));
        self.sum = Some(sum(self.sum.take(), data.clone()));
    }

    /// # Errors
    /// `Conflict` when the entry is full, or the sum of its reports too large.
    fn add(&mut self, tx: &mut Tx<'_>, (kind, text): &NewFact) -> Result<()> {
        let length = text.len() as i64;
        let has_room = self.place < MOST_FACTS && self.bytes + length <= MOST_BYTES;
        if !has_room && !self.is_taken_late(tx, *kind)? {
            return Err(Error::conflict(
                "too_many_facts",
                format!(
                    "{}: the entry has {} facts of {} bytes; accepted: up to {MOST_FACTS}, of {MOST_BYTES} bytes \
                     together, and after these one reply_sent, one bounce and tokens_consumed",
                    kind.as_str(),
                    if self.place > FULL { MOST_FACTS } else { self.place },
                    self.bytes
                ),
            ));
        }
        self.place = if has_room { self.place } else { self.place.max(FULL) } + 1;
        self.bytes += length;
        let mut carried = None;
        if *kind == Kind::Tokens {
            let is_first = self.sum.is_none();
            self.report(&serde_json::from_str(text).unwrap_or_default());
            carried = self.sum.as_ref().filter(|_| !is_first).map(Value::to_string);
            carried = carried.filter(|carried| carried != text);
            if let Some(length) = carried.as_ref().map(String::len).filter(|length| *length > LARGEST_SUM) {
                return Err(Error::conflict(
                    "too_many_facts",
                    format!(
                        "tokens_consumed: the reports together have {length} bytes of JSON; accepted: up to {LARGEST_SUM}"
                    ),
                ));
            }
        }
        let seq = tx.next_seq(Log::Messages);
        tx.prepare_cached(
            "INSERT INTO message_facts (seq, message, mailbox, kind, data, recorded_at, recorded_by, place, bytes,
                 tokens, sum, salt)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, randomblob(16))",
        )?
        .execute(rusqlite::params![
            seq,
            self.message,
            self.mailbox,
            *kind as i64,
            text,
            tx.now.truncated(),
            self.recorded_by,
            self.place,
            self.bytes,
            self.tokens,
            carried,
        ])?;
        Ok(())
    }

    /// Whether a full entry takes one more of this kind: its thread, which comes once; a reply and a bounce, where there
    /// is none; reports of tokens, up to a number that nobody meets by honest work.
    fn is_taken_late(&self, connection: &Connection, kind: Kind) -> Result<bool> {
        match kind {
            Kind::Thread => Ok(true),
            Kind::Tokens => Ok(self.place < FULL + MOST_LATE_REPORTS),
            Kind::Tools => Ok(false),
            Kind::Reply | Kind::Bounce => {
                let early: bool = connection
                    .prepare_cached(
                        "SELECT EXISTS (SELECT 1 FROM
                             (SELECT kind FROM message_facts WHERE message = ?1 ORDER BY seq LIMIT ?3) WHERE kind = ?2)",
                    )?
                    .query_row((self.message, kind as i64, MOST_FACTS), |row| row.get(0))?;
                let late: bool = connection
                    .prepare_cached(
                        "SELECT EXISTS (SELECT 1 FROM message_facts WHERE message = ?1 AND kind = ?2 AND place > 1000)",
                    )?
                    .query_row((self.message, kind as i64), |row| row.get(0))?;
                Ok(!early && !late)
            }
        }
    }
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

/// How many tokens were reported for the messages a sender rule let through; it stops counting at `most`.
pub fn n_tokens_of_rule(
    connection: &Connection,
    mailbox: i64,
    rule: i64,
    (since, now): Window,
    most: i64,
) -> Result<i64> {
    let mut statement = connection.prepare_cached(
        "SELECT seq FROM messages WHERE mailbox = ?1 AND sender_rule = ?2 AND recorded_at > ?3 AND recorded_at <= ?4
             AND outcome = 1 AND sender_rule IS NOT NULL",
    )?;
    let messages = statement.query_map((mailbox, rule, since, now), |row| row.get(0))?;
    add_tokens(connection, messages, most)
}

/// How many tokens were reported for the messages of a thread; it stops counting at `most`.
pub fn n_tokens_of_thread(connection: &Connection, mailbox: i64, thread: &str, most: i64) -> Result<i64> {
    let mut statement = connection.prepare_cached(
        "SELECT seq FROM messages WHERE mailbox = ?1 AND thread_id IN (?2, ?3)
         UNION ALL SELECT message FROM message_facts WHERE mailbox = ?1 AND kind = 1 AND data IN (?4, ?5)",
    )?;
    let other = other_form(thread);
    let [quoted, other_quoted] = [thread, &other].map(|thread| Value::from(thread).to_string());
    let messages = statement.query_map((mailbox, thread, &other, quoted, other_quoted), |row| row.get(0))?;
    add_tokens(connection, messages, most)
}

fn add_tokens(
    connection: &Connection,
    messages: impl Iterator<Item = rusqlite::Result<i64>>,
    most: i64,
) -> Result<i64> {
    let mut last_fact = connection
        .prepare_cached("SELECT tokens FROM message_facts WHERE message = ?1 ORDER BY seq DESC LIMIT 1")?;
    let mut total = 0_i64;
    for message in messages {
        let message = message?;
        let tokens = match last_fact.query_row([message], |row| row.get::<_, Option<i64>>(0)).optional()? {
            None => 0,
            Some(Some(tokens)) => tokens,
            // Recorded before each carried the sum on.
            Some(None) => {
                let mut facts = Facts::of_new((0, message), 0);
                facts.add_up(connection)?;
                facts.tokens
            }
        };
        total = total.saturating_add(tokens);
        if total >= most {
            break;
        }
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

/// Removes up to `limit` of a mailbox's `Old` entries, oldest first, with their facts; says how many rows. They were kept
/// `days`, as the policy of that version or a setting says.
pub fn prune(tx: &mut Tx<'_>, mailbox: i64, days: i64, cutoff: Timestamp, limit: i64) -> Result<usize> {
    let version = mailboxes::policy_version(tx, mailbox)?;
    let why = json!({
        "log": "messages", "mailbox": mailbox, "policy_version": version, "days": days, "before": cutoff,
    });
    let old = Old::of(tx, mailbox, cutoff)?;
    let mut entries = tx
        .prepare_cached(&format!(
            "SELECT seq FROM messages {} AND seq <= ?4 ORDER BY seq LIMIT ?3",
            Old::RECORDED_BEFORE
        ))?
        .query_map((mailbox, old.end, limit, tx.removable()), |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<i64>>>()?;
    let rest = limit - entries.len() as i64;
    if rest > 0 {
        let mut statement = tx.prepare_cached(&format!(
            "SELECT seq FROM messages {} AND seq <= ?5 ORDER BY received_at, seq LIMIT ?4",
            Old::RECORDED_SINCE
        ))?;
        let more = statement.query_map((mailbox, old.end, cutoff, rest, tx.removable()), |row| row.get(0))?;
        entries.extend(more.collect::<rusqlite::Result<Vec<i64>>>()?);
    }
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

/// What retention would take of a mailbox: what was received before the cutoff, and, where it was a raw message, recorded
/// before it too, for its sender can have written the first.
///
/// Nearly all of it was recorded before the cutoff, and what was recorded earlier is of smaller numbers: up to a number
/// all is old, without a look at any. Behind it are old entries that came from elsewhere; whoever sends mail of long ago
/// makes each look at those slower, and that of the others not.
struct Old {
    /// All numbers below it.
    end: i64,
}

impl Old {
    const RECORDED_BEFORE: &str = "INDEXED BY messages_mailbox WHERE mailbox = ?1 AND seq < ?2";
    const RECORDED_SINCE: &str =
        "INDEXED BY messages_received WHERE mailbox = ?1 AND seq >= ?2 AND received_at < ?3
         AND (message_hash IS NULL OR recorded_at < ?3)";

    fn of(connection: &Connection, mailbox: i64, cutoff: Timestamp) -> Result<Self> {
        Ok(Self { end: first_since(connection, mailbox, cutoff)? })
    }
}

/// Whether retention would take anything of a mailbox.
pub fn has_prunable(connection: &Connection, mailbox: i64, cutoff: Timestamp) -> Result<bool> {
    let old = Old::of(connection, mailbox, cutoff)?;
    Ok(connection
        .prepare_cached(&format!(
            "SELECT EXISTS (SELECT 1 FROM messages {}) OR EXISTS (SELECT 1 FROM messages {})",
            Old::RECORDED_BEFORE,
            Old::RECORDED_SINCE
        ))?
        .query_row((mailbox, old.end, cutoff), |row| row.get(0))?)
}

/// How many entries of a mailbox retention would take.
pub fn count_prunable(connection: &Connection, mailbox: i64, cutoff: Timestamp) -> Result<i64> {
    let old = Old::of(connection, mailbox, cutoff)?;
    Ok(connection
        .prepare_cached(&format!(
            "SELECT (SELECT count(*) FROM messages {}) + (SELECT count(*) FROM messages {})",
            Old::RECORDED_BEFORE,
            Old::RECORDED_SINCE
        ))?
        .query_row((mailbox, old.end, cutoff), |row| row.get(0))?)
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

/// An entry in which nothing stands, for tests of what is put into it.
#[cfg(test)]
pub fn blank() -> Entry {
    let connection = Connection::open_in_memory().expect("a database");
    let mut columns = String::from(
        "SELECT 1 AS seq, 'm' AS message_id, 1 AS mailbox, 0 AS received_at, 1 AS outcome, 0 AS recorded_at",
    );
    for name in [
        "thread_id",
        "sender_address",
        "recipient_address",
        "reason",
        "dkim",
        "spf",
        "dmarc",
        "from_alignment",
        "text_problem",
        "body_hash",
        "message_hash",
        "capabilities",
        "policy_version",
        "recorded_by",
    ] {
        columns.push_str(&format!(", NULL AS {name}"));
    }
    connection.query_row(&columns, [], Entry::from_row).expect("a row")
}
