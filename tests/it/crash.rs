//! `kill -9` while 64 clients write: whatever was answered is there, what was retried is there once, and the
//! database is whole. `MAILTRAIL_ROUNDS` sets how often. And what happens when a file can grow no more.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

const CLIENTS: usize = 64;
/// Rows of a batch.
const BATCH: usize = 4;

fn mailtrail(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailtrail"));
    command.args(arguments).arg("--data").arg(data);
    command
}

/// Runs a command to its end; what it wrote to standard output.
#[track_caller]
fn run(data: &Path, arguments: &[&str]) -> String {
    let output = mailtrail(data, arguments).output().expect("a command that runs");
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {}\n{stdout}\n{stderr}", output.status);
    stdout
}

fn run_json(data: &Path, arguments: &[&str]) -> Value {
    let text = run(data, &[arguments, &["--json"]].concat());
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
}

/// A serving process, killed when it is dropped.
struct Serving {
    process: Child,
    url: String,
}

impl Serving {
    fn start(data: &Path) -> Self {
        Self::spawn(mailtrail(data, &Self::ARGUMENTS))
    }

    const ARGUMENTS: [&str; 5] = ["serve", "--listen", "127.0.0.1:0", "--set", "log=error"];

    /// With files of at most so many times 512 bytes.
    fn start_with_file_limit(data: &Path, blocks: u64) -> Self {
        let inner = mailtrail(data, &Self::ARGUMENTS);
        let mut limited = Command::new("sh");
        limited.args(["-c", &format!("ulimit -f {blocks}; exec \"$0\" \"$@\"")]);
        limited.arg(inner.get_program()).args(inner.get_args());
        Self::spawn(limited)
    }

    fn spawn(mut command: Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().expect("a server");
        let mut lines = BufReader::new(process.stdout.take().expect("its standard output"));
        let mut url = String::new();
        lines.read_line(&mut url).expect("its first line");
        assert!(url.starts_with("http://"), "the first line is {url:?}");
        Self { process, url: url.trim_end().to_owned() }
    }

    /// `kill -9`.
    fn kill(mut self) {
        self.process.kill().expect("a kill");
        self.process.wait().expect("an end");
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One write: its own idempotency key, and the marks by which its rows are found again.
#[derive(Debug, Clone)]
struct Write {
    key: String,
    log: usize,
    path: String,
    body: String,
    marks: Vec<String>,
}

struct Owners {
    api_key: String,
    user: String,
    tenant: String,
    mailbox: i64,
    project: String,
}

/// The members of the two logs by which a row is found again.
const MARKED: [&str; 3] = ["mailbox_address", "message_id", "target_id"];
const LOGS: [&str; 3] = ["enforcement", "messages", "activity"];

impl Owners {
    /// In a new data directory.
    fn create(data: &Path) -> Self {
        let made = run_json(data, &["init", "--email", "ada@example.org"]);
        let id = |made: &Value| made["id"].as_str().expect("an id").to_owned();
        let tenant = id(&run_json(data, &["tenant", "create", "--name", "Acme"]));
        let mailbox = run_json(data, &["mailbox", "create", "--address", "sales@a.example"])["id"].as_i64();
        let project = id(&run_json(data, &["project", "create", "--name", "Newsletter"]));
        Self {
            api_key: made["api_key"].as_str().expect("a key").to_owned(),
            user: made["user_id"].as_str().expect("a user").to_owned(),
            tenant,
            mailbox: mailbox.expect("an integer id"),
            project,
        }
    }

    /// The `n`th write of a client in a round: each log in turn, every third time a batch.
    fn write(&self, round: usize, client: usize, n: usize) -> Write {
        let log = (client + n) % 3;
        let count = if n % 3 == 2 { BATCH } else { 1 };
        let marks: Vec<String> =
            (0..count).map(|at| format!("r{round}c{client}n{n}i{at}@crash.example")).collect();
        let item = |mark: &String| match log {
            0 => json!({
                "tenant_id": self.tenant, "mailbox_address": mark, "action_taken": "blocked", "sent_count": n,
                "limit_value": 25,
            }),
            1 => json!({ "message_id": mark, "outcome": "delivered", "tokens_consumed": { "input": n } }),
            _ => json!({ "user_id": self.user, "action": "smtp.update", "target_id": mark }),
        };
        let items: Vec<Value> = marks.iter().map(item).collect();
        let body = match (log, count) {
            (_, 1) => items[0].clone(),
            (0, _) => json!({ "events": items }),
            (1, _) => json!({ "items": items }),
            _ => json!({ "entries": items }),
        };
        let path = match log {
            0 => "/v1/enforcement/events".to_owned(),
            1 => format!("/v1/mailboxes/{}/audit-logs", self.mailbox),
            _ => format!("/api/v1/projects/{}/audit-log", self.project),
        };
        Write { key: format!("r{round}c{client}n{n}"), log, path, body: body.to_string(), marks }
    }

    fn send(&self, agent: &ureq::Agent, url: &str, write: &Write) -> Result<(u16, String), ureq::Error> {
        let request = ureq::http::Request::post(format!("{url}{}", write.path))
            .header("authorization", format!("Bearer {}", self.api_key))
            .header("content-type", "application/json")
            .header("idempotency-key", &write.key)
            .body(write.body.clone())?;
        let mut answer = agent.run(request)?;
        let body = answer.body_mut().read_to_string()?;
        Ok((answer.status().as_u16(), body))
    }
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(30)));
    ureq::Agent::new_with_config(config.build())
}

