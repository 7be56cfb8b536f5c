//! What a client may choose of how things are sent: gzip in both directions, the media type of a list; and what it is
//! told when it asks first (OPTIONS), also by a page of another origin.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use mailtrail::http::Method;
use mailtrail::routes::TABLES;
use serde_json::{Value, json};

use crate::support::{Answer, OWNER, Server};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("a write to memory");
    encoder.finish().expect("a write to memory")
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    MultiGzDecoder::new(bytes).read_to_end(&mut plain).expect("whole gzip");
    plain
}

/// A server with a mailbox whose log has this many entries.
fn with_messages(n: usize) -> (Server, String) {
    let server = Server::start_with(&[("max_body", "64KiB"), ("max_bulk_body", "1MiB")]);
    let mailbox = server.add_mailbox(&server.workspace, "sales@example.org", None, None);
    let path = format!("/v1/mailboxes/{mailbox}/audit-logs");
    let entry = |n: usize| json!({ "message_id": format!("m{n}@example.net"), "outcome": "delivered", "reason": "x".repeat(200) });
    let entries: Vec<Value> = (0..n).map(entry).collect();
    for some in entries.chunks(1000) {
        server.post(&path, &json!({ "items": some })).status(201);
    }
    (server, path)
}

#[test]
fn a_body_may_come_as_gzip_and_is_held_to_the_bounds_of_a_plain_one() {
    let (server, path) = with_messages(0);
    let post = |coding: &str, media_type: &str, body: Vec<u8>| {
        let request = server.request(Method::Post, &path).key(&server.key);
        request.header("content-encoding", coding).body(media_type, body).send()
    };
    let entry = |id: &str| json!({ "message_id": id, "outcome": "delivered" }).to_string();
    post("gzip", "application/json", gzip(entry("a@example.net").as_bytes())).status(201);
    post("X-GZip", "application/json", gzip(entry("b@example.net").as_bytes())).status(201);
    post("identity", "application/json", entry("c@example.net").into()).status(201);
    let lines: String = (0..500).map(|n| entry(&format!("l{n}@example.net")) + "\n").collect();
    post("gzip", "application/x-ndjson", gzip(lines.as_bytes())).status(201);
    let n_recorded = || server.get(&format!("{path}?format=ndjson")).good().body_text().lines().count();
    assert_eq!(n_recorded(), 503);

    // More than the route takes, once it is unfolded: 1 MiB of a few hundred bytes.
    let bomb = gzip(&vec![b' '; (1 << 20) + 1]);
    assert!(bomb.len() < 4096);
    let refused = post("gzip", "application/json", bomb).status(413);
    assert!(refused.body_text().contains("unfolds to more than 1048576 bytes"), "{refused:?}");
    for (what, body) in [
        ("plain", entry("d@example.net").into_bytes()),
        ("cut", gzip(entry("d@example.net").as_bytes())[..20].to_vec()),
    ] {
        let refused = post("gzip", "application/json", body).status(400);
        assert!(refused.body_text().contains("not gzip"), "{what}: {refused:?}");
    }
    for coding in ["br", "deflate", "gzip, gzip", "zstd"] {
        let refused = post(coding, "application/json", entry("d@example.net").into()).status(415);
        assert_eq!(refused.header("accept-encoding"), Some("gzip"), "{coding}");
    }
    // There the media type is what is wrong, and no coding would mend it.
    let refused = server.request(Method::Post, &path).key(&server.key).body("text/plain", "x").send();
    assert_eq!(refused.status(415).header("accept-encoding"), None);
    // Who has no key is told that first, and nothing of theirs is unfolded.
    let stranger = server.request(Method::Post, &path).header("content-encoding", "br");
    stranger.body("application/json", "x").send().status(401);
    assert_eq!(n_recorded(), 503);
}

/// The head and the body of an answer as they came over the wire; chunks are put together.
fn sent(server: &Server, method: &str, target: &str, fields: &str) -> (String, Vec<u8>) {
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {}\r\n{fields}\r\n",
        server.key
    );
    let bytes = server.raw(request.as_bytes());
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let mut rest = &bytes[end..];
    if !head.contains("transfer-encoding: chunked") || method == "HEAD" {
        return (head, rest.to_vec());
    }
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|two| two == b"\r\n").expect("a chunk");
        let size =
            std::str::from_utf8(&rest[..line]).ok().and_then(|hex| usize::from_str_radix(hex, 16).ok());
        let size = size.expect("a size");
        if size == 0 {
            return (head, body);
        }
        body.extend_from_slice(&rest[line + 2..line + 2 + size]);
        rest = &rest[line + 2 + size + 2..];
    }
}

