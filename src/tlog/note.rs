//! Signed notes (C2SP signed-note): a text and lines of signatures below it, as checkpoints of transparency logs have
//! them. Ed25519 only.
//!
//! ```text
//! mail.example.org/mailtrail/5f3a91c2/1
//! 40123
//! F2m8rjItpfoL8ekzbmnzthiT1zJH7bHV/5nCbQUzFrY=
//!
//! — mail.example.org/mailtrail/5f3a91c2/1 vnqK8QcBrkyZRqeXB7s…
//! ```
//!
//! The text ends with its last line end, the signature is over just that text, and stands after the first four bytes
//! of SHA-256(name, line end, kind, key), which tell keys of one name apart.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use super::merkle::Hash;
use super::proof::number;
use crate::error::{Error, Result};
use crate::ids::{hex, unhex};

/// The kind of key: Ed25519.
const ED25519: u8 = 1;
/// Of a note from outside.
const MOST_BYTES: usize = 64 * 1024;
const MOST_SIGNATURES: usize = 64;

/// A name that signs, and its key.
pub struct Signer {
    name: String,
    key: SigningKey,
}

impl Signer {
    /// # Panics
    /// Never for a name that `is_name` accepts; the caller made it.
    pub fn new(name: String, seed: &[u8; 32]) -> Self {
        Self { name, key: SigningKey::from_bytes(seed) }
    }

    pub fn verifier(&self) -> Verifier {
        Verifier { name: self.name.clone(), key: self.key.verifying_key() }
    }

    /// The note with our signature below the text, which ends with a line end.
    pub fn sign(&self, text: &str) -> String {
        let mut signature = key_id(&self.name, &self.key.verifying_key()).to_vec();
        signature.extend_from_slice(&self.key.sign(text.as_bytes()).to_bytes());
        format!("{text}\n— {} {}\n", self.name, STANDARD.encode(signature))
    }
}

/// A name, and the key that signatures under it are verified with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    key: VerifyingKey,
}

impl Verifier {
    /// Of `name+key id+base64`, as `Display` shows it.
    pub fn parse(text: &str) -> Option<Self> {
        // Base64 has pluses too, names have none.
        let (name, rest) = text.split_once('+')?;
        let (id, key) = rest.split_once('+')?;
        let bytes: [u8; 33] = STANDARD.decode(key).ok()?.try_into().ok()?;
        let (kind, key) = bytes.split_first()?;
        let key = VerifyingKey::from_bytes(key.try_into().ok()?).ok()?;
        let is_ours = *kind == ED25519 && is_name(name) && unhex::<4>(id) == Some(key_id(name, &key));
        is_ours.then(|| Self { name: name.to_owned(), key })
    }

    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = hex(&key_id(&self.name, &self.key));
        let key = [&[ED25519], &self.key.as_bytes()[..]].concat();
        write!(f, "{}+{id}+{}", self.name, STANDARD.encode(key))
    }
}

fn key_id(name: &str, key: &VerifyingKey) -> [u8; 4] {
    let Hash(hash) = Hash::of(&[name.as_bytes(), b"\n", &[ED25519], key.as_bytes()].concat());
    [hash[0], hash[1], hash[2], hash[3]]
}

/// Not empty, without white space and without a plus.
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

/// A note as it came; nothing of it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// With its last line end.
    pub text: String,
    /// Names, and what stands after them.
    signatures: Vec<(String, Vec<u8>)>,
}

impl Note {
    /// # Errors
    /// `Usage` for what is no signed note, with why.
    pub fn parse(note: &str) -> Result<Self> {
        let refused = |why: &str| {
            Error::usage(
                format!("this is no signed note: {why}"),
                "give one as `mailtrail checkpoint` prints it",
            )
        };
        if note.len() > MOST_BYTES {
            return Err(refused("it is too long"));
        }
        if note.contains(|c: char| c.is_control() && c != '\n') {
            return Err(refused("it has control characters"));
        }
        let (text, lines) = note.rsplit_once("\n\n").ok_or_else(|| refused("it has no empty line"))?;
        let lines = lines.strip_suffix('\n').ok_or_else(|| refused("its last line has no end"))?;
        let mut signatures = Vec::new();
        for line in lines.split('\n') {
            let parts = line.strip_prefix("— ").and_then(|line| line.split_once(' '));
            let signature = parts.and_then(|(name, text)| Some((name, STANDARD.decode(text).ok()?)));
            match signature {
                Some((name, bytes)) if is_name(name) && bytes.len() > 4 => {
                    signatures.push((name.to_owned(), bytes));
                }
                _ => return Err(refused(&format!("{line:?} is no signature"))),
            }
        }
        if signatures.len() > MOST_SIGNATURES {
            return Err(refused("it has too many signatures"));
        }
        Ok(Self { text: format!("{text}\n"), signatures })
    }

    /// Whether one of its signatures is this key's. One that names the key and is not its own makes it false.
    pub fn is_signed_by(&self, verifier: &Verifier) -> bool {
        let id = key_id(&verifier.name, &verifier.key);
        let of_key = |(name, bytes): &&(String, Vec<u8>)| *name == verifier.name && bytes.starts_with(&id);
        let mut signatures = self.signatures.iter().filter(of_key).peekable();
        let is_signed = signatures.peek().is_some();
        is_signed
            && signatures.all(|(_, bytes)| {
                Signature::from_slice(&bytes[4..]).is_ok_and(|signature| {
                    verifier.key.verify_strict(self.text.as_bytes(), &signature).is_ok()
                })
            })
    }
}

