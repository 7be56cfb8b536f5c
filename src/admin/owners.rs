//! Tenants, mailboxes and projects: made, changed, put on hold and marked as deleted.
//!
//! A change looks at its object again in its own transaction: what it notes as "before" is what it changed.

use std::sync::Arc;

use rusqlite::Connection;
use serde_json::{Value, json};

use super::{listed_workspace, named_workspace, note};
use crate::app::App;
use crate::auth::{Admin, Standing, not_called};
use crate::enforcement::{LARGEST, limits};
use crate::error::{Error, Result, Subject};
use crate::export::{Owner, Owners};
use crate::http::json::{self, Fields};
use crate::http::{Query, Request, Response};
use crate::ids::{Uuid, uuid_parameter};
use crate::owners::mailboxes::{self, Mailbox, NewMailbox};
use crate::owners::names;
use crate::owners::projects::{self, Project};
use crate::owners::tenants::{self, NewTenant, Tenant};
use crate::store::{By, Note, Snapshot, Tx};
use crate::time::Timestamp;

/// The `{id}` of the path; what is no UUID names nothing.
fn path_uuid(request: &Request, subject: Subject) -> Result<Uuid> {
    request.query.only(&[])?;
    Uuid::parse(request.parameter("id")).ok_or(Error::NotFound(subject))
}

// ---------------------------------------------------------------------------------------------- tenants

fn find_tenant(connection: &Connection, admin: &Admin, id: Uuid) -> Result<Tenant> {
    for workspace in admin.workspaces(connection)? {
        if let Some(tenant) = tenants::find(connection, workspace.key, id)? {
            return Ok(tenant);
        }
    }
    Err(Error::NotFound(Subject::Tenant))
}

/// Also a deleted one: its log is still there to be held.
fn find_known_tenant(connection: &Connection, admin: &Admin, id: Uuid) -> Result<Tenant> {
    for workspace in admin.workspaces(connection)? {
        if let Some(tenant) = tenants::find_known(connection, workspace.key, id)? {
            return Ok(tenant);
        }
    }
    Err(Error::NotFound(Subject::Tenant))
}

pub fn list_tenants(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&OWNED)?;
    app.store.read_list(admin.standing.asker, |snapshot| {
        let workspace = listed_workspace(admin, snapshot, request)?;
        let standing = admin.standing.clone().within(workspace);
        tenants_page(&standing, snapshot, &request.query, workspace)
    })
}

/// The parameters of a list of what a workspace has.
pub const OWNED: [&str; 3] = ["workspace_id", "limit", "cursor"];

