//! JSON bodies, read strictly: UTF-8, no member twice, at most 64 levels deep.
//!
//! `Fields` takes the members of an object one by one and refuses what is left over, so that a misspelt member is
//! an error and not a silent loss. A refusal names the member with its place: `events[3].sent_count`.
//!
//! # What it costs
//!
//! A value in memory is many times what it is as text: two bytes of `[[[[` would be three hundred. So names and values
//! are counted while they are read, and past `MOST` the text is refused: no text makes more than two megabytes beside
//! its own strings. A list of many rows is never in memory whole: `batch` gets one item after another.

use serde::Deserializer as _;
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::Request;
use crate::canonical::{self, unbracketed};
use crate::error::{Error, Problems, Result};
use crate::ids::Uuid;
use crate::mask::{cut, glimpse, quoted};
use crate::time::Timestamp;

const DEEPEST: usize = 64;

/// Names and values of one text, or of one item of many.
const MOST: usize = 10_000;

/// 2^63. Integers from there on may be beyond 64 bits.
const BEYOND_INTEGERS: f64 = 9_223_372_036_854_775_808.0;

/// The body as JSON, whatever media type was named: curl sends form-encoded by default, clients forget.
pub fn body(request: &Request) -> Result<Value> {
    check_media_type(request)?;
    parse(&request.body)
}

/// Whether the body says that it is an object a line.
pub fn is_lines(request: &Request) -> bool {
    matches!(
        request.media_type().as_str(),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl"
    )
}

/// Refuses a body that says it is no JSON.
pub fn check_media_type(request: &Request) -> Result<()> {
    match request.media_type().as_str() {
        "" | "application/json" | "application/x-www-form-urlencoded" | "text/json" => Ok(()),
        other if other.ends_with("+json") => Ok(()),
        other => {
            Err(Error::http(415, format!("{} is not accepted here; accepted: application/json", cut(other))))
        }
    }
}

pub fn parse(bytes: &[u8]) -> Result<Value> {
    read_whole(bytes, |deserializer, budget| Strict { depth: 0, budget }.deserialize(deserializer), MOST)
}

/// `parse` of a line among others: what is wrong is in this line, and not in the body.
pub fn parse_line(line: &[u8]) -> Result<Value> {
    parse(line).map_err(|error| match error {
        Error::Malformed(told) => Error::Malformed(told.replacen("the body is", "is", 1).replacen(
            " at line 1 column",
            " at column",
            1,
        )),
        other => other,
    })
}

/// What was accepted once, by whatever bounds there were then.
pub fn parse_stored(bytes: &[u8]) -> Result<Value> {
    read_whole(
        bytes,
        |deserializer, budget| Strict { depth: 0, budget }.deserialize(deserializer),
        usize::MAX,
    )
}

type Deserializer<'a> = serde_json::Deserializer<serde_json::de::SliceRead<'a>>;

fn read_whole<'a, T>(
    bytes: &'a [u8],
    read: impl FnOnce(&mut Deserializer<'a>, &mut Budget) -> serde_json::Result<T>,
    most: usize,
) -> Result<T> {
    let bytes = without_bom(bytes);
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(Error::Malformed("the body is empty; expected: JSON".into()));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let mut budget = Budget { most, left: most, bytes: usize::MAX, has_large: false };
    let value = read(&mut deserializer, &mut budget);
    let value = value
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| Error::Malformed(format!("the body is not acceptable JSON: {error}")))?;
    if let (true, Some(digits)) = (budget.has_large, rounded_integer(bytes)) {
        let message = format!(
            "the body is not acceptable JSON: the integer {} would be rounded; accepted: integers of 64 bits, or text",
            glimpse(digits)
        );
        return Err(Error::Malformed(message));
    }
    Ok(value)
}

