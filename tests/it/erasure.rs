//! Erasure: what was recorded of a person goes, out of every log and every corner of the file, and what is left proves
//! that something went and nothing of what it was.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mailtrail::activity::redact::Metadata;
use mailtrail::activity::{self, NewEntry, Place};
use mailtrail::enforcement::{self, Action, NewEvent};
use mailtrail::erasure::address::Address;
use mailtrail::erasure::{self, Erasure};
use mailtrail::error::Error;
use mailtrail::http::Method;
use mailtrail::ids::Uuid;
use mailtrail::messages::{self, Kind, Outcome};
use mailtrail::owners::{mailboxes, projects, tenants};
use mailtrail::tlog::note::Verifier;
use mailtrail::tlog::proof::Proof;
use serde_json::{Value, json};

use crate::support::process::{Serving, mailtrail, run_json};
use crate::support::{OWNER, Server, time};

const ANN: &str = "Ann@Example.net";
const USER: &str = "0190b3c8-5e4a-7cc1-8a1d-2f6f0c9b7e11";

/// Entries of Ann and of others, whose addresses are like hers, in all three logs.
struct Scene {
    server: Server,
    tenant: String,
    mailbox: i64,
    project: String,
}

impl Scene {
    fn new() -> Self {
        let server = Server::start();
        server.operator(Method::Post, "/api/v1/admin/licenses", &json!({ "holder": "Main" })).good();
        let tenant = server.add_tenant(&server.workspace, "Acme");
        let mailbox = server.add_mailbox(&server.workspace, "sales@example.org", Some(&tenant), None);
        let project = server.add_project(&server.workspace, "Newsletter");
        let scene = Self { server, tenant, mailbox, project };
        for address in ["ann@example.net", "joann@example.net", "ann@example.net.uk"] {
            scene.record(address);
        }
        scene
    }

    fn entries(&self) -> String {
        format!("/v1/mailboxes/{}/audit-logs", self.mailbox)
    }

    fn activities(&self) -> String {
        format!("/api/v1/projects/{}/audit-log", self.project)
    }

    /// An event, a sent message and one whose bounce names it, an activity of theirs and two about them.
    fn record(&self, address: &str) {
        let server = &self.server;
        let event = json!({
            "tenant_id": self.tenant, "mailbox_address": address, "action_taken": "blocked", "sent_count": 26,
            "limit_value": 25,
        });
        server.post("/v1/enforcement/events", &event).status(201);
        let [sent, bounced] = ["sent", "bounced"].map(|kind| {
            format!("{kind}-{}", address.replace('@', ".").replace(|c: char| !c.is_ascii(), "x"))
        });
        let message = json!({ "message_id": sent, "outcome": "delivered", "sender_address": address });
        server.post(&self.entries(), &message).status(201);
        let tokens = json!({ "tokens_consumed": { "input": 3, "output": 4 } });
        server
            .request(Method::Patch, &format!("{}/{sent}", self.entries()))
            .key(&server.key)
            .json(&tokens)
            .send();
        server.post(&self.entries(), &json!({ "message_id": bounced, "outcome": "delivered" })).status(201);
        let bounce = json!({ "bounce": { "text": format!("550 <{address}>: unknown") } });
        let path = format!("{}/{bounced}", self.entries());
        server.request(Method::Patch, &path).key(&server.key).json(&bounce).send().status(200);
        let activities = [
            json!({ "action": "campaign.send", "user_id": USER, "user_agent": format!("mailer of {address}") }),
            json!({ "action": "subscriber.add", "user_id": USER, "target_type": "subscriber", "target_id": address }),
            json!({ "action": "subscriber.add", "user_id": USER, "metadata": { "list": { "to": [address] } } }),
        ];
        for (n, activity) in activities.into_iter().enumerate() {
            let request = server.request(Method::Post, &self.activities()).key(&server.key);
            let request = request
                .header("idempotency-key", &format!("{n}-{}", address.replace(|c: char| !c.is_ascii(), "x")));
            request.json(&activity).send().status(201);
        }
    }

    fn erase(&self, address: &str) -> Value {
        let workspace = &self.server.workspace;
        let body =
            json!({ "workspace_id": workspace, "address": address, "why": "on their wish, Art. 17 GDPR" });
        self.server.operator(Method::Post, "/api/v1/admin/erasures", &body).good().json()
    }

    fn verified(&self) -> Value {
        self.server.operator(Method::Get, "/api/v1/admin/verify", &Value::Null).good().json()
    }

    /// Whether the text stands anywhere in the files of the data directory.
    fn is_on_disk(&self, text: &str) -> Vec<String> {
        let files = self.server.config().data.read_dir().expect("the data directory");
        files
            .map(|file| file.expect("a file").path())
            .filter(|path| path.is_file())
            .filter(|path| {
                let bytes = std::fs::read(path).expect("a file").to_ascii_lowercase();
                bytes.windows(text.len()).any(|window| window == text.as_bytes())
            })
            .map(|path| path.display().to_string())
            .collect()
    }
}

