//! Finds rows of settings that no mailtrail ever wrote. Somebody may put a database in place whose names, roles, scopes,
//! password hashes, policies or times do harm before anybody asks for them.
//!
//! A row can be written past the schema. So each table is held against what the schema says of its rows
//! (`integrity_check`, `foreign_key_check`, its CHECKs) and against the rules that stand here. Every version has kept to
//! each rule, so no row of an older version is refused. A row that mailtrail could have written is not found, whoever
//! wrote it: no row tells that a limit was raised behind mailtrail's back.
//!
//! It costs one pass over the settings, and none over the logs.

use rusqlite::Connection;

use super::keys::Scope;
use super::password;
use crate::activity;
use crate::erasure;
use crate::error::{Error, Result};
use crate::jobs::retention;
use crate::store::{backup, jobs, migrate, schema};
use crate::time::Timestamp;

/// Findings that are told of one table.
const MOST_TOLD: usize = 5;

/// A table of settings, as far as the file's version has it.
struct Table {
    name: &'static str,
    /// What a row is named by.
    key: &'static str,
    /// Of texts, the most bytes; none has a NUL in it, at which some would end.
    texts: &'static [(&'static str, usize)],
    times: &'static [&'static str],
    /// What else holds of each row, in SQL, and what is said of one for which it does not.
    rules: &'static [(&'static str, &'static str)],
}

/// Characters of four bytes.
const NAME: usize = 4 * 200;
const ADDRESS: usize = 4 * 320;
/// A policy's document is a request's body at most, in another spelling.
const DOCUMENT: usize = 4 << 20;

const TABLES: &[Table] = &[
    Table {
        name: "sequence",
        key: "one",
        texts: &[],
        times: &[],
        // `Timestamp::MIN` and `MAX`; in the words of the writer, which refuses it too.
        rules: &[(
            "last_now BETWEEN 0 AND 253402207200999999",
            "says that the latest time that a write saw is in no year that can be",
        )],
    },
    Table { name: "pruning", key: "log", texts: &[], times: &[], rules: &[("0", "lets rows be deleted by anybody")] },
    Table {
        name: "workspaces",
        key: "id",
        texts: &[("name", NAME)],
        times: &["created_at", "deleted_at"],
        rules: &[],
    },
    Table {
        name: "users",
        key: "id",
        texts: &[("email", ADDRESS), ("name", NAME), ("password", 256)],
        times: &["created_at", "deleted_at"],
        rules: &[],
    },
    Table {
        name: "members",
        key: "workspace || ', ' || user",
        texts: &[],
        times: &["joined_at", "removed_at"],
        rules: &[],
    },
    Table {
        name: "invitations",
        key: "id",
        texts: &[("email", ADDRESS), ("name", NAME)],
        times: &["created_at", "expires_at"],
        rules: &[],
    },
    Table {
        name: "tenants",
        key: "id",
        texts: &[("name", NAME), ("domain", 4 * 255)],
        times: &["created_at", "deleted_at"],
        rules: &[],
    },
    Table {
        name: "mailboxes",
        key: "id",
        texts: &[("address", ADDRESS), ("name", NAME)],
        times: &["window_start", "blocked_at", "created_at", "deleted_at"],
        rules: &[
            ("coalesce(daily_send_limit, 0) <= 9007199254740991", "has a limit that is no number of messages"),
            ("sent_count <= 9007199254740991", "has sent more than anybody can"),
            (
                "CASE WHEN policy_version = 0 THEN include_body_hash = 0
                 ELSE EXISTS (SELECT 1 FROM policies
                     WHERE mailbox = mailboxes.id AND version = mailboxes.policy_version
                         AND CASE WHEN json_valid(document)
                             THEN document ->> '$.auditLog.retentionDays' IS mailboxes.retention_days
                                 AND coalesce(document ->> '$.auditLog.includeBodyHash', 0) IS mailboxes.include_body_hash
                             ELSE 0 END)
                 END",
                "is not kept as its policy says",
            ),
            (
                "policy_version > 0 OR retention_days IS NULL OR mailboxes.id || ' ' || retention_days IN
                     (SELECT (pair.value ->> 0) || ' ' || (pair.value ->> 1)
                      FROM controls, json_each(body, '$.mailboxes') AS pair WHERE kind = 4)",
                "is kept for days that are not on record",
            ),
        ],
    },
    Table {
        name: "policies",
        key: "mailbox || ', ' || version",
        texts: &[("document", DOCUMENT)],
        times: &["put_at"],
        rules: &[],
    },
    Table {
        name: "projects",
        key: "id",
        texts: &[("name", NAME)],
        times: &["created_at", "deleted_at"],
        rules: &[],
    },
    Table {
        name: "api_keys",
        key: "id",
        texts: &[("name", NAME), ("hint", 64)],
        times: &["created_at", "expires_at", "revoked_at", "last_used_at"],
        rules: &[],
    },
    Table {
        name: "sessions",
        key: "hex(hash)",
        texts: &[],
        times: &["created_at", "last_seen_at", "ended_at"],
        rules: &[],
    },
    Table {
        name: "licenses",
        key: "id",
        texts: &[("holder", NAME), ("plan", 4 * 40)],
        times: &["issued_at", "expires_at"],
        rules: &[],
    },
    Table {
        name: "jobs",
        key: "name",
        texts: &[("name", 64)],
        times: &["started_at", "finished_at"],
        rules: &[("outcome IS NULL OR json_valid(outcome)", "tells what is no JSON")],
    },
    Table {
        name: "seen_settings",
        key: "name",
        texts: &[("name", 64), ("value", 64 << 10)],
        times: &[],
        rules: &[],
    },
    Table { name: "epochs", key: "epoch", texts: &[("verifier", 1024)], times: &["began_at"], rules: &[] },
];

