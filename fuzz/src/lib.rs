//! What must hold for any bytes, one function for each reader of foreign text: fuzz targets feed them (`targets/`),
//! and `tests/it/fuzz.rs` runs them over the seeds with every `cargo test`.
//!
//! A property is more than "does not panic" wherever there is one: the same outcome however the bytes are cut, what is
//! printed is read back, what was planted is found or is gone.

use std::io::{BufReader, Read};
use std::net::IpAddr;

use ed25519_dalek::SigningKey;
use ipnet::IpNet;
use mailtrail::activity::redact::Metadata;
use mailtrail::auth::license::License;
use mailtrail::auth::{address, keys, sessions};
use mailtrail::error::Error;
use mailtrail::http::framing::{self, BodyLength, Fault, HeadLimits, RequestHead, Version};
use mailtrail::http::{Line, Method, Peer, Query, Request, json};
use mailtrail::ids::{Uuid, sha256};
use mailtrail::ingest::charset::Charset;
use mailtrail::ingest::{self, authres, content, eml, parts};
use mailtrail::mask;
use mailtrail::messages::policy::Policy;
use mailtrail::time::Timestamp;
use mailtrail::tlog::note::{Checkpoint, Cosigner, Note, Signer, Verifier};
use mailtrail::tlog::proof::Proof;
use mailtrail::tlog::tiles::{Level, Tile};
use mailtrail::witness::Submission;
use serde_json::{Map, Value};

pub type Target = fn(&[u8]);

/// Every target with its name.
pub const TARGETS: [(&str, Target); 20] = [
    ("head", head),
    ("chunked", chunked),
    ("query", query),
    ("cookie", cookie),
    ("forwarded_for", forwarded_for),
    ("time", time),
    ("key", key),
    ("license", license),
    ("authentication_results", authentication_results),
    ("message", message),
    ("address_field", address_field),
    ("content_type", content_type),
    ("charset", charset),
    ("html", html),
    ("received", received),
    ("policy", policy),
    ("redaction", redaction),
    ("note", note),
    ("proof", proof),
    ("tile", tile),
];

/// Bytes at a time in which what came at once comes again.
const PIECES: [usize; 4] = [1, 2, 7, 61];

/// A refusal in short; what is no refusal of the reader itself must not come.
fn status(fault: Fault) -> u16 {
    match fault {
        Fault::Refused(Error::Http { status, .. }) => status,
        Fault::CutShort => 0,
        other => panic!("{other:?}"),
    }
}

fn request(headers: Vec<(String, String)>, peer: Peer) -> Request {
    Request {
        id: String::new(),
        method: Method::Get,
        path: "/".into(),
        parameters: Vec::new(),
        query: Query::default(),
        headers,
        body: Vec::new(),
        peer,
        asker: mailtrail::store::Asker::default(),
        line: Line::default(),
    }
}

/// A header's value as the server hands it on.
fn header_value(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().filter(|c| *c == '\t' || !c.is_control()).collect()
}

// ---------------------------------------------------------------------------------------------- HTTP

/// The head of a request: the same outcome and the same end however it is cut; one Host, one length.
pub fn head(bytes: &[u8]) {
    let limits = HeadLimits { bytes: 1024, fields: 16, target: 256 };
    let read = |piece: usize| {
        let mut reader = BufReader::with_capacity(piece, bytes);
        let mut head = Vec::new();
        let outcome = match framing::read_head(&mut reader, limits.bytes, &mut head) {
            Ok(true) => framing::parse_request_head(&head, &limits).map_err(|e| status(Fault::Refused(e))),
            Ok(false) => Err(1),
            Err(fault) => Err(status(fault)),
        };
        assert!(head.len() <= limits.bytes);
        framing::glance(&head, &limits);
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).expect("memory is read");
        outcome.map(|head| (head, rest))
    };
    let whole = read(bytes.len().max(1));
    for piece in PIECES {
        assert_eq!(read(piece), whole, "{piece} bytes at a time");
    }
    if let Ok((head, _)) = whole {
        check_head(&head, &limits);
    }
}