#[test]
fn a_person_goes_out_of_every_log_and_nobody_else_does() {
    let scene = Scene::new();
    let server = &scene.server;
    let before = scene.verified();
    let body = json!({ "address": ANN, "why": "on their wish", "dry_run": true });
    let dry = server.operator(Method::Post, "/api/v1/admin/erasures", &body).good().json();
    // The event; the message with its fact and the bounce; three activities.
    assert_eq!(dry["removed"], json!({ "enforcement": 1, "messages": 3, "activity": 3, "on_hold": 0 }));
    assert_eq!(dry["certificates"], json!([]));
    assert_eq!(scene.verified()["removed"], before["removed"], "a dry run removes nothing");

    let erased = scene.erase(ANN);
    assert_eq!(erased["removed"], json!({ "enforcement": 1, "messages": 3, "activity": 3, "on_hold": 0 }));
    let verified = scene.verified();
    assert_eq!((&verified["ok"], &verified["removed"]), (&json!(true), &json!(7)));
    let checked = server.operator(Method::Post, "/api/v1/admin/check", &Value::Null).json();
    assert_eq!(checked["ok"], true, "{checked}");

    let session = server.login(OWNER);
    let events = server.get("/v1/enforcement/events").status(200);
    let entries = server.get(&scene.entries()).status(200);
    let activity = server.request(Method::Get, &scene.activities()).cookie(&session).send().status(200);
    assert_eq!(events.json()["total"], 2);
    assert_eq!(entries.json()["items"].as_array().map(Vec::len), Some(5));
    for answer in [&events, &entries, &activity] {
        let text = answer.body_text();
        assert!(!text.contains("\"ann@example.net\"") && !text.contains("<ann@example.net>"), "{text}");
        assert!(text.contains("joann@example.net") || text.contains("joann.example.net"), "{text}");
    }
    // Once more finds nothing, and removes nothing.
    let again = scene.erase(ANN);
    assert_eq!(again["removed"], json!({ "enforcement": 0, "messages": 0, "activity": 0, "on_hold": 0 }));
    assert_eq!(again["certificates"], json!([]));
}

#[test]
fn the_certificates_prove_that_rows_went_and_do_not_say_whose() {
    let scene = Scene::new();
    let erased = scene.erase(ANN);
    let keys = scene.server.get("/tlog/keys").status(200).body_text();
    let keys: Vec<Verifier> = keys.lines().filter_map(Verifier::parse).collect();
    let certificates = erased["certificates"].as_array().expect("certificates");
    assert_eq!(certificates.len(), 3, "one a log");
    let mut n = 0;
    for text in certificates {
        let proof = Proof::parse(text.as_str().expect("a text")).expect("a proof");
        proof.verify(&keys).expect("a proof that holds");
        let row: Value = serde_json::from_slice(&proof.line).expect("a row");
        let body: Value = serde_json::from_str(row["body"].as_str().expect("a body")).expect("JSON");
        assert_eq!(
            (&row["log"], &row["kind"], &body["erasure"], &body["workspace"]),
            (
                &json!("control"),
                &json!("removal"),
                &json!("on their wish, Art. 17 GDPR"),
                &json!(scene.server.workspace)
            )
        );
        n += body["n"].as_i64().expect("a number");
        // Whoever has lost it gets it again.
        let path = format!("/api/v1/admin/controls/{}/proof", row["seq"]);
        let again = scene.server.operator(Method::Get, &path, &Value::Null).status(200).body_text();
        let again = Proof::parse(&again).expect("a proof");
        assert_eq!(again.line, proof.line);
        again.verify(&keys).expect("a proof that holds");
        assert!(!String::from_utf8_lossy(&proof.line).to_lowercase().contains("ann@"));
    }
    assert_eq!(n, scene.verified()["removed"]);
    // A row of a log, one that is not there, and no number at all.
    for number in ["1", "999999", "x"] {
        let path = format!("/api/v1/admin/controls/{number}/proof");
        scene.server.operator(Method::Get, &path, &Value::Null).status(404);
    }
    let noted: String = scene
        .server
        .db()
        .query_row(
            "SELECT metadata FROM activity JOIN texts ON texts.id = action WHERE text = 'person.erase'",
            [],
            |row| row.get(0),
        )
        .expect("the note");
    assert!(noted.contains("Art. 17 GDPR") && !noted.to_lowercase().contains("ann@"), "{noted}");
}

#[test]
fn nothing_of_the_person_is_left_in_the_files() {
    const GONE: &str = "zoe.unlike.any@example.net";
    let mut scene = Scene::new();
    scene.record(GONE);
    assert!(!scene.is_on_disk(GONE).is_empty());
    scene.erase(GONE);
    assert_eq!(scene.is_on_disk(GONE), Vec::<String>::new(), "while it is served");
    scene.server.restart();
    assert_eq!(scene.is_on_disk(GONE), Vec::<String>::new());
    // A text that was removed gives its number to another, and rows are still what they say.
    scene.record("later@example.net");
    scene.erase("later@example.net");
    scene.record("last@example.net");
    assert_eq!(scene.verified()["ok"], true);
}

