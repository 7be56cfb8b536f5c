//! From no file, or an older one, to the schema of this program.
//!
//! The version stands in `user_version`, the kind of file in `application_id`. A new database is made from
//! schema.sql; an older one goes through `STEPS`, all in one transaction, after a backup beside it. A newer one is
//! refused untouched, a file that is no mailtrail database likewise, and a damaged one is never made anew. Before any of
//! it the file is held against the schema of its version (`schema`).
//!
//! An upgrade needs room for the backup and, until it is done, for a WAL about as large as the database.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustix::fs::OFlags;

use super::{backup, checksums, connect, last_now, schema};
use crate::error::{Error, Result};
use crate::tlog;
use crate::tlog::rows::Rows;

/// "MTRL": tells `file` and us what this is.
pub(super) const APPLICATION_ID: i64 = 0x4D54_524C;

/// The version that schema.sql describes.
pub const VERSION: i64 = 6;

/// What brings a file to a version from the one before, oldest first. Steps are only ever added.
pub(super) const STEPS: &[(i64, &str)] = &[
    (2, include_str!("upgrades/2.sql")),
    (3, include_str!("upgrades/3.sql")),
    (4, include_str!("upgrades/4.sql")),
    (5, include_str!("upgrades/5.sql")),
    (6, include_str!("upgrades/6.sql")),
];
/// From this version on people are invited.
pub const WITH_INVITATIONS: i64 = 6;
/// From this version on there is a tree; the rows that are there then get their leaves.
pub const WITH_TREE: i64 = 3;
/// From this version on the tree's checkpoints are signed.
pub const WITH_CHECKPOINTS: i64 = 4;

/// SQLite before 3.51.3 can lose a committed write when two connections write and checkpoint at the same moment
/// (the WAL-reset bug).
const OLDEST_SQLITE: i32 = 3_051_003;

/// Makes the database when there is none and brings an older one up to `VERSION`. The rows of `logs` are leaves.
pub fn prepare(path: &Path, logs: &[Rows]) -> Result<()> {
    if rusqlite::version_number() < OLDEST_SQLITE {
        return Err(Error::refused(
            format!("SQLite {} is linked, which can lose committed writes", rusqlite::version()),
            "build mailtrail with its bundled SQLite",
        ));
    }
    // Made by us first, so that it is nobody else's from its first byte; SQLite gives its WAL the same mode. One
    // that was left empty is as good as none.
    let failed = || Error::io(format!("cannot open {}", path.display()));
    let no_link = OFlags::NOFOLLOW.bits().cast_signed();
    let file = File::options().create(true).append(true).mode(0o600).custom_flags(no_link).open(path);
    let file = file.map_err(failed())?;
    let is_new = file.metadata().map_err(failed())?.len() == 0;
    drop(file);
    if is_new {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        return create(&mut Connection::open_with_flags(path, flags)?);
    }
    let (_, version) = examine(path)?;
    bring_up(path, version, logs)
}

/// The database as it is, to be looked at before anything else is done with it, and its version. The caller holds the
/// lock of its directory.
///
/// # Errors
/// `Refused` when it is none of ours, newer, or has something else in its schema than its version.
pub fn examine(path: &Path) -> Result<(Connection, i64)> {
    let connection = backup::open_alone(path)?;
    let version = version(&connection, path)?;
    schema::refuse(&connection, version, path).map_err(unreadable(path))?;
    Ok((connection, version))
}

/// Brings a database that was examined up to `VERSION`.
pub fn bring_up(path: &Path, version: i64, logs: &[Rows]) -> Result<()> {
    if version < VERSION { upgrade(path, version, logs) } else { Ok(()) }
}

/// For `map_err`: what SQLite cannot read is refused, and not a fault of ours.
pub(super) fn unreadable(path: &Path) -> impl Fn(Error) -> Error {
    use ErrorCode::{DatabaseCorrupt, NotADatabase, OperationInterrupted, TooBig, Unknown};
    move |error| match &error {
        Error::Database(why)
            if matches!(
                why.sqlite_error_code(),
                Some(DatabaseCorrupt | NotADatabase | OperationInterrupted | TooBig | Unknown)
            ) =>
        {
            Error::refused(
                format!("{} cannot be read as a database: {why}", path.display()),
                "keep the file as it is and restore a backup with `mailtrail restore`",
            )
        }
        _ => error,
    }
}

/// The schema version of a mailtrail database; anything else is refused.
pub fn version(connection: &Connection, path: &Path) -> Result<i64> {
    let read = |pragma| {
        let value = connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
        value.map_err(|error| unreadable(path)(error.into()))
    };
    let application_id = read("application_id")?;
    if application_id != APPLICATION_ID {
        return Err(Error::refused(
            format!("{} is not a mailtrail database", path.display()),
            "name the right data directory with --data",
        ));
    }
    let version = read("user_version")?;
    if version < 1 {
        return Err(Error::refused(
            format!("{} has schema version {version}, which no mailtrail wrote", path.display()),
            "keep the file as it is and restore a backup with `mailtrail restore`",
        ));
    }
    if version > VERSION {
        return Err(Error::refused(
            format!("{} has schema version {version}; this mailtrail knows up to {VERSION}", path.display()),
            "install the newer mailtrail that wrote it; the file was not touched",
        ));
    }
    Ok(version)
}

/// Whether the file is of a version that has a checksum of its schema: a backup of an older one is as good as it can
/// be.
pub(super) fn has_checksums(connection: &Connection) -> Result<bool> {
    Ok(user_version(connection)? >= 2)
}

/// Whether it is of a version with a tree.
pub(super) fn has_tree(connection: &Connection) -> Result<bool> {
    Ok(user_version(connection)? >= WITH_TREE)
}

/// As the file says, whatever it is.
pub fn user_version(connection: &Connection) -> Result<i64> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

fn create(connection: &mut Connection) -> Result<()> {
    // These two can only be chosen while the file is empty.
    connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;")?;
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Exclusive)?;
    transaction.execute_batch(include_str!("../../schema.sql"))?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    checksums::register(&transaction)?;
    checksums::keep_schema(&transaction)?;
    transaction.commit()?;
    Ok(())
}

/// All steps in one transaction, with a backup made before it: broken off at any point, the old file is whole.
fn upgrade(path: &Path, from: i64, logs: &[Rows]) -> Result<()> {
    let mut connection = connect(path)?;
    let kept = path.with_extension(format!("db.v{from}"));
    // Of an attempt that was broken off.
    if kept.symlink_metadata().is_ok() {
        std::fs::remove_file(&kept).map_err(Error::io(format!("cannot remove {}", kept.display())))?;
    }
    log::info!("the database of schema version {from} is kept as {}", kept.display());
    backup::backup(&connection, &kept, logs, 0, || false)?;
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Exclusive)?;
    for (version, step) in STEPS.iter().filter(|(version, _)| *version > from) {
        log::info!("upgrading the database to schema version {version}");
        transaction.execute_batch(step)?;
    }
    // The tree asks for it.
    transaction.pragma_update(None, "user_version", VERSION)?;
    if from < WITH_TREE {
        let (last_seq, now) = (backup::last_seq(&transaction)?, last_now(&transaction)?);
        let last_seq = tlog::begin(&transaction, logs, last_seq, now)?;
        transaction.execute("UPDATE sequence SET last_seq = ?1", [last_seq])?;
    }
    checksums::keep_schema(&transaction)?;
    transaction.commit()?;
    Ok(())
}
