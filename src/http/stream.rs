//! Rows on their way out, in pieces of bounded size: a page of a list, a whole filtered result as CSV or NDJSON.
//!
//! What is held of an answer that nobody takes is one piece, however large the answer is: a piece ends with the row that
//! takes it over its bytes. A page that is one piece is sent with its length.
//!
//! A whole result is a walk by cursor, each piece in a snapshot of its own, and not one long snapshot: a reader that
//! takes an hour must not keep the WAL from being emptied. A row that was there throughout comes exactly once; rows
//! pruned meanwhile may be missing, and what is recorded after the start does not come.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Serialize;
use serde_json::value::RawValue;

use super::query::Query;
use super::{Body, Request, Response, negotiate};
use crate::error::{Error, Result};

/// A piece of an answer is over with the row that takes it past so many bytes.
pub const PIECE_BYTES: usize = 256 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The vendor's envelope, a page.
    Json,
    Csv,
    Ndjson,
    /// Each row with its proof; for `proofs`.
    Proof,
}

impl Format {
    /// By `format=`, else by `Accept`; the vendor's envelope unless one of ours is more welcome.
    pub fn of(request: &Request) -> Result<Self> {
        let words =
            [("json", Self::Json), ("csv", Self::Csv), ("ndjson", Self::Ndjson), ("proof", Self::Proof)];
        if let Some(format) = request.query.word("format", &words)? {
            return Ok(format);
        }
        let offers = [
            ("application/json", Self::Json),
            ("text/csv", Self::Csv),
            ("application/x-ndjson", Self::Ndjson),
            ("application/ndjson", Self::Ndjson),
        ];
        Ok(negotiate::media_type(request, &offers).unwrap_or(Self::Json))
    }

    /// A stream is the whole result; to ask for a part of it is a misunderstanding.
    pub fn refuse_paging(self, query: &Query) -> Result<()> {
        if self == Self::Json {
            return Ok(());
        }
        match query.pairs().find(|(name, _)| matches!(*name, "limit" | "offset" | "cursor" | "after")) {
            Some((name, _)) => Err(Error::invalid(
                name,
                "cannot be given with CSV, NDJSON or proofs, which stream the whole result; narrow it with from and to",
            )),
            None => Ok(()),
        }
    }
}

/// Rows of an answer, as far as they are made.
pub struct Piece {
    form: Form,
    bytes: Vec<u8>,
    n_rows: usize,
    n_passed: usize,
}

#[derive(Clone, Copy)]
enum Form {
    /// Items of a list in JSON; whether there are some before this piece.
    Items {
        is_first: bool,
    },
    Lines,
    Records(&'static [&'static str]),
}

impl Piece {
    fn new(form: Form) -> Self {
        Self { form, bytes: Vec::new(), n_rows: 0, n_passed: 0 }
    }

    /// The first of a list in JSON.
    pub fn first() -> Self {
        Self::new(Form::Items { is_first: true })
    }

    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// How many were looked at for it: those that it has, and those that are not there any more.
    pub fn n_passed(&self) -> usize {
        self.n_passed
    }

    /// Passes over a row that is not there any more.
    pub fn pass(&mut self) {
        self.n_passed += 1;
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub fn n_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it may have another row.
    pub fn has_room(&self) -> bool {
        self.bytes.len() < PIECE_BYTES
    }

    /// Adds a row: an object with the same members as the others.
    pub fn push(&mut self, row: &impl Serialize) -> Result<()> {
        let broken = |error: serde_json::Error| Error::Internal(format!("cannot encode a row: {error}"));
        match self.form {
            Form::Items { is_first } => {
                if !is_first || self.n_rows > 0 {
                    self.bytes.push(b',');
                }
                serde_json::to_writer(&mut self.bytes, row).map_err(broken)?;
            }
            Form::Lines => {
                serde_json::to_writer(&mut self.bytes, row).map_err(broken)?;
                self.bytes.push(b'\n');
            }
            Form::Records(columns) => {
                let object = serde_json::to_vec(row).map_err(broken)?;
                let members: HashMap<&str, &RawValue> = serde_json::from_slice(&object).map_err(broken)?;
                self.record(columns.iter().map(|column| match members.get(column) {
                    Some(value) => cell(column, value.get()),
                    None => Cow::Borrowed(""),
                }))?;
            }
        }
        self.n_rows += 1;
        self.n_passed += 1;
        Ok(())
    }

    fn record<'a>(&mut self, cells: impl Iterator<Item = Cow<'a, str>>) -> Result<()> {
        let broken = |error: csv::Error| Error::Internal(format!("cannot encode a row: {error}"));
        let mut writer = csv::WriterBuilder::new()
            .terminator(csv::Terminator::CRLF)
            .buffer_capacity(1024)
            .from_writer(std::mem::take(&mut self.bytes));
        for cell in cells {
            writer.write_field(cell.as_bytes()).map_err(broken)?;
        }
        writer.write_record(None::<&[u8]>).map_err(broken)?;
        self.bytes = writer.into_inner().map_err(|error| broken(error.into_error().into()))?;
        Ok(())
    }
}

