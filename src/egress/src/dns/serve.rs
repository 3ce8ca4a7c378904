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

/// Queries at once.
const AT_ONCE: usize = 64;
/// Bytes of a query, at most.
const MOST: usize = 4096;
/// How long a connection may be silent, and how many queries it may bring.
const SILENT: Duration = Duration::from_secs(10);
const QUERIES: usize = 256;

/// Serves queries over UDP.
///
/// # Errors
///
/// If the socket breaks.
pub async fn udp(proxy: Arc<Proxy>, socket: UdpSocket) -> io::Result<()> {
    let socket = Arc::new(socket);
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut buffer = vec![0; MOST];
    loop {
        let (length, from) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            // Whoever asked last has closed its socket.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
            Err(error) => return Err(error),
        };
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
