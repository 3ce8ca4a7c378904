//! The five sockets that PID 1 holds in the tenant's namespace, and what comes in on each.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use listenfd::ListenFd;
use model::egress::{PROXY_PORT, TRANSPARENT_PORT};
use nix::fcntl::OFlag;
use nix::libc::{AF_NETLINK, SOCK_RAW};
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;

use crate::proxy::Proxy;
use crate::{connect, dns, explicit, transparent};

/// Connections at once.
const MOST: usize = 1024;
const DNS_PORT: u16 = 53;
/// Between two lines of counts.
const COUNTS: Duration = Duration::from_secs(60);

/// Sockets on which connections and queries come.
#[derive(Debug)]
pub struct Sockets {
    explicit: TcpListener,
    transparent: TcpListener,
    dns_tcp: TcpListener,
    dns_udp: UdpSocket,
}

/// What comes in on a listening socket.
#[derive(Clone, Copy, Debug)]
enum Entrance {
    Explicit,
    Transparent,
    Dns,
}

/// Takes the sockets over from PID 1, and the netlink socket.
///
/// # Errors
///
/// If one is missing, or there is another.
pub fn take() -> Result<(Sockets, OwnedFd), String> {
    const HOW: &str = "tenant-egress is started by tenant-egress@TENANT.socket only: its sockets are TCP 53, 3128 and 3129, UDP 53 and netlink";
    let mut given = ListenFd::from_env();
    let (mut explicit, mut transparent, mut dns_tcp, mut dns_udp, mut netlink) =
        (None, None, None, None, None);
    for index in 0..given.len() {
        if let Ok(Some(listener)) = given.take_tcp_listener(index) {
            let port = listener.local_addr().map_err(|error| error.to_string())?.port();
            let place = match port {
                DNS_PORT => &mut dns_tcp,
                PROXY_PORT => &mut explicit,
                TRANSPARENT_PORT => &mut transparent,
                _ => return Err(format!("there is no use for a socket at port {port}: {HOW}")),
            };
            if place.replace(listener).is_some() {
                return Err(format!("there are two sockets at port {port}: {HOW}"));
            }
        } else if let Ok(Some(socket)) = given.take_udp_socket(index) {
            let own = socket.local_addr().map_err(|error| error.to_string())?;
            if own.port() != DNS_PORT || dns_udp.replace(socket).is_some() {
                return Err(format!("there is no use for a UDP socket at port {}: {HOW}", own.port()));
            }
        } else {
            let taken = given.take_custom::<OwnedFd>(index, AF_NETLINK, SOCK_RAW, "netlink socket");
            if netlink.replace(taken.map_err(|error| format!("{error}: {HOW}"))?.ok_or(HOW)?).is_some() {
                return Err(format!("there are two netlink sockets: {HOW}"));
            }
        }
    }
    match (explicit, transparent, dns_tcp, dns_udp, netlink) {
        (Some(explicit), Some(transparent), Some(dns_tcp), Some(dns_udp), Some(netlink)) => {
            // PID 1 passes sockets on that block (NonBlocking=).
            let set = nix::fcntl::fcntl(&netlink, nix::fcntl::FcntlArg::F_SETFL(OFlag::O_NONBLOCK));
            set.map_err(|errno| format!("cannot set the netlink socket up: {errno}"))?;
            Ok((Sockets { explicit, transparent, dns_tcp, dns_udp }, netlink))
        }
        _ => Err(HOW.to_owned()),
    }
}

impl Sockets {
    /// Serves until nothing goes on any more, or SIGTERM. What comes in later waits for the next start, as PID 1 holds the sockets.
    ///
    /// # Errors
    ///
    /// If a socket breaks.
    pub async fn serve(self, proxy: &Arc<Proxy>) -> io::Result<()> {
        let mut ended = signal(SignalKind::terminate())?;
        self.dns_udp.set_nonblocking(true)?;
        let dns_udp = tokio::net::UdpSocket::from_std(self.dns_udp)?;
        let places = Arc::new(Semaphore::new(MOST));
        let live = Arc::clone(&proxy.live);
        tokio::select! {
            done = accept(proxy, self.explicit, Entrance::Explicit, &places) => done,
            done = accept(proxy, self.transparent, Entrance::Transparent, &places) => done,
            done = accept(proxy, self.dns_tcp, Entrance::Dns, &places) => done,
            done = dns::udp(Arc::clone(proxy), dns_udp) => done,
            () = live.watch() => Ok(()),
            () = counts(proxy) => Ok(()),
            () = idle(proxy) => Ok(()),
            _ = ended.recv() => Ok(()),
        }
    }
}

async fn accept(
    proxy: &Arc<Proxy>,
    listener: TcpListener,
    entrance: Entrance,
    places: &Arc<Semaphore>,
) -> io::Result<()> {
    const PAUSE: Duration = Duration::from_millis(100);
    listener.set_nonblocking(true)?;
    // Each connection has it from there (tcp(7)).
    connect::prepare(&listener)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let Ok(place) = Arc::clone(places).acquire_owned().await else { return Ok(()) };
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                proxy.events.happened("accept-failed", &error);
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let (proxy, busy) = (Arc::clone(proxy), proxy.activity.begin());
        tokio::spawn(async move {
            proxy.events.numbers.count("connections");
            enter(proxy, stream, from, entrance).await;
            drop((busy, place));
        });
    }
}

async fn enter(proxy: Arc<Proxy>, stream: TcpStream, from: SocketAddr, entrance: Entrance) {
    match entrance {
        Entrance::Explicit => Box::pin(explicit::serve(proxy, stream, from)).await,
        Entrance::Dns => Box::pin(dns::tcp(proxy, stream, from)).await,
        Entrance::Transparent => match transparent::destination(&stream) {
            Some(to) => Box::pin(transparent::serve(proxy, stream, from, to)).await,
            None => proxy
                .events
                .happened("not-handed-over", &"a program connected to the transparent proxy itself"),
        },
    }
}

/// Comes when nothing went on for long. The sockets are looked at until the very moment the program ends, so what was accepted is served.
async fn idle(proxy: &Proxy) {
    const LOOK: Duration = Duration::from_secs(1);
    loop {
        tokio::time::sleep(LOOK).await;
        if proxy.activity.idle().is_some_and(|idle| idle >= proxy.patience.idle) {
            return;
        }
    }
}

async fn counts(proxy: &Proxy) {
    loop {
        tokio::time::sleep(COUNTS).await;
        proxy.events.numbers.write();
    }
}
