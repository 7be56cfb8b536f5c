//! What a browser may do with an answer: show it, and nothing else. Every answer says so, refusals of the server
//! itself included.

use mailtrail::http::client;
use mailtrail::http::{Method, SECURITY_HEADERS};
use mailtrail::routes::TABLES;

use crate::support::{Answer, OWNER, Server};

const EXPECTED: [(&str, &str); 5] = [
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
];

#[track_caller]
fn assert_guarded(headers: &[(String, String)], what: &str) {
    for (name, expected) in EXPECTED {
        let given: Vec<&str> = headers
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect();
        assert_eq!(given, [expected], "{what}: {name}");
    }
}

/// The status and the headers of an answer as it came over the wire.
fn read_head(bytes: &[u8]) -> (u16, Vec<(String, String)>) {
    let text = String::from_utf8_lossy(bytes);
    let head = text.split("\r\n\r\n").next().unwrap_or_default();
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or_default();
    let headers = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    (status, headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

#[test]
fn every_answer_of_every_route_is_guarded() {
    let server = Server::start();
    let cookie = server.login(OWNER);
    let some_path = |path: &str| {
        let segments = path.split('/').map(|part| if part.starts_with('{') { "1" } else { part });
        segments.collect::<Vec<_>>().join("/")
    };
    for route in TABLES.iter().copied().flatten() {
        // Carries no data, and is asked for again and again: a browser may keep it, and asks whether it is right.
        if route.path == "/openapi.json" {
            continue;
        }
        let path = some_path(route.path);
        for method in [route.method, Method::Head, Method::Delete] {
            let request = || server.request(method, &path);
            for answer in
                [request().send(), request().key(&server.key).send(), request().cookie(&cookie).send()]
            {
                let what = format!("{} {path}: {}", method.as_str(), answer.status);
                assert_guarded(&answer.headers, &what);
            }
        }
    }
    // Streams, what was kept for a retry, and what comes over the socket.
    let csv = server.get("/v1/enforcement/events?format=csv").status(200);
    assert_guarded(&csv.headers, "a stream");
    let tenant = || {
        let request = server.request(Method::Post, "/v1/tenants").key(&server.key);
        request.header("idempotency-key", "once").body("application/json", r#"{"name":"Acme"}"#).send().good()
    };
    tenant();
    let replayed = tenant();
    assert_eq!(replayed.header("idempotency-replayed"), Some("true"));
    assert_guarded(&replayed.headers, "a replay");
    let answer =
        client::call(&server.config().socket(), Method::Get, "/nowhere", &[], b"").expect("an answer");
    assert_guarded(&answer.headers, "the socket");
}

#[test]
fn every_refusal_of_the_server_itself_is_guarded() {
    let server = Server::start_with(&[("max_body", "1KiB")]);
    let (long, login) = ("x".repeat(20_000), "/api/v1/auth/login");
    for (request, expected) in [
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("\x16\x03\x01 is TLS".to_owned(), 400),
        (format!("POST {login} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"), 400),
        (format!("POST {login} HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n{long}"), 413),
        (format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), 414),
        ("POST / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n".to_owned(), 417),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nA: {long}\r\n\r\n"), 431),
        ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 501),
        ("GET / HTTP/3.0\r\nHost: a\r\n\r\n".to_owned(), 505),
    ] {
        let (status, headers) = read_head(&server.raw(request.as_bytes()));
        assert_eq!(status, expected, "{request:.60}");
        assert_guarded(&headers, &format!("{status}"));
    }
}

#[test]
fn only_who_came_over_https_is_told_to_stay_there() {
    let ask = |server: &Server, proto: Option<&str>| -> Answer {
        let request = server.request(Method::Get, "/healthz");
        proto
            .map_or_else(
                || server.request(Method::Get, "/healthz"),
                |p| request.header("x-forwarded-proto", p),
            )
            .send()
    };
    let behind = Server::start_with(&[("trusted_proxies", "127.0.0.1")]);
    let stranger = Server::start_with(&[("trusted_proxies", "10.0.0.0/8")]);
    for (server, proto, expected) in [
        (&behind, None, None),
        (&behind, Some("http"), None),
        (&behind, Some("https"), Some("max-age=31536000")),
        (&stranger, Some("https"), None),
    ] {
        assert_eq!(ask(server, proto).header("strict-transport-security"), expected, "{proto:?}");
    }
    // A refusal of a route, too.
    let refused = behind.request(Method::Get, "/nowhere").header("x-forwarded-proto", "https").send();
    assert_eq!(
        (refused.status, refused.header("strict-transport-security")),
        (404, Some("max-age=31536000"))
    );
}

#[test]
fn what_is_expected_here_is_what_is_sent() {
    assert_eq!(EXPECTED, SECURITY_HEADERS);
}
