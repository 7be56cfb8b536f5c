//! Everything a handler or a job may hold: configuration, store, clock, and the few things kept in memory.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde_json::json;

use crate::auth::keys::Known;
use crate::auth::license::{self, License};
use crate::auth::throttle::Throttle;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::http::{Body, Method, Request, Response};
use crate::ids::sha256;
use crate::jobs::Rounds;
use crate::mask::holds_key;
use crate::messages::policy::Compiled;
use crate::store::idempotency::{self, Answer, Key};
use crate::store::{By, Note, Store, Tx, migrate};
use crate::time::{Clock, SECOND, Timestamp};

pub struct App {
    pub config: Arc<Config>,
    pub store: Arc<Store>,
    pub clock: Clock,
    /// Our own user: who has it needs no key on the Unix socket.
    pub uid: u32,
    pub throttle: Throttle,
    pub usage: Usage,
    pub rounds: Rounds,
    pub keys: Known,
    /// Policies ready to match, by mailbox and version.
    pub policies: Mutex<HashMap<i64, Arc<Compiled>>>,
    license: RwLock<Licensed>,
    /// Held as long as this lives: one process for one data directory.
    _lock: Lock,
}

/// What is known of the license at this moment.
enum Licensed {
    Yes(License),
    No(String),
}

impl App {
    /// Opens a data directory that `lock` was taken on, and whose database exists.
    pub fn open(config: Config, clock: Clock, lock: Lock) -> Result<Self> {
        let database = config.database();
        if !database.exists() {
            return Err(no_database(&config.data));
        }
        refuse_empty(&database)?;
        refuse_open_modes(&config.data)?;
        refuse_network(&config.data)?;
        migrate::prepare(&database)?;
        let store = Store::open(&database, clock.clone(), crate::activity::note)?;
        let app = Self {
            store: Arc::new(store),
            clock,
            uid: rustix::process::geteuid().as_raw(),
            throttle: Throttle::default(),
            usage: Usage::default(),
            rounds: Rounds::default(),
            keys: Known::default(),
            policies: Mutex::default(),
            license: RwLock::new(Licensed::No("no license key is configured".into())),
            _lock: lock,
            config: Arc::new(config),
        };
        app.load_license()?;
        Ok(app)
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
            Licensed::Yes(license) => license.check(self.clock.now()).map(|()| license.clone()),
            Licensed::No(why) => Err(Error::LicenseRequired(why.clone())),
        }
    }

    /// Runs a write that answers, honouring the request's `Idempotency-Key`: a retry gets the first answer again.
    /// A refused request keeps no answer.
    pub fn record(
        &self,
        workspace: i64,
        request: &Request,
        change: impl FnOnce(&mut Tx<'_>) -> Result<Response> + Send + 'static,
    ) -> Result<Response> {
        match idempotency_key(workspace, request)? {
            None => self.store.write(change),
            Some(key) => self.store.write(move |tx| once(tx, &key, change)),
        }
    }

    /// `record` for many rows at once: the answer is put into words after the commit, while the next one runs, unless
    /// it is to be kept. A `change` that looks at everything before its first row may say so (`Store::write_checked`).
    pub fn record_then<T: Send + 'static>(
        &self,
        workspace: i64,
        request: &Request,
        is_checked: bool,
        change: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
        answer: impl FnOnce(T) -> Result<Response> + Send + 'static,
    ) -> Result<Response> {
        match (idempotency_key(workspace, request)?, is_checked) {
            (None, true) => answer(self.store.write_checked(change)?),
            (None, false) => answer(self.store.write(change)?),
            (Some(key), _) => self.store.write(move |tx| once(tx, &key, |tx| answer(change(tx)?))),
        }
    }

    /// Notes that a whole log is handed out: who took what is asked after every leak. Before its first row, so that
    /// an export that cannot be noted does not happen.
    pub fn note_export(
        &self,
        (workspace, project): (i64, Option<i64>),
        by: &By,
        action: &'static str,
        target: (&'static str, String),
        request: &Request,
    ) -> Result<()> {
        if request.method == Method::Head {
            return Ok(());
        }
        let asked: serde_json::Map<String, serde_json::Value> =
            request.query.pairs().map(|(name, value)| (name.to_owned(), value.into())).collect();
        let note = Note {
            workspace: Some(workspace),
            project,
            by: by.clone(),
            action,
            target_type: target.0,
            target_id: target.1,
            metadata: json!({ "asked": asked }),
        };
        self.store.write(move |tx| tx.note(note))
    }
}

