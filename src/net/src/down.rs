//! Taking a tenant's network down, quickly: the links are marked dead; deleting them, which
//! costs the kernel tens of milliseconds under its one lock for links, is left to the sweep, for many tenants at once.

use model::{Network, TenantId};
use nix::errno::Errno;

use crate::error::Error;
use crate::route::{self, find, may, run};
use crate::socket::Netlink;
use crate::{element, message, namespace, nft, record};

/// Answers for links and addresses that are gone already.
const GONE: &[Errno] = &[Errno::ENODEV, Errno::EADDRNOTAVAIL];

/// Takes down whatever is up for `tenant`.
pub fn down(tenant: &TenantId) -> Result<(), Error> {
    // First, whatever else is wrong: a link that is left leads to nobody knows whose namespace one day.
    let retracted = namespace::retract(tenant);
    record::read(tenant)?.map_or(Ok(()), |network| take_down(&network)).and(retracted)
}

/// Takes `network` down. Goes on after a failure, so that as much as possible is gone, and returns the first one.
/// The elements go last: a link never outlives what the fence knows about it.
pub fn take_down(network: &Network) -> Result<(), Error> {
    let buried = route::open().and_then(|mut host| bury(&mut host, network));
    let removed = nft::open().and_then(|mut filter| nft::remove(&mut filter, &element::elements(network)));
    buried.and(removed).and_then(|()| record::bury(&network.tenant))
}

/// Takes every tenant's network down and its links away, although tenants may still run: for a host without its fence.
pub fn cut() -> Result<(), Error> {
    let tenants = record::all()?;
    let mut failures: Vec<_> =
        tenants.iter().filter_map(|tenant| down(tenant).err().map(|error| error.of(tenant))).collect();
    failures.extend(sweep().err());
    match (failures.len(), failures.into_iter().next()) {
        (failed, Some(first)) => Err(Error::Several { failed, all: tenants.len(), first: Box::new(first) }),
        (_, None) => Ok(()),
    }
}

/// Marks both links dead and takes the bridge's address.
fn bury(host: &mut Netlink, network: &Network) -> Result<(), Error> {
    let link = &network.link;
    let mut steps: Vec<_> = [&link.bridge, &link.host]
        .map(|name| may(format!("mark {name} dead"), message::bury(name), GONE))
        .into();
    if let Some(bridge) = find(host, &link.bridge)? {
        let request = message::delete_address(bridge.index, link.bridge_address);
        steps.push(may(format!("take the address of {}", link.bridge), request, GONE));
    }
    run(host, steps)
}

/// Deletes every dead link, until no record of one is left.
pub fn sweep() -> Result<(), Error> {
    let mut host = route::open()?;
    loop {
        let dead = record::dead()?;
        delete_groups(&mut host)?;
        record::forget(&dead)?;
        if dead.is_empty() {
            return Ok(());
        }
    }
}

/// However many links there are, it takes a bounded number of messages; a group again until it is empty.
fn delete_groups(host: &mut Netlink) -> Result<(), Error> {
    for group in message::dead_groups() {
        loop {
            let step = route::must("delete the dead links", message::delete_group(group));
            match run(host, vec![step]) {
                Ok(()) => (),
                Err(Error::Kernel { source, .. }) if route::is_one_of(&source, GONE) => break,
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}
