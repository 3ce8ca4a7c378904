//! What tenantd hands out once per tenant and never takes from the kernel: uid, index, addresses.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// The addresses of one tenant: a /30 of which the bridge has the first host address and the tenant the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantNetwork {
    /// Network address of the /30.
    pub network: Ipv4Addr,
}

impl TenantNetwork {
    /// The /30 beginning at `network`, or nothing if that is no /30 boundary.
    pub fn new(network: Ipv4Addr) -> Option<Self> {
        (u32::from(network) & 3 == 0).then_some(Self { network })
    }

    /// The host's address on the tenant's bridge.
    pub fn bridge(self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.network) | 1)
    }

    /// The tenant's address on `eth0`.
    pub fn tenant(self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.network) | 2)
    }
}

/// What one tenant was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocation {
    /// Index of the tenant; names its links `tb<n>` and `tv<n>` and its quota project.
    pub index: u32,
    /// uid and gid.
    pub uid: u32,
    /// Addresses.
    pub network: TenantNetwork,
    /// Random machine-id shown inside the cell, 32 hexadecimal digits; unrelated to the host's.
    pub machine_id: String,
}

impl Allocation {
    /// Name of the bridge.
    pub fn bridge_link(&self) -> String {
        format!("tb{}", self.index)
    }

    /// Name of the host's end of the veth pair.
    pub fn host_link(&self) -> String {
        format!("tv{}", self.index)
    }

    /// Project id of the disk quota: the uid, which no other tree of the host uses.
    pub fn project(&self) -> u32 {
        self.uid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_30_gives_the_bridge_the_first_and_the_tenant_the_second_address() {
        let net = TenantNetwork::new(Ipv4Addr::new(10, 210, 0, 4)).unwrap();
        assert_eq!(net.bridge(), Ipv4Addr::new(10, 210, 0, 5));
        assert_eq!(net.tenant(), Ipv4Addr::new(10, 210, 0, 6));
        assert!(TenantNetwork::new(Ipv4Addr::new(10, 210, 0, 5)).is_none());
    }
}
