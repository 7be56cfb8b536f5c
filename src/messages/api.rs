//! Mailbuttons' routes: the list of entries, one entry, the policy, and our doors for recording messages.

use rusqlite::Connection;
use serde::Serialize;
use serde_json::{Value, json};

use super::gate::{self, Disposal};
use super::guards;
use super::policy::{self, Policy};
use super::sql::{self, Filter, Recorded};
use super::{COLUMNS, Entry, Kind, LONGEST_REASON, NewEntry, Outcome, Received};
use crate::app::App;
use crate::auth::{Admin, Caller, Scope, Standing};
use crate::error::{Error, Result, Subject};
use crate::http::batch::{self, Batch};
use crate::http::json::{self, Fields};
use crate::http::route::{Dialect, Handler, Route, bulk, limit, route, single};
use crate::http::stream::{self, Format};
use crate::http::{Method, Request, Response, listing};
use crate::ids::unhex;
use crate::owners::mailboxes::{self, Mailbox};
use crate::proofs;
use crate::store::{Note, Sharing, Tx};

pub const ROUTES: &[Route] = &[
    route(
        Method::Get,
        "/v1/mailboxes/{mailbox_id}/audit-logs",
        Dialect::Mailbuttons,
        Handler::Key(Scope::MESSAGES_READ, list_entries),
    ),
    bulk(
        Method::Post,
        "/v1/mailboxes/{mailbox_id}/audit-logs",
        Dialect::Mailbuttons,
        Handler::Key(Scope::MESSAGES_WRITE, post_entries),
    ),
    route(
        Method::Get,
        "/v1/mailboxes/{mailbox_id}/audit-logs/{message_id}",
        Dialect::Mailbuttons,
        Handler::Key(Scope::MESSAGES_READ, show_entry),
    ),
    route(
        Method::Get,
        "/v1/mailboxes/{mailbox_id}/audit-logs/{message_id}/proof",
        Dialect::Mailbuttons,
        Handler::Key(Scope::MESSAGES_READ, prove_entry),
    ),
    single(
        Method::Patch,
        "/v1/mailboxes/{mailbox_id}/audit-logs/{message_id}",
        Dialect::Mailbuttons,
        Handler::Key(Scope::MESSAGES_WRITE, patch_entry),
    ),
    bulk(
        Method::Post,
        "/v1/mailboxes/{mailbox_id}/inbound",
        Dialect::Mailbuttons,
        Handler::Key(Scope::MESSAGES_WRITE, post_inbound),
    ),
    route(
        Method::Get,
        "/v1/mailboxes/{mailbox_id}/policy",
        Dialect::Mailbuttons,
        Handler::Key(Scope::MESSAGES_READ, show_policy),
    ),
    route(Method::Put, "/v1/mailboxes/{mailbox_id}/policy", Dialect::Mailbuttons, Handler::Admin(put_policy)),
];

/// A mailbox of this workspace; unknown, another's and no number at all are the same 404.
pub fn find_mailbox(connection: &Connection, workspace: i64, id: i64) -> Result<Mailbox> {
    mailboxes::find(connection, workspace, id)?.ok_or(Error::NotFound(Subject::Mailbox))
}

fn mailbox_of(app: &App, workspace: i64, request: &Request) -> Result<Mailbox> {
    let id = mailbox_id(request)?;
    app.store.read(|snapshot| find_mailbox(snapshot, workspace, id))
}

fn mailbox_id(request: &Request) -> Result<i64> {
    request.parameter("mailbox_id").parse().map_err(|_| Error::NotFound(Subject::Mailbox))
}

/// A mailbox that may be written to: one that lives. Writes look again in their own transaction.
pub fn find_living_mailbox(connection: &Connection, workspace: i64, id: i64) -> Result<Mailbox> {
    let mailbox = find_mailbox(connection, workspace, id)?;
    if mailbox.deleted { Err(Error::NotFound(Subject::Mailbox)) } else { Ok(mailbox) }
}

/// The number of the path's mailbox, which lives: 404 goes before any word about the body.
fn living_mailbox_id(app: &App, workspace: i64, request: &Request) -> Result<i64> {
    let id = mailbox_id(request)?;
    app.store.read(|snapshot| find_living_mailbox(snapshot, workspace, id)).map(|mailbox| mailbox.id)
}

