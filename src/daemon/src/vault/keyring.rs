//! The KEK in memory, from the credential that the host's own key seals.

use std::fmt;

use host::{Systemd, open_credential, seal_credential};
use model::Exit;
use vault::{Kek, Keks};
use vault_store::{KekFile, VaultStore};
use zeroize::Zeroizing;

use super::locked;
use crate::failure::Failure;

/// Name under which the host's key seals a KEK.
const CREDENTIAL: &str = "tenantd-kek";
/// More than a KEK has, so that one that is too long shows.
const ROOM: usize = 64;

/// The KEKs in use, once they were needed.
pub(crate) struct Keyring {
    systemd: Systemd,
    held: Option<Keks>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("held", &self.held.is_some()).finish_non_exhaustive()
    }
}

impl Keyring {
    pub(crate) fn new(systemd: Systemd) -> Self {
        Self { systemd, held: None }
    }

    /// The KEKs. The first one of all is made here, but only for a vault that has nothing in it: anything there needs another one.
    pub(crate) fn keks(&mut self, store: &VaultStore) -> Result<&Keks, Failure> {
        if self.held.is_none() {
            let current = match self.load(store, KekFile::Current)? {
                Some(kek) => kek,
                None => self.first(store)?,
            };
            let next = self.load(store, KekFile::Next)?;
            self.held = Some(Keks::new(current, next));
        }
        self.held.as_ref().ok_or_else(|| Failure::new(Exit::Software, "the vault has no key: report this"))
    }

    /// Forgets them, to be read anew.
    pub(crate) fn forget(&mut self) {
        self.held = None;
    }

    /// Stores a KEK, sealed by the host's key, once it was seen to open again.
    pub(crate) fn store(&self, store: &VaultStore, which: KekFile, kek: &Kek) -> Result<(), Failure> {
        let sealed = seal_credential(&self.systemd, CREDENTIAL, kek.expose())?;
        let again = self.open(&sealed)?;
        if again.id() != kek.id() {
            return Err(locked(&"what the host's key sealed does not open as it was"));
        }
        Ok(store.write_kek(which, &sealed)?)
    }

    /// A stored KEK, if it is there.
    pub(crate) fn load(&self, store: &VaultStore, which: KekFile) -> Result<Option<Kek>, Failure> {
        store.kek(which)?.map(|sealed| self.open(&sealed)).transpose()
    }

    fn open(&self, sealed: &[u8]) -> Result<Kek, Failure> {
        let mut plain = Zeroizing::new([0; ROOM]);
        let length = open_credential(&self.systemd, CREDENTIAL, sealed, &mut plain[..])
            .map_err(|error| locked(&error))?;
        Kek::from_bytes(plain.get(..length).unwrap_or_default()).map_err(|error| locked(&error))
    }

    fn first(&self, store: &VaultStore) -> Result<Kek, Failure> {
        let tenants = store.tenants()?;
        if !tenants.is_empty() {
            let many = tenants.len();
            return Err(locked(&format!("there are secrets of {many} tenant(s), but no KEK")));
        }
        let kek = Kek::generate().map_err(|error| Failure::new(Exit::Os, error.to_string()))?;
        self.store(store, KekFile::Current, &kek)?;
        tracing::info!(kek = %kek.id(), "made the KEK of this host");
        Ok(kek)
    }
}
