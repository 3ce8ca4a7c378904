//! Terminals: a pair of our own for the tenant, the operator's in raw mode meanwhile and restored afterwards.
//!
//! A tenant never holds a descriptor of the operator's terminal: with one it could read what is typed later, or push
//! characters into its input (TIOCSTI).

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{OptionalActions, Termios, Winsize, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

/// A pair of pseudo-terminals.
#[derive(Debug)]
pub(crate) struct Pair {
    /// Our end.
    pub(crate) ours: OwnedFd,
    /// The tenant's end.
    pub(crate) tenants: OwnedFd,
}

impl Pair {
    /// A new pair with the size of `like`, where that is a terminal.
    pub(crate) fn open(like: impl AsFd) -> io::Result<Self> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = openpt(flags)?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        // By descriptor, not by name: the name may mean another terminal in another mount namespace.
        let tenants = ioctl_tiocgptpeer(&ours, flags)?;
        let pair = Pair { ours, tenants };
        resize(&pair.ours, like);
        Ok(pair)
    }
}

/// Gives `ours` the size of `like`. A size that cannot be read or set is left as it is: nothing depends on it.
pub(crate) fn resize(ours: impl AsFd, like: impl AsFd) {
    let size: Option<Winsize> = tcgetwinsize(like).ok();
    if let Some(size) = size {
        tcsetwinsize(ours, size).ok();
    }
}

/// A terminal in raw mode until this is dropped.
#[derive(Debug)]
pub(crate) struct Raw {
    terminal: OwnedFd,
    before: Termios,
}

impl Raw {
    /// Puts a terminal into raw mode: every key goes to the tenant, ^C included.
    pub(crate) fn enter(terminal: impl AsFd) -> io::Result<Self> {
        let terminal = terminal.as_fd().try_clone_to_owned()?;
        let before = tcgetattr(&terminal)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&terminal, OptionalActions::Now, &raw)?;
        Ok(Raw { terminal, before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring.
        tcsetattr(&self.terminal, OptionalActions::Drain, &self.before).ok();
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn what_one_end_writes_the_other_reads_and_sizes_follow() {
        let operator = Pair::open(io::stdin()).unwrap();
        let size = Winsize { ws_row: 33, ws_col: 101, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&operator.ours, size).unwrap();
        let pair = Pair::open(&operator.tenants).unwrap();
        let seen = tcgetwinsize(&pair.tenants).unwrap();
        assert_eq!((seen.ws_row, seen.ws_col), (33, 101));
        std::fs::File::from(pair.tenants).write_all(b"x").unwrap();
        let mut buffer = [0; 1];
        std::fs::File::from(pair.ours).read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, b"x");
    }

    #[test]
    fn raw_mode_ends_with_its_guard() {
        let terminal = Pair::open(io::stdin()).unwrap();
        let modes = |fd: &OwnedFd| tcgetattr(fd).unwrap().local_modes;
        let before = modes(&terminal.tenants);
        let raw = Raw::enter(&terminal.tenants).unwrap();
        assert_ne!(modes(&terminal.tenants), before);
        drop(raw);
        assert_eq!(modes(&terminal.tenants), before);
    }
}
