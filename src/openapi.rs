//! The API as one OpenAPI document, for people's tools and for the tests: `GET /openapi.json`.
//!
//! Each folder of routes describes them in an `openapi.json` beside them: parameters, bodies, and the answers that are
//! theirs alone. What the table of routes knows is not said there again but put in here: who may call, in whose words
//! errors are told, and the refusals that any such route may answer with. Tests hold the document against the table,
//! and the answers that all other tests get against the document.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use crate::http::route::{Dialect, Handler, Route};
use crate::ids::{hex, sha256};
use crate::routes::TABLES;

/// The first is the frame, with what all of them share.
const PARTS: [&str; 8] = [
    include_str!("openapi.json"),
    include_str!("auth/openapi.json"),
    include_str!("owners/openapi.json"),
    include_str!("enforcement/openapi.json"),
    include_str!("messages/openapi.json"),
    include_str!("activity/openapi.json"),
    include_str!("proofs/openapi.json"),
    include_str!("admin/openapi.json"),
];

pub struct Document {
    pub text: String,
    pub etag: String,
}

/// Made at the first request for it, the same from then on.
pub fn document() -> &'static Document {
    static DOCUMENT: LazyLock<Document> = LazyLock::new(|| {
        let text = build().to_string();
        let etag = format!("\"{}\"", &hex(&sha256(text.as_bytes()))[..32]);
        Document { text, etag }
    });
    &DOCUMENT
}

fn build() -> Value {
    let mut document = Value::Null;
    for part in PARTS {
        let mut part = serde_json::from_str(part).unwrap_or_default();
        tag(&mut part);
        merge(&mut document, part);
    }
    document["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    for route in TABLES.iter().copied().flatten() {
        complete(&mut document, route);
    }
    document
}

/// Puts the operations of a part under its own tag.
fn tag(part: &mut Value) {
    let name = part["tags"][0]["name"].clone();
    for operation in part["paths"].as_object_mut().into_iter().flat_map(Map::values_mut).flat_map(operations)
    {
        operation["tags"] = json!([name]);
    }
}

fn operations(path: &mut Value) -> impl Iterator<Item = &mut Value> {
    path.as_object_mut().into_iter().flat_map(Map::values_mut)
}

/// Adds the members of an object and the items of a list to those that are there.
fn merge(whole: &mut Value, part: Value) {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            for (name, value) in part {
                merge(whole.entry(name).or_insert(Value::Null), value);
            }
        }
        (Value::Array(whole), Value::Array(part)) => whole.extend(part),
        (whole, part) => *whole = part,
    }
}

/// Says of a route's operation what the table of routes says of the route.
fn complete(document: &mut Value, route: &Route) {
    let method = route.method.as_str().to_lowercase();
    let Some(path) = document["paths"].get_mut(route.path) else { return };
    if route.path.starts_with("/v1/") {
        path["servers"] =
            json!([{ "url": "/" }, { "url": "/api", "description": "As the Mailbuttons SDK has it." }]);
    }
    let Some(operation) = path.get_mut(&method) else { return };
    operation["security"] = security(route.handler);
    let refusals = refusals(route, operation);
    if let Some(responses) = operation["responses"].as_object_mut() {
        for response in responses.values_mut().filter(|response| response.get("$ref").is_none()) {
            response["headers"]["X-Request-Id"] = header("RequestId");
        }
        for status in &refusals {
            let name = format!("{:?}{status}", route.dialect);
            let shared = json!({ "$ref": format!("#/components/responses/{name}") });
            responses.entry(status.to_string()).or_insert(shared);
        }
        responses.sort_keys();
    }
    let declared = operation["responses"].as_object().into_iter().flat_map(Map::keys);
    let statuses: Vec<u16> = declared.filter_map(|status| status.parse().ok()).collect();
    for status in statuses.into_iter().filter(|status| *status >= 400) {
        document["components"]["responses"][format!("{:?}{status}", route.dialect)] =
            refusal(route.dialect, status);
    }
}

