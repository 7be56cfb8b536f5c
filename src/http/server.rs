//! The server: accepts, reads strictly and within deadlines, calls the service, answers.
//!
//! The only file that names tiny_http, and only its answering half: its own listener has no deadlines, no limits and
//! several ways to be stopped by one client (README, "Known quirks"). How bytes become a request is `framing`, what
//! happens on a connection is `conversation`, who may be connected is `connections`, deadlines are in `wire`.
//!
//! # Threads
//!
//! One a listener (`accept-tcp`, `accept-unix`) and one a connection (`http-N`), in which the handler runs. So a slow
//! client costs a thread and nothing else, and a request needs no wake-up of another thread. A panic of a handler is
//! a 500 and a log line.
//!
//! # What is never sent
//!
//! The last chunk of an answer that failed half-way (see `Outlet`), and a header value with a line end in it.

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::net::SendFlags;
use socket2::{Domain, SockAddr, Socket, Type};

use super::account::Held;
use super::client::SocketPath;
use super::connections::{Admission, Connection, Phase, lock};
use super::conversation::{Entered, Shared, converse, new_request_id};
use super::framing::{self, Version};
pub use super::limits::{Counters, Limits};
use super::{Body, Holder, Peer, Refused, Response, SECURITY_HEADERS, Service};
use crate::error::{Error, Result};
use crate::seldom;
use crate::time::http_date;

/// Where to listen. At least one must be given.
#[derive(Debug, Default)]
pub struct Listeners {
    /// Port 0 lets the system choose; `Server::address` tells.
    pub tcp: Option<SocketAddr>,
    /// Listens already, and is somebody else's: connections wait in it while no server runs. In place of `tcp`.
    pub inherited: Option<TcpListener>,
    /// Made with mode 0600. A socket that is there already is replaced: the caller holds the lock of the data
    /// directory, so nobody can be listening on it.
    pub unix: Option<PathBuf>,
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
    is_inherited: bool,
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
        mut limits: Limits,
        service: Arc<dyn Service>,
        counters: Arc<Counters>,
    ) -> Result<Self> {
        limits.connections = limits.connections.min(descriptors());
        let mut bound = Vec::new();
        let mut address = None;
        let tcp = match (listeners.inherited, listeners.tcp) {
            (Some(inherited), _) => Some((take_over(inherited)?, true)),
            (None, Some(wanted)) => Some((bind_tcp(wanted)?, false)),
            (None, None) => None,
        };
        if let Some((listener, is_inherited)) = tcp {
            let local = listener.local_addr().map_err(Error::io("the address of the listener"))?;
            address = local.as_socket();
            bound.push(("accept-tcp", listener, is_inherited));
        }
        if let Some(path) = &listeners.unix {
            bound.push(("accept-unix", bind_unix(path)?, false));
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
        for (name, listener, is_inherited) in bound {
            let listener = Arc::new(listener);
            let (shared, ours) = (Arc::clone(&server.shared), Arc::clone(&listener));
            let thread = thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || accept_all(&shared, &ours))
                .map_err(Error::io(format!("starting the thread {name}")))?;
            lock(&server.acceptors).push(Acceptor { listener, is_inherited, thread });
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
        for Acceptor { listener, is_inherited, thread } in lock(&self.acceptors).drain(..) {
            // Wakes `accept` (Linux); the socket closes with the last of its two owners. One that is not ours stays open
            // for who comes after us, and its `accept` wakes by itself.
            if !is_inherited {
                // Who is connected already and waits to be accepted would be reset.
                let is_drained = listener.set_nonblocking(true).is_ok();
                while is_drained && let Ok((socket, address)) = listener.accept() {
                    let _ = take_in(&self.shared, socket, &address, is_unix(&listener));
                }
                let _ = listener.shutdown(Shutdown::Both);
            }
            if thread.join().is_err() {
                log::error!("an acceptor had panicked");
            }
        }
        if let Some(path) = lock(&self.socket_file).take()
            && let Err(error) = std::fs::remove_file(&path)
        {
            log::warn!("cannot remove {}: {error}", path.display());
        }
        self.shared.registry.send_idle_away(FIRST_REQUEST);
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

/// How many connections the process has descriptors for, beside what the store needs. Past it `accept` fails, and
/// nobody would be closed to let a newcomer in.
pub fn descriptors() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    limit - (limit / 2).min(256)
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

/// A connection that was made just before we stop may still send its first request: to its client, closing it would
/// look like a failure.
const FIRST_REQUEST: Duration = Duration::from_millis(500);

/// How often `accept` wakes on a socket that must not be shut down.
const LOOK: Duration = Duration::from_millis(100);

fn take_over(inherited: TcpListener) -> Result<Socket> {
    let listener = Socket::from(inherited);
    let prepared = listener.set_nonblocking(false).and_then(|()| listener.set_read_timeout(Some(LOOK)));
    prepared.map_err(Error::io("the inherited listener"))?;
    Ok(listener)
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
            // Also one that came while we stopped: its client has a connection, and knows of no restart.
            Ok((socket, address)) => {
                if let Err(error) = take_in(shared, socket, &address, is_unix) {
                    complain("starting a thread for a connection", &error);
                }
            }
            Err(_) if shared.is_stopping() => return,
            // The client was gone before we came to it, or nobody came.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted | io::ErrorKind::WouldBlock
                ) => {}
            Err(error) => complain("accepting a connection", &error),
        }
    }
}

