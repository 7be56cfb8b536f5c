//! From where people have logged in lately: addresses, or /64s in IPv6. Who guesses elsewhere does not slow them down
//! there (`throttle`).
//!
//! Kept in the database, since a restart must not lock the owner out during an attack: `MOST` of an account, for
//! `DAYS`. A new password forgets them: who knew the old one may be among them.

use std::net::IpAddr;

use rusqlite::Connection;

use crate::error::Result;
use crate::store::Tx;
use crate::time::Timestamp;

/// Days for which a source is known after the last login from it.
pub const DAYS: i64 = 30;
/// Sources of an account; the one not seen for longest gives way.
const MOST: i64 = 32;

fn bytes(source: IpAddr) -> Vec<u8> {
    match source {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

pub fn is_known(connection: &Connection, user: i64, source: IpAddr, now: Timestamp) -> Result<bool> {
    Ok(connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM login_sources WHERE user = ?1 AND source = ?2 AND last_at > ?3)",
        )?
        .query_row((user, bytes(source), now.plus_days(-DAYS)), |row| row.get(0))?)
}

/// A login from there has succeeded.
pub fn note(tx: &Tx<'_>, user: i64, source: IpAddr) -> Result<()> {
    tx.execute(
        "INSERT INTO login_sources (user, source, last_at) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET last_at = excluded.last_at",
        (user, bytes(source), tx.now),
    )?;
    tx.execute(
        "DELETE FROM login_sources WHERE user = ?1 AND source NOT IN
             (SELECT source FROM login_sources WHERE user = ?1 ORDER BY last_at DESC LIMIT ?2)",
        (user, MOST),
    )?;
    Ok(())
}

/// Forgets those of an account.
pub fn forget_all(tx: &Tx<'_>, user: i64) -> Result<()> {
    tx.execute("DELETE FROM login_sources WHERE user = ?1", [user])?;
    Ok(())
}

/// Forgets up to `limit` of them that were last seen before `cutoff`; says how many.
pub fn forget(tx: &Tx<'_>, cutoff: Timestamp, limit: i64) -> Result<usize> {
    Ok(tx.execute(
        "DELETE FROM login_sources WHERE (user, source) IN
             (SELECT user, source FROM login_sources WHERE last_at < ?1 ORDER BY last_at LIMIT ?2)",
        (cutoff, limit),
    )?)
}

/// After the clock was put right: who was seen in the future was seen now.
pub fn date_back(tx: &Tx<'_>) -> Result<()> {
    tx.execute("UPDATE login_sources SET last_at = ?1 WHERE last_at > ?1", [tx.now])?;
    Ok(())
}
