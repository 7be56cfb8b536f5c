//! Notes who takes a log away, for that is asked after every leak.
//!
//! An export is noted before its first row leaves: one that cannot be noted does not happen. Whoever reads page by page
//! takes as much. So there is one note when a caller has read more than `MOST` rows of one filter within an hour, and one
//! more when their other filters together come to as many. Times and the order count as ways to page, not as filters.
//!
//! A note takes room for good, so who may only read could fill the disk with exports: of one caller there are
//! `MOST_EXPORTS` in an hour, and those past it are refused rather than not noted.
//!
//! The counts are kept in memory, in a fixed number of places (`auth::places`). A restart forgets those of the hour.

use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value, json};

use crate::app::App;
use crate::auth::places::{Places, Remembered};
use crate::error::{Error, Result};
use crate::http::{Method, Request};
use crate::store::{Asker, By, Note};
use crate::time::Timestamp;

/// Rows that a caller may read in an hour before it counts as taking the log away.
pub const MOST: u64 = 1000;

/// Exports of one caller in an hour.
pub const MOST_EXPORTS: u64 = 1000;

/// The parameters that say which page, and not of what.
const PAGING: [&str; 8] = ["limit", "offset", "cursor", "after", "from", "to", "order", "format"];

/// A log, or a part of it, in somebody's hands.
pub struct Taker<'a> {
    /// The workspace, and the project where it is one's.
    pub at: (i64, Option<i64>),
    pub by: &'a By,
    /// As in the log line: `key <id>`, `user <id>`, `operator`.
    pub id: String,
    pub action: &'static str,
    pub target: (&'static str, String),
}

#[derive(Default)]
pub struct Pages(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    /// By caller, log and filter.
    filters: Places<Read>,
    /// By caller and log of a workspace: the rows that no note of a filter covers.
    rest: Places<Read>,
    /// By caller: not rows, but exports.
    exports: Places<Read>,
}

#[derive(Default)]
struct Read {
    hour: i64,
    n_rows: u64,
    is_noted: bool,
}

impl Read {
    fn of(&mut self, hour: i64) -> &mut Self {
        if self.hour != hour {
            *self = Self { hour, ..Self::default() };
        }
        self
    }

    /// Whether these rows are the first past the bound.
    fn add(&mut self, n_rows: u64) -> bool {
        self.n_rows = self.n_rows.saturating_add(n_rows);
        let is_first = self.n_rows > MOST && !self.is_noted;
        self.is_noted |= is_first;
        is_first
    }
}

impl Remembered for Read {
    fn weight(&self, now: Timestamp) -> i64 {
        if self.hour == now.hour() { i64::try_from(self.n_rows).unwrap_or(i64::MAX) } else { 0 }
    }
}

/// What there is to note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Filter,
    ManyFilters,
}

impl Pages {
    fn add(&self, taker: &str, filter: &str, n_rows: u64, now: Timestamp) -> Option<Due> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let read = counts.filters.at(filter, now).of(now.hour());
        if read.is_noted {
            return None;
        }
        if read.add(n_rows) {
            let before = read.n_rows - n_rows;
            let rest = counts.rest.at(taker, now).of(now.hour());
            rest.n_rows = rest.n_rows.saturating_sub(before);
            return Some(Due::Filter);
        }
        counts.rest.at(taker, now).of(now.hour()).add(n_rows).then_some(Due::ManyFilters)
    }

    /// Counts an export.
    ///
    /// # Errors
    /// `TooMany` past those of the hour.
    fn add_export(&self, taker: &str, now: Timestamp) -> Result<()> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let exports = counts.exports.at(taker, now).of(now.hour());
        if exports.n_rows == MOST_EXPORTS {
            let message = format!("more than {MOST_EXPORTS} exports in an hour; ask for pages, or later");
            return Err(Error::TooMany { retry_after: now.seconds_to_next_hour(), message });
        }
        exports.n_rows += 1;
        Ok(())
    }

    /// As a restart does.
    pub fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Counts::default();
    }

    /// It could not be noted: the next page is to be.
    fn take_back(&self, taker: &str, filter: &str, due: Due, now: Timestamp) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match due {
            Due::Filter => counts.filters.at(filter, now).of(now.hour()).is_noted = false,
            Due::ManyFilters => counts.rest.at(taker, now).of(now.hour()).is_noted = false,
        }
    }
}

