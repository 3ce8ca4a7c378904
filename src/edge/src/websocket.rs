//! WebSockets: the handshake is the gateway's, then bytes go through as they are.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::ext::Protocol;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use model::TenantId;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::net::TcpStream;

use crate::answer::Failure;
use crate::auth::Identity;
use crate::body::{Body, Outgoing};
use crate::forward::{self, Reached};
use crate::headers;
use crate::limits::Seat;
use crate::log::Record;
use crate::relay::{Connection, Visit, too_many};
use crate::serve::Client;
use crate::streams::Stream;
use crate::tenants::Tenant;
use crate::tunnel;

/// Whether a request asks for a WebSocket: by HTTP/1.1, or by an extended CONNECT (RFC 8441).
#[must_use]
pub fn is_asked_for<B>(request: &Request<B>) -> bool {
    is_extended_connect(request) || headers::asks_for_websocket(request.headers(), request.version())
}

fn is_extended_connect<B>(request: &Request<B>) -> bool {
    let protocol = request.extensions().get::<Protocol>();
    *request.method() == Method::CONNECT && protocol.is_some_and(|protocol| protocol.as_str() == "websocket")
}

/// Opens one.
///
/// # Errors
///
/// What the client is told instead.
pub async fn open(
    visit: &mut Visit,
    tenant: &Arc<Tenant>,
    identity: &Arc<Identity>,
    mut request: Request<Incoming>,
    seat: Seat<TenantId>,
) -> Result<Response<Body>, Failure> {
    let extended = is_extended_connect(&request);
    if !extended && *request.method() != Method::GET {
        return Err(Failure::new(StatusCode::BAD_REQUEST, "a WebSocket is opened by GET"));
    }
    let most = visit.file().limits.sockets_per_subject;
    let socket = visit.edge().limits.subject_sockets.enter(&identity.subject, most);
    let socket =
        socket.ok_or_else(|| too_many("WebSockets of one person", std::time::Duration::from_secs(5)))?;
    let lease = match forward::lease(visit, tenant, true).await? {
        Reached::Gateway(lease) => lease,
        Reached::Page(page) => return Ok(page),
    };
    let client = hyper::upgrade::on(&mut request);
    let (mut head, _) = request.into_parts();
    if extended {
        head.headers.insert(SEC_WEBSOCKET_KEY, key()?);
        head.headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    }
    let request = forward::toward_gateway(visit, tenant, identity, head, Outgoing::empty(), true).await?;
    let (mut response, lease) = forward::send(visit, tenant, lease, request).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return forward::toward_client(visit, identity, response, lease, seat, false);
    }
    let gateway = hyper::upgrade::on(&mut response);
    let Some(mut record) = visit.record.take() else {
        return Err(Failure::new(StatusCode::BAD_GATEWAY, "answered twice"));
    };
    record.status(if extended { 200 } else { 101 }, None);
    record.websocket();
    let open = Open {
        record,
        stream: visit.edge().streams.enroll(identity, true),
        _connection: Arc::clone(&visit.connection),
        _seats: (seat, socket),
    };
    tokio::spawn(carry(client, gateway, open));
    Ok(switched(response, extended))
}

/// What lasts as long as the socket.
struct Open {
    record: Record,
    stream: Stream,
    _connection: Arc<Connection>,
    _seats: (Seat<TenantId>, Seat<String>),
}

fn switched(response: Response<Incoming>, extended: bool) -> Response<Body> {
    let (mut head, _) = response.into_parts();
    headers::toward_client(&mut head.headers, false);
    head.extensions.clear();
    if extended {
        head.status = StatusCode::OK;
        head.headers.remove(SEC_WEBSOCKET_ACCEPT);
        head.version = http::Version::HTTP_2;
    } else {
        head.headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        head.headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
    Response::from_parts(head, Body::Whole(None))
}

async fn carry(client: OnUpgrade, gateway: OnUpgrade, open: Open) {
    let Open { mut record, stream, .. } = open;
    let (Ok(client), Ok(gateway)) = (client.await, gateway.await) else {
        record.status(record.last_status(), Some("the upgrade failed"));
        return;
    };
    let (gateway, from_gateway) = gateway_end(gateway);
    // Without hyper's buffers, if the types are what they should be.
    let ended = match client.downcast::<Client>() {
        Ok(parts) => {
            let (client, mut ahead) = parts.io.into_inner().into_inner();
            ahead.splice(..0, parts.read_buf);
            Box::pin(tunnel::run(client, gateway, (ahead, from_gateway), stream)).await
        }
        Err(client) => {
            let client = TokioIo::new(client);
            Box::pin(tunnel::run(client, gateway, (Vec::new(), from_gateway), stream)).await
        }
    };
    if ended.why.is_some() {
        record.status(record.last_status(), Some("the credential ended, or the edge was stopped"));
    }
    record.bytes(ended.received, ended.sent);
}

fn gateway_end(gateway: Upgraded) -> (Box<dyn tunnel::Gateway>, Vec<u8>) {
    match gateway.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => (Box::new(parts.io.into_inner()), parts.read_buf.to_vec()),
        Err(gateway) => (Box::new(TokioIo::new(gateway)), Vec::new()),
    }
}

fn key() -> Result<HeaderValue, Failure> {
    let mut key = [0; 16];
    let failed = Failure::new(StatusCode::SERVICE_UNAVAILABLE, "try again later").because("no random bytes");
    SystemRandom::new().fill(&mut key).map_err(|_| failed)?;
    HeaderValue::from_str(&STANDARD.encode(key)).map_err(|_| failed)
}
