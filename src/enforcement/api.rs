//! TenantCore's routes: the list of events, and our doors for recording them.

use std::sync::Arc;

use serde_json::{Value, json};

use super::limits::{self, Send};
use super::sql::{self, Filter};
use super::{Action, COLUMNS, Event, NewEvent};
use crate::app::App;
use crate::auth::{Caller, Scope};
use crate::error::{Error, Result, Subject};
use crate::export::Page;
use crate::follow;
use crate::http::json::{self as body, Fields};
use crate::http::route::{Dialect, Handler, Route, bulk, route};
use crate::http::stream::Format;
use crate::http::{Method, Request, Response, batch, listing};
use crate::ids::Uuid;
use crate::imports::{self, Line, Search};
use crate::owners::tenants;
use crate::proofs;
use crate::store::backup::last_seq;
use crate::store::counts::Log;
use crate::store::{Snapshot, Tx};
use crate::taken::Taker;

pub const ROUTES: &[Route] = &[
    route(
        Method::Get,
        "/v1/enforcement/events",
        Dialect::TenantCore,
        Handler::Key(Scope::ENFORCEMENT_READ, list_events),
    ),
    route(
        Method::Get,
        "/v1/enforcement/events/{id}/proof",
        Dialect::TenantCore,
        Handler::Key(Scope::ENFORCEMENT_READ, prove_event),
    ),
    bulk(
        Method::Post,
        "/v1/enforcement/events",
        Dialect::TenantCore,
        Handler::Key(Scope::ENFORCEMENT_WRITE, post_events),
    ),
    route(
        Method::Post,
        "/v1/enforcement/sends",
        Dialect::TenantCore,
        Handler::Key(Scope::ENFORCEMENT_WRITE, post_send),
    ),
];

fn list_events(app: &App, caller: &Caller, request: &Request) -> Result<Response> {
    const FILTERS: [&str; 3] = ["tenant_id", "action", "mailbox_address"];
    let after = follow::parse(request, &FILTERS)?;
    let page = if after.is_some() { listing::Page::default() } else { listing::parse(request, &FILTERS)? };
    let query = &request.query;
    let tenant_id = query.text("tenant_id")?;
    let mut filter = Filter {
        workspace: caller.workspace,
        tenant: None,
        action: query.word("action", &Action::WORDS)?,
        mailbox_address: query.mail_text("mailbox_address")?,
    };
    let missing = || Error::NotFound(Subject::Tenant);
    if let Some(text) = tenant_id {
        let id = Uuid::parse(text).ok_or_else(missing)?;
        let found = app.store.read(|snapshot| tenants::find_key(snapshot, caller.workspace, id))?;
        filter.tenant = Some(found.ok_or_else(missing)?);
    }
    // In which form an address is there, a snapshot says, and the list is read in that one.
    let listing = |snapshot: &Snapshot<'_>| {
        let filter = filter.clone().in_stored_form(snapshot)?;
        Ok::<_, Error>((sql::listing(snapshot, &filter, page.from, page.to, page.newest_first)?, filter))
    };
    let taker = taker(caller, tenant_id);
    if let Some(after) = after {
        let (events, next_after) = app.store.read_list(caller.standing.asker, |snapshot| {
            let followed = listing(snapshot)?.0.follow(snapshot, &after)?;
            follow::page(snapshot, &followed, |connection, (number, _)| sql::find(connection, number))
        })?;
        app.note_page(taker, request, events.n_rows())?;
        return Ok(follow::answer("events", events, next_after));
    }
    if page.format != Format::Json {
        app.note_export(taker, request)?;
        let (list, last) = app
            .store
            .read_list(caller.standing.asker, |snapshot| Ok((listing(snapshot)?.0, last_seq(snapshot)?)))?;
        return proofs::whole(app, &caller.standing, (list, last), page.format, COLUMNS, sql::find);
    }
    let (events, total, filter) = app.store.read_list(caller.standing.asker, |snapshot| {
        let (list, filter) = listing(snapshot)?;
        let events = Page::read(snapshot, &list, page.start, page.limit, Event::from_row)?;
        Ok((events, list.total(snapshot)?, filter))
    })?;
    app.note_page(taker, request, events.n_rows())?;
    let echoed = echo(tenant_id, &filter);
    let (limit, offset, last) = (page.limit, page.offset, events.last);
    let tail = move |count| {
        format!(r#"],"count":{count},"total":{total},"limit":{limit},"offset":{offset},"filters":{echoed}}}"#)
    };
    let response = events.answer(&caller.standing, r#"{"events":["#, sql::find, tail);
    Ok(listing::link_next(response, request, last))
}

fn taker<'a>(caller: &'a Caller, tenant_id: Option<&str>) -> Taker<'a> {
    Taker {
        at: (caller.workspace, None),
        by: &caller.by,
        id: caller.log_id.clone(),
        action: "enforcement.export",
        target: ("tenant", tenant_id.unwrap_or_default().to_owned()),
    }
}

