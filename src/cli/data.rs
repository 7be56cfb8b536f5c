//! Rows in and out: record, import, export; and which of a log are meant.

use std::cell::Cell;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::rc::Rc;

use serde_json::{Map, Value, json};

use super::arguments::{Export, FileFormat, Filters, Import, Log, RecordCommand};
use super::client::{Call, Client, encoded};
use super::named::{NewDirectory, NewFile};
use super::table::{Column, cell};
use super::terminal::{print, tell, tell_over, write_out};
use super::{Context, bundle};
use crate::activity::NewEntry;
use crate::enforcement::NewEvent;
use crate::error::{Error, Result};
use crate::http::json::Fields;
use crate::http::{Method, stream};
use crate::ids::{Hasher, hex, sha256};
use crate::imports;
use crate::ingest::eml;
use crate::store::occurrences::{Counted, Occurrences};

// ---------------------------------------------------------------------------------------------- record

pub fn record(context: &Context, command: &RecordCommand) -> Result<()> {
    let RecordCommand::Message { mailbox, outcome, reason, sysexits: _ } = command;
    let most = context.config.max_bulk_body;
    let unread = || Error::io("cannot read the message from standard input");
    let message = Message::read(&mut std::io::stdin().lock(), most).map_err(unread())?;
    let client = Client::open(context)?;
    let id = client.id_of("mailboxes", mailbox)?;
    let mut query = vec![("outcome", outcome.clone())];
    query.extend(reason.iter().map(|reason| ("reason", reason.clone())));
    let path = format!("/v1/mailboxes/{id}/audit-logs");
    let mut message = Some(message);
    while let Some(sent) = message.take() {
        let (mut query, path) = (query.clone(), path.clone());
        query.extend(sent.hash.map(|hash| ("message_hash", hex(&hash))));
        let headers = vec![("content-type", sent.media_type().to_owned())];
        let body = sent.bytes.clone();
        match client.send(Call { method: Method::Post, path, query, headers, body }) {
            // The server takes less than we think.
            Err(Error::Http { status: 413, .. }) if !sent.is_head => message = Some(sent.smaller()),
            answer => return context.answer(&answer?.json()?, recorded),
        }
    }
    Ok(())
}

/// One line: a mail server may put it into its log, or into a bounce.
fn recorded(entry: &Value) -> String {
    format!("{} {}", cell(&entry["outcome"]), cell(&entry["message_id"]))
}

/// A message as it is handed over. One that is too large is recorded all the same, for a mail server must not send it
/// back for our sake: without its attachments, or by its head, with the hash of all its bytes.
struct Message {
    bytes: Vec<u8>,
    /// Of the whole, where this is not.
    hash: Option<[u8; 32]>,
    is_head: bool,
}

impl Message {
    /// Holds no more than four times `most` bytes, and those only of a message that may come to `most` by leaving out its
    /// attachments.
    fn read(input: &mut dyn Read, most: usize) -> std::io::Result<Self> {
        let mut bytes = Vec::new();
        let held = 4 * most as u64;
        input.take(held + 1).read_to_end(&mut bytes)?;
        let has_ended = bytes.len() as u64 <= held;
        let mut message = Self { bytes, hash: None, is_head: false };
        if message.bytes.len() <= most {
            return Ok(message);
        }
        message.hash = Some(message.hash_with(input)?);
        if has_ended {
            message = message.smaller();
        }
        if !has_ended || message.bytes.len() > most {
            message = message.head();
            message.bytes.truncate(most);
        }
        Ok(message)
    }

