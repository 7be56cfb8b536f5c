//! What the two lists by time have in common on the wire: `from`, `to`, `order`, `offset` or `cursor`, `format`,
//! and the `Link` to the next page.

use super::query::Query;
use super::route::limit;
use super::stream::Format;
use super::{Request, Response};
use crate::error::{Error, Result};
use crate::store::listing::{Cursor, Start};
use crate::time::Timestamp;

/// The parameters every list by time knows.
pub const PARAMETERS: [&str; 8] = ["limit", "offset", "cursor", "after", "from", "to", "order", "format"];

pub struct Page {
    pub limit: i64,
    pub offset: i64,
    pub start: Start,
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
    pub newest_first: bool,
    pub format: Format,
}

/// The first of a list, newest first.
impl Default for Page {
    fn default() -> Self {
        Self {
            limit: 0,
            offset: 0,
            start: Start::Offset(0),
            from: None,
            to: None,
            newest_first: true,
            format: Format::Json,
        }
    }
}

/// Reads them; `own` are the list's further parameters, anything else is refused.
pub fn parse(request: &Request, own: &[&str]) -> Result<Page> {
    let query = &request.query;
    let known: Vec<&str> = own.iter().copied().chain(PARAMETERS).collect();
    query.only(&known)?;
    let format = Format::of(request)?;
    format.refuse_paging(query)?;
    let limit = limit(query)?;
    let offset = query.integer("offset", "0 or more")?;
    if let Some(negative) = offset.filter(|offset| *offset < 0) {
        return Err(Error::invalid("offset", format!("{negative} is not acceptable; accepted: 0 or more")));
    }
    let start = match (query.text("cursor")?, offset) {
        (None, offset) => Start::Offset(offset.unwrap_or(0)),
        (Some(cursor), None) => Start::After(Cursor::parse(cursor)?),
        (Some(_), Some(_)) => {
            return Err(Error::invalid("cursor", "cannot be given with offset; accepted: one of the two"));
        }
    };
    Ok(Page {
        limit,
        offset: offset.unwrap_or(0),
        start,
        from: query.timestamp("from")?,
        to: query.timestamp("to")?,
        newest_first: newest_first(query)?,
        format,
    })
}

/// `order=desc`, unless `order=asc`.
pub fn newest_first(query: &Query) -> Result<bool> {
    Ok(query.word("order", &[("desc", true), ("asc", false)])?.unwrap_or(true))
}

/// Adds `Link: <…>; rel="next"` (RFC 8288): the same list from after `last` on. Rows that come or go between two
/// pages shift an offset, a cursor not.
pub fn link_next(response: Response, request: &Request, last: Option<Cursor>) -> Response {
    let Some(cursor) = last else { return response };
    let mut target = form_urlencoded::Serializer::new(String::new());
    for (name, value) in request.query.pairs().filter(|(name, _)| !matches!(*name, "offset" | "cursor")) {
        target.append_pair(name, value);
    }
    target.append_pair("cursor", &cursor.to_string());
    response.with("Link", format!("<{}?{}>; rel=\"next\"", request.path, target.finish()))
}
