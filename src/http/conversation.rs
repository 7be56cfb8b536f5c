//! One connection, from its first byte to its last: read a request, have it handled, answer, again.
//!
//! Runs in the connection's own thread, the handler too. One request at a time: what a client sends ahead of its
//! turn waits in the kernel. After a refusal the bytes that follow are never read as HTTP again.

use std::any::Any;
use std::io::{self, BufRead, BufReader, Write};
use std::net::Shutdown;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::connections::{Connection, Phase, Place, Registry, Room, lock};
use super::framing::{self, BodyLength, Fault, RequestHead, Version};
use super::limits::{Counters, Limits};
use super::server::{Manner, Persistence, Sent, write_answer};
use super::wire::{Inlet, SocketOutlet};
use super::{Method, Request, Response, Service};
use crate::error::{Error, Result};
use crate::ids;
use crate::mask::holds_key;

/// The whole life of a connection.
pub(super) fn converse(shared: &Shared, place: &Place) {
    let connection = &*place.connection;
    let reader = BufReader::with_capacity(16 * 1024, Inlet::new(connection));
    let mut conversation = Conversation { shared, connection, reader };
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        loop {
            match conversation.turn() {
                After::Next => {}
                After::Linger => return conversation.linger(),
                After::Close => return,
            }
        }
    }));
    if let Err(panic) = outcome {
        shared.counters.panics.fetch_add(1, Ordering::Relaxed);
        log::error!("connection {}: panicked: {}", connection.number, panic_message(&*panic));
    }
}

/// What follows a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    Next,
    /// Closed with care: the client is to see the answer.
    Linger,
    Close,
}

struct Conversation<'a> {
    shared: &'a Shared,
    connection: &'a Connection,
    /// What a client sends ahead of its turn stays here and in the kernel.
    reader: BufReader<Inlet<'a>>,
}

