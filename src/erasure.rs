//! Erasure: everything that was recorded of a person is removed from the logs of a workspace, at that person's wish.
//!
//! A row is of a person when their address stands anywhere in it: every text of every column is looked at, by the same
//! lines that the tree commits to. Each removal is a row of `control` with how many went and why, and nothing of whom;
//! its proof is the certificate. What is left of an erased row is a hash over 128 random bits that went with it.
//!
//! # Bounds
//! - The whole log is read, a second or two for a million rows; writes go on meanwhile. What is recorded of the person
//!   during it is found by a second look, but somebody who goes on recording them will have to erase again.
//! - A legal hold goes first: what it keeps stays, and the answer says how much.
//! - Not looked at: an address that is written otherwise (encoded, with a tag behind a `+`); policies, which are
//!   settings. Not reached: backups, copies made by an upgrade, what others have fetched.

use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;
use serde::Serialize;
use serde_json::{Value, json};

use crate::app::{App, LOGS};
use crate::auth::Admin;
use crate::error::{Error, Result};
use crate::mask::quoted;
use crate::owners::{invitations, mailboxes, users, workspaces};
use crate::store::counts::{Log, PerLog};
use crate::store::{Erasable, Note, Sharing, Tx, backup, idempotency, texts};
use crate::tlog::leaf_of_number;
use crate::tlog::proof::Proof;
use crate::tlog::record::Record;
use crate::tlog::rows::{self, Names};
use crate::{activity, enforcement, messages};

/// Numbers looked at in one snapshot, and rows removed in one transaction.
const READ_AT_ONCE: i64 = 20_000;
const REMOVED_AT_ONCE: usize = 1000;
/// Looks at the log: the last ones for what was recorded during those before.
const MOST_LOOKS: usize = 3;

/// Whom to erase, and why.
#[derive(Debug, Clone)]
pub struct Erasure {
    pub workspace: i64,
    pub address: Address,
    /// For whoever reads the log later; it does not name the person.
    pub why: String,
}

/// Of two at once one would look for texts by numbers that the other gives away.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// How many rows.
#[derive(Debug, Default, Clone, Copy, Serialize)]
pub struct Removed {
    #[serde(flatten)]
    pub rows: PerLog,
    /// Of all logs: kept by a legal hold.
    pub on_hold: i64,
}

/// What would be removed.
pub fn dry_run(app: &App, erasure: &Erasure) -> Result<Removed> {
    let found = find(app, &erasure.address, 1)?;
    let mut removed = Removed::default();
    app.store.read(|snapshot| {
        for (door, numbers) in found.of_logs() {
            let erasable = (door.erasable)(snapshot, erasure.workspace, numbers)?;
            removed.on_hold += erasable.n_on_hold;
            removed.rows.add(door.log, erasable.free.len() as i64);
        }
        Ok(())
    })?;
    Ok(removed)
}

/// Removes them. Returns how many, and a proof of each row of `control` that says so.
///
/// # Errors
/// `Conflict` while a mailbox or a person of the workspace has the address: they go first.
pub fn run(app: &App, admin: &Admin, erasure: &Erasure) -> Result<(Removed, Vec<String>)> {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    app.store.read(|snapshot| must_be_gone(snapshot, erasure))?;
    app.checkpoints.seal_before_removal(&app.store)?;
    let (mut removed, mut controls, mut first) = (Removed::default(), Vec::new(), 1);
    for _ in 0..MOST_LOOKS {
        let found = find(app, &erasure.address, first)?;
        first = found.end;
        let mut n_removed = 0;
        for (door, numbers) in found.of_logs() {
            for piece in numbers.chunks(REMOVED_AT_ONCE) {
                let (n, on_hold, control) = remove(app, door, erasure, piece)?;
                removed.rows.add(door.log, n);
                removed.on_hold += on_hold;
                n_removed += n;
                controls.extend(control);
            }
        }
        if n_removed == 0 {
            break;
        }
    }
    // No row names them up to this number; in the write only the rest has to be looked at.
    let (texts, looked_at) = app.store.read(|snapshot| {
        let texts = texts::search(snapshot, |text| erasure.address.is_in(text))?;
        Ok((unnamed(snapshot, texts, 0)?, backup::last_seq(snapshot)?))
    })?;
    let (admin, erasure, noted) = (admin.clone(), erasure.clone(), controls.clone());
    app.store.write_as(Sharing::Alone, move |tx| {
        let unnamed = unnamed(tx, texts, looked_at)?;
        tx.remove_texts(&unnamed)?;
        forget_names(tx, &erasure)?;
        note(tx, &admin, &erasure, removed, &noted)
    })?;
    // What was removed stands in the WAL still.
    app.store.checkpoint()?;
    let Some(last) = controls.last() else { return Ok((removed, Vec::new())) };
    let checkpoint = app.checkpoints.covering(&app.store, leaf_of_number(*last) + 1)?;
    let certificates = app.store.read(|snapshot| {
        let proofs = controls.iter().map(|number| Proof::of(snapshot, LOGS, *number, &checkpoint));
        proofs.filter_map(Result::transpose).map(|proof| Ok(proof?.to_string())).collect::<Result<_>>()
    })?;
    Ok((removed, certificates))
}

