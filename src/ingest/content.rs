//! `Content-Type`, `Content-Disposition` and `Content-Transfer-Encoding` (RFC 2045, 2183, 2231): of each what the text
//! of a message depends on.

use super::words::{Words, is_atom};

/// Bytes of a field that are looked at.
pub const MAX_FIELD: usize = 64 * 1024;
/// Bytes of a parameter's value, and pieces that it may come in.
const MAX_VALUE: usize = 2048;
const MAX_PIECES: usize = 64;

/// A value of one of these fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    /// Type and subtype, a disposition, or an encoding, in lower case. Without a valid one nothing is here, and the
    /// parameters count for nothing (RFC 2045 section 5.2).
    pub main: String,
    pub sub: String,
    pub boundary: Option<Vec<u8>>,
    pub charset: Option<String>,
    /// Whether it has a name, of whatever kind.
    pub has_name: bool,
    /// Whether others may read it otherwise: longer than is looked at, a boundary or the character set of a text twice, a
    /// multipart that is none.
    pub is_doubtful: bool,
}

/// `type/subtype` with its parameters.
pub fn media_type(value: &[u8]) -> Content {
    let mut words = start(value);
    let main = token(&mut words);
    words.space();
    let has_slash = words.accept(b'/');
    words.space();
    let sub = token(&mut words);
    words.space();
    let is_valid =
        !main.is_empty() && has_slash && !sub.is_empty() && matches!(words.peek(), None | Some(b';'));
    if is_valid {
        return with_parameters(main, sub, words, value.len());
    }
    Content { is_doubtful: main == "multipart" || value.len() > MAX_FIELD, ..Content::default() }
}

/// One word with its parameters.
pub fn word(value: &[u8]) -> Content {
    let mut words = start(value);
    let main = match words.quoted() {
        Some(inside) => lower(&inside),
        None => token(&mut words),
    };
    with_parameters(main, String::new(), words, value.len())
}

fn start(value: &[u8]) -> Words<'_> {
    let mut words = Words::of(&value[..value.len().min(MAX_FIELD)]);
    words.space();
    words
}

fn token(words: &mut Words<'_>) -> String {
    lower(words.run(is_token))
}

fn lower(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).to_lowercase()
}

/// RFC 2045 section 5.1, and UTF-8.
fn is_token(byte: u8) -> bool {
    (is_atom(byte) || byte == b'.') && !matches!(byte, b'/' | b'?' | b'=')
}

/// What a value without quotes may hold: more than a token, since many a boundary has an equals sign.
fn is_value(byte: u8) -> bool {
    byte > b' ' && byte != 0x7f && !matches!(byte, b';' | b'(' | b'"')
}

fn with_parameters(main: String, sub: String, mut words: Words<'_>, length: usize) -> Content {
    let mut content = Content { main, sub, is_doubtful: length > MAX_FIELD, ..Content::default() };
    let (mut boundary, mut charset) = (Parameter::default(), Parameter::default());
    loop {
        words.space();
        let Some(next) = words.peek() else { break };
        let name = token(&mut words);
        if name.is_empty() {
            // A semicolon, or what should not be here.
            if words.quoted().is_none() {
                words.accept(next);
            }
            continue;
        }
        words.space();
        if !words.accept(b'=') {
            continue;
        }
        words.space();
        let value = match words.quoted() {
            Some(inside) => inside,
            None => words.run(is_value).into(),
        };
        let (plain_name, rest) = name.split_once('*').unwrap_or((&name, ""));
        match plain_name {
            "boundary" => boundary.add(&name, rest, &value),
            "charset" => charset.add(&name, rest, &value),
            "name" | "filename" => content.has_name |= !value.is_empty(),
            _ => {}
        }
    }
    content.is_doubtful |= boundary.is_doubtful || charset.is_doubtful && content.main == "text";
    content.boundary =
        boundary.value().map(|value| value.trim_ascii_end().to_vec()).filter(|value| !value.is_empty());
    content.charset =
        charset.value().map(|value| lower(value.trim_ascii())).filter(|value| !value.is_empty());
    content
}

/// One parameter, whole or in the pieces of RFC 2231.
#[derive(Default)]
struct Parameter {
    plain: Option<Vec<u8>>,
    /// In one piece with a character set.
    extended: Option<Vec<u8>>,
    pieces: Vec<(usize, Vec<u8>)>,
    is_doubtful: bool,
}

impl Parameter {
    /// `rest` is what stands behind the first asterisk of `name`, if it has one.
    fn add(&mut self, name: &str, rest: &str, value: &[u8]) {
        if value.len() > MAX_VALUE {
            self.is_doubtful = true;
            return;
        }
        if !name.contains('*') {
            self.is_doubtful |= self.plain.as_deref().is_some_and(|plain| plain != value);
            self.plain.get_or_insert_with(|| value.to_vec());
        } else if rest.is_empty() {
            self.extended.get_or_insert_with(|| unpercented(behind_charset(value)));
        } else {
            let (number, is_encoded) = match rest.strip_suffix('*') {
                Some(number) => (number, true),
                None => (rest, false),
            };
            let Ok(number) = number.parse::<usize>() else { return };
            if self.pieces.len() == MAX_PIECES {
                self.is_doubtful = true;
                return;
            }
            let value = match (is_encoded, number) {
                (false, _) => value.to_vec(),
                (true, 0) => unpercented(behind_charset(value)),
                (true, _) => unpercented(value),
            };
            self.pieces.push((number, value));
        }
    }

