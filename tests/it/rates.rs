//! How many requests a key and an address may make: 429 in each vendor's words, and who is never refused.

use mailtrail::http::Method;
use serde_json::{Value, json};

use crate::support::{Answer, OWNER, Server};

/// One request, and no other for an hour.
const ONE: &str = "1/h";

/// A request of this address, as a trusted proxy tells it.
fn from(server: &Server, address: &str, path: &str) -> Answer {
    server.request(Method::Get, path).header("x-forwarded-for", address).send()
}

#[track_caller]
fn assert_limited(answer: &Answer, body: &Value) {
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("3600")), "{answer:?}");
    assert_eq!(answer.json(), *body);
}

#[test]
fn a_key_past_its_rate_is_told_so_in_each_vendors_words() {
    let server = Server::start_with(&[("max_requests_per_key", ONE)]);
    let mailbox = server.add_mailbox(&server.workspace, "a@b.example", None, None);
    let project = server.add_project(&server.workspace, "Newsletter");
    server.get("/v1/enforcement/events").status(200);
    let message = "too many requests; this API key may make 1/h";
    assert_limited(
        &server.get("/v1/enforcement/events"),
        &json!({ "detail": { "message": message, "code": "too_many_requests" } }),
    );
    assert_limited(&server.get(&format!("/v1/mailboxes/{mailbox}/audit-logs")), &json!({ "error": message }));
    assert_limited(
        &server.post(&format!("/api/v1/projects/{project}/audit-log"), &json!({})),
        &json!({ "error": message }),
    );
    assert_limited(
        &server.get("/metrics"),
        &json!({
            "type": "about:blank", "title": "Too Many Requests", "status": 429, "detail": message,
            "code": "too_many_requests",
        }),
    );
    let other = server.add_key(&server.workspace, &["enforcement:read"]);
    server.request(Method::Get, "/v1/enforcement/events").key(&other).send().status(200);
    server.request(Method::Get, "/healthz").send().status(200);
    server.operator(Method::Get, "/v1/enforcement/events", &Value::Null).status(200);
}

#[test]
fn a_person_has_a_rate_over_all_sessions() {
    let server = Server::start_with(&[("max_requests_per_key", ONE)]);
    let (first, second) = (server.login(OWNER), server.login(OWNER));
    server.request(Method::Get, "/api/v1/me").cookie(&first).send().status(200);
    for cookie in [first, second] {
        let answer = server.request(Method::Get, "/api/v1/me").cookie(&cookie).send();
        assert_limited(&answer, &json!({ "error": "too many requests; this account may make 1/h" }));
    }
}

#[test]
fn an_address_without_a_key_has_a_smaller_rate_that_no_key_shares() {
    let server = Server::start_with(&[("max_requests_per_address", ONE)]);
    let message = "too many requests; this address may make 1/h";
    let refused = json!({ "detail": { "message": message, "code": "too_many_requests" } });
    let events = "/v1/enforcement/events";
    from(&server, "203.0.113.7", events).status(401);
    assert_limited(&from(&server, "203.0.113.7", events), &refused);
    assert_limited(&from(&server, "198.51.100.1, 203.0.113.7", events), &refused);
    assert_eq!(from(&server, "203.0.113.7", "/readyz").status, 429);
    from(&server, "203.0.113.8", events).status(401);
    // A guess that is wrong is nobody's key; one that is right is never held up by those who share its address.
    let guess = |key: &str| {
        server.request(Method::Get, events).key(key).header("x-forwarded-for", "203.0.113.7").send()
    };
    assert_limited(&guess("mt_live_000000000000000000000000000000000000000000000000"), &refused);
    guess(&server.key).status(200);
    // All of a /64 are one.
    from(&server, "2001:db8::1", events).status(401);
    assert_limited(&from(&server, "2001:db8::ffff:1", events), &refused);
    from(&server, "2001:db8:0:1::1", events).status(401);
    // The proxy's own requests.
    for _ in 0..3 {
        server.request(Method::Get, events).send().status(401);
    }
    let metrics = server.get("/metrics").body_text();
    assert!(metrics.contains("mailtrail_http_limited_total{by=\"address\"} 5\n"), "{metrics}");
}

#[test]
fn a_client_that_says_it_is_another_is_not_believed_unless_it_is_a_proxy() {
    let server = Server::start_with(&[("max_requests_per_address", ONE), ("trusted_proxies", "192.0.2.1")]);
    from(&server, "203.0.113.7", "/readyz").status(200);
    assert_eq!(from(&server, "203.0.113.8", "/readyz").status, 429, "both came from 127.0.0.1");
}

#[test]
fn unlimited_is_unlimited() {
    let server = Server::start_with(&[("max_requests_per_address", "unlimited"), ("trusted_proxies", "")]);
    for _ in 0..300 {
        server.request(Method::Get, "/v1/enforcement/events").send().status(401);
    }
}

/// A flood sent ahead costs the server as much as one that waits for its answers: it ends with the first refusal.
#[test]
fn a_refusal_ends_the_connection_and_what_was_sent_ahead_on_it() {
    let server = Server::start_with(&[("max_requests_per_address", ONE), ("trusted_proxies", "")]);
    for path in ["/healthz", "/no/such/route"] {
        let answers = server.raw(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").repeat(50).as_bytes());
        let text = String::from_utf8_lossy(&answers);
        let n_ok = if path == "/healthz" { 1 } else { 0 };
        assert_eq!(text.matches("HTTP/1.1 200 OK").count(), n_ok, "{text}");
        assert_eq!(text.matches("HTTP/1.1 ").count(), n_ok + 1, "{text}");
        assert!(text.contains("HTTP/1.1 429 ") && text.contains("\r\nConnection: close\r\n"), "{text}");
    }
}

/// The proxy itself is not limited; whoever it speaks for is, also where it does not say who that is.
#[test]
fn those_whom_a_proxy_does_not_name_are_limited_together() {
    let server = Server::start_with(&[("max_requests_per_address", ONE)]);
    let body = json!({
        "type": "about:blank", "title": "Too Many Requests", "status": 429,
        "detail": "too many requests; this address may make 1/h", "code": "too_many_requests",
    });
    from(&server, "unknown", "/healthz").status(200);
    for name in ["unknown", "nonsense", "_hidden", "", ",", "203.0.113.7, unknown", "unknown, 127.0.0.1"] {
        assert_limited(&from(&server, name, "/healthz"), &body);
    }
    let two = server.request(Method::Get, "/healthz").header("x-forwarded-for", "203.0.113.7");
    assert_limited(&two.header("x-forwarded-for", "unknown").send(), &body);
    from(&server, "203.0.113.7", "/healthz").status(200);
    for _ in 0..3 {
        server.request(Method::Get, "/healthz").send().status(200);
    }
    // Nor is a guess at a password one of the proxy's.
    let server = Server::start();
    let login = json!({ "email": OWNER, "password": "not the right password" });
    let guess = |name: &str| {
        server
            .request(Method::Post, "/api/v1/auth/login")
            .header("x-forwarded-for", name)
            .json(&login)
            .send()
            .status
    };
    assert_eq!((0..6).map(|n| guess(&format!("_{n}"))).filter(|status| *status == 401).count(), 6);
    assert_eq!(guess("unknown"), 429);
    assert_eq!(guess("203.0.113.7"), 401);
}
