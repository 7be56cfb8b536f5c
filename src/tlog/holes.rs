//! The numbers whose rows were removed.
//!
//! They stand beside the row of `controls` that says why they went, as ranges in a few bytes: two numbers of seven bits a
//! byte for each range, lowest bits first, the highest bit saying that more follow. The first is the distance from the end
//! of the range before, the second how many numbers follow the first one. Neighbours of one removal are one range; those
//! of two removals stay two, for each of them commits to its own.
//!
//! A run of retention that goes by pieces gathers their ranges (`removing`), so that it has one row of `controls` for each
//! owner and not one for each piece. Until then what it takes is explained by that alone.

use rusqlite::Connection;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::schema_version;
use crate::error::{Error, Result};
use crate::ids::hex;

/// Numbers without a row, from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hole {
    pub first: i64,
    pub last: i64,
}

impl Hole {
    fn n(&self) -> i64 {
        // Somebody may have written any number into the file.
        self.last.saturating_sub(self.first).saturating_add(1)
    }
}

pub(super) fn total(holes: &[Hole]) -> i64 {
    holes.iter().map(Hole::n).fold(0, i64::saturating_add)
}

/// How many of the numbers are at most this one.
pub(super) fn total_up_to(holes: &[Hole], last: i64) -> i64 {
    let below = holes.iter().filter(|hole| hole.first <= last);
    below.map(|hole| Hole { last: hole.last.min(last), ..*hole }.n()).fold(0, i64::saturating_add)
}

/// Of numbers in any order.
pub(super) fn ranges(mut numbers: Vec<i64>) -> Vec<Hole> {
    numbers.sort_unstable();
    joined(numbers.into_iter().map(|number| Hole { first: number, last: number }))
}

/// Neighbours in one; of rising ranges.
fn joined(holes: impl IntoIterator<Item = Hole>) -> Vec<Hole> {
    let mut all: Vec<Hole> = Vec::new();
    for hole in holes {
        match all.last_mut() {
            Some(before) if before.last.checked_add(1) == Some(hole.first) => before.last = hole.last,
            _ => all.push(hole),
        }
    }
    all
}

/// SHA-256 of a line `first-last` for each, in hex.
pub(super) fn digest(holes: &[Hole]) -> String {
    let mut hasher = Sha256::new();
    for hole in holes {
        hasher.update(format!("{}-{}\n", hole.first, hole.last));
    }
    hex(&hasher.finalize())
}

/// Of rising ranges that do not touch.
fn encode(holes: &[Hole]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(holes.len() * 3);
    let mut end = 0;
    for hole in holes {
        for number in [hole.first - end, hole.last - hole.first] {
            let mut rest = number.unsigned_abs();
            while rest >= 0x80 {
                bytes.push(rest as u8 | 0x80);
                rest >>= 7;
            }
            bytes.push(rest as u8);
        }
        end = hole.last;
    }
    bytes
}

/// `None` for what `encode` never makes.
fn decode(bytes: &[u8]) -> Option<Vec<Hole>> {
    let (mut holes, mut rest, mut end) = (Vec::new(), bytes, 0_i64);
    while !rest.is_empty() {
        let first = end.checked_add(number(&mut rest)?).filter(|first| *first > end)?;
        let last = first.checked_add(number(&mut rest)?)?;
        holes.push(Hole { first, last });
        end = last;
    }
    (encode(&holes) == bytes).then_some(holes)
}

