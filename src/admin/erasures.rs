//! Erasure of a person's rows, on their wish.

use serde_json::json;

use super::named_workspace;
use crate::app::App;
use crate::auth::Admin;
use crate::erasure::{self, Address, Erasure};
use crate::error::Result;
use crate::http::json::{self, Fields};
use crate::http::{Request, Response};
use crate::store::Whole;

/// `{address, why, dry_run?, workspace_id?}` → `{dry_run, removed, certificates}`.
pub fn post(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    let mut fields = Fields::of(json::body(request)?, "")?;
    let workspace = named_workspace(app, admin, &mut fields)?;
    let address = fields.text("address", 320)?;
    let address = Address::parse(&fields.required("address", address)?)?;
    let why = fields.text("why", 500)?;
    let why = fields.required("why", why)?;
    if address.is_in(&why) {
        return Err(fields.refuse("why", "names the person; it stays in the log"));
    }
    let dry_run = fields.boolean("dry_run")?.unwrap_or(false);
    fields.done()?;
    let erasure = Erasure { workspace, address, why };
    let _under_way = app.store.begin_whole(Whole::Erasure)?;
    let (removed, certificates) = match dry_run {
        true => (erasure::dry_run(app, &erasure)?, Vec::new()),
        false => erasure::run(app, admin, &erasure)?,
    };
    Response::json(200, &json!({ "dry_run": dry_run, "removed": removed, "certificates": certificates }))
}