#[test]
fn a_list_goes_as_gzip_to_who_takes_it_and_says_the_same() {
    let (server, path) = with_messages(3000);
    // A page in one piece, a page in several, whole results in several.
    for target in [
        format!("{path}?limit=20"),
        format!("{path}?limit=200"),
        format!("{path}?format=csv"),
        format!("{path}?format=ndjson"),
    ] {
        let (head, plain) = sent(&server, "GET", &target, "");
        assert!(!head.contains("content-encoding"), "{head}");
        assert!(head.contains("vary: accept, accept-encoding\r\n"), "{head}");
        let (head, folded) = sent(&server, "GET", &target, "Accept-Encoding: br, gzip;q=0.5\r\n");
        assert!(head.contains("content-encoding: gzip\r\n"), "{head}");
        assert!(head.contains("vary: accept, accept-encoding\r\n"), "{head}");
        assert!(folded.len() * 4 < plain.len(), "{target}: {} of {}", folded.len(), plain.len());
        assert_eq!(gunzip(&folded), plain, "{target}");
        for refused in ["gzip;q=0", "br", "identity"] {
            let (head, _) = sent(&server, "GET", &target, &format!("Accept-Encoding: {refused}\r\n"));
            assert!(!head.contains("content-encoding"), "{refused}: {head}");
        }
        let (head, nothing) = sent(&server, "HEAD", &target, "Accept-Encoding: gzip\r\n");
        assert!(head.contains("content-encoding: gzip\r\n") && nothing.is_empty(), "{head}");
    }
    // What is short is not worth it; what has a validator is of its bytes.
    for target in [format!("{path}?limit=1&from=2100-01-01T00:00:00Z"), "/openapi.json".to_owned()] {
        let (head, _) = sent(&server, "GET", &target, "Accept-Encoding: gzip\r\n");
        assert!(!head.contains("content-encoding"), "{target}: {head}");
    }
}

#[test]
fn the_most_welcome_format_of_a_list_is_sent() {
    let (server, path) = with_messages(1);
    for (fields, expected) in [
        ("", "application/json"),
        ("Accept: text/csv\r\n", "text/csv"),
        ("Accept: text/csv;q=0, application/json\r\n", "application/json"),
        ("Accept: application/json;q=0.1\r\nAccept: text/csv;q=0.2\r\n", "text/csv"),
        ("Accept: text/html, */*;q=0.1\r\n", "application/json"),
        ("Accept: application/x-ndjson, application/json;q=0.9\r\n", "application/x-ndjson"),
        ("Accept: image/png\r\n", "application/json"),
    ] {
        let (head, _) = sent(&server, "GET", &path, fields);
        assert!(head.contains(&format!("content-type: {expected}")), "{fields}: {head}");
    }
}

/// The methods of `Allow`.
fn allowed(answer: &Answer) -> Vec<&str> {
    answer.header("allow").unwrap_or_default().split(", ").collect()
}

