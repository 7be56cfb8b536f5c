//! The one form of each owner's address (`canonical`), by which it is found however it is written.
//!
//! An older version took `jörg@` and `JÖRG@` for two. Such twins stay two: each is found by its own spelling, any other
//! finds the first, and the first start of this version says which there are.

use rusqlite::Connection;

use crate::canonical;
use crate::error::Result;

/// What has addresses: the table, the column, and what one row of it is called.
const TABLES: [(&str, &str, &str); 2] = [("mailboxes", "address", "mailbox"), ("users", "email", "account")];

/// Whether there are owners of before the column was kept.
pub fn is_unfilled(connection: &Connection) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM mailboxes WHERE canonical IS NULL)
                   OR EXISTS (SELECT 1 FROM users WHERE canonical IS NULL)";
    Ok(connection.query_row(sql, [], |row| row.get(0))?)
}

/// Fills the column in, and tells the twins that live.
pub fn fill(connection: &Connection, mut tell: impl FnMut(String)) -> Result<()> {
    for (table, column, what) in TABLES {
        let mut rows =
            connection.prepare(&format!("SELECT id, {column} FROM {table} WHERE canonical IS NULL"))?;
        let mut rows = rows.query([])?;
        let mut update = connection.prepare(&format!("UPDATE {table} SET canonical = ?2 WHERE id = ?1"))?;
        while let Some(row) = rows.next()? {
            let (id, address): (i64, String) = (row.get(0)?, row.get(1)?);
            update.execute((id, canonical::address(&address)))?;
        }
        let of = if table == "mailboxes" { "workspace, canonical" } else { "canonical" };
        let mut twins = connection.prepare(&format!(
            "SELECT group_concat({column}, ', ') FROM (SELECT * FROM {table} WHERE deleted_at IS NULL ORDER BY id)
             GROUP BY {of} HAVING count(*) > 1"
        ))?;
        let mut twins = twins.query([])?;
        while let Some(row) = twins.next()? {
            let spellings: String = row.get(0)?;
            tell(format!(
                "{spellings}: one address in several spellings, and each has {article} {what} of its own; each is found \
                 by its own spelling, any other finds the first",
                article = if what == "account" { "an" } else { "a" },
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twins_of_an_older_version_are_told() {
        let connection = Connection::open_in_memory().expect("a database");
        let tables = "CREATE TABLE mailboxes (id, workspace, address, deleted_at, canonical);
             CREATE TABLE users (id, email, deleted_at, canonical);
             INSERT INTO mailboxes VALUES (1, 1, 'jörg@example.org', NULL, NULL),
                 (2, 1, 'JÖRG@example.org', NULL, NULL), (3, 2, 'JÖRG@example.org', NULL, NULL),
                 (4, 1, 'Jörg@example.org', 9, NULL);
             INSERT INTO users VALUES (1, 'a@xn--mller-kva.example', NULL, NULL),
                 (2, 'A@müller.example', NULL, NULL), (3, 'b@müller.example', NULL, NULL);";
        connection.execute_batch(tables).expect("rows");
        let mut told = Vec::new();
        fill(&connection, |twins| told.push(twins)).expect("canonical forms");
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with("jörg@example.org, JÖRG@example.org: one address"), "{told:?}");
        assert!(told[1].starts_with("a@xn--mller-kva.example, A@müller.example: one address"), "{told:?}");
    }
}