fn list_entries(app: &App, caller: &Caller, request: &Request) -> Result<Response> {
    let mailbox = mailbox_of(app, caller.workspace, request)?;
    let query = &request.query;
    query.only(&[
        "message_id",
        "thread_id",
        "outcome",
        "limit",
        "cursor",
        "from",
        "to",
        "order",
        "sender_address",
        "recipient_address",
        "reason",
        "format",
    ])?;
    let format = Format::of(request)?;
    format.refuse_paging(query)?;
    let text = |name| Ok::<_, Error>(query.text(name)?.map(str::to_owned));
    let limit = limit(query)?;
    let cursor = query.integer("cursor", "the next_cursor of an earlier page")?;
    let filter = Filter {
        mailbox: mailbox.id,
        message_id: text("message_id")?,
        thread_id: text("thread_id")?,
        outcome: query.word("outcome", &Outcome::WORDS)?,
        sender_address: text("sender_address")?,
        recipient_address: text("recipient_address")?,
        reason: text("reason")?,
        from: query.timestamp("from")?,
        to: query.timestamp("to")?,
        newest_first: listing::newest_first(query)?,
    };
    if format != Format::Json {
        let target = ("mailbox", mailbox.id.to_string());
        app.note_export((caller.workspace, None), &caller.by, "messages.export", target, request)?;
        return stream_entries(app, &caller.standing, filter, format);
    }
    let mut entries = app
        .store
        .read_list(caller.standing.asker, |snapshot| sql::list(snapshot, &filter, cursor, limit + 1))?;
    let has_more = entries.len() as i64 > limit;
    entries.truncate(limit as usize);
    // The last one is the smallest of the page, newest first.
    let next_cursor = entries.last().filter(|_| has_more).map(|entry| entry.id);
    Response::json(200, &Page { items: entries, next_cursor })
}

#[derive(Serialize)]
struct Page {
    items: Vec<Entry>,
    next_cursor: Option<i64>,
}

fn stream_entries(app: &App, standing: &Standing, filter: Filter, format: Format) -> Result<Response> {
    let reader = standing.clone();
    let mut cursor = None;
    if format != Format::Proof {
        return Ok(stream::response(format, COLUMNS, move || {
            let entries =
                reader.read_piece(|snapshot| sql::list(snapshot, &filter, cursor, stream::PIECE))?;
            cursor = entries.last().map(|entry| entry.id).or(cursor);
            Ok(entries)
        }));
    }
    proofs::stream(app, standing, move || {
        let (last, numbers) = reader.read_piece(|snapshot| {
            let entries = sql::list(snapshot, &filter, cursor, stream::PIECE)?;
            let numbers = sql::with_numbers_of_facts(snapshot, entries.iter().map(|entry| entry.id))?;
            Ok((entries.last().map(|entry| entry.id), numbers))
        })?;
        cursor = last.or(cursor);
        Ok(numbers)
    })
}

fn show_entry(app: &App, caller: &Caller, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    let mailbox = mailbox_of(app, caller.workspace, request)?;
    let found =
        app.store.read(|snapshot| sql::find(snapshot, mailbox.id, request.parameter("message_id")))?;
    Response::json(200, &found.ok_or(Error::NotFound(Subject::Message))?)
}

/// Of the entry as it was recorded, or, with `fact`, of one of the facts that came later: the first is 1.
fn prove_entry(app: &App, caller: &Caller, request: &Request) -> Result<Response> {
    request.query.only(&["fact"])?;
    let fact = request.query.integer("fact", "the number of a fact, from 1 on")?;
    let mailbox = mailbox_of(app, caller.workspace, request)?;
    let message_id = request.parameter("message_id");
    let numbers = app.store.read(|snapshot| sql::numbers_of(snapshot, mailbox.id, message_id))?;
    let place = usize::try_from(fact.unwrap_or(0)).ok().filter(|place| *place > 0 || fact.is_none());
    let number = place.and_then(|place| numbers.get(place).copied());
    proofs::answer(app, number.ok_or(Error::NotFound(Subject::Message))?, Subject::Message)
}

fn post_entries(app: &App, caller: &Caller, request: &Request) -> Result<Response> {
    let (workspace, id) = (caller.workspace, living_mailbox_id(app, caller.workspace, request)?);
    let by = caller.by.recorded_by.clone();
    let batch = if is_raw(request) {
        Batch::one("items", raw_entry(app, request)?)
    } else {
        request.query.only(&[])?;
        batch::parse(request, "items", app.config.max_body, NewEntry::read)?
    };
    let change = move |tx: &mut Tx<'_>| {
        let mailbox = find_living_mailbox(tx, workspace, id)?;
        let mut any_new = false;
        let recorded = batch.record(|new| {
            let Recorded { entry, is_new } = sql::record(tx, &mailbox, new, &by)?;
            any_new |= is_new;
            Ok(entry)
        })?;
        Ok((recorded, any_new))
    };
    app.record_then(workspace, request, Sharing::Savepoint, change, |(recorded, any_new)| {
        recorded.answer(if any_new { 201 } else { 200 }, |entry| entry.id)
    })
}

/// Of a head alone (RFC 6522 section 4), with the parameter `message_hash`.
const HEAD: &str = "text/rfc822-headers";

/// Whether the body is a message as it arrived, or its head.
fn is_raw(request: &Request) -> bool {
    // RFC 6532 section 3.7: a message whose header is in UTF-8, which ours are read as anyway.
    matches!(&*request.media_type(), "message/rfc822" | "message/global" | HEAD)
}

