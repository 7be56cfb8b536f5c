//! Licenses for reading the activity log: an Ed25519-signed statement, verified offline.
//!
//! SendDock sells this read; here the operator is the issuer. `init` makes the issuing key (`issuer.key`, 0600, in
//! the data directory) and one license, so that a new install works at once. A license is
//! `base64url(JSON).base64url(signature)` over the first part as it is written. Recording never asks for one:
//! losing evidence is worse than losing a fee.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use rusqlite::{Connection, OptionalExtension};
use serde::Serialize;
use serde_json::{Value, json};

use crate::data_directory::{put, read};
use crate::error::{Error, Result};
use crate::http::json::{self, Fields};
use crate::ids::{Uuid, hex, unhex};
use crate::store::Tx;
use crate::time::Timestamp;

const PRODUCT: &str = "mailtrail";
const ISSUER_KEY: &str = "issuer.key";
const ISSUER_PUBLIC: &str = "issuer.pub";
pub const LICENSE: &str = "license.key";

/// What a license states.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct License {
    pub id: Uuid,
    pub holder: String,
    pub plan: String,
    pub issued_at: Timestamp,
    /// `None`: without end.
    pub expires_at: Option<Timestamp>,
}

impl License {
    /// The signed text.
    pub fn sign(&self, issuer: &SigningKey) -> String {
        let statement = json!({
            "product": PRODUCT, "id": self.id, "holder": self.holder, "plan": self.plan,
            "issued_at": self.issued_at, "expires_at": self.expires_at,
        });
        let payload = URL_SAFE_NO_PAD.encode(statement.to_string());
        let signature = issuer.sign(payload.as_bytes());
        format!("{payload}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
    }

    /// Reads a license and verifies its signature. The time is not looked at: see `is_valid_at`.
    ///
    /// # Errors
    /// `LicenseRequired` with the reason, in words for the one who installed it.
    pub fn verify(text: &str, issuer: &VerifyingKey) -> Result<Self> {
        let refused = |why: &str| Error::LicenseRequired(why.to_owned());
        if text.len() > 4096 {
            return Err(refused("the license key is too long"));
        }
        let (payload, signature) =
            text.split_once('.').ok_or_else(|| refused("the license key has no signature"))?;
        let signature = URL_SAFE_NO_PAD
            .decode(signature)
            .ok()
            .and_then(|bytes| Signature::from_slice(&bytes).ok())
            .ok_or_else(|| refused("the license key's signature cannot be read"))?;
        issuer
            .verify_strict(payload.as_bytes(), &signature)
            .map_err(|_| refused("the license key was not issued by this installation"))?;
        let statement =
            URL_SAFE_NO_PAD.decode(payload).map_err(|_| refused("the license key cannot be read"))?;
        Self::read(&statement).map_err(|error| refused(&format!("the license key cannot be read: {error}")))
    }

    fn read(statement: &[u8]) -> Result<Self> {
        let mut fields = Fields::of(json::parse(statement)?, "license")?;
        let product = fields.text("product", 40)?;
        if product.as_deref() != Some(PRODUCT) {
            return Err(fields.refuse("product", "is another"));
        }
        let id = fields.text("id", 36)?.and_then(|text| Uuid::parse(&text));
        let holder = fields.text("holder", 200)?;
        let plan = fields.text("plan", 40)?;
        let issued_at = fields.timestamp("issued_at")?;
        Ok(Self {
            id: fields.required("id", id)?,
            holder: fields.required("holder", holder)?,
            plan: fields.required("plan", plan)?,
            issued_at: fields.required("issued_at", issued_at)?,
            expires_at: fields.timestamp("expires_at")?,
        })
    }

    /// Refuses a license that is over.
    pub fn check(&self, now: Timestamp) -> Result<()> {
        match self.expires_at {
            Some(end) if now >= end => Err(Error::LicenseRequired(format!("the license expired on {end}"))),
            _ => Ok(()),
        }
    }
}

/// The issuing key of a data directory, made when none was ever there. The public half is put beside it when it is
/// missing: a crash between the two files must not make every later license worthless.
pub fn issuer(data: &Path) -> Result<SigningKey> {
    let path = data.join(ISSUER_KEY);
    if path.exists() {
        let text = read(&path).map_err(Error::io(format!("cannot read {}", path.display())))?;
        let seed = unhex::<32>(text.trim()).ok_or_else(|| {
            Error::refused(
                format!("{} is not an issuing key (64 hex digits)", path.display()),
                "put the file back from a backup, or move it away to have a new one made",
            )
        })?;
        let key = SigningKey::from_bytes(&seed);
        if issuer_public(data)? != Some(key.verifying_key()) {
            write_public(data, &key)?;
        }
        return Ok(key);
    }
    if data.join(ISSUER_PUBLIC).exists() {
        return Err(Error::refused(
            format!("{} is not there, and a new one would end every license issued so far", path.display()),
            format!("put it back from a backup, or move {ISSUER_PUBLIC} away to begin anew"),
        ));
    }
    let mut seed = [0; 32];
    crate::ids::fill(&mut seed);
    let key = SigningKey::from_bytes(&seed);
    write_secret(&path, &hex(&seed))?;
    write_public(data, &key)?;
    Ok(key)
}

fn write_public(data: &Path, key: &SigningKey) -> Result<()> {
    write_secret(&data.join(ISSUER_PUBLIC), &hex(key.verifying_key().as_bytes()))
}

/// What licenses are verified with; `None` when this data directory never issued one.
pub fn issuer_public(data: &Path) -> Result<Option<VerifyingKey>> {
    let path = data.join(ISSUER_PUBLIC);
    let text = match read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io(format!("cannot read {}", path.display()))(error)),
    };
    let key = unhex::<32>(text.trim()).and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok());
    key.map(Some).ok_or_else(|| {
        Error::refused(format!("{} is not a public key", path.display()), "put the file back from a backup")
    })
}

