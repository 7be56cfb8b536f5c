//! What a text may be read as: texts are wrapped in other texts (a URL, a mail, HTML, JSON, a log line), and an address
//! in one of them is spelt as that one wants it.
//!
//! Every reading undoes one wrapping, and is read again. Nobody says which wrapping a text has, so all are tried; one
//! that changes nothing costs no more than a look.
//!
//! # Bounds
//! Of one text at most `MOST` readings are unwrapped further, and all that are made take no more bytes than `room`, the
//! shallow ones first. What is wrapped in more ways than that is not looked through, and `any` says so. Every unwrapping
//! looks at each byte a small number of times.

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use memchr::{memchr, memmem};

/// Readings of one text that are unwrapped, itself among them.
const MOST: usize = 48;
/// Bytes of all readings of a text, for each of its own; what a short one has besides; what a long one has at most.
const ROOM_A_BYTE: usize = 16;
const LEAST_ROOM: usize = 16 << 10;
const MOST_ROOM: usize = 16 << 20;
/// Shorter runs of letters and digits are words: the shortest address takes so many in base64.
const SHORTEST_BASE64: usize = 12;

/// How far a look at all readings of a text came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looked {
    Found,
    /// To the end.
    Through,
    /// There are readings that nobody looked at.
    NotThrough,
}

/// Looks at every reading of a text, the text itself first, until `look` says that it has seen enough.
pub fn any(text: &str, mut look: impl FnMut(&str) -> bool) -> Looked {
    if look(text) {
        return Looked::Found;
    }
    if !may_be_wrapped(text) {
        return Looked::Through;
    }
    let mut room = room(text.len());
    let mut readings = vec![text.to_owned()];
    let (mut at, mut looked) = (0, Looked::Through);
    while at < readings.len() {
        for unwrap in UNWRAP {
            let Some(reading) = unwrap(&readings[at]) else { continue };
            let Some(rest) = room.checked_sub(reading.len()) else { return Looked::NotThrough };
            room = rest;
            if readings.contains(&reading) {
                continue;
            }
            if look(&reading) {
                return Looked::Found;
            }
            match may_be_wrapped(&reading) {
                true if readings.len() < MOST => readings.push(reading),
                true => looked = Looked::NotThrough,
                false => {}
            }
        }
        at += 1;
    }
    looked
}

/// Bytes that the readings of a text of this length may take together.
fn room(length: usize) -> usize {
    length.saturating_mul(ROOM_A_BYTE).saturating_add(LEAST_ROOM).min(MOST_ROOM)
}

/// Each gives what a text is once it is unwrapped; `None`: as it was.
const UNWRAP: [fn(&str) -> Option<String>; 8] =
    [backslashes, percent, form, quoted_printable, xtext, entities, encoded_words, base64];

/// Whether any of them would do anything.
fn may_be_wrapped(text: &str) -> bool {
    let mut run = 0;
    text.bytes().any(|byte| {
        run = if byte.is_ascii_alphanumeric() { run + 1 } else { 0 };
        matches!(byte, b'\\' | b'%' | b'=' | b'&' | b'+') || run >= SHORTEST_BASE64
    })
}

/// What a mark stands for, a byte of a character or a whole one, and how many bytes behind the mark say so.
struct Part {
    bytes: [u8; 4],
    length: usize,
    taken: usize,
}

impl Part {
    fn byte(byte: u8, taken: usize) -> Option<Self> {
        Some(Self { bytes: [byte, 0, 0, 0], length: 1, taken })
    }

    fn nothing(taken: usize) -> Option<Self> {
        Some(Self { bytes: [0; 4], length: 0, taken })
    }

    fn character(c: char, taken: usize) -> Option<Self> {
        let mut bytes = [0; 4];
        let length = c.encode_utf8(&mut bytes).len();
        Some(Self { bytes, length, taken })
    }
}

