//! Placeholders in what follows a head: bodies and messages.

use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::uri::PathAndQuery;
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use model::egress::SecretPlace;
use thiserror::Error;

use super::automaton::{Automaton, State};
use super::encode;
use super::fill::{Filled, Filling, straight};
use super::placeholder::{Named, OPENSHELL, OWN, find, is_name};
use super::table::{Misplaced, Place, SecretTable, Why, misplaced};
use crate::body::{Body, BodyError, full};

/// Bytes of a body or message in which placeholders are replaced, at most.
const MOST: usize = 1 << 20;
/// Placeholders in one, and bytes of what they stand for.
const MOST_FILLED: (usize, usize) = (256, 1 << 20);
const HELD: &str = "the body holds a placeholder of a secret where none is replaced";

/// Why a body is not sent.
#[derive(Debug, Error)]
pub enum BodyFault {
    /// It holds a placeholder where no value may go.
    #[error(transparent)]
    Misplaced(#[from] Misplaced),
    /// It did not arrive.
    #[error(transparent)]
    Body(#[from] BodyError),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Pairs,
    Text,
}

/// The beginnings of placeholders, also as they stand in forms.
static BEGINNINGS: LazyLock<Arc<Automaton>> = LazyLock::new(|| {
    let mut texts = Vec::new();
    for prefix in [OWN, OPENSHELL] {
        let mut spellings = vec![String::new()];
        for byte in prefix.iter().map(|byte| char::from(*byte)) {
            let written: &[&str] = if byte == ':' { &[":", "%3A", "%3a"] } else { &[] };
            spellings = match written {
                [] => spellings.into_iter().map(|text| format!("{text}{byte}")).collect(),
                all => spellings
                    .iter()
                    .flat_map(|text| all.iter().map(move |colon| format!("{text}{colon}")))
                    .collect(),
            };
        }
        texts.extend(spellings);
    }
    Arc::new(Automaton::new(texts.iter().map(String::as_bytes)))
});

impl SecretTable {
    /// The body to send. Where the endpoint opted in (`rewrite`), values are put into one of at most 1 MiB that is JSON, a form or text,
    /// and its length is told anew; every other body streams past and is ended with an error at a placeholder, of which `refused` hears.
    /// Before [`SecretTable::fill`], with the path as the program sent it.
    pub async fn body(
        &self,
        place: Place<'_>,
        parts: &mut Parts,
        mut body: Body,
        rewrite: bool,
        refused: impl FnOnce(Misplaced) + Send + 'static,
    ) -> Result<(Body, Filled), BodyFault> {
        let watched = |front: Bytes, body, why| {
            let refused: Box<dyn FnOnce(Misplaced) + Send> = Box::new(refused);
            let watched = Watched {
                front: Some(front),
                body: Some(body),
                beginning: Beginning::default(),
                why,
                refused: Some(refused),
            };
            (watched.boxed_unsync(), Filled::default())
        };
        if body.is_end_stream() {
            return Ok((body, Filled::default()));
        }
        let Some(form) = form(&parts.headers).filter(|_| rewrite) else {
            let why = if rewrite { Why::BodyForm } else { Why::NotRewritten };
            return Ok(watched(Bytes::new(), body, why));
        };
        let mut gathered = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            gathered.extend_from_slice(&data);
            if gathered.len() > MOST {
                return Ok(watched(gathered.freeze(), body, Why::BodyForm));
            }
        }
        let mut filling = self.filling(place, parts);
        let new = filling.text(&gathered, form, SecretPlace::Body)?;
        let Some(new) = new else { return Ok((full(gathered.freeze()), Filled::default())) };
        let filled = filling.filled();
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(new.len()));
        straight(parts);
        Ok((full(new), filled))
    }

