//! The settings of the last start, so that the next one can tell what was changed in between: who edits the
//! configuration file is seen by nobody, and may have had a reason not to be.
//!
//! As `mailtrail config` shows them: of a secret only whether there is one.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::Tx;
use crate::error::Result;

/// By name. Empty before the first start.
pub fn seen(connection: &Connection) -> Result<BTreeMap<String, String>> {
    let mut statement = connection.prepare_cached("SELECT name, value FROM seen_settings")?;
    let seen = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(seen.collect::<rusqlite::Result<_>>()?)
}

/// Puts these in place of those of the start before.
pub fn keep(tx: &Tx<'_>, settings: &BTreeMap<String, String>) -> Result<()> {
    tx.execute("DELETE FROM seen_settings", [])?;
    let mut insert = tx.prepare_cached("INSERT INTO seen_settings (name, value) VALUES (?1, ?2)")?;
    for setting in settings {
        insert.execute(setting)?;
    }
    Ok(())
}
