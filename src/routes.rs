//! The whole API on one page: every table of routes, and the way of a request through them.
//!
//! Find the route, find the caller, call the handler, answer. An error becomes an answer here and nowhere else, in
//! the words of the route's vendor; what is inside a 5xx goes to the log under the request id and not to the client.

use std::sync::Arc;
use std::time::Instant;

use serde_json::json;

use crate::app::App;
use crate::auth::{self, address};
use crate::error::{Error, Result, Subject};
use crate::http::route::{BodyLimit, Dialect, Handler, Parameters, Route};
use crate::http::{Method, Request, Response, Service};
use crate::mask::masked;
use crate::{activity, admin, enforcement, messages, ops, owners, proofs};

/// Every route there is, in the order in which they are tried.
pub static TABLES: &[&[Route]] = &[
    ops::ROUTES,
    auth::api::ROUTES,
    owners::api::ROUTES,
    enforcement::api::ROUTES,
    messages::api::ROUTES,
    activity::api::ROUTES,
    proofs::api::ROUTES,
    admin::ROUTES,
];

/// How many there are.
pub fn count() -> usize {
    TABLES.iter().map(|table| table.len()).sum()
}

/// Its place among them.
fn place(route: &Route) -> Option<usize> {
    TABLES.iter().copied().flatten().position(|known| std::ptr::eq(known, route))
}

/// The program as the server sees it.
pub struct Routes(pub Arc<App>);

impl Service for Routes {
    fn body_limit(&self, method: Method, path: &str) -> usize {
        let bulk = find(method, path).is_ok_and(|(route, _)| route.body == BodyLimit::Bulk);
        if bulk { self.0.config.max_bulk_body } else { self.0.config.max_body }
    }

    fn answer(&self, request: Request) -> Response {
        answer(&self.0, request)
    }

    fn refuse(&self, request_id: &str, path: Option<&str>, error: &Error) -> Response {
        let response = refusal(dialect(path.unwrap_or_default()), error);
        log_error(request_id, error);
        log::info!("- - {} 0ms {request_id} -: {}", response.status, error.code());
        response
    }
}

/// What the listener for metrics serves, without a key: `/healthz`, `/readyz` and `/metrics`.
pub struct Watched(pub Arc<App>);

impl Service for Watched {
    fn body_limit(&self, _: Method, _: &str) -> usize {
        0
    }

    fn answer(&self, request: Request) -> Response {
        let answered = ops::watch(&self.0, &request);
        let response = answered.unwrap_or_else(|error| fail(&request.id, Dialect::Problem, &error));
        response.with("X-Request-Id", request.id)
    }

    fn refuse(&self, _: &str, _: Option<&str>, error: &Error) -> Response {
        refusal(Dialect::Problem, error)
    }
}

/// Answers a request, whatever happens.
pub fn answer(app: &App, mut request: Request) -> Response {
    let started = Instant::now();
    let mut caller = "-".to_owned();
    let mut at = None;
    let (pattern, response) = match find(request.method, &request.path) {
        Ok((route, parameters)) => {
            at = place(route);
            request.parameters = parameters;
            let result = call(app, route, &request, &mut caller);
            (route.path, result.unwrap_or_else(|error| fail(&request.id, route.dialect, &error)))
        }
        Err(no_route) => ("-", no_route.refusal(app, &request)),
    };
    let took = started.elapsed();
    app.requests[at.unwrap_or(app.requests.len() - 1)].note(response.status, took);
    log::info!(
        "{} {pattern} {} {}ms {} {caller}",
        request.method.as_str(),
        response.status,
        took.as_millis(),
        request.id,
    );
    // Only who came over https can be told to stay there; a year, and this host alone.
    let response = match address::is_https(&request, &app.config.trusted_proxies) {
        true => response.with("Strict-Transport-Security", "max-age=31536000"),
        false => response,
    };
    response.with("X-Request-Id", request.id)
}

