//! The time in a `Received` field (RFC 5321 section 4.4): behind its last semicolon, as RFC 5322 section 3.3 writes it
//! and section 4.3 wrote it once.

use jiff::civil::{Date, Time};
use jiff::tz::Offset;

use super::words::Spans;
use crate::time::Timestamp;

/// Bytes of a time without its comments.
const MAX_DATE: usize = 256;

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// `None` where there is no such time, or it is outside 1970 to 9999.
pub fn time(value: &[u8]) -> Option<Timestamp> {
    let text = after_last_semicolon(value)?;
    // White space and comments might stand around the colons once (RFC 5322 section 4.3).
    let text = text.split(':').map(str::trim).collect::<Vec<_>>().join(":");
    let words: Vec<&str> =
        text.split(|c: char| c.is_ascii_whitespace() || c == ',').filter(|word| !word.is_empty()).collect();
    // The day of the week need not be right, or there.
    let words = match &words[..] {
        [day, rest @ ..] if is_word(day) && month(day).is_none() => rest,
        all => all,
    };
    let dashed: Vec<&str>;
    let (day, month, year, time, zone) = match *words {
        [date, time, zone, ..] if date.contains('-') && !is_word(date) => {
            dashed = date.split('-').collect();
            let &[day, month, year] = &dashed[..] else { return None };
            (day, month, year, time, zone)
        }
        // As ctime() writes it.
        [month, day, time, year, zone, ..] if is_word(month) && is_year(year) => {
            (day, month, year, time, zone)
        }
        [month, day, time, zone, year, ..] if is_word(month) => (day, month, year, time, zone),
        [day, month, year, time, zone, ..] => (day, month, year, time, zone),
        _ => return None,
    };
    let date = Date::new(year_of(year)?, self::month(month)?, number(day, 2)?).ok()?;
    let at = date.to_datetime(time_of_day(time)?);
    Timestamp::checked_from_seconds(offset(zone)?.to_timestamp(at).ok()?.as_second())
}

/// What stands behind the last semicolon outside comments and quoted strings, without comments.
fn after_last_semicolon(value: &[u8]) -> Option<String> {
    let mut start = None;
    outside(value, |at, byte| {
        if byte == b';' {
            start = Some(at + 1);
        }
        true
    });
    let mut date = Vec::new();
    outside(&value[start?..], |_, byte| {
        date.push(byte);
        date.len() < MAX_DATE
    });
    String::from_utf8(date).ok()
}

/// Hands over each byte outside comments and quoted strings with its index, and a blank for each of those, until it is
/// told to end.
fn outside(value: &[u8], mut each: impl FnMut(usize, u8) -> bool) {
    let mut spans = Spans::default();
    let mut at = 0;
    while let Some(byte) = value.get(at) {
        let (byte, next) = match spans.end(value, at) {
            Some(end) => (b' ', end),
            None => (*byte, at + 1),
        };
        if !each(at, byte) {
            return;
        }
        at = next;
    }
}

fn is_word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'.')
}

