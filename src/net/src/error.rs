//! Why a verb failed: the object, the cause, and what to do.

use std::io;
use std::path::PathBuf;

use model::{Exit, TenantId};
use thiserror::Error;

/// Every way in which `tenant-net` fails.
#[derive(Debug, Error)]
pub enum Error {
    /// The command line is wrong.
    #[error("{0}; usage: tenant-net up|down|selftest SYSTEM-NAME, or tenant-net sweep|selftest|cut|watch")]
    Usage(String),
    /// A file is missing, unreadable, malformed, or not trustworthy.
    #[error("{path}: {problem}{remedy}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// What to do, with its leading space, or nothing.
        remedy: &'static str,
    },
    /// The skeleton of the fence is missing or hollow.
    #[error(
        "the fence is not loaded ({0}): no link is made without it; run \"systemctl reload-or-restart tenantd-fence.service\""
    )]
    Fence(String),
    /// The kernel refused an operation.
    #[error("cannot {action}: {source}")]
    Kernel {
        /// What was tried, on which object.
        action: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The self-test found that the fence does not hold.
    #[error("the fence does not hold: {0}")]
    Breach(String),
    /// Tenants are cut off, now or since an earlier self-test.
    #[error(
        "{many} tenant(s) are cut off until their fence is seen to hold again; {first}; run \"systemctl reload tenantd-fence.service\", start the tenant, then \"systemctl start tenantd-selftest.service\""
    )]
    CutOff {
        /// How many.
        many: usize,
        /// Why the first one is.
        first: String,
    },
    /// Some tenants failed; each was reported by itself.
    #[error("{failed} of {all} tenants failed: {first}")]
    Several {
        /// How many failed.
        failed: usize,
        /// How many there were.
        all: usize,
        /// The first failure.
        first: Box<Error>,
    },
    /// Another error, about one tenant.
    #[error("tenant {tenant}: {source}")]
    Tenant {
        /// Whose network.
        tenant: TenantId,
        /// What went wrong.
        source: Box<Error>,
    },
}

impl Error {
    /// An operation that the kernel refused.
    pub fn kernel(action: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Kernel { action: action.into(), source: source.into() }
    }

    /// This error, about `tenant`.
    pub fn of(self, tenant: &TenantId) -> Self {
        Self::Tenant { tenant: tenant.clone(), source: Box::new(self) }
    }

    /// How the program ends.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::File { .. } => Exit::OsFile,
            Self::Fence(_) => Exit::Unavailable,
            Self::Kernel { .. } => Exit::Os,
            Self::Breach(_) | Self::CutOff { .. } => Exit::Software,
            Self::Several { first, .. } => first.exit(),
            Self::Tenant { source, .. } => source.exit(),
        }
    }
}

/// The error as one sentence.
pub fn sentence(error: &Error) -> String {
    error.to_string()
}
