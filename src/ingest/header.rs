//! The fields of one header (RFC 5322 section 2.2), found in one pass over its lines and never collected: whoever asks
//! is handed each field that anybody here uses, as it is passed. However many there are and however long, a header
//! costs one look at each of its bytes, and no memory.
//!
//! # Where a header ends
//!
//! At the first empty line, and where lines are not as they should be:
//!
//! - at a line that is no field, when the one before it was nothing but white space: that one was to be the empty line;
//! - at a delimiter line of a multipart that the header itself, or one around it, has named;
//! - in a body part, at a first line that is no field: the part has no header.
//!
//! Any other line that is no field is passed over, and told: others take it for the beginning of the text.
//!
//! A bare CR is no end of a line (section 2.2). What stands behind it in a field is not looked at: a server that takes
//! the fields of others away would not have seen one there.

/// The fields that are used, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    AuthenticationResults,
    ContentDisposition,
    ContentTransferEncoding,
    ContentType,
    DeliveredTo,
    EnvelopeTo,
    From,
    InReplyTo,
    MessageId,
    Received,
    References,
    Subject,
    XOriginalTo,
}

const NAMES: [(&[u8], Name); 13] = [
    (b"authentication-results", Name::AuthenticationResults),
    (b"content-disposition", Name::ContentDisposition),
    (b"content-transfer-encoding", Name::ContentTransferEncoding),
    (b"content-type", Name::ContentType),
    (b"delivered-to", Name::DeliveredTo),
    (b"envelope-to", Name::EnvelopeTo),
    (b"from", Name::From),
    (b"in-reply-to", Name::InReplyTo),
    (b"message-id", Name::MessageId),
    (b"received", Name::Received),
    (b"references", Name::References),
    (b"subject", Name::Subject),
    (b"x-original-to", Name::XOriginalTo),
];

/// Whoever is handed the fields.
pub trait Reader<'a> {
    /// A field with its value as it came: folded, and in whatever character set.
    fn field(&mut self, name: Name, value: &'a [u8]);
    /// Whether a line that is no field ends the header, as a delimiter does.
    fn is_delimiter(&self, line: &[u8]) -> bool;
}

/// Whose header it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    Message,
    Part,
}

/// How a header ended.
#[derive(Debug, PartialEq, Eq)]
pub struct End {
    /// Index of where the body begins.
    pub body: usize,
    /// Whether it has a field at all, of whatever name.
    pub has_fields: bool,
    /// Whether a line was passed over that is no field.
    pub has_strange_lines: bool,
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads the header that begins at `start`.
pub fn read<'a>(raw: &'a [u8], start: usize, of: Of, reader: &mut impl Reader<'a>) -> End {
    let mut end = End { body: raw.len(), has_fields: false, has_strange_lines: false };
    // The field being read: its name, if it is used, and where its value begins and ends.
    let mut open: Option<(Name, usize, usize)> = None;
    let mut after_white_line = false;
    let mut at = start;
    if raw[at..].starts_with(BYTE_ORDER_MARK) {
        at += BYTE_ORDER_MARK.len();
    }
    while at < raw.len() {
        let next = line_end(raw, at);
        let line = without_line_end(&raw[at..next]);
        let Some(&first) = line.first() else {
            end.body = next;
            break;
        };
        if matches!(first, b' ' | b'\t') {
            after_white_line = line.iter().all(|byte| matches!(byte, b' ' | b'\t'));
            if let Some((_, _, value_end)) = &mut open {
                *value_end = at + line.len();
            }
            end.has_strange_lines |= !end.has_fields && !after_white_line;
            at = next;
            continue;
        }
        if let Some((name, value_start, value_end)) = open.take() {
            reader.field(name, before_bare_cr(&raw[value_start..value_end]));
        }
        match field_name(line) {
            Some((name, length)) => {
                end.has_fields = true;
                open = name.map(|name| (name, at + length, at + line.len()));
            }
            None if after_white_line
                || line.starts_with(b"--") && reader.is_delimiter(line)
                || of == Of::Part && !end.has_fields =>
            {
                end.body = at;
                break;
            }
            None => end.has_strange_lines |= end.has_fields || !is_envelope(line),
        }
        after_white_line = false;
        at = next;
    }
    if let Some((name, value_start, value_end)) = open.take() {
        reader.field(name, before_bare_cr(&raw[value_start..value_end]));
    }
    end
}

/// The length of a field's name with its colon, and which of ours it is. Blanks may stand between name and colon
/// (RFC 5322 section 4.5).
fn field_name(line: &[u8]) -> Option<(Option<Name>, usize)> {
    let length = line.iter().position(|byte| !byte.is_ascii_graphic() || *byte == b':')?;
    let blanks = line[length..].iter().position(|byte| !matches!(byte, b' ' | b'\t'))?;
    if length == 0 || line[length + blanks] != b':' {
        return None;
    }
    let found = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(&line[..length]));
    Some((found.map(|(_, name)| *name), length + blanks + 1))
}

