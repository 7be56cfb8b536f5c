//! A checksum in the rows that are kept for good and are no leaves of the tree (texts, policies), and one of the schema:
//! what a disk or a cable changed in them is found, and the row named. In databases of version 2 the logs had them too.
//!
//! SQLite's own examination looks at the structure of the file: of single bits that were flipped in a trial it found
//! one in eighteen, for a letter in a text is as good as another to it. The checksum is of the row as it is stored,
//! 32 bits of a SHA-256. It proves nothing against people: who can write the file can write the checksum.
//!
//! A table takes part by having a column `checksum`, which is `checksum_of` all its other columns, in their order. The
//! schema has one of its own.

use rusqlite::functions::FunctionFlags;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};
use sha2::{Digest, Sha256};

use crate::error::Result;

/// Gives a connection the function `checksum_of`.
pub fn register(connection: &Connection) -> rusqlite::Result<()> {
    let flags =
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_DIRECTONLY;
    connection.create_scalar_function("checksum_of", -1, flags, |context| {
        let mut hasher = Sha256::new();
        for at in 0..context.len() {
            add(&mut hasher, context.get_raw(at));
        }
        let hash = hasher.finalize();
        Ok(i32::from_le_bytes([hash[0], hash[1], hash[2], hash[3]]))
    })
}

/// Adds a value with its type and length, so that no two rows read alike.
fn add(hasher: &mut Sha256, value: ValueRef<'_>) {
    let mut add = |kind: u8, bytes: &[u8]| {
        hasher.update([kind]);
        hasher.update((bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    match value {
        ValueRef::Null => add(0, &[]),
        ValueRef::Integer(number) => add(1, &number.to_le_bytes()),
        ValueRef::Real(number) => add(2, &number.to_le_bytes()),
        ValueRef::Text(text) => add(3, text),
        ValueRef::Blob(bytes) => add(4, bytes),
    }
}

/// Of every statement that made the schema, as SQLite keeps them.
const OF_SCHEMA: &str =
    "SELECT checksum_of(group_concat(concat_ws(' ', type, name, sql), char(10) ORDER BY type, name))
     FROM sqlite_schema WHERE sql IS NOT NULL";

/// Writes down the checksum of the schema, when it was made or changed.
pub fn keep_schema(connection: &Connection) -> Result<()> {
    connection.execute(&format!("UPDATE sequence SET schema_checksum = ({OF_SCHEMA})"), [])?;
    Ok(())
}

/// Whether the schema is as it was made: with a table that has another name, nothing in it would be looked at.
pub fn schema_is_whole(connection: &Connection) -> Result<bool> {
    let sql = format!("SELECT schema_checksum = ({OF_SCHEMA}) FROM sequence");
    Ok(connection.query_row(&sql, [], |row| row.get(0))?)
}

/// Tells every row whose checksum is not its own: its table and its primary key.
pub fn find_differing(connection: &Connection, table: &str, mut tell: impl FnMut(String)) -> Result<()> {
    let names = |condition: &str, order: &str| -> Result<String> {
        let sql = format!(
            "SELECT group_concat(name, ', ' ORDER BY {order}) FROM pragma_table_info(?1) WHERE {condition}"
        );
        Ok(connection.prepare_cached(&sql)?.query_row([table], |row| row.get(0))?)
    };
    let (key, columns) = (names("pk > 0", "pk")?, names("name <> 'checksum'", "cid")?);
    let sql = format!("SELECT {key} FROM {table} WHERE checksum IS NOT checksum_of({columns})");
    let mut statement = connection.prepare(&sql)?;
    let n_key = statement.column_count();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        tell(format!("row {} of {table} is not as it was recorded", key_text(row, n_key)?));
    }
    Ok(())
}

fn key_text(row: &Row<'_>, n_key: usize) -> Result<String> {
    let key: Vec<String> = (0..n_key)
        .map(|at| row.get::<_, i64>(at).map(|number| number.to_string()))
        .collect::<rusqlite::Result<_>>()?;
    Ok(key.join(", "))
}

/// The tables whose rows have a checksum.
pub fn tables(connection: &Connection) -> Result<Vec<String>> {
    let mut statement = connection.prepare(
        "SELECT name FROM sqlite_schema WHERE type = 'table'
             AND EXISTS (SELECT 1 FROM pragma_table_info(sqlite_schema.name) AS info WHERE info.name = 'checksum')
         ORDER BY name",
    )?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
}
