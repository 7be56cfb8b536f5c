//! What SQLite leaves behind in a page of what was there before: `secure_delete` overwrites what is deleted with zeros,
//! but a row that had moved to another page when its own was full has left a copy in the old one, in the room that no row
//! takes up. An erasure is done when those are gone too.
//!
//! SQLite has no statement for it but VACUUM, which writes the whole file anew while nobody else may write. So it is done
//! in the file itself, a stretch at a time.
//!
//! # Dangers
//! Only bytes that nothing refers to are overwritten, with zeros: between the end of a page's list of cells and its first
//! cell. Whatever is torn by a crash there means nothing, before and after. It must be so:
//! - that all of the WAL is in the file, or a page of it would bring the bytes back;
//! - that the writer has no page in its cache, or its next change of that page would;
//! - that nobody else writes: it runs on the writer's thread.
//!
//! Readers may read meanwhile. The file stays open for as long as the writer lives: to close it would give up SQLite's
//! own locks on it, as POSIX has them.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::error::{Error, Result};

/// Bytes at the beginning of the file that are no page's.
const FILE_HEADER: usize = 100;
/// Where the list of cells begins, behind the beginning of a page's own header, by the kind of page.
const INTERIOR: usize = 12;
const LEAF: usize = 8;

/// Pages that are looked at in one step: a few milliseconds.
const PAGES_A_STEP: usize = 1024;

pub struct Scrubber {
    file: File,
    page_size: usize,
    /// Of it, what SQLite uses.
    usable: usize,
}

impl Scrubber {
    pub fn open(path: &Path) -> Result<Self> {
        let failed = || Error::io(format!("cannot open {}", path.display()));
        let file = File::options().read(true).write(true).open(path).map_err(failed())?;
        let mut header = [0; FILE_HEADER];
        file.read_exact_at(&mut header, 0).map_err(failed())?;
        let page_size = match usize::from(u16_at(&header, 16)) {
            1 => 65_536,
            size => size,
        };
        let usable = page_size.saturating_sub(usize::from(header[20]));
        if !page_size.is_power_of_two() || page_size < 512 || usable < 480 {
            return Err(Error::Internal(format!("{} has pages of {page_size} bytes", path.display())));
        }
        Ok(Self { file, page_size, usable })
    }

    /// Overwrites what was left in the pages from the number `first` on (the first page is 1); says which is next, none
    /// at the end of the file.
    pub fn step(&self, first: u64) -> Result<Option<u64>> {
        let failed = || Error::io("cannot overwrite what is left in the database");
        let mut pages = vec![0; PAGES_A_STEP * self.page_size];
        let start = (first - 1) * self.page_size as u64;
        let mut n = 0;
        while n < pages.len() {
            match self.file.read_at(&mut pages[n..], start + n as u64).map_err(failed())? {
                0 => break,
                more => n += more,
            }
        }
        for (number, page) in (first..).zip(pages[..n].chunks_exact(self.page_size)) {
            let left = left_over(page, number, self.usable);
            if page[left.clone()].iter().any(|byte| *byte != 0) {
                let at = (number - 1) * self.page_size as u64 + left.start as u64;
                self.file.write_all_at(&vec![0; left.len()], at).map_err(failed())?;
            }
        }
        Ok((n == pages.len()).then_some(first + PAGES_A_STEP as u64))
    }

