//! Real messages: 101 bounces and reports as servers and providers wrote them, from the test set of Sisimai (licence
//! in `tests/mail/LICENSE`). Names in them were changed by its author, so that dates and domains do not always agree.

use std::collections::BTreeSet;
use std::path::Path;

use mailtrail::error::Error;
use mailtrail::ingest::eml::{self, Facts};
use mailtrail::messages::Verdict::{self, Fail, Neutral, None as Absent, Pass, Permerror};

const TRUSTED: [&str; 5] =
    ["mx.google.com", "mx4.example.jp", "email.example.jp", "mta508.mail.kks.y.example.co.jp", "Hotmail.com"];

fn read(raw: &[u8]) -> Result<Facts, Error> {
    eml::read(raw, &TRUSTED.map(str::to_owned))
}

/// All messages, by name.
fn messages() -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mail");
    let mut messages = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "eml") {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            messages.push((name, std::fs::read(path).unwrap()));
        }
    }
    messages.sort();
    messages
}

#[test]
fn every_message_yields_facts() {
    let messages = messages();
    assert_eq!(messages.len(), 101);

    let mut ids = BTreeSet::new();
    let mut without_id = Vec::new();
    let mut without_text = Vec::new();
    let mut unread = Vec::new();
    let mut without_time = Vec::new();
    let mut without_sender = Vec::new();
    for (name, raw) in &messages {
        let facts = read(raw).unwrap_or_else(|error| panic!("{name}: {error}"));
        for (list, is_missing) in [
            (&mut without_id, facts.derived_message_id),
            (&mut without_text, facts.texts.body.as_deref() == Ok("")),
            (&mut unread, facts.texts.body.is_err()),
            (&mut without_time, facts.received_at.is_none()),
            (&mut without_sender, facts.sender_address.is_none()),
        ] {
            if is_missing {
                list.push(name.as_str());
            }
        }
        assert!(ids.insert(facts.message_id), "{name}: a second message with this id");
    }
    assert_eq!(
        without_id,
        [
            "lhost-exim-07",
            "lhost-gmx-01",
            "lhost-qmail-13",
            "lhost-qmail-24",
            "lhost-yahoo-01",
            "lhost-yahoo-04"
        ]
    );
    // A multipart with nothing but a message in it.
    assert_eq!(without_text, ["arf-23"]);
    // A multipart whose boundary line was not indented, one without delimiters.
    assert_eq!(unread, ["lhost-office365-11", "rfc3464-04"]);
    // A `Received` whose second line was not indented, and no `Received` at all.
    assert_eq!(without_time, ["lhost-office365-11", "rfc3464-36"]);
    // `MAILER-DAEMON <>`, and a `From` that got into the line of `Date`.
    assert_eq!(
        without_sender,
        [
            "lhost-dragonfly-02",
            "lhost-dragonfly-13",
            "lhost-dragonfly-24",
            "lhost-dragonfly-28",
            "rfc3464-36"
        ]
    );
}

/// What a person reads in the file.
struct Row {
    name: &'static str,
    message_id: &'static str,
    references: &'static [&'static str],
    sender: Option<&'static str>,
    recipient: Option<&'static str>,
    received_at: Option<&'static str>,
    /// DKIM, SPF, DMARC.
    verdicts: [Option<Verdict>; 3],
    from_alignment: Option<bool>,
    text_starts: &'static str,
    text_ends: &'static str,
}

