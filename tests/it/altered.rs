//! A database that somebody altered and put in place: another schema, or rows of settings that no mailtrail writes. None
//! is served, and neither verify nor check nor restore calls it ok; nothing that was put into it runs.
//!
//! `MAILTRAIL_ROUNDS` sets how many alterations.

use std::path::Path;

use mailtrail::admin::{appliance, proof};
use mailtrail::app::LOGS;
use mailtrail::auth::sound;
use mailtrail::http::Method;
use mailtrail::serve::Running;
use mailtrail::store::{backup, migrate};
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use serde_json::json;

use crate::support::{Server, edit_rows, try_edit_rows};

/// xorshift64*
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % sides
    }

    fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.roll(of.len())]
    }

    fn pick_text(&mut self, of: &[String]) -> String {
        of[self.roll(of.len())].clone()
    }
}

/// A server with a row in every table of settings, and in every log.
fn furnished() -> Server {
    let mut server = Server::start();
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let mailbox = server.add_mailbox(&server.workspace, "sales@example.org", Some(&tenant), Some(25));
    server.add_mailbox(&server.workspace, "plain@example.org", None, None);
    let project = server.add_project(&server.workspace, "Site");
    let policy = json!({
        "defaultAction": "bounce", "senders": [], "contentGuards": [{ "reject": "(?i)wire", "reason": "fraud" }],
        "auditLog": { "retentionDays": 99, "includeBodyHash": true },
    });
    server.put_policy(mailbox, &policy).good();
    server.add_user(&server.workspace, "bob@example.org", "auditor");
    server.login("bob@example.org");
    let path = format!("/v1/mailboxes/{mailbox}/audit-logs");
    server.post(&path, &json!({ "message_id": "1", "outcome": "delivered" })).status(201);
    let activity = json!({ "user_id": "018f1f1e-7c3a-7000-8000-0000000000aa", "action": "site.publish" });
    server.post(&format!("/api/v1/projects/{project}/audit-log"), &activity).status(201);
    server.operator(Method::Post, "/api/v1/admin/keys", &json!({ "name": "k", "scopes": ["admin"] })).good();
    server.stop();
    server
}

fn names(db: &Connection, kind: &str) -> Vec<String> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = ?1 AND name NOT LIKE 'sqlite_%' ORDER BY name";
    let mut statement = db.prepare(sql).expect("a query");
    let names = statement.query_map([kind], |row| row.get(0)).expect("names");
    names.collect::<rusqlite::Result<_>>().expect("names")
}

/// Changes the text of an object past SQLite; `None` where it does not hold what is to be changed.
fn rewrite(db: &Connection, name: &str, from: &str, to: &str) -> Option<String> {
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, false).expect("a setting");
    let sql = "UPDATE sqlite_schema SET sql = replace(sql, ?2, ?3) WHERE name = ?1 AND instr(sql, ?2) > 0";
    db.execute_batch("PRAGMA writable_schema = ON").expect("a setting");
    let n = db.execute(sql, [name, from, to]).expect("an edit");
    db.execute_batch("PRAGMA writable_schema = OFF; PRAGMA schema_version = 999").expect("a setting");
    (n > 0).then(|| format!("{from:?} of {name} is {to:?}"))
}

/// What a trigger or a view would do to those who let it run.
const DEEDS: [&str; 6] = [
    "INSERT INTO members (workspace, user, role, joined_at) SELECT 1, id, 3, 0 FROM users WHERE true ON CONFLICT DO UPDATE SET role = 3",
    "UPDATE api_keys SET revoked_at = NULL",
    "UPDATE api_keys SET scopes = 63",
    "UPDATE users SET password = 'x'",
    "DELETE FROM clock_steps",
    "INSERT OR IGNORE INTO pruning (log) VALUES (1), (2), (3)",
];