/// Without the mark that some editors put in front (RFC 8259 section 8.1 lets a reader pass it over).
pub fn without_bom(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// The first integer of a JSON text that fits neither an `i64` nor a `u64`: what is read of it is another number. One
/// with a fraction or an exponent is a float in every reader and passes.
fn rounded_integer(bytes: &[u8]) -> Option<&str> {
    let (mut at, mut in_text) = (0, false);
    while let Some(byte) = bytes.get(at) {
        let of_number = |byte: &u8| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
        match byte {
            b'\\' if in_text => at += 1,
            b'"' => in_text = !in_text,
            b'-' | b'0'..=b'9' if !in_text => {
                let length = bytes[at..].iter().take_while(|byte| of_number(byte)).count();
                let number = std::str::from_utf8(&bytes[at..at + length]).unwrap_or_default();
                let is_integer = !number.contains(['.', 'e', 'E']);
                if is_integer && number.parse::<i64>().is_err() && number.parse::<u64>().is_err() {
                    return Some(number);
                }
                at += length;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// What a text may still hold.
struct Budget {
    most: usize,
    /// Names and values.
    left: usize,
    /// Of texts.
    bytes: usize,
    /// Whether a float came that is too large to have been an integer of 64 bits: perhaps it was meant for one.
    has_large: bool,
}

impl Budget {
    fn count<E: serde::de::Error>(&mut self) -> std::result::Result<(), E> {
        match self.left.checked_sub(1) {
            Some(left) => self.left = left,
            None => return Err(E::custom(format!("more than {} names and values", self.most))),
        }
        Ok(())
    }

    fn take<E: serde::de::Error>(&mut self, text: &str) -> std::result::Result<(), E> {
        match self.bytes.checked_sub(text.len()) {
            Some(left) => self.bytes = left,
            None => return Err(E::custom("the texts of one item are longer than a body of one may be")),
        }
        Ok(())
    }
}

/// Builds a `Value` as serde_json does, but refuses a member that comes twice: readers differ on which one counts,
/// and an audit log must not hold what two readers read differently.
struct Strict<'a> {
    depth: usize,
    budget: &'a mut Budget,
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;
    fn deserialize<D: serde::Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> std::result::Result<Value, D::Error> {
        self.budget.count()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
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
        self.budget.has_large |= value.abs() >= BEYOND_INTEGERS;
        Ok(value.into())
    }
    fn visit_str<E: serde::de::Error>(self, value: &str) -> std::result::Result<Value, E> {
        self.budget.take(value)?;
        Ok(value.into())
    }
    fn visit_unit<E>(self) -> std::result::Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<Value, A::Error> {
        let depth = deeper(self.depth)?;
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(Strict { depth, budget: &mut *self.budget })? {
            if values.is_empty() {
                // Most lists that somebody nests to do harm have one item; left to itself it would take room for four.
                values.reserve_exact(1);
            }
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> std::result::Result<Value, A::Error> {
        let depth = deeper(self.depth)?;
        let mut map = Map::new();
        while let Some(name) = next_name(&mut members, &map, self.budget)? {
            let value = members.next_value_seed(Strict { depth, budget: &mut *self.budget })?;
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

/// The name of the next member, which none of `known` may have.
fn next_name<'de, A: MapAccess<'de>>(
    members: &mut A,
    known: &Map<String, Value>,
    budget: &mut Budget,
) -> std::result::Result<Option<String>, A::Error> {
    let Some(name) = members.next_key::<String>()? else { return Ok(None) };
    budget.count()?;
    budget.take(&name)?;
    if known.contains_key(&name) { Err(comes_twice(&name)) } else { Ok(Some(name)) }
}

fn comes_twice<E: serde::de::Error>(name: &str) -> E {
    E::custom(format!("the member {} comes twice", quoted(name)))
}

fn deeper<E: serde::de::Error>(depth: usize) -> std::result::Result<usize, E> {
    if depth >= DEEPEST {
        return Err(E::custom(format!("nested more than {DEEPEST} levels deep")));
    }
    Ok(depth + 1)
}

/// What `read_items` read.
pub enum Read {
    /// A list of that name, whose items were handed on; the members beside it.
    Items(Map<String, Value>),
    /// Anything else.
    Other(Value),
}

/// Reads `{"<word>":[…]}` and hands its items on, one by one, so that never more than one is in memory. Each may have
/// as many names and values as a text of its own, and texts of `item_bytes` together.
///
/// # Errors
/// `Malformed`; the items before the place have been handed on by then.
pub fn read_items(bytes: &[u8], word: &str, item_bytes: usize, mut each: impl FnMut(Value)) -> Result<Read> {
    let mut has_begun = false;
    let read = read_whole(
        bytes,
        |deserializer, budget| {
            let mut has_large = false;
            let (has_begun, each) = (&mut has_begun, &mut each);
            let list = ReadList { item_bytes, has_begun, has_large: &mut has_large, each };
            let read = deserializer.deserialize_map(ReadEnvelope { word, list, budget: &mut *budget });
            budget.has_large |= has_large;
            read
        },
        MOST,
    );
    match (read, has_begun) {
        (Ok(others), true) => Ok(Read::Items(others)),
        (Ok(members), false) => Ok(Read::Other(Value::Object(members))),
        (Err(error), true) => Err(error),
        // Malformed, or no object, or the member is no list.
        (Err(_), false) => parse(bytes).map(Read::Other),
    }
}

struct ReadEnvelope<'a> {
    word: &'a str,
    list: ReadList<'a>,
    budget: &'a mut Budget,
}

impl<'de> Visitor<'de> for ReadEnvelope<'_> {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> std::result::Result<Self::Value, A::Error> {
        let mut others = Map::new();
        while let Some(name) = next_name(&mut members, &others, self.budget)? {
            if name != self.word {
                let value = members.next_value_seed(Strict { depth: 1, budget: &mut *self.budget })?;
                others.insert(name, value);
            } else if *self.list.has_begun {
                return Err(comes_twice(&name));
            } else {
                members.next_value_seed(&mut self.list)?;
            }
        }
        Ok(others)
    }
}

/// The list of an envelope.
struct ReadList<'a> {
    item_bytes: usize,
    has_begun: &'a mut bool,
    has_large: &'a mut bool,
    each: &'a mut dyn FnMut(Value),
}

impl<'de> DeserializeSeed<'de> for &mut ReadList<'_> {
    type Value = ();
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for &mut ReadList<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<(), A::Error> {
        *self.has_begun = true;
        loop {
            let mut budget = Budget { most: MOST, left: MOST, bytes: self.item_bytes, has_large: false };
            let item = items.next_element_seed(Strict { depth: 2, budget: &mut budget })?;
            *self.has_large |= budget.has_large;
            match item {
                Some(item) => (self.each)(item),
                None => return Ok(()),
            }
        }
    }
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

    /// What somebody or something is called: `text` of up to 200 characters, all of which can be seen.
    pub fn name(&mut self, name: &str) -> Result<Option<String>> {
        let text = self.text(name, 200)?;
        text.iter().try_for_each(|text| canonical::check_name(&self.named(name), text))?;
        Ok(text)
    }

    /// `text`, where an empty one says that there is none.
    pub fn optional(&mut self, name: &str, most: usize) -> Result<Option<String>> {
        if self.members.get(name).is_some_and(|value| value.as_str() == Some("")) {
            self.members.shift_remove(name);
            return Ok(None);
        }
        self.text(name, most)
    }

    /// An address or an id of mail: `text` without the pair of angle brackets around it.
    pub fn mail_text(&mut self, name: &str, most: usize) -> Result<Option<String>> {
        Ok(self.text(name, most)?.map(|text| unbracketed(&text).to_owned()))
    }

    /// An id of somebody else's making: `optional`, or an integer, whose digits are the id.
    pub fn foreign_id(&mut self, name: &str, most: usize) -> Result<Option<String>> {
        match self.members.get(name) {
            Some(Value::Number(number)) if number.is_u64() || whole(&self.members[name]).is_some() => {
                let digits = whole(&self.members[name]).map_or(number.to_string(), |whole| whole.to_string());
                self.members.shift_remove(name);
                Ok(Some(digits))
            }
            _ => self.optional(name, most),
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
            None => Err(self.refuse(name, format!("{} is not a UUID", quoted(&text)))),
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
        let mut problems = Problems::default();
        for name in self.members.keys() {
            problems.add(self.named(cut(name)), "unknown member");
        }
        problems.none()
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
    let mut text = Beginning(Vec::new());
    // Its only error is that there is more of it.
    let _ = serde_json::to_writer(&mut text, value);
    let text = String::from_utf8_lossy(&text.0);
    let shown = cut(&text);
    if shown.len() < text.len() { format!("{shown}…") } else { shown.to_owned() }
}

/// As much of a text as 60 characters may take, and a little more.
struct Beginning(Vec<u8>);

impl std::io::Write for Beginning {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let left = 256_usize.saturating_sub(self.0.len());
        self.0.extend_from_slice(&bytes[..bytes.len().min(left)]);
        if bytes.len() > left { Err(std::io::ErrorKind::WriteZero.into()) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Whatever serializes, as a value.
///
/// # Errors
/// `Internal`, when it does not serialize.
pub fn value(of: &impl serde::Serialize) -> Result<Value> {
    serde_json::to_value(of).map_err(|error| Error::Internal(format!("cannot encode an answer: {error}")))
}
