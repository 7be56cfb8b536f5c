//! What `verify --pin` says of rows that were removed since the pin: what retention took by the days on record then goes
//! without a word more; whatever else is for a person to look at, once.

use std::path::PathBuf;

use mailtrail::enforcement;
use mailtrail::http::Method;
use mailtrail::store::Sharing;
use mailtrail::time::Timestamp;
use serde_json::{Value, json};

use crate::support::{START, Server, process, time};

struct Pinned {
    server: Server,
    tenant: String,
    /// Kept for ninety days.
    mailbox: i64,
    pins: PathBuf,
}

impl Pinned {
    fn new() -> Self {
        let server = Server::start_with(&[("enforcement_retention_days", "30")]);
        let tenant = server.add_tenant(&server.workspace, "Acme");
        let mailbox = server.add_mailbox(&server.workspace, "sales@example.org", None, None);
        let pins = server.directory().join("pins");
        let pinned = Self { server, tenant, mailbox, pins };
        pinned.put_policy(pinned.mailbox, 90);
        for days in [40, 20, 10] {
            pinned.event(days);
        }
        for days in [100, 60, 20] {
            pinned.message(pinned.mailbox, days);
        }
        pinned.pin();
        pinned
    }

    fn event(&self, days: i64) {
        let event = json!({
            "tenant_id": self.tenant, "mailbox_address": format!("d{days}@example.org"), "action_taken": "blocked",
            "sent_count": 26, "limit_value": 25, "created_at": time(START).plus_days(-days),
        });
        self.server.post("/v1/enforcement/events", &event).status(201);
    }

    fn message(&self, mailbox: i64, days: i64) {
        let entry = json!({
            "message_id": format!("d{days}"), "outcome": "delivered", "sender_address": format!("d{days}@example.net"),
            "received_at": time(START).plus_days(-days).seconds(),
        });
        self.server.post(&format!("/v1/mailboxes/{mailbox}/audit-logs"), &entry).status(201);
    }

    fn put_policy(&self, mailbox: i64, days: i64) {
        let policy =
            json!({ "defaultAction": "bounce", "senders": [], "auditLog": { "retentionDays": days } });
        self.server.put_policy(mailbox, &policy).good();
    }

    /// Adds the checkpoint of this moment to the pins.
    fn pin(&self) {
        let told = self.server.operator(Method::Get, "/api/v1/admin/checkpoint", &Value::Null).good();
        let before = std::fs::read_to_string(&self.pins).unwrap_or_default();
        std::fs::write(&self.pins, before + &told.text("checkpoint")).expect("a file");
    }

    fn retention(&self) -> i64 {
        let done =
            self.server.operator(Method::Post, "/api/v1/admin/retention/run", &Value::Null).good().json();
        let deleted = done["deleted"].as_object().expect("an object").values();
        deleted.map(|n| n.as_i64().expect("a number")).sum()
    }

