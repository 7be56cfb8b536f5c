//! Looking at a log: query, and tail.

use std::io::ErrorKind;
use std::time::Duration;

use serde_json::Value;

use super::Context;
use super::arguments::{Filters, Log, Query, Tail};
use super::client::{Call, Client};
use super::data::{columns, list_route, readable, word};
use super::table::Column;
use super::terminal::{print, tell};
use crate::error::{Error, Result};
use crate::http::Method;

/// Rows that a server gives at once.
const PAGE: usize = 200;

pub fn query(context: &Context, query: &Query) -> Result<()> {
    let client = Client::open(context)?;
    let list = match query.log.log() {
        Some(log) => {
            let mut list = List::of(&client, context, log, &query.filters)?;
            list.parameters.extend(query.span.parameters()?);
            list.parameters.push(("order", query.order.clone()));
            list
        }
        None => List::of_controls(query)?,
    };
    let most = usize::try_from(query.limit).unwrap_or(usize::MAX);
    let mut all = Vec::new();
    let has_more = list.pages(&client, most, |rows| {
        if context.json {
            return rows.iter().try_for_each(|row| print(&row.to_string()));
        }
        all.extend(rows);
        Ok(())
    })?;
    if !context.json {
        print(context.table(&readable(all), list.columns).trim_end())?;
    }
    if has_more {
        tell(&format!("there are more than these {most}; --limit shows more, `mailtrail export` writes all"));
    }
    Ok(())
}

/// A log as it is listed.
struct List {
    path: String,
    /// The envelope's name of it.
    word: &'static str,
    columns: &'static [Column],
    parameters: Vec<(&'static str, String)>,
}

impl List {
    fn of(client: &Client, context: &Context, log: Log, filters: &Filters) -> Result<Self> {
        let parameters = filters.parameters(client, log)?;
        let path = list_route(client, context, log, filters.owner())?;
        Ok(Self { path, word: word(log), columns: columns(log), parameters })
    }

    /// What became of the tree itself: `proof control ID` proves one of them.
    fn of_controls(query: &Query) -> Result<Self> {
        if query.filters.any() || query.span.is_given() || query.order != "desc" {
            return Err(Error::usage(
                "control has no filters and one order",
                "leave them out; --limit says how many",
            ));
        }
        Ok(Self {
            path: "/api/v1/admin/controls".into(),
            word: "items",
            columns: &[
                ("ID", "/id", 0),
                ("TIME", "/recorded_at", 0),
                ("KIND", "/kind", 0),
                ("WHAT", "/body", 1),
            ],
            parameters: Vec::new(),
        })
    }

    /// Up to `most` rows, page by page; whether there are more.
    fn pages(
        &self,
        client: &Client,
        most: usize,
        mut take: impl FnMut(Vec<Value>) -> Result<()>,
    ) -> Result<bool> {
        let (mut n_left, mut cursor) = (most, None);
        while n_left > 0 {
            let mut parameters = vec![("limit", n_left.min(PAGE).to_string())];
            parameters.extend(cursor.take().map(|cursor| ("cursor", cursor)));
            let (rows, next) = self.page(client, parameters)?;
            n_left = n_left.saturating_sub(rows.len());
            take(rows)?;
            cursor = next;
            if cursor.is_none() {
                return Ok(false);
            }
        }
        Ok(cursor.is_some())
    }

