//! HTTP/1.1 framing on bytes and `BufRead`: where a head ends, what it says, where a body ends.
//!
//! Pure: no sockets, no clock, no state beyond the reader. The server reads requests with it, our own client reads
//! answers, fuzz targets feed it garbage. What must hold for any input: no panic, no allocation larger than the
//! limits given, and the same outcome however the bytes are cut into reads.
//!
//! # Strictness
//!
//! Two parties that disagree about where a request ends let a third one smuggle a request in between. So what
//! RFC 9112 lets a recipient repair (bare LF, folded lines, equal duplicates of Content-Length) is refused here,
//! and after a refusal the connection is never read as HTTP again. `httparse` splits the lines; it is more lenient
//! than we are (bare LF, bytes above 0x7F in the target), so its word alone is not enough.
//!
//! # A body cut short
//!
//! is an error, always: an audit log that took half a batch for a whole one would be wrong for ever.

use std::borrow::Cow;
use std::io::{self, BufRead, Read};

use super::{Method, Query};
use crate::error::{Error, Result};
use crate::mask::glimpse;

/// How much of a head is read before it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes of the whole head, from the first line to the empty one; 431 above it.
    pub bytes: usize,
    /// Header fields; 431 above it.
    pub fields: usize,
    /// Bytes of the request target; 414 above it.
    pub target: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self { bytes: 16 * 1024, fields: 64, target: 8 * 1024 }
    }
}

/// Why nothing whole was read.
#[derive(Debug)]
pub enum Fault {
    /// What came breaks a rule or a limit; the other end is told why.
    Refused(Error),
    /// The other end stopped sending in the middle.
    CutShort,
    /// The transport failed, or its deadline passed (`ErrorKind::TimedOut`).
    Io(io::Error),
}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Refused(error) => Self::new(io::ErrorKind::InvalidData, error.to_string()),
            Fault::CutShort => Self::new(io::ErrorKind::UnexpectedEof, "cut short"),
            Fault::Io(error) => error,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    Http10,
    Http11,
}

/// How the end of a body is known (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    /// This many bytes; 0 when nothing was announced.
    Fixed(u64),
    Chunked,
}

/// The head of a request that keeps every rule.
#[derive(Debug, PartialEq, Eq)]
pub struct RequestHead {
    pub version: Version,
    pub method: Method,
    /// Still percent-encoded, without the query; begins with `/`, or is the `*` of OPTIONS.
    pub path: String,
    pub query: Query,
    /// Lower-case names in the order of arrival. `host` is the authority the request is for, also when the target
    /// was in absolute form and named another one than the field (RFC 9112 section 3.2.2).
    pub headers: Vec<(String, String)>,
    pub length: BodyLength,
    /// Whether the client lets the connection live after this request.
    pub keep_alive: bool,
    /// Whether the client waits for a `100 Continue` before it sends the body.
    pub expects_continue: bool,
}

/// The head of an answer.
#[derive(Debug, PartialEq, Eq)]
pub struct ResponseHead {
    pub status: u16,
    /// Lower-case names in the order of arrival.
    pub headers: Vec<(String, String)>,
    pub length: BodyLength,
}

/// Reads up to and including the empty line into `head`, which the caller empties before. `Ok(false)` when the
/// other end closed before the first byte. One empty line ahead of the head is skipped (RFC 9112 section 2.2).
///
/// # Errors
/// 400 when the first byte cannot begin a head (a TLS handshake, for one), 414 when the first line and 431 when the
/// whole exceeds `limit` bytes; `CutShort` at an end in the middle. `head` then holds what came, for `glance`.
pub fn read_head(reader: &mut impl BufRead, limit: usize, head: &mut Vec<u8>) -> Result<bool, Fault> {
    let mut line_start = 0;
    let mut skipped = false;
    loop {
        let available = fill(reader)?;
        if available.is_empty() {
            return if head.is_empty() { Ok(false) } else { Err(Fault::CutShort) };
        }
        if head.is_empty() && !is_token_byte(available[0]) && available[0] != b'\r' {
            return Err(refused(400, "this is not HTTP"));
        }
        let line_end = available.iter().position(|byte| *byte == b'\n');
        let taken = line_end.map_or(available.len(), |at| at + 1);
        if head.len() + taken > limit {
            return Err(match head.contains(&b'\n') {
                true => refused(431, format!("the head exceeds {limit} bytes")),
                false => refused(414, format!("the first line exceeds {limit} bytes")),
            });
        }
        head.extend_from_slice(&available[..taken]);
        reader.consume(taken);
        if line_end.is_none() {
            continue;
        }
        match &head[line_start..] {
            b"\r\n" if line_start == 0 && !skipped => {
                skipped = true;
                head.clear();
            }
            b"\r\n" if line_start == 0 => return Err(refused(400, "empty lines ahead of the request")),
            b"\r\n" | b"\n" => return Ok(true),
            _ => line_start = head.len(),
        }
    }
}

/// What can be seen of a head that may be broken, for wording its refusal and for knowing whom it came from. Promises
/// nothing.
#[derive(Debug, Default)]
pub struct Glimpse {
    pub method: Option<Method>,
    /// Empty where none is to be seen.
    pub path: String,
    /// All of them, or none where one of them is broken.
    pub headers: Vec<(String, String)>,
}

