//! Bytes that pass as they are: through a pipe of the kernel, never through this program's memory (splice(2)).

use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;

use nix::fcntl::{OFlag, SpliceFFlags, splice};
use nix::unistd::pipe2;
use socket2::SockRef;
use tokio::io::{AsyncWriteExt as _, Interest};
use tokio::net::TcpStream;

use crate::rewind::Rewind;

/// Bytes at once: what a pipe holds.
const CHUNK: usize = 64 << 10;

/// Passes everything both ways until both have ended. The client sends at most `most` bytes.
///
/// # Errors
///
/// If either end breaks, or the client sends more.
pub async fn run(client: &mut Rewind, server: &mut TcpStream, most: Option<u64>) -> io::Result<(u64, u64)> {
    let ahead = std::mem::take(&mut client.ahead);
    let first = u64::try_from(ahead.len()).unwrap_or(u64::MAX);
    let left = most.map(|most| most.checked_sub(first).ok_or_else(too_much)).transpose()?;
    server.write_all(&ahead).await?;
    drop(ahead);
    let (client, server) = (&client.io, &*server);
    let (sent, received) = tokio::try_join!(one_way(client, server, left), one_way(server, client, None))?;
    Ok((first.saturating_add(sent), received))
}

/// Ends a connection so that the other side sees that it was cut.
pub fn cut(stream: &TcpStream) {
    // It may be gone already.
    drop(SockRef::from(stream).set_linger(Some(std::time::Duration::ZERO)));
}

fn too_much() -> io::Error {
    io::Error::new(io::ErrorKind::QuotaExceeded, "it sent more than the policy allows for one connection")
}

async fn one_way(from: &TcpStream, to: &TcpStream, most: Option<u64>) -> io::Result<u64> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
    let mut sum: u64 = 0;
    loop {
        let left = most.map_or(u64::MAX, |most| most.saturating_sub(sum));
        if left == 0 {
            let more = from.peek(&mut [0]).await?;
            if more > 0 {
                return Err(too_much());
            }
        }
        let room = usize::try_from(left).unwrap_or(usize::MAX).clamp(1, CHUNK);
        let count = from.async_io(Interest::READABLE, || pass(from, &write, room)).await?;
        if count == 0 {
            // The other side may have closed already.
            drop(SockRef::from(to).shutdown(Shutdown::Write));
            return Ok(sum);
        }
        sum = sum.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        drain(&read, to, count).await?;
    }
}

async fn drain(pipe: &OwnedFd, to: &TcpStream, mut count: usize) -> io::Result<()> {
    while count > 0 {
        let gone = to.async_io(Interest::WRITABLE, || pass(pipe, to, count)).await?;
        if gone == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        count = count.saturating_sub(gone);
    }
    Ok(())
}

fn pass(from: impl std::os::fd::AsFd, to: impl std::os::fd::AsFd, count: usize) -> io::Result<usize> {
    let flags = SpliceFFlags::SPLICE_F_NONBLOCK | SpliceFFlags::SPLICE_F_MOVE;
    Ok(splice(from, None, to, None, count, flags)?)
}
