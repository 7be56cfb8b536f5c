//! Erasure: what was recorded of a person goes, out of every log and every corner of the file, and what is left proves
//! that something went and nothing of what it was.

use mailtrail::http::Method;
use mailtrail::tlog::note::Verifier;
use mailtrail::tlog::proof::Proof;
use serde_json::{Value, json};

use crate::support::{OWNER, Server};

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
        let [sent, bounced] = ["sent", "bounced"].map(|kind| format!("{kind}-{}", address.replace('@', ".")));
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
            let request = request.header("idempotency-key", &format!("{n}-{address}"));
            request.json(&activity).send().status(201);
        }
    }

    fn erase(&self, address: &str) -> Value {
        let body = json!({ "address": address, "why": "on their wish, Art. 17 GDPR" });
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
