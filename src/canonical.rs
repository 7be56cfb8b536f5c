//! The one form of an address or a name that may be written in several, and what may not be in either.
//!
//! Two addresses are one where they differ in nothing but composed or decomposed accents (NFC), in the case of letters,
//! or in how the domain is written (`müller.example`, `MÜLLER.example`, `xn--mller-kva.example`). Case is compared by
//! simple folding, one character for one: `STRASSE` is not `straße`.
//!
//! A character that nobody can see makes two names look like one. None is taken where a name or an address comes in;
//! what was recorded before is left as it is.

use std::borrow::Cow;

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};
use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use unicode_normalization::UnicodeNormalization;

use crate::error::{Error, Result};

/// Simple case folding of one character.
pub fn fold(c: char) -> char {
    let one = |mut several: std::char::ToUppercase| match (several.next(), several.next()) {
        (Some(one), None) => one,
        _ => c,
    };
    let upper = match c {
        // Its capital is I, whose small letter is another.
        'ı' => return c,
        c => one(c.to_uppercase()),
    };
    let mut lower = upper.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(one), None) => one,
        _ => upper,
    }
}

/// A text in which case and composition make no difference any more.
pub fn folded(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_lowercase() } else { text.nfc().map(fold).nfc().collect() }
}

/// A domain as DNS has it. What no name can be is folded.
pub fn domain(text: &str) -> String {
    let text = text.strip_suffix('.').unwrap_or(text);
    let ascii =
        Uts46::new().to_ascii(text.as_bytes(), AsciiDenyList::EMPTY, Hyphens::Allow, DnsLength::Ignore);
    ascii.map_or_else(|_| folded(text), Cow::into_owned)
}

/// The one form of an address.
pub fn address(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((local, host)) => format!("{}@{}", folded(local), domain(host)),
        None => folded(text),
    }
}

/// Whether an address is written in one way but for the case of ASCII letters, as nearly all are.
pub fn has_one_spelling(address: &str) -> bool {
    let mut labels = address.split(['@', '.']);
    address.is_ascii()
        && !labels.any(|label| label.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("xn--")))
}

/// Whether two addresses are one.
pub fn is_same_address(one: &str, other: &str) -> bool {
    one == other || address(one) == address(other)
}

/// Gives a connection the function `one_form`: of an address, also of one that an older version took with its angle
/// brackets, the form that any other way to write it has too.
pub fn register(connection: &Connection) -> rusqlite::Result<()> {
    let flags =
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_DIRECTONLY;
    connection.create_scalar_function("one_form", 1, flags, |context| {
        let text: Option<String> = context.get(0)?;
        Ok(text.map(|text| address(unbracketed(&text))))
    })
}

/// An address or an id without the pair of angle brackets that mail and its logs put around it.
pub fn unbracketed(text: &str) -> &str {
    let inside = text.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
    inside.filter(|inside| !inside.is_empty()).unwrap_or(text)
}

/// An id in its other form: with angle brackets around it, or without.
pub fn other_form(id: &str) -> String {
    match unbracketed(id) {
        bare if bare.len() < id.len() => bare.to_owned(),
        bare => format!("<{bare}>"),
    }
}

/// Whether a character takes no room of its own, wherever it stands: joiners, marks of direction, fillers, tags.
pub fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// The first character that an address may not hold: none that is invisible, controls, or is white.
pub fn misleading_in_address(text: &str) -> Option<char> {
    text.chars().find(|c| c.is_control() || c.is_whitespace() || is_invisible(*c))
}

/// The first character that a name may not hold. What joins emoji and the letters of scripts that are written joined is
/// seen there, and so is the wide blank between two Han characters.
fn misleading_in_name(text: &str) -> Option<char> {
    let characters: Vec<char> = text.chars().collect();
    let is_foreign = |at: Option<usize>| at.and_then(|at| characters.get(at)).is_some_and(|c| !c.is_ascii());
    characters.iter().enumerate().find_map(|(at, &c)| {
        let is_seen = match c {
            ' ' | '\u{3000}' => true,
            '\u{200c}' | '\u{200d}' => is_foreign(at.checked_sub(1)) && is_foreign(Some(at + 1)),
            '\u{fe00}'..='\u{fe0f}' => at > 0,
            c => !c.is_control() && !c.is_whitespace() && !is_invisible(c),
        };
        (!is_seen).then_some(c)
    })
}

