//! What only mailtrail itself needs: when keys and sessions were last used is written down, answers to old
//! idempotency keys, dead sessions, invitations that nobody accepted and places of old logins are forgotten.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::app::App;
use crate::auth::{keys, sessions, sources};
use crate::error::Result;
use crate::owners::invitations;
use crate::store::idempotency;

/// Rows in one transaction.
const PIECE: i64 = 1000;

/// Writes down the uses since the last time.
pub fn write_usage(app: &App) -> Result<Value> {
    let uses = app.usage.unwritten();
    if uses.keys.is_empty() && uses.sessions.is_empty() {
        return Ok(Value::Null);
    }
    let uses = app.store.write(move |tx| {
        for (key, at) in &uses.keys {
            keys::note_use(tx, *key, *at)?;
        }
        for (hash, at) in &uses.sessions {
            sessions::note_use(tx, hash, *at)?;
        }
        Ok(uses)
    })?;
    app.usage.written(&uses);
    Ok(Value::Null)
}

pub fn forget(app: &App) -> Result<Value> {
    let seconds = |duration: std::time::Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    let now = app.believed();
    let answers_before = now.plus_seconds(-seconds(app.config.idempotency_lifetime));
    let sessions_before = now.plus_seconds(-seconds(app.config.session_lifetime));
    let sources_before = now.plus_days(-sources::DAYS);
    let mut forgotten = [0; 4];
    loop {
        let gone = app.store.write(move |tx| {
            Ok([
                idempotency::forget(tx, answers_before, PIECE)?,
                sessions::forget(tx, sessions_before, PIECE)?,
                invitations::forget(tx, now, PIECE)?,
                sources::forget(tx, sources_before, PIECE)?,
            ])
        })?;
        forgotten.iter_mut().zip(gone).for_each(|(sum, gone)| *sum += gone);
        let is_done = gone.iter().all(|gone| *gone < PIECE as usize);
        if is_done || app.stopping.load(Ordering::Relaxed) {
            let [answers, sessions, invitations, sources] = forgotten;
            return Ok(json!({
                "answers": answers, "sessions": sessions, "invitations": invitations, "login_sources": sources,
            }));
        }
    }
}

/// Empty pages that are kept for what is recorded next: giving all back would only have the file grow again.
const SPARE: i64 = 2048;
/// Empty pages given back in one transaction, and transactions in one run.
const PAGES: i64 = 512;
const STEPS: usize = 50;

/// Gives empty pages back to the file system once they are more than a twentieth of the file: what retention left.
/// Step by step, so that no writer waits long. On a disk that is too full to record, all of them.
pub fn give_back(app: &App) -> Result<Value> {
    let is_low = app.store.disk().room().is_low;
    let mut n_given = 0;
    for _ in 0..STEPS {
        let (n_pages, n_free) = app.store.read(|snapshot| crate::store::pages(snapshot))?;
        let n_spare = if is_low { 0 } else { SPARE.max(n_pages / 20) };
        if n_free <= n_spare || app.stopping.load(Ordering::Relaxed) {
            break;
        }
        let n = PAGES.min(n_free - n_spare);
        app.store.write(move |tx| crate::store::give_back(tx, n))?;
        n_given += n;
    }
    if is_low && n_given > 0 {
        app.store.checkpoint()?;
    }
    Ok(if n_given == 0 { Value::Null } else { json!({ "pages": n_given }) })
}