    fn value(mut self) -> Option<Vec<u8>> {
        if self.plain.is_some() || self.extended.is_some() {
            return self.plain.or(self.extended);
        }
        self.pieces.sort_by_key(|(number, _)| *number);
        let in_order = self.pieces.iter().enumerate().take_while(|(at, (number, _))| at == number);
        let value: Vec<u8> = in_order.flat_map(|(_, (_, value))| value).copied().collect();
        (!self.pieces.is_empty()).then_some(value)
    }
}

/// `utf-8'en'value`.
fn behind_charset(value: &[u8]) -> &[u8] {
    let mut parts = value.splitn(3, |byte| *byte == b'\'');
    parts.nth(2).unwrap_or(value)
}

fn unpercented(value: &[u8]) -> Vec<u8> {
    percent_encoding::percent_decode(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `type/subtype boundary charset name!`, as far as they are there; `?` where it is doubtful.
    fn show(content: &Content) -> String {
        let mut shown = vec![format!("{}/{}", content.main, content.sub)];
        shown.extend(
            content.boundary.iter().map(|boundary| format!("b={}", String::from_utf8_lossy(boundary))),
        );
        shown.extend(content.charset.iter().map(|charset| format!("c={charset}")));
        shown.extend(content.has_name.then(|| "named".into()));
        shown.extend(content.is_doubtful.then(|| "?".into()));
        shown.join(" ")
    }

    #[test]
    fn types_are_read() {
        let long = format!("multipart/mixed; x=\"{}\";\r\n boundary=sep", "y".repeat(5000));
        let too_long = format!("multipart/mixed; x=\"{}\"; boundary=sep", "y".repeat(MAX_FIELD));
        for (value, expected) in [
            (" Text/PLAIN", "text/plain"),
            ("text/plain; charset=\"ISO-2022-JP\"", "text/plain c=iso-2022-jp"),
            ("text/html;charset=utf-8;name=x", "text/html c=utf-8 named"),
            ("text/plain; name=\"\"", "text/plain"),
            // Folding, white space and comments between any two words.
            ("multipart/mixed; boundary=\r\n\t\"sep\"", "multipart/mixed b=sep"),
            ("multipart/mixed; boundary\r\n =\r\n sep", "multipart/mixed b=sep"),
            ("(a) text (b) / (c) plain (d) ; (e) charset (f) = (g) utf-8 (h)", "text/plain c=utf-8"),
            ("multipart/mixed; boundary=sep(a)", "multipart/mixed b=sep"),
            ("multipart/mixed; boundary=\"a\\\"b (c); \"", "multipart/mixed b=a\"b (c);"),
            ("multipart/mixed; boundary=----=_Part/1", "multipart/mixed b=----=_Part/1"),
            (&long, "multipart/mixed b=sep"),
            // Pieces (RFC 2231).
            ("multipart/mixed; boundary*0=\"se\"; boundary*1=p", "multipart/mixed b=sep"),
            ("multipart/mixed; boundary*1*=%70; boundary*0*=us-ascii'en'se", "multipart/mixed b=sep"),
            ("text/plain; charset*=us-ascii''utf%2D8", "text/plain c=utf-8"),
            ("multipart/mixed; boundary*1=p", "multipart/mixed"),
            // Parameters that are not as they should be.
            ("text/plain;; charset=utf-8;", "text/plain c=utf-8"),
            ("text/plain; charset; name=x", "text/plain named"),
            ("text/plain; =x; \"y\"; charset=utf-8 z format=flowed", "text/plain c=utf-8"),
            ("text/plain; charset=\"utf-8\" name=x", "text/plain c=utf-8 named"),
            ("text/plain; charset=\"utf-8", "text/plain c=\"utf-8".trim_end_matches("c=\"utf-8").trim_end()),
            ("text/plain; charset=", "text/plain"),
            ("text/plain; charset=utf-8; charset=x", "text/plain c=utf-8 ?"),
            ("text/plain; charset=utf-8; charset=\"utf-8\"", "text/plain c=utf-8"),
            ("application/x; charset=utf-8; charset=x", "application/x c=utf-8"),
            ("multipart/mixed; boundary=a; boundary=a", "multipart/mixed b=a"),
            ("multipart/mixed; boundary=a; boundary=b", "multipart/mixed b=a ?"),
            (&too_long, "multipart/mixed ?"),
            // Not valid: text/plain is assumed, without parameters.
            ("text/plain charset=us-ascii", "/"),
            ("text", "/"),
            ("text/; charset=x", "/"),
            ("/plain", "/"),
            ("text/plain/x", "/"),
            ("text plain", "/"),
            ("", "/"),
            ("multipart/mixed boundary=a", "/ ?"),
            ("multipart; boundary=a", "/ ?"),
        ] {
            assert_eq!(show(&media_type(value.as_bytes())), expected, "{value}");
        }
    }

    #[test]
    fn dispositions_and_encodings_are_read() {
        for (value, expected) in [
            ("Attachment; filename=x", "attachment/ named"),
            ("inline; filename*0*=utf-8''x", "inline/ named"),
            ("(a) BASE64 (b)", "base64/"),
            ("\"base64\";", "base64/"),
            ("quoted-printable; x=y", "quoted-printable/"),
            ("", "/"),
        ] {
            assert_eq!(show(&word(value.as_bytes())), expected, "{value}");
        }
    }
}
