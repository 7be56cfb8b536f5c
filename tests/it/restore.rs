//! A backup that takes the place of a database: what was ended since does not live again, and nobody comes in whom the
//! log does not know.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use mailtrail::http::Method;
use mailtrail::ids::sha256;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::{OWNER, PASSWORD, SCOPES, Server, restore_sql};

fn run(data: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailtrail"));
    command.arg("--data").arg(data).arg("--json").args(arguments).output().expect("a command")
}

#[track_caller]
fn told(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// A backup of a server, as its operator makes it.
fn backup(server: &Server, name: &str) -> PathBuf {
    server.operator(Method::Post, "/api/v1/admin/backups", &json!({ "file": name })).status(201);
    let path = server.directory().join(name);
    std::fs::rename(server.config().data.join("backups").join(name), &path).expect("a backup");
    path
}

/// A server on a directory that a backup was put into.
struct Restored {
    server: Server,
    told: Value,
}

impl Restored {
    /// In place of what is there, which is younger and is moved away first.
    fn here(mut server: Server, backup: &Path, more: &[&str]) -> Self {
        server.stop();
        std::fs::rename(server.database(), server.directory().join("younger.db")).expect("a name");
        let file = backup.display().to_string();
        let told = told(&run(&server.config().data, &[&["restore", &file], more].concat()));
        server.restart();
        Self { server, told }
    }
}

fn events(server: &Server, key: &str) -> u16 {
    server.request(Method::Get, "/v1/enforcement/events").key(key).send().status
}

fn me(server: &Server, cookie: &str) -> u16 {
    server.request(Method::Get, "/api/v1/me").cookie(cookie).send().status
}

fn noted(server: &Server, workspace: &str, action: &str) -> Vec<Value> {
    let path = format!("/api/v1/workspaces/{workspace}/audit-log?action={action}");
    let page = server.operator(Method::Get, &path, &Value::Null).status(200).json();
    page["entries"].as_array().expect("entries").clone()
}

#[test]
fn what_was_ended_since_does_not_live_again() {
    let server = Server::start();
    let (other, others_key) = server.add_workspace("Other", "eve@example.net");
    let cookie = server.login(OWNER);
    let invitation = server.invite(&other, "bob@example.org", "owner");
    let file = backup(&server, "one.db");
    let dry =
        told(&run(&server.directory().join("new"), &["restore", "--dry-run", &file.display().to_string()]));
    let Restored { server, told } = Restored::here(server, &file, &[]);
    assert_eq!((events(&server, &server.key), events(&server, &others_key)), (401, 401));
    assert_eq!(me(&server, &cookie), 401);
    server.request(Method::Get, &invitation).send().status(404);
    // They are told, also beforehand, and are in the trail of their workspace.
    let names = |told: &Value| -> Vec<Value> {
        told["revoked_keys"].as_array().expect("keys").iter().map(|key| key["workspace_id"].clone()).collect()
    };
    assert_eq!(names(&told), [json!(server.workspace), json!(other)]);
    assert_eq!(names(&dry), names(&told));
    assert_eq!((&told["ended_sessions"], &told["withdrawn_invitations"]), (&json!(1), &json!(1)));
    for workspace in [&server.workspace, &other] {
        let revoked = noted(&server, workspace, "api_key.revoke");
        let [entry] = &revoked[..] else { panic!("{revoked:?}") };
        assert_eq!(entry["metadata"]["why"], "a backup was restored");
        assert_eq!(entry["recorded_by"], Server::operator_name());
    }
    let [entry] = &noted(&server, &server.workspace, "backup.restore")[..] else { panic!("not noted") };
    assert_eq!(
        (&entry["metadata"]["revoked_keys"], &entry["metadata"]["kept_keys"]),
        (&json!(2), &json!(false))
    );
    // All is well, and people log in as before.
    let verified = server.operator(Method::Get, "/api/v1/admin/verify", &Value::Null).status(200).json();
    assert_eq!(verified["ok"], true, "{verified}");
    server.login(OWNER);
    assert_eq!(events(&server, &server.add_key(&server.workspace, &SCOPES)), 200);
}

#[test]
fn keys_are_kept_where_somebody_says_so_and_sessions_never() {
    let server = Server::start();
    let cookie = server.login(OWNER);
    let file = backup(&server, "one.db");
    let Restored { server, told } = Restored::here(server, &file, &["--keep-keys"]);
    assert_eq!(told["revoked_keys"], json!([]));
    assert_eq!((events(&server, &server.key), me(&server, &cookie)), (200, 401));
    let [entry] = &noted(&server, &server.workspace, "backup.restore")[..] else { panic!("not noted") };
    assert_eq!(entry["metadata"]["kept_keys"], true);
}

#[test]
fn another_directory_is_no_way_round_it() {
    let server = Server::start();
    server.login(OWNER);
    let file = backup(&server, "one.db");
    let data = server.directory().join("elsewhere");
    let told = told(&run(&data, &["restore", &file.display().to_string()]));
    assert_eq!(told["revoked_keys"].as_array().map(Vec::len), Some(1));
    let db = Connection::open(data.join("mailtrail.db")).expect("the database");
    let count = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a number");
    assert_eq!(count("SELECT count(*) FROM api_keys WHERE revoked_at IS NULL"), 0);
    assert_eq!(count("SELECT count(*) FROM sessions WHERE ended_at IS NULL"), 0);
    // The one that is served goes on.
    assert_eq!(events(&server, &server.key), 200);
}

// ---------------------------------------------------------------------------------------------- what is planted

const KEY: &str = "mt_live_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn hex(bytes: &[u8]) -> String {
    mailtrail::ids::hex(bytes)
}