/// What a checkpoint says (C2SP tlog-checkpoint): of which log, how many leaves, with which root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    pub origin: String,
    pub size: u64,
    pub root: Hash,
}

impl Checkpoint {
    /// Of a note of ours: nothing of it is verified.
    ///
    /// # Errors
    /// `Usage` for what is no note, or says nothing of a tree.
    pub fn of_note(note: &str) -> Result<Self> {
        Self::parse(&Note::parse(note)?.text).ok_or_else(|| {
            Error::usage(
                "this is no checkpoint: it says nothing of a tree",
                "give one as `mailtrail checkpoint` prints it",
            )
        })
    }

    /// Of a note that one of these keys has signed, under the name that the checkpoint is of.
    ///
    /// # Errors
    /// `Mismatch` with why it is to be believed in nothing.
    pub fn signed(note: &str, verifiers: &[Verifier]) -> Result<Self> {
        let wrong = |why: &str| Error::Mismatch(why.to_owned());
        let note = Note::parse(note).map_err(|error| wrong(&error.to_string()))?;
        let checkpoint = Self::parse(&note.text).ok_or_else(|| wrong("it says nothing of a tree"))?;
        let mut named = verifiers.iter().filter(|verifier| verifier.name() == checkpoint.origin).peekable();
        if named.peek().is_none() {
            return Err(wrong(&format!("it is of another log, {}", checkpoint.origin)));
        }
        if !named.any(|verifier| note.is_signed_by(verifier)) {
            return Err(wrong("its signature is not that of this log"));
        }
        Ok(checkpoint)
    }

    /// Of a note's text. Lines after the third are others' business.
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        (!origin.is_empty() && lines.all(|line| !line.is_empty())).then_some(())?;
        Some(Self { origin: origin.to_owned(), size: number(size)?, root: Hash::parse(root)? })
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}\n", self.origin, self.size, self.root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key and the note of C2SP's signed-note, made by Go's golang.org/x/mod/sumdb/note.
    const VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const NOTE: &str = "If you think cryptography is the answer to your problem,\n\
        then you don't know what your problem is.\n\n\
        — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    #[test]
    fn a_note_that_go_signed_is_verified() {
        let verifier = Verifier::parse(VKEY).expect("a key");
        assert_eq!(verifier.to_string(), VKEY);
        let note = Note::parse(NOTE).expect("a note");
        assert!(note.is_signed_by(&verifier));
        let changed = Note::parse(&NOTE.replace("answer", "Answer")).expect("a note");
        assert!(!changed.is_signed_by(&verifier));
        let renamed = Verifier { name: "AnneAnderson".into(), ..verifier };
        assert!(!note.is_signed_by(&renamed));
    }

    #[test]
    fn what_is_signed_is_read_and_verified_again() {
        let signer = Signer::new("mail.example.org/mailtrail/1".into(), &[7; 32]);
        let root = Hash::of(b"root");
        let checkpoint = Checkpoint { origin: "mail.example.org/mailtrail/1".into(), size: 40123, root };
        let signed = signer.sign(&checkpoint.to_string());
        let note = Note::parse(&signed).expect("a note");
        assert!(note.is_signed_by(&signer.verifier()));
        assert_eq!(Checkpoint::parse(&note.text), Some(checkpoint));
        let other = Signer::new("mail.example.org/mailtrail/1".into(), &[8; 32]);
        assert!(!note.is_signed_by(&other.verifier()));
        assert_eq!(Verifier::parse(&signer.verifier().to_string()), Some(signer.verifier()));
        for at in 0..signed.len() {
            let mut bytes = signed.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(text) = String::from_utf8(bytes) else { continue };
            let is_good = Note::parse(&text).is_ok_and(|note| note.is_signed_by(&signer.verifier()));
            assert!(!is_good, "byte {at}");
        }
    }

    #[test]
    fn what_is_no_note_or_checkpoint_is_refused() {
        for text in [
            "",
            "text\n",
            "text\n\n",
            "text\n\n— name\n",
            "text\n\n— a AAAA\n",
            "text\n\n- a AAAAAAAA\n",
            "te\txt\n\n— a AAAAAAAA\n",
        ] {
            assert!(Note::parse(text).is_err(), "{text:?}");
        }
        let root = Hash::of(b"root");
        for text in [
            "",
            "a\n1\n",
            "a\n01\n{root}\n",
            "a\n-1\n{root}\n",
            "\n1\n{root}\n",
            "a\n1\nxx\n",
            "a\n1\n{root}",
            "a\n+1\n{root}\n",
        ] {
            assert_eq!(Checkpoint::parse(&text.replace("{root}", &root.to_string())), None, "{text:?}");
        }
        for key in
            ["", "a", "a+00000000+AQ==", "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"]
        {
            assert_eq!(Verifier::parse(key), None, "{key:?}");
        }
    }
}
