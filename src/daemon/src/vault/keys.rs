//! Rotation of the keys, and the recovery copy.

use std::os::fd::OwnedFd;

use api::VaultStatus;
use model::{Exit, TenantId};
use vault::{Kek, KekId, Passphrase, RecoveryError, Secret, export_kek, import_kek};
use vault_store::KekFile;
use zeroize::Zeroizing;

use super::keyring::Opened;
use crate::failure::Failure;
use crate::journal::lock;
use crate::service::Service;

/// More than a recovery copy has.
const COPY: usize = 4096;

impl Service {
    /// Makes a new KEK and wraps every DEK by it; the old one is gone afterwards. Where one is under way, goes on with it.
    pub fn rotate_kek(&self, give_up_backups: bool) -> Result<VaultStatus, Failure> {
        let Ok(_rotating) = self.vault.rotating.try_lock() else {
            let text = "the KEK is being rotated: wait until that has ended (\"tenantctl vault status\")";
            return Err(Failure::new(Exit::TempFail, text));
        };
        {
            let mut held = self.vault.hold();
            let store = held.store()?;
            held.keyring.keks(&store)?;
            if !give_up_backups && let Opened::Kek(current) = held.keyring.load(&store, KekFile::Current)? {
                self.refuse_lost_backups(current.id())?;
            }
            match held.keyring.load(&store, KekFile::Next)? {
                Opened::Kek(_) => (),
                found @ (Opened::Lost(_) | Opened::Absent) => {
                    // One that does not open any more holds nothing that another rotation could save.
                    if let Opened::Lost(_) = found {
                        store.put_kek_aside(KekFile::Next)?;
                    }
                    let next = Kek::generate().map_err(|error| Failure::new(Exit::Os, error.to_string()))?;
                    held.keyring.store(&store, KekFile::Next, &next)?;
                }
            }
        }
        self.wrap_all()?;
        self.vault_status()
    }

    /// Refuses to destroy the only key of backups.
    fn refuse_lost_backups(&self, kek: KekId) -> Result<(), Failure> {
        let (lost, under_way) = {
            let database = lock(&self.database);
            (database.backups_lost_with(kek)?, database.backup_under_way()?)
        };
        if under_way {
            let text = "a backup is being made, which this KEK opens: wait until it has ended";
            return Err(Failure::new(Exit::TempFail, text));
        }
        if lost == 0 {
            return Ok(());
        }
        let text = format!(
            "backups of {lost} tenants open with KEK {kek} only, and no recovery copy of it was exported: run \"tenantctl vault recovery export\" first, or give those backups up with --give-up-backups"
        );
        Err(Failure::new(Exit::Config, text))
    }

    /// Ends a rotation of the KEK that was interrupted.
    pub fn finish_kek(&self) -> Result<(), Failure> {
        let Ok(_rotating) = self.vault.rotating.try_lock() else { return Ok(()) };
        let held = self.vault.hold();
        let under_way = held.store()?.kek(KekFile::Next)?.is_some();
        drop(held);
        if under_way { self.wrap_all() } else { Ok(()) }
    }

    /// Wraps the DEKs of every tenant by the next KEK, each by itself, so that nobody waits for all of them; then puts that KEK in
    /// the place of the current one.
    fn wrap_all(&self) -> Result<(), Failure> {
        let (tenants, next) = {
            let mut held = self.vault.hold();
            held.keyring.forget();
            let store = held.store()?;
            (store.tenants()?, held.keyring.keks(&store)?.newest().id())
        };
        let mut failed = None;
        for id in &tenants {
            if let Err(failure) = self.settle(id, next) {
                failed = failed.or(Some(failure));
            }
        }
        if let Some(failure) = failed {
            return Err(failure);
        }
        let mut held = self.vault.hold();
        let store = held.store()?;
        held.keyring.forget();
        // As stored, not as held: what is not in a file must not take the place of what is.
        match held.keyring.load(&store, KekFile::Next)? {
            Opened::Kek(kek) if kek.id() == next => (),
            Opened::Lost(failure) => return Err(failure),
            Opened::Kek(_) | Opened::Absent => return Err(Failure::new(Exit::TempFail, again(next))),
        }
        // A tenant that came meanwhile is wrapped by it already; one that is not would be lost with the old KEK.
        for id in store.tenants()? {
            if store.deks(&id)?.is_some_and(|deks| !deks.is_held_by(next)) {
                return Err(Failure::new(Exit::TempFail, format!("tenant {id}: {}", again(next))));
            }
        }
        store.promote_kek()?;
        tracing::info!(kek = %next, "the KEK was rotated");
        Ok(())
    }

