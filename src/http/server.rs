//! The server: accepts, reads strictly and within deadlines, calls the service, answers.
//!
//! The only file that names tiny_http, and only its answering half: its own listener has no deadlines, no limits and
//! several ways to be stopped by one client (README, "Known quirks"). How bytes become a request is `framing`, who
//! may be connected is `connections`.
//!
//! # Threads
//!
//! One a listener (`accept-tcp`, `accept-unix`) and one a connection (`http-N`), in which the handler runs. So a slow
//! client costs a thread and nothing else, and a request needs no wake-up of another thread. A panic of a handler is
//! a 500 and a log line.
//!
//! # Deadlines
//!
//! Sockets wake up once a second (`SO_RCVTIMEO`, `SO_SNDTIMEO`, on accepted sockets only: on a listener they would
//! end `accept`) and compare the time with an absolute instant, so a client that sends a byte a second gains nothing.
//! What is long by nature, a body or an answer, earns time by the bytes that move: a least rate.
//!
//! # What is never sent
//!
//! The last chunk of an answer that failed half-way (see `Outlet`), and a header value with a line end in it.

use std::any::Any;
use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use rustix::net::SendFlags;
use socket2::{Domain, SockAddr, Socket, Type};

use super::client::SocketPath;
use super::connections::{Admission, Connection, Phase, Place, Registry, Room, lock};
use super::framing::{self, BodyLength, Fault, HeadLimits, RequestHead, Version};
use super::{Body, Method, Peer, Request, Response, Service};
use crate::error::{Error, Result};
use crate::ids;

/// Where to listen. At least one must be given.
#[derive(Debug, Clone, Default)]
pub struct Listeners {
    /// Port 0 lets the system choose; `Server::address` tells.
    pub tcp: Option<SocketAddr>,
    /// Made with mode 0600. A socket that is there already is replaced: the caller holds the lock of the data
    /// directory, so nobody can be listening on it.
    pub unix: Option<PathBuf>,
}

/// What one client, and all of them together, may take. The defaults are for a machine of our own behind nothing.
#[derive(Debug, Clone)]
pub struct Limits {
    pub head: HeadLimits,
    /// Open at the same time, both listeners together.
    pub connections: usize,
    /// Open at the same time from one address; a /64 counts as one address in IPv6.
    pub connections_per_address: usize,
    /// Reverse proxies and the like, which `connections_per_address` does not bind.
    pub exempt: Vec<IpNet>,
    /// Handlers at work at the same time.
    pub handlers: usize,
    /// How long a whole request waits for its handler before it is answered with 503.
    pub handler_wait: Duration,
    /// From the last answer (or the connecting) to the first byte of a request.
    pub idle_time: Duration,
    /// From the first byte of a head to its last; 408 above it.
    pub head_time: Duration,
    /// From the end of the head to the end of the body, beside what `body_rate` earns, and never more than this
    /// without a byte; 408 above it.
    pub body_time: Duration,
    /// Bytes a second that a body must come at in the long run.
    pub body_rate: u64,
    /// As `body_time`, for the client's taking of the answer; time spent making the answer does not count.
    pub answer_time: Duration,
    /// Bytes a second that a client must take its answer at in the long run.
    pub answer_rate: u64,
    /// Bytes of bodies that are held at the same time, by all requests that are being read or answered; 503 above.
    pub bodies: usize,
    /// After the last answer of a connection: how long, and for how many bytes, what the client still sends is read
    /// and dropped, so that the answer is not lost to a reset.
    pub linger_time: Duration,
    pub linger_bytes: usize,
    /// Bytes of stack of a connection's thread. Handlers run in it, with SQLite and JSON.
    pub stack: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: HeadLimits::default(),
            connections: 1024,
            connections_per_address: 64,
            exempt: vec![IpAddr::from(Ipv4Addr::LOCALHOST).into(), IpAddr::from(Ipv6Addr::LOCALHOST).into()],
            handlers: 64,
            handler_wait: Duration::from_secs(2),
            idle_time: Duration::from_secs(30),
            head_time: Duration::from_secs(10),
            body_time: Duration::from_secs(20),
            body_rate: 32 * 1024,
            answer_time: Duration::from_secs(20),
            answer_rate: 8 * 1024,
            bodies: 256 * 1024 * 1024,
            linger_time: Duration::from_secs(2),
            linger_bytes: 1024 * 1024,
            stack: 512 * 1024,
        }
    }
}

