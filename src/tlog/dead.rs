//! Tiles of which every row was removed. Nothing that is still there needs the hashes of their leaves: the hash over all
//! 256 is kept, and every proof of a living row goes through it. They are given up, 32 bytes a row, a day after.
//!
//! What is lost with them: a tree that ended inside such a tile can no longer be compared with that of today, so a tile
//! stays in which a seal ends. A pin of that size can still be verified, but not be held against the log.

use rusqlite::Connection;

use super::holes::{self, Hole};
use super::tree::{self, WIDTH};
use super::{epochs, leaf_of_number};
use crate::error::Result;

/// Gives up to `limit` rows of the table back; says how many.
pub fn forget(connection: &Connection, limit: i64) -> Result<i64> {
    let sealed: Vec<u64> =
        epochs::seals(connection)?.into_iter().map(|(size, _)| size.unsigned_abs()).collect();
    let mut left = limit;
    for tiles in runs(&holes::all(connection)?, &sealed) {
        left -= tree::forget(connection, (tiles.0 * WIDTH, tiles.1 * WIDTH), left)?;
        if left <= 0 {
            break;
        }
    }
    Ok(limit - left)
}

/// Runs of full tiles that lie in holes and in which no sealed tree ends: the first, and the one behind the last.
fn runs(holes: &[Hole], sealed: &[u64]) -> Vec<(u64, u64)> {
    let mut gaps: Vec<(u64, u64)> = Vec::new();
    for hole in holes {
        let (first, end) = (leaf_of_number(hole.first), leaf_of_number(hole.last) + 1);
        match gaps.last_mut() {
            Some(gap) if gap.1 == first => gap.1 = end,
            _ => gaps.push((first, end)),
        }
    }
    let mut runs = Vec::new();
    for (first, end) in gaps {
        let mut from = first.div_ceil(WIDTH);
        let to = end / WIDTH;
        let begin = sealed.partition_point(|size| *size <= from * WIDTH);
        for size in sealed[begin..].iter().take_while(|size| **size < to * WIDTH) {
            if !size.is_multiple_of(WIDTH) && size / WIDTH >= from {
                runs.push((from, size / WIDTH));
                from = size / WIDTH + 1;
            }
        }
        runs.push((from, to));
    }
    runs.retain(|(from, to)| from < to);
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tile_is_dead_when_all_of_it_is_gone_and_no_seal_ends_in_it() {
        let hole = |first, last| Hole { first, last };
        assert_eq!(runs(&[], &[]), []);
        assert_eq!(runs(&[hole(1, 255)], &[]), []);
        assert_eq!(runs(&[hole(1, 256)], &[]), [(0, 1)]);
        assert_eq!(runs(&[hole(2, 600)], &[]), [(1, 2)]);
        assert_eq!(runs(&[hole(1, 100), hole(101, 256), hole(258, 2000)], &[]), [(0, 1), (2, 7)]);
        // Seals at the ends of tiles need no leaf of them.
        assert_eq!(runs(&[hole(1, 2560)], &[0, 256, 2560, 9999]), [(0, 10)]);
        assert_eq!(runs(&[hole(1, 2560)], &[1, 255, 700, 701, 1025]), [(1, 2), (3, 4), (5, 10)]);
        assert_eq!(runs(&[hole(257, 512)], &[300]), []);
    }
}