#[test]
fn a_legal_hold_goes_first_and_whoever_is_still_there_cannot_be_erased() {
    let scene = Scene::new();
    let server = &scene.server;
    let hold = |what: &str, id: &str, hold: bool| {
        let path = format!("/api/v1/admin/{what}/{id}");
        server.operator(Method::Patch, &path, &json!({ "legal_hold": hold })).good();
    };
    hold("mailboxes", &scene.mailbox.to_string(), true);
    hold("projects", &scene.project, true);
    let kept = scene.erase(ANN)["removed"].clone();
    assert_eq!((&kept["messages"], &kept["activity"]), (&json!(0), &json!(0)));
    assert!(kept["on_hold"].as_i64() >= Some(4), "{kept}");
    assert_eq!(kept["enforcement"], 1);
    hold("mailboxes", &scene.mailbox.to_string(), false);
    hold("projects", &scene.project, false);
    let rest = scene.erase(ANN)["removed"].clone();
    assert_eq!((&rest["messages"], &rest["on_hold"]), (&json!(3), &json!(0)));

    let body = json!({ "address": OWNER, "why": "on their wish" });
    let refused = server.operator(Method::Post, "/api/v1/admin/erasures", &body).status(409);
    assert!(refused.body_text().contains("has this address: delete it first"), "{}", refused.body_text());
    let body = json!({ "address": "sales@example.org", "why": "on their wish" });
    server.operator(Method::Post, "/api/v1/admin/erasures", &body).status(409);
    let path = format!("/api/v1/admin/mailboxes/{}", scene.mailbox);
    server.operator(Method::Delete, &path, &Value::Null).good();
    scene.erase("sales@example.org");
    let address: String = server
        .db()
        .query_row("SELECT address FROM mailboxes WHERE id = ?1", [scene.mailbox], |row| row.get(0))
        .expect("the mailbox");
    assert_eq!(address, format!("erased-{}@mailbox.invalid", scene.mailbox));
    for (body, parameter) in [
        (json!({ "why": "x" }), "address"),
        (json!({ "address": "ann", "why": "x" }), "address"),
        (json!({ "address": "ann@example.net" }), "why"),
        (json!({ "address": "ann@example.net", "why": "Ann@example.net asked" }), "why"),
    ] {
        let refused = server.operator(Method::Post, "/api/v1/admin/erasures", &body).status(422).json();
        assert_eq!(refused["errors"][0]["parameter"], parameter, "{refused}");
    }
}

#[test]
fn another_workspaces_rows_are_not_erased() {
    let scene = Scene::new();
    let server = &scene.server;
    let (other, _) = server.add_workspace("Other", "eve@example.net");
    let body = json!({ "workspace_id": other, "address": ANN, "why": "on their wish" });
    let erased = server.operator(Method::Post, "/api/v1/admin/erasures", &body).good().json();
    assert_eq!(erased["removed"], json!({ "enforcement": 0, "messages": 0, "activity": 0, "on_hold": 0 }));
    assert_eq!(server.get("/v1/enforcement/events").status(200).json()["total"], 3);
}

// ---------------------------------------------------------------------------------------------- wherever it stands

const BOB: &str = "bob.unlike.any@example.net";

/// How people and programs write an address: each is found.
fn spellings() -> Vec<String> {
    let percent = |text: &str| text.replace('@', "%40").replace('.', "%2E");
    let quoted_printable = |text: &str| text.replace('@', "=40").replace('u', "=75");
    let words = |text: &str| format!("=?utf-8?B?{}?=", STANDARD.encode(text));
    let json = |text: &str| json!({ "m": format!("x\n{text}") }).to_string();
    let (local, domain) = BOB.split_once('@').expect("an address");
    let mut spellings: Vec<String> = [
        "@",
        "<@>",
        "(@)",
        "[@]",
        "{@}",
        "`@`",
        "'@'",
        "\"@\"",
        "|@|",
        "*@*",
        "_@_",
        "~@~",
        "«@»",
        "=@",
        "?email=@&x=1",
        "&to=@",
        "mailto:@?subject=x",
        "/home/@/Maildir",
        "https://example.net/u/@/edit",
        "user:@",
        "sasl_username=@",
        "from=<@>,",
        "#@",
        "$@",
        "!@!",
        "^@^",
        "-@",
        "b'@'",
        "x\\\\@",
        "to @.",
        "@;",
        "联系@吧",
        "@:25",
        "@\u{2026}",
        "\u{1f4e7}@",
        "prvs=1234567890=@",
    ]
    .map(|frame| frame.replacen('@', BOB, 1))
    .into();
    spellings.extend([
        BOB.to_uppercase(),
        percent(BOB),
        percent(&percent(BOB)),
        format!("?to=x+{}+y", percent(BOB)),
        quoted_printable(BOB),
        format!("=?utf-8?q?{}?=", quoted_printable(BOB)),
        words(BOB),
        BOB.replace('@', "&#64;"),
        BOB.replace('@', "&#x40;"),
        BOB.replace('@', "&commat;").replace('.', "&period;"),
        BOB.replace('@', "\\u0040"),
        BOB.replace('@', "\\x40"),
        BOB.replace('.', "\\."),
        format!("x\\n{BOB}"),
        json(BOB),
        json(&json(BOB)),
        json(&percent(BOB)),
        words(&percent(BOB)),
        format!("AUTH PLAIN {}", STANDARD.encode(format!("\0{BOB}\0password"))),
        BOB.replace('@', "\u{ff20}"),
        BOB.replace('b', "b\u{200b}"),
        BOB.replace('@', " @ "),
        format!("\"{local}\"@{domain}"),
        format!("bounces-{local}={domain}@lists.example"),
        format!("SRS0=HHH=TT={domain}={local}@relay.example"),
        format!("{local}%{domain}@relay.example"),
    ]);
    spellings
}

