//! What SQLite does for each list and count: the intended index, no scan of a log's table, no sort.
//!
//! The statements are those the program itself runs, taken down as they go by.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::path::PathBuf;

use mailtrail::activity;
use mailtrail::app::LOGS;
use mailtrail::auth::{keys, license};
use mailtrail::canonical;
use mailtrail::enforcement::{self, Action};
use mailtrail::ids::Uuid;
use mailtrail::messages::across::Of;
use mailtrail::messages::{self, Outcome};
use mailtrail::owners::mailboxes::{self, NewMailbox};
use mailtrail::owners::tenants::{self, NewTenant};
use mailtrail::owners::{invitations, projects, users, workspaces};
use mailtrail::store::counts::{Log, Series};
use mailtrail::store::disk::Disk;
use mailtrail::store::following::After;
use mailtrail::store::listing::{Cursor, Listing, Start};
use mailtrail::store::{Store, Tx, migrate};
use mailtrail::time::{Clock, Timestamp};
use rusqlite::Connection;
use rusqlite::trace::{TraceEvent, TraceEventCodes};

use crate::support::{START, time};

thread_local! {
    static SEEN: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
}

fn take_down(event: TraceEvent<'_>) {
    if let TraceEvent::Stmt(statement, _) = event {
        SEEN.with_borrow_mut(|seen| seen.insert(statement.sql().into_owned()));
    }
}

/// The statements that `run` runs on a connection, each once.
fn statements(connection: &Connection, run: impl FnOnce(&Connection)) -> BTreeSet<String> {
    SEEN.take();
    connection.trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(take_down));
    run(connection);
    connection.trace_v2(TraceEventCodes::empty(), None);
    SEEN.take()
}

/// The lines of EXPLAIN QUERY PLAN.
fn plan(connection: &Connection, statement: &str) -> Vec<String> {
    let mut explained = connection.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).expect("a plan");
    let mut rows = explained.raw_query();
    let mut lines = Vec::new();
    while let Some(row) = rows.next().expect("a line") {
        lines.push(row.get("detail").expect("a detail"));
    }
    lines
}

/// Refuses a plan that scans, sorts, or reads a log's table by another index than one of `intended`.
#[track_caller]
fn check(connection: &Connection, case: &str, statements: &BTreeSet<String>, intended: &[&str]) {
    assert!(!statements.is_empty(), "{case}: nothing was asked");
    for statement in statements {
        let lines = plan(connection, statement);
        let shown = format!("{case}\n{statement}\n  {}", lines.join("\n  "));
        for line in &lines {
            // What a part of the statement found, or a list of values.
            let is_list =
                ["SCAN CONSTANT ROW", "SCAN place"].contains(&&**line) || line.starts_with("SCAN json_each ");
            assert!(!line.starts_with("SCAN") || is_list, "a scan: {shown}");
            assert!(!line.contains("TEMP B-TREE"), "a sort: {shown}");
            let table = ["enforcement_events", "messages", "activity"]
                .into_iter()
                .find(|table| line.starts_with(&format!("SEARCH {table} ")));
            if table.is_some() {
                let index = line.split_whitespace().skip_while(|word| *word != "INDEX").nth(1);
                let index = index.unwrap_or("rowid");
                assert!(intended.contains(&index), "not {intended:?}: {shown}");
            }
        }
    }
}

struct Fixture {
    directory: tempfile::TempDir,
    store: Store,
    workspace: i64,
    tenant: i64,
    mailbox: i64,
    project: i64,
}

impl Fixture {
    /// A few thousand rows in each log, as the program records them.
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("mailtrail.db");
        migrate::prepare(&path, LOGS).expect("a database");
        let store = Store::open(
            &path,
            Disk::open(directory.path(), 0).expect("a disk"),
            Clock::standing(time(START)),
            mailtrail::activity::note,
            LOGS,
        )
        .expect("a store");
        let (workspace, tenant, mailbox, project) = store.write(fill).expect("rows");
        Self { directory, store, workspace, tenant, mailbox, project }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("mailtrail.db")
    }

    fn connection(&self) -> Connection {
        let connection = Connection::open(self.path()).expect("the database");
        canonical::register(&connection).expect("a function");
        connection
    }
}

