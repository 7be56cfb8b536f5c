//! Log 2, messages: exactly one entry for each inbound message, in Mailbuttons' words, and what came of it later.
//!
//! An entry's own row never changes. A reply, a bounce, the agent's report of tools and tokens are **facts** of
//! their own, kept in order; the entry shows them folded (`shown`). `sql` has the one door for writing (`record`,
//! `append`) and the list, `api` the routes, `policy` the mailbox's policy document, `guards` its patterns, `gate` the
//! decision by it.

pub mod across;
pub mod api;
pub mod gate;
pub mod guards;
mod matching;
pub mod policy;
pub mod shown;
pub mod sql;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::canonical::{is_same_address, unbracketed};
use crate::error::{Error, Result};
use crate::http::json::Fields;
use crate::ids::{hex, sha256, unhex};
use crate::imports::Place;
use crate::ingest::eml;
use crate::mask::quoted;
use crate::time::Timestamp;

/// What an authentication method said of a message (RFC 8601, reduced to the words Mailbuttons' clients know).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i64)]
pub enum Verdict {
    Pass = 1,
    Fail = 2,
    Softfail = 3,
    Neutral = 4,
    Temperror = 5,
    Permerror = 6,
    None = 7,
}

impl Verdict {
    pub const WORDS: [(&'static str, Self); 7] = [
        ("pass", Self::Pass),
        ("fail", Self::Fail),
        ("softfail", Self::Softfail),
        ("neutral", Self::Neutral),
        ("temperror", Self::Temperror),
        ("permerror", Self::Permerror),
        ("none", Self::None),
    ];
}

/// What kept a text from being read. Beside it there is no hash of the text: that of another would be a lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i64)]
pub enum TextProblem {
    /// Its character set is not known.
    Charset = 1,
    /// Its `Content-Transfer-Encoding` is not known.
    TransferEncoding = 2,
    /// The parts of the message are not as they should be, so that others may see another text.
    Structure = 3,
    /// There are more parts than are looked at.
    TooManyParts = 4,
    /// It is longer than what is looked at.
    TooLong = 5,
    /// The message is larger than what is taken: only its head came.
    MessageTooLong = 6,
}

impl TextProblem {
    pub const WORDS: [(&'static str, Self); 6] = [
        ("charset", Self::Charset),
        ("transfer_encoding", Self::TransferEncoding),
        ("structure", Self::Structure),
        ("too_many_parts", Self::TooManyParts),
        ("too_long", Self::TooLong),
        ("message_too_long", Self::MessageTooLong),
    ];
}

/// What happened to the message. The words are the vendor's, the numbers are ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i64)]
pub enum Outcome {
    Delivered = 1,
    RejectedAtVerification = 2,
    RejectedAtPolicy = 3,
    RejectedAtContentGuard = 4,
    RateLimited = 5,
    BudgetExhausted = 6,
}

impl Outcome {
    pub const WORDS: [(&'static str, Self); 6] = [
        ("delivered", Self::Delivered),
        ("rejected_at_verification", Self::RejectedAtVerification),
        ("rejected_at_policy", Self::RejectedAtPolicy),
        ("rejected_at_content_guard", Self::RejectedAtContentGuard),
        ("rate_limited", Self::RateLimited),
        ("budget_exhausted", Self::BudgetExhausted),
    ];
}

/// The word of a value in a closed list, for the wire, and the value of a stored number.
macro_rules! closed_list {
    ($name:ident) => {
        impl $name {
            pub fn as_str(self) -> &'static str {
                Self::WORDS.iter().find(|(_, value)| *value == self).map_or("", |(word, _)| word)
            }
            pub fn from_number(number: i64) -> Option<Self> {
                Self::WORDS.iter().map(|(_, value)| *value).find(|value| *value as i64 == number)
            }
        }
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}
closed_list!(Verdict);
closed_list!(Outcome);
closed_list!(TextProblem);

/// What came later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i64)]
pub enum Kind {
    Thread = 1,
    Reply = 2,
    Bounce = 3,
    Tools = 4,
    Tokens = 5,
}

impl Kind {
    /// The member of a PATCH that makes it.
    pub const WORDS: [(&'static str, Self); 5] = [
        ("thread_id", Self::Thread),
        ("reply_sent", Self::Reply),
        ("bounce", Self::Bounce),
        ("tools_used", Self::Tools),
        ("tokens_consumed", Self::Tokens),
    ];
}
closed_list!(Kind);

/// A fact, as JSON text, may have so many bytes.
pub const LARGEST_FACT: usize = 64 * 1024;
/// Facts of an entry, and their bytes together. An entry that is full takes one reply and one bounce still, its thread,
/// and reports of tokens: who could fill an entry could otherwise end the counting for a budget.
pub const MOST_FACTS: i64 = 100;
pub const MOST_BYTES: i64 = 256 * 1024;
/// Reports of tokens that a full entry takes.
pub const MOST_LATE_REPORTS: i64 = 10_000;
/// Bytes of the sum of an entry's reports of tokens, which each of them carries on.
pub const LARGEST_SUM: usize = 16 * 1024;

/// Characters of a reason.
pub const LONGEST_REASON: usize = 1000;

/// One fact to be appended, as JSON: a text takes a small part of what its values would, and a batch has many.
pub type NewFact = (Kind, String);

/// An entry to be recorded.
#[derive(Debug, Clone, Default)]
pub struct NewEntry {
    pub message_id: String,
    pub thread_id: Option<String>,
    /// Messages this one answers, the nearest last: its thread is theirs.
    pub references: Vec<String>,
    pub sender_address: Option<String>,
    /// `None`: the mailbox's own address.
    pub recipient_address: Option<String>,
    /// `None`: now.
    pub received_at: Option<Timestamp>,
    pub outcome: Option<Outcome>,
    pub reason: Option<String>,
    pub dkim: Option<Verdict>,
    pub spf: Option<Verdict>,
    pub dmarc: Option<Verdict>,
    pub from_alignment: Option<bool>,
    /// SHA-256 of the text body, stored when the mailbox's policy says so.
    pub body_hash: Option<[u8; 32]>,
    pub text_problem: Option<TextProblem>,
    pub message_hash: Option<[u8; 32]>,
    /// As JSON.
    pub capabilities: Option<String>,
    pub policy_version: Option<i64>,
    pub sender_rule: Option<i64>,
    pub facts: Vec<NewFact>,
    /// Tells the same again from something else: over what was given, not over what was made of it.
    pub fingerprint: [u8; 32],
    /// What an older version may have stored for it.
    pub former_fingerprints: Vec<[u8; 32]>,
    /// Where an import says that it may stand already.
    pub imported: Option<Place>,
}

/// What is said of a message before anything is decided about it.
pub struct Received {
    pub entry: NewEntry,
    /// For content guards; never stored. `None`: not given.
    pub seen: Option<Seen>,
}

/// What content guards see of a message: its text, and of a raw one also its subject and its HTML as text.
#[derive(Default)]
pub struct Seen {
    pub texts: Vec<String>,
    /// What kept them from seeing all of it.
    pub problem: Option<TextProblem>,
}

impl Received {
    /// The members that the write route and the gate share.
    fn take(fields: &mut Fields) -> Result<Self> {
        // Angle brackets are taken off when the fingerprints are made: an older version had them in its own.
        let message_id = fields.text("message_id", 998)?;
        let message_id = fields.required("message_id", message_id)?;
        let received_at = match fields.integer("received_at", 0, Timestamp::MAX.seconds())? {
            None => None,
            Some(seconds) => Timestamp::checked_from_seconds(seconds),
        };
        let text_body = fields.long_text("text_body")?;
        let entry = NewEntry {
            message_id,
            thread_id: fields.optional("thread_id", 998)?,
            sender_address: fields.optional("sender_address", 320)?,
            recipient_address: fields.text("recipient_address", 320)?,
            received_at,
            dkim: fields.word("verification_dkim", &Verdict::WORDS)?,
            spf: fields.word("verification_spf", &Verdict::WORDS)?,
            dmarc: fields.word("verification_dmarc", &Verdict::WORDS)?,
            from_alignment: fields.boolean("from_alignment")?,
            body_hash: text_body.as_ref().map(|text| sha256(text.as_bytes())),
            text_problem: fields.word("text_problem", &TextProblem::WORDS)?,
            ..NewEntry::default()
        };
        let is_given = text_body.is_some() || entry.text_problem.is_some();
        let seen = Seen { texts: text_body.into_iter().collect(), problem: entry.text_problem };
        Ok(Self { entry, seen: is_given.then_some(seen) })
    }

