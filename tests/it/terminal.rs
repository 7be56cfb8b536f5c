//! What others wrote does not steer the terminal of whoever reads it: the real binary, writing to a real terminal.

use std::fs::File;
use std::io::Read;
use std::process::{Command, Output, Stdio};

use mailtrail::http::Method;
use mailtrail::owners::projects;
use mailtrail::store::Tx;
use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::{Value, json};

use crate::support::Server;

/// A C1 control sequence, one that sets the title, and text that reads backwards.
const HOSTILE: &str = "\u{9b}31m\u{9d}0;title\u{9c} \u{202e}exe.gpj\u{2066}";
const SHOWN: &str = r"\u009b31m\u009d0;title\u009c \u202eexe.gpj\u2066";

fn command(server: &Server, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailtrail"));
    command.arg("--data").arg(server.config().data).args(arguments).stdin(Stdio::null());
    command
}

fn in_a_pipe(server: &Server, arguments: &[&str]) -> Output {
    command(server, arguments).output().expect("a command")
}

/// All that a terminal gets, of standard output and standard error.
fn on_a_terminal(server: &Server, arguments: &[&str]) -> String {
    on_a_terminal_of(80, server, arguments)
}

/// Of so many columns.
fn on_a_terminal_of(columns: u16, server: &Server, arguments: &[&str]) -> String {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&ours).expect("a grant");
    unlockpt(&ours).expect("a terminal that is open");
    let size = rustix::termios::Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&ours, size).expect("a size");
    let name = ptsname(&ours, Vec::new()).expect("a name");
    let theirs = open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).expect("the other end");
    let [out, err] = [&theirs, &theirs].map(|end| end.try_clone().expect("another of it"));
    let mut child = command(server, arguments).stdout(out).stderr(err).spawn().expect("a command");
    drop(theirs);
    // It is read while it is written, and ends with an error once nobody has the other end.
    let mut told = Vec::new();
    let _ = File::from(ours).read_to_end(&mut told);
    child.wait().expect("an end");
    String::from_utf8(told).expect("text")
}

#[test]
fn a_terminal_is_shown_what_it_would_obey() {
    let server = Server::start();
    // A name that an older version took.
    let hostile = |tx: &mut Tx<'_>| projects::create(tx, 1, "invoice \u{202e}exe.gpj\u{2066}");
    let project = server.running().app.store.write(hostile).expect("a project").id.to_string();
    let log = format!("/api/v1/projects/{project}/audit-log");
    let user = "0190b3c8-5e4a-7cc1-8a1d-2f6f0c9b7e11";
    let activity = json!({ "user_id": user, "action": "site.publish", "metadata": { "title": HOSTILE } });
    let id = server.post(&log, &activity).status(201).text("id");
    let proof = server.directory().join("one.tlog-proof");
    let text = in_a_pipe(&server, &["proof", "activity", &id, "--project", &project]);
    std::fs::write(&proof, &text.stdout).expect("a file");
    let proof = proof.display().to_string();
    let query = ["query", "activity", "--project", &project, "--action", "site.publish"];
    for (what, arguments) in [
        ("a table", [&query[..], &["--wide"]].concat()),
        ("JSON", [&query[..], &["--json"]].concat()),
        ("an export", vec!["export", "activity", "--project", &project, "--action", "site.publish"]),
        ("CSV", vec!["export", "activity", "--project", &project, "--format", "csv"]),
        ("a proof", vec!["verify", "--proof", &proof]),
        ("a refusal", vec!["workspace", "show", HOSTILE]),
        ("a wrong command line", vec!["backup", "a", HOSTILE]),
        ("a card", vec!["project", "show", &project]),
    ] {
        let told = on_a_terminal(&server, &arguments);
        let raw = told
            .chars()
            .find(|c| (c.is_control() && !"\r\n\t".contains(*c)) || "\u{202e}\u{2066}".contains(*c));
        assert_eq!(raw, None, "{what}: {told:?}");
        // Names have no control characters.
        let is_shown = told.contains(SHOWN) || told.contains(r"\u202eexe.gpj\u2066");
        assert!(is_shown || told.contains("not found"), "{what}: {told:?}");
    }
    // It is JSON all the same.
    let told = on_a_terminal(&server, &[&query[..], &["--json"]].concat());
    let row: Value = serde_json::from_str(told.trim()).unwrap_or_else(|error| panic!("{error}: {told:?}"));
    assert_eq!(row["metadata"]["title"], HOSTILE);
    // A file gets what was recorded, byte for byte.
    let export =
        in_a_pipe(&server, &["export", "activity", "--project", &project, "--action", "site.publish"]);
    assert!(String::from_utf8_lossy(&export.stdout).contains(HOSTILE), "{export:?}");
    let path = format!("{log}?action=site.publish");
    let shown = server.operator(Method::Get, &path, &Value::Null).status(200).json();
    assert_eq!(shown["entries"][0]["metadata"]["title"], HOSTILE);
}