pub fn glance(head: &[u8], limits: &HeadLimits) -> Glimpse {
    let line = head.split(|byte| *byte == b'\r' || *byte == b'\n').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    let method = words.next().and_then(|word| std::str::from_utf8(word).ok()).and_then(Method::parse);
    let path = words
        .next()
        .and_then(|word| word.split(|byte| *byte == b'?').next())
        .filter(|path| path.starts_with(b"/") && path.iter().all(u8::is_ascii_graphic))
        .map(|path| String::from_utf8_lossy(path).into_owned());
    let mut fields = vec![httparse::EMPTY_HEADER; limits.fields];
    let mut parsed = httparse::Request::new(&mut fields);
    let headers = match parsed.parse(head) {
        Ok(httparse::Status::Complete(_)) => lowered(parsed.headers),
        _ => Vec::new(),
    };
    Glimpse { method, path: path.unwrap_or_default(), headers }
}

/// Parses a whole head as `read_head` leaves it and holds it to RFC 9112.
///
/// # Errors
/// `Error::Http` with 400, 414, 417, 431, 501 or 505.
pub fn parse_request_head(bytes: &[u8], limits: &HeadLimits) -> Result<RequestHead> {
    let bytes = &*as_http_11(bytes);
    let mut fields = vec![httparse::EMPTY_HEADER; limits.fields];
    let mut parsed = httparse::Request::new(&mut fields);
    let outcome = parsed.parse(bytes);
    check_whole(bytes, outcome, limits)?;
    let version = version(parsed.version)?;
    let name = parsed.method.unwrap_or_default();
    let method =
        Method::parse(name).ok_or_else(|| Error::http(501, format!("unknown method {}", glimpse(name))))?;
    let target = parsed.path.unwrap_or_default();
    if target.len() > limits.target {
        return Err(Error::http(414, format!("the request target exceeds {} bytes", limits.target)));
    }
    let Target { authority, path, query } = match (method, target) {
        // Of the server as a whole (RFC 9112 section 3.2.4).
        (Method::Options, "*") => Target { authority: None, path: "*", query: "" },
        _ => Target::parse(target)?,
    };

    let mut headers = lowered(parsed.headers);
    let host = host(&headers, version)?;
    if let Some(authority) = authority {
        match host {
            Some(at) => headers[at].1 = authority.to_owned(),
            None => headers.push(("host".to_owned(), authority.to_owned())),
        }
    }
    let length = body_length(&headers, version)?;
    Ok(RequestHead {
        version,
        method,
        path: path.to_owned(),
        query: Query::parse(query)?,
        length: length.unwrap_or(BodyLength::Fixed(0)),
        keep_alive: keep_alive(&headers, version),
        expects_continue: expects_continue(&headers, version)?,
        headers,
    })
}

/// Parses a whole head of an answer. `to_head` says that the request was a HEAD: its answer has no body, whatever
/// the head announces, and neither have 1xx, 204 and 304 (RFC 9112 section 6.3).
///
/// # Errors
/// `Error::Http` (400, 431, 505) when it breaks the rules, and when the end of its body could only be known by the
/// end of the connection: cut short and whole would look the same.
pub fn parse_response_head(bytes: &[u8], limits: &HeadLimits, to_head: bool) -> Result<ResponseHead> {
    let mut fields = vec![httparse::EMPTY_HEADER; limits.fields];
    let mut parsed = httparse::Response::new(&mut fields);
    let outcome = parsed.parse(bytes);
    check_whole(bytes, outcome, limits)?;
    let version = version(parsed.version)?;
    let status = parsed.code.unwrap_or_default();
    let headers = lowered(parsed.headers);
    let length = match body_length(&headers, version)? {
        _ if to_head || matches!(status, 100..=199 | 204 | 304) => BodyLength::Fixed(0),
        Some(length) => length,
        None => return Err(Error::http(400, "an answer without a length")),
    };
    Ok(ResponseHead { status, headers, length })
}

/// Decodes a body as it is read. An end that comes too early is `UnexpectedEof`, and stays an error however often
/// it is asked again.
pub struct BodyReader<R> {
    reader: R,
    state: State,
    /// Bytes of content that may still come.
    allowed: u64,
    /// Bytes of chunk extensions and trailers that may still come: they are dropped, so nobody needs many.
    spare: usize,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Fixed { left: u64 },
    ChunkSize,
    Chunk { left: u64 },
    ChunkEnd,
    Done,
    Failed,
}

/// For one body, in bytes.
const EXTENSIONS_AND_TRAILERS: usize = 4 * 1024;

impl<R: BufRead> BodyReader<R> {
    /// A body of at most `limit` bytes.
    ///
    /// # Errors
    /// 413 when a longer one was announced; nothing is read then.
    pub fn new(reader: R, length: BodyLength, limit: u64) -> Result<Self> {
        let state = match length {
            BodyLength::Fixed(length) if length > limit => return Err(too_large(limit)),
            BodyLength::Fixed(0) => State::Done,
            BodyLength::Fixed(left) => State::Fixed { left },
            BodyLength::Chunked => State::ChunkSize,
        };
        Ok(Self { reader, state, allowed: limit, spare: EXTENSIONS_AND_TRAILERS })
    }

    /// Gives the next bytes of content to `take`, which says how many it took (at least one). `Ok(false)` at the
    /// proper end.
    fn advance(&mut self, take: impl FnOnce(&[u8]) -> Result<usize, Fault>) -> Result<bool, Fault> {
        let before = std::mem::replace(&mut self.state, State::Failed);
        let after = self.step(before, take)?;
        self.state = after;
        Ok(!matches!(after, State::Done))
    }

