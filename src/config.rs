//! Every setting, and where its value came from: flags beat environment beats systemd's credentials beat file beats
//! defaults.
//!
//! `SETTINGS` is the one list: the file's keys, the `MAILTRAIL_…` names, the defaults, what `mailtrail config`
//! prints and the table in the README all come from it. Values are text until `Config` has read them all; a
//! `Config` that exists cannot be wrong.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use jiff::civil::Time;
use jiff::tz::TimeZone;

use crate::error::{Error, Result};
use crate::http::remote::Prefix;
use crate::http::server::Limits;
use crate::small;
use crate::time::Timestamp;
use crate::tlog::note::{Kind, Verifier};

/// One setting: its key in the file; `MAILTRAIL_` and the key in capitals is its name in the environment.
pub struct Setting {
    pub key: &'static str,
    pub default: &'static str,
    pub meaning: &'static str,
}

const fn setting(key: &'static str, default: &'static str, meaning: &'static str) -> Setting {
    Setting { key, default, meaning }
}

pub const SETTINGS: &[Setting] = &[
    setting("data", "./mailtrail-data", "directory of the database, the lock, the socket and the keys"),
    setting("listen", "127.0.0.1:7465", "address and port to serve on; port 0 takes a free one"),
    setting(
        "license_key",
        "",
        "license for reading the activity log; also SENDDOCK_LICENSE_KEY; empty: as `init` left it",
    ),
    setting(
        "checkpoint_key",
        "",
        "what signs the checkpoints, 64 hex digits; empty: the file checkpoint.key",
    ),
    setting(
        "retention_days",
        "forever",
        "days an enforcement event or a message's entry is kept, unless a setting or policy below says otherwise",
    ),
    setting("enforcement_retention_days", "", "days an enforcement event is kept; empty: retention_days"),
    setting(
        "messages_retention_days",
        "",
        "days a message's entry is kept where its mailbox has no policy; empty: retention_days",
    ),
    setting("activity_retention_days", "forever", "days an activity is kept"),
    setting("daily_reset_time", "00:00", "when the daily send counts start anew, hh:mm"),
    setting("daily_reset_zone", "UTC", "time zone of daily_reset_time, as in Europe/Berlin"),
    setting(
        "authserv_ids",
        "",
        "servers whose Authentication-Results are believed, comma-separated; empty: none",
    ),
    setting(
        "trusted_proxies",
        "127.0.0.1,::1",
        "networks whose X-Forwarded-For and X-Forwarded-Proto are believed, comma-separated",
    ),
    setting(
        "cors_origins",
        "",
        "origins whose pages may call the API with a key, as in https://desk.example.org, comma-separated; empty: none",
    ),
    setting(
        "public_tlog",
        "false",
        "whether strangers may read /tlog, which tells how much is recorded and when, and nothing of what",
    ),
    setting("session_idle", "12h", "a session ends after so long without a request"),
    setting("session_lifetime", "7d", "a session ends after so long in any case"),
    setting("idempotency_lifetime", "24h", "how long the answer to an Idempotency-Key is kept"),
    setting("backup_every", "never", "how often a backup is made by itself, as in 24h"),
    setting("backups_kept", "7", "how many of them are kept"),
    setting("backup_directory", "", "where they go; empty: `backups` in the data directory"),
    setting(
        "disk_reserve",
        "256MiB",
        "nothing is recorded while less of the disk is free; and 64 MiB more are held for cleaning up",
    ),
    setting(
        "witnesses",
        "",
        "who cosigns the checkpoints: verifier key, space and URL of each, comma-separated; empty: nobody",
    ),
    setting("max_body", "1MiB", "largest request body"),
    setting("max_bulk_body", "16MiB", "largest request body of a route that records many, or a message"),
    setting("max_connections", "1024", "open connections"),
    setting(
        "max_connections_per_address",
        "64",
        "open connections of one address (IPv6: one /64); trusted proxies excepted",
    ),
    setting(
        "max_handlers",
        "192",
        "requests at work at once, in shares; one more waits shortly and gets a 503",
    ),
    setting(
        "max_body_memory",
        "128MiB",
        "bodies and answers held for clients at the same time, shared out (docs/limits.md); past it a request gets a 503; \
         a smaller one counts as four times max_bulk_body",
    ),
    setting("max_requests_per_key", "20000/s", "requests of one API key or person; past it a 429"),
    setting(
        "max_requests_per_address",
        "20/s",
        "requests of one address (IPv6: one /64) without a valid key or session; trusted proxies excepted",
    ),
    setting("idle_timeout", "30s", "a connection without a request is closed"),
    setting("head_timeout", "10s", "from the first byte of a request to the end of its head"),
    setting("body_timeout", "20s", "for a body, beside a second for each 32 KiB of it"),
    setting("answer_timeout", "20s", "for a client to take its answer, beside a second for each 8 KiB of it"),
    setting("metrics_listen", "", "another address and port, for /metrics without a key; empty: none"),
    setting("log", "info", "what goes to standard error: error, warn, info or debug"),
];

