//! Whether an address is one of this machine: a service that listens there for others is not there for tenants.
//!
//! The kernel is asked about one address as it is decided on: it lets a socket be bound to its own addresses only (ip(7), ipv6(7)). A list, of
//! this program or of tenantd, would miss what was added since, and is long where there are many tenants. Who asks has the proxy's answer, as long as it is in the host's own network namespace.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;

/// How long an answer counts, and how many are kept.
const FRESH: Duration = Duration::from_secs(2);
const MOST: usize = 256;

static KNOWN: LazyLock<Mutex<HashMap<IpAddr, (Instant, bool)>>> = LazyLock::new(Mutex::default);

/// Whether the address is this machine's own, or that cannot be told.
#[must_use]
pub fn is_own(address: IpAddr) -> bool {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, own)) = known.get(&address).filter(|(since, _)| since.elapsed() < FRESH) {
        return *own;
    }
    let own = ask(address);
    if known.len() >= MOST {
        known.clear();
    }
    known.insert(address, (Instant::now(), own));
    own
}

fn ask(address: IpAddr) -> bool {
    // Nobody has these (RFC 1112, RFC 6666): where they can be bound to, any address can (ip_nonlocal_bind).
    let nobodys = match address {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::new(240, 0, 0, 1)),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 1)),
    };
    if !binds(address) {
        return false;
    }
    !binds(nobodys) || listed(address)
}

fn binds(address: IpAddr) -> bool {
    // On any port that is free; nothing is sent or received.
    match UdpSocket::bind(SocketAddr::new(address, 0)) {
        Ok(_) => true,
        Err(error) => !is_elsewhere(&error),
    }
}

/// Whether the error says that the address is not here: another machine's, or of a kind that this one has not.
fn is_elsewhere(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EADDRNOTAVAIL | Errno::EAFNOSUPPORT))
}

/// Whether an interface has the address, or that cannot be read.
fn listed(address: IpAddr) -> bool {
    let Ok(mut all) = nix::ifaddrs::getifaddrs() else { return true };
    all.any(|interface| {
        let Some(own) = interface.address else { return false };
        let v4 = own.as_sockaddr_in().map(|own| IpAddr::V4(own.ip()));
        v4.or_else(|| own.as_sockaddr_in6().map(|own| IpAddr::V6(own.ip()))) == Some(address)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_which_addresses_are_this_machines() {
        assert!(ask([127, 0, 0, 1].into()) && listed([127, 0, 0, 1].into()));
        // That of any interface.
        for interface in nix::ifaddrs::getifaddrs().unwrap() {
            let Some(own) = interface.address.and_then(|own| own.as_sockaddr_in().map(|own| own.ip())) else {
                continue;
            };
            assert!(ask(own.into()), "{own}");
        }
        for other in ["93.184.215.14", "8.8.8.8", "240.0.0.1", "2606:4700::1"] {
            let other: IpAddr = other.parse().unwrap();
            assert!(!ask(other) && !listed(other) && !is_own(other), "{other}");
        }
    }

    #[test]
    fn what_cannot_be_told_counts_as_own() {
        let error = |errno: Errno| io::Error::from_raw_os_error(errno as i32);
        assert!(is_elsewhere(&error(Errno::EADDRNOTAVAIL)));
        for errno in [Errno::EMFILE, Errno::EPERM, Errno::ENOBUFS, Errno::EINVAL] {
            assert!(!is_elsewhere(&error(errno)), "{errno}");
        }
    }
}
