//! Witnesses: a log and those that cosign its checkpoints, as two programs that know one another by keys and URLs.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mailtrail::checkpoints::CHECKPOINT;
use mailtrail::config::Config;
use mailtrail::http::remote::Prefix;
use mailtrail::http::server::{Limits, Listeners, Server as HttpServer};
use mailtrail::http::{Admitted, Holder, Method, Refused, Request, Response, Service};
use mailtrail::ids::{hex, sha256};
use mailtrail::jobs;
use mailtrail::time::Clock;
use mailtrail::tlog::merkle::{self, Frontier, Hash, Subtrees, empty_root, leaf_hash};
use mailtrail::tlog::note::{Checkpoint, Cosigner, Note, Signer, Verifier};
use mailtrail::tlog::tree::Stored;
use mailtrail::witness::Submission;
use mailtrail::witness::running::{KEY, Running};
use serde_json::{Value, json};

use crate::support::process::{Serving, mailtrail, run, run_json};
use crate::support::{START, Server, time};

const NAME: &str = "witness.example.org";

/// A witness in a directory of its own.
struct Friend {
    clock: Clock,
    running: Option<Running>,
    logs: Vec<Verifier>,
    directory: tempfile::TempDir,
}

impl Friend {
    fn of(logs: &[&Verifier]) -> Self {
        let mut friend = Self {
            clock: Clock::standing(time(START)),
            running: None,
            logs: logs.iter().map(|log| (*log).clone()).collect(),
            directory: tempfile::tempdir().expect("a temporary directory"),
        };
        friend.restart();
        friend
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("witness")
    }

    /// On another port.
    fn restart(&mut self) {
        self.stop();
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let (logs, clock) = (self.logs.clone(), self.clock.clone());
        let limits = (Limits::default(), None);
        let running = Running::start(&self.data(), Some(NAME), logs, listen, limits, clock);
        self.running = Some(running.expect("a witness"));
    }

    fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("a running witness")
    }

    /// As the setting `witnesses` has it.
    fn setting(&self) -> String {
        format!("{} {}", self.running().verifier, self.running().url())
    }

    fn verifier(&self) -> Verifier {
        self.running().verifier.clone()
    }

    fn file(&self, origin: &str) -> PathBuf {
        self.data().join(hex(&sha256(origin.as_bytes())))
    }

    /// What it cosigned last of a log, as its own route tells it.
    fn seen(&self, origin: &str) -> Option<String> {
        let path = format!("/{}/checkpoint", hex(&sha256(origin.as_bytes())));
        let (status, _, body) = call(&self.running().url(), "GET", &path, "");
        assert!(status == 200 || status == 404, "{status} {body}");
        (status == 200).then_some(body)
    }
}

/// Status, media type and body.
fn call(url: &str, method: &str, path: &str, body: impl AsRef<[u8]>) -> (u16, String, String) {
    let config = ureq::Agent::config_builder().http_status_as_error(false).build();
    let request = ureq::http::Request::builder().method(method).uri(format!("{url}{path}"));
    let request = request.body(body.as_ref()).expect("a request");
    let mut answer = ureq::Agent::new_with_config(config).run(request).expect("an answer");
    let media_type =
        answer.headers().get("content-type").map(|value| value.to_str().expect("text").to_owned());
    let body = answer.body_mut().read_to_string().expect("a body");
    (answer.status().as_u16(), media_type.unwrap_or_default(), body)
}

/// What the log tells of its checkpoint.
struct Told {
    text: String,
    note: Note,
    cosigned: Option<Note>,
    verifier: Verifier,
}

impl Told {
    fn checkpoint(&self) -> Checkpoint {
        checkpoint_of(&self.text)
    }
}

fn checkpoint_of(note: &str) -> Checkpoint {
    let note = Note::parse(note).expect("a note");
    Checkpoint::parse(&note.text).expect("a checkpoint")
}

fn told(server: &Server) -> Told {
    let told = server.operator(Method::Get, "/api/v1/admin/checkpoint", &Value::Null).good().json();
    let text = told["checkpoint"].as_str().expect("a note").to_owned();
    Told {
        note: Note::parse(&text).expect("a note"),
        text,
        cosigned: told["cosigned"].as_str().map(|note| Note::parse(note).expect("a note")),
        verifier: Verifier::parse(told["verifier"].as_str().expect("a key")).expect("a key"),
    }
}

