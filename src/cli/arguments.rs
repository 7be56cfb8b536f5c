//! What can be typed. Parsing opens no file and asks nobody.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use super::examples;

/// Behind a command's own.
const EVERY: &str = "Options of every command";

/// The audit log of a mail server in one binary: why a mailbox was blocked, what happened to a message, who changed
/// a setting.
#[derive(Parser)]
#[command(
    name = "mailtrail",
    version,
    max_term_width = 80,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Arguments {
    /// Data directory [default: ./mailtrail-data]
    #[arg(long, global = true, help_heading = EVERY, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Configuration file, TOML [default: the one that the directory was last served with]
    #[arg(long, global = true, help_heading = EVERY, value_name = "FILE", env = "MAILTRAIL_CONFIG")]
    pub config: Option<PathBuf>,
    /// Results as one JSON object, or one a line; errors too
    #[arg(long, global = true, help_heading = EVERY)]
    pub json: bool,
    /// The workspace, by id or name, where there are several; for `init` the name of the first
    #[arg(long, global = true, help_heading = EVERY, value_name = "ID")]
    pub workspace: Option<String>,
    /// Any setting, as `mailtrail config` names it
    #[arg(long, global = true, help_heading = EVERY, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// All columns of a table, however narrow the terminal
    #[arg(long, global = true, help_heading = EVERY)]
    pub wide: bool,
    #[command(subcommand)]
    pub command: Command,
}

/// The whole command line, each command with its example.
pub fn command() -> clap::Command {
    examples::add(Arguments::command())
}

impl Arguments {
    pub fn parse(arguments: &[OsString]) -> Result<Self, clap::Error> {
        let mut matches = command().try_get_matches_from(arguments)?;
        Self::from_arg_matches_mut(&mut matches)
    }

    /// Whether there is a `--set` that is not only another way to say `--data`.
    pub fn is_set(&self) -> bool {
        self.set.iter().any(|pair| !pair.starts_with("data="))
    }
}

