//! SendDock's routes: the audit log of a project and of a workspace, and our door for recording activities.
//!
//! The order of refusals is the vendor's: 401 no session, 402 no license, 404 no such project, 403 not yours. That a
//! stranger can tell 404 from 403 is the vendor's documented answer; ids are random.

use rusqlite::Connection;

use super::sql::{self, Filter};
use super::{COLUMNS, Entry, NewEntry, OWN_ACTIONS, Place, one_spelling};
use crate::app::App;
use crate::auth::{self, Caller, Scope, Session, address};
use crate::error::{Error, Result, Subject};
use crate::export::Page;
use crate::follow;
use crate::http::json::Fields;
use crate::http::route::{Dialect, Handler, Route, bulk, route};
use crate::http::stream::Format;
use crate::http::{Method, Request, Response, batch, listing};
use crate::ids::{Ulid, Uuid};
use crate::imports::{self, Line, Search};
use crate::owners::projects::{self, Project};
use crate::owners::workspaces::{self, Workspace};
use crate::proofs;
use crate::store::backup::last_seq;
use crate::store::counts::Log;
use crate::store::following::After;
use crate::store::{Snapshot, Tx};
use crate::taken::Taker;

pub const ROUTES: &[Route] = &[
    route(Method::Get, "/api/v1/projects/{id}/audit-log", Dialect::SendDock, Handler::Session(list_project)),
    bulk(
        Method::Post,
        "/api/v1/projects/{id}/audit-log",
        Dialect::SendDock,
        Handler::Key(Scope::ACTIVITY_WRITE, post_activity),
    ),
    route(
        Method::Get,
        "/api/v1/workspaces/{id}/audit-log",
        Dialect::SendDock,
        Handler::Session(list_workspace),
    ),
    route(
        Method::Get,
        "/api/v1/projects/{id}/audit-log/{activity_id}/proof",
        Dialect::SendDock,
        Handler::Session(prove_of_project),
    ),
    route(
        Method::Get,
        "/api/v1/workspaces/{id}/audit-log/{activity_id}/proof",
        Dialect::SendDock,
        Handler::Session(prove_of_workspace),
    ),
];

const FILTERS: [&str; 4] = ["action", "user_id", "target_type", "target_id"];

/// The project of the path, for a member of its workspace.
fn project_of(app: &App, session: &Session, request: &Request) -> Result<Project> {
    app.license()?;
    let missing = || Error::NotFound(Subject::Project);
    let id = Uuid::parse(request.parameter("id")).ok_or_else(missing)?;
    let project = app.store.read(|snapshot| projects::find(snapshot, id))?.ok_or_else(missing)?;
    match session.role(project.workspace) {
        Some(_) => Ok(project),
        None => Err(Error::Forbidden("you are not a member of this project's workspace".into())),
    }
}

/// The workspace of the path, for a member; to others it is not there.
fn workspace_of(app: &App, session: &Session, request: &Request) -> Result<Workspace> {
    app.license()?;
    let missing = || Error::NotFound(Subject::Workspace);
    let id = Uuid::parse(request.parameter("id")).ok_or_else(missing)?;
    let workspace = app.store.read(|snapshot| workspaces::find(snapshot, id))?.ok_or_else(missing)?;
    session.role(workspace.key).ok_or_else(missing)?;
    Ok(workspace)
}

fn list_project(app: &App, session: &Session, request: &Request) -> Result<Response> {
    let project = project_of(app, session, request)?;
    let page = parse(request, &FILTERS)?;
    let taker = of_project(session, &project);
    list(app, session, request, page, sql::Scope::Project(project.key), taker)
}

fn list_workspace(app: &App, session: &Session, request: &Request) -> Result<Response> {
    let workspace = workspace_of(app, session, request)?;
    let page = parse(request, &[&FILTERS[..], &["project_id"]].concat())?;
    let mut taker = of_workspace(session, &workspace);
    let scope = match request.query.text("project_id")? {
        None => sql::Scope::Workspace(workspace.key),
        Some(text) => {
            let missing = || Error::NotFound(Subject::Project);
            let id = Uuid::parse(text).ok_or_else(missing)?;
            let project = app.store.read(|snapshot| projects::find(snapshot, id))?;
            let project = project.filter(|project| project.workspace == workspace.key).ok_or_else(missing)?;
            taker.at.1 = Some(project.key);
            sql::Scope::Project(project.key)
        }
    };
    list(app, session, request, page, scope, taker)
}

