//! Why a gateway does not count as started.

use std::io;

use model::{Exit, TenantId};
use thiserror::Error;

/// Every way in which `tenant-ready` fails.
#[derive(Debug, Error)]
pub enum Error {
    /// The readiness file is missing, malformed, or not trustworthy.
    #[error("{path}: {problem} (run \"tenantctl repair\" to have it written anew)")]
    File {
        /// The file.
        path: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The command line is wrong.
    #[error("tenant-ready takes no argument, or --once")]
    Usage,
    /// PID 1 named no main process.
    #[error("no main process to watch ({0}): tenant-ready is for ExecStartPost= of tenant@.service only")]
    NoMainProcess(String),
    /// The main process has ended.
    #[error(
        "tenant {tenant}: the gateway ended before it was ready (it never answered {question}; last try: {last})"
    )]
    Ended {
        /// Whose gateway.
        tenant: TenantId,
        /// What it was asked.
        question: String,
        /// What came of the last try.
        last: String,
    },
    /// It runs, and does not answer.
    #[error(
        "tenant {tenant}: the gateway runs, but did not answer {question} as it should within {seconds} s (last try: {last})"
    )]
    TimedOut {
        /// Whose gateway.
        tenant: TenantId,
        /// What it was asked.
        question: String,
        /// How long.
        seconds: u32,
        /// What came of the last try.
        last: String,
    },
    /// The kernel refused something that cannot fail.
    #[error("cannot wait for the gateway: {0}")]
    Wait(#[source] io::Error),
}

impl Error {
    /// How the program ends.
    pub fn exit(&self) -> Exit {
        match self {
            Self::File { .. } => Exit::OsFile,
            Self::NoMainProcess(_) | Self::Usage => Exit::Usage,
            Self::Ended { .. } | Self::TimedOut { .. } => Exit::Unavailable,
            Self::Wait(_) => Exit::Os,
        }
    }
}
