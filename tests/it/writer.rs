//! The writer thread, through `Store` as the program uses it: what is committed together, what rolls back alone,
//! and what only ever rises.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use mailtrail::activity;
use mailtrail::app::LOGS;
use mailtrail::enforcement::{self, Action, Event, NewEvent};
use mailtrail::error::{Error, Result};
use mailtrail::ids::Uuid;
use mailtrail::owners::tenants::{self, NewTenant};
use mailtrail::owners::workspaces;
use mailtrail::store::counts::{Log, Series};
use mailtrail::store::disk::Disk;
use mailtrail::store::{Sharing, Store, Tx, last_now, migrate};
use mailtrail::time::Clock;

use serde_json::json;

use crate::support::{START, time};

/// A store of its own, with one workspace and one tenant.
struct Fixture {
    directory: tempfile::TempDir,
    clock: Clock,
    store: Option<Arc<Store>>,
    workspace: i64,
    tenant: (i64, Uuid),
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut fixture = Self {
            directory,
            clock: Clock::standing(time(START)),
            store: None,
            workspace: 0,
            tenant: (0, Uuid([0; 16])),
        };
        migrate::prepare(&fixture.path(), LOGS).expect("a database");
        fixture.reopen();
        let made = fixture.store().write(|tx| {
            let workspace = workspaces::create(tx, "Main")?.key;
            let new = NewTenant { workspace, id: None, name: "Acme".into(), domain: None };
            let tenant = tenants::create(tx, &new)?;
            Ok((workspace, (tenant.key, tenant.id)))
        });
        (fixture.workspace, fixture.tenant) = made.expect("owners");
        fixture
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("mailtrail.db")
    }

    /// Closes the store, when it is open, and opens it again on the same file.
    fn reopen(&mut self) {
        self.store = None;
        let store = Store::open(
            &self.path(),
            Disk::open(self.directory.path(), 0).expect("a disk"),
            self.clock.clone(),
            activity::note,
            LOGS,
        )
        .expect("a store");
        self.store = Some(Arc::new(store));
    }

    fn store(&self) -> &Arc<Store> {
        self.store.as_ref().expect("an open store")
    }

    /// A closure that records one event with this number as its sent count.
    fn recording(&self, sent_count: i64) -> impl FnOnce(&mut Tx<'_>) -> Result<Event> + Send + 'static {
        let (workspace, (tenant, tenant_id)) = (self.workspace, self.tenant);
        move |tx| {
            let new = NewEvent {
                tenant_id,
                mailbox_address: "sales@mail.acmecorp.com".into(),
                action: Action::Blocked,
                sent_count,
                limit_value: 25,
                message: None,
                created_at: None,
            };
            enforcement::sql::record(tx, workspace, tenant, &new, "key test")
        }
    }

    fn numbers(&self, sql: &'static str) -> Vec<i64> {
        let numbers = self.store().read(move |snapshot| {
            let mut statement = snapshot.prepare(sql)?;
            Ok(statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<i64>>>()?)
        });
        numbers.expect("numbers")
    }

    fn number(&self, sql: &'static str) -> i64 {
        self.numbers(sql)[0]
    }

    fn counted(&self) -> i64 {
        let series = Series::of(Log::Enforcement, -self.workspace);
        self.store().read(|snapshot| series.total(snapshot)).expect("a count")
    }
}

/// A write that keeps the writer busy until it is let go.
struct Held {
    go: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl Held {
    fn new(store: &Arc<Store>) -> Self {
        let (go, wait) = sync_channel::<()>(1);
        let (holds, held) = sync_channel::<()>(1);
        let store = Arc::clone(store);
        let thread = std::thread::spawn(move || {
            let written = store.write(move |_| {
                holds.send(()).expect("someone who waits");
                wait.recv().expect("a word to go on");
                Ok(())
            });
            written.expect("a write");
        });
        held.recv().expect("the writer at work");
        Self { go, thread }
    }

    fn let_go(self) {
        self.go.send(()).expect("a writer that waits");
        self.thread.join().expect("a thread that ends well");
    }
}

/// Starts a write from a thread of its own; what it was answered comes through the receiver.
fn start<T: Send + 'static>(
    store: &Arc<Store>,
    change: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
) -> Receiver<Result<T>> {
    start_as(store, |store| store.write(change))
}

