//! Backups that nobody has to think of: every so often one more in `backup_directory`, the oldest beyond
//! `backups_kept` removed.
//!
//! A large database takes minutes to copy and examine. One is made at a time, and it is broken off when the program
//! ends. Only files with a name of ours are ever removed.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use serde_json::{Value, json};

use crate::app::{App, LOGS};
use crate::config::Backups;
use crate::error::{Error, Result};
use crate::store::{Store, Whole, backup, jobs};
use crate::time::Timestamp;

/// The row of `jobs` that tells of the last backup that was finished, whoever asked for it.
const COMPLETED: &str = "backup_completed";
/// The row of `jobs` that tells how the last scheduled one ended.
const SCHEDULED: &str = "backup";

/// Makes backups of the live database, and knows of the last.
pub struct Maker {
    store: Arc<Store>,
    is_stopping: Arc<AtomicBool>,
    /// Microseconds; 0: there was none.
    last: AtomicI64,
    /// Held while one is made.
    turn: Mutex<()>,
}

impl Maker {
    /// `is_stopping` breaks off what is under way.
    pub fn open(store: Arc<Store>, is_stopping: Arc<AtomicBool>) -> Result<Self> {
        let last = store.read(|snapshot| jobs::started_at(snapshot, COMPLETED))?;
        let last = AtomicI64::new(last.map_or(0, Timestamp::micros));
        Ok(Self { store, is_stopping, last, turn: Mutex::default() })
    }

    /// When the last finished backup was begun: nothing recorded later is in it.
    pub fn last(&self) -> Option<Timestamp> {
        Some(Timestamp::from_micros(self.last.load(Ordering::Relaxed))).filter(|last| last.micros() != 0)
    }

    /// Makes one, unless `is_over` says that nobody wants it any more. Returns its size in bytes.
    ///
    /// # Errors
    /// As `store::backup::backup`; `Unavailable` while another is made: the room on the disk is looked at before each.
    pub fn make(
        &self,
        now: Timestamp,
        destination: &Path,
        is_over: impl FnMut() -> bool + Clone + Send + 'static,
    ) -> Result<u64> {
        let Some(turn) = self.turn() else {
            let message = "another backup is being made".into();
            return Err(Error::Unavailable { retry_after: 10, message });
        };
        self.make_in_turn(&turn, now, destination, is_over)
    }

    /// `None` while somebody else makes one.
    fn turn(&self) -> Option<MutexGuard<'_, ()>> {
        match self.turn.try_lock() {
            Ok(turn) => Some(turn),
            Err(TryLockError::Poisoned(turn)) => Some(turn.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn make_in_turn(
        &self,
        _: &MutexGuard<'_, ()>,
        now: Timestamp,
        destination: &Path,
        is_over: impl FnMut() -> bool + Clone + Send + 'static,
    ) -> Result<u64> {
        let bytes = self.store.read_whole(Whole::Backup, is_over.clone(), |snapshot| {
            backup::backup(snapshot, destination, LOGS, is_over)
        })?;
        let outcome = json!({ "file": destination, "bytes": bytes });
        self.store.write(move |tx| jobs::note(tx, COMPLETED, now, &outcome))?;
        self.last.store(now.micros(), Ordering::Relaxed);
        Ok(bytes)
    }

    fn make_and_keep(
        &self,
        turn: &MutexGuard<'_, ()>,
        now: Timestamp,
        directory: &Path,
        kept: usize,
    ) -> Result<Value> {
        crate::data_directory::create(directory)?;
        remove(ours(directory, is_unfinished)?)?;
        let destination = directory.join(file_name(now));
        let is_stopping = Arc::clone(&self.is_stopping);
        let is_over = move || is_stopping.load(Ordering::Relaxed);
        let bytes = self.make_in_turn(turn, now, &destination, is_over)?;
        let mut finished = ours(directory, is_finished)?;
        finished.sort();
        finished.truncate(finished.len().saturating_sub(kept));
        let n_removed = finished.len();
        remove(finished)?;
        Ok(json!({ "file": destination, "bytes": bytes, "removed": n_removed }))
    }
}

/// Makes one when it is due.
pub fn run(app: &App) -> Result<Value> {
    let Some(Backups { every, kept, directory }) = app.config.backups.clone() else { return Ok(Value::Null) };
    let Some(turn) = app.backups.turn() else { return Ok(Value::Null) };
    let now = app.clock.now();
    // A failed one is tried again after as long: a disk that is full is not filled once a minute.
    let tried = app.store.read(|snapshot| jobs::started_at(snapshot, SCHEDULED))?.max(app.backups.last());
    if tried.is_some_and(|tried| tried <= now && now < tried.plus_seconds(every)) {
        return Ok(Value::Null);
    }
    app.backups.make_and_keep(&turn, now, &directory, kept)
}

/// `mailtrail-20260430T142211Z.db`: in the order of time when in the order of letters.
fn file_name(now: Timestamp) -> String {
    let time: String = now.truncated().to_string().chars().filter(|c| !matches!(c, '-' | ':')).collect();
    format!("mailtrail-{time}.db")
}

fn is_finished(name: &str) -> bool {
    let time = name.strip_prefix("mailtrail-").and_then(|rest| rest.strip_suffix("Z.db"));
    let is_time = |(at, byte): (usize, u8)| if at == 8 { byte == b'T' } else { byte.is_ascii_digit() };
    time.is_some_and(|time| time.len() == 15 && time.bytes().enumerate().all(is_time))
}

/// What a backup left that was broken off.
fn is_unfinished(name: &str) -> bool {
    let hidden = name.strip_prefix('.').and_then(|rest| rest.strip_suffix(".partial"));
    hidden.and_then(|rest| rest.rsplit_once('.')).is_some_and(|(name, _)| is_finished(name))
}

fn ours(directory: &Path, is_ours: fn(&str) -> bool) -> Result<Vec<PathBuf>> {
    let failed = || Error::io(format!("cannot read {}", directory.display()));
    let mut found = Vec::new();
    for entry in directory.read_dir().map_err(failed())? {
        let entry = entry.map_err(failed())?;
        if entry.file_name().to_str().is_some_and(is_ours) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn remove(files: Vec<PathBuf>) -> Result<()> {
    for file in files {
        std::fs::remove_file(&file).map_err(Error::io(format!("cannot remove {}", file.display())))?;
    }
    Ok(())
}