/// The filters that were applied: the vendor's two always, ours when given.
fn echo(tenant_id: Option<&str>, filter: &Filter) -> Value {
    let mut echoed = json!({ "tenant_id": tenant_id, "action": filter.action });
    if let Some(address) = &filter.mailbox_address {
        echoed["mailbox_address"] = address.as_str().into();
    }
    echoed
}

fn prove_event(app: &App, caller: &Caller, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    let missing = || Error::NotFound(Subject::Event);
    let id = Uuid::parse(request.parameter("id")).ok_or_else(missing)?;
    let number = app.store.read(|snapshot| sql::number_of(snapshot, caller.workspace, id))?;
    let number = number.ok_or_else(missing)?;
    app.note_page(taker(caller, None), request, 1)?;
    proofs::answer(app, number, Subject::Event)
}

fn post_events(app: &App, caller: &Caller, request: &Request) -> Result<Response> {
    if imports::is_import(request)? {
        return import_events(app, caller, request);
    }
    let batch = batch::parse(request, "events", app.config.max_body, NewEvent::read)?;
    let (workspace, by) = (caller.workspace, caller.by.recorded_by.clone());
    let change = move |tx: &mut Tx<'_>| {
        let checked = batch.map(|new| {
            let tenant = tenants::find_living_key(tx, workspace, new.tenant_id)?;
            let tenant = tenant.ok_or(Error::NotFound(Subject::Tenant))?;
            new.check(tx.now)?;
            Ok((tenant, new))
        })?;
        checked.record(|(tenant, new)| sql::record(tx, workspace, tenant, &new, &by))
    };
    app.record_batch(workspace, request, Log::Enforcement, change, (|event| event.seq, |event| event.id))
}

/// Records the events that are not there yet.
fn import_events(app: &App, caller: &Caller, request: &Request) -> Result<Response> {
    let batch = batch::parse(request, "events", app.config.max_body, |fields| {
        Line::read(fields, NewEvent::read, NewEvent::identity)
    })?;
    let (workspace, by) = (caller.workspace, caller.by.recorded_by.clone());
    let asker = caller.standing.asker;
    let (mut search, last) = app.store.read_list(asker, |snapshot| {
        // `each_like` tells a row in one place alone.
        let key = |new: &NewEvent| (new.mailbox_address.to_ascii_lowercase(), new.created_at);
        let same = |line: &_| sql::same(snapshot, workspace, line);
        Ok((Search::of(request, batch.items(), key, same)?, last_seq(snapshot)?))
    })?;
    let lines: Vec<_> = batch.items().map(|line| line.row.clone()).collect();
    while !app.store.read_list(asker, |snapshot| {
        search.look(last, imports::AT_ONCE, |at, numbers, most, tell| {
            sql::each_like(snapshot, workspace, &lines[at], (numbers, most), tell)
        })
    })? {}
    app.store.read_list(asker, |snapshot| {
        search
            .look_on(last_seq(snapshot)?, |numbers, tell| sql::each_since(snapshot, workspace, numbers, tell))
    })?;
    app.record(workspace, request, move |tx| {
        search.look_on(tx.last_number(), |numbers, tell| sql::each_since(tx, workspace, numbers, tell))?;
        batch.record(|Line { row: new, .. }| {
            search.next(|| {
                let tenant = tenants::find_living_key(tx, workspace, new.tenant_id)?;
                let tenant = tenant.ok_or(Error::NotFound(Subject::Tenant))?;
                Ok(sql::record(tx, workspace, tenant, &new, &by)?.seq)
            })
        })?;
        search.done().answer()
    })
}

fn post_send(app: &App, caller: &Caller, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    let send = Send::read(Fields::of(body::body(request)?, "")?)?;
    let (workspace, by) = (caller.workspace, caller.by.recorded_by.clone());
    let config = Arc::clone(&app.config);
    app.record(workspace, request, move |tx| {
        let window = config.window_start(tx.believed);
        Response::json(200, &limits::count(tx, workspace, &send, window, &by)?)
    })
}
