//! The proof that nothing was edited: every row of every log is a leaf of one Merkle tree (RFC 6962), whose root is
//! signed now and then (C2SP tlog-checkpoint). Who has an old signature can see that the tree of today begins with
//! that of then; who has one row can see that it is in the tree.
//!
//! The leaf of a row has the row's number less one. The writer adds the leaves of what a transaction recorded just
//! before its commit, out of the rows as they are then stored: no row is without its leaf, and what is verified later
//! is made by the same few lines as what was committed to.
//!
//! What this cannot show: that what was recorded was true; what was edited before anybody else had a checkpoint; and
//! who has the key and the machine can sign another tree for whoever has no checkpoint of this one.
//!
//! # Dangers
//! The words and columns of a record (`rows`, `record`) are for ever: to change them is to make every proof given so
//! far worthless. A new form gets a new `v`.

pub mod controls;
pub mod merkle;
pub mod record;
pub mod rows;
pub mod tree;
pub mod verify;

use rusqlite::Connection;
use serde_json::json;

use crate::error::{Error, Result};
use crate::time::Timestamp;
use controls::{Hole, Kind};
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
        leaves.push(record::leaf(rows.describe(connection, row, names, &mut record)?));
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
    let (mut tree, mut names, mut record) = (Tree::load(connection)?, Names::default(), Record::default());
    let (mut leaves, mut holes) = (Vec::new(), Vec::new());
    let nothing = record::leaf_of(Hash([0; 32]));
    let mut next = 1;
    let mut skip_to = |number: i64, leaves: &mut Vec<Hash>, next: &mut i64| {
        if *next < number {
            holes.push(Hole { first: *next, last: number - 1 });
            leaves.extend((*next..number).map(|_| nothing));
        }
        *next = number + 1;
    };
    rows::walk(connection, logs, (1, last_seq), |rows, number, row| {
        skip_to(number, &mut leaves, &mut next);
        leaves.push(record::leaf(rows.describe(connection, row, &mut names, &mut record)?));
        if leaves.len() >= 100_000 {
            tree.extend(connection, &leaves)?;
            leaves.clear();
        }
        Ok(())
    })?;
    skip_to(last_seq + 1, &mut leaves, &mut next);
    tree.extend(connection, &leaves)?;
    if last_seq == 0 {
        return Ok(0);
    }
    let number = last_seq + 1;
    controls::record(connection, number, Kind::Begin, now, json!({}), &holes)?;
    grow(connection, logs, &mut tree, &mut names, number)?;
    Ok(number)
}

/// The leaf of the row with this number, which is above 0.
pub fn leaf_of_number(number: i64) -> u64 {
    u64::try_from(number - 1).unwrap_or(u64::MAX)
}

/// The number of the row whose leaf this is.
pub fn number_of(leaf: u64) -> i64 {
    i64::try_from(leaf).unwrap_or(i64::MAX - 1) + 1
}
