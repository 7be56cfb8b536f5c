//! The three read APIs against a model: a list of rows and filters, written from the contract.
//!
//! A case is a random sequence of writes, appends, deletions, holds, retention runs, steps of the clock and reads in
//! workspaces of its own; whole answers are compared, and after each case the server's own check must find nothing.
//! `MAILTRAIL_CASES` sets how many cases there are.

use std::cell::{Cell, RefCell};

use mailtrail::http::Method;
use mailtrail::ids::{hex, sha256};
use mailtrail::time::{DAY, MINUTE, SECOND, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};

use crate::support::{Answer, OWNER, SCOPES, Server};

const TEN_MINUTES: i64 = 10 * MINUTE;
const AGENT: &str = "model/1";

/// Days of the settings; a mailbox's own come from its policy.
const ENFORCEMENT_DAYS: i64 = 30;
const MESSAGES_DAYS: i64 = 45;
const ACTIVITY_DAYS: i64 = 60;

const N_TENANTS: usize = 3;
const N_MAILBOXES: usize = 3;
const N_PROJECTS: usize = 3;
/// Which workspace the tenants, mailboxes and projects are in.
const HOME: [usize; 3] = [0, 0, 1];
/// The tenant of each mailbox.
const TENANT_OF: [Option<usize>; N_MAILBOXES] = [Some(0), None, Some(2)];
const MAILBOXES: [&str; N_MAILBOXES] = ["Sales@a.example", "info@a.example", "sales@a.example"];

const ADDRESSES: [&str; 5] =
    ["sales@a.example", "SALES@A.example", "info@a.example", "other@b.example", "straße@b.example"];
const SENDERS: [&str; 4] = ["ada@x.example", "ADA@x.example", "bob@y.example", "nobody@z.example"];
const THREADS: [&str; 4] = ["T1", "t1", "T \"2\"", "Tφ"];
const REASONS: [&str; 3] = ["no_matching_sender_rule", "rate_limit_per_hour", "50% off & more"];
const OUTCOMES: [&str; 6] = [
    "delivered",
    "rejected_at_verification",
    "rejected_at_policy",
    "rejected_at_content_guard",
    "rate_limited",
    "budget_exhausted",
];
const VERDICTS: [&str; 7] = ["pass", "fail", "softfail", "neutral", "temperror", "permerror", "none"];
const ACTIONS: [&str; 4] = ["smtp.update", "webhook.create", "smtp.update.x", "webhook.delete"];
const TARGET_TYPES: [&str; 3] = ["project", "api_key", "tenant"];
const TARGETS: [&str; 3] = ["01HXTARGET", "a target", "7"];
/// Message ids to choose from: few, so that some come again and appends find theirs.
const N_MESSAGES: usize = 14;
const BODIES: [&str; 3] = ["", "hello\n", "grüße\n"];

// ---------------------------------------------------------------------------------------------- what is generated

/// A time, relative to the clock when the step is done.
#[derive(Debug, Clone, Copy)]
enum When {
    /// A ten-minute edge of a day, and a little.
    Edge { days_ago: i64, ten: i64, micros: i64 },
    /// So many microseconds from now.
    Near(i64),
    /// Where retention would cut, and a little.
    Cutoff { days: i64, micros: i64 },
}

impl When {
    fn at(self, now: i64) -> i64 {
        let time = match self {
            Self::Near(micros) => now + micros,
            Self::Cutoff { days, micros } => now - days * DAY + micros,
            Self::Edge { days_ago, ten, micros } => {
                let time = (now.div_euclid(DAY) - days_ago) * DAY + ten * TEN_MINUTES + micros;
                if time > now { time - DAY } else { time }
            }
        };
        time.max(0)
    }
}

