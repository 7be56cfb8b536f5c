//! Which rows are leaves: each log says what its table's columns mean, and everything else is done here, the same way
//! when a row is recorded and when it is verified.
//!
//! An inner number is written as what it stands for (an owner's UUID, a text, a word): a row cannot be moved to
//! somebody else, or made to say something else, by changing what its number stands for.

use rusqlite::fallible_streaming_iterator::FallibleStreamingIterator;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row};

use super::record::Record;
use crate::error::{Error, Result};
use crate::ids::Uuid;

/// A table whose every row is a leaf. It has a column `seq`, which is the leaf's number plus one, and `salt`.
pub struct Rows {
    /// As it is called in records and findings.
    pub log: &'static str,
    pub table: &'static str,
    /// All columns but `seq`, `salt` and those that are generated.
    pub columns: &'static [Column],
}

/// What stands in a column.
pub enum Column {
    /// Itself.
    Value(&'static str),
    /// The number of an owner.
    Owner(Owner),
    /// The number of one of `texts`.
    Text(&'static str),
    /// The number of a word in a closed list.
    Word(&'static str, fn(i64) -> Option<&'static str>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    Workspace,
    Tenant,
    Project,
}

impl Owner {
    fn word(self) -> &'static str {
        match self {
            Self::Workspace => "workspace",
            Self::Tenant => "tenant",
            Self::Project => "project",
        }
    }
}

impl Column {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Value(name) | Self::Text(name) | Self::Word(name, _) => name,
            Self::Owner(owner) => owner.word(),
        }
    }
}

impl Rows {
    fn select(&self) -> String {
        let columns: String = self.columns.iter().flat_map(|column| [column.name(), ", "]).collect();
        format!("SELECT seq, {columns}salt FROM {} WHERE seq BETWEEN ?1 AND ?2 ORDER BY seq", self.table)
    }

    /// The line of a row that `select` gave.
    ///
    /// # Errors
    /// `Mismatch` when it cannot be the line of anything that was recorded.
    pub fn describe<'r>(
        &self,
        connection: &Connection,
        row: &Row<'_>,
        names: &mut Names,
        record: &'r mut Record,
    ) -> Result<&'r [u8]> {
        record.begin(self.log, row.get(0)?);
        for (at, column) in (1..).zip(self.columns) {
            let value = row.get_ref(at)?;
            match column {
                _ if value == ValueRef::Null => {}
                Column::Value(name) => record.value(name, value)?,
                Column::Owner(owner) => {
                    let uuid = names.owner(connection, *owner, number(owner.word(), value)?)?;
                    record.text(owner.word(), uuid);
                }
                Column::Text(name) => {
                    record.text(name, names.text(connection, number(name, value)?)?);
                }
                Column::Word(name, word) => {
                    let number = number(name, value)?;
                    let word = word(number);
                    record.text(name, word.ok_or_else(|| Error::Mismatch(format!("{name} is {number}")))?);
                }
            }
        }
        record.end(row.get_ref(self.columns.len() + 1)?)
    }
}

fn number(name: &str, value: ValueRef<'_>) -> Result<i64> {
    match value {
        ValueRef::Integer(number) => Ok(number),
        other => Err(Error::Mismatch(format!("{name} is {:?}, not a number", other.data_type()))),
    }
}

/// Visits the rows with the numbers `from..=to` of all logs, in the order of their numbers.
pub fn walk(
    connection: &Connection,
    logs: &[Rows],
    (from, to): (i64, i64),
    mut visit: impl FnMut(&Rows, i64, &Row<'_>) -> Result<()>,
) -> Result<()> {
    let mut statements = Vec::with_capacity(logs.len());
    for rows in logs {
        statements.push(connection.prepare_cached(&rows.select())?);
    }
    let mut cursors = Vec::with_capacity(logs.len());
    for statement in &mut statements {
        let mut cursor = statement.query((from, to))?;
        cursor.advance()?;
        cursors.push(cursor);
    }
    loop {
        let mut next: Option<(i64, usize)> = None;
        for (at, cursor) in cursors.iter().enumerate() {
            if let Some(row) = cursor.get() {
                let seq = row.get(0)?;
                if next.is_none_or(|(least, _)| seq < least) {
                    next = Some((seq, at));
                }
            }
        }
        let Some((seq, at)) = next else { return Ok(()) };
        if let Some(row) = cursors[at].get() {
            visit(&logs[at], seq, row)?;
        }
        cursors[at].advance()?;
    }
}

/// What inner numbers stand for, each looked up once. They stand for the same for ever; only what was rolled back has
/// to be forgotten.
#[derive(Default)]
pub struct Names {
    workspaces: Known,
    tenants: Known,
    projects: Known,
    texts: Known,
}

impl Names {
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// # Errors
    /// `Mismatch` for a number that stands for nobody.
    fn owner(&mut self, connection: &Connection, owner: Owner, number: i64) -> Result<&str> {
        let (known, sql) = match owner {
            Owner::Workspace => (&mut self.workspaces, "SELECT uuid FROM workspaces WHERE id = ?1"),
            Owner::Tenant => (&mut self.tenants, "SELECT uuid FROM tenants WHERE id = ?1"),
            Owner::Project => (&mut self.projects, "SELECT uuid FROM projects WHERE id = ?1"),
        };
        known.get(number, || {
            let find = |row: &Row<'_>| row.get::<_, Uuid>(0);
            let found = connection.prepare_cached(sql)?.query_row([number], find).optional()?;
            let found = found.map(|uuid| uuid.to_string());
            found.ok_or_else(|| Error::Mismatch(format!("there is no {} {number}", owner.word())))
        })
    }

    /// # Errors
    /// `Mismatch` for a number that no text has.
    fn text(&mut self, connection: &Connection, number: i64) -> Result<&str> {
        self.texts.get(number, || {
            let mut find = connection.prepare_cached("SELECT text FROM texts WHERE id = ?1")?;
            let found = find.query_row([number], |row| row.get(0)).optional()?;
            found.ok_or_else(|| Error::Mismatch(format!("there is no text {number}")))
        })
    }
}

/// Names by their number, which are counted from 1. Those of large numbers share the last place, and are looked up
/// each time.
#[derive(Default)]
struct Known(Vec<Option<String>>);

const REMEMBERED: usize = 65_536;

impl Known {
    fn get(&mut self, number: i64, look_up: impl FnOnce() -> Result<String>) -> Result<&str> {
        let place = usize::try_from(number).unwrap_or(REMEMBERED).min(REMEMBERED);
        if self.0.len() <= place {
            self.0.resize(place + 1, None);
        }
        let known = &mut self.0[place];
        if place == REMEMBERED {
            *known = None;
        }
        if known.is_none() {
            *known = Some(look_up()?);
        }
        Ok(known.as_deref().unwrap_or_default())
    }
}
