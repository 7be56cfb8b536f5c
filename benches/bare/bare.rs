//! The limit of what mailtrail can reach, and the rows of the benchmarks: bare rusqlite with mailtrail's schema, its
//! rows, its indexes and its fsyncs, but no HTTP, no JSON, no counts. `benches/run.py` calls it:
//!
//! ```text
//! bare rows   --count N [--first K] [--rows M] --end SECONDS [--format ndjson|tabs]   rows K..K+M of N, on stdout
//! bare facts  --count N --end SECONDS --from SECONDS --to SECONDS       what lists of project 0 must have
//! bare load   --file F --count N --end SECONDS                          a database of N rows
//! bare fill   --file F --count N --end SECONDS                N rows into mailtrail's own, with counts and leaves
//! bare single --file F --seconds S --end SECONDS                        one-row commits, a second
//! bare batch  --file F --seconds S --end SECONDS [--size 500]           rows a second in commits of 500
//! bare sizes  --file F                                                  bytes of each table and index
//! ```
//!
//! Each prints one JSON object (`rows`: one row a line, the number of its project and a tab before it).

mod rows;

use std::collections::HashMap;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use mailtrail::app::LOGS;
use mailtrail::store::counts::{Deltas, Log, Series};
use mailtrail::time::Timestamp;
use mailtrail::tlog;
use mailtrail::tlog::rows::Names;
use mailtrail::tlog::tree::Tree;
use rows::{PROJECTS, Row};
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use serde_json::json;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const SCHEMA: &str = include_str!("../../schema.sql");

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let command = words.next().unwrap_or_default();
    let mut flags = HashMap::new();
    while let (Some(name), Some(value)) = (words.next(), words.next()) {
        flags.insert(name.trim_start_matches("--").to_owned(), value);
    }
    let flags = Flags(flags);
    match command.as_str() {
        "rows" => print_rows(&flags),
        "facts" => facts(&flags),
        "load" => load(&flags),
        "fill" => fill(&flags),
        "single" => insert(&flags, 1),
        "batch" => insert(&flags, flags.number("size", Some(500))?),
        "sizes" => sizes(&flags),
        other => {
            Err(format!("{other:?} is no command; accepted: rows, facts, load, fill, single, batch, sizes")
                .into())
        }
    }
}

struct Flags(HashMap<String, String>);

impl Flags {
    fn text(&self, name: &str) -> Result<&str> {
        Ok(self.0.get(name).ok_or_else(|| format!("--{name} is missing"))?)
    }

    fn number(&self, name: &str, default: Option<u64>) -> Result<u64> {
        match (self.0.get(name), default) {
            (None, Some(default)) => Ok(default),
            _ => Ok(self.text(name)?.parse()?),
        }
    }

    /// The end of the two years, in microseconds.
    fn end(&self) -> Result<i64> {
        Ok(self.number("end", None)? as i64 * 1_000_000)
    }
}

fn print_rows(flags: &Flags) -> Result<()> {
    let count = flags.number("count", None)?;
    let first = flags.number("first", Some(0))?;
    let last = first + flags.number("rows", Some(count - first))?;
    let end = flags.end()?;
    let is_tabs = flags.0.get("format").is_some_and(|format| format == "tabs");
    let mut out = BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
    for number in first..last {
        let row = Row::new(number, count, end);
        let written = if is_tabs {
            writeln!(out, "{}", row.tabs())
        } else {
            writeln!(out, "{}\t{}", row.project, row.json())
        };
        // Who reads no further has enough.
        if written.is_err() {
            return Ok(());
        }
    }
    let _ = out.flush();
    Ok(())
}

/// The totals of project 0: all, of the action that is asked for, of the busiest user, in a window of time.
fn facts(flags: &Flags) -> Result<()> {
    let (count, end) = (flags.number("count", None)?, flags.end()?);
    let window = flags.number("from", None)? as i64 * 1_000_000..flags.number("to", None)? as i64 * 1_000_000;
    let (mut all, mut action, mut within) = (0, 0, 0);
    let mut users: HashMap<String, u64> = HashMap::new();
    for row in (0..count).map(|number| Row::new(number, count, end)).filter(|row| row.project == 0) {
        all += 1;
        action += u64::from(row.action == "smtp.update");
        within += u64::from(window.contains(&row.created_at));
        *users.entry(row.user_id).or_default() += 1;
    }
    let (user, of_user) = users.into_iter().max_by_key(|(_, n)| *n).unwrap_or_default();
    let totals = json!({ "all": all, "action": action, "window": within, "user": of_user });
    println!("{}", json!({ "user": user, "totals": totals }));
    Ok(())
}

