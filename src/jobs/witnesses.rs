//! Has the last checkpoint cosigned by the witnesses that the setting `witnesses` names (C2SP tlog-witness).
//!
//! A call is made in a thread of its own that knows what it sends and nothing else; the scheduler takes up the answer at
//! one of its next looks. So a witness that is down or hangs delays no row and no other witness, there is one call to
//! each at most, and at the end nobody waits for it. What an answer holds is believed for its signature alone, and so
//! it may come over http.
//!
//! Trouble is told once, until it is another: a line an hour from a witness that is gone would hide the rest.

use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use log::Level::{Error as Alarm, Warn};
use serde_json::Value;

use crate::app::App;
use crate::checkpoints::{Checkpoints, Signed};
use crate::config;
use crate::error::{Error, Result};
use crate::http::remote::{self, Prefix};
use crate::time::{SECOND, Timestamp};
use crate::tlog::merkle;
use crate::tlog::note::{Note, Verifier, number};
use crate::tlog::tree::Stored;
use crate::witness::{ADD_CHECKPOINT, Submission};

/// Seconds from one checkpoint to the next that the witnesses see. They are due at the same multiples of it, so that one
/// checkpoint has the lines of all.
const EVERY: i64 = 10;
/// Seconds: the longest pause after trouble.
const LONGEST_PAUSE: i64 = 3600;
/// From the name's look-up to the end of the answer.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Of an answer: some signature lines, or a number.
const MOST_BYTES: u64 = 64 * 1024;

/// Those of the configuration, and what is known of them.
pub struct Witnesses(Vec<Witness>);

struct Witness {
    verifier: Verifier,
    url: Prefix,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Leaves of this log that it has seen, as far as is known.
    seen: u64,
    /// Leaves, and seconds since 1970.
    cosigned: Option<(u64, u64)>,
    call: Option<Call>,
    /// Not before; unless the clock stepped back.
    next: Timestamp,
    n_failures: u32,
    told: Option<String>,
}

/// A call under way.
struct Call {
    signed: Signed,
    old: u64,
    /// After a 409, with the size that it told.
    is_second: bool,
    answer: Receiver<Result<(u16, String)>>,
}

pub fn run(app: &App) -> Result<Value> {
    // One for all, so that their lines stand below the same note.
    let Some(last) = app.checkpoints.latest() else { return Ok(Value::Null) };
    let now = app.clock.now();
    let looked: Vec<Result<()>> =
        app.witnesses.0.iter().map(|witness| witness.look(app, &last, now)).collect();
    looked.into_iter().collect::<Result<Vec<_>>>()?;
    Ok(Value::Null)
}

impl Witnesses {
    /// What they have cosigned of the last checkpoint is read from it.
    pub fn open(configured: &[config::Witness], checkpoints: &Checkpoints) -> Self {
        let last = checkpoints.latest();
        let known = last.and_then(|last| Some((last.size, Note::parse(&last.note).ok()?)));
        let all = configured.iter().map(|config::Witness { verifier, url }| {
            let cosigned =
                known.as_ref().and_then(|(size, note)| Some((*size, note.cosignature(verifier)?.0)));
            let seen = cosigned.map_or(0, |(size, _)| size);
            let state = Mutex::new(State { seen, cosigned, ..State::default() });
            Witness { verifier: verifier.clone(), url: url.clone(), state }
        });
        Self(all.collect())
    }

    /// The name of each, with the leaves of what it last cosigned, and when, in seconds since 1970.
    pub fn cosigned(&self) -> impl Iterator<Item = (&str, Option<(u64, u64)>)> {
        self.0.iter().map(|witness| (witness.verifier.name(), witness.state().cosigned))
    }
}

impl Witness {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes up an answer that is there, and asks when it is time to.
    fn look(&self, app: &App, last: &Signed, now: Timestamp) -> Result<()> {
        let state = &mut *self.state();
        if let Some(call) = state.call.take() {
            match call.answer.try_recv() {
                Err(TryRecvError::Empty) => {
                    state.call = Some(call);
                    return Ok(());
                }
                Err(TryRecvError::Disconnected) => {
                    self.tell(state, now, Warn, "the call to it broke off");
                }
                Ok(Err(error)) => {
                    self.tell(state, now, Warn, &format!("it cannot be asked: {error}"));
                }
                Ok(Ok(answer)) => return self.take(app, state, &call, &answer, last, now),
            }
        }
        let is_due = state.next <= now || state.next > now.plus_seconds(LONGEST_PAUSE);
        let is_cosigned = state.cosigned.is_some_and(|(size, _)| size == last.size);
        if is_due && !is_cosigned { self.ask(app, state, last, false, now) } else { Ok(()) }
    }