fn record(server: &Server, tenant: &str, n: i64) {
    let event = json!({
        "tenant_id": tenant, "mailbox_address": "sales@example.org", "action_taken": "blocked", "sent_count": n,
        "limit_value": 25,
    });
    server.post("/v1/enforcement/events", &event).status(201);
}

/// One look of the scheduler at what concerns witnesses.
fn look(server: &Server) {
    jobs::checkpoints::run(&server.running().app).expect("a checkpoint");
    jobs::witnesses::run(&server.running().app).expect("a look");
}

/// Looks until it is so; the clock goes on, for a witness is asked every ten seconds of it.
#[track_caller]
fn look_until(server: &Server, what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..4000 {
        look(server);
        if is_so() {
            return;
        }
        server.clock.set(server.clock.now().plus_seconds(10));
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("it never came to: {what}");
}

fn is_cosigned(server: &Server, witness: &Verifier) -> bool {
    told(server).note.is_signed_by(witness)
}

/// So much later that every witness is asked again, whatever went wrong before.
fn later(server: &Server) {
    server.clock.set(server.clock.now().plus_seconds(3600));
}

fn metric(server: &Server, sample: &str) -> Option<f64> {
    let text = server.request(Method::Get, "/metrics").key(&server.key).send().status(200).body_text();
    let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' ').map(str::to_owned));
    line.map(|value| value.parse().expect("a number"))
}

#[test]
fn a_friend_cosigns_what_continues_and_both_may_restart() {
    let mut server = Server::start();
    let log = told(&server).verifier;
    let mut friend = Friend::of(&[&log]);
    let witness = friend.verifier();
    assert_eq!(friend.seen(log.name()), None);
    server.set("witnesses", &friend.setting());
    server.restart();
    look_until(&server, "a cosignature", || is_cosigned(&server, &witness));

    // In the answer, in the file, at the witness.
    let first = told(&server);
    let start = time(START).seconds().unsigned_abs();
    assert_eq!(first.note.cosignature(&witness).map(|(at, _)| at), Some(start));
    assert!(first.note.is_signed_by(&log));
    assert_eq!(first.cosigned.as_ref(), Some(&first.note));
    let lines: Vec<&str> = first.text.lines().filter(|line| line.starts_with("— ")).collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with(&format!("— {} ", log.name())), "{lines:?}");
    assert!(lines[1].starts_with(&format!("— {NAME} ")), "{lines:?}");
    let file = std::fs::read_to_string(server.config().data.join(CHECKPOINT)).expect("the file");
    assert_eq!(file, first.text);
    assert_eq!(friend.seen(log.name()), Some(first.text.clone()));
    let leaves = format!("mailtrail_witness_cosigned_leaves{{witness=\"{NAME}\"}}");
    let at = format!("mailtrail_witness_cosigned_timestamp_seconds{{witness=\"{NAME}\"}}");
    assert_eq!(metric(&server, &leaves), Some(first.checkpoint().size as f64));
    assert_eq!(metric(&server, &at), Some(start as f64));

    // The seal of this tree, set before the cosignature came or after it, has it too.
    let sealed = || -> String {
        let sql = "SELECT note FROM seals ORDER BY size DESC LIMIT 1";
        server.db().query_row(sql, [], |row| row.get(0)).expect("a seal")
    };
    let tenant = server.add_tenant(&server.workspace, "Acme");
    record(&server, &tenant, 1);
    server.clock.set(time(START).plus_days(1));
    friend.clock.set(time(START).plus_days(1));
    look_until(&server, "a sealed cosignature", || {
        let note = Note::parse(&sealed()).expect("a note");
        note.is_signed_by(&witness) && note == told(&server).note
    });
    let second = told(&server);
    assert!(second.checkpoint().size > first.checkpoint().size);

    // While rows come in, the last one that was cosigned is still told.
    record(&server, &tenant, 2);
    let third = told(&server);
    assert!(!third.note.is_signed_by(&witness));
    assert_eq!(third.cosigned.as_ref(), Some(&second.note));

    // The witness remembers over its restart; the log, whose last checkpoint has no line of it, asks anew.
    friend.restart();
    assert_eq!(friend.verifier(), witness);
    assert_eq!(friend.seen(log.name()), Some(second.text));
    server.set("witnesses", &friend.setting());
    server.restart();
    assert_eq!(told(&server).cosigned, None);
    look_until(&server, "a cosignature after both restarted", || is_cosigned(&server, &witness));
    // And with its line it knows at once.
    let last = told(&server);
    server.restart();
    assert_eq!(told(&server).cosigned.as_ref(), Some(&last.note));
    assert_eq!(metric(&server, &leaves), Some(last.checkpoint().size as f64));
    let verified = server.operator(Method::Get, "/api/v1/admin/verify", &Value::Null).good().json();
    assert_eq!(verified["ok"], true, "{verified}");
}

