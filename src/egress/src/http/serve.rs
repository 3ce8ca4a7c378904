//! Connections of clients that bring requests.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use model::egress::INFERENCE_HOST;
use policy::Host;
use tokio::io::{AsyncRead, AsyncWrite};

use super::exchange::{Session, answer};
use crate::gate::{Granted, Place, Refusal, Who};
use crate::head;
use crate::passage::{Passage, refuse_tls};
use crate::proxy::Proxy;
use crate::rewind::Rewind;

/// How long a head may take, and how long a connection is kept for another request.
const HEAD: Duration = Duration::from_secs(60);
/// Bytes of a head, at most.
const MOST: usize = 64 << 10;
/// Requests at once on one connection.
const STREAMS: u32 = 100;
/// Bounds of HTTP/2. A list of fields is cut into as many CONTINUATION frames as fit it, and no more (h2 derives that from the first two).
const HEAD_LIST: u32 = 64 << 10;
const FRAME: u32 = 16 << 10;
/// Streams that a client opened and reset before they were taken, and those that were reset for its errors: one more ends the connection
/// (CVE-2023-44487). What was taken and is reset then is given up, and frees its place. Answers to SETTINGS and PING are never queued: as long
/// as the client does not read one, nothing more is read from it.
const RESETS: usize = 20;

/// Whether it is the name of the inference route.
#[must_use]
pub fn is_inference(place: &Place) -> bool {
    matches!(&place.host, Host::Name(name) if name == INFERENCE_HOST)
}

/// Serves requests in plain text for one place, in HTTP/1.1.
pub async fn plain(proxy: &Arc<Proxy>, client: Rewind, passage: Passage) {
    serve(client, session(proxy, passage, false), false).await;
}

/// Serves requests in TLS that ends here.
pub async fn terminated(proxy: &Arc<Proxy>, mut client: Rewind, passage: Passage) {
    let acceptor = proxy.authority.as_ref().map(|authority| authority.acceptor(&passage.place.host));
    let acceptor = match acceptor {
        Some(Ok(acceptor)) => acceptor,
        Some(Err(error)) => {
            proxy.events.happened("no-certificate", &error);
            return refuse_tls(&mut client).await;
        }
        None => {
            proxy.events.happened(
                "no-authority",
                &"requests in TLS have to be looked at, and the secret egress-authority is missing",
            );
            return refuse_tls(&mut client).await;
        }
    };
    match tokio::time::timeout(proxy.patience.head, acceptor.accept(client)).await {
        Ok(Ok(stream)) => {
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            serve(stream, session(proxy, passage, true), http2).await;
        }
        Ok(Err(error)) => proxy.events.happened("tls-failed", &error),
        Err(_) => proxy.events.happened("tls-failed", &"the handshake took too long"),
    }
}

/// Serves requests to the explicit proxy.
pub async fn explicit(proxy: &Arc<Proxy>, client: Rewind, who: Arc<Who>) {
    let (place, address) = (None, None);
    let proxy = Arc::clone(proxy);
    let granted = Granted::default();
    let session = Session { proxy, who, place, address, tls: false, granted, sent: Arc::default() };
    serve(client, session, false).await;
}

fn session(proxy: &Arc<Proxy>, passage: Passage, tls: bool) -> Session {
    Session {
        proxy: Arc::clone(proxy),
        who: passage.who,
        place: Some(passage.place),
        address: passage.address,
        tls,
        granted: passage.admitted.map(|(admitted, _)| admitted.asked).unwrap_or_default(),
        sent: Arc::default(),
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, session: Session, http2: bool) {
    let session = Arc::new(session);
    let own = Arc::clone(&session);
    let service = service_fn(move |request| {
        let session = Arc::clone(&own);
        async move { Ok::<_, Infallible>(answer(session, request).await) }
    });
    let stream = TokioIo::new(stream);
    let served = if http2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(HEAD_LIST)
            .max_frame_size(FRAME)
            .max_pending_accept_reset_streams(RESETS)
            .max_local_error_reset_streams(RESETS)
            .initial_stream_window_size(256 << 10)
            .initial_connection_window_size(1 << 20)
            .max_send_buf_size(64 << 10);
        builder.serve_connection(stream, service).await
    } else {
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(MOST);
        builder.serve_connection(stream, service).with_upgrades().await
    };
    if served.is_err() {
        session.proxy.events.numbers.count("connections-broken");
    }
}

/// The host of the first request of a connection, read ahead.
///
/// # Errors
///
/// If there is none.
pub async fn host_of(client: &mut Rewind, proxy: &Proxy, port: u16) -> Result<Host, Refusal> {
    let read = async {
        loop {
            if let Some(host) = first_host(&client.ahead, port)? {
                return Ok(host);
            }
            match client.more().await {
                Ok(0) => return Err(Refusal::new("the connection ended before its head did")),
                Ok(_) => {}
                Err(_) => return Err(Refusal::new("the head is too long")),
            }
        }
    };
    let read = tokio::time::timeout(proxy.patience.head, read).await;
    read.unwrap_or_else(|_| Err(Refusal::new("the head took too long")))
}

/// The one `Host` of a head; nothing as long as the head is not whole.
pub(crate) fn first_host(bytes: &[u8], port: u16) -> Result<Option<Host>, Refusal> {
    if bytes.starts_with(b"PRI ") {
        return Err(Refusal::new("HTTP/2 without TLS is not taken"));
    }
    let mut fields = [httparse::EMPTY_HEADER; 100];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(bytes) {
        Ok(httparse::Status::Partial) => return Ok(None),
        Ok(httparse::Status::Complete(_)) => {}
        Err(_) => return Err(Refusal::new("it is no HTTP request")),
    }
    let mut hosts = request.headers.iter().filter(|field| field.name.eq_ignore_ascii_case("host"));
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(Refusal::new("a request has one Host"));
    };
    let place = std::str::from_utf8(host.value).ok().and_then(|host| head::host_and_port(host, port));
    match place {
        Some(place) if place.port == port => Ok(Some(place.host)),
        _ => Err(Refusal::new("Host is malformed, or names another port")),
    }
}
