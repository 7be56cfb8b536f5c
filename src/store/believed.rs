//! What time it is for what ends or begins by the time: kept answers, sessions, the day of sends, backups, retention.
//!
//! A clock that is ahead for a moment (a battery, a host that wakes up, a hand) must end nothing for good: nothing is
//! forgotten, freed or removed by a time that nobody believes yet. So a leap ahead is believed once the clock has stood
//! there for ten minutes. A leap is what goes further than the time since the last look, as the machine itself counts it
//! from its start, also while the program was not running; where nobody counted (the machine was off), a week.
//!
//! The time that is believed never goes back, unless a person says so (`clock_steps`): what has ended stays ended,
//! whatever the clock says later. It is kept with every commit, and the machine's count with it.
//!
//! Rows are recorded at the clock's own time all the same: it may be right.

use std::sync::{Mutex, PoisonError};

use crate::time::{Clock, DAY, MINUTE, Reading, Timestamp};

/// How far a clock may go ahead of the time since the last look: it is set right now and then.
const CORRECTION: i64 = 5 * MINUTE;
/// How far it may go ahead while nobody looked.
const UNSEEN: i64 = 7 * DAY;
/// How long it has to stand there.
const CONFIRMED: i64 = 10 * MINUTE;

pub struct Believed(Mutex<State>);

struct State {
    time: Timestamp,
    /// The machine's own count at the last look.
    uptime: Option<i64>,
    /// Where the clock was when it first went too far ahead.
    leap: Option<Reading>,
}

impl Believed {
    /// Goes on from what was believed last.
    pub fn new(time: Timestamp) -> Self {
        Self(Mutex::new(State { time, uptime: None, leap: None }))
    }

    /// Looks at the clock: what it says, and what is to be believed of it. One look after the other, or an old one would
    /// take back what a later one has seen.
    pub fn look(&self, clock: &Clock) -> (Reading, Timestamp) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let reading = clock.look();
        (reading, state.at(reading))
    }

    /// Goes on from what was kept with the last commit. `uptime`: the machine's count then, unless it was started since.
    pub fn go_on(&self, time: Timestamp, uptime: Option<i64>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = State { time, uptime, leap: None };
    }

    /// A person says that it is this time, be it earlier.
    pub fn accept(&self, time: Timestamp) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (state.time, state.leap) = (time, None);
    }
}

/// What tells one start of the machine from another; `None` where nobody says.
pub fn boot() -> Option<i64> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let digits: String = id.chars().filter(char::is_ascii_hexdigit).take(16).collect();
    u64::from_str_radix(&digits, 16).ok().map(u64::cast_signed)
}