    fn hash_with(&self, rest: &mut dyn Read) -> std::io::Result<[u8; 32]> {
        let mut hasher = Hasher::default();
        hasher.add(eml::without_mbox_line(&self.bytes));
        let mut piece = vec![0; 64 * 1024];
        loop {
            match rest.read(&mut piece) {
                Ok(0) => return Ok(hasher.done()),
                Ok(n) => hasher.add(&piece[..n]),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Without its attachments, or, where there are none any more, its head.
    fn smaller(self) -> Self {
        let hash = self.hash.unwrap_or_else(|| sha256(eml::without_mbox_line(&self.bytes)));
        let reduced = eml::without_attachments(&self.bytes);
        if reduced.len() < eml::without_mbox_line(&self.bytes).len() {
            return Self { bytes: reduced, hash: Some(hash), is_head: false };
        }
        Self { hash: Some(hash), ..self }.head()
    }

    fn head(self) -> Self {
        Self { bytes: eml::head(&self.bytes).to_vec(), is_head: true, ..self }
    }

    fn media_type(&self) -> &'static str {
        if self.is_head { "text/rfc822-headers" } else { "message/rfc822" }
    }
}

// ---------------------------------------------------------------------------------------------- routes and filters

/// Whose log is meant, where it is not the workspace's.
#[derive(Clone, Copy)]
pub struct Owner<'a> {
    pub mailbox: Option<&'a str>,
    pub project: Option<&'a str>,
}

/// Where a log is listed: the messages also over all mailboxes.
pub fn list_route(client: &Client, context: &Context, log: Log, of: Owner<'_>) -> Result<String> {
    match (log, of.mailbox) {
        (Log::Messages, None) => Ok("/v1/messages".into()),
        _ => route(client, context, log, of),
    }
}

/// Where a log is listed and recorded.
pub fn route(client: &Client, context: &Context, log: Log, of: Owner<'_>) -> Result<String> {
    match log {
        Log::Enforcement => Ok("/v1/enforcement/events".into()),
        Log::Messages => {
            let mailbox = of.mailbox.ok_or_else(|| {
                Error::usage("the message log is a mailbox's", "name it with --mailbox, by number or address")
            })?;
            Ok(format!("/v1/mailboxes/{}/audit-logs", encoded(&client.id_of("mailboxes", mailbox)?)))
        }
        Log::Activity => match (of.project, &context.workspace) {
            (Some(project), _) => {
                Ok(format!("/api/v1/projects/{}/audit-log", encoded(&client.id_of("projects", project)?)))
            }
            (None, Some(workspace)) => Ok(format!(
                "/api/v1/workspaces/{}/audit-log",
                encoded(&client.id_of("workspaces", workspace)?)
            )),
            (None, None) => {
                let list = client.get("/api/v1/admin/workspaces", Vec::new())?;
                match list["workspaces"].as_array().map(Vec::as_slice) {
                    Some([only]) => Ok(format!(
                        "/api/v1/workspaces/{}/audit-log",
                        only["id"].as_str().unwrap_or_default()
                    )),
                    _ => Err(Error::usage(
                        "there are several workspaces",
                        "name one with --workspace, or a --project",
                    )),
                }
            }
        },
    }
}

impl Filters {
    /// Whether there is one.
    pub fn any(&self) -> bool {
        let all = [
            &self.mailbox,
            &self.project,
            &self.tenant,
            &self.action,
            &self.address,
            &self.message_id,
            &self.thread,
            &self.outcome,
            &self.sender,
            &self.recipient,
            &self.reason,
            &self.user,
            &self.target,
        ];
        all.into_iter().any(Option::is_some)
    }

    pub fn owner(&self) -> Owner<'_> {
        Owner { mailbox: self.mailbox.as_deref(), project: self.project.as_deref() }
    }