fn take_in(shared: &Arc<Shared>, socket: Socket, address: &SockAddr, is_unix: bool) -> io::Result<()> {
    shared.counters.accepted.fetch_add(1, Ordering::Relaxed);
    match peer(&socket, address, is_unix) {
        Some(peer) => welcome(shared, socket, peer),
        None => Ok(()),
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
            turn_away(shared, &socket, peer);
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

/// What the kernel keeps of an answer beside what is on its way to the client. Left to itself it takes megabytes for
/// each client that reads nothing, and the making of them.
const UNSENT: u32 = 128 * 1024;

/// An answer leaves at once, whatever its size (without TCP_NODELAY one of 10 kB takes 44 ms); blocked calls return
/// every tick.
fn prepare(socket: &Socket, peer: Peer, tick: Duration) -> io::Result<()> {
    if matches!(peer, Peer::Tcp(_)) {
        socket.set_tcp_nodelay(true)?;
        socket.set_tcp_notsent_lowat(UNSENT)?;
    }
    socket.set_read_timeout(Some(tick))?;
    socket.set_write_timeout(Some(tick))
}

/// Says 503 without waiting for anything: the acceptor has others to welcome.
fn turn_away(shared: &Shared, socket: &Socket, peer: Peer) {
    shared.counters.turned_away.fetch_add(1, Ordering::Relaxed);
    let id = new_request_id();
    let error = Error::Unavailable { retry_after: 1, message: "the server is full".to_owned() };
    let manner = Manner {
        version: Version::Http11,
        head_only: false,
        persistence: Persistence::Close,
        id: &id,
        path: "",
        peer,
        connection: None,
        holder: None,
    };
    let refused = manner.refused(&error);
    let response = shared.worded(&refused);
    shared.note_refusal(response.status, &refused);
    let mut answer = Vec::new();
    if write_answer(&mut answer, response, &manner, shared).is_ok() {
        // It fits the empty buffer of a new socket; if it does not, there is nobody to tell.
        let _ = rustix::net::send(socket, &answer, SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
        let _ = socket.shutdown(Shutdown::Write);
    }
}

/// How an answer is to be sent, apart from what it says.
pub(super) struct Manner<'a> {
    pub version: Version,
    /// To a HEAD: no body, whatever the answer holds.
    pub head_only: bool,
    pub persistence: Persistence,
    pub id: &'a str,
    /// As the client gave it: a refusal is worded after it.
    pub path: &'a str,
    pub peer: Peer,
    /// Told while a stream waits for its turn; `None` where nobody could.
    pub connection: Option<&'a Connection>,
    /// Whose share the pieces of a stream take; `None`: it is a refusal and no stream.
    pub holder: Option<&'a Holder>,
}

impl Manner<'_> {
    fn refused<'a>(&'a self, error: &'a Error) -> Refused<'a> {
        let (request_id, peer, path) = (self.id, self.peer, self.path);
        Refused { request_id, peer, path, headers: &[], is_admitted: true, error }
    }
}

/// What the answer says about the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Persistence {
    /// Nothing: 1.1 clients keep it.
    KeepAlive,
    /// To a 1.0 client that asked for it.
    SaidKeepAlive,
    Close,
}

