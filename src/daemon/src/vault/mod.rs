//! The vault as the daemon holds it: one at a time may change it, and its keys are in memory from the first use on.

mod backup;
mod gateway;
mod heads;
mod keyring;
mod keys;
mod secrets;
mod status;

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};

use host::Systemd;
use model::{Exit, Paths};
use vault_store::{StoreError, VaultStore};

use crate::failure::Failure;
use crate::journal::lock;
use keyring::Keyring;

/// The vault of this host.
#[derive(Debug)]
pub struct Vault {
    inner: Mutex<Inner>,
    /// Held for a whole rotation of the KEK.
    rotating: Mutex<()>,
}

/// What only one operation at a time has.
#[derive(Debug)]
pub(crate) struct Inner {
    root: PathBuf,
    keyring: Keyring,
}

impl Vault {
    /// The vault below `paths`. Nothing is opened before it is needed: a daemon whose vault is damaged does everything else.
    pub fn new(paths: &Paths, systemd: &Systemd) -> Self {
        let keyring = Keyring::new(systemd.clone());
        Self { inner: Mutex::new(Inner { root: paths.vault(), keyring }), rotating: Mutex::new(()) }
    }

    pub(crate) fn hold(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}

impl Inner {
    /// Its directory, opened.
    pub(crate) fn store(&self) -> Result<VaultStore, Failure> {
        Ok(VaultStore::open(&self.root)?)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Failure::new(error.exit(), error.to_string())
    }
}

/// A failure of the host's own key, with what to do about the vault.
fn locked(cause: &impl std::fmt::Display) -> Failure {
    Failure::new(
        Exit::Config,
        format!(
            "the vault is locked: {cause}; if the host key was replaced, import the recovery copy with \"tenantctl vault recovery import\""
        ),
    )
}
