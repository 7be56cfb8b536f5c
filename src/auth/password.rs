//! Passwords: Argon2id with the parameters OWASP names (19 MiB, two passes, one lane), as PHC strings.
//!
//! Hashing takes 19 MiB and tens of milliseconds, so one runs at a time, and few wait for it (`place`): a flood of
//! logins takes neither the memory nor the handlers. Who comes from where they have logged in before has places of
//! their own.

use std::sync::{Mutex, PoisonError};

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};

use crate::error::{Error, Result};
use crate::line::{Line, Place};

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// How many may wait for their turn: each holds a handler, and recording must not wait behind a flood of logins.
const MOST_WAITING: usize = 8;
/// Of them and those who come from a known source together.
const MOST_WITH_KNOWN: usize = 16;
static WAITING: Line = Line::new();

/// Takes a place; refused when too many wait already.
pub fn place(is_known_source: bool) -> Result<Place<'static>> {
    let most = if is_known_source { MOST_WITH_KNOWN } else { MOST_WAITING };
    WAITING.place(most).ok_or_else(|| Error::Unavailable {
        retry_after: 1,
        message: "too many people are logging in; try again in a moment".to_owned(),
    })
}

pub const SHORTEST: usize = 10;
const LONGEST: usize = 1024;

/// Refuses a password nobody should have, by the name of the parameter that it came in.
pub fn check(password: &str, name: &str) -> Result<()> {
    let length = password.chars().count();
    if (SHORTEST..=LONGEST).contains(&length) {
        return Ok(());
    }
    Err(Error::invalid(name, format!("has {length} characters; accepted: {SHORTEST} to {LONGEST}")))
}

/// Memory in KiB, passes and lanes of every hash that this program, in any version, has made.
const COSTS: [(&str, u32); 3] = [("m", 19_456), ("t", 2), ("p", 1)];

/// Whether a hash is as ours are. Another may cost any memory and time that it says, for whoever knows its account.
pub fn is_ours(hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|parsed| has_our_costs(&parsed))
}

fn has_our_costs(hash: &PasswordHash) -> bool {
    hash.algorithm.as_str() == "argon2id"
        && hash.version == Some(19)
        && hash.params.iter().count() == COSTS.len()
        && COSTS.iter().all(|(name, cost)| hash.params.get_decimal(*name) == Some(*cost))
        && hash.salt.is_some()
        && hash.hash.is_some()
}

pub fn hash(password: &str) -> Result<String> {
    check(password, "password")?;
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let hash: PasswordHash = Argon2::default()
        .hash_password(password.as_bytes())
        .map_err(|error| Error::Internal(format!("cannot hash a password: {error}")))?;
    Ok(hash.to_string())
}

/// Whether the password is the hash's. Without a hash (no such account) it takes as long and says no.
pub fn verify(password: &str, hash: Option<&str>) -> bool {
    /// Of a password nobody knows.
    const NOBODY: &str =
        "$argon2id$v=19$m=19456,t=2,p=1$bWFpbHRyYWlsLW5vYm9keQ$zrJmvPMSXjMVRm0/TUlVcnvCjhVLJVbFUqF3mJEV0Mw";
    if password.len() > LONGEST * 4 {
        return false;
    }
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let matches = PasswordHash::new(hash.unwrap_or(NOBODY)).is_ok_and(|parsed| {
        has_our_costs(&parsed) && Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok()
    });
    matches && hash.is_some()
}

/// A password for somebody who was given none: 120 random bits in groups that can be read out.
pub fn generate() -> String {
    let digits = crate::ids::random_hex::<15>();
    let groups: Vec<_> = digits.as_bytes().chunks(6).map(|group| String::from_utf8_lossy(group)).collect();
    groups.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_password_and_no_other() {
        let hash = hash("correct horse battery").expect("a hash");
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(verify("correct horse battery", Some(&hash)));
        assert!(!verify("correct horse batterz", Some(&hash)));
        assert!(!verify("correct horse battery", None));
        assert!(check("short", "password").is_err());
        assert!(check(&generate(), "password").is_ok());
    }

    #[test]
    fn a_hash_of_other_costs_is_nobodys_and_not_computed() {
        let hash = hash("correct horse battery").expect("a hash");
        assert!(is_ours(&hash));
        for (ours, other) in
            [("m=19456", "m=4194304"), ("t=2", "t=4000000"), ("m=19456", "m=8"), ("v=19", "v=16")]
        {
            let other = hash.replace(ours, other);
            assert!(!is_ours(&other) && !verify("correct horse battery", Some(&other)), "{other}");
        }
        let small = argon2::Params::new(8, 1, 1, None).expect("parameters");
        let small = Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, small);
        let small: PasswordHash = small.hash_password(b"correct horse battery").expect("a hash");
        assert!(!verify("correct horse battery", Some(&small.to_string())));
    }

    #[test]
    fn the_hash_of_nobody_is_a_real_one_so_that_it_costs_the_same() {
        assert!(PasswordHash::new("$argon2id$v=19$m=19456,t=2,p=1$bWFpbHRyYWlsLW5vYm9keQ$zrJmvPMSXjMVRm0/TUlVcnvCjhVLJVbFUqF3mJEV0Mw").is_ok());
    }
}
