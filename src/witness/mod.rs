//! Witnesses (C2SP tlog-witness): who has seen a checkpoint of a log cosigns the next one only when it continues what
//! was seen, so that a log cannot show one history here and another there, nor go back behind what it once signed.
//!
//! `mailtrail witness` is one, for the logs of friends (`api`, `memory`, `running`); an appliance asks those that its
//! setting `witnesses` names (`jobs::witnesses`). Here is what goes between them. None of it is trusted for the way it
//! came: a checkpoint is signed by its log, a cosignature by its witness.

pub mod api;
mod memory;
pub mod running;

use std::fmt;

use crate::tlog::merkle::Hash;
use crate::tlog::note::{MOST_BYTES, number};

/// Below the prefix of a witness.
pub const ADD_CHECKPOINT: &str = "/add-checkpoint";
/// The media type of the size that a 409 tells.
pub const SIZE: &str = "text/x.tlog.size";
/// Hashes of a consistency proof.
const LONGEST_PROOF: usize = 63;
/// Of a request: the checkpoint, the hashes with their line ends, and the first and the empty line.
pub const LONGEST: usize = MOST_BYTES + LONGEST_PROOF * 45 + 32;

/// The body of `add-checkpoint`:
///
/// ```text
/// old 20852014
/// PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
///
/// example.com/behind-the-sofa
/// 20852163
/// …
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// In leaves: what the witness has seen of the log, as far as the log knows.
    pub old: u64,
    /// That the first `old` leaves are still what they were (RFC 6962 section 2.1.2).
    pub proof: Vec<Hash>,
    /// The signed note.
    pub checkpoint: String,
}

impl Submission {
    /// Nothing of it is verified. `None` for what is not of this form, or has more than 63 hashes.
    pub fn parse(text: &str) -> Option<Self> {
        let (head, checkpoint) = text.split_once("\n\n")?;
        let mut lines = head.split('\n');
        let old = number(lines.next()?.strip_prefix("old ")?)?;
        let proof = lines.map(Hash::parse).collect::<Option<Vec<_>>>()?;
        (proof.len() <= LONGEST_PROOF).then(|| Self { old, proof, checkpoint: checkpoint.to_owned() })
    }
}

impl fmt::Display for Submission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        for hash in &self.proof {
            writeln!(f, "{hash}")?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_submission_is_read_as_it_is_written_and_no_other_way() {
        let hash = Hash::of(b"node");
        for proof in [vec![], vec![hash], vec![hash; LONGEST_PROOF]] {
            let submission = Submission { old: 7, proof, checkpoint: "a\n9\n…\n\n— a b\n".into() };
            assert_eq!(Submission::parse(&submission.to_string()), Some(submission));
        }
        let long = Submission { old: 7, proof: vec![hash; LONGEST_PROOF + 1], checkpoint: "a\n".into() };
        assert_eq!(Submission::parse(&long.to_string()), None);
        for text in [
            "",
            "old 0",
            "old 0\n",
            "old 00\n\nnote\n",
            "old 01\n\nnote\n",
            "old +1\n\nnote\n",
            "old -1\n\nnote\n",
            "old  1\n\nnote\n",
            "old \n\nnote\n",
            "Old 1\n\nnote\n",
            "old 1\r\n\nnote\n",
            "old 18446744073709551616\n\nnote\n",
            "old 1\nAAAA\n\nnote\n",
            "new 1\n\nnote\n",
        ] {
            assert_eq!(Submission::parse(text), None, "{text:?}");
        }
    }
}