fn check_head(head: &RequestHead, limits: &HeadLimits) {
    let count = |name: &str| head.headers.iter().filter(|(known, _)| known == name).count();
    assert!(head.path.starts_with('/') && head.path.len() <= limits.target);
    assert!(head.path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'?' && byte != b'#'));
    assert!(count("host") == 1 || head.version == Version::Http10 && count("host") == 0);
    assert!(count("content-length") + count("transfer-encoding") <= 1);
    match head.length {
        BodyLength::Chunked => assert_eq!(count("transfer-encoding"), 1),
        BodyLength::Fixed(0) => {}
        BodyLength::Fixed(_) => assert_eq!(count("content-length"), 1),
    }
    // An authority in the target of a 1.0 request becomes a field of its own.
    assert!(head.headers.len() <= limits.fields + 1);
    for (name, value) in &head.headers {
        assert!(!name.is_empty() && !name.bytes().any(|byte| byte.is_ascii_uppercase() || byte <= b' '));
        assert!(!value.contains(['\r', '\n', '\0']));
    }
}

/// Bodies: the same outcome however they are cut, no memory beyond the limit, and what was sent in chunks comes out.
pub fn chunked(bytes: &[u8]) {
    const LIMIT: usize = 4096;
    let read = |bytes: &[u8], length: BodyLength, piece: usize| {
        let mut reader = BufReader::with_capacity(piece, bytes);
        let mut charged = 0;
        let body = framing::read_body(&mut reader, length, LIMIT, &mut |more| {
            charged += more;
            Ok(())
        });
        assert!(charged <= LIMIT, "{charged} bytes were charged");
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).expect("memory is read");
        body.map(|body| (body, rest)).map_err(status)
    };
    let announced = u64::from(bytes.first().copied().unwrap_or(0)) * 20;
    for length in [BodyLength::Chunked, BodyLength::Fixed(announced)] {
        let whole = read(bytes, length, bytes.len().max(1));
        for piece in PIECES {
            assert_eq!(read(bytes, length, piece), whole, "{length:?}, {piece} bytes at a time");
        }
    }

    let sent = &bytes[..bytes.len().min(LIMIT)];
    let size = usize::from(bytes.first().copied().unwrap_or(0)) + 1;
    let mut wire = Vec::new();
    for chunk in sent.chunks(size) {
        wire.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        wire.extend_from_slice(chunk);
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b"0\r\n\r\nnext");
    assert_eq!(read(&wire, BodyLength::Chunked, 1024), Ok((sent.to_vec(), b"next".to_vec())));
    // Cut anywhere, it is an error.
    let cut = size % (wire.len() - 4);
    assert!(read(&wire[..cut], BodyLength::Chunked, 1024).is_err(), "cut after {cut} bytes");
}

/// A query: what was read is written and read again as the same.
pub fn query(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(query) = Query::parse(text) else { return };
    let pairs: Vec<(&str, &str)> = query.pairs().collect();
    for (name, value) in &pairs {
        assert!(!name.chars().chain(value.chars()).any(char::is_control));
        let _ = (query.integer(name, ""), query.timestamp(name), query.word(name, &[("a", ())]));
        assert!(query.only(&[]).is_err());
    }
    let mut written = form_urlencoded::Serializer::new(String::new());
    written.extend_pairs(&pairs);
    // An empty pair leaves nothing behind that would be read as one.
    if !pairs.contains(&("", "")) {
        assert_eq!(Query::parse(&written.finish()).ok(), Some(query.clone()));
    }
}

/// Cookies: a session is found behind whatever else the browser sends, and is 64 characters of what came.
pub fn cookie(bytes: &[u8]) {
    let value = header_value(bytes);
    let headers = |value: &str| vec![("cookie".to_owned(), value.to_owned())];
    let came = request(headers(&value), Peer::Local);
    if let Some(token) = sessions::only_cookie(&came, sessions::COOKIE) {
        assert!(token.len() == 64 && value.contains(token));
    }
    let token = "5".repeat(64);
    let planted = request(headers(&format!("{value}; {}={token}", sessions::COOKIE)), Peer::Local);
    if !value.contains(sessions::COOKIE) {
        assert_eq!(sessions::only_cookie(&planted, sessions::COOKIE), Some(token.as_str()));
    }
}