/// Streams rows. `next` adds some to the piece it is given, and says whether there are more; asked again after an error
/// that says when, it goes on where it was.
pub fn rows(
    format: Format,
    columns: &'static [&'static str],
    mut next: impl FnMut(&mut Piece) -> Result<bool> + Send + 'static,
) -> Response {
    let (content_type, form, head) = match format {
        Format::Csv => {
            let head = (columns.join(",") + "\r\n").into_bytes();
            ("text/csv; charset=utf-8; header=present", Form::Records(columns), Some(head))
        }
        Format::Ndjson | Format::Json | Format::Proof => ("application/x-ndjson", Form::Lines, None),
    };
    let mut has_more = true;
    pieces(content_type, head, move || {
        while has_more {
            let mut piece = Piece::new(form);
            has_more = next(&mut piece)?;
            if piece.n_rows > 0 {
                return Ok(piece.bytes);
            }
        }
        Ok(Vec::new())
    })
}

/// An answer in JSON around one list: `head`, up to the bracket that opens it; the rows of `first`; those that `next`
/// adds to further pieces, until it gives the `tail`, from the bracket that closes the list on. An answer that is over
/// with its first piece has a length; `next` is asked again after an error that says when.
pub fn list(
    status: u16,
    head: &str,
    first: Piece,
    tail: Option<String>,
    mut next: impl FnMut(&mut Piece) -> Result<Option<String>> + Send + 'static,
) -> Response {
    let mut bytes = head.as_bytes().to_vec();
    bytes.extend_from_slice(&first.bytes);
    if let Some(tail) = tail {
        bytes.extend_from_slice(tail.as_bytes());
        return Response::new(status, "application/json", bytes);
    }
    let mut is_first = first.n_rows == 0;
    let mut is_over = false;
    let response = pieces("application/json", Some(bytes), move || {
        while !is_over {
            let mut piece = Piece::new(Form::Items { is_first });
            let tail = next(&mut piece)?;
            is_first &= piece.n_rows == 0;
            is_over = tail.is_some();
            piece.bytes.extend_from_slice(tail.unwrap_or_default().as_bytes());
            if !piece.bytes.is_empty() {
                return Ok(piece.bytes);
            }
        }
        Ok(Vec::new())
    });
    Response { status, ..response }
}

/// Streams pieces after a head; an empty one ends it. Asked again after an error that says when, `next` goes on where
/// it was.
pub fn pieces(
    content_type: &str,
    mut head: Option<Vec<u8>>,
    mut next: impl FnMut() -> Result<Vec<u8>> + Send + 'static,
) -> Response {
    let mut is_over = false;
    let pieces = std::iter::from_fn(move || {
        if let Some(head) = head.take() {
            return Some(Ok(head));
        }
        if is_over {
            return None;
        }
        let piece = next();
        is_over = piece.as_ref().map_or_else(|error| error.retry_after().is_none(), Vec::is_empty);
        match piece {
            Ok(piece) if piece.is_empty() => None,
            piece => Some(piece),
        }
    });
    Response {
        status: 200,
        headers: vec![("Content-Type", content_type.into())],
        body: Body::Stream(Box::new(pieces)),
    }
}

/// Columns that hold JSON of any shape: text is quoted there, so that `"5"` and `5` stay two things.
pub const JSON_COLUMNS: [&str; 6] =
    ["metadata", "capabilities_granted", "tools_used", "tokens_consumed", "reply_sent", "appended"];

/// A value, in JSON, as a cell (RFC 4180). Text that a spreadsheet would take for a formula gets an apostrophe in front:
/// whoever sends mail chooses some of these values. `import` takes it off again.
fn cell<'a>(column: &str, value: &'a str) -> Cow<'a, str> {
    if value == "null" {
        return Cow::Borrowed("");
    }
    if !value.starts_with('"') || JSON_COLUMNS.contains(&column) {
        return Cow::Borrowed(value);
    }
    let text: String = serde_json::from_str(value).unwrap_or_default();
    Cow::Owned(if is_formula(&text) { format!("'{text}") } else { text })
}

/// What a spreadsheet would take for a formula, also when apostrophes are in front of it already: one more can then
/// be taken off for certain.
pub fn is_formula(text: &str) -> bool {
    text.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\t', '\r'])
}