fn start_checked<T: Send + 'static>(
    store: &Arc<Store>,
    change: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
) -> Receiver<Result<T>> {
    start_as(store, |store| store.write_as(Sharing::Checked, change))
}

fn start_as<T: Send + 'static>(
    store: &Arc<Store>,
    write: impl FnOnce(&Store) -> Result<T> + Send + 'static,
) -> Receiver<Result<T>> {
    let (answer, answered) = channel();
    let (begins, begun) = channel();
    let store = Arc::clone(store);
    std::thread::spawn(move || {
        let _ = begins.send(());
        let _ = answer.send(write(&store));
    });
    begun.recv().expect("a thread that begins");
    answered
}

/// Lets the threads that were started reach the queue. Should one be late, it is merely in the next batch.
fn settle() {
    std::thread::sleep(Duration::from_millis(100));
}

#[test]
fn sixty_four_writers_are_all_answered_and_share_commits() {
    let fixture = Fixture::new();
    let store = fixture.store();
    let (commits_before, writes_before) = store.batches();
    let held = Held::new(store);
    let answers: Vec<_> = (0..64).map(|n| start(store, fixture.recording(n))).collect();
    settle();
    held.let_go();
    let mut seqs = BTreeSet::new();
    for answer in answers {
        seqs.insert(answer.recv().expect("an answer").expect("a recorded event").seq);
    }
    assert_eq!(seqs, (1..=64).collect());
    let (commits, writes) = store.batches();
    assert_eq!(writes - writes_before, 65);
    assert!(commits - commits_before < 65, "{} commits", commits - commits_before);
    assert_eq!(fixture.numbers("SELECT seq FROM enforcement_events ORDER BY seq"), Vec::from_iter(1..=64));
    assert_eq!(fixture.number("SELECT count(DISTINCT sent_count) FROM enforcement_events"), 64);
    assert_eq!(fixture.counted(), 64);
}

/// A write of its own transaction that tells its name, and does not end before it is let go.
fn start_long(
    store: &Arc<Store>,
    name: &'static str,
    order: &Arc<Mutex<Vec<&'static str>>>,
) -> (Receiver<()>, SyncSender<()>, Receiver<Result<()>>) {
    let (begins, begun) = channel();
    let (go, wait) = sync_channel::<()>(1);
    let order = Arc::clone(order);
    let answered = start_as(store, move |store| {
        store.write_as(Sharing::Alone, move |_| {
            order.lock().expect("the order").push(name);
            begins.send(()).expect("someone who waits");
            wait.recv().expect("a word to go on");
            Ok(())
        })
    });
    (begun, go, answered)
}

#[test]
fn between_two_writes_that_take_long_all_others_go_first() {
    let fixture = Fixture::new();
    let store = fixture.store();
    let order = Arc::new(Mutex::new(Vec::new()));
    let short = |name: &'static str| {
        let order = Arc::clone(&order);
        start(store, move |_| {
            order.lock().expect("the order").push(name);
            Ok(())
        })
    };
    let held = Held::new(store);
    let first = start_long(store, "first long", &order);
    settle();
    let second = start_long(store, "second long", &order);
    settle();
    let mut answers = vec![short("short")];
    settle();
    held.let_go();
    first.0.recv().expect("the first long one at work");
    answers.push(short("late"));
    settle();
    first.1.send(()).expect("a write that waits");
    second.0.recv().expect("the second long one at work");
    second.1.send(()).expect("a write that waits");
    for answer in answers.into_iter().chain([first.2, second.2]) {
        answer.recv().expect("an answer").expect("a write");
    }
    assert_eq!(*order.lock().expect("the order"), ["short", "first long", "late", "second long"]);
}

