//! The daily reset of send counts: `unblocked`, once, for each mailbox that is still blocked from an earlier day,
//! also when the process was down at the time.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::app::App;
use crate::enforcement::limits;
use crate::error::Result;
use crate::owners::mailboxes;
use crate::store::Sharing;

/// Mailboxes in one transaction.
const PIECE: i64 = 200;

pub fn run(app: &App) -> Result<Value> {
    let mut n_reset = 0;
    loop {
        let window = app.config.window_start(app.believed());
        let n_due = app.store.write_if(
            Sharing::Savepoint,
            move |snapshot| Ok(!mailboxes::list_blocked_before(snapshot, window, 1)?.is_empty()),
            move |tx| limits::reset_due(tx, window, PIECE),
        )?;
        let n_due = n_due.unwrap_or(0);
        n_reset += n_due;
        if n_due < PIECE as usize || app.stopping.load(Ordering::Relaxed) {
            break;
        }
    }
    Ok(if n_reset == 0 { Value::Null } else { json!({ "unblocked": n_reset }) })
}
