//! Backups that nobody has to think of: every so often one more in `backup_directory`, the oldest beyond
//! `backups_kept` removed.
//!
//! A large database takes minutes to copy and examine. One is made at a time, and it is broken off when the program
//! ends. Which was made last is remembered (`store::backups`), for a name or a clock can lie: the one made last is never
//! removed. Only files with a name of the schedule are, and nobody else can make one of such a name.
//!
//! One that fails is tried again after minutes, and at each start; until then readiness says so.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use crate::app::{App, LOGS};
use crate::config::{Backups, Config};
use crate::error::{Error, Result};
use crate::store::{Store, UnderWay, Whole, backup, backups};
use crate::time::Timestamp;

/// Seconds after which one that failed is tried again.
const AGAIN: i64 = 300;

/// Makes backups of the live database, and knows of the last.
pub struct Maker {
    store: Arc<Store>,
    is_stopping: Arc<AtomicBool>,
    last: Mutex<Option<Timestamp>>,
    /// Of the schedule, the last attempt.
    has_failed: AtomicBool,
    /// Not before, after one that failed; microseconds.
    again: AtomicI64,
}

impl Maker {
    /// `is_stopping` breaks off what is under way.
    pub fn new(store: Arc<Store>, is_stopping: Arc<AtomicBool>) -> Self {
        Self {
            store,
            is_stopping,
            last: Mutex::default(),
            has_failed: AtomicBool::new(false),
            again: AtomicI64::new(0),
        }
    }

    /// When the last backup was begun whose file is there, as of the last look.
    pub fn last(&self) -> Option<Timestamp> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the last attempt of the schedule failed.
    pub fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }

    /// On its own thread alone: the directory may be on a disk that does not answer.
    fn look(&self) -> Result<()> {
        let made = self.store.read(|snapshot| backups::list(snapshot))?;
        let last = made.iter().find(|made| backup::is_database(&made.file)).map(|made| made.made_at);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = last;
        Ok(())
    }

    /// Makes one by hand, unless `is_over` says that nobody wants it any more. `named` is where it is kept, which whoever
    /// asks for it may see to. Returns its size in bytes.
    ///
    /// # Errors
    /// As `store::backup::backup`; `Conflict` while another is made: the room on the disk is looked at before each.
    pub fn make(
        &self,
        now: Timestamp,
        destination: &Path,
        named: &Path,
        is_over: impl FnMut() -> bool + Clone + Send + 'static,
    ) -> Result<u64> {
        let turn = self.store.begin_whole(Whole::Backup)?;
        self.make_in_turn(&turn, (now, false), (destination, named), is_over)
    }

    fn make_in_turn(
        &self,
        turn: &UnderWay<'_>,
        (now, is_scheduled): (Timestamp, bool),
        (destination, named): (&Path, &Path),
        is_over: impl FnMut() -> bool + Clone + Send + 'static,
    ) -> Result<u64> {
        let reserve = self.store.disk().reserve_at(destination);
        let bytes = self.store.read_under_way(turn, is_over.clone(), |snapshot| {
            backup::backup(snapshot, destination, LOGS, reserve, is_over)
        })?;
        let file = std::path::absolute(named).map_err(Error::io("cannot name the backup"))?;
        self.store.write(move |tx| backups::add(tx, &file, now, is_scheduled))?;
        self.look()?;
        Ok(bytes)
    }

    fn is_due(&self, now: Timestamp, every: i64) -> Result<bool> {
        let again = Timestamp::from_micros(self.again.load(Ordering::Relaxed));
        if now < again && again <= now.plus_seconds(AGAIN) {
            return Ok(false);
        }
        let made = self.store.read(|snapshot| backups::list(snapshot))?;
        let last = made.iter().find(|made| made.is_scheduled);
        Ok(last.is_none_or(|last| now < last.made_at || last.made_at.plus_seconds(every) <= now))
    }

    fn make_and_keep(
        &self,
        turn: &UnderWay<'_>,
        now: Timestamp,
        directory: &Path,
        kept: usize,
    ) -> Result<Value> {
        crate::data_directory::create(directory)?;
        remove(&ours(directory, is_unfinished)?)?;
        let destination = directory.join(file_name(now));
        let is_stopping = Arc::clone(&self.is_stopping);
        let is_over = move || is_stopping.load(Ordering::Relaxed);
        let bytes = self.make_in_turn(turn, (now, true), (&destination, &destination), is_over)?;
        let n_removed = self.remove_beyond(kept, directory)?;
        Ok(json!({ "file": destination, "bytes": bytes, "removed": n_removed }))
    }

    /// Removes the oldest of the schedule's, and forgets those that somebody removed. Files that nobody remembers making
    /// (a backup was put in place, which knows of none after it) are older than all that somebody does.
    fn remove_beyond(&self, kept: usize, directory: &Path) -> Result<usize> {
        let directory = std::path::absolute(directory).map_err(Error::io("cannot name the directory"))?;
        let there: HashSet<PathBuf> = ours(&directory, is_finished)?.into_iter().collect();
        let made = self.store.read(|snapshot| backups::list(snapshot))?;
        let made =
            made.into_iter().filter(|made| made.file.parent() == Some(&directory) && made.is_scheduled);
        let (present, gone): (Vec<_>, Vec<_>) = made.partition(|made| there.contains(&made.file));
        let remembered: HashSet<&PathBuf> = present.iter().map(|made| &made.file).collect();
        let mut unknown: Vec<&PathBuf> = there.iter().filter(|file| !remembered.contains(file)).collect();
        unknown.sort_by(|one, other| other.cmp(one));
        // The one made last first.
        let in_order: Vec<PathBuf> = present.iter().map(|made| &made.file).chain(unknown).cloned().collect();
        let beyond = in_order.get(kept.max(1)..).unwrap_or_default();
        remove(beyond)?;
        let forgotten = present.iter().filter(|made| beyond.contains(&made.file)).chain(&gone);
        let forgotten: Vec<i64> = forgotten.map(|made| made.number).collect();
        if !forgotten.is_empty() {
            self.store.write(move |tx| backups::forget(tx, &forgotten))?;
        }
        Ok(beyond.len())
    }
}