impl App {
    /// Notes that a whole log is handed out. Before its first row, so that an export that cannot be noted does not
    /// happen.
    pub fn note_export(&self, taker: Taker<'_>, request: &Request) -> Result<()> {
        if request.method == Method::Head {
            return Ok(());
        }
        if request.asker != Asker::Operator {
            self.pages.add_export(&taker.id, self.clock.now())?;
        }
        let asked: Map<String, Value> =
            request.query.pairs().map(|(name, value)| (name.to_owned(), value.into())).collect();
        self.note_taken(taker, json!({ "asked": asked }))
    }

    /// Counts rows that are handed out by the page, or one by one, and notes it past `MOST` in an hour. Before they go.
    pub fn note_page(&self, taker: Taker<'_>, request: &Request, n_rows: usize) -> Result<()> {
        if request.method == Method::Head || n_rows == 0 {
            return Ok(());
        }
        let asked: Map<String, Value> = request
            .query
            .pairs()
            .filter(|(name, _)| !PAGING.contains(name))
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        let mut sorted: Vec<_> = asked.iter().collect();
        sorted.sort_unstable_by_key(|(name, _)| *name);
        let who = format!("{} {} {}", taker.id, taker.at.0, taker.action);
        let filter = format!("{who} {:?} {:?} {sorted:?}", taker.at.1, taker.target);
        let now = self.clock.now();
        let Some(due) = self.pages.add(&who, &filter, n_rows as u64, now) else { return Ok(()) };
        let metadata = match due {
            Due::Filter => json!({ "asked": asked, "paged": true, "more_than": MOST }),
            Due::ManyFilters => {
                json!({ "asked": asked, "paged": true, "more_than": MOST, "with_other_filters": true })
            }
        };
        self.note_taken(taker, metadata).inspect_err(|_| self.pages.take_back(&who, &filter, due, now))
    }

    fn note_taken(&self, taker: Taker<'_>, metadata: Value) -> Result<()> {
        let ((workspace, project), (target_type, target_id)) = (taker.at, taker.target);
        let note = Note {
            workspace: Some(workspace),
            project,
            by: taker.by.clone(),
            action: taker.action,
            target_type,
            target_id,
            metadata,
        };
        self.store.write(move |tx| tx.note(note))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_one_caller_there_are_so_many_exports_in_an_hour() {
        let pages = Pages::default();
        let at = |seconds: i64| Timestamp::from_seconds(1_777_557_600 + seconds);
        for n in 0..MOST_EXPORTS {
            pages.add_export("key 1", at(600)).unwrap_or_else(|error| panic!("{n}: {error}"));
        }
        let refused = pages.add_export("key 1", at(601)).map_err(|error| error.retry_after());
        assert_eq!(refused, Err(Some(2999)));
        assert!(pages.add_export("key 2", at(601)).is_ok(), "another's");
        assert!(pages.add_export("key 1", at(3600)).is_ok(), "the next hour");
    }

    #[test]
    fn one_note_a_filter_and_hour_and_one_for_the_rest() {
        let pages = Pages::default();
        let at = |seconds: i64| Timestamp::from_seconds(1_777_558_000 + seconds);
        let add = |filter: &str, n, now| pages.add("k", filter, n, now);
        assert_eq!(add("a", 1000, at(0)), None);
        assert_eq!(add("a", 1, at(1)), Some(Due::Filter));
        assert_eq!(add("a", 200, at(2)), None);
        // What was noted counts no more.
        assert_eq!((0..5).filter_map(|n| add(&format!("b{n}"), 200, at(3))).count(), 0);
        assert_eq!(add("b5", 200, at(3)), Some(Due::ManyFilters));
        assert_eq!(add("b6", 900, at(3)), None);
        assert_eq!(add("b6", 900, at(3)), Some(Due::Filter));
        assert_eq!(pages.add("other", "a of another", 1000, at(4)), None);
        // The next hour begins anew.
        assert_eq!(add("a", 1000, at(3600)), None);
        assert_eq!(add("a", 1, at(3601)), Some(Due::Filter));
        pages.take_back("k", "a", Due::Filter, at(3601));
        assert_eq!(add("a", 1, at(3602)), Some(Due::Filter));
    }
}
