//! The gateway's main process, by a pidfd: its end cannot be missed, and its number cannot be reused under us.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::error::Error;

/// The main process named by PID 1 in `$MAINPID`.
#[derive(Debug)]
pub struct MainProcess {
    /// `None` if it was gone already when we looked.
    handle: Option<OwnedFd>,
}

impl MainProcess {
    /// Opens the process that `$MAINPID` names.
    pub fn open(variable: Option<&str>) -> Result<Self, Error> {
        let Some(text) = variable else { return Err(Error::NoMainProcess("MAINPID is not set".to_owned())) };
        let pid = text.parse().ok().filter(|number| *number > 1).and_then(Pid::from_raw);
        let Some(pid) = pid else { return Err(Error::NoMainProcess(format!("MAINPID is {text:?}"))) };
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => Ok(Self { handle: Some(handle) }),
            Err(rustix::io::Errno::SRCH) => Ok(Self { handle: None }),
            Err(errno) => Err(Error::Wait(errno.into())),
        }
    }

    /// Waits for `duration`, or less if the process ends; whether it has ended.
    pub fn ended_within(&self, duration: Duration) -> Result<bool, Error> {
        let Some(handle) = &self.handle else { return Ok(true) };
        let limit = Timespec::try_from(duration).map_err(|error| Error::Wait(io::Error::other(error)))?;
        let mut watched = [PollFd::new(handle, PollFlags::IN)];
        match poll(&mut watched, Some(&limit)) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(errno) => Err(Error::Wait(errno.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_real_process_number_is_taken() {
        for bad in [None, Some(""), Some("0"), Some("1"), Some("-1"), Some("x"), Some("99999999999")] {
            assert!(matches!(MainProcess::open(bad), Err(Error::NoMainProcess(_))), "{bad:?}");
        }
    }

    #[test]
    fn a_running_process_has_not_ended() {
        let own = std::process::id().to_string();
        let process = MainProcess::open(Some(&own)).unwrap();
        assert!(!process.ended_within(Duration::from_millis(1)).unwrap());
    }

    #[test]
    fn a_process_that_is_gone_has_ended() {
        // pid_max is at most 2^22.
        let process = MainProcess::open(Some("4194305")).unwrap();
        assert!(process.ended_within(Duration::ZERO).unwrap());
    }
}
