//! Imports: whatever files say, in whatever order and however often, exactly what is not there yet is recorded.

use std::collections::BTreeMap;

use mailtrail::http::Method;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::process::mailtrail;
use crate::support::{START, Server, time};

const USER: &str = "0f8f2c1e-3a1b-4c0d-8e2f-1a2b3c4d5e6f";
const OTHER_USER: &str = "1f8f2c1e-3a1b-4c0d-8e2f-1a2b3c4d5e6f";

/// What an import tells: written, already there, refused.
fn import(server: &Server, arguments: &[&str], file: &str, content: &str) -> [u64; 3] {
    let path = server.directory().join(file);
    std::fs::write(&path, content).expect("a file");
    let path = path.display().to_string();
    let arguments = [&["import"], arguments, &[&path, "--json"]].concat();
    let output = mailtrail(&server.config().data, &arguments).output().expect("a command that runs");
    let told: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    ["written", "already", "refused"].map(|name| told[name].as_u64().expect("a number"))
}

fn export(server: &Server, arguments: &[&str]) -> String {
    crate::support::process::run(&server.config().data, &[&["export"], arguments].concat())
}

fn lines(rows: &[Value]) -> String {
    rows.iter().map(|row| format!("{row}\n")).collect()
}

// ---------------------------------------------------------------------------------------------- whatever comes

/// A row of few kinds, so that equal ones come again: whose, what, and when.
type Row = (usize, usize, Option<usize>);

#[derive(Debug, Clone)]
enum Step {
    /// A file with these rows, as CSV or not.
    File(Vec<Row>, bool),
    /// An earlier file again, from this row on, and these behind it.
    Again(prop::sample::Index, usize, Vec<Row>),
    /// What the log itself exports, twice over, as CSV or not.
    Export(bool),
    /// Somebody records one meanwhile.
    Recorded(Row),
    Days(i64),
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let time = prop_oneof![4 => (0..3_usize).prop_map(Some), 1 => Just(None)];
    prop::collection::vec((0..2_usize, 0..3_usize, time), 0..12)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (rows(), any::<bool>()).prop_map(|(rows, is_csv)| Step::File(rows, is_csv)),
        3 => (any::<prop::sample::Index>(), 0..4_usize, rows())
            .prop_map(|(which, from, more)| Step::Again(which, from, more)),
        2 => any::<bool>().prop_map(Step::Export),
        2 => rows().prop_map(|rows| Step::Recorded(rows.first().copied().unwrap_or((0, 0, None)))),
        1 => (1..9_i64).prop_map(Step::Days),
    ]
}

const TIMES: [&str; 3] = ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000001Z", "2026-02-03T04:05:06Z"];

/// One log under test: its owners, and how many of each row it has.
struct Log<'a> {
    server: &'a Server,
    name: &'a str,
    owners: [String; 2],
    rows: BTreeMap<Row, u64>,
    files: Vec<Vec<Row>>,
}

