//! Following a log by `after`: every row once, in the order of recording, whatever its own time; what is appended to a
//! message brings its entry again. And the list of all messages of a workspace, which is followed alike.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use mailtrail::http::Method;
use mailtrail::owners::mailboxes::{self, NewMailbox};
use mailtrail::store::Tx;
use serde_json::{Value, json};

use crate::support::{OWNER, START, Server, time};

const WRITERS: usize = 32;
const WRITES: usize = 12;

/// What a follower asks: path, the envelope's word, and the header that lets it in.
struct Followed {
    path: String,
    word: &'static str,
    header: (&'static str, String),
}

impl Followed {
    fn of(server: &Server, path: &str, word: &'static str) -> Self {
        Self { path: path.into(), word, header: ("authorization", format!("Bearer {}", server.key)) }
    }

    fn of_person(server: &Server, path: &str) -> Self {
        Self { path: path.into(), word: "entries", header: ("cookie", server.login(OWNER)) }
    }

    /// The rows behind a number, and up to where the answer is complete.
    fn ask(&self, server: &Server, after: i64, more: &str) -> (Vec<Value>, i64) {
        let path = format!("{}?after={after}{more}", self.path);
        let answer =
            server.request(Method::Get, &path).header(self.header.0, &self.header.1).send().status(200);
        let body = answer.json();
        assert_eq!(body.as_object().expect("an object").len(), 2, "{body}");
        let next = body["next_after"].as_i64().expect("a number");
        (body[self.word].as_array().expect("rows").clone(), next)
    }

    /// All behind a number, page by page; in which order they came is looked at.
    fn all(&self, server: &Server, mut after: i64, more: &str) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            let (rows, next) = self.ask(server, after, more);
            for row in &rows {
                assert!(seq(row) > after && seq(row) <= next, "{row} between {after} and {next}");
            }
            all.extend(rows);
            if next == after {
                let order: Vec<i64> = all.iter().map(seq).collect();
                assert!(order.is_sorted_by(|a, b| a < b), "{order:?}");
                return all;
            }
            after = next;
        }
    }
}

fn seq(row: &Value) -> i64 {
    row["seq"].as_i64().expect("a seq")
}

fn members<'a>(rows: &'a [Value], name: &str) -> Vec<&'a str> {
    rows.iter().map(|row| row[name].as_str().unwrap_or_default()).collect()
}

fn log(mailbox: i64) -> String {
    format!("/v1/mailboxes/{mailbox}/audit-logs")
}

fn entry(message_id: &str) -> Value {
    json!({ "message_id": message_id, "outcome": "delivered" })
}

/// A writer is over, also one that failed.
struct Over<'a>(&'a AtomicUsize);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What is followed may be a word that no row has yet. Its first row comes, although it was recorded while somebody asked.
#[test]
fn the_first_row_of_a_word_reaches_who_waits_for_it() {
    const WORDS: usize = 250;
    const FOLLOWERS: usize = 3;
    let server = Server::start_with(&[("log", "error")]);
    let project = server.add_project(&server.workspace, "Newsletter");
    let path = format!("/api/v1/projects/{project}/audit-log");
    let uuid = "0190b3c8-5e4a-7cc1-8a1d-2f6f0c9b7e11";
    let followed = Followed::of_person(&server, &path);
    for n in 0..WORDS {
        let action = format!("x.{n}");
        let is_recorded = AtomicUsize::new(0);
        let wait = || {
            let mut after = 0;
            loop {
                // Asked for once more after it was recorded, it is there, or was passed over.
                let is_last = is_recorded.load(Ordering::SeqCst) == 1;
                let (rows, next) = followed.ask(&server, after, &format!("&action={action}"));
                if is_last || !rows.is_empty() {
                    return rows.len();
                }
                after = next;
            }
        };
        std::thread::scope(|scope| {
            let waiting = [(); FOLLOWERS].map(|()| scope.spawn(wait));
            server.post(&path, &json!({ "action": action, "user_id": uuid })).status(201);
            is_recorded.store(1, Ordering::SeqCst);
            assert_eq!(waiting.map(|one| one.join().expect("a follower")), [1; FOLLOWERS], "{action}");
        });
    }
}

