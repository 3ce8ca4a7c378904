//! Choosing uid, index and addresses for a new tenant, and the runtime version it gets.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;

use catalog::CatalogError;
use host::pools;
use model::{AddressPool, Allocation, Exit, Settings, SpecFile, TenantId, TenantNetwork};
use runtime::Version;

use crate::failure::Failure;
use crate::journal::lock;
use crate::service::Service;
use crate::state::StateError;

impl Service {
    /// The allocation a new tenant gets; the one it had, where its data was kept. Nothing is written yet.
    pub(crate) fn choose_allocation(&self, id: &TenantId) -> Result<Allocation, Failure> {
        if let Some(allocation) = lock(&self.database).allocation(id)? {
            return Ok(allocation);
        }
        let settings = self.settings()?;
        self.refuse_conflicting_pools(&settings)?;
        let index = self.free_index(&settings)?;
        let exhausted = |what| Failure::from(StateError::Exhausted(what));
        Ok(Allocation {
            index,
            uid: uid_of(&settings, index).ok_or_else(|| exhausted("uid"))?,
            network: network_of(&settings.pools.addresses, index).ok_or_else(|| exhausted("address"))?,
            machine_id: random_bytes()?.iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }

    /// Refuses to allocate from a pool that meets somebody else's uids or addresses.
    fn refuse_conflicting_pools(&self, settings: &Settings) -> Result<(), Failure> {
        let tenants = lock(&self.database).tenants()?;
        let uids = tenants.iter().map(|(_, allocation)| allocation.uid).collect();
        let links = tenants.iter().map(|(_, allocation)| allocation.bridge_link()).collect();
        let mut conflicts = pools::uid_conflicts(&self.paths, settings.pools.uids, &uids)?;
        for pool in &settings.pools.addresses {
            conflicts.extend(pools::address_conflicts(&self.paths, *pool, &links)?);
        }
        match conflicts.into_iter().next() {
            Some(conflict) => Err(Failure::new(Exit::Config, conflict)),
            None => Ok(()),
        }
    }

    /// The first index after the last one given out whose uid and index nobody has; goes round once.
    fn free_index(&self, settings: &Settings) -> Result<u32, Failure> {
        let uids = settings.pools.uids.last - settings.pools.uids.first + 1;
        let addresses: u32 = settings.pools.addresses.iter().map(|pool| pool.len()).sum();
        let capacity = uids.min(addresses);
        let orphaned = self.uids_of_orphaned_data()?;
        let mut database = lock(&self.database);
        let start = database.next_index()?;
        if start >= capacity {
            database.wrap_index()?;
        }
        for candidate in (start.min(capacity)..capacity).chain(0..start.min(capacity)) {
            let uid = settings.pools.uids.first + candidate;
            if !database.index_taken(candidate)?
                && !orphaned.contains(&uid)
                && pools::uid_taken(uid, "").is_none()
            {
                return Ok(candidate);
            }
        }
        let what = if uids <= addresses { "uid" } else { "address" };
        Err(StateError::Exhausted(what).into())
    }

    /// The uids that own data of tenants unknown to the database: after a purge that kept data and a new installation, nobody
    /// else remembers them. Names are compared, so that what is known is not looked at one by one.
    fn uids_of_orphaned_data(&self) -> Result<BTreeSet<u32>, Failure> {
        let top = self.paths.all_data();
        let unreadable = |error: std::io::Error| {
            Failure::new(
                Exit::Io,
                format!("cannot read {}: {error}: run \"tenantctl doctor\"", top.display()),
            )
        };
        let known: BTreeSet<OsString> =
            lock(&self.database).tenants()?.iter().map(|(tenant, _)| tenant.system_name().into()).collect();
        let entries = std::fs::read_dir(&top).map_err(unreadable)?;
        entries
            .filter(|entry| !entry.as_ref().is_ok_and(|entry| known.contains(&entry.file_name())))
            .map(|entry| Ok(entry.and_then(|entry| entry.metadata()).map_err(unreadable)?.gid()))
            .collect()
    }

    /// The spec's text with the runtime version written down, and that version. One that is left out becomes the version of
    /// the spec on disk, and for a new tenant the pinned or else the newest installed one.
    pub(crate) fn with_version(
        &self,
        written: SpecFile,
        text: &str,
        on_disk: Option<&SpecFile>,
    ) -> Result<(String, Option<String>), Failure> {
        let (description, _) = self.catalog()?.runtime(&written.runtime)?;
        if description.install.is_none() {
            return match &written.version {
                None => Ok((text.to_owned(), None)),
                Some(version) => Err(Failure::new(
                    Exit::Data,
                    format!(
                        "tenant {}: runtime {} installs nothing and has no version {version:?}: leave version out",
                        written.id, written.runtime
                    ),
                )),
            };
        }
        let chosen = match written.version.as_deref().or(catalog::kept_version(&written, on_disk)) {
            Some(version) => parse_version(version)?,
            None => self.default_version(&written.runtime)?,
        };
        if self.store.find(&written.runtime, &chosen).is_err() {
            return Err(Failure::new(
                Exit::NoInput,
                format!(
                    "tenant {}: runtime {} {chosen} is not installed: run \"tenantctl runtime install {} --version {chosen}\"",
                    written.id, written.runtime, written.runtime
                ),
            ));
        }
        if written.version.is_some() {
            return Ok((text.to_owned(), Some(chosen.to_string())));
        }
        Ok((catalog::write_version(text, chosen.as_str()), Some(chosen.to_string())))
    }

    /// The version new tenants get.
    fn default_version(&self, runtime: &str) -> Result<Version, Failure> {
        if let Some(pinned) = lock(&self.database).pin(runtime)? {
            return parse_version(&pinned);
        }
        let (installed, _) = self.store.list().map_err(store_failure)?;
        installed.into_iter().filter(|found| found.runtime == runtime).map(|found| found.version).max().ok_or_else(|| {
            Failure::new(
                Exit::NoInput,
                format!("no version of runtime {runtime} is installed: run \"tenantctl runtime install {runtime}\""),
            )
        })
    }

    /// The tenants whose spec names this runtime version.
    pub(crate) fn users_of(&self, runtime: &str, version: &str) -> Result<Vec<String>, Failure> {
        let tenants = lock(&self.database).tenants()?;
        let mut users = Vec::new();
        for (id, _) in tenants {
            match catalog::read_spec(&self.paths, &id) {
                Ok((spec, _)) if spec.runtime == runtime && spec.version.as_deref() == Some(version) => {
                    users.push(id.to_string());
                }
                Ok(_) | Err(CatalogError::NoTenant(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(users)
    }
}

/// A version as typed.
pub(crate) fn parse_version(text: &str) -> Result<Version, Failure> {
    Version::parse(text).map_err(|error| Failure::new(Exit::Data, error.to_string()))
}

/// A failure of the runtime store.
pub(crate) fn store_failure(error: runtime_store::StoreError) -> Failure {
    Failure::new(error.exit(), error.to_string())
}

/// 128 bits that nobody can guess.
pub(crate) fn random_bytes() -> Result<[u8; 16], Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        Failure::new(
            Exit::Os,
            format!("the kernel gives no random numbers: {error}: try again after boot has finished"),
        )
    })?;
    Ok(bytes)
}

fn uid_of(settings: &Settings, index: u32) -> Option<u32> {
    settings.pools.uids.first.checked_add(index).filter(|uid| *uid <= settings.pools.uids.last)
}

/// The `index`-th /30 of all pools in the order written.
fn network_of(pools: &[AddressPool], index: u32) -> Option<TenantNetwork> {
    let mut rest = index;
    for pool in pools {
        if rest < pool.len() {
            return pool.nth(rest);
        }
        rest -= pool.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_run_through_all_pools_in_order() {
        let pools: Vec<AddressPool> =
            ["10.0.0.0/29", "10.1.0.0/30"].map(|text| AddressPool::try_from(text.to_owned()).unwrap()).into();
        let network = |index| network_of(&pools, index).map(|network| network.network.to_string());
        assert_eq!(network(1).as_deref(), Some("10.0.0.4"));
        assert_eq!(network(2).as_deref(), Some("10.1.0.0"));
        assert_eq!(network(3), None);
    }
}