    /// As the log's own route has them, ids in the place of names.
    ///
    /// # Errors
    /// `Usage` for a filter that the log has not: without it everybody's rows would come.
    pub fn parameters(&self, client: &Client, log: Log) -> Result<Vec<(&'static str, String)>> {
        use Log::{Activity, Enforcement, Messages};
        let given = [
            ("--tenant", "tenant_id", &self.tenant, &[Enforcement][..]),
            ("--action", "action", &self.action, &[Enforcement, Activity]),
            ("--address", "mailbox_address", &self.address, &[Enforcement]),
            ("--mailbox", "mailbox_address", &self.mailbox, &[Enforcement, Messages]),
            ("--project", "", &self.project, &[Activity]),
            ("--message-id", "message_id", &self.message_id, &[Messages]),
            ("--thread", "thread_id", &self.thread, &[Messages]),
            ("--outcome", "outcome", &self.outcome, &[Messages]),
            ("--sender", "sender_address", &self.sender, &[Messages]),
            ("--recipient", "recipient_address", &self.recipient, &[Messages]),
            ("--reason", "reason", &self.reason, &[Messages]),
            ("--user", "user_id", &self.user, &[Activity]),
            ("--target", "target_id", &self.target, &[Activity]),
        ];
        let mut parameters = Vec::new();
        for (flag, name, value, logs) in given {
            let Some(value) = value else { continue };
            if !logs.contains(&log) {
                let has = given.iter().filter(|(.., logs)| logs.contains(&log)).map(|(flag, ..)| *flag);
                return Err(Error::usage(
                    format!("{flag} is no filter of this log"),
                    format!("it has {}", has.collect::<Vec<_>>().join(", ")),
                ));
            }
            let value = match flag {
                // In the path.
                "--project" => continue,
                "--mailbox" if log == Messages => continue,
                "--mailbox" => address_of(client, value)?,
                "--tenant" => client.id_of("tenants", value)?,
                "--user" if value.contains('@') => client.id_of("users", value)?,
                _ => value.clone(),
            };
            parameters.push((name, value));
        }
        Ok(parameters)
    }
}

/// The address of a mailbox that is given by number or address. Events may be of an address that is no mailbox here.
fn address_of(client: &Client, given: &str) -> Result<String> {
    if given.contains('@') {
        return Ok(given.to_owned());
    }
    Ok(cell(&client.named("mailboxes", given)?["name"]))
}

/// The envelope's name of the list.
pub fn word(log: Log) -> &'static str {
    match log {
        Log::Enforcement => "events",
        Log::Messages => "items",
        Log::Activity => "entries",
    }
}

pub fn columns(log: Log) -> &'static [Column] {
    match log {
        Log::Enforcement => &[
            ("TIME", "/created_at", 0),
            ("ACTION", "/action_taken", 0),
            ("MAILBOX", "/mailbox_address", 1),
            ("MESSAGE", "/message", 2),
        ],
        Log::Messages => &[
            ("ID", "/id", 7),
            ("RECEIVED", "/received_at", 0),
            ("OUTCOME", "/outcome", 1),
            ("REASON", "/reason", 4),
            ("SENDER", "/sender_address", 2),
            ("RECIPIENT", "/recipient_address", 5),
            ("DKIM SPF DMARC", "/verdicts", 6),
            ("MESSAGE ID", "/message_id", 3),
        ],
        Log::Activity => &[
            ("TIME", "/created_at", 0),
            ("ACTOR", "/actor", 2),
            ("ACTION", "/action", 1),
            ("TARGET", "/target_type", 4),
            ("", "/target_id", 5),
            ("METADATA", "/metadata", 3),
        ],
    }
}

/// Epoch seconds, as Mailbuttons has them, are shown as a time to a person.
pub fn readable(mut rows: Vec<Value>) -> Vec<Value> {
    for row in &mut rows {
        if let Some(at) = row["received_at"].as_i64().and_then(crate::time::Timestamp::checked_from_seconds) {
            row["received_at"] = at.to_string().into();
        }
        if row.get("outcome").is_some() {
            let verdicts = ["verification_dkim", "verification_spf", "verification_dmarc"];
            row["verdicts"] = verdicts.map(|name| cell(&row[name])).join(" ").into();
        }
        // Of people who are unknown here the log has the id alone, and who recorded it.
        if row.get("actor").is_some_and(Value::is_null) {
            row["actor"] = match &row["user_id"] {
                Value::Null => row["recorded_by"].take(),
                id => id.clone(),
            };
        }
    }
    rows
}

