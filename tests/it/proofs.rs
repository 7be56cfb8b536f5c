//! Proofs that are handed out: of one entry, of a list, the tiles. What they are held against is in `tlog`; the tests
//! in tests/proof do the same again in another language.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mailtrail::http::Method;
use mailtrail::tlog::merkle::{Frontier, Hash, leaf_hash, node_hash};
use mailtrail::tlog::note::{Checkpoint, Verifier};
use mailtrail::tlog::proof::Proof;
use serde_json::{Value, json};

use crate::support::{OWNER, Server, time};

fn keys(server: &Server) -> Vec<Verifier> {
    let text = server.get("/tlog/keys").status(200).body_text();
    let keys: Option<Vec<Verifier>> = text.lines().map(Verifier::parse).collect();
    keys.expect("keys")
}

/// The row of a proof that holds.
fn proved(server: &Server, text: &str) -> Value {
    let proof = Proof::parse(text).expect("a proof");
    proof.verify(&keys(server)).expect("a proof that holds");
    assert_eq!(proof.to_string(), text);
    serde_json::from_slice(&proof.line).expect("a row")
}

fn event(server: &Server, tenant: &str, n: i64) -> String {
    let event = json!({
        "tenant_id": tenant, "mailbox_address": "sales@example.org", "action_taken": "blocked", "sent_count": n,
        "limit_value": 25,
    });
    server.post("/v1/enforcement/events", &event).status(201).text("id")
}

#[test]
fn an_entry_of_each_log_is_proved_and_its_row_says_what_was_recorded() {
    let server = Server::start();
    server.operator(Method::Post, "/api/v1/admin/licenses", &json!({ "holder": "Main" })).good();
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let mailbox = server.add_mailbox(&server.workspace, "sales@example.org", Some(&tenant), None);
    let project = server.add_project(&server.workspace, "Newsletter");
    let (session, entries) = (server.login(OWNER), format!("/v1/mailboxes/{mailbox}/audit-logs"));

    let id = event(&server, &tenant, 31);
    let row =
        proved(&server, &server.get(&format!("/v1/enforcement/events/{id}/proof")).status(200).body_text());
    assert_eq!(
        (&row["log"], &row["tenant"], &row["sent_count"]),
        (&json!("enforcement"), &json!(tenant), &json!(31))
    );
    assert_eq!(row["id"], id.replace('-', ""));

    let message = json!({ "message_id": "one/two@example.org", "outcome": "delivered" });
    let seq = server.post(&entries, &message).status(201).json()["id"].clone();
    let path = format!("{entries}/one%2Ftwo@example.org");
    let fact = json!({ "tokens_consumed": { "input": 3, "output": 4 } });
    server.request(Method::Patch, &path).key(&server.key).json(&fact).send().status(200);
    let row = proved(&server, &server.get(&format!("{path}/proof")).status(200).body_text());
    assert_eq!(
        (&row["log"], &row["seq"], &row["message_id"]),
        (&json!("messages"), &seq, &message["message_id"])
    );
    let row = proved(&server, &server.get(&format!("{path}/proof?fact=1")).status(200).body_text());
    assert_eq!((&row["log"], &row["message"]), (&json!("message_facts"), &seq));
    for fact in ["0", "-1", "2", "99999999999"] {
        server.get(&format!("{path}/proof?fact={fact}")).status(404);
    }
    server.get(&format!("{path}/proof?fact=x")).status(422);

    let list = format!("/api/v1/projects/{project}/audit-log");
    let id = server
        .request(Method::Post, &list)
        .key(&server.key)
        .json(&json!({ "action": "campaign.send", "user_id": "0190b3c8-5e4a-7cc1-8a1d-2f6f0c9b7e11" }))
        .send()
        .status(201)
        .text("id");
    for owner in [list, format!("/api/v1/workspaces/{}/audit-log", server.workspace)] {
        let answer = server.request(Method::Get, &format!("{owner}/{id}/proof")).cookie(&session).send();
        let row = proved(&server, &answer.status(200).body_text());
        assert_eq!((&row["action"], &row["project"]), (&json!("campaign.send"), &json!(project)));
        for other in [&id[1..], "0000000000", "01HWQY1J0D5V8M3T9Z6K2N4R7B"] {
            let path = format!("{owner}/{other}/proof");
            server.request(Method::Get, &path).cookie(&session).send().status(404);
        }
    }
}