/// How an answer ended that was sent without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    Whole,
    /// Whole, and only the end of the connection says so.
    UntilClose,
}

/// Writes an answer through tiny_http, a small one in a single `write`. What the service may not say (a header with
/// a line end, a framing of its own) becomes a 500 and a log line; a stream that fails before its first piece becomes
/// the refusal that its error asks for, 503 when it found no turn.
///
/// # Errors
/// When the client is gone or too slow, or a stream failed: what has left by then is not a whole answer, and nothing
/// may be sent after it.
pub(super) fn write_answer(
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
        ReadyBody::Text(text) => (Content::Text(text.as_bytes()), Some(text.len())),
        ReadyBody::Stream(stream) if manner.version == Version::Http11 => (Content::Stream(stream), None),
        // Without any length tiny_http would gather the whole stream in memory; this one is taken out again.
        ReadyBody::Stream(stream) => (Content::Stream(stream), Some(usize::MAX)),
    };
    if without_body {
        content = Content::Bytes(io::Cursor::new(Vec::new()));
    }
    let until_close = length == Some(usize::MAX) && !without_body;
    let gathered = match (&content, length) {
        (Content::Bytes(_) | Content::Text(_), length) => length.unwrap_or(0).min(PIECE),
        (Content::Stream(_), _) => STREAM_PIECE,
    };
    let mut outlet = Outlet {
        out,
        buffer: Vec::with_capacity(1024 + gathered),
        gathered,
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
    Text(&'static str),
    Stream(StreamReader<'a>),
}

/// The answer, or the refusal that takes its place.
fn ready<'a>(
    response: Response,
    manner: &'a Manner<'_>,
    shared: &'a Shared,
    cut: &'a Cell<bool>,
) -> Ready<'a> {
    let error = match attempt(response, manner, shared, cut) {
        Ok(ready) => return ready,
        Err(error) => error,
    };
    // Nothing has left yet, so there is nothing to cut.
    cut.set(false);
    seldom::tell(error.level(), format_args!("{}: {error}", manner.id));
    match attempt(shared.worded(&manner.refused(&error)), manner, shared, cut) {
        Ok(ready) => ready,
        Err(error) => {
            seldom::tell(error.level(), format_args!("{}: {error}", manner.id));
            (500, Vec::new(), ReadyBody::Bytes(b"internal error\n".to_vec()))
        }
    }
}

fn attempt<'a>(
    response: Response,
    manner: &'a Manner<'_>,
    shared: &'a Shared,
    cut: &'a Cell<bool>,
) -> Result<Ready<'a>> {
    if !(200..=599).contains(&response.status) {
        return Err(Error::Internal(format!("the service answered with the status {}", response.status)));
    }
    let headers = tiny_headers(&response, manner.id)?;
    let body = match response.body {
        Body::Bytes(bytes) => ReadyBody::Bytes(bytes),
        Body::Text(text) => ReadyBody::Text(text),
        Body::Stream(pieces) => {
            let held = manner.holder.map(|holder| Held::nothing(&shared.account, holder));
            let piece = io::Cursor::default();
            let mut stream = StreamReader {
                pieces,
                piece,
                ended: false,
                held,
                shared,
                connection: manner.connection,
                cut,
            };
            if !manner.head_only {
                stream.begin()?;
            }
            ReadyBody::Stream(stream)
        }
    };
    Ok((response.status, headers, body))
}

/// What frames an answer is the server's to say.
const OURS: [&str; 5] = ["content-length", "transfer-encoding", "connection", "trailer", "upgrade"];

