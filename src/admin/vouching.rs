//! Whether the log vouches for who may come in: each living key, account, membership and session against what mailtrail
//! noted of it, and settings against what it noted of them (`told`). Whoever can write a file can put a row of theirs
//! into it, and the tree has no leaves for these; but it has leaves for the notes of their making.
//!
//! What is dead opens nothing and is not looked at, so a key that nothing vouches for is revoked, and all is well. Where
//! retention has removed the notes, nothing can be said: that is counted and told, and no finding. A row that says that
//! it is of that time, and is numbered behind one that is not, is one.
//!
//! # Bounds
//! One pass over the activity log; what is noted of keys, accounts, memberships and owners is held meanwhile, about 300
//! bytes each, and about 20 of a login.

use std::collections::{HashMap, HashSet};

use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::told::{self, Told, as_noted};
use crate::activity::sql::{self as activity, Noted};
use crate::auth::FIRST_WORKSPACE;
use crate::auth::keys::{self, HeldKey, Scope};
use crate::auth::license::{self, License};
use crate::auth::sessions::{self, HeldSession};
use crate::error::Result;
use crate::ids::Uuid;
use crate::owners::invitations;
use crate::owners::users::{self, HeldMember, HeldUser};
use crate::owners::workspaces;
use crate::store::{clock_steps, last_now, latest_written, migrate};
use crate::time::{Clock, Timestamp};
use crate::tlog::controls;

/// How many living ones there are of which nothing can be said.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Unproved {
    /// Made before the time that the log reaches back to.
    pub keys: u64,
    pub accounts: u64,
    pub memberships: u64,
    pub sessions: u64,
    /// Set before version 6, when it was not noted which.
    pub secrets: u64,
}

impl Unproved {
    /// In words, where there are any.
    pub fn told(self) -> Option<String> {
        let Self { keys, accounts, memberships, sessions, secrets } = self;
        let mut parts = Vec::new();
        if keys + accounts + memberships + sessions > 0 {
            parts.push(format!(
                "{keys} keys, {accounts} accounts, {memberships} memberships and {sessions} sessions are older than \
                 the activity log reaches"
            ));
        }
        if secrets > 0 {
            parts.push(format!(
                "of {secrets} keys and passwords it was not noted which they are, before version 6"
            ));
        }
        (!parts.is_empty()).then(|| format!("not held against the log: {}", parts.join("; ")))
    }
}

/// Tells every living key, account, membership, invitation and session that the log does not vouch for, every setting
/// that it contradicts, and a latest time that nothing was written at.
pub fn find_unvouched(connection: &Connection, tell: &mut dyn FnMut(String)) -> Result<Unproved> {
    let mut log = Log::read(connection)?;
    let mut unproved = Unproved::default();
    log.hold_keys(connection, &mut unproved, tell)?;
    log.hold_accounts(connection, &mut unproved, tell)?;
    log.hold_memberships(connection, &mut unproved, tell)?;
    if migrate::user_version(connection)? >= migrate::WITH_INVITATIONS {
        log.hold_invitations(connection, tell)?;
        log.hold_sessions(connection, &mut unproved, tell)?;
        log.hold_consent(connection, tell)?;
        log.hold_licenses(connection, tell)?;
        activity::each_note_of_settings(connection, &told::ACTIONS, |noted| {
            log.told.add(&noted);
            Ok(())
        })?;
        let is_told = |workspace| !(log.has_stepped && log.horizons.contains_key(&workspace));
        log.told.hold(connection, is_told, tell)?;
        hold_latest(connection, log.now, tell)?;
    }
    Ok(unproved)
}

#[derive(Debug, Clone, Default)]
struct Key {
    workspace: i64,
    name: Value,
    scopes: Value,
    expires_at: Value,
    fingerprint: Value,
    ends_at: Option<Timestamp>,
}