#[test]
fn an_event_is_found_by_its_id_among_many_and_after_the_clock_was_set_back() {
    let server = Server::start();
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let mut ids = Vec::new();
    for (n, at) in
        ["2026-04-01T10:00:00Z", "2026-04-01T10:00:00.9Z", "2026-04-02T10:00:00Z", "2036-01-01T00:00:00Z"]
            .into_iter()
            .enumerate()
    {
        server.clock.set(time(at));
        ids.extend((0..7).map(|m| (event(&server, &tenant, (n * 10 + m) as i64), n * 10 + m)));
    }
    server.clock.set(time("2026-04-03T10:00:00Z"));
    server.operator(Method::Post, "/api/v1/admin/clock/accept", &Value::Null).good();
    for (n, at) in [(4, "2026-04-03T10:00:00Z"), (5, "2026-04-03T10:00:01Z")] {
        server.clock.set(time(at));
        ids.extend((0..7).map(|m| (event(&server, &tenant, (n * 10 + m) as i64), n * 10 + m)));
    }
    for (id, n) in &ids {
        let proof = server.get(&format!("/v1/enforcement/events/{id}/proof")).status(200).body_text();
        assert_eq!(proved(&server, &proof)["sent_count"], *n);
        let unknown = format!("{}0000", &id[..32]);
        server.get(&format!("/v1/enforcement/events/{unknown}/proof")).status(404);
    }
    for id in ["7", "x", "ffffffff-ffff-ffff-ffff-ffffffffffff", "00000000-0000-0000-0000-000000000000"] {
        server.get(&format!("/v1/enforcement/events/{id}/proof")).status(404);
    }
}

#[test]
fn a_proof_that_was_touched_does_not_hold() {
    let server = Server::start();
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let ids: Vec<String> = (0..40).map(|n| event(&server, &tenant, n)).collect();
    let text = server.get(&format!("/v1/enforcement/events/{}/proof", ids[17])).status(200).body_text();
    let keys = keys(&server);
    let holds = |text: &str| Proof::parse(text).is_ok_and(|proof| proof.verify(&keys).is_ok());
    assert!(holds(&text));
    let mut n_touched = 0;
    for at in 0..text.len() {
        for bit in [1, 4, 32] {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= bit;
            let Ok(touched) = String::from_utf8(bytes) else { continue };
            assert!(!holds(&touched), "byte {at}, bit {bit}: {touched}");
            n_touched += 1;
        }
    }
    assert!(n_touched > 2000, "{n_touched}");
    // A row in another's place, and a row that is no row of ours but whose hash is a leaf's.
    let other = server.get(&format!("/v1/enforcement/events/{}/proof", ids[18])).status(200).body_text();
    let index = |text: &str| text.lines().nth(2).expect("an index").to_owned();
    assert!(!holds(&text.replace(&index(&text), &index(&other))));
}

