//! The data directory: whose it is, who may read it, what it is on, and that one process has it.
//!
//! All of it is looked at before SQLite touches a file: it would make a new database where one was lost, and call a
//! file that cannot be written damaged.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{Access, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::privileges;
use crate::store::backup::{partial_name, sync_directory};

/// Looks whether a database that is to be opened is there, ours alone, and on a disk of this machine.
///
/// # Errors
/// `Refused`, with what to do.
pub fn examine(data: &Path) -> Result<()> {
    let database = data.join("mailtrail.db");
    if !database.exists() {
        return Err(no_database(data));
    }
    refuse_empty(&database)?;
    refuse_open_modes(data)?;
    refuse_network(data)
}

fn no_database(data: &Path) -> Error {
    // Quoted as a shell takes it, since it is to be typed.
    let named = data.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+,:@%".contains(c);
    let named =
        if named.chars().all(is_plain) { named } else { format!("'{}'", named.replace('\'', "'\\''")) };
    if data.join(CHECKPOINT).exists() {
        return lost_database(data);
    }
    Error::refused(
        format!("there is no mailtrail database in {}", data.display()),
        format!(
            "make one with `mailtrail init --data {named} --email YOU@EXAMPLE.ORG`, or name the directory that has one \
             with --data"
        ),
    )
}

/// Of a directory that had a log once. A new one in its place could not be told from one that somebody emptied.
pub fn lost_database(data: &Path) -> Error {
    Error::refused(
        format!("the database of the log in {} is gone; its last checkpoint is there", data.display()),
        "put a backup in place with `mailtrail restore FILE`; for another log, name another directory with --data",
    )
}

/// Whether there was a log here whose database is gone.
pub fn has_lost_database(data: &Path) -> bool {
    data.join(CHECKPOINT).exists() && !data.join("mailtrail.db").exists()
}

/// A database that lost its content must not be taken for a new one: numbers would start again, and a WAL beside it,
/// perhaps all that is left, would be deleted.
fn refuse_empty(database: &Path) -> Result<()> {
    let metadata = database.metadata().map_err(Error::io(format!("cannot read {}", database.display())))?;
    if metadata.len() > 0 {
        return Ok(());
    }
    Err(Error::refused(
        format!("{} is empty; it was not when it was made", database.display()),
        "keep the directory as it is and put a backup in place with `mailtrail restore`; move the file away first",
    ))
}

/// In the data directory: what was signed last of the log.
pub const CHECKPOINT: &str = "checkpoint";

/// In the data directory: its lock, and what is known of who has it.
const LOCK: &str = "mailtrail.lock";

/// The exclusive lock of a data directory, for the life of the process that took it. A kill gives it up too.
pub struct Lock {
    file: File,
}

/// What the one who has the lock is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// A command that is over soon, as when a mail server records a message.
    Command,
    /// A server that does not answer yet: an upgrade may take long.
    Starting,
    Serving,
    /// A server that answers what is in flight.
    Stopping,
}

impl State {
    const WORDS: [(Self, &str, &str); 4] = [
        (Self::Command, "command", "a command"),
        (Self::Starting, "starting", "a server that starts"),
        (Self::Serving, "serving", "a server"),
        (Self::Stopping, "stopping", "a server that stops"),
    ];
}

/// Who has the lock, as far as its file says: it is written a moment after the lock was taken, so that the one before
/// may stand there still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    state: State,
    process: i32,
}

impl Holder {
    fn read(data: &Path) -> Option<Self> {
        let mut text = String::new();
        let file = open_lock(&data.join(LOCK), OFlags::RDONLY).ok()?;
        file.take(64).read_to_string(&mut text).ok()?;
        let (word, process) = text.trim_end().split_once(' ')?;
        let (state, ..) = State::WORDS.into_iter().find(|(_, known, _)| *known == word)?;
        Some(Self { state, process: process.parse().ok()? })
    }

    /// Whether it is a server that has begun to answer, and its process is there.
    pub fn is_serving(self) -> bool {
        let process = rustix::process::Pid::from_raw(self.process);
        let is_there =
            process.is_some_and(|process| rustix::process::test_kill_process(process) != Err(Errno::SRCH));
        self.state == State::Serving && is_there
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = State::WORDS.iter().find(|(state, ..)| *state == self.state).map(|(.., words)| *words);
        write!(f, "{} (process {})", words.unwrap_or_default(), self.process)
    }
}

