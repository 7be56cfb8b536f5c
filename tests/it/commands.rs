//! The command line beside a server and without one: one configuration for both, names wherever ids go, filters that are
//! refused where a log has none of the kind, files that arrive where the caller said, and what it says when it cannot.

use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::support::process::{Serving, mailtrail, run, run_json};

const MESSAGE: &str = "Authentication-Results: mx.example.org; spf=pass smtp.mailfrom=example.net\r\nFrom: Bob <bob@example.net>\r\n\
     Message-ID: <1@example.net>\r\nSubject: hi\r\n\r\nSee you.\r\n";

struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    /// A data directory with a workspace.
    fn new() -> Self {
        let place = Self { directory: tempfile::tempdir().expect("a directory") };
        run(&place.data(), &["init", "--email", "ada@example.org", "--json"]);
        place
    }

    fn data(&self) -> std::path::PathBuf {
        self.at("data")
    }

    fn at(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Value {
        run_json(&self.data(), arguments)
    }

    /// One object a line.
    fn rows(&self, arguments: &[&str]) -> Vec<Value> {
        let text = run(&self.data(), &[arguments, &["--json"]].concat());
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    fn output(&self, arguments: &[&str], input: &str) -> Output {
        output(&self.data(), arguments, input)
    }
}

fn output(data: &Path, arguments: &[&str], input: &str) -> Output {
    let mut command = mailtrail(data, arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("a command");
    // It may end without reading.
    let _ = child.stdin.take().expect("its input").write_all(input.as_bytes());
    child.wait_with_output().expect("an end")
}

/// What it said, with the code it ended with.
#[track_caller]
fn refused(output: &Output, code: i32) -> String {
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{told}");
    assert_eq!(told.matches("hint: ").count(), 1, "one hint: {told}");
    told
}

#[test]
fn one_configuration_counts_for_the_server_and_for_the_commands_beside_and_after_it() {
    let place = Place::new();
    let file = place.at("mailtrail.toml");
    std::fs::write(&file, "authserv_ids = \"mx.example.org\"\nmax_connections = 77\n").expect("a file");
    run(&place.data(), &["mailbox", "create", "--address", "ada@example.org", "--json"]);
    let path = file.display().to_string();
    let server = Serving::spawn(mailtrail(
        &place.data(),
        &["serve", "--listen", "127.0.0.1:0", "--config", &path, "--set", "log=error"],
    ));
    let shown = place.run(&["config"]);
    assert_eq!(shown["max_connections"], json!({ "value": "77", "origin": format!("file {path}") }));
    assert_eq!(shown["log"], json!({ "value": "error", "origin": "flag" }), "the server's own");
    for arguments in [&["config", "--set", "log=debug"][..], &["stats", "--set", "max_body=2MiB"]] {
        let told = refused(&place.output(arguments, ""), 1);
        assert!(told.contains("--set changes nothing here"), "{told}");
    }
    server.stop();
    // Without a word about the file: the verdicts of a message that comes meanwhile are believed as before.
    assert_eq!(place.run(&["config"])["max_connections"]["value"], "77");
    let record = ["record", "message", "--mailbox", "ada@example.org", "--json"];
    let entry = place.output(&record, MESSAGE);
    let entry: Value = serde_json::from_slice(&entry.stdout).unwrap_or_else(|_| panic!("{entry:?}"));
    assert_eq!(entry["verification_spf"], "pass");
    // A file that is gone is no reason to go by the defaults.
    std::fs::remove_file(&file).expect("a file");
    let told = refused(&place.output(&["stats"], ""), 1);
    assert!(told.contains("was last served with"), "{told}");
    // Served without one, there is none.
    Serving::start(&place.data()).stop();
    assert_eq!(place.run(&["config"])["max_connections"]["origin"], "default");
}

#[test]
fn config_lists_every_setting_and_marks_those_that_cannot_be() {
    let place = Place::new();
    let file = place.at("mailtrail.toml");
    std::fs::write(&file, "max_connections = 0\nlog = \"loud\"\nnonsense = 1\n").expect("a file");
    let path = file.display().to_string();
    let output = place.output(&["config", "--config", &path, "--json"], "");
    assert_eq!(output.status.code(), Some(1));
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    assert_eq!(shown["max_body"], json!({ "value": "1MiB", "origin": "default" }));
    for key in ["max_connections", "log", "nonsense"] {
        assert!(shown[key]["problem"].is_string(), "{key}: {shown}");
    }
    let told = refused(&place.output(&["config", "--config", &path], ""), 1);
    for key in ["max_connections: \"0\"", "log: \"loud\"", "there is no setting \"nonsense\""] {
        assert!(told.contains(key), "{key}: {told}");
    }
}

#[test]
fn config_shows_what_is_in_force_in_a_demonstration_too() {
    let nowhere = tempfile::tempdir().expect("a directory");
    let mut demo = mailtrail(nowhere.path(), &["demo", "--json", "--listen", "127.0.0.1:0"]);
    let mut demo =
        demo.env("TMPDIR", nowhere.path()).stdout(Stdio::piped()).spawn().expect("a demonstration");
    let mut told = String::new();
    let mut out = std::io::BufReader::new(demo.stdout.take().expect("its output"));
    std::io::BufRead::read_line(&mut out, &mut told).expect("a line");
    let made: Value = serde_json::from_str(&told).expect("JSON");
    let data = Path::new(made["data"].as_str().expect("a directory"));
    let shown = run_json(data, &["config"]);
    assert_eq!(shown["data"], json!({ "value": made["data"], "origin": "demo" }));
    assert_eq!(shown["disk_reserve"]["value"], "0");
    let pid = rustix::process::Pid::from_child(&demo);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a signal");
    assert!(demo.wait().expect("an end").success());
    assert!(!data.exists(), "it is gone with it");
}

#[test]
fn an_empty_credential_is_no_default() {
    let place = Place::new();
    std::fs::write(place.at("mailtrail.checkpoint_key"), "\n").expect("a file");
    let mut command = mailtrail(&place.data(), &["stats"]);
    command.env("CREDENTIALS_DIRECTORY", place.directory.path());
    let output = command.output().expect("a command");
    let told = refused(&output, 1);
    assert!(told.contains("mailtrail.checkpoint_key is empty"), "{told}");
}

#[test]
fn who_only_reads_or_records_needs_no_checkpoint_key() {
    let place = Place::new();
    let key = place.data().join("checkpoint.key");
    std::fs::rename(&key, place.at("kept")).expect("the key");
    place.run(&["tenant", "create", "--name", "Acme"]);
    assert_eq!(place.run(&["tenant", "list"])["count"], 1);
    for (arguments, code) in [(&["checkpoint"][..], 1), (&["serve", "--listen", "127.0.0.1:0"], 78)] {
        let told = refused(&place.output(arguments, ""), code);
        assert!(told.contains("/etc/credstore/mailtrail.checkpoint_key"), "{told}");
    }
    std::fs::rename(place.at("kept"), &key).expect("the key");
    run(&place.data(), &["checkpoint"]);
}

#[test]
fn names_go_wherever_ids_do_also_those_of_what_is_deleted() {
    let place = Place::new();
    for is_served in [false, true] {
        let server = is_served.then(|| Serving::start(&place.data()));
        let tenant = place.run(&["tenant", "create", "--name", "Acme & Söhne"])["id"].clone();
        assert_eq!(place.run(&["tenant", "show", "Acme & Söhne"])["id"], tenant);
        let made =
            place.run(&["mailbox", "create", "--address", "ada@example.org", "--tenant", "acme & Söhne"]);
        assert_eq!(made["tenant_id"], tenant, "names differ not by case");
        let name = format!("New letter/{is_served}");
        let project = place.run(&["project", "create", "--name", &name])["id"].clone();
        let file = place.at("activities.ndjson");
        let row = json!({
            "user_id": "0190b3c8-5e4a-7cc1-8a1d-2f6f0c9b7e11", "action": "site.publish", "target_id": project,
        });
        std::fs::write(&file, format!("{row}\n")).expect("a file");
        let path = file.display().to_string();
        let output = place.output(&["import", "activity", "--project", &name, &path], "");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(
            String::from_utf8_lossy(&output.stderr),
            "1 read, 1 written, 0 already there, 0 refused\n"
        );
        let found = place.rows(&["query", "activity", "--project", &name, "--action", "site.publish"]);
        assert_eq!(found.len(), 1, "{project}");
        assert_eq!(place.run(&["user", "show", "ada@example.org"])["email"], "ada@example.org");
        place.run(&["key", "create", "--name", "agent 7", "--scope", "messages:read"]);
        assert_eq!(place.run(&["key", "revoke", "agent 7"])["revoked"], true);
        // What is deleted keeps its name for its log.
        place.run(&["project", "delete", &name]);
        place.run(&["tenant", "delete", "Acme & Söhne"]);
        assert_eq!(
            place.rows(&["query", "activity", "--project", &name, "--action", "site.publish"]).len(),
            1
        );
        if !is_served {
            assert!(place.rows(&["query", "enforcement", "--tenant", "Acme & Söhne"]).is_empty());
        }
        place.run(&["mailbox", "delete", "ada@example.org"]);
        let told = refused(&place.output(&["query", "enforcement", "--tenant", "nobody at/all?#"], ""), 1);
        assert!(told.contains("none of the tenants is called"), "{told}");
        drop(server);
        // The second time there are two that are deleted: the refusal has both.
        if is_served {
            let told = refused(&place.output(&["query", "enforcement", "--tenant", "Acme & Söhne"], ""), 1);
            assert!(told.contains(tenant.as_str().expect("an id")) && told.contains("(deleted)"), "{told}");
        }
    }
    for _ in 0..2 {
        place.run(&["tenant", "create", "--name", "Twin"]);
    }
    let told = refused(&place.output(&["tenant", "show", "Twin"], ""), 1);
    assert!(told.contains("name one by its id"), "{told}");
}

#[test]
fn a_filter_that_a_log_has_not_is_refused_and_mailbox_means_the_mailbox_everywhere() {
    let place = Place::new();
    let tenant = place.run(&["tenant", "create", "--name", "Acme"])["id"].clone();
    let mut id = Value::Null;
    for address in ["ada@example.org", "bob@example.org"] {
        let mailbox = place.run(&["mailbox", "create", "--address", address, "--tenant", "Acme"]);
        id = if address.starts_with("ada") { mailbox["id"].clone() } else { id };
    }
    let event = |address: &str| {
        json!({
            "tenant_id": tenant, "mailbox_address": address, "action_taken": "blocked", "sent_count": 2, "limit_value": 1,
        })
    };
    let file = place.at("events.ndjson");
    std::fs::write(&file, format!("{}\n{}\n", event("ada@example.org"), event("bob@example.org")))
        .expect("a file");
    place.output(&["import", "enforcement", &file.display().to_string()], "");
    for mailbox in ["ada@example.org".to_owned(), id.to_string()] {
        for verb in ["query", "export"] {
            let found = if verb == "query" {
                place.rows(&["query", "enforcement", "--mailbox", &mailbox])
            } else {
                let text = run(&place.data(), &["export", "enforcement", "--mailbox", &mailbox]);
                text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
            };
            assert_eq!(found.len(), 1, "{verb} {mailbox}: {found:?}");
            assert_eq!(found[0]["mailbox_address"], "ada@example.org");
        }
    }
    run(&place.data(), &["mailbox", "delete", "ada@example.org"]);
    assert_eq!(
        place.rows(&["query", "enforcement", "--mailbox", &id.to_string()]).len(),
        1,
        "a deleted one's too"
    );
    for arguments in [
        &["query", "enforcement", "--mailbox", "nonsense"][..],
        &["export", "enforcement", "--project", "Acme"],
        &["query", "enforcement", "--outcome", "delivered"],
        &["query", "activity", "--mailbox", "1"],
        &["export", "activity", "--tenant", "Acme"],
        &["query", "messages", "--mailbox", "1", "--action", "blocked"],
        &["query", "control", "--mailbox", "1"],
        &["import", "activity", "--project", "x", "--mailbox", "1", "/dev/null"],
    ] {
        let output = place.output(arguments, "");
        let told = refused(&output, 1);
        assert!(output.stdout.is_empty(), "{arguments:?}: {told}");
    }
    place.run(&["retention", "set", "messages", "30"]);
    let controls = place.rows(&["query", "control", "--limit", "1"]);
    assert_eq!(controls.len(), 1);
    let number = controls[0]["id"].to_string();
    assert!(run(&place.data(), &["proof", "control", &number]).starts_with("c2sp.org/tlog-proof"));
}

#[test]
fn a_workspace_that_is_named_counts_or_is_refused() {
    let place = Place::new();
    run(&place.data(), &["workspace", "create", "--name", "Other"]);
    run(&place.data(), &["mailbox", "create", "--address", "ada@example.org", "--workspace", "Other"]);
    let shown = place.run(&["stats", "--workspace", "other"]);
    let workspaces = shown["workspaces"].as_array().expect("a list");
    assert_eq!(
        workspaces.iter().map(|it| (&it["name"], &it["mailboxes"])).collect::<Vec<_>>(),
        [(&json!("Other"), &json!(1))]
    );
    let told = refused(&place.output(&["stats", "--workspace", "nobody's"], ""), 1);
    assert!(told.contains("`mailtrail workspace list`"), "{told}");
    // What is named by its number is looked for there alone.
    let all = place.run(&["workspace", "list"]);
    let first = all["workspaces"].as_array().expect("a list").iter().find(|it| it["name"] != "Other");
    let first = first.expect("the first workspace")["id"].as_str().expect("an id");
    let project = place.run(&["project", "create", "--name", "Letters", "--workspace", first]);
    let project = project["id"].as_str().expect("an id");
    for (arguments, owner, other) in [
        (&["mailbox", "show", "1"][..], "Other", first),
        (&["mailbox", "set", "1", "--daily-send-limit", "5"], "Other", first),
        (&["mailbox", "hold", "1"], "Other", first),
        (&["query", "messages", "--mailbox", "1"], "Other", first),
        (&["project", "show", project], first, "Other"),
        (&["query", "activity", "--project", project], first, "Other"),
    ] {
        for elsewhere in [other, "nobody's"] {
            let told = refused(&place.output(&[arguments, &["--workspace", elsewhere][..]].concat(), ""), 1);
            assert!(told.contains("hint: "), "{arguments:?} of {elsewhere}: {told}");
        }
        run(&place.data(), &[arguments, &["--workspace", owner][..]].concat());
    }
    refused(&place.output(&["workspace", "list", "--workspace", "nobody's"], ""), 1);
    // These are about all workspaces: what was named would be left aside in silence.
    for arguments in [
        &["retention", "run"][..],
        &["retention", "set", "enforcement", "30"],
        &["license", "list"],
        &["query", "control"],
        &["verify"],
        &["check"],
        &["clock"],
        &["config"],
        &["backup", "x.db"],
    ] {
        let told = refused(&place.output(&[arguments, &["--workspace", "Other"]].concat(), ""), 1);
        assert!(told.contains("leave --workspace out"), "{arguments:?}: {told}");
    }
    assert_eq!(place.run(&["retention", "show"])["days"]["enforcement"], Value::Null);
}

#[test]
fn what_is_wrong_with_the_command_sends_no_message_back() {
    let place = Place::new();
    run(&place.data(), &["mailbox", "create", "--address", "ada@example.org"]);
    let record = |more: &[&str], input: &str| {
        let arguments = [&["record", "message", "--sysexits", "--mailbox"][..], more].concat();
        place.output(&arguments, input)
    };
    let good = record(&["ada@example.org"], MESSAGE);
    assert_eq!(String::from_utf8_lossy(&good.stdout), "delivered 1@example.net\n", "one line: {good:?}");
    refused(&record(&["ada@example.org"], ""), 65);
    refused(&record(&["ada@example.org"], "no header field"), 65);
    for more in [
        &["nobody@example.org"][..],
        &["ada@example.org", "--outcome", "lost"],
        &["ada@example.org", "--set", "foo"],
        &["ada@example.org", "--set", "foo=1"],
        &["ada@example.org", "--bogus"],
        &["ada@example.org", "--workspace", "nobody's"],
        &["ada@example.org", "--config", "/nowhere"],
        // The same message with another outcome contradicts what is recorded.
        &["ada@example.org", "--outcome", "rejected_at_policy"],
    ] {
        refused(&record(more, MESSAGE), 75);
    }
    refused(&place.output(&["serve", "--set", "foo"], ""), 78);
    refused(&place.output(&["serve", "--bogus"], ""), 78);
}

#[test]
fn the_addresses_for_postfix_are_those_of_all_living_mailboxes() {
    let place = Place::new();
    run(&place.data(), &["workspace", "create", "--name", "Other"]);
    for (address, workspace) in
        [("zoe@example.org", "Main"), ("ada@example.org", "Other"), ("old@example.org", "Main")]
    {
        run(&place.data(), &["mailbox", "create", "--address", address, "--workspace", workspace]);
    }
    run(&place.data(), &["mailbox", "delete", "old@example.org"]);
    assert_eq!(run(&place.data(), &["mailbox", "map"]), "ada@example.org OK\nzoe@example.org OK\n");
    assert_eq!(run(&place.data(), &["mailbox", "map", "--workspace", "other"]), "ada@example.org OK\n");
}

#[test]
fn the_same_body_is_too_large_with_a_server_and_without() {
    let place = Place::new();
    run(&place.data(), &["mailbox", "create", "--address", "ada@example.org"]);
    let file = place.at("policy.json");
    let policy = json!({
        "defaultAction": "drop", "senders": [], "contentGuards": [], "note": "x".repeat(100_000),
        "auditLog": { "retentionDays": 30, "includeBodyHash": false },
    });
    std::fs::write(&file, policy.to_string()).expect("a file");
    let path = file.display().to_string();
    let told = [false, true].map(|is_served| {
        let server = is_served.then(|| Serving::start(&place.data()));
        let told = refused(&place.output(&["mailbox", "policy", "1", &path], ""), 1);
        drop(server);
        told.lines().next().unwrap_or_default().to_owned()
    });
    assert!(told.iter().all(|told| told.contains("bytes")), "{told:?}");
}

#[test]
fn a_limit_always_applies_for_each_mailbox_has_a_tenant() {
    let place = Place::new();
    let one = place.run(&["mailbox", "create", "--address", "ada@example.org", "--daily-send-limit", "1"]);
    let other = place.run(&["mailbox", "create", "--address", "bob@example.org"]);
    assert_eq!(one["tenant_name"], "default");
    assert_eq!(one["tenant_id"], other["tenant_id"]);
    run(&place.data(), &["tenant", "create", "--name", "Acme"]);
    let moved = place.run(&["mailbox", "set", "ada@example.org", "--tenant", "Acme"]);
    assert_eq!(moved["tenant_name"], "Acme");
    let back = place.run(&["mailbox", "set", "ada@example.org", "--tenant", "none"]);
    assert_eq!(back["tenant_id"], one["tenant_id"]);
    // As an older version, or a backup of it, has them.
    rusqlite::Connection::open(place.data().join("mailtrail.db"))
        .and_then(|database| database.execute("UPDATE mailboxes SET tenant = NULL", []))
        .expect("no tenants");
    Serving::start(&place.data()).stop();
    assert_eq!(place.run(&["mailbox", "show", "bob@example.org"])["tenant_id"], one["tenant_id"]);
}

#[test]
fn retention_is_set_by_a_command_and_stands_in_the_trail() {
    let place = Place::new();
    let mailbox = place.run(&["mailbox", "create", "--address", "ada@example.org"]);
    assert!(mailbox["retention_days"].is_null());
    for is_served in [false, true] {
        let server = is_served.then(|| Serving::start(&place.data()));
        let days = if is_served { 400 } else { 300 };
        let shown = place.run(&["retention", "set", "enforcement", &days.to_string()]);
        assert_eq!(shown["days"], json!({ "enforcement": days, "messages": null, "activity": null }));
        let shown = place.run(&["mailbox", "set", "ada@example.org", "--retention-days", &days.to_string()]);
        assert_eq!(shown["retention_days"], days);
        drop(server);
    }
    assert_eq!(place.run(&["retention", "show"])["days"]["enforcement"], 400);
    // It beats the configuration until it is left to that again.
    let with_file = ["retention", "show", "--set", "retention_days=7"];
    assert_eq!(place.run(&with_file)["days"], json!({ "enforcement": 400, "messages": 7, "activity": null }));
    place.run(&["retention", "set", "enforcement", "default"]);
    assert_eq!(place.run(&with_file)["days"]["enforcement"], 7);
    place.run(&["retention", "set", "enforcement", "forever"]);
    assert!(place.run(&with_file)["days"]["enforcement"].is_null());
    for (action, n) in [("retention.update", 4), ("mailbox.update", 2)] {
        let noted = place.rows(&["query", "activity", "--action", action]);
        assert_eq!(noted.len(), n, "{action}: {noted:?}");
    }
    let settings = place.rows(&["query", "control"]);
    assert!(settings.iter().any(|row| row["body"]["mailboxes"] == json!([[1, 400]])), "{settings:?}");
    assert!(settings.iter().any(|row| row["body"]["days"]["enforcement"] == 400), "{settings:?}");
    // A policy says the days itself: another number is another version of it.
    let file = place.at("policy.json");
    let policy = json!({
        "defaultAction": "drop", "senders": [], "contentGuards": [],
        "auditLog": { "retentionDays": 30, "includeBodyHash": true },
    });
    std::fs::write(&file, policy.to_string()).expect("a file");
    place.run(&["mailbox", "policy", "ada@example.org", &file.display().to_string()]);
    place.run(&["mailbox", "set", "1", "--retention-days", "90"]);
    let shown = place.run(&["mailbox", "policy", "1"]);
    assert_eq!((&shown["version"], &shown["policy"]["auditLog"]["retentionDays"]), (&json!(2), &json!(90)));
    assert_eq!(shown["policy"]["auditLog"]["includeBodyHash"], true);
    refused(&place.output(&["mailbox", "set", "1", "--retention-days", "none"], ""), 1);
    refused(&place.output(&["mailbox", "set", "1", "--retention-days", "0"], ""), 1);
    refused(&place.output(&["retention", "set", "messages", "0"], ""), 1);
    assert_eq!(place.run(&["check"])["ok"], true);
}

#[test]
fn what_changes_nothing_is_not_recorded() {
    let place = Place::new();
    run(&place.data(), &["mailbox", "create", "--address", "ada@example.org", "--daily-send-limit", "5"]);
    run(&place.data(), &["tenant", "create", "--name", "Acme"]);
    run(&place.data(), &["project", "create", "--name", "News"]);
    let before = place.rows(&["query", "activity", "--limit", "200"]).len();
    for arguments in [
        &["mailbox", "set", "1", "--daily-send-limit", "5"][..],
        &["tenant", "set", "Acme", "--name", "Acme"],
        &["project", "release", "News"],
        &["workspace", "set", "Main", "--name", "Main"],
        &["user", "set", "ada@example.org", "--role", "owner"],
    ] {
        run(&place.data(), arguments);
        assert_eq!(place.rows(&["query", "activity", "--limit", "200"]).len(), before, "{arguments:?}");
    }
}

#[test]
fn stats_count_the_messages_of_a_deleted_mailbox() {
    let place = Place::new();
    run(&place.data(), &["mailbox", "create", "--address", "ada@example.org"]);
    place.output(&["record", "message", "--mailbox", "1"], MESSAGE);
    run(&place.data(), &["mailbox", "delete", "1"]);
    let shown = place.run(&["stats"]);
    let workspace = &shown["workspaces"][0];
    assert_eq!((&workspace["mailboxes"], &workspace["rows"]["messages"]), (&json!(0), &json!(1)));
}

#[test]
fn an_error_is_json_where_json_is_asked_for() {
    let place = Place::new();
    for (arguments, code) in [
        (&["tenant", "show", "nobody", "--json"][..], 1),
        (&["tenant", "--json", "shwo"], 1),
        (&["--json", "--set", "foo", "stats"], 1),
        (&["health", "--json"], 2),
    ] {
        let output = place.output(arguments, "");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        let told: Value = serde_json::from_slice(&output.stderr).unwrap_or_else(|_| panic!("{output:?}"));
        for member in ["error", "code", "hint"] {
            assert!(
                told[member].as_str().is_some_and(|text| !text.is_empty()),
                "{arguments:?} {member}: {told}"
            );
        }
        assert!(output.stdout.is_empty(), "{output:?}");
    }
}

#[test]
fn each_cause_has_a_hint_of_its_own() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    for (arguments, code, hint) in [
        (&["serve", "--listen", &address][..], 74, "--listen"),
        (&["health"], 2, "no server runs here"),
        (&["backup", "/nowhere/at/all.db"], 2, "make its directory"),
        (&["bakcup"], 1, "mailtrail --help"),
        (&["tenant", "create"], 1, "`mailtrail tenant create --help`"),
        (&["query", "messages", "--limit", "0"], 1, "`mailtrail query --help`"),
        (&["tenant", "show", "nope"], 1, "`mailtrail tenant list`"),
        (&["key", "revoke", "nope"], 1, "`mailtrail key list`"),
        (&["proof", "control", "999"], 1, "`mailtrail query control`"),
        (&["proof", "activity", "nope"], 1, "`mailtrail query activity --json`"),
        (&["user", "delete", "ada@example.org"], 1, "makes another owner"),
        (&["workspace", "delete", "Main"], 1, "`mailtrail workspace set`"),
        (&["clock", "accept"], 1, "nothing is to be done"),
        (
            &["serve", "--set", "backup_every=24h", "--set", "backup_directory=/proc/none"],
            78,
            "ReadWritePaths",
        ),
    ] {
        let told = refused(&place.output(arguments, ""), code);
        let (_, told_hint) = told.split_once("hint: ").expect("a hint");
        assert!(told_hint.contains(hint), "{arguments:?}: {told}");
    }
    // Whoever was sent a proof has no log.
    run(&place.data(), &["tenant", "create", "--name", "Acme"]);
    let id = place.rows(&["query", "activity", "--limit", "1"])[0]["id"].as_str().expect("an id").to_owned();
    let proof = place.at("proof");
    std::fs::write(&proof, run(&place.data(), &["proof", "activity", &id])).expect("a file");
    let elsewhere = output(&place.at("elsewhere"), &["verify", "--proof", &proof.display().to_string()], "");
    let told = refused(&elsewhere, 1);
    assert!(told.contains("--key"), "{told}");
}

#[test]
fn health_names_what_fails_and_does_not_wait_for_a_server_that_was_stopped() {
    let place = Place::new();
    let server = Serving::start(&place.data());
    assert_eq!(place.run(&["health"])["status"], "ready");
    let pid = rustix::process::Pid::from_child(&server.process);
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).expect("a signal");
    let begun = std::time::Instant::now();
    let told = refused(&place.output(&["health"], ""), 2);
    assert!(told.contains("does not answer"), "{told}");
    assert!(begun.elapsed() < std::time::Duration::from_secs(30), "it waited");
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).expect("a signal");
    server.stop();
    // A clock that stands before the latest write.
    let ahead = "UPDATE sequence SET last_now = last_now + 3600000000";
    rusqlite::Connection::open(place.data().join("mailtrail.db"))
        .and_then(|database| database.execute(ahead, []))
        .expect("a later write");
    let server = Serving::start(&place.data());
    let told = refused(&place.output(&["health"], ""), 2);
    assert!(told.contains("clock: ") && told.contains("mailtrail clock accept"), "{told}");
    server.stop();
}

