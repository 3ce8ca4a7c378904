//! A request to the providers that may answer it, one after the other until one does.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER,
    USER_AGENT,
};
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode};
use model::egress::Api;

use super::answer::Refusal;
use super::charge::Charge;
use super::request::{Asked, Call};
use super::settings::Upstream;
use crate::body::{Body, empty, full};
use crate::dial::{Dial, DialError};

/// How long a provider that failed is asked last.
const OPEN: Duration = Duration::from_secs(30);
/// Bytes of a header that passes, at most.
const MOST_HEADER: usize = 1024;

/// When providers failed.
#[derive(Debug, Default)]
pub(super) struct Circuit(Mutex<BTreeMap<String, Duration>>);

impl Circuit {
    /// The given, those that failed lately last.
    pub(super) fn order<'a>(&self, mut upstreams: Vec<&'a Upstream>, now: Duration) -> Vec<&'a Upstream> {
        let failed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        upstreams.sort_by_key(|upstream| failed.get(&upstream.name).is_some_and(|when| now < *when + OPEN));
        upstreams
    }

    pub(super) fn note(&self, upstream: &Upstream, failed: Option<Duration>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match failed {
            Some(now) => known.insert(upstream.name.clone(), now),
            None => known.remove(&upstream.name),
        };
    }

    pub(super) fn keep(&self, names: &[&str]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|name, _| names.contains(&name.as_str()));
    }
}

/// What of a client's head passes: nothing that says who it is, or where the request goes.
#[derive(Debug)]
pub(super) struct Passing {
    headers: HeaderMap,
    beta: bool,
}

impl Passing {
    pub(super) fn of(api: Api, headers: &HeaderMap, query: Option<&str>) -> Self {
        let names: &[&str] = match api {
            Api::Openai => &["accept", "openai-beta"],
            Api::Anthropic => &["accept", "anthropic-version", "anthropic-beta"],
        };
        let mut passing = HeaderMap::new();
        for name in names.iter().map(|name| HeaderName::from_static(name)) {
            let values = headers.get_all(&name).iter().filter(|value| value.len() <= MOST_HEADER);
            for value in values.take(8) {
                passing.append(name.clone(), value.clone());
            }
        }
        if api == Api::Anthropic {
            let version = HeaderName::from_static("anthropic-version");
            passing.entry(version).or_insert(HeaderValue::from_static("2023-06-01"));
        }
        passing.entry(ACCEPT).or_insert(HeaderValue::from_static("application/json"));
        Self { headers: passing, beta: api == Api::Anthropic && query == Some("beta=true") }
    }

    /// The request for one provider.
    pub(super) fn request(
        &self,
        upstream: &Upstream,
        call: Call,
        body: Option<&Bytes>,
    ) -> Result<Request<Body>, http::Error> {
        let query = if self.beta { "?beta=true" } else { "" };
        let method = if body.is_some() { Method::POST } else { Method::GET };
        let uri = format!("{}{}{query}", upstream.base, call.path());
        let sent = body.map_or_else(empty, |body| full(body.clone()));
        let mut request = Request::builder().method(method).uri(uri).body(sent)?;
        let headers = request.headers_mut();
        *headers = self.headers.clone();
        headers.insert(HOST, upstream.host.clone());
        headers.insert(USER_AGENT, HeaderValue::from_static("tenantd"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(body) = body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.insert(http::header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        if let Some(key) = &upstream.key {
            let name = match upstream.api {
                Api::Openai => AUTHORIZATION,
                Api::Anthropic => HeaderName::from_static("x-api-key"),
            };
            headers.insert(name, key.clone());
        }
        Ok(request)
    }
}

/// Asks one provider. An error says why another one should be asked; nothing of an answer was passed on then.
pub(super) async fn ask(
    upstream: &Upstream,
    request: Request<Body>,
    dial: &dyn Dial,
) -> Result<Response<Body>, String> {
    let response = match dial.send(&upstream.server, request).await {
        Ok(response) => response,
        Err(error) => {
            tracing::warn!(target: "inference", provider = upstream.name, "{error}");
            return Err(cause(&error).to_owned());
        }
    };
    let status = response.status();
    let plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    let why = match status.as_u16() {
        401 => "refused the operator's key (401)".to_owned(),
        429 => "has too many requests of this key (429)".to_owned(),
        529 => "is overloaded (529)".to_owned(),
        500.. => format!("failed ({})", status.as_u16()),
        300..=399 => format!("led elsewhere ({})", status.as_u16()),
        ..200 => "answered no HTTP".to_owned(),
        _ if !response.headers().get_all(CONTENT_ENCODING).iter().all(plain) => {
            "compressed its answer though it was asked not to".to_owned()
        }
        _ if upstream.scanner.head(response.headers(), upstream.key.is_some()).is_err() => {
            "sent the operator's key back".to_owned()
        }
        _ => return Ok(response),
    };
    tracing::warn!(target: "inference", provider = upstream.name, status = status.as_u16(), "{} {why}", upstream.name);
    Err(why)
}

/// For tenants: without addresses.
fn cause(error: &DialError) -> &'static str {
    match error {
        DialError::Closed(..) => "may not be reached",
        DialError::Unresolved(..) => "cannot be resolved",
        DialError::Connect(..) => "cannot be connected to",
        DialError::Tls(..) => "does not prove to be who it is",
        DialError::Broken(..) => "broke the connection",
        DialError::Late(_) => "did not answer in time",
    }
}

/// The providers one after the other.
pub(super) async fn first_answer<'a>(
    upstreams: &[&'a Upstream],
    asked: &Asked,
    passing: &Passing,
    dial: &dyn Dial,
    charge: &mut Charge,
    circuit: &Circuit,
    now: impl Fn() -> Duration,
) -> Result<(&'a Upstream, Response<Body>), Refusal> {
    let mut causes = Vec::new();
    for upstream in upstreams {
        charge.asks(&upstream.name, upstream.price(&asked.model));
        let answer = match passing.request(upstream, asked.call, Some(&asked.body)) {
            Ok(request) => ask(upstream, request, dial).await,
            Err(error) => Err(format!("cannot be asked: {error}")),
        };
        match answer {
            Ok(response) => {
                circuit.note(upstream, None);
                return Ok((upstream, response));
            }
            Err(why) => {
                charge.failed();
                circuit.note(upstream, Some(now()));
                causes.push(format!("{} {why}", upstream.name));
            }
        }
    }
    let message = format!("no provider answered for the model {:?}: {}", asked.model, causes.join("; "));
    Err(Refusal::new(StatusCode::BAD_GATEWAY, "no_provider", message))
}

/// The head that the client sees: nothing about the operator's account.
pub(super) fn head(response: &Response<Body>) -> http::response::Builder {
    let mut builder = Response::builder().status(response.status());
    let passing = [
        CONTENT_TYPE,
        RETRY_AFTER,
        HeaderName::from_static("request-id"),
        HeaderName::from_static("x-request-id"),
    ];
    for name in passing {
        if let Some(value) = response.headers().get(&name) {
            builder = builder.header(name, value);
        }
    }
    builder
}