/// Writers record rows of any time, and append to some; whoever follows meanwhile has all of it in the end, each once.
#[test]
fn nothing_is_lost_or_comes_twice_however_many_write() {
    let server = Server::start_with(&[("log", "error")]);
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let boxes: Vec<i64> = (0..3)
        .map(|n| server.add_mailbox(&server.workspace, &format!("a{n}@example.org"), None, None))
        .collect();
    let project = server.add_project(&server.workspace, "Newsletter");
    let uuid = "0190b3c8-5e4a-7cc1-8a1d-2f6f0c9b7e11";
    let n_left = AtomicUsize::new(WRITERS);
    let follow = |followed: &Followed| {
        let (mut all, mut after) = (Vec::new(), 0);
        loop {
            let is_over = n_left.load(Ordering::SeqCst) == 0;
            let (rows, next) = followed.ask(
                &server,
                after,
                if followed.word == "entries" { "&limit=7&action=x.y" } else { "&limit=7" },
            );
            assert!(next >= after);
            all.extend(rows);
            if is_over && next == after {
                return all;
            }
            after = next;
        }
    };
    let write = |writer: usize| {
        let _over = Over(&n_left);
        for n in 0..WRITES {
            let mark = format!("{writer}-{n}");
            // Most are of earlier than what is there already.
            let at = time(START).plus_seconds(-(((writer * 7919 + n * 104_729) % 800_000) as i64));
            match n % 3 {
                0 => {
                    let event = json!({
                        "tenant_id": tenant, "mailbox_address": format!("{mark}@example.org"), "action_taken": "blocked", "sent_count": 2,
                        "limit_value": 1, "created_at": at.to_string(),
                    });
                    server.post("/v1/enforcement/events", &event).status(201);
                }
                1 => {
                    let path = log(boxes[writer % boxes.len()]);
                    let mut new = entry(&mark);
                    new["received_at"] = at.seconds().into();
                    server.post(&path, &new).status(201);
                    server.patch(&format!("{path}/{mark}"), &json!({ "reply_sent": mark })).status(200);
                }
                _ => {
                    let activity = json!({ "action": "x.y", "user_id": uuid, "target_id": mark, "created_at": at.to_string() });
                    server.post(&format!("/api/v1/projects/{project}/audit-log"), &activity).status(201);
                }
            }
        }
    };
    let followed = [
        Followed::of(&server, "/v1/enforcement/events", "events"),
        Followed::of(&server, "/v1/messages", "items"),
        Followed::of_person(&server, &format!("/api/v1/projects/{project}/audit-log")),
    ];
    let [events, messages, activities] = std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let write = &write;
            scope.spawn(move || write(writer));
        }
        let followers = followed.each_ref().map(|one| scope.spawn(|| follow(one)));
        followers.map(|follower| follower.join().expect("a follower"))
    });
    let written = |kind: usize| -> BTreeSet<String> {
        let marks = (0..WRITERS).flat_map(|writer| (0..WRITES).map(move |n| (writer, n)));
        marks.filter(|(_, n)| n % 3 == kind).map(|(writer, n)| format!("{writer}-{n}")).collect()
    };
    let once = |rows: &[Value], name: &str, kind| {
        assert!(rows.is_sorted_by(|a, b| seq(a) < seq(b)), "{name}");
        let mark = |text: &str| text.trim_end_matches("@example.org").to_owned();
        let marks: BTreeSet<String> = members(rows, name).into_iter().map(mark).collect();
        assert_eq!((marks.len(), &marks), (rows.len(), &written(kind)), "{name}");
    };
    once(&events, "mailbox_address", 0);
    once(&activities, "target_id", 2);
    // Entries as they were recorded, and again with what was appended.
    let (first, again): (Vec<Value>, Vec<Value>) =
        messages.into_iter().partition(|row| row["reply_sent"].is_null());
    once(&first, "message_id", 1);
    once(&again, "message_id", 1);
    assert!(first.iter().all(|row| row["seq"] == row["id"]));
    assert!(
        again.iter().all(
            |row| row["reply_sent"] == row["message_id"] && seq(row) > row["id"].as_i64().expect("an id")
        )
    );
}

