//! Workspaces and their people.

use rusqlite::Connection;
use serde::Serialize;
use serde_json::{Value, json};

use super::owners::OWNED;
use super::{invitations, listed_workspace, named_workspace, note};
use crate::app::{App, idempotency_key};
use crate::auth::{Admin, FIRST_WORKSPACE, Standing, password};
use crate::error::{Error, Result, Subject};
use crate::export::{Owner, Owners};
use crate::http::json::{self, Fields};
use crate::http::{Query, Request, Response};
use crate::ids::{Uuid, fingerprint};
use crate::owners::users::{self, Member, NewUser, Role};
use crate::owners::workspaces::{self, Workspace};
use crate::owners::{check_own_address, invitations as invited};
use crate::store::{Snapshot, Tx};

fn find_workspace(connection: &Connection, admin: &Admin, id: &str) -> Result<Workspace> {
    visible_workspace(admin, id, |id| workspaces::find(connection, id))
}

fn visible_workspace(
    admin: &Admin,
    id: &str,
    find: impl Fn(Uuid) -> Result<Option<Workspace>>,
) -> Result<Workspace> {
    let missing = || Error::NotFound(Subject::Workspace);
    let id = Uuid::parse(id).ok_or_else(missing)?;
    let workspace = find(id)?.ok_or_else(missing)?;
    admin.must_see(workspace.key, Subject::Workspace)?;
    Ok(workspace)
}

/// Also a deleted one: its log is still there to be held.
fn find_known_workspace(connection: &Connection, admin: &Admin, id: &str) -> Result<Workspace> {
    let missing = || Error::NotFound(Subject::Workspace);
    let id = Uuid::parse(id).ok_or_else(missing)?;
    let workspace = workspaces::find_known(connection, id)?.ok_or_else(missing)?;
    admin.must_see(workspace.key, Subject::Workspace)?;
    Ok(workspace)
}

