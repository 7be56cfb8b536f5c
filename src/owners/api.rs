//! The vendors' own routes to owners: TenantCore's tenants and mailboxes, SendDock's members.
//!
//! They are thin: what changes something goes through the same functions as `/api/v1/admin/…`.

use serde_json::json;

use super::{mailboxes, tenants, users, workspaces};
use crate::admin::owners::{create_mailbox, create_tenant, update_mailbox};
use crate::app::App;
use crate::auth::{Admin, Caller, Scope, Session};
use crate::error::{Error, Result, Subject};
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
    request.query.only(&[])?;
    let tenants = app.store.read(|snapshot| tenants::list(snapshot, caller.workspace))?;
    Response::json(200, &json!({ "tenants": tenants, "count": tenants.len() }))
}

fn show_tenant(app: &App, caller: &Caller, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    Response::json(200, &app.store.read(|snapshot| tenant_of(snapshot, caller.workspace, request))?)
}

fn post_tenant(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    create_tenant(app, admin, request, Fields::of(json::body(request)?, "")?)
}

fn list_mailboxes(app: &App, caller: &Caller, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    let (tenant, mut list) = app.store.read(|snapshot| {
        let tenant = tenant_of(snapshot, caller.workspace, request)?;
        let list = mailboxes::list_of_tenant(snapshot, tenant.key)?;
        Ok((tenant, list))
    })?;
    let window = app.config.window_start(app.believed());
    for mailbox in list.iter_mut().filter(|mailbox| mailbox.window_start < window) {
        mailbox.sends_today = 0;
    }
    Response::json(200, &json!({ "tenant_id": tenant.id, "mailboxes": list, "count": list.len() }))
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
    let id: i64 = request.parameter("mailbox_id").parse().map_err(|_| missing())?;
    app.store.read(|snapshot| {
        let workspace = admin.workspace(snapshot, None)?;
        let tenant = tenant_of(snapshot, workspace, request)?;
        let mailbox = mailboxes::find(snapshot, workspace, id)?;
        mailbox.filter(|mailbox| mailbox.tenant == Some(tenant.key)).ok_or_else(missing)
    })?;
    update_mailbox(app, admin, request, id, Fields::of(json::body(request)?, "")?)
}

fn list_members(app: &App, session: &Session, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    let missing = || Error::NotFound(Subject::Workspace);
    let id = Uuid::parse(request.parameter("id")).ok_or_else(missing)?;
    let members = app.store.read(|snapshot| {
        let workspace = workspaces::find(snapshot, id)?.ok_or_else(missing)?;
        session.role(workspace.key).ok_or_else(missing)?;
        users::members(snapshot, workspace.key)
    })?;
    Response::json(200, &json!({ "members": members }))
}
