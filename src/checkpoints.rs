//! The signed word on how the tree stands: made when the tree has grown, once a second at most unless a proof or an
//! operator needs one of this moment, and kept in a file beside the database (`checkpoint`), so that a database that was
//! put back to an earlier state is seen at the next start.
//!
//! The key (`checkpoint.key`, 0600) is not in the database: who steals a backup can sign nothing. A log has a name
//! that nobody else has and that ends with its epoch; a database that takes the place of a later one begins another.
//!
//! Witnesses cosign it when they get to it (`jobs::witnesses`), which nothing waits for: while rows come in, the last
//! checkpoint is younger than the last one that was cosigned, so both are kept.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use serde_json::json;

use crate::app::LOGS;
use crate::config::Config;
use crate::data_directory::{put, read};
use crate::error::{Error, Result};
use crate::ids;
use crate::store::backup::{self, sync_directory};
use crate::store::disk::Disk;
use crate::store::{Note as Activity, Store, Tx, backups, migrate};
use crate::time::{Clock, DAY, Timestamp};
use crate::tlog::epochs::{self, Epoch};
use crate::tlog::merkle;
use crate::tlog::note::{Checkpoint, Note, Signer, Verifier};
use crate::tlog::number_of;
use crate::tlog::tree::Stored;

/// In the data directory.
pub const KEY: &str = "checkpoint.key";
pub use crate::data_directory::CHECKPOINT;
/// Until the epoch has begun that signs with it.
const NEXT_KEY: &str = "checkpoint.key.next";

pub struct Checkpoints {
    file: PathBuf,
    kept: Mutex<Kept>,
}

struct Kept {
    /// Of the epoch in force.
    verifier: Verifier,
    /// `None`: the key is not at hand. Who only reads, or records, needs none.
    signer: Option<Signer>,
    last: Option<Signed>,
    /// The last that a witness cosigned, perhaps an earlier one. In memory only: the file has it when it is the last.
    cosigned: Option<Signed>,
    /// When `recent` last looked at the tree.
    looked_at: Option<Timestamp>,
}

/// A checkpoint as it is handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Of the tree, in leaves.
    pub size: u64,
    /// The log's signature first, those of witnesses after it.
    pub note: String,
}

impl Signed {
    fn is_of(&self, text: &str) -> bool {
        self.note.strip_prefix(text).is_some_and(|lines| lines.starts_with('\n'))
    }
}

impl Checkpoints {
    /// Looks whether the tree begins with that of the last checkpoint. The first start makes key and name.
    ///
    /// # Errors
    /// `Refused` when the key is another, or the tree is not the one that was signed.
    pub fn open(config: &Config, store: &Store) -> Result<Self> {
        store.read(|snapshot| finish_renewal(config, snapshot))?;
        let known = |store: &Store| store.read(|snapshot| known(config, snapshot));
        let Known { verifier, signer, last } = match known(store)? {
            Some(known) => known,
            None => {
                let signer = signer_of(1, &Key::of(config).read_or_make()?);
                let epoch = Epoch { epoch: 1, verifier: signer.verifier() };
                store.write(move |tx| epochs::add(tx, &epoch, tx.now))?;
                known(store)?.ok_or_else(|| Error::Internal("a log has no name that was given one".into()))?
            }
        };
        // More than the log's own line: they were verified before they were written.
        let cosigned = last.clone().filter(|last| last.note.matches("\n— ").count() > 1);
        let file = config.data.join(CHECKPOINT);
        let kept = Kept { verifier, signer, last, cosigned, looked_at: None };
        Ok(Self { file, kept: Mutex::new(kept) })
    }

    /// # Errors
    /// `Refused` when the key is not at hand: a server has to sign.
    pub fn must_sign(&self) -> Result<()> {
        if self.kept().signer.is_some() {
            Ok(())
        } else {
            Err(no_key(&self.file.with_file_name(KEY), "it is not there"))
        }
    }

    /// The checkpoint of the tree as it is now, on disk before it is told. An empty tree has one too.
    pub fn current(&self, store: &Store) -> Result<String> {
        Ok(self.last(&mut self.kept(), store)?.note)
    }

