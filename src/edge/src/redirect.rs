//! Port 80: the same address with https, for names that are ours.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use http::header::{CONNECTION, HOST, HeaderValue};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::answer::{self, Failure};
use crate::body::Body;
use crate::edge::Edge;
use crate::host::{self, Place};
use crate::limits::{self, Quota};
use crate::log::Record;
use crate::serve;
use crate::strict::{Checked, REFUSED, Refusal};

/// Answers the one request of a connection.
pub async fn serve(edge: Arc<Edge>, stream: TcpStream, client: SocketAddr) {
    let patience = serve::patience(&edge);
    let limit = patience.head + patience.head;
    let stream = Checked::new(stream, patience, Arc::new(AtomicUsize::new(0)));
    let service = service_fn(move |request| {
        let mut response = answer(&edge, client, &request);
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let served = http1::Builder::new()
        .keep_alive(false)
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service);
    // However it ends, it has ended.
    drop(tokio::time::timeout(limit, served).await);
}

fn answer(edge: &Arc<Edge>, client: SocketAddr, request: &Request<Incoming>) -> Response<Body> {
    let path = request.uri().path();
    let mut record = Record::begin(edge, edge.request_id(), client.ip(), request.method().clone(), path);
    match target(edge, client, request) {
        Ok(target) => {
            record.status(308, None);
            answer::redirect(StatusCode::PERMANENT_REDIRECT, &target)
        }
        Err(failure) => {
            record.status(failure.status.as_u16(), Some(failure.why));
            answer::failure(&failure, record.id(), false)
        }
    }
}

fn target(edge: &Edge, client: SocketAddr, request: &Request<Incoming>) -> Result<String, Failure> {
    if request.method().as_str() == REFUSED {
        let refusal = Refusal::from_path(request.uri().path());
        let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
        return Err(Failure::new(status, refusal.reason));
    }
    let unavailable = Failure::new(StatusCode::SERVICE_UNAVAILABLE, "the edge is not set up yet");
    let settings = &edge.live.now().ok_or(unavailable)?.edge;
    let quota = Quota::per_second(settings.limits.requests_per_ip);
    let taken = edge.limits.ip_requests.take(limits::counted(client.ip()), quota, std::time::Instant::now());
    taken.map_err(|wait| crate::relay::too_many("requests of one address", wait))?;
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).and_then(host::name);
    let name = host.ok_or(Failure::new(StatusCode::BAD_REQUEST, "Host is malformed"))?;
    match host::place(&name, &settings.domain) {
        Place::Domain | Place::Tenant(_) => {
            let path = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
            Ok(format!("{}{path}", host::origin(&name, settings.public_port)))
        }
        Place::Elsewhere => {
            Err(Failure::new(StatusCode::MISDIRECTED_REQUEST, "this name is not served here"))
        }
    }
}
