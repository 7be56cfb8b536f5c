//! `verify`, `proof` and `checkpoint`: whether what is there is what was recorded, and the signed word on it.

use std::io::Write;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Context;
use super::arguments::{Erase, Log, Provable};
use super::client::{Call, Client, Found, Looked, encoded};
use super::data::{Owner, route};
use super::named::NewDirectory;
use super::table::cell;
use super::terminal::tell;
use crate::admin::proof;
use crate::admin::vouching::Unproved;
use crate::checkpoints;
use crate::data_directory::{self, PATIENCE};
use crate::error::{Error, Result};
use crate::http::Method;
use crate::small;
use crate::store::migrate;
use crate::tlog::note::{Checkpoint, Note, Verifier};
use crate::tlog::proof::Proof;

/// Of the data directory, through the server where one runs; or of a file. With old checkpoints to be held against it,
/// and what was removed since.
pub fn verify(context: &Context, file: Option<&Path>, pins: Option<&Path>, seen: Option<u64>) -> Result<()> {
    let pins = pins.map(read_pins).transpose()?.unwrap_or_default();
    let asked = Asked::of(context, file)?;
    let mut found = asked.verify()?;
    for (at, note) in (1..).zip(&pins) {
        if let Some(why) = asked.contradicts(note)? {
            add_finding(&mut found, format!("checkpoint {at}: {why}"));
        }
    }
    let is_as_recorded = found["ok"] == true;
    let sizes = pins.iter().filter_map(|note| Some(Checkpoint::of_note(note).ok()?.size));
    if let Some((first, last)) = sizes.clone().min().zip(sizes.max()) {
        let told = asked.removals((first, last), seen.unwrap_or(0))?;
        for member in ["removals", "n_fitting", "n_unseen", "last_unseen"] {
            found[member] = told[member].clone();
        }
        if told["n_unseen"] != 0 {
            found["ok"] = false.into();
        }
    }
    context.say(&found, |found| {
        let mut lines: Vec<String> = Vec::new();
        if is_as_recorded {
            lines.push(format!(
                "ok: {} entries are as they were recorded, and {} were removed by rule\nroot {} of {} leaves",
                cell(&found["entries"]),
                cell(&found["removed"]),
                cell(&found["root"]),
                cell(&found["size"])
            ));
        } else {
            let told = found["findings"].as_array().into_iter().flatten();
            lines.extend(told.map(cell));
            let n_more = found["n_findings"].as_u64().unwrap_or(0).saturating_sub(lines.len() as u64);
            if n_more > 0 {
                lines.push(format!("and {n_more} more"));
            }
        }
        lines.extend(Unproved::deserialize(&found["unproved"]).unwrap_or_default().told());
        let removals = found["removals"].as_array().into_iter().flatten();
        lines.extend(removals.map(|removal| removal_line(removal, seen)));
        match pins.len() {
            _ if !is_as_recorded => {}
            0 => {}
            1 => lines.push("it begins with the old checkpoint".into()),
            n => lines.push(format!("it begins with each of {n} old checkpoints")),
        }
        lines.join("\n")
    })?;
    if !is_as_recorded {
        return Err(Error::Mismatch("the database is not what was recorded".into()));
    }
    match found["n_unseen"].as_u64() {
        None | Some(0) => Ok(()),
        Some(_) => {
            let last = match found["last_unseen"].as_i64() {
                Some(last) => format!("`--removals-seen {last}`"),
                None => "`--removals-seen` once it has its row of control".to_owned(),
            };
            Err(Error::Unsettled {
                message: "rows of before the pin were removed otherwise than by the retention on record then"
                    .into(),
                hint: format!("look at each that is marked, and say so with {last}"),
            })
        }
    }
}

