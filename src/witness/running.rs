//! A witness as a running program: its directory, its key, its server.
//!
//! The directory has `witness.key`, a lock, and a file for each log; it is no appliance's data directory. An older copy
//! put in its place has forgotten what was cosigned since, and would cosign another history: better begin anew.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::api::{LINES, Witness};
use super::memory::Memory;
use crate::auth::rates::Rates;
use crate::config::Rate;
use crate::data_directory::{self, Holder, Lock, PATIENCE, State, Turn, still_taken};
use crate::error::{Error, Result};
use crate::http::server::{Limits, Listeners, Server};
use crate::ids;
use crate::seldom::Seldom;
use crate::time::Clock;
use crate::tlog::note::{Cosigner, Verifier, is_name};

/// In the witness's directory.
pub const KEY: &str = "witness.key";

/// What is in flight when it is told to stop may take so long.
const GRACE: Duration = Duration::from_secs(4);

/// Dropping it stops it.
pub struct Running {
    pub verifier: Verifier,
    server: Server,
    /// Given up after the server is gone.
    lock: Lock,
}

impl Running {
    /// Opens the directory, and makes it and the key where there is none, under this name.
    ///
    /// # Errors
    /// `Refused` when another process has the directory, it is an appliance's, or others can read it; `Usage` when there
    /// is no name for a new key, or the key has another.
    pub fn start(
        data: &Path,
        name: Option<&str>,
        logs: Vec<Verifier>,
        listen: SocketAddr,
        (limits, per_address): (Limits, Option<Rate>),
        clock: Clock,
    ) -> Result<Self> {
        refuse_log(data)?;
        if !data.join(KEY).exists() {
            check_name(data, name)?;
            data_directory::create(data)?;
        }
        let is_served = |holder: Option<Holder>| holder.is_some_and(Holder::is_serving);
        let wait = |what: &str| log::warn!("{what}");
        let lock = match Lock::wait(data, State::Starting, PATIENCE, is_served, wait)? {
            Turn::Ours(lock) => lock,
            Turn::Taken(holder) => return Err(still_taken(data, holder)),
            Turn::Served => {
                return Err(Error::refused(
                    format!("another mailtrail is serving {}", data.display()),
                    "stop it first, or name another directory with --data",
                ));
            }
        };
        data_directory::remove_unfinished(data);
        let cosigner = match read_key(data)? {
            Some(cosigner) => cosigner,
            None => make_key(data, check_name(data, name)?)?,
        };
        let has = cosigner.verifier().name();
        if let Some(name) = name.filter(|name| *name != has) {
            return Err(Error::usage(
                format!("--name {name:?} is not the name that {} has: {has:?}", data.join(KEY).display()),
                "leave --name away, or begin another witness in another directory",
            ));
        }
        let verifier = cosigner.verifier().clone();
        let memory = Memory::new(data, verifier.clone());
        let service = Arc::new(Witness {
            cosigner,
            logs,
            memory,
            clock,
            trusted: limits.exempt.clone(),
            rates: Rates::new(None, per_address),
            lines: Seldom::new(LINES),
        });
        let server = Server::start(Listeners { tcp: Some(listen), ..Listeners::default() }, limits, service)?;
        lock.tell(State::Serving);
        Ok(Self { verifier, server, lock })
    }

    /// Where it listens, with the port it got.
    pub fn url(&self) -> String {
        self.server.address().map_or_else(String::new, |address| format!("http://{address}"))
    }

    /// Stops accepting and answers what is in flight.
    pub fn stop(self) {
        self.lock.tell(State::Stopping);
        let n_cut = self.server.stop(GRACE);
        if n_cut > 0 {
            log::warn!("{n_cut} connections were cut off");
        }
    }
}

/// The key of a witness's directory; `None` where none was made yet.
///
/// # Errors
/// `Refused` when others can read it, or the file is no key.
pub fn read_key(data: &Path) -> Result<Option<Cosigner>> {
    data_directory::refuse_open_modes(data)?;
    let path = data.join(KEY);
    let text = match data_directory::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        text => text.map_err(Error::io(format!("cannot read {}", path.display())))?,
    };
    Cosigner::parse(text.trim_end()).map(Some).ok_or_else(|| {
        Error::refused(
            format!("{} is no key of a witness", path.display()),
            "put the right one back; without it begin anew in an empty directory, under another name",
        )
    })
}

fn make_key(data: &Path, name: &str) -> Result<Cosigner> {
    let mut seed = [0; 32];
    ids::fill(&mut seed);
    let cosigner = Cosigner::new(name.to_owned(), &seed);
    data_directory::put(&data.join(KEY), &format!("{}\n", cosigner.secret()))?;
    Ok(cosigner)
}

/// What a new key is to be called.
fn check_name<'a>(data: &Path, name: Option<&'a str>) -> Result<&'a str> {
    let why = match name {
        Some(name) if is_name(name) => return Ok(name),
        Some(name) => format!("--name {name:?} is not a name; accepted: no white space and no plus sign"),
        None => format!("there is no {KEY} in {} yet, and --name is not given", data.display()),
    };
    Err(Error::usage(
        why,
        "give the name that logs shall know this witness by, as in --name witness.example.org",
    ))
}

fn refuse_log(data: &Path) -> Result<()> {
    if !data.join("mailtrail.db").exists() {
        return Ok(());
    }
    Err(Error::refused(
        format!("{} is the data directory of a log", data.display()),
        "name a directory of the witness's own with --data",
    ))
}