#[test]
fn a_log_that_was_put_back_with_its_checkpoint_gets_no_cosignature_again() {
    let mut server = Server::start();
    let log = told(&server).verifier;
    let friend = Friend::of(&[&log]);
    let witness = friend.verifier();
    let tenant = server.add_tenant(&server.workspace, "Acme");
    server.set("witnesses", &friend.setting());
    server.stop();
    let names = ["mailtrail.db", CHECKPOINT];
    let read = |name: &str| std::fs::read(server.config().data.join(name)).expect("a file");
    let before = names.map(read);
    server.restart();
    for n in 0..3 {
        record(&server, &tenant, n);
    }
    look_until(&server, "a cosignature", || is_cosigned(&server, &witness));
    let seen = friend.seen(log.name()).expect("a checkpoint");

    // Database and checkpoint together: nothing on this machine tells.
    server.stop();
    for (name, bytes) in names.into_iter().zip(before) {
        std::fs::write(server.config().data.join(name), bytes).expect("an edit");
    }
    server.restart();
    // Smaller than what was seen, then as large, then larger: another history all the time.
    for n in 10..16 {
        later(&server);
        for _ in 0..20 {
            look(&server);
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(told(&server).cosigned.is_none());
        record(&server, &tenant, n);
    }
    // Whichever way it is asked.
    let (now, db) = (told(&server), server.db());
    let (old, size) = (checkpoint_of(&seen).size, now.checkpoint().size);
    assert!(old < size);
    let proof = merkle::prove_consistency(&Stored(&db), old, size).expect("a proof");
    assert_eq!(add(&friend, Submission { old, proof, checkpoint: now.text.clone() }.to_string()).0, 422);
    let from_nothing = Submission { old: 0, proof: vec![], checkpoint: now.text };
    assert_eq!(add(&friend, from_nothing.to_string()).0, 409);
    assert_eq!(friend.seen(log.name()), Some(seen));
    let leaves = format!("mailtrail_witness_cosigned_leaves{{witness=\"{NAME}\"}}");
    assert_eq!(metric(&server, &leaves), Some(0.0));
}

/// A log of our own making, so that it can do what ours never would.
struct Tree {
    signer: Signer,
    subtrees: BTreeMap<(u32, u64), Hash>,
    roots: Vec<Hash>,
}

impl Subtrees for Tree {
    fn subtree(&self, level: u32, place: u64) -> mailtrail::error::Result<Hash> {
        Ok(self.subtrees[&(level, place)])
    }
}

impl Tree {
    const ORIGIN: &str = "log.example.org/mailtrail/1";

    fn new(seed: u8, leaves: &[&str]) -> Self {
        let (mut frontier, mut subtrees) = (Frontier::default(), BTreeMap::new());
        let mut roots = vec![empty_root()];
        for leaf in leaves {
            frontier.push(leaf_hash(leaf.as_bytes()), |level, place, hash| {
                subtrees.insert((level, place), hash);
            });
            roots.push(frontier.root());
        }
        Self { signer: Signer::new(Self::ORIGIN.into(), &[seed; 32]), subtrees, roots }
    }

    fn text(&self, size: usize) -> String {
        Checkpoint { origin: Self::ORIGIN.into(), size: size as u64, root: self.roots[size] }.to_string()
    }

    fn submission(&self, old: usize, size: usize) -> Submission {
        let proof = match old {
            0 => Vec::new(),
            _ => merkle::prove_consistency(self, old as u64, size as u64).expect("a proof"),
        };
        Submission { old: old as u64, proof, checkpoint: self.signer.sign(&self.text(size)) }
    }
}

fn add(friend: &Friend, body: impl AsRef<[u8]>) -> (u16, String, String) {
    call(&friend.running().url(), "POST", "/add-checkpoint", body)
}

#[test]
fn every_status_of_the_protocol() {
    let tree = Tree::new(1, &["a", "b", "c", "d", "e", "f", "g"]);
    let fork = Tree::new(1, &["a", "b", "x", "d", "e", "f", "g"]);
    let stranger = Tree::new(9, &["a", "b", "c", "d", "e", "f", "g"]);
    // Of a key that was added when the log went on under the same name.
    let other_key = Tree::new(2, &["a", "b", "c", "d", "e", "f", "g"]);
    let friend = Friend::of(&[&tree.signer.verifier(), &other_key.signer.verifier()]);
    let witness = friend.verifier();
    let with = |submission: &Submission, checkpoint: String| {
        Submission { checkpoint, ..submission.clone() }.to_string()
    };
    let first = tree.submission(0, 3);
    let other_origin = Signer::new("elsewhere.example.org".into(), &[1; 32]);
    let of_elsewhere = tree.text(3).replace(Tree::ORIGIN, "elsewhere.example.org");
    let forged = tree.signer.sign(&tree.text(3)).replace(&tree.text(3), &fork.text(3));
    let root = tree.roots[3].to_string();
    let line = tree.signer.sign(&tree.text(3)).rsplit_once("\n\n").expect("a note").1.to_owned();
    let bad_root = tree.text(0).replace(&empty_root().to_string(), &root);
    let spare = vec![tree.roots[1]; 64];

    // Before the witness has seen anything.
    for (what, body, expected) in [
        ("nothing", String::new(), 400),
        ("no old size", format!("\n{}", first.checkpoint), 400),
        ("an old size with a zero ahead", first.to_string().replace("old 0", "old 00"), 400),
        ("no empty line", first.to_string().replacen("\n\n", "\n", 1), 400),
        ("a proof that is none", first.to_string().replacen("\n\n", "\nAAAA\n\n", 1), 400),
        ("64 hashes", Submission { old: 1, proof: spare, ..first.clone() }.to_string(), 400),
        ("no signature", with(&first, tree.text(3)), 400),
        ("a note that is no checkpoint", with(&first, tree.signer.sign("text\n")), 400),
        (
            "a size with a zero ahead",
            with(&first, tree.signer.sign(&tree.text(3).replace("\n3\n", "\n03\n"))),
            400,
        ),
        ("another origin", with(&first, other_origin.sign(&of_elsewhere)), 404),
        ("another origin by the log's key", with(&first, tree.signer.sign(&of_elsewhere)), 404),
        ("another key", stranger.submission(0, 3).to_string(), 403),
        ("a signature of another text", with(&first, forged), 403),
        (
            "one good signature and one bad",
            with(&first, format!("{}{}", first.checkpoint, line.replace(" ", "  "))),
            400,
        ),
        ("an old size beyond the new", tree.submission(3, 3).to_string().replace("old 3", "old 4"), 400),
        ("an old size that it has not seen", tree.submission(2, 3).to_string(), 409),
        ("an empty tree with another root", with(&first, tree.signer.sign(&bad_root)), 422),
        ("a proof from nothing", Submission { proof: vec![tree.roots[1]], ..first.clone() }.to_string(), 422),
    ] {
        let (status, media_type, answer) = add(&friend, &body);
        assert_eq!(status, expected, "{what}: {answer}");
        if status == 409 {
            assert_eq!((media_type.as_str(), answer.as_str()), ("text/x.tlog.size", "0\n"), "{what}");
        }
        assert_eq!(friend.seen(Tree::ORIGIN), None, "{what}");
    }
    assert_eq!(add(&friend, b"old 0\n\n\xff\n1\n\n").0, 400);

    // What is right is cosigned, twice when it is sent twice.
    let cosigned = |body: &str, text: &str| {
        let (status, _, answer) = add(&friend, body);
        assert_eq!(status, 200, "{answer}");
        let note = Note::parse(&format!("{text}\n{answer}")).expect("signature lines");
        note.cosignature(&witness).expect("a cosignature").0
    };
    let start = time(START).seconds().unsigned_abs();
    assert_eq!(cosigned(&tree.submission(0, 0).to_string(), &tree.text(0)), start);
    assert_eq!(cosigned(&first.to_string(), &tree.text(3)), start);
    friend.clock.set(time(START).plus_seconds(60));
    assert_eq!(cosigned(&tree.submission(3, 3).to_string(), &tree.text(3)), start + 60);
    // Either key of the log will do, lines of strangers are left out, and extension lines are cosigned.
    let extended = format!("{}extension\n", tree.text(4));
    let note = other_key.signer.sign(&extended) + &Cosigner::new("w".into(), &[3; 32]).cosign(&extended, 1);
    assert_eq!(cosigned(&with(&tree.submission(3, 4), note), &extended), start + 60);
    let seen = friend.seen(Tree::ORIGIN).expect("a checkpoint");
    let note = Note::parse(&seen).expect("a note");
    assert_eq!(note.text, extended);
    assert!(note.is_signed_by(&other_key.signer.verifier()) && note.is_signed_by(&witness));
    assert_eq!(seen.matches("\n— ").count(), 2, "{seen}");
    assert_eq!(std::fs::read_to_string(friend.file(Tree::ORIGIN)).expect("the file"), seen);

    // Once it has seen four leaves.
    let next = tree.submission(4, 7);
    let mut other_hash = next.clone();
    other_hash.proof[0] = tree.roots[1];
    for (what, body, expected) in [
        ("from nothing", tree.submission(0, 7).to_string(), 409),
        ("from three", tree.submission(3, 7).to_string(), 409),
        ("from more", tree.submission(5, 7).to_string(), 409),
        ("back to three", tree.submission(0, 3).to_string(), 409),
        ("no proof", Submission { proof: vec![], ..next.clone() }.to_string(), 422),
        ("another proof", other_hash.to_string(), 422),
        ("another tree", fork.submission(4, 7).to_string(), 422),
        ("another tree of the same size", fork.submission(4, 4).to_string(), 422),
        (
            "a proof for the same tree",
            Submission { proof: vec![tree.roots[1]], ..tree.submission(4, 4) }.to_string(),
            422,
        ),
    ] {
        let (status, media_type, answer) = add(&friend, &body);
        assert_eq!(status, expected, "{what}: {answer}");
        if status == 409 {
            assert_eq!((media_type.as_str(), answer.as_str()), ("text/x.tlog.size", "4\n"), "{what}");
        }
        assert_eq!(friend.seen(Tree::ORIGIN).as_ref(), Some(&seen), "{what}");
    }
    cosigned(&next.to_string(), &tree.text(7));

    let url = friend.running().url();
    let name = hex(&sha256(Tree::ORIGIN.as_bytes()));
    for (method, path, body, expected) in [
        ("GET", "/healthz", String::new(), 200),
        ("GET", "/add-checkpoint", String::new(), 405),
        ("POST", "/healthz", String::new(), 405),
        ("POST", "/add-checkpoint", "x".repeat(1 << 17), 413),
        ("GET", "/", String::new(), 404),
        ("GET", "/witness.key/checkpoint", String::new(), 404),
        ("GET", "/../witness.key/checkpoint", String::new(), 404),
        ("GET", &format!("/{}/checkpoint", name.to_uppercase()), String::new(), 404),
        ("GET", &format!("/{}/checkpoint", "0".repeat(64)), String::new(), 404),
        ("GET", &format!("/{name}"), String::new(), 404),
        ("GET", &format!("/{name}/checkpoint"), String::new(), 200),
    ] {
        let (status, _, answer) = call(&url, method, path, body);
        assert_eq!(status, expected, "{method} {path}: {answer}");
    }
}

#[test]
fn of_many_that_come_at_once_each_continues_the_one_before() {
    let leaves: Vec<String> = (0..40).map(|n| n.to_string()).collect();
    let tree = Tree::new(1, &leaves.iter().map(String::as_str).collect::<Vec<_>>());
    let friend = Friend::of(&[&tree.signer.verifier()]);
    let n_accepted: usize = std::thread::scope(|scope| {
        let (tree, friend) = (&tree, &friend);
        let clients: Vec<_> = (0..4)
            .map(|client| {
                scope.spawn(move || {
                    let (mut old, mut n_accepted) = (0, 0);
                    for size in (1 + client..=40).step_by(3) {
                        let (status, _, answer) =
                            add(friend, tree.submission(old.min(size), size).to_string());
                        match status {
                            200 => (old, n_accepted) = (size, n_accepted + 1),
                            409 => old = answer.trim_end().parse().expect("a size"),
                            status => panic!("{status} {answer}"),
                        }
                        let seen = checkpoint_of(&friend.seen(Tree::ORIGIN).expect("a checkpoint"));
                        assert!(seen.size >= old as u64, "it went back to {} from {old}", seen.size);
                    }
                    n_accepted
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().expect("a client")).sum()
    });
    assert!(n_accepted > 0);
}

#[test]
fn a_witness_that_finds_its_memory_changed_cosigns_nothing() {
    let tree = Tree::new(1, &["a", "b", "c"]);
    let mut friend = Friend::of(&[&tree.signer.verifier()]);
    assert_eq!(add(&friend, tree.submission(0, 2).to_string()).0, 200);
    let file = friend.file(Tree::ORIGIN);
    let kept = std::fs::read_to_string(&file).expect("the file");
    for changed in ["".to_owned(), kept.replace("\n2\n", "\n1\n"), tree.signer.sign(&tree.text(1))] {
        std::fs::write(&file, &changed).expect("an edit");
        friend.restart();
        assert_eq!(add(&friend, tree.submission(0, 3).to_string()).0, 500, "{changed:?}");
        assert_eq!(std::fs::read_to_string(&file).expect("the file"), changed);
    }
    std::fs::write(&file, kept).expect("an edit");
    assert_eq!(add(&friend, tree.submission(2, 3).to_string()).0, 200);
}

/// Answers whatever it is asked with the same.
struct Says(u16, String);

impl Service for Says {
    fn admit(&self, _: Request) -> Result<Admitted<'_>, Response> {
        Ok(Admitted {
            body_limit: 1 << 20,
            holder: Holder::Stranger(None),
            is_brief: false,
            answer: Box::new(|_| Response::new(self.0, "text/plain", self.1.clone())),
        })
    }

    fn refuse(&self, _: &Refused<'_>) -> Response {
        Response::empty(400)
    }
}

fn says(status: u16, body: &str) -> (HttpServer, String) {
    let listeners = Listeners { tcp: Some(SocketAddr::from(([127, 0, 0, 1], 0))), ..Listeners::default() };
    let service = Arc::new(Says(status, body.to_owned()));
    let server = HttpServer::start(listeners, Limits::default(), service).expect("a server");
    let url = format!("http://{}", server.address().expect("an address"));
    (server, url)
}

#[test]
fn witnesses_that_are_down_hang_or_lie_are_told_once_and_hold_up_nothing() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let data = data.path().join("data");
    run(&data, &["init", "--email", "ada@example.org"]);
    let log = run_json(&data, &["checkpoint"]);
    let log = Verifier::parse(log["verifier"].as_str().expect("a key")).expect("a key");
    let friend = Friend::of(&[&log]);
    let elsewhere = Friend::of(&[&Tree::new(1, &[]).signer.verifier()]);

    // Taken by the kernel, answered by nobody.
    let hangs = TcpListener::bind("127.0.0.1:0").expect("a port");
    let hanging = format!("http://{}", hangs.local_addr().expect("an address"));
    let key = |n: u8| Cosigner::new(format!("w{n}.example.org"), &[n; 32]);
    // By its own key, over another text.
    let (_lies, lying) = says(200, &key(3).cosign("text\n", 1));
    let (_forks, forking) = says(422, "");
    let (_ahead, ahead) = says(409, "1000000\n");
    let (_turns, turning) = says(409, "0\n");
    let (_moved, moved) = says(301, "");
    let (_long, long) = says(200, &"x".repeat(1 << 18));
    let urls = [
        "http://127.0.0.1:1",
        &hanging,
        &lying,
        &forking,
        &ahead,
        &turning,
        &moved,
        &long,
        &elsewhere.running().url(),
    ];
    let mut settings: Vec<String> =
        (1..).zip(urls).map(|(n, url)| format!("{} {url}", key(n).verifier())).collect();
    settings.push(friend.setting());

    let log_file = data.with_extension("log");
    let mut command = mailtrail(&data, &["serve", "--listen", "127.0.0.1:0"]);
    command.env("MAILTRAIL_WITNESSES", settings.join(","));
    command.stderr(std::fs::File::create(&log_file).expect("a file"));
    let serving = Serving::spawn(command);
    let said = || std::fs::read_to_string(&log_file).expect("the log");
    let expected = [
        ("WARN ", "w1.example.org: it cannot be asked: "),
        ("WARN ", "w3.example.org: its answer is no cosignature by its key"),
        ("ERROR", "w4.example.org: the "),
        ("ERROR", "w5.example.org: it has seen 1000000 leaves of this log, which has "),
        ("WARN ", "w6.example.org: it does not tell how much of this log it has seen"),
        ("WARN ", "w7.example.org: it answers 301"),
        ("WARN ", "w8.example.org: it cannot be asked: "),
        ("WARN ", "w9.example.org: it does not know this log; it needs the key "),
    ];
    let lines_of = |level: &str, what: &str| said().matches(&format!("{level} witness {what}")).count();
    let is_told = || expected.iter().all(|(level, what)| lines_of(level, what) > 0);
    for _ in 0..1200 {
        if is_told() && friend.seen(log.name()).is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(is_told(), "{}", said());
    for (level, what) in expected {
        assert_eq!(lines_of(level, what), 1, "{what}\n{}", said());
    }
    // One of ten has cosigned; its line and the log's are all there are.
    let note = loop {
        let told = run_json(&data, &["checkpoint"]);
        if let Some(note) = told["cosigned"].as_str() {
            break note.to_owned();
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(note.matches("\n— ").count(), 2, "{note}");
    assert!(Note::parse(&note).expect("a note").is_signed_by(&friend.verifier()));
    // The hanging one is still being asked: the end does not wait for it.
    hangs.set_nonblocking(true).expect("a mode");
    assert!(hangs.accept().is_ok(), "it was never asked");
    assert!(serving.stop().success());
}

#[test]
fn of_an_answer_the_line_of_the_witness_is_taken_over_and_nothing_else() {
    let server = Server::start();
    let app = &server.running().app;
    let text = told(&server).note.text;
    let signed = app.checkpoints.latest().expect("a checkpoint");
    let [ours, other] = [1, 2].map(|seed| Cosigner::new(NAME.into(), &[seed; 32]));
    let add = |lines: &str| {
        let added = app.checkpoints.add_cosignature(&app.store, &signed, ours.verifier(), lines);
        added.expect("no trouble of our own")
    };
    let good = ours.cosign(&text, 5);
    let longer = format!("{text}\nx\n");
    for lies in [
        "".to_owned(),
        "\n".to_owned(),
        "x\n".to_owned(),
        good.trim_end().to_owned(),
        good.replace("— ", "- "),
        other.cosign(&text, 5),
        ours.cosign("text\n", 5),
        ours.cosign(&text, 0),
        ours.cosign(&text, 1 << 63),
        // With an empty line, so that it is over a text that begins with ours.
        format!("x\n\n{}", ours.cosign(&longer, 5)),
        format!("{good}{}", ours.cosign("text\n", 5)),
        good.repeat(100),
    ] {
        assert_eq!(add(&lies), None, "{lies:?}");
        assert_eq!(told(&server).text, signed.note, "{lies:?}");
    }
    assert_eq!(add(&format!("{}{good}", other.cosign(&text, 5))), Some(5));
    assert_eq!(told(&server).text, format!("{}{good}", signed.note));
    assert_eq!(add(&good), Some(5));
    assert_eq!(told(&server).text, format!("{}{good}", signed.note), "it is there once");
}

#[test]
fn a_setting_that_names_no_witness_is_refused() {
    let witness = Cosigner::new("w".into(), &[1; 32]).verifier().to_string();
    let log = Signer::new("w".into(), &[1; 32]).verifier().to_string();
    let load = |value: &str| Config::load(&[("witnesses".to_owned(), value.to_owned())], None, |_| None);
    let good = load(&format!("{witness} https://w.example.org/prefix/, ")).expect("a witness");
    assert_eq!(Some(&good.witnesses[0].url), Prefix::parse("https://w.example.org/prefix").as_ref());
    assert_eq!(load("").expect("nobody").witnesses, []);
    for value in [
        witness.clone(),
        "https://w.example.org".to_owned(),
        format!("{log} https://w.example.org"),
        format!("{witness}x https://w.example.org"),
        format!("{witness} w.example.org"),
        format!("{witness} https://"),
        format!("{witness} ftp://w.example.org"),
        format!("{witness} https://user:secret@w.example.org"),
        format!("{witness} https://w.example.org/?a=b"),
        format!("{witness} https://w.example.org x"),
        format!("{witness} https://a.example.org, {witness} https://b.example.org"),
    ] {
        let error = load(&value).expect_err(&value).to_string();
        assert!(error.starts_with("witnesses: ") && error.contains("accepted: NAME+ID+KEY URL"), "{error}");
    }
}

#[test]
fn the_command_line_of_a_witness() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let data = directory.path().join("witness");
    let tree = Tree::new(1, &["a", "b", "c"]);
    let log = tree.signer.verifier().to_string();
    // Exit code, and what is said.
    let refused = |data: &Path, arguments: &[&str]| {
        let output = mailtrail(data, arguments).output().expect("a command that runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("\nhint: "), "{arguments:?}: {said}");
        (output.status.code(), said)
    };
    let start = ["witness", "--listen", "127.0.0.1:0", "--log", &log];
    for (arguments, why) in [
        (&start[..], "there is no witness.key in "),
        (&[&start[..], &["--name", "a b"]].concat(), "--name \"a b\" is not a name"),
        (&["witness", "--name", NAME], "--log <VKEY>"),
        (&["witness", "--name", NAME, "--log", "x"], "--log \"x\" is not the verifier key of a log"),
        (&["witness", "--listen", "x", "--log", &log], "--listen \"x\" is not an address and a port"),
        (&["witness", "--show-key"], "there is no witness.key in "),
    ] {
        let (code, said) = refused(&data, arguments);
        // For its unit another start would not help; --show-key is a person's.
        let expected = if arguments.contains(&"--show-key") { 1 } else { 78 };
        assert!(code == Some(expected) && said.contains(why), "{arguments:?}: {code:?} {said}");
        assert!(!data.exists(), "{arguments:?} made a directory");
    }

    let named = [&start[..], &["--name", NAME]].concat();
    let serving = Serving::spawn(mailtrail(&data, &named));
    let key = run(&data, &["witness", "--show-key"]).trim_end().to_owned();
    let witness = Verifier::parse(&key).expect("a key");
    assert_eq!(witness.name(), NAME);
    assert_eq!(run_json(&data, &["witness", "--show-key"])["verifier"], json!(key));
    let mode = |path: &Path| path.metadata().expect("a file").permissions().mode() & 0o777;
    assert_eq!((mode(&data), mode(&data.join(KEY))), (0o700, 0o600));
    let (code, said) = refused(&data, &start);
    assert!(code == Some(78) && said.contains("another mailtrail is serving "), "{code:?} {said}");
    let (status, _, answer) =
        call(&serving.url, "POST", "/add-checkpoint", tree.submission(0, 2).to_string());
    assert_eq!(status, 200, "{answer}");
    // On disk before it was answered.
    serving.kill();
    let file = data.join(hex(&sha256(Tree::ORIGIN.as_bytes())));
    let note = Note::parse(&std::fs::read_to_string(&file).expect("the file")).expect("a note");
    assert_eq!(note.text, tree.text(2));
    assert_eq!(mode(&file), 0o600);

    // The name is the key's from now on; logs may come from the environment.
    let (code, said) = refused(&data, &[&start[..], &["--name", "other.example.org"]].concat());
    assert!(code == Some(78) && said.contains("is not the name that "), "{code:?} {said}");
    let mut command = mailtrail(&data, &["witness", "--listen", "127.0.0.1:0"]);
    command.env("MAILTRAIL_WITNESS_LOGS", format!("{log},{}", Tree::new(2, &[]).signer.verifier()));
    let serving = Serving::spawn(command);
    assert_eq!(run(&data, &["witness", "--show-key"]).trim_end(), key);
    let (status, _, answer) =
        call(&serving.url, "POST", "/add-checkpoint", tree.submission(2, 3).to_string());
    assert_eq!(status, 200, "{answer}");
    assert!(serving.stop().success());

    std::fs::set_permissions(data.join(KEY), std::fs::Permissions::from_mode(0o644)).expect("a mode");
    let (code, said) = refused(&data, &start);
    assert!(code == Some(78) && said.contains("can be read or written by others"), "{code:?} {said}");
    std::fs::set_permissions(data.join(KEY), std::fs::Permissions::from_mode(0o600)).expect("a mode");
    std::fs::write(data.join(KEY), "00".repeat(32)).expect("an edit");
    let (code, said) = refused(&data, &start);
    assert!(code == Some(78) && said.contains("is no key of a witness"), "{code:?} {said}");
    // A log is no witness of itself.
    let own = directory.path().join("log");
    run(&own, &["init", "--email", "ada@example.org"]);
    let (code, said) = refused(&own, &named);
    assert!(code == Some(78) && said.contains("is the data directory of a log"), "{code:?} {said}");
}
