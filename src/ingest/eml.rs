//! One raw message (RFC 5322) becomes the facts that the message log keeps of it.
//!
//! What the sender wrote and what the delivering server found out stand in one header, and everybody can write
//! either. So the recipient, the time and the verdicts come only from places a server of ours has written:
//! fields above the first `Received`, the first `Received` itself, and `Authentication-Results` of the configured
//! authserv-ids. RFC 8601 section 5 has the border server remove fields that come in under its own authserv-id; one
//! that does not cannot be protected from here.
//!
//! # Bounds
//!
//! A message is read once from top to bottom, however its parts nest: `mail-parser` decodes single fields and parts,
//! but its own walk over the parts takes quadratic time, and dropping its result recursion, on messages made for that.
//! Each list has a limit (below); what goes beyond is passed over, not refused. A message is refused only when it
//! has no header field at all. Nothing panics, whatever the bytes.

use std::borrow::Cow;
use std::collections::HashSet;

use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::charsets::map::charset_decoder;
use mail_parser::parsers::MessageStream;

use super::authres::{self, MethodResult};
use crate::error::{Error, Result};
use crate::ids::{hex, sha256, unhex};
use crate::messages::Verdict;
use crate::time::Timestamp;

/// Bytes of an identifier: no line of a message may be longer (RFC 5322 section 2.1.1).
const MAX_ID: usize = 998;
/// Identifiers in `Facts::references`. Of more, the first and the last stay (RFC 5537 section 3.4.4).
const MAX_REFERENCES: usize = 1000;
/// Bytes of an address: 64 for the local part, 255 for the domain (RFC 5321 section 4.5.3.1).
const MAX_ADDRESS: usize = 320;
/// Fields of one header.
const MAX_FIELDS: usize = 10_000;
/// Bytes of a field with addresses, and of a `Content-…` field: parsing those is not linear.
const MAX_ADDRESS_FIELD: usize = 16 * 1024;
const MAX_CONTENT_FIELD: usize = 4 * 1024;
/// Bytes after the last semicolon of a `Received` field.
const MAX_DATE: usize = 256;
/// Body parts, and multiparts within one another.
const MAX_PARTS: usize = 1000;
const MAX_DEPTH: usize = 50;

/// What one message says, and what is said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The topmost `Message-ID` without its angle brackets and without control characters, at most 998 bytes.
    /// A message without one gets `<first 32 hex digits of message_hash>@derived.mailtrail`: the same bytes get the
    /// same id, so that a second run adds nothing.
    pub message_id: String,
    pub derived_message_id: bool,
    /// The ids of `References` in their order, then those of `In-Reply-To` that are not among them. None twice, at
    /// most 1000 (of more, the first and the last 999).
    pub references: Vec<String>,
    /// The first address of `From`, its domain in lower case. `None` for a null address (`<>`) and for what is no
    /// address.
    pub sender_address: Option<String>,
    /// Where the delivering server says it went: `Delivered-To`, else `X-Original-To`, else `Envelope-To`, the
    /// topmost of its kind, and only from above the first `Received`. Below it anybody may have written them; where
    /// there is no `Received`, nothing is above it.
    pub recipient_address: Option<String>,
    /// The date of the topmost `Received`, or `None`: `Date` is the sender's to write.
    pub received_at: Option<Timestamp>,
    /// From trusted fields only; `None` when none of them names the method.
    pub verification_dkim: Option<Verdict>,
    pub verification_spf: Option<Verdict>,
    pub verification_dmarc: Option<Verdict>,
    /// Whether a domain that passed DKIM or SPF, or DMARC itself, stands for the domain of `sender_address`.
    /// `None` without trusted results of these methods, and without a sender.
    pub from_alignment: Option<bool>,
    /// What JMAP gives as `bodyValues` of `textBody` (RFC 8621 section 4.1.4): UTF-8, CR LF as LF. The values of
    /// several parts are joined by one LF. A message with no other text than HTML gives its source.
    pub text_body: String,
    /// SHA-256 of the message, without a leading mbox line (`From …`): a pipe adds that one, with its own clock.
    pub message_hash: [u8; 32],
}

/// Reads one message. `trusted_authserv_ids` are the names under which servers of ours write
/// `Authentication-Results`, compared without regard to case; with none, nothing is verified.
///
/// # Errors
///
/// `Malformed` when there is no header field: an empty input, or something that is no message.
pub fn read(raw: &[u8], trusted_authserv_ids: &[String]) -> Result<Facts> {
    let raw = without_mbox_line(raw);
    if raw.is_empty() {
        return Err(Error::Malformed("the message is empty".into()));
    }
    let (header, body) = Header::read(raw, leading_blank_lines(raw), |_| false);
    if header.fields.is_empty() {
        return Err(Error::Malformed("this is no mail message: it has no header field".into()));
    }

    let message_hash = sha256(raw);
    let given_id = header.first("Message-ID").and_then(|field| message_ids(&field.text()).into_iter().next());
    let derived_message_id = given_id.is_none();
    let message_id = given_id
        .unwrap_or_else(|| format!("{}@derived.mailtrail", hex(&message_hash[..MESSAGE_ID_HASH_BYTES])));
    let sender_address = header.all("From").find_map(Field::address);
    let verification = Verification::read(&header, trusted_authserv_ids);
    let sender_domain = sender_address.as_deref().map(domain_of);
    Ok(Facts {
        message_id,
        derived_message_id,
        references: references(&header),
        recipient_address: recipient(&header),
        received_at: header.first("Received").and_then(received_at),
        verification_dkim: verification.dkim(),
        verification_spf: verification.spf(),
        verification_dmarc: verification.dmarc(),
        from_alignment: sender_domain.and_then(|domain| verification.aligned(domain)),
        sender_address,
        text_body: text_body(raw, &header, body),
        message_hash,
    })
}

const MESSAGE_ID_HASH_BYTES: usize = 16;

// ---- The header ----------------------------------------------------------------------------------------------

