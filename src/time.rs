//! Instants and the clock.
//!
//! A `Timestamp` is whole microseconds since 1970, UTC. The vendors write RFC 3339 with whole seconds or epoch
//! seconds; what is finer is kept down to the microsecond and shown when there is any, so that a time given is the
//! time read back. Times that mailtrail itself assigns are whole seconds, as in the vendors' examples.
//!
//! Nothing below a handler or a job asks the clock: time is a value, taken once (`store::Tx::now`).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use serde::{Serialize, Serializer};

pub const SECOND: i64 = 1_000_000;
pub const MINUTE: i64 = 60 * SECOND;
pub const HOUR: i64 = 60 * MINUTE;
pub const DAY: i64 = 24 * HOUR;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The years 1970 to 9999: what RFC 3339 can write and an epoch in the wild means. The last 26 hours are missing:
    /// some zone's calendar is in the year 10000 then, and jiff does not print what no zone could.
    pub const MIN: Self = Self(0);
    pub const MAX: Self = Self(253_402_207_200 * SECOND + 999_999);

    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(SECOND))
    }

    /// An instant in the years 1970 to 9999, or `None`.
    pub fn checked_from_seconds(seconds: i64) -> Option<Self> {
        let timestamp = Self(seconds.checked_mul(SECOND)?);
        (Self::MIN..=Self::MAX).contains(&timestamp).then_some(timestamp)
    }

    pub const fn micros(self) -> i64 {
        self.0
    }

    pub const fn millis(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Whole seconds since 1970, towards the past.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(SECOND)
    }

    /// Whole hours since 1970, towards the past.
    pub const fn hour(self) -> i64 {
        self.seconds().div_euclid(3600)
    }

    /// Until the next of `hour`: 1 to 3600.
    pub const fn seconds_to_next_hour(self) -> u32 {
        3600 - self.seconds().rem_euclid(3600) as u32
    }

    pub const fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(SECOND)))
    }

    pub const fn plus_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    pub const fn plus_days(self, days: i64) -> Self {
        self.plus_seconds(days.saturating_mul(86_400))
    }

    /// Down to the second.
    pub const fn truncated(self) -> Self {
        Self(self.0 - self.0.rem_euclid(SECOND))
    }

    /// Reads an RFC 3339 timestamp with any offset; leap seconds count as the second before. A space where the
    /// `+` of the offset was is taken as that `+`: that is what a query string makes of it (`+00:00`).
    pub fn parse(text: &str) -> Option<Self> {
        Self::parse_any(text).filter(|timestamp| (Self::MIN..=Self::MAX).contains(timestamp))
    }

    /// For a bound of a filter: an instant of any year, taken for the nearest that there can be.
    pub fn parse_clamped(text: &str) -> Option<Self> {
        // The last hours of 9999 are none that jiff reads; December has as many days in every year.
        let last_days = ["9999-12-30", "9999-12-31"].iter().any(|day| text.starts_with(day));
        let parsed = Self::parse_any(text).map(|timestamp| timestamp.clamp(Self::MIN, Self::MAX));
        parsed.or_else(|| {
            let earlier = format!("9998{}", text.get(4..)?);
            Self::parse_any(&earlier).filter(|_| last_days).map(|_| Self::MAX)
        })
    }

    fn parse_any(text: &str) -> Option<Self> {
        let mut text = text.to_owned();
        // 2026-04-30T14:22:11 is 19 characters; an offset or a fraction follows.
        if let Some(space) = text.rfind(' ')
            && space >= 19
        {
            text.replace_range(space..=space, "+");
        }
        let bytes = text.as_bytes();
        let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
        let well_formed = [0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18].into_iter().all(digit)
            && bytes[4] == b'-'
            && bytes[7] == b'-'
            && matches!(bytes[10], b'T' | b't' | b' ')
            && bytes[13] == b':'
            && bytes[16] == b':';
        if !well_formed || !offset_is_plain(&text[19..]) {
            return None;
        }
        let timestamp: jiff::Timestamp = text.parse().ok()?;
        Some(Self(timestamp.as_microsecond()))
    }

    pub fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::MAX)
    }
}

/// `Z`, `+hh:mm` or `-hh:mm` after an optional fraction: jiff reads more than RFC 3339 allows.
fn offset_is_plain(rest: &str) -> bool {
    let rest = match rest.strip_prefix('.') {
        Some(fraction) => {
            let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
            if digits == 0 || digits > 9 {
                return false;
            }
            &fraction[digits..]
        }
        None => rest,
    };
    match rest.as_bytes() {
        [b'Z' | b'z'] => true,
        [b'+' | b'-', h1, h2, b':', m1, m2] => [h1, h2, m1, m2].into_iter().all(|b| b.is_ascii_digit()),
        _ => false,
    }
}

/// RFC 3339 in UTC, `2026-04-30T14:22:11Z`; a fraction only when there is one.
impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let time = self.to_jiff();
        let whole = time.strftime("%Y-%m-%dT%H:%M:%S");
        match self.0.rem_euclid(SECOND) {
            0 => write!(f, "{whole}Z"),
            micros if micros % 1000 == 0 => write!(f, "{whole}.{:03}Z", micros / 1000),
            micros => write!(f, "{whole}.{micros:06}Z"),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl ToSql for Timestamp {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.0))
    }
}

impl FromSql for Timestamp {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        i64::column_result(value).map(Self)
    }
}

