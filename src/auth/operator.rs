//! Who the operator is: the uid at the other end of the Unix socket, which is the kernel's word, and, where that is root,
//! who became root, which is the client's.
//!
//! Several people share root, and `sudo` knows which of them it was. What a client says of it is believed from root alone,
//! who could as well write the file; `(sudo: ada)` behind the name shows that it is said and not known.

use std::fs::File;
use std::io::Read;

use crate::http::{Peer, Request};

/// `UID`, or `UID HOW LOGIN`: what the command line says of itself. Of the uid nobody believes it but this process.
pub const OPERATOR_HEADER: &str = "mailtrail-operator";

/// What tells who became root, in the order of how much it says.
const BECAME_ROOT: [(&str, &str); 2] = [("SUDO_USER", "sudo"), ("DOAS_USER", "doas")];

/// Bytes of /etc/passwd, and of a name.
const MOST_USERS: u64 = 1 << 20;
const LONGEST_NAME: usize = 64;

/// As rows and activities name them: `operator root (sudo: ada)`.
pub fn name(request: &Request) -> String {
    describe(request.peer, request.header(OPERATOR_HEADER).unwrap_or_default())
}

/// This process, by what it says of itself (`of_this_process`).
pub fn name_here(told: &str) -> String {
    describe(Peer::Local, told)
}

fn describe(peer: Peer, told: &str) -> String {
    let mut words = told.split(' ');
    let own_uid = words.next().and_then(|uid| uid.parse().ok());
    let uid = match peer {
        Peer::Unix { uid } => Some(uid),
        Peer::Local => own_uid,
        Peer::Tcp(_) => None,
    };
    let Some(uid) = uid else { return "operator".into() };
    let name = format!("operator {}", user_name(uid).unwrap_or_else(|| format!("uid {uid}")));
    match (words.next(), words.next(), words.next()) {
        (Some(how @ ("sudo" | "doas" | "login")), Some(login), None) if uid == 0 && is_name(login) => {
            format!("{name} ({how}: {login})")
        }
        _ => name,
    }
}

/// What this process says of itself, to be asked before it becomes somebody else.
pub fn of_this_process() -> String {
    let uid = rustix::process::getuid().as_raw();
    let told = BECAME_ROOT.into_iter().find_map(|(variable, how)| Some((how, std::env::var(variable).ok()?)));
    let login = || Some(("login", login_name(uid)?));
    match told.filter(|(_, name)| is_name(name)).or_else(login) {
        Some((how, name)) => format!("{uid} {how} {name}"),
        None => uid.to_string(),
    }
}

/// Who logged in, which a process keeps whoever it becomes; `None` where nobody did, or it is who it is now.
fn login_name(uid: u32) -> Option<String> {
    let login = std::fs::read_to_string("/proc/self/loginuid").ok()?.trim().parse().ok()?;
    if login == uid || login == u32::MAX { None } else { user_name(login).filter(|name| is_name(name)) }
}

/// The name of a user of this machine.
fn user_name(uid: u32) -> Option<String> {
    let mut users = String::new();
    File::open("/etc/passwd").ok()?.take(MOST_USERS).read_to_string(&mut users).ok()?;
    let uid = uid.to_string();
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid && is_name(name)).then(|| name.to_owned())
    })
}

/// What a row can name without being mistaken for something else.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= LONGEST_NAME
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'$' | b'\\' | b'+'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Line, Method, Query};

    fn named(peer: Peer, told: &str) -> String {
        name(&Request {
            id: String::new(),
            method: Method::Get,
            path: "/".into(),
            parameters: Vec::new(),
            query: Query::from_pairs(Vec::<(String, String)>::new()),
            headers: vec![(OPERATOR_HEADER.into(), told.into())],
            body: Vec::new(),
            peer,
            asker: crate::store::Asker::default(),
            line: Line::default(),
        })
    }

    #[test]
    fn the_kernel_says_who_and_root_alone_says_who_else() {
        let nobody = 4_000_000_000;
        for (peer, told, expected) in [
            (Peer::Unix { uid: 0 }, "", "operator root"),
            (Peer::Unix { uid: 0 }, "0 sudo ada", "operator root (sudo: ada)"),
            (Peer::Unix { uid: 0 }, "1000 login ada", "operator root (login: ada)"),
            (Peer::Unix { uid: nobody }, "0 sudo ada", "operator uid 4000000000"),
            (Peer::Unix { uid: 0 }, "0 sudo ada) (sudo: bob", "operator root"),
            (Peer::Unix { uid: 0 }, "0 sudo ada@example.org", "operator root"),
            (Peer::Unix { uid: 0 }, "0 friend ada", "operator root"),
            (Peer::Unix { uid: 0 }, "0 sudo", "operator root"),
            (Peer::Local, "0 sudo ada", "operator root (sudo: ada)"),
            (Peer::Local, "4000000000 sudo ada", "operator uid 4000000000"),
            (Peer::Local, "", "operator"),
        ] {
            assert_eq!(named(peer, told), expected, "{peer:?} {told:?}");
        }
        assert!(of_this_process().starts_with(&rustix::process::getuid().as_raw().to_string()));
    }
}
