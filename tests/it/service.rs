//! What systemd hears of `serve`: ready once it listens, alive as long as its writer gets on, stopping when told to. And
//! the lock of the data directory, which servers and commands wait for.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mailtrail::data_directory::{Lock, State};
use rustix::process::{Pid, Signal, kill_process};

/// In which systemd wants to hear something.
const WATCHDOG: Duration = Duration::from_secs(2);
/// Something that must come has come by then, however slow the machine is.
const PATIENCE: Duration = Duration::from_secs(60);

fn mailtrail(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailtrail"));
    command.args(arguments).arg("--data").arg(data).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The socket of systemd.
struct Systemd(UnixDatagram);

impl Systemd {
    fn listen(path: &Path) -> Self {
        Self(UnixDatagram::bind(path).expect("a socket"))
    }

    /// The next message, unless there is none for so long.
    fn hear(&self, wait: Duration) -> Option<String> {
        self.0.set_read_timeout(Some(wait)).expect("a timeout");
        let mut message = [0; 4096];
        let n = self.0.recv(&mut message).ok()?;
        Some(String::from_utf8_lossy(&message[..n]).into_owned())
    }

    /// The next message that has this line.
    #[track_caller]
    fn wait_for(&self, line: &str) -> String {
        let start = Instant::now();
        while let Some(message) = self.hear(PATIENCE.saturating_sub(start.elapsed()).max(WATCHDOG)) {
            if message.lines().any(|found| found == line) {
                return message;
            }
        }
        panic!("systemd heard no {line}");
    }

    /// Waits for a time without a sign of life that is three times as long as between two of them; false if none came.
    fn is_silent(&self, within: Duration) -> bool {
        let start = Instant::now();
        let mut last = start;
        while start.elapsed() < within {
            match self.hear(Duration::from_millis(100)) {
                Some(message) if message.contains("WATCHDOG=1") => last = Instant::now(),
                _ if last.elapsed() > WATCHDOG / 4 * 3 => return true,
                _ => {}
            }
        }
        false
    }
}

struct Serving(Child);

impl Serving {
    /// Until it says where it listens.
    fn until_it_listens(&mut self) {
        let mut url = String::new();
        let stdout = self.0.stdout.take().expect("its standard output");
        BufReader::new(stdout).read_line(&mut url).expect("its first line");
        assert!(url.starts_with("http://"), "{url:?}");
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).expect("a signal");
    }

    fn start(data: &Path, socket: &Path) -> Self {
        let mut command = mailtrail(data, &["serve", "--listen", "127.0.0.1:0"]);
        command.env("NOTIFY_SOCKET", socket).env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string());
        Self(command.stderr(Stdio::inherit()).spawn().expect("a server"))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn systemd_hears_that_it_is_ready_alive_and_stopping() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (data, socket) = (directory.path().join("data"), directory.path().join("notify"));
    initialise(&data);
    let systemd = Systemd::listen(&socket);

    let mut serving = Serving::start(&data, &socket);
    let ready = systemd.wait_for("READY=1");
    let mut url = String::new();
    let stdout = serving.0.stdout.take().expect("its standard output");
    BufReader::new(stdout).read_line(&mut url).expect("its first line");
    let url = url.trim_end();
    assert!(ready.contains(&format!("STATUS=serving {url}")), "{ready:?}, serving {url}");
    assert_eq!(ureq::get(format!("{url}/readyz")).call().expect("an answer").status(), 200);

    for _ in 0..3 {
        systemd.wait_for("WATCHDOG=1");
    }

    // Somebody else holds the database, and the writer cannot get on with what it was given.
    let other = rusqlite::Connection::open(data.join("mailtrail.db")).expect("the database");
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let mut write = mailtrail(&data, &["tenant", "create", "--name", "Acme"]).spawn().expect("a command");
    assert!(systemd.is_silent(WATCHDOG * 4), "it says that it is alive while its writer hangs");
    other.execute_batch("ROLLBACK").expect("the lock given up");
    write.wait().expect("an end");
    systemd.wait_for("WATCHDOG=1");

    let pid = Pid::from_child(&serving.0);
    kill_process(pid, Signal::TERM).expect("a signal");
    systemd.wait_for("STOPPING=1");
    assert!(serving.0.wait().expect("an end").success());
}

#[test]
fn systemd_hears_nothing_of_a_start_that_was_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let socket = directory.path().join("notify");
    let systemd = Systemd::listen(&socket);
    let mut serving = Serving::start(&directory.path().join("nothing"), &socket);
    assert_eq!(serving.0.wait().expect("an end").code(), Some(78));
    assert_eq!(systemd.hear(Duration::from_millis(100)), None);
}