/// What came of waiting for the lock.
pub enum Turn {
    Ours(Lock),
    /// A server has it, and answers.
    Served,
    /// Somebody has it still.
    Taken(Option<Holder>),
}

/// How long is waited for the lock: a server that stops takes five seconds, and commands are over sooner.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// From one try to the next. A server that starts is quicker than the many commands that may wait beside it.
const EVERY: Duration = Duration::from_millis(20);
const EVERY_OF_A_SERVER: Duration = Duration::from_millis(5);
/// Whoever waits longer than that is told.
const UNTOLD: Duration = Duration::from_secs(1);

impl Lock {
    /// Takes the lock; `None` while another process has it. `state`: what we are at.
    pub fn take(data: &Path, state: State) -> Result<Option<Self>> {
        privileges::descend()?;
        if !data.is_dir() {
            return Err(no_database(data));
        }
        refuse_links(data)?;
        refuse_read_only(data)?;
        let path = data.join(LOCK);
        let file = open_lock(&path, OFlags::RDWR | OFlags::CREATE)?;
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(errno) => return Err(Error::io(format!("cannot lock {}", path.display()))(errno.into())),
        }
        let lock = Self { file };
        lock.tell(state);
        Ok(Some(lock))
    }

    /// Waits for the lock, for `patience` at most: whoever starts, stops, or is over soon, gives it up. Not for a server,
    /// which is there when `is_served` says so. `wait` is told once, when it takes longer than a moment.
    pub fn wait(
        data: &Path,
        state: State,
        patience: Duration,
        is_served: impl Fn(Option<Holder>) -> bool,
        wait: impl FnOnce(&str),
    ) -> Result<Turn> {
        let began = Instant::now();
        let mut wait = Some(wait);
        let every = if state == State::Command { EVERY } else { EVERY_OF_A_SERVER };
        loop {
            if let Some(lock) = Self::take(data, state)? {
                return Ok(Turn::Ours(lock));
            }
            let holder = Holder::read(data);
            if is_served(holder) {
                return Ok(Turn::Served);
            }
            if began.elapsed() >= patience {
                return Ok(Turn::Taken(holder));
            }
            if began.elapsed() >= UNTOLD
                && let Some(wait) = wait.take()
            {
                wait(&format!("waiting for {} to leave {}", words(holder), data.display()));
            }
            std::thread::sleep(every);
        }
    }

    /// Says what we are at, for those who wait. Nothing depends on it but their words: where there is no room for it on
    /// the disk, it is not said.
    pub fn tell(&self, state: State) {
        let word = State::WORDS.iter().find(|(known, ..)| *known == state).map(|(_, word, _)| *word);
        let text = format!("{} {}\n", word.unwrap_or_default(), std::process::id());
        let told = self.file.set_len(0).and_then(|()| self.file.write_all_at(text.as_bytes(), 0));
        if let Err(error) = told {
            log::debug!("the lock does not say who has it: {error}");
        }
    }
}

impl Drop for Lock {
    /// What is there is as it was before we came.
    fn drop(&mut self) {
        let _ = self.file.set_len(0);
    }
}

/// In place of a process that nobody knows: the file says nothing.
fn words(holder: Option<Holder>) -> String {
    holder.map_or_else(|| "another process".to_owned(), |holder| holder.to_string())
}

/// What a command, or a server, says that has waited long enough for the lock; it may be tried again.
pub fn still_taken(data: &Path, holder: Option<Holder>) -> Error {
    let message = format!("{} is in use by {}", data.display(), words(holder));
    Error::Unavailable { retry_after: 5, message }
}

fn open_lock(path: &Path, flags: OFlags) -> Result<File> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    match rustix::fs::open(path, flags, Mode::from_raw_mode(0o600)) {
        Err(Errno::LOOP) => Err(is_link(path)),
        opened => opened
            .map(File::from)
            .map_err(|errno| Error::io(format!("cannot open {}", path.display()))(errno.into())),
    }
}

/// Makes a data directory that only its owner may enter.
pub fn create(data: &Path) -> Result<()> {
    privileges::descend()?;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data)
        .map_err(Error::io(format!("cannot create {}", data.display())))
}

/// Writes a file that is there whole, or as it was, whenever the power goes; only its owner may read it. It is on disk
/// when this returns. Until it is whole it has a name that nobody could foresee.
pub fn put(file: &Path, text: &str) -> Result<()> {
    let failed = || Error::io(format!("cannot write {}", file.display()));
    let partial = partial_name(file)?;
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&partial)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| std::fs::rename(&partial, file));
    if let Err(error) = written {
        let _ = std::fs::remove_file(&partial);
        return Err(failed()(error));
    }
    sync_directory(file)
}