/// One alteration of the schema or of what stands in the header; `None`: there was nothing to alter.
fn alter_schema(db: &Connection, dice: &mut Dice) -> rusqlite::Result<Option<String>> {
    let (tables, indexes, triggers) = (names(db, "table"), names(db, "index"), names(db, "trigger"));
    let table = dice.pick_text(&tables);
    let run = |sql: String| db.execute_batch(&sql).map(|()| Some(sql));
    match dice.roll(22) {
        0 | 1 => {
            let when = dice.pick(&["BEFORE", "AFTER"]);
            let what = dice.pick(&["INSERT", "UPDATE", "DELETE"]);
            run(format!("CREATE TRIGGER helper {when} {what} ON {table} BEGIN {}; END", dice.pick(&DEEDS)))
        }
        2 => run(format!(
            "CREATE TRIGGER sequence_kept AFTER UPDATE ON sequence BEGIN {}; END",
            dice.pick(&DEEDS)
        )),
        3 => run(format!("DROP TRIGGER {}", dice.pick_text(&triggers))),
        4 => {
            let trigger = dice.pick_text(&triggers);
            let of = trigger.trim_end_matches("_no_update").trim_end_matches("_no_delete");
            run(format!(
                "DROP TRIGGER {trigger}; CREATE TRIGGER {trigger} BEFORE DELETE ON {of} BEGIN SELECT 1; END"
            ))
        }
        5 => Ok(rewrite(db, &dice.pick_text(&triggers), "ABORT", dice.pick(&["IGNORE", "FAIL"]))),
        6 => Ok(rewrite(db, &dice.pick_text(&triggers), "pruning", "texts")),
        7 => run(format!(
            "PRAGMA legacy_alter_table = ON; ALTER TABLE {table} RENAME TO kept_{table};
             CREATE VIEW {table} AS SELECT * FROM kept_{table}"
        )),
        8 => run(format!("CREATE VIEW helper AS SELECT * FROM {table}")),
        9 => run(format!("CREATE TABLE helper (a INTEGER, b TEXT DEFAULT ({}))", dice.roll(100))),
        10 => run(format!("ALTER TABLE {table} ADD COLUMN helper INTEGER DEFAULT {}", dice.roll(100))),
        11 => run(format!("PRAGMA legacy_alter_table = ON; ALTER TABLE {table} RENAME TO {table}_")),
        12 => run(format!("DROP INDEX {}", dice.pick_text(&indexes))),
        13 => run("CREATE INDEX helper ON users (abs(created_at), lower(email))".into()),
        14 => run(format!("CREATE UNIQUE INDEX helper ON {table} (1)")),
        15 => {
            let word = [
                (" CHECK ", " CHEQUE "),
                ("NOT NULL", ""),
                ("STRICT", ""),
                ("UNIQUE", ""),
                ("COLLATE NOCASE", "COLLATE BINARY"),
                ("DEFAULT 0", "DEFAULT 1"),
                ("REFERENCES workspaces", "REFERENCES users"),
                ("IN (1, 2, 3)", "IN (1, 2, 3, 4)"),
                ("length(", "abs("),
                ("AUTOINCREMENT", ""),
                ("deleted_at IS NULL", "deleted_at IS NOT NULL"),
                ("86400000000", "86400000001"),
                ("json_valid", "typeof"),
                ("= 32", "= 33"),
                (" VIRTUAL", " STORED"),
            ][dice.roll(15)];
            let all: Vec<String> = tables.iter().chain(&indexes).cloned().collect();
            Ok(rewrite(db, &dice.pick_text(&all), word.0, word.1))
        }
        16 => run("CREATE VIRTUAL TABLE helper USING fts5(a)".into()),
        17 => run("ANALYZE".into()),
        18 => {
            let version = [-1, 0, 1, 2, 3, 4, 5, migrate::VERSION + 1, i64::from(i32::MAX)][dice.roll(9)];
            run(format!("PRAGMA user_version = {version}"))
        }
        19 => run(format!("PRAGMA application_id = {}", dice.roll(1000))),
        20 => {
            // Two tables in one place.
            db.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, false)?;
            let other = dice.pick_text(&tables);
            db.execute_batch("PRAGMA writable_schema = ON")?;
            let sql = "UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = ?1) WHERE name = ?2";
            db.execute(sql, [&other, &table])?;
            db.execute_batch("PRAGMA writable_schema = OFF")?;
            Ok((other != table).then(|| format!("{table} is where {other} is")))
        }
        _ => {
            // A word of one of them by a word of another.
            let words = [
                "INTEGER",
                "TEXT",
                "BLOB",
                "ANY",
                "created_at",
                "workspace",
                "id",
                "1",
                "2",
                "BEFORE",
                "AFTER",
                "BETWEEN",
            ];
            let all: Vec<String> = tables.iter().chain(&indexes).chain(&triggers).cloned().collect();
            let (from, to) = (dice.pick(&words), dice.pick(&words));
            Ok(if from == to { None } else { rewrite(db, &dice.pick_text(&all), from, to) })
        }
    }
}

