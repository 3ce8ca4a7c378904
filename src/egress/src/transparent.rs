//! Connections that the kernel hands over here: to an address, which has to be one of the name that the client uses.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use nix::sys::socket::{getsockopt, sockopt::OriginalDst};
use policy::{Host, Listing};
use tokio::net::TcpStream;

use crate::explicit::known;
use crate::gate::Place;
use crate::http;
use crate::live::Snapshot;
use crate::names::stands_in;
use crate::passage::{self, First, Passage};
use crate::proxy::Proxy;
use crate::relay;
use crate::rewind::Rewind;

/// Where a connection was to go: it is handed over with its addresses as they are (tproxy). One to the proxy itself goes nowhere.
#[must_use]
pub fn destination(stream: &TcpStream) -> Option<SocketAddr> {
    let own = stream.local_addr().ok()?;
    let to = if own.ip().is_loopback() { redirected(stream)? } else { own };
    (!to.ip().is_loopback() && to.port() != 0).then_some(to)
}

/// A namespace that a version before made redirects, until its tenant is started again: the kernel remembers where to.
fn redirected(stream: &TcpStream) -> Option<SocketAddr> {
    let raw = getsockopt(stream, OriginalDst).ok()?;
    let (address, port) = (u32::from_be(raw.sin_addr.s_addr), u16::from_be(raw.sin_port));
    Some((std::net::Ipv4Addr::from_bits(address), port).into())
}

/// Serves a connection from `from` that was to go to `to`.
pub async fn serve(proxy: Arc<Proxy>, stream: TcpStream, from: SocketAddr, to: SocketAddr) {
    let Some(who) = known(&proxy, from, to) else { return relay::cut(&stream) };
    let mut client = Rewind::new(stream);
    let first = match passage::first(&mut client, to.port(), &proxy).await {
        Ok(first) => first,
        Err(refusal) => {
            proxy.events.happened("malformed", &refusal.message);
            return relay::cut(&client.io);
        }
    };
    let host = match &first {
        First::Tls(hello) => {
            hello.name.as_deref().map_or(Some(Host::Address(to.ip())), |name| Host::parse(name).ok())
        }
        First::Http => match http::host_of(&mut client, &proxy, to.port()).await {
            Ok(host) => Some(host),
            Err(refusal) => {
                proxy.events.happened("malformed", &refusal.message);
                return http::refuse(&mut client, 400, "malformed", &refusal, None).await;
            }
        },
        First::Other | First::Silent if matches!(to.port(), 80 | 443) => None,
        First::Other | First::Silent => by_address(&proxy, to.ip()),
    };
    let Some(host) = host else {
        proxy.events.happened("nameless", &format_args!("nothing tells for whom a connection to {to} is"));
        return relay::cut(&client.io);
    };
    let place = Place { host, port: to.port() };
    let Some(address) = belongs(&proxy, &place, to.ip()).await else {
        proxy.events.happened("not-pinned", &format_args!("{} has not the address {}", place.host, to.ip()));
        if matches!(first, First::Tls(_)) {
            return passage::refuse_tls(&mut client).await;
        }
        let refusal = crate::gate::Refusal::new(format!(
            "{} has not the address {}: look it up again",
            place.host,
            to.ip()
        ));
        if first == First::Http {
            return http::refuse(&mut client, 403, "egress_denied", &refusal, Some(&place)).await;
        }
        return relay::cut(&client.io);
    };
    Passage { who, place, address, admitted: None }.carry(&proxy, client, first).await;
}

/// The name behind an address where nothing else tells it.
fn by_address(proxy: &Proxy, address: IpAddr) -> Option<Host> {
    if let Some(name) = proxy.names.standing_for(address) {
        return Some(Host::Name(name));
    }
    if stands_in(address) {
        return None;
    }
    match proxy.names.only_name_of(address) {
        Some(name) => Some(Host::Name(name)),
        None if proxy.names.is_known(address) => None,
        // Nobody looked it up: the address itself is meant.
        None => Some(Host::Address(address)),
    }
}

/// Whether the address is one of the host's. An address that stands for a name leaves it to the proxy to look the name up.
async fn belongs(proxy: &Proxy, place: &Place, address: IpAddr) -> Option<Option<IpAddr>> {
    let name = match &place.host {
        Host::Address(own) => return (*own == address && !stands_in(address)).then_some(Some(address)),
        Host::Name(name) => name,
    };
    if stands_in(address) {
        // One that was forgotten says nothing, and the name decides alone.
        let standing = proxy.names.standing_for(address);
        return standing.is_none_or(|standing| standing == *name).then_some(None);
    }
    if proxy.names.is_pinned(name, address) {
        return Some(Some(address));
    }
    // The client may know it from before this program was started.
    let snapshot = proxy.live.now()?;
    if is_looked_up(proxy, &snapshot, &place.host) {
        let found = proxy.look_up(place).await.ok()?;
        proxy.names.pin(name, &found);
        return found.contains(&address).then_some(Some(address));
    }
    None
}

fn is_looked_up(proxy: &Proxy, snapshot: &Snapshot, host: &Host) -> bool {
    match snapshot.listing(host) {
        Listing::Exact => true,
        Listing::Pattern(suffix) => proxy.queries.may_name(suffix, host),
        Listing::None => false,
    }
}
