//! `verify`: whether what is there is what was recorded.

use std::path::Path;

use serde_json::Value;

use super::Context;
use super::client::Client;
use super::setup::open_at_rest;
use super::table::cell;
use crate::admin::proof;
use crate::error::{Error, Result};
use crate::store::migrate;

/// Of the data directory, through the server where one runs; or of a file.
pub fn verify(context: &Context, file: Option<&Path>) -> Result<()> {
    let found = match file {
        None => Client::open(context)?.get("/api/v1/admin/verify", Vec::new())?,
        Some(path) => verify_file(path)?,
    };
    context.answer(&found, |found| {
        if found["ok"] == true {
            return format!(
                "ok: {} entries are as they were recorded, and {} were removed by rule\nroot {} of {} leaves",
                cell(&found["entries"]),
                cell(&found["removed"]),
                cell(&found["root"]),
                cell(&found["size"])
            );
        }
        let told = found["findings"].as_array().into_iter().flatten();
        let mut lines: Vec<String> = told.map(cell).collect();
        let n_more = found["n_findings"].as_u64().unwrap_or(0).saturating_sub(lines.len() as u64);
        if n_more > 0 {
            lines.push(format!("and {n_more} more"));
        }
        lines.join("\n")
    })?;
    if found["ok"] == true {
        return Ok(());
    }
    Err(Error::Mismatch("the database is not what was recorded".into()))
}

fn verify_file(path: &Path) -> Result<Value> {
    let (connection, version) = open_at_rest(path)?;
    if version < migrate::WITH_TREE {
        return Err(Error::usage(
            format!("{} has schema version {version}, which knew no tree", path.display()),
            "`mailtrail check FILE` looks at its checksums; the tree begins when a server opens it",
        ));
    }
    proof::verification(&connection)
}
