//! `store::counts` against a list of times: totals and the place of an offset, whatever the range cuts into.

use std::cell::Cell;

use mailtrail::store::counts::{Deltas, Log, Place, Range, Recount};
use mailtrail::time::{DAY, MINUTE, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use rusqlite::Connection;

const SERIES: &str = "w1";
const TEN_MINUTES: i64 = 10 * MINUTE;

fn database() -> Connection {
    let connection = Connection::open_in_memory().expect("a database");
    connection.execute_batch(include_str!("../../schema.sql")).expect("the schema");
    connection
}

fn add(deltas: &mut Deltas, times: &[i64], n: i64) {
    for time in times {
        deltas.add(Log::Enforcement, SERIES.into(), Timestamp::from_micros(*time), n);
    }
}

/// Times that stand at, just before and just after the edges of days and of ten minutes, near 1970, now, and far
/// apart.
fn instant() -> impl Strategy<Value = i64> {
    let day = prop_oneof![8 => 20_000_i64..20_004, 1 => 0_i64..3, 1 => 40_000_i64..40_002];
    let ten = prop_oneof![Just(0_i64), Just(1), Just(143), 0_i64..144];
    let micros = prop_oneof![
        4 => Just(0_i64),
        2 => Just(1_i64),
        2 => Just(-1_i64),
        1 => Just(TEN_MINUTES / 2),
        2 => 0..TEN_MINUTES,
    ];
    (day, ten, micros).prop_map(|(day, ten, micros)| (day * DAY + ten * TEN_MINUTES + micros).max(0))
}

fn within(times: &[i64], from: i64, to: i64) -> i64 {
    times.iter().filter(|time| (from..to).contains(*time)).count() as i64
}

/// The number of rows, as an index would count them; notes the longest stretch it was asked for.
fn counter<'a>(
    times: &'a [i64],
    longest: &'a Cell<i64>,
) -> impl Fn(Timestamp, Timestamp) -> mailtrail::error::Result<i64> + 'a {
    move |from, to| {
        longest.set(longest.get().max(to.micros() - from.micros()));
        Ok(within(times, from.micros(), to.micros()))
    }
}

/// The rows of a range from a place on, as `Listing::page` would step over them.
fn rows_from(times: &[i64], range: &Range<'_>, place: &Place, newest_first: bool) -> Vec<i64> {
    let mut from = range.from.map_or(i64::MIN, Timestamp::micros);
    let mut to = range.to.map_or(i64::MAX, Timestamp::micros);
    if newest_first {
        to = place.edge.micros();
    } else {
        from = place.edge.micros();
    }
    let mut rows: Vec<i64> = times.iter().copied().filter(|time| (from..to).contains(time)).collect();
    rows.sort_unstable();
    if newest_first {
        rows.reverse();
    }
    rows.split_off(rows.len().min(place.skip as usize))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn totals_and_offsets_are_those_of_the_rows(
        times in prop::collection::vec(instant(), 0..60),
        bounds in prop::collection::vec((prop::option::of(instant()), prop::option::of(instant())), 1..6),
    ) {
        let connection = database();
        let mut deltas = Deltas::default();
        add(&mut deltas, &times, 1);
        deltas.flush(&connection).expect("a flush");
        for (from, to) in bounds {
            let range = Range {
                log: Log::Enforcement,
                series: SERIES,
                from: from.map(Timestamp::from_micros),
                to: to.map(Timestamp::from_micros),
            };
            check_range(&connection, &times, &range)?;
        }
    }

    #[test]
    fn what_comes_and_goes_leaves_no_trace(
        kept in prop::collection::vec(instant(), 0..20),
        gone in prop::collection::vec(instant(), 0..20),
        in_one_batch in any::<bool>(),
    ) {
        let connection = database();
        let mut deltas = Deltas::default();
        add(&mut deltas, &kept, 1);
        add(&mut deltas, &gone, 1);
        if !in_one_batch {
            std::mem::take(&mut deltas).flush(&connection).expect("a flush");
        }
        let mut other = Deltas::default();
        add(&mut other, &gone, -1);
        deltas.merge(other);
        deltas.flush(&connection).expect("a flush");

        let mut recount = Recount::default();
        for time in &kept {
            recount.add(Log::Enforcement, SERIES.into(), Timestamp::from_micros(*time));
        }
        let miscounts = recount.compare(&connection).expect("a comparison");
        prop_assert!(miscounts.is_empty(), "{miscounts:?}");
        let n_empty: i64 = connection
            .query_row("SELECT count(*) FROM counts WHERE n <= 0", [], |row| row.get(0))
            .expect("a number");
        prop_assert_eq!(n_empty, 0);
    }
}

