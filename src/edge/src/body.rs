//! Bodies on their way: bounded toward the gateway, ended with their credential toward the client.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use thiserror::Error;
use tokio::time::Sleep;

use crate::log::Record;
use crate::streams::Stream;
use crate::upstream::Lease;

/// Frames after which an answer is looked after as a stream, if it did not pause before.
const MANY: u32 = 16;

/// Why a body ends before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BodyError {
    /// It is longer than a body may be.
    #[error("the body is too large")]
    TooLarge,
    /// Nothing came for too long.
    #[error("the body did not arrive in time")]
    Slow,
    /// The client went away, or broke the frame of it.
    #[error("the body ended early")]
    Client,
    /// The gateway went away.
    #[error("the gateway ended early")]
    Gateway,
    /// The credential ended.
    #[error("the credential ended")]
    Ended,
}

/// What clients get.
#[derive(Debug)]
pub enum Body {
    /// Ours.
    Whole(Option<Bytes>),
    /// A gateway's.
    Relayed(Box<Relayed>),
}

/// The body of a gateway's answer, with everything that lasts as long as it.
#[derive(Debug)]
pub struct Relayed {
    /// The body.
    pub incoming: Incoming,
    /// Its place among what is looked after, once it has one.
    pub stream: Option<Stream>,
    /// How to get one.
    pub enroll: Enroll,
    /// The connection it comes by.
    pub lease: Option<Lease>,
    /// The line of the access log.
    pub record: Record,
    /// Frames so far.
    pub frames: u32,
    /// What is given back at the end.
    pub held: Held,
}

/// Makes a stream of an answer that goes on.
pub type Enroll = EnrollBox;
/// A closure with a name to print.
pub struct EnrollBox(pub Box<dyn Fn() -> Stream + Send + Sync>);
/// Whatever is given back by being dropped.
pub struct Held(pub Box<dyn Send + Sync>);

impl std::fmt::Debug for EnrollBox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EnrollBox")
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Held")
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::Whole(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }
}

impl Relayed {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(stream) = &mut self.stream {
            if stream.poll_end(cx).is_ready() {
                self.lease = None;
                self.record.status(self.record_status(), Some("the credential ended"));
                return Poll::Ready(Some(Err(BodyError::Ended)));
            }
        }
        loop {
            let polled = Pin::new(&mut self.incoming).poll_frame(cx);
            if self.stream.is_none() && (polled.is_pending() || self.frames > MANY) {
                let mut stream = (self.enroll.0)();
                // To be woken when it ends.
                let ended = stream.poll_end(cx).is_ready();
                self.stream = Some(stream);
                if ended {
                    return Poll::Ready(Some(Err(BodyError::Ended)));
                }
            }
            match ready!(polled) {
                None => {
                    self.give_back();
                    return Poll::Ready(None);
                }
                Some(Err(_)) => {
                    self.lease = None;
                    self.record.status(self.record_status(), Some("the gateway ended early"));
                    return Poll::Ready(Some(Err(BodyError::Gateway)));
                }
                Some(Ok(frame)) => {
                    self.frames = self.frames.saturating_add(1);
                    // Trailers end here: nobody was told to expect them.
                    let Ok(data) = frame.into_data() else { continue };
                    if self.incoming.is_end_stream() {
                        // Of a body whose length was told, nobody asks for more than its last byte.
                        self.give_back();
                    }
                    self.record.bytes(0, u64::try_from(data.len()).unwrap_or(0));
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
            }
        }
    }

    /// The connection may serve another request.
    fn give_back(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }

    fn record_status(&self) -> u16 {
        self.record.last_status()
    }
}

impl Drop for Relayed {
    fn drop(&mut self) {
        // Otherwise the rest of the answer would be read as the next one: the connection is closed.
        if self.incoming.is_end_stream() {
            self.give_back();
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Relayed(relayed) => relayed.poll_next(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            // An answer without a body is over at once, and its connection is given back when this is dropped.
            Self::Relayed(relayed) => relayed.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                let length = bytes.as_ref().map_or(0, |bytes| u64::try_from(bytes.len()).unwrap_or(0));
                SizeHint::with_exact(length)
            }
            Self::Relayed(relayed) => relayed.incoming.size_hint(),
        }
    }
}

/// A client's body on its way to a gateway.
#[derive(Debug)]
pub struct Outgoing {
    incoming: Option<Incoming>,
    left: u64,
    patience: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Outgoing {
    /// None.
    #[must_use]
    pub fn empty() -> Self {
        Self { incoming: None, left: 0, patience: Duration::ZERO, timer: None }
    }

    /// At most so many bytes, and no pause that is longer.
    #[must_use]
    pub fn new(incoming: Incoming, most: u64, patience: Duration) -> Self {
        let incoming = Some(incoming).filter(|body| !body.is_end_stream());
        Self { incoming, left: most, patience, timer: None }
    }
}

impl HttpBody for Outgoing {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let Some(incoming) = &mut this.incoming else { return Poll::Ready(None) };
        loop {
            let Poll::Ready(frame) = Pin::new(&mut *incoming).poll_frame(cx) else {
                let patience = this.patience;
                let timer = this.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
                ready!(timer.as_mut().poll(cx));
                return Poll::Ready(Some(Err(BodyError::Slow)));
            };
            this.timer = None;
            match frame {
                None => return Poll::Ready(None),
                Some(Err(_)) => return Poll::Ready(Some(Err(BodyError::Client))),
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    let Some(left) = this.left.checked_sub(u64::try_from(data.len()).unwrap_or(u64::MAX))
                    else {
                        return Poll::Ready(Some(Err(BodyError::TooLarge)));
                    };
                    this.left = left;
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}