fn call(app: &App, route: &Route, request: &Request, name: &mut String) -> Result<Response> {
    let answered = authorise_and_call(app, route, request, name);
    if let (
        Err(Error::Unauthenticated(_)),
        Handler::Key(..) | Handler::Session(_) | Handler::Admin(_) | Handler::Tree(_),
    ) = (&answered, route.handler)
    {
        app.rates.stranger(app, request)?;
    }
    answered
}

fn authorise_and_call(app: &App, route: &Route, request: &Request, name: &mut String) -> Result<Response> {
    match route.handler {
        Handler::Open(handle) => {
            app.rates.stranger(app, request)?;
            handle(app, request)
        }
        Handler::Key(scope, handle) => {
            let caller = auth::caller(app, request, scope)?;
            caller.log_id.clone_into(name);
            if scope.records() {
                app.store.disk().must_have_room()?;
            }
            handle(app, &caller, request)
        }
        Handler::Session(handle) => {
            let session = auth::session(app, request)?;
            *name = session.log_id();
            handle(app, &session, request)
        }
        Handler::Admin(handle) => {
            let admin = auth::admin(app, request)?;
            admin.log_id.clone_into(name);
            handle(app, &admin, request)
        }
        Handler::Tree(handle) if app.config.public_tlog => {
            app.rates.stranger(app, request)?;
            handle(app, request)
        }
        Handler::Tree(handle) => {
            *name = auth::known(app, request)?;
            handle(app, request)
        }
    }
}

/// Why a request has no route.
enum NoRoute {
    /// No route has this path.
    Path,
    /// A route of this dialect has the path, for other methods.
    Method { dialect: Dialect, allowed: String },
}

impl NoRoute {
    fn refusal(self, app: &App, request: &Request) -> Response {
        let dialect = match &self {
            Self::Path => dialect(&request.path),
            Self::Method { dialect, .. } => *dialect,
        };
        if let Err(error) = app.rates.stranger(app, request) {
            return fail(&request.id, dialect, &error);
        }
        match self {
            Self::Path => fail(&request.id, dialect, &Error::NotFound(Subject::Route)),
            Self::Method { allowed, .. } => {
                let message =
                    format!("{} is not for this route; accepted: {allowed}", request.method.as_str());
                fail(&request.id, dialect, &Error::http(405, message)).with("Allow", allowed)
            }
        }
    }
}

/// The route of a path, and the values of its `{names}`. `/api/v1/…` stands for `/v1/…` wherever there is no route
/// of its own: the Mailbuttons SDK's base URL ends in `/api`.
fn find(method: Method, path: &str) -> Result<(&'static Route, Parameters), NoRoute> {
    let wanted = if method == Method::Head { Method::Get } else { method };
    if let Some(found) = routes_of(path).find(|(route, _)| route.method == wanted) {
        return Ok(found);
    }
    let Some((other, _)) = routes_of(path).next() else { return Err(NoRoute::Path) };
    Err(NoRoute::Method { dialect: other.dialect, allowed: allowed(path).join(", ") })
}

/// Every route of a path, by whatever method, under both of its names.
fn routes_of(path: &str) -> impl Iterator<Item = (&'static Route, Parameters)> {
    let short = path.strip_prefix("/api").filter(|path| path.starts_with("/v1/"));
    [Some(path), short].into_iter().flatten().flat_map(|path| {
        TABLES.iter().copied().flatten().filter_map(move |route| Some((route, route.matches(path)?)))
    })
}

fn allowed(path: &str) -> Vec<&'static str> {
    let mut allowed: Vec<_> = routes_of(path).map(|(route, _)| route.method.as_str()).collect();
    if allowed.contains(&"GET") {
        allowed.push("HEAD");
    }
    allowed.sort_unstable();
    allowed.dedup();
    allowed
}

/// In whose words to refuse what has no route, or was not read far enough to have one.
fn dialect(path: &str) -> Dialect {
    let path = path.strip_prefix("/api").filter(|path| path.starts_with("/v1/")).unwrap_or(path);
    match path.strip_prefix("/v1/").and_then(|rest| rest.split('/').next()) {
        Some("mailboxes") => Dialect::Mailbuttons,
        Some("enforcement" | "tenants") => Dialect::TenantCore,
        Some("projects" | "workspaces" | "auth" | "me") => Dialect::SendDock,
        _ => Dialect::Problem,
    }
}

