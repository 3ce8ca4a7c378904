//! What an act is, what it is given, and how it can end.

use std::ffi::CString;
use std::fmt::{self, Display};
use std::str::FromStr;

use nix::errno::Errno;

/// One forbidden thing and the code that tries it.
#[derive(Debug)]
pub struct Act {
    /// Its name on the command line.
    pub id: &'static str,
    /// One sentence: what the attacker wants.
    pub about: &'static str,
    /// Layers expected to stop it, strongest first, in the words that the test of `table` knows.
    pub layers: &'static str,
    /// Its arguments: `NAME` is needed, `[NAME]` may be left out.
    pub args: &'static str,
    /// How the act is seen to succeed.
    pub control: Control,
    /// Tries it.
    pub run: fn(&Args<'_>) -> Verdict,
}

impl Act {
    /// True for a number of arguments that the act takes.
    pub fn takes(&self, given: usize) -> bool {
        let words = self.args.split_whitespace();
        let needed = words.clone().filter(|word| !word.starts_with('[')).count();
        (needed..=words.count()).contains(&given)
    }
}

/// Where the same act succeeds, so that "blocked" cannot come from a broken probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// As root on the host.
    Root,
    /// As any ordinary uid on the host, outside a cell.
    User,
    /// Inside the cell, on a target of the tenant's own.
    Own,
    /// As root inside the tenant's network namespace, or a new one.
    RootInNetns,
    /// From the host (or from beside the target), on the same target.
    Target,
    /// The load itself always succeeds; the neighbour's health is what is judged.
    Neighbour,
}

impl Display for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Root => "root on the host",
            Self::User => "an ordinary uid on the host",
            Self::Own => "a target of its own, in the cell",
            Self::RootInNetns => "root in the network namespace",
            Self::Target => "the same target from the host",
            Self::Neighbour => "the neighbour's health is judged",
        })
    }
}

/// `Ok` says what was gained.
pub type Verdict = Result<String, Failure>;

/// Why an act did not succeed.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// Something stopped it: the error's name, and what was seen.
    Blocked(String, String),
    /// Preparing it failed, so nothing is known about the act itself.
    NotTried(String),
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Self::Blocked(format!("{errno:?}"), errno.desc().to_owned())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match error.raw_os_error() {
            Some(code) => Errno::from_raw(code).into(),
            None if error.kind() == std::io::ErrorKind::TimedOut => Errno::ETIMEDOUT.into(),
            None => Self::Blocked("none".into(), error.to_string()),
        }
    }
}

/// Stopped without an error number: what was looked for is not there.
pub fn blocked<T>(detail: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Blocked("none".into(), detail.into()))
}

/// Names the step of a preparation that failed.
pub trait Prepare<T> {
    /// Turns an error into `NotTried`, because the act had not begun.
    fn prepared(self, step: &str) -> Result<T, Failure>;
}

impl<T, E: Display> Prepare<T> for Result<T, E> {
    fn prepared(self, step: &str) -> Result<T, Failure> {
        self.map_err(|e| Failure::NotTried(format!("{step}: {e}")))
    }
}

/// The words after the act's name.
#[derive(Debug)]
pub struct Args<'a>(pub &'a [String]);

impl Args<'_> {
    /// The word at `at`, empty if it was not given.
    pub fn text(&self, at: usize) -> &str {
        self.0.get(at).map_or("", String::as_str)
    }

    /// The word at `at`, or `default`.
    pub fn text_or<'s>(&'s self, at: usize, default: &'s str) -> &'s str {
        self.0.get(at).map_or(default, String::as_str)
    }

    /// The word at `at` for the kernel.
    pub fn path(&self, at: usize) -> Result<CString, Failure> {
        CString::new(self.text(at)).prepared("argument with a zero byte")
    }

    /// The number at `at`.
    pub fn number<T: FromStr>(&self, at: usize) -> Result<T, Failure> {
        let text = self.text(at);
        text.parse().map_err(|_| Failure::NotTried(format!("{text:?} is not a number in range")))
    }

    /// The number at `at`, `default` if it was not given, never above `most`.
    pub fn bounded(&self, at: usize, default: u64, most: u64) -> Result<u64, Failure> {
        if self.text(at).is_empty() { Ok(default) } else { Ok(self.number::<u64>(at)?.min(most)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn optional_arguments_may_be_left_out() {
        let act = Act {
            id: "x",
            about: "",
            layers: "",
            args: "PID [ADDR]",
            control: Control::Root,
            run: |_| Ok(String::new()),
        };
        assert_eq!([0, 1, 2, 3].map(|n| act.takes(n)), [false, true, true, false]);
    }

    #[test]
    fn a_failed_preparation_is_not_a_block() {
        let failed: Result<(), _> = Err(Errno::EPERM);
        assert!(matches!(failed.prepared("step"), Err(Failure::NotTried(_))));
        assert_eq!(
            Failure::from(Errno::EPERM),
            Failure::Blocked("EPERM".into(), "Operation not permitted".into())
        );
    }
}