fn is_year(text: &str) -> bool {
    text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Of up to `most` digits, and nothing else.
fn number<T: std::str::FromStr>(text: &str, most: usize) -> Option<T> {
    let is_number = text.len() <= most && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

fn month(text: &str) -> Option<i8> {
    let start = text.get(..3)?.to_ascii_lowercase();
    let at = MONTHS.iter().position(|month| *month == start)?;
    is_word(text).then_some(at as i8 + 1)
}

/// Of two or three digits too (RFC 5322 section 4.3).
fn year_of(text: &str) -> Option<i16> {
    let year: i16 = number(text, 4)?;
    match text.len() {
        2 if year < 50 => Some(year + 2000),
        2 | 3 => Some(year + 1900),
        4 => Some(year),
        _ => None,
    }
}

/// `9:11:12`, `09:11`; a fraction counts for nothing, and the second 60 is the last of its minute.
fn time_of_day(text: &str) -> Option<Time> {
    let mut parts = text.split(':');
    let (hour, minute) = (number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let second: i8 = match parts.next() {
        None => 0,
        Some(seconds) => number(seconds.split('.').next()?, 2)?,
    };
    let second = if second == 60 { 59 } else { second };
    if parts.next().is_some() { None } else { Time::new(hour, minute, second, 0).ok() }
}

/// `+0100`, `GMT`, and what is left of the zones of old (RFC 5322 section 4.3); any other name says nothing, as
/// `-0000` does.
fn offset(zone: &str) -> Option<Offset> {
    let hours = match zone.to_ascii_uppercase().as_str() {
        "EDT" => -4,
        "EST" | "CDT" => -5,
        "CST" | "MDT" => -6,
        "MST" | "PDT" => -7,
        "PST" => -8,
        name if is_word(name) => 0,
        _ => {
            let (sign, digits) = match zone.split_at_checked(1)? {
                ("+", digits) => (1, digits),
                ("-", digits) => (-1, digits),
                _ => return None,
            };
            let digits = digits.replace(':', "");
            let (hours, minutes) = digits.split_at_checked(2).filter(|_| digits.len() == 4)?;
            let (hours, minutes): (i32, i32) = (number(hours, 2)?, number(minutes, 2)?);
            return Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok();
        }
    };
    Offset::from_hours(hours).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        for (value, expected) in [
            ("by x; Tue, 29 Apr 2025 11:47:12 +0900 (JST)", "2025-04-29T02:47:12Z"),
            ("by x; id y;\r\n Mon, 29 Apr 2025\r\n 11:47:12 GMT", "2025-04-29T11:47:12Z"),
            ("by x; 29 Apr 25 11:47 EST", "2025-04-29T16:47:00Z"),
            // Comments.
            (
                "by x;\r\n Wed, 25 Nov 2026 10:11:12 +0100 (CET)\r\n (envelope-from a@b)",
                "2026-11-25T09:11:12Z",
            ),
            ("by x; Wed, 25 Nov 2026 10:11:12 +0100 (CET; (a) DST)", "2026-11-25T09:11:12Z"),
            ("by x (a; b); (c) Wed (d), 25(e)Nov (f) 2026 10:11:12(g)+0100", "2026-11-25T09:11:12Z"),
            ("by x for \"a;b\"@c; 25 Nov 2026 10:11:12 +0100", "2026-11-25T09:11:12Z"),
            ("by x; 25 Nov 2026 10:11:12 +0100 (CET", "2026-11-25T09:11:12Z"),
            ("by x (a; 25 Nov 2026 10:11:12 +0100", "2026-11-25T09:11:12Z"),
            ("by x; 25 Nov 2026 10 : 11 (a) :(b)12 +0100", "2026-11-25T09:11:12Z"),
            // Not quite.
            ("by x; Wed, 25 Nov 2026 9:11:12 +0000", "2026-11-25T09:11:12Z"),
            ("by x; Wed,25 November 2026 9:11:12.345 +0000", "2026-11-25T09:11:12Z"),
            ("by x; 5 Nov 2026 09:11:60 UT", "2026-11-05T09:11:59Z"),
            ("by x; 25-Nov-2026 09:11:12 +00:00", "2026-11-25T09:11:12Z"),
            ("by x; Wed Nov 25 09:11:12 2026 +0000", "2026-11-25T09:11:12Z"),
            ("by x; Wed Nov  5 09:11:12 GMT 2026", "2026-11-05T09:11:12Z"),
            ("by x; Wed, 25 Nov 2026 10:11:12 CET", "2026-11-25T10:11:12Z"),
            ("by x; Wed, 25 Nov 2026 10:11:12 PDT", "2026-11-25T17:11:12Z"),
            ("by x; Wed, 25 Nov 126 10:11:12 -0000 and more", "2026-11-25T10:11:12Z"),
            ("by x; 25 Nov 99 10:11:12 Z", "1999-11-25T10:11:12Z"),
            // None.
            ("by x", ""),
            ("by x;", ""),
            ("by x; yesterday", ""),
            ("by x; Tue, 31 Feb 2025 11:47:12 +0900", ""),
            ("by x; Tue, 29 Apr 1960 11:47:12 +0900", ""),
            ("by x; Tue, 29 Apr 2025 11:47:12", ""),
            ("by x; Tue, 29 Apr 2025 24:47:12 +0000", ""),
            ("by x; Tue, 29 Apr 2025 1:2:3:4 +0000", ""),
            ("by x; Tue, 29 Apr 2025 11:47:12 +09", ""),
            ("by x; Tue, 29 Apr 2025 11:47:12 +9999", ""),
            ("by x; Tue, é9 Apr 2025 11:47:12 +0000", ""),
            ("by x; 29 é 2025 11:47:12 +0000", ""),
        ] {
            let found = time(value.as_bytes()).map(|time| time.to_string()).unwrap_or_default();
            assert_eq!(found, expected, "{value}");
        }
    }
}
