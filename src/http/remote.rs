//! One POST to a server elsewhere, over http or https.
//!
//! TLS 1.3 alone, against the roots that are compiled in. There is a deadline for all of it but the look-up of the name,
//! which has the resolver's own; it is for threads that may wait. Nothing is followed: a redirection is an answer like
//! any other. No proxy is asked.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::Method;
use super::client::{exchange, request_head};
use crate::error::{Error, Result};

/// What is below a URL of http or https.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix {
    is_https: bool,
    /// As it stands in the URL: with a port, and brackets around an address of IPv6.
    authority: String,
    host: String,
    port: u16,
    /// Without a slash at its end.
    path: String,
}

impl Prefix {
    /// `None` also for a URL with a user, a query or a fragment.
    pub fn parse(url: &str) -> Option<Self> {
        let (is_https, rest) = match url.strip_prefix("https://") {
            Some(rest) => (true, rest),
            None => (false, url.strip_prefix("http://")?),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let is_sound = |byte: u8| byte.is_ascii_graphic() && !b"@?#\"<>\\^`{|}".contains(&byte);
        rest.bytes().all(is_sound).then_some(())?;
        // The colons of IPv6 stand in brackets.
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
            _ => (authority, if is_https { 443 } else { 80 }),
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        (!host.is_empty() && ServerName::try_from(host).is_ok()).then(|| Self {
            is_https,
            authority: authority.to_owned(),
            host: host.to_owned(),
            port,
            path: path.trim_end_matches('/').to_owned(),
        })
    }
}

/// The status and the body of the answer to a text that is posted to `path` below `prefix`. A body of more than `most`
/// bytes is an error.
///
/// # Errors
/// `Io` when nobody is there, the certificate is not good, the time is over or the answer is cut short; `Http` when the
/// answer is not HTTP as RFC 9112 has it.
pub fn post(prefix: &Prefix, path: &str, text: &str, time: Duration, most: u64) -> Result<(u16, Vec<u8>)> {
    post_trusting(&WEB, prefix, path, text, time, most)
}

/// The roots of the browsers.
static WEB: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| trusting(webpki_roots::TLS_SERVER_ROOTS.to_vec()));

fn trusting(roots: Vec<rustls::pki_types::TrustAnchor<'static>>) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("ring has suites for TLS 1.3")
        .with_root_certificates(RootCertStore { roots })
        .with_no_client_auth();
    Arc::new(config)
}

fn post_trusting(
    trust: &Arc<ClientConfig>,
    prefix: &Prefix,
    path: &str,
    text: &str,
    time: Duration,
    most: u64,
) -> Result<(u16, Vec<u8>)> {
    let until = Instant::now() + time;
    let target = format!("{}{path}", prefix.path);
    let headers = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("User-Agent", concat!("mailtrail/", env!("CARGO_PKG_VERSION"))),
    ];
    let head = request_head(Method::Post, &prefix.authority, &target, &headers, text.len())?;
    let reaching = &prefix.authority;
    let socket = connect(prefix, until).map_err(Error::io(reaching))?;
    let answer = if prefix.is_https {
        let stream = secured(trust, prefix, socket).map_err(Error::io(reaching))?;
        exchange(stream, reaching, Method::Post, &head, text.as_bytes())?
    } else {
        exchange(socket, reaching, Method::Post, &head, text.as_bytes())?
    };
    let mut body = Vec::new();
    answer.body.take(most + 1).read_to_end(&mut body).map_err(Error::io(reaching))?;
    if body.len() as u64 > most {
        return Err(Error::http(502, format!("{reaching}: the answer has more than {most} bytes")));
    }
    Ok((answer.status, body))
}

