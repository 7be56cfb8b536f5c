//! What was removed of a log that somebody has pinned: which rows of `controls` say so, why, and how many rows of before
//! the pin went. Whoever has the machine and the key can write such a row with any reason: so each is held against what
//! was on record, in the tree itself, when it was pinned.
//!
//! A removal by retention fits where the days that it goes by are at least those on record then, for that log or that
//! mailbox, and what it says of its own time goes with them. Of rows that were recorded later, what was on record before
//! the first of them counts. Anything else is for a person to look at: an erasure, days
//! that were shortened since, what has no reason that mailtrail gives. What cannot be seen is how old a removed row was:
//! by its own time it may have been older than the log, as what is imported is.

use std::collections::HashMap;

use rusqlite::Connection;
use serde::Serialize;
use serde_json::Value;

use super::controls::Kind;
use super::holes;
use crate::error::Result;
use crate::time::{SECOND, Timestamp};

/// Removals that are told one by one, of either kind.
const MOST_TOLD: usize = 1000;

#[derive(Debug, Serialize)]
pub struct Removal {
    /// The number of the row of `controls`; null: of a run that is under way, which has none yet.
    pub control: Option<i64>,
    pub recorded_at: Option<Timestamp>,
    /// As the row says it, without its numbers.
    pub why: Value,
    /// How many rows of before the pin.
    pub rows: i64,
    /// Whether it goes with what was on record when it was pinned.
    pub fits: bool,
}

/// What was removed since, in the order of its recording.
#[derive(Debug, Default, Serialize)]
pub struct Removals {
    pub removals: Vec<Removal>,
    pub n_fitting: usize,
    /// Of those that do not fit, how many were recorded after the last that somebody looked at.
    pub n_unseen: usize,
    /// The last of them.
    pub last_unseen: Option<i64>,
}

/// What was removed since the tree had `first` leaves, of the rows among the first `last`. `seen` is the last row of
/// `controls` that a person has looked at: what was on record by then counts as looked at too.
pub fn since(
    connection: &Connection,
    (first, last): (i64, i64),
    seen: i64,
    now: Timestamp,
) -> Result<Removals> {
    let settings = Settings::read(connection)?;
    let looked_at = first.max(seen);
    let mut found = Removals::default();
    let (mut n_fitting, mut n_others) = (0, 0);
    let mut add = |removal: Removal| {
        if removal.rows == 0 {
            return;
        }
        let n = if removal.fits { &mut n_fitting } else { &mut n_others };
        *n += 1;
        if !removal.fits && removal.control.is_none_or(|control| control > seen) {
            found.n_unseen += 1;
            found.last_unseen = removal.control.or(found.last_unseen);
        }
        if *n <= MOST_TOLD {
            found.removals.push(removal);
        }
    };
    let mut statement = connection.prepare_cached(
        "SELECT seq, body, recorded_at FROM controls WHERE seq > ?1 AND kind = ?2 ORDER BY seq",
    )?;
    let mut rows = statement.query((first, Kind::Removal as i64))?;
    while let Some(row) = rows.next()? {
        let (number, body, at): (i64, String, Timestamp) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let mut why: Value = serde_json::from_str(&body).unwrap_or_default();
        if let Some(members) = why.as_object_mut() {
            members.remove("holes");
            members.remove("n");
        }
        let holes = holes::of(connection, number)?;
        let rows = holes::total_up_to(&holes, last);
        let fits = settings.allow(&why, at, looked_at.max(holes.first().map_or(0, |hole| hole.first)));
        add(Removal { control: Some(number), recorded_at: Some(at), why, rows, fits });
    }
    for removing in holes::removing(connection)? {
        let rows = holes::total_up_to(&removing.holes, last);
        let from = removing.holes.first().map_or(0, |hole| hole.first);
        let fits = settings.allow(&removing.why, now, looked_at.max(from));
        add(Removal { control: None, recorded_at: None, why: removing.why, rows, fits });
    }
    found.n_fitting = n_fitting;
    Ok(found)
}

/// For how long something is kept, as it is on record, oldest first: the row of `controls` that says so, and the days.
#[derive(Default)]
struct Settings {
    /// By log; none: for ever.
    logs: HashMap<String, Vec<(i64, Option<i64>)>>,
    mailboxes: HashMap<i64, Vec<(i64, Option<i64>)>>,
}

impl Settings {
    fn read(connection: &Connection) -> Result<Self> {
        let mut settings = Self::default();
        let mut statement =
            connection.prepare_cached("SELECT seq, body FROM controls WHERE kind = ?1 ORDER BY seq")?;
        let mut rows = statement.query([Kind::Setting as i64])?;
        while let Some(row) = rows.next()? {
            settings.add(row.get(0)?, &serde_json::from_str(&row.get::<_, String>(1)?).unwrap_or_default());
        }
        Ok(settings)
    }

