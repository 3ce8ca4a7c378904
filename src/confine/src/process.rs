//! The remaining steps of becoming another program: descriptors, umask, directory, signals, execve(2).

use std::convert::Infallible;
use std::ffi::CStr;
use std::io;
use std::path::Path;

use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::stat::Mode;

/// Closes every descriptor above standard error.
pub fn close_descriptors() -> io::Result<()> {
    // SAFETY: the caller owns no descriptor above 2 any more: this is called once, by a launcher that has read its
    // file and closed it, before anything else opens one.
    let answer = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sets the file mode creation mask to 0077: what the tenant makes is nobody else's.
pub fn private_umask() {
    nix::sys::stat::umask(Mode::from_bits_truncate(0o077));
}

/// Changes the working directory.
pub fn change_directory(directory: &Path) -> io::Result<()> {
    Ok(nix::unistd::chdir(directory)?)
}

/// Makes the terminal on standard input the controlling one, so that ^C, job control and /dev/tty work in it. systemd has
/// made this process the leader of a session that has none. Without a terminal nothing happens.
pub fn take_terminal() {
    // SAFETY: TIOCSCTTY takes a number, no pointer, and steals no terminal with 0; ENOTTY for anything else is as good.
    unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) };
}

/// Gives the program the signal state of a fresh login: nothing blocked, SIGPIPE not ignored (Rust's runtime ignores it).
pub fn reset_signals() -> io::Result<()> {
    // SAFETY: the default action installs no handler, so nothing of this program can run in signal context.
    unsafe { nix::sys::signal::signal(Signal::SIGPIPE, SigHandler::SigDfl) }?;
    Ok(sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?)
}

/// Becomes `program` with exactly these arguments and this environment; returns only to say why not.
pub fn execve<S: AsRef<CStr>>(program: &CStr, arguments: &[S], environment: &[S]) -> io::Error {
    match nix::unistd::execve(program, arguments, environment) {
        Err(error) => error.into(),
        Ok(never) => {
            let never: Infallible = never;
            match never {}
        }
    }
}