/// A page of a workspace's tenants.
pub fn tenants_page(
    standing: &Standing,
    snapshot: &Snapshot<'_>,
    query: &Query,
    workspace: i64,
) -> Result<Response> {
    let owners = Owners::parse(query, |text| match Uuid::parse(text) {
        Some(id) => tenants::find_key(snapshot, workspace, id),
        None => Ok(None),
    })?;
    let tail = format!(r#","count":{}"#, tenants::count(snapshot, workspace)?);
    owners.answer(standing, snapshot, (r#"{"tenants":["#, tail), move |connection, after, limit| {
        let page = tenants::page(connection, workspace, after, limit)?;
        Ok(page.into_iter().map(|shown| Owner { key: shown.key, id: json!(shown.id), shown }).collect())
    })
}

pub fn show_tenant(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    let id = path_uuid(request, Subject::Tenant)?;
    Response::json(200, &app.store.read(|snapshot| find_tenant(snapshot, admin, id))?)
}

pub fn post_tenant(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    create_tenant(app, admin, request, Fields::of(json::body(request)?, "")?)
}

/// `{name, tenant_id?, domain?}`, or in TenantCore's words `{tenant_name, tenant_id?, tenant_domain?}`.
pub fn create_tenant(app: &App, admin: &Admin, request: &Request, mut fields: Fields) -> Result<Response> {
    request.query.only(&[])?;
    let workspace = named_workspace(app, admin, &mut fields)?;
    let name = match fields.name("name")? {
        Some(name) => Some(name),
        None => fields.name("tenant_name")?,
    };
    let name = fields.required("name", name)?;
    let domain = match fields.text("domain", 255)? {
        Some(domain) => Some(domain),
        None => fields.text("tenant_domain", 255)?,
    };
    let id = fields.text("tenant_id", 64)?.map(|text| uuid_parameter("tenant_id", &text)).transpose()?;
    fields.done()?;
    let admin = admin.clone();
    app.record(workspace, request, move |tx| {
        let tenant = tenants::create(tx, &NewTenant { workspace, id, name, domain })?;
        let metadata = json!({ "name": tenant.tenant_name, "domain": tenant.tenant_domain });
        tx.note(note(&admin, workspace, "tenant.create", ("tenant", tenant.id.to_string()), metadata))?;
        Response::json(201, &tenant)
    })
}

pub fn patch_tenant(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    let id = path_uuid(request, Subject::Tenant)?;
    let workspace = app.store.read(|snapshot| find_known_tenant(snapshot, admin, id))?.workspace;
    let mut fields = Fields::of(json::body(request)?, "")?;
    let name = fields.name("name")?;
    let hold = fields.boolean("legal_hold")?;
    fields.done()?;
    let admin = admin.clone();
    app.record(workspace, request, move |tx| {
        let before = find_known_tenant(tx, &admin, id)?;
        if let Some(name) = &name {
            tenants::rename(tx, find_tenant(tx, &admin, id)?.key, name)?;
        }
        if let Some(hold) = hold {
            tenants::set_hold(tx, before.key, hold)?;
        }
        let after = find_known_tenant(tx, &admin, id)?;
        let settings =
            |tenant: &Tenant| json!({ "name": tenant.tenant_name, "legal_hold": tenant.legal_hold });
        let (before, after_it) = (settings(&before), settings(&after));
        if before != after_it {
            let metadata = json!({ "before": before, "after": after_it });
            tx.note(note(&admin, workspace, "tenant.update", ("tenant", id.to_string()), metadata))?;
        }
        Response::json(200, &after)
    })
}

pub fn delete_tenant(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    let id = path_uuid(request, Subject::Tenant)?;
    // Also of one that is deleted: a retry gets the answer of the first time.
    let workspace = app.store.read(|snapshot| find_known_tenant(snapshot, admin, id))?.workspace;
    let admin = admin.clone();
    app.record(workspace, request, move |tx| {
        let tenant = find_tenant(tx, &admin, id)?;
        tenants::delete(tx, tenant.key)?;
        let target = ("tenant", tenant.id.to_string());
        tx.note(note(
            &admin,
            tenant.workspace,
            "tenant.delete",
            target,
            json!({ "name": tenant.tenant_name }),
        ))?;
        Ok(Response::empty(204))
    })
}

// ---------------------------------------------------------------------------------------------- mailboxes

fn find_mailbox(connection: &Connection, admin: &Admin, id: i64) -> Result<Mailbox> {
    let mailbox = find_known_mailbox(connection, admin, id)?;
    if mailbox.deleted { Err(Error::NotFound(Subject::Mailbox)) } else { Ok(mailbox) }
}

/// Also a deleted one: its log is still there to be held.
fn find_known_mailbox(connection: &Connection, admin: &Admin, id: i64) -> Result<Mailbox> {
    let mailbox = mailboxes::find_anywhere(connection, id)?.ok_or(Error::NotFound(Subject::Mailbox))?;
    admin.must_see(mailbox.workspace, Subject::Mailbox)?;
    Ok(mailbox)
}

fn path_number(request: &Request) -> Result<i64> {
    request.query.only(&[])?;
    request.number("id").ok_or(Error::NotFound(Subject::Mailbox))
}

pub fn list_mailboxes(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&[&OWNED[..], &["deleted"]].concat())?;
    let of = request.query.word(
        "deleted",
        &[("false", mailboxes::Of::Workspace as fn(i64) -> _), ("true", mailboxes::Of::Deleted)],
    )?;
    let window = app.config.window_start(app.believed());
    app.store.read_list(admin.standing.asker, |snapshot| {
        let workspace = listed_workspace(admin, snapshot, request)?;
        let standing = admin.standing.clone().within(workspace);
        let of = (of.unwrap_or(mailboxes::Of::Workspace)(workspace), window);
        mailboxes_page(&standing, snapshot, &request.query, r#"{"mailboxes":["#, of)
    })
}

/// A page of mailboxes, with their counts of the day that began at `window`.
pub fn mailboxes_page(
    standing: &Standing,
    snapshot: &Snapshot<'_>,
    query: &Query,
    head: &str,
    (of, window): (mailboxes::Of, Timestamp),
) -> Result<Response> {
    let owners = Owners::parse(query, |text| Ok(text.parse().ok()))?;
    let tail = format!(r#","count":{}"#, mailboxes::count(snapshot, of)?);
    owners.answer(standing, snapshot, (head, tail), move |connection, after, limit| {
        let page = mailboxes::page(connection, of, after, limit)?.into_iter().map(|mut mailbox| {
            // What was counted before the last reset is over.
            if mailbox.window_start < window {
                mailbox.sends_today = 0;
            }
            Owner { key: mailbox.id, id: mailbox.id.into(), shown: mailbox }
        });
        Ok(page.collect())
    })
}

/// With the count of today: what was counted before the last reset is over.
fn show_now(app: &App, mut mailbox: Mailbox) -> Result<Value> {
    if mailbox.window_start < app.config.window_start(app.believed()) {
        mailbox.sends_today = 0;
    }
    crate::http::json::value(&mailbox)
}

pub fn show_mailbox(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    let id = path_number(request)?;
    let mailbox = app.store.read(|snapshot| find_mailbox(snapshot, admin, id))?;
    Response::json(200, &show_now(app, mailbox)?)
}

pub fn post_mailbox(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    create_mailbox(app, admin, request, Fields::of(json::body(request)?, "")?, None)
}

/// `{address, tenant_id?, daily_send_limit?, name?}`; TenantCore says `primary_smtp` and `display_name`.
pub fn create_mailbox(
    app: &App,
    admin: &Admin,
    request: &Request,
    mut fields: Fields,
    tenant: Option<Tenant>,
) -> Result<Response> {
    request.query.only(&[])?;
    let (workspace, tenant) = match tenant {
        Some(tenant) => (tenant.workspace, Some(tenant)),
        None => {
            let workspace = named_workspace(app, admin, &mut fields)?;
            let named = fields.text("tenant_id", 64)?;
            (workspace, app.store.read(|snapshot| named_tenant(snapshot, workspace, named.as_deref()))?)
        }
    };
    let address = match fields.mail_text("address", 320)? {
        Some(address) => Some(address),
        None => fields.mail_text("primary_smtp", 320)?,
    };
    let name = match fields.name("name")? {
        Some(name) => Some(name),
        None => fields.name("display_name")?,
    };
    let mut new = NewMailbox {
        workspace,
        tenant: tenant.as_ref().map(|tenant| tenant.key),
        address: fields.required("address", address)?,
        name,
        daily_send_limit: fields.integer("daily_send_limit", 0, LARGEST)?,
    };
    fields.done()?;
    let admin = admin.clone();
    app.record(workspace, request, move |tx| {
        let mut tenant_made = None;
        if new.tenant.is_none() {
            let (key, made) = default_tenant(tx, workspace)?;
            (new.tenant, tenant_made) = (Some(key), made);
        }
        let mailbox = mailboxes::create(tx, &new)?;
        let mut metadata = json!({
            "address": mailbox.primary_smtp, "tenant_id": mailbox.tenant_id,
            "daily_send_limit": mailbox.daily_send_limit,
        });
        if let Some(name) = tenant_made {
            metadata["tenant_made"] = name.into();
        }
        tx.note(note(&admin, workspace, "mailbox.create", ("mailbox", mailbox.id.to_string()), metadata))?;
        Response::json(201, &mailbox)
    })
}

/// The key of the tenant of those for which none is named, and its name where it was made just now.
fn default_tenant(tx: &mut Tx<'_>, workspace: i64) -> Result<(i64, Option<String>)> {
    let (tenant, is_new) = tenants::default_of(tx, workspace)?;
    Ok((tenant.key, is_new.then_some(tenant.tenant_name)))
}

/// Mailboxes that get a tenant in one transaction.
const AT_ONCE: i64 = 1000;

/// At each start: mailboxes that an older version made without a tenant, or a backup has, get that of their workspace.
pub fn give_tenants(app: &App) -> Result<()> {
    while let Some(workspace) = app.store.read(|snapshot| mailboxes::workspace_without_tenant(snapshot))? {
        app.store.write(move |tx| {
            let (tenant, made) = default_tenant(tx, workspace)?;
            if let Some(name) = made {
                tx.note(Note {
                    workspace: Some(workspace),
                    project: None,
                    by: By::system("start"),
                    action: "tenant.create",
                    target_type: "tenant",
                    target_id: tenants::id_of(tx, tenant)?.map(|id| id.to_string()).unwrap_or_default(),
                    metadata: json!({ "name": name, "why": "mailboxes had no tenant" }),
                })?;
            }
            mailboxes::give_tenant(tx, workspace, tenant, AT_ONCE)
        })?;
    }
    Ok(())
}

fn named_tenant(snapshot: &Snapshot<'_>, workspace: i64, named: Option<&str>) -> Result<Option<Tenant>> {
    let Some(text) = named else { return Ok(None) };
    let named = match Uuid::parse(text) {
        Some(id) => Some(id),
        None => {
            let found = names::list(snapshot, "tenants", text, |key| key == workspace)?;
            let living = found.into_iter().filter(|named| !named.deleted).collect();
            let found = names::only(living)?;
            let named = found.ok_or_else(|| not_called("tenant_id", text, "tenant"))?;
            Uuid::parse(&named.id)
        }
    };
    let found = named.map(|id| tenants::find(snapshot, workspace, id)).transpose()?.flatten();
    found.map(Some).ok_or(Error::NotFound(Subject::Tenant))
}

pub fn patch_mailbox(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    update_mailbox(app, admin, request, path_number(request)?, Fields::of(json::body(request)?, "")?)
}

/// `{daily_send_limit?: n|null, tenant_id?: id|null, name?, legal_hold?, retention_days?: n|null}`: what is named is set,
/// `null` clears.
pub fn update_mailbox(
    app: &App,
    admin: &Admin,
    request: &Request,
    id: i64,
    mut fields: Fields,
) -> Result<Response> {
    request.query.only(&[])?;
    let workspace = app.store.read(|snapshot| find_known_mailbox(snapshot, admin, id))?.workspace;
    let names_limit = fields.names("daily_send_limit");
    let limit = fields.integer("daily_send_limit", 0, LARGEST)?;
    let names_tenant = fields.names("tenant_id");
    let tenant = fields.text("tenant_id", 64)?;
    let tenant = app.store.read(|snapshot| named_tenant(snapshot, workspace, tenant.as_deref()))?;
    let names_name = fields.names("name");
    let name = fields.name("name")?;
    let hold = fields.boolean("legal_hold")?;
    let names_days = fields.names("retention_days");
    let days = fields.integer("retention_days", 1, 36_500)?;
    fields.done()?;
    let admin = admin.clone();
    let config = Arc::clone(&app.config);
    app.record(workspace, request, move |tx| {
        let mut before = find_known_mailbox(tx, &admin, id)?;
        if before.deleted && (names_limit || names_tenant || names_name || names_days) {
            return Err(Error::NotFound(Subject::Mailbox));
        }
        // A limit is judged against the sends of its own day.
        let window = config.window_start(tx.believed);
        if before.window_start < window {
            limits::reset(tx, &mut before, window)?;
        }
        if names_limit {
            mailboxes::set_limit(tx, id, limit)?;
        }
        if names_tenant {
            let tenant = match &tenant {
                Some(tenant) => Some(tenant.key),
                None => Some(default_tenant(tx, workspace)?.0),
            };
            if tenant != before.tenant {
                must_not_leave_a_hold(tx, &before)?;
                limits::leaves_tenant(tx, &before, &admin.by.recorded_by)?;
            }
            mailboxes::set_tenant(tx, id, tenant)?;
        }
        if names_name {
            mailboxes::set_name(tx, id, name.as_deref())?;
        }
        if let Some(hold) = hold {
            mailboxes::set_hold(tx, id, hold)?;
        }
        if names_days && days != before.retention_days {
            set_days(tx, &before, days)?;
        }
        let after = find_known_mailbox(tx, &admin, id)?;
        if names_limit {
            limits::limit_changed(tx, &after, before.daily_send_limit, &admin.by.recorded_by)?;
        }
        let (before, after) = (settings(&before), settings(&after));
        if before != after {
            let metadata = json!({ "before": before, "after": after });
            tx.note(note(&admin, workspace, "mailbox.update", ("mailbox", id.to_string()), metadata))?;
        }
        Response::json(200, &find_known_mailbox(tx, &admin, id)?)
    })
}

/// Where a policy is in force it says the days: then there is another version of it.
fn set_days(tx: &mut Tx<'_>, mailbox: &Mailbox, days: Option<i64>) -> Result<()> {
    match (mailboxes::policy(tx, mailbox.id)?, days) {
        (None, days) => mailboxes::set_days(tx, mailbox.id, days)?,
        (Some(_), None) => {
            return Err(Error::conflict(
                "policy_in_force",
                "the mailbox has a policy, which says for how many days; give it a number",
            ));
        }
        (Some((_, document)), Some(days)) => {
            let mut policy: Value = serde_json::from_str(&document)
                .map_err(|error| Error::Internal(format!("a policy is no JSON: {error}")))?;
            policy["auditLog"]["retentionDays"] = days.into();
            mailboxes::put_policy(tx, mailbox.id, &policy.to_string(), days, mailbox.include_body_hash)?;
        }
    }
    tx.record_setting(json!({ "mailboxes": [[mailbox.id, days]] }))
}

/// A tenant's hold keeps what its mailboxes received: out of the tenant, retention would take it.
fn must_not_leave_a_hold(connection: &Connection, mailbox: &Mailbox) -> Result<()> {
    match mailbox.tenant {
        Some(tenant) if tenants::is_on_hold(connection, tenant)? => Err(Error::conflict(
            "legal_hold",
            format!("the tenant of {} is on legal hold, which keeps the mailbox's log", mailbox.primary_smtp),
        )),
        _ => Ok(()),
    }
}

fn settings(mailbox: &Mailbox) -> Value {
    json!({
        "daily_send_limit": mailbox.daily_send_limit, "tenant_id": mailbox.tenant_id,
        "name": mailbox.display_name, "legal_hold": mailbox.legal_hold, "retention_days": mailbox.retention_days,
    })
}

pub fn delete_mailbox(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    let id = path_number(request)?;
    let workspace = app.store.read(|snapshot| find_known_mailbox(snapshot, admin, id))?.workspace;
    let admin = admin.clone();
    let config = Arc::clone(&app.config);
    let deleted = app.record(workspace, request, move |tx| {
        let mut mailbox = find_mailbox(tx, &admin, id)?;
        let window = config.window_start(tx.believed);
        if mailbox.window_start < window {
            limits::reset(tx, &mut mailbox, window)?;
        }
        limits::leaves_tenant(tx, &mailbox, &admin.by.recorded_by)?;
        mailboxes::delete(tx, mailbox.id)?;
        let target = ("mailbox", mailbox.id.to_string());
        tx.note(note(
            &admin,
            mailbox.workspace,
            "mailbox.delete",
            target,
            json!({ "address": mailbox.primary_smtp }),
        ))?;
        Ok(Response::empty(204))
    });
    app.policies.forget(id);
    deleted
}

// ---------------------------------------------------------------------------------------------- projects

fn find_project(connection: &Connection, admin: &Admin, id: Uuid) -> Result<Project> {
    let project = find_known_project(connection, admin, id)?;
    if project.deleted_at.is_some() { Err(Error::NotFound(Subject::Project)) } else { Ok(project) }
}

/// Also a deleted one: its log is still there to be held.
fn find_known_project(connection: &Connection, admin: &Admin, id: Uuid) -> Result<Project> {
    let project = projects::find(connection, id)?.ok_or(Error::NotFound(Subject::Project))?;
    admin.must_see(project.workspace, Subject::Project)?;
    Ok(project)
}

/// A project's own changes belong to its own log.
fn project_note(
    admin: &Admin,
    project: &Project,
    action: &'static str,
    metadata: Value,
) -> crate::store::Note {
    let target = ("project", project.id.to_string());
    crate::store::Note {
        project: Some(project.key),
        ..note(admin, project.workspace, action, target, metadata)
    }
}

pub fn list_projects(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&OWNED)?;
    app.store.read_list(admin.standing.asker, |snapshot| {
        let workspace = listed_workspace(admin, snapshot, request)?;
        let owners = Owners::parse(&request.query, |text| {
            let found = Uuid::parse(text).map(|id| projects::find(snapshot, id)).transpose()?.flatten();
            Ok(found.filter(|project| project.workspace == workspace).map(|project| project.key))
        })?;
        let tail = format!(r#","count":{}"#, projects::count(snapshot, workspace)?);
        let standing = admin.standing.clone().within(workspace);
        owners.answer(&standing, snapshot, (r#"{"projects":["#, tail), move |connection, after, limit| {
            let page = projects::page(connection, workspace, after, limit)?;
            Ok(page.into_iter().map(|shown| Owner { key: shown.key, id: json!(shown.id), shown }).collect())
        })
    })
}

pub fn show_project(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    let id = path_uuid(request, Subject::Project)?;
    Response::json(200, &app.store.read(|snapshot| find_project(snapshot, admin, id))?)
}

pub fn post_project(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    let mut fields = Fields::of(json::body(request)?, "")?;
    let workspace = named_workspace(app, admin, &mut fields)?;
    let name = fields.name("name")?;
    let name = fields.required("name", name)?;
    fields.done()?;
    let admin = admin.clone();
    app.record(workspace, request, move |tx| {
        let project = projects::create(tx, workspace, &name)?;
        tx.note(project_note(&admin, &project, "project.create", json!({ "name": name })))?;
        Response::json(201, &project)
    })
}

pub fn patch_project(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    let id = path_uuid(request, Subject::Project)?;
    let workspace = app.store.read(|snapshot| find_known_project(snapshot, admin, id))?.workspace;
    let mut fields = Fields::of(json::body(request)?, "")?;
    let name = fields.name("name")?;
    let hold = fields.boolean("legal_hold")?;
    fields.done()?;
    let admin = admin.clone();
    app.record(workspace, request, move |tx| {
        let project = find_known_project(tx, &admin, id)?;
        if project.deleted_at.is_some() && name.is_some() {
            return Err(Error::NotFound(Subject::Project));
        }
        if let Some(name) = &name {
            projects::rename(tx, project.key, name)?;
        }
        if let Some(hold) = hold {
            projects::set_hold(tx, project.key, hold)?;
        }
        let after = projects::find(tx, project.id)?.ok_or(Error::NotFound(Subject::Project))?;
        let settings = |project: &Project| json!({ "name": project.name, "legal_hold": project.legal_hold });
        let (before, after_it) = (settings(&project), settings(&after));
        if before != after_it {
            let metadata = json!({ "before": before, "after": after_it });
            tx.note(project_note(&admin, &project, "project.update", metadata))?;
        }
        Response::json(200, &after)
    })
}

pub fn delete_project(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    let id = path_uuid(request, Subject::Project)?;
    let workspace = app.store.read(|snapshot| find_known_project(snapshot, admin, id))?.workspace;
    let admin = admin.clone();
    app.record(workspace, request, move |tx| {
        let project = find_project(tx, &admin, id)?;
        projects::delete(tx, project.key)?;
        tx.note(project_note(&admin, &project, "project.delete", json!({ "name": project.name })))?;
        Ok(Response::empty(204))
    })
}