/// What one round's clients know when the server is gone.
#[derive(Default)]
struct Known {
    /// Answered with a 2xx, and with what.
    answered: Vec<(Write, u16, String)>,
    /// Sent and never answered.
    unanswered: Vec<Write>,
}

/// Writes from every client until the server does not answer any more.
fn write_until_it_dies(owners: &Arc<Owners>, url: &str, round: usize, known: &Arc<Mutex<Known>>) {
    let is_over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (owners, known) = (Arc::clone(owners), Arc::clone(known));
            let (url, is_over) = (url.to_owned(), Arc::clone(&is_over));
            std::thread::spawn(move || {
                let agent = agent();
                for n in 0.. {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    let write = owners.write(round, client, n);
                    match owners.send(&agent, &url, &write) {
                        Ok((status, body)) => {
                            assert!((200..300).contains(&status), "{write:?}: {status} {body}");
                            known.lock().expect("known").answered.push((write, status, body));
                        }
                        Err(_) => {
                            is_over.store(true, Ordering::Relaxed);
                            known.lock().expect("known").unanswered.push(write);
                            return;
                        }
                    }
                }
            })
        })
        .collect();
    for client in clients {
        client.join().expect("a client that ends well");
    }
}

/// How often each mark is there, by log, as `export` shows it.
fn exported(data: &Path, owners: &Owners) -> [BTreeMap<String, usize>; 3] {
    let mailbox = owners.mailbox.to_string();
    let more: [&[&str]; 3] = [&[], &["--mailbox", &mailbox], &["--project", &owners.project]];
    [0, 1, 2].map(|log| {
        let mut marks = BTreeMap::new();
        for line in run(data, &[&["export", LOGS[log]], more[log]].concat()).lines() {
            let row: Value = serde_json::from_str(line).expect("a line of JSON");
            if let Some(mark) = row[MARKED[log]].as_str().filter(|mark| mark.ends_with("@crash.example")) {
                *marks.entry(mark.to_owned()).or_default() += 1;
            }
        }
        marks
    })
}

