//! Which rows are leaves: each log says what its table's columns mean, and everything else is done here, the same way
//! when a row is recorded and when it is verified.
//!
//! An inner number is written as what it stands for (an owner's UUID, a text, a word): a row cannot be moved to
//! somebody else, or made to say something else, by changing what its number stands for.

use rusqlite::fallible_streaming_iterator::FallibleStreamingIterator;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

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
    /// Those that a later version of the schema added, and which: nothing stands in them in a file of an earlier one.
    /// Where nothing stands, the line does not name them, and so every row keeps the leaf that it has.
    pub added: &'static [(i64, Column)],
}

/// What stands in a column.
pub enum Column {
    /// Itself.
    Value(&'static str),
    /// The number of an owner, who is found by the function.
    Owner(&'static str, fn(&Connection, i64) -> Result<Option<Uuid>>),
    /// The number of a text, which is found by the function.
    Text(&'static str, fn(&Connection, i64) -> Result<Option<String>>),
    /// The number of a word in a closed list.
    Word(&'static str, fn(i64) -> Option<&'static str>),
}

impl Column {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Value(name) | Self::Owner(name, _) | Self::Text(name, _) | Self::Word(name, _) => name,
        }
    }
}

impl Rows {
    fn select(&self, version: i64) -> String {
        let added = self.added.iter().map(|(since, column)| match *since <= version {
            true => column.name(),
            false => "NULL",
        });
        let names = self.columns.iter().map(Column::name).chain(added);
        let columns: String = names.flat_map(|name| [name, ", "]).collect();
        format!("SELECT seq, {columns}salt FROM {} WHERE seq BETWEEN ?1 AND ?2 ORDER BY seq", self.table)
    }

    /// In the order of a line.
    pub fn all_columns(&self) -> impl Iterator<Item = &'static Column> {
        self.columns.iter().chain(self.added.iter().map(|(_, column)| column))
    }

    /// Every column of a row, as `walk` gives it, with what stands in it.
    pub fn each(
        &self,
        row: &Row<'_>,
        mut visit: impl FnMut(&'static Column, ValueRef<'_>) -> Result<()>,
    ) -> Result<()> {
        (1..).zip(self.all_columns()).try_for_each(|(at, column)| visit(column, row.get_ref(at)?))
    }

    /// The line of a row, by its number, as `walk` gives both.
    ///
    /// # Errors
    /// `Mismatch` when it cannot be the line of anything that was recorded.
    pub fn describe<'r>(
        &self,
        connection: &Connection,
        (seq, row): (i64, &Row<'_>),
        names: &mut Names,
        record: &'r mut Record,
    ) -> Result<&'r [u8]> {
        record.begin(self.log, seq);
        for (at, column) in (1..).zip(self.all_columns()) {
            let value = row.get_ref(at)?;
            match column {
                _ if value == ValueRef::Null => {}
                Column::Value(name) => record.value(name, value)?,
                Column::Owner(name, find) => {
                    let number = number(name, value)?;
                    let find = || Ok(find(connection, number)?.map(|uuid| uuid.to_string()));
                    record.text(name, names.get(name, number, find)?);
                }
                Column::Text(name, find) => {
                    let number = number(name, value)?;
                    record.text(name, names.get(name, number, || find(connection, number))?);
                }
                Column::Word(name, word) => {
                    let number = number(name, value)?;
                    let word = word(number);
                    record.text(name, word.ok_or_else(|| Error::Mismatch(format!("{name} is {number}")))?);
                }
            }
        }
        record.end(row.get_ref(self.columns.len() + self.added.len() + 1)?)
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
    range: (i64, i64),
    mut visit: impl FnMut(&Rows, i64, &Row<'_>) -> Result<()>,
) -> Result<()> {
    walk_while(connection, logs, range, |rows, number, row| visit(rows, number, row).map(|()| true))
}

/// `walk`, for as long as `visit` says so.
pub fn walk_while(
    connection: &Connection,
    logs: &[Rows],
    (from, to): (i64, i64),
    mut visit: impl FnMut(&Rows, i64, &Row<'_>) -> Result<bool>,
) -> Result<()> {
    let version = super::schema_version(connection)?;
    let mut statements = Vec::with_capacity(logs.len());
    for rows in logs {
        statements.push(connection.prepare_cached(&rows.select(version))?);
    }
    // Of each log that is not at its end: the number of the row in hand, and the cursor on it.
    let mut cursors = Vec::with_capacity(logs.len());
    for (rows, statement) in logs.iter().zip(&mut statements) {
        let mut cursor = statement.query((from, to))?;
        if let Some(row) = cursor.next()? {
            cursors.push((row.get(0)?, rows, cursor));
        }
    }
    while let Some(at) = (0..cursors.len()).min_by_key(|at| cursors[*at].0) {
        let (seq, rows, cursor) = &mut cursors[at];
        if let Some(row) = cursor.get()
            && !visit(rows, *seq, row)?
        {
            return Ok(());
        }
        match cursor.next()? {
            Some(row) => *seq = row.get(0)?,
            None => drop(cursors.remove(at)),
        }
    }
    Ok(())
}

/// What inner numbers stand for, by the column's name, each looked up once. They stand for the same for ever; only what
/// was rolled back has to be forgotten.
#[derive(Default)]
pub struct Names(Vec<(&'static str, Known)>);

/// By number, counted from 1. Those of large numbers share the last place, and are looked up each time.
type Known = Vec<Option<String>>;

const REMEMBERED: usize = 65_536;

impl Names {
    pub fn forget(&mut self) {
        self.0.clear();
    }

    /// # Errors
    /// `Mismatch` for a number that stands for nothing.
    fn get(
        &mut self,
        name: &'static str,
        number: i64,
        find: impl FnOnce() -> Result<Option<String>>,
    ) -> Result<&str> {
        let at = match self.0.iter().position(|(known, _)| *known == name) {
            Some(at) => at,
            None => {
                self.0.push((name, Known::new()));
                self.0.len() - 1
            }
        };
        let known = &mut self.0[at].1;
        let place = usize::try_from(number).unwrap_or(REMEMBERED).min(REMEMBERED);
        if known.len() <= place {
            known.resize(place + 1, None);
        }
        if place == REMEMBERED || known[place].is_none() {
            known[place] = find()?;
        }
        let found = known[place].as_deref();
        found.ok_or_else(|| Error::Mismatch(format!("there is no {name} {number}")))
    }
}