    /// The last checkpoint, not much more than a second old: for who may ask as often as they like.
    pub fn recent(&self, store: &Store, now: Timestamp) -> Result<String> {
        let mut kept = self.kept();
        let is_recent = kept.looked_at.is_some_and(|at| (at..at.plus_seconds(1)).contains(&now));
        if is_recent && let Some(last) = &kept.last {
            return Ok(last.note.clone());
        }
        let note = self.last(&mut kept, store)?.note;
        kept.looked_at = Some(now);
        Ok(note)
    }

    fn last(&self, kept: &mut Kept, store: &Store) -> Result<Signed> {
        let (size, root) = store.read(|snapshot| {
            let stored = Stored(snapshot);
            let size = stored.n_leaves()?;
            let is_known = kept.last.as_ref().is_some_and(|last| last.size == size);
            Ok((size, if is_known { None } else { Some(merkle::root(&stored, size)?) }))
        })?;
        if let (None, Some(last)) = (&root, &kept.last) {
            return Ok(last.clone());
        }
        let root = root.unwrap_or_else(merkle::empty_root);
        let signer = kept.signer.as_ref();
        let signer = signer.ok_or_else(|| no_key(&self.file.with_file_name(KEY), "it is not there"))?;
        let origin = kept.verifier.name().to_owned();
        let note = signer.sign(&Checkpoint { origin, size, root }.to_string());
        put(&self.file, &note)?;
        let last = Signed { size, note };
        kept.last = Some(last.clone());
        Ok(last)
    }

    /// The last that was signed; `None` before the first.
    pub fn latest(&self) -> Option<Signed> {
        self.kept().last.clone()
    }

    /// The latest that a witness has cosigned: not younger than `current`, and the same when nothing was recorded since.
    /// `None` before the first.
    pub fn cosigned(&self) -> Option<Signed> {
        self.kept().cosigned.clone()
    }

