//! The vault on disk: `/var/lib/tenantd/vault/TENANT/`, one directory for each tenant, its files as `vault` lays them out.
//!
//! Promises: a file is written whole or not at all, and is on the disk before the next step is taken; nothing outside the
//! directory is followed into; what an interrupted write left is gone when the directory is opened to be changed. Holds no key.
#![forbid(unsafe_code)]

mod directory;
mod error;
mod fault;
mod heads;
mod store;
mod tenant;
#[cfg(test)]
mod tests;

pub use error::StoreError;
pub use store::{KekFile, VaultStore};
pub use tenant::TenantVault;
