//! The reader itself.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::Refusal;
use super::chunk::Chunk;
use super::head::{self, Framing};

/// Bytes read at once.
const STEP: usize = 8 << 10;
/// What is read and thrown away after a refusal, so that its answer is not lost to a reset.
const LINGER: usize = 256 << 10;

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a head, from its first byte; for the first one from the connection.
    pub head: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// Bytes of a head, at most.
    pub header_bytes: usize,
}

#[derive(Debug)]
enum Follow {
    Head,
    Length(u64),
    Chunked(Chunk),
    Raw,
    Refused(usize),
}

/// A connection whose heads and chunks are plain.
#[derive(Debug)]
pub struct Checked<S> {
    inner: S,
    patience: Patience,
    /// Requests under way: while there are any, the client owes nothing.
    busy: Arc<AtomicUsize>,
    follow: Follow,
    buffer: Vec<u8>,
    /// How many bytes at the front of the buffer may be read.
    plain: usize,
    /// How much of a head that is not complete was looked at.
    looked: usize,
    first: bool,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S> Checked<S> {
    /// Before the first byte.
    pub fn new(inner: S, patience: Patience, busy: Arc<AtomicUsize>) -> Self {
        let (buffer, timer) = (Vec::new(), None);
        Self { inner, patience, busy, follow: Follow::Head, buffer, plain: 0, looked: 0, first: true, timer }
    }

    /// The connection itself, and what was read ahead of an upgrade.
    pub fn into_inner(self) -> (S, Vec<u8>) {
        (self.inner, self.buffer)
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.buffer = refusal.head().into_bytes();
        self.plain = self.buffer.len();
        self.follow = Follow::Refused(0);
    }

    /// Looks at what was read; whether something of it may be read further.
    fn advance(&mut self) -> io::Result<bool> {
        // A head in many pieces is looked at again only when a line of it has ended, so that it costs no more than its lines.
        if matches!(self.follow, Follow::Head) && self.is_same_line() {
            self.looked = self.buffer.len();
            return Ok(false);
        }
        match &mut self.follow {
            Follow::Head => match head::check(&self.buffer, self.patience.header_bytes) {
                Err(refusal) => self.refuse(refusal),
                Ok(None) => {
                    self.looked = self.buffer.len();
                    return Ok(false);
                }
                Ok(Some(head)) => {
                    self.first = false;
                    self.looked = 0;
                    self.timer = None;
                    self.plain = head.length;
                    self.follow = match head.framing {
                        Framing::Nothing => Follow::Head,
                        Framing::Length(length) => Follow::Length(length),
                        Framing::Chunked => Follow::Chunked(Chunk::START),
                        Framing::Upgrade => Follow::Raw,
                    };
                }
            },
            Follow::Length(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(self.buffer.len());
                *left -= u64::try_from(here).unwrap_or(0);
                self.plain = here;
                if *left == 0 {
                    self.follow = Follow::Head;
                }
            }
            Follow::Chunked(chunk) => {
                let malformed = || io::Error::new(io::ErrorKind::InvalidData, "a chunk is malformed");
                self.plain = chunk.follow(&self.buffer).ok_or_else(malformed)?;
                if *chunk == Chunk::Done {
                    self.follow = Follow::Head;
                }
            }
            Follow::Raw => self.plain = self.buffer.len(),
            Follow::Refused(_) => return Ok(false),
        }
        Ok(self.plain > 0)
    }

    fn is_same_line(&self) -> bool {
        let fresh = self.buffer.get(self.looked..).unwrap_or_default();
        let short = self.buffer.len() <= self.patience.header_bytes.min(head::MAX_TARGET);
        self.looked > 0 && short && !fresh.contains(&b'\n')
    }

    fn give(&mut self, out: &mut ReadBuf<'_>) {
        let count = self.plain.min(out.remaining());
        out.put_slice(self.buffer.get(..count).unwrap_or_default());
        self.plain -= count;
        if count == self.buffer.len() {
            // An idle connection holds no buffer.
            self.buffer = Vec::new();
        } else {
            self.buffer.drain(..count);
        }
    }

    /// The client owes a head: when does it run out of time?
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<Slow> {
        let begun = self.first || !self.buffer.is_empty();
        if !matches!(self.follow, Follow::Head) || (!begun && self.busy.load(Ordering::Relaxed) > 0) {
            self.timer = None;
            return Poll::Pending;
        }
        let wait = if begun { self.patience.head } else { self.patience.idle };
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(wait)));
        ready!(timer.as_mut().poll(cx));
        self.timer = None;
        Poll::Ready(if self.buffer.is_empty() { Slow::Idle } else { Slow::Head })
    }
}

enum Slow {
    Idle,
    Head,
}

impl<S: AsyncRead + Unpin> Checked<S> {
    /// Reads into the buffer; the number of bytes.
    fn fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut space = [0; STEP];
        let mut read = ReadBuf::new(&mut space);
        ready!(Pin::new(&mut self.inner).poll_read(cx, &mut read))?;
        let was_empty = self.buffer.is_empty();
        self.buffer.extend_from_slice(read.filled());
        if was_empty && matches!(self.follow, Follow::Head) && !self.first && !read.filled().is_empty() {
            // From idle to the first byte of a head: another clock.
            self.timer = None;
        }
        Poll::Ready(Ok(read.filled().len()))
    }

    /// Reads and forgets, for as long as the answer takes.
    fn linger(&mut self, cx: &mut Context<'_>, mut thrown: usize) -> Poll<io::Result<()>> {
        let mut space = [0; STEP];
        while thrown < LINGER {
            let mut read = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut self.inner).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                thrown = LINGER;
            }
            thrown += read.filled().len();
            self.follow = Follow::Refused(thrown);
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Checked<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.plain > 0 {
                this.give(out);
                return Poll::Ready(Ok(()));
            }
            if !this.buffer.is_empty() && this.advance()? {
                continue;
            }
            match this.follow {
                Follow::Refused(thrown) if this.plain == 0 => return this.linger(cx, thrown),
                Follow::Raw => return Pin::new(&mut this.inner).poll_read(cx, out),
                Follow::Refused(_) | Follow::Head | Follow::Length(_) | Follow::Chunked(_) => {}
            }
            match this.fill(cx)? {
                Poll::Ready(0) => return Poll::Ready(Ok(())),
                Poll::Ready(_) => {}
                Poll::Pending => match ready!(this.poll_patience(cx)) {
                    Slow::Idle => return Poll::Ready(Ok(())),
                    Slow::Head => {
                        this.refuse(Refusal { status: 408, reason: "the header did not arrive in time" });
                    }
                },
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Checked<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