const N_ROWS: i64 = 3000;

fn fill(tx: &mut Tx<'_>) -> mailtrail::error::Result<(i64, i64, i64, i64)> {
    let workspace = workspaces::create(tx, "Main")?.key;
    let mut tenants_made = Vec::new();
    for name in ["Acme", "Umbrella"] {
        let new = NewTenant { workspace, id: None, name: name.into(), domain: None };
        tenants_made.push(tenants::create(tx, &new)?);
    }
    let new = NewMailbox {
        workspace,
        tenant: Some(tenants_made[0].key),
        address: "sales@mail.acmecorp.com".into(),
        name: None,
        daily_send_limit: None,
    };
    let mailbox = mailboxes::create(tx, &new)?;
    let project = projects::create(tx, workspace, "Newsletter")?;
    let start = time(START);
    for n in 0..N_ROWS {
        let at = start.plus_seconds(-n * 977);
        let tenant = &tenants_made[(n % 2) as usize];
        let event = enforcement::NewEvent {
            tenant_id: tenant.id,
            mailbox_address: format!("m{}@acmecorp.com", n % 50),
            action: if n % 3 == 0 { Action::Blocked } else { Action::Unblocked },
            sent_count: n,
            limit_value: 25,
            message: None,
            created_at: Some(at),
        };
        enforcement::sql::record(tx, workspace, tenant.key, &event, "key test")?;
        let entry = messages::NewEntry {
            message_id: format!("<{n}@example.org>"),
            thread_id: (n % 2 == 0).then(|| format!("T{}", n % 100)),
            sender_address: Some(format!("s{}@example.org", n % 40)),
            received_at: Some(at.truncated()),
            outcome: Some(Outcome::WORDS[(n % 6) as usize].1),
            reason: (n % 6 != 0).then(|| format!("reason {}", n % 7)),
            sender_rule: Some(n % 3),
            facts: vec![(messages::Kind::Tokens, "12".into())],
            ..messages::NewEntry::default()
        };
        messages::sql::record(tx, &mailbox, entry, "key test")?;
        let entry = activity::NewEntry {
            user_id: Some(Uuid([(n % 20) as u8; 16]).to_string()),
            action: format!("smtp.update{}", n % 10),
            target_type: Some("project".into()),
            target_id: Some(format!("target {}", n % 30)),
            created_at: Some(at),
            ..activity::NewEntry::default()
        };
        let place = activity::Place { workspace, project: (n % 2 == 0).then_some((project.key, project.id)) };
        activity::sql::record(tx, place, entry, "key test")?;
    }
    Ok((workspace, tenants_made[0].key, mailbox.id, project.key))
}

/// Nothing, a lower bound, an upper one, both; each cuts into an hour.
fn spans() -> [(Option<Timestamp>, Option<Timestamp>); 4] {
    let (from, to) = (time("2026-04-02T10:03:07Z"), time("2026-04-20T21:14:15Z"));
    [(None, None), (Some(from), None), (None, Some(to)), (Some(from), Some(to))]
}

