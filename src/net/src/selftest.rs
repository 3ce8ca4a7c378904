//! Trying what the fence must prevent, from inside the tenant's namespace, and reading back what it is made of.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use model::{Network, TenantId};
use nix::errno::Errno;

use crate::error::Error;
use crate::route::{self, find};
use crate::{alarm, down, element, intercept, message, namespace, nft, record};

/// A refusal comes at once; only a fence that is not there, or one that drops, takes longer.
const PATIENCE: Duration = Duration::from_millis(500);
/// TEST-NET-1: nobody's address, and no route leads there.
const NOWHERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// Fails if the fence of `tenant` does not hold, saying which part.
pub fn selftest(tenant: &TenantId) -> Result<(), Error> {
    let Some(network) = record::read(tenant)? else {
        return Err(Error::Breach("nothing is up for this tenant, so nothing could be tried".to_owned()));
    };
    let mut filter = nft::open()?;
    nft::skeleton(&mut filter)?;
    if let [set, ..] = nft::missing(&mut filter, &element::elements(&network))?.as_slice() {
        return Err(Error::Breach(format!("its element in set {set} is missing")));
    }
    links(&network)?;
    let before = nft::counter(&mut filter, "refused_service")?;
    attempt(&network)?;
    if nft::counter(&mut filter, "refused_service")? == before {
        return Err(Error::Breach("a connection was refused, but not by the fence".to_owned()));
    }
    Ok(())
}

/// Tests every tenant that is up, reports each that fails, cuts it off and has it stopped. Fails for as long as a tenant is
/// cut off, whenever that was: a unit that fails once and succeeds five minutes later is seen by nobody.
pub fn selftest_all() -> Result<(), Error> {
    let tenants = record::all()?;
    let mut failures = Vec::new();
    for tenant in &tenants {
        let done = match steady(tenant) {
            Ok(()) => alarm::clear(tenant),
            Err(error) => cut_off(tenant, &error.of(tenant).to_string()),
        };
        failures.extend(done.err().map(|error| error.of(tenant)));
    }
    if let Some(first) = failures.pop() {
        let failed = failures.len() + 1;
        return Err(Error::Several { failed, all: tenants.len(), first: Box::new(first) });
    }
    let standing = alarm::standing()?;
    match standing.first() {
        Some(first) => Err(Error::CutOff { many: standing.len(), first: first.clone() }),
        None => Ok(()),
    }
}

/// Takes a tenant's links away, then has it stopped: a gateway may take minutes to stop. Goes on after a failure.
fn cut_off(tenant: &TenantId, why: &str) -> Result<(), Error> {
    drop(writeln!(io::stderr(), "{why}: cutting it off and stopping it"));
    let noted = alarm::raise(tenant, why);
    let cut = down::down(tenant).and_then(|()| down::sweep());
    let stopped = stop(tenant);
    cut.and(stopped).and(noted)
}

/// The self-test, not confused by a network that is being put up or taken down meanwhile.
fn steady(tenant: &TenantId) -> Result<(), Error> {
    let Err(first) = selftest(tenant) else { return Ok(()) };
    std::thread::sleep(Duration::from_secs(1));
    if record::read(tenant)?.is_none() {
        return Ok(());
    }
    selftest(tenant).map_err(|_| first)
}

fn links(network: &Network) -> Result<(), Error> {
    let mut host = route::open()?;
    for name in [&network.link.bridge, &network.link.host] {
        match find(&mut host, name)? {
            None => return Err(Error::Breach(format!("link {name} is missing"))),
            Some(link) if link.group != message::LIVE_GROUP => {
                return Err(Error::Breach(format!("link {name} is marked dead")));
            }
            Some(link) if !link.silent => return Err(Error::Breach(format!("link {name} speaks ARP"))),
            Some(_) => (),
        }
    }
    Ok(())
}

/// Connects from inside to a port of the bridge's address on which this program listens, and to nowhere.
fn attempt(network: &Network) -> Result<(), Error> {
    let bridge = IpAddr::V4(network.link.bridge_address);
    let failed = |error: io::Error| Error::kernel(format!("listen on {bridge}"), error);
    let listener = TcpListener::bind(SocketAddr::new(bridge, 0)).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let target = listener.local_addr().map_err(failed)?;
    let Some(inside) = namespace::held(&network.tenant)? else {
        return Err(Error::Breach("nobody holds its network namespace".to_owned()));
    };
    let home = namespace::current()?;
    namespace::enter(&inside)?;
    let reached = TcpStream::connect_timeout(&target, PATIENCE);
    let left = leave(network);
    namespace::enter(&home)?;
    if reached.is_ok() || listener.accept().is_ok() {
        return Err(Error::Breach(format!("{target} on this host could be reached from inside")));
    }
    left
}

/// Tries to leave the namespace that the calling thread is in. Connections to an egress proxy are not tried: each would start it.
fn leave(network: &Network) -> Result<(), Error> {
    if network.intercept {
        return intercept::check();
    }
    match TcpStream::connect_timeout(&SocketAddr::new(IpAddr::V4(NOWHERE), 9), PATIENCE) {
        Err(error) if route::is_one_of(&error, &[Errno::ENETUNREACH]) => Ok(()),
        Ok(_) => Err(Error::Breach(format!("{NOWHERE} could be reached from inside"))),
        Err(error) => Err(Error::Breach(format!("a route leads out of the namespace ({NOWHERE}: {error})"))),
    }
}

/// Has PID 1 stop the tenant and its network.
#[allow(
    clippy::disallowed_methods,
    reason = "one fixed program; there is no D-Bus code in this crate to ask PID 1 with"
)]
fn stop(tenant: &TenantId) -> Result<(), Error> {
    std::process::Command::new("/usr/bin/systemctl")
        .args(["--no-block", "stop", &tenant.unit(), &tenant.net_unit()])
        .status()
        .map(drop)
        .map_err(|error| Error::kernel("run systemctl", error))
}
