//! Taking a tenant's network down, quickly: the namespace is let go and the links are marked dead; deleting them, which
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
    match record::read(tenant)? {
        Some(network) => take_down(&network),
        None => namespace::unpin(tenant),
    }
}

/// Takes `network` down. Goes on after a failure, so that as much as possible is gone, and returns the first one.
/// The elements go last: a link never outlives what the fence knows about it.
pub fn take_down(network: &Network) -> Result<(), Error> {
    let unpinned = namespace::unpin(&network.tenant);
    let buried = route::open().and_then(|mut host| bury(&mut host, network));
    let removed = nft::open().and_then(|mut filter| nft::remove(&mut filter, &element::elements(network)));
    unpinned.and(buried).and(removed).and_then(|()| record::remove(&network.tenant))
}

/// Marks both links dead and takes the bridge's address.
fn bury(host: &mut Netlink, network: &Network) -> Result<(), Error> {
    let link = &network.link;
    let mut steps: Vec<_> = [&link.bridge, &link.host]
        .map(|name| may(format!("mark {name} dead"), message::set_group(name, message::DEAD_GROUP), GONE))
        .into();
    if let Some(bridge) = find(host, &link.bridge)? {
        let request = message::delete_address(bridge.index, link.bridge_address);
        steps.push(may(format!("take the address of {}", link.bridge), request, GONE));
    }
    run(host, steps)
}

/// Deletes every dead link, however many there are, at the price of one; again until there are none.
pub fn sweep() -> Result<(), Error> {
    let mut host = route::open()?;
    loop {
        match run(&mut host, vec![route::must("delete the dead links", message::delete_dead())]) {
            Ok(()) => (),
            Err(Error::Kernel { source, .. }) if route::is_one_of(&source, GONE) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}
