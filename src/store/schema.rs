//! What a database may hold beside its rows: the tables, indexes and triggers of its version, and nothing else.
//!
//! A file that was put in place may have been made by anybody. A trigger in it runs with our own writes, a view may
//! stand where a table was, defaults and expressions of indexes run when a row is written: "who may read this file" would
//! become "who may be written into it". So all of `sqlite_schema` is held against what a database of its version has,
//! before the first statement that could run any of it. `look` makes a connection on which nothing of that kind runs.
//!
//! Compared is what SQLite would read, word by word: comments and white space differ between a database that was made
//! anew and one that was brought to its version by the steps.

use std::collections::BTreeSet;

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension};

use super::{backup, checksums, migrate};
use crate::error::{Error, Result};

/// Version 1 as it was; every later one comes of it by the steps of `migrate`.
const FIRST: &str = include_str!("upgrades/1.sql");
const LATEST: &str = include_str!("../../schema.sql");
/// Version 1 came with it and without.
const OPTIONAL: [&str; 1] = ["projects_held"];

/// Bytes of a value, and of the text of a table or trigger; ours have 16 MiB, and 3 KB, at most.
const LONGEST_VALUE: i32 = 64 << 20;
const LONGEST_SQL: i32 = 64 << 10;
/// Steps of SQLite's machine for reading the schema, which takes about a thousand, and how often they are counted.
const STEPS: i32 = 100_000;
const STEPS_A_LOOK: i32 = 1000;
/// Objects of the schema that are looked at, and differences that are told.
const MOST_OBJECTS: usize = 1000;
const MOST_TOLD: usize = 20;

/// Something in the schema that should be otherwise.
struct Difference {
    text: String,
    /// On a connection that only looks no trigger runs: all else can be read as it is.
    is_of_trigger: bool,
}

/// For every connection, before its first statement: nothing rewrites the schema itself, and what stands in it calls
/// none but harmless functions.
pub(super) fn guard(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    Ok(())
}

/// For a connection that only looks, before its first statement: no trigger and no view of the file runs, and what is
/// larger than anything of ours is an error (`Interrupted`, `TooBig`).
pub(super) fn look(connection: &Connection) -> rusqlite::Result<()> {
    guard(connection)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, LONGEST_VALUE)?;
    connection.set_limit(Limit::SQLITE_LIMIT_SQL_LENGTH, LONGEST_SQL)?;
    // Reading the schema is bounded as well; the version is read first, for the file is not opened before.
    let mut n_steps = 0;
    let is_too_long = move || {
        n_steps += STEPS_A_LOOK;
        n_steps > STEPS
    };
    connection.progress_handler(STEPS_A_LOOK, Some(is_too_long))?;
    let read = connection.execute_batch(
        "PRAGMA query_only = ON; PRAGMA cell_size_check = ON; PRAGMA user_version;
         SELECT 1 FROM sqlite_schema LIMIT 0;",
    );
    connection.progress_handler(0, None::<fn() -> bool>)?;
    read
}

/// What is not as in a database of this version; empty when all is well.
///
/// # Errors
/// When the schema cannot be read.
fn differences(connection: &Connection, version: i64) -> Result<Vec<Difference>> {
    let mut found = header(connection)?;
    let objects = objects(connection)?;
    roots(&objects, &mut found);
    compare(&objects, &expected(version)?, &mut found);
    Ok(found)
}

/// What the schema's CHECKs say of the rows of a table, in SQL, of a database whose schema was looked at. SQLite does not
/// read them where it may not write, and finds every row right there.
pub fn checks(connection: &Connection, table: &str) -> Result<Vec<String>> {
    let sql = "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?1";
    let text: Option<String> = connection.query_row(sql, [table], |row| row.get(0)).optional()?;
    let Some(text) = text else { return Ok(Vec::new()) };
    let (mut checks, mut depth, mut open) = (Vec::new(), 0, None);
    let mut before = "";
    for word in words_of(&text) {
        match word {
            "(" => {
                depth += 1;
                if before == "CHECK" && open.is_none() {
                    open = Some((depth, offset(&text, word) + 1));
                }
            }
            ")" => {
                if let Some((_, from)) = open.take_if(|(of, _)| *of == depth) {
                    checks.push(text[from..offset(&text, word)].to_owned());
                }
                depth -= 1;
            }
            _ => {}
        }
        before = word;
    }
    Ok(checks)
}

/// Where a part of a text begins in it.
fn offset(text: &str, part: &str) -> usize {
    part.as_ptr() as usize - text.as_ptr() as usize
}

