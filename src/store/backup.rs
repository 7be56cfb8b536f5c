//! One file that is a consistent copy of the database, and the examination of a database at rest.
//!
//! The copy is made by SQLite's backup interface, out of one snapshot: without it, it would start over at every write
//! and never end under load. While it runs the WAL grows with what is written. It is written beside its destination,
//! checked, flushed and then renamed, so that a file of the given name is always a whole backup.

use std::fs::{File, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::{checksums, connect, disk, migrate, pages, schema};
use crate::error::{Error, Result};
use crate::tlog::rows::Rows;
use crate::tlog::verify;

/// Whether a file begins as one of our databases does. Of any other kind of file nothing is read, which may take for ever.
pub fn is_database(path: &Path) -> bool {
    let mut head = [0; 72];
    let mut read = || std::io::Read::read_exact(&mut File::open(path)?, &mut head);
    path.is_file()
        && read().is_ok()
        && head.starts_with(b"SQLite format 3\0")
        && head[68..] == migrate::APPLICATION_ID.to_be_bytes()[4..]
}

/// Bytes of a page: SQLite's own number, which nothing of ours changes.
const PAGE: u64 = 4096;

/// Copies a database, which others may go on writing, into a new file at `destination` (mode 0600). Returns its size
/// in bytes. It leaves `reserve` bytes of the disk free. `is_over` is asked now and then, and breaks
/// it off.
///
/// # Errors
/// `Usage` when something is there already: a backup never takes the place of another. `Mismatch` when the copy is
/// not whole, for then the original is not either.
pub fn backup(
    source: &Connection,
    destination: &Path,
    logs: &[Rows],
    reserve: u64,
    is_over: impl FnMut() -> bool + Clone + Send + 'static,
) -> Result<u64> {
    if destination.symlink_metadata().is_ok() {
        return Err(Error::usage(
            format!("{} exists already", destination.display()),
            "name a file that is not there yet, for example with the date in it",
        ));
    }
    // A transaction has its snapshot from its first read on, which this is.
    let (n_pages, _) = pages(source)?;
    disk::must_fit(destination, reserve.saturating_add(n_pages as u64 * PAGE))?;
    let partial = partial_name(destination)?;
    let made = copy(source, &partial, logs, reserve, is_over).map_err(disk::or_full).and_then(|()| {
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

/// Pages between two looks at whether to stop.
const PAGES_A_STEP: i32 = 1000;
/// Such steps between two flushes: the last one cannot be broken off, and need not be long.
const STEPS_A_FLUSH: u32 = 16;
/// Steps of SQLite's machine between two looks.
const STEPS_A_LOOK: i32 = 100_000;

fn copy(
    source: &Connection,
    partial: &Path,
    logs: &[Rows],
    reserve: u64,
    mut is_over: impl FnMut() -> bool + Clone + Send + 'static,
) -> Result<()> {
    let failed = || Error::io(format!("cannot write {}", partial.display()));
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(partial).map_err(failed())?;
    let mut copy = Connection::open_with_flags(partial, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    schema::guard(&copy)?;
    // What is not flushed as it comes is flushed at the end, before the file gets its name.
    copy.execute_batch("PRAGMA synchronous = OFF")?;
    let steps = Backup::new(source, &mut copy)?;
    for n_steps in 1.. {
        match steps.step(PAGES_A_STEP)? {
            StepResult::Done => break,
            StepResult::More => {}
            _ => std::thread::sleep(Duration::from_millis(10)),
        }
        // Others write meanwhile.
        disk::must_fit(partial, reserve)?;
        if n_steps % STEPS_A_FLUSH == 0 {
            file.sync_data().map_err(failed())?;
        }
        if is_over() {
            return Err(Error::Unavailable { retry_after: 10, message: "the backup was broken off".into() });
        }
    }
    drop(steps);
    // Out of WAL mode, so that the one file is all there is; `serve` turns it on again.
    copy.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))?;
    copy.progress_handler(STEPS_A_LOOK, Some(is_over))?;
    checksums::register(&copy)?;
    examine(&copy, partial, logs)?;
    drop(copy);
    file.sync_all().map_err(failed())
}

/// Refuses a database that is not whole: structure, foreign keys, checksums, leaves, version.
pub fn examine(connection: &Connection, path: &Path, logs: &[Rows]) -> Result<()> {
    migrate::version(connection, path)?;
    match problems(connection, logs)?.as_slice() {
        [] => Ok(()),
        [problem] => Err(Error::Mismatch(format!("{} is damaged: {problem}", path.display()))),
        [first, others @ ..] => Err(Error::Mismatch(format!(
            "{} is damaged: {first}; and {} more, which `mailtrail check FILE` lists",
            path.display(),
            others.len()
        ))),
    }
}

/// Findings of one kind that are told one by one.
const MOST_TOLD: usize = 20;

/// What SQLite's own checks find, and every row that is not as it was recorded; empty when all is well.
pub fn problems(connection: &Connection, logs: &[Rows]) -> Result<Vec<String>> {
    let (mut problems, is_readable) = schema::examine(connection)?;
    if !is_readable {
        return Ok(problems);
    }
    let is_like_ours = problems.is_empty();
    if let Err(error) = find_problems(connection, &mut problems) {
        problems.push(damage(error)?);
    }
    if is_like_ours && migrate::has_checksums(connection)? {
        match checksums::schema_is_whole(connection) {
            Ok(true) => {}
            Ok(false) => problems.push("the schema is not as it was made".to_owned()),
            Err(error) => problems.push(damage(error)?),
        }
    }
    let tables = checksums::tables(connection).or_else(|error| {
        problems.push(damage(error)?);
        Ok::<_, Error>(Vec::new())
    })?;
    for table in tables {
        let mut n_differing = 0;
        let told = checksums::find_differing(connection, &table, |line| {
            n_differing += 1;
            if n_differing <= MOST_TOLD {
                problems.push(line);
            }
        });
        if n_differing > MOST_TOLD {
            problems.push(format!("and {} more rows of {table}", n_differing - MOST_TOLD));
        }
        if let Err(error) = told {
            problems.push(format!("{table}: {}", damage(error)?));
        }
    }
    if migrate::has_tree(connection)? {
        let mut told = Vec::new();
        let verified = verify::verify(connection, logs, last_seq(connection)?, &mut |line| {
            if told.len() < MOST_TOLD {
                told.push(line);
            }
        });
        let n_more = verified.as_ref().map_or(0, |found| found.n_findings - told.len() as u64);
        problems.extend(told);
        if n_more > 0 {
            problems.push(format!("and {n_more} more findings of the tree"));
        }
        if let Err(error) = verified {
            problems.push(format!("the tree: {}", damage(error)?));
        }
    }
    Ok(problems)
}

/// That a file is too damaged to be read on is a finding, not a failure. Any other error comes back.
pub fn damage(error: Error) -> Result<String> {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase, Unknown};
    match &error {
        Error::Database(why) => match why.sqlite_error_code() {
            Some(DatabaseCorrupt | NotADatabase) => Ok(format!("it cannot be read to its end: {why}")),
            // Our own statements are right: then the schema is not.
            Some(Unknown) => Ok(format!("its schema is not as it was made: {why}")),
            _ => Err(error),
        },
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
    for line in rows.take(MOST_TOLD) {
        problems.push(line?);
    }
    Ok(())
}

/// Changes a copy that has no name yet, and leaves it as it was: one file, flushed.
pub fn change<T>(partial: &Path, change: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
    let mut connection = connect(partial)?;
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Exclusive)?;
    let changed = change(&transaction)?;
    transaction.commit()?;
    connection.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))?;
    drop(connection);
    let failed = Error::io(format!("cannot flush {}", partial.display()));
    File::open(partial).and_then(|file| file.sync_all()).map_err(failed)?;
    Ok(changed)
}