#[derive(Subcommand)]
pub enum Command {
    /// Try it: a scratch directory with real messages and sends, served
    Demo {
        /// Address and port; port 0 takes a free one
        #[arg(long, value_name = "ADDRESS")]
        listen: Option<String>,
    },
    /// Make a data directory with its first workspace, owner, key and license
    Init {
        /// The owner's address, to log in with
        #[arg(long)]
        email: String,
        /// Read the owner's password from standard input; otherwise one is made and shown once
        #[arg(long)]
        password_stdin: bool,
    },
    /// Serve the data directory over HTTP, until a SIGTERM
    Serve {
        /// Address and port; port 0 takes a free one
        #[arg(long, value_name = "ADDRESS")]
        listen: Option<String>,
        /// Serve without a license, even if one is there
        #[arg(long)]
        no_license: bool,
    },
    /// Workspaces: each sees its own rows alone
    #[command(subcommand)]
    Workspace(WorkspaceCommand),
    /// People and their roles
    #[command(subcommand)]
    User(UserCommand),
    /// Invitations that `user invite` made
    #[command(subcommand)]
    Invitation(InvitationCommand),
    /// Tenants: groups of mailboxes
    #[command(subcommand)]
    Tenant(TenantCommand),
    /// Mailboxes: limits, policies, holds
    #[command(subcommand)]
    Mailbox(MailboxCommand),
    /// Projects, whose people's activity is recorded
    #[command(subcommand)]
    Project(ProjectCommand),
    /// API keys: make, rotate, revoke
    #[command(subcommand)]
    Key(KeyCommand),
    /// Licenses for reading the activity log
    #[command(subcommand)]
    License(LicenseCommand),
    /// Record a message from standard input
    #[command(subcommand)]
    Record(RecordCommand),
    /// Record a file of entries, NDJSON or CSV; what is there already is known again
    Import(Import),
    /// Write a log, or what the filters leave of it, as NDJSON or CSV
    Export(Export),
    /// Look at a log, the newest rows first
    Query(Query),
    /// Follow a log
    Tail(Tail),
    /// Show how much there is, by workspace and log
    Stats,
    /// Show or set what is kept how long, or make what is older go
    #[command(subcommand)]
    Retention(RetentionCommand),
    /// Copy the database into one file, also while it is served
    Backup {
        /// A file that is not there yet
        file: PathBuf,
    },
    /// Put a backup in place
    ///
    /// Sessions and invitations end, and every key is revoked unless --keep-keys: what was ended since the backup was made
    /// would live again. The keys are listed. Accounts, roles and passwords are those of the backup.
    Restore {
        /// What `backup` wrote
        file: PathBuf,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
        /// Revoke no key
        #[arg(long)]
        keep_keys: bool,
    },
    /// Show what time it is here; `accept`, after it was wrong
    Clock {
        #[command(subcommand)]
        command: Option<ClockCommand>,
    },
    /// Examine the database, or a backup
    Check {
        /// A database nobody serves; otherwise the data directory's
        file: Option<PathBuf>,
        /// Put right the counts that are wrong; writes go on meanwhile
        #[arg(long, conflicts_with = "file")]
        repair: bool,
    },
    /// Look whether every row is as it was recorded, and none is missing
    Verify {
        /// A database nobody serves, such as a backup; otherwise the data directory's
        file: Option<PathBuf>,
        /// Old checkpoints, as `mailtrail checkpoint >> FILE` gathered them elsewhere, to be held against it
        #[arg(long, value_name = "FILE")]
        pin: Option<PathBuf>,
        /// What was removed since the pin otherwise than by the retention on record then is looked at, up to this row of
        /// control; until it is named the exit code is 3
        #[arg(long, value_name = "CONTROL", requires = "pin")]
        removals_seen: Option<u64>,
        /// Only this proof, as `mailtrail proof` prints it
        #[arg(long, value_name = "FILE", conflicts_with = "pin")]
        proof: Option<PathBuf>,
        /// The key that signed it, where the log itself is not at hand
        #[arg(long, requires = "proof", conflicts_with = "file")]
        key: Option<String>,
    },
    /// Print the proof that an entry was recorded and is as it was (C2SP tlog-proof)
    Proof {
        /// Which log
        log: Provable,
        /// The entry's id; messages: the Message-ID; control: the number
        id: String,
        /// The mailbox of the message: number or address
        #[arg(long)]
        mailbox: Option<String>,
        /// The project of the activity; otherwise the workspace's
        #[arg(long)]
        project: Option<String>,
        /// messages: of what came later instead, the first fact is 1
        #[arg(long, value_name = "N")]
        fact: Option<u64>,
    },
    /// Remove the rows that name a person's address; the answer says what stays
    Erase(Erase),
    /// The signed word on how the log stands; `renew`, to go on under another name
    Checkpoint {
        #[command(subcommand)]
        command: Option<CheckpointCommand>,
    },
    /// Be the witness of others' logs: cosign each checkpoint that continues what was seen of its log
    Witness(Witness),
    /// Show the settings in force, and where each value came from
    Config,
    /// Ask the server of this data directory whether it is ready; fails when it is not, or none serves
    Health,
    /// The manual page, for man: mailtrail man > mailtrail.1
    Man,
    /// What a shell completes: mailtrail completions bash > mailtrail
    Completions { shell: clap_complete::Shell },
}

impl Command {
    /// Whether it is about the whole appliance, so that a workspace cannot be named.
    pub fn is_of_all_workspaces(&self) -> bool {
        match self {
            Self::Query(query) => query.log.log().is_none(),
            Self::Proof { log, .. } => log.log().is_none(),
            Self::Demo { .. }
            | Self::Serve { .. }
            | Self::License(_)
            | Self::Retention(_)
            | Self::Backup { .. }
            | Self::Restore { .. }
            | Self::Clock { .. }
            | Self::Check { .. }
            | Self::Verify { .. }
            | Self::Checkpoint { .. }
            | Self::Witness(_)
            | Self::Config
            | Self::Health
            | Self::Man
            | Self::Completions { .. } => true,
            _ => false,
        }
    }
}

#[derive(Subcommand)]
pub enum CheckpointCommand {
    /// Begin another epoch: the key is lost or to be another, or the database that is to go on was not signed for
    Renew {
        /// Why, for whoever reads the log
        #[arg(long)]
        why: String,
        /// With another key: somebody knows the old one, or a year is over
        #[arg(long)]
        new_key: bool,
    },
}

#[derive(Args)]
pub struct Witness {
    /// Address and port; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7466")]
    pub listen: String,
    /// What this witness is called, as in witness.example.org; for its first start, which makes its key
    #[arg(long, env = "MAILTRAIL_WITNESS_NAME")]
    pub name: Option<String>,
    /// A log's verifier key, as `mailtrail checkpoint --json` shows it; repeatable, also for the epochs of one log
    #[arg(
        long = "log",
        value_name = "VKEY",
        env = "MAILTRAIL_WITNESS_LOGS",
        value_delimiter = ',',
        required_unless_present = "show_key"
    )]
    pub logs: Vec<String>,
    /// Only show the verifier key, for the logs' setting `witnesses`
    #[arg(long)]
    pub show_key: bool,
}

