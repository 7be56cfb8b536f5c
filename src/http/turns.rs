//! Who is answered next: the turns of handlers.
//!
//! The turns are divided as the memory is (`account`): a part for strangers, a part for callers that the service knows,
//! a part for the operator and the mail over the Unix socket. None takes another's. Within a part nobody has more turns
//! than are left to the others: one caller alone may have half, and however many have all they may, the next one finds
//! a turn. So a caller whose requests take long, or wait for something, is in nobody's way but their own.
//!
//! Whoever finds no turn waits for one, in a queue for each caller; what is given back goes to whoever has least at
//! work. Only the one who is next is woken.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::Holder;
use super::connections::lock;

pub(super) struct Turns(Mutex<Parts>);

struct Parts {
    strangers: Part,
    known: Part,
    operator: Part,
    last_ticket: u64,
}

struct Part {
    size: usize,
    n_at_work: usize,
    /// Who is at work or waits.
    callers: HashMap<Holder, Share>,
}

#[derive(Default)]
struct Share {
    at_work: usize,
    queue: VecDeque<Waiting>,
}

struct Waiting {
    ticket: u64,
    called: Arc<Condvar>,
}

impl Turns {
    /// Of `n` turns an eighth is for strangers, a quarter for the operator, the rest for the known; one for each at
    /// least.
    pub fn new(n: usize) -> Self {
        let (strangers, operator) = (n / 8, n / 4);
        let part = |size: usize| Part { size: size.max(1), n_at_work: 0, callers: HashMap::new() };
        Self(Mutex::new(Parts {
            strangers: part(strangers),
            known: part(n - strangers - operator),
            operator: part(operator),
            last_ticket: 0,
        }))
    }

    /// `None` when none came within `wait`.
    pub fn enter<'a>(&'a self, holder: &'a Holder, wait: Duration) -> Option<Turn<'a>> {
        let mut parts = lock(&self.0);
        let part = parts.of(holder);
        if part.may_take(holder) {
            part.take(holder);
            return Some(Turn { turns: self, holder });
        }
        if wait.is_zero() {
            return None;
        }
        parts.last_ticket += 1;
        let (ticket, called) = (parts.last_ticket, Arc::new(Condvar::new()));
        let waiting = Waiting { ticket, called: Arc::clone(&called) };
        parts.of(holder).callers.entry(holder.clone()).or_default().queue.push_back(waiting);
        let waited = called.wait_timeout_while(parts, wait, |parts| parts.of(holder).waits(holder, ticket));
        let mut parts = waited.unwrap_or_else(PoisonError::into_inner).0;
        let part = parts.of(holder);
        if part.waits(holder, ticket) {
            part.leave(holder, |share| share.queue.retain(|waiting| waiting.ticket != ticket));
            return None;
        }
        Some(Turn { turns: self, holder })
    }
}

impl Parts {
    fn of(&mut self, holder: &Holder) -> &mut Part {
        match holder {
            Holder::Stranger(_) => &mut self.strangers,
            Holder::Known(_) => &mut self.known,
            Holder::Operator => &mut self.operator,
        }
    }
}

impl Part {
    fn at_work(&self, holder: &Holder) -> usize {
        self.callers.get(holder).map_or(0, |share| share.at_work)
    }

    fn may_take(&self, holder: &Holder) -> bool {
        let left = self.size - self.n_at_work;
        match holder {
            // There is one.
            Holder::Operator => left > 0,
            _ => self.at_work(holder) < left,
        }
    }

    fn take(&mut self, holder: &Holder) {
        self.n_at_work += 1;
        match self.callers.get_mut(holder) {
            Some(share) => share.at_work += 1,
            None => drop(self.callers.insert(holder.clone(), Share { at_work: 1, ..Share::default() })),
        }
    }

    fn waits(&self, holder: &Holder, ticket: u64) -> bool {
        let queue = self.callers.get(holder).map(|share| &share.queue);
        queue.is_some_and(|queue| queue.iter().any(|waiting| waiting.ticket == ticket))
    }

    /// Nobody is remembered who has no turn and waits for none.
    fn leave(&mut self, holder: &Holder, change: impl FnOnce(&mut Share)) {
        if let Some(share) = self.callers.get_mut(holder) {
            change(share);
            if share.at_work == 0 && share.queue.is_empty() {
                self.callers.remove(holder);
            }
        }
    }

