//! The data tree: a root-owned directory that the tenant cannot write, holding three that it can.

use model::{Facts, Owner, Resource};

use super::Layer;
use crate::{Draft, Refusal, Tenant};

/// `/var/lib/tenants/<name>` with `home`, `state` and `workspace`.
pub(super) struct Data;

impl Layer for Data {
    fn name(&self) -> &'static str {
        "data"
    }

    fn draft(&self, tenant: &Tenant, _facts: &Facts, out: &mut Draft) -> Result<(), Refusal> {
        let top = tenant.paths.data(tenant.id());
        let uid = tenant.allocation.uid;
        for name in ["home", "state", "workspace"] {
            out.resource(Resource::Directory {
                path: top.join(name),
                owner: Owner::tenant(uid),
                mode: 0o700,
                tenant_content: true,
            });
        }
        out.resource(Resource::Directory {
            path: top,
            owner: Owner::root_for(uid),
            mode: 0o750,
            tenant_content: false,
        });
        Ok(())
    }
}
