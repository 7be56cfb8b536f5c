//! What came later to an entry, within its bounds; and pages of entries that are large.

use std::collections::BTreeSet;

use mailtrail::http::Method;
use mailtrail::messages::{MOST_BYTES, MOST_FACTS};
use serde_json::{Value, json};

use crate::support::{Answer, OWNER, Server};

struct Mailbox {
    server: Server,
    list: String,
}

impl Mailbox {
    fn new() -> Self {
        let server = Server::start();
        let mailbox = server.add_mailbox(&server.workspace, "agent@example.org", None, None);
        Self { list: format!("/v1/mailboxes/{mailbox}/audit-logs"), server }
    }

    fn deliver(&self, message_id: &str) {
        let entry = json!({ "message_id": message_id, "outcome": "delivered" });
        self.server.post(&self.list, &entry).status(201);
    }

    fn append(&self, message_id: &str, facts: Value) -> Answer {
        self.server.patch(&format!("{}/{message_id}", self.list), &facts)
    }

    fn entry(&self, message_id: &str) -> Value {
        self.server.get(&format!("{}/{message_id}", self.list)).status(200).json()
    }
}

/// So many bytes of JSON.
fn large(n: usize, what: &str) -> Value {
    json!({ "what": what, "text": "x".repeat(n - 24 - what.len()) })
}

