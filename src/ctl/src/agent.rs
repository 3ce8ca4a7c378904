//! Somebody to ask for a password: polkit's text agent, where an ordinary user sits at a terminal, as systemctl does it.
//! For this process alone, and not as a fallback: polkit asks a fallback only in a login session, which `su` has not.

use std::io::Read;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};

use crate::session::Terminals;

const PROGRAM: &str = "/usr/bin/pkttyagent";

/// The agent, ended with this.
#[derive(Debug)]
pub struct Agent(Child);

impl Agent {
    /// Starts it where it is of use. Without it polkit answers that one is not allowed, which is said then.
    pub(crate) fn start(terminals: Terminals) -> Option<Self> {
        if Uid::effective().is_root() || !terminals.stdin || !terminals.stderr {
            return None;
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "the rule is for programs with privilege; this one has the caller's, and the program's path and arguments are fixed"
        )]
        let mut command = Command::new(PROGRAM);
        command
            // Without --process it serves its parent, which is this process.
            .args(["--notify-fd", "1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().ok()?;
        // It closes the descriptor when it has registered, or when it ends because it could not.
        if let Some(mut registered) = child.stdout.take() {
            registered.read_to_end(&mut Vec::new()).ok()?;
        }
        Some(Agent(child))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // SIGTERM, not SIGKILL: it restores the terminal's echo first.
        if let Ok(pid) = i32::try_from(self.0.id()) {
            kill(Pid::from_raw(pid), Signal::SIGTERM).ok();
        }
        self.0.wait().ok();
    }
}