fn raw_message(app: &App, request: &Request) -> Result<Received> {
    let trusted = &app.config.authserv_ids;
    let hash = request.query.text("message_hash")?;
    if request.media_type() != HEAD {
        if hash.is_some() {
            let message = format!("is only for {HEAD}: of a whole message it is found out here");
            return Err(Error::invalid("message_hash", message));
        }
        return Received::from_raw(&request.body, trusted);
    }
    let hash = hash.and_then(unhex::<32>).ok_or_else(|| {
        Error::invalid("message_hash", "is required: 64 hex digits, the SHA-256 of the whole message")
    })?;
    Received::from_head(&request.body, hash, trusted)
}

/// A raw message; its outcome and reason are parameters, `delivered` unless given.
fn raw_entry(app: &App, request: &Request) -> Result<NewEntry> {
    request.query.only(&["outcome", "reason", "message_hash"])?;
    let outcome = request.query.word("outcome", &Outcome::WORDS)?.unwrap_or(Outcome::Delivered);
    let reason = request.query.text("reason")?.map(str::to_owned);
    if let Some(length) = reason.as_ref().map(|reason| reason.chars().count()).filter(|n| *n > LONGEST_REASON)
    {
        let message = format!("has {length} characters; accepted: up to {LONGEST_REASON}");
        return Err(Error::invalid("reason", message));
    }
    Ok(raw_message(app, request)?.entry.decided(outcome, reason))
}

fn patch_entry(app: &App, caller: &Caller, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    let (workspace, id) = (caller.workspace, living_mailbox_id(app, caller.workspace, request)?);
    let mut fields = Fields::of(json::body(request)?, "")?;
    let kinds = Kind::WORDS.map(|(_, kind)| kind);
    let facts = super::read_facts(&mut fields, &kinds)?;
    fields.done()?;
    if facts.is_empty() {
        let accepted: Vec<_> = Kind::WORDS.iter().map(|(word, _)| *word).collect();
        return Err(Error::invalid("body", format!("appends nothing; accepted: {}", accepted.join(", "))));
    }
    let message_id = request.parameter("message_id").to_owned();
    let by = caller.by.recorded_by.clone();
    app.record(workspace, request, move |tx| {
        let mailbox = find_living_mailbox(tx, workspace, id)?;
        Response::json(200, &sql::append(tx, mailbox.id, &message_id, &facts, &by)?)
    })
}

fn post_inbound(app: &App, caller: &Caller, request: &Request) -> Result<Response> {
    let is_raw = is_raw(request);
    request.query.only(if is_raw { &["message_hash"] } else { &[] })?;
    let id = living_mailbox_id(app, caller.workspace, request)?;
    let received = if is_raw {
        raw_message(app, request)?
    } else {
        Received::read(Fields::of(json::body(request)?, "")?)?
    };
    gate::decide(app, caller, id, request, &received, decided)
}

/// The entry as a read would show it, and after it what to do with the message.
fn decided(recorded: &Recorded, disposal: Disposal) -> Result<Response> {
    let mut shown = crate::http::json::value(&recorded.entry)?;
    shown["action"] = disposal.as_str().into();
    Response::json(if recorded.is_new { 201 } else { 200 }, &shown)
}

fn show_policy(app: &App, caller: &Caller, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    let mailbox = mailbox_of(app, caller.workspace, request)?;
    let found =
        app.store.read(|snapshot| guards::in_force(app, snapshot, mailbox.id, mailbox.policy_version))?;
    let compiled = found.ok_or(Error::NotFound(Subject::Policy))?;
    Response::json(200, &shown_policy(mailbox.id, compiled.version, &compiled.policy))
}

fn shown_policy(mailbox_id: i64, version: i64, policy: &Policy) -> Value {
    json!({
        "mailboxId": mailbox_id, "version": version, "policy": policy.to_json(),
        "warnings": policy::warnings(&policy.senders),
    })
}

/// Puts a policy in force; the change is noted with the document before and after.
fn put_policy(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    let id = mailbox_id(request)?;
    let missing = || Error::NotFound(Subject::Mailbox);
    let mailbox = app.store.read(|snapshot| mailboxes::find_anywhere(snapshot, id))?.ok_or_else(missing)?;
    admin.must_see(mailbox.workspace, Subject::Mailbox)?;
    if mailbox.deleted {
        return Err(missing());
    }
    let (policy, _) = Policy::read(json::body(request)?)?;
    let by = admin.by.clone();
    app.record(mailbox.workspace, request, move |tx| {
        let before = mailboxes::policy(tx, id)?;
        let document = policy.to_json();
        let version = mailboxes::put_policy(
            tx,
            id,
            &document.to_string(),
            policy.retention_days,
            policy.include_body_hash,
        )?;
        let before = before.and_then(|(_, document)| serde_json::from_str::<Value>(&document).ok());
        tx.note(Note {
            workspace: Some(mailbox.workspace),
            project: None,
            by,
            action: "mailbox.policy_update",
            target_type: "mailbox",
            target_id: id.to_string(),
            metadata: json!({ "version": version, "before": before, "after": document }),
        })?;
        Response::json(200, &shown_policy(id, version, &policy))
    })
}