/// Bytes of a file of ours that is read whole: a key, a license, a checkpoint with the lines of its witnesses.
const LONGEST: u64 = 1 << 20;

/// Reads a small file of ours, as `put` writes them. No link is followed, and nothing waited for.
pub fn read(path: &Path) -> std::io::Result<String> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("it is not a file"));
    }
    let mut text = String::new();
    let n_bytes = file.take(LONGEST + 1).read_to_string(&mut text)?;
    if n_bytes as u64 > LONGEST {
        return Err(std::io::Error::other("it is too long"));
    }
    Ok(text)
}

/// Removes what was left half-written by a process that was killed. The caller has the lock.
pub fn remove_unfinished(data: &Path) {
    let entries = data.read_dir().into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name();
        let is_unfinished =
            name.to_str().is_some_and(|name| name.starts_with('.') && name.contains(".partial"));
        if is_unfinished && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            match std::fs::remove_file(entry.path()) {
                Ok(()) => log::info!("removed {}, which was never finished", entry.path().display()),
                Err(error) => log::warn!("cannot remove {}: {error}", entry.path().display()),
            }
        }
    }
}

/// Removes a directory that was made for nothing, if there is nothing in it but the lock.
pub fn remove_unused(data: &Path) {
    let is_ours = |name: &std::ffi::OsStr| name == LOCK;
    let mut entries = data.read_dir().into_iter().flatten().flatten();
    if entries.all(|entry| is_ours(&entry.file_name())) {
        let _ = std::fs::remove_file(data.join(LOCK));
        let _ = std::fs::remove_dir(data);
    }
}

/// What may be in a data directory, of a log or of a witness, each a file by itself.
const FILES: [&str; 14] = [
    "mailtrail.db",
    "mailtrail.db-wal",
    "mailtrail.db-shm",
    "mailtrail.db-journal",
    LOCK,
    "ballast",
    CHECKPOINT,
    "checkpoint.key",
    "checkpoint.key.next",
    "issuer.key",
    "issuer.pub",
    "license.key",
    "witness.key",
    SERVED_WITH,
];

/// Names the configuration file that the directory was last served with.
pub const SERVED_WITH: &str = "served-with";