/// The first of its addresses that takes us.
fn connect(prefix: &Prefix, until: Instant) -> io::Result<Timed> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in (prefix.host.as_str(), prefix.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, left(until)?) {
            Ok(socket) => return Ok(Timed { socket, until }),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn secured(
    trust: &Arc<ClientConfig>,
    prefix: &Prefix,
    mut socket: Timed,
) -> io::Result<StreamOwned<ClientConnection, Timed>> {
    let name = ServerName::try_from(prefix.host.clone()).map_err(io::Error::other)?;
    let mut connection = ClientConnection::new(Arc::clone(trust), name).map_err(io::Error::other)?;
    // Before anything is sent, so that an error of the handshake is told as such.
    while connection.is_handshaking() {
        connection.complete_io(&mut socket)?;
    }
    Ok(StreamOwned::new(connection, socket))
}

/// A socket that blocks until an instant and no longer.
struct Timed {
    socket: TcpStream,
    until: Instant,
}

fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// What a socket's own timeout is called when it is over.
fn timed_out(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock { io::ErrorKind::TimedOut.into() } else { error }
}

impl Read for Timed {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(Some(left(self.until)?))?;
        self.socket.read(out).map_err(timed_out)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(Some(left(self.until)?))?;
        self.socket.write(bytes).map_err(timed_out)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread::{self, JoinHandle};

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::{ServerConfig, ServerConnection, Stream};

    use super::*;

    /// Of localhost, for the years 2020 to 2120, signed by itself.
    const CERTIFICATE: &str = "MIIBPjCB5aADAgECAgEBMAoGCCqGSM49BAMCMBQxEjAQBgNVBAMMCWxvY2FsaG9zdDAgFw0yMDAxMDEwMDAw\
        MDBaGA8yMTIwMDEwMTAwMDAwMFowFDESMBAGA1UEAwwJbG9jYWxob3N0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEvRO3iEh5ProNbc\
        0a15vgckgwbZtrX/0cav046U9eoTQGA44eMerBkPFXCzysHTNtUx1LSRa6xy2f1Ukavpp0AqMmMCQwFAYDVR0RBA0wC4IJbG9jYWxob3N0M\
        AwGA1UdEwEB/wQCMAAwCgYIKoZIzj0EAwIDSAAwRQIgPmQ7NhVvY0ieFMUzcE0MK3fGPt/vqchPIXFl8t8czpkCIQDPWDhiE2ZJtLRxCdUx\
        cMs5IjUP8eMUCQPhcf4Cw3kFwg==";
    const KEY: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgBL3AK+GF9yqPF5I+X8AC+lbIgH7CPWHpsUxmI5YOuruhR\
        ANCAAS9E7eISHk+ug1tzRrXm+BySDBtm2tf/Rxq/TjpT16hNAYDjh4x6sGQ8VcLPKwdM21THUtJFrrHLZ/VSRq+mnQC";
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    const SOON: Duration = Duration::from_secs(10);

    fn bytes(text: &str) -> Vec<u8> {
        STANDARD.decode(text).expect("base64")
    }

    /// Takes one connection; what was asked of it, with `answer` as the answer.
    fn serve(is_https: bool, answer: &'static [u8]) -> (u16, JoinHandle<io::Result<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let thread = thread::spawn(move || {
            let (mut socket, _) = listener.accept()?;
            if !is_https {
                return converse(&mut socket, answer);
            }
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let key = PrivateKeyDer::try_from(bytes(KEY)).expect("a key");
            let config = ServerConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .and_then(|config| {
                    let chain = vec![CertificateDer::from(bytes(CERTIFICATE))];
                    config.with_no_client_auth().with_single_cert(chain, key)
                })
                .expect("a configuration");
            let mut connection = ServerConnection::new(Arc::new(config)).expect("a connection");
            converse(&mut Stream::new(&mut connection, &mut socket), answer)
        });
        (port, thread)
    }

    fn converse(stream: &mut (impl Read + Write), answer: &[u8]) -> io::Result<String> {
        let (mut asked, mut buffer) = (Vec::new(), [0; 4096]);
        while !asked.ends_with(b"\r\n\r\nold 0\n") {
            let n = stream.read(&mut buffer)?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            asked.extend_from_slice(&buffer[..n]);
        }
        stream.write_all(answer)?;
        stream.flush()?;
        Ok(String::from_utf8_lossy(&asked).into_owned())
    }

    fn ask(trust: &Arc<ClientConfig>, url: &str, time: Duration) -> Result<(u16, Vec<u8>)> {
        let prefix = Prefix::parse(url).expect("a URL");
        post_trusting(trust, &prefix, "/add-checkpoint", "old 0\n", time, 5)
    }

    #[test]
    fn it_asks_over_http_and_https_and_only_whom_the_roots_know() {
        let certificate = CertificateDer::from(bytes(CERTIFICATE));
        let mut roots = RootCertStore::empty();
        roots.add(certificate).expect("a root");
        let own = trusting(roots.roots);
        for scheme in ["http", "https"] {
            let (port, server) = serve(scheme == "https", ANSWER);
            let answer = ask(&own, &format!("{scheme}://localhost:{port}/prefix/"), SOON).expect(scheme);
            assert_eq!(answer, (200, b"hello".to_vec()));
            let asked = server.join().expect("a server").expect("a request");
            assert!(asked.starts_with("POST /prefix/add-checkpoint HTTP/1.1\r\n"), "{asked}");
            assert!(asked.contains(&format!("\r\nHost: localhost:{port}\r\n")), "{asked}");
        }
        // A stranger's certificate, one of another name, and none at all.
        for (trust, is_https, host) in
            [(&*WEB, true, "localhost"), (&own, true, "127.0.0.1"), (&own, false, "localhost")]
        {
            let (port, server) = serve(is_https, ANSWER);
            let url = format!("https://{host}:{port}");
            assert!(ask(trust, &url, Duration::from_secs(2)).is_err(), "{url}");
            assert!(server.join().expect("a server").is_err(), "{url}: something was asked");
        }
    }

    #[test]
    fn what_is_too_long_cut_short_or_too_late_is_an_error() {
        for answer in [
            &b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello!"[..],
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
            b"HTTP/1.1 200 OK\r\n\r\nhello",
            b"hello",
            b"",
        ] {
            let (port, server) = serve(false, answer);
            let asked = ask(&WEB, &format!("http://127.0.0.1:{port}"), SOON);
            assert!(asked.is_err(), "{:?}", String::from_utf8_lossy(answer));
            server.join().expect("a server").expect("a request");
        }
        // Taken by the kernel, and answered by nobody.
        let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://{}", silent.local_addr().expect("an address"));
            let error = ask(&WEB, &url, Duration::from_millis(50)).expect_err("silence").to_string();
            assert!(error.contains("timed out"), "{error}");
        }
    }

    #[test]
    fn only_urls_of_http_are_read() {
        let read = |url: &str| {
            let prefix = Prefix::parse(url)?;
            Some((prefix.is_https, prefix.host, prefix.port, prefix.path))
        };
        for (url, expected) in [
            ("https://w.example.org", (true, "w.example.org", 443, "")),
            ("https://w.example.org/", (true, "w.example.org", 443, "")),
            ("http://w.example.org:8080/a/b/", (false, "w.example.org", 8080, "/a/b")),
            ("http://[::1]", (false, "::1", 80, "")),
            ("http://[::1]:7466", (false, "::1", 7466, "")),
            ("http://127.0.0.1:7466", (false, "127.0.0.1", 7466, "")),
        ] {
            let (is_https, host, port, path) = expected;
            assert_eq!(read(url), Some((is_https, host.to_owned(), port, path.to_owned())), "{url}");
        }
        for url in [
            "",
            "w.example.org",
            "ftp://w.example.org",
            "https://",
            "https:///path",
            "https://:443",
            "https://w.example.org:x",
            "https://w.example.org:99999",
            "https://user@w.example.org",
            "https://w.example.org/?a=b",
            "https://w.example.org/#a",
            "https://w.example.org/a b",
            "https://w.example.org/\r\n",
            "https://a..b",
        ] {
            assert_eq!(read(url), None, "{url:?}");
        }
    }
}