#[derive(Args)]
pub struct Erase {
    /// Their mail address
    #[arg(long)]
    pub address: String,
    /// Why, for whoever reads the log; it stays, and names nobody
    #[arg(long)]
    pub why: String,
    /// Only say what would go
    #[arg(long)]
    pub dry_run: bool,
    /// A directory that is not there yet, for the proofs that they are gone
    #[arg(long, value_name = "DIR", conflicts_with = "dry_run")]
    pub certificates: Option<PathBuf>,
}

/// What is shown, held or ended. One type for all: each place that spells an argument out takes its room in the binary.
#[derive(Args)]
pub struct Id {
    /// Its id or name; of a mailbox or a person the address
    pub id: String,
}

#[derive(Subcommand)]
pub enum WorkspaceCommand {
    /// Make a workspace
    Create {
        /// What it is called
        #[arg(long)]
        name: String,
    },
    /// List the workspaces
    List,
    /// Show a workspace, by id or name
    Show(Id),
    /// Change a workspace: what is named is set
    Set {
        /// The workspace: id or name
        id: String,
        /// What it is called
        #[arg(long)]
        name: String,
    },
    /// Legal hold: neither retention nor an erasure removes anything of it
    Hold(Id),
    /// End the legal hold of a workspace
    Release(Id),
    /// Mark a workspace as deleted: its keys stop at once, its log stays
    Delete(Id),
}

#[derive(Subcommand)]
pub enum UserCommand {
    /// Make an account and a member; where the address has an account elsewhere, invite it
    Create {
        /// The address to log in with
        #[arg(long)]
        email: String,
        /// owner, admin or auditor
        #[arg(long)]
        role: String,
        /// What they are called
        #[arg(long)]
        name: Option<String>,
        /// Read the password from standard input; otherwise one is made and shown once
        #[arg(long)]
        password_stdin: bool,
    },
    /// Invite somebody, with an account or without: the link is shown once, and is yours to hand over
    Invite {
        /// The address they log in with, or will
        #[arg(long)]
        email: String,
        /// owner, admin or auditor
        #[arg(long)]
        role: String,
        /// What they are called
        #[arg(long)]
        name: Option<String>,
    },
    /// List the members
    List,
    /// Show a member, by id or mail address
    Show(Id),
    /// Change a member: what is named is set
    Set {
        /// The member: id or mail address
        id: String,
        /// owner, admin or auditor
        #[arg(long)]
        role: Option<String>,
        /// Read a new password from standard input
        #[arg(long)]
        password_stdin: bool,
    },
    /// End the membership; the name stays in the log
    Delete(Id),
}

#[derive(Subcommand)]
pub enum InvitationCommand {
    /// List the open invitations
    List,
    /// Withdraw an invitation: its link opens nothing any more
    Withdraw(Id),
    /// Join; standard input has the link or its token, the password of the account (or one for a new account), and where
    /// somebody else gave you that, in a third line, a new one
    Accept,
}

#[derive(Subcommand)]
pub enum TenantCommand {
    /// Make a tenant
    Create {
        /// What it is called
        #[arg(long)]
        name: String,
        /// For people, as in acme.example
        #[arg(long)]
        domain: Option<String>,
        /// The UUID it has elsewhere; otherwise one is made
        #[arg(long, value_name = "UUID")]
        id: Option<String>,
    },
    /// List the tenants
    List,
    /// Show a tenant, by id or name
    Show(Id),
    /// Change a tenant: what is named is set
    Set {
        /// The tenant: id or name
        id: String,
        /// What it is called
        #[arg(long)]
        name: String,
    },
    /// Legal hold: neither retention nor an erasure removes anything of it
    Hold(Id),
    /// End the legal hold of a tenant
    Release(Id),
    /// Mark a tenant as deleted; its log stays
    Delete(Id),
}

