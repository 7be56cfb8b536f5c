//! The command line: raw arguments, then a client of the admin routes, then words for a person or JSON.
//!
//! It never opens a live database beside the server: while the data directory's lock is held it speaks to the
//! server over its Unix socket, otherwise it takes the lock and calls the same routes in process (`client`).
//! Results go to standard output, talk to standard error. Exit: 0 done, 1 your input, 2 our trouble, 3 does not
//! verify. `serve` and `witness`, for their units: 70 internal, 74 input/output, 75 the directory is in use for a
//! while, 78 command line, configuration or data refused.

mod arguments;
mod bundle;
mod client;
mod configuration;
mod data;
mod demo;
mod examples;
mod look;
mod manual;
mod named;
mod owners;
mod proof;
mod restore;
mod retention;
mod service;
mod setup;
mod table;
mod terminal;
mod times;
mod witness;

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::{Value, json};
use signal_hook::consts::SIGXFSZ;

use crate::config::{self, Config};
use crate::error::{Error, Result};
use crate::mask::masked;
use crate::privileges;
use crate::seldom;
pub use arguments::command;
use arguments::{Arguments, CheckpointCommand, Command};
use configuration::Found;
use table::Column;
use terminal::{print, tell, tell_json, visible_line, width, wrapped};

/// Everything a command needs besides its own arguments.
struct Context {
    config: Config,
    json: bool,
    workspace: Option<String>,
    /// Whether there was a `--set`, which a server that has the directory knows nothing of.
    is_set: bool,
    is_wide: bool,
    /// The configuration file that counts.
    file: Option<PathBuf>,
}

pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = settings_first(arguments);
    let reader = Reader::of(&arguments);
    let is_json = is_json(&arguments);
    let arguments = match Arguments::parse(&arguments) {
        Ok(arguments) => arguments,
        Err(error) => return show_usage(&error, &arguments, reader),
    };
    client::who_asks();
    // What we make is ours alone, whatever the shell's umask.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    // Past the limit on file sizes a write shall fail, which is reported, not kill us.
    if let Err(error) = signal_hook::flag::register(SIGXFSZ, Arc::default()) {
        tell(&format!("warning: a limit on file sizes would end this process: {error}"));
    }
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let told = told_error(&error.to_string(), error.code(), &error.hint(), is_json);
            // Each line of the journal has a priority of its own, and an empty one is none.
            match service::is_in_journal() {
                true => {
                    told.lines().filter(|line| !line.is_empty()).for_each(|line| tell(&format!("<3>{line}")))
                }
                false if is_json => tell_json(&told),
                false => tell(&told),
            }
            ExitCode::from(reader.code(&error))
        }
    }
}

fn is_json(arguments: &[OsString]) -> bool {
    arguments.iter().any(|argument| argument == "--json")
}

/// Who reads the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    Person,
    /// systemd, which starts again what ended, but for a 78.
    Unit,
    /// A mail server, which sends a message back or keeps it.
    Mail,
}

impl Reader {
    /// Of a command line that may be wrong in all else.
    fn of(arguments: &[OsString]) -> Self {
        let Ok(found) = command().ignore_errors(true).try_get_matches_from(arguments) else {
            return Self::Person;
        };
        let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
        match found.subcommand_name() {
            Some("serve") => Self::Unit,
            Some("witness") if !has("--show-key") => Self::Unit,
            Some("record") if has("--sysexits") => Self::Mail,
            _ => Self::Person,
        }
    }

    fn code(self, error: &Error) -> u8 {
        match self {
            Self::Person => exit_code(error),
            Self::Unit => unit_code(error),
            Self::Mail => sysexits(error),
        }
    }
}

