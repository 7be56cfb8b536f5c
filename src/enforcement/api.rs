//! TenantCore's routes: the list of events, and our doors for recording them.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use super::limits::{self, Send};
use super::sql::{self, Filter};
use super::{Action, COLUMNS, Event, NewEvent};
use crate::app::App;
use crate::auth::{Caller, Scope, Standing};
use crate::error::{Error, Result, Subject};
use crate::http::json::{self as body, Fields};
use crate::http::route::{Dialect, Handler, Route, bulk, route};
use crate::http::stream::{self, Format};
use crate::http::{Method, Request, Response, batch, listing};
use crate::ids::Uuid;
use crate::owners::tenants;
use crate::proofs;
use crate::store::listing::{Cursor, Listing, Start};
use crate::store::{Sharing, Tx};

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
    let page = listing::parse(request, &["tenant_id", "action", "mailbox_address"])?;
    let query = &request.query;
    let tenant_id = query.text("tenant_id")?;
    let mut filter = Filter {
        workspace: caller.workspace,
        tenant: None,
        action: query.word("action", &Action::WORDS)?,
        mailbox_address: query.text("mailbox_address")?.map(str::to_owned),
    };
    let echoed = echo(tenant_id, &filter);
    let missing = || Error::NotFound(Subject::Tenant);
    if let Some(text) = tenant_id {
        let id = Uuid::parse(text).ok_or_else(missing)?;
        let found = app.store.read(|snapshot| tenants::find_key(snapshot, caller.workspace, id))?;
        filter.tenant = Some(found.ok_or_else(missing)?);
    }
    let list = sql::listing(&filter, page.from, page.to, page.newest_first);
    if page.format != Format::Json {
        let target = ("tenant", tenant_id.unwrap_or_default().to_owned());
        app.note_export((caller.workspace, None), &caller.by, "enforcement.export", target, request)?;
        return stream_events(app, &caller.standing, list, page.format);
    }
    let (mut events, total) = app.store.read_list(caller.standing.asker, |snapshot| {
        let events = list.page(snapshot, page.start, page.limit + 1, Event::from_row)?;
        Ok((events, list.total(snapshot)?))
    })?;
    let has_more = events.len() as i64 > page.limit;
    events.truncate(page.limit as usize);
    let last = events.last().filter(|_| has_more).map(cursor);
    let response = Response::json(
        200,
        &Page { count: events.len(), events, total, limit: page.limit, offset: page.offset, filters: echoed },
    )?;
    Ok(listing::link_next(response, request, last))
}

#[derive(Serialize)]
struct Page {
    events: Vec<Event>,
    count: usize,
    total: i64,
    limit: i64,
    offset: i64,
    filters: Value,
}

fn cursor(event: &Event) -> Cursor {
    Cursor { created_at: event.created_at, seq: event.seq }
}

/// The filters that were applied: the vendor's two always, ours when given.
fn echo(tenant_id: Option<&str>, filter: &Filter) -> Value {
    let mut echoed = json!({ "tenant_id": tenant_id, "action": filter.action });
    if let Some(address) = &filter.mailbox_address {
        echoed["mailbox_address"] = address.as_str().into();
    }
    echoed
}

fn stream_events(app: &App, standing: &Standing, list: Listing, format: Format) -> Result<Response> {
    let reader = standing.clone();
    let mut start = Start::Offset(0);
    let mut next = move || {
        let events =
            reader.read_piece(|snapshot| list.page(snapshot, start, stream::PIECE, Event::from_row))?;
        if let Some(last) = events.last() {
            start = Start::After(cursor(last));
        }
        Ok(events)
    };
    match format {
        Format::Proof => {
            proofs::stream(app, standing, move || Ok(next()?.iter().map(|event| event.seq).collect()))
        }
        _ => Ok(stream::response(format, COLUMNS, next)),
    }
}

fn prove_event(app: &App, caller: &Caller, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    let missing = || Error::NotFound(Subject::Event);
    let id = Uuid::parse(request.parameter("id")).ok_or_else(missing)?;
    let number = app.store.read(|snapshot| sql::number_of(snapshot, caller.workspace, id))?;
    proofs::answer(app, number.ok_or_else(missing)?, Subject::Event)
}

fn post_events(app: &App, caller: &Caller, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
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
    app.record_then(workspace, request, Sharing::Checked, change, |events| {
        events.answer(201, |event| event.id)
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
