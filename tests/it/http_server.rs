//! The real server on port 0 with a small service behind it, met with raw bytes.
//!
//! A test may wait for a deadline, with a short one in `Limits`; none asserts that something was fast. What has to
//! be in flight at a given moment is held there by the service (`/hold`) and not by a sleep.

use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use mailtrail::error::{Error, Result};
use mailtrail::http::framing::{self, BodyReader, HeadLimits};
use mailtrail::http::server::{Counters, Limits, Listeners, Server};
use mailtrail::http::{Admitted, Body, Holder, Method, Refused, Request, Response, Service, client};
use serde_json::Value;

/// Longer than anything here takes; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Echo {
    /// Requests that reached the handler.
    seen: AtomicUsize,
    latch: Arc<Latch>,
}

/// Where handlers and streams are held.
#[derive(Default)]
struct Latch {
    held: Mutex<Held>,
    changed: Condvar,
}

#[derive(Default)]
struct Held {
    entered: usize,
    released: bool,
}

impl Service for Echo {
    fn admit(&self, head: Request) -> Result<Admitted<'_>, Response> {
        if head.path == "/closed" {
            return Err(Response::new(401, "text/plain", "closed"));
        }
        let body_limit = match head.path.as_str() {
            "/small" => 10,
            "/large" => 64 * 1024 * 1024,
            _ => 1024 * 1024,
        };
        let is_ready = head.path == "/ready";
        let holder = match head.header("x-caller") {
            Some(name) => Holder::Known(name.to_owned()),
            None => Holder::Stranger(None),
        };
        let answer = Box::new(move |body| self.answer(Request { body, ..head }));
        Ok(Admitted { body_limit, holder, is_brief: is_ready, answer })
    }

    fn refuse(&self, refused: &Refused<'_>) -> Response {
        let (path, error) = (refused.path, refused.error);
        let status = match error {
            Error::Http { status, .. } => *status,
            Error::Unavailable { .. } => 503,
            _ => 500,
        };
        Response::new(status, "text/plain", format!("{} for {path:?}", error.code()))
    }
}

impl Echo {
    fn answer(&self, request: Request) -> Response {
        self.seen.fetch_add(1, Ordering::SeqCst);
        let pieces = |n: usize| (0..n).map(|at| Ok(format!("{at:07}\n").into_bytes()));
        match request.path.as_str() {
            "/panic" => panic!("as the test wanted"),
            "/hold" => {
                self.latch.hold();
                Response::new(200, "text/plain", "released")
            }
            "/stream" => stream(pieces(10_000)),
            "/held-stream" => {
                let latch = Arc::clone(&self.latch);
                stream((0..2).map(move |n| {
                    if n == 1 {
                        latch.hold();
                    }
                    Ok(vec![b'x'; 32 * 1024])
                }))
            }
            "/later-held-stream" => {
                let latch = Arc::clone(&self.latch);
                stream((0..3).map(move |n| {
                    match n {
                        1 => return Err(Error::Unavailable { retry_after: 0, message: "not now".into() }),
                        2 => latch.hold(),
                        _ => {}
                    }
                    Ok(vec![b'x'; 32 * 1024])
                }))
            }
            "/later-stream" => {
                let mut n = 0;
                stream(std::iter::from_fn(move || {
                    n += 1;
                    match n {
                        1 | 5 => Some(Ok(vec![b'x'; 32 * 1024])),
                        2 | 3 => Some(Err(Error::Unavailable { retry_after: 0, message: "not now".into() })),
                        4 => Some(Err(Error::TooMany { retry_after: 1, message: "not now".into() })),
                        _ => None,
                    }
                }))
            }
            "/until-dead" => {
                self.latch.enter();
                while !request.line.is_dead() {
                    thread::sleep(millis(1));
                }
                self.latch.enter();
                Response::empty(204)
            }
            "/endless" => stream(std::iter::repeat_with(|| Ok(vec![b'x'; 64 * 1024]))),
            "/broken-stream" => stream(pieces(10_000).chain([Err(Error::Internal("gone".into()))])),
            "/panicking-stream" => stream((0..10_000).map(|at| match at {
                9_999 => panic!("as the test wanted"),
                at => Ok(format!("{at:07}\n").into_bytes()),
            })),
            "/broken-at-once" => stream([Err(Error::Internal("gone".into()))].into_iter()),
            "/big" => Response::new(200, "text/plain", vec![b'x'; 10_000]),
            "/empty" => Response::empty(204),
            "/unchanged" => Response::empty(304).with("ETag", "\"x\""),
            "/bad-header" => Response::empty(200).with("X-A", "a\r\nInjected: 1"),
            "/peer" => Response::new(200, "text/plain", format!("{:?}", request.peer)),
            "/id" => Response::new(200, "text/plain", request.id),
            path => {
                let text = format!("{} {path} {}", request.method.as_str(), request.body.len());
                Response::new(200, "text/plain", text)
            }
        }
    }
}

impl Latch {
    fn enter(&self) {
        self.held.lock().unwrap().entered += 1;
        self.changed.notify_all();
    }

