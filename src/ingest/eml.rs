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
//! A message is read once from top to bottom. Of its header nothing is collected: each field is looked at as it is
//! passed, and what is kept of it has a bound (`identifiers`, `address`, `verification`, `content`), so that neither one
//! field of 16 MiB nor a million of them costs more memory than the message itself. `parts` has the bounds of the text.
//! Nothing is refused but what has no header field at all. Nothing panics, whatever the bytes.

use super::header::{self, Name, Of};
use super::identifiers::{self, Identifiers};
use super::parts::{self, Mime, Texts};
use super::verification::{Verification, domain_of};
use super::{address, encoded, received};
use crate::error::{Error, Result};
use crate::ids::{hex, sha256};
use crate::messages::{TextProblem, Verdict};
use crate::time::Timestamp;

/// `From` fields, and fields of each kind that names the recipient, that are looked at for an address.
const MAX_FIELDS: usize = 100;
/// Bytes of a subject.
const MAX_SUBJECT: usize = 64 * 1024;

/// What one message says, and what is said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The topmost `Message-ID` without its angle brackets, white space, comments and control characters, at most 998
    /// bytes. A message without one gets `<first 32 hex digits of message_hash>@derived.mailtrail`: the same bytes get
    /// the same id, so that a second run adds nothing.
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
    pub texts: Texts,
    /// The decoded subject, as people see it. With what `texts` has, it is what content guards see.
    pub subject: String,
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
    read_reduced(raw, sha256(without_mbox_line(raw)), trusted_authserv_ids)
}

/// The same of a message whose attachments were left out (`without_attachments`), given the hash of all its bytes.
///
/// # Errors
///
/// As `read`.
pub fn read_reduced(raw: &[u8], message_hash: [u8; 32], trusted_authserv_ids: &[String]) -> Result<Facts> {
    let raw = without_mbox_line(raw);
    let (fields, end) = Fields::read(raw, trusted_authserv_ids)?;
    let texts = parts::texts(raw, &fields.mime, end.body, end.has_strange_lines);
    Ok(fields.facts(message_hash, texts))
}

/// Reads the head of a message that is too large to be handed over whole, given the hash of all its bytes.
///
/// # Errors
///
/// As `read`.
pub fn read_head(head: &[u8], message_hash: [u8; 32], trusted_authserv_ids: &[String]) -> Result<Facts> {
    let (fields, _) = Fields::read(without_mbox_line(head), trusted_authserv_ids)?;
    let problem = TextProblem::MessageTooLong;
    let texts = Texts { body: Err(problem), others: Vec::new(), others_problem: Some(problem) };
    Ok(fields.facts(message_hash, texts))
}

/// A message without its attachments: of it the same is read.
pub fn without_attachments(raw: &[u8]) -> Vec<u8> {
    let raw = without_mbox_line(raw);
    match Fields::read(raw, &[]) {
        Ok((fields, end)) => parts::without_attachments(raw, &fields.mime, end.body),
        Err(_) => raw.to_vec(),
    }
}

/// Where the header of a message ends, after a line that a pipe may have put above it.
pub fn head(raw: &[u8]) -> &[u8] {
    let start = raw.len() - without_mbox_line(raw).len();
    let end = Fields::read(&raw[start..], &[]).map_or(raw.len(), |(_, end)| start + end.body);
    &raw[..end]
}

const MESSAGE_ID_HASH_BYTES: usize = 16;

/// What is kept of a header while it is passed.
struct Fields<'a> {
    message_id: Option<Option<String>>,
    references: Identifiers<'a>,
    in_reply_to: Identifiers<'a>,
    sender: First,
    /// Of `Delivered-To`, `X-Original-To` and `Envelope-To`.
    recipients: [First; 3],
    received: Option<Option<Timestamp>>,
    verification: Verification,
    subject: Option<&'a [u8]>,
    mime: Mime<'a>,
}

/// The first address in fields of one name.
#[derive(Default)]
struct First {
    address: Option<String>,
    n_fields: usize,
}

impl First {
    fn add(&mut self, value: &[u8]) {
        self.n_fields += 1;
        if self.address.is_none() && self.n_fields <= MAX_FIELDS {
            self.address = address::first(value);
        }
    }
}

