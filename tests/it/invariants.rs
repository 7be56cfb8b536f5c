//! The invariants of src/lib.rs, held against the sources, and schema.sql against a database made from it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use mailtrail::activity::OWN_ACTIONS;
use mailtrail::app::LOGS;
use mailtrail::store::migrate;
use rusqlite::Connection;

const SLICES: [&str; 3] = ["enforcement", "messages", "activity"];

/// Tables whose rows are recorded once and go only by retention.
const LOG_TABLES: [(&str, &str); 4] = [
    ("enforcement_events", "enforcement/sql.rs"),
    ("messages", "messages/sql.rs"),
    ("message_facts", "messages/sql.rs"),
    ("activity", "activity/sql.rs"),
];

/// A source file without its comments and its own tests.
struct Source {
    /// Below src, with `/`.
    path: String,
    text: String,
}

impl Source {
    fn is_in(&self, folder: &str) -> bool {
        self.path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Whether it tells the activity log of changes.
    fn names_note(&self) -> bool {
        ["Note", "note(", "note_export("].iter().any(|word| self.text.contains(word))
    }

    /// Its lines with their numbers.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(at, line)| (at + 1, line))
    }

    /// Whether the module `name` of the crate is named here, by a path or in braces after `crate::`.
    fn names_module(&self, name: &str) -> bool {
        let paths = words_after(&self.text, "crate::").chain(words_after(&self.text, "mailtrail::"));
        if paths.into_iter().any(|word| word == name) {
            return true;
        }
        // use crate::{activity, admin};
        self.text.match_indices("crate::{").any(|(at, start)| {
            let rest = &self.text[at + start.len()..];
            let group = &rest[..rest.find(';').unwrap_or(rest.len())];
            group.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == name)
        })
    }
}

fn words_after<'a>(text: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    text.match_indices(prefix).map(move |(at, _)| {
        let rest = &text[at + prefix.len()..];
        &rest[..rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())]
    })
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let whole = std::fs::read_to_string(&path).expect("a source file");
                let code = whole.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
                let text = code.lines().map(without_comment).collect::<Vec<_>>().join("\n");
                let below = path.strip_prefix(root()).expect("a path below src");
                sources.push(Source { path: below.display().to_string().replace('\\', "/"), text });
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(sources.len() > 50, "only {} source files were found", sources.len());
    sources
}

/// Cuts a whole-line comment, and one at the end of a line that holds no text with `//` in it.
fn without_comment(line: &str) -> &str {
    match line.find("//") {
        Some(at) if !line[..at].contains('"') => &line[..at],
        _ => line,
    }
}

#[track_caller]
fn assert_none(what: &str, found: Vec<String>) {
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

#[test]
fn a_slice_never_names_another_slice() {
    let mut found = Vec::new();
    for source in sources() {
        for own in SLICES.into_iter().filter(|slice| source.is_in(slice)) {
            for other in SLICES.into_iter().filter(|other| *other != own && source.names_module(other)) {
                found.push(format!("src/{} names {other}", source.path));
            }
        }
    }
    assert_none("a slice names another slice", found);
}

#[test]
fn the_floor_never_names_a_slice() {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| source.is_in("store") || source.is_in("http")) {
        let above = ["admin", "cli", "jobs", "routes", "serve", "ingest", "ops"];
        for module in SLICES.into_iter().chain(above).filter(|module| source.names_module(module)) {
            found.push(format!("src/{} names {module}", source.path));
        }
    }
    assert_none("store or http names what stands above it", found);
}

#[test]
fn the_store_and_the_tree_name_nothing_above_them() {
    let mut found = Vec::new();
    for (folder, known) in [
        ("store", &["canonical", "error", "ids", "mask", "metrics", "seldom", "time", "store", "tlog"][..]),
        ("tlog", &["error", "ids", "time", "tlog"]),
    ] {
        for source in sources().iter().filter(|source| source.is_in(folder)) {
            for word in words_after(&source.text, "crate::").filter(|word| !known.contains(word)) {
                found.push(format!("src/{} names {word:?}", source.path));
            }
        }
    }
    assert_none("store or tlog names more of the crate than it may", found);
}

#[test]
fn only_the_server_names_tiny_http() {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| source.text.contains("tiny_http")) {
        if source.path != "http/server.rs" {
            found.push(format!("src/{}", source.path));
        }
    }
    assert_none("tiny_http is named outside http/server.rs", found);
}

#[test]
fn only_the_command_line_prints_or_exits() {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| !source.is_in("cli") && source.path != "main.rs") {
        for (line, text) in source.lines() {
            let words =
                ["println!", "print!(", "eprintln!", "eprint!(", "dbg!(", "process::exit", "process::abort"];
            if words.iter().any(|word| text.contains(word)) {
                found.push(format!("src/{}:{line}: {}", source.path, text.trim()));
            }
        }
    }
    assert_none("something outside cli/ prints or exits", found);
}