    fn hold(&self) {
        self.enter();
        let held = self.held.lock().unwrap();
        drop(self.changed.wait_while(held, |held| !held.released).unwrap());
    }

    /// Waits until `n` are being held.
    fn await_held(&self, n: usize) {
        let held = self.held.lock().unwrap();
        let (_held, timeout) =
            self.changed.wait_timeout_while(held, PATIENCE, |held| held.entered < n).unwrap();
        assert!(!timeout.timed_out(), "no {n} requests reached their handlers");
    }

    fn release(&self) {
        self.held.lock().unwrap().released = true;
        self.changed.notify_all();
    }
}

impl Echo {
    fn seen(&self) -> usize {
        self.seen.load(Ordering::SeqCst)
    }
}

fn stream(pieces: impl Iterator<Item = Result<Vec<u8>>> + Send + 'static) -> Response {
    let headers = vec![("Content-Type", "text/plain".to_owned())];
    Response { status: 200, headers, body: Body::Stream(Box::new(pieces)) }
}

struct Running {
    server: Server,
    echo: Arc<Echo>,
    address: SocketAddr,
}

fn start(limits: Limits) -> Running {
    let echo = Arc::new(Echo::default());
    let listeners = Listeners { tcp: Some("127.0.0.1:0".parse().unwrap()), ..Listeners::default() };
    let server = Server::start(listeners, limits, echo.clone()).unwrap();
    let address = server.address().unwrap();
    Running { server, echo, address }
}

impl Running {
    fn connect(&self) -> Client {
        Client::over(TcpStream::connect(self.address).unwrap())
    }

    /// Sends `bytes` over a new connection, and nothing after them; reads all answers up to its end.
    #[track_caller]
    fn exchange(&self, bytes: impl AsRef<[u8]>) -> Vec<Answer> {
        let mut client = self.connect();
        client.send(bytes);
        client.rest()
    }

