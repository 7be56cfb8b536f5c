//! An entry as the wire shows it: its row, and what came later folded into it.
//!
//! Facts are JSON of the caller's own shape, up to 64 KiB each, and pass through as the text that they were stored as;
//! nothing of them is parsed to be shown. The exception is a bounce that is put into a reply that has one already.
//!
//! # Bounds
//! An entry shows as many facts as it may have (`MOST_FACTS`, `MOST_BYTES`) and, of what came when it was full, the
//! thread, the reply and the bounce; later reports of tokens are in the sum and counted in `appended_omitted`.

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{Kind, Outcome, TextProblem, Verdict, sum};
use crate::http::Request;
use crate::http::route::PACKAGE;
use crate::time::Timestamp;

/// JSON as it was stored.
pub type Raw = Box<RawValue>;

/// An entry as the wire shows it: the vendor's fields in the vendor's order, ours after them.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    pub id: i64,
    pub message_id: String,
    pub thread_id: Option<String>,
    pub sender_address: Option<String>,
    pub recipient_address: Option<String>,
    pub received_at: ReceivedAt,
    pub outcome: Outcome,
    pub reason: Option<String>,
    pub verification_dkim: Option<Verdict>,
    pub verification_spf: Option<Verdict>,
    pub verification_dmarc: Option<Verdict>,
    pub from_alignment: Option<bool>,
    pub body_hash: Option<String>,
    pub capabilities_granted: Option<Raw>,
    pub tools_used: Option<Raw>,
    pub tokens_consumed: Option<Raw>,
    pub reply_sent: Option<Raw>,
    pub mailbox_id: i64,
    /// SHA-256 of the raw message, lower-case hex, when there was one.
    pub message_hash: Option<String>,
    /// The policy that decided, when mailtrail did.
    pub policy_version: Option<i64>,
    #[serde(serialize_with = "seconds")]
    pub recorded_at: Timestamp,
    /// What came later, in order.
    pub appended: Vec<Appended>,
    /// Who recorded it; `None`: recorded before this was kept.
    pub recorded_by: Option<String>,
    /// Why the text could not be read, if it could not.
    pub text_problem: Option<TextProblem>,
    /// The number of the latest row in it, its own or a fact's: whoever follows goes on from there.
    pub seq: i64,
    /// How many facts are not in `appended`; `None`: all are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub appended_omitted: Option<i64>,
}

/// When a message was received, in the form that the client reads.
#[derive(Debug, Clone, Copy)]
pub struct ReceivedAt {
    pub at: Timestamp,
    is_text: bool,
}

impl ReceivedAt {
    /// Epoch seconds, as the vendor documents it.
    pub fn seconds(at: Timestamp) -> Self {
        Self { at, is_text: false }
    }
}

impl Serialize for ReceivedAt {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        if self.is_text { self.at.serialize(serializer) } else { seconds(&self.at, serializer) }
    }
}

impl Entry {
    /// For the vendor's Python package, which declares `received_at` as ISO 8601 text, if it asked.
    #[must_use]
    pub fn for_client(mut self, request: Client) -> Self {
        self.received_at.is_text = request == Client::Package;
        self
    }
}

/// Who reads an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    Documented,
    /// `mailbuttons` 0.1.0 of PyPI.
    Package,
}

impl Client {
    pub fn of(request: &Request) -> Self {
        if request.path.starts_with(PACKAGE) { Self::Package } else { Self::Documented }
    }
}

/// A fact in its entry.
#[derive(Debug, Clone, Serialize)]
pub struct Appended {
    pub kind: Kind,
    pub data: Raw,
    #[serde(serialize_with = "seconds")]
    pub recorded_at: Timestamp,
    pub recorded_by: Option<String>,
}