    /// Facts given to the gate of the mailbox with this address.
    pub fn read(mut fields: Fields, own_address: &str) -> Result<Self> {
        let mut received = Self::take(&mut fields)?;
        fields.done()?;
        received.entry.seal(own_address)?;
        Ok(received)
    }

    /// A raw message; the verdicts of the servers in `trusted` only.
    pub fn from_raw(raw: &[u8], trusted: &[String]) -> Result<Self> {
        Ok(Self::from_facts(eml::read(raw, trusted)?))
    }

    /// A raw message whose attachments were left out, with the hash of all its bytes.
    pub fn from_reduced(raw: &[u8], message_hash: [u8; 32], trusted: &[String]) -> Result<Self> {
        Ok(Self::from_facts(eml::read_reduced(raw, message_hash, trusted)?))
    }

    /// The head of a raw message that is too large to be handed over, with the hash of all its bytes.
    pub fn from_head(head: &[u8], message_hash: [u8; 32], trusted: &[String]) -> Result<Self> {
        Ok(Self::from_facts(eml::read_head(head, message_hash, trusted)?))
    }

    fn from_facts(facts: eml::Facts) -> Self {
        let mut references = facts.references;
        if references.is_empty() {
            // It begins a thread, which answers to it will name.
            references.push(facts.message_id.clone());
        }
        let entry = NewEntry {
            message_id: facts.message_id,
            references,
            sender_address: facts.sender_address,
            recipient_address: facts.recipient_address,
            received_at: facts.received_at,
            dkim: facts.verification_dkim,
            spf: facts.verification_spf,
            dmarc: facts.verification_dmarc,
            from_alignment: facts.from_alignment,
            body_hash: facts.texts.body.as_ref().ok().map(|text| sha256(text.as_bytes())),
            text_problem: facts.texts.body.as_ref().err().copied(),
            message_hash: Some(facts.message_hash),
            fingerprint: sha256(&facts.message_hash),
            ..NewEntry::default()
        };
        let mut texts = vec![facts.subject];
        texts.extend(facts.texts.body);
        texts.extend(facts.texts.others);
        let problem = entry.text_problem.or(facts.texts.others_problem);
        Self { entry, seen: Some(Seen { texts, problem }) }
    }
}

impl NewEntry {
    /// An entry of an import, of a file or of an export.
    pub fn read_imported(mut fields: Fields, own_address: &str) -> Result<Self> {
        let place = Place::take(&mut fields)?;
        Ok(Self { imported: Some(place), ..Self::read(fields, own_address)? })
    }

