//! What the fence lets through: nothing, until another layer asks for a service on the bridge address.

use model::Facts;

use super::Layer;
use crate::draft::Part;
use crate::{Draft, Refusal, Tenant};

/// The port under which the host side may reach the gateway.
pub(super) struct Firewall;

impl Layer for Firewall {
    fn name(&self) -> &'static str {
        "firewall"
    }

    fn draft(&self, tenant: &Tenant, facts: &Facts, out: &mut Draft) -> Result<(), Refusal> {
        if !facts.nft {
            return Err(Refusal::Kernel {
                tenant: tenant.id().clone(),
                layer: "firewall",
                needed: "nftables".to_owned(),
                found: "no working nft program".to_owned(),
                remedy: "install the package nftables and start tenantd-fence.service".to_owned(),
            });
        }
        out.ask(Part::GatewayPort(tenant.gateway.port));
        Ok(())
    }
}
