//! Which configuration file counts, for the command line as for the server: the one that is named, else the one that
//! the data directory was last served with, else the machine's own.
//!
//! Without it a command that runs while the server is stopped would go by the defaults: whose verdicts are believed, for
//! one, which nobody can put right afterwards.

use std::fs::{File, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::arguments::{Arguments, Command};
use super::terminal::tell;
use crate::data_directory::{SERVED_WITH, put, read};
use crate::error::{Error, Result};
use crate::http::client::is_answered;
use crate::small;

/// What the packages put there, and the directory that their unit serves.
const MACHINES: &str = "/etc/mailtrail/mailtrail.toml";
const SERVICES: &str = "/var/lib/mailtrail";
/// Where root finds what the unit hands over as credentials.
const CREDENTIALS: &str = "/etc/credstore";

/// The file, and where else a value may stand.
pub struct Found {
    pub file: Option<PathBuf>,
    has_credentials: bool,
}

impl Found {
    pub fn of(arguments: &Arguments, flags: &[(String, String)]) -> Result<Self> {
        let is_root = rustix::process::geteuid().is_root();
        if let Command::Demo { .. } | Command::Man | Command::Completions { .. } | Command::Witness(_) =
            arguments.command
        {
            return Ok(Self { file: arguments.config.clone(), has_credentials: false });
        }
        let of_flags = flags.iter().rev().find(|(key, _)| key == "data").map(|(_, data)| data.clone());
        let named = of_flags.or_else(|| std::env::var("MAILTRAIL_DATA").ok()).map(PathBuf::from);
        let is_machines = is_machines(named.as_deref());
        let has_credentials = is_root && is_machines;
        if arguments.config.is_some() {
            return Ok(Self { file: arguments.config.clone(), has_credentials });
        }
        // What serves says which file it is, and is told by nobody.
        let noted = match arguments.command {
            Command::Serve { .. } | Command::Init { .. } => None,
            _ => noted(named.as_deref().unwrap_or(Path::new("./mailtrail-data")), is_machines)?,
        };
        let machines = || Some(PathBuf::from(MACHINES)).filter(|file| is_machines && may_read(file));
        Ok(Self { file: noted.or_else(machines), has_credentials })
    }

    /// The environment; as root, with the directory of the service's credentials.
    pub fn variable(&self, name: &str) -> Option<String> {
        let told = std::env::var(name).ok();
        told.or_else(|| (self.has_credentials && name == "CREDENTIALS_DIRECTORY").then(|| CREDENTIALS.into()))
    }
}

/// Whether it is the data directory that the machine's file is for: the one named there, else the service's. Without a
/// name only a file that names one counts.
fn is_machines(named: Option<&Path>) -> bool {
    let text = small::read_file(Path::new(MACHINES)).unwrap_or_default();
    let table: toml::Table = text.parse().unwrap_or_default();
    let own = table.get("data").and_then(toml::Value::as_str);
    let Some(named) = named else { return own.is_some() };
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    real(named) == real(Path::new(own.unwrap_or(SERVICES)))
}

fn may_read(file: &Path) -> bool {
    File::open(file).is_ok_and(|file| file.metadata().is_ok_and(|found| found.is_file()))
}

/// The file that the directory was last served with. Whoever owns the directory wrote that: nobody else goes by it, root
/// least of all.
fn noted(data: &Path, is_machines: bool) -> Result<Option<PathBuf>> {
    let note = data.join(SERVED_WITH);
    let path = match read(&note) {
        // Where we may not look, another one serves; where nothing is, nothing was named.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => {
            return Ok(None);
        }
        path => path.map_err(Error::io(format!("cannot read {}", note.display())))?,
    };
    let own = rustix::process::geteuid().as_raw();
    let is_own = |found: std::io::Result<Metadata>| found.is_ok_and(|found| found.uid() == own);
    if !is_own(data.metadata()) || !is_own(note.symlink_metadata()) {
        if !is_machines && !is_answered(&data.join("mailtrail.sock")) {
            tell(&format!(
                "warning: {} was served with a configuration file, which another user than its owner does not \
                 follow: name it with --config",
                data.display()
            ));
        }
        return Ok(None);
    }
    let path = PathBuf::from(path);
    match path.metadata() {
        Ok(_) => Ok(Some(path)),
        Err(error) => Err(Error::refused(
            format!(
                "{} was last served with {}, which cannot be read: {error}",
                data.display(),
                path.display()
            ),
            "name the file with --config, or serve the directory once more",
        )),
    }
}

/// Notes for the commands what the directory is served with.
pub fn note(data: &Path, file: Option<&Path>) -> Result<()> {
    let note = data.join(SERVED_WITH);
    let Some(file) = file else {
        return match std::fs::remove_file(&note) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Error::io(format!("cannot remove {}", note.display()))(error))
            }
            _ => Ok(()),
        };
    };
    let path = std::path::absolute(file).map_err(Error::io("cannot name the configuration file"))?;
    let path = path.to_str().ok_or_else(|| {
        Error::refused(format!("the name of {} is no UTF-8", path.display()), "give the file another name")
    })?;
    put(&note, path)
}
