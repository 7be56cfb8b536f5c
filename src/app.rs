//! Everything a handler or a job may hold: configuration, store, clock, and the few things kept in memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rusqlite::Connection;
use serde::Serialize;

use crate::auth::OPERATOR;
use crate::auth::denials::Denials;
use crate::auth::keys::{self, Known};
use crate::auth::license::{self, License};
use crate::auth::rates::Rates;
use crate::auth::sound;
use crate::auth::throttle::Throttle;
use crate::checkpoints::{self, Checkpoints};
use crate::config::Config;
use crate::data_directory::{self, Lock};
use crate::error::{Error, Result};
use crate::http::Request;
use crate::http::server::Counters;
use crate::jobs::Rounds;
use crate::jobs::backups::Maker;
use crate::jobs::witnesses::Witnesses;
use crate::mask::holds_key;
use crate::messages::guards::Kept;
use crate::metrics::Requests;
use crate::owners::twins;
use crate::seldom::Seldom;
use crate::store::disk::Disk;
use crate::store::idempotency::Key;
use crate::store::{Asker, Store, migrate, settings};
use crate::taken::Pages;
use crate::time::{Clock, SECOND, Timestamp};
use crate::tlog::rows::Rows;
use crate::{activity, enforcement, messages, retried};

/// Whose rows are leaves of the tree.
pub const LOGS: &[Rows] = &[
    enforcement::sql::ROWS,
    messages::sql::ROWS,
    messages::sql::FACTS,
    activity::sql::ROWS,
    crate::tlog::controls::ROWS,
];

pub struct App {
    pub config: Arc<Config>,
    pub store: Arc<Store>,
    pub clock: Clock,
    /// Our own user: who has it needs no key on the Unix socket.
    pub uid: u32,
    pub throttle: Throttle,
    pub denials: Denials,
    /// What was read by the page in this hour.
    pub pages: Pages,
    pub usage: Arc<Usage>,
    pub rounds: Rounds,
    pub backups: Arc<Maker>,
    pub checkpoints: Checkpoints,
    pub witnesses: Witnesses,
    pub rates: Rates,
    /// Requests by route, in the order of `routes::TABLES`, and last those that have none.
    pub requests: Vec<Requests>,
    /// Log lines about requests of nobody that is known.
    pub strangers_lines: Seldom,
    /// Of the server in front.
    pub counters: Arc<Counters>,
    /// Set when the process is to end: a long run ends at its next step, a backup is broken off.
    pub stopping: Arc<AtomicBool>,
    pub keys: Known,
    /// Policies ready to match.
    pub policies: Kept,
    license: RwLock<Licensed>,
    days: RwLock<Days>,
    /// Held as long as this lives: one process for one data directory.
    pub lock: Lock,
}

/// Log lines a second about requests of nobody that is known.
const STRANGERS_LINES: u32 = 20;

/// The days that each log is kept; `None`: for ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Days {
    pub enforcement: Option<i64>,
    pub messages: Option<i64>,
    pub activity: Option<i64>,
}

impl Days {
    pub const LOGS: [&str; 3] = ["enforcement", "messages", "activity"];

    /// As they were set at run time, else as the configuration says.
    pub fn in_force(connection: &Connection, config: &Config) -> Result<Self> {
        let of = |log, configured| Ok::<_, Error>(settings::days(connection, log)?.unwrap_or(configured));
        Ok(Self {
            enforcement: of("enforcement", config.enforcement_days)?,
            messages: of("messages", config.messages_days)?,
            activity: of("activity", config.activity_days)?,
        })
    }
}

/// What is known of the license at this moment.
enum Licensed {
    Yes(License),
    No(String),
}

