//! Log 2 as Mailbuttons' clients use it: one entry for each message, what came of it later, and the gate that decides.

use mailtrail::http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::support::{Answer, START, Server, time};

/// SHA-256 of "Hello\n", by Python's hashlib.
const HELLO: &str = "66a045b452102c59d840ec097d59d9467e13a3f34f6494e539ffd32c1bb35f18";
/// Of "Hello\nWorld\n".
const HELLO_WORLD: &str = "cc37937f1366919e300be784838d0f648684e2934fde66cd97e333ae51239761";

fn log(mailbox: i64) -> String {
    format!("/v1/mailboxes/{mailbox}/audit-logs")
}

/// The path of one entry, its message id percent-encoded.
fn one(mailbox: i64, message_id: &str) -> String {
    format!("{}/{}", log(mailbox), utf8_percent_encode(message_id, NON_ALPHANUMERIC))
}

fn mailbox(server: &Server) -> i64 {
    server.add_mailbox(&server.workspace, "agent@example.org", None, None)
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

/// The message ids of a page, in its order.
fn ids(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().expect("items");
    items.iter().map(|item| item["message_id"].as_str().expect("a message id").to_owned()).collect()
}

fn n_messages(server: &Server) -> i64 {
    server.db_number("SELECT count(*) FROM messages")
}

fn post_raw(server: &Server, path: &str, raw: &[u8]) -> Answer {
    server.request(Method::Post, path).key(&server.key).body("message/rfc822", raw).send()
}

/// A message as a mail server hands it over.
fn raw(message_id: &str, body: &str) -> String {
    format!(
        "Received: from mx.example.net by mx.example.org; Thu, 30 Apr 2026 14:00:00 +0000\r\n\
         Authentication-Results: mx.example.org; dkim=pass header.d=example.net; spf=softfail smtp.mailfrom=example.net; dmarc=pass header.from=example.net\r\n\
         Authentication-Results: evil.example; dkim=fail header.d=example.net\r\n\
         From: Bob <bob@example.net>\r\nTo: agent@example.org\r\nMessage-ID: <{message_id}>\r\n\
         Subject: Hi\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{body}"
    )
}

// ---------------------------------------------------------------------------------------------- recording

#[test]
fn an_entry_has_the_vendors_fields_in_the_vendors_order() {
    let server = Server::start();
    let mailbox = mailbox(&server);
    let given = json!({
        "message_id": "m1@example.net", "thread_id": "t1", "sender_address": "bob@example.net",
        "received_at": 1_777_000_000, "outcome": "delivered", "verification_dkim": "pass",
        "verification_spf": "softfail", "verification_dmarc": "none", "from_alignment": true,
        "capabilities_granted": { "capabilities": ["read_calendar"], "rule_index": 2 },
        "tools_used": ["calendar"], "tokens_consumed": { "total": 7 }, "reply_sent": { "id": "r1" },
    });
    let made = server.post(&log(mailbox), &given).status(201).json();
    assert_eq!(
        keys(&made)[..17],
        [
            "id",
            "message_id",
            "thread_id",
            "sender_address",
            "recipient_address",
            "received_at",
            "outcome",
            "reason",
            "verification_dkim",
            "verification_spf",
            "verification_dmarc",
            "from_alignment",
            "body_hash",
            "capabilities_granted",
            "tools_used",
            "tokens_consumed",
            "reply_sent",
        ]
    );
    assert_eq!(
        keys(&made)[17..],
        [
            "mailbox_id",
            "message_hash",
            "policy_version",
            "recorded_at",
            "appended",
            "recorded_by",
            "text_problem",
            "seq"
        ]
    );
    for (name, value) in given.as_object().expect("an object") {
        assert_eq!(made[name], *value, "{name}");
    }
    assert!(made["id"].is_i64(), "{made}");
    assert_eq!(made["recipient_address"], "agent@example.org");
    let page = server.get(&log(mailbox)).status(200).json();
    assert_eq!(page, json!({ "items": [made], "next_cursor": null }));
    // The Mailbuttons SDK's base URL ends in /api.
    assert_eq!(server.get(&format!("/api{}", log(mailbox))).status(200).json(), page);
}

#[test]
fn what_was_not_said_is_null_or_now() {
    let server = Server::start();
    let mailbox = mailbox(&server);
    let given =
        json!({ "message_id": "m1", "outcome": "rejected_at_policy", "reason": "no_matching_sender_rule" });
    let made = server.post(&log(mailbox), &given).status(201).json();
    let now = time(START).seconds();
    let id = made["id"].clone();
    assert_eq!(
        made,
        json!({
            "id": id, "message_id": "m1", "thread_id": null, "sender_address": null,
            "recipient_address": "agent@example.org", "received_at": now, "outcome": "rejected_at_policy",
            "reason": "no_matching_sender_rule", "verification_dkim": null, "verification_spf": null,
            "verification_dmarc": null, "from_alignment": null, "body_hash": null, "capabilities_granted": null,
            "tools_used": null, "tokens_consumed": null, "reply_sent": null, "mailbox_id": mailbox,
            "message_hash": null, "policy_version": null, "recorded_at": now, "appended": [],
            "recorded_by": "key test", "text_problem": null, "seq": made["id"],
        })
    );
}

#[test]
fn the_same_again_is_the_entry_that_stands_and_anything_else_is_refused() {
    let server = Server::start();
    let mailbox = mailbox(&server);
    let given = json!({ "message_id": "m1", "outcome": "delivered", "sender_address": "bob@example.net" });
    let first = server.post(&log(mailbox), &given).status(201).json();
    server.clock.set(time(START).plus_days(3));
    assert_eq!(server.post(&log(mailbox), &given).status(200).json(), first);
    // Written otherwise, it is the same.
    let same = "{ \"outcome\":\"delivered\", \"reason\":null,\r\n\"sender_address\":\"bob@example\\u002enet\",\"message_id\":\"m1\" }";
    let again =
        server.request(Method::Post, &log(mailbox)).key(&server.key).body("application/json", same).send();
    assert_eq!(again.status(200).json(), first);
    for (name, value) in [
        ("outcome", json!("rate_limited")),
        ("sender_address", json!("eve@example.net")),
        ("reason", json!("x")),
        ("thread_id", json!("t1")),
        ("received_at", json!(1_777_000_000)),
        ("verification_spf", json!("pass")),
        ("from_alignment", json!(false)),
        ("text_body", json!("x")),
        ("tools_used", json!([1])),
    ] {
        let mut other = given.clone();
        other[name] = value;
        let refused = server.post(&log(mailbox), &other).status(409);
        let id = &first["id"];
        let message = format!("the message \"m1\" is recorded already (entry {id}), with other content");
        assert_eq!(refused.json(), json!({ "error": message }), "{name}");
    }
    assert_eq!(n_messages(&server), 1);
    // Another mailbox knows nothing of it.
    let other = server.add_mailbox(&server.workspace, "other@example.org", None, None);
    server.post(&log(other), &given).status(201);
    assert_eq!(n_messages(&server), 2);
}

#[test]
fn a_batch_answers_with_what_stands_and_what_is_new() {
    let server = Server::start();
    let mailbox = mailbox(&server);
    let entry = |n: i64| json!({ "message_id": format!("m{n}"), "outcome": "delivered" });
    let two = json!({ "items": [entry(1), entry(2)] });
    let made = server.post(&log(mailbox), &two).status(201).json();
    assert_eq!(keys(&made), ["items", "count"]);
    assert_eq!((made["count"].clone(), ids(&made)), (json!(2), vec!["m1".to_owned(), "m2".to_owned()]));
    assert_eq!(server.post(&log(mailbox), &two).status(200).json(), made);
    let lines = format!("{}\n\n{}\n{}\n", entry(2), entry(3), entry(4));
    let answer = server
        .request(Method::Post, &log(mailbox))
        .key(&server.key)
        .body("application/x-ndjson", lines)
        .send();
    let last = server.get(&one(mailbox, "m4")).status(200).json();
    assert_eq!(
        answer.status(201).json(),
        json!({ "count": 3, "first_id": made["items"][1]["id"], "last_id": last["id"] })
    );
    // The order of arrival is the order of recording.
    assert_eq!(ids(&server.get(&log(mailbox)).json()), ["m4", "m3", "m2", "m1"]);
}

#[test]
fn a_raw_message_gives_its_own_facts_and_the_callers_outcome() {
    let server = Server::start_with(&[("authserv_ids", "mx.example.org")]);
    let mailbox = mailbox(&server);
    let message = raw("m1@example.net", "Hello\r\n");
    let path = format!("{}?outcome=rejected_at_content_guard&reason=phishing%20(maybe)", log(mailbox));
    let made = post_raw(&server, &path, message.as_bytes()).status(201).json();
    let expected = json!({
        "id": made["id"], "message_id": "m1@example.net", "thread_id": "m1@example.net",
        "sender_address": "bob@example.net", "recipient_address": "agent@example.org",
        "received_at": time("2026-04-30T14:00:00Z").seconds(), "outcome": "rejected_at_content_guard",
        "reason": "phishing (maybe)", "verification_dkim": "pass", "verification_spf": "softfail",
        "verification_dmarc": "pass", "from_alignment": true, "body_hash": null, "capabilities_granted": null,
        "tools_used": null, "tokens_consumed": null, "reply_sent": null, "mailbox_id": mailbox,
        "message_hash": sha256(message.as_bytes()), "policy_version": null,
        "recorded_at": time(START).seconds(), "appended": [], "recorded_by": "key test", "text_problem": null, "seq": made["id"],
    });
    assert_eq!(made, expected);
    assert_eq!(post_raw(&server, &path, message.as_bytes()).status(200).json(), made);
    // The same message with another outcome contradicts what is recorded.
    post_raw(&server, &log(mailbox), message.as_bytes()).status(409);
    // Delivered, unless somebody says otherwise.
    let other = raw("m2@example.net", "Hello\r\n");
    let made = post_raw(&server, &log(mailbox), other.as_bytes()).status(201).json();
    assert_eq!((made["outcome"].as_str(), made["reason"].as_str()), (Some("delivered"), None));
}

fn sha256(bytes: &[u8]) -> String {
    mailtrail::ids::hex(&mailtrail::ids::sha256(bytes))
}

#[test]
fn two_raw_messages_with_one_message_id_are_two_entries() {
    let server = Server::start();
    let mailbox = mailbox(&server);
    let (first, second) = (raw("same@example.net", "Hello\r\n"), raw("same@example.net", "Pay me\r\n"));
    let made = post_raw(&server, &log(mailbox), first.as_bytes()).status(201).json();
    assert_eq!(made["message_id"], "same@example.net");
    let told_apart = format!("same@example.net#{}", &sha256(second.as_bytes())[..16]);
    for status in [201, 200, 200] {
        let made = post_raw(&server, &log(mailbox), second.as_bytes()).status(status).json();
        assert_eq!(made["message_id"], told_apart.as_str());
        assert_eq!(made["message_hash"], sha256(second.as_bytes()));
    }
    assert_eq!(post_raw(&server, &log(mailbox), first.as_bytes()).status(200).json(), made);
    assert_eq!(n_messages(&server), 2);
    assert_eq!(server.get(&one(mailbox, &told_apart)).status(200).json()["message_id"], told_apart.as_str());
}

#[test]
fn real_messages_give_one_entry_each_and_none_the_second_time() {
    let server = Server::start();
    let mailbox = mailbox(&server);
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mail");
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .expect("the messages")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "eml"))
        .collect();
    files.sort();
    assert_eq!(files.len(), 101);
    let mut entries = Vec::new();
    for round in [201, 200] {
        let mut made = Vec::new();
        for file in &files {
            let raw = std::fs::read(file).expect("a message");
            let answer = post_raw(&server, &log(mailbox), &raw);
            assert_eq!(answer.status, round, "{}: {answer:?}", file.display());
            made.push(answer.json());
        }
        if round == 200 {
            assert_eq!(made, entries);
        }
        entries = made;
    }
    assert_eq!(n_messages(&server), 101);
    let listed = server.get(&format!("{}?limit=200&order=asc", log(mailbox))).json();
    assert_eq!(listed, json!({ "items": entries, "next_cursor": null }));
}

