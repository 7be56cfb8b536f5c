//! SIGTERM to the real program: what is in flight is answered, the rest is closed, the WAL is emptied, and it exits 0.
//! A second one ends it at once.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// Longer than anything here takes; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// A serving process in a directory of its own, killed when it is dropped.
struct Serving {
    process: Child,
    address: String,
    key: String,
    project: String,
    directory: tempfile::TempDir,
}

impl Serving {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let data = directory.path().join("data");
        let mailtrail = || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_mailtrail"));
            command.arg("--data").arg(&data);
            command
        };
        let run = |arguments: &[&str]| -> Value {
            let output = mailtrail().arg("--json").args(arguments).output().expect("a command that runs");
            assert!(output.status.success(), "{arguments:?}: {output:?}");
            serde_json::from_slice(&output.stdout).expect("an object")
        };
        let made = run(&["init", "--email", "ada@example.org"]);
        let project = run(&["project", "create", "--name", "Newsletter"]);
        let mut serve = mailtrail();
        serve.args(["serve", "--listen", "127.0.0.1:0", "--set", "log=error"]).stdout(Stdio::piped());
        let mut process = serve.spawn().expect("a server");
        let mut lines = BufReader::new(process.stdout.take().expect("its standard output"));
        let mut url = String::new();
        lines.read_line(&mut url).expect("its first line");
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        Self {
            process,
            address: url.trim_end().trim_start_matches("http://").to_owned(),
            key: text(&made["api_key"]),
            project: text(&project["id"]),
            directory,
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream
    }

    /// A write whose head and half of its body are there; the other half comes later.
    fn half_a_write(&self) -> (TcpStream, String) {
        let body =
            json!({ "user_id": "0190b3c8-5e4a-7cc1-8a1d-2f6f0c9b7e11", "action": "drain.test" }).to_string();
        let (head, rest) = body.split_at(body.len() / 2);
        let mut stream = self.connect();
        write!(
            stream,
            "POST /api/v1/projects/{}/audit-log HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\
             Content-Length: {}\r\nExpect: 100-continue\r\n\r\n",
            self.project,
            self.key,
            body.len(),
        )
        .expect("a send");
        // The server wants the body: it has read the head.
        let mut interim = [0; 25];
        stream.read_exact(&mut interim).expect("an interim answer");
        assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("a send");
        (stream, rest.to_owned())
    }

    fn signal(&self) {
        let process = Pid::from_child(&self.process);
        kill_process(process, Signal::TERM).expect("a signal");
    }

    fn wait(&mut self) -> ExitStatus {
        for _ in 0..PATIENCE.as_millis() / 10 {
            if let Some(status) = self.process.try_wait().expect("a process") {
                return status;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("it does not end");
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Everything up to the end of the connection.
fn rest(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an end");
    text
}

#[test]
fn a_signal_answers_what_is_in_flight_and_ends_well() {
    let mut serving = Serving::start();
    let mut idle = serving.connect();
    let (mut writing, half) = serving.half_a_write();
    serving.signal();
    assert_eq!(rest(&mut idle), "", "a connection without a request is closed");
    assert!(TcpStream::connect(&serving.address).is_err(), "nobody listens any more");
    writing.write_all(half.as_bytes()).expect("a send");
    let answer = rest(&mut writing);
    assert!(
        answer.starts_with("HTTP/1.1 201 Created\r\n") && answer.contains("\r\nConnection: close\r\n"),
        "{answer}"
    );
    assert_eq!(serving.wait().code(), Some(0));
    let wal = serving.directory.path().join("data/mailtrail.db-wal");
    assert!(!wal.exists(), "the WAL is in the database");
}

#[test]
fn what_outlasts_the_grace_is_cut_off() {
    let mut serving = Serving::start();
    let (mut writing, _) = serving.half_a_write();
    serving.signal();
    assert_eq!(rest(&mut writing), "");
    assert_eq!(serving.wait().code(), Some(0), "the drain has an end, and it is a good one");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut serving = Serving::start();
    let mut idle = serving.connect();
    let (_writing, _) = serving.half_a_write();
    serving.signal();
    assert_eq!(rest(&mut idle), "", "the drain has begun");
    serving.signal();
    assert_eq!(serving.wait().code(), Some(143), "128 and the signal: not the end of a drain");
}

#[test]
fn a_connection_that_is_made_just_before_the_end_is_answered() {
    let mut serving = Serving::start();
    let mut idle = serving.connect();
    let mut used = serving.connect();
    used.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").expect("a send");
    let mut first = [0; 15];
    used.read_exact(&mut first).expect("an answer");
    let mut new = serving.connect();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    serving.signal();
    // One that was answered before is closed at once, one that never asks after a moment.
    rest(&mut used);
    new.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").expect("a send");
    let answer = rest(&mut new);
    assert!(
        answer.starts_with("HTTP/1.1 200 OK") && answer.contains("\r\nConnection: close\r\n"),
        "{answer}"
    );
    assert_eq!(rest(&mut idle), "");
    assert_eq!(serving.wait().code(), Some(0));
}