/// `X-Forwarded-For`: a stranger's says nothing, and behind a proxy's own entry nobody's does.
pub fn forwarded_for(bytes: &[u8]) {
    let networks: Vec<IpNet> =
        ["127.0.0.1/32", "10.0.0.0/8", "fd00::/8"].map(|text| text.parse().expect("a network")).to_vec();
    let fields = |last: Option<&str>| {
        let mut values: Vec<String> = bytes.split(|byte| *byte == b'\n').map(header_value).collect();
        values.extend(last.map(str::to_owned));
        let mut headers: Vec<(String, String)> =
            values.into_iter().map(|value| ("x-forwarded-for".to_owned(), value)).collect();
        headers.push(("x-forwarded-proto".into(), header_value(bytes)));
        headers
    };
    let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
    let stranger = request(fields(None), Peer::Tcp(ip("198.51.100.9")));
    assert_eq!(address::client(&stranger, &networks), Some(ip("198.51.100.9")));
    assert!(!address::is_https(&stranger, &networks));

    let proxied = request(fields(None), Peer::Tcp(ip("127.0.0.1")));
    let client = address::client(&proxied, &networks).expect("an address");
    assert_eq!(client, client.to_canonical());
    address::source(client);
    for (last, expected) in [("203.0.113.7", "203.0.113.7"), ("[2001:db8::1]:443", "2001:db8::1")] {
        let request = request(fields(Some(last)), Peer::Tcp(ip("::ffff:127.0.0.1")));
        assert_eq!(address::client(&request, &networks), Some(ip(expected)));
    }
}

// ---------------------------------------------------------------------------------------------- values

/// RFC 3339: a time that is read is printed, and what is printed is read as the same time.
pub fn time(bytes: &[u8]) {
    let again = |time: Timestamp| {
        let printed = time.to_string();
        assert_eq!(Timestamp::parse(&printed), Some(time), "{printed}");
        assert!(printed.ends_with('Z') && (20..=27).contains(&printed.len()), "{printed}");
    };
    if let Some(time) = std::str::from_utf8(bytes).ok().and_then(Timestamp::parse) {
        assert!((Timestamp::MIN..=Timestamp::MAX).contains(&time));
        again(time);
    }
    if let Some(first) = bytes.first_chunk() {
        let micros = i64::from_le_bytes(*first).rem_euclid(Timestamp::MAX.micros() + 1);
        again(Timestamp::from_micros(micros));
    }
}

/// API keys: what is taken for one has its form, whatever surrounds it; none is left in a text that was masked.
pub fn key(bytes: &[u8]) {
    let value = header_value(bytes);
    let asked = request(vec![("authorization".into(), value.clone())], Peer::Local);
    if let Ok(token) = keys::bearer(&asked) {
        assert!(token.len() == 56 && value.contains(token) && mask::holds_key(token), "{token}");
    }
    let text = String::from_utf8_lossy(bytes);
    let masked = mask::masked(&text).into_owned();
    assert!(!mask::holds_key(&masked), "{masked:?}");
    let planted = format!("mt_live_{}", "5a".repeat(24));
    if text.contains(&planted[8..]) {
        return;
    }
    for around in [format!("{planted}{text}"), format!("{text}{planted}"), format!("{text}{planted}{text}")] {
        assert!(!mask::masked(&around).contains(&planted[8..]), "{around:?}");
    }
}

/// Licenses: what is signed is read back, and a change of a byte ends it. What no license says is refused.
pub fn license(bytes: &[u8]) {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use ed25519_dalek::Signer;

    let issuer = SigningKey::from_bytes(&[7; 32]);
    let public = issuer.verifying_key();
    let text = String::from_utf8_lossy(bytes);
    assert!(License::verify(&text, &public).is_err());
    // Signed, though no license at all.
    let payload = URL_SAFE_NO_PAD.encode(&bytes[..bytes.len().min(2000)]);
    let signature = URL_SAFE_NO_PAD.encode(issuer.sign(payload.as_bytes()).to_bytes());
    let _ = License::verify(&format!("{payload}.{signature}"), &public);

    let words: String = text.chars().filter(|c| !c.is_control()).take(200).collect();
    let seconds = bytes.first_chunk().map_or(0, |first| i64::from(u32::from_le_bytes(*first)));
    let at = Timestamp::from_seconds(seconds);
    let license = License {
        id: Uuid::at(at),
        holder: if words.is_empty() { "holder".into() } else { words },
        plan: "pro".into(),
        issued_at: at,
        expires_at: (seconds % 2 == 0).then(|| at.plus_days(365)),
    };
    let mut signed = license.sign(&issuer).into_bytes();
    let whole = String::from_utf8_lossy(&signed).into_owned();
    assert_eq!(License::verify(&whole, &public).ok(), Some(license));
    let at = bytes.len() % signed.len();
    signed[at] = if signed[at] == b'A' { b'B' } else { b'A' };
    assert!(License::verify(&String::from_utf8_lossy(&signed), &public).is_err(), "changed at {at}");
}