/// tiny_http takes line ends for part of a value, so nothing reaches it unchecked.
fn tiny_headers(response: &Response, id: &str) -> Result<Vec<tiny_http::Header>> {
    // tiny_http's own panics at a clock outside the years 1970 to 9999.
    let date = http_date();
    let mut all: Vec<(&str, &str)> = vec![("Date", &date), ("Server", "mailtrail")];
    all.extend(SECURITY_HEADERS.into_iter().filter(|(name, _)| response.header(name).is_none()));
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
        // Without the value, which may be a secret.
        header
            .ok_or_else(|| Error::Internal(format!("the service set the header {name:?} to what it may not")))
    });
    checked.collect()
}

enum Content<'a> {
    Bytes(io::Cursor<Vec<u8>>),
    Text(&'static [u8]),
    Stream(StreamReader<'a>),
}

impl Read for Content<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Bytes(bytes) => bytes.read(out),
            Self::Text(text) => text.read(out),
            Self::Stream(stream) => stream.read(out),
        }
    }
}

/// A stream as a reader. Making a piece is a handler's work and takes a turn like it; a slow client between two pieces
/// holds up nobody, and one that waits for its next turn, or that is to come again later, goes for a newcomer like one
/// that does not read. No piece is made for a caller who leaves too much unread.
struct StreamReader<'a> {
    pieces: Box<dyn Iterator<Item = Result<Vec<u8>>> + Send>,
    piece: io::Cursor<Vec<u8>>,
    ended: bool,
    held: Option<Held<'a>>,
    shared: &'a Shared,
    connection: Option<&'a Connection>,
    cut: &'a Cell<bool>,
}

impl StreamReader<'_> {
    /// Makes the first piece, while the answer can still be a refusal.
    fn begin(&mut self) -> Result<()> {
        let shared = self.shared;
        if self.held.as_ref().is_some_and(|held| !held.has_room()) {
            shared.counters.count_refusal(503);
            let message = "too much is left unread at the same time".to_owned();
            return Err(Error::Unavailable { retry_after: 5, message });
        }
        let give_up = Instant::now() + shared.limits.handler_wait;
        loop {
            let left = give_up.saturating_duration_since(Instant::now());
            let made = shared.streams.enter(left).map(|turn| self.make_piece(&turn));
            match made {
                Some(Err(error)) if error.retry_after() == Some(0) && !left.is_zero() => thread::sleep(PAUSE),
                Some(Err(error)) if error.retry_after() == Some(0) => break,
                Some(made) => return made,
                None => break,
            }
        }
        shared.counters.count_refusal(503);
        let message = "too many streams are being answered".to_owned();
        Err(Error::Unavailable { retry_after: 1, message })
    }

    fn next_piece(&mut self) -> io::Result<()> {
        let shared = self.shared;
        if let Some(held) = &mut self.held {
            held.give_back();
        }
        if self.held.as_ref().is_some_and(|held| !held.has_room()) {
            self.note(Phase::Stalled)?;
            if !self.held.as_ref().is_none_or(|held| held.await_room(shared.limits.answer_time)) {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.note(Phase::Work)?;
        }
        let give_up = Instant::now() + MOST_LATE;
        let mut pause = PAUSE;
        loop {
            let turn = match shared.streams.enter(Duration::ZERO) {
                Some(turn) => turn,
                None => {
                    self.note(Phase::Stalled)?;
                    shared.streams.enter_however_long()
                }
            };
            // Who waited is at work again, and nobody's place is taken from whoever is.
            self.note(Phase::Work)?;
            let made = self.make_piece(&turn);
            drop(turn);
            match made {
                Err(error) if error.retry_after().is_some() && Instant::now() < give_up => {
                    self.note(Phase::Stalled)?;
                    let asked = Duration::from_secs(error.retry_after().unwrap_or_default().into());
                    self.wait(if asked.is_zero() { pause } else { asked })?;
                    pause = (pause * 2).min(MOST_PAUSE);
                }
                made => return made.map_err(failed),
            }
        }
    }

    /// Waits without a turn; who is sent away meanwhile goes.
    fn wait(&self, time: Duration) -> io::Result<()> {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(self.shared.tick));
            self.note(Phase::Stalled)?;
        }
    }

    /// A connection that stays in its phase is not taken for one that began it just now.
    fn note(&self, phase: Phase) -> io::Result<()> {
        match self.connection {
            Some(connection) if connection.phase() != phase && !connection.enter(phase) => {
                Err(io::ErrorKind::ConnectionAborted.into())
            }
            _ => Ok(()),
        }
    }

    /// Makes the next piece that is not empty, or notes the end.
    fn make_piece(&mut self, _turn: &Entered<'_>) -> Result<()> {
        while !self.ended && self.piece.position() == self.piece.get_ref().len() as u64 {
            // Set while the piece is being made, so that a panic cuts the answer as an error does.
            self.cut.set(true);
            match self.pieces.next() {
                Some(piece) => self.piece = io::Cursor::new(piece?),
                None => self.ended = true,
            }
            self.cut.set(false);
        }
        if let Some(held) = &mut self.held {
            held.become_answer(self.piece.get_ref().len());
        }
        Ok(())
    }
}

