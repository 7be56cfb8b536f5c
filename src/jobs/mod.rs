//! The scheduler: a few jobs, each with a named thread of its own, so that none is late for another's sake. Retention
//! takes hours over ten million rows and a backup of a large database minutes, and meanwhile a checkpoint is due every
//! second and the daily reset at its time.
//!
//! Due times go by the application's clock, so that tests move it; the threads wake often. A job that fails is logged,
//! noted in its row, and tried again at its next time. What takes long does so in bounded pieces, and looks between two
//! of them whether the process is to end. A panic ends its thread, and with it the process (`dead`).

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

/// Something that is done by itself, again and again.
pub struct Job {
    pub name: &'static str,
    /// Seconds from one run to the next.
    pub every: i64,
    pub length: Length,
    /// Does what is due and says what; `null`: nothing worth a row in `jobs`.
    pub run: fn(&App) -> Result<Value>,
}

/// How long a run takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// Never long: one that is under way for minutes is stuck, and `/readyz` says so.
    Short,
    /// As long as there is work: nobody can say when it is stuck.
    Long,
}

use Length::{Long, Short};

const JOBS: [Job; 9] = [
    Job { name: "checkpoint", every: 1, length: Short, run: checkpoints::run },
    // After the checkpoint, which it shows to others.
    Job { name: "witnesses", every: 1, length: Short, run: witnesses::run },
    Job { name: "resets", every: 5, length: Short, run: resets::run },
    Job { name: "usage", every: 60, length: Short, run: housekeeping::write_usage },
    Job { name: "seals", every: 60, length: Long, run: checkpoints::seal },
    Job { name: "housekeeping", every: 600, length: Long, run: housekeeping::forget },
    Job { name: "give_back", every: 10, length: Long, run: housekeeping::give_back },
    Job { name: "retention", every: 3600, length: Long, run: retention::scheduled },
    // Looks itself whether one is due.
    Job { name: "backup", every: 60, length: Long, run: backups::run },
];

/// Seconds after which a job is tried again that met a full disk: it may have the ballast's room by then.
const WHEN_FULL: i64 = 30;

/// How often a thread looks at the clock.
const TICK: Duration = Duration::from_millis(200);

/// The running threads; dropping it waits for what they have in hand.
pub struct Scheduler {
    app: Arc<App>,
    stop: Arc<(Mutex<bool>, Condvar)>,
    threads: Vec<(&'static str, JoinHandle<()>)>,
}

impl Scheduler {
    pub fn start(app: Arc<App>) -> Result<Self> {
        Self::start_jobs(app, &JOBS)
    }

    /// `start` with other jobs than ours: how a test has one that panics.
    pub fn start_jobs(app: Arc<App>, jobs: &'static [Job]) -> Result<Self> {
        let mut scheduler = Self { app, stop: Arc::default(), threads: Vec::new() };
        for job in jobs {
            let (app, stop) = (Arc::clone(&scheduler.app), Arc::clone(&scheduler.stop));
            let thread = std::thread::Builder::new()
                .name(job.name.into())
                .spawn(move || serve(&app, job, &stop))
                .map_err(Error::io("cannot start the scheduler"))?;
            scheduler.threads.push((job.name, thread));
        }
        Ok(scheduler)
    }

    /// The job whose thread is gone: a panic in it must not go unseen.
    pub fn dead(&self) -> Option<&'static str> {
        self.threads.iter().find(|(_, thread)| thread.is_finished()).map(|(name, _)| *name)
    }
}

