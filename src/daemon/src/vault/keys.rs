//! Rotation of the keys, and the recovery copy.

use std::os::fd::OwnedFd;

use api::VaultStatus;
use model::{Exit, TenantId};
use vault::{Kek, Passphrase, RecoveryError, Secret, export_kek, import_kek};
use vault_store::KekFile;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::service::Service;

/// More than a recovery copy has.
const COPY: usize = 4096;

impl Service {
    /// What there is, and whether it opens.
    pub fn vault_status(&self) -> Result<VaultStatus, Failure> {
        let mut held = self.vault.hold();
        let store = held.store()?;
        let keyring = &mut held.keyring;
        let tenants = store.tenants()?;
        let rotating = store.kek(KekFile::Next)?.is_some();
        if store.kek(KekFile::Current)?.is_none() && tenants.is_empty() {
            return Ok(VaultStatus { state: "empty".to_owned(), ..VaultStatus::default() });
        }
        let (state, kek, problem) = match keyring.keks(&store) {
            Ok(keks) => ("open", Some(keks.newest().id().to_string()), None),
            Err(failure) => ("locked", None, Some(failure.sentence)),
        };
        let mut secrets = 0;
        let mut damaged = Vec::new();
        for id in &tenants {
            match store.find(id) {
                Ok(Some(vault)) => secrets += vault.listing().secrets().count(),
                Ok(None) => (),
                Err(error) => damaged.push(error.to_string()),
            }
        }
        let problem = problem.or_else(|| damaged.first().cloned());
        Ok(VaultStatus { state: state.to_owned(), kek, rotating, tenants: tenants.len(), secrets, problem })
    }

    /// Makes a new KEK and wraps every DEK by it; the old one is gone afterwards. Where one is under way, goes on with it.
    pub fn rotate_kek(&self) -> Result<VaultStatus, Failure> {
        {
            let mut held = self.vault.hold();
            let store = held.store()?;
            let keyring = &mut held.keyring;
            keyring.keks(&store)?;
            if store.kek(KekFile::Next)?.is_none() {
                let next = Kek::generate().map_err(|error| Failure::new(Exit::Os, error.to_string()))?;
                keyring.store(&store, KekFile::Next, &next)?;
                keyring.forget();
            }
        }
        self.finish_kek()?;
        self.vault_status()
    }

    /// Ends a rotation of the KEK, if one is under way. Each tenant by itself, so that nobody waits for all of them.
    pub(crate) fn finish_kek(&self) -> Result<(), Failure> {
        if self.vault.hold().store()?.kek(KekFile::Next)?.is_none() {
            return Ok(());
        }
        let tenants = self.vault.hold().store()?.tenants()?;
        let mut failed = None;
        for id in &tenants {
            if let Err(failure) = self.settle(id) {
                failed = failed.or(Some(failure));
            }
        }
        if let Some(failure) = failed {
            return Err(failure);
        }
        let mut held = self.vault.hold();
        let store = held.store()?;
        let keyring = &mut held.keyring;
        let newest = keyring.keks(&store)?.newest().id();
        // A tenant that came meanwhile is wrapped by the newest already; one that is not would be lost with the old KEK.
        for id in store.tenants()? {
            if store.find(&id)?.is_some_and(|vault| !vault.listing().is_held_by(newest)) {
                return Err(Failure::new(
                    Exit::TempFail,
                    format!(
                        "tenant {id}: its key is not wrapped by KEK {newest} yet: run \"tenantctl vault rotate-kek\" again"
                    ),
                ));
            }
        }
        store.promote_kek()?;
        keyring.forget();
        tracing::info!(kek = %newest, "the KEK was rotated");
        Ok(())
    }

    /// Makes a new DEK for a tenant and seals its secrets under it; the old one is gone afterwards.
    pub fn rotate_dek(&self, id: &TenantId) -> Result<(), Failure> {
        self.existing(id)?;
        let _occupied = self.occupy(id)?;
        let mut held = self.vault.hold();
        let store = held.store()?;
        let keyring = &mut held.keyring;
        let keks = keyring.keks(&store)?;
        store.find_or_make(id, keks)?.rotate_dek(keks)?;
        tracing::info!(tenant = %id, "the DEK was rotated");
        Ok(())
    }

    /// Ends what is under way in one vault.
    fn settle(&self, id: &TenantId) -> Result<(), Failure> {
        let mut held = self.vault.hold();
        let store = held.store()?;
        let keyring = &mut held.keyring;
        let keks = keyring.keks(&store)?;
        if let Some(mut vault) = store.find(id)? {
            vault.settle(keks)?;
        }
        Ok(())
    }

    /// The recovery copy of the KEK.
    pub fn export_recovery(&self, passphrase: OwnedFd) -> Result<Vec<u8>, Failure> {
        let passphrase = read_passphrase(passphrase)?;
        let mut held = self.vault.hold();
        let store = held.store()?;
        let keyring = &mut held.keyring;
        let copy = export_kek(keyring.keks(&store)?.newest(), &passphrase)?;
        tracing::info!("a recovery copy of the KEK was made");
        Ok(copy)
    }

    /// Takes a recovery copy: as the KEK of this host where there is none that opens, else as one more, for archives of its time or host.
    pub fn import_recovery(&self, copy: OwnedFd, passphrase: OwnedFd) -> Result<VaultStatus, Failure> {
        let copy = host::read_secretly(copy, "the recovery copy", COPY)?;
        let kek = import_kek(&copy, &read_passphrase(passphrase)?)?;
        {
            let mut held = self.vault.hold();
            let store = held.store()?;
            let keyring = &mut held.keyring;
            let known = keyring.keks(&store).is_ok();
            let which = if known { KekFile::Kept(kek.id()) } else { KekFile::Current };
            if !known {
                for id in store.tenants()? {
                    if store.find(&id)?.is_some_and(|vault| !vault.listing().is_held_by(kek.id())) {
                        return Err(Failure::new(
                            Exit::Data,
                            format!(
                                "recovery copy of KEK {}: the secrets of tenant {id} need another one: take the newest copy",
                                kek.id()
                            ),
                        ));
                    }
                }
            }
            keyring.store(&store, which, &kek)?;
            keyring.forget();
            tracing::info!(kek = %kek.id(), "a recovery copy was imported");
        }
        self.vault_status()
    }
}

fn read_passphrase(source: OwnedFd) -> Result<Passphrase, Failure> {
    let mut bytes: Zeroizing<Vec<u8>> = host::read_secretly(source, "the passphrase", Passphrase::MAX)?;
    // The newline that ends a line typed or written by an editor is none of the passphrase.
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    let secret = Secret::new(bytes.to_vec())
        .map_err(|error| Failure::new(Exit::Data, format!("passphrase: {error}")))?;
    Ok(Passphrase::new(secret)?)
}

impl From<RecoveryError> for Failure {
    fn from(error: RecoveryError) -> Self {
        let exit = match &error {
            RecoveryError::Memory { .. } | RecoveryError::Seal(_) => Exit::Os,
            RecoveryError::Passphrase { .. }
            | RecoveryError::Form(_)
            | RecoveryError::Sealed(_)
            | RecoveryError::Derive(_) => Exit::Data,
        };
        Failure::new(exit, error.to_string())
    }
}
