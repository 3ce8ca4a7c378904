//! A client's connection whose first bytes were read, and are read again.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Bytes that are read ahead, at most.
pub const MOST_AHEAD: usize = 16 << 10;
/// And at once.
const PIECE: usize = 2 << 10;

/// The connection.
#[derive(Debug)]
pub struct Rewind {
    /// What was read and not taken.
    pub ahead: Vec<u8>,
    /// The rest.
    pub io: TcpStream,
}

impl Rewind {
    /// Nothing was read yet.
    #[must_use]
    pub fn new(io: TcpStream) -> Self {
        Self { ahead: Vec::new(), io }
    }

    /// Reads more ahead; nothing comes any more if that is 0.
    ///
    /// # Errors
    ///
    /// If there is more than [`MOST_AHEAD`], or the connection breaks.
    pub async fn more(&mut self) -> io::Result<usize> {
        let room = MOST_AHEAD.saturating_sub(self.ahead.len());
        if room == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the head is too long"));
        }
        // What begins a connection is read at once.
        self.ahead.reserve(room.min(PIECE));
        let mut limited = (&mut self.io).take(u64::try_from(room).unwrap_or(0));
        limited.read_buf(&mut self.ahead).await
    }
}

impl AsyncRead for Rewind {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.io).poll_read(context, buffer);
        }
        let count = buffer.remaining().min(self.ahead.len());
        buffer.put_slice(self.ahead.get(..count).unwrap_or_default());
        self.ahead.drain(..count);
        if self.ahead.is_empty() {
            self.ahead = Vec::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Rewind {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
