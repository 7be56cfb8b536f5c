//! The running program: an open data directory, the scheduler and the server, from start to drain.
//!
//! The command line serves with it, the demo does, and so do the tests.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use crate::admin::owners::give_tenants;
use crate::app::App;
use crate::config::Config;
use crate::data_directory::{Holder, Lock, PATIENCE, State, Turn, still_taken};
use crate::erasure;
use crate::error::{Error, Result};
use crate::http::client::{answers, is_answered};
use crate::http::server::{Limits, Listeners, Server, descriptors};
use crate::jobs::{Scheduler, retention};
use crate::routes::{Routes, Watched};
use crate::store::disk::is_full;
use crate::store::{By, Note, settings};
use crate::time::Clock;

/// What is in flight when it is told to stop may take so long: with the WAL to be emptied after it, the whole end
/// takes less than five seconds.
const GRACE: Duration = Duration::from_secs(4);

/// One that serves answers within this.
const ANSWERS: Duration = Duration::from_secs(2);

/// Connections of the listener for metrics.
const WATCHERS: usize = 64;

/// A first write that SQLite cannot do is the storage's fault, and no fault of ours.
fn at_the_start(error: Error) -> Error {
    match error {
        Error::Database(_) | Error::Internal(_) => {
            Error::io("the first write")(std::io::Error::other(error.to_string()))
        }
        other => other,
    }
}

/// Dropping it stops it; `stop` says whether all went well.
pub struct Running {
    pub app: Arc<App>,
    server: Server,
    /// The listener for metrics, where one is wanted.
    watched: Option<Server>,
    scheduler: Option<Scheduler>,
}

/// Notes what was changed of the settings since the last start.
fn note_settings(app: &App) -> Result<()> {
    let given = app.config.shown().into_iter();
    let now: BTreeMap<String, String> = given.map(|given| (given.key.to_owned(), given.value)).collect();
    let before = app.store.read(|snapshot| settings::seen(snapshot))?;
    if now == before {
        return Ok(());
    }
    app.store.write(move |tx| {
        settings::keep(tx, &now)?;
        // What the first start finds is no change, and a setting that an upgrade brings along is none either.
        let changed = |(name, value): &(&String, &String)| before.get(*name).is_some_and(|before| before != *value);
        let show = |(name, value): (&String, &String)| {
            json!({ "setting": name, "before": before.get(name), "after": value })
        };
        let changes: Vec<Value> = now.iter().filter(changed).map(show).collect();
        if changes.is_empty() {
            return Ok(());
        }
        tx.note(Note {
            workspace: None,
            project: None,
            by: By::system("start"),
            action: "settings.change",
            target_type: "appliance",
            target_id: String::new(),
            metadata: json!({ "changes": changes }),
        })
    })
}

impl Running {
    /// Opens the data directory, starts the jobs and answers.
    ///
    /// # Errors
    /// `Refused` when another server has the directory, or there is no database in it. `Unavailable` when somebody else
    /// has it, and does not give it up for half a minute: worth another try.
    pub fn start(config: Config, clock: Clock) -> Result<Self> {
        Self::start_on(None, config, clock, |what| log::warn!("{what}"))
    }

