//! The proof that nothing was edited: every row of every log is a leaf of one Merkle tree (RFC 6962). Who has an old
//! root can see that the tree of today begins with that of then; who has one row can see that it is in the tree.
//!
//! The leaf of a row has the row's number less one. The writer adds the leaves of what a transaction recorded just
//! before its commit, out of the rows as they are then stored: no row is without its leaf, and what is verified later
//! is made by the same few lines as what was committed to.
//!
//! What this cannot show: that what was recorded was true; and who can write the file can make another tree for whoever
//! has no root of this one.
//!
//! # Dangers
//! The words and columns of a record (`rows`, `record`) are for ever: to change them is to make every proof given so
//! far worthless. A new form gets a new `v`.

pub mod controls;
pub mod dead;
pub mod epochs;
pub mod holes;
pub mod merkle;
pub mod note;
pub mod proof;
pub mod record;
pub mod removals;
pub mod rows;
pub mod tiles;
pub mod tree;
pub mod verify;

use rusqlite::Connection;
use serde_json::json;

use crate::error::{Error, Result};
use crate::time::Timestamp;
use controls::Kind;
use holes::Hole;
use merkle::Hash;
use record::Record;
use rows::{Names, Rows};
use tree::Tree;

/// Adds the leaves of the rows that were recorded since, up to the number `last_seq`.
///
/// # Errors
/// `Internal` when a number was given out that no row has, or two.
pub fn grow(
    connection: &Connection,
    logs: &[Rows],
    tree: &mut Tree,
    names: &mut Names,
    last_seq: i64,
) -> Result<()> {
    let mut next = number_of(tree.size());
    if next > last_seq {
        return Ok(());
    }
    let mut record = Record::default();
    let mut leaves = Vec::new();
    rows::walk(connection, logs, (next, last_seq), |rows, seq, row| {
        if seq != next {
            return Err(Error::Internal(format!(
                "the number {next} was given out, and {seq} is the next row's"
            )));
        }
        next += 1;
        leaves.push(record::leaf(rows.describe(connection, (seq, row), names, &mut record)?));
        Ok(())
    })?;
    if next <= last_seq {
        return Err(Error::Internal(format!("the number {next} was given out, and no row has it")));
    }
    tree.extend(connection, &leaves)
}

/// Gives leaves to the rows that are there when the tree begins, up to the number `last_seq`. What had been removed
/// before gets one that commits to nothing, and the last leaf says which those are. Returns its number; where nothing
/// was recorded yet, there is nothing to say.
pub fn begin(connection: &Connection, logs: &[Rows], last_seq: i64, now: Timestamp) -> Result<i64> {
    if last_seq == 0 {
        return Ok(0);
    }
    let mut planting = Planting { connection, tree: Tree::load(connection)?, leaves: Vec::new() };
    let (mut names, mut record, mut holes) = (Names::default(), Record::default(), Vec::new());
    rows::walk(connection, logs, (1, last_seq), |rows, number, row| {
        holes.extend(planting.skip_to(number)?);
        planting.add(record::leaf(rows.describe(connection, (number, row), &mut names, &mut record)?))
    })?;
    let number = last_seq + 1;
    holes.extend(planting.skip_to(number)?);
    controls::record(connection, number, Kind::Begin, now, json!({}), &holes)?;
    grow(connection, logs, &mut planting.done()?, &mut names, number)?;
    Ok(number)
}

/// Leaves on their way into the tree, a bounded number at a time: there may be more of them than memory holds.
struct Planting<'c> {
    connection: &'c Connection,
    tree: Tree,
    leaves: Vec<Hash>,
}

impl Planting<'_> {
    const AT_ONCE: usize = 100_000;

    fn add(&mut self, leaf: Hash) -> Result<()> {
        self.leaves.push(leaf);
        if self.leaves.len() == Self::AT_ONCE {
            self.tree.extend(self.connection, &self.leaves)?;
            self.leaves.clear();
        }
        Ok(())
    }

    /// Adds a leaf that commits to nothing for each number before this one. Returns which those were.
    fn skip_to(&mut self, number: i64) -> Result<Option<Hole>> {
        let first = number_of(self.tree.size() + self.leaves.len() as u64);
        let nothing = record::leaf_of(Hash([0; 32]));
        (first..number).try_for_each(|_| self.add(nothing))?;
        Ok((first < number).then_some(Hole { first, last: number - 1 }))
    }

    fn done(mut self) -> Result<Tree> {
        self.tree.extend(self.connection, &self.leaves)?;
        Ok(self.tree)
    }
}

/// Of the database, which may be a file of an older program: it is verified as it is.
fn schema_version(connection: &Connection) -> Result<i64> {
    Ok(connection.prepare_cached("PRAGMA user_version")?.query_row([], |row| row.get(0))?)
}

/// The leaf of the row with this number, which is above 0.
pub fn leaf_of_number(number: i64) -> u64 {
    u64::try_from(number - 1).unwrap_or(u64::MAX)
}

/// The number of the row whose leaf this is.
pub fn number_of(leaf: u64) -> i64 {
    i64::try_from(leaf).unwrap_or(i64::MAX - 1) + 1
}
