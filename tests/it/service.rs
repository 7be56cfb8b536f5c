//! What systemd hears of `serve`: ready once it listens, alive as long as its writer gets on, stopping when told to.

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

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
    let made = mailtrail(&data, &["init", "--email", "ada@example.org"]).output().expect("a command");
    assert!(made.status.success(), "{made:?}");
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