/// What is like the address and is another's: none is found.
fn others() -> Vec<String> {
    ["jo@", "jo.@", "jo-@", "jo+@", "é@", "@.uk", "@x", "@-x"]
        .map(|frame| frame.replacen('@', BOB, 1))
        .into_iter()
        .chain([BOB.replace('@', "+tag@"), BOB.replace(".net", ".com"), BOB.replace('@', " at ")])
        .collect()
}

/// Records `text` in every column of every log that can hold one, and in every place of their JSON, a row for each; says
/// how many rows that were.
fn plant(scene: &Scene, text: &str, n: usize) -> usize {
    let (text, mailbox) = (text.to_owned(), scene.mailbox);
    let (tenant, project) = [&scene.tenant, &scene.project].map(|id| Uuid::parse(id).expect("a UUID")).into();
    scene
        .server
        .running()
        .app
        .store
        .write(move |tx| {
            let mailbox = mailboxes::find_anywhere(tx, mailbox)?.expect("the mailbox");
            let tenant = tenants::find(tx, mailbox.workspace, tenant)?.expect("the tenant");
            let project = projects::find(tx, project)?.expect("the project");
            let mut n_rows = 0;
            let event = |mailbox_address: &str, message: &str| NewEvent {
                tenant_id: tenant.id,
                mailbox_address: mailbox_address.to_owned(),
                action: Action::Blocked,
                sent_count: 26,
                limit_value: 25,
                message: Some(message.to_owned()),
                created_at: None,
            };
            for new in [event(&text, "x"), event("x@example.org", &text)] {
                enforcement::sql::record(tx, mailbox.workspace, tenant.key, &new, "key test")?;
                n_rows += 1;
            }
            let entry = |place: usize| messages::NewEntry {
                message_id: format!("{n}-{place}"),
                outcome: Some(Outcome::Delivered),
                fingerprint: mailtrail::ids::sha256(format!("{n}-{place}").as_bytes()),
                ..messages::NewEntry::default()
            };
            let some = Some(text.clone());
            let places = [
                messages::NewEntry { sender_address: some.clone(), ..entry(0) },
                messages::NewEntry { recipient_address: some.clone(), ..entry(1) },
                messages::NewEntry { reason: some.clone(), ..entry(2) },
                messages::NewEntry {
                    capabilities: Some(json!({ "capabilities": [text], "rule_index": 0 }).to_string()),
                    ..entry(3)
                },
            ];
            for new in places {
                messages::sql::record(tx, &mailbox, new, "key test")?;
                n_rows += 1;
            }
            let kinds = [Kind::Reply, Kind::Bounce, Kind::Tools, Kind::Tokens];
            let facts = [json!(text), json!([text]), json!({ "a": { "b": [1, text] } }), json!({ &text: 1 })];
            messages::sql::record(tx, &mailbox, entry(4), "key test")?;
            let id = entry(4).message_id;
            for (kind, data) in kinds.into_iter().zip(facts) {
                messages::sql::append(tx, mailbox.id, &id, &[(kind, data.to_string())], "key test")?;
                n_rows += 1;
            }
            let activity = |action: &str| NewEntry { action: action.to_owned(), ..NewEntry::default() };
            let metadata = |value: Value| Metadata::redacted(value.as_object().expect("an object").clone());
            let places = [
                NewEntry { user_id: some.clone(), ..activity("a.user") },
                NewEntry { actor: some.clone(), ..activity("a.actor") },
                activity(&text),
                NewEntry { target_type: some.clone(), ..activity("a.type") },
                NewEntry { target_id: some.clone(), ..activity("a.target") },
                NewEntry { user_agent: some.clone(), ..activity("a.agent") },
                NewEntry { metadata: metadata(json!({ "to": text })), ..activity("a.member") },
                NewEntry { metadata: metadata(json!({ &text: true })), ..activity("a.name") },
                NewEntry { metadata: metadata(json!({ "a": [{ "b": [text] }] })), ..activity("a.deep") },
            ];
            let place = Place { workspace: mailbox.workspace, project: Some((project.key, project.id)) };
            for new in places {
                activity::sql::record(tx, place, new, "key test")?;
                n_rows += 1;
            }
            Ok(n_rows)
        })
        .expect("rows")
}

