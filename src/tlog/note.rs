//! Signed notes (C2SP signed-note): a text and lines of signatures below it, as checkpoints of transparency logs have
//! them. Ed25519 only.
//!
//! ```text
//! mail.example.org/mailtrail/5f3a91c2/1
//! 40123
//! F2m8rjItpfoL8ekzbmnzthiT1zJH7bHV/5nCbQUzFrY=
//!
//! — mail.example.org/mailtrail/5f3a91c2/1 vnqK8QcBrkyZRqeXB7s…
//! — witness.example.net CMp+6LWBU0anHGH5aNDTJkH/gj79sG…
//! ```
//!
//! The text ends with its last line end. A log signs just that text, a witness the text and when it did (C2SP
//! tlog-cosignature). A signature stands after the first four bytes of SHA-256(name, line end, kind, key), which tell
//! keys of one name apart.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use super::merkle::Hash;
use crate::error::{Error, Result};
use crate::ids::{hex, unhex};

/// Of a note from outside.
pub const MOST_BYTES: usize = 64 * 1024;
const MOST_SIGNATURES: usize = 64;

/// What a key signs; the number stands before the key wherever it is written (signed-note, "Signature types").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The text: a log's.
    Ed25519 = 0x01,
    /// The text and a time: a witness's.
    Cosignature = 0x04,
}

impl Kind {
    fn parse(number: u8) -> Option<Self> {
        [Self::Ed25519, Self::Cosignature].into_iter().find(|kind| *kind as u8 == number)
    }
}

/// A log's name and key.
pub struct Signer(Secret);

impl Signer {
    /// The name must be one that `is_name` accepts.
    pub fn new(name: String, seed: &[u8; 32]) -> Self {
        Self(Secret::new(name, Kind::Ed25519, seed))
    }

    pub fn verifier(&self) -> Verifier {
        self.0.verifier.clone()
    }

    /// The note with our signature below the text, which ends with a line end.
    pub fn sign(&self, text: &str) -> String {
        let signature = self.0.key.sign(text.as_bytes());
        format!("{text}\n{}", self.0.verifier.line(&signature.to_bytes()))
    }
}

/// A witness's name and key.
pub struct Cosigner(Secret);

impl Cosigner {
    /// The name must be one that `is_name` accepts.
    pub fn new(name: String, seed: &[u8; 32]) -> Self {
        Self(Secret::new(name, Kind::Cosignature, seed))
    }

    /// Of `PRIVATE+KEY+name+key id+base64`, as `secret` writes it.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, id, kind, seed) = parse_key(text.strip_prefix("PRIVATE+KEY+")?)?;
        let cosigner = (kind == Kind::Cosignature).then(|| Self::new(name.to_owned(), &seed))?;
        (cosigner.0.verifier.id() == id).then_some(cosigner)
    }

    /// The key in the form of Go's package note. Whoever has it can sign in this name.
    pub fn secret(&self) -> String {
        let Secret { verifier, key } = &self.0;
        format!("PRIVATE+KEY+{}", verifier.show_key(&key.to_bytes()))
    }

    pub fn verifier(&self) -> &Verifier {
        &self.0.verifier
    }

    /// The line, with its end, that goes below a checkpoint with this text. `time` is in seconds since 1970 and not 0.
    pub fn cosign(&self, text: &str, time: u64) -> String {
        let signature = self.0.key.sign(cosigned(text, time).as_bytes());
        self.0.verifier.line(&[&time.to_be_bytes()[..], &signature.to_bytes()].concat())
    }
}

struct Secret {
    verifier: Verifier,
    key: SigningKey,
}

impl Secret {
    fn new(name: String, kind: Kind, seed: &[u8; 32]) -> Self {
        let key = SigningKey::from_bytes(seed);
        Self { verifier: Verifier { name, kind, key: key.verifying_key() }, key }
    }
}

/// What a witness signs (tlog-cosignature, "Ed25519 signed message").
fn cosigned(text: &str, time: u64) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

/// The time before a witness's signature, and the signature (tlog-cosignature, "Format"; tlog-witness: not 0).
fn timestamped(signature: &[u8]) -> Option<(u64, &[u8])> {
    let (time, signature) = signature.split_first_chunk()?;
    let time = u64::from_be_bytes(*time);
    (1..=i64::MAX.unsigned_abs()).contains(&time).then_some((time, signature))
}

