//! The whole API on one page: every table of routes, and the way of a request through them.
//!
//! Find the route, find the caller, call the handler, answer. An error becomes an answer here and nowhere else, in
//! the words of the route's vendor; what is inside a 5xx goes to the log under the request id and not to the client.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::app::App;
use crate::auth::{self, Admin, Caller, Session, address, denials};
use crate::error::{Error, Result, Subject};
use crate::http::coding;
use crate::http::route::{Dialect, Handler, PACKAGE, Parameters, Route};
use crate::http::{Admitted, Holder, Method, Refused, Request, Response, Service};
use crate::mask::masked;
use crate::seldom;
use crate::store::Asker;
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
    fn admit(&self, head: Request) -> Result<Admitted<'_>, Response> {
        let guest = admit(&self.0, head)?;
        let config = &self.0.config;
        Ok(Admitted {
            body_limit: guest.route.body.bytes(config.max_body, config.max_bulk_body),
            holder: guest.holder(),
            is_brief: guest.route.is_brief,
            answer: Box::new(|body| guest.answer(body)),
        })
    }

    fn refuse(&self, refused: &Refused<'_>) -> Response {
        let app = &self.0;
        let mut error = refused.error;
        let limited;
        // Whoever was let in was counted then; what the server lacks is no fault of theirs.
        if let (false, Error::Http { .. }) = (refused.is_admitted, error) {
            let trusted = &app.config.trusted_proxies;
            limited = app.rates.stranger(address::of(refused.peer, refused.headers, trusted), trusted);
            error = limited.as_ref().err().unwrap_or(error);
        }
        cors(app, refused.headers, refusal(dialect(refused.path), error))
    }
}

/// What the listener for metrics serves, without a key: `/healthz`, `/readyz` and `/metrics`.
pub struct Watched(pub Arc<App>);

impl Service for Watched {
    fn admit(&self, head: Request) -> Result<Admitted<'_>, Response> {
        let answer = move |_| {
            let answered = ops::watch(&self.0, &head);
            let response = answered.unwrap_or_else(|error| fail(&head.id, Dialect::Problem, &error));
            response.with("X-Request-Id", head.id)
        };
        Ok(Admitted {
            body_limit: 0,
            holder: Holder::Stranger(None),
            is_brief: false,
            answer: Box::new(answer),
        })
    }

    fn refuse(&self, refused: &Refused<'_>) -> Response {
        refusal(Dialect::Problem, refused.error)
    }
}

/// Answers a request that is there whole, whatever happens.
pub fn answer(app: &App, mut request: Request) -> Response {
    let body = std::mem::take(&mut request.body);
    match admit(app, request) {
        Ok(guest) => match guest.must_take(body.len()) {
            Ok(()) => guest.answer(body),
            Err(error) => fail(&guest.request.id, guest.route.dialect, &error),
        },
        Err(response) => response,
    }
}

/// A request that has a route, and whose caller the route lets in. All of that stands in its head.
struct Guest<'a> {
    app: &'a App,
    route: &'static Route,
    request: Request,
    /// For the log line, and the name of its share: `key <id>`, `user <id>`, `operator`, or `-` for a stranger.
    name: String,
    door: Door,
    admitted_at: Instant,
}

/// For so long who was let in is taken to stand as they did. A body may take minutes: a key that is revoked meanwhile, a
/// person whose role was taken away, would act on with as many requests as were begun.
const STANDS: Duration = Duration::from_millis(50);

/// A handler with the caller it takes.
enum Door {
    Open(fn(&App, &Request) -> Result<Response>),
    Key(Caller, fn(&App, &Caller, &Request) -> Result<Response>),
    Session(Session, fn(&App, &Session, &Request) -> Result<Response>),
    Admin(Admin, fn(&App, &Admin, &Request) -> Result<Response>),
    Tree(Asker, fn(&App, Asker, &Request) -> Result<Response>),
}

