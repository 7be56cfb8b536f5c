//! The settings of the last start, so that the next one can tell what was changed in between: who edits the
//! configuration file is seen by nobody, and may have had a reason not to be.
//!
//! As `mailtrail config` shows them: of a secret only whether there is one. Beside them, under `set.` and the log, the days
//! that were set at run time (`mailtrail retention set`) and beat the configuration.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension};

use super::Tx;
use crate::error::Result;

/// By name. Empty before the first start.
pub fn seen(connection: &Connection) -> Result<BTreeMap<String, String>> {
    let mut statement =
        connection.prepare_cached("SELECT name, value FROM seen_settings WHERE name NOT LIKE 'set.%'")?;
    let seen = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(seen.collect::<rusqlite::Result<_>>()?)
}

/// Puts these in place of those of the start before.
pub fn keep(tx: &Tx<'_>, settings: &BTreeMap<String, String>) -> Result<()> {
    tx.execute("DELETE FROM seen_settings WHERE name NOT LIKE 'set.%'", [])?;
    let mut insert = tx.prepare_cached("INSERT INTO seen_settings (name, value) VALUES (?1, ?2)")?;
    for setting in settings {
        insert.execute(setting)?;
    }
    Ok(())
}

/// The days of a log that were set at run time; `None`: none were, `Some(None)`: for ever.
pub fn days(connection: &Connection, log: &str) -> Result<Option<Option<i64>>> {
    let mut statement =
        connection.prepare_cached("SELECT value FROM seen_settings WHERE name = 'set.' || ?1")?;
    let value: Option<String> = statement.query_row([log], |row| row.get(0)).optional()?;
    Ok(value.map(|value| value.parse().ok()))
}

/// Sets them, or `None`: leaves them to the configuration.
pub fn set_days(tx: &Tx<'_>, log: &str, days: Option<Option<i64>>) -> Result<()> {
    tx.execute("DELETE FROM seen_settings WHERE name = 'set.' || ?1", [log])?;
    if let Some(days) = days {
        let value = days.map_or_else(|| "forever".to_owned(), |days| days.to_string());
        tx.execute("INSERT INTO seen_settings (name, value) VALUES ('set.' || ?1, ?2)", (log, value))?;
    }
    Ok(())
}