/// Runs a list by time in every way a request can, and checks the plans of its pages and its total. Returns how
/// many ways that were.
fn check_listing(
    connection: &Connection,
    case: &str,
    intended: &[&str],
    make: impl Fn(Option<Timestamp>, Option<Timestamp>, bool) -> Listing,
) -> usize {
    let cursor = Cursor { created_at: time("2026-04-10T00:00:00Z"), seq: 4000 };
    let mut n_ways = 0;
    for (from, to) in spans() {
        for newest_first in [true, false] {
            let list = make(from, to, newest_first);
            for start in [Start::Offset(0), Start::Offset(170), Start::After(cursor)] {
                let case = format!("{case}, from {from:?} to {to:?}, newest first {newest_first}, {start:?}");
                let seen = statements(connection, |connection| {
                    list.page(connection, start, 51, |_| Ok(())).expect("a page");
                });
                check(connection, &case, &seen, intended);
                // Within the instant of a cursor it goes to the row, and does not step over those before it.
                let seeks = seen.iter().flat_map(|statement| plan(connection, statement));
                let is_sought = seeks.into_iter().any(|line| line.contains("created_at=? AND rowid"));
                assert_eq!(is_sought, matches!(start, Start::After(_)), "{case}: {seen:?}");
                n_ways += 1;
            }
            let case_of_walk = format!("{case}, a walk from {from:?} to {to:?}, newest first {newest_first}");
            let mut walked = Vec::new();
            let seen = statements(connection, |connection| {
                let (mut after, mut is_over) = (None, false);
                while !is_over {
                    let (found, next) =
                        list.walk_on(connection, after.as_ref(), i64::MAX, (70, 900)).expect("a walk");
                    walked.extend(found.iter().map(|cursor| cursor.seq));
                    (after, is_over) = (next, next.is_none());
                }
            });
            check(connection, &case_of_walk, &seen, intended);
            let read = |row: &rusqlite::Row<'_>| row.get::<_, i64>("seq");
            let whole = list.page(connection, Start::Offset(0), i64::MAX / 2, read).expect("a list");
            assert_eq!(walked, whole, "{case_of_walk}");
            let case = format!("{case}, total, from {from:?} to {to:?}");
            let seen = statements(connection, |connection| {
                list.total(connection).expect("a total");
            });
            check(connection, &case, &seen, intended);
            n_ways += 1;
        }
    }
    n_ways
}

#[test]
fn enforcement_lists_and_totals() {
    let fixture = Fixture::new();
    let connection = fixture.connection();
    let mut n_ways = 0;
    for (tenant, action, mailbox, intended) in [
        (false, false, false, "enforcement_workspace"),
        (false, true, false, "enforcement_workspace_action"),
        (true, false, false, "enforcement_tenant"),
        (true, true, false, "enforcement_tenant_action"),
        (false, false, true, "enforcement_mailbox"),
        (false, true, true, "enforcement_mailbox"),
        (true, false, true, "enforcement_mailbox"),
        (true, true, true, "enforcement_mailbox"),
    ] {
        let filter = enforcement::sql::Filter {
            workspace: fixture.workspace,
            tenant: tenant.then_some(fixture.tenant),
            action: action.then_some(Action::Blocked),
            mailbox_address: mailbox.then(|| "M7@acmecorp.com".into()),
        };
        n_ways +=
            check_listing(&connection, &format!("{filter:?}"), &[intended], |from, to, newest_first| {
                enforcement::sql::listing(&connection, &filter, from, to, newest_first).expect("a listing")
            });
    }
    assert_eq!(n_ways, 8 * 32);
}

#[test]
fn activity_lists_and_totals() {
    let fixture = Fixture::new();
    let connection = fixture.connection();
    let mut n_ways = 0;
    for scope in
        [activity::sql::Scope::Project(fixture.project), activity::sql::Scope::Workspace(fixture.workspace)]
    {
        for bits in 0..16 {
            let [action, user, target_type, target] = [1, 2, 4, 8].map(|bit| bits & bit != 0);
            // The rarest first: a target, a user, an action.
            let intended = match (target, user, action) {
                (true, _, _) => "activity_target",
                (false, true, _) => "activity_user",
                (false, false, true) => "activity_action",
                (false, false, false) => "activity_owner",
            };
            let filter = activity::sql::Filter {
                scope,
                action: action.then(|| "smtp.update3".into()),
                user_id: user.then(|| Uuid([3; 16]).to_string()),
                target_type: target_type.then(|| "project".into()),
                target_id: target.then(|| "target 3".into()),
            };
            let case = format!("{filter:?}");
            n_ways += check_listing(&connection, &case, &[intended, "rowid"], |from, to, newest_first| {
                activity::sql::listing(&connection, &filter, from, to, newest_first).expect("a listing")
            });
        }
    }
    assert_eq!(n_ways, 32 * 32);
}

