//! Whole results as CSV and NDJSON, pages by `Link`, batches, retries with an `Idempotency-Key`, HEAD.

use std::collections::BTreeSet;

use mailtrail::http::{Method, client};
use serde_json::{Value, json};

use crate::support::{Answer, OWNER, Request, START, Server, time};

/// One of the three logs, with the doors to it.
struct Log {
    /// Where it is read and written.
    path: String,
    /// The envelope's name of the list.
    word: &'static str,
    /// The session that reads it; without one, the key does.
    cookie: Option<String>,
    /// An object to be recorded, the n-th of many.
    new: Box<dyn Fn(usize) -> Value>,
}

impl Log {
    fn get(&self, server: &Server, query: &str) -> Request {
        self.ask(server, Method::Get, &format!("{}?{query}", self.path))
    }

    fn ask(&self, server: &Server, method: Method, path: &str) -> Request {
        let request = server.request(method, path);
        match &self.cookie {
            Some(cookie) => request.cookie(cookie),
            None => request.key(&server.key),
        }
    }

    fn post(&self, server: &Server) -> Request {
        server.request(Method::Post, &self.path).key(&server.key)
    }

    /// Records the objects `range`, as NDJSON.
    fn record(&self, server: &Server, range: std::ops::Range<usize>) -> Value {
        let lines: String = range.map(|n| format!("{}\n", (self.new)(n))).collect();
        self.post(server).body("application/x-ndjson", lines).send().status(201).json()
    }

    /// Every object there is, newest first, page by page.
    fn all(&self, server: &Server) -> Vec<Value> {
        let mut all = Vec::new();
        let mut more = String::new();
        loop {
            let answer = self.get(server, &format!("limit=200{more}")).send().status(200);
            let page = answer.json();
            all.extend(page[self.word].as_array().expect("a list").iter().cloned());
            let cursor = match page.get("next_cursor") {
                Some(cursor) => cursor.as_i64().map(|cursor| cursor.to_string()),
                None => next(&answer).map(|link| link.rsplit_once("cursor=").expect("a cursor").1.to_owned()),
            };
            match cursor {
                Some(cursor) => more = format!("&cursor={cursor}"),
                None => return all,
            }
        }
    }
}

/// The target of `Link: <…>; rel="next"`.
fn next(answer: &Answer) -> Option<String> {
    let link = answer.header("link")?;
    let target = link.strip_prefix('<').and_then(|rest| rest.strip_suffix(">; rel=\"next\""));
    Some(target.unwrap_or_else(|| panic!("{link}")).to_owned())
}

/// A server with a tenant, a mailbox and a project, and its three logs.
fn logs() -> (Server, [Log; 3]) {
    let server = Server::start();
    let workspace = server.workspace.clone();
    let tenant = server.add_tenant(&workspace, "Acme");
    let mailbox = server.add_mailbox(&workspace, "sales@example.org", Some(&tenant), Some(25));
    let project = server.add_project(&workspace, "Site");
    let cookie = server.login(OWNER);
    // Many to a second, so that ties are common.
    let at = |n: usize| time(START).plus_seconds(-100_000 + (n / 7) as i64);
    let enforcement = Log {
        path: "/v1/enforcement/events".into(),
        word: "events",
        cookie: None,
        new: Box::new(move |n| {
            json!({
                "tenant_id": tenant, "mailbox_address": format!("user{n}@example.org"), "action_taken": "blocked",
                "sent_count": n + 1, "limit_value": n, "created_at": at(n).to_string(),
            })
        }),
    };
    let messages = Log {
        path: format!("/v1/mailboxes/{mailbox}/audit-logs"),
        word: "items",
        cookie: None,
        new: Box::new(move |n| {
            json!({
                "message_id": format!("m{n}@example.net"), "outcome": "delivered",
                "received_at": at(n).seconds(), "tools_used": [n, "a, \"b\""],
            })
        }),
    };
    let activity = Log {
        path: format!("/api/v1/projects/{project}/audit-log"),
        word: "entries",
        cookie: Some(cookie),
        new: Box::new(move |n| {
            json!({
                "user_id": "01HZX3YV5N8Q2R4T6W8Y0A2C4E", "action": "site.publish", "target_id": format!("t{n}"),
                "metadata": { "n": n, "text": "a, \"b\"" }, "created_at": at(n).to_string(),
            })
        }),
    };
    (server, [enforcement, messages, activity])
}

