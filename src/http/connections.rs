//! Who is connected, what each connection is doing, and which one goes when there is no room.
//!
//! A place is held as long as the socket. When seven eighths are taken, one of the address that has the most is closed
//! for each newcomer: the longest idle (or longest busy with its head); when there is none, the one longest busy with
//! its body, then one that does not take its answer. Who came or began a moment ago goes last, and a request at work
//! is never cut off to make room. An address (a /64 in IPv6) has its own, smaller number of places and makes room
//! among its own connections, so that one client cannot push out the others.
//!
//! # Races
//!
//! A connection may begin its next request while it is being chosen to go. Phase and beginning are one atomic word:
//! the choice is a compare-and-swap on the word that was looked at, and `enter` fails once the choice is made.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, Shutdown};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use rustix::net::RecvFlags;
use socket2::Socket;

use super::Peer;

/// How long a newcomer waits for a place that is being vacated when all are taken; after that it is let in regardless.
const VACATING: Duration = Duration::from_millis(100);

/// Whoever is at something for less than this goes only when nobody else is left: a newcomer that has not sent its
/// first byte yet would otherwise go before a thousand that drip their bodies.
const YOUNG: Duration = Duration::from_secs(1);

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Between requests, or before the first.
    Idle,
    Head,
    Body,
    /// From the whole request to the end of its answer.
    Work,
    /// The answer waits for a client that has not taken enough of it for a whole tick, or, begun, for the turn of its
    /// next piece.
    Stalled,
    /// The last answer is out; what still comes is read and dropped.
    Linger,
    /// Chosen to go; there is no way back.
    Gone,
}

impl Phase {
    const ALL: [Self; 7] =
        [Self::Idle, Self::Head, Self::Body, Self::Work, Self::Stalled, Self::Linger, Self::Gone];
    const BITS: u32 = 3;

    fn of(word: u64) -> Self {
        Self::ALL.get((word & 7) as usize).copied().unwrap_or(Self::Gone)
    }

    /// Lower goes first; `None` stays.
    fn order_of_leaving(self) -> Option<u8> {
        match self {
            Self::Idle | Self::Head | Self::Linger => Some(0),
            Self::Body => Some(1),
            Self::Stalled => Some(2),
            Self::Work | Self::Gone => None,
        }
    }
}

pub(super) struct Connection {
    pub number: u64,
    pub socket: Socket,
    pub peer: Peer,
    source: Option<IpAddr>,
    /// Until the first byte of its first request.
    pub is_new: AtomicBool,
    /// Microseconds since `start` above, the phase in the lowest three bits.
    word: AtomicU64,
    /// Set, and counted, while `open` below is locked.
    is_leaving: AtomicBool,
    start: Instant,
}

impl Connection {
    /// Goes on to `phase`. False when this connection was chosen to go: its thread then returns at once.
    pub fn enter(&self, phase: Phase) -> bool {
        let next = word(self.start, phase);
        let unless_gone = |word| (Phase::of(word) != Phase::Gone).then_some(next);
        self.word.fetch_update(Ordering::SeqCst, Ordering::SeqCst, unless_gone).is_ok()
    }

    /// Whether the other end has closed it, or its half of it.
    pub fn is_dead(&self) -> bool {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        match rustix::net::recv(&self.socket, &mut [0; 1], flags) {
            Ok((_, read)) => read == 0,
            Err(error) => !matches!(error, rustix::io::Errno::AGAIN | rustix::io::Errno::INTR),
        }
    }

    pub fn phase(&self) -> Phase {
        Phase::of(self.word.load(Ordering::SeqCst))
    }

    /// Closes it unless it went on since it was `seen`.
    fn send_away(&self, seen: u64) -> bool {
        let gone = word(self.start, Phase::Gone);
        let chosen = self.word.compare_exchange(seen, gone, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        if chosen {
            // Wakes the thread from its read. It fails when the other end has gone already, which wakes it as well.
            let _ = self.socket.shutdown(Shutdown::Both);
        }
        chosen
    }
}

fn word(start: Instant, phase: Phase) -> u64 {
    let micros = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX >> Phase::BITS);
    micros << Phase::BITS | phase as u64
}

/// How many may be connected.
pub(super) struct Room {
    pub connections: usize,
    pub per_source: usize,
    /// Networks that only the first number binds.
    pub exempt: Vec<IpNet>,
}

