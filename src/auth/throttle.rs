//! Wrong passwords are slowed down, and nobody is locked out by another's.
//!
//! An account is counted at each source by itself, a source in all accounts together: five failures are free, each
//! further one doubles the wait, up to fifteen minutes. A success forgets those of the account there, a quiet quarter
//! of an hour forgets the rest. However many sources somebody has, an account takes a hundred failures at once and
//! then one each half minute.
//!
//! Of a source from where the account was logged in to lately (`sources`) only its own failures of that account count:
//! whoever guesses elsewhere, or guesses at others, does not keep the owner out. Who has never been at a place has to
//! wait with those who guess from many.
//!
//! Kept in memory, in a fixed number of places: a restart forgives.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::places::{Places, Remembered};
use crate::canonical;
use crate::error::{Error, Result};
use crate::time::{SECOND, Timestamp};

const FREE: u32 = 5;
const LONGEST: i64 = 15 * 60;
/// Failures of an account from anywhere: so many at once, and then one in so many seconds.
pub const OF_ACCOUNT: i64 = 100;
pub const EVERY: i64 = 30;

#[derive(Default)]
pub struct Throttle(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    /// Of an account at a source.
    pairs: Places<Failures>,
    sources: Places<Failures>,
    accounts: Places<Allowance>,
}

#[derive(Default)]
struct Failures {
    n: u32,
    /// `None` before the first.
    last: Option<Timestamp>,
}

impl Failures {
    /// Microseconds to wait. A clock that was ahead at the last one was wrong: it is as if that were now.
    fn wait(&mut self, now: Timestamp) -> i64 {
        let seconds = match self.n.checked_sub(FREE) {
            None | Some(0) => return 0,
            Some(more) => (1_i64 << more.min(20)).min(LONGEST),
        };
        self.last = self.last.map(|last| last.min(now));
        let since = self.last.map_or(i64::MAX, |last| now.micros() - last.micros());
        if since >= LONGEST * SECOND { 0 } else { (seconds * SECOND - since).max(0) }
    }

    fn failed(&mut self, now: Timestamp) {
        if self.last.is_some_and(|last| now >= last.plus_seconds(LONGEST)) {
            self.n = 0;
        }
        self.n = self.n.saturating_add(1);
        self.last = Some(now);
    }

    fn take_back(&mut self) {
        self.n = self.n.saturating_sub(1);
    }
}

impl Remembered for Failures {
    fn weight(&self, now: Timestamp) -> i64 {
        if self.last.is_some_and(|last| now < last.plus_seconds(LONGEST)) { i64::from(self.n) } else { 0 }
    }
}

/// One number: when all of `OF_ACCOUNT` are there again.
#[derive(Default)]
struct Allowance {
    full_at: Option<Timestamp>,
}

impl Allowance {
    const MOST: i64 = OF_ACCOUNT * EVERY * SECOND;

    /// Microseconds until it is full. It was never further off than `MOST`, unless the clock was ahead: then it is full.
    fn used(&self, now: Timestamp) -> i64 {
        let used = self.full_at.map_or(0, |at| at.micros() - now.micros());
        if used > Self::MOST { 0 } else { used.max(0) }
    }

    /// Microseconds to wait.
    fn wait(&self, now: Timestamp) -> i64 {
        (self.used(now) + EVERY * SECOND - Self::MOST).max(0)
    }

    fn add(&mut self, n: i64, now: Timestamp) {
        let used = (self.used(now) + n * EVERY * SECOND).max(0);
        self.full_at = Some(Timestamp::from_micros(now.micros() + used));
    }
}

impl Remembered for Allowance {
    fn weight(&self, now: Timestamp) -> i64 {
        self.used(now)
    }
}

/// Somebody says that they are somebody.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Their address, as they wrote it; there need be no such account.
    account: String,
    source: Option<IpAddr>,
    is_known: bool,
}

impl Attempt {
    /// `is_known`: the account was logged in to from there lately.
    pub fn new(email: &str, source: Option<IpAddr>, is_known: bool) -> Self {
        Self { account: canonical::address(email), source, is_known }
    }

    pub fn is_known(&self) -> bool {
        self.is_known
    }

    fn pair(&self) -> String {
        format!("{} {:?}", self.account, self.source)
    }

    /// What is counted besides the pair. The operator's socket has no address.
    fn source(&self) -> Option<String> {
        self.source.filter(|_| !self.is_known).map(|source| source.to_string())
    }
}

impl Throttle {
    /// Refuses while the attempt has to wait; else counts it as failed, until `succeeded` says otherwise. Both in one
    /// step: attempts made at the same moment would all be free.
    pub fn attempt(&self, attempt: &Attempt, now: Timestamp) -> Result<()> {
        let (pair, source) = (attempt.pair(), attempt.source());
        let mut counts = self.counts();
        let of_pair = counts.pairs.find(&pair).map(|failures| failures.wait(now));
        let of_account = counts.accounts.find(&attempt.account).filter(|_| !attempt.is_known);
        let of_account = of_account.map(|allowance| allowance.wait(now));
        let of_source = source.as_deref().and_then(|source| counts.sources.find(source));
        let of_source = of_source.map(|failures| failures.wait(now));
        let wait = of_pair.max(of_account).max(of_source).unwrap_or(0);
        if wait > 0 {
            let retry_after = u32::try_from((wait + SECOND - 1) / SECOND).unwrap_or(u32::MAX);
            return Err(Error::TooMany {
                retry_after,
                message: format!("too many failed logins; try again in {retry_after} s"),
            });
        }
        counts.pairs.at(&pair, now).failed(now);
        if !attempt.is_known {
            counts.accounts.at(&attempt.account, now).add(1, now);
        }
        if let Some(source) = source {
            counts.sources.at(&source, now).failed(now);
        }
        Ok(())
    }