    fn step(
        &mut self,
        mut state: State,
        take: impl FnOnce(&[u8]) -> Result<usize, Fault>,
    ) -> Result<State, Fault> {
        loop {
            match state {
                State::Done => return Ok(State::Done),
                State::Failed => return Err(Fault::CutShort),
                State::ChunkSize => state = self.chunk_size()?,
                State::ChunkEnd => {
                    self.line_end()?;
                    state = State::ChunkSize;
                }
                State::Fixed { left } | State::Chunk { left } => {
                    let available = fill(&mut self.reader)?;
                    if available.is_empty() {
                        return Err(Fault::CutShort);
                    }
                    let usable = usize::try_from(left).unwrap_or(usize::MAX).min(available.len());
                    let taken = take(&available[..usable])?.min(usable);
                    self.reader.consume(taken);
                    let left = left - taken as u64;
                    return Ok(match state {
                        State::Fixed { .. } if left == 0 => State::Done,
                        State::Fixed { .. } => State::Fixed { left },
                        _ if left == 0 => State::ChunkEnd,
                        _ => State::Chunk { left },
                    });
                }
            }
        }
    }

    /// `chunk-size [ chunk-ext ] CRLF`, and for the last chunk the trailers (RFC 9112 section 7.1).
    fn chunk_size(&mut self) -> Result<State, Fault> {
        let mut size: u64 = 0;
        let mut digits = 0;
        let byte = loop {
            let byte = self.byte()?;
            let Some(digit) = (byte as char).to_digit(16) else { break byte };
            digits += 1;
            if digits > 16 {
                return Err(refused(400, "a chunk size of more than 16 digits"));
            }
            size = size << 4 | u64::from(digit);
        };
        if digits == 0 {
            return Err(refused(400, "a chunk size is not a hexadecimal number"));
        }
        match byte {
            b'\r' => self.expect(b'\n')?,
            b';' => drop(self.spare_line()?),
            _ => return Err(refused(400, "a chunk size is not a hexadecimal number")),
        }
        if size == 0 {
            self.trailers()?;
            return Ok(State::Done);
        }
        let Some(allowed) = self.allowed.checked_sub(size) else {
            return Err(Fault::Refused(Error::http(413, "the chunks exceed what this route accepts")));
        };
        self.allowed = allowed;
        Ok(State::Chunk { left: size })
    }

    /// Read for the sake of their form and dropped: nothing here has a use for them.
    fn trailers(&mut self) -> Result<(), Fault> {
        loop {
            let line = self.spare_line()?;
            if line.is_empty() {
                return Ok(());
            }
            let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
            if name.is_empty() || name.len() == line.len() || !name.iter().copied().all(is_token_byte) {
                return Err(refused(400, "a trailer is not a header field"));
            }
        }
    }

    /// The rest of a line without its CRLF, at the expense of `spare`.
    fn spare_line(&mut self) -> Result<Vec<u8>, Fault> {
        let mut line = Vec::new();
        loop {
            match self.byte()? {
                b'\r' => {
                    self.expect(b'\n')?;
                    return Ok(line);
                }
                byte if is_value_byte(byte) => line.push(byte),
                _ => return Err(refused(400, "a control character among the chunks")),
            }
            let Some(spare) = self.spare.checked_sub(1) else {
                return Err(refused(400, "too much beside the content of the chunks"));
            };
            self.spare = spare;
        }
    }

    fn line_end(&mut self) -> Result<(), Fault> {
        self.expect(b'\r')?;
        self.expect(b'\n')
    }

    fn expect(&mut self, expected: u8) -> Result<(), Fault> {
        if self.byte()? == expected {
            return Ok(());
        }
        Err(refused(400, "a chunk does not end where it said it would"))
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        let byte = *fill(&mut self.reader)?.first().ok_or(Fault::CutShort)?;
        self.reader.consume(1);
        Ok(byte)
    }
}

impl<R: BufRead> Read for BodyReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        let mut read = 0;
        self.advance(|available| {
            read = available.len().min(out.len());
            out[..read].copy_from_slice(&available[..read]);
            Ok(read)
        })?;
        Ok(read)
    }
}

/// Reads a whole body of at most `limit` bytes. Memory grows with what came, not with what was announced;
/// `charge` is asked before each growth, with the bytes it adds, and may refuse.
///
/// # Errors
/// 413 above `limit`, 400 for broken chunks, what `charge` says; `CutShort` when it ends too early.
pub fn read_body(
    reader: &mut impl BufRead,
    length: BodyLength,
    limit: usize,
    charge: &mut dyn FnMut(usize) -> Result<()>,
) -> Result<Vec<u8>, Fault> {
    let mut body_reader = BodyReader::new(reader, length, limit as u64).map_err(Fault::Refused)?;
    let at_most = match length {
        BodyLength::Fixed(length) => usize::try_from(length).unwrap_or(limit),
        BodyLength::Chunked => limit,
    };
    let mut body = Vec::new();
    while body_reader.advance(|available| {
        grow(&mut body, available.len(), at_most, charge).map_err(Fault::Refused)?;
        body.extend_from_slice(available);
        Ok(available.len())
    })? {}
    Ok(body)
}

/// The first piece of memory for a body of unknown or greater length.
const FIRST_PIECE: usize = 16 * 1024;

/// Makes room for `more` bytes, by a quarter of what is there and never past `at_most`: what is charged is what is
/// held, and little of it is empty.
fn grow(
    body: &mut Vec<u8>,
    more: usize,
    at_most: usize,
    charge: &mut dyn FnMut(usize) -> Result<()>,
) -> Result<()> {
    let needed = body.len() + more;
    if needed > body.capacity() {
        let wanted = body.capacity() + (body.capacity() / 4).max(FIRST_PIECE);
        let capacity = needed.max(wanted.min(at_most));
        charge(capacity - body.capacity())?;
        body.reserve_exact(capacity - body.len());
    }
    Ok(())
}