pub(super) struct Registry {
    room: Room,
    start: Instant,
    open: Mutex<Open>,
    left: Condvar,
}

#[derive(Default)]
struct Open {
    connections: HashMap<u64, Arc<Connection>>,
    by_source: HashMap<IpAddr, Count>,
    /// Sent away for another, and not gone yet.
    n_leaving: usize,
    last_number: u64,
}

/// The connections of one address.
#[derive(Clone, Copy, Default)]
struct Count {
    open: usize,
    /// Of these, sent away for another, and not gone yet.
    leaving: usize,
}

/// What became of a newcomer.
pub(super) enum Admission {
    /// `pushed_out` others had to go.
    In { place: Place, pushed_out: u64 },
    /// Every connection it could have replaced is at work.
    Full(Socket),
}

impl Registry {
    pub fn new(room: Room) -> Self {
        Self { room, start: Instant::now(), open: Mutex::default(), left: Condvar::new() }
    }

    pub fn admit(self: &Arc<Self>, socket: Socket, peer: Peer) -> Admission {
        let source = self.source(peer);
        let mut pushed_out = 0;
        let mut open = lock(&self.open);
        let count = source.and_then(|source| open.by_source.get(&source).copied()).unwrap_or_default();
        if count.open - count.leaving >= self.room.per_source {
            // Nobody waits for one address: whoever sends more than it may would make all others wait with it.
            let is_chosen = count.leaving < self.room.per_source && open.send_one_away(source, self.start);
            if !is_chosen {
                return Admission::Full(socket);
            }
            pushed_out += 1;
        }
        // An eighth of the places is kept for those that are sent away and not gone yet: on a busy machine that takes
        // a while, and with none to spare each newcomer would wait for it.
        let n_staying = open.connections.len() - open.n_leaving;
        if n_staying >= self.room.connections - self.room.connections / 8 {
            if open.send_one_away(None, self.start) {
                pushed_out += 1;
            } else if n_staying >= self.room.connections {
                return Admission::Full(socket);
            }
        }
        let is_full = |open: &mut Open| open.connections.len() >= self.room.connections;
        let waited = self.left.wait_timeout_while(open, VACATING, is_full);
        let mut open = waited.unwrap_or_else(PoisonError::into_inner).0;
        open.last_number += 1;
        let number = open.last_number;
        let word = AtomicU64::new(word(self.start, Phase::Idle));
        let (is_new, is_leaving) = (AtomicBool::new(true), AtomicBool::new(false));
        let start = self.start;
        let connection = Connection { number, socket, peer, source, is_new, word, is_leaving, start };
        let connection = Arc::new(connection);
        open.connections.insert(number, Arc::clone(&connection));
        if let Some(source) = source {
            open.by_source.entry(source).or_default().open += 1;
        }
        let place = Place { registry: Arc::clone(self), connection };
        Admission::In { place, pushed_out }
    }

    /// Closes all that wait for a request; those that never had one are given so long for it.
    pub fn send_idle_away(&self, first_request: Duration) {
        self.send_away_where(|connection| !connection.is_new.load(Ordering::SeqCst));
        let is_awaited = |open: &mut Open| {
            let mut all = open.connections.values();
            all.any(|connection| {
                connection.phase() == Phase::Idle && connection.is_new.load(Ordering::SeqCst)
            })
        };
        let until = Instant::now() + first_request;
        while is_awaited(&mut lock(&self.open)) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        self.send_away_where(|_| true);
    }

    /// Closes those that wait for a request and are meant.
    fn send_away_where(&self, is_meant: impl Fn(&Connection) -> bool) {
        for connection in lock(&self.open).connections.values() {
            let seen = connection.word.load(Ordering::SeqCst);
            if Phase::of(seen) == Phase::Idle && is_meant(connection) {
                connection.send_away(seen);
            }
        }
    }

    /// Closes all, whatever they are doing.
    pub fn send_all_away(&self) {
        for connection in lock(&self.open).connections.values() {
            connection.word.store(word(self.start, Phase::Gone), Ordering::SeqCst);
            let _ = connection.socket.shutdown(Shutdown::Both);
        }
    }

