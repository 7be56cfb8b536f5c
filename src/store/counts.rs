//! How many rows there are, without counting them.
//!
//! A series (`w7`: workspace 7, `t3/blocked`: tenant 3, one action) has a row for each day and each ten minutes in
//! which it has entries. `total` adds up days; `seek` finds the place of an offset by walking days, then ten
//! minutes, and leaves the last few steps to the index. Where `from` or `to` cut into ten minutes, the caller's
//! own `count` looks at the index. The cost grows with the days a log spans, not with its rows.
//!
//! Deltas gather in memory while a batch runs and are written once before its commit: row triggers with the same
//! effect cost three quarters of the bulk ingest rate in a trial.

use std::collections::BTreeMap;

use rusqlite::Connection;

use crate::error::Result;
use crate::time::{DAY, MINUTE, Timestamp};

/// The three logs, as the floor knows them: numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i64)]
pub enum Log {
    Enforcement = 1,
    Messages = 2,
    Activity = 3,
}

const WIDTHS: [i64; 2] = [DAY, TEN_MINUTES];
const TEN_MINUTES: i64 = 10 * MINUTE;
const BY_DAY: usize = 0;
const BY_TEN_MINUTES: usize = 1;

/// What a batch has added and removed so far.
#[derive(Default)]
pub struct Deltas(BTreeMap<(Log, String, i64), i64>);

impl Deltas {
    pub fn add(&mut self, log: Log, series: String, at: Timestamp, n: i64) {
        *self.0.entry((log, series, at.micros().div_euclid(TEN_MINUTES))).or_default() += n;
    }

    pub fn merge(&mut self, other: Self) {
        for (key, n) in other.0 {
            *self.0.entry(key).or_default() += n;
        }
    }

    /// One upsert for each touched bucket.
    pub fn flush(self, connection: &Connection) -> Result<()> {
        let mut buckets: BTreeMap<(Log, String, usize, i64), i64> = BTreeMap::new();
        for ((log, series, ten), n) in self.0 {
            *buckets.entry((log, series.clone(), BY_DAY, ten.div_euclid(DAY / TEN_MINUTES))).or_default() +=
                n;
            *buckets.entry((log, series, BY_TEN_MINUTES, ten)).or_default() += n;
        }
        let mut add = connection.prepare_cached(
            "INSERT INTO counts (log, series, width, bucket, n) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET n = n + excluded.n",
        )?;
        let mut remove = connection.prepare_cached(
            "DELETE FROM counts WHERE log = ?1 AND series = ?2 AND width = ?3 AND bucket = ?4 AND n = 0",
        )?;
        for ((log, series, width, bucket), n) in buckets {
            if n != 0 {
                add.execute((log as i64, &series, width as i64, bucket, n))?;
            }
            if n < 0 {
                remove.execute((log as i64, &series, width as i64, bucket))?;
            }
        }
        Ok(())
    }
}

/// A series and the time asked for: `from` inclusive, `to` exclusive.
pub struct Range<'a> {
    pub log: Log,
    pub series: &'a str,
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
}

/// A stretch of the range: whole buckets, or an edge that cuts into ten minutes.
enum Piece {
    Buckets { width: usize, first: i64, end: i64 },
    Edge { from: i64, to: i64 },
}