#[test]
fn each_fact_brings_its_entry_as_it_was_then() {
    let server = Server::start();
    let mailbox = server.add_mailbox(&server.workspace, "a@example.org", None, None);
    let other = server.add_mailbox(&server.workspace, "b@example.org", None, None);
    let one = server.post(&log(mailbox), &entry("one")).status(201).json();
    assert_eq!(one["seq"], one["id"]);
    server.post(&log(other), &entry("other")).status(201);
    let path = format!("{}/one", log(mailbox));
    server.patch(&path, &json!({ "thread_id": "T" })).status(200);
    server.post(&log(mailbox), &entry("two")).status(201);
    let last = server.patch(&path, &json!({ "tokens_consumed": 5, "reply_sent": "r" })).status(200).json();
    let followed = Followed::of(&server, &log(mailbox), "items");
    let all = followed.all(&server, 0, "");
    assert_eq!(members(&all, "message_id"), ["one", "one", "two", "one", "one"]);
    let shown: Vec<(&Value, &Value, &Value)> =
        all.iter().map(|row| (&row["thread_id"], &row["reply_sent"], &row["tokens_consumed"])).collect();
    let (thread, reply, tokens, none) = (json!("T"), json!("r"), json!(5), Value::Null);
    assert_eq!(shown[..3], [(&none, &none, &none), (&thread, &none, &none), (&none, &none, &none)]);
    assert_eq!(shown[4], (&thread, &reply, &tokens));
    assert_eq!(all[4], last, "the last is what stands");
    // From each place on, what is behind it; and the list shows each once, with its last number.
    for (at, row) in all.iter().enumerate() {
        assert_eq!(followed.all(&server, seq(row), "&limit=1"), all[at + 1..]);
    }
    let listed = server.get(&log(mailbox)).status(200).json();
    assert_eq!(listed["items"], json!([all[2], all[4]]));
    // A filter means the entry, also when it is brought by a fact.
    for (filter, expected) in [
        ("&message_id=one", 4),
        ("&thread_id=T", 4),
        ("&message_id=two", 1),
        ("&outcome=rate_limited", 0),
        ("&outcome=delivered", 5),
        ("&recipient_address=A@example.org", 5),
        ("&reason=none", 0),
    ] {
        assert_eq!(followed.all(&server, 0, filter).len(), expected, "{filter}");
    }
}

#[test]
fn an_answer_says_how_far_it_is_complete_also_when_it_is_empty() {
    let server = Server::start();
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let mailbox = server.add_mailbox(&server.workspace, "a@example.org", None, None);
    let events = Followed::of(&server, "/v1/enforcement/events", "events");
    let items = Followed::of(&server, &log(mailbox), "items");
    let (rows, start) = events.ask(&server, 0, "");
    assert!(rows.is_empty() && start > 0, "the log of what was set up has numbers too");
    let made: Vec<i64> = (0..5)
        .map(|n| {
            let made = server.post(&log(mailbox), &entry(&format!("m{n}"))).status(201).json();
            made["id"].as_i64().expect("an id")
        })
        .collect();
    let (rows, next) = events.ask(&server, start, &format!("&tenant_id={tenant}"));
    assert_eq!((rows.len(), next), (0, made[4]));
    assert_eq!(items.ask(&server, 0, "&message_id=nowhere"), (Vec::new(), made[4]));
    // A full page is complete up to its last row.
    let (rows, next) = items.ask(&server, made[0], "&limit=2");
    assert_eq!((members(&rows, "message_id"), next), (vec!["m1", "m2"], made[2]));
    // Ahead of the log, as after a restore, it says where the log is.
    assert_eq!(items.ask(&server, 9_000_000_000, ""), (Vec::new(), made[4]));
}

/// Retention and erasure leave holes, which are passed over.
#[test]
fn what_was_removed_is_passed_over() {
    let server = Server::start_with(&[("messages_retention_days", "30")]);
    let mailbox = server.add_mailbox(&server.workspace, "a@example.org", None, None);
    let mut ids = Vec::new();
    for n in 0..6 {
        let mut new = entry(&format!("m{n}"));
        let days = if n % 2 == 0 { 29 } else { 1 };
        new["received_at"] = time(START).plus_seconds(-days * 86_400).seconds().into();
        ids.push(server.post(&log(mailbox), &new).status(201).json()["id"].as_i64().expect("an id"));
        server.patch(&format!("{}/m{n}", log(mailbox)), &json!({ "reply_sent": n })).status(200);
    }
    let followed = Followed::of(&server, &log(mailbox), "items");
    assert_eq!(followed.all(&server, 0, "").len(), 12);
    server.clock.set(time(START).plus_days(3));
    server.run_jobs();
    let left = followed.all(&server, 0, "&limit=2");
    assert_eq!(members(&left, "message_id"), ["m1", "m1", "m3", "m3", "m5", "m5"]);
    assert_eq!(followed.all(&server, ids[2], "").len(), 4, "from a number that is gone");
}