#[test]
fn what_a_transaction_has_no_time_for_is_in_the_next_one() {
    let fixture = Fixture::new();
    let store = fixture.store();
    let held = Held::new(store);
    let (commits_before, writes_before) = store.batches();
    let slow = |n: i64| {
        let record = fixture.recording(n);
        start(store, move |tx| {
            std::thread::sleep(Duration::from_millis(60));
            record(tx)
        })
    };
    let answers: Vec<_> = (0..4).map(slow).collect();
    settle();
    held.let_go();
    for answer in answers {
        answer.recv().expect("an answer").expect("a recorded event");
    }
    let (commits, writes) = store.batches();
    assert_eq!((commits - commits_before, writes - writes_before), (5, 5), "each has its own");
    assert_eq!(fixture.numbers("SELECT seq FROM enforcement_events ORDER BY seq"), Vec::from_iter(1..=4));
}

#[test]
fn a_write_that_fails_counts_as_none() {
    let fixture = Fixture::new();
    let store = fixture.store();
    let before = store.batches();
    let refused: Result<()> = store.write(|_| Err(Error::http(409, "as the test wanted")));
    assert!(matches!(refused, Err(Error::Http { status: 409, .. })), "{refused:?}");
    assert_eq!(store.batches(), before);
    store.write(|_| Ok(())).expect("a write");
    assert_eq!(store.batches(), (before.0 + 1, before.1 + 1));
}

#[test]
fn more_writers_than_a_batch_and_the_queue_hold() {
    let fixture = Fixture::new();
    let store = fixture.store();
    let held = Held::new(store);
    let answers: Vec<_> = (0..1500).map(|n| start(store, fixture.recording(n))).collect();
    settle();
    held.let_go();
    for answer in answers {
        answer.recv().expect("an answer").expect("a recorded event");
    }
    assert_eq!(fixture.numbers("SELECT seq FROM enforcement_events ORDER BY seq"), Vec::from_iter(1..=1500));
    assert_eq!(fixture.counted(), 1500);
}

#[test]
fn a_write_that_fails_or_panics_rolls_back_alone_and_gives_its_number_back() {
    let fixture = Fixture::new();
    let store = fixture.store();
    let (commits_before, _) = store.batches();
    let held = Held::new(store);
    let mut good = Vec::new();
    let mut bad = Vec::new();
    for n in 0..12 {
        good.push(start(store, fixture.recording(n)));
        let record = fixture.recording(100 + n);
        bad.push(start(store, move |tx| {
            record(tx)?;
            tx.execute("UPDATE workspaces SET name = 'half done'", [])?;
            match n % 4 {
                0 => Err(Error::conflict("no", "no")),
                1 => panic!("a bug in a closure"),
                // Refused by a trigger.
                2 => Ok(tx.execute("UPDATE enforcement_events SET sent_count = 0", [])?),
                // Refused by a constraint.
                _ => Ok(tx.execute("INSERT INTO enforcement_events SELECT * FROM enforcement_events", [])?),
            }
        }));
    }
    settle();
    held.let_go();
    let mut seqs = BTreeSet::new();
    for answer in good {
        seqs.insert(answer.recv().expect("an answer").expect("a recorded event").seq);
    }
    for (n, answer) in bad.into_iter().enumerate() {
        let error = answer.recv().expect("an answer").expect_err("a failure");
        let said = error.to_string();
        let expected =
            ["no", "a write panicked", "enforcement_events is append-only", "UNIQUE constraint failed"];
        assert!(said.contains(expected[n % 4]), "{n}: {said}");
    }
    assert!(store.batches().0 - commits_before < 25);
    // No gaps, nothing half done, nothing counted that is not there.
    assert_eq!(seqs, (1..=12).collect());
    assert_eq!(fixture.numbers("SELECT seq FROM enforcement_events ORDER BY seq"), Vec::from_iter(1..=12));
    assert_eq!(fixture.number("SELECT count(*) FROM enforcement_events WHERE sent_count >= 100"), 0);
    assert_eq!(fixture.number("SELECT count(*) FROM workspaces WHERE name = 'half done'"), 0);
    assert_eq!(fixture.number("SELECT last_seq FROM sequence"), 12);
    assert_eq!(fixture.counted(), 12);
    let next = store.write(fixture.recording(12)).expect("a recorded event");
    assert_eq!(next.seq, 13);
}