    /// Adds what a witness says of the checkpoint with this note: to the last one, on disk, and to its seal, as far as
    /// it is still either. Its own line alone is taken over. Returns when it cosigned, in seconds since 1970; `None`
    /// where no line of it is there, or one is not its own.
    pub fn add_cosignature(
        &self,
        store: &Store,
        signed: &Signed,
        witness: &Verifier,
        lines: &str,
    ) -> Result<Option<u64>> {
        let Some((text, _)) = signed.note.rsplit_once("\n\n") else { return Ok(None) };
        let text = format!("{text}\n");
        // Lines alone: with an empty one among them the text that was cosigned would be another.
        let note = Note::parse(&format!("{text}\n{lines}")).ok().filter(|note| note.text == text);
        let Some((time, line)) = note.and_then(|note| note.cosignature(witness)) else { return Ok(None) };
        let mut kept = self.kept();
        let Kept { verifier, last, cosigned, .. } = &mut *kept;
        // Of an epoch that is over: nobody is shown it any more.
        if Checkpoint::parse(&text).is_none_or(|of| of.origin != verifier.name()) {
            return Ok(Some(time));
        }
        // With what other witnesses have said of it meanwhile.
        let known = [&*last, &*cosigned].into_iter().flatten().find(|known| known.is_of(&text));
        let mut note = known.unwrap_or(signed).note.clone();
        if !note.contains(&line) {
            note.push_str(&line);
        }
        let now = Signed { size: signed.size, note };
        if last.as_ref().is_some_and(|last| last.is_of(&text)) {
            put(&self.file, &now.note)?;
            *last = Some(now.clone());
        }
        if cosigned.as_ref().is_none_or(|known| known.size <= now.size) {
            *cosigned = Some(now.clone());
        }
        drop(kept);
        if store.read(|snapshot| epochs::is_sealed(snapshot, now.size))? {
            store.write(move |tx| epochs::seal(tx, now.size, &now.note, tx.now))?;
        }
        Ok(Some(time))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last checkpoint that was cosigned, when it is of so many leaves; else the last; else that of now.
    pub fn covering(&self, store: &Store, size: u64) -> Result<String> {
        let known = [self.cosigned(), self.latest()].into_iter().flatten().find(|known| known.size >= size);
        known.map_or_else(|| self.current(store), |known| Ok(known.note))
    }

    /// What checkpoints are verified with.
    pub fn verifier(&self) -> String {
        self.kept().verifier.to_string()
    }

    /// Keeps the checkpoint of this moment for good, and the last that was cosigned, where that is another. Returns how
    /// many leaves the seal holds.
    pub fn seal(&self, store: &Store) -> Result<u64> {
        let (last, cosigned) = {
            let mut kept = self.kept();
            (self.last(&mut kept, store)?, kept.cosigned.clone())
        };
        store.write(move |tx| {
            for Signed { size, note } in cosigned.iter().chain([&last]) {
                epochs::seal(tx, *size, note, tx.now)?;
            }
            Ok(last.size)
        })
    }

    /// Goes on under another name while it is served, with a key of its own where a new one is wanted. The last checkpoint
    /// under the old name is of this moment; `note` is of the write that says so. Returns what the new checkpoints are
    /// verified with.
    pub fn renew(
        &self,
        config: &Config,
        store: &Store,
        why: &str,
        is_new_key: bool,
        note: Activity,
    ) -> Result<String> {
        let mut kept = self.kept();
        self.last(&mut kept, store)?;
        let begun = begin_another(config, store, why, is_new_key, Some(note))?;
        let signer = begun.ok_or_else(|| Error::Internal("a log that is served has no name".into()))?;
        let verifier = signer.verifier();
        let told = verifier.to_string();
        *kept = Kept { verifier, signer: Some(signer), last: None, cosigned: None, looked_at: None };
        Ok(told)
    }

    /// What is about to be removed was there: the seal says so. Returns how many leaves it holds. Where the disk has no
    /// room for a seal, removing goes first, and it returns `None`.
    pub fn seal_before_removal(&self, store: &Store) -> Result<Option<u64>> {
        match self.seal(store) {
            Err(error) if store.disk().room().is_low || store.disk().room().has_no_inode => {
                log::warn!("rows are removed without a seal before it: {error}");
                Ok(None)
            }
            sealed => sealed.map(Some),
        }
    }

    /// Whether a day has passed since the last seal, or the clock was set back behind it, and something was recorded.
    /// `now` as no write has seen a later one.
    pub fn is_seal_due(&self, store: &Store, now: Timestamp) -> Result<bool> {
        let (size, last) =
            store.read(|snapshot| Ok((Stored(snapshot).n_leaves()?, epochs::last_seal(snapshot)?)))?;
        Ok(match last {
            None => size > 0,
            Some((at, sealed)) => {
                (now < at || now.micros() - at.micros() >= DAY) && size > sealed.unsigned_abs()
            }
        })
    }
}

/// Goes on under another name: a backup has taken the place of a later database, or the key is lost. Nobody may serve
/// the directory. Returns what the new checkpoints are verified with; `None` where the log had no name yet.
pub fn renew(config: &Config, why: &str, is_new_key: bool) -> Result<Option<String>> {
    renew_with(config, why, is_new_key, |_| Ok(()))
}

/// `renew`, with what else is to be said of it.
pub fn renew_with(
    config: &Config,
    why: &str,
    is_new_key: bool,
    note: impl FnOnce(&mut Tx<'_>) -> Result<()> + Send + 'static,
) -> Result<Option<String>> {
    let database = config.database();
    let disk = Disk::open(&config.data, config.disk_reserve)?;
    migrate::prepare(&database, LOGS)?;
    let store = Store::open(&database, disk, Clock::system(), crate::activity::note, LOGS)?;
    store.write(move |tx| {
        backups::forget_all(tx)?;
        note(tx)
    })?;
    let signer = begin_another(config, &store, why, is_new_key, None)?;
    store.checkpoint()?;
    if signer.is_none() {
        // A backup of a time without checkpoints takes the place of a database with them.
        set_aside(&config.data.join(CHECKPOINT), "old")?;
    }
    Ok(signer.map(|signer| signer.verifier().to_string()))
}

/// The row that says so names the old checkpoint, which is kept beside the new one, and so is the old key where a new
/// one is wanted. `note` is of the same write. `None` where the log had no name yet.
///
/// Broken off before the write, nothing has changed but for a key that nobody asks for; after it, the next start does the
/// rest (`finish_renewal`).
fn begin_another(
    config: &Config,
    store: &Store,
    why: &str,
    is_new_key: bool,
    note: Option<Activity>,
) -> Result<Option<Signer>> {
    let Some(old) = store.read(|snapshot| epochs::current(snapshot))? else { return Ok(None) };
    let key = Key::of(config);
    let (file, next) = (config.data.join(CHECKPOINT), config.data.join(NEXT_KEY));
    let seed = match (&key, is_new_key) {
        (_, false) => key.read_or_make()?,
        (Key::File(_), true) => make_key(&next)?,
        (Key::Given(_), true) => {
            return Err(Error::usage(
                "the key is given by the setting checkpoint_key",
                "set another one there, and renew without --new-key",
            ));
        }
    };
    let signer = signer_of(old.epoch + 1, &seed);
    let epoch = Epoch { epoch: old.epoch + 1, verifier: signer.verifier() };
    let body = json!({
        "why": why, "old": old.verifier.to_string(), "last_checkpoint": read(&file).ok(),
    });
    store.write(move |tx| {
        epochs::add(tx, &epoch, tx.now)?;
        tx.begin_epoch(body)?;
        note.map_or(Ok(()), |note| tx.note(note))
    })?;
    set_aside(&file, &old.epoch.to_string())?;
    if let (Key::File(path), true) = (&key, is_new_key) {
        replace_key(path, &next, &old)?;
    }
    Ok(Some(signer))
}

fn replace_key(path: &Path, next: &Path, old: &Epoch) -> Result<()> {
    set_aside(path, &old.epoch.to_string())?;
    std::fs::rename(next, path).map_err(Error::io(format!("cannot rename {}", next.display())))?;
    sync_directory(path)
}

/// What a renewal has left undone that was broken off after its write: the last checkpoint of the epoch before is kept
/// under another name, where the tree goes on from it, and the key that was made for this epoch takes its place.
fn finish_renewal(config: &Config, connection: &Connection) -> Result<()> {
    let mut epochs = epochs::all(connection)?;
    let (Some(epoch), Some(old)) = (epochs.pop(), epochs.pop()) else { return Ok(()) };
    let file = config.data.join(CHECKPOINT);
    let note = read(&file).unwrap_or_default();
    if let Ok(checkpoint) = Checkpoint::signed(&note, std::slice::from_ref(&old.verifier)) {
        must_begin_with(&Stored(connection), &checkpoint)?;
        set_aside(&file, &old.epoch.to_string())?;
    }
    let next = config.data.join(NEXT_KEY);
    if let (Key::File(path), Ok(seed)) = (Key::of(config), Key::File(next.clone()).read())
        && Signer::new(epoch.verifier.name().to_owned(), &seed).verifier() == epoch.verifier
    {
        replace_key(&path, &next, &old)?;
    }
    Ok(())
}

/// Keeps a file of the data directory, where there is one, with another end to its name.
fn set_aside(file: &Path, end: &str) -> Result<()> {
    let mut kept = file.as_os_str().to_owned();
    kept.push(format!(".{end}"));
    match std::fs::rename(file, &kept) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::io(format!("cannot rename {}", file.display()))(error)),
        Ok(()) => sync_directory(file),
    }
}

