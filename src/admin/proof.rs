//! Whether everything is as it was recorded: the rows against the tree.

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::app::{App, LOGS};
use crate::auth::Admin;
use crate::error::Result;
use crate::http::{Request, Response};
use crate::store::backup;
use crate::tlog::verify::{self, Verified};

/// Findings that are told one by one.
const MOST_TOLD: usize = 1000;

/// Every row against its leaf, and every leaf against the tree. Reads all there is, in one snapshot: two seconds for a
/// million rows; writes go on meanwhile.
pub fn show_verification(app: &App, admin: &Admin, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    admin.must_run_the_appliance()?;
    Response::json(200, &app.store.read(|snapshot| verification(snapshot))?)
}

/// Of a database of this version.
pub fn verification(connection: &Connection) -> Result<Value> {
    let mut findings = Vec::new();
    let verified = verify::verify(connection, LOGS, backup::last_seq(connection)?, &mut |line| {
        if findings.len() < MOST_TOLD {
            findings.push(line);
        }
    });
    Ok(match verified {
        Ok(Verified { size, root, n_rows, n_removed, n_findings }) => json!({
            "ok": n_findings == 0, "size": size, "root": root.map(|root| root.to_string()), "entries": n_rows,
            "removed": n_removed, "findings": findings, "n_findings": n_findings,
        }),
        Err(error) => {
            findings.push(backup::damage(error)?);
            json!({ "ok": false, "findings": findings, "n_findings": findings.len() })
        }
    })
}