/// What a sender wrote must not steer a terminal: `cli/terminal.rs` shows it.
#[test]
fn the_command_line_prints_in_one_place() {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| source.is_in("cli") && source.path != "cli/terminal.rs") {
        for (line, text) in source.lines() {
            let words = ["println!", "print!(", "eprintln!", "eprint!(", "io::stdout", "stderr().lock"];
            if words.iter().any(|word| text.contains(word)) {
                found.push(format!("src/{}:{line}: {}", source.path, text.trim()));
            }
        }
    }
    assert_none("something in cli/ prints beside terminal.rs", found);
}

#[test]
fn nothing_below_a_handler_or_a_job_asks_the_clock() {
    let may = |source: &Source| {
        source.path.ends_with("api.rs")
            || ["admin", "jobs", "auth", "cli"].into_iter().any(|folder| source.is_in(folder))
            || ["app.rs", "taken.rs", "ops/mod.rs", "ops/readiness.rs", "store/writer.rs", "time.rs"]
                .contains(&source.path.as_str())
    };
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| !may(source)) {
        for (line, text) in source.lines() {
            // The server's deadlines and the log's durations are `Instant`s, which no row ever holds.
            let asks =
                text.contains(".now()") || text.contains("SystemTime") || text.contains("Timestamp::now");
            if asks {
                found.push(format!("src/{}:{line}: {}", source.path, text.trim()));
            }
        }
    }
    assert_none("something below a handler or a job asks the clock", found);
    // The clock itself is the one place that asks the system.
    let askers: Vec<String> = sources()
        .into_iter()
        .filter(|source| source.text.contains("SystemTime") || source.text.contains("Timestamp::now"))
        .map(|source| source.path)
        .collect();
    assert_eq!(askers, ["time.rs"]);
}

#[test]
fn what_mailtrail_notes_is_what_nobody_else_may_record() {
    let is_action = |text: &str| {
        let is_word =
            |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        text.contains('.') && text.split('.').all(is_word)
    };
    let notes =
        |source: &&Source| source.names_note() && !source.is_in("cli") && source.path != "activity/mod.rs";
    let mut noted = BTreeSet::new();
    for source in sources().iter().filter(notes) {
        let literals = literals(&source.text).into_iter().map(|(_, literal)| literal);
        noted.extend(literals.filter(|literal| is_action(literal) && !literal.starts_with("checkpoint.key")));
    }
    let own: BTreeSet<String> = OWN_ACTIONS.iter().map(|action| (*action).to_owned()).collect();
    assert_eq!(noted, own);
}

/// The literals of a text: what stands between double quotes.
fn literals(text: &str) -> Vec<(usize, String)> {
    let mut literals = Vec::new();
    let mut inside: Option<(usize, String)> = None;
    let mut line = 1;
    let mut characters = text.chars().peekable();
    let mut before = ' ';
    while let Some(c) = characters.next() {
        if c == '\n' {
            line += 1;
        }
        match (&mut inside, c) {
            (None, '"') if before != '\'' => inside = Some((line, String::new())),
            (Some((_, literal)), '\\') => literal.extend(characters.next()),
            (Some(_), '"') => literals.extend(inside.take()),
            (Some((_, literal)), c) => literal.push(c),
            _ => {}
        }
        before = c;
    }
    literals
}

/// The words of a literal that begins like SQL, one space between them.
fn sql(literal: &str) -> Option<String> {
    let words: Vec<&str> = literal.split_whitespace().collect();
    let verbs = [
        ("SELECT", ""),
        ("INSERT", "INTO"),
        ("INSERT", "OR"),
        ("REPLACE", "INTO"),
        ("UPDATE", ""),
        ("DELETE", "FROM"),
        ("WITH", ""),
        ("PRAGMA", ""),
        ("CREATE", ""),
        ("DROP", ""),
        ("ALTER", ""),
        ("BEGIN", ""),
        ("COMMIT", ""),
        ("VACUUM", ""),
        ("ATTACH", ""),
    ];
    let first = words.first()?;
    let second = words.get(1).copied().unwrap_or_default();
    let begins = verbs.iter().any(|(verb, next)| verb == first && (next.is_empty() || *next == second));
    // A method such as DELETE stands alone.
    (begins && words.len() > 1).then(|| words.join(" "))
}

