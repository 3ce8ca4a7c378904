//! Why the gateway was not started: one sentence and one exit code.

use std::ffi::OsString;
use std::fmt;
use std::io;

use confine::capabilities::CapabilityError;
use confine::landlock::LandlockError;
use confine::rlimits::RlimitError;
use confine::seccomp::SeccompError;
use model::{Exit, TenantId};
use thiserror::Error;

use crate::confinement::FileError;

/// Names the tenant once its confinement file has been read.
#[derive(Debug)]
pub struct Failure {
    /// Whose gateway it would have been.
    pub tenant: Option<TenantId>,
    /// What went wrong.
    pub cause: Cause,
}

/// What went wrong. Each message starts with the layer or the object.
#[derive(Debug, Error)]
pub enum Cause {
    /// The command line is wrong.
    #[error("tenant-exec: unexpected argument {0:?} (usage: tenant-exec [-- COMMAND ARGUMENT…])")]
    Usage(OsString),
    /// No command after `--`.
    #[error("tenant-exec: a command is missing after \"--\"")]
    NoCommand,
    /// The confinement file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A value of the confinement file cannot be used.
    #[error("confinement: {0} (run \"tenantctl repair\" for this tenant)")]
    Value(String),
    /// A secret cannot be given to the gateway. Its value is not said.
    #[error("secrets: {name} {what}")]
    Secret {
        /// Which.
        name: String,
        /// What is wrong with it, and what to do.
        what: String,
    },
    /// Identity and capabilities.
    #[error(transparent)]
    Capabilities(#[from] CapabilityError),
    /// Resource limits.
    #[error(transparent)]
    Rlimits(#[from] RlimitError),
    /// A step of the launcher itself.
    #[error("{step}: {source}")]
    Step {
        /// Which step.
        step: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// Landlock.
    #[error(transparent)]
    Landlock(#[from] LandlockError),
    /// Seccomp.
    #[error(transparent)]
    Seccomp(#[from] SeccompError),
    /// The program itself.
    #[error(
        "cannot run {program}: {source} (inside the cell, programs come from /usr and the sealed runtime)"
    )]
    Program {
        /// Which program.
        program: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

impl Failure {
    /// The exit code of this failure.
    pub fn exit(&self) -> Exit {
        match &self.cause {
            Cause::Usage(_) | Cause::NoCommand => Exit::Usage,
            Cause::File(_) => Exit::OsFile,
            Cause::Value(_) | Cause::Secret { .. } | Cause::Rlimits(RlimitError::Unknown(_)) => Exit::Config,
            Cause::Capabilities(CapabilityError::Unreadable(_) | CapabilityError::Ask(_)) => Exit::Os,
            Cause::Capabilities(
                CapabilityError::Identity { .. }
                | CapabilityError::NotEmpty { .. }
                | CapabilityError::NewPrivileges,
            ) => Exit::NoPermission,
            Cause::Landlock(LandlockError::Malformed(_)) => Exit::Config,
            Cause::Seccomp(SeccompError::Empty | SeccompError::Length { .. }) => Exit::Config,
            Cause::Rlimits(RlimitError::Set { .. }) | Cause::Step { .. } => Exit::Os,
            Cause::Landlock(
                LandlockError::TooOld { .. }
                | LandlockError::Path(_)
                | LandlockError::Kernel { .. }
                | LandlockError::Unproven { .. },
            ) => Exit::Os,
            Cause::Seccomp(
                SeccompError::Absent(_) | SeccompError::Install { .. } | SeccompError::Unproven(_),
            ) => Exit::Os,
            Cause::Program { .. } => Exit::NoInput,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tenant {
            Some(tenant) => write!(f, "tenant {tenant}: {}", self.cause),
            None => write!(f, "{}", self.cause),
        }
    }
}
