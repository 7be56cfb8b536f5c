//! Lists on their way out, for somebody who may read them for as long as that lasts: a page of one, and the whole.
//!
//! Rows are read in pieces of bounded size, so that what nobody takes is not held, and before each piece it is looked at
//! again whether the caller may (`auth::Standing`).
//!
//! For the whole of a list the log gives two things: how it is walked, a few numbers at a time from a place on, and how a
//! row is shown. Numbers are walked in steps of bounded work, also where a filter leaves nearly nothing of what it looks
//! through. Nothing recorded after the start is in it, so that it ends.
//!
//! A page by offset is never cut short, however large its rows are: the vendors' clients go on by as many as they asked
//! for, and would pass over what was left out. Its rows are those of one snapshot, the first piece is read in it, and the
//! rest by their numbers.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use rusqlite::{Connection, Row};
use serde::Serialize;

use crate::auth::Standing;
use crate::error::{Error, Result};
use crate::http::stream::{self, Format, Piece};
use crate::http::{Query, Response};
use crate::store::Snapshot;
use crate::store::listing::{Cursor, Listing, Start};

/// A page of a list by time, as it was read in its snapshot.
pub struct Page {
    first: Piece,
    /// The numbers of those of its rows that did not fit.
    rest: VecDeque<i64>,
    /// Its last row, when there are more behind it.
    pub last: Option<Cursor>,
}

impl Page {
    pub fn read<R: Serialize>(
        connection: &Connection,
        list: &Listing,
        start: Start,
        limit: i64,
        from_row: fn(&Row<'_>) -> rusqlite::Result<R>,
    ) -> Result<Self> {
        let (piece, is_full, pushed) = (RefCell::new(Piece::first()), Cell::new(false), Cell::new(Ok(())));
        let most = usize::try_from(limit).unwrap_or_default();
        let mut rows = list.page(connection, start, limit.saturating_add(1), |row| {
            let mut piece = piece.borrow_mut();
            // One more than the page has says that there are more.
            is_full.set(is_full.get() || !piece.has_room() || piece.n_rows() == most);
            if !is_full.get()
                && let Err(error) = piece.push(&from_row(row)?)
            {
                pushed.set(Err(error));
            }
            Ok(Cursor { created_at: row.get("created_at")?, seq: row.get("seq")? })
        })?;
        pushed.into_inner()?;
        let first = piece.into_inner();
        let has_more = rows.len() > most;
        rows.truncate(most);
        let last = rows.last().copied().filter(|_| has_more);
        let rest = rows.iter().skip(first.n_rows()).map(|cursor| cursor.seq).collect();
        Ok(Self { first, rest, last })
    }

    pub fn n_rows(&self) -> usize {
        self.first.n_rows() + self.rest.len()
    }

    /// The answer: `head` up to the bracket that opens the list, then the rows, then what `tail` makes of their number,
    /// from the bracket that closes it on. `find` gives a row by its number.
    pub fn answer<R: Serialize + 'static>(
        self,
        standing: &Standing,
        head: &str,
        find: fn(&Connection, i64) -> Result<Option<R>>,
        tail: impl Fn(usize) -> String + Send + 'static,
    ) -> Response {
        let Self { first, mut rest, .. } = self;
        let mut n_rows = first.n_rows();
        let end = rest.is_empty().then(|| tail(n_rows));
        let standing = standing.clone();
        stream::list(200, head, first, end, move |piece| {
            standing.read_piece(|snapshot| fill(snapshot, &rest, piece, find))?;
            rest.drain(..piece.n_passed());
            n_rows += piece.n_rows();
            Ok(rest.is_empty().then(|| tail(n_rows)))
        })
    }
}

/// A page of a list of owners: tenants, mailboxes, keys, people.
///
/// The vendors have no paging there, and their clients ask for none: without `limit` a page has as many as anybody has, up
/// to a bound in rows and in bytes, and what it says of there being more stands after the vendor's members.
pub struct Owners {
    /// Inner key of the one before the first.
    after: i64,
    n_left: usize,
    n_bytes: usize,
    /// The outer id of the last.
    last: serde_json::Value,
}

