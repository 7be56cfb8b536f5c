//! Whether it is alive and ready: for systemd, a load balancer, a person with curl. And what it speaks.

use serde_json::json;

use crate::app::App;
use crate::auth::Admin;
use crate::error::{Error, Result};
use crate::http::route::{Dialect, Handler, Route, route};
use crate::http::{Method, Request, Response};
use crate::openapi;

pub const ROUTES: &[Route] = &[
    route(Method::Get, "/healthz", Dialect::Problem, Handler::Open(healthz)),
    route(Method::Get, "/readyz", Dialect::Problem, Handler::Open(readyz)),
    route(Method::Get, "/metrics", Dialect::Problem, Handler::Admin(metrics)),
    route(Method::Get, "/openapi.json", Dialect::Problem, Handler::Open(describe)),
];

/// The process answers.
fn healthz(_: &App, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    Response::json(200, &json!({ "status": "ok" }))
}

/// It can read, and has not stopped writing.
fn readyz(app: &App, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    if app.store.failure().is_some() {
        return Err(Error::Unavailable { retry_after: 10, message: "writing has stopped".into() });
    }
    app.store.read(|snapshot| crate::store::last_now(snapshot))?;
    Response::json(200, &json!({ "status": "ready" }))
}

/// What the store has done since the start, in Prometheus' text format: for the operator and admin keys.
fn metrics(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    admin.must_run_the_appliance()?;
    let (commits, writes) = app.store.batches();
    let mut text = String::from(
        "# HELP mailtrail_commit_writes Writes that shared a commit, and its fsync.\n\
         # TYPE mailtrail_commit_writes histogram\n",
    );
    for (size, n) in app.store.batch_sizes() {
        text += &format!("mailtrail_commit_writes_bucket{{le=\"{size}\"}} {n}\n");
    }
    text += &format!(
        "mailtrail_commit_writes_bucket{{le=\"+Inf\"}} {commits}\n\
         mailtrail_commit_writes_sum {writes}\nmailtrail_commit_writes_count {commits}\n"
    );
    Ok(Response::new(200, "text/plain; version=0.0.4; charset=utf-8", text.into_bytes()))
}

/// The API's own description.
fn describe(_: &App, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    let document = openapi::document();
    let is_known =
        |tag: &str| matches!(tag.trim(), "*") || tag.trim().trim_start_matches("W/") == document.etag;
    let response = match request.header("if-none-match") {
        Some(known) if known.split(',').any(is_known) => Response::empty(304),
        _ => Response::new(200, "application/json", document.text.clone()),
    };
    Ok(response.with("ETag", &document.etag).with("Cache-Control", "no-cache"))
}