fn serve(app: &App, job: &'static Job, (is_over, wake): &(Mutex<bool>, Condvar)) {
    let mut next = None;
    loop {
        run_when_due(app, job, &mut next);
        if let Some(ran) = app.rounds.of(job.name) {
            ran.looked();
        }
        let is_over = is_over.lock().unwrap_or_else(PoisonError::into_inner);
        let (is_over, _) = wake
            .wait_timeout_while(is_over, TICK, |is_over| !*is_over)
            .unwrap_or_else(PoisonError::into_inner);
        if *is_over {
            return;
        }
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.app.stopping.store(true, Ordering::Relaxed);
        *self.stop.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.1.notify_all();
        for (_, thread) in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// What each job did, and when its thread last looked whether it is due: how long ago that is says whether it hangs.
pub struct Rounds {
    opened: Instant,
    jobs: [Ran; JOBS.len()],
}

impl Default for Rounds {
    fn default() -> Self {
        Self { opened: Instant::now(), jobs: Default::default() }
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
    /// When the clock was last looked at, with nothing left to do; `None` before the end of the first run.
    looked: Mutex<Option<Instant>>,
}

impl Ran {
    fn looked(&self) {
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn last_look(&self) -> Option<Instant> {
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rounds {
    /// When the thread that is furthest behind last looked; `None` until each has run once.
    pub fn last(&self) -> Option<Instant> {
        self.jobs.iter().map(Ran::last_look).min().flatten()
    }

    /// How far behind the short jobs are. Before the first run: since there is a scheduler to be waited for.
    pub fn lag(&self) -> Duration {
        let short = JOBS.iter().zip(&self.jobs).filter(|(job, _)| job.length == Short);
        let lags = short.map(|(_, ran)| ran.last_look().unwrap_or(self.opened).elapsed());
        lags.max().unwrap_or_default()
    }

    pub fn uptime(&self) -> Duration {
        self.opened.elapsed()
    }

    pub fn jobs(&self) -> impl Iterator<Item = (&'static str, &Ran)> {
        JOBS.iter().map(|job| job.name).zip(&self.jobs)
    }

    fn of(&self, name: &str) -> Option<&Ran> {
        self.jobs().find(|(job, _)| *job == name).map(|(_, ran)| ran)
    }
}

/// When each job runs next, for who runs them one after the other.
#[derive(Default)]
pub struct Due(HashMap<&'static str, Option<Timestamp>>);

impl Due {
    /// Runs every job that is due. At first all are.
    pub fn run(&mut self, app: &App) {
        for job in &JOBS {
            run_when_due(app, job, self.0.entry(job.name).or_default());
        }
    }
}

/// At first a job is due: what a switched-off time left undone is done at once. A clock that stepped back makes it due
/// too, for nobody knows by how much.
fn run_when_due(app: &App, job: &Job, due: &mut Option<Timestamp>) {
    let now = app.clock.now();
    if due.is_some_and(|due| now < due && due <= now.plus_seconds(job.every)) {
        return;
    }
    let started = Instant::now();
    let outcome = (job.run)(app);
    let mut next = now.plus_seconds(job.every);
    if outcome.as_ref().is_err_and(is_full) {
        next = now.plus_seconds(job.every.min(WHEN_FULL));
    }
    *due = Some(next);
    if let Some(ran) = app.rounds.of(job.name) {
        ran.next.store(next.micros(), Ordering::Relaxed);
        ran.durations.note(started.elapsed());
        ran.runs.fetch_add(1, Ordering::Relaxed);
        ran.failures.fetch_add(u64::from(outcome.is_err()), Ordering::Relaxed);
    }
    match outcome {
        Ok(Value::Null) => {}
        Ok(outcome) => note(app, job.name, now, outcome),
        // It is no failure that what was under way is broken off, and nothing is written any more.
        Err(_) if app.stopping.load(Ordering::Relaxed) => {}
        Err(error) => {
            log::log!(error.level(), "job {}: {error}", job.name);
            note(app, job.name, now, json!({ "error": error.to_string() }));
        }
    }
}

fn note(app: &App, name: &'static str, started_at: Timestamp, outcome: Value) {
    let noted = app.store.write(move |tx| crate::store::jobs::note(tx, name, started_at, &outcome));
    if let Err(error) = noted {
        log::log!(error.level(), "job {name}: cannot note its run: {error}");
    }
}