#[derive(Debug, Default)]
struct Account {
    email: Option<String>,
    /// Of the last password that was noted.
    fingerprint: Value,
    /// It was made, or got a password; else no more than a login is noted.
    is_told: bool,
    /// They chose a password themselves, since version 6.
    has_chosen: bool,
    /// Of those that they logged in to, and that did not end by a note.
    sessions: HashSet<u64>,
}

/// What mailtrail noted, as far as it is there.
#[derive(Default)]
struct Log {
    now: Timestamp,
    keys: HashMap<Uuid, Key>,
    /// Before version 6 a rotation did not name the new key, but its workspace, its hint, and when.
    rotated: HashMap<(i64, String, Timestamp), Key>,
    accounts: HashMap<Uuid, Account>,
    /// The role; `None`: removed.
    members: HashMap<(i64, Uuid), Option<String>>,
    /// Who accepted an invitation.
    accepted: HashSet<(i64, Uuid)>,
    licenses: HashSet<Uuid>,
    told: Told,
    invitations: HashMap<Uuid, (i64, Value)>,
    ended_workspaces: HashMap<i64, Timestamp>,
    /// Up to when notes may be gone, of each workspace.
    horizons: HashMap<i64, Timestamp>,
    has_stepped: bool,
}

/// What is noted of any of them.
const ACTIONS: [&str; 16] = [
    "api_key.create",
    "api_key.rotate",
    "api_key.revoke",
    "auth.login",
    "auth.logout",
    "backup.restore",
    "license.issue",
    "user.password_change",
    "user.password_reset",
    "workspace.delete",
    "workspace.invitation_withdrawn",
    "workspace.member_added",
    "workspace.member_invited",
    "workspace.member_removed",
    "workspace.member_role_changed",
    "workspace.user_created",
];

impl Log {
    fn read(connection: &Connection) -> Result<Self> {
        let mut log = Self {
            now: last_now(connection)?,
            has_stepped: migrate::user_version(connection)? >= 2 && clock_steps::has_any(connection)?,
            ..Self::default()
        };
        activity::each_own_note(connection, &ACTIONS, |noted| {
            log.add(noted);
            Ok(())
        })?;
        let ids: HashMap<String, i64> =
            workspaces::all_ids(connection)?.into_iter().map(|(key, id)| (id.to_string(), key)).collect();
        let mut reach = |workspace: Option<i64>, time: Timestamp| {
            for (_, key) in ids.iter().filter(|(_, key)| workspace.is_none_or(|only| only == **key)) {
                let horizon = log.horizons.entry(*key).or_insert(time);
                *horizon = time.max(*horizon);
            }
        };
        if migrate::user_version(connection)? < migrate::WITH_TREE {
            // Nothing says what was removed.
            reach(None, Timestamp::MAX);
            return Ok(log);
        }
        controls::each(connection, |is_beginning, body, at| {
            let of = body["workspace"].as_str().and_then(|id| ids.get(id)).copied();
            let before = body["before"].as_str().and_then(Timestamp::parse);
            match (is_beginning, body["log"] == "activity", of) {
                (true, ..) => reach(None, at),
                (false, true, Some(workspace)) => reach(Some(workspace), before.unwrap_or(at)),
                _ => {}
            }
        })?;
        Ok(log)
    }

