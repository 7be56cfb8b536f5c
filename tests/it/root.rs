//! Root comes to a data directory that belongs to somebody else: it writes nothing there as root, follows no link that the
//! owner may have put there, and still reads and writes what the caller named with the caller's rights.
//!
//! Only root can be tested so; for anybody else these tests say that they were skipped.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// The service's user, whoever that is.
const USER: u32 = 61_234;

/// A data directory of somebody, and a directory of root's that nobody else may enter.
struct Machine {
    directory: tempfile::TempDir,
}

impl Machine {
    /// `None`: we are not root.
    fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root can give files to others");
            return None;
        }
        let machine = Self { directory: tempfile::tempdir().expect("a directory") };
        machine.mode("", 0o755);
        std::fs::copy(env!("CARGO_BIN_EXE_mailtrail"), machine.at("mailtrail")).expect("a copy");
        for name in ["data", "root"] {
            std::fs::create_dir(machine.at(name)).expect("a directory");
            machine.mode(name, 0o700);
        }
        chown(machine.at("data"), Some(USER), Some(USER)).expect("an owner");
        Some(machine)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn mode(&self, name: &str, mode: u32) {
        std::fs::set_permissions(self.at(name), std::fs::Permissions::from_mode(mode)).expect("a mode");
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.at("mailtrail"));
        command.args(["--data", "data", "--json"]).args(arguments).current_dir(self.directory.path());
        command
    }

    /// As root.
    fn run(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("a command");
        let _ = child.stdin.take().expect("its input").write_all(input);
        child.wait_with_output().expect("an end")
    }

    #[track_caller]
    fn good(&self, arguments: &[&str], input: &[u8]) -> String {
        let done = self.run(arguments, input);
        assert!(done.status.success(), "{arguments:?}: {done:?}");
        String::from_utf8(done.stdout).expect("text")
    }

    /// As its user, until it listens.
    fn serve(&self) -> Serving {
        let mut command = self.command(&["serve", "--listen", "127.0.0.1:0", "--set", "log=error"]);
        command.uid(USER).gid(USER).stdout(Stdio::piped());
        let mut process = command.spawn().expect("a server");
        let mut url = String::new();
        let stdout = process.stdout.take().expect("its output");
        BufReader::new(stdout).read_line(&mut url).expect("its first line");
        assert!(url.starts_with("http://"), "{url:?}");
        Serving(process)
    }

    /// Files of the data directory that are not their user's.
    fn strange(&self) -> Vec<PathBuf> {
        let (mut found, mut ahead) = (Vec::new(), vec![self.at("data")]);
        while let Some(path) = ahead.pop() {
            let metadata = path.symlink_metadata().expect("a file");
            if metadata.is_dir() {
                ahead
                    .extend(path.read_dir().expect("a directory").map(|entry| entry.expect("a file").path()));
            }
            if (metadata.uid(), metadata.gid()) != (USER, USER) {
                found.push(path);
            }
        }
        found
    }
}

struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.0.wait();
    }
}

const MESSAGE: &[u8] = b"From: bob@example.org\r\nMessage-ID: <1@example.org>\r\n\r\nhi\r\n";

