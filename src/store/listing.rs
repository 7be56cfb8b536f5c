//! A list by time: the rows of a table that equal something, from one instant to another, a page or the number of
//! them. Enforcement events and activities are listed alike; this is the one place where their SQL is put together,
//! from our own literals and bound values only.
//!
//! The order is by `created_at`, then `seq`, both ways total. A page starts at an offset or after a cursor; an
//! offset is found through `counts` when the filter is a counted series, else by stepping over rows on the index.
//!
//! An index may have the day before what it is for: (owner, day, action, created_at). What is written today and what
//! retention takes then lie together on few pages, whatever the action. A list goes through the days that the owner
//! has rows in, which `counts` knows; so a look for what is nowhere costs a step for each day, not for each row.
//!
//! The rows of several owners are merged from a page of each.

use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use super::counts::{Log, Range, Series, Width};
use crate::error::{Error, Result};
use crate::mask::quoted;
use crate::time::{DAY, Timestamp};

pub struct Listing {
    pub table: &'static str,
    pub columns: &'static str,
    /// The index to walk. SQLite keeps no statistics here, and without them it takes a narrower index for as good:
    /// with `from` and `to` it would step over every row of a workspace to find those of one rare action.
    pub index: Index,
    /// The column that says whose a row is, and who is asked for.
    pub owner: &'static str,
    pub owners: Vec<i64>,
    /// `column = ` or `column COLLATE NOCASE = ` and what it equals.
    pub equals: Vec<(&'static str, Value)>,
    /// The counted series that are together just what `owners` and `equals` say; `None` when there are none.
    pub counted: Option<Vec<Series>>,
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
    pub newest_first: bool,
}

/// What an index has before `created_at`: the owner and what is filtered by, or the day between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Index {
    ByTime(&'static str),
    /// The log whose `counts` know the days; they number the owners as the table does.
    ByDay(Log, &'static str),
}

/// Where a page starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Offset(i64),
    After(Cursor),
}

/// The last row of a page; the next one starts after it. Rows that come or go in between move nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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
            Error::invalid(
                "cursor",
                format!("{} is not a cursor; accepted: one from a Link header", quoted(text)),
            )
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
        let mut stretch = Stretch { from: self.from, to: self.to, tie: None };
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
                    stretch.to = Some(place.edge);
                } else {
                    stretch.from = Some(place.edge);
                }
                skip = place.skip;
            }
        }
        if let [owner] = self.owners[..] {
            return self.rows(connection, owner, self.columns, (stretch, after), (limit, skip), read);
        }
        let mut cursors = Vec::new();
        for &owner in &self.owners {
            let end = (skip.saturating_add(limit), 0);
            cursors.extend(self.rows(
                connection,
                owner,
                "created_at, seq",
                (stretch, after),
                end,
                |row| Ok(Cursor { created_at: row.get(0)?, seq: row.get(1)? }),
            )?);
        }
        cursors.sort_unstable();
        if self.newest_first {
            cursors.reverse();
        }
        let sql = format!("SELECT {} FROM {} WHERE seq = ?1", self.columns, self.table);
        let mut statement = connection.prepare_cached(&sql)?;
        let page = cursors.into_iter().skip(skip as usize).take(limit as usize);
        Ok(page.map(|cursor| statement.query_row([cursor.seq], &read)).collect::<rusqlite::Result<_>>()?)
    }

    /// The rows of one owner: up to so many, after stepping over so many.
    ///
    /// After a cursor come those of its own instant, then the rest: compared as a pair, every row of that instant
    /// would be stepped over on each page, and a batch has thousands of one.
    fn rows<T>(
        &self,
        connection: &Connection,
        owner: i64,
        columns: &str,
        (stretch, after): (Stretch, Option<Cursor>),
        (limit, skip): (i64, i64),
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let Some(cursor) = after else {
            return self.walk(connection, owner, columns, stretch, (limit, skip), read);
        };
        let tie = Stretch { tie: Some(cursor), ..stretch };
        let mut rows = self.walk(connection, owner, columns, tie, (limit, skip), &read)?;
        let left = limit - rows.len() as i64;
        if left > 0 {
            let rest = stretch.past(cursor.created_at, self.newest_first);
            rows.extend(self.walk(connection, owner, columns, rest, (left, skip), read)?);
        }
        Ok(rows)
    }

    fn walk<T>(
        &self,
        connection: &Connection,
        owner: i64,
        columns: &str,
        stretch: Stretch,
        (limit, skip): (i64, i64),
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let (mut sql, mut values) = self.select(owner, columns, stretch);
        let direction = if self.newest_first { "DESC" } else { "ASC" };
        let day = match self.index {
            Index::ByTime(_) => String::new(),
            Index::ByDay(..) => format!("bucket {direction}, "),
        };
        sql.push_str(&format!(" ORDER BY {day}created_at {direction}, seq {direction} LIMIT ? OFFSET ?"));
        values.push(limit.into());
        values.push(skip.into());
        let mut statement = connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params_from_iter(values), read)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Counts on the index.
    fn count(&self, connection: &Connection, from: Option<Timestamp>, to: Option<Timestamp>) -> Result<i64> {
        let mut total = 0;
        for &owner in &self.owners {
            let (sql, values) = self.select(owner, "count(*)", Stretch { from, to, tie: None });
            let mut statement = connection.prepare_cached(&sql)?;
            total += statement.query_row(params_from_iter(values), |row| row.get::<_, i64>(0))?;
        }
        Ok(total)
    }

    fn range(&self) -> Option<Range<'_>> {
        let series = self.counted.as_deref()?;
        Some(Range { series, from: self.from, to: self.to })
    }

    fn select(&self, owner: i64, columns: &str, stretch: Stretch) -> (String, Vec<Value>) {
        let mut conditions = Vec::new();
        let mut values: Vec<Value> = Vec::new();
        let source = match self.index {
            Index::ByTime(index) => format!("{} INDEXED BY {index}", self.table),
            Index::ByDay(log, index) => {
                conditions.push(
                    "log = ? AND counts.owner = ? AND kind = 0 AND width = ? AND bucket >= ? AND bucket <= ?
                     AND day = bucket"
                        .to_owned(),
                );
                let (first, last) = stretch.days();
                values.extend([log as i64, owner, Width::Day as i64, first, last].map(Value::from));
                format!("counts CROSS JOIN {} INDEXED BY {index}", self.table)
            }
        };
        conditions.push(format!("{}.{} = ?", self.table, self.owner));
        values.push(owner.into());
        for (column, value) in &self.equals {
            conditions.push(format!("{column}?"));
            values.push(value.clone());
        }
        for (condition, bound) in [("created_at >= ?", stretch.from), ("created_at < ?", stretch.to)] {
            if let Some(bound) = bound {
                conditions.push(condition.to_owned());
                values.push(bound.micros().into());
            }
        }
        if let Some(cursor) = stretch.tie {
            let comparison = if self.newest_first { "<" } else { ">" };
            conditions.push(format!("created_at = ? AND seq {comparison} ?"));
            values.push(cursor.created_at.micros().into());
            values.push(cursor.seq.into());
        }
        (format!("SELECT {columns} FROM {source} WHERE {}", conditions.join(" AND ")), values)
    }
}

/// A part of a list.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    /// Only the rows of this one's instant that come after it.
    tie: Option<Cursor>,
}

impl Stretch {
    /// What comes after all rows of `instant`.
    fn past(self, instant: Timestamp, newest_first: bool) -> Self {
        if newest_first {
            Self { to: Some(self.to.map_or(instant, |to| to.min(instant))), ..self }
        } else {
            let next = Timestamp::from_micros(instant.micros().saturating_add(1));
            Self { from: Some(self.from.map_or(next, |from| from.max(next))), ..self }
        }
    }

    /// The first and the last day of it.
    fn days(&self) -> (i64, i64) {
        let day = |time: Timestamp| time.micros().div_euclid(DAY);
        match self.tie {
            Some(cursor) => (day(cursor.created_at), day(cursor.created_at)),
            None => (self.from.map_or(i64::MIN, day), self.to.map_or(i64::MAX, day)),
        }
    }
}
