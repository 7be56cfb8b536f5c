//! The signed word on how the tree stands: made when the tree has grown, at most once a second, and kept in a file
//! beside the database (`checkpoint`), so that a database that was put back to an earlier state is seen at the next
//! start.
//!
//! The key (`checkpoint.key`, 0600) is not in the database: who steals a backup can sign nothing. A log has a name
//! that nobody else has and that ends with its epoch; a database that takes the place of a later one begins another.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::json;

use crate::app::LOGS;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::ids;
use crate::store::backup::sync_directory;
use crate::store::disk::Disk;
use crate::store::{Store, migrate};
use crate::time::{Clock, DAY, Timestamp};
use crate::tlog::epochs::{self, Epoch};
use crate::tlog::merkle;
use crate::tlog::note::{Checkpoint, Signer};
use crate::tlog::tree::Stored;

/// In the data directory.
pub const KEY: &str = "checkpoint.key";
pub const CHECKPOINT: &str = "checkpoint";

pub struct Checkpoints {
    signer: Signer,
    file: PathBuf,
    /// The last one: of how many leaves, and the note.
    last: Mutex<Option<(u64, String)>>,
}

impl Checkpoints {
    /// Looks whether the tree begins with that of the last checkpoint. The first start makes key and name.
    ///
    /// # Errors
    /// `Refused` when the key is gone or another, or the tree is not the one that was signed.
    pub fn open(data: &Path, store: &Store) -> Result<Self> {
        let epoch = match store.read(|snapshot| epochs::current(snapshot))? {
            Some(epoch) => epoch,
            None => begin(data, store, 1)?,
        };
        let signer = Signer::new(epoch.verifier.name().to_owned(), &read_key(data)?);
        if signer.verifier() != epoch.verifier {
            return Err(Error::refused(
                format!("{} is not the key that signs this log", data.join(KEY).display()),
                "put the right one back, or go on under another name: mailtrail checkpoint renew",
            ));
        }
        let file = data.join(CHECKPOINT);
        let last = match std::fs::read_to_string(&file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(Error::io(format!("cannot read {}", file.display()))(error)),
            Ok(note) => {
                let checkpoint = Checkpoint::signed(&note, std::slice::from_ref(&epoch.verifier));
                let checkpoint = checkpoint.map_err(|error| not_signed(&file, &error.to_string()))?;
                store.read(|snapshot| must_begin_with(&Stored(snapshot), &checkpoint))?;
                Some((checkpoint.size, note))
            }
        };
        Ok(Self { signer, file, last: Mutex::new(last) })
    }

    /// The checkpoint of the tree as it is now, on disk before it is told. An empty tree has one too.
    pub fn current(&self, store: &Store) -> Result<String> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (size, root) = store.read(|snapshot| {
            let stored = Stored(snapshot);
            let size = stored.n_leaves()?;
            let is_known = last.as_ref().is_some_and(|(known, _)| *known == size);
            Ok((size, if is_known { None } else { Some(merkle::root(&stored, size)?) }))
        })?;
        if let (None, Some((_, note))) = (&root, &*last) {
            return Ok(note.clone());
        }
        let root = root.unwrap_or_else(merkle::empty_root);
        let origin = self.signer.verifier().name().to_owned();
        let note = self.signer.sign(&Checkpoint { origin, size, root }.to_string());
        put(&self.file, &note)?;
        *last = Some((size, note.clone()));
        Ok(note)
    }

    /// The last checkpoint, when it is of so many leaves; else that of now.
    pub fn covering(&self, store: &Store, size: u64) -> Result<String> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match last {
            Some((known, note)) if known >= size => Ok(note),
            _ => self.current(store),
        }
    }

    /// What checkpoints are verified with.
    pub fn verifier(&self) -> String {
        self.signer.verifier().to_string()
    }

    /// Keeps the checkpoint of this moment for good.
    pub fn seal(&self, store: &Store) -> Result<()> {
        let note = self.current(store)?;
        let size = self.last.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map_or(0, |last| last.0);
        store.write(move |tx| epochs::seal(tx, size, &note, tx.now))
    }

    /// Whether a day has passed since the last seal, and something was recorded.
    pub fn is_seal_due(&self, store: &Store, now: Timestamp) -> Result<bool> {
        let (size, last) =
            store.read(|snapshot| Ok((Stored(snapshot).n_leaves()?, epochs::last_seal(snapshot)?)))?;
        Ok(match last {
            None => size > 0,
            Some((at, sealed)) => now.micros() - at.micros() >= DAY && size > sealed.unsigned_abs(),
        })
    }
}

/// Goes on under another name: a backup has taken the place of a later database, or the key is lost. The row that says
/// so names the old checkpoint, which is kept beside the new one, and so is the old key where a new one is wanted. Nobody may serve the directory. Returns what the new
/// checkpoints are verified with; `None` where the log had no name yet.
pub fn renew(config: &Config, why: &str, is_new_key: bool) -> Result<Option<String>> {
    let (data, database) = (&config.data, config.database());
    let disk = Disk::open(data, config.disk_reserve)?;
    migrate::prepare(&database, LOGS)?;
    let store = Store::open(&database, disk, Clock::system(), crate::activity::note, LOGS)?;
    if is_new_key {
        set_key_aside(data, &store)?;
    }
    let verifier = begin_another(data, &store, why)?;
    store.checkpoint()?;
    Ok(verifier)
}

