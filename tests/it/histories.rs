//! Lawful histories, made by dice: whatever is recorded, appended, removed by rule, erased, backed up and restarted, in
//! whatever order, the log is as it was recorded, each row that is left can be proven, and each seal leads to the next.

use mailtrail::app::LOGS;
use mailtrail::checkpoints::CHECKPOINT;
use mailtrail::http::Method;
use mailtrail::store::backup;
use mailtrail::tlog::merkle;
use mailtrail::tlog::note::{Checkpoint, Verifier};
use mailtrail::tlog::proof::Proof;
use mailtrail::tlog::rows::walk;
use mailtrail::tlog::tree::Stored;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::{START, Server, time};
use crate::tree::Dice;

const PEOPLE: [&str; 4] = ["ann@example.net", "bob@example.net", "cyd@example.net", "dan@example.net"];
const USER: &str = "0190b3c8-5e4a-7cc1-8a1d-2f6f0c9b7e11";

struct History {
    server: Server,
    dice: Dice,
    tenant: String,
    mailbox: i64,
    project: String,
    n_messages: usize,
    day: i64,
}

impl History {
    fn new(seed: u64) -> Self {
        let server = Server::start_with(&[("retention_days", "5"), ("activity_retention_days", "5")]);
        let tenant = server.add_tenant(&server.workspace, "Acme");
        let mailbox = server.add_mailbox(&server.workspace, "sales@example.org", Some(&tenant), None);
        let project = server.add_project(&server.workspace, "Site");
        Self {
            server,
            dice: Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            tenant,
            mailbox,
            project,
            n_messages: 0,
            day: 0,
        }
    }

    fn person(&mut self) -> &'static str {
        PEOPLE[self.dice.roll(PEOPLE.len())]
    }

    fn step(&mut self) {
        match self.dice.roll(20) {
            0..5 => self.events(),
            5..10 => self.message(),
            10..13 => self.append(),
            13..16 => self.activities(),
            16 => {
                self.day += 1 + self.dice.roll(4) as i64;
                self.server.clock.set(time(START).plus_days(self.day));
                self.server.run_jobs();
            }
            17 => {
                self.server.operator(Method::Post, "/api/v1/admin/retention/run", &Value::Null).good();
            }
            18 => {
                let body = json!({ "address": self.person(), "why": "on their wish" });
                self.server.operator(Method::Post, "/api/v1/admin/erasures", &body).good();
            }
            _ => self.server.restart(),
        }
    }

    fn events(&mut self) {
        let n = [1, 3, 300][self.dice.roll(3)];
        let (tenant, address) = (self.tenant.clone(), self.person());
        let events: Vec<Value> = (0..n)
            .map(|n| {
                json!({
                    "tenant_id": tenant, "mailbox_address": address, "action_taken": "blocked", "sent_count": n,
                    "limit_value": 5,
                })
            })
            .collect();
        self.server.post("/v1/enforcement/events", &json!({ "events": events })).status(201);
    }

    fn message(&mut self) {
        self.n_messages += 1;
        let (id, sender) = (self.n_messages, self.person());
        let message =
            json!({ "message_id": format!("m{id}"), "outcome": "delivered", "sender_address": sender });
        self.server.post(&format!("/v1/mailboxes/{}/audit-logs", self.mailbox), &message).status(201);
    }

    /// To one that may be gone.
    fn append(&mut self) {
        let id = 1 + self.dice.roll(self.n_messages.max(1));
        let fact = match self.dice.roll(2) {
            0 => json!({ "bounce": { "text": format!("<{}> is full", self.person()) } }),
            _ => json!({ "tokens_consumed": { "input": 1, "output": 2 } }),
        };
        let path = format!("/v1/mailboxes/{}/audit-logs/m{id}", self.mailbox);
        let answer = self.server.request(Method::Patch, &path).key(&self.server.key).json(&fact).send();
        assert!([200, 404].contains(&answer.status), "{answer:?}");
    }

    fn activities(&mut self) {
        let person = self.person();
        let activity = json!({
            "action": format!("site.act{}", self.dice.roll(5)), "user_id": USER, "user_agent": format!("mailer of {person}"),
            "metadata": { "to": person },
        });
        let path = format!("/api/v1/projects/{}/audit-log", self.project);
        self.server.request(Method::Post, &path).key(&self.server.key).json(&activity).send().status(201);
    }

    /// The log, a backup of it, and everything that was ever signed.
    fn is_whole(&mut self) -> (usize, usize) {
        let verified = self.server.operator(Method::Get, "/api/v1/admin/verify", &Value::Null).good().json();
        assert_eq!(verified["ok"], true, "{verified}");
        let copy = self.server.config().data.join("backups/copy.db");
        let file = json!({ "file": "copy.db" });
        self.server.operator(Method::Post, "/api/v1/admin/backups", &file).status(201);
        let copied = backup::open_at_rest(&copy).expect("a backup");
        let told = mailtrail::admin::proof::verification(&copied).expect("an answer");
        assert_eq!(told["ok"], true, "{told}");
        drop(copied);
        std::fs::remove_file(&copy).expect("the backup");
        let keys = self.server.get("/tlog/keys").status(200).body_text();
        let keys: Vec<Verifier> = keys.lines().filter_map(Verifier::parse).collect();
        self.server.get("/tlog/checkpoint").status(200);
        let checkpoint =
            std::fs::read_to_string(self.server.config().data.join(CHECKPOINT)).expect("a checkpoint");
        let db = self.server.db();
        (prove_rows(&db, &keys, &checkpoint), prove_seals(&db, &keys, &checkpoint))
    }
}

