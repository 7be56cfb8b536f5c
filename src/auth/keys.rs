//! API keys: `mt_live_` and 48 lower-case hex digits (192 random bits, TenantCore's form).
//!
//! Only the SHA-256 of a key is stored, and a key is looked up by it: nothing compares secrets byte by byte, and a
//! stolen database opens no door. A key given by the operator (`tc_live_…`) is taken in the same format, so that a
//! vendor's client keeps the key it has.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension, Row};
use serde::Serialize;

use crate::app::App;
use crate::canonical;
use crate::error::{Error, Result, Unauthenticated};
use crate::http::Request;
use crate::ids::{Uuid, fingerprint, random_hex, sha256};
use crate::mask::quoted;
use crate::store::{Store, Tx};
use crate::time::Timestamp;

/// A set of scopes, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope(i64);

impl Scope {
    pub const ENFORCEMENT_READ: Self = Self(1);
    pub const ENFORCEMENT_WRITE: Self = Self(2);
    pub const MESSAGES_READ: Self = Self(4);
    pub const MESSAGES_WRITE: Self = Self(8);
    pub const ACTIVITY_WRITE: Self = Self(16);
    pub const ADMIN: Self = Self(32);
    pub const ALL: Self = Self(63);

    pub const WORDS: [(&'static str, Self); 6] = [
        ("enforcement:read", Self::ENFORCEMENT_READ),
        ("enforcement:write", Self::ENFORCEMENT_WRITE),
        ("messages:read", Self::MESSAGES_READ),
        ("messages:write", Self::MESSAGES_WRITE),
        ("activity:write", Self::ACTIVITY_WRITE),
        ("admin", Self::ADMIN),
    ];

    /// The union of words; an unknown word is refused.
    pub fn parse(words: &[String]) -> Result<Self> {
        let mut scopes = Self(0);
        for word in words {
            match Self::WORDS.iter().find(|(name, _)| name == word) {
                Some((_, scope)) => scopes.0 |= scope.0,
                None => {
                    let accepted: Vec<_> = Self::WORDS.iter().map(|(name, _)| *name).collect();
                    let message = format!("{} is unknown; accepted: {}", quoted(word), accepted.join(", "));
                    return Err(Error::invalid("scopes", message));
                }
            }
        }
        if scopes.0 == 0 {
            return Err(Error::invalid("scopes", "is empty; a key without a scope opens nothing"));
        }
        Ok(scopes)
    }

    /// As they are stored.
    pub fn bits(self) -> i64 {
        self.0
    }

    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether what it opens adds rows to a log.
    pub fn records(self) -> bool {
        [Self::ENFORCEMENT_WRITE, Self::MESSAGES_WRITE, Self::ACTIVITY_WRITE].contains(&self)
    }

    pub fn words(self) -> Vec<&'static str> {
        Self::WORDS.iter().filter(|(_, scope)| self.contains(*scope)).map(|(name, _)| *name).collect()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().join(" "))
    }
}

/// A key as it is stored: everything but the key.
#[derive(Debug, Clone, Serialize)]
pub struct ApiKey {
    #[serde(skip)]
    pub key: i64,
    pub id: Uuid,
    #[serde(skip)]
    pub workspace: i64,
    pub name: String,
    pub hint: String,
    #[serde(serialize_with = "words")]
    pub scopes: Scope,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
}

fn words<S: serde::Serializer>(scopes: &Scope, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    scopes.words().serialize(serializer)
}