#[test]
fn an_address_goes_wherever_it_stands_and_however_it_is_written() {
    // In small letters it is looked for in every file afterwards, whatever became of the address itself.
    const MARK: &str = "mark-of-bob";
    let mut scene = Scene::new();
    let (mut n_rows, mut n) = (0, 0);
    for spelling in spellings() {
        for position in [
            format!("{spelling} {MARK}"),
            format!("{MARK} {spelling}"),
            format!("{MARK}\n{spelling}\n{MARK}"),
        ] {
            n += 1;
            n_rows += plant(&scene, &position, n);
        }
    }
    assert!(n >= 3 * 40 && n_rows >= 19 * n, "{n} texts in {n_rows} rows");
    let mut n_others = 0;
    for other in others() {
        n += 1;
        n_others += plant(&scene, &other, n);
    }
    let key = format!("retry of {BOB} {MARK}");
    let event = json!({ "tenant_id": scene.tenant, "mailbox_address": "x@example.org", "action_taken": "blocked", "sent_count": 1, "limit_value": 1 });
    let request = scene.server.request(Method::Post, "/v1/enforcement/events").key(&scene.server.key);
    request.header("idempotency-key", &key).json(&event).send().status(201);
    let total = |scene: &Scene| {
        ["enforcement_events", "messages", "message_facts", "activity"]
            .map(|table| scene.server.db_number(&format!("SELECT count(*) FROM {table}")))
            .into_iter()
            .sum::<i64>()
    };
    let before = total(&scene);
    let body = json!({ "address": BOB, "why": "on their wish", "dry_run": true });
    let dry = scene.server.operator(Method::Post, "/api/v1/admin/erasures", &body).good().json();
    let erased = scene.erase(BOB);
    let sum = |told: &Value| {
        ["enforcement", "messages", "activity"]
            .iter()
            .filter_map(|log| told["removed"][log].as_i64())
            .sum::<i64>()
    };
    assert_eq!((sum(&dry), sum(&erased)), (n_rows as i64, n_rows as i64), "{dry}");
    // Two activities say that it was done.
    assert_eq!(total(&scene), before - n_rows as i64 + 2);
    let of_kinds: i64 = erased["removed_of"]
        .as_object()
        .expect("by log")
        .values()
        .flat_map(|kinds| kinds.as_object().expect("by kind").values())
        .filter_map(Value::as_i64)
        .sum();
    assert_eq!(of_kinds, n_rows as i64);
    assert_eq!(scene.is_on_disk(MARK), Vec::<String>::new(), "while it is served");
    scene.server.restart();
    assert_eq!(scene.is_on_disk(MARK), Vec::<String>::new());
    assert_eq!(scene.verified()["ok"], true);
    // What is another's is there, and told.
    assert!(n_others > 0);
    let words: Vec<&str> = erased["longer_words"]
        .as_array()
        .expect("words")
        .iter()
        .map(|longer| longer["word"].as_str().expect("a word"))
        .collect();
    for word in ["jo+", "jo-", "jo.", "jo", "é"].map(|before| format!("{before}{BOB}")) {
        assert!(words.contains(&word.as_str()), "{word} is not in {words:?}");
    }
    for word in [format!("{BOB}.uk"), format!("{BOB}x"), format!("{BOB}-x"), BOB.replace('@', "+tag@")] {
        assert!(words.contains(&word.as_str()), "{word} is not in {words:?}");
    }
    assert_eq!(words.len(), 9, "{words:?}");
}

#[test]
fn ids_of_messages_and_threads_look_like_addresses_and_are_none() {
    let scene = Scene::new();
    let server = &scene.server;
    let entry = json!({ "message_id": BOB, "thread_id": BOB, "outcome": "delivered" });
    server.post(&scene.entries(), &entry).status(201);
    server.post(&scene.entries(), &json!({ "message_id": "later", "outcome": "delivered" })).status(201);
    server.patch(&format!("{}/later", scene.entries()), &json!({ "thread_id": BOB })).status(200);
    let erased = scene.erase(BOB);
    assert_eq!(erased["removed"], json!({ "enforcement": 0, "messages": 0, "activity": 0, "on_hold": 0 }));
    assert_eq!(server.get(&scene.entries()).status(200).json()["items"].as_array().map(Vec::len), Some(8));
}

// ---------------------------------------------------------------------------------------------- what stays

#[test]
fn what_callers_did_stays_and_is_told() {
    let scene = Scene::new();
    let server = &scene.server;
    let admin = "mallory@example.net";
    server.add_user(&server.workspace, admin, "admin");
    let cookie = server.login(admin);
    let by_admin = |method, path: &str, body: &Value| {
        server.request(method, path).cookie(&cookie).json(body).send().good();
    };
    by_admin(
        Method::Patch,
        &format!("/api/v1/admin/projects/{}", scene.project),
        &json!({ "legal_hold": true }),
    );
    by_admin(
        Method::Patch,
        &format!("/api/v1/admin/projects/{}", scene.project),
        &json!({ "legal_hold": false }),
    );
    by_admin(Method::Post, "/api/v1/admin/keys", &json!({ "name": "spare", "scopes": ["admin"] }));
    // A stranger guesses, once an account that is none and once this one.
    for (email, password) in [("eve@example.net", "wrong password"), (admin, "wrong password")] {
        let body = json!({ "email": email, "password": password });
        server.request(Method::Post, "/api/v1/auth/login").json(&body).send().status(401);
    }
    let user = server.request(Method::Get, "/api/v1/me").cookie(&cookie).send().text("user_id");
    server.operator(Method::Delete, &format!("/api/v1/admin/users/{user}"), &Value::Null).good();

    let acts = |address: &str| {
        server.db_number(&format!(
            "SELECT count(*) FROM activity LEFT JOIN texts ON texts.id = actor WHERE text = '{address}' OR metadata LIKE '%{address}%'"
        ))
    };
    let before = acts(admin);
    assert!(before >= 8, "{before}");
    let erased = scene.erase(admin);
    assert_eq!(
        erased["removed"],
        json!({ "enforcement": 0, "messages": 0, "activity": 0, "on_hold": 0 }),
        "{erased}"
    );
    assert_eq!((acts(admin), &erased["not_reached"]["own_acts"]), (before, &json!(before)));
    // Failed logins of nobody's account are nobody's acts.
    let erased = scene.erase("eve@example.net");
    assert_eq!(erased["removed_of"], json!({ "activity": { "auth.login_failed": 1 } }));
    assert_eq!(acts("eve@example.net"), 0);
}