fn initialise(data: &Path) {
    let made = mailtrail(data, &["init", "--email", "ada@example.org"]).output().expect("a command");
    assert!(made.status.success(), "{made:?}");
}

#[test]
fn a_start_waits_for_whoever_has_the_directory_and_says_so() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (data, socket) = (directory.path().join("data"), directory.path().join("notify"));
    initialise(&data);
    let systemd = Systemd::listen(&socket);
    let lock = Lock::take(&data, State::Command).expect("a lock").expect("nobody has it");
    let mut serving = Serving::start(&data, &socket);
    let who = format!("a command (process {})", std::process::id());
    systemd.wait_for(&format!("STATUS=waiting for {who} to leave {}", data.display()));
    assert!(serving.0.try_wait().expect("a child").is_none(), "it waits");
    drop(lock);
    systemd.wait_for("READY=1");
    serving.until_it_listens();

    // SIGHUP asks other servers to read their settings again; this one serves on.
    serving.signal(Signal::HUP);
    let health = mailtrail(&data, &["health"]).output().expect("a command");
    assert!(health.status.success(), "{health:?}");
    // One that serves is not waited for: the directory is another's.
    let second = mailtrail(&data, &["serve", "--listen", "127.0.0.1:0"]).output().expect("a command");
    assert_eq!(second.status.code(), Some(78), "{second:?}");
    assert!(String::from_utf8_lossy(&second.stderr).contains("another mailtrail is serving "), "{second:?}");

    // One that hangs is: it will be killed, and that is no reason to stay down.
    serving.signal(Signal::STOP);
    let mut next = Serving::start(&data, &socket);
    let who = format!("a server (process {})", serving.0.id());
    systemd.wait_for(&format!("STATUS=waiting for {who} to leave {}", data.display()));
    serving.0.kill().expect("a kill");
    systemd.wait_for("READY=1");
    next.until_it_listens();
    next.signal(Signal::HUP);
    next.signal(Signal::TERM);
    assert!(next.0.wait().expect("an end").success());
}

/// A mail server pipes a message in while a server has the directory and does not listen, as at its start and its end.
#[test]
fn a_message_waits_for_a_server_that_starts_or_stops() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (data, socket) = (directory.path().join("data"), directory.path().join("notify"));
    initialise(&data);
    let made = mailtrail(&data, &["mailbox", "create", "--address", "ada@example.org"]).output();
    assert!(made.expect("a command").status.success());
    let record = |id: &str| {
        let arguments = ["record", "message", "--sysexits", "--json", "--mailbox", "ada@example.org"];
        let mut child = mailtrail(&data, &arguments).stdin(Stdio::piped()).spawn().expect("a command");
        let message = format!("From: bob@example.org\r\nMessage-ID: <{id}@example.org>\r\n\r\nhi\r\n");
        child.stdin.take().expect("its input").write_all(message.as_bytes()).expect("a message");
        child
    };
    let succeeds = |child: Child| {
        let done = child.wait_with_output().expect("an end");
        assert!(done.status.success(), "{done:?}");
    };
    // Nobody listens, and somebody has the directory: a command goes on by itself once it is free …
    let lock = Lock::take(&data, State::Stopping).expect("a lock").expect("nobody has it");
    let (first, second) = (record("first"), record("second"));
    std::thread::sleep(Duration::from_millis(300));
    drop(lock);
    succeeds(first);
    succeeds(second);
    // … or with the server that comes.
    let lock = Lock::take(&data, State::Starting).expect("a lock").expect("nobody has it");
    let third = record("third");
    let systemd = Systemd::listen(&socket);
    let serving = Serving::start(&data, &socket);
    std::thread::sleep(Duration::from_millis(300));
    drop(lock);
    systemd.wait_for("READY=1");
    succeeds(third);
    drop(serving);
    let listed = mailtrail(&data, &["query", "messages", "--mailbox", "1", "--json"]).output();
    let listed = String::from_utf8(listed.expect("a command").stdout).expect("text");
    assert_eq!(listed.lines().count(), 3, "{listed}");
}