const ROWS: [Row; 13] = [
    // Delivered to Gmail, with all three verdicts; the text of multipart/report → related → alternative.
    Row {
        name: "rfc3464-59",
        message_id: "5b0529ea.1c69fb81.7ab7a.1ded.GMRIR@mx.google.com",
        references: &["CAByYQsF+iu-pg8_aLPvKr9sJjMqxhsHwLMJjMoozvvwWHH26TA@mail.gmail.com"],
        sender: Some("mailer-daemon@googlemail.com"),
        recipient: Some("azumakuniyuki@google.example.com"),
        received_at: Some("2018-05-23T08:44:26Z"),
        verdicts: [Some(Pass), Some(Pass), Some(Pass)],
        from_alignment: Some(true),
        text_starts: "\n** Address not found **\n\nYour message wasn't delivered to neko@libsisimai.org because the ",
        text_ends: "",
    },
    // An mbox line above it.
    Row {
        name: "rhost-gsuite-14",
        message_id: "5e5e0c55.1c69fb81.a8edb.8c4e.GMR@mx.google.com",
        references: &["144493c0-8548-4b2b-987f-ae719df82545@Spark"],
        sender: Some("mailer-daemon@googlemail.com"),
        recipient: Some("azumakuniyuki@google.example.com"),
        received_at: Some("2020-03-03T07:50:45Z"),
        verdicts: [Some(Pass), Some(Pass), Some(Pass)],
        from_alignment: Some(true),
        text_starts: "\n** Address not found **\n\nYour message wasn't delivered to libsisimai-2@googlegroups.com",
        text_ends: "",
    },
    // SPF passed for the server that bounced, which is not the sender's; the second field is the sender's own.
    Row {
        name: "lhost-amazonses-05",
        message_id: "01010157b3c0c752-ee5b6bff-a3a2-42a2-a4ea-7fbeb7b65f30-000000@us-west-2.amazonses.com",
        references: &[],
        sender: Some("MAILER-DAEMON@us-west-2.amazonses.com"),
        recipient: Some("kijitora@example.com"),
        received_at: Some("2016-10-11T12:39:01Z"),
        verdicts: [None, Some(Pass), None],
        from_alignment: Some(false),
        text_starts: "An error occurred while trying to deliver the mail to the following recipients:\n",
        text_ends: "recipients:\nbounce@simulator.amazonses.com",
    },
    // A signature of amazonses.com that does not verify, the sender at amazonaws.com.
    Row {
        name: "lhost-amazonses-11",
        message_id: "01010158992beedd-7d62a0c4-97e7-40d9-8bd9-8df84f891f1a-000000@us-west-2.amazonses.com",
        references: &[],
        sender: Some("no-reply@sns.amazonaws.com"),
        recipient: Some("sironeko.jp@example.com"),
        received_at: Some("2016-11-25T01:49:08Z"),
        verdicts: [Some(Neutral), Some(Fail), None],
        from_alignment: Some(false),
        text_starts: "{\"notificationType\":\"Complaint\",",
        text_ends: "",
    },
    // Gmail's guess at an SPF record, for a host below the sender's domain.
    Row {
        name: "lhost-sendmail-47",
        message_id: "201711081701.vA8H1Yix008319@nijo.cr.example.co.jp",
        references: &[],
        sender: Some("poostmaster@cr.example.co.jp"),
        recipient: Some("sironeko-nyaan+cr.example.co.jp@google.example.com"),
        received_at: Some("2017-11-08T17:01:37Z"),
        verdicts: [None, Some(Pass), None],
        from_alignment: Some(true),
        text_starts: "The original message was received at Thu, 9 Nov 2017 02:01:32 +0900\n",
        text_ends: "",
    },
    // One field for each method; aliased, so that it was delivered elsewhere than it was sent.
    Row {
        name: "rhost-google-06",
        message_id: "5ZGLGdBZw6z5FwBg@mail1.example.org",
        references: &[],
        sender: Some("MAILER-DAEMON@mail1.example.org"),
        recipient: Some("michitsuna@example.jp"),
        received_at: Some("2023-02-22T09:30:22Z"),
        verdicts: [None, Some(Absent), Some(Absent)],
        from_alignment: Some(false),
        text_starts: "This is the mail system at host mail1.example.org.\n",
        text_ends: "",
    },
    // CR LF; a second X-Original-To in the message that it returns.
    Row {
        name: "lhost-dragonfly-28",
        message_id: "e076e@df.example.jp",
        references: &[],
        sender: None,
        recipient: Some("postmaster@example.jp"),
        received_at: Some("2024-06-12T01:35:30Z"),
        verdicts: [Some(Permerror), None, None],
        from_alignment: None,
        text_starts: "This is the DragonFly Mail Agent v0.13 at df.example.jp.\n\nThere was an error delivering",
        text_ends: "",
    },
    // Yahoo before RFC 5451; its own message has no id.
    Row {
        name: "lhost-yahoo-01",
        message_id: "dba04a8f77852882036fd3276c5c0cd3@derived.mailtrail",
        references: &[],
        sender: Some("MAILER-DAEMON@y.example.co.jp"),
        recipient: None,
        received_at: Some("2014-11-21T22:11:04Z"),
        verdicts: [Some(Pass), None, None],
        from_alignment: Some(false),
        text_starts: "Sorry, we were unable to deliver your message to the following address.\n",
        text_ends: "",
    },
    // The sender is not authenticated, and the server says so.
    Row {
        name: "rhost-outlook-07",
        message_id: "A1XvpFVjC000256d1@BAY004-OMC1S18.hotmail.com",
        references: &[],
        sender: Some("postmaster@mail.hotmail.com"),
        recipient: None,
        received_at: Some("2015-01-31T05:29:41Z"),
        verdicts: [Some(Absent), Some(Absent), None],
        from_alignment: Some(false),
        text_starts: "This is an automatically generated Delivery Status Notification.\n",
        text_ends: "\n       kijitora@example.com\n\n\n\n",
    },
    // ISO-2022-JP.
    Row {
        name: "lhost-postfix-04",
        message_id: "20100524100650.7FE851AC10D@mv-osn-hcb007.ocn.ad.jp",
        references: &[],
        sender: Some("MAILER-DAEMON@mv-osn-hcb007.ocn.ad.jp"),
        recipient: None,
        received_at: Some("2010-05-24T10:06:50Z"),
        verdicts: [None; 3],
        from_alignment: None,
        text_starts: "This is the mail system at host mv-osn-hcb007.ocn.ad.jp.\n\nこのメールと共に返信されているメールは",
        text_ends: "550 5.1.1 Address rejected kijitora@example.co.jp (in reply to\n    RCPT TO command)\n",
    },
    // Base64.
    Row {
        name: "lhost-googlegroups-10",
        message_id: "5e5e08d2.1c69fb81.762df.86a1.GMR@mx.google.com",
        references: &["51E2AB79-95D6-4371-95E6-808D34B37539@example.jp"],
        sender: Some("mailer-daemon@googlemail.com"),
        recipient: None,
        received_at: Some("2019-04-29T14:34:45Z"),
        verdicts: [None; 3],
        from_alignment: None,
        text_starts: "שלום kijitora@example.jp,\n\n",
        text_ends: "",
    },
    // The date where others have the sender; no Received, so nothing to believe.
    Row {
        name: "rfc3464-36",
        message_id: "19950429233445.EEE00000@NEKO.EXAMPLE.ORG",
        references: &[],
        sender: None,
        recipient: None,
        received_at: None,
        verdicts: [None; 3],
        from_alignment: None,
        text_starts: "The original message was received at Thu, 9 Apr 1995 23:34:45 -0800\n",
        text_ends: "Message will be deleted from queue\n",
    },
    // A Delivered-To between two Received: written on the way, not by the last server.
    Row {
        name: "lhost-qmail-24",
        message_id: "1feaecc053f9d7d56403c6ccf81e3922@derived.mailtrail",
        references: &[],
        sender: Some("MAILER-DAEMON@email.example.jp"),
        recipient: None,
        received_at: Some("2024-06-26T06:28:59Z"),
        verdicts: [None; 3],
        from_alignment: None,
        text_starts: "Hi. This is the qmail-send program at email.example.jp.\n",
        text_ends: "Giving up on 192.0.2.25.\n\n--- Enclosed is a copy of the message.\n",
    },
];