fn when() -> impl Strategy<Value = When> {
    let little = prop_oneof![3 => Just(0_i64), 2 => Just(-1_i64), 1 => Just(1_i64), 1 => 0..TEN_MINUTES];
    let days_ago = prop_oneof![6 => 0_i64..3, 1 => 20_i64..70, 1 => Just(1_000_000_i64)];
    let ten = prop_oneof![Just(0_i64), 0_i64..4, 0_i64..144];
    prop_oneof![
        6 => (days_ago, ten, little).prop_map(|(days_ago, ten, micros)| When::Edge { days_ago, ten, micros }),
        2 => prop_oneof![Just(0), Just(-1), Just(-SECOND), Just(600 * SECOND)].prop_map(When::Near),
        2 => (prop_oneof![Just(1_i64), Just(30), Just(45), Just(60)], -1_i64..2)
            .prop_map(|(days, micros)| When::Cutoff { days, micros }),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    One,
    Json,
    Lines,
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![Just(Shape::One), Just(Shape::Json), Just(Shape::Lines)]
}

#[derive(Debug, Clone)]
struct EventItem {
    tenant: usize,
    address: usize,
    blocked: bool,
    sent: i64,
    message: Option<&'static str>,
    at: Option<When>,
}

fn event_item(home: usize) -> impl Strategy<Value = EventItem> {
    let tenants = if home == 0 { 0..2_usize } else { 2..3_usize };
    // Now and then another workspace's tenant, which refuses the whole batch.
    let tenant = prop_oneof![30 => tenants, 1 => 0..N_TENANTS];
    let message = prop::option::weighted(0.2, Just("by hand"));
    (tenant, 0..ADDRESSES.len(), any::<bool>(), 0..40_i64, message, prop::option::weighted(0.9, when()))
        .prop_map(|(tenant, address, blocked, sent, message, at)| EventItem {
            tenant,
            address,
            blocked,
            sent,
            message,
            at,
        })
}

#[derive(Debug, Clone)]
struct EntryItem {
    message: usize,
    outcome: usize,
    thread: Option<usize>,
    sender: Option<usize>,
    recipient: Option<usize>,
    reason: Option<usize>,
    verdict: Option<usize>,
    alignment: Option<bool>,
    body: Option<usize>,
    grants: bool,
    reply: bool,
    tokens: Option<i64>,
    at: Option<When>,
}

fn entry_item() -> impl Strategy<Value = EntryItem> {
    let some = |n: usize| prop::option::of(0..n);
    (
        (0..N_MESSAGES, prop_oneof![2 => Just(0_usize), 3 => 0..OUTCOMES.len()], some(THREADS.len())),
        (some(SENDERS.len()), prop::option::weighted(0.3, 0..ADDRESSES.len()), some(REASONS.len())),
        (some(VERDICTS.len()), any::<Option<bool>>(), some(BODIES.len())),
        (any::<bool>(), prop::bool::weighted(0.2), prop::option::weighted(0.2, 0..100_i64)),
        prop::option::weighted(0.8, when()),
    )
        .prop_map(
            |(
                (message, outcome, thread),
                (sender, recipient, reason),
                (verdict, alignment, body),
                more,
                at,
            )| {
                let (grants, reply, tokens) = more;
                EntryItem {
                    message,
                    outcome,
                    thread,
                    sender,
                    recipient,
                    reason,
                    verdict,
                    alignment,
                    body,
                    grants,
                    reply,
                    tokens,
                    at,
                }
            },
        )
}

#[derive(Debug, Clone)]
struct ActivityItem {
    user: usize,
    action: usize,
    target_type: Option<usize>,
    target: Option<usize>,
    metadata: usize,
    ip: bool,
    agent: bool,
    at: Option<When>,
}

fn activity_item() -> impl Strategy<Value = ActivityItem> {
    (
        (0..4_usize, 0..3_usize, prop::option::of(0..TARGET_TYPES.len()), prop::option::of(0..TARGETS.len())),
        (0..4_usize, any::<bool>(), any::<bool>(), prop::option::weighted(0.9, when())),
    )
        .prop_map(|((user, action, target_type, target), (metadata, ip, agent, at))| ActivityItem {
            user,
            action,
            target_type,
            target,
            metadata,
            ip,
            agent,
            at,
        })
}

#[derive(Debug, Clone)]
struct Append {
    thread: Option<usize>,
    reply: Option<u8>,
    bounce: Option<u8>,
    tools: Option<u8>,
    tokens: Option<i64>,
}

/// What every list takes.
#[derive(Debug, Clone)]
struct Paging {
    from: Option<When>,
    to: Option<When>,
    order: Option<bool>,
    limit: Option<&'static str>,
    offset: Option<&'static str>,
    mode: Mode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Page,
    /// Page after page, by cursor.
    Walk,
    /// The vendor's loop over offsets, until it has `total` rows.
    Loop,
    /// All at once, streamed.
    Stream,
}

impl Paging {
    /// `from`, `to` and `order` as parameters.
    fn in_time(&self, now: i64) -> Vec<(&'static str, String)> {
        let mut pairs = Vec::new();
        pairs.extend(self.from.map(|from| ("from", given_time(from.at(now)))));
        pairs.extend(self.to.map(|to| ("to", given_time(to.at(now)))));
        pairs.extend(self.order.map(|newest| ("order", if newest { "desc" } else { "asc" }.to_owned())));
        pairs
    }
}

fn paging() -> impl Strategy<Value = Paging> {
    let limits = [
        "1",
        "2",
        "3",
        "7",
        "50",
        "199",
        "200",
        "201",
        "0",
        "-1",
        "99999999999999999999",
        "-99999999999999999999",
        "x",
        "1.5",
        "",
    ];
    let offsets =
        ["0", "1", "2", "5", "10", "60", "1000", "9223372036854775807", "99999999999999999999", "-1", "x"];
    let mode = prop_oneof![4 => Just(Mode::Page), 2 => Just(Mode::Walk), 1 => Just(Mode::Loop), 1 => Just(Mode::Stream)];
    (
        prop::option::weighted(0.3, when()),
        prop::option::weighted(0.3, when()),
        any::<Option<bool>>(),
        prop::option::weighted(0.7, prop_oneof![8 => 0..4_usize, 3 => 4..12_usize, 1 => 12..15_usize]),
        prop::option::weighted(0.4, prop_oneof![12 => 0..7_usize, 2 => 7..9_usize, 1 => 9..11_usize]),
        mode,
    )
        .prop_map(move |(from, to, order, limit, offset, mode)| Paging {
            from,
            to,
            order,
            limit: limit.map(|at| limits[at]),
            offset: offset.map(|at| offsets[at]),
            mode,
        })
}

#[derive(Debug, Clone)]
enum Step {
    Events {
        home: usize,
        shape: Shape,
        items: Vec<EventItem>,
        times: usize,
        retry: bool,
    },
    Entries {
        mailbox: usize,
        shape: Shape,
        items: Vec<EntryItem>,
        retry: bool,
    },
    Append {
        mailbox: usize,
        message: usize,
        facts: Append,
        retry: bool,
    },
    Activities {
        project: usize,
        shape: Shape,
        items: Vec<ActivityItem>,
        times: usize,
        retry: bool,
    },
    /// Refused for one bad item among good ones.
    Misspelt {
        log: usize,
        shape: Shape,
    },
    DeleteTenant(usize),
    DeleteMailbox(usize),
    DeleteProject(usize),
    HoldTenant(usize, bool),
    HoldMailbox(usize, bool),
    HoldProject(usize, bool),
    Policy {
        mailbox: usize,
        days: i64,
        hashes: bool,
    },
    Retention,
    MoveClock {
        micros: i64,
    },
    ReadEvents {
        home: usize,
        tenant: Option<usize>,
        blocked: Option<bool>,
        address: Option<usize>,
        paging: Paging,
    },
    ReadEntries {
        home: usize,
        mailbox: usize,
        filter: EntryFilter,
        cursor: Option<usize>,
        paging: Paging,
    },
    ReadEntry {
        mailbox: usize,
        message: usize,
    },
    ReadActivities {
        whole: bool,
        project: Option<usize>,
        home: usize,
        filter: ActivityFilter,
        paging: Paging,
    },
}

#[derive(Debug, Clone)]
struct EntryFilter {
    message: Option<usize>,
    thread: Option<usize>,
    outcome: Option<usize>,
    sender: Option<usize>,
    recipient: Option<usize>,
    reason: Option<usize>,
}

#[derive(Debug, Clone)]
struct ActivityFilter {
    action: Option<usize>,
    user: Option<usize>,
    target_type: Option<usize>,
    target: Option<usize>,
}

fn write_step() -> impl Strategy<Value = Step> {
    let times = || prop_oneof![14 => Just(1_usize), 1 => Just(25), 1 => Just(80)];
    let retry = || prop::bool::weighted(0.2);
    let events = (0..2_usize).prop_flat_map(move |home| {
        (Just(home), shape(), prop::collection::vec(event_item(home), 1..6), times(), retry())
            .prop_map(|(home, shape, items, times, retry)| Step::Events { home, shape, items, times, retry })
    });
    let entries = (0..N_MAILBOXES, shape(), prop::collection::vec(entry_item(), 1..6), retry())
        .prop_map(|(mailbox, shape, items, retry)| Step::Entries { mailbox, shape, items, retry });
    let activities =
        (0..N_PROJECTS, shape(), prop::collection::vec(activity_item(), 1..6), times(), retry()).prop_map(
            |(project, shape, items, times, retry)| Step::Activities { project, shape, items, times, retry },
        );
    let some = |n: u8| prop::option::weighted(0.4, 0..n);
    let facts =
        (prop::option::of(0..THREADS.len()), some(3), some(3), some(3), prop::option::of(0..1000_i64));
    let append =
        (0..N_MAILBOXES, 0..N_MESSAGES, facts, retry()).prop_map(|(mailbox, message, facts, retry)| {
            let (thread, reply, bounce, tools, tokens) = facts;
            Step::Append { mailbox, message, facts: Append { thread, reply, bounce, tools, tokens }, retry }
        });
    let misspelt = (0..3_usize, shape()).prop_map(|(log, shape)| Step::Misspelt { log, shape });
    prop_oneof![6 => events, 6 => entries, 5 => activities, 4 => append, 1 => misspelt]
}

fn admin_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => (0..N_TENANTS).prop_map(Step::DeleteTenant),
        1 => (0..N_MAILBOXES).prop_map(Step::DeleteMailbox),
        1 => (0..N_PROJECTS).prop_map(Step::DeleteProject),
        1 => (0..N_TENANTS, any::<bool>()).prop_map(|(at, hold)| Step::HoldTenant(at, hold)),
        1 => (0..N_MAILBOXES, any::<bool>()).prop_map(|(at, hold)| Step::HoldMailbox(at, hold)),
        1 => (0..N_PROJECTS, any::<bool>()).prop_map(|(at, hold)| Step::HoldProject(at, hold)),
        2 => (0..N_MAILBOXES, prop_oneof![1_i64..3, Just(30), Just(400)], any::<bool>())
            .prop_map(|(mailbox, days, hashes)| Step::Policy { mailbox, days, hashes }),
        3 => Just(Step::Retention),
        1 => prop_oneof![Just(7200 * SECOND), Just(DAY), Just(20 * DAY + 1), Just(3600 * SECOND + 1)]
            .prop_map(|micros| Step::MoveClock { micros }),
    ]
}

fn read_step() -> impl Strategy<Value = Step> {
    let some = |n: usize| prop::option::weighted(0.25, 0..n);
    let tenant = prop::option::weighted(0.4, 0..N_TENANTS + 1);
    let events =
        (0..2_usize, tenant, prop::option::weighted(0.3, any::<bool>()), some(ADDRESSES.len()), paging())
            .prop_map(|(home, tenant, blocked, address, paging)| Step::ReadEvents {
                home,
                tenant,
                blocked,
                address,
                paging,
            });
    let filter = (
        some(N_MESSAGES),
        some(THREADS.len()),
        some(6),
        some(SENDERS.len()),
        some(ADDRESSES.len()),
        some(REASONS.len()),
    )
        .prop_map(|(message, thread, outcome, sender, recipient, reason)| EntryFilter {
            message,
            thread,
            outcome,
            sender,
            recipient,
            reason,
        });
    let entries = (
        0..N_MAILBOXES,
        prop::bool::weighted(0.03),
        filter,
        prop::option::weighted(0.3, 0..N_MESSAGES),
        paging(),
    )
        .prop_map(|(mailbox, foreign, filter, cursor, paging)| Step::ReadEntries {
            home: if foreign { 1 - HOME[mailbox] } else { HOME[mailbox] },
            mailbox,
            filter,
            cursor,
            paging,
        });
    let entry =
        (0..N_MAILBOXES, 0..N_MESSAGES).prop_map(|(mailbox, message)| Step::ReadEntry { mailbox, message });
    let filter = (some(4), some(5), some(3), some(3))
        .prop_map(|(action, user, target_type, target)| ActivityFilter { action, user, target_type, target });
    let activities = (any::<bool>(), prop::option::of(0..N_PROJECTS), 0..2_usize, filter, paging()).prop_map(
        |(whole, project, home, filter, paging)| Step::ReadActivities {
            whole,
            project,
            home,
            filter,
            paging,
        },
    );
    prop_oneof![6 => events, 6 => entries, 1 => entry, 6 => activities]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let early = prop::collection::vec(write_step(), 3..10);
    let mixed =
        prop::collection::vec(prop_oneof![4 => write_step(), 2 => admin_step(), 8 => read_step()], 0..25);
    let late = prop::collection::vec(read_step(), 8..20);
    (early, mixed, late).prop_map(|(early, mixed, late)| [early, mixed, late].concat())
}

// ---------------------------------------------------------------------------------------------- the model

struct Event {
    home: usize,
    tenant: usize,
    at: i64,
    shown: Value,
}

struct Entry {
    mailbox: usize,
    /// What was given, to tell the same again from something else.
    given: Value,
    at: i64,
    shown: Value,
}

struct Activity {
    home: usize,
    project: Option<usize>,
    at: i64,
    shown: Value,
}