// ---------------------------------------------------------------------------------------------- mail

/// `Authentication-Results`: what was read, written plainly, is read as the same; nothing is read out of a comment.
pub fn authentication_results(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(field) = authres::parse(text) {
        let written = write_results(&field);
        let again = authres::parse(&written).unwrap_or_else(|| panic!("{written:?}"));
        assert_eq!((again.results, again.defects), (field.results, 0), "{written:?}");
    }
    let safe: String = text.chars().map(|c| if "()\\".contains(c) { '-' } else { c }).collect();
    let field = authres::parse(&format!("mx.example.org ({safe}); dkim=fail ({safe}) header.d=a.example"));
    let results = field.expect("an authserv-id").results;
    assert!(results.len() == 1 && results[0].result == "fail", "{results:?}");
}

fn write_results(field: &authres::AuthenticationResults) -> String {
    // Quoted, with a backslash before what would end the text or be unfolded.
    let quoted = |text: &str| {
        let escaped =
            text.chars().flat_map(|c| ['\\', c].into_iter().skip(usize::from(!"\\\"\r\n".contains(c))));
        format!("\"{}\"", escaped.collect::<String>())
    };
    let mut text = quoted(&field.authserv_id);
    if field.results.is_empty() {
        text += "; none";
    }
    for result in &field.results {
        text += &format!("; {}", result.method);
        if let Some(version) = result.version {
            text += &format!("/{version}");
        }
        text += &format!("={}", result.result);
        if let Some(reason) = &result.reason {
            text += &format!(" reason={}", quoted(reason));
        }
        for property in &result.properties {
            text += &format!(" {}.{}={}", property.ptype, property.name, quoted(&property.value));
        }
    }
    text
}

/// Raw messages: facts within their bounds, the same each time, and no verdict of a server that is not trusted.
pub fn message(bytes: &[u8]) {
    let trusted = ["mx.example.org".to_owned()];
    let Ok(facts) = eml::read(bytes, &trusted) else { return };
    assert_eq!(eml::read(bytes, &trusted).ok().as_ref(), Some(&facts));
    assert!(!facts.message_id.is_empty() && facts.message_id.len() <= 998);
    assert!(facts.references.len() <= 1000);
    for id in facts.references.iter().chain([&facts.message_id]) {
        assert!(!id.chars().any(char::is_control), "{id:?}");
    }
    for address in facts.sender_address.iter().chain(&facts.recipient_address) {
        assert!(address.contains('@') && address.len() <= 320 && !address.chars().any(char::is_control));
    }
    if let Some(at) = facts.received_at {
        assert!((Timestamp::MIN..=Timestamp::MAX).contains(&at));
    }
    // A byte of the message becomes at most two characters of up to four bytes.
    let text = facts.texts.body.clone().unwrap_or_default();
    assert!(text.len() <= (8 * bytes.len()).min(parts::MAX_TEXT));

    let unverified = eml::read(bytes, &[]).expect("it was read before");
    assert_eq!(unverified.verification_dkim.or(unverified.verification_spf), None);
    assert_eq!((unverified.verification_dmarc, unverified.from_alignment), (None, None));
    assert_eq!(unverified.texts, facts.texts);
    if !bytes.starts_with(b"From ") && !bytes.starts_with(b">From ") {
        assert_eq!(facts.message_hash, sha256(bytes));
    }
}

/// What stands in a comment or a quoted string without ending it.
fn harmless(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().filter(|c| !"()\\\"\r\n".contains(*c)).collect()
}

/// Fields with addresses: the one that is found is written as it is read again; a comment hides none.
pub fn address_field(bytes: &[u8]) {
    let first = |value: &[u8]| ingest::address::first(value);
    if let Some(found) = first(bytes) {
        assert!(
            found.len() <= ingest::address::MAX_ADDRESS && !found.chars().any(char::is_control),
            "{found:?}"
        );
        assert_eq!(first(found.as_bytes()).as_ref(), Some(&found));
        assert_eq!(first(format!("\"x, y\" <{found}>").as_bytes()).as_ref(), Some(&found));
    }
    let safe = harmless(bytes);
    let value = format!("({safe}) ann ({safe})@ (x) example.org ({safe}), b@c");
    assert_eq!(first(value.as_bytes()).as_deref(), Some("ann@example.org"));
}

