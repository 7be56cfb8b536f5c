//! Whether it is alive, whether it is ready and what it does: for systemd, a load balancer, Prometheus, a person with
//! curl. And what it speaks: the API's own description.
//!
//! `/healthz` and `/readyz` are for anybody and so say fixed words, never a path or the text of an error; what is free on
//! the disk, and when was written last, is for those who may read the metrics.
//! `/metrics` is for the operator and the first workspace's `admin` keys, or for whoever reaches the listener that
//! `metrics_listen` opens.

mod exposition;
mod readiness;

use serde_json::json;

use crate::app::App;
use crate::auth::{self, Admin};
use crate::error::{Error, Result, Subject};
use crate::http::route::{Dialect, Handler, Route, brief, route};
use crate::http::{Body, Method, Request, Response};
use crate::metrics::Text;
use crate::openapi;
use crate::time::SECOND;

pub const ROUTES: &[Route] = &[
    brief(route(Method::Get, "/healthz", Dialect::Problem, Handler::Open(healthz))),
    brief(route(Method::Get, "/readyz", Dialect::Problem, Handler::Open(readyz))),
    route(Method::Get, "/metrics", Dialect::Problem, Handler::Admin(metrics)),
    route(Method::Get, "/openapi.json", Dialect::Problem, Handler::Open(describe)),
];

/// The same three on the listener for metrics, where nobody is asked for a key.
pub fn watch(app: &App, request: &Request) -> Result<Response> {
    if !request.method.is_safe() {
        return Err(Error::http(405, "only GET and HEAD are for this listener"));
    }
    match request.path.as_str() {
        "/healthz" => healthz(app, request),
        "/readyz" => show_readiness(app, request, true),
        "/metrics" => {
            request.query.only(&[])?;
            show_metrics(app)
        }
        _ => Err(Error::NotFound(Subject::Route)),
    }
}

/// The process answers. It looks at nothing that could make it wait.
fn healthz(app: &App, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    Response::json(200, &json!({ "status": "ok", "backup_age_seconds": backup_age(app) }))
}

/// Seconds since the last backup was begun whose file is there.
fn backup_age(app: &App) -> Option<i64> {
    Some((app.believed().micros() - app.backups.last()?.micros()).max(0) / SECOND)
}

/// It can read and write, and what runs by itself runs. 503 when one of the checks fails; all are listed either way,
/// and with their figures for whoever may read the metrics.
fn readyz(app: &App, request: &Request) -> Result<Response> {
    let admin = auth::admin(app, request).and_then(|admin| admin.must_run_the_appliance());
    show_readiness(app, request, admin.is_ok())
}

fn show_readiness(app: &App, request: &Request, with_figures: bool) -> Result<Response> {
    request.query.only(&[])?;
    let checks = readiness::checks(app);
    let is_ready = checks.iter().all(|check| check.problem.is_none());
    let shown: Vec<_> = checks.iter().map(|check| check.show(with_figures)).collect();
    let status = if is_ready { "ready" } else { "not ready" };
    let body = json!({ "status": status, "checks": shown });
    if is_ready {
        return Response::json(200, &body);
    }
    Ok(Response::json(503, &body)?.with("Retry-After", "10"))
}

fn metrics(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    admin.must_run_the_appliance()?;
    show_metrics(app)
}

fn show_metrics(app: &App) -> Result<Response> {
    let text = exposition::write(app)?;
    Ok(Response::new(200, Text::MEDIA_TYPE, text.into_bytes()).with("Cache-Control", "no-store"))
}

/// The API's own description.
fn describe(_: &App, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    let document = openapi::document();
    let is_known =
        |tag: &str| matches!(tag.trim(), "*") || tag.trim().trim_start_matches("W/") == document.etag;
    let response = match request.header("if-none-match") {
        Some(known) if known.split(',').any(is_known) => Response::empty(304),
        _ => Response {
            status: 200,
            headers: vec![("Content-Type", "application/json".into())],
            body: Body::Text(&document.text),
        },
    };
    Ok(response.with("ETag", &document.etag).with("Cache-Control", "no-cache"))
}