const HASH: &str = "c2FsdHNhbHRzYWx0c2FsdA$zrJmvPMSXjMVRm0/TUlVcnvCjhVLJVbFUqF3mJEV0Mw";

/// A row of settings that no mailtrail writes.
fn alter_settings(dice: &mut Dice) -> String {
    let odd_text = |dice: &mut Dice| {
        dice.pick(&[
            "'a' || char(0) || 'b'",
            "char(0)",
            "printf('%.*c', 200000, 'x')",
            "''",
            "'x' || char(0) || printf('%.*c', 100000, 'x')",
        ])
        .to_owned()
    };
    match dice.roll(20) {
        0..3 => {
            let (memory, passes, lanes) = (
                dice.pick(&["8", "1500000", "19457", "4194304", "65536"]),
                dice.pick(&["1", "2", "1000000"]),
                dice.pick(&["1", "4", "255"]),
            );
            let kind = dice.pick(&["argon2id", "argon2i", "argon2d"]);
            let hash = format!("${kind}$v=19$m={memory},t={passes},p={lanes}${HASH}");
            format!("UPDATE users SET password = '{hash}' WHERE id = 1")
        }
        3 => {
            let hash = dice.pick(&[
                "''",
                "'x'",
                "'$argon2id$v=19$m=19456,t=2,p=1$'",
                "'$argon2id$v=16$m=19456,t=2,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0'",
                "'$2b$12$abcdefghijklmnopqrstuv'",
                "printf('%.*c', 100000, 'x')",
            ]);
            format!("UPDATE users SET password = {hash} WHERE id = 2")
        }
        4 | 5 => {
            let scopes =
                ["64", "127", "1 << 40", "-1", "63 | 1 << 62", "0", "9223372036854775807"][dice.roll(7)];
            format!("UPDATE api_keys SET scopes = {scopes} WHERE id = 1")
        }
        6 => format!("UPDATE members SET role = {}", [0, 4, 9, -1, 255][dice.roll(5)]),
        7 => "UPDATE members SET user = 77 WHERE user = 2".into(),
        8 => {
            let column = [
                "workspaces SET name",
                "users SET email",
                "tenants SET name",
                "mailboxes SET address",
                "projects SET name",
                "api_keys SET name",
            ][dice.roll(6)];
            format!("UPDATE {column} = {}", odd_text(dice))
        }
        9 => format!(
            "UPDATE mailboxes SET retention_days = {} WHERE id = 1",
            ["1", "NULL", "100", "36500", "-5", "0"][dice.roll(6)]
        ),
        10 => format!("UPDATE mailboxes SET policy_version = {} WHERE id = 1", [0, 2, 99, -1][dice.roll(4)]),
        11 => "UPDATE mailboxes SET include_body_hash = 0 WHERE id = 1".into(),
        12 => format!("UPDATE mailboxes SET retention_days = {} WHERE id = 2", 1 + dice.roll(1000)),
        13 => {
            let document = dice.pick(&[
                "'no JSON'",
                "'{}'",
                "'[]'",
                "printf('%.*c', 5000000, ' ') || '{}'",
                "'{\"auditLog\":{\"retentionDays\":1}}'",
            ]);
            format!("UPDATE policies SET document = {document}")
        }
        14 => {
            let column = [
                "workspaces SET created_at",
                "users SET created_at",
                "users SET deleted_at",
                "members SET joined_at",
                "tenants SET created_at",
                "mailboxes SET window_start",
                "mailboxes SET blocked_at",
                "policies SET put_at",
                "projects SET deleted_at",
                "api_keys SET expires_at",
                "api_keys SET revoked_at",
                "sessions SET last_seen_at",
                "licenses SET expires_at",
                "sequence SET last_now",
            ][dice.roll(14)];
            format!(
                "UPDATE {column} = {}",
                ["-1", "9223372036854775807", "-9223372036854775808", "253402300800000000"][dice.roll(4)]
            )
        }
        15 => format!("INSERT INTO pruning (log) VALUES ({})", 1 + dice.roll(3)),
        16 => format!(
            "UPDATE {} = {}",
            ["tenants SET hold", "mailboxes SET hold", "projects SET hold", "workspaces SET hold"]
                [dice.roll(4)],
            2 + dice.roll(9)
        ),
        17 => format!(
            "UPDATE mailboxes SET {} = {}",
            dice.pick(&["sent_count", "daily_send_limit"]),
            ["-1", "9223372036854775807"][dice.roll(2)]
        ),
        18 => [
            "DELETE FROM sequence",
            "INSERT INTO sequence (one, last_seq, last_now, salt) VALUES (2, 0, 0, 0)",
            "UPDATE sequence SET salt = -1",
        ][dice.roll(3)]
        .to_owned(),
        _ => format!(
            "UPDATE {}",
            [
                "users SET uuid = x'00'",
                "api_keys SET hash = x'00' WHERE id = 1",
                "tenants SET workspace = 9",
                "jobs SET outcome = 'no JSON'",
                "seen_settings SET value = printf('%.*c', 100000, 'x')",
                "api_keys SET hint = printf('%.*c', 1000, 'x')",
            ][dice.roll(6)]
        ),
    }
}

