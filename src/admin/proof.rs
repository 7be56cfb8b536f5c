//! Whether everything is as it was recorded: the rows against the tree, the tree against what was signed.

use rusqlite::Connection;
use serde_json::{Value, json};

use super::vouching;
use crate::app::{App, LOGS};
use crate::auth::{Admin, FIRST_WORKSPACE, sound};
use crate::error::{Error, Result, Subject};
use crate::http::json::{self, Fields};
use crate::http::route::limit;
use crate::http::{Request, Response};
use crate::proofs;
use crate::store::{Note, Whole, backup, counts, last_now, schema};
use crate::time::Timestamp;
use crate::tlog::controls;
use crate::tlog::epochs;
use crate::tlog::merkle;
use crate::tlog::removals;
use crate::tlog::tree::Stored;
use crate::tlog::verify::{self, Verified};

/// Findings that are told one by one.
const MOST_TOLD: usize = 1000;

/// Every row against its leaf, every leaf against the tree, the tree against its seals, and who may come in against
/// what the log says of them. Reads all there is, in one
/// snapshot: a second or two for a million rows; writes go on meanwhile. One at a time, and only while the one who
/// asked is there.
pub fn show_verification(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    admin.must_run_the_appliance()?;
    let verified =
        app.store.read_whole(Whole::Verify, app.is_over(request), |snapshot| verification(snapshot))?;
    Response::json(200, &verified)
}

/// Of a database with a tree.
pub fn verification(connection: &Connection) -> Result<Value> {
    let (mut findings, is_readable) = schema::examine(connection)?;
    let mut n_findings = findings.len();
    if !is_readable {
        return Ok(json!({ "ok": false, "findings": findings, "n_findings": n_findings }));
    }
    findings.extend(sound::problems(connection)?);
    n_findings = findings.len();
    let mut tell = |line: String| {
        n_findings += 1;
        if findings.len() < MOST_TOLD {
            findings.push(line);
        }
    };
    let last_seq = backup::last_seq(connection)?;
    let verified = verify::verify(connection, LOGS, last_seq, &mut tell).and_then(|verified| {
        // No leaf holds these; and from them totals and times are served.
        counts::find_impossible(connection, last_seq, &mut tell)?;
        let latest = last_now(connection)?;
        if !(Timestamp::MIN..Timestamp::MAX).contains(&latest) {
            tell(format!("the latest time that a write saw is {}, in no year that can be", latest.micros()));
        }
        Ok((verified, vouching::find_unvouched(connection, &mut tell)?))
    });
    Ok(match verified {
        Ok((Verified { size, root, n_rows, n_removed, .. }, unproved)) => json!({
            "ok": n_findings == 0, "size": size, "root": root.map(|root| root.to_string()), "entries": n_rows,
            "removed": n_removed, "unproved": unproved, "findings": findings, "n_findings": n_findings,
        }),
        Err(error) => {
            findings.push(backup::damage(error)?);
            json!({ "ok": false, "findings": findings, "n_findings": findings.len() })
        }
    })
}

/// The signed checkpoint of this moment, and with what it is verified. Another place for it than this machine is what
/// makes it worth something. And the last that witnesses have cosigned; null before the first.
pub fn show_checkpoint(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    admin.must_run_the_appliance()?;
    let checkpoint = app.checkpoints.current(&app.store)?;
    let cosigned = app.checkpoints.cosigned().map(|signed| signed.note);
    let verifier = app.checkpoints.verifier();
    Response::json(200, &json!({ "checkpoint": checkpoint, "cosigned": cosigned, "verifier": verifier }))
}

/// `{why, new_key?}` → `{verifier}`: the log goes on under another name, and every pin and witness has to follow. So it
/// is for an owner, not for whoever has an `admin` key.
pub fn post_epoch(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    admin.must_run_the_appliance()?;
    admin.must_own(FIRST_WORKSPACE)?;
    let mut fields = Fields::of(json::body(request)?, "")?;
    let why = fields.text("why", 500)?;
    let why = fields.required("why", why)?;
    let is_new_key = fields.boolean("new_key")?.unwrap_or(false);
    fields.done()?;
    let note = Note {
        workspace: None,
        project: None,
        by: admin.by.clone(),
        action: "checkpoint.renew",
        target_type: "appliance",
        target_id: String::new(),
        metadata: json!({ "why": why, "new_key": is_new_key }),
    };
    let verifier = app.checkpoints.renew(&app.config, &app.store, &why, is_new_key, note)?;
    Response::json(201, &json!({ "verifier": verifier }))
}