// ---------------------------------------------------------------------------------------------- the hash of the body

#[test]
fn the_body_hash_is_kept_only_when_the_policy_says_so() {
    let server = Server::start_with(&[("authserv_ids", "mx.example.org")]);
    let mailbox = mailbox(&server);
    let entry = |id: &str| json!({ "message_id": id, "outcome": "delivered", "text_body": "Hello\n" });
    let hash_of = |answer: Answer| answer.status(201).json()["body_hash"].clone();
    assert_eq!(hash_of(server.post(&log(mailbox), &entry("before"))), Value::Null);
    let mut policy = policy(json!({ "domain": "example.net" }));
    policy["auditLog"]["includeBodyHash"] = json!(true);
    server.put_policy(mailbox, &policy).good();
    assert_eq!(hash_of(server.post(&log(mailbox), &entry("text"))), HELLO);
    // Given as a hash, in either case; given as both.
    let hash = json!({ "message_id": "hash", "outcome": "delivered", "body_hash": HELLO.to_uppercase() });
    assert_eq!(hash_of(server.post(&log(mailbox), &hash)), HELLO);
    let mut both = entry("both");
    both["body_hash"] = json!(HELLO);
    assert_eq!(hash_of(server.post(&log(mailbox), &both)), HELLO);
    both["message_id"] = json!("contradiction");
    both["body_hash"] = json!(HELLO_WORLD);
    let refused = server.post(&log(mailbox), &both).status(422).json();
    assert_eq!(
        refused,
        json!({ "errors": ["body_hash: is not the SHA-256 of text_body; give one of the two"] })
    );
    // Of a raw message it is the text with LF line ends, as JMAP gives it.
    let message = raw("raw@example.net", "Hello\r\nWorld\r\n");
    assert_eq!(hash_of(post_raw(&server, &log(mailbox), message.as_bytes())), HELLO_WORLD);
    let message = raw("gate@example.net", "Hello\r\n");
    let path = format!("/v1/mailboxes/{mailbox}/inbound");
    assert_eq!(hash_of(post_raw(&server, &path, message.as_bytes())), HELLO);
    // Nothing given, nothing hashed; an empty text is a text.
    let none = json!({ "message_id": "none", "outcome": "delivered" });
    assert_eq!(hash_of(server.post(&log(mailbox), &none)), Value::Null);
    let empty = json!({ "message_id": "empty", "outcome": "delivered", "text_body": "" });
    assert_eq!(hash_of(server.post(&log(mailbox), &empty)), sha256(b""));
    // What was recorded before stays as it was.
    assert_eq!(server.get(&one(mailbox, "before")).json()["body_hash"], Value::Null);
}

