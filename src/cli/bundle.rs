//! `export --proof`: a directory with entries and their proofs, to be checked without mailtrail.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::ids::random_hex;

/// What stands in the directory beside entries, proofs, checkpoint and keys.
const HELP: [(&str, &str); 2] =
    [("README.txt", include_str!("bundle/README.txt")), ("verify.py", include_str!("bundle/verify.py"))];

/// Writes a stream of proofs (`proofs::stream`) into a directory that is not there yet, and says how many there were.
/// It is there whole or not at all.
pub fn write(stream: impl Read, directory: &Path) -> Result<u64> {
    if directory.symlink_metadata().is_ok() {
        return Err(Error::usage(
            format!("{} exists already", directory.display()),
            "name a directory that is not there yet",
        ));
    }
    let name = directory.file_name().ok_or_else(|| {
        Error::usage(format!("{} names no directory", directory.display()), "name one that is not there yet")
    })?;
    let partial = directory.with_file_name(format!(".{}.{}.partial", name.display(), random_hex::<4>()));
    let written = write_partial(stream, &partial).and_then(|n| {
        std::fs::rename(&partial, directory)
            .map_err(Error::io(format!("cannot write {}", directory.display())))?;
        Ok(n)
    });
    if written.is_err() {
        let _ = std::fs::remove_dir_all(&partial);
    }
    written
}

fn write_partial(stream: impl Read, directory: &Path) -> Result<u64> {
    let failed = |path: &Path| Error::io(format!("cannot write {}", path.display()));
    DirBuilder::new().mode(0o700).create(directory).map_err(failed(directory))?;
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
    for (name, text) in texts {
        let path = directory.join(name);
        create(&path)?.write_all(text.as_bytes()).map_err(failed(&path))?;
    }
    let paths: [PathBuf; 2] = ["entries.jsonl", "proofs.jsonl"].map(|name| directory.join(name));
    let [mut entries, mut proofs] = [BufWriter::new(create(&paths[0])?), BufWriter::new(create(&paths[1])?)];
    let mut n = 0;
    while let Some(line) = next()? {
        let record = line["record"].as_str().unwrap_or_default();
        let proof = json!({ "seq": line["seq"], "index": line["index"], "path": line["path"] });
        writeln!(entries, "{record}").map_err(failed(&paths[0]))?;
        writeln!(proofs, "{proof}").map_err(failed(&paths[1]))?;
        n += 1;
    }
    entries.flush().map_err(failed(&paths[0]))?;
    proofs.flush().map_err(failed(&paths[1]))?;
    Ok(n)
}

fn create(path: &Path) -> Result<File> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    opened.map_err(Error::io(format!("cannot write {}", path.display())))
}
