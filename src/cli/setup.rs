//! From nothing to serving, and keeping it safe: init, serve, health, config, backup, check, retention, stats (`restore`
//! is in a file of its own).

use std::io::{BufRead, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use serde_json::{Value, json};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::Context;
use super::arguments::{ClockCommand, RetentionCommand};
use super::client::{Client, Looked};
use super::named::NewFile;
use super::service::{self, Watchdog};
use super::table::{card, cell, table};
use super::terminal::{print, tell};
use crate::app::{App, LOGS};
use crate::auth::{Scope, password};
use crate::config::{self, Config};
use crate::data_directory::{self, Lock, PATIENCE, State, Turn, still_taken};
use crate::error::{Error, Result};
use crate::http::client::is_answered;
use crate::http::json::Fields;
use crate::privileges;
use crate::serve::Running;
use crate::store::{backup as copies, migrate};
use crate::time::Clock;

/// The next line of standard input.
pub fn read_line(what: &str) -> Result<String> {
    read_another_line()?.ok_or_else(|| {
        Error::usage(
            format!("standard input has no {what}"),
            format!("pipe it in, as in: printf %s \"$SECRET\" | mailtrail … ({what} in one line)"),
        )
    })
}

/// The next line of standard input, when there is one with something in it.
pub fn read_another_line() -> Result<Option<String>> {
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    read.map_err(Error::io("cannot read standard input"))?;
    Ok(Some(line.trim_end_matches(['\r', '\n']).to_owned()).filter(|line| !line.is_empty()))
}

// ---------------------------------------------------------------------------------------------- init

/// What `init` made.
pub struct Made {
    pub client: Client,
    pub answer: Value,
}

pub fn init(context: &Context, email: &str, password_stdin: bool) -> Result<()> {
    let given = password_stdin.then(|| read_line("password")).transpose()?;
    let name = context.workspace.clone().unwrap_or_else(|| "Main".into());
    let made = make(&context.config, email, &name, given)?;
    context.answer(&made.answer, |made| {
        let mut lines = vec![
            format!("Made {} with the workspace {name:?}.", context.config.data.display()),
            String::new(),
            format!("  login    {email}"),
        ];
        if let Some(password) = made["password"].as_str() {
            lines.push(format!("  password {password}   (shown this once)"));
        }
        lines.push(format!("  API key  {}   (every scope; shown this once)", cell(&made["api_key"])));
        lines.push(String::new());
        lines.push("A license for reading the activity log is in place. Next: mailtrail serve".into());
        lines.join("\n")
    })
}

/// The lock of a data directory that nobody may serve. Another command is over soon.
pub fn take_lock(config: &Config, served: impl FnOnce(&Path) -> Error) -> Result<Lock> {
    let (data, socket) = (&config.data, config.socket());
    let is_served = |_| is_answered(&socket);
    match Lock::wait(data, State::Command, PATIENCE, is_served, tell)? {
        Turn::Ours(lock) => Ok(lock),
        Turn::Served => Err(served(data)),
        Turn::Taken(holder) => Err(still_taken(data, holder)),
    }
}

/// A new data directory with its first workspace, owner, key and license, made through the admin routes.
pub fn make(config: &Config, email: &str, name: &str, given: Option<String>) -> Result<Made> {
    privileges::descend()?;
    crate::owners::check_own_address("--email", email)?;
    // All that a route could refuse is looked at before anything is made: half a directory would be in the way.
    Fields::of(json!({ "--workspace": name }), "")?.text("--workspace", 200)?;
    let owner_password = match &given {
        Some(given) => {
            password::check(given, "password")?;
            given.clone()
        }
        None => password::generate(),
    };
    if name.is_empty() || name.chars().count() > 200 || name.chars().any(char::is_control) {
        return Err(Error::usage(
            "--workspace is not a name",
            "give 1 to 200 characters, no control characters",
        ));
    }
    let database = config.database();
    if database.exists() {
        return Err(Error::usage(
            format!("there is a database in {} already", config.data.display()),
            "serve it with `mailtrail serve`, or name another directory with --data",
        ));
    }
    if data_directory::has_lost_database(&config.data) {
        return Err(data_directory::lost_database(&config.data));
    }
    data_directory::create(&config.data)?;
    data_directory::refuse_open_modes(&config.data)?;
    let lock = take_lock(config, |data| {
        Error::usage(format!("{} is being served", data.display()), "name another directory with --data")
    })?;
    migrate::prepare(&database, LOGS)?;
    let mut config = config.clone();
    // Whatever license is configured elsewhere, this directory gets its own.
    config.license_key = None;
    let client = Client::here(App::open(config, Clock::system(), lock)?);
    let workspace = client.post("/api/v1/admin/workspaces", &json!({ "name": name }))?;
    let user = client.post(
        "/api/v1/admin/users",
        &json!({ "email": email, "role": "owner", "password": owner_password }),
    )?;
    let key = client.post("/api/v1/admin/keys", &json!({ "name": "init", "scopes": Scope::ALL.words() }))?;
    let license = client.post("/api/v1/admin/licenses", &json!({ "holder": name }))?;
    let mut answer = json!({ "workspace_id": workspace["id"], "user_id": user["user_id"], "email": email });
    if given.is_none() {
        answer["password"] = owner_password.into();
    }
    answer["api_key"] = key["key"].clone();
    answer["license_key"] = license["license_key"].clone();
    Ok(Made { client, answer })
}

// ---------------------------------------------------------------------------------------------- serve

pub fn serve(context: Context) -> Result<()> {
    privileges::descend()?;
    for name in config::misspelt(std::env::vars_os().map(|(name, _)| name)) {
        log::warn!("the environment has {name}, which is no setting; `mailtrail config` lists them all");
    }
    // From here on a signal is a drain, also one that comes as soon as the URL is printed.
    let signals = signals()?;
    let listener = service::listener()?;
    if let (Some(listener), Some(given)) = (&listener, context.config.given("listen")) {
        let address =
            listener.local_addr().map_err(Error::io("the address of systemd's socket"))?.to_string();
        if given.origin != "default" && given.value != address {
            log::warn!(
                "listen = {} ({}) does not count: systemd's socket is {address}",
                given.value,
                given.origin
            );
        }
    }
    let running = Running::start_on(listener, context.config, Clock::system(), service::waiting)?;
    print(&running.url())?;
    log::info!("listening on {} and {}", running.url(), running.app.config.socket().display());
    if let Some(url) = running.metrics_url() {
        log::info!("metrics without a key: {url}");
    }
    if let Err(why) = running.app.license() {
        log::warn!("the activity log cannot be read: {why}");
    }
    service::ready(&running.url());
    wait(running, &signals)
}

/// Catches signals from now on: the first SIGTERM or SIGINT is told, the second ends the process at once. SIGHUP is
/// the end of the terminal, and of us with it; where there is none, it is what asks other servers to read their
/// settings again, and ours count from the next start on.
pub fn signals() -> Result<Receiver<i32>> {
    let mut signals =
        Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(Error::io("cannot listen for signals"))?;
    let has_terminal = std::io::stderr().is_terminal();
    let (told, signalled) = channel();
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            let mut is_told = false;
            for signal in signals.forever() {
                if signal == SIGHUP && !has_terminal {
                    log::info!("SIGHUP: settings are read at the start alone; nothing changes");
                    continue;
                }
                if is_told {
                    std::process::exit(128 + signal);
                }
                is_told = told.send(signal).is_ok();
            }
        })
        .map_err(Error::io("cannot start the signal thread"))?;
    Ok(signalled)
}

