//! What clients may take, and what is counted of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ipnet::IpNet;

use super::framing::HeadLimits;

/// What one client, and all of them together, may take. The defaults are for a machine of our own behind nothing.
#[derive(Debug, Clone)]
pub struct Limits {
    pub head: HeadLimits,
    /// Open at the same time, both listeners together; fewer when the process may not open so many files.
    pub connections: usize,
    /// Open at the same time from one address; a /64 counts as one address in IPv6.
    pub connections_per_address: usize,
    /// Reverse proxies and the like, which `connections_per_address` does not bind.
    pub exempt: Vec<IpNet>,
    /// Handlers at work at the same time; `turns` has whose.
    pub handlers: usize,
    /// How long a whole request waits for its handler before it is answered with 503.
    pub handler_wait: Duration,
    /// From the last answer (or the connecting) to the first byte of a request.
    pub idle_time: Duration,
    /// From the first byte of a head to its last; 408 above it.
    pub head_time: Duration,
    /// From the end of the head to the end of the body, beside what `body_rate` earns, and never more than this
    /// without a byte; 408 above it.
    pub body_time: Duration,
    /// Bytes a second that a body must come at in the long run.
    pub body_rate: u64,
    /// As `body_time`, for the client's taking of the answer; time spent making the answer does not count.
    pub answer_time: Duration,
    /// Bytes a second that a client must take its answer at in the long run.
    pub answer_rate: u64,
    /// Bytes of bodies that are coming and of answers that are going, held at the same time (`account` has whose); 503
    /// above.
    pub memory: usize,
    /// How long a large body waits for room before it is read, or answered with 503.
    pub room_wait: Duration,
    /// How long a large body waits for its turn to be recorded before it is answered with 503.
    pub work_wait: Duration,
    /// After the last answer of a connection: how long, and for how many bytes, what the client still sends is read
    /// and dropped, so that the answer is not lost to a reset.
    pub linger_time: Duration,
    pub linger_bytes: usize,
    /// Bytes of stack of a connection's thread. Handlers run in it, with SQLite and JSON.
    pub stack: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: HeadLimits::default(),
            connections: 1024,
            connections_per_address: 64,
            exempt: vec![IpAddr::from(Ipv4Addr::LOCALHOST).into(), IpAddr::from(Ipv6Addr::LOCALHOST).into()],
            handlers: 192,
            handler_wait: Duration::from_secs(2),
            idle_time: Duration::from_secs(30),
            head_time: Duration::from_secs(10),
            body_time: Duration::from_secs(20),
            body_rate: 32 * 1024,
            answer_time: Duration::from_secs(20),
            answer_rate: 8 * 1024,
            memory: 128 * 1024 * 1024,
            room_wait: Duration::from_secs(10),
            work_wait: Duration::from_secs(30),
            linger_time: Duration::from_secs(2),
            // A proxy that is still sending a body past the limit must find the refusal, not a reset.
            linger_bytes: 32 * 1024 * 1024,
            stack: 512 * 1024,
        }
    }
}

/// What happened since the start, for the metrics.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections accepted.
    pub accepted: AtomicU64,
    /// Connections open now.
    pub open: AtomicU64,
    /// Connections closed to make room for another.
    pub pushed_out: AtomicU64,
    /// Newcomers refused because everybody else was at work.
    pub turned_away: AtomicU64,
    /// Calls of `accept`, or starts of a thread, that the system refused.
    pub accept_failures: AtomicU64,
    /// Requests read whole.
    pub requests: AtomicU64,
    /// Requests read whole whose answer is not out yet.
    pub working: AtomicU64,
    /// Handlers that panicked.
    pub panics: AtomicU64,
    /// Answers that could not be finished: the client went or was too slow, or the making failed.
    pub cut_answers: AtomicU64,
    refused: [AtomicU64; REFUSALS.len()],
}

/// The statuses that the server itself refuses with.
const REFUSALS: [u16; 10] = [400, 408, 413, 414, 417, 429, 431, 501, 503, 505];

impl Counters {
    /// How many requests were refused with which status before a handler saw them.
    pub fn refused(&self) -> impl Iterator<Item = (u16, u64)> {
        REFUSALS.into_iter().zip(self.refused.iter().map(|count| count.load(Ordering::Relaxed)))
    }

    pub(super) fn count_refusal(&self, status: u16) {
        if let Some(at) = REFUSALS.iter().position(|known| *known == status) {
            self.refused[at].fetch_add(1, Ordering::Relaxed);
        }
    }
}
