//! The next step of whatever is under way, from the files alone. A crash between two steps changes nothing: the files still say what
//! comes next.

use std::collections::BTreeMap;

use crate::dek::Dek;
use crate::error::VaultError;
use crate::kek::Keks;
use crate::listing::{Listing, Step, Version, dek_file, record_file};
use crate::name::SecretName;
use crate::record;

impl Listing {
    /// The next step, or nothing if all is settled: every DEK is wrapped by the newest KEK, every secret has one version, and
    /// there is one DEK. Never so that a value is lost: an old version goes when the new one has been seen to open, an old DEK
    /// when everything has been seen to open without it. A record that does not open holds no other up: it is the error once
    /// nothing else is left to do.
    pub fn next_step(&self, keks: &Keks) -> Result<Option<Step>, VaultError> {
        if let Some(step) = self.rewrap(keks)? {
            return Ok(Some(step));
        }
        let mut failed = None;
        if let Some(step) = self.drop_old_version(keks, &mut failed) {
            return Ok(Some(step));
        }
        if let Some(step) = self.leave_old_dek(keks, &mut failed)? {
            return Ok(Some(step));
        }
        failed.map_or(Ok(None), Err)
    }

    /// Wraps a DEK by the newest KEK.
    fn rewrap(&self, keks: &Keks) -> Result<Option<Step>, VaultError> {
        for generation in self.deks.keys() {
            if self.wrapped_dek(*generation)?.kek != keks.newest().id() {
                return self.write_dek(keks, &self.open_dek(keks, *generation)?).map(Some);
            }
        }
        Ok(None)
    }

    /// Removes a version that a newer one has replaced.
    fn drop_old_version(&self, keks: &Keks, failed: &mut Option<VaultError>) -> Option<Step> {
        let newest: BTreeMap<&SecretName, &Version> = self.records.keys().map(|key| (&key.0, key)).collect();
        for key in self.records.keys() {
            let Some(newest) = newest.get(&key.0).filter(|newest| **newest != key) else { continue };
            match self.open_record(keks, newest) {
                Ok(_) => return Some(Step::Remove { file: record_file(key) }),
                Err(error) => *failed = failed.take().or(Some(error)),
            }
        }
        None
    }

    /// Seals a record anew that is under an old DEK, or removes an old DEK that nothing needs.
    fn leave_old_dek(
        &self,
        keks: &Keks,
        failed: &mut Option<VaultError>,
    ) -> Result<Option<Step>, VaultError> {
        let Some(oldest) =
            self.deks.keys().next().filter(|oldest| Some(**oldest) != self.newest_generation())
        else {
            return Ok(None);
        };
        let dek = self.newest_dek(keks)?;
        let is_under =
            |bytes: &[u8]| record::parse(bytes).is_ok_and(|(header, _)| header.generation == dek.generation);
        for (key, _) in self.records.iter().filter(|(_, bytes)| !is_under(bytes)) {
            match self.reseal(keks, &dek, key) {
                Ok(step) => return Ok(Some(step)),
                Err(error) => *failed = failed.take().or(Some(error)),
            }
        }
        for key in self.records.keys() {
            self.open_record(keks, key)?;
        }
        Ok(Some(Step::Remove { file: dek_file(*oldest) }))
    }

    /// The record at `key`, sealed under `dek`.
    fn reseal(&self, keks: &Keks, dek: &Dek, key: &Version) -> Result<Step, VaultError> {
        let (name, version) = key;
        let (kind, secret) = self.open_record(keks, key)?;
        let message = self.next_message(dek)?;
        let bytes = record::seal(dek, name, *version, (kind, message), &secret);
        Ok(Step::Write { file: record_file(key), bytes: bytes.map_err(|source| self.cannot_seal(source))? })
    }
}