fn planted_key(time: &str) -> String {
    format!(
        "INSERT INTO api_keys (uuid, workspace, name, hash, hint, scopes, created_at)
         VALUES (randomblob(16), 1, 'test', x'{}', 'mt_live_aaaa', 63, {time})",
        hex(&sha256(KEY.as_bytes()))
    )
}

/// A backup with something in it, and what is said of it.
#[track_caller]
fn refused(file: &Path, sql: &str) -> String {
    let altered = file.with_extension("altered");
    std::fs::copy(file, &altered).expect("a copy");
    let db = Connection::open(&altered).expect("the copy");
    db.execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    drop(db);
    let name = altered.display().to_string();
    let data = file.with_extension("data");
    let mut said = Vec::new();
    for arguments in
        [&["restore", &name][..], &["restore", "--dry-run", &name], &["verify", &name], &["check", &name]]
    {
        let output = run(&data, arguments);
        assert_eq!(output.status.code(), Some(3), "{sql}\n{arguments:?}: {output:?}");
        said.push(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned());
    }
    assert!(!data.join("mailtrail.db").exists(), "{sql}: something is in place");
    said.swap_remove(0)
}

#[test]
fn nobody_comes_in_whom_the_log_does_not_know() {
    let server = Server::start();
    let bob = server.add_user(&server.workspace, "bob@example.org", "auditor").text("id");
    server.add_user(&server.workspace, "carl@example.org", "admin");
    let carl = server.login("carl@example.org");
    let me = server.request(Method::Get, "/api/v1/me").cookie(&carl).send().text("user_id");
    server.operator(Method::Delete, &format!("/api/v1/admin/users/{me}"), &Value::Null).status(204);
    let short = json!({ "name": "short", "scopes": ["messages:read"], "expires_at": "2026-05-01T00:00:00Z" });
    server.post("/api/v1/admin/keys", &short).status(201);
    let gone = server.post("/api/v1/admin/keys", &json!({ "name": "gone", "scopes": ["admin"] })).status(201);
    let path = format!("/api/v1/admin/keys/{}", gone.text("id"));
    server.request(Method::Delete, &path).key(&server.key).send().status(204);
    server.invite(&server.workspace, "dora@example.org", "auditor");
    let file = backup(&server, "one.db");
    let hash = hex(&sha256(KEY.as_bytes()));
    // The hash of a password that somebody knows.
    let password =
        "$argon2id$v=19$m=19456,t=2,p=1$bWFpbHRyYWlsLW5vYm9keQ$zrJmvPMSXjMVRm0/TUlVcnvCjhVLJVbFUqF3mJEV0Mw";
    let now = "(SELECT last_now FROM sequence)";
    for (sql, expected) in [
        (planted_key(now), "nothing in the log says that it was made"),
        (planted_key("0"), "nothing in the log says that it was made"),
        (format!("UPDATE api_keys SET hash = x'{hash}' WHERE name = 'test'"), "the log says that it is another key"),
        ("UPDATE api_keys SET scopes = 63 WHERE name = 'short'".into(), "other scopes"),
        ("UPDATE api_keys SET expires_at = NULL WHERE name = 'short'".into(), "expires at another time"),
        ("UPDATE api_keys SET revoked_at = NULL WHERE name = 'gone'".into(), "was revoked"),
        ("UPDATE api_keys SET revoked_at = 9e15 WHERE name = 'gone'".into(), "was revoked"),
        (format!("UPDATE users SET password = '{password}' WHERE email = '{OWNER}'"), "another password"),
        (format!("UPDATE users SET email = 'eve@example.net' WHERE email = '{OWNER}'"), "another address"),
        (
            format!(
                "INSERT INTO users (uuid, email, password, created_at) VALUES (randomblob(16), 'eve@example.net',
                     '{password}', {now})"
            ),
            "nothing in the log says that it was made",
        ),
        ("UPDATE members SET role = 3".into(), "as owner, but the log says as auditor"),
        (
            "UPDATE members SET removed_at = NULL; UPDATE users SET deleted_at = NULL".into(),
            "the log says that they were removed",
        ),
        (
            format!(
                "INSERT INTO workspaces (uuid, name, created_at) VALUES (randomblob(16), 'New', {now});
                 INSERT INTO members (workspace, user, role, joined_at) SELECT max(id), 1, 3, {now} FROM workspaces"
            ),
            "nothing in the log says that they joined it",
        ),
        (format!("UPDATE invitations SET hash = x'{hash}'"), "the log does not say so"),
        ("UPDATE invitations SET role = 3".into(), "the log does not say so"),
        (
            format!(
                "INSERT INTO invitations (uuid, workspace, email, role, hash, created_at, expires_at)
                 VALUES (randomblob(16), 1, 'eve@example.net', 3, x'{hash}', {now}, {now} + 1e12)"
            ),
            "the log does not say so",
        ),
    ] {
        let said = refused(&file, &sql);
        assert!(said.contains(expected), "{sql}: {said}");
    }
    // What is as it was made is no finding, nor is what opens nothing.
    let data = server.directory().join("new");
    let db = Connection::open(&file).expect("the backup");
    db.execute_batch(&format!(
        "{}; UPDATE api_keys SET revoked_at = {now} WHERE hint = 'mt_live_aaaa'",
        planted_key(now)
    ))
    .expect("a dead key");
    drop(db);
    let told = told(&run(&data, &["restore", &file.display().to_string()]));
    assert_eq!(
        told["unproved"],
        json!({ "keys": 0, "accounts": 0, "memberships": 0, "sessions": 0, "secrets": 0 })
    );
    assert!(!told.to_string().contains(&bob), "{told}");
}