#[test]
fn tiles_make_the_root_and_bundles_make_the_tiles() {
    let server = Server::start_with(&[("enforcement_retention_days", "30")]);
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let batch: Vec<Value> = (0..700)
        .map(|n| {
            json!({
                "tenant_id": tenant, "mailbox_address": "sales@example.org", "action_taken": "blocked",
                "sent_count": n, "limit_value": 25, "created_at": "2026-01-01T00:00:00Z",
            })
        })
        .collect();
    server.post("/v1/enforcement/events", &json!({ "events": batch })).status(201);
    let note = server.get("/tlog/checkpoint").status(200).body_text();
    let Checkpoint { size, root, .. } = Checkpoint::signed(&note, &keys(&server)).expect("a checkpoint");
    assert!((701..768).contains(&size), "{size}");
    let rest = size % 256;

    let tile = |server: &Server, path: &str| server.get(&format!("/tlog/tile/{path}")).status(200).body;
    let hashes =
        |bytes: &[u8]| -> Vec<Hash> { bytes.as_chunks::<32>().0.iter().map(|bytes| Hash(*bytes)).collect() };
    let mut frontier = Frontier::default();
    let mut leaves = Vec::new();
    for place in ["000".to_owned(), "001".to_owned(), format!("002.p/{rest}")] {
        let level_0 = hashes(&tile(&server, &format!("0/{place}")));
        let bundle = tile(&server, &format!("entries/{place}"));
        let entries = bundle.as_chunks::<34>().0;
        assert_eq!(entries.len(), level_0.len());
        for (entry, leaf) in entries.iter().zip(&level_0) {
            assert_eq!((&entry[..2], leaf_hash(&entry[2..])), (&[0, 32][..], *leaf));
            frontier.push(*leaf, |_, _, _| ());
        }
        leaves.extend(level_0);
    }
    assert_eq!((frontier.size(), frontier.root()), (size, root));
    // The tile above has the roots of full ones.
    let above = hashes(&tile(&server, "1/000.p/2"));
    for (place, hash) in above.iter().enumerate() {
        let mut level = leaves[place * 256..][..256].to_vec();
        while level.len() > 1 {
            level = level.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(*left, *right)).collect();
        }
        assert_eq!(level, [*hash]);
    }
    for absent in
        ["0/003", "0/002", "1/000", "1/000.p/3", "2/000.p/1", "entries/002", "0/0", "0/000.p/256", "x/000"]
    {
        server.get(&format!("/tlog/tile/{absent}")).status(404);
    }
    let cached = server.get("/tlog/tile/0/000").status(200);
    assert_eq!(cached.header("cache-control"), Some("private, max-age=31536000, immutable"));
    assert_eq!(server.get("/tlog/tile/entries/000").header("cache-control"), Some("no-store"));

    // What is removed leaves its leaf, and no entry in its place.
    let before = tile(&server, "0/001");
    server.operator(Method::Post, "/api/v1/admin/retention/run", &json!({})).good();
    assert_eq!(server.db_number("SELECT count(*) FROM enforcement_events"), 0);
    assert_eq!(tile(&server, "0/001"), before);
    server.get("/tlog/tile/entries/001").status(404);
}