// ---------------------------------------------------------------------------------------------- export

pub fn export(context: &Context, export: &Export) -> Result<()> {
    let bundle =
        export.proof.as_deref().map(|path| NewDirectory::create(path, &bundle::FILES)).transpose()?;
    let file = export.output.as_deref().map(NewFile::create).transpose()?;
    let client = Client::open(context)?;
    let filters = &export.filters;
    let path = list_route(&client, context, export.log, filters.owner())?;
    let mut query = filters.parameters(&client, export.log)?;
    query.extend(export.span.parameters()?);
    let format = match (&bundle, export.format) {
        (Some(_), _) => "proof",
        (None, FileFormat::Ndjson) => "ndjson",
        (None, FileFormat::Csv) => "csv",
    };
    query.push(("format", format.into()));
    // Oldest first: an import of it records in the order of the first time.
    query.push(("order", "asc".into()));
    let call = Call { method: Method::Get, path, query, headers: Vec::new(), body: Vec::new() };
    let mut body = client.send(call)?.body;
    if let (Some(bundle), Some(directory)) = (bundle, &export.proof) {
        let n = bundle::write(body, bundle)?;
        let told = json!({ "directory": directory.display().to_string(), "entries": n });
        return context.answer(&told, |_| {
            format!(
                "{n} entries with their proofs are in {}; its README.txt says how to check them",
                directory.display()
            )
        });
    }
    match file {
        None => copy(&mut body, write_out),
        Some(mut new) => {
            let failed = || Error::io("cannot write the export");
            copy(&mut body, |bytes| new.file.write_all(bytes).map_err(failed()))?;
            new.finish()
        }
    }
}

/// Piece by piece, however large.
fn copy(body: &mut dyn Read, mut write: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match body
            .read(&mut buffer)
            .map_err(Error::io("the export broke off; what was written is not whole"))?
        {
            0 => return Ok(()),
            n => write(&buffer[..n])?,
        }
    }
}

// ---------------------------------------------------------------------------------------------- import

/// Lines sent in the first request, and in each: a request of many takes less for each of them.
const FIRST_CHUNK: usize = 500;
const LARGEST_CHUNK: usize = 8000;
/// Bytes sent in one request.
const CHUNK_BYTES: usize = 2 * 1024 * 1024;

#[derive(Default, serde::Serialize)]
struct Tally {
    read: usize,
    written: usize,
    /// There already.
    already: usize,
    refused: usize,
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} read, {} written, {} already there, {} refused",
            self.read, self.written, self.already, self.refused
        )
    }
}

/// Sends a file in chunks; the server records what is not there yet. A chunk that is refused is sent by halves, down to
/// the line: the good ones are recorded, the bad ones named.
pub fn import(context: &Context, import: &Import) -> Result<()> {
    if import.log == Log::Activity && import.project.is_none() {
        return Err(Error::usage("activities are imported into a project", "name it with --project"));
    }
    let is_foreign = match import.log {
        Log::Enforcement => import.mailbox.is_some() || import.project.is_some(),
        Log::Messages => import.project.is_some(),
        Log::Activity => import.mailbox.is_some(),
    };
    if is_foreign {
        return Err(Error::usage(
            "--mailbox is for messages, --project for activities",
            "leave out what the log has not; the rows say all else",
        ));
    }
    let rows = rows(import, context.config.max_bulk_body)?;
    let mut client = Client::open(context)?;
    client.stays_with_server();
    let of = Owner { mailbox: import.mailbox.as_deref(), project: import.project.as_deref() };
    let path = route(&client, context, import.log, of)?;
    let seen = Occurrences::open()?;
    let mut sending = Sending { client, path, seen, tally: Tally::default() };
    let (mut chunk, mut n_bytes, mut most) = (Vec::new(), 0, FIRST_CHUNK);
    for row in rows {
        let (at, row) = match row {
            Ok(row) => row,
            // What was read is sent all the same.
            Err(error) => return sending.send_or_stop(&chunk).and(Err(error)),
        };
        // Also of what is stepped over: a line is told from those that are like it by counting.
        let line = row.and_then(|row| Line::of(import.log, at, row, &sending.seen));
        if at < import.from_line {
            continue;
        }
        sending.tally.read += 1;
        match line {
            Ok(line) => {
                n_bytes += line.text.len();
                chunk.push(line);
            }
            Err(error @ (Error::Io { .. } | Error::Database(_))) => return Err(error),
            Err(error) => sending.refuse(at, &error),
        }
        if chunk.len() >= most || n_bytes >= CHUNK_BYTES {
            sending.send_or_stop(&chunk)?;
            (n_bytes, most) = (0, (2 * most).min(LARGEST_CHUNK));
            chunk.clear();
            tell_over(&sending.tally.to_string(), false);
        }
    }
    sending.send_or_stop(&chunk)?;
    let tally = sending.tally;
    tell_over(&tally.to_string(), true);
    let shown = json!(tally);
    if context.json {
        print(&shown.to_string())?;
    }
    if tally.refused == 0 {
        return Ok(());
    }
    Err(Error::usage(
        format!("{} of {} rows were refused", tally.refused, tally.read),
        "correct the lines named above and import the file again; the others are recorded, and known again",
    ))
}

