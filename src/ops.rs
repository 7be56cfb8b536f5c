//! Whether it is alive and ready: for systemd, a load balancer, a person with curl.

use serde_json::json;

use crate::app::App;
use crate::error::{Error, Result};
use crate::http::route::{Dialect, Handler, Route, route};
use crate::http::{Method, Request, Response};

pub const ROUTES: &[Route] = &[
    route(Method::Get, "/healthz", Dialect::Problem, Handler::Open(healthz)),
    route(Method::Get, "/readyz", Dialect::Problem, Handler::Open(readyz)),
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
