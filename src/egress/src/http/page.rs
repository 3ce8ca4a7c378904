//! Refusals that a program can read.

use http::{Response, StatusCode, header};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::io::AsyncWriteExt as _;

use crate::body::{self, Body};
use crate::gate::{Place, Refusal};
use crate::relay;
use crate::rewind::Rewind;

#[derive(Serialize)]
struct Page<'a> {
    error: Content<'a>,
}

#[derive(Serialize)]
struct Content<'a> {
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<u64>,
    how_to_ask: &'a str,
}

const HOW: &str =
    "the operator sees what was refused with \"tenantctl egress\", and approves with \"tenantctl approvals\"";

fn json(code: &str, refusal: &Refusal, place: Option<&Place>) -> Vec<u8> {
    serde_json::to_vec(&Page { error: content(code, refusal, place) }).unwrap_or_default()
}

fn content<'a>(code: &'a str, refusal: &'a Refusal, place: Option<&Place>) -> Content<'a> {
    Content {
        code,
        message: &refusal.message,
        host: place.map(|place| place.host.to_string()),
        port: place.map(|place| place.port),
        policy: refusal.rule.as_deref(),
        request: refusal.request,
        how_to_ask: HOW,
    }
}

/// The number of a refusal among those that JSON-RPC leaves to servers.
const REFUSED: i32 = -32003;

#[derive(Serialize)]
struct Answer<'a> {
    jsonrpc: &'a str,
    id: Option<&'a RawValue>,
    error: CallError<'a>,
}

#[derive(Serialize)]
struct CallError<'a> {
    code: i32,
    message: &'a str,
    data: Content<'a>,
}

fn answer<'a>(id: &'a str, refusal: &'a Refusal, place: &Place) -> Answer<'a> {
    let (message, data) = (refusal.message.as_str(), content("egress_denied", refusal, Some(place)));
    let error = CallError { code: REFUSED, message, data };
    Answer { jsonrpc: "2.0", id: serde_json::from_str(id).ok(), error }
}

/// The refusal as the answer of a server of JSON-RPC to each of these requests, named by their identifiers as they stand. Its status is
/// that of an answer: some clients give up their session with any other one, and never show what it says.
pub fn calls(ids: &[String], batch: bool, refusal: &Refusal, place: &Place) -> Response<Body> {
    let answers: Vec<Answer<'_>> = ids.iter().map(|id| answer(id, refusal, place)).collect();
    let body = match answers.as_slice() {
        [one] if !batch => serde_json::to_vec(one),
        all => serde_json::to_vec(all),
    };
    let mut response = Response::new(body::full(body.unwrap_or_default()));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

/// The refusal as a whole answer of HTTP/1.1.
#[must_use]
pub fn page(status: u16, code: &str, refusal: &Refusal, place: Option<&Place>) -> Vec<u8> {
    let body = json(code, refusal, place);
    let reason =
        StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Refused");
    let head = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body].concat()
}

/// Sends it, and ends the connection.
pub async fn refuse(client: &mut Rewind, status: u16, code: &str, refusal: &Refusal, place: Option<&Place>) {
    // It may be gone already.
    drop(client.io.write_all(&page(status, code, refusal, place)).await);
    relay::finish(&client.io).await;
}

/// The refusal as the answer to a request.
pub fn response(status: StatusCode, code: &str, refusal: &Refusal, place: Option<&Place>) -> Response<Body> {
    let mut response = Response::new(body::full(json(code, refusal, place)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}