/// What happened since the start, for the metrics.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections accepted.
    pub accepted: AtomicU64,
    /// Connections open now.
    pub open: AtomicU64,
    /// Connections closed to make room for another.
    pub pushed_out: AtomicU64,
    /// Newcomers refused because everybody else was at work.
    pub turned_away: AtomicU64,
    /// Calls of `accept`, or starts of a thread, that the system refused.
    pub accept_failures: AtomicU64,
    /// Requests read whole.
    pub requests: AtomicU64,
    /// Handlers that panicked.
    pub panics: AtomicU64,
    /// Answers that could not be finished: the client went or was too slow, or the making failed.
    pub cut_answers: AtomicU64,
    refused: [AtomicU64; REFUSALS.len()],
}

/// The statuses that the server itself refuses with.
const REFUSALS: [u16; 9] = [400, 408, 413, 414, 417, 431, 501, 503, 505];

impl Counters {
    /// How many requests were refused with which status before a handler saw them.
    pub fn refused(&self) -> impl Iterator<Item = (u16, u64)> {
        REFUSALS.into_iter().zip(self.refused.iter().map(|count| count.load(Ordering::Relaxed)))
    }

    fn count_refusal(&self, status: u16) {
        if let Some(at) = REFUSALS.iter().position(|known| *known == status) {
            self.refused[at].fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A running server. Dropping it stops it without grace.
pub struct Server {
    shared: Arc<Shared>,
    acceptors: Mutex<Vec<Acceptor>>,
    address: Option<SocketAddr>,
    /// Removed when the server stops.
    socket_file: Mutex<Option<PathBuf>>,
}

struct Acceptor {
    listener: Arc<Socket>,
    thread: JoinHandle<()>,
}

impl Server {
    /// Binds, and answers from now on.
    ///
    /// # Errors
    /// `Io` when an address cannot be bound or a thread cannot be started, `Refused` when the path of the socket
    /// holds something else or no listener was given. Nothing is left behind then.
    pub fn start(listeners: Listeners, limits: Limits, service: Arc<dyn Service>) -> Result<Self> {
        Self::start_counting(listeners, limits, service, Arc::default())
    }

    /// As `start`, with counters that the service holds as well.
    pub fn start_counting(
        listeners: Listeners,
        limits: Limits,
        service: Arc<dyn Service>,
        counters: Arc<Counters>,
    ) -> Result<Self> {
        let mut bound = Vec::new();
        let mut address = None;
        if let Some(wanted) = listeners.tcp {
            let listener = bind_tcp(wanted)?;
            let local = listener.local_addr().map_err(Error::io(format!("listening on {wanted}")))?;
            address = local.as_socket();
            bound.push(("accept-tcp", listener));
        }
        if let Some(path) = &listeners.unix {
            bound.push(("accept-unix", bind_unix(path)?));
        }
        if bound.is_empty() {
            return Err(Error::refused(
                "there is nothing to listen on",
                "give a TCP address or the path of a socket",
            ));
        }
        let shared = Arc::new(Shared::new(limits, service, counters));
        let socket_file = Mutex::new(listeners.unix);
        let server = Self { shared, acceptors: Mutex::default(), address, socket_file };
        for (name, listener) in bound {
            let listener = Arc::new(listener);
            let (shared, ours) = (Arc::clone(&server.shared), Arc::clone(&listener));
            let thread = thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || accept_all(&shared, &ours))
                .map_err(Error::io(format!("starting the thread {name}")))?;
            lock(&server.acceptors).push(Acceptor { listener, thread });
        }
        Ok(server)
    }

    /// The bound TCP address, with its real port.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    pub fn counters(&self) -> &Arc<Counters> {
        &self.shared.counters
    }

    /// Stops accepting, closes the idle, answers what is in flight and returns when all are gone, or when `grace` is
    /// over: then the rest is cut off. Says how many those were. A second call finds nothing to do.
    pub fn stop(&self, grace: Duration) -> usize {
        self.shared.stopping.store(true, Ordering::SeqCst);
        for Acceptor { listener, thread } in lock(&self.acceptors).drain(..) {
            // Wakes `accept` (Linux); the socket closes with the last of its two owners.
            let _ = listener.shutdown(Shutdown::Both);
            if thread.join().is_err() {
                log::error!("an acceptor had panicked");
            }
        }
        if let Some(path) = lock(&self.socket_file).take()
            && let Err(error) = std::fs::remove_file(&path)
        {
            log::warn!("cannot remove {}: {error}", path.display());
        }
        self.shared.registry.send_idle_away();
        let left = self.shared.registry.wait_until_empty(grace);
        if left > 0 {
            self.shared.registry.send_all_away();
        }
        left
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}

/// As many as the system lets wait for `accept`: std's 128 loses connections in a burst.
const BACKLOG: i32 = 1024;

fn bind_tcp(address: SocketAddr) -> Result<Socket> {
    let bind = || {
        let listener = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        listener.set_reuse_address(true)?;
        listener.bind(&address.into())?;
        listener.listen(BACKLOG)?;
        Ok(listener)
    };
    bind().map_err(Error::io(format!("listening on {address}")))
}

fn bind_unix(path: &Path) -> Result<Socket> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => {
            std::fs::remove_file(path).map_err(Error::io(path.display().to_string()))?;
        }
        Ok(_) => {
            return Err(Error::refused(
                format!("{} is there and is not a socket", path.display()),
                "move it away, or choose another path for the socket",
            ));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(Error::io(path.display().to_string())(error)),
    }
    let address = SocketPath::of(path)?;
    let bind = || {
        let listener = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        listener.bind(&SockAddr::unix(&address.path)?)?;
        // Nobody can connect before `listen`, so nobody can slip in before the mode is set.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        listener.listen(BACKLOG)?;
        Ok(listener)
    };
    bind().map_err(|error| {
        let _ = std::fs::remove_file(path);
        Error::io(format!("listening on {}", path.display()))(error)
    })
}

fn is_unix(socket: &Socket) -> bool {
    socket.local_addr().is_ok_and(|address| address.is_unix())
}

/// What acceptors and connections have in common.
struct Shared {
    service: Arc<dyn Service>,
    limits: Limits,
    counters: Arc<Counters>,
    registry: Arc<Registry>,
    gate: Gate,
    /// Bytes of bodies held now.
    bodies: AtomicUsize,
    stopping: AtomicBool,
    /// How often a blocked socket looks at the time.
    tick: Duration,
}

impl Shared {
    fn new(limits: Limits, service: Arc<dyn Service>, counters: Arc<Counters>) -> Self {
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
            gate: Gate { free: Mutex::new(limits.handlers), freed: Condvar::new() },
            service,
            limits,
            counters,
            bodies: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// The service's words for a refusal. A service that panics over it gets a plain one.
    fn worded(&self, request_id: &str, path: Option<&str>, error: &Error) -> Response {
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

/// How long an acceptor leaves a system alone that has no descriptor or thread for it.
const PAUSE: Duration = Duration::from_millis(20);

fn accept_all(shared: &Arc<Shared>, listener: &Socket) {
    let is_unix = is_unix(listener);
    let mut complained: Option<Instant> = None;
    // Trouble of this kind comes in storms: at most a line a second.
    let mut complain = |what: &str, error: &io::Error| {
        shared.counters.accept_failures.fetch_add(1, Ordering::Relaxed);
        if complained.is_none_or(|last| last.elapsed() >= Duration::from_secs(1)) {
            complained = Some(Instant::now());
            log::warn!("{what}: {error}");
        }
        thread::sleep(PAUSE);
    };
    while !shared.is_stopping() {
        match listener.accept() {
            Ok(_) if shared.is_stopping() => return,
            Ok((socket, address)) => {
                shared.counters.accepted.fetch_add(1, Ordering::Relaxed);
                let Some(peer) = peer(&socket, &address, is_unix) else { continue };
                if let Err(error) = welcome(shared, socket, peer) {
                    complain("starting a thread for a connection", &error);
                }
            }
            Err(_) if shared.is_stopping() => return,
            // The client was gone before we came to it.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted) => {}
            Err(error) => complain("accepting a connection", &error),
        }
    }
}

/// `None` when the client is gone already.
fn peer(socket: &Socket, address: &SockAddr, is_unix: bool) -> Option<Peer> {
    if is_unix {
        let credentials = rustix::net::sockopt::socket_peercred(socket).ok()?;
        return Some(Peer::Unix { uid: credentials.uid.as_raw() });
    }
    Some(Peer::Tcp(address.as_socket()?.ip().to_canonical()))
}

/// Finds a place for a newcomer and starts its thread.
fn welcome(shared: &Arc<Shared>, socket: Socket, peer: Peer) -> io::Result<()> {
    if prepare(&socket, peer, shared.tick).is_err() {
        return Ok(());
    }
    let place = match shared.registry.admit(socket, peer) {
        Admission::In { place, pushed_out } => {
            shared.counters.pushed_out.fetch_add(pushed_out, Ordering::Relaxed);
            place
        }
        Admission::Full(socket) => {
            turn_away(shared, &socket);
            return Ok(());
        }
    };
    let theirs = Arc::clone(shared);
    let name = format!("http-{}", place.connection.number);
    let spawned = thread::Builder::new().name(name).stack_size(shared.limits.stack).spawn(move || {
        theirs.counters.open.fetch_add(1, Ordering::Relaxed);
        converse(&theirs, &place);
        theirs.counters.open.fetch_sub(1, Ordering::Relaxed);
    });
    spawned.map(drop)
}

/// An answer leaves at once, whatever its size (without TCP_NODELAY one of 10 kB takes 44 ms); blocked calls return
/// every tick.
fn prepare(socket: &Socket, peer: Peer, tick: Duration) -> io::Result<()> {
    if matches!(peer, Peer::Tcp(_)) {
        socket.set_tcp_nodelay(true)?;
    }
    socket.set_read_timeout(Some(tick))?;
    socket.set_write_timeout(Some(tick))
}

/// Says 503 without waiting for anything: the acceptor has others to welcome.
fn turn_away(shared: &Shared, socket: &Socket) {
    shared.counters.turned_away.fetch_add(1, Ordering::Relaxed);
    let id = new_request_id();
    let error = Error::Unavailable { retry_after: 1, message: "the server is full".to_owned() };
    let manner =
        Manner { version: Version::Http11, head_only: false, persistence: Persistence::Close, id: &id };
    let mut answer = Vec::new();
    if write_answer(&mut answer, shared.worded(&id, None, &error), &manner, shared).is_ok() {
        // It fits the empty buffer of a new socket; if it does not, there is nobody to tell.
        let _ = rustix::net::send(socket, &answer, SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
        let _ = socket.shutdown(Shutdown::Write);
    }
}

/// The whole life of a connection.
fn converse(shared: &Shared, place: &Place) {
    let connection = &*place.connection;
    let inlet = Inlet { connection, until: Instant::now(), most: Duration::ZERO, rate: 0 };
    let mut conversation =
        Conversation { shared, connection, reader: BufReader::with_capacity(16 * 1024, inlet) };
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
        self.answer(head, body, &id)
    }

    /// True when the first byte of a request is there.
    fn await_request(&mut self) -> bool {
        if !self.reader.buffer().is_empty() {
            return !self.shared.is_stopping();
        }
        // `stop` closes the idle after it has set the flag: either it sees us idle or we see the flag.
        if !self.connection.enter(Phase::Idle) || self.shared.is_stopping() {
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
        self.shared.counters.requests.fetch_add(1, Ordering::Relaxed);
        let (version, method, keep_alive) = (head.version, head.method, head.keep_alive);
        let response = match self.shared.gate.enter(self.shared.limits.handler_wait) {
            Some(_turn) => self.handle(Request {
                id: id.to_owned(),
                method: head.method,
                path: head.path,
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
        // Asked after the handler: the server may have begun to stop meanwhile.
        let persistence = match version {
            _ if !keep_alive || self.shared.is_stopping() => Persistence::Close,
            Version::Http10 => Persistence::SaidKeepAlive,
            Version::Http11 => Persistence::KeepAlive,
        };
        self.send(response, &Manner { version, head_only: method == Method::Head, persistence, id })
    }

    fn handle(&self, request: Request) -> Response {
        let (id, path) = (request.id.clone(), request.path.clone());
        let answered = catch_unwind(AssertUnwindSafe(|| self.shared.service.answer(request)));
        answered.unwrap_or_else(|panic| {
            self.shared.counters.panics.fetch_add(1, Ordering::Relaxed);
            let message = format!("the handler panicked: {}", panic_message(&*panic));
            log::error!("{id}: {path}: {message}");
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
        let manner = Manner { version: Version::Http11, head_only, persistence: Persistence::Close, id };
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
        (Some(id), None) if is_sane(id) => id.clone(),
        _ => new_request_id(),
    }
}

fn new_request_id() -> String {
    ids::random_hex::<16>()
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
struct Gate {
    free: Mutex<usize>,
    freed: Condvar,
}

struct Turn<'a>(&'a Gate);

impl Gate {
    /// `None` when nobody came out within `wait`.
    fn enter(&self, wait: Duration) -> Option<Turn<'_>> {
        let waited = self.freed.wait_timeout_while(lock(&self.free), wait, |free| *free == 0);
        let mut free = waited.unwrap_or_else(PoisonError::into_inner).0;
        *free = free.checked_sub(1)?;
        Some(Turn(self))
    }

    fn enter_however_long(&self) -> Turn<'_> {
        loop {
            if let Some(turn) = self.enter(Duration::from_secs(60)) {
                return turn;
            }
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *lock(&self.0.free) += 1;
        self.0.freed.notify_one();
    }
}

/// The reading half of a socket, with a deadline.
struct Inlet<'a> {
    connection: &'a Connection,
    until: Instant,
    most: Duration,
    rate: u64,
}

impl Inlet<'_> {
    /// From now on, `time` is left; every `rate` bytes earn a second more (0: nothing does), but never is more left
    /// than `time`.
    fn allow(&mut self, time: Duration, rate: u64) {
        (self.until, self.most, self.rate) = (Instant::now() + time, time, rate);
    }
}

impl Read for Inlet<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            if Instant::now() >= self.until {
                return Err(io::ErrorKind::TimedOut.into());
            }
            match (&self.connection.socket).read(out) {
                Ok(read) => {
                    if self.rate > 0 {
                        self.until = (self.until + earned(read, self.rate)).min(Instant::now() + self.most);
                    }
                    return Ok(read);
                }
                Err(error) if is_tick(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// The writing half of a socket: what it waits for the client is bounded, and earned back by the bytes that leave.
struct SocketOutlet<'a> {
    socket: &'a Socket,
    left: Duration,
    most: Duration,
    rate: u64,
}

impl<'a> SocketOutlet<'a> {
    fn new(connection: &'a Connection, limits: &Limits) -> Self {
        let (left, rate) = (limits.answer_time, limits.answer_rate);
        Self { socket: &connection.socket, left, most: left, rate }
    }
}

impl Write for SocketOutlet<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let until = Instant::now() + self.left;
        loop {
            let sent = rustix::net::send(self.socket, bytes, SendFlags::NOSIGNAL).map_err(io::Error::from);
            let left = until.saturating_duration_since(Instant::now());
            match sent {
                Ok(sent) => {
                    self.left = (left + earned(sent, self.rate)).min(self.most);
                    return Ok(sent);
                }
                Err(error) if is_tick(&error) && left.is_zero() => return Err(io::ErrorKind::TimedOut.into()),
                Err(error) if is_tick(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What `bytes` earn at `rate` bytes a second.
fn earned(bytes: usize, rate: u64) -> Duration {
    let micros = (bytes as u64).saturating_mul(1_000_000) / rate.max(1);
    Duration::from_micros(if rate == 0 { 0 } else { micros })
}

/// The socket's own timeout, or a signal: nothing happened but time.
fn is_tick(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted)
}

/// How an answer is to be sent, apart from what it says.
struct Manner<'a> {
    version: Version,
    /// To a HEAD: no body, whatever the answer holds.
    head_only: bool,
    persistence: Persistence,
    id: &'a str,
}

/// What the answer says about the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Persistence {
    /// Nothing: 1.1 clients keep it.
    KeepAlive,
    /// To a 1.0 client that asked for it.
    SaidKeepAlive,
    Close,
}

/// How an answer ended that was sent without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    Whole,
    /// Whole, and only the end of the connection says so.
    UntilClose,
}

/// Writes an answer through tiny_http, a small one in a single `write`. What the service may not say (a header with
/// a line end, a framing of its own) becomes a 500 and a log line, and so does a stream that fails before its first
/// piece.
///
/// # Errors
/// When the client is gone or too slow, or a stream failed: what has left by then is not a whole answer, and nothing
/// may be sent after it.
fn write_answer(
    out: impl Write,
    response: Response,
    manner: &Manner<'_>,
    shared: &Shared,
) -> io::Result<Sent> {
    let cut = Cell::new(false);
    let (status, headers, body) = ready(response, manner, shared, &cut);
    let without_body = matches!(status, 204 | 304);
    let (mut content, length) = match body {
        ReadyBody::Bytes(bytes) => {
            let length = bytes.len();
            (Content::Bytes(io::Cursor::new(bytes)), Some(length))
        }
        ReadyBody::Stream(stream) if manner.version == Version::Http11 => (Content::Stream(stream), None),
        // Without any length tiny_http would gather the whole stream in memory; this one is taken out again.
        ReadyBody::Stream(stream) => (Content::Stream(stream), Some(usize::MAX)),
    };
    if without_body {
        content = Content::Bytes(io::Cursor::new(Vec::new()));
    }
    let until_close = length == Some(usize::MAX) && !without_body;
    let mut outlet = Outlet {
        out,
        buffer: Vec::with_capacity(1024 + length.unwrap_or(PIECE).min(PIECE)),
        head_is_out: false,
        without_length: until_close || without_body,
        connection: match manner.persistence {
            _ if until_close => Some("close"),
            Persistence::Close => Some("close"),
            Persistence::SaidKeepAlive => Some("keep-alive"),
            Persistence::KeepAlive => None,
        },
        cut: &cut,
    };
    let version = tiny_http::HTTPVersion(1, u8::from(manner.version == Version::Http11));
    tiny_http::Response::new(
        status.into(),
        headers,
        content,
        if without_body { Some(0) } else { length },
        None,
    )
    .with_chunked_threshold(usize::MAX)
    .raw_print(&mut outlet, version, &[], manner.head_only, None)?;
    outlet.finish()?;
    Ok(if until_close { Sent::UntilClose } else { Sent::Whole })
}

type Ready<'a> = (u16, Vec<tiny_http::Header>, ReadyBody<'a>);

enum ReadyBody<'a> {
    Bytes(Vec<u8>),
    Stream(StreamReader<'a>),
}

/// The answer, or the 500 that takes its place.
fn ready<'a>(response: Response, manner: &Manner<'_>, shared: &'a Shared, cut: &'a Cell<bool>) -> Ready<'a> {
    let problem = match attempt(response, manner, shared, cut) {
        Ok(ready) => return ready,
        Err(problem) => problem,
    };
    log::error!("{}: {problem}", manner.id);
    // Nothing has left yet, so there is nothing to cut.
    cut.set(false);
    let worded = shared.worded(manner.id, None, &Error::Internal(problem));
    match attempt(worded, manner, shared, cut) {
        Ok(ready) => ready,
        Err(problem) => {
            log::error!("{}: {problem}", manner.id);
            (500, Vec::new(), ReadyBody::Bytes(b"internal error\n".to_vec()))
        }
    }
}

fn attempt<'a>(
    response: Response,
    manner: &Manner<'_>,
    shared: &'a Shared,
    cut: &'a Cell<bool>,
) -> Result<Ready<'a>, String> {
    if !(200..=599).contains(&response.status) {
        return Err(format!("the service answered with the status {}", response.status));
    }
    let headers = tiny_headers(&response, manner.id)?;
    let body = match response.body {
        Body::Bytes(bytes) => ReadyBody::Bytes(bytes),
        Body::Stream(pieces) => {
            let mut stream = StreamReader::new(pieces, &shared.gate, cut);
            if !manner.head_only {
                stream.next_piece().map_err(|error| format!("the stream did not begin: {error}"))?;
            }
            ReadyBody::Stream(stream)
        }
    };
    Ok((response.status, headers, body))
}

/// What frames an answer is the server's to say.
const OURS: [&str; 5] = ["content-length", "transfer-encoding", "connection", "trailer", "upgrade"];

/// tiny_http takes line ends for part of a value, so nothing reaches it unchecked.
fn tiny_headers(response: &Response, id: &str) -> Result<Vec<tiny_http::Header>, String> {
    let mut all: Vec<(&str, &str)> = vec![("Server", "mailtrail")];
    all.extend(response.headers.iter().map(|(name, value)| (*name, value.as_str())));
    if response.header("X-Request-Id").is_none() {
        all.push(("X-Request-Id", id));
    }
    let checked = all.into_iter().map(|(name, value)| {
        let sound = !name.is_empty()
            && name.bytes().all(framing::is_token_byte)
            && value.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~'))
            && !OURS.iter().any(|ours| ours.eq_ignore_ascii_case(name));
        let header = sound.then(|| tiny_http::Header::from_bytes(name, value).ok()).flatten();
        header.ok_or_else(|| format!("the service may not set the header {name:?} to {value:?}"))
    });
    checked.collect()
}

enum Content<'a> {
    Bytes(io::Cursor<Vec<u8>>),
    Stream(StreamReader<'a>),
}

impl Read for Content<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Bytes(bytes) => bytes.read(out),
            Self::Stream(stream) => stream.read(out),
        }
    }
}