/// How often it is looked whether all is well.
const LOOK: Duration = Duration::from_millis(250);

/// Until a signal or a failure; then the drain.
pub fn wait(running: Running, signalled: &Receiver<i32>) -> Result<()> {
    let mut watchdog = Watchdog::start(&running.app.store);
    loop {
        let signalled = signalled.recv_timeout(LOOK);
        if let Some(failure) = running.failure() {
            // As it is: an end in good order would have SQLite move a WAL of which nobody knows what is on disk.
            std::mem::forget(running);
            return Err(failure);
        }
        match signalled {
            Ok(_) | Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                if let Some(watchdog) = &mut watchdog {
                    watchdog.look(&running.app.store, &running.url());
                }
            }
        }
    }
    log::info!("stopping");
    service::stopping();
    running.stop()
}

// ---------------------------------------------------------------------------------------------- health

/// Asks the server and nobody else: that this process could open the directory says nothing of it.
pub fn health(context: &Context) -> Result<()> {
    let answer = Client::of_server(context).get("/readyz", Vec::new())?;
    context.answer(&answer, |answer| cell(&answer["status"]))
}

// ---------------------------------------------------------------------------------------------- config

pub fn config(context: &Context) -> Result<()> {
    let given = context.config.shown();
    let shown: serde_json::Map<String, Value> = given
        .iter()
        .map(|given| (given.key.to_owned(), json!({ "value": given.value, "origin": given.origin })))
        .collect();
    context.answer(&Value::Object(shown), |_| {
        let rows: Vec<Value> = given
            .iter()
            .map(|given| json!({ "key": given.key, "value": given.value, "origin": given.origin }))
            .collect();
        table(&rows, &[("SETTING", "/key"), ("VALUE", "/value"), ("FROM", "/origin")])
    })
}

