//! Invitations as an administrator sees them: made by `POST …/users`, listed, withdrawn.
//!
//! Nothing here tells whether an address has an account: neither the answer nor the list, and the same is done for each.

use rusqlite::Connection;
use serde_json::json;

use super::owners::OWNED;
use super::{listed_workspace, note};
use crate::app::App;
use crate::auth::Admin;
use crate::error::{Error, Result, Subject};
use crate::export::{Owner, Owners};
use crate::http::{Request, Response};
use crate::ids::Uuid;
use crate::owners::invitations::{self, Invitation};
use crate::owners::users::{self, Role};
use crate::store::Tx;

/// Answers with the invitation and its link, which is shown this once. Beside it the name of what was made.
///
/// # Errors
/// `member_exists` for a member of this workspace, unless an older version added them unasked.
pub fn invite(
    tx: &mut Tx<'_>,
    admin: &Admin,
    workspace: i64,
    (email, name): (&str, &str),
    role: Role,
) -> Result<(Response, String)> {
    let member = match users::find_by_email(tx, email)? {
        Some(user) => users::find_member(tx, workspace, user.id)?,
        None => None,
    };
    if member.is_some_and(|member| member.has_agreed) {
        return Err(Error::conflict("member_exists", format!("{email} is a member already")));
    }
    // Owners are named, or not any more, by owners.
    if invitations::find_by_email(tx, workspace, email)?.is_some_and(|open| open.role == Role::Owner) {
        admin.must_own(workspace)?;
    }
    let (invitation, token) = invitations::create(tx, workspace, email, name, role)?;
    let metadata = json!({
        "email": email, "role": role, "expires_at": invitation.expires_at,
        "fingerprint": invitations::fingerprint_of(&token),
    });
    let target = ("invitation", invitation.id.to_string());
    tx.note(note(admin, workspace, "workspace.member_invited", target, metadata))?;
    let mut shown = crate::http::json::value(&invitation)?;
    shown["path"] = format!("/api/v1/invitations/{token}").into();
    shown["token"] = token.into();
    Ok((Response::json(201, &shown)?, format!("the invitation {}", invitation.id)))
}

pub fn list(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&OWNED)?;
    let now = app.now();
    app.store.read_list(admin.standing.asker, |snapshot| {
        let workspace = listed_workspace(admin, snapshot, request)?;
        // By number: one that is accepted meanwhile is not there any more, and a page may have ended with it.
        let owners = Owners::parse(&request.query, |text| Ok(text.parse().ok()))?;
        let tail = format!(r#","count":{}"#, invitations::count_open(snapshot, workspace, now)?);
        let standing = admin.standing.clone().within(workspace);
        owners.answer(&standing, snapshot, (r#"{"invitations":["#, tail), move |connection, after, limit| {
            let page = invitations::page(connection, (workspace, now), after, limit)?;
            Ok(page.into_iter().map(|shown| Owner { key: shown.key, id: shown.key.into(), shown }).collect())
        })
    })
}

fn find(connection: &Connection, admin: &Admin, id: &str) -> Result<Invitation> {
    let missing = || Error::NotFound(Subject::Invitation);
    let id = Uuid::parse(id).ok_or_else(missing)?;
    let invitation = invitations::find(connection, id)?.ok_or_else(missing)?;
    admin.must_see(invitation.workspace, Subject::Invitation)?;
    Ok(invitation)
}

/// Its link opens nothing any more.
pub fn withdraw(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    let id = request.parameter("id").to_owned();
    let workspace = app.store.read(|snapshot| find(snapshot, admin, &id))?.workspace;
    let admin = admin.clone();
    app.record(workspace, request, move |tx| {
        let invitation = find(tx, &admin, &id)?;
        if invitation.role == Role::Owner {
            admin.must_own(workspace)?;
        }
        invitations::remove(tx, invitation.key)?;
        let metadata = json!({ "email": invitation.email, "role": invitation.role });
        let target = ("invitation", invitation.id.to_string());
        tx.note(note(&admin, workspace, "workspace.invitation_withdrawn", target, metadata))?;
        Ok(Response::empty(204))
    })
}