#[test]
fn lists_of_owners() {
    let fixture = Fixture::new();
    let connection = fixture.connection();
    let (workspace, now) = (fixture.workspace, time(START));
    // A workspace has a hundred open invitations at most: they are sorted.
    type Run<'a> = &'a dyn Fn(&Connection) -> mailtrail::error::Result<usize>;
    let of_tenant = mailboxes::Of::Tenant(fixture.tenant);
    let of_workspace = mailboxes::Of::Workspace(workspace);
    let lists: [(&str, Run<'_>, &str); 8] = [
        ("workspaces", &|c| Ok(workspaces::page(c, 0, 9)?.len()), "workspaces USING INTEGER PRIMARY KEY"),
        (
            "tenants",
            &|c| Ok(tenants::page(c, workspace, 0, 9)?.len()),
            "tenants USING INDEX tenants_workspace",
        ),
        (
            "projects",
            &|c| Ok(projects::page(c, workspace, 0, 9)?.len()),
            "projects USING INDEX projects_workspace",
        ),
        ("keys", &|c| Ok(keys::page(c, workspace, 0, 9)?.len()), "api_keys USING INDEX api_keys_workspace"),
        ("licenses", &|c| Ok(license::page(c, 0, 9)?.len()), "licenses USING INTEGER PRIMARY KEY"),
        ("members", &|c| Ok(users::members(c, workspace, 0, 9)?.len()), "members USING PRIMARY KEY"),
        (
            "mailboxes",
            &|c| Ok(mailboxes::page(c, of_workspace, 0, 9)?.len()),
            "mailboxes USING INDEX mailboxes_workspace",
        ),
        (
            "a tenant's mailboxes",
            &|c| Ok(mailboxes::page(c, of_tenant, 0, 9)?.len()),
            "mailboxes USING INDEX mailboxes_tenant",
        ),
    ];
    for (case, run, intended) in lists {
        let seen = statements(&connection, |connection| {
            run(connection).expect("a page");
        });
        check(&connection, case, &seen, &[]);
        // Where the page begins is sought, and nothing before it is stepped over.
        let lines: Vec<String> = seen.iter().flat_map(|statement| plan(&connection, statement)).collect();
        let is_sought = lines.iter().any(|line| line.contains(intended) && line.contains(">?"));
        assert!(is_sought, "{case}: {lines:?}");
    }
    let counts: [(&str, Run<'_>); 7] = [
        ("tenants", &|c| Ok(tenants::count(c, workspace)? as usize)),
        ("projects", &|c| Ok(projects::count(c, workspace)? as usize)),
        ("keys", &|c| Ok(keys::count(c, workspace)? as usize)),
        ("members", &|c| Ok(users::count_members(c, workspace)? as usize)),
        ("invitations", &|c| Ok(invitations::count_open(c, workspace, now)? as usize)),
        ("mailboxes", &|c| Ok(mailboxes::count(c, of_workspace)? as usize)),
        ("a tenant's mailboxes", &|c| Ok(mailboxes::count(c, of_tenant)? as usize)),
    ];
    for (case, run) in counts {
        let seen = statements(&connection, |connection| {
            run(connection).expect("a count");
        });
        check(&connection, &format!("a count of {case}"), &seen, &[]);
    }
}

#[test]
fn message_lists() {
    let fixture = Fixture::new();
    let connection = fixture.connection();
    let mut n_ways = 0;
    for bits in 0..64_u32 {
        let [message, thread, outcome, sender, recipient, reason] =
            [1, 2, 4, 8, 16, 32].map(|bit| bits & bit != 0);
        for (from, to) in spans() {
            for newest_first in [true, false] {
                for cursor in [None, Some(4000)] {
                    let filter = messages::sql::Filter {
                        mailbox: fixture.mailbox,
                        message_id: message.then(|| "<7@example.org>".into()),
                        thread_id: thread.then(|| "T6".into()),
                        outcome: outcome.then_some(Outcome::RateLimited),
                        sender_address: sender.then(|| "S7@example.org".into()),
                        recipient_address: recipient.then(|| "sales@mail.acmecorp.com".into()),
                        reason: reason.then(|| "reason 3".into()),
                        from,
                        to,
                        newest_first,
                    };
                    let seen = statements(&connection, |connection| {
                        messages::sql::list(connection, &filter, cursor, 51).expect("a list");
                    });
                    let case = format!("{filter:?}, cursor {cursor:?}");
                    let mut walked = Vec::new();
                    let of_walk = statements(&connection, |connection| {
                        let (mut after, mut is_over) = (cursor, false);
                        while !is_over {
                            let walk = messages::sql::walk(connection, &filter, after, i64::MAX, (40, 500));
                            let (found, next) = walk.expect("a walk");
                            walked.extend(found);
                            (after, is_over) = (next, next.is_none());
                        }
                    });
                    let whole = messages::sql::list(&connection, &filter, cursor, i64::MAX).expect("a list");
                    assert_eq!(walked, whole, "{filter:?}, cursor {cursor:?}");
                    let (list, bounds): (BTreeSet<_>, BTreeSet<_>) =
                        seen.into_iter().chain(of_walk).partition(|statement| {
                            statement.contains("ORDER BY seq DESC LIMIT")
                                || statement.contains("ORDER BY seq ASC LIMIT")
                        });
                    let index = intended_for_messages(bits);
                    // A thread's entries are found by the thread, then read by their ids.
                    check(&connection, &case, &list, &[index, "messages_thread"]);
                    // Where to begin and to end.
                    if !bounds.is_empty() {
                        check(&connection, &case, &bounds, &["messages_mailbox", "messages_received"]);
                    }
                    n_ways += 1;
                }
            }
        }
    }
    assert_eq!(n_ways, 64 * 16);
}

/// The rarest first: a message, a thread, a sender, a reason, an outcome, a recipient.
fn intended_for_messages(bits: u32) -> &'static str {
    match [1, 2, 8, 32, 4, 16].map(|bit| bits & bit != 0) {
        [true, ..] => "messages_message",
        [false, true, ..] => "messages_mailbox",
        [false, false, true, ..] => "messages_sender",
        [false, false, false, true, ..] => "messages_reason",
        [false, false, false, false, true, _] => "messages_outcome",
        [false, false, false, false, false, true] => "messages_recipient",
        [false, false, false, false, false, false] => "messages_mailbox",
    }
}

/// By the numbers alone, whatever is meant.
#[test]
fn what_was_recorded_behind_a_number() {
    let fixture = Fixture::new();
    let connection = fixture.connection();
    let after = After { number: 4000, most: 50, most_looked_at: 20_000 };
    let events = enforcement::sql::Filter {
        workspace: fixture.workspace,
        tenant: None,
        action: Some(Action::Blocked),
        mailbox_address: Some("M7@acmecorp.com".into()),
    };
    let activities = activity::sql::Filter {
        scope: activity::sql::Scope::Workspace(fixture.workspace),
        action: Some("smtp.update3".into()),
        user_id: None,
        target_type: None,
        target_id: None,
    };
    let lists = [
        enforcement::sql::listing(&connection, &events, None, None, true).expect("a listing"),
        activity::sql::listing(&connection, &activities, None, None, true).expect("a listing"),
    ];
    for list in lists {
        let seen = statements(&connection, |connection| {
            assert!(!list.follow(connection, &after).expect("rows").places.is_empty());
        });
        check(&connection, list.table, &seen, &["rowid"]);
    }
    for of in [Of::Mailbox, Of::Workspace(fixture.workspace)] {
        for thread in [None, Some("T6".to_owned())] {
            let filter = messages::sql::Filter {
                thread_id: thread,
                outcome: Some(Outcome::RateLimited),
                ..of_mailbox(fixture.mailbox)
            };
            let seen = statements(&connection, |connection| {
                let followed = of.follow(connection, &filter, &after).expect("entries");
                assert!(followed.places.is_sorted_by(|a, b| a.0 < b.0), "{:?}", followed.places);
                assert!(!followed.places.is_empty(), "{of:?}, {filter:?}");
                of.walk(connection, &filter, (None, i64::MAX), (40, 500)).expect("a walk");
            });
            let intended = if of == Of::Mailbox { "messages_mailbox" } else { "rowid" };
            let intended =
                if of == Of::Mailbox && filter.thread_id.is_none() { "messages_outcome" } else { intended };
            check(
                &connection,
                &format!("{of:?}, {filter:?}"),
                &seen,
                &["rowid", "messages_thread", intended],
            );
        }
    }
}

#[test]
fn one_message_its_thread_and_the_limits_counted_from_the_log() {
    let fixture = Fixture::new();
    let connection = fixture.connection();
    let (since, now) = (time("2026-04-20T00:00:00Z"), time(START));
    let seen = statements(&connection, |connection| {
        messages::sql::find(connection, fixture.mailbox, "<7@example.org>").expect("an entry");
        let new = messages::NewEntry { references: vec!["<8@example.org>".into()], ..Default::default() };
        messages::sql::thread_for(connection, fixture.mailbox, &new).expect("a thread");
    });
    check(&connection, "find, thread_for", &seen, &["messages_message", "rowid"]);
    let entry = messages::sql::list(&connection, &of_mailbox(fixture.mailbox), None, 1).expect("a list")[0];
    let seen = statements(&connection, |connection| {
        messages::sql::entry(connection, entry, i64::MAX).expect("an entry");
        messages::sql::with_numbers_of_facts(connection, &[entry], i64::MAX).expect("numbers");
    });
    check(&connection, "an entry", &seen, &["rowid"]);
    let seen = statements(&connection, |connection| {
        messages::sql::n_delivered_of_rule(connection, fixture.mailbox, 1, (since, now)).expect("a number");
        messages::sql::n_tokens_of_rule(connection, fixture.mailbox, 1, (since, now), i64::MAX)
            .expect("a number");
    });
    check(&connection, "limits of a rule", &seen, &["messages_rule"]);
    let seen = statements(&connection, |connection| {
        messages::sql::n_tokens_of_thread(connection, fixture.mailbox, "T6", i64::MAX).expect("a number");
    });
    check(&connection, "budget of a thread", &seen, &["messages_thread"]);
}

/// What is appended costs the same however much there is: also to an entry that is full.
#[test]
fn facts_are_appended_without_those_that_are_there() {
    let fixture = Fixture::new();
    let mailbox = fixture.mailbox;
    let appended = fixture.store.write(move |tx| {
        let mut steps = Vec::new();
        let mut seen = BTreeSet::new();
        for n in 0..3 * messages::MOST_FACTS {
            let report = [(messages::Kind::Tokens, "1".to_owned())];
            SEEN.take();
            tx.trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(take_down));
            STEPS.set(0);
            tx.progress_handler(
                1,
                Some(|| {
                    STEPS.set(STEPS.get() + 1);
                    false
                }),
            )?;
            messages::sql::append(tx, mailbox, "<7@example.org>", &report, "key test")?;
            tx.progress_handler(0, None::<fn() -> bool>)?;
            tx.trace_v2(TraceEventCodes::empty(), None);
            if n > 2 {
                steps.push(STEPS.get());
            }
            seen.extend(SEEN.take());
        }
        let closing =
            [(messages::Kind::Reply, r#""sent""#.to_owned()), (messages::Kind::Bounce, "1".to_owned())];
        messages::sql::append(tx, mailbox, "<7@example.org>", &closing, "key test")?;
        Ok((steps, seen))
    });
    let (steps, seen) = appended.expect("facts");
    let (least, most) = (steps.iter().min().expect("steps"), steps.iter().max().expect("steps"));
    assert!(most * 2 <= least * 3, "{least} to {most} steps");
    let connection = fixture.connection();
    check(&connection, "append", &seen, &["messages_message", "rowid"]);
    let number =
        messages::sql::find(&connection, mailbox, "<7@example.org>").expect("a read").expect("it").id;
    let seen = statements(&connection, |connection| {
        let entry = messages::sql::entry(connection, number, i64::MAX).expect("a read").expect("an entry");
        assert_eq!(entry.tokens_consumed.expect("a sum").get(), "312");
    });
    check(&connection, "a full entry", &seen, &["rowid"]);
    assert!(
        seen.iter()
            .flat_map(|statement| plan(&connection, statement))
            .any(|line| line.contains("message_facts_late")),
        "{seen:?}"
    );
}

/// All entries of a mailbox, newest first.
fn of_mailbox(mailbox: i64) -> messages::sql::Filter {
    messages::sql::Filter {
        mailbox,
        message_id: None,
        thread_id: None,
        outcome: None,
        sender_address: None,
        recipient_address: None,
        reason: None,
        from: None,
        to: None,
        newest_first: true,
    }
}

#[test]
fn retention_finds_the_oldest_on_an_index() {
    let fixture = Fixture::new();
    let connection = fixture.connection();
    let cutoff = time("2026-04-01T00:00:00Z");
    let (project, tenant, mailbox) = (fixture.project, fixture.tenant, fixture.mailbox);
    let counting = statements(&connection, |connection| {
        enforcement::sql::count_prunable(connection, tenant, cutoff).expect("a number");
        messages::sql::count_prunable(connection, mailbox, cutoff).expect("a number");
        activity::sql::count_prunable(connection, project, cutoff).expect("a number");
    });
    let intended = ["enforcement_tenant", "messages_mailbox", "messages_received", "activity_owner", "rowid"];
    check(&connection, "count_prunable", &counting, &intended);

    let pruning = fixture.store.write(move |tx| {
        SEEN.take();
        tx.trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(take_down));
        let removed = (
            enforcement::sql::prune(tx, tenant, 30, cutoff, 10)?,
            messages::sql::prune(tx, mailbox, 30, cutoff, 10)?,
            activity::sql::prune(tx, project, 30, cutoff, 10)?,
        );
        tx.trace_v2(TraceEventCodes::empty(), None);
        assert_eq!(removed, (10, 10, 10));
        Ok(SEEN.take())
    });
    let mut pruning = pruning.expect("a prune");
    // The table that opens the triggers has one row at most.
    pruning.retain(|statement| statement != "DELETE FROM pruning");
    check(&connection, "prune", &pruning, &intended);
    let oldest = fixture.store.read(|snapshot| Series::of(Log::Enforcement, tenant).total(snapshot));
    assert_eq!(oldest.expect("a count"), N_ROWS / 2 - 10);
}

thread_local! {
    static STEPS: Cell<i64> = const { Cell::new(0) };
}

/// The steps of SQLite's machine that `run` takes.
fn steps(connection: &Connection, run: impl FnOnce(&Connection)) -> i64 {
    STEPS.set(0);
    let count = || {
        STEPS.set(STEPS.get() + 1);
        false
    };
    connection.progress_handler(1, Some(count)).expect("a handler");
    run(connection);
    connection.progress_handler(0, None::<fn() -> bool>).expect("no handler");
    STEPS.get()
}

/// So many activities of one project, evenly over the same forty days; and the project.
fn dense(n_rows: i64) -> (tempfile::TempDir, Connection, i64) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("mailtrail.db");
    migrate::prepare(&path, LOGS).expect("a database");
    let store = Store::open(
        &path,
        Disk::open(directory.path(), 0).expect("a disk"),
        Clock::standing(time(START)),
        activity::note,
        LOGS,
    )
    .expect("a store");
    let project = store.write(move |tx| {
        let workspace = workspaces::create(tx, "Main")?.key;
        let project = projects::create(tx, workspace, "Newsletter")?;
        let place = activity::Place { workspace, project: Some((project.key, project.id)) };
        for n in 0..n_rows {
            let entry = activity::NewEntry {
                user_id: Some(Uuid([(n % 7) as u8; 16]).to_string()),
                action: format!("smtp.update{}", n % 5),
                target_id: Some(format!("target {}", n % 3)),
                created_at: Some(time(START).plus_seconds(-(n * 40 * 86_400 / n_rows))),
                ..activity::NewEntry::default()
            };
            activity::sql::record(tx, place, entry, "key test")?;
        }
        Ok(project.key)
    });
    let connection = Connection::open(&path).expect("the database");
    (directory, connection, project.expect("rows"))
}