/// An error as an answer; what is inside a 5xx goes to the log.
pub fn fail(request_id: &str, dialect: Dialect, error: &Error) -> Response {
    log_error(request_id, error);
    refusal(dialect, error)
}

fn log_error(request_id: &str, error: &Error) {
    // A full disk is told once, by who noticed it: a line for each refused write would fill it up for good.
    if !matches!(status(Dialect::Problem, error), ..500 | 507) {
        log::error!("{request_id} {error}");
    }
}

/// The status an error has. SendDock and Mailbuttons differ in that of a refused parameter.
pub fn status(dialect: Dialect, error: &Error) -> u16 {
    match error {
        Error::Invalid(_) if dialect == Dialect::SendDock => 400,
        Error::Invalid(_) | Error::Usage { .. } => 422,
        Error::Malformed(_) => 400,
        Error::Unauthenticated(_) => 401,
        Error::LicenseRequired(_) => 402,
        Error::Forbidden(_) => 403,
        Error::NotFound(_) => 404,
        Error::OfItem { error, .. } => status(dialect, error),
        Error::Conflict { .. } | Error::Refused { .. } => 409,
        Error::Http { status, .. } => *status,
        Error::TooMany { .. } => 429,
        Error::Unavailable { .. } => 503,
        Error::Mismatch(_) | Error::Database(_) | Error::Io { .. } | Error::Internal(_) => 500,
    }
}

/// An error as an answer in a vendor's words.
pub fn refusal(dialect: Dialect, error: &Error) -> Response {
    let status = status(dialect, error);
    let is_inside = matches!(error, Error::Database(_) | Error::Io { .. } | Error::Internal(_));
    let message = if is_inside { "internal error".to_owned() } else { error.to_string() };
    let (content_type, body) = match dialect {
        Dialect::TenantCore => {
            ("application/json", json!({ "detail": { "message": message, "code": error.code() } }))
        }
        Dialect::Mailbuttons => match error {
            Error::Invalid(problems) => {
                let list: Vec<String> = problems.iter().map(ToString::to_string).collect();
                ("application/json", json!({ "errors": list }))
            }
            Error::Malformed(_) => ("application/json", json!({ "errors": [message] })),
            _ => ("application/json", json!({ "error": message })),
        },
        Dialect::SendDock => {
            let message = match error {
                Error::NotFound(_) => message.to_lowercase(),
                _ => message,
            };
            ("application/json", json!({ "error": message }))
        }
        Dialect::Problem => ("application/problem+json", problem(status, message, error)),
    };
    let mut response = Response::new(status, content_type, masked(&body.to_string()).into_owned());
    if status == 401 && dialect != Dialect::SendDock {
        response = response.with("WWW-Authenticate", "Bearer realm=\"mailtrail\"");
    }
    if let Error::TooMany { retry_after, .. } | Error::Unavailable { retry_after, .. } = error {
        response = response.with("Retry-After", retry_after.to_string());
    }
    if status == 507 {
        response = response.with("Retry-After", "60");
    }
    response
}

/// RFC 9457, with our code, the refused parameters and a hint where there is one.
fn problem(status: u16, detail: String, error: &Error) -> serde_json::Value {
    let title = match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        503 => "Service Unavailable",
        507 => "Insufficient Storage",
        _ if status >= 500 => "Internal Server Error",
        _ => "Bad Request",
    };
    let mut body = json!({
        "type": "about:blank", "title": title, "status": status, "detail": detail, "code": error.code(),
    });
    match error {
        Error::Invalid(problems) => {
            body["errors"] = problems
                .iter()
                .map(|problem| json!({ "parameter": problem.parameter, "message": problem.message }))
                .collect();
        }
        Error::Usage { hint, .. } | Error::Refused { hint, .. } => body["hint"] = hint.as_str().into(),
        _ => {}
    }
    body
}
