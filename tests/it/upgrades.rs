//! Databases of every released schema, frozen in tests/upgrades: `N.sql` is the file as a program of version N left it,
//! `N.json` what that program answered. They are brought to the schema of today and answer the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use mailtrail::admin::proof::verification;
use mailtrail::app::LOGS;
use mailtrail::data_directory::put;
use mailtrail::http::Method;
use mailtrail::store::migrate;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::{Server, edit_rows, restore_sql};

const FROZEN: [(i64, &str, &str); 5] = [
    (1, include_str!("../upgrades/1.sql"), include_str!("../upgrades/1.json")),
    (2, include_str!("../upgrades/2.sql"), include_str!("../upgrades/2.json")),
    (3, include_str!("../upgrades/3.sql"), include_str!("../upgrades/3.json")),
    (4, include_str!("../upgrades/4.sql"), include_str!("../upgrades/4.json")),
    (5, include_str!("../upgrades/5.sql"), include_str!("../upgrades/5.json")),
];

/// The day of a database's last row, late in the evening: after everything that was recorded in it, and before the next
/// daily reset.
fn later(version: i64) -> &'static str {
    if version < 5 { "2026-11-21T23:30:00Z" } else { "2026-11-26T23:30:00Z" }
}

#[test]
fn every_released_version_before_this_one_is_frozen() {
    let frozen: Vec<_> = FROZEN.iter().map(|(version, ..)| *version).collect();
    assert_eq!(frozen, (1..migrate::VERSION).collect::<Vec<_>>());
}

#[test]
fn an_older_database_is_upgraded_and_answers_as_before() {
    for (version, sql, told) in FROZEN {
        let told: Value = serde_json::from_str(told).expect("answers");
        let text = |name: &str| told[name].as_str().expect("a text");
        let checkpoint_key = told["checkpoint_key"].as_str();
        let server = Server::start_on(sql, later(version), text("key"), text("workspace"), checkpoint_key);
        server.operator(Method::Post, "/api/v1/admin/licenses", &json!({ "holder": "Main" })).good();
        let cookie = server.login_with(text("email"), text("password"));
        for (path, expected) in told["answers"].as_object().expect("answers") {
            let request = server.request(Method::Get, path);
            let request = if path.starts_with("/v1/") {
                request.key(text("key"))
            } else {
                request.header("cookie", &cookie)
            };
            let answer = without_recorder(request.send().status(200).json());
            assert_eq!(answer, *expected, "version {version}: {path}");
        }
        let checked = server.operator(Method::Post, "/api/v1/admin/check", &Value::Null).json();
        assert_eq!(checked["ok"], true, "version {version}: {checked}");
        // What was there is kept, whole, as it was.
        let kept = server.database().with_extension(format!("db.v{version}"));
        let kept = Connection::open(kept).expect("the backup");
        assert_eq!(dump(&kept), dump(&frozen(sql)), "version {version}");
    }
}

/// An answer without the members that say who recorded a row, which of these rows nobody knows.
fn without_recorder(mut answer: Value) -> Value {
    match &mut answer {
        Value::Object(members) => {
            assert_eq!(members.shift_remove("recorded_by").unwrap_or_default(), Value::Null);
            // Entries of messages had none.
            if members.contains_key("message_id") {
                members.shift_remove("seq");
            }
            assert_eq!(members.shift_remove("text_problem").unwrap_or_default(), Value::Null);
            assert_eq!(members.shift_remove("redacted").unwrap_or_else(|| json!([])), json!([]));
            for value in members.values_mut() {
                *value = without_recorder(value.take());
            }
        }
        Value::Array(items) => {
            for value in items {
                *value = without_recorder(value.take());
            }
        }
        _ => {}
    }
    answer
}

#[test]
fn an_older_tree_is_verified_as_it_is_and_goes_on_in_the_upgrade() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for (version, sql, _) in FROZEN.iter().filter(|(version, ..)| *version >= migrate::WITH_TREE) {
        let path = directory.path().join(format!("{version}.db"));
        restore_sql(&path, sql);
        let verified = || verification(&Connection::open(&path).expect("a database")).expect("an answer");
        let before = verified();
        assert_eq!(before["ok"], true, "version {version}: {before}");
        migrate::prepare(&path, LOGS).expect("an upgrade");
        assert_eq!(verified(), before, "version {version}");
    }
}

#[test]
fn an_upgraded_database_has_the_schema_of_a_new_one() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let new = directory.path().join("new.db");
    migrate::prepare(&new, LOGS).expect("a database");
    for (version, sql, _) in FROZEN {
        let old = directory.path().join(format!("{version}.db"));
        restore_sql(&old, sql);
        migrate::prepare(&old, LOGS).expect("an upgrade");
        let [old, new] = [&old, &new].map(|path| structure(&Connection::open(path).expect("a database")));
        assert_eq!(old, new, "version {version}");
    }
}