#[test]
fn retention_applies_to_what_callers_did() {
    let mut scene = Scene::new();
    scene.server.set("activity_retention_days", "30");
    scene.server.restart();
    scene.server.clock.set(time("2026-05-05T00:00:00Z"));
    scene.server.run_jobs();
    scene.server.clock.set(time("2026-05-11T00:00:00Z"));
    scene.server.run_jobs();
    scene.server.clock.set(time("2026-06-11T00:00:00Z"));
    scene.server.operator(Method::Post, "/api/v1/admin/retention/run", &Value::Null).good();
    let old = "SELECT count(*) FROM activity JOIN texts ON texts.id = action WHERE text = 'workspace.create'";
    assert_eq!(scene.server.db_number(old), 0);
}

#[test]
fn what_is_not_reached_is_named() {
    let scene = Scene::new();
    let server = &scene.server;
    let policy = json!({
        "defaultAction": "bounce", "contentGuards": [], "auditLog": { "retentionDays": 90, "includeBodyHash": false },
        "senders": [{ "match": { "address": BOB, "requireDkim": false, "requireSpf": false }, "capabilities": [] }],
    });
    server.put_policy(scene.mailbox, &policy).good();
    let mut without = policy.clone();
    without["senders"] = json!([]);
    server.put_policy(scene.mailbox, &without).good();
    server.add_tenant(&server.workspace, &format!("Customers of {BOB}"));
    server.add_project(&server.workspace, &format!("({BOB})"));
    server.operator(Method::Post, "/api/v1/admin/licenses", &json!({ "holder": BOB })).good();
    server.operator(Method::Post, "/api/v1/admin/backups", &json!({ "file": "before.db" })).good();
    std::fs::write(server.database().with_extension("db.v5"), "an old one").expect("a file");
    // What was once a reason.
    scene.record("cyd@example.net");
    let body = json!({ "address": "cyd@example.net", "why": format!("{BOB} asked for it") });
    server.operator(Method::Post, "/api/v1/admin/erasures", &body).good();

    let erased = scene.erase(BOB);
    let left = &erased["not_reached"];
    let names: Vec<&str> =
        left["names"].as_array().expect("names").iter().filter_map(|n| n["what"].as_str()).collect();
    assert_eq!(names, ["tenant", "project", "license"], "{left}");
    for (what, n) in [("policies", 1), ("control", 3), ("backups", 1), ("upgrade_copies", 1)] {
        assert_eq!(left[what], n, "{what}: {left}");
    }
    // The notes of the policy, of both owners, of the license, of the erasure's begin and end.
    assert_eq!(left["own_acts"], 7, "{left}");
    for (path, body) in [
        ("/api/v1/admin/keys", json!({ "name": BOB, "scopes": ["admin"] })),
        ("/api/v1/admin/keys", json!({ "name": "a@b", "scopes": ["admin"] })),
    ] {
        let refused = server.operator(Method::Post, path, &body).status(422).json();
        assert_eq!(refused["errors"][0]["parameter"], "name", "{refused}");
    }
}

#[test]
fn case_is_compared_in_one_way() {
    let scene = Scene::new();
    let server = &scene.server;
    let mailbox = server.add_mailbox(&server.workspace, "JÖRG@MÜLLER.example", None, None);
    let body = json!({ "address": "jörg@xn--mller-kva.example", "why": "on their wish" });
    server.operator(Method::Post, "/api/v1/admin/erasures", &body).status(409);
    scene.record("Jörg@müller.example");
    server.operator(Method::Delete, &format!("/api/v1/admin/mailboxes/{mailbox}"), &Value::Null).good();
    let erased = server.operator(Method::Post, "/api/v1/admin/erasures", &body).good().json();
    assert_eq!(erased["removed"], json!({ "enforcement": 1, "messages": 3, "activity": 3, "on_hold": 0 }));
    let address: String = server
        .db()
        .query_row("SELECT address FROM mailboxes WHERE id = ?1", [mailbox], |row| row.get(0))
        .expect("the mailbox");
    assert_eq!(address, format!("erased-{mailbox}@mailbox.invalid"));
}

// ---------------------------------------------------------------------------------------------- broken off

impl Scene {
    /// What the trail says of erasures, oldest first: state, who, how many rows.
    fn told(&self) -> Vec<Value> {
        let path =
            format!("/api/v1/workspaces/{}/audit-log?action=person.erase&order=asc", self.server.workspace);
        let entries = self.server.operator(Method::Get, &path, &Value::Null).good().json()["entries"].clone();
        let shown = |entry: &Value| {
            let about = &entry["metadata"];
            json!([about["state"], entry["recorded_by"], about["why"], about["removed"]["activity"]])
        };
        entries.as_array().expect("entries").iter().map(shown).collect()
    }

    /// So many activities about the address, in few writes.
    fn record_many(&self, address: &str, n: usize) {
        let one = json!({ "user_id": USER, "action": "campaign.send", "target_id": address });
        let lines = format!("{one}\n").repeat(1000);
        for _ in 0..n / 1000 {
            let request = self.server.request(Method::Post, &self.activities()).key(&self.server.key);
            request.body("application/x-ndjson", lines.clone()).send().status(201);
        }
    }

    fn n_removed(&self) -> i64 {
        let holes = mailtrail::tlog::holes::all(&self.server.db()).expect("holes");
        holes.iter().map(|hole| hole.last - hole.first + 1).sum()
    }
}