/// Events of these numbers, an hour apart.
fn events(place: &Place, n: usize) {
    let tenant = place.run(&["tenant", "create", "--name", "Acme"])["id"].clone();
    let start = mailtrail::time::Timestamp::parse("2026-04-01T00:00:00Z").expect("a time");
    let rows: String = (0..n)
        .map(|n| {
            let at = start.plus_seconds(n as i64 * 3600).to_string();
            let row = json!({
                "tenant_id": tenant, "mailbox_address": format!("{n}@example.org"), "action_taken": "blocked",
                "sent_count": 2, "limit_value": 1, "created_at": at,
            });
            format!("{row}\n")
        })
        .collect();
    let file = place.at("events.ndjson");
    std::fs::write(&file, rows).expect("a file");
    run(&place.data(), &["import", "enforcement", &file.display().to_string()]);
}

#[test]
fn query_shows_as_many_as_are_asked_for_and_says_where_there_are_more() {
    let place = Place::new();
    events(&place, 450);
    for (arguments, n, has_more) in [
        (&[][..], 50, true),
        (&["--limit", "200"], 200, true),
        (&["--limit", "430"], 430, true),
        (&["--limit", "449"], 449, true),
        (&["--limit", "450"], 450, false),
        (&["--limit", "100000"], 450, false),
        (&["--limit", "3", "--order", "asc"], 3, true),
        (&["--from", "2026-04-19", "--limit", "40"], 18, false),
        (&["--from", "2026-04-19 06:00", "--limit", "40"], 12, false),
        (&["--to", "2026-04-02", "--order", "asc"], 24, false),
        (&["--from", "2h"], 0, false),
        (&["--from", "yesterday", "--to", "today"], 0, false),
    ] {
        let asked = [&["query", "enforcement", "--json"], arguments].concat();
        let output = place.output(&asked, "");
        assert!(output.status.success(), "{arguments:?}");
        let rows: Vec<Value> = String::from_utf8_lossy(&output.stdout)
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        assert_eq!(rows.len(), n, "{arguments:?}");
        let is_asc = arguments.contains(&"asc");
        let is_in_order = |pair: &[Value]| {
            let at = |row: &Value| row["created_at"].as_str().expect("a time").to_owned();
            (at(&pair[0]) < at(&pair[1])) == is_asc
        };
        assert!(rows.windows(2).all(is_in_order), "{arguments:?}");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(told.contains("there are more"), has_more, "{arguments:?}: {told}");
    }
    for (arguments, named) in [
        (&["--limit", "0"][..], "--limit"),
        (&["--from", "last week"], "--from"),
        (&["--to", "2026-02-30"], "--to"),
        (&["--order", "up"], "order"),
    ] {
        let output = place.output(&[&["query", "enforcement"], arguments].concat(), "");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains(named) && told.contains("hint: "), "{arguments:?}: {told}");
    }
}