#[test]
fn a_checked_write_fails_alone_before_its_first_row_and_fails_all_after_it() {
    let fixture = Fixture::new();
    let store = fixture.store();
    for (after_a_row, n_recorded) in [(false, 2), (true, 2)] {
        let held = Held::new(store);
        let neighbours = [start(store, fixture.recording(1)), start(store, fixture.recording(2))];
        let record = fixture.recording(100);
        let bad = start_checked(store, move |tx| {
            if after_a_row {
                record(tx)?;
            }
            Err::<(), _>(Error::conflict("no", "no"))
        });
        settle();
        held.let_go();
        assert!(bad.recv().expect("an answer").is_err());
        for neighbour in neighbours {
            let outcome = neighbour.recv().expect("an answer");
            assert_eq!(outcome.is_err(), after_a_row, "{outcome:?}");
        }
        // Nothing of a transaction that failed is there, also not what was counted or numbered in it.
        assert_eq!(fixture.number("SELECT count(*) FROM enforcement_events"), n_recorded);
        assert_eq!(fixture.counted(), n_recorded);
        assert_eq!(fixture.number("SELECT last_seq FROM sequence"), n_recorded);
    }
    assert_eq!(store.write(fixture.recording(3)).expect("a recorded event").seq, 3);
}

#[test]
fn a_full_database_fails_the_transaction_and_leaves_the_writer_as_it_was() {
    let fixture = Fixture::new();
    let store = fixture.store();
    store.write(fixture.recording(1)).expect("a recorded event");
    // SQLite's own end of the disk, which it says in the words of the other one.
    let limit = |n_more: i64| {
        let set = store.write(move |tx| {
            let n_pages: i64 = tx.pragma_query_value(None, "page_count", |row| row.get(0))?;
            Ok(tx.pragma_update_and_check(None, "max_page_count", n_pages + n_more, |_| Ok(()))?)
        });
        set.expect("a limit");
    };
    // More than fit, with a text that is new, as the log of activities gives numbers to.
    let too_much = |round: i32| {
        let many: Vec<_> = (0..200).map(|n| fixture.recording(100 + n)).collect();
        move |tx: &mut Tx<'_>| {
            tx.text(&format!("new in round {round}"))?;
            many.into_iter().try_for_each(|record| record(tx).map(|_| ()))
        }
    };
    let is_full = |error: Error| matches!(error, Error::Http { status: 507, .. });
    for round in 0..3 {
        limit(2);
        let (n_before, counted) = (fixture.number("SELECT last_seq FROM sequence"), fixture.counted());
        match round {
            // Alone, under a savepoint beside others, and without one beside others.
            0 => assert!(is_full(store.write(too_much(round)).expect_err("a full database"))),
            _ => {
                let held = Held::new(store);
                let neighbours = [start(store, fixture.recording(2)), start(store, fixture.recording(3))];
                let big = if round == 1 {
                    start(store, too_much(round))
                } else {
                    start_checked(store, too_much(round))
                };
                settle();
                held.let_go();
                assert!(is_full(big.recv().expect("an answer").expect_err("a full database")));
                for neighbour in neighbours {
                    let outcome = neighbour.recv().expect("an answer");
                    assert!(outcome.is_err_and(is_full));
                }
            }
        }
        assert_eq!(fixture.number("SELECT last_seq FROM sequence"), n_before);
        assert_eq!(fixture.number("SELECT count(*) FROM enforcement_events"), n_before);
        assert_eq!(fixture.counted(), counted);
        limit(1000);
        assert!(store.failure().is_none());
        let text = store.write(move |tx| {
            let number = tx.text(&format!("new in round {round}"))?;
            Ok(tx
                .query_row("SELECT text FROM texts WHERE id = ?1", [number], |row| row.get::<_, String>(0))?)
        });
        assert_eq!(text.expect("the number of a text that is there"), format!("new in round {round}"));
        assert_eq!(store.write(fixture.recording(4)).expect("a recorded event").seq, n_before + 1);
        assert_eq!(fixture.counted(), counted + 1);
    }
}

