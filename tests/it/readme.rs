//! What the papers say is what there is: the settings, the routes that want no caller, and each number of docs/limits.md.

use std::path::Path;

use mailtrail::config::SETTINGS;
use mailtrail::http::route::Handler;
use mailtrail::routes::TABLES;

#[test]
fn the_table_of_settings_is_the_list_in_the_source() {
    let readme = include_str!("../../README.md");
    let row = |setting: &mailtrail::config::Setting| {
        let default =
            if setting.default.is_empty() { String::new() } else { format!("`{}`", setting.default) };
        format!("| `{}` | {default} | {} |", setting.key, setting.meaning)
    };
    let expected: Vec<String> = SETTINGS.iter().map(row).collect();
    let found: Vec<&str> = readme
        .lines()
        .skip_while(|line| !line.starts_with("| setting |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn the_routes_that_want_no_caller_are_those_of_the_readme() {
    let readme = include_str!("../../README.md");
    let row = readme.lines().find(|line| line.starts_with("| somebody on the network |")).expect("its row");
    let told = row.split("every route but ").nth(1).and_then(|rest| rest.split(" wants a caller").next());
    let told = told.expect("its sentence").replace("the login", "`/api/v1/auth/login`");
    let told = told.replace("an invitation's link", "`/api/v1/invitations/{token}`");
    let mut told: Vec<&str> = told.split('`').skip(1).step_by(2).collect();
    let mut open: Vec<&str> = TABLES
        .iter()
        .copied()
        .flatten()
        .filter(|route| matches!(route.handler, Handler::Open(_)))
        .map(|route| route.path)
        .collect();
    for list in [&mut told, &mut open] {
        list.sort_unstable();
        list.dedup();
    }
    assert_eq!(open, told);
}

/// What docs/limits.md says, the file that keeps it, and what stands there. Whoever changes one of the two sees the other.
const LIMITS: &[(&str, &str, &str)] = &[
    ("400 classes of characters", "messages/guards.rs", "MOST_CLASSES: usize = 4_000"),
    ("of these 16 messages wait", "messages/guards.rs", "MOST_WAITING: usize = 16"),
    (
        "16 KiB, 64 fields, a target of 8 KiB",
        "http/framing.rs",
        "bytes: 16 * 1024, fields: 64, target: 8 * 1024",
    ),
    ("where that took over 50 ms", "routes.rs", "STANDS: Duration = Duration::from_millis(50)"),
    ("4 KiB for a question or a stranger's", "http/route.rs", "single.min(4 * 1024)"),
    ("64 KiB for a setting", "http/route.rs", "single.min(64 * 1024)"),
    ("a sixteenth for strangers, a quarter for the operator", "http/account.rs", "(memory / 16, memory / 4)"),
    (
        "a quarter of `max_body_memory` for known callers, an eighth",
        "http/account.rs",
        "Parts::new(memory / 8, memory / 4, memory / 8)",
    ),
    ("1,024 members", "http/coding.rs", "MEMBERS: usize = 1024"),
    ("64 levels", "http/json.rs", "DEEPEST: usize = 64"),
    ("10,000 names and values", "http/json.rs", "MOST: usize = 10_000"),
    ("50,000 rows", "http/batch.rs", "MOST: usize = 50_000"),
    ("the first eight problems", "error.rs", "MOST: usize = 8"),
    ("60 characters of what came", "mask.rs", "SHOWN_OF_A_TEXT: usize = 60"),
    ("32 of a stranger's", "mask.rs", "SHOWN_OF_A_STRANGER: usize = 32"),
    ("an eighth for strangers, a quarter for the operator", "http/turns.rs", "(n / 8, n / 4)"),
    ("16 at the same time, beside the handlers", "http/conversation.rs", "DOORS: usize = 16"),
    ("(19 MiB)", "auth/password.rs", "m=19456,"),
    ("eight wait, and eight more", "auth/password.rs", "MOST_WAITING: usize = 8"),
    ("eight wait, and eight more", "auth/password.rs", "MOST_WITH_KNOWN: usize = 16"),
    ("eight connections of their own", "store/readers.rs", "SHORT: u32 = 8"),
    ("two at a time, with eight behind", "store/readers.rs", "LISTS_OF_ONE: usize = 2"),
    ("two at a time, with eight behind", "store/readers.rs", "WAITING_BEHIND_LONG: usize = 8"),
    ("15 million steps of SQLite's machine a second", "store/readers.rs", "STEPS_A_SECOND: u64 = 15_000_000"),
    ("after the first 300 million", "store/readers.rs", "ALLOWANCE: Duration = Duration::from_secs(20)"),
    ("20 million each", "store/mod.rs", "LIST_STEPS: u64 = 20_000_000"),
    ("pieces of 20,000 rows", "erasure/mod.rs", "READ_AT_ONCE: i64 = 20_000"),
    ("20,000 rows or 4 MiB", "erasure/mod.rs", "BYTES_AT_ONCE: usize = 4 << 20"),
    ("48 readings", "erasure/readings.rs", "MOST: usize = 48"),
    ("16 times its bytes and 16 KiB, at most 16 MiB", "erasure/readings.rs", "MOST_ROOM: usize = 16 << 20"),
    ("100 longer words of 400 bytes", "erasure/address.rs", "MOST_WORDS: usize = 100"),
    ("100 longer words of 400 bytes", "erasure/address.rs", "LONGEST_WORD: usize = 400"),
    ("1,000 kinds of a log", "erasure/mod.rs", "MOST_KINDS: usize = 1000"),
    ("1,000 certificates", "erasure/mod.rs", "MOST_CERTIFICATES: usize = 1000"),
    ("`limit` entries or 1 MiB", "messages/api.rs", "PAGE_BYTES: usize = 1024 * 1024"),
    ("each of up to 1,000 mailboxes", "messages/across.rs", "MERGED: usize = 1000"),
    ("or 20,000 rows looked at", "export.rs", "LOOKED_AT: i64 = 20_000"),
    ("pieces of 256 KiB", "http/stream.rs", "PIECE_BYTES: usize = 256 * 1024"),
    ("1,024 writes", "store/writer.rs", "QUEUE: usize = 1024"),
    ("takes 256 of them or 50 ms", "store/writer.rs", "BATCH: usize = 256"),
    ("takes 256 of them or 50 ms", "store/writer.rs", "BATCH_TIME: Duration = Duration::from_millis(50)"),
    ("one over 1 MiB has a transaction to itself", "kept.rs", "LARGE_WRITE: usize = 1024 * 1024"),
    ("| 256 KiB; of rows only their numbers", "kept.rs", "LARGEST_BODY: usize = 256 * 1024"),
    ("100 and 256 KiB; each 64 KiB", "messages/mod.rs", "MOST_FACTS: i64 = 100"),
    ("100 and 256 KiB; each 64 KiB", "messages/mod.rs", "MOST_BYTES: i64 = 256 * 1024"),
    ("100 and 256 KiB; each 64 KiB", "messages/mod.rs", "LARGEST_FACT: usize = 64 * 1024"),
    ("the last 999 of 998 bytes", "ingest/identifiers.rs", "MAX_REFERENCES: usize = 1000"),
    ("the last 999 of 998 bytes", "ingest/identifiers.rs", "MAX_ID: usize = 998"),
    ("| 100 fields each; of them the first", "ingest/identifiers.rs", "MAX_FIELDS: usize = 100"),
    ("1,000 fields; of believed servers 100 results", "ingest/verification.rs", "MAX_FIELDS: usize = 1000"),
    ("1,000 fields; of believed servers 100 results", "ingest/verification.rs", "MAX_RESULTS: usize = 100"),
    ("values of 998 bytes", "ingest/verification.rs", "MAX_VALUE: usize = 998"),
    ("| 100 fields, 64 KiB each", "ingest/eml.rs", "MAX_FIELDS: usize = 100"),
    ("| 100 fields, 64 KiB each", "ingest/address.rs", "MAX_FIELD: usize = 64 * 1024"),
    ("64 KiB each; a longer one is told", "ingest/content.rs", "MAX_FIELD: usize = 64 * 1024"),
    ("64 KiB; guards refuse a longer one", "ingest/eml.rs", "MAX_SUBJECT: usize = 64 * 1024"),
    ("10,000, however deep", "ingest/parts.rs", "MAX_PARTS: usize = 10_000"),
    ("2,097,152 comparisons", "ingest/parts.rs", "MAX_COMPARISONS: usize = 1 << 21"),
    ("1 MiB decoded", "ingest/parts.rs", "MAX_TEXT: usize = 1 << 20"),
    ("up to 8,000 of them or 2 MiB at a time", "cli/data.rs", "LARGEST_CHUNK: usize = 8000"),
    ("up to 8,000 of them or 2 MiB at a time", "cli/data.rs", "CHUNK_BYTES: usize = 2 * 1024 * 1024"),
    ("8 MiB of memory to count lines", "store/occurrences.rs", "cache_size = -8192"),
    ("5,000 senders, 50 guards", "messages/policy.rs", "MOST_SENDERS: usize = 5000"),
    ("5,000 senders, 50 guards", "messages/policy.rs", "MOST_GUARDS: usize = 50"),
    ("1 MiB compiled each and 8 MiB together", "messages/matching.rs", "LARGEST: usize = 1 << 20"),
    ("1 MiB compiled each and 8 MiB together", "messages/guards.rs", "LARGEST_POLICY: usize = 8 << 20"),
    ("67 million steps", "messages/matching.rs", "Self(1 << 26)"),
    ("or eight bytes of text", "messages/matching.rs", "BYTES_A_STEP: usize = 8"),
    ("| 32 MiB, the latest used", "messages/guards.rs", "MOST_KEPT: usize = 32 << 20"),
    ("up to 100 rows one transaction", "jobs/retention.rs", "SMALL: i64 = 100"),
    ("else pieces of 20 to 5,000", "jobs/retention.rs", "PIECES: RangeInclusive<i64> = 20..=5000"),
    (
        "as many as take 1 ms while somebody writes",
        "jobs/retention.rs",
        "STEP_BESIDE_WRITES: Duration = Duration::from_millis(1)",
    ),
    ("10 ms while nobody does", "jobs/retention.rs", "STEP_ALONE: Duration = Duration::from_millis(10)"),
    ("one row of control for each 20,000", "jobs/retention.rs", "GATHERED: i64 = 20_000"),
    ("500 counts a transaction", "admin/appliance.rs", "REPAIRED_AT_ONCE: usize = 500"),
    ("looked at each 4 MB; flushed each 64 MB", "store/backup.rs", "PAGES_A_STEP: i32 = 1000"),
    ("looked at each 4 MB; flushed each 64 MB", "store/backup.rs", "STEPS_A_FLUSH: u32 = 16"),
    ("| the last 100 |", "store/backups.rs", "MOST_BY_HAND: i64 = 100"),
    ("1,000 that fit and 1,000 that do not", "tlog/removals.rs", "MOST_TOLD: usize = 1000"),
    ("1,000 of one caller in an hour, then 429", "taken.rs", "MOST_EXPORTS: u64 = 1000"),
    ("past 1,000 rows in an hour", "taken.rs", "MOST: u64 = 1000"),
    ("8,192 filters and 8,192 callers", "auth/places.rs", "SETS: usize = 1024"),
    ("8,192 filters and 8,192 callers", "auth/places.rs", "NEIGHBOURS: usize = 8"),
    ("20 about requests of strangers", "app.rs", "STRANGERS_LINES: u32 = 20"),
    ("20 about faults over requests", "seldom.rs", "FAULTS: Seldom = Seldom::new(20)"),
    ("20 about refusals for lack of room", "seldom.rs", "REFUSALS: Seldom = Seldom::new(20)"),
    ("10,000 rows or 4 MB a page, read 256 at a time", "export.rs", "MOST_OWNERS: i64 = 10_000"),
    ("10,000 rows or 4 MB a page, read 256 at a time", "export.rs", "OWNERS_BYTES: usize = 4 * 1024 * 1024"),
    ("10,000 rows or 4 MB a page, read 256 at a time", "export.rs", "OWNERS_AT_ONCE: usize = 256"),
];

/// The same of README's own numbers.
const NUMBERS: &[(&str, &str, &str)] = &[
    ("It may use 1 GB of memory", "packaging/mailtrail.service", "MemoryMax=1G"),
    ("8,192 files and 4,200 tasks", "packaging/mailtrail.service", "LimitNOFILE=8192"),
    ("8,192 files and 4,200 tasks", "packaging/mailtrail.service", "TasksMax=4200"),
    ("has hung for a minute", "packaging/mailtrail.service", "WatchdogSec=60s"),
    ("refused with exit code 78 waits", "packaging/mailtrail.service", "RestartPreventExitStatus=78"),
    (
        "waits half a minute for a command",
        "src/data_directory.rs",
        "PATIENCE: Duration = Duration::from_secs(30)",
    ),
    ("for five seconds at most", "src/cli/setup.rs", "HEALTHY: Duration = Duration::from_secs(5)"),
    ("is open for seven days", "src/owners/invitations.rs", "DAYS: i64 = 7"),
    ("ends at a megabyte", "src/messages/api.rs", "PAGE_BYTES: usize = 1024 * 1024"),
    ("more than 1,000 mailboxes where 20,000 entries", "src/messages/across.rs", "MERGED: usize = 1000"),
    ("at most 10,000 rows or 4 MB a page", "src/export.rs", "MOST_OWNERS: i64 = 10_000"),
    ("8 MiB of them, or a twentieth", "src/jobs/housekeeping.rs", "SPARE: i64 = 2048"),
    ("A run of up to 100 rows is one transaction", "src/jobs/retention.rs", "SMALL: i64 = 100"),
    ("leapt more than a week past", "src/jobs/retention.rs", "LEAP_DAYS: i64 = 7"),
    ("stood there for ten minutes", "src/store/believed.rs", "CONFIRMED: i64 = 10 * MINUTE"),
    ("one for each 20,000", "src/jobs/retention.rs", "GATHERED: i64 = 20_000"),
    ("Once all 256 rows of a tile", "src/tlog/tree.rs", "TIER: u32 = 8"),
    ("asked again after ten seconds", "src/jobs/witnesses.rs", "EVERY: i64 = 10"),
    ("ever more rarely, up to an hour", "src/jobs/witnesses.rs", "LONGEST_PAUSE: i64 = 3600"),
    ("tried again after five minutes", "src/jobs/backups.rs", "AGAIN: i64 = 300"),
    ("all of it once it has 64 MB", "src/store/writer.rs", "PAGES_WHEN_BUSY: i32 = 16_000"),
    ("64 MiB in which retention can delete", "src/store/disk.rs", "BALLAST: u64 = 64 << 20"),
    ("ten seconds' worth may come at once", "src/auth/rates.rs", "BURST: Duration = Duration::from_secs(10)"),
    ("past 1,000 exports of one caller", "src/taken.rs", "MOST_EXPORTS: u64 = 1000"),
    ("ends within two seconds", "src/http/limits.rs", "handler_wait: Duration::from_secs(2)"),
    ("take four seconds more", "src/serve.rs", "GRACE: Duration = Duration::from_secs(4)"),
    ("a write takes 30 seconds", "src/ops/readiness.rs", "WRITER_SECONDS: u64 = 30"),
    ("never long (two minutes)", "src/ops/readiness.rs", "SCHEDULER_SECONDS: u64 = 120"),
    ("five minutes before the latest write", "src/ops/readiness.rs", "CLOCK_SECONDS: i64 = 300"),
    ("(or /64) and of an address after five", "src/auth/throttle.rs", "FREE: u32 = 5"),
    ("after a hundred and then one each half minute", "src/auth/throttle.rs", "OF_ACCOUNT: i64 = 100"),
    ("after a hundred and then one each half minute", "src/auth/throttle.rs", "EVERY: i64 = 30"),
    ("in the last 30 days", "src/auth/sources.rs", "DAYS: i64 = 30"),
    ("more than 1,000 rows in an hour by pages", "src/taken.rs", "MOST: u64 = 1000"),
    ("is cut to 512 characters", "src/auth/mod.rs", "take(512)"),
    ("is waited for, five seconds", "src/store/mod.rs", "BUSY: Duration = Duration::from_secs(5)"),
    ("`too_many_parts` (past 10,000)", "src/ingest/parts.rs", "MAX_PARTS: usize = 10_000"),
    ("`too_long` (past 1 MiB)", "src/ingest/parts.rs", "MAX_TEXT: usize = 1 << 20"),
    ("16 digits of its hash", "src/messages/sql.rs", "[..16]"),
    ("take more than 8 MiB compiled together", "src/messages/guards.rs", "LARGEST_POLICY: usize = 8 << 20"),
];

/// What of these rows is not so: the paper does not say it, or the file, below that directory, does not keep it.
fn untrue(paper: &str, directory: &str, rows: &[(&str, &str, &str)]) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let mut wrong = Vec::new();
    for (told, file, kept) in rows {
        let text = std::fs::read_to_string(root.join(file)).unwrap_or_default();
        if !paper.contains(told) {
            wrong.push(format!("no longer said: {told:?}, which {file} keeps: {kept}"));
        }
        if !text.contains(kept) {
            wrong.push(format!("{file} has no {kept:?}; said is {told:?}"));
        }
    }
    wrong
}

#[test]
fn each_number_of_the_readme_is_that_of_what_keeps_it() {
    let readme = include_str!("../../README.md").split_whitespace().collect::<Vec<_>>().join(" ");
    let wrong = untrue(&readme, "", NUMBERS);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_number_of_the_limits_is_that_of_the_source() {
    let limits = include_str!("../../docs/limits.md");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = untrue(limits, "src", LIMITS);
    // The last cell of each row names where its bound is kept.
    for row in limits.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| what |")) {
        let place = row.trim_end_matches(" |").rsplit("| ").next().unwrap_or_default();
        for path in place.split('`').skip(1).step_by(2).filter(|path| !source.join(path).exists()) {
            wrong.push(format!("there is no src/{path}: {row}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
