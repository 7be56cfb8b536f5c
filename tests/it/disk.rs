//! A disk that fills up, for real: recording ends with 507 and loses nothing, reads go on, the process lives, and once
//! retention has made room everything goes on by itself. The disk is a tmpfs, which only root can mount.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::process::{Owners, Serving, agent, exported, mailtrail, run, run_json};
use crate::support::{Answer, process};

/// A file system of its own, gone when it is dropped.
struct Disk(tempfile::TempDir);

impl Disk {
    /// `None`, loudly, for who may not mount: CI is root.
    fn mount(mebibytes: u64) -> Option<Self> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m,mode=700"), "tmpfs"])
            .arg(directory.path())
            .status()
            .expect("mount(8)");
        if !status.success() {
            assert!(!rustix::process::geteuid().is_root(), "root cannot mount a tmpfs");
            eprintln!("SKIPPED: only root can mount the tmpfs that this test fills up");
            return None;
        }
        Some(Self(directory))
    }

    fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    fn free(&self) -> u64 {
        let found = rustix::fs::statvfs(self.0.path()).expect("statvfs");
        found.f_bavail * found.f_frsize
    }

    /// Somebody else's file, up to the last `left` bytes.
    fn fill(&self, left: u64) {
        let mut file = std::fs::File::create(self.0.path().join("filler")).expect("a file");
        while self.free() > left {
            let size = (self.free() - left).min(1 << 20);
            let _ = file.write_all(&vec![b'x'; usize::try_from(size).expect("a size")]);
        }
    }

    fn empty(&self) {
        std::fs::remove_file(self.0.path().join("filler")).expect("the file");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

/// Batches of old rows into all three logs until each of them answers something else than a 2xx.
fn record_until_refused(
    owners: &Owners,
    url: &str,
    round: usize,
) -> (BTreeSet<(usize, String)>, [Option<Answer>; 3]) {
    let agent = agent();
    let mut answered = BTreeSet::new();
    let mut refused = [None, None, None];
    for n in 0..3000 {
        let log = n % 3;
        if refused[log].is_none() {
            let marks: Vec<String> = (0..100).map(|at| format!("r{round}n{n}i{at}@crash.example")).collect();
            let write = owners.write_of(log, marks, Some(40), &"x".repeat(900));
            let answer = owners.send(&agent, url, &write).expect("an answer");
            match answer.status {
                200..300 => answered.extend(write.marks.into_iter().map(|mark| (log, mark))),
                _ => refused[log] = Some(answer),
            }
        } else if refused.iter().all(Option::is_some) {
            return (answered, refused);
        }
    }
    panic!("{} rows are recorded, and there is still room", answered.len());
}

/// Each in its vendor's words.
fn assert_full(refused: &[Option<Answer>; 3]) {
    let full = "the disk is full; nothing was recorded";
    let bodies = [
        json!({ "detail": { "message": full, "code": "insufficient_storage" } }),
        json!({ "error": full }),
        json!({ "error": full }),
    ];
    for (answer, body) in refused.iter().flatten().zip(bodies) {
        assert_eq!((answer.status, answer.json()), (507, body));
        assert_eq!(answer.header("retry-after"), Some("60"));
    }
}

#[track_caller]
fn assert_recorded(data: &Path, owners: &Owners, answered: &BTreeSet<(usize, String)>) {
    let found = exported(data, owners);
    let found: BTreeSet<_> =
        (0..3).flat_map(|log| found[log].keys().map(move |mark| (log, mark.clone()))).collect();
    let lost: Vec<_> = answered.difference(&found).take(3).collect();
    let strange: Vec<_> = found.difference(answered).take(3).collect();
    assert!(lost.is_empty() && strange.is_empty(), "lost {lost:?}, strange {strange:?}");
}

/// Until a write is answered with a 2xx; the scheduler gives pages back every ten seconds.
fn wait_until_it_records(owners: &Owners, url: &str, mark: &str) {
    let until = Instant::now() + Duration::from_secs(40);
    loop {
        let write = owners.write_of(2, vec![mark.to_owned()], None, "");
        let answer = owners.send(&agent(), url, &write).expect("an answer");
        if answer.status == 201 {
            return;
        }
        assert!(answer.status == 507 && Instant::now() < until, "{answer:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn recording_ends_at_the_reserve_and_goes_on_once_retention_has_made_room() {
    let Some(disk) = Disk::mount(112) else { return };
    let data = disk.data();
    let owners = Owners::create(&data);
    let elsewhere = tempfile::NamedTempFile::new().expect("a file");
    let mut command = mailtrail(&data, &["serve", "--listen", "127.0.0.1:0", "--set", "log=warn"]);
    for setting in ["disk_reserve=8MiB", "retention_days=30", "activity_retention_days=30"] {
        command.args(["--set", setting]);
    }
    let serving = Serving::spawn({
        command.stderr(elsewhere.reopen().expect("a file"));
        command
    });
    let gave_up = || {
        let log = std::fs::read_to_string(elsewhere.path()).expect("its log");
        log.contains("the ballast is given up")
    };
    let agent = agent();
    let get = |path: &str| owners.get(&agent, &serving.url, path).expect("an answer");
    get("/readyz").status(200);
    let ballast = data.join("ballast");
    assert_eq!(ballast.metadata().expect("the ballast").len(), 64 << 20);

    let (answered, refused) = record_until_refused(&owners, &serving.url, 0);
    assert_full(&refused);
    assert!(answered.len() > 1000, "{} rows", answered.len());
    assert!(ballast.exists() && disk.free() > 4 << 20, "{} bytes are left", disk.free());
    get("/healthz").status(200);
    get("/readyz").status(503);
    // What is not recording goes on.
    run(&data, &["tenant", "create", "--name", "While it is full"]);
    assert_eq!(
        mailtrail(&data, &["record", "message", "--sysexits", "--mailbox", "1"])
            .status()
            .expect("an end")
            .code(),
        Some(75)
    );

    // Somebody else takes the rest.
    disk.fill(0);
    get("/v1/enforcement/events").status(200);
    assert_recorded(&data, &owners, &answered);
    assert_full(&record_until_refused(&owners, &serving.url, 1).1);

    // The ballast is what retention works in; nobody records into its room.
    run(&data, &["retention", "run"]);
    assert!(gave_up(), "retention needed no room");
    let left = exported(&data, &owners);
    assert!(left.iter().all(std::collections::BTreeMap::is_empty), "{left:?}");
    wait_until_it_records(&owners, &serving.url, "again@crash.example");
    assert!(ballast.exists(), "no new ballast");
    get("/readyz").status(200);
    assert_recorded(&data, &owners, &BTreeSet::from([(2, "again@crash.example".to_owned())]));

    assert_eq!(serving.stop().code(), Some(0));
    assert_eq!(run_json(&data, &["check"])["ok"], true);
    assert!(!data.join("mailtrail.db-wal").exists());
}

#[test]
fn a_disk_without_a_byte_left_fails_writes_and_nothing_else() {
    let Some(disk) = Disk::mount(96) else { return };
    let data = disk.data();
    let owners = Owners::create(&data);
    // A reserve that is none: the commit itself meets the end of the disk.
    let serving = Serving::start_with(&data, &["disk_reserve=1KiB"]);
    let (answered, refused) = record_until_refused(&owners, &serving.url, 0);
    assert_full(&refused);
    assert!(answered.len() > 1000, "{} rows", answered.len());
    disk.fill(0);
    assert_full(&record_until_refused(&owners, &serving.url, 1).1);
    assert_recorded(&data, &owners, &answered);
    // A command that has nothing to do with the log fails too, or has the ballast's room.
    let made = mailtrail(&data, &["tenant", "create", "--name", "Full"]).output().expect("a command");
    assert!(made.status.success() || String::from_utf8_lossy(&made.stderr).contains("the disk is full"));
    // A backup that does not fit leaves nothing behind.
    let backup = data.join("backup.db").display().to_string();
    let refused = mailtrail(&data, &["backup", &backup]).output().expect("a command");
    assert_eq!(refused.status.code(), Some(2));

    // Without a byte it does not start, and does not call the database damaged; with a few it reads.
    assert_eq!(serving.stop().code(), Some(0));
    disk.empty();
    disk.fill(0);
    let refused = mailtrail(&data, &["serve", "--listen", "127.0.0.1:0"]).output().expect("a command");
    assert_eq!(refused.status.code(), Some(74));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("cannot open the database") && said.contains("the space on the disk"), "{said}");
    disk.empty();
    disk.fill(512 << 10);
    let serving = Serving::start_with(&data, &["disk_reserve=1KiB"]);
    assert_full(&record_until_refused(&owners, &serving.url, 2).1);
    assert_recorded(&data, &owners, &answered);
    let restored = disk.0.path().join("restored");
    let refused =
        mailtrail(&restored, &["restore"]).arg(data.join("mailtrail.db")).output().expect("a command");
    assert!(!refused.status.success());
    for directory in [&data, &restored] {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            assert!(!name.contains("partial") && !name.contains("backup"), "{name} was left behind");
        }
    }

    // Room again: everything goes on by itself, the numbers too.
    disk.empty();
    wait_until_it_records(&owners, &serving.url, "again@crash.example");
    assert!(data.join("ballast").exists(), "no new ballast");
    let mut answered = answered;
    answered.insert((2, "again@crash.example".to_owned()));
    assert_recorded(&data, &owners, &answered);
    assert_eq!(run_json(&data, &["check"])["ok"], true);
    serving.kill();
    assert_eq!(run_json(&data, &["check"])["ok"], true);
}

#[test]
fn backups_leave_the_reserve_free() {
    let Some(disk) = Disk::mount(96) else { return };
    let data = disk.data();
    let owners = Owners::create(&data);
    let serving = Serving::start_with(&data, &["disk_reserve=16MiB"]);
    let agent = agent();
    let marks: Vec<String> = (0..2000).map(|at| format!("m{at}@crash.example")).collect();
    let write = owners.write_of(0, marks, None, &"x".repeat(900));
    owners.send(&agent, &serving.url, &write).expect("an answer").status(201);
    let backup = |n: usize| {
        let request = ureq::http::Request::post(format!("{}/api/v1/admin/backups", serving.url))
            .header("authorization", format!("Bearer {}", owners.api_key))
            .header("content-type", "application/json");
        let body = json!({ "file": format!("{n}.db") }).to_string();
        agent.run(request.body(body).expect("a request")).expect("an answer").status().as_u16()
    };
    let statuses: Vec<u16> = (0..40).map(backup).collect();
    assert!(statuses.contains(&201) && statuses.contains(&507), "{statuses:?}");
    assert!(statuses.iter().all(|status| [201, 507].contains(status)), "{statuses:?}");
    assert!(disk.free() >= 16 << 20, "{} bytes are left", disk.free());
    owners.get(&agent, &serving.url, "/readyz").expect("an answer").status(200);
    let write = owners.write_of(0, vec!["after@crash.example".into()], None, "");
    owners.send(&agent, &serving.url, &write).expect("an answer").status(201);
    assert_eq!(serving.stop().code(), Some(0));
}

#[test]
fn without_an_inode_it_records_says_so_and_signs_again_once_there_is_one() {
    let Some(disk) = Disk::mount(512) else { return };
    let remounted = Command::new("mount").args(["-o", "remount,nr_inodes=200"]).arg(disk.0.path()).status();
    assert!(remounted.expect("mount(8)").success());
    let data = disk.data();
    let owners = Owners::create(&data);
    let elsewhere = tempfile::NamedTempFile::new().expect("a file");
    let mut command = mailtrail(&data, &["serve", "--listen", "127.0.0.1:0", "--set", "disk_reserve=1MiB"]);
    command.stderr(elsewhere.reopen().expect("a file"));
    let serving = Serving::spawn(command);
    let agent = agent();
    let fillers = disk.0.path().join("fillers");
    std::fs::create_dir(&fillers).expect("a directory");
    while std::fs::File::create(fillers.join(mailtrail::ids::random_hex::<8>())).is_ok() {}
    let ready = || owners.get(&agent, &serving.url, "/readyz").expect("an answer");
    let until = Instant::now() + Duration::from_secs(20);
    while ready().status != 503 {
        assert!(Instant::now() < until, "it is ready without an inode");
        std::thread::sleep(Duration::from_millis(50));
    }
    let told = ready().json()["checks"].to_string();
    assert!(told.contains("the file system has no inode left"), "{told}");
    let write = |mark: &str| {
        let write = owners.write_of(2, vec![mark.to_owned()], None, "");
        owners.send(&agent, &serving.url, &write).expect("an answer").status(201).json()["seq"].as_i64()
    };
    write("full@crash.example");
    std::thread::sleep(Duration::from_secs(2));
    let log = std::fs::read_to_string(elsewhere.path()).expect("its log");
    assert_eq!(log.matches("no inode left").count(), 1, "{log}");
    assert!(!log.contains("job checkpoint"), "{log}");
    // Who asks for one is told why there is none.
    let asked = mailtrail(&data, &["checkpoint"]).output().expect("a command");
    assert!(!asked.status.success());

    std::fs::remove_dir_all(&fillers).expect("the files");
    let last = write("again@crash.example").expect("a number");
    let is_signed = || {
        let note = std::fs::read_to_string(data.join("checkpoint")).unwrap_or_default();
        note.lines().nth(1).and_then(|size| size.parse::<i64>().ok()) >= Some(last)
    };
    let until = Instant::now() + Duration::from_secs(20);
    while !is_signed() {
        assert!(Instant::now() < until, "no checkpoint was signed");
        std::thread::sleep(Duration::from_millis(50));
    }
    ready().status(200);
    assert_eq!(serving.stop().code(), Some(0));
}

/// `serve` as somebody who is not root, whom modes bind; root's own binary may be where nobody else gets.
fn serve_as_nobody(binary: &Path, data: &Path) -> std::process::Output {
    Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(binary)
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(data)
        .output()
        .expect("setpriv(1)")
}

#[test]
fn what_cannot_be_written_is_refused_with_a_hint() {
    let Some(disk) = Disk::mount(32) else { return };
    let data = disk.data();
    Owners::create(&data);
    let refused = |output: std::process::Output, path: &Path, hint: &str| {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(78), "{said}");
        assert!(said.contains(&format!("{} cannot be written by this process", path.display())), "{said}");
        assert!(said.contains("\nhint: ") && said.contains(hint), "{said}");
    };

    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).expect("a mode");
    };
    let own = |path: &Path| std::os::unix::fs::chown(path, Some(65534), Some(65534)).expect("an owner");
    let elsewhere = tempfile::tempdir().expect("a temporary directory");
    mode(elsewhere.path(), 0o755);
    let binary = elsewhere.path().join("mailtrail");
    std::fs::copy(process::binary(), &binary).expect("a copy");
    mode(&binary, 0o755);
    own(&data);
    for entry in std::fs::read_dir(&data).expect("a directory").flatten() {
        own(&entry.path());
    }
    mode(disk.0.path(), 0o755);
    let database = data.join("mailtrail.db");
    mode(&database, 0o400);
    refused(serve_as_nobody(&binary, &data), &database, "chmod");
    mode(&database, 0o600);
    mode(&data, 0o500);
    refused(serve_as_nobody(&binary, &data), &data, "chmod");
    mode(&data, 0o700);
    // As a command leaves it that root ran.
    let wal = data.join("mailtrail.db-wal");
    // One may be there, and then it is nobody's.
    let _ = std::fs::remove_file(&wal);
    std::fs::write(&wal, "").expect("a file");
    mode(&wal, 0o600);
    refused(serve_as_nobody(&binary, &data), &wal, "chown");
    std::fs::remove_file(&wal).expect("the file");

    let remounted = Command::new("mount").args(["-o", "remount,ro"]).arg(disk.0.path()).status();
    assert!(remounted.expect("mount(8)").success());
    let output = mailtrail(&data, &["serve", "--listen", "127.0.0.1:0"]).output().expect("a command");
    refused(output, &data, "mount the file system for writing");
}

#[test]
fn a_reserve_that_the_disk_does_not_have_refuses_writes_from_the_start() {
    let Some(disk) = Disk::mount(32) else { return };
    let data = disk.data();
    let owners = Owners::create(&data);
    let mut command = mailtrail(&data, &["serve", "--listen", "127.0.0.1:0"]);
    let log = disk.0.path().join("log");
    command.stderr(std::fs::File::create(&log).expect("a file"));
    let serving = Serving::spawn(command);
    assert_full(&record_until_refused(&owners, &serving.url, 0).1);
    assert_eq!(serving.stop().code(), Some(0));
    let log = std::fs::read_to_string(&log).expect("its log");
    assert!(log.contains("MiB left, and disk_reserve is 256 MiB, with 64 MiB more for the ballast"), "{log}");
    assert_eq!(log.matches("nothing is recorded").count(), 1, "{log}");
}
