//! A refusal of a known key or person is noted in the trail, as `auth.denied`: whoever audits the workspace sees who
//! tried what they may not do.
//!
//! There is one note for each caller, route and hour, because a client that is set up wrongly asks for ever. Which notes
//! were made is kept in memory, in a fixed number of places (`places`). A stranger has no workspace to be noted in: their
//! refusals stand in the process's log alone, and their failed logins are noted by `logins`.

use std::sync::{Mutex, PoisonError};

use serde_json::json;

use super::places::{Places, Remembered};
use super::{by, is_operator, keys, logins, sessions};
use crate::app::App;
use crate::auth::keys::ApiKey;
use crate::error::{Error, Result};
use crate::http::Request;
use crate::http::route::{Handler, Route};
use crate::owners::users::User;
use crate::store::{By, Note};
use crate::time::Timestamp;

#[derive(Default)]
pub struct Denials(Mutex<Places<Noted>>);

/// The hour in which it was noted last.
#[derive(Default)]
struct Noted(Option<i64>);

impl Remembered for Noted {
    fn weight(&self, now: Timestamp) -> i64 {
        i64::from(self.0 == Some(now.hour()))
    }
}

impl Denials {
    /// Whether it is the first of this name in the hour.
    fn is_first(&self, name: &str, now: Timestamp) -> bool {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.at(name, now).0.replace(now.hour()) != Some(now.hour())
    }

    fn take_back(&self, name: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).forget(name);
    }
}

enum Known {
    Key(ApiKey),
    Person(User),
}

/// Who is refused: the owner of a key, also of one that has ended, or of a living session.
fn known(app: &App, route: &Route, request: &Request) -> Result<Option<Known>> {
    if is_operator(app, request) {
        return Ok(None);
    }
    if let Ok(token) = keys::bearer(request) {
        return Ok(keys::find_text(app, token)?.map(Known::Key));
    }
    match route.handler {
        Handler::Session(_) | Handler::Admin(_) | Handler::Tree(_) | Handler::Open(_) => {
            Ok(sessions::find_living(app, request)?.map(Known::Person))
        }
        Handler::Key(..) => Ok(None),
    }
}

/// Notes a refusal, when it is about who the caller is or what they may do.
///
/// # Errors
/// When it cannot be noted: then that is the answer.
pub fn note(app: &App, route: &Route, request: &Request, error: &Error) -> Result<()> {
    let status = match error {
        Error::Forbidden(_) => 403,
        Error::Unauthenticated(_) => 401,
        _ => return Ok(()),
    };
    let known = match known(app, route, request)? {
        // A session that is none of this route's opens it for nobody.
        Some(Known::Person(_)) if status == 401 => return Ok(()),
        None => return Ok(()),
        Some(known) => known,
    };
    let caller = match &known {
        Known::Key(key) => format!("key {}", key.id),
        Known::Person(user) => format!("user {}", user.id),
    };
    let what = format!("{} {}", route.method.as_str(), route.path);
    let (name, now) = (format!("{caller} {what}"), app.clock.now());
    if !app.denials.is_first(&name, now) {
        return Ok(());
    }
    let metadata = json!({ "route": what, "status": status, "why": error.to_string() });
    let written = match known {
        Known::Key(key) => {
            let note = Note {
                workspace: Some(key.workspace),
                project: None,
                by: By { recorded_by: format!("key {}", key.name), ..by(app, request, None, key.label()) },
                action: "auth.denied",
                target_type: "api_key",
                target_id: key.id.to_string(),
                metadata,
            };
            app.store.write(move |tx| tx.note(note))
        }
        Known::Person(user) => {
            let by = by(app, request, Some(user.id), user.email.clone());
            app.store.write(move |tx| logins::note(tx, &user, by, "auth.denied", &metadata))
        }
    };
    written.inspect_err(|_| app.denials.take_back(&name))
}
