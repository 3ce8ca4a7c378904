//! Resource limits, soft and hard alike, so that the process cannot raise them again.
//!
//! A limit is never raised: where the unit or the host already set a lower hard limit, that one stays.

use model::Rlimit;
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use thiserror::Error;

/// A limit was not set.
#[derive(Debug, Error)]
pub enum RlimitError {
    /// The name is not one of getrlimit(2).
    #[error("limits: there is no limit \"{0}\" (known: {known})", known = NAMES.map(|(name, _)| name).join(", "))]
    Unknown(String),
    /// The kernel refused.
    #[error("limits: cannot set {resource} to {value}: {source}")]
    Set {
        /// Which limit.
        resource: String,
        /// The value asked for.
        value: u64,
        /// What the kernel said.
        #[source]
        source: Errno,
    },
}

const NAMES: [(&str, Resource); 15] = [
    ("AS", Resource::RLIMIT_AS),
    ("CORE", Resource::RLIMIT_CORE),
    ("CPU", Resource::RLIMIT_CPU),
    ("DATA", Resource::RLIMIT_DATA),
    ("FSIZE", Resource::RLIMIT_FSIZE),
    ("LOCKS", Resource::RLIMIT_LOCKS),
    ("MEMLOCK", Resource::RLIMIT_MEMLOCK),
    ("MSGQUEUE", Resource::RLIMIT_MSGQUEUE),
    ("NICE", Resource::RLIMIT_NICE),
    ("NOFILE", Resource::RLIMIT_NOFILE),
    ("NPROC", Resource::RLIMIT_NPROC),
    ("RTPRIO", Resource::RLIMIT_RTPRIO),
    ("RTTIME", Resource::RLIMIT_RTTIME),
    ("SIGPENDING", Resource::RLIMIT_SIGPENDING),
    ("STACK", Resource::RLIMIT_STACK),
];

/// Sets every limit, or stops at the first that cannot be set.
pub fn set(limits: &[Rlimit]) -> Result<(), RlimitError> {
    for limit in limits {
        let known = NAMES.into_iter().find(|(name, _)| *name == limit.resource);
        let (_, resource) = known.ok_or_else(|| RlimitError::Unknown(limit.resource.clone()))?;
        lower(resource, limit.value).map_err(|source| RlimitError::Set {
            resource: limit.resource.clone(),
            value: limit.value,
            source,
        })?;
    }
    Ok(())
}

/// Whether `name` can be set.
pub fn is_known(name: &str) -> bool {
    NAMES.iter().any(|(known, _)| *known == name)
}

fn lower(resource: Resource, value: u64) -> Result<(), Errno> {
    let (_, hard) = getrlimit(resource)?;
    let value = value.min(hard);
    setrlimit(resource, value, value)
}
