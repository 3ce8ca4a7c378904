//! The rtnetlink messages of one tenant's network.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::RawFd;

use model::HostLink;
use netlink_packet_core::{DefaultNla, Emitable};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{
    AfSpecInet, AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoBridge, InfoData, InfoKind, InfoVeth,
    LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType};

use crate::socket::Request;

/// Group of links in use.
pub const LIVE_GROUP: u32 = 0;
/// First of the groups of links that are done with and wait for the sweep: "td" in ASCII.
const FIRST_DEAD_GROUP: u32 = 0x7464_0000;
/// How many such groups there are. A group is deleted by one message under the kernel's one lock for links, and each
/// bridge in it takes an RCU barrier (br_multicast_dev_del): one group would hold up every other network on the host for
/// seconds, and a message per bridge would take twice as long.
const DEAD_GROUPS: u32 = 32;
/// Index of the loopback link in any namespace.
pub const LOOPBACK_INDEX: u32 = 1;
/// Index of `eth0` in the tenant's namespace.
pub const INSIDE_INDEX: u32 = 2;
const PREFIX: u8 = 30;

const CREATE: u16 = 0x400;
const EXCLUSIVE: u16 = 0x200;
const REPLACE: u16 = 0x100;
const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_NEWROUTE: u16 = 24;
const RTM_NEWNEIGH: u16 = 28;
const NESTED: u16 = 0x8000;

/// Makes the bridge, or takes the one of that name into use again.
pub fn make_bridge(link: &HostLink) -> Request {
    let mut message = named(&link.bridge);
    message.attributes.extend([
        LinkAttribute::Address(link.bridge_mac.to_vec()),
        LinkAttribute::Group(LIVE_GROUP),
        LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Bridge),
            // One port only: nothing to snoop for.
            LinkInfo::Data(InfoData::Bridge(vec![InfoBridge::MulticastSnooping(false)])),
        ]),
    ]);
    link_request(RTM_NEWLINK, CREATE, &message)
}

/// Settings that make a link deaf to all but the fence's traffic even where the fence is not asked.
pub fn settle(name: &str, tenant: &str) -> Request {
    // enum in include/uapi/linux/ip.h: forwarding, accept_redirects, send_redirects, rp_filter (strict),
    // accept_source_route, arp_ignore (never answer).
    let settings: Vec<u8> = [(1, 0_u32), (4, 0), (6, 0), (8, 1), (9, 0), (19, 8)]
        .iter()
        .flat_map(|(setting, value)| bytes(&DefaultNla::new(*setting, value.to_ne_bytes().to_vec())))
        .collect();
    let mut message = named(name);
    message.attributes.extend([
        LinkAttribute::IfAlias(tenant.to_owned()),
        LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet(vec![AfSpecInet::Other(DefaultNla::new(
            1 | NESTED,
            settings,
        ))])]),
    ]);
    link_request(RTM_SETLINK, 0, &message)
}

/// Gives the link no IPv6 address of its own making; refused, harmlessly, where there is no IPv6.
pub fn no_ipv6_address(name: &str) -> Request {
    let mut message = named(name);
    let mode = AfSpecInet6::AddrGenMode(In6AddrGenMode::None);
    message.attributes.push(LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![mode])]));
    link_request(RTM_SETLINK, 0, &message)
}

/// Makes the pair: the host's end as a port of the bridge, the other as `eth0` in the namespace behind `namespace`.
pub fn make_pair(link: &HostLink, bridge_index: u32, namespace: RawFd) -> Request {
    let mut peer = named("eth0");
    peer.header.index = INSIDE_INDEX;
    peer.attributes
        .extend([LinkAttribute::Address(link.tenant_mac.to_vec()), LinkAttribute::NetNsFd(namespace)]);
    let mut message = named(&link.host);
    message.attributes.extend([
        LinkAttribute::Group(LIVE_GROUP),
        LinkAttribute::Controller(bridge_index),
        LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
        ]),
    ]);
    link_request(RTM_NEWLINK, CREATE | EXCLUSIVE, &message)
}

