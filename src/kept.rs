//! Answers to writes, and how a retry gets the same one again.
//!
//! With an `Idempotency-Key` what is needed to make the answer again is kept in the transaction of the write. Of an
//! answer that shows rows of a log that is their numbers: the rows never change, and a retry shows them as they were.
//! What was erased or pruned meanwhile does not come back by a retry, and is not recorded a second time either. A
//! short answer is kept as it is; of one that shows a secret, only what it was about.
//!
//! # Bounds
//! Numbers of rows are kept as runs: a batch of 50,000 takes some bytes, at worst half a megabyte. Nothing else may be
//! larger than `LARGEST_BODY`.

use std::sync::Arc;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::app::{App, idempotency_key};
use crate::error::{Error, Result};
use crate::http::batch::{Recorded, Shape};
use crate::http::stream::{self, Piece};
use crate::http::{Body, Request, Response};
use crate::messages::shown::Client;
use crate::store::counts::Log;
use crate::store::idempotency::{self, Kept};
use crate::store::{Sharing, Store, Tx};
use crate::{activity, enforcement, messages};

/// Bytes of a request whose write takes long: some thousands of rows. It has a transaction to itself, and others go before.
const LARGE_WRITE: usize = 1024 * 1024;
/// Bytes of an answer that is kept as it is.
const LARGEST_BODY: usize = 256 * 1024;

/// An answer that shows rows of a log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Shown {
    status: u16,
    /// As in the database.
    log: i64,
    shape: Shape,
    n: usize,
    /// The numbers of the rows, in the order of the answer.
    #[serde(with = "runs")]
    rows: Vec<i64>,
    /// The last number of the write: what came later is not shown.
    last: i64,
    /// Put behind the members of the one object.
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<String>,
}

impl Shown {
    pub fn rows(status: u16, log: Log, numbers: Recorded<i64>, last: i64) -> Self {
        let Recorded { shape, n, rows } = numbers;
        Self { status, log: log as i64, shape, n, rows, last, action: None }
    }

    #[must_use]
    pub fn with_action(self, action: &str) -> Self {
        Self { action: Some(action.to_owned()), ..self }
    }
}

/// Puts a row into a piece as it was after the write with that last number, for that client; whether it is there still.
type Show = fn(&Connection, (i64, i64, Client), &mut Piece) -> Result<bool>;

fn show_of(log: i64) -> Result<(Show, &'static str)> {
    const SHOWN: [(Log, Show, &str); 3] = [
        (
            Log::Enforcement,
            |connection, (number, ..), piece| put(enforcement::sql::find(connection, number)?, piece),
            enforcement::sql::ROWS.table,
        ),
        (
            Log::Messages,
            |connection, (number, last, client), piece| {
                let entry = messages::sql::entry(connection, number, last)?;
                put(entry.map(|entry| entry.for_client(client)), piece)
            },
            messages::sql::ROWS.table,
        ),
        (
            Log::Activity,
            |connection, (number, ..), piece| put(activity::sql::find(connection, number)?, piece),
            activity::sql::ROWS.table,
        ),
    ];
    let found = SHOWN.into_iter().find(|(known, ..)| *known as i64 == log);
    found.map(|(_, show, table)| (show, table)).ok_or_else(|| Error::Internal(format!("no log {log}")))
}

fn put<R: Serialize>(row: Option<R>, piece: &mut Piece) -> Result<bool> {
    row.map(|row| piece.push(&row)).transpose().map(|pushed| pushed.is_some())
}

/// How a row is known here, and how to those who recorded it.
pub type Named<R, I> = (fn(&R) -> i64, fn(&R) -> I);

/// What a write came to: done now, or before.
enum Once<T> {
    Now(T),
    Before(Kept),
}