    /// Waits until nobody is connected, but no longer than `grace`. Says how many still are.
    pub fn wait_until_empty(&self, grace: Duration) -> usize {
        let occupied = |open: &mut Open| !open.connections.is_empty();
        let waited = self.left.wait_timeout_while(lock(&self.open), grace, occupied);
        waited.unwrap_or_else(PoisonError::into_inner).0.connections.len()
    }

    /// Whose places a peer takes; `None` when only the total binds it.
    fn source(&self, peer: Peer) -> Option<IpAddr> {
        let Peer::Tcp(address) = peer else { return None };
        if self.room.exempt.iter().any(|network| network.contains(&address)) {
            return None;
        }
        Some(match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        })
    }
}

impl Open {
    /// Sends away the connection that goes first, of `source` only when given. False when none may go.
    fn send_one_away(&mut self, source: Option<IpAddr>, start: Instant) -> bool {
        let now = word(start, Phase::Idle) >> Phase::BITS;
        loop {
            let candidates = self.connections.values().filter(|c| source.is_none() || c.source == source);
            let first = candidates
                .filter_map(|connection| {
                    let seen = connection.word.load(Ordering::SeqCst);
                    let age = now.saturating_sub(seen >> Phase::BITS);
                    let is_young = u128::from(age) < YOUNG.as_micros();
                    let order = Phase::of(seen).order_of_leaving()?;
                    let count = connection.source.and_then(|source| self.by_source.get(&source));
                    let n_others = count.map_or(0, |count| count.open - count.leaving);
                    Some(((is_young, Reverse(n_others), order), seen, connection))
                })
                .min_by_key(|(order, seen, _)| (*order, *seen));
            let Some((_, seen, connection)) = first else { return false };
            if connection.send_away(seen) {
                connection.is_leaving.store(true, Ordering::Relaxed);
                self.n_leaving += 1;
                if let Some(count) = connection.source.and_then(|source| self.by_source.get_mut(&source)) {
                    count.leaving += 1;
                }
                return true;
            }
        }
    }
}

/// Held by the connection's thread; dropping it frees the place and closes the socket, also while unwinding.
pub(super) struct Place {
    registry: Arc<Registry>,
    pub connection: Arc<Connection>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = lock(&self.registry.open);
        open.connections.remove(&self.connection.number);
        let is_leaving = usize::from(self.connection.is_leaving.load(Ordering::Relaxed));
        open.n_leaving -= is_leaving;
        if let Some(source) = self.connection.source
            && let Some(count) = open.by_source.get_mut(&source)
        {
            count.open -= 1;
            count.leaving -= is_leaving;
            if count.open == 0 {
                open.by_source.remove(&source);
            }
        }
        drop(open);
        self.registry.left.notify_all();
    }
}

