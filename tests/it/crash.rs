//! `kill -9` while 64 clients write and old rows are deleted: whatever was answered is there, what was retried is there
//! once, and the database is whole. Half of the clients give idempotency keys and retry what was not answered; the
//! others go the way without savepoints and retry nothing. `MAILTRAIL_ROUNDS` sets how often; a thousand take about
//! twenty minutes. And what happens when a file can grow no more.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::Answer;
use crate::support::process::{LOGS, Owners, Serving, Write, agent, exported, run_json};

const CLIENTS: usize = 64;
/// Rounds in one data directory: every one reads all of it.
const ROUNDS: usize = 40;
/// What is older is deleted while the others write.
const RETENTION: [&str; 2] = ["retention_days=30", "activity_retention_days=30"];

/// What one round's clients know when the server is gone.
#[derive(Default)]
struct Known {
    /// Answered with a 2xx, and with what.
    answered: Vec<(Write, Answer)>,
    /// Sent and never answered.
    unanswered: Vec<Write>,
}

/// Writes from every client until the server does not answer any more.
fn write_until_it_dies(owners: &Arc<Owners>, url: &str, round: usize, known: &Arc<Mutex<Known>>) {
    let is_over = Arc::new(AtomicBool::new(false));
    let mut threads: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (owners, known) = (Arc::clone(owners), Arc::clone(known));
            let (url, is_over) = (url.to_owned(), Arc::clone(&is_over));
            std::thread::spawn(move || {
                let agent = agent();
                for n in 0.. {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    let write = owners.write(round, client, n);
                    match owners.send(&agent, &url, &write) {
                        Ok(answer) => {
                            known.lock().expect("known").answered.push((write, answer.good()));
                        }
                        Err(_) => {
                            is_over.store(true, Ordering::Relaxed);
                            known.lock().expect("known").unanswered.push(write);
                            return;
                        }
                    }
                }
            })
        })
        .collect();
    let (owners, url) = (Arc::clone(owners), url.to_owned());
    threads.push(std::thread::spawn(
        move || {
            while record_and_delete_old_rows(&owners, &url, round).is_ok() {}
        },
    ));
    for thread in threads {
        thread.join().expect("a client that ends well");
    }
}

/// Some hundred rows that are too old to be kept, and a run that deletes them.
fn record_and_delete_old_rows(owners: &Owners, url: &str, round: usize) -> Result<(), ureq::Error> {
    let agent = agent();
    for log in 0..3 {
        let marks = (0..100).map(|n| format!("r{round}n{n}@gone.example")).collect();
        owners.send(&agent, url, &owners.write_of(log, marks, Some(40), ""))?.good();
    }
    let run = ureq::http::Request::post(format!("{url}/api/v1/admin/retention/run"))
        .header("authorization", format!("Bearer {}", owners.api_key));
    agent.run(run.body(())?)?;
    Ok(())
}

