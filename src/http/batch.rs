//! One object, or many: how every write route takes its body.
//!
//! `{…}`, `{"<word>":[{…},…]}`, or NDJSON (`application/x-ndjson`, an object a line). A batch is all or nothing;
//! a refusal names the item or the line. The order of arrival is the order of recording.
//!
//! Items are read one by one, each within the bounds of a body of one: of a batch the rows that are to be recorded are
//! in memory, and no more of its JSON than its text.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::json::{self, Fields, Read};
use super::stream::{self, Piece};
use super::{Request, Response};
use crate::error::{Error, Result};

/// More would hold the writer too long in one transaction.
pub const MOST: usize = 50_000;

/// How a body came, and so how it is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    One,
    /// By the envelope's name of the list.
    List(Cow<'static, str>),
    Lines,
}

pub struct Batch<T> {
    shape: Shape,
    /// Each with its index in the list, or the number of its line.
    items: Vec<(usize, T)>,
}

impl<T> Batch<T> {
    /// One that did not come as JSON.
    pub fn one(item: T) -> Self {
        Self { shape: Shape::One, items: vec![(0, item)] }
    }

    /// The items, in their order.
    pub fn items(&self) -> impl Iterator<Item = &T> {
        self.items.iter().map(|(_, item)| item)
    }

    /// Makes something else of each item, in their order.
    pub fn map<R>(self, mut make: impl FnMut(T) -> Result<R>) -> Result<Batch<R>> {
        let shape = self.shape.clone();
        let mut items = Vec::with_capacity(self.items.len());
        self.each(|at, item| {
            items.push((at, make(item)?));
            Ok(())
        })?;
        Ok(Batch { shape, items })
    }

    /// Records each item, in their order; of what was recorded only as much is kept as the answer shows.
    pub fn record<R>(self, mut make: impl FnMut(T) -> Result<R>) -> Result<Recorded<R>> {
        let mut recorded = Recorded { shape: self.shape.clone(), n: 0, rows: Vec::new() };
        self.each(|_, item| {
            recorded.add(make(item)?);
            Ok(())
        })?;
        Ok(recorded)
    }

    /// Takes the items in their order, each with its number; a refusal gets the item's place.
    fn each(self, mut take: impl FnMut(usize, T) -> Result<()>) -> Result<()> {
        let Self { shape, items } = self;
        for (at, item) in items {
            take(at, item).map_err(|error| match &shape {
                Shape::One => error,
                Shape::List(word) => error.of_item(&item_place(word, at)),
                Shape::Lines => error.of_item(&line_place(at)),
            })?;
        }
        Ok(())
    }
}

/// What came of a batch.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Recorded<R> {
    pub shape: Shape,
    pub n: usize,
    /// All of them; of lines the first and the last.
    pub rows: Vec<R>,
}

impl<R> Recorded<R> {
    pub fn one(row: R) -> Self {
        Self { shape: Shape::One, n: 1, rows: vec![row] }
    }

    fn add(&mut self, row: R) {
        self.n += 1;
        match self.rows.get_mut(1) {
            Some(last) if self.shape == Shape::Lines => *last = row,
            _ => self.rows.push(row),
        }
    }

    /// A number for each.
    pub fn numbers(&self, number: impl Fn(&R) -> i64) -> Recorded<i64> {
        Recorded { shape: self.shape.clone(), n: self.n, rows: self.rows.iter().map(number).collect() }
    }

    /// What is answered to NDJSON: `{count, first_id, last_id}`.
    pub fn ids<I: Serialize>(&self, status: u16, id: impl Fn(&R) -> I) -> Result<Response> {
        let (first, last) = (self.rows.first().map(&id), self.rows.last().map(&id));
        Response::json(status, &json!({ "count": self.n, "first_id": first, "last_id": last }))
    }
}