/// What part of the list is asked for: what was recorded after a number, or a page by time.
fn parse(request: &Request, filters: &[&str]) -> Result<(Option<After>, listing::Page)> {
    Ok(match follow::parse(request, filters)? {
        Some(after) => (Some(after), listing::Page::default()),
        None => (None, listing::parse(request, filters)?),
    })
}

/// Where it is noted what somebody takes of a project's log.
fn of_project<'a>(session: &'a Session, project: &Project) -> Taker<'a> {
    taker(session, (project.workspace, Some(project.key)), ("project", project.id))
}

fn of_workspace<'a>(session: &'a Session, workspace: &Workspace) -> Taker<'a> {
    taker(session, (workspace.key, None), ("workspace", workspace.id))
}

fn taker<'a>(session: &'a Session, at: (i64, Option<i64>), (kind, id): (&'static str, Uuid)) -> Taker<'a> {
    Taker {
        at,
        by: &session.by,
        id: session.log_id(),
        action: "activity.export",
        target: (kind, id.to_string()),
    }
}

fn prove_of_project(app: &App, session: &Session, request: &Request) -> Result<Response> {
    let project = project_of(app, session, request)?;
    prove(app, request, sql::Scope::Project(project.key), of_project(session, &project))
}

fn prove_of_workspace(app: &App, session: &Session, request: &Request) -> Result<Response> {
    let workspace = workspace_of(app, session, request)?;
    prove(app, request, sql::Scope::Workspace(workspace.key), of_workspace(session, &workspace))
}

fn prove(app: &App, request: &Request, scope: sql::Scope, taker: Taker<'_>) -> Result<Response> {
    request.query.only(&[])?;
    let missing = || Error::NotFound(Subject::Activity);
    let id = Ulid::parse(request.parameter("activity_id")).ok_or_else(missing)?;
    let number = app.store.read(|snapshot| sql::number_of(snapshot, scope, id))?.ok_or_else(missing)?;
    app.note_page(taker, request, 1)?;
    proofs::answer(app, number, Subject::Activity)
}

fn list(
    app: &App,
    session: &Session,
    request: &Request,
    (after, page): (Option<After>, listing::Page),
    scope: sql::Scope,
    taker: Taker<'_>,
) -> Result<Response> {
    let text = |name| Ok::<_, Error>(request.query.text(name)?.map(str::to_owned));
    let user_id = text("user_id")?.map(one_spelling);
    let filter = Filter {
        scope,
        action: text("action")?,
        user_id,
        target_type: text("target_type")?,
        target_id: text("target_id")?,
    };
    let standing = session.standing.clone().within(taker.at.0);
    // A list knows its texts by the numbers that they have in a snapshot, and is read in that one: what is recorded
    // first after it may bring a text that had no number.
    let listing = |snapshot: &Snapshot<'_>| {
        let filter = filter.clone().in_stored_form(snapshot)?;
        sql::listing(snapshot, &filter, page.from, page.to, page.newest_first)
    };
    if let Some(after) = after {
        let (entries, next_after) = app.store.read_list(standing.asker, |snapshot| {
            let followed = listing(snapshot)?.follow(snapshot, &after)?;
            follow::page(snapshot, &followed, |connection, (number, _)| sql::find(connection, number))
        })?;
        app.note_page(taker, request, entries.n_rows())?;
        return Ok(follow::answer("entries", entries, next_after));
    }
    if page.format != Format::Json {
        app.note_export(taker, request)?;
        let (list, last) =
            app.store.read_list(standing.asker, |snapshot| Ok((listing(snapshot)?, last_seq(snapshot)?)))?;
        return proofs::whole(app, &standing, (list, last), page.format, COLUMNS, sql::find);
    }
    let (entries, total) = app.store.read_list(standing.asker, |snapshot| {
        let list = listing(snapshot)?;
        let entries = Page::read(snapshot, &list, page.start, page.limit, Entry::from_row)?;
        Ok((entries, list.total(snapshot)?))
    })?;
    app.note_page(taker, request, entries.n_rows())?;
    let last = entries.last;
    let tail = move |_| format!(r#"],"total":{total}}}"#);
    let response = entries.answer(&standing, r#"{"entries":["#, sql::find, tail);
    Ok(listing::link_next(response, request, last))
}

fn find_living(connection: &Connection, workspace: i64, id: Uuid) -> Result<Project> {
    let project = projects::find(connection, id)?
        .filter(|project| project.workspace == workspace && project.deleted_at.is_none());
    project.ok_or(Error::NotFound(Subject::Project))
}

fn read(fields: Fields, caller: &Caller) -> Result<NewEntry> {
    let new = NewEntry::read(fields)?;
    // The operator brings along what was exported elsewhere.
    if !caller.is_operator && OWN_ACTIONS.contains(&new.action.as_str()) {
        let message = format!("the action {} is mailtrail's own; no key may record it", new.action);
        return Err(Error::Forbidden(message));
    }
    Ok(new)
}

/// Records the activities that are not there yet. Whoever imports them did not do them: nothing is said of from where.
fn import_entries(app: &App, caller: &Caller, request: &Request, id: Uuid) -> Result<Response> {
    let batch = batch::parse(request, "entries", app.config.max_body, |fields| {
        Line::read(fields, |fields| read(fields, caller), NewEntry::identity)
    })?;
    let (workspace, by) = (caller.workspace, caller.by.recorded_by.clone());
    let asker = caller.standing.asker;
    let (mut search, owner, last) = app.store.read_list(asker, |snapshot| {
        let owner = find_living(snapshot, workspace, id)?.key;
        // `each_like` tells a row in one place alone: that of its target, else of its person; of those without a time
        // all are in one.
        let key = |new: &NewEntry| {
            let target = new.target_id.clone().filter(|_| new.created_at.is_some());
            let user = new.user_id.clone().filter(|_| new.created_at.is_some() && target.is_none());
            (user, target, new.created_at)
        };
        let same = |line: &_| sql::same(snapshot, owner, line);
        Ok((Search::of(request, batch.items(), key, same)?, owner, last_seq(snapshot)?))
    })?;
    let lines: Vec<_> = batch.items().map(|line| line.row.like()).collect();
    while !app.store.read_list(asker, |snapshot| {
        search.look(last, imports::AT_ONCE, |at, numbers, most, tell| {
            sql::each_like(snapshot, owner, &lines[at], (numbers, most), tell)
        })
    })? {}
    app.store.read_list(asker, |snapshot| {
        search.look_on(last_seq(snapshot)?, |numbers, tell| sql::each_since(snapshot, owner, numbers, tell))
    })?;
    app.record(workspace, request, move |tx| {
        let project = find_living(tx, workspace, id)?;
        let place = Place { workspace, project: Some((project.key, project.id)) };
        search.look_on(tx.last_number(), |numbers, tell| sql::each_since(tx, owner, numbers, tell))?;
        batch.record(|Line { row: mut new, .. }| {
            search.next(|| {
                new.check(tx.now)?;
                new.actor = Some(sql::actor_for(tx, workspace, new.user_id.as_deref(), &by)?);
                Ok(sql::record(tx, place, new, &by)?.seq)
            })
        })?;
        search.done().answer()
    })
}

fn post_activity(app: &App, caller: &Caller, request: &Request) -> Result<Response> {
    let is_import = imports::is_import(request)?;
    let missing = || Error::NotFound(Subject::Project);
    let id = Uuid::parse(request.parameter("id")).ok_or_else(missing)?;
    let workspace = caller.workspace;
    if is_import {
        return import_entries(app, caller, request, id);
    }
    let own_ip = address::client(request, &app.config.trusted_proxies).map(|ip| ip.to_string());
    let own_agent = auth::user_agent(request);
    let batch = batch::parse(request, "entries", app.config.max_body, |fields| {
        let mut new = read(fields, caller)?;
        new.ip_address = new.ip_address.or_else(|| own_ip.clone());
        new.user_agent = new.user_agent.or_else(|| own_agent.clone());
        Ok(new)
    })?;
    let by = caller.by.recorded_by.clone();
    let change = move |tx: &mut Tx<'_>| {
        let project = find_living(tx, workspace, id)?;
        let place = Place { workspace, project: Some((project.key, project.id)) };
        let checked = batch.map(|mut new| {
            new.check(tx.now)?;
            new.actor = Some(sql::actor_for(tx, workspace, new.user_id.as_deref(), &by)?);
            Ok(new)
        })?;
        checked.record(|new| sql::record(tx, place, new, &by))
    };
    app.record_batch(
        workspace,
        request,
        Log::Activity,
        change,
        (|entry| entry.seq, |entry| entry.id.to_string()),
    )
}
