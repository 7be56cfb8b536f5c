//! API keys: made, shown once, rotated with an overlap, revoked.
//!
//! Of what shows a key an `Idempotency-Key` keeps which it was: the key's text must not be stored, and a retry is told
//! that there is a key already.

use rusqlite::Connection;
use serde_json::json;

use super::owners::OWNED;
use super::{listed_workspace, named_workspace, note};
use crate::app::App;
use crate::auth::Admin;
use crate::auth::keys::{self, ApiKey, NewKey, Scope};
use crate::config::parse_duration;
use crate::error::{Error, Result, Subject};
use crate::export::{Owner, Owners};
use crate::http::json::{self, Fields};
use crate::http::{Request, Response};
use crate::ids::Uuid;
use crate::mask::quoted;
use crate::time::Timestamp;

fn find_key(connection: &Connection, admin: &Admin, id: &str) -> Result<ApiKey> {
    let missing = || Error::NotFound(Subject::Key);
    let id = Uuid::parse(id).ok_or_else(missing)?;
    let key = keys::find(connection, id)?.ok_or_else(missing)?;
    admin.must_see(key.workspace, Subject::Key)?;
    Ok(key)
}

pub fn list(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&OWNED)?;
    app.store.read_list(admin.standing.asker, |snapshot| {
        let workspace = listed_workspace(admin, snapshot, request)?;
        let owners = Owners::parse(&request.query, |text| {
            let found = Uuid::parse(text).map(|id| keys::find(snapshot, id)).transpose()?.flatten();
            Ok(found.filter(|key| key.workspace == workspace).map(|key| key.key))
        })?;
        let tail = format!(r#","count":{}"#, keys::count(snapshot, workspace)?);
        let standing = admin.standing.clone().within(workspace);
        owners.answer(&standing, snapshot, (r#"{"keys":["#, tail), move |connection, after, limit| {
            let page = keys::page(connection, workspace, after, limit)?;
            Ok(page.into_iter().map(|shown| Owner { key: shown.key, id: json!(shown.id), shown }).collect())
        })
    })
}

pub fn show(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    Response::json(200, &app.store.read(|snapshot| find_key(snapshot, admin, request.parameter("id")))?)
}

/// `{name, scopes:[…], expires_at?, key?}`. `key` brings along one the operator has already.
pub fn post(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    let mut fields = Fields::of(json::body(request)?, "")?;
    let workspace = named_workspace(app, admin, &mut fields)?;
    let name = fields.name("name")?;
    let scopes = fields.texts("scopes", 40)?;
    let new = NewKey {
        workspace,
        name: fields.required("name", name)?,
        scopes: Scope::parse(&fields.required("scopes", scopes)?)?,
        expires_at: read_expiry(&mut fields, app.clock.now())?,
        given: fields.secret("key")?,
        replaces: None,
    };
    fields.done()?;
    let admin = admin.clone();
    app.record_secret(workspace, request, move |tx| {
        let (key, text) = keys::create(tx, new)?;
        let target = ("api_key", key.id.to_string());
        tx.note(note(&admin, workspace, "api_key.create", target, describe(&key, &text)))?;
        Ok((shown_once(&key, &text)?, format!("the API key {}", key.id)))
    })
}

/// An end that is still to come.
fn read_expiry(fields: &mut Fields, now: Timestamp) -> Result<Option<Timestamp>> {
    match fields.timestamp("expires_at")? {
        Some(end) if end <= now => Err(fields.refuse("expires_at", format!("{end} is over already"))),
        end => Ok(end),
    }
}

/// What the trail says of a new key: enough to see that a stored one is another.
fn describe(key: &ApiKey, text: &str) -> serde_json::Value {
    json!({
        "name": key.name, "hint": key.hint, "scopes": key.scopes.words(), "expires_at": key.expires_at,
        "fingerprint": keys::fingerprint_of(text),
    })
}

/// The stored key with its text, for the only time.
fn shown_once(key: &ApiKey, text: &str) -> Result<Response> {
    let mut shown = crate::http::json::value(key)?;
    shown["key"] = text.into();
    Response::json(201, &shown)
}

pub fn revoke(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    let id = request.parameter("id").to_owned();
    let workspace = app.store.read(|snapshot| find_key(snapshot, admin, &id))?.workspace;
    let admin = admin.clone();
    app.record(workspace, request, move |tx| {
        let key = find_key(tx, &admin, &id)?;
        keys::end(tx, &key, tx.now)?;
        let target = ("api_key", key.id.to_string());
        tx.note(note(
            &admin,
            key.workspace,
            "api_key.revoke",
            target,
            json!({ "name": key.name, "hint": key.hint }),
        ))?;
        Ok(Response::empty(204))
    })
}

/// Makes a new key with the same name and scopes; the old one works on for `overlap` (a duration such as `24h`,
/// none unless given), or until its own expiry. The new one has that expiry too, unless it is given another.
pub fn rotate(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    let id = request.parameter("id").to_owned();
    let workspace = app.store.read(|snapshot| find_key(snapshot, admin, &id))?.workspace;
    let (overlap, expires_at) = if request.body.is_empty() {
        (0, None)
    } else {
        let mut fields = Fields::of(json::body(request)?, "")?;
        let text = fields.text("overlap", 20)?;
        let seconds = match text.as_deref().map(|text| (text, parse_duration(text))) {
            None => 0,
            Some((_, Some(duration))) if duration.as_secs() <= 366 * 86_400 => duration.as_secs(),
            Some((text, _)) => {
                return Err(fields.refuse(
                    "overlap",
                    format!("{} is not a duration; accepted: as in 24h, up to 366d", quoted(text)),
                ));
            }
        };
        let expires_at = read_expiry(&mut fields, app.clock.now())?;
        fields.done()?;
        (i64::try_from(seconds).unwrap_or(0), expires_at)
    };
    let admin = admin.clone();
    app.record_secret(workspace, request, move |tx| {
        let old = find_key(tx, &admin, &id)?;
        if !old.is_live(tx.believed, tx.now) {
            return Err(Error::conflict("key_ended", "this key has ended; make a new one"));
        }
        let new = NewKey {
            workspace: old.workspace,
            name: old.name.clone(),
            scopes: old.scopes,
            expires_at: expires_at.or(old.expires_at),
            given: None,
            replaces: Some(old.key),
        };
        let (key, text) = keys::create(tx, new)?;
        let end = tx.now.plus_seconds(overlap);
        keys::end(tx, &old, end)?;
        let end = old.expires_at.map_or(end, |expires_at| end.min(expires_at));
        let metadata = json!({
            "name": key.name, "before": old.hint, "after": key.hint, "old_key_ends_at": end.truncated(),
            "new_id": key.id, "new": describe(&key, &text),
        });
        tx.note(note(&admin, old.workspace, "api_key.rotate", ("api_key", old.id.to_string()), metadata))?;
        Ok((shown_once(&key, &text)?, format!("the API key {}", key.id)))
    })
}