/// A list may not take more steps because there are ten times as many rows in the same days: what is measured in the
/// benchmarks at millions, held here at thousands.
#[test]
fn a_list_takes_no_more_steps_for_more_rows() {
    let (_few, few, project) = dense(2_000);
    let (_many, many, also_project) = dense(20_000);
    assert_eq!(project, also_project);
    let no_filter = activity::sql::Filter {
        scope: activity::sql::Scope::Project(project),
        action: None,
        user_id: None,
        target_type: None,
        target_id: None,
    };
    let by_action = activity::sql::Filter { action: Some("smtp.update3".into()), ..no_filter.clone() };
    let by_user = activity::sql::Filter { user_id: Some(Uuid([3; 16]).to_string()), ..no_filter.clone() };
    let by_target = activity::sql::Filter { target_id: Some("target 2".into()), ..no_filter.clone() };
    let by_workspace =
        activity::sql::Filter { scope: activity::sql::Scope::Workspace(1), ..no_filter.clone() };
    let window = (Some(time("2026-04-02T10:03:07Z")), Some(time("2026-04-20T21:14:15Z")));
    for (case, filter, (from, to), is_counted) in [
        ("all", &no_filter, (None, None), true),
        ("from and to", &no_filter, window, true),
        ("an action", &by_action, (None, None), true),
        // Its total is counted on the index where the window cuts into a day.
        ("an action, from and to", &by_action, window, false),
        ("a user", &by_user, (None, None), true),
        ("a target", &by_target, (None, None), false),
        ("a workspace", &by_workspace, (None, None), true),
    ] {
        let steps_of = |connection: &Connection, what: &dyn Fn(&Listing, &Connection)| {
            let list = activity::sql::listing(connection, filter, from, to, true).expect("a listing");
            steps(connection, |connection| what(&list, connection))
        };
        let page = |list: &Listing, connection: &Connection| {
            let page = list.page(connection, Start::Offset(0), 51, |_| Ok(())).expect("a page");
            assert_eq!(page.len(), 51, "{case}");
        };
        let total = |list: &Listing, connection: &Connection| {
            assert!(list.total(connection).expect("a total") > 51, "{case}");
        };
        let mut measured = vec![("first page", steps_of(&few, &page), steps_of(&many, &page))];
        if is_counted {
            measured.push(("total", steps_of(&few, &total), steps_of(&many, &total)));
        }
        for (what, at_few, at_many) in measured {
            assert!(at_few > 10, "{case}, {what}: {at_few} steps");
            assert!(at_many * 2 <= at_few * 3, "{case}, {what}: {at_many} steps, not {at_few}");
        }
    }
}