impl<R: Serialize> Recorded<R> {
    /// What is answered when these were recorded: one object as a read would show it, the envelope with the objects
    /// and `count`, or for NDJSON their number and ends. `None` when the list is more than a piece: rows in hand take
    /// many times their bytes, and a client that does not take the answer must not make the process hold them.
    pub fn answer<I: Serialize>(&self, status: u16, id: impl Fn(&R) -> I) -> Result<Option<Response>> {
        let word = match &self.shape {
            Shape::One => return Response::json(status, &self.rows.first()).map(Some),
            Shape::Lines => return self.ids(status, id).map(Some),
            Shape::List(word) => word,
        };
        let mut piece = Piece::first();
        for row in &self.rows {
            if !piece.has_room() {
                return Ok(None);
            }
            piece.push(row)?;
        }
        let tail = format!(r#"],"count":{}}}"#, self.n);
        Ok(Some(stream::list(status, &format!(r#"{{"{word}":["#), piece, Some(tail), |_| Ok(None))))
    }
}

fn item_place(word: &str, at: usize) -> String {
    format!("{word}[{at}]")
}

fn line_place(number: usize) -> String {
    format!("line {number}")
}

/// Reads the body; `word` is the envelope's name of the list, `read` makes an item of the members of an object. No item
/// of a batch may be larger than `item_bytes`.
pub fn parse<T>(
    request: &Request,
    word: &'static str,
    item_bytes: usize,
    read: impl Fn(Fields) -> Result<T>,
) -> Result<Batch<T>> {
    if json::is_lines(request) {
        let items = lines(&request.body, item_bytes, read)?;
        return Ok(Batch { shape: Shape::Lines, items });
    }
    json::check_media_type(request)?;
    let mut items = Items::default();
    let body = json::read_items(&request.body, word, item_bytes, |value| {
        items.add(|at| read(Fields::of(value, &item_place(word, at))?));
    })?;
    match body {
        Read::Items(others) => {
            Fields::of(Value::Object(others), "")?.done()?;
            Ok(Batch { shape: Shape::List(word.into()), items: items.whole(word)? })
        }
        Read::Other(value) if value.get(word).is_some() => Err(Error::invalid(word, "is not a list")),
        Read::Other(value) => Ok(Batch::one(read(Fields::of(value, "")?)?)),
    }
}

/// The items of a batch while they come. What is malformed further on goes before what is refused of an item, and so
/// does their number: after the first refusal they are only counted.
struct Items<T> {
    n: usize,
    read: Vec<(usize, T)>,
    refusal: Option<Error>,
}

impl<T> Default for Items<T> {
    fn default() -> Self {
        Self { n: 0, read: Vec::new(), refusal: None }
    }
}

impl<T> Items<T> {
    fn add(&mut self, read: impl FnOnce(usize) -> Result<T>) {
        let at = self.n;
        self.n += 1;
        if self.n > MOST {
            self.read = Vec::new();
        } else if self.refusal.is_none() {
            match read(at) {
                Ok(item) => self.read.push((at, item)),
                Err(refusal) => self.refusal = Some(refusal),
            }
        }
    }

    fn whole(self, parameter: &str) -> Result<Vec<(usize, T)>> {
        enough(self.n, parameter)?;
        self.refusal.map_or(Ok(self.read), Err)
    }
}

fn lines<T>(body: &[u8], item_bytes: usize, read: impl Fn(Fields) -> Result<T>) -> Result<Vec<(usize, T)>> {
    let mut items = Vec::new();
    let body = json::without_bom(body);
    for (at, line) in body.split(|byte| *byte == b'\n').enumerate() {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let place = line_place(at + 1);
        if line.len() > item_bytes {
            let message = format!("{place}: has {} bytes; accepted: up to {item_bytes}", line.len());
            return Err(Error::Malformed(message));
        }
        if items.len() == MOST {
            let more = body.split(|byte| *byte == b'\n').skip(at);
            let n_more = more.filter(|line| !line.iter().all(u8::is_ascii_whitespace)).count();
            enough(MOST + n_more, "body")?;
        }
        let value = json::parse_line(line).map_err(|error| match error {
            Error::Malformed(message) => Error::Malformed(format!("{place}: {message}")),
            other => other,
        })?;
        items.push((at + 1, read(Fields::of(value, &place)?)?));
    }
    enough(items.len(), "body")?;
    Ok(items)
}

fn enough(n_items: usize, parameter: &str) -> Result<()> {
    match n_items {
        0 => Err(Error::invalid(parameter, "holds nothing to record")),
        1..=MOST => Ok(()),
        _ => Err(Error::invalid(
            parameter,
            format!("holds {n_items} items; accepted: up to {MOST} in one request"),
        )),
    }
}
