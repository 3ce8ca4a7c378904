//! What `vault status` says, and `doctor` after it: whether everything opens.

use api::VaultStatus;
use model::TenantId;
use vault_store::KekFile;

use crate::failure::Failure;
use crate::service::Service;

impl Service {
    /// What there is, and whether it opens. The vault is held for one tenant at a time, so that nobody waits for all of them.
    pub fn vault_status(&self) -> Result<VaultStatus, Failure> {
        let (mut status, tenants) = self.keys_status()?;
        for id in &tenants {
            let opens = status.state == "open";
            match self.look_at(id, opens) {
                Ok(secrets) => status.secrets += secrets,
                Err(failure) => status.damaged.push(failure.sentence),
            }
        }
        Ok(status)
    }

    fn keys_status(&self) -> Result<(VaultStatus, Vec<TenantId>), Failure> {
        let mut held = self.vault.hold();
        let store = held.store()?;
        let tenants = store.tenants()?;
        let rotating = store.kek(KekFile::Next)?.is_some();
        let mut status = VaultStatus { rotating, tenants: tenants.len(), ..VaultStatus::default() };
        if store.kek(KekFile::Current)?.is_none() && tenants.is_empty() {
            status.state = "empty".to_owned();
            return Ok((status, tenants));
        }
        match held.keyring.keks(&store) {
            Ok(keks) => {
                status.state = "open".to_owned();
                status.kek = Some(keks.newest().id().to_string());
            }
            Err(failure) => {
                status.state = "locked".to_owned();
                status.problem = Some(failure.sentence);
            }
        }
        Ok((status, tenants))
    }

    /// How many secrets a tenant has; with the key, opens them all.
    fn look_at(&self, id: &TenantId, opens: bool) -> Result<usize, Failure> {
        let mut held = self.vault.hold();
        let store = held.store()?;
        if opens && let Some(vault) = store.find(id)? {
            vault.listing().check(held.keyring.keks(&store)?).map_err(vault_store::StoreError::from)?;
        }
        Ok(store.count(id)?)
    }
}