impl App {
    /// Opens a data directory that `lock` was taken on, and whose database exists.
    pub fn open(config: Config, clock: Clock, lock: Lock) -> Result<Self> {
        data_directory::examine(&config.data)?;
        data_directory::remove_unfinished(&config.data);
        let database = config.database();
        let disk = Disk::open(&config.data, config.disk_reserve)?;
        let (connection, version) = migrate::examine(&database)?;
        sound::refuse(&connection, &database)?;
        if version < migrate::VERSION {
            checkpoints::examine(&config, &connection, version)?;
        }
        drop(connection);
        migrate::bring_up(&database, version, LOGS)?;
        let store = Arc::new(Store::open(&database, disk, clock.clone(), crate::activity::note, LOGS)?);
        if store.read(|snapshot| twins::is_unfilled(snapshot))? {
            store.write(|tx| twins::fill(tx, |twins| log::warn!("{twins}")))?;
        }
        let checkpoints = Checkpoints::open(&config, &store)?;
        let witnesses = Witnesses::open(&config.witnesses, &checkpoints);
        let stopping: Arc<AtomicBool> = Arc::default();
        let backups = Arc::new(Maker::new(Arc::clone(&store), Arc::clone(&stopping)));
        let rates = Rates::new(config.requests_per_key, config.requests_per_address);
        let app = Self {
            rates,
            requests: std::iter::repeat_with(Requests::default).take(crate::routes::count() + 1).collect(),
            strangers_lines: Seldom::new(STRANGERS_LINES),
            counters: Arc::default(),
            stopping,
            store,
            clock,
            uid: rustix::process::geteuid().as_raw(),
            throttle: Throttle::default(),
            denials: Denials::default(),
            pages: Pages::default(),
            usage: Arc::default(),
            rounds: Rounds::default(),
            backups,
            checkpoints,
            witnesses,
            keys: Known::default(),
            policies: Kept::default(),
            license: RwLock::new(Licensed::No("no license key is configured".into())),
            days: RwLock::default(),
            lock,
            config: Arc::new(config),
        };
        app.load_license()?;
        app.load_days()?;
        Ok(app)
    }

    /// How long each log is kept, unless a mailbox has days of its own.
    pub fn days(&self) -> Days {
        *self.days.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads them again, after they were set.
    pub fn load_days(&self) -> Result<()> {
        let days = self.store.read(|snapshot| Days::in_force(snapshot, &self.config))?;
        *self.days.write().unwrap_or_else(PoisonError::into_inner) = days;
        Ok(())
    }

    /// What time it is for what ends for good by it: what is forgotten, freed or begun anew, and what is remembered of
    /// who was here. A clock that leapt is not believed at once.
    pub fn believed(&self) -> Timestamp {
        self.store.believed(&self.clock).1
    }

    /// What time it is for who is let in: the clock's, for that can be said otherwise a moment later. Never earlier than
    /// what was believed once, so that a clock that steps back gives no ended key its life again.
    pub fn now(&self) -> Timestamp {
        let (clock, believed) = self.store.believed(&self.clock);
        clock.max(believed)
    }

    /// Never earlier than at any write, be it one of a clock that was wrong: what was ended then has ended.
    pub fn latest(&self) -> Timestamp {
        self.clock.now().max(self.store.last_now())
    }

    /// Reads the license from the configuration, else as `init` left it. A bad one is not an error here: recording
    /// goes on without, and the read says why it does not.
    pub fn load_license(&self) -> Result<()> {
        let text = match &self.config.license_key {
            Some(text) if text == "none" => None,
            Some(text) => Some(text.clone()),
            None => license::installed(&self.config.data)?,
        };
        let licensed = match (text, license::issuer_public(&self.config.data)?) {
            (None, _) => Licensed::No("no license key is configured".into()),
            (Some(_), None) => Licensed::No("this installation has issued no license".into()),
            (Some(text), Some(issuer)) => match License::verify(&text, &issuer) {
                Ok(license) => Licensed::Yes(license),
                Err(Error::LicenseRequired(why)) => Licensed::No(why),
                Err(other) => Licensed::No(other.to_string()),
            },
        };
        *self.license.write().unwrap_or_else(PoisonError::into_inner) = licensed;
        Ok(())
    }

    /// The license in force.
    ///
    /// # Errors
    /// `LicenseRequired` with the reason: none, not ours, over.
    pub fn license(&self) -> Result<License> {
        match &*self.license.read().unwrap_or_else(PoisonError::into_inner) {
            Licensed::Yes(license) => license.check(self.now()).map(|()| license.clone()),
            Licensed::No(why) => Err(Error::LicenseRequired(why.clone())),
        }
    }

    /// For what reads the whole file: says when to end, since the client has gone or the program is to.
    pub fn is_over(&self, request: &Request) -> impl Fn() -> bool + Clone + Send + Sync + use<> {
        let (line, stopping) = (request.line.clone(), Arc::clone(&self.stopping));
        move || stopping.load(Ordering::Relaxed) || line.is_dead()
    }
}

/// The `Idempotency-Key` of a request: 1 to 255 visible ASCII characters.
/// It is the caller's own: another caller's is another one.
pub fn idempotency_key(app: &App, workspace: i64, request: &Request) -> Result<Option<Key>> {
    let Some(key) = request.single_header("idempotency-key")? else { return Ok(None) };
    if key.is_empty() || key.len() > 255 || !key.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
        return Err(Error::invalid("Idempotency-Key", "is not 1 to 255 visible ASCII characters"));
    }
    if holds_key(key) {
        return Err(Error::invalid("Idempotency-Key", "holds an API key, and would be stored as it is"));
    }
    let (fingerprint, former_fingerprint) = retried::fingerprints(request);
    Ok(Some(Key {
        workspace,
        caller: lasting_name(app, request.asker)?,
        key: key.to_owned(),
        fingerprint,
        former_fingerprint,
    }))
}

