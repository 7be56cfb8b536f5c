//! Whether somebody is who they say they are: the one place where a password is held against the stored one.
//!
//! Whether there is such an account shows neither in the answer nor in the time that it takes.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::password;
use super::throttle::Attempt;
use super::{FIRST_WORKSPACE, address, sources};
use crate::app::App;
use crate::error::{Error, Result, Unauthenticated};
use crate::http::Request;
use crate::line::Place;
use crate::owners::users::{self, User};
use crate::store::{By, Note, Tx};

/// A turn at having a password looked at: few have one at a time, and who failed has to wait for it.
pub struct Turn {
    /// The living account of the address.
    pub user: Option<User>,
    /// From where, where that is known.
    pub source: Option<IpAddr>,
    email: String,
    attempt: Attempt,
    place: Place<'static>,
}

impl Turn {
    /// # Errors
    /// `TooMany` after failures, `Unavailable` when too many wait.
    pub fn take(app: &App, request: &Request, email: &str) -> Result<Self> {
        let client = address::of(request.peer, &request.headers, &app.config.trusted_proxies);
        // The nameless are many: none of them makes a place known for the others.
        let source = client.own().map(address::source);
        let now = app.now();
        let (user, is_known) = app.store.read(|snapshot| {
            let user = users::find_by_email(snapshot, email)?;
            let is_known = match (&user, source) {
                (Some(user), Some(source)) => sources::is_known(snapshot, user.key, source, now)?,
                _ => false,
            };
            Ok((user, is_known))
        })?;
        let attempt = Attempt::new(email, client.source(), is_known);
        let place = password::place(is_known)?;
        app.throttle.attempt(&attempt, app.clock.now())?;
        Ok(Self { user, source, email: email.to_owned(), attempt, place })
    }

    /// The account, when this is its password. When it is none, that is noted as `action`.
    ///
    /// # Errors
    /// `Unauthenticated::Login`.
    pub fn prove(mut self, app: &App, by: By, action: &'static str, given: &str) -> Result<User> {
        let is_right = password::verify(given, self.user.as_ref().map(|user| user.password.as_str()));
        // `verify` says no without a user.
        if let Some(user) = self.user.take().filter(|_| is_right) {
            self.is_over(app);
            return Ok(user);
        }
        drop(self.place);
        note_failure(app, self.email, by, action)?;
        Err(Error::Unauthenticated(Unauthenticated::Login))
    }

    /// It was no failure.
    pub fn is_over(self, app: &App) {
        app.throttle.succeeded(&self.attempt, app.clock.now());
    }
}

/// In each workspace of the account; an unknown address is the first workspace's business. What is no address is not
/// kept: people type their password into the field above.
fn note_failure(app: &App, email: String, by: By, action: &'static str) -> Result<()> {
    let is_address = crate::owners::check_address("email", &email).is_ok();
    let email = if is_address { email } else { String::new() };
    app.store.write(move |tx| match users::find_by_email(tx, &email)? {
        Some(user) => note(tx, &user, By { name: email, ..by }, action, &json!({})),
        None => tx.note(Note {
            workspace: None,
            project: None,
            by: By { name: email.clone(), ..by },
            action,
            target_type: "user",
            target_id: String::new(),
            metadata: json!({ "email": email, "known": false }),
        }),
    })
}

/// Notes what somebody did with their account, in each of its workspaces; an account without one is the first
/// workspace's business. From where they did it is only for those that they agreed to be in.
pub fn note(tx: &mut Tx<'_>, user: &User, by: By, action: &'static str, metadata: &Value) -> Result<()> {
    let memberships = users::memberships(tx, user.key)?;
    let places = if memberships.is_empty() { vec![(FIRST_WORKSPACE, false)] } else { memberships };
    for (workspace, has_agreed) in places {
        let by = match has_agreed {
            true => by.clone(),
            false => By { ip_address: None, user_agent: None, ..by.clone() },
        };
        tx.note(Note {
            workspace: Some(workspace),
            project: None,
            by,
            action,
            target_type: "user",
            target_id: user.id.to_string(),
            metadata: metadata.clone(),
        })?;
    }
    Ok(())
}