#[test]
fn no_setting_is_other_than_the_log_says() {
    let server = Server::start();
    let tenant = server.add_tenant(&server.workspace, "Acme");
    server.add_tenant(&server.workspace, "Other");
    let held = server.add_mailbox(&server.workspace, "held@example.org", Some(&tenant), Some(25));
    server.add_mailbox(&server.workspace, "sales@example.org", None, None);
    let gone = server.add_mailbox(&server.workspace, "gone@example.org", None, None);
    server.add_project(&server.workspace, "Site");
    let change = |path: &str, body: Value| server.operator(Method::Patch, path, &body).good();
    change(&format!("/api/v1/admin/mailboxes/{held}"), json!({ "legal_hold": true, "daily_send_limit": 30 }));
    change(&format!("/api/v1/admin/tenants/{tenant}"), json!({ "legal_hold": true }));
    for days in [30, 60] {
        let policy = json!({ "defaultAction": "drop", "senders": [], "auditLog": { "retentionDays": days } });
        server.put_policy(held, &policy).good();
    }
    // What looks like a key is not in the note, and is no finding.
    let odd = format!("x {KEY}");
    change(&format!("/api/v1/admin/mailboxes/{held}"), json!({ "name": odd }));
    server.operator(Method::Delete, &format!("/api/v1/admin/mailboxes/{gone}"), &Value::Null).status(204);
    server.add_user(&server.workspace, "ada@example.net", "admin");
    server.choose_password("ada@example.net");
    let dora = server.invite(&server.workspace, "dora@example.org", "auditor");
    server.request(Method::Post, &dora).json(&json!({ "password": PASSWORD })).send().good();
    let ended = server.login(OWNER);
    server.request(Method::Post, "/api/v1/auth/logout").cookie(&ended).send().status(204);
    server.login(OWNER);
    let file = backup(&server, "one.db");
    let now = "(SELECT last_now FROM sequence)";
    for (sql, expected) in [
        ("UPDATE mailboxes SET hold = 0", "the legal_hold of the mailbox 1 is false, but the log says otherwise"),
        ("UPDATE tenants SET hold = 0", "the legal_hold of the tenant"),
        ("UPDATE workspaces SET hold = 1", "the legal_hold of the workspace"),
        (
            "UPDATE mailboxes SET address = 'x@y.z' WHERE id = 1; UPDATE mailboxes SET address = 'held@example.org'
                 WHERE id = 2; UPDATE mailboxes SET address = 'sales@example.org' WHERE id = 1",
            "the address of the mailbox 1 is",
        ),
        ("UPDATE mailboxes SET daily_send_limit = 25 WHERE id = 1", "the daily_send_limit of the mailbox 1 is 25"),
        ("UPDATE mailboxes SET tenant = NULL WHERE id = 1", "the tenant_id of the mailbox 1 is null"),
        ("UPDATE mailboxes SET tenant = 2 WHERE id = 1", "the tenant_id of the mailbox 1"),
        ("UPDATE mailboxes SET deleted_at = NULL", "the is_deleted of the mailbox 3 is false"),
        ("UPDATE mailboxes SET deleted_at = created_at WHERE id = 2", "the is_deleted of the mailbox 2 is true"),
        (
            "UPDATE mailboxes SET policy_version = 1, retention_days = 30 WHERE id = 1",
            "the retention_days of the mailbox 1 is 30",
        ),
        ("UPDATE tenants SET name = 'Evil' WHERE id = 1", "the name of the tenant"),
        ("UPDATE projects SET name = 'Evil'", "the name of the project"),
        ("UPDATE workspaces SET name = 'Evil'", "the name of the workspace"),
        ("UPDATE api_keys SET name = 'operator root'", "the log says that it has another name"),
        ("UPDATE licenses SET expires_at = 9e15", "the expires_at of the license"),
        (
            "INSERT INTO licenses (uuid, holder, plan, issued_at) SELECT randomblob(16), 'Eve', 'pro', last_now FROM sequence",
            "nothing in the log says that it was issued",
        ),
        ("UPDATE users SET own_password_at = NULL", "the log says that its person chose one"),
        ("UPDATE members SET accepted_at = NULL", "the log says that they accepted"),
        (
            "INSERT INTO sessions (hash, user, created_at, last_seen_at)
                 SELECT randomblob(32), 1, last_now, last_now FROM sequence",
            "nothing in the log says that they logged in to it",
        ),
        ("UPDATE sessions SET ended_at = NULL", "nothing in the log says that they logged in to it"),
        ("UPDATE sessions SET user = 2 WHERE user = 1", "nothing in the log says that they logged in to it"),
        ("UPDATE sequence SET last_now = last_now + 1e14", "but nothing was written later than"),
    ] {
        let said = refused(&file, sql);
        assert!(said.contains(expected), "{sql}: {said}");
    }
    // An answer that was kept is nobody's any more.
    let db = Connection::open(&file).expect("the backup");
    let kept = format!(
        "INSERT INTO idempotency (workspace, key, fingerprint, status, body, created_at) VALUES (1, 'k', zeroblob(32),
             201, '{{\"lie\":1}}', {now})"
    );
    db.execute_batch(&kept.replace("'{\"lie\":1}'", "CAST('{\"lie\":1}' AS BLOB)")).expect("an answer");
    drop(db);
    let data = server.directory().join("new");
    told(&run(&data, &["restore", &file.display().to_string()]));
    let db = Connection::open(data.join("mailtrail.db")).expect("the database");
    let n: i64 = db.query_row("SELECT count(*) FROM idempotency", [], |row| row.get(0)).expect("a number");
    assert_eq!(n, 0);
}