/// One case: its workspaces, and every row it believes in.
struct Case<'a> {
    world: &'a World,
    workspaces: Vec<(String, String)>,
    tenants: Vec<String>,
    mailboxes: Vec<i64>,
    projects: Vec<String>,
    living: [[bool; 3]; 3],
    held: [[bool; 3]; 3],
    /// The days and whether hashes are kept, of each mailbox's policy.
    policies: [(Option<i64>, bool); N_MAILBOXES],
    events: Vec<Event>,
    entries: Vec<Entry>,
    activities: Vec<Activity>,
    last_seq: i64,
    last_ulid: String,
    n_keys: usize,
}

const TENANT: usize = 0;
const MAILBOX: usize = 1;
const PROJECT: usize = 2;

/// The server that many cases share.
struct World {
    server: Server,
    agent: ureq::Agent,
    cookie: String,
    user: String,
    /// When retention last ran: it does not run by itself after a leap of the clock of more than a week.
    last_run: Cell<i64>,
}

const LEAP: i64 = 7 * DAY;

impl World {
    fn new() -> Self {
        let server = Server::start_with(&[
            ("enforcement_retention_days", "30"),
            ("messages_retention_days", "45"),
            ("activity_retention_days", "60"),
            ("session_idle", "36500d"),
            ("session_lifetime", "36500d"),
            ("log", "error"),
        ]);
        server.choose_password(OWNER);
        let cookie = server.login(OWNER);
        let users = server.operator(
            Method::Get,
            &format!("/api/v1/admin/users?workspace_id={}", server.workspace),
            &Value::Null,
        );
        let user = users.json()["users"][0]["id"].as_str().expect("a user").to_owned();
        let agent = ureq::Agent::new_with_config(
            ureq::Agent::config_builder().http_status_as_error(false).user_agent(AGENT).build(),
        );
        let last_run = Cell::new(server.clock.now().micros());
        let world = Self { server, agent, cookie, user, last_run };
        world.settle();
        world
    }

