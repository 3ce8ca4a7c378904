//! What holds a process in: Landlock, seccomp, capability sets, resource limits.
//!
//! Two halves. The *apply* half runs inside `tenant-exec`, in order, once, in a process with one thread; each part proves
//! itself before it returns. The *compile* half (feature `compile`) turns the policies of `policies/seccomp` and
//! `policies/landlock` into the files that the apply half reads; services that are no tenant's do both, of themselves.

pub mod capabilities;
pub mod landlock;
pub mod process;
pub mod rlimits;
pub mod seccomp;
mod status;

#[cfg(feature = "compile")]
mod service;
#[cfg(feature = "compile")]
mod sources;
#[cfg(feature = "compile")]
pub use service::{Service, ServiceError, confine_service};
#[cfg(feature = "compile")]
pub use sources::{PolicyError, Sources, SourcesError};