impl<'a> header::Reader<'a> for Fields<'a> {
    fn field(&mut self, name: Name, value: &'a [u8]) {
        let is_above_received = self.received.is_none();
        match name {
            Name::AuthenticationResults => self.verification.add(value),
            Name::MessageId if self.message_id.is_none() => {
                self.message_id = Some(identifiers::first(value));
            }
            Name::References => self.references.add(value),
            Name::InReplyTo => self.in_reply_to.add(value),
            Name::From => self.sender.add(value),
            Name::DeliveredTo if is_above_received => self.recipients[0].add(value),
            Name::XOriginalTo if is_above_received => self.recipients[1].add(value),
            Name::EnvelopeTo if is_above_received => self.recipients[2].add(value),
            Name::Received if is_above_received => self.received = Some(received::time(value)),
            Name::Subject if self.subject.is_none() => self.subject = Some(value),
            name => self.mime.field(name, value),
        }
    }

    fn is_delimiter(&self, line: &[u8]) -> bool {
        self.mime.is_delimiter(line)
    }
}

impl<'a> Fields<'a> {
    fn read(raw: &'a [u8], trusted_authserv_ids: &[String]) -> Result<(Self, header::End)> {
        if raw.is_empty() {
            return Err(Error::Malformed("the message is empty".into()));
        }
        let mut fields = Self {
            message_id: None,
            references: Identifiers::default(),
            in_reply_to: Identifiers::default(),
            sender: First::default(),
            recipients: Default::default(),
            received: None,
            verification: Verification::by(trusted_authserv_ids),
            subject: None,
            mime: Mime::default(),
        };
        let end = header::read(raw, leading_blank_lines(raw), Of::Message, &mut fields);
        if !end.has_fields {
            return Err(Error::Malformed("this is no mail message: it has no header field".into()));
        }
        Ok((fields, end))
    }

    fn facts(self, message_hash: [u8; 32], mut texts: Texts) -> Facts {
        let given_id = self.message_id.flatten();
        let derived_message_id = given_id.is_none();
        let message_id = given_id
            .unwrap_or_else(|| format!("{}@derived.mailtrail", hex(&message_hash[..MESSAGE_ID_HASH_BYTES])));
        let sender_domain = self.sender.address.as_deref().map(domain_of);
        let from_alignment = sender_domain.and_then(|domain| self.verification.aligned(domain));
        // Recipients count from above a `Received`: without one, anybody may have written them.
        let [delivered, original, envelope] = self.recipients.map(|first| first.address);
        let recipient = delivered.or(original).or(envelope).filter(|_| self.received.is_some());
        let subject = self.subject.unwrap_or_default();
        if subject.len() > MAX_SUBJECT {
            texts.others_problem.get_or_insert(TextProblem::TooLong);
        }
        Facts {
            message_id,
            derived_message_id,
            references: Identifiers::together(&self.references, &self.in_reply_to),
            recipient_address: recipient,
            received_at: self.received.flatten(),
            verification_dkim: self.verification.dkim(),
            verification_spf: self.verification.spf(),
            verification_dmarc: self.verification.dmarc(),
            from_alignment,
            sender_address: self.sender.address,
            texts,
            subject: encoded::decode_as_shown(&subject[..subject.len().min(MAX_SUBJECT)]).trim().to_owned(),
            message_hash,
        }
    }
}

/// `From ` and no colon: the line that mbox files and pipes (Postfix, flag F) put above a message. One that does not end
/// is all there is.
pub fn without_mbox_line(raw: &[u8]) -> &[u8] {
    let first_line = &raw[..header::line_end(raw, 0)];
    match first_line.strip_prefix(b"From ") {
        Some(rest) if first_line.ends_with(b"\n") && !rest.trim_ascii_start().starts_with(b":") => {
            &raw[first_line.len()..]
        }
        _ => raw,
    }
}