impl ApiKey {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            key: row.get("id")?,
            id: row.get("uuid")?,
            workspace: row.get("workspace")?,
            name: row.get("name")?,
            hint: row.get("hint")?,
            scopes: Scope(row.get("scopes")?),
            created_at: row.get("created_at")?,
            expires_at: row.get("expires_at")?,
            revoked_at: row.get("revoked_at")?,
            last_used_at: row.get("last_used_at")?,
        })
    }

    /// How the trail names it: never the key, enough to find it.
    pub fn label(&self) -> String {
        format!("{} ({})", self.short_label(), self.hint)
    }

    /// How each row that it records names it. A name with an `@`, as keys had them before, would make the row one of the
    /// person whose address that is.
    pub fn short_label(&self) -> String {
        let is_address =
            self.name.contains('@') || !self.name.is_ascii() && canonical::look(&self.name).contains('@');
        format!("key {}", if is_address { &self.hint } else { &self.name })
    }

    /// Neither expired nor revoked. It expires by the time that is believed, and is revoked by whoever was at hand, also
    /// while the clock was wrong: `latest` is as late as any write was.
    pub fn is_live(&self, now: Timestamp, latest: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end) && self.revoked_at.is_none_or(|end| latest < end)
    }
}

/// The stored keys that were used, by their hash, so that a write need not look its key up again. They are forgotten
/// with every change that is noted, for one of them may end a key.
#[derive(Default)]
pub struct Known(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    /// `Store::changes_noted` when they were read.
    as_of: u64,
    keys: HashMap<[u8; 32], ApiKey>,
}

impl Known {
    fn find(&self, store: &Store, hash: [u8; 32]) -> Result<Option<ApiKey>> {
        let as_of = store.changes_noted();
        {
            let mut remembered = self.lock();
            if remembered.as_of < as_of {
                *remembered = Remembered { as_of, keys: HashMap::new() };
            }
            if let Some(key) = remembered.keys.get(&hash) {
                return Ok(Some(key.clone()));
            }
        }
        let found = store.read(|snapshot| find_by_hash(snapshot, &hash))?;
        let mut remembered = self.lock();
        if let Some(key) = found.as_ref().filter(|_| remembered.as_of == as_of) {
            remembered.keys.insert(hash, key.clone());
        }
        Ok(found)
    }

    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a new key is to be.
pub struct NewKey {
    pub workspace: i64,
    pub name: String,
    pub scopes: Scope,
    pub expires_at: Option<Timestamp>,
    /// A key the operator brings along; otherwise one is made.
    pub given: Option<String>,
    pub replaces: Option<i64>,
}

/// Rows name the key that recorded them by its name: it looks like no other's, nor like a person's.
fn check_name(tx: &Tx<'_>, new: &NewKey) -> Result<()> {
    let folded = canonical::look(&new.name);
    if folded.contains('@') {
        return Err(Error::invalid("name", "holds an @; accepted: what the key is for, not whose it is"));
    }
    let living = living(tx, tx.believed)?;
    match living.iter().find(|key| key.workspace == new.workspace && canonical::look(&key.name) == folded) {
        None => Ok(()),
        Some(key) => {
            let message = format!(
                "the key {} ({}) is named {}: rows would not say which of them recorded them",
                key.id,
                key.hint,
                quoted(&key.name)
            );
            Err(Error::conflict("key_name_taken", message))
        }
    }
}

/// Stores a key and returns it with its text, which is shown this once.
pub fn create(tx: &mut Tx<'_>, new: NewKey) -> Result<(ApiKey, String)> {
    // One that is rotated keeps the name that it has.
    if new.replaces.is_none() {
        check_name(tx, &new)?;
    }
    let text = match new.given {
        Some(text) if is_well_formed(&text) => text,
        Some(_) => {
            return Err(Error::invalid("key", "is not mt_live_ or tc_live_ and 48 lower-case hex digits"));
        }
        None => format!("mt_live_{}", random_hex::<24>()),
    };
    let hash = sha256(text.as_bytes());
    if find_by_hash(tx, &hash)?.is_some() {
        return Err(Error::conflict("key_exists", "this key is stored already"));
    }
    let id = Uuid::at(tx.now);
    tx.execute(
        "INSERT INTO api_keys (uuid, workspace, name, hash, hint, scopes, created_at, expires_at, replaces)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        (
            id,
            new.workspace,
            &new.name,
            &hash[..],
            &text[..12],
            new.scopes.0,
            tx.now.truncated(),
            new.expires_at,
            new.replaces,
        ),
    )?;
    let key = find(tx, id)?.ok_or_else(|| Error::Internal("a new key is not there".into()))?;
    Ok((key, text))
}

