//! Putting a tenant's network up: fence first, then links; and holding it up. May follow a run that was killed at any step.

use std::fs::File;
use std::os::fd::AsRawFd;

use model::{HostLink, Network, Paths, TenantId};
use nix::errno::Errno;

use crate::error::Error;
use crate::route::{self, find, may, must, run};
use crate::socket::Netlink;
use crate::{check, down, element, file, intercept, message, namespace, nft, record, sysctl};

/// How often a step is tried again that lost a race with the sweep.
const TRIES: usize = 5;
/// Answers of a kernel without IPv6.
const NO_IPV6: &[Errno] = &[Errno::EAFNOSUPPORT, Errno::EOPNOTSUPP];

/// Puts the network of `tenant` up as its compiled file says, and holds it: returns only if that fails.
pub fn up(tenant: &TenantId) -> Result<(), Error> {
    put_up(tenant)?;
    namespace::hold()
}

fn put_up(tenant: &TenantId) -> Result<(), Error> {
    let network = compiled(tenant)?;
    if let Some(old) = record::read(tenant)?.filter(|old| *old != network) {
        down::take_down(&old)?;
    }
    let mut filter = nft::open()?;
    nft::skeleton(&mut filter)?;
    record::write(&network)?;
    nft::add(&mut filter, &element::elements(&network))?;
    let mut host = route::open()?;
    let bridge = bridge(&mut host, &network)?;
    let mut inside = pair(&mut host, &network, bridge)?;
    run(&mut host, host_side(&network.link, bridge))?;
    if network.intercept {
        // Before the route: nothing ever takes it that is not handed to the proxy or refused.
        intercept::put(&network)?;
    }
    run(&mut inside, tenant_side(&network))?;
    namespace::publish(tenant)
}

fn compiled(tenant: &TenantId) -> Result<Network, Error> {
    let path = Paths::host().compiled(tenant).join("network.json");
    let bad = |problem: String, remedy| Error::File { path: path.clone(), problem, remedy };
    let Some(network) = file::network(&path, tenant)? else {
        return Err(bad("does not exist".to_owned(), ": there is no such tenant (see \"tenantctl list\")"));
    };
    match check::complaint(&network) {
        Some(problem) => Err(bad(problem, " (run \"tenantctl repair\" to have it written anew)")),
        None => Ok(network),
    }
}

/// Makes the bridge, or takes a dead one of its name into use again, and returns its index.
fn bridge(host: &mut Netlink, network: &Network) -> Result<u32, Error> {
    let link = &network.link;
    for _ in 0..TRIES {
        let made = run(
            host,
            vec![
                must(format!("make bridge {}", link.bridge), message::make_bridge(link)),
                must(
                    format!("settle bridge {}", link.bridge),
                    message::settle(&link.bridge, network.tenant.as_str()),
                ),
            ],
        );
        let found = find(host, &link.bridge)?;
        match (made, found) {
            (Ok(()), Some(found)) if found.group == message::LIVE_GROUP => {
                sysctl::disable_ipv6(&link.bridge)?;
                return Ok(found.index);
            }
            // The sweep took it away between two of our messages: make it again.
            (Ok(()), _) => (),
            (Err(Error::Kernel { source, .. }), None) if route::is_one_of(&source, &[Errno::ENODEV]) => (),
            (Err(error), _) => return Err(error),
        }
    }
    Err(Error::kernel(format!("keep bridge {}", link.bridge), Errno::EAGAIN))
}

/// Makes namespace and pair. The calling thread is in the namespace afterwards; the socket returned belongs to it.
fn pair(host: &mut Netlink, network: &Network, bridge: u32) -> Result<Netlink, Error> {
    let namespace = namespace::create()?;
    // Before the link exists, so that it never has an IPv6 address.
    sysctl::disable_ipv6("all")?;
    sysctl::disable_ipv6("default")?;
    make_pair(host, &network.link, bridge, &namespace)?;
    route::open()
}

fn make_pair(host: &mut Netlink, link: &HostLink, bridge: u32, namespace: &File) -> Result<(), Error> {
    let make = || {
        let request = message::make_pair(link, bridge, namespace.as_raw_fd());
        vec![must(format!("make the pair {} and eth0", link.host), request)]
    };
    let is_taken = |error: &Error| matches!(error, Error::Kernel { source, .. } if route::is_one_of(source, &[Errno::EEXIST]));
    match run(host, make()) {
        // Left by an earlier namespace that the kernel is still taking down, or by a killed run.
        Err(error) if is_taken(&error) => {
            let delete = message::delete(&link.host);
            run(host, vec![may(format!("delete the old link {}", link.host), delete, &[Errno::ENODEV])])?;
            run(host, make())
        }
        other => other,
    }
}

fn host_side(link: &HostLink, bridge: u32) -> Vec<route::Step> {
    vec![
        may(format!("settle {}", link.host), message::no_ipv6_address(&link.host), NO_IPV6),
        must(format!("put {} up", link.host), message::put_up(&link.host, true)),
        must(format!("put {} up", link.bridge), message::put_up(&link.bridge, true)),
        must(
            format!("give {} the address {}", link.bridge, link.bridge_address),
            message::add_address(bridge, link.bridge_address),
        ),
        must(
            format!("make {} known on {}", link.tenant_address, link.bridge),
            message::add_neighbour(bridge, link.tenant_address, link.tenant_mac),
        ),
    ]
}

fn tenant_side(network: &Network) -> Vec<route::Step> {
    let link = &network.link;
    let eth0 = message::INSIDE_INDEX;
    let mut steps = vec![
        must("put lo up inside", message::put_up("lo", false)),
        must("put eth0 up inside", message::put_up("eth0", true)),
        must(
            format!("give eth0 the address {}", link.tenant_address),
            message::add_address(eth0, link.tenant_address),
        ),
        must(
            format!("make {} known inside", link.bridge_address),
            message::add_neighbour(eth0, link.bridge_address, link.bridge_mac),
        ),
    ];
    if network.intercept {
        steps.push(must("add the default route inside", message::add_default_route()));
    }
    steps
}
