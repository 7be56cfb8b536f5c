//! Who may read, how many at a time, and how much.
//!
//! Three classes, so that nobody's lists stand in the way of what must be answered at once:
//! - **Short** reads find something by its key: authentication, the gate, readiness, a job's look at what is due. They
//!   have connections of their own.
//! - **Lists** and the pieces of exports are read for somebody, the `Asker`. One asker has two connections at a time,
//!   and an allowance of steps of SQLite's machine that refills: a list that looks through much is paid for, one that
//!   an index serves is free.
//! - What reads the whole file (`Whole`) runs one of a kind at a time, each on a connection that is opened for it, and
//!   ends when the one who asked has gone.
//!
//! # Bounds
//! An asker who is refused is told when to come again. Those of their own lists that wait are few once one of them takes
//! long: what they wait in is a handler's turn. Where connections are few, whoever looked through least goes first.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::{Connection, OpenFlags};

use super::{checksums, schema};
use crate::canonical;
use crate::error::{Error, Result};

/// For whom a list is read.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Asker {
    /// At the command line: nothing is charged.
    #[default]
    Operator,
    Key(i64),
    Person(i64),
    /// A stranger's, where strangers may read: a /64 counts as one in IPv6.
    Address(u128),
}

/// Connections for short reads: each is held for a fraction of a millisecond.
const SHORT: u32 = 8;
/// Connections for lists, of all askers together.
const LISTS: usize = 8;
/// Lists of one asker at the same time.
const LISTS_OF_ONE: usize = 2;
/// How long a short read waits for a connection, and a list for its turn.
const WAIT: Duration = Duration::from_secs(5);

/// A list that runs for longer than this is a long one, and then no more than so many of the same asker wait behind it.
const LONG: Duration = Duration::from_millis(50);
const WAITING_BEHIND_LONG: usize = 8;

/// Steps of SQLite's machine that cost nothing, in each list or piece: some two milliseconds.
const FREE_STEPS: u64 = 100_000;
/// Steps that an asker gets back in a second: a quarter of a processor.
const STEPS_A_SECOND: u64 = 15_000_000;
/// What may be spent at once, as a time at that rate.
const ALLOWANCE: Duration = Duration::from_secs(20);
/// Accounts that are kept before those are looked through that say nothing any more.
const ACCOUNTS: usize = 1024;

pub(super) type Pool = r2d2::Pool<SqliteConnectionManager>;

pub(super) struct Readers {
    pub short: Pool,
    lists: Pool,
    turns: Turns,
    under_way: [AtomicBool; Whole::ALL.len()],
}

impl Readers {
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self {
            short: pool(path, SHORT)?,
            lists: pool(path, LISTS as u32)?,
            turns: Turns::default(),
            under_way: Default::default(),
        })
    }

    /// A connection for a list of `asker`, as soon as it is their turn.
    ///
    /// # Errors
    /// `TooMany` when their allowance is spent, or when others of their lists take long; `Unavailable` when the lists
    /// of all others together leave no connection.
    pub fn list(&self, asker: Asker, patience: Patience) -> Result<(Turn<'_>, Pooled)> {
        let turn = self.turns.enter(asker, patience)?;
        Ok((turn, self.lists.get().map_err(|_| busy())?))
    }

    /// The right to read the whole file, for one of a kind at a time.
    ///
    /// # Errors
    /// `Conflict` while another one is at it.
    pub fn whole(&self, whole: Whole) -> Result<UnderWay<'_>> {
        let flag = &self.under_way[whole as usize];
        if flag.swap(true, Ordering::AcqRel) {
            let message = format!("{} is running already; one runs at a time", whole.name());
            return Err(Error::conflict("already_running", message));
        }
        Ok(UnderWay(flag))
    }
}

pub(super) type Pooled = r2d2::PooledConnection<SqliteConnectionManager>;

/// What reads the whole file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whole {
    Verify,
    Check,
    Backup,
    /// Of an erasure, the look through the logs.
    Erasure,
    /// Of retention, the count of what would go.
    Retention,
}

