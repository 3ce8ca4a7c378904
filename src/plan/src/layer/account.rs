//! Identity: one uid and gid, no shell, no supplementary group.

use model::{Facts, Resource};

use super::Layer;
use crate::{Draft, Refusal, Tenant};

/// The tenant's user and group as nss-systemd records.
pub(super) struct Account;

impl Layer for Account {
    fn name(&self) -> &'static str {
        "account"
    }

    fn draft(&self, tenant: &Tenant, _facts: &Facts, out: &mut Draft) -> Result<(), Refusal> {
        out.resource(Resource::Account(model::Account {
            name: tenant.id().user(),
            uid: tenant.allocation.uid,
            comment: format!("tenant {}", tenant.id()),
            home: tenant.paths.data(tenant.id()).join("home"),
        }));
        Ok(())
    }
}