#[test]
fn whatever_root_does_leaves_nothing_of_roots_and_the_service_starts() {
    let Some(machine) = Machine::new() else { return };
    let made = machine.good(&["init", "--email", "ada@example.org"], b"");
    let key = serde_json::from_str::<Value>(&made).expect("JSON")["api_key"].clone();
    assert!(key.is_string(), "{made}");
    std::fs::write(
        machine.at("root/policy.json"),
        r#"{"defaultAction":"bounce","senders":[],"auditLog":{"retentionDays":99}}"#,
    )
    .expect("a file");
    std::fs::write(
        machine.at("root/messages.ndjson"),
        "{\"message_id\":\"2@example.org\",\"outcome\":\"delivered\"}\n",
    )
    .expect("a file");
    // Each with files that root alone may read, or write; without a server and with one.
    let mut steps: Vec<(&[&str], &[u8])> = vec![
        (&["mailbox", "create", "--address", "ada@example.org"], b""),
        (&["record", "message", "--mailbox", "1"], MESSAGE),
        (&["mailbox", "policy", "1", "root/policy.json"], b""),
        (&["import", "messages", "--mailbox", "1", "root/messages.ndjson"], b""),
        (&["export", "messages", "--mailbox", "1", "--output", "root/OUT-messages.ndjson"], b""),
        (&["export", "messages", "--mailbox", "1", "--proof", "root/OUT-bundle"], b""),
        (&["checkpoint"], b""),
        (&["verify"], b""),
        (&["check"], b""),
        (&["check", "--repair"], b""),
        (&["retention", "run"], b""),
        (&["checkpoint", "renew", "--why", "a year is over"], b""),
        (&["query", "activity"], b""),
        (&["stats"], b""),
    ];
    for n in 0..2 {
        let serving = (n == 1).then(|| machine.serve());
        for (arguments, input) in &steps {
            let named: Vec<String> =
                arguments.iter().map(|word| word.replace("OUT", &n.to_string())).collect();
            let named: Vec<&str> = named.iter().map(String::as_str).collect();
            machine.good(&named, input);
            assert_eq!(machine.strange(), Vec::<PathBuf>::new(), "{named:?}");
        }
        let shown =
            std::fs::read_to_string(machine.at(&format!("root/{n}-messages.ndjson"))).expect("the export");
        assert_eq!(shown.lines().count(), 2, "{shown}");
        for file in ["", "/verify.py", "/entries.jsonl"] {
            let made = machine.at(&format!("root/{n}-bundle{file}"));
            assert_eq!(made.metadata().expect("a file").uid(), 0, "{}", made.display());
        }
        drop(serving);
        // What was made once is there.
        steps.remove(0);
        assert_eq!(machine.strange(), Vec::<PathBuf>::new());
    }
    // It was root, and the trail says so, whoever it became.
    let activities = machine.good(&["query", "activity", "--action", "checkpoint.renew"], b"");
    let actors: Vec<Value> = activities
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["actor"].clone())
        .collect();
    assert!(
        actors.iter().all(|actor| actor.as_str().is_some_and(|actor| actor.starts_with("operator root"))),
        "{activities}"
    );

    machine.good(&["backup", "root/backup.db"], b"");
    let backup = machine.at("root/backup.db").metadata().expect("the backup");
    assert_eq!((backup.uid(), backup.mode() & 0o777), (0, 0o600));
    machine.good(&["check", "root/backup.db"], b"");
    machine.good(
        &["erase", "--address", "bob@example.org", "--why", "x", "--certificates", "root/certificates"],
        b"",
    );
    assert!(machine.at("root/certificates").read_dir().expect("a directory").count() > 0);
    assert_eq!(machine.strange(), Vec::<PathBuf>::new());

    // In place of nothing.
    std::fs::create_dir(machine.at("other")).expect("a directory");
    chown(machine.at("other"), Some(USER), Some(USER)).expect("an owner");
    machine.mode("other", 0o700);
    std::fs::rename(machine.at("data"), machine.at("old")).expect("another name");
    std::fs::rename(machine.at("other"), machine.at("data")).expect("another name");
    machine.good(&["restore", "--dry-run", "root/backup.db"], b"");
    machine.good(&["restore", "root/backup.db"], b"");
    assert_eq!(machine.strange(), Vec::<PathBuf>::new());
    let server = machine.serve();
    machine.good(&["health"], b"");
    // What the service may not write, and would have in a /tmp of its own, is where root said, and root's.
    machine.good(&["backup", "root/served.db"], b"");
    let backup = machine.at("root/served.db").metadata().expect("the backup");
    assert_eq!((backup.uid(), backup.mode() & 0o777), (0, 0o600));
    let left: Vec<String> = machine
        .at("data")
        .read_dir()
        .expect("a directory")
        .map(|entry| entry.expect("a file").file_name().to_string_lossy().into_owned())
        .filter(|name| name.contains("handed-over"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
    drop(server);
    machine.good(&["check", "root/served.db"], b"");
    let refused = machine.run(&["backup", "root/served.db"], b"");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("exists already"), "{refused:?}");
    // It serves as the owner, too, and leaves no WAL that the owner could not open.
    let mut served = machine.command(&["serve", "--listen", "127.0.0.1:0", "--set", "log=error"]);
    let mut process = served.stdout(Stdio::piped()).spawn().expect("a server");
    let mut url = String::new();
    BufReader::new(process.stdout.take().expect("its output")).read_line(&mut url).expect("a line");
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).expect("its status");
    for name in ["Uid:", "Gid:"] {
        let ids = status.lines().find(|line| line.starts_with(name)).expect("ids");
        assert_eq!(ids.split_whitespace().skip(1).collect::<Vec<_>>(), vec![USER.to_string(); 4], "{ids}");
    }
    process.kill().expect("a kill");
    process.wait().expect("an end");
    assert_eq!(machine.strange(), Vec::<PathBuf>::new());
}