/// Looks for the bytes that `httparse` lets pass, after it has found the fields.
fn check_whole(bytes: &[u8], outcome: httparse::Result<usize>, limits: &HeadLimits) -> Result<()> {
    if bytes.len() > limits.bytes {
        return Err(Error::http(431, format!("the head exceeds {} bytes", limits.bytes)));
    }
    if matches!(bytes.first(), Some(b'\r' | b'\n')) {
        return Err(Error::http(400, "an empty line ahead of the head"));
    }
    match outcome {
        Ok(httparse::Status::Complete(end)) if end == bytes.len() => {}
        Ok(_) => return Err(Error::http(400, "the head does not end with an empty line")),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Error::http(431, format!("more than {} header fields", limits.fields)));
        }
        Err(httparse::Error::Version) if names_a_version(bytes) => {
            return Err(Error::http(505, "HTTP/1.1 and HTTP/1.0 are spoken here"));
        }
        Err(error) => return Err(Error::http(400, format!("malformed head: {error}"))),
    }
    // RFC 9112 section 2.2: a bare CR is never a line end, and a bare LF need not be one.
    let paired = |(at, byte): (usize, &u8)| match byte {
        b'\n' => at > 0 && bytes[at - 1] == b'\r',
        b'\r' => bytes.get(at + 1) == Some(&b'\n'),
        _ => true,
    };
    if !bytes.iter().enumerate().all(paired) {
        return Err(Error::http(400, "a line does not end with CR LF"));
    }
    Ok(())
}

/// A head that names a later minor version, HTTP/1.2 to 1.9, is one of HTTP/1.1 with features that nobody here knows
/// (RFC 9110 section 2.5).
fn as_http_11(bytes: &[u8]) -> Cow<'_, [u8]> {
    let end = bytes.iter().position(|byte| *byte == b'\r').unwrap_or(bytes.len());
    match &bytes[..end] {
        [.., b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9'] => {
            let mut bytes = bytes.to_vec();
            bytes[end - 1] = b'1';
            Cow::Owned(bytes)
        }
        _ => Cow::Borrowed(bytes),
    }
}

/// Whether the third and last word of the first line is `HTTP/d.d` (RFC 9112 section 2.3).
fn names_a_version(bytes: &[u8]) -> bool {
    let line = bytes.split(|byte| *byte == b'\r' || *byte == b'\n').next().unwrap_or_default();
    let words: Vec<_> = line.split(|byte| *byte == b' ').collect();
    matches!(words.as_slice(), [_, _, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]]
        if major.is_ascii_digit() && minor.is_ascii_digit())
}

fn version(minor: Option<u8>) -> Result<Version> {
    match minor {
        Some(0) => Ok(Version::Http10),
        Some(1) => Ok(Version::Http11),
        _ => Err(Error::http(505, "HTTP/1.1 and HTTP/1.0 are spoken here")),
    }
}

/// A request target in origin form, or in absolute form reduced to it (RFC 9112 section 3.2).
struct Target<'a> {
    authority: Option<&'a str>,
    path: &'a str,
    query: &'a str,
}

impl<'a> Target<'a> {
    fn parse(target: &'a str) -> Result<Self> {
        if !target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            return Err(Error::http(
                400,
                "the request target holds a character that must be percent-encoded",
            ));
        }
        let (authority, local) = match without_scheme(target) {
            Some(rest) => {
                let end = rest.find(['/', '?']).unwrap_or(rest.len());
                let (authority, local) = rest.split_at(end);
                if !is_authority(authority) {
                    return Err(Error::http(400, "the request target names no valid host"));
                }
                (Some(authority), local)
            }
            None => (None, target),
        };
        let (path, query) = local.split_once('?').unwrap_or((local, ""));
        let path = if path.is_empty() && authority.is_some() { "/" } else { path };
        if !path.starts_with('/') {
            return Err(Error::http(400, "the request target does not begin with /"));
        }
        Ok(Self { authority, path, query })
    }
}

fn without_scheme(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_once("://")?;
    (scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")).then_some(rest)
}

/// The position of the one Host (RFC 9112 section 3.2): needed in 1.1, allowed in 1.0, never twice, never empty.
fn host(headers: &[(String, String)], version: Version) -> Result<Option<usize>> {
    let mut found = headers.iter().enumerate().filter(|(_, (name, _))| name == "host");
    let first = found.next();
    if found.next().is_some() {
        return Err(Error::http(400, "more than one Host"));
    }
    match first {
        Some((_, (_, value))) if !is_authority(value) => Err(Error::http(400, "Host is not a valid host")),
        None if version == Version::Http11 => Err(Error::http(400, "Host is missing")),
        first => Ok(first.map(|(at, _)| at)),
    }
}

/// `uri-host [ ":" port ]` of RFC 3986 section 3.2.2, a host that is not empty and no user information.
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((literal, rest)) => {
            let well_formed = literal.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'));
            if literal.is_empty() || !well_formed || !(rest.is_empty() || rest.starts_with(':')) {
                return false;
            }
            ("literal", rest.strip_prefix(':').unwrap_or_default())
        }
        None => text.split_once(':').unwrap_or((text, "")),
    };
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&byte);
    !host.is_empty() && host.bytes().all(is_name_byte) && port.bytes().all(|byte| byte.is_ascii_digit())
}