pub fn list_workspaces(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&Owners::PARAMETERS)?;
    app.store.read_list(admin.standing.asker, |snapshot| {
        let owners = Owners::parse(&request.query, |text| {
            let found =
                Uuid::parse(text).map(|id| workspaces::find_known(snapshot, id)).transpose()?.flatten();
            Ok(found.map(|workspace| workspace.key).filter(|key| admin.role(*key).is_some()))
        })?;
        let tail = format!(r#","count":{}"#, admin.count_workspaces(snapshot)?);
        let of = admin.clone();
        owners.answer(
            &admin.standing,
            snapshot,
            (r#"{"workspaces":["#, tail),
            move |connection, after, limit| {
                let page = of.workspaces_after(connection, after, limit)?;
                Ok(page
                    .into_iter()
                    .map(|shown| Owner { key: shown.key, id: json!(shown.id), shown })
                    .collect())
            },
        )
    })
}

pub fn show_workspace(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    Response::json(200, &app.store.read(|snapshot| find_workspace(snapshot, admin, request.parameter("id")))?)
}

pub fn post_workspace(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    admin.must_run_the_appliance()?;
    let mut fields = Fields::of(json::body(request)?, "")?;
    let name = fields.name("name")?;
    let name = fields.required("name", name)?;
    fields.done()?;
    let admin = admin.clone();
    app.record(FIRST_WORKSPACE, request, move |tx| {
        let workspace = workspaces::create(tx, &name)?;
        let target = ("workspace", workspace.id.to_string());
        tx.note(note(&admin, workspace.key, "workspace.create", target, json!({ "name": name })))?;
        Response::json(201, &workspace)
    })
}

pub fn patch_workspace(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    let id = request.parameter("id").to_owned();
    let key = app.store.read(|snapshot| find_known_workspace(snapshot, admin, &id))?.key;
    let mut fields = Fields::of(json::body(request)?, "")?;
    let name = fields.name("name")?;
    let hold = fields.boolean("legal_hold")?;
    if hold.is_none() && name.is_none() {
        return Err(fields.refuse("name", "is required"));
    }
    fields.done()?;
    let admin = admin.clone();
    app.record(key, request, move |tx| {
        let before = find_known_workspace(tx, &admin, &id)?;
        let target = ("workspace", before.id.to_string());
        if let Some(name) = &name {
            workspaces::rename(tx, find_workspace(tx, &admin, &id)?.key, name)?;
        }
        let (action, metadata) = match hold {
            None => {
                ("workspace.rename", json!({ "before": { "name": before.name }, "after": { "name": name } }))
            }
            Some(hold) => {
                workspaces::set_hold(tx, before.key, hold)?;
                let settings = |name: &str, hold: bool| json!({ "name": name, "legal_hold": hold });
                let after = settings(name.as_deref().unwrap_or(&before.name), hold);
                let before = settings(&before.name, before.legal_hold);
                ("workspace.update", json!({ "before": before, "after": after }))
            }
        };
        if metadata["before"] != metadata["after"] {
            tx.note(note(&admin, before.key, action, target, metadata))?;
        }
        Response::json(200, &workspaces::find_known(tx, before.id)?)
    })
}

pub fn delete_workspace(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    let id = request.parameter("id").to_owned();
    // Also of one that is deleted: a retry gets the answer of the first time.
    let known =
        |snapshot: &Snapshot<'_>| visible_workspace(admin, &id, |id| workspaces::find_known(snapshot, id));
    let key = app.store.read(known)?.key;
    admin.must_own(key)?;
    if key == FIRST_WORKSPACE {
        let message = "the first workspace is the appliance's own and stays";
        return Err(Error::conflict("first_workspace", message));
    }
    let admin = admin.clone();
    app.record(key, request, move |tx| {
        let workspace = find_workspace(tx, &admin, &id)?;
        workspaces::delete(tx, key)?;
        let target = ("workspace", workspace.id.to_string());
        tx.note(note(&admin, key, "workspace.delete", target, json!({ "name": workspace.name })))?;
        Ok(Response::empty(204))
    })
}

/// The member of the path, in a workspace this caller administers.
fn member_of(app: &App, admin: &Admin, request: &Request) -> Result<(i64, Member)> {
    of_path(app, admin, request, users::find_member)
}

/// What `find` says of the user of the path, in the first workspace of this caller's in which it says anything.
fn of_path<T>(
    app: &App,
    admin: &Admin,
    request: &Request,
    find: fn(&Connection, i64, Uuid) -> Result<Option<T>>,
) -> Result<(i64, T)> {
    request.query.only(&["workspace_id"])?;
    let missing = || Error::NotFound(Subject::User);
    let id = Uuid::parse(request.parameter("id")).ok_or_else(missing)?;
    app.store.read(|snapshot| {
        let workspaces = match request.query.text("workspace_id")? {
            Some(_) => vec![listed_workspace(admin, snapshot, request)?],
            None => admin.workspaces(snapshot)?.iter().map(|workspace| workspace.key).collect(),
        };
        for workspace in workspaces {
            if let Some(found) = find(snapshot, workspace, id)? {
                return Ok((workspace, found));
            }
        }
        Err(missing())
    })
}

/// The member as of now. Owners are named, changed and removed by owners only.
fn find_member(tx: &Tx<'_>, admin: &Admin, workspace: i64, id: Uuid) -> Result<Member> {
    let member = users::find_member(tx, workspace, id)?.ok_or(Error::NotFound(Subject::User))?;
    if member.role == Role::Owner {
        admin.must_own(workspace)?;
    }
    Ok(member)
}

fn show(member: &Member) -> Value {
    json!({
        "id": member.user_id, "user_id": member.user_id, "email": member.email, "name": member.name,
        "role": member.role, "joined_at": member.joined_at,
    })
}

pub fn list_users(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&OWNED)?;
    app.store.read_list(admin.standing.asker, |snapshot| {
        let workspace = listed_workspace(admin, snapshot, request)?;
        let standing = admin.standing.clone().within(workspace);
        let tail = format!(r#","count":{}"#, users::count_members(snapshot, workspace)?);
        members_page(&standing, snapshot, &request.query, (r#"{"users":["#, tail), (workspace, show))
    })
}

/// A page of a workspace's members, each as `shown`.
pub fn members_page<R: Serialize + 'static>(
    standing: &Standing,
    snapshot: &Snapshot<'_>,
    query: &Query,
    around: (&str, String),
    (workspace, shown): (i64, fn(&Member) -> R),
) -> Result<Response> {
    let owners = Owners::parse(query, |text| match Uuid::parse(text) {
        Some(id) => Ok(users::find_known_member(snapshot, workspace, id)?
            .map(|id| users::key_of(snapshot, id))
            .transpose()?
            .flatten()),
        None => Ok(None),
    })?;
    owners.answer(standing, snapshot, around, move |connection, after, limit| {
        let page = users::members(connection, workspace, after, limit)?;
        let owner =
            |member: &Member| Owner { key: member.key, id: json!(member.user_id), shown: shown(member) };
        Ok(page.iter().map(owner).collect())
    })
}

pub fn show_user(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    Response::json(200, &show(&member_of(app, admin, request)?.1))
}

/// Invites somebody: with an account elsewhere or without one, the answer is the same, and has the link that is shown
/// this once. The operator, who can read the file, may make a new account here with a password.
pub fn post_user(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    let mut fields = Fields::of(json::body(request)?, "")?;
    let workspace = named_workspace(app, admin, &mut fields)?;
    let email = fields.mail_text("email", 320)?;
    let email = fields.required("email", email)?;
    let role = fields.word("role", &Role::WORDS)?;
    let role = fields.required("role", role)?;
    let name = fields.name("name")?.unwrap_or_default();
    let given = fields.secret("password")?;
    fields.done()?;
    if role == Role::Owner {
        admin.must_own(workspace)?;
    }
    check_own_address("email", &email)?;
    if given.is_some() && !admin.is_operator() {
        let message =
            "is not taken from an administrator; the person chooses it, with the link of the answer";
        return Err(Error::invalid("password", message));
    }
    let hash = match given {
        Some(given) if app.store.read(|snapshot| users::find_by_email(snapshot, &email))?.is_none() => {
            Some(password::hash(&given)?)
        }
        _ => None,
    };
    let admin = admin.clone();
    match hash {
        Some(hash) => record_unless_secret(app, workspace, request, true, move |tx| {
            make_member(tx, &admin, workspace, (&email, &name, &hash), role)
        }),
        None => app.record_secret(workspace, request, move |tx| {
            invitations::invite(tx, &admin, workspace, (&email, &name), role)
        }),
    }
}

/// A new account with a password that somebody else gave it.
fn make_member(
    tx: &mut Tx<'_>,
    admin: &Admin,
    workspace: i64,
    (email, name, password_hash): (&str, &str, &str),
    role: Role,
) -> Result<Response> {
    let new = NewUser { email, name, password_hash, maker: workspace, is_own_password: false };
    let user = users::create(tx, &new)?;
    let target = || ("user", user.id.to_string());
    let metadata = json!({ "email": email, "fingerprint": user.fingerprint() });
    tx.note(note(admin, workspace, "workspace.user_created", target(), metadata))?;
    invited::forget_email(tx, workspace, email)?;
    users::join(tx, workspace, user.key, role)?;
    let metadata = json!({ "member_id": user.id, "email": email, "role": role });
    tx.note(note(admin, workspace, "workspace.member_added", target(), metadata))?;
    shown_member(tx, workspace, user.id, 201)
}

fn shown_member(tx: &Tx<'_>, workspace: i64, id: Uuid, status: u16) -> Result<Response> {
    let member = users::find_member(tx, workspace, id)?.ok_or(Error::NotFound(Subject::User))?;
    Response::json(status, &show(&member))
}

/// Changes a role, or a password. A password is the account's, wherever it is a member: see `may_set_password`.
pub fn patch_user(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    let (workspace, member) = member_of(app, admin, request)?;
    let mut fields = Fields::of(json::body(request)?, "")?;
    let role = fields.word("role", &Role::WORDS)?;
    let hash = fields.secret("password")?.map(|given| password::hash(&given)).transpose()?;
    fields.done()?;
    if role == Some(Role::Owner) {
        admin.must_own(workspace)?;
    }
    let admin = admin.clone();
    let sets_password = hash.is_some();
    let change = move |tx: &mut Tx<'_>| {
        let member = find_member(tx, &admin, workspace, member.user_id)?;
        let target = || ("user", member.user_id.to_string());
        if let Some(role) = role.filter(|role| *role != member.role) {
            keep_an_owner(tx, workspace, &member, Some(role))?;
            users::set_role(tx, workspace, member.key, role)?;
            let metadata = json!({ "member_id": member.user_id, "before": { "role": member.role }, "after": { "role": role }, "role": role });
            tx.note(note(&admin, workspace, "workspace.member_role_changed", target(), metadata))?;
        }
        if let Some(hash) = hash {
            if !may_set_password(tx, &admin, workspace, &member)? {
                let message =
                    "this password is not yours to set; only the person changes it, or the operator";
                return Err(Error::Forbidden(message.into()));
            }
            users::set_password(tx, member.key, &hash)?;
            let metadata = json!({ "email": member.email, "fingerprint": fingerprint(hash.as_bytes()) });
            tx.note(note(&admin, workspace, "user.password_reset", target(), metadata))?;
        }
        shown_member(tx, workspace, member.user_id, 200)
    };
    record_unless_secret(app, workspace, request, sets_password, change)
}

/// An `Idempotency-Key` is taken only when the request holds no password: what is kept with it is a plain hash of the
/// request, from which a weak password can be found by trying.
fn record_unless_secret(
    app: &App,
    workspace: i64,
    request: &Request,
    is_secret: bool,
    change: impl FnOnce(&mut Tx<'_>) -> Result<Response> + Send + 'static,
) -> Result<Response> {
    if !is_secret {
        return app.record(workspace, request, change);
    }
    if idempotency_key(app, workspace, request)?.is_some() {
        let message =
            "is not taken with a password, of which a trace would be kept; without it nothing is set twice";
        return Err(Error::invalid("Idempotency-Key", message));
    }
    app.store.write(change)
}

/// A password opens every workspace of its account. So an administrator sets it only as long as the account is theirs
/// alone: made here, of no other workspace, and never with a password that the person chose. Else whoever invites
/// somebody could take them over. The operator, who can write the file, may help who has forgotten it.
fn may_set_password(tx: &Tx<'_>, admin: &Admin, workspace: i64, member: &Member) -> Result<bool> {
    if admin.is_operator() {
        return Ok(true);
    }
    let Some(user) = users::find_by_key(tx, member.key)? else { return Ok(false) };
    let is_made_here = user.maker == Some(workspace) && user.own_password_at.is_none();
    let is_here_alone = users::roles(tx, member.key)?.iter().all(|(other, _)| *other == workspace);
    Ok(is_made_here && is_here_alone && admin.role(workspace).is_some_and(|own| own >= member.role))
}

pub fn delete_user(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    // Also somebody who has gone: a retry gets the answer of the first time.
    let (workspace, id) = match member_of(app, admin, request) {
        Ok((workspace, member)) => (workspace, member.user_id),
        Err(Error::NotFound(_)) => of_path(app, admin, request, users::find_known_member)?,
        Err(error) => return Err(error),
    };
    let admin = admin.clone();
    app.record(workspace, request, move |tx| {
        let member = find_member(tx, &admin, workspace, id)?;
        keep_an_owner(tx, workspace, &member, None)?;
        users::leave(tx, workspace, member.key)?;
        let metadata = json!({ "member_id": member.user_id, "email": member.email });
        let target = ("user", member.user_id.to_string());
        tx.note(note(&admin, workspace, "workspace.member_removed", target, metadata))?;
        Ok(Response::empty(204))
    })
}

/// A workspace without an owner could never name one again.
fn keep_an_owner(tx: &Tx<'_>, workspace: i64, member: &Member, becomes: Option<Role>) -> Result<()> {
    let ceases = member.role == Role::Owner && becomes != Some(Role::Owner);
    if ceases && !users::has_several_owners(tx, workspace)? {
        return Err(Error::conflict(
            "last_owner",
            "the last owner of a workspace stays; name another one first",
        ));
    }
    Ok(())
}
