//! Bytes both ways, after an upgrade: with backpressure, half-close, and an end from outside.
//!
//! A buffer exists only while one side is slower than the other, so that an idle tunnel costs next to nothing.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::frames::Frames;
use crate::streams::{Stream, Why};

/// Bytes read at once.
const STEP: usize = 16 << 10;
/// How long the last words may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// How a tunnel ended, and what went through it.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// From outside, if it was.
    pub why: Option<Why>,
    /// Bytes from the client.
    pub received: u64,
    /// Bytes to the client.
    pub sent: u64,
}

/// Both ends of it.
pub trait End: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> End for T {}

#[derive(Debug, Default)]
struct Direction {
    pending: Vec<u8>,
    at: usize,
    unflushed: bool,
    ended: bool,
    closed: bool,
    bytes: u64,
}

impl Direction {
    fn with(pending: Vec<u8>) -> Self {
        let bytes = u64::try_from(pending.len()).unwrap_or(0);
        Self { pending, bytes, ..Self::default() }
    }

    /// Ready when everything that will ever come has gone through.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut impl End,
        to: &mut impl End,
        mut seen: impl FnMut(&[u8]),
    ) -> Poll<io::Result<()>> {
        while !self.closed {
            ready!(self.poll_pending(cx, to))?;
            if self.ended {
                ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                self.closed = true;
                break;
            }
            let mut space = [const { MaybeUninit::uninit() }; STEP];
            let mut read = ReadBuf::uninit(&mut space);
            if Pin::new(&mut *from).poll_read(cx, &mut read)?.is_pending() {
                if self.unflushed {
                    ready!(Pin::new(&mut *to).poll_flush(cx))?;
                    self.unflushed = false;
                }
                return Poll::Pending;
            }
            let read = read.filled();
            self.ended = read.is_empty();
            self.bytes += u64::try_from(read.len()).unwrap_or(0);
            seen(read);
            let written = match Pin::new(&mut *to).poll_write(cx, read)? {
                Poll::Ready(written) => written,
                Poll::Pending => 0,
            };
            self.unflushed = true;
            self.pending.extend_from_slice(read.get(written..).unwrap_or_default());
        }
        Poll::Ready(Ok(()))
    }

    fn poll_pending(&mut self, cx: &mut Context<'_>, to: &mut impl End) -> Poll<io::Result<()>> {
        while let Some(rest) = self.pending.get(self.at..).filter(|rest| !rest.is_empty()) {
            let written = ready!(Pin::new(&mut *to).poll_write(cx, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.at += written;
            self.unflushed = true;
        }
        self.pending = Vec::new();
        self.at = 0;
        Poll::Ready(Ok(()))
    }
}

/// Carries bytes until both sides have ended, one breaks, or `stream` ends it. Bytes read ahead of the upgrade go first.
pub async fn run(
    mut client: impl End,
    mut gateway: impl End,
    ahead: (Vec<u8>, Vec<u8>),
    mut stream: Stream,
) -> Ended {
    let (mut up, mut down) = (Direction::with(ahead.0), Direction::with(ahead.1));
    let mut frames = Frames::default();
    frames.follow(&down.pending);
    let why = poll_fn(|cx| {
        if let Poll::Ready(why) = stream.poll_end(cx) {
            return Poll::Ready(Some(why));
        }
        let from_client = up.poll(cx, &mut client, &mut gateway, |_| ());
        let from_gateway = down.poll(cx, &mut gateway, &mut client, |bytes| frames.follow(bytes));
        match (from_client, from_gateway) {
            (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) | (Poll::Ready(_), Poll::Ready(_)) => {
                Poll::Ready(None)
            }
            _ => Poll::Pending,
        }
    })
    .await;
    if let Some(why) = why.filter(|_| frames.between() && down.pending.is_empty()) {
        // Going Away, and Policy Violation (RFC 6455, 7.4.1).
        let code: [u8; 2] = match why {
            Why::Stopping => 1001_u16.to_be_bytes(),
            Why::Credential => 1008_u16.to_be_bytes(),
        };
        let close = [&[0x88, 2], &code[..]].concat();
        let goodbye = async {
            client.write_all(&close).await?;
            client.shutdown().await
        };
        // A client that does not listen any more is left.
        drop(tokio::time::timeout(GOODBYE, goodbye).await);
    }
    Ended { why, received: up.bytes, sent: down.bytes }
}

/// A gateway's end.
pub trait Gateway: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Gateway for T {}