/// What the head says about the body; `None` when it says nothing.
fn body_length(headers: &[(String, String)], version: Version) -> Result<Option<BodyLength>> {
    let lengths: Vec<_> = values(headers, "content-length").collect();
    let codings: Vec<_> = values(headers, "transfer-encoding").collect();
    match (lengths.as_slice(), codings.as_slice()) {
        ([], []) => Ok(None),
        ([length], []) => content_length(length).map(Some),
        ([], [_]) if version == Version::Http10 => {
            // Section 6.1: a 1.0 sender cannot mean it, and someone before us may have read past it.
            Err(Error::http(400, "Transfer-Encoding in HTTP/1.0"))
        }
        ([], [coding]) => transfer_coding(coding).map(Some),
        ([_, _, ..], []) => Err(Error::http(400, "more than one Content-Length")),
        ([], _) => Err(Error::http(400, "more than one Transfer-Encoding")),
        _ => Err(Error::http(400, "both Content-Length and Transfer-Encoding")),
    }
}

/// `1*DIGIT` (RFC 9110 section 8.6): no sign, no list. What exceeds 64 bits exceeds every limit too.
fn content_length(value: &str) -> Result<BodyLength> {
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Error::http(400, "Content-Length is not a number"));
    }
    Ok(BodyLength::Fixed(value.parse().unwrap_or(u64::MAX)))
}

/// RFC 9112 section 6.3: a last coding other than chunked is a 400; one before it that we do not have is a 501
/// (section 6.1).
fn transfer_coding(value: &str) -> Result<BodyLength> {
    if value.eq_ignore_ascii_case("chunked") {
        return Ok(BodyLength::Chunked);
    }
    let mut codings = value.rsplit(',').map(str::trim);
    let ends_chunked = codings.next().is_some_and(|last| last.eq_ignore_ascii_case("chunked"));
    if ends_chunked && codings.all(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("chunked")) {
        return Err(Error::http(501, "the only transfer coding known here is chunked"));
    }
    Err(Error::http(400, "Transfer-Encoding is not chunked"))
}

/// RFC 9112 section 9.3: 1.1 unless `close`, 1.0 only with `keep-alive`; `close` wins.
fn keep_alive(headers: &[(String, String)], version: Version) -> bool {
    let says = |option: &str| {
        values(headers, "connection")
            .flat_map(|value| value.split(','))
            .any(|token| token.trim().eq_ignore_ascii_case(option))
    };
    !says("close") && (version == Version::Http11 || says("keep-alive"))
}

/// RFC 9110 section 10.1.1: 1.0 clients cannot expect anything; what is not `100-continue` is a 417.
fn expects_continue(headers: &[(String, String)], version: Version) -> Result<bool> {
    if version == Version::Http10 {
        return Ok(false);
    }
    let mut expected = false;
    for value in values(headers, "expect") {
        if expected || !value.eq_ignore_ascii_case("100-continue") {
            return Err(Error::http(417, "the only expectation known here is 100-continue"));
        }
        expected = true;
    }
    Ok(expected)
}

fn lowered(fields: &[httparse::Header<'_>]) -> Vec<(String, String)> {
    let lowered = |field: &httparse::Header<'_>| {
        (field.name.to_ascii_lowercase(), String::from_utf8_lossy(field.value).into_owned())
    };
    fields.iter().map(lowered).collect()
}

fn values<'a>(headers: &'a [(String, String)], name: &'static str) -> impl Iterator<Item = &'a str> {
    headers.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
}

/// `tchar` of RFC 9110 section 5.6.2.
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// What may stand in a field value (RFC 9110 section 5.5).
fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7F)
}

fn too_large(limit: u64) -> Error {
    Error::http(413, format!("the body exceeds the {limit} bytes that this route accepts"))
}

fn refused(status: u16, message: impl Into<String>) -> Fault {
    Fault::Refused(Error::http(status, message))
}