#[test]
fn facts_are_what_the_messages_say() {
    let messages = messages();
    for row in ROWS {
        let name = row.name;
        let (_, raw) = messages.iter().find(|(found, _)| found == name).unwrap();
        let facts = read(raw).unwrap();
        assert_eq!(facts.message_id, row.message_id, "{name}");
        assert_eq!(facts.derived_message_id, row.message_id.ends_with("@derived.mailtrail"), "{name}");
        assert_eq!(facts.references, row.references, "{name}");
        assert_eq!(facts.sender_address.as_deref(), row.sender, "{name}");
        assert_eq!(facts.recipient_address.as_deref(), row.recipient, "{name}");
        assert_eq!(facts.received_at.map(|time| time.to_string()).as_deref(), row.received_at, "{name}");
        let verdicts = [facts.verification_dkim, facts.verification_spf, facts.verification_dmarc];
        assert_eq!(verdicts, row.verdicts, "{name}");
        assert_eq!(facts.from_alignment, row.from_alignment, "{name}");
        let text = facts.texts.body.unwrap();
        assert!(text.starts_with(row.text_starts), "{name}: {text}");
        assert!(text.ends_with(row.text_ends), "{name}: {text}");

        let untrusting = eml::read(raw, &[]).unwrap();
        let verdicts =
            [untrusting.verification_dkim, untrusting.verification_spf, untrusting.verification_dmarc];
        assert_eq!((verdicts, untrusting.from_alignment), ([None; 3], None), "{name}");
    }
}