impl Log<'_> {
    fn line(&self, (owner, what, time): Row) -> Value {
        let created_at = time.map(|time| TIMES[time]);
        let mut line = match self.name {
            "enforcement" => json!({
                "tenant_id": self.owners[owner], "mailbox_address": "sales@example.org", "action_taken": "blocked",
                "sent_count": what, "limit_value": 25, "created_at": created_at,
            }),
            _ => json!({
                "ip_address": "192.0.2.1", "user_agent": "curl",
                "user_id": USER, "action": "smtp.update", "metadata": { "what": what, "b": [1] }, "created_at": created_at,
            }),
        };
        line.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
        line
    }

    fn path(&self, owner: usize) -> String {
        match self.name {
            "enforcement" => "/v1/enforcement/events".to_owned(),
            _ => format!("/api/v1/projects/{}/audit-log", self.owners[owner]),
        }
    }

    /// Files of activities are of one project each.
    fn parts(&self, rows: &[Row]) -> Vec<(Vec<String>, Vec<Row>)> {
        if self.name == "enforcement" {
            return vec![(vec!["enforcement".to_owned()], rows.to_vec())];
        }
        let part = |owner: usize| {
            let of = |row: &&Row| row.0 == owner;
            let arguments = ["activity", "--project", &self.owners[owner]].map(str::to_owned).to_vec();
            (arguments, rows.iter().filter(of).copied().collect())
        };
        vec![part(0), part(1)]
    }

    fn import(&mut self, rows: &[Row], is_csv: bool) {
        for (arguments, rows) in self.parts(rows) {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let given: Vec<Value> = rows.iter().map(|row| self.line(*row)).collect();
            let told = match is_csv {
                true => import(self.server, &arguments, "file.csv", &csv(&given)),
                false => import(self.server, &arguments, "file.ndjson", &lines(&given)),
            };
            let mut in_file: BTreeMap<Row, u64> = BTreeMap::new();
            rows.iter().for_each(|row| *in_file.entry(*row).or_default() += 1);
            let mut written = 0;
            for (row, n) in in_file {
                let there = self.rows.entry(row).or_default();
                written += n.saturating_sub(*there);
                *there = (*there).max(n);
            }
            assert_eq!(told, [written, rows.len() as u64 - written, 0], "{given:?}");
        }
        self.files.push(rows.to_vec());
    }

    fn check(&self) {
        for owner in 0..2 {
            let expected: u64 = self.rows.iter().filter(|(row, _)| row.0 == owner).map(|(_, n)| n).sum();
            let sql = match self.name {
                "enforcement" => {
                    "SELECT count(*) FROM enforcement_events JOIN tenants ON tenants.id = tenant WHERE name = "
                }
                _ => {
                    "SELECT count(*) FROM activity JOIN projects ON projects.id = project
                     WHERE action = (SELECT id FROM texts WHERE text = 'smtp.update') AND name = "
                }
            };
            let n = self.server.db_number(&format!("{sql}'Owner {owner}'"));
            assert_eq!(n.unsigned_abs(), expected, "{:?}", self.rows);
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::File(rows, is_csv) => self.import(rows, *is_csv),
            Step::Again(which, from, more) if !self.files.is_empty() => {
                let file = which.get(&self.files).clone();
                let rows: Vec<Row> = file.into_iter().skip(*from).chain(more.iter().copied()).collect();
                self.import(&rows, false);
            }
            Step::Again(..) => {}
            Step::Export(is_csv) => {
                for (arguments, _) in self.parts(&[]) {
                    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                    // Without what mailtrail noted itself: no import takes what no person did.
                    let action = if self.name == "activity" { "smtp.update" } else { "blocked" };
                    let format = if *is_csv { "csv" } else { "ndjson" };
                    let asked = [&arguments[..], &["--action", action, "--format", format]].concat();
                    let exported = export(self.server, &asked);
                    let (head, rows) = exported.split_at(match is_csv {
                        true => exported.find('\n').expect("a head") + 1,
                        false => 0,
                    });
                    let file = format!("export.{format}");
                    let told = import(self.server, &arguments, &file, &format!("{head}{rows}{rows}"));
                    assert_eq!(told, [0, 2 * rows.lines().count() as u64, 0], "{rows}");
                }
            }
            Step::Recorded(row) => {
                self.server.post(&self.path(row.0), &self.line(*row)).status(201);
                *self.rows.entry(*row).or_default() += 1;
            }
            Step::Days(days) => {
                let now = self.server.clock.now();
                self.server.clock.set(now.plus_days(*days));
            }
        }
        self.check();
    }
}

