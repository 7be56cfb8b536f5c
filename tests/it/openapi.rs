//! The API's own description: it has every route and nothing else, says who may call and what is answered, and holds
//! together. That the server answers as it says is checked wherever a test sends a request (`support/document.rs`).

use std::collections::BTreeSet;

use mailtrail::auth::Scope;
use mailtrail::enforcement::Action;
use mailtrail::http::Method;
use mailtrail::http::route::{Dialect, Handler};
use mailtrail::messages::{Kind, Outcome, Verdict};
use mailtrail::owners::users::Role;
use serde_json::{Value, json};

use crate::support::Server;
use crate::support::document::{DOCUMENT, faults, operation, resolve, routes};

const METHODS: [&str; 6] = ["get", "head", "post", "put", "patch", "delete"];

/// Every operation with its name, as `get /healthz`.
fn operations() -> Vec<(String, &'static Value)> {
    let paths = DOCUMENT["paths"].as_object().expect("paths");
    let of_path = |(path, item): (&'static String, &'static Value)| {
        let methods = METHODS.into_iter().filter_map(|method| Some((method, item.get(method)?)));
        methods.map(|(method, operation)| (format!("{method} {path}"), operation)).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}

fn parameters(operation: &'static Value) -> impl Iterator<Item = &'static Value> {
    operation["parameters"].as_array().into_iter().flatten().map(resolve)
}

/// Every value below this one, and itself, with its place.
fn walk(value: &'static Value, place: &str, visit: &mut impl FnMut(&str, &'static Value)) {
    visit(place, value);
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, member)| walk(member, &format!("{place}/{name}"), visit));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| walk(item, &format!("{place}/{at}"), visit));
        }
        _ => {}
    }
}

/// Whoever sends an `Idempotency-Key` relies on it: a route takes it, or refuses it.
#[test]
fn each_route_that_writes_says_whether_it_takes_an_idempotency_key() {
    let mut n = [0, 0];
    for route in routes().filter(|route| !route.method.is_safe()) {
        let operation = operation(route);
        let takes = parameters(operation).any(|parameter| parameter["name"] == "Idempotency-Key");
        assert_eq!(takes, route.keeps_answers, "{} {}", route.method.as_str(), route.path);
        n[usize::from(takes)] += 1;
    }
    assert!(n[0] > 5 && n[1] > 20, "{n:?}");
}

#[test]
fn it_is_served_to_anybody_and_not_sent_twice() {
    let server = Server::start();
    let get = || server.request(Method::Get, "/openapi.json");
    let answer = get().send().status(200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.json()["openapi"], "3.1.1");
    assert_eq!(answer.json()["info"]["version"], env!("CARGO_PKG_VERSION"));
    let etag = answer.header("etag").expect("an ETag").to_owned();
    for known in [etag.clone(), format!("W/{etag}"), format!("\"x\", {etag}"), "*".into()] {
        let again = get().header("if-none-match", &known).send().status(304);
        assert_eq!((again.header("etag"), again.body.len()), (Some(etag.as_str()), 0), "{known}");
    }
    get().header("if-none-match", "\"another\"").send().status(200);
    server.request(Method::Get, "/openapi.json?x=1").send().status(422);
}

#[test]
fn it_has_every_route_and_nothing_else() {
    let described: BTreeSet<String> = operations().into_iter().map(|(name, _)| name).collect();
    let name = |route: &mailtrail::http::route::Route| {
        format!("{} {}", route.method.as_str().to_lowercase(), route.path)
    };
    assert_eq!(described, routes().map(name).collect());
    assert!(described.len() > 60, "{}", described.len());
}

