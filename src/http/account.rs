//! The account of memory: what clients make the process hold, by whom, and how much of it is being worked on.
//!
//! Two things are counted, and each is divided the same way: a part for strangers, a part for callers that the service
//! knows, and a part for the operator, which is mail and the command line over the Unix socket. None takes another's,
//! so whatever strangers do, the known are served, and whatever those do, mail is recorded.
//!
//! - **Waiting for a client**: bodies that are coming, and answers that are going. Among the callers of a part nobody
//!   holds more than is left, as in the buffer of a switch: one alone may have half, and however many hold all they
//!   may, the next one finds room. A small body may take eight times what is left, so that it is let in where others
//!   of the same caller are at their bound.
//! - **At work**: the bytes of large bodies that are being read into values and recorded, which costs a small multiple
//!   of them. Work does not wait for a client, so a request waits for its turn here instead of being refused; whoever
//!   has least at work goes first.
//!
//! What is small is not counted, so that the everyday request takes no lock: `FREE` bytes of each body and answer are
//! bounded by the number of connections, and work on bodies up to `SMALL` by that of handlers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Holder;
use super::connections::lock;
use crate::error::{Error, Result};

/// Of a body or an answer, these bytes are in nobody's share.
pub(super) const FREE: usize = 16 * 1024;

/// A larger body waits for its turn to be worked on.
pub(super) const SMALL: usize = 64 * 1024;

/// How many times what is left a small body may make its caller hold.
const FOR_THE_SMALL: usize = 8;

pub(super) struct Account {
    books: Mutex<Books>,
    /// Told when something was given back while somebody waits for it.
    given_back: Condvar,
    /// What all shares of `waiting` hold, to be looked at without the lock.
    waiting: AtomicUsize,
    /// Below it nobody is near a bound.
    plenty: usize,
}

struct Books {
    waiting: Parts,
    working: Parts,
    queue: Vec<Queued>,
    last_ticket: u64,
    /// For `given_back`: to tell nobody is a system call too.
    n_waiters: usize,
}

struct Parts {
    strangers: Part,
    known: Part,
    operator: Part,
}

#[derive(Default)]
struct Part {
    size: usize,
    /// By all, within their shares.
    held: usize,
    /// By each, also past it: what is past it takes from nobody else.
    by_holder: HashMap<Holder, usize>,
}

/// Who waits for a turn of work.
struct Queued {
    ticket: u64,
    holder: Holder,
    bytes: usize,
}

impl Account {
    /// Of `memory` bytes: a sixteenth may be held for strangers, a quarter for the operator, the rest for the known.
    /// At work are at most a quarter of it for the known, and half as much for each of the others.
    pub fn new(memory: usize) -> Self {
        let (strangers, operator) = (memory / 16, memory / 4);
        Self {
            books: Mutex::new(Books {
                waiting: Parts::new(strangers, memory - strangers - operator, operator),
                working: Parts::new(memory / 8, memory / 4, memory / 8),
                queue: Vec::new(),
                last_ticket: 0,
                n_waiters: 0,
            }),
            given_back: Condvar::new(),
            waiting: AtomicUsize::new(0),
            plenty: strangers / 2,
        }
    }

    /// Bytes that are held for clients now.
    pub fn held(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Whether an answer may be made for this caller: one who does not take those that were made has to do so first.
    pub fn may_answer(&self, holder: &Holder, is_small: bool) -> bool {
        self.held() <= self.plenty || lock(&self.books).waiting.part(holder).has_room(holder, 1, is_small)
    }

    /// The books, once there is room for so many more; `None` when there is none within `wait`.
    fn await_room(&self, holder: &Holder, more: usize, wait: Duration) -> Option<MutexGuard<'_, Books>> {
        let until = Instant::now() + wait;
        let mut books = lock(&self.books);
        loop {
            if books.waiting.part(holder).has_room(holder, more, false) {
                return Some(books);
            }
            books = self.wait(books, until)?;
        }
    }