/// Signs for the log of an epoch, under a name that nobody had before.
fn signer_of(number: i64, seed: &[u8; 32]) -> Signer {
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
    Signer::new(name, seed)
}

fn make_key(path: &Path) -> Result<[u8; 32]> {
    let mut seed = [0; 32];
    ids::fill(&mut seed);
    put(path, &format!("{}\n", ids::hex(&seed)))?;
    Ok(seed)
}

/// Where the key is.
enum Key<'c> {
    File(PathBuf),
    /// By a setting, as of a credential.
    Given(&'c str),
}

impl<'c> Key<'c> {
    fn of(config: &'c Config) -> Self {
        match &config.checkpoint_key {
            Some(text) => Self::Given(text),
            None => Self::File(config.data.join(KEY)),
        }
    }

    fn read(&self) -> Result<[u8; 32]> {
        let text = match self {
            Self::Given(text) => (*text).to_owned(),
            Self::File(path) => read(path).map_err(|error| no_key(path, &error.to_string()))?,
        };
        ids::unhex(text.trim()).ok_or_else(|| {
            Error::refused(format!("{self} is no key"), "put the right one back: 64 hex digits")
        })
    }

    /// Of an earlier epoch, or of a start that was broken off, or a new one.
    fn read_or_make(&self) -> Result<[u8; 32]> {
        match self {
            Self::File(path) if path.symlink_metadata().is_err() => make_key(path),
            _ => self.read(),
        }
    }
}