/// A connection with the settings of mailtrail's writer.
fn connect(path: &Path) -> Result<Connection> {
    let connection = Connection::open(path)?;
    connection.set_prepared_statement_cache_capacity(16);
    mailtrail::store::checksums::register(&connection)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA recursive_triggers = ON;
         PRAGMA secure_delete = ON; PRAGMA cache_size = -65536; PRAGMA wal_autocheckpoint = 16000;
         PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 67108864;",
    )?;
    Ok(connection)
}

fn load(flags: &Flags) -> Result<()> {
    let path = Path::new(flags.text("file")?);
    let count = flags.number("count", None)?;
    let end = flags.end()?;
    let connection = connect(path)?;
    connection.execute_batch(SCHEMA)?;
    connection
        .execute("INSERT INTO workspaces (uuid, name, created_at) VALUES (randomblob(16), 'bench', 0)", [])?;
    // One more than the rows have: what is written later goes to a project of its own, as with the others.
    for project in 0..=PROJECTS {
        let name = format!("project {project}");
        connection.execute(
            "INSERT INTO projects (uuid, workspace, name, created_at) VALUES (randomblob(16), 1, ?1, 0)",
            [name],
        )?;
    }
    let mut texts = Texts::default();
    let rate = insert_all(&connection, &mut texts, 0, count, end)?;
    println!("{}", json!({ "rows": count, "rows_per_second": rate, "bytes": path.metadata()?.len() }));
    Ok(())
}

/// Into a database that `mailtrail init` made and whose first projects are the rows'. Its counts and leaves are those
/// that mailtrail would have kept; `mailtrail check` says so.
fn fill(flags: &Flags) -> Result<()> {
    let path = Path::new(flags.text("file")?);
    let (count, end) = (flags.number("count", None)?, flags.end()?);
    let connection = connect(path)?;
    let before: i64 = connection.query_row("SELECT last_seq FROM sequence", [], |row| row.get(0))?;
    let mut texts = Texts::default();
    let rate = insert_all(&connection, &mut texts, before, count, end)?;
    let mut deltas = Deltas::default();
    for row in (0..count).map(|number| Row::new(number, count, end)) {
        let all = Series::of(Log::Activity, row.project as i64 + 1);
        let action = all.of_kind(texts.number(&connection, row.action)?);
        let user = all.of_person(texts.number(&connection, &row.user_id)?);
        for series in [all, action, user] {
            deltas.add(series, Timestamp::from_micros(row.created_at), 1);
        }
    }
    connection.execute_batch("BEGIN IMMEDIATE")?;
    deltas.flush(&connection)?;
    connection.execute_batch("COMMIT")?;
    connection.execute("UPDATE sequence SET last_seq = ?1", [before + count as i64])?;
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let (mut tree, mut names) = (Tree::load(&connection)?, Names::default());
    tlog::grow(&connection, LOGS, &mut tree, &mut names, before + count as i64)?;
    connection.execute_batch("COMMIT")?;
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
    println!("{}", json!({ "rows": count, "rows_per_second": rate, "bytes": path.metadata()?.len() }));
    Ok(())
}

/// Every row, in commits of 5,000; rows a second.
fn insert_all(connection: &Connection, texts: &mut Texts, before: i64, count: u64, end: i64) -> Result<f64> {
    let started = Instant::now();
    let mut first = 0;
    while first < count {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        for number in first..count.min(first + 5000) {
            record(connection, texts, &Row::new(number, count, end), before + number as i64 + 1)?;
        }
        connection.execute_batch("COMMIT")?;
        first += 5000;
    }
    let rate = count as f64 / started.elapsed().as_secs_f64();
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
    Ok(rate)
}

