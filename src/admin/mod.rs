//! `/api/v1/admin/…`: the routes by which everything is set.
//!
//! The command line and the page are clients of these routes and of nothing else. Each change notes what it did, in
//! its own transaction, with before and after and without secrets.

pub mod appliance;
pub mod erasures;
pub mod invitations;
pub mod keys;
pub mod owners;
pub mod people;
pub mod proof;
mod told;
pub mod vouching;

use serde_json::json;

use crate::app::App;
use crate::auth::Admin;
use crate::error::{Error, Result};
use crate::http::json::Fields;
use crate::http::route::{Dialect, Handler, Parameters, Route, route, unkept};
use crate::http::{Method, Request, Response};
use crate::owners::names;
use crate::store::{Note, Snapshot};

type Handle = fn(&crate::app::App, &Admin, &Request) -> Result<Response>;

const fn get(path: &'static str, handle: Handle) -> Route {
    route(Method::Get, path, Dialect::Problem, Handler::Admin(handle))
}
const fn post(path: &'static str, handle: Handle) -> Route {
    route(Method::Post, path, Dialect::Problem, Handler::Admin(handle))
}
const fn patch(path: &'static str, handle: Handle) -> Route {
    route(Method::Patch, path, Dialect::Problem, Handler::Admin(handle))
}
const fn delete(path: &'static str, handle: Handle) -> Route {
    route(Method::Delete, path, Dialect::Problem, Handler::Admin(handle))
}

pub const ROUTES: &[Route] = &[
    get("/api/v1/admin/workspaces", people::list_workspaces),
    post("/api/v1/admin/workspaces", people::post_workspace),
    get("/api/v1/admin/workspaces/{id}", people::show_workspace),
    patch("/api/v1/admin/workspaces/{id}", people::patch_workspace),
    delete("/api/v1/admin/workspaces/{id}", people::delete_workspace),
    get("/api/v1/admin/users", people::list_users),
    post("/api/v1/admin/users", people::post_user),
    get("/api/v1/admin/users/{id}", people::show_user),
    patch("/api/v1/admin/users/{id}", people::patch_user),
    delete("/api/v1/admin/users/{id}", people::delete_user),
    get("/api/v1/admin/invitations", invitations::list),
    delete("/api/v1/admin/invitations/{id}", invitations::withdraw),
    get("/api/v1/admin/tenants", owners::list_tenants),
    post("/api/v1/admin/tenants", owners::post_tenant),
    get("/api/v1/admin/tenants/{id}", owners::show_tenant),
    patch("/api/v1/admin/tenants/{id}", owners::patch_tenant),
    delete("/api/v1/admin/tenants/{id}", owners::delete_tenant),
    get("/api/v1/admin/mailboxes", owners::list_mailboxes),
    post("/api/v1/admin/mailboxes", owners::post_mailbox),
    get("/api/v1/admin/mailboxes/{id}", owners::show_mailbox),
    patch("/api/v1/admin/mailboxes/{id}", owners::patch_mailbox),
    delete("/api/v1/admin/mailboxes/{id}", owners::delete_mailbox),
    get("/api/v1/admin/projects", owners::list_projects),
    post("/api/v1/admin/projects", owners::post_project),
    get("/api/v1/admin/projects/{id}", owners::show_project),
    patch("/api/v1/admin/projects/{id}", owners::patch_project),
    delete("/api/v1/admin/projects/{id}", owners::delete_project),
    get("/api/v1/admin/keys", keys::list),
    post("/api/v1/admin/keys", keys::post),
    get("/api/v1/admin/keys/{id}", keys::show),
    delete("/api/v1/admin/keys/{id}", keys::revoke),
    post("/api/v1/admin/keys/{id}/rotate", keys::rotate),
    get("/api/v1/admin/licenses", appliance::list_licenses),
    post("/api/v1/admin/licenses", appliance::post_license),
    get("/api/v1/admin/names", list_names),
    get("/api/v1/admin/config", appliance::show_config),
    get("/api/v1/admin/retention", appliance::show_retention),
    patch("/api/v1/admin/retention", appliance::patch_retention),
    unkept(post("/api/v1/admin/retention/run", appliance::run_retention)),
    unkept(post("/api/v1/admin/erasures", erasures::post)),
    unkept(post("/api/v1/admin/backups", appliance::post_backup)),
    unkept(post("/api/v1/admin/check", appliance::post_check)),
    get("/api/v1/admin/verify", proof::show_verification),
    get("/api/v1/admin/checkpoint", proof::show_checkpoint),
    unkept(post("/api/v1/admin/epochs", proof::post_epoch)),
    get("/api/v1/admin/root", proof::show_root),
    get("/api/v1/admin/consistency", proof::show_consistency),
    get("/api/v1/admin/removals", proof::show_removals),
    get("/api/v1/admin/controls", proof::list_controls),
    get("/api/v1/admin/controls/{number}/proof", proof::prove_control),
    get("/api/v1/admin/clock", appliance::show_clock),
    unkept(post("/api/v1/admin/clock/accept", appliance::accept_clock)),
    get("/api/v1/admin/stats", appliance::show_stats),
];

