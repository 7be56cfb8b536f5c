//! What a text may be read as: texts are wrapped in other texts (a URL, a mail, HTML, JSON, a log line), and an address
//! in one of them is spelt as that one wants it.
//!
//! Every reading undoes one wrapping, and is read again. Nobody says which wrapping a text has, so all are tried; one
//! that changes nothing costs no more than a look.
//!
//! # Bounds
//! At most `MOST` readings of a text, the shallow ones first: what is wrapped deeper than a few times is not found.

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Readings of one text, itself among them.
const MOST: usize = 48;
/// Shorter runs of letters and digits are words: the shortest address takes so many in base64.
const SHORTEST_BASE64: usize = 12;

/// Looks at every reading of a text, the text itself first, until `look` says that it has seen enough.
pub fn any(text: &str, mut look: impl FnMut(&str) -> bool) -> bool {
    if look(text) {
        return true;
    }
    if !may_be_wrapped(text) {
        return false;
    }
    let mut readings = vec![text.to_owned()];
    let mut at = 0;
    while at < readings.len() {
        for unwrap in UNWRAP {
            let Some(reading) = unwrap(&readings[at]) else { continue };
            if readings.len() == MOST || readings.contains(&reading) {
                continue;
            }
            if look(&reading) {
                return true;
            }
            readings.push(reading);
        }
        at += 1;
    }
    false
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

/// Puts something in place of what `part` finds at a mark: it says with what, and how many bytes that takes away behind
/// the mark. Bytes that are no text together are left as they were.
fn replaced(text: &str, mark: u8, part: impl Fn(&[u8]) -> Option<(Vec<u8>, usize)>) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let (mut at, mut kept, mut is_changed) = (0, 0, false);
    while at < bytes.len() {
        if bytes[at] != mark {
            at += 1;
            continue;
        }
        // As many as follow one another: a character may take several.
        let (start, mut run, mut ends) = (at, Vec::new(), Vec::new());
        while bytes.get(at) == Some(&mark)
            && let Some((more, n)) = part(&bytes[at + 1..])
        {
            run.extend(more);
            at += 1 + n;
            ends.push((run.len(), at));
        }
        // The longest part of it that is text; what follows is looked at again.
        let valid = match std::str::from_utf8(&run) {
            Ok(_) => run.len(),
            Err(error) => error.valid_up_to(),
        };
        let end = ends.iter().rev().find(|(n, _)| *n <= valid);
        match end {
            Some(&(n, end)) => {
                out.push_str(&text[kept..start]);
                out.push_str(std::str::from_utf8(&run[..n]).unwrap_or_default());
                (at, kept, is_changed) = (end, end, true);
            }
            None => at = start + 1,
        }
    }
    if !is_changed {
        return None;
    }
    out.push_str(&text[kept..]);
    Some(out)
}

fn hex_pair(bytes: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*bytes.get(at)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

fn character(code: Option<u32>) -> Option<Vec<u8>> {
    code.and_then(char::from_u32).map(|c| c.to_string().into_bytes())
}

/// The number in so many hex digits.
fn hex_number(bytes: &[u8]) -> Option<u32> {
    u32::from_str_radix(std::str::from_utf8(bytes).ok()?, 16).ok()
}

/// JSON, C, LDAP, regular expressions: `\n`, `\u0040`, `\x40`, `\40`, `\.`.
fn backslashes(text: &str) -> Option<String> {
    replaced(text, b'\\', |rest| {
        let &first = rest.first()?;
        let plain = |c: u8| Some((vec![c], 1));
        match first {
            b'n' => plain(b'\n'),
            b't' => plain(b'\t'),
            b'r' => plain(b'\r'),
            b'u' if rest.get(1) == Some(&b'{') => {
                let n = rest.iter().take(10).position(|byte| *byte == b'}')?;
                Some((character(hex_number(&rest[2..n]))?, n + 1))
            }
            b'u' => {
                let unit = |at: usize| hex_number(rest.get(at..at + 4)?);
                let high = unit(1)?;
                match (high, rest.get(5..7), unit(7)) {
                    (0xD800..=0xDBFF, Some(b"\\u"), Some(low @ 0xDC00..=0xDFFF)) => {
                        let code = 0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00);
                        Some((character(Some(code))?, 11))
                    }
                    _ => Some((character(Some(high))?, 5)),
                }
            }
            b'U' => Some((character(hex_number(rest.get(1..9)?))?, 9)),
            b'x' => Some((vec![hex_pair(&rest[1..])?], 3)),
            _ => match hex_pair(rest) {
                Some(byte) => Some((vec![byte], 2)),
                None if first.is_ascii() => {
                    Some((vec![if first == b'b' || first == b'f' { b' ' } else { first }], 1))
                }
                None => None,
            },
        }
    })
}

/// URLs: `%40`.
fn percent(text: &str) -> Option<String> {
    replaced(text, b'%', |rest| Some((vec![hex_pair(rest)?], 2)))
}

/// A form's fields, where a `+` stands for a blank; its own `+` and `@` are encoded then.
fn form(text: &str) -> Option<String> {
    let is_form = text.contains('+') && (text.contains("%40") || text.contains("%2540"));
    is_form.then(|| text.replace('+', " "))
}

/// Quoted-printable: `=40`, and lines that go on on the next.
fn quoted_printable(text: &str) -> Option<String> {
    replaced(text, b'=', |rest| match rest {
        [b'\r', b'\n', ..] => Some((Vec::new(), 2)),
        [b'\n', ..] => Some((Vec::new(), 1)),
        rest => Some((vec![hex_pair(rest)?], 2)),
    })
}

/// A recipient in a delivery report (RFC 3461, `+40`), and the `@` of UTF-7.
fn xtext(text: &str) -> Option<String> {
    replaced(text, b'+', |rest| match rest {
        [b'A', b'E', b'A', b'-', ..] => Some((vec![b'@'], 4)),
        rest => Some((vec![hex_pair(rest)?], 2)),
    })
}

/// HTML and XML: `&#64;`, `&#x40;`, `&commat;`.
fn entities(text: &str) -> Option<String> {
    const NAMES: [(&str, &str); 17] = [
        ("amp", "&"),
        ("apos", "'"),
        ("commat", "@"),
        ("equals", "="),
        ("gt", ">"),
        ("hyphen", "-"),
        ("lowbar", "_"),
        ("lt", "<"),
        ("nbsp", " "),
        ("NewLine", "\n"),
        ("num", "#"),
        ("percnt", "%"),
        ("period", "."),
        ("plus", "+"),
        ("quot", "\""),
        ("shy", ""),
        ("Tab", "\t"),
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
            return Some((character(code)?, semicolon(start + n)));
        }
        let n = rest.iter().take(9).position(|byte| *byte == b';')?;
        let (_, text) = NAMES.iter().find(|(name, _)| name.as_bytes() == &rest[..n])?;
        Some((text.as_bytes().to_vec(), n + 1))
    })
}

/// Headers of mail: `=?utf-8?q?bob=40example.org?=`. In whatever charset: an address is ASCII in nearly all of them.
fn encoded_words(text: &str) -> Option<String> {
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
