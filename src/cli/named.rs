//! What is made where the caller says, outside the data directory: a file, or a directory of files.
//!
//! It is made before the data directory is read, with the caller's own rights: as root we may be somebody else afterwards
//! (`privileges`). Nothing that is there already is written over; what was not finished is removed again, as far as we
//! still may.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::process::{Gid, Uid};

use super::terminal::tell;
use crate::error::{Error, Result};
use crate::privileges;
use crate::store::backup::sync_directory;

/// A file that was not there.
pub struct NewFile {
    pub file: File,
    path: PathBuf,
    is_finished: bool,
}

impl NewFile {
    pub fn create(path: &Path) -> Result<Self> {
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let file = made.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => exists(path, "name a file that is not there yet"),
            _ => failed(path)(error),
        })?;
        Ok(Self { file, path: path.to_owned(), is_finished: false })
    }

    /// It is whole, and on disk.
    pub fn finish(mut self) -> Result<()> {
        self.file.sync_all().map_err(failed(&self.path))?;
        self.is_finished = true;
        // Whoever we are by now may not be let into the directory: then its name is on disk when the file system says so.
        let _ = sync_directory(&self.path);
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.is_finished && std::fs::remove_file(&self.path).is_err() {
            tell(&format!("{} is not whole, and cannot be removed by user {}", self.path.display(), user()));
        }
    }
}

/// A directory that was not there. It gets its name when it is finished; as root, who may be somebody else by then, at
/// once.
pub struct NewDirectory {
    directory: OwnedFd,
    path: PathBuf,
    /// Until it is finished.
    partial: Option<PathBuf>,
    /// Those that were made with it.
    ready: HashMap<String, File>,
    files: Vec<String>,
    is_finished: bool,
}

impl NewDirectory {
    /// With these files in it, which are made at once. Where none are known yet, it is given to whom we shall become.
    pub fn create(path: &Path, files: &[&str]) -> Result<Self> {
        const HINT: &str = "name a directory that is not there yet";
        if path.symlink_metadata().is_ok() {
            return Err(exists(path, HINT));
        }
        let name = path
            .file_name()
            .ok_or_else(|| Error::usage(format!("{} names no directory", path.display()), HINT))?;
        let partial = match privileges::is_root_for_now() {
            true => None,
            false => Some(path.with_file_name(partial_name(name))),
        };
        let made = partial.as_deref().unwrap_or(path);
        let make = DirBuilder::new().mode(0o700).create(made);
        make.map_err(|error| Error::usage(format!("cannot make {}: {error}", path.display()), HINT))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = rustix::fs::open(made, flags, Mode::empty());
        let directory = directory.map_err(|errno| failed(path)(errno.into()))?;
        let mut new = Self {
            directory,
            path: path.to_owned(),
            partial,
            ready: HashMap::new(),
            files: Vec::new(),
            is_finished: false,
        };
        for name in files {
            let file = new.make(name)?;
            new.ready.insert((*name).to_owned(), file);
        }
        if files.is_empty() {
            privileges::give(&new.directory)?;
        }
        Ok(new)
    }

    fn make(&mut self, name: &str) -> Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = rustix::fs::openat(&self.directory, name, flags, Mode::from_raw_mode(0o600));
        self.files.push(name.to_owned());
        made.map(File::from).map_err(|errno| failed(&self.path.join(name))(errno.into()))
    }

    /// A file in it, empty.
    pub fn file(&mut self, name: &str) -> Result<File> {
        match self.ready.remove(name) {
            Some(file) => Ok(file),
            None => self.make(name),
        }
    }

    pub fn finish(mut self) -> Result<()> {
        let named = match &self.partial {
            Some(partial) => std::fs::rename(partial, &self.path),
            // Given away for nothing: a server had the data directory, and we are root still.
            None if privileges::is_root_for_now() => {
                rustix::fs::fchown(&self.directory, Some(Uid::ROOT), Some(Gid::ROOT)).map_err(Into::into)
            }
            None => Ok(()),
        };
        named.map_err(failed(&self.path))?;
        self.is_finished = true;
        Ok(())
    }
}

impl Drop for NewDirectory {
    fn drop(&mut self) {
        if self.is_finished {
            return;
        }
        for name in &self.files {
            let _ = rustix::fs::unlinkat(&self.directory, name, AtFlags::empty());
        }
        let made = self.partial.as_ref().unwrap_or(&self.path);
        if std::fs::remove_dir(made).is_err() {
            tell(&format!("{} is not whole, and cannot be removed by user {}", made.display(), user()));
        }
    }
}

fn partial_name(name: &OsStr) -> String {
    format!(".{}.{}.partial", name.display(), crate::ids::random_hex::<4>())
}

fn exists(path: &Path, hint: &str) -> Error {
    Error::usage(format!("{} exists already", path.display()), hint)
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    Error::io(format!("cannot write {}", path.display()))
}

fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}