/// A stream as a reader. Making a piece is a handler's work and takes its turn like one; a slow client between two
/// pieces holds up nobody.
struct StreamReader<'a> {
    pieces: Box<dyn Iterator<Item = Result<Vec<u8>>> + Send>,
    piece: io::Cursor<Vec<u8>>,
    ended: bool,
    gate: &'a Gate,
    cut: &'a Cell<bool>,
}

impl<'a> StreamReader<'a> {
    fn new(
        pieces: Box<dyn Iterator<Item = Result<Vec<u8>>> + Send>,
        gate: &'a Gate,
        cut: &'a Cell<bool>,
    ) -> Self {
        Self { pieces, piece: io::Cursor::default(), ended: false, gate, cut }
    }

    /// Fetches the next piece that is not empty, or notes the end.
    fn next_piece(&mut self) -> Result<()> {
        let _turn = self.gate.enter_however_long();
        while !self.ended && self.piece.position() == self.piece.get_ref().len() as u64 {
            // Set while the piece is being made, so that a panic cuts the answer as an error does.
            self.cut.set(true);
            match self.pieces.next() {
                Some(piece) => self.piece = io::Cursor::new(piece?),
                None => self.ended = true,
            }
            self.cut.set(false);
        }
        Ok(())
    }
}

impl Read for StreamReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.piece.read(out)?;
        if read > 0 || self.ended {
            return Ok(read);
        }
        self.next_piece().map_err(|error| io::Error::other(format!("the stream failed: {error}")))?;
        self.piece.read(out)
    }
}