/// Makes one when it is due.
pub fn run(app: &App) -> Result<Value> {
    let maker = &app.backups;
    maker.look()?;
    let Some(Backups { every, kept, directory }) = app.config.backups.clone() else { return Ok(Value::Null) };
    let turn = match app.store.begin_whole(Whole::Backup) {
        // One is being made: after it.
        Err(Error::Conflict { .. }) => return Ok(Value::Null),
        turn => turn?,
    };
    let now = app.believed();
    if !maker.is_due(now, every)? {
        return Ok(Value::Null);
    }
    let made = maker.make_and_keep(&turn, now, &directory, kept);
    maker.has_failed.store(made.is_err(), Ordering::Relaxed);
    let again = if made.is_err() { now.plus_seconds(AGAIN).micros() } else { 0 };
    maker.again.store(again, Ordering::Relaxed);
    made
}

/// `mailtrail-20260430T142211Z.db`
fn file_name(now: Timestamp) -> String {
    let time: String = now.truncated().to_string().chars().filter(|c| !matches!(c, '-' | ':')).collect();
    format!("mailtrail-{time}.db")
}

/// Whether it is a name of the schedule, whose files are removed by it.
pub fn is_of_the_schedule(name: &str) -> bool {
    is_finished(name) || is_unfinished(name)
}

fn is_finished(name: &str) -> bool {
    let time = name.strip_prefix("mailtrail-").and_then(|rest| rest.strip_suffix("Z.db"));
    let is_time = |(at, byte): (usize, u8)| if at == 8 { byte == b'T' } else { byte.is_ascii_digit() };
    time.is_some_and(|time| time.len() == 15 && time.bytes().enumerate().all(is_time))
}

/// What a backup left that was broken off.
fn is_unfinished(name: &str) -> bool {
    let hidden = name.strip_prefix('.').and_then(|rest| rest.strip_suffix(".partial"));
    let name = hidden.and_then(|rest| rest.rsplit_once('.')).map(|(name, _)| name);
    // One that was being handed over is hidden twice: under its own name, and while it is copied.
    let handed =
        name.map(|name| name.trim_start_matches('.')).is_some_and(|name| name.starts_with(HANDED_OVER));
    handed || name.is_some_and(is_finished)
}

/// A backup on its way to whoever asked for it.
pub const HANDED_OVER: &str = "handed-over.db";

/// Where the schedule could write nothing: better said at the start than when the first backup is due.
///
/// # Errors
/// `Refused`, with the setting.
pub fn must_be_writable(config: &Config) -> Result<()> {
    let Some(Backups { directory, .. }) = &config.backups else { return Ok(()) };
    let probe = directory.join(format!(".{HANDED_OVER}.{}.partial", crate::ids::random_hex::<4>()));
    let made = crate::data_directory::create(directory)
        .and_then(|()| std::fs::write(&probe, "").map_err(Error::io("cannot make a file")))
        .and_then(|()| std::fs::remove_file(&probe).map_err(Error::io("cannot remove a file")));
    made.map_err(|error| {
        Error::refused(
            format!("backup_directory: {} cannot be written: {error}", directory.display()),
            "let the service's user write there, and the unit too (ReadWritePaths=), or name another directory",
        )
    })
}

fn ours(directory: &Path, is_ours: fn(&str) -> bool) -> Result<Vec<PathBuf>> {
    let failed = || Error::io(format!("cannot read {}", directory.display()));
    let mut found = Vec::new();
    for entry in directory.read_dir().map_err(failed())? {
        let entry = entry.map_err(failed())?;
        let is_file = entry.file_type().map_err(failed())?.is_file();
        if is_file && entry.file_name().to_str().is_some_and(is_ours) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn remove(files: &[PathBuf]) -> Result<()> {
    for file in files {
        std::fs::remove_file(file).map_err(Error::io(format!("cannot remove {}", file.display())))?;
    }
    Ok(())
}