/// `fill_buf` that goes on after a signal.
fn fill(reader: &mut impl BufRead) -> Result<&[u8], Fault> {
    // Asked twice, because a slice kept from inside the loop would borrow the reader for its whole life.
    loop {
        match reader.fill_buf() {
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Fault::Io(error)),
        }
    }
    reader.fill_buf().map_err(Fault::Io)
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Cursor};

    use super::*;

    #[test]
    fn heads_are_held_to_the_rfc() {
        for (rest, expected) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n", Ok("Get / keep")),
            ("GET /a%20b?x=1 HTTP/1.1\r\nhOsT: a:80\r\n", Ok("Get /a%20b keep")),
            ("HEAD / HTTP/1.1\r\nHost: [::1]:80\r\nConnection: x, Close\r\n", Ok("Head / close")),
            ("GET / HTTP/1.0\r\n", Ok("Get / close")),
            ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n", Ok("Get / keep")),
            ("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n", Ok("Get / close")),
            ("GET http://a/x HTTP/1.1\r\nHost: b\r\n", Ok("Get /x keep")),
            ("GET HTTP://a HTTP/1.1\r\nHost: b\r\n", Ok("Get / keep")),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n", Ok("Post / keep 5")),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 007\r\n", Ok("Post / keep 7")),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n", Ok("Post / keep chunked")),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-Continue\r\n",
                Ok("Post / keep 1 expects"),
            ),
            ("GET / HTTP/1.0\r\nExpect: tea\r\n", Ok("Get / close")),
            ("GET / HTTP/1.1\r\nHost: a\r\nX:\t v\t \r\n", Ok("Get / keep")),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: \u{e9}\r\n", Ok("Get / keep")),
            // The request line.
            ("get / HTTP/1.1\r\nHost: a\r\n", Err(501)),
            ("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n", Err(501)),
            ("G@T / HTTP/1.1\r\nHost: a\r\n", Err(400)),
            (" GET / HTTP/1.1\r\nHost: a\r\n", Err(400)),
            ("GET  / HTTP/1.1\r\nHost: a\r\n", Err(400)),
            ("GET\t/ HTTP/1.1\r\nHost: a\r\n", Err(400)),
            ("GET / HTTP/1.1 \r\nHost: a\r\n", Err(400)),
            ("GET /\r\nHost: a\r\n", Err(400)),
            ("GET / \r\nHost: a\r\n", Err(400)),
            ("GET / HTTP/2.0\r\nHost: a\r\n", Err(505)),
            ("GET / HTTP/1.2\r\nHost: a\r\n", Ok("Get / keep")),
            ("GET / HTTP/1.9\r\nHost: a\r\n", Ok("Get / keep")),
            ("GET / HTTP/0.9\r\nHost: a\r\n", Err(505)),
            ("PRI * HTTP/2.0\r\n", Err(505)),
            ("GET / HTTP/1.10\r\nHost: a\r\n", Err(400)),
            ("GET / http/1.1\r\nHost: a\r\n", Err(400)),
            ("GET / HTTPS/1.1\r\nHost: a\r\n", Err(400)),
            ("GET / a HTTP/1.1\r\nHost: a\r\n", Err(400)),
            // The target.
            ("OPTIONS * HTTP/1.1\r\nHost: a\r\n", Ok("Options * keep")),
            ("OPTIONS ** HTTP/1.1\r\nHost: a\r\n", Err(400)),
            ("GET * HTTP/1.1\r\nHost: a\r\n", Err(400)),
            ("GET a:80 HTTP/1.1\r\nHost: a\r\n", Err(400)),
            ("GET x HTTP/1.1\r\nHost: a\r\n", Err(400)),
            ("GET ?x HTTP/1.1\r\nHost: a\r\n", Err(400)),
            ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n", Err(400)),
            ("GET http:///x HTTP/1.1\r\nHost: a\r\n", Err(400)),
            ("GET http://u@a/x HTTP/1.1\r\nHost: a\r\n", Err(400)),
            ("GET /#x HTTP/1.1\r\nHost: a\r\n", Err(400)),
            ("GET /\u{e9} HTTP/1.1\r\nHost: a\r\n", Err(400)),
            ("GET /\u{7f} HTTP/1.1\r\nHost: a\r\n", Err(400)),
            ("GET /\0 HTTP/1.1\r\nHost: a\r\n", Err(400)),
            ("GET /?x=%zz HTTP/1.1\r\nHost: a\r\n", Err(400)),
            // Host.
            ("GET / HTTP/1.1\r\n", Err(400)),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n", Err(400)),
            ("GET / HTTP/1.1\r\nHost:\r\n", Err(400)),
            ("GET / HTTP/1.1\r\nHost: a b\r\n", Err(400)),
            ("GET / HTTP/1.1\r\nHost: a/b\r\n", Err(400)),
            ("GET / HTTP/1.1\r\nHost: u@a\r\n", Err(400)),
            ("GET / HTTP/1.1\r\nHost: a:b\r\n", Err(400)),
            ("GET / HTTP/1.1\r\nHost: a, b c\r\n", Err(400)),
            ("GET / HTTP/1.1\r\nHost: [::1\r\n", Err(400)),
            ("GET / HTTP/1.1\r\nHost: [::1]x\r\n", Err(400)),
            ("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n", Err(400)),
            // Fields.
            ("GET / HTTP/1.1\r\nHost : a\r\n", Err(400)),
            ("GET / HTTP/1.1\r\n Host: a\r\n", Err(400)),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n", Err(400)),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n\t2\r\n", Err(400)),
            ("GET / HTTP/1.1\r\nHost: a\r\n: v\r\n", Err(400)),
            ("GET / HTTP/1.1\r\nHost: a\r\nX\r\n", Err(400)),
            ("GET / HTTP/1.1\r\nHost: a\r\nX y: v\r\n", Err(400)),
            ("GET / HTTP/1.1\r\nHost: a\r\nX\u{e9}: v\r\n", Err(400)),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n", Err(400)),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: \u{7f}\r\n", Err(400)),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: \u{b}\r\n", Err(400)),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n", Err(400)),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: a\r\r\n", Err(400)),
            ("GET / HTTP/1.1\nHost: a\r\n", Err(400)),
            ("GET / HTTP/1.1\r\nHost: a\n", Err(400)),
            // The length of the body.
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: abc\r\n", Err(400)),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n", Err(400)),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n", Err(400)),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n", Err(400)),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n", Err(400)),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5 5\r\n", Err(400)),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n", Err(400)),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n", Err(400)),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n", Err(400)),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n", Err(400)),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n", Err(400)),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                Err(400),
            ),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n", Err(400)),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n", Err(400)),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n", Err(400)),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n", Err(400)),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n", Err(501)),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n", Err(400)),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \u{b}chunked\r\n", Err(400)),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n", Err(400)),
            ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n", Err(400)),
            ("POST / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n", Err(417)),
            ("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nExpect: 100-continue\r\n", Err(417)),
        ] {
            let head = format!("{rest}\r\n");
            let outcome = parse_request_head(head.as_bytes(), &HeadLimits::default());
            let outcome = outcome.as_ref().map(in_short).map_err(status);
            assert_eq!(outcome, expected.map(str::to_owned), "{head:?}");
        }
    }

    fn in_short(head: &RequestHead) -> String {
        let mut text =
            format!("{:?} {} {}", head.method, head.path, if head.keep_alive { "keep" } else { "close" });
        match head.length {
            BodyLength::Fixed(0) => {}
            BodyLength::Fixed(length) => text += &format!(" {length}"),
            BodyLength::Chunked => text += " chunked",
        }
        if head.expects_continue {
            text += " expects";
        }
        text
    }

    fn status(error: &Error) -> u16 {
        match error {
            Error::Http { status, .. } => *status,
            other => panic!("{other:?} is not a refusal of framing"),
        }
    }

    #[test]
    fn limits_of_a_head_are_met_exactly() {
        let limits = HeadLimits { bytes: 100, fields: 3, target: 20 };
        let fields = |n: usize| "A: b\r\n".repeat(n);
        for (head, expected) in [
            (format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", fields(2)), None),
            (format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", fields(3)), Some(431)),
            (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(19)), None),
            (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(20)), Some(414)),
            (format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", "a".repeat(100 - 26)), None),
            (format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", "a".repeat(100 - 25)), Some(431)),
            (format!("GET /{}", "x".repeat(200)), Some(414)),
            (format!("GET / HTTP/1.1\r\nHost: {}", "a".repeat(200)), Some(431)),
        ] {
            for piece in [1, 7, 4096] {
                let outcome = read(&head, piece, &limits);
                assert_eq!(outcome.as_ref().err().copied(), expected, "{head:?}, {piece} bytes at a time");
            }
        }
    }

    /// The outcome of a head that comes in pieces; an end in the middle counts as 0.
    fn read(text: &str, piece: usize, limits: &HeadLimits) -> Result<RequestHead, u16> {
        let mut reader = BufReader::with_capacity(piece, text.as_bytes());
        let mut head = Vec::new();
        match read_head(&mut reader, limits.bytes, &mut head) {
            Ok(true) => parse_request_head(&head, limits).map_err(|error| status(&error)),
            Ok(false) | Err(Fault::CutShort) => Err(0),
            Err(Fault::Refused(error)) => Err(status(&error)),
            Err(Fault::Io(error)) => panic!("{error}"),
        }
    }

    #[test]
    fn a_head_ends_at_the_empty_line_and_what_follows_stays_in_the_reader() {
        let mut reader = Cursor::new(b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nGET /2".to_vec());
        let mut head = Vec::new();
        assert!(read_head(&mut reader, 100, &mut head).unwrap());
        assert_eq!(head, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        head.clear();
        assert!(matches!(read_head(&mut reader, 100, &mut head), Err(Fault::CutShort)));
        let seen = glance(&head, &HeadLimits::default());
        assert_eq!((seen.method, seen.path.as_str()), (Some(Method::Get), "/2"));
        for nothing in ["", "\r\n"] {
            assert!(!read_head(&mut nothing.as_bytes(), 100, &mut Vec::new()).unwrap());
        }
        for garbage in ["\r\n\r\nGET / HTTP/1.1\r\n", "\n", "\x16\x03\x01", " GET"] {
            assert_eq!(read(garbage, 1, &HeadLimits::default()), Err(400), "{garbage:?}");
        }
    }

    #[test]
    fn the_host_of_an_absolute_target_wins() {
        let head = b"GET http://right:80/x?y HTTP/1.1\r\nHost: wrong\r\n\r\n";
        let head = parse_request_head(head, &HeadLimits::default()).unwrap();
        assert_eq!(head.headers, [("host".to_owned(), "right:80".to_owned())]);
    }

    #[test]
    fn bodies_are_whole_or_an_error() {
        const CUT: Result<&str, u16> = Err(0);
        let long_extension = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(5000));
        let many_extensions = format!("{}0\r\n\r\n", format!("1;{}\r\na\r\n", "x".repeat(600)).repeat(8));
        let long_trailer = format!("0\r\nA: {}\r\n\r\n", "x".repeat(5000));
        for (length, wire, expected) in [
            (BodyLength::Fixed(0), "", Ok("")),
            (BodyLength::Fixed(5), "hello", Ok("hello")),
            (BodyLength::Fixed(5), "hello, more", Ok("hello")),
            (BodyLength::Fixed(5), "hell", CUT),
            (BodyLength::Fixed(5), "", CUT),
            (BodyLength::Fixed(10), "0123456789", Ok("0123456789")),
            (BodyLength::Fixed(11), "0123456789a", Err(413)),
            (BodyLength::Fixed(u64::MAX), "", Err(413)),
            (BodyLength::Chunked, "0\r\n\r\n", Ok("")),
            (BodyLength::Chunked, "5\r\nhello\r\n0\r\n\r\n", Ok("hello")),
            (BodyLength::Chunked, "2\r\nhe\r\n3\r\nllo\r\n000\r\n\r\nmore", Ok("hello")),
            (BodyLength::Chunked, "A\r\n0123456789\r\n0\r\n\r\n", Ok("0123456789")),
            (BodyLength::Chunked, "a\r\n0123456789\r\n0\r\n\r\n", Ok("0123456789")),
            (BodyLength::Chunked, "0000000000000005\r\nhello\r\n0\r\n\r\n", Ok("hello")),
            (BodyLength::Chunked, "5;a=b;c=\"d\"\r\nhello\r\n0;x\r\n\r\n", Ok("hello")),
            (BodyLength::Chunked, "0\r\nA: b\r\nC:\r\n\r\n", Ok("")),
            (BodyLength::Chunked, "b\r\n0123456789a\r\n0\r\n\r\n", Err(413)),
            (BodyLength::Chunked, "9\r\n012345678\r\n2\r\n9a\r\n0\r\n\r\n", Err(413)),
            (BodyLength::Chunked, "ffffffffffffffff\r\n", Err(413)),
            (BodyLength::Chunked, "00000000000000005\r\nhello\r\n0\r\n\r\n", Err(400)),
            (BodyLength::Chunked, "\r\nhello\r\n0\r\n\r\n", Err(400)),
            (BodyLength::Chunked, "x\r\nhello\r\n0\r\n\r\n", Err(400)),
            (BodyLength::Chunked, "+5\r\nhello\r\n0\r\n\r\n", Err(400)),
            (BodyLength::Chunked, "-5\r\nhello\r\n0\r\n\r\n", Err(400)),
            (BodyLength::Chunked, "0x5\r\nhello\r\n0\r\n\r\n", Err(400)),
            (BodyLength::Chunked, " 5\r\nhello\r\n0\r\n\r\n", Err(400)),
            (BodyLength::Chunked, "5 \r\nhello\r\n0\r\n\r\n", Err(400)),
            (BodyLength::Chunked, "5\nhello\r\n0\r\n\r\n", Err(400)),
            (BodyLength::Chunked, "5\rhello\r\n0\r\n\r\n", Err(400)),
            (BodyLength::Chunked, "5;a\nhello\r\n0\r\n\r\n", Err(400)),
            (BodyLength::Chunked, "5;\0\r\nhello\r\n0\r\n\r\n", Err(400)),
            (BodyLength::Chunked, "5\r\nhello0\r\n\r\n", Err(400)),
            (BodyLength::Chunked, "5\r\nhello\n0\r\n\r\n", Err(400)),
            (BodyLength::Chunked, "5\r\nhelloXY0\r\n\r\n", Err(400)),
            (BodyLength::Chunked, "4\r\nhello\r\n0\r\n\r\n", Err(400)),
            (BodyLength::Chunked, "0\r\nno trailer\r\n\r\n", Err(400)),
            (BodyLength::Chunked, "0\r\n: x\r\n\r\n", Err(400)),
            (BodyLength::Chunked, "0\r\n A: x\r\n\r\n", Err(400)),
            (BodyLength::Chunked, "0\r\nA: x\n\r\n", Err(400)),
            (BodyLength::Chunked, &long_extension, Err(400)),
            (BodyLength::Chunked, &many_extensions, Err(400)),
            (BodyLength::Chunked, &long_trailer, Err(400)),
            (BodyLength::Chunked, "", CUT),
            (BodyLength::Chunked, "5", CUT),
            (BodyLength::Chunked, "5\r\n", CUT),
            (BodyLength::Chunked, "5\r\nhel", CUT),
            (BodyLength::Chunked, "5\r\nhello", CUT),
            (BodyLength::Chunked, "5\r\nhello\r\n", CUT),
            (BodyLength::Chunked, "5\r\nhello\r\n0\r\n", CUT),
            (BodyLength::Chunked, "5\r\nhello\r\n0\r\nA: b\r\n", CUT),
        ] {
            for piece in [1, 3, 4096] {
                let mut reader = BufReader::with_capacity(piece, wire.as_bytes());
                let mut charged = 0;
                let outcome = read_body(&mut reader, length, 10, &mut |bytes| {
                    charged += bytes;
                    Ok(())
                });
                assert!(charged <= 10, "{wire:?}: {charged} bytes were charged");
                let outcome = outcome.as_deref().map_err(|fault| match fault {
                    Fault::Refused(error) => status(error),
                    Fault::CutShort => 0,
                    Fault::Io(error) => panic!("{error}"),
                });
                assert_eq!(outcome, expected.map(str::as_bytes), "{wire:?}, {piece} bytes at a time");
            }
        }
    }

    #[test]
    fn a_cut_body_stays_an_error_when_read_on() {
        let mut reader = BodyReader::new(&b"5\r\nhel"[..], BodyLength::Chunked, 10).unwrap();
        let mut text = String::new();
        for _ in 0..2 {
            let error = reader.read_to_string(&mut text).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    }

    #[test]
    fn a_refused_charge_stops_the_reading() {
        let full = &mut |_| Err(Error::Unavailable { retry_after: 1, message: "full".into() });
        let outcome = read_body(&mut &b"hello"[..], BodyLength::Fixed(5), 10, full);
        assert!(matches!(outcome, Err(Fault::Refused(Error::Unavailable { .. }))));
    }

    #[test]
    fn answers_need_a_length_unless_they_have_no_body() {
        for (head, to_head, expected) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false, Ok((200, BodyLength::Fixed(5)))),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false, Ok((200, BodyLength::Chunked))),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, Ok((200, BodyLength::Fixed(0)))),
            ("HTTP/1.1 204 No Content\r\n\r\n", false, Ok((204, BodyLength::Fixed(0)))),
            ("HTTP/1.1 100 Continue\r\n\r\n", false, Ok((100, BodyLength::Fixed(0)))),
            ("HTTP/1.1 200 OK\r\n\r\n", false, Err(400)),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", false, Err(400)),
            ("HTTP/1.1 200 OK\nContent-Length: 5\n\n", false, Err(400)),
            ("HTTP/2.0 200 OK\r\nContent-Length: 5\r\n\r\n", false, Err(400)),
        ] {
            let outcome = parse_response_head(head.as_bytes(), &HeadLimits::default(), to_head);
            let outcome = outcome.map(|head| (head.status, head.length)).map_err(|error| status(&error));
            assert_eq!(outcome, expected, "{head:?}");
        }
    }
}
