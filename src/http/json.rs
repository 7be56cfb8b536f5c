//! JSON bodies, read strictly: UTF-8, no member twice, at most 64 levels deep.
//!
//! `Fields` takes the members of an object one by one and refuses what is left over, so that a misspelt member is
//! an error and not a silent loss. A refusal names the member with its place: `events[3].sent_count`.

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::Request;
use crate::error::{Error, Result};
use crate::ids::Uuid;
use crate::time::Timestamp;

const DEEPEST: usize = 64;

/// The body as JSON, whatever media type was named: curl sends form-encoded by default, clients forget.
pub fn body(request: &Request) -> Result<Value> {
    match request.media_type().as_str() {
        "" | "application/json" | "application/x-www-form-urlencoded" | "text/json" => parse(&request.body),
        other if other.ends_with("+json") => parse(&request.body),
        other => Err(Error::http(415, format!("{other} is not accepted here; accepted: application/json"))),
    }
}

pub fn parse(bytes: &[u8]) -> Result<Value> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(Error::Malformed("the body is empty; expected: JSON".into()));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: 0 }.deserialize(&mut deserializer);
    value
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| Error::Malformed(format!("the body is not acceptable JSON: {error}")))
}

/// Builds a `Value` as serde_json does, but refuses a member that comes twice: readers differ on which one counts,
/// and an audit log must not hold what two readers read differently.
struct Strict {
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;
    fn deserialize<D: serde::Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> std::result::Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }
    fn visit_bool<E>(self, value: bool) -> std::result::Result<Value, E> {
        Ok(value.into())
    }
    fn visit_i64<E>(self, value: i64) -> std::result::Result<Value, E> {
        Ok(value.into())
    }
    fn visit_u64<E>(self, value: u64) -> std::result::Result<Value, E> {
        Ok(value.into())
    }
    fn visit_f64<E>(self, value: f64) -> std::result::Result<Value, E> {
        Ok(value.into())
    }
    fn visit_str<E>(self, value: &str) -> std::result::Result<Value, E> {
        Ok(value.into())
    }
    fn visit_string<E>(self, value: String) -> std::result::Result<Value, E> {
        Ok(value.into())
    }
    fn visit_unit<E>(self) -> std::result::Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<Value, A::Error> {
        let depth = deeper(self.depth)?;
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(Strict { depth })? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> std::result::Result<Value, A::Error> {
        let depth = deeper(self.depth)?;
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(Strict { depth })?;
            if map.contains_key(&name) {
                return Err(serde::de::Error::custom(format!("the member {name:?} comes twice")));
            }
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

fn deeper<E: serde::de::Error>(depth: usize) -> std::result::Result<usize, E> {
    if depth >= DEEPEST {
        return Err(E::custom(format!("nested more than {DEEPEST} levels deep")));
    }
    Ok(depth + 1)
}

/// The members of one object, taken one by one.
#[derive(Debug)]
pub struct Fields {
    members: Map<String, Value>,
    place: String,
}

impl Fields {
    /// `place` is put before every name in a refusal; empty at the top.
    pub fn of(value: Value, place: &str) -> Result<Self> {
        match value {
            Value::Object(members) => Ok(Self { members, place: place.to_owned() }),
            other => Err(Error::invalid(
                if place.is_empty() { "body" } else { place },
                format!("{} is not an object", without_content(&other)),
            )),
        }
    }

    /// A member's name with its place, as a refusal has it.
    pub fn named(&self, name: &str) -> String {
        if self.place.is_empty() { name.to_owned() } else { format!("{}.{name}", self.place) }
    }

    pub fn refuse(&self, name: &str, message: impl Into<String>) -> Error {
        Error::invalid(self.named(name), message)
    }

    fn wrong(&self, name: &str, value: &Value, accepted: &str) -> Error {
        self.refuse(name, format!("{} is not acceptable; accepted: {accepted}", short(value)))
    }

    /// The member as it is; `null` counts as left out.
    pub fn any(&mut self, name: &str) -> Option<Value> {
        self.members.shift_remove(name).filter(|value| !value.is_null())
    }

    /// Turns a member that was left out into a refusal.
    pub fn required<T>(&self, name: &str, value: Option<T>) -> Result<T> {
        value.ok_or_else(|| self.refuse(name, "is required"))
    }

    /// Text of 1 to `most` characters without control characters.
    pub fn text(&mut self, name: &str, most: usize) -> Result<Option<String>> {
        let Some(value) = self.any(name) else { return Ok(None) };
        match value {
            Value::String(text)
                if !text.is_empty()
                    && text.chars().count() <= most
                    && !text.chars().any(char::is_control) =>
            {
                Ok(Some(text))
            }
            other => Err(self.wrong(
                name,
                &other,
                &format!("text of 1 to {most} characters, no control characters"),
            )),
        }
    }

    /// A password or a key: like `long_text`, but a refusal never repeats it.
    pub fn secret(&mut self, name: &str) -> Result<Option<String>> {
        match self.any(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.refuse(name, "is not acceptable; accepted: text")),
        }
    }

    /// Text of any length and content: only hashed or matched, never stored.
    pub fn long_text(&mut self, name: &str) -> Result<Option<String>> {
        match self.any(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(name, &other, "text")),
        }
    }

    /// A whole number from `least` to `most`.
    pub fn integer(&mut self, name: &str, least: i64, most: i64) -> Result<Option<i64>> {
        let Some(value) = self.any(name) else { return Ok(None) };
        match whole(&value).filter(|number| (least..=most).contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(self.wrong(name, &value, &format!("a whole number from {least} to {most}"))),
        }
    }

    pub fn boolean(&mut self, name: &str) -> Result<Option<bool>> {
        match self.any(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(other) => Err(self.wrong(name, &other, "true or false")),
        }
    }

    /// An RFC 3339 timestamp with any offset.
    pub fn timestamp(&mut self, name: &str) -> Result<Option<Timestamp>> {
        let Some(value) = self.any(name) else { return Ok(None) };
        match value.as_str().and_then(Timestamp::parse) {
            Some(timestamp) => Ok(Some(timestamp)),
            None => Err(self.wrong(name, &value, "RFC 3339, as in 2026-04-30T14:22:11Z, years 1970 to 9999")),
        }
    }

    /// A UUID in its 36-character form.
    pub fn uuid(&mut self, name: &str) -> Result<Option<Uuid>> {
        let Some(text) = self.text(name, 64)? else { return Ok(None) };
        match Uuid::parse(&text) {
            Some(uuid) => Ok(Some(uuid)),
            None => Err(self.refuse(name, format!("{text:?} is not a UUID"))),
        }
    }

    /// One of a closed list of words.
    pub fn word<T: Copy>(&mut self, name: &str, words: &[(&str, T)]) -> Result<Option<T>> {
        let Some(value) = self.any(name) else { return Ok(None) };
        match words.iter().find(|(word, _)| value.as_str() == Some(word)) {
            Some((_, meaning)) => Ok(Some(*meaning)),
            None => {
                let accepted: Vec<_> = words.iter().map(|(word, _)| *word).collect();
                Err(self.wrong(name, &value, &accepted.join(", ")))
            }
        }
    }

    /// A list; its items are still to be read.
    pub fn list(&mut self, name: &str) -> Result<Option<Vec<Value>>> {
        match self.any(name) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(other) => Err(self.wrong(name, &other, "a list")),
        }
    }

    /// A list of texts.
    pub fn texts(&mut self, name: &str, most: usize) -> Result<Option<Vec<String>>> {
        let Some(items) = self.list(name)? else { return Ok(None) };
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            match item {
                Value::String(text)
                    if !text.is_empty()
                        && text.chars().count() <= most
                        && !text.chars().any(char::is_control) =>
                {
                    texts.push(text);
                }
                other => {
                    let accepted = format!("texts of 1 to {most} characters, no control characters");
                    return Err(self.wrong(name, &other, &accepted));
                }
            }
        }
        Ok(Some(texts))
    }

    /// An object in this one.
    pub fn object(&mut self, name: &str) -> Result<Option<Self>> {
        let place = self.named(name);
        self.any(name).map(|value| Self::of(value, &place)).transpose()
    }

    /// Whether the member is there at all, be it `null`.
    pub fn names(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// Refuses the members that nobody took.
    pub fn done(self) -> Result<()> {
        let problems: Vec<_> = self
            .members
            .keys()
            .map(|name| crate::error::Problem {
                parameter: self.named(name),
                message: "unknown member".into(),
            })
            .collect();
        if problems.is_empty() { Ok(()) } else { Err(Error::Invalid(problems)) }
    }
}

/// A whole number, be it written as `26` or as `26.0`: JSON has one kind of number, and some clients write the latter.
pub fn whole(value: &Value) -> Option<i64> {
    /// Up to here every whole number is a number of its own.
    const LARGEST: f64 = 9_007_199_254_740_992.0;
    let of_float = |number: f64| (number.fract() == 0.0 && number.abs() <= LARGEST).then_some(number as i64);
    value.as_i64().or_else(|| value.as_f64().and_then(of_float))
}

/// What came in place of an object, which may be anything: a password that lost its name.
fn without_content(value: &Value) -> String {
    match value {
        Value::String(_) => "a text".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        other => short(other),
    }
}

/// A value as a refusal shows it: at most 60 characters of JSON.
fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// Whatever serializes, as a value.
///
/// # Errors
/// `Internal`, when it does not serialize.
pub fn value(of: &impl serde::Serialize) -> Result<Value> {
    serde_json::to_value(of).map_err(|error| Error::Internal(format!("cannot encode an answer: {error}")))
}
