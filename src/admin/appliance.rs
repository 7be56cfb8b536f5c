//! What concerns the appliance as a whole: licenses, retention, backups, checks, the clock, figures.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use super::vouching;
use crate::app::{App, Days, LOGS};
use crate::auth::keys::LivingKey;
use crate::auth::license::{self, License};
use crate::auth::sound;
use crate::auth::{Admin, FIRST_WORKSPACE, keys, sessions, sources};
use crate::error::{Error, Result};
use crate::export::{Owner, Owners};
use crate::http::json::{self, Fields};
use crate::http::{Body, Request, Response};
use crate::ids::Uuid;
use crate::jobs::{backups, retention};
use crate::mask::quoted;
use crate::owners::{invitations, mailboxes};
use crate::store::counts::Recount;
use crate::store::{
    By, Note, Sharing, Tx, Whole, backup, clock_steps, counts, idempotency, jobs, schema, settings,
};
use crate::time::SECOND;
use crate::{activity, enforcement, messages};

fn appliance_note(admin: &Admin, action: &'static str, target_id: String, metadata: Value) -> Note {
    super::note(admin, FIRST_WORKSPACE, action, ("appliance", target_id), metadata)
}

pub fn list_licenses(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&Owners::PARAMETERS)?;
    admin.must_run_the_appliance()?;
    let now = app.clock.now();
    let state = match &app.license() {
        Ok(license) => {
            json!({ "id": license.id, "holder": license.holder, "expires_at": license.expires_at })
        }
        Err(why) => json!({ "error": why.to_string() }),
    };
    app.store.read_list(admin.standing.asker, |snapshot| {
        let owners = Owners::parse(&request.query, |text| match Uuid::parse(text) {
            Some(id) => license::number_of(snapshot, id),
            None => Ok(None),
        })?;
        let tail = format!(r#","count":{},"in_force":{state}"#, license::count(snapshot)?);
        owners.answer(
            &admin.standing,
            snapshot,
            (r#"{"licenses":["#, tail),
            move |connection, after, limit| {
                let page = license::page(connection, after, limit)?.into_iter();
                let owner = |(key, license): (i64, License)| Owner {
                    key,
                    id: json!(license.id),
                    shown: license::show(&license, now),
                };
                Ok(page.map(owner).collect())
            },
        )
    })
}

/// `{holder, plan?, expires_at?}` → the license with its `license_key`. When none is in force and none is
/// configured, the new one is put into the data directory and holds at once.
pub fn post_license(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    admin.must_run_the_appliance()?;
    let mut fields = Fields::of(json::body(request)?, "")?;
    let holder = fields.name("holder")?;
    let holder = fields.required("holder", holder)?;
    let plan = fields.text("plan", 40)?.unwrap_or_else(|| "pro".into());
    let expires_at = fields.timestamp("expires_at")?;
    let now = app.clock.now();
    if let Some(end) = expires_at.filter(|end| *end <= now) {
        return Err(fields.refuse("expires_at", format!("{end} is over already")));
    }
    fields.done()?;
    let issued_at = now.truncated();
    let license = License { id: Uuid::at(now), holder, plan, issued_at, expires_at };
    let text = license.sign(&license::issuer(&app.config.data)?);
    let will_install = app.license().is_err() && app.config.license_key.is_none();
    let (note_admin, issued) = (admin.clone(), text.clone());
    let answer = app.record_secret(FIRST_WORKSPACE, request, move |tx| {
        license::record(tx, &license)?;
        let metadata =
            json!({ "holder": license.holder, "plan": license.plan, "expires_at": license.expires_at });
        tx.note(appliance_note(&note_admin, "license.issue", license.id.to_string(), metadata))?;
        let mut shown = license::show(&license, now);
        shown["license_key"] = issued.into();
        shown["installed"] = will_install.into();
        Ok((Response::json(201, &shown)?, format!("the license {}", license.id)))
    })?;
    if will_install {
        license::install(&app.config.data, &text)?;
        app.load_license()?;
    }
    Ok(answer)
}

/// What is kept how long, and the last runs.
pub fn show_retention(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    admin.must_run_the_appliance()?;
    let runs = app.store.read(|snapshot| jobs::list(snapshot))?;
    let last = runs.into_iter().find(|run| run.name == "retention");
    Response::json(200, &json!({ "days": app.days(), "last_run": last }))
}

/// `{enforcement?, messages?, activity?}`, each a number of days, `"forever"`, or `null` for what the configuration says.
/// It holds at once, and beats the configuration until it is `null` again.
pub fn patch_retention(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    admin.must_run_the_appliance()?;
    let mut fields = Fields::of(json::body(request)?, "")?;
    let mut changes = Vec::new();
    for log in Days::LOGS {
        if !fields.names(log) {
            continue;
        }
        let days = match &fields.any(log).unwrap_or_default() {
            Value::Null => None,
            Value::String(text) if text == "forever" => Some(None),
            given => match json::whole(given).filter(|days| (1..=36_500).contains(days)) {
                Some(days) => Some(Some(days)),
                None => {
                    let given = quoted(&given.to_string());
                    let message =
                        format!("{given} is not acceptable; accepted: 1 to 36500, \"forever\" or null");
                    return Err(fields.refuse(log, message));
                }
            },
        };
        changes.push((log, days));
    }
    fields.done()?;
    let (admin, config) = (admin.clone(), Arc::clone(&app.config));
    let answer = app.record(FIRST_WORKSPACE, request, move |tx| {
        let before = Days::in_force(tx, &config)?;
        let mut is_change = false;
        for (log, days) in &changes {
            is_change |= settings::days(tx, log)? != *days;
            settings::set_days(tx, log, *days)?;
        }
        let after = Days::in_force(tx, &config)?;
        if before != after {
            tx.record_setting(json!({ "days": after }))?;
        }
        // Also when it is what the configuration says today.
        if is_change {
            let metadata = json!({ "before": before, "after": after });
            tx.note(appliance_note(&admin, "retention.update", String::new(), metadata))?;
        }
        Response::json(200, &json!({ "days": after }))
    });
    app.load_days()?;
    answer
}

/// The settings in force, and where each value came from; a secret shows only that there is one.
pub fn show_config(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    admin.must_run_the_appliance()?;
    let shown = app.config.shown().into_iter();
    let shown =
        shown.map(|given| (given.key.to_owned(), json!({ "value": given.value, "origin": given.origin })));
    Response::json(200, &shown.collect::<serde_json::Map<_, _>>())
}

/// `{dry_run?}` → `{dry_run, deleted: {enforcement, messages, activity}}`.
pub fn run_retention(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    admin.must_run_the_appliance()?;
    let dry_run = if request.body.is_empty() {
        false
    } else {
        let mut fields = Fields::of(json::body(request)?, "")?;
        let dry_run = fields.boolean("dry_run")?.unwrap_or(false);
        fields.done()?;
        dry_run
    };
    let outcome = if dry_run {
        retention::dry_run(app, app.is_over(request))?
    } else {
        retention::run(app, admin.by.clone())?
    };
    Response::json(200, &outcome)
}

/// `{file}`: a plain name is put into `backups/` of the data directory. Only the operator may name another place,
/// since a path given over the network would let an admin write anywhere. With `hand_over` the operator gets its bytes,
/// and `file` is only where they say they put it: what this process may write, and sees in its own /tmp, is not what they
/// may.
pub fn post_backup(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    admin.must_run_the_appliance()?;
    let mut fields = Fields::of(json::body(request)?, "")?;
    let file = fields.text("file", 4096)?;
    let file = fields.required("file", file)?;
    let is_handed_over = fields.boolean("hand_over")?.unwrap_or(false);
    if is_handed_over && !admin.is_operator() {
        return Err(fields.refuse("hand_over", "is the operator's, on this machine".to_owned()));
    }
    let is_plain = file.len() <= 64
        && !file.starts_with('.')
        && file.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    let name = Path::new(&file).file_name().and_then(|name| name.to_str());
    if name.is_some_and(backups::is_of_the_schedule) {
        let message = format!(
            "{} is a name of the schedule, which removes its files; accepted: another",
            quoted(&file)
        );
        return Err(fields.refuse("file", message));
    }
    let destination = if is_handed_over {
        // Where a start removes what was left, unless another disk is for it.
        let own = app.config.data.join("backups");
        let directory = Some(&app.config.backup_directory).filter(|directory| **directory != own);
        let directory = directory.unwrap_or(&app.config.data);
        crate::data_directory::create(directory)?;
        backup::partial_name(&directory.join(backups::HANDED_OVER))?
    } else if file.starts_with('/') && admin.is_operator() {
        PathBuf::from(&file)
    } else if is_plain {
        let directory = app.config.data.join("backups");
        crate::data_directory::create(&directory)?;
        directory.join(&file)
    } else {
        let message = format!(
            "{} is not a plain file name; accepted: up to 64 letters, digits, '-', '_' and '.'",
            quoted(&file)
        );
        return Err(fields.refuse("file", message));
    };
    fields.done()?;
    let named = if is_handed_over { PathBuf::from(&file) } else { destination.clone() };
    let bytes = app.backups.make(app.believed(), &destination, &named, app.is_over(request))?;
    let shown = json!({ "file": named, "bytes": bytes });
    let (admin, metadata) = (admin.clone(), shown.clone());
    let made = is_handed_over.then(|| take_away(&destination)).transpose()?;
    app.store.write(move |tx| tx.note(appliance_note(&admin, "backup.create", String::new(), metadata)))?;
    match made {
        None => Response::json(201, &shown),
        Some(file) => Ok(handed_over(file)),
    }
}

/// A file without its name: it is gone when nobody reads it any more.
fn take_away(path: &Path) -> Result<File> {
    let taken = File::open(path).and_then(|file| std::fs::remove_file(path).map(|()| file));
    taken.map_err(Error::io(format!("cannot hand over {}", path.display())))
}

/// The bytes of a file, piece by piece.
fn handed_over(mut file: File) -> Response {
    let pieces = std::iter::from_fn(move || {
        let mut piece = vec![0; 64 * 1024];
        match file.read(&mut piece) {
            Ok(0) => None,
            Ok(n) => {
                piece.truncate(n);
                Some(Ok(piece))
            }
            Err(error) => Some(Err(Error::io("cannot hand over the backup")(error))),
        }
    });
    let headers = vec![("Content-Type", "application/vnd.sqlite3".to_owned())];
    Response { status: 201, headers, body: Body::Stream(Box::new(pieces)) }
}

/// A backup took the place of the database, and these keys ended with it: in the trail of each one's workspace, and of
/// the first.
pub fn note_restored(tx: &mut Tx<'_>, by: &By, keys: &[LivingKey], metadata: Value) -> Result<()> {
    let note = |workspace, action, (target_type, target_id), metadata| Note {
        workspace: Some(workspace),
        project: None,
        by: by.clone(),
        action,
        target_type,
        target_id,
        metadata,
    };
    for LivingKey { id, workspace, name, hint } in keys {
        let metadata = json!({ "name": name, "hint": hint, "why": "a backup was restored" });
        tx.note(note(*workspace, "api_key.revoke", ("api_key", id.to_string()), metadata))?;
    }
    tx.note(note(FIRST_WORKSPACE, "backup.restore", ("appliance", String::new()), metadata))
}

/// Counts put right in one transaction.
const REPAIRED_AT_ONCE: usize = 500;

/// `{repair?}`: structure, foreign keys and counts of the live database, as a snapshot has them. A repair then puts each
/// wrong count right, a few at a time: writes go on meanwhile.
pub fn post_check(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    admin.must_run_the_appliance()?;
    let mut repairs = false;
    if !request.body.is_empty() {
        let mut fields = Fields::of(json::body(request)?, "")?;
        repairs = fields.boolean("repair")?.unwrap_or(false);
        fields.done()?;
    }
    // Also a repair: of two at a time each would add what is missing.
    let under_way = app.store.begin_whole(Whole::Check)?;
    let (problems, miscounts) =
        app.store.read_under_way(&under_way, app.is_over(request), |snapshot| check(snapshot))?;
    if repairs {
        for piece in miscounts.chunks(REPAIRED_AT_ONCE) {
            let piece = piece.to_vec();
            app.store.write(move |tx| counts::repair(tx, &piece))?;
        }
        let (admin, metadata) = (admin.clone(), json!({ "repaired": miscounts.len() }));
        app.store
            .write(move |tx| tx.note(appliance_note(&admin, "check.repair", String::new(), metadata)))?;
    }
    let ok = problems.is_empty() && miscounts.is_empty();
    let repaired = if repairs { miscounts.len() } else { 0 };
    Response::json(
        200,
        &json!({ "ok": ok, "problems": problems, "miscounts": miscounts, "repaired": repaired }),
    )
}

/// What SQLite finds wrong, who may come in though the log does not say so, and every count that is not the number of
/// its rows.
pub fn check(connection: &rusqlite::Connection) -> Result<(Vec<String>, Vec<counts::Miscount>)> {
    let mut problems = backup::problems(connection, LOGS)?;
    if !schema::examine(connection)?.1 {
        return Ok((problems, Vec::new()));
    }
    if let Err(error) = vouching::find_unvouched(connection, &mut |line| problems.push(line)) {
        problems.push(backup::damage(error)?);
    }
    // SQLite's own look at all tables has told of some of it already.
    let of_settings = sound::problems(connection)?;
    problems.extend(of_settings.into_iter().filter(|line| !problems.contains(line)).collect::<Vec<_>>());
    let miscounts = recount(connection).or_else(|error| {
        problems.push(backup::damage(error)?);
        Ok::<_, Error>(Vec::new())
    })?;
    Ok((problems, miscounts))
}

fn recount(connection: &rusqlite::Connection) -> Result<Vec<counts::Miscount>> {
    let mut recount = Recount::default();
    enforcement::sql::recount(connection, &mut recount)?;
    messages::sql::recount(connection, &mut recount)?;
    activity::sql::recount(connection, &mut recount)?;
    recount.compare(connection)
}

/// What the clock says, and the latest time any write saw.
pub fn show_clock(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    admin.must_run_the_appliance()?;
    let (now, latest) = (app.clock.now(), app.store.last_now());
    let seconds = (latest.micros() - now.micros()).max(0) / SECOND;
    Response::json(200, &json!({ "clock": now, "latest_write": latest, "behind_seconds": seconds }))
}

/// Believes a clock that stands before the latest write: that one was made while the clock was wrong. From here on
/// times start again at the clock's, and retention runs again. What was recorded meanwhile keeps its times; sessions
/// that began, and keys that ended, in that future have ended; days of sends begun in it are those of today.
///
/// # Errors
/// `clock_not_behind` when there is nothing to accept.
pub fn accept_clock(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    admin.must_run_the_appliance()?;
    let (clock, config, admin) = (app.clock.clone(), Arc::clone(&app.config), admin.clone());
    app.store.write_as(Sharing::Alone, move |tx| {
        let (wrong, now) = (tx.now, clock.now());
        if now >= wrong {
            let message = format!("the clock says {now}; no write has seen a later time");
            return Err(Error::conflict("clock_not_behind", message));
        }
        clock_steps::step_back(tx, now)?;
        keys::end_before_step(tx, wrong)?;
        sessions::end_after_step(tx)?;
        sources::date_back(tx)?;
        invitations::date_back(tx)?;
        idempotency::date_back(tx)?;
        mailboxes::begin_day_after_step(tx, config.window_start(now))?;
        let shown = json!({ "before": wrong, "after": now });
        tx.note(appliance_note(&admin, "clock.accept", String::new(), shown.clone()))?;
        Response::json(200, &shown)
    })
}

/// How much there is: rows by workspace and log, the size of the file, what the scheduler did.
pub fn show_stats(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    let (workspaces, jobs) = app.store.read_list(admin.standing.asker, |snapshot| {
        let mut shown = Vec::new();
        for workspace in admin.workspaces(snapshot)? {
            let (mut n_mailboxes, mut n_messages) = (0, 0);
            // Also of those that are deleted: their log is there.
            for (mailbox, is_living) in mailboxes::numbers(snapshot, workspace.key)? {
                n_mailboxes += i64::from(is_living);
                n_messages += messages::sql::total(snapshot, mailbox)?;
            }
            shown.push(json!({
                "id": workspace.id, "name": workspace.name, "mailboxes": n_mailboxes,
                "rows": {
                    "enforcement": enforcement::sql::total(snapshot, workspace.key)?,
                    "messages": n_messages,
                    "activity": activity::sql::total(snapshot, workspace.key)?,
                },
            }));
        }
        Ok((shown, jobs::list(snapshot)?))
    })?;
    let database = app.store.path();
    let size = |path: &std::path::Path| path.metadata().map_or(0, |metadata| metadata.len());
    let mut wal = database.as_os_str().to_owned();
    wal.push("-wal");
    let (commits, writes) = app.store.batches();
    let is_whole = admin.must_run_the_appliance().is_ok();
    let mut shown = json!({ "workspaces": workspaces });
    if is_whole {
        shown["database"] = json!({ "bytes": size(database), "wal_bytes": size(std::path::Path::new(&wal)) });
        shown["writes"] = json!({ "commits": commits, "writes": writes });
        shown["jobs"] = crate::http::json::value(&jobs)?;
    }
    Response::json(200, &shown)
}