    #[track_caller]
    fn assert_alive(&self) {
        let answers = self.exchange("GET /alive HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert_eq!(texts(&answers), ["GET /alive 0"]);
    }

    fn counters(&self) -> &Counters {
        self.server.counters()
    }

    /// Waits until `count` of the counters is `n`.
    fn await_count(&self, n: u64, count: impl Fn(&Counters) -> &AtomicU64) {
        let count = || count(self.counters()).load(Ordering::SeqCst);
        for _ in 0..PATIENCE.as_millis() / 5 {
            if count() == n {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("the count stays at {}", count());
    }

    /// A client that was answered and that the server knows to be idle: the answer is there a moment before.
    fn idle_client(&self) -> Client {
        let mut client = self.connect();
        assert_eq!(client.get("/x").status, 200);
        self.await_count(0, |counters| &counters.working);
        client
    }
}

struct Client {
    reader: BufReader<TcpStream>,
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

fn texts(answers: &[Answer]) -> Vec<&str> {
    answers.iter().map(Answer::text).collect()
}

fn statuses(answers: &[Answer]) -> Vec<u16> {
    answers.iter().map(|answer| answer.status).collect()
}

impl Client {
    fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { reader: BufReader::new(stream) }
    }

    fn stream(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    /// A server that refuses early may be gone before all is sent: its answer counts, not the sending.
    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.reader.get_mut().write_all(bytes.as_ref());
    }

    fn get(&mut self, target: &str) -> Answer {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        self.next(false).expect("an answer")
    }

    /// The next answer; `None` at the end of the connection.
    #[track_caller]
    fn next(&mut self, to_head: bool) -> Option<Answer> {
        let mut head = Vec::new();
        if !framing::read_head(&mut self.reader, 16 * 1024, &mut head).unwrap() {
            return None;
        }
        let head = framing::parse_response_head(&head, &HeadLimits::default(), to_head).unwrap();
        let mut body = Vec::new();
        BodyReader::new(&mut self.reader, head.length, u64::MAX).unwrap().read_to_end(&mut body).unwrap();
        Some(Answer { status: head.status, headers: head.headers, body })
    }

    /// All answers up to the end of the connection, which has to come.
    #[track_caller]
    fn rest(&mut self) -> Vec<Answer> {
        std::iter::from_fn(|| self.next(false)).collect()
    }

    /// What comes up to the end, as it is. A reset is an end, too.
    fn raw(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.reader.read_to_end(&mut bytes) {
            Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => panic!("{error}"),
            _ => bytes,
        }
    }

    #[track_caller]
    fn assert_closed(&mut self) {
        assert_eq!(self.raw(), b"", "the connection should have ended without a word");
    }
}

const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// The requests of tests/hostile/malformed.json, with the statuses they are refused with.
fn malformed() -> Vec<(Vec<u8>, u16)> {
    let corpus: Value = serde_json::from_str(include_str!("../hostile/malformed.json")).unwrap();
    let bytes = |text: &Value| -> Vec<u8> {
        text.as_str().unwrap().chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
    };
    let whole = |request: &Value| match &request["bytes"] {
        Value::Array(parts) => parts
            .iter()
            .flat_map(|part| match part {
                Value::Array(part) => bytes(&part[0]).repeat(part[1].as_u64().unwrap() as usize),
                text => bytes(text),
            })
            .collect(),
        text => bytes(text),
    };
    let groups = corpus["requests"].as_object().unwrap().values();
    let requests = groups.flat_map(|group| group.as_array().unwrap());
    requests.map(|request| (whole(request), request["status"].as_u64().unwrap() as u16)).collect()
}

#[test]
fn malformed_requests_get_one_answer_and_the_connection_ends() {
    let running = start(Limits::default());
    let rows = malformed();
    assert!(rows.len() >= 60);
    for (bytes, expected) in &rows {
        let answers = running.exchange(bytes);
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]);
        assert_eq!(statuses(&answers), [*expected], "{shown:?}");
        assert_eq!(answers[0].header("connection"), Some("close"), "{shown:?}");
        assert_eq!(answers[0].header("server"), Some("mailtrail"), "{shown:?}");
        assert!(answers[0].header("x-request-id").is_some(), "{shown:?}");
    }
    assert_eq!(running.echo.seen(), 0, "one of them reached the handler");
    running.assert_alive();
    let counted: u64 = running.counters().refused().map(|(_, count)| count).sum();
    assert_eq!(counted, rows.len() as u64);
}

#[test]
fn a_request_cut_short_never_reaches_the_handler() {
    let running = start(Limits::default());
    for bytes in [
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\nshort",
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        "GET /x HTTP/1.1\r\nHost: a\r\n",
        "GE",
    ] {
        let mut client = running.connect();
        client.send(bytes);
        client.stream().shutdown(Shutdown::Write).unwrap();
        assert_eq!(statuses(&client.rest()), [400], "{bytes:?}");
    }
    assert_eq!(running.echo.seen(), 0);
    running.assert_alive();
}

#[test]
fn keep_alive_connections_are_all_served() {
    let running = start(Limits::default());
    let mut browser: Vec<_> = (0..6).map(|_| running.connect()).collect();
    for round in 0..3 {
        for (at, client) in browser.iter_mut().enumerate() {
            assert_eq!(client.get(&format!("/{round}/{at}")).text(), format!("GET /{round}/{at} 0"));
        }
    }
    let mut burst: Vec<_> = (0..64).map(|_| running.connect()).collect();
    for client in &mut burst {
        client.send("GET /burst HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    for client in &mut burst {
        assert_eq!(client.next(false).unwrap().text(), "GET /burst 0");
    }
    assert_eq!(browser[0].get("/still").status, 200);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let running = start(Limits::default());
    let mut requests: String = (0..20)
        .map(|at| format!("POST /{at} HTTP/1.1\r\nHost: a\r\nContent-Length: {at}\r\n\r\n{}", "x".repeat(at)))
        .collect();
    // One line end too many between two requests is an old habit of clients.
    requests += "\r\nGET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /never HTTP/1.1\r\n\r\n";
    let expected: Vec<_> =
        (0..20).map(|at| format!("POST /{at} {at}")).chain(["GET /last 0".to_owned()]).collect();
    assert_eq!(texts(&running.exchange(requests)), expected);
}

#[test]
fn a_client_that_expects_100_gets_it_when_the_body_is_wanted() {
    let running = start(Limits::default());
    let mut client = running.connect();
    client.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    let interim = client.next(false).unwrap();
    assert_eq!((interim.status, interim.headers.len()), (100, 0));
    client.send("hello");
    assert_eq!(client.next(false).unwrap().text(), "POST /x 5");
    // A body that is there already is not asked for.
    client.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello");
    assert_eq!(client.next(false).unwrap().text(), "POST /x 5");
    client.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.next(false).unwrap().text(), "POST /x 0");
    client.send("POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(statuses(&client.rest()), [413]);
}

#[test]
fn bodies_come_whole_in_either_framing() {
    let running = start(Limits::default());
    let megabyte = "x".repeat(1024 * 1024);
    for (fields, body, expected) in [
        ("", "", "POST /x 0"),
        ("Content-Length: 0", "", "POST /x 0"),
        ("Content-Length: 5", "hello", "POST /x 5"),
        ("Content-Length: 1048576", &megabyte, "POST /x 1048576"),
        ("Transfer-Encoding: chunked", "0\r\n\r\n", "POST /x 0"),
        ("Transfer-Encoding: chunked", "2\r\nhe\r\n003;a=b\r\nllo\r\n0\r\nDigest: x\r\n\r\n", "POST /x 5"),
        ("Transfer-Encoding: chunked", &format!("100000\r\n{megabyte}\r\n0\r\n\r\n"), "POST /x 1048576"),
    ] {
        let mut client = running.connect();
        let fields = if fields.is_empty() { String::new() } else { format!("{fields}\r\n") };
        client.send(format!("POST /x HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}"));
        assert_eq!(client.next(false).unwrap().text(), expected);
        assert_eq!(client.get("/next").text(), "GET /next 0", "the next request begins where the body ended");
    }
}

#[test]
fn answers_without_a_body_have_none() {
    let running = start(Limits::default());
    let mut client = running.connect();
    for (target, status, length) in [
        ("/big", 200, Some("10000")),
        ("/stream", 200, None),
        ("/broken-stream", 200, None),
        ("/empty", 204, None),
        ("/unchanged", 304, None),
        ("/panic", 500, Some("27")),
    ] {
        client.send(format!("HEAD {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let answer = client.next(true).unwrap();
        assert_eq!((answer.status, answer.header("content-length")), (status, length), "{target}");
        assert!(answer.header("date").is_some());
    }
    assert_eq!(client.get("/empty").status, 204);
    assert_eq!(client.get("/unchanged").header("etag"), Some("\"x\""));
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    let refused = String::from_utf8(client.raw()).unwrap();
    assert!(refused.starts_with("HTTP/1.1 400 ") && refused.ends_with("\r\n\r\n"), "{refused}");
}

#[test]
fn clients_of_http_1_0_are_served() {
    let running = start(Limits::default());
    let answers = running.exchange("GET /x HTTP/1.0\r\n\r\n");
    assert_eq!(texts(&answers), ["GET /x 0"]);
    assert_eq!(answers[0].header("connection"), Some("close"));

    let mut client = running.connect();
    for _ in 0..2 {
        client.send("POST /x HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello");
        let answer = client.next(false).unwrap();
        assert_eq!((answer.text(), answer.header("connection")), ("POST /x 5", Some("keep-alive")));
    }
    // No chunks in 1.0: the end of the connection is the end of the stream.
    client.send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let raw = String::from_utf8(client.raw()).unwrap();
    let (head, body) = raw.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.0 200 OK") && head.contains("Connection: close"), "{head}");
    assert!(!head.contains("Content-Length") && !head.contains("Transfer-Encoding"), "{head}");
    assert_eq!((body.len(), body.ends_with("0009999\n")), (80_000, true));

    // A reset, so that it cannot be taken for the end.
    let mut client = running.connect();
    client.send("GET /broken-stream HTTP/1.0\r\n\r\n");
    let error = client.reader.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn streams_are_whole_or_have_no_last_chunk() {
    let running = start(Limits::default());
    let mut client = running.connect();
    let whole = client.get("/stream");
    assert_eq!(whole.header("transfer-encoding"), Some("chunked"));
    assert_eq!((whole.body.len(), whole.body.ends_with(b"0009999\n")), (80_000, true));
    assert_eq!(client.get("/next").status, 200);

    for target in ["/broken-stream", "/panicking-stream"] {
        let mut client = running.connect();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n"));
        let raw = client.raw();
        assert!(raw.starts_with(b"HTTP/1.1 200 "), "{target}: {} bytes", raw.len());
        assert!(!raw.windows(5).any(|window| window == b"0\r\n\r\n"), "{target} has a last chunk");
    }
    assert_eq!(running.connect().get("/broken-at-once").status, 500);
    running.assert_alive();
}

#[test]
fn a_panic_is_a_500_and_the_connection_lives_on() {
    let running = start(Limits::default());
    let mut client = running.connect();
    for n in 1..=3 {
        let answer = client.get("/panic");
        assert_eq!((answer.status, answer.text()), (500, "internal_error for \"/panic\""));
        assert_eq!(running.counters().panics.load(Ordering::SeqCst), n);
    }
    assert_eq!(client.get("/next").text(), "GET /next 0");
    let answer = client.get("/bad-header");
    assert_eq!((answer.status, answer.header("injected")), (500, None));
}

#[test]
fn a_sane_request_id_is_taken_over() {
    let running = start(Limits::default());
    let mut client = running.connect();
    let long = "x".repeat(64);
    for (given, taken) in [
        ("X-Request-Id: a.B-3_4\r\n".to_owned(), Some("a.B-3_4")),
        (format!("X-Request-Id: {long}\r\n"), Some(long.as_str())),
        (format!("X-Request-Id: {long}x\r\n"), None),
        ("X-Request-Id: a b\r\n".to_owned(), None),
        ("X-Request-Id:\r\n".to_owned(), None),
        ("X-Request-Id: a\r\nX-Request-Id: b\r\n".to_owned(), None),
        (String::new(), None),
    ] {
        client.send(format!("GET /id HTTP/1.1\r\nHost: a\r\n{given}\r\n"));
        let answer = client.next(false).unwrap();
        assert_eq!(answer.header("x-request-id"), Some(answer.text()));
        match taken {
            Some(id) => assert_eq!(answer.text(), id),
            None => assert_eq!((answer.text().len(), answer.text().contains('x')), (32, false), "{given:?}"),
        }
    }
}

#[test]
fn stop_answers_what_is_in_flight_and_closes_the_rest() {
    let running = start(Limits::default());
    let mut idle = running.connect();
    assert_eq!(idle.get("/idle").status, 200);
    let mut working = running.connect();
    working.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\nGET /never HTTP/1.1\r\nHost: a\r\n\r\n");
    running.echo.latch.await_held(1);
    thread::scope(|scope| {
        let stopping = scope.spawn(|| running.server.stop(PATIENCE));
        idle.assert_closed();
        running.echo.latch.release();
        let answers = working.rest();
        assert_eq!(texts(&answers), ["released"]);
        assert_eq!(answers[0].header("connection"), Some("close"));
        drop(working);
        assert_eq!(stopping.join().unwrap(), 0);
    });
    assert!(TcpStream::connect(running.address).is_err(), "nobody listens any more");
    assert_eq!(running.server.stop(PATIENCE), 0);
}

#[test]
fn stop_cuts_off_what_outlasts_the_grace() {
    let running = start(Limits::default());
    let mut client = running.connect();
    client.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    running.echo.latch.await_held(1);
    assert_eq!(running.server.stop(millis(50)), 1);
    client.assert_closed();
    running.echo.latch.release();
}

#[test]
fn the_longest_idle_makes_room() {
    let running = start(Limits { connections: 4, ..Limits::default() });
    let mut clients: Vec<_> = (0..4).map(|_| running.idle_client()).collect();
    // The first is idle for the shortest time now.
    assert_eq!(clients[0].get("/x").status, 200);
    running.await_count(0, |counters| &counters.working);
    let mut newcomer = running.connect();
    assert_eq!(newcomer.get("/newcomer").status, 200);
    clients[1].assert_closed();
    assert_eq!(running.counters().pushed_out.load(Ordering::SeqCst), 1);
    for at in [0, 2, 3] {
        assert_eq!(clients[at].get("/x").status, 200, "client {at}");
    }
}

#[test]
fn slow_heads_make_room_too() {
    let running = start(Limits { connections: 2, ..Limits::default() });
    let mut slow: Vec<_> = (0..2)
        .map(|_| {
            let mut client = running.connect();
            client.send("GET / HT");
            client
        })
        .collect();
    running.await_count(2, |counters| &counters.open);
    let mut newcomers = [running.connect(), running.connect()];
    for client in &mut newcomers {
        assert_eq!(client.get("/x").status, 200);
    }
    slow.iter_mut().for_each(Client::assert_closed);
}

#[test]
fn a_newcomer_is_turned_away_only_when_all_are_at_work() {
    let running = start(Limits { connections: 2, ..Limits::default() });
    let mut working: Vec<_> = (0..2)
        .map(|_| {
            let mut client = running.connect();
            client.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
            client
        })
        .collect();
    running.echo.latch.await_held(2);
    let answers = running.connect().rest();
    assert_eq!(statuses(&answers), [503]);
    assert_eq!(answers[0].header("retry-after"), Some("1"));
    assert_eq!(running.counters().turned_away.load(Ordering::SeqCst), 1);
    running.echo.latch.release();
    for client in &mut working {
        assert_eq!(client.next(false).unwrap().text(), "released");
    }
    running.assert_alive();
}

#[test]
fn an_address_has_its_own_number_of_places() {
    let limits = Limits { connections_per_address: 2, exempt: Vec::new(), ..Limits::default() };
    let running = start(limits);
    let mut other = Client::over(connect_from("127.0.0.2", running.address));
    assert_eq!(other.get("/x").status, 200);
    let mut clients: Vec<_> = (0..3).map(|_| running.idle_client()).collect();
    clients[0].assert_closed();
    for client in &mut clients[1..] {
        assert_eq!(client.get("/x").status, 200);
    }
    assert_eq!(other.get("/x").status, 200, "idle for the longest time, but from elsewhere");

    let running = start(Limits { connections_per_address: 2, ..Limits::default() });
    let mut exempt: Vec<_> = (0..5).map(|_| running.connect()).collect();
    for client in &mut exempt {
        assert_eq!(client.get("/x").status, 200);
    }
}

fn connect_from(source: &str, target: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(source.parse().unwrap(), 0).into()).unwrap();
    socket.connect(&target.into()).unwrap();
    socket.into()
}

#[test]
fn requests_past_the_handlers_wait_shortly_and_get_a_503() {
    let running = start(Limits { handlers: 1, handler_wait: millis(50), ..Limits::default() });
    let mut working = running.connect();
    working.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    running.echo.latch.await_held(1);
    let mut client = running.connect();
    let answer = client.get("/x");
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    running.echo.latch.release();
    assert_eq!(working.next(false).unwrap().text(), "released");
    assert_eq!(client.get("/x").status, 200, "the connection is as good as before");
}

#[test]
fn whoever_has_all_the_turns_they_may_keeps_nobody_else_from_theirs() {
    let running = start(Limits { handlers: 16, handler_wait: millis(50), ..Limits::default() });
    // Ten for the known: one caller may have five, the next three.
    let mut greedy = Vec::new();
    for (caller, most) in [("eve", 5), ("mallory", 3)] {
        for n in 0..=most {
            let mut client = running.connect();
            client.send(format!("GET /hold HTTP/1.1\r\nHost: a\r\nX-Caller: {caller}\r\n\r\n"));
            if n == most {
                assert_eq!(client.next(false).unwrap().status, 503, "{caller}");
            } else {
                running.echo.latch.await_held(greedy.len() + 1);
                greedy.push(client);
            }
        }
    }
    let mut strangers = Vec::new();
    let mut stranger = running.connect();
    stranger.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    running.echo.latch.await_held(greedy.len() + 1);
    strangers.push(stranger);
    let mut client = running.connect();
    assert_eq!(client.get("/x").status, 503, "strangers have two turns, and one of them alone the half");
    assert_eq!(client.get("/ready").status, 200, "what is brief takes nobody's turn");
    client.send("GET /x HTTP/1.1\r\nHost: a\r\nX-Caller: ada\r\n\r\n");
    assert_eq!(client.next(false).unwrap().status, 200);
    running.echo.latch.release();
    for mut client in greedy.into_iter().chain(strangers) {
        assert_eq!(client.next(false).unwrap().text(), "released");
    }
}

#[test]
fn streams_past_their_turns_wait_shortly_and_get_a_503() {
    let running = start(Limits { handlers: 1, handler_wait: millis(50), ..Limits::default() });
    let mut working = running.connect();
    working.send("GET /held-stream HTTP/1.1\r\nHost: a\r\n\r\n");
    running.echo.latch.await_held(1);
    let mut client = running.connect();
    let answer = client.get("/stream");
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert_eq!(answer.text(), "unavailable for \"/stream\"");
    assert_eq!(client.get("/x").status, 200, "streams do not take the turns of handlers");
    running.echo.latch.release();
    assert_eq!(working.next(false).unwrap().body.len(), 64 * 1024);
    assert_eq!(client.get("/stream").status, 200);
}

#[test]
fn a_stream_that_is_to_come_again_later_is_whole() {
    let running = start(Limits::default());
    assert_eq!(running.connect().get("/later-stream").body.len(), 64 * 1024);
}

#[test]
fn a_handler_can_see_that_its_client_has_gone() {
    let running = start(Limits::default());
    let mut client = running.connect();
    client.send("GET /until-dead HTTP/1.1\r\nHost: a\r\n\r\n");
    running.echo.latch.await_held(1);
    // What is sent ahead of its turn is a sign of life.
    client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    thread::sleep(millis(20));
    assert_eq!(running.echo.latch.held.lock().unwrap().entered, 1, "it is there still");
    let mut other = running.connect();
    other.send("GET /until-dead HTTP/1.1\r\nHost: a\r\n\r\n");
    running.echo.latch.await_held(2);
    drop(other);
    running.echo.latch.await_held(3);
    drop(client);
}

#[test]
fn a_stream_that_waits_for_its_turn_makes_room() {
    let limits = Limits { connections: 2, handlers: 1, handler_wait: PATIENCE, ..Limits::default() };
    let running = start(limits);
    let mut waiting = running.connect();
    waiting.send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(waiting.stream().peek(&mut [0]).unwrap(), 1, "the answer has begun");
    // It takes all that comes, so it is never found stalled for what it does.
    let reading = thread::spawn(move || std::io::copy(&mut waiting.reader, &mut std::io::sink()));
    let mut working = running.connect();
    working.send("GET /held-stream HTTP/1.1\r\nHost: a\r\n\r\n");
    running.echo.latch.await_held(1);
    let newcomer_is_served = || {
        thread::sleep(millis(50));
        let mut client = running.connect();
        client.send("GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        client.raw().starts_with(b"HTTP/1.1 200 ")
    };
    assert!((0..PATIENCE.as_millis() / 50).any(|_| newcomer_is_served()));
    assert_eq!(running.counters().pushed_out.load(Ordering::SeqCst), 1);
    running.echo.latch.release();
    assert_eq!(working.next(false).unwrap().body.len(), 64 * 1024, "the one at work stays");
    let _ = reading.join().expect("the reader does not panic");
}

#[test]
fn a_stream_that_waited_is_at_work_again_and_makes_no_room() {
    let running = start(Limits { connections: 1, ..Limits::default() });
    let mut working = running.connect();
    working.send("GET /later-held-stream HTTP/1.1\r\nHost: a\r\n\r\n");
    running.echo.latch.await_held(1);
    let mut newcomer = running.connect();
    newcomer.send("GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(!newcomer.raw().starts_with(b"HTTP/1.1 200 "), "there is no room");
    assert_eq!(running.counters().pushed_out.load(Ordering::SeqCst), 0);
    running.echo.latch.release();
    assert_eq!(working.next(false).unwrap().body.len(), 64 * 1024);
}

/// A POST of `n` bytes by this caller.
fn post_of(caller: &str, n: usize) -> String {
    format!(
        "POST /x HTTP/1.1\r\nHost: a\r\nX-Caller: {caller}\r\nConnection: close\r\nContent-Length: {n}\r\n\r\n{}",
        "x".repeat(n)
    )
}

#[test]
fn a_body_past_its_callers_share_gets_a_503_and_all_is_given_back() {
    let running = start(Limits { memory: 512 * 1024, room_wait: millis(50), ..Limits::default() });
    for _ in 0..3 {
        let answers = running.exchange(post_of("a", 300 * 1024));
        assert_eq!(statuses(&answers), [503]);
        assert_eq!(answers[0].header("retry-after"), Some("5"));
        assert_eq!(texts(&running.exchange(post_of("a", 150 * 1024))), ["POST /x 153600"]);
    }
}

#[test]
fn whoever_sends_slowly_takes_from_their_own_share() {
    let running = start(Limits { memory: 4 * 1024 * 1024, room_wait: millis(100), ..Limits::default() });
    let half_sent = |caller: &str| {
        let mut client = running.connect();
        let whole = post_of(caller, 600 * 1024);
        client.send(&whole[..whole.len() / 2]);
        client
    };
    // More than the half of what is for the known.
    let mut slow: Vec<_> = (0..8).map(|_| half_sent("slow")).collect();
    let refused = slow.iter_mut().filter_map(|client| {
        client.stream().set_read_timeout(Some(millis(200))).unwrap();
        let mut first = [0; 12];
        client.reader.read_exact(&mut first).ok().map(|()| first)
    });
    let refused: Vec<_> = refused.collect();
    assert!(!refused.is_empty() && refused.iter().all(|first| first == b"HTTP/1.1 503"), "{refused:?}");
    assert_eq!(texts(&running.exchange(post_of("other", 600 * 1024))), ["POST /x 614400"]);
    assert_eq!(texts(&running.exchange(post_of("slow", 30 * 1024))), ["POST /x 30720"], "a small one");
}

#[test]
fn a_large_body_waits_for_room_and_is_read_then() {
    let running = start(Limits { memory: 1024 * 1024, room_wait: PATIENCE, ..Limits::default() });
    let whole = post_of("a", 300 * 1024);
    let mut first = running.connect();
    first.send(&whole[..1000]);
    running.await_count(1, |counters| &counters.open);
    let mut second = running.connect();
    second.send(&whole);
    running.await_count(2, |counters| &counters.open);
    second.stream().set_read_timeout(Some(millis(200))).unwrap();
    assert!(second.stream().peek(&mut [0]).is_err(), "it waits");
    second.stream().set_read_timeout(Some(PATIENCE)).unwrap();
    drop(first);
    assert_eq!(texts(&second.rest()), ["POST /x 307200"]);
}

#[test]
fn who_is_not_let_in_by_the_head_sends_no_body() {
    let running = start(Limits::default());
    let head = |more: &str| format!("POST /closed HTTP/1.1\r\nHost: a\r\n{more}\r\n");
    for (more, sent) in [
        ("Content-Length: 1000000\r\n", "half of it"),
        ("Content-Length: 1000000\r\nExpect: 100-continue\r\n", ""),
        ("Content-Length: 5\r\n", "1234"),
        ("Transfer-Encoding: chunked\r\n", ""),
        ("Content-Length: 99999999999999\r\n", ""),
    ] {
        let mut client = running.connect();
        client.send(head(more) + sent);
        let answers = client.rest();
        assert_eq!(
            (statuses(&answers), answers[0].header("connection")),
            (vec![401], Some("close")),
            "{more}"
        );
    }
    // Of a body that is there already nothing is left to come.
    let mut client = running.connect();
    for _ in 0..2 {
        client.send(head("Content-Length: 5\r\n") + "12345");
        assert_eq!(client.next(false).unwrap().status, 401);
    }
    assert_eq!(client.get("/next").text(), "GET /next 0");
    assert_eq!(running.echo.seen(), 1);
}

#[test]
fn deadlines_end_what_does_not_come() {
    let limits = Limits {
        idle_time: millis(300),
        head_time: millis(200),
        body_time: millis(200),
        body_rate: 1_000_000,
        ..Limits::default()
    };
    let running = start(limits);
    running.connect().assert_closed();
    let mut client = running.connect();
    assert_eq!(client.get("/x").status, 200);
    client.assert_closed();
    for partial in [
        "G",
        "GET / HTTP/1.1\r\nHost: a\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhell",
    ] {
        assert_eq!(statuses(&running.exchange(partial)), [408], "{partial:?}");
    }
    // A byte now and then gains nothing.
    for begun in ["GET /", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"] {
        let mut client = running.connect();
        client.send(begun);
        let mut dripping = client.stream().try_clone().unwrap();
        let (done, is_done) = std::sync::mpsc::channel::<()>();
        thread::scope(|scope| {
            scope.spawn(move || {
                while is_done
                    .recv_timeout(millis(20))
                    .is_err_and(|e| e == std::sync::mpsc::RecvTimeoutError::Timeout)
                    && dripping.write_all(b"x").is_ok()
                {}
            });
            assert_eq!(client.next(false).map(|answer| answer.status), Some(408), "{begun:?}");
            drop(done);
        });
    }
    assert_eq!(running.echo.seen(), 1);
    running.assert_alive();
}

#[test]
fn a_client_that_does_not_read_its_answer_is_cut_off() {
    let running = start(Limits { answer_time: millis(200), answer_rate: 1_000_000_000, ..Limits::default() });
    let mut client = running.connect();
    client.send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n");
    running.await_count(1, |counters| &counters.cut_answers);
    running.assert_alive();
}

#[test]
fn a_client_that_does_not_read_its_answer_makes_room() {
    let running = start(Limits { connections: 2, ..Limits::default() });
    let stalled: Vec<_> = (0..2)
        .map(|_| {
            let mut client = running.connect();
            client.send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(client.stream().peek(&mut [0]).unwrap(), 1, "the answer has begun");
            client
        })
        .collect();
    // Turned away, perhaps with a reset, until one of the two is found to be stalled.
    let newcomer_is_served = || {
        thread::sleep(millis(50));
        let mut client = running.connect();
        client.send("GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        client.raw().starts_with(b"HTTP/1.1 200 ")
    };
    let tries = PATIENCE.as_millis() / 50;
    assert!((0..tries).any(|_| newcomer_is_served()));
    assert_eq!(running.counters().pushed_out.load(Ordering::SeqCst), 1);
    drop(stalled);
}

/// A directory whose socket paths are longer than `sockaddr_un` holds.
fn deep_socket(directory: &Path) -> PathBuf {
    let missing = 150_usize.saturating_sub(directory.as_os_str().len() + "/d/s.sock".len());
    let deep = directory.join(format!("d{}", "x".repeat(missing)));
    std::fs::create_dir(&deep).unwrap();
    deep.join("s.sock")
}

#[test]
fn unix_sockets_know_who_calls() {
    let directory = tempfile::tempdir().unwrap();
    let long = deep_socket(directory.path());
    assert!(long.as_os_str().len() >= 150);
    for path in [directory.path().join("s.sock"), long] {
        // A socket that nobody listens on any more, as after a crash.
        let stale = directory.path().join("stale");
        drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
        std::fs::rename(&stale, &path).unwrap();

        let listeners = Listeners { unix: Some(path.clone()), ..Listeners::default() };
        let server = Server::start(listeners, Limits::default(), Arc::new(Echo::default())).unwrap();
        assert_eq!(server.address(), None);
        let metadata = std::fs::symlink_metadata(&path).unwrap();
        assert!(metadata.file_type().is_socket());
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);

        let answer = client::call(&path, Method::Get, "/peer", &[], b"").unwrap();
        let uid = rustix::process::getuid().as_raw();
        assert_eq!(String::from_utf8(answer.read().unwrap()).unwrap(), format!("Unix {{ uid: {uid} }}"));
        assert_eq!(server.stop(PATIENCE), 0);
        assert!(!path.exists(), "the socket goes with the server");
    }
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notes.txt");
    std::fs::write(&path, "mine").unwrap();
    let listeners = Listeners { unix: Some(path.clone()), ..Listeners::default() };
    let refused = Server::start(listeners, Limits::default(), Arc::new(Echo::default()));
    assert!(matches!(refused, Err(Error::Refused { .. })));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    let nowhere = Server::start(Listeners::default(), Limits::default(), Arc::new(Echo::default()));
    assert!(matches!(nowhere, Err(Error::Refused { .. })));
}

#[test]
fn our_client_takes_only_whole_answers() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.sock");
    let listeners = Listeners { unix: Some(path.clone()), ..Listeners::default() };
    let server = Server::start(listeners, Limits::default(), Arc::new(Echo::default())).unwrap();
    let call = |method, target: &str, body: &[u8]| client::call(&path, method, target, &[], body);

    let answer = call(Method::Post, "/x?y=z", b"hello").unwrap();
    assert_eq!((answer.status, answer.header("server")), (200, Some("mailtrail")));
    assert_eq!(answer.read().unwrap(), b"POST /x 5");
    assert_eq!(call(Method::Get, "/big", b"").unwrap().read().unwrap().len(), 10_000);
    assert_eq!(call(Method::Get, "/stream", b"").unwrap().read().unwrap().len(), 80_000);
    assert_eq!(call(Method::Head, "/big", b"").unwrap().read().unwrap(), b"");
    assert_eq!(call(Method::Delete, "/empty", b"").unwrap().status, 204);
    assert!(matches!(call(Method::Get, "/broken-stream", b"").unwrap().read(), Err(Error::Io { .. })));
    // Refused while it is still being sent.
    assert_eq!(call(Method::Post, "/x", &vec![b'x'; 8 * 1024 * 1024]).unwrap().status, 413);
    let answer = client::call(&path, Method::Get, "/id", &[("X-Request-Id", "mine")], b"").unwrap();
    assert_eq!(answer.read().unwrap(), b"mine");
    drop(server);
    assert!(matches!(call(Method::Get, "/x", b""), Err(Error::Io { .. })));
}