/// Every row that is there.
fn prove_rows(db: &Connection, keys: &[Verifier], checkpoint: &str) -> usize {
    let last = Checkpoint::signed(checkpoint, keys).expect("a checkpoint").size;
    let mut numbers = Vec::new();
    walk(db, LOGS, (1, last as i64), |_, number, _| {
        numbers.push(number);
        Ok(())
    })
    .expect("rows");
    for number in &numbers {
        let proof = Proof::of(db, LOGS, *number, checkpoint).expect("a proof").expect("the row");
        let read = Proof::parse(&proof.to_string()).expect("a proof");
        read.verify(keys).unwrap_or_else(|error| panic!("row {number}: {error}"));
    }
    numbers.len()
}

/// From every seal to every later one, and to now.
fn prove_seals(db: &Connection, keys: &[Verifier], checkpoint: &str) -> usize {
    let notes: Vec<String> = db
        .prepare("SELECT note FROM seals ORDER BY size")
        .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
        .expect("seals");
    let mut trees: Vec<Checkpoint> =
        notes.iter().map(|note| Checkpoint::signed(note, keys).expect("a seal")).collect();
    trees.push(Checkpoint::signed(checkpoint, keys).expect("a checkpoint"));
    let stored = Stored(db);
    let mut n = 0;
    for (at, old) in trees.iter().enumerate() {
        for new in &trees[at..] {
            let proof = merkle::prove_consistency(&stored, old.size, new.size).expect("a proof");
            assert!(
                merkle::is_consistent(old.size, old.root, new.size, new.root, &proof),
                "{} of {}",
                old.size,
                new.size
            );
            n += 1;
        }
    }
    n
}

/// `MAILTRAIL_ROUNDS` sets how many histories, `MAILTRAIL_SEED` with which they begin.
#[test]
fn no_lawful_history_raises_an_alarm() {
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let (n_histories, first) =
        (number("MAILTRAIL_ROUNDS").unwrap_or(12), number("MAILTRAIL_SEED").unwrap_or(1));
    let (mut n_rows, mut n_pairs, mut n_given_up) = (0, 0, 0);
    for seed in first..first + n_histories {
        let mut history = History::new(seed);
        let n_steps = 20 + history.dice.roll(60);
        for _ in 0..n_steps {
            history.step();
        }
        let (rows, pairs) = history.is_whole();
        n_rows += rows;
        n_pairs += pairs;
        let leaves = history.server.db_number("SELECT last_seq FROM sequence") as usize;
        let kept = history.server.db_number("SELECT count(*) FROM tree WHERE id < 1 << 48") as usize;
        n_given_up += usize::from(kept < leaves / 126);
    }
    eprintln!(
        "{n_histories} histories: {n_rows} rows and {n_pairs} pairs of trees proven, tiles given up in {n_given_up}"
    );
    assert!(n_rows > 100 && n_pairs > 20, "{n_rows} rows, {n_pairs} pairs");
}