    pub fn is_import(&self) -> bool {
        self.imported.is_some()
    }

    /// An entry whose outcome the caller decided, of the mailbox with this address.
    pub fn read(mut fields: Fields, own_address: &str) -> Result<Self> {
        let Received { mut entry, seen } = Received::take(&mut fields)?;
        let has_text = seen.is_some_and(|seen| !seen.texts.is_empty());
        let outcome = fields.word("outcome", &Outcome::WORDS)?;
        entry.outcome = Some(fields.required("outcome", outcome)?);
        entry.reason = fields.text("reason", LONGEST_REASON)?;
        if let Some(text) = fields.text("body_hash", 64)? {
            let hash = unhex::<32>(&text).ok_or_else(|| {
                fields.refuse("body_hash", format!("{} is not 64 hex digits (SHA-256)", quoted(&text)))
            })?;
            if has_text && entry.body_hash != Some(hash) {
                return Err(
                    fields.refuse("body_hash", "is not the SHA-256 of text_body; give one of the two")
                );
            }
            entry.body_hash = Some(hash);
        }
        entry.capabilities = read_capabilities(&mut fields)?;
        if entry.capabilities.is_some() && entry.outcome != Some(Outcome::Delivered) {
            return Err(fields.refuse("capabilities_granted", "is only for the outcome delivered"));
        }
        entry.facts = read_facts(&mut fields, &[Kind::Reply, Kind::Tools, Kind::Tokens])?;
        fields.done()?;
        entry.seal(own_address)?;
        Ok(entry)
    }

