//! Room on the disk: how much is left, when it is too little to record, and a ballast that is given up for cleaning.
//!
//! A full disk cannot be emptied by deleting rows: what is deleted is written to the WAL first, and moving the WAL
//! wants room in the database. So recording ends while there is a reserve left, and a file as large as the WAL gets
//! stands in the data directory, to be removed when the reserve is gone too: retention and the checkpoint then have
//! its room, and nobody else, for nothing is recorded until there is room for a new ballast beside the reserve.
//!
//! A file system that gives no real blocks beforehand (EOPNOTSUPP) has no ballast, and that much more of a reserve.

use std::fs::File;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::error::{Error, Result};

/// The largest WAL: the writer moves it once it has 64 MB.
const BALLAST: u64 = 64 << 20;
/// Too little for a transaction that deletes.
const SCARCE: u64 = 4 << 20;
/// What SQLite needs to open the database: a file of 32 KiB for each 16 MiB of WAL.
const OPENING: u64 = 256 << 10;
/// How old what is known of the disk may be: a look costs microseconds, and a busy writer fills 2 MB meanwhile.
const FRESH: Duration = Duration::from_millis(20);

const FULL: &str = "the disk is full; nothing was recorded";

pub struct Disk {
    directory: PathBuf,
    reserve: u64,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    at: Option<Instant>,
    room: Room,
    /// A file system that gave no ballast once is not asked again every second.
    is_refused: bool,
}

/// What was found of the disk.
#[derive(Debug, Default, Clone, Copy)]
pub struct Room {
    /// Bytes that this process may still use.
    pub free: u64,
    pub has_ballast: bool,
    /// Too little to record.
    pub is_low: bool,
    /// No file can be made any more: the file system has no inode left. What is recorded goes into files that are there.
    pub has_no_inode: bool,
}

impl Disk {
    /// Of this data directory. `reserve`: bytes that recording leaves free. The ballast is given up at once where
    /// there is next to no room.
    ///
    /// # Errors
    /// `Io` when not even the database can be opened: SQLite would call it damaged.
    pub fn open(directory: &Path, reserve: u64) -> Result<Self> {
        let disk = Self { directory: directory.to_owned(), reserve, seen: Mutex::default() };
        if disk.free() < SCARCE {
            disk.give_up_ballast();
        }
        if disk.free() < OPENING {
            let full = std::io::ErrorKind::StorageFull.into();
            return Err(Error::io(format!("cannot open the database in {}", directory.display()))(full));
        }
        Ok(disk)
    }

    pub fn reserve(&self) -> u64 {
        self.reserve
    }

    /// What something large has to leave free where `path` is to be made: on this disk as much as recording does.
    pub fn reserve_at(&self, path: &Path) -> u64 {
        let device = |directory: &Path| directory.metadata().ok().map(|found| found.dev());
        if device(&self.directory) != device(parent(path)) {
            return 0;
        }
        self.reserve.saturating_add(if self.room().has_ballast { 0 } else { BALLAST })
    }

    /// How much room there is, as of this moment. Makes the ballast where there is room for it.
    pub fn room(&self) -> Room {
        let mut seen = self.lock();
        if seen.at.is_none_or(|at| at.elapsed() >= FRESH) {
            self.look(&mut seen);
        }
        seen.room
    }

    /// As `room`, however short ago somebody looked.
    pub fn look_again(&self) -> Room {
        let mut seen = self.lock();
        self.look(&mut seen);
        seen.room
    }

    /// # Errors
    /// 507 when there is too little room to record.
    pub fn must_have_room(&self) -> Result<()> {
        if self.room().is_low { Err(Error::http(507, FULL)) } else { Ok(()) }
    }

    /// Before something that frees room and needs some for it: gives the ballast up where next to none is left.
    pub fn make_room(&self) {
        let room = self.room();
        if room.has_ballast && room.free < SCARCE.min(self.reserve / 2) {
            self.give_up_ballast();
        }
    }

    pub(super) fn give_up_ballast(&self) {
        let mut seen = self.lock();
        match std::fs::remove_file(self.ballast()) {
            Ok(()) => log::warn!("the disk is full: the ballast is given up, so that retention has room"),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => log::error!("cannot remove {}: {error}", self.ballast().display()),
        }
        seen.at = None;
    }

