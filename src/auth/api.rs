//! Logging in and out, who one is, one's own password, and accepting an invitation.

use serde_json::{Value, json};

use super::logins::{self, Turn};
use super::{Session, anonymous, password, sessions, sources};
use crate::app::App;
use crate::error::{Error, Result, Subject, Unauthenticated};
use crate::http::json::{self, Fields};
use crate::http::route::{Dialect, Handler, Route, route, small, unkept};
use crate::http::{Method, Request, Response};
use crate::owners::invitations::{self, Invitation};
use crate::owners::users::{self, NewUser, User};
use crate::owners::workspaces;
use crate::store::{By, Note, Tx};

pub const ROUTES: &[Route] = &[
    unkept(small(Method::Post, "/api/v1/auth/login", Dialect::SendDock, Handler::Open(login))),
    unkept(route(Method::Post, "/api/v1/auth/logout", Dialect::SendDock, Handler::Session(logout))),
    route(Method::Get, "/api/v1/me", Dialect::SendDock, Handler::Session(me)),
    unkept(small(Method::Put, "/api/v1/me/password", Dialect::SendDock, Handler::Session(put_password))),
    route(Method::Get, "/api/v1/invitations/{token}", Dialect::SendDock, Handler::Open(show_invitation)),
    unkept(small(
        Method::Post,
        "/api/v1/invitations/{token}",
        Dialect::SendDock,
        Handler::Open(accept_invitation),
    )),
];

fn login(app: &App, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    sessions::refuse_foreign_origin(request)?;
    let mut fields = Fields::of(json::body(request)?, "")?;
    let email = fields.mail_text("email", 320)?;
    let email = fields.required("email", email)?;
    let given = fields.secret("password")?;
    let given = fields.required("password", given)?;
    fields.done()?;

    let by = anonymous(app, request);
    let turn = Turn::take(app, request, &email)?;
    let source = turn.source;
    let by = By { name: email, ..by };
    let user = turn.prove(app, by.clone(), "auth.login_failed", &given)?;
    let by = as_person(&user, by);
    let shown = show(app, &user);
    let token = app.store.write(move |tx| {
        // The password may have been changed while it was proved: that ended all sessions but this one.
        let user = as_proved(tx, &user)?;
        let token = sessions::create(tx, user.key)?;
        if let Some(source) = source {
            sources::note(tx, user.key, source)?;
        }
        let session = json!({ "fingerprint": sessions::fingerprint_of(&token) });
        logins::note(tx, &user, by, "auth.login", &session)?;
        Ok(token)
    })?;
    let cookie = sessions::set_cookie(app, request, Some(&token));
    Ok(Response::json(200, &shown)?.with("Set-Cookie", cookie))
}

fn logout(app: &App, session: &Session, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    if let (Some(token), Some(key)) = (sessions::token(app, request), session.user) {
        let (token, by) = (token.to_owned(), session.by.clone());
        app.store.write(move |tx| {
            sessions::end(tx, &token)?;
            let ended = json!({ "fingerprint": sessions::fingerprint_of(&token) });
            match users::find_by_key(tx, key)? {
                Some(user) => logins::note(tx, &user, by, "auth.logout", &ended),
                None => Ok(()),
            }
        })?;
    }
    Ok(Response::empty(204).with("Set-Cookie", sessions::set_cookie(app, request, None)))
}

fn me(app: &App, session: &Session, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    let key = session.user.ok_or(Error::Unauthenticated(Unauthenticated::Session))?;
    let (user, memberships) = app.store.read(|snapshot| {
        let user = users::find_by_key(snapshot, key)?;
        let mut memberships = Vec::new();
        for (workspace, role) in session.roles() {
            let found = workspaces::find_by_key(snapshot, *workspace)?;
            memberships
                .extend(found.map(|found| json!({ "id": found.id, "name": found.name, "role": role })));
        }
        Ok((user, memberships))
    })?;
    let user = user.ok_or(Error::Unauthenticated(Unauthenticated::Session))?;
    let mut shown = show(app, &user);
    shown["workspaces"] = memberships.into();
    Response::json(200, &shown)
}

