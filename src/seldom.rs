//! A log line now and then, however often there is reason for one: whoever makes the reasons must not fill the disk.
//!
//! What goes wrong over a request is told through one door, `tell`, because every request of every stranger can meet a
//! broken disk or a fault of ours.

use std::fmt::Arguments;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

/// Lines a second about what goes wrong over requests, of the whole process. Faults have lines of their own: whoever
/// makes many expected refusals must not hide one.
static FAULTS: Seldom = Seldom::new(20);
static REFUSALS: Seldom = Seldom::new(20);

/// A line about what went wrong over a request, unless there were many of its kind within this second.
pub fn tell(level: log::Level, what: Arguments<'_>) {
    match of(level).line() {
        None => {}
        Some(0) => log::log!(level, "{what}"),
        Some(passed_over) => log::log!(level, "{what}; {passed_over} more were not told"),
    }
}

fn of(level: log::Level) -> &'static Seldom {
    if level == log::Level::Error { &FAULTS } else { &REFUSALS }
}

/// So many lines a second, and with the next one how many there would have been.
pub struct Seldom {
    most: u32,
    state: Mutex<State>,
}

struct State {
    /// Of the second that is counted.
    begun: Option<Instant>,
    lines: u32,
    passed_over: u64,
}

impl Seldom {
    pub const fn new(most: u32) -> Self {
        Self { most, state: Mutex::new(State { begun: None, lines: 0, passed_over: 0 }) }
    }

    /// Whether there may be a line now; it says how many were passed over since the last one.
    pub fn line(&self) -> Option<u64> {
        self.line_at(Instant::now())
    }

    fn line_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.begun.is_none_or(|begun| now.saturating_duration_since(begun) >= SECOND) {
            state.begun = Some(now);
            state.lines = 0;
        }
        if state.lines >= self.most {
            state.passed_over = state.passed_over.saturating_add(1);
            return None;
        }
        state.lines += 1;
        Some(std::mem::take(&mut state.passed_over))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_reasons_in_a_second_are_as_many_lines_as_there_may_be() {
        let seldom = Seldom::new(2);
        let start = Instant::now();
        let lines: Vec<_> = (0..1000).map(|n| seldom.line_at(start + Duration::from_micros(n))).collect();
        assert_eq!(lines.iter().flatten().collect::<Vec<_>>(), [&0, &0]);
        assert_eq!(seldom.line_at(start + SECOND), Some(998));
        assert_eq!(seldom.line_at(start + SECOND), Some(0));
        assert_eq!(seldom.line_at(start + SECOND), None);
    }

    #[test]
    fn a_flood_of_refusals_hides_no_fault() {
        assert!(!std::ptr::eq(of(log::Level::Warn), of(log::Level::Error)));
    }
}