/// Puts something in place of what `part` finds behind each mark. Bytes that are no text together are left as they were.
fn replaced(text: &str, mark: u8, part: impl Fn(&[u8]) -> Option<Part>) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = String::new();
    let (mut at, mut kept) = (0, 0);
    while let Some(n) = memchr(mark, &bytes[at..]) {
        let start = at + n;
        match character_at(&bytes[start..], mark, &part) {
            Some((made, length, taken)) => {
                out.push_str(&text[kept..start]);
                out.push_str(std::str::from_utf8(&made[..length]).unwrap_or_default());
                (at, kept) = (start + taken, start + taken);
            }
            None => at = start + 1,
        }
    }
    if kept == 0 {
        return None;
    }
    out.push_str(&text[kept..]);
    Some(out)
}

/// The character that the first marks of a text make, several of them where each stands for a byte of it; its length,
/// and how many bytes of the text make it.
fn character_at(
    text: &[u8],
    mark: u8,
    part: impl Fn(&[u8]) -> Option<Part>,
) -> Option<([u8; 8], usize, usize)> {
    let (mut made, mut length, mut at) = ([0; 8], 0, 0);
    while text.get(at) == Some(&mark) {
        let part = part(&text[at + 1..])?;
        made[length..length + part.length].copy_from_slice(&part.bytes[..part.length]);
        length += part.length;
        at += 1 + part.taken;
        match std::str::from_utf8(&made[..length]) {
            Ok(_) => return Some((made, length, at)),
            Err(error) if error.error_len().is_some() => return None,
            // Up to three bytes of one that is not whole.
            Err(_) => {}
        }
    }
    None
}

fn hex_pair(bytes: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*bytes.get(at)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

/// The number in so many hex digits.
fn hex_number(bytes: &[u8]) -> Option<u32> {
    u32::from_str_radix(std::str::from_utf8(bytes).ok()?, 16).ok()
}

/// JSON, C, LDAP, regular expressions: `\n`, `\u0040`, `\x40`, `\40`, `\.`.
fn backslashes(text: &str) -> Option<String> {
    replaced(text, b'\\', |rest| {
        let &first = rest.first()?;
        match first {
            b'n' => Part::byte(b'\n', 1),
            b't' => Part::byte(b'\t', 1),
            b'r' => Part::byte(b'\r', 1),
            b'u' if rest.get(1) == Some(&b'{') => {
                let n = rest.iter().take(10).position(|byte| *byte == b'}')?;
                Part::character(char::from_u32(hex_number(&rest[2..n])?)?, n + 1)
            }
            b'u' => {
                let unit = |at: usize| hex_number(rest.get(at..at + 4)?);
                let high = unit(1)?;
                match (high, rest.get(5..7), unit(7)) {
                    (0xD800..=0xDBFF, Some(b"\\u"), Some(low @ 0xDC00..=0xDFFF)) => {
                        let code = 0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00);
                        Part::character(char::from_u32(code)?, 11)
                    }
                    _ => Part::character(char::from_u32(high)?, 5),
                }
            }
            b'U' => Part::character(char::from_u32(hex_number(rest.get(1..9)?)?)?, 9),
            b'x' => Part::byte(hex_pair(&rest[1..])?, 3),
            _ => match hex_pair(rest) {
                Some(byte) => Part::byte(byte, 2),
                None if first.is_ascii() => {
                    Part::byte(if first == b'b' || first == b'f' { b' ' } else { first }, 1)
                }
                None => None,
            },
        }
    })
}

/// URLs: `%40`.
fn percent(text: &str) -> Option<String> {
    replaced(text, b'%', |rest| Part::byte(hex_pair(rest)?, 2))
}

/// A form's fields, where a `+` stands for a blank; its own `+` and `@` are encoded then.
fn form(text: &str) -> Option<String> {
    let is_form = text.contains('+') && (text.contains("%40") || text.contains("%2540"));
    is_form.then(|| text.replace('+', " "))
}

/// Quoted-printable: `=40`, and lines that go on on the next.
fn quoted_printable(text: &str) -> Option<String> {
    replaced(text, b'=', |rest| match rest {
        [b'\r', b'\n', ..] => Part::nothing(2),
        [b'\n', ..] => Part::nothing(1),
        rest => Part::byte(hex_pair(rest)?, 2),
    })
}