/// `?size=`: the root of the first so many leaves, to be held against an old checkpoint, and the keys of all epochs.
pub fn show_root(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&["size"])?;
    admin.must_run_the_appliance()?;
    let accepted = "a number of leaves";
    let size = request.query.integer("size", accepted)?.and_then(|size| u64::try_from(size).ok());
    let size = size.ok_or_else(|| Error::invalid("size", format!("is not given; accepted: {accepted}")))?;
    Response::json(200, &app.store.read(|snapshot| root(snapshot, size))?)
}

/// `?first=&last=&seen=`: what was removed since the tree had `first` leaves, of the rows among the first `last`, and
/// whether it goes with what was on record then or when a person looked last, at the row `seen` of control.
pub fn show_removals(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&["first", "last", "seen"])?;
    admin.must_run_the_appliance()?;
    let number = |name| {
        let accepted = "a number of leaves, or of a row";
        let given = request.query.integer(name, accepted)?.filter(|number| *number >= 0);
        given.ok_or_else(|| Error::invalid(name, format!("is not given; accepted: {accepted}")))
    };
    let (first, last) = (number("first")?, number("last")?);
    let seen = if request.query.text("seen")?.is_some() { number("seen")? } else { 0 };
    Response::json(200, &app.store.read(|snapshot| removals(snapshot, (first, last), seen))?)
}

pub fn removals(connection: &Connection, pinned: (i64, i64), seen: i64) -> Result<Value> {
    json::value(&removals::since(connection, pinned, seen, last_now(connection)?)?)
}

/// `?old=&size=`: what shows that the first `size` leaves begin with the first `old` (RFC 6962 section 2.1.2).
pub fn show_consistency(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&["old", "size"])?;
    admin.must_run_the_appliance()?;
    let number = |name| {
        let accepted = "a number of leaves, from 1 to as many as there are; old is not above size";
        let given = request.query.integer(name, accepted)?.and_then(|number| u64::try_from(number).ok());
        given
            .filter(|number| *number > 0)
            .ok_or_else(|| Error::invalid(name, format!("accepted: {accepted}")))
    };
    let (old, size) = (number("old")?, number("size")?);
    let proof = app.store.read(|snapshot| {
        let stored = Stored(snapshot);
        if old > size || size > stored.n_leaves()? {
            let message = format!("there are {} leaves; accepted: old, and from it up", stored.n_leaves()?);
            return Err(Error::invalid("size", message));
        }
        merkle::prove_consistency(&stored, old, size).map_err(|error| match error {
            Error::Mismatch(_) => {
                let message = "ended among rows that are gone, and their leaves with them; accepted: as many as a seal has";
                Error::invalid("old", message)
            }
            other => other,
        })
    })?;
    let proof: Vec<String> = proof.iter().map(ToString::to_string).collect();
    Response::json(200, &json!({ "proof": proof }))
}

/// `?limit=&cursor=`: that the tree began, that rows were removed and why, that another epoch began, that something is kept
/// for another time. Newest first.
pub fn list_controls(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&["limit", "cursor"])?;
    admin.must_run_the_appliance()?;
    let limit = limit(&request.query)?;
    let cursor = request.query.integer("cursor", "the next_cursor of an earlier page")?;
    // One more says whether there are more.
    let mut rows = app.store.read_list(admin.standing.asker, |snapshot| {
        controls::list(snapshot, cursor.unwrap_or(i64::MAX), limit + 1)
    })?;
    let has_more = i64::try_from(rows.len()).is_ok_and(|n| n > limit);
    rows.truncate(usize::try_from(limit).unwrap_or_default());
    let next_cursor = rows.last().filter(|_| has_more).map(|row| row["id"].clone());
    Response::json(200, &json!({ "items": rows, "next_cursor": next_cursor }))
}

/// The proof of a row of `control`, by its number: that rows were removed and why, or that another epoch began.
pub fn prove_control(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    admin.must_run_the_appliance()?;
    let number = request.number("number").ok_or(Error::NotFound(Subject::Control))?;
    if !app.store.read(|snapshot| controls::exists(snapshot, number))? {
        return Err(Error::NotFound(Subject::Control));
    }
    proofs::answer(app, number, Subject::Control)
}

/// The root is null where there are fewer leaves, or where those around the end of the tree went with their rows.
pub fn root(connection: &Connection, size: u64) -> Result<Value> {
    let stored = Stored(connection);
    let n_leaves = stored.n_leaves()?;
    let root = match (size <= n_leaves).then(|| merkle::root(&stored, size)).transpose() {
        // It ended in a tile that was given up.
        Err(Error::Mismatch(_)) => None,
        root => root?,
    };
    let verifiers: Vec<String> = epochs::verifiers(connection)?.iter().map(ToString::to_string).collect();
    Ok(json!({ "leaves": n_leaves, "root": root.map(|root| root.to_string()), "verifiers": verifiers }))
}