#[test]
fn tables_fit_the_terminal_whatever_people_call_things() {
    let server = Server::start();
    let long = "日本語のとても長い名前のテナントで、端末には入りきらない";
    let tenant = server.add_tenant(&server.workspace, long);
    server.add_project(&server.workspace, &"a name as long as people make them ".repeat(4));
    let mailbox = server.add_mailbox(
        &server.workspace,
        "somebody.with.a.long.name@mail.department.example.org",
        Some(&tenant),
        Some(25),
    );
    let mailbox = mailbox.to_string();
    let log = format!("/v1/mailboxes/{mailbox}/audit-logs");
    let entry = json!({
        "message_id": "0123456789abcdef0123456789abcdef@mail.department.example.org", "outcome": "rejected_at_policy",
        "reason": "no_matching_sender_rule", "sender_address": "日本@example.net", "recipient_address": "to@example.org",
        "verification_dkim": "pass", "verification_spf": "fail", "verification_dmarc": "none",
    });
    server.post(&log, &entry).status(201);
    let is_wide = |c: char| matches!(u32::from(c), 0x1100..=0x115f | 0x2e80..=0xd7a3 | 0xf900..=0xfaff | 0xff01..=0xff60);
    let width = |line: &str| line.chars().map(|c| if is_wide(c) { 2 } else { 1 }).sum::<usize>();
    for columns in [60, 80, 120] {
        for arguments in [
            &["mailbox", "list"][..],
            &["tenant", "list"],
            &["project", "list"],
            &["key", "list"],
            &["user", "list"],
            &["stats"],
            &["config"],
            &["query", "messages", "--mailbox", &mailbox],
            &["query", "activity"],
            &["query", "control"],
        ] {
            let told = on_a_terminal_of(columns, &server, arguments);
            for line in told.lines().filter(|line| !line.starts_with("not shown: ")) {
                assert!(width(line) <= usize::from(columns), "{arguments:?} at {columns}: {line:?}");
            }
            let all = on_a_terminal_of(columns, &server, &[arguments, &["--wide"]].concat());
            assert!(!all.contains('…') && !all.contains("not shown: "), "{arguments:?}: {all}");
        }
    }
    let all = on_a_terminal_of(60, &server, &["query", "messages", "--mailbox", &mailbox, "--wide"]);
    for cell in ["to@example.org", "pass fail none", "no_matching_sender_rule"] {
        assert!(all.contains(cell), "{cell}: {all}");
    }
    // The ids of what is listed are whole: they are what is typed next.
    assert!(on_a_terminal_of(60, &server, &["tenant", "list"]).contains(&tenant));
    // Of people who are unknown here there is at least the id.
    let project = server.add_project(&server.workspace, "News");
    let user = "0190b3c8-5e4a-7cc1-8a1d-2f6f0c9b7e11";
    let activity = json!({ "user_id": user, "action": "site.publish" });
    server.post(&format!("/api/v1/projects/{project}/audit-log"), &activity).status(201);
    let told = in_a_pipe(&server, &["query", "activity", "--project", "News", "--action", "site.publish"]);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains(user) || told.contains("key test"), "{told}");
}

#[test]
fn what_is_told_fits_the_terminal_and_breaks_no_word_and_no_command() {
    let server = Server::start();
    for columns in [60, 80, 120] {
        for arguments in [
            &["key", "create", "--name", "x", "--scope", "bogus"][..],
            &["mailbox", "show", "99"],
            &["config", "--set", "log=debug"],
            &["query", "messages", "--from", "nonsense"],
            &["tenant", "create"],
            &["query", "foo"],
            &["key", "list"],
            &["clock"],
            &["check"],
            &["verify"],
        ] {
            let told = on_a_terminal_of(columns, &server, arguments);
            let piped = in_a_pipe(&server, arguments);
            let piped = String::from_utf8_lossy(&piped.stderr).into_owned();
            for line in told.lines() {
                assert!(line.chars().count() <= usize::from(columns), "{arguments:?} at {columns}: {line:?}");
            }
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            if !piped.is_empty() {
                assert_eq!(words(&told), words(&piped), "{arguments:?} at {columns}");
            }
            for command in piped.split('`').skip(1).step_by(2) {
                assert!(told.contains(command), "{arguments:?} at {columns}: {told}");
            }
        }
        // JSON is one line, however narrow.
        let told = on_a_terminal_of(columns, &server, &["mailbox", "show", "99", "--json"]);
        serde_json::from_str::<Value>(told.trim()).unwrap_or_else(|error| panic!("{error}: {told:?}"));
        assert_eq!(told.trim().lines().count(), 1, "{told}");
    }
}