/// The unit leaves a 78 alone, and a mail server sends back what is not a 75: a typo must neither loop nor bounce mail.
#[test]
fn a_command_line_that_is_wrong_has_the_code_of_who_reads_it() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for (arguments, code) in [
        (&["serve", "--bogus"][..], 78),
        (&["serve", "--set", "foo"], 78),
        (&["--set", "foo", "serve"], 78),
        (&["serve", "--set", "nope=1"], 78),
        (&["serve", "--listen", "nowhere"], 78),
        (&["serve", "more"], 78),
        (&["--data"], 1),
        (&["witness", "--bogus"], 78),
        (&["witness", "--show-key", "--bogus"], 1),
        (&["record", "message", "--sysexits", "--bogus"], 75),
        (&["record", "message", "--sysexits"], 75),
        (&["record", "message", "--bogus"], 1),
        (&["query", "serve"], 1),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailtrail"));
        let run = command.current_dir(directory.path()).args(arguments).output().expect("a run");
        assert_eq!(run.status.code(), Some(code), "{arguments:?}: {run:?}");
    }
}

/// A mail server must not send a message back because it is too large for us: it is recorded without its attachments, or
/// by its head, with the hash of all.
#[test]
fn a_message_that_is_too_large_is_recorded_all_the_same() {
    let server = crate::support::Server::start_with(&[("max_bulk_body", "64KiB")]);
    let mailbox = server.add_mailbox(&server.workspace, "ada@example.org", None, None);
    let head = |n: usize| format!("From x\nFrom: ann@example.org\nMessage-ID: <{n}@x>\n");
    let plain = |n: usize| format!("{}\n{}", head(n), "line\n".repeat(n));
    let attached = |n: usize| {
        let attachment = format!("Content-Type: application/pdf\n\n{}", "line\n".repeat(n));
        format!("{}Content-Type: multipart/mixed; boundary=b\n\n--b\n\nHi\n--b\n{attachment}--b--\n", head(n))
    };
    let too_long = Some("message_too_long");
    // What fits; what the command knows to be too large, by the configuration that it has; what the server refuses; and
    // what is more than is held.
    for (n, message, setting, problem) in [
        (1000, plain(1000), "64KiB", None),
        (20_000, plain(20_000), "64KiB", too_long),
        (20_001, plain(20_001), "16MiB", too_long),
        (20_002, attached(20_002), "64KiB", None),
        (20_003, attached(20_003), "16MiB", None),
        (100_000, attached(100_000), "64KiB", too_long),
    ] {
        let arguments = ["record", "message", "--sysexits", "--json", "--mailbox", "ada@example.org"];
        let mut command = mailtrail(&server.config().data, &arguments);
        let mut child =
            command.env("MAILTRAIL_MAX_BULK_BODY", setting).stdin(Stdio::piped()).spawn().expect("starts");
        child.stdin.take().expect("a pipe").write_all(message.as_bytes()).expect("it is read");
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{n}: {output:?}");
        let entry: serde_json::Value = serde_json::from_slice(&output.stdout).expect("an entry");
        let whole = mailtrail::ids::sha256(message.strip_prefix("From x\n").expect("a line").as_bytes());
        assert_eq!(entry["message_hash"], mailtrail::ids::hex(&whole), "{n}");
        assert_eq!(entry["text_problem"].as_str(), problem, "{n}");
        assert_eq!(entry["message_id"], format!("{n}@x"), "{n}");
    }
    let found = server.get(&format!("/v1/mailboxes/{mailbox}/audit-logs")).json();
    assert_eq!(found["items"].as_array().map(Vec::len), Some(6));
}

/// Starts it with the listener at descriptor 3, as systemd hands one over.
fn start_on(listener: &TcpListener, data: &Path) -> Serving {
    let inner = mailtrail(data, &["serve"]);
    let mut command = Command::new("sh");
    command.args(["-c", "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\""]);
    command.arg(inner.get_program()).args(inner.get_args());
    command.stdin(OwnedFd::from(listener.try_clone().expect("a descriptor")));
    Serving(command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().expect("a server"))
}

#[test]
fn who_connects_to_systemds_socket_while_it_restarts_is_answered_after_it() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let data = directory.path().join("data");
    initialise(&data);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("its address");
    let mut last: Option<std::thread::JoinHandle<u16>> = None;
    for _ in 0..3 {
        let mut serving = start_on(&listener, &data);
        let mut url = String::new();
        let stdout = serving.0.stdout.take().expect("its standard output");
        BufReader::new(stdout).read_line(&mut url).expect("its first line");
        assert_eq!(url.trim_end(), format!("http://{address}"));
        if let Some(waiting) = last.take() {
            assert_eq!(waiting.join().expect("an answer"), 200);
        }
        let health = move || {
            let answer = ureq::get(format!("http://{address}/healthz")).call().expect("an answer");
            answer.status().as_u16()
        };
        assert_eq!(health(), 200);
        serving.signal(Signal::TERM);
        assert!(serving.0.wait().expect("an end").success());
        // Nobody serves now; the connection is made all the same.
        last = Some(std::thread::spawn(health));
    }
    drop(listener);
    // The socket went with its last owner, so that who waited is told.
    assert!(last.is_some_and(|waiting| waiting.join().is_err()));
}