/// The walk over the parts is ours; that of `mail-parser` is the other opinion, with which these messages agree.
#[test]
fn text_bodies_agree_with_mail_parser() {
    use mail_parser::{MessageParser, PartType};
    for (name, raw) in messages() {
        let message = MessageParser::default().parse(&raw).unwrap();
        let parts = message.text_body.iter().map(|&part| &message.parts[part as usize].body);
        let texts: Vec<String> = parts
            .filter_map(|body| match body {
                PartType::Text(text) | PartType::Html(text) => Some(text.replace("\r\n", "\n")),
                _ => None,
            })
            .collect();
        match read(&raw).unwrap().texts.body {
            Ok(text) => assert_eq!(text, texts.join("\n"), "{name}"),
            Err(_) => assert_eq!(texts.join("\n"), "", "{name}"),
        }
    }
}

/// Messages that were read wrongly once, each with what is right (`tests/mail/faults`, beside each message why).
const FAULTS: [(&str, &str, &str); 37] = [
    ("01-boundary-folded-before-value", "text", "Please approve invoice 7."),
    ("03-charset-folded-before-value", "text", "café\n"),
    ("04-content-type-missing-semicolon", "text", "Please approve invoice 7.\n"),
    ("06-utf7-unterminated-at-end", "text", "ok buy"),
    ("08-utf7-registered-name", "text", "café\n"),
    ("09-charset-iso-2022-kr", "text", "Please approve invoice 7.\n"),
    ("11-charset-ibm437", "text", "café\n"),
    ("12-utf16-without-bom", "text", "hi"),
    ("13-charset-utf-32", "text", "hi"),
    ("15-us-ascii-with-utf8-bytes", "text", "café\n"),
    ("16-received-two-comments", "received_at", "2026-11-25T09:11:12Z"),
    ("18-received-one-digit-hour", "received_at", "2026-11-25T09:11:12Z"),
    ("20-from-quoted-local-bare", "sender", "\"ann b\"@example.org"),
    ("22-from-comment-before-at", "sender", "ann@example.org"),
    ("23-from-space-after-at", "sender", "ann@example.org"),
    ("25-from-route", "sender", "ann@example.org"),
    ("26-from-ipv6-literal-bare", "sender", "ann@[ipv6:2001:db8::1]"),
    ("27-from-words-and-address", "sender", "none"),
    ("29-from-two-mailboxes-folded", "sender", "ann@example.org"),
    ("30-from-bare-cr", "sender", "ann@example.org"),
    ("31-from-after-bom", "sender", "ann@example.org"),
    ("32-delivered-to-mailing-list", "recipient", "none"),
    ("33-message-id-folded-inside", "message_id", "f1.long@example.org"),
    ("35-message-id-comment-with-brackets", "message_id", "f1@example.org"),
    ("36-message-id-8bit", "message_id", "caf%E9@example.org"),
    ("37-alignment-idn", "from_alignment", "true"),
    ("38-alignment-smtp-mail", "from_alignment", "true"),
    ("40-blank-with-space-before-boundary", "text", "Please approve invoice 7."),
    ("41-no-blank-line-before-boundary", "text", "Please approve invoice 7."),
    ("42-boundary-after-4-KiB-of-parameters", "text", "Please approve invoice 7."),
    ("43-multiparts-51-deep", "text", "Please approve invoice 7."),
    ("45-references-encoded-words", "thread", "root.1@example.org"),
    ("47-cr-only-mbox", "refused", "this is no mail message: it has no header field"),
    // Each of them has the rest too.
    ("01-boundary-folded-before-value", "message_id", "f1@example.org"),
    ("30-from-bare-cr", "message_id", "f1@example.org"),
    ("31-from-after-bom", "message_id", "f1@example.org"),
    ("43-multiparts-51-deep", "received_at", "2026-11-26T00:11:12Z"),
];

