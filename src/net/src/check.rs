//! What a network file must say before anything is made from it.

use model::{HostLink, Network, Service};

/// The first thing wrong with `network`, as the end of a sentence; `None` if nothing is.
pub fn complaint(network: &Network) -> Option<String> {
    let link = &network.link;
    if index(&link.bridge, "tb").is_none() {
        return Some(format!("names the bridge {:?}; a bridge is called tb<number>", link.bridge));
    }
    if index(&link.bridge, "tb") != index(&link.host, "tv") {
        return Some(format!("names the port {:?} for the bridge {:?}", link.host, link.bridge));
    }
    addresses(link).or_else(|| macs(link)).or_else(|| services(&network.services))
}

fn index<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    let digits = name.strip_prefix(prefix)?;
    let number = digits.len() <= 9 && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    (number && (digits == "0" || !digits.starts_with('0'))).then_some(digits)
}

/// The two usable hosts of one /30, outside loopback, link-local and multicast.
fn addresses(link: &HostLink) -> Option<String> {
    let (bridge, tenant) = (link.bridge_address, link.tenant_address);
    let base = bridge.to_bits() & !3;
    let usable = bridge.to_bits() == base + 1 && tenant.to_bits() == base + 2;
    if !usable {
        return Some(format!(
            "has the addresses {bridge} and {tenant}, which are not the two hosts of one /30"
        ));
    }
    let special = bridge.is_loopback()
        || bridge.is_link_local()
        || bridge.is_multicast()
        || bridge.octets().first().is_some_and(|first| *first == 0 || *first >= 240);
    special.then(|| format!("has the address {bridge}, which no link can have"))
}

fn macs(link: &HostLink) -> Option<String> {
    let [bridge, ..] = link.bridge_mac;
    let [tenant, ..] = link.tenant_mac;
    // Bit 0: group address; bit 1: locally administered.
    if bridge & 3 != 2 || tenant & 3 != 2 {
        return Some("has a MAC that is not unicast and locally administered".to_owned());
    }
    (link.bridge_mac == link.tenant_mac).then(|| "gives both ends the same MAC".to_owned())
}

fn services(services: &[Service]) -> Option<String> {
    let nowhere = |service: &Service| matches!(service, Service::Tcp { port: 0 } | Service::Udp { port: 0 });
    services.iter().any(nowhere).then(|| "has a service on port 0".to_owned())
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use model::TenantId;

    pub fn network() -> Network {
        Network {
            format: 1,
            tenant: TenantId::parse("acme").unwrap(),
            link: HostLink {
                bridge: "tb7".to_owned(),
                host: "tv7".to_owned(),
                bridge_address: [10, 210, 0, 29].into(),
                tenant_address: [10, 210, 0, 30].into(),
                bridge_mac: [2, 0, 0, 0, 0, 1],
                tenant_mac: [2, 0, 0, 0, 0, 2],
            },
            services: vec![],
            gateway_port: 18789,
            intercept: false,
        }
    }

    fn refused(change: impl FnOnce(&mut Network)) -> bool {
        let mut network = network();
        change(&mut network);
        complaint(&network).is_some()
    }

    #[test]
    fn a_well_formed_network_is_taken() {
        assert_eq!(complaint(&network()), None);
    }

    #[test]
    fn links_that_are_not_a_tenants_are_refused() {
        for name in ["eth0", "tb", "tb07", "tb-1", "tb1234567890", "tb7\0", "tbx", "lo"] {
            assert!(refused(|n| n.link.bridge = name.to_owned()), "{name}");
        }
        assert!(refused(|n| n.link.host = "tv8".to_owned()));
        assert!(refused(|n| n.link.host = "eth0".to_owned()));
    }

    #[test]
    fn addresses_that_are_not_one_link_are_refused() {
        assert!(refused(|n| n.link.tenant_address = [10, 210, 0, 31].into()));
        assert!(refused(|n| n.link.bridge_address = [10, 210, 0, 28].into()));
        assert!(refused(|n| (n.link.bridge_address, n.link.tenant_address) =
            ([127, 0, 0, 1].into(), [127, 0, 0, 2].into())));
        assert!(refused(|n| (n.link.bridge_address, n.link.tenant_address) =
            ([169, 254, 169, 253].into(), [169, 254, 169, 254].into())));
    }

    #[test]
    fn group_and_equal_macs_are_refused() {
        assert!(refused(|n| n.link.tenant_mac = [1, 0, 94, 0, 0, 1]));
        assert!(refused(|n| n.link.tenant_mac = n.link.bridge_mac));
    }

    #[test]
    fn port_zero_is_refused() {
        assert!(refused(|n| n.services = vec![Service::Udp { port: 0 }]));
    }
}