/// Every file, with all that can be told of it.
fn state(directory: &Path) -> BTreeMap<PathBuf, (u32, u32, Vec<u8>)> {
    let entries = directory.read_dir().expect("a directory").map(|entry| entry.expect("a file").path());
    entries
        .map(|path| {
            let metadata = path.symlink_metadata().expect("a file");
            let bytes = std::fs::read(&path).unwrap_or_default();
            (path, (metadata.uid(), metadata.mode(), bytes))
        })
        .collect()
}

#[test]
fn no_link_that_the_owner_puts_there_is_followed() {
    let Some(machine) = Machine::new() else { return };
    machine.good(&["init", "--email", "ada@example.org"], b"");
    machine.good(&["mailbox", "create", "--address", "ada@example.org"], b"");
    drop(machine.serve());
    machine.good(&["backup", "root/backup.db"], b"");
    let names = [
        "mailtrail.db",
        "mailtrail.db-wal",
        "mailtrail.db-shm",
        "mailtrail.db-journal",
        "mailtrail.lock",
        "mailtrail.sock",
        "ballast",
        "checkpoint",
        "checkpoint.partial",
        "checkpoint.key",
        "checkpoint.key.next",
        "issuer.key",
        "issuer.pub",
        "license.key",
        "witness.key",
        "backups",
        "served-with",
    ];
    let commands: [(&[&str], &[u8]); 12] = [
        (&["init", "--email", "ada@example.org"], b""),
        (&["record", "message", "--mailbox", "1"], MESSAGE),
        (&["checkpoint"], b""),
        (&["checkpoint", "renew", "--why", "x", "--new-key"], b""),
        (&["license", "issue", "--holder", "x"], b""),
        (&["backup", "root/another.db"], b""),
        (&["verify"], b""),
        (&["check"], b""),
        (&["stats"], b""),
        (&["restore", "root/backup.db"], b""),
        (&["witness", "--show-key"], b""),
        (&["serve", "--listen", "nowhere"], b""),
    ];
    std::fs::write(machine.at("root/victim"), "root's own\n").expect("a file");
    let (data, kept) = (machine.at("data"), machine.at("kept"));
    let copy = |from: &Path, to: &Path| {
        let done = Command::new("cp").args(["-a", "--"]).arg(from).arg(to).status().expect("cp");
        assert!(done.success());
    };
    copy(&data, &kept);
    for (at, name) in names.into_iter().enumerate() {
        // To a file that is there, and to one that is not: each command meets both, by one name or another.
        for (n, (arguments, input)) in commands.into_iter().enumerate() {
            let target = if (at + n) % 2 == 0 { "root/victim" } else { "root/nothing" };
            std::fs::remove_dir_all(&data).expect("a removal");
            copy(&kept, &data);
            let planted = data.join(name);
            let _ = std::fs::remove_file(&planted);
            symlink(machine.at(target), &planted).expect("a link");
            let _ = std::fs::remove_file(machine.at("root/another.db"));
            let before = state(&machine.at("root"));
            let done = machine.run(arguments, input);
            let mut after = state(&machine.at("root"));
            // What the caller named is made, whole or empty.
            after.remove(&machine.at("root/another.db"));
            assert!(before == after, "{arguments:?} followed {name} to {target}: {done:?}");
            let strange: Vec<_> = machine.strange().into_iter().filter(|path| *path != planted).collect();
            assert_eq!(strange, Vec::<PathBuf>::new(), "{arguments:?}, {name} to {target}");
        }
    }
    // A link in the place of a file of ours is said to be one.
    for name in ["mailtrail.db", "checkpoint", "ballast", "mailtrail.lock", "license.key"] {
        std::fs::remove_dir_all(&data).expect("a removal");
        copy(&kept, &data);
        let _ = std::fs::remove_file(data.join(name));
        symlink(machine.at("root/victim"), data.join(name)).expect("a link");
        let done = machine.run(&["serve", "--listen", "127.0.0.1:0"], b"");
        assert_eq!(done.status.code(), Some(78), "{name}: {done:?}");
        assert!(
            String::from_utf8_lossy(&done.stderr).contains("is a link, and leads elsewhere"),
            "{name}: {done:?}"
        );
    }
}