#[test]
fn the_body_itself_is_nowhere() {
    let server = Server::start();
    let mailbox = mailbox(&server);
    let planted = "plantedbodytext";
    let given = json!({ "message_id": "m1", "outcome": "delivered", "text_body": planted });
    server.post(&log(mailbox), &given).status(201);
    post_raw(&server, &log(mailbox), raw("m2@example.net", &format!("{planted}\r\n")).as_bytes()).status(201);
    let wal = server.database().with_extension("db-wal");
    for file in [server.database(), wal] {
        let bytes = std::fs::read(&file).expect("a file");
        let found = bytes.windows(planted.len()).any(|window| window == planted.as_bytes());
        assert!(!found, "{}", file.display());
    }
}

// ---------------------------------------------------------------------------------------------- what came later

#[test]
fn what_came_later_is_appended_in_order_and_shown_folded() {
    let server = Server::start();
    let mailbox = mailbox(&server);
    let entry = json!({ "message_id": "m1", "outcome": "delivered" });
    let first = server.post(&log(mailbox), &entry).status(201).json();
    let append = |seconds: i64, fact: Value| {
        server.clock.set(time(START).plus_seconds(seconds));
        server.patch(&one(mailbox, "m1"), &fact).status(200).json()
    };
    append(10, json!({ "tokens_consumed": { "input": 10, "output": 5, "model": "small" } }));
    append(20, json!({ "tools_used": ["calendar.read"] }));
    append(30, json!({ "thread_id": "t1" }));
    // The thread that is known already says nothing new.
    append(40, json!({ "thread_id": "t1" }));
    append(50, json!({ "reply_sent": { "id": "r1" } }));
    append(60, json!({ "bounce": { "reason": "full" } }));
    append(70, json!({ "tools_used": ["mail.send", { "name": "x" }] }));
    let shown = append(80, json!({ "tokens_consumed": { "input": 3, "cached": 1, "model": "large" } }));
    let at = |seconds: i64| time(START).plus_seconds(seconds).seconds();
    let mut expected = first.clone();
    expected["thread_id"] = json!("t1");
    expected["tools_used"] = json!(["calendar.read", "mail.send", { "name": "x" }]);
    expected["tokens_consumed"] = json!({ "input": 13, "output": 5, "model": "large", "cached": 1 });
    expected["reply_sent"] = json!({ "id": "r1", "bounce": { "reason": "full" } });
    expected["appended"] = json!([
        { "kind": "tokens_consumed", "data": { "input": 10, "output": 5, "model": "small" }, "recorded_at": at(10), "recorded_by": "key test" },
        { "kind": "tools_used", "data": ["calendar.read"], "recorded_at": at(20), "recorded_by": "key test" },
        { "kind": "thread_id", "data": "t1", "recorded_at": at(30), "recorded_by": "key test" },
        { "kind": "reply_sent", "data": { "id": "r1" }, "recorded_at": at(50), "recorded_by": "key test" },
        { "kind": "bounce", "data": { "reason": "full" }, "recorded_at": at(60), "recorded_by": "key test" },
        { "kind": "tools_used", "data": ["mail.send", { "name": "x" }], "recorded_at": at(70), "recorded_by": "key test" },
        {
            "kind": "tokens_consumed", "data": { "input": 3, "cached": 1, "model": "large" },
            "recorded_at": at(80), "recorded_by": "key test",
        },
    ]);
    // Of what was appended last.
    expected["seq"] = shown["seq"].clone();
    assert!(shown["seq"].as_i64() > first["seq"].as_i64());
    assert_eq!(shown, expected);
    assert_eq!(server.get(&one(mailbox, "m1")).status(200).json(), expected);
    let refused = server.patch(&one(mailbox, "m1"), &json!({ "thread_id": "t2" })).status(409).json();
    let message = "the message is in the thread \"t1\" already; nothing recorded is overwritten";
    assert_eq!(refused, json!({ "error": message }));
    // Recording it once more shows it as it is now.
    assert_eq!(server.post(&log(mailbox), &entry).status(200).json(), expected);
    assert_eq!(n_messages(&server), 1);
}

#[test]
fn odd_reports_are_kept_as_they_are() {
    let server = Server::start();
    let mailbox = mailbox(&server);
    server.post(&log(mailbox), &json!({ "message_id": "m1", "outcome": "delivered" })).status(201);
    let append = |fact: Value| server.patch(&one(mailbox, "m1"), &fact).status(200).json();
    // A bounce without a reply, a reply that is no object and its bounce, false and numbers as reports.
    assert_eq!(append(json!({ "bounce": 550 }))["reply_sent"], json!({ "bounce": 550 }));
    assert_eq!(append(json!({ "reply_sent": "r1" }))["reply_sent"], json!("r1"));
    assert_eq!(append(json!({ "bounce": 551 }))["reply_sent"], json!({ "reply": "r1", "bounce": 551 }));
    assert_eq!(append(json!({ "tools_used": false }))["tools_used"], json!(false));
    assert_eq!(append(json!({ "tokens_consumed": 5 }))["tokens_consumed"], json!(5));
    assert_eq!(append(json!({ "tokens_consumed": 7 }))["tokens_consumed"], json!(12));
    assert_eq!(
        append(json!({ "tokens_consumed": { "total": 1 } }))["tokens_consumed"],
        json!({ "total": 1 })
    );
    // Several in one request go in the order of the document.
    let shown = append(json!({ "tokens_consumed": 1, "tools_used": [], "reply_sent": {}, "thread_id": "t" }));
    let kinds: Vec<&str> = shown["appended"]
        .as_array()
        .expect("facts")
        .iter()
        .skip(7)
        .map(|fact| fact["kind"].as_str().expect("a kind"))
        .collect();
    assert_eq!(kinds, ["thread_id", "reply_sent", "tools_used", "tokens_consumed"]);
}

// ---------------------------------------------------------------------------------------------- reading

#[test]
fn a_thread_has_also_the_entries_that_joined_it_later() {
    let server = Server::start();
    let mailbox = mailbox(&server);
    for (id, thread) in [("m1", Some("t1")), ("m2", None), ("m3", Some("t2")), ("m4", None)] {
        let entry = json!({ "message_id": id, "outcome": "delivered", "thread_id": thread });
        server.post(&log(mailbox), &entry).status(201);
    }
    server.patch(&one(mailbox, "m4"), &json!({ "thread_id": "t1" })).status(200);
    server.patch(&one(mailbox, "m2"), &json!({ "thread_id": "\"quoted\" ünd'" })).status(200);
    let thread = |name: &str| {
        let name = utf8_percent_encode(name, NON_ALPHANUMERIC).to_string();
        ids(&server.get(&format!("{}?thread_id={name}", log(mailbox))).status(200).json())
    };
    assert_eq!(thread("t1"), ["m4", "m1"]);
    assert_eq!(thread("t2"), ["m3"]);
    assert_eq!(thread("\"quoted\" ünd'"), ["m2"]);
    assert_eq!(thread("t3"), Vec::<String>::new());
    assert_eq!(thread("%"), Vec::<String>::new());
}