/// All of them in one line.
///
/// # Errors
/// `Refused` when there are any.
pub fn refuse(connection: &Connection, version: i64, path: &std::path::Path) -> Result<()> {
    let found = differences(connection, version)?;
    if found.is_empty() {
        return Ok(());
    }
    Err(Error::refused(
        format!(
            "{} is not as a mailtrail of schema version {version} made it: {}",
            path.display(),
            told(found).join("; ")
        ),
        "nothing in it was run; keep the file as it is, and put a backup in place with `mailtrail restore`",
    ))
}

/// What is wrong with the schema of a database, of whatever version it says it is, and whether the rows can be looked at
/// all the same, as where a trigger was dropped: else whatever was found in them would be found with another's words.
pub fn examine(connection: &Connection) -> Result<(Vec<String>, bool)> {
    match differences(connection, migrate::user_version(connection)?) {
        Ok(found) => {
            let is_readable = found.iter().all(|found| found.is_of_trigger);
            Ok((told(found), is_readable))
        }
        Err(error) => Ok((vec![backup::damage(error)?], false)),
    }
}

/// In words, the first of them.
fn told(found: Vec<Difference>) -> Vec<String> {
    let n_more = found.len().saturating_sub(MOST_TOLD);
    let mut told: Vec<String> = found.into_iter().take(MOST_TOLD).map(|difference| difference.text).collect();
    if n_more > 0 {
        told.push(format!("and {n_more} more of the schema"));
    }
    told
}

/// What stands in the header of the file and is chosen while it is empty.
fn header(connection: &Connection) -> Result<Vec<Difference>> {
    let mut found = Vec::new();
    let mut expect = |pragma: &str, expected: &str| -> Result<()> {
        let value = connection.pragma_query_value(None, pragma, |row| {
            Ok(match row.get_ref(0)? {
                ValueRef::Integer(number) => number.to_string(),
                value => String::from_utf8_lossy(value.as_bytes().unwrap_or_default()).into_owned(),
            })
        })?;
        if value != expected {
            let text = format!("{pragma} is {}, and not {expected}", shown(&value));
            found.push(Difference { text, is_of_trigger: false });
        }
        Ok(())
    };
    expect("encoding", "UTF-8")?;
    expect("auto_vacuum", "2")?;
    expect("page_size", "4096")?;
    Ok(found)
}

/// A row of `sqlite_schema`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Object {
    kind: String,
    name: String,
    table: String,
    /// The words of its text.
    sql: Vec<String>,
    root: i64,
}

impl Object {
    /// Everything but where it is in the file.
    fn is(&self, other: &Self) -> bool {
        (&self.kind, &self.name, &self.table, &self.sql)
            == (&other.kind, &other.name, &other.table, &other.sql)
    }

    fn difference(&self, what: &str) -> Difference {
        let text = format!("the {} {} {what}", shown(&self.kind), shown(&self.name));
        Difference { text, is_of_trigger: self.kind == "trigger" }
    }
}

/// In the order of their kinds and names.
fn objects(connection: &Connection) -> rusqlite::Result<Vec<Object>> {
    let mut statement =
        connection.prepare("SELECT type, name, tbl_name, sql, rootpage FROM sqlite_schema")?;
    let text = |value: ValueRef<'_>| match value {
        ValueRef::Null => String::new(),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
    };
    let mut rows = statement.query([])?;
    let mut objects = Vec::new();
    while let Some(row) = rows.next()? {
        let [kind, name, table, sql] = [0, 1, 2, 3].map(|at| row.get_ref(at).map(text));
        let root = row.get_ref(4)?.as_i64().unwrap_or(-1);
        objects.push(Object { kind: kind?, name: name?, table: table?, sql: words(&sql?), root });
        if objects.len() > MOST_OBJECTS {
            break;
        }
    }
    objects.sort();
    Ok(objects)
}

/// Of a new database of this version.
fn expected(version: i64) -> Result<Vec<Object>> {
    let connection = Connection::open_in_memory()?;
    checksums::register(&connection)?;
    if version == migrate::VERSION {
        connection.execute_batch(LATEST)?;
    } else {
        connection.execute_batch(FIRST)?;
        for (_, step) in migrate::STEPS.iter().filter(|(step, _)| *step <= version) {
            connection.execute_batch(step)?;
        }
    }
    Ok(objects(&connection)?)
}

/// Two tables in one place would each have the rows of the other.
fn roots(objects: &[Object], found: &mut Vec<Difference>) {
    let mut seen = BTreeSet::new();
    for object in objects {
        let is_right = match object.kind.as_str() {
            // The first page is the schema's own.
            "table" | "index" => object.root > 1 && seen.insert(object.root),
            _ => object.root == 0,
        };
        if !is_right {
            found.push(object.difference("is not where it should be in the file"));
        }
    }
}

