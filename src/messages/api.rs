//! Mailbuttons' routes: the list of entries, one entry, the policy, and our doors for recording messages.

use rusqlite::Connection;
use serde_json::{Value, json};

use super::across::Of;
use super::gate;
use super::guards;
use super::policy::{self, Policy};
use super::shown::{COLUMNS, Client};
use super::sql::{self, Filter, Recorded};
use super::{Kind, LONGEST_REASON, NewEntry, Outcome, Received};
use crate::app::App;
use crate::auth::{Admin, Caller, Scope, Standing};
use crate::error::{Error, Result, Subject};
use crate::export::{self, Walked};
use crate::follow;
use crate::http::batch::{self, Batch};
use crate::http::json::{self, Fields};
use crate::http::route::{Dialect, Handler, Route, bulk, limit, route, single};
use crate::http::stream::{self, Format, Piece};
use crate::http::{Method, Request, Response, listing};
use crate::ids::unhex;
use crate::imports;
use crate::kept::Shown;
use crate::owners::mailboxes::{self, Mailbox};
use crate::owners::workspaces;
use crate::proofs;
use crate::store::backup::last_seq;
use crate::store::counts::Log;
use crate::store::{Note, Sharing, Snapshot, Tx};
use crate::taken::Taker;

pub const ROUTES: &[Route] = &[
    route(
        Method::Get,
        "/v1/messages",
        Dialect::Mailbuttons,
        Handler::Key(Scope::MESSAGES_READ, list_all_entries),
    ),
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
    request.number("mailbox_id").ok_or(Error::NotFound(Subject::Mailbox))
}

/// A mailbox that may be written to: one that lives. Writes look again in their own transaction.
pub fn find_living_mailbox(connection: &Connection, workspace: i64, id: i64) -> Result<Mailbox> {
    let mailbox = find_mailbox(connection, workspace, id)?;
    if mailbox.deleted { Err(Error::NotFound(Subject::Mailbox)) } else { Ok(mailbox) }
}

/// The path's mailbox, which lives: 404 goes before any word about the body.
fn living_mailbox(app: &App, workspace: i64, request: &Request) -> Result<Mailbox> {
    let id = mailbox_id(request)?;
    app.store.read(|snapshot| find_living_mailbox(snapshot, workspace, id))
}

/// The filters of every list of entries.
const FILTERS: [&str; 6] =
    ["message_id", "thread_id", "outcome", "sender_address", "recipient_address", "reason"];

fn list_entries(app: &App, caller: &Caller, request: &Request) -> Result<Response> {
    let mailbox = mailbox_of(app, caller.workspace, request)?;
    list_of(app, caller, request, (Of::Mailbox, mailbox.id), &FILTERS)
}

/// The entries of all mailboxes of the workspace, or of one that is named.
fn list_all_entries(app: &App, caller: &Caller, request: &Request) -> Result<Response> {
    let filters = [&FILTERS[..], &["mailbox_id"]].concat();
    let Some(id) = request.query.integer("mailbox_id", "the number of a mailbox")? else {
        return list_of(app, caller, request, (Of::Workspace(caller.workspace), 0), &filters);
    };
    let mailbox = app.store.read(|snapshot| find_mailbox(snapshot, caller.workspace, id))?;
    list_of(app, caller, request, (Of::Mailbox, mailbox.id), &filters)
}

