//! How many rows there are, without counting them.
//!
//! A series (an owner's rows; of these the ones of one kind, or of one person) has a row for each bucket of time in
//! which it has entries. `total` adds up buckets; `seek` finds the place of an offset by walking them and leaves the
//! last few steps to the index. Where `from` or `to` cut into the finest bucket, the caller's own `count` looks at the
//! index. The cost grows with the days a log spans, not with its rows.
//!
//! How fine the buckets are goes by the series: what has few rows a day gets no hours, for then nearly each row would
//! have a bucket of its own. In a trial with ten minutes for all, the counts cost as much as four indexes.
//!
//! Deltas gather in memory while a batch runs and are written once before its commit: row triggers with the same
//! effect cost three quarters of the bulk ingest rate in a trial.

use std::collections::BTreeMap;

use rusqlite::Connection;
use serde::Serialize;

use super::Tx;
use crate::error::Result;
use crate::time::{DAY, HOUR, Timestamp};

/// The three logs, as the floor knows them: numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i64)]
pub enum Log {
    Enforcement = 1,
    Messages = 2,
    Activity = 3,
}

impl Log {
    pub const ALL: [Self; 3] = [Self::Enforcement, Self::Messages, Self::Activity];

    pub fn word(self) -> &'static str {
        match self {
            Self::Enforcement => "enforcement",
            Self::Messages => "messages",
            Self::Activity => "activity",
        }
    }

    /// In an array with an element for each.
    pub fn place(self) -> usize {
        self as usize - 1
    }
}

/// A number of rows for each log.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PerLog {
    pub enforcement: i64,
    /// Entries and, where rows were removed by what they say, the facts that came later to them.
    pub messages: i64,
    pub activity: i64,
}

impl PerLog {
    pub fn add(&mut self, log: Log, n: i64) {
        match log {
            Log::Enforcement => self.enforcement += n,
            Log::Messages => self.messages += n,
            Log::Activity => self.activity += n,
        }
    }

    pub fn total(self) -> i64 {
        self.enforcement + self.messages + self.activity
    }
}

/// The length of a bucket; its number in the table is its place here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i64)]
pub enum Width {
    Day = 0,
    Hour = 1,
    /// Since 1970, not of the calendar.
    ThirtyDays = 2,
}

const WIDTHS: [Width; 3] = [Width::Day, Width::Hour, Width::ThirtyDays];

impl Width {
    const fn micros(self) -> i64 {
        match self {
            Self::Day => DAY,
            Self::Hour => HOUR,
            Self::ThirtyDays => 30 * DAY,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Hour => "hour",
            Self::ThirtyDays => "30 days",
        }
    }
}

/// Rows that are counted together: all of an owner, those of one kind, or those of one person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    log: Log,
    /// As the log numbers them.
    owner: i64,
    /// 0: all; above: of one action or outcome; below: of one person.
    kind: i64,
}

impl Series {
    /// Of an owner: a tenant, a mailbox, a project; with a minus, a workspace itself.
    pub fn of(log: Log, owner: i64) -> Self {
        Self { log, owner, kind: 0 }
    }

    /// Of the owner's rows those of one action or outcome, by its number (1 or more).
    #[must_use]
    pub fn of_kind(self, kind: i64) -> Self {
        Self { kind, ..self }
    }

    /// Of the owner's rows those of one of very many, as the people in a project, by their number (1 or more).
    #[must_use]
    pub fn of_person(self, person: i64) -> Self {
        Self { kind: -person, ..self }
    }

    /// The widest first; each divides the one before it.
    const fn widths(self) -> &'static [Width] {
        match self.kind {
            0 => &[Width::Day, Width::Hour],
            1.. => &[Width::Day],
            _ => &[Width::ThirtyDays],
        }
    }

    fn key(self, width: Width, bucket: i64) -> Key {
        (self.log as i64, self.owner, self.kind, width as i64, bucket)
    }

    /// How many rows it has in all.
    pub fn total(self, connection: &Connection) -> Result<i64> {
        Range { series: &[self], from: None, to: None }.total(connection, |_, _| Ok(0))
    }

    /// The buckets from `first` to before `end` that have rows, in the order of time.
    fn buckets(
        self,
        connection: &Connection,
        width: Width,
        first: i64,
        end: i64,
        mut each: impl FnMut(i64, i64),
    ) -> Result<()> {
        let mut statement = connection.prepare_cached(
            "SELECT bucket, n FROM counts
             WHERE log = ?1 AND owner = ?2 AND kind = ?3 AND width = ?4 AND bucket >= ?5 AND bucket < ?6
             ORDER BY bucket",
        )?;
        let mut rows = statement.query((self.log as i64, self.owner, self.kind, width as i64, first, end))?;
        while let Some(row) = rows.next()? {
            each(row.get(0)?, row.get(1)?);
        }
        Ok(())
    }
}

/// A bucket: log, owner, kind, width, number.
type Key = (i64, i64, i64, i64, i64);