#[test]
fn raw_messages_join_the_thread_of_what_they_answer() {
    let server = Server::start();
    let mailbox = mailbox(&server);
    let post = |message: String| post_raw(&server, &log(mailbox), message.as_bytes()).status(201).json();
    assert_eq!(post(raw("m1@x", "1"))["thread_id"], "m1@x");
    let answer =
        raw("m2@x", "2").replace("Subject:", "In-Reply-To: <m1@x>\r\nReferences: <m1@x>\r\nSubject:");
    assert_eq!(post(answer)["thread_id"], "m1@x");
    // The nearest known one counts, though its first reference is lost.
    let answer = raw("m3@x", "3").replace("Subject:", "References: <gone@x> <m2@x>\r\nSubject:");
    assert_eq!(post(answer)["thread_id"], "m1@x");
    let stranger = raw("m4@x", "4").replace("Subject:", "References: <far@x> <away@x>\r\nSubject:");
    assert_eq!(post(stranger)["thread_id"], "far@x");
}

#[test]
fn filters_take_what_they_name_and_nothing_else() {
    let server = Server::start();
    let mailbox = mailbox(&server);
    let entries = json!({ "items": [
        {
            "message_id": "m1", "outcome": "delivered", "sender_address": "Bob@Example.net",
            "received_at": time("2026-04-01T00:00:00Z").seconds(),
        },
        {
            "message_id": "m2", "outcome": "rejected_at_policy", "reason": "no_matching_sender_rule",
            "sender_address": "eve@example.net", "received_at": time("2026-04-02T00:00:00Z").seconds(),
        },
        {
            "message_id": "m3", "outcome": "rate_limited", "reason": "rate_limit_per_hour",
            "recipient_address": "other@example.org", "received_at": time("2026-04-03T00:00:00Z").seconds(),
        },
        {
            "message_id": "M1", "outcome": "delivered", "sender_address": "bob@example.net",
            "received_at": time("2026-04-01T12:00:00Z").seconds(),
        },
    ] });
    server.post(&log(mailbox), &entries).status(201);
    for (query, expected) in [
        ("", vec!["M1", "m3", "m2", "m1"]),
        ("order=asc", vec!["m1", "m2", "m3", "M1"]),
        ("message_id=m1", vec!["m1"]),
        ("message_id=m9", vec![]),
        ("outcome=delivered", vec!["M1", "m1"]),
        ("outcome=budget_exhausted", vec![]),
        ("sender_address=bob@example.NET", vec!["M1", "m1"]),
        ("sender_address=bob", vec![]),
        ("recipient_address=agent@example.org", vec!["M1", "m2", "m1"]),
        ("recipient_address=OTHER@example.org", vec!["m3"]),
        ("reason=rate_limit_per_hour", vec!["m3"]),
        ("reason=rate_limit", vec![]),
        ("from=2026-04-02T00:00:00Z", vec!["m3", "m2"]),
        ("to=2026-04-02T00:00:00Z", vec!["M1", "m1"]),
        // An offset whose + arrived as a space.
        ("from=2026-04-02T02:00:00+02:00&to=2026-04-03T00:00:01Z", vec!["m3", "m2"]),
        ("from=2026-04-03T00:00:00Z&to=2026-04-01T00:00:00Z", vec![]),
        ("outcome=delivered&from=2026-04-01T06:00:00Z&sender_address=bob@example.net", vec!["M1"]),
        ("limit=0", vec!["M1"]),
        ("limit=-7", vec!["M1"]),
        ("limit=1000000000000000000000", vec!["M1", "m3", "m2", "m1"]),
        ("cursor=0", vec![]),
        ("cursor=-1", vec![]),
        ("cursor=999999999999999999999", vec!["M1", "m3", "m2", "m1"]),
    ] {
        let page = server.get(&format!("{}?{query}", log(mailbox))).status(200).json();
        assert_eq!(ids(&page), expected, "{query}");
    }
}

#[test]
fn pages_follow_the_cursor_and_the_last_full_one_says_so() {
    let server = Server::start();
    let mailbox = mailbox(&server);
    let entry = |n: i64| json!({ "message_id": format!("m{n}"), "outcome": "delivered" });
    for n in 1..=4 {
        server.post(&log(mailbox), &entry(n)).status(201);
    }
    let page = |query: &str| server.get(&format!("{}?{query}", log(mailbox))).status(200).json();
    let first = page("limit=2");
    assert_eq!(ids(&first), ["m4", "m3"]);
    assert_eq!(first["next_cursor"], first["items"][1]["id"]);
    // What is recorded meanwhile is neither skipped into nor repeated.
    server.post(&log(mailbox), &entry(5)).status(201);
    let second = page(&format!("limit=2&cursor={}", first["next_cursor"]));
    assert_eq!(
        (ids(&second), second["next_cursor"].clone()),
        (vec!["m2".to_owned(), "m1".to_owned()], Value::Null)
    );
    assert_eq!(page("limit=5")["next_cursor"], Value::Null);
    assert_eq!(
        page("limit=4")["next_cursor"],
        second["items"][0]["id"].as_i64().map_or(Value::Null, |id| json!(id))
    );
    let oldest = page("limit=2&order=asc");
    assert_eq!(ids(&oldest), ["m1", "m2"]);
    assert_eq!(
        ids(&page(&format!("limit=9&order=asc&cursor={}", oldest["next_cursor"]))),
        ["m3", "m4", "m5"]
    );
    // A walk by threes with a filter sees each once.
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let step = page(&format!("limit=3&outcome=delivered{cursor}"));
        seen.extend(ids(&step));
        match step["next_cursor"].as_i64() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ["m5", "m4", "m3", "m2", "m1"]);
    assert_eq!(page("limit=1&message_id=m1")["next_cursor"], Value::Null);
}

#[test]
fn a_limit_is_kept_within_1_to_200() {
    let server = Server::start();
    let mailbox = mailbox(&server);
    let items: Vec<Value> =
        (0..210).map(|n| json!({ "message_id": format!("m{n}"), "outcome": "delivered" })).collect();
    server.post(&log(mailbox), &json!({ "items": items })).status(201);
    for (limit, n) in [("", 50), ("limit=200", 200), ("limit=201", 200), ("limit=0", 1)] {
        assert_eq!(ids(&server.get(&format!("{}?{limit}", log(mailbox))).json()).len(), n, "{limit}");
    }
}

