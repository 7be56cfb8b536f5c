//! The API's own description, and every answer held against it.
//!
//! `check` is called for each request that a test sends: the status is one that the operation declares, so are the
//! media type and the required headers, and the body is of its schema. What was accepted was to be accepted: the body
//! of a request that got a 2xx is of the schema too.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use jsonschema::Validator;
use mailtrail::http::Method;
use mailtrail::http::route::Route;
use mailtrail::routes::TABLES;
use serde_json::Value;

use super::Answer;

pub static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(&mailtrail::openapi::document().text).expect("a document"));

pub fn routes() -> impl Iterator<Item = &'static Route> {
    TABLES.iter().copied().flatten()
}

/// The operation of a route.
pub fn operation(route: &Route) -> &'static Value {
    &DOCUMENT["paths"][route.path][route.method.as_str().to_lowercase()]
}

/// What a `$ref` leads to, or else the value itself.
pub fn resolve(value: &'static Value) -> &'static Value {
    match value["$ref"].as_str() {
        None => value,
        Some(reference) => {
            let found = DOCUMENT.pointer(reference.trim_start_matches('#'));
            resolve(found.unwrap_or_else(|| panic!("{reference} leads nowhere")))
        }
    }
}

/// The validator of a schema in the document.
pub fn validator(schema: &Value) -> Arc<Validator> {
    static KNOWN: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let make = || {
        let mut whole = schema.clone();
        whole["components"] = DOCUMENT["components"].clone();
        let options = jsonschema::draft202012::options().should_validate_formats(true);
        Arc::new(options.build(&whole).unwrap_or_else(|error| panic!("{schema}: {error}")))
    };
    Arc::clone(known.entry(schema.to_string()).or_insert_with(make))
}

/// What of a value is not as the schema has it.
pub fn faults(schema: &Value, value: &Value) -> Vec<String> {
    let validator = validator(schema);
    validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// Fails the test when the answer to a request is not what the document says.
#[track_caller]
pub fn check(method: Method, target: &str, sent: (&str, &[u8]), answer: &Answer) {
    let path = target.split('?').next().unwrap_or_default();
    let wanted = if method == Method::Head { Method::Get } else { method };
    let short = path.strip_prefix("/api").filter(|path| path.starts_with("/v1/")).unwrap_or(path);
    let is_of = |route: &&Route| {
        route.method == wanted && [path, short].iter().any(|path| route.matches(path).is_some())
    };
    // Under the base URL for the vendor's package there is no route: `received_at` is another there.
    let Some(route) = routes().find(is_of) else { return };
    let what = format!("{} {target}", method.as_str());
    let operation = operation(route);
    let status = answer.status.to_string();
    let declared = operation["responses"].get(&status);
    let declared =
        resolve(declared.unwrap_or_else(|| panic!("{what}: {status} is not declared: {answer:?}")));
    for (name, header) in declared["headers"].as_object().into_iter().flatten() {
        let is_there = answer.header(name).is_some();
        assert!(is_there || resolve(header)["required"] != true, "{what}: {status} without {name}");
    }
    if method != Method::Head {
        let media_type =
            answer.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default();
        check_body(&format!("{what}: the answer {status}"), &declared["content"], media_type, &answer.body);
    }
    if (200..300).contains(&answer.status) && matches!(sent.0, "application/json" | "application/x-ndjson") {
        let content = &operation["requestBody"]["content"];
        let is_left_out = sent.1.is_empty() && operation["requestBody"]["required"] != true;
        if !content.is_null() && !is_left_out {
            check_body(&format!("{what}: the body that was accepted"), content, sent.0, sent.1);
        }
    }
}

#[track_caller]
fn check_body(what: &str, content: &'static Value, media_type: &str, body: &[u8]) {
    let Some(content) = content.as_object() else {
        assert!(body.is_empty(), "{what}: a body is not declared");
        return;
    };
    let described =
        content.get(media_type).unwrap_or_else(|| panic!("{what}: {media_type:?} is not declared"));
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let value = match media_type {
        "application/x-ndjson" => body
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.iter().all(u8::is_ascii_whitespace))
            .map(|line| {
                serde_json::from_slice::<Value>(line).unwrap_or_else(|error| panic!("{what}: {error}"))
            })
            .collect(),
        json if json.ends_with("json") => {
            serde_json::from_slice(body).unwrap_or_else(|error| panic!("{what}: {error}"))
        }
        _ => return,
    };
    let faults = faults(&described["schema"], &value);
    assert!(faults.is_empty(), "{what} is not of its schema:\n{}\n{value}", faults.join("\n"));
}
