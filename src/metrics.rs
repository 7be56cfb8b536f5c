//! What is counted for Prometheus, and its text format.
//!
//! Counting is an addition to an atomic number, never a lock: it stands on the way of every request. A label has one
//! of a known set of values (a route's pattern, a status, a job, a log), never an address, a key or a mailbox: whoever
//! calls from outside must not be able to make a new time series.

use std::fmt::{Display, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets of `Durations`, in microseconds.
const BOUNDS: [u64; 11] =
    [250, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000];

/// How long something took, each time.
#[derive(Debug, Default)]
pub struct Durations {
    /// By bound; the last: above all of them.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

impl Durations {
    pub fn note(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let at = BOUNDS.iter().position(|bound| micros <= *bound).unwrap_or(BOUNDS.len());
        self.buckets[at].fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }
}

/// The statuses that are counted one by one; any other is counted with the last.
const STATUSES: [u16; 24] = [
    200, 201, 204, 304, 400, 401, 402, 403, 404, 405, 406, 408, 409, 411, 412, 413, 415, 422, 428, 429, 500,
    503, 507, 0,
];

/// The requests that reached one route, by the status of their answer.
#[derive(Debug, Default)]
pub struct Requests {
    statuses: [AtomicU64; STATUSES.len()],
    /// From the whole request to the beginning of its answer.
    pub durations: Durations,
}

impl Requests {
    pub fn note(&self, status: u16, took: Duration) {
        let at = STATUSES.iter().position(|known| *known == status).unwrap_or(STATUSES.len() - 1);
        self.statuses[at].fetch_add(1, Ordering::Relaxed);
        self.durations.note(took);
    }

    /// The statuses that there were, with how often.
    pub fn by_status(&self) -> impl Iterator<Item = (u16, u64)> {
        let counted =
            STATUSES.into_iter().zip(&self.statuses).map(|(status, n)| (status, n.load(Ordering::Relaxed)));
        counted.filter(|(_, n)| *n > 0)
    }
}

/// An exposition in the making.
#[derive(Default)]
pub struct Text(String);

/// The labels of one sample: name and value.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

impl Text {
    pub const MEDIA_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// Begins a metric; its samples follow. A help text ends with a full stop.
    pub fn begin(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    pub fn sample(&mut self, name: &str, labels: Labels<'_>, value: impl Display) {
        self.0.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            self.0.push(if at == 0 { '{' } else { ',' });
            let _ = write!(self.0, "{label}=\"{}\"", Escaped(text));
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    /// A metric of one sample that rises only.
    pub fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.begin(name, "counter", help);
        self.sample(name, &[], value);
    }

    /// A metric of one sample.
    pub fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.begin(name, "gauge", help);
        self.sample(name, &[], value);
    }

    /// The samples of a histogram. Its sum is that of the moment, its buckets are those of a moment before.
    pub fn durations(&mut self, name: &str, labels: Labels<'_>, durations: &Durations) {
        let (bucket, mut n) = (format!("{name}_bucket"), 0);
        for (at, count) in durations.buckets.iter().enumerate() {
            n += count.load(Ordering::Relaxed);
            let bound =
                BOUNDS.get(at).map_or("+Inf".to_owned(), |bound| seconds(Duration::from_micros(*bound)));
            self.sample(&bucket, &[labels, &[("le", &bound)]].concat(), n);
        }
        let sum = Duration::from_micros(durations.micros.load(Ordering::Relaxed));
        self.sample(&format!("{name}_sum"), labels, seconds(sum));
        self.sample(&format!("{name}_count"), labels, n);
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }
}

/// Prometheus' unit of time.
pub fn seconds(duration: Duration) -> String {
    duration.as_secs_f64().to_string()
}

struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_up_to_its_bounds() {
        let durations = Durations::default();
        for micros in [1, 250, 251, 6_000_000] {
            durations.note(Duration::from_micros(micros));
        }
        let mut text = Text::default();
        text.durations("x_seconds", &[("job", "a\"\\\nb")], &durations);
        let text = String::from_utf8(text.into_bytes()).expect("text");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], r#"x_seconds_bucket{job="a\"\\\nb",le="0.00025"} 2"#);
        assert_eq!(lines[1], r#"x_seconds_bucket{job="a\"\\\nb",le="0.001"} 3"#);
        assert_eq!(lines[10], r#"x_seconds_bucket{job="a\"\\\nb",le="5"} 3"#);
        assert_eq!(lines[11], r#"x_seconds_bucket{job="a\"\\\nb",le="+Inf"} 4"#);
        assert_eq!(lines[12], r#"x_seconds_sum{job="a\"\\\nb"} 6.000502"#);
        assert_eq!(lines[13], r#"x_seconds_count{job="a\"\\\nb"} 4"#);
    }

    #[test]
    fn an_unknown_status_is_counted_too() {
        let requests = Requests::default();
        for status in [200, 200, 429, 418] {
            requests.note(status, Duration::ZERO);
        }
        assert_eq!(requests.by_status().collect::<Vec<_>>(), [(200, 2), (429, 1), (0, 1)]);
    }
}