/// The line that mbox files and pipes put above a message, quoted or not.
fn is_envelope(line: &[u8]) -> bool {
    line.starts_with(b"From ") || line.starts_with(b">From ")
}

/// What stands before the first run of CR that no LF ends.
fn before_bare_cr(value: &[u8]) -> &[u8] {
    let mut at = 0;
    while let Some(offset) = memchr::memchr(b'\r', &value[at..]) {
        let start = at + offset;
        let Some(length) = value[start..].iter().position(|byte| *byte != b'\r') else { break };
        at = start + length;
        if value[at] != b'\n' {
            return &value[..start];
        }
    }
    value
}

/// The index after the line feed that ends the line at `start`, or after the last byte.
pub fn line_end(raw: &[u8], start: usize) -> usize {
    memchr::memchr(b'\n', &raw[start..]).map_or(raw.len(), |offset| start + offset + 1)
}

/// Without LF and all CR before it.
pub fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let crs = line.iter().rev().take_while(|byte| **byte == b'\r').count();
    &line[..line.len() - crs]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Fields(Vec<String>);

    impl<'a> Reader<'a> for Fields {
        fn field(&mut self, name: Name, value: &'a [u8]) {
            self.0.push(format!("{name:?}:{}", String::from_utf8_lossy(value)));
        }
        fn is_delimiter(&self, line: &[u8]) -> bool {
            line == b"--b"
        }
    }

    #[test]
    fn headers_end_where_they_should() {
        let message = Of::Message;
        for (of, raw, fields, body, strange) in [
            (message, "From: a\r\nX: y\r\nSubject:b\n\nbody", &["From: a", "Subject:b"][..], "body", false),
            (message, "from : a\n b\n\tc\n\r\nbody", &["From: a\n b\n\tc"], "body", false),
            (message, "From: a\n \nSubject: b\n\nbody", &["From: a\n ", "Subject: b"], "body", false),
            (message, "From: a\n \t\nbody\n\nof it", &["From: a\n \t"], "body\n\nof it", false),
            (message, "From: a\n--b\nbody", &["From: a"], "--b\nbody", false),
            (message, "From: a\n--c\nSubject: b\n\nbody", &["From: a", "Subject: b"], "body", true),
            (message, "From: a\nno field\nSubject: b\n\nbody", &["From: a", "Subject: b"], "body", true),
            (message, ">From x Mon\nFrom: a\n\n", &["From: a"], "", false),
            (message, "\u{feff}From: a\n\n", &["From: a"], "", false),
            (message, " x\nFrom: a\n\n", &["From: a"], "", true),
            (Of::Part, "\u{feff}Subject: a\n\nbody", &["Subject: a"], "body", false),
            (Of::Part, "no field\n\nbody", &[], "no field\n\nbody", false),
            (Of::Part, "Subject: a\nno field\n\nbody", &["Subject: a"], "body", true),
            (Of::Part, "Subject: a", &["Subject: a"], "", false),
            // Bare CR.
            (message, "From: a\rSubject: b\r\n\r\n", &["From: a"], "", false),
            (message, "From: a\r b\r\r\n c\r\n\r\n", &["From: a"], "", false),
            (message, "From: a\r\r\n b\r\r\n\r\r\nbody", &["From: a\r\r\n b"], "body", false),
        ] {
            let mut found = Fields::default();
            let end = read(raw.as_bytes(), 0, of, &mut found);
            assert_eq!((&found.0[..], &raw[end.body..]), (fields.map_owned().as_slice(), body), "{raw:?}");
            assert_eq!((end.has_strange_lines, end.has_fields), (strange, raw.contains(": ")), "{raw:?}");
        }
    }

    /// Looked at from each of them to their end, this many would take hours.
    #[test]
    fn a_run_of_crs_is_looked_at_once() {
        let crs = "\r".repeat(1 << 21);
        for (end, kept) in [("\n b", crs.len() + 5), ("b", 2)] {
            let raw = format!("Subject: a{crs}{end}\n\n");
            let mut found = Fields::default();
            read(raw.as_bytes(), 0, Of::Message, &mut found);
            let lengths: Vec<usize> = found.0.iter().map(|field| field.len() - "Subject:".len()).collect();
            assert_eq!(lengths, [kept]);
        }
    }

    trait Owned {
        fn map_owned(&self) -> Vec<String>;
    }
    impl Owned for &[&str] {
        fn map_owned(&self) -> Vec<String> {
            self.iter().map(|text| (*text).to_owned()).collect()
        }
    }

    #[test]
    fn what_is_a_name_of_a_field() {
        for (line, expected) in [
            ("A:", Some((None, 2))),
            ("Subject \t: x", Some((Some(Name::Subject), 10))),
            ("SUBJECT:x", Some((Some(Name::Subject), 8))),
            (":", None),
            (" :", None),
            ("a b: c", None),
            ("é: c", None),
            ("no colon", None),
            ("no-colon", None),
            ("", None),
        ] {
            assert_eq!(field_name(line.as_bytes()), expected, "{line:?}");
        }
    }
}