#[test]
fn sql_stands_only_where_it_may() {
    let may = |source: &Source| {
        source.path.ends_with("/sql.rs")
            || ["owners", "auth", "store", "tlog"].into_iter().any(|folder| source.is_in(folder))
    };
    let mut found = Vec::new();
    let mut n_statements = 0;
    for source in sources() {
        for (line, literal) in literals(&source.text) {
            let Some(statement) = sql(&literal) else { continue };
            n_statements += 1;
            if !may(&source) {
                found.push(format!("src/{}:{line}: {statement}", source.path));
            }
        }
    }
    assert!(n_statements > 80, "only {n_statements} statements were found");
    assert_none("SQL stands outside sql.rs, owners/, auth/, store/ and tlog/", found);
}

#[test]
fn rows_of_a_log_come_and_go_by_one_door() {
    let mut found = Vec::new();
    let mut n_doors = 0;
    for source in sources() {
        for (line, literal) in literals(&source.text) {
            let Some(statement) = sql(&literal) else { continue };
            for (table, door) in LOG_TABLES {
                let changes =
                    ["INSERT INTO", "INSERT OR REPLACE INTO", "REPLACE INTO", "DELETE FROM", "UPDATE"]
                        .iter()
                        .any(|verb| statement.contains(&format!("{verb} {table} ")));
                if changes && (source.path != door || statement.starts_with("UPDATE")) {
                    found.push(format!("src/{}:{line}: {statement}", source.path));
                }
                n_doors += usize::from(changes);
            }
        }
    }
    assert_none("a log's rows are changed outside their door", found);
    // One INSERT and one DELETE a table: `record` (`append`) and `prune`.
    assert_eq!(n_doors, 2 * LOG_TABLES.len());
}

#[test]
fn counts_and_numbers_are_written_by_the_store_alone() {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| !source.is_in("store")) {
        for (line, literal) in literals(&source.text) {
            let Some(statement) = sql(&literal) else { continue };
            let own = ["counts", "sequence", "pruning", "idempotency"];
            let touches = own.iter().any(|table| {
                ["INTO", "FROM", "UPDATE"].iter().any(|verb| statement.contains(&format!("{verb} {table} ")))
            });
            // The last leaves stand in the row that every commit writes; its numbers are the store's all the same.
            let is_of_leaves = source.path == "tlog/tree.rs" && !statement.contains("last_");
            if touches && !is_of_leaves {
                found.push(format!("src/{}:{line}: {statement}", source.path));
            }
        }
    }
    assert_none("a table of the store is touched outside it", found);
}

#[test]
fn a_source_file_opens_with_its_subject() {
    let mut found = Vec::new();
    for source in sources() {
        let text = std::fs::read_to_string(root().join(&source.path)).expect("a source file");
        if source.path != "main.rs" && !text.starts_with("//! ") {
            found.push(format!("src/{}", source.path));
        }
    }
    assert_none("a file does not open with //!", found);
}

fn objects(connection: &Connection) -> Vec<(String, String, String)> {
    let mut statement = connection
        .prepare("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type, name")
        .expect("a query");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).expect("rows");
    rows.collect::<rusqlite::Result<_>>().expect("objects")
}

fn fresh() -> (tempfile::TempDir, Connection) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("mailtrail.db");
    migrate::prepare(&path, LOGS).expect("a database");
    let connection = Connection::open(&path).expect("the database");
    (directory, connection)
}

#[test]
fn a_new_database_is_schema_sql() {
    let (_directory, made) = fresh();
    let read = Connection::open_in_memory().expect("a database");
    read.execute_batch(include_str!("../../schema.sql")).expect("schema.sql");
    assert_eq!(objects(&made), objects(&read));
    let version: i64 = made.pragma_query_value(None, "user_version", |row| row.get(0)).expect("a version");
    assert_eq!(version, migrate::VERSION);
}

#[test]
fn every_table_is_strict() {
    let (_directory, connection) = fresh();
    let mut statement = connection
        .prepare("SELECT name, strict FROM pragma_table_list WHERE schema = 'main'")
        .expect("a query");
    let tables: Vec<(String, bool)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .expect("rows")
        .collect::<rusqlite::Result<_>>()
        .expect("tables");
    let ours: Vec<_> = tables.iter().filter(|(name, _)| !name.starts_with("sqlite_")).collect();
    assert!(ours.len() >= 15, "{ours:?}");
    for (name, strict) in ours {
        assert!(strict, "{name} is not STRICT");
    }
}

#[test]
fn a_log_row_can_be_neither_changed_nor_deleted_by_hand() {
    let (_directory, connection) = fresh();
    let triggers: BTreeSet<String> = objects(&connection)
        .into_iter()
        .filter(|(kind, _, _)| kind == "trigger")
        .map(|(_, name, _)| name)
        .collect();
    for (table, _) in LOG_TABLES {
        for change in ["update", "delete"] {
            assert!(
                triggers.contains(&format!("{table}_no_{change}")),
                "{table} has no trigger for {change}"
            );
        }
    }
}
