//! Paging while others record and retention deletes: a row that was there throughout comes once, in its order, and
//! every loop over pages ends.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use mailtrail::http::Method;
use serde_json::{Value, json};

use crate::support::{OWNER, START, Server, time};

/// Rows that are there throughout, in each log.
const N_LASTING: usize = 300;
/// Pages that each reader walks through, over and over, while the others work.
const N_WALKS: usize = 18;

/// Rows older than this many days go.
const DAYS: i64 = 30;

fn server() -> Server {
    Server::start_with(&[
        ("enforcement_retention_days", "30"),
        ("messages_retention_days", "30"),
        ("activity_retention_days", "30"),
        ("log", "error"),
    ])
}

/// The three logs differ in words only.
#[derive(Clone)]
struct Log {
    path: String,
    word: &'static str,
    /// The member that a test marks its rows with.
    mark: &'static str,
    header: (&'static str, String),
    key: String,
    item: fn(&Owners, &str, &str) -> Value,
    /// How a page orders its rows: by time, or by id alone.
    by_time: bool,
}

#[derive(Clone)]
struct Owners {
    tenant: String,
    user: String,
}

fn logs(server: &Server) -> (Owners, [Log; 3]) {
    let workspace = &server.workspace;
    let users = server.operator(Method::Get, "/api/v1/admin/users", &Value::Null).good().json();
    let owners = Owners {
        tenant: server.add_tenant(workspace, "Acme"),
        user: users["users"][0]["id"].as_str().expect("a user").to_owned(),
    };
    let mailbox = server.add_mailbox(workspace, "sales@mail.acmecorp.com", None, None);
    let project = server.add_project(workspace, "Newsletter");
    let bearer = ("authorization", format!("Bearer {}", server.key));
    let log = |path: String, word, mark, header, item, by_time| Log {
        path,
        word,
        mark,
        header,
        key: server.key.clone(),
        item,
        by_time,
    };
    let event = |owners: &Owners, mark: &str, at: &str| {
        json!({
            "tenant_id": owners.tenant, "mailbox_address": mark, "action_taken": "blocked", "sent_count": 1,
            "limit_value": 1, "created_at": at,
        })
    };
    let entry = |_: &Owners, mark: &str, at: &str| json!({ "message_id": mark, "outcome": "delivered", "received_at": time(at).seconds() });
    let activity = |owners: &Owners, mark: &str, at: &str| json!({ "user_id": owners.user, "action": "smtp.update", "target_id": mark, "created_at": at });
    let cookie = ("cookie", server.login(OWNER));
    let logs = [
        log("/v1/enforcement/events".into(), "events", "mailbox_address", bearer.clone(), event, true),
        log(format!("/v1/mailboxes/{mailbox}/audit-logs"), "items", "message_id", bearer, entry, false),
        log(format!("/api/v1/projects/{project}/audit-log"), "entries", "target_id", cookie, activity, true),
    ];
    (owners, logs)
}

impl Log {
    fn record(&self, server: &Server, owners: &Owners, rows: &[(String, String)]) {
        let items: Vec<Value> = rows.iter().map(|(mark, at)| (self.item)(owners, mark, at)).collect();
        server
            .request(Method::Post, &self.path)
            .key(&self.key)
            .json(&json!({ self.word: items }))
            .send()
            .good();
    }

    fn get(&self, server: &Server, target: &str) -> (Vec<Value>, Value, Option<String>) {
        let answer =
            server.request(Method::Get, target).header(self.header.0, &self.header.1).send().status(200);
        let body = answer.json();
        let rows = body[self.word].as_array().expect("rows").clone();
        let next = match answer.header("link") {
            Some(link) => {
                link.strip_prefix('<').and_then(|rest| rest.split_once('>')).map(|(to, _)| to.to_owned())
            }
            None => body["next_cursor"].as_i64().map(|cursor| {
                let plain = target.split("&cursor=").next().expect("a target");
                format!("{plain}&cursor={cursor}")
            }),
        };
        (rows, body, next)
    }

    fn mark<'a>(&self, row: &'a Value) -> &'a str {
        row[self.mark].as_str().unwrap_or_default()
    }

    /// What orders a row among the others.
    fn place(&self, row: &Value) -> (i64, i64) {
        if self.by_time {
            let at = time(row["created_at"].as_str().expect("a time")).micros();
            (at, row["seq"].as_i64().expect("a seq"))
        } else {
            (0, row["id"].as_i64().expect("an id"))
        }
    }
}

/// A moment of the last days, spread and never the same order as that of recording.
fn recent(n: usize) -> String {
    time(START).plus_seconds(-(((n * 7919) % 200_000) as i64)).to_string()
}

/// A moment that retention takes.
fn old(n: usize) -> String {
    time(START).plus_days(-DAYS - 1).plus_seconds(-((n % 5000) as i64)).to_string()
}