fn security(handler: Handler) -> Value {
    match handler {
        Handler::Open(_) => json!([]),
        Handler::Key(scope, _) => json!([{ "apiKey": scope.words() }, { "operator": [] }]),
        Handler::Session(_) => json!([{ "session": [] }, { "operator": [] }]),
        Handler::Admin(_) => json!([{ "apiKey": ["admin"] }, { "session": [] }, { "operator": [] }]),
        Handler::Tree(_) => json!([{ "apiKey": [] }, { "session": [] }, { "operator": [] }]),
    }
}

/// The statuses that a route may refuse with whatever it does.
fn refusals(route: &Route, operation: &Value) -> Vec<u16> {
    let parameters = operation["parameters"].as_array().map_or(&[][..], Vec::as_slice);
    let takes = |name: &str| {
        let reference = format!("#/components/parameters/{name}");
        parameters.iter().any(|parameter| parameter["$ref"] == reference)
    };
    let mut statuses = vec![400, 408, 414, 429, 431, 500, 503];
    statuses.extend_from_slice(match route.handler {
        Handler::Open(_) => &[],
        Handler::Session(_) | Handler::Tree(_) => &[401],
        Handler::Key(..) | Handler::Admin(_) => &[401, 403],
    });
    if route.path.contains('{') {
        statuses.push(404);
    }
    if takes("IdempotencyKey") {
        statuses.push(409);
    }
    if operation.get("requestBody").is_some() {
        statuses.extend([413, 415]);
    }
    if route.dialect != Dialect::SendDock {
        statuses.push(422);
    }
    // What somebody takes away, or may not do, is noted before it is answered.
    if !route.method.is_safe() || !matches!(route.handler, Handler::Open(_)) {
        statuses.push(507);
    }
    statuses
}

fn header(name: &str) -> Value {
    json!({ "$ref": format!("#/components/headers/{name}") })
}

/// A refusal in a vendor's words, as `routes` answers it.
fn refusal(dialect: Dialect, status: u16) -> Value {
    let mut headers = json!({ "X-Request-Id": header("RequestId") });
    match status {
        401 if dialect != Dialect::SendDock => headers["WWW-Authenticate"] = header("Authenticate"),
        429 | 503 | 507 => headers["Retry-After"] = header("RetryAfter"),
        _ => {}
    }
    let (media_type, schema) = match dialect {
        Dialect::TenantCore => ("application/json", "TenantCoreError"),
        Dialect::Mailbuttons => ("application/json", "MailbuttonsError"),
        Dialect::SendDock => ("application/json", "SendDockError"),
        Dialect::Problem => ("application/problem+json", "Problem"),
    };
    json!({
        "description": reason(dialect, status),
        "headers": headers,
        "content": { media_type: { "schema": { "$ref": format!("#/components/schemas/{schema}") } } },
    })
}

fn reason(dialect: Dialect, status: u16) -> &'static str {
    match status {
        400 if dialect == Dialect::SendDock => {
            "The request cannot be read, or a parameter or member is not acceptable."
        }
        400 => "The request cannot be read: a header, the query, the body's JSON.",
        401 => "Nobody we know.",
        402 => "No valid license.",
        403 => "Somebody we know, who may not do this.",
        404 => "Unknown, or another workspace's: the answer is the same.",
        408 => "The request did not come in time.",
        409 => {
            "It contradicts what is recorded, or what was asked under this `Idempotency-Key`; or it runs already."
        }
        413 => "The body is too large.",
        414 => "The target is too long.",
        415 => "The body's media type is not accepted here.",
        422 => "A parameter or member is not acceptable.",
        429 => "Too many requests.",
        431 => "The header fields are too large.",
        503 => "Too busy, or going down.",
        507 => "The disk is full: nothing is written.",
        _ => "Our fault; the server's log has it under the request's id.",
    }
}