#[test]
fn every_operation_says_what_it_takes_and_answers() {
    let mut ids = BTreeSet::new();
    for route in routes() {
        let operation = operation(route);
        let what = format!("{} {}", route.method.as_str(), route.path);
        let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{what} has no operationId"));
        assert!(ids.insert(id), "{id} names two operations");
        assert!(operation["summary"].as_str().is_some_and(|summary| summary.ends_with('.')), "{what}");
        assert!(operation["tags"][0].is_string(), "{what}");
        let named: Vec<&str> = route.path.split(['{', '}']).skip(1).step_by(2).collect();
        let described: Vec<&str> = parameters(operation)
            .filter(|parameter| parameter["in"] == "path" && parameter["required"] == true)
            .filter_map(|parameter| parameter["name"].as_str())
            .collect();
        assert_eq!(described, named, "{what}");
        let responses = operation["responses"].as_object().unwrap_or_else(|| panic!("{what}"));
        assert!(responses.keys().any(|status| status.starts_with('2')), "{what}");
        assert!(responses.contains_key("429"), "{what}");
        assert!(responses.contains_key("507") || route.method == Method::Get, "{what}");
        for (status, response) in responses {
            let response = resolve(response);
            let content = response["content"].as_object();
            if ["204", "304"].contains(&status.as_str()) {
                assert!(content.is_none(), "{what}: {status}");
                continue;
            }
            let content = content.unwrap_or_else(|| panic!("{what}: {status}"));
            let is_refusal = status.starts_with(['4', '5']);
            let expected = if route.dialect == Dialect::Problem {
                "application/problem+json"
            } else {
                "application/json"
            };
            assert!(!is_refusal || content.contains_key(expected), "{what}: {status} {content:?}");
        }
    }
}