/// The fingerprint of what is stored of a key.
pub fn fingerprint_of(text: &str) -> String {
    fingerprint(&sha256(text.as_bytes()))
}

/// A key that opens something.
pub struct LivingKey {
    pub id: Uuid,
    pub workspace: i64,
    pub name: String,
    pub hint: String,
}

/// Neither revoked nor expired at `?1`.
const LIVES: &str = "(revoked_at IS NULL OR revoked_at > ?1) AND (expires_at IS NULL OR expires_at > ?1)";

/// Every key that lives at a time.
pub fn living(connection: &Connection, at: Timestamp) -> Result<Vec<LivingKey>> {
    let mut statement = connection
        .prepare(&format!("SELECT uuid, workspace, name, hint FROM api_keys WHERE {LIVES} ORDER BY id"))?;
    let living = statement.query_map([at.truncated()], |row| {
        Ok(LivingKey {
            id: row.get("uuid")?,
            workspace: row.get("workspace")?,
            name: row.get("name")?,
            hint: row.get("hint")?,
        })
    })?;
    Ok(living.collect::<rusqlite::Result<_>>()?)
}

/// Ends them.
pub fn revoke_all(connection: &Connection, at: Timestamp) -> Result<()> {
    connection.execute(&format!("UPDATE api_keys SET revoked_at = ?1 WHERE {LIVES}"), [at.truncated()])?;
    Ok(())
}

/// A key as it stands in a file, which may be of any version and by anybody.
pub struct HeldKey {
    pub id: Uuid,
    pub workspace: i64,
    pub name: String,
    pub hint: String,
    pub scopes: Scope,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    pub fingerprint: String,
}

/// Tells every key, in the order of their making.
pub fn each_held(connection: &Connection, mut tell: impl FnMut(HeldKey) -> Result<()>) -> Result<()> {
    let mut statement = connection.prepare(
        "SELECT uuid, workspace, name, hint, scopes, created_at, expires_at, revoked_at, hash FROM api_keys ORDER BY id",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        tell(HeldKey {
            id: row.get("uuid")?,
            workspace: row.get("workspace")?,
            name: row.get("name")?,
            hint: row.get("hint")?,
            scopes: Scope(row.get("scopes")?),
            created_at: row.get("created_at")?,
            expires_at: row.get("expires_at")?,
            revoked_at: row.get("revoked_at")?,
            fingerprint: fingerprint(&row.get::<_, Vec<u8>>("hash")?),
        })?;
    }
    Ok(())
}

fn is_well_formed(text: &str) -> bool {
    let digits = text.strip_prefix("mt_live_").or_else(|| text.strip_prefix("tc_live_"));
    digits.is_some_and(|d| d.len() == 48 && d.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
}

const COLUMNS: &str =
    "id, uuid, workspace, name, hint, scopes, created_at, expires_at, revoked_at, last_used_at";

pub fn find(connection: &Connection, id: Uuid) -> Result<Option<ApiKey>> {
    Ok(connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM api_keys WHERE uuid = ?1"))?
        .query_row([id], ApiKey::from_row)
        .optional()?)
}

pub fn find_by_number(connection: &Connection, key: i64) -> Result<Option<ApiKey>> {
    Ok(connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM api_keys WHERE id = ?1"))?
        .query_row([key], ApiKey::from_row)
        .optional()?)
}

fn find_by_hash(connection: &Connection, hash: &[u8; 32]) -> Result<Option<ApiKey>> {
    Ok(connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM api_keys WHERE hash = ?1"))?
        .query_row([&hash[..]], ApiKey::from_row)
        .optional()?)
}

/// The key at the beginning of those that this one was rotated from; itself, where it was not.
pub fn rotated_from(connection: &Connection, key: i64) -> Result<i64> {
    let sql = "WITH RECURSIVE line (id) AS (SELECT ?1 UNION
                   SELECT replaces FROM api_keys JOIN line USING (id) WHERE replaces IS NOT NULL)
               SELECT min(id) FROM line";
    Ok(connection.prepare_cached(sql)?.query_row([key], |row| row.get(0))?)
}

