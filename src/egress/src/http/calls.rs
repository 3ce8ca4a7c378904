//! Requests whose calls are looked at: the body is read before any of it goes on, and what was decided is what goes on.

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, TRAILER};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use policy::{Call, Kind, Reason};

use super::exchange::{Asked, Session};
use super::page;
use super::route::Fault;
use super::rpc::{self, Said};
use super::stream::Begun;
use crate::body::{self, Body, BodyError};
use crate::gate::{Admitted, Refusal};

/// What is known of the body of a request.
#[derive(Debug)]
pub(super) enum Read {
    /// There is none.
    Empty,
    /// It was not looked into, or cannot be read for this reason.
    Not(Option<&'static str>),
    /// Its messages, and its length.
    Said(Said, usize),
}

impl Read {
    pub(super) fn is_said(&self) -> bool {
        matches!(self, Read::Said(..))
    }
}

/// Reads the body, if an endpoint looks at calls in this request. It is then held whole, or what was read of it stands before the rest.
pub(super) async fn read(
    session: &Session,
    asked: &mut Asked,
    request: Request<Body>,
) -> Result<Request<Body>, Fault> {
    if asked.kind != Kind::Request || matches!(asked.read, Read::Empty) {
        return Ok(request);
    }
    let (proxy, exchange) = (&session.proxy, asked.exchange(asked.kind));
    let Some(most) = proxy.reads_calls(&session.who, &asked.place, session.address, exchange).await else {
        return Ok(request);
    };
    let (mut head, mut body) = request.into_parts();
    let gathered = tokio::time::timeout(proxy.patience.head, gather(&mut body, most)).await;
    let malformed = |why: String| (StatusCode::BAD_REQUEST, "malformed", Refusal::new(why));
    let gathered = gathered
        .map_err(|_| (StatusCode::REQUEST_TIMEOUT, "late", Refusal::new("the body did not come in time")))?;
    let (front, whole) = gathered.map_err(|error| malformed(error.to_string()))?;
    if !whole {
        asked.read = Read::Not(Some("it is longer than is read here"));
        let front = Some(front).filter(|front| !front.is_empty());
        let body = Begun { front, body }.boxed_unsync();
        return Ok(Request::from_parts(head, body));
    }
    asked.read = match (front.is_empty(), said(&head.headers, &front)) {
        (true, _) => Read::Empty,
        (false, Ok(said)) => Read::Said(said, front.len()),
        (false, Err(why)) => Read::Not(Some(why)),
    };
    if !front.is_empty() {
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from(front.len()));
        head.headers.remove(TRAILER);
    }
    Ok(Request::from_parts(head, body::full(front)))
}

/// So much of the body, and whether that is all.
async fn gather(body: &mut Body, most: usize) -> Result<(Bytes, bool), BodyError> {
    let mut gathered = BytesMut::new();
    if body.size_hint().lower() > u64::try_from(most).unwrap_or(u64::MAX) {
        return Ok((Bytes::new(), false));
    }
    while let Some(frame) = body.frame().await {
        // Trailers are about nothing that was decided.
        let Ok(data) = frame?.into_data() else { continue };
        gathered.extend_from_slice(&data);
        if gathered.len() > most {
            return Ok((gathered.freeze(), false));
        }
    }
    Ok((gathered.freeze(), true))
}

fn said(headers: &HeaderMap, body: &[u8]) -> Result<Said, &'static str> {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(kind), None) = (types.next(), types.next()) else {
        return Err("it has not one Content-Type");
    };
    if !is_json(kind) {
        return Err("it is not application/json in UTF-8");
    }
    let plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if !headers.get_all(CONTENT_ENCODING).iter().all(plain) {
        return Err("it is encoded");
    }
    let said = rpc::read(body)?;
    // By these a server of MCP may choose before it has read the body.
    let first = said.calls.first().filter(|_| !said.batch);
    let method = first.and_then(|call| call.method.as_deref());
    if !agrees(headers, "mcp-method", method) {
        return Err("Mcp-Method names another method");
    }
    let is_tool = |call: &&Call| call.method.as_deref() == Some("tools/call");
    if said.batch || first.filter(is_tool).is_some() {
        let tool = first.and_then(|call| call.tool.as_deref());
        if !agrees(headers, "mcp-name", tool) {
            return Err("Mcp-Name names another tool");
        }
    }
    Ok(said)
}

fn is_json(kind: &HeaderValue) -> bool {
    let Ok(kind) = kind.to_str() else { return false };
    let mut parts = kind.split(';').map(str::trim);
    let json = parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"));
    json && parts.all(|part| {
        let part = part.to_ascii_lowercase();
        matches!(part.as_str(), "" | "charset=utf-8" | "charset=\"utf-8\"")
    })
}

/// Whether a field is missing, or stands once and says this.
fn agrees(headers: &HeaderMap, name: &str, wanted: Option<&str>) -> bool {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => true,
        (Some(one), None) => wanted.is_some_and(|wanted| one.as_bytes() == wanted.as_bytes()),
        (Some(_), Some(_)) => false,
    }
}

/// Whether a request without a body is for what the transport of MCP has such requests for: the stream of events, and the end of a session.
pub(super) fn is_stream(asked: &Asked, admitted: &Admitted, headers: &HeaderMap) -> Result<(), Fault> {
    let ruling = &admitted.ruling;
    if !ruling.looks_at_calls || ruling.reason != Reason::Listed || !matches!(asked.read, Read::Empty) {
        return Ok(());
    }
    let accepts = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let events = accepts.flat_map(|value| value.split(',')).any(|kind| {
        let mut parts = kind.split(';').map(str::trim);
        let named = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("text/event-stream"));
        // With the weight zero it says the contrary.
        named
            && !parts.any(|part| {
                part.to_ascii_lowercase().starts_with("q=0") && !part.contains(|c| ('1'..='9').contains(&c))
            })
    });
    let why = match asked.method {
        Method::GET if !events => "GET is for a stream of events here: Accept has to say text/event-stream",
        Method::DELETE if !headers.contains_key("mcp-session-id") => {
            "DELETE is for the end of a session here: it has to name it by Mcp-Session-Id"
        }
        _ => return Ok(()),
    };
    let refusal = Refusal { rule: ruling.rule.clone(), ..Refusal::new(why) };
    Err((StatusCode::FORBIDDEN, "egress_denied", refusal))
}

/// The answer to a request that was refused: to calls that wait for one, as JSON-RPC has it.
pub(super) fn refused(asked: &Asked, mut refusal: Refusal) -> Result<Response<Body>, Fault> {
    match &asked.read {
        Read::Said(said, _) if !said.ids.is_empty() => {
            Ok(page::calls(&said.ids, said.batch, &refusal, &asked.place))
        }
        Read::Not(Some(why)) => {
            refusal.message = format!("{}: its body is not looked into, as {why}", refusal.message);
            Err((StatusCode::FORBIDDEN, "egress_denied", refusal))
        }
        Read::Not(None) | Read::Empty | Read::Said(..) => {
            Err((StatusCode::FORBIDDEN, "egress_denied", refusal))
        }
    }
}
