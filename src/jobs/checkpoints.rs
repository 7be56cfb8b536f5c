//! A signed checkpoint whenever the tree has grown. And each day a seal, after which the tiles that nothing needs any
//! more go: that may be many, and the next checkpoint does not wait for it.

use std::sync::atomic::Ordering;

use serde_json::Value;

use crate::app::App;
use crate::error::Result;
use crate::tlog::dead;

/// Rows of the tree's table in one transaction: 2 MB.
const PIECE: i64 = 500;

pub fn run(app: &App) -> Result<Value> {
    // A full disk has no room for it, and nothing is recorded on it; without an inode it cannot be put in its place.
    let room = app.store.disk().room();
    if !room.is_low && !room.has_no_inode {
        unless_full(app, app.checkpoints.current(&app.store).map(|_| ()))?;
    }
    Ok(Value::Null)
}

/// What is known of the disk may be a moment old: where it turns out to be full, that is told once, and by who looks.
fn unless_full(app: &App, made: Result<()>) -> Result<()> {
    let Err(error) = made else { return Ok(()) };
    let room = app.store.disk().look_again();
    if room.is_low || room.has_no_inode { Ok(()) } else { Err(error) }
}

pub fn seal(app: &App) -> Result<Value> {
    let room = app.store.disk().room();
    if room.is_low || room.has_no_inode || !app.checkpoints.is_seal_due(&app.store, app.latest())? {
        return Ok(Value::Null);
    }
    unless_full(app, app.checkpoints.seal(&app.store).map(|_| ()))?;
    while app.store.write(|tx| dead::forget(tx, PIECE))? == PIECE && !app.stopping.load(Ordering::Relaxed) {}
    Ok(Value::Null)
}