    /// Takes angle brackets off, and fixes the fingerprint over everything given so far: in whatever order members came,
    /// and whether or not what is so anyway was said. Where that makes a difference, what an older version would have
    /// stored is kept beside it.
    fn seal(&mut self, own_address: &str) -> Result<()> {
        let as_given = self.fingerprint_of_given()?;
        let bare = |text: &mut String| {
            if unbracketed(text).len() < text.len() {
                *text = unbracketed(text).to_owned();
            }
        };
        bare(&mut self.message_id);
        for text in [&mut self.thread_id, &mut self.sender_address, &mut self.recipient_address] {
            text.iter_mut().for_each(bare);
        }
        let said_anyway = |address: &String| is_same_address(address, own_address);
        let recipient = self.recipient_address.take_if(|address| said_anyway(address));
        let facts = self.facts.clone();
        let capabilities = self.capabilities.clone();
        self.facts.iter_mut().for_each(|(_, data)| *data = in_order(data));
        self.capabilities = self.capabilities.as_deref().map(in_order);
        self.fingerprint = self.fingerprint_of_given()?;
        (self.facts, self.capabilities) = (facts, capabilities);
        self.recipient_address = recipient.or_else(|| self.recipient_address.take());
        if as_given != self.fingerprint {
            self.former_fingerprints.push(as_given);
        }
        Ok(())
    }

    fn fingerprint_of_given(&self) -> Result<[u8; 32]> {
        let facts: Vec<_> = self.facts.iter().map(|(kind, data)| (kind, raw(data))).collect();
        let given = serde_json::to_string(&(
            &self.message_id,
            &self.thread_id,
            &self.sender_address,
            &self.recipient_address,
            self.received_at,
            self.outcome,
            &self.reason,
            [self.dkim, self.spf, self.dmarc],
            self.from_alignment,
            self.body_hash.map(|hash| hex(&hash)),
            self.capabilities.as_deref().map(raw),
            facts,
        ));
        let broken = |error: serde_json::Error| Error::Internal(format!("cannot encode an entry: {error}"));
        let mut given = vec![given.map_err(broken)?];
        // What a later version added takes part where it was given, so that the same of before is still the same.
        given.extend(self.text_problem.map(|problem| json!(problem).to_string()));
        Ok(sha256(given.join("\n").as_bytes()))
    }

