//! The program itself as a process: for what happens to it from outside, a kill, a full disk, a limit. What is
//! recorded carries marks, by which it is found again.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use mailtrail::time::Clock;
use serde_json::{Value, json};

use super::Answer;

/// The one that was built with the tests, or another, as for a long run beside other work.
pub fn binary() -> String {
    std::env::var("MAILTRAIL_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_mailtrail").to_owned())
}

pub fn mailtrail(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments).arg("--data").arg(data);
    command
}

/// Runs a command to its end; what it wrote to standard output.
#[track_caller]
pub fn run(data: &Path, arguments: &[&str]) -> String {
    let output = mailtrail(data, arguments).output().expect("a command that runs");
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {}\n{stdout}\n{stderr}", output.status);
    stdout
}

pub fn run_json(data: &Path, arguments: &[&str]) -> Value {
    let text = run(data, &[arguments, &["--json"]].concat());
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
}

/// A serving process, killed when it is dropped.
pub struct Serving {
    pub process: Child,
    pub url: String,
}

impl Serving {
    const ARGUMENTS: [&str; 5] = ["serve", "--listen", "127.0.0.1:0", "--set", "log=error"];

    pub fn start(data: &Path) -> Self {
        Self::start_with(data, &[])
    }

    /// With settings, each as `key=value`.
    pub fn start_with(data: &Path, settings: &[&str]) -> Self {
        let set = settings.iter().flat_map(|setting| ["--set", setting]);
        Self::spawn(mailtrail(data, &Self::ARGUMENTS.into_iter().chain(set).collect::<Vec<_>>()))
    }

    /// With files of at most so many times 512 bytes.
    pub fn start_with_file_limit(data: &Path, blocks: u64) -> Self {
        let inner = mailtrail(data, &Self::ARGUMENTS);
        let mut limited = Command::new("sh");
        limited.args(["-c", &format!("ulimit -f {blocks}; exec \"$0\" \"$@\"")]);
        limited.arg(inner.get_program()).args(inner.get_args());
        Self::spawn(limited)
    }

    pub fn spawn(mut command: Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).spawn().expect("a server");
        let mut lines = BufReader::new(process.stdout.take().expect("its standard output"));
        let mut url = String::new();
        lines.read_line(&mut url).expect("its first line");
        assert!(url.starts_with("http://"), "the first line is {url:?}");
        Self { process, url: url.trim_end().to_owned() }
    }

    /// The end that it comes to by itself.
    #[track_caller]
    pub fn end(&mut self) -> ExitStatus {
        for _ in 0..600 {
            if let Some(status) = self.process.try_wait().expect("a child") {
                return status;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("it still serves after 30 s");
    }

    /// SIGTERM, and the end it comes to.
    pub fn stop(mut self) -> ExitStatus {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a signal");
        self.process.wait().expect("an end")
    }

    /// `kill -9`.
    pub fn kill(mut self) {
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

/// One write, and the marks by which its rows are found again.
#[derive(Debug, Clone)]
pub struct Write {
    /// `None`: it must not be tried again, and goes the way of what needs no savepoint.
    pub key: Option<String>,
    pub log: usize,
    pub path: String,
    pub body: String,
    pub marks: Vec<String>,
}

pub struct Owners {
    pub api_key: String,
    pub user: String,
    pub tenant: String,
    pub mailbox: i64,
    pub project: String,
}

/// Rows of a batch.
const BATCH: usize = 4;

/// The members of the two logs by which a row is found again.
pub const MARKED: [&str; 3] = ["mailbox_address", "message_id", "target_id"];
pub const LOGS: [&str; 3] = ["enforcement", "messages", "activity"];

impl Owners {
    /// In a new data directory.
    pub fn create(data: &Path) -> Self {
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

    /// The `n`th write of a client in a round: each log in turn, every third time a batch; every other client gives
    /// idempotency keys.
    pub fn write(&self, round: usize, client: usize, n: usize) -> Write {
        let count = if n % 3 == 2 { BATCH } else { 1 };
        let marks: Vec<String> =
            (0..count).map(|at| format!("r{round}c{client}n{n}i{at}@crash.example")).collect();
        let key = client.is_multiple_of(2).then(|| format!("r{round}c{client}n{n}"));
        Write { key, ..self.write_of((client + n) % 3, marks, None, "") }
    }

    /// Rows of a log with these marks: of now or of `days` ago, with some text to take up room.
    pub fn write_of(&self, log: usize, marks: Vec<String>, days: Option<i64>, text: &str) -> Write {
        let at = days.map(|days| Clock::system().now().truncated().plus_days(-days));
        let item = |mark: &String| match log {
            0 => json!({
                "tenant_id": self.tenant, "mailbox_address": mark, "action_taken": "blocked", "sent_count": 26,
                "limit_value": 25, "created_at": at, "message": (!text.is_empty()).then_some(text),
            }),
            1 => json!({
                "message_id": mark, "outcome": "delivered", "tokens_consumed": { "input": 1 },
                "received_at": at.map(|at| at.micros() / 1_000_000), "reason": (!text.is_empty()).then_some(text),
            }),
            _ => json!({
                "user_id": self.user, "action": "smtp.update", "target_id": mark, "created_at": at,
                "metadata": { "text": text },
            }),
        };
        let items: Vec<Value> = marks.iter().map(|mark| without_null(item(mark))).collect();
        let body = match (log, items.len()) {
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
        Write { key: None, log, path, body: body.to_string(), marks }
    }

    pub fn send(&self, agent: &ureq::Agent, url: &str, write: &Write) -> Result<Answer, ureq::Error> {
        let mut request = ureq::http::Request::post(format!("{url}{}", write.path))
            .header("authorization", format!("Bearer {}", self.api_key))
            .header("content-type", "application/json");
        if let Some(key) = &write.key {
            request = request.header("idempotency-key", key);
        }
        answer(agent.run(request.body(write.body.clone())?)?)
    }

    pub fn get(&self, agent: &ureq::Agent, url: &str, path: &str) -> Result<Answer, ureq::Error> {
        let request = ureq::http::Request::get(format!("{url}{path}"))
            .header("authorization", format!("Bearer {}", self.api_key));
        answer(agent.run(request.body(())?)?)
    }
}

fn answer(mut answer: ureq::http::Response<ureq::Body>) -> Result<Answer, ureq::Error> {
    let header = |(name, value): (&ureq::http::HeaderName, &ureq::http::HeaderValue)| {
        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let headers = answer.headers().iter().map(header).collect();
    let body = answer.body_mut().with_config().limit(1 << 30).read_to_vec()?;
    Ok(Answer { status: answer.status().as_u16(), headers, body })
}

fn without_null(item: Value) -> Value {
    match item {
        Value::Object(members) => members.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        other => other,
    }
}

pub fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(30)));
    ureq::Agent::new_with_config(config.build())
}

/// How often each mark is there, by log, as `export` shows it.
pub fn exported(data: &Path, owners: &Owners) -> [BTreeMap<String, usize>; 3] {
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