    fn add(&mut self, noted: Noted) {
        let Noted { workspace, action, target, metadata, at, .. } = noted;
        if action == "backup.restore" {
            self.accounts.values_mut().for_each(|account| account.sessions.clear());
        }
        let key = |told: &Value| Key {
            workspace,
            name: told["name"].clone(),
            scopes: told["scopes"].clone(),
            expires_at: told["expires_at"].clone(),
            fingerprint: told["fingerprint"].clone(),
            ends_at: None,
        };
        let Some(target) = target else { return };
        match action.as_str() {
            "api_key.create" => {
                self.keys.insert(target, key(&metadata));
            }
            "api_key.rotate" => {
                let old = self.keys.entry(target).or_default();
                let ends = metadata["old_key_ends_at"].as_str().and_then(Timestamp::parse).unwrap_or(at);
                let rotated = Key { workspace, fingerprint: Value::Null, ends_at: None, ..old.clone() };
                old.ends_at = Some(old.ends_at.map_or(ends, |end| end.min(ends)));
                match metadata["new_id"].as_str().and_then(Uuid::parse) {
                    Some(id) => {
                        self.keys.insert(id, key(&metadata["new"]));
                    }
                    None => {
                        let hint = metadata["after"].as_str().unwrap_or_default().to_owned();
                        self.rotated.insert((workspace, hint, at), rotated);
                    }
                }
            }
            "api_key.revoke" => {
                let key = self.keys.entry(target).or_default();
                key.ends_at = Some(key.ends_at.map_or(at, |end| end.min(at)));
            }
            "workspace.delete" => {
                self.ended_workspaces.insert(workspace, at);
            }
            "workspace.user_created" => {
                let email = metadata["email"].as_str().map(str::to_owned);
                let fingerprint = metadata["fingerprint"].clone();
                let account = self.accounts.entry(target).or_default();
                (account.email, account.fingerprint) = (email, fingerprint);
                account.is_told = true;
            }
            "user.password_change" | "user.password_reset" => {
                let account = self.accounts.entry(target).or_default();
                account.fingerprint = metadata["fingerprint"].clone();
                account.is_told = true;
                account.has_chosen |= action == "user.password_change" && account.fingerprint.is_string();
                let goes_on = metadata["goes_on"].as_str().and_then(session_of);
                account.sessions.retain(|session| Some(*session) == goes_on);
            }
            "auth.login" | "auth.logout" => {
                let Some(session) = metadata["fingerprint"].as_str().and_then(session_of) else { return };
                let sessions = &mut self.accounts.entry(target).or_default().sessions;
                match action == "auth.login" {
                    true => sessions.insert(session),
                    false => sessions.remove(&session),
                };
            }
            "license.issue" => {
                self.licenses.insert(target);
            }
            "workspace.member_added" | "workspace.member_role_changed" => {
                if metadata["invitation_id"].is_string() {
                    self.accepted.insert((workspace, target));
                }
                let role = metadata["role"].as_str().map(str::to_owned);
                self.members.insert((workspace, target), role);
            }
            "workspace.member_removed" => {
                self.members.insert((workspace, target), None);
            }
            "workspace.member_invited" => {
                self.invitations.insert(target, (workspace, metadata));
            }
            "workspace.invitation_withdrawn" => {
                self.invitations.remove(&target);
            }
            _ => {}
        }
    }

    /// Whether the note of what was made then may be gone. `latest` is when the one numbered before it was made.
    fn may_be_gone(&self, workspace: i64, made_at: Timestamp, latest: Timestamp) -> bool {
        let is_of_then = self.horizons.get(&workspace).is_some_and(|horizon| made_at < *horizon);
        is_of_then && (self.has_stepped || latest <= made_at)
    }

    fn hold_keys(
        &self,
        connection: &Connection,
        unproved: &mut Unproved,
        tell: &mut dyn FnMut(String),
    ) -> Result<()> {
        let mut latest = Timestamp::MIN;
        keys::each_held(connection, |held| {
            let before = latest;
            latest = latest.max(held.created_at);
            let HeldKey { id, workspace, hint, created_at, expires_at, revoked_at, .. } = &held;
            let lives = |end: &Option<Timestamp>| end.is_none_or(|end| end > self.now);
            if !lives(expires_at) || !lives(revoked_at) {
                return Ok(());
            }
            let by_hint = || self.rotated.get(&(*workspace, hint.clone(), *created_at));
            let why = match self.keys.get(id).or_else(by_hint) {
                None if self.may_be_gone(*workspace, *created_at, before) => {
                    unproved.keys += 1;
                    return Ok(());
                }
                None => "nothing in the log says that it was made",
                Some(noted) => match self.contradicts(noted, &held) {
                    Some(why) => why,
                    None => {
                        unproved.secrets += u64::from(noted.fingerprint.is_null());
                        return Ok(());
                    }
                },
            };
            tell(format!("the key {id} ({hint}) opens workspace {workspace}, but {why}"));
            Ok(())
        })
    }