/// A name as it looks: without differences of width, composition, case and space. Letters of one alphabet that look like
/// those of another (a Cyrillic `а`) are told apart.
pub fn look(name: &str) -> String {
    let plain: String = name.nfkc().filter(|c| !is_invisible(*c)).map(fold).nfkc().collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The first character that is another way to write one that looks the same: `＠` for `@`, `ａ` for `a`. Accents may be
/// composed or not.
pub fn lookalike(text: &str) -> Option<char> {
    text.nfc().find(|c| !std::iter::once(*c).nfkc().eq(std::iter::once(*c).nfc()))
}

/// # Errors
/// `Invalid`, naming the parameter, for a name that holds what nobody can see.
pub fn check_name(parameter: &str, name: &str) -> Result<()> {
    let Some(c) = misleading_in_name(name) else { return Ok(()) };
    let message = format!("holds U+{:04X}, which cannot be seen; accepted: characters that can", c as u32);
    Err(Error::invalid(parameter, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_written_in_several_ways_is_one() {
        for (one, other) in [
            ("ada@example.org", "ADA@Example.ORG"),
            ("jörg@example.org", "JÖRG@example.org"),
            ("jo\u{308}rg@example.org", "jörg@example.org"),
            ("ada@müller.example", "ada@xn--mller-kva.example"),
            ("ada@MÜLLER.example", "ada@mu\u{308}ller.example"),
            ("ada@example.org.", "ada@example.org"),
            ("νίκος@example.gr", "ΝΊΚΟΣ@example.gr"),
            ("ada@例え。テスト", "ada@xn--r8jz45g.xn--zckzah"),
            ("\"a b\"@example.org", "\"A B\"@example.org"),
        ] {
            assert!(is_same_address(one, other), "{one} {other}: {} {}", address(one), address(other));
        }
        for (one, other) in [
            ("ada@example.org", "ada@example.com"),
            ("strasse@example.org", "straße@example.org"),
            ("i@example.org", "ı@example.org"),
            ("jorg@example.org", "jörg@example.org"),
            ("ada@my_host", "ada@myhost"),
        ] {
            assert!(!is_same_address(one, other), "{one} {other}");
        }
    }

    #[test]
    fn one_pair_of_angle_brackets_is_taken_off() {
        for (given, bare) in
            [("<a@b>", "a@b"), ("a@b", "a@b"), ("<<a@b>>", "<a@b>"), ("<>", "<>"), ("<a", "<a"), ("", "")]
        {
            assert_eq!(unbracketed(given), bare);
        }
        assert_eq!((&*other_form("a@b"), &*other_form("<a@b>")), ("<a@b>", "a@b"));
    }

    #[test]
    fn what_cannot_be_seen_is_in_no_name() {
        for name in [
            "Acme",
            "Käse & Söhne",
            "می\u{200c}خواهم",
            "👩\u{200d}💻",
            "❤\u{fe0f}",
            "株式会社\u{3000}山田",
            "a@b",
        ] {
            assert_eq!(misleading_in_name(name), None, "{name:?}");
        }
        for c in
            ['\u{202e}', '\u{200b}', '\u{200d}', '\u{a0}', '\u{2028}', '\u{feff}', '\u{ad}', '\u{9b}', '\t']
        {
            let name = format!("Ac{c}me");
            assert_eq!(misleading_in_name(&name), Some(c), "{name:?}");
            let address = format!("a{c}da@example.org");
            assert_eq!(misleading_in_address(&address), Some(c), "{address:?}");
        }
        let error = check_name("name", "Ac\u{202e}me").unwrap_err().to_string();
        assert_eq!(error, "name: holds U+202E, which cannot be seen; accepted: characters that can");
    }
}
