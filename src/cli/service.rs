//! What systemd is told while we serve (sd_notify(3)): ready, alive, stopping. Where nobody listens, nothing is sent.
//!
//! Alive means that the writer thread gets on: a process that answers reads and records nothing must be restarted.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use crate::store::Store;

/// Looks in the time within which systemd wants a sign of life: one that comes late does no harm.
const LOOKS: u32 = 4;

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
