//! The way out of a tenant's namespace: there is none but to the egress proxy, which listens on the loopback inside. A default route leads to
//! that loopback; a rule hands every TCP connection that comes along there to the proxy (tproxy: its addresses stay as they are, and nothing is
//! tracked), another refuses and counts whatever else would leave. All of it lies in the tenant's own namespace, in which the tenant has no
//! privilege, and goes with it. Source: include/uapi/linux/netfilter/nf_tables.h.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};

use model::egress::TRANSPARENT_PORT;
use model::{HostLink, Network};
use nix::errno::Errno;

use crate::error::Error;
use crate::message::LOOPBACK_INDEX;
use crate::nft::{self, APPEND, CREATE, NEW_CHAIN, NEW_OBJECT, NEW_RULE, NEW_TABLE, attribute, nested, text};
use crate::route;

const TABLE: &str = "tenantd";
/// Hands connections to the proxy.
const INTERCEPT: &str = "intercept";
/// What a namespace has instead that a version before made: it redirects them, until its tenant is started again.
const REDIRECT: &str = "redirect";
/// Refuses what is none, or takes another link than the loopback.
const REFUSE: &str = "refuse";
const COUNTER: &str = "refused_way_out";
const FAMILY_IP: u8 = 2;
const TCP: u8 = 6;
/// Hooks, and where the rules stand in them: that of "mangle", as tproxy is before anything that asks for the socket, and of "filter".
const PREROUTING: (u32, i32) = (0, -150);
const LOCAL_OUT: (u32, i32) = (3, 0);
const REGISTER: u32 = 1;
const OTHER_REGISTER: u32 = 2;
const VERDICT: u32 = 0;
/// How something is refused (`enum nft_reject_types`), and the code of ICMP: communication administratively prohibited.
const UNREACHABLE: u32 = 0;
const TCP_RESET: u32 = 1;
const PROHIBITED: u8 = 13;
/// TEST-NET-1: nobody's address.
const NOWHERE: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 9);

/// What a rule looks at beside the packet (`enum nft_meta_keys`).
#[derive(Clone, Copy)]
enum Meta {
    InputLink = 4,
    OutputLink = 5,
    Protocol = 16,
}

/// Puts the rules into the namespace that the calling thread is in.
pub fn put(network: &Network) -> Result<(), Error> {
    let mut netlink = nft::open()?;
    let leaves = leaves(&network.link);
    let taken = [leaves.clone(), connection(Meta::InputLink), tproxy(), accept()].concat();
    // Where the proxy's socket is missing. The kernel would not answer from an address that is not its own, and a program would wait.
    let closed = [leaves.clone(), connection(Meta::InputLink), reject(TCP_RESET, 0)].concat();
    let pass = [leaves.clone(), connection(Meta::OutputLink), accept()].concat();
    let refuse = [leaves, count(), reject(UNREACHABLE, PROHIBITED)].concat();
    let requests = [
        (NEW_TABLE, text(1, TABLE)),
        (NEW_OBJECT, [text(1, TABLE), text(2, COUNTER), number(3, 1), nested(4, &[])].concat()),
        (NEW_CHAIN, chain(INTERCEPT, PREROUTING)),
        (NEW_CHAIN, chain(REFUSE, LOCAL_OUT)),
        (NEW_RULE, rule(INTERCEPT, &taken)),
        (NEW_RULE, rule(INTERCEPT, &closed)),
        (NEW_RULE, rule(REFUSE, &pass)),
        (NEW_RULE, rule(REFUSE, &refuse)),
    ];
    // In this order: without APPEND a rule goes before those that are there.
    let put = nft::batch(&mut netlink, FAMILY_IP, CREATE | APPEND, requests.into_iter());
    put.map_err(|error| {
        Error::kernel(
            "lead connections to the egress proxy (by nft_tproxy and nft_reject of the kernel)",
            error,
        )
    })
}

