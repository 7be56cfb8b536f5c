//! The gate: decides an inbound message by the mailbox's policy and records it, in one transaction.
//!
//! In the vendor's order: the first sender rule that matches, else `rejected_at_policy`; its verification; the
//! content guards, which refuse also what they cannot see to its end (`text_unreadable`) or cannot judge at a bounded
//! cost (`guards_too_costly`); its rate limits; its token budgets; else `delivered`, with what the rule grants. Limits
//! are counted from the log itself, so that they hold across restarts and cannot drift from what is shown.
//!
//! Guards run before the transaction, so that a long text never holds the writer; if the policy changed meanwhile,
//! the decision starts over.

use serde_json::json;

use super::guards::Compiled;
use super::policy::SenderRule;
use super::sql::{self, Recorded};
use super::{NewEntry, Outcome, Received, TextProblem, Verdict};
use crate::app::App;
use crate::auth::Caller;
use crate::error::{Error, Result};
use crate::http::batch;
use crate::http::{Request, Response};
use crate::kept::Shown;
use crate::owners::mailboxes::Mailbox;
use crate::store::counts::Log;
use crate::store::{Sharing, Tx};

/// What the mail server is to do with the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposal {
    Accept,
    Bounce,
    Drop,
}

impl Disposal {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Bounce => "bounce",
            Self::Drop => "drop",
        }
    }

    /// By the outcome and the policy's default action.
    pub fn of(outcome: Outcome, drops: bool) -> Self {
        match outcome {
            Outcome::Delivered => Self::Accept,
            _ if drops => Self::Drop,
            _ => Self::Bounce,
        }
    }
}

/// The decision as far as the text and the verdicts go; what must be counted is left for the transaction.
enum Verdicts<'a> {
    Refused(Outcome, String),
    /// There are content guards, and something of the message that they are to see could not be read.
    Unreadable(TextProblem),
    Passed {
        rule: &'a SenderRule,
        index: usize,
    },
}

/// What says, inside, that the decision starts over.
const POLICY_CHANGED: &str = "policy_changed";

/// Decides and records. Answers with the entry as a read would show it, and after it what to do with the message. The
/// same message again gives the entry that stands, undecided anew.
pub fn decide(
    app: &App,
    caller: &Caller,
    mailbox_id: i64,
    request: &Request,
    received: &Received,
) -> Result<Response> {
    let workspace = caller.workspace;
    loop {
        let (mailbox, found) = app.store.read(|snapshot| {
            let mailbox = super::api::find_living_mailbox(snapshot, workspace, mailbox_id)?;
            let found = super::guards::find(app, snapshot, mailbox.id, mailbox.policy_version)?;
            Ok((mailbox, found))
        })?;
        let compiled = found.map(|found| found.ready(app, mailbox.id)).transpose()?;
        let verdicts = match &compiled {
            Some(compiled) => judge(compiled, received)?,
            None => Verdicts::Refused(Outcome::RejectedAtPolicy, "no_matching_sender_rule".into()),
        };
        let version = mailbox.policy_version;
        let drops = compiled.as_ref().is_some_and(|compiled| compiled.policy.drops);
        let mut entry = received.entry.clone();
        entry.policy_version = compiled.as_ref().map(|compiled| compiled.version);
        let passed = match verdicts {
            Verdicts::Refused(outcome, reason) => {
                entry.outcome = Some(outcome);
                entry.reason = Some(reason);
                None
            }
            Verdicts::Unreadable(problem) => {
                entry.outcome = Some(Outcome::RejectedAtContentGuard);
                entry.reason = Some("text_unreadable".into());
                entry.text_problem.get_or_insert(problem);
                None
            }
            Verdicts::Passed { rule, index } => Some((rule.clone(), index)),
        };
        let by = caller.by.recorded_by.clone();
        let answered = app.record_shown(workspace, request, Sharing::Savepoint, move |tx| {
            let mailbox = super::api::find_living_mailbox(tx, workspace, mailbox_id)?;
            if mailbox.policy_version != version {
                return Err(Error::conflict(POLICY_CHANGED, "the policy changed while it was being applied"));
            }
            if let Some((rule, index)) = passed {
                count(tx, &mailbox, &rule, index, &mut entry)?;
            }
            let Recorded { number, outcome, is_new } = sql::record(tx, &mailbox, entry, &by)?;
            let status = if is_new { 201 } else { 200 };
            let shown = Shown::rows(status, Log::Messages, batch::Recorded::one(number), tx.last_number());
            Ok(shown.with_action(Disposal::of(outcome, drops).as_str()))
        });
        match answered {
            Err(Error::Conflict { code: POLICY_CHANGED, .. }) => {}
            answered => return answered,
        }
    }
}