/// Up to so many of a workspace, after this number.
pub fn page(connection: &Connection, workspace: i64, after: i64, limit: i64) -> Result<Vec<ApiKey>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM api_keys WHERE workspace = ?1 AND id > ?2 ORDER BY id LIMIT ?3"
    ))?;
    Ok(statement.query_map((workspace, after, limit), ApiKey::from_row)?.collect::<rusqlite::Result<_>>()?)
}

pub fn count(connection: &Connection, workspace: i64) -> Result<i64> {
    let sql = "SELECT count(*) FROM api_keys WHERE workspace = ?1";
    Ok(connection.prepare_cached(sql)?.query_row([workspace], |row| row.get(0))?)
}

/// Ends a key at `at`: now when it is revoked, later when it was rotated. An earlier end stands.
pub fn end(tx: &Tx<'_>, key: &ApiKey, at: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE api_keys SET revoked_at = min(coalesce(revoked_at, ?2), ?2) WHERE id = ?1",
        (key.key, at.truncated()),
    )?;
    Ok(())
}

/// After the clock was put right: what ended while it was wrong has ended, though the time of it is yet to come.
pub fn end_before_step(tx: &Tx<'_>, wrong: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE api_keys SET revoked_at = ?1 WHERE revoked_at > ?1 AND revoked_at <= ?2",
        (tx.now.truncated(), wrong),
    )?;
    tx.execute("UPDATE api_keys SET last_used_at = ?1 WHERE last_used_at > ?1", [tx.now])?;
    Ok(())
}

pub fn note_use(tx: &Tx<'_>, key: i64, at: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE api_keys SET last_used_at = max(coalesce(last_used_at, 0), ?2) WHERE id = ?1",
        (key, at),
    )?;
    Ok(())
}

/// The living key that `Authorization: Bearer …` names.
///
/// # Errors
/// `invalid_auth_header`: no header, several, or another scheme. `missing_api_key`: nothing after `Bearer`.
/// `invalid_api_key`: wrong form, unknown, expired or revoked. `TooMany`: past what the key may do.
pub fn authenticate(app: &App, request: &Request) -> Result<ApiKey> {
    let token = bearer(request)?;
    let now = app.now();
    let found = app.keys.find(&app.store, sha256(token.as_bytes()))?;
    match found.filter(|key| key.is_live(now, app.latest())) {
        Some(key) => {
            app.rates.key(key.key)?;
            app.usage.key(key.key, app.believed());
            Ok(key)
        }
        None => Err(Error::Unauthenticated(Unauthenticated::Key)),
    }
}

/// The stored key of this text, living or not.
pub fn find_text(app: &App, token: &str) -> Result<Option<ApiKey>> {
    app.keys.find(&app.store, sha256(token.as_bytes()))
}

/// What `Authorization: Bearer …` holds, when it has the form of a key.
pub fn bearer(request: &Request) -> Result<&str> {
    let refused = |why| Err(Error::Unauthenticated(why));
    let Ok(Some(value)) = request.single_header("authorization") else {
        return refused(Unauthenticated::Header);
    };
    let value = value.trim();
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return refused(Unauthenticated::Header);
    }
    let token = token.trim();
    if token.is_empty() {
        return refused(Unauthenticated::MissingKey);
    }
    if !is_well_formed(token) {
        return refused(Unauthenticated::Key);
    }
    Ok(token)
}
