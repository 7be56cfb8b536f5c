//! One file that is a consistent copy of the database, and the examination of a database at rest.
//!
//! The copy is made by SQLite's backup interface in one step: a step of some pages at a time starts over at every
//! write and never ends under load. It is written beside its destination, checked, flushed and then renamed, so
//! that a file of the given name is always a whole backup.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::{Store, disk, migrate, pages};
use crate::error::{Error, Result};

/// Bytes of a page: SQLite's own number, which nothing of ours changes.
const PAGE: u64 = 4096;

/// Copies the live database into a new file at `destination` (mode 0600). Returns its size in bytes.
///
/// # Errors
/// `Usage` when something is there already: a backup never takes the place of another.
pub fn backup(store: &Store, destination: &Path) -> Result<u64> {
    if destination.symlink_metadata().is_ok() {
        return Err(Error::usage(
            format!("{} exists already", destination.display()),
            "name a file that is not there yet, for example with the date in it",
        ));
    }
    let (n_pages, _) = store.read(|snapshot| pages(snapshot))?;
    disk::must_fit(destination, n_pages as u64 * PAGE)?;
    let partial = partial_name(destination)?;
    let made = copy(store, &partial).map_err(disk::or_full).and_then(|()| {
        std::fs::hard_link(&partial, destination)
            .map_err(Error::io(format!("cannot create {}", destination.display())))
    });
    let removed = std::fs::remove_file(&partial);
    for suffix in ["-journal", "-wal", "-shm"] {
        let mut name = partial.clone().into_os_string();
        name.push(suffix);
        let _ = std::fs::remove_file(name);
    }
    made?;
    removed.map_err(Error::io(format!("cannot remove {}", partial.display())))?;
    sync_directory(destination)?;
    let metadata =
        destination.metadata().map_err(Error::io(format!("cannot read {}", destination.display())))?;
    Ok(metadata.len())
}

fn copy(store: &Store, partial: &Path) -> Result<()> {
    let failed = || Error::io(format!("cannot write {}", partial.display()));
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(partial).map_err(failed())?;
    store.read(|snapshot| Ok(snapshot.backup("main", partial, None)?))?;
    let copy = Connection::open_with_flags(partial, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // Out of WAL mode, so that the one file is all there is; `serve` turns it on again.
    copy.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))?;
    examine(&copy, partial)?;
    drop(copy);
    file.sync_all().map_err(failed())
}

/// Refuses a database that is not whole: structure, foreign keys, version.
pub fn examine(connection: &Connection, path: &Path) -> Result<i64> {
    let version = migrate::version(connection, path)?;
    match problems(connection)?.as_slice() {
        [] => Ok(version),
        [problem] => Err(Error::Mismatch(format!("{} is damaged: {problem}", path.display()))),
        [first, others @ ..] => Err(Error::Mismatch(format!(
            "{} is damaged: {first}; and {} more, which `mailtrail check FILE` lists",
            path.display(),
            others.len()
        ))),
    }
}

/// What SQLite's own checks find; empty when all is well.
pub fn problems(connection: &Connection) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    if let Err(error) = find_problems(connection, &mut problems) {
        problems.push(damage(error)?);
    }
    Ok(problems)
}

/// That a file is too damaged to be read on is a finding, not a failure. Any other error comes back.
pub fn damage(error: Error) -> Result<String> {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    match &error {
        Error::Database(why) if matches!(why.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase)) => {
            Ok(format!("it cannot be read to its end: {why}"))
        }
        _ => Err(error),
    }
}

fn find_problems(connection: &Connection, problems: &mut Vec<String>) -> Result<()> {
    let mut statement = connection.prepare("PRAGMA integrity_check(20)")?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
    for found in rows {
        // One row may be many lines under a heading.
        problems.extend(
            found?.lines().filter(|line| !line.starts_with("*** ") && *line != "ok").map(str::to_owned),
        );
    }
    let mut statement = connection.prepare("PRAGMA foreign_key_check")?;
    let rows = statement.query_map([], |row| {
        let (table, row, parent): (String, Option<i64>, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(format!("row {} of {table} names a row of {parent} that is not there", row.unwrap_or_default()))
    })?;
    for line in rows.take(20) {
        problems.push(line?);
    }
    Ok(())
}

/// Opens a database that nobody serves, for looking only.
pub fn open_at_rest(path: &Path) -> Result<Connection> {
    Ok(Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?)
}

/// A name beside `destination` for the unfinished copy.
pub fn partial_name(destination: &Path) -> Result<PathBuf> {
    let Some(name) = destination.file_name() else {
        return Err(Error::usage(
            format!("{} is not the name of a file", destination.display()),
            "name the file to write, not a directory",
        ));
    };
    let mut partial = std::ffi::OsString::from(".");
    partial.push(name);
    partial.push(format!(".{}.partial", crate::ids::random_hex::<4>()));
    Ok(destination.with_file_name(partial))
}

/// Makes a new name durable.
pub fn sync_directory(path: &Path) -> Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(Error::io(format!("cannot flush {}", directory.display())))
}

/// The last number given out: tells which of two databases is newer.
pub fn last_seq(connection: &Connection) -> Result<i64> {
    Ok(connection.query_row("SELECT last_seq FROM sequence WHERE one = 1", [], |row| row.get(0))?)
}

/// How many rows a table has; `table` is one of our own literals.
pub fn count_rows(connection: &Connection, table: &'static str) -> Result<i64> {
    Ok(connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?)
}
