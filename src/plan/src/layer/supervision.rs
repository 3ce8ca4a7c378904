//! Supervision: the unit is started at boot and is running. Both come last and go first.

use model::{Facts, Resource};

use super::Layer;
use crate::{Draft, Refusal, Tenant};

/// The gateway's unit.
pub(super) struct Supervision;

impl Layer for Supervision {
    fn name(&self) -> &'static str {
        "supervision"
    }

    fn draft(&self, tenant: &Tenant, _facts: &Facts, out: &mut Draft) -> Result<(), Refusal> {
        out.resource(Resource::Enablement { unit: tenant.id().unit() });
        out.resource(Resource::Unit { unit: tenant.id().unit() });
        Ok(())
    }
}