/// Keeps the old key under another name, so that the epoch that comes makes one of its own.
fn set_key_aside(data: &Path, store: &Store) -> Result<()> {
    let Some(old) = store.read(|snapshot| epochs::current(snapshot))? else { return Ok(()) };
    let (key, kept) = (data.join(KEY), data.join(format!("{KEY}.{}", old.epoch)));
    match std::fs::rename(&key, &kept) {
        // Set aside by a renewal that was broken off, or lost.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        renamed => {
            renamed.map_err(Error::io(format!("cannot rename {}", key.display())))?;
            sync_directory(&kept)
        }
    }
}

fn begin_another(data: &Path, store: &Store, why: &str) -> Result<Option<String>> {
    let file = data.join(CHECKPOINT);
    let Some(old) = store.read(|snapshot| epochs::current(snapshot))? else {
        // A backup of a time without checkpoints takes the place of a database with them.
        return match std::fs::rename(&file, data.join(format!("{CHECKPOINT}.old"))) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io(format!("cannot rename {}", file.display()))(error))
            }
            _ => Ok(None),
        };
    };
    let last = std::fs::read_to_string(&file).ok();
    let body = json!({ "why": why, "old": old.verifier.to_string(), "last_checkpoint": last });
    let epoch = begin(data, store, old.epoch + 1)?;
    store.write(move |tx| tx.begin_epoch(body))?;
    if last.is_some() {
        let kept = data.join(format!("{CHECKPOINT}.{}", old.epoch));
        std::fs::rename(&file, &kept).map_err(Error::io(format!("cannot rename {}", file.display())))?;
        sync_directory(&kept)?;
    }
    Ok(Some(epoch.verifier.to_string()))
}

/// Names the log of a new epoch, and makes its key where there is none.
fn begin(data: &Path, store: &Store, number: i64) -> Result<Epoch> {
    let path = data.join(KEY);
    let mut seed = [0; 32];
    ids::fill(&mut seed);
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
        // Of an earlier epoch, or of a start that was broken off.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => seed = read_key(data)?,
        opened => {
            opened
                .and_then(|mut file| {
                    writeln!(file, "{}", ids::hex(&seed))?;
                    file.sync_all()
                })
                .map_err(Error::io(format!("cannot write {}", path.display())))?;
            sync_directory(&path)?;
        }
    }
    let uname = rustix::system::uname();
    let host: String = uname
        .nodename()
        .to_string_lossy()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))
        .take(64)
        .collect();
    let host = if host.is_empty() { "localhost".to_owned() } else { host };
    // Of one backup two logs may come: each gets a name that no other has.
    let name = format!("{host}/mailtrail/{}/{number}", ids::random_hex::<4>());
    let epoch = Epoch { epoch: number, verifier: Signer::new(name, &seed).verifier() };
    let added = epoch.clone();
    store.write(move |tx| epochs::add(tx, &added, tx.now))?;
    Ok(epoch)
}

fn read_key(data: &Path) -> Result<[u8; 32]> {
    let path = data.join(KEY);
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Error::refused(
            format!("the key that signs this log cannot be read: {}: {error}", path.display()),
            "put it back from where you keep your secrets, or go on under another name: mailtrail checkpoint renew",
        )
    })?;
    ids::unhex(text.trim()).ok_or_else(|| {
        Error::refused(format!("{} is no key", path.display()), "put the right one back: 64 hex digits")
    })
}

/// A file that is there whole, or as it was.
fn put(file: &Path, note: &str) -> Result<()> {
    let failed = || Error::io(format!("cannot write {}", file.display()));
    let partial = file.with_extension("partial");
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&partial)
        .and_then(|mut file| {
            file.write_all(note.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| std::fs::rename(&partial, file));
    if let Err(error) = written {
        let _ = std::fs::remove_file(&partial);
        return Err(failed()(error));
    }
    sync_directory(file)
}

fn must_begin_with(stored: &Stored<'_>, checkpoint: &Checkpoint) -> Result<()> {
    const HINT: &str = "put the right database back; if this one is really to go on, `mailtrail checkpoint renew` says \
                        so in the log";
    let size = stored.n_leaves()?;
    if size < checkpoint.size {
        return Err(Error::refused(
            format!(
                "the database was rolled back: {} entries were signed for, and it has {size}",
                checkpoint.size
            ),
            HINT,
        ));
    }
    if merkle::root(stored, checkpoint.size)? != checkpoint.root {
        return Err(Error::refused(
            format!(
                "the database is not the one that was signed for when it had {} entries",
                checkpoint.size
            ),
            HINT,
        ));
    }
    Ok(())
}

fn not_signed(file: &Path, why: &str) -> Error {
    Error::refused(
        format!("{} is not to be believed: {why}", file.display()),
        "put the right one back; if the log is to go on without, `mailtrail checkpoint renew` says so in it",
    )
}
