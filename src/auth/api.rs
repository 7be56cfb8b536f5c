//! Logging in and out, and who one is.

use serde_json::json;

use super::{Session, address, anonymous, password, sessions};
use crate::app::App;
use crate::error::{Error, Result, Unauthenticated};
use crate::http::json::{self, Fields};
use crate::http::route::{Dialect, Handler, Route, route, small};
use crate::http::{Method, Request, Response};
use crate::owners::users::{self, User};
use crate::owners::workspaces;
use crate::store::{By, Note};

pub const ROUTES: &[Route] = &[
    small(Method::Post, "/api/v1/auth/login", Dialect::SendDock, Handler::Open(login)),
    route(Method::Post, "/api/v1/auth/logout", Dialect::SendDock, Handler::Session(logout)),
    route(Method::Get, "/api/v1/me", Dialect::SendDock, Handler::Session(me)),
];

fn login(app: &App, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    sessions::refuse_foreign_origin(request)?;
    let mut fields = Fields::of(json::body(request)?, "")?;
    let email = fields.text("email", 320)?;
    let email = fields.required("email", email)?;
    let given = fields.secret("password")?;
    let given = fields.required("password", given)?;
    fields.done()?;

    let by = anonymous(app, request);
    let account = format!("account {}", email.to_lowercase());
    let source = address::client(request, &app.config.trusted_proxies).map(address::source);
    let names: Vec<String> =
        source.iter().map(|source| format!("address {source}")).chain([account.clone()]).collect();
    let now = app.clock.now();
    let place = password::place()?;
    app.throttle.attempt(&names, now)?;
    let user = app.store.read(|snapshot| users::find_by_email(snapshot, &email))?;
    let is_right = password::verify(&given, user.as_ref().map(|user| user.password.as_str()));
    drop(place);
    if !is_right {
        note_failure(app, user, by, email)?;
        return Err(Error::Unauthenticated(Unauthenticated::Login));
    }
    // `verify` says no without a user.
    let user = user.ok_or(Error::Unauthenticated(Unauthenticated::Login))?;
    app.throttle.succeeded(&names, &account);
    let by = By { user: Some(user.id), name: user.email.clone(), recorded_by: user.email.clone(), ..by };
    let shown = show(app, &user);
    let token = app.store.write(move |tx| {
        let token = sessions::create(tx, user.key)?;
        note(tx, &user, by, "auth.login")?;
        Ok(token)
    })?;
    let cookie = sessions::set_cookie(app, request, Some(&token));
    Ok(Response::json(200, &shown)?.with("Set-Cookie", cookie))
}

/// In each workspace of the account; an unknown address is the first workspace's business. What is no address is not
/// kept: people type their password into the field above.
fn note_failure(app: &App, user: Option<User>, by: By, email: String) -> Result<()> {
    let is_address = crate::owners::check_address("email", &email).is_ok();
    let email = if is_address { email } else { String::new() };
    app.store.write(move |tx| match user {
        Some(user) => note(tx, &user, By { name: email, ..by }, "auth.login_failed"),
        None => tx.note(Note {
            workspace: None,
            project: None,
            by: By { name: email.clone(), ..by },
            action: "auth.login_failed",
            target_type: "user",
            target_id: String::new(),
            metadata: json!({ "email": email, "known": false }),
        }),
    })
}

fn note(tx: &mut crate::store::Tx<'_>, user: &User, by: By, action: &'static str) -> Result<()> {
    for (workspace, _) in users::roles(tx, user.key)? {
        tx.note(Note {
            workspace: Some(workspace),
            project: None,
            by: by.clone(),
            action,
            target_type: "user",
            target_id: user.id.to_string(),
            metadata: json!({}),
        })?;
    }
    Ok(())
}

fn logout(app: &App, session: &Session, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    if let (Some(token), Some(key)) = (sessions::token(request), session.user) {
        let (token, by) = (token.to_owned(), session.by.clone());
        app.store.write(move |tx| {
            sessions::end(tx, &token)?;
            match users::find_by_key(tx, key)? {
                Some(user) => note(tx, &user, by, "auth.logout"),
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
        Ok((user, workspaces::list(snapshot)?))
    })?;
    let user = user.ok_or(Error::Unauthenticated(Unauthenticated::Session))?;
    let mut shown = show(app, &user);
    shown["workspaces"] = memberships
        .iter()
        .filter_map(|workspace| {
            let role = session.role(workspace.key)?;
            Some(json!({ "id": workspace.id, "name": workspace.name, "role": role }))
        })
        .collect();
    Response::json(200, &shown)
}

/// In SendDock's words; `plan` is the license's.
fn show(app: &App, user: &User) -> serde_json::Value {
    let plan = app.license().map_or_else(|_| "free".to_owned(), |license| license.plan);
    json!({
        "user_id": user.id, "email": user.email, "name": user.name, "plan": plan, "created_at": user.created_at,
    })
}
