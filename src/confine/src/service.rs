//! A program that talks to strangers locks itself down by policies of its own, before it has a second thread or has read a byte from
//! anybody.

use std::path::Path;

use model::{Exit, Paths};
use thiserror::Error;

use crate::landlock::{self, Places};
use crate::{PolicyError, Sources, SourcesError, capabilities, process, seccomp};

/// A service binds no port: its sockets are PID 1's.
const NO_PORT: u16 = 0;

/// A service, and what it may use.
#[derive(Clone, Copy, Debug)]
pub struct Service<'a> {
    /// Its program, for messages.
    pub program: &'static str,
    /// Unit that starts it, for messages.
    pub unit: &'static str,
    /// Name of its policies in `policies/landlock` and `policies/seccomp`.
    pub policy: &'static str,
    /// The one directory where it writes.
    pub state: &'a Path,
}

/// A service is not confined, and does not start.
#[derive(Debug, Error)]
pub enum ServiceError {
    /// It runs as root.
    #[error("{program} does not run as root: start it by {unit}")]
    Root {
        /// Program.
        program: &'static str,
        /// What starts it.
        unit: &'static str,
    },
    /// It has privileges.
    #[error(transparent)]
    Capabilities(#[from] capabilities::CapabilityError),
    /// The policies cannot be read.
    #[error(transparent)]
    Sources(#[from] SourcesError),
    /// The policy for system calls is wrong.
    #[error("policies/seccomp/{0} (reinstall the package tenantd)")]
    Policy(#[from] PolicyError),
    /// The policy for files is wrong, or the kernel too old.
    #[error("policies/landlock: {0}")]
    Compile(#[from] landlock::CompileError),
    /// Landlock is not in force.
    #[error(transparent)]
    Landlock(#[from] landlock::LandlockError),
    /// Seccomp is not in force.
    #[error(transparent)]
    Seccomp(#[from] seccomp::SeccompError),
}

impl ServiceError {
    /// How the program ends.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Root { .. } => Exit::Usage,
            Self::Capabilities(_) => Exit::NoPermission,
            Self::Sources(_) | Self::Policy(_) => Exit::OsFile,
            Self::Compile(_) | Self::Landlock(_) | Self::Seccomp(_) => Exit::Os,
        }
    }
}

/// Confines this process for good, and says what is in force. The policies are themselves the file on which Landlock is proven:
/// they can be read before, and not after.
///
/// # Errors
///
/// [`ServiceError`]: what is missing, and what to do.
pub fn confine_service(paths: &Paths, service: Service<'_>) -> Result<String, ServiceError> {
    let Service { program, unit, policy, state } = service;
    let (uid, gid) = (nix::unistd::getuid(), nix::unistd::getgid());
    if uid.is_root() {
        return Err(ServiceError::Root { program, unit });
    }
    capabilities::prove_empty(uid.as_raw(), gid.as_raw())?;
    let policies = paths.policies();
    let state = state.to_string_lossy();
    let places = Places { data: &state, port: NO_PORT };
    let files = Sources::read(&policies.join("landlock"))?;
    let ruleset = landlock::compile(&files, policy, landlock::abi(), &places)?;
    let filters = seccomp::compile(&Sources::read(&policies.join("seccomp"))?, policy)?;
    process::private_umask();
    let rules = landlock::restrict(&ruleset, &policies.join("landlock").join(format!("{policy}.toml")))?;
    seccomp::install(&filters)?;
    let (abi, filters) = (ruleset.abi, filters.len());
    Ok(format!(
        "confined: landlock ABI {abi} ({rules} rules), seccomp {filters} filters, no capability, no_new_privs"
    ))
}