/// `12 rows of before the pin were removed: row 57 of control, 2026-04-30T14:22:11Z, {"days":30,…}`
fn removal_line(removal: &Value, seen: Option<u64>) -> String {
    let control = removal["control"].as_u64();
    let is_seen = control.is_some_and(|control| control <= seen.unwrap_or(0));
    let mark = match (removal["fits"] == true, is_seen) {
        (true, _) => "",
        (false, true) => "(seen) ",
        (false, false) => "LOOK: ",
    };
    let row = match control {
        Some(control) => format!("row {control} of control, {}", cell(&removal["recorded_at"])),
        None => "under way".to_owned(),
    };
    format!("{mark}{} rows of before the pin were removed: {row}, {}", cell(&removal["rows"]), removal["why"])
}

/// Who answers for the database.
struct Asked(Looked);

impl Asked {
    /// The data directory's, or a file that nobody serves.
    fn of(context: &Context, file: Option<&Path>) -> Result<Self> {
        let looked = Looked::at(context, file)?;
        if let Looked::File(at_rest) = &looked
            && at_rest.version < migrate::WITH_TREE
        {
            let path = file.map_or_else(|| context.config.database(), Path::to_owned);
            return Err(Error::usage(
                format!("{} has schema version {}, which knew no tree", path.display(), at_rest.version),
                "`mailtrail check` looks at its checksums; the tree begins when a server opens it",
            ));
        }
        Ok(Self(looked))
    }

    fn verify(&self) -> Result<Value> {
        match &self.0 {
            Looked::Server(client) => client.get("/api/v1/admin/verify", Vec::new()),
            Looked::File(at_rest) => {
                let mut found = proof::verification(&at_rest.connection)?;
                if let Some(why) = at_rest.contradiction()? {
                    add_finding(&mut found, why);
                }
                Ok(found)
            }
        }
    }

    fn root(&self, size: u64) -> Result<Value> {
        match &self.0 {
            Looked::Server(client) => client.get("/api/v1/admin/root", vec![("size", size.to_string())]),
            Looked::File(at_rest) => proof::root(&at_rest.connection, size),
        }
    }

    fn removals(&self, (first, last): (u64, u64), seen: u64) -> Result<Value> {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        match &self.0 {
            Looked::Server(client) => {
                let query = [("first", first), ("last", last), ("seen", seen)];
                let query = query.map(|(name, value)| (name, number(value).to_string()));
                client.get("/api/v1/admin/removals", query.into())
            }
            Looked::File(at_rest) => {
                proof::removals(&at_rest.connection, (number(first), number(last)), number(seen))
            }
        }
    }

    /// What checkpoints of this log are verified with.
    fn verifiers(&self) -> Result<Vec<Verifier>> {
        let told = self.root(0)?;
        let keys = told["verifiers"].as_array().into_iter().flatten();
        Ok(keys.filter_map(|key| Verifier::parse(key.as_str()?)).collect())
    }

    /// Why the log does not begin with what this note says; `None`: it does.
    fn contradicts(&self, note: &str) -> Result<Option<String>> {
        let Checkpoint { size, root, .. } = match Checkpoint::signed(note, &self.verifiers()?) {
            Err(Error::Mismatch(why)) => return Ok(Some(why)),
            checkpoint => checkpoint?,
        };
        let told = self.root(size)?;
        if told["root"].is_null() {
            let n_leaves = told["leaves"].as_u64().unwrap_or(0);
            if size <= n_leaves {
                tell(&format!(
                    "the checkpoint of {size} entries cannot be compared: those around its end were removed by rule"
                ));
                return Ok(None);
            }
            return Ok(Some(format!("{size} entries were signed for, and there are {n_leaves}")));
        }
        let is_same = told["root"] == json!(root.to_string());
        Ok((!is_same).then(|| format!("the first {size} entries are not those that were signed for")))
    }
}

fn add_finding(found: &mut Value, finding: String) {
    found["ok"] = false.into();
    found["n_findings"] = (found["n_findings"].as_u64().unwrap_or(0) + 1).into();
    if let Some(findings) = found["findings"].as_array_mut() {
        findings.push(finding.into());
    }
}