fn compare(objects: &[Object], expected: &[Object], found: &mut Vec<Difference>) {
    let key = |object: &Object| (object.kind.clone(), object.name.clone());
    let known: BTreeSet<_> = expected.iter().map(key).collect();
    let mut there = BTreeSet::new();
    for object in objects {
        if !there.insert(key(object)) {
            found.push(object.difference("is there twice"));
        } else if !known.contains(&key(object)) {
            found.push(object.difference("is none of mailtrail's"));
        } else if !expected.iter().any(|expected| expected.is(object)) {
            found.push(object.difference("is not as it was made"));
        }
    }
    for missing in expected.iter().filter(|object| !there.contains(&key(object))) {
        if !OPTIONAL.contains(&missing.name.as_str()) {
            found.push(missing.difference("is not there"));
        }
    }
}

/// A text of the file in a line of ours.
fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(64).flat_map(char::escape_debug).collect();
    if text.chars().nth(64).is_some() {
        shown.push('…');
    }
    shown
}

/// The words that SQLite makes of a statement, without comments and white space. What it would not take for a word of its
/// own, or ends at, is one all the same: then no statement of ours is like it.
fn words(sql: &str) -> Vec<String> {
    words_of(sql).into_iter().map(str::to_owned).collect()
}

fn words_of(sql: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            ' ' | '\t' | '\n' | '\x0c' | '\r' => {
                rest = &rest[1..];
                continue;
            }
            '-' if rest.starts_with("--") => {
                rest = rest.find('\n').map_or("", |end| &rest[end + 1..]);
                continue;
            }
            '/' if rest.starts_with("/*") => {
                rest = rest[2..].find("*/").map_or("", |end| &rest[2 + end + 2..]);
                continue;
            }
            '\'' | '"' | '`' => quoted(rest, first),
            '[' => rest.find(']').map_or(rest.len(), |end| end + 1),
            _ if is_of_name(first) => rest.find(|c| !is_of_name(c)).unwrap_or(rest.len()),
            other => other.len_utf8(),
        };
        let (word, after) = rest.split_at(length);
        words.push(word);
        rest = after;
    }
    words
}

/// The length of what stands between two of these, of which two are one.
fn quoted(text: &str, quote: char) -> usize {
    let mut at = 1;
    while let Some(end) = text[at..].find(quote) {
        at += end + 1;
        if !text[at..].starts_with(quote) {
            return at;
        }
        at += 1;
    }
    text.len()
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '$') || !c.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_white_space_are_nothing_and_all_else_counts() {
        let of = |sql: &str| words(sql).join("|");
        assert_eq!(
            of("CREATE TABLE a (\n  b INTEGER, -- c\n c TEXT)"),
            "CREATE|TABLE|a|(|b|INTEGER|,|c|TEXT|)"
        );
        assert_eq!(of("a/* b */c/*"), "a|c");
        assert_eq!(of("a -- b"), "a");
        assert_eq!(
            of("'a''b -- c' \"d\"\"e\" [f g] `h``i` x'00'"),
            "'a''b -- c'|\"d\"\"e\"|[f g]|`h``i`|x|'00'"
        );
        assert_eq!(of("a>=1<<2"), "a|>|=|1|<|<|2");
        // SQLite would end there.
        assert_eq!(of("a\0b"), "a|\0|b");
        assert_ne!(of("a\x0bb"), of("a b"));
        assert_ne!(of("a\u{a0}b"), of("a b"));
        assert_eq!(of("'open"), "'open");
        assert_eq!(of("''"), "''");
    }

    #[test]
    fn the_checks_of_a_table_are_what_it_says_of_its_rows() {
        let connection = Connection::open_in_memory().expect("a database");
        connection
            .execute_batch(
                "CREATE TABLE t (a INTEGER CHECK (a IN (1, (2))), -- CHECK (a)
                    b TEXT DEFAULT 'CHECK (b)' CHECK (length(b) >= 1), CHECK (a < 7 OR b = ')')) STRICT",
            )
            .expect("a table");
        let expected = ["a IN (1, (2))", "length(b) >= 1", "a < 7 OR b = ')'"];
        assert_eq!(checks(&connection, "t").expect("the checks"), expected);
        assert_eq!(checks(&connection, "u").expect("no checks"), Vec::<String>::new());
    }

    #[test]
    fn a_database_of_any_version_is_like_itself_and_like_no_other() {
        for version in 1..=migrate::VERSION {
            let objects = expected(version).expect("a schema");
            for other in 1..=migrate::VERSION {
                let mut found = Vec::new();
                compare(&objects, &expected(other).expect("a schema"), &mut found);
                assert_eq!(found.is_empty(), version == other, "{version} and {other}");
            }
        }
    }
}
