//! One walk for two purposes: sealing a tree, and reading a sealed one back.
//!
//! Every step is relative to an open directory and refuses links, so that nothing in the tree can lead the walk out
//! of it. The writers are gone when it begins.

use std::ffi::{CStr, OsStr};
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat, fstatat};
use nix::unistd::{Gid, Uid, fchown, fchownat};
use runtime::{Entry, Kind, check_path, hex};
use sha2::{Digest, Sha256};

use crate::StoreError;

/// How far a walk is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Paths seen.
    pub paths: u64,
    /// Bytes read.
    pub bytes: u64,
}

/// Deeper than any package nests; bounds the recursion.
pub(crate) const DEEPEST: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Make everything the owner's and read-only; refuse what cannot be sealed.
    Seal,
    /// Change nothing; note what is not as a seal leaves it.
    Read,
}

pub(crate) struct Walk<'a> {
    purpose: Purpose,
    owner: (Uid, Gid),
    device: u64,
    root: PathBuf,
    progress: &'a mut dyn FnMut(Progress),
    done: Progress,
    /// What was found.
    pub(crate) entries: Vec<Entry>,
    /// Paths whose owner, mode or type is not what a seal leaves.
    pub(crate) irregular: Vec<String>,
}

impl<'a> Walk<'a> {
    /// Walks everything in the directory `dir`, which messages call `root`, but for the names in `except`.
    pub(crate) fn over(
        purpose: Purpose,
        dir: BorrowedFd<'_>,
        root: &Path,
        except: &[&str],
        progress: &'a mut dyn FnMut(Progress),
    ) -> Result<Self, StoreError> {
        let device = fstat(dir).map_err(StoreError::io("look at", root))?.st_dev;
        let owner = (Uid::effective(), Gid::effective());
        let (done, entries, irregular) = (Progress::default(), Vec::new(), Vec::new());
        let mut walk =
            Self { purpose, owner, device, root: root.to_owned(), progress, done, entries, irregular };
        walk.directory(dir, "", except, 0)?;
        (walk.progress)(walk.done);
        Ok(walk)
    }

    fn directory(
        &mut self,
        dir: BorrowedFd<'_>,
        prefix: &str,
        except: &[&str],
        depth: usize,
    ) -> Result<(), StoreError> {
        if depth > DEEPEST {
            return Err(self.refuse(prefix, "nests too deep"));
        }
        for name in names(dir).map_err(self.io("list", prefix))? {
            let Some(name) = name.to_str().filter(|name| check_path(name).is_ok()) else {
                return Err(self.refuse(prefix, "holds a name that is not plain UTF-8"));
            };
            if except.contains(&name) {
                continue;
            }
            let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
            let kind = self.entry(dir, name, &path, depth)?;
            self.entries.push(Entry { path, kind });
            self.done.paths += 1;
            if self.done.paths % 256 == 0 {
                (self.progress)(self.done);
            }
        }
        Ok(())
    }