#[test]
fn one_entry_by_a_message_id_with_odd_characters() {
    let server = Server::start();
    let mailbox = mailbox(&server);
    for id in [
        "<a/b@c>",
        "a b+c%2Fd?e#f&g=h",
        "..",
        ".",
        "ünï@çödé.org",
        "%00",
        "'; DROP TABLE messages; --",
        "\u{202e}x",
    ] {
        server.post(&log(mailbox), &json!({ "message_id": id, "outcome": "delivered" })).status(201);
        let found = server.get(&one(mailbox, id)).status(200).json();
        assert_eq!(found["message_id"], id.trim_start_matches('<').trim_end_matches('>'));
        let appended = server.patch(&one(mailbox, id), &json!({ "reply_sent": true })).status(200).json();
        assert_eq!((&appended["id"], &appended["reply_sent"]), (&found["id"], &json!(true)), "{id}");
        let query = utf8_percent_encode(id, NON_ALPHANUMERIC);
        let listed = server.get(&format!("{}?message_id={query}", log(mailbox))).status(200).json();
        assert_eq!(listed["items"], json!([appended]), "{id}");
    }
}

// ---------------------------------------------------------------------------------------------- the policy

/// A policy with one rule.
fn policy(matching: Value) -> Value {
    json!({
        "defaultAction": "bounce",
        "senders": [{ "match": matching, "capabilities": ["read_calendar"] }],
        "auditLog": { "retentionDays": 30 },
    })
}

#[test]
fn a_policy_is_put_shown_and_counted() {
    let server = Server::start();
    let mailbox = mailbox(&server);
    let path = format!("/v1/mailboxes/{mailbox}/policy");
    assert_eq!(server.get(&path).status(404).json(), json!({ "error": "Policy not found" }));
    let given = json!({
        "defaultAction": "drop",
        "senders": [
            {
                "match": { "address": "bob@example.net", "requireDkim": true },
                "capabilities": ["read_calendar", "foo", "foo", "bar"],
                "rateLimit": { "perHour": 5 }, "tokenBudget": { "perThread": 1000, "perDay": 0 },
            },
            { "match": { "domain": "example.com" }, "capabilities": ["foo"] },
        ],
        "contentGuards": [{ "reject": "(?i)ignore (all|previous)", "reason": "prompt_injection_suspected" }],
        "auditLog": { "retentionDays": 90, "includeBodyHash": true },
    });
    let put = server.request(Method::Put, &path).key(&server.key).json(&given).send().status(200);
    let mut full = given.clone();
    full["senders"][0]["match"]["requireSpf"] = json!(false);
    full["senders"][1]["match"] =
        json!({ "domain": "example.com", "requireDkim": false, "requireSpf": false });
    let expected = json!({
        "mailboxId": mailbox, "version": 1, "policy": full,
        "warnings": ["unknown_capability:foo", "unknown_capability:bar"],
    });
    assert_eq!(put.json(), expected);
    assert_eq!(keys(&put.json()), ["mailboxId", "version", "policy", "warnings"]);
    assert_eq!(server.get(&path).status(200).json(), expected);
    // What GET shows can be put again; each put is a version.
    let again = server.request(Method::Put, &path).key(&server.key).json(&full).send().status(200).json();
    assert_eq!((again["version"].clone(), again["policy"].clone()), (json!(2), full));
    let refused = server.put_policy(
        mailbox,
        &json!({ "defaultAction": "drop", "senders": [], "auditLog": { "retentionDays": 0 } }),
    );
    assert_eq!(refused.status(422).json(), json!({ "errors": ["auditLog.retentionDays must be >= 1"] }));
    assert_eq!(server.get(&path).json()["version"], 2);
    assert_eq!(server.db_number("SELECT count(*) FROM policies"), 2);
    // The policy without the optional parts: the defaults are filled in.
    let least = json!({ "defaultAction": "bounce", "senders": [], "auditLog": { "retentionDays": 1 } });
    let shown = server.put_policy(mailbox, &least).status(200).json();
    let filled = json!({
        "defaultAction": "bounce", "senders": [], "contentGuards": [],
        "auditLog": { "retentionDays": 1, "includeBodyHash": false },
    });
    assert_eq!((shown["policy"].clone(), shown["warnings"].clone()), (filled, json!([])));
}

#[test]
fn a_policy_whose_guards_take_too_much_compiled_is_refused_and_the_guard_is_named() {
    let server = Server::start();
    let mailbox = mailbox(&server);
    let guards = |pattern: &str, n: usize| {
        let guard = |at| json!({ "reject": format!("(?:{pattern}|x{at})"), "reason": "r" });
        let mut put = policy(json!({ "domain": "example.net" }));
        put["contentGuards"] = (0..n).map(guard).collect();
        put
    };
    server.put_policy(mailbox, &guards("(?i)\\bwire the money\\b", 50)).status(200);
    // Each of them would do alone.
    server.put_policy(mailbox, &guards("\\pL{19}", 1)).status(200);
    let refused = server.put_policy(mailbox, &guards("\\pL{19}", 50)).status(422).json();
    let why = "contentGuards[28].reject: takes the policy's guards past 8388608 bytes once compiled; make the patterns smaller or fewer";
    assert_eq!(refused, json!({ "errors": [why] }));
    assert_eq!(server.db_number("SELECT max(version) FROM policies"), 2);
}

// ---------------------------------------------------------------------------------------------- the gate

/// Asks the gate about a message from `sender`, with `more` facts.
fn inbound(server: &Server, mailbox: i64, id: &str, sender: &str, more: &Value) -> Value {
    let mut facts = json!({ "message_id": id, "sender_address": sender });
    for (name, value) in more.as_object().into_iter().flatten() {
        facts[name] = value.clone();
    }
    server.post(&format!("/v1/mailboxes/{mailbox}/inbound"), &facts).status(201).json()
}

/// Outcome, reason and action.
fn decision(decided: &Value) -> (String, Option<String>, String) {
    let text = |name: &str| decided[name].as_str().map(str::to_owned);
    (text("outcome").unwrap_or_default(), text("reason"), text("action").unwrap_or_default())
}