impl Whole {
    const ALL: [Self; 5] = [Self::Verify, Self::Check, Self::Backup, Self::Erasure, Self::Retention];

    fn name(self) -> &'static str {
        match self {
            Self::Verify => "a verification",
            Self::Check => "a check",
            Self::Backup => "a backup",
            Self::Erasure => "an erasure",
            Self::Retention => "a dry run of retention",
        }
    }
}

/// Dropped when it has ended, however it did.
pub struct UnderWay<'a>(&'a AtomicBool);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

pub(super) fn busy() -> Error {
    Error::Unavailable { retry_after: 1, message: "every read connection is busy".into() }
}

fn pool(path: &Path, connections: u32) -> Result<Pool> {
    let manager =
        SqliteConnectionManager::file(path).with_flags(FLAGS).with_init(|connection| set_up(connection));
    r2d2::Pool::builder()
        .max_size(connections)
        .min_idle(Some(1))
        .connection_timeout(WAIT)
        .test_on_check_out(false)
        .build(manager)
        .map_err(|error| Error::Internal(format!("cannot open the database for reading: {error}")))
}

const FLAGS: OpenFlags = OpenFlags::SQLITE_OPEN_READ_ONLY.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    schema::guard(connection)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.set_prepared_statement_cache_capacity(64);
    checksums::register(connection)?;
    canonical::register(connection)?;
    connection
        .execute_batch("PRAGMA query_only = ON; PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -1024;")
}

/// A connection that is nobody else's.
pub(super) fn connect(path: &Path) -> Result<Connection> {
    let connection = Connection::open_with_flags(path, FLAGS)?;
    set_up(&connection)?;
    Ok(connection)
}

/// Whether to wait for a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// With a handler's turn in hand.
    Some,
    /// `Unavailable` at once, to be tried again in 0 s: a stream waits without holding anything.
    None,
}

/// Whose turn it is.
#[derive(Default)]
struct Turns(Mutex<Accounts>);

#[derive(Default)]
struct Accounts {
    n_running: usize,
    of: HashMap<Asker, Account>,
}

#[derive(Default)]
struct Account {
    /// When each of the lists that run began.
    running: Vec<Instant>,
    waiting: usize,
    /// One of these that wait is woken when one of those that run has ended.
    ended: Arc<Condvar>,
    /// When everything that was spent is paid back; `None`: it is.
    paid_at: Option<Instant>,
}

impl Account {
    fn may_run(&self) -> bool {
        self.running.len() < LISTS_OF_ONE
    }

    fn has_long(&self, now: Instant) -> bool {
        self.running.iter().any(|began| now.saturating_duration_since(*began) > LONG)
    }

    /// Seconds until something may be spent again, when the allowance is spent.
    fn overdrawn(&self, now: Instant) -> Option<u32> {
        let owed = self.paid_at?.saturating_duration_since(now);
        let wait = owed.checked_sub(ALLOWANCE)?;
        Some(u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1))
    }

    /// What is still to be paid back.
    fn owes(&self, now: Instant) -> Duration {
        self.paid_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now))
    }

    fn says_nothing(&self, now: Instant) -> bool {
        self.running.is_empty() && self.waiting == 0 && self.paid_at.is_none_or(|at| at <= now)
    }
}