/// Checkpoints one after the other, as `mailtrail checkpoint >> pins` gathers them.
fn read_pins(path: &Path) -> Result<Vec<String>> {
    let text = read(path, "gather old checkpoints with `mailtrail checkpoint >> pins`")?;
    let mut notes = Vec::new();
    let mut note = String::new();
    for line in text.split_inclusive('\n') {
        // What follows a signature, and is none, begins the next one.
        if !line.starts_with("— ") && note.lines().last().is_some_and(|last| last.starts_with("— ")) {
            notes.push(std::mem::take(&mut note));
        }
        note.push_str(line);
    }
    if !note.trim().is_empty() {
        notes.push(note);
    }
    for note in &notes {
        Note::parse(note)?;
    }
    if notes.is_empty() {
        return Err(Error::usage(
            format!("there is no checkpoint in {}", path.display()),
            "gather old checkpoints with `mailtrail checkpoint >> pins`",
        ));
    }
    Ok(notes)
}

fn read(path: &Path, hint: &str) -> Result<String> {
    small::read_file(path)
        .map_err(|error| Error::usage(format!("cannot read {}: {error}", path.display()), hint))
}

/// Prints the proof of an entry.
pub fn prove(context: &Context, log: Provable, id: &str, of: Owner<'_>, fact: Option<u64>) -> Result<()> {
    let client = Client::open(context)?;
    let list = match log {
        Provable::Enforcement => route(&client, context, Log::Enforcement, of)?,
        Provable::Messages => route(&client, context, Log::Messages, of)?,
        Provable::Activity => route(&client, context, Log::Activity, of)?,
        Provable::Control => "/api/v1/admin/controls".into(),
    };
    let id = encoded(id);
    let query = fact.iter().map(|fact| ("fact", fact.to_string())).collect();
    let path = format!("{list}/{id}/proof");
    let call = Call { method: Method::Get, path, query, headers: Vec::new(), body: Vec::new() };
    let proof = client.send(call)?.text()?;
    context.answer(&json!({ "proof": proof }), |_| proof.clone())
}

/// One proof: with a key, alone; else against the log, which has to be the one that the proof is of.
pub fn verify_proof(context: &Context, path: &Path, key: Option<&str>, file: Option<&Path>) -> Result<()> {
    let proof = Proof::parse(&read(path, "print one with `mailtrail proof LOG ID > FILE`")?)?;
    let (checkpoint, contradiction) = match key {
        Some(key) => {
            let key = Verifier::parse(key).ok_or_else(|| {
                Error::usage(
                    format!("--key: {key:?} is no key; accepted: name+id+base64, Ed25519"),
                    "the log's keys are at /tlog/keys",
                )
            })?;
            (proof.verify(&[key])?, None)
        }
        None => {
            // Whoever was sent a proof need not have the log.
            let asked = Asked::of(context, file).map_err(|error| match error {
                Error::Refused { message, .. } | Error::Usage { message, .. } => Error::usage(
                    message,
                    "name the key of the log with --key (the log has its keys at /tlog/keys), or the log with --data",
                ),
                other => other,
            })?;
            (proof.verify(&asked.verifiers()?)?, asked.contradicts(&proof.checkpoint)?)
        }
    };
    if let Some(why) = contradiction {
        return Err(Error::Mismatch(format!("the log is not the one that was signed for: {why}")));
    }
    let row = String::from_utf8_lossy(&proof.line);
    let Checkpoint { origin, size, .. } = checkpoint;
    context.answer(
        &json!({ "ok": true, "origin": origin, "size": size, "index": proof.index, "record": row }),
        |_| format!("ok: row {} of the {size} of {origin}\n{row}", proof.index + 1),
    )
}