    /// As `start`, on a socket that listens already, where there is one; `wait` is told when it has to wait for the
    /// directory.
    pub fn start_on(
        inherited: Option<TcpListener>,
        mut config: Config,
        clock: Clock,
        wait: impl FnOnce(&str),
    ) -> Result<Self> {
        let address: SocketAddr = config.listen.parse().map_err(|_| {
            Error::refused(
                format!("listen: {:?} is not an address and a port", config.listen),
                "give one as in 127.0.0.1:7465 or [::1]:7465; port 0 takes a free one",
            )
        })?;
        let socket = config.socket();
        // A server that hangs, or was killed and waits for its disk, has it too: that passes, as a command does.
        let is_served = |holder: Option<Holder>| {
            holder.is_none_or(Holder::is_serving) && is_answered(&socket) && answers(&socket, ANSWERS)
        };
        let lock = match Lock::wait(&config.data, State::Starting, PATIENCE, is_served, wait)? {
            Turn::Ours(lock) => lock,
            Turn::Taken(holder) => return Err(still_taken(&config.data, holder)),
            Turn::Served => {
                return Err(Error::refused(
                    format!("another mailtrail is serving {}", config.data.display()),
                    "stop it first, or name another directory with --data",
                ));
            }
        };
        config.limits.connections = config.limits.connections.min(descriptors());
        let limits = config.limits.clone();
        let metrics_listen = config.metrics_listen;
        let listeners = Listeners { tcp: Some(address), inherited, unix: Some(config.socket()) };
        let app = Arc::new(App::open(config, clock, lock)?);
        app.checkpoints.must_sign()?;
        // Says so when there is too little, and makes the ballast.
        app.store.disk().room();
        for noted in [
            erasure::note_broken_off(&app),
            retention::note_broken_off(&app),
            retention::record_settings(&app),
            retention::record_mailboxes(&app),
            give_tenants(&app),
        ] {
            noted.or_else(|error| if is_full(&error) { Ok(()) } else { Err(at_the_start(error)) })?;
        }
        match note_settings(&app) {
            // It has not seen them then: the next start tells.
            Err(error) if is_full(&error) => log::error!("changed settings are not noted yet: {error}"),
            noted => noted.map_err(at_the_start)?,
        }
        let (service, counters) = (Arc::new(Routes(Arc::clone(&app))), Arc::clone(&app.counters));
        let server = Server::start_counting(listeners, limits.clone(), service, counters)?;
        let watched = match metrics_listen {
            None => None,
            tcp => {
                let limits = Limits { connections: WATCHERS, ..limits };
                Some(Server::start(
                    Listeners { tcp, ..Listeners::default() },
                    limits,
                    Arc::new(Watched(Arc::clone(&app))),
                )?)
            }
        };
        let scheduler = Some(Scheduler::start(Arc::clone(&app))?);
        app.lock.tell(State::Serving);
        Ok(Self { app, server, watched, scheduler })
    }

    /// Where it listens, with the port it got.
    pub fn url(&self) -> String {
        self.server.address().map_or_else(String::new, |address| format!("http://{address}"))
    }

    /// Where the listener for metrics is, when there is one.
    pub fn metrics_url(&self) -> Option<String> {
        let address = self.watched.as_ref()?.address()?;
        Some(format!("http://{address}/metrics"))
    }

    /// Why it cannot go on, when it cannot: writing has stopped, or a thread of ours has died.
    pub fn failure(&self) -> Option<Error> {
        if let Some(lost) = self.lost() {
            return Some(lost);
        }
        let writer = (!self.app.store.is_writer_alive()).then_some("writer");
        let died = writer.or_else(|| self.scheduler.as_ref()?.dead());
        died.map(|thread| Error::Internal(format!("the {thread} thread has died")))
    }

    /// Stops accepting, answers what is in flight, ends the jobs, and leaves one database file without a WAL.
    pub fn stop(mut self) -> Result<()> {
        self.app.lock.tell(State::Stopping);
        self.app.stopping.store(true, Ordering::Relaxed);
        let n_cut = self.server.stop(GRACE);
        self.watched = None;
        if n_cut > 0 {
            log::warn!("{n_cut} connections were cut off");
        }
        self.scheduler = None;
        if let Err(error) = self.app.checkpoints.current(&self.app.store) {
            log::warn!("the last checkpoint was not written: {error}");
        }
        let ended = self.app.store.checkpoint();
        match self.lost() {
            None => ended.or_else(|error| {
                if !is_full(&error) {
                    return Err(error);
                }
                log::warn!("the disk is full: the WAL stays as it is until the next start");
                Ok(())
            }),
            Some(lost) => {
                // Left as it is, as after any such failure.
                std::mem::forget(self);
                Err(lost)
            }
        }
    }

    /// An input/output error that nothing is written after.
    fn lost(&self) -> Option<Error> {
        let reason = self.app.store.failure()?;
        Some(Error::io("writing has stopped")(std::io::Error::other(reason.to_owned())))
    }
}
