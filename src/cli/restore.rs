//! `restore`: a backup takes the place of nothing, or of an older database, which is kept beside it.
//!
//! What was ended since the backup was made would live again: keys that were revoked, sessions, links of invitations. So
//! all of them are ended in the copy before it gets the database's name; whoever says `--keep-keys` keeps the keys. Who
//! was removed since, or has another password, only people can know.
//!
//! The copy is held against its tree, and who may come in against what the log says of them: a key or an account that
//! somebody put into the file is refused.
//!
//! # Dangers
//! Broken off after the database has its name, the trail does not say so yet, and the log goes by its old name: the
//! next start refuses it where there was a checkpoint, and `restore` can be run again.

use std::collections::HashMap;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use serde_json::{Value, json};

use super::Context;
use super::client::{must_be_file, who_asks};
use super::setup::take_lock;
use super::table::{card, cell};
use super::terminal::tell;
use crate::admin::appliance;
use crate::admin::vouching::{self, Unproved};
use crate::app::LOGS;
use crate::auth::keys::{self, LivingKey};
use crate::auth::{license, operator, sessions, sound};
use crate::error::{Error, Result};
use crate::ids::Uuid;
use crate::owners::{invitations, workspaces};
use crate::store::{By, Tx, backup as copies, idempotency, last_now, migrate};
use crate::time::{Clock, Timestamp};
use crate::{checkpoints, data_directory, privileges};

pub fn restore(context: &Context, file: &Path, dry_run: bool, keep_keys: bool) -> Result<()> {
    let data = &context.config.data;
    let source = open_backup(file)?;
    privileges::descend()?;
    let database = context.config.database();
    let is_new = !data.exists() && !dry_run;
    if is_new {
        data_directory::create(data)?;
    }
    let _lock = match data.exists() {
        false => None,
        true => {
            let lock = take_lock(&context.config, |data| {
                Error::usage(
                    format!("{} is being served; a live database is never replaced", data.display()),
                    "stop the server first",
                )
            })?;
            data_directory::remove_unfinished(data);
            Some(lock)
        }
    };
    // Whoever can change the file meanwhile changes nothing of what was looked at. To say only what would be done, no copy
    // is made where the file can be read as it is.
    let looked_at = (|| {
        let copied = match dry_run && std::fs::File::open(file).is_ok() {
            true => None,
            false => Some(Copied::of(source, &database)?),
        };
        let backup = examine(copied.as_ref().map_or(file, |copied| &copied.path), file)?;
        Ok::<_, Error>((copied, backup))
    })();
    if let (Err(_), true) = (&looked_at, is_new) {
        data_directory::remove_unused(data);
    }
    let (copied, mut backup) = looked_at?;
    let replaced = database.exists().then(|| examine(&database, &database)).transpose().map_err(|error| {
        Error::usage(
            format!("the database that is there cannot be compared with the backup: {error}"),
            format!("move it away first, with what begins with its name: {}", database.display()),
        )
    })?;
    if let Some(current) = &replaced
        && current.last_seq > backup.last_seq
    {
        return Err(Error::usage(
            format!(
                "the database in {} is newer (row {}) than the backup (row {})",
                data.display(),
                current.last_seq,
                backup.last_seq
            ),
            "move it away first if the backup is really to take its place",
        ));
    }
    let kept = replaced
        .is_some()
        .then(|| data.join(format!("mailtrail.db.replaced-{}", crate::ids::random_hex::<4>())));
    if keep_keys {
        backup.living.keys = Vec::new();
    }
    let ended = match copied {
        Some(copied) if !dry_run => {
            let ended = copies::change(&copied.path, |connection| Ended::end(connection, keep_keys))?;
            put_in_place(copied, &database, kept.as_deref())?;
            ended
        }
        _ => backup.living,
    };
    let shown = json!({
        "dry_run": dry_run, "from": file, "to": database, "schema_version": backup.version,
        "last_row": backup.last_seq, "rows": backup.rows, "kept": kept, "as_of": backup.as_of,
        "revoked_keys": ended.shown_keys(), "kept_keys": keep_keys, "ended_sessions": ended.sessions,
        "withdrawn_invitations": ended.invitations, "unproved": backup.unproved,
    });
    if !dry_run {
        let why = format!("{} was put in place", file.display());
        let metadata = json!({
            "file": file, "last_row": backup.last_seq, "as_of": backup.as_of, "revoked_keys": ended.keys.len(),
            "kept_keys": keep_keys, "ended_sessions": ended.sessions,
            "withdrawn_invitations": ended.invitations,
        });
        let name = operator::name_here(who_asks());
        let by = By { recorded_by: name.clone(), name, ..By::default() };
        let note = move |tx: &mut Tx<'_>| appliance::note_restored(tx, &by, &ended.keys, metadata);
        checkpoints::renew_with(&context.config, &why, false, note)?;
    }
    if !data.join(license::LICENSE).exists() {
        tell(&format!(
            "There is no license in {}: a backup holds no keys. Put issuer.key, issuer.pub and {} back too, or make \
             new ones with `mailtrail license issue`.",
            data.display(),
            license::LICENSE
        ));
    }
    if let Some(told) = backup.unproved.told() {
        tell(&told);
    }
    tell(&format!(
        "Accounts, roles and passwords are those of {}: look at `mailtrail user list` for who was removed since.",
        backup.as_of
    ));
    context.say(&shown, |shown| words(shown, dry_run))
}

