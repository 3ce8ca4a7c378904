//! Bytes that pass as they are.

use std::future::poll_fn;
use std::io;
use std::net::Shutdown;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::BufMut as _;
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use crate::connect;
use crate::rewind::Rewind;

/// Bytes of one way at once.
const PIECE: usize = 16 << 10;

/// How long the end of a connection may take, and what is read meanwhile.
const END: Duration = Duration::from_secs(2);
const REST: usize = 4 << 20;

/// How one way ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Nothing comes any more, and the other side was told.
    Over,
    /// Nobody takes it. The other way goes on: what a server said before it broke off still arrives.
    Ended,
    /// Where it came from broke off: nobody is there for the other way either.
    Broken,
}

/// Passes everything both ways until both have ended. The client sends at most `most` bytes. Either end gets all that the other one sent,
/// whatever broke off. Bytes that were passed are added to `sent` and `received` as they pass.
///
/// # Errors
///
/// If the client sends more.
pub async fn run(
    client: &mut Rewind,
    server: &mut TcpStream,
    most: Option<u64>,
    (sent, received): (&AtomicU64, &AtomicU64),
) -> io::Result<()> {
    let ahead = std::mem::take(&mut client.ahead);
    let first = u64::try_from(ahead.len()).unwrap_or(u64::MAX);
    let left = most.map(|most| most.checked_sub(first).ok_or_else(too_much)).transpose()?;
    // The first bytes wait for no option.
    let writes = server.write_all(&ahead).await.is_ok() && connect::prepare(server).is_ok();
    sent.fetch_add(first, Ordering::Relaxed);
    drop(ahead);
    let over = {
        let (from_client, to_client) = client.io.split();
        let (from_server, to_server) = server.split();
        let mut up = pin!(one_way(from_client, to_server, left, sent));
        let mut down = pin!(one_way(from_server, to_client, None, received));
        let (mut rising, mut falling, mut over) = (writes, true, 0);
        while rising || falling {
            let way = tokio::select! {
                way = &mut up, if rising => { rising = false; way? }
                way = &mut down, if falling => { falling = false; way? }
            };
            match way {
                Way::Over => over += 1,
                Way::Ended => {}
                Way::Broken => break,
            }
        }
        over
    };
    // Where both have ended, both were told, and there is nothing to wait for.
    if over < 2 {
        tokio::join!(finish(&client.io), finish(server));
    }
    Ok(())
}