/// Owners in one page, and bytes of it.
const MOST_OWNERS: i64 = 10_000;
const OWNERS_BYTES: usize = 4 * 1024 * 1024;
/// Owners read at a time.
const OWNERS_AT_ONCE: usize = 256;

impl Owners {
    /// The parameters that every list of owners has.
    pub const PARAMETERS: [&str; 2] = ["limit", "cursor"];

    /// Reads them; `key` finds the inner key of what the cursor names, by its outer id.
    pub fn parse(query: &Query, key: impl FnOnce(&str) -> Result<Option<i64>>) -> Result<Self> {
        let limit = query.integer("limit", "1 to 10000")?.unwrap_or(MOST_OWNERS).clamp(1, MOST_OWNERS);
        let after = match query.text("cursor")? {
            None => 0,
            Some(text) => key(text)?.ok_or_else(|| {
                let message =
                    format!("{text:?} is not a cursor; accepted: the next_cursor of an earlier page");
                Error::invalid("cursor", message)
            })?,
        };
        Ok(Self {
            after,
            n_left: usize::try_from(limit).unwrap_or_default(),
            n_bytes: 0,
            last: serde_json::Value::Null,
        })
    }

    /// The answer: `head` up to the bracket that opens the list, the owners, then `tail` and `next_cursor`. `read` gives
    /// up to so many after an inner key, in the order of keys, each with its own and its outer id.
    pub fn answer<R: Serialize>(
        mut self,
        standing: &Standing,
        first: &Connection,
        (head, tail): (&str, String),
        read: impl Fn(&Connection, i64, i64) -> Result<Vec<Owner<R>>> + Send + 'static,
    ) -> Result<Response> {
        let end = move |owners: &Self, has_more: bool| {
            let next_cursor = if has_more { &owners.last } else { &serde_json::Value::Null };
            format!(r#"]{tail},"next_cursor":{next_cursor}}}"#)
        };
        let mut piece = Piece::first();
        let is_over = self.fill(first, &mut piece, &read)?;
        let tail = is_over.map(|has_more| end(&self, has_more));
        let standing = standing.clone();
        Ok(stream::list(200, head, piece, tail, move |piece| {
            let is_over = standing.read_piece(|snapshot| self.fill(snapshot, piece, &read))?;
            Ok(is_over.map(|has_more| end(&self, has_more)))
        }))
    }

    /// Puts owners into a piece. At the end of the page says whether there are more behind it. Nothing is counted until
    /// all of it is read: it may be asked again.
    fn fill<R: Serialize>(
        &mut self,
        connection: &Connection,
        piece: &mut Piece,
        read: impl Fn(&Connection, i64, i64) -> Result<Vec<Owner<R>>>,
    ) -> Result<Option<bool>> {
        let (mut after, mut n_left, mut last) = (self.after, self.n_left, None);
        let is_over = 'piece: loop {
            let n = n_left.min(OWNERS_AT_ONCE);
            let mut owners = read(connection, after, n as i64 + 1)?.into_iter();
            let has_more = owners.len() > n;
            for owner in owners.by_ref().take(n) {
                piece.push(&owner.shown)?;
                (after, n_left, last) = (owner.key, n_left - 1, Some(owner.id));
                let is_full = self.n_bytes + piece.n_bytes() >= OWNERS_BYTES;
                if is_full || !piece.has_room() {
                    let is_last = owners.len() == 0;
                    break 'piece if is_full || is_last { Some(!is_last) } else { None };
                }
            }
            if !has_more || n_left == 0 {
                break Some(has_more);
            }
        };
        (self.after, self.n_left) = (after, n_left);
        self.n_bytes += piece.n_bytes();
        self.last = last.unwrap_or_else(|| self.last.take());
        Ok(is_over)
    }
}

/// An owner to be shown.
pub struct Owner<R> {
    pub key: i64,
    /// As it is named outside; what a page begins after.
    pub id: serde_json::Value,
    pub shown: R,
}

