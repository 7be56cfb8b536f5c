//! Policies ready to match: their content guards compiled, and as many of them kept as a stated number of bytes holds.
//!
//! A pattern of a few characters may take a megabyte compiled, so each guard has a bound (`matching`), all guards of a
//! policy have one, and so has what is kept of all policies: past that the one that was used longest ago goes. All guards
//! together spend a bounded number of steps on a message.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::matching::{Pattern, Spent, Steps};
use super::policy::{ContentGuard, Policy};
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::json;
use crate::owners::mailboxes;
use crate::store::Snapshot;

/// Bytes of all compiled patterns of a policy.
pub const LARGEST_POLICY: usize = 8 << 20;
/// Bytes of all policies that are kept compiled.
const MOST_KEPT: usize = 64 << 20;
/// What a byte of a policy's document may take in memory: a list of one-letter words takes the most.
const DOCUMENT_FACTOR: usize = 16;

/// Whether all guards can be compiled within the bounds of a policy; else which cannot, and why. No more is compiled
/// than up to that one.
pub fn check(guards: &[ContentGuard]) -> std::result::Result<(), (usize, String)> {
    let mut taken = 0;
    for (at, guard) in guards.iter().enumerate() {
        taken += Pattern::compile(&guard.reject).map_err(|why| (at, why))?.size();
        if taken > LARGEST_POLICY {
            let message = format!(
                "takes the policy's guards past {LARGEST_POLICY} bytes once compiled; make the patterns smaller or fewer"
            );
            return Err((at, message));
        }
    }
    Ok(())
}

/// A policy ready to match.
pub struct Compiled {
    pub version: i64,
    pub policy: Policy,
    /// Of the content guards, from the first on, as many as a policy's bound allows. A policy of before that bound may
    /// have more: the others are compiled for each text.
    guards: Vec<Pattern>,
    bytes: usize,
}

impl Compiled {
    fn new(version: i64, policy: Policy, document_bytes: usize) -> std::result::Result<Self, String> {
        let mut guards = Vec::with_capacity(policy.content_guards.len());
        let mut taken = 0;
        for guard in &policy.content_guards {
            let pattern = Pattern::compile(&guard.reject)?;
            taken += pattern.size();
            if taken > LARGEST_POLICY {
                break;
            }
            guards.push(pattern);
        }
        let bytes = taken.min(LARGEST_POLICY) + DOCUMENT_FACTOR * document_bytes;
        Ok(Self { version, policy, guards, bytes })
    }

    /// The reason of the first content guard that one of the texts runs into; `TOO_COSTLY` where that cannot be said at
    /// a bounded cost.
    pub fn guard_hit(&self, texts: &[String]) -> Result<Option<&str>> {
        let mut steps = Steps::of_a_message();
        for (at, guard) in self.policy.content_guards.iter().enumerate() {
            let compiled;
            let pattern = match self.guards.get(at) {
                Some(pattern) => pattern,
                None => {
                    compiled = Pattern::compile(&guard.reject).map_err(Error::Internal)?;
                    &compiled
                }
            };
            for text in texts {
                match pattern.is_in(text, &mut steps) {
                    Ok(false) => {}
                    Ok(true) => return Ok(Some(&guard.reason)),
                    Err(Spent) => return Ok(Some(TOO_COSTLY)),
                }
            }
        }
        Ok(None)
    }
}

/// The reason where guards would have to be run for too long over a text.
pub const TOO_COSTLY: &str = "guards_too_costly";

/// Policies that were used lately, by mailbox.
#[derive(Default)]
pub struct Kept(Mutex<Policies>);

#[derive(Default)]
struct Policies {
    by_mailbox: HashMap<i64, (Arc<Compiled>, u64)>,
    bytes: usize,
    /// How often one was used so far: what was used at a lower number was used longer ago.
    n_uses: u64,
}

impl Kept {
    fn lock(&self) -> MutexGuard<'_, Policies> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, mailbox: i64, version: i64) -> Option<Arc<Compiled>> {
        let mut policies = self.lock();
        policies.n_uses += 1;
        let now = policies.n_uses;
        let (compiled, used) = policies.by_mailbox.get_mut(&mailbox)?;
        *used = now;
        (compiled.version == version).then(|| Arc::clone(compiled))
    }

    fn put(&self, mailbox: i64, compiled: Arc<Compiled>) {
        let mut policies = self.lock();
        policies.n_uses += 1;
        let now = policies.n_uses;
        policies.forget(mailbox);
        if compiled.bytes > MOST_KEPT {
            return;
        }
        policies.bytes += compiled.bytes;
        policies.by_mailbox.insert(mailbox, (compiled, now));
        while policies.bytes > MOST_KEPT {
            let oldest = policies.by_mailbox.iter().min_by_key(|(_, (_, used))| *used).map(|(id, _)| *id);
            let Some(oldest) = oldest else { break };
            policies.forget(oldest);
        }
    }

    /// Of a mailbox that was deleted.
    pub fn forget(&self, mailbox: i64) {
        self.lock().forget(mailbox);
    }
}

