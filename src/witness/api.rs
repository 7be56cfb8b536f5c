//! The routes of a witness, as tlog-witness has them: `POST /add-checkpoint` for logs, `GET /{origin hash}/checkpoint`
//! for whoever watches them, and `/healthz`. Nobody is asked for a key: a checkpoint is as good as its signature.
//!
//! Whoever knows a checkpoint can send it, so a refusal of a proof shows a fork only when the log itself sent it.

use std::time::Instant;

use ipnet::IpNet;
use serde_json::json;

use super::memory::Memory;
use super::{ADD_CHECKPOINT, LONGEST, SIZE, Submission};
use crate::auth::address;
use crate::auth::rates::Rates;
use crate::error::{Error, Result, Subject};
use crate::http::route::Dialect;
use crate::http::{Admitted, Holder, Method, Refused, Request, Response, Service};
use crate::routes;
use crate::seldom::Seldom;
use crate::time::Clock;
use crate::tlog::merkle::{empty_root, is_consistent};
use crate::tlog::note::{Checkpoint, Cosigner, Note, Verifier};

pub struct Witness {
    pub cosigner: Cosigner,
    /// A log's name is its origin; of several keys with one name each may sign.
    pub logs: Vec<Verifier>,
    pub memory: Memory,
    pub clock: Clock,
    /// Whose word on addresses is believed.
    pub trusted: Vec<IpNet>,
    pub rates: Rates,
    pub lines: Seldom,
}

/// Log lines a second about what was asked.
pub const LINES: u32 = 20;

impl Service for Witness {
    fn admit(&self, head: Request) -> Result<Admitted<'_>, Response> {
        let client = address::of(head.peer, &head.headers, &self.trusted);
        if let Err(error) = self.rates.stranger(client, &self.trusted) {
            return Err(self.finish(&head, Err(error), Instant::now()));
        }
        let is_submission = head.method == Method::Post && head.path == ADD_CHECKPOINT;
        Ok(Admitted {
            body_limit: if is_submission { LONGEST } else { 0 },
            holder: Holder::Stranger(client.source()),
            is_brief: false,
            answer: Box::new(move |body| {
                let started = Instant::now();
                let request = Request { body, ..head };
                self.finish(&request, self.route(&request), started)
            }),
        })
    }

    fn refuse(&self, refused: &Refused<'_>) -> Response {
        let mut error = refused.error;
        let limited;
        if let (false, Error::Http { .. }) = (refused.is_admitted, error) {
            let client = address::of(refused.peer, refused.headers, &self.trusted);
            limited = self.rates.stranger(client, &self.trusted);
            error = limited.as_ref().err().unwrap_or(error);
        }
        routes::refusal(Dialect::Problem, error)
    }
}

impl Witness {
    fn finish(&self, request: &Request, answered: Result<Response>, started: Instant) -> Response {
        let response = answered.unwrap_or_else(|error| routes::fail(&request.id, Dialect::Problem, &error));
        if let Some(passed_over) = self.lines.line() {
            log::info!(
                "{} {:.32} {} {}ms {}; {passed_over} more since the last such line",
                request.method.as_str(),
                request.path,
                response.status,
                started.elapsed().as_millis(),
                request.id,
            );
        }
        response.with("X-Request-Id", &request.id)
    }

    fn route(&self, request: &Request) -> Result<Response> {
        request.query.only(&[])?;
        let is_post = request.method == Method::Post;
        match request.path.as_str() {
            ADD_CHECKPOINT if is_post => self.add_checkpoint(request),
            ADD_CHECKPOINT => Err(Error::http(405, "only POST is for this route")),
            _ if !request.method.is_safe() => Err(Error::http(405, "only GET and HEAD are for this route")),
            "/healthz" => Response::json(200, &json!({ "status": "ok" })),
            path => {
                let name = path.strip_prefix('/').and_then(|path| path.strip_suffix("/checkpoint"));
                let note = name.map(|name| self.memory.read(name)).transpose()?.flatten();
                Ok(text(200, note.ok_or(Error::NotFound(Subject::Route))?))
            }
        }
    }

    /// The checks of tlog-witness in its order, each with its status.
    fn add_checkpoint(&self, request: &Request) -> Result<Response> {
        let malformed = || Error::http(400, "this is not old size, proof, empty line and checkpoint");
        let body = std::str::from_utf8(&request.body).map_err(|_| malformed())?;
        let submission = Submission::parse(body).ok_or_else(malformed)?;
        let note =
            Note::parse(&submission.checkpoint).map_err(|error| Error::http(400, error.to_string()))?;
        let checkpoint = Checkpoint::parse(&note.text).ok_or_else(malformed)?;
        let signed_by_log = self.signatures(&note, &checkpoint.origin)?;
        let Submission { old, proof, .. } = submission;
        if old > checkpoint.size {
            let message = format!("the old size {old} is larger than the checkpoint's, {}", checkpoint.size);
            return Err(Error::http(400, message));
        }
        self.memory.update(&checkpoint.origin, |seen| {
            let (seen, seen_root) = seen.map_or((0, empty_root()), |seen| (seen.size, seen.root));
            if old != seen {
                return Ok((Response::new(409, SIZE, format!("{seen}\n")), None));
            }
            // Any tree continues the empty one; the root of an empty one is known all the same.
            let is_tree = checkpoint.size > 0 || checkpoint.root == empty_root();
            if !is_tree || !is_consistent(old, seen_root, checkpoint.size, checkpoint.root, &proof) {
                let message = format!(
                    "{}: the checkpoint of {} leaves does not continue the {seen} leaves that were cosigned",
                    checkpoint.origin, checkpoint.size
                );
                log::warn!("{message}; its root is {}", checkpoint.root);
                return Err(Error::http(422, message));
            }
            let time = u64::try_from(self.clock.now().seconds()).ok().filter(|time| *time > 0);
            let time = time.ok_or_else(|| Error::Internal("the clock stands before 1970".into()))?;
            let line = self.cosigner.cosign(&note.text, time);
            let kept = format!("{}\n{signed_by_log}{line}", note.text);
            Ok((text(200, line), Some(kept)))
        })
    }

    /// The lines of the log's signatures that were verified.
    fn signatures(&self, note: &Note, origin: &str) -> Result<String> {
        let mut keys = self.logs.iter().filter(|log| log.name() == origin).peekable();
        if keys.peek().is_none() {
            return Err(Error::http(404, format!("{origin} is not a log of this witness")));
        }
        let mut lines = String::new();
        for key in keys {
            match note.verify(key) {
                None => {}
                Some(true) => lines.extend(note.lines_of(key)),
                Some(false) => {
                    return Err(Error::http(403, format!("the signature of {key} does not verify")));
                }
            }
        }
        if lines.is_empty() {
            return Err(Error::http(403, format!("no key of {origin} that is known here has signed it")));
        }
        Ok(lines)
    }
}

fn text(status: u16, body: String) -> Response {
    Response::new(status, "text/plain; charset=utf-8", body)
}
