//! The data directory: whose it is, who may read it, what it is on, and that one process has it.
//!
//! All of it is looked at before SQLite touches a file: it would make a new database where one was lost, and call a
//! file that cannot be written damaged.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::Access;
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::store::backup::sync_directory;

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
    Error::refused(
        format!("there is no mailtrail database in {}", data.display()),
        "make one with `mailtrail init --email YOU@EXAMPLE.ORG`, or name the directory with --data",
    )
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

/// The exclusive lock of a data directory, for the life of the process that took it.
pub struct Lock(#[allow(dead_code, reason = "closing the file gives the lock up")] File);

impl Lock {
    /// Takes the lock; `None` while another process has it.
    pub fn take(data: &Path) -> Result<Option<Self>> {
        if !data.is_dir() {
            return Err(no_database(data));
        }
        refuse_read_only(data)?;
        let path = data.join("mailtrail.lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(Error::io(format!("cannot open {}", path.display())))?;
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self(file))),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(Error::io(format!("cannot lock {}", path.display()))(errno.into())),
        }
    }
}

/// Makes a data directory that only its owner may enter.
pub fn create(data: &Path) -> Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data)
        .map_err(Error::io(format!("cannot create {}", data.display())))
}

/// Writes a file that is there whole, or as it was, whenever the power goes; only its owner may read it. It is on disk
/// when this returns.
pub fn put(file: &Path, text: &str) -> Result<()> {
    let failed = || Error::io(format!("cannot write {}", file.display()));
    let partial = file.with_extension("partial");
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
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
fn refuse_read_only(data: &Path) -> Result<()> {
    let names = ["", "mailtrail.db", "mailtrail.db-wal", "mailtrail.db-shm", "mailtrail.lock"];
    for path in names.map(|name| if name.is_empty() { data.to_owned() } else { data.join(name) }) {
        let access = Access::READ_OK | Access::WRITE_OK;
        let access = if path == data { access | Access::EXEC_OK } else { access };
        let hint = match rustix::fs::accessat(rustix::fs::CWD, &path, access, rustix::fs::AtFlags::EACCESS) {
            Err(Errno::ROFS) => {
                "mount the file system for writing, or name another directory with --data".to_owned()
            }
            Err(Errno::ACCESS | Errno::PERM) => {
                format!(
                    "run it as the owner, or give it to this user: chown -R USER {}; chmod -R u+rwX",
                    data.display()
                )
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
