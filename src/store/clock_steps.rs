//! Where time started again: a person said that the clock had been wrong and is right now.
//!
//! Writes never see a time before that of an earlier one, so a clock that once leapt ten years ahead would have every
//! later row recorded then. After the step times start again at the clock's; the rows of the leap keep theirs, for
//! nothing recorded is changed. Between two steps times only rise with the numbers of rows.

use rusqlite::Connection;

use super::Tx;
use crate::error::Result;
use crate::time::Timestamp;

/// Lets this write, and all later ones, see `to` as now, though earlier ones saw a later time. Alone in its
/// transaction (`Sharing::Alone`).
pub fn step_back(tx: &mut Tx<'_>, to: Timestamp) -> Result<()> {
    let from = tx.now;
    (tx.now, tx.believed, tx.clock) = (to, to, to);
    tx.execute(
        "INSERT INTO clock_steps (seq, from_time, to_time) VALUES (?1, ?2, ?3)",
        (tx.last_seq, from, to),
    )?;
    Ok(())
}

/// The last number before each step that has such a number below `last`, in order.
pub fn ends_before(connection: &Connection, last: i64) -> Result<Vec<i64>> {
    let mut statement =
        connection.prepare_cached("SELECT seq FROM clock_steps WHERE seq < ?1 ORDER BY seq")?;
    Ok(statement.query_map([last], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
}

/// Whether time ever started again.
pub fn has_any(connection: &Connection) -> Result<bool> {
    Ok(connection.query_row("SELECT EXISTS (SELECT 1 FROM clock_steps)", [], |row| row.get(0))?)
}
