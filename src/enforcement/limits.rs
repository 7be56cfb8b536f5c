//! Send limits: counting what a mailbox sends in a day, and making the events when it crosses its limit.
//!
//! The count is of recipients that were let through since the last daily reset. The send that would take it over the
//! limit records `blocked` with what it would have come to (sent 26, limit 25) and is refused; it is not counted, so that
//! a raised limit goes on from what was really sent. Until then every send is refused, also one that would fit. The reset
//! records `unblocked` with a count of 0 for each blocked mailbox, once: by the scheduler, or by the first send after it,
//! whoever comes first. The state is in the mailbox's row and changes in the transaction of the event, so that neither a
//! crash nor a day switched off makes it happen twice or not at all.

use serde::Serialize;

use super::{Action, LARGEST, NewEvent, sql};
use crate::error::{Error, Result, Subject};
use crate::http::json::Fields;
use crate::ids::Uuid;
use crate::owners::mailboxes::{self, Mailbox};
use crate::owners::tenants;
use crate::store::Tx;
use crate::time::Timestamp;

/// A send about to happen.
#[derive(Debug, Clone)]
pub struct Send {
    pub tenant_id: Uuid,
    pub mailbox_address: String,
    pub recipients: i64,
}

impl Send {
    pub fn read(mut fields: Fields) -> Result<Self> {
        let tenant_id = fields.uuid("tenant_id")?;
        let tenant_id = fields.required("tenant_id", tenant_id)?;
        let mailbox_address = fields.mail_text("mailbox_address", 320)?;
        let send = Self {
            tenant_id,
            mailbox_address: fields.required("mailbox_address", mailbox_address)?,
            recipients: fields.integer("recipients", 1, 100_000)?.unwrap_or(1),
        };
        fields.done()?;
        Ok(send)
    }
}

/// Whether it may happen, and what it brings or would bring the day's count to.
#[derive(Debug, Serialize)]
pub struct Decision {
    pub action: &'static str,
    pub sent_count: i64,
    pub limit_value: Option<i64>,
}

/// Counts a send in the day that began at `window` and decides it.
///
/// # Errors
/// `tenant_not_found`, `mailbox_not_found`: unknown, another workspace's, or deleted.
pub fn count(tx: &mut Tx<'_>, workspace: i64, send: &Send, window: Timestamp, by: &str) -> Result<Decision> {
    let tenant = tenants::find_living_key(tx, workspace, send.tenant_id)?;
    let tenant = tenant.ok_or(Error::NotFound(Subject::Tenant))?;
    let mailbox = mailboxes::find_by_address(tx, workspace, &send.mailbox_address)?;
    let mut mailbox =
        mailbox.filter(|mailbox| mailbox.tenant == Some(tenant)).ok_or(Error::NotFound(Subject::Mailbox))?;
    if mailbox.window_start < window {
        reset(tx, &mut mailbox, window)?;
    }
    let sent_count = (mailbox.sends_today + send.recipients).min(LARGEST);
    let limit_value = mailbox.daily_send_limit;
    let is_blocked = mailbox.blocked_at.is_some() && limit_value.is_some();
    if !is_blocked && limit_value.is_none_or(|limit| sent_count <= limit) {
        mailboxes::set_sends(tx, mailbox.id, mailbox.window_start, sent_count, None)?;
        return Ok(Decision { action: "allowed", sent_count, limit_value });
    }
    if let (false, Some(limit)) = (is_blocked, limit_value) {
        let blocked_at = Some(tx.now.truncated());
        mailboxes::set_sends(tx, mailbox.id, mailbox.window_start, mailbox.sends_today, blocked_at)?;
        record(tx, &mailbox, Action::Blocked, (sent_count, limit), by)?;
    }
    Ok(Decision { action: "blocked", sent_count, limit_value })
}

/// Whoever comes first after it: the event is mailtrail's own.
const DAILY_RESET: &str = "mailtrail: daily reset";

/// Begins a new day for a mailbox, with its event when it was blocked.
pub fn reset(tx: &mut Tx<'_>, mailbox: &mut Mailbox, window: Timestamp) -> Result<()> {
    if mailbox.blocked_at.is_some() {
        record(tx, mailbox, Action::Unblocked, (0, mailbox.daily_send_limit.unwrap_or(0)), DAILY_RESET)?;
    }
    mailbox.window_start = window;
    mailbox.sends_today = 0;
    mailbox.blocked_at = None;
    mailboxes::set_sends(tx, mailbox.id, window, 0, None)
}

/// Begins the day for up to `limit` blocked mailboxes that are still in an earlier one; says how many.
pub fn reset_due(tx: &mut Tx<'_>, window: Timestamp, limit: i64) -> Result<usize> {
    let due = mailboxes::list_blocked_before(tx, window, limit)?;
    let n_due = due.len();
    for mut mailbox in due {
        reset(tx, &mut mailbox, window)?;
    }
    Ok(n_due)
}

/// After a limit was changed: a blocked mailbox that may send again by the new one is free at once, and the log says so,
/// with what was let through. `old` is the limit it was blocked by.
pub fn limit_changed(tx: &mut Tx<'_>, mailbox: &Mailbox, old: Option<i64>, by: &str) -> Result<()> {
    let has_room = mailbox.daily_send_limit.is_none_or(|limit| mailbox.sends_today < limit);
    if mailbox.blocked_at.is_none() || !has_room {
        return Ok(());
    }
    let shown_limit = mailbox.daily_send_limit.or(old).unwrap_or(0);
    record(tx, mailbox, Action::Unblocked, (mailbox.sends_today, shown_limit), by)?;
    mailboxes::set_sends(tx, mailbox.id, mailbox.window_start, mailbox.sends_today, None)
}

/// Before a mailbox goes to another tenant, to none, or for good: its block ends in the log that has its beginning. The
/// count of the day goes with it, so that the next send over the limit blocks it anew, there.
pub fn leaves_tenant(tx: &mut Tx<'_>, mailbox: &Mailbox, by: &str) -> Result<()> {
    if mailbox.blocked_at.is_none() {
        return Ok(());
    }
    let limit = mailbox.daily_send_limit.unwrap_or(0);
    record(tx, mailbox, Action::Unblocked, (mailbox.sends_today, limit), by)?;
    mailboxes::set_sends(tx, mailbox.id, mailbox.window_start, mailbox.sends_today, None)
}

fn record(
    tx: &mut Tx<'_>,
    mailbox: &Mailbox,
    action: Action,
    (sent_count, limit): (i64, i64),
    by: &str,
) -> Result<()> {
    // A mailbox that was taken out of its tenant while blocked has nobody to tell.
    let (Some(tenant), Some(tenant_id)) = (mailbox.tenant, mailbox.tenant_id) else { return Ok(()) };
    let new = NewEvent {
        tenant_id,
        mailbox_address: mailbox.primary_smtp.clone(),
        action,
        sent_count,
        limit_value: limit,
        message: None,
        created_at: None,
    };
    sql::record(tx, mailbox.workspace, tenant, &new, by).map(|_| ())
}