/// Ends a connection so that what was written arrives. Bytes that come and are not read would make the kernel reset it, and a reset takes
/// along what is still on its way.
pub async fn finish(stream: &TcpStream) {
    // The other side may have closed already.
    drop(SockRef::from(stream).shutdown(Shutdown::Write));
    let rest = async {
        let (mut buffer, mut sum) = (Vec::with_capacity(PIECE), 0);
        while sum < REST && stream.readable().await.is_ok() {
            buffer.clear();
            match stream.try_read_buf(&mut buffer) {
                Ok(0) => return,
                Ok(length) => sum += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    };
    // Whoever does not end in time is cut.
    drop(tokio::time::timeout(END, rest).await);
}

/// Ends a connection so that the other side sees that it was cut.
pub fn cut(stream: &TcpStream) {
    // It may be gone already.
    drop(SockRef::from(stream).set_linger(Some(Duration::ZERO)));
}

fn too_much() -> io::Error {
    io::Error::new(io::ErrorKind::QuotaExceeded, "it sent more than the policy allows for one connection")
}

async fn one_way(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    most: Option<u64>,
    passed: &AtomicU64,
) -> io::Result<Way> {
    let (mut sum, mut buffer) = (0, Vec::new());
    loop {
        let left = most.map_or(u64::MAX, |most| most.saturating_sub(sum));
        if left == 0 {
            match from.peek(&mut [0]).await {
                Ok(0) => {}
                Ok(_) => return Err(too_much()),
                Err(_) => return Ok(Way::Broken),
            }
        }
        let room = usize::try_from(left).unwrap_or(usize::MAX).max(1);
        let step = step(&mut from, &mut to, &mut buffer, room.min(PIECE)).await;
        let count = match step {
            Ok(0) => {
                // The other side may have closed already.
                drop(SockRef::from(to.as_ref()).shutdown(Shutdown::Write));
                return Ok(Way::Over);
            }
            Ok(count) => u64::try_from(count).unwrap_or(u64::MAX),
            Err(way) => return Ok(way),
        };
        sum = sum.saturating_add(count);
        passed.fetch_add(count, Ordering::Relaxed);
    }
}

/// Passes what is there, so many bytes at most; no buffer is held while nothing is.
async fn step(
    from: &mut ReadHalf<'_>,
    to: &mut WriteHalf<'_>,
    buffer: &mut Vec<u8>,
    room: usize,
) -> Result<usize, Way> {
    buffer.clear();
    let read = poll_fn(|context| {
        buffer.reserve_exact(room);
        let read = pin!(from.read_buf(&mut (&mut *buffer).limit(room))).poll(context);
        if read.is_pending() {
            *buffer = Vec::new();
        }
        read
    });
    let count = read.await.map_err(|_| Way::Broken)?;
    to.write_all(buffer).await.map_err(|_| Way::Ended)?;
    Ok(count)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        (near.unwrap(), far.unwrap().0)
    }

    /// A client, a server, and a relay between.
    async fn relayed() -> (TcpStream, TcpStream, tokio::task::JoinHandle<(u64, u64)>) {
        let ((client, from), (mut to, server)) = (pair().await, pair().await);
        let relay = tokio::spawn(async move {
            let (sent, received) = (AtomicU64::new(0), AtomicU64::new(0));
            run(&mut Rewind::new(from), &mut to, None, (&sent, &received)).await.unwrap();
            (sent.into_inner(), received.into_inner())
        });
        (client, server, relay)
    }

    #[tokio::test]
    async fn everything_arrives_after_the_other_way_has_ended() {
        const LENGTH: usize = 1 << 20;
        let (mut client, mut server, relay) = relayed().await;
        client.write_all(&[1; 1000]).await.unwrap();
        client.shutdown().await.unwrap();
        server.read_to_end(&mut Vec::new()).await.unwrap();
        let saying = tokio::spawn(async move { server.write_all(&[2; LENGTH]).await });
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard.len(), LENGTH);
        saying.await.unwrap().unwrap();
        drop(client);
        assert_eq!(relay.await.unwrap(), (1000, 1 << 20));
    }

    #[tokio::test]
    async fn what_a_server_said_arrives_though_it_takes_no_more() {
        let (mut client, server, relay) = relayed().await;
        // It says more than the client reads, until all that lies between is full.
        let (mut said, mut pauses) = (0, 0);
        while pauses < 20 {
            match server.try_write(&[2; 64 << 10]) {
                Ok(count) => (said, pauses) = (said + count, 0),
                Err(_) => {
                    pauses += 1;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        }
        client.write_all(&[1; 1000]).await.unwrap();
        server.readable().await.unwrap();
        // With unread bytes: a reset, while the proxy still has what the client did not read.
        drop(server);
        for _ in 0..20 {
            client.write_all(&[3; 100]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).await.unwrap();
        assert!(heard.len() > said / 4 && heard.iter().all(|byte| *byte == 2), "{} of {said}", heard.len());
        drop(client);
        relay.await.unwrap();
    }

    #[tokio::test]
    async fn what_a_client_said_arrives_though_it_broke_off() {
        let (mut client, mut server, relay) = relayed().await;
        server.write_all(b"unread").await.unwrap();
        client.write_all(&[1; 100_000]).await.unwrap();
        client.readable().await.unwrap();
        // With unread bytes: a reset.
        drop(client);
        let mut heard = Vec::new();
        server.read_to_end(&mut heard).await.unwrap();
        assert!(!heard.is_empty() && heard.iter().all(|byte| *byte == 1));
        drop(server);
        let (sent, _) = relay.await.unwrap();
        assert_eq!(sent, u64::try_from(heard.len()).unwrap());
    }

    #[tokio::test]
    async fn an_answer_arrives_though_more_comes_that_nobody_reads() {
        let (mut client, mut own) = pair().await;
        client.write_all(&[1; 1000]).await.unwrap();
        own.write_all(b"no").await.unwrap();
        let ending = tokio::spawn(async move { finish(&own).await });
        client.write_all(&[1; 1000]).await.unwrap();
        let mut heard = String::new();
        client.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "no");
        client.write_all(&[1; 1000]).await.unwrap();
        drop(client);
        ending.await.unwrap();
    }
}