/// Where the time comes from: the system, or a hand that tests move.
#[derive(Debug, Clone, Default)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    pub fn system() -> Self {
        Self(None)
    }

    /// A clock that stands at `start` until `set` moves it, forwards or backwards.
    pub fn standing(start: Timestamp) -> Self {
        Self(Some(Arc::new(AtomicI64::new(start.micros()))))
    }

    /// Moves a standing clock; the system's own cannot be moved.
    pub fn set(&self, to: Timestamp) {
        if let Some(hand) = &self.0 {
            hand.store(to.micros(), Ordering::SeqCst);
        }
    }

    /// A clock that stands outside the years 1970 to 9999 is taken for one at their end: nothing could write its time.
    pub fn now(&self) -> Timestamp {
        let now = match &self.0 {
            Some(hand) => Timestamp(hand.load(Ordering::SeqCst)),
            None => of_system(),
        };
        now.clamp(Timestamp::MIN, Timestamp::MAX)
    }

    pub fn look(&self) -> Reading {
        let uptime = self.0.is_none().then(|| {
            let passed = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
            passed.tv_sec.saturating_mul(SECOND).saturating_add(passed.tv_nsec / 1000)
        });
        Reading { now: self.now(), uptime }
    }
}

/// One look at a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    pub now: Timestamp,
    /// Microseconds since the machine started, those that it slept with them, which no hand sets. `None` of a clock that
    /// stands.
    pub uptime: Option<i64>,
}

impl Reading {
    /// Microseconds since an earlier look, as nobody can set them where they are counted.
    pub fn since(self, earlier: Self) -> i64 {
        match (self.uptime, earlier.uptime) {
            (Some(now), Some(then)) => now - then,
            _ => self.now.micros() - earlier.now.micros(),
        }
    }
}

fn of_system() -> Timestamp {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_micros()).map_or(Timestamp::MAX, Timestamp),
        Err(_) => Timestamp::MIN,
    }
}

/// The system's time for the field `Date` (RFC 9110 section 5.6.7).
pub fn http_date() -> String {
    Clock::system().now().to_jiff().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_instant_is_printed_and_read() {
        assert_eq!(Timestamp::MAX.micros(), jiff::Timestamp::MAX.as_microsecond());
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-30T22:00:00.999999Z");
        assert_eq!(Timestamp::parse("9999-12-30T22:00:00.999999Z"), Some(Timestamp::MAX));
        assert_eq!(Timestamp::parse("9999-12-30T22:00:01Z"), None);
        assert_eq!(Timestamp::checked_from_seconds(253_402_207_201), None);
    }

    #[test]
    fn a_bound_of_a_filter_may_be_of_any_year() {
        for (text, expected) in [
            ("0001-01-01T00:00:00Z", Some(Timestamp::MIN)),
            ("0000-01-01T00:00:00Z", Some(Timestamp::MIN)),
            ("1969-12-31T23:59:59Z", Some(Timestamp::MIN)),
            ("9999-12-31T23:59:59Z", Some(Timestamp::MAX)),
            ("9999-12-30T22:00:01.5+14:00", Timestamp::parse("9999-12-30T08:00:01.5Z")),
            ("9999-12-31T23:59:59-12:00", Some(Timestamp::MAX)),
            ("9999-12-32T00:00:00Z", None),
            ("9999-12-31T24:00:00Z", None),
            ("9999-12-31", None),
            ("10000-01-01T00:00:00Z", None),
        ] {
            assert_eq!(Timestamp::parse_clamped(text), expected, "{text}");
        }
    }

    #[test]
    fn a_clock_outside_the_years_that_can_be_written_stands_at_their_end() {
        for (hand, expected) in [
            (i64::MIN, Timestamp::MIN),
            (-1, Timestamp::MIN),
            (0, Timestamp::MIN),
            (Timestamp::MAX.micros() + 1, Timestamp::MAX),
            (i64::MAX, Timestamp::MAX),
        ] {
            assert_eq!(Clock::standing(Timestamp(hand)).now(), expected);
        }
    }

    #[test]
    fn rfc3339_is_read_with_any_offset_and_nothing_else() {
        for (text, expected) in [
            ("2025-04-20T14:30:00Z", Some("2025-04-20T14:30:00Z")),
            ("2025-04-20t14:30:00z", Some("2025-04-20T14:30:00Z")),
            ("2025-04-20T16:30:00+02:00", Some("2025-04-20T14:30:00Z")),
            ("2025-04-20T16:30:00 02:00", Some("2025-04-20T14:30:00Z")),
            ("2025-04-20 14:30:00Z", Some("2025-04-20T14:30:00Z")),
            ("2025-04-20T14:30:00.5Z", Some("2025-04-20T14:30:00.500Z")),
            ("2025-04-20T14:30:00.123456789Z", Some("2025-04-20T14:30:00.123456Z")),
            ("2016-12-31T23:59:60Z", Some("2016-12-31T23:59:59Z")),
            ("2025-04-20T14:30:00", None),
            ("2025-04-20", None),
            ("2025-04-20T14:30Z", None),
            ("2025-04-20T14:30:00[UTC]", None),
            ("2025-04-20T14:30:00Z[UTC]", None),
            ("2025-02-30T14:30:00Z", None),
            ("2025-04-20T24:30:00Z", None),
            ("1969-12-31T23:59:59Z", None),
            ("-000001-01-01T00:00:00Z", None),
            ("yesterday", None),
            ("", None),
            ("1745159400", None),
            ("２０２５-04-20T14:30:00Z", None),
        ] {
            assert_eq!(Timestamp::parse(text).map(|t| t.to_string()).as_deref(), expected, "{text}");
        }
    }
}