/// Which of these texts no row of any log names whose number is above `after`.
fn unnamed(connection: &Connection, texts: Vec<i64>, after: i64) -> Result<Vec<i64>> {
    DOORS.iter().try_fold(texts, |texts, door| (door.unnamed)(connection, &texts, after))
}

/// How a log is erased from.
struct Door {
    log: Log,
    erasable: fn(&Connection, i64, &[i64]) -> Result<Erasable>,
    remove: fn(&mut Tx<'_>, Value, &[i64]) -> Result<usize>,
    /// Which texts no row names from a number on.
    unnamed: fn(&Connection, &[i64], i64) -> Result<Vec<i64>>,
}

static DOORS: [Door; 3] = [
    Door {
        log: Log::Enforcement,
        erasable: enforcement::sql::erasable,
        remove: enforcement::sql::remove,
        unnamed: enforcement::sql::unnamed,
    },
    Door {
        log: Log::Messages,
        erasable: messages::sql::erasable,
        remove: messages::sql::remove,
        unnamed: messages::sql::unnamed,
    },
    Door {
        log: Log::Activity,
        erasable: activity::sql::erasable,
        remove: activity::sql::remove,
        unnamed: activity::sql::unnamed,
    },
];

impl Door {
    fn of(log: &str) -> Option<usize> {
        let log = if log == messages::sql::FACTS.log { messages::sql::ROWS.log } else { log };
        DOORS.iter().position(|door| door.log.word() == log)
    }
}

/// Numbers of rows that hold an address, by the place of their door; and the first number that was not looked at.
struct Found {
    numbers: [Vec<i64>; DOORS.len()],
    end: i64,
}

impl Found {
    fn of_logs(&self) -> impl Iterator<Item = (&'static Door, &[i64])> {
        DOORS.iter().zip(&self.numbers).map(|(door, numbers)| (door, numbers.as_slice()))
    }
}

fn find(app: &App, address: &Address, from: i64) -> Result<Found> {
    let mut found = Found { numbers: Default::default(), end: from };
    let (mut names, mut record) = (Names::default(), Record::default());
    loop {
        let last = app.store.read(|snapshot| {
            let last = backup::last_seq(snapshot)?;
            let range = (found.end, last.min(found.end + READ_AT_ONCE - 1));
            rows::walk(snapshot, LOGS, range, |rows, number, row| {
                let Some(door) = Door::of(rows.log) else { return Ok(()) };
                let line = rows.describe(snapshot, (number, row), &mut names, &mut record)?;
                if address.is_in(&String::from_utf8_lossy(line)) {
                    found.numbers[door].push(number);
                }
                Ok(())
            })?;
            found.end = range.1 + 1;
            Ok(last)
        })?;
        if found.end > last {
            return Ok(found);
        }
    }
}

/// Removes what of a piece is this workspace's and on no hold: how many, how many are on hold, and the number of the
/// row of `control` that says so.
fn remove(
    app: &App,
    door: &'static Door,
    erasure: &Erasure,
    numbers: &[i64],
) -> Result<(i64, i64, Option<i64>)> {
    let (workspace, why, numbers) = (erasure.workspace, erasure.why.clone(), numbers.to_vec());
    app.store.disk().make_room();
    app.store.write_as(Sharing::Alone, move |tx| {
        let Erasable { free, n_on_hold } = (door.erasable)(tx, workspace, &numbers)?;
        if free.is_empty() {
            return Ok((0, n_on_hold, None));
        }
        let id = workspaces::id_of(tx, workspace)?;
        let why = json!({ "log": door.log.word(), "workspace": id, "erasure": why });
        let n = (door.remove)(tx, why, &free)?;
        Ok((n as i64, n_on_hold, Some(tx.last_number())))
    })
}

/// Whoever is there still would be recorded again.
fn must_be_gone(connection: &Connection, erasure: &Erasure) -> Result<()> {
    let Erasure { workspace, address: Address { text, .. }, .. } = erasure;
    let is_here = |what: String| Err(Error::conflict("address_in_use", format!("{what}: delete it first")));
    if let Some(mailbox) = mailboxes::find_by_address(connection, *workspace, text)? {
        return is_here(format!("the mailbox {} has this address", mailbox.id));
    }
    match users::members(connection, *workspace)?
        .into_iter()
        .find(|member| member.email.eq_ignore_ascii_case(text))
    {
        Some(member) => is_here(format!("the member {} has this address", member.user_id)),
        None => Ok(()),
    }
}

/// What is left once the rows are gone: names of deleted mailboxes and people, kept answers.
fn forget_names(tx: &Tx<'_>, Erasure { workspace, address, .. }: &Erasure) -> Result<()> {
    mailboxes::forget_address(tx, *workspace, &address.text)?;
    users::forget_email(tx, *workspace, &address.text)?;
    invitations::forget_email(tx, *workspace, &address.text)?;
    idempotency::erase(tx, *workspace, |text| address.is_in(text))?;
    Ok(())
}

fn note(tx: &mut Tx<'_>, admin: &Admin, erasure: &Erasure, removed: Removed, controls: &[i64]) -> Result<()> {
    let id = workspaces::id_of(tx, erasure.workspace)?;
    tx.note(Note {
        workspace: Some(erasure.workspace),
        project: None,
        by: admin.by.clone(),
        action: "person.erase",
        target_type: "workspace",
        target_id: id.map(|id| id.to_string()).unwrap_or_default(),
        metadata: json!({ "why": erasure.why, "removed": removed, "control": controls }),
    })
}

/// A mail address, to be looked for in texts.
#[derive(Debug, Clone)]
pub struct Address {
    pub text: String,
    /// In small letters, as it may stand in a line of JSON, and in JSON within that.
    spellings: Vec<String>,
}

impl Address {
    /// # Errors
    /// `Invalid` for what is no address: a word would erase too much.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let is_one =
            text.rsplit_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
        if !is_one || text.chars().any(char::is_control) || text.len() > 320 {
            let message = format!("{} is no mail address; accepted: as in ada@example.org", quoted(text));
            return Err(Error::invalid("address", message));
        }
        let plain = text.to_lowercase();
        let in_json = escaped(&plain);
        let within = escaped(&in_json);
        let mut spellings = vec![plain, in_json, within];
        spellings.dedup();
        Ok(Self { text: text.to_owned(), spellings })
    }