#[test]
fn a_list_of_controls_says_that_there_are_more_only_where_there_are() {
    let place = Place::new();
    run(&place.data(), &["retention", "set", "enforcement", "30"]);
    run(&place.data(), &["retention", "set", "enforcement", "40"]);
    let n = place.rows(&["query", "control"]).len();
    assert!(n >= 2, "{n}");
    for (limit, says_more) in [(n - 1, true), (n, false), (n + 1, false)] {
        let output = place.output(&["query", "control", "--limit", &limit.to_string()], "");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(told.contains("there are more"), says_more, "{limit} of {n}: {told}");
    }
}

#[test]
fn the_manual_page_names_every_file_of_the_data_directory_and_every_exit_code_of_the_readme() {
    let place = Place::new();
    let file = place.at("mailtrail.toml");
    std::fs::write(&file, "backup_every = \"24h\"\n").expect("a file");
    let path = file.display().to_string();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--config", &path];
    let server = Serving::spawn(mailtrail(&place.data(), &serve));
    run(&place.data(), &["checkpoint"]);
    let manual = run(&place.data(), &["man"]).replace('\\', "");
    let files = manual.split("SH FILES").nth(1).expect("its files");
    let mut n = 0;
    for file in std::fs::read_dir(place.data()).expect("a directory") {
        let name = file.expect("a file").file_name().into_string().expect("a name");
        // What stands beside the database has its name, and an end that the page says.
        let name = name.strip_prefix("mailtrail.db-").map_or(name.as_str(), |end| match end {
            "wal" => "-wal",
            _ => "-shm",
        });
        assert!(files.contains(name), "{name} is not in {files}");
        n += 1;
    }
    assert!(n > 8, "{n}");
    server.stop();
    let readme = include_str!("../../README.md");
    let codes = readme.lines().find(|line| line.starts_with("Exit codes: ")).expect("its line");
    let status = manual.split("SH \"EXIT STATUS\"").nth(1).expect("its codes");
    let numbers = codes.split(|c: char| !c.is_ascii_digit()).filter(|word| !word.is_empty());
    for number in numbers {
        assert!(status.contains(number), "{number} is not in {status}");
    }
}

