//! Sessions: an opaque 256-bit token in a cookie, stored as its SHA-256.
//!
//! A session ends by logout, by idleness, by age, with its user, or by `MOST` newer ones. The cookie is HttpOnly and
//! SameSite=Lax; a request that changes something and comes from another origin is refused besides, since Lax alone
//! lets a sibling subdomain through.
//!
//! A sibling subdomain can also plant a cookie, and have somebody act as somebody else. So behind https the cookie's
//! name begins with `__Host-`, which browsers take from the host itself alone, and no other name is read; without https
//! a browser promises nothing, and two cookies of the name are none.

use rusqlite::{Connection, OptionalExtension};

use crate::app::App;
use crate::auth::address;
use crate::error::{Error, Result, Unauthenticated};
use crate::http::Request;
use crate::ids::{Uuid, fingerprint, random_hex, sha256};
use crate::owners::users::{self, User};
use crate::store::Tx;
use crate::time::Timestamp;

pub const COOKIE: &str = "mailtrail_session";
/// Behind https.
const HOST_COOKIE: &str = "__Host-mailtrail_session";

/// Sessions of a person. One more forgets the one that was not seen for longest.
const MOST: i64 = 20;

/// What the log knows a session by.
pub fn fingerprint_of(token: &str) -> String {
    fingerprint(&sha256(token.as_bytes()))
}

/// A session that was not ended, as it stands in a file.
pub struct HeldSession {
    pub fingerprint: String,
    pub user: Uuid,
    pub email: String,
    pub created_at: Timestamp,
    /// Where they are or were members.
    pub workspaces: Vec<i64>,
}

/// Tells every one of them.
pub fn each_held(connection: &Connection, mut tell: impl FnMut(HeldSession) -> Result<()>) -> Result<()> {
    let mut statement = connection.prepare(
        "SELECT hash, user, users.uuid, users.email, sessions.created_at FROM sessions
         JOIN users ON users.id = sessions.user WHERE ended_at IS NULL",
    )?;
    let mut of = connection.prepare("SELECT workspace FROM members WHERE user = ?1")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let workspaces = of.query_map([row.get::<_, i64>("user")?], |row| row.get(0))?;
        tell(HeldSession {
            fingerprint: fingerprint(&row.get::<_, Vec<u8>>("hash")?),
            user: row.get("uuid")?,
            email: row.get("email")?,
            created_at: row.get("created_at")?,
            workspaces: workspaces.collect::<rusqlite::Result<_>>()?,
        })?;
    }
    Ok(())
}

/// Starts a session; returns the token for the cookie.
pub fn create(tx: &Tx<'_>, user: i64) -> Result<String> {
    let token = random_hex::<32>();
    let hash = sha256(token.as_bytes());
    // Room for this one, whatever the clock says of the others.
    tx.execute(
        "DELETE FROM sessions WHERE user = ?1 AND hash NOT IN
             (SELECT hash FROM sessions WHERE user = ?1 ORDER BY ended_at IS NOT NULL, last_seen_at DESC LIMIT ?2)",
        (user, MOST - 1),
    )?;
    tx.execute(
        "INSERT INTO sessions (hash, user, created_at, last_seen_at) VALUES (?1, ?2, ?3, ?3)",
        (&hash[..], user, tx.clock),
    )?;
    Ok(token)
}

/// Ends the session of a token; nothing happens when there is none.
pub fn end(tx: &Tx<'_>, token: &str) -> Result<()> {
    tx.execute(
        "UPDATE sessions SET ended_at = ?2 WHERE hash = ?1 AND ended_at IS NULL",
        (&sha256(token.as_bytes())[..], tx.now),
    )?;
    Ok(())
}

/// Ends every session of a user: a new password, or the end of the account.
pub fn end_all(tx: &Tx<'_>, user: i64) -> Result<()> {
    end_others(tx, user, None)
}

/// Ends every session of a user but the one with this token.
pub fn end_others(tx: &Tx<'_>, user: i64, keep: Option<&str>) -> Result<()> {
    let kept = keep.map(|token| sha256(token.as_bytes()));
    tx.execute(
        "UPDATE sessions SET ended_at = ?2 WHERE user = ?1 AND ended_at IS NULL AND hash IS NOT ?3",
        (user, tx.now, kept.as_ref().map(|hash| &hash[..])),
    )?;
    Ok(())
}

/// How many were not ended.
pub fn count_living(connection: &Connection) -> Result<i64> {
    Ok(connection.query_row("SELECT count(*) FROM sessions WHERE ended_at IS NULL", [], |row| row.get(0))?)
}

/// Ends everybody's.
pub fn end_everybodys(connection: &Connection, at: Timestamp) -> Result<()> {
    connection.execute("UPDATE sessions SET ended_at = ?1 WHERE ended_at IS NULL", [at])?;
    Ok(())
}

/// After the clock was put right: a session that began in the future would live until then.
pub fn end_after_step(tx: &Tx<'_>) -> Result<()> {
    tx.execute(
        "UPDATE sessions SET ended_at = CASE WHEN created_at > ?1 THEN coalesce(ended_at, ?1) ELSE ended_at END,
             created_at = min(created_at, ?1), last_seen_at = ?1 WHERE last_seen_at > ?1",
        [tx.now],
    )?;
    Ok(())
}

pub fn note_use(tx: &Tx<'_>, hash: &[u8; 32], at: Timestamp) -> Result<()> {
    tx.execute("UPDATE sessions SET last_seen_at = max(last_seen_at, ?2) WHERE hash = ?1", (&hash[..], at))?;
    Ok(())
}