fn leading_blank_lines(raw: &[u8]) -> usize {
    let mut at = 0;
    while at < raw.len() {
        let next = header::line_end(raw, at);
        if !header::without_line_end(&raw[at..next]).is_empty() {
            break;
        }
        at = next;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::identifiers::MAX_REFERENCES;

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
            (
                multipart("mixed", &["no header and no blank line", "\ntwo"]),
                "no header and no blank line\ntwo",
            ),
            (multipart("mixed", &["\none"]).replace("--=b--", ""), "one\n\nepilogue\n"),
            (multipart("mixed", &["\none\n--c\n --=b"]), "one\n--c\n --=b"),
            (multipart("mixed", &["\none"]).replace("--=b\n", "--=b \t\r\n"), "one"),
            ("Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\n".into(), "one"),
            ("Content-Type: multipart/mixed; boundary=b\n\n--b\n--b\n\none".into(), "\none"),
        ] {
            assert_eq!(facts(&raw).texts.body.as_deref(), Ok(expected), "{raw}");
        }
    }

    #[test]
    fn a_text_that_cannot_be_read_is_none() {
        use TextProblem::{Charset, Structure, TooLong, TooManyParts, TransferEncoding};
        let parts =
            |n: usize| format!("Content-Type: multipart/mixed; boundary=b\n\n{}", "--b\n\nx\n".repeat(n));
        let deep = |n: usize| -> String {
            let level = |n| format!("Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n");
            (0..n).map(level).collect::<String>() + "\nx"
        };
        let mixed = |part: &str| format!("Content-Type: multipart/mixed; boundary=b\n\n--b\n{part}\n--b--\n");
        for (raw, expected) in [
            (parts(parts::MAX_PARTS - 1), None),
            (parts(parts::MAX_PARTS), Some(TooManyParts)),
            (deep(parts::MAX_PARTS - 1), None),
            (deep(2000) + &"--x\n".repeat(10_000), Some(TooManyParts)),
            (format!("{}Content-Type: text/plain\n\nx", "a: b\n".repeat(20_000)), None),
            (format!("a: b\n\n{}", "x".repeat(1 << 20)), None),
            (format!("a: b\n\n{}", "x\r\n".repeat(1 << 19)), None),
            (format!("a: b\n\n{}", "x".repeat((1 << 20) + 1)), Some(TooLong)),
            (format!("Content-Transfer-Encoding: base64\n\n{}", "eHh4".repeat(1 << 19)), Some(TooLong)),
            (mixed("\nx") + &"y".repeat(3 << 20), None),
            (mixed(&format!("Content-Type: a/b\n\n{}\n--b\n\nx", "y".repeat(3 << 20))), None),
            ("Content-Type: text/plain; charset=nonsense\n\nx".into(), Some(Charset)),
            ("Content-Type: text/html; charset=nonsense\n\nx".into(), Some(Charset)),
            (mixed("Content-Type: text/plain; charset=nonsense\nContent-Disposition: attachment\n\nx"), None),
            ("Content-Transfer-Encoding: x-uuencode\n\nx".into(), Some(TransferEncoding)),
            // Broken.
            ("Content-Type: multipart/mixed\n\nx".into(), Some(Structure)),
            ("Content-Type: multipart/mixed; boundary=b\n\nx".into(), Some(Structure)),
            ("Content-Type: multipart/mixed; boundary=b\n\n--b".into(), Some(Structure)),
            (mixed("Content-Type: multipart/mixed; boundary=c\n\nx"), Some(Structure)),
            (mixed("\nx\n--bc\ny"), Some(Structure)),
            (mixed("Content-Type: a/b\n\nx\n--bc\ny"), None),
            ("Content-Type: multipart/mixed boundary=b\n\n--b\n\nx".into(), Some(Structure)),
            ("Content-Type: text/plain\nContent-Type: a/b\n\nx".into(), Some(Structure)),
            ("Content-Type: text/plain\nContent-Type:  text/plain\n\nx".into(), None),
            ("a: b\nno field\nc: d\n\nx".into(), Some(Structure)),
            (mixed("a: b\nno field\n\nx"), Some(Structure)),
        ] {
            let shown = &raw[..raw.len().min(200)];
            assert_eq!(facts(&raw).texts.body.err(), expected, "{shown}");
        }
    }

    #[test]
    fn guards_see_the_subject_and_html_too() {
        let alternative = "Subject: =?utf-8?q?w=C3=AFre?= it\nContent-Type: multipart/alternative; boundary=b\n\n--b\n\none\n--b\n\
            Content-Type: text/html\n\n<b>t</b>wo\n--b\nContent-Type: text/enriched\n\nthree\n--b--\n";
        let Facts { subject, texts, .. } = facts(alternative);
        assert_eq!((&*subject, texts.body.as_deref()), ("wïre it", Ok("one")));
        assert_eq!((texts.others, texts.others_problem), (vec!["two".to_owned(), "three".into()], None));
        let html = facts("Content-Type: text/html\n\n<p>o<b>ne").texts;
        assert_eq!((html.body.as_deref(), html.others), (Ok("<p>o<b>ne"), vec!["\none".to_owned()]));
        for (raw, problem) in [
            (alternative.replace("text/html", "text/html; charset=nonsense"), TextProblem::Charset),
            (alternative.replace("<b>", &"<b>".repeat(1 << 19)), TextProblem::TooLong),
            (alternative.replace("it\n", &format!("{}\n", "it\n ".repeat(1 << 16))), TextProblem::TooLong),
        ] {
            let texts = facts(&raw).texts;
            assert_eq!((texts.body.as_deref(), texts.others_problem), (Ok("one"), Some(problem)));
        }
    }

    #[test]
    fn without_its_attachments_a_message_says_the_same() {
        let attachment = |kind: &str| format!("--b\nContent-Type: {kind}\n\n{}\n", "x\n--not\n".repeat(1000));
        let raw = format!(
            "From: a@b\nContent-Type: multipart/mixed; boundary=b\n\n{}--b\n\none\n{}--b\nContent-Type: text/html\n\n<p>two\n{}--b--\nend",
            attachment("application/pdf"),
            attachment("image/png"),
            attachment("text/plain\nContent-Disposition: attachment"),
        );
        let reduced = without_attachments(raw.as_bytes());
        assert!(reduced.len() < 400, "{}", String::from_utf8_lossy(&reduced));
        let whole = facts(&raw);
        assert_eq!(read_reduced(&reduced, whole.message_hash, &[]).unwrap(), whole);
        assert_eq!(whole.texts.body.as_deref(), Ok("one\n<p>two"));
        for raw in ["a: b\n\nc", "Content-Type: a/b\n\nc", "no message", ""] {
            let reduced = String::from_utf8(without_attachments(raw.as_bytes())).unwrap();
            assert_eq!(reduced, raw.replace("a/b\n\nc", "a/b\n\n"));
        }
    }

    #[test]
    fn a_head_alone_has_all_facts_but_the_text() {
        let raw = "From x\nReceived: by x; 1 Jan 2026 00:00:00 +0000\nFrom: a@b\nSubject: c\n\nd";
        let whole = facts(raw);
        let head = read_head(&raw.as_bytes()[..raw.len() - 1], whole.message_hash, &[]).unwrap();
        let problem = TextProblem::MessageTooLong;
        assert_eq!((head.texts.body.clone(), head.texts.others_problem), (Err(problem), Some(problem)));
        assert_eq!(head.message_id, whole.message_id);
        assert_eq!(Facts { texts: whole.texts.clone(), ..head }, whole);
    }

    /// Whatever stands in a header, and however often: what is kept of it beside the message has a bound.
    #[test]
    fn what_is_kept_of_a_header_has_a_bound() {
        const LENGTH: usize = 2 << 20;
        for (start, repeated) in [
            ("References: ", "<a@b>"),
            ("References: ", "=?utf-8?q?=3Ca=40b=3E?= "),
            ("", "References: =?utf-8?q?=3Ca=40b=3E?=\n"),
            ("In-Reply-To: ", "<>"),
            ("Message-ID: ", "< >"),
            ("Message-ID: <", "a"),
            ("From: ", "a@b.c "),
            ("From: a@", "b"),
            ("", "Delivered-To: a b\n"),
            ("Received: ", ";a"),
            ("Authentication-Results: mx.ours; dkim=pass", " a.b=c"),
            ("Authentication-Results: mx.ours; dkim=pass", " header.d=c"),
            ("Authentication-Results: mx.ours; dkim=pass header.d=", "c"),
            ("Authentication-Results: mx.ours; dkim=pass reason=", "c"),
            ("Authentication-Results: mx.ours", ";dkim=pass header.d=c smtp.mail=d"),
            ("Authentication-Results: mx.ours", ";spf=pass smtp.helo=c;dmarc=pass"),
            ("Authentication-Results: ", "mx.ours"),
            ("", "Authentication-Results: mx.ours; x=pass\n"),
            ("Content-Type: text/plain", "; charset*0=x"),
            ("", "a:\n"),
        ] {
            let raw = start.to_owned() + &repeated.repeat(LENGTH / repeated.len());
            let (fields, _) = Fields::read(raw.as_bytes(), &["mx.ours".into()]).unwrap();
            let texts =
                [&fields.message_id.clone().flatten(), &fields.sender.address, &fields.recipients[0].address];
            let held = fields.references.held()
                + fields.in_reply_to.held()
                + fields.verification.held()
                + texts.into_iter().flatten().map(String::len).sum::<usize>();
            assert!(held <= 256 * 1024, "{start}{repeated}…: {held}");
        }
    }

    /// Looked at for each multipart around it, or for each field of its name, this much white space would take minutes.
    #[test]
    fn white_space_is_looked_at_once() {
        let blanks = " ".repeat(2 << 20);
        let multipart = "Content-Type: multipart/mixed; boundary=b\n\n--b\n".repeat(parts::MAX_PARTS - 2);
        let lines = format!("--bx{blanks}\n").repeat(8);
        let nested = facts(&format!("{multipart}a: b\n\n{lines}"));
        assert_eq!(nested.texts.body, Err(TextProblem::Structure));
        let types = "Content-Type:text/plain\n".repeat(300_000);
        let typed = facts(&format!("Content-Type:{blanks}text/plain{blanks}\n{types}\nbody"));
        assert_eq!(typed.texts.body, Err(TextProblem::Structure), "longer than is looked at");
    }

    /// What this thread has computed so far, in nanoseconds: whatever else the machine does is not in it.
    fn computed() -> i64 {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        now.tv_sec * 1_000_000_000 + now.tv_nsec
    }

    /// In debug builds too. Eight times the message may take eight times as long, and no more than three times that: where each byte is
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