#[test]
fn what_happened_to_a_message_is_asked_without_its_mailbox() {
    let place = Place::new();
    for address in ["a@example.org", "b@example.org"] {
        place.run(&["mailbox", "create", "--address", address]);
        place.output(&["record", "message", "--mailbox", address], MESSAGE);
    }
    run(&place.data(), &["mailbox", "delete", "b@example.org"]);
    for id in ["1@example.net", "<1@example.net>"] {
        let found = place.rows(&["query", "messages", "--message-id", id]);
        let to: Vec<&Value> = found.iter().map(|row| &row["recipient_address"]).collect();
        assert_eq!(to, ["b@example.org", "a@example.org"], "{id}");
    }
    assert_eq!(place.rows(&["query", "messages"]).len(), 2);
    assert_eq!(run(&place.data(), &["export", "messages"]).lines().count(), 2);
    let listed = |arguments: &[&str]| -> Vec<String> {
        let list = place.run(arguments);
        let mailboxes = list["mailboxes"].as_array().expect("mailboxes");
        mailboxes.iter().map(|one| one["primary_smtp"].as_str().expect("an address").to_owned()).collect()
    };
    assert_eq!(listed(&["mailbox", "list"]), ["a@example.org"]);
    assert_eq!(listed(&["mailbox", "list", "--deleted"]), ["b@example.org"]);
    assert_eq!(place.rows(&["query", "messages", "--mailbox", "b@example.org"]).len(), 1);
    let activities = place.rows(&["query", "activity", "--user", "ada@example.org"]);
    assert!(activities.iter().all(|row| row["user_id"].is_string()), "{activities:?}");
}