// ---------------------------------------------------------------------------------------------- backup, check

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(Error::io(format!("cannot resolve {}", path.display())))
}

pub fn backup(context: &Context, file: &Path) -> Result<()> {
    if privileges::is_root_for_now() && !is_answered(&context.config.socket()) {
        return backup_of_root(context, file);
    }
    let client = Client::open(context)?;
    let made = client.post("/api/v1/admin/backups", &json!({ "file": absolute(file)? }))?;
    context.answer(&made, |made| format!("{} ({} bytes)", cell(&made["file"]), cell(&made["bytes"])))
}

/// Where nobody serves and the directory is another's: its owner makes the backup there, and what root has opened gets its
/// bytes, for the owner may not write where root says.
fn backup_of_root(context: &Context, file: &Path) -> Result<()> {
    let mut new = NewFile::create(file)?;
    let client = Client::open(context)?;
    let partial = absolute(&copies::partial_name(&context.config.database())?)?;
    let copied = client.post("/api/v1/admin/backups", &json!({ "file": partial })).and_then(|_| {
        let made = std::fs::File::open(&partial).and_then(|mut made| {
            std::fs::remove_file(&partial)?;
            std::io::copy(&mut made, &mut new.file)
        });
        made.map_err(Error::io(format!("cannot write {}", file.display())))
    })?;
    new.finish()?;
    let made = json!({ "file": absolute(file)?, "bytes": copied });
    context.answer(&made, |made| format!("{} ({} bytes)", cell(&made["file"]), cell(&made["bytes"])))
}

/// What the clock says against what was written, or that it is right now.
pub fn clock(context: &Context, command: Option<ClockCommand>) -> Result<()> {
    let client = Client::open(context)?;
    match command {
        None => context.answer(&client.get("/api/v1/admin/clock", Vec::new())?, |shown| {
            let behind = match shown["behind_seconds"].as_i64() {
                None | Some(0) => "it is not behind: nothing to do".to_owned(),
                Some(seconds) => format!(
                    "it is {seconds} seconds behind: later writes get the latest time until it has caught up; \
                     if it is right, say `mailtrail clock accept`"
                ),
            };
            format!("clock {}, latest write {}\n{behind}", cell(&shown["clock"]), cell(&shown["latest_write"]))
        }),
        Some(ClockCommand::Accept) => {
            let stepped = client.post("/api/v1/admin/clock/accept", &Value::Null)?;
            context.answer(&stepped, |stepped| {
                format!("times start again at {}; before it was {}", cell(&stepped["after"]), cell(&stepped["before"]))
            })
        }
    }
}

