//! The whole database against its tree: every number is a row that its leaf commits to, or lies in a hole that a
//! control explains; every hash of the tree is that of what is under it.
//!
//! One pass over the rows in the order of their numbers, beside one over the leaves; memory does not grow with either,
//! but with the holes. It goes on after a finding, and tells each.

use rusqlite::Connection;

use super::controls;
use super::epochs;
use super::holes::{self, Hole};
use super::merkle::{Frontier, Hash};
use super::note::Checkpoint;
use super::record::{self, Record};
use super::rows::{Names, Rows, walk};
use super::tree::{ROW, Stored, TIER, WIDTH};
use super::{leaf_of_number, number_of};
use crate::error::{Error, Result};

/// What was verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    pub size: u64,
    /// `None` when the tree is not there to its end.
    pub root: Option<Hash>,
    pub n_rows: u64,
    pub n_removed: u64,
    pub n_findings: u64,
}

/// Tells every finding, in the order of the numbers: rows first, then what the tree itself has wrong. `last_seq` is the
/// last number that was given out.
///
/// # Errors
/// When the database cannot be read.
pub fn verify(
    connection: &Connection,
    logs: &[Rows],
    last_seq: i64,
    tell: &mut dyn FnMut(String),
) -> Result<Verified> {
    let mut n_findings = 0;
    let mut tell = |line: String| {
        n_findings += 1;
        tell(line);
    };
    let stored = Stored(connection);
    let size = stored.n_leaves()?;
    let holes = holes::all(connection)?;
    let mut leaves = Leaves { stored: &stored, size, first: 0, hashes: Vec::new() };
    let mut gaps = Gaps { holes: &holes, next: 1 };
    let (mut names, mut record) = (Names::default(), Record::default());
    let mut n_rows = 0;
    walk(connection, logs, (i64::MIN, i64::MAX), |rows, number, row| {
        n_rows += 1;
        let log = rows.log;
        if number < gaps.next {
            tell(format!("row {number} of {log} has a number that is not its own"));
            return Ok(());
        }
        if leaf_of_number(number) >= size {
            tell(format!("row {number} of {log} has no leaf"));
            return Ok(());
        }
        gaps.up_to(number, &mut tell);
        if gaps.has_removed(number) {
            tell(format!("row {number} of {log} was removed, and is there"));
        }
        gaps.next = number + 1;
        let line = match rows.describe(connection, (number, row), &mut names, &mut record) {
            Ok(line) => line,
            Err(Error::Mismatch(why)) => {
                tell(format!("row {number} of {log} does not match its leaf: {why}"));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        match leaves.of(leaf_of_number(number))? {
            Some(leaf) if leaf == record::leaf(line) => {}
            Some(_) => tell(format!("row {number} of {log} does not match its leaf")),
            None => tell(format!("row {number} of {log} has no leaf")),
        }
        Ok(())
    })?;
    gaps.up_to(number_of(size), &mut tell);
    controls::find_false_holes(connection, &mut tell)?;
    if number_of(size) != last_seq.saturating_add(1) {
        tell(format!("the tree has {size} leaves, and {last_seq} numbers were given out"));
    }
    let seals = seals(connection, size, &mut tell)?;
    let root = match find_false_hashes(&stored, size, &seals, &mut tell) {
        Err(Error::Mismatch(why)) => {
            tell(why);
            None
        }
        root => Some(root?),
    };
    let n_removed = holes::total(&holes).unsigned_abs();
    Ok(Verified { size, root, n_rows, n_removed, n_findings })
}

/// The numbers that no row has.
struct Gaps<'h> {
    /// Those that are not behind us.
    holes: &'h [Hole],
    next: i64,
}

impl Gaps<'_> {
    /// Goes on to `number`; what is skipped has to be in holes.
    fn up_to(&mut self, number: i64, tell: &mut dyn FnMut(String)) {
        while self.next < number {
            self.skip_holes();
            let end = match self.holes.first() {
                Some(hole) if hole.first <= self.next => {
                    self.next = hole.last.saturating_add(1).min(number);
                    continue;
                }
                Some(hole) => hole.first.min(number),
                None => number,
            };
            match end - self.next {
                1 => tell(format!("unexplained gap at seq {}", self.next)),
                _ => tell(format!("unexplained gap at seq {} to {}", self.next, end - 1)),
            }
            self.next = end;
        }
    }

    fn has_removed(&mut self, number: i64) -> bool {
        self.skip_holes();
        self.holes.first().is_some_and(|hole| hole.first <= number && number <= hole.last)
    }

    fn skip_holes(&mut self) {
        while let [hole, rest @ ..] = self.holes
            && hole.last < self.next
        {
            self.holes = rest;
        }
    }
}