    /// A page, and the cursor of the next one: Mailbuttons has it in the envelope, the others in `Link`.
    fn page(
        &self,
        client: &Client,
        more: Vec<(&'static str, String)>,
    ) -> Result<(Vec<Value>, Option<String>)> {
        let answer = client.send(Call {
            method: Method::Get,
            path: self.path.clone(),
            query: [self.parameters.clone(), more].concat(),
            headers: Vec::new(),
            body: Vec::new(),
        })?;
        let link = answer
            .header("link")
            .and_then(|link| Some(link.split_once('?')?.1.split_once('>')?.0.to_owned()));
        let in_link = link.and_then(|link| {
            let mut pairs = form_urlencoded::parse(link.as_bytes());
            pairs.find(|(name, _)| name == "cursor").map(|(_, value)| value.into_owned())
        });
        let mut page = answer.json()?;
        let next = in_link.or_else(|| page["next_cursor"].as_i64().map(|cursor| cursor.to_string()));
        Ok((self.rows(&mut page), next))
    }

    /// What was recorded after a number, and up to which number that is all.
    fn after(&self, client: &Client, number: i64) -> Result<(Vec<Value>, i64)> {
        let mut parameters = self.parameters.clone();
        parameters.extend([("after", number.to_string()), ("limit", PAGE.to_string())]);
        let mut page = client.get(&self.path, parameters)?;
        let next = page["next_after"].as_i64().unwrap_or(number);
        Ok((self.rows(&mut page), next))
    }

    fn rows(&self, page: &mut Value) -> Vec<Value> {
        match page[self.word].take() {
            Value::Array(rows) => rows,
            _ => Vec::new(),
        }
    }
}

/// Prints the last rows, then what is recorded from then on, in the order of recording. It lives until it is ended: over
/// everything that passes (`patiently`) it goes on behind the last number that it saw.
pub fn tail(context: &Context, tail: &Tail) -> Result<()> {
    let mut client = Client::open(context)?;
    if !client.stays_with_server() {
        return Err(Error::usage(
            "nobody serves this directory, so nothing new can come",
            "start `mailtrail serve` first",
        ));
    }
    let list = patiently(|| List::of(&client, context, tail.log, &tail.filters))?;
    // What was recorded up to here is the backlog's, the rest is followed.
    let (_, mut last) = patiently(|| list.after(&client, i64::MAX))?;
    let mut backlog = patiently(|| {
        let mut rows = Vec::new();
        list.pages(&client, usize::try_from(tail.lines).unwrap_or(usize::MAX), |page| {
            rows.extend(page);
            Ok(())
        })?;
        Ok(rows)
    })?;
    backlog.retain(|row| row["seq"].as_i64().is_none_or(|seq| seq <= last));
    backlog.reverse();
    show(context, list.columns, backlog, true)?;
    loop {
        let (rows, next) = patiently(|| list.after(&client, last))?;
        last = next;
        // Behind a full page there is more; behind one that large rows cut short there may be.
        let pause = match rows.len() {
            0 => Duration::from_secs(1),
            PAGE.. => Duration::ZERO,
            _ => Duration::from_millis(50),
        };
        show(context, list.columns, rows, false)?;
        std::thread::sleep(pause);
    }
}

/// Asks until there is an answer, or a refusal that no waiting does away with. What it waits for is told once.
fn patiently<T>(mut ask: impl FnMut() -> Result<T>) -> Result<T> {
    let mut is_told = false;
    loop {
        let error = match ask() {
            Err(error) if is_passing(&error) => error,
            answer => return answer,
        };
        if !is_told {
            tell(&match error {
                Error::Io { .. } => "the server went away; waiting for the next one".to_owned(),
                error => format!("{error}; trying again"),
            });
        }
        is_told = true;
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Whether the same question may be answered later: a server may be away, full, busy or in trouble, and another may come
/// in its place. That this user may not reach it, or that what was asked for is unknown, stays so.
fn is_passing(error: &Error) -> bool {
    match error {
        Error::Unavailable { .. } | Error::TooMany { .. } | Error::Internal(_) => true,
        Error::Io { source, .. } => source.kind() != ErrorKind::PermissionDenied,
        _ => false,
    }
}

fn show(context: &Context, columns: &[Column], rows: Vec<Value>, is_first: bool) -> Result<()> {
    if context.json {
        return rows.iter().try_for_each(|row| print(&row.to_string()));
    }
    if rows.is_empty() {
        return Ok(());
    }
    let text = context.table(&readable(rows), columns);
    let text = match (is_first, text.split_once('\n')) {
        (false, Some((_, rows))) => rows,
        _ => &text,
    };
    print(text.trim_end())
}
