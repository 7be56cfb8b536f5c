//! Erasure: everything that was recorded of a person is removed from the logs of a workspace, at that person's wish.
//!
//! A row is of a person when their address stands by itself in it (`address`): in any text, or any text in its JSON, but
//! the ids of messages and threads, which only look like addresses. Each removal is a row of `control` with how many went
//! and why, and nothing of whom; its proof is the certificate. What is left of an erased row is a hash over 128 random
//! bits that went with it.
//!
//! What callers did here, as mailtrail itself noted it, stays (GDPR Art. 17(3)(b), (e)): an admin who could have it
//! erased could do anything. Only failed logins of accounts that are not known go. The answer says what stayed, and what
//! was not reached: policies, names, backups, the copy of an upgrade, and what was too much to be read in every way.
//!
//! # Who, before the first row goes
//! An activity says who erases and why, then rows go, then another says how many. Broken off in between, the next start
//! says so, and how far it had come: the rows of `control` tell. That one is under way a row of `jobs` says too, which
//! anybody may write who writes the file: who, why and where is the activity's word alone. It stops between two pieces when the process is to end;
//! that the caller went away does not matter to it.
//!
//! # Bounds
//! - The whole log is read, a few seconds for a million rows; writes go on meanwhile. What is recorded of the person
//!   during it is found by a second look, but somebody who goes on recording them will have to erase again.
//! - Only rows of the workspace are looked at, and the texts that they name; of others' rows it takes the reading. A text
//!   costs so many times its bytes at most, however it is wrapped (`readings`), and is looked at once, however many rows
//!   name it, for as long as those that say anything are no more than `MOST_SEEN`.
//! - An erasure looks once at every other text too, whosever it is: one that nobody names any more goes if it holds the
//!   address. What is in it is not told.
//! - A snapshot lasts for a piece, of so many rows or bytes. Between two pieces a dry run ends whose caller went away.
//! - In memory are numbers of rows of a piece; of texts, a bit each and what was seen in `MOST_SEEN` of them; and, in a dry
//!   run, a bit for each fact that goes with its entry.
//! - A legal hold goes first: what it keeps stays, and the answer says how much.
//! - So many longer words that hold the address are told (`address::Longer`), so many kinds of rows and certificates; the
//!   answer says how much is left out.
//! - Not reached are what others have fetched, and the log of the process.

pub mod address;
mod readings;

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde::Serialize;
use serde_json::{Value, json};

use crate::app::{App, LOGS};
use crate::auth::{Admin, license};
use crate::error::{Error, Result};
use crate::owners::{self, Named, invitations, mailboxes, users, workspaces};
use crate::store::counts::{Log, PerLog};
use crate::store::{
    By, Erasable, Kinds, Note, Sharing, Snapshot, Tx, UnderWay, Whole, backup, idempotency, jobs, texts,
};
use crate::tlog::proof::Proof;
use crate::tlog::rows::{self, Column};
use crate::tlog::{controls, leaf_of_number};
use crate::{activity, enforcement, messages};
use address::{Address, Longer, Seen};

/// Numbers and bytes looked at in one snapshot, and rows removed in one transaction.
const READ_AT_ONCE: i64 = 20_000;
const BYTES_AT_ONCE: usize = 4 << 20;
const REMOVED_AT_ONCE: usize = 1000;
/// Texts that are asked for at once whether a row names them: that looks through all rows.
const TEXTS_AT_ONCE: usize = 50_000;
/// Texts that hold something like the address of which is remembered what.
const MOST_SEEN: usize = 1 << 18;
/// Looks at the log: the last ones for what was recorded during those before.
const MOST_LOOKS: usize = 3;
/// Numbers of rows of `control` that an activity names.
const MOST_CONTROLS: usize = 1000;
/// Certificates in an answer. Each is a few kilobytes, and can be had later.
const MOST_CERTIFICATES: usize = 1000;
/// Actions, outcomes or kinds of a log that are told by themselves, and where the others are counted.
const MOST_KINDS: usize = 1000;
const OTHER_KINDS: &str = "…";

/// The row of `jobs` that says that one has begun, and the action that the log says it with.
pub const JOB: &str = "erasure";
pub const ACTION: &str = "person.erase";

