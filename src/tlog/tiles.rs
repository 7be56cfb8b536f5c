//! The tree as C2SP tlog-tiles serves it: runs of 256 hashes of every eighth level, and bundles of what the leaves hold.
//!
//! A leaf holds the SHA-256 of a row's line, and that is not kept beside the leaf's own hash: who reads tiles learns
//! nothing of a row, and a bundle can be made only of rows that are all still there.

use rusqlite::Connection;

use super::merkle::Hash;
use super::note::number;
use super::number_of;
use super::record::{Record, leaf_of};
use super::rows::{Names, Rows, walk};
use super::tree::{Stored, TIER, WIDTH};
use crate::error::{Error, Result};

/// Elements of a path, of three digits each: more tiles there are not.
const MOST_ELEMENTS: usize = 6;

/// What is asked for: `WIDTH` hashes, or fewer of the last tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    pub level: Level,
    pub place: u64,
    pub width: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Hashes of one tier; 0: of the leaves.
    Hashes(u32),
    /// What the leaves hold.
    Entries,
}

impl Tile {
    /// Of a level and a place as they stand in a path: `0` and `x001/x234/067`, with `.p/5` behind it for a partial
    /// tile. `None` for any other spelling.
    pub fn parse(level: &str, place: &str) -> Option<Self> {
        let level = match level {
            "entries" => Level::Entries,
            level => Level::Hashes(number(level).filter(|level| *level <= 63)? as u32),
        };
        let (place, width) = match place.split_once(".p/") {
            None => (place, WIDTH),
            Some((place, width)) => (place, number(width).filter(|width| (1..WIDTH).contains(width))?),
        };
        let elements: Vec<&str> = place.split('/').collect();
        let (last, before) = elements.split_last()?;
        if elements.len() > MOST_ELEMENTS || (elements.len() > 1 && before.first() == Some(&"x000")) {
            return None;
        }
        let mut at = 0;
        for element in before.iter().map(|element| element.strip_prefix('x')).chain([Some(*last)]) {
            let digits = element.filter(|digits| digits.len() == 3)?;
            if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            at = at * 1000 + digits.parse::<u64>().ok()?;
        }
        Some(Self { level, place: at, width })
    }

    /// Its bytes; `None` where the tree has none such yet, or a bundle is of rows that are not all there any more.
    pub fn read(self, connection: &Connection, logs: &[Rows]) -> Result<Option<Vec<u8>>> {
        let stored = Stored(connection);
        let tier = match self.level {
            Level::Hashes(tier) => tier,
            Level::Entries => 0,
        };
        let n_hashes = stored.n_leaves()?.checked_shr(TIER * tier).unwrap_or(0);
        let first = self.place * WIDTH;
        if first + self.width > n_hashes {
            return Ok(None);
        }
        let hashes = match stored.hashes(tier, first, self.width) {
            // Nobody needs them any more.
            Err(Error::Mismatch(_)) => return Ok(None),
            hashes => hashes?,
        };
        match self.level {
            Level::Hashes(_) => Ok(Some(hashes.iter().flat_map(|hash| hash.0).collect())),
            Level::Entries => bundle(connection, logs, first, &hashes),
        }
    }
}

/// The SHA-256 of each row's line, with its length before it.
fn bundle(connection: &Connection, logs: &[Rows], first: u64, leaves: &[Hash]) -> Result<Option<Vec<u8>>> {
    let (mut names, mut record) = (Names::default(), Record::default());
    let mut bytes = Vec::with_capacity(leaves.len() * 34);
    let mut next = leaves.iter();
    let numbers = (number_of(first), number_of(first + leaves.len() as u64 - 1));
    walk(connection, logs, numbers, |rows, number, row| {
        let held = Hash::of(rows.describe(connection, (number, row), &mut names, &mut record)?);
        // After a row that is not there, or not what it was, none is in its place.
        if next.next() == Some(&leaf_of(held)) {
            bytes.extend_from_slice(&[0, 32]);
            bytes.extend_from_slice(&held.0);
        }
        Ok(())
    })?;
    Ok((bytes.len() == leaves.len() * 34).then_some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tile_has_one_spelling() {
        let tile = |level, place, width| Some(Tile { level, place, width });
        assert_eq!(Tile::parse("0", "000"), tile(Level::Hashes(0), 0, 256));
        assert_eq!(Tile::parse("63", "x001/x234/067"), tile(Level::Hashes(63), 1_234_067, 256));
        assert_eq!(Tile::parse("entries", "x001/000.p/255"), tile(Level::Entries, 1000, 255));
        for (level, place) in [
            ("64", "000"),
            ("00", "000"),
            ("-1", "000"),
            ("", "000"),
            ("data", "000"),
            ("0", ""),
            ("0", "0"),
            ("0", "0000"),
            ("0", "x000"),
            ("0", "x000/001"),
            ("0", "001/001"),
            ("0", "x01/001"),
            ("0", "+01"),
            ("0", "000.p/0"),
            ("0", "000.p/01"),
            ("0", "000.p/256"),
            ("0", "000.p/"),
            ("0", "000.p"),
            ("0", "000/"),
            ("0", "x001/x001/x001/x001/x001/x001/001"),
        ] {
            assert_eq!(Tile::parse(level, place), None, "{level} {place}");
        }
    }
}