impl Conversation<'_> {
    /// Reads a request and answers it.
    fn turn(&mut self) -> After {
        let limits = &self.shared.limits;
        if !self.await_request() || !self.connection.enter(Phase::Head) {
            return After::Close;
        }
        self.reader.get_mut().allow(limits.head_time, 0);
        let mut bytes = Vec::with_capacity(512);
        let head = match framing::read_head(&mut self.reader, limits.head.bytes, &mut bytes) {
            Ok(true) => framing::parse_request_head(&bytes, &limits.head).map_err(Fault::Refused),
            Ok(false) => return After::Close,
            Err(fault) => Err(fault),
        };
        let head = match head {
            Ok(head) => head,
            Err(fault) => {
                let (method, path) = framing::glance(&bytes);
                return self.refuse(fault, &new_request_id(), method, path.as_deref());
            }
        };
        let id = request_id(&head);
        let mut held = Held { shared: self.shared, bytes: 0 };
        let body = match self.read_body(&head, &mut held) {
            Ok(body) => body,
            Err(fault) => return self.refuse(fault, &id, Some(head.method), Some(&head.path)),
        };
        if !self.connection.enter(Phase::Work) {
            return After::Close;
        }
        let _working = Working::begin(&self.shared.counters);
        let after = self.answer(head, body, &id);
        // Idle from the last byte of the answer on, before the count says so.
        if after == After::Next && !self.connection.enter(Phase::Idle) { After::Close } else { after }
    }

    /// True when the first byte of a request is there.
    fn await_request(&mut self) -> bool {
        if !self.reader.buffer().is_empty() {
            return !self.shared.is_stopping();
        }
        // A connection is idle from its start and from each answer on. `stop` sets the flag before it closes the
        // idle: either it saw us idle or we see the flag.
        if self.shared.is_stopping() {
            return false;
        }
        self.reader.get_mut().allow(self.shared.limits.idle_time, 0);
        self.reader.fill_buf().is_ok_and(|bytes| !bytes.is_empty())
    }

    fn read_body(&mut self, head: &RequestHead, held: &mut Held<'_>) -> Result<Vec<u8>, Fault> {
        if head.length == BodyLength::Fixed(0) {
            return Ok(Vec::new());
        }
        let limits = &self.shared.limits;
        let limit = self.shared.service.body_limit(head.method, &head.path);
        // A refusal of the announced length comes before the client is asked to send it.
        let announced_too_much = matches!(head.length, BodyLength::Fixed(length) if length > limit as u64);
        if head.expects_continue && !announced_too_much && self.reader.buffer().is_empty() {
            let mut outlet = SocketOutlet::new(self.connection, limits);
            outlet.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").map_err(Fault::Io)?;
        }
        if !self.connection.enter(Phase::Body) {
            return Err(Fault::Io(io::ErrorKind::ConnectionAborted.into()));
        }
        self.reader.get_mut().allow(limits.body_time, limits.body_rate);
        framing::read_body(&mut self.reader, head.length, limit, &mut |bytes| held.grow(bytes))
    }

    fn answer(&mut self, head: RequestHead, body: Vec<u8>, id: &str) -> After {
        let (version, method, keep_alive) = (head.version, head.method, head.keep_alive);
        let response = match self.shared.gate.enter(self.shared.limits.handler_wait) {
            Some(_turn) => self.handle(Request {
                id: id.to_owned(),
                method: head.method,
                path: head.path.clone(),
                parameters: Vec::new(),
                query: head.query,
                headers: head.headers,
                body,
                peer: self.connection.peer,
            }),
            None => {
                self.shared.counters.count_refusal(503);
                let message = "too many requests are being answered".to_owned();
                let error = Error::Unavailable { retry_after: 1, message };
                self.shared.worded(id, Some(&head.path), &error)
            }
        };
        // What is sent ahead of its turn costs as much as the first: who asks too much begins anew.
        let keep_alive = keep_alive && response.status != 429;
        // Asked after the handler: the server may have begun to stop meanwhile.
        let persistence = match version {
            _ if !keep_alive || self.shared.is_stopping() => Persistence::Close,
            Version::Http10 => Persistence::SaidKeepAlive,
            Version::Http11 => Persistence::KeepAlive,
        };
        self.send(
            response,
            &Manner {
                version,
                head_only: method == Method::Head,
                persistence,
                id,
                path: Some(&head.path),
                connection: Some(self.connection),
            },
        )
    }

    fn handle(&self, request: Request) -> Response {
        let (id, path) = (request.id.clone(), request.path.clone());
        let answered = catch_unwind(AssertUnwindSafe(|| self.shared.service.answer(request)));
        answered.unwrap_or_else(|panic| {
            self.shared.counters.panics.fetch_add(1, Ordering::Relaxed);
            let message = format!("the handler panicked: {}", panic_message(&*panic));
            log::error!("{id}: {message}");
            self.shared.worded(&id, Some(&path), &Error::Internal(message))
        })
    }

    /// Answers what was not a whole request. The connection is of no use after it: where the next request would
    /// begin is unknown, or not to be believed.
    fn refuse(&mut self, fault: Fault, id: &str, method: Option<Method>, path: Option<&str>) -> After {
        let error = match fault {
            Fault::Refused(error) => error,
            Fault::CutShort => Error::http(400, "the request ended before it was whole"),
            Fault::Io(error) if error.kind() == io::ErrorKind::TimedOut => {
                Error::http(408, "the request did not come in time")
            }
            Fault::Io(_) => return After::Close,
        };
        if !self.connection.enter(Phase::Work) {
            return After::Close;
        }
        let response = self.shared.worded(id, path, &error);
        self.shared.counters.count_refusal(response.status);
        log::debug!("{id}: refused with {}: {error}", response.status);
        let head_only = method == Some(Method::Head);
        let manner = Manner {
            version: Version::Http11,
            head_only,
            persistence: Persistence::Close,
            id,
            path,
            connection: Some(self.connection),
        };
        self.send(response, &manner)
    }

    fn send(&mut self, response: Response, manner: &Manner<'_>) -> After {
        let outlet = SocketOutlet::new(self.connection, &self.shared.limits);
        let sent = catch_unwind(AssertUnwindSafe(|| write_answer(outlet, response, manner, self.shared)));
        match sent {
            Ok(Ok(Sent::Whole)) if manner.persistence != Persistence::Close => return After::Next,
            Ok(Ok(_)) => return After::Linger,
            Ok(Err(error)) => {
                // A client that goes is everyday; a stream of ours that fails is not.
                let ours = error.kind() == io::ErrorKind::Other;
                let level = if ours { log::Level::Error } else { log::Level::Debug };
                log::log!(level, "{}: answer cut: {error}", manner.id);
            }
            Err(panic) => {
                self.shared.counters.panics.fetch_add(1, Ordering::Relaxed);
                log::error!("{}: answer cut by a panic: {}", manner.id, panic_message(&*panic));
            }
        }
        self.shared.counters.cut_answers.fetch_add(1, Ordering::Relaxed);
        if manner.version == Version::Http10 {
            // Its end may be known by the end of the connection only; a reset cannot be taken for it.
            let _ = self.connection.socket.set_linger(Some(Duration::ZERO));
        }
        After::Close
    }

    /// Ends our half and waits for the client's: a socket that is closed with bytes unread resets the connection,
    /// and the client loses the answer (RFC 9112 section 9.6).
    fn linger(&mut self) {
        let limits = &self.shared.limits;
        if !self.connection.enter(Phase::Linger) || self.connection.socket.shutdown(Shutdown::Write).is_err()
        {
            return;
        }
        self.reader.get_mut().allow(limits.linger_time, 0);
        let mut left = limits.linger_bytes;
        while let Ok(bytes) = self.reader.fill_buf()
            && !bytes.is_empty()
            && left > 0
        {
            let dropped = bytes.len();
            left = left.saturating_sub(dropped);
            self.reader.consume(dropped);
        }
    }
}