fn keys(series: Series, at: Timestamp) -> impl Iterator<Item = Key> {
    series.widths().iter().map(move |width| series.key(*width, at.micros().div_euclid(width.micros())))
}

/// What a batch has added and removed so far.
#[derive(Default)]
pub struct Deltas(BTreeMap<Key, i64>);

impl Deltas {
    pub fn add(&mut self, series: Series, at: Timestamp, n: i64) {
        for key in keys(series, at) {
            *self.0.entry(key).or_default() += n;
        }
    }

    pub fn merge(&mut self, other: Self) {
        for (key, n) in other.0 {
            *self.0.entry(key).or_default() += n;
        }
    }

    /// One upsert for each touched bucket.
    pub fn flush(self, connection: &Connection) -> Result<()> {
        self.0.into_iter().try_for_each(|(key, n)| add(connection, key, n))
    }
}

/// Adds to a bucket; what comes to none is removed. Always by so much more or less, also where the bucket is wrong or
/// missing: so a miscount stays the same, whatever is recorded or removed, until it is repaired.
fn add(connection: &Connection, (log, owner, kind, width, bucket): Key, n: i64) -> Result<()> {
    let is_last = n < 0
        && connection
            .prepare_cached(
                "DELETE FROM counts
                 WHERE log = ?1 AND owner = ?2 AND kind = ?3 AND width = ?4 AND bucket = ?5 AND n = -?6",
            )?
            .execute((log, owner, kind, width, bucket, n))?
            > 0;
    if n != 0 && !is_last {
        connection
            .prepare_cached(
                "INSERT INTO counts (log, owner, kind, width, bucket, n) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT DO UPDATE SET n = n + excluded.n",
            )?
            .execute((log, owner, kind, width, bucket, n))?;
    }
    Ok(())
}

/// The rows of some series of one log and sort, from `from` (inclusive) to `to` (exclusive). No row is in two.
pub struct Range<'a> {
    pub series: &'a [Series],
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
}

/// A stretch of the range: whole buckets, or an edge that cuts into the finest.
enum Piece {
    Buckets { widths: &'static [Width], first: i64, end: i64 },
    Edge { from: i64, to: i64 },
}

/// Cuts a stretch into buckets as wide as they can be and what is left at both ends, in the order of time.
fn cut(from: i64, to: i64, widths: &'static [Width], pieces: &mut Vec<Piece>) {
    if from >= to {
        return;
    }
    let Some((width, finer)) = widths.split_first() else {
        pieces.push(Piece::Edge { from, to });
        return;
    };
    let width = width.micros();
    let (first, end) =
        (from.div_euclid(width) + i64::from(from.rem_euclid(width) != 0), to.div_euclid(width));
    if first >= end {
        return cut(from, to, finer, pieces);
    }
    cut(from, first * width, finer, pieces);
    pieces.push(Piece::Buckets { widths, first, end });
    cut(end * width, to, finer, pieces);
}

impl Range<'_> {
    fn pieces(&self) -> Vec<Piece> {
        // An open end reaches as far as a bucket can, and is the edge of one.
        const FAR: i64 = 30 * DAY * 100_000;
        let mut pieces = Vec::new();
        if let Some(series) = self.series.first() {
            let from = self.from.map_or(-FAR, Timestamp::micros);
            let to = self.to.map_or(FAR, Timestamp::micros);
            cut(from, to, series.widths(), &mut pieces);
        }
        pieces
    }

    /// How many rows the range has. `count` counts the rows from one instant (inclusive) to another (exclusive) on
    /// the index; it is asked for less than the finest bucket at a time, or for a range that has no whole one.
    pub fn total(
        &self,
        connection: &Connection,
        count: impl Fn(Timestamp, Timestamp) -> Result<i64>,
    ) -> Result<i64> {
        let mut total = 0;
        for piece in self.pieces() {
            match piece {
                Piece::Edge { from, to } => {
                    total += count(Timestamp::from_micros(from), Timestamp::from_micros(to))?;
                }
                Piece::Buckets { widths, first, end } => {
                    for series in self.series {
                        series.buckets(connection, widths[0], first, end, |_, n| {
                            total = i64::saturating_add(total, n);
                        })?;
                    }
                }
            }
        }
        // Below nothing is none: what is stored is wrong then, and `check` says so.
        Ok(total.max(0))
    }