    fn contradicts(&self, noted: &Key, held: &HeldKey) -> Option<&'static str> {
        if noted.workspace != held.workspace {
            return Some("the log says that it was made for another");
        }
        if noted.name.is_string()
            && noted.name != held.name
            && as_noted("name", &held.name.clone().into()).as_ref() != Some(&noted.name)
        {
            return Some("the log says that it has another name");
        }
        // Of a key whose making is out of reach, and its rotation is not, they are not known.
        if let Value::Array(scopes) = &noted.scopes {
            let words: Vec<String> = scopes.iter().filter_map(Value::as_str).map(str::to_owned).collect();
            if Scope::parse(&words).ok() != Some(held.scopes) {
                return Some("the log says that it has other scopes");
            }
            if noted.expires_at.as_str() != held.expires_at.map(|end| end.to_string()).as_deref() {
                return Some("the log says that it expires at another time");
            }
        }
        if noted.fingerprint.as_str().is_some_and(|fingerprint| fingerprint != held.fingerprint) {
            return Some("the log says that it is another key");
        }
        let with_workspace = self.ended_workspaces.get(&held.workspace).copied();
        let end = noted.ends_at.into_iter().chain(with_workspace).min()?;
        let goes_on = held.revoked_at.is_none_or(|revoked| revoked > end);
        goes_on.then_some("the log says that it was revoked")
    }

    fn hold_accounts(
        &self,
        connection: &Connection,
        unproved: &mut Unproved,
        tell: &mut dyn FnMut(String),
    ) -> Result<()> {
        let mut latest = Timestamp::MIN;
        users::each_held(connection, |held| {
            let before = latest;
            latest = latest.max(held.created_at);
            let HeldUser { id, email, created_at, is_deleted, fingerprint, workspaces } = &held;
            if *is_deleted {
                return Ok(());
            }
            let why = match self.accounts.get(id).filter(|account| account.is_told) {
                None if workspaces.iter().any(|of| self.may_be_gone(*of, *created_at, before)) => {
                    unproved.accounts += 1;
                    return Ok(());
                }
                None => "nothing in the log says that it was made",
                Some(noted) if noted.email.as_ref().is_some_and(|noted| !is_same_address(noted, email)) => {
                    "the log says that it was made for another address"
                }
                Some(noted) => match noted.fingerprint.as_str() {
                    Some(noted) if noted == fingerprint => return Ok(()),
                    Some(_) => "the log says that it has another password",
                    None => {
                        unproved.secrets += 1;
                        return Ok(());
                    }
                },
            };
            tell(format!("the account {id} ({email}) can log in, but {why}"));
            Ok(())
        })
    }

    fn hold_memberships(
        &self,
        connection: &Connection,
        unproved: &mut Unproved,
        tell: &mut dyn FnMut(String),
    ) -> Result<()> {
        users::each_held_member(connection, |held| {
            let HeldMember { workspace, user, role, joined_at } = held;
            let why = match self.members.get(&(workspace, user)) {
                None if self.may_be_gone(workspace, joined_at, Timestamp::MIN) => {
                    unproved.memberships += 1;
                    return Ok(());
                }
                None => "nothing in the log says that they joined it".to_owned(),
                Some(None) => "the log says that they were removed".to_owned(),
                Some(Some(noted)) if noted == role.as_str() => return Ok(()),
                Some(Some(noted)) => format!("the log says as {noted}"),
            };
            tell(format!(
                "the account {user} is a member of workspace {workspace} as {}, but {why}",
                role.as_str()
            ));
            Ok(())
        })
    }

    fn hold_invitations(&self, connection: &Connection, tell: &mut dyn FnMut(String)) -> Result<()> {
        invitations::each_held(connection, self.now, |held| {
            let is_noted = self.invitations.get(&held.id).is_some_and(|(workspace, noted)| {
                *workspace == held.workspace
                    && noted["role"] == held.role.as_str()
                    && noted["email"].as_str().is_some_and(|noted| is_same_address(noted, &held.email))
                    && noted["fingerprint"] == held.fingerprint
            });
            // They are younger than anything that retention has removed: nobody keeps the log for less than a week.
            let is_gone = self.may_be_gone(held.workspace, held.created_at, Timestamp::MIN);
            if !is_noted && !is_gone {
                tell(format!(
                    "the invitation {} opens workspace {}, but the log does not say so",
                    held.id, held.workspace
                ));
            }
            Ok(())
        })
    }
}