    /// Whether it stands in a text by itself: `ann@example.org` is not in `joann@example.org` nor in
    /// `ann@example.org.uk`.
    pub fn is_in(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        self.spellings.iter().any(|spelling| {
            text.match_indices(spelling.as_str()).any(|(at, _)| {
                let (before, after) = (&text[..at], &text[at + spelling.len()..]);
                !before.ends_with(is_of_local_part) && !goes_on(after)
            })
        })
    }
}

fn escaped(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted.trim_start_matches('"').strip_suffix('"').unwrap_or_default().to_owned()
}

/// RFC 5322 section 3.2.3, atext and the dot; and letters of any script (RFC 6532).
fn is_of_local_part(c: char) -> bool {
    c.is_alphanumeric() || "!#$%&*+-/=?^_`{|}~.".contains(c)
}

/// Whether a domain goes on: with a letter, a digit or a hyphen, or with a dot and one of them.
fn goes_on(after: &str) -> bool {
    let after = after.strip_prefix('.').unwrap_or(after);
    after.starts_with(|c: char| c.is_alphanumeric() || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_where_it_stands_by_itself() {
        let address = Address::parse(" Ann@Example.org ").expect("an address");
        for text in [
            "ann@example.org",
            "ANN@EXAMPLE.ORG",
            "<ann@example.org>",
            "to ann@example.org.",
            "\"ann@example.org\"",
            "mailto:ann@example.org?subject=x",
            "a@b, ann@example.org; c@d",
            "'ann@example.org'",
            "joann@example.org ann@example.org",
        ] {
            assert!(address.is_in(text), "{text}");
        }
        for text in [
            "joann@example.org",
            "jo.ann@example.org",
            "jo+ann@example.org",
            "ann@example.org.uk",
            "ann@example.organic",
            "ann@example.org-x",
            "ann+tag@example.org",
            "ann at example.org",
            "éann@example.org",
            "",
        ] {
            assert!(!address.is_in(text), "{text}");
        }
        let quoted = Address::parse("\"a b\"@example.org").expect("an address");
        for text in [
            r#""a b"@example.org"#,
            r#"{"x":"\"a b\"@example.org"}"#,
            r#"{"m":"{\"x\":\"\\\"a b\\\"@example.org\"}"}"#,
        ] {
            assert!(quoted.is_in(text), "{text}");
        }
        for text in [
            "",
            "ann",
            "@example.org",
            "ann@",
            "a\nb@example.org",
            &format!("{}@example.org", "a".repeat(320)),
        ] {
            assert!(Address::parse(text).is_err(), "{text:?}");
        }
    }
}