/// A setting's value before it is read, and who gave it.
#[derive(Debug, Clone)]
pub struct Given {
    pub key: &'static str,
    pub value: String,
    pub origin: String,
}

/// Shown by nobody.
const SECRETS: [&str; 2] = ["license_key", "checkpoint_key"];

/// Everything in force.
#[derive(Debug, Clone)]
pub struct Config {
    pub data: PathBuf,
    pub listen: String,
    pub license_key: Option<String>,
    pub checkpoint_key: Option<String>,
    /// `None`: for ever.
    pub enforcement_days: Option<i64>,
    pub messages_days: Option<i64>,
    pub activity_days: Option<i64>,
    pub reset_time: Time,
    pub reset_zone: TimeZone,
    pub authserv_ids: Vec<String>,
    pub trusted_proxies: Vec<IpNet>,
    /// As a browser writes them: lower-case, no slash at the end.
    pub cors_origins: Vec<String>,
    pub public_tlog: bool,
    pub session_idle: Duration,
    pub session_lifetime: Duration,
    pub idempotency_lifetime: Duration,
    /// `None`: none are made by themselves.
    pub backups: Option<Backups>,
    /// Where they go, and where one is made that is handed to the command line.
    pub backup_directory: PathBuf,
    pub disk_reserve: u64,
    pub witnesses: Vec<Witness>,
    pub max_body: usize,
    pub max_bulk_body: usize,
    pub limits: Limits,
    /// `None`: as many as they like.
    pub requests_per_key: Option<Rate>,
    pub requests_per_address: Option<Rate>,
    pub metrics_listen: Option<SocketAddr>,
    pub log: log::LevelFilter,
    /// As given, for `mailtrail config`.
    pub given: Vec<Given>,
}

/// Who is asked to cosign the checkpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    pub verifier: Verifier,
    /// The submission prefix of C2SP tlog-witness.
    pub url: Prefix,
}

/// The backups that are made by themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backups {
    /// Seconds from one to the next.
    pub every: i64,
    pub kept: usize,
    pub directory: PathBuf,
}

