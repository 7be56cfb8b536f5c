//! Every figure of `/metrics`, group by group: names as Prometheus has them, units in the name, a label only from a
//! known set.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::app::App;
use crate::error::Result;
use crate::metrics::{Text, seconds};
use crate::routes::TABLES;
use crate::store::counts::Log;
use crate::time::SECOND;
use crate::{activity, enforcement, messages};

pub fn write(app: &App) -> Result<Text> {
    let mut text = Text::default();
    let version = env!("CARGO_PKG_VERSION");
    text.begin("mailtrail_build_info", "gauge", "The version that runs, and the SQLite in it.");
    text.sample(
        "mailtrail_build_info",
        &[("version", version), ("sqlite", crate::store::sqlite_version())],
        1,
    );
    requests(app, &mut text);
    connections(app, &mut text);
    limits(app, &mut text);
    store(app, &mut text)?;
    scheduled(app, &mut text);
    witnesses(app, &mut text);
    process(&mut text);
    Ok(text)
}

fn requests(app: &App, text: &mut Text) {
    let routes = TABLES.iter().copied().flatten().map(|route| (route.method.as_str(), route.path));
    let counted: Vec<_> = routes.chain([("any", "none")]).zip(&app.requests).collect();
    let name = "mailtrail_http_requests_total";
    text.begin(name, "counter", "Requests answered, by route; the route none has those that have no route.");
    let mut denied = [(401, 0), (403, 0)];
    for ((method, route), requests) in &counted {
        for (status, n) in requests.by_status() {
            let word = if status == 0 { "other".to_owned() } else { status.to_string() };
            text.sample(name, &[("method", method), ("route", route), ("status", &word)], n);
            denied.iter_mut().filter(|(known, _)| *known == status).for_each(|(_, sum)| *sum += n);
        }
    }
    let name = "mailtrail_http_request_duration_seconds";
    text.begin(name, "histogram", "From the whole request to the beginning of its answer.");
    for ((method, route), requests) in &counted {
        if requests.by_status().next().is_some() {
            text.durations(name, &[("method", method), ("route", route)], &requests.durations);
        }
    }
    let name = "mailtrail_http_denied_total";
    text.begin(name, "counter", "Requests of nobody that is known (401), or of somebody who may not (403).");
    for (status, n) in denied {
        text.sample(name, &[("status", &status.to_string())], n);
    }
    let name = "mailtrail_http_limited_total";
    text.begin(
        name,
        "counter",
        "Requests past what a key (or person), or an address without one, may make (429).",
    );
    for (by, n) in app.rates.refused() {
        text.sample(name, &[("by", by)], n);
    }
    let name = "mailtrail_http_refused_total";
    text.begin(name, "counter", "Requests that were refused before a route was looked for, by status.");
    for (status, n) in app.counters.refused() {
        text.sample(name, &[("status", &status.to_string())], n);
    }
}

fn connections(app: &App, text: &mut Text) {
    let counters = &app.counters;
    let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
    text.gauge("mailtrail_http_connections", "Connections open now.", of(&counters.open));
    text.gauge("mailtrail_http_requests_in_flight", "Requests being answered now.", of(&counters.working));
    for (name, help, count) in [
        ("connections_accepted", "Connections accepted.", &counters.accepted),
        ("connections_pushed_out", "Connections closed to make room for another.", &counters.pushed_out),
        ("connections_turned_away", "Newcomers refused since everybody was at work.", &counters.turned_away),
        ("accept_failures", "Connections or threads that the system refused.", &counters.accept_failures),
        ("answers_cut", "Answers that could not be finished.", &counters.cut_answers),
        ("panics", "Handlers that panicked.", &counters.panics),
    ] {
        text.counter(&format!("mailtrail_http_{name}_total"), help, of(count));
    }
}

/// Every limit in force, also those that are no setting.
fn limits(app: &App, text: &mut Text) {
    let (config, limits) = (&app.config, &app.config.limits);
    let rate = |rate: Option<crate::config::Rate>| {
        rate.map_or("+Inf".to_owned(), |rate| rate.per_second().to_string())
    };
    for (name, value) in [
        ("connections", limits.connections.to_string()),
        ("connections_per_address", limits.connections_per_address.to_string()),
        ("requests_in_flight", limits.handlers.to_string()),
        ("requests_per_key_per_second", rate(config.requests_per_key)),
        ("requests_per_address_per_second", rate(config.requests_per_address)),
        ("head_bytes", limits.head.bytes.to_string()),
        ("head_fields", limits.head.fields.to_string()),
        ("target_bytes", limits.head.target.to_string()),
        ("body_bytes", config.max_body.to_string()),
        ("bulk_body_bytes", config.max_bulk_body.to_string()),
        ("body_memory_bytes", limits.memory.to_string()),
        ("body_bytes_per_second", limits.body_rate.to_string()),
        ("answer_bytes_per_second", limits.answer_rate.to_string()),
        ("idle_seconds", seconds(limits.idle_time)),
        ("head_seconds", seconds(limits.head_time)),
        ("body_seconds", seconds(limits.body_time)),
        ("answer_seconds", seconds(limits.answer_time)),
        ("wait_seconds", seconds(limits.handler_wait)),
    ] {
        text.gauge(&format!("mailtrail_limit_{name}"), "The limit in force.", value);
    }
}