/// The answer that was kept under this key, or else that of `change`, which is kept.
fn once(
    tx: &mut Tx<'_>,
    key: &Key,
    change: impl FnOnce(&mut Tx<'_>) -> Result<Response>,
) -> Result<Response> {
    if let Some(answer) = idempotency::find(tx, key)? {
        let replay = match answer.body.as_slice() {
            [] => Response::empty(answer.status),
            _ => Response::new(answer.status, "application/json", answer.body),
        };
        return Ok(replay.with("Idempotency-Replayed", "true"));
    }
    let response = change(tx)?;
    if let Body::Bytes(body) = &response.body {
        idempotency::keep(tx, key, &Answer { status: response.status, body: body.clone() })?;
    }
    Ok(response)
}

/// The `Idempotency-Key` of a request: 1 to 255 visible ASCII characters.
fn idempotency_key(workspace: i64, request: &Request) -> Result<Option<Key>> {
    let Some(key) = request.single_header("idempotency-key")? else { return Ok(None) };
    if key.is_empty() || key.len() > 255 || !key.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
        return Err(Error::invalid("Idempotency-Key", "is not 1 to 255 visible ASCII characters"));
    }
    if holds_key(key) {
        return Err(Error::invalid("Idempotency-Key", "holds an API key, and would be stored as it is"));
    }
    // `/api/v1/…` is another name of `/v1/…`.
    let path = request.path.strip_prefix("/api").unwrap_or(&request.path);
    let mut request_bytes = format!("{} {path} {:?}\n", method(request), request.query).into_bytes();
    request_bytes.extend_from_slice(&request.body);
    Ok(Some(Key { workspace, key: key.to_owned(), fingerprint: sha256(&request_bytes) }))
}

fn method(request: &Request) -> &'static str {
    match request.method {
        Method::Head => "GET",
        other => other.as_str(),
    }
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

fn no_database(data: &Path) -> Error {
    Error::refused(
        format!("there is no mailtrail database in {}", data.display()),
        "make one with `mailtrail init --email YOU@EXAMPLE.ORG`, or name the directory with --data",
    )
}

/// A database that lost its content must not be taken for a new one: numbers would start again, and a WAL beside it,
/// perhaps all that is left, would be deleted.
fn refuse_empty(database: &Path) -> Result<()> {
    let metadata = database.metadata().map_err(Error::io(format!("cannot read {}", database.display())))?;
    if metadata.len() > 0 {
        return Ok(());
    }
    Err(Error::refused(
        format!("{} is empty; it was not when it was made", database.display()),
        "keep the directory as it is and put a backup in place with `mailtrail restore`; move the file away first",
    ))
}

/// The exclusive lock of a data directory, for the life of the process that took it.
pub struct Lock(#[allow(dead_code, reason = "closing the file gives the lock up")] File);

impl Lock {
    /// Takes the lock; `None` while another process has it.
    pub fn take(data: &Path) -> Result<Option<Self>> {
        if !data.is_dir() {
            return Err(no_database(data));
        }
        let path = data.join("mailtrail.lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(Error::io(format!("cannot open {}", path.display())))?;
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self(file))),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(Error::io(format!("cannot lock {}", path.display()))(errno.into())),
        }
    }
}

/// Makes a data directory that only its owner may enter.
pub fn create_data_directory(data: &Path) -> Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data)
        .map_err(Error::io(format!("cannot create {}", data.display())))
}

/// An audit log that others can read or write proves nothing.
pub fn refuse_open_modes(data: &Path) -> Result<()> {
    for path in [data.to_owned(), data.join("mailtrail.db"), data.join("issuer.key")] {
        let Ok(metadata) = path.metadata() else { continue };
        let mode = metadata.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(Error::refused(
                format!("{} can be read or written by others (mode {mode:03o})", path.display()),
                format!("chmod go= {}", path.display()),
            ));
        }
    }
    Ok(())
}

/// File systems over a network whose locks and flushes are not to be relied on: the numbers that statfs(2) gives.
const NETWORK: [(rustix::fs::FsWord, &str); 8] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB"),
    (0x0102_1997, "9p"),
    (0x5346_414f, "AFS"),
    (0x00c3_6400, "Ceph"),
    (0x7375_7245, "Coda"),
];

/// SQLite's WAL needs memory that all its processes share and locks that hold; a network gives neither.
fn refuse_network(data: &Path) -> Result<()> {
    let Ok(found) = rustix::fs::statfs(data) else { return Ok(()) };
    match NETWORK.iter().find(|(magic, _)| *magic == found.f_type) {
        None => Ok(()),
        Some((_, name)) => Err(Error::refused(
            format!("{} is on a network file system ({name})", data.display()),
            "put the data directory on a disk of this machine",
        )),
    }
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