/// The columns of a CSV export, in the order of `Entry`.
pub const COLUMNS: &[&str] = &[
    "id",
    "message_id",
    "thread_id",
    "sender_address",
    "recipient_address",
    "received_at",
    "outcome",
    "reason",
    "verification_dkim",
    "verification_spf",
    "verification_dmarc",
    "from_alignment",
    "body_hash",
    "capabilities_granted",
    "tools_used",
    "tokens_consumed",
    "reply_sent",
    "mailbox_id",
    "message_hash",
    "policy_version",
    "recorded_at",
    "appended",
    "recorded_by",
    "text_problem",
    "seq",
];

fn seconds<S: serde::Serializer>(at: &Timestamp, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_i64(at.seconds())
}

/// Stored JSON to be shown; what is none is shown as null.
pub fn raw(text: String) -> Raw {
    RawValue::from_string(text).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// Facts being folded, in their order: the latest reply with its bounce inside, reports of the agent put together.
#[derive(Default)]
pub struct Fold {
    thread: Option<String>,
    reply: Option<Raw>,
    bounce: Option<Raw>,
    /// Lists that are joined, or the one report that is no list.
    tools: Vec<Raw>,
    tokens: Tokens,
}

/// The sum of the reports of tokens.
#[derive(Default)]
enum Tokens {
    #[default]
    None,
    /// As a fact carries it on.
    Known(Raw),
    /// Of facts that were recorded before they did.
    Added(Value),
}

impl Fold {
    /// `known` is the sum up to this report, where its row has it.
    pub fn add(&mut self, kind: Kind, data: &Raw, known: Option<Raw>) {
        match kind {
            Kind::Thread => self.thread = serde_json::from_str(data.get()).ok(),
            Kind::Reply => (self.reply, self.bounce) = (Some(data.clone()), None),
            Kind::Bounce => self.bounce = Some(data.clone()),
            Kind::Tools => {
                let are_lists = self.tools.iter().chain([data]).all(|report| report.get().starts_with('['));
                if !are_lists {
                    self.tools.clear();
                }
                self.tools.push(data.clone());
            }
            Kind::Tokens => match known {
                Some(known) => self.tokens = Tokens::Known(known),
                None => {
                    let parsed = |raw: &Raw| serde_json::from_str(raw.get()).unwrap_or_default();
                    let earlier = match std::mem::take(&mut self.tokens) {
                        Tokens::None => None,
                        Tokens::Known(known) => Some(parsed(&known)),
                        Tokens::Added(value) => Some(value),
                    };
                    self.tokens = Tokens::Added(sum(earlier, parsed(data)));
                }
            },
        }
    }

    /// Puts them into their entry.
    pub fn finish(self, entry: &mut Entry) {
        entry.thread_id = self.thread.or_else(|| entry.thread_id.take());
        entry.tools_used = joined(self.tools);
        entry.tokens_consumed = match self.tokens {
            Tokens::None => None,
            Tokens::Known(known) => Some(known),
            Tokens::Added(value) => Some(raw(value.to_string())),
        };
        entry.reply_sent = match (self.reply, self.bounce) {
            (reply, None) => reply,
            (reply, Some(bounce)) => Some(with_bounce(reply.as_deref(), &bounce)),
        };
    }
}

/// One list of several.
fn joined(mut lists: Vec<Raw>) -> Option<Raw> {
    if lists.len() < 2 {
        return lists.pop();
    }
    let mut text = String::from("[");
    for list in &lists {
        let items = list.get().strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or_default();
        if !items.trim().is_empty() {
            if text.len() > 1 {
                text.push(',');
            }
            text.push_str(items);
        }
    }
    text.push(']');
    Some(raw(text))
}

/// A reply with a bounce as one of its members.
fn with_bounce(reply: Option<&RawValue>, bounce: &RawValue) -> Raw {
    let bounce = bounce.get();
    raw(match reply.map(RawValue::get) {
        None => format!(r#"{{"bounce":{bounce}}}"#),
        Some(reply) if !reply.starts_with('{') => format!(r#"{{"reply":{reply},"bounce":{bounce}}}"#),
        Some(reply) if reply.contains(r#""bounce""#) => {
            let mut members: Map<String, Value> = serde_json::from_str(reply).unwrap_or_default();
            members.insert("bounce".into(), serde_json::from_str(bounce).unwrap_or_default());
            Value::Object(members).to_string()
        }
        Some(reply) => {
            let members = reply.strip_suffix('}').unwrap_or(reply);
            let comma = if members.trim_end().ends_with('{') { "" } else { "," };
            format!(r#"{members}{comma}"bounce":{bounce}}}"#)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What facts of these kinds, in this order, show.
    fn folded(facts: &[(Kind, &str, Option<&str>)]) -> Value {
        let mut fold = Fold::default();
        for (kind, data, known) in facts {
            fold.add(*kind, &raw((*data).to_owned()), known.map(|known| raw(known.to_owned())));
        }
        let shown = |raw: Option<Raw>| raw.map(|raw| raw.get().to_owned());
        let mut entry = super::super::sql::blank();
        fold.finish(&mut entry);
        serde_json::json!([
            entry.thread_id,
            shown(entry.reply_sent),
            shown(entry.tools_used),
            shown(entry.tokens_consumed)
        ])
    }

    #[test]
    fn facts_are_folded_as_the_text_that_they_are() {
        use Kind::{Bounce, Reply, Thread, Tokens, Tools};
        let none: Option<&str> = None;
        for (facts, reply) in [
            (vec![(Reply, r#"{"a":1e400}"#, none)], r#"{"a":1e400}"#),
            (vec![(Reply, r#"{"a":1}"#, none), (Bounce, r#"{"b":2}"#, none)], r#"{"a":1,"bounce":{"b":2}}"#),
            (vec![(Reply, "{}", none), (Bounce, "2", none)], r#"{"bounce":2}"#),
            (vec![(Reply, r#""sent""#, none), (Bounce, "2", none)], r#"{"reply":"sent","bounce":2}"#),
            (vec![(Bounce, "2", none)], r#"{"bounce":2}"#),
            (vec![(Bounce, "2", none), (Bounce, "3", none)], r#"{"bounce":3}"#),
            (vec![(Bounce, "2", none), (Reply, r#"{"a":1}"#, none)], r#"{"a":1}"#),
            (vec![(Reply, r#"{"bounce":1,"a":2}"#, none), (Bounce, "3", none)], r#"{"bounce":3,"a":2}"#),
            (
                vec![(Reply, r#"{"x":"\"bounce\""}"#, none), (Bounce, "3", none)],
                r#"{"x":"\"bounce\"","bounce":3}"#,
            ),
        ] {
            assert_eq!(folded(&facts)[1], reply, "{facts:?}");
        }
        for (reports, tools) in [
            (vec!["[1,2]"], "[1,2]"),
            (vec!["[1,2]", "[]", "[3]"], "[1,2,3]"),
            (vec!["[]", "[]"], "[]"),
            (vec!["[1]", r#"{"a":1}"#], r#"{"a":1}"#),
            (vec![r#"{"a":1}"#, "[1]"], "[1]"),
            (vec![r#"{"a":1}"#, "[1]", "[2]"], "[1,2]"),
        ] {
            let facts: Vec<_> = reports.iter().map(|report| (Tools, *report, none)).collect();
            assert_eq!(folded(&facts)[2], tools, "{reports:?}");
        }
        assert_eq!(
            folded(&[(Tokens, "1", none), (Tokens, "2", none)])[3],
            "3",
            "as it was before sums were kept"
        );
        assert_eq!(
            folded(&[(Tokens, "1", none), (Tokens, "2", Some("3")), (Tokens, "4", Some("7"))])[3],
            "7"
        );
        assert_eq!(folded(&[(Thread, r#""T""#, none)])[0], "T");
    }
}