/// The lines that a command prints, as they come.
struct Lines {
    child: std::process::Child,
    lines: std::sync::mpsc::Receiver<Value>,
}

impl Lines {
    fn of(place: &Place, arguments: &[&str]) -> Self {
        let mut command = mailtrail(&place.data(), &[arguments, &["--json"]].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a command");
        let out = std::io::BufReader::new(child.stdout.take().expect("its output"));
        let (sender, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in std::io::BufRead::lines(out).map_while(Result::ok) {
                let _ = sender.send(serde_json::from_str(&line).expect("JSON"));
            }
        });
        Self { child, lines }
    }

    fn next(&self) -> String {
        let row = self.lines.recv_timeout(std::time::Duration::from_secs(60)).expect("a line");
        row["message_id"].as_str().expect("a message id").to_owned()
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn tail_shows_the_last_rows_and_goes_on_with_the_next_server() {
    let place = Place::new();
    place.run(&["mailbox", "create", "--address", "a@example.org"]);
    let record = |n: usize| {
        let message = MESSAGE.replace("1@example.net", &format!("{n}@example.net"));
        let output = place.output(&["record", "message", "--mailbox", "a@example.org"], &message);
        assert!(output.status.success(), "{output:?}");
    };
    (0..5).for_each(record);
    let told = refused(&place.output(&["tail", "messages"], ""), 1);
    assert!(told.contains("nobody serves this directory"), "{told}");
    let journal = place.at("journal");
    let serve = || {
        let mut command =
            mailtrail(&place.data(), &["serve", "--listen", "127.0.0.1:0", "--set", "log=info"]);
        let log = std::fs::File::options().create(true).append(true).open(&journal).expect("a file");
        command.stderr(log);
        Serving::spawn(command)
    };
    let server = serve();
    let tail = Lines::of(&place, &["tail", "messages", "-n", "2"]);
    assert_eq!([tail.next(), tail.next()], ["3@example.net", "4@example.net"]);
    record(5);
    assert_eq!(tail.next(), "5@example.net");
    server.stop();
    // Recorded while nobody serves.
    record(6);
    record(7);
    let server = serve();
    record(8);
    assert_eq!([tail.next(), tail.next(), tail.next()], ["6@example.net", "7@example.net", "8@example.net"]);
    // An earlier time is no earlier place, and a server that is killed is one that went away.
    server.kill();
    let server = serve();
    record(9);
    assert_eq!(tail.next(), "9@example.net");
    drop(tail);
    server.stop();
    let journal = std::fs::read_to_string(&journal).expect("the journal");
    let n_asked = journal.lines().filter(|line| line.contains("GET /v1/messages")).count();
    // The one page of the backlog.
    assert_eq!(n_asked, 1, "{journal}");
    for refused in [&["--limit", "5"][..], &["--order", "asc"], &["--to", "2026-04-01"], &["--from", "2h"]] {
        let output = place.output(&[&["tail", "messages"], refused].concat(), "");
        assert_eq!(output.status.code(), Some(1), "{refused:?}");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains("unexpected argument") && told.contains(refused[0]), "{told}");
    }
}

/// Between the tail and the server stands one that answers anything but what was asked for.
#[test]
fn tail_lives_on_over_whatever_heals_and_ends_with_what_does_not() {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixListener;

    let place = Place::new();
    place.run(&["mailbox", "create", "--address", "a@example.org"]);
    let record = |n: usize| {
        let message = MESSAGE.replace("1@example.net", &format!("{n}@example.net"));
        let output = place.output(&["record", "message", "--mailbox", "a@example.org"], &message);
        assert!(output.status.success(), "{output:?}");
    };
    record(0);
    let server = Serving::start(&place.data());
    let mut tail = Lines::of(&place, &["tail", "messages"]);
    assert_eq!(tail.next(), "0@example.net");
    let (socket, aside) = (place.data().join("mailtrail.sock"), place.data().join("aside.sock"));
    let between = |tail: &mut Lines, answers: &[&str]| {
        std::fs::rename(&socket, &aside).expect("the server's socket");
        let listener = UnixListener::bind(&socket).expect("a socket");
        listener.set_nonblocking(true).expect("no waiting");
        for answer in answers {
            let mut asked = loop {
                if let Ok((asked, _)) = listener.accept() {
                    break asked;
                }
                assert_eq!(tail.child.try_wait().expect("a state"), None, "ended before {answer:?}");
                std::thread::sleep(std::time::Duration::from_millis(10));
            };
            asked.set_nonblocking(false).expect("waiting");
            let _ = asked.read(&mut [0; 4096]);
            let _ = asked.write_all(answer.as_bytes());
        }
        std::fs::rename(&aside, &socket).expect("the server's socket");
    };
    between(
        &mut tail,
        &[
            "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 14\r\n\r\n{\"detail\":\"x\"}",
            "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}",
            "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\n{}",
            "HTTP/1.1 408 Request Timeout\r\nContent-Length: 2\r\n\r\n{}",
            "",
            "HTTP/1.1 200",
            "HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n{\"items\":[",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"ite",
            "not HTTP at all",
        ],
    );
    record(1);
    assert_eq!(tail.next(), "1@example.net");
    between(&mut tail, &["HTTP/1.1 403 Forbidden\r\nContent-Length: 15\r\n\r\n{\"error\":\"no!\"}"]);
    assert_eq!(tail.child.wait().expect("an end").code(), Some(1));
    server.stop();
}

#[test]
fn a_file_without_an_end_is_refused_and_not_held() {
    let place = Place::new();
    place.run(&["mailbox", "create", "--address", "a@example.org"]);
    for command in [
        &["verify", "--proof", "/dev/zero"][..],
        &["verify", "--pin", "/dev/zero"],
        &["mailbox", "policy", "a@example.org", "/dev/zero"],
        &["--config", "/dev/zero", "config"],
    ] {
        let output = place.output(command, "");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{command:?}");
        assert!(said.contains("/dev/zero") && said.contains("longer than 16 MiB"), "{command:?}: {said}");
        assert!(said.contains("\nhint: "), "{command:?}: {said}");
    }
    let endless = "x".repeat(1 << 20);
    let said = place.output(&["key", "create", "--name", "k", "--scope", "admin", "--key-stdin"], &endless);
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.contains("longer than 65536 bytes"), "{said}");
}