    /// A text message of a WebSocket that was opened by `upgrade` (as the program sent it, before [`SecretTable::fill`]): nothing if it
    /// goes on as it is. Values are escaped if the message is JSON.
    pub fn message(
        &self,
        place: Place<'_>,
        upgrade: &Parts,
        text: &str,
        rewrite: bool,
    ) -> Result<Option<String>, Misplaced> {
        let Some(first) = find(text.as_bytes()).into_iter().next() else { return Ok(None) };
        if !rewrite || text.len() > MOST {
            let why = if rewrite { Why::BodyForm } else { Why::NotRewritten };
            return Err(misplaced(&first.named, "a message", why));
        }
        let form = if text.trim_start().starts_with(['{', '[', '"']) { Form::Json } else { Form::Text };
        let mut filling = self.filling(place, upgrade);
        let new = filling.text(text.as_bytes(), form, SecretPlace::Websocket)?;
        let new = new.map(String::from_utf8).transpose();
        new.map_err(|_| misplaced(&first.named, "a message", Why::Unwritable("what results is no text")))
    }

    fn filling<'a>(&'a self, place: Place<'a>, parts: &Parts) -> Filling<'a> {
        let target = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        Filling::new(self, place, target, MOST_FILLED).of(parts)
    }
}

impl Filling<'_> {
    fn text(&mut self, raw: &[u8], form: Form, kind: SecretPlace) -> Result<Option<Vec<u8>>, Misplaced> {
        match form {
            Form::Pairs => self.pairs(raw, kind),
            Form::Json => Ok(self.plain(raw, kind, encode::json)?.map(|new| new.to_vec())),
            Form::Text => Ok(self.plain(raw, kind, encode::text)?.map(|new| new.to_vec())),
        }
    }
}

/// As what a body is written, if values can be put into it.
fn form(headers: &HeaderMap) -> Option<Form> {
    let plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (first, None) = (types.next()?.to_str().ok()?, types.next()) else { return None };
    if !headers.get_all(CONTENT_ENCODING).iter().all(plain) {
        return None;
    }
    let essence = first.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/x-www-form-urlencoded" => Some(Form::Pairs),
        "application/json" => Some(Form::Json),
        other if other.starts_with("application/") && other.ends_with("+json") => Some(Form::Json),
        "text/plain" => Some(Form::Text),
        _ => None,
    }
}

/// Looks for the beginning of a placeholder and the first byte of its name.
#[derive(Default)]
pub(super) struct Beginning {
    state: State,
    complete: bool,
}

impl Beginning {
    /// Where in the chunk the name of one begins.
    pub(super) fn push(&mut self, chunk: &[u8]) -> Option<usize> {
        for (index, &byte) in chunk.iter().enumerate() {
            if self.complete && is_name(byte) {
                return Some(index);
            }
            self.state = BEGINNINGS.step(self.state, byte);
            self.complete = BEGINNINGS.found(self.state);
        }
        None
    }
}

struct Watched {
    front: Option<Bytes>,
    body: Option<Body>,
    beginning: Beginning,
    why: Why,
    refused: Option<Box<dyn FnOnce(Misplaced) + Send>>,
}

impl Watched {
    fn passes(&mut self, data: Bytes) -> Result<Frame<Bytes>, BodyError> {
        let Some(at) = self.beginning.push(&data) else { return Ok(Frame::data(data)) };
        self.body = None;
        let name = data.iter().skip(at).take(64).take_while(|byte| is_name(**byte));
        let named = Named::Secret(name.map(|byte| char::from(*byte)).collect());
        if let Some(refused) = self.refused.take() {
            refused(misplaced(&named, "the body", self.why));
        }
        Err(BodyError::Ended(HELD))
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Some(front) = this.front.take().filter(|front| !front.is_empty()) {
            return Poll::Ready(Some(this.passes(front)));
        }
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        let Some(frame) = ready!(Pin::new(body).poll_frame(cx)?) else {
            this.body = None;
            return Poll::Ready(None);
        };
        Poll::Ready(Some(match frame.into_data() {
            Ok(data) => this.passes(data),
            Err(trailers) => Ok(trailers),
        }))
    }

    fn is_end_stream(&self) -> bool {
        let front = self.front.as_ref().is_some_and(|front| !front.is_empty());
        !front && self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let front = self.front.as_ref().map_or(0, |front| u64::try_from(front.len()).unwrap_or(0));
        let exact = self.body.as_ref().map_or(Some(0), |body| body.size_hint().exact());
        exact.map_or_else(SizeHint::new, |exact| SizeHint::with_exact(exact.saturating_add(front)))
    }
}
