//! The scheduler: one named thread that runs a few jobs, each a name, an interval and a bounded step.
//!
//! Due times go by the application's clock, so that tests move it; the thread itself wakes often. A job that fails
//! is logged, noted in its row, and tried again at its next time; the others go on.

pub mod backups;
pub mod checkpoints;
pub mod housekeeping;
pub mod resets;
pub mod retention;
pub mod witnesses;

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::app::App;
use crate::error::{Error, Result};
use crate::metrics::Durations;
use crate::store::disk::is_full;
use crate::time::Timestamp;

struct Job {
    name: &'static str,
    /// Seconds from one run to the next.
    every: i64,
    /// Does a bounded piece of work and says what; `null`: nothing worth a row in `jobs`.
    run: fn(&App) -> Result<Value>,
}

const JOBS: [Job; 8] = [
    Job { name: "checkpoint", every: 1, run: checkpoints::run },
    // After the checkpoint, which it shows to others.
    Job { name: "witnesses", every: 1, run: witnesses::run },
    Job { name: "resets", every: 5, run: resets::run },
    Job { name: "usage", every: 60, run: housekeeping::write_usage },
    Job { name: "housekeeping", every: 600, run: housekeeping::forget },
    Job { name: "give_back", every: 10, run: housekeeping::give_back },
    Job { name: "retention", every: 3600, run: retention::scheduled },
    // Notes itself how it ended.
    Job { name: "backup", every: 60, run: backups::run },
];

/// Seconds after which a job is tried again that met a full disk: it may have the ballast's room by then.
const WHEN_FULL: i64 = 30;

/// How often the thread looks at the clock.
const TICK: Duration = Duration::from_millis(200);

/// The running thread; dropping it waits for the job in hand.
pub struct Scheduler {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Scheduler {
    pub fn start(app: Arc<App>) -> Result<Self> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("scheduler".into())
            .spawn(move || {
                let mut due = Due::default();
                loop {
                    due.run(&app);
                    app.rounds.finished();
                    let (flag, wake) = &*stopped;
                    let flag = flag.lock().unwrap_or_else(PoisonError::into_inner);
                    let (flag, _) = wake.wait_timeout(flag, TICK).unwrap_or_else(PoisonError::into_inner);
                    if *flag {
                        return;
                    }
                }
            })
            .map_err(Error::io("cannot start the scheduler thread"))?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Whether the thread is still there: a panic in it must not go unseen.
    pub fn is_alive(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        *self.stop.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.1.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// When the scheduler last went through all jobs: how far behind it is says whether a job hangs. And what it did.
pub struct Rounds {
    opened: Instant,
    last: Mutex<Option<Instant>>,
    jobs: [Ran; JOBS.len()],
}

impl Default for Rounds {
    fn default() -> Self {
        Self { opened: Instant::now(), last: Mutex::default(), jobs: Default::default() }
    }
}

/// What the scheduler did of one job.
#[derive(Default)]
pub struct Ran {
    pub runs: AtomicU64,
    pub failures: AtomicU64,
    /// Microseconds since 1970; 0 before the first run.
    pub next: AtomicI64,
    pub durations: Durations,
}

impl Rounds {
    /// `None` before the end of the first.
    pub fn last(&self) -> Option<Instant> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Since the last; before the first, since there is a scheduler to be waited for.
    pub fn lag(&self) -> Duration {
        self.last().unwrap_or(self.opened).elapsed()
    }

    pub fn uptime(&self) -> Duration {
        self.opened.elapsed()
    }

    pub fn jobs(&self) -> impl Iterator<Item = (&'static str, &Ran)> {
        JOBS.iter().map(|job| job.name).zip(&self.jobs)
    }

    fn finished(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

/// When each job runs next.
#[derive(Default)]
pub struct Due(HashMap<&'static str, Timestamp>);

impl Due {
    /// Runs every job that is due. At first all are: what a switched-off time left undone is done at once. A clock
    /// that stepped back makes them due too, for nobody knows by how much.
    pub fn run(&mut self, app: &App) {
        for (job, ran) in JOBS.iter().zip(&app.rounds.jobs) {
            let now = app.clock.now();
            let next = self.0.get(job.name).copied();
            if next.is_some_and(|next| now < next && next <= now.plus_seconds(job.every)) {
                continue;
            }
            let next = now.plus_seconds(job.every);
            self.0.insert(job.name, next);
            ran.next.store(next.micros(), Ordering::Relaxed);
            let started = Instant::now();
            let outcome = (job.run)(app);
            ran.durations.note(started.elapsed());
            ran.runs.fetch_add(1, Ordering::Relaxed);
            ran.failures.fetch_add(u64::from(outcome.is_err()), Ordering::Relaxed);
            match outcome {
                Ok(Value::Null) => {}
                Ok(outcome) => note(app, job.name, now, outcome),
                Err(error) => {
                    if is_full(&error) {
                        self.0.insert(job.name, now.plus_seconds(job.every.min(WHEN_FULL)));
                    }
                    log::error!("job {}: {error}", job.name);
                    note(app, job.name, now, json!({ "error": error.to_string() }));
                }
            }
        }
    }
}

fn note(app: &App, name: &'static str, started_at: Timestamp, outcome: Value) {
    let noted = app.store.write(move |tx| crate::store::jobs::note(tx, name, started_at, &outcome));
    if let Err(error) = noted {
        log::error!("job {name}: cannot note its run: {error}");
    }
}