impl Turns {
    fn lock(&self) -> MutexGuard<'_, Accounts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, asker: Asker, patience: Patience) -> Result<Turn<'_>> {
        let began_to_wait = Instant::now();
        let mut accounts = self.lock();
        let mut waits = false;
        let outcome = loop {
            let now = Instant::now();
            let has_room = accounts.n_running < LISTS && !accounts.has_one_before(asker, now);
            let account = accounts.of.entry(asker).or_default();
            if let Some(retry_after) = account.overdrawn(now) {
                let message =
                    "these lists look through too much; narrow them with an indexed filter, or ask later";
                break Err(Error::TooMany { retry_after, message: message.into() });
            }
            if has_room && account.may_run() {
                account.running.push(now);
                break Ok(now);
            }
            if patience == Patience::None {
                break Err(Error::Unavailable {
                    retry_after: 0,
                    message: "every read connection is busy".into(),
                });
            }
            if account.waiting - usize::from(waits) >= WAITING_BEHIND_LONG && account.has_long(now) {
                let message = "other lists of yours take long, and enough of them wait behind these";
                break Err(Error::TooMany { retry_after: 1, message: message.into() });
            }
            if now.saturating_duration_since(began_to_wait) >= WAIT {
                break Err(busy());
            }
            if !waits {
                account.waiting += 1;
                waits = true;
            }
            let ended = Arc::clone(&account.ended);
            accounts = ended.wait_timeout(accounts, LONG).unwrap_or_else(PoisonError::into_inner).0;
        };
        if waits && let Some(account) = accounts.of.get_mut(&asker) {
            account.waiting -= 1;
        }
        match outcome {
            Ok(began) => {
                accounts.n_running += 1;
                accounts.call_next(began);
                Ok(Turn { turns: self, asker, began, steps: Arc::default() })
            }
            Err(error) => {
                accounts.forget_idle(asker);
                Err(error)
            }
        }
    }

    fn leave(&self, turn: &Turn<'_>) {
        let now = Instant::now();
        let mut accounts = self.lock();
        accounts.n_running -= 1;
        if let Some(account) = accounts.of.get_mut(&turn.asker) {
            if let Some(at) = account.running.iter().position(|began| *began == turn.began) {
                account.running.swap_remove(at);
            }
            if turn.asker != Asker::Operator {
                account.paid_at = charge(account.paid_at, now, turn.steps.load(Ordering::Relaxed));
            }
            account.ended.notify_one();
        }
        accounts.call_next(now);
        accounts.forget_idle(turn.asker);
    }
}

impl Accounts {
    /// Whether another waits who could have a connection and owes less: where there are few, those who looked through
    /// least go first.
    fn has_one_before(&self, asker: Asker, now: Instant) -> bool {
        let owed = self.of.get(&asker).map_or(Duration::ZERO, |account| account.owes(now));
        let could = |account: &Account| account.waiting > 0 && account.may_run();
        self.of.iter().any(|(other, account)| *other != asker && could(account) && account.owes(now) < owed)
    }

    /// Wakes whoever is next, where there is a connection.
    fn call_next(&self, now: Instant) {
        let waiting = self.of.values().filter(|account| account.waiting > 0 && account.may_run());
        if let Some(next) = waiting.min_by_key(|account| account.owes(now)).filter(|_| self.n_running < LISTS)
        {
            next.ended.notify_one();
        }
    }

    fn forget_idle(&mut self, asker: Asker) {
        let now = Instant::now();
        if self.of.get(&asker).is_some_and(|account| account.says_nothing(now)) {
            self.of.remove(&asker);
        }
        if self.of.len() > ACCOUNTS {
            self.of.retain(|_, account| !account.says_nothing(now));
        }
    }
}

/// When an account is paid back that spends so many steps now.
fn charge(paid_at: Option<Instant>, now: Instant, steps: u64) -> Option<Instant> {
    let charged = steps.saturating_sub(FREE_STEPS);
    if charged == 0 {
        return paid_at;
    }
    let cost = Duration::from_secs_f64(charged as f64 / STEPS_A_SECOND as f64);
    Some(paid_at.map_or(now, |at| at.max(now)) + cost)
}

/// A place among the lists that run; what was spent is charged when it is dropped.
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    asker: Asker,
    began: Instant,
    steps: Arc<AtomicU64>,
}