    fn now(&self) -> i64 {
        self.server.clock.now().micros()
    }

    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        // Cases are many in an hour, and it is not the model's to know how much was read in it.
        self.server.running().app.pages.forget();
        let url = format!("{}{path}", self.server.url());
        let mut request = ureq::http::Request::builder().method(method).uri(&url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).unwrap_or_else(|error| panic!("{url}: {error}"));
        let mut answer = self.agent.run(request).unwrap_or_else(|error| panic!("{url}: {error}"));
        let headers = answer
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(1 << 30).read_to_vec().expect("a whole body");
        Answer { status, headers, body }
    }

    /// Waits until the scheduler has run retention at this time of the clock, so that it does not run later.
    fn settle(&self) {
        let now = self.server.clock.now();
        loop {
            let shown =
                self.server.operator(Method::Get, "/api/v1/admin/retention", &Value::Null).good().json();
            let started = shown["last_run"]["started_at"].as_str().and_then(Timestamp::parse);
            if started.is_some_and(|started| started >= now) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

fn shown_time(micros: i64) -> String {
    Timestamp::from_micros(micros).to_string()
}

/// The same instant, written with another offset.
fn given_time(micros: i64) -> String {
    match micros.div_euclid(7) % 3 {
        0 if micros > DAY => {
            let there = Timestamp::from_micros(micros - 5 * 3600 * SECOND - 30 * MINUTE).to_string();
            format!("{}-05:30", there.trim_end_matches('Z'))
        }
        1 => {
            let there = Timestamp::from_micros(micros + 2 * 3600 * SECOND).to_string();
            format!("{}+02:00", there.trim_end_matches('Z'))
        }
        _ => shown_time(micros),
    }
}

fn whole_seconds(micros: i64) -> i64 {
    micros.div_euclid(SECOND) * SECOND
}

fn message_id(at: usize) -> String {
    // Among them what must be escaped in a path.
    match at % 4 {
        0 => format!("<{at}@x.example>"),
        1 => format!("m-{at}"),
        2 => format!("a/b?{at}#%"),
        _ => format!("ümlaut {at}"),
    }
}

/// As it is shown.
fn bare(id: &str) -> &str {
    id.trim_start_matches('<').trim_end_matches('>')
}

fn user_id(case: &Case<'_>, at: usize) -> String {
    match at {
        0 => case.world.user.clone(),
        1 => case.world.user.to_uppercase(),
        2 => "01ARZ3NDEKTSV4RRFFQ69G5FAV".into(),
        3 => "6f9619ff-8b86-d011-b42d-00c04fc964ff".into(),
        _ => "nobody".into(),
    }
}

fn metadata(at: usize) -> (Option<Value>, Value) {
    match at {
        0 => (None, json!({})),
        1 => (Some(json!({})), json!({})),
        2 => (
            Some(json!({ "smtp_host": "h", "smtp_password": "s", "list": [{ "token": 1, "n": 2.5 }] })),
            json!({ "smtp_host": "h", "list": [{ "n": 2.5 }] }),
        ),
        _ => (
            Some(json!({ "before": null, "after": { "x": [1, "ü"] } })),
            json!({ "before": null, "after": { "x": [1, "ü"] } }),
        ),
    }
}

fn same_address(a: &Value, b: &str) -> bool {
    a.as_str().is_some_and(|a| a.eq_ignore_ascii_case(b))
}

fn body_of(shape: Shape, word: &str, items: &[Value]) -> (&'static str, Vec<u8>) {
    match shape {
        Shape::One => ("application/json", items[0].to_string().into_bytes()),
        Shape::Json => ("application/json", json!({ word: items }).to_string().into_bytes()),
        Shape::Lines => {
            let lines: String = items.iter().map(|item| format!("{item}\n")).collect();
            ("application/x-ndjson", lines.into_bytes())
        }
    }
}

/// `a=b&c=d`, escaped.
fn query_of(pairs: &[(&str, String)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn lines_of(answer: &Answer) -> Vec<Value> {
    let text = answer.body_text();
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// The page size asked for; `None`: not an integer, which is refused.
fn page_size(limit: Option<&str>) -> Option<usize> {
    let Some(text) = limit else { return Some(50) };
    let number: i128 = text.parse().ok()?;
    Some(number.clamp(1, 200) as usize)
}

/// The offset asked for; `None`: refused.
fn page_start(offset: Option<&str>) -> Option<i64> {
    let number: i128 = offset.unwrap_or("0").parse().ok()?;
    (number >= 0).then(|| i64::try_from(number).unwrap_or(i64::MAX))
}

/// The target of `Link: <…>; rel="next"`.
fn next_link(answer: &Answer) -> Option<String> {
    let link = answer.header("link")?;
    let target = link.strip_prefix('<').and_then(|rest| rest.strip_suffix(">; rel=\"next\""));
    Some(target.unwrap_or_else(|| panic!("{link} is not a link to the next page")).to_owned())
}

type Envelope<'a> = dyn Fn(&[Value], usize, usize, i64) -> Value + 'a;

/// The three lists differ in words only: where the rows are, what stands around them, how a caller shows itself.
struct List<'a> {
    path: String,
    headers: Vec<(&'a str, String)>,
    filters: Vec<(&'a str, String)>,
    word: &'static str,
    /// What stands around the rows of a page, of so many in all, with this limit and offset.
    envelope: &'a Envelope<'a>,
    refusal: u16,
}

impl<'a> Case<'a> {
    fn new(world: &'a World) -> Self {
        let server = &world.server;
        let mut case = Self {
            world,
            workspaces: Vec::new(),
            tenants: Vec::new(),
            mailboxes: Vec::new(),
            projects: Vec::new(),
            living: [[true; 3]; 3],
            held: [[false; 3]; 3],
            policies: [(None, false); N_MAILBOXES],
            events: Vec::new(),
            entries: Vec::new(),
            activities: Vec::new(),
            last_seq: 0,
            last_ulid: String::new(),
            n_keys: 0,
        };
        for name in ["one", "two"] {
            let path = "/api/v1/admin/workspaces";
            let id = server.operator(Method::Post, path, &json!({ "name": name })).good().text("id");
            server.join(&id, OWNER, "auditor");
            let key = server.add_key(&id, &SCOPES);
            case.workspaces.push((id, key));
        }
        for at in 0..3 {
            let workspace = case.workspaces[HOME[at]].0.clone();
            case.tenants.push(server.add_tenant(&workspace, "Acme"));
            let tenant = TENANT_OF[at].map(|tenant| case.tenants[tenant].clone());
            case.mailboxes.push(server.add_mailbox(&workspace, MAILBOXES[at], tenant.as_deref(), None));
            case.projects.push(server.add_project(&workspace, "Newsletter"));
        }
        let setup =
            ["workspace.create", "workspace.member_invited", "workspace.member_added", "api_key.create"];
        let three = ["tenant.create", "mailbox.create", "project.create"];
        case.adopt_notes(0, &[&setup[..], &three, &three].concat());
        case.adopt_notes(1, &[&setup[..], &three].concat());
        case
    }

    fn now(&self) -> i64 {
        self.world.now()
    }

    fn key(&self, home: usize) -> String {
        format!("Bearer {}", self.workspaces[home].1)
    }

    /// Every row of a list, by its pages: an export would be noted in the activity log, and here nothing is to be
    /// noted.
    fn all(&self, path: &str, header: (&str, &str), word: &str) -> Vec<Value> {
        let mut rows = Vec::new();
        let mut target = Some(format!("{path}?limit=200"));
        while let Some(to) = target {
            let answer = self.world.send("GET", &to, &[header], Vec::new()).good();
            let body = answer.json();
            rows.extend(body[word].as_array().expect("rows").iter().cloned());
            let cursor = body.get("next_cursor").and_then(Value::as_i64);
            target = next_link(&answer).or(cursor.map(|cursor| format!("{path}?limit=200&cursor={cursor}")));
        }
        rows
    }

    /// Believes what mailtrail recorded of itself in a workspace: these actions, in this order.
    fn adopt_notes(&mut self, home: usize, expected: &[&str]) {
        let path = format!("/api/v1/workspaces/{}/audit-log", self.workspaces[home].0);
        let mut rows = self.all(&path, ("cookie", &self.world.cookie), "entries");
        let known: Vec<i64> = self.activities.iter().filter_map(|row| row.shown["seq"].as_i64()).collect();
        rows.retain(|row| !known.contains(&row["seq"].as_i64().expect("a seq")));
        rows.sort_by_key(|row| row["seq"].as_i64());
        let actions: Vec<&str> = rows.iter().filter_map(|row| row["action"].as_str()).collect();
        assert_eq!(actions, expected, "what mailtrail noted of itself");
        for shown in rows {
            let is_export = shown["action"].as_str().is_some_and(|action| action.ends_with(".export"));
            let is_joining = shown["action"] == "workspace.member_added" && shown["actor"] == OWNER;
            assert!(is_export || is_joining || shown["actor"] == Server::operator_name(), "{shown}");
            let project = shown["project_id"].as_str().map(|id| {
                self.projects.iter().position(|project| project == id).expect("a project of this case")
            });
            let at =
                Timestamp::parse(shown["created_at"].as_str().expect("a time")).expect("a time").micros();
            self.last_seq = self.last_seq.max(shown["seq"].as_i64().expect("a seq"));
            self.activities.push(Activity { home, project, at, shown });
        }
    }

    /// Sends a write, and when asked to, again under the same key, which must give the same answer.
    fn write(&mut self, method: &str, path: &str, home: usize, body: (&str, Vec<u8>), retry: bool) -> Answer {
        let (media_type, body) = body;
        let authorization = self.key(home);
        self.n_keys += 1;
        let idempotency = format!("key {}", self.n_keys);
        let mut headers = vec![("authorization", authorization.as_str()), ("content-type", media_type)];
        if retry {
            headers.push(("idempotency-key", &idempotency));
        }
        let answer = self.world.send(method, path, &headers, body.clone());
        if retry {
            let again = self.world.send(method, path, &headers, body);
            assert_eq!((again.status, again.body_text()), (answer.status, answer.body_text()), "a retry");
        }
        answer
    }

    /// Takes what only the server can know from a row it shows, and compares the rest.
    fn adopt(&mut self, expected: &mut Value, actual: &Value, learnt: &[&str]) {
        for member in learnt {
            expected[*member] = actual[*member].clone();
        }
        assert_eq!(actual, expected);
        let seq = actual.get("seq").unwrap_or(&actual["id"]).as_i64().expect("a number");
        assert!(seq > self.last_seq, "{seq} after {}", self.last_seq);
        self.last_seq = seq;
    }

    /// The rows of a write's answer, for every shape; the rows of NDJSON are found in the list.
    fn written(
        &self,
        answer: &Answer,
        shape: Shape,
        word: &str,
        n: usize,
        list: (&str, (&str, &str)),
    ) -> Vec<Value> {
        let body = answer.json();
        match shape {
            Shape::One => vec![body],
            Shape::Json => {
                let rows = body[word].as_array().expect("rows").clone();
                assert_eq!(body, json!({ word: rows, "count": n }));
                rows
            }
            Shape::Lines => {
                let mut rows = self.all(list.0, list.1, word);
                let seq = |row: &Value| row.get("seq").unwrap_or(&row["id"]).as_i64().expect("a number");
                rows.retain(|row| seq(row) > self.last_seq);
                rows.sort_by_key(seq);
                let id = |row: Option<&Value>| row.expect("a row")["id"].clone();
                let ids = json!({ "count": n, "first_id": id(rows.first()), "last_id": id(rows.last()) });
                assert_eq!(body, ids);
                rows
            }
        }
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Events { home, shape, items, times, retry } => {
                self.write_events(*home, *shape, items, *times, *retry);
            }
            Step::Entries { mailbox, shape, items, retry } => {
                self.write_entries(*mailbox, *shape, items, *retry);
            }
            Step::Append { mailbox, message, facts, retry } => self.append(*mailbox, *message, facts, *retry),
            Step::Activities { project, shape, items, times, retry } => {
                self.write_activities(*project, *shape, items, *times, *retry);
            }
            Step::Misspelt { log, shape } => self.misspelt(*log, *shape),
            Step::DeleteTenant(at) => self.delete(TENANT, *at),
            Step::DeleteMailbox(at) => self.delete(MAILBOX, *at),
            Step::DeleteProject(at) => self.delete(PROJECT, *at),
            Step::HoldTenant(at, hold) => self.hold(TENANT, *at, *hold),
            Step::HoldMailbox(at, hold) => self.hold(MAILBOX, *at, *hold),
            Step::HoldProject(at, hold) => self.hold(PROJECT, *at, *hold),
            Step::Policy { mailbox, days, hashes } => self.put_policy(*mailbox, *days, *hashes),
            Step::Retention => self.retention(),
            Step::MoveClock { micros } => {
                let to = Timestamp::from_micros(self.now() + micros);
                self.world.server.clock.set(to);
                self.world.settle();
                if self.now() <= self.world.last_run.get() + LEAP {
                    self.prune();
                }
            }
            Step::ReadEvents { home, tenant, blocked, address, paging } => {
                self.read_events(*home, *tenant, *blocked, *address, paging);
            }
            Step::ReadEntries { home, mailbox, filter, cursor, paging } => {
                self.read_entries(*home, *mailbox, filter, *cursor, paging);
            }
            Step::ReadEntry { mailbox, message } => self.read_entry(*mailbox, *message),
            Step::ReadActivities { whole, project, home, filter, paging } => {
                self.read_activities(*whole, *project, *home, filter, paging);
            }
        }
    }

    // ------------------------------------------------------------------------------------------ writes

    fn write_events(&mut self, home: usize, shape: Shape, items: &[EventItem], times: usize, retry: bool) {
        let now = self.now();
        let n = if shape == Shape::One { 1 } else { items.len() * times };
        let items: Vec<&EventItem> = items.iter().cycle().take(n).collect();
        let mut given = Vec::new();
        let mut rows = Vec::new();
        let mut refused = None;
        for item in items {
            let action = if item.blocked { "blocked" } else { "unblocked" };
            let mut object = json!({
                "tenant_id": self.tenants[item.tenant], "mailbox_address": ADDRESSES[item.address],
                "action_taken": action, "sent_count": item.sent, "limit_value": 25,
            });
            if let Some(message) = item.message {
                object["message"] = message.into();
            }
            let at = item.at.map(|when| when.at(now));
            if let Some(at) = at {
                object["created_at"] = given_time(at).into();
            }
            given.push(object);
            let is_here = HOME[item.tenant] == home && self.living[TENANT][item.tenant];
            let refusal = match at {
                _ if !is_here => Some(404),
                Some(at) if at > now + 600 * SECOND => Some(422),
                _ => None,
            };
            refused = refused.or(refusal);
            let at = at.unwrap_or(whole_seconds(now));
            let sentence = format!("Mailbox {action}: sent {}, limit 25", item.sent);
            let shown = json!({
                "id": null, "tenant_id": self.tenants[item.tenant], "mailbox_address": ADDRESSES[item.address],
                "action_taken": action, "sent_count": item.sent, "limit_value": 25,
                "message": item.message.unwrap_or(&sentence), "created_at": shown_time(at),
                "recorded_at": shown_time(whole_seconds(now)), "seq": null, "recorded_by": "key test",
            });
            rows.push(Event { home, tenant: item.tenant, at, shown });
        }
        let answer =
            self.write("POST", "/v1/enforcement/events", home, body_of(shape, "events", &given), retry);
        if let Some(status) = refused {
            let answer = answer.status(status);
            if status == 404 {
                assert_eq!(answer.json()["detail"]["code"], "tenant_not_found");
            }
            return;
        }
        let answer = answer.status(201);
        let authorization = self.key(home);
        let list = ("/v1/enforcement/events", ("authorization", authorization.as_str()));
        let written = self.written(&answer, shape, "events", n, list);
        assert_eq!(written.len(), n);
        for (mut row, actual) in rows.into_iter().zip(&written) {
            self.adopt(&mut row.shown, actual, &["id", "seq"]);
            self.events.push(row);
        }
    }

    fn write_entries(&mut self, mailbox: usize, shape: Shape, items: &[EntryItem], retry: bool) {
        let now = self.now();
        let home = HOME[mailbox];
        let n = if shape == Shape::One { 1 } else { items.len() };
        let mut given = Vec::new();
        // Rows of this write: in `answered` one an item, new or standing; `fresh` says which are new.
        let mut fresh: Vec<Entry> = Vec::new();
        let mut answered: Vec<String> = Vec::new();
        let mut refused = None;
        for item in &items[..n] {
            let (object, canonical, mut row) = self.entry(mailbox, item, now);
            given.push(object);
            let id = bare(&message_id(item.message)).to_owned();
            answered.push(id.clone());
            let earlier = self.entries.iter().filter(|row| row.mailbox == mailbox).chain(&fresh);
            let standing = earlier.into_iter().find(|row| row.shown["message_id"] == id.as_str());
            match standing {
                Some(standing) if standing.given == canonical => {}
                Some(_) => refused = refused.or(Some(409)),
                None if row.at > now + 600 * SECOND => refused = refused.or(Some(422)),
                None => {
                    row.given = canonical;
                    fresh.push(row);
                }
            }
        }
        if !self.living[MAILBOX][mailbox] {
            refused = Some(404);
        }
        let path = format!("/v1/mailboxes/{}/audit-logs", self.mailboxes[mailbox]);
        let answer = self.write("POST", &path, home, body_of(shape, "items", &given), retry);
        if let Some(status) = refused {
            answer.status(status);
            return;
        }
        let answer = answer.status(if fresh.is_empty() { 200 } else { 201 });
        // The numbers of new entries: a fact takes one too, after its entry.
        let authorization = self.key(home);
        let there = self.all(&path, ("authorization", &authorization), "items");
        for mut row in fresh {
            let actual = there.iter().find(|actual| actual["message_id"] == row.shown["message_id"]);
            self.adopt(&mut row.shown, actual.expect("a new entry"), &["id", "seq"]);
            // It shows the number of its last fact.
            let n_facts = row.shown["appended"].as_array().map_or(0, |facts| facts.len() as i64);
            assert_eq!(row.shown["seq"].as_i64(), row.shown["id"].as_i64().map(|id| id + n_facts));
            self.entries.push(row);
        }
        let shown: Vec<&Value> = answered
            .iter()
            .map(|id| &self.entries[self.find_entry(mailbox, id).expect("an entry")].shown)
            .collect();
        let expected = match shape {
            Shape::One => shown[0].clone(),
            Shape::Json => json!({ "items": shown, "count": n }),
            Shape::Lines => json!({ "count": n, "first_id": shown[0]["id"], "last_id": shown[n - 1]["id"] }),
        };
        assert_eq!(answer.json(), expected);
    }

    fn find_entry(&self, mailbox: usize, message_id: &str) -> Option<usize> {
        let id = bare(message_id);
        self.entries.iter().position(|row| row.mailbox == mailbox && row.shown["message_id"] == id)
    }

    /// The object to send, what of it makes two the same, and the row it becomes.
    fn entry(&self, mailbox: usize, item: &EntryItem, now: i64) -> (Value, Value, Entry) {
        let outcome = OUTCOMES[item.outcome];
        let at = item.at.map(|when| whole_seconds(when.at(now)));
        let mut object = json!({ "message_id": message_id(item.message), "outcome": outcome });
        let texts = [
            ("thread_id", item.thread.map(|at| THREADS[at])),
            ("sender_address", item.sender.map(|at| SENDERS[at])),
            ("recipient_address", item.recipient.map(|at| ADDRESSES[at])),
            ("reason", item.reason.map(|at| REASONS[at])),
            ("verification_dkim", item.verdict.map(|at| VERDICTS[at])),
            ("verification_dmarc", item.verdict.map(|at| VERDICTS[(at + 1) % 7])),
            ("text_body", item.body.map(|at| BODIES[at])),
        ];
        for (member, text) in texts {
            if let Some(text) = text {
                object[member] = text.into();
            }
        }
        if let Some(alignment) = item.alignment {
            object["from_alignment"] = alignment.into();
        }
        if item.grants && outcome == "delivered" {
            object["capabilities_granted"] = json!({ "capabilities": ["reply"], "rule_index": 2 });
        }
        if let Some(at) = at {
            object["received_at"] = at.div_euclid(SECOND).into();
        }
        let recorded_at = now.div_euclid(SECOND);
        let mut appended = Vec::new();
        let mut fact = |kind: &str, data: &Value| {
            appended.push(fact(kind, data, recorded_at));
        };
        if item.reply {
            object["reply_sent"] = json!({ "id": "first" });
            fact("reply_sent", &object["reply_sent"]);
        }
        if let Some(tokens) = item.tokens {
            object["tokens_consumed"] = json!({ "input": tokens });
            fact("tokens_consumed", &object["tokens_consumed"]);
        }
        let hash = item.body.map(|at| hex(&sha256(BODIES[at].as_bytes())));
        let keeps_hash = self.policies[mailbox].1;
        let shown = json!({
            "id": null, "message_id": bare(&message_id(item.message)), "thread_id": object.get("thread_id"),
            "sender_address": object.get("sender_address"),
            "recipient_address": item.recipient.map_or(MAILBOXES[mailbox], |at| ADDRESSES[at]),
            "received_at": at.unwrap_or(now).div_euclid(SECOND), "outcome": outcome, "reason": object.get("reason"),
            "verification_dkim": object.get("verification_dkim"), "verification_spf": null,
            "verification_dmarc": object.get("verification_dmarc"), "from_alignment": item.alignment,
            "body_hash": hash.filter(|_| keeps_hash), "capabilities_granted": object.get("capabilities_granted"),
            "tools_used": null, "tokens_consumed": object.get("tokens_consumed"),
            "reply_sent": object.get("reply_sent"), "mailbox_id": self.mailboxes[mailbox], "message_hash": null,
            "policy_version": null, "recorded_at": recorded_at, "appended": appended, "recorded_by": "key test", "text_problem": null, "seq": null,
        });
        let at = at.unwrap_or(whole_seconds(now));
        // That it is to the mailbox itself goes without saying.
        let mut canonical = object.clone();
        if item.recipient.is_some_and(|at| ADDRESSES[at].eq_ignore_ascii_case(MAILBOXES[mailbox])) {
            canonical.as_object_mut().expect("an object").shift_remove("recipient_address");
        }
        (object, canonical, Entry { mailbox, given: Value::Null, at, shown })
    }

    fn append(&mut self, mailbox: usize, message: usize, facts: &Append, retry: bool) {
        let mut object = Map::new();
        if let Some(at) = facts.thread {
            object.insert("thread_id".into(), THREADS[at].into());
        }
        if let Some(n) = facts.reply {
            object.insert(
                "reply_sent".into(),
                if n == 0 { json!("sent") } else { json!({ "id": n, "bounce": "?" }) },
            );
        }
        if let Some(n) = facts.bounce {
            object.insert("bounce".into(), json!({ "status": format!("5.1.{n}") }));
        }
        if let Some(n) = facts.tools {
            object.insert("tools_used".into(), json!([{ "name": n }]));
        }
        if let Some(n) = facts.tokens {
            object.insert("tokens_consumed".into(), json!({ "input": n, "output": 1 }));
        }
        let id = message_id(message);
        let found = self.find_entry(mailbox, &id);
        let known = found.and_then(|at| self.entries[at].shown["thread_id"].as_str().map(str::to_owned));
        let given = object.get("thread_id").and_then(Value::as_str);
        let is_second = known.is_some() && given.is_some() && given != known.as_deref();
        let expected = match found {
            _ if !self.living[MAILBOX][mailbox] => 404,
            _ if object.is_empty() => 422,
            None => 404,
            Some(_) if is_second => 409,
            Some(_) => 200,
        };
        let escaped: String = id
            .bytes()
            .map(|byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            })
            .collect();
        let path = format!("/v1/mailboxes/{}/audit-logs/{escaped}", self.mailboxes[mailbox]);
        let body = ("application/json", Value::Object(object.clone()).to_string().into_bytes());
        let answer = self.write("PATCH", &path, HOME[mailbox], body, retry).status(expected);
        let (200, Some(at)) = (expected, found) else { return };
        if known.is_some() {
            object.remove("thread_id");
        }
        let recorded_at = self.now().div_euclid(SECOND);
        // In the order of the contract's list, not of the request's members.
        let kinds = ["thread_id", "reply_sent", "bounce", "tools_used", "tokens_consumed"];
        let appended: Vec<&str> = kinds.into_iter().filter(|kind| object.contains_key(*kind)).collect();
        for kind in &appended {
            fold(&mut self.entries[at].shown, kind, &object[*kind], recorded_at);
            self.last_seq += 1;
        }
        if !appended.is_empty() {
            // Or later: what somebody takes of a log is noted by itself.
            let seq = answer.json()["seq"].as_i64().expect("a number");
            assert!(seq >= self.last_seq, "{seq} before {}", self.last_seq);
            self.last_seq = seq;
            self.entries[at].shown["seq"] = seq.into();
        }
        assert_eq!(answer.json(), self.entries[at].shown);
    }

    fn write_activities(
        &mut self,
        project: usize,
        shape: Shape,
        items: &[ActivityItem],
        times: usize,
        retry: bool,
    ) {
        let now = self.now();
        let home = HOME[project];
        let n = if shape == Shape::One { 1 } else { items.len() * times };
        let items: Vec<&ActivityItem> = items.iter().cycle().take(n).collect();
        let mut given = Vec::new();
        let mut rows = Vec::new();
        let mut refused = None;
        for item in items {
            let user = user_id(self, item.user);
            let mut object = json!({ "user_id": user, "action": ACTIONS[item.action] });
            let (metadata, kept) = metadata(item.metadata);
            let redacted = if kept == metadata.clone().unwrap_or_else(|| json!({})) {
                json!([])
            } else {
                json!(["smtp_password", "token"])
            };
            let members = [
                ("target_type", item.target_type.map(|at| json!(TARGET_TYPES[at]))),
                ("target_id", item.target.map(|at| json!(TARGETS[at]))),
                ("metadata", metadata),
                ("ip_address", item.ip.then(|| json!("2001:DB8::1"))),
                ("user_agent", item.agent.then(|| json!("Mozilla/5.0"))),
                ("created_at", item.at.map(|when| json!(given_time(when.at(now))))),
            ];
            for (member, value) in members {
                if let Some(value) = value {
                    object[member] = value;
                }
            }
            let at = item.at.map_or(whole_seconds(now), |when| when.at(now));
            if at > now + 600 * SECOND {
                refused = Some(400);
            }
            let is_member = item.user < 2;
            let actor = if is_member { format!("key test for {OWNER}") } else { "key test".into() };
            let shown = json!({
                "id": null, "user_id": if is_member { &self.world.user } else { &user },
                "action": ACTIONS[item.action], "target_type": object.get("target_type"),
                "target_id": object.get("target_id"), "metadata": kept,
                "ip_address": if item.ip { "2001:db8::1" } else { "127.0.0.1" },
                "user_agent": if item.agent { "Mozilla/5.0" } else { AGENT }, "created_at": shown_time(at),
                "project_id": self.projects[project], "actor": actor,
                "recorded_at": shown_time(whole_seconds(now)), "seq": null, "redacted": redacted,
                "recorded_by": "key test",
            });
            given.push(object);
            rows.push(Activity { home, project: Some(project), at, shown });
        }
        if !self.living[PROJECT][project] {
            refused = Some(404);
        }
        let path = format!("/api/v1/projects/{}/audit-log", self.projects[project]);
        let answer = self.write("POST", &path, home, body_of(shape, "entries", &given), retry);
        if let Some(status) = refused {
            answer.status(status);
            return;
        }
        let answer = answer.status(201);
        let cookie = self.world.cookie.clone();
        let written = self.written(&answer, shape, "entries", n, (&path, ("cookie", cookie.as_str())));
        assert_eq!(written.len(), n);
        for (mut row, actual) in rows.into_iter().zip(&written) {
            self.adopt(&mut row.shown, actual, &["id", "seq"]);
            let id = actual["id"].as_str().expect("a ULID").to_owned();
            assert!(id > self.last_ulid, "{id} after {}", self.last_ulid);
            self.last_ulid = id;
            self.activities.push(row);
        }
    }

    /// One good item and one with a member that is not known: nothing of both is recorded.
    fn misspelt(&mut self, log: usize, shape: Shape) {
        let (path, word, good) = match log {
            0 => (
                "/v1/enforcement/events".to_owned(),
                "events",
                json!({ "tenant_id": self.tenants[0], "mailbox_address": "a@b.example", "action_taken": "blocked",
                    "sent_count": 1, "limit_value": 1 }),
            ),
            1 => (
                format!("/v1/mailboxes/{}/audit-logs", self.mailboxes[0]),
                "items",
                json!({ "message_id": "never", "outcome": "delivered" }),
            ),
            _ => (
                format!("/api/v1/projects/{}/audit-log", self.projects[0]),
                "entries",
                json!({ "user_id": self.world.user, "action": "never.recorded" }),
            ),
        };
        let mut bad = good.clone();
        bad["misspelt"] = true.into();
        let items = if shape == Shape::One { vec![bad] } else { vec![good, bad] };
        let answer = self.write("POST", &path, 0, body_of(shape, word, &items), false);
        if log == 1 && !self.living[MAILBOX][0] {
            answer.status(404);
            return;
        }
        let answer = answer.status(if log == 2 { 400 } else { 422 });
        let place = match shape {
            Shape::One => "misspelt".to_owned(),
            Shape::Json => format!("{word}[1].misspelt"),
            Shape::Lines => "line 2.misspelt".to_owned(),
        };
        assert!(answer.body_text().contains(&place), "{answer:?} does not name {place}");
    }

    // ------------------------------------------------------------------------------------------ owners, retention

    fn owner_path(&self, kind: usize, at: usize) -> String {
        match kind {
            TENANT => format!("/api/v1/admin/tenants/{}", self.tenants[at]),
            MAILBOX => format!("/api/v1/admin/mailboxes/{}", self.mailboxes[at]),
            _ => format!("/api/v1/admin/projects/{}", self.projects[at]),
        }
    }

    fn delete(&mut self, kind: usize, at: usize) {
        let path = self.owner_path(kind, at);
        let answer = self.world.server.operator(Method::Delete, &path, &Value::Null);
        if !self.living[kind][at] {
            answer.status(404);
            return;
        }
        answer.status(204);
        self.living[kind][at] = false;
        let action = ["tenant.delete", "mailbox.delete", "project.delete"][kind];
        self.adopt_notes(HOME[at], &[action]);
    }

    /// Also what is deleted can be held, and let go again: its log is still there.
    fn hold(&mut self, kind: usize, at: usize, hold: bool) {
        let path = self.owner_path(kind, at);
        self.world.server.operator(Method::Patch, &path, &json!({ "legal_hold": hold })).status(200);
        let is_change = std::mem::replace(&mut self.held[kind][at], hold) != hold;
        let action = ["tenant.update", "mailbox.update", "project.update"][kind];
        self.adopt_notes(HOME[at], if is_change { std::slice::from_ref(&action) } else { &[] });
    }

    fn put_policy(&mut self, mailbox: usize, days: i64, hashes: bool) {
        let policy = json!({
            "defaultAction": "drop", "senders": [],
            "auditLog": { "retentionDays": days, "includeBodyHash": hashes },
        });
        let answer = self.world.server.put_policy(self.mailboxes[mailbox], &policy);
        if !self.living[MAILBOX][mailbox] {
            answer.status(404);
            return;
        }
        answer.status(200);
        self.policies[mailbox] = (Some(days), hashes);
        self.adopt_notes(HOME[mailbox], &["mailbox.policy_update"]);
    }

    fn retention(&mut self) {
        let run = |dry| {
            let body = json!({ "dry_run": dry });
            self.world.server.operator(Method::Post, "/api/v1/admin/retention/run", &body).good().json()
        };
        let dry = run(true);
        let done = run(false);
        assert_eq!(done["deleted"], dry["deleted"]);
        self.prune();
    }

    /// What a run of retention takes, by the contract.
    fn prune(&mut self) {
        let now = self.now();
        self.world.last_run.set(now);
        let (held, policies) = (self.held, self.policies);
        self.events.retain(|row| {
            let mailbox_held = (0..N_MAILBOXES).any(|at| {
                held[MAILBOX][at]
                    && HOME[at] == row.home
                    && same_address(&row.shown["mailbox_address"], MAILBOXES[at])
            });
            held[TENANT][row.tenant] || mailbox_held || row.at >= now - ENFORCEMENT_DAYS * DAY
        });
        self.entries.retain(|row| {
            let tenant_held = TENANT_OF[row.mailbox].is_some_and(|tenant| held[TENANT][tenant]);
            let days = policies[row.mailbox].0.unwrap_or(MESSAGES_DAYS);
            held[MAILBOX][row.mailbox] || tenant_held || row.at >= now - days * DAY
        });
        self.activities.retain(|row| {
            row.project.is_some_and(|project| held[PROJECT][project]) || row.at >= now - ACTIVITY_DAYS * DAY
        });
    }

    // ------------------------------------------------------------------------------------------ reads

    fn read_events(
        &mut self,
        home: usize,
        tenant: Option<usize>,
        blocked: Option<bool>,
        address: Option<usize>,
        paging: &Paging,
    ) {
        let mut filters = Vec::new();
        let tenant_id = tenant.map(|at| {
            self.tenants.get(at).cloned().unwrap_or_else(|| "6f9619ff-8b86-d011-b42d-00c04fc964ff".into())
        });
        let action = blocked.map(|blocked| if blocked { "blocked" } else { "unblocked" });
        filters.extend(tenant_id.clone().map(|id| ("tenant_id", id)));
        filters.extend(action.map(|action| ("action", action.to_owned())));
        filters.extend(address.map(|at| ("mailbox_address", ADDRESSES[at].to_owned())));
        let mut echoed = json!({ "tenant_id": tenant_id, "action": action });
        if let Some(at) = address {
            echoed["mailbox_address"] = ADDRESSES[at].into();
        }
        let envelope = |events: &[Value], total: usize, limit: usize, offset: i64| {
            json!({
                "events": events, "count": events.len(), "total": total, "limit": limit, "offset": offset,
                "filters": echoed,
            })
        };
        let list = List {
            path: "/v1/enforcement/events".into(),
            headers: vec![("authorization", self.key(home))],
            filters,
            word: "events",
            envelope: &envelope,
            refusal: 422,
        };
        if let Some(at) = tenant
            && HOME.get(at) != Some(&home)
        {
            let answer = self.get(&list, &[]).status(404);
            assert_eq!(answer.json()["detail"]["code"], "tenant_not_found");
            return;
        }
        let streamed = self.streamed(&list, paging, home, "enforcement.export");
        let rows = self.events.iter().filter(|row| {
            row.home == home
                && tenant.is_none_or(|tenant| row.tenant == tenant)
                && action.is_none_or(|action| row.shown["action_taken"] == action)
                && address.is_none_or(|at| same_address(&row.shown["mailbox_address"], ADDRESSES[at]))
        });
        self.check_by_offset(&list, rows.map(|row| (row.at, &row.shown)).collect(), paging, streamed);
    }

    fn read_activities(
        &mut self,
        whole: bool,
        project: Option<usize>,
        home: usize,
        filter: &ActivityFilter,
        paging: &Paging,
    ) {
        let mut filters = Vec::new();
        let user = filter.user.map(|at| user_id(self, at));
        filters.extend(filter.action.map(|at| ("action", ACTIONS[at].to_owned())));
        filters.extend(user.clone().map(|user| ("user_id", user)));
        filters.extend(filter.target_type.map(|at| ("target_type", TARGET_TYPES[at].to_owned())));
        filters.extend(filter.target.map(|at| ("target_id", TARGETS[at].to_owned())));
        // A project's list, or its workspace's, which may be narrowed to a project.
        let (home, project, path) = match (whole, project) {
            (false, project) => {
                let project = project.unwrap_or(0);
                (
                    HOME[project],
                    Some(project),
                    format!("/api/v1/projects/{}/audit-log", self.projects[project]),
                )
            }
            (true, project) => {
                filters.extend(project.map(|at| ("project_id", self.projects[at].clone())));
                (home, project, format!("/api/v1/workspaces/{}/audit-log", self.workspaces[home].0))
            }
        };
        let envelope =
            |entries: &[Value], total: usize, _: usize, _: i64| json!({ "entries": entries, "total": total });
        let list = List {
            path,
            headers: vec![("cookie", self.world.cookie.clone())],
            filters,
            word: "entries",
            envelope: &envelope,
            refusal: 400,
        };
        if project.is_some_and(|project| HOME[project] != home) {
            self.get(&list, &[]).status(404);
            return;
        }
        let same = |shown: &Value, member: &str, wanted: Option<&str>| {
            wanted.is_none_or(|wanted| shown[member].as_str() == Some(wanted))
        };
        let user = user.map(|user| if filter.user == Some(1) { user.to_lowercase() } else { user });
        let streamed = self.streamed(&list, paging, home, "activity.export");
        let rows = self.activities.iter().filter(|row| {
            row.home == home
                && project.is_none_or(|project| row.project == Some(project))
                && same(&row.shown, "action", filter.action.map(|at| ACTIONS[at]))
                && same(&row.shown, "user_id", user.as_deref())
                && same(&row.shown, "target_type", filter.target_type.map(|at| TARGET_TYPES[at]))
                && same(&row.shown, "target_id", filter.target.map(|at| TARGETS[at]))
        });
        self.check_by_offset(&list, rows.map(|row| (row.at, &row.shown)).collect(), paging, streamed);
    }

    /// The whole result in one stream, when that is how to read; it is noted before its first row, with what was
    /// asked.
    fn streamed(
        &mut self,
        list: &List<'_>,
        paging: &Paging,
        home: usize,
        action: &str,
    ) -> Option<Vec<Value>> {
        if paging.mode != Mode::Stream {
            return None;
        }
        let mut pairs = paging.in_time(self.now());
        pairs.push(("format", "ndjson".into()));
        let answer = self.get(list, &pairs).status(200);
        self.adopt_notes(home, &[action]);
        let asked: Map<String, Value> = list
            .filters
            .iter()
            .chain(&pairs)
            .map(|(name, value)| ((*name).to_owned(), json!(value)))
            .collect();
        let note = self.activities.last().expect("a note");
        assert_eq!(note.shown["metadata"], json!({ "asked": asked }));
        Some(lines_of(&answer))
    }

    fn get(&self, list: &List<'_>, more: &[(&str, String)]) -> Answer {
        let mut pairs = list.filters.clone();
        pairs.extend_from_slice(more);
        self.follow(list, &format!("{}?{}", list.path, query_of(&pairs)))
    }

    fn follow(&self, list: &List<'_>, target: &str) -> Answer {
        let headers: Vec<(&str, &str)> =
            list.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.world.send("GET", target, &headers, Vec::new())
    }

    /// Compares one of the two lists by time, read in the way `paging` says, with the rows that match its filters.
    fn check_by_offset(
        &self,
        list: &List<'_>,
        rows: Vec<(i64, &Value)>,
        paging: &Paging,
        streamed: Option<Vec<Value>>,
    ) {
        let now = self.now();
        let (from, to) = (paging.from.map(|when| when.at(now)), paging.to.map(|when| when.at(now)));
        let mut rows: Vec<(i64, i64, &Value)> = rows
            .into_iter()
            .filter(|(at, _)| from.is_none_or(|from| *at >= from) && to.is_none_or(|to| *at < to))
            .map(|(at, shown)| (at, shown["seq"].as_i64().expect("a seq"), shown))
            .collect();
        rows.sort_by_key(|(at, seq, _)| (*at, *seq));
        if paging.order != Some(false) {
            rows.reverse();
        }
        let rows: Vec<Value> = rows.into_iter().map(|(_, _, shown)| shown.clone()).collect();
        let total = rows.len();

        if let Some(streamed) = streamed {
            assert_eq!(streamed, rows);
            return;
        }
        let in_time = paging.in_time(now);
        let mut pairs = in_time.clone();
        pairs.extend(paging.limit.map(|limit| ("limit", limit.to_owned())));
        pairs.extend(paging.offset.map(|offset| ("offset", offset.to_owned())));
        let (size, start) = match (page_size(paging.limit), page_start(paging.offset)) {
            (Some(size), Some(start)) => (size, start),
            (size, _) => {
                let answer = self.get(list, &pairs).status(list.refusal);
                let parameter = if size.is_none() { "limit" } else { "offset" };
                assert!(answer.body_text().contains(parameter), "{answer:?} does not name {parameter}");
                return;
            }
        };
        let page = |start: i64| {
            let start = usize::try_from(start).unwrap_or(usize::MAX).min(total);
            &rows[start..total.min(start.saturating_add(size))]
        };
        let answer = self.get(list, &pairs).status(200);
        assert_eq!(answer.json(), (list.envelope)(page(start), total, size, start), "{pairs:?}");
        let has_more = start.saturating_add(size as i64) < total as i64;
        assert_eq!(next_link(&answer).is_some(), has_more, "a next page of {pairs:?}");
        match paging.mode {
            Mode::Walk => {
                let mut at = start;
                let mut next = next_link(&answer);
                while let Some(target) = next {
                    at += size as i64;
                    let answer = self.follow(list, &target).status(200);
                    // A cursor is no offset: the envelope says 0.
                    assert_eq!(answer.json(), (list.envelope)(page(at), total, size, 0), "{target}");
                    next = next_link(&answer);
                    assert_eq!(next.is_some(), at + (size as i64) < total as i64, "after {target}");
                }
            }
            Mode::Loop => {
                let mut all = Vec::new();
                loop {
                    let mut pairs = in_time.clone();
                    pairs.push(("limit", size.to_string()));
                    pairs.push(("offset", all.len().to_string()));
                    let body = self.get(list, &pairs).status(200).json();
                    let got = body[list.word].as_array().expect("rows").clone();
                    assert!(!got.is_empty() || all.len() as u64 >= body["total"].as_u64().expect("a total"));
                    all.extend(got);
                    if all.len() as u64 >= body["total"].as_u64().expect("a total") {
                        break;
                    }
                }
                assert_eq!(all, rows);
            }
            Mode::Page | Mode::Stream => {}
        }
    }

    fn read_entries(
        &mut self,
        home: usize,
        mailbox: usize,
        filter: &EntryFilter,
        cursor: Option<usize>,
        paging: &Paging,
    ) {
        let now = self.now();
        let message = filter.message.map(message_id);
        let mut filters = Vec::new();
        filters.extend(message.clone().map(|id| ("message_id", id)));
        filters.extend(filter.thread.map(|at| ("thread_id", THREADS[at].to_owned())));
        filters.extend(filter.outcome.map(|at| ("outcome", OUTCOMES[at].to_owned())));
        filters.extend(filter.sender.map(|at| ("sender_address", SENDERS[at].to_owned())));
        filters.extend(filter.recipient.map(|at| ("recipient_address", ADDRESSES[at].to_owned())));
        filters.extend(filter.reason.map(|at| ("reason", REASONS[at].to_owned())));
        let (from, to) = (paging.from.map(|when| when.at(now)), paging.to.map(|when| when.at(now)));
        let envelope = |_: &[Value], _: usize, _: usize, _: i64| Value::Null;
        let list = List {
            path: format!("/v1/mailboxes/{}/audit-logs", self.mailboxes[mailbox]),
            headers: vec![("authorization", self.key(home))],
            filters,
            word: "items",
            envelope: &envelope,
            refusal: 422,
        };
        if home != HOME[mailbox] {
            assert_eq!(self.get(&list, &[]).status(404).json(), json!({ "error": "Mailbox not found" }));
            return;
        }
        let same = |shown: &Value, member: &str, wanted: Option<&str>| {
            wanted.is_none_or(|wanted| shown[member].as_str() == Some(wanted))
        };
        let streamed = self.streamed(&list, paging, home, "messages.export");
        let mut rows: Vec<&Value> = self
            .entries
            .iter()
            .filter(|row| {
                row.mailbox == mailbox
                    && same(&row.shown, "message_id", message.as_deref().map(bare))
                    && same(&row.shown, "thread_id", filter.thread.map(|at| THREADS[at]))
                    && same(&row.shown, "outcome", filter.outcome.map(|at| OUTCOMES[at]))
                    && same(&row.shown, "reason", filter.reason.map(|at| REASONS[at]))
                    && filter.sender.is_none_or(|at| same_address(&row.shown["sender_address"], SENDERS[at]))
                    && filter
                        .recipient
                        .is_none_or(|at| same_address(&row.shown["recipient_address"], ADDRESSES[at]))
                    && from.is_none_or(|from| row.at >= from)
                    && to.is_none_or(|to| row.at < to)
            })
            .map(|row| &row.shown)
            .collect();
        let id = |row: &Value| row["id"].as_i64().expect("an id");
        rows.sort_by_key(|row| id(row));
        let is_newest_first = paging.order != Some(false);
        if is_newest_first {
            rows.reverse();
        }
        if let Some(streamed) = streamed {
            assert_eq!(streamed.iter().collect::<Vec<_>>(), rows);
            return;
        }
        let limit = paging.limit.map(|limit| ("limit", limit.to_owned()));
        let Some(size) = page_size(paging.limit) else {
            let answer = self.get(&list, limit.as_slice()).status(422);
            assert!(
                answer.json()["errors"][0].as_str().is_some_and(|text| text.contains("limit")),
                "{answer:?}"
            );
            return;
        };
        // The id of a row, whether it is on this list or not; or what was never an id.
        let cursor = cursor.map(|at| match at {
            0 => 0,
            1 => i64::MAX,
            2 => -1,
            at => self.entries.get(at).map_or(self.last_seq, |row| id(&row.shown)),
        });
        let mut cursor = cursor;
        loop {
            let rest: Vec<&Value> = rows
                .iter()
                .copied()
                .filter(|row| {
                    cursor.is_none_or(
                        |cursor| if is_newest_first { id(row) < cursor } else { id(row) > cursor },
                    )
                })
                .collect();
            let page = &rest[..rest.len().min(size)];
            let next = page.last().filter(|_| rest.len() > size).map(|row| id(row));
            let mut pairs = paging.in_time(now);
            pairs.extend(limit.clone());
            pairs.extend(cursor.map(|cursor| ("cursor", cursor.to_string())));
            let answer = self.get(&list, &pairs).status(200);
            assert_eq!(
                answer.json(),
                json!({ "items": page, "next_cursor": next }),
                "{:?} {pairs:?}",
                list.filters
            );
            if next.is_none() || paging.mode == Mode::Page {
                return;
            }
            cursor = next;
        }
    }

    fn read_entry(&self, mailbox: usize, message: usize) {
        let id = message_id(message);
        let escaped = percent_encoding::utf8_percent_encode(&id, percent_encoding::NON_ALPHANUMERIC);
        let path = format!("/api/v1/mailboxes/{}/audit-logs/{escaped}", self.mailboxes[mailbox]);
        let authorization = self.key(HOME[mailbox]);
        let answer = self.world.send("GET", &path, &[("authorization", &authorization)], Vec::new());
        match self.find_entry(mailbox, &id) {
            Some(at) => assert_eq!(answer.status(200).json(), self.entries[at].shown),
            None => drop(answer.status(404)),
        }
    }

    /// Everything there is, once more, and what the server finds when it counts for itself.
    fn finish(&mut self) {
        let all = |mode| Paging { from: None, to: None, order: None, limit: Some("200"), offset: None, mode };
        let any_activity = ActivityFilter { action: None, user: None, target_type: None, target: None };
        let any_entry = EntryFilter {
            message: None,
            thread: None,
            outcome: None,
            sender: None,
            recipient: None,
            reason: None,
        };
        for home in 0..2 {
            self.read_events(home, None, None, None, &all(Mode::Loop));
            self.read_activities(true, None, home, &any_activity, &all(Mode::Loop));
        }
        for (mailbox, home) in HOME.iter().enumerate() {
            self.read_entries(*home, mailbox, &any_entry, None, &all(Mode::Walk));
            for thread in 0..THREADS.len() {
                let of_thread = EntryFilter { thread: Some(thread), ..any_entry.clone() };
                self.read_entries(*home, mailbox, &of_thread, None, &all(Mode::Walk));
            }
        }
        let checked =
            self.world.server.operator(Method::Post, "/api/v1/admin/check", &Value::Null).good().json();
        assert_eq!(checked["ok"], true, "{checked}");
        crate::tree::prove(&self.world.server.db(), 17);
    }
}

/// Shows a fact in an entry, as the contract and the field's own words say: the latest reply with its bounce inside;
/// reports of tools put together, of tokens added up.
fn fact(kind: &str, data: &Value, recorded_at: i64) -> Value {
    json!({ "kind": kind, "data": data, "recorded_at": recorded_at, "recorded_by": "key test" })
}

fn fold(shown: &mut Value, kind: &str, data: &Value, recorded_at: i64) {
    shown["appended"].as_array_mut().expect("facts").push(fact(kind, data, recorded_at));
    match kind {
        "bounce" => {
            let mut reply = match shown["reply_sent"].take() {
                Value::Object(reply) => Value::Object(reply),
                Value::Null => json!({}),
                other => json!({ "reply": other }),
            };
            reply["bounce"] = data.clone();
            shown["reply_sent"] = reply;
        }
        "tools_used" => {
            let mut tools = shown[kind].as_array().cloned().unwrap_or_default();
            tools.extend(data.as_array().cloned().unwrap_or_default());
            shown[kind] = tools.into();
        }
        "tokens_consumed" => {
            let mut sum = shown[kind].as_object().cloned().unwrap_or_default();
            for (name, n) in data.as_object().expect("an object") {
                let before = sum.get(name).and_then(Value::as_i64).unwrap_or(0);
                sum.insert(name.clone(), (before + n.as_i64().expect("a number")).into());
            }
            shown[kind] = sum.into();
        }
        _ => shown[kind] = data.clone(),
    }
}

#[test]
fn the_read_apis_answer_as_the_model_does() {
    // The strategies are deep and nothing is optimized: more stack than a test has.
    let thread = std::thread::Builder::new().stack_size(256 << 20).spawn(run_cases).expect("a thread");
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn run_cases() {
    let cases = std::env::var("MAILTRAIL_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(200);
    let config = Config {
        cases,
        max_shrink_iters: 400,
        failure_persistence: None,
        source_file: Some(file!()),
        ..Config::default()
    };
    // One server for many cases; a new one now and then, since each case's check looks at all that is there.
    let world = RefCell::new((World::new(), 0));
    let mut runner = TestRunner::new(config);
    let result = runner.run(&steps(), |steps| {
        let mut world = world.borrow_mut();
        world.1 += 1;
        if world.1 % 50 == 0 {
            world.0 = World::new();
        }
        let mut case = Case::new(&world.0);
        for step in &steps {
            case.run(step);
        }
        case.finish();
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}