fn words(shown: &Value, dry_run: bool) -> String {
    let verb = if dry_run { "Would put" } else { "Put" };
    let mut text = format!(
        "{verb} {} in place as {}\n{}",
        cell(&shown["from"]),
        cell(&shown["to"]),
        card(&shown["rows"])
    );
    if !shown["kept"].is_null() {
        text.push_str(&format!("The database that was there is kept as {}\n", cell(&shown["kept"])));
    }
    for key in shown["revoked_keys"].as_array().into_iter().flatten() {
        let verb = if dry_run { "would be revoked" } else { "is revoked" };
        let [name, hint, workspace] = ["name", "hint", "workspace_id"].map(|member| cell(&key[member]));
        text.push_str(&format!("key {name} ({hint}) of workspace {workspace} {verb}\n"));
    }
    text
}

/// The backup that is to be put in place, opened for reading as a file.
fn open_backup(file: &Path) -> Result<std::fs::File> {
    must_be_file(file)?;
    if copies::has_more_beside(file) {
        return Err(Error::usage(
            format!(
                "{} has a WAL or a journal beside it: it is no backup, but a database in use",
                file.display()
            ),
            "make one with `mailtrail backup`",
        ));
    }
    std::fs::File::open(file).map_err(|error| {
        Error::usage(format!("cannot read {}: {error}", file.display()), "name a readable file")
    })
}

/// A copy of a backup beside the database whose place it is to take; removed unless it does.
struct Copied {
    path: PathBuf,
}

