//! The spec file: the operator's wish, kept where the operator can read it.

use model::{Content, Facts, Owner, Resource};

use super::Layer;
use crate::{Draft, Refusal, Tenant};

/// `/etc/tenantd/tenants.d/<id>.toml`.
pub(super) struct SpecOnDisk;

impl Layer for SpecOnDisk {
    fn name(&self) -> &'static str {
        "spec"
    }

    fn draft(&self, tenant: &Tenant, _facts: &Facts, out: &mut Draft) -> Result<(), Refusal> {
        out.resource(Resource::File {
            path: tenant.paths.spec(tenant.id()),
            owner: Owner::ROOT,
            mode: 0o644,
            content: Content::plain(tenant.spec_text.as_bytes()),
            restart: false,
        });
        Ok(())
    }
}
