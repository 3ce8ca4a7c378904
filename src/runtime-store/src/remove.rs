//! Deleting a tree through directory descriptors: no link in it is followed, and read-only directories are no
//! obstacle. What cannot be deleted does not stop the rest.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::walk::names;

/// Deletes `name` in `dir`, whatever it is. `Ok` if it is not there; else the first error, after trying everything.
pub(crate) fn remove(dir: BorrowedFd<'_>, name: &OsStr) -> nix::Result<()> {
    match unlinkat(dir, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => return Ok(()),
        // EISDIR is Linux's answer for a directory, EPERM that of POSIX (unlink(2)).
        Err(Errno::EISDIR | Errno::EPERM) => {}
        Err(errno) => return Err(errno),
    }
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    let inner = openat(dir, name, flags, Mode::empty())?;
    let mut result = fchmod(&inner, Mode::S_IRWXU);
    for child in names(inner.as_fd())? {
        result = result.and(remove(inner.as_fd(), &child));
    }
    result.and(unlinkat(dir, name, UnlinkatFlags::RemoveDir))
}