#[test]
fn a_number_that_no_row_has_fails_the_commit() {
    let fixture = Fixture::new();
    let failed = fixture.store().write(|tx| Ok(tx.next_seq(Log::Activity)));
    assert!(failed.is_err_and(|error| error.to_string().contains("no row has it")));
    assert_eq!(fixture.store().write(fixture.recording(1)).expect("a recorded event").seq, 1);
}

#[test]
fn rows_cannot_be_changed_or_removed_outside_prune() {
    let fixture = Fixture::new();
    let store = fixture.store();
    store.write(fixture.recording(1)).expect("a recorded event");
    for sql in [
        "UPDATE enforcement_events SET message = 'rewritten'",
        "DELETE FROM enforcement_events",
        "REPLACE INTO enforcement_events SELECT * FROM enforcement_events",
        "INSERT INTO enforcement_events SELECT * FROM enforcement_events WHERE true
             ON CONFLICT DO UPDATE SET message = 'rewritten'",
    ] {
        let refused = store.write(move |tx| Ok(tx.execute(sql, [])?)).expect_err(sql);
        assert!(refused.to_string().contains("enforcement_events is "), "{sql}: {refused}");
    }
    // A prune of another log opens no door to this one, and one that fails leaves none open behind it.
    let refused = store.write(|tx| {
        tx.prune(Log::Messages, json!({}), |tx| {
            Ok((tx.execute("DELETE FROM enforcement_events", [])?, vec![1]))
        })
    });
    assert!(refused.is_err());
    let caught = store.write(|tx| {
        let failed =
            tx.prune(Log::Enforcement, json!({}), |_| Err::<((), Vec<i64>), _>(Error::conflict("no", "no")));
        Ok(failed.is_err())
    });
    assert!(caught.expect("a write"));
    let refused = store.write(|tx| Ok(tx.execute("DELETE FROM enforcement_events", [])?));
    assert!(refused.is_err(), "a failed prune left the door open");
    assert_eq!(fixture.number("SELECT count(*) FROM enforcement_events WHERE message IS NULL"), 1);
    assert_eq!(fixture.number("SELECT count(*) FROM pruning"), 0);
}

#[test]
fn time_never_goes_back_when_the_clock_does() {
    let mut fixture = Fixture::new();
    let start = time(START);
    let mut latest = start;
    for step in [0, 10, -3600, -86_400, 11, 9, 400 * 86_400, 0] {
        fixture.clock.set(start.plus_seconds(step));
        latest = latest.max(start.plus_seconds(step));
        let now = fixture.store().write(|tx| Ok(tx.now)).expect("a write");
        assert_eq!(now, latest, "{step} s");
        let stored = fixture.store().read(|snapshot| last_now(snapshot)).expect("a time");
        assert_eq!(stored, latest, "{step} s, stored");
    }
    fixture.clock.set(start);
    fixture.reopen();
    assert_eq!(fixture.store().write(|tx| Ok(tx.now)).expect("a write"), latest);
}

#[test]
fn numbers_strictly_rise_across_restarts_and_clock_steps() {
    let mut fixture = Fixture::new();
    let start = time(START);
    let mut last = 0;
    for step in [0, 5, -86_400, 3600, -3600, 0] {
        fixture.clock.set(start.plus_seconds(step));
        for _ in 0..5 {
            let (one, other) = (fixture.recording(1), fixture.recording(2));
            let made = fixture.store().write(move |tx| Ok([one(tx)?.seq, other(tx)?.seq]));
            for seq in made.expect("a write") {
                assert_eq!(seq, last + 1);
                last = seq;
            }
            // What a failed write took is not burnt, and not given out twice either.
            let failed_one = fixture.recording(3);
            let failed: Result<()> = fixture.store().write(move |tx| {
                failed_one(tx)?;
                Err(Error::conflict("no", "no"))
            });
            assert!(failed.is_err());
        }
        fixture.reopen();
    }
}