#[test]
fn a_list_is_handed_out_with_its_proofs() {
    let server = Server::start();
    let (acme, other) =
        (server.add_tenant(&server.workspace, "Acme"), server.add_tenant(&server.workspace, "Other"));
    for n in 0..100 {
        event(&server, if n % 3 == 0 { &other } else { &acme }, n);
    }
    let path = format!("/v1/enforcement/events?tenant_id={acme}&format=proof&order=asc");
    let text = server.get(&path).status(200).body_text();
    let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let head = lines.next().expect("a head");
    let note = head["checkpoint"].as_str().expect("a checkpoint");
    let verifiers: Vec<Verifier> = head["keys"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|key| Verifier::parse(key.as_str().expect("a key")).expect("a key"))
        .collect();
    assert_eq!(verifiers, keys(&server));
    let mut sent = Vec::new();
    for line in lines {
        let record = line["record"].as_str().expect("a row");
        let path: Vec<&str> =
            line["path"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let text = format!(
            "c2sp.org/tlog-proof@v1\nextra {}\nindex {}\n{}\n\n{note}",
            STANDARD.encode(record),
            line["index"],
            path.join("\n")
        );
        let row = proved(&server, &text);
        assert_eq!((&row["tenant"], &row["seq"]), (&json!(acme), &line["seq"]));
        sent.push(row["sent_count"].as_i64().expect("a number"));
    }
    assert_eq!(sent, (0..100).filter(|n| n % 3 != 0).collect::<Vec<_>>());
    server.get("/v1/enforcement/events?format=proof&limit=5").status(422);
    let noted = server.db_number(
        "SELECT count(*) FROM activity JOIN texts ON texts.id = action WHERE text = 'enforcement.export'",
    );
    assert_eq!(noted, 1);
}

#[test]
fn the_facts_of_a_message_are_handed_out_behind_it() {
    let server = Server::start();
    let mailbox = server.add_mailbox(&server.workspace, "sales@example.org", None, None);
    let entries = format!("/v1/mailboxes/{mailbox}/audit-logs");
    for n in 0..70 {
        let message = json!({ "message_id": format!("{n}@example.org"), "outcome": "delivered" });
        server.post(&entries, &message).status(201);
    }
    let fact = json!({ "bounce": { "code": 550 } });
    let path = format!("{entries}/3@example.org");
    server.request(Method::Patch, &path).key(&server.key).json(&fact).send().status(200);
    let text = server.get(&format!("{entries}?format=proof")).status(200).body_text();
    let rows: Vec<Value> = text
        .lines()
        .skip(1)
        .map(|line| {
            let line: Value = serde_json::from_str(line).expect("JSON");
            serde_json::from_str(line["record"].as_str().expect("a row")).expect("a row")
        })
        .collect();
    assert_eq!(rows.len(), 71);
    let at = rows.iter().position(|row| row["message_id"] == "3@example.org").expect("the message");
    assert_eq!((&rows[at + 1]["log"], &rows[at + 1]["message"]), (&json!("message_facts"), &rows[at]["seq"]));
}

#[test]
fn the_tree_is_for_strangers_only_where_the_setting_says_so() {
    const PATHS: [&str; 3] = ["/tlog/checkpoint", "/tlog/keys", "/tlog/tile/0/000.p/1"];
    let closed = Server::start();
    let open = Server::start_with(&[("public_tlog", "true")]);
    for path in PATHS {
        closed.request(Method::Get, path).send().status(401);
        closed.request(Method::Get, path).cookie(&closed.login(OWNER)).send().status(200);
        open.request(Method::Get, path).send().status(200);
    }
    open.request(Method::Get, "/v1/enforcement/events").send().status(401);
}

#[test]
fn the_leaves_of_tiles_whose_rows_are_all_gone_are_given_up_and_the_rest_is_proven() {
    let server = Server::start_with(&[("enforcement_retention_days", "30")]);
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let batch = |n: i64| {
        let events: Vec<Value> = (0..n)
            .map(|n| {
                json!({
                    "tenant_id": tenant, "mailbox_address": "sales@example.org", "action_taken": "blocked",
                    "sent_count": n, "limit_value": 25,
                })
            })
            .collect();
        server.post("/v1/enforcement/events", &json!({ "events": events })).status(201);
    };
    batch(900);
    let pin = server.get("/tlog/checkpoint").status(200).body_text();
    let pinned = Checkpoint::signed(&pin, &keys(&server)).expect("a checkpoint");
    assert!(!pinned.size.is_multiple_of(256));
    batch(900);
    server.clock.set(time("2026-06-20T00:00:00Z"));
    let kept = event(&server, &tenant, 7);
    let tile = |path: &str| server.get(&format!("/tlog/tile/{path}"));
    let above = tile("1/000.p/7").status(200).body;
    let n_rows = || server.db_number("SELECT count(*) FROM tree WHERE id < 1 << 48");
    let before = n_rows();
    server.operator(Method::Post, "/api/v1/admin/retention/run", &json!({})).good();
    assert!(n_rows() >= before, "before the next seal");
    let before = n_rows();
    server.clock.set(time("2026-06-21T00:00:01Z"));
    server.run_jobs();
    // Of the 1,800 leaves, four tiles are dead that no seal ends in, at the least.
    assert!(n_rows() <= before - 6, "{} of {before}", n_rows());
    tile("0/001").status(404);
    tile("entries/001").status(404);
    assert_eq!(tile("1/000.p/7").status(200).body, above);
    let verified = server.operator(Method::Get, "/api/v1/admin/verify", &Value::Null).good().json();
    assert_eq!((&verified["ok"], &verified["removed"]), (&json!(true), &json!(1800)), "{verified}");
    let checked = server.operator(Method::Post, "/api/v1/admin/check", &Value::Null).json();
    assert_eq!(checked["ok"], true, "{checked}");
    let proof = server.get(&format!("/v1/enforcement/events/{kept}/proof")).status(200).body_text();
    assert_eq!(proved(&server, &proof)["sent_count"], 7);
    // The pin's tree ended in one of them: nothing can be said of it, and that is no contradiction.
    let path = format!("/api/v1/admin/root?size={}", pinned.size);
    let told = server.operator(Method::Get, &path, &Value::Null).good().json();
    assert_eq!(told["root"], Value::Null);
    assert!(told["leaves"].as_u64() > Some(pinned.size));
    let path = format!("/api/v1/admin/consistency?old={}&size={}", pinned.size, told["leaves"]);
    server.operator(Method::Get, &path, &Value::Null).status(422);
}