/// Commits of `size` rows for some seconds, behind what the file has.
fn insert(flags: &Flags, size: u64) -> Result<()> {
    let connection = connect(Path::new(flags.text("file")?))?;
    let end = flags.end()?;
    let seconds = Duration::from_secs(flags.number("seconds", Some(5))?);
    let mut seq: i64 =
        connection.query_row("SELECT coalesce(max(seq), 0) FROM activity", [], |row| row.get(0))?;
    let count = 10_000_000;
    let mut texts = Texts::default();
    let mut commits = 0;
    let started = Instant::now();
    while started.elapsed() < seconds {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        for _ in 0..size {
            seq += 1;
            let mut row = Row::new(seq as u64 % count, count, end);
            // As the writes of the others: now, and in a project of their own.
            row.project = PROJECTS;
            row.created_at = end + started.elapsed().as_micros() as i64;
            record(&connection, &mut texts, &row, seq)?;
        }
        connection.execute_batch("COMMIT")?;
        commits += 1;
    }
    let elapsed = started.elapsed().as_secs_f64();
    let answer = json!({
        "commits": commits, "commits_per_second": commits as f64 / elapsed,
        "rows_per_second": (commits * size) as f64 / elapsed,
    });
    println!("{answer}");
    Ok(())
}

fn record(connection: &Connection, texts: &mut Texts, row: &Row, seq: i64) -> Result<()> {
    let address: std::net::Ipv4Addr = row.ip_address.parse()?;
    let mut number = |text| texts.number(connection, text);
    connection
        .prepare_cached(
            "INSERT INTO activity (seq, workspace, project, user_id, actor, action, target_type, target_id, metadata,
                 ip_address, user_agent, created_at, recorded_at, recorded_by, salt)
             VALUES (?1, 1, ?2, ?3, NULL, ?4, ?5, ?6, ?7, ?8, ?9, ?10, NULL, ?11,
                 randomblob(16))",
        )?
        .execute((
            seq,
            row.project as i64 + 1,
            number(&row.user_id)?,
            number(row.action)?,
            number(row.target_type)?,
            id_value(&row.target_id),
            &row.metadata,
            address.octets(),
            number(row.user_agent)?,
            row.created_at,
            number("key bench")?,
        ))?;
    Ok(())
}

/// As mailtrail keeps an id: a UUID as its bytes.
fn id_value(id: &str) -> Value {
    match uuid::Uuid::try_parse(id) {
        Ok(uuid) => Value::Blob(uuid.as_bytes().to_vec()),
        Err(_) => Value::Text(id.to_owned()),
    }
}

/// As mailtrail keeps a text that comes again and again.
#[derive(Default)]
struct Texts(HashMap<String, i64>);

impl Texts {
    fn number(&mut self, connection: &Connection, text: &str) -> Result<i64> {
        if let Some(number) = self.0.get(text) {
            return Ok(*number);
        }
        let found = connection
            .prepare_cached("SELECT id FROM texts WHERE text = ?1")?
            .query_row([text], |row| row.get(0))
            .optional()?;
        let number = match found {
            Some(number) => number,
            None => {
                let number: i64 =
                    connection
                        .query_row("SELECT coalesce(max(id), 0) + 1 FROM texts", [], |row| row.get(0))?;
                connection
                    .prepare_cached(
                        "INSERT INTO texts (id, text, checksum) VALUES (?1, ?2, checksum_of(?1, ?2))",
                    )?
                    .execute((number, text))?;
                number
            }
        };
        self.0.insert(text.to_owned(), number);
        Ok(number)
    }
}

/// Where the bytes of a database go. It must not be in use: nothing is locked.
fn sizes(flags: &Flags) -> Result<()> {
    let uri = format!("file:{}?immutable=1", flags.text("file")?);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(uri, flags)?;
    let mut statement = connection.prepare(
        "SELECT name, sum(pgsize), sum(payload), sum(unused) FROM dbstat GROUP BY name ORDER BY 2 DESC",
    )?;
    let sizes = statement.query_map([], |row| {
        let (name, bytes, payload, unused): (String, i64, i64, i64) =
            (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        Ok((name, json!({ "bytes": bytes, "payload": payload, "unused": unused })))
    })?;
    let sizes = sizes.collect::<rusqlite::Result<serde_json::Map<_, _>>>()?;
    println!("{}", serde_json::Value::Object(sizes));
    Ok(())
}