/// `{current, new}`: from now on no administrator sets it. Every other session ends.
fn put_password(app: &App, session: &Session, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    let key = session.user.ok_or(Error::Unauthenticated(Unauthenticated::Session))?;
    let mut fields = Fields::of(json::body(request)?, "")?;
    let current = fields.secret("current")?;
    let current = fields.required("current", current)?;
    let new = fields.secret("new")?;
    let new = fields.required("new", new)?;
    fields.done()?;
    check_another(&current, &new, "new")?;
    let user = app.store.read(|snapshot| users::find_by_key(snapshot, key))?;
    let email = user.ok_or(Error::Unauthenticated(Unauthenticated::Session))?.email;
    let turn = Turn::take(app, request, &email)?;
    let by = session.by.clone();
    let user = turn.prove(app, by.clone(), "user.password_change_failed", &current).map_err(not_current)?;
    let hash = password::hash(&new)?;
    let token = sessions::token(app, request).map(str::to_owned);
    app.store.write(move |tx| {
        let user = as_proved(tx, &user).map_err(not_current)?;
        users::set_own_password(tx, user.key, &hash, token.as_deref())?;
        note_own_password(tx, user.key, token.as_deref(), by)
    })?;
    Ok(Response::empty(204))
}

/// It is no question of who is asking: the session stands.
fn not_current(error: Error) -> Error {
    match error {
        Error::Unauthenticated(Unauthenticated::Login) => {
            // Noted already, as what it is.
            Error::http(403, "the current password is another one")
        }
        other => other,
    }
}

/// Refuses a new password that is none, or the old one.
fn check_another(old: &str, new: &str, name: &str) -> Result<()> {
    password::check(new, name)?;
    if old == new {
        return Err(Error::invalid(name, "is the present password; accepted: another one"));
    }
    Ok(())
}

/// The account, as long as its password is the one that was proved.
fn as_proved(tx: &Tx<'_>, proved: &User) -> Result<User> {
    let user = users::find_by_key(tx, proved.key)?;
    user.filter(|user| user.deleted_at.is_none() && user.password == proved.password)
        .ok_or(Error::Unauthenticated(Unauthenticated::Login))
}

/// With the session that goes on, if one does.
fn note_own_password(tx: &mut Tx<'_>, user: i64, kept: Option<&str>, by: By) -> Result<()> {
    let Some(user) = users::find_by_key(tx, user)? else { return Ok(()) };
    let metadata =
        json!({ "fingerprint": user.fingerprint(), "goes_on": kept.map(sessions::fingerprint_of) });
    logins::note(tx, &user, by, "user.password_change", &metadata)
}

// ---------------------------------------------------------------------------------------------- invitations

/// The open invitation of the path's token.
fn find_invitation(connection: &rusqlite::Connection, app: &App, token: &str) -> Result<Invitation> {
    invitations::find_by_token(connection, token, app.now())?.ok_or(Error::NotFound(Subject::Invitation))
}

/// What it is an invitation to. Looking takes nothing of it: mail programs open links before people do. Whether the
/// address has an account is not told, for the inviter has the link too.
fn show_invitation(app: &App, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    let (invitation, workspace) = app.store.read(|snapshot| {
        let invitation = find_invitation(snapshot, app, request.parameter("token"))?;
        let workspace = workspaces::find_by_key(snapshot, invitation.workspace)?;
        Ok((invitation, workspace.ok_or(Error::NotFound(Subject::Invitation))?))
    })?;
    let Invitation { email, role, expires_at, .. } = invitation;
    let shown =
        json!({ "workspace": workspace.name, "email": email, "role": role, "expires_at": expires_at });
    Response::json(200, &shown)
}