#[test]
fn root_is_not_told_whose_directory_it_is_by_who_could_put_another_there() {
    let Some(machine) = Machine::new() else { return };
    machine.good(&["init", "--email", "ada@example.org"], b"");
    std::fs::create_dir(machine.at("bobs")).expect("a directory");
    chown(machine.at("bobs"), Some(USER + 1), Some(USER + 1)).expect("an owner");
    symlink(machine.at("root"), machine.at("bobs/data")).expect("a link");
    let before = state(&machine.at("root"));
    for command in [&["init", "--email", "eve@example.org"][..], &["stats"], &["restore", "mailtrail"]] {
        let done = Command::new(machine.at("mailtrail"))
            .arg("--data")
            .arg(machine.at("bobs/data"))
            .args(command)
            .current_dir(machine.directory.path())
            .output()
            .expect("a run");
        let told = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(1), "{told}");
        assert!(told.contains(&format!("user {} can put another in its place", USER + 1)), "{told}");
        assert!(state(&machine.at("root")) == before);
    }
    // Nor is anything said to somebody else who listens in the server's place.
    let listener = UnixListener::bind(machine.at("root/other.sock")).expect("a socket");
    symlink(machine.at("root/other.sock"), machine.at("data/mailtrail.sock")).expect("a link");
    let listening = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut told = Vec::new();
        let _ = stream.read_to_end(&mut told);
        told
    });
    let done = machine.run(&["tenant", "create", "--name", "secret"], b"");
    assert_eq!(listening.join().expect("a listener"), b"", "{done:?}");
}

#[test]
fn what_root_alone_may_read_and_another_may_exchange_is_not_looked_at_as_they() {
    let Some(machine) = Machine::new() else { return };
    machine.good(&["init", "--email", "ada@example.org"], b"");
    std::fs::create_dir(machine.at("bobs")).expect("a directory");
    chown(machine.at("bobs"), Some(USER + 1), Some(USER + 1)).expect("an owner");
    machine.good(&["backup", "bobs/backup.db"], b"");
    for command in ["check", "verify"] {
        let done = machine.run(&[command, "bobs/backup.db"], b"");
        let told = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(1), "{told}");
        assert!(
            told.contains("is for root alone") && told.contains("move it to a directory of root's"),
            "{told}"
        );
    }
    std::fs::rename(machine.at("bobs/backup.db"), machine.at("root/backup.db")).expect("another name");
    machine.good(&["check", "root/backup.db"], b"");
}