#[test]
fn an_entry_that_is_full_takes_what_closes_it_and_goes_on_counting_tokens() {
    let mailbox = Mailbox::new();
    mailbox.deliver("m1");
    for n in 1..=MOST_FACTS {
        let report = if n % 2 == 0 {
            json!({ "tools_used": [n] })
        } else {
            json!({ "tokens_consumed": { "input": 3 } })
        };
        mailbox.append("m1", report).status(200);
    }
    let full = mailbox.entry("m1");
    assert_eq!(full["appended"].as_array().map(Vec::len), Some(MOST_FACTS as usize));
    assert_eq!(full.get("appended_omitted"), None);
    assert_eq!(
        (&full["tokens_consumed"], full["tools_used"].as_array().map(Vec::len)),
        (&json!({ "input": 150 }), Some(50))
    );

    let before = mailbox.server.db_number("SELECT last_seq FROM sequence");
    let refused = mailbox.append("m1", json!({ "tools_used": [0] })).status(409).json();
    let message = refused["error"].as_str().expect("a message");
    assert!(message.starts_with("tools_used: the entry has 100 facts of "), "{message}");
    // All or nothing.
    mailbox.append("m1", json!({ "tokens_consumed": { "input": 1 }, "tools_used": [0] })).status(409);
    assert_eq!(mailbox.server.db_number("SELECT last_seq FROM sequence"), before);
    assert_eq!(mailbox.entry("m1"), full);

    for n in 1..=20 {
        let answer =
            mailbox.append("m1", json!({ "tokens_consumed": { "input": 1, "output": n } })).status(200);
        assert_eq!(answer.json(), mailbox.entry("m1"));
    }
    mailbox.append("m1", json!({ "reply_sent": { "id": "r1" } })).status(200);
    mailbox.append("m1", json!({ "reply_sent": { "id": "r2" } })).status(409);
    mailbox.append("m1", json!({ "thread_id": "T1", "tokens_consumed": { "input": 0 } })).status(200);
    mailbox.append("m1", json!({ "bounce": "550" })).status(200);
    mailbox.append("m1", json!({ "bounce": "551" })).status(409);
    mailbox.append("m1", json!({ "thread_id": "T1" })).status(200);

    let entry = mailbox.entry("m1");
    assert_eq!(entry["tokens_consumed"], json!({ "input": 170, "output": 210 }));
    assert_eq!(entry["reply_sent"], json!({ "id": "r1", "bounce": "550" }));
    assert_eq!(entry["thread_id"], "T1");
    let kinds: Vec<&Value> = entry["appended"].as_array().expect("a list")[MOST_FACTS as usize..]
        .iter()
        .map(|fact| &fact["kind"])
        .collect();
    assert_eq!(kinds, ["reply_sent", "thread_id", "bounce"]);
    assert_eq!(entry["appended_omitted"], 21);
    // Every fact is a leaf all the same, the last one too.
    mailbox.server.get(&format!("{}/m1/proof?fact=124", mailbox.list)).status(200);
    mailbox.server.get(&format!("{}/m1/proof?fact=125", mailbox.list)).status(404);
    let list = mailbox.server.get(&format!("{}?thread_id=T1", mailbox.list)).status(200).json();
    assert_eq!(list["items"], json!([entry]));
    let csv = mailbox.server.get(&format!("{}?format=csv", mailbox.list)).status(200).body_text();
    assert!(csv.contains(r#","{""input"":170,""output"":210}","#), "{csv}");
    assert_eq!(
        mailbox.server.operator(Method::Post, "/api/v1/admin/check", &Value::Null).status(200).json()["ok"],
        true
    );
}

#[test]
fn an_entry_is_full_by_its_bytes_too() {
    let mailbox = Mailbox::new();
    mailbox.deliver("m1");
    let each = 60 * 1024;
    for _ in 0..MOST_BYTES as usize / each {
        mailbox.append("m1", json!({ "tools_used": large(each, "tool") })).status(200);
    }
    mailbox.append("m1", json!({ "tools_used": large(each, "tool") })).status(409);
    mailbox.append("m1", json!({ "reply_sent": large(each, "reply"), "tokens_consumed": 7 })).status(200);
    mailbox.append("m1", json!({ "bounce": large(each, "bounce"), "tokens_consumed": 8 })).status(200);
    // Full is full, also for what would fit.
    mailbox.append("m1", json!({ "tools_used": [1] })).status(409);
    let entry = mailbox.entry("m1");
    assert_eq!((&entry["tokens_consumed"], &entry["tools_used"]["what"]), (&json!(15), &json!("tool")));
    assert_eq!(
        (&entry["reply_sent"]["what"], &entry["reply_sent"]["bounce"]["what"]),
        (&json!("reply"), &json!("bounce"))
    );
    assert_eq!(entry["appended_omitted"], 2);
}

#[test]
fn a_sum_of_tokens_has_a_bound_of_its_own() {
    let mailbox = Mailbox::new();
    mailbox.deliver("m1");
    let report = |of: usize| -> Value {
        let members = (0..300).map(|n| (format!("model {of} {n:04}, as it is called"), json!(n)));
        json!({ "tokens_consumed": members.collect::<serde_json::Map<_, _>>() })
    };
    mailbox.append("m1", report(0)).status(200);
    mailbox.append("m1", report(0)).status(200);
    let refused = mailbox.append("m1", report(1)).status(409).json();
    let message = refused["error"].as_str().expect("a message");
    assert!(message.starts_with("tokens_consumed: the reports together have "), "{message}");
    mailbox.append("m1", report(0)).status(200);
    assert_eq!(mailbox.entry("m1")["tokens_consumed"]["model 0 0299, as it is called"], 897);
}

/// Who could fill an entry could otherwise spend what they like.
#[test]
fn a_budget_counts_what_a_full_entry_took() {
    let mailbox = Mailbox::new();
    let policy = json!({
        "defaultAction": "bounce",
        "senders": [{
            "match": { "domain": "example.net" }, "capabilities": ["read"],
            "tokenBudget": { "perThread": 1000, "perDay": 5000 },
        }],
        "auditLog": { "retentionDays": 30, "includeBodyHash": false },
    });
    let number: i64 =
        mailbox.list.split('/').nth(3).and_then(|number| number.parse().ok()).expect("a number");
    mailbox.server.put_policy(number, &policy).good();
    let inbound = mailbox.list.replace("audit-logs", "inbound");
    let arrive = |message_id: &str, thread: &str| {
        let message =
            json!({ "message_id": message_id, "thread_id": thread, "sender_address": "bob@example.net" });
        mailbox.server.post(&inbound, &message).status(201).json()["reason"].clone()
    };
    assert_eq!(arrive("m1", "T"), Value::Null);
    for _ in 0..MOST_FACTS {
        mailbox.append("m1", json!({ "tokens_consumed": 9 })).status(200);
    }
    assert_eq!(arrive("m2", "T"), Value::Null, "900 of 1000");
    mailbox.append("m1", json!({ "tokens_consumed": 100 })).status(200);
    assert_eq!(arrive("m3", "T"), "token_budget_per_thread");
    assert_eq!(arrive("m4", "U"), Value::Null);
    mailbox.append("m1", json!({ "tokens_consumed": { "total": 4000, "input": 1 } })).status(200);
    assert_eq!(arrive("m5", "U"), "token_budget_per_day");
}

// ---------------------------------------------------------------------------------------------- pages

#[test]
fn a_page_of_large_entries_ends_early_and_the_cursor_goes_on() {
    let mailbox = Mailbox::new();
    for n in 0..14 {
        let entry = json!({
            "message_id": format!("m{n}"), "outcome": "delivered", "tools_used": large(64_000, "tools"),
            "reply_sent": large(64_000, "reply"), "tokens_consumed": n,
        });
        mailbox.server.post(&mailbox.list, &entry).status(201);
    }
    let (mut seen, mut cursor, mut n_pages) = (Vec::<i64>::new(), String::new(), 0);
    loop {
        let answer = mailbox.server.get(&format!("{}?limit=200{cursor}", mailbox.list)).status(200);
        assert!(answer.body.len() < 2 * 1024 * 1024, "{} bytes", answer.body.len());
        let page = answer.json();
        let ids: Vec<i64> = page["items"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|entry| entry["id"].as_i64().expect("an id"))
            .collect();
        assert!(!ids.is_empty());
        seen.extend(&ids);
        n_pages += 1;
        match page["next_cursor"].as_i64() {
            None => break,
            Some(next) => {
                assert_eq!(Some(&next), ids.last(), "the smallest of the page");
                cursor = format!("&cursor={next}");
            }
        }
    }
    assert!(n_pages > 2, "{n_pages}");
    let streamed = mailbox.server.get(&format!("{}?format=ndjson", mailbox.list)).status(200).body_text();
    let streamed: Vec<i64> = streamed
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["id"].as_i64().expect("an id"))
        .collect();
    assert_eq!(seen, streamed);
    assert_eq!(seen.len(), 14);
    assert!(seen.is_sorted_by(|a, b| a > b));
}

/// The vendors' clients go on by as many as they asked for: a page by offset has them all, however large they are.
#[test]
fn a_page_by_offset_is_whole() {
    let server = Server::start();
    let project = server.add_project(&server.workspace, "Site");
    let path = format!("/api/v1/projects/{project}/audit-log");
    for n in 0..70 {
        let entry = json!({
            "user_id": "01HZX3YV5N8Q2R4T6W8Y0A2C4E", "action": "site.publish", "target_id": format!("t{n}"),
            "metadata": large(60 * 1024, "site"),
        });
        server.post(&path, &entry).status(201);
    }
    let cookie = server.login(OWNER);
    let page = |query: &str| {
        server.request(Method::Get, &format!("{path}?{query}")).cookie(&cookie).send().status(200)
    };
    let whole = page("limit=200&action=site.publish");
    assert!(whole.body.len() > 4 * 1024 * 1024);
    assert_eq!(whole.header("link"), None);
    let entries = whole.json();
    assert_eq!((entries["entries"].as_array().map(Vec::len), &entries["total"]), (Some(70), &json!(70)));
    // SendDock's loop.
    let mut ids = BTreeSet::new();
    let mut offset = 0;
    while ids.len() < 70 {
        let page = page(&format!("limit=30&offset={offset}&action=site.publish")).json();
        ids.extend(page["entries"].as_array().expect("a list").iter().map(|entry| entry["id"].to_string()));
        offset += 30;
        assert!(offset <= 90, "it does not end");
    }
    let link = page("limit=30&action=site.publish");
    let next = link.header("link").expect("more").split(['<', '>']).nth(1).expect("a target").to_owned();
    let rest = server.request(Method::Get, &next).cookie(&cookie).send().status(200).json();
    assert_eq!(rest["entries"], json!(entries["entries"].as_array().expect("a list")[30..60]));
    let small = page("limit=2&action=site.publish");
    assert_eq!(small.header("content-length"), Some(small.body.len().to_string().as_str()), "of one piece");
}
