//! What the daemon holds while it runs: the database, the catalog, the facts, and which tenants are being worked on.

use std::collections::BTreeSet;
use std::sync::Mutex;

use catalog::{Catalog, Grant};
use host::{RealHost, Systemd};
use model::{Allocation, Exit, Facts, Paths, Settings, TenantId};
use plan::{LAYERS, Tenant, Wanted, wanted};
use runtime_store::Store;

use crate::edge::Edge;
use crate::egress::Egress;
use crate::failure::Failure;
use crate::journal::lock;
use crate::state::Database;
use crate::vault::Vault;

/// The daemon's inside, shared by all calls.
#[derive(Debug)]
pub struct Service {
    pub(crate) paths: Paths,
    pub(crate) systemd: Systemd,
    pub(crate) database: Mutex<Database>,
    pub(crate) store: Store,
    pub(crate) vault: Vault,
    pub(crate) edge: Edge,
    pub(crate) egress: Egress,
    busy: Mutex<BTreeSet<TenantId>>,
}

impl Service {
    /// Puts the daemon together from what it found at its start.
    pub fn new(paths: Paths, systemd: Systemd, database: Database, store: Store, vault: Vault) -> Self {
        let busy = Mutex::new(BTreeSet::new());
        let (edge, egress) = (Edge::default(), Egress::default());
        Self { paths, systemd, database: Mutex::new(database), store, vault, edge, egress, busy }
    }

    /// The host as the plan sees it.
    pub(crate) fn host(&self) -> RealHost {
        RealHost::new(self.paths.clone(), self.systemd.clone())
    }

    /// What the host offers now: a remedy that was followed counts at once.
    pub(crate) fn facts(&self) -> Result<Facts, Failure> {
        Ok(host::facts(&self.paths, &self.systemd)?)
    }

    /// The operator's settings, read anew, so that a change needs no restart of the daemon.
    pub(crate) fn settings(&self) -> Result<Settings, Failure> {
        Ok(catalog::read_settings(&self.paths)?)
    }

    /// What is shipped.
    pub(crate) fn catalog(&self) -> Result<Catalog, Failure> {
        Ok(Catalog::open(&self.paths.policies())?)
    }

    /// Takes a tenant for one operation. Two at once on one tenant are refused, never queued.
    pub(crate) fn occupy(&self, id: &TenantId) -> Result<Occupied<'_>, Failure> {
        if lock(&self.busy).insert(id.clone()) {
            return Ok(Occupied { busy: &self.busy, id: id.clone() });
        }
        Err(Failure::new(
            Exit::TempFail,
            format!(
                "tenant {id}: another operation on it is under way: wait until it has ended and try again"
            ),
        ))
    }

    /// The allocation of a tenant that exists.
    pub(crate) fn existing(&self, id: &TenantId) -> Result<Allocation, Failure> {
        let database = lock(&self.database);
        match database.allocation(id)? {
            Some(allocation) if !database.is_retained(id)? => Ok(allocation),
            Some(_) | None => Err(catalog::CatalogError::NoTenant(id.clone()).into()),
        }
    }

    /// A tenant put together from spec text and what it was given.
    pub(crate) fn assemble(&self, file: &str, text: &str, grant: Grant) -> Result<Tenant, Failure> {
        let settings = self.settings()?;
        let catalog = self.catalog()?;
        let written = model::SpecFile::parse(file, text)?;
        let spec = catalog::complete(written, file, &settings)?;
        let (description, template) = catalog.runtime(&spec.runtime)?;
        let facts = self.facts()?;
        let context = (&settings, &facts, &self.paths);
        let spec = (spec, text.to_owned());
        Ok(catalog::assemble(&catalog, (&description, &template), spec, grant, context)?)
    }

    /// The wanted world of a tenant as its spec on disk says.
    pub(crate) fn wanted_on_disk(&self, id: &TenantId) -> Result<(Tenant, Wanted), Failure> {
        let (written, text) = catalog::read_spec(&self.paths, id)?;
        self.wanted_by(id, written.version, &text)
    }

    /// The wanted world of a tenant that exists as this spec says.
    pub(crate) fn wanted_by(
        &self,
        id: &TenantId,
        version: Option<String>,
        text: &str,
    ) -> Result<(Tenant, Wanted), Failure> {
        let allocation = self.existing(id)?;
        let file = self.paths.spec(id).display().to_string();
        let egress = self.egress_grant(id)?;
        let tenant = self.assemble(&file, text, Grant { allocation, version, egress })?;
        let wanted = wanted(LAYERS, &tenant, &self.facts()?)?;
        Ok((tenant, wanted))
    }
}

/// A tenant that one operation has to itself.
#[must_use]
#[derive(Debug)]
pub struct Occupied<'a> {
    busy: &'a Mutex<BTreeSet<TenantId>>,
    id: TenantId,
}

impl Drop for Occupied<'_> {
    fn drop(&mut self) {
        lock(self.busy).remove(&self.id);
    }
}