pub fn check(context: &Context, file: Option<&Path>, repair: bool) -> Result<()> {
    let found = match if repair { None } else { Some(Looked::at(context, file)?) } {
        Some(Looked::File(at_rest)) => {
            let (mut problems, miscounts) = crate::admin::appliance::check(&at_rest.connection)?;
            problems.extend(at_rest.contradiction()?);
            let mut found = json!({
                "ok": problems.is_empty() && miscounts.is_empty(), "problems": problems, "miscounts": miscounts,
            });
            if file.is_none() {
                found["repaired"] = 0.into();
            }
            found
        }
        Some(Looked::Server(client)) => client.post("/api/v1/admin/check", &json!({ "repair": false }))?,
        None => Client::open(context)?.post("/api/v1/admin/check", &json!({ "repair": repair }))?,
    };
    let is_ok = found["ok"] == true;
    context.answer(&found, |found| {
        if is_ok {
            return "ok: the structure is whole, and every count is the number of its rows".into();
        }
        let lines = [&found["problems"], &found["miscounts"]];
        let lines = lines.into_iter().filter_map(Value::as_array).flatten();
        lines.map(|line| format!("{}\n", cell(line))).collect()
    })?;
    // Repaired counts are right now; what SQLite found is not.
    let is_repaired = repair && found["problems"].as_array().is_some_and(Vec::is_empty);
    if is_repaired && !is_ok {
        tell(&format!("{} counts were put right", cell(&found["repaired"])));
    }
    if is_ok || is_repaired {
        Ok(())
    } else {
        Err(Error::Mismatch("the database is not as it should be".into()))
    }
}

// ---------------------------------------------------------------------------------------------- retention, stats

pub fn retention(context: &Context, command: &RetentionCommand) -> Result<()> {
    let client = Client::open(context)?;
    match command {
        RetentionCommand::Show => {
            let shown = client.get("/api/v1/admin/retention", Vec::new())?;
            context.answer(&shown, |shown| {
                let days = |log: &str| match &shown["days"][log] {
                    Value::Null => "kept for ever".to_owned(),
                    days => format!("{days} days"),
                };
                format!(
                    "enforcement  {}\nmessages     {} (a mailbox's policy goes first)\nactivity     {}\nlast run     {}",
                    days("enforcement"),
                    days("messages"),
                    days("activity"),
                    cell(&shown["last_run"]["finished_at"]),
                )
            })
        }
        RetentionCommand::Run { dry_run } => {
            let outcome = client.post("/api/v1/admin/retention/run", &json!({ "dry_run": dry_run }))?;
            context.answer(&outcome, |outcome| {
                let verb = if *dry_run { "Would delete" } else { "Deleted" };
                format!("{verb}:\n{}", card(&outcome["deleted"]))
            })
        }
    }
}

pub fn stats(context: &Context) -> Result<()> {
    let shown = Client::open(context)?.get("/api/v1/admin/stats", Vec::new())?;
    context.answer(&shown, |shown| {
        let workspaces = shown["workspaces"].as_array().cloned().unwrap_or_default();
        let mut text = table(
            &workspaces,
            &[
                ("WORKSPACE", "/name"),
                ("MAILBOXES", "/mailboxes"),
                ("ENFORCEMENT", "/rows/enforcement"),
                ("MESSAGES", "/rows/messages"),
                ("ACTIVITY", "/rows/activity"),
            ],
        );
        text.push_str(&format!(
            "\ndatabase {} bytes, WAL {} bytes\n",
            cell(&shown["database"]["bytes"]),
            cell(&shown["database"]["wal_bytes"])
        ));
        text
    })
}