/// Forgets up to `limit` sessions that began before `cutoff`; says how many.
pub fn forget(tx: &Tx<'_>, cutoff: Timestamp, limit: i64) -> Result<usize> {
    Ok(tx.execute(
        "DELETE FROM sessions WHERE hash IN (SELECT hash FROM sessions WHERE created_at < ?1 ORDER BY created_at LIMIT ?2)",
        (cutoff, limit),
    )?)
}

struct Stored {
    user: i64,
    created_at: Timestamp,
    last_seen_at: Timestamp,
}

fn find(connection: &Connection, hash: &[u8; 32]) -> Result<Option<Stored>> {
    Ok(connection
        .prepare_cached(
            "SELECT user, created_at, last_seen_at FROM sessions WHERE hash = ?1 AND ended_at IS NULL",
        )?
        .query_row([&hash[..]], |row| {
            Ok(Stored { user: row.get(0)?, created_at: row.get(1)?, last_seen_at: row.get(2)? })
        })
        .optional()?)
}

/// When a session began; `None` when it is unknown or has ended.
pub fn began_at(connection: &Connection, hash: &[u8; 32]) -> Result<Option<Timestamp>> {
    Ok(find(connection, hash)?.map(|stored| stored.created_at))
}

/// The person whose living session the cookie names.
pub fn authenticate(app: &App, request: &Request) -> Result<User> {
    if !request.method.is_safe() {
        refuse_foreign_origin(request)?;
    }
    let missing = || Error::Unauthenticated(Unauthenticated::Session);
    let hash = sha256(token(app, request).ok_or_else(missing)?.as_bytes());
    let user = find_user(app, &hash)?.ok_or_else(missing)?;
    app.rates.person(user.key)?;
    app.usage.session(hash, app.believed());
    Ok(user)
}

/// The same of somebody who is refused all the same: it is no use of the session.
pub fn find_living(app: &App, request: &Request) -> Result<Option<User>> {
    let Some(token) = token(app, request) else { return Ok(None) };
    find_user(app, &sha256(token.as_bytes()))
}

/// Whose living session it is.
fn find_user(app: &App, hash: &[u8; 32]) -> Result<Option<User>> {
    let now = app.now();
    // Asked before the row: what is forgotten here by then is in the row.
    let unwritten = app.usage.session_seen(hash);
    let found = app.store.read(|snapshot| {
        let Some(stored) = find(snapshot, hash)? else { return Ok(None) };
        Ok(users::find_by_key(snapshot, stored.user)?.map(|user| (stored, user)))
    })?;
    let Some((stored, user)) = found else { return Ok(None) };
    let seen = unwritten.unwrap_or(stored.last_seen_at).max(stored.last_seen_at);
    let seconds = |duration: std::time::Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    let is_idle = now >= seen.plus_seconds(seconds(app.config.session_idle));
    let is_old = now >= stored.created_at.plus_seconds(seconds(app.config.session_lifetime));
    // It began while the clock was ahead, and nobody knows how old it is.
    let is_of_tomorrow = stored.created_at > now.plus_seconds(300);
    let is_over = is_idle || is_old || is_of_tomorrow || user.deleted_at.is_some();
    Ok(Some(user).filter(|_| !is_over))
}

/// The session cookie's value. Two that differ are none: one of them is not ours.
pub fn token<'r>(app: &App, request: &'r Request) -> Option<&'r str> {
    only_cookie(request, name(app, request))
}

fn name(app: &App, request: &Request) -> &'static str {
    if address::is_https(request, &app.config.trusted_proxies) { HOST_COOKIE } else { COOKIE }
}

/// The value of the cookies of a name, where they agree and it has the form of a token.
pub fn only_cookie<'r>(request: &'r Request, name: &str) -> Option<&'r str> {
    let cookies = request.headers.iter().filter(|(name, _)| name == "cookie").flat_map(|(_, v)| v.split(';'));
    let mut values = cookies
        .filter_map(|cookie| cookie.trim().split_once('='))
        .filter(|(other, _)| *other == name)
        .map(|(_, value)| value);
    let first = values.next().filter(|value| value.len() == 64)?;
    values.all(|value| value == first).then_some(first)
}

/// `Set-Cookie` for a token; without one, the cookie's end.
pub fn set_cookie(app: &App, request: &Request, token: Option<&str>) -> String {
    let name = name(app, request);
    let secure = if name == HOST_COOKIE { "; Secure" } else { "" };
    let age = if token.is_some() { app.config.session_lifetime.as_secs() } else { 0 };
    let token = token.unwrap_or_default();
    format!("{name}={token}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}")
}

/// Refuses a request that a page of another origin sent with the cookie. Browsers say where a request comes from
/// (`Sec-Fetch-Site`, or `Origin` in older ones); programs say neither and carry no one else's cookie.
pub fn refuse_foreign_origin(request: &Request) -> Result<()> {
    let own = match request.header("sec-fetch-site") {
        Some(site) => matches!(site, "same-origin" | "none"),
        None => match (request.header("origin"), request.header("host")) {
            (Some(origin), Some(host)) => {
                origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host))
            }
            (Some(_), None) => false,
            (None, _) => true,
        },
    };
    if own {
        Ok(())
    } else {
        Err(Error::Forbidden("this request comes from a page of another origin".into()))
    }
}