/// A quote that nothing closes makes one record of all that follows: so much is not held.
#[test]
fn a_record_that_never_ends_stops_an_import_and_what_was_before_it_is_recorded() {
    let place = Place::new();
    let tenant = place.run(&["tenant", "create", "--name", "Acme"])["id"].clone();
    let tenant = tenant.as_str().expect("an id");
    let row = |address: &str| format!("{tenant},{address},blocked,2,1\n");
    let head = "tenant_id,mailbox_address,action_taken,sent_count,limit_value\n";
    let path = place.at("events.csv");
    let bounded = ["--set", "max_body=1KiB", "--set", "max_bulk_body=1KiB"];
    let import = |text: String| {
        std::fs::write(&path, text).expect("a file");
        let path = path.display().to_string();
        place.output(&[&["import", "enforcement", &path], &bounded[..]].concat(), "")
    };
    // The whole file may be larger than a record: each begins anew.
    let many: String = (0..5000).map(|n| row(&format!("{n}@example.org"))).collect();
    let output = import(format!("{head}{many}"));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let output = import(format!("{head}{}\"{}", row("ada@example.org"), row("ben@example.org").repeat(5000)));
    let told = refused(&output, 2);
    assert!(told.contains("a record is too long; is there a quote that nothing closes?"), "{told}");
    let found = |address: &str| place.rows(&["query", "enforcement", "--address", address]).len();
    assert_eq!((found("ada@example.org"), found("ben@example.org"), found("7@example.org")), (1, 0, 1));
}