    fn look(&self, seen: &mut Seen) {
        let was_low = seen.at.is_some() && seen.room.is_low;
        let mut room = self.found();
        if !room.has_ballast && room.free >= self.reserve + BALLAST && !seen.is_refused {
            match self.make_ballast() {
                Ok(()) => room = self.found(),
                Err(error) => {
                    seen.is_refused = error.kind() != std::io::ErrorKind::StorageFull;
                    log::warn!("there is no ballast in {}: {error}", self.directory.display());
                }
            }
        }
        room.is_low = room.free < self.reserve + if room.has_ballast { 0 } else { BALLAST };
        let mebibytes = |bytes| bytes / (1 << 20);
        if room.has_no_inode && !seen.room.has_no_inode {
            log::error!(
                "no file can be made in {}: the file system has no inode left; no checkpoint is signed until it has",
                self.directory.display()
            );
        }
        match (was_low, room.is_low) {
            (false, true) => log::error!(
                "nothing is recorded: {} has {} MiB left, and disk_reserve is {} MiB{}",
                self.directory.display(),
                mebibytes(room.free),
                mebibytes(self.reserve),
                if room.has_ballast { "" } else { ", with 64 MiB more for the ballast" }
            ),
            (true, false) => log::warn!("recording goes on: {} MiB are free", mebibytes(room.free)),
            _ => {}
        }
        (seen.at, seen.room) = (Some(Instant::now()), room);
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A file system that does not say is taken for one with room: SQLite will meet its end. Some make inodes as they
    /// need them, and have none at all by this count.
    fn found(&self) -> Room {
        let found = rustix::fs::statvfs(&self.directory).ok();
        let free = found.as_ref().filter(|found| found.f_blocks > 0);
        Room {
            free: free.map_or(u64::MAX, |found| found.f_bavail.saturating_mul(found.f_frsize)),
            has_ballast: self.has_ballast(),
            is_low: false,
            has_no_inode: found.is_some_and(|found| found.f_files > 0 && found.f_favail == 0),
        }
    }

    fn free(&self) -> u64 {
        self.found().free
    }

    fn ballast(&self) -> PathBuf {
        self.directory.join("ballast")
    }

    /// A sparse or a short file holds no room.
    fn has_ballast(&self) -> bool {
        let found = self.ballast().symlink_metadata();
        found.is_ok_and(|found| found.is_file() && found.blocks() * 512 >= BALLAST)
    }

    fn make_ballast(&self) -> std::io::Result<()> {
        let path = self.ballast();
        match std::fs::remove_file(&path) {
            // One that is too short.
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let file = File::options().create_new(true).write(true).mode(0o600).open(&path)?;
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, BALLAST).map_err(|errno| {
            let _ = std::fs::remove_file(&path);
            errno.into()
        })
    }
}

/// A full disk is an answer, 507, and not a fault of ours; any other error stays as it is.
pub(super) fn or_full(error: Error) -> Error {
    match &error {
        Error::Database(why) if why.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull) => {
            Error::http(507, FULL)
        }
        _ => error,
    }
}

/// The same of a write. SQLite calls the disk full too when a table has no number left to give.
pub(super) fn or_full_in(connection: &Connection, error: Error) -> Error {
    let used_up = "SELECT EXISTS (SELECT 1 FROM sqlite_sequence WHERE seq = 9223372036854775807)";
    match or_full(error) {
        full if is_full(&full) && connection.query_row(used_up, [], |row| row.get(0)).unwrap_or(false) => {
            Error::Internal("a table has no number left to give: the database was altered".into())
        }
        error => error,
    }
}

/// Whether it failed for want of room.
pub fn is_full(error: &Error) -> bool {
    matches!(error, Error::Http { status: 507, .. })
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Whether `bytes` more fit where `path` is to be made.
///
/// # Errors
/// 507 when they do not.
pub fn must_fit(path: &Path, bytes: u64) -> Result<()> {
    let free = Disk { directory: parent(path).to_owned(), reserve: 0, seen: Mutex::default() }.free();
    if free >= bytes {
        return Ok(());
    }
    Err(Error::http(
        507,
        format!("{} needs {bytes} bytes, and {free} are free where it is to be", path.display()),
    ))
}
