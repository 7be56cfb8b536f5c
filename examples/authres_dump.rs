//! Prints how `mailtrail` reads `Authentication-Results`, for comparison with another parser
//! (`tests/authres_differential.py`).
//!
//! Reads one JSON string a line from stdin, the value of a field, and writes one JSON object a line to stdout. This
//! is the strict view: a field with any defect is `{"malformed":true}`, and of the properties only those of the types
//! that RFC 8601 defines are shown.

use std::io::{self, BufRead, Write};

use mailtrail::ingest::authres::{self, MethodResult};
use serde_json::{Value, json};

fn main() -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let value: String = serde_json::from_str(&line?)?;
        writeln!(stdout, "{}", show(&value))?;
    }
    Ok(())
}

fn show(value: &str) -> Value {
    match authres::parse(value) {
        Some(field) if field.defects == 0 => json!({
            "authserv_id": field.authserv_id.to_lowercase(),
            "version": field.version.map(|version| version.to_string()),
            "results": field.results.iter().map(show_result).collect::<Vec<_>>(),
        }),
        _ => json!({ "malformed": true }),
    }
}

fn show_result(result: &MethodResult) -> Value {
    let known = |ptype: &str| matches!(ptype, "smtp" | "header" | "body" | "policy");
    let properties = result.properties.iter().filter(|property| known(&property.ptype));
    json!({
        "method": result.method,
        "version": result.version.map(|version| version.to_string()),
        "result": result.result,
        "reason": result.reason,
        "properties": properties.map(|p| json!([p.ptype, p.name, p.value])).collect::<Vec<_>>(),
    })
}