fn store(app: &App, text: &mut Text) -> Result<()> {
    let writer = app.store.writer();
    text.gauge("mailtrail_writer_up", "Whether writes are taken.", u8::from(writer.is_alive));
    text.gauge("mailtrail_writer_waiting", "Writes that wait for their commit.", writer.waiting);
    let name = "mailtrail_commit_duration_seconds";
    text.begin(name, "histogram", "From the first statement of a batch of writes to the end of its commit.");
    text.durations(name, &[], app.store.commit_durations());
    let (commits, writes) = app.store.batches();
    let name = "mailtrail_commit_writes";
    text.begin(name, "histogram", "Writes that shared a commit, and its fsync.");
    for (size, n) in app.store.batch_sizes() {
        text.sample("mailtrail_commit_writes_bucket", &[("le", &size.to_string())], n);
    }
    text.sample("mailtrail_commit_writes_bucket", &[("le", "+Inf")], commits);
    text.sample("mailtrail_commit_writes_sum", &[], writes);
    text.sample("mailtrail_commit_writes_count", &[], commits);
    let (database, wal) = app.store.bytes();
    text.gauge("mailtrail_database_bytes", "Size of the database file.", database);
    text.gauge("mailtrail_wal_bytes", "Size of its write-ahead log.", wal);
    let room = app.store.disk().room();
    text.gauge(
        "mailtrail_disk_free_bytes",
        "What the file system of the data directory has left.",
        room.free,
    );
    let help = "Bytes below which nothing is recorded.";
    text.gauge("mailtrail_disk_reserve_bytes", help, app.store.disk().reserve());
    let help = "Whether there is room to record.";
    text.gauge("mailtrail_disk_recording", help, u8::from(!room.is_low));
    let name = "mailtrail_rows_recorded_total";
    text.begin(name, "counter", "Rows recorded since the start, by log.");
    for (log, n) in app.store.recorded() {
        text.sample(name, &[("log", log.word())], n);
    }
    let oldest = app.store.read(|snapshot| {
        Ok([
            (Log::Enforcement, enforcement::sql::oldest(snapshot)?),
            (Log::Messages, messages::sql::oldest(snapshot)?),
            (Log::Activity, activity::sql::oldest(snapshot)?),
        ])
    })?;
    let name = "mailtrail_oldest_row_timestamp_seconds";
    text.begin(
        name,
        "gauge",
        "The own time of the row recorded first of those that are still there, by log.",
    );
    for (log, at) in oldest {
        if let Some(at) = at {
            text.sample(name, &[("log", log.word())], at.micros() / SECOND);
        }
    }
    Ok(())
}

fn scheduled(app: &App, text: &mut Text) {
    text.gauge(
        "mailtrail_scheduler_lag_seconds",
        "How far the jobs are behind that never take long: checkpoints, witnesses, resets, usage.",
        seconds(app.rounds.lag()),
    );
    let name = "mailtrail_job_runs_total";
    text.begin(name, "counter", "Runs of each job.");
    for (job, ran) in app.rounds.jobs() {
        text.sample(name, &[("job", job)], ran.runs.load(Ordering::Relaxed));
    }
    let name = "mailtrail_job_failures_total";
    text.begin(name, "counter", "Runs of each job that failed.");
    for (job, ran) in app.rounds.jobs() {
        text.sample(name, &[("job", job)], ran.failures.load(Ordering::Relaxed));
    }
    let name = "mailtrail_job_next_timestamp_seconds";
    text.begin(name, "gauge", "When each job runs next.");
    for (job, ran) in app.rounds.jobs() {
        text.sample(name, &[("job", job)], ran.next.load(Ordering::Relaxed) / SECOND);
    }
    let name = "mailtrail_job_duration_seconds";
    text.begin(name, "histogram", "How long the runs of each job took.");
    for (job, ran) in app.rounds.jobs() {
        text.durations(name, &[("job", job)], &ran.durations);
    }
    if let Some(last) = app.backups.last() {
        let help = "When the last finished backup was begun.";
        text.gauge("mailtrail_last_backup_timestamp_seconds", help, last.micros() / SECOND);
    }
}

fn witnesses(app: &App, text: &mut Text) {
    let cosigned: Vec<_> = app.witnesses.cosigned().collect();
    if cosigned.is_empty() {
        return;
    }
    let name = "mailtrail_witness_cosigned_leaves";
    text.begin(
        name,
        "gauge",
        "Leaves of the last checkpoint that each witness cosigned; 0: none since the start.",
    );
    for (witness, last) in &cosigned {
        text.sample(name, &[("witness", witness)], last.map_or(0, |(size, _)| size));
    }
    let name = "mailtrail_witness_cosigned_timestamp_seconds";
    text.begin(name, "gauge", "When each witness cosigned it, by its clock.");
    for (witness, last) in &cosigned {
        if let Some((_, time)) = last {
            text.sample(name, &[("witness", witness)], time);
        }
    }
}

/// What the kernel says of the process, under the names that Prometheus' own clients use.
fn process(text: &mut Text) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    if let Some(kilobytes) = of("VmRSS") {
        text.gauge("process_resident_memory_bytes", "Memory in use.", kilobytes * 1024);
    }
    if let Some(threads) = of("Threads") {
        text.gauge("process_threads", "Threads.", threads);
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        text.gauge("process_open_fds", "Open files and sockets.", open.count());
    }
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    if let Some(limit) = limit {
        text.gauge("process_max_fds", "Files and sockets that may be open.", limit);
    }
}