/// Everything that a key, an account or a membership can go through leaves nothing to find.
#[test]
fn whatever_mailtrail_did_itself_is_in_the_log() {
    let mut server = Server::start();
    let verified = |server: &Server| {
        let told = server.operator(Method::Get, "/api/v1/admin/verify", &Value::Null).status(200).json();
        assert_eq!((&told["ok"], &told["findings"]), (&json!(true), &json!([])), "{told}");
        assert_eq!(
            told["unproved"],
            json!({ "keys": 0, "accounts": 0, "memberships": 0, "sessions": 0, "secrets": 0 })
        );
        let checked = server.operator(Method::Post, "/api/v1/admin/check", &Value::Null).json();
        assert_eq!(checked["ok"], true, "{checked}");
    };
    let make = |server: &Server, body: Value| server.post("/api/v1/admin/keys", &body).status(201).text("id");
    let vendors = format!("tc_live_{}", "ab".repeat(24));
    make(&server, json!({ "name": "given", "scopes": ["admin", "messages:read"], "key": vendors }));
    let expiring = json!({
        "name": "expiring", "scopes": ["messages:read"], "expires_at": "2027-01-01T00:00:00.25+01:00",
    });
    let expiring = make(&server, expiring);
    for overlap in ["24h", "0s"] {
        let rotate = format!("/api/v1/admin/keys/{expiring}/rotate");
        let rotated = server.post(&rotate, &json!({ "overlap": overlap }));
        let path = format!("/api/v1/admin/keys/{}", rotated.status(201).text("id"));
        verified(&server);
        server.request(Method::Delete, &path).key(&server.key).send().status(204);
    }
    let bob = server.add_user(&server.workspace, "Bob@example.org", "auditor").text("id");
    let patch = |server: &Server, body: Value| {
        server.operator(Method::Patch, &format!("/api/v1/admin/users/{bob}"), &body).status(200);
        verified(server);
    };
    patch(&server, json!({ "password": "a second one for bob" }));
    patch(&server, json!({ "role": "owner" }));
    patch(&server, json!({ "role": "admin", "password": PASSWORD }));
    server.choose_password("bob@example.org");
    let (other, _) = server.add_workspace("Other", "eve@example.net");
    server.join(&other, "bob@example.org", "auditor");
    verified(&server);
    server.invite(&other, "carl@example.org", "owner");
    let path = server.invite(&other, "dora@example.org", "owner");
    server.request(Method::Post, &path).json(&json!({ "password": PASSWORD })).send().status(200);
    verified(&server);
    let member = format!("/api/v1/admin/users/{bob}?workspace_id={other}");
    server.operator(Method::Delete, &member, &Value::Null).status(204);
    verified(&server);
    server.join(&other, "bob@example.org", "admin");
    server.clock.set(server.clock.now().plus_days(2));
    verified(&server);
    server.operator(Method::Delete, &format!("/api/v1/admin/workspaces/{other}"), &Value::Null).status(204);
    verified(&server);
    server.restart();
    verified(&server);
}

