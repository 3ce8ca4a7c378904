//! Directories that only root can change, reached one component at a time and never through a link.
//!
//! Whatever root makes, changes or removes, it does relative to such a directory: nobody else can swap a name between
//! the look and the act, because nobody else may write there.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use model::Exit;
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, fchmod, fstat, fstatat, mkdirat};
use nix::unistd::geteuid;
use plan::HostError;

use crate::error::{os, sentence};

/// Flags under which every directory is opened: a link in its place is an error, not a detour.
const DIRECTORY: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// A trusted directory, held open.
#[derive(Debug)]
pub(crate) struct Anchor {
    fd: OwnedFd,
    path: PathBuf,
}

impl Anchor {
    /// The directory, or nothing where it or one of its parents is missing.
    pub(crate) fn find(path: &Path) -> Result<Option<Self>, HostError> {
        Self::walk(path, false)
    }

    /// The directory; it and missing parents are made, root-owned, 0755.
    pub(crate) fn make(path: &Path) -> Result<Self, HostError> {
        Self::walk(path, true)?.ok_or_else(|| os("make directory", path, Errno::ENOENT))
    }

    /// The parent of `path` and the last name of it.
    pub(crate) fn parent_of(path: &Path) -> Result<(Option<Self>, OsString), HostError> {
        let (parent, name) = split(path)?;
        Ok((Self::find(parent)?, name))
    }

    /// The same; missing parents are made.
    pub(crate) fn make_parent_of(path: &Path) -> Result<(Self, OsString), HostError> {
        let (parent, name) = split(path)?;
        Ok((Self::make(parent)?, name))
    }

    fn walk(path: &Path, make: bool) -> Result<Option<Self>, HostError> {
        if !path.is_absolute() {
            return Err(sentence(Exit::Software, format!("{} is no absolute path", path.display())));
        }
        let mut at = PathBuf::from("/");
        let mut fd = openat(AT_FDCWD, "/", DIRECTORY, Mode::empty()).map_err(|e| os("open", &at, e))?;
        let mut rest = path.components().skip(1).peekable();
        while let Some(component) = rest.next() {
            let Component::Normal(name) = component else {
                return Err(sentence(Exit::Software, format!("{} is not a plain path", path.display())));
            };
            at.push(name);
            fd = match openat(&fd, name, DIRECTORY, Mode::empty()) {
                Ok(next) => next,
                Err(Errno::ENOENT) if make => make_in(&fd, name, &at)?,
                Err(Errno::ENOENT) => return Ok(None),
                Err(errno) => return Err(in_the_way(&at, errno)),
            };
            trusted(&fd, &at, rest.peek().is_some())?;
        }
        Ok(Some(Self { fd, path: at }))
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What lies at `name`, without following it.
    pub(crate) fn look(&self, name: &OsStr) -> Result<Option<FileStat>, HostError> {
        match fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(os("look at", &self.path.join(name), errno)),
        }
    }

    /// Names in it, sorted, `.` and `..` left out; more than `most` is an error.
    pub(crate) fn names(&self, most: usize) -> Result<Vec<OsString>, HostError> {
        use std::os::unix::ffi::OsStrExt;
        let failed = |errno| os("list", &self.path, errno);
        let mut dir = Dir::openat(&self.fd, ".", DIRECTORY, Mode::empty()).map_err(failed)?;
        let mut names = Vec::new();
        for entry in dir.iter() {
            let name = OsStr::from_bytes(entry.map_err(failed)?.file_name().to_bytes()).to_owned();
            if name == "." || name == ".." {
                continue;
            }
            if names.len() == most {
                let text =
                    format!("{} holds more than {most} entries: clear it by hand", self.path.display());
                return Err(sentence(Exit::Os, text));
            }
            names.push(name);
        }
        names.sort();
        Ok(names)
    }

    /// Writes the directory itself to disk, so that a rename in it survives a power cut.
    pub(crate) fn sync(&self) -> Result<(), HostError> {
        nix::unistd::fsync(&self.fd).map_err(|errno| os("write out directory", &self.path, errno))
    }
}

impl AsFd for Anchor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Opens a directory below an anchor for its own attributes; the tenant may own it.
pub(crate) fn open_directory(parent: &Anchor, name: &OsStr) -> Result<OwnedFd, HostError> {
    openat(parent, name, DIRECTORY, Mode::empty()).map_err(|errno| in_the_way(&parent.path.join(name), errno))
}

/// Whether `uid` is root or this process (which is root, but for unit tests).
pub(crate) fn is_trusted(uid: u32) -> bool {
    uid == 0 || uid == geteuid().as_raw()
}

fn split(path: &Path) -> Result<(&Path, OsString), HostError> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => Ok((parent, name.to_owned())),
        (_, _) => Err(sentence(Exit::Software, format!("{} names nothing in a directory", path.display()))),
    }
}

fn make_in(parent: &OwnedFd, name: &OsStr, at: &Path) -> Result<OwnedFd, HostError> {
    let failed = |errno| os("make directory", at, errno);
    match mkdirat(parent, name, Mode::from_bits_truncate(0o755)) {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(errno) => return Err(failed(errno)),
    }
    let fd = openat(parent, name, DIRECTORY, Mode::empty()).map_err(|errno| in_the_way(at, errno))?;
    fchmod(&fd, Mode::from_bits_truncate(0o755)).map_err(failed)?;
    Ok(fd)
}

fn in_the_way(at: &Path, errno: Errno) -> HostError {
    if errno == Errno::ELOOP || errno == Errno::ENOTDIR {
        let text = format!(
            "{} is not a directory (a symbolic link or a file is in its place), and tenantd follows no link there: move it away (to keep data elsewhere, bind-mount it)",
            at.display()
        );
        sentence(Exit::CantCreate, text)
    } else {
        os("open directory", at, errno)
    }
}

/// A directory on the way may be a sticky one such as /tmp: an entry of root cannot be renamed there. The last must be
/// writable by root alone.
fn trusted(fd: &OwnedFd, at: &Path, on_the_way: bool) -> Result<(), HostError> {
    let stat = fstat(fd).map_err(|errno| os("look at", at, errno))?;
    let others_write = stat.st_mode & 0o022 != 0;
    let sticky = stat.st_mode & libc::S_ISVTX != 0;
    if is_trusted(stat.st_uid) && (!others_write || (on_the_way && sticky)) {
        return Ok(());
    }
    let text = format!(
        "directory {} is owned by uid {} with mode {:04o}, so root cannot trust what it finds there: give it to root (chown root, chmod go-w)",
        at.display(),
        stat.st_uid,
        stat.st_mode & 0o7777
    );
    Err(sentence(Exit::NoPermission, text))
}
