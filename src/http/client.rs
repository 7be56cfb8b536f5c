//! A blocking HTTP/1.1 client: over a Unix socket, as our own command line talks to the running server (`remote` goes
//! over the network).
//!
//! One request a connection. There is no deadline: a command such as a backup takes as long as it takes, and the
//! other end is our own server on the same machine, which dies with its sockets.

use std::fmt::Write as _;
use std::io::{BufReader, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

use super::Method;
use super::framing::{self, BodyReader, HeadLimits};
use crate::error::{Error, Result};

/// An answer whose body is still to be read.
pub struct ClientResponse {
    pub status: u16,
    /// Lower-case names in the order of arrival.
    pub headers: Vec<(String, String)>,
    /// Ends where the answer says it ends. One that is cut short, or not framed as RFC 9112 has it, is an error.
    pub body: Box<dyn Read + Send>,
}

impl ClientResponse {
    /// The first header of this (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The whole body, however long.
    pub fn read(mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        self.body.read_to_end(&mut body).map_err(Error::io("the answer of the server"))?;
        Ok(body)
    }
}

/// Sends one request to the server that listens on `socket`. `target` is the path with its query, percent-encoded;
/// Host, Connection and Content-Length are added here.
///
/// # Errors
/// `Io` when nobody listens there or the answer is not whole; `Internal` when target or headers hold a control
/// character or a space where none may be.
pub fn call(
    socket: &Path,
    method: Method,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<ClientResponse> {
    let head = request_head(method, "localhost", target, headers, body.len())?;
    let address = SocketPath::of(socket)?;
    let reaching = format!("the server's socket {}", socket.display());
    let stream = UnixStream::connect(&address.path).map_err(Error::io(&reaching))?;
    must_be_the_owner(&stream, socket)?;
    exchange(stream, &reaching, method, &head, body)
}

/// Root may connect to anybody, also where a link in a data directory leads: then it is told nothing.
fn must_be_the_owner(stream: &UnixStream, socket: &Path) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let directory = match socket.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let failed = || Error::io(format!("cannot look at {}", socket.display()));
    let owner = directory.metadata().map_err(failed())?.uid();
    let listener = rustix::net::sockopt::socket_peercred(stream);
    let listener = listener.map_err(|errno| failed()(errno.into()))?.uid.as_raw();
    if listener == owner {
        return Ok(());
    }
    Err(Error::refused(
        format!("user {listener} listens on {}, whose directory belongs to user {owner}", socket.display()),
        "run it as the owner of the data directory",
    ))
}

/// Sends a request over a connection of its own, and reads the head of the answer. `reaching` is what an error is about.
pub(super) fn exchange(
    mut stream: impl Read + Write + Send + 'static,
    reaching: &str,
    method: Method,
    head: &str,
    body: &[u8],
) -> Result<ClientResponse> {
    // A server that refuses answers before it has read all, so a failing write is not the end: its answer counts.
    let sent =
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).and_then(|()| stream.flush());

    let mut reader = BufReader::new(stream);
    let limits = HeadLimits::default();
    let head = loop {
        let mut head = Vec::new();
        match framing::read_head(&mut reader, limits.bytes, &mut head) {
            Ok(true) => {}
            Ok(false) => {
                sent.map_err(Error::io(reaching))?;
                return Err(Error::io(reaching)(std::io::ErrorKind::UnexpectedEof.into()));
            }
            Err(fault) => return Err(Error::io(reaching)(fault.into())),
        }
        let head = framing::parse_response_head(&head, &limits, method == Method::Head)?;
        if head.status >= 200 {
            break head;
        }
    };
    let body = BodyReader::new(reader, head.length, u64::MAX)?;
    Ok(ClientResponse { status: head.status, headers: head.headers, body: Box::new(body) })
}

/// Whether a server listens there.
pub fn is_answered(socket: &Path) -> bool {
    connect_at_once(socket).is_ok()
}