impl Door {
    fn asker(&self) -> Asker {
        match self {
            Self::Open(_) => Asker::default(),
            Self::Key(caller, _) => caller.standing.asker,
            Self::Session(session, _) => session.standing.asker,
            Self::Admin(admin, _) => admin.standing.asker,
            Self::Tree(asker, _) => *asker,
        }
    }
}

const STRANGER: &str = "-";

/// Finds the route and the caller. `Err` is the refusal.
fn admit(app: &App, mut request: Request) -> Result<Guest<'_>, Response> {
    let started = Instant::now();
    if request.method == Method::Options {
        let response = options(app, &request);
        return Err(finish(app, request, (None, STRANGER, started), response));
    }
    let (route, parameters) = match find(request.method, &request.path) {
        Ok(found) => found,
        Err(no_route) => {
            let response = no_route.refusal(app, &request);
            return Err(finish(app, request, (None, STRANGER, started), response));
        }
    };
    request.parameters = parameters;
    let mut name = STRANGER.to_owned();
    let admitted = authorise(app, route, &request, &mut name).map_err(|error| match error {
        Error::Unauthenticated(_) => stranger(app, &request).err().unwrap_or(error),
        error => error,
    });
    let admitted = admitted.and_then(|door| {
        must_take_key(route, &request)?;
        if let Door::Admin(admin, _) = &door {
            admin::name_to_id(app, admin, route.path, &mut request.parameters)?;
        }
        Ok(door)
    });
    match admitted {
        Ok(door) => Ok(Guest { app, route, request, name, door, admitted_at: started }),
        Err(error) => {
            let response = fail_noted(app, route, &request, error);
            Err(finish(app, request, (Some(route), &name, started), response))
        }
    }
}

/// A refusal; one of somebody known is in the trail.
fn fail_noted(app: &App, route: &Route, request: &Request, error: Error) -> Response {
    let error = denials::note(app, route, request, &error).err().unwrap_or(error);
    fail(&request.id, route.dialect, &error)
}

/// An `Idempotency-Key` is honoured or refused: who sends one relies on it.
fn must_take_key(route: &Route, request: &Request) -> Result<()> {
    if route.keeps_answers || route.method.is_safe() || request.header("idempotency-key").is_none() {
        return Ok(());
    }
    let message = "is not taken by this route, which does no other thing the second time; leave it out";
    Err(Error::invalid("Idempotency-Key", message))
}

fn authorise(app: &App, route: &Route, request: &Request, name: &mut String) -> Result<Door> {
    Ok(match route.handler {
        Handler::Open(handle) => {
            stranger(app, request)?;
            Door::Open(handle)
        }
        Handler::Key(scope, handle) => {
            let caller = auth::caller(app, request, scope)?;
            caller.log_id.clone_into(name);
            if scope.records() {
                app.store.disk().must_have_room()?;
            }
            Door::Key(caller, handle)
        }
        Handler::Session(handle) => {
            let session = auth::session(app, request)?;
            *name = session.log_id();
            Door::Session(session, handle)
        }
        Handler::Admin(handle) => {
            let admin = auth::admin(app, request)?;
            admin.log_id.clone_into(name);
            Door::Admin(admin, handle)
        }
        Handler::Tree(handle) if app.config.public_tlog => {
            stranger(app, request)?;
            let source = address::of(request.peer, &request.headers, &app.config.trusted_proxies).source();
            let asker = source.map_or(Asker::Operator, |source| Asker::Address(address::bits(source)));
            Door::Tree(asker, handle)
        }
        Handler::Tree(handle) => {
            let asker;
            (asker, *name) = auth::known(app, request)?;
            Door::Tree(asker, handle)
        }
    })
}

/// Counts a request of nobody that is known.
fn stranger(app: &App, request: &Request) -> Result<()> {
    let trusted = &app.config.trusted_proxies;
    app.rates.stranger(address::of(request.peer, &request.headers, trusted), trusted)
}