fn csv(rows: &[Value]) -> String {
    let mut names: Vec<String> =
        rows.iter().flat_map(|row| row.as_object().expect("an object").keys().cloned()).collect();
    names.sort();
    names.dedup();
    let mut text = format!("{}\n", if names.is_empty() { "action".to_owned() } else { names.join(",") });
    for row in rows {
        let cells = names.iter().map(|name| match &row[name] {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => format!("\"{}\"", other.to_string().replace('"', "\"\"")),
        });
        text.push_str(&format!("{}\n", cells.collect::<Vec<_>>().join(",")));
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn an_import_records_exactly_what_is_not_there(steps in prop::collection::vec(step(), 1..12)) {
        for name in ["enforcement", "activity"] {
            let server = Server::start();
            let owners = ["Owner 0", "Owner 1"].map(|owner| match name {
                "enforcement" => server.add_tenant(&server.workspace, owner),
                _ => server.add_project(&server.workspace, owner),
            });
            let mut log = Log { server: &server, name, owners, rows: BTreeMap::new(), files: Vec::new() };
            for step in &steps {
                log.take(step);
            }
        }
    }
}

// ---------------------------------------------------------------------------------------------- stories

#[test]
fn a_corrected_line_is_the_one_that_had_been_refused() {
    let server = Server::start();
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let event = |n: usize| {
        json!({ "tenant_id": tenant, "mailbox_address": "sales@example.org", "action_taken": "blocked",
                "sent_count": n, "limit_value": 25, "created_at": START })
    };
    let mut events: Vec<Value> = (0..1200).map(event).collect();
    events[700]["tenant_id"] = json!(USER);
    events[701]["action_taken"] = json!("paused");
    assert_eq!(import(&server, &["enforcement"], "events.ndjson", &lines(&events)), [1198, 0, 2]);
    server.clock.set(time(START).plus_days(40));
    events[700] = event(700);
    events[701] = event(701);
    assert_eq!(import(&server, &["enforcement"], "events.ndjson", &lines(&events)), [2, 1198, 0]);
    // A line less at the top, one more below, and the rest as it was.
    events.remove(0);
    events.push(event(1200));
    assert_eq!(import(&server, &["enforcement"], "events.ndjson", &lines(&events)), [1, 1199, 0]);
    assert_eq!(server.get("/v1/enforcement/events").json()["total"], 1201);
}

#[test]
fn many_equal_lines_are_as_many_rows_once() {
    let server = Server::start();
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let event = json!({ "tenant_id": tenant, "mailbox_address": "sales@example.org", "action_taken": "blocked",
                        "sent_count": 26, "limit_value": 25, "created_at": START });
    let events = vec![event; 4000];
    assert_eq!(import(&server, &["enforcement"], "events.ndjson", &lines(&events[..3000])), [3000, 0, 0]);
    assert_eq!(import(&server, &["enforcement"], "events.ndjson", &lines(&events)), [1000, 3000, 0]);
    // Where an earlier run ended.
    let from = ["enforcement", "--from-line", "3901"];
    assert_eq!(import(&server, &from, "events.ndjson", &lines(&events)), [0, 100, 0]);
    let exported = export(&server, &["enforcement"]);
    assert_eq!(import(&server, &["enforcement"], "export.ndjson", &exported), [0, 4000, 0]);
}

#[test]
fn what_was_removed_may_come_again() {
    let server = Server::start_with(&[("enforcement_retention_days", "30")]);
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let event = json!({ "tenant_id": tenant, "mailbox_address": "sales@example.org", "action_taken": "blocked",
                        "sent_count": 26, "limit_value": 25, "created_at": "2026-04-29T00:00:00Z" });
    let file = lines(&[event]);
    assert_eq!(import(&server, &["enforcement"], "events.ndjson", &file), [1, 0, 0]);
    server.clock.set(time(START).plus_days(40));
    server.operator(Method::Post, "/api/v1/admin/retention/run", &json!({})).good();
    assert_eq!(server.get("/v1/enforcement/events").json()["total"], 0);
    assert_eq!(import(&server, &["enforcement"], "events.ndjson", &file), [1, 0, 0]);
}

#[test]
fn a_batch_over_http_says_that_it_is_an_import() {
    let server = Server::start();
    let project = server.add_project(&server.workspace, "News");
    let path = format!("/api/v1/projects/{project}/audit-log");
    let entry = |user: &str, n: usize| json!({ "user_id": user, "action": "smtp.update", "metadata": { "n": n, "m": 1 }, "created_at": START });
    let send = |rows: Value| server.post(&format!("{path}?import=true"), &json!({ "entries": rows }));
    let batch = json!([entry(USER, 1), entry(USER, 1), entry(OTHER_USER, 1)]);
    let told = send(batch.clone()).status(201).json();
    assert_eq!((&told["count"], &told["already"]), (&json!(3), &json!(0)));
    let numbers = told["numbers"].clone();
    let again = send(batch).status(200).json();
    assert_eq!(again, json!({ "count": 0, "already": 3, "numbers": numbers }));
    // Nothing is said of from where: whoever imports did not do it.
    let cookie = server.login(crate::support::OWNER);
    let shown =
        server.request(Method::Get, &format!("{path}?action=smtp.update")).cookie(&cookie).send().json();
    assert_eq!(shown["entries"][0]["ip_address"], Value::Null);
    // As an export has it, and in another order of members.
    let request = server.request(Method::Post, &format!("{path}?import=true")).key(&server.key);
    let exported = lines(shown["entries"].as_array().expect("entries"));
    let told = request.body("application/jsonl", exported).send().status(200).json();
    assert_eq!((&told["count"], &told["already"]), (&json!(0), &json!(3)));
    let other = json!([{ "created_at": "2026-04-30T16:22:11+02:00", "metadata": { "m": 1, "n": 1 },
                         "action": "smtp.update", "user_id": USER.to_uppercase() }]);
    assert_eq!(send(other).status(200).json()["already"], 1);
    // Without it every row is one more.
    server.post(&path, &json!({ "entries": [entry(USER, 1)] })).status(201);
    for _ in 0..2 {
        let request = server.request(Method::Post, &format!("{path}?import=true")).key(&server.key);
        let request = request.header("idempotency-key", "k").json(&entry(USER, 9));
        assert_eq!(request.send().status(201).json(), json!({ "count": 1, "already": 0 }));
    }
}

/// What one records between the look of another and its write is known again in the write.
#[test]
fn those_who_import_the_same_at_once_record_it_once() {
    let server = Server::start();
    let project = server.add_project(&server.workspace, "News");
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let dated = |row: &Value, at: usize| {
        let mut row = row.clone();
        if at.is_multiple_of(2) {
            row["created_at"] = json!(START);
        }
        row
    };
    for round in 0..5 {
        let entry = json!({ "user_id": USER, "action": "smtp.update", "metadata": { "round": round } });
        let event = json!({ "tenant_id": tenant, "mailbox_address": format!("{round}@example.org"),
                            "action_taken": "blocked", "sent_count": 26, "limit_value": 25 });
        let entries: Vec<Value> = (0..300).map(|at| dated(&entry, at)).collect();
        let events: Vec<Value> = (0..300).map(|at| dated(&event, at)).collect();
        for (path, body) in [
            (format!("/api/v1/projects/{project}/audit-log?import=true"), json!({ "entries": entries })),
            ("/v1/enforcement/events?import=true".to_owned(), json!({ "events": events })),
        ] {
            let n_new: u64 = std::thread::scope(|scope| {
                let send = || server.post(&path, &body).good().json()["count"].as_u64().expect("a number");
                let sent: Vec<_> = (0..4).map(|_| scope.spawn(send)).collect();
                sent.into_iter().map(|sent| sent.join().expect("an answer")).sum()
            });
            assert_eq!(n_new, 300, "{path} {round}");
        }
    }
}

#[test]
fn a_message_is_known_again_by_its_id() {
    let server = Server::start();
    let mailbox = server.add_mailbox(&server.workspace, "agent@example.org", None, None);
    let arguments = ["messages", "--mailbox", "agent@example.org"];
    let mut entries: Vec<Value> = (0..20)
        .map(|n| {
            json!({ "message_id": format!("<m{n}@example.org>"), "outcome": "delivered", "thread_id": "t",
                    "sender_address": "ann@example.org", "body_hash": "ab".repeat(32),
                    "reply_sent": { "to": "ann", "at": n }, "tokens_consumed": { "input": 5, "output": n } })
        })
        .collect();
    assert_eq!(import(&server, &arguments, "a.ndjson", &lines(&entries)), [20, 0, 0]);
    server.clock.set(time(START).plus_days(3));
    assert_eq!(import(&server, &arguments, "a.ndjson", &lines(&entries)), [0, 20, 0]);
    let exported = export(&server, &arguments);
    assert_eq!(import(&server, &arguments, "b.ndjson", &exported), [0, 20, 0]);
    // What came later does not make it another.
    let path = format!("/v1/mailboxes/{mailbox}/audit-logs/m3@example.org");
    server.patch(&path, &json!({ "tokens_consumed": { "input": 7 }, "bounce": "later" })).good();
    for exported in [exported, export(&server, &arguments)] {
        assert_eq!(import(&server, &arguments, "b.ndjson", &exported), [0, 20, 0]);
    }
    let exported = export(&server, &["messages", "--mailbox", "agent@example.org", "--format", "csv"]);
    assert_eq!(import(&server, &arguments, "b.csv", &exported), [0, 20, 0]);
    // Another server takes the export, once.
    let other = Server::start();
    other.add_mailbox(&other.workspace, "agent@example.org", None, None);
    let exported = export(&server, &arguments);
    assert_eq!(import(&other, &arguments, "c.ndjson", &exported), [20, 0, 0]);
    assert_eq!(import(&other, &arguments, "c.ndjson", &exported), [0, 20, 0]);
    // A message that was recorded otherwise stays as it is; one more is recorded.
    entries[5]["outcome"] = json!("rate_limited");
    entries.push(json!({ "message_id": "new@example.org", "outcome": "delivered" }));
    assert_eq!(import(&server, &arguments, "a.ndjson", &lines(&entries)), [1, 19, 1]);
}
