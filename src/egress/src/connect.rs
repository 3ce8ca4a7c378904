//! Connections to servers: to addresses that were decided on, one after the other.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::time::Duration;

use policy::{Host, Listing};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use crate::gate::{Place, Refusal};
use crate::network::Network;
use crate::proxy::Proxy;

/// How long one address may take, if there are more.
const STEP: Duration = Duration::from_millis(2500);

/// Connects to the first of these that answers, and prepares the connection.
///
/// # Errors
///
/// The last one's.
pub async fn connect(
    network: &dyn Network,
    addresses: &[SocketAddr],
    patience: Duration,
) -> io::Result<TcpStream> {
    let stream = reach(network, addresses, patience).await?;
    prepare(&stream)?;
    Ok(stream)
}

/// Connects to the first of these that answers.
///
/// # Errors
///
/// The last one's.
pub async fn reach(
    network: &dyn Network,
    addresses: &[SocketAddr],
    patience: Duration,
) -> io::Result<TcpStream> {
    let all = async {
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for (index, address) in addresses.iter().enumerate() {
            let step = if index + 1 < addresses.len() { STEP.min(patience) } else { patience };
            match tokio::time::timeout(step, network.connect(*address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(last)
    };
    let connected = tokio::time::timeout(patience, all).await;
    connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Sets what long streams need, on a connection or on the socket at which connections come in.
///
/// # Errors
///
/// If the connection is gone.
pub fn prepare(socket: &impl AsFd) -> io::Result<()> {
    let socket = SockRef::from(socket);
    socket.set_tcp_nodelay(true)?;
    let keepalive =
        TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(30));
    socket.set_tcp_keepalive(&keepalive.with_retries(4))
}

impl Proxy {
    /// Addresses of a host.
    ///
    /// # Errors
    ///
    /// If there are none, or too many names are looked up.
    pub async fn look_up(&self, place: &Place) -> Result<Vec<IpAddr>, Refusal> {
        let name = match &place.host {
            Host::Address(address) => return Ok(vec![*address]),
            Host::Name(name) => name,
        };
        let snapshot =
            self.live.now().ok_or_else(|| Refusal::new("there is no policy, and nothing is allowed"))?;
        if let Listing::Pattern(suffix) = snapshot.listing(&place.host) {
            if !self.queries.may_name(suffix, &place.host) {
                self.events
                    .happened("dns-tunnel", &format_args!("too many names below {suffix} in a minute"));
                return Err(Refusal::new("too many names are looked up: try again in a minute"));
            }
        }
        if let Some(found) = self.recent.get(name, self.patience.answer) {
            return Ok(found);
        }
        if !self.queries.may_look_up() {
            self.events.happened("lookups-refused", &"too many names are looked up");
            return Err(Refusal::new("too many names are looked up: try again in a second"));
        }
        let found = self.network.resolve(name).await;
        let found = found.map_err(|error| Refusal::new(format!("{name} cannot be resolved: {error}")))?;
        if found.is_empty() {
            return Err(Refusal::new(format!("{name} has no address")));
        }
        self.recent.put(name, &found);
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_has_what_is_set_where_it_comes_in() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let take = || {
            let _client = std::net::TcpStream::connect(to).unwrap();
            let own = listener.accept().unwrap().0;
            let own = SockRef::from(&own);
            let keeps =
                own.keepalive().unwrap() && own.tcp_keepalive_time().unwrap() == Duration::from_secs(60);
            (own.tcp_nodelay().unwrap(), keeps, own.tcp_keepalive_retries().unwrap() == 4)
        };
        assert_eq!(take(), (false, false, false));
        prepare(&listener).unwrap();
        assert_eq!(take(), (true, true, true));
    }
}