/// What is written in the place of one of ours must be written there, and what is read must be from there.
pub fn refuse_links(data: &Path) -> Result<()> {
    for path in FILES.map(|name| data.join(name)) {
        match path.symlink_metadata() {
            Ok(found) if found.is_symlink() => return Err(is_link(&path)),
            Ok(found) if !found.is_file() => {
                return Err(Error::refused(
                    format!("{} is not a file", path.display()),
                    "move it away: nothing but mailtrail's own files belongs into the data directory",
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

fn is_link(path: &Path) -> Error {
    Error::refused(
        format!("{} is a link, and leads elsewhere", path.display()),
        "put the file itself there; other places have settings: backup_directory, MAILTRAIL_CHECKPOINT_KEY_FILE",
    )
}

/// An audit log that others can read or write proves nothing.
pub fn refuse_open_modes(data: &Path) -> Result<()> {
    let names = ["mailtrail.db", "issuer.key", "checkpoint.key", "witness.key"];
    for path in std::iter::once(data.to_owned()).chain(names.map(|name| data.join(name))) {
        let Ok(metadata) = path.metadata() else { continue };
        let mode = metadata.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(Error::refused(
                format!("{} can be read or written by others (mode {mode:03o})", path.display()),
                format!("chmod go= {}", path.display()),
            ));
        }
    }
    Ok(())
}

/// What cannot be written cannot be served: also a WAL that a command run as root has left.
pub fn refuse_read_only(data: &Path) -> Result<()> {
    let names = ["", "mailtrail.db", "mailtrail.db-wal", "mailtrail.db-shm", "mailtrail.lock"];
    for path in names.map(|name| if name.is_empty() { data.to_owned() } else { data.join(name) }) {
        let access = Access::READ_OK | Access::WRITE_OK;
        let access = if path == data { access | Access::EXEC_OK } else { access };
        let hint = match rustix::fs::accessat(rustix::fs::CWD, &path, access, rustix::fs::AtFlags::EACCESS) {
            Err(Errno::ROFS) => {
                "mount the file system for writing, or name another directory with --data".to_owned()
            }
            Err(Errno::ACCESS | Errno::PERM) => {
                let own = rustix::process::geteuid().as_raw();
                match data.metadata() {
                    Ok(found) if found.uid() != own => {
                        format!("run it as root or as its owner: it belongs to user {}", found.uid())
                    }
                    _ => format!(
                        "give it to this user: chown -R {own} {0}; chmod -R u+rwX {0}",
                        data.display()
                    ),
                }
            }
            _ => continue,
        };
        return Err(Error::refused(format!("{} cannot be written by this process", path.display()), hint));
    }
    Ok(())
}

/// File systems over a network, or of another machine, whose locks and flushes are not to be relied on: the numbers
/// that statfs(2) gives. What gVisor shows of its host is 9p too; there a volume of its own is the way.
const NETWORK: [(rustix::fs::FsWord, &str); 11] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB"),
    (0x0102_1997, "9p"),
    (0x5346_414f, "AFS"),
    (0x00c3_6400, "Ceph"),
    (0x7375_7245, "Coda"),
    (0x0bd0_0bd0, "Lustre"),
    (0x786f_4256, "a shared folder of VirtualBox"),
    (0xbacb_acbc, "a shared folder of VMware"),
];

/// The name of the network file system that statfs(2) gives this number for.
fn network(magic: rustix::fs::FsWord) -> Option<&'static str> {
    NETWORK.iter().find(|(known, _)| *known == magic).map(|(_, name)| *name)
}

/// SQLite's WAL needs memory that all its processes share and locks that hold; a network gives neither.
fn refuse_network(data: &Path) -> Result<()> {
    let Ok(found) = rustix::fs::statfs(data) else { return Ok(()) };
    match network(found.f_type) {
        None => Ok(()),
        Some(name) => Err(Error::refused(
            format!("{} is on a network file system ({name})", data.display()),
            "put the data directory on a disk of this machine",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_waited_for_and_says_who_has_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let data = directory.path();
        let short = Duration::from_millis(1);
        let wait = |is_served| Lock::wait(data, State::Command, short, |_| is_served, |_| {});
        let ours = Lock::take(data, State::Starting).expect("a lock").expect("nobody has it");
        let Ok(Turn::Taken(Some(holder))) = wait(false) else { panic!("it is taken") };
        assert_eq!(holder.to_string(), format!("a server that starts (process {})", std::process::id()));
        assert!(!holder.is_serving());
        ours.tell(State::Serving);
        assert!(Holder::read(data).is_some_and(Holder::is_serving));
        assert!(matches!(wait(true), Ok(Turn::Served)));
        // What an older program leaves there, or half of it.
        for text in ["", "serving", "serving x", "serving 99999999999", "something 1", "serving 0"] {
            std::fs::write(data.join(LOCK), text).expect("an edit");
            assert!(!Holder::read(data).is_some_and(Holder::is_serving), "{text:?}");
        }
        drop(ours);
        assert!(matches!(wait(false), Ok(Turn::Ours(_))));
    }

    /// linux/magic.h and the file systems' own sources; FUSE may be anything, and is let through.
    #[test]
    fn network_file_systems_are_known_by_their_numbers() {
        let names = [
            (0x6969, Some("NFS")),
            (0x517b, Some("SMB")),
            (0xff53_4d42, Some("CIFS")),
            (0xfe53_4d42, Some("SMB")),
            (0x0102_1997, Some("9p")),
            (0x5346_414f, Some("AFS")),
            (0x00c3_6400, Some("Ceph")),
            (0x7375_7245, Some("Coda")),
            (0x0bd0_0bd0, Some("Lustre")),
            (0x786f_4256, Some("a shared folder of VirtualBox")),
            (0xbacb_acbc, Some("a shared folder of VMware")),
            // ext4, XFS, Btrfs, ZFS, F2FS, tmpfs, overlayfs, bcachefs, eCryptfs, FUSE
            (0xef53, None),
            (0x5846_5342, None),
            (0x9123_683e, None),
            (0x2fc1_2fc1, None),
            (0xf2f5_2010, None),
            (0x0102_1994, None),
            (0x794c_7630, None),
            (0xca45_1a4e, None),
            (0xf15f, None),
            (0x6573_5546, None),
        ];
        for (magic, name) in names {
            assert_eq!(network(magic), name, "{magic:#x}");
        }
        assert_eq!(names.iter().filter(|(_, name)| name.is_some()).count(), NETWORK.len());
        assert!(refuse_network(Path::new("/dev/shm")).is_ok());
    }
}
