//! `/tlog/…`: the tree as C2SP tlog-tiles has it, so that any client of such a log can follow ours.

use super::text;
use crate::app::{App, LOGS};
use crate::error::{Error, Result, Subject};
use crate::http::route::{Dialect, Handler, Route, route, tail};
use crate::http::{Method, Request, Response};
use crate::store::Asker;
use crate::tlog::epochs;
use crate::tlog::tiles::{Level, Tile};

pub const ROUTES: &[Route] = &[
    route(Method::Get, "/tlog/checkpoint", Dialect::Problem, Handler::Tree(show_checkpoint)),
    route(Method::Get, "/tlog/keys", Dialect::Problem, Handler::Tree(list_keys)),
    tail(Method::Get, "/tlog/tile/{level}/{tile}", Dialect::Problem, Handler::Tree(show_tile)),
];

fn show_checkpoint(app: &App, _: Asker, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    Ok(text(app.checkpoints.recent(&app.store, app.clock.now())?))
}

/// The keys of every epoch, oldest first, a line each.
fn list_keys(app: &App, _: Asker, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    let keys = app.store.read(|snapshot| epochs::verifiers(snapshot))?;
    Ok(text(keys.iter().map(|key| format!("{key}\n")).collect()))
}

fn show_tile(app: &App, asker: Asker, request: &Request) -> Result<Response> {
    request.query.only(&[])?;
    let missing = || Error::NotFound(Subject::Tile);
    let tile = Tile::parse(request.parameter("level"), request.parameter("tile")).ok_or_else(missing)?;
    let bytes = app.store.read_list(asker, |snapshot| tile.read(snapshot, LOGS))?.ok_or_else(missing)?;
    let response = Response::new(200, "application/octet-stream", bytes);
    Ok(match tile.level {
        // The same for ever.
        Level::Hashes(_) => response.with("Cache-Control", "private, max-age=31536000, immutable"),
        Level::Entries => response,
    })
}