#[test]
fn the_gate_decides_in_the_vendors_order() {
    let server = Server::start();
    let mailbox = mailbox(&server);
    let policy = json!({
        "defaultAction": "bounce",
        "senders": [
            { "match": { "address": "boss@example.net", "requireDkim": true, "requireSpf": true }, "capabilities": ["confirm_meeting"] },
            { "match": { "domain": "example.net", "requireDkim": true }, "capabilities": ["read_calendar", "propose_meeting"] },
            { "match": { "domain": "example.com" }, "capabilities": [] },
            { "match": { "address": "a@sub.example.com", "domain": "sub.example.com" }, "capabilities": ["x"] },
        ],
        "contentGuards": [
            { "reject": "(?i)ignore (all|previous)", "reason": "prompt_injection_suspected" },
            { "reject": "https?://bad\\.example", "reason": "phishing" },
        ],
        "auditLog": { "retentionDays": 30 },
    });
    server.put_policy(mailbox, &policy).good();
    let facts = |dkim: &str, spf: &str, aligned: Value, text: &str| json!({ "verification_dkim": dkim, "verification_spf": spf, "from_alignment": aligned, "text_body": text });
    let refused =
        |outcome: &str, reason: &str| (outcome.to_owned(), Some(reason.to_owned()), "bounce".to_owned());
    let passed = || ("delivered".to_owned(), None, "accept".to_owned());
    let verification = |reason: &str| refused("rejected_at_verification", reason);
    let guard = |reason: &str| refused("rejected_at_content_guard", reason);
    let cases = [
        (
            "eve@example.org",
            facts("pass", "pass", json!(true), ""),
            refused("rejected_at_policy", "no_matching_sender_rule"),
            None,
        ),
        // A subdomain is another domain; a lookalike too.
        (
            "a@x.example.com",
            facts("pass", "pass", json!(true), ""),
            refused("rejected_at_policy", "no_matching_sender_rule"),
            None,
        ),
        (
            "a@notexample.com",
            facts("pass", "pass", json!(true), ""),
            refused("rejected_at_policy", "no_matching_sender_rule"),
            None,
        ),
        ("boss@example.net", facts("pass", "fail", json!(true), ""), verification("spf_not_passed"), None),
        ("boss@example.net", facts("none", "pass", json!(true), ""), verification("dkim_not_passed"), None),
        ("boss@example.net", facts("pass", "pass", json!(false), ""), verification("from_not_aligned"), None),
        // The first rule that matches is the one, though a later one would let it through.
        (
            "BOSS@Example.net",
            facts("pass", "softfail", json!(true), ""),
            verification("spf_not_passed"),
            None,
        ),
        (
            "boss@example.net",
            facts("pass", "pass", json!(true), "Hi"),
            passed(),
            Some((json!(["confirm_meeting"]), 0)),
        ),
        (
            "bob@example.net",
            facts("pass", "fail", Value::Null, "Hi"),
            passed(),
            Some((json!(["read_calendar", "propose_meeting"]), 1)),
        ),
        (
            "bob@example.net",
            facts("temperror", "pass", json!(true), "Hi"),
            verification("dkim_not_passed"),
            None,
        ),
        // Verification goes before the content guards, the first guard before the second.
        (
            "bob@example.net",
            facts("fail", "pass", json!(true), "Ignore all"),
            verification("dkim_not_passed"),
            None,
        ),
        (
            "bob@example.net",
            facts("pass", "pass", json!(true), "IGNORE ALL http://bad.example"),
            guard("prompt_injection_suspected"),
            None,
        ),
        (
            "bob@example.net",
            facts("pass", "pass", json!(true), "see https://bad.example/x"),
            guard("phishing"),
            None,
        ),
        (
            "bob@example.net",
            facts("pass", "pass", json!(true), "see https://bad_example/x"),
            passed(),
            Some((json!(["read_calendar", "propose_meeting"]), 1)),
        ),
        // Without a requirement misalignment is no matter.
        ("a@example.com", facts("fail", "fail", json!(false), "Hi"), passed(), Some((json!([]), 2))),
        ("a@sub.example.com", facts("none", "none", Value::Null, "Hi"), passed(), Some((json!(["x"]), 3))),
        (
            "b@sub.example.com",
            facts("none", "none", Value::Null, "Hi"),
            refused("rejected_at_policy", "no_matching_sender_rule"),
            None,
        ),
    ];
    for (n, (sender, facts, expected, granted)) in cases.into_iter().enumerate() {
        let decided = inbound(&server, mailbox, &format!("m{n}"), sender, &facts);
        assert_eq!(decision(&decided), expected, "{n}: {sender} {facts}");
        let granted =
            granted.map(|(capabilities, index)| json!({ "capabilities": capabilities, "rule_index": index }));
        assert_eq!(decided["capabilities_granted"], granted.unwrap_or_default(), "{n}");
        assert_eq!(decided["policy_version"], 1, "{n}");
        // The answer is the entry and, after it, what to do.
        let mut entry = decided.clone();
        entry.as_object_mut().and_then(|members| members.shift_remove("action")).expect("an action");
        assert_eq!(server.get(&one(mailbox, &format!("m{n}"))).json(), entry, "{n}");
    }
    // Without a sender nobody matches.
    let decided = server.post(
        &format!("/v1/mailboxes/{mailbox}/inbound"),
        &json!({ "message_id": "anonymous", "text_body": "" }),
    );
    assert_eq!(
        decision(&decided.status(201).json()),
        refused("rejected_at_policy", "no_matching_sender_rule")
    );
}

#[test]
fn the_default_action_says_what_becomes_of_a_refused_message() {
    let server = Server::start();
    let mailbox = mailbox(&server);
    // Without a policy nobody may send.
    let decided = inbound(&server, mailbox, "m0", "bob@example.net", &Value::Null);
    assert_eq!(
        decision(&decided),
        ("rejected_at_policy".into(), Some("no_matching_sender_rule".into()), "bounce".into())
    );
    assert_eq!(decided["policy_version"], Value::Null);
    let mut policy = policy(json!({ "domain": "example.net" }));
    policy["defaultAction"] = json!("drop");
    server.put_policy(mailbox, &policy).good();
    let decided = inbound(&server, mailbox, "m1", "eve@example.org", &Value::Null);
    assert_eq!(decision(&decided).2, "drop");
    assert_eq!(decision(&inbound(&server, mailbox, "m2", "bob@example.net", &Value::Null)).2, "accept");
}

#[test]
fn the_same_message_is_not_decided_twice() {
    let server = Server::start();
    let mailbox = mailbox(&server);
    let path = format!("/v1/mailboxes/{mailbox}/inbound");
    let facts = json!({ "message_id": "m1", "sender_address": "bob@example.net" });
    let first = server.post(&path, &facts).status(201).json();
    server.put_policy(mailbox, &policy(json!({ "domain": "example.net" }))).good();
    assert_eq!(server.post(&path, &facts).status(200).json(), first);
    let other = json!({ "message_id": "m1", "sender_address": "eve@example.net" });
    server.post(&path, &other).status(409);
    let raw = raw("raw@example.net", "Hi\r\n");
    let first = post_raw(&server, &path, raw.as_bytes()).status(201).json();
    assert_eq!(decision(&first), ("delivered".into(), None, "accept".into()));
    assert_eq!(post_raw(&server, &path, raw.as_bytes()).status(200).json(), first);
    assert_eq!(n_messages(&server), 2);
}

#[test]
fn rate_limits_are_counted_from_the_log_over_the_last_hour_and_day() {
    let mut server = Server::start();
    let mailbox = mailbox(&server);
    let mut policy = policy(json!({ "domain": "example.net" }));
    policy["senders"][0]["rateLimit"] = json!({ "perHour": 2, "perDay": 3 });
    server.put_policy(mailbox, &policy).good();
    let mut n = 0;
    let mut at = |server: &Server, seconds: i64| {
        server.clock.set(time(START).plus_seconds(seconds));
        n += 1;
        let decided = inbound(server, mailbox, &format!("m{n}"), "bob@example.net", &Value::Null);
        let (outcome, reason, _) = decision(&decided);
        (outcome, reason.unwrap_or_default())
    };
    let delivered = || ("delivered".to_owned(), String::new());
    let limited = |reason: &str| ("rate_limited".to_owned(), reason.to_owned());
    assert_eq!(at(&server, 0), delivered());
    assert_eq!(at(&server, 10), delivered());
    assert_eq!(at(&server, 20), limited("rate_limit_per_hour"));
    // What was refused does not count; a restart forgets nothing.
    server.restart();
    assert_eq!(at(&server, 3599), limited("rate_limit_per_hour"));
    assert_eq!(at(&server, 3600), delivered());
    assert_eq!(at(&server, 3605), limited("rate_limit_per_hour"));
    // Both of the hour are over, but the day has its three.
    assert_eq!(at(&server, 9000), limited("rate_limit_per_day"));
    assert_eq!(at(&server, 86_399), limited("rate_limit_per_day"));
    assert_eq!(at(&server, 86_400), delivered());
    // Moving the rule does not start it anew; another rule has its own count.
    policy["senders"] = json!([
        { "match": { "domain": "example.com" }, "capabilities": [], "rateLimit": { "perHour": 0 } },
        policy["senders"][0],
    ]);
    server.put_policy(mailbox, &policy).good();
    assert_eq!(at(&server, 86_401), limited("rate_limit_per_day"));
    let decided = inbound(&server, mailbox, "other", "eve@example.com", &Value::Null);
    assert_eq!(decision(&decided).1.as_deref(), Some("rate_limit_per_hour"));
}