/// What ends a stream in the middle. That the client may not have the rest, or that there was no turn for it in all this
/// time, is no fault of ours.
fn failed(error: Error) -> io::Error {
    let kind = match error {
        Error::Unauthenticated(_) | Error::Forbidden(_) => io::ErrorKind::PermissionDenied,
        _ if error.is_ours() => io::ErrorKind::Other,
        _ => io::ErrorKind::ResourceBusy,
    };
    io::Error::new(kind, format!("the stream failed: {error}"))
}

/// How long a stream that is to come again in no time waits the longer it has to.
const MOST_PAUSE: Duration = Duration::from_millis(200);
/// A stream whose next piece could not be made for so long is cut.
const MOST_LATE: Duration = Duration::from_secs(300);

impl Read for StreamReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.piece.read(out)?;
        if read > 0 || self.ended {
            return Ok(read);
        }
        self.next_piece()?;
        self.piece.read(out)
    }
}

/// Bytes that are gathered before they leave.
const PIECE: usize = 64 * 1024;

/// The same of a stream, which may be held by a client that does not read.
const STREAM_PIECE: usize = 16 * 1024;

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
    gathered: usize,
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
        } else if self.buffer.len() >= self.gathered {
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
    use std::net::Ipv4Addr;

    use super::super::{Admitted, Request};
    use super::*;

    struct Silent;

    impl Service for Silent {
        fn admit(&self, _: Request) -> Result<Admitted<'_>, Response> {
            Err(Response::empty(204))
        }

        fn refuse(&self, refused: &Refused<'_>) -> Response {
            Response::new(500, "text/plain", refused.error.code())
        }
    }

    /// What a line at ERROR is made of.
    #[test]
    fn only_a_fault_of_ours_ends_a_stream_as_one() {
        let message = || "m".to_owned();
        for error in [
            Error::Unavailable { retry_after: 1, message: message() },
            Error::TooMany { retry_after: 1, message: message() },
            Error::invalid("query", message()),
            Error::http(507, message()),
        ] {
            assert_eq!(error.level(), log::Level::Warn, "{error}");
            assert_eq!(failed(error).kind(), io::ErrorKind::ResourceBusy);
        }
        let ours = Error::Internal(message());
        assert_eq!((ours.level(), failed(ours).kind()), (log::Level::Error, io::ErrorKind::Other));
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
        let manner = Manner {
            version,
            head_only: false,
            persistence,
            id: "id",
            path: "",
            peer: Peer::Local,
            connection: None,
            holder: None,
        };
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
    fn an_answer_says_for_itself_what_it_has_to_widen() {
        let page = Response::new(200, "text/html", "").with("content-security-policy", "default-src 'self'");
        let (_, writes) = written(page, Version::Http11, Persistence::KeepAlive);
        let text = String::from_utf8_lossy(&writes[0]).to_lowercase();
        assert_eq!(text.matches("content-security-policy: ").count(), 1, "{text}");
        assert!(text.contains("\r\ncontent-security-policy: default-src 'self'\r\n"), "{text}");
        assert!(text.contains("\r\nx-content-type-options: nosniff\r\n"), "{text}");
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