#[test]
fn what_retention_has_removed_is_told_and_no_finding() {
    let server = Server::start_with(&[("activity_retention_days", "30")]);
    server.clock.set(server.clock.now().plus_days(5));
    server.run_jobs();
    server.clock.set(server.clock.now().plus_days(5));
    server.run_jobs();
    let late = server.add_key(&server.workspace, &["messages:read"]);
    for _ in 0..6 {
        server.clock.set(server.clock.now().plus_days(5));
        server.run_jobs();
    }
    server.operator(Method::Post, "/api/v1/admin/retention/run", &json!({})).good();
    assert_eq!(server.request(Method::Get, "/v1/enforcement/events").key(&late).send().status, 403);
    let told = server.operator(Method::Get, "/api/v1/admin/verify", &Value::Null).status(200).json();
    let unproved = json!({ "keys": 1, "accounts": 1, "memberships": 1, "sessions": 0, "secrets": 0 });
    assert_eq!((&told["ok"], &told["unproved"]), (&json!(true), &unproved), "{told}");
    let file = backup(&server, "one.db");
    let name = file.display().to_string();
    let output = run(&server.directory().join("new"), &["restore", "--dry-run", &name]);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{output:?}");
    assert!(
        words.contains(
            "1 keys, 1 accounts, 1 memberships and 0 sessions are older than the activity log reaches"
        ),
        "{words}"
    );
    // Nobody is of that time who is numbered behind somebody of this.
    let said = refused(&file, &planted_key("(SELECT min(created_at) FROM api_keys)"));
    assert!(said.contains("nothing in the log says that it was made"), "{said}");
    refused(&file, &planted_key("(SELECT last_now FROM sequence)"));
}

/// A backup of an older version, into which somebody put a key.
#[test]
fn older_backups_are_held_against_their_log_too() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for (version, sql) in [
        (3, include_str!("../upgrades/3.sql")),
        (4, include_str!("../upgrades/4.sql")),
        (5, include_str!("../upgrades/5.sql")),
    ] {
        let file = directory.path().join(format!("{version}.db"));
        restore_sql(&file, sql);
        let said = refused(&file, &planted_key("(SELECT last_now FROM sequence)"));
        assert!(said.contains("nothing in the log says that it was made"), "version {version}: {said}");
        let data = directory.path().join(format!("data-{version}"));
        let told = told(&run(&data, &["restore", &file.display().to_string()]));
        assert!(told["unproved"]["secrets"].as_u64() > Some(0), "version {version}: {told}");
        assert!(told["revoked_keys"].as_array().is_some_and(|keys| !keys.is_empty()), "{told}");
    }
}