impl Policies {
    fn forget(&mut self, mailbox: i64) {
        if let Some((compiled, _)) = self.by_mailbox.remove(&mailbox) {
            self.bytes -= compiled.bytes;
        }
    }
}

/// A policy as it is found.
pub enum Found {
    Ready(Arc<Compiled>),
    /// With its version and its document.
    Stored(i64, String),
}

/// The policy in force; `None` when none was ever put.
pub fn find(app: &App, snapshot: &Snapshot<'_>, mailbox: i64, version: i64) -> Result<Option<Found>> {
    if let Some(kept) = app.policies.get(mailbox, version) {
        return Ok(Some(Found::Ready(kept)));
    }
    Ok(mailboxes::policy(snapshot, mailbox)?.map(|(version, document)| Found::Stored(version, document)))
}

impl Found {
    /// Compiled once for each version as long as it is kept. It may take a second: not while a snapshot is held, since
    /// those who read have few.
    pub fn ready(self, app: &App, mailbox: i64) -> Result<Arc<Compiled>> {
        let (version, document) = match self {
            Self::Ready(compiled) => return Ok(compiled),
            Self::Stored(version, document) => (version, document),
        };
        let broken =
            |error: String| Error::Internal(format!("the stored policy of mailbox {mailbox}: {error}"));
        let (policy, _) = Policy::read_stored(json::parse_stored(document.as_bytes())?)
            .map_err(|error| broken(error.to_string()))?;
        let compiled = Arc::new(Compiled::new(version, policy, document.len()).map_err(broken)?);
        app.policies.put(mailbox, Arc::clone(&compiled));
        Ok(compiled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guards(pattern: &str, n: usize) -> Vec<ContentGuard> {
        let guard = |at| ContentGuard { reject: format!("(?:{pattern}|x{at})"), reason: at_reason(at) };
        (0..n).map(guard).collect()
    }

    fn at_reason(at: usize) -> String {
        format!("guard {at}")
    }

    fn policy(content_guards: Vec<ContentGuard>) -> Policy {
        Policy { drops: false, senders: vec![], content_guards, retention_days: 1, include_body_hash: false }
    }

    #[test]
    fn the_guards_of_a_policy_have_one_bound_together() {
        assert_eq!(check(&guards("\\bwire the money\\b", 50)), Ok(()));
        let (at, why) = check(&guards("\\pL{40}", 50)).unwrap_err();
        assert!((2..20).contains(&at) && why.contains("past 8388608 bytes"), "{at}: {why}");
    }

    #[test]
    fn a_policy_of_before_the_bound_is_held_to_it_and_matches_as_before() {
        let compiled = Compiled::new(1, policy(guards("\\pL{40}", 50)), 100).unwrap();
        assert!(compiled.guards.len() < 20 && compiled.bytes <= LARGEST_POLICY + DOCUMENT_FACTOR * 100);
        for (text, hit) in [("x0", Some("guard 0")), ("-x49", Some("guard 4")), ("x-50", None)] {
            assert_eq!(compiled.guard_hit(&["-".to_owned(), text.to_owned()]).unwrap(), hit, "{text}");
        }
    }

    #[test]
    fn what_is_kept_stays_within_its_bound_and_the_latest_used_stay() {
        let kept = Kept::default();
        let large =
            |version| Arc::new(Compiled::new(version, policy(vec![]), (5 << 20) / DOCUMENT_FACTOR).unwrap());
        for mailbox in 1..=100 {
            kept.put(mailbox, large(1));
            assert!(kept.get(1, 1).is_some(), "{mailbox}");
            let policies = kept.lock();
            let held: usize = policies.by_mailbox.values().map(|(compiled, _)| compiled.bytes).sum();
            assert!(held == policies.bytes && held <= MOST_KEPT, "{held}");
        }
        assert!(kept.get(100, 1).is_some() && kept.get(99, 1).is_some() && kept.get(2, 1).is_none());
        assert!(kept.get(100, 2).is_none(), "another version is another policy");
        kept.put(100, large(2));
        assert!(kept.get(100, 2).is_some());
        let before = kept.lock().bytes;
        kept.forget(100);
        assert!(kept.get(100, 2).is_none());
        assert_eq!(kept.lock().bytes, before - (5 << 20));
        // One that is larger than all may be is made anew each time.
        kept.put(1, Arc::new(Compiled::new(3, policy(vec![]), MOST_KEPT).unwrap()));
        assert!(kept.get(1, 3).is_none() && kept.lock().bytes <= MOST_KEPT);
    }
}
