//! Lists of owners: a page at a time, with a count of all of them, in the vendor's envelope.

use std::process::{Command, Stdio};

use mailtrail::http::Method;
use serde_json::{Value, json};

use crate::support::{Answer, OWNER, Server, edit_rows};

/// A list: where, the word of its rows, whether the envelope has a count, and its other members.
type List = (String, &'static str, bool, &'static [&'static str]);

/// A server with a few of everything, and the lists that show them.
fn with_a_few() -> (Server, Vec<List>) {
    let server = Server::start();
    server.add_workspace("Other", "owner@example.org");
    let tenant = server.add_tenant(&server.workspace, "Acme");
    for n in 0..3 {
        server.add_tenant(&server.workspace, &format!("Tenant {n}"));
        server.add_mailbox(&server.workspace, &format!("m{n}@example.org"), Some(&tenant), None);
        server.add_mailbox(&server.workspace, &format!("n{n}@example.org"), None, None);
        server.add_project(&server.workspace, &format!("Site {n}"));
        server.add_key(&server.workspace, &["messages:read"]);
        server.add_user(&server.workspace, &format!("ada{n}@example.org"), "auditor");
        server.invite(&server.workspace, &format!("grace{n}@example.org"), "auditor");
        server.add_workspace(&format!("Workspace {n}"), &format!("alan{n}@example.org"));
        server.operator(Method::Post, "/api/v1/admin/licenses", &json!({ "holder": "Main" })).good();
    }
    let admin = |list: &str| format!("/api/v1/admin/{list}?workspace_id={}", server.workspace);
    let lists = vec![
        ("/api/v1/admin/workspaces?".to_owned(), "workspaces", true, &[][..]),
        ("/api/v1/admin/licenses?".to_owned(), "licenses", true, &["in_force"]),
        (admin("tenants"), "tenants", true, &[]),
        (admin("mailboxes"), "mailboxes", true, &[]),
        (admin("projects"), "projects", true, &[]),
        (admin("keys"), "keys", true, &[]),
        (admin("users"), "users", true, &[]),
        (admin("invitations"), "invitations", true, &[]),
        ("/v1/tenants?".to_owned(), "tenants", true, &[]),
        (format!("/v1/tenants/{tenant}/mailboxes?"), "mailboxes", true, &[]),
        (format!("/api/v1/workspaces/{}/members?", server.workspace), "members", false, &[]),
    ];
    (server, lists)
}

/// As the operator, a key or a person: whoever the list is for.
fn get(server: &Server, path: &str) -> Answer {
    let request = server.request(Method::Get, path);
    if path.starts_with("/api/v1/workspaces") {
        request.cookie(&server.login(OWNER)).send()
    } else if path.starts_with("/v1/") {
        request.key(&server.key).send()
    } else {
        server.operator(Method::Get, path, &Value::Null)
    }
}

/// In the dialect of the route.
#[track_caller]
fn refused(answer: &Answer) {
    assert!(matches!(answer.status, 400 | 422), "{answer:?}");
}

#[test]
fn every_list_of_owners_goes_on_where_a_page_ended_and_counts_all() {
    let (server, lists) = with_a_few();
    for (path, word, has_count, others) in lists {
        let whole = get(&server, &path).status(200).json();
        let rows = whole[word].as_array().expect("rows").clone();
        assert!(rows.len() >= 3, "{path}: {whole}");
        // What is ours stands after what is the vendor's.
        let mut names: Vec<&str> = whole.as_object().expect("an object").keys().map(String::as_str).collect();
        names.retain(|name| *name != "tenant_id");
        let count = has_count.then_some("count");
        let expected: Vec<&str> = [word].into_iter().chain(count).chain(others.iter().copied()).collect();
        assert_eq!(names, [&expected[..], &["next_cursor"]].concat(), "{path}");
        assert_eq!(whole["next_cursor"], Value::Null, "{path}");

        for limit in 1..=rows.len() {
            let (mut walked, mut cursor) = (Vec::new(), String::new());
            loop {
                let page = get(&server, &format!("{path}&limit={limit}{cursor}")).status(200).json();
                let shown = page[word].as_array().expect("rows");
                assert!(!shown.is_empty() && shown.len() <= limit, "{path}: {page}");
                walked.extend(shown.iter().cloned());
                if has_count {
                    assert_eq!(page["count"], rows.len(), "{path}: all are counted, not those of a page");
                }
                let text = match &page["next_cursor"] {
                    Value::Null => break,
                    Value::String(text) => text.clone(),
                    number => number.to_string(),
                };
                cursor = format!("&cursor={text}");
            }
            assert_eq!(walked, rows, "{path}, {limit} at a time");
        }
        // What is outside of the bounds counts as the nearest, as in the other lists.
        for (limit, n) in [("0", 1), ("-3", 1), ("10001", rows.len())] {
            let page = get(&server, &format!("{path}&limit={limit}")).status(200).json();
            assert_eq!(page[word].as_array().map(Vec::len), Some(n), "{path}");
        }
        for cursor in ["nobody", "0190b3c8-5e4a-7cc1-8a1d-2f6f0c9b7e11x", "%20"] {
            refused(&get(&server, &format!("{path}&cursor={cursor}")));
        }
        refused(&get(&server, &format!("{path}&offset=1")));
    }
}

#[test]
fn a_cursor_of_another_workspace_opens_nothing() {
    let server = Server::start();
    let (other, _) = server.add_workspace("Other", "owner@example.org");
    let theirs = [
        ("/v1/tenants", server.add_tenant(&other, "Theirs")),
        ("/api/v1/admin/tenants", server.add_tenant(&other, "Theirs too")),
        ("/api/v1/admin/projects", server.add_project(&other, "Theirs")),
        ("/api/v1/admin/users", server.add_user(&other, "theirs@example.org", "auditor").text("id")),
        ("/api/v1/admin/workspaces", other),
    ];
    for (path, cursor) in theirs {
        // The same as of what nobody has.
        let of_nobody = "0190b3c8-5e4a-7cc1-8a1d-2f6f0c9b7e11";
        let answers = [cursor.as_str(), of_nobody].map(|cursor| {
            let path = format!("{path}?cursor={cursor}");
            let text = server.get(&path).status(422).body_text();
            text.replace(cursor, "it")
        });
        assert!(answers[0].contains("it\\\" is not a cursor"), "{answers:?}");
        assert_eq!(answers[0], answers[1], "{path}");
    }
}

#[test]
fn a_page_without_a_limit_ends_at_so_many_bytes_and_the_command_line_shows_all() {
    const N: usize = 12_000;
    let mut server = Server::start();
    let tenant = server.add_tenant(&server.workspace, "Acme");
    server.stop();
    let name = "x".repeat(200);
    edit_rows(
        &server.database(),
        &format!(
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {N})
             INSERT INTO mailboxes (workspace, tenant, address, name, created_at)
             SELECT workspace, id, 'm' || n || '@example.org', '{name}', created_at FROM n, tenants"
        ),
    );
    server.restart();
    let path = format!("/v1/tenants/{tenant}/mailboxes");
    let (mut n_rows, mut cursor, mut n_pages) = (0, String::new(), 0);
    loop {
        let answer = server.get(&format!("{path}{cursor}")).status(200);
        assert!(answer.body_text().len() < 4 * 1024 * 1024 + 2048);
        let page = answer.json();
        assert_eq!(page["count"], N);
        n_rows += page["mailboxes"].as_array().expect("rows").len();
        n_pages += 1;
        if page["next_cursor"].is_null() {
            break;
        }
        cursor = format!("?cursor={}", page["next_cursor"]);
    }
    assert_eq!(n_rows, N);
    assert!(n_pages > 1);

    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailtrail"));
        command.arg("--data").arg(server.config().data).args(arguments).stdin(Stdio::null());
        let output = command.output().expect("a command");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    let listed: Value = serde_json::from_str(&run(&["mailbox", "list", "--json"])).expect("JSON");
    assert_eq!(listed["mailboxes"].as_array().map(Vec::len), Some(N));
    let last: Value =
        serde_json::from_str(&run(&["mailbox", "show", &format!("m{N}@example.org"), "--json"]))
            .expect("JSON");
    assert_eq!(last["primary_smtp"], format!("m{N}@example.org"));
}
