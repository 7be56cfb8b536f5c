//! The vendors' own routes to owners: TenantCore's tenants and mailboxes, SendDock's members.
//!
//! They are thin: what changes something goes through the same functions as `/api/v1/admin/…`.

use serde_json::json;

use super::users::Member;
use super::{mailboxes, tenants, workspaces};
use crate::admin::owners::{create_mailbox, create_tenant, mailboxes_page, tenants_page, update_mailbox};
use crate::admin::people::members_page;
use crate::app::App;
use crate::auth::{Admin, Caller, Scope, Session};
use crate::error::{Error, Result, Subject};
use crate::export::Owners;
use crate::http::json::{self, Fields};
use crate::http::route::{Dialect, Handler, Route, route};
use crate::http::{Method, Request, Response};
use crate::ids::Uuid;

pub const ROUTES: &[Route] = &[
    route(
        Method::Get,
        "/v1/tenants",
        Dialect::TenantCore,
        Handler::Key(Scope::ENFORCEMENT_READ, list_tenants),
    ),
    route(Method::Post, "/v1/tenants", Dialect::TenantCore, Handler::Admin(post_tenant)),
    route(
        Method::Get,
        "/v1/tenants/{tenant_id}",
        Dialect::TenantCore,
        Handler::Key(Scope::ENFORCEMENT_READ, show_tenant),
    ),
    route(
        Method::Get,
        "/v1/tenants/{tenant_id}/mailboxes",
        Dialect::TenantCore,
        Handler::Key(Scope::ENFORCEMENT_READ, list_mailboxes),
    ),
    route(
        Method::Post,
        "/v1/tenants/{tenant_id}/mailboxes",
        Dialect::TenantCore,
        Handler::Admin(post_mailbox),
    ),
    route(
        Method::Patch,
        "/v1/tenants/{tenant_id}/mailboxes/{mailbox_id}",
        Dialect::TenantCore,
        Handler::Admin(patch_mailbox),
    ),
    route(Method::Get, "/api/v1/workspaces/{id}/members", Dialect::SendDock, Handler::Session(list_members)),
];

/// The tenant of the path. Unknown, another's, and no UUID at all are the same 404.
fn tenant_of(
    connection: &rusqlite::Connection,
    workspace: i64,
    request: &Request,
) -> Result<tenants::Tenant> {
    let id = Uuid::parse(request.parameter("tenant_id")).ok_or(Error::NotFound(Subject::Tenant))?;
    tenants::find(connection, workspace, id)?.ok_or(Error::NotFound(Subject::Tenant))
}

fn list_tenants(app: &App, caller: &Caller, request: &Request) -> Result<Response> {
    request.query.only(&Owners::PARAMETERS)?;
    app.store.read_list(caller.standing.asker, |snapshot| {
        tenants_page(&caller.standing, snapshot, &request.query, caller.workspace)
    })
}

fn show_tenant(app: &App, caller: &Caller, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    Response::json(200, &app.store.read(|snapshot| tenant_of(snapshot, caller.workspace, request))?)
}

fn post_tenant(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    create_tenant(app, admin, request, Fields::of(json::body(request)?, "")?)
}

fn list_mailboxes(app: &App, caller: &Caller, request: &Request) -> Result<Response> {
    request.query.only(&Owners::PARAMETERS)?;
    let window = app.config.window_start(app.believed());
    app.store.read_list(caller.standing.asker, |snapshot| {
        let tenant = tenant_of(snapshot, caller.workspace, request)?;
        let head = format!(r#"{{"tenant_id":{},"mailboxes":["#, json!(tenant.id));
        let of = (mailboxes::Of::Tenant(tenant.key), window);
        mailboxes_page(&caller.standing, snapshot, &request.query, &head, of)
    })
}

fn post_mailbox(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    let tenant = app.store.read(|snapshot| {
        let workspace = admin.workspace(snapshot, None)?;
        tenant_of(snapshot, workspace, request)
    })?;
    create_mailbox(app, admin, request, Fields::of(json::body(request)?, "")?, Some(tenant))
}

fn patch_mailbox(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    let missing = || Error::NotFound(Subject::Mailbox);
    let id = request.number("mailbox_id").ok_or_else(missing)?;
    app.store.read(|snapshot| {
        let workspace = admin.workspace(snapshot, None)?;
        let tenant = tenant_of(snapshot, workspace, request)?;
        let mailbox = mailboxes::find(snapshot, workspace, id)?;
        mailbox.filter(|mailbox| mailbox.tenant == Some(tenant.key)).ok_or_else(missing)
    })?;
    update_mailbox(app, admin, request, id, Fields::of(json::body(request)?, "")?)
}

fn list_members(app: &App, session: &Session, request: &Request) -> Result<Response> {
    request.query.only(&Owners::PARAMETERS)?;
    let missing = || Error::NotFound(Subject::Workspace);
    let id = Uuid::parse(request.parameter("id")).ok_or_else(missing)?;
    app.store.read_list(session.standing.asker, |snapshot| {
        let workspace = workspaces::find(snapshot, id)?.ok_or_else(missing)?.key;
        session.role(workspace).ok_or_else(missing)?;
        let standing = session.standing.clone().within(workspace);
        let around = (r#"{"members":["#, String::new());
        members_page(&standing, snapshot, &request.query, around, (workspace, Member::clone))
    })
}