    /// Where the row with this offset is, in the given order. `None`: past the last one.
    pub fn seek(
        &self,
        connection: &Connection,
        descending: bool,
        offset: i64,
        count: impl Fn(Timestamp, Timestamp) -> Result<i64>,
    ) -> Result<Option<Place>> {
        let mut pieces = self.pieces();
        if descending {
            pieces.reverse();
        }
        let mut skip = offset;
        for piece in pieces {
            match piece {
                Piece::Edge { from, to } => {
                    let n = count(Timestamp::from_micros(from), Timestamp::from_micros(to))?;
                    if skip < n {
                        return Ok(Some(Place::new(from, to, descending, skip)));
                    }
                    skip -= n;
                }
                Piece::Buckets { widths, first, end } => {
                    if let Some(place) = self.walk(connection, descending, widths, first, end, &mut skip)? {
                        return Ok(Some(place));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Walks buckets until the offset falls into one, then the finer ones in it.
    fn walk(
        &self,
        connection: &Connection,
        descending: bool,
        widths: &[Width],
        first: i64,
        end: i64,
        skip: &mut i64,
    ) -> Result<Option<Place>> {
        let Some((width, finer)) = widths.split_first() else { return Ok(None) };
        let mut buckets = BTreeMap::new();
        for series in self.series {
            series.buckets(connection, *width, first, end, |bucket, n| {
                let sum = buckets.entry(bucket).or_insert(0);
                *sum = i64::saturating_add(*sum, n);
            })?;
        }
        let mut in_order: Vec<(i64, i64)> = buckets.into_iter().collect();
        if descending {
            in_order.reverse();
        }
        let width = width.micros();
        for (bucket, n) in in_order {
            if *skip >= n {
                *skip -= n;
                continue;
            }
            let from = bucket.saturating_mul(width);
            let to = from.saturating_add(width);
            let Some(next) = finer.first() else {
                return Ok(Some(Place::new(from, to, descending, *skip)));
            };
            let (first, end) = (from / next.micros(), to / next.micros());
            return self.walk(connection, descending, finer, first, end, skip);
        }
        Ok(None)
    }
}

/// A place in an order: start at this edge of time, step over so many rows.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    /// Newest first: rows before this instant (exclusive). Oldest first: rows from it on (inclusive).
    pub edge: Timestamp,
    pub skip: i64,
}

impl Place {
    fn new(from: i64, to: i64, descending: bool, skip: i64) -> Self {
        Self { edge: Timestamp::from_micros(if descending { to } else { from }), skip }
    }
}

/// A bucket whose stored count is not the number of its rows.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Miscount {
    #[serde(skip)]
    key: Key,
    pub log: &'static str,
    /// As `Series` has them.
    pub owner: i64,
    pub kind: i64,
    pub width: &'static str,
    pub bucket: i64,
    pub stored: i64,
    pub counted: i64,
}

/// Gathers what the rows themselves say, to be held against what is stored.
#[derive(Default)]
pub struct Recount(BTreeMap<Key, i64>);

impl Recount {
    pub fn add(&mut self, series: Series, at: Timestamp) {
        for key in keys(series, at) {
            *self.0.entry(key).or_default() += 1;
        }
    }

    /// Every bucket that differs, either way.
    pub fn compare(mut self, connection: &Connection) -> Result<Vec<Miscount>> {
        let mut miscounts = Vec::new();
        let mut statement = connection.prepare("SELECT log, owner, kind, width, bucket, n FROM counts")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let key = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
            let stored: i64 = row.get(5)?;
            let counted = self.0.remove(&key).unwrap_or(0);
            if stored != counted {
                miscounts.push(miscount(key, stored, counted));
            }
        }
        miscounts.extend(self.0.into_iter().map(|(key, counted)| miscount(key, 0, counted)));
        Ok(miscounts)
    }
}

/// Adds to each bucket what it is short of. They may be of an earlier snapshot: what was recorded since has been added to
/// the bucket and would be to the count (`add`).
pub fn repair(tx: &Tx<'_>, miscounts: &[Miscount]) -> Result<()> {
    miscounts.iter().try_for_each(|Miscount { key, stored, counted, .. }| {
        // A number that no bucket comes to is one that cannot be added up either.
        add(tx, *key, counted.saturating_sub(*stored))
    })
}

/// Tells the buckets that no log can have: nothing or less is in them, or more than there are numbers, or they are of
/// no year that can be written. `check` finds any that is wrong, and takes longer.
pub fn find_impossible(connection: &Connection, last_seq: i64, tell: &mut dyn FnMut(String)) -> Result<()> {
    let mut statement = connection.prepare("SELECT log, owner, kind, width, bucket, n FROM counts")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let key: Key = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
        let n: i64 = row.get(5)?;
        let at = WIDTHS.into_iter().find(|width| *width as i64 == key.3).map(Width::micros);
        let is_of_a_year = at.and_then(|width| key.4.checked_mul(width)).is_some_and(|at| {
            (Timestamp::MIN.plus_days(-30)..=Timestamp::MAX).contains(&Timestamp::from_micros(at))
        });
        if n < 1 || n > last_seq || !is_of_a_year {
            let Miscount { log, owner, kind, width, bucket, .. } = miscount(key, n, 0);
            tell(format!(
                "the count of {log}, owner {owner}, kind {kind}, {width} {bucket} cannot be right: {n}"
            ));
        }
    }
    Ok(())
}

fn miscount(key: Key, stored: i64, counted: i64) -> Miscount {
    let (log, owner, kind, width, bucket) = key;
    let log = match log {
        1 => "enforcement",
        2 => "messages",
        _ => "activity",
    };
    let width = WIDTHS.into_iter().find(|known| *known as i64 == width).map_or("?", Width::word);
    Miscount { key, log, owner, kind, width, bucket, stored, counted }
}