/// Bytes that are gathered before they leave.
const PIECE: usize = 64 * 1024;

/// Between tiny_http and the socket.
///
/// - It gathers, so that a small answer is one `write`.
/// - It finishes the head: tiny_http drops `Connection` from any list of headers, and prints a Content-Length where
///   there may be none (204 and 304: RFC 9110 section 8.6; a stream to a 1.0 client).
/// - It lets nothing pass once the answer is `cut`: tiny_http's chunk encoder writes the last chunk when it is
///   dropped, also after an error, and a cut answer would look whole.
struct Outlet<'a, W> {
    out: W,
    buffer: Vec<u8>,
    head_is_out: bool,
    without_length: bool,
    connection: Option<&'static str>,
    cut: &'a Cell<bool>,
}

impl<W: Write> Outlet<'_, W> {
    fn finish(mut self) -> io::Result<()> {
        self.let_go()
    }

    fn let_go(&mut self) -> io::Result<()> {
        // Stays set when the write fails.
        self.cut.set(true);
        self.out.write_all(&self.buffer)?;
        self.cut.set(false);
        self.buffer.clear();
        Ok(())
    }

    /// The buffer holds just the head, with its empty line.
    fn finish_head(&mut self) {
        let is_length = |line: &[u8]| {
            const NAME: &[u8] = b"Content-Length:";
            line.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME))
        };
        let mut head = Vec::with_capacity(self.buffer.capacity());
        for line in self.buffer.split_inclusive(|byte| *byte == b'\n') {
            if self.without_length && is_length(line) {
                continue;
            }
            if let (b"\r\n", Some(connection)) = (line, self.connection) {
                head.extend_from_slice(b"Connection: ");
                head.extend_from_slice(connection.as_bytes());
                head.extend_from_slice(b"\r\n");
            }
            head.extend_from_slice(line);
        }
        self.buffer = head;
    }
}

