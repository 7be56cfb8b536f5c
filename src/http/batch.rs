//! One object, or many: how every write route takes its body.
//!
//! `{…}`, `{"<word>":[{…},…]}`, or NDJSON (`application/x-ndjson`, an object a line). A batch is all or nothing;
//! a refusal names the item or the line. The order of arrival is the order of recording.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::json;

use super::json::{self, Fields};
use super::{Request, Response};
use crate::error::{Error, Result};

/// More would hold the writer too long in one transaction.
const MOST: usize = 50_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    One,
    Json,
    Lines,
}

pub struct Batch<T> {
    shape: Shape,
    /// The envelope's name of the list.
    word: &'static str,
    /// Each with its index in the list, or the number of its line.
    items: Vec<(usize, T)>,
}

impl<T> Batch<T> {
    /// One that did not come as JSON.
    pub fn one(word: &'static str, item: T) -> Self {
        Self { shape: Shape::One, word, items: vec![(0, item)] }
    }

    /// Makes something else of each item, in their order; a refusal gets the item's place.
    pub fn map<R>(self, mut make: impl FnMut(T) -> Result<R>) -> Result<Batch<R>> {
        let Self { shape, word, items } = self;
        let mut made = Vec::with_capacity(items.len());
        for (at, item) in items {
            let item = make(item).map_err(|error| match shape {
                Shape::One => error,
                Shape::Json => error.of_item(&item_place(word, at)),
                Shape::Lines => error.of_item(&line_place(at)),
            })?;
            made.push((at, item));
        }
        Ok(Batch { shape, word, items: made })
    }

    /// The items in their order, without their places.
    fn items(&self) -> impl Iterator<Item = &T> {
        self.items.iter().map(|(_, item)| item)
    }
}

impl<R: Serialize> Batch<R> {
    /// What is answered when these were recorded: one object as a read would show it, the envelope with the objects
    /// and `count`, or for NDJSON `{count, first_id, last_id}`.
    pub fn answer<I: Serialize>(&self, status: u16, id: impl Fn(&R) -> I) -> Result<Response> {
        match self.shape {
            Shape::One => Response::json(status, &self.items().next()),
            Shape::Json => Response::json(status, self),
            Shape::Lines => {
                let (first, last) = (self.items().next().map(&id), self.items().last().map(&id));
                let ids = json!({ "count": self.items.len(), "first_id": first, "last_id": last });
                Response::json(status, &ids)
            }
        }
    }
}

/// The envelope.
impl<R: Serialize> Serialize for Batch<R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry(self.word, &self.items().collect::<Vec<_>>())?;
        map.serialize_entry("count", &self.items.len())?;
        map.end()
    }
}

fn item_place(word: &str, at: usize) -> String {
    format!("{word}[{at}]")
}

fn line_place(number: usize) -> String {
    format!("line {number}")
}

/// Reads the body; `word` is the envelope's name of the list, `read` makes an item of the members of an object.
pub fn parse<T>(
    request: &Request,
    word: &'static str,
    read: impl Fn(Fields) -> Result<T>,
) -> Result<Batch<T>> {
    if matches!(
        request.media_type().as_str(),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl"
    ) {
        let items = lines(&request.body, read)?;
        return Ok(Batch { shape: Shape::Lines, word, items });
    }
    let value = json::body(request)?;
    let Some(list) = value.get(word) else {
        return Ok(Batch::one(word, read(Fields::of(value, "")?)?));
    };
    if !list.is_array() {
        return Err(Error::invalid(word, "is not a list"));
    }
    let mut fields = Fields::of(value, "")?;
    let list = fields.list(word)?.unwrap_or_default();
    fields.done()?;
    enough(list.len(), word)?;
    let items = list
        .into_iter()
        .enumerate()
        .map(|(at, value)| Ok((at, read(Fields::of(value, &item_place(word, at))?)?)))
        .collect::<Result<_>>()?;
    Ok(Batch { shape: Shape::Json, word, items })
}

fn lines<T>(body: &[u8], read: impl Fn(Fields) -> Result<T>) -> Result<Vec<(usize, T)>> {
    let mut items = Vec::new();
    for (at, line) in body.split(|byte| *byte == b'\n').enumerate() {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let place = line_place(at + 1);
        let value = json::parse(line).map_err(|error| match error {
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