/// `Content-Type`: what another parameter says hides none.
pub fn content_type(bytes: &[u8]) {
    content::word(bytes);
    let content = content::media_type(bytes);
    assert!(content.main.is_empty() == content.sub.is_empty());
    let safe = harmless(bytes);
    let value = format!("multipart ({safe})/mixed; x=\"{safe}\"; boundary ({safe})=sep");
    if value.len() <= content::MAX_FIELD {
        assert_eq!(content::media_type(value.as_bytes()).boundary.as_deref(), Some(&b"sep"[..]));
    }
}

/// Character sets, the label on the first line: a text within its bound, or none; the same each time.
pub fn charset(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (label, text) = bytes.split_at(end);
    let Some(charset) = Charset::find(&String::from_utf8_lossy(label)) else { return };
    let whole = charset.decode(text, 8 * text.len() + 8).expect("a byte is at most two characters");
    for room in [0, 1, whole.len() / 2, whole.len()] {
        let decoded = charset.decode(text, room);
        assert_eq!(decoded.is_some(), whole.len() <= room);
        assert!(decoded.is_none_or(|decoded| decoded == whole));
    }
}

/// HTML: a tag, a comment or a reference within a word does not hide it.
pub fn html(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    assert!(ingest::html::text(&text).len() <= 2 * text.len());
    let safe: String = text.chars().filter(|c| !"<>\"'&-".contains(*c)).collect();
    let source = format!("<p title=\"{safe}>\">{safe}wi<b class='{safe}'>r</b><!-- {safe} -->&#101; it</p>");
    assert!(ingest::html::text(&source).contains("wire it"), "{source:?}");
}

/// `Received`: a time within what is kept; a comment changes nothing of it.
pub fn received(bytes: &[u8]) {
    if let Some(at) = ingest::received::time(bytes) {
        assert!((Timestamp::MIN..=Timestamp::MAX).contains(&at));
    }
    let safe = harmless(bytes);
    let value = format!("by x ({safe}); Thu ({safe}), 26 Nov 2026 00:11:12 +0000 ({safe})");
    let at = ingest::received::time(value.as_bytes()).map(|at| at.to_string());
    assert_eq!(at.as_deref(), Some("2026-11-26T00:11:12Z"));
}

// ---------------------------------------------------------------------------------------------- documents

/// Policies: what was accepted is stored in one spelling, and that is accepted as the same.
pub fn policy(bytes: &[u8]) {
    let Ok(value) = json::parse(bytes) else { return };
    let Ok((policy, warnings)) = Policy::read(value) else { return };
    let document = policy.to_json().to_string();
    let stored = json::parse(document.as_bytes()).expect("our own JSON");
    let (again, warned) = Policy::read(stored).unwrap_or_else(|error| panic!("{error}: {document}"));
    assert_eq!((&again, warned), (&policy, warnings));
    assert_eq!(again.to_json().to_string(), document);
    for (rule, stored) in policy.senders.iter().zip(&again.senders) {
        assert_eq!(rule.fingerprint(), stored.fingerprint());
        if let Some(address) = &rule.address {
            let matches = rule.domain.as_ref().is_none_or(|domain| {
                address.rsplit_once('@').is_some_and(|(_, own)| own.eq_ignore_ascii_case(domain))
            });
            assert_eq!(rule.matches(address), matches);
        }
    }
}

/// Metadata: a secret that is planted under any of its names, at any depth, is gone; the rest stays; twice is once.
pub fn redaction(bytes: &[u8]) {
    const NAMES: [&str; 8] = [
        "password",
        "smtpPass",
        "client-secret",
        "X-Auth-Token",
        "private key",
        "DB_PASSWD",
        "webhookSecret",
        "pwd",
    ];
    const PLANTED: &str = "planted-in-vain";
    let Ok(Value::Object(mut metadata)) = json::parse(bytes) else { return };
    let name = NAMES[bytes.len() % NAMES.len()];
    let depth = bytes.len() % 5;
    plant(&mut metadata, depth, name, PLANTED);
    metadata.insert("smtp_host".into(), "kept-in-place".into());
    let redacted = Metadata::redacted(metadata);
    assert!(!redacted.as_str().contains(PLANTED), "{name}: {}", redacted.as_str());
    assert!(redacted.as_str().contains("kept-in-place"));
    let Ok(Value::Object(again)) = serde_json::from_str(redacted.as_str()) else { panic!("an object") };
    assert_eq!(Metadata::redacted(again).as_str(), redacted.as_str());
}

