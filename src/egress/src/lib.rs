//! tenant-egress: the only way out of one tenant.
#![forbid(unsafe_code)]

pub mod body;
pub mod dial;
pub mod inference;
pub mod secrets;