impl Range<'_> {
    /// The range cut into an edge, ten minutes, days, ten minutes and an edge, in the order of time; empty ones
    /// are left out.
    fn pieces(&self) -> Vec<Piece> {
        // An open end reaches as far as a bucket can.
        let from = self.from.map_or(i64::MIN / 2, Timestamp::micros);
        let to = self.to.map_or(i64::MAX / 2, Timestamp::micros);
        let (ten_first, ten_end) = (ceil(from, TEN_MINUTES), to.div_euclid(TEN_MINUTES));
        if from >= to {
            return Vec::new();
        }
        if ten_first >= ten_end {
            return vec![Piece::Edge { from, to }];
        }
        let mut pieces = Vec::new();
        let mut buckets = |width, first, end| {
            if first < end {
                pieces.push(Piece::Buckets { width, first, end });
            }
        };
        let tens = DAY / TEN_MINUTES;
        let (day_first, day_end) = (ceil(ten_first, tens), ten_end.div_euclid(tens));
        if day_first < day_end {
            buckets(BY_TEN_MINUTES, ten_first, day_first * tens);
            buckets(BY_DAY, day_first, day_end);
            buckets(BY_TEN_MINUTES, day_end * tens, ten_end);
        } else {
            buckets(BY_TEN_MINUTES, ten_first, ten_end);
        }
        if from < ten_first * TEN_MINUTES {
            pieces.insert(0, Piece::Edge { from, to: ten_first * TEN_MINUTES });
        }
        if ten_end * TEN_MINUTES < to {
            pieces.push(Piece::Edge { from: ten_end * TEN_MINUTES, to });
        }
        pieces
    }

    /// How many rows the range has. `count` counts the rows from one instant (inclusive) to another (exclusive) on
    /// the index; it is asked for less than ten minutes at a time, or for a range that has no whole ten minutes.
    pub fn total(
        &self,
        connection: &Connection,
        count: impl Fn(Timestamp, Timestamp) -> Result<i64>,
    ) -> Result<i64> {
        let mut total = 0;
        for piece in self.pieces() {
            total += match piece {
                Piece::Edge { from, to } => count(Timestamp::from_micros(from), Timestamp::from_micros(to))?,
                Piece::Buckets { width, first, end } => self.sum(connection, width, first, end)?,
            };
        }
        Ok(total)
    }

    fn sum(&self, connection: &Connection, width: usize, first: i64, end: i64) -> Result<i64> {
        Ok(connection
            .prepare_cached(
                "SELECT coalesce(sum(n), 0) FROM counts
                 WHERE log = ?1 AND series = ?2 AND width = ?3 AND bucket >= ?4 AND bucket < ?5",
            )?
            .query_row((self.log as i64, self.series, width as i64, first, end), |row| row.get(0))?)
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
                Piece::Buckets { width, first, end } => {
                    if let Some(place) = self.walk(connection, descending, width, first, end, &mut skip)? {
                        return Ok(Some(place));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Walks buckets until the offset falls into one; a day is then walked by its ten minutes.
    fn walk(
        &self,
        connection: &Connection,
        descending: bool,
        width: usize,
        first: i64,
        end: i64,
        skip: &mut i64,
    ) -> Result<Option<Place>> {
        let mut statement = connection.prepare_cached(if descending {
            "SELECT bucket, n FROM counts WHERE log = ?1 AND series = ?2 AND width = ?3 AND bucket >= ?4 AND bucket < ?5
             ORDER BY bucket DESC"
        } else {
            "SELECT bucket, n FROM counts WHERE log = ?1 AND series = ?2 AND width = ?3 AND bucket >= ?4 AND bucket < ?5
             ORDER BY bucket"
        })?;
        let mut rows = statement.query((self.log as i64, self.series, width as i64, first, end))?;
        while let Some(row) = rows.next()? {
            let (bucket, n): (i64, i64) = (row.get(0)?, row.get(1)?);
            if *skip >= n {
                *skip -= n;
                continue;
            }
            if width == BY_DAY {
                let tens = DAY / TEN_MINUTES;
                let (first, end) = (bucket * tens, (bucket + 1) * tens);
                return self.walk(connection, descending, BY_TEN_MINUTES, first, end, skip);
            }
            let width = WIDTHS[width];
            return Ok(Some(Place::new(bucket * width, (bucket + 1) * width, descending, *skip)));
        }
        Ok(None)
    }
}

/// How many rows a series has in all.
pub fn all(connection: &Connection, log: Log, series: &str) -> Result<i64> {
    Range { log, series, from: None, to: None }.total(connection, |_, _| Ok(0))
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

fn ceil(value: i64, width: i64) -> i64 {
    value.div_euclid(width) + i64::from(value.rem_euclid(width) != 0)
}

/// A bucket whose stored count is not the number of its rows.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Miscount {
    #[serde(skip)]
    key: (i64, String, i64, i64),
    pub log: &'static str,
    pub series: String,
    pub width: &'static str,
    pub bucket: i64,
    pub stored: i64,
    pub counted: i64,
}

/// Gathers what the rows themselves say, to be held against what is stored.
#[derive(Default)]
pub struct Recount(BTreeMap<(i64, String, i64, i64), i64>);

impl Recount {
    pub fn add(&mut self, log: Log, series: String, at: Timestamp) {
        for (width, micros) in WIDTHS.iter().enumerate() {
            let bucket = at.micros().div_euclid(*micros);
            *self.0.entry((log as i64, series.clone(), width as i64, bucket)).or_default() += 1;
        }
    }

    /// Every bucket that differs, either way.
    pub fn compare(mut self, connection: &Connection) -> Result<Vec<Miscount>> {
        let mut miscounts = Vec::new();
        let mut statement = connection.prepare("SELECT log, series, width, bucket, n FROM counts")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let key = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            let stored: i64 = row.get(4)?;
            let counted = self.0.remove(&key).unwrap_or(0);
            if stored != counted {
                miscounts.push(miscount(key, stored, counted));
            }
        }
        miscounts.extend(self.0.into_iter().map(|(key, counted)| miscount(key, 0, counted)));
        Ok(miscounts)
    }
}

/// Puts the number of rows in place of each miscount. Only in the transaction that found them, and alone in it.
pub fn repair(connection: &Connection, miscounts: &[Miscount]) -> Result<()> {
    let mut remove = connection
        .prepare("DELETE FROM counts WHERE log = ?1 AND series = ?2 AND width = ?3 AND bucket = ?4")?;
    let mut insert = connection
        .prepare("INSERT INTO counts (log, series, width, bucket, n) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for Miscount { key: (log, series, width, bucket), counted, .. } in miscounts {
        remove.execute((log, series, width, bucket))?;
        if *counted > 0 {
            insert.execute((log, series, width, bucket, counted))?;
        }
    }
    Ok(())
}

fn miscount(key: (i64, String, i64, i64), stored: i64, counted: i64) -> Miscount {
    let (log, series, width, bucket) = key.clone();
    let log = match log {
        1 => "enforcement",
        2 => "messages",
        _ => "activity",
    };
    let width = if width == BY_DAY as i64 { "day" } else { "ten minutes" };
    Miscount { key, log, series, width, bucket, stored, counted }
}