#[test]
fn what_was_answered_survives_a_kill_and_what_is_retried_is_there_once() {
    let rounds: usize =
        std::env::var("MAILTRAIL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(10);
    let (mut n_answered, mut n_unanswered, mut n_replayed, mut n_deleted) = (0, 0, 0, 0);
    for first in (0..rounds).step_by(ROUNDS) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let data = directory.path().join("data");
        let owners = Arc::new(Owners::create(&data));
        let mut expected: [BTreeSet<String>; 3] = Default::default();
        for round in first..rounds.min(first + ROUNDS) {
            let serving = Serving::start_with(&data, &RETENTION);
            let known = Arc::new(Mutex::new(Known::default()));
            let clients = {
                let (owners, known, url) = (Arc::clone(&owners), Arc::clone(&known), serving.url.clone());
                std::thread::spawn(move || write_until_it_dies(&owners, &url, round, &known))
            };
            // Some time between before the first answer and well into the load.
            let random =
                u64::from(mailtrail::ids::sha256(format!("{:?}", std::time::Instant::now()).as_bytes())[0]);
            std::thread::sleep(Duration::from_millis(20 + random * 2));
            serving.kill();
            clients.join().expect("clients that end well");
            let mut known = std::mem::take(&mut *known.lock().expect("known"));

            // What is on disk, before anybody retries.
            let found = exported(&data, &owners);
            for (write, _) in &known.answered {
                for mark in &write.marks {
                    assert_eq!(found[write.log].get(mark), Some(&1), "round {round}: {mark} was answered");
                }
            }
            let n_there = |write: &Write| {
                write.marks.iter().filter(|mark| found[write.log].contains_key(*mark)).count()
            };
            for write in &known.unanswered {
                let n = n_there(write);
                assert!(n == 0 || n == write.marks.len(), "round {round}: half a batch of {write:?}");
            }
            n_unanswered += known.unanswered.len();
            n_replayed += known.unanswered.iter().filter(|write| n_there(write) > 0).count();
            // Without a key nobody knows whether to try again; what is there stays.
            known.unanswered.retain(|write| write.key.is_some() || n_there(write) > 0);

            let serving = Serving::start_with(&data, &RETENTION);
            let agent = agent();
            for write in known.unanswered.iter().filter(|write| write.key.is_some()) {
                owners.send(&agent, &serving.url, write).expect("an answer").good();
            }
            // The first answer again, for those that had one.
            let with_keys = known.answered.iter().filter(|(write, _)| write.key.is_some());
            for (write, answer) in with_keys.rev().take(100) {
                let again = owners.send(&agent, &serving.url, write).expect("an answer");
                assert_eq!(
                    (again.status, &again.body),
                    (answer.status, &answer.body),
                    "round {round}: {write:?}"
                );
            }
            let runs = owners.get(&agent, &serving.url, "/api/v1/admin/retention").expect("an answer");
            n_deleted += usize::from(runs.status(200).json()["last_run"].is_object());
            serving.kill();

            for write in known.answered.iter().map(|(write, _)| write).chain(&known.unanswered) {
                expected[write.log].extend(write.marks.iter().cloned());
            }
            let found = exported(&data, &owners);
            for log in 0..3 {
                let twice: Vec<_> = found[log].iter().filter(|(_, n)| **n != 1).collect();
                assert!(twice.is_empty(), "round {round}: {}: {twice:?}", LOGS[log]);
                let marks: BTreeSet<String> = found[log].keys().cloned().collect();
                let lost: Vec<_> = expected[log].difference(&marks).collect();
                let strange: Vec<_> = marks.difference(&expected[log]).collect();
                assert!(
                    lost.is_empty() && strange.is_empty(),
                    "round {round}: lost {lost:?}, strange {strange:?}"
                );
            }
            if round % 5 == 4 {
                assert_eq!(run_json(&data, &["check"])["ok"], true, "round {round}");
            }
            n_answered += known.answered.len();
        }
        assert_eq!(run_json(&data, &["check"])["ok"], true, "from round {first}");
    }
    println!(
        "{rounds} rounds: {n_answered} answered, {n_unanswered} not, {n_replayed} of them recorded all the same"
    );
    assert!(n_answered > 0 && n_unanswered > 0 && n_deleted > 0);
}

#[test]
fn a_file_that_may_not_grow_ends_the_process_with_74_and_loses_nothing() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let data = directory.path().join("data");
    let owners = Owners::create(&data);
    let size = data.join("mailtrail.db").metadata().expect("the database").len();
    // Some hundred kilobytes more than it has; the signal that the kernel sends must not kill it.
    let mut serving = Serving::start_with_file_limit(&data, (size + 400_000) / 512);
    let agent = agent();
    let mut answered = BTreeSet::new();
    for n in 0..20_000 {
        let write = owners.write(0, 0, n);
        match owners.send(&agent, &serving.url, &write) {
            Ok(answer) if (200..300).contains(&answer.status) => {
                answered.extend(write.marks.into_iter().map(|mark| (write.log, mark)));
            }
            _ => break,
        }
    }
    let status = serving.end();
    assert_eq!(status.code(), Some(74), "{status}");
    assert!(answered.len() > 10, "{} rows", answered.len());
    let found = exported(&data, &owners);
    for (log, mark) in &answered {
        assert_eq!(found[*log].get(mark), Some(&1), "{mark} was answered");
    }
    assert_eq!(run_json(&data, &["check"])["ok"], true);
    let serving = Serving::start(&data);
    owners.send(&agent, &serving.url, &owners.write(1, 0, 0)).expect("an answer").status(201);
}
