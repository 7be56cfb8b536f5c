//! The address of the client, through the proxies we trust.
//!
//! `X-Forwarded-For` is whatever the client wrote, with one entry added by each proxy on the right. It counts only
//! when the peer itself is a trusted proxy, and is read from the right: the first entry that is not a trusted
//! proxy's is the client. Reading from the left would believe the client.
//!
//! Where that entry is no address (`unknown`, `_hidden`, nonsense), nobody knows who asks. It is not the proxy, which
//! is exempt from much: all who come so are counted together, as if they had one address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::http::{Peer, Request};

/// Entries looked at, from the right.
const HOPS: usize = 20;

/// Where a request came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// A Unix socket without a proxy's word, or the same process.
    Local,
    /// An address: also a trusted proxy's own, where it speaks for nobody.
    At(IpAddr),
    /// A trusted proxy at this address speaks for somebody, and does not say for whom.
    For(IpAddr),
}

impl Client {
    /// The nearest address to the client that is known.
    pub fn address(self) -> Option<IpAddr> {
        match self {
            Self::At(address) | Self::For(address) => Some(address),
            Self::Local => None,
        }
    }

    /// Its own address, where that is known.
    pub fn own(self) -> Option<IpAddr> {
        match self {
            Self::At(address) => Some(address),
            Self::Local | Self::For(_) => None,
        }
    }

    /// What its requests, failures and memory are counted under. The nameless share the address that nobody has.
    pub fn source(self) -> Option<IpAddr> {
        match self {
            Self::Local => None,
            Self::At(address) => Some(source(address)),
            Self::For(_) => Some(Ipv4Addr::UNSPECIFIED.into()),
        }
    }
}

/// The nearest address to the client that is known; `None` where there is none.
pub fn client(request: &Request, trusted: &[IpNet]) -> Option<IpAddr> {
    of(request.peer, &request.headers, trusted).address()
}

pub fn of(peer: Peer, headers: &[(String, String)], trusted: &[IpNet]) -> Client {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    let peer = match peer {
        Peer::Tcp(address) => Client::At(address.to_canonical()),
        Peer::Unix { .. } | Peer::Local => Client::Local,
    };
    if peer.address().is_some_and(|peer| !is_trusted(&peer)) {
        return peer;
    }
    let fields: Vec<&str> = headers
        .iter()
        .filter(|(name, _)| name == "x-forwarded-for")
        .map(|(_, value)| value.as_str())
        .collect();
    if fields.is_empty() {
        return peer;
    }
    let nameless = |client: Client| client.address().map_or(client, Client::For);
    let mut client = nameless(peer);
    let entries = fields.into_iter().rev().flat_map(|value| value.rsplit(','));
    // RFC 9110 section 5.6.1.2: an empty element is none.
    for (at, entry) in entries.filter(|entry| !entry.trim().is_empty()).enumerate() {
        match written(entry) {
            Some(address) if at < HOPS => client = Client::At(address),
            _ => return nameless(client),
        }
        if client.address().is_some_and(|address| !is_trusted(&address)) {
            break;
        }
    }
    client
}

/// One name for all the addresses that one client has as a rule: a /64 in IPv6.
pub fn source(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

/// The number of an address's source.
pub fn bits(address: IpAddr) -> u128 {
    match source(address) {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// An address as proxies and logs write it: with or without quotes, brackets, a zone (`fe80::1%eth0`) and a port.
pub fn written(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']').filter(|(_, port)| is_port(port))?.0,
        None => match text.split_once(':') {
            Some((before, _)) if before.contains('.') && is_port(&text[before.len()..]) => before,
            _ => text,
        },
    };
    let bare = bare.split_once('%').map_or(bare, |(address, _)| address);
    bare.parse().ok().map(|address: IpAddr| address.to_canonical())
}

/// Nothing, or a colon and a number.
fn is_port(text: &str) -> bool {
    text.is_empty() || text.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok())
}

/// Whether the client came over https: the word of a trusted proxy.
pub fn is_https(request: &Request, trusted: &[IpNet]) -> bool {
    let believed = match request.peer {
        Peer::Tcp(address) => trusted.iter().any(|network| network.contains(&address.to_canonical())),
        Peer::Unix { .. } | Peer::Local => true,
    };
    believed && request.header("x-forwarded-proto").is_some_and(|proto| proto.eq_ignore_ascii_case("https"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Line, Method, Query};

    #[test]
    fn the_first_untrusted_address_from_the_right_is_the_client() {
        let trusted: Vec<IpNet> =
            ["127.0.0.1/32", "10.0.0.0/8"].iter().map(|n| n.parse().expect("a network")).collect();
        // More proxies than are looked at.
        let long = "10.0.0.7,".repeat(HOPS + 1);
        for (peer, forwarded, expected) in [
            ("127.0.0.1", None, "127.0.0.1"),
            ("127.0.0.1", Some("203.0.113.42"), "203.0.113.42"),
            ("127.0.0.1", Some("1.1.1.1, 203.0.113.42"), "203.0.113.42"),
            ("127.0.0.1", Some("1.1.1.1, 203.0.113.42, 10.0.0.7"), "203.0.113.42"),
            ("127.0.0.1", Some("10.0.0.7"), "10.0.0.7"),
            ("127.0.0.1", Some("1.1.1.1, nonsense, 10.0.0.7"), "somebody behind 10.0.0.7"),
            ("127.0.0.1", Some("nonsense"), "somebody behind 127.0.0.1"),
            ("127.0.0.1", Some("unknown"), "somebody behind 127.0.0.1"),
            ("127.0.0.1", Some("_hidden"), "somebody behind 127.0.0.1"),
            ("127.0.0.1", Some("203.0.113.42:port"), "somebody behind 127.0.0.1"),
            ("127.0.0.1", Some("[2001:db8::1"), "somebody behind 127.0.0.1"),
            ("127.0.0.1", Some(""), "somebody behind 127.0.0.1"),
            ("127.0.0.1", Some(" , "), "somebody behind 127.0.0.1"),
            ("127.0.0.1", Some(long.as_str()), "somebody behind 10.0.0.7"),
            ("198.51.100.9", Some("nonsense"), "198.51.100.9"),
            ("127.0.0.1", Some("203.0.113.42:5050"), "203.0.113.42"),
            ("127.0.0.1", Some("[2001:db8::1]:443"), "2001:db8::1"),
            ("127.0.0.1", Some("::ffff:203.0.113.42"), "203.0.113.42"),
            ("127.0.0.1", Some("203.0.113.42,"), "203.0.113.42"),
            ("127.0.0.1", Some(", 203.0.113.42 , ,10.0.0.7,"), "203.0.113.42"),
            ("127.0.0.1", Some("[fe80::1%eth0]:443"), "fe80::1"),
            ("198.51.100.9", Some("203.0.113.42"), "198.51.100.9"),
        ] {
            let headers = forwarded.map(|value| ("x-forwarded-for".to_owned(), value.to_owned()));
            let request = Request {
                id: String::new(),
                method: Method::Get,
                path: "/".into(),
                parameters: Vec::new(),
                query: Query::default(),
                headers: headers.into_iter().collect(),
                body: Vec::new(),
                peer: Peer::Tcp(peer.parse().expect("an address")),
                asker: crate::store::Asker::default(),
                line: Line::default(),
            };
            let client = match of(request.peer, &request.headers, &trusted) {
                Client::At(address) => address.to_string(),
                Client::For(proxy) => format!("somebody behind {proxy}"),
                Client::Local => "ourselves".into(),
            };
            assert_eq!(client, expected, "{peer} {forwarded:?}");
        }
    }
}