impl Guest<'_> {
    fn holder(&self) -> Holder {
        match self.name.as_str() {
            STRANGER => {
                let request = &self.request;
                let client = address::of(request.peer, &request.headers, &self.app.config.trusted_proxies);
                Holder::Stranger(client.source())
            }
            auth::OPERATOR => Holder::Operator,
            name => Holder::Known(name.to_owned()),
        }
    }

    /// As the server does for what comes over the network.
    fn must_take(&self, n_bytes: usize) -> Result<()> {
        let config = &self.app.config;
        let most = self.route.body.bytes(config.max_body, config.max_bulk_body);
        if n_bytes <= most {
            return Ok(());
        }
        Err(Error::http(413, format!("the body has {n_bytes} bytes; accepted: up to {most}")))
    }

    /// # Errors
    /// `Unauthenticated` or `Forbidden` for whom the route does not let in any more.
    fn look_again(&mut self) -> Result<()> {
        if self.admitted_at.elapsed() > STANDS && !matches!(self.door, Door::Open(_)) {
            self.door = authorise(self.app, self.route, &self.request, &mut self.name)?;
        }
        Ok(())
    }

    fn answer(mut self, body: Vec<u8>) -> Response {
        let started = Instant::now();
        let looked = self.look_again();
        self.request.body = body;
        self.request.asker = self.door.asker();
        let (app, request) = (self.app, &self.request);
        let answered = looked.and_then(|()| match &self.door {
            Door::Open(handle) => handle(app, request),
            Door::Key(caller, handle) => match app.kept_answer(caller.workspace, request)? {
                None => handle(app, caller, request),
                Some(answer) => Ok(answer),
            },
            Door::Session(session, handle) => handle(app, session, request),
            Door::Admin(admin, handle) => handle(app, admin, request),
            Door::Tree(asker, handle) => handle(app, *asker, request),
        });
        let response = answered.unwrap_or_else(|error| fail_noted(app, self.route, request, error));
        finish(app, self.request, (Some(self.route), &self.name, started), response)
    }
}