impl Copied {
    fn of(mut source: std::fs::File, database: &Path) -> Result<Self> {
        let path = copies::partial_name(database)?;
        let failed = || Error::io(format!("cannot write {}", path.display()));
        let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let mut file = made.map_err(failed())?;
        let copied = std::io::copy(&mut source, &mut file).and_then(|_| file.sync_all());
        let copy = Self { path: path.clone() };
        copied.map_err(failed())?;
        Ok(copy)
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

struct Examined {
    version: i64,
    last_seq: i64,
    /// When something was written last.
    as_of: Timestamp,
    rows: Value,
    unproved: Unproved,
    /// What would be ended.
    living: Ended,
}

/// What is in a database that nobody serves. It is spoken of as of its `original`.
///
/// # Errors
/// `Mismatch` for a damaged one, and for one that lets somebody in whom its log does not know.
fn examine(path: &Path, original: &Path) -> Result<Examined> {
    let connection = copies::open_copy(path, original)?;
    let version = migrate::version(&connection, original)?;
    copies::examine(&connection, original, LOGS)?;
    sound::refuse(&connection, original)?;
    let n_rows = |table: &'static str| copies::count_rows(&connection, table);
    Ok(Examined {
        version,
        last_seq: copies::last_seq(&connection)?,
        as_of: last_now(&connection)?.truncated(),
        rows: json!({
            "enforcement": n_rows("enforcement_events")?, "messages": n_rows("messages")?,
            "activity": n_rows("activity")?,
        }),
        unproved: must_be_vouched_for(&connection, original)?,
        living: Ended::of(&connection, now(&connection)?)?,
    })
}

fn must_be_vouched_for(connection: &Connection, path: &Path) -> Result<Unproved> {
    let mut findings = Vec::new();
    let unproved = vouching::find_unvouched(connection, &mut |line| findings.push(line))?;
    match findings.as_slice() {
        [] => Ok(unproved),
        [first, others @ ..] => {
            let more = match others.len() {
                0 => String::new(),
                n => format!("; and {n} more, which `mailtrail check FILE` lists"),
            };
            Err(Error::Mismatch(format!("{} is not what was recorded: {first}{more}", path.display())))
        }
    }
}

/// What is ended because a backup takes its place.
struct Ended {
    keys: Vec<LivingKey>,
    /// The outer ids of their workspaces.
    workspaces: HashMap<i64, Uuid>,
    sessions: i64,
    invitations: i64,
}

impl Ended {
    /// What lives in a database of any version.
    fn of(connection: &Connection, at: Timestamp) -> Result<Self> {
        Ok(Self {
            keys: keys::living(connection, at)?,
            workspaces: workspaces::all_ids(connection)?.into_iter().collect(),
            sessions: sessions::count_living(connection)?,
            invitations: if has_invitations(connection)? { invitations::count(connection)? } else { 0 },
        })
    }

    /// Ends it.
    fn end(connection: &Connection, keep_keys: bool) -> Result<Self> {
        let at = now(connection)?;
        let mut ended = Self::of(connection, at)?;
        match keep_keys {
            true => ended.keys = Vec::new(),
            false => keys::revoke_all(connection, at)?,
        }
        sessions::end_everybodys(connection, at)?;
        idempotency::forget_all(connection)?;
        if has_invitations(connection)? {
            invitations::remove_all(connection)?;
        }
        Ok(ended)
    }

    fn shown_keys(&self) -> Value {
        let keys = self.keys.iter().map(|key| {
            let workspace = self.workspaces.get(&key.workspace);
            json!({ "id": key.id, "workspace_id": workspace, "name": key.name, "hint": key.hint })
        });
        keys.collect()
    }
}

fn has_invitations(connection: &Connection) -> Result<bool> {
    Ok(migrate::user_version(connection)? >= migrate::WITH_INVITATIONS)
}

/// Later than anything in it, and than anything that others have seen.
fn now(connection: &Connection) -> Result<Timestamp> {
    Ok(Clock::system().now().max(last_now(connection)?))
}

/// Move the old one away, rename: at any moment one whole database stands there or none.
fn put_in_place(copied: Copied, database: &Path, kept: Option<&Path>) -> Result<()> {
    let failed = |path: &Path| Error::io(format!("cannot write {}", path.display()));
    if let Some(kept) = kept {
        std::fs::rename(database, kept).map_err(failed(kept))?;
    }
    // A WAL belongs to the database that was here, also when that was moved away by hand: SQLite would play it into
    // the backup and break it.
    let stays = kept.map_or_else(|| copied.path.with_extension("replaced"), Path::to_owned);
    for suffix in ["-wal", "-shm"] {
        let with = |path: &Path| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        if with(database).exists() {
            std::fs::rename(with(database), with(&stays)).map_err(failed(&stays))?;
        }
    }
    std::fs::rename(&copied.path, database).map_err(failed(database))?;
    copies::sync_directory(database)
}