#[test]
fn whoever_asks_first_is_told_what_a_path_takes() {
    let server = Server::start_with(&[("max_requests_per_address", "10000/s")]);
    for route in TABLES.iter().copied().flatten() {
        let segments = route.path.split('/').map(|part| if part.starts_with('{') { "1" } else { part });
        let path = segments.collect::<Vec<_>>().join("/");
        let answer = server.request(Method::Options, &path).send().status(204);
        let methods = allowed(&answer);
        assert!(
            methods.contains(&route.method.as_str()) && methods.contains(&"OPTIONS"),
            "{path}: {methods:?}"
        );
        assert_eq!(methods.contains(&"GET"), methods.contains(&"HEAD"), "{path}");
        // Nobody has configured an origin.
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    server.request(Method::Options, "/v1/nothing").send().status(404);
    let whole = server.raw(b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let whole = String::from_utf8_lossy(&whole);
    assert!(whole.starts_with("HTTP/1.1 204 ") && whole.contains("Allow: DELETE, GET,"), "{whole}");
}

#[test]
fn a_page_of_a_configured_origin_calls_the_api_with_a_key_and_never_with_a_cookie() {
    let server = Server::start_with(&[("cors_origins", "https://desk.example.org,http://localhost:3000")]);
    let ours = "https://desk.example.org";
    let path = "/v1/enforcement/events";
    let preflight = |origin: &str| {
        let request = server.request(Method::Options, path).header("origin", origin);
        request.header("access-control-request-method", "POST").send().status(204)
    };
    let answer = preflight(ours);
    assert_eq!(answer.header("access-control-allow-origin"), Some(ours));
    assert!(answer.header("access-control-allow-methods").is_some_and(|methods| methods.contains("POST")));
    let headers = answer.header("access-control-allow-headers").unwrap_or_default().to_ascii_lowercase();
    for needed in ["authorization", "content-type", "idempotency-key", "mailtrail-workspace"] {
        assert!(headers.contains(needed), "{headers}");
    }
    assert_eq!(preflight("http://localhost:3000").header("vary"), Some("Origin"));
    for foreign in [
        "https://desk.example.org.evil.example",
        "https://DESK.example.org",
        "null",
        "http://desk.example.org",
    ] {
        let answer = preflight(foreign);
        assert_eq!(answer.header("access-control-allow-origin"), None, "{foreign}");
        assert_eq!(answer.header("vary"), Some("Origin"), "{foreign}");
    }
    // The page reads what it is answered, refusals too.
    let get = |key: &str| server.request(Method::Get, path).header("origin", ours).key(key).send();
    for answer in [get(&server.key).status(200), get("mt_live_unknown").status(401)] {
        assert_eq!(answer.header("access-control-allow-origin"), Some(ours), "{answer:?}");
        assert!(answer.header("access-control-expose-headers").is_some_and(|names| names.contains("Link")));
        assert_eq!(answer.header("access-control-allow-credentials"), None);
    }
    let raw = format!("GET {path}? HTTP/3.0\r\nHost: a\r\nOrigin: {ours}\r\n\r\n");
    let refused = String::from_utf8_lossy(&server.raw(raw.as_bytes())).into_owned();
    assert!(refused.starts_with("HTTP/1.1 505 "), "{refused}");
    // A person's session is for our own pages.
    let cookie = server.login(OWNER);
    let out = server.request(Method::Post, "/api/v1/auth/logout").cookie(&cookie);
    out.header("origin", ours).send().status(403);
}

#[test]
fn bodies_are_read_as_editors_and_other_programs_write_them() {
    let server = Server::start();
    let project = server.add_project(&server.workspace, "Site");
    let path = format!("/api/v1/projects/{project}/audit-log");
    let post = |media_type: &str, body: &str| {
        server.request(Method::Post, &path).key(&server.key).body(media_type, body).send()
    };
    let entry = |metadata: &str| {
        format!(r#"{{"user_id":"01HZX3YV5N8Q2R4T6W8Y0A2C4E","action":"smtp.update","metadata":{metadata}}}"#)
    };
    post("application/json", &format!("\u{feff}{}", entry("{}"))).status(201);
    post("application/json", &format!("\u{feff}{{\"entries\":[{}]}}", entry("{}"))).status(201);
    post("application/x-ndjson", &format!("\u{feff}{}\r\n{}\r\n", entry("{}"), entry("{}"))).status(201);
    // Within, it is no mark.
    post("application/json", &format!("{{\u{feff}{}", &entry("{}")[1..])).status(400);

    // A number is kept as it was given or refused, never rounded in silence.
    for kept in [
        "18446744073709551615",
        "-9223372036854775808",
        "9007199254740993",
        "1.5e300",
        "18446744073709551616.0",
        "1e30",
    ] {
        post("application/json", &entry(&format!(r#"{{"n":{kept}}}"#))).status(201);
    }
    for refused in ["18446744073709551616", "-9223372036854775809", "123456789012345678901234567890"] {
        for body in [
            entry(&format!(r#"{{"text":"\" 1","n":{refused}}}"#)),
            format!(r#"{{"entries":[{},{}]}}"#, entry("{}"), entry(&format!(r#"{{"n":[{refused}]}}"#))),
        ] {
            let answer = post("application/json", &body).status(400);
            assert!(answer.body_text().contains("would be rounded"), "{answer:?}");
        }
        // In a text it is a text.
        post("application/json", &entry(&format!(r#"{{"n":"{refused}","m":1e19}}"#))).status(201);
    }
}

#[test]
fn a_number_in_a_path_has_one_spelling() {
    let server = Server::start();
    let mailbox = server.add_mailbox(&server.workspace, "sales@example.org", None, None);
    let status = |id: &str| server.get(&format!("/v1/mailboxes/{id}/audit-logs")).status;
    assert_eq!(status(&mailbox.to_string()), 200);
    for other in [
        format!("0{mailbox}"),
        format!("+{mailbox}"),
        format!("%2B{mailbox}"),
        format!("{mailbox}%20"),
        "-1".into(),
    ] {
        assert_eq!(status(&other), 404, "{other}");
        let admin = server.operator(Method::Get, &format!("/api/v1/admin/mailboxes/{other}"), &Value::Null);
        assert_eq!(admin.status, 404, "{other}");
    }
}

#[test]
fn a_later_minor_version_is_answered_as_1_1() {
    let server = Server::start();
    for (version, expected) in [("1.2", 200), ("1.9", 200), ("2.0", 505), ("3.1", 505)] {
        let request = format!("\r\nGET /healthz HTTP/{version}\r\nHost: a\r\nConnection: close\r\n\r\n");
        let answer = server.raw(request.as_bytes());
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{version}: {answer}");
    }
}