fn judge<'a>(compiled: &'a Compiled, received: &Received) -> Result<Verdicts<'a>> {
    let entry = &received.entry;
    let sender = entry.sender_address.as_deref().unwrap_or_default();
    let found = compiled.policy.senders.iter().enumerate().find(|(_, rule)| rule.matches(sender));
    let Some((index, rule)) = found else {
        return Ok(Verdicts::Refused(Outcome::RejectedAtPolicy, "no_matching_sender_rule".into()));
    };
    if let Some(reason) = unverified(rule, entry) {
        return Ok(Verdicts::Refused(Outcome::RejectedAtVerification, reason.into()));
    }
    if !compiled.policy.content_guards.is_empty() {
        let Some(seen) = &received.seen else {
            return Err(Error::invalid(
                "text_body",
                "is required, since the mailbox's policy has content guards",
            ));
        };
        if let Some(problem) = seen.problem {
            return Ok(Verdicts::Unreadable(problem));
        }
        if let Some(reason) = compiled.guard_hit(&seen.texts)? {
            return Ok(Verdicts::Refused(Outcome::RejectedAtContentGuard, reason.to_owned()));
        }
    }
    Ok(Verdicts::Passed { rule, index })
}

/// What the rule requires and the message lacks. A pass for somebody else's domain proves nothing about the
/// address in From, which is what the rule matched: known misalignment fails too.
fn unverified(rule: &SenderRule, entry: &NewEntry) -> Option<&'static str> {
    if rule.require_dkim && entry.dkim != Some(Verdict::Pass) {
        return Some("dkim_not_passed");
    }
    if rule.require_spf && entry.spf != Some(Verdict::Pass) {
        return Some("spf_not_passed");
    }
    let requires = rule.require_dkim || rule.require_spf;
    (requires && entry.from_alignment == Some(false)).then_some("from_not_aligned")
}

/// The rule's limits, counted from the log; else delivered.
fn count(
    tx: &Tx<'_>,
    mailbox: &Mailbox,
    rule: &SenderRule,
    index: usize,
    entry: &mut NewEntry,
) -> Result<()> {
    let fingerprint = rule.fingerprint();
    entry.sender_rule = Some(fingerprint);
    let hour_ago = tx.now.plus_seconds(-3600);
    let day_ago = tx.now.plus_seconds(-86_400);
    let mut refuse = |outcome, reason: &str| {
        entry.outcome = Some(outcome);
        entry.reason = Some(reason.to_owned());
    };
    for (most, since, reason) in
        [(rule.per_hour, hour_ago, "rate_limit_per_hour"), (rule.per_day, day_ago, "rate_limit_per_day")]
    {
        if let Some(most) = most
            && sql::n_delivered_of_rule(tx, mailbox.id, fingerprint, (since, tx.now))? >= most
        {
            refuse(Outcome::RateLimited, reason);
            return Ok(());
        }
    }
    if let Some(most) = rule.tokens_per_day
        && sql::n_tokens_of_rule(tx, mailbox.id, fingerprint, (day_ago, tx.now), most)? >= most
    {
        refuse(Outcome::BudgetExhausted, "token_budget_per_day");
        return Ok(());
    }
    if let Some(most) = rule.tokens_per_thread
        && let Some(thread) = sql::thread_for(tx, mailbox.id, entry)?
        && sql::n_tokens_of_thread(tx, mailbox.id, &thread, most)? >= most
    {
        entry.outcome = Some(Outcome::BudgetExhausted);
        entry.reason = Some("token_budget_per_thread".into());
        return Ok(());
    }
    entry.outcome = Some(Outcome::Delivered);
    let granted = json!({ "capabilities": rule.capabilities, "rule_index": index });
    entry.capabilities = Some(granted.to_string());
    Ok(())
}
