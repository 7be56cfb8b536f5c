//! The tree in the database: the hash of every leaf, and of every full subtree of 256, 65,536, … of them.
//!
//! What C2SP tlog-tiles calls tiles are runs of 256 hashes of one tier; they are cut from here when asked for. A row
//! of the table holds 126 of them, because so many fill a page: with 256 to a row, a leaf would take 34.0 bytes, not
//! 32.6.
//!
//! The writer keeps the unfinished row of each tier in memory and writes it when it has grown. That of the leaves grows
//! with every commit, and stands in `sequence`, whose page every commit writes anyway: with a page more a single write
//! took 4 to 14 % more of the processor. Nothing here is ever made anew from rows: a tree that does not go with the rows must be seen, not
//! mended.

use rusqlite::{Connection, OptionalExtension};

use super::merkle::{Frontier, Hash, Subtrees, node_hash};
use super::schema_version;
use crate::error::{Error, Result};

/// Hashes in a row of the table.
pub(super) const ROW: u64 = 126;
/// Levels from one tier to the next: 256 hashes under one.
pub const TIER: u32 = 8;
/// Hashes in a full tile.
pub const WIDTH: u64 = 1 << TIER;
/// A tree of 2^56 leaves is not reached.
const TIERS: usize = 7;

fn row_id(tier: u32, row: u64) -> i64 {
    (i64::from(tier) << 48) | i64::try_from(row).unwrap_or(i64::MAX)
}

/// The tree as the writer extends it.
#[derive(Clone)]
pub struct Tree {
    frontier: Frontier,
    /// By tier: the bytes of the last row, which is not full.
    unfinished: [Vec<u8>; TIERS],
}

impl Tree {
    /// As it is in the database.
    pub fn load(connection: &Connection) -> Result<Self> {
        let stored = Stored(connection);
        let size = stored.n_leaves()?;
        let mut unfinished: [Vec<u8>; TIERS] = Default::default();
        for (tier, bytes) in (0..).zip(&mut unfinished) {
            let n_hashes = size >> (TIER * tier);
            if !n_hashes.is_multiple_of(ROW) {
                *bytes = stored.row(tier, n_hashes / ROW)?;
                bytes.truncate((n_hashes % ROW) as usize * 32);
            }
        }
        Ok(Self { frontier: Frontier::of(size, &stored)?, unfinished })
    }

    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    pub fn root(&self) -> Hash {
        self.frontier.root()
    }

    /// Adds leaves, and writes down every hash that this makes.
    pub fn extend(&mut self, connection: &Connection, leaves: &[Hash]) -> Result<()> {
        let mut write = connection.prepare_cached(
            "INSERT INTO tree (id, hashes) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET hashes = ?2",
        )?;
        let mut touched = [false; TIERS];
        for leaf in leaves {
            let mut full = Vec::new();
            let (frontier, unfinished) = (&mut self.frontier, &mut self.unfinished);
            frontier.push(*leaf, |level, place, hash| {
                if level % TIER != 0 {
                    return;
                }
                let tier = (level / TIER) as usize;
                touched[tier] = true;
                unfinished[tier].extend_from_slice(&hash.0);
                if place % ROW == ROW - 1 {
                    full.push((tier, place / ROW));
                }
            });
            for (tier, row) in full {
                write.execute((row_id(tier as u32, row), &self.unfinished[tier]))?;
                self.unfinished[tier].clear();
            }
        }
        let size = self.size();
        connection
            .prepare_cached("UPDATE sequence SET n_leaves = ?1, leaves = ?2 WHERE one = 1")?
            .execute((i64::try_from(size).unwrap_or(i64::MAX), &self.unfinished[0]))?;
        for (tier, bytes) in self.unfinished.iter().enumerate().skip(1) {
            if touched[tier] && !bytes.is_empty() {
                let row = (size >> (TIER * tier as u32)) / ROW;
                write.execute((row_id(tier as u32, row), bytes))?;
            }
        }
        Ok(())
    }
}

