//! A signed checkpoint whenever the tree has grown; each day a seal, and the tiles that nothing needs any more go.

use serde_json::Value;

use crate::app::App;
use crate::error::Result;
use crate::tlog::dead;

/// Rows of the tree's table in one transaction: 2 MB.
const PIECE: i64 = 500;

pub fn run(app: &App) -> Result<Value> {
    // A full disk has no room for it, and nothing is recorded on it.
    if app.store.disk().room().is_low {
        return Ok(Value::Null);
    }
    app.checkpoints.current(&app.store)?;
    if app.checkpoints.is_seal_due(&app.store, app.now())? {
        app.checkpoints.seal(&app.store)?;
        while app.store.write(|tx| dead::forget(tx, PIECE))? == PIECE {}
    }
    Ok(Value::Null)
}