/// Every operation is called by nobody.
#[test]
fn every_operation_says_who_may_call() {
    let server = Server::start();
    for route in routes() {
        let security = &operation(route)["security"];
        let what = format!("{} {}", route.method.as_str(), route.path);
        let expected = match route.handler {
            Handler::Open(_) => json!([]),
            Handler::Key(scope, _) => json!([{ "apiKey": [scope.to_string()] }, { "operator": [] }]),
            Handler::Session(_) => json!([{ "session": [] }, { "operator": [] }]),
            Handler::Admin(_) => json!([{ "apiKey": ["admin"] }, { "session": [] }, { "operator": [] }]),
            Handler::Tree(_) => json!([{ "apiKey": [] }, { "session": [] }, { "operator": [] }]),
        };
        assert_eq!(security, &expected, "{what}");
        let path = route.path.split('/').map(|part| if part.starts_with('{') { "1" } else { part });
        let answer = server.request(route.method, &path.collect::<Vec<_>>().join("/")).send();
        assert_eq!(answer.status == 401, *security != json!([]), "{what}: {answer:?}");
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_component_is_used() {
    let mut used = BTreeSet::new();
    walk(&DOCUMENT, "#", &mut |place, value| {
        if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            assert!(DOCUMENT.pointer(&reference[1..]).is_some(), "{place}: {reference} leads nowhere");
            used.insert(reference.to_owned());
        }
    });
    let components = DOCUMENT["components"].as_object().expect("components");
    for (kind, named) in components.iter().filter(|(kind, _)| *kind != "securitySchemes") {
        for name in named.as_object().expect("components of a kind").keys() {
            let reference = format!("#/components/{kind}/{name}");
            assert!(used.contains(&reference), "{reference} is not used");
        }
    }
}

#[test]
fn every_object_says_what_else_may_be_in_it() {
    let mut n_objects = 0;
    walk(&DOCUMENT, "#", &mut |place, value| {
        // What is under `anyOf` only says more of the object above it; `…Members` is for others to build on.
        let is_part =
            place.contains("/anyOf/") || place.ends_with("Members") || place.contains("/openapi.json/");
        if is_part || value.get("properties").is_none_or(|properties| !properties.is_object()) {
            return;
        }
        let closes = |keyword: &str| value.get(keyword) == Some(&json!(false));
        assert!(closes("additionalProperties") || closes("unevaluatedProperties"), "{place} is open");
        n_objects += 1;
    });
    assert!(n_objects > 60, "{n_objects}");
}

#[test]
fn closed_lists_are_those_of_the_source() {
    fn words<T, const N: usize>(list: [(&str, T); N]) -> Value {
        list.into_iter().map(|(word, _)| word).collect()
    }
    let schemas = &DOCUMENT["components"]["schemas"];
    assert_eq!(schemas["EnforcementAction"]["enum"], words(Action::WORDS));
    assert_eq!(schemas["AuditOutcome"]["enum"], words(Outcome::WORDS));
    assert_eq!(schemas["Verdict"]["enum"], words(Verdict::WORDS));
    assert_eq!(schemas["Role"]["enum"], words(Role::WORDS));
    assert_eq!(schemas["Scope"]["enum"], words(Scope::WORDS));
    let kinds = &schemas["AuditEntryMembers"]["properties"]["appended"]["items"]["properties"]["kind"];
    assert_eq!(kinds["enum"], words(Kind::WORDS));
}

#[test]
fn every_example_is_of_its_schema() {
    let mut n_examples = 0;
    walk(&DOCUMENT, "#", &mut |place, value| {
        let is_schema = place.contains("/schema");
        let (schema, examples): (&Value, Vec<&Value>) = match (value.get("example"), value.get("examples")) {
            (Some(example), _) if !is_schema => (&value["schema"], vec![example]),
            (_, Some(Value::Array(examples))) => (value, examples.iter().collect()),
            _ => return,
        };
        for example in examples {
            let faults = faults(schema, example);
            assert!(faults.is_empty(), "{place}: {}\n{example}", faults.join("\n"));
            n_examples += 1;
        }
    });
    assert!(n_examples > 30, "{n_examples}");
}

/// The vendors' examples stand in the document as they are, with ids in place of the `uuid` and `01H...` they show.
#[test]
fn the_examples_are_the_vendors() {
    let example = |path: &str| {
        let answer = resolve(&DOCUMENT["paths"][path]["get"]["responses"]["200"]);
        &answer["content"]["application/json"]["example"]
    };
    let tenantcore = example("/v1/enforcement/events");
    let vendors = json!({
        "events": [
            {
                "mailbox_address": "sales@mail.acmecorp.com", "action_taken": "blocked", "sent_count": 26,
                "limit_value": 25, "message": "Mailbox blocked: sent 26, limit 25",
                "created_at": "2025-04-20T14:30:00Z",
            },
            {
                "mailbox_address": "sales@mail.acmecorp.com", "action_taken": "unblocked", "sent_count": 0,
                "limit_value": 25, "message": "Mailbox unblocked: sent 0, limit 25",
                "created_at": "2025-04-21T00:05:00Z",
            },
        ],
        "count": 2, "total": 2, "limit": 50, "offset": 0, "filters": { "tenant_id": null, "action": null },
    });
    assert_holds(tenantcore, &vendors);
    let senddock = example("/api/v1/projects/{id}/audit-log");
    let vendors = json!({
        "entries": [{
            "action": "smtp.update", "target_type": "project",
            "metadata": {
                "smtp_host": "smtp.mailgun.org", "smtp_user": "postmaster@acme.com", "from_email": "hello@acme.com",
            },
            "ip_address": "203.0.113.42", "user_agent": "Mozilla/5.0 ...", "created_at": "2026-04-30T14:22:11Z",
        }],
        "total": 1842,
    });
    assert_holds(senddock, &vendors);
    assert_eq!(example("/v1/mailboxes/{mailbox_id}/audit-logs")["next_cursor"], 12345);
}

/// Everything of `part` is in `whole`, in the same order.
#[track_caller]
fn assert_holds(whole: &Value, part: &Value) {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            let common: Vec<&String> = whole.keys().filter(|name| part.contains_key(*name)).collect();
            assert_eq!(common, part.keys().collect::<Vec<_>>());
            part.iter().for_each(|(name, value)| assert_holds(&whole[name], value));
        }
        (Value::Array(whole), Value::Array(part)) => {
            assert_eq!(whole.len(), part.len());
            whole.iter().zip(part).for_each(|(whole, part)| assert_holds(whole, part));
        }
        _ => assert_eq!(whole, part),
    }
}

#[test]
fn links_lead_to_operations_and_their_parameters() {
    let mut n_links = 0;
    for (name, operation) in operations() {
        for response in
            operation["responses"].as_object().into_iter().flat_map(|responses| responses.values())
        {
            for link in resolve(response)["links"].as_object().into_iter().flat_map(|links| links.values()) {
                let wanted = &link["operationId"];
                let found = operations().into_iter().find(|(_, other)| other["operationId"] == *wanted);
                let (_, target) = found.unwrap_or_else(|| panic!("{name}: no operation {wanted}"));
                let taken: BTreeSet<&str> =
                    parameters(target).filter_map(|parameter| parameter["name"].as_str()).collect();
                for parameter in link["parameters"].as_object().expect("parameters").keys() {
                    assert!(taken.contains(parameter.as_str()), "{name}: {wanted} takes no {parameter}");
                }
                n_links += 1;
            }
        }
    }
    assert!(n_links > 20, "{n_links}");
}