fn list_of(
    app: &App,
    caller: &Caller,
    request: &Request,
    (of, mailbox): (Of, i64),
    filters: &[&str],
) -> Result<Response> {
    let query = &request.query;
    let after = follow::parse(request, filters)?;
    if after.is_none() {
        query.only(&[filters, &["limit", "cursor", "after", "from", "to", "order", "format"]].concat())?;
    }
    let format = Format::of(request)?;
    format.refuse_paging(query)?;
    let text = |name| Ok::<_, Error>(query.text(name)?.map(str::to_owned));
    let limit = limit(query)?;
    let cursor = query.integer("cursor", "the next_cursor of an earlier page")?;
    let filter = Filter {
        mailbox,
        message_id: query.mail_text("message_id")?,
        thread_id: query.mail_text("thread_id")?,
        outcome: query.word("outcome", &Outcome::WORDS)?,
        sender_address: query.mail_text("sender_address")?,
        recipient_address: query.mail_text("recipient_address")?,
        reason: text("reason")?,
        from: query.timestamp("from")?,
        to: query.timestamp("to")?,
        newest_first: listing::newest_first(query)?,
    };
    let client = Client::of(request);
    let taker = match of {
        Of::Mailbox => taker(caller, mailbox),
        Of::Workspace(workspace) => {
            let id = app.store.read(|snapshot| workspaces::id_of(snapshot, workspace))?;
            let id = id.map(|id| id.to_string()).unwrap_or_default();
            Taker { target: ("workspace", id), ..taker(caller, mailbox) }
        }
    };
    if let Some(after) = after {
        let (items, next_after) = app.store.read_list(caller.standing.asker, |snapshot| {
            let followed = of.follow(snapshot, &filter, &after)?;
            // As it was when that number was recorded: what came later comes again.
            follow::page(snapshot, &followed, |connection, (number, entry)| {
                Ok(sql::entry(connection, entry, number)?.map(|entry| entry.for_client(client)))
            })
        })?;
        app.note_page(taker, request, items.n_rows())?;
        return Ok(follow::answer("items", items, next_after));
    }
    if format != Format::Json {
        app.note_export(taker, request)?;
        return stream_entries(app, &caller.standing, (of, filter, client), format);
    }
    list_page(app, &caller.standing, (of, &filter, client), (cursor, limit), |n_rows| {
        app.note_page(taker, request, n_rows)
    })
}

fn taker(caller: &Caller, mailbox: i64) -> Taker<'_> {
    Taker {
        at: (caller.workspace, None),
        by: &caller.by,
        id: caller.log_id.clone(),
        action: "messages.export",
        target: ("mailbox", mailbox.to_string()),
    }
}

/// Bytes of a page, which ends with the entry that takes it past them.
const PAGE_BYTES: usize = 1024 * 1024;

/// A page ends when it has `limit` entries or is large enough: `next_cursor` says where it goes on.
fn list_page(
    app: &App,
    standing: &Standing,
    (of, filter, client): (Of, &Filter, Client),
    (cursor, limit): (Option<i64>, i64),
    note: impl FnOnce(usize) -> Result<()>,
) -> Result<Response> {
    let limit = usize::try_from(limit).unwrap_or_default();
    let (mut page, first) = app.store.read_list(standing.asker, |snapshot| {
        let (numbers, next) = of.page(snapshot, filter, cursor, limit)?;
        let page = Page { numbers, next, client, n_shown: 0, n_bytes: 0 };
        let mut first = Piece::first();
        page.show(snapshot, &mut first)?;
        Ok((page, first))
    })?;
    note(page.numbers.len())?;
    let tail = page.shown(&first);
    let standing = standing.clone();
    Ok(stream::list(200, r#"{"items":["#, first, tail, move |piece| {
        standing.read_piece(|snapshot| page.show(snapshot, piece))?;
        Ok(page.shown(piece))
    }))
}

struct Page {
    /// Of its entries.
    numbers: Vec<i64>,
    /// From after which entry the list goes on.
    next: Option<i64>,
    client: Client,
    n_shown: usize,
    n_bytes: usize,
}

impl Page {
    /// Puts what is left into a piece, up to its bytes and the page's.
    fn show(&self, connection: &Connection, piece: &mut Piece) -> Result<()> {
        for number in &self.numbers[self.n_shown..] {
            if !piece.has_room() || self.n_bytes + piece.n_bytes() >= PAGE_BYTES {
                break;
            }
            match sql::entry(connection, *number, i64::MAX)? {
                Some(entry) => piece.push(&entry.for_client(self.client))?,
                // Pruned meanwhile.
                None => piece.pass(),
            }
        }
        Ok(())
    }