impl<W: Write> Write for Outlet<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.cut.get() {
            return Err(io::Error::other("the answer was cut"));
        }
        self.buffer.extend_from_slice(bytes);
        if !self.head_is_out {
            // No header value holds a line end, so the first empty line is the end of the head; tiny_http writes it
            // by itself, so nothing of the body is in the buffer yet.
            self.head_is_out = self.buffer.ends_with(b"\r\n\r\n");
            if self.head_is_out && (self.without_length || self.connection.is_some()) {
                self.finish_head();
            }
        } else if self.buffer.len() >= PIECE {
            self.let_go()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Silent;

    impl Service for Silent {
        fn body_limit(&self, _: Method, _: &str) -> usize {
            0
        }

        fn answer(&self, _: Request) -> Response {
            Response::empty(204)
        }

        fn refuse(&self, _: &str, _: Option<&str>, error: &Error) -> Response {
            Response::new(500, "text/plain", error.code())
        }
    }

    /// Every `write` by itself.
    #[derive(Default)]
    struct Writes(Vec<Vec<u8>>);

    impl Write for &mut Writes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.push(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn shared() -> Shared {
        Shared::new(Limits::default(), Arc::new(Silent), Arc::default())
    }

    fn written(
        response: Response,
        version: Version,
        persistence: Persistence,
    ) -> (io::Result<Sent>, Vec<Vec<u8>>) {
        let manner = Manner { version, head_only: false, persistence, id: "id" };
        let mut writes = Writes::default();
        let sent = write_answer(&mut writes, response, &manner, &shared());
        (sent, writes.0)
    }

    #[test]
    fn a_small_answer_is_one_write() {
        for size in [0, 1, 900, 10_000, 60_000] {
            let response = Response::new(200, "text/plain", vec![b'x'; size]);
            let (sent, writes) = written(response, Version::Http11, Persistence::KeepAlive);
            assert_eq!(sent.unwrap(), Sent::Whole);
            assert_eq!(writes.len(), 1, "{size} bytes of body");
            let text = String::from_utf8_lossy(&writes[0]);
            assert!(text.contains(&format!("\r\nContent-Length: {size}\r\n\r\n")), "{text}");
        }
    }

    #[test]
    fn accepted_tcp_sockets_do_not_wait_for_more() {
        let listener = bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap();
        let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        client.connect(&listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let tick = Duration::from_secs(1);
        prepare(&accepted, Peer::Tcp(Ipv4Addr::LOCALHOST.into()), tick).unwrap();
        assert!(accepted.tcp_nodelay().unwrap());
        assert_eq!(accepted.read_timeout().unwrap(), Some(tick));
        assert_eq!(accepted.write_timeout().unwrap(), Some(tick));
        assert_eq!(listener.read_timeout().unwrap(), None, "it would end accept");
    }

    #[test]
    fn the_head_says_what_becomes_of_the_connection() {
        for (persistence, version, expected) in [
            (Persistence::KeepAlive, Version::Http11, ""),
            (Persistence::Close, Version::Http11, "Connection: close\r\n"),
            (Persistence::SaidKeepAlive, Version::Http10, "Connection: keep-alive\r\n"),
        ] {
            let (_, writes) = written(Response::new(200, "text/plain", "x"), version, persistence);
            let text = String::from_utf8_lossy(&writes[0]).into_owned();
            assert!(text.ends_with(&format!("Content-Length: 1\r\n{expected}\r\nx")), "{text}");
            assert_eq!(text.matches("Connection").count(), expected.matches("Connection").count(), "{text}");
        }
    }

    #[test]
    fn answers_that_break_the_framing_become_a_500() {
        for response in [
            Response::empty(200).with("X-A", "a\r\nInjected: 1"),
            Response::empty(200).with("X-A", "a\nb"),
            Response::empty(200).with("X-A", "a\0"),
            Response::empty(200).with("X-A", "\u{e9}"),
            Response::empty(200).with("X A", "a"),
            Response::empty(200).with("", "a"),
            Response::empty(200).with("Content-Length", "5"),
            Response::empty(200).with("transfer-encoding", "chunked"),
            Response::empty(200).with("Connection", "close"),
            Response::empty(100),
            Response::empty(0),
            Response::empty(999),
        ] {
            let (sent, writes) = written(response, Version::Http11, Persistence::KeepAlive);
            assert_eq!(sent.unwrap(), Sent::Whole);
            let text = String::from_utf8_lossy(&writes[0]).into_owned();
            assert!(text.starts_with("HTTP/1.1 500 ") && text.ends_with("internal_error"), "{text}");
            assert!(!text.contains("Injected"), "{text}");
        }
    }

    #[test]
    fn nothing_follows_a_failed_piece() {
        // The first pieces fill a buffer and leave; the failure comes after that.
        let pieces = (0..30).map(|n| match n {
            29 => Err(Error::Internal("the disk is gone".into())),
            _ => Ok(vec![b'x'; 8192]),
        });
        let response = Response { status: 200, headers: Vec::new(), body: Body::Stream(Box::new(pieces)) };
        let (sent, writes) = written(response, Version::Http11, Persistence::KeepAlive);
        assert!(sent.is_err());
        assert!(!writes.is_empty());
        assert!(!writes.concat().ends_with(b"0\r\n\r\n"));
    }

    #[test]
    fn a_stream_to_a_1_0_client_is_not_gathered() {
        let pieces = (0..100).map(|_| Ok(vec![b'x'; 8192]));
        let response = Response { status: 200, headers: Vec::new(), body: Body::Stream(Box::new(pieces)) };
        let (sent, writes) = written(response, Version::Http10, Persistence::SaidKeepAlive);
        assert_eq!(sent.unwrap(), Sent::UntilClose);
        assert!(writes.iter().all(|write| write.len() <= 2 * PIECE));
        let whole = writes.concat();
        let head_end = whole.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        let head = String::from_utf8_lossy(&whole[..head_end]).into_owned();
        assert!(head.ends_with("Connection: close\r\n\r\n"), "{head}");
        assert!(!head.contains("Content-Length") && !head.contains("Transfer-Encoding"), "{head}");
        assert_eq!(whole.len() - head_end, 100 * 8192);
    }
}
