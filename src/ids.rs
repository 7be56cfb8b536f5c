//! Identifiers: UUIDs (version 7 for what we make) and ULIDs, kept as 16 bytes and shown in the vendors' form.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Result};
use crate::mask::quoted;
use crate::time::Timestamp;

/// A UUID in its hyphenated lower-case form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// A version 7 UUID made at `now`: sorts by time, and those of one millisecond in the order in which they were made
    /// (RFC 9562 section 6.2, method 2). It carries 74 bits, 73 of them random in the first of a millisecond; each of the
    /// others is more than the one before by up to 2^32.
    pub fn at(now: Timestamp) -> Self {
        static LAST: Mutex<(u64, u128)> = Mutex::new((0, 0));
        let millis = u64::try_from(now.millis()).unwrap_or(0);
        let mut random = [0; 16];
        fill(&mut random);
        let random = u128::from_le_bytes(random);
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        let bits = match *last {
            (of, bits) if of == millis => bits + 1 + (random & 0xffff_ffff),
            _ => random >> (128 - 73),
        };
        *last = (millis, bits);
        drop(last);
        // 12 bits after the version, 62 after the variant, which the builder puts over the bits that are left out here.
        let mut bytes = [0; 10];
        bytes[..2].copy_from_slice(&((bits >> 62) as u16).to_be_bytes());
        bytes[2..].copy_from_slice(&(bits as u64).to_be_bytes());
        Self(*uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid().as_bytes())
    }

    /// Accepts just the 36-character form, in either case.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 36 {
            return None;
        }
        uuid::Uuid::try_parse(text).ok().map(|uuid| Self(*uuid.as_bytes()))
    }
}

impl Uuid {
    /// When it was made, in milliseconds since 1970, when it is of version 7.
    pub fn millis(self) -> i64 {
        self.0[..6].iter().fold(0, |millis, byte| millis << 8 | i64::from(*byte))
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        uuid::Uuid::from_bytes(self.0).hyphenated().fmt(f)
    }
}

/// A ULID in its 26-character form: 48 bits of milliseconds, 80 bits that tell those of one millisecond apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ulid(pub [u8; 16]);

impl Ulid {
    /// The id of the row `seq` of the appliance with this `salt` (24 bits), recorded at an instant. It need not be
    /// kept, rises with the row's number, and names the row.
    pub fn of(recorded_at: Timestamp, salt: i64, seq: i64) -> Self {
        let millis = u64::try_from(recorded_at.millis()).unwrap_or(0);
        let rest = (u128::from(salt.unsigned_abs()) << 56) | u128::from(seq.unsigned_abs());
        Self(ulid::Ulid::from_parts(millis, rest).to_bytes())
    }

    /// The number of the row that it would be of.
    pub fn seq(self) -> i64 {
        self.0[9..].iter().fold(0, |seq, byte| seq << 8 | i64::from(*byte))
    }

    pub fn parse(text: &str) -> Option<Self> {
        ulid::Ulid::from_string(text).ok().map(|ulid| Self(ulid.to_bytes()))
    }
}

impl fmt::Display for Ulid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ulid::Ulid::from_bytes(self.0).fmt(f)
    }
}

/// What may be shown of something secret that is stored, to tell it from another: 64 bits of its SHA-256.
pub fn fingerprint(stored: &[u8]) -> String {
    hex(&sha256(stored)[..8])
}

/// Fills `bytes` from the operating system. Without randomness no key, session or id can be made, and going on
/// would be worse than stopping.
pub fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system has randomness");
}

/// `N` random bytes as lower-case hex.
pub fn random_hex<const N: usize>() -> String {
    let mut bytes = [0; N];
    fill(&mut bytes);
    hex(&bytes)
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes of a hex text of exactly `2 × N` digits, in either case.
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != N * 2 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// SHA-256 of bytes that come in pieces.
#[derive(Default)]
pub struct Hasher(sha2::Sha256);

impl Hasher {
    pub fn add(&mut self, bytes: &[u8]) {
        use sha2::Digest;
        self.0.update(bytes);
    }

    pub fn done(self) -> [u8; 32] {
        use sha2::Digest;
        self.0.finalize().into()
    }
}

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).into()
}

/// A UUID given as a parameter, or a refusal that says so.
pub fn uuid_parameter(name: &str, text: &str) -> Result<Uuid> {
    Uuid::parse(text).ok_or_else(|| {
        Error::invalid(name, format!("{} is not a UUID (36 characters, 8-4-4-4-12)", quoted(text)))
    })
}

macro_rules! sixteen_bytes {
    ($name:ident, $expected:literal) => {
        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::Borrowed(ValueRef::Blob(&self.0)))
            }
        }
        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                let bytes = value.as_blob()?;
                bytes
                    .try_into()
                    .map(Self)
                    .map_err(|_| FromSqlError::InvalidBlobSize { expected_size: 16, blob_size: bytes.len() })
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text)
                    .ok_or_else(|| serde::de::Error::custom(format!("{text:?} is not {}", $expected)))
            }
        }
    };
}
sixteen_bytes!(Uuid, "a UUID");
sixteen_bytes!(Ulid, "a ULID");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ulids_rise_with_the_rows_also_within_a_millisecond() {
        let noon = Timestamp::from_seconds(1_777_000_000);
        let made = [(0, 1), (0, 2), (0, 300), (1, 301), (1, i64::from(u32::MAX) * 99), (86_400, 7)]
            .map(|(seconds, seq)| Ulid::of(noon.plus_seconds(seconds), 0x00ff_ffff, seq));
        assert!(made.is_sorted_by(|one, next| one < next), "{made:?}");
        assert_ne!(Ulid::of(noon, 1, 1), Ulid::of(noon, 2, 1), "of two appliances");
        assert_eq!(Ulid::parse(&made[2].to_string()), Some(made[2]));
    }

    #[test]
    fn uuids_rise_with_time_and_within_a_millisecond() {
        let noon = Timestamp::from_seconds(1_777_000_000);
        let made: Vec<Uuid> = (0..5000).map(|n| Uuid::at(noon.plus_seconds(n / 1000))).collect();
        assert!(made.is_sorted_by(|one, next| one < next));
        for uuid in &made {
            let uuid = uuid::Uuid::from_bytes(uuid.0);
            assert_eq!((uuid.get_version_num(), uuid.get_variant()), (7, uuid::Variant::RFC4122));
        }
        assert_eq!(made[4999].millis(), noon.millis() + 4000);
    }

    #[test]
    fn hex_goes_both_ways_and_refuses_the_rest() {
        assert_eq!(unhex::<3>(&hex(&[0, 171, 255])), Some([0, 171, 255]));
        for bad in ["", "00ab", "00abf", "00abfg", "00ab+f", "00abffff"] {
            assert_eq!(unhex::<3>(bad), None, "{bad}");
        }
    }
}
