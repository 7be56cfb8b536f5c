//! What can be typed. Parsing opens no file and asks nobody.

use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

/// The audit log of a mail server in one binary: why a mailbox was blocked, what happened to a message, who changed
/// a setting.
#[derive(Parser)]
#[command(
    name = "mailtrail",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Arguments {
    /// Data directory [default: ./mailtrail-data]
    #[arg(long, global = true, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Configuration file, TOML
    #[arg(long, global = true, value_name = "FILE", env = "MAILTRAIL_CONFIG")]
    pub config: Option<PathBuf>,
    /// Results as one JSON object, or one a line
    #[arg(long, global = true)]
    pub json: bool,
    /// The workspace, where there are several; for `init` the name of the first
    #[arg(long, global = true, value_name = "ID")]
    pub workspace: Option<String>,
    /// Any setting, as `mailtrail config` names it
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    #[command(subcommand)]
    pub command: Command,
}

/// The whole command line, for man pages and completions.
pub fn command() -> clap::Command {
    Arguments::command()
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
    /// Serve
    Serve {
        /// Address and port; port 0 takes a free one
        #[arg(long, value_name = "ADDRESS")]
        listen: Option<String>,
        /// Serve without a license, even if one is there
        #[arg(long)]
        no_license: bool,
    },
    /// Workspaces: the boundary nobody looks across
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
    /// API keys
    #[command(subcommand)]
    Key(KeyCommand),
    /// Licenses for reading the activity log
    #[command(subcommand)]
    License(LicenseCommand),
    /// Record from standard input
    #[command(subcommand)]
    Record(RecordCommand),
    /// Record a file of entries, NDJSON or CSV; what is there already is known again
    Import(Import),
    /// Write a whole log, NDJSON or CSV
    Export(Export),
    /// Look at a log
    Query(Query),
    /// Follow a log
    Tail(Query),
    /// How much there is
    Stats,
    /// What is kept how long
    #[command(subcommand)]
    Retention(RetentionCommand),
    /// Copy the database into one file, while it is served
    Backup {
        /// A file that is not there yet
        file: PathBuf,
    },
    /// Put a backup in place
    ///
    /// Sessions and invitations end, and every key is revoked: what was ended since the backup was made would live again.
    /// The keys are listed. Accounts, roles and passwords are those of the backup.
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
    /// What time it is here; `accept`, after it was wrong
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
    /// Prove that everything recorded is as it was recorded, and nothing is missing
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
    /// Remove everything that was recorded of a person
    Erase(Erase),
    /// The signed word on how the log stands; `renew`, to go on under another name
    Checkpoint {
        #[command(subcommand)]
        command: Option<CheckpointCommand>,
    },
    /// Be the witness of others' logs: cosign each checkpoint that continues what was seen of its log
    Witness(Witness),
    /// What is in force, and where each value came from
    Config,
    /// Ask the server of this data directory whether it is ready; fails when it is not, or none serves
    Health,
    /// The manual page, for man: mailtrail man > mailtrail.1
    Man,
    /// What a shell completes: mailtrail completions bash > mailtrail
    Completions { shell: clap_complete::Shell },
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

#[derive(Subcommand)]
pub enum WorkspaceCommand {
    /// Make one
    Create {
        #[arg(long)]
        name: String,
    },
    /// All of them
    List,
    /// One of them
    Show { id: String },
    /// Change what is named
    Set {
        id: String,
        #[arg(long)]
        name: String,
    },
    /// Legal hold: neither retention nor an erasure removes anything of it
    Hold { id: String },
    /// End the legal hold
    Release { id: String },
    /// Its keys stop at once, its log stays
    Delete { id: String },
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
        #[arg(long)]
        name: Option<String>,
    },
    /// All of them
    List,
    /// One of them
    Show { id: String },
    /// Change what is named
    Set {
        id: String,
        /// owner, admin or auditor
        #[arg(long)]
        role: Option<String>,
        /// Read a new password from standard input
        #[arg(long)]
        password_stdin: bool,
    },
    /// End the membership; the name stays in the log
    Delete { id: String },
}

#[derive(Subcommand)]
pub enum InvitationCommand {
    /// Those that are open
    List,
    /// Its link opens nothing any more
    Withdraw { id: String },
    /// Join; standard input has the link or its token, the password of the account (or one for a new account), and where
    /// somebody else gave you that, in a third line, a new one
    Accept,
}

#[derive(Subcommand)]
pub enum TenantCommand {
    /// Make one
    Create {
        #[arg(long)]
        name: String,
        /// For people, as in acme.example
        #[arg(long)]
        domain: Option<String>,
        /// The UUID it has elsewhere; otherwise one is made
        #[arg(long, value_name = "UUID")]
        id: Option<String>,
    },
    /// All of them
    List,
    /// One of them
    Show { id: String },
    /// Change what is named
    Set {
        id: String,
        #[arg(long)]
        name: String,
    },
    /// Legal hold: retention deletes nothing of it
    Hold { id: String },
    /// End the legal hold
    Release { id: String },
    /// Mark it as deleted; its log stays
    Delete { id: String },
}