/// A page ends at some bytes; the next one begins there.
#[test]
fn large_rows_make_short_pages() {
    let server = Server::start();
    let mailbox = server.add_mailbox(&server.workspace, "a@example.org", None, None);
    for n in 0..12 {
        let mut new = entry(&format!("m{n}"));
        new["tools_used"] = json!("x".repeat(60_000));
        server.post(&log(mailbox), &new).status(201);
    }
    let followed = Followed::of(&server, &log(mailbox), "items");
    let (rows, next) = followed.ask(&server, 0, "&limit=200");
    assert!(rows.len() < 24 && rows.len() > 2, "{}", rows.len());
    assert_eq!(next, seq(&rows[rows.len() - 1]));
    assert_eq!(followed.all(&server, 0, "&limit=200").len(), 24);
}

#[test]
fn following_takes_no_other_order_and_no_other_form() {
    let server = Server::start();
    let mailbox = server.add_mailbox(&server.workspace, "a@example.org", None, None);
    let project = server.add_project(&server.workspace, "Newsletter");
    let person = ("cookie", server.login(OWNER));
    let key = ("authorization", format!("Bearer {}", server.key));
    for (path, header, refused) in [
        ("/v1/enforcement/events".to_owned(), &key, 422),
        (log(mailbox), &key, 422),
        ("/v1/messages".to_owned(), &key, 422),
        (format!("/api/v1/projects/{project}/audit-log"), &person, 400),
        (format!("/api/v1/workspaces/{}/audit-log", server.workspace), &person, 400),
    ] {
        let ask = |query: &str| {
            server.request(Method::Get, &format!("{path}?{query}")).header(header.0, &header.1).send()
        };
        for (query, named) in [
            ("after=0&from=2026-01-01T00:00:00Z", "from"),
            ("after=0&to=2026-01-01T00:00:00Z", "to"),
            ("after=0&order=asc", "order"),
            ("after=0&order=desc", "order"),
            ("after=0&offset=0", "offset"),
            ("after=0&cursor=1", "cursor"),
            ("after=-1", "after"),
            ("after=x", "after"),
            ("after=", "after"),
            ("after=1&after=2", "after"),
            ("after=0&format=csv", "after"),
            ("after=0&format=proof", "after"),
            ("after=0&limit=x", "limit"),
            ("after=0&bogus=1", "bogus"),
        ] {
            let answer = ask(query).status(refused);
            assert!(answer.body_text().contains(named), "{path}?{query}: {answer:?}");
        }
        ask("after=0&limit=0&format=json").status(200);
        ask("after=0&limit=9999999999999999999999").status(200);
        ask("after=9223372036854775807").status(200);
    }
}

#[test]
fn all_messages_of_a_workspace_are_one_list() {
    all_messages_are_one_list(0);
}

/// A look into each would take its time: the list goes by the entries then.
#[test]
fn all_messages_of_a_workspace_with_many_mailboxes_are_one_list() {
    let server = all_messages_are_one_list(1_000);
    // Behind more entries of others than are looked at at once, a page may be empty and go on.
    let (workspace, _) = server.add_workspace("Third", "cid@third.example");
    let key = server.add_key(&workspace, &["messages:write"]);
    let theirs = server.add_mailbox(&workspace, "t@third.example", None, None);
    let many: Vec<Value> = (0..20_100).map(|n| entry(&format!("n{n}"))).collect();
    server.request(Method::Post, &log(theirs)).key(&key).json(&json!({ "items": many })).send().status(201);
    let get = |query: &str| server.get(&format!("/v1/messages?{query}")).status(200).json();
    for (filter, n) in [("", 9), ("&message_id=m1", 3), ("&message_id=nowhere", 0)] {
        let first = get(&format!("limit=200{filter}"));
        assert_eq!(first["items"], json!([]), "{filter}");
        let (mut found, mut n_pages, mut page) = (0, 1, first);
        while let Some(next) = page["next_cursor"].as_i64() {
            page = get(&format!("limit=200{filter}&cursor={next}"));
            found += page["items"].as_array().expect("items").len();
            n_pages += 1;
        }
        assert_eq!((found, n_pages), (n, 2), "{filter}");
    }
}