    /// An outcome for a raw message, by the caller.
    pub fn decided(mut self, outcome: Outcome, reason: Option<String>) -> Self {
        let given = json!([hex(&self.fingerprint), outcome, reason]);
        self.fingerprint = sha256(given.to_string().as_bytes());
        self.outcome = Some(outcome);
        self.reason = reason;
        self
    }
}

/// JSON of our own with the members of its objects in the order of their names.
fn in_order(json: &str) -> String {
    let mut value: Value = serde_json::from_str(json).unwrap_or_default();
    value.sort_all_objects();
    value.to_string()
}

/// JSON of our own, to stand in other JSON as it is.
fn raw(json: &str) -> Option<&RawValue> {
    serde_json::from_str(json).ok()
}

/// `{capabilities: string[], rule_index: integer}`, as JSON.
fn read_capabilities(fields: &mut Fields) -> Result<Option<String>> {
    let Some(mut granted) = fields.object("capabilities_granted")? else { return Ok(None) };
    let capabilities = granted.texts("capabilities", 200)?;
    let capabilities = granted.required("capabilities", capabilities)?;
    let rule_index = granted.integer("rule_index", 0, 1_000_000)?;
    let rule_index = granted.required("rule_index", rule_index)?;
    granted.done()?;
    let granted = json!({ "capabilities": capabilities, "rule_index": rule_index }).to_string();
    if granted.len() > LARGEST_FACT {
        let message = format!("has {} bytes of JSON; accepted: up to {LARGEST_FACT}", granted.len());
        return Err(fields.refuse("capabilities_granted", message));
    }
    Ok(Some(granted))
}

/// The facts among an object's members; their shape is the agent runtime's own.
pub fn read_facts(fields: &mut Fields, kinds: &[Kind]) -> Result<Vec<NewFact>> {
    let mut facts = Vec::new();
    for kind in kinds {
        let name = kind.as_str();
        let data = match kind {
            Kind::Thread => fields.mail_text(name, 998)?.map(Value::String),
            _ => fields.any(name),
        };
        let Some(data) = data.map(|data| data.to_string()) else { continue };
        if data.len() > LARGEST_FACT {
            let message = format!("has {} bytes of JSON; accepted: up to {LARGEST_FACT}", data.len());
            return Err(fields.refuse(name, message));
        }
        facts.push((*kind, data));
    }
    Ok(facts)
}

/// Two reports of tokens: numbers are added, member by member in objects; of anything else the later stands.
pub fn sum(earlier: Option<Value>, later: Value) -> Value {
    match (earlier, later) {
        (Some(Value::Number(a)), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => a.saturating_add(b).into(),
            _ => (a.as_f64().unwrap_or(0.0) + b.as_f64().unwrap_or(0.0)).into(),
        },
        (Some(Value::Object(mut all)), Value::Object(more)) => {
            for (name, value) in more {
                let earlier = all.get_mut(&name).map(Value::take);
                all.insert(name, sum(earlier, value));
            }
            Value::Object(all)
        }
        (_, later) => later,
    }
}

/// How many tokens a report means, for budgets: the number itself, what an object calls its total, else the sum of those
/// that went in, came out, or were read from or written to a cache besides. Its other numbers are of something else: a
/// time, a limit, a price, or tokens that were counted before (`cached_tokens` are some of those that went in).
///
/// The providers' names are read without `tokens`, in whatever case they are written: `input_tokens`, `promptTokens`,
/// `cache_read_input_tokens`.
pub fn n_tokens(report: &Value) -> i64 {
    let whole =
        |value: &Value| value.as_i64().or_else(|| value.as_f64().map(|n| n as i64)).unwrap_or(0).max(0);
    let Value::Object(members) = report else { return whole(report) };
    let mut parts = 0_i64;
    for (name, value) in members.iter().filter(|(_, value)| value.is_number()) {
        let letters = name.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_ascii_lowercase();
        let of_what = letters.replace("tokens", "").replace("token", "").replace("count", "");
        match of_what.as_str() {
            "total" => return whole(value),
            "" if letters.starts_with("token") => return whole(value),
            "input" | "output" | "prompt" | "completion" | "candidates" | "thoughts" | "cachereadinput"
            | "cachecreationinput" | "cacheread" | "cachewrite" | "cachecreation" => {
                parts = parts.saturating_add(whole(value));
            }
            _ => {}
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_budget_counts_tokens_and_no_other_numbers() {
        for (report, expected) in [
            (json!(7), 7),
            (json!(7.9), 7),
            (json!(-7), 0),
            (json!("7"), 0),
            (json!({ "input": 900, "output": 40 }), 940),
            (json!({ "input": 900, "output": 40, "latency_ms": 1200, "max_tokens": 4096, "cost": 0.3 }), 940),
            (json!({ "prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 20 }), 20),
            (json!({ "promptTokens": 9, "completionTokens": 4, "cached_input_cost": "x" }), 13),
            (json!({ "promptTokenCount": 9, "totalTokenCount": 30 }), 30),
            (
                json!({ "input_tokens": 1, "output_tokens": 2, "cache_read_input_tokens": 4,
                        "cache_creation_input_tokens": 8, "server_tool_use": { "web_search_requests": 99 } }),
                15,
            ),
            (json!({ "tokens": 5, "seconds": 3 }), 5),
            (json!({ "inputTokens": 900, "cachedInputTokens": 800, "outputTokens": 4 }), 904),
            (json!({ "input": 9, "output": 4, "cacheRead": 20, "cacheWrite": 1 }), 34),
            (json!({ "input": 9, "cache_ttl_seconds": 300, "cache_read_cost": 7, "cached_tokens": 8 }), 9),
            (json!({ "promptTokenCount": 9, "candidatesTokenCount": 4, "thoughtsTokenCount": 2 }), 15),
            (json!({ "total": 6, "input": 1 }), 6),
            (json!({ "input": 1, "total": 6 }), 6),
            (json!({ "model": "m", "temperature": 1, "max_output_tokens": 100 }), 0),
            (json!({ "input": i64::MAX, "output": i64::MAX }), i64::MAX),
            (json!({ "total": null, "input": 3 }), 3),
            (json!([1, 2]), 0),
        ] {
            assert_eq!(n_tokens(&report), expected, "{report}");
        }
    }
}
