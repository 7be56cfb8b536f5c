//! Following a log: what was recorded after a number, in the order of recording, oldest first.
//!
//! Numbers rise with each row that is recorded, whatever its own time, and one writer gives them out. So what is there up
//! to the last number of a snapshot is all that will ever be there up to it: `next_after` says how far an answer is
//! complete, and whoever goes on from there gets every row once. Numbers of rows that were removed are passed over.
//!
//! An answer is bounded three ways: in rows, in bytes, and in how many rows were looked at for it. The last two end it
//! early, perhaps empty; it goes on from `next_after` all the same.

use rusqlite::Connection;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::export::LOOKED_AT;
use crate::http::route::limit;
use crate::http::stream::{Format, Piece};
use crate::http::{Request, Response};
use crate::store::backup::last_seq;
use crate::store::following::{After, Followed, Place};

/// Reads `after` and `limit`; `None` where the list is not followed. `own` are the filters of the list.
pub fn parse(request: &Request, own: &[&str]) -> Result<Option<After>> {
    let query = &request.query;
    let Some(number) = query.integer("after", "a number, as in seq and next_after, or 0")? else {
        return Ok(None);
    };
    if let Some(name) = ["from", "to", "order", "offset", "cursor"].into_iter().find(|name| query.has(name)) {
        let message =
            "cannot be given with after, which lists in the order of recording; accepted: one of the two";
        return Err(Error::invalid(name, message));
    }
    query.only(&[own, &["after", "limit", "format"]].concat())?;
    if number < 0 {
        return Err(Error::invalid("after", format!("{number} is not acceptable; accepted: 0 or more")));
    }
    Format::of(request)?.refuse_paging(query)?;
    let limit = usize::try_from(limit(query)?).unwrap_or_default();
    Ok(Some(After { number, most: limit, most_looked_at: LOOKED_AT }))
}

/// The rows of a page in one snapshot, and up to which number it is complete.
pub fn page<R: Serialize>(
    connection: &Connection,
    followed: &Followed,
    find: impl Fn(&Connection, Place) -> Result<Option<R>>,
) -> Result<(Piece, i64)> {
    let mut piece = Piece::first();
    for (at, place) in followed.places.iter().enumerate() {
        match find(connection, *place)? {
            Some(row) => piece.push(&row)?,
            None => piece.pass(),
        }
        if !piece.has_room() && at + 1 < followed.places.len() {
            return Ok((piece, place.0));
        }
    }
    match followed.stopped_at {
        Some(number) => Ok((piece, number)),
        None => Ok((piece, last_seq(connection)?)),
    }
}

/// The answer: the rows under the log's own word, and how far it is complete.
pub fn answer(word: &str, piece: Piece, next_after: i64) -> Response {
    let mut body = format!(r#"{{"{word}":["#).into_bytes();
    body.extend_from_slice(&piece.into_bytes());
    body.extend_from_slice(format!(r#"],"next_after":{next_after}}}"#).as_bytes());
    Response::new(200, "application/json", body)
}
