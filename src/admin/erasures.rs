//! Erasure of a person's rows, on their wish.

use serde_json::json;

use super::named_workspace;
use crate::app::App;
use crate::auth::Admin;
use crate::erasure::address::Address;
use crate::erasure::{self, Erasure};
use crate::error::Result;
use crate::http::json::{self, Fields};
use crate::http::{Request, Response};

/// `{address, why, dry_run?, workspace_id?}` → `{dry_run, removed, removed_of, longer_words, …, certificates, …}`.
pub fn post(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    let mut fields = Fields::of(json::body(request)?, "")?;
    let workspace = named_workspace(app, admin, &mut fields)?;
    let address = fields.mail_text("address", 320)?;
    let address = Address::parse(&fields.required("address", address)?)?;
    let why = fields.text("why", 500)?;
    let why = fields.required("why", why)?;
    if address.is_in(&why) {
        return Err(fields.refuse("why", "names the person; it stays in the log"));
    }
    let dry_run = fields.boolean("dry_run")?.unwrap_or(false);
    fields.done()?;
    let erasure = Erasure { workspace, address, why };
    let outcome = match dry_run {
        true => erasure::dry_run(app, &erasure, app.is_over(request))?,
        false => erasure::run(app, admin, &erasure)?,
    };
    let mut shown = serde_json::Map::from_iter([("dry_run".to_owned(), json!(dry_run))]);
    if let serde_json::Value::Object(outcome) = json::value(&outcome)? {
        shown.extend(outcome);
    }
    Response::json(200, &shown)
}
