//! Checkpoints: what is signed, and what a server does that finds another tree than the one that was signed for.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use mailtrail::checkpoints::{CHECKPOINT, KEY};
use mailtrail::http::Method;
use mailtrail::serve::Running;
use mailtrail::store::backup;
use mailtrail::tlog::merkle::{self, Hash};
use mailtrail::tlog::note::{Checkpoint, Note, Verifier};
use mailtrail::tlog::tree::Stored;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::{START, Server, time};
use crate::tree::flip_leaf;

fn told(server: &Server) -> (Checkpoint, Note, Verifier) {
    let told = server.operator(Method::Get, "/api/v1/admin/checkpoint", &Value::Null).good().json();
    let note = Note::parse(told["checkpoint"].as_str().expect("a note")).expect("a note");
    let verifier = Verifier::parse(told["verifier"].as_str().expect("a key")).expect("a key");
    (Checkpoint::parse(&note.text).expect("a checkpoint"), note, verifier)
}

fn file(server: &Server, name: &str) -> PathBuf {
    server.config().data.join(name)
}

fn record(server: &Server, tenant: &str, n: i64) {
    let event = json!({
        "tenant_id": tenant, "mailbox_address": "sales@example.org", "action_taken": "blocked", "sent_count": n,
        "limit_value": 25,
    });
    server.post("/v1/enforcement/events", &event).status(201);
}

