//! Root comes to a data directory: it becomes the directory's owner before it reads anything there, and for good.
//!
//! Whoever owns the directory can put there what they like: a link to a file of root's in the place of one of ours, a name
//! that leads elsewhere a moment after it was looked at. What root then wrote or read for them they could not have done
//! themselves. As the owner we can do no more than they. It also leaves nothing behind that belongs to root and that the
//! service could not open afterwards. What the caller named elsewhere, a file to read or to write, is opened before.
//!
//! # How
//! The kernel knows users by thread. glibc's `setresuid` tells all threads of a process; without unsafe code there is the
//! kernel's own call for the one thread that makes it (rustix), and threads that are started later have its user. So it is
//! done while there is no other thread, which is looked at.

use std::ffi::OsString;
use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::process::{Gid, Uid};

use crate::error::{Error, Result};

/// Whom this process is to become. It is the process's, as the user is.
static NEXT: Mutex<Option<Owner>> = Mutex::new(None);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Owner {
    user: u32,
    group: u32,
}

/// Looks, as root, whom a directory belongs to, or the one that it is to be made in. Nobody else looks.
///
/// # Errors
/// `Refused` when somebody else than root and its owner can put another one in its place: whom we became would be theirs
/// to say.
pub fn look(path: &Path) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let owner = owner_of(path)?;
    *NEXT.lock().unwrap_or_else(PoisonError::into_inner) = owner;
    Ok(())
}

/// `look` for a file that is only read: where it is root's, whom the directory belongs to that it is in, for SQLite makes
/// others beside it.
///
/// # Errors
/// As `look`; `Refused` too where that one may not read the file.
pub fn look_at_file(file: &Path) -> Result<()> {
    let found = file.metadata().ok();
    if found.as_ref().is_some_and(|found| found.uid() != 0) {
        return look(file);
    }
    let directory = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    look(directory)?;
    let is_for_root_alone = found.is_some_and(|found| found.mode() & 0o044 == 0);
    match *NEXT.lock().unwrap_or_else(PoisonError::into_inner) {
        Some(Owner { user, .. }) if is_for_root_alone => Err(Error::refused(
            format!(
                "{} is for root alone, and user {user}, to whom the directory belongs, can put another in its place",
                file.display()
            ),
            "move it to a directory of root's first",
        )),
        _ => Ok(()),
    }
}

/// Whether we are root still, and will be somebody else.
pub fn is_root_for_now() -> bool {
    NEXT.lock().unwrap_or_else(PoisonError::into_inner).is_some()
}

/// Becomes the one whom `look` has found, for good; nothing where that is us.
pub fn descend() -> Result<()> {
    let Some(Owner { user, group }) = NEXT.lock().unwrap_or_else(PoisonError::into_inner).take() else {
        return Ok(());
    };
    // Without /proc nobody can look: nothing of ours has started one by now.
    let n_threads = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if n_threads != 1 {
        return Err(Error::Internal(format!("{n_threads} threads run as root")));
    }
    let (uid, gid) = (Uid::from_raw(user), Gid::from_raw(group));
    let become_owner = || {
        rustix::thread::set_thread_groups(&[gid])?;
        rustix::thread::set_thread_res_gid(gid, gid, gid)?;
        rustix::thread::set_thread_res_uid(uid, uid, uid)
    };
    become_owner().map_err(|errno| {
        Error::refused(
            format!("root cannot become user {user}, to whom the data directory belongs: {errno}"),
            format!("run it as that user: setpriv --reuid {user} --regid {group} --clear-groups mailtrail …"),
        )
    })
}

/// Makes a new file or directory theirs whom we shall become: after that we could not write into it.
pub fn give(file: impl std::os::fd::AsFd) -> Result<()> {
    let Some(Owner { user, group }) = *NEXT.lock().unwrap_or_else(PoisonError::into_inner) else {
        return Ok(());
    };
    rustix::fs::fchown(file, Some(Uid::from_raw(user)), Some(Gid::from_raw(group)))
        .map_err(|errno| Error::io("cannot give a file away")(errno.into()))
}

/// `None`: it is root's.
fn owner_of(path: &Path) -> Result<Option<Owner>> {
    let way = Way::to(path)?;
    let owner = way.end.uid();
    if let Some((place, who)) =
        way.others.iter().find(|(_, who)| !matches!(who, Some(0)) && *who != Some(owner))
    {
        let who = who.map_or_else(|| "others".to_owned(), |user| format!("user {user}"));
        return Err(Error::refused(
            format!(
                "{} belongs to user {owner}, and {who} can put another in its place: {}",
                path.display(),
                place.display()
            ),
            "run it as the owner of the data directory, or put that right",
        ));
    }
    Ok((owner != 0).then(|| Owner { user: owner, group: group_of(&way.end) }))
}