    /// Counts what was shown. At the end of the page says what comes behind it: where large entries end it early, the
    /// cursor is the last id that it has.
    fn shown(&mut self, piece: &Piece) -> Option<String> {
        self.n_shown += piece.n_passed();
        self.n_bytes += piece.n_bytes();
        let is_whole = self.n_shown == self.numbers.len();
        let last = self.n_shown.checked_sub(1).map(|last| self.numbers[last]);
        let next_cursor = if is_whole { self.next } else { last };
        let is_over = is_whole || self.n_bytes >= PAGE_BYTES;
        is_over.then(|| format!(r#"],"next_cursor":{}}}"#, json!(next_cursor)))
    }
}

fn stream_entries(
    app: &App,
    standing: &Standing,
    (of, filter, client): (Of, Filter, Client),
    format: Format,
) -> Result<Response> {
    // One form for the whole way, whatever is recorded meanwhile.
    let (filter, last) = app.store.read(|snapshot| {
        let filter = match of {
            Of::Mailbox => filter.in_stored_form(snapshot)?,
            Of::Workspace(_) => filter,
        };
        Ok((filter, last_seq(snapshot)?))
    })?;
    let limits = (export::NUMBERS, export::LOOKED_AT);
    let walk = move |snapshot: &Snapshot<'_>, after: Option<&i64>| {
        let (numbers, next) = of.walk(snapshot, &filter, (after.copied(), last), limits)?;
        Ok(Walked { numbers, next })
    };
    if format != Format::Proof {
        let find = move |connection: &Connection, number| {
            Ok(sql::entry(connection, number, last)?.map(|entry| entry.for_client(client)))
        };
        return Ok(export::rows(standing, format, COLUMNS, walk, find));
    }
    let (mut next, reader) = (export::numbers(standing, walk), standing.clone());
    let mut entries = Vec::new();
    proofs::stream(app, standing, move || {
        // Asked again, it goes on with those that it has.
        if entries.is_empty() {
            entries = next()?;
        }
        let (numbers, n_entries) =
            reader.read_piece(|snapshot| sql::with_numbers_of_facts(snapshot, &entries, last))?;
        entries.drain(..n_entries);
        Ok(numbers)
    })
}

fn show_entry(app: &App, caller: &Caller, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    let mailbox = mailbox_of(app, caller.workspace, request)?;
    let found =
        app.store.read(|snapshot| sql::find(snapshot, mailbox.id, request.parameter("message_id")))?;
    let entry = found.ok_or(Error::NotFound(Subject::Message))?;
    app.note_page(taker(caller, mailbox.id), request, 1)?;
    Response::json(200, &entry.for_client(Client::of(request)))
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
    let number = number.ok_or(Error::NotFound(Subject::Message))?;
    app.note_page(taker(caller, mailbox.id), request, 1)?;
    proofs::answer(app, number, Subject::Message)
}

fn post_entries(app: &App, caller: &Caller, request: &Request) -> Result<Response> {
    let workspace = caller.workspace;
    let Mailbox { id, primary_smtp: own_address, .. } = living_mailbox(app, workspace, request)?;
    let by = caller.by.recorded_by.clone();
    let batch = if is_raw(request) {
        Batch::one(raw_entry(app, request)?)
    } else if imports::is_import(request)? {
        let read = |fields| NewEntry::read_imported(fields, &own_address);
        let batch = batch::parse(request, "items", app.config.max_body, read)?;
        return import_entries(app, (workspace, id), request, batch, by);
    } else {
        batch::parse(request, "items", app.config.max_body, |fields| NewEntry::read(fields, &own_address))?
    };
    let change = move |tx: &mut Tx<'_>| {
        let mailbox = find_living_mailbox(tx, workspace, id)?;
        let mut any_new = false;
        let numbers = batch.record(|new| {
            let Recorded { number, is_new, .. } = sql::record(tx, &mailbox, new, &by)?;
            any_new |= is_new;
            Ok(number)
        })?;
        Ok(Shown::rows(if any_new { 201 } else { 200 }, Log::Messages, numbers, tx.last_number()))
    };
    app.record_shown(workspace, request, Sharing::Savepoint, change)
}