/// Whom to erase, and why.
#[derive(Debug, Clone)]
pub struct Erasure {
    pub workspace: i64,
    pub address: Address,
    /// For whoever reads the log later; it does not name the person.
    pub why: String,
}

/// How many rows.
#[derive(Debug, Default, Clone, Copy, Serialize)]
pub struct Removed {
    #[serde(flatten)]
    pub rows: PerLog,
    /// Of all logs: kept by a legal hold.
    pub on_hold: i64,
}

/// What went, or would, and what stays.
#[derive(Debug, Default, Serialize)]
pub struct Outcome {
    pub removed: Removed,
    /// By log, then by action, outcome or kind of a fact.
    pub removed_of: BTreeMap<&'static str, BTreeMap<String, i64>>,
    /// Addresses that the given one is a part of, for a person to decide.
    pub longer_words: Vec<LongerWord>,
    /// Rows that hold one which was one too many to be told.
    pub longer_words_left_out: i64,
    pub not_reached: NotReached,
    /// Proofs of the rows of `control` that say so.
    pub certificates: Vec<String>,
    /// How many there are besides.
    pub certificates_left_out: usize,
}

#[derive(Debug, Serialize)]
pub struct LongerWord {
    pub word: String,
    /// How many of the workspace's rows hold it, and not the address itself.
    pub rows: i64,
}

/// What an erasure leaves as it is.
#[derive(Debug, Default, Serialize)]
pub struct NotReached {
    /// What callers did here, as it was noted, where the address stands in it.
    pub own_acts: i64,
    /// Policy documents that name it, also those that are no longer in force.
    pub policies: i64,
    /// Rows of `control`, for what was once given as a reason.
    pub control: i64,
    /// Rows, policies, names and rows of `control` with a text that was too much to be read in every way.
    pub unread: i64,
    pub names: Vec<Named>,
    /// Files that may hold it: backups in their directories, and what upgrades left.
    pub backups: usize,
    pub upgrade_copies: usize,
}

/// What would be removed.
///
/// # Errors
/// `Unavailable` once it `is_over`, since nobody waits for it.
pub fn dry_run(
    app: &App,
    erasure: &Erasure,
    is_over: impl Fn() -> bool + Send + Sync + 'static,
) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let reading = Reading::begin(app, is_over)?;
    let mut search = Search::new(&reading, erasure);
    // Facts that go with their entry: those that name the person themselves come again.
    let mut counted = Numbers::default();
    search.look(1, |door, piece| {
        reading.read(|snapshot| {
            let piece: Vec<i64> = piece.iter().copied().filter(|number| !counted.holds(*number)).collect();
            let erasable = (door.erasable)(snapshot, erasure.workspace, &piece)?;
            let kinds = (door.kinds)(snapshot, &erasable.free)?;
            outcome.add(door, &erasable, kinds);
            let with_others = erasable.free.iter().filter(|number| piece.binary_search(number).is_err());
            with_others.for_each(|number| counted.insert(*number));
            Ok(())
        })
    })?;
    search.tell(&mut outcome);
    look_around(&reading, erasure, &mut outcome)?;
    Ok(outcome)
}

/// Removes them.
///
/// # Errors
/// `Conflict` while a mailbox or a person of the workspace has the address: they go first. `Unavailable` when the process
/// ends meanwhile.
pub fn run(app: &App, admin: &Admin, erasure: &Erasure) -> Result<Outcome> {
    let stopping = Arc::clone(&app.stopping);
    let reading = Reading::begin(app, move || stopping.load(Ordering::Relaxed))?;
    note_broken_off(app)?;
    app.store.read(|snapshot| must_be_gone(snapshot, erasure))?;
    let (begun, by) = (erasure.clone(), admin.by.clone());
    app.store.write(move |tx| {
        note(tx, &by, &begun, "begun", json!({}))?;
        jobs::begin(tx, JOB, &Value::Null)
    })?;
    remove_all(&reading, admin, erasure).inspect_err(|_| {
        if let Err(error) = note_broken_off(app) {
            log::error!("an erasure was broken off, which the next start will note: {error}");
        }
    })
}