    /// Puts on disk what was overwritten.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(Error::io("cannot overwrite what is left in the database"))
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// The bytes of a page that nothing refers to; none of what is no page of a tree, or not what one looks like.
fn left_over(page: &[u8], number: u64, usable: usize) -> Range<usize> {
    // Where pages are moved, some of them say which pages those are: the second, and one for as many as fit in it.
    let is_map = number >= 2 && (number - 2).is_multiple_of(usable as u64 / 5 + 1);
    let start = if number == 1 { FILE_HEADER } else { 0 };
    let header = match page[start] {
        2 | 5 => INTERIOR,
        10 | 13 => LEAF,
        _ => return 0..0,
    };
    let n_cells = usize::from(u16_at(page, start + 3));
    let first_cell = match usize::from(u16_at(page, start + 5)) {
        0 => 65_536,
        at => at,
    };
    let cells = start + header;
    let end_of_list = cells + 2 * n_cells;
    let are_behind = end_of_list <= first_cell && first_cell <= usable && usable <= page.len();
    let is_cell = |at: usize| (first_cell..usable).contains(&usize::from(u16_at(page, at)));
    if is_map || !are_behind || !(cells..end_of_list).step_by(2).all(is_cell) {
        return 0..0;
    }
    end_of_list..first_cell
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    fn rows(connection: &Connection) -> Vec<String> {
        let mut statement =
            connection.prepare("SELECT quote(id) || quote(text) FROM t ORDER BY id").expect("a query");
        let rows = statement.query_map([], |row| row.get(0)).expect("rows");
        rows.collect::<rusqlite::Result<_>>().expect("texts")
    }

    /// Of every size of page, with pages that are moved and without: what was deleted is in no byte of the file, and all
    /// else is there.
    #[test]
    fn nothing_is_left_and_nothing_else_is_lost() {
        for (page_size, vacuum) in [(512, 0), (1024, 2), (4096, 0), (4096, 2), (65_536, 2)] {
            let directory = tempfile::tempdir().expect("a directory");
            let path = directory.path().join("a.db");
            let connection = Connection::open(&path).expect("a database");
            connection
                .execute_batch(&format!(
                    "PRAGMA page_size = {page_size}; PRAGMA auto_vacuum = {vacuum}; PRAGMA journal_mode = WAL;
                     PRAGMA secure_delete = ON; CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT);
                     CREATE INDEX t_text ON t (text, id)"
                ))
                .expect("a table");
            connection.execute_batch("BEGIN").expect("a transaction");
            let mut dice = 7_u64;
            for id in 0..4000 {
                dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let who = if id % 5 == 0 { "FORGOTTEN" } else { "remembered" };
                let text = format!("{:x} {who} {}", dice >> 40, "x".repeat((dice % 700) as usize));
                connection
                    .execute("INSERT INTO t VALUES (?1, ?2)", ((dice >> 33) as i64, text))
                    .expect("a row");
            }
            connection.execute_batch("COMMIT").expect("a commit");
            connection.execute("DELETE FROM t WHERE text LIKE '%FORGOTTEN%'", []).expect("a removal");
            let expected = rows(&connection);
            let empty = |connection: &Connection| {
                connection
                    .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))
                    .expect("a checkpoint")
            };
            assert_eq!(empty(&connection), 0);
            connection.execute_batch("PRAGMA shrink_memory").expect("an empty cache");
            let has_it = || {
                let bytes = std::fs::read(&path).expect("the file");
                bytes.windows(9).any(|window| window == b"FORGOTTEN")
            };
            assert!(has_it(), "SQLite of {page_size} leaves nothing any more: this can go");
            let scrubber = Scrubber::open(&path).expect("the file");
            let mut next = Some(1);
            while let Some(first) = next {
                next = scrubber.step(first).expect("a step");
            }
            scrubber.sync().expect("a flush");
            assert!(!has_it(), "{page_size}");
            // The connection goes on, and so does a new one.
            assert_eq!(rows(&connection), expected);
            connection.execute("INSERT INTO t VALUES (-1, 'later')", []).expect("a row");
            assert_eq!(empty(&connection), 0);
            let again = Connection::open(&path).expect("a database");
            let told: String =
                again.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("an answer");
            assert_eq!(told, "ok", "{page_size}");
            assert_eq!(rows(&again).len(), expected.len() + 1);
            assert!(!has_it(), "{page_size}");
        }
    }

    #[test]
    fn what_is_no_page_of_a_tree_is_left_alone() {
        let mut page = vec![0; 512];
        page[..8].copy_from_slice(&[13, 0, 0, 0, 1, 1, 0xf0, 0]);
        page[8..10].copy_from_slice(&[1, 0xf0]);
        assert_eq!(left_over(&page, 3, 512), 10..0x1f0);
        // The second says which pages are which.
        assert_eq!(left_over(&page, 2, 512), 0..0);
        // A cell in front of the first, cells behind their end, a list over the first.
        for (at, byte) in [(8, 0), (5, 0xff), (3, 1), (0, 1), (0, 0)] {
            let mut wrong = page.clone();
            wrong[at] = byte;
            assert_eq!(left_over(&wrong, 3, 512), 0..0, "{at} {byte}");
        }
    }
}