    fn take(
        &self,
        app: &App,
        state: &mut State,
        call: &Call,
        (status, body): &(u16, String),
        last: &Signed,
        now: Timestamp,
    ) -> Result<()> {
        let size = call.signed.size;
        // Also when what follows fails.
        state.next = pause(now, EVERY);
        match (*status, number(body.trim_end_matches('\n'))) {
            (200, _) => {
                let added =
                    app.checkpoints.add_cosignature(&app.store, &call.signed, &self.verifier, body)?;
                match added {
                    Some(time) => self.well(state, (size, time)),
                    None => self.tell(state, now, Warn, "its answer is no cosignature by its key"),
                }
            }
            (409, Some(seen)) if seen > size => self.tell(
                state,
                now,
                Alarm,
                &format!(
                    "it has seen {seen} leaves of this log, which has {size}: the log was put back to an earlier state, \
                     or another signs in its name"
                ),
            ),
            (409, Some(seen)) if seen != call.old && !call.is_second => {
                state.seen = seen;
                return self.ask(app, state, last, true, now);
            }
            (409, _) => self.tell(state, now, Warn, "it does not tell how much of this log it has seen"),
            (422, _) => self.tell(
                state,
                now,
                Alarm,
                &format!(
                    "the {size} leaves of this log do not continue the {} it has seen: entries were changed or removed, \
                     or another signs in the log's name",
                    call.old
                ),
            ),
            (404, _) => {
                let key = app.checkpoints.verifier();
                self.tell(state, now, Warn, &format!("it does not know this log; it needs the key {key}"));
            }
            (403, _) => {
                let key = app.checkpoints.verifier();
                self.tell(state, now, Warn, &format!("it knows this log by other keys than {key}"));
            }
            (status, _) => self.tell(state, now, Warn, &format!("it answers {status}")),
        }
        Ok(())
    }

    /// Sends the checkpoint, with the proof that it continues what the witness has seen.
    fn ask(
        &self,
        app: &App,
        state: &mut State,
        last: &Signed,
        is_second: bool,
        now: Timestamp,
    ) -> Result<()> {
        let (old, size) = (state.seen, last.size);
        let proof = match old {
            0 => Vec::new(),
            old => match app.store.read(|snapshot| merkle::prove_consistency(&Stored(snapshot), old, size)) {
                Err(Error::Mismatch(_)) => {
                    let what = format!(
                        "it has last seen {old} leaves, and those around them went with their rows: nothing can be \
                             proven to it any more; it has to forget this log, or the log begins another epoch"
                    );
                    self.tell(state, now, Alarm, &what);
                    return Ok(());
                }
                proof => proof?,
            },
        };
        let body = Submission { old, proof, checkpoint: last.note.clone() }.to_string();
        let url = self.url.clone();
        let (tell, answer) = channel();
        let started = std::thread::Builder::new().name("witness".into()).spawn(move || {
            // Nobody listens any more when the program ends.
            let _ = tell.send(post(&url, &body));
        });
        match started {
            Ok(_) => state.call = Some(Call { signed: last.clone(), old, is_second, answer }),
            Err(error) => self.tell(state, now, Warn, &format!("it cannot be asked: {error}")),
        }
        Ok(())
    }

    fn well(&self, state: &mut State, (size, time): (u64, u64)) {
        if state.told.take().is_some() {
            log::info!("witness {}: it cosigns again", self.verifier.name());
        }
        (state.seen, state.cosigned, state.n_failures) = (size, Some((size, time)), 0);
    }

    fn tell(&self, state: &mut State, now: Timestamp, level: log::Level, what: &str) {
        if state.told.as_deref() != Some(what) {
            log::log!(level, "witness {}: {what}", self.verifier.name());
            state.told = Some(what.to_owned());
        }
        state.next = pause(now, (EVERY << state.n_failures.min(16)).min(LONGEST_PAUSE));
        state.n_failures += 1;
    }
}

/// So many seconds later, less what is over from a multiple of `EVERY`.
fn pause(now: Timestamp, seconds: i64) -> Timestamp {
    let next = now.plus_seconds(seconds).micros();
    Timestamp::from_micros(next - next.rem_euclid(EVERY * SECOND))
}

fn post(url: &Prefix, body: &str) -> Result<(u16, String)> {
    let (status, body) = remote::post(url, ADD_CHECKPOINT, body, TIMEOUT, MOST_BYTES)?;
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}
