//! The proof that one row is in the tree, in a text that is checked without us (C2SP tlog-proof):
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! extra eyJ2IjoxLCJsb2ciOiJlbmZvcmNlbWVudCIsInNlcSI6Nyw…
//! index 6
//! gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=
//! B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=
//!
//! mail.example.org/mailtrail/5f3a91c2/1
//! 40123
//! …
//! ```
//!
//! `extra` is the row's line (`record`), base64: its SHA-256 is what the leaf holds. The hashes lead from the leaf to the
//! root, which stands in the checkpoint below them.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rusqlite::Connection;

use super::leaf_of_number;
use super::merkle::{self, Hash};
use super::note::{Checkpoint, Note, Verifier, number};
use super::record::{self, Record};
use super::rows::{Names, Rows, walk};
use super::tree::Stored;
use crate::error::{Error, Result};

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";
/// Of a tree of 2^64 leaves.
const LONGEST_PATH: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The row as the tree commits to it.
    pub line: Vec<u8>,
    /// The number of its leaf, from 0 on.
    pub index: u64,
    /// From the leaf's sibling to the root's child.
    pub path: Vec<Hash>,
    /// The signed note, whole.
    pub checkpoint: String,
}

impl Proof {
    /// Of the row with this number, in the tree of the checkpoint. `None` where no log has such a row.
    ///
    /// # Errors
    /// `Mismatch` when the row is not what was recorded: what does not verify is not handed out as a proof.
    pub fn of(connection: &Connection, logs: &[Rows], number: i64, checkpoint: &str) -> Result<Option<Self>> {
        let Some(line) = line(connection, logs, number)? else { return Ok(None) };
        let signed = Checkpoint::of_note(checkpoint)?;
        let index = leaf_of_number(number);
        let path = merkle::prove_inclusion(&Stored(connection), index, signed.size)?;
        if !merkle::is_included(index, record::leaf(&line), signed.size, signed.root, &path) {
            return Err(Error::Mismatch(format!("row {number} is not what was recorded: mailtrail verify")));
        }
        Ok(Some(Self { line, index, path, checkpoint: checkpoint.to_owned() }))
    }

    /// # Errors
    /// `Usage` for what is no proof, with why.
    pub fn parse(text: &str) -> Result<Self> {
        let refused = |why: &str| {
            Error::usage(format!("this is no proof: {why}"), "give one as `mailtrail proof LOG ID` prints it")
        };
        let (head, checkpoint) = text.split_once("\n\n").ok_or_else(|| refused("it has no empty line"))?;
        let mut lines = head.split('\n');
        if lines.next() != Some(FIRST_LINE) {
            return Err(refused("its first line is another"));
        }
        let extra = lines.next().and_then(|line| line.strip_prefix("extra "));
        let line = extra.and_then(|extra| STANDARD.decode(extra).ok());
        let line = line.ok_or_else(|| refused("its second line has no row"))?;
        let index = lines.next().and_then(|line| line.strip_prefix("index ")).and_then(number);
        let index = index.ok_or_else(|| refused("its third line has no index"))?;
        let path: Option<Vec<Hash>> = lines.map(Hash::parse).collect();
        let path = path.filter(|path| path.len() <= LONGEST_PATH);
        let path = path.ok_or_else(|| refused("a hash is none, or there are too many"))?;
        Note::parse(checkpoint)?;
        Ok(Self { line, index, path, checkpoint: checkpoint.to_owned() })
    }

    /// Whether the row is in the tree that one of these keys has signed for.
    ///
    /// # Errors
    /// `Mismatch` with what does not hold.
    pub fn verify(&self, verifiers: &[Verifier]) -> Result<Checkpoint> {
        let checkpoint = Checkpoint::signed(&self.checkpoint, verifiers)
            .map_err(|error| Error::Mismatch(format!("the checkpoint is not to be believed: {error}")))?;
        let leaf = record::leaf(&self.line);
        if !merkle::is_included(self.index, leaf, checkpoint.size, checkpoint.root, &self.path) {
            return Err(Error::Mismatch("the row is not in the tree that was signed for".into()));
        }
        let names_itself = serde_json::from_slice::<serde_json::Value>(&self.line).is_ok_and(|row| {
            row["seq"].as_i64().is_some_and(|number| number > 0 && leaf_of_number(number) == self.index)
        });
        if !names_itself {
            return Err(Error::Mismatch("the row is not the one that the proof is of".into()));
        }
        Ok(checkpoint)
    }
}

/// The row with this number, as the tree commits to it; `None` where no log has it.
pub fn line(connection: &Connection, logs: &[Rows], number: i64) -> Result<Option<Vec<u8>>> {
    let (mut names, mut record, mut found) = (Names::default(), Record::default(), None);
    walk(connection, logs, (number, number), |rows, number, row| {
        found = Some(rows.describe(connection, (number, row), &mut names, &mut record)?.to_vec());
        Ok(())
    })?;
    Ok(found)
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST_LINE}\nextra {}\nindex {}", STANDARD.encode(&self.line), self.index)?;
        for hash in &self.path {
            writeln!(f, "{hash}")?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}