/// Leaves, read by the row of the table.
struct Leaves<'s, 'c> {
    stored: &'s Stored<'c>,
    size: u64,
    first: u64,
    hashes: Vec<Hash>,
}

impl Leaves<'_, '_> {
    /// `None` when the table has no such row, or a shorter one.
    fn of(&mut self, leaf: u64) -> Result<Option<Hash>> {
        if !(self.first..self.first + self.hashes.len() as u64).contains(&leaf) {
            self.first = leaf - leaf % ROW;
            self.hashes = match self.stored.hashes(0, self.first, ROW.min(self.size - self.first)) {
                Err(Error::Mismatch(_)) => Vec::new(),
                hashes => hashes?,
            };
        }
        Ok(self.hashes.get((leaf - self.first) as usize).copied())
    }
}

/// The checkpoints that were kept for good, smallest first: the tree has to begin with each.
fn seals(connection: &Connection, size: u64, tell: &mut dyn FnMut(String)) -> Result<Vec<Checkpoint>> {
    let verifiers = epochs::verifiers(connection)?;
    let mut seals = Vec::new();
    for (sealed, note) in epochs::seals(connection)? {
        match Checkpoint::signed(&note, &verifiers) {
            Err(Error::Mismatch(why)) => {
                tell(format!("the seal of {sealed} entries is not to be believed: {why}"))
            }
            Err(error) => return Err(error),
            Ok(checkpoint) if checkpoint.size > size => {
                tell(format!("there is a seal of {} entries, and there are {size}", checkpoint.size));
            }
            Ok(checkpoint) => seals.push(checkpoint),
        }
    }
    seals.sort_by_key(|checkpoint| checkpoint.size);
    Ok(seals)
}

/// Tells every hash that is not that of what is under it, and every seal that is not of this tree. Gives the root. Where
/// a tile was given up (`dead`), the hash over it is taken as it is.
///
/// # Errors
/// `Mismatch` at the first hash that is not there.
fn find_false_hashes(
    stored: &Stored<'_>,
    size: u64,
    mut seals: &[Checkpoint],
    tell: &mut dyn FnMut(String),
) -> Result<Hash> {
    let mut frontier = Frontier::default();
    let mut full = Vec::new();
    let mut compare = |frontier: &Frontier, tell: &mut dyn FnMut(String)| {
        while let [checkpoint, rest @ ..] = seals
            && checkpoint.size <= frontier.size()
        {
            if checkpoint.size < frontier.size() || checkpoint.root != frontier.root() {
                tell(format!("the first {} entries are not those that were sealed", checkpoint.size));
            }
            seals = rest;
        }
    };
    compare(&frontier, tell);
    while frontier.size() < size {
        let first = frontier.size();
        let mut note = |level: u32, place, hash| {
            if level > 0 && level.is_multiple_of(TIER) {
                full.push((level / TIER, place, hash));
            }
        };
        match stored.hashes(0, first, WIDTH.min(size - first)) {
            Err(Error::Mismatch(_)) if size - first >= WIDTH => {
                frontier.push_subtree(TIER, stored.hashes(1, first / WIDTH, 1)?[0], &mut note);
                compare(&frontier, tell);
            }
            leaves => {
                for leaf in leaves? {
                    frontier.push(leaf, &mut note);
                    compare(&frontier, tell);
                }
            }
        }
        for (tier, place, hash) in full.drain(..) {
            if stored.hashes(tier, place, 1)? != [hash] {
                let (first, last) = (place << (TIER * tier), (place + 1) << (TIER * tier));
                tell(format!("the hash over the leaves of {} to {last} is not theirs", number_of(first)));
            }
        }
    }
    Ok(frontier.root())
}
