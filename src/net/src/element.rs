//! The elements of one tenant in the sets of the fence, as bytes the kernel compares: each part of a key is padded to four
//! bytes, names to IFNAMSIZ, numbers are big-endian (nftables' `type ifname . ipv4_addr . inet_proto . inet_service`).

use model::{Network, Service};

const IFNAMSIZ: usize = 16;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// One element of a set or a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// The set's name in `fence.nft`.
    pub set: &'static str,
    /// Its key.
    pub key: Vec<u8>,
}

/// All elements of one tenant, in the order in which they are added.
pub fn elements(network: &Network) -> Vec<Element> {
    let link = &network.link;
    let on_link = |address: std::net::Ipv4Addr| {
        let mut key = name(&link.bridge);
        key.extend_from_slice(&address.octets());
        key
    };
    let service = |protocol: u8, port: u16| {
        let mut key = on_link(link.bridge_address);
        key.extend_from_slice(&[protocol, 0, 0, 0]);
        key.extend_from_slice(&port.to_be_bytes());
        key.extend_from_slice(&[0, 0]);
        Element { set: "services", key }
    };
    let mut all = vec![
        Element { set: "bridges", key: on_link(link.bridge_address) },
        Element { set: "peers", key: on_link(link.tenant_address) },
    ];
    for wanted in &network.services {
        match *wanted {
            Service::Tcp { port } => all.push(service(TCP, port)),
            Service::Udp { port } => all.push(service(UDP, port)),
        }
    }
    all
}

fn name(link: &str) -> Vec<u8> {
    let mut bytes = link.as_bytes().to_vec();
    bytes.resize(IFNAMSIZ, 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::network;

    #[test]
    fn keys_are_what_nft_writes() {
        // nft --debug=netlink add element inet tenantd services '{ tb7 . 10.210.0.29 . tcp . 80 }'
        let mut network = network();
        network.services = vec![Service::Tcp { port: 80 }];
        let all = elements(&network);
        let services = all.iter().find(|element| element.set == "services").unwrap();
        assert_eq!(&services.key[..16], b"tb7\0\0\0\0\0\0\0\0\0\0\0\0\0");
        assert_eq!(&services.key[16..], [10, 210, 0, 29, 6, 0, 0, 0, 0, 80, 0, 0]);
    }

    #[test]
    fn a_tenant_without_services_has_only_its_two_addresses() {
        let sets: Vec<_> = elements(&network()).iter().map(|element| element.set).collect();
        assert_eq!(sets, ["bridges", "peers"]);
    }
}