/// A recipient in a delivery report (RFC 3461, `+40`), and the `@` of UTF-7.
fn xtext(text: &str) -> Option<String> {
    replaced(text, b'+', |rest| match rest {
        [b'A', b'E', b'A', b'-', ..] => Part::byte(b'@', 4),
        rest => Part::byte(hex_pair(rest)?, 2),
    })
}

/// HTML and XML: `&#64;`, `&#x40;`, `&commat;`.
fn entities(text: &str) -> Option<String> {
    const NAMES: [(&str, char); 16] = [
        ("amp", '&'),
        ("apos", '\''),
        ("commat", '@'),
        ("equals", '='),
        ("gt", '>'),
        ("hyphen", '-'),
        ("lowbar", '_'),
        ("lt", '<'),
        ("nbsp", ' '),
        ("NewLine", '\n'),
        ("num", '#'),
        ("percnt", '%'),
        ("period", '.'),
        ("plus", '+'),
        ("quot", '"'),
        ("Tab", '\t'),
    ];
    replaced(text, b'&', |rest| {
        let semicolon = |n: usize| n + usize::from(rest.get(n) == Some(&b';'));
        if rest.first() == Some(&b'#') {
            let is_hex = matches!(rest.get(1), Some(b'x' | b'X'));
            let (start, radix) = if is_hex { (2, 16) } else { (1, 10) };
            let n =
                rest[start..].iter().take(7).take_while(|byte| char::from(**byte).is_digit(radix)).count();
            let digits = std::str::from_utf8(&rest[start..start + n]).ok()?;
            let code = u32::from_str_radix(digits, radix).ok();
            return Part::character(char::from_u32(code?)?, semicolon(start + n));
        }
        let n = rest.iter().take(9).position(|byte| *byte == b';')?;
        if &rest[..n] == b"shy" {
            return Part::nothing(n + 1);
        }
        let (_, c) = NAMES.iter().find(|(name, _)| name.as_bytes() == &rest[..n])?;
        Part::character(*c, n + 1)
    })
}

/// Headers of mail: `=?utf-8?q?bob=40example.org?=`. In whatever charset: an address is ASCII in nearly all of them.
fn encoded_words(text: &str) -> Option<String> {
    memmem::find(text.as_bytes(), b"=?")?;
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut is_changed) = (text, false);
    while let Some(start) = rest.find("=?") {
        let word = rest[start + 2..].splitn(4, '?').collect::<Vec<_>>();
        let decoded = match word[..] {
            [charset, kind, content, after] if after.starts_with('=') && charset.len() <= 40 => match kind {
                "b" | "B" => decoded(content).map(|content| (content, after)),
                "q" | "Q" => {
                    let content = content.replace('_', " ");
                    Some((quoted_printable(&content).unwrap_or(content), after))
                }
                _ => None,
            },
            _ => None,
        };
        match decoded {
            Some((content, after)) => {
                out.push_str(&rest[..start]);
                out.push_str(&content);
                // Blanks between two of them are not there.
                rest = &after[1..];
                if rest.trim_start().starts_with("=?") {
                    rest = rest.trim_start();
                }
                is_changed = true;
            }
            None => {
                out.push_str(&rest[..start + 2]);
                rest = &rest[start + 2..];
            }
        }
    }
    out.push_str(rest);
    is_changed.then_some(out)
}

/// Every run that is a text in base64, in either alphabet: a header, a token, a part of a mail.
fn base64(text: &str) -> Option<String> {
    let is_digit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_');
    // A part of a mail goes on on the next line.
    let whole = text.contains('\n').then(|| text.replace(['\r', '\n'], ""));
    let texts = [Some(text), whole.as_deref()].into_iter().flatten();
    let runs = texts.flat_map(|text| text.split(|c| !is_digit(c)));
    let found: Vec<String> = runs.filter(|run| run.len() >= SHORTEST_BASE64).filter_map(decoded).collect();
    (!found.is_empty()).then(|| found.join("\n"))
}

fn decoded(run: &str) -> Option<String> {
    const ANYHOW: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let alphabet = if run.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    let bytes = GeneralPurpose::new(alphabet, ANYHOW).decode(run).ok()?;
    String::from_utf8(bytes).ok()
}
