//! Policies ready to match: their content guards compiled, and as many of them kept as a stated number of bytes holds.
//!
//! A pattern of a few characters may take a megabyte compiled, so each guard has a bound (`matching`), all guards of a
//! policy have one, and so has what is kept of all policies: past that the one that was used longest ago goes. All guards
//! together spend a bounded number of steps on a message.
//!
//! To compile is work, too, and takes more memory than what comes of it. So one policy is compiled at a time, and one more
//! is checked before it is put. Large policies are kept apart and compiled apart. Some of them may drive each other out:
//! then mail to their mailboxes waits, up to a stated number of messages. It drives no small policy out, and leaves turns
//! for the mail to others.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use regex::{Captures, Regex};

use super::matching::{self, Pattern, Spent, Steps};
use super::policy::{ContentGuard, Policy};
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::json;
use crate::line::Line;
use crate::owners::mailboxes;
use crate::store::Snapshot;

/// Bytes of all compiled patterns of a policy.
pub const LARGEST_POLICY: usize = 8 << 20;
/// Classes of characters in all patterns of a policy, as `matching::classes` counts them.
const MOST_CLASSES: usize = 4_000;
/// Bytes of the patterns of a policy past which it is a large one: to compile fewer takes some milliseconds.
const LARGE: usize = 1 << 20;
/// Messages at large policies that are compiled, the one at work among them. Two thirds of the turns of mail over the Unix
/// socket are left.
const MOST_WAITING: usize = 16;
/// Bytes of all policies that are kept compiled, of the large ones and of the others each.
const MOST_KEPT: usize = 32 << 20;
/// What a byte of a policy's document may take in memory: a list of one-letter words takes the most.
const DOCUMENT_FACTOR: usize = 16;

/// Whether all guards can be compiled within the bounds of a policy; else which cannot, and why. No more is compiled
/// than up to that one.
pub fn check(guards: &[ContentGuard]) -> std::result::Result<(), (usize, String)> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let mut classes = 0;
    for (at, guard) in guards.iter().enumerate() {
        classes += matching::classes(&guard.reject);
        if classes > MOST_CLASSES {
            let message = "takes the policy's guards past 400 classes of characters such as \\w, \\pL or [^a], of which \\d and \\s count a tenth; make the patterns smaller or fewer";
            return Err((at, message.to_owned()));
        }
    }
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
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
    is_large: bool,
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
        Ok(Self { version, policy, guards, bytes, is_large: taken > LARGE })
    }

    /// The reason of the first content guard that one of the texts runs into, as it is or as it is read; `TOO_COSTLY`
    /// where that cannot be said at a bounded cost.
    pub fn guard_hit(&self, texts: &[String]) -> Result<Option<&str>> {
        let mut steps = Steps::of_a_message();
        let read: Vec<Cow<'_, str>> = texts.iter().map(|text| as_read(text)).collect();
        let read = read.iter().filter(|text| matches!(text, Cow::Owned(_))).map(|text| &**text);
        let texts: Vec<&str> = texts.iter().map(String::as_str).chain(read).collect();
        for (at, guard) in self.policy.content_guards.iter().enumerate() {
            let compiled;
            let pattern = match self.guards.get(at) {
                Some(pattern) => pattern,
                None => {
                    compiled = Pattern::compile(&guard.reject).map_err(Error::Internal)?;
                    &compiled
                }
            };
            for text in &texts {
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

/// A text as it is read, for who wraps lines hides no words, and what cannot be seen hides none either: a run of blanks
/// and line ends is one blank, and characters that are not shown (Unicode's `Default_Ignorable_Code_Point`) are gone.
fn as_read(text: &str) -> Cow<'_, str> {
    /// All but a single blank, which stays as it is.
    static UNSEEN: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(
            r" ?[[\s\p{Default_Ignorable_Code_Point}]--[ ]][\s\p{Default_Ignorable_Code_Point}]*| {2,}",
        )
        .expect("a pattern of ours")
    });
    UNSEEN.replace_all(text, |run: &Captures<'_>| if run[0].contains(char::is_whitespace) { " " } else { "" })
}

/// The reason where guards would have to be run for too long over a text.
pub const TOO_COSTLY: &str = "guards_too_costly";

/// Policies that were used lately, by mailbox.
#[derive(Default)]
pub struct Kept {
    policies: Mutex<Policies>,
    compiling: Mutex<()>,
    compiling_large: Mutex<()>,
    waiting_for_large: Line,
}

#[derive(Default)]
struct Policies {
    by_mailbox: HashMap<i64, (Arc<Compiled>, u64)>,
    bytes: usize,
    bytes_of_large: usize,
    /// Versions that turned out to be large, by mailbox, also where they are not kept.
    large: HashMap<i64, i64>,
    /// How often one was used so far: what was used at a lower number was used longer ago.
    n_uses: u64,
}

impl Kept {
    fn lock(&self) -> MutexGuard<'_, Policies> {
        self.policies.lock().unwrap_or_else(PoisonError::into_inner)
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
        let is_large = compiled.is_large;
        if is_large {
            policies.large.insert(mailbox, compiled.version);
        }
        if compiled.bytes > MOST_KEPT {
            return;
        }
        *policies.bytes_of(is_large) += compiled.bytes;
        policies.by_mailbox.insert(mailbox, (compiled, now));
        while *policies.bytes_of(is_large) > MOST_KEPT {
            let alike = policies.by_mailbox.iter().filter(|(_, (compiled, _))| compiled.is_large == is_large);
            let oldest = alike.min_by_key(|(_, (_, used))| *used).map(|(id, _)| *id);
            let Some(oldest) = oldest else { break };
            policies.leave(oldest);
        }
    }

    /// Of a mailbox that was deleted.
    pub fn forget(&self, mailbox: i64) {
        self.lock().forget(mailbox);
    }

    fn is_large(&self, mailbox: i64, version: i64) -> bool {
        self.lock().large.get(&mailbox) == Some(&version)
    }

    /// Compiles behind others of the same kind. One that is not known yet goes with the small ones, once.
    ///
    /// # Errors
    /// Those of `compile`; `Unavailable` where too many wait for large ones.
    fn in_turn<T>(&self, mailbox: i64, version: i64, compile: impl FnOnce() -> Result<T>) -> Result<T> {
        if !self.is_large(mailbox, version) {
            let _turn = self.compiling.lock().unwrap_or_else(PoisonError::into_inner);
            if !self.is_large(mailbox, version) {
                return compile();
            }
        }
        let Some(_place) = self.waiting_for_large.place(MOST_WAITING) else {
            let message = "too many messages wait for large policies to be compiled";
            return Err(Error::Unavailable { retry_after: 1, message: message.to_owned() });
        };
        let _turn = self.compiling_large.lock().unwrap_or_else(PoisonError::into_inner);
        compile()
    }
}

