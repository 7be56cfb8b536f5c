//! The standing of whoever began something that takes long: looked at again at each piece of it.
//!
//! A request is authorised once; an export goes on for as long as the client takes it. A key that is revoked, a session
//! that is over, a role that is gone end it at the next piece, and the client sees a cut answer. The look is in the
//! snapshot of the piece itself: what was recorded after the end is never read.

use std::sync::Arc;

use rusqlite::Connection;

use super::{Scope, keys, sessions};
use crate::app::{App, Usage};
use crate::error::{Error, Result, Unauthenticated};
use crate::owners::users;
use crate::store::{Asker, Snapshot, Store};
use crate::time::{Clock, Timestamp};

#[derive(Clone)]
pub struct Standing {
    pub asker: Asker,
    who: Who,
    store: Arc<Store>,
    clock: Clock,
    usage: Arc<Usage>,
    /// Seconds that a session lives at most.
    session_lifetime: i64,
}

#[derive(Clone, Copy)]
enum Who {
    Operator,
    Key { key: i64, scope: Scope },
    Session { hash: [u8; 32], user: i64, workspace: Option<i64> },
}

impl Standing {
    pub(super) fn operator(app: &App) -> Self {
        Self::new(app, Asker::Operator, Who::Operator)
    }

    pub(super) fn of_key(app: &App, key: i64, scope: Scope) -> Self {
        Self::new(app, Asker::Key(key), Who::Key { key, scope })
    }

    pub(super) fn of_session(app: &App, hash: [u8; 32], user: i64) -> Self {
        Self::new(app, Asker::Person(user), Who::Session { hash, user, workspace: None })
    }

    fn new(app: &App, asker: Asker, who: Who) -> Self {
        let lifetime = app.config.session_lifetime.as_secs();
        Self {
            asker,
            who,
            store: Arc::clone(&app.store),
            clock: app.clock.clone(),
            usage: Arc::clone(&app.usage),
            session_lifetime: i64::try_from(lifetime).unwrap_or(i64::MAX),
        }
    }

    /// For what only members of a workspace may see: a session must have a role in it still.
    pub fn within(mut self, of: i64) -> Self {
        if let Who::Session { workspace, .. } = &mut self.who {
            *workspace = Some(of);
        }
        self
    }

    /// Reads a piece, unless who asked for it may no longer: `Store::read_piece`.
    ///
    /// # Errors
    /// `Unauthenticated` or `Forbidden` when they may not.
    pub fn read_piece<T>(&self, query: impl FnOnce(&Snapshot<'_>) -> Result<T>) -> Result<T> {
        self.store.read_piece(self.asker, |snapshot| {
            self.look_again(snapshot)?;
            query(snapshot)
        })
    }

    fn look_again(&self, connection: &Connection) -> Result<()> {
        let (clock, believed) = self.store.believed(&self.clock);
        let now = clock.max(believed);
        match self.who {
            Who::Operator => {}
            Who::Key { key, scope } => {
                let found = keys::find_by_number(connection, key)?;
                if !found.is_some_and(|key| {
                    key.is_live(now, now.max(self.store.last_now())) && key.scopes.contains(scope)
                }) {
                    return Err(Error::Unauthenticated(Unauthenticated::Key));
                }
                self.usage.key(key, believed);
            }
            Who::Session { hash, user, workspace } => {
                self.look_at_session(connection, (hash, user, workspace), now)?;
                // Who takes an export is not idle.
                self.usage.session(hash, believed);
            }
        }
        Ok(())
    }

    fn look_at_session(
        &self,
        connection: &Connection,
        (hash, user, workspace): ([u8; 32], i64, Option<i64>),
        now: Timestamp,
    ) -> Result<()> {
        let began = sessions::began_at(connection, &hash)?;
        let lives = began.is_some_and(|began| now < began.plus_seconds(self.session_lifetime));
        let is_there = users::find_by_key(connection, user)?.is_some_and(|user| user.deleted_at.is_none());
        if !lives || !is_there {
            return Err(Error::Unauthenticated(Unauthenticated::Session));
        }
        let Some(workspace) = workspace else { return Ok(()) };
        let roles = users::roles(connection, user)?;
        if roles.iter().any(|(of, _)| *of == workspace) {
            return Ok(());
        }
        Err(Error::Forbidden("you are no longer a member of this workspace".into()))
    }
}

impl std::fmt::Debug for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.asker)
    }
}