#[test]
fn pruned_numbers_never_come_back() {
    let mut fixture = Fixture::new();
    for n in 0..5 {
        fixture.store().write(fixture.recording(n)).expect("a recorded event");
    }
    let tenant = fixture.tenant.0;
    let cutoff = time(START).plus_days(1);
    let prune = move |tx: &mut Tx<'_>| enforcement::sql::prune(tx, tenant, 30, cutoff, 1000);
    let removed = fixture.store().write_as(Sharing::Alone, prune);
    assert_eq!(removed.expect("a prune"), 5);
    // The sixth is that of the leaf that says so.
    assert_eq!(fixture.counted(), 0);
    assert_eq!(fixture.number("SELECT count(*) FROM counts"), 0);
    fixture.reopen();
    assert_eq!(fixture.store().write(fixture.recording(9)).expect("a recorded event").seq, 7);
}

#[test]
fn a_read_sees_one_snapshot_however_long_it_takes() {
    let fixture = Fixture::new();
    let store = fixture.store();
    store.write(fixture.recording(1)).expect("a recorded event");
    let count = "SELECT count(*) FROM enforcement_events";
    store
        .read(|snapshot| {
            let before: i64 = snapshot.query_row(count, [], |row| row.get(0))?;
            for n in 2..10 {
                store.write(fixture.recording(n))?;
            }
            let after: i64 = snapshot.query_row(count, [], |row| row.get(0))?;
            let counted = Series::of(Log::Enforcement, -fixture.workspace).total(snapshot)?;
            assert_eq!((before, after, counted), (1, 1, 1));
            Ok(())
        })
        .expect("a read");
    assert_eq!(fixture.number(count), 9);
}

#[test]
fn a_read_cannot_write() {
    let fixture = Fixture::new();
    let refused = fixture.store().read(|snapshot| Ok(snapshot.execute("DELETE FROM jobs", [])?));
    assert!(refused.is_err());
}

#[test]
fn an_answered_write_is_in_the_file_for_another_connection() {
    let fixture = Fixture::new();
    for n in 0..20 {
        let event = fixture.store().write(fixture.recording(n)).expect("a recorded event");
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let other = rusqlite::Connection::open_with_flags(fixture.path(), flags).expect("the database");
        let stored: i64 = other
            .query_row("SELECT sent_count FROM enforcement_events WHERE seq = ?1", [event.seq], |row| {
                row.get(0)
            })
            .expect("the row");
        assert_eq!(stored, n);
    }
}

#[test]
fn whether_the_writer_gets_on_can_be_seen() {
    let fixture = Fixture::new();
    let store = fixture.store();
    let gets_on = |before: u64| {
        (0..600).any(|_| {
            std::thread::sleep(Duration::from_millis(100));
            store.writer_rounds() > before
        })
    };
    // With nothing to do, for it is asked to.
    assert!(gets_on(store.writer_rounds()));

    // Not in a write that hangs.
    let ((entered, has_entered), (release, released)) = (channel(), channel());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            store.write(move |_| {
                entered.send(()).expect("somebody who waits");
                released.recv().expect("a release");
                Ok(())
            })
        });
        has_entered.recv().expect("a write at work");
        let before = store.writer_rounds();
        std::thread::sleep(Duration::from_millis(500));
        let after = store.writer_rounds();
        release.send(()).expect("a write that waits");
        assert_eq!(after, before);
        assert!(gets_on(before));
    });

    // But in one that is only long.
    let (entered, has_entered) = channel();
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            store.write(move |tx| {
                entered.send(()).expect("somebody who waits");
                let count = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000000) \
                             SELECT max(i) FROM n";
                Ok(tx.query_row(count, [], |row| row.get::<_, i64>(0))?)
            })
        });
        has_entered.recv().expect("a write at work");
        let (before, mut n_seen) = (store.writer_rounds(), 0);
        while !writing.is_finished() {
            n_seen = n_seen.max(store.writer_rounds() - before);
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(n_seen > 5, "only {n_seen} signs of life");
    });
}