impl State {
    fn at(&mut self, clock: Reading) -> Timestamp {
        let passed = self.uptime.zip(clock.uptime).map(|(before, now)| (now - before).max(0));
        self.uptime = clock.uptime;
        if clock.now
            <= self.time.plus_micros(passed.map_or(UNSEEN, |passed| passed.saturating_add(CORRECTION)))
        {
            self.time = self.time.max(clock.now);
            self.leap = None;
            return self.time;
        }
        // While it is not believed, time goes on as the machine counts it.
        self.time = self.time.plus_micros(passed.unwrap_or(0));
        match self.leap.filter(|leap| clock.now >= leap.now.plus_micros(-CORRECTION)) {
            Some(leap) if clock.since(leap) >= CONFIRMED => {
                self.time = clock.now;
                self.leap = None;
            }
            Some(_) => {}
            None => {
                log::warn!(
                    "the clock leapt from {} to {}: nothing ends by that time until it has stood there for ten minutes",
                    self.time,
                    clock.now
                );
                self.leap = Some(clock);
            }
        }
        self.time
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{HOUR, SECOND};

    fn at(micros: i64, uptime: Option<i64>) -> Reading {
        Reading { now: Timestamp::from_micros(micros), uptime }
    }

    /// Looks, one after the other: what the clock says, what the machine counts, and what is believed.
    fn check(start: i64, looks: &[(i64, Option<i64>, i64)]) {
        let mut state = State { time: Timestamp::from_micros(start), uptime: None, leap: None };
        for (place, &(clock, uptime, expected)) in looks.iter().enumerate() {
            assert_eq!(state.at(at(clock, uptime)).micros(), expected, "look {place}");
        }
    }

    #[test]
    fn a_leap_is_believed_once_it_has_stood_for_ten_minutes() {
        let up = |micros| Some(DAY + micros);
        check(
            0,
            &[
                (SECOND, up(0), SECOND),
                (2 * SECOND, up(SECOND), 2 * SECOND),
                // A correction, and a machine that slept and counted.
                (2 * MINUTE, up(2 * SECOND), 2 * MINUTE),
                (10 * HOUR, up(10 * HOUR), 10 * HOUR),
                // Two days in a second: time goes on beside it.
                (58 * HOUR, up(10 * HOUR + SECOND), 10 * HOUR + SECOND),
                (58 * HOUR + MINUTE, up(10 * HOUR + MINUTE), 10 * HOUR + MINUTE),
                // It comes back; and nothing has happened.
                (10 * HOUR + 2 * MINUTE, up(10 * HOUR + 2 * MINUTE), 10 * HOUR + 2 * MINUTE),
                // Again, and it stays.
                (58 * HOUR, up(10 * HOUR + 3 * MINUTE), 10 * HOUR + 3 * MINUTE),
                (58 * HOUR + 9 * MINUTE, up(10 * HOUR + 12 * MINUTE), 10 * HOUR + 12 * MINUTE),
                (58 * HOUR + 10 * MINUTE, up(10 * HOUR + 13 * MINUTE), 58 * HOUR + 10 * MINUTE),
                // Back again: what was believed stands.
                (10 * HOUR, up(10 * HOUR + 14 * MINUTE), 58 * HOUR + 10 * MINUTE),
            ],
        );
    }

    #[test]
    fn where_nobody_counted_a_week_is_believed_and_more_once_it_stays() {
        check(
            DAY,
            &[
                (8 * DAY, None, 8 * DAY),
                (15 * DAY + SECOND, None, 8 * DAY),
                (8 * DAY + SECOND, None, 8 * DAY + SECOND),
                (30 * DAY, None, 8 * DAY + SECOND),
                (30 * DAY + 10 * MINUTE - 1, None, 8 * DAY + SECOND),
                (30 * DAY + 10 * MINUTE, None, 30 * DAY + 10 * MINUTE),
            ],
        );
        // The first look after a start, and one that goes by what is counted from there.
        check(DAY, &[(9 * DAY, Some(5), DAY), (3 * DAY, Some(6), DAY + 1)]);
        check(DAY, &[(3 * DAY, Some(5), 3 * DAY), (5 * DAY, Some(6), 3 * DAY + 1)]);
    }

    #[test]
    fn what_the_machine_counted_while_nobody_looked_is_counted() {
        let believed = |uptime, clock| {
            let believed = Believed::new(Timestamp::MIN);
            believed.go_on(Timestamp::from_micros(DAY), uptime);
            let mut state = believed.0.lock().unwrap_or_else(PoisonError::into_inner);
            state.at(clock).micros()
        };
        assert_eq!(believed(Some(HOUR), at(3 * DAY, Some(2 * HOUR))), DAY + HOUR);
        assert_eq!(believed(Some(HOUR), at(3 * DAY, Some(2 * DAY + HOUR))), 3 * DAY);
        assert_eq!(believed(None, at(3 * DAY, Some(2 * HOUR))), 3 * DAY);
        assert_eq!(boot(), boot());
    }

    #[test]
    fn a_person_may_set_it_back() {
        let (clock, believed) =
            (Clock::standing(Timestamp::from_micros(DAY)), Believed::new(Timestamp::from_micros(9 * DAY)));
        assert_eq!(believed.look(&clock).1.micros(), 9 * DAY);
        believed.accept(Timestamp::from_micros(DAY));
        clock.set(Timestamp::from_micros(DAY + SECOND));
        assert_eq!(believed.look(&clock).1.micros(), DAY + SECOND);
    }
}