/// Whether a server answers there within so long: one that hangs listens like any other.
pub fn answers(socket: &Path, patience: Duration) -> bool {
    ask(socket, "/healthz", patience).is_ok()
}

/// Asks a small thing of a server that may hang.
///
/// # Errors
/// `Io` when it does not answer within so long.
pub fn ask(socket: &Path, target: &str, patience: Duration) -> Result<ClientResponse> {
    let reaching = format!("the server's socket {}", socket.display());
    let stream = connect_at_once(socket)?;
    stream.set_read_timeout(Some(patience)).map_err(Error::io(&reaching))?;
    let head = request_head(Method::Get, "localhost", target, &[], 0)?;
    exchange(stream, &reaching, Method::Get, &head, b"")
}

/// Without waiting for a place: a server that accepts nothing has as many as wait for it.
fn connect_at_once(socket: &Path) -> Result<UnixStream> {
    let address = SocketPath::of(socket)?;
    let connect = || {
        let stream = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        stream.connect_timeout(&SockAddr::unix(&address.path)?, Duration::from_secs(1))?;
        Ok(UnixStream::from(OwnedFd::from(stream)))
    };
    let stream = connect().map_err(Error::io(format!("the server's socket {}", socket.display())))?;
    must_be_the_owner(&stream, socket)?;
    Ok(stream)
}

pub(super) fn request_head(
    method: Method,
    host: &str,
    target: &str,
    headers: &[(&str, &str)],
    length: usize,
) -> Result<String> {
    let sound = target.starts_with('/')
        && target.bytes().all(|byte| byte.is_ascii_graphic())
        && headers.iter().all(|(name, value)| {
            !name.is_empty()
                && name.bytes().all(framing::is_token_byte)
                && !value.contains(|c: char| c.is_control())
        });
    if !sound {
        return Err(Error::Internal(format!("{target:?} with {headers:?} is not a request")));
    }
    let mut head = format!("{} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n", method.as_str());
    for (name, value) in headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    let _ = write!(head, "Content-Length: {length}\r\n\r\n");
    Ok(head)
}

/// A path of a Unix socket as `bind` and `connect` take it. They take 107 bytes; a longer one goes through
/// `/proc/self/fd/N`, N being its directory, which stays open as long as this value.
pub(super) struct SocketPath {
    pub path: PathBuf,
    _directory: Option<OwnedFd>,
}

impl SocketPath {
    const LONGEST: usize = 107;

    pub fn of(path: &Path) -> Result<Self> {
        if path.as_os_str().len() <= Self::LONGEST {
            return Ok(Self { path: path.to_owned(), _directory: None });
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Error::refused(
                format!("{} is not the path of a socket", path.display()),
                "give the path of a file in a directory that exists",
            ));
        };
        use rustix::fs::{Mode, OFlags};
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(parent, flags, Mode::empty())
            .map_err(|errno| Error::io(parent.display().to_string())(errno.into()))?;
        let short = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name);
        if short.as_os_str().as_bytes().len() > Self::LONGEST {
            return Err(Error::refused(
                format!("the name of the socket {} is too long", path.display()),
                "choose a file name of at most 80 bytes",
            ));
        }
        Ok(Self { path: short, _directory: Some(directory) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_break_the_framing_is_not_sent() {
        for (target, name, value) in [
            ("x", "a", "b"),
            ("/ HTTP/1.1\r\n", "a", "b"),
            ("/ x", "a", "b"),
            ("/\u{e9}", "a", "b"),
            ("/", "a:", "b"),
            ("/", "", "b"),
            ("/", "a", "b\r\nc: d"),
            ("/", "a", "b\0"),
        ] {
            assert!(
                request_head(Method::Get, "localhost", target, &[(name, value)], 0).is_err(),
                "{target:?} {name:?} {value:?}"
            );
        }
        assert!(request_head(Method::Get, "localhost", "/a?b=c", &[("X-A", "b c")], 0).is_ok());
    }
}
