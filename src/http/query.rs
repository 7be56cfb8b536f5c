//! The query string as typed parameters.
//!
//! A misspelt filter must not return everything, so a handler names all it knows (`only`) and anything else, or
//! anything twice, is refused. A refusal names the parameter, what came and what is accepted.

use crate::canonical::unbracketed;
use crate::error::{Error, Problems, Result};
use crate::mask::{cut, glimpse, holds_key, masked, quoted};
use crate::time::Timestamp;

/// Parameters of one query. No route has half as many.
const MOST: usize = 64;

/// Decoded names and values in the order of arrival.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes `a=b&c=d`. A broken escape, bytes that are not UTF-8 and control characters are refused, since no
    /// parameter has a use for them; so are more than 64 parameters.
    pub fn parse(raw: &str) -> Result<Self> {
        let mut pairs = Vec::new();
        for piece in raw.split('&').filter(|piece| !piece.is_empty()) {
            if pairs.len() == MOST {
                return Err(Error::http(400, format!("the query has more than {MOST} parameters")));
            }
            let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
            pairs.push((decode(name)?, decode(value)?));
        }
        Ok(Self(pairs))
    }

    /// Made from pairs, for a caller in the same process.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(pairs.into_iter().collect())
    }

    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Refuses every parameter that is not in `known`, and every one that came twice.
    pub fn only(&self, known: &[&str]) -> Result<()> {
        let mut problems = Problems::default();
        for (at, (name, _)) in self.0.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                problems.add(cut(name), format!("unknown parameter; accepted: {known}"));
            } else if self.0[..at].iter().any(|(earlier, _)| earlier == name) {
                problems.add(name, "given more than once; accepted: once");
            }
        }
        problems.none()
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(n, _)| n == name)
    }

    /// The value as given; an empty one is refused.
    pub fn text(&self, name: &str) -> Result<Option<&str>> {
        match self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str()) {
            Some("") => Err(Error::invalid(name, "is empty; leave the parameter out or give it a value")),
            value => Ok(value),
        }
    }

    /// An address or an id of mail, of which one pair of angle brackets is no part. A blank in it is most likely a `+`
    /// that nobody had encoded, which is for the log to find out.
    pub fn mail_text(&self, name: &str) -> Result<Option<String>> {
        Ok(self.text(name)?.map(|text| unbracketed(text).to_owned()))
    }

    /// A decimal integer. One that does not fit 64 bits counts as the nearest that does.
    pub fn integer(&self, name: &str, accepted: &str) -> Result<Option<i64>> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Error::invalid(
                name,
                format!("{} is not an integer; accepted: {accepted}", quoted(text)),
            ));
        }
        let nearest = if text.starts_with('-') { i64::MIN } else { i64::MAX };
        Ok(Some(text.parse().unwrap_or(nearest)))
    }

    /// An RFC 3339 timestamp with any offset. One before 1970 or at the end of 9999 means the first or the last there is.
    pub fn timestamp(&self, name: &str) -> Result<Option<Timestamp>> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        Timestamp::parse_clamped(text).map(Some).ok_or_else(|| {
            Error::invalid(
                name,
                format!(
                    "{} is not an RFC 3339 timestamp; accepted: 2026-04-30T14:22:11Z, any offset",
                    quoted(text)
                ),
            )
        })
    }

    /// One of a closed list of words.
    pub fn word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        match words.iter().find(|(word, _)| *word == text) {
            Some((_, value)) => Ok(Some(*value)),
            None => {
                let accepted: Vec<_> = words.iter().map(|(word, _)| *word).collect();
                let message = format!("{} is unknown; accepted: {}", quoted(text), accepted.join(", "));
                Err(Error::invalid(name, message))
            }
        }
    }
}

/// `application/x-www-form-urlencoded`: `+` is a space.
fn decode(piece: &str) -> Result<String> {
    let spaced = piece.replace('+', " ");
    let text = decode_path_segment(&spaced)?;
    if text.chars().any(|c| c.is_control()) {
        return Err(Error::http(400, format!("the query {} holds a control character", readable(piece))));
    }
    Ok(text)
}

/// Undoes percent-encoding; a broken escape or bytes that are not UTF-8 are refused.
pub fn decode_path_segment(segment: &str) -> Result<String> {
    let bytes = segment.as_bytes();
    for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%') {
        if !(bytes.len() > at + 2 && bytes[at + 1].is_ascii_hexdigit() && bytes[at + 2].is_ascii_hexdigit()) {
            let message = format!("{} has a % that two hex digits do not follow", readable(segment));
            return Err(Error::http(400, message));
        }
    }
    match percent_encoding::percent_decode_str(segment).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err(Error::http(400, format!("{} is not UTF-8 once decoded", readable(segment)))),
    }
}

/// As it came, for a refusal; decoded and masked when there is a key in it, which nobody would see otherwise.
fn readable(segment: &str) -> String {
    let decoded = percent_encoding::percent_decode_str(segment).decode_utf8_lossy();
    if holds_key(&decoded) { glimpse(&masked(&decoded)) } else { glimpse(segment) }
}