fn number(bytes: &mut &[u8]) -> Option<i64> {
    let mut number = 0;
    for place in 0..9 {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= i64::from(byte & 0x7f) << (7 * place);
        if *byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// The version of the schema from which on they are kept like this; before, each range was a row of its own.
const AS_BYTES: i64 = 6;

/// Those of one row of `controls`.
///
/// # Errors
/// `Mismatch` when what stands there is none of ours.
pub(super) fn of(connection: &Connection, control: i64) -> Result<Vec<Hole>> {
    if schema_version(connection)? < AS_BYTES {
        let mut statement =
            connection.prepare_cached("SELECT first, last FROM holes WHERE control = ?1 ORDER BY first")?;
        let holes =
            statement.query_map([control], |row| Ok(Hole { first: row.get(0)?, last: row.get(1)? }))?;
        return Ok(holes.collect::<rusqlite::Result<_>>()?);
    }
    let mut statement = connection.prepare_cached("SELECT ranges FROM holes WHERE control = ?1")?;
    let mut rows = statement.query([control])?;
    let Some(row) = rows.next()? else { return Ok(Vec::new()) };
    decode(row.get_ref(0)?.as_blob().unwrap_or_default())
        .ok_or_else(|| Error::Mismatch(format!("what row {control} of control removed cannot be read")))
}

/// The rows of `controls` that removed something, as far as `holes` says.
pub(super) fn controls(connection: &Connection) -> Result<Vec<i64>> {
    let mut statement = connection.prepare_cached("SELECT DISTINCT control FROM holes ORDER BY control")?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn add(connection: &Connection, control: i64, holes: &[Hole]) -> Result<()> {
    connection
        .prepare_cached("INSERT INTO holes (control, ranges) VALUES (?1, ?2)")?
        .execute((control, encode(holes)))?;
    Ok(())
}

/// All of them, in order, those of a run that is under way with them. What cannot be read is left out: `controls` tells
/// of it.
pub fn all(connection: &Connection) -> Result<Vec<Hole>> {
    let mut all = Vec::new();
    for control in controls(connection)? {
        match of(connection, control) {
            Err(Error::Mismatch(_)) => {}
            holes => all.extend(holes?),
        }
    }
    for removing in removing(connection)? {
        all.extend(removing.holes);
    }
    all.sort_unstable();
    Ok(all)
}

/// What a run that is under way has removed of one owner.
pub struct Removing {
    pub why: Value,
    pub(super) holes: Vec<Hole>,
}

/// Adds to what a run removes: it has its row of `controls` at the end.
pub fn gather(connection: &Connection, why: &Value, numbers: Vec<i64>) -> Result<()> {
    connection
        .prepare_cached("INSERT INTO removing (why, ranges) VALUES (?1, ?2)")?
        .execute((why.to_string(), encode(&ranges(numbers))))?;
    Ok(())
}

/// What runs have gathered, by its reason.
///
/// # Errors
/// `Mismatch` when what stands there is none of ours.
pub(super) fn removing(connection: &Connection) -> Result<Vec<Removing>> {
    if schema_version(connection)? < AS_BYTES {
        return Ok(Vec::new());
    }
    let mut statement = connection.prepare_cached("SELECT why, ranges FROM removing ORDER BY why, id")?;
    let mut rows = statement.query([])?;
    let mut all: Vec<Removing> = Vec::new();
    while let Some(row) = rows.next()? {
        let why = serde_json::from_str(&row.get::<_, String>(0)?).unwrap_or_default();
        let holes = decode(row.get_ref(1)?.as_blob().unwrap_or_default())
            .ok_or_else(|| Error::Mismatch("what a run has removed so far cannot be read".into()))?;
        match all.last_mut() {
            Some(last) if last.why == why => last.holes.extend(holes),
            _ => all.push(Removing { why, holes }),
        }
    }
    for removing in &mut all {
        removing.holes.sort_unstable();
        removing.holes = joined(std::mem::take(&mut removing.holes));
    }
    Ok(all)
}

/// Forgets what was gathered, once it has its rows of `controls`.
pub(super) fn forget_removing(connection: &Connection) -> Result<()> {
    connection.execute("DELETE FROM removing", [])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn hole(first: i64, last: i64) -> Hole {
        Hole { first, last }
    }

    #[test]
    fn numbers_become_ranges() {
        assert_eq!(ranges(vec![]), []);
        assert_eq!(ranges(vec![3]), [hole(3, 3)]);
        assert_eq!(ranges(vec![8, 1, 3, 2, 7, 5]), [hole(1, 3), hole(5, 5), hole(7, 8)]);
        // printf '1-3\n5-5\n7-8\n' | sha256sum
        let expected = "cef86b42b7e64b9f74e79ee569c598837c05a7bd6857461b026a3af5e36e46c2";
        assert_eq!(digest(&ranges(vec![1, 2, 3, 5, 7, 8])), expected);
        assert_eq!(total_up_to(&[hole(1, 3), hole(5, 9)], 6), 5);
    }

    #[test]
    fn ranges_are_read_as_they_were_written_and_nothing_else_is() {
        for holes in [
            vec![],
            vec![hole(1, 1)],
            vec![hole(1, 127), hole(129, 129), hole(300, 20_000)],
            vec![hole(1 << 40, (1 << 40) + (1 << 20)), hole(i64::MAX, i64::MAX)],
        ] {
            assert_eq!(decode(&encode(&holes)), Some(holes));
        }
        assert_eq!(encode(&[hole(1, 127), hole(129, 129)]), [1, 126, 2, 0]);
        for bytes in [&[1][..], &[0, 0], &[1, 0x80], &[0x81, 0, 0], &[1, 0, 0, 5], &[0xff; 20]] {
            assert_eq!(decode(bytes), None, "{bytes:?}");
        }
    }
}