/// Two workspaces with mailboxes of the same address, one of them deleted later; ours has so many more.
fn all_messages_are_one_list(n_more: usize) -> Server {
    let server = Server::start();
    let (workspace, _) = server.add_workspace("Other", "bob@other.example");
    let other_key = server.add_key(&workspace, &["messages:read", "messages:write"]);
    let boxes = ["a@example.org", "b@example.org", "c@example.org"]
        .map(|address| server.add_mailbox(&server.workspace, address, None, None));
    let theirs = server.add_mailbox(&workspace, "a@example.org", None, None);
    let tenant = server.db_number(&format!("SELECT tenant FROM mailboxes WHERE id = {}", boxes[0]));
    let more = move |tx: &mut Tx<'_>| {
        (0..n_more).try_for_each(|n| {
            let address = format!("more{n}@example.org");
            let new = NewMailbox {
                workspace: 1,
                tenant: Some(tenant),
                address,
                name: None,
                daily_send_limit: None,
            };
            mailboxes::create(tx, &new).map(|_| ())
        })
    };
    server.running().app.store.write(more).expect("mailboxes");
    for n in 0..9_usize {
        let new = json!({
            "message_id": format!("m{}", n / 3), "outcome": if n % 2 == 0 { "delivered" } else { "rate_limited" },
            "sender_address": format!("s{}@example.net", n % 4), "thread_id": format!("T{}", n / 5),
            "received_at": time(START).seconds() - 100 * (n as i64),
        });
        server.post(&log(boxes[n % 3]), &new).status(201);
        server
            .request(Method::Post, &log(theirs))
            .key(&other_key)
            .json(&entry(&format!("t{n}")))
            .send()
            .status(201);
    }
    server.patch(&format!("{}/m2", log(boxes[1])), &json!({ "reply_sent": "r" })).status(200);
    let deleted =
        server.operator(Method::Delete, &format!("/api/v1/admin/mailboxes/{}", boxes[2]), &Value::Null);
    deleted.status(204);
    let get = |query: &str| server.get(&format!("/v1/messages{query}")).status(200).json();
    let whole = get("");
    assert_eq!(whole["next_cursor"], Value::Null);
    let items = whole["items"].as_array().expect("items").clone();
    assert_eq!(items.len(), 9);
    assert!(items.is_sorted_by(|a, b| a["id"].as_i64() > b["id"].as_i64()));
    let ours: BTreeSet<i64> = items.iter().map(|row| row["mailbox_id"].as_i64().expect("a number")).collect();
    assert_eq!(ours, BTreeSet::from(boxes));
    // Each page is the next part of it, both ways.
    for order in ["desc", "asc"] {
        let (mut paged, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = get(&format!("?limit=2&order={order}{cursor}"));
            paged.extend(page["items"].as_array().expect("items").clone());
            let Some(next) = page["next_cursor"].as_i64() else { break };
            cursor = format!("&cursor={next}");
        }
        if order == "asc" {
            paged.reverse();
        }
        assert_eq!(paged, items, "{order}");
    }
    // A filter is the same over all as it is in each.
    for filter in [
        "message_id=m1",
        "thread_id=T1",
        "outcome=rate_limited",
        "sender_address=S1@example.net",
        "recipient_address=b@example.org",
        "reason=x",
        "outcome=rate_limited&thread_id=T0",
        "from=2026-04-30T14:15:00Z",
        "to=2026-04-30T14:15:00Z",
        "from=2026-04-30T14:10:00Z&to=2026-04-30T14:20:00Z",
    ] {
        let mut of_each = Vec::new();
        for mailbox in boxes {
            let page = server.get(&format!("{}?{filter}", log(mailbox))).status(200).json();
            of_each.extend(page["items"].as_array().expect("items").clone());
            let same = get(&format!("?{filter}&mailbox_id={mailbox}"));
            assert_eq!(same, page, "{filter}");
        }
        of_each.sort_by_key(|row| -row["id"].as_i64().expect("an id"));
        assert_eq!(get(&format!("?{filter}"))["items"], Value::Array(of_each.clone()), "{filter}");
        let stream = server.get(&format!("/v1/messages?{filter}&format=ndjson")).status(200).body_text();
        let streamed: Vec<Value> =
            stream.lines().map(|line| serde_json::from_str(line).expect("an entry")).collect();
        assert_eq!(streamed, of_each, "{filter}");
        if !filter.contains("from=") && !filter.contains("to=") {
            let mut followed =
                Followed::of(&server, "/v1/messages", "items").all(&server, 0, &format!("&{filter}"));
            followed.retain(|row| row["id"] == row["seq"]);
            assert_eq!(followed.len(), of_each.len(), "{filter}");
        }
    }
    let stream = server.get("/v1/messages?format=ndjson&order=asc").status(200).body_text();
    assert_eq!(stream.lines().count(), 9);
    // Theirs are theirs.
    let see =
        |query: &str| server.request(Method::Get, &format!("/v1/messages{query}")).key(&other_key).send();
    assert_eq!(see("").status(200).json()["items"].as_array().expect("items").len(), 9);
    assert_eq!(see("?message_id=m1").status(200).json()["items"], json!([]));
    for id in [boxes[0].to_string(), "98765".into(), "-1".into()] {
        let answer = see(&format!("?mailbox_id={id}")).status(404);
        assert_eq!(answer.json(), json!({ "error": "Mailbox not found" }));
    }
    see("?mailbox_id=x").status(422);
    see("?mailbox=1").status(422);
    server
}