/// The client's own id when it is sane, so that its log and ours can be held side by side.
fn request_id(head: &RequestHead) -> String {
    let mut given = head.headers.iter().filter(|(name, _)| name == "x-request-id").map(|(_, value)| value);
    let is_sane = |id: &String| {
        (1..=64).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    match (given.next(), given.next()) {
        (Some(id), None) if is_sane(id) && !holds_key(id) => id.clone(),
        _ => new_request_id(),
    }
}

pub(super) fn new_request_id() -> String {
    ids::random_hex::<16>()
}

/// One turn for streams beside so many for handlers: four with the default, half of the store's read connections.
const STREAMS_SHARE: usize = 16;

/// What acceptors and connections have in common.
pub(super) struct Shared {
    service: Arc<dyn Service>,
    pub limits: Limits,
    pub counters: Arc<Counters>,
    pub registry: Arc<Registry>,
    /// The turns of handlers.
    gate: Gate,
    /// The turns of streams that make their next piece: their own and few, or who reads many would have all of them.
    pub streams: Gate,
    /// Bytes of bodies held now.
    bodies: AtomicUsize,
    pub stopping: AtomicBool,
    /// How often a blocked socket looks at the time.
    pub tick: Duration,
}

impl Shared {
    pub fn new(limits: Limits, service: Arc<dyn Service>, counters: Arc<Counters>) -> Self {
        let times =
            [limits.idle_time, limits.head_time, limits.body_time, limits.answer_time, limits.linger_time];
        let shortest = times.into_iter().min().unwrap_or_default();
        Self {
            tick: (shortest / 4).clamp(Duration::from_millis(5), Duration::from_secs(1)),
            registry: Arc::new(Registry::new(Room {
                connections: limits.connections,
                per_source: limits.connections_per_address,
                exempt: limits.exempt.clone(),
            })),
            gate: Gate::new(limits.handlers),
            streams: Gate::new(limits.handlers.div_ceil(STREAMS_SHARE)),
            service,
            limits,
            counters,
            bodies: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
        }
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// The service's words for a refusal. A service that panics over it gets a plain one.
    pub fn worded(&self, request_id: &str, path: Option<&str>, error: &Error) -> Response {
        let worded = catch_unwind(AssertUnwindSafe(|| self.service.refuse(request_id, path, error)));
        let response = worded.unwrap_or_else(|panic| {
            self.counters.panics.fetch_add(1, Ordering::Relaxed);
            log::error!("{request_id}: wording {error:?} panicked: {}", panic_message(&*panic));
            plain_500()
        });
        match error {
            Error::Unavailable { retry_after, .. } | Error::TooMany { retry_after, .. }
                if response.header("Retry-After").is_none() =>
            {
                response.with("Retry-After", retry_after.to_string())
            }
            _ => response,
        }
    }
}

fn plain_500() -> Response {
    Response::new(500, "text/plain; charset=utf-8", "internal error\n")
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no message)")
}

/// Counts a request while it is being answered.
struct Working<'a>(&'a Counters);

impl<'a> Working<'a> {
    fn begin(counters: &'a Counters) -> Self {
        counters.requests.fetch_add(1, Ordering::Relaxed);
        counters.working.fetch_add(1, Ordering::SeqCst);
        Self(counters)
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.working.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The bytes of one request's body in the budget of all; given back when it is dropped.
struct Held<'a> {
    shared: &'a Shared,
    bytes: usize,
}

impl Held<'_> {
    fn grow(&mut self, more: usize) -> Result<()> {
        let budget = self.shared.limits.bodies;
        let fits = |held: usize| held.checked_add(more).filter(|sum| *sum <= budget);
        if self.shared.bodies.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_err() {
            let message = "too much is being sent at the same time".to_owned();
            return Err(Error::Unavailable { retry_after: 5, message });
        }
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.shared.bodies.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// So many at a time.
pub(super) struct Gate {
    crowd: Mutex<Crowd>,
    freed: Condvar,
}

struct Crowd {
    free: usize,
    /// Waking nobody is a system call too.
    waiting: usize,
}

pub(super) struct Turn<'a>(&'a Gate);

impl Gate {
    fn new(places: usize) -> Self {
        Self { crowd: Mutex::new(Crowd { free: places, waiting: 0 }), freed: Condvar::new() }
    }

    /// `None` when nobody came out within `wait`.
    pub fn enter(&self, wait: Duration) -> Option<Turn<'_>> {
        let mut crowd = lock(&self.crowd);
        if crowd.free == 0 {
            crowd.waiting += 1;
            let waited = self.freed.wait_timeout_while(crowd, wait, |crowd| crowd.free == 0);
            crowd = waited.unwrap_or_else(PoisonError::into_inner).0;
            crowd.waiting -= 1;
        }
        crowd.free = crowd.free.checked_sub(1)?;
        Some(Turn(self))
    }

    pub fn enter_however_long(&self) -> Turn<'_> {
        loop {
            if let Some(turn) = self.enter(Duration::from_secs(60)) {
                return turn;
            }
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut crowd = lock(&self.0.crowd);
        crowd.free += 1;
        let awaited = crowd.waiting > 0;
        drop(crowd);
        if awaited {
            self.0.freed.notify_one();
        }
    }
}