impl Log {
    /// Whoever's session it is logged in to it. Those of before version 6 the upgrade has ended.
    fn hold_sessions(
        &self,
        connection: &Connection,
        unproved: &mut Unproved,
        tell: &mut dyn FnMut(String),
    ) -> Result<()> {
        sessions::each_held(connection, |held| {
            let HeldSession { fingerprint, user, email, created_at, workspaces } = held;
            let account = self.accounts.get(&user).zip(session_of(&fingerprint));
            if account.is_some_and(|(account, session)| account.sessions.contains(&session)) {
                return Ok(());
            }
            let places = if workspaces.is_empty() { vec![FIRST_WORKSPACE] } else { workspaces };
            if places.iter().any(|of| self.may_be_gone(*of, created_at, Timestamp::MIN)) {
                unproved.sessions += 1;
                return Ok(());
            }
            tell(format!(
                "the session {fingerprint} is one of {email}, but nothing in the log says that they logged in to it"
            ));
            Ok(())
        })
    }

    /// What people did themselves: they chose a password, and accepted an invitation. Who did cannot be taken over by an
    /// administrator, and is seen where they agreed to be.
    fn hold_consent(&self, connection: &Connection, tell: &mut dyn FnMut(String)) -> Result<()> {
        users::each_without_consent(connection, |user, workspace| {
            match workspace {
                None if self.accounts.get(&user).is_some_and(|account| account.has_chosen) => tell(format!(
                    "the account {user} has a password that others gave it, but the log says that its person chose one"
                )),
                Some(workspace) if self.accepted.contains(&(workspace, user)) => tell(format!(
                    "the account {user} is in workspace {workspace} unasked, but the log says that they accepted"
                )),
                _ => {}
            }
            Ok(())
        })
    }

    fn hold_licenses(&self, connection: &Connection, tell: &mut dyn FnMut(String)) -> Result<()> {
        let mut latest = Timestamp::MIN;
        for (_, License { id, issued_at, .. }) in license::page(connection, 0, i64::MAX)? {
            let before = latest;
            latest = latest.max(issued_at);
            if !self.licenses.contains(&id) && !self.may_be_gone(FIRST_WORKSPACE, issued_at, before) {
                tell(format!("the license {id} is there, but nothing in the log says that it was issued"));
            }
        }
        Ok(())
    }
}

/// A session's fingerprint, in eight bytes.
fn session_of(fingerprint: &str) -> Option<u64> {
    u64::from_str_radix(fingerprint, 16).ok()
}

/// The latest time that a write saw is also the time of something that was written, or nearly: a scheduler's row each ten
/// minutes. All that is recorded is of that time until the clock is later. What is no later than the present is no harm: an
/// upgrade, or a first write after a long time, may have been killed before it wrote anything else.
fn hold_latest(connection: &Connection, latest: Timestamp, tell: &mut dyn FnMut(String)) -> Result<()> {
    let found = latest_written(connection)?.max(activity::latest(connection)?);
    let present = Clock::system().now().plus_days(1);
    if let Some(found) = found.filter(|found| found.plus_days(1) < latest && present < latest) {
        tell(format!(
            "the latest time that a write saw is {latest}, but nothing was written later than {found}"
        ));
    }
    Ok(())
}

fn is_same_address(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}