/// A panic while a lock of ours is held leaves nothing half done, so the poison says nothing.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::Ipv4Addr;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn registry(connections: usize, per_source: usize) -> Arc<Registry> {
        Arc::new(Registry::new(Room { connections, per_source, exempt: vec!["10.0.0.0/8".parse().unwrap()] }))
    }

    /// A connection and the client's end of it.
    fn admit(registry: &Arc<Registry>, peer: Peer) -> Option<(Place, UnixStream)> {
        let (ours, theirs) = UnixStream::pair().unwrap();
        match registry.admit(Socket::from(OwnedFd::from(ours)), peer) {
            Admission::In { place, .. } => Some((place, theirs)),
            Admission::Full(_) => None,
        }
    }

    fn is_closed((_, theirs): &(Place, UnixStream)) -> bool {
        theirs.set_nonblocking(true).unwrap();
        matches!((&*theirs).read(&mut [0]), Ok(0))
    }

    const LOCAL: Peer = Peer::Unix { uid: 0 };

    #[test]
    fn a_newcomer_does_not_go_before_those_who_drip_their_bodies() {
        let mut registry = Registry::new(Room { connections: 4, per_source: 9, exempt: Vec::new() });
        registry.start -= Duration::from_secs(10);
        let registry = Arc::new(registry);
        let dripping: Vec<_> = (0..4).map(|_| admit(&registry, LOCAL).unwrap()).collect();
        for (place, _) in &dripping {
            // Since ten seconds.
            place.connection.word.store(Phase::Body as u64, Ordering::SeqCst);
        }
        let first = admit(&registry, LOCAL).unwrap();
        let second = admit(&registry, LOCAL).unwrap();
        assert!(!is_closed(&first) && !is_closed(&second));
        assert_eq!(dripping.iter().filter(|client| is_closed(client)).count(), 2);
    }

    #[test]
    fn who_has_the_most_connections_gives_one_up_first() {
        let registry = registry(4, 9);
        let peer = |last| Peer::Tcp(Ipv4Addr::new(192, 0, 2, last).into());
        let lone = admit(&registry, peer(1)).unwrap();
        let many: Vec<_> = (0..3).map(|_| admit(&registry, peer(2)).unwrap()).collect();
        let _newcomer = admit(&registry, peer(3)).unwrap();
        assert!(!is_closed(&lone), "idle for the longest time, but alone");
        assert_eq!(many.iter().map(is_closed).collect::<Vec<_>>(), [true, false, false]);
    }

    #[test]
    fn one_address_makes_nobody_wait_and_has_no_more_than_twice_its_places() {
        let registry = registry(64, 2);
        let peer = Peer::Tcp(Ipv4Addr::new(192, 0, 2, 1).into());
        // None of them goes by itself: their places are held here.
        let all: Vec<_> = (0..4).map(|_| admit(&registry, peer).unwrap()).collect();
        assert_eq!(all.iter().map(is_closed).collect::<Vec<_>>(), [true, true, false, false]);
        assert!(admit(&registry, peer).is_none());
        drop(all);
        assert!(admit(&registry, peer).is_some());
        assert_eq!(lock(&registry.open).n_leaving, 0);
    }

    #[test]
    fn the_longest_idle_goes_then_the_longest_reading_and_never_one_at_work() {
        let registry = registry(4, 9);
        let all: Vec<_> = std::iter::repeat_with(|| admit(&registry, LOCAL).unwrap()).take(4).collect();
        let phases = [Phase::Stalled, Phase::Body, Phase::Head, Phase::Idle];
        for ((place, _), phase) in all.iter().zip(phases) {
            std::thread::sleep(Duration::from_millis(2));
            assert!(place.connection.enter(phase));
        }
        let closed = || all.iter().map(is_closed).collect::<Vec<_>>();
        let first = admit(&registry, LOCAL).unwrap();
        assert_eq!(closed(), [false, false, true, false]);
        assert!(!all[2].0.connection.enter(Phase::Work), "there is no way back");
        first.0.connection.enter(Phase::Work);
        let second = admit(&registry, LOCAL).unwrap();
        assert_eq!(closed(), [false, false, true, true]);
        second.0.connection.enter(Phase::Work);
        let third = admit(&registry, LOCAL).unwrap();
        assert_eq!(closed(), [false, true, true, true]);
        third.0.connection.enter(Phase::Work);
        let fourth = admit(&registry, LOCAL).unwrap();
        assert_eq!(closed(), [true, true, true, true]);
        fourth.0.connection.enter(Phase::Work);
        assert!(admit(&registry, LOCAL).is_none());
        drop((all, first, second, third, fourth));
        assert_eq!(registry.wait_until_empty(Duration::ZERO), 0);
        assert!(lock(&registry.open).by_source.is_empty());
    }

    #[test]
    fn a_source_makes_room_among_its_own() {
        let v6 = |text: &str| Peer::Tcp(text.parse().unwrap());
        let one = v6("2001:db8:0:1::1");
        for (same, other) in [
            (v6("2001:db8:0:1:ffff::2"), v6("2001:db8:0:2::1")),
            (one, Peer::Tcp(Ipv4Addr::new(192, 0, 2, 1).into())),
        ] {
            let registry = registry(10, 2);
            let stranger = admit(&registry, other).unwrap();
            let first = admit(&registry, one).unwrap();
            std::thread::sleep(Duration::from_millis(2));
            let second = admit(&registry, same).unwrap();
            let third = admit(&registry, one).unwrap();
            assert_eq!([&stranger, &first, &second, &third].map(is_closed), [false, true, false, false]);
        }
        let registry = registry(10, 1);
        let exempt = || admit(&registry, v6("10.1.2.3")).unwrap();
        assert_eq!([exempt(), exempt(), exempt()].each_ref().map(is_closed), [false; 3]);
    }
}