/// A row of the file on its way.
struct Line {
    at: usize,
    text: String,
    /// Its number, as an export says.
    number: Option<i64>,
    /// `None`: a message is known by its id.
    counted: Option<Counted>,
}

impl Line {
    fn of(log: Log, at: usize, row: Value, seen: &Occurrences) -> Result<Self> {
        let fields = Fields::of(row.clone(), "")?;
        let identity = match log {
            Log::Messages => None,
            Log::Enforcement => {
                Some(imports::Line::read(fields, NewEvent::read, NewEvent::identity)?.identity)
            }
            Log::Activity => Some(imports::Line::read(fields, NewEntry::read, NewEntry::identity)?.identity),
        };
        let counted =
            identity.map(|identity| seen.count(&identity, imports::Place::id_of(&row))).transpose()?;
        Ok(Self { at, text: row.to_string(), number: row["seq"].as_i64(), counted })
    }

    /// As it is sent, without its last bracket: which of the equal rows it is, after which number.
    fn placed(&self, seen: &Occurrences) -> Result<Option<String>> {
        let Some(counted) = &self.counted else { return Ok(Some(self.text.clone())) };
        let (n_found, number) = seen.found(counted)?;
        let members = self.text.strip_suffix('}').unwrap_or(&self.text);
        let occurrence = counted.n - n_found;
        let placed = format!("{members},\"occurrence\":{occurrence},\"after\":{number}}}");
        // Else the line is one that came before, with the same id.
        Ok((occurrence > 0).then_some(placed))
    }
}

struct Sending {
    client: Client,
    path: String,
    seen: Occurrences,
    tally: Tally,
}

impl Sending {
    fn send_or_stop(&mut self, chunk: &[Line]) -> Result<()> {
        self.send(chunk).inspect_err(|_| {
            let first = chunk.first().map_or(1, |line| line.at);
            tell(&format!("stopped; go on with --from-line {first}"));
        })
    }

    /// # Errors
    /// What is not the input's fault.
    fn send(&mut self, lines: &[Line]) -> Result<()> {
        let (mut body, mut sent) = (String::new(), Vec::new());
        for line in lines {
            match line.placed(&self.seen)? {
                Some(text) => {
                    body.push_str(&text);
                    body.push('\n');
                    sent.push(line);
                }
                None => self.tally.already += 1,
            }
        }
        if sent.is_empty() {
            return Ok(());
        }
        let call = Call {
            method: Method::Post,
            path: self.path.clone(),
            query: vec![("import", "true".into())],
            headers: vec![("content-type", "application/x-ndjson".to_owned())],
            body: body.into_bytes(),
        };
        match self.client.send(call) {
            Ok(answer) => self.take(&sent, &answer.json()?),
            Err(error) if super::exit_code(&error) != 1 => Err(error),
            Err(error) => {
                // Those that were not sent are counted again.
                self.tally.already -= lines.len() - sent.len();
                if let [line] = lines {
                    self.refuse(line.at, &error);
                    return Ok(());
                }
                let (first, second) = lines.split_at(lines.len() / 2);
                self.send(first)?;
                self.send(second)
            }
        }
    }

