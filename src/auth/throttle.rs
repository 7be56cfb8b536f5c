//! Failed logins are slowed down, per address and per account, and never lock an account for good.
//!
//! Five failures are free; each further one doubles the wait, up to fifteen minutes. A success forgets the account's
//! failures, a quiet quarter of an hour forgets the rest. Kept in memory: a restart forgives.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Result};
use crate::time::{SECOND, Timestamp};

const FREE: u32 = 5;
const LONGEST: i64 = 15 * 60;
/// Names remembered; past it the quiet ones go first, then all.
const MOST: usize = 10_000;

#[derive(Default)]
pub struct Throttle(Mutex<HashMap<String, Failures>>);

struct Failures {
    n: u32,
    last: Timestamp,
}

impl Failures {
    fn wait(&self) -> i64 {
        match self.n.checked_sub(FREE) {
            None | Some(0) => 0,
            Some(more) => (1_i64 << more.min(20)).min(LONGEST),
        }
    }

    fn is_quiet(&self, now: Timestamp) -> bool {
        now >= self.last.plus_seconds(LONGEST)
    }
}

impl Throttle {
    /// Refuses while one of the names (an address, an account) still has to wait; else counts the attempt as failed,
    /// until `succeeded` says otherwise. Both in one step: attempts made at the same moment would all be free.
    pub fn attempt(&self, names: &[String], now: Timestamp) -> Result<()> {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = names
            .iter()
            .filter_map(|name| failures.get(name))
            .filter(|failures| !failures.is_quiet(now))
            // A clock that was ahead at the last one was wrong: it is as if that were now.
            .map(|failures| failures.last.min(now).plus_seconds(failures.wait()).micros() - now.micros())
            .max()
            .unwrap_or(0);
        if wait > 0 {
            let retry_after = u32::try_from((wait + SECOND - 1) / SECOND).unwrap_or(u32::MAX);
            return Err(Error::TooMany {
                retry_after,
                message: format!("too many failed logins; try again in {retry_after} s"),
            });
        }
        if failures.len() >= MOST {
            failures.retain(|_, failures| !failures.is_quiet(now));
            if failures.len() >= MOST {
                failures.clear();
            }
        }
        for name in names {
            let entry = failures.entry(name.clone()).or_insert(Failures { n: 0, last: now });
            if entry.is_quiet(now) {
                entry.n = 0;
            }
            entry.n = entry.n.saturating_add(1);
            entry.last = now;
        }
        Ok(())
    }

    /// The attempt was none of the failures: the account's are forgotten, the other names have one less.
    pub fn succeeded(&self, names: &[String], account: &str) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failures.remove(account);
        for name in names {
            if let Some(entry) = failures.get_mut(name) {
                entry.n = entry.n.saturating_sub(1);
            }
        }
    }
}