/// The end of every request: its figures, its log line, and what every answer says.
fn finish(
    app: &App,
    request: Request,
    (route, caller, started): (Option<&'static Route>, &str, Instant),
    response: Response,
) -> Response {
    let took = started.elapsed();
    let at = route.and_then(place).unwrap_or(app.requests.len() - 1);
    app.requests[at].note(response.status, took);
    // A stranger must not fill the disk.
    let passed_over = if caller == STRANGER { app.strangers_lines.line() } else { Some(0) };
    if let Some(passed_over) = passed_over {
        // Whoever follows a log asks every second, mostly for nothing.
        let is_following = response.status == 200 && request.query.has("after");
        log::log!(
            if is_following { log::Level::Debug } else { log::Level::Info },
            "{} {} {} {}ms {} {caller}{}",
            request.method.as_str(),
            route.map_or(STRANGER, |route| route.path),
            response.status,
            took.as_millis(),
            request.id,
            if passed_over > 0 { format!("; {passed_over} more of strangers") } else { String::new() },
        );
    }
    // Only who came over https can be told to stay there; a year, and this host alone.
    let response = match address::is_https(&request, &app.config.trusted_proxies) {
        true => response.with("Strict-Transport-Security", "max-age=31536000"),
        false => response,
    };
    let response = cors(app, &request.headers, coding::fold(&request, response));
    response.with("X-Request-Id", request.id)
}

/// What a path takes. It is also what a browser asks before it sends what a page of another origin wants; `cors` says
/// whether that page may.
fn options(app: &App, request: &Request) -> Response {
    let allowed = match request.path.as_str() {
        "*" => vec!["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"],
        path => [allowed(path), vec!["OPTIONS"]].concat(),
    };
    if let Err(error) = stranger(app, request) {
        return fail(&request.id, dialect(&request.path), &error);
    }
    if allowed == ["OPTIONS"] {
        return fail(&request.id, dialect(&request.path), &Error::NotFound(Subject::Route));
    }
    let allowed = allowed.join(", ");
    let response = Response::empty(204).with("Allow", allowed.clone());
    if request.header("access-control-request-method").is_none() {
        return response;
    }
    response
        .with("Access-Control-Allow-Methods", allowed)
        .with("Access-Control-Allow-Headers", CORS_REQUEST_HEADERS)
        .with("Access-Control-Max-Age", "600")
}

/// What a page of another origin may send beside the headers that any may, and what it may read of an answer.
const CORS_REQUEST_HEADERS: &str = "Accept, Authorization, Content-Encoding, Content-Type, Idempotency-Key, Mailtrail-Workspace, X-Request-Id";
const CORS_RESPONSE_HEADERS: &str = "Allow, Link, Retry-After, X-Request-Id";

/// Lets a page of a configured origin read the answer (CORS). Its requests carry no cookie of ours: browsers send one
/// only where `Access-Control-Allow-Credentials` is, which nobody gets here, and a session is refused to foreign origins.
fn cors(app: &App, headers: &[(String, String)], response: Response) -> Response {
    let origins = &app.config.cors_origins;
    if origins.is_empty() {
        return response;
    }
    let response = response.with("Vary", "Origin");
    let origin = headers.iter().find(|(name, _)| name == "origin").map(|(_, value)| value);
    match origin.filter(|origin| origins.contains(origin)) {
        Some(origin) => response
            .with("Access-Control-Allow-Origin", origin)
            .with("Access-Control-Expose-Headers", CORS_RESPONSE_HEADERS),
        None => response,
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
        if let Err(error) = stranger(app, request) {
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
/// of its own: the Mailbuttons SDK's base URL ends in `/api`. So does a mailbox's route under `PACKAGE`.
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
    [Some(path), short(path)].into_iter().flatten().flat_map(|path| {
        TABLES.iter().copied().flatten().filter_map(move |route| Some((route, route.matches(path)?)))
    })
}

/// What a path stands for that begins with the base URL of a vendor's client.
fn short(path: &str) -> Option<&str> {
    let of_package = path.strip_prefix(&PACKAGE[..PACKAGE.len() - 1]);
    match of_package {
        Some(path) => Some(path).filter(|path| path.starts_with("/v1/mailboxes/")),
        None => path.strip_prefix("/api").filter(|path| path.starts_with("/v1/")),
    }
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
    match short(path).unwrap_or(path).strip_prefix("/v1/").and_then(|rest| rest.split('/').next()) {
        Some("mailboxes" | "messages") => Dialect::Mailbuttons,
        Some("enforcement" | "tenants") => Dialect::TenantCore,
        Some("projects" | "workspaces" | "auth" | "me" | "invitations") => Dialect::SendDock,
        _ => Dialect::Problem,
    }
}

/// An error as an answer; what is inside a 5xx goes to the log.
pub fn fail(request_id: &str, dialect: Dialect, error: &Error) -> Response {
    log_error(request_id, error);
    refusal(dialect, error)
}

fn log_error(request_id: &str, error: &Error) {
    // What is refused is no error of ours, whoever's fault it is; and a full disk is told once, by who noticed it: a
    // line for each refused write would fill it up for good.
    if error.is_ours() {
        seldom::tell(error.level(), format_args!("{request_id} {error}"));
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
        Error::Unavailable { .. } | Error::NotReady { .. } => 503,
        Error::Mismatch(_)
        | Error::Unsettled { .. }
        | Error::Database(_)
        | Error::Io { .. }
        | Error::Internal(_) => 500,
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
    let title = phrase(status);
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

/// The phrase of a status that is sent here (RFC 9110 section 15, RFC 6585, RFC 4918).
pub fn phrase(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        status if status >= 500 => "Internal Server Error",
        _ => "Bad Request",
    }
}