/// Runs `read` while writers record lasting and passing rows all over the time and retention takes the old ones.
fn while_others_work(server: &Arc<Server>, owners: &Owners, logs: &[Log], read: impl FnOnce()) {
    let is_over = Arc::new(AtomicBool::new(false));
    let n_deleted = Arc::new(AtomicUsize::new(0));
    let mut others = Vec::new();
    for (at, log) in logs.iter().cloned().enumerate() {
        let (server, owners, is_over) = (Arc::clone(server), owners.clone(), Arc::clone(&is_over));
        others.push(std::thread::spawn(move || {
            for n in (0..).step_by(4) {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                // Two that stay and two that retention takes: oldest, newest and in between.
                let rows: Vec<(String, String)> = (n..n + 4)
                    .map(|n| {
                        (format!("passing{at}n{n}@b.example"), if n % 2 == 0 { recent(n) } else { old(n) })
                    })
                    .collect();
                log.record(&server, &owners, &rows);
            }
        }));
    }
    {
        let (server, is_over, n_deleted) = (Arc::clone(server), Arc::clone(&is_over), Arc::clone(&n_deleted));
        others.push(std::thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                let ran =
                    server.operator(Method::Post, "/api/v1/admin/retention/run", &Value::Null).good().json();
                let deleted = ran["deleted"].as_object().expect("numbers").values();
                let n: u64 = deleted.filter_map(Value::as_u64).sum();
                n_deleted.fetch_add(n as usize, Ordering::Relaxed);
            }
        }));
    }
    read();
    is_over.store(true, Ordering::Relaxed);
    for other in others {
        other.join().expect("a thread that ends well");
    }
    assert!(n_deleted.load(Ordering::Relaxed) > 0, "retention took nothing meanwhile");
    let checked = server.operator(Method::Post, "/api/v1/admin/check", &Value::Null).good().json();
    assert_eq!(checked["ok"], true, "{checked}");
}

fn record_lasting(server: &Server, owners: &Owners, log: &Log) -> BTreeSet<String> {
    let rows: Vec<(String, String)> =
        (0..N_LASTING).map(|n| (format!("lasting{n}@b.example"), recent(n))).collect();
    log.record(server, owners, &rows);
    rows.into_iter().map(|(mark, _)| mark).collect()
}

#[test]
fn a_cursor_neither_skips_nor_repeats_a_row_that_was_there_throughout() {
    let server = Arc::new(server());
    let (owners, logs) = logs(&server);
    let lasting: Vec<BTreeSet<String>> =
        logs.iter().map(|log| record_lasting(&server, &owners, log)).collect();
    while_others_work(&server, &owners, &logs, || {
        for walk in 0..N_WALKS {
            let order = ["desc", "asc"][walk % 2];
            let limit = [7, 40, 200][walk % 3];
            for (log, lasting) in logs.iter().zip(&lasting) {
                let mut target = Some(format!("{}?order={order}&limit={limit}", log.path));
                let mut last = None;
                let mut found = BTreeSet::new();
                let mut seen = BTreeSet::new();
                while let Some(to) = target {
                    // Oldest first, what is recorded meanwhile is still to come: the walk ends where it began to run
                    // after the writers.
                    if order == "asc" && found.len() == N_LASTING {
                        break;
                    }
                    let (rows, _, next) = log.get(&server, &to);
                    assert!(rows.len() == limit || next.is_none(), "a short page with a next one");
                    for row in &rows {
                        let place = log.place(row);
                        let rises =
                            last.is_none_or(|last| if order == "asc" { place > last } else { place < last });
                        assert!(rises, "{}: {place:?} after {last:?}", log.word);
                        last = Some(place);
                        let mark = log.mark(row).to_owned();
                        if lasting.contains(&mark) {
                            found.insert(mark);
                        }
                        assert!(seen.insert(row["id"].to_string()), "{}: {row} came twice", log.word);
                    }
                    target = next;
                }
                assert_eq!(&found, lasting, "{} {order} {limit}", log.word);
            }
        }
    });
}

#[test]
fn the_vendors_loop_over_offsets_ends_and_its_total_is_within_reach() {
    let server = Arc::new(server());
    let (owners, logs) = logs(&server);
    for log in &logs {
        record_lasting(&server, &owners, log);
    }
    while_others_work(&server, &owners, &logs, || {
        for walk in 0..N_WALKS {
            let limit = [50, 113, 200][walk % 3];
            for log in logs.iter().filter(|log| log.by_time) {
                let filter = ["", "&order=asc", "&from=2026-04-29T03:03:03Z"][walk % 3];
                let mut offset = 0;
                let mut n_all = 0;
                loop {
                    let (rows, body, next) =
                        log.get(&server, &format!("{}?limit={limit}&offset={offset}{filter}", log.path));
                    let total = usize::try_from(body["total"].as_u64().expect("a total")).expect("a number");
                    // Of one snapshot: a page is full unless it is the last, and the last one reaches the total.
                    assert_eq!(rows.len(), total.saturating_sub(offset).min(limit), "{body}");
                    assert_eq!(next.is_some(), offset + limit < total);
                    n_all += rows.len();
                    if n_all >= total {
                        break;
                    }
                    offset += limit;
                }
            }
        }
    });
}

#[test]
fn a_total_is_the_number_of_rows_of_the_same_answer() {
    let server = Arc::new(server());
    let (owners, logs) = logs(&server);
    while_others_work(&server, &owners, &logs, || {
        // A few minutes, so that a page holds them all; and what retention takes, which comes and goes.
        for (n, span) in ["from=2026-04-30T13:00:00Z&to=2026-04-30T13:04:05Z", "to=2026-04-01T00:00:00Z"]
            .iter()
            .cycle()
            .take(60)
            .enumerate()
        {
            for log in logs.iter().filter(|log| log.by_time) {
                let order = ["asc", "desc"][n % 2];
                let (rows, body, next) =
                    log.get(&server, &format!("{}?limit=200&order={order}&{span}", log.path));
                let total = usize::try_from(body["total"].as_u64().expect("a total")).expect("a number");
                if next.is_none() {
                    assert_eq!(total, rows.len(), "{span}");
                } else {
                    assert!(total > 200, "{span}: {total}");
                }
            }
        }
    });
}