#[test]
fn a_file_that_is_none_says_so_and_a_line_says_what_is_wrong_with_it() {
    let place = Place::new();
    run(&place.data(), &["mailbox", "create", "--address", "ada@example.org", "--json"]);
    let told = |name: &str, text: &[u8]| {
        let path = place.at(name);
        std::fs::write(&path, text).expect("a file");
        let path = path.display().to_string();
        refused(&place.output(&["import", "messages", "--mailbox", "ada@example.org", &path], ""), 1)
    };
    for (name, text, expected) in [
        (
            "a.csv",
            &b"message_id;outcome\n1@x;delivered\n"[..],
            "error: the first line has semicolons between the columns; accepted: commas\n",
        ),
        (
            "a.csv",
            b"message_id\toutcome\n",
            "error: the first line has tabs between the columns; accepted: commas\n",
        ),
        ("a.csv", b"{\"message_id\":\"1@x\"}\n", "error: the first line is JSON, and names no columns\n"),
        ("a.csv", b"message_id,outcome\n1@x\n", "line 2: has 1 cells, and the first line names 2 columns\n"),
        ("a.csv", b"message_id,outcome\n1@x,\xff\n", "line 2: the cell 2 is not UTF-8\n"),
        (
            "a.ndjson",
            b"{\"message_id\":\"1@x\",\"outcome\":\"delivered\"}\n\nnope\n",
            "line 3: is not acceptable JSON: expected ident at column 2\n",
        ),
        ("a.ndjson", b"[1]\n", "line 1: a list is not an object\n"),
        ("a.ndjson", b"{}\n", "line 1: message_id: is required\n"),
    ] {
        let told = told(name, text);
        assert!(told.contains(expected), "{told}");
    }
}
