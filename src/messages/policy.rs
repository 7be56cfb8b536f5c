//! The policy document of a mailbox, in Mailbuttons' words: who may send, what they are granted, what is refused.
//!
//! A document is checked when it is put and stored in one spelling with its defaults filled in. Patterns are run by
//! a linear-time engine, whatever the text: what that cannot express (look-around, back-references) is refused when
//! the policy is put, not when a message comes. `guards` has them compiled.

use serde_json::{Map, Value, json};

use super::guards;
use crate::error::{Error, Result};
use crate::http::json::{self, Fields};
use crate::ids::sha256;

/// What the vendor's agents know; others are kept and warned of.
const KNOWN_CAPABILITIES: [&str; 4] =
    ["read_calendar", "propose_meeting", "confirm_meeting", "ingest_conflict_notice"];
/// Guards of one policy: each is run over a message's texts.
const MOST_GUARDS: usize = 50;
/// Rules of one policy: a sender is held against each of them.
const MOST_SENDERS: usize = 5000;
/// Days an entry may be kept; for ever is a setting without days.
const MOST_DAYS: i64 = 36_500;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    pub drops: bool,
    pub senders: Vec<SenderRule>,
    pub content_guards: Vec<ContentGuard>,
    pub retention_days: i64,
    pub include_body_hash: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderRule {
    pub address: Option<String>,
    pub domain: Option<String>,
    pub require_dkim: bool,
    pub require_spf: bool,
    pub capabilities: Vec<String>,
    /// Messages let through in any 60 minutes, and in any 24 hours.
    pub per_hour: Option<i64>,
    pub per_day: Option<i64>,
    /// Tokens reported for a thread, and in any 24 hours.
    pub tokens_per_thread: Option<i64>,
    pub tokens_per_day: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentGuard {
    pub reject: String,
    pub reason: String,
}

impl Policy {
    /// Reads and checks a document; also says what to warn of.
    pub fn read(value: Value) -> Result<(Self, Vec<String>)> {
        let (policy, warnings) = Self::read_stored(value)?;
        guards::check(&policy.content_guards)
            .map_err(|(at, why)| Error::invalid(format!("contentGuards[{at}].reject"), why))?;
        Ok((policy, warnings))
    }

    /// Reads a document whose guards were checked when it was put.
    pub fn read_stored(value: Value) -> Result<(Self, Vec<String>)> {
        let mut fields = Fields::of(value, "")?;
        let drops = fields.word("defaultAction", &[("bounce", false), ("drop", true)])?;
        let drops = fields.required("defaultAction", drops)?;
        let senders = fields.list("senders")?;
        let senders = fields.required("senders", senders)?;
        at_most(&fields, "senders", senders.len(), MOST_SENDERS)?;
        let senders: Vec<SenderRule> = senders
            .into_iter()
            .enumerate()
            .map(|(at, value)| SenderRule::read(Fields::of(value, &format!("senders[{at}]"))?))
            .collect::<Result<_>>()?;
        let content_guards = fields.list("contentGuards")?.unwrap_or_default();
        at_most(&fields, "contentGuards", content_guards.len(), MOST_GUARDS)?;
        let content_guards = content_guards
            .into_iter()
            .enumerate()
            .map(|(at, value)| ContentGuard::read(Fields::of(value, &format!("contentGuards[{at}]"))?))
            .collect::<Result<_>>()?;
        let audit_log = fields.object("auditLog")?;
        let mut audit_log = fields.required("auditLog", audit_log)?;
        let days = audit_log.any("retentionDays");
        let retention_days = match json::whole(&audit_log.required("retentionDays", days)?) {
            Some(days @ 1..=MOST_DAYS) => days,
            Some(..=0) => return Err(audit_log.refuse("retentionDays", "must be >= 1")),
            _ => {
                let message = format!("must be a whole number from 1 to {MOST_DAYS}");
                return Err(audit_log.refuse("retentionDays", message));
            }
        };
        let include_body_hash = audit_log.boolean("includeBodyHash")?.unwrap_or(false);
        audit_log.done()?;
        fields.done()?;
        let warnings = warnings(&senders);
        Ok((Self { drops, senders, content_guards, retention_days, include_body_hash }, warnings))
    }

    /// The document in its one spelling.
    pub fn to_json(&self) -> Value {
        json!({
            "defaultAction": if self.drops { "drop" } else { "bounce" },
            "senders": self.senders.iter().map(SenderRule::to_json).collect::<Vec<_>>(),
            "contentGuards": self.content_guards.iter()
                .map(|guard| json!({ "reject": guard.reject, "reason": guard.reason }))
                .collect::<Vec<_>>(),
            "auditLog": { "retentionDays": self.retention_days, "includeBodyHash": self.include_body_hash },
        })
    }
}

fn at_most(fields: &Fields, name: &str, length: usize, most: usize) -> Result<()> {
    if length <= most {
        return Ok(());
    }
    Err(fields.refuse(name, format!("has {length} items; accepted: up to {most}")))
}

/// `unknown_capability:foo`, each once.
pub fn warnings(senders: &[SenderRule]) -> Vec<String> {
    let mut warnings = Vec::new();
    for capability in senders.iter().flat_map(|rule| &rule.capabilities) {
        let warning = format!("unknown_capability:{capability}");
        if !KNOWN_CAPABILITIES.contains(&capability.as_str()) && !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }
    warnings
}

impl SenderRule {
    fn read(mut fields: Fields) -> Result<Self> {
        let matching = fields.object("match")?;
        let mut matching = fields.required("match", matching)?;
        let address = matching.mail_text("address", 320)?;
        let domain = matching.text("domain", 255)?;
        if address.is_none() && domain.is_none() {
            return Err(fields.refuse("match", "must have at least one of address and domain"));
        }
        if let Some(address) = &address {
            crate::owners::check_own_address(&matching.named("address"), address)?;
        }
        let require_dkim = matching.boolean("requireDkim")?.unwrap_or(false);
        let require_spf = matching.boolean("requireSpf")?.unwrap_or(false);
        matching.done()?;
        let capabilities = fields.texts("capabilities", 200)?;
        let capabilities = fields.required("capabilities", capabilities)?;
        let mut pair = |name: &str, first: &str, second: &str| -> Result<(Option<i64>, Option<i64>)> {
            let Some(mut limits) = fields.object(name)? else { return Ok((None, None)) };
            let most = 1 << 53;
            let pair = (limits.integer(first, 0, most)?, limits.integer(second, 0, most)?);
            limits.done()?;
            Ok(pair)
        };
        let (per_hour, per_day) = pair("rateLimit", "perHour", "perDay")?;
        let (tokens_per_thread, tokens_per_day) = pair("tokenBudget", "perThread", "perDay")?;
        fields.done()?;
        Ok(Self {
            address,
            domain,
            require_dkim,
            require_spf,
            capabilities,
            per_hour,
            per_day,
            tokens_per_thread,
            tokens_per_day,
        })
    }

    fn to_json(&self) -> Value {
        let mut rule = json!({ "match": self.match_json(), "capabilities": self.capabilities });
        let mut put = |name: &str, members: [(&str, Option<i64>); 2]| {
            let members: Map<String, Value> = members
                .into_iter()
                .filter_map(|(name, value)| value.map(|value| (name.to_owned(), value.into())))
                .collect();
            if !members.is_empty() {
                rule[name] = Value::Object(members);
            }
        };
        put("rateLimit", [("perHour", self.per_hour), ("perDay", self.per_day)]);
        put("tokenBudget", [("perThread", self.tokens_per_thread), ("perDay", self.tokens_per_day)]);
        rule
    }

    fn match_json(&self) -> Value {
        let mut members = Map::new();
        for (name, value) in [("address", &self.address), ("domain", &self.domain)] {
            if let Some(value) = value {
                members.insert(name.into(), value.as_str().into());
            }
        }
        members.insert("requireDkim".into(), self.require_dkim.into());
        members.insert("requireSpf".into(), self.require_spf.into());
        Value::Object(members)
    }

    /// Names the rule in the log, whatever its place in the document: limits are counted by it, and moving a rule
    /// up or down does not start them anew.
    pub fn fingerprint(&self) -> i64 {
        let hash = sha256(self.match_json().to_string().to_lowercase().as_bytes());
        let mut first = [0; 8];
        first.copy_from_slice(&hash[..8]);
        i64::from_be_bytes(first)
    }

    /// Whether the sender is this rule's. The domain is exact: a subdomain is another.
    pub fn matches(&self, sender: &str) -> bool {
        let domain = sender.rsplit_once('@').map_or("", |(_, domain)| domain);
        let same = |wanted: &Option<String>, got: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(got))
        };
        same(&self.address, sender) && same(&self.domain, domain)
    }
}

impl ContentGuard {
    fn read(mut fields: Fields) -> Result<Self> {
        let reject = fields.text("reject", 4000)?;
        let reject = fields.required("reject", reject)?;
        let reason = fields.text("reason", 1000)?;
        let guard = Self { reject, reason: fields.required("reason", reason)? };
        fields.done()?;
        Ok(guard)
    }
}