    /// Until something was given back, or some time has passed; `None` when it is `until`.
    fn wait<'a>(&self, mut books: MutexGuard<'a, Books>, until: Instant) -> Option<MutexGuard<'a, Books>> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        books.n_waiters += 1;
        let waited = self.given_back.wait_timeout(books, left.min(TICK));
        let mut books = waited.unwrap_or_else(PoisonError::into_inner).0;
        books.n_waiters -= 1;
        Some(books)
    }

    /// The turn of a body of so many bytes, when it comes within `wait`.
    pub fn turn(&self, holder: &Holder, bytes: usize, wait: Duration) -> Option<AtWork<'_>> {
        let until = Instant::now() + wait;
        let mut books = lock(&self.books);
        books.last_ticket += 1;
        let ticket = books.last_ticket;
        books.queue.push(Queued { ticket, holder: holder.clone(), bytes });
        while !books.is_next(ticket) {
            match self.wait(books, until) {
                Some(again) => books = again,
                None => {
                    let mut books = lock(&self.books);
                    books.queue.retain(|queued| queued.ticket != ticket);
                    self.tell(&books);
                    return None;
                }
            }
        }
        books.queue.retain(|queued| queued.ticket != ticket);
        books.working.part_mut(holder).take(holder, bytes, bytes);
        self.tell(&books);
        Some(AtWork { account: self, holder: holder.clone(), bytes })
    }

    /// Another may be next, or find room, now.
    fn tell(&self, books: &Books) {
        if books.n_waiters > 0 {
            self.given_back.notify_all();
        }
    }
}

/// How often who waits looks again without being told.
const TICK: Duration = Duration::from_millis(100);

impl Books {
    /// Whether it is this one's turn: of those of its part whose callers take their answers, the one whose caller has
    /// least at work, and there is room.
    fn is_next(&self, ticket: u64) -> bool {
        let Some(ours) = self.queue.iter().find(|queued| queued.ticket == ticket) else { return false };
        let part = self.working.part(&ours.holder);
        let of_part =
            self.queue.iter().filter(|queued| std::ptr::eq(self.working.part(&queued.holder), part));
        let able =
            of_part.filter(|queued| self.waiting.part(&queued.holder).has_room(&queued.holder, 1, true));
        let next = able.min_by_key(|queued| (part.of(&queued.holder), queued.ticket));
        next.is_some_and(|next| next.ticket == ticket)
            && (part.held == 0 || part.held + ours.bytes <= part.size)
    }
}

impl Parts {
    fn new(strangers: usize, known: usize, operator: usize) -> Self {
        let of_size = |size| Part { size, ..Part::default() };
        Self { strangers: of_size(strangers), known: of_size(known), operator: of_size(operator) }
    }

    fn part(&self, holder: &Holder) -> &Part {
        match holder {
            Holder::Stranger(_) => &self.strangers,
            Holder::Known(_) => &self.known,
            Holder::Operator => &self.operator,
        }
    }

    fn part_mut(&mut self, holder: &Holder) -> &mut Part {
        match holder {
            Holder::Stranger(_) => &mut self.strangers,
            Holder::Known(_) => &mut self.known,
            Holder::Operator => &mut self.operator,
        }
    }
}

impl Part {
    fn of(&self, holder: &Holder) -> usize {
        self.by_holder.get(holder).copied().unwrap_or_default()
    }

    /// Whether this holder may have so many more.
    fn has_room(&self, holder: &Holder, more: usize, is_small: bool) -> bool {
        let Some(left) = self.held.checked_add(more).and_then(|held| self.size.checked_sub(held)) else {
            return false;
        };
        match holder {
            // There is one.
            Holder::Operator => true,
            _ if is_small => self.of(holder).saturating_add(more) <= left.saturating_mul(FOR_THE_SMALL),
            _ => self.of(holder).saturating_add(more) <= left,
        }
    }

    /// How many more are within this holder's share.
    fn room(&self, holder: &Holder) -> usize {
        let left = self.size.saturating_sub(self.held);
        match holder {
            Holder::Operator => left,
            _ => left.saturating_sub(self.of(holder)) / 2,
        }
    }

    /// `within` of the `bytes` are within the share.
    fn take(&mut self, holder: &Holder, bytes: usize, within: usize) {
        self.held += within;
        match self.by_holder.get_mut(holder) {
            Some(held) => *held += bytes,
            None => drop(self.by_holder.insert(holder.clone(), bytes)),
        }
    }