#[derive(Subcommand)]
pub enum MailboxCommand {
    /// Make a mailbox
    Create {
        /// The e-mail address
        #[arg(long)]
        address: String,
        /// Its tenant, by id or name; otherwise the workspace's tenant "default"
        #[arg(long, value_name = "ID")]
        tenant: Option<String>,
        /// Recipients a day; otherwise there is no limit
        #[arg(long, value_name = "N")]
        daily_send_limit: Option<u64>,
        /// What it is called, beside its address
        #[arg(long)]
        name: Option<String>,
    },
    /// List the mailboxes
    List {
        /// Those that were deleted: their log is there still, under their number or address
        #[arg(long)]
        deleted: bool,
    },
    /// Show a mailbox, by number or address
    Show(Id),
    /// Change a mailbox: what is named is set
    Set {
        /// The mailbox: number or address
        id: String,
        /// A number, or none
        #[arg(long, value_name = "N|none")]
        daily_send_limit: Option<String>,
        /// A tenant's id or name; none: the workspace's tenant "default"
        #[arg(long, value_name = "ID|none")]
        tenant: Option<String>,
        /// Days its messages' entries are kept, 1 to 36500; none: as `mailtrail retention show` says
        #[arg(long, value_name = "N|none")]
        retention_days: Option<String>,
        /// What it is called, beside its address
        #[arg(long)]
        name: Option<String>,
    },
    /// Show the policy document, or put one in force
    Policy {
        /// The mailbox: number or address
        id: String,
        /// A JSON file; - for standard input
        file: Option<PathBuf>,
    },
    /// Print the addresses for Postfix, as virtual_mailbox_maps has them: who is unknown is refused at RCPT
    Map,
    /// Legal hold: neither retention nor an erasure removes anything of it
    Hold(Id),
    /// End the legal hold of a mailbox
    Release(Id),
    /// Mark a mailbox as deleted; its log stays
    Delete(Id),
}

#[derive(Subcommand)]
pub enum ProjectCommand {
    /// Make a project
    Create {
        /// What it is called
        #[arg(long)]
        name: String,
    },
    /// List the projects
    List,
    /// Show a project, by id or name
    Show(Id),
    /// Change a project: what is named is set
    Set {
        /// The project: id or name
        id: String,
        /// What it is called
        #[arg(long)]
        name: String,
    },
    /// Legal hold: neither retention nor an erasure removes anything of it
    Hold(Id),
    /// End the legal hold of a project
    Release(Id),
    /// Mark a project as deleted; its log stays
    Delete(Id),
}

#[derive(Subcommand)]
pub enum KeyCommand {
    /// Make a key; it is shown this once
    Create {
        /// What it is called, for people
        #[arg(long)]
        name: String,
        /// enforcement:read, enforcement:write, messages:read, messages:write, activity:write or admin; repeatable
        #[arg(long, required = true, num_args = 1.., value_delimiter = ',')]
        scope: Vec<String>,
        /// When it ends, RFC 3339; otherwise it has no end
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
        /// Take a key you have already (mt_live_… or tc_live_…) from standard input
        #[arg(long)]
        key_stdin: bool,
    },
    /// List the keys
    List,
    /// Show a key, by id or name
    Show(Id),
    /// Make a new key for an old one, which works on for a while
    Rotate {
        /// The key: id or name
        id: String,
        /// How long the old one works on, as in 24h
        #[arg(long, default_value = "0s")]
        overlap: String,
        /// When the new one ends, RFC 3339; otherwise when the old one would have
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
    },
    /// End a key now
    Revoke(Id),
}

#[derive(Subcommand)]
pub enum LicenseCommand {
    /// Sign a license with this installation's key
    Issue {
        /// Whom it is made out to
        #[arg(long)]
        holder: String,
        /// When it ends, RFC 3339; otherwise it has no end
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
    },
    /// List the licenses
    List,
    /// Show a license
    Show(Id),
}

#[derive(Subcommand)]
pub enum RecordCommand {
    /// Record one entry from a raw message on standard input: for Postfix pipe, Sieve, procmail
    Message {
        /// Number or address
        #[arg(long)]
        mailbox: String,
        /// delivered, or how it was rejected
        #[arg(long, default_value = "delivered")]
        outcome: String,
        /// Why it was rejected
        #[arg(long)]
        reason: Option<String>,
        /// Exit as sysexits(3) has it: 65 when this is no message, which goes back, and 75 for all else: the mail server
        /// tries again
        #[arg(long)]
        sysexits: bool,
    },
}

#[derive(Subcommand)]
pub enum RetentionCommand {
    /// Delete what is older than its days
    Run {
        /// Only say what would go
        #[arg(long)]
        dry_run: bool,
    },
    /// Show the days in force and the last run
    Show,
    /// Set the days of a log; a mailbox's own stay (`mailbox set --retention-days`)
    Set {
        /// Which log
        log: Log,
        /// 1 to 36500, or forever; default: what the configuration says
        days: String,
    },
}