#[test]
fn lines_for_the_journal_have_its_priorities_and_no_others_do() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let data = directory.path().join("data");
    initialise(&data);
    let told = |arguments: &[&str], is_journal: bool| {
        let file = tempfile::NamedTempFile::new_in(directory.path()).expect("a file");
        let metadata = file.as_file().metadata().expect("its number");
        let inode = if is_journal { metadata.ino() } else { metadata.ino() + 1 };
        let mut command = mailtrail(&data, arguments);
        command.env("JOURNAL_STREAM", format!("{}:{inode}", metadata.dev()));
        command.env("MAILTRAIL_LISTNE", "127.0.0.1:1").stderr(file.reopen().expect("the file"));
        let mut serving = Serving(command.spawn().expect("a server"));
        let mut line = String::new();
        let stdout = serving.0.stdout.take().expect("its standard output");
        BufReader::new(stdout).read_line(&mut line).expect("its first line");
        serving.signal(Signal::TERM);
        serving.0.wait().expect("an end");
        std::fs::read_to_string(file.path()).expect("what it told")
    };
    let served = ["serve", "--listen", "127.0.0.1:0"];
    let journal = told(&served, true);
    assert!(journal.contains("<6>INFO  listening on "), "{journal}");
    assert!(
        journal.contains("<4>WARN  the environment has MAILTRAIL_LISTNE, which is no setting"),
        "{journal}"
    );
    assert!(!told(&served, false).contains("<6>"));
    // Refused, each line of it.
    let refused = told(&["serve", "--listen", "nowhere"], true);
    assert!(refused.contains("\n<3>error: ") && refused.contains("\n<3>hint: "), "{refused}");
    let refused = told(&["serve", "--listen", "nowhere"], false);
    assert!(refused.contains("\nerror: ") && !refused.contains("<3>"), "{refused}");
}

#[test]
fn a_directory_in_the_file_that_is_not_the_one_that_is_served_is_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let data = directory.path().join("data");
    initialise(&data);
    let file = directory.path().join("mailtrail.toml");
    let name = file.to_str().expect("a name");
    let serve = ["serve", "--listen", "127.0.0.1:0", "--config", name];
    std::fs::write(&file, "data = \"/srv/elsewhere\"\n").expect("a file");
    let refused = mailtrail(&data, &serve).output().expect("an end");
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(78), "{told}");
    assert!(told.contains("/srv/elsewhere") && told.contains(&data.display().to_string()), "{told}");
    // The same directory by another name is no other.
    std::os::unix::fs::symlink(&data, directory.path().join("link")).expect("a link");
    std::fs::write(&file, format!("data = \"{}\"\n", directory.path().join("link").display()))
        .expect("a file");
    let mut serving = Serving(mailtrail(&data, &serve).stderr(Stdio::inherit()).spawn().expect("a server"));
    serving.until_it_listens();
}

#[test]
fn in_a_directory_whose_database_is_gone_nothing_is_made() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let data = directory.path().join("data");
    initialise(&data);
    let backup = directory.path().join("backup.db");
    let backup = backup.to_str().expect("a name");
    let run = |arguments: &[&str]| mailtrail(&data, arguments).output().expect("an end");
    assert!(run(&["backup", backup]).status.success());
    assert!(run(&["checkpoint"]).status.success());
    std::fs::remove_file(data.join("mailtrail.db")).expect("the database");
    for (command, code) in [
        (&["init", "--email", "eve@example.net"][..], 1),
        (&["serve", "--listen", "127.0.0.1:0"], 78),
        (&["checkpoint", "renew", "--why", "x"], 1),
        (&["stats"], 1),
    ] {
        let refused = run(command);
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(code), "{command:?}: {told}");
        assert!(
            told.contains("its last checkpoint is there") && told.contains("mailtrail restore"),
            "{told}"
        );
        assert!(!data.join("mailtrail.db").exists(), "{command:?}");
    }
    let restored = run(&["restore", backup]);
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    assert!(run(&["stats"]).status.success());
}
