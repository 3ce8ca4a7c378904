//! One tenant's vault: its files as read, changed step by step.

use model::TenantId;
use vault::{Keks, Kind, Listing, Secret, SecretName, Step};

use crate::StoreError;
use crate::directory::Directory;

/// The vault of one tenant. Whoever changes it must be the only one who does.
#[derive(Debug)]
pub struct TenantVault {
    directory: Directory,
    listing: Listing,
}

impl TenantVault {
    pub(crate) fn read(tenant: TenantId, directory: Directory) -> Result<Self, StoreError> {
        let mut files = Vec::new();
        for name in directory.names()? {
            let bytes = directory.read(&name)?;
            files.push((name, bytes));
        }
        Ok(Self { directory, listing: Listing::read(tenant, files)? })
    }

    /// What is in it.
    pub fn listing(&self) -> &Listing {
        &self.listing
    }

    pub(crate) fn sweep(&self) -> Result<(), StoreError> {
        self.directory.sweep()
    }

    /// Makes the first DEK, if nothing at all is there.
    pub(crate) fn begin(&mut self, keks: &Keks) -> Result<(), StoreError> {
        match self.listing.create(keks) {
            Ok(step) => self.carry_out(step),
            Err(vault::VaultError::Exists { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Goes on with what is under way, as far as that is possible: a damaged record is no reason to refuse another value, its own
    /// least of all.
    fn try_to_settle(&mut self, keks: &Keks) -> Result<(), StoreError> {
        match self.settle(keks) {
            Err(StoreError::Vault(_)) => Ok(()),
            other => other,
        }
    }

    /// Gives a secret a new value and returns its version, which is above `floor`. The old value stands until the new one is on the disk and has been
    /// seen to open.
    pub fn set(
        &mut self,
        keks: &Keks,
        (name, floor): (&SecretName, u64),
        kind: Kind,
        secret: &Secret,
    ) -> Result<u64, StoreError> {
        self.try_to_settle(keks)?;
        self.carry_out(self.listing.set(keks, (name, floor), kind, secret)?)?;
        self.try_to_settle(keks)?;
        Ok(self.listing.newest_version(name).unwrap_or_default())
    }

    /// Removes a secret.
    pub fn remove(&mut self, keks: &Keks, name: &SecretName) -> Result<(), StoreError> {
        while let Some(step) = self.listing.remove(keks, name)? {
            self.carry_out(step)?;
        }
        Ok(())
    }

    /// Makes a new DEK, seals everything under it, and destroys the old one.
    pub fn rotate_dek(&mut self, keks: &Keks) -> Result<(), StoreError> {
        self.settle(keks)?;
        self.carry_out(self.listing.rotate_dek(keks)?)?;
        self.settle(keks)
    }

    /// Ends what is under way: a rotation, a new version, a new KEK.
    pub fn settle(&mut self, keks: &Keks) -> Result<(), StoreError> {
        while let Some(step) = self.listing.next_step(keks)? {
            self.carry_out(step)?;
        }
        Ok(())
    }

    fn carry_out(&mut self, step: Step) -> Result<(), StoreError> {
        match &step {
            Step::Write { file, bytes } => self.directory.write(file, bytes)?,
            Step::Remove { file } => self.directory.remove(file)?,
        }
        Ok(self.listing.apply(step)?)
    }
}