    fn give_back(&mut self, holder: &Holder, bytes: usize, within: usize) {
        self.held = self.held.saturating_sub(within);
        let left = self.of(holder).saturating_sub(bytes);
        if left == 0 {
            self.by_holder.remove(holder);
        } else if let Some(held) = self.by_holder.get_mut(holder) {
            *held = left;
        }
    }
}

fn no_room() -> Error {
    let message = "too much is being sent or left unread at the same time".to_owned();
    Error::Unavailable { retry_after: 5, message }
}

/// What one request holds of its caller's share, given back when it is dropped.
pub(super) struct Held<'a> {
    account: &'a Account,
    holder: &'a Holder,
    /// All of it, counted or not.
    bytes: usize,
    counted: usize,
    /// Of those, within the share.
    within: usize,
}

impl<'a> Held<'a> {
    pub fn nothing(account: &'a Account, holder: &'a Holder) -> Self {
        Self { account, holder, bytes: 0, counted: 0, within: 0 }
    }

    /// Room for a large body of this length, before any of it is read: one that has begun must not meet another half of
    /// the way. Waits for it no longer than `wait`.
    ///
    /// # Errors
    /// `Unavailable` when there is none.
    pub fn reserve(&mut self, length: usize, wait: Duration) -> Result<()> {
        let wanted = length.saturating_sub(FREE);
        let mut books = self.account.await_room(self.holder, wanted, wait).ok_or_else(no_room)?;
        self.take(books.waiting.part_mut(self.holder), wanted, wanted);
        Ok(())
    }

    /// A body grew by so many bytes.
    ///
    /// # Errors
    /// `Unavailable` when there is no room for them; nothing was taken then.
    pub fn grow(&mut self, more: usize) -> Result<()> {
        let bytes = self.bytes.saturating_add(more);
        let wanted = bytes.saturating_sub(FREE).saturating_sub(self.counted);
        if wanted > 0 {
            let mut books = lock(&self.account.books);
            let part = books.waiting.part_mut(self.holder);
            if !part.has_room(self.holder, wanted, bytes <= SMALL) {
                return Err(no_room());
            }
            self.take(part, wanted, wanted);
        }
        self.bytes = bytes;
        Ok(())
    }

    /// An answer of so many bytes is there, in place of what was held. It is never refused: what it tells has been
    /// done.
    pub fn become_answer(&mut self, bytes: usize) {
        self.give_back();
        self.bytes = bytes;
        let wanted = bytes.saturating_sub(FREE);
        if wanted > 0 {
            let mut books = lock(&self.account.books);
            let part = books.waiting.part_mut(self.holder);
            let within = wanted.min(part.room(self.holder));
            self.take(part, wanted, within);
        }
    }

    /// `Account::may_answer`, for something large.
    pub fn has_room(&self) -> bool {
        self.account.may_answer(self.holder, false)
    }

    /// Waits until there is, but no longer than `wait`.
    pub fn await_room(&self, wait: Duration) -> bool {
        self.has_room() || self.account.await_room(self.holder, 1, wait).is_some()
    }

    /// Nothing is held any more.
    pub fn give_back(&mut self) {
        if self.counted > 0 {
            let mut books = lock(&self.account.books);
            books.waiting.part_mut(self.holder).give_back(self.holder, self.counted, self.within);
            self.account.tell(&books);
            self.account.waiting.fetch_sub(self.counted, Ordering::Relaxed);
        }
        (self.bytes, self.counted, self.within) = (0, 0, 0);
    }

