//! The answer of a provider on its way to the program, counted as it passes.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;

use super::charge::Charge;
use super::request::Call;
use super::sse::{Events, Piece};
use crate::body::{Body, BodyError};

/// Bytes of an answer that is no stream and is read for its usage, at most; of a longer one the usage is estimated.
const MOST: usize = 2 << 20;

/// How an answer is read.
pub(super) enum Reading {
    /// As events. `hide`: those that only tell usage are not passed on.
    Events { hide: bool },
    /// As one document.
    Whole,
    /// Not: it is an error.
    Nothing,
}

enum State {
    Events { events: Events, hide: bool },
    Whole(Vec<u8>),
    Unread,
}

/// A body that is counted.
struct Counting {
    body: Option<Body>,
    charge: Charge,
    state: State,
    /// Bytes that are still to come, of a body that tells. Whoever sends such a body on does not ask for its end.
    left: Option<u64>,
    /// Passed on by itself at the end.
    last: Option<Bytes>,
    _place: OwnedSemaphorePermit,
}

/// Counts a body, and keeps the request's place among those under way until its end.
pub(super) fn counted(body: Body, charge: Charge, reading: &Reading, place: OwnedSemaphorePermit) -> Body {
    let state = match reading {
        Reading::Events { hide } => State::Events { events: Events::new(*hide), hide: *hide },
        Reading::Whole => State::Whole(Vec::new()),
        Reading::Nothing => State::Unread,
    };
    let left = body.size_hint().exact();
    Counting { body: Some(body), charge, state, left, last: None, _place: place }.boxed_unsync()
}

impl Counting {
    /// What of a chunk is passed on; nothing at all of the answer any more if there is an error.
    fn passes(&mut self, data: Bytes) -> Option<Bytes> {
        let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
        match &mut self.state {
            State::Unread => return Some(data),
            State::Whole(copy) => {
                if copy.len() + data.len() <= MOST {
                    copy.extend_from_slice(&data);
                } else {
                    let length = length.saturating_add(u64::try_from(copy.len()).unwrap_or(u64::MAX));
                    *copy = Vec::new();
                    self.state = State::Unread;
                    if self.charge.call != Call::Embeddings {
                        self.charge.tally.passed(length);
                    }
                }
                return Some(data);
            }
            State::Events { events, hide } => {
                let mut out = BytesMut::new();
                for piece in events.push(&data) {
                    if !read(&mut self.charge, &piece) {
                        out.extend_from_slice(&piece.raw);
                    }
                }
                let out = if *hide { out.freeze() } else { data };
                if self.charge.tally.is_over() {
                    // It is complete: there is nothing left to save.
                    return Some(out);
                }
                let Err(refusal) = self.charge.progress() else { return Some(out) };
                tracing::warn!(target: "inference", model = self.charge.model, "{}: the answer is ended", refusal.message);
                let call = self.charge.call;
                self.last = Some(Bytes::from(refusal.event(call.api(), call == Call::Responses)));
            }
        }
        None
    }

    fn ends(&mut self) {
        match std::mem::replace(&mut self.state, State::Unread) {
            State::Events { mut events, .. } => {
                let piece = events.finish();
                if !read(&mut self.charge, &piece) && !piece.raw.is_empty() {
                    self.last = Some(piece.raw);
                }
            }
            State::Whole(copy) => match serde_json::from_slice::<Value>(&copy) {
                Ok(document) => self.charge.tally.document(&document),
                Err(_) => self.charge.tally.passed(u64::try_from(copy.len()).unwrap_or(u64::MAX)),
            },
            State::Unread => {}
        }
        self.charge.settle(true);
    }
}

/// Counts an event. Whether it only tells usage, for a client that did not ask.
fn read(charge: &mut Charge, piece: &Piece) -> bool {
    charge.tally.passed(piece.unread);
    if piece.data.is_empty() || piece.data == b"[DONE]" {
        return false;
    }
    match serde_json::from_slice::<Value>(&piece.data) {
        Ok(event) => charge.tally.event(&event),
        Err(_) => {
            charge.tally.passed(u64::try_from(piece.data.len()).unwrap_or(u64::MAX));
            false
        }
    }
}

impl HttpBody for Counting {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        loop {
            let Some(body) = &mut this.body else {
                return Poll::Ready(this.last.take().map(|last| Ok(Frame::data(last))));
            };
            match ready!(Pin::new(body).poll_frame(cx)) {
                None => {
                    this.body = None;
                    this.ends();
                }
                Some(Err(error)) => {
                    this.body = None;
                    this.charge.settle(false);
                    return Poll::Ready(Some(Err(error)));
                }
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
                    this.left = this.left.map(|left| left.saturating_sub(length));
                    match this.passes(data) {
                        Some(data) if data.is_empty() => {}
                        Some(data) if this.left == Some(0) && !matches!(this.state, State::Events { .. }) => {
                            this.body = None;
                            this.ends();
                            return Poll::Ready(Some(Ok(Frame::data(data))));
                        }
                        Some(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                        None => {
                            this.body = None;
                            this.charge.settle(true);
                        }
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_none() && self.last.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.body, &self.state) {
            (Some(body), State::Whole(_) | State::Unread) => body.size_hint(),
            _ => SizeHint::new(),
        }
    }
}