    /// Ends what is under way in one vault, at least so far that `kek` holds it. A damaged record is no reason to keep an old KEK.
    pub(super) fn settle(&self, id: &TenantId, kek: KekId) -> Result<(), Failure> {
        let mut held = self.vault.hold();
        let store = held.store()?;
        let keks = held.keyring.keks(&store)?;
        let Some(mut vault) = store.find_to_change(id)? else { return Ok(()) };
        match vault.settle(keks) {
            Err(error) if vault.listing().is_held_by(kek) => {
                tracing::warn!(tenant = %id, "{error}");
                Ok(())
            }
            other => Ok(other?),
        }
    }

    /// Makes a new DEK for a tenant and seals its secrets under it; the old one is gone afterwards.
    pub fn rotate_dek(&self, id: &TenantId) -> Result<(), Failure> {
        let _occupied = self.occupy(id)?;
        self.existing(id)?;
        let mut held = self.vault.hold();
        let store = held.store()?;
        let keks = held.keyring.keks(&store)?;
        store.find_or_make(id, keks)?.rotate_dek(keks)?;
        tracing::info!(tenant = %id, "the DEK was rotated");
        Ok(())
    }

    /// The recovery copy of the KEK.
    pub fn export_recovery(&self, passphrase: OwnedFd) -> Result<Vec<u8>, Failure> {
        let passphrase = read_passphrase(passphrase)?;
        let kek = {
            let mut held = self.vault.hold();
            let store = held.store()?;
            let newest = held.keyring.keks(&store)?.newest();
            Kek::from_bytes(newest.expose())
                .map_err(|error| Failure::new(Exit::Software, error.to_string()))?
        };
        // Takes its time, and nobody waits for it.
        let copy = export_kek(&kek, &passphrase)?;
        lock(&self.database).note_recovery(kek.id())?;
        tracing::info!(kek = %kek.id(), "a recovery copy of the KEK was made");
        Ok(copy)
    }

    /// Takes a recovery copy: as the KEK of this host where there is none that opens, else as one more, which opens what it sealed
    /// at its time or on its host. One copy after the other, if there is need of several.
    pub fn import_recovery(&self, copy: OwnedFd, passphrase: OwnedFd) -> Result<VaultStatus, Failure> {
        let copy = host::read_secretly(copy, "the recovery copy", COPY)?;
        let kek = import_kek(&copy, &read_passphrase(passphrase)?)?;
        {
            let mut held = self.vault.hold();
            let store = held.store()?;
            let which = match held.keyring.load(&store, KekFile::Current)? {
                Opened::Kek(current) if current.id() == kek.id() => None,
                Opened::Kek(_) => Some(KekFile::Kept(kek.id())),
                Opened::Absent => Some(KekFile::Current),
                Opened::Lost(_) => {
                    store.put_kek_aside(KekFile::Current)?;
                    Some(KekFile::Current)
                }
            };
            if let Some(which) = which {
                held.keyring.store(&store, which, &kek)?;
            }
            tracing::info!(kek = %kek.id(), "a recovery copy was imported");
        }
        self.vault_status()
    }
}

fn again(next: KekId) -> String {
    format!("KEK {next} does not hold everything yet: run \"tenantctl vault rotate-kek\" again")
}

fn read_passphrase(source: OwnedFd) -> Result<Passphrase, Failure> {
    let mut bytes: Zeroizing<Vec<u8>> = host::read_secretly(source, "the passphrase", Passphrase::MAX)?;
    // The newline that ends a line typed or written by an editor is none of the passphrase.
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    let secret = Secret::new(std::mem::take(&mut *bytes))
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
