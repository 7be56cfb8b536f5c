//! The manual page and the completions, made of the definition of the command line and of the list of settings.

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};

use super::command;
use super::terminal::write_out;
use crate::config::SETTINGS;
use crate::error::{Error, Result};

const FILES: &[(&str, &str)] = &[
    ("mailtrail.db", "the database, with a -wal and a -shm beside it while it is served"),
    ("mailtrail.lock", "held by the process that serves"),
    ("mailtrail.sock", "where the command line speaks to it"),
    ("issuer.key, issuer.pub", "sign and verify the licenses; in no backup"),
    ("license.key", "the license that init made; in no backup"),
    ("checkpoint.key", "signs the checkpoints; in no backup"),
    ("served-with", "names the configuration file that it was last served with, for the commands"),
    ("checkpoint", "the last checkpoint: a database that was rolled back is not served"),
    ("ballast", "64 MiB that are given up when the disk is full, to clean up in"),
    ("backups", "what backup_every makes, unless backup_directory names another place"),
];

const EXIT_STATUS: &[(&str, &str)] = &[
    ("0", "done"),
    ("1", "your input"),
    ("2", "our trouble"),
    ("3", "does not verify"),
    ("70, 74", "serve, witness: internal; input/output"),
    (
        "75",
        "serve, witness: the directory is in use for a while; record --sysexits: try again, for all but the message",
    ),
    (
        "78",
        "serve, witness: command line, configuration or data refused, or another server has the directory",
    ),
    ("65", "record --sysexits: no mail message, which goes back"),
];

pub fn completions(shell: Shell) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "mailtrail", &mut script);
    write_out(&script)
}

pub fn man() -> Result<()> {
    write_out(&page().map_err(Error::io("cannot make the manual page"))?)
}

/// One page for all: whoever looks something up need not know which command it belongs to.
fn page() -> std::io::Result<Vec<u8>> {
    let command = command();
    let man = Man::new(command.clone());
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    heading("COMMANDS").to_writer(&mut page)?;
    for child in command.get_subcommands() {
        render_command("mailtrail", child, &mut page)?;
    }

    let mut roff = heading("SETTINGS");
    roff.text([
        roman("In the configuration file, or in the environment: "),
        bold("MAILTRAIL_"),
        roman(" and the name in capitals, with "),
        bold("_FILE"),
        roman(" behind it the name of a file that holds the value. A systemd credential "),
        bold("mailtrail."),
        italic("name"),
        roman(" counts too. Flags beat the environment, which beats a credential, which beats the file."),
    ]);
    for setting in SETTINGS {
        let default = match setting.default {
            "" => String::new(),
            default => format!(" [default: {default}]"),
        };
        entry(&mut roff, setting.key, &format!("{}{default}", setting.meaning));
    }
    roff.control("SH", ["FILES"]).text([roman("In the data directory, which only its owner may enter:")]);
    FILES.iter().for_each(|(name, meaning)| entry(&mut roff, name, meaning));
    roff.control("SH", ["EXIT STATUS"]);
    EXIT_STATUS.iter().for_each(|(status, meaning)| entry(&mut roff, status, meaning));
    roff.control("SH", ["SEE ALSO"]).text([roman(env!("CARGO_PKG_REPOSITORY"))]);
    roff.to_writer(&mut page)?;
    Ok(page)
}

/// A command with its options, or each of those below it.
fn render_command(parent: &str, command: &Command, page: &mut Vec<u8>) -> std::io::Result<()> {
    let name = format!("{parent} {}", command.get_name());
    for child in command.get_subcommands() {
        render_command(&name, child, page)?;
    }
    if command.has_subcommands() {
        return Ok(());
    }
    let usage = command.clone().bin_name(name).render_usage().to_string();
    let mut roff = Roff::new();
    roff.control("SS", [usage.trim_start_matches("Usage: ")]);
    roff.text([roman(command.get_about().map(ToString::to_string).unwrap_or_default())]);
    roff.to_writer(page)?;
    let mut options = Vec::new();
    let worth_a_line = command
        .clone()
        .disable_help_flag(true)
        .mut_args(|argument| argument.clone().hide(argument.get_help().is_none()));
    Man::new(worth_a_line).render_options_section(&mut options)?;
    // A section of the page elsewhere; here it belongs to the command.
    let options = String::from_utf8_lossy(&options);
    page.extend_from_slice(options.split_once(".SH OPTIONS\n").map_or("", |(_, list)| list).as_bytes());
    Ok(())
}

fn heading(name: &str) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", [name]);
    roff
}

fn entry(roff: &mut Roff, term: &str, meaning: &str) {
    roff.control("TP", []).text([bold(term)]).text([roman(meaning)]);
}