/// The rows that no mailtrail wrote; none when all is well. The schema must have been looked at before.
pub fn problems(connection: &Connection) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for table in TABLES {
        if let Err(error) = table.look(connection, &mut found) {
            found.push(format!("{}: {}", table.name, backup::damage(error)?));
        }
    }
    for look in [look_at_callers, look_at_numbers, look_at_jobs] {
        if let Err(error) = look(connection, &mut found) {
            found.push(backup::damage(error)?);
        }
    }
    Ok(found)
}

/// Refuses a database with such rows.
///
/// # Errors
/// `Refused`, with the first of them.
pub fn refuse(connection: &Connection, path: &std::path::Path) -> Result<()> {
    let found = problems(connection)?;
    let told = match found.as_slice() {
        [] => return Ok(()),
        [told] => told.clone(),
        [first, others @ ..] => {
            format!("{first}; and {} more, which `mailtrail check {}` lists", others.len(), path.display())
        }
    };
    Err(Error::refused(
        format!("{} has settings that no mailtrail wrote: {told}", path.display()),
        "keep the file as it is, and put a backup in place with `mailtrail restore`",
    ))
}

impl Table {
    fn look(&self, connection: &Connection, found: &mut Vec<String>) -> Result<()> {
        let name = self.name;
        if !has_table(connection, name)? {
            return Ok(());
        }
        let mut tell = Findings { of: name, n: 0, found };
        let mut statement = connection.prepare(&format!("PRAGMA integrity_check({name})"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let lines: String = row.get(0)?;
            lines
                .lines()
                .filter(|line| !line.starts_with("*** ") && *line != "ok")
                .for_each(|line| tell.add(line));
        }
        let mut statement = connection.prepare(&format!("PRAGMA foreign_key_check({name})"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let parent: String = row.get(2)?;
            tell.add(&format!("a row of {name} names a row of {parent} that is not there"));
        }
        let checks = schema::checks(connection, name)?.into_iter();
        let checks = checks.map(|check| (format!("({check}) IS NOT 0"), format!("is not so that {check}")));
        let texts = self.texts.iter().map(|(column, most)| {
            let sound = format!(
                "{column} IS NULL OR (octet_length({column}) <= {most} AND instr({column}, char(0)) = 0)"
            );
            (sound, format!("has a {column} that is none"))
        });
        let times = self.times.iter().map(|column| {
            let (first, last) = (Timestamp::MIN.micros(), Timestamp::MAX.micros());
            let sound = format!("{column} IS NULL OR {column} BETWEEN {first} AND {last}");
            (sound, format!("has a {column} in no year that can be"))
        });
        // Before there was a tree no rule named its rows.
        let has_controls = has_table(connection, "controls")?;
        let rules = self.rules.iter().filter(|(sound, _)| has_controls || !sound.contains("FROM controls"));
        let rules = rules.map(|(sound, what)| ((*sound).to_owned(), (*what).to_owned()));
        for (sound, what) in checks.chain(texts).chain(times).chain(rules) {
            let sql = format!("SELECT {} FROM {name} WHERE NOT coalesce({sound}, 0)", self.key);
            let mut statement = connection.prepare(&sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                tell.add(&format!("row {} of {name} {what}", key_text(row)?));
            }
        }
        tell.end();
        Ok(())
    }
}

fn has_table(connection: &Connection, name: &str) -> Result<bool> {
    let sql = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1";
    Ok(connection.prepare_cached(sql)?.exists([name])?)
}

/// What callers are let in by, and what they may do then.
fn look_at_callers(connection: &Connection, found: &mut Vec<String>) -> Result<()> {
    let mut tell = Findings { of: "users", n: 0, found };
    let mut statement = connection.prepare("SELECT id, password FROM users")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        // A text, or integrity_check has told.
        if row.get_ref("password")?.as_str().is_ok_and(|hash| !password::is_ours(hash)) {
            tell.add(&format!(
                "row {} of users has a password hash that is none of mailtrail's",
                key_text(row)?
            ));
        }
    }
    tell.end();
    let mut tell = Findings { of: "api_keys", n: 0, found };
    let mut statement = connection.prepare("SELECT id FROM api_keys WHERE (scopes & ~?1) <> 0")?;
    let mut rows = statement.query([Scope::ALL.bits()])?;
    while let Some(row) = rows.next()? {
        tell.add(&format!("row {} of api_keys may do what no key may", key_text(row)?));
    }
    tell.end();
    let n_sequences: i64 = connection.query_row("SELECT count(*) FROM sequence", [], |row| row.get(0))?;
    if n_sequences != 1 {
        found.push(format!("sequence has {n_sequences} rows, and not one"));
    }
    Ok(())
}

/// Tables whose numbers are never given twice.
const NUMBERED: [&str; 9] = [
    "workspaces",
    "users",
    "invitations",
    "tenants",
    "mailboxes",
    "projects",
    "api_keys",
    "licenses",
    "backups",
];
/// No table has given out so many. SQLite gives none after the last, and says that the disk is full.
const MOST_NUMBERS: i64 = 1 << 40;

/// The numbers that were given out last, which SQLite keeps beside the tables.
fn look_at_numbers(connection: &Connection, found: &mut Vec<String>) -> Result<()> {
    let mut statement = connection.prepare(
        "SELECT name FROM sqlite_sequence WHERE NOT (typeof(seq) = 'integer' AND seq BETWEEN 0 AND ?1)
             OR name NOT IN (SELECT value FROM json_each(?2))
         UNION ALL SELECT name FROM sqlite_sequence GROUP BY name HAVING count(*) > 1",
    )?;
    let mut rows = statement.query((MOST_NUMBERS, serde_json::json!(NUMBERED).to_string()))?;
    let mut tell = Findings { of: "sqlite_sequence", n: 0, found };
    while let Some(row) = rows.next()? {
        tell.add(&format!("{} has given out numbers that no table has", key_text(row)?));
    }
    for table in NUMBERED {
        if has_table(connection, table)? {
            let sql = format!("SELECT coalesce(max(rowid), 0) FROM {table}");
            let last: i64 = connection.query_row(&sql, [], |row| row.get(0))?;
            if last > MOST_NUMBERS {
                tell.add(&format!("{table} has the row {last}, which no table has"));
            }
        }
    }
    tell.end();
    Ok(())
}

/// What is said to be under way began, by the log: the next start notes who began it.
fn look_at_jobs(connection: &Connection, found: &mut Vec<String>) -> Result<()> {
    if migrate::user_version(connection)? < migrate::VERSION {
        return Ok(());
    }
    for (job, action) in [(erasure::JOB, erasure::ACTION), (retention::JOB, retention::ACTION)] {
        let is_said = jobs::unfinished(connection, job)?.is_some();
        if is_said && activity::sql::under_way(connection, action)?.is_none() {
            found.push(format!("row {job} of jobs is under way, and nothing in the log says that it began"));
        }
    }
    Ok(())
}

/// The first column, short: it is the file's word.
fn key_text(row: &rusqlite::Row<'_>) -> Result<String> {
    use rusqlite::types::ValueRef;
    Ok(match row.get_ref(0)? {
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            String::from_utf8_lossy(bytes).chars().take(32).flat_map(char::escape_debug).collect()
        }
        ValueRef::Null | ValueRef::Real(_) => "?".into(),
    })
}

/// Of one table.
struct Findings<'a> {
    of: &'static str,
    n: usize,
    found: &'a mut Vec<String>,
}

impl Findings<'_> {
    fn add(&mut self, line: &str) {
        self.n += 1;
        if self.n <= MOST_TOLD {
            self.found.push(line.chars().take(300).flat_map(char::escape_debug).collect());
        }
    }

    fn end(self) {
        if self.n > MOST_TOLD {
            self.found.push(format!("and {} more of {}", self.n - MOST_TOLD, self.of));
        }
    }
}
