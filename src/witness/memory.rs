//! What a witness remembers: of each log the latest checkpoint it cosigned, in a file of its own whose name is the
//! SHA-256 of the origin. It is on disk before it is told, for a witness that forgets lets a log go back.
//!
//! Looking and putting is one step under a lock (tlog-witness, "add-checkpoint", has the race that would be there
//! otherwise). A file that is not what this witness wrote is an error, never taken for "not seen yet".

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::data_directory::{put, read};
use crate::error::{Error, Result};
use crate::ids::{hex, sha256, unhex};
use crate::tlog::note::{Checkpoint, Note, Verifier};

pub struct Memory {
    directory: PathBuf,
    /// With which a file is believed to be our own.
    verifier: Verifier,
    turn: Mutex<()>,
}

impl Memory {
    /// The caller holds the lock of the directory.
    pub fn new(directory: &Path, verifier: Verifier) -> Self {
        Self { directory: directory.to_owned(), verifier, turn: Mutex::default() }
    }

    /// Shows what was cosigned last of this log to `next`, and keeps the note it answers with, if any. Nobody comes
    /// between.
    ///
    /// # Errors
    /// Those of `next`; `Mismatch` for a file that is not ours, `Io` when it cannot be read or the note not be kept.
    pub fn update<T>(
        &self,
        origin: &str,
        next: impl FnOnce(Option<Checkpoint>) -> Result<(T, Option<String>)>,
    ) -> Result<T> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let name = name_of(origin);
        let seen = match self.read(&name)? {
            None => None,
            Some(note) => Some(self.believed(origin, &note).ok_or_else(|| {
                Error::Mismatch(format!("{} is not what was cosigned", self.directory.join(&name).display()))
            })?),
        };
        let (answer, note) = next(seen)?;
        if let Some(note) = note {
            put(&self.directory.join(name), &note)?;
        }
        Ok(answer)
    }

    /// The note that was cosigned last, by the name of its file. `None` for a name that is none, or of a log not seen yet.
    pub fn read(&self, name: &str) -> Result<Option<String>> {
        if unhex::<32>(name).is_none_or(|hash| hex(&hash) != name) {
            return Ok(None);
        }
        let path = self.directory.join(name);
        match read(&path) {
            Ok(note) => Ok(Some(note)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(format!("cannot read {}", path.display()))(error)),
        }
    }

    fn believed(&self, origin: &str, note: &str) -> Option<Checkpoint> {
        let note = Note::parse(note).ok().filter(|note| note.is_signed_by(&self.verifier))?;
        Checkpoint::parse(&note.text).filter(|checkpoint| checkpoint.origin == origin)
    }
}

/// The origin hash of tlog-witness, "Monitor Retrieval Mechanism".
fn name_of(origin: &str) -> String {
    hex(&sha256(origin.as_bytes()))
}