/// Records what is not there yet: a message is known again by its id.
fn import_entries(
    app: &App,
    (workspace, id): (i64, i64),
    request: &Request,
    batch: Batch<NewEntry>,
    by: String,
) -> Result<Response> {
    let mut done = imports::Done::of(request);
    app.record(workspace, request, move |tx| {
        let mailbox = find_living_mailbox(tx, workspace, id)?;
        batch.record(|new| {
            let Recorded { number, is_new, .. } = sql::record(tx, &mailbox, new, &by)?;
            done.add(number, is_new);
            Ok(())
        })?;
        done.answer()
    })
}

/// Of a head alone (RFC 6522 section 4). The parameter `message_hash` says of which message it is, or of which one a
/// message without its attachments is.
const HEAD: &str = "text/rfc822-headers";

/// Whether the body is a message as it arrived, or its head.
fn is_raw(request: &Request) -> bool {
    // RFC 6532 section 3.7: a message whose header is in UTF-8, which ours are read as anyway.
    matches!(&*request.media_type(), "message/rfc822" | "message/global" | HEAD)
}

fn raw_message(app: &App, request: &Request) -> Result<Received> {
    let trusted = &app.config.authserv_ids;
    let is_head = request.media_type() == HEAD;
    let Some(given) = request.query.text("message_hash")? else {
        if is_head {
            let message = format!("is required with {HEAD}: the SHA-256 of the whole message");
            return Err(Error::invalid("message_hash", message));
        }
        return Received::from_raw(&request.body, trusted);
    };
    let hash = unhex::<32>(given).ok_or_else(|| {
        Error::invalid("message_hash", "is not 64 hex digits: the SHA-256 of the whole message")
    })?;
    let read = if is_head { Received::from_head } else { Received::from_reduced };
    read(&request.body, hash, trusted)
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
    let (workspace, id) = (caller.workspace, living_mailbox(app, caller.workspace, request)?.id);
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
    app.record_shown(workspace, request, Sharing::Savepoint, move |tx| {
        let mailbox = find_living_mailbox(tx, workspace, id)?;
        let number = sql::append(tx, mailbox.id, &message_id, &facts, &by)?;
        Ok(Shown::rows(200, Log::Messages, batch::Recorded::one(number), tx.last_number()))
    })
}

fn post_inbound(app: &App, caller: &Caller, request: &Request) -> Result<Response> {
    let is_raw = is_raw(request);
    request.query.only(if is_raw { &["message_hash"] } else { &[] })?;
    let Mailbox { id, primary_smtp, .. } = living_mailbox(app, caller.workspace, request)?;
    let received = if is_raw {
        raw_message(app, request)?
    } else {
        Received::read(Fields::of(json::body(request)?, "")?, &primary_smtp)?
    };
    gate::decide(app, caller, id, request, &received)
}

fn show_policy(app: &App, caller: &Caller, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    let mailbox = mailbox_of(app, caller.workspace, request)?;
    let found = app.store.read(|snapshot| guards::find(app, snapshot, mailbox.id, mailbox.policy_version))?;
    let compiled = found.ok_or(Error::NotFound(Subject::Policy))?.ready(app, mailbox.id)?;
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
        let days_before = mailboxes::find_anywhere(tx, id)?.and_then(|mailbox| mailbox.retention_days);
        let document = policy.to_json();
        let version = mailboxes::put_policy(
            tx,
            id,
            &document.to_string(),
            policy.retention_days,
            policy.include_body_hash,
        )?;
        if days_before != Some(policy.retention_days) {
            tx.record_setting(json!({ "mailboxes": [[id, policy.retention_days]] }))?;
        }
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