/// Numbers that one walk gives at most.
pub const NUMBERS: usize = 256;
/// Rows that one walk looks at at most, whatever is meant of them: some milliseconds.
pub const LOOKED_AT: i64 = 20_000;

/// What a walk found.
pub struct Walked<P> {
    /// The numbers of rows that are meant, in the order of the list.
    pub numbers: Vec<i64>,
    /// From where the next one goes on; `None`: the list is at its end.
    pub next: Option<P>,
}

/// How a list is walked from a place on; without one from its beginning.
pub trait Walk<P>: FnMut(&Snapshot<'_>, Option<&P>) -> Result<Walked<P>> + Send + 'static {}
impl<P, F: FnMut(&Snapshot<'_>, Option<&P>) -> Result<Walked<P>> + Send + 'static> Walk<P> for F {}

/// Walks a list by time, among the rows up to number `last`.
pub fn walk(
    connection: &Connection,
    list: &Listing,
    after: Option<&Cursor>,
    last: i64,
) -> Result<Walked<Cursor>> {
    let (found, next) = list.walk_on(connection, after, last, (NUMBERS, LOOKED_AT))?;
    Ok(Walked { numbers: found.iter().map(|cursor| cursor.seq).collect(), next })
}

/// Streams every row of a list, as CSV or NDJSON. `find` gives a row by its number.
pub fn rows<P: Send + 'static, R: Serialize>(
    standing: &Standing,
    format: Format,
    columns: &'static [&'static str],
    mut walk: impl Walk<P>,
    find: impl Fn(&Connection, i64) -> Result<Option<R>> + Send + 'static,
) -> Response {
    let standing = standing.clone();
    let mut at = Way::default();
    stream::rows(format, columns, move |piece| {
        standing.read_piece(|snapshot| {
            // What was walked stays walked, should the showing be refused for now.
            at.fill(snapshot, &mut walk)?;
            fill(snapshot, &at.numbers, piece, &find)
        })?;
        at.numbers.drain(..piece.n_passed());
        Ok(!at.is_over())
    })
}

/// Puts rows into a piece until it is full.
fn fill<R: Serialize>(
    connection: &Connection,
    numbers: &VecDeque<i64>,
    piece: &mut Piece,
    find: impl Fn(&Connection, i64) -> Result<Option<R>>,
) -> Result<()> {
    for number in numbers {
        if !piece.has_room() {
            break;
        }
        match find(connection, *number)? {
            Some(row) => piece.push(&row)?,
            // Pruned meanwhile.
            None => piece.pass(),
        }
    }
    Ok(())
}

/// The numbers of every row of a list, some at a time; none at its end.
pub fn numbers<P: Send + 'static>(
    standing: &Standing,
    mut walk: impl Walk<P>,
) -> impl FnMut() -> Result<Vec<i64>> + Send + 'static {
    let standing = standing.clone();
    let mut at = Way::default();
    move || {
        while !at.is_over() {
            standing.read_piece(|snapshot| at.fill(snapshot, &mut walk))?;
            if !at.numbers.is_empty() {
                return Ok(at.numbers.drain(..).collect());
            }
        }
        Ok(Vec::new())
    }
}

/// How far a walk has come.
struct Way<P> {
    /// Walked and not shown yet.
    numbers: VecDeque<i64>,
    place: Option<P>,
    is_at_end: bool,
}

impl<P> Default for Way<P> {
    fn default() -> Self {
        Self { numbers: VecDeque::new(), place: None, is_at_end: false }
    }
}

impl<P> Way<P> {
    fn fill(&mut self, snapshot: &Snapshot<'_>, walk: &mut impl Walk<P>) -> Result<()> {
        if self.numbers.is_empty() && !self.is_at_end {
            let Walked { numbers, next } = walk(snapshot, self.place.as_ref())?;
            self.numbers.extend(numbers);
            self.is_at_end = next.is_none();
            self.place = next;
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.numbers.is_empty() && self.is_at_end
    }
}