/// What a start is refused with.
fn refusal(server: &Server) -> String {
    match Running::start(server.config(), server.clock.clone()) {
        Ok(_) => panic!("it starts"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn who_asks_often_is_told_another_once_a_second() {
    let server = Server::start();
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let asked = || server.get("/tlog/checkpoint").status(200).body_text();
    let size = |note: &str| Checkpoint::of_note(note).expect("a checkpoint").size;
    let first = asked();
    record(&server, &tenant, 1);
    assert_eq!(asked(), first);
    // An operator's is of this moment, and then it is the last.
    assert_eq!(told(&server).0.size, size(&first) + 1);
    assert_eq!(size(&asked()), size(&first) + 1);
    record(&server, &tenant, 2);
    assert_eq!(size(&asked()), size(&first) + 1);
    server.clock.set(time(START).plus_seconds(1));
    assert_eq!(size(&asked()), size(&first) + 2);
    // A clock that was set back lasts no longer than one that was not.
    record(&server, &tenant, 3);
    server.clock.set(time(START).plus_seconds(-60));
    assert_eq!(size(&asked()), size(&first) + 3);
}

#[test]
fn a_checkpoint_is_of_the_tree_and_signed_and_kept_beside_the_database() {
    let mut server = Server::start();
    let (first, note, verifier) = told(&server);
    assert!(note.is_signed_by(&verifier));
    assert_eq!(first.origin, verifier.name());
    assert!(verifier.name().ends_with("/1"), "{}", verifier.name());
    assert_eq!(told(&server).0, first, "nothing was recorded");
    let tenant = server.add_tenant(&server.workspace, "Acme");
    for n in 0..300 {
        record(&server, &tenant, n);
    }
    let (second, note, _) = told(&server);
    assert!(note.is_signed_by(&verifier));
    assert_eq!(second.size, first.size + 301);
    let kept = || std::fs::read_to_string(file(&server, CHECKPOINT)).expect("the file");
    assert!(kept().starts_with(&note.text));
    for name in [KEY, CHECKPOINT] {
        let mode = file(&server, name).metadata().expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let db = server.db();
    let stored = Stored(&db);
    let proof = merkle::prove_consistency(&stored, first.size, second.size).expect("a proof");
    assert!(merkle::is_consistent(first.size, first.root, second.size, second.root, &proof));
    drop(db);
    // What is recorded last is signed for at the end too.
    record(&server, &tenant, 1);
    server.stop();
    let last =
        Note::parse(&std::fs::read_to_string(file(&server, CHECKPOINT)).expect("the file")).expect("a note");
    assert_eq!(Checkpoint::parse(&last.text).map(|last| last.size), Some(second.size + 1));
    server.restart();
    assert_eq!(told(&server).2, verifier);
}

/// Puts a file in place of the database. A connection that is being closed still may have left its WAL, which is of the
/// file that stood there.
fn put(server: &Server, database: &[u8]) {
    std::fs::write(server.database(), database).expect("an edit");
    for suffix in ["-wal", "-shm"] {
        let mut path = server.database().into_os_string();
        path.push(suffix);
        let _ = std::fs::remove_file(path);
    }
}

#[test]
fn a_database_that_was_rolled_back_or_rewritten_is_not_served() {
    let mut server = Server::start();
    let tenant = server.add_tenant(&server.workspace, "Acme");
    record(&server, &tenant, 1);
    server.stop();
    let earlier = std::fs::read(server.database()).expect("the database");
    server.restart();
    record(&server, &tenant, 2);
    server.stop();
    let later = std::fs::read(server.database()).expect("the database");
    put(&server, &earlier);
    let why = refusal(&server);
    assert!(why.contains("the database was rolled back: "), "{why}");

    // Another row in place of one that was signed for, with the leaf that it would have had.
    put(&server, &later);
    let db = Connection::open(server.database()).expect("the database");
    flip_leaf(&db, 2, 8, 0).expect("an edit");
    drop(db);
    let why = refusal(&server);
    assert!(why.contains("is not the one that was signed for when it had "), "{why}");
    put(&server, &later);
    server.restart();
}

#[test]
fn without_its_key_a_log_is_not_served_and_may_go_on_under_another_name() {
    let mut server = Server::start();
    let before = told(&server);
    server.stop();
    let key = std::fs::read(file(&server, KEY)).expect("the key");
    std::fs::remove_file(file(&server, KEY)).expect("an edit");
    let why = refusal(&server);
    assert!(why.contains("cannot be read") && why.contains(KEY), "{why}");
    std::fs::write(file(&server, KEY), "00".repeat(32)).expect("an edit");
    std::fs::set_permissions(file(&server, KEY), std::fs::Permissions::from_mode(0o600)).expect("a mode");
    let why = refusal(&server);
    assert!(why.contains("is not the key that signs this log"), "{why}");
    std::fs::write(file(&server, KEY), key).expect("an edit");

    std::fs::remove_file(file(&server, KEY)).expect("an edit");
    let renewed =
        mailtrail::checkpoints::renew(&server.config(), "the key is lost", false).expect("an epoch");
    server.restart();
    let after = told(&server);
    assert_eq!(Some(after.2.to_string()), renewed);
    assert_ne!(after.2, before.2);
    assert!(before.0.origin.ends_with("/1") && after.0.origin.ends_with("/2"), "{}", after.0.origin);
    let verified = server.operator(Method::Get, "/api/v1/admin/verify", &Value::Null).good().json();
    assert_eq!(verified["ok"], true, "{verified}");
    let body: String = server
        .db()
        .query_row("SELECT body FROM controls WHERE kind = 3", [], |row| row.get(0))
        .expect("the row that says so");
    let body: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((&body["why"], &body["old"]), (&json!("the key is lost"), &json!(before.2.to_string())));
    assert!(file(&server, "checkpoint.1").exists());
}

#[test]
fn a_log_that_is_served_goes_on_under_another_name_and_key() {
    let mut server = Server::start();
    let tenant = server.add_tenant(&server.workspace, "Acme");
    record(&server, &tenant, 1);
    let before = told(&server);
    let old_key = std::fs::read_to_string(file(&server, KEY)).expect("the key");
    record(&server, &tenant, 2);
    let body = json!({ "why": "a year is over", "new_key": true });
    let answer = server.operator(Method::Post, "/api/v1/admin/epochs", &body).status(201).json();
    let after = told(&server);
    assert_eq!(answer["verifier"], after.2.to_string());
    assert!(after.0.origin.ends_with("/2") && after.1.is_signed_by(&after.2), "{}", after.0.origin);
    // The last word under the old name is of the moment before, and all of the old is kept.
    let kept = std::fs::read_to_string(file(&server, "checkpoint.1")).expect("the old checkpoint");
    let last = Checkpoint::signed(&kept, std::slice::from_ref(&before.2)).expect("a checkpoint");
    assert_eq!(last.size, before.0.size + 1);
    assert_eq!(std::fs::read_to_string(file(&server, "checkpoint.key.1")).expect("the old key"), old_key);
    assert_ne!(std::fs::read_to_string(file(&server, KEY)).expect("the key"), old_key);
    let db = server.db();
    let proof = merkle::prove_consistency(&Stored(&db), last.size, after.0.size).expect("a proof");
    assert!(merkle::is_consistent(last.size, last.root, after.0.size, after.0.root, &proof));
    drop(db);
    let keys = server.get("/tlog/keys").status(200).body_text();
    assert_eq!(keys, format!("{}\n{}\n", before.2, after.2));
    let noted = server.db_number(
        "SELECT count(*) FROM activity JOIN texts ON texts.id = action WHERE text = 'checkpoint.renew'",
    );
    assert_eq!(noted, 1);
    for (body, parameter) in [(json!({}), "why"), (json!({ "why": "x", "new_key": 1 }), "new_key")] {
        let refused = server.operator(Method::Post, "/api/v1/admin/epochs", &body).status(422).body_text();
        assert!(refused.contains(parameter), "{refused}");
    }
    // Every pin and witness has to follow: that is an owner's to say, not whoever's who has a key.
    let renew = || server.request(Method::Post, "/api/v1/admin/epochs").json(&body);
    renew().key(&server.key).send().status(403);
    server.add_user(&server.workspace, "admin@example.org", "admin");
    renew().cookie(&server.login("admin@example.org")).send().status(403);
    assert_eq!(told(&server).2, after.2);
    server.restart();
    assert_eq!(told(&server).2, after.2);
    let verified = server.operator(Method::Get, "/api/v1/admin/verify", &Value::Null).good().json();
    assert_eq!(verified["ok"], true, "{verified}");
    // A key that a setting gives is not ours to make.
    let server = Server::start_with(&[("checkpoint_key", &"5e".repeat(32))]);
    let before = told(&server).2;
    let refused = server.operator(Method::Post, "/api/v1/admin/epochs", &body).status(422).body_text();
    assert!(refused.contains("checkpoint_key"), "{refused}");
    assert_eq!(told(&server).2, before);
}

#[test]
fn a_renewal_that_was_broken_off_is_finished_by_the_next_start() {
    for is_new_key in [true, false] {
        // As a kill leaves it: right after the write, and after each file that has its new name.
        for n_done in 0..=if is_new_key { 2 } else { 0 } {
            let mut server = Server::start();
            let tenant = server.add_tenant(&server.workspace, "Acme");
            record(&server, &tenant, 1);
            let old_key = std::fs::read(file(&server, KEY)).expect("the key");
            let body = json!({ "why": "a year is over", "new_key": is_new_key });
            server.operator(Method::Post, "/api/v1/admin/epochs", &body).status(201);
            let last = std::fs::read(file(&server, "checkpoint.1")).expect("the last checkpoint");
            server.stop();
            let rename = |from: &str, to: &str| {
                std::fs::rename(file(&server, from), file(&server, to)).expect("a file of the directory");
            };
            std::fs::remove_file(file(&server, CHECKPOINT)).expect("that of the new epoch");
            if is_new_key {
                rename(KEY, "checkpoint.key.next");
            }
            if is_new_key && n_done < 2 {
                rename("checkpoint.key.1", KEY);
            }
            if n_done < 1 {
                rename("checkpoint.1", CHECKPOINT);
            }
            server.restart();
            let (checkpoint, note, verifier) = told(&server);
            assert!(checkpoint.origin.ends_with("/2") && note.is_signed_by(&verifier), "{n_done} {verifier}");
            assert_eq!(std::fs::read(file(&server, "checkpoint.1")).expect("the last checkpoint"), last);
            assert!(!file(&server, "checkpoint.key.next").exists(), "{n_done}");
            let kept = if is_new_key { "checkpoint.key.1" } else { KEY };
            assert_eq!(std::fs::read(file(&server, kept)).expect("the old key"), old_key, "{n_done}");
        }
    }
}

#[test]
fn a_checkpoint_of_the_epoch_before_is_not_passed_over_where_the_tree_is_another() {
    let mut server = Server::start();
    let tenant = server.add_tenant(&server.workspace, "Acme");
    record(&server, &tenant, 1);
    let body = json!({ "why": "a year is over", "new_key": false });
    server.operator(Method::Post, "/api/v1/admin/epochs", &body).status(201);
    server.stop();
    std::fs::rename(file(&server, "checkpoint.1"), file(&server, CHECKPOINT)).expect("the old checkpoint");
    // A leaf that it was signed for.
    let db = Connection::open(server.database()).expect("the database");
    flip_leaf(&db, 2, 0, 0).expect("an edit");
    drop(db);
    let refused = Running::start(server.config(), server.clock.clone()).err().expect("a refusal").to_string();
    assert!(refused.contains("is not the one that was signed for"), "{refused}");
    assert!(!file(&server, "checkpoint.1").exists());
}

#[test]
fn seals_are_set_daily_and_before_rows_go_and_hold_what_went() {
    let mut server = Server::start_with(&[("enforcement_retention_days", "30")]);
    let tenant = server.add_tenant(&server.workspace, "Acme");
    for n in 0..5 {
        record(&server, &tenant, n);
    }
    let n_seals = |server: &Server| server.db_number("SELECT count(*) FROM seals");
    server.run_jobs();
    let at_first = n_seals(&server);
    server.clock.set(time(START).plus_seconds(3600));
    record(&server, &tenant, 6);
    server.run_jobs();
    assert_eq!(n_seals(&server), at_first, "not a day later");
    server.clock.set(time(START).plus_days(1));
    server.run_jobs();
    assert_eq!(n_seals(&server), at_first + 1);
    server.clock.set(time(START).plus_days(5));
    record(&server, &tenant, 7);
    server.clock.set(time(START).plus_days(34));
    server.operator(Method::Post, "/api/v1/admin/retention/run", &Value::Null).good();
    assert!(n_seals(&server) >= at_first + 2);
    let verified = || server.operator(Method::Get, "/api/v1/admin/verify", &Value::Null).good().json();
    assert_eq!((&verified()["ok"], &verified()["removed"]), (&json!(true), &json!(6)));
    server.stop();
    // A leaf whose row is gone: only what was signed over it tells.
    let db = Connection::open(server.database()).expect("the database");
    let hole = mailtrail::tlog::holes::all(&db).expect("holes")[0];
    flip_leaf(&db, hole.first, 0, 0).expect("an edit");
    drop(db);
    let copy = backup::open_at_rest(&server.database()).expect("the database");
    let found = mailtrail::admin::proof::verification(&copy).expect("an answer");
    let finding = found["findings"][0].as_str().expect("a finding");
    assert!(finding.ends_with("entries are not those that were sealed"), "{found}");
}

#[test]
fn a_key_that_was_stolen_is_replaced_and_what_it_signed_before_still_holds() {
    let mut server = Server::start();
    let (first, note, before) = told(&server);
    server.stop();
    let old = std::fs::read(file(&server, KEY)).expect("the key");
    mailtrail::checkpoints::renew(&server.config(), "the key was stolen", true).expect("an epoch");
    assert_ne!(std::fs::read(file(&server, KEY)).expect("the key"), old);
    assert_eq!(std::fs::read(file(&server, "checkpoint.key.1")).expect("the old key"), old);
    server.restart();
    let (second, _, after) = told(&server);
    assert_ne!(
        before.to_string().rsplit_once('+').map(|(_, key)| key.to_owned()),
        after.to_string().rsplit_once('+').map(|(_, key)| key.to_owned())
    );
    assert!(note.is_signed_by(&before) && !note.is_signed_by(&after));
    let path = format!("/api/v1/admin/consistency?old={}&size={}", first.size, second.size);
    let proof = server.operator(Method::Get, &path, &Value::Null).good().json();
    let proof: Option<Vec<Hash>> =
        proof["proof"].as_array().into_iter().flatten().map(|hash| Hash::parse(hash.as_str()?)).collect();
    let proof = proof.expect("hashes");
    assert!(merkle::is_consistent(first.size, first.root, second.size, second.root, &proof));
    for wrong in ["old=0&size=1", "old=2&size=1", "old=1&size=999999", "old=1", "size=1", "old=x&size=1"] {
        let path = format!("/api/v1/admin/consistency?{wrong}");
        server.operator(Method::Get, &path, &Value::Null).status(422);
    }
}

#[test]
fn a_clock_that_was_years_ahead_and_is_set_right_keeps_no_seal_back() {
    let server = Server::start();
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let seal_after = |now| {
        // The scheduler may be quicker than what is run by hand.
        let before = server.db_number("SELECT count(*) FROM seals");
        server.clock.set(now);
        record(&server, &tenant, 1);
        server.run_jobs();
        server.db_number("SELECT count(*) FROM seals") - before
    };
    assert_eq!(seal_after(time(START).plus_days(3650)), 1);
    // Nobody has said yet that it was wrong: seals go by the latest time that a write saw.
    assert_eq!(seal_after(time(START).plus_days(2)), 0);
    server.operator(Method::Post, "/api/v1/admin/clock/accept", &Value::Null).good();
    assert_eq!(seal_after(time(START).plus_days(2).plus_seconds(60)), 1);
    assert_eq!(seal_after(time(START).plus_days(2).plus_seconds(120)), 0);
}

#[test]
fn the_key_may_be_a_setting_and_then_no_file_has_it() {
    let key = "5e".repeat(32);
    let mut server = Server::start_with(&[("checkpoint_key", &key)]);
    let (_, note, verifier) = told(&server);
    assert!(note.is_signed_by(&verifier) && !file(&server, KEY).exists());
    server.restart();
    assert_eq!(told(&server).2, verifier);
    let shown = server.config().shown();
    let shown = shown.iter().find(|given| given.key == "checkpoint_key").expect("the setting");
    assert_eq!(shown.value, "(set)");
    server.stop();
    for (other, expected) in
        [("5f".repeat(32), "is not the key that signs this log"), ("xx".into(), "is no key")]
    {
        let mut config = server.config();
        config.checkpoint_key = Some(other);
        let error = Running::start(config, server.clock.clone()).err().expect("a refusal");
        assert!(error.to_string().contains(expected), "{error}");
    }
    let mut config = server.config();
    let error = mailtrail::checkpoints::renew(&config, "it was stolen", true).expect_err("a refusal");
    assert!(error.hint().contains("set another one there"), "{}", error.hint());
    config.checkpoint_key = Some("5f".repeat(32));
    mailtrail::checkpoints::renew(&config, "it was stolen", false).expect("an epoch");
    Running::start(config, server.clock.clone()).expect("a start").stop().expect("an end");
}
