//! What an administrator asks of a vault: each gives the next step towards it. What the steps leave to tidy up is up to
//! [`Listing::next_step`].

use crate::dek::{Dek, Given, MOST_MESSAGES};
use crate::error::VaultError;
use crate::kek::Keks;
use crate::listing::{Listing, Step, dek_file, record_file};
use crate::name::{Kind, SecretName};
use crate::record;
use crate::secret::Secret;

impl Listing {
    /// Makes the vault of a new tenant: its first DEK. What an earlier tenant of this name left is in the way.
    pub fn create(&self, keks: &Keks) -> Result<Step, VaultError> {
        if !self.deks.is_empty() || !self.records.is_empty() {
            return Err(VaultError::Exists { tenant: self.tenant.clone() });
        }
        self.write_dek(keks, &self.make_dek(1, Given::default())?)
    }

    /// Seals `secret` as a new version of `name`, above `floor` too: the highest version that the caller knows of. Until the step
    /// is carried out the old version stands, and after it the new one.
    pub fn set(
        &self,
        keks: &Keks,
        (name, floor): (&SecretName, u64),
        kind: Kind,
        secret: &Secret,
    ) -> Result<Step, VaultError> {
        let dek = self.newest_dek(keks)?;
        // A name that was removed goes on above all that was: no old record of it fits into the place of a new one.
        let last = self.newest_version(name).unwrap_or(dek.given.version).max(floor);
        let version = last.checked_add(1).ok_or_else(|| self.no_number(last))?;
        let message = self.next_message(&dek)?;
        let bytes = record::seal(&dek, name, version, (kind, message), secret);
        let file = record_file(&(name.clone(), version));
        Ok(Step::Write { file, bytes: bytes.map_err(|source| self.cannot_seal(source))? })
    }

    /// The next step to remove a secret, or nothing if it is gone. First the numbers that its records hold are written down
    /// with the DEK, so that they are never given again; then the versions go, the newest last.
    pub fn remove(&self, keks: &Keks, name: &SecretName) -> Result<Option<Step>, VaultError> {
        let Some(lowest) = self.versions(name).next() else { return Ok(None) };
        let mut dek = self.newest_dek(keks)?;
        let given = self.given(&dek);
        if given != dek.given {
            dek.given = given;
            return self.write_dek(keks, &dek).map(Some);
        }
        Ok(Some(Step::Remove { file: record_file(&(name.clone(), lowest)) }))
    }

    /// Begins a rotation of the DEK: the next generation. [`Listing::next_step`] does the rest.
    pub fn rotate_dek(&self, keks: &Keks) -> Result<Step, VaultError> {
        if self.deks.len() > 1 {
            return Err(VaultError::UnderWay { tenant: self.tenant.clone() });
        }
        let old = self.newest_dek(keks)?;
        let generation =
            old.generation.checked_add(1).ok_or_else(|| self.no_number(old.generation.into()))?;
        let given = Given { message: 0, version: old.given.version };
        self.write_dek(keks, &self.make_dek(generation, given)?)
    }

    /// The number of the next message under `dek`.
    pub(crate) fn next_message(&self, dek: &Dek) -> Result<u64, VaultError> {
        let last = self.given(dek).message;
        let spent = || VaultError::Spent { tenant: self.tenant.clone(), generation: dek.generation };
        if last < MOST_MESSAGES { Ok(last + 1) } else { Err(spent()) }
    }

    /// Writes a DEK, wrapped by the newest KEK.
    pub(crate) fn write_dek(&self, keks: &Keks, dek: &Dek) -> Result<Step, VaultError> {
        let bytes = dek.wrap(keks.newest()).map_err(|source| self.cannot_seal(source))?;
        Ok(Step::Write { file: dek_file(dek.generation), bytes })
    }

    fn make_dek(&self, generation: u32, given: Given) -> Result<Dek, VaultError> {
        Dek::make(self.tenant.clone(), generation, given).map_err(|source| self.cannot_seal(source))
    }

    fn no_number(&self, last: u64) -> VaultError {
        VaultError::NoNumber { tenant: self.tenant.clone(), last }
    }
}

#[cfg(test)]
mod tests;