#[test]
fn what_was_read_wrongly_is_read_right() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mail/faults");
    let known: BTreeSet<&str> = FAULTS.iter().map(|(name, ..)| *name).collect();
    let there = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path());
    let there: BTreeSet<String> = there
        .filter(|path| path.extension().is_some_and(|extension| extension == "eml"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert!(there.iter().map(String::as_str).eq(known), "{there:?}");
    for (name, what, expected) in FAULTS {
        let raw = std::fs::read(directory.join(format!("{name}.eml"))).unwrap();
        let found = eml::read(&raw, &["mx.example.org".to_owned()]);
        let found = match (found, what) {
            (Err(Error::Malformed(message)), "refused") => Some(message),
            (Ok(facts), "text") => Some(facts.texts.body.unwrap_or_else(|problem| format!("{problem:?}"))),
            (Ok(facts), "received_at") => facts.received_at.map(|time| time.to_string()),
            (Ok(facts), "sender") => facts.sender_address,
            (Ok(facts), "recipient") => facts.recipient_address,
            (Ok(facts), "message_id") => Some(facts.message_id),
            (Ok(facts), "from_alignment") => facts.from_alignment.map(|aligned| aligned.to_string()),
            (Ok(facts), "thread") => facts.references.first().cloned(),
            (found, _) => panic!("{name}: {found:?}"),
        };
        assert_eq!(found.as_deref().unwrap_or("none"), expected, "{name}: {what}");
    }
}

/// `~`: white space and comments may stand here, `_`: must; `|word|`: a word that may be in quotes.
const SPACED: &str = "\
    Delivered-To:~|team|~@~example~.~org~\n\
    Authentication-Results:~mx.ours~;~dkim~=~pass_header~.~d~=~|example.org|_header.i=@example.org~;~spf=fail\
        _smtp.mailfrom=~|bob|@example.net~;~dmarc~=~pass~\n\
    Received:~from_a_by_mx.ours_(x)~;~Thu~,~26_Nov_2026_00~:~11~:~12_+0100~\n\
    From:~|Ann Lee|~<~|ann|~.~|lee|~@~example~.~org~>~,~bob~@~example~.~net~\n\
    Message-ID:~<~f1~.~a~@~example~.~org~>~\n\
    References:~<~r1~@~example~.~org~>~<r2@example.org>~\n\
    In-Reply-To:~<~r3~@~example.org~>~\n\
    Content-Type:~multipart~/~mixed~;~x~=~|y|~;~boundary~=~|sep|~;~z~=~|a;b|~\n\
    \n\
    --sep\n\
    Content-Type:~text~/~plain~;~charset~=~|iso-8859-1|~;~format~=~|flowed|~\n\
    Content-Transfer-Encoding:~base64~\n\
    Content-Disposition:~inline~\n\
    \n\
    Y2Fm6Q==\n\
    --sep\n\
    Content-Type:~application~/~pdf~;~name~=~|x.pdf|~\n\
    \n\
    x\n\
    --sep--\n";

const GAPS: [&str; 12] = [
    "",
    "",
    "",
    " ",
    "\t",
    "\r\n ",
    "(a)",
    " (b (c;d)) ",
    "\r\n\t(\\) <x@y> \"q)\r\n ",
    "\r\n \r\n\t",
    "(=)(,)",
    "(é)",
];

/// The message with its gaps filled and its words quoted by chance.
fn varied(template: &str, choices: &mut impl Iterator<Item = usize>) -> String {
    let mut message = String::new();
    let mut choose = |below: usize| choices.next().unwrap_or(0) % below;
    let mut pieces = template.split('|');
    let fill = |text: &str, message: &mut String, choose: &mut dyn FnMut(usize) -> usize| {
        for character in text.chars() {
            match character {
                '~' => message.push_str(GAPS[choose(GAPS.len())]),
                '_' => {
                    let gap = GAPS[choose(GAPS.len())];
                    message.push_str(if gap.is_empty() { " " } else { gap });
                }
                '\n' => message.push_str("\r\n"),
                character => message.push(character),
            }
        }
    };
    while let Some(text) = pieces.next() {
        fill(text, &mut message, &mut choose);
        let Some(word) = pieces.next() else { break };
        match choose(3) {
            0 if !word.contains(';') => message.push_str(word),
            1 => message.push_str(&format!("\"{word}\"")),
            _ => {
                message.push('"');
                word.chars().for_each(|c| message.extend(['\\', c]));
                message.push('"');
            }
        }
    }
    message
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(300))]

    /// White space, folding, comments and quotes mean nothing where RFC 5322, 8601 and 2045 let them stand.
    #[test]
    fn an_entry_is_the_same_however_its_header_is_spaced(choices in proptest::collection::vec(0..1000_usize, 250)) {
        let trusted = ["mx.ours".to_owned()];
        let plain = eml::read(varied(SPACED, &mut std::iter::empty()).as_bytes(), &trusted).unwrap();
        let message = varied(SPACED, &mut choices.into_iter());
        let found = eml::read(message.as_bytes(), &trusted).unwrap();
        proptest::prop_assert_eq!(
            &Facts { message_hash: plain.message_hash, ..found },
            &plain,
            "{}",
            message
        );
        // And it is what it says.
        proptest::prop_assert_eq!(plain.sender_address.as_deref(), Some("ann.lee@example.org"));
        proptest::prop_assert_eq!(plain.recipient_address.as_deref(), Some("team@example.org"));
        proptest::prop_assert_eq!(&plain.message_id, "f1.a@example.org");
        proptest::prop_assert_eq!(plain.references, ["r1@example.org", "r2@example.org", "r3@example.org"]);
        let received_at = plain.received_at.map(|at| at.to_string());
        proptest::prop_assert_eq!(received_at.as_deref(), Some("2026-11-25T23:11:12Z"));
        let verdicts = [plain.verification_dkim, plain.verification_spf, plain.verification_dmarc];
        proptest::prop_assert_eq!((verdicts, plain.from_alignment), ([Some(Pass), Some(Fail), Some(Pass)], Some(true)));
        proptest::prop_assert_eq!(plain.texts.body.as_deref(), Ok("café"));
    }
}