/// Of a list that may stand on both sides of the command, clap keeps the values behind it alone: a `--set` ahead of it
/// would be lost without a word.
fn settings_first(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments = arguments.into_iter();
    let mut settings: Vec<OsString> = arguments.next().into_iter().collect();
    let mut others = Vec::new();
    while let Some(argument) = arguments.next() {
        if argument == "--" {
            others.push(argument);
            others.extend(arguments.by_ref());
        } else if argument == "--set" {
            settings.push(argument);
            settings.extend(arguments.next());
        } else if argument.as_encoded_bytes().starts_with(b"--set=") {
            settings.push(argument);
        } else {
            others.push(argument);
        }
    }
    settings.append(&mut others);
    settings
}

/// Why it ends, for a person or, with `--json`, for a program.
fn told_error(message: &str, code: &str, hint: &str, is_json: bool) -> String {
    match is_json {
        true => json!({ "error": message, "code": code, "hint": hint }).to_string(),
        false => format!("error: {message}\n\nhint: {hint}"),
    }
}

/// clap's own message (help, version, a wrong argument) with our exit codes, and one hint.
fn show_usage(error: &clap::Error, arguments: &[OsString], reader: Reader) -> ExitCode {
    let is_json = is_json(arguments);
    if !error.use_stderr() {
        // Our own words, with clap's own colours.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let told = error.render().to_string();
    // Its own hint is left out: there is ours.
    let message = told.split("\n\nFor more information").next().unwrap_or_default();
    // So is how a flag that there is none of would be written as a value.
    let told: Vec<&str> = message.split("\n\n").filter(|part| !part.contains("tip: to pass")).collect();
    let message = told.join("\n\n");
    let message = message.strip_prefix("error: ").unwrap_or(&message).trim_end();
    let command = command_of(arguments);
    let hint = match command.contains(' ') {
        true => format!("`{command} --help` says what it takes"),
        false => "`mailtrail --help` lists the commands".to_owned(),
    };
    let is_help = error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    match (is_json, is_help) {
        (true, _) => tell_json(&told_error(message, "usage", &hint, is_json)),
        (false, true) => tell(&format!("{message}\n\nhint: {hint}")),
        (false, false) => tell(&told_error(message, "usage", &hint, is_json)),
    }
    ExitCode::from(match reader {
        Reader::Person => 1,
        Reader::Unit => 78,
        Reader::Mail => 75,
    })
}

/// The words of the command that was meant, as far as they are some.
fn command_of(arguments: &[OsString]) -> String {
    let mut words = vec!["mailtrail"];
    let command = command();
    let mut at = &command;
    for argument in arguments.iter().filter_map(|argument| argument.to_str()) {
        if let Some(child) = at.find_subcommand(argument) {
            words.push(child.get_name());
            at = child;
        }
    }
    words.join(" ")
}

fn exit_code(error: &Error) -> u8 {
    match error {
        Error::Invalid(_)
        | Error::Malformed(_)
        | Error::Unauthenticated(_)
        | Error::LicenseRequired(_)
        | Error::Forbidden(_)
        | Error::NotFound(_)
        | Error::OfItem { .. }
        | Error::Conflict { .. }
        | Error::Http { .. }
        | Error::TooMany { .. }
        | Error::Refused { .. }
        | Error::Usage { .. } => 1,
        Error::Unavailable { .. }
        | Error::NotReady { .. }
        | Error::Database(_)
        | Error::Io { .. }
        | Error::Internal(_) => 2,
        Error::Mismatch(_) | Error::Unsettled { .. } => 3,
    }
}

/// sysexits(3) for a unit: 78 where another start will not put it right.
fn unit_code(error: &Error) -> u8 {
    match error {
        Error::Unavailable { .. } => 75,
        Error::Internal(_) => 70,
        error if exit_code(error) == 2 => 74,
        _ => 78,
    }
}

/// sysexits(3), as a mail server reads them: 65, this message will never do and goes back; 75, try again later: for a
/// command line, a configuration, a mailbox or a data directory that somebody has to put right.
fn sysexits(error: &Error) -> u8 {
    match error {
        Error::Malformed(_) => 65,
        _ => 75,
    }
}

fn run(arguments: Arguments) -> Result<()> {
    // Left aside in silence, it would delete everybody's rows where one workspace was named.
    if arguments.workspace.is_some() && arguments.command.is_of_all_workspaces() {
        return Err(Error::usage(
            "--workspace: this command is about all workspaces together",
            "leave --workspace out",
        ));
    }
    let mut flags = Vec::new();
    for pair in &arguments.set {
        let Some((key, value)) = pair.split_once('=') else {
            return Err(Error::usage(format!("--set {pair:?} is not KEY=VALUE"), "as in --set log=debug"));
        };
        flags.push((key.to_owned(), value.to_owned()));
    }
    if let Some(data) = &arguments.data {
        flags.push(("data".into(), data.display().to_string()));
    }
    match &arguments.command {
        Command::Serve { listen, no_license } => {
            flags.extend(listen.iter().map(|listen| ("listen".into(), listen.clone())));
            if *no_license {
                flags.push(("license_key".into(), "none".into()));
            }
        }
        Command::Demo { listen } => {
            flags.extend(listen.iter().map(|listen| ("listen".into(), listen.clone())));
        }
        _ => {}
    }
    let found = Found::of(&arguments, &flags)?;
    if let Command::Config = &arguments.command {
        let examined = Config::examine(&flags, found.file.as_deref(), |name| found.variable(name));
        return setup::config(examined, arguments.json, (arguments.is_set(), arguments.wide));
    }
    let config = Config::load(&flags, found.file.as_deref(), |name| found.variable(name))?;
    if let (Command::Serve { .. }, Some(data), Some(file)) =
        (&arguments.command, &arguments.data, &found.file)
    {
        must_agree(data, file)?;
    }
    // As root, whose directory it is; before anything in it is read, we become its owner.
    match &arguments.command {
        Command::Demo { .. } | Command::Man | Command::Completions { .. } => {}
        Command::Check { file: Some(file), .. } | Command::Verify { file: Some(file), .. } => {
            privileges::look_at_file(file)?;
        }
        Command::Witness(_) => arguments.data.as_deref().map_or(Ok(()), privileges::look)?,
        _ => privileges::look(&config.data)?,
    }
    // Only what serves has something to say while it runs; a command has its result.
    let level = match arguments.command {
        Command::Serve { .. } | Command::Witness(_) => config.log,
        _ => log::LevelFilter::Warn,
    };
    start_log(level);
    let (is_set, is_wide) = (arguments.is_set(), arguments.wide);
    let Arguments { json, workspace, .. } = arguments;
    let context = Context { config, json, workspace, is_set, is_wide, file: found.file };
    match arguments.command {
        Command::Demo { .. } => demo::run(context),
        Command::Init { email, password_stdin } => setup::init(&context, &email, password_stdin),
        Command::Serve { .. } => setup::serve(context),
        // Above: it is shown whatever is wrong with it.
        Command::Config => Ok(()),
        Command::Health => setup::health(&context),
        Command::Man => manual::man(),
        Command::Completions { shell } => manual::completions(shell),
        Command::Backup { file } => setup::backup(&context, &file),
        Command::Restore { file, dry_run, keep_keys } => {
            restore::restore(&context, &file, dry_run, keep_keys)
        }
        Command::Clock { command } => setup::clock(&context, command),
        Command::Check { file, repair } => setup::check(&context, file.as_deref(), repair),
        Command::Verify { file, proof: Some(path), key, .. } => {
            proof::verify_proof(&context, &path, key.as_deref(), file.as_deref())
        }
        Command::Verify { file, pin, removals_seen, .. } => {
            proof::verify(&context, file.as_deref(), pin.as_deref(), removals_seen)
        }
        Command::Proof { log, id, mailbox, project, fact } => {
            let of = data::Owner { mailbox: mailbox.as_deref(), project: project.as_deref() };
            proof::prove(&context, log, &id, of, fact)
        }
        Command::Erase(erase) => proof::erase(&context, &erase),
        Command::Checkpoint { command: None } => proof::checkpoint(&context),
        Command::Checkpoint { command: Some(CheckpointCommand::Renew { why, new_key }) } => {
            proof::renew(&context, &why, new_key)
        }
        Command::Witness(command) => witness::run(&context, arguments.data.as_deref(), &command),
        Command::Retention(command) => retention::run(&context, &command),
        Command::Stats => setup::stats(&context),
        Command::License(command) => owners::license(&context, &command),
        Command::Workspace(command) => owners::workspace(&context, &command),
        Command::User(command) => owners::user(&context, &command),
        Command::Invitation(command) => owners::invitation(&context, &command),
        Command::Tenant(command) => owners::tenant(&context, &command),
        Command::Mailbox(command) => owners::mailbox(&context, &command),
        Command::Project(command) => owners::project(&context, &command),
        Command::Key(command) => owners::key(&context, &command),
        Command::Record(command) => data::record(&context, &command),
        Command::Import(import) => data::import(&context, &import),
        Command::Export(export) => data::export(&context, &export),
        Command::Query(query) => look::query(&context, &query),
        Command::Tail(tail) => look::tail(&context, &tail),
    }
}

/// The unit names both the directory and the file: who writes another directory into the file alone would go on serving,
/// and reading, the old one.
fn must_agree(data: &Path, file: &Path) -> Result<()> {
    let Some(other) = config::in_file(file, "data")? else { return Ok(()) };
    let place = |path: &Path| path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_default();
    if place(data) == place(Path::new(&other)) {
        return Ok(());
    }
    Err(Error::refused(
        format!("data: --data says {}, {} says {other}", data.display(), file.display()),
        "take it out of the file; with the unit, see README (Another disk)",
    ))
}

/// A line an event on standard error: time (unless the journal puts its own), level, text. Control characters are
/// shown and not obeyed, so that nobody writes lines of their own, and no key is. A panic is a line like any other.
fn start_log(level: log::LevelFilter) {
    let in_journal = service::is_in_journal();
    env_logger::Builder::new()
        .filter_level(log::LevelFilter::Warn)
        .filter_module("mailtrail", level)
        .format(move |out, record| {
            let args = record.args().to_string();
            let masked = masked(&args);
            let text = visible_line(&masked);
            let level = record.level();
            if in_journal {
                writeln!(out, "<{}>{level:<5} {text}", service::priority(level))
            } else {
                writeln!(out, "{} {level:<5} {text}", crate::time::Clock::system().now().truncated())
            }
        })
        .init();
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let what = panic.to_string().replace('\n', " ");
        let name = thread.name().unwrap_or("without a name");
        seldom::tell(log::Level::Error, format_args!("thread {name}: {what}"));
    }));
}

fn settings_are_the_servers() -> Error {
    Error::usage(
        "--set changes nothing here: a server has the data directory, and its own settings are in force",
        "leave --set out; `mailtrail config` shows the server's settings, and its next start reads them anew",
    )
}

impl Context {
    /// Where a server answers, its own settings are in force.
    fn must_not_set(&self) -> Result<()> {
        if !self.is_set {
            return Ok(());
        }
        Err(settings_are_the_servers())
    }

    /// Rows for a person, as wide as the terminal.
    fn table(&self, rows: &[Value], columns: &[Column]) -> String {
        table::fitted(rows, columns, if self.is_wide { None } else { terminal::width() })
    }

    /// The object with `--json`, else the words.
    fn answer(&self, value: &Value, words: impl FnOnce(&Value) -> String) -> Result<()> {
        if self.json { print(&value.to_string()) } else { print(words(value).trim_end()) }
    }

    /// `answer`, where the words are sentences: they are broken to fit a terminal.
    fn say(&self, value: &Value, words: impl FnOnce(&Value) -> String) -> Result<()> {
        self.answer(value, |value| match width() {
            Some(columns) if !self.is_wide => wrapped(&words(value), columns),
            _ => words(value),
        })
    }
}
