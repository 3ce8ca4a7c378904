//! Port 80: the same address with https, for names that are ours; and answers to a certificate authority's challenges.

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

use crate::acme;
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
    match respond(edge, client, request) {
        Ok(response) => {
            record.status(response.status().as_u16(), None);
            response
        }
        Err(failure) => {
            record.status(failure.status.as_u16(), Some(failure.why));
            answer::failure(&failure, record.id(), false)
        }
    }
}

fn respond(edge: &Edge, client: SocketAddr, request: &Request<Incoming>) -> Result<Response<Body>, Failure> {
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
    if host::place(&name, &settings.domain) == Place::Elsewhere {
        return Err(Failure::new(StatusCode::MISDIRECTED_REQUEST, "this name is not served here"));
    }
    if settings.acme.is_some() {
        if let Some(token) = request.uri().path().strip_prefix(acme::CHALLENGES) {
            return challenge(edge, &name, token);
        }
        // Whoever comes over http:// is about to come over https://.
        edge.acme.want(&name);
    }
    let path = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let target = format!("{}{path}", host::origin(&name, settings.public_port));
    Ok(answer::redirect(StatusCode::PERMANENT_REDIRECT, &target))
}

/// What proves to a certificate authority that this name leads here. A token is looked up as it stands, and is no path.
fn challenge(edge: &Edge, name: &str, token: &str) -> Result<Response<Body>, Failure> {
    let found = edge.acme.challenge(name, token);
    let text = found.ok_or(Failure::new(StatusCode::NOT_FOUND, "there is no such challenge"))?;
    Ok(answer::challenge(text))
}