#[test]
fn who_and_why_stand_there_before_the_first_row_goes_and_how_many_after_the_last() {
    let scene = Scene::new();
    let user = scene.server.login(OWNER);
    let body = json!({ "address": ANN, "why": "Art. 17" });
    scene.server.request(Method::Post, "/api/v1/admin/erasures").cookie(&user).json(&body).send().good();
    assert_eq!(
        scene.told(),
        [json!(["begun", OWNER, "Art. 17", null]), json!(["done", OWNER, "Art. 17", 3])]
    );
    let [begun, first] = [
        "SELECT min(seq) FROM activity JOIN texts ON texts.id = action WHERE text = 'person.erase'",
        "SELECT min(seq) FROM controls WHERE body LIKE '%erasure%'",
    ]
    .map(|sql| scene.server.db_number(sql));
    assert!(begun < first, "{begun} {first}");
}

#[test]
fn a_process_that_is_told_to_end_stops_between_two_pieces_and_says_how_far_it_came() {
    let mut scene = Scene::new();
    scene.record_many(BOB, 20_000);
    let app = std::sync::Arc::clone(&scene.server.running().app);
    std::thread::scope(|scope| {
        let erasing = scope.spawn(|| {
            let body = json!({ "address": BOB, "why": "Art. 17" });
            scene.server.operator(Method::Post, "/api/v1/admin/erasures", &body)
        });
        while scene.n_removed() == 0 {
            std::thread::yield_now();
        }
        app.stopping.store(true, std::sync::atomic::Ordering::Relaxed);
        erasing.join().expect("an answer").status(503);
    });
    drop(app);
    let n_removed = scene.n_removed();
    assert!((1..20_000).contains(&n_removed), "{n_removed}");
    scene.server.restart();
    let by = Server::operator_name();
    let far = [
        json!(["begun", by, "Art. 17", null]),
        json!(["broken off", "mailtrail: erasure", "Art. 17", n_removed]),
    ];
    assert_eq!(scene.told(), far);
    // Asked for again it goes on, and the next start has nothing to tell.
    let body = json!({ "address": BOB, "why": "Art. 17" });
    scene.server.operator(Method::Post, "/api/v1/admin/erasures", &body).good();
    scene.server.restart();
    assert_eq!(
        scene.told()[2..],
        [json!(["begun", by, "Art. 17", null]), json!(["done", by, "Art. 17", 20_000 - n_removed])]
    );
    assert_eq!(scene.is_on_disk(BOB), Vec::<String>::new());
}

#[test]
fn an_erasure_that_was_killed_is_told_by_the_next_start() {
    let mut scene = Scene::new();
    scene.record_many(BOB, 20_000);
    scene.server.stop();
    let data = scene.server.config().data;
    let serving = Serving::start(&data);
    let mut erasing =
        mailtrail(&data, &["erase", "--address", BOB, "--why", "Art. 17"]).spawn().expect("a command");
    while scene.n_removed() == 0 {
        std::thread::yield_now();
    }
    serving.kill();
    erasing.wait().expect("an end");
    let n_removed = scene.n_removed();
    assert!((1..20_000).contains(&n_removed), "{n_removed}");
    scene.server.restart();
    let told = scene.told();
    assert_eq!(
        (&told[0][0], &told[1]),
        (&json!("begun"), &json!(["broken off", "mailtrail: erasure", "Art. 17", n_removed]))
    );
    scene.server.restart();
    assert_eq!(scene.told().len(), 2, "it is told once");
    assert_eq!(scene.verified()["ok"], true);
}

#[test]
fn it_goes_on_when_the_caller_goes_away() {
    let scene = Scene::new();
    scene.record_many(BOB, 5_000);
    let body = json!({ "address": BOB, "why": "Art. 17" }).to_string();
    let request = format!(
        "POST /api/v1/admin/erasures HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        scene.server.key,
        body.len()
    );
    let address = scene.server.url().trim_start_matches("http://").to_owned();
    let mut stream = std::net::TcpStream::connect(address).expect("a connection");
    std::io::Write::write_all(&mut stream, request.as_bytes()).expect("a request");
    while scene.told().is_empty() {
        std::thread::yield_now();
    }
    drop(stream);
    while scene.told().len() < 2 {
        std::thread::yield_now();
    }
    assert_eq!(scene.told()[1], json!(["done", "key test", "Art. 17", 5000]));
}

// ---------------------------------------------------------------------------------------------- what somebody planted

impl Scene {
    /// An activity for each of these, with this user agent and this target.
    fn plant(&self, project: &str, activities: impl IntoIterator<Item = (String, String)>) {
        let project = Uuid::parse(project).expect("a UUID");
        let activities: Vec<_> = activities.into_iter().collect();
        let app = &self.server.running().app;
        let planted = app.store.write(move |tx| {
            let project = projects::find(tx, project)?.expect("the project");
            let place = Place { workspace: project.workspace, project: Some((project.key, project.id)) };
            for (agent, target) in activities {
                let new = NewEntry {
                    action: "a.b".into(),
                    user_agent: Some(agent),
                    target_id: Some(target),
                    ..NewEntry::default()
                };
                activity::sql::record(tx, place, new, "key test")?;
            }
            Ok(())
        });
        planted.expect("rows");
    }

    fn dry_run(&self, address: &str) -> Value {
        let workspace = &self.server.workspace;
        let body = json!({ "workspace_id": workspace, "address": address, "why": "x", "dry_run": true });
        self.server.operator(Method::Post, "/api/v1/admin/erasures", &body).good().json()
    }
}

