//! A list by time: the rows of a table that equal something, from one instant to another, a page or the number of
//! them. Enforcement events and activities are listed alike; this is the one place where their SQL is put together,
//! from our own literals and bound values only.
//!
//! The order is by `created_at`, then `seq`, both ways total. A page starts at an offset or after a cursor; an
//! offset is found through `counts` when the filter is a counted series, else by stepping over rows on the index.

use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use super::counts::{Log, Range};
use crate::error::{Error, Result};
use crate::time::Timestamp;

pub struct Listing {
    pub log: Log,
    pub table: &'static str,
    /// The index to walk. SQLite keeps no statistics here, and without them it takes a narrower index for as good:
    /// with `from` and `to` it would step over every row of a workspace to find those of one rare action.
    pub index: &'static str,
    pub columns: &'static str,
    /// `column = ` or `column COLLATE NOCASE = ` and what it equals.
    pub equals: Vec<(&'static str, Value)>,
    /// The counted series that is just what `equals` says; `None` when there is none.
    pub series: Option<String>,
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
    pub newest_first: bool,
}

/// Where a page starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Offset(i64),
    After(Cursor),
}

/// The last row of a page; the next one starts after it. Rows that come or go in between move nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    pub created_at: Timestamp,
    pub seq: i64,
}

impl Cursor {
    /// `<microseconds>-<seq>`: opaque to clients.
    pub fn parse(text: &str) -> Result<Self> {
        let parsed = text.split_once('-').and_then(|(micros, seq)| {
            let created_at = Timestamp::from_micros(micros.parse().ok()?);
            Some(Self { created_at, seq: seq.parse().ok()? })
        });
        parsed.ok_or_else(|| {
            Error::invalid("cursor", format!("{text:?} is not a cursor; accepted: one from a Link header"))
        })
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.created_at.micros(), self.seq)
    }
}

impl Listing {
    /// How many rows there are, exactly.
    pub fn total(&self, connection: &Connection) -> Result<i64> {
        match self.range() {
            Some(range) => range.total(connection, |from, to| self.count(connection, Some(from), Some(to))),
            None => self.count(connection, self.from, self.to),
        }
    }

    /// Up to `limit` rows from `start` on.
    pub fn page<T>(
        &self,
        connection: &Connection,
        start: Start,
        limit: i64,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let mut from = self.from;
        let mut to = self.to;
        let mut after = None;
        let mut skip = 0;
        match (start, self.range()) {
            (Start::After(cursor), _) => after = Some(cursor),
            (Start::Offset(0), _) => {}
            (Start::Offset(offset), None) => skip = offset,
            (Start::Offset(offset), Some(range)) => {
                let count = |from, to| self.count(connection, Some(from), Some(to));
                let Some(place) = range.seek(connection, self.newest_first, offset, count)? else {
                    return Ok(Vec::new());
                };
                if self.newest_first {
                    to = Some(place.edge);
                } else {
                    from = Some(place.edge);
                }
                skip = place.skip;
            }
        }
        let (mut sql, mut values) = self.select(self.columns, from, to);
        let (comparison, direction) = if self.newest_first { ("<", "DESC") } else { (">", "ASC") };
        if let Some(cursor) = after {
            sql.push_str(&format!(" AND (created_at, seq) {comparison} (?, ?)"));
            values.push(cursor.created_at.micros().into());
            values.push(cursor.seq.into());
        }
        sql.push_str(&format!(" ORDER BY created_at {direction}, seq {direction} LIMIT ? OFFSET ?"));
        values.push(limit.into());
        values.push(skip.into());
        let mut statement = connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params_from_iter(values), read)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Counts on the index.
    fn count(&self, connection: &Connection, from: Option<Timestamp>, to: Option<Timestamp>) -> Result<i64> {
        let (sql, values) = self.select("count(*)", from, to);
        Ok(connection.prepare_cached(&sql)?.query_row(params_from_iter(values), |row| row.get(0))?)
    }

    fn range(&self) -> Option<Range<'_>> {
        let series = self.series.as_deref()?;
        Some(Range { log: self.log, series, from: self.from, to: self.to })
    }

    fn select(&self, columns: &str, from: Option<Timestamp>, to: Option<Timestamp>) -> (String, Vec<Value>) {
        let mut conditions = Vec::new();
        let mut values = Vec::new();
        for (column, value) in &self.equals {
            conditions.push(format!("{column}?"));
            values.push(value.clone());
        }
        for (condition, bound) in [("created_at >= ?", from), ("created_at < ?", to)] {
            if let Some(bound) = bound {
                conditions.push(condition.to_owned());
                values.push(bound.micros().into());
            }
        }
        let (table, index) = (self.table, self.index);
        let sql =
            format!("SELECT {columns} FROM {table} INDEXED BY {index} WHERE {}", conditions.join(" AND "));
        (sql, values)
    }
}