/// Who asks, by a name that stays when a key is rotated: a retry may come with the new one.
fn lasting_name(app: &App, asker: Asker) -> Result<String> {
    Ok(match asker {
        Asker::Key(key) => format!("key {}", app.store.read(|snapshot| keys::rotated_from(snapshot, key))?),
        Asker::Person(user) => format!("user {user}"),
        Asker::Operator | Asker::Address(_) => OPERATOR.to_owned(),
    })
}

/// Seconds that a time given from outside may be ahead of the clock.
pub const MOST_AHEAD: i64 = 600;

/// Refuses what a time given from outside must not be: more than ten minutes ahead of the clock.
pub fn check_not_ahead(parameter: &str, given: Timestamp, now: Timestamp) -> Result<()> {
    if given.micros() <= now.micros() + MOST_AHEAD * SECOND {
        return Ok(());
    }
    Err(Error::invalid(
        parameter,
        format!("{given} is more than ten minutes ahead of this server's clock ({now})"),
    ))
}

/// When keys and sessions were last used, until the scheduler writes it down: a read must not wait for a write.
#[derive(Default)]
pub struct Usage {
    keys: Mutex<HashMap<i64, Timestamp>>,
    sessions: Mutex<HashMap<[u8; 32], Timestamp>>,
}

impl Usage {
    pub fn key(&self, key: i64, now: Timestamp) {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).insert(key, now);
    }

    pub fn session(&self, hash: [u8; 32], now: Timestamp) {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).insert(hash, now);
    }

    pub fn session_seen(&self, hash: &[u8; 32]) -> Option<Timestamp> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).get(hash).copied()
    }

    /// What is not written down yet. It stays until it was: nobody is taken for idle meanwhile, and a write that
    /// fails loses nothing.
    pub fn unwritten(&self) -> Uses {
        Uses {
            keys: self.keys.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            sessions: self.sessions.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// Forgets what was written down, unless there was another use since.
    pub fn written(&self, uses: &Uses) {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.retain(|key, at| uses.keys.get(key) != Some(at));
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|hash, at| uses.sessions.get(hash) != Some(at));
    }
}

/// When which keys and sessions were last used.
#[derive(Debug, Clone)]
pub struct Uses {
    pub keys: HashMap<i64, Timestamp>,
    pub sessions: HashMap<[u8; 32], Timestamp>,
}
