//! Queries over UDP and TCP.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::Semaphore;

use super::answer;
use crate::explicit::known;
use crate::proxy::Proxy;

/// Queries at once: those for names that are slow wait here.
const AT_ONCE: usize = 256;
/// Bytes of a query, at most.
const MOST: usize = 4096;
/// How long a connection may be silent, and how many queries it may bring.
const SILENT: Duration = Duration::from_secs(10);
const QUERIES: usize = 256;

/// Errors in a row after which the socket is given up, and what passes between two.
const FATAL: u32 = 100;
const PAUSE: Duration = Duration::from_millis(10);

/// Errors in a row.
#[derive(Debug, Default)]
struct Faults(u32);

impl Faults {
    /// Whether the socket is of no use any more. What the network reports about an answer that was sent before (ip(7), icmp(7)) never says so:
    /// a tenant could make it happen.
    fn is_fatal(&mut self, error: &io::Error) -> bool {
        use nix::errno::Errno;
        let errno = error.raw_os_error().map(Errno::from_raw);
        let passes = matches!(
            errno,
            Some(
                Errno::EAGAIN
                    | Errno::EINTR
                    | Errno::ECONNREFUSED
                    | Errno::ECONNRESET
                    | Errno::ECONNABORTED
                    | Errno::EHOSTUNREACH
                    | Errno::EHOSTDOWN
                    | Errno::ENETUNREACH
                    | Errno::ENETDOWN
                    | Errno::ENONET
                    | Errno::ENOPROTOOPT
                    | Errno::EPROTO
                    | Errno::EOPNOTSUPP
                    | Errno::EMSGSIZE
                    | Errno::EACCES
                    | Errno::EPERM
                    | Errno::ETIMEDOUT
                    | Errno::ENOBUFS
                    | Errno::ENOMEM
            )
        );
        self.0 = if passes { self.0 } else { self.0.saturating_add(1) };
        self.0 >= FATAL
    }
}

/// Serves queries over UDP.
///
/// # Errors
///
/// If the socket breaks.
pub async fn udp(proxy: Arc<Proxy>, socket: UdpSocket) -> io::Result<()> {
    let socket = Arc::new(socket);
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut buffer = vec![0; MOST];
    let mut faults = Faults::default();
    loop {
        let (length, from) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                proxy.events.happened("dns-receive-failed", &error);
                if faults.is_fatal(&error) {
                    return Err(error);
                }
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        faults = Faults::default();
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            proxy.events.happened("dns-dropped", &"too many queries at once");
            continue;
        };
        let query = buffer.get(..length).unwrap_or_default().to_vec();
        let (proxy, socket, busy) = (Arc::clone(&proxy), Arc::clone(&socket), proxy.activity.begin());
        tokio::spawn(async move {
            if let Some(reply) = answer(&proxy, &query).await {
                // The asker may be gone.
                drop(socket.send_to(&reply.truncated.unwrap_or(reply.bytes), from).await);
            }
            drop((busy, place));
        });
    }
}

/// Serves queries on a TCP connection.
pub async fn tcp(proxy: Arc<Proxy>, mut stream: TcpStream, from: SocketAddr) {
    let own = stream.local_addr().ok();
    if own.and_then(|own| known(&proxy, from, own)).is_none() {
        return;
    }
    for _ in 0..QUERIES {
        match tokio::time::timeout(SILENT, one(&proxy, &mut stream)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

async fn one(proxy: &Proxy, stream: &mut TcpStream) -> io::Result<()> {
    let length = usize::from(stream.read_u16().await?);
    if length == 0 || length > MOST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut query = vec![0; length];
    stream.read_exact(&mut query).await?;
    let reply = answer(proxy, &query).await.ok_or(io::ErrorKind::InvalidData)?;
    let length = u16::try_from(reply.bytes.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    stream.write_all(&[&length.to_be_bytes(), reply.bytes.as_slice()].concat()).await
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;

    #[test]
    fn what_the_network_reports_never_ends_the_name_server_and_a_dead_socket_does() {
        let error = |errno: Errno| io::Error::from_raw_os_error(errno as i32);
        let mut faults = Faults::default();
        for _ in 0..10 * FATAL {
            for errno in [
                Errno::ECONNREFUSED,
                Errno::EHOSTUNREACH,
                Errno::ENETUNREACH,
                Errno::EMSGSIZE,
                Errno::EPROTO,
                Errno::ENOPROTOOPT,
                Errno::ENOBUFS,
            ] {
                assert!(!faults.is_fatal(&error(errno)), "{errno}");
            }
        }
        assert!((1..FATAL).all(|_| !faults.is_fatal(&error(Errno::EBADF))));
        assert!(faults.is_fatal(&error(Errno::EBADF)));
    }
}
