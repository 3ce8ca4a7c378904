//! Answers, searched for secrets that come back.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, HeaderMap};
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use thiserror::Error;
use zeroize::Zeroize as _;

use super::automaton::{Automaton, State, Texts};
use super::encode;
use crate::body::{Body, BodyError};

/// Bytes of the shortest value that is searched for.
pub const SHORTEST_SCANNED: usize = 8;
const ECHOED: &str = "the server sent a secret back";

/// An answer that is not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Echoed {
    /// It holds a secret.
    #[error("the server sent a secret back")]
    Secret,
    /// It is compressed, though it was asked not to be, so nobody can tell.
    #[error(
        "the server compressed its answer to a request that held a secret, so the answer cannot be searched"
    )]
    Compressed,
}

/// Searches one answer, in constant memory.
#[derive(Debug)]
pub struct Scanner {
    automaton: Arc<Automaton>,
    state: State,
    held: BytesMut,
    over: bool,
}

/// The values in every form in which servers send back what they were sent.
pub(super) fn automaton<'a>(values: impl Iterator<Item = &'a [u8]>) -> Automaton {
    let mut texts = Texts::new();
    for value in values {
        // What ends with a line break comes back without it.
        for value in [value, value.trim_ascii()] {
            if value.len() >= SHORTEST_SCANNED {
                forms(value, &mut texts);
            }
        }
    }
    let automaton = Automaton::new(texts.iter().map(Vec::as_slice));
    texts.into_iter().for_each(|mut text| text.zeroize());
    automaton
}

fn forms(value: &[u8], texts: &mut Texts) {
    texts.insert(value.to_vec());
    for (lower, only_alphanumeric) in [(false, false), (true, false), (false, true), (true, true)] {
        texts.insert(encode::percent_with(value, lower, only_alphanumeric));
    }
    texts.insert(encode::form(value));
    if let Ok(json) = encode::json(value) {
        let json = String::from_utf8_lossy(&json);
        // As Python, Go and PHP write it.
        let ascii = encode::escaped(&json, |letter| !letter.is_ascii());
        let markup =
            encode::escaped(&json, |letter| matches!(letter, '<' | '>' | '&' | '\u{2028}' | '\u{2029}'));
        for text in [&*json, &ascii, &markup] {
            texts.insert(text.replace('/', "\\/").into_bytes());
            texts.insert(text.as_bytes().to_vec());
        }
    }
    // In base64 of something longer, by where it begins there; characters that depend on its neighbours are left out.
    for before in 0..3_usize {
        let padded = [&vec![0; before][..], value].concat();
        let (skip, keep) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
        for mut coded in [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
            texts.insert(coded.get(skip..keep).unwrap_or_default().as_bytes().to_vec());
            coded.zeroize();
        }
    }
}

impl Scanner {
    pub(super) fn new(automaton: Arc<Automaton>) -> Self {
        Self { automaton, state: State::default(), held: BytesMut::new(), over: false }
    }

    /// For one value.
    pub(crate) fn of(value: &[u8]) -> Self {
        Self::new(Arc::new(automaton(std::iter::once(value))))
    }

    /// The same search, from its beginning.
    #[must_use]
    pub fn again(&self) -> Self {
        Self::new(Arc::clone(&self.automaton))
    }

    /// Looks through the head of an answer. `filled`: a secret was put into its request, so that it must not be compressed.
    pub fn head(&self, headers: &HeaderMap, filled: bool) -> Result<(), Echoed> {
        let plain = |value: &http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
        if filled && !self.automaton.is_empty() && !headers.get_all(CONTENT_ENCODING).iter().all(plain) {
            return Err(Echoed::Compressed);
        }
        headers.iter().try_for_each(|(name, value)| {
            self.whole(name.as_str().as_bytes())?;
            self.whole(value.as_bytes())
        })
    }

    /// Looks through something by itself, as a message of a WebSocket.
    pub fn whole(&self, bytes: &[u8]) -> Result<(), Echoed> {
        let mut state = State::default();
        for &byte in bytes {
            state = self.automaton.step(state, byte);
            if self.automaton.found(state) {
                return Err(Echoed::Secret);
            }
        }
        Ok(())
    }

    /// The next bytes of a body; what comes back may be passed on. Held back is only an end that may begin a secret. After an error
    /// nothing is passed on any more.
    pub fn push(&mut self, chunk: Bytes) -> Result<Bytes, Echoed> {
        if self.over {
            return Err(Echoed::Secret);
        }
        for &byte in &chunk {
            self.state = self.automaton.step(self.state, byte);
            if self.automaton.found(self.state) {
                self.over = true;
                self.held.clear();
                return Err(Echoed::Secret);
            }
        }
        let keep = self.automaton.depth(self.state);
        if self.held.is_empty() && keep == 0 {
            return Ok(chunk);
        }
        self.held.extend_from_slice(&chunk);
        let release = self.held.len().saturating_sub(keep);
        Ok(self.held.split_to(release).freeze())
    }

    /// What was held back, at the end of a body.
    pub fn finish(&mut self) -> Bytes {
        self.held.split().freeze()
    }

    /// A body that ends with an error before a secret is passed on, and calls `echoed` then.
    pub fn body(self, body: Body, echoed: impl FnOnce() + Send + 'static) -> Body {
        if self.automaton.is_empty() {
            return body;
        }
        Searched { scanner: self, body: Some(body), echoed: Some(Box::new(echoed)), last: None }
            .boxed_unsync()
    }
}

struct Searched {
    scanner: Scanner,
    body: Option<Body>,
    echoed: Option<Box<dyn FnOnce() + Send>>,
    /// Trailers that wait for what was held back.
    last: Option<HeaderMap>,
}

impl Searched {
    fn end(&mut self) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.body = None;
        if let Some(echoed) = self.echoed.take() {
            echoed();
        }
        Poll::Ready(Some(Err(BodyError::Ended(ECHOED))))
    }
}

impl HttpBody for Searched {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        loop {
            let Some(body) = &mut this.body else {
                return Poll::Ready(this.last.take().map(|trailers| Ok(Frame::trailers(trailers))));
            };
            let data = match ready!(Pin::new(body).poll_frame(cx)) {
                None => {
                    this.body = None;
                    let rest = this.scanner.finish();
                    if rest.is_empty() {
                        continue;
                    }
                    return Poll::Ready(Some(Ok(Frame::data(rest))));
                }
                Some(Err(error)) => {
                    this.body = None;
                    return Poll::Ready(Some(Err(error)));
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => data,
                    Err(frame) => match frame.into_trailers() {
                        Ok(trailers) if this.scanner.head(&trailers, false).is_err() => return this.end(),
                        Ok(trailers) => {
                            this.last = Some(trailers);
                            continue;
                        }
                        Err(_) => continue,
                    },
                },
            };
            match this.scanner.push(data) {
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Err(_) => return this.end(),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_none() && self.last.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            None => SizeHint::with_exact(0),
            Some(body) => {
                let held = u64::try_from(self.scanner.held.len()).unwrap_or(0);
                let inner = body.size_hint();
                let mut hint = SizeHint::new();
                // A body that ends early is told by its error; its length is what the server announced.
                if let Some(exact) = inner.exact() {
                    hint.set_exact(exact.saturating_add(held));
                }
                hint
            }
        }
    }
}