    /// The attempt was none of the failures: those of the account there are forgotten, what else was counted is taken
    /// back.
    pub fn succeeded(&self, attempt: &Attempt, now: Timestamp) {
        let mut counts = self.counts();
        counts.pairs.forget(&attempt.pair());
        if !attempt.is_known {
            counts.accounts.at(&attempt.account, now).add(-1, now);
        }
        if let Some(source) = attempt.source() {
            counts.sources.at(&source, now).take_back();
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(1_777_558_931_000_000 + seconds * SECOND)
    }

    fn source(n: u32) -> Option<IpAddr> {
        Some(IpAddr::from((0xCB00_7100 + n).to_be_bytes()))
    }

    /// How many of `n` wrong guesses from there are looked at.
    fn guesses(throttle: &Throttle, attempt: &Attempt, now: Timestamp, n: usize) -> usize {
        (0..n).filter(|_| throttle.attempt(attempt, now).is_ok()).count()
    }

    #[test]
    fn an_account_is_counted_at_each_source_and_a_source_in_all_accounts() {
        let throttle = Throttle::default();
        let ada = |n| Attempt::new("ada@example.org", source(n), false);
        assert_eq!(guesses(&throttle, &ada(1), at(0), 10), 6);
        assert_eq!(guesses(&throttle, &ada(2), at(0), 10), 6, "elsewhere");
        assert_eq!(guesses(&throttle, &Attempt::new("bob@example.org", source(1), false), at(0), 10), 0);
        assert_eq!(guesses(&throttle, &Attempt::new("ADA@example.org", source(1), true), at(0), 1), 0);
        assert_eq!(guesses(&throttle, &ada(1), at(2), 10), 1, "two seconds later");
        assert_eq!(guesses(&throttle, &ada(1), at(2 + LONGEST), 10), 6, "a quiet quarter of an hour later");
    }

    #[test]
    fn many_sources_are_slowed_at_one_account_but_not_the_one_it_knows() {
        let throttle = Throttle::default();
        let wrong = |n: u32, now| throttle.attempt(&Attempt::new("ada@example.org", source(n), false), now);
        assert_eq!((0..1000).filter(|n| wrong(*n, at(0)).is_ok()).count(), 100);
        assert_eq!((1000..2000).filter(|n| wrong(*n, at(EVERY)).is_ok()).count(), 1);
        let own = Attempt::new("ada@example.org", source(5000), true);
        throttle.attempt(&own, at(EVERY)).expect("the owner");
        throttle.succeeded(&own, at(EVERY));
        // A success elsewhere takes nothing of it, a failure each half minute leaves it full.
        let throttle = Throttle::default();
        for n in 0..1000 {
            let attempt = Attempt::new("ada@example.org", source(n), false);
            throttle.attempt(&attempt, at(0)).expect("an attempt");
            throttle.succeeded(&attempt, at(0));
        }
        let slow = (0..1000).filter(|n| {
            throttle
                .attempt(&Attempt::new("ada@example.org", source(*n), false), at(i64::from(*n) * EVERY))
                .is_ok()
        });
        assert_eq!(slow.count(), 1000);
    }

    #[test]
    fn a_crowd_of_names_forgets_nobodys_failures() {
        let throttle = Throttle::default();
        let ada = Attempt::new("ada@example.org", source(1), false);
        assert_eq!(guesses(&throttle, &ada, at(0), 10), 6);
        for n in 0..30_000 {
            let _ = throttle.attempt(&Attempt::new(&format!("{n}@example.org"), source(2 + n), false), at(0));
        }
        assert_eq!(guesses(&throttle, &ada, at(0), 10), 0);
    }

    #[test]
    fn a_clock_that_was_ahead_keeps_nobody_waiting() {
        let throttle = Throttle::default();
        let ada = Attempt::new("ada@example.org", source(1), false);
        assert_eq!(guesses(&throttle, &ada, at(86_400 * 365), 20), 6);
        assert_eq!(guesses(&throttle, &ada, at(0), 1), 0);
        assert_eq!(guesses(&throttle, &ada, at(2), 10), 1);
        let others = (0..1000).filter(|n| {
            throttle
                .attempt(&Attempt::new("bob@example.org", source(10 + n), false), at(86_400 * 365))
                .is_ok()
        });
        assert_eq!(others.count(), 100);
        let bob = Attempt::new("bob@example.org", source(9000), false);
        throttle.attempt(&bob, at(0)).expect("an attempt");
    }
}