    /// `verify --pin`: its exit code, what it says as JSON, and on standard error.
    fn verify(&self, more: &[&str]) -> (Option<i32>, Value, String) {
        let pins = self.pins.display().to_string();
        let arguments = [&["verify", "--json", "--pin", &pins], more].concat();
        let run = process::mailtrail(&self.server.config().data, &arguments).output().expect("a command");
        let told = serde_json::from_slice(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"));
        (run.status.code(), told, String::from_utf8_lossy(&run.stderr).into_owned())
    }

    /// All that was removed is known, up to the row of control that was seen.
    #[track_caller]
    fn assert_known(&self, seen: Option<i64>) -> Vec<Value> {
        let seen: Vec<String> = seen.iter().map(|seen| format!("--removals-seen={seen}")).collect();
        let (code, told, said) = self.verify(&seen.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(
            (code, &told["ok"], &told["n_unseen"]),
            (Some(0), &json!(true), &json!(0)),
            "{told} {said}"
        );
        told["removals"].as_array().expect("a list").clone()
    }

    /// Something was removed that a person has to look at, so many rows; the number of the row that says so, by which it
    /// is known from then on.
    #[track_caller]
    fn assert_told(&self, seen: Option<i64>, rows: i64) -> i64 {
        let given: Vec<String> = seen.iter().map(|seen| format!("--removals-seen={seen}")).collect();
        let (code, told, said) = self.verify(&given.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(
            (code, &told["ok"], &told["n_findings"]),
            (Some(3), &json!(false), &json!(0)),
            "{told} {said}"
        );
        let last = told["last_unseen"].as_i64().expect("a number");
        let hint = said.split("hint").nth(1).unwrap_or_default();
        assert!(hint.contains(&format!("--removals-seen {last}")), "{said}");
        let removals = told["removals"].as_array().expect("a list");
        let removal = removals.iter().find(|removal| removal["control"] == last).expect("the removal");
        assert_eq!((&removal["fits"], &removal["rows"]), (&json!(false), &json!(rows)), "{removal}");
        self.assert_known(Some(last));
        last
    }
}

#[test]
fn what_retention_takes_by_the_days_on_record_is_listed_and_all_is_well() {
    let pinned = Pinned::new();
    assert_eq!(pinned.assert_known(None), Vec::<Value>::new());
    assert_eq!(pinned.retention(), 2);
    let removals = pinned.assert_known(None);
    let told: Vec<_> =
        removals.iter().map(|one| (&one["why"]["log"], &one["why"]["days"], &one["rows"])).collect();
    let (enforcement, messages) = (json!("enforcement"), json!("messages"));
    assert_eq!(told, [(&enforcement, &json!(30), &json!(1)), (&messages, &json!(90), &json!(1))]);
    // In words too, and of a backup.
    let pins = pinned.pins.display().to_string();
    let data = pinned.server.config().data;
    let said = process::run(&data, &["verify", "--pin", &pins]);
    assert_eq!(said.matches("1 rows of before the pin were removed: row ").count(), 2, "{said}");
    assert!(said.ends_with("it begins with the old checkpoint\n"), "{said}");
    let backup = pinned.server.directory().join("backup.db").display().to_string();
    process::run(&data, &["backup", &backup]);
    process::run(&data, &["verify", "--pin", &pins, &backup]);
    // A mailbox that comes later has days of its own, and they are on record before its first row.
    let later = pinned.server.add_mailbox(&pinned.server.workspace, "later@example.org", None, None);
    pinned.put_policy(later, 5);
    pinned.message(later, 10);
    pinned.pin();
    assert_eq!(pinned.retention(), 1);
    assert_eq!(pinned.assert_known(None).len(), 3);
    // What nobody has pinned is nobody's business.
    pinned.message(later, 11);
    assert_eq!(pinned.retention(), 1);
    assert_eq!(pinned.assert_known(None).len(), 3);
}

#[test]
fn days_that_were_shortened_since_are_for_a_person_to_look_at_once() {
    let mut pinned = Pinned::new();
    pinned.put_policy(pinned.mailbox, 30);
    // And back, so that nothing is to be seen of it.
    assert_eq!(pinned.retention(), 1 + 2);
    pinned.put_policy(pinned.mailbox, 90);
    let seen = pinned.assert_told(None, 2);
    // Once it was looked at, what was on record by then counts.
    pinned.message(pinned.mailbox, 95);
    pinned.pin();
    assert_eq!(pinned.retention(), 1);
    pinned.assert_known(Some(seen));
    // By the settings, too.
    pinned.server.set("enforcement_retention_days", "15");
    // The scheduler goes by them at once.
    pinned.server.restart();
    pinned.assert_told(Some(seen), 1);
}

#[test]
fn erasures_and_invented_reasons_are_for_a_person_to_look_at() {
    let pinned = Pinned::new();
    let erasure = json!({ "address": "d20@example.net", "why": "on their wish" });
    pinned.server.operator(Method::Post, "/api/v1/admin/erasures", &erasure).good();
    let mut seen = pinned.assert_told(None, 1);
    // Whoever has the machine may say anything.
    let at = |days: i64| Timestamp::to_string(&time(START).plus_days(-days));
    for (days, why) in [
        (20, json!({ "why": "the disk was full" })),
        (10, json!({ "log": "enforcement", "tenant": pinned.tenant, "days": 1, "before": at(1) })),
    ] {
        let seq = pinned.server.db_number(&format!(
            "SELECT seq FROM enforcement_events WHERE mailbox_address = 'd{days}@example.org'"
        ));
        let store = &pinned.server.running().app.store;
        store
            .write_as(Sharing::Alone, move |tx| enforcement::sql::remove(tx, why, &[seq]))
            .expect("a removal");
        seen = pinned.assert_told(Some(seen), 1);
    }
    // Not without a pin.
    let refused =
        process::mailtrail(&pinned.server.config().data, &["verify", "--removals-seen", "1"]).output();
    assert_eq!(refused.expect("a command").status.code(), Some(1));
}
