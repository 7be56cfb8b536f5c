//! Whether everything is as it was recorded: the rows against the tree.

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::app::{App, LOGS};
use crate::auth::Admin;
use crate::error::Result;
use crate::http::{Request, Response};
use crate::store::backup;
use crate::tlog::verify;

/// Findings that are told one by one.
const MOST_TOLD: u64 = 1000;

/// Every row against its leaf, and every leaf against the tree. Reads all there is, in one snapshot: a second for a
/// million rows; writes go on meanwhile.
pub fn show_verification(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    admin.must_run_the_appliance()?;
    Response::json(200, &app.store.read(|snapshot| verification(snapshot))?)
}

/// Of a database of this version.
pub fn verification(connection: &Connection) -> Result<Value> {
    let (mut findings, mut n_found) = (Vec::new(), 0);
    let verified = verify::verify(connection, LOGS, backup::last_seq(connection)?, &mut |line| {
        n_found += 1;
        if n_found <= MOST_TOLD {
            findings.push(line);
        }
    });
    let verified = match verified {
        Ok(verified) => verified,
        Err(error) => {
            findings.push(backup::damage(error)?);
            return Ok(json!({ "ok": false, "findings": findings, "n_findings": n_found + 1 }));
        }
    };
    Ok(json!({
        "ok": n_found == 0, "size": verified.size, "root": verified.root.to_string(), "entries": verified.n_rows,
        "removed": verified.n_removed, "findings": findings, "n_findings": n_found,
    }))
}