/// Removes what was recorded of a person, and writes the certificates into a directory.
pub fn erase(context: &Context, erase: &Erase) -> Result<()> {
    let Erase { address, why, dry_run, certificates } = erase;
    let made = certificates.as_deref().map(|path| NewDirectory::create(path, &[])).transpose()?;
    let body =
        json!({ "address": address, "why": why, "dry_run": dry_run, "workspace_id": context.workspace });
    let told = Client::open(context)?.post("/api/v1/admin/erasures", &body)?;
    let proofs = told["certificates"].as_array().map(Vec::as_slice).unwrap_or_default();
    if let Some(mut directory) = made {
        for (at, proof) in (1..).zip(proofs) {
            let mut file = directory.file(&format!("{at}.tlog-proof"))?;
            let written = file.write_all(proof.as_str().unwrap_or_default().as_bytes());
            written.map_err(Error::io("cannot write the certificates"))?;
        }
        directory.finish()?;
    }
    context.say(&told, |told| {
        let mut lines = erased(told, *dry_run);
        if let (Some(directory), [_, ..]) = (certificates, proofs) {
            lines.push(format!("the certificates are in {}", directory.display()));
        }
        lines.join("\n")
    })
}

/// What went, or would, and what stays.
fn erased(told: &Value, dry_run: bool) -> Vec<String> {
    let removed = &told["removed"];
    let done = if dry_run { "would be removed" } else { "removed" };
    let mut lines = Vec::new();
    for log in ["enforcement", "messages", "activity"] {
        lines.push(format!("{log:<12} {} {done}", cell(&removed[log])));
        for (kind, n) in told["removed_of"][log].as_object().into_iter().flatten() {
            lines.push(format!("{:<12} {n} {kind}", ""));
        }
    }
    let left = &told["not_reached"];
    for (n, what) in [
        (&removed["on_hold"], "rows are kept by a legal hold"),
        (&left["own_acts"], "rows say what callers did here, and stay"),
        (&left["policies"], "policy documents name it"),
        (&left["control"], "rows of control name it"),
        (&left["unread"], "rows or names are wrapped in too many ways to be read in all, and may hold it"),
        (&left["backups"], "backups may hold it"),
        (&left["upgrade_copies"], "copies that an upgrade left may hold it"),
    ] {
        if *n != 0 {
            lines.push(format!("{:<12} {n} {what}", "stays"));
        }
    }
    for named in left["names"].as_array().into_iter().flatten() {
        let [what, id, name] = ["what", "id", "name"].map(|member| cell(&named[member]));
        lines.push(format!("{:<12} the {what} {id} is called {name}", "stays"));
    }
    for longer in told["longer_words"].as_array().into_iter().flatten() {
        let word = cell(&longer["word"]);
        lines.push(format!(
            "{:<12} {} rows hold {word}; is it the same person? Then erase that too",
            "look", longer["rows"]
        ));
    }
    for (n, what) in [
        (&told["longer_words_left_out"], "rows hold further such words, too many to be told"),
        (&told["certificates_left_out"], "certificates more: mailtrail proof control NUMBER"),
    ] {
        if *n != 0 {
            lines.push(format!("{:<12} {n} {what}", "look"));
        }
    }
    lines
}

/// Prints the checkpoint of this moment.
pub fn checkpoint(context: &Context) -> Result<()> {
    let told = Client::open(context)?.get("/api/v1/admin/checkpoint", Vec::new())?;
    context.answer(&told, |told| told["checkpoint"].as_str().unwrap_or_default().to_owned())
}

/// Goes on under another name: through the server where one runs, else also where no server would start.
pub fn renew(context: &Context, why: &str, is_new_key: bool) -> Result<()> {
    let data = &context.config.data;
    let told = match Found::of(&context.config, PATIENCE)? {
        Found::Server(_) => {
            context.must_not_set()?;
            let body = json!({ "why": why, "new_key": is_new_key });
            Client::of_server(context).post("/api/v1/admin/epochs", &body)?
        }
        Found::Nobody(_lock) => {
            data_directory::examine(data)?;
            json!({ "verifier": checkpoints::renew(&context.config, why, is_new_key)? })
        }
    };
    context.answer(&told, |told| {
        let verifier = told["verifier"].as_str();
        verifier.unwrap_or("the log has no name yet: its first start gives it one").to_owned()
    })
}