/// Never root's: a directory that was given to somebody may have been left in root's group.
fn group_of(end: &Metadata) -> u32 {
    /// `nogroup`.
    const NOBODYS: u32 = 65534;
    if end.gid() != 0 {
        return end.gid();
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let own = users.lines().find_map(|line| {
        let mut fields = line.split(':').skip(2);
        let (uid, gid) = (fields.next()?.parse::<u32>().ok()?, fields.next()?.parse().ok()?);
        (uid == end.uid()).then_some(gid)
    });
    own.filter(|gid| *gid != 0).unwrap_or(NOBODYS)
}

/// The way to a file, one directory after the other, through every link.
struct Way {
    /// What it leads to; where that is not there, the last directory that is.
    end: Metadata,
    /// Who can change what stands on the way, and where; `None`: many.
    others: Vec<(PathBuf, Option<u32>)>,
}

impl Way {
    /// As many as the kernel follows.
    const MOST_LINKS: usize = 40;

    fn to(path: &Path) -> Result<Self> {
        let failed = |path: &Path| Error::io(format!("cannot look at {}", path.display()));
        let absolute = std::path::absolute(path).map_err(failed(path))?;
        let mut ahead: Vec<OsString> = parts(&absolute);
        let mut at = PathBuf::from("/");
        let mut end = at.symlink_metadata().map_err(failed(&at))?;
        let (mut others, mut n_links) = (Vec::new(), 0);
        while let Some(part) = ahead.pop() {
            if part == ".." {
                at.pop();
                end = at.symlink_metadata().map_err(failed(&at))?;
                continue;
            }
            let next = at.join(&part);
            let found = match next.symlink_metadata() {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    others.extend(changers(&end, None).map(|who| (at.clone(), who)));
                    break;
                }
                found => found.map_err(failed(&next))?,
            };
            others.extend(changers(&end, Some(found.uid())).map(|who| (at.clone(), who)));
            if !found.is_symlink() {
                (at, end) = (next, found);
                continue;
            }
            n_links += 1;
            if n_links > Self::MOST_LINKS {
                return Err(failed(path)(std::io::Error::other("too many links")));
            }
            let target = std::fs::read_link(&next).map_err(failed(&next))?;
            if target.is_absolute() {
                at = PathBuf::from("/");
                end = at.symlink_metadata().map_err(failed(&at))?;
            }
            ahead.extend(parts(&target));
        }
        Ok(Self { end, others })
    }
}

/// The last first.
fn parts(path: &Path) -> Vec<OsString> {
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(part) => Some(part.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    let mut parts: Vec<OsString> = parts.collect();
    parts.reverse();
    parts
}

/// Who can put something in the place of an entry of this directory, whoever it belongs to; nobody's yet where there is
/// none. `None`: anybody, or a group.
fn changers(directory: &Metadata, entry: Option<u32>) -> impl Iterator<Item = Option<u32>> {
    let mode = directory.mode();
    let is_shared = mode & 0o002 != 0 || (mode & 0o020 != 0 && directory.gid() != 0);
    let by_others = match (is_shared, mode & 0o1000 != 0) {
        (false, _) => Some(directory.uid()),
        // As in /tmp: what is there is changed by its owner, and what is not, we make.
        (true, true) => Some(entry.unwrap_or(directory.uid())),
        (true, false) => None,
    };
    [Some(directory.uid()), by_others].into_iter()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    /// Only root can give files away, and nobody else looks.
    fn as_root(test: impl FnOnce(&Path)) {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root can give files to others");
            return;
        }
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).expect("a mode");
        test(directory.path());
    }

    fn make(path: &Path, owner: u32, mode: u32) {
        std::fs::create_dir(path).expect("a directory");
        chown(path, Some(owner), Some(owner)).expect("an owner");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("a mode");
    }

    /// Numbers that no user and no group of a machine has.
    const BOB: u32 = 4_000_001;
    const ANN: u32 = 4_000_002;
    const CREW: u32 = 4_000_003;

    #[test]
    fn an_owner_is_believed_where_nobody_else_could_say_who_it_is() {
        as_root(|top| {
            let (own, bobs, shared) = (top.join("own"), top.join("bobs"), top.join("shared"));
            make(&own, BOB, 0o700);
            make(&bobs, BOB, 0o755);
            make(&bobs.join("data"), BOB, 0o700);
            make(&bobs.join("anns"), ANN, 0o700);
            make(&bobs.join("roots"), 0, 0o700);
            make(&shared, 0, 0o777);
            make(&shared.join("data"), BOB, 0o700);
            let sticky = top.join("sticky");
            make(&sticky, 0, 0o1777);
            make(&sticky.join("data"), BOB, 0o700);
            let group = top.join("group");
            make(&group, 0, 0o775);
            chown(&group, None, Some(CREW)).expect("a group");
            make(&group.join("data"), BOB, 0o700);
            symlink(&own, top.join("link")).expect("a link");
            symlink(top.join("roots own"), bobs.join("away")).expect("a link");
            make(&top.join("roots own"), 0, 0o700);
            symlink("../bobs/data", bobs.join("around")).expect("a link");
            symlink("loop", top.join("loop")).expect("a link");
            let bob = Some(Owner { user: BOB, group: BOB });
            for (path, expected) in [
                ("own", bob),
                ("own/new/er", bob),
                ("bobs/data", bob),
                ("bobs/around", bob),
                ("bobs/../own", bob),
                ("link", bob),
                ("sticky/data", bob),
                ("sticky/new", None),
                ("new", None),
                ("roots own", None),
            ] {
                assert_eq!(owner_of(&top.join(path)).expect(path), expected, "{path}");
            }
            for path in
                ["bobs/anns", "bobs/roots", "bobs/away", "shared/data", "shared/new", "group/data", "loop"]
            {
                assert!(owner_of(&top.join(path)).is_err(), "{path}");
            }
            chown(&own, None, Some(0)).expect("a group");
            assert_eq!(owner_of(&own).expect("an owner"), Some(Owner { user: BOB, group: 65534 }));
        });
    }
}