#[test]
fn what_was_answered_survives_a_kill_and_what_is_retried_is_there_once() {
    let rounds: usize =
        std::env::var("MAILTRAIL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(10);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let data = directory.path().join("data");
    let owners = Arc::new(Owners::create(&data));

    let mut expected: [BTreeSet<String>; 3] = Default::default();
    let (mut n_answered, mut n_unanswered, mut n_replayed) = (0, 0, 0);
    for round in 0..rounds {
        let serving = Serving::start(&data);
        let known = Arc::new(Mutex::new(Known::default()));
        let clients = {
            let (owners, known, url) = (Arc::clone(&owners), Arc::clone(&known), serving.url.clone());
            std::thread::spawn(move || write_until_it_dies(&owners, &url, round, &known))
        };
        // Some time between before the first answer and well into the load.
        let random =
            u64::from(mailtrail::ids::sha256(format!("{:?}", std::time::Instant::now()).as_bytes())[0]);
        std::thread::sleep(Duration::from_millis(20 + random * 2));
        serving.kill();
        clients.join().expect("clients that end well");
        let known = std::mem::take(&mut *known.lock().expect("known"));

        // What is on disk, before anybody retries.
        let found = exported(&data, &owners);
        for (write, _, _) in &known.answered {
            for mark in &write.marks {
                assert_eq!(found[write.log].get(mark), Some(&1), "round {round}: {mark} was answered");
            }
        }
        for write in &known.unanswered {
            let there = write.marks.iter().filter(|mark| found[write.log].contains_key(*mark)).count();
            assert!(there == 0 || there == write.marks.len(), "round {round}: half a batch of {write:?}");
        }

        let serving = Serving::start(&data);
        let agent = agent();
        for write in &known.unanswered {
            let (status, body) = owners.send(&agent, &serving.url, write).expect("an answer");
            assert!((200..300).contains(&status), "round {round}: {write:?}: {status} {body}");
            n_replayed += usize::from(found[write.log].contains_key(&write.marks[0]));
        }
        // The first answer again, for those that had one.
        for (write, status, body) in known.answered.iter().rev().take(100) {
            let again = owners.send(&agent, &serving.url, write).expect("an answer");
            assert_eq!(&again, &(*status, body.clone()), "round {round}: {write:?}");
        }
        serving.kill();

        for write in known.answered.iter().map(|(write, _, _)| write).chain(&known.unanswered) {
            expected[write.log].extend(write.marks.iter().cloned());
        }
        let found = exported(&data, &owners);
        for log in 0..3 {
            let twice: Vec<_> = found[log].iter().filter(|(_, n)| **n != 1).collect();
            assert!(twice.is_empty(), "round {round}: {}: {twice:?}", LOGS[log]);
            let marks: BTreeSet<String> = found[log].keys().cloned().collect();
            let lost: Vec<_> = expected[log].difference(&marks).collect();
            let strange: Vec<_> = marks.difference(&expected[log]).collect();
            assert!(
                lost.is_empty() && strange.is_empty(),
                "round {round}: lost {lost:?}, strange {strange:?}"
            );
        }
        assert_eq!(run_json(&data, &["check"])["ok"], true, "round {round}");
        n_answered += known.answered.len();
        n_unanswered += known.unanswered.len();
    }
    println!(
        "{rounds} rounds: {n_answered} answered, {n_unanswered} not, {n_replayed} of them recorded all the same"
    );
    assert!(n_answered > 0 && n_unanswered > 0);
}

#[test]
fn a_file_that_may_not_grow_ends_the_process_with_74_and_loses_nothing() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let data = directory.path().join("data");
    let owners = Owners::create(&data);
    let size = data.join("mailtrail.db").metadata().expect("the database").len();
    // Some hundred kilobytes more than it has; the signal that the kernel sends must not kill it.
    let mut serving = Serving::start_with_file_limit(&data, (size + 400_000) / 512);
    let agent = agent();
    let mut answered = BTreeSet::new();
    for n in 0..20_000 {
        let write = owners.write(0, 0, n);
        match owners.send(&agent, &serving.url, &write) {
            Ok((status, _)) if (200..300).contains(&status) => {
                answered.extend(write.marks.into_iter().map(|mark| (write.log, mark)));
            }
            _ => break,
        }
    }
    let status = serving.process.wait().expect("an end");
    assert_eq!(status.code(), Some(74), "{status}");
    assert!(answered.len() > 10, "{} rows", answered.len());
    let found = exported(&data, &owners);
    for (log, mark) in &answered {
        assert_eq!(found[*log].get(mark), Some(&1), "{mark} was answered");
    }
    assert_eq!(run_json(&data, &["check"])["ok"], true);
    let serving = Serving::start(&data);
    let (status, body) = owners.send(&agent, &serving.url, &owners.write(1, 0, 0)).expect("an answer");
    assert_eq!(status, 201, "{body}");
}