/// None of those who read it says that it is as it should be, and none lets it run.
#[track_caller]
fn nobody_is_content(server: &Server, database: &Path, what: &str) {
    match Running::start(server.config(), server.clock.clone()) {
        Ok(running) => {
            let _ = running.stop();
            panic!("it is served: {what}");
        }
        Err(error) => {
            let told = error.to_string();
            assert!(matches!(error, mailtrail::error::Error::Refused { .. }), "{what}: {told}");
        }
    }
    // As `check`, `verify` and `restore` do.
    let opened = backup::open_at_rest(database)
        .and_then(|connection| migrate::version(&connection, database).map(|_| connection));
    let Ok(connection) = opened else { return };
    if let Ok((problems, _)) = appliance::check(&connection) {
        assert!(!problems.is_empty(), "check is content: {what}");
    }
    if let Ok(found) = proof::verification(&connection) {
        assert_eq!(found["ok"], false, "verify is content: {what}");
    }
    let restored =
        backup::examine(&connection, database, LOGS).and_then(|()| sound::refuse(&connection, database));
    assert!(restored.is_err(), "restore is content: {what}");
}

#[test]
fn no_altered_database_is_served_or_called_ok() {
    let rounds: usize =
        std::env::var("MAILTRAIL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(200);
    let server = furnished();
    let database = server.database();
    let whole = std::fs::read(&database).expect("the database");
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let (mut n_schemas, mut n_settings) = (0, 0);
    while n_schemas + n_settings < rounds {
        for suffix in ["", "-wal", "-shm"] {
            let mut name = database.clone().into_os_string();
            name.push(suffix);
            let _ = std::fs::remove_file(name);
        }
        std::fs::write(&database, &whole).expect("the database");
        std::fs::set_permissions(&database, std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .expect("a mode");
        let what = if dice.roll(2) == 0 {
            let db = Connection::open(&database).expect("the database");
            db.execute_batch("PRAGMA journal_mode = DELETE; PRAGMA foreign_keys = OFF").expect("settings");
            let altered = alter_schema(&db, &mut dice);
            drop(db);
            let Ok(Some(what)) = altered else { continue };
            n_schemas += 1;
            what
        } else {
            let what = alter_settings(&mut dice);
            // Not what a UNIQUE column keeps out.
            if try_edit_rows(&database, &what).is_err() {
                continue;
            }
            n_settings += 1;
            what
        };
        let before = std::fs::read(&database).expect("the database");
        nobody_is_content(&server, &database, &what);
        assert!(before == std::fs::read(&database).expect("the database"), "{what}: it was changed");
    }
    println!("{n_schemas} schemas, {n_settings} rows of settings");
    // As it was it is served, and everybody is content.
    std::fs::write(&database, &whole).expect("the database");
    let connection = backup::open_at_rest(&database).expect("the database");
    assert_eq!(appliance::check(&connection).expect("a check").0, Vec::<String>::new());
    assert_eq!(proof::verification(&connection).expect("a verification")["ok"], true);
    drop(connection);
    Running::start(server.config(), server.clock.clone()).expect("a start").stop().expect("an end");
}

/// What is under way is noted by the next start, in the name of who began it: the log says who did, not a row of `jobs`.
/// And a table whose numbers are used up would be called a full disk.
#[test]
fn what_no_log_says_has_begun_and_numbers_that_nobody_had_are_found() {
    let mut server = furnished();
    let database = server.database();
    let whole = std::fs::read(&database).expect("the database");
    let job = |name: &str, what: &str| {
        format!(
            "INSERT OR REPLACE INTO jobs (name, started_at, outcome) SELECT '{name}', last_now, '{what}' FROM sequence"
        )
    };
    let forged =
        json!({ "workspace": 1, "why": "forged", "by": "owner@example.org", "after": 0 }).to_string();
    let alterations = [
        job("erasure", &forged),
        job("erasure", &forged.replace(":1", ":99")),
        job("erasure", "null"),
        job("retention_run", r#"{"by":"owner@example.org","deleted":{"activity":9}}"#),
        "UPDATE sqlite_sequence SET seq = 9223372036854775807".into(),
        "UPDATE sqlite_sequence SET seq = -1 WHERE name = 'tenants'".into(),
        "INSERT INTO sqlite_sequence VALUES ('tenants', 1)".into(),
        "UPDATE tenants SET id = 9223372036854775806 WHERE id = (SELECT max(id) FROM tenants)".into(),
    ];
    for sql in alterations {
        std::fs::write(&database, &whole).expect("the database");
        edit_rows(&database, &sql);
        nobody_is_content(&server, &database, &sql);
    }
    // Somebody may do it behind the back of one that runs.
    std::fs::write(&database, &whole).expect("the database");
    server.restart();
    let altered = Connection::open(&database).expect("the database");
    altered.execute_batch("UPDATE sqlite_sequence SET seq = 9223372036854775807").expect("an edit");
    let tenant = json!({ "name": "one more" });
    let refused = server.operator(Method::Post, "/api/v1/admin/tenants", &tenant);
    assert_eq!(refused.status, 500, "{refused:?}");
    altered.execute_batch(&job("erasure", &forged.replace(":1", ":99"))).expect("an edit");
    mailtrail::erasure::note_broken_off(&server.running().app).expect("no more than a log line");
    let n = "SELECT count(*) FROM activity WHERE action = (SELECT id FROM texts WHERE text = 'person.erase')";
    assert_eq!(server.db_number(n), 0, "a false note");
}
