//! Bodies that are watched on their way.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::sync::OwnedSemaphorePermit;

use super::upstream::{Lease, Pool};
use crate::body::{Body, BodyError};

/// A server's body, at whose end its connection is kept.
pub(super) struct Returning {
    body: Incoming,
    lease: Option<(Arc<Pool>, Lease)>,
}

impl Returning {
    pub(super) fn new(body: Incoming, lease: Option<(Arc<Pool>, Lease)>) -> Self {
        let mut made = Self { body, lease };
        made.give_back();
        made
    }

    fn give_back(&mut self) {
        if self.body.is_end_stream() {
            self.lease.take().into_iter().for_each(|(pool, lease)| pool.put(lease));
        }
    }
}

impl HttpBody for Returning {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(None) => self.lease.take().into_iter().for_each(|(pool, lease)| pool.put(lease)),
            Poll::Ready(Some(Err(_))) => self.lease = None,
            Poll::Ready(Some(Ok(_))) => self.give_back(),
            Poll::Pending => {}
        }
        polled.map(|frame| frame.map(|frame| frame.map_err(|_| BodyError::Server)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body that ends when the policy no longer allows it.
pub(super) struct Guarded<B> {
    pub(super) body: B,
    pub(super) forbidden: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl<B: HttpBody<Data = Bytes, Error = BodyError> + Unpin> HttpBody for Guarded<B> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.forbidden.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(BodyError::Ended("the policy no longer allows this"))));
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body that holds the place of its request until it has ended.
pub(super) struct Placed {
    pub(super) body: Body,
    pub(super) _place: OwnedSemaphorePermit,
}

impl HttpBody for Placed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What a client sends, counted.
pub(super) struct Counted {
    pub(super) body: Body,
    pub(super) sent: Arc<AtomicU64>,
    pub(super) most: Option<u64>,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let (Poll::Ready(Some(Ok(frame))), Some(most)) = (&polled, self.most) {
            let length = frame.data_ref().map_or(0, |data| u64::try_from(data.len()).unwrap_or(u64::MAX));
            let before = self.sent.fetch_add(length, Ordering::Relaxed);
            if before.saturating_add(length) > most {
                return Poll::Ready(Some(Err(BodyError::TooLarge(most))));
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body of which some was read ahead.
pub(super) struct Begun {
    pub(super) front: Option<Bytes>,
    pub(super) body: Body,
}

impl HttpBody for Begun {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.front.take() {
            Some(front) => Poll::Ready(Some(Ok(Frame::data(front)))),
            None => Pin::new(&mut self.body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.front.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let front = self.front.as_ref().map_or(0, |front| u64::try_from(front.len()).unwrap_or(u64::MAX));
        let exact = self.body.size_hint().exact();
        exact.map_or_else(SizeHint::new, |exact| SizeHint::with_exact(exact.saturating_add(front)))
    }
}