/// Puts the link up; `silent` links neither ask for nor answer neighbours.
pub fn put_up(name: &str, silent: bool) -> Request {
    let mut message = named(name);
    let flags = if silent { LinkFlags::Up | LinkFlags::Noarp } else { LinkFlags::Up };
    message.header.flags = flags;
    message.header.change_mask = flags;
    link_request(RTM_SETLINK, 0, &message)
}

fn set_group(name: &str, group: u32) -> Request {
    let mut message = named(name);
    message.attributes.push(LinkAttribute::Group(group));
    link_request(RTM_SETLINK, 0, &message)
}

/// Deletes one link.
pub fn delete(name: &str) -> Request {
    link_request(RTM_DELLINK, 0, &named(name))
}

/// Marks the link dead: the same group for a bridge and its port.
pub fn bury(name: &str) -> Request {
    let number = name.get(2..).and_then(|digits| digits.parse().ok()).unwrap_or(0);
    set_group(name, FIRST_DEAD_GROUP + number % DEAD_GROUPS)
}

/// The groups of dead links.
pub fn dead_groups() -> std::ops::Range<u32> {
    FIRST_DEAD_GROUP..FIRST_DEAD_GROUP + DEAD_GROUPS
}

/// Deletes every link of `group`.
pub fn delete_group(group: u32) -> Request {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::Group(group));
    link_request(RTM_DELLINK, 0, &message)
}

/// Asks for one link by name.
pub fn find(name: &str) -> Request {
    link_request(RTM_GETLINK, 0, &named(name))
}

/// Gives the link its address.
pub fn add_address(index: u32, address: Ipv4Addr) -> Request {
    address_request(RTM_NEWADDR, CREATE | REPLACE, index, address)
}

/// Takes the link's address away.
pub fn delete_address(index: u32, address: Ipv4Addr) -> Request {
    address_request(RTM_DELADDR, 0, index, address)
}

/// Makes the neighbour known for good.
pub fn add_neighbour(index: u32, address: Ipv4Addr, mac: [u8; 6]) -> Request {
    let mut message = NeighbourMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.ifindex = index;
    message.header.state = NeighbourState::Permanent;
    message.header.kind = RouteType::Unicast;
    message.attributes.extend([
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)),
        NeighbourAttribute::LinkLayerAddress(mac.to_vec()),
    ]);
    request(RTM_NEWNEIGH, CREATE | REPLACE, bytes(&message))
}

/// The default route, to the loopback: only for a tenant whose connections are handed to a proxy there. What is sent over a loopback is
/// delivered in the namespace, whomever it is for.
pub fn add_default_route() -> Request {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.table = 254;
    message.header.protocol = RouteProtocol::Static;
    message.header.scope = RouteScope::Link;
    message.header.kind = RouteType::Unicast;
    message.attributes.push(RouteAttribute::Oif(LOOPBACK_INDEX));
    request(RTM_NEWROUTE, CREATE | REPLACE, bytes(&message))
}

fn named(name: &str) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::IfName(name.to_owned()));
    message
}

fn address_request(kind: u16, flags: u16, index: u32, address: Ipv4Addr) -> Request {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.prefix_len = PREFIX;
    message.header.index = index;
    message.attributes.extend([
        AddressAttribute::Local(IpAddr::V4(address)),
        AddressAttribute::Address(IpAddr::V4(address)),
    ]);
    request(kind, flags, bytes(&message))
}

fn link_request(kind: u16, flags: u16, message: &LinkMessage) -> Request {
    request(kind, flags, bytes(message))
}

fn request(kind: u16, flags: u16, body: Vec<u8>) -> Request {
    Request { kind, flags, answered: true, body }
}

fn bytes<T: Emitable>(message: &T) -> Vec<u8> {
    let mut bytes = vec![0; message.buffer_len()];
    message.emit(&mut bytes);
    bytes
}
