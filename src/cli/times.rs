//! Times as people type them, for the bounds of a filter.

use super::arguments::Span;
use crate::error::{Error, Result};
use crate::time::{Clock, DAY, Timestamp};

impl Span {
    pub fn is_given(&self) -> bool {
        self.from.is_some() || self.to.is_some()
    }

    /// As the routes have them.
    pub fn parameters(&self) -> Result<Vec<(&'static str, String)>> {
        let now = Clock::system().now();
        let given = [("from", &self.from), ("to", &self.to)];
        let given = given.into_iter().filter_map(|(name, text)| Some((name, text.as_deref()?)));
        given
            .map(|(name, text)| match instant(text, now) {
                Some(at) => Ok((name, at.to_string())),
                None => Err(Error::usage(
                    format!("--{name} {text:?} is not a time"),
                    "as in 2026-11-01, 2026-11-01T14:00:00Z, today, yesterday, or 2h for two hours ago",
                )),
            })
            .collect()
    }
}

/// A day is its beginning, in UTC, as rows are shown; `2h` is two hours ago.
fn instant(text: &str, now: Timestamp) -> Option<Timestamp> {
    let day = now.micros().div_euclid(DAY) * DAY;
    match text {
        "now" => return Some(now),
        "today" => return Some(Timestamp::from_micros(day)),
        "yesterday" => return Some(Timestamp::from_micros(day - DAY)),
        _ => {}
    }
    if let Some(at) = Timestamp::parse_clamped(text) {
        return Some(at);
    }
    // Of what is short of RFC 3339: the zone, the seconds, or all of the time of day.
    if text.len() >= 10
        && let Some(at) = ["Z", ":00Z", "T00:00:00Z"]
            .into_iter()
            .find_map(|rest| Timestamp::parse_clamped(&format!("{}{rest}", text.replacen(' ', "T", 1))))
    {
        return Some(at);
    }
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (n, unit) = text.split_at(digits);
    let seconds = match unit {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return None,
    };
    let ago = n.parse::<i64>().ok()?.checked_mul(seconds)?.checked_mul(1_000_000)?;
    Some(Timestamp::from_micros(now.micros().saturating_sub(ago).max(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_have_words_for_times() {
        let now = Timestamp::parse("2026-11-26T14:30:15Z").expect("a time");
        for (text, expected) in [
            ("now", Some("2026-11-26T14:30:15Z")),
            ("today", Some("2026-11-26T00:00:00Z")),
            ("yesterday", Some("2026-11-25T00:00:00Z")),
            ("2026-11-01", Some("2026-11-01T00:00:00Z")),
            ("2026-11-01T14:00", Some("2026-11-01T14:00:00Z")),
            ("2026-11-01 14:00", Some("2026-11-01T14:00:00Z")),
            ("2026-11-01 14:00:30", Some("2026-11-01T14:00:30Z")),
            ("2026-11-01T14:00:00+02:00", Some("2026-11-01T12:00:00Z")),
            ("2h", Some("2026-11-26T12:30:15Z")),
            ("90m", Some("2026-11-26T13:00:15Z")),
            ("15s", Some("2026-11-26T14:30:00Z")),
            ("7d", Some("2026-11-19T14:30:15Z")),
            ("1w", Some("2026-11-19T14:30:15Z")),
            ("99999w", Some("1970-01-01T00:00:00Z")),
            ("h", None),
            ("2", None),
            ("-2h", None),
            ("2 h", None),
            ("2h ago", None),
            ("99999999999999999w", None),
            ("2026-13-01", None),
            ("2026-02-30", None),
            ("2026-11", None),
            ("last week", None),
            ("", None),
        ] {
            let found = instant(text, now).map(|at| at.to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }
}
