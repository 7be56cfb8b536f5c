//! What is handed out so that others can check the logs without us: the proof of a row, of all rows of a list, the tree as
//! C2SP tlog-tiles serves it.
//!
//! Checkpoint, keys and tiles say how much is recorded and when, and nothing of what: they are for everybody with a key
//! or a session, and for strangers only where `public_tlog` says so. The proof of a row holds the row, and is for who
//! may read it: its log's folder has the route.

pub mod api;

use std::collections::VecDeque;

use rusqlite::Connection;
use serde::Serialize;
use serde_json::{Value, json};

use crate::app::{App, LOGS};
use crate::auth::Standing;
use crate::error::{Error, Result, Subject};
use crate::export;
use crate::http::Response;
use crate::http::stream::{self, Format};
use crate::store::Snapshot;
use crate::store::listing::{Cursor, Listing};
use crate::tlog::merkle::Hash;
use crate::tlog::note::Checkpoint;
use crate::tlog::proof::Proof;
use crate::tlog::{epochs, leaf_of_number, number_of};

/// The proof of the row with this number, as a text. Who asks may read the row: the caller has looked.
pub fn answer(app: &App, number: i64, subject: Subject) -> Result<Response> {
    let checkpoint = app.checkpoints.covering(&app.store, leaf_of_number(number) + 1)?;
    let proof = app.store.read(|snapshot| Proof::of(snapshot, LOGS, number, &checkpoint))?;
    let proof = proof.ok_or(Error::NotFound(subject))?;
    Ok(text(proof.to_string()))
}

/// The whole of a list by time up to number `last`: its rows, or their proofs. `find` gives a row by its number.
pub fn whole<R: Serialize + 'static>(
    app: &App,
    standing: &Standing,
    (list, last): (Listing, i64),
    format: Format,
    columns: &'static [&'static str],
    find: fn(&Connection, i64) -> Result<Option<R>>,
) -> Result<Response> {
    let walk =
        move |snapshot: &Snapshot<'_>, after: Option<&Cursor>| export::walk(snapshot, &list, after, last);
    Ok(match format {
        Format::Proof => stream(app, standing, export::numbers(standing, walk))?,
        _ => export::rows(standing, format, columns, walk, find),
    })
}

/// A piece of a stream of proofs ends with the proof that takes it over so many bytes.
const PIECE_BYTES: usize = 128 * 1024;

/// Streams the proofs of rows as NDJSON; `next` gives the numbers of the next few, none ends it. All are of one
/// checkpoint, which is the first line, with the keys it is verified with; rows that are newer than it are left out.
pub fn stream(
    app: &App,
    standing: &Standing,
    mut next: impl FnMut() -> Result<Vec<i64>> + Send + 'static,
) -> Result<Response> {
    let checkpoint = app.checkpoints.current(&app.store)?;
    let keys = app.store.read(|snapshot| epochs::verifiers(snapshot))?;
    let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
    let head = format!("{}\n", json!({ "checkpoint": checkpoint, "keys": keys }));
    let last = number_of(Checkpoint::of_note(&checkpoint)?.size) - 1;
    let standing = standing.clone();
    let mut numbers = VecDeque::new();
    Ok(stream::pieces("application/x-ndjson", Some(head.into_bytes()), move || {
        loop {
            if numbers.is_empty() {
                numbers.extend(next()?);
            }
            if numbers.is_empty() {
                return Ok(Vec::new());
            }
            // What is refused for now is asked again: the numbers go when their proofs are made.
            let (lines, n_done) = standing.read_piece(|snapshot| {
                let (mut lines, mut n_done) = (Vec::new(), 0);
                for &number in &numbers {
                    n_done += 1;
                    if number > last {
                        continue;
                    }
                    if let Some(proof) = Proof::of(snapshot, LOGS, number, &checkpoint)? {
                        lines.extend_from_slice(line(number, &proof)?.to_string().as_bytes());
                        lines.push(b'\n');
                    }
                    if lines.len() >= PIECE_BYTES {
                        break;
                    }
                }
                Ok((lines, n_done))
            })?;
            numbers.drain(..n_done);
            if !lines.is_empty() {
                return Ok(lines);
            }
        }
    }))
}

fn line(number: i64, proof: &Proof) -> Result<Value> {
    let record = std::str::from_utf8(&proof.line)
        .map_err(|_| Error::Mismatch(format!("row {number} holds a text that is no UTF-8")))?;
    let path: Vec<String> = proof.path.iter().map(Hash::to_string).collect();
    Ok(json!({ "seq": number, "index": proof.index, "path": path, "record": record }))
}

fn text(text: String) -> Response {
    Response::new(200, "text/plain; charset=utf-8", text)
}
