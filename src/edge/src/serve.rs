//! Listening: connections are counted, TLS is spoken, and each request answered.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use model::edge::EdgeLimits;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::acme;
use crate::body::Body;
use crate::edge::Edge;
use crate::limits::{self, Quota, Seat};
use crate::relay::{self, Connection};
use crate::strict::{Checked, Patience};
use crate::{redirect, streams};

/// What hyper has in its hands for an HTTP/1 client.
pub type Client = TokioIo<Checked<TlsStream<TcpStream>>>;
/// Bytes of the buffer of a connection, at most.
const BUFFER: usize = 64 << 10;
/// Bytes that a client may send ahead of what the gateway takes, for each HTTP/2 stream and connection.
const WINDOW: u32 = 256 << 10;
/// HTTP/2 streams at once.
const STREAMS: u32 = 128;
/// A peer that answers nothing for so long is gone.
const GONE: Duration = Duration::from_secs(120);

/// Serves the clients of `https` and `http` until the edge is stopped, and what is under way a while longer.
pub async fn serve(edge: Arc<Edge>, https: Vec<TcpListener>, http: Vec<TcpListener>, tls: TlsAcceptor) {
    let looking = tokio::spawn(streams::look_after(Arc::clone(&edge)));
    let ordering = tokio::spawn(acme::work(Arc::clone(&edge)));
    let mut loops = tokio::task::JoinSet::new();
    for listener in https {
        let tls = tls.clone();
        loops.spawn(accept(Arc::clone(&edge), listener, move |edge, stream, client, seats| {
            tokio::spawn(secure(edge, tls.clone(), stream, client, seats));
        }));
    }
    for listener in http {
        loops.spawn(accept(Arc::clone(&edge), listener, |edge, stream, client, seats| {
            tokio::spawn(async move {
                redirect::serve(edge, stream, client).await;
                drop(seats);
            });
        }));
    }
    while loops.join_next().await.is_some() {}
    edge.streams.end_websockets();
    let drained = async {
        while edge.limits.connections.total() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(edge.options.patience.drain, drained).await.is_err() {
        tracing::info!(left = edge.limits.connections.total(), "closing what is still open");
    }
    ordering.abort();
    looking.abort();
}

type Seats = (Seat<()>, Seat<std::net::IpAddr>);

async fn accept(
    edge: Arc<Edge>,
    listener: TcpListener,
    serve: impl Fn(Arc<Edge>, TcpStream, SocketAddr, Seats),
) {
    let mut stopping = edge.stopping.subscribe();
    loop {
        let accepted = tokio::select! {
            _ = stopping.wait_for(|stopping| *stopping) => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, client) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, or a connection that is gone again. Neither ends the loop.
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        edge.numbers.connections.up();
        let most = edge.live.now().map_or_else(EdgeLimits::default, |files| files.edge.limits.clone());
        let all = edge.limits.connections.enter(&(), most.connections);
        let ip = limits::counted(client.ip());
        // A handshake costs as much as many requests: each connection counts as one more.
        let quota = Quota::per_second(most.requests_per_ip);
        if edge.limits.ip_requests.take(ip, quota, Instant::now()).is_err() {
            edge.numbers.turned_away.up();
            continue;
        }
        let seats =
            all.and_then(|all| Some((all, edge.limits.ip_connections.enter(&ip, most.connections_per_ip)?)));
        let Some(seats) = seats else {
            edge.numbers.turned_away.up();
            continue;
        };
        set_up(&stream);
        serve(Arc::clone(&edge), stream, client, seats);
    }
}

/// Small writes at once; peers that vanish are noticed by the kernel.
fn set_up(stream: &TcpStream) {
    let socket = socket2::SockRef::from(stream);
    let keepalive = socket2::TcpKeepalive::new().with_time(GONE / 2).with_interval(GONE / 4);
    let done = socket
        .set_tcp_nodelay(true)
        .and_then(|()| socket.set_tcp_keepalive(&keepalive))
        .and_then(|()| socket.set_tcp_user_timeout(Some(GONE)));
    if let Err(error) = done {
        tracing::debug!("cannot set a connection up: {error}");
    }
}

async fn secure(edge: Arc<Edge>, tls: TlsAcceptor, stream: TcpStream, client: SocketAddr, seats: Seats) {
    let handshake = tokio::time::timeout(edge.options.patience.handshake, tls.accept(stream)).await;
    let Ok(Ok(stream)) = handshake else {
        edge.numbers.handshakes_failed.up();
        return;
    };
    let (server_name, http2) = {
        let (_, session) = stream.get_ref();
        (session.server_name().map(str::to_owned), session.alpn_protocol() == Some(b"h2"))
    };
    let busy = Arc::new(AtomicUsize::new(0));
    let connection = Arc::new(Connection { edge, client, server_name, http2, busy, seats });
    if http2 { second(connection, stream).await } else { first(connection, stream).await }
}

async fn answer(
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    Ok(relay::answer(connection, request).await)
}

/// HTTP/1.
async fn first(connection: Arc<Connection>, stream: TlsStream<TcpStream>) {
    let edge = Arc::clone(&connection.edge);
    let stream = Checked::new(stream, patience(&edge), Arc::clone(&connection.busy));
    let service = service_fn(move |request| answer(Arc::clone(&connection), request));
    let mut builder = http1::Builder::new();
    // The reader below counts headers and the time for them.
    builder.max_buf_size(BUFFER).max_headers(crate::strict::MAX_HEADERS + 1).header_read_timeout(None);
    let mut served = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service).with_upgrades());
    let mut stopping = edge.stopping.subscribe();
    let mut asked = false;
    loop {
        tokio::select! {
            // However it ends, it has ended.
            _ = served.as_mut() => return,
            _ = stopping.wait_for(|stopping| *stopping), if !asked => {
                asked = true;
                served.as_mut().graceful_shutdown();
            }
        }
    }
}

/// HTTP/2.
async fn second(connection: Arc<Connection>, stream: TlsStream<TcpStream>) {
    let edge = Arc::clone(&connection.edge);
    let busy = Arc::clone(&connection.busy);
    let service = service_fn(move |request| answer(Arc::clone(&connection), request));
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW * 4)
        .max_send_buf_size(BUFFER)
        .max_header_list_size(u32::try_from(patience(&edge).header_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(GONE / 4)
        .keep_alive_timeout(GONE / 4)
        .enable_connect_protocol();
    let mut served = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut stopping = edge.stopping.subscribe();
    let mut asked = false;
    let mut was_idle = false;
    loop {
        tokio::select! {
            // However it ends, it has ended.
            _ = served.as_mut() => return,
            _ = stopping.wait_for(|stopping| *stopping), if !asked => {
                asked = true;
                served.as_mut().graceful_shutdown();
            }
            () = tokio::time::sleep(edge.options.patience.idle / 2), if !asked => {
                let idle = busy.load(Ordering::Relaxed) == 0;
                if idle && was_idle {
                    asked = true;
                    served.as_mut().graceful_shutdown();
                }
                was_idle = idle;
            }
        }
    }
}

/// How long an HTTP/1 client may take.
pub fn patience(edge: &Edge) -> Patience {
    let limits = edge.live.now().map_or_else(EdgeLimits::default, |files| files.edge.limits.clone());
    let header_bytes = usize::try_from(limits.header_bytes).unwrap_or(BUFFER).min(BUFFER - 1024);
    Patience { head: edge.options.patience.head, idle: edge.options.patience.idle, header_bytes }
}