/// A name, and the key that signatures under it are verified with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    kind: Kind,
    key: VerifyingKey,
}

impl Verifier {
    /// Of `name+key id+base64`, as `Display` shows it.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, id, kind, key) = parse_key(text)?;
        let key = VerifyingKey::from_bytes(&key).ok()?;
        let verifier = Self { name: name.to_owned(), kind, key };
        (verifier.id() == id).then_some(verifier)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    fn id(&self) -> [u8; 4] {
        let kind = [self.kind as u8];
        let Hash(hash) = Hash::of(&[self.name.as_bytes(), b"\n", &kind, self.key.as_bytes()].concat());
        [hash[0], hash[1], hash[2], hash[3]]
    }

    fn show_key(&self, key: &[u8; 32]) -> String {
        let key = [&[self.kind as u8], &key[..]].concat();
        format!("{}+{}+{}", self.name, hex(&self.id()), STANDARD.encode(key))
    }

    /// The line of a signature, with its end.
    fn line(&self, signature: &[u8]) -> String {
        let signature = [&self.id(), signature].concat();
        format!("— {} {}\n", self.name, STANDARD.encode(signature))
    }

    /// `signature` is what stands after the key's id.
    fn has_signed(&self, text: &str, signature: &[u8]) -> bool {
        let signed = match self.kind {
            Kind::Ed25519 => Some((text.to_owned(), signature)),
            Kind::Cosignature => {
                timestamped(signature).map(|(time, signature)| (cosigned(text, time), signature))
            }
        };
        signed.is_some_and(|(message, signature)| {
            Signature::from_slice(signature)
                .is_ok_and(|signature| self.key.verify_strict(message.as_bytes(), &signature).is_ok())
        })
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.show_key(self.key.as_bytes()))
    }
}