/// Fails if something but TCP connections could leave the namespace that the calling thread is in, or those would not go to the proxy.
pub fn check() -> Result<(), Error> {
    let mut netlink = nft::open()?;
    let mut empty = |chain| Ok::<_, Error>(nft::uses(&mut netlink, FAMILY_IP, TABLE, chain)? == 0);
    let missing = match (empty(INTERCEPT)? && empty(REDIRECT)?, empty(REFUSE)?) {
        (true, _) => Some(INTERCEPT),
        (_, true) => Some(REFUSE),
        (false, false) => None,
    };
    if let Some(chain) = missing {
        return Err(Error::Breach(format!("chain {chain} inside is empty or missing")));
    }
    let failed = |error: io::Error| Error::kernel("open a socket inside", error);
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).map_err(failed)?;
    let before = nft::counter_of(&mut netlink, FAMILY_IP, TABLE, COUNTER)?;
    match socket.send_to(b"tenantd self-test", NOWHERE) {
        Err(error) if route::is_one_of(&error, &[Errno::EPERM]) => {
            match nft::counter_of(&mut netlink, FAMILY_IP, TABLE, COUNTER)? {
                after if after > before => Ok(()),
                _ => Err(Error::Breach("a datagram was refused inside, but not by the rule".to_owned())),
            }
        }
        Ok(_) => Err(Error::Breach("a datagram could leave the namespace".to_owned())),
        Err(error) => {
            Err(Error::Breach(format!("a datagram was not refused by the rule inside, but: {error}")))
        }
    }
}

/// Matches what goes to an address that is neither the namespace's own nor the bridge's, whatever link a program binds itself to. The
/// bridge is answered; what is sent there unasked is the fence's matter.
fn leaves(link: &HostLink) -> Vec<u8> {
    let destination =
        || expression("payload", &[number(1, REGISTER), number(2, 1), number(3, 16), number(4, 4)]);
    let mask = [
        number(1, REGISTER),
        number(2, REGISTER),
        number(3, 4),
        nested(4, &attribute(1, &[255, 0, 0, 0])),
        nested(5, &attribute(1, &[0; 4])),
    ];
    [
        destination(),
        compare(1, &link.tenant_address.octets()),
        compare(1, &link.bridge_address.octets()),
        expression("bitwise", &mask),
        compare(1, &[127, 0, 0, 0]),
    ]
    .concat()
}

/// Equal (0) or not (1).
fn compare(operator: u32, value: &[u8]) -> Vec<u8> {
    expression("cmp", &[number(1, REGISTER), number(2, operator), nested(3, &attribute(1, value))])
}

/// Matches TCP on the loopback.
fn connection(link: Meta) -> Vec<u8> {
    let meta = |key: Meta| expression("meta", &[number(1, REGISTER), number(2, key as u32)]);
    let loopback = compare(0, &LOOPBACK_INDEX.to_ne_bytes());
    [meta(link), loopback, meta(Meta::Protocol), compare(0, &[TCP])].concat()
}

/// Hands it to the socket at the proxy's port; where there is none, the rule ends here.
fn tproxy() -> Vec<u8> {
    let value = |register, value: &[u8]| {
        expression("immediate", &[number(1, register), nested(2, &attribute(1, value))])
    };
    [
        value(REGISTER, &Ipv4Addr::LOCALHOST.octets()),
        value(OTHER_REGISTER, &TRANSPARENT_PORT.to_be_bytes()),
        expression(
            "tproxy",
            &[number(1, u32::from(FAMILY_IP)), number(2, REGISTER), number(3, OTHER_REGISTER)],
        ),
    ]
    .concat()
}

fn accept() -> Vec<u8> {
    let accept = nested(2, &nested(2, &number(1, 1)));
    expression("immediate", &[number(1, VERDICT), accept])
}

fn count() -> Vec<u8> {
    expression("objref", &[number(1, 1), text(2, COUNTER)])
}

fn reject(kind: u32, code: u8) -> Vec<u8> {
    expression("reject", &[number(1, kind), attribute(2, &[code])])
}

fn chain(name: &str, (hook, priority): (u32, i32)) -> Vec<u8> {
    let hook = [number(1, hook), attribute(2, &priority.to_be_bytes())].concat();
    [text(1, TABLE), text(3, name), nested(4, &hook), text(7, "filter")].concat()
}

fn rule(chain: &str, expressions: &[u8]) -> Vec<u8> {
    [text(1, TABLE), text(2, chain), nested(4, expressions)].concat()
}

fn expression(name: &str, attributes: &[Vec<u8>]) -> Vec<u8> {
    nested(1, &[text(1, name), nested(2, &attributes.concat())].concat())
}

fn number(kind: u16, value: u32) -> Vec<u8> {
    attribute(kind, &value.to_be_bytes())
}