#[derive(Subcommand)]
pub enum MailboxCommand {
    /// Make one
    Create {
        /// The e-mail address
        #[arg(long)]
        address: String,
        /// Its tenant
        #[arg(long, value_name = "ID")]
        tenant: Option<String>,
        /// Recipients a day; otherwise there is no limit
        #[arg(long, value_name = "N")]
        daily_send_limit: Option<u64>,
        #[arg(long)]
        name: Option<String>,
    },
    /// All of them
    List,
    /// One of them
    Show { id: String },
    /// Change what is named
    Set {
        id: String,
        /// A number, or none
        #[arg(long, value_name = "N|none")]
        daily_send_limit: Option<String>,
        /// A tenant's id, or none
        #[arg(long, value_name = "ID|none")]
        tenant: Option<String>,
        #[arg(long)]
        name: Option<String>,
    },
    /// Show the policy document, or put one in force
    Policy {
        id: String,
        /// A JSON file; - for standard input
        file: Option<PathBuf>,
    },
    /// Legal hold: retention deletes nothing of it
    Hold { id: String },
    /// End the legal hold
    Release { id: String },
    /// Mark it as deleted; its log stays
    Delete { id: String },
}

#[derive(Subcommand)]
pub enum ProjectCommand {
    /// Make one
    Create {
        #[arg(long)]
        name: String,
    },
    /// All of them
    List,
    /// One of them
    Show { id: String },
    /// Change what is named
    Set {
        id: String,
        #[arg(long)]
        name: String,
    },
    /// Legal hold: retention deletes nothing of it
    Hold { id: String },
    /// End the legal hold
    Release { id: String },
    /// Mark it as deleted; its log stays
    Delete { id: String },
}

#[derive(Subcommand)]
pub enum KeyCommand {
    /// Make a key; it is shown this once
    Create {
        #[arg(long)]
        name: String,
        /// enforcement:read, enforcement:write, messages:read, messages:write, activity:write or admin; repeatable
        #[arg(long, required = true, num_args = 1.., value_delimiter = ',')]
        scope: Vec<String>,
        /// RFC 3339
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
        /// Take a key you have already (mt_live_… or tc_live_…) from standard input
        #[arg(long)]
        key_stdin: bool,
    },
    /// All of them
    List,
    /// One of them
    Show { id: String },
    /// Make a new key for an old one, which works on for a while
    Rotate {
        id: String,
        /// How long the old one works on, as in 24h
        #[arg(long, default_value = "0s")]
        overlap: String,
        /// When the new one ends, RFC 3339; otherwise when the old one would have
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
    },
    /// End a key now
    Revoke { id: String },
}

#[derive(Subcommand)]
pub enum LicenseCommand {
    /// Sign a license with this installation's key
    Issue {
        /// Whom it is made out to
        #[arg(long)]
        holder: String,
        /// RFC 3339; otherwise it has no end
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
    },
    /// All of them
    List,
    /// One license
    Show { id: String },
}

#[derive(Subcommand)]
pub enum RecordCommand {
    /// One entry from a raw message on standard input: for Postfix pipe, Sieve, procmail
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
        /// Exit as sysexits(3) has it: 75 for our trouble, so that a mail server tries again, 65 for bad input
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
    /// The days in force and the last run
    Show,
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Provable {
    Enforcement,
    Messages,
    Activity,
    /// That rows were removed, or another epoch began
    Control,
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

/// Which rows: the parameters of the log's own route.
#[derive(Args, Clone)]
pub struct Filters {
    /// The mailbox of the messages: number or address
    #[arg(long)]
    pub mailbox: Option<String>,
    /// The project of the activities; otherwise the workspace's
    #[arg(long)]
    pub project: Option<String>,
    /// RFC 3339, inclusive
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// RFC 3339, exclusive
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// enforcement: a tenant's id
    #[arg(long, value_name = "ID")]
    pub tenant: Option<String>,
    /// enforcement, activity
    #[arg(long)]
    pub action: Option<String>,
    /// enforcement: the mailbox's address
    #[arg(long)]
    pub address: Option<String>,
    /// messages
    #[arg(long, value_name = "ID")]
    pub message_id: Option<String>,
    /// messages
    #[arg(long, value_name = "ID")]
    pub thread: Option<String>,
    /// messages
    #[arg(long)]
    pub outcome: Option<String>,
    /// messages
    #[arg(long, value_name = "ADDRESS")]
    pub sender: Option<String>,
    /// messages
    #[arg(long, value_name = "ADDRESS")]
    pub recipient: Option<String>,
    /// messages
    #[arg(long)]
    pub reason: Option<String>,
    /// activity
    #[arg(long, value_name = "ID")]
    pub user: Option<String>,
    /// activity: what was acted on
    #[arg(long, value_name = "ID")]
    pub target: Option<String>,
}

#[derive(Args)]
pub struct Query {
    /// Which log
    pub log: Log,
    #[command(flatten)]
    pub filters: Filters,
    /// How many rows, 1 to 200
    #[arg(long, default_value_t = 50)]
    pub limit: u64,
    /// asc: oldest first
    #[arg(long, default_value = "desc")]
    pub order: String,
}

#[derive(Args)]
pub struct Export {
    /// Which log
    pub log: Log,
    #[command(flatten)]
    pub filters: Filters,
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
