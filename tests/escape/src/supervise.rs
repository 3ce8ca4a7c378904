//! Runs an act in a child, so that a filter that kills, a memory limit or a hanging call still gives a verdict.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::act::{Act, Args};
use crate::bytes::Bytes;
use crate::report::Report;
use crate::sys::{self, Word};

/// The longest that any act may take.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Tries the act and waits for its verdict, at most `LIMIT`.
pub fn run(act: &Act, args: &[String]) -> Report {
    let (reader, writer) = match sys::pipe() {
        Ok(ends) => ends,
        Err(errno) => return Report::error(format!("pipe2: {errno}")),
    };
    let child = sys::fork(|| {
        // Best effort: a session of its own lets the parent end what the act leaves behind, and has no terminal.
        sys::call(libc::SYS_setsid, []).unwrap_or_default();
        let report = Report::from((act.run)(&Args(args)));
        let written = writeln!(File::from(writer), "{}", report.json(act.id));
        i32::from(written.is_err())
    });
    let child = match child {
        Ok(pid) => pid,
        Err(errno) => return Report::error(format!("fork: {errno}")),
    };
    let line = read_line(reader, Instant::now() + LIMIT);
    if line.is_none() {
        kill(child, Signal::SIGKILL).unwrap_or_default();
    }
    let status = waitpid(child, None);
    kill(Pid::from_raw(-child.as_raw()), Signal::SIGKILL).unwrap_or_default();
    judge(line.as_deref(), status)
}

/// `None` when the deadline passes first; an empty text when the child ends without a word.
fn read_line(reader: OwnedFd, deadline: Instant) -> Option<String> {
    let mut file = File::from(reader);
    let mut line = Vec::new();
    loop {
        let left = deadline.checked_duration_since(Instant::now())?;
        if !readable(file.as_raw_fd(), left) {
            return None;
        }
        let mut chunk = [0; 4096];
        let count = file.read(&mut chunk).unwrap_or(0);
        line.extend(chunk.iter().take(count));
        if count == 0 || line.ends_with(b"\n") {
            return Some(String::from_utf8_lossy(&line).into_owned());
        }
    }
}

fn readable(fd: i32, wait: Duration) -> bool {
    const POLLIN: u16 = 1;
    let mut request = Bytes::new().i32(fd).u16(POLLIN).u16(0).done();
    let millis = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX).max(1);
    loop {
        match sys::call(libc::SYS_poll, [Word::Out(&mut request), Word::N(1), Word::N(millis)]) {
            Ok(ready) => return ready > 0,
            Err(Errno::EINTR) => {}
            Err(_) => return true,
        }
    }
}

fn judge(line: Option<&str>, status: Result<WaitStatus, Errno>) -> Report {
    let Some(line) = line else {
        return Report::error(format!("no verdict within {} s", LIMIT.as_secs()));
    };
    if let Some(report) = Report::from_json(line) {
        return report;
    }
    match status {
        Ok(WaitStatus::Signaled(_, Signal::SIGSYS, _)) => {
            Report::blocked("SIGSYS", "killed by a seccomp filter")
        }
        Ok(WaitStatus::Signaled(_, Signal::SIGKILL, _)) => Report::blocked("SIGKILL", "killed by the kernel"),
        Ok(other) => Report::error(format!("the act ended without a verdict: {other:?}")),
        Err(errno) => Report::error(format!("waiting for the act: {errno}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::act::{Control, Verdict, blocked};

    fn tried(run: fn(&Args<'_>) -> Verdict) -> Report {
        super::run(&Act { id: "x", about: "", layers: "", args: "", control: Control::Root, run }, &[])
    }

    #[test]
    fn verdicts_come_back_from_the_child() {
        assert_eq!(tried(|_| Ok("gained".into())).outcome, "succeeded");
        assert_eq!(tried(|_| blocked("no")).exit_code(), 10);
    }

    #[test]
    fn a_killing_filter_is_a_block_and_a_crash_is_not() {
        let by = |signal| {
            let status = Ok(WaitStatus::Signaled(Pid::from_raw(1), signal, false));
            judge(Some(""), status).exit_code()
        };
        assert_eq!((by(Signal::SIGSYS), by(Signal::SIGKILL), by(Signal::SIGSEGV)), (10, 10, 3));
        assert_eq!(judge(None, Err(Errno::ECHILD)).exit_code(), 3);
    }
}