impl App {
    /// Runs a write that answers, honouring the request's `Idempotency-Key`: a retry gets the first answer again. A
    /// refused request keeps no answer.
    pub fn record(
        &self,
        workspace: i64,
        request: &Request,
        change: impl FnOnce(&mut Tx<'_>) -> Result<Response> + Send + 'static,
    ) -> Result<Response> {
        let keep = |_: &Tx<'_>, response: &Response| keep_body(response);
        match self.once(workspace, request, Sharing::Savepoint, change, keep)? {
            Once::Now(response) => Ok(response),
            Once::Before(kept) => self.again(request, kept),
        }
    }

    /// `record` for an answer that shows a secret, and `what` it is the secret of. A retry is told that, and not the
    /// secret, which is not kept.
    pub fn record_secret(
        &self,
        workspace: i64,
        request: &Request,
        change: impl FnOnce(&mut Tx<'_>) -> Result<(Response, String)> + Send + 'static,
    ) -> Result<Response> {
        let keep = |_: &Tx<'_>, (_, what): &(Response, String)| Ok(Kept::ShownOnce(what.clone()));
        match self.once(workspace, request, Sharing::Savepoint, change, keep)? {
            Once::Now((response, _)) => Ok(response),
            Once::Before(kept) => self.again(request, kept),
        }
    }

    /// `record` for an answer that shows rows of a log: it is put into words after the commit, while the next one runs.
    pub fn record_shown(
        &self,
        workspace: i64,
        request: &Request,
        sharing: Sharing,
        change: impl FnOnce(&mut Tx<'_>) -> Result<Shown> + Send + 'static,
    ) -> Result<Response> {
        let keep = |_: &Tx<'_>, shown: &Shown| keep_rows(shown);
        match self.once(workspace, request, sharing, change, keep)? {
            Once::Now(shown) => show(&self.store, Client::of(request), shown),
            Once::Before(kept) => self.again(request, kept),
        }
    }

    /// `record_shown` for rows that are in hand: a few of them need not be read to be shown.
    pub fn record_batch<R: Serialize + Send + 'static, I: Serialize + 'static>(
        &self,
        workspace: i64,
        request: &Request,
        log: Log,
        change: impl FnOnce(&mut Tx<'_>) -> Result<Recorded<R>> + Send + 'static,
        (number, id): Named<R, I>,
    ) -> Result<Response> {
        let shown = move |recorded: &Recorded<R>, last| Shown::rows(201, log, recorded.numbers(number), last);
        let change = move |tx: &mut Tx<'_>| change(tx).map(|recorded| (recorded, tx.last_number()));
        let keep = move |_: &Tx<'_>, (recorded, last): &(Recorded<R>, i64)| match recorded.shape {
            // Two ids say it all, also when the rows have gone.
            Shape::Lines => keep_body(&recorded.ids(201, id)?),
            _ => keep_rows(&shown(recorded, *last)),
        };
        match self.once(workspace, request, Sharing::Checked, change, keep)? {
            Once::Now((recorded, last)) => match recorded.answer(201, id)? {
                Some(response) => Ok(response),
                None => show(&self.store, Client::of(request), shown(&recorded, last)),
            },
            Once::Before(kept) => self.again(request, kept),
        }
    }

    fn once<T: Send + 'static>(
        &self,
        workspace: i64,
        request: &Request,
        sharing: Sharing,
        change: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
        keep: impl FnOnce(&Tx<'_>, &T) -> Result<Kept> + Send + 'static,
    ) -> Result<Once<T>> {
        let sharing = if request.body.len() > LARGE_WRITE { Sharing::Alone } else { sharing };
        let Some(key) = idempotency_key(self, workspace, request)? else {
            return self.store.write_as(sharing, change).map(Once::Now);
        };
        let lifetime = self.answers_live();
        // Under a savepoint, however it is without a key: what is kept may be refused by the disk.
        self.store.write(move |tx| {
            if let Some(kept) = idempotency::find(tx, &key, tx.believed.plus_seconds(-lifetime))? {
                return Ok(Once::Before(kept));
            }
            let done = change(tx)?;
            let kept = keep(tx, &done)?;
            idempotency::keep(tx, &key, &kept)?;
            Ok(Once::Now(done))
        })
    }

    /// The answer that was kept for a write, before anything else is looked at: what it was about may be gone by now, or
    /// stand otherwise, and it was recorded all the same.
    pub fn kept_answer(&self, workspace: i64, request: &Request) -> Result<Option<Response>> {
        if request.method.is_safe() {
            return Ok(None);
        }
        let Some(key) = idempotency_key(self, workspace, request)? else { return Ok(None) };
        let oldest = self.believed().plus_seconds(-self.answers_live());
        let kept = self.store.read(|snapshot| idempotency::find(snapshot, &key, oldest))?;
        kept.map(|kept| self.again(request, kept)).transpose()
    }

    /// Seconds.
    fn answers_live(&self) -> i64 {
        i64::try_from(self.config.idempotency_lifetime.as_secs()).unwrap_or(i64::MAX)
    }

    /// The first answer again.
    ///
    /// # Errors
    /// `Conflict` where it showed a secret, or what is gone.
    fn again(&self, request: &Request, kept: Kept) -> Result<Response> {
        let response = match kept {
            Kept::Body { status, body } if body.is_empty() => Response::empty(status),
            Kept::Body { status, body } => Response::new(status, "application/json", body),
            Kept::Rows(text) => {
                let shown: Shown = serde_json::from_str(&text)
                    .map_err(|error| Error::Internal(format!("a kept answer cannot be read: {error}")))?;
                // Of lines two ids are told, which say nothing of what is gone.
                if shown.shape != Shape::Lines {
                    let (_, table) = show_of(shown.log)?;
                    let n_there =
                        self.store.read(|snapshot| idempotency::count_there(snapshot, table, &shown.rows))?;
                    if n_there < distinct(&shown.rows) {
                        return Err(gone());
                    }
                }
                show(&self.store, Client::of(request), shown)?
            }
            Kept::ShownOnce(what) => {
                let message = format!(
                    "{what} was made under this Idempotency-Key; what was shown with it then is not kept, and is not shown again"
                );
                return Err(Error::conflict("shown_once", message));
            }
            Kept::Gone => return Err(gone()),
        };
        Ok(response.with("Idempotency-Replayed", "true"))
    }
}

fn distinct(numbers: &[i64]) -> i64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    sorted.len() as i64
}

fn gone() -> Error {
    let message = "what was recorded under this Idempotency-Key was removed meanwhile, or its answer is not there as it was kept; nothing is recorded again";
    Error::conflict("recorded_and_removed", message)
}

fn keep_body(response: &Response) -> Result<Kept> {
    match &response.body {
        Body::Bytes(body) if body.len() <= LARGEST_BODY => {
            Ok(Kept::Body { status: response.status, body: body.clone() })
        }
        _ => Err(Error::Internal("an answer is too large to be kept".into())),
    }
}

fn keep_rows(shown: &Shown) -> Result<Kept> {
    let text = serde_json::to_string(shown)
        .map_err(|error| Error::Internal(format!("an answer cannot be kept: {error}")))?;
    Ok(Kept::Rows(text))
}

/// The answer, read from the rows. Those that are gone by now (the write is long answered then) are left out.
fn show(store: &Arc<Store>, client: Client, shown: Shown) -> Result<Response> {
    let (show, _) = show_of(shown.log)?;
    let Shown { status, shape, n, rows, last, action, .. } = shown;
    if shape == Shape::Lines {
        return Recorded { shape, n, rows }.ids(status, |number| *number);
    }
    let (mut at, store) = (0, Arc::clone(store));
    // Puts what is left into a piece; whether that is all.
    let mut fill = move |piece: &mut Piece| {
        store.read(|snapshot| {
            for number in &rows[at..] {
                if !piece.has_room() {
                    break;
                }
                if !show(snapshot, (*number, last, client), piece)? {
                    piece.pass();
                }
            }
            Ok(())
        })?;
        at += piece.n_passed();
        Ok::<_, Error>(at == rows.len())
    };
    let mut first = Piece::first();
    let is_whole = fill(&mut first)?;
    let Shape::List(word) = shape else {
        let mut object = first.into_bytes();
        if object.is_empty() {
            return Err(gone());
        }
        if let Some(action) = action {
            object.pop();
            object.extend_from_slice(format!(r#","action":{}}}"#, serde_json::json!(action)).as_bytes());
        }
        return Ok(Response::new(status, "application/json", object));
    };
    let mut n_rows = first.n_rows();
    let tail = |n_rows| format!(r#"],"count":{n_rows}}}"#);
    let end = is_whole.then(|| tail(n_rows));
    Ok(stream::list(status, &format!(r#"{{"{word}":["#), first, end, move |piece| {
        let is_whole = fill(piece)?;
        n_rows += piece.n_rows();
        Ok(is_whole.then(|| tail(n_rows)))
    }))
}

/// Numbers as runs of equal steps: `1001 1*49999`.
mod runs {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(numbers: &[i64], serializer: S) -> Result<S::Ok, S::Error> {
        let mut runs: Vec<(i64, usize)> = Vec::new();
        let mut before = 0_i64;
        for number in numbers {
            let step = number.wrapping_sub(before);
            match runs.last_mut() {
                Some((of, n)) if *of == step => *n += 1,
                _ => runs.push((step, 1)),
            }
            before = *number;
        }
        let words: Vec<String> = runs
            .into_iter()
            .map(|(step, n)| if n == 1 { step.to_string() } else { format!("{step}*{n}") })
            .collect();
        serializer.serialize_str(&words.join(" "))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<i64>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (mut numbers, mut before) = (Vec::new(), 0_i64);
        for word in text.split_ascii_whitespace() {
            let (step, n) = word.split_once('*').unwrap_or((word, "1"));
            let (Ok(step), Ok(n)) = (step.parse::<i64>(), n.parse::<usize>()) else {
                return Err(serde::de::Error::custom("no run of numbers"));
            };
            // More is in no batch.
            if numbers.len().saturating_add(n) > crate::http::batch::MOST {
                return Err(serde::de::Error::custom("too many numbers"));
            }
            for _ in 0..n {
                before = before.wrapping_add(step);
                numbers.push(before);
            }
        }
        Ok(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_kept_in_few_bytes_and_come_back_as_they_were() {
        let there_and_back = |numbers: Vec<i64>| {
            let kept = Shown::rows(201, Log::Messages, Recorded::one(1), 9);
            let text = serde_json::to_string(&Shown { rows: numbers.clone(), ..kept }).expect("a text");
            let read: Shown = serde_json::from_str(&text).expect("what was written");
            assert_eq!(read.rows, numbers);
            text.len()
        };
        assert!(there_and_back((1001..51_001).collect()) < 120);
        assert!(there_and_back((1..50_000).map(|n| n * 3).collect()) < 120);
        assert!(there_and_back((0..50_000).map(|n| n + n / 7 + n / 3).collect()) < 200_000);
        let scattered = (0..50_000_i64).map(|n| n.wrapping_mul(7_919_777) % 1_000_000_000).collect();
        assert!(there_and_back(scattered) < 600_000);
        for few in [vec![], vec![7], vec![7, 7, 7], vec![9, 3, i64::MAX, 1]] {
            there_and_back(few);
        }
    }
}