/// The base URL for the vendor's Python package: text where the package wants text, all else as it is.
#[test]
fn the_package_of_the_vendor_reads_times_as_text() {
    let server = Server::start();
    let mailbox = server.add_mailbox(&server.workspace, "a@example.org", None, None);
    let mut new = entry("one/1");
    new["received_at"] = 1_777_558_931.into();
    new["tools_used"] = json!({ "received_at": 1_777_558_931 });
    let path = log(mailbox);
    let package = |path: &str| format!("/sdk/mailbuttons-0.1{path}");
    let made = server.post(&package(&path), &new).status(201).json();
    let again = server.post(&path, &new).status(200).json();
    let as_text = |mut entry: Value| {
        assert_eq!(entry["received_at"], 1_777_558_931);
        entry["received_at"] = "2026-04-30T14:22:11Z".into();
        entry
    };
    assert_eq!(made, as_text(again.clone()));
    assert_eq!(made["tools_used"], new["tools_used"]);
    let one = format!("{path}/one%2F1");
    assert_eq!(server.get(&package(&one)).status(200).json(), as_text(server.get(&one).status(200).json()));
    let items =
        |path: &str, query: &str| server.get(&format!("{path}?{query}")).status(200).json()["items"].clone();
    for query in ["", "after=0", "message_id=one/1&limit=1"] {
        assert_eq!(items(&package(&path), query)[0], as_text(items(&path, query)[0].clone()), "{query}");
    }
    let csv = server.get(&format!("{}?format=csv", package(&path))).status(200).body_text();
    assert!(csv.contains(",2026-04-30T14:22:11Z,"), "{csv}");
    let reply = json!({ "reply_sent": "r" });
    let appended = server.patch(&package(&one), &reply).status(200).json();
    assert_eq!(appended["received_at"], "2026-04-30T14:22:11Z");
    server.get(&package(&format!("/v1/mailboxes/{mailbox}/policy"))).status(404);
    // Of mailboxes alone, and refused in the vendor's words.
    for path in
        ["/v1/enforcement/events", "/v1/messages", "/api/v1/mailboxes/1/audit-logs", "/v1/tenants", ""]
    {
        server.get(&package(path)).status(404);
    }
    let answer = server.get(&package("/v1/mailboxes/98765/audit-logs")).status(404);
    assert_eq!(answer.json(), json!({ "error": "Mailbox not found" }));
    server.request(Method::Get, &package(&path)).send().status(401);
}

/// A bound may be of any year; a time that is none is refused.
#[test]
fn bounds_of_a_filter_may_lie_before_and_behind_all_times() {
    let server = Server::start();
    let mailbox = server.add_mailbox(&server.workspace, "a@example.org", None, None);
    server.post(&log(mailbox), &entry("one")).status(201);
    for (query, n) in [
        ("from=0001-01-01T00:00:00Z", 1),
        ("from=1969-12-31T23:59:59Z", 1),
        ("to=9999-12-31T23:59:59Z", 1),
        ("from=0001-01-01T00:00:00Z&to=9999-12-31T23:59:59.999999-23:59", 1),
        ("to=0001-01-01T00:00:00Z", 0),
        ("from=9999-12-31T23:59:59Z", 0),
    ] {
        let page = server.get(&format!("{}?{query}", log(mailbox))).status(200).json();
        assert_eq!(page["items"].as_array().expect("items").len(), n, "{query}");
    }
    for query in ["from=9999-12-32T00:00:00Z", "to=10000-01-01T00:00:00Z", "from=yesterday"] {
        server.get(&format!("{}?{query}", log(mailbox))).status(422);
    }
}