fn remove_all(reading: &Reading<'_>, admin: &Admin, erasure: &Erasure) -> Result<Outcome> {
    let app = reading.app;
    app.checkpoints.seal_before_removal(&app.store)?;
    let (mut outcome, mut controls, mut first) = (Outcome::default(), Vec::new(), 1);
    let mut search = Search::new(reading, erasure);
    for _ in 0..MOST_LOOKS {
        let n_before = outcome.removed.rows.total();
        let last = search.look(first, |door, piece| {
            let (erasable, kinds, control) = remove(app, door, erasure, piece)?;
            outcome.add(door, &erasable, kinds);
            controls.extend(control);
            Ok(())
        })?;
        first = last + 1;
        if outcome.removed.rows.total() == n_before {
            break;
        }
    }
    search.tell(&mut outcome);
    search.remove_texts()?;
    let ended = erasure.clone();
    app.store.write_as(Sharing::Alone, move |tx| forget_names(tx, &ended))?;
    // What was removed stands in the WAL still, and in pages that it once stood in.
    app.store.scrub(|| reading.must_go_on())?;
    let (removed, noted) = (outcome.removed, controls.clone());
    let (ended, by) = (erasure.clone(), admin.by.clone());
    app.store.write(move |tx| {
        let started_at = jobs::unfinished(tx, JOB)?.map_or(tx.now, |(at, _)| at);
        jobs::note(tx, JOB, started_at, &json!({ "removed": removed }))?;
        note(tx, &by, &ended, "done", totals(&removed, &noted))
    })?;
    look_around(reading, erasure, &mut outcome)?;
    let Some(last) = controls.last() else { return Ok(outcome) };
    let checkpoint = app.checkpoints.covering(&app.store, leaf_of_number(*last) + 1)?;
    outcome.certificates_left_out = controls.len().saturating_sub(MOST_CERTIFICATES);
    outcome.certificates = reading.read(|snapshot| {
        let proofs = controls
            .iter()
            .take(MOST_CERTIFICATES)
            .map(|number| Proof::of(snapshot, LOGS, *number, &checkpoint));
        proofs.filter_map(Result::transpose).map(|proof| Ok(proof?.to_string())).collect::<Result<_>>()
    })?;
    Ok(outcome)
}

/// Notes an erasure that began and has not ended, with how far it came: after a crash, at the next start.
pub fn note_broken_off(app: &App) -> Result<()> {
    if app.store.read(|snapshot| jobs::unfinished(snapshot, JOB))?.is_none() {
        return Ok(());
    }
    app.store.write(|tx| {
        let Some((started_at, _)) = jobs::unfinished(tx, JOB)? else { return Ok(()) };
        let Some(begun) = activity::sql::under_way(tx, ACTION)? else {
            return jobs::note_unknown(tx, JOB, started_at);
        };
        let (mut removed, mut numbers) = (Removed::default(), Vec::new());
        for (number, body) in controls::removals_since(tx, begun.seq)? {
            // Retention may have removed rows meanwhile.
            let door = DOORS.iter().find(|door| body["log"] == door.log.word());
            if let Some(door) = door.filter(|_| body["erasure"] == begun.metadata["why"]) {
                removed.rows.add(door.log, body["n"].as_i64().unwrap_or(0));
                numbers.push(number);
            }
        }
        let mut metadata = totals(&removed, &numbers);
        metadata["begun_by"] = json!(activity::sql::recorder(tx, begun.seq)?);
        metadata["begun_at"] = json!(started_at);
        jobs::note(tx, JOB, started_at, &json!({ "error": "broken off", "removed": removed }))?;
        let why = begun.metadata["why"].as_str().unwrap_or_default();
        note_of(tx, &By::system("erasure"), (begun.workspace, why), "broken off", metadata)
    })
}

