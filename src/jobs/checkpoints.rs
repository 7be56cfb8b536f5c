//! A signed checkpoint whenever the tree has grown, a seal each day.

use serde_json::Value;

use crate::app::App;
use crate::error::Result;

pub fn run(app: &App) -> Result<Value> {
    // A full disk has no room for it, and nothing is recorded on it.
    if app.store.disk().room().is_low {
        return Ok(Value::Null);
    }
    app.checkpoints.current(&app.store)?;
    if app.checkpoints.is_seal_due(&app.store, app.clock.now())? {
        app.checkpoints.seal(&app.store)?;
    }
    Ok(Value::Null)
}
