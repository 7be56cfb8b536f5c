//! `store::counts` against a list of times: totals and the place of an offset, whatever the range cuts into.

use std::cell::Cell;

use mailtrail::store::counts::{Deltas, Log, Place, Range, Recount, Series};
use mailtrail::time::{DAY, HOUR, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use rusqlite::Connection;

/// An owner's rows, those of one action, those of one person, each with how finely it is counted.
fn all_series() -> [(Series, i64); 3] {
    let owner = Series::of(Log::Enforcement, 1);
    [(owner, HOUR), (owner.of_kind(2), DAY), (owner.of_person(2), 30 * DAY)]
}

fn database() -> Connection {
    let connection = Connection::open_in_memory().expect("a database");
    connection.execute_batch(include_str!("../../schema.sql")).expect("the schema");
    connection
}

fn add(deltas: &mut Deltas, times: &[i64], n: i64) {
    for time in times {
        for (series, _) in all_series() {
            deltas.add(series, Timestamp::from_micros(*time), n);
        }
    }
}

/// Times that stand at, just before and just after the edges of days and hours, before 1970, now, and far apart.
fn instant() -> impl Strategy<Value = i64> {
    let day = prop_oneof![8 => 20_000_i64..20_064, 1 => -2_i64..3, 1 => 40_000_i64..40_002];
    let hour = prop_oneof![Just(0_i64), Just(1), Just(23), 0_i64..24];
    let micros = prop_oneof![
        4 => Just(0_i64),
        2 => Just(1_i64),
        2 => Just(-1_i64),
        1 => Just(HOUR / 2),
        2 => 0..HOUR,
    ];
    (day, hour, micros).prop_map(|(day, hour, micros)| day * DAY + hour * HOUR + micros)
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
            for (series, finest) in all_series() {
                let range = Range {
                    series: &[series],
                    from: from.map(Timestamp::from_micros),
                    to: to.map(Timestamp::from_micros),
                };
                check_range(&connection, &times, &range, finest)?;
            }
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
            for (series, _) in all_series() {
                recount.add(series, Timestamp::from_micros(*time));
            }
        }
        let miscounts = recount.compare(&connection).expect("a comparison");
        prop_assert!(miscounts.is_empty(), "{miscounts:?}");
        let n_empty: i64 = connection
            .query_row("SELECT count(*) FROM counts WHERE n <= 0", [], |row| row.get(0))
            .expect("a number");
        prop_assert_eq!(n_empty, 0);
    }
}

fn check_range(
    connection: &Connection,
    times: &[i64],
    range: &Range<'_>,
    finest: i64,
) -> Result<(), TestCaseError> {
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
    // The rows themselves are counted over less than the finest bucket, or a range that holds no whole one.
    prop_assert!(longest.get() < 2 * finest, "counted over {} µs", longest.get());
    Ok(())
}

#[test]
fn the_rows_of_several_owners_are_counted_together() {
    let connection = database();
    let (one, other) = (Series::of(Log::Activity, 1), Series::of(Log::Activity, -1));
    let times: Vec<i64> = (0..200).map(|n| 20_000 * DAY + n * 7 * HOUR).collect();
    let mut deltas = Deltas::default();
    for (n, time) in times.iter().enumerate() {
        deltas.add(if n % 3 == 0 { one } else { other }, Timestamp::from_micros(*time), 1);
    }
    deltas.flush(&connection).expect("a flush");
    let (from, to) = (Timestamp::from_micros(times[7] + 1), Timestamp::from_micros(times[150] - 1));
    for (from, to) in [(None, None), (Some(from), Some(to))] {
        let range = Range { series: &[one, other], from, to };
        check_range(&connection, &times, &range, HOUR).expect("the rows of both");
    }
}

#[test]
fn a_series_and_a_log_do_not_see_each_other() {
    let connection = database();
    let at = Timestamp::from_seconds(1_777_000_000);
    let of = |owner| Series::of(Log::Enforcement, owner);
    let all = [
        of(1),
        of(1).of_kind(1),
        of(1).of_kind(2),
        of(1).of_person(1),
        of(11),
        of(-1),
        Series::of(Log::Activity, 1),
    ];
    let mut deltas = Deltas::default();
    for (power, series) in all.into_iter().enumerate() {
        deltas.add(series, at, 1 << power);
    }
    deltas.flush(&connection).expect("a flush");
    for (power, series) in all.into_iter().enumerate() {
        assert_eq!(series.total(&connection).expect("a total"), 1 << power, "{series:?}");
    }
    assert_eq!(Series::of(Log::Messages, 1).total(&connection).expect("a total"), 0);
}

#[test]
fn a_bucket_that_comes_to_none_is_removed() {
    let connection = database();
    let n_buckets = || {
        connection.query_row("SELECT count(*) FROM counts", [], |row| row.get::<_, i64>(0)).expect("a number")
    };
    let at = Timestamp::from_seconds(1_777_000_000);
    let mut deltas = Deltas::default();
    deltas.add(Series::of(Log::Messages, 1), at, 3);
    deltas.flush(&connection).expect("a flush");
    assert_eq!(n_buckets(), 2);
    for n in [-1, -2] {
        let mut deltas = Deltas::default();
        deltas.add(Series::of(Log::Messages, 1), at, n);
        deltas.flush(&connection).expect("a flush");
    }
    assert_eq!(n_buckets(), 0);
    // One comes and one goes in the same hour: nothing to write.
    let mut deltas = Deltas::default();
    deltas.add(Series::of(Log::Messages, 1), at, 1);
    deltas.add(Series::of(Log::Messages, 1), at, -1);
    deltas.flush(&connection).expect("a flush");
    assert_eq!(n_buckets(), 0);
}