/// The rows of a CSV text, by column; an empty cell is `None`.
fn rows(csv: &str) -> Vec<Vec<(String, Option<String>)>> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let names: Vec<String> = reader.headers().expect("a head").iter().map(str::to_owned).collect();
    reader
        .records()
        .map(|record| {
            let record = record.expect("a row");
            let cells = record.iter().map(|cell| Some(cell.to_owned()).filter(|cell| !cell.is_empty()));
            names.iter().cloned().zip(cells).collect()
        })
        .collect()
}

/// A value as its cell.
fn cell(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

// ---------------------------------------------------------------------------------------------- streams

#[test]
fn a_stream_has_every_row_of_the_pages_in_their_order() {
    let (server, logs) = logs();
    for log in &logs {
        log.record(&server, 0..1200);
        let all: Vec<Value> = log.all(&server);
        assert!(all.len() >= 1200, "{}", log.path);
        // An export of the activity log is itself an activity of the project, before its first row.
        let own = |rows: Vec<Value>| -> Vec<Value> {
            rows.into_iter().filter(|row| row["action"] != "activity.export").collect()
        };
        for (query, accept) in [
            ("format=ndjson", ""),
            ("", "application/x-ndjson"),
            ("", "application/ndjson;q=0.5"),
            ("format=ndjson", "text/csv"),
        ] {
            let mut request = log.get(&server, query);
            if !accept.is_empty() {
                request = request.header("accept", accept);
            }
            let answer = request.send().status(200);
            assert_eq!(answer.header("content-type"), Some("application/x-ndjson"), "{accept}");
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            let text = answer.body_text();
            assert!(text.ends_with('\n'), "{}", log.path);
            let streamed = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
            assert_eq!(own(streamed), all, "{} {query} {accept}", log.path);
        }
        for (query, accept) in
            [("format=csv", ""), ("", "text/csv"), ("", "text/html, text/csv; header=present")]
        {
            let mut request = log.get(&server, query);
            if !accept.is_empty() {
                request = request.header("accept", accept);
            }
            let answer = request.send().status(200);
            assert_eq!(answer.header("content-type"), Some("text/csv; charset=utf-8; header=present"));
            let text = answer.body_text();
            assert_eq!(text.matches("\r\n").count(), text.matches('\n').count(), "lines end with CR LF");
            let mut table = rows(&text);
            table.retain(|row| row.iter().all(|(_, cell)| cell.as_deref() != Some("activity.export")));
            assert_eq!(table.len(), all.len(), "{} {query} {accept}", log.path);
            for (row, object) in table.iter().zip(&all) {
                let members = object.as_object().expect("an object");
                let expected: Vec<(String, Option<String>)> =
                    members.iter().map(|(name, value)| (name.clone(), cell(value))).collect();
                assert_eq!(*row, expected);
            }
        }
        // JSON when it is asked for, or anything.
        for accept in ["application/json", "*/*", "application/json, text/csv", "text/html"] {
            let answer = log.get(&server, "limit=1").header("accept", accept).send().status(200);
            assert_eq!(answer.json()[log.word].as_array().map(Vec::len), Some(1), "{accept}");
        }
    }
}

#[test]
fn a_stream_takes_the_filters_and_the_order_of_the_list() {
    let (server, logs) = logs();
    for log in &logs {
        log.record(&server, 0..30);
        let from = time(START).plus_seconds(-99_998);
        let to = time(START).plus_seconds(-99_997);
        let stream =
            log.get(&server, &format!("format=ndjson&order=asc&from={from}&to={to}")).send().status(200);
        let page = log.get(&server, &format!("order=asc&from={from}&to={to}")).send().status(200).json();
        let streamed: Vec<Value> =
            stream.body_text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(json!(streamed), page[log.word]);
        assert_eq!(streamed.len(), 7, "{}", log.path);
        let none = log.get(&server, "format=ndjson&to=1970-01-01T00:00:00Z").send().status(200);
        assert_eq!(none.body_text(), "");
        let none = log.get(&server, "format=csv&to=1970-01-01T00:00:00Z").send().status(200);
        let text = none.body_text();
        assert_eq!((text.lines().count(), text.ends_with("\r\n")), (1, true), "just the head: {text}");
        for query in ["format=csv&limit=5", "format=ndjson&cursor=5", "format=csv&cursor=1-1"] {
            let refused = log.get(&server, query).send();
            assert!([400, 422].contains(&refused.status), "{query}: {refused:?}");
        }
    }
}

#[test]
fn text_that_a_spreadsheet_would_run_gets_an_apostrophe() {
    let (server, [enforcement, messages, activity]) = logs();
    let dangerous = ["=1+1", "+1", "-1", "@SUM(A1)", "'=1", "''-x", "=\"a\",b"];
    let harmless = ["1=1", " =1", "'x", "x@y", "a,b", "a\"b", "ünï"];
    let shown = |text: &str| match text {
        text if dangerous.contains(&text) => format!("'{text}"),
        text => text.to_owned(),
    };
    for (n, text) in dangerous.iter().chain(&harmless).enumerate() {
        let mut event = (enforcement.new)(n);
        event["message"] = json!(text);
        let mut entry = (messages.new)(n);
        entry["reason"] = json!(text);
        entry["reply_sent"] = json!(text);
        let mut action = (activity.new)(n);
        action["user_agent"] = json!(text);
        for (log, new) in [(&enforcement, event), (&messages, entry), (&activity, action)] {
            log.post(&server).json(&new).send().status(201);
        }
    }
    let n_texts = dangerous.len() + harmless.len();
    for (log, column) in [(&enforcement, "message"), (&messages, "reason"), (&activity, "user_agent")] {
        let text = log.get(&server, "format=csv&order=asc").send().status(200).body_text();
        let mut table = rows(&text);
        // Those of the operator, who made the project, and of the export itself.
        table.retain(|row| {
            row.iter().all(|(_, cell)| {
                !["project.create", "activity.export"].contains(&cell.as_deref().unwrap_or(""))
            })
        });
        let got: Vec<String> = table
            .iter()
            .map(|row| {
                row.iter()
                    .find(|(name, _)| name == column)
                    .and_then(|(_, cell)| cell.clone())
                    .unwrap_or_default()
            })
            .collect();
        let expected: Vec<String> = dangerous.iter().chain(&harmless).map(|text| shown(text)).collect();
        assert_eq!(got, expected, "{column}");
        assert_eq!(got.len(), n_texts);
        // Where JSON is, text is quoted and is no formula.
        if column == "reason" {
            let first =
                table[0].iter().find(|(name, _)| name == "reply_sent").and_then(|(_, cell)| cell.as_deref());
            assert_eq!(first, Some("\"=1+1\""));
        }
    }
}

// ---------------------------------------------------------------------------------------------- pages

#[test]
fn the_link_leads_through_a_list_that_grows_meanwhile() {
    let (server, [enforcement, _, activity]) = logs();
    for log in [&enforcement, &activity] {
        log.record(&server, 0..25);
        let seqs = |page: &Value| -> Vec<i64> {
            let list = page[log.word].as_array().expect("a list");
            list.iter().map(|row| row["seq"].as_i64().expect("a seq")).collect()
        };
        let whole = log.get(&server, "limit=200").send().status(200).json();
        let expected = seqs(&whole);
        let mut seen = Vec::new();
        let mut n_pages = 0;
        // Filters and the size of the page go along, an offset does not.
        let to = "2026-04-30T14:22:12Z";
        let mut answer = log.get(&server, &format!("limit=4&offset=0&to={to}")).send().status(200);
        loop {
            let page = answer.json();
            seen.extend(seqs(&page));
            n_pages += 1;
            // Newer ones and older ones come in between.
            server.clock.set(time(START).plus_seconds(n_pages));
            let mut new = (log.new)(1000);
            new["created_at"] = json!(time(START).plus_seconds(n_pages).to_string());
            log.post(&server).json(&new).send().status(201);
            let Some(link) = next(&answer) else { break };
            assert!(
                link.starts_with(&format!("{}?limit=4&to=2026-04-30T14%3A22%3A12Z&cursor=", log.path)),
                "{link}"
            );
            answer = log.ask(&server, Method::Get, &link).send().status(200);
        }
        assert_eq!(seen, expected, "{}", log.path);
        assert_eq!(n_pages as usize, expected.len().div_ceil(4));
        server.clock.set(time(START));
    }
}

#[test]
fn the_last_page_has_no_link_also_when_it_is_full() {
    let (server, [enforcement, ..]) = logs();
    enforcement.record(&server, 0..6);
    for (query, has_next) in [
        ("limit=6", false),
        ("limit=7", false),
        ("limit=5", true),
        ("limit=3&offset=3", false),
        ("limit=3&offset=2", true),
        ("offset=6", false),
        ("action=unblocked&limit=1", false),
    ] {
        let answer = enforcement.get(&server, query).send().status(200);
        assert_eq!(next(&answer).is_some(), has_next, "{query}");
    }
    // Oldest first works alike, and the vendor's own loop by offset ends with all of them.
    let answer = enforcement.get(&server, "order=asc&limit=4").send();
    let link = next(&answer).expect("a link");
    let rest = enforcement.ask(&server, Method::Get, &link).send().status(200).json();
    assert_eq!(rest["events"].as_array().map(Vec::len), Some(2));
    assert_eq!((&rest["total"], &rest["offset"], &rest["limit"]), (&json!(6), &json!(0), &json!(4)));
    let mut ids = BTreeSet::new();
    let mut offset = 0;
    while ids.len() < 6 {
        let page = enforcement.get(&server, &format!("limit=2&offset={offset}")).send().status(200).json();
        let list = page["events"].as_array().expect("events");
        ids.extend(list.iter().map(|event| event["id"].as_str().expect("an id").to_owned()));
        assert_eq!(page["total"], 6);
        offset += 2;
        assert!(offset <= 6, "the vendor's loop does not end: {ids:?}");
    }
}

// ---------------------------------------------------------------------------------------------- batches

#[test]
fn a_batch_is_all_or_nothing() {
    let (server, logs) = logs();
    for log in &logs {
        let before = server.db_number("SELECT last_seq FROM sequence");
        let mut bad = (log.new)(2);
        let name = if log.word == "items" { "received_at" } else { "created_at" };
        bad[name] =
            if log.word == "items" { json!(4_102_444_800_i64) } else { json!("2100-01-01T00:00:00Z") };
        let (one, three) = ((log.new)(1), (log.new)(3));
        let batch = json!({ log.word: [one, bad, three] });
        let refused = log.post(&server).json(&batch).send();
        assert!(refused.body_text().contains(&format!("{}[1].{name}", log.word)), "{refused:?}");
        let lines = format!("{one}\n\n{bad}\n{three}\n");
        let refused = log.post(&server).body("application/x-ndjson", lines).send();
        assert!(refused.body_text().contains(&format!("line 3.{name}")), "{refused:?}");
        assert_eq!(server.db_number("SELECT last_seq FROM sequence"), before, "{}", log.path);
        // Put right, it goes in whole, in its order.
        let batch = json!({ log.word: [one, (log.new)(2), three] });
        let made = log.post(&server).json(&batch).send().status(201).json();
        assert_eq!(made["count"], 3);
        let members: Vec<&String> = made.as_object().expect("an object").keys().collect();
        assert_eq!(members, [log.word, "count"]);
        let mut listed = log.all(&server);
        listed.retain(|row| row["action"] != "project.create");
        listed.reverse();
        assert_eq!(json!(listed), made[log.word], "{}", log.path);
    }
}

/// More than a piece is read again as the client takes it, and it is what was recorded all the same.
#[test]
fn a_batch_that_is_answered_in_pieces_is_answered_whole() {
    let (server, logs) = logs();
    for log in &logs {
        let rows: Vec<Value> = (0..2000).map(|n| (log.new)(n)).collect();
        let post =
            || log.post(&server).header("idempotency-key", log.word).json(&json!({ log.word: rows })).send();
        let made = post().status(201);
        assert!(made.body.len() > 256 * 1024, "{} bytes", made.body.len());
        let shown = made.json();
        assert_eq!(shown["count"], 2000);
        let mut listed = log.all(&server);
        listed.retain(|row| row["action"] != "project.create");
        // Those of one time are listed by their number too, so this is the order in which they came.
        listed.reverse();
        assert!(json!(listed) == shown[log.word], "{}", log.path);
        assert!(post().status(201).json() == shown, "a retry: {}", log.path);
    }
}

#[test]
fn lines_are_answered_with_their_number_and_their_ends() {
    let (server, logs) = logs();
    for log in &logs {
        let answer = log.record(&server, 0..300);
        let members: Vec<&String> = answer.as_object().expect("an object").keys().collect();
        assert_eq!(members, ["count", "first_id", "last_id"]);
        assert_eq!(answer["count"], 300);
        let all = log.all(&server);
        let own: Vec<&Value> = all.iter().filter(|row| row["action"] != "project.create").collect();
        let (first, last) = (own.last().expect("a row"), own.first().expect("a row"));
        assert_eq!((&answer["first_id"], &answer["last_id"]), (&first["id"], &last["id"]), "{}", log.path);
    }
}

// ---------------------------------------------------------------------------------------------- retries

#[test]
fn a_retry_with_the_same_key_gets_the_first_answer_and_records_nothing() {
    let (server, logs) = logs();
    let [enforcement, messages, activity] = &logs;
    let tenants = server.get("/v1/tenants").json();
    let tenant = tenants["tenants"][0]["id"].clone();
    messages.post(&server).json(&(messages.new)(9000)).send().status(201);
    let known = format!("{}/m9000@example.net", messages.path);
    let writes = [
        (Method::Post, enforcement.path.clone(), (enforcement.new)(1), 201),
        (
            Method::Post,
            enforcement.path.clone(),
            json!({ "events": [(enforcement.new)(2), (enforcement.new)(3)] }),
            201,
        ),
        (Method::Post, messages.path.clone(), (messages.new)(1), 201),
        (Method::Post, activity.path.clone(), (activity.new)(1), 201),
        (Method::Patch, known, json!({ "tokens_consumed": 5 }), 200),
        (
            Method::Post,
            "/v1/enforcement/sends".into(),
            json!({ "tenant_id": tenant, "mailbox_address": "sales@example.org", "recipients": 3 }),
            200,
        ),
        (
            Method::Post,
            messages.path.replace("audit-logs", "inbound"),
            json!({ "message_id": "inbound@example.net" }),
            201,
        ),
        (Method::Post, "/api/v1/admin/projects".into(), json!({ "name": "Once" }), 201),
        (Method::Post, "/v1/tenants".into(), json!({ "name": "Once" }), 201),
    ];
    for (n, (method, path, body, status)) in writes.into_iter().enumerate() {
        let what = format!("{} {path}", method.as_str());
        let send = |path: &str, body: &Value| {
            let request = server.request(method, path).key(&server.key);
            request.header("idempotency-key", &format!("retry {n}")).json(body).send()
        };
        let first = send(&path, &body).status(status);
        assert_eq!(first.header("idempotency-replayed"), None, "{what}");
        let seq = server.db_number("SELECT last_seq FROM sequence");
        let again = send(&path, &body).status(status);
        assert_eq!(again.header("idempotency-replayed"), Some("true"), "{what}");
        assert_eq!(again.body_text(), first.body_text(), "{what}");
        // By its other name it is the same route.
        if let Some(short) = path.strip_prefix("/v1/") {
            assert_eq!(
                send(&format!("/api/v1/{short}"), &body).status(status).body_text(),
                first.body_text()
            );
        }
        // It is what the request says that counts, and not how it is written.
        let key = format!("retry {n}");
        let request = server.request(method, &path).key(&server.key).header("idempotency-key", &key);
        let again = request.body("application/json", format!(" {body} ")).send().status(status);
        assert_eq!(again.header("idempotency-replayed"), Some("true"), "{what}");
        assert_eq!(server.db_number("SELECT last_seq FROM sequence"), seq, "{what}");
    }
}

#[test]
fn a_key_that_was_used_for_another_request_is_a_conflict() {
    let (server, [enforcement, messages, activity]) = logs();
    let send = |request: Request| request.header("idempotency-key", "k").send();
    send(enforcement.post(&server).json(&(enforcement.new)(1))).status(201);
    let message = "the Idempotency-Key \"k\" was used before with another request";
    let refused = send(enforcement.post(&server).json(&(enforcement.new)(2))).status(409);
    assert_eq!(refused.json(), json!({ "detail": { "message": message, "code": "idempotency_key_reused" } }));
    let refused = send(messages.post(&server).json(&(messages.new)(1))).status(409);
    assert_eq!(refused.json(), json!({ "error": message }));
    let refused = send(activity.post(&server).json(&(activity.new)(1))).status(409);
    assert_eq!(refused.json(), json!({ "error": message }));
    // Another workspace's keys are its own.
    let (other, key) = server.add_workspace("Other", "eve@example.net");
    let tenant = server.add_tenant(&other, "Theirs");
    let mut event = (enforcement.new)(1);
    event["tenant_id"] = json!(tenant);
    let request = server.request(Method::Post, "/v1/enforcement/events").key(&key);
    send(request.json(&event)).status(201);
}

#[test]
fn a_key_that_is_none_is_refused_also_where_no_answer_is_kept() {
    let server = Server::start();
    let make = |user: Value| {
        let request = server.request(Method::Post, "/api/v1/admin/users").key(&server.key);
        request.header("idempotency-key", &"k".repeat(256)).json(&user).send().status(422).json()
    };
    let refused = make(json!({ "email": "grace@example.org", "role": "auditor" }));
    assert_eq!(refused["errors"][0]["parameter"], "Idempotency-Key", "{refused}");
}

#[test]
fn a_refused_request_keeps_no_answer() {
    let (server, [enforcement, ..]) = logs();
    let mut lost = (enforcement.new)(1);
    lost["tenant_id"] = json!("00000000-0000-4000-8000-000000000000");
    let send = |event: &Value| enforcement.post(&server).header("idempotency-key", "k").json(event).send();
    send(&lost).status(404);
    send(&lost).status(404);
    send(&(enforcement.new)(1)).status(201);
    assert_eq!(server.db_number("SELECT count(*) FROM idempotency"), 1);
}

#[test]
fn an_answer_without_a_body_is_replayed_without_one() {
    let (server, _) = logs();
    let key = json!({ "name": "short", "scopes": ["messages:read"] });
    let key = server.post("/api/v1/admin/keys", &key).status(201).text("id");
    let revoke = || {
        let path = format!("/api/v1/admin/keys/{key}");
        let request = server.request(Method::Delete, &path).key(&server.key).header("idempotency-key", "k");
        let answer = request.send().status(204);
        assert_eq!((answer.header("content-type"), answer.body.len()), (None, 0));
        answer.header("idempotency-replayed").map(str::to_owned)
    };
    assert_eq!(revoke(), None);
    assert_eq!(revoke().as_deref(), Some("true"));
    assert_eq!(server.db_number("SELECT count(*) FROM activity WHERE action = (SELECT id FROM texts WHERE text = 'api_key.revoke')"), 1);
}

#[test]
fn a_retry_gets_the_first_answer_whatever_has_become_of_what_it_was_about() {
    let server = Server::start();
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let project = server.add_project(&server.workspace, "Newsletter");
    let mailbox = server.post("/api/v1/admin/mailboxes", &json!({ "address": "agent@example.org" }));
    let mailbox = mailbox.status(201).json()["id"].clone();
    let user = server.add_user(&server.workspace, "grace@example.org", "auditor").text("id");
    let (log, inbound) =
        (format!("/v1/mailboxes/{mailbox}/audit-logs"), format!("/v1/mailboxes/{mailbox}/inbound"));
    let writes = [
        (Method::Post, log.clone(), json!({ "message_id": "1@example.net", "outcome": "delivered" })),
        (Method::Patch, format!("{log}/1@example.net"), json!({ "tokens_consumed": 5 })),
        (
            Method::Post,
            inbound,
            json!({ "message_id": "2@example.net", "sender_address": "bob@example.net" }),
        ),
        (Method::Delete, format!("/api/v1/admin/mailboxes/{mailbox}"), Value::Null),
        (Method::Delete, format!("/api/v1/admin/tenants/{tenant}"), Value::Null),
        (Method::Delete, format!("/api/v1/admin/projects/{project}"), Value::Null),
        (Method::Delete, format!("/api/v1/admin/users/{user}"), Value::Null),
    ];
    let send = |n: usize| {
        let (method, path, body) = &writes[n];
        let request =
            server.request(*method, path).key(&server.key).header("idempotency-key", &format!("k{n}"));
        if *body == Value::Null { request.send() } else { request.json(body).send() }
    };
    let first: Vec<Answer> = (0..writes.len()).map(|n| send(n).good()).collect();
    let seq = server.db_number("SELECT last_seq FROM sequence");
    for (n, first) in first.iter().enumerate() {
        let again = send(n);
        let what = format!("{} {}", writes[n].0.as_str(), writes[n].1);
        assert_eq!((again.status, again.body_text()), (first.status, first.body_text()), "{what}");
        assert_eq!(again.header("idempotency-replayed"), Some("true"), "{what}");
    }
    assert_eq!(server.db_number("SELECT last_seq FROM sequence"), seq);
    // A workspace is ended by the operator: its own keys stop with it.
    let (other, _) = server.add_workspace("Other", "eve@example.net");
    let path = format!("/api/v1/admin/workspaces/{other}");
    for replayed in [None, Some("true")] {
        let headers = [("idempotency-key", "end")];
        let answer = client::call(&server.config().socket(), Method::Delete, &path, &headers, b"");
        let answer = answer.expect("an answer");
        assert_eq!((answer.status, answer.header("idempotency-replayed")), (204, replayed));
    }
}

#[test]
fn answers_are_kept_for_a_day_and_over_a_restart() {
    let (mut server, [enforcement, ..]) = logs();
    let n_events = |server: &Server| server.db_number("SELECT count(*) FROM enforcement_events");
    let send = |server: &Server| {
        let event = (enforcement.new)(1);
        enforcement.post(server).header("idempotency-key", "k").json(&event).send().status(201)
    };
    let first = send(&server);
    server.restart();
    server.clock.set(time(START).plus_seconds(86_400));
    server.run_jobs();
    let again = send(&server);
    assert_eq!((again.header("idempotency-replayed"), n_events(&server)), (Some("true"), 1));
    assert_eq!(again.body_text(), first.body_text());
    server.clock.set(time(START).plus_seconds(86_401));
    server.run_jobs();
    let late = send(&server);
    assert_eq!((late.header("idempotency-replayed"), n_events(&server)), (None, 2));
}

// ---------------------------------------------------------------------------------------------- HEAD

#[test]
fn head_is_get_without_the_body() {
    let (server, logs) = logs();
    for log in &logs {
        log.record(&server, 0..20);
        for query in ["limit=3", "", "limit=x"] {
            let get = log.get(&server, query).send();
            let head =
                log.ask(&server, Method::Head, &format!("{}?{query}", log.path)).send().status(get.status);
            assert_eq!(head.body, b"", "{} {query}", log.path);
            for name in ["content-type", "content-length", "link", "cache-control"] {
                assert_eq!(head.header(name), get.header(name), "{} {query} {name}", log.path);
            }
            assert_eq!(get.header("content-length"), Some(get.body.len().to_string().as_str()));
        }
        // Nothing is taken away, and nothing noted.
        let before = server.db_number("SELECT last_seq FROM sequence");
        let head = log.ask(&server, Method::Head, &format!("{}?format=csv", log.path)).send().status(200);
        assert_eq!(
            (head.body.len(), head.header("content-type")),
            (0, Some("text/csv; charset=utf-8; header=present"))
        );
        assert_eq!(server.db_number("SELECT last_seq FROM sequence"), before);
    }
    server.request(Method::Head, "/healthz").send().status(200);
    assert_eq!(server.request(Method::Head, "/v1/enforcement/sends").send().status(405).body, b"");
}