    fn take(&mut self, sent: &[&Line], answer: &Value) -> Result<()> {
        let count = |name: &str| answer[name].as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
        self.tally.written += count("count");
        self.tally.already += count("already");
        let numbers = answer["numbers"].as_array().map(Vec::as_slice).unwrap_or_default();
        for (line, number) in sent.iter().zip(numbers) {
            // One that was found by its own number says nothing of where the next would be.
            if let (Some(counted), Some(number)) = (&line.counted, number.as_i64())
                && line.number != Some(number)
            {
                self.seen.set_found(counted, number)?;
            }
        }
        Ok(())
    }

    fn refuse(&mut self, line: usize, error: &Error) {
        self.tally.refused += 1;
        let error = error.to_string();
        let told = error.trim_start_matches("line 1.").trim_start_matches("body: ");
        tell_over(&format!("line {line}: {told}"), true);
    }
}

/// The line a row begins at, and the row or what is wrong with it; an error when the file cannot be read on.
type Rows = Box<dyn Iterator<Item = Result<(usize, Result<Value>)>>>;

/// The objects of a file, line by line.
fn rows(import: &Import, most: usize) -> Result<Rows> {
    let reader: Box<dyn Read> = if import.file.as_os_str() == "-" {
        Box::new(std::io::stdin())
    } else {
        let file = std::fs::File::open(&import.file).map_err(|error| {
            Error::usage(format!("cannot read {}: {error}", import.file.display()), "name a readable file")
        })?;
        Box::new(file)
    };
    let format = import.format.unwrap_or_else(|| by_ending(&import.file));
    match format {
        FileFormat::Ndjson => {
            let mut reader = BufReader::new(reader);
            let mut at = 0;
            Ok(Box::new(std::iter::from_fn(move || {
                loop {
                    at += 1;
                    let mut line = Vec::new();
                    match next_line(&mut reader, &mut line, most) {
                        Err(error) => return Some(Err(Error::io("cannot read the file")(error))),
                        Ok(0) => return None,
                        Ok(_) if line.iter().all(u8::is_ascii_whitespace) => {}
                        Ok(n) if n > most => {
                            let message = format!("has {n} bytes; accepted: up to {most}");
                            return Some(Ok((at, Err(Error::Malformed(message)))));
                        }
                        Ok(_) => return Some(Ok((at, crate::http::json::parse_line(&line)))),
                    }
                }
            })))
        }
        FileFormat::Csv => {
            let left = Rc::new(Cell::new(0));
            let mut csv = csv::Reader::from_reader(Bounded { reader, left: Rc::clone(&left) });
            // In a quoted cell each quote is written twice; and the reader takes some of the next record along.
            let next = 2 * most as u64 + 64 * 1024;
            left.set(next);
            let head = csv
                .headers()
                .map_err(|error| {
                    Error::usage(format!("no CSV: {error}"), "the first line names the columns")
                })?
                .clone();
            must_be_columns(&head)?;
            // The reader counts a line at its LF, and takes that of a CRLF with the next record.
            let late = if csv.position().line() == 1 { 1 } else { 0 };
            let mut records = csv.into_records();
            let records = std::iter::from_fn(move || {
                left.set(next);
                records.next()
            });
            Ok(Box::new(records.map(move |record| {
                let position = record.as_ref().map_or_else(csv::Error::position, csv::StringRecord::position);
                let line =
                    position.map_or(0, |position| usize::try_from(position.line() + late).unwrap_or(0));
                match record {
                    Ok(record) => Ok((line, object(&head, &record))),
                    Err(error) if error.is_io_error() => {
                        Err(Error::io("cannot read the file")(std::io::Error::other(error)))
                    }
                    Err(error) => Ok((line, Err(Error::Malformed(not_csv(&error))))),
                }
            })))
        }
    }
}

