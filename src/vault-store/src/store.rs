//! All tenants' vaults.

use std::collections::BTreeSet;
use std::path::Path;

use model::TenantId;
use vault::{KekId, Keks, Listing, RecordFile, SecretEntry};

use crate::directory::Directory;
use crate::{StoreError, TenantVault, heads};

/// A KEK as it is stored: sealed by means of the host, which are not this crate's matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KekFile {
    /// The one in use.
    Current,
    /// The one that takes its place when a rotation has ended.
    Next,
    /// One of another host or another time, for archives.
    Kept(KekId),
}

impl KekFile {
    /// One that the host's own key does not open any more.
    const LOST: &str = "kek.lost";

    // A dot keeps it apart from every system name of a tenant.
    fn name(self) -> String {
        match self {
            Self::Current => "kek.current".to_owned(),
            Self::Next => "kek.next".to_owned(),
            Self::Kept(id) => format!("kek.{id}"),
        }
    }
}

/// The directory of the vault.
#[derive(Debug)]
pub struct VaultStore {
    pub(crate) root: Directory,
}

impl VaultStore {
    /// Opens `root`, which must exist and be closed to everybody else.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        Directory::open(root).map(|root| Self { root })
    }

    /// A stored KEK, if it is there.
    pub fn kek(&self, which: KekFile) -> Result<Option<Vec<u8>>, StoreError> {
        self.root.read_if_there(&which.name())
    }

    /// Stores a KEK.
    pub fn write_kek(&self, which: KekFile, sealed: &[u8]) -> Result<(), StoreError> {
        self.root.write(&which.name(), sealed)
    }

    /// The KEKs that are kept beside those in use, as they are stored.
    pub fn kept_keks(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        let used = [KekFile::Current.name(), KekFile::Next.name(), KekFile::LOST.to_owned()];
        let names = self.root.names()?.into_iter();
        names
            .filter(|name| name.starts_with("kek.") && !used.contains(name))
            .map(|name| self.root.read(&name))
            .collect()
    }

    /// Puts a KEK that does not open aside: nothing is thrown away, and nothing waits for it.
    pub fn put_kek_aside(&self, which: KekFile) -> Result<(), StoreError> {
        self.root.rename(&which.name(), KekFile::LOST)
    }

    /// Puts the next KEK in the place of the current one, which is gone then.
    pub fn promote_kek(&self) -> Result<(), StoreError> {
        self.root.rename(&KekFile::Next.name(), &KekFile::Current.name())
    }

    /// The vault of a tenant, if it has one.
    pub fn find(&self, tenant: &TenantId) -> Result<Option<TenantVault>, StoreError> {
        self.root
            .find(&tenant.system_name())?
            .map(|directory| TenantVault::read(tenant.clone(), directory))
            .transpose()
    }

    /// The same, to be changed: what an interrupted change left is gone.
    pub fn find_to_change(&self, tenant: &TenantId) -> Result<Option<TenantVault>, StoreError> {
        let found = self.find(tenant)?;
        found.iter().try_for_each(TenantVault::sweep)?;
        Ok(found)
    }

    /// The vault of a tenant, made with its first DEK if it has none.
    pub fn find_or_make(&self, tenant: &TenantId, keks: &Keks) -> Result<TenantVault, StoreError> {
        let directory = self.root.make(&tenant.system_name())?;
        directory.sweep()?;
        let mut vault = TenantVault::read(tenant.clone(), directory)?;
        vault.begin(keks)?;
        Ok(vault)
    }

    /// The DEKs of a tenant alone: what a rotation of the KEK is about, however many secrets there are.
    pub fn deks(&self, tenant: &TenantId) -> Result<Option<Listing>, StoreError> {
        let Some(directory) = self.root.find(&tenant.system_name())? else { return Ok(None) };
        let mut files = Vec::new();
        for name in directory.names()?.into_iter().filter(|name| name.starts_with("dek.")) {
            let bytes = directory.read(&name)?;
            files.push((name, bytes));
        }
        Ok(Some(Listing::read(tenant.clone(), files)?))
    }

    /// The secrets of a tenant, by the beginnings of their records alone: a list takes no longer, and no more memory, where values are large.
    pub fn secrets(&self, tenant: &TenantId) -> Result<Vec<SecretEntry>, StoreError> {
        let Some(directory) = self.root.find(&tenant.system_name())? else { return Ok(Vec::new()) };
        let records = RecordFile::newest(tenant, directory.names()?)?;
        heads::entries(&directory, &records)
    }

    /// The files of a tenant's vault as they are, for a backup.
    pub fn files(&self, tenant: &TenantId) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let Some(directory) = self.root.find(&tenant.system_name())? else { return Ok(Vec::new()) };
        directory.names()?.into_iter().map(|name| Ok((name.clone(), directory.read(&name)?))).collect()
    }

    /// How many secrets a tenant has, by the names of files alone.
    pub fn count(&self, tenant: &TenantId) -> Result<usize, StoreError> {
        let Some(directory) = self.root.find(&tenant.system_name())? else { return Ok(0) };
        let names = directory.names()?;
        let secrets: BTreeSet<_> = names
            .iter()
            .filter_map(|name| name.strip_prefix("secret.")?.rsplit_once('.').map(|(secret, _)| secret))
            .collect();
        Ok(secrets.len())
    }

    /// Every tenant with a vault. What else lies there is none of the vault's tenants.
    pub fn tenants(&self) -> Result<Vec<TenantId>, StoreError> {
        let names = self.root.names()?;
        let mut tenants: Vec<_> =
            names.iter().filter_map(|name| TenantId::from_system_name(name).ok()).collect();
        tenants.sort();
        Ok(tenants)
    }

    /// Destroys the vault of a tenant: its keys first, so that the rest is noise whatever becomes of it.
    pub fn destroy(&self, tenant: &TenantId) -> Result<(), StoreError> {
        let name = tenant.system_name();
        let Some(directory) = self.root.find(&name)? else { return Ok(()) };
        let (keys, others): (Vec<_>, Vec<_>) =
            directory.all()?.into_iter().partition(|name| name.trim_start_matches('.').starts_with("dek."));
        // By name alone: what cannot be read goes, too.
        keys.iter().chain(&others).try_for_each(|file| directory.remove(file))?;
        self.root.remove_directory(&name)
    }
}