impl Policies {
    fn bytes_of(&mut self, is_large: bool) -> &mut usize {
        if is_large { &mut self.bytes_of_large } else { &mut self.bytes }
    }

    fn forget(&mut self, mailbox: i64) {
        self.leave(mailbox);
        self.large.remove(&mailbox);
    }

    /// It is kept no longer.
    fn leave(&mut self, mailbox: i64) {
        if let Some((compiled, _)) = self.by_mailbox.remove(&mailbox) {
            *self.bytes_of(compiled.is_large) -= compiled.bytes;
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
    /// Compiled once for each version as long as it is kept. It may take a third of a second: not while a snapshot is
    /// held, since those who read have few.
    ///
    /// # Errors
    /// `Unavailable` where it is a large one, and too many wait for such.
    pub fn ready(self, app: &App, mailbox: i64) -> Result<Arc<Compiled>> {
        let (version, document) = match self {
            Self::Ready(compiled) => return Ok(compiled),
            Self::Stored(version, document) => (version, document),
        };
        let broken =
            |error: String| Error::Internal(format!("the stored policy of mailbox {mailbox}: {error}"));
        app.policies.in_turn(mailbox, version, || {
            // By another who went before.
            if let Some(kept) = app.policies.get(mailbox, version) {
                return Ok(kept);
            }
            let (policy, _) = Policy::read_stored(json::parse_stored(document.as_bytes())?)
                .map_err(|error| broken(error.to_string()))?;
            let compiled = Arc::new(Compiled::new(version, policy, document.len()).map_err(broken)?);
            app.policies.put(mailbox, Arc::clone(&compiled));
            Ok(compiled)
        })
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
    fn a_class_of_characters_is_charged_before_it_is_made() {
        let n_of = |pattern: &str, n: usize| guards(&pattern.repeat(n), 1);
        for dear in ["\\W", "\\w", "\\pL", "[^a]", "\\w{0}", "[\\w]", "\\D"] {
            assert_eq!(check(&n_of(&format!("{dear}{{0}}"), 400)), Ok(()), "{dear}");
            let (at, why) = check(&n_of(&format!("(?i){dear}{{0}}"), 401)).unwrap_err();
            assert!(at == 0 && why.contains("past 400 classes"), "{dear}: {why}");
        }
        assert!(check(&n_of("[\\PL~~\\w]{0}", 200)).is_err(), "two classes, and what combines them");
        assert_eq!(check(&n_of("\\d\\s", 100)), Ok(()));
        let (at, _) = check(&guards(&"\\w{0}".repeat(9), 50)).unwrap_err();
        assert_eq!(at, 44, "all guards of a policy are charged together");
    }

    #[test]
    fn large_policies_drive_out_each_other_and_no_small_one() {
        let kept = Kept::default();
        let small = Arc::new(Compiled::new(1, policy(guards("wire", 50)), 1000).unwrap());
        let large = Arc::new(Compiled::new(1, policy(guards("\\pL{19}", 28)), 1000).unwrap());
        assert!(!small.is_large && large.is_large);
        kept.put(1, small);
        for mailbox in 2..=9 {
            kept.put(mailbox, Arc::clone(&large));
        }
        assert!(kept.get(1, 1).is_some() && kept.get(9, 1).is_some() && kept.get(2, 1).is_none());
        {
            let policies = kept.lock();
            let bytes: usize = policies.by_mailbox.values().map(|(compiled, _)| compiled.bytes).sum();
            assert_eq!(bytes, policies.bytes + policies.bytes_of_large);
        }
        // Mail to the large ones waits, however much of it; mail to the others does not.
        let waiting: Vec<_> = (0..MOST_WAITING).map(|_| kept.waiting_for_large.place(MOST_WAITING)).collect();
        assert!(matches!(kept.in_turn(2, 1, || Ok(())), Err(Error::Unavailable { .. })));
        assert!(kept.in_turn(1, 1, || Ok(())).is_ok());
        assert!(kept.in_turn(2, 2, || Ok(())).is_ok(), "another version, of which nothing is known");
        drop(waiting);
        assert!(kept.in_turn(2, 1, || Ok(())).is_ok());
    }

    #[test]
    fn one_large_policy_is_compiled_at_a_time_and_a_stated_number_waits() {
        let kept = Kept::default();
        kept.put(1, Arc::new(Compiled::new(1, policy(guards("\\pL{19}", 28)), 1000).unwrap()));
        let inside = Mutex::new(());
        std::thread::scope(|scope| {
            let compile = || {
                kept.in_turn(1, 1, || {
                    let alone = inside.try_lock();
                    std::thread::yield_now();
                    Ok(alone.is_ok())
                })
            };
            let waiting: Vec<_> = (0..MOST_WAITING).map(|_| scope.spawn(compile)).collect();
            for one in waiting {
                assert!(one.join().expect("no panic").expect("a turn"), "one inside at a time");
            }
        });
        let _all: Vec<_> = (0..MOST_WAITING).map(|_| kept.waiting_for_large.place(MOST_WAITING)).collect();
        let refused = kept.in_turn(1, 1, || Ok(()));
        assert!(matches!(refused, Err(Error::Unavailable { retry_after: 1, .. })));
    }

    #[test]
    fn what_is_read_as_one_phrase_is_one() {
        for (text, expected) in [
            ("wire the money", "wire the money"),
            ("wire\r\nthe\t money", "wire the money"),
            ("wire  the\u{a0}money", "wire the money"),
            ("wi\u{200b}re\u{ad} \u{200e}the mo\u{34f}\u{2061}ney", "wire the money"),
            ("\u{2002}wire \u{feff} the", " wire the"),
        ] {
            let read = as_read(text);
            assert_eq!(read, expected, "{text:?}");
            assert_eq!(matches!(read, Cow::Borrowed(_)), text == expected);
        }
        let compiled = Compiled::new(1, policy(guards("the money", 1)), 100).unwrap();
        assert_eq!(compiled.guard_hit(&["the\nmoney".to_owned()]).unwrap(), Some("guard 0"));
        let lines = Compiled::new(1, policy(guards("(?m)^x$", 1)), 100).unwrap();
        assert_eq!(lines.guard_hit(&["a\nx\nb".to_owned()]).unwrap(), Some("guard 0"), "also as it is");
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