    fn add(&mut self, number: i64, body: &Value) {
        for (log, days) in body["days"].as_object().into_iter().flatten() {
            self.logs.entry(log.clone()).or_default().push((number, days.as_i64()));
        }
        for pair in body["mailboxes"].as_array().into_iter().flatten() {
            if let (Some(mailbox), Some(days)) = (pair[0].as_i64(), pair[1].as_i64()) {
                self.mailboxes.entry(mailbox).or_default().push((number, Some(days)));
            }
        }
    }

    /// How long a log, or a mailbox of it, was kept when row `number` was recorded.
    fn days(&self, log: &str, mailbox: Option<i64>, number: i64) -> Option<i64> {
        let at = |history: &Vec<(i64, Option<i64>)>| {
            let n = history.partition_point(|(since, _)| *since <= number);
            history[..n].last().map(|(_, days)| *days)
        };
        let own = mailbox.and_then(|mailbox| self.mailboxes.get(&mailbox)).and_then(at);
        own.or_else(|| self.logs.get(log).and_then(at)).flatten()
    }

    /// Whether a removal that was recorded then is one of retention that goes with what was on record at a number.
    fn allow(&self, why: &Value, recorded_at: Timestamp, number: i64) -> bool {
        let owner = match why["log"].as_str() {
            Some("enforcement") => &["tenant"][..],
            Some("messages") => &["mailbox", "policy_version"],
            Some("activity") => &["workspace", "project"],
            _ => return false,
        };
        let is_known = |name: &String| {
            ["log", "days", "before"].contains(&name.as_str()) || owner.contains(&name.as_str())
        };
        if !why.as_object().is_some_and(|members| members.keys().all(is_known)) {
            return false;
        }
        let kept = self.days(why["log"].as_str().unwrap_or_default(), why["mailbox"].as_i64(), number);
        let before = why["before"].as_str().and_then(Timestamp::parse);
        let (Some(kept), Some(days), Some(before)) = (kept, why["days"].as_i64(), before) else {
            return false;
        };
        // Rows are recorded at whole seconds.
        let latest = recorded_at.plus_days(-days).plus_micros(SECOND);
        days >= kept && before <= latest
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_removal_fits_what_was_on_record_and_nothing_less() {
        let at = Timestamp::from_seconds(1_777_000_000);
        let before = at.plus_days(-30);
        let mut settings = Settings::default();
        settings.add(3, &json!({ "days": { "enforcement": 30, "messages": 30, "activity": null } }));
        settings.add(5, &json!({ "mailboxes": [[7, 90], [8, 10]] }));
        settings.add(10, &json!({ "mailboxes": [[7, 1]] }));
        settings.add(11, &json!({ "days": { "enforcement": 1, "messages": null, "activity": null } }));
        for (why, fits) in [
            (json!({ "log": "enforcement", "tenant": "t", "days": 30, "before": before }), true),
            (
                json!({ "log": "messages", "mailbox": 1, "policy_version": null, "days": 30, "before": before }),
                true,
            ),
            (json!({ "log": "enforcement", "tenant": "t", "days": 60, "before": at.plus_days(-60) }), true),
            // Shortened, of another time, for ever, of another mailbox, for no reason that there is.
            (json!({ "log": "enforcement", "tenant": "t", "days": 29, "before": at.plus_days(-29) }), false),
            (json!({ "log": "enforcement", "tenant": "t", "days": 30, "before": at.plus_days(-29) }), false),
            (json!({ "log": "activity", "workspace": "w", "days": 30, "before": before }), false),
            (
                json!({ "log": "messages", "mailbox": 7, "policy_version": 1, "days": 30, "before": before }),
                false,
            ),
            (
                json!({ "log": "messages", "mailbox": 8, "policy_version": 1, "days": 30, "before": before }),
                true,
            ),
            (json!({ "log": "messages", "erasure": "x", "days": 30, "before": before }), false),
            (json!({ "log": "enforcement", "tenant": "t", "days": 30 }), false),
            (json!({ "log": "enforcement", "tenant": "t", "days": "30", "before": before }), false),
            (json!({ "log": "control", "days": 30, "before": before }), false),
            (json!({ "why": "the disk was full" }), false),
            (json!(null), false),
        ] {
            assert_eq!(settings.allow(&why, at, 9), fits, "{why}");
        }
    }
    #[test]
    fn what_was_on_record_is_of_a_moment() {
        let mut settings = Settings::default();
        settings.add(3, &json!({ "days": { "enforcement": 30, "messages": 30, "activity": null } }));
        settings.add(10, &json!({ "mailboxes": [[7, 1]] }));
        settings.add(12, &json!({ "days": { "enforcement": null, "messages": 5, "activity": 9 } }));
        let days = |log, mailbox| [2, 3, 9, 10, 12, 99].map(|number| settings.days(log, mailbox, number));
        assert_eq!(days("enforcement", None), [None, Some(30), Some(30), Some(30), None, None]);
        assert_eq!(days("messages", Some(7)), [None, Some(30), Some(30), Some(1), Some(1), Some(1)]);
        assert_eq!(days("messages", Some(8)), [None, Some(30), Some(30), Some(30), Some(5), Some(5)]);
        assert_eq!(days("activity", None), [None, None, None, None, Some(9), Some(9)]);
    }
}
