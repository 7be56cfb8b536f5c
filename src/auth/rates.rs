//! How many requests a caller may make: a token bucket for each key and each person logged in, and a smaller one for
//! each address that comes without either.
//!
//! A bucket is one number, the time at which it will be full again; a request puts it off by the rate's interval, and
//! is refused when that would be further ahead than the burst. Time is the monotonic one: a clock that is set locks
//! nobody out. Whoever has a valid key is never refused for the address that others share with it. The operator, the
//! command line and trusted proxies themselves have no bucket; whom a proxy names has, and those that it speaks for
//! without naming them have one together.
//!
//! # Memory
//!
//! A fixed table. A newcomer takes the place of the one of its few neighbours whose bucket is fullest, as a rule one
//! that is full and says nothing; where a newcomer belongs cannot be guessed from outside. With more addresses than
//! places at the same time, some are forgiven early.

use std::array;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ipnet::IpNet;

use crate::auth::address::{self, Client};
use crate::config::Rate;
use crate::error::{Error, Result};

/// What may come at once, as a time at the rate: short bursts are everyday.
pub const BURST: Duration = Duration::from_secs(10);

const SETS: usize = 1024;
const PLACES: usize = 8;

pub struct Rates {
    callers: Buckets,
    addresses: Buckets,
}

impl Rates {
    pub fn new(per_key: Option<Rate>, per_address: Option<Rate>) -> Self {
        Self { callers: Buckets::new(per_key), addresses: Buckets::new(per_address) }
    }

    /// A request with this key, which is valid.
    pub fn key(&self, key: i64) -> Result<()> {
        self.callers.take(0, u128::from(key.unsigned_abs()), Instant::now(), "this API key")
    }

    /// A request of this person, whose session is valid.
    pub fn person(&self, user: i64) -> Result<()> {
        self.callers.take(1, u128::from(user.unsigned_abs()), Instant::now(), "this account")
    }

    /// A request of nobody that is known, from this address.
    pub fn stranger(&self, client: Client, trusted: &[IpNet]) -> Result<()> {
        let Some(source) = client.source() else { return Ok(()) };
        let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(&address));
        if client.own().is_some_and(is_trusted) {
            return Ok(());
        }
        self.addresses.take(0, address::bits(source), Instant::now(), "this address")
    }

    /// Requests refused so far: with a key or a session, and without.
    pub fn refused(&self) -> [(&'static str, u64); 2] {
        [("key", &self.callers), ("address", &self.addresses)]
            .map(|(by, buckets)| (by, buckets.refused.load(Ordering::Relaxed)))
    }
}

/// Who a bucket belongs to: a sort and a number in it. Nobody is (0, 0).
type Owner = (u8, u128);

#[derive(Clone, Copy, Default)]
struct Bucket {
    owner: Owner,
    /// Nanoseconds since the start; in the past: it is full.
    full_at: u64,
}

struct Buckets {
    /// `None`: as many as they like.
    rate: Option<Rate>,
    sets: Box<[Mutex<[Bucket; PLACES]>]>,
    hasher: RandomState,
    start: Instant,
    refused: AtomicU64,
}

impl Buckets {
    fn new(rate: Option<Rate>) -> Self {
        let sets = if rate.is_some() { SETS } else { 0 };
        Self {
            rate,
            sets: (0..sets).map(|_| Mutex::new(array::from_fn(|_| Bucket::default()))).collect(),
            hasher: RandomState::new(),
            start: Instant::now(),
            refused: AtomicU64::new(0),
        }
    }

    fn take(&self, sort: u8, number: u128, at: Instant, who: &str) -> Result<()> {
        let Some(rate) = self.rate else { return Ok(()) };
        let Some(wait) = self.wait(rate, (sort, number), at) else { return Ok(()) };
        self.refused.fetch_add(1, Ordering::Relaxed);
        Err(Error::TooMany {
            retry_after: u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1),
            message: format!("too many requests; {who} may make {rate}"),
        })
    }

    /// How long until there is a token, when there is none now; else takes it.
    fn wait(&self, rate: Rate, owner: Owner, at: Instant) -> Option<Duration> {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let (now, interval) = (nanos(at.saturating_duration_since(self.start)), nanos(rate.interval()));
        let burst = nanos(BURST).max(interval);
        let set = &self.sets[self.hasher.hash_one(owner) as usize % self.sets.len()];
        let mut set = set.lock().unwrap_or_else(PoisonError::into_inner);
        let place = match set.iter().position(|bucket| bucket.owner == owner) {
            Some(place) => place,
            None => {
                let fullest = (0..PLACES).min_by_key(|place| set[*place].full_at).unwrap_or_default();
                set[fullest] = Bucket { owner, full_at: 0 };
                fullest
            }
        };
        let bucket = &mut set[place];
        let full_at = bucket.full_at.max(now) + interval;
        if full_at > now + burst {
            return Some(Duration::from_nanos(full_at - now - burst));
        }
        bucket.full_at = full_at;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(text: &str) -> Rate {
        Rate::parse(text).expect("a rate")
    }

    /// How many of `n` requests at this time pass.
    fn passing(buckets: &Buckets, owner: Owner, at: Instant, n: usize) -> usize {
        let rate = buckets.rate.expect("a rate");
        (0..n).filter(|_| buckets.wait(rate, owner, at).is_none()).count()
    }

    #[test]
    fn ten_seconds_worth_at_once_and_then_the_rate() {
        let buckets = Buckets::new(Some(rate("20/s")));
        let start = buckets.start;
        assert_eq!(passing(&buckets, (0, 7), start, 1000), 200);
        assert_eq!(buckets.wait(rate("20/s"), (0, 7), start), Some(Duration::from_millis(50)));
        assert_eq!(passing(&buckets, (0, 8), start, 1), 1, "another's bucket");
        assert_eq!(passing(&buckets, (1, 7), start, 1), 1, "another sort's bucket");
        assert_eq!(passing(&buckets, (0, 7), start + Duration::from_secs(1), 1000), 20);
        assert_eq!(
            passing(&buckets, (0, 7), start + Duration::from_secs(3600), 1000),
            200,
            "never more than full"
        );
    }

    #[test]
    fn a_rate_below_one_in_ten_seconds_lets_one_pass() {
        let buckets = Buckets::new(Some(rate("1/h")));
        assert_eq!(passing(&buckets, (0, 7), buckets.start, 5), 1);
        assert_eq!(buckets.wait(rate("1/h"), (0, 7), buckets.start), Some(Duration::from_secs(3600)));
        assert_eq!(passing(&buckets, (0, 7), buckets.start + Duration::from_secs(3600), 5), 1);
    }

    #[test]
    fn an_empty_bucket_outlasts_a_crowd_of_newcomers() {
        let buckets = Buckets::new(Some(rate("20/s")));
        assert_eq!(passing(&buckets, (0, 7), buckets.start, 1000), 200);
        for other in 0..20 * (SETS * PLACES) as u128 {
            buckets.wait(rate("20/s"), (0, 1000 + other), buckets.start);
        }
        assert_eq!(passing(&buckets, (0, 7), buckets.start, 5), 0);
    }
}