fn no_key(path: &Path, why: &str) -> Error {
    Error::refused(
        format!("the key that signs this log cannot be read: {}: {why}", path.display()),
        "put it back from where you keep your secrets; where it is a credential of the service \
         (/etc/credstore/mailtrail.checkpoint_key), run this as root or name the file in MAILTRAIL_CHECKPOINT_KEY_FILE. \
         Only when it is lost: mailtrail checkpoint renew",
    )
}

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Given(_) => f.write_str("what the setting checkpoint_key gives"),
        }
    }
}

/// What stands beside the database of a log that has a name.
struct Known {
    verifier: Verifier,
    /// `None`: the key is not there.
    signer: Option<Signer>,
    last: Option<Signed>,
}

/// What signs this log, and the last checkpoint that it signed, as they stand beside the database; `None` where the log
/// has no name yet.
fn known(config: &Config, connection: &Connection) -> Result<Option<Known>> {
    let Some(epoch) = epochs::current(connection)? else { return Ok(None) };
    let key = Key::of(config);
    let signer = match &key {
        Key::File(path) if path.symlink_metadata().is_err() => None,
        key => Some(Signer::new(epoch.verifier.name().to_owned(), &key.read()?)),
    };
    if signer.as_ref().is_some_and(|signer| signer.verifier() != epoch.verifier) {
        return Err(Error::refused(
            format!("{key} is not the key that signs this log"),
            "put the right one back, or go on under another name: mailtrail checkpoint renew",
        ));
    }
    let last = last_signed(&config.data, connection, std::slice::from_ref(&epoch.verifier))?;
    Ok(Some(Known { verifier: epoch.verifier, signer, last }))
}

/// # Errors
/// `Refused` when the file is not to be believed, or the tree does not begin with what it says.
fn last_signed(data: &Path, connection: &Connection, verifiers: &[Verifier]) -> Result<Option<Signed>> {
    let file = data.join(CHECKPOINT);
    let note = match read(&file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        note => note.map_err(Error::io(format!("cannot read {}", file.display())))?,
    };
    let checkpoint = Checkpoint::signed(&note, verifiers);
    let checkpoint = checkpoint.map_err(|error| not_signed(&file, &error.to_string()))?;
    must_begin_with(&Stored(connection), &checkpoint)?;
    Ok(Some(Signed { size: checkpoint.size, note }))
}

/// Whether a database of an older version can be served once it is upgraded: its key is there, and it is the one that was
/// signed for. What would be refused afterwards is refused as it is.
pub fn examine(config: &Config, connection: &Connection, version: i64) -> Result<()> {
    if version >= migrate::WITH_TREE {
        let (n_leaves, last_seq) = (Stored(connection).n_leaves()?, backup::last_seq(connection)?);
        if number_of(n_leaves) != last_seq.saturating_add(1) {
            let path = config.database();
            return Err(Error::refused(
                format!("the tree has {n_leaves} leaves, and {last_seq} numbers were given out"),
                format!("`mailtrail verify {}` says where it was changed; restore a backup", path.display()),
            ));
        }
    }
    if version >= migrate::WITH_CHECKPOINTS {
        finish_renewal(config, connection)?;
        if let Some(Known { signer: None, .. }) = known(config, connection)? {
            return Err(no_key(&config.data.join(KEY), "it is not there"));
        }
    }
    Ok(())
}

/// Why the checkpoint that stands beside a database is not of it; `None`: it is, or there is none.
pub fn contradiction(data: &Path, connection: &Connection, version: i64) -> Result<Option<String>> {
    // Of the epoch before too, where a renewal was broken off.
    let verifiers =
        if version >= migrate::WITH_CHECKPOINTS { epochs::verifiers(connection)? } else { Vec::new() };
    if verifiers.is_empty() {
        return Ok(None);
    }
    match last_signed(data, connection, &verifiers) {
        Err(Error::Refused { message, .. } | Error::Mismatch(message)) => Ok(Some(message)),
        Err(error) => Err(error),
        Ok(_) => Ok(None),
    }
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
