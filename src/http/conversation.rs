//! One connection, from its first byte to its last: read a request, have it handled, answer, again.
//!
//! Runs in the connection's own thread, the handler too. One request at a time: what a client sends ahead of its
//! turn waits in the kernel. After a refusal the bytes that follow are never read as HTTP again.

use std::any::Any;
use std::fmt::Display;
use std::io::{self, BufRead, BufReader, Write};
use std::net::Shutdown;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use log::Level;

use super::account::{Account, Held, SMALL};
use super::coding::{self, Coding};
use super::connections::{Connection, Phase, Place, Registry, Room, lock};
use super::framing::{self, BodyLength, Fault, Glimpse, RequestHead, Version};
use super::limits::{Counters, Limits};
use super::server::{Manner, Persistence, Sent, write_answer};
use super::turns::Turns;
use super::wire::{Inlet, SocketOutlet};
use super::{Admitted, Body, Holder, Line, Method, Peer, Refused, Request, Response, Service};
use crate::error::{Error, Result};
use crate::ids;
use crate::mask::{holds_key, masked};
use crate::seldom::{self, Seldom};

/// The whole life of a connection.
pub(super) fn converse(shared: &Shared, place: &Place) {
    let connection = &place.connection;
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
        let what = panic_message(&*panic);
        seldom::tell(Level::Error, format_args!("connection {}: panicked: {what}", connection.number));
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
    connection: &'a Arc<Connection>,
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
        self.connection.is_new.store(false, Ordering::SeqCst);
        self.reader.get_mut().allow(limits.head_time, 0);
        let mut bytes = Vec::with_capacity(512);
        let head = match framing::read_head(&mut self.reader, limits.head.bytes, &mut bytes) {
            Ok(true) => framing::parse_request_head(&bytes, &limits.head).map_err(Fault::Refused),
            Ok(false) => return After::Close,
            Err(fault) => Err(fault),
        };
        let after = match head {
            Ok(head) => self.take(head),
            Err(fault) => self.refuse_head(fault, &framing::glance(&bytes, &limits.head)),
        };
        // Idle from the last byte of the answer on.
        if after == After::Next && !self.connection.enter(Phase::Idle) { After::Close } else { after }
    }

    /// Takes a request whose head is there to its answer. The service looks at the head first: only for who is let in
    /// by it a body is read, or asked for.
    fn take(&mut self, head: RequestHead) -> After {
        let shared = self.shared;
        let request = Request {
            id: request_id(&head),
            method: head.method,
            path: head.path,
            parameters: Vec::new(),
            query: head.query,
            headers: head.headers,
            body: Vec::new(),
            peer: self.connection.peer,
            asker: crate::store::Asker::default(),
            line: Line(Some(Arc::clone(self.connection))),
        };
        let about = About {
            version: head.version,
            method: head.method,
            keep_alive: head.keep_alive,
            id: request.id.clone(),
            path: request.path.clone(),
        };
        let coding = Coding::of(&request.headers);
        let announced = Announced { length: head.length, waits: head.expects_continue, coding };
        let has_body = announced.length != BodyLength::Fixed(0);
        let mut working = None;
        if !has_body {
            if !self.connection.enter(Phase::Work) {
                return After::Close;
            }
            working = Some(Working::begin(&shared.counters));
        }
        let Some(at_door) = shared.doors.enter(shared.limits.handler_wait) else {
            return self.turn_down(self.busy(&about), &about, &announced, working);
        };
        let admitted = self.guarded(&about, || shared.service.admit(request));
        let Admitted { body_limit, holder, is_brief, answer } = match admitted {
            Ok(Ok(admitted)) => admitted,
            Ok(Err(response)) | Err(response) => {
                drop(at_door);
                return self.turn_down(response, &about, &announced, working);
            }
        };
        if is_brief && !has_body {
            let response = self.guarded(&about, || answer(Vec::new())).unwrap_or_else(|refused| refused);
            drop(at_door);
            let after = self.reply(response, &about, about.keep_alive, Some(&holder));
            drop(working);
            return after;
        }
        drop(at_door);
        if has_body && coding == Coding::Unknown {
            let message = "this Content-Encoding is not accepted; accepted: gzip, or none";
            let error = Error::http(415, message);
            let refused = about.refused(self.connection.peer, &error);
            let response = shared.worded(&refused).with("Accept-Encoding", coding::GZIP);
            shared.note_refusal(response.status, &refused);
            return self.turn_down(response, &about, &announced, working);
        }
        let mut held = Held::nothing(&shared.account, &holder);
        let mut body = Vec::new();
        if has_body {
            body = match self.read_body(&announced, body_limit, &mut held) {
                Ok(body) => body,
                Err(fault) => return self.refuse_body(fault, &about),
            };
            if !self.connection.enter(Phase::Work) {
                return After::Close;
            }
            working = Some(Working::begin(&shared.counters));
        }
        let response = self.answer(&about, &holder, body, answer);
        held.become_answer(match &response.body {
            Body::Bytes(bytes) => bytes.len(),
            Body::Text(_) | Body::Stream(_) => 0,
        });
        let after = self.reply(response, &about, about.keep_alive, Some(&holder));
        drop(working);
        after
    }

    /// True when the first byte of a request is there.
    fn await_request(&mut self) -> bool {
        if !self.reader.buffer().is_empty() {
            return !self.shared.is_stopping();
        }
        // A connection is idle from its start and from each answer on. `stop` sets the flag before it closes the
        // idle: either it saw us idle or we see the flag.
        if self.shared.is_stopping() && !self.connection.is_new.load(Ordering::SeqCst) {
            return false;
        }
        self.reader.get_mut().allow(self.shared.limits.idle_time, 0);
        self.reader.fill_buf().is_ok_and(|bytes| !bytes.is_empty())
    }

    /// Whether the whole body came with the head.
    fn is_here(&self, length: BodyLength) -> bool {
        matches!(length, BodyLength::Fixed(length) if length <= self.reader.buffer().len() as u64)
    }

    fn read_body(
        &mut self,
        announced: &Announced,
        limit: usize,
        held: &mut Held<'_>,
    ) -> Result<Vec<u8>, Fault> {
        let limits = &self.shared.limits;
        if !self.connection.enter(Phase::Body) {
            return Err(Fault::Io(io::ErrorKind::ConnectionAborted.into()));
        }
        // A refusal of the announced length comes before the client is asked to send it.
        let is_too_much = matches!(announced.length, BodyLength::Fixed(length) if length > limit as u64);
        if let (BodyLength::Fixed(length), false) = (announced.length, is_too_much)
            && length > SMALL as u64
        {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            held.reserve(length, limits.room_wait).map_err(Fault::Refused)?;
        }
        if announced.waits && !is_too_much && self.reader.buffer().is_empty() {
            let mut outlet = SocketOutlet::new(self.connection, limits);
            outlet.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").map_err(Fault::Io)?;
        }
        self.reader.get_mut().allow(limits.body_time, limits.body_rate);
        let body =
            framing::read_body(&mut self.reader, announced.length, limit, &mut |bytes| held.grow(bytes))?;
        if announced.coding != Coding::Gzip {
            return Ok(body);
        }
        coding::unfold(&body, limit, &mut |bytes| held.grow(bytes)).map_err(Fault::Refused)
    }

    /// The answer to a request that is there whole, once it is its turn.
    fn answer(
        &self,
        about: &About,
        holder: &Holder,
        body: Vec<u8>,
        answer: Box<dyn FnOnce(Vec<u8>) -> Response + '_>,
    ) -> Response {
        let shared = self.shared;
        if !shared.account.may_answer(holder, !about.method.is_safe()) {
            return self.unavailable(about, "too much is left unread at the same time", 5);
        }
        let mut work = None;
        if body.len() > SMALL {
            work = shared.account.turn(holder, body.len(), shared.limits.work_wait);
            if work.is_none() {
                return self.unavailable(about, "too many large bodies are being recorded", 5);
            }
        }
        let Some(turn) = shared.turns.enter(holder, shared.limits.handler_wait) else {
            return self.busy(about);
        };
        let response = self.guarded(about, || answer(body)).unwrap_or_else(|refused| refused);
        drop((turn, work));
        response
    }

    /// The answer where the server lacks something at the moment.
    fn unavailable(&self, about: &About, message: &str, retry_after: u32) -> Response {
        let error = Error::Unavailable { retry_after, message: message.to_owned() };
        let refused = about.refused(self.connection.peer, &error);
        let response = self.shared.worded(&refused);
        self.shared.note_refusal(response.status, &refused);
        response
    }

    fn busy(&self, about: &About) -> Response {
        self.unavailable(about, "too many requests are being answered", 1)
    }

    /// Answers a request that is not let in, and does not read its body.
    fn turn_down(
        &mut self,
        response: Response,
        about: &About,
        announced: &Announced,
        working: Option<Working<'_>>,
    ) -> After {
        let shared = self.shared;
        if working.is_none() && !self.connection.enter(Phase::Work) {
            return After::Close;
        }
        let working = working.unwrap_or_else(|| Working::begin(&shared.counters));
        // Of one that is here already nothing is left to come.
        let ends_here = self.is_here(announced.length);
        if let (true, BodyLength::Fixed(length)) = (ends_here, announced.length) {
            self.reader.consume(usize::try_from(length).unwrap_or(usize::MAX));
        }
        let after = self.reply(response, about, about.keep_alive && ends_here, None);
        drop(working);
        after
    }

    fn reply(
        &mut self,
        response: Response,
        about: &About,
        keep_alive: bool,
        holder: Option<&Holder>,
    ) -> After {
        // What is sent ahead of its turn costs as much as the first: who asks too much begins anew.
        let keep_alive = keep_alive && response.status != 429;
        // Asked after the handler: the server may have begun to stop meanwhile.
        let persistence = match about.version {
            _ if !keep_alive || self.shared.is_stopping() => Persistence::Close,
            Version::Http10 => Persistence::SaidKeepAlive,
            Version::Http11 => Persistence::KeepAlive,
        };
        self.send(
            response,
            &Manner {
                version: about.version,
                head_only: about.method == Method::Head,
                persistence,
                id: &about.id,
                path: &about.path,
                peer: self.connection.peer,
                connection: Some(self.connection),
                holder,
            },
        )
    }

    /// The service's part of a request; a panic of it is a 500 and a log line.
    fn guarded<T>(&self, about: &About, part: impl FnOnce() -> T) -> Result<T, Response> {
        catch_unwind(AssertUnwindSafe(part)).map_err(|panic| {
            self.shared.counters.panics.fetch_add(1, Ordering::Relaxed);
            let message = format!("the handler panicked: {}", panic_message(&*panic));
            seldom::tell(Level::Error, format_args!("{}: {message}", about.id));
            self.shared.worded(&about.refused(self.connection.peer, &Error::Internal(message)))
        })
    }

    /// Answers what is no head that can be read.
    fn refuse_head(&mut self, fault: Fault, seen: &Glimpse) -> After {
        let Some(error) = told(fault) else { return After::Close };
        let id = new_request_id();
        let refused = Refused {
            request_id: &id,
            peer: self.connection.peer,
            path: &seen.path,
            headers: &seen.headers,
            is_admitted: false,
            error: &error,
        };
        self.refuse(&refused, Version::Http11, seen.method)
    }

    /// Answers what had a head and has no whole body.
    fn refuse_body(&mut self, fault: Fault, about: &About) -> After {
        let Some(error) = told(fault) else { return After::Close };
        let refused = about.refused(self.connection.peer, &error);
        self.refuse(&refused, about.version, Some(about.method))
    }

    /// The connection is of no use after it: where the next request would begin is unknown, or not to be believed.
    fn refuse(&mut self, refused: &Refused<'_>, version: Version, method: Option<Method>) -> After {
        if !self.connection.enter(Phase::Work) {
            return After::Close;
        }
        let response = self.shared.worded(refused);
        self.shared.note_refusal(response.status, refused);
        let manner = Manner {
            version,
            head_only: method == Some(Method::Head),
            persistence: Persistence::Close,
            id: refused.request_id,
            path: refused.path,
            peer: refused.peer,
            connection: Some(self.connection),
            holder: None,
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
                match error.kind() {
                    io::ErrorKind::Other => tell_cut(Level::Error, manner, &error),
                    io::ErrorKind::ResourceBusy => tell_cut(Level::Warn, manner, &error),
                    _ => log::debug!("{}: answer cut: {error}", manner.id),
                }
            }
            Err(panic) => {
                self.shared.counters.panics.fetch_add(1, Ordering::Relaxed);
                let what = format!("a panic: {}", panic_message(&*panic));
                tell_cut(Level::Error, manner, &what);
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

/// What a client is told of a fault; `None` where nobody is there to be told.
fn told(fault: Fault) -> Option<Error> {
    match fault {
        Fault::Refused(error) => Some(error),
        Fault::CutShort => Some(Error::http(400, "the request ended before it was whole")),
        Fault::Io(error) if error.kind() == io::ErrorKind::TimedOut => {
            Some(Error::http(408, "the request did not come in time"))
        }
        Fault::Io(_) => None,
    }
}

/// What is still to be known of a request when the service has it.
struct About {
    version: Version,
    method: Method,
    keep_alive: bool,
    id: String,
    path: String,
}

impl About {
    fn refused<'a>(&'a self, peer: Peer, error: &'a Error) -> Refused<'a> {
        Refused { request_id: &self.id, peer, path: &self.path, headers: &[], is_admitted: true, error }
    }
}

/// What a head says of the body.
struct Announced {
    length: BodyLength,
    /// For a `100 Continue`.
    waits: bool,
    coding: Coding,
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

/// Requests whose head is looked at, at the same time: for so many callers the store has short reads at once, and as many
/// wait.
const DOORS: usize = 16;
/// Streams that make their next piece at the same time: half of the store's connections for lists.
const STREAMS: usize = 4;

/// What acceptors and connections have in common.
pub(super) struct Shared {
    service: Arc<dyn Service>,
    pub limits: Limits,
    pub counters: Arc<Counters>,
    pub registry: Arc<Registry>,
    /// The turns of those whose head is looked at, whoever they are; and of what is for anybody and done at once, such as
    /// readiness. No handler holds these.
    doors: Gate,
    /// The turns of handlers.
    turns: Turns,
    /// The turns of streams that make their next piece: their own and few, or who reads many would have all of them.
    pub streams: Gate,
    pub account: Account,
    /// Log lines about what was refused while it was read.
    refusals: Seldom,
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
            account: Account::new(limits.memory),
            refusals: Seldom::new(1),
            doors: Gate::new(DOORS),
            turns: Turns::new(limits.handlers),
            streams: Gate::new(STREAMS.min(limits.handlers)),
            service,
            limits,
            counters,
            stopping: AtomicBool::new(false),
        }
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// The service's words for a refusal. A service that panics over it gets a plain one.
    pub fn worded(&self, refused: &Refused<'_>) -> Response {
        let worded = catch_unwind(AssertUnwindSafe(|| self.service.refuse(refused)));
        let response = worded.unwrap_or_else(|panic| {
            self.counters.panics.fetch_add(1, Ordering::Relaxed);
            let (id, panic) = (refused.request_id, panic_message(&*panic));
            seldom::tell(Level::Error, format_args!("{id}: wording {:?} panicked: {panic}", refused.error));
            plain_500()
        });
        match refused.error {
            Error::Unavailable { retry_after, .. } | Error::TooMany { retry_after, .. }
                if response.header("Retry-After").is_none() =>
            {
                response.with("Retry-After", retry_after.to_string())
            }
            _ => response,
        }
    }

    /// Counts a refusal, and logs it unless there was a line within the last second: clients that are refused come in
    /// storms.
    pub fn note_refusal(&self, status: u16, refused: &Refused<'_>) {
        self.counters.count_refusal(status);
        let Some(passed_over) = self.refusals.line() else { return };
        let (id, error) = (refused.request_id, refused.error.to_string());
        let from = match refused.peer {
            Peer::Tcp(address) => address.to_string(),
            Peer::Unix { uid } => format!("uid {uid}"),
            Peer::Local => "here".to_owned(),
        };
        log::info!(
            "refused while reading: {status} for {from} {id}: {}; {passed_over} more since the last such line",
            masked(&error)
        );
    }
}

fn tell_cut(level: Level, manner: &Manner<'_>, why: &dyn Display) {
    seldom::tell(level, format_args!("{}: answer cut: {why}", manner.id));
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

pub(super) struct Entered<'a>(&'a Gate);

impl Gate {
    fn new(places: usize) -> Self {
        Self { crowd: Mutex::new(Crowd { free: places, waiting: 0 }), freed: Condvar::new() }
    }

    /// `None` when nobody came out within `wait`.
    pub fn enter(&self, wait: Duration) -> Option<Entered<'_>> {
        let mut crowd = lock(&self.crowd);
        if crowd.free == 0 {
            crowd.waiting += 1;
            let waited = self.freed.wait_timeout_while(crowd, wait, |crowd| crowd.free == 0);
            crowd = waited.unwrap_or_else(PoisonError::into_inner).0;
            crowd.waiting -= 1;
        }
        crowd.free = crowd.free.checked_sub(1)?;
        Some(Entered(self))
    }

    pub fn enter_however_long(&self) -> Entered<'_> {
        loop {
            if let Some(turn) = self.enter(Duration::from_secs(60)) {
                return turn;
            }
        }
    }
}

impl Drop for Entered<'_> {
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