    fn take(&mut self, part: &mut Part, bytes: usize, within: usize) {
        part.take(self.holder, bytes, within);
        self.account.waiting.fetch_add(bytes, Ordering::Relaxed);
        self.counted += bytes;
        self.within += within;
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// A large body that is being worked on; its turn ends when this is dropped.
pub(super) struct AtWork<'a> {
    account: &'a Account,
    holder: Holder,
    bytes: usize,
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        let mut books = lock(&self.account.books);
        books.working.part_mut(&self.holder).give_back(&self.holder, self.bytes, self.bytes);
        self.account.tell(&books);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    fn known(name: &str) -> Holder {
        Holder::Known(name.to_owned())
    }

    /// As many bodies of `bytes` as find room.
    fn fill<'a>(account: &'a Account, holder: &'a Holder, bytes: usize) -> Vec<Held<'a>> {
        let mut all = Vec::new();
        loop {
            let mut held = Held::nothing(account, holder);
            if held.grow(bytes).is_err() {
                return all;
            }
            all.push(held);
        }
    }

    #[test]
    fn whoever_holds_all_they_may_leaves_room_for_the_next() {
        let account = Account::new(128 * MIB);
        let strangers: Vec<_> =
            (0..100).map(|last| Holder::Stranger(Some([192, 0, 2, last].into()))).collect();
        let all_strangers: Vec<_> =
            strangers.iter().map(|stranger| fill(&account, stranger, 4 * 1024 * 10)).collect();
        assert!(all_strangers[0].len() > all_strangers[1].len());
        let callers: Vec<_> = (0..6).map(|n| known(&n.to_string())).collect();
        let all: Vec<_> = callers.iter().map(|caller| fill(&account, caller, MIB)).collect();
        assert_eq!(all.iter().map(Vec::len).collect::<Vec<_>>(), [44, 22, 11, 6, 3, 1]);
        assert!(!fill(&account, &known("newcomer"), 32 * 1024).is_empty());
        assert_eq!(fill(&account, &Holder::Operator, MIB).len(), 32);
        let alone = Account::new(128 * MIB);
        let large = fill(&alone, &callers[0], MIB);
        assert!(
            fill(&alone, &callers[0], 32 * 1024).len() > 100,
            "small ones are let in beside {}",
            large.len()
        );
        assert!(account.held() <= 128 * MIB);
        drop((all, all_strangers));
        assert_eq!(account.held(), 0);
        assert!(lock(&account.books).waiting.known.by_holder.is_empty(), "nobody is remembered");
    }

    #[test]
    fn what_is_small_is_not_counted_and_what_is_given_back_is_there_again() {
        let account = Account::new(MIB);
        let caller = known("a");
        let mut held = Held::nothing(&account, &caller);
        held.grow(FREE).expect("room");
        assert_eq!(account.held(), 0);
        held.grow(100).expect("room");
        assert_eq!(account.held(), 100);
        assert!(held.grow(MIB).is_err());
        assert_eq!(account.held(), 100, "a refusal takes nothing");
        held.become_answer(2 * MIB);
        assert_eq!(account.held(), 2 * MIB - FREE, "an answer is there, whatever the bounds");
        assert!(!account.may_answer(&caller, false));
        let other = known("b");
        assert!(account.may_answer(&other, false), "it takes from nobody else");
        assert!(Held::nothing(&account, &other).grow(100 * 1024).is_ok());
        assert!(account.may_answer(&Holder::Operator, false));
        held.give_back();
        assert_eq!(account.held(), 0);
        assert!(account.may_answer(&caller, false));
    }

    #[test]
    fn the_turn_is_that_of_whoever_has_least_at_work() {
        let account = Account::new(64 * MIB);
        let (greedy, other) = (known("greedy"), known("other"));
        let now = Duration::ZERO;
        let first = account.turn(&greedy, 10 * MIB, now).expect("a turn");
        assert!(account.turn(&greedy, 10 * MIB, now).is_none(), "16 MiB are for the known");
        assert!(account.turn(&Holder::Operator, 8 * MIB, now).is_some());
        let account = &account;
        std::thread::scope(|scope| {
            let patience = Duration::from_secs(20);
            let (done, order) = std::sync::mpsc::channel();
            let mut waiting = 0;
            let mut queue = |holder: &Holder, name: &'static str| {
                let (done, holder) = (done.clone(), holder.clone());
                scope.spawn(move || {
                    let turn = account.turn(&holder, 10 * MIB, patience);
                    assert!(turn.is_some());
                    let _ = done.send(name);
                });
                waiting += 1;
                while lock(&account.books).queue.len() < waiting {
                    std::thread::yield_now();
                }
            };
            let small = account.turn(&greedy, MIB, now).expect("a turn");
            queue(&greedy, "greedy");
            queue(&other, "other");
            drop(first);
            assert_eq!(order.recv(), Ok("other"), "it came later and has nothing at work");
            drop(small);
            assert_eq!(order.recv(), Ok("greedy"));
        });
        assert_eq!(lock(&account.books).working.known.held, 0);
        // Larger than the whole part: alone.
        assert!(account.turn(&greedy, 100 * MIB, now).is_some());
    }
}