    fn entry(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &str,
        path: &str,
        depth: usize,
    ) -> Result<Kind, StoreError> {
        let stat = fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW).map_err(self.io("look at", path))?;
        if stat.st_dev != self.device {
            return Err(self.refuse(path, "is on another file system"));
        }
        match SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) {
            SFlag::S_IFDIR => {
                let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
                let inner = openat(dir, name, flags, Mode::empty()).map_err(self.io("open", path))?;
                self.directory(inner.as_fd(), path, &[], depth + 1)?;
                self.hold(&inner, path, Mode::from_bits_truncate(0o555))?;
                Ok(Kind::Directory)
            }
            SFlag::S_IFREG => self.file(dir, name, path),
            SFlag::S_IFLNK => self.link(dir, name, path, &stat),
            _ => Err(self.refuse(path, "is a device, a socket or a named pipe")),
        }
    }

    fn file(&mut self, dir: BorrowedFd<'_>, name: &str, path: &str) -> Result<Kind, StoreError> {
        // O_NONBLOCK: should the file have become a named pipe since it was looked at, the open does not wait.
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = openat(dir, name, flags, Mode::empty()).map_err(self.io("open", path))?;
        let stat = fstat(&file).map_err(self.io("look at", path))?;
        if stat.st_mode & SFlag::S_IFMT.bits() != SFlag::S_IFREG.bits() {
            return Err(self.refuse(path, "changed while it was read"));
        }
        if stat.st_mode & 0o6000 != 0 {
            return Err(self.refuse(path, "is setuid or setgid"));
        }
        if stat.st_nlink != 1 {
            return Err(self.refuse(path, "has a second name (hard link)"));
        }
        let executable = stat.st_mode & 0o111 != 0;
        self.hold(&file, path, Mode::from_bits_truncate(if executable { 0o555 } else { 0o444 }))?;
        let (size, sha256) = self.digest(file, path)?;
        Ok(Kind::File { executable, size, sha256 })
    }

    fn link(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &str,
        path: &str,
        stat: &FileStat,
    ) -> Result<Kind, StoreError> {
        let target = readlinkat(dir, name).map_err(self.io("read the link", path))?;
        let Some(target) = target.to_str() else {
            return Err(self.refuse(path, "is a link whose target is not plain UTF-8"));
        };
        if self.purpose == Purpose::Seal {
            let (uid, gid) = self.owner;
            fchownat(dir, name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)
                .map_err(self.io("take over", path))?;
        } else if stat.st_uid != self.owner.0.as_raw() {
            self.irregular.push(path.to_owned());
        }
        Ok(Kind::Link { target: target.to_owned() })
    }

    /// Takes over an open file or directory and makes it read-only. The owner first: from then on nobody else can
    /// change the mode back; chown also clears file capabilities.
    fn hold(&mut self, fd: &OwnedFd, path: &str, mode: Mode) -> Result<(), StoreError> {
        let (uid, gid) = self.owner;
        if self.purpose == Purpose::Seal {
            fchown(fd, Some(uid), Some(gid)).map_err(self.io("take over", path))?;
            return fchmod(fd, mode).map_err(self.io("make read-only", path));
        }
        let stat = fstat(fd).map_err(self.io("look at", path))?;
        if stat.st_uid != uid.as_raw() || stat.st_mode & 0o7777 != mode.bits() {
            self.irregular.push(path.to_owned());
        }
        Ok(())
    }

    fn digest(&mut self, file: OwnedFd, path: &str) -> Result<(u64, String), StoreError> {
        let mut file = std::fs::File::from(file);
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 128 << 10];
        let mut size: u64 = 0;
        loop {
            let read = match file.read(&mut buffer) {
                Ok(0) => return Ok((size, hex(&hasher.finalize()))),
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    let errno = error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
                    return Err(self.io("read", path)(errno));
                }
            };
            hasher.update(buffer.get(..read).unwrap_or_default());
            let read = u64::try_from(read).unwrap_or(u64::MAX);
            size = size.saturating_add(read);
            self.done.bytes = self.done.bytes.saturating_add(read);
        }
    }

    fn io(&self, action: &'static str, path: &str) -> impl FnOnce(Errno) -> StoreError + use<> {
        StoreError::io(action, &self.root.join(path))
    }

    fn refuse(&self, path: &str, why: &'static str) -> StoreError {
        StoreError::Irregular { path: self.root.join(path), why }
    }
}

/// The names in a directory, but `.` and `..`.
pub(crate) fn names(dir: BorrowedFd<'_>) -> nix::Result<Vec<std::ffi::OsString>> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    let mut listing = Dir::openat(dir, ".", flags, Mode::empty())?;
    let mut found = Vec::new();
    for entry in listing.iter() {
        let entry = entry?;
        let name: &CStr = entry.file_name();
        if !matches!(name.to_bytes(), b"." | b"..") {
            found.push(OsStr::from_bytes(name.to_bytes()).to_owned());
        }
    }
    Ok(found)
}