/// The fields of one header, topmost first. Lines that are no field are passed over.
struct Header<'a> {
    fields: Vec<Field<'a>>,
}

/// One field. Its value is as it came: folded, and in whatever character set.
struct Field<'a> {
    name: &'a str,
    value: &'a [u8],
}

impl<'a> Header<'a> {
    /// Reads fields from `start` to after the first empty line, or to a line that `stop` knows, or to the end.
    /// Returns them and where the body begins.
    fn read(raw: &'a [u8], start: usize, stop: impl Fn(&[u8]) -> bool) -> (Self, usize) {
        let mut fields: Vec<Field> = Vec::new();
        // The name of the field being read, and where its value begins and ends.
        let mut open: Option<(&str, usize, usize)> = None;
        let mut at = start;
        while at < raw.len() {
            let line = &raw[at..line_end(raw, at)];
            if is_blank(line) || stop(line) {
                break;
            }
            if line[0] == b' ' || line[0] == b'\t' {
                if let Some((_, _, end)) = &mut open {
                    *end = at + line.len();
                }
            } else {
                fields.extend(open.take().map(|(name, start, end)| Field { name, value: &raw[start..end] }));
                if fields.len() < MAX_FIELDS
                    && let Some((name, length)) = field_name(line)
                {
                    open = Some((name, at + length, at + line.len()));
                }
            }
            at += line.len();
        }
        fields.extend(open.map(|(name, start, end)| Field { name, value: &raw[start..end] }));
        if at < raw.len() && is_blank(&raw[at..line_end(raw, at)]) {
            at = line_end(raw, at);
        }
        (Self { fields }, at)
    }

    fn all<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h Field<'a>> {
        self.fields.iter().filter(move |field| field.is(name))
    }

    fn first(&self, name: &str) -> Option<&Field<'a>> {
        self.fields.iter().find(|field| field.is(name))
    }
}

impl Field<'_> {
    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The value without its line ends (RFC 5322 section 2.2.3), as far as it is UTF-8.
    fn text(&self) -> String {
        let unfolded: Vec<u8> =
            self.value.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
        String::from_utf8_lossy(&unfolded).into_owned()
    }

    /// The value for a parser of `mail-parser`, which wants a line end after it.
    fn line(&self, limit: usize) -> Vec<u8> {
        let mut line = self.value[..self.value.len().min(limit)].to_vec();
        line.push(b'\n');
        line
    }

    /// The first address in the value.
    fn address(&self) -> Option<String> {
        let line = self.line(MAX_ADDRESS_FIELD);
        let value = MessageStream::new(&line).parse_address();
        value.as_address()?.iter().find_map(|address| plain_address(address.address.as_deref()?))
    }

    fn content(&self) -> Option<mail_parser::ContentType<'static>> {
        let line = self.line(MAX_CONTENT_FIELD);
        MessageStream::new(&line).parse_content_type().into_owned().into_content_type()
    }
}

/// The length of a field's name with its colon. Blanks may stand between the two (RFC 5322 section 4.5).
fn field_name(line: &[u8]) -> Option<(&str, usize)> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let name = std::str::from_utf8(&line[..colon]).ok()?.trim_end_matches([' ', '\t']);
    let well_formed = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
    well_formed.then_some((name, colon + 1))
}

/// `From ` and no colon: the line that mbox files and pipes (Postfix, flag F) put above a message.
fn without_mbox_line(raw: &[u8]) -> &[u8] {
    let first_line = &raw[..line_end(raw, 0)];
    match first_line.strip_prefix(b"From ") {
        Some(rest) if !rest.trim_ascii_start().starts_with(b":") => &raw[first_line.len()..],
        _ => raw,
    }
}

fn leading_blank_lines(raw: &[u8]) -> usize {
    let mut at = 0;
    while at < raw.len() && is_blank(&raw[at..line_end(raw, at)]) {
        at = line_end(raw, at);
    }
    at
}

/// The index after the line feed that ends the line at `start`, or after the last byte.
fn line_end(raw: &[u8], start: usize) -> usize {
    raw[start..].iter().position(|&byte| byte == b'\n').map_or(raw.len(), |offset| start + offset + 1)
}

fn is_blank(line: &[u8]) -> bool {
    matches!(line, b"\n" | b"\r\n" | b"\r")
}

// ---- Single facts --------------------------------------------------------------------------------------------

fn references(header: &Header) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut references: Vec<String> = ["References", "In-Reply-To"]
        .into_iter()
        .flat_map(|name| header.all(name))
        .flat_map(|field| message_ids(&field.text()))
        .filter(|id| seen.insert(id.clone()))
        .collect();
    if references.len() > MAX_REFERENCES {
        references.drain(1..=references.len() - MAX_REFERENCES);
    }
    references
}