/// # Errors
/// `Usage` where the first line names no columns: of each row it would be said that all is missing.
fn must_be_columns(head: &csv::StringRecord) -> Result<()> {
    let first = head.get(0).unwrap_or_default();
    if first.starts_with(['{', '[']) {
        return Err(Error::usage(
            "the first line is JSON, and names no columns",
            "say --format ndjson, or name the file so (.ndjson)",
        ));
    }
    let separator =
        [(';', "semicolons"), ('\t', "tabs"), ('|', "bars")].into_iter().find(|(c, _)| first.contains(*c));
    match separator.filter(|_| head.len() == 1) {
        None => Ok(()),
        Some((_, what)) => Err(Error::usage(
            format!("the first line has {what} between the columns; accepted: commas"),
            "write the file anew with commas, which spreadsheets call CSV (comma delimited)",
        )),
    }
}

fn not_csv(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("has {len} cells, and the first line names {expected_len} columns")
        }
        csv::ErrorKind::Utf8 { err, .. } => format!("the cell {} is not UTF-8", err.field() + 1),
        _ => format!("not CSV: {error}"),
    }
}

/// Of a file whose records have any length: a quote that nothing closes makes one record of all that follows.
struct Bounded<R> {
    reader: R,
    /// Bytes that may be read before the record is at its end.
    left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.left.get() == 0 {
            return Err(std::io::Error::other("a record is too long; is there a quote that nothing closes?"));
        }
        let most = usize::try_from(self.left.get()).unwrap_or(usize::MAX).min(buffer.len());
        let n = self.reader.read(&mut buffer[..most])?;
        self.left.set(self.left.get() - n as u64);
        Ok(n)
    }
}

/// Reads a line, of which no more than `most` bytes are kept; says how many it has. The line end does not count.
fn next_line(reader: &mut impl BufRead, line: &mut Vec<u8>, most: usize) -> std::io::Result<usize> {
    let n_read = reader.by_ref().take(most as u64 + 2).read_until(b'\n', line)?;
    if n_read == 0 || line.pop_if(|last| *last == b'\n').is_some() || n_read <= most {
        return Ok(n_read);
    }
    Ok(n_read + reader.skip_until(b'\n')?)
}

/// A record of a CSV file as the object it was exported from; an empty cell is a member left out.
fn object(head: &csv::StringRecord, record: &csv::StringRecord) -> Result<Value> {
    let members = head.iter().zip(record).filter(|(_, cell)| !cell.is_empty());
    let members: Map<String, Value> =
        members.map(|(name, cell)| Ok((name.to_owned(), typed(name, cell)?))).collect::<Result<_>>()?;
    Ok(Value::Object(members))
}

fn by_ending(path: &Path) -> FileFormat {
    match path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv")) {
        true => FileFormat::Csv,
        false => FileFormat::Ndjson,
    }
}

/// A cell as the member it was exported from.
fn typed(name: &str, cell: &str) -> Result<Value> {
    match name {
        _ if stream::JSON_COLUMNS.contains(&name) => crate::http::json::parse(cell.as_bytes()),
        "sent_count" | "limit_value" | "received_at" | "recorded_at" | "seq" | "mailbox_id"
        | "policy_version" => Ok(cell.parse::<i64>().map_or_else(|_| cell.into(), Value::from)),
        "from_alignment" => Ok(cell.parse::<bool>().map_or_else(|_| cell.into(), Value::from)),
        _ => {
            // The export puts an apostrophe before what a spreadsheet would take for a formula.
            let guarded = cell.strip_prefix('\'').filter(|rest| stream::is_formula(rest));
            Ok(guarded.unwrap_or(cell).into())
        }
    }
}