/// Into every object down to `depth`, and into one in a list of its own.
fn plant(members: &mut Map<String, Value>, depth: usize, name: &str, secret: &str) {
    if depth > 0 {
        for value in members.values_mut() {
            match value {
                Value::Object(inner) => plant(inner, depth - 1, name, secret),
                Value::Array(items) => {
                    items.iter_mut().filter_map(Value::as_object_mut).for_each(|inner| {
                        plant(inner, depth - 1, name, secret);
                    });
                }
                _ => {}
            }
        }
    }
    members.insert(name.to_owned(), secret.into());
    members.insert("list".into(), serde_json::json!([[{ name: { "value": secret } }]]));
}

// ---------------------------------------------------------------------------------------------- the tree

/// Notes and keys: what is signed below any text is verified, by its own key alone, and not after a change.
pub fn note(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (signer, cosigner) = (Signer::new("log".into(), &[7; 32]), Cosigner::new("witness".into(), &[8; 32]));
    if let Ok(note) = Note::parse(&text) {
        assert!(text.starts_with(&note.text) && note.text.ends_with('\n'));
        assert!(!note.is_signed_by(&Signer::new("log".into(), &[9; 32]).verifier()));
        if let Some(checkpoint) = Checkpoint::parse(&note.text) {
            assert!(note.text.starts_with(&checkpoint.to_string()), "{text:?}");
        }
    }
    if let Some(verifier) = Verifier::parse(&text) {
        assert_eq!(Verifier::parse(&verifier.to_string()), Some(verifier));
    }
    if let Some(cosigner) = Cosigner::parse(&text) {
        assert!(Cosigner::parse(&cosigner.secret()).is_some());
    }

    let words: String = text.chars().filter(|c| !c.is_control() || *c == '\n').chain(['\n']).collect();
    let time = bytes.first_chunk().map_or(1, |first| u64::from(u32::from_le_bytes(*first)).max(1));
    let signed = format!("{}{}", signer.sign(&words), cosigner.cosign(&words, time));
    let is_signed = |text: &str| {
        Note::parse(text).is_ok_and(|note| {
            note.is_signed_by(&signer.verifier()) && note.cosignature(cosigner.verifier()).is_some()
        })
    };
    let note = Note::parse(&signed).unwrap_or_else(|error| panic!("{error}: {signed:?}"));
    assert_eq!((&note.text, note.lines_of(&signer.verifier()).count()), (&words, 1));
    assert_eq!(note.cosignature(cosigner.verifier()).map(|(at, _)| at), Some(time));
    assert!(is_signed(&signed));
    let mut changed = signed.into_bytes();
    let at = bytes.iter().map(|byte| usize::from(*byte)).sum::<usize>() % changed.len();
    changed[at] ^= 1;
    assert!(!String::from_utf8(changed).is_ok_and(|changed| is_signed(&changed)), "changed at {at}");
}

/// Proofs and what goes to a witness: each has one spelling, and proves nothing to who knows no key of its log.
pub fn proof(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(proof) = Proof::parse(&text) {
        assert_eq!(proof.to_string(), text);
        assert!(proof.verify(&[Signer::new("log".into(), &[7; 32]).verifier()]).is_err());
    }
    if let Some(submission) = Submission::parse(&text) {
        assert_eq!(submission.to_string(), text);
    }
}

/// Tiles: each has one path.
pub fn tile(bytes: &[u8]) {
    let Ok(path) = std::str::from_utf8(bytes) else { return };
    let Some((level, place)) = path.split_once('/') else { return };
    let Some(tile) = Tile::parse(level, place) else { return };
    assert!((1..=256).contains(&tile.width));
    let mut thousands = vec![format!("{:03}", tile.place % 1000)];
    let mut rest = tile.place / 1000;
    while rest > 0 {
        thousands.push(format!("x{:03}", rest % 1000));
        rest /= 1000;
    }
    thousands.reverse();
    let level = match tile.level {
        Level::Hashes(level) => level.to_string(),
        Level::Entries => "entries".into(),
    };
    let partial = if tile.width < 256 { format!(".p/{}", tile.width) } else { String::new() };
    assert_eq!(format!("{level}/{}{partial}", thousands.join("/")), path);
}
