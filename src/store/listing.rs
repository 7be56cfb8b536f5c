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
use super::following::{After, Followed};
use super::numbers_as_json;
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
    /// Whether the index has this column in front; otherwise it is looked at in each row that the index leads to.
    pub is_owner_indexed: bool,
    pub equals: Vec<Equal>,
    /// The counted series that are together just what `owners` and `equals` say; `None` when there are none.
    pub counted: Option<Vec<Series>>,
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
    pub newest_first: bool,
}

/// A column that equals something.
#[derive(Debug, Clone)]
pub struct Equal {
    /// `column = ` or `column COLLATE NOCASE = `.
    pub condition: &'static str,
    pub value: Value,
    /// Whether the index has it in front of `created_at`.
    pub is_indexed: bool,
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

    /// Up to `limit` rows from `start` on. `read` is called in their order.
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
        self.order(&mut sql);
        sql.push_str(" LIMIT ? OFFSET ?");
        values.push(limit.into());
        values.push(skip.into());
        let mut statement = connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params_from_iter(values), read)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Walks the list from after a row on, among the rows up to number `last`: at most `most` that are meant, having
    /// looked at so many and no more, whatever is meant of them. Returns those, and from after which row it goes on;
    /// `None` when it is at its end.
    pub fn walk_on(
        &self,
        connection: &Connection,
        after: Option<&Cursor>,
        last: i64,
        (most, most_looked_at): (usize, i64),
    ) -> Result<(Vec<Cursor>, Option<Cursor>)> {
        let each = (most_looked_at / self.owners.len().max(1) as i64).max(100);
        let (mut found, mut nearest) = (Vec::new(), None);
        for &owner in &self.owners {
            let (meant, stopped_at) =
                self.walk_owner(connection, owner, after.copied(), last, (most, each))?;
            found.extend(meant);
            nearest = match (nearest, stopped_at) {
                (Some(a), Some(b)) => Some(if self.is_before(b, a) { b } else { a }),
                (a, b) => a.or(b),
            };
        }
        found.sort_unstable();
        if self.newest_first {
            found.reverse();
        }
        // Behind where one owner's walk stopped there may be rows of it that were not looked at.
        if let Some(nearest) = nearest {
            found.retain(|cursor| !self.is_before(nearest, *cursor));
        }
        if found.len() > most {
            found.truncate(most);
            nearest = found.last().copied();
        }
        Ok((found, nearest))
    }

    /// Of one owner: the rows that are meant, and the last that was looked at, unless there are no more.
    fn walk_owner(
        &self,
        connection: &Connection,
        owner: i64,
        after: Option<Cursor>,
        last: i64,
        (most, most_looked_at): (usize, i64),
    ) -> Result<(Vec<Cursor>, Option<Cursor>)> {
        let whole = Stretch { from: self.from, to: self.to, tie: None };
        let stretches = match after {
            None => vec![whole],
            Some(cursor) => {
                vec![Stretch { tie: Some(cursor), ..whole }, whole.past(cursor.created_at, self.newest_first)]
            }
        };
        let (mut meant, mut n_looked_at) = (Vec::new(), 0);
        for stretch in stretches {
            let (mut sql, mut values) = self.select_looking(owner, stretch);
            sql.push_str(" AND seq <= ?");
            values.push(last.into());
            self.order(&mut sql);
            sql.push_str(" LIMIT ?");
            let left = most_looked_at - n_looked_at;
            values.push(left.into());
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(params_from_iter(values))?;
            while let Some(row) = rows.next()? {
                n_looked_at += 1;
                let cursor = Cursor { created_at: row.get(0)?, seq: row.get(1)? };
                if row.get::<_, Option<bool>>(2)? == Some(true) {
                    meant.push(cursor);
                }
                if meant.len() == most || n_looked_at == most_looked_at {
                    return Ok((meant, Some(cursor)));
                }
            }
        }
        Ok((meant, None))
    }

    /// Walks the rows behind a number, in the order of their numbers, whenever they are of.
    pub fn follow(&self, connection: &Connection, after: &After) -> Result<Followed> {
        let mut conditions =
            vec![format!("{}.{} IN (SELECT value FROM json_each(?))", self.table, self.owner)];
        let mut values = vec![Value::from(numbers_as_json(&self.owners))];
        for equal in &self.equals {
            conditions.push(format!("{}?", equal.condition));
            values.push(equal.value.clone());
        }
        values.push(after.number.into());
        values.push(after.most_looked_at.into());
        let sql = format!(
            "SELECT seq, {} FROM {} WHERE seq > ? ORDER BY seq LIMIT ?",
            conditions.join(" AND "),
            self.table
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        after.collect(|| match rows.next()? {
            None => Ok(None),
            Some(row) => {
                let seq = row.get(0)?;
                Ok(Some(((seq, seq), row.get::<_, Option<bool>>(1)? == Some(true))))
            }
        })
    }

    /// Whether one row comes before another.
    fn is_before(&self, one: Cursor, other: Cursor) -> bool {
        if self.newest_first { one > other } else { one < other }
    }

    fn order(&self, sql: &mut String) {
        let direction = if self.newest_first { "DESC" } else { "ASC" };
        let day = match self.index {
            Index::ByTime(_) => String::new(),
            Index::ByDay(..) => format!("bucket {direction}, "),
        };
        sql.push_str(&format!(" ORDER BY {day}created_at {direction}, seq {direction}"));
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
        let (source, mut conditions, mut values) = self.source(owner, stretch);
        self.add_equals(owner, &mut conditions, &mut values, |_| true);
        self.add_times(stretch, &mut conditions, &mut values);
        (format!("SELECT {columns} FROM {source} WHERE {}", conditions.join(" AND ")), values)
    }

    /// `created_at`, `seq` and whether the row is meant, of every row that the index leads to.
    fn select_looking(&self, owner: i64, stretch: Stretch) -> (String, Vec<Value>) {
        let (mut looked_for, mut values) = (Vec::new(), Vec::new());
        self.add_equals(owner, &mut looked_for, &mut values, |is_indexed| !is_indexed);
        if looked_for.is_empty() {
            looked_for.push("1".to_owned());
        }
        let (source, mut conditions, more) = self.source(owner, stretch);
        values.extend(more);
        self.add_equals(owner, &mut conditions, &mut values, |is_indexed| is_indexed);
        self.add_times(stretch, &mut conditions, &mut values);
        let (looked_for, conditions) = (looked_for.join(" AND "), conditions.join(" AND "));
        (format!("SELECT created_at, seq, {looked_for} FROM {source} WHERE {conditions}"), values)
    }

    /// What is read, and the conditions that lead through the days.
    fn source(&self, owner: i64, stretch: Stretch) -> (String, Vec<String>, Vec<Value>) {
        match self.index {
            Index::ByTime(index) => (format!("{} INDEXED BY {index}", self.table), Vec::new(), Vec::new()),
            Index::ByDay(log, index) => {
                let condition =
                    "log = ? AND counts.owner = ? AND kind = 0 AND width = ? AND bucket >= ? AND bucket <= ?
                     AND day = bucket";
                let (first, last) = stretch.days();
                let values = [log as i64, owner, Width::Day as i64, first, last].map(Value::from);
                let source = format!("counts CROSS JOIN {} INDEXED BY {index}", self.table);
                (source, vec![condition.to_owned()], values.to_vec())
            }
        }
    }

    fn add_equals(
        &self,
        owner: i64,
        conditions: &mut Vec<String>,
        values: &mut Vec<Value>,
        is_wanted: impl Fn(bool) -> bool,
    ) {
        if is_wanted(self.is_owner_indexed) {
            conditions.push(format!("{}.{} = ?", self.table, self.owner));
            values.push(owner.into());
        }
        for equal in self.equals.iter().filter(|equal| is_wanted(equal.is_indexed)) {
            conditions.push(format!("{}?", equal.condition));
            values.push(equal.value.clone());
        }
    }

    fn add_times(&self, stretch: Stretch, conditions: &mut Vec<String>, values: &mut Vec<Value>) {
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
