//! The two halves of an accepted socket, each with a deadline.
//!
//! Blocked calls return every tick (`SO_RCVTIMEO`, `SO_SNDTIMEO`, a second at most) and the time is compared with an
//! absolute instant, so a client that moves a byte a second gains nothing. What is long by nature, a body or an
//! answer, earns time by the bytes that move: a least rate.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use rustix::net::SendFlags;

use super::connections::{Connection, Phase};
use super::limits::Limits;

/// The reading half of a socket, with a deadline.
pub(super) struct Inlet<'a> {
    connection: &'a Connection,
    until: Instant,
    most: Duration,
    rate: u64,
}

impl<'a> Inlet<'a> {
    /// Reads nothing before `allow` has given it time.
    pub fn new(connection: &'a Connection) -> Self {
        Self { connection, until: Instant::now(), most: Duration::ZERO, rate: 0 }
    }

    /// From now on, `time` is left; every `rate` bytes earn a second more (0: nothing does), but never is more left
    /// than `time`.
    pub fn allow(&mut self, time: Duration, rate: u64) {
        (self.until, self.most, self.rate) = (Instant::now() + time, time, rate);
    }
}

impl Read for Inlet<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            if Instant::now() >= self.until {
                return Err(io::ErrorKind::TimedOut.into());
            }
            match (&self.connection.socket).read(out) {
                Ok(read) => {
                    if self.rate > 0 {
                        self.until = (self.until + earned(read, self.rate)).min(Instant::now() + self.most);
                    }
                    return Ok(read);
                }
                Err(error) if is_tick(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// The writing half of a socket: what it waits for the client is bounded, and earned back by the bytes that leave.
/// While it waits, the connection counts as stalled and may be closed for another.
pub(super) struct SocketOutlet<'a> {
    connection: &'a Connection,
    left: Duration,
    most: Duration,
    rate: u64,
}

impl<'a> SocketOutlet<'a> {
    pub fn new(connection: &'a Connection, limits: &Limits) -> Self {
        let (left, rate) = (limits.answer_time, limits.answer_rate);
        Self { connection, left, most: left, rate }
    }

    /// A connection that stays in its phase is not taken for one that began it just now.
    fn note(&self, phase: Phase) -> io::Result<()> {
        if self.connection.phase() != phase && !self.connection.enter(phase) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }
}

impl Write for SocketOutlet<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let until = Instant::now() + self.left;
        loop {
            let sent = rustix::net::send(&self.connection.socket, bytes, SendFlags::NOSIGNAL);
            let left = until.saturating_duration_since(Instant::now());
            match sent.map_err(io::Error::from) {
                Ok(sent) => {
                    self.left = (left + earned(sent, self.rate)).min(self.most);
                    // A blocking socket takes a part only when the tick is over.
                    self.note(if sent < bytes.len() { Phase::Stalled } else { Phase::Work })?;
                    return Ok(sent);
                }
                Err(error) if !is_tick(&error) => return Err(error),
                Err(_) if left.is_zero() => return Err(io::ErrorKind::TimedOut.into()),
                Err(_) => self.note(Phase::Stalled)?,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What `bytes` earn at `rate` bytes a second.
fn earned(bytes: usize, rate: u64) -> Duration {
    let micros = (bytes as u64).saturating_mul(1_000_000) / rate.max(1);
    Duration::from_micros(if rate == 0 { 0 } else { micros })
}

/// The socket's own timeout, or a signal: nothing happened but time.
fn is_tick(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted)
}