/// The license that `init` left in the data directory.
pub fn installed(data: &Path) -> Result<Option<String>> {
    let path = data.join(LICENSE);
    match read(&path) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(format!("cannot read {}", path.display()))(error)),
    }
}

/// Puts a license into the data directory, in place of an earlier one.
pub fn install(data: &Path, text: &str) -> Result<()> {
    write_secret(&data.join(LICENSE), text)
}

fn write_secret(path: &Path, text: &str) -> Result<()> {
    put(path, &format!("{text}\n"))
}

/// Notes an issued license, without its text.
pub fn record(tx: &Tx<'_>, license: &License) -> Result<()> {
    tx.execute(
        "INSERT INTO licenses (uuid, holder, plan, issued_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        (license.id, &license.holder, &license.plan, license.issued_at, license.expires_at),
    )?;
    Ok(())
}

/// Up to so many, after this number, each with its own.
pub fn page(connection: &Connection, after: i64, limit: i64) -> Result<Vec<(i64, License)>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, uuid, holder, plan, issued_at, expires_at FROM licenses WHERE id > ?1 ORDER BY id LIMIT ?2",
    )?;
    let rows = statement.query_map((after, limit), |row| {
        let license = License {
            id: row.get("uuid")?,
            holder: row.get("holder")?,
            plan: row.get("plan")?,
            issued_at: row.get("issued_at")?,
            expires_at: row.get("expires_at")?,
        };
        Ok((row.get("id")?, license))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub fn count(connection: &Connection) -> Result<i64> {
    Ok(connection.prepare_cached("SELECT count(*) FROM licenses")?.query_row([], |row| row.get(0))?)
}

/// The number of the license with this id.
pub fn number_of(connection: &Connection, id: Uuid) -> Result<Option<i64>> {
    Ok(connection
        .prepare_cached("SELECT id FROM licenses WHERE uuid = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?)
}

/// A license as a person sees it in a list.
pub fn show(license: &License, now: Timestamp) -> Value {
    json!({
        "id": license.id, "holder": license.holder, "plan": license.plan, "issued_at": license.issued_at,
        "expires_at": license.expires_at, "valid": license.check(now).is_ok(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn license(expires_at: Option<Timestamp>) -> License {
        let issued_at = Timestamp::from_seconds(1_777_000_000);
        License { id: Uuid::at(issued_at), holder: "Ada".into(), plan: "pro".into(), issued_at, expires_at }
    }

    #[test]
    fn what_was_signed_is_read_back_and_nothing_else() {
        let issuer = SigningKey::from_bytes(&[7; 32]);
        let other = SigningKey::from_bytes(&[8; 32]);
        let license = license(None);
        let text = license.sign(&issuer);
        assert_eq!(License::verify(&text, &issuer.verifying_key()).ok(), Some(license));
        assert!(License::verify(&text, &other.verifying_key()).is_err());
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(bytes).expect("ASCII");
            assert!(License::verify(&forged, &issuer.verifying_key()).is_err(), "changed at {at}");
        }
        for junk in ["", ".", "a.b", "ä.ö", &text[..text.len() - 1]] {
            assert!(License::verify(junk, &issuer.verifying_key()).is_err(), "{junk}");
        }
    }

    #[test]
    fn a_license_ends_at_its_instant() {
        let end = Timestamp::from_seconds(1_800_000_000);
        let license = license(Some(end));
        assert!(license.check(end.plus_seconds(-1)).is_ok());
        assert!(license.check(end).is_err());
    }
}