/// What stands in angle brackets. Where there are none, the words, if every one has an `@` (`In-Reply-To` was prose
/// once), or the one word there is.
fn message_ids(text: &str) -> Vec<String> {
    if text.contains('<') {
        let after_brackets = text.split('<').skip(1);
        return after_brackets.filter_map(|rest| clean_id(rest.split('>').next()?)).collect();
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    if words.len() > 1 && !words.iter().all(|word| word.contains('@')) {
        return Vec::new();
    }
    words.into_iter().filter_map(clean_id).collect()
}

fn clean_id(text: &str) -> Option<String> {
    let id: String = text.chars().filter(|character| !character.is_control()).collect();
    let id = id.trim();
    let id = id[..id.floor_char_boundary(MAX_ID)].trim_end();
    (!id.is_empty()).then(|| id.to_owned())
}

fn recipient(header: &Header) -> Option<String> {
    let received = header.fields.iter().position(|field| field.is("Received"))?;
    let above = &header.fields[..received];
    ["Delivered-To", "X-Original-To", "Envelope-To"]
        .into_iter()
        .find_map(|name| above.iter().filter(|field| field.is(name)).find_map(Field::address))
}

/// The date after the last semicolon (RFC 5321 section 4.4). The day of the week need not be right.
fn received_at(field: &Field) -> Option<Timestamp> {
    let text = field.text();
    let (_, date) = text.rsplit_once(';')?;
    if date.len() > MAX_DATE {
        return None;
    }
    let parser = jiff::fmt::rfc2822::DateTimeParser::new().relaxed_weekday(true);
    Timestamp::checked_from_seconds(parser.parse_timestamp(date.trim()).ok()?.as_second())
}

/// `local@domain` with the domain in lower case; `None` for what is not that, or too long for it.
fn plain_address(text: &str) -> Option<String> {
    let text: String = text.chars().filter(|character| !character.is_control()).collect();
    let (local, domain) = text.trim().rsplit_once('@')?;
    let domain = domain.to_lowercase();
    let address = format!("{local}@{domain}");
    let well_formed = !local.is_empty() && !domain.is_empty() && !domain.contains(char::is_whitespace);
    (well_formed && address.len() <= MAX_ADDRESS).then_some(address)
}

/// What follows the last `@`, or all of it.
fn domain_of(address: &str) -> &str {
    address.rsplit_once('@').map_or(address, |(_, domain)| domain)
}

// ---- Verification --------------------------------------------------------------------------------------------

/// The results of the trusted fields. Each method has those of the topmost field that names it: a server writes
/// above what was there, so the topmost is the last word, and the one a sender cannot have written.
#[derive(Default)]
struct Verification {
    dkim: Vec<MethodResult>,
    spf: Vec<MethodResult>,
    dmarc: Vec<MethodResult>,
}

impl Verification {
    fn read(header: &Header, trusted_authserv_ids: &[String]) -> Self {
        let mut verification = Self::default();
        if trusted_authserv_ids.is_empty() {
            return verification;
        }
        let ours: HashSet<String> = trusted_authserv_ids.iter().map(|id| id.to_lowercase()).collect();
        let results = header
            .all("Authentication-Results")
            .filter_map(|field| authres::parse(&field.text()))
            .filter(|field| ours.contains(&field.authserv_id.to_lowercase()));
        for field in results {
            for (method, found) in [
                ("dkim", &mut verification.dkim),
                ("spf", &mut verification.spf),
                ("dmarc", &mut verification.dmarc),
            ] {
                if found.is_empty() {
                    found.extend(field.of(method).cloned());
                }
            }
        }
        verification
    }

    /// Pass if one signature passes; else the first result other than `none`, which is one on a signature.
    fn dkim(&self) -> Option<Verdict> {
        let verdicts = || self.dkim.iter().map(MethodResult::verdict);
        verdicts()
            .find(|&verdict| verdict == Verdict::Pass)
            .or_else(|| verdicts().find(|&verdict| verdict != Verdict::None))
            .or_else(|| verdicts().next())
    }

    fn spf(&self) -> Option<Verdict> {
        self.spf_result().map(MethodResult::verdict)
    }

    fn dmarc(&self) -> Option<Verdict> {
        self.dmarc.first().map(MethodResult::verdict)
    }

    /// The result for the envelope sender where there is one beside that for the greeting (RFC 7208 section 2.4).
    fn spf_result(&self) -> Option<&MethodResult> {
        self.spf.iter().find(|result| envelope_domain(result).is_some()).or(self.spf.first())
    }

    /// Relaxed alignment (RFC 7489 section 3.1) of the domain of `From`. `None` without any results.
    ///
    /// `dmarc=pass` says it by itself, unless it names another domain: a message with two senders may look to the
    /// server as if it were from the one, and to us from the other.
    fn aligned(&self, from: &str) -> Option<bool> {
        if self.dkim.is_empty() && self.spf.is_empty() && self.dmarc.is_empty() {
            return None;
        }
        let passed = |result: &&MethodResult| result.verdict() == Verdict::Pass;
        let by_dkim = self.dkim.iter().filter(passed).filter_map(signing_domain);
        let by_spf = self.spf_result().filter(passed).and_then(spf_domain);
        let by_dmarc = self.dmarc.first().filter(passed);
        let by_dmarc = by_dmarc.map(|result| result.property("header", "from").map_or(from, domain_of));
        Some(by_dkim.chain(by_spf).chain(by_dmarc).any(|domain| same_organization(domain, from)))
    }
}

/// `header.d`, or the domain of `header.i` (RFC 6376 section 3.5: it is that of `d` or below it).
fn signing_domain(result: &MethodResult) -> Option<&str> {
    result.property("header", "d").or_else(|| result.property("header", "i").map(domain_of))
}

/// The domain of the envelope sender; for a null sender, that of the greeting (RFC 7489 section 3.1.2).
fn spf_domain(result: &MethodResult) -> Option<&str> {
    envelope_domain(result).or_else(|| result.property("smtp", "helo").map(domain_of))
}

/// Of an address or a bare domain, in angle brackets or not. `mfrom` is what sid-milter writes.
fn envelope_domain(result: &MethodResult) -> Option<&str> {
    let sender = result.property("smtp", "mailfrom").or_else(|| result.property("smtp", "mfrom"))?;
    let domain = domain_of(sender.trim_matches(['<', '>']));
    (!domain.is_empty()).then_some(domain)
}

/// Whether both names are of one registrable domain by the Public Suffix List. Names that have none (`localhost`, a
/// suffix itself, an IP address) must be equal. Names in ASCII and in Unicode are not taken for one another.
fn same_organization(one: &str, other: &str) -> bool {
    let plain = |name: &str| name.trim_end_matches('.').to_lowercase();
    let (one, other) = (plain(one), plain(other));
    let is_number = |name: &str| name.rsplit('.').next().is_some_and(|label| label.parse::<u8>().is_ok());
    let registrable = |name: &str| {
        let domain = psl::domain_str(name).filter(|domain| !is_number(domain) && !domain.starts_with('.'));
        domain.map(str::to_owned)
    };
    !one.is_empty()
        && (one == other || registrable(&one).is_some() && registrable(&one) == registrable(&other))
}

// ---- The text ------------------------------------------------------------------------------------------------

fn text_body(raw: &[u8], header: &Header, body: usize) -> String {
    let parts = read_parts(raw, header, body);
    let mut bodies = Bodies::default();
    bodies.collect(&parts, &[0], "mixed", Wanted { text: true, html: true, in_alternative: false });
    let texts: Vec<String> = bodies.text.iter().filter_map(|&part| parts[part].text(raw)).collect();
    texts.join("\n")
}

/// One body part. Parts are kept in a list, the message itself first, and name one another by index.
struct Part {
    kind: Kind,
    /// Index of where the body begins, and of the byte after it.
    body: (usize, usize),
    base64: bool,
    quoted_printable: bool,
    charset: Option<String>,
    is_attachment: bool,
    has_name: bool,
}

/// What RFC 8621 section 4.1.4 tells apart.
enum Kind {
    Plain,
    Html,
    /// Image, audio, video: stands in a body, and has no text.
    Media,
    Multipart {
        subtype: String,
        boundary: Vec<u8>,
        children: Vec<usize>,
    },
    Other,
}

/// Takes the message apart, in one pass over its lines. A multipart that is not closed ends with the one around it;
/// one without a boundary, or deeper than `MAX_DEPTH`, is not taken apart and has no text.
fn read_parts(raw: &[u8], header: &Header, body: usize) -> Vec<Part> {
    let mut parts = vec![Part::read(header, (body, raw.len()), Kind::Plain)];
    // The multiparts around `at`, the outermost first: index and boundary.
    let mut open: Vec<(usize, Vec<u8>)> =
        parts[0].boundary().map(|boundary| (0, boundary)).into_iter().collect();
    let mut leaf = None;
    let mut at = body;
    while at < raw.len() && !open.is_empty() {
        let line_start = at;
        at = line_end(raw, at);
        let Some((level, closes)) = delimiter(&raw[line_start..at], &open) else { continue };
        if let Some(leaf) = leaf.take() {
            let Part { body: (start, end), .. } = &mut parts[leaf];
            *end = before_line_end(raw, *start, line_start);
        }
        open.truncate(if closes { level } else { level + 1 });
        if closes {
            continue;
        }
        if parts.len() == MAX_PARTS || at == raw.len() {
            break;
        }
        let (header, body) = Header::read(raw, at, |line| delimiter(line, &open).is_some());
        let index = parts.len();
        let mut default_kind = Kind::Plain;
        if let Kind::Multipart { subtype, children, .. } = &mut parts[open[level].0].kind {
            children.push(index);
            if subtype == "digest" {
                // message/rfc822: RFC 2046 section 5.1.5.
                default_kind = Kind::Other;
            }
        }
        let part = Part::read(&header, (body, raw.len()), default_kind);
        match part.boundary() {
            Some(boundary) if open.len() < MAX_DEPTH => open.push((index, boundary)),
            _ => leaf = Some(index),
        }
        parts.push(part);
        at = body;
    }
    parts
}

/// The level of the multipart that a delimiter line belongs to, and whether it is the last one (RFC 2046 section
/// 5.1.1). Of two that use the same boundary, the inner.
fn delimiter(line: &[u8], open: &[(usize, Vec<u8>)]) -> Option<(usize, bool)> {
    let text = line.strip_prefix(b"--")?.trim_ascii_end();
    open.iter().enumerate().rev().find_map(|(level, (_, boundary))| {
        match text.strip_prefix(&boundary[..])? {
            b"" => Some((level, false)),
            b"--" => Some((level, true)),
            _ => None,
        }
    })
}

/// Where the line before `at` ends, without its line end, which belongs to the delimiter.
fn before_line_end(raw: &[u8], start: usize, at: usize) -> usize {
    let body = &raw[start.min(at)..at];
    let body = body.strip_suffix(b"\n").unwrap_or(body);
    start + body.strip_suffix(b"\r").unwrap_or(body).len()
}

impl Part {
    fn read(header: &Header, body: (usize, usize), default_kind: Kind) -> Self {
        let content = header.first("Content-Type").and_then(Field::content);
        let disposition = header.first("Content-Disposition").and_then(Field::content);
        let encoding = header.first("Content-Transfer-Encoding").and_then(Field::content);
        let encoding = encoding.as_ref().map_or("", |encoding| encoding.ctype());
        let parameter = |name| content.as_ref().and_then(|content| content.attribute(name));
        let subtype = content.as_ref().and_then(|content| content.subtype());
        let kind = match (content.as_ref().map(|content| content.ctype()), subtype) {
            (Some("text"), Some("plain")) => Kind::Plain,
            (Some("text"), Some("html")) => Kind::Html,
            (Some("image" | "audio" | "video"), Some(_)) => Kind::Media,
            (Some("multipart"), Some(subtype)) => Kind::Multipart {
                subtype: subtype.to_owned(),
                boundary: parameter("boundary").unwrap_or_default().trim_ascii_end().into(),
                children: Vec::new(),
            },
            (Some(_), Some(_)) => Kind::Other,
            // No type, or no valid one: RFC 2045 section 5.2.
            _ => default_kind,
        };
        Self {
            kind,
            body,
            base64: encoding == "base64",
            quoted_printable: encoding == "quoted-printable",
            charset: parameter("charset").map(str::to_owned),
            is_attachment: disposition
                .as_ref()
                .is_some_and(|disposition| disposition.ctype() == "attachment"),
            has_name: parameter("name").is_some()
                || disposition.as_ref().is_some_and(|disposition| disposition.has_attribute("filename")),
        }
    }

    fn boundary(&self) -> Option<Vec<u8>> {
        match &self.kind {
            Kind::Multipart { boundary, .. } if !boundary.is_empty() => Some(boundary.clone()),
            _ => None,
        }
    }

    /// The decoded text of a text part. A character set that is not known, or not given, is taken for UTF-8.
    fn text(&self, raw: &[u8]) -> Option<String> {
        if !matches!(self.kind, Kind::Plain | Kind::Html) {
            return None;
        }
        let encoded = raw.get(self.body.0..self.body.1).unwrap_or_default();
        let decoded = if self.base64 {
            base64(encoded)
        } else if self.quoted_printable {
            Some(quoted_printable(encoded))
        } else {
            None
        };
        let bytes = decoded.map_or(Cow::Borrowed(encoded), Cow::Owned);
        let text = match self.charset.as_deref().and_then(|charset| charset_decoder(charset.as_bytes())) {
            Some(decode) => decode(&bytes),
            None => String::from_utf8_lossy(&bytes).into_owned(),
        };
        Some(text.replace("\r\n", "\n"))
    }
}

/// RFC 2045 section 6.8: characters that are none of base64 are ignored. `mail-parser` would give up on the whole part,
/// and a single such character would hide its text from the content guards.
fn base64(encoded: &[u8]) -> Option<Vec<u8>> {
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    base64_decode(&encoded.iter().copied().filter(is_base64).collect::<Vec<u8>>())
}

/// RFC 2045 section 6.7. An `=` that begins neither a byte nor a soft line break stays as it is, as that section
/// advises; `mail-parser` would give up on the whole part.
fn quoted_printable(encoded: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(encoded.len());
    for line in encoded.split_inclusive(|&byte| byte == b'\n') {
        let end =
            line.strip_suffix(b"\n").map_or(line, |text| text.strip_suffix(b"\r").unwrap_or(text)).len();
        let (text, line_end) = line.split_at(end);
        // Blanks before the line end were added on the way.
        let blanks = text.iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let mut rest = &text[..text.len() - blanks];
        let soft_break = rest.strip_suffix(b"=");
        rest = soft_break.unwrap_or(rest);
        while let Some((&byte, after)) = rest.split_first() {
            let escaped = match (byte, after) {
                (b'=', &[high, low, ..]) => unhex::<1>(&String::from_utf8_lossy(&[high, low])),
                _ => None,
            };
            decoded.push(escaped.map_or(byte, |[byte]| byte));
            rest = if escaped.is_some() { &after[2..] } else { after };
        }
        if soft_break.is_none() {
            decoded.extend_from_slice(line_end);
        }
    }
    decoded
}

/// `textBody` and `htmlBody` of JMAP, as indexes of parts. The latter decides what the former takes from an
/// alternative.
#[derive(Default)]
struct Bodies {
    text: Vec<usize>,
    html: Vec<usize>,
}

#[derive(Clone, Copy)]
struct Wanted {
    text: bool,
    html: bool,
    in_alternative: bool,
}

impl Bodies {
    /// `parseStructure` of RFC 8621 section 4.1.4, statement by statement: `wanted` are its lists that are not null.
    /// It calls itself once for each multipart around a part, at most `MAX_DEPTH` times.
    fn collect(&mut self, parts: &[Part], siblings: &[usize], multipart: &str, mut wanted: Wanted) {
        let before = (self.text.len(), self.html.len());
        for (position, &index) in siblings.iter().enumerate() {
            let part = &parts[index];
            if let Kind::Multipart { subtype, children, .. } = &part.kind {
                let in_alternative = wanted.in_alternative || subtype == "alternative";
                self.collect(parts, children, subtype, Wanted { in_alternative, ..wanted });
                continue;
            }
            let is_media = matches!(part.kind, Kind::Media);
            let is_inline = !part.is_attachment
                && !matches!(part.kind, Kind::Other)
                && (position == 0 || (multipart != "related" && (is_media || !part.has_name)));
            if !is_inline {
                continue;
            }
            if multipart == "alternative" {
                match part.kind {
                    Kind::Plain if wanted.text => self.text.push(index),
                    Kind::Html if wanted.html => self.html.push(index),
                    _ => {}
                }
                continue;
            }
            if wanted.in_alternative {
                match part.kind {
                    Kind::Plain => wanted.html = false,
                    Kind::Html => wanted.text = false,
                    _ => {}
                }
            }
            if wanted.text {
                self.text.push(index);
            }
            if wanted.html {
                self.html.push(index);
            }
        }
        if multipart == "alternative" && wanted.text && wanted.html {
            let (n_texts, n_htmls) = (self.text.len(), self.html.len());
            if n_texts == before.0 {
                self.text.extend_from_slice(&self.html[before.1..]);
            }
            if n_htmls == before.1 {
                self.html.extend_from_slice(&self.text[before.0..n_texts]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(raw: &str) -> Facts {
        read(raw.as_bytes(), &["mx.ours".into(), "MX2.Ours".into()]).unwrap()
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for raw in [
            "",
            "\n",
            "\r\n\r\n",
            "hello\n",
            "hello\n\nTo: a@b\n",
            "From x@y Mon Jan 1\n",
            " a: b\n",
            "é: b\n",
            ": b\n",
        ] {
            assert!(matches!(read(raw.as_bytes(), &[]), Err(Error::Malformed(_))), "{raw:?}");
        }
        for raw in ["a:", "a:b", "\r\n\na: b", "hello\na: b", "a : b", "From : b@c", "From mbox\na: b\n"] {
            assert!(read(raw.as_bytes(), &[]).is_ok(), "{raw:?}");
        }
    }

    #[test]
    fn ids_lose_their_brackets() {
        let long = "x".repeat(2000);
        for (field, expected) in [
            ("Message-ID: <a@b>", "a@b"),
            ("message-id:<a@b>", "a@b"),
            ("Message-ID:\r\n <a@b>", "a@b"),
            ("Message-ID: < a@b > (comment)", "a@b"),
            ("Message-ID: a@b", "a@b"),
            ("Message-ID: a", "a"),
            ("Message-ID: <a\t\u{7}\u{85}é@b", "aé@b"),
            ("Message-ID: <a@b>\nMessage-ID: <c@d>", "a@b"),
            (&format!("Message-ID: <{long}>"), &long[..998]),
            (&format!("Message-ID: <{}é>", &long[..997]), &long[..997]),
            ("Message-ID: <>", "<derived>"),
            ("Message-ID:", "<derived>"),
            ("Message-ID: <\u{1}>", "<derived>"),
            ("Subject: none", "<derived>"),
        ] {
            let facts = facts(&format!("{field}\n\n"));
            let shown = if facts.derived_message_id { "<derived>" } else { &facts.message_id };
            assert_eq!(shown, expected, "{field}");
        }
    }

    #[test]
    fn an_id_is_derived_from_the_bytes_without_the_mbox_line() {
        let [one, same, other] =
            ["a: b\n\nc", "From x Mon Jan  1 00:00:00 2024\na: b\n\nc", "a: b\n\nd"].map(facts);
        assert_eq!(one.message_id, format!("{}@derived.mailtrail", &hex(&sha256(b"a: b\n\nc"))[..32]));
        assert_eq!(one, same);
        assert_ne!(one.message_id, other.message_id);
    }

    #[test]
    fn references_keep_their_order() {
        for (fields, expected) in [
            ("References: <a@b> <c@d>\nIn-Reply-To: <e@f> <a@b>", vec!["a@b", "c@d", "e@f"]),
            ("In-Reply-To: <e@f>\nReferences: <a@b><c@d>\n <a@b>", vec!["a@b", "c@d", "e@f"]),
            ("References: <a@b\n >,\n (x) <c@d", vec!["a@b", "c@d"]),
            ("References: a@b c@d", vec!["a@b", "c@d"]),
            ("In-Reply-To: Your message of Mon, from x@y", vec![]),
            ("In-Reply-To: Your message of Mon <a@b>", vec!["a@b"]),
            ("Subject: none", vec![]),
        ] {
            assert_eq!(facts(&format!("{fields}\n\n")).references, expected, "{fields}");
        }
        let many: String = (0..1500).map(|n| format!("<{n}>")).collect();
        let references = facts(&format!("References: {many}\n\n")).references;
        assert_eq!(references.len(), MAX_REFERENCES);
        assert_eq!(
            (references[0].as_str(), references[1].as_str(), references[999].as_str()),
            ("0", "501", "1499")
        );
    }

    #[test]
    fn the_sender_is_the_first_address() {
        let long = format!("From: {}@example.com", "x".repeat(310));
        for (field, expected) in [
            ("From: A <Al@Example.COM>, b@example.org", Some("Al@example.com")),
            ("From: =?utf-8?q?A=40b?= <a@b.c>", Some("a@b.c")),
            ("From: \"x@y\" <a@b.c>", Some("a@b.c")),
            ("From: a@b.c (x@y)", Some("a@b.c")),
            ("From: Friends: a@b.c, d@e.f;", Some("a@b.c")),
            ("From: Nobody <>\nFrom: a@b.c", Some("a@b.c")),
            ("From: Nobody <>", None),
            ("From: MAILER-DAEMON", None),
            ("From: a@", None),
            ("From: @b", None),
            (&long, None),
            ("Sender: a@b.c", None),
        ] {
            assert_eq!(facts(&format!("{field}\n\n")).sender_address.as_deref(), expected, "{field}");
        }
    }

    #[test]
    fn the_recipient_stands_above_the_first_received() {
        for (fields, expected) in [
            ("Delivered-To: a@B.c\nReceived: x", Some("a@b.c")),
            ("X-Original-To: x@y.z\nDelivered-To: <a@b.c>\nReceived: x", Some("a@b.c")),
            ("Delivered-To: alias\nX-Original-To: x@y.z\nReceived: x", Some("x@y.z")),
            ("Envelope-to: x@y.z\nReceived: x", Some("x@y.z")),
            ("Delivered-To: a@b.c\nDelivered-To: d@e.f\nReceived: x", Some("a@b.c")),
            ("Received: x\nDelivered-To: a@b.c", None),
            ("Delivered-To: a@b.c", None),
            ("To: a@b.c\nReceived: x", None),
        ] {
            assert_eq!(facts(&format!("{fields}\n\n")).recipient_address.as_deref(), expected, "{fields}");
        }
    }

    #[test]
    fn the_time_is_that_of_the_topmost_received() {
        for (fields, expected) in [
            ("Received: by x; Tue, 29 Apr 2025 11:47:12 +0900 (JST)", Some("2025-04-29T02:47:12Z")),
            ("Received: by x; id y;\r\n Mon, 29 Apr 2025\r\n 11:47:12 GMT", Some("2025-04-29T11:47:12Z")),
            ("Received: by x; 29 Apr 25 11:47 EST", Some("2025-04-29T16:47:00Z")),
            ("Received: by x\nReceived: by y; Tue, 29 Apr 2025 11:47:12 +0900", None),
            ("Received: by x; yesterday", None),
            ("Received: by x; Tue, 31 Feb 2025 11:47:12 +0900", None),
            ("Received: by x; Tue, 29 Apr 1960 11:47:12 +0900", None),
            ("Date: Tue, 29 Apr 2025 11:47:12 +0900", None),
        ] {
            let received_at = facts(&format!("{fields}\n\n")).received_at.map(|time| time.to_string());
            assert_eq!(received_at.as_deref(), expected, "{fields}");
        }
    }

    #[test]
    fn verdicts_come_from_trusted_fields() {
        use Verdict::{Fail, Neutral, None as Absent, Pass, Softfail};
        for (results, expected, aligned) in [
            (&["other.example; dkim=pass header.d=example.com"][..], [None, None, None], None),
            (&["mx.ours; none"], [None, None, None], None),
            (&["mx.ours; iprev=pass policy.iprev=192.0.2.1"], [None, None, None], None),
            (&["MX.OURS; dkim=pass header.d=example.com"], [Some(Pass), None, None], Some(true)),
            (&["\"mx2.ours\" 1; dkim=pass header.i=@mail.example.com"], [Some(Pass), None, None], Some(true)),
            (&["mx.ours; dkim=pass header.d=example.org"], [Some(Pass), None, None], Some(false)),
            (&["mx.ours; dkim=pass"], [Some(Pass), None, None], Some(false)),
            (&["mx.ours; dkim=fail header.d=example.com"], [Some(Fail), None, None], Some(false)),
            // Several signatures.
            (
                &["mx.ours; dkim=fail header.d=a.b; dkim=pass header.d=c.d"],
                [Some(Pass), None, None],
                Some(false),
            ),
            (
                &["mx.ours; dkim=pass header.d=c.d; dkim=pass header.d=sub.example.com"],
                [Some(Pass), None, None],
                Some(true),
            ),
            (&["mx.ours; dkim=none; dkim=neutral; dkim=fail"], [Some(Neutral), None, None], Some(false)),
            (&["mx.ours; dkim=none"], [Some(Absent), None, None], Some(false)),
            // The topmost field has the last word on a method.
            (
                &["mx.ours; dkim=fail", "mx2.ours; dkim=pass header.d=example.com; spf=softfail"],
                [Some(Fail), Some(Softfail), None],
                Some(false),
            ),
            // SPF.
            (&["mx.ours; spf=pass smtp.mailfrom=x@bounce.example.com"], [None, Some(Pass), None], Some(true)),
            (&["mx.ours; spf=pass smtp.mailfrom=example.com"], [None, Some(Pass), None], Some(true)),
            (&["mx.ours; spf=pass smtp.mfrom=x@example.com"], [None, Some(Pass), None], Some(true)),
            (
                &["mx.ours; spf=pass smtp.mailfrom=x@a.b smtp.helo=example.com"],
                [None, Some(Pass), None],
                Some(false),
            ),
            (
                &["mx.ours; spf=pass smtp.mailfrom=<> smtp.helo=mx.example.com"],
                [None, Some(Pass), None],
                Some(true),
            ),
            (
                &["mx.ours; spf=pass smtp.helo=example.com; spf=fail smtp.mailfrom=x@example.com"],
                [None, Some(Fail), None],
                Some(false),
            ),
            // DMARC.
            (&["mx.ours; dmarc=pass"], [None, None, Some(Pass)], Some(true)),
            (&["mx.ours; dmarc=pass header.from=Example.com"], [None, None, Some(Pass)], Some(true)),
            (&["mx.ours; dmarc=pass header.from=evil.example"], [None, None, Some(Pass)], Some(false)),
            (&["mx.ours; dmarc=fail header.from=example.com"], [None, None, Some(Fail)], Some(false)),
        ] {
            let fields: String =
                results.iter().map(|value| format!("Authentication-Results: {value}\n")).collect();
            let with_sender = facts(&format!("{fields}From: a@example.com\n\n"));
            let verdicts =
                |facts: &Facts| [facts.verification_dkim, facts.verification_spf, facts.verification_dmarc];
            assert_eq!(
                (verdicts(&with_sender), with_sender.from_alignment),
                (expected, aligned),
                "{results:?}"
            );

            let without_sender = facts(&fields);
            assert_eq!(
                (verdicts(&without_sender), without_sender.from_alignment),
                (expected, None),
                "{results:?}"
            );
            let untrusted = read(format!("{fields}From: a@example.com\n\n").as_bytes(), &[]).unwrap();
            assert_eq!((verdicts(&untrusted), untrusted.from_alignment), ([None; 3], None), "{results:?}");
        }
    }

    #[test]
    fn domains_align_by_the_public_suffix_list() {
        for (one, other, expected) in [
            ("example.com", "EXAMPLE.com.", true),
            ("a.example.com", "b.c.example.com", true),
            ("example.com", "example.org", false),
            ("a.co.jp", "b.co.jp", false),
            ("x.a.co.jp", "a.co.jp", true),
            ("one.github.io", "two.github.io", false),
            ("localhost", "localhost", true),
            ("co.jp", "co.jp", true),
            ("[192.0.2.1]", "[192.0.2.1]", true),
            ("192.0.2.1", "198.51.2.1", false),
            ("", "", false),
            (".", ".", false),
            ("..com", "a..com", false),
        ] {
            assert_eq!(same_organization(one, other), expected, "{one} {other}");
        }
    }

    #[test]
    fn text_bodies_are_those_of_jmap() {
        let multipart = |subtype: &str, parts: &[&str]| {
            let parts: String = parts.iter().map(|part| format!("--=b\n{part}\n")).collect();
            format!(
                "Content-Type: multipart/{subtype}; boundary=\"=b\"\n\npreamble\n{parts}--=b--\nepilogue\n"
            )
        };
        let inner = "Content-Type: multipart/alternative; boundary=in\n\n--in\n\none\n--in\nContent-Type: text/html\n\n<p>\n--in--";
        for (raw, expected) in [
            ("a: b".to_owned(), ""),
            ("a: b\n\n one\r\n two\r\r\n".into(), " one\n two\r\n"),
            ("Content-Type: text/html; charset=iso-8859-1\n\n<p>\u{e9}".into(), "<p>Ã©"),
            ("Content-Type: text/plain; charset=\"ISO-2022-JP\"\n\n\u{1b}$B%O\u{1b}(B".into(), "ハ"),
            ("Content-Type: text/plain; charset=nonsense\n\né".into(), "é"),
            ("Content-Type: nonsense\n\ntext".into(), "text"),
            ("Content-Type: application/pdf\n\ntext".into(), ""),
            ("Content-Disposition: attachment\n\ntext".into(), ""),
            ("Content-Transfer-Encoding: Base64\n\nw6k=\n!w6k=\n".into(), "éé"),
            ("Content-Transfer-Encoding: BASE64\n\n".into(), ""),
            (
                "Content-Transfer-Encoding: Quoted-Printable\n\n=c3=A9 = x=3 \t\r\n=\r\ny= \nz=".into(),
                "é = x=3\nyz",
            ),
            // Parts.
            (multipart("mixed", &["\none", "\ntwo\n"]), "one\ntwo\n"),
            (
                multipart(
                    "mixed",
                    &["\none", "Content-Type: text/html\n\n<p>", "Content-Type: image/png\n\nx"],
                ),
                "one\n<p>",
            ),
            (
                multipart(
                    "mixed",
                    &["Content-Type: text/plain; name=x\n\none", "Content-Type: text/plain; name=y\n\ntwo"],
                ),
                "one",
            ),
            (multipart("mixed", &["\none", "Content-Disposition: inline; filename=y\n\ntwo"]), "one"),
            (multipart("digest", &["\nSubject: x", "Content-Type: text/plain\n\none"]), "one"),
            (multipart("alternative", &["\none", "Content-Type: text/html\n\n<p>"]), "one"),
            (multipart("alternative", &["Content-Type: text/html\n\n<p>"]), "<p>"),
            (multipart("related", &["Content-Type: text/html\n\n<p>", "\ntwo"]), "<p>"),
            (multipart("mixed", &[inner, "\ntwo"]), "one\ntwo"),
            (
                multipart(
                    "alternative",
                    &[
                        "\none",
                        &multipart("related", &["Content-Type: text/html\n\n<p>"]).replace("=b", "=c"),
                    ],
                ),
                "one",
            ),
            (
                multipart(
                    "report",
                    &[
                        "\none",
                        "Content-Type: message/delivery-status\n\na: b",
                        "Content-Type: message/rfc822\n\na: b\n\nc",
                    ],
                ),
                "one",
            ),
            // Parts that are not as they should be.
            (multipart("mixed", &["no header and no blank line", "\ntwo"]), "\ntwo"),
            (multipart("mixed", &["\none"]).replace("--=b--", ""), "one\n\nepilogue\n"),
            (multipart("mixed", &["\none\n--=bc\n --=b"]), "one\n--=bc\n --=b"),
            (multipart("mixed", &["\none"]).replace("--=b\n", "--=b \t\r\n"), "one"),
            ("Content-Type: multipart/mixed\n\ntext".into(), ""),
            ("Content-Type: multipart/mixed; boundary=b\n\ntext".into(), ""),
            ("Content-Type: multipart/mixed; boundary=b\n\n--b".into(), ""),
            ("Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\n".into(), "one"),
            ("Content-Type: multipart/mixed; boundary=b\n\n--b\n--b\n\none".into(), "\none"),
        ] {
            assert_eq!(facts(&raw).text_body, expected, "{raw}");
        }
    }

    /// In debug builds too. `mail-parser` alone takes minutes for some of these, and overflows the stack on one.
    /// What this thread has computed so far, in nanoseconds: whatever else the machine does is not in it.
    fn computed() -> i64 {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        now.tv_sec * 1_000_000_000 + now.tv_nsec
    }

    /// Eight times the message may take eight times as long, and no more than three times that: where each byte is
    /// looked at for each other it would be sixty-four times.
    #[test]
    fn hostile_messages_take_linear_time() {
        const MANY: usize = 5 << 17;
        let multipart = |n: usize| format!("Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n");
        let type_of = |end: &str| format!("--b1\nContent-Type: a/b{end}\n\n");
        type Make<'a> = &'a dyn Fn(usize) -> String;
        let cases: [(&str, Make<'_>); 16] = [
            ("nested multiparts", &|n| (0..1250 * n).map(multipart).collect()),
            ("nested messages", &|n| "Content-Type: message/rfc822\n\n".repeat(12_500 * n)),
            ("multiparts without end", &|n| {
                let sibling = "--b\nContent-Type: multipart/mixed; boundary=nowhere\n\n";
                format!("Content-Type: multipart/mixed; boundary=b\n\n{}", sibling.repeat(6000 * n))
            }),
            ("delimiters", &|n| format!("{}{}", multipart(1), "--b1\n".repeat(60_000 * n))),
            ("a header of 5 MiB", &|n| "a: b\n".repeat(MANY / 5 * n)),
            ("a field of 5 MiB", &|n| format!("From: {}\n", "=?utf-8?q?x ".repeat(MANY / 12 * n))),
            ("a folded field of 5 MiB", &|n| format!("From: {}\n", "\"a\n ".repeat(MANY / 5 * n))),
            ("a type of 5 MiB", &|n| {
                format!("Content-Type: text/plain{}\n", "; a*1*=b".repeat(MANY / 8 * n))
            }),
            ("types", &|n| multipart(1) + &type_of(&"; a*1*=b".repeat(500)).repeat(125 * n)),
            ("words", &|n| {
                multipart(1) + &type_of(&format!(";c=\"{}", "=?utf-8?q?x ".repeat(350))).repeat(125 * n)
            }),
            ("references", &|n| {
                format!(
                    "References: {}\n",
                    (0..12_500 * n).map(|at| format!("<{at}@x>\n ")).collect::<String>()
                )
            }),
            ("brackets", &|n| format!("References: {}\n", "<".repeat(MANY * n))),
            ("results", &|n| "Authentication-Results: mx.ours; dkim=pass header.d=x\n".repeat(12_500 * n)),
            ("one long result", &|n| {
                format!("Authentication-Results: mx.ours; dkim=pass header.d=x {}\n", "(".repeat(MANY * n))
            }),
            ("a long line", &|n| format!("a: b\n\n{}", "=".repeat(MANY * n))),
            ("quoted-printable", &|n| {
                format!("Content-Transfer-Encoding: quoted-printable\n\n{}", " = ".repeat(MANY / 5 * n))
            }),
        ];
        for (name, make) in cases {
            let [small, large] = [1, 8].map(|n| {
                let raw = make(n);
                let began = computed();
                assert!(facts(&raw).references.len() <= MAX_REFERENCES);
                computed() - began
            });
            let least = 20_000_000;
            assert!(
                large < 24 * small.max(least),
                "{name}: {small} ns, and {large} ns for eight times as much"
            );
        }
    }
}
