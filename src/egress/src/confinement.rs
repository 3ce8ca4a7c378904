//! The proxy locks itself down before it has a second thread or has read a byte from anybody.

use std::path::Path;

use confine::landlock::Places;
use confine::{Sources, capabilities, landlock, process, seccomp};
use model::{Exit, Paths};
use thiserror::Error;

/// Name of both policies.
const POLICY: &str = "egress";

/// The proxy is not confined, and does not start.
#[derive(Debug, Error)]
pub enum ConfinementError {
    /// It runs as root.
    #[error("tenant-egress does not run as root: start it by tenant-egress@TENANT.socket")]
    Root,
    /// It has privileges.
    #[error(transparent)]
    Capabilities(#[from] capabilities::CapabilityError),
    /// The policies cannot be read.
    #[error(transparent)]
    Sources(#[from] confine::SourcesError),
    /// The policy for system calls is wrong.
    #[error("policies/seccomp/{0} (reinstall the package tenantd)")]
    Policy(#[from] confine::PolicyError),
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

impl ConfinementError {
    /// How the program ends.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Root => Exit::Usage,
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
/// [`ConfinementError`]: what is missing, and what to do.
pub fn confine(paths: &Paths, state: &Path) -> Result<String, ConfinementError> {
    let (uid, gid) = (nix::unistd::getuid(), nix::unistd::getgid());
    if uid.is_root() {
        return Err(ConfinementError::Root);
    }
    capabilities::prove_empty(uid.as_raw(), gid.as_raw())?;
    let policies = paths.policies();
    let state = state.to_string_lossy();
    let places = Places { data: &state, port: 443 };
    let files = Sources::read(&policies.join("landlock"))?;
    let ruleset = landlock::compile(&files, POLICY, landlock::abi(), &places)?;
    let filters = seccomp::compile(&Sources::read(&policies.join("seccomp"))?, POLICY)?;
    process::private_umask();
    let rules = landlock::restrict(&ruleset, &policies.join("landlock").join("egress.toml"))?;
    seccomp::install(&filters)?;
    let (abi, filters) = (ruleset.abi, filters.len());
    Ok(format!(
        "confined: landlock ABI {abi} ({rules} rules), seccomp {filters} filters, no capability, no_new_privs"
    ))
}