impl Config {
    /// Gathers the values and reads them. `flags` are (key, value); `environment` looks a variable up.
    pub fn load(
        flags: &[(String, String)],
        file: Option<&Path>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self> {
        let (given, bad) = gather(flags, file, environment);
        match bad.into_iter().next() {
            Some((_, error)) => Err(error),
            None => Self::read(given),
        }
    }

    /// Every value as it was given, and what is wrong with any: under its key, or under what could not be read.
    pub fn examine(
        flags: &[(String, String)],
        file: Option<&Path>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> (Vec<Given>, Vec<(String, Error)>) {
        let (given, mut bad) = gather(flags, file, environment);
        let mut good = given.clone();
        // One refusal at a time: with its default in its place the next one is seen.
        while let Err(error) = Self::read(good.clone()) {
            let message = error.to_string();
            let key = message.split(':').next().unwrap_or_default().to_owned();
            let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) else { break };
            if bad.iter().any(|(known, _)| *known == key) {
                break;
            }
            for given in good.iter_mut().filter(|given| given.key == key) {
                given.value = setting.default.to_owned();
            }
            bad.push((key, error));
        }
        (given, bad)
    }

    fn read(given: Vec<Given>) -> Result<Self> {
        let of =
            |key: &str| given.iter().find(|g| g.key == key).map(|g| g.value.as_str()).unwrap_or_default();
        let read = Reader { given: &given };
        let days = read.days("retention_days")?;
        let or_days = |key| if of(key).is_empty() { Ok(days) } else { read.days(key) };
        let trusted_proxies = read.networks("trusted_proxies")?;
        let max_bulk_body = read.bytes("max_bulk_body")?;
        let limits = Limits {
            connections: read.count("max_connections", 1, 100_000)?,
            connections_per_address: read.count("max_connections_per_address", 1, 100_000)?,
            handlers: read.count("max_handlers", 1, 4096)?,
            exempt: trusted_proxies.clone(),
            // So that the largest body fits every share it may come in.
            memory: read.bytes("max_body_memory")?.max(4 * max_bulk_body),
            idle_time: read.duration("idle_timeout")?,
            head_time: read.duration("head_timeout")?,
            body_time: read.duration("body_timeout")?,
            answer_time: read.duration("answer_timeout")?,
            ..Limits::default()
        };
        let kept = read.count("backups_kept", 1, 10_000)?;
        let directory = match of("backup_directory") {
            "" => Path::new(of("data")).join("backups"),
            directory => PathBuf::from(directory),
        };
        let every = read.every("backup_every")?;
        let backups = every.map(|every| Backups { every, kept, directory: directory.clone() });
        let secret = |key| Some(of(key).trim().to_owned()).filter(|text| !text.is_empty());
        Ok(Self {
            data: PathBuf::from(of("data")),
            listen: of("listen").to_owned(),
            license_key: secret("license_key"),
            checkpoint_key: secret("checkpoint_key"),
            enforcement_days: or_days("enforcement_retention_days")?,
            messages_days: or_days("messages_retention_days")?,
            activity_days: read.days("activity_retention_days")?,
            reset_time: read.time("daily_reset_time")?,
            reset_zone: read.zone("daily_reset_zone")?,
            authserv_ids: list(of("authserv_ids")),
            trusted_proxies,
            cors_origins: read.origins("cors_origins")?,
            public_tlog: read.flag("public_tlog")?,
            session_idle: read.duration("session_idle")?,
            session_lifetime: read.duration("session_lifetime")?,
            idempotency_lifetime: read.duration("idempotency_lifetime")?,
            backups,
            backup_directory: directory,
            disk_reserve: read.bytes("disk_reserve")? as u64,
            witnesses: read.witnesses("witnesses")?,
            max_body: read.bytes("max_body")?,
            max_bulk_body,
            limits,
            requests_per_key: read.rate("max_requests_per_key")?,
            requests_per_address: read.rate("max_requests_per_address")?,
            metrics_listen: read.address("metrics_listen")?,
            log: read.level("log")?,
            given,
        })
    }

    /// A value as it was given, and who gave it.
    pub fn given(&self, key: &str) -> Option<&Given> {
        self.given.iter().find(|given| given.key == key)
    }

    /// The values with their origins; a secret shows only that there is one.
    pub fn shown(&self) -> Vec<Given> {
        without_secrets(self.given.clone())
    }

    /// The latest daily reset at or before `now`. Days are the zone's own, 23 to 25 hours long.
    pub fn window_start(&self, now: Timestamp) -> Timestamp {
        let local = now.to_jiff().to_zoned(self.reset_zone.clone());
        let at = |date: jiff::civil::Date| {
            date.to_datetime(self.reset_time)
                .to_zoned(self.reset_zone.clone())
                .map(|zoned| Timestamp::from_micros(zoned.timestamp().as_microsecond()))
        };
        let today = at(local.date()).unwrap_or(now);
        if today <= now {
            return today;
        }
        local.date().yesterday().and_then(at).unwrap_or(today)
    }

    pub fn database(&self) -> PathBuf {
        self.data.join("mailtrail.db")
    }

    pub fn socket(&self) -> PathBuf {
        self.data.join("mailtrail.sock")
    }
}

/// The values with their origins; a secret shows only that there is one.
pub fn without_secrets(mut given: Vec<Given>) -> Vec<Given> {
    for given in given.iter_mut().filter(|g| SECRETS.contains(&g.key) && !g.value.is_empty()) {
        given.value = "(set)".into();
    }
    given
}

/// Every setting's value before it is read. What could not be found out has its default, and stands beside it.
fn gather(
    flags: &[(String, String)],
    file: Option<&Path>,
    environment: impl Fn(&str) -> Option<String>,
) -> (Vec<Given>, Vec<(String, Error)>) {
    let mut bad = Vec::new();
    for (key, _) in flags {
        bad.extend(known(key, "--set").err().map(|error| (key.clone(), error)));
    }
    let from_file = file.map(|path| read_file(path, &mut bad)).unwrap_or_default();
    let mut given = Vec::with_capacity(SETTINGS.len());
    for setting in SETTINGS {
        given.push(resolve(setting, flags, &from_file, file, &environment).unwrap_or_else(|error| {
            bad.push((setting.key.to_owned(), error));
            Given { key: setting.key, value: setting.default.to_owned(), origin: "default".into() }
        }));
    }
    (given, bad)
}

/// Flag, then environment, then credential, then file, then default.
fn resolve(
    setting: &Setting,
    flags: &[(String, String)],
    from_file: &[(String, String)],
    file: Option<&Path>,
    environment: &impl Fn(&str) -> Option<String>,
) -> Result<Given> {
    let key = setting.key;
    let given = |value: String, origin: String| Given { key, value, origin };
    if let Some((_, value)) = flags.iter().rev().find(|(name, _)| name == key) {
        return Ok(given(value.clone(), "flag".into()));
    }
    let mut names = vec![format!("MAILTRAIL_{}", key.to_uppercase())];
    if key == "license_key" {
        names.push("SENDDOCK_LICENSE_KEY".into());
    }
    for name in names {
        if let Some(value) = environment(&name) {
            return Ok(given(value, format!("environment {name}")));
        }
        let name = format!("{name}_FILE");
        if let Some(path) = environment(&name) {
            let value = read_value(Path::new(&path)).map_err(|error| {
                Error::refused(format!("{name}: cannot read {path}: {error}"), "name a readable file")
            })?;
            return Ok(given(value, format!("file {path}, named by {name}")));
        }
    }
    if let Some(directory) = environment("CREDENTIALS_DIRECTORY") {
        let path = Path::new(&directory).join(format!("mailtrail.{key}"));
        match read_value(&path) {
            // As the default it would mean: make one.
            Ok(value) if value.trim().is_empty() => {
                return Err(Error::refused(
                    format!("{key}: the credential {} is empty", path.display()),
                    "put the value into the file that LoadCredential= names, or remove that file",
                ));
            }
            Ok(value) => return Ok(given(value, format!("credential {}", path.display()))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(Error::refused(
                    format!("cannot read the credential {}: {error}", path.display()),
                    "see LoadCredential= in the unit",
                ));
            }
        }
    }
    if let (Some((_, value)), Some(path)) = (from_file.iter().find(|(name, _)| name == key), file) {
        return Ok(given(value.clone(), format!("file {}", path.display())));
    }
    Ok(given(setting.default.to_owned(), "default".into()))
}

/// A value in a file of its own, without the line end that an editor puts there.
fn read_value(path: &Path) -> std::io::Result<String> {
    small::read_file(path).map(|value| value.trim_end_matches(['\r', '\n']).to_owned())
}

/// A TOML file of `key = value` lines; lists become comma-separated text.
fn read_file(path: &Path, bad: &mut Vec<(String, Error)>) -> Vec<(String, String)> {
    let name = path.display().to_string();
    let text = small::read_file(path).map_err(|error| {
        Error::refused(format!("cannot read {name}: {error}"), "name a readable file with --config")
    });
    let table = text.and_then(|text| {
        text.parse::<toml::Table>().map_err(|error| {
            Error::refused(format!("{name} is not TOML: {}", error.message()), "correct the file")
        })
    });
    let table = table.unwrap_or_else(|error| {
        bad.push((name.clone(), error));
        toml::Table::new()
    });
    let mut values = Vec::new();
    for (key, value) in table {
        let text = match (known(&key, &name), value) {
            (Err(error), _) => Err(error),
            (Ok(()), toml::Value::String(text)) => Ok(text),
            (Ok(()), toml::Value::Integer(number)) => Ok(number.to_string()),
            (Ok(()), toml::Value::Boolean(flag)) => Ok(flag.to_string()),
            (Ok(()), toml::Value::Array(items)) if items.iter().all(toml::Value::is_str) => {
                Ok(items.iter().filter_map(toml::Value::as_str).collect::<Vec<_>>().join(","))
            }
            (Ok(()), other) => {
                Err(wrong(&key, &other.to_string(), "text, a whole number or a list of texts"))
            }
        };
        match text {
            Ok(text) => values.push((key, text)),
            Err(error) => bad.push((key, error)),
        }
    }
    values
}

/// What a file says of one setting.
pub fn in_file(path: &Path, key: &str) -> Result<Option<String>> {
    let mut bad = Vec::new();
    let values = read_file(path, &mut bad);
    match bad.into_iter().next() {
        Some((_, error)) => Err(error),
        None => Ok(values.into_iter().find(|(name, _)| name == key).map(|(_, value)| value)),
    }
}

/// Those of the variables of an environment that look like settings and are none.
pub fn misspelt(names: impl Iterator<Item = OsString>) -> Vec<String> {
    let is_setting = |name: &str| {
        let key = name.strip_suffix("_FILE").unwrap_or(name).to_lowercase();
        name == "CONFIG"
            || SETTINGS.iter().any(|setting| setting.key == key || setting.key == name.to_lowercase())
    };
    let ours =
        names.filter_map(|name| name.into_string().ok()?.strip_prefix("MAILTRAIL_").map(str::to_owned));
    ours.filter(|name| !is_setting(name)).map(|name| format!("MAILTRAIL_{name}")).collect()
}

fn known(key: &str, place: &str) -> Result<()> {
    if SETTINGS.iter().any(|setting| setting.key == key) {
        return Ok(());
    }
    Err(Error::refused(
        format!("{place}: there is no setting {key:?}"),
        "`mailtrail config` lists every setting",
    ))
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

fn wrong(key: &str, value: &str, accepted: &str) -> Error {
    Error::refused(
        format!("{key}: {value:?} is not acceptable; accepted: {accepted}"),
        "`mailtrail config` shows where each value came from",
    )
}

/// Reads values; a refusal names the setting, the value and what is accepted.
struct Reader<'a> {
    given: &'a [Given],
}

impl Reader<'_> {
    fn get<T>(&self, key: &str, accepted: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T> {
        let given = self.given.iter().find(|given| given.key == key);
        let value = given.map(|given| given.value.as_str()).unwrap_or_default();
        parse(value).ok_or_else(|| wrong(key, value, accepted))
    }

    fn days(&self, key: &str) -> Result<Option<i64>> {
        self.get(key, "1 to 36500, or forever", |text| match text {
            "forever" => Some(None),
            text => text.parse().ok().filter(|days| (1..=36_500).contains(days)).map(Some),
        })
    }

    fn count(&self, key: &str, least: usize, most: usize) -> Result<usize> {
        self.get(key, &format!("{least} to {most}"), |text| {
            text.parse().ok().filter(|count| (least..=most).contains(count))
        })
    }

    fn time(&self, key: &str) -> Result<Time> {
        self.get(key, "hh:mm, from 00:00 to 23:59", |text| {
            let two = |digits: &str| {
                let is_number = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
                digits.parse().ok().filter(|_| is_number)
            };
            let (hour, minute) = text.split_once(':')?;
            Time::new(two(hour)?, two(minute)?, 0, 0).ok()
        })
    }

    fn zone(&self, key: &str) -> Result<TimeZone> {
        self.get(key, "a name of the IANA time zone database, as in Europe/Berlin", |text| {
            TimeZone::get(text).ok()
        })
    }

    fn networks(&self, key: &str) -> Result<Vec<IpNet>> {
        self.get(key, "addresses or networks, as in 127.0.0.1,10.0.0.0/8", |text| {
            list(text)
                .iter()
                .map(|item| item.parse().or_else(|_| item.parse::<std::net::IpAddr>().map(IpNet::from)).ok())
                .collect()
        })
    }

    fn origins(&self, key: &str) -> Result<Vec<String>> {
        let is_origin = |text: &str| {
            let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
            rest.is_some_and(|authority| {
                let of_authority =
                    |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:[]".contains(&byte);
                !authority.is_empty() && authority.bytes().all(of_authority)
            })
        };
        self.get(key, "origins as browsers send them, lower-case, as in https://desk.example.org", |text| {
            list(text).into_iter().map(|item| is_origin(&item).then_some(item)).collect()
        })
    }

    fn duration(&self, key: &str) -> Result<Duration> {
        self.get(key, "a whole number and s, m, h or d, as in 12h", |text| {
            parse_duration(text).filter(|duration| !duration.is_zero())
        })
    }

    fn flag(&self, key: &str) -> Result<bool> {
        self.get(key, "true or false", |text| text.parse().ok())
    }

    /// Seconds; `None`: never.
    fn every(&self, key: &str) -> Result<Option<i64>> {
        self.get(key, "1m to 366d, as in 24h, or never", |text| match text {
            "never" => Some(None),
            text => {
                let seconds = i64::try_from(parse_duration(text)?.as_secs()).ok()?;
                (60..=366 * 86_400).contains(&seconds).then_some(Some(seconds))
            }
        })
    }

    fn bytes(&self, key: &str) -> Result<usize> {
        self.get(key, "a whole number of KiB or MiB, as in 1MiB, up to 1024MiB", |text| {
            let (digits, unit) = match text.strip_suffix("MiB") {
                Some(digits) => (digits, 1 << 20),
                None => (text.strip_suffix("KiB")?, 1 << 10),
            };
            let count: usize = digits.trim().parse().ok()?;
            count.checked_mul(unit).filter(|bytes| (1..=1 << 30).contains(bytes))
        })
    }

    fn rate(&self, key: &str) -> Result<Option<Rate>> {
        self.get(key, "1 to 1000000 and /s, /m or /h, as in 20/s, or unlimited", |text| match text {
            "unlimited" => Some(None),
            text => Rate::parse(text).map(Some),
        })
    }

    fn address(&self, key: &str) -> Result<Option<SocketAddr>> {
        self.get(key, "an address and a port, as in 127.0.0.1:9465, or nothing", |text| match text.trim() {
            "" => Some(None),
            text => text.parse().ok().map(Some),
        })
    }

    /// Whose names differ: a name stands for one in log lines and metrics.
    fn witnesses(&self, key: &str) -> Result<Vec<Witness>> {
        self.get(
            key,
            "NAME+ID+KEY URL, the key of type 4, the URL of http or https, each name once",
            |text| {
                let witnesses =
                    list(text).iter().map(|item| Witness::parse(item)).collect::<Option<Vec<_>>>()?;
                let names: HashSet<&str> = witnesses.iter().map(|witness| witness.verifier.name()).collect();
                (names.len() == witnesses.len()).then_some(witnesses)
            },
        )
    }

    fn level(&self, key: &str) -> Result<log::LevelFilter> {
        self.get(key, "error, warn, info or debug", |text| {
            ["error", "warn", "info", "debug"].contains(&text).then(|| text.parse().ok()).flatten()
        })
    }
}

impl Witness {
    /// Of `VKEY URL`. A URL with a user in it is none: `mailtrail config` shows it.
    fn parse(text: &str) -> Option<Self> {
        let (verifier, url) = text.split_once(' ')?;
        let verifier = Verifier::parse(verifier).filter(|verifier| verifier.kind() == Kind::Cosignature)?;
        Some(Self { verifier, url: Prefix::parse(url.trim())? })
    }
}

/// So many in a second, a minute or an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    count: u32,
    unit: char,
}

impl Rate {
    /// `20/s`, `600/m` or `1/h`.
    pub fn parse(text: &str) -> Option<Self> {
        let (count, unit) = text.split_once('/')?;
        let count = count.parse().ok().filter(|count| (1..=1_000_000).contains(count))?;
        let unit = unit.parse().ok().filter(|unit| ['s', 'm', 'h'].contains(unit))?;
        Some(Self { count, unit })
    }

    /// From one to the next.
    pub fn interval(self) -> Duration {
        let seconds = match self.unit {
            's' => 1,
            'm' => 60,
            _ => 3600,
        };
        Duration::from_secs(seconds) / self.count
    }

    pub fn per_second(self) -> f64 {
        1.0 / self.interval().as_secs_f64()
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.unit)
    }
}

/// `90s`, `30m`, `12h` or `7d`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    let count: u64 = text[..text.len() - 1].parse().ok()?;
    Some(Duration::from_secs(count.checked_mul(seconds)?))
}