/// Removes up to `limit` rows of the table that lie wholly between two leaves; says how many.
pub(super) fn forget(connection: &Connection, (first, end): (u64, u64), limit: i64) -> Result<i64> {
    let rows = (row_id(0, first.div_ceil(ROW)), row_id(0, end / ROW), limit);
    let n = connection
        .prepare_cached(
            "DELETE FROM tree WHERE id IN (SELECT id FROM tree WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3)",
        )?
        .execute(rows)?;
    Ok(n as i64)
}

/// The version of the schema from which on the last leaves stand in `sequence`; before, they were a row as well.
const IN_SEQUENCE: i64 = 5;

/// The tree as a snapshot has it.
pub struct Stored<'c>(pub &'c Connection);

impl Stored<'_> {
    /// How many leaves there are.
    pub fn n_leaves(&self) -> Result<u64> {
        if schema_version(self.0)? >= IN_SEQUENCE {
            let n_leaves = self
                .0
                .prepare_cached("SELECT n_leaves FROM sequence WHERE one = 1")?
                .query_row([], |row| row.get::<_, i64>(0))?;
            return Ok(n_leaves.unsigned_abs());
        }
        let last: Option<(i64, i64)> = self
            .0
            .prepare_cached("SELECT id, length(hashes) FROM tree WHERE id < ?1 ORDER BY id DESC LIMIT 1")?
            .query_row([row_id(1, 0)], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        Ok(last.map_or(0, |(row, bytes)| row.unsigned_abs() * ROW + bytes.unsigned_abs() / 32))
    }

    /// Hashes of a tier, `n` from the place `first` on.
    ///
    /// # Errors
    /// `Mismatch` when they are no longer kept, or not there yet.
    pub fn hashes(&self, tier: u32, first: u64, n: u64) -> Result<Vec<Hash>> {
        let end = first + n;
        let mut hashes = Vec::with_capacity(n as usize);
        for row in first / ROW..end.div_ceil(ROW) {
            let bytes = self.row(tier, row)?;
            let (start, stop) = (first.max(row * ROW) % ROW, (end - row * ROW).min(ROW));
            let part = bytes.get(start as usize * 32..stop as usize * 32).ok_or_else(|| absent(tier, row))?;
            hashes.extend(part.as_chunks::<32>().0.iter().map(|bytes| Hash(*bytes)));
        }
        Ok(hashes)
    }

    fn row(&self, tier: u32, row: u64) -> Result<Vec<u8>> {
        let found = self
            .0
            .prepare_cached("SELECT hashes FROM tree WHERE id = ?1")?
            .query_row([row_id(tier, row)], |row| row.get(0))
            .optional()?;
        match found {
            Some(hashes) => Ok(hashes),
            None if tier == 0 => self.last_leaves(row),
            None => Err(absent(tier, row)),
        }
    }

    /// Those that are no row of the table yet, when they would be this one.
    fn last_leaves(&self, row: u64) -> Result<Vec<u8>> {
        if schema_version(self.0)? < IN_SEQUENCE {
            return Err(absent(0, row));
        }
        let (n_leaves, hashes) = self
            .0
            .prepare_cached("SELECT n_leaves, leaves FROM sequence WHERE one = 1")?
            .query_row([], |row| Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get::<_, Vec<u8>>(1)?)))?;
        let are_these = n_leaves / ROW == row && n_leaves % ROW * 32 == hashes.len() as u64;
        if are_these { Ok(hashes) } else { Err(absent(0, row)) }
    }
}

impl Subtrees for Stored<'_> {
    fn subtree(&self, level: u32, place: u64) -> Result<Hash> {
        let (tier, above) = (level / TIER, level % TIER);
        let mut hashes = self.hashes(tier, place << above, 1 << above)?;
        while hashes.len() > 1 {
            hashes = hashes.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(*left, *right)).collect();
        }
        hashes.first().copied().ok_or_else(|| absent(tier, place))
    }
}

fn absent(tier: u32, row: u64) -> Error {
    Error::Mismatch(format!("the tree has no hashes of tier {tier}, row {row}"))
}
