//! Nobody's lists stand in the way of others: who reads how many at a time, and what runs one at a time.
//!
//! Lists that take as long as it takes are made by holding the connections that they would have: what is asked for
//! meanwhile goes over the real doors.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use mailtrail::error::Error;
use mailtrail::http::Method;
use mailtrail::store::{Asker, Whole};
use serde_json::{Value, json};

use crate::support::{OWNER, Server};

/// Where lists are held.
#[derive(Default)]
struct Held {
    state: Mutex<(usize, bool)>,
    changed: Condvar,
}

impl Held {
    fn hold(&self) {
        let mut state = self.state.lock().expect("no panic");
        state.0 += 1;
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |state| !state.1).expect("no panic"));
    }

    fn await_held(&self, n: usize) {
        let state = self.state.lock().expect("no panic");
        let patience = Duration::from_secs(20);
        let (_state, timeout) =
            self.changed.wait_timeout_while(state, patience, |state| state.0 < n).expect("no panic");
        assert!(!timeout.timed_out(), "no {n} lists are read");
    }

    fn release(&self) {
        self.state.lock().expect("no panic").1 = true;
        self.changed.notify_all();
    }
}

/// The number of the key that was made last.
fn last_key(server: &Server) -> Asker {
    Asker::Key(server.db_number("SELECT max(id) FROM api_keys"))
}

/// 40 lists of one key that do not end: it is refused more, everybody else is served as ever.
#[test]
fn one_key_with_lists_that_take_long_is_refused_and_others_are_served() {
    let server = Server::start();
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let mailbox = server.add_mailbox(&server.workspace, "sales@example.org", Some(&tenant), Some(25));
    let list = format!("/v1/mailboxes/{mailbox}/audit-logs");
    let (server_key, worst) = (server.key.clone(), server.add_key(&server.workspace, &["messages:read"]));
    let asker = last_key(&server);
    let (held, n_refused) = (Held::default(), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..40 {
            scope.spawn(|| {
                let listed = server.running().app.store.read_list(asker, |_| {
                    held.hold();
                    Ok(())
                });
                match listed {
                    Ok(()) => {}
                    Err(Error::TooMany { .. }) => {
                        n_refused.fetch_add(1, Ordering::SeqCst);
                    }
                    Err(other) => panic!("{other}"),
                }
            });
        }
        held.await_held(2);
        // Few of them wait, for each holds a handler's turn.
        while n_refused.load(Ordering::SeqCst) < 30 {
            std::thread::sleep(Duration::from_millis(1));
        }
        let refused = server.request(Method::Get, &list).key(&worst).send().status(429);
        assert_eq!(refused.header("retry-after"), Some("1"));
        assert_eq!(
            refused.json()["error"],
            "other lists of yours take long, and enough of them wait behind these"
        );

        // Other keys' lists, authentication, the gate, mail over the Unix socket, readiness.
        server.get(&list).status(200);
        server.get("/v1/enforcement/events").status(200);
        let ndjson = format!("{list}?format=ndjson");
        server.get(&ndjson).status(200);
        server.login(OWNER);
        let inbound = list.replace("audit-logs", "inbound");
        let mail = server.request(Method::Post, &inbound).key(&server_key);
        mail.json(&json!({ "message_id": "m1@example.net" })).send().status(201);
        let mail = json!({ "message_id": "m2@example.net", "outcome": "delivered" });
        server.operator(Method::Post, &list, &mail).status(201);
        let send = json!({ "tenant_id": tenant, "mailbox_address": "sales@example.org" });
        server.post("/v1/enforcement/sends", &send).status(200);
        server.request(Method::Get, "/readyz").send().status(200);
        server.operator(Method::Get, "/api/v1/admin/stats", &Value::Null).status(200);
        held.release();
    });
    // Nothing is owed for what was held, and the key is as good as before.
    server.request(Method::Get, &list).key(&worst).send().status(200);
}

/// A list that would look through everything is refused in the middle.
#[test]
fn a_list_has_so_many_steps() {
    const ENDLESS: &str =
        "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c";
    let server = Server::start();
    let store = &server.running().app.store;
    let endless = store.read_list(Asker::Key(1), |snapshot| Ok(snapshot.query_row(ENDLESS, [], |_| Ok(()))?));
    match endless.expect_err("an end") {
        Error::Invalid(problems) => assert!(problems[0].message.contains("narrow it with an indexed filter")),
        other => panic!("{other:?}"),
    }
    store.read_list(Asker::Key(1), |_| Ok(())).expect("the connection goes on");
}

#[test]
fn what_reads_the_whole_file_runs_one_at_a_time() {
    let server = Server::start();
    let ask =
        |method, path: &str, body: &Value| server.operator(method, &format!("/api/v1/admin/{path}"), body);
    let erasure = json!({ "address": "bob@example.org", "why": "asked for", "dry_run": true });
    let routes = [
        (Whole::Verify, Method::Get, "verify", Value::Null, 200),
        (Whole::Check, Method::Post, "check", json!({}), 200),
        (Whole::Check, Method::Post, "check", json!({ "repair": true }), 200),
        (Whole::Erasure, Method::Post, "erasures", erasure, 200),
        (Whole::Retention, Method::Post, "retention/run", json!({ "dry_run": true }), 200),
    ];
    for (whole, method, path, body, status) in routes {
        let under_way = server.running().app.store.begin_whole(whole).expect("nothing runs");
        let refused = ask(method, path, &body).status(409).json();
        assert_eq!(refused["code"], "already_running", "{path}: {refused}");
        drop(under_way);
        ask(method, path, &body).status(status);
    }
}

#[test]
fn what_reads_the_whole_file_ends_when_nobody_waits_for_it() {
    let server = Server::start();
    let store = &server.running().app.store;
    let is_over = std::sync::Arc::new(AtomicBool::new(false));
    let asked = std::sync::Arc::clone(&is_over);
    let broken_off = store.read_whole(
        Whole::Verify,
        move || asked.load(Ordering::SeqCst),
        |snapshot| {
            is_over.store(true, Ordering::SeqCst);
            let sql =
                "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c";
            Ok(snapshot.query_row(sql, [], |_| Ok(()))?)
        },
    );
    assert!(matches!(broken_off, Err(Error::Unavailable { .. })), "{broken_off:?}");
    server.operator(Method::Get, "/api/v1/admin/verify", &Value::Null).status(200);
}