/// Opens a database that nobody serves, for looking only. Where nothing can be written beside it, as on read-only media,
/// the file is taken as it is: it must have no WAL then.
pub fn open_at_rest(path: &Path) -> Result<Connection> {
    use rusqlite::ErrorCode::{CannotOpen, PermissionDenied, ReadOnly};
    let error = match open_to_look(path, false) {
        Err(Error::Database(error))
            if matches!(error.sqlite_error_code(), Some(CannotOpen | PermissionDenied | ReadOnly)) =>
        {
            error
        }
        opened => return opened.map_err(migrate::unreadable(path)),
    };
    match has_more_beside(path) {
        false => open_to_look(path, true).map_err(migrate::unreadable(path)),
        true => Err(Error::refused(
            format!(
                "{} has a WAL or a journal beside it, which cannot be read there: {error}",
                path.display()
            ),
            "copy both to a directory that can be written",
        )),
    }
}

/// Opens a database of whose directory we hold the lock, for looking only: nothing is made beside it where all of it is in
/// the one file.
pub fn open_alone(path: &Path) -> Result<Connection> {
    open_copy(path, path)
}

/// `open_alone` for a copy, of which is spoken as of the file that it was made from.
pub fn open_copy(path: &Path, original: &Path) -> Result<Connection> {
    open_to_look(path, !has_more_beside(path)).map_err(migrate::unreadable(original))
}

/// Whether SQLite has to look at more than the file: at a WAL that was not moved yet, or a journal that was not played
/// back.
pub fn has_more_beside(path: &Path) -> bool {
    is_beside(path, "-wal") || is_beside(path, "-journal")
}

fn is_beside(path: &Path, suffix: &str) -> bool {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    Path::new(&name).metadata().is_ok_and(|found| found.len() > 0)
}

/// `is_fixed`: nobody changes it, and nothing is made beside it.
fn open_to_look(path: &Path, is_fixed: bool) -> Result<Connection> {
    // The journal of a write that was broken off is played back by the first who reads, which takes the right to write.
    let mode = match is_beside(path, "-journal") {
        true => OpenFlags::SQLITE_OPEN_READ_WRITE,
        false => OpenFlags::SQLITE_OPEN_READ_ONLY,
    };
    let flags = mode | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = if is_fixed {
        let name = percent_encode(path.as_os_str().as_bytes(), NON_ALPHANUMERIC);
        let uri = format!("file:{name}?immutable=1");
        Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI)?
    } else {
        Connection::open_with_flags(path, flags)?
    };
    schema::look(&connection)?;
    checksums::register(&connection)?;
    // One snapshot for all that is asked; without it each statement would lock the file anew.
    connection.execute_batch("BEGIN")?;
    Ok(connection)
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