/// `{password, new_password?}`: that of the account the address has, or the one of the account that is made. The link
/// alone opens no account, since the inviter has it too. A password that somebody else gave them is replaced: whoever
/// knows it could go wherever they go.
fn accept_invitation(app: &App, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    sessions::refuse_foreign_origin(request)?;
    let mut fields = Fields::of(json::body(request)?, "")?;
    let given = fields.secret("password")?;
    let given = fields.required("password", given)?;
    let new = fields.secret("new_password")?;
    fields.done()?;
    // Of an account that there is, too: else the inviter could try and see.
    password::check(&given, "password")?;
    if let Some(new) = &new {
        check_another(&given, new, "new_password")?;
    }
    let token = request.parameter("token").to_owned();
    let invitation = app.store.read(|snapshot| find_invitation(snapshot, app, &token))?;
    let by = anonymous(app, request);
    let turn = Turn::take(app, request, &invitation.email)?;
    let (proved, hash) = if turn.user.is_some() {
        let by = By { name: invitation.email.clone(), ..by.clone() };
        let user = turn.prove(app, by, "auth.login_failed", &given)?;
        if user.own_password_at.is_none() && new.is_none() {
            let message = "is required: somebody else gave you the present one; choose your own";
            return Err(Error::invalid("new_password", message));
        }
        (Some(user), new.map(|new| password::hash(&new)).transpose()?)
    } else {
        let hash = password::hash(new.as_ref().unwrap_or(&given));
        turn.is_over(app);
        (None, Some(hash?))
    };
    let now = app.now();
    app.store.write(move |tx| {
        // Once: of two at the same moment the later finds none.
        let invitation = invitations::find_by_token(tx, &token, now)?;
        let invitation = invitation.ok_or(Error::NotFound(Subject::Invitation))?;
        invitations::remove(tx, invitation.key)?;
        let user = match (&proved, hash) {
            (Some(proved), None) => as_proved(tx, proved)?,
            (Some(proved), Some(hash)) => {
                let user = as_proved(tx, proved)?;
                users::set_own_password(tx, user.key, &hash, None)?;
                let by = as_person(&user, by.clone());
                note_own_password(tx, user.key, None, by)?;
                user
            }
            (None, hash) => users::create(
                tx,
                &NewUser {
                    email: &invitation.email,
                    name: &invitation.name,
                    password_hash: &hash.unwrap_or_default(),
                    maker: invitation.workspace,
                    is_own_password: true,
                },
            )?,
        };
        join(tx, &invitation, &user, by, proved.is_none())
    })
}

/// Makes them a member, and says so as their own act.
fn join(
    tx: &mut Tx<'_>,
    invitation: &Invitation,
    user: &User,
    by: By,
    is_new_account: bool,
) -> Result<Response> {
    let by = as_person(user, by);
    let note = |action, metadata| Note {
        workspace: Some(invitation.workspace),
        project: None,
        by: by.clone(),
        action,
        target_type: "user",
        target_id: user.id.to_string(),
        metadata,
    };
    match users::find_member(tx, invitation.workspace, user.id)? {
        // Added unasked by an older version; the role is as it was.
        Some(_) => users::agree(tx, invitation.workspace, user.key)?,
        None => users::join(tx, invitation.workspace, user.key, invitation.role)?,
    }
    if is_new_account {
        let metadata = json!({ "email": user.email, "fingerprint": user.fingerprint() });
        tx.note(note("workspace.user_created", metadata))?;
    }
    let member = users::find_member(tx, invitation.workspace, user.id)?;
    let member = member.ok_or_else(|| Error::Internal("a new member is not there".into()))?;
    let metadata = json!({
        "member_id": user.id, "email": user.email, "role": member.role, "invitation_id": invitation.id,
    });
    tx.note(note("workspace.member_added", metadata))?;
    let workspace = workspaces::id_of(tx, invitation.workspace)?;
    let shown: Value = json!({
        "user_id": user.id, "email": user.email, "workspace_id": workspace, "role": member.role,
        "joined_at": member.joined_at,
    });
    Response::json(200, &shown)
}

/// What was asked by nobody known was done by them.
fn as_person(user: &User, by: By) -> By {
    By { user: Some(user.id), name: user.email.clone(), recorded_by: user.email.clone(), ..by }
}

/// In SendDock's words; `plan` is the license's.
fn show(app: &App, user: &User) -> serde_json::Value {
    let plan = app.license().map_or_else(|_| "free".to_owned(), |license| license.plan);
    json!({
        "user_id": user.id, "email": user.email, "name": user.name, "plan": plan, "created_at": user.created_at,
    })
}