#[test]
fn damaged_messages_do_not_panic() {
    // Bytes that mean something to one of the parsers.
    const PIECES: [&[u8]; 16] = [
        b"\n",
        b"\r\n",
        b"\r\n\r\n",
        b"\n--",
        b"--\n",
        b"\0",
        b"\xff",
        b";",
        b"\"",
        b"(",
        b"<",
        b"=?utf-8?q?",
        b"=",
        b"Content-Type: multipart/alternative; boundary=",
        b"Content-Type: message/rfc822\n\n",
        b"charset=iso-2022-jp",
    ];
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for (name, original) in messages() {
        for mutant in 0..100 {
            let mut raw = original.clone();
            for _ in 0..=random.below(4) {
                let at = random.below(raw.len().max(1));
                match random.below(5) {
                    0 => raw.truncate(at),
                    1 => {
                        raw.splice(at..at, PIECES[random.below(PIECES.len())].iter().copied()).for_each(drop)
                    }
                    2 => raw.drain(at..(at + random.below(200)).min(raw.len())).for_each(drop),
                    _ => {
                        if let Some(byte) = raw.get_mut(at) {
                            *byte ^= 1 << random.below(8);
                        }
                    }
                }
            }
            let Ok(facts) = read(&raw) else { continue };
            assert!((1..=998).contains(&facts.message_id.len()), "{name} {mutant}");
            assert!(!facts.message_id.contains(char::is_control), "{name} {mutant}");
        }
    }
}

/// xorshift64: the same mutants in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }
}
