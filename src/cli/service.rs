//! What systemd is told while we serve (sd_notify(3)): ready, alive, stopping. Where nobody listens, nothing is sent.
//!
//! Alive means that the writer thread gets on: a process that answers reads and records nothing must be restarted.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use listenfd::ListenFd;

use sd_notify::NotifyState;

use crate::error::{Error, Result};
use crate::store::Store;

/// Looks in the time within which systemd wants a sign of life: one that comes late does no harm.
const LOOKS: u32 = 4;

/// Whether standard error goes to the journal (systemd.exec(5), JOURNAL_STREAM): a redirection of it does not.
pub fn is_in_journal() -> bool {
    let stream = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    let Some((device, inode)) = stream.split_once(':') else { return false };
    rustix::fs::fstat(std::io::stderr())
        .is_ok_and(|stat| device.parse() == Ok(stat.st_dev) && inode.parse() == Ok(stat.st_ino))
}

/// What the journal takes a line for that begins with it (sd-daemon(3)).
pub fn priority(level: log::Level) -> u8 {
    match level {
        log::Level::Error => 3,
        log::Level::Warn => 4,
        log::Level::Info => 6,
        log::Level::Debug | log::Level::Trace => 7,
    }
}

/// The socket that systemd listens on for us (mailtrail.socket), where it does: while no server runs, who connects waits.
///
/// # Errors
/// `Refused` when there are several, or one of another kind.
pub fn listener() -> Result<Option<TcpListener>> {
    let mut sockets = ListenFd::from_env();
    let refused =
        |what: String| Error::refused(what, "give mailtrail.socket one ListenStream=, an address and a port");
    match sockets.len() {
        0 => Ok(None),
        1 => sockets.take_tcp_listener(0).map_err(|error| refused(format!("systemd's socket: {error}"))),
        n => Err(refused(format!("systemd hands over {n} sockets"))),
    }
}

pub fn ready(url: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(&serving(url))]);
}

/// Before it can serve: somebody has the data directory still.
pub fn waiting(what: &str) {
    log::warn!("{what}");
    tell(&[NotifyState::Status(what)]);
}

pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("answering what is in flight")]);
}

fn serving(url: &str) -> String {
    format!("serving {url}")
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        log::warn!("systemd cannot be told {state:?}: {error}");
    }
}

/// Passes the writer's signs of life on to systemd, when it wants any (`WatchdogSec=`).
pub struct Watchdog {
    every: Duration,
    looked: Instant,
    rounds: u64,
    hangs: bool,
}

impl Watchdog {
    pub fn start(store: &Store) -> Option<Self> {
        let every = sd_notify::watchdog_enabled()? / LOOKS;
        Some(Self { every, looked: Instant::now(), rounds: store.writer_rounds(), hangs: false })
    }

    /// To be called often. Says that we are alive if the writer got on since the last look.
    pub fn look(&mut self, store: &Store, url: &str) {
        if self.looked.elapsed() < self.every {
            return;
        }
        self.looked = Instant::now();
        let rounds = store.writer_rounds();
        let hangs = rounds == self.rounds;
        self.rounds = rounds;
        if !hangs {
            tell(&[NotifyState::Watchdog]);
        }
        if hangs != self.hangs {
            self.hangs = hangs;
            if hangs {
                log::error!("the writer thread does not get on; systemd will restart us unless it does");
                tell(&[NotifyState::Status("the writer thread does not get on")]);
            } else {
                log::warn!("the writer thread gets on again");
                tell(&[NotifyState::Status(&serving(url))]);
            }
        }
    }
}
