//! `export --proof`: a directory with entries and their proofs, to be checked without mailtrail.

use std::io::{BufRead, BufReader, BufWriter, Read, Write};

use serde_json::{Value, json};

use super::named::NewDirectory;
use crate::error::{Error, Result};

/// What stands in the directory beside entries, proofs, checkpoint and keys.
const HELP: [(&str, &str); 2] =
    [("README.txt", include_str!("bundle/README.txt")), ("verify.py", include_str!("bundle/verify.py"))];

/// All that is written.
pub const FILES: [&str; 6] =
    ["checkpoint", "keys", "README.txt", "verify.py", "entries.jsonl", "proofs.jsonl"];

/// Writes a stream of proofs (`proofs::stream`) into a new directory, and says how many there were. It is there whole or
/// not at all.
pub fn write(stream: impl Read, mut directory: NewDirectory) -> Result<u64> {
    let mut lines = BufReader::new(stream).lines();
    let mut next = || {
        let line = lines.next().transpose().map_err(Error::io("the export broke off"))?;
        let line = line.map(|line| serde_json::from_str::<Value>(&line)).transpose();
        line.map_err(|error| Error::Internal(format!("a line of the export is no JSON: {error}")))
    };
    let head = next()?.ok_or_else(|| Error::Internal("the export is empty".into()))?;
    let keys: Vec<&str> = head["keys"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut texts = vec![
        ("checkpoint", head["checkpoint"].as_str().unwrap_or_default().to_owned()),
        ("keys", keys.iter().map(|key| format!("{key}\n")).collect()),
    ];
    texts.extend(HELP.map(|(name, text)| (name, text.to_owned())));
    let failed = |name: &str| Error::io(format!("cannot write {name} of the export"));
    for (name, text) in texts {
        directory.file(name)?.write_all(text.as_bytes()).map_err(failed(name))?;
    }
    let [entries_name, proofs_name] = ["entries.jsonl", "proofs.jsonl"];
    let mut entries = BufWriter::new(directory.file(entries_name)?);
    let mut proofs = BufWriter::new(directory.file(proofs_name)?);
    let mut n = 0;
    while let Some(line) = next()? {
        let record = line["record"].as_str().unwrap_or_default();
        let proof = json!({ "seq": line["seq"], "index": line["index"], "path": line["path"] });
        writeln!(entries, "{record}").map_err(failed(entries_name))?;
        writeln!(proofs, "{proof}").map_err(failed(proofs_name))?;
        n += 1;
    }
    entries.flush().map_err(failed(entries_name))?;
    proofs.flush().map_err(failed(proofs_name))?;
    directory.finish()?;
    Ok(n)
}
