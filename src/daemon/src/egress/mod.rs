//! The operator's side of egress: questions of proxies and their answers, what was learned and used, the tenants' certificate authorities.
//!
//! What was answered stands in `state.db`. From it alone follows `approvals.json`, so that a plan made later finds no difference.

mod approvals;
mod ask;
mod authority;
mod change;
mod desk;
mod destination;
mod explain;
mod file;
mod learning;
mod render;
mod scope;
mod store;
mod usage;
mod view;

use std::sync::Mutex;

use model::{SpecFile, TenantId};
use plan::Tenant;
use tokio::sync::broadcast;

pub use approvals::Wish;
pub use ask::serve;
pub(crate) use change::{no_change, refuse_other};
pub(crate) use store::{TABLES, forget};

use crate::failure::Failure;
use crate::journal::lock;
use crate::service::Service;
use desk::Desk;

/// Changes that may wait for whoever tells them on the bus.
const UNTOLD: usize = 64;

/// What the daemon holds about egress while it runs.
#[derive(Debug)]
pub(crate) struct Egress {
    /// Questions. They are gone with the daemon, as are the connections that wait for them.
    pub(crate) desk: Mutex<Desk>,
    /// Held from a change in `state.db` until `approvals.json` says the same.
    writing: Mutex<()>,
    /// Numbers of questions that were raised or closed.
    pub(crate) changed: broadcast::Sender<u64>,
}

impl Default for Egress {
    fn default() -> Self {
        let (changed, _) = broadcast::channel(UNTOLD);
        Self { desk: Mutex::default(), writing: Mutex::default(), changed }
    }
}

impl Service {
    /// Numbers of questions that are raised or closed from now on.
    pub fn changed_requests(&self) -> broadcast::Receiver<u64> {
        self.egress.changed.subscribe()
    }

    /// A tenant that is gone has no questions.
    pub(crate) fn forget_requests(&self, id: &TenantId) {
        lock(&self.egress.desk).forget(id);
    }

    /// What is to be in order before a tenant with egress is put together.
    pub(crate) fn prepare_egress(
        &self,
        id: &TenantId,
        spec: &SpecFile,
        dry_run: bool,
    ) -> Result<(), Failure> {
        if spec.egress.is_some() && !dry_run { self.ensure_authority(id) } else { Ok(()) }
    }

    /// What was approved while a plan was carried out is in force after it. Without egress nothing stays approved.
    pub(crate) fn settle_egress(&self, tenant: &Tenant) -> Result<(), Failure> {
        match tenant.egress {
            Some(_) => self.write_approvals(tenant.id()),
            None => self.forget_egress(tenant.id()),
        }
    }

    /// A tenant without egress keeps no answers for the day on which it has one again.
    pub(crate) fn forget_egress(&self, id: &TenantId) -> Result<(), Failure> {
        self.forget_requests(id);
        Ok(lock(&self.database).forget_egress(id)?)
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    let passed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    passed.map_or(0, |passed| passed.as_secs())
}
