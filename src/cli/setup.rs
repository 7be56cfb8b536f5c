//! From nothing to serving, and keeping it safe: init, serve, health, config, backup, check, stats (`restore`,
//! `retention` and which configuration counts are in files of their own).

use std::io::{BufRead, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use serde_json::{Value, json};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::Context;
use super::arguments::ClockCommand;
use super::client::{Call, Client, Looked};
use super::configuration;
use super::named::NewFile;
use super::service::{self, Watchdog};
use super::table::{cell, fitted};
use super::terminal::{print, tell, width};
use crate::app::{App, LOGS};
use crate::auth::{Scope, password};
use crate::config::{self, Config, Given, without_secrets};
use crate::data_directory::{self, Lock, PATIENCE, State, Turn, still_taken};
use crate::error::{Error, Result};
use crate::http::Method;
use crate::http::client::{ask, is_answered};
use crate::http::json::Fields;
use crate::jobs::backups::must_be_writable;
use crate::privileges;
use crate::serve::Running;
use crate::store::migrate;
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
    const LONGEST: u64 = 64 * 1024;
    let mut line = String::new();
    let read = std::io::stdin().lock().take(LONGEST).read_line(&mut line);
    if read.map_err(Error::io("cannot read standard input"))? as u64 == LONGEST {
        return Err(Error::usage(
            format!("the line on standard input is longer than {LONGEST} bytes"),
            "pipe in a secret in one line",
        ));
    }
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
    Fields::of(json!({ "--workspace": name }), "")?.name("--workspace")?;
    let owner_password = match &given {
        Some(given) => {
            password::check(given, "password")?;
            given.clone()
        }
        None => password::generate(),
    };
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
    must_be_writable(&context.config)?;
    let (data, file) = (context.config.data.clone(), context.file.clone());
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
    configuration::note(&data, file.as_deref())?;
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

/// A server that is well answers at once.
const HEALTHY: Duration = Duration::from_secs(5);

/// Asks the server and nobody else: that this process could open the directory says nothing of it.
pub fn health(context: &Context) -> Result<()> {
    let answer = ask(&context.config.socket(), "/readyz", HEALTHY)?;
    let is_ready = answer.status == 200;
    let answer = serde_json::from_slice::<Value>(&answer.read()?)
        .map_err(|error| Error::Internal(format!("the answer is not JSON: {error}")))?;
    if is_ready {
        return context.answer(&answer, |answer| cell(&answer["status"]));
    }
    if context.json {
        print(&answer.to_string())?;
    }
    let checks = answer["checks"].as_array().into_iter().flatten();
    let failing: Vec<(String, &str)> = checks
        .filter(|check| check["ok"] == false)
        .map(|check| {
            let name = cell(&check["name"]);
            let what = match name.as_str() {
                "writer" => "look at the server's log; start it anew when the disk is well",
                "clock" => "put the clock right, or say `mailtrail clock accept`",
                "scheduler" => "look at the server's log for the job that hangs, and start it anew",
                "disk" => "make room on the disk of the data directory",
                "backup" => "look at the server's log; `mailtrail backup FILE` makes one now",
                _ => "look at the server's log",
            };
            (format!("{name}: {}", cell(&check["problem"])), what)
        })
        .collect();
    let problems: Vec<&str> = failing.iter().map(|(problem, _)| problem.as_str()).collect();
    let hints: Vec<&str> = failing.iter().map(|(_, what)| *what).collect();
    Err(match problems.is_empty() {
        true => Error::Unavailable { retry_after: 1, message: "the server is not ready".into() },
        false => Error::NotReady { message: problems.join("; "), hint: hints.join("; ") },
    })
}

// ---------------------------------------------------------------------------------------------- config

/// All settings, those that cannot be with what is wrong with them; of a server that answers, those that are in force.
pub fn config(
    (given, bad): (Vec<Given>, Vec<(String, Error)>),
    json: bool,
    (is_set, is_wide): (bool, bool),
) -> Result<()> {
    let data = given.iter().find(|given| given.key == "data").map(|given| PathBuf::from(&given.value));
    let socket = data.unwrap_or_default().join("mailtrail.sock");
    let of_server = match is_answered(&socket) {
        true if is_set => return Err(super::settings_are_the_servers()),
        true => Some(Client::at(socket).get("/api/v1/admin/config", Vec::new())?),
        false => None,
    };
    let is_of_server = of_server.is_some();
    let mut shown = of_server.unwrap_or_else(|| {
        let given = without_secrets(given).into_iter();
        given
            .map(|given| (given.key.to_owned(), json!({ "value": given.value, "origin": given.origin })))
            .collect()
    });
    if !is_of_server {
        for (key, problem) in &bad {
            shown[key]["problem"] = problem.to_string().into();
        }
    }
    if json {
        print(&shown.to_string())?;
    } else {
        let rows: Vec<Value> = shown
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, given)| {
                let mark = if given["problem"].is_null() { "" } else { "  <- refused" };
                json!({ "key": format!("{key}{mark}"), "value": given["value"], "origin": given["origin"] })
            })
            .collect();
        let columns = [("SETTING", "/key", 0), ("VALUE", "/value", 1), ("FROM", "/origin", 2)];
        print(fitted(&rows, &columns, if is_wide { None } else { width() }).trim_end())?;
    }
    if bad.is_empty() {
        return Ok(());
    }
    let problems: Vec<String> = bad.iter().map(|(_, problem)| problem.to_string()).collect();
    let problems = problems.join("\n  ");
    if is_of_server {
        tell(&format!("warning: the next start would refuse this:\n  {problems}"));
        return Ok(());
    }
    Err(Error::usage(
        problems,
        "correct each where it comes from (FROM); the defaults are in `mailtrail man`",
    ))
}