fn check_range(connection: &Connection, times: &[i64], range: &Range<'_>) -> Result<(), TestCaseError> {
    let from = range.from.map_or(i64::MIN, Timestamp::micros);
    let to = range.to.map_or(i64::MAX, Timestamp::micros);
    let mut expected: Vec<i64> = times.iter().copied().filter(|time| *time >= from && *time < to).collect();
    expected.sort_unstable();
    let longest = Cell::new(0);
    let total = range.total(connection, counter(times, &longest)).expect("a total");
    prop_assert_eq!(total, expected.len() as i64, "from {:?} to {:?}", range.from, range.to);
    for newest_first in [true, false] {
        if newest_first {
            expected.reverse();
        } else {
            expected.sort_unstable();
        }
        for offset in (0..expected.len() + 2).chain([1_000_000, i64::MAX as usize]) {
            let place = range
                .seek(connection, newest_first, offset as i64, counter(times, &longest))
                .expect("a place");
            let rest = expected.get(offset..).unwrap_or_default();
            match place {
                None => prop_assert!(rest.is_empty(), "offset {offset}: no place, but {rest:?}"),
                Some(place) => {
                    let found = rows_from(times, range, &place, newest_first);
                    prop_assert_eq!(&found[..], rest, "offset {}, newest first {}", offset, newest_first);
                    prop_assert!(!found.is_empty(), "offset {offset}: a place past the end");
                }
            }
        }
    }
    // The rows themselves are counted over less than ten minutes, or a range that holds no whole ten minutes.
    prop_assert!(longest.get() < 2 * TEN_MINUTES, "counted over {} µs", longest.get());
    Ok(())
}

#[test]
fn a_series_and_a_log_do_not_see_each_other() {
    let connection = database();
    let at = Timestamp::from_seconds(1_777_000_000);
    let mut deltas = Deltas::default();
    deltas.add(Log::Enforcement, "w1".into(), at, 1);
    deltas.add(Log::Enforcement, "w1/blocked".into(), at, 2);
    deltas.add(Log::Enforcement, "w11".into(), at, 4);
    deltas.add(Log::Activity, "w1".into(), at, 8);
    deltas.flush(&connection).expect("a flush");
    let total = |log, series| {
        Range { log, series, from: None, to: None }.total(&connection, |_, _| Ok(0)).expect("a total")
    };
    assert_eq!(total(Log::Enforcement, "w1"), 1);
    assert_eq!(total(Log::Enforcement, "w1/blocked"), 2);
    assert_eq!(total(Log::Enforcement, "w11"), 4);
    assert_eq!(total(Log::Activity, "w1"), 8);
    assert_eq!(total(Log::Messages, "w1"), 0);
}

#[test]
fn a_bucket_that_comes_to_none_is_removed() {
    let connection = database();
    let n_buckets = || {
        connection.query_row("SELECT count(*) FROM counts", [], |row| row.get::<_, i64>(0)).expect("a number")
    };
    let at = Timestamp::from_seconds(1_777_000_000);
    let mut deltas = Deltas::default();
    deltas.add(Log::Messages, "m1".into(), at, 3);
    deltas.flush(&connection).expect("a flush");
    assert_eq!(n_buckets(), 2);
    for n in [-1, -2] {
        let mut deltas = Deltas::default();
        deltas.add(Log::Messages, "m1".into(), at, n);
        deltas.flush(&connection).expect("a flush");
    }
    assert_eq!(n_buckets(), 0);
    // One comes and one goes in the same ten minutes: nothing to write.
    let mut deltas = Deltas::default();
    deltas.add(Log::Messages, "m1".into(), at, 1);
    deltas.add(Log::Messages, "m1".into(), at, -1);
    deltas.flush(&connection).expect("a flush");
    assert_eq!(n_buckets(), 0);
}
