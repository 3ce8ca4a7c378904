//! Links and addresses: a bridge of its own, a veth pair, a /30, neighbours fixed on both sides.

use model::{Facts, HostLink};

use super::Layer;
use crate::draft::Part;
use crate::{Draft, Refusal, Tenant};

/// What `tenant-net` builds.
pub(super) struct NetworkLinks;

impl Layer for NetworkLinks {
    fn name(&self) -> &'static str {
        "network"
    }

    fn draft(&self, tenant: &Tenant, _facts: &Facts, out: &mut Draft) -> Result<(), Refusal> {
        let allocation = &tenant.allocation;
        out.ask(Part::Link(HostLink {
            bridge: allocation.bridge_link(),
            host: allocation.host_link(),
            bridge_address: allocation.network.bridge(),
            tenant_address: allocation.network.tenant(),
            bridge_mac: mac(0, allocation.index),
            tenant_mac: mac(1, allocation.index),
        }));
        Ok(())
    }
}

/// A locally administered unicast MAC: `02:74:<side>:<index>`, which cannot meet a vendor's.
fn mac(side: u8, index: u32) -> [u8; 6] {
    let [_, a, b, c] = index.to_be_bytes();
    [0x02, 0x74, side, a, b, c]
}