/// How a log is erased from.
struct Door {
    log: Log,
    erasable: fn(&Connection, i64, &[i64]) -> Result<Erasable>,
    /// How many of some rows are of which action, outcome or kind.
    kinds: fn(&Connection, &[i64]) -> Result<Kinds>,
    remove: fn(&mut Tx<'_>, Value, &[i64]) -> Result<usize>,
    /// Which texts no row names from a number on.
    unnamed: fn(&Connection, &[i64], i64) -> Result<Vec<i64>>,
}

static DOORS: [Door; 3] = [
    Door {
        log: Log::Enforcement,
        erasable: enforcement::sql::erasable,
        kinds: enforcement::sql::kinds,
        remove: enforcement::sql::remove,
        unnamed: enforcement::sql::unnamed,
    },
    Door {
        log: Log::Messages,
        erasable: messages::sql::erasable,
        kinds: messages::sql::kinds,
        remove: messages::sql::remove,
        unnamed: messages::sql::unnamed,
    },
    Door {
        log: Log::Activity,
        erasable: activity::sql::erasable,
        kinds: activity::sql::kinds,
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

/// Columns that look like addresses and are none: the ids of messages and threads.
const IDS: [&str; 2] = ["message_id", "thread_id"];

/// What reads, one at a time: of two at once one would look for texts by numbers that the other gives away.
struct Reading<'a> {
    app: &'a App,
    under_way: UnderWay<'a>,
    is_over: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl<'a> Reading<'a> {
    /// It ends when it `is_over`: a dry run when its caller went away, which does not matter to an erasure.
    ///
    /// # Errors
    /// `Conflict` while another erasure is under way.
    fn begin(app: &'a App, is_over: impl Fn() -> bool + Send + Sync + 'static) -> Result<Self> {
        Ok(Self { app, under_way: app.store.begin_whole(Whole::Erasure)?, is_over: Arc::new(is_over) })
    }

    /// On a connection of its own.
    fn read<T>(&self, query: impl FnOnce(&Snapshot<'_>) -> Result<T>) -> Result<T> {
        let is_over = Arc::clone(&self.is_over);
        self.app.store.read_under_way(&self.under_way, move || is_over(), query)
    }

    /// Between two pieces.
    fn must_go_on(&self) -> Result<()> {
        if !(self.is_over)() {
            return Ok(());
        }
        let message = match self.app.stopping.load(Ordering::Relaxed) {
            true => {
                "mailtrail is stopping; the erasure was broken off, and goes on when it is asked for again"
            }
            false => "it was broken off: nobody waits for the answer",
        };
        Err(Error::Unavailable { retry_after: 60, message: message.into() })
    }
}

/// A set of numbers that are close to one another: a bit each.
#[derive(Default)]
struct Numbers(HashMap<i64, u64>);

impl Numbers {
    fn insert(&mut self, number: i64) {
        *self.0.entry(number >> 6).or_default() |= 1 << (number & 63);
    }

    fn holds(&self, number: i64) -> bool {
        self.0.get(&(number >> 6)).is_some_and(|bits| bits >> (number & 63) & 1 == 1)
    }
}

/// Looks at the log for the rows of one workspace that hold the address.
struct Search<'e> {
    reading: &'e Reading<'e>,
    erasure: &'e Erasure,
    longer: Longer,
    /// Rows in which the address was not found, and which were too much to be read in every way.
    n_unread: i64,
    /// What was seen in texts, and those in which nothing was. A text keeps its number until `remove_texts`.
    seen: HashMap<i64, Seen>,
    plain: Numbers,
    /// Whose mailboxes are.
    workspaces: HashMap<i64, Option<i64>>,
}

impl<'e> Search<'e> {
    fn new(reading: &'e Reading<'e>, erasure: &'e Erasure) -> Self {
        Self {
            reading,
            erasure,
            longer: Longer::default(),
            n_unread: 0,
            seen: HashMap::new(),
            plain: Numbers::default(),
            workspaces: HashMap::new(),
        }
    }

    /// Hands out the rows that hold the address, up to so many of one log at once, from a number on to the last that there
    /// is when it begins; says which that was.
    ///
    /// # Errors
    /// `Unavailable` when the process is to end, or a dry run.
    fn look(&mut self, first: i64, mut take: impl FnMut(&'static Door, &[i64]) -> Result<()>) -> Result<i64> {
        let reading = self.reading;
        let last = reading.read(|snapshot| backup::last_seq(snapshot))?;
        let mut pending: [Vec<i64>; DOORS.len()] = Default::default();
        let mut from = first;
        while from <= last {
            reading.must_go_on()?;
            let to = last.min(from + READ_AT_ONCE - 1);
            from = reading.read(|snapshot| self.find(snapshot, (from, to), &mut pending))?;
            for (door, numbers) in DOORS.iter().zip(&mut pending) {
                while numbers.len() >= REMOVED_AT_ONCE {
                    reading.must_go_on()?;
                    let rest = numbers.split_off(REMOVED_AT_ONCE);
                    take(door, &std::mem::replace(numbers, rest))?;
                }
            }
        }
        for (door, numbers) in DOORS.iter().zip(pending) {
            if !numbers.is_empty() {
                reading.must_go_on()?;
                take(door, &numbers)?;
            }
        }
        Ok(last)
    }

    /// Looks at one piece; says where the next one begins.
    fn find(
        &mut self,
        snapshot: &Snapshot<'_>,
        (from, to): (i64, i64),
        pending: &mut [Vec<i64>; DOORS.len()],
    ) -> Result<i64> {
        let (mut next, mut room) = (to + 1, BYTES_AT_ONCE);
        rows::walk_while(snapshot, LOGS, (from, to), |rows, number, row| {
            let Some(door) = Door::of(rows.log) else { return Ok(true) };
            let is_meant = self.workspace_of(snapshot, rows, row)? == Some(self.erasure.workspace);
            let (mut seen, mut is_id) = (Seen::default(), false);
            rows.each(row, |column, value| {
                match (column, value) {
                    (Column::Word("kind", _), ValueRef::Integer(kind)) => {
                        is_id = kind == messages::Kind::Thread as i64;
                    }
                    (Column::Value(name), ValueRef::Text(text)) => {
                        room = room.saturating_sub(text.len());
                        if is_meant && !is_id && !IDS.contains(name) {
                            let text = String::from_utf8_lossy(text);
                            seen.add(self.erasure.address.find(&text, &mut self.longer));
                        }
                    }
                    (Column::Text(..), ValueRef::Integer(text)) if is_meant => {
                        seen.add(self.text(snapshot, text, &mut room)?);
                    }
                    _ => {}
                }
                Ok(())
            })?;
            if seen.is_in {
                pending[door].push(number);
            } else {
                self.longer.count(seen);
                self.n_unread += i64::from(seen.is_unread);
            }
            if room == 0 {
                next = number + 1;
            }
            Ok(room > 0)
        })?;
        Ok(next)
    }

    fn workspace_of(
        &mut self,
        snapshot: &Snapshot<'_>,
        rows: &rows::Rows,
        row: &rusqlite::Row<'_>,
    ) -> Result<Option<i64>> {
        if rows.log != messages::sql::FACTS.log {
            return Ok(row.get("workspace")?);
        }
        let mailbox: i64 = row.get("mailbox")?;
        if let Some(workspace) = self.workspaces.get(&mailbox) {
            return Ok(*workspace);
        }
        let workspace = mailboxes::find_anywhere(snapshot, mailbox)?.map(|mailbox| mailbox.workspace);
        self.workspaces.insert(mailbox, workspace);
        Ok(workspace)
    }

    /// What a text holds that has a number.
    fn text(&mut self, snapshot: &Snapshot<'_>, number: i64, room: &mut usize) -> Result<Seen> {
        if let Some(seen) = self.known(number) {
            return Ok(seen);
        }
        let text = texts::of(snapshot, number)?.unwrap_or_default();
        *room = room.saturating_sub(text.len());
        let seen = self.erasure.address.find(&text, &mut self.longer);
        if seen.is_nothing() {
            self.plain.insert(number);
            return Ok(seen);
        }
        if self.seen.len() == MOST_SEEN {
            self.seen.clear();
        }
        self.seen.insert(number, seen);
        Ok(seen)
    }

    fn known(&self, number: i64) -> Option<Seen> {
        if self.plain.holds(number) { Some(Seen::default()) } else { self.seen.get(&number).copied() }
    }

    /// What it saw besides the rows.
    fn tell(&self, outcome: &mut Outcome) {
        let words = self.longer.words().map(|(word, rows)| LongerWord { word: word.to_owned(), rows });
        outcome.longer_words = words.collect();
        outcome.longer_words_left_out = self.longer.n_rows_left_out;
        outcome.not_reached.unread = self.n_unread;
    }

    /// Removes the texts that hold the address and that no row names any more; last, for others may get their numbers.
    fn remove_texts(&self) -> Result<()> {
        let (reading, address) = (self.reading, &self.erasure.address);
        let (mut after, mut found) = (0, Vec::new());
        loop {
            reading.must_go_on()?;
            let is_through = reading.read(|snapshot| {
                let (mut goes_on, mut room) = (true, BYTES_AT_ONCE);
                texts::each(snapshot, after, |number, text| {
                    after = number;
                    room = room.saturating_sub(text.len());
                    if self.known(number).map_or_else(|| address.is_in(text), |seen| seen.is_in) {
                        found.push(number);
                    }
                    goes_on = room > 0 && found.len() < TEXTS_AT_ONCE;
                    goes_on
                })?;
                Ok(goes_on)
            })?;
            if !found.is_empty() && (is_through || found.len() == TEXTS_AT_ONCE) {
                let found = std::mem::take(&mut found);
                // No row names them up to this number; in the write only the rest has to be looked at.
                let (found, looked_at) = reading
                    .read(|snapshot| Ok((unnamed(snapshot, found, 0)?, backup::last_seq(snapshot)?)))?;
                reading.app.store.write_as(Sharing::Alone, move |tx| {
                    let unnamed = unnamed(tx, found, looked_at)?;
                    tx.remove_texts(&unnamed)
                })?;
            }
            if is_through {
                return Ok(());
            }
        }
    }
}

impl Outcome {
    fn add(&mut self, door: &Door, erasable: &Erasable, kinds: Kinds) {
        self.removed.on_hold += erasable.n_on_hold;
        self.not_reached.own_acts += erasable.n_own_acts;
        self.removed.rows.add(door.log, erasable.free.len() as i64);
        for (kind, n) in kinds {
            let of = self.removed_of.entry(door.log.word()).or_default();
            let has_room = of.len() < MOST_KINDS || of.contains_key(&kind);
            *of.entry(if has_room { kind } else { OTHER_KINDS.to_owned() }).or_default() += n;
        }
    }
}

/// Removes what of a piece is this workspace's and may go: what that was, and the number of the row of `control` that
/// says so.
fn remove(
    app: &App,
    door: &'static Door,
    erasure: &Erasure,
    numbers: &[i64],
) -> Result<(Erasable, Kinds, Option<i64>)> {
    let (workspace, why, numbers) = (erasure.workspace, erasure.why.clone(), numbers.to_vec());
    app.store.disk().make_room();
    app.store.write_as(Sharing::Alone, move |tx| {
        let erasable = (door.erasable)(tx, workspace, &numbers)?;
        if erasable.free.is_empty() {
            return Ok((erasable, Vec::new(), None));
        }
        let kinds = (door.kinds)(tx, &erasable.free)?;
        let id = workspaces::id_of(tx, workspace)?;
        let why = json!({ "log": door.log.word(), "workspace": id, "erasure": why });
        (door.remove)(tx, why, &erasable.free)?;
        Ok((erasable, kinds, Some(tx.last_number())))
    })
}

/// Whoever is there still would be recorded again.
fn must_be_gone(connection: &Connection, erasure: &Erasure) -> Result<()> {
    let is_here = |what: String| Err(Error::conflict("address_in_use", format!("{what}: delete it first")));
    let mailboxes = mailboxes::addresses(connection, erasure.workspace)?;
    if let Some((id, _)) = mailboxes.into_iter().find(|(_, address)| erasure.address.is(address)) {
        return is_here(format!("the mailbox {id} has this address"));
    }
    let mut after = 0;
    loop {
        let members = users::members(connection, erasure.workspace, after, 256)?;
        if let Some(member) = members.iter().find(|member| erasure.address.is(&member.email)) {
            return is_here(format!("the member {} has this address", member.user_id));
        }
        match members.last() {
            Some(last) => after = last.key,
            None => return Ok(()),
        }
    }
}

/// Which of these texts no row of any log names whose number is above `after`.
fn unnamed(connection: &Connection, texts: Vec<i64>, after: i64) -> Result<Vec<i64>> {
    let still = |texts: Vec<i64>, door: &Door| match texts.is_empty() {
        true => Ok(texts),
        false => (door.unnamed)(connection, &texts, after),
    };
    DOORS.iter().try_fold(texts, still)
}

/// What is left once the rows are gone: names of deleted mailboxes and people, invitations, kept answers.
fn forget_names(tx: &Tx<'_>, Erasure { workspace, address, .. }: &Erasure) -> Result<()> {
    mailboxes::forget(tx, *workspace, |text| address.is_in(text))?;
    users::forget(tx, *workspace, |text| address.is_in(text))?;
    invitations::erase(tx, *workspace, |text| address.is_in(text))?;
    idempotency::erase(tx, *workspace, |text| address.is_in(text))?;
    Ok(())
}

/// What is not reached.
fn look_around(reading: &Reading<'_>, erasure: &Erasure, outcome: &mut Outcome) -> Result<()> {
    let Erasure { workspace, address, .. } = erasure;
    let n_unread = Cell::new(0);
    let is_meant = |text: &str| {
        let seen = address.find(text, &mut Longer::default());
        n_unread.set(n_unread.get() + i64::from(seen.is_unread));
        seen.is_in
    };
    reading.read(|snapshot| {
        let left = &mut outcome.not_reached;
        left.policies = mailboxes::count_policies(snapshot, *workspace, is_meant)?;
        left.control = controls::count(snapshot, is_meant)?;
        left.names = owners::names(snapshot, *workspace)?;
        for (_, license) in license::page(snapshot, 0, i64::MAX)? {
            left.names.push(Named {
                what: "license".into(),
                id: license.id.to_string(),
                name: license.holder,
            });
        }
        left.names.retain(|named| is_meant(&named.name));
        left.unread += n_unread.get();
        Ok(())
    })?;
    let config = &reading.app.config;
    let data = &config.data;
    let is_database = |name: &str| name.ends_with(".db") && !name.starts_with('.');
    let own = data.join("backups");
    let scheduled = config.backups.as_ref().map(|backups| backups.directory.as_path());
    let scheduled = scheduled.filter(|directory| *directory != own);
    outcome.not_reached.backups =
        [Some(own.as_path()), scheduled].into_iter().flatten().map(|path| n_files(path, is_database)).sum();
    let database = config.database();
    let upgraded = format!("{}.v", database.file_name().and_then(OsStr::to_str).unwrap_or_default());
    outcome.not_reached.upgrade_copies = n_files(data, |name| name.starts_with(&upgraded));
    Ok(())
}

/// How many files of a directory are meant; none where there is no such directory.
fn n_files(directory: &Path, is_meant: impl Fn(&str) -> bool) -> usize {
    let Ok(entries) = directory.read_dir() else { return 0 };
    entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(&is_meant)).count()
}

/// What an activity says of the rows that went.
fn totals(removed: &Removed, controls: &[i64]) -> Value {
    let named = &controls[..controls.len().min(MOST_CONTROLS)];
    json!({ "removed": removed, "control": named, "n_controls": controls.len() })
}

fn note(tx: &mut Tx<'_>, by: &By, erasure: &Erasure, state: &str, metadata: Value) -> Result<()> {
    note_of(tx, by, (erasure.workspace, &erasure.why), state, metadata)
}

fn note_of(
    tx: &mut Tx<'_>,
    by: &By,
    (workspace, why): (i64, &str),
    state: &str,
    mut metadata: Value,
) -> Result<()> {
    let id = workspaces::id_of(tx, workspace)?;
    metadata["why"] = why.into();
    metadata["state"] = state.into();
    tx.note(Note {
        workspace: Some(workspace),
        project: None,
        by: by.clone(),
        action: ACTION,
        target_type: "workspace",
        target_id: id.map(|id| id.to_string()).unwrap_or_default(),
        metadata,
    })
}