impl Turn<'_> {
    /// Where the steps are counted.
    pub fn steps(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.steps)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.leave(self);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: Asker = Asker::Key(1);
    const EVE: Asker = Asker::Key(2);

    fn enter(turns: &Turns, asker: Asker) -> Option<Turn<'_>> {
        turns.enter(asker, Patience::None).ok()
    }

    #[test]
    fn an_asker_has_two_turns_and_all_of_them_eight() {
        let turns = Turns::default();
        let first = enter(&turns, EVE);
        let _second = enter(&turns, EVE);
        assert!(enter(&turns, EVE).is_none(), "a third of the same");
        let _ada = enter(&turns, ADA).expect("another's");
        drop(first);
        let _third = enter(&turns, EVE).expect("after one has ended");
        let others: Vec<_> =
            (10..15).map(|key| enter(&turns, Asker::Key(key)).expect("a connection")).collect();
        assert!(enter(&turns, ADA).is_none(), "a ninth");
        drop(others);
        assert!(enter(&turns, ADA).is_some());
    }

    #[test]
    fn who_spends_much_is_refused_until_it_is_paid_back() {
        let turns = Turns::default();
        let spend = |steps| {
            let turn = turns.enter(EVE, Patience::None)?;
            turn.steps().store(steps, Ordering::Relaxed);
            Ok::<_, Error>(())
        };
        for _ in 0..1000 {
            spend(FREE_STEPS).expect("what is free");
        }
        assert!(turns.lock().of.is_empty(), "nothing is owed, and nothing kept");
        let most = 20_000_000;
        let n = (0..100).take_while(|_| spend(most).is_ok()).count();
        assert!((16..40).contains(&n), "20 s of 15 M steps, and the one that goes over it: {n}");
        match spend(1) {
            Err(Error::TooMany { retry_after, .. }) => {
                assert!((1..=2).contains(&retry_after), "{retry_after}")
            }
            other => panic!("{other:?}"),
        }
        assert!(enter(&turns, ADA).is_some(), "another's allowance");
        let turn = enter(&turns, Asker::Operator).expect("the operator");
        turn.steps().store(u64::MAX, Ordering::Relaxed);
        drop(turn);
        assert!(enter(&turns, Asker::Operator).is_some(), "nothing is charged to the operator");
    }

    #[test]
    fn behind_long_lists_few_wait() {
        let turns = Turns::default();
        let _long = (enter(&turns, EVE), enter(&turns, EVE));
        let refused = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..40 {
                scope.spawn(|| {
                    if matches!(turns.enter(EVE, Patience::Some), Err(Error::TooMany { .. })) {
                        refused.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            while refused.load(Ordering::Relaxed) < 40 - WAITING_BEHIND_LONG {
                std::thread::sleep(Duration::from_millis(1));
            }
            assert!(turns.enter(ADA, Patience::Some).is_ok(), "another's list");
            drop(_long);
        });
        assert_eq!(refused.load(Ordering::Relaxed), 40 - WAITING_BEHIND_LONG, "the others had their turns");
    }

    #[test]
    fn where_all_connections_are_taken_the_next_is_for_whoever_looked_through_least() {
        let turns = Turns::default();
        let spent = enter(&turns, EVE).expect("a connection");
        spent.steps().store(100_000_000, Ordering::Relaxed);
        drop(spent);
        let mut others: Vec<_> =
            (10..18).map(|key| enter(&turns, Asker::Key(key)).expect("a connection")).collect();
        let turns = &turns;
        std::thread::scope(|scope| {
            let (done, order) = std::sync::mpsc::channel();
            for (n_waiting, asker) in [(1, EVE), (2, ADA)] {
                let done = done.clone();
                scope.spawn(move || {
                    let turn = turns.enter(asker, Patience::Some);
                    let _ = done.send(turn.is_ok().then_some(asker));
                });
                while turns.lock().of.values().map(|account| account.waiting).sum::<usize>() < n_waiting {
                    std::thread::yield_now();
                }
            }
            drop(others.pop());
            assert_eq!(order.recv(), Ok(Some(ADA)), "who came later and owes nothing");
            assert_eq!(order.recv(), Ok(Some(EVE)));
        });
    }

    #[test]
    fn one_of_a_kind_reads_the_whole_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("some.db");
        Connection::open(&path).expect("a database").execute_batch("CREATE TABLE t (x)").expect("a table");
        let readers = Readers::open(&path).expect("readers");
        let first = readers.whole(Whole::Verify).expect("the first");
        assert!(matches!(readers.whole(Whole::Verify), Err(Error::Conflict { code: "already_running", .. })));
        let _other = readers.whole(Whole::Check).expect("another kind");
        drop(first);
        readers.whole(Whole::Verify).expect("the next");
    }
}
