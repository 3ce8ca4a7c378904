//! Deleting a tree through directory descriptors: no link in it is followed, and read-only directories are no
//! obstacle. What cannot be deleted does not stop the rest. However deep somebody nested it, stack and open files stay few.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, RenameFlags, openat, renameat2};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::walk::{DEEPEST, names};

/// Deletes `name` in `dir`, whatever it is. `Ok` if it is not there; else the first error, after trying everything.
pub(crate) fn remove(dir: BorrowedFd<'_>, name: &OsStr) -> nix::Result<()> {
    let mut removal = Removal { top: dir, waiting: vec![name.to_owned()], name, lifted: 0 };
    let mut result = Ok(());
    while let Some(next) = removal.waiting.pop() {
        result = result.and(removal.below(dir, &next, 0));
    }
    result
}

struct Removal<'a> {
    /// Nobody else writes here.
    top: BorrowedFd<'a>,
    name: &'a OsStr,
    /// What lies in `top` and is still to be deleted.
    waiting: Vec<OsString>,
    lifted: usize,
}

impl Removal<'_> {
    fn below(&mut self, dir: BorrowedFd<'_>, name: &OsStr, depth: usize) -> nix::Result<()> {
        match unlinkat(dir, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => return Ok(()),
            // EISDIR is Linux's answer for a directory, EPERM that of POSIX (unlink(2)).
            Err(Errno::EISDIR | Errno::EPERM) => {}
            Err(errno) => return Err(errno),
        }
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let inner = openat(dir, name, flags, Mode::empty())?;
        // Also what rename(2) needs to move a directory: it writes its "..".
        let mut result = fchmod(&inner, Mode::S_IRWXU);
        if depth > DEEPEST {
            return result.and(self.lift(dir, name));
        }
        for child in names(inner.as_fd())? {
            result = result.and(self.below(inner.as_fd(), &child, depth + 1));
        }
        result.and(unlinkat(dir, name, UnlinkatFlags::RemoveDir))
    }

    /// Moves a directory up, to be deleted from there.
    fn lift(&mut self, dir: BorrowedFd<'_>, name: &OsStr) -> nix::Result<()> {
        loop {
            self.lifted += 1;
            let mut to = self.name.to_owned();
            to.push(format!(".deep-{}", self.lifted));
            match renameat2(dir, name, self.top, to.as_os_str(), RenameFlags::RENAME_NOREPLACE) {
                // Of a removal that was killed: deleted on the way.
                Err(Errno::EEXIST) => self.waiting.push(to),
                Err(errno) => return Err(errno),
                Ok(()) => {
                    self.waiting.push(to);
                    return Ok(());
                }
            }
        }
    }
}