/// Every file of a data directory, but for what is made anew at each start.
fn files(data: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = data.read_dir().expect("the data directory").map(|entry| entry.expect("a file").path());
    let kept = paths
        .filter(|path| path.is_file() && !path.ends_with("ballast") && !path.ends_with("mailtrail.lock"));
    kept.map(|path| (path.clone(), std::fs::read(path).expect("its content"))).collect()
}

/// What is refused says so, with the code of who reads it, and is as it was.
#[track_caller]
fn is_refused_untouched(data: &Path, why: &str, hint: &str) {
    let before = files(data);
    for (command, code) in [("serve", 78), ("stats", 1)] {
        let run = Command::new(env!("CARGO_BIN_EXE_mailtrail")).arg("--data").arg(data).arg(command).output();
        let run = run.expect("a run");
        let told = String::from_utf8_lossy(&run.stderr).into_owned();
        assert_eq!(run.status.code(), Some(code), "{command}: {told}");
        assert!(told.contains(why) && told.contains(&format!("hint: {hint}")), "{command}: {told}");
        assert!(files(data) == before, "{command} changed what it refused");
    }
}

#[test]
fn a_database_of_another_version_than_it_says_is_refused_and_left_as_it_is() {
    let mut server = Server::start();
    server.stop();
    let whole = std::fs::read(server.database()).expect("the database");
    let newer = migrate::VERSION + 1;
    for (version, why, hint) in [
        (newer, format!("has schema version {newer}"), "install the newer mailtrail"),
        (0, "has schema version 0, which no mailtrail wrote".into(), "keep the file as it is"),
        (-1, "has schema version -1, which no mailtrail wrote".into(), "keep the file as it is"),
        (1, "is not as a mailtrail of schema version 1 made it".into(), "nothing in it was run"),
        (5, "is not as a mailtrail of schema version 5 made it".into(), "nothing in it was run"),
    ] {
        std::fs::write(server.database(), &whole).expect("the database");
        Connection::open(server.database())
            .and_then(|connection| connection.pragma_update(None, "user_version", version))
            .expect("another version");
        is_refused_untouched(&server.config().data, &why, hint);
    }
}

#[test]
fn what_would_be_refused_after_an_upgrade_is_refused_before() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for (version, sql, told) in FROZEN {
        if version < migrate::WITH_CHECKPOINTS {
            continue;
        }
        let data = directory.path().join(version.to_string());
        mailtrail::data_directory::create(&data).expect("a data directory");
        restore_sql(&data.join("mailtrail.db"), sql);
        is_refused_untouched(&data, "the key that signs this log cannot be read", "put it back");
        put(&data.join("checkpoint.key"), &"00".repeat(32)).expect("a key");
        is_refused_untouched(&data, "is not the key that signs this log", "put the right one back");
        let told: Value = serde_json::from_str(told).expect("answers");
        put(&data.join("checkpoint.key"), told["checkpoint_key"].as_str().expect("a key")).expect("a key");
        put(&data.join("checkpoint"), "x\n1\nAAAA\n\n— x AAAA\n").expect("a file");
        is_refused_untouched(&data, "is not to be believed", "put the right one back");
        std::fs::remove_file(data.join("checkpoint")).expect("a removal");
        // A tree that is not that of the rows.
        edit_rows(&data.join("mailtrail.db"), "UPDATE sequence SET last_seq = last_seq + 1");
        is_refused_untouched(&data, " numbers were given out", "");
    }
}

fn frozen(sql: &str) -> Connection {
    let connection = Connection::open_in_memory().expect("a database");
    connection.execute_batch(sql).expect("the dump");
    connection
}

/// Every row of every table, as text.
fn dump(connection: &Connection) -> BTreeMap<String, Vec<String>> {
    let names = strings(connection, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name");
    let rows = |table: &String| {
        let columns =
            strings(connection, &format!("SELECT name FROM pragma_table_xinfo('{table}') ORDER BY cid"));
        let quoted: Vec<_> = columns.iter().map(|column| format!("quote({column})")).collect();
        strings(
            connection,
            &format!("SELECT concat_ws(',', {}) AS line FROM {table} ORDER BY line", quoted.join(", ")),
        )
    };
    names.iter().map(|table| (table.clone(), rows(table))).collect()
}

/// Columns of every table, and the text of indexes and triggers.
fn structure(connection: &Connection) -> Vec<String> {
    let mut found = strings(
        connection,
        "SELECT concat_ws(' ', tables.name, columns.cid, columns.name, columns.type, columns.\"notnull\", columns.pk,
             columns.hidden, columns.dflt_value)
         FROM pragma_table_list AS tables JOIN pragma_table_xinfo(tables.name) AS columns
         WHERE tables.schema = 'main' AND tables.name NOT LIKE 'sqlite_%' ORDER BY tables.name, columns.cid",
    );
    found.extend(strings(
        connection,
        "SELECT sql FROM sqlite_schema WHERE type IN ('index', 'trigger') AND sql IS NOT NULL ORDER BY name",
    ));
    found
}

fn strings(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(sql).expect("a query");
    let rows = statement.query_map([], |row| row.get(0)).expect("rows");
    rows.collect::<rusqlite::Result<_>>().expect("texts")
}