#[derive(Subcommand)]
pub enum ClockCommand {
    /// It is right now and was not before: times start again
    Accept,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Log {
    Enforcement,
    Messages,
    Activity,
}

/// What `query` looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Provable {
    Enforcement,
    Messages,
    Activity,
    // That rows were removed, or another epoch began.
    Control,
}

impl Provable {
    /// The log, where it is one.
    pub fn log(self) -> Option<Log> {
        match self {
            Self::Enforcement => Some(Log::Enforcement),
            Self::Messages => Some(Log::Messages),
            Self::Activity => Some(Log::Activity),
            Self::Control => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FileFormat {
    Ndjson,
    Csv,
}

#[derive(Args)]
pub struct Import {
    /// Which log
    pub log: Log,
    /// NDJSON or CSV; - for standard input
    pub file: PathBuf,
    /// The mailbox of the messages: number or address
    #[arg(long)]
    pub mailbox: Option<String>,
    /// The project of the activities
    #[arg(long)]
    pub project: Option<String>,
    /// Otherwise by the file's ending
    #[arg(long)]
    pub format: Option<FileFormat>,
    /// Begin here, where an earlier run ended; what is there already is known again without it
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub from_line: usize,
}

/// From when to when, in people's words (`times`).
#[derive(Args, Clone, Default)]
pub struct Span {
    /// From this time on: 2026-11-01, yesterday, 2h (ago), or RFC 3339; days begin at 00:00 UTC
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// Before this time, in the same words
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
}

/// Which rows: the parameters of the log's own route.
#[derive(Args, Clone)]
pub struct Filters {
    /// enforcement, messages: the mailbox, by number or address, also of a deleted one; otherwise all of them
    #[arg(long)]
    pub mailbox: Option<String>,
    /// activity: the project, by id or name; otherwise the workspace's
    #[arg(long)]
    pub project: Option<String>,
    /// enforcement: the tenant, by id or name
    #[arg(long, value_name = "ID")]
    pub tenant: Option<String>,
    /// enforcement: blocked or unblocked; activity: what was done, as in site.publish
    #[arg(long)]
    pub action: Option<String>,
    /// enforcement: the mailbox's address, also of one that is not known here
    #[arg(long)]
    pub address: Option<String>,
    /// messages: the Message-ID
    #[arg(long, value_name = "ID")]
    pub message_id: Option<String>,
    /// messages: the thread
    #[arg(long, value_name = "ID")]
    pub thread: Option<String>,
    /// messages: what became of it
    #[arg(long)]
    pub outcome: Option<String>,
    /// messages: who sent it
    #[arg(long, value_name = "ADDRESS")]
    pub sender: Option<String>,
    /// messages: to whom it was
    #[arg(long, value_name = "ADDRESS")]
    pub recipient: Option<String>,
    /// messages: why it was rejected
    #[arg(long)]
    pub reason: Option<String>,
    /// activity: who, by id or address
    #[arg(long, value_name = "ID")]
    pub user: Option<String>,
    /// activity: what was acted on
    #[arg(long, value_name = "ID")]
    pub target: Option<String>,
}

#[derive(Args)]
pub struct Query {
    /// Which log; control: that rows were removed, or another epoch began
    pub log: Provable,
    #[command(flatten)]
    pub filters: Filters,
    #[command(flatten)]
    pub span: Span,
    /// How many rows at most
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = from_one_on)]
    pub limit: u64,
    /// asc: oldest first
    #[arg(long, default_value = "desc")]
    pub order: String,
}

/// A count. clap's own words for one that is out of range name the largest number of 64 bits.
fn from_one_on(given: &str) -> Result<u64, &'static str> {
    given.parse().ok().filter(|count| *count > 0).ok_or("a number from 1 on is wanted")
}

#[derive(Args)]
pub struct Tail {
    /// Which log
    pub log: Log,
    #[command(flatten)]
    pub filters: Filters,
    /// How many of the rows that are there already to begin with
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    pub lines: u64,
}

#[derive(Args)]
pub struct Export {
    /// Which log
    pub log: Log,
    #[command(flatten)]
    pub filters: Filters,
    #[command(flatten)]
    pub span: Span,
    /// What to write
    #[arg(long, default_value = "ndjson")]
    pub format: FileFormat,
    /// A file that is not there yet; otherwise standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// A directory that is not there yet: entries, proofs, checkpoint and how to check them without mailtrail
    #[arg(long, value_name = "DIR", conflicts_with_all = ["format", "output"])]
    pub proof: Option<PathBuf>,
}