    /// Takes turns for those who are next, and calls them.
    fn call(&mut self) {
        loop {
            let first = |share: &Share| share.queue.front().map(|waiting| (share.at_work, waiting.ticket));
            let waiting = self.callers.iter().filter_map(|(holder, share)| Some((first(share)?, holder)));
            let Some((_, next)) = waiting.min_by_key(|(order, _)| *order) else { return };
            if !self.may_take(next) {
                return;
            }
            let next = next.clone();
            self.take(&next);
            let called = self.callers.get_mut(&next).and_then(|share| share.queue.pop_front());
            if let Some(waiting) = called {
                waiting.called.notify_one();
            }
        }
    }
}

/// A turn, until it is dropped.
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    holder: &'a Holder,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut parts = lock(&self.turns.0);
        let part = parts.of(self.holder);
        part.n_at_work -= 1;
        part.leave(self.holder, |share| share.at_work -= 1);
        part.call();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(name: &str) -> Holder {
        Holder::Known(name.to_owned())
    }

    /// As many turns as there are at once.
    fn all<'a>(turns: &'a Turns, holder: &'a Holder) -> Vec<Turn<'a>> {
        std::iter::from_fn(|| turns.enter(holder, Duration::ZERO)).collect()
    }

    #[test]
    fn whoever_has_all_they_may_leaves_a_turn_for_the_next() {
        let turns = Turns::new(192);
        let callers: Vec<_> = (0..12).map(|n| known(&n.to_string())).collect();
        let taken: Vec<_> = callers.iter().map(|caller| all(&turns, caller)).collect();
        assert_eq!(taken.iter().map(Vec::len).collect::<Vec<_>>(), [60, 30, 15, 8, 4, 2, 1, 0, 0, 0, 0, 0]);
        let many = Turns::new(192);
        let mut fair: Vec<_> = Vec::new();
        for _ in 0..100 {
            fair.extend(callers.iter().filter_map(|caller| many.enter(caller, Duration::ZERO)));
        }
        assert_eq!(fair.len(), 111, "each as many as are left, which are nine");
        assert!(many.enter(&known("newcomer"), Duration::ZERO).is_some());
        let strangers: Vec<_> = (0..2).map(|n| Holder::Stranger(Some([192, 0, 2, n].into()))).collect();
        assert_eq!(strangers.iter().map(|one| all(&many, one).len()).collect::<Vec<_>>(), [12, 12]);
        assert_eq!(all(&many, &Holder::Operator).len(), 48);
        drop((taken, fair));
        assert!(lock(&turns.0).known.callers.is_empty(), "nobody is remembered");
        assert_eq!(lock(&many.0).known.n_at_work, 0);
    }

    #[test]
    fn a_turn_that_is_given_back_goes_to_whoever_has_least_at_work() {
        let turns = Turns::new(16);
        let (greedy, other) = (known("greedy"), known("other"));
        let mut of_greedy = all(&turns, &greedy);
        let of_other = all(&turns, &other);
        assert_eq!((of_greedy.len(), of_other.len()), (5, 3));
        let third = known("third");
        let _of_third = turns.enter(&third, Duration::ZERO).expect("a turn");
        let turns = &turns;
        std::thread::scope(|scope| {
            let (done, order) = std::sync::mpsc::channel();
            let mut n_waiting = 0;
            let mut queue = |holder: &'static str| {
                let done = done.clone();
                scope.spawn(move || {
                    let holder = known(holder);
                    let turn = turns.enter(&holder, Duration::from_secs(20));
                    let _ = done.send(holder.clone());
                    drop(turn);
                });
                n_waiting += 1;
                let waits =
                    || lock(&turns.0).known.callers.values().map(|share| share.queue.len()).sum::<usize>();
                while waits() < n_waiting {
                    std::thread::yield_now();
                }
            };
            queue("greedy");
            queue("other");
            drop(of_other);
            assert_eq!(order.recv(), Ok(known("other")), "it came later and has less at work");
            drop((of_greedy.pop(), of_greedy.pop()));
            assert_eq!(order.recv(), Ok(known("greedy")));
        });
    }
}