// ---------------------------------------------------------------------------------------------- backup, check

/// The bytes come over the socket: the file is the caller's own, where they may write, whoever serves.
pub fn backup(context: &Context, file: &Path) -> Result<()> {
    let named = std::path::absolute(file).map_err(Error::io(format!("cannot resolve {}", file.display())))?;
    let mut new = NewFile::create(file)?;
    let client = Client::open(context)?;
    let body = json!({ "file": named, "hand_over": true }).to_string().into_bytes();
    let headers = vec![("content-type", "application/json".to_owned())];
    let path = "/api/v1/admin/backups".to_owned();
    let made = client.send(Call { method: Method::Post, path, query: Vec::new(), headers, body });
    let copied = made.and_then(|mut made| {
        std::io::copy(&mut made.body, &mut new.file)
            .map_err(Error::io(format!("cannot write {}", file.display())))
    });
    let copied = copied?;
    new.finish()?;
    let made = json!({ "file": named, "bytes": copied });
    context.answer(&made, |made| format!("{} ({} bytes)", cell(&made["file"]), cell(&made["bytes"])))
}

/// What the clock says against what was written, or that it is right now.
pub fn clock(context: &Context, command: Option<ClockCommand>) -> Result<()> {
    let client = Client::open(context)?;
    match command {
        None => context.say(&client.get("/api/v1/admin/clock", Vec::new())?, |shown| {
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
            context.say(&stepped, |stepped| {
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
    context.say(&found, |found| {
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
        let message = "the database is not as it should be".to_owned();
        let only_counts = found["problems"].as_array().is_some_and(Vec::is_empty);
        match only_counts && file.is_none() {
            true => Err(Error::Unsettled {
                message,
                hint: "`mailtrail check --repair` puts the counts right".into(),
            }),
            false => Err(Error::Mismatch(message)),
        }
    }
}

// ---------------------------------------------------------------------------------------------- stats

pub fn stats(context: &Context) -> Result<()> {
    let client = Client::open(context)?;
    let mut shown = client.get("/api/v1/admin/stats", Vec::new())?;
    if let (Some(given), Some(workspaces)) = (&context.workspace, shown["workspaces"].as_array_mut()) {
        let mut id = json!(given);
        if !workspaces.iter().any(|workspace| workspace["id"] == id) {
            id = client.named("workspaces", given)?["id"].clone();
        }
        workspaces.retain(|workspace| workspace["id"] == id);
    }
    context.answer(&shown, |shown| {
        let workspaces = shown["workspaces"].as_array().cloned().unwrap_or_default();
        let mut text = context.table(
            &workspaces,
            &[
                ("WORKSPACE", "/name", 1),
                ("MAILBOXES", "/mailboxes", 5),
                ("ENFORCEMENT", "/rows/enforcement", 0),
                ("MESSAGES", "/rows/messages", 0),
                ("ACTIVITY", "/rows/activity", 0),
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
