//! The KEKs in memory, from the credentials that the host's own key seals.

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

/// What came of opening a stored KEK.
pub(crate) enum Opened {
    /// It is there and opens.
    Kek(Kek),
    /// It is there, and the host's own key does not open it: only a recovery copy helps.
    Lost(Failure),
    /// It is not there.
    Absent,
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

    /// The KEKs of a vault that has one.
    pub(crate) fn keks(&mut self, store: &VaultStore) -> Result<&Keks, Failure> {
        if self.held.is_none() {
            let current = match self.load(store, KekFile::Current)? {
                Opened::Kek(kek) => kek,
                Opened::Lost(failure) => return Err(failure),
                Opened::Absent if store.tenants()?.is_empty() => {
                    let text = "the vault is empty: nothing was ever sealed on this host";
                    return Err(Failure::new(Exit::NoInput, text));
                }
                Opened::Absent => return Err(locked(&"there are secrets, but no KEK")),
            };
            // A next one that does not open locks nobody out of what the current one holds.
            let next = match self.load(store, KekFile::Next)? {
                Opened::Kek(kek) => Some(kek),
                Opened::Lost(_) | Opened::Absent => None,
            };
            let mut kept = Vec::new();
            for sealed in store.kept_keks()? {
                if let Opened::Kek(kek) = self.open(&sealed)? {
                    kept.push(kek);
                }
            }
            self.held = Some(Keks::new(current, next).and_kept(kept));
        }
        self.held.as_ref().ok_or_else(|| Failure::new(Exit::Software, "the vault has no key: report this"))
    }

    /// The same; the first KEK of all is made here, but only for a vault that has nothing in it: anything there needs another.
    pub(crate) fn keks_or_first(&mut self, store: &VaultStore) -> Result<&Keks, Failure> {
        if self.held.is_none() && store.kek(KekFile::Current)?.is_none() && store.tenants()?.is_empty() {
            let kek = Kek::generate().map_err(|error| Failure::new(Exit::Os, error.to_string()))?;
            self.store(store, KekFile::Current, &kek)?;
            tracing::info!(kek = %kek.id(), "made the KEK of this host");
        }
        self.keks(store)
    }

    /// Stores a KEK, sealed by the host's key, once it was seen to open again. What is held is read anew the next time, whether
    /// this succeeds or not.
    pub(crate) fn store(&mut self, store: &VaultStore, which: KekFile, kek: &Kek) -> Result<(), Failure> {
        self.forget();
        let sealed = seal_credential(&self.systemd, CREDENTIAL, kek.expose())?;
        match self.open(&sealed)? {
            Opened::Kek(again) if again.id() == kek.id() => Ok(store.write_kek(which, &sealed)?),
            Opened::Lost(failure) => Err(failure),
            Opened::Kek(_) | Opened::Absent => {
                Err(locked(&"what the host's own key sealed does not open as it was"))
            }
        }
    }

    /// A stored KEK.
    pub(crate) fn load(&self, store: &VaultStore, which: KekFile) -> Result<Opened, Failure> {
        store.kek(which)?.map_or(Ok(Opened::Absent), |sealed| self.open(&sealed))
    }

    /// Forgets what is held, to be read anew.
    pub(crate) fn forget(&mut self) {
        self.held = None;
    }

    fn open(&self, sealed: &[u8]) -> Result<Opened, Failure> {
        let mut plain = Zeroizing::new([0; ROOM]);
        let length = match open_credential(&self.systemd, CREDENTIAL, sealed, &mut plain[..]) {
            Ok(length) => length,
            // systemd-creds ran and refused. Everything else (no bus, no time) says nothing about the key.
            Err(error) if error.exit == Exit::OsFile => return Ok(Opened::Lost(locked(&error))),
            Err(error) => return Err(error.into()),
        };
        let kek = Kek::from_bytes(plain.get(..length).unwrap_or_default());
        Ok(kek.map_or_else(|error| Opened::Lost(locked(&error)), Opened::Kek))
    }
}