#[test]
fn token_budgets_are_fed_by_what_agents_report() {
    let server = Server::start();
    let mailbox = mailbox(&server);
    let mut policy = policy(json!({ "domain": "example.net" }));
    policy["senders"][0]["tokenBudget"] = json!({ "perThread": 100, "perDay": 150 });
    server.put_policy(mailbox, &policy).good();
    let decide = |id: &str, thread: &str| {
        let decided = inbound(&server, mailbox, id, "bob@example.net", &json!({ "thread_id": thread }));
        let (outcome, reason, _) = decision(&decided);
        (outcome, reason.unwrap_or_default())
    };
    let report = |id: &str, tokens: Value| {
        server.patch(&one(mailbox, id), &json!({ "tokens_consumed": tokens })).status(200);
    };
    let delivered = || ("delivered".to_owned(), String::new());
    let exhausted = |reason: &str| ("budget_exhausted".to_owned(), reason.to_owned());
    assert_eq!(decide("m1", "t1"), delivered());
    report("m1", json!({ "input": 30, "output": 29, "model": "x" }));
    assert_eq!(decide("m2", "t1"), delivered());
    report("m2", json!({ "total": 40, "input": 1000 }));
    // 99 of 100.
    assert_eq!(decide("m3", "t1"), delivered());
    report("m3", json!(1));
    assert_eq!(decide("m4", "t1"), exhausted("token_budget_per_thread"));
    assert_eq!(decide("m5", "t2"), delivered());
    report("m5", json!({ "total_tokens": 50 }));
    // 150 of the day: every thread waits.
    assert_eq!(decide("m6", "t3"), exhausted("token_budget_per_day"));
    server.clock.set(time(START).plus_seconds(86_399));
    assert_eq!(decide("m7", "t3"), exhausted("token_budget_per_day"));
    server.clock.set(time(START).plus_seconds(86_400));
    assert_eq!(decide("m8", "t3"), delivered());
    // A thread's budget has no day.
    assert_eq!(decide("m9", "t1"), exhausted("token_budget_per_thread"));
    // A message that joins the exhausted thread later brings its tokens along.
    report("m8", json!(60));
    server.patch(&one(mailbox, "m4"), &json!({ "tokens_consumed": 5 })).status(200);
    let alone = inbound(&server, mailbox, "m10", "bob@example.net", &Value::Null);
    assert_eq!(alone["outcome"], "delivered");
    report("m10", json!(45));
    server.patch(&one(mailbox, "m10"), &json!({ "thread_id": "t3" })).status(200);
    assert_eq!(decide("m11", "t3"), exhausted("token_budget_per_thread"));
}

#[test]
fn a_raw_message_is_believed_as_far_as_its_trusted_server() {
    let server = Server::start_with(&[("authserv_ids", "mx.example.org")]);
    let mailbox = mailbox(&server);
    server.put_policy(mailbox, &policy(json!({ "domain": "example.net", "requireDkim": true }))).good();
    let path = format!("/v1/mailboxes/{mailbox}/inbound");
    let decide = |message: String| decision(&post_raw(&server, &path, message.as_bytes()).status(201).json());
    assert_eq!(decide(raw("m1@example.net", "Hi\r\n")).0, "delivered");
    let forged = raw("m2@example.net", "Hi\r\n").replace("mx.example.org; dkim", "mx.example.com; dkim");
    assert_eq!(decide(forged).1.as_deref(), Some("dkim_not_passed"));
}

// ---------------------------------------------------------------------------------------------- texts

/// One rule, two guards, and hashes kept.
fn guarded() -> Value {
    let mut put = policy(json!({ "domain": "example.net" }));
    put["contentGuards"] = json!([
        { "reject": "(?i)wire the money", "reason": "fraud" },
        { "reject": "^$", "reason": "empty" },
    ]);
    put["auditLog"]["includeBodyHash"] = json!(true);
    put
}

/// A message of Bob's with more fields and a body.
fn from_bob(id: &str, more: &str) -> String {
    format!("From: bob@example.net\r\nMessage-ID: <{id}@example.net>\r\n{more}")
}

#[test]
fn a_text_that_cannot_be_read_is_told_and_refused_where_there_are_guards() {
    let server = Server::start();
    let (open, guarded_one) =
        (mailbox(&server), server.add_mailbox(&server.workspace, "g@example.org", None, None));
    let mut put = guarded();
    server.put_policy(guarded_one, &put).status(200);
    put["contentGuards"] = json!([]);
    server.put_policy(open, &put).status(200);
    let part =
        |part: &str| format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n{part}\r\n--b--\r\n");
    for (id, more, problem) in [
        ("charset", "Content-Type: text/plain; charset=nonsense\r\n\r\nHi".to_owned(), "charset"),
        ("coding", "Content-Transfer-Encoding: x-uuencode\r\n\r\nHi".into(), "transfer_encoding"),
        ("lost", "Content-Type: multipart/mixed; boundary=b\r\n\r\nHi".into(), "structure"),
        ("inner", part("Content-Type: multipart/mixed\r\n\r\nHi"), "structure"),
        (
            "parts",
            format!("Content-Type: multipart/mixed; boundary=b\n\n{}", "--b\n\nx\n".repeat(10_000)),
            "too_many_parts",
        ),
        ("long", format!("\r\n{}", "x".repeat((1 << 20) + 1)), "too_long"),
    ] {
        let raw = from_bob(id, &more);
        let recorded = post_raw(&server, &log(open), raw.as_bytes()).status(201).json();
        assert_eq!(
            (&recorded["text_problem"], &recorded["body_hash"]),
            (&json!(problem), &Value::Null),
            "{id}"
        );
        let path = |mailbox| format!("/v1/mailboxes/{mailbox}/inbound");
        let decided = post_raw(&server, &path(guarded_one), raw.as_bytes()).status(201).json();
        let refused =
            ("rejected_at_content_guard".to_owned(), Some("text_unreadable".to_owned()), "bounce".to_owned());
        assert_eq!(decision(&decided), refused, "{id}");
        assert_eq!(
            (&decided["text_problem"], &decided["body_hash"]),
            (&json!(problem), &Value::Null),
            "{id}"
        );
        // Without guards nobody looks at the text.
        let raw = from_bob(&format!("{id}2"), &more);
        let decided = post_raw(&server, &path(open), raw.as_bytes()).status(201).json();
        assert_eq!(
            (&decided["outcome"], &decided["text_problem"]),
            (&json!("delivered"), &json!(problem)),
            "{id}"
        );
        let shown = server.get(&one(open, &format!("{id}2@example.net"))).status(200).json();
        assert_eq!(shown["text_problem"], problem, "{id}");
    }
    // A caller that reads messages itself may tell the same.
    let told = |outcome: Option<&str>| {
        let mut given =
            json!({ "message_id": "told", "sender_address": "bob@example.net", "text_problem": "charset" });
        if let Some(outcome) = outcome {
            given["outcome"] = json!(outcome);
        }
        given
    };
    let decided =
        server.post(&format!("/v1/mailboxes/{guarded_one}/inbound"), &told(None)).status(201).json();
    assert_eq!(
        (&decided["reason"], &decided["text_problem"]),
        (&json!("text_unreadable"), &json!("charset"))
    );
    server.post(&log(open), &told(Some("delivered"))).status(201);
    server.post(&log(open), &told(Some("delivered"))).status(200);
    let mut other = told(Some("delivered"));
    other["text_problem"] = Value::Null;
    server.post(&log(open), &other).status(409);
}