/// Puts the id in the place of a name in the path, where one thing is called so.
///
/// # Errors
/// `Conflict` with the candidates, where several are.
pub fn name_to_id(app: &App, admin: &Admin, route: &str, parameters: &mut Parameters) -> Result<()> {
    let kind =
        route.strip_prefix("/api/v1/admin/").and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let Some((_, text)) = parameters.iter_mut().find(|(name, _)| *name == "id") else { return Ok(()) };
    if !names::kinds().contains(&kind) || names::is_id(kind, text) {
        return Ok(());
    }
    let found = app
        .store
        .read(|snapshot| names::list(snapshot, kind, text, |workspace| admin.role(workspace).is_some()))?;
    if let Some(named) = names::only(found)? {
        *text = named.id;
    }
    Ok(())
}

/// `?kind=&name=&workspace_id=`: what is called so, also what is deleted where nothing else is.
fn list_names(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    let query = &request.query;
    query.only(&["kind", "name", "workspace_id"])?;
    let kinds = names::kinds().map(|kind| (kind, kind));
    let kind = query.word("kind", &kinds)?.ok_or_else(|| Error::invalid("kind", "is required"))?;
    let name = query.text("name")?.ok_or_else(|| Error::invalid("name", "is required"))?;
    let named = query.text("workspace_id")?;
    let found = app.store.read(|snapshot| {
        let only = named.map(|named| admin.workspace(snapshot, Some(named))).transpose()?;
        let may_see = |key| admin.role(key).is_some() && only.is_none_or(|only| only == key);
        names::list(snapshot, kind, name, may_see)
    })?;
    Response::json(200, &json!({ "names": found }))
}

/// The workspace a list is asked of: `?workspace_id=`, else the only one.
fn listed_workspace(admin: &Admin, snapshot: &Snapshot<'_>, request: &Request) -> Result<i64> {
    admin.workspace(snapshot, request.query.text("workspace_id")?)
}

/// The workspace something is made in: the member `workspace_id`, else the only one.
fn named_workspace(app: &crate::app::App, admin: &Admin, fields: &mut Fields) -> Result<i64> {
    let named = fields.text("workspace_id", 64)?;
    app.store.read(|snapshot| admin.workspace(snapshot, named.as_deref()))
}

/// A note of what this caller did in a workspace.
fn note(
    admin: &Admin,
    workspace: i64,
    action: &'static str,
    target: (&'static str, String),
    metadata: serde_json::Value,
) -> Note {
    Note {
        workspace: Some(workspace),
        project: None,
        by: admin.by.clone(),
        action,
        target_type: target.0,
        target_id: target.1,
        metadata,
    }
}
