//! What a backup needs of the vault: the key that seals it, the tenant's files as they are, and at a restore the way back.

use backup::VaultFile;
use model::TenantId;
use model::egress::AUTHORITY_SECRET;
use vault::{BackupKey, KekId, Kind, Listing, SecretName};

use crate::failure::Failure;
use crate::journal::lock;
use crate::service::Service;

impl Service {
    /// The key for a backup, its name, and the files of the tenant's vault, held by the same KEK.
    pub(crate) fn sealing_key(&self, id: &TenantId) -> Result<(BackupKey, KekId, Vec<VaultFile>), Failure> {
        let kek = {
            let mut held = self.vault.hold();
            let store = held.store()?;
            held.keyring.keks_or_first(&store)?.newest().id()
        };
        self.settle(id, kek)?;
        let mut held = self.vault.hold();
        let store = held.store()?;
        let newest = held.keyring.keks(&store)?.newest();
        // None is destroyed while the backup is under way.
        Ok((newest.backup_key(id), newest.id(), store.files(id)?))
    }

    /// The key that opens a backup of a tenant, of this host or of one whose recovery copy was imported.
    pub(crate) fn opening_key(&self, tenant: &TenantId, kek: KekId) -> Result<BackupKey, Failure> {
        let mut held = self.vault.hold();
        let store = held.store()?;
        // No KEK is made for this: one that was there before the copy of another was imported would seal everything from then on.
        let found = match held.keyring.keks(&store) {
            Err(failure) if failure.exit != model::Exit::NoInput => return Err(failure),
            keks => keks.ok().and_then(|keks| keks.find(kek)).map(|kek| kek.backup_key(tenant)),
        };
        found.ok_or_else(|| {
            let error = vault::ArchiveError::ForeignKey { tenant: tenant.clone(), kek };
            Failure::new(model::Exit::Config, error.to_string())
        })
    }

    /// Seals the secrets of a backup anew for a tenant. What does not open is left out, and said.
    pub(crate) fn restore_secrets(
        &self,
        id: &TenantId,
        from: &TenantId,
        files: &[VaultFile],
    ) -> Result<Vec<String>, Failure> {
        let stray = |error: vault::VaultError| Failure::new(model::Exit::Data, error.to_string());
        let listing = Listing::read(from.clone(), files.iter().cloned()).map_err(stray)?;
        let mut problems = Vec::new();
        let mut held = self.vault.hold();
        let store = held.store()?;
        let keks = held.keyring.keks_or_first(&store)?;
        let mut vault = store.find_or_make(id, keks)?;
        for entry in listing.secrets() {
            // tenantd's own are made anew: whoever had the old ones has nothing.
            if entry.kind == Some(Kind::Gateway) || entry.name.as_str() == AUTHORITY_SECRET {
                continue;
            }
            if entry.name == SecretName::gateway() {
                problems.push(format!(
                    "secret {} has a name that is tenantd's own now: set it under another one",
                    entry.name
                ));
                continue;
            }
            let kind = entry.kind.unwrap_or(Kind::Proxy);
            match listing.open(keks, &entry.name, entry.version, kind) {
                Ok(secret) => {
                    let version = vault.set(keks, (&entry.name, 0), kind, &secret)?;
                    lock(&self.database).note_secret(id, entry.name.as_str(), version)?;
                }
                Err(error) => problems.push(format!("secret {} was not restored: {error}", entry.name)),
            }
        }
        Ok(problems)
    }
}