/// The parts of a key as it is written: name, key id, kind, and 32 bytes.
fn parse_key(text: &str) -> Option<(&str, [u8; 4], Kind, [u8; 32])> {
    // Base64 has pluses too, names have none.
    let (name, rest) = text.split_once('+')?;
    let (id, key) = rest.split_once('+')?;
    let bytes: [u8; 33] = STANDARD.decode(key).ok()?.try_into().ok()?;
    let (kind, key) = bytes.split_first()?;
    is_name(name).then_some((name, unhex(id)?, Kind::parse(*kind)?, key.try_into().ok()?))
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

    /// Whether this key has signed the text; `None` where no signature names the key. One that names it and is not its
    /// own makes it false (signed-note, "Signatures").
    pub fn verify(&self, verifier: &Verifier) -> Option<bool> {
        let mut signatures = self.signatures_of(verifier).peekable();
        signatures.peek()?;
        Some(signatures.all(|signature| verifier.has_signed(&self.text, signature)))
    }

    pub fn is_signed_by(&self, verifier: &Verifier) -> bool {
        self.verify(verifier) == Some(true)
    }

    /// When this witness cosigned it, in seconds since 1970, and the line that says so, with its end. `None` where it did
    /// not, or the line is not its own.
    pub fn cosignature(&self, witness: &Verifier) -> Option<(u64, String)> {
        self.is_signed_by(witness).then_some(())?;
        let signature = self.signatures_of(witness).next()?;
        let (time, _) = timestamped(signature).filter(|_| witness.kind == Kind::Cosignature)?;
        Some((time, witness.line(signature)))
    }

    /// The lines that name this key, with their ends.
    pub fn lines_of(&self, verifier: &Verifier) -> impl Iterator<Item = String> {
        self.signatures_of(verifier).map(|signature| verifier.line(signature))
    }

    /// What stands after the key's id, for each signature that names the key.
    fn signatures_of(&self, verifier: &Verifier) -> impl Iterator<Item = &[u8]> {
        let id = verifier.id();
        let named = self.signatures.iter().filter(|(name, _)| *name == verifier.name);
        named.filter_map(move |(_, bytes)| bytes.strip_prefix(&id))
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

/// Of decimal digits without leading zeroes, as sizes are written.
pub fn number(text: &str) -> Option<u64> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    is_number.then(|| text.parse().ok())?
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

    /// The checkpoint of C2SP's tlog-cosignature with its two lines, and one that Python's cryptography made with the
    /// key of the bytes 0 to 31, whose public half is known.
    const TEXT: &str =
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    const LINES: &str = "— example.com/behind-the-sofa \
        Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
        — witness.example.com/w1 \
        jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";
    const COSIGNER: &str =
        "PRIVATE+KEY+witness.example.com/w1+a0059f11+BAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";
    const WITNESS: &str = "witness.example.com/w1+a0059f11+BAOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";
    const COSIGNATURE: &str = "— witness.example.com/w1 oAWfEQAAAABkGFDLBuRDazBLVac2NE+Y+IjbjQOcXLfF9CSDZVUIoS83rE1nFZsVE8YiWV6Ngr7lV8H6bdoBQGP/l73euDMQ9k+bBQ==\n";

    #[test]
    fn a_cosignature_is_over_the_text_and_the_time() {
        let cosigner = Cosigner::parse(COSIGNER).expect("a key");
        assert_eq!(cosigner.secret(), COSIGNER);
        assert_eq!(cosigner.verifier().to_string(), WITNESS);
        assert_eq!(cosigner.cosign(TEXT, 1_679_315_147), COSIGNATURE);
        let witness = Verifier::parse(WITNESS).expect("a key");
        assert_eq!(&witness, cosigner.verifier());
        // The same name in the example is of another key, and so nobody to this one.
        let note = Note::parse(&format!("{TEXT}\n{LINES}")).expect("a note");
        assert_eq!(timestamped(&note.signatures[1].1[4..]).map(|(time, _)| time), Some(1_679_315_147));
        assert_eq!(note.verify(&witness), None);
        let note = Note::parse(&format!("{TEXT}\n{LINES}{COSIGNATURE}")).expect("a note");
        assert_eq!(note.cosignature(&witness), Some((1_679_315_147, COSIGNATURE.to_owned())));
        let extended = format!("{TEXT}an extension\n");
        let note = Note::parse(&format!("{extended}\n{}", cosigner.cosign(&extended, 1))).expect("a note");
        assert_eq!(note.cosignature(&witness).map(|(time, _)| time), Some(1));
    }

    #[test]
    fn a_cosignature_that_is_changed_or_of_another_kind_is_none() {
        let (cosigner, witness) = (Cosigner::new("w".into(), &[7; 32]), Verifier::parse(WITNESS));
        let note = format!("{TEXT}\n{COSIGNATURE}");
        for at in 0..note.len() {
            let mut bytes = note.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(text) = String::from_utf8(bytes) else { continue };
            let found = Note::parse(&text).ok().and_then(|note| note.cosignature(witness.as_ref()?));
            assert_eq!(found, None, "byte {at}");
        }
        let signed = |line: &str, verifier: &Verifier| {
            Note::parse(&format!("{TEXT}\n{line}")).expect("a note").verify(verifier)
        };
        // No time, or one beyond 2^63 - 1.
        for time in [0, 1 << 63, u64::MAX] {
            assert_eq!(signed(&cosigner.cosign(TEXT, time), cosigner.verifier()), Some(false), "{time}");
        }
        assert_eq!(signed(&cosigner.cosign(TEXT, 1), cosigner.verifier()), Some(true));
        // One good line does not save a bad one.
        let both = cosigner.cosign(TEXT, 1) + &cosigner.cosign("other\n", 1);
        assert_eq!(signed(&both, cosigner.verifier()), Some(false));
        // The same name and the same 32 bytes as a log's: another key.
        let log = Signer::new("w".into(), &[7; 32]);
        assert_eq!(signed(&cosigner.cosign(TEXT, 1), &log.verifier()), None);
        let note = Note::parse(&log.sign(TEXT)).expect("a note");
        assert_eq!((note.verify(cosigner.verifier()), note.cosignature(&log.verifier())), (None, None));
        for key in ["", "PRIVATE+KEY+", WITNESS, &COSIGNER.replace("w1", "w2"), &log.verifier().to_string()] {
            assert!(Cosigner::parse(key).is_none(), "{key:?}");
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
