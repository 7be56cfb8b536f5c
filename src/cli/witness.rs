//! `witness`: cosigns the checkpoints of others' logs.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::json;

use super::arguments::Witness;
use super::setup::signals;
use super::terminal::print;
use super::{Context, service};
use crate::error::{Error, Result};
use crate::privileges;
use crate::time::Clock;
use crate::tlog::note::{Kind, Verifier};
use crate::witness::running::{KEY, Running, read_key};

/// `data` as it was typed: the setting's default is the directory of a log.
pub fn run(context: &Context, data: Option<&Path>, command: &Witness) -> Result<()> {
    let data = data.ok_or_else(|| {
        Error::usage(
            "--data is not given",
            "a witness has a directory of its own, as in: mailtrail witness --data ./witness …",
        )
    })?;
    privileges::descend()?;
    if command.show_key {
        return show_key(context, data);
    }
    let logs = command.logs.iter().map(|log| parse_log(log)).collect::<Result<Vec<_>>>()?;
    let listen: SocketAddr = command.listen.parse().map_err(|_| {
        Error::usage(
            format!("--listen {:?} is not an address and a port", command.listen),
            "give one as in 127.0.0.1:7466 or [::1]:7466; port 0 takes a free one",
        )
    })?;
    // From here on a signal is a drain.
    let signals = signals()?;
    let limits = (context.config.limits.clone(), context.config.requests_per_address);
    let running = Running::start(data, command.name.as_deref(), logs, listen, limits, Clock::system())?;
    print(&format!("{}\n{}", running.url(), running.verifier))?;
    log::info!("listening on {}, for {} keys of logs", running.url(), command.logs.len());
    service::ready(&running.url());
    let _ = signals.recv();
    log::info!("stopping");
    service::stopping();
    running.stop();
    Ok(())
}

fn show_key(context: &Context, data: &Path) -> Result<()> {
    let cosigner = read_key(data)?.ok_or_else(|| {
        Error::usage(
            format!("there is no {KEY} in {}", data.display()),
            "the first start makes it: mailtrail witness --data DIR --name NAME --log VKEY",
        )
    })?;
    let verifier = cosigner.verifier().to_string();
    context.answer(&json!({ "verifier": verifier }), |_| verifier.clone())
}

fn parse_log(text: &str) -> Result<Verifier> {
    Verifier::parse(text).filter(|verifier| verifier.kind() == Kind::Ed25519).ok_or_else(|| {
        Error::usage(
            format!(
                "--log {text:?} is not the verifier key of a log; accepted: NAME+ID+KEY, the key of type 1"
            ),
            "the log's operator has it: mailtrail checkpoint --json | jq -r .verifier",
        )
    })
}
