//! A whole filtered result as CSV or NDJSON, however large, in constant memory.
//!
//! It is a walk of pages by cursor, each in a snapshot of its own, and not one long snapshot: a reader that takes
//! an hour must not keep the WAL from being emptied. A row that was there throughout comes exactly once; rows
//! recorded while it runs may be missing, rows pruned meanwhile too.

use serde::Serialize;
use serde_json::Value;

use super::query::Query;
use super::{Body, Request, Response, json};
use crate::error::{Error, Result};

/// Rows read at a time. So many are held for each client that does not take its stream; more would be no faster.
pub const PIECE: i64 = 32;

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
    /// By `format=`, else by `Accept`; the vendor's envelope unless one of ours is asked for.
    pub fn of(request: &Request) -> Result<Self> {
        let words =
            [("json", Self::Json), ("csv", Self::Csv), ("ndjson", Self::Ndjson), ("proof", Self::Proof)];
        if let Some(format) = request.query.word("format", &words)? {
            return Ok(format);
        }
        let accept = request.header("accept").unwrap_or_default().to_ascii_lowercase();
        let first =
            accept.split(',').find_map(|range| match range.split(';').next().unwrap_or_default().trim() {
                "text/csv" => Some(Self::Csv),
                "application/x-ndjson" | "application/ndjson" => Some(Self::Ndjson),
                "application/json" | "application/*" | "*/*" => Some(Self::Json),
                _ => None,
            });
        Ok(first.unwrap_or(Self::Json))
    }

    /// A stream is the whole result; to ask for a part of it is a misunderstanding.
    pub fn refuse_paging(self, query: &Query) -> Result<()> {
        if self == Self::Json {
            return Ok(());
        }
        match query.pairs().find(|(name, _)| matches!(*name, "limit" | "offset" | "cursor")) {
            Some((name, _)) => Err(Error::invalid(
                name,
                "cannot be given with CSV, NDJSON or proofs, which stream the whole result; narrow it with from and to",
            )),
            None => Ok(()),
        }
    }
}

/// Streams rows (objects with the same members); `next` gives the next piece, an empty one ends it.
pub fn response<Row: Serialize>(
    format: Format,
    columns: &'static [&'static str],
    mut next: impl FnMut() -> Result<Vec<Row>> + Send + 'static,
) -> Response {
    let content_type = match format {
        Format::Csv => "text/csv; charset=utf-8; header=present",
        Format::Ndjson | Format::Json | Format::Proof => "application/x-ndjson",
    };
    let head = (format == Format::Csv).then(|| (columns.join(",") + "\r\n").into_bytes());
    pieces(content_type, head, move || encode(format, columns, &next()?))
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

/// Row by row: what a piece takes while it is made stays with its thread, and a slow client's thread lives long.
fn encode(format: Format, columns: &[&str], rows: &[impl Serialize]) -> Result<Vec<u8>> {
    let broken = |error: String| Error::Internal(format!("cannot encode a row: {error}"));
    let mut piece = if format == Format::Csv {
        let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
        for row in rows {
            let row = json::value(row)?;
            let fields = columns.iter().map(|column| cell(column, row.get(*column).unwrap_or(&Value::Null)));
            writer.write_record(fields).map_err(|error| broken(error.to_string()))?;
        }
        writer.into_inner().map_err(|error| broken(error.to_string()))?
    } else {
        let mut lines = Vec::new();
        for row in rows {
            serde_json::to_writer(&mut lines, row).map_err(|error| broken(error.to_string()))?;
            lines.push(b'\n');
        }
        lines
    };
    // Held as long as the client takes: without the room it grew into, up to half of it.
    piece.shrink_to_fit();
    Ok(piece)
}

/// Columns that hold JSON of any shape: text is quoted there, so that `"5"` and `5` stay two things.
pub const JSON_COLUMNS: [&str; 6] =
    ["metadata", "capabilities_granted", "tools_used", "tokens_consumed", "reply_sent", "appended"];

/// A value as a cell (RFC 4180). Text that a spreadsheet would take for a formula gets an apostrophe in front:
/// whoever sends mail chooses some of these values. `import` takes it off again.
fn cell(column: &str, value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) if !JSON_COLUMNS.contains(&column) => {
            if is_formula(text) {
                format!("'{text}")
            } else {
                text.clone()
            }
        }
        other => other.to_string(),
    }
}

/// What a spreadsheet would take for a formula, also when apostrophes are in front of it already: one more can then
/// be taken off for certain.
pub fn is_formula(text: &str) -> bool {
    text.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\t', '\r'])
}