/// Wrapped in many ways, and in nothing else.
const WRAPPED: &str = r"%41=41&#65;\x41+41 ";

#[cfg(target_os = "linux")]
#[test]
fn a_log_that_somebody_planted_costs_neither_memory_nor_minutes() {
    const MOST_MEMORY: u64 = 128 << 10;
    let mut scene = Scene::new();
    let agents = |at: usize| {
        (0..500).map(move |n| {
            let words: String = (0..55).map(|word| format!("{word}x{at}a@b.cd ")).collect();
            (format!("{n}.{at} {WRAPPED}{words}"), format!("{n}"))
        })
    };
    (0..3).for_each(|at| scene.plant(&scene.project, agents(at)));
    let no_text = (0..40).map(|n| (String::new(), format!("{n}{}", "%FF".repeat(20_000))));
    scene.plant(&scene.project, no_text);
    scene.server.stop();
    let data = scene.server.config().data;
    let serving = Serving::start(&data);
    for more in [&["--dry-run"][..], &[]] {
        let arguments = [&["erase", "--address", "a@b.cd", "--why", "on their wish"], more].concat();
        let told = run_json(&data, &arguments);
        assert_eq!(told["removed"]["activity"], 0, "{more:?}");
        assert_eq!(told["longer_words"].as_array().map(Vec::len), Some(100), "{more:?}");
        // The first of three has 55 words, of the second 45 are told.
        assert_eq!(told["longer_words_left_out"], 1000, "{more:?}");
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", serving.process.id())).expect("a process");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak");
        let peak: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number");
        assert!(peak < MOST_MEMORY, "{peak} KiB {more:?}");
    }
}

#[test]
fn words_of_another_workspace_leave_their_room_to_those_of_this_one() {
    let scene = Scene::new();
    let server = &scene.server;
    let (other, _) = server.add_workspace("Other", "eve@example.net");
    let theirs = server.add_project(&other, "Theirs");
    scene.plant(&theirs, (0..300).map(|n| (format!("x{n}{BOB}"), format!("y{n}{BOB}"))));
    scene.plant(&theirs, [(WRAPPED.repeat(3000), WRAPPED.repeat(3000))]);
    scene.plant(&scene.project, [(format!("jo{BOB}"), "x".into()), (format!("jo{BOB}"), BOB.into())]);
    for told in [scene.dry_run(BOB), scene.erase(BOB)] {
        let words = json!([{ "word": format!("jo{BOB}"), "rows": 1 }]);
        assert_eq!((&told["longer_words"], &told["longer_words_left_out"]), (&words, &json!(0)), "{told}");
        assert_eq!(
            (&told["removed"]["activity"], &told["not_reached"]["unread"]),
            (&json!(1), &json!(0)),
            "{told}"
        );
    }
}

#[test]
fn what_was_not_read_in_every_way_is_told() {
    let scene = Scene::new();
    let wrapped = WRAPPED.repeat(3000);
    scene.plant(
        &scene.project,
        [
            (String::new(), wrapped.clone()),
            (wrapped.clone(), wrapped.clone()),
            (wrapped.clone(), BOB.into()),
            (BOB.into(), wrapped.clone()),
            (WRAPPED.into(), WRAPPED.into()),
        ],
    );
    for told in [scene.dry_run(BOB), scene.erase(BOB)] {
        assert_eq!(
            (&told["removed"]["activity"], &told["not_reached"]["unread"]),
            (&json!(2), &json!(2)),
            "{told}"
        );
    }
}

/// Each action of its own is told, up to a thousand of them.
#[test]
fn kinds_without_end_are_counted_together() {
    let scene = Scene::new();
    let project = Uuid::parse(&scene.project).expect("a UUID");
    let app = &scene.server.running().app;
    let planted = app.store.write(move |tx| {
        let project = projects::find(tx, project)?.expect("the project");
        let place = Place { workspace: project.workspace, project: Some((project.key, project.id)) };
        for n in 0..1500 {
            let new =
                NewEntry { action: format!("a.x{n}"), target_id: Some(BOB.into()), ..NewEntry::default() };
            activity::sql::record(tx, place, new, "key test")?;
        }
        Ok(())
    });
    planted.expect("rows");
    for told in [scene.dry_run(BOB), scene.erase(BOB)] {
        assert_eq!(told["removed"]["activity"], 1500);
        let kinds = told["removed_of"]["activity"].as_object().expect("kinds");
        assert_eq!((kinds.len(), &kinds["…"]), (1001, &json!(500)));
    }
}

#[test]
fn a_dry_run_ends_when_nobody_waits_for_it() {
    let scene = Scene::new();
    let app = &scene.server.running().app;
    let erasure = Erasure {
        workspace: 1,
        address: Address::parse(BOB).expect("an address"),
        why: "on their wish".into(),
    };
    // Large enough for several pieces: it ends between two.
    scene.plant(&scene.project, (0..200).map(|n| (n.to_string(), "x ".repeat(60_000))));
    let n_asked = std::sync::atomic::AtomicUsize::new(0);
    let ended = erasure::dry_run(app, &erasure, move || {
        n_asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) > 2
    });
    assert!(matches!(ended, Err(Error::Unavailable { .. })), "{ended:?}");
    erasure::dry_run(app, &erasure, || false).expect("the next one");
}