#[test]
fn guards_that_would_take_minutes_refuse_the_message_and_say_why() {
    let server = Server::start();
    let mailbox = mailbox(&server);
    let mut put = guarded();
    put["contentGuards"] = json!([{ "reject": "[ab]*a[ab]{12800}c", "reason": "never" }]);
    server.put_policy(mailbox, &put).status(200);
    let path = format!("/v1/mailboxes/{mailbox}/inbound");
    let refused =
        ("rejected_at_content_guard".to_owned(), Some("guards_too_costly".to_owned()), "bounce".to_owned());
    for (id, text) in [("long", "ab".repeat(500_000)), ("short", "ab".repeat(30_000))] {
        let raw = from_bob(id, &format!("\r\n{text}"));
        let decided = post_raw(&server, &path, raw.as_bytes()).status(201).json();
        assert_eq!(decision(&decided), refused, "{id}");
        assert!(decided["text_problem"].is_null() && decided["body_hash"].is_string(), "the text was read");
    }
    let decided = post_raw(&server, &path, from_bob("other", "\r\nHi").as_bytes()).status(201).json();
    assert_eq!(decided["outcome"], "delivered");
}

#[test]
fn guards_see_the_subject_the_text_and_html_and_what_was_read_wrongly_once() {
    let server = Server::start();
    let mailbox = mailbox(&server);
    server.put_policy(mailbox, &guarded()).status(200);
    let alternative = |html: &str| {
        format!(
            "Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\nHi\r\n--b\r\n\
             Content-Type: text/html\r\n\r\n{html}\r\n--b--\r\n"
        )
    };
    for (id, more, reason) in [
        ("none", "Subject: hi\r\n\r\nHi".to_owned(), Value::Null),
        ("subject", "Subject: =?utf-8?q?Wire_the?=\r\n money\r\n\r\nHi".into(), json!("fraud")),
        ("text", "Subject: hi\r\n\r\nwire the money".into(), json!("fraud")),
        ("html", format!("Subject: hi\r\n{}", alternative("wi<b>re</b> t&#104;e mon<!-- x -->ey")), json!("fraud")),
        ("wrapped html", format!("Subject: hi\r\n{}", alternative("<p>wire\r\n   the\tmoney</p>")), json!("fraud")),
        ("folded subject", "Subject: wire\r\n \t the\r\n  money\r\n\r\nHi".into(), json!("fraud")),
        ("wrapped text", "Subject: hi\r\nContent-Type: text/plain; format=flowed\r\n\r\nwire \r\nthe money".into(), json!("fraud")),
        ("unseen", "Subject: =?utf-8?q?wi=E2=80=8Bre=C2=A0the_mo=C2=ADney?=\r\n\r\nHi".into(), json!("fraud")),
        ("unseen html", format!("Subject: hi\r\n{}", alternative("wi&lrm;re&ensp;the mo&#x34f;ney")), json!("fraud")),
        ("empty", "Subject: hi\r\n\r\n".into(), json!("empty")),
        ("html2", format!("Subject: hi\r\n{}", alternative("Hi")), Value::Null),
        ("html3", alternative("Hi").replace("text/html", "text/html; charset=nonsense"), json!("text_unreadable")),
        ("folded", "Subject: hi\r\nContent-Type: multipart/mixed; boundary=\r\n \"b\"\r\n\r\n--b\r\n\r\nwire the money".into(), json!("fraud")),
    ] {
        let raw = from_bob(id, &more);
        let decided = post_raw(&server, &format!("/v1/mailboxes/{mailbox}/inbound"), raw.as_bytes());
        let decided = decided.status(201).json();
        assert_eq!(decided["reason"], reason, "{id}");
        // Of a text that was read there is the hash, whatever became of the HTML beside it.
        assert!(decided["body_hash"].is_string(), "{id}");
        let problem = if id == "html3" { json!("charset") } else { Value::Null };
        assert_eq!(decided["text_problem"], problem, "{id}");
    }
}

#[test]
fn a_message_in_utf8_and_the_head_of_a_large_one_are_taken() {
    let server = Server::start();
    let mailbox = mailbox(&server);
    let send = |media_type: &str, query: &str, body: &str| {
        let path = format!("{}{query}", log(mailbox));
        server.request(Method::Post, &path).key(&server.key).body(media_type, body).send()
    };
    let raw = "From: ann@b\u{fc}cher.example\r\nMessage-ID: <1@x>\r\n\r\nHi";
    let global = send("message/global", "", raw).status(201).json();
    assert_eq!(global["sender_address"], "ann@b\u{fc}cher.example");
    assert_eq!(send("message/rfc822", "", raw).status(200).json(), global);

    let head = "From: ann@example.org\r\nMessage-ID: <2@x>\r\n\r\n";
    let large = send("text/rfc822-headers", &format!("?message_hash={HELLO}"), head).status(201).json();
    assert_eq!((&large["message_hash"], &large["body_hash"]), (&json!(HELLO), &Value::Null));
    assert_eq!((&large["text_problem"], &large["message_id"]), (&json!("message_too_long"), &json!("2@x")));
    // The same again, and another message with this head.
    send("text/rfc822-headers", &format!("?message_hash={HELLO}"), head).status(200);
    let other = send("text/rfc822-headers", &format!("?message_hash={HELLO_WORLD}"), head).status(201).json();
    assert_eq!(other["message_id"], format!("2@x#{}", &HELLO_WORLD[..16]));
    for (query, why) in [
        ("", "message_hash: is required with text/rfc822-headers: the SHA-256 of the whole message"),
        ("?message_hash=00", "message_hash: is not 64 hex digits: the SHA-256 of the whole message"),
    ] {
        let refused = send("text/rfc822-headers", query, head).status(422).json();
        assert_eq!(refused, json!({ "errors": [why] }), "{query}");
    }
    // One whose attachments were left out.
    let reduced = "From: ann@example.org\r\n\r\nHi";
    let made = send("message/rfc822", &format!("?message_hash={HELLO}"), reduced).status(201).json();
    assert_eq!((&made["message_hash"], &made["text_problem"]), (&json!(HELLO), &Value::Null));
    assert_eq!(made["message_id"], format!("{}@derived.mailtrail", &HELLO[..32]));
}
