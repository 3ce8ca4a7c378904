//! Clients and servers of HTTP/2, and bodies that come piece by piece.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tenant_egress::body::{self, Body, BodyError};
use tokio::sync::mpsc;

use super::{ServerStream, World};

/// Heads of the requests that a server saw.
pub type Heads = Arc<Mutex<Vec<Parts>>>;

/// Answers each request of a connection.
pub async fn answer<F, Fut>(stream: ServerStream, answer: F)
where
    F: Fn(Request<Incoming>) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Response<Body>> + Send + 'static,
{
    let service = hyper::service::service_fn(move |request| {
        let answer = answer.clone();
        async move { Ok::<_, Infallible>(answer(request).await) }
    });
    let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    // The proxy may hang up.
    drop(server.serve_connection(TokioIo::new(stream), service).await);
}

/// A server of HTTP/2 that notes heads, and sends back what it was sent.
pub async fn noting(world: &World) -> Heads {
    let heads = Heads::default();
    let own = Arc::clone(&heads);
    let note = move |request: Request<Incoming>| {
        let heads = Arc::clone(&own);
        async move {
            let (head, body) = request.into_parts();
            heads.lock().unwrap().push(head);
            Response::new(body.map_err(|_| BodyError::Program).boxed_unsync())
        }
    };
    world.serve_tls(&["h2"], move |stream| answer(stream, note.clone())).await;
    heads
}

/// A client of HTTP/2 by a tunnel to port 443 whose TLS ends in the proxy.
pub async fn client(world: &World, host: &'static str) -> SendRequest<Body> {
    let stream = world.secure(host, &["h2"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let client = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (sender, connection) = client.await.unwrap();
    tokio::spawn(connection);
    sender
}

/// A request without a body.
pub fn request(method: &str, url: &str) -> Request<Body> {
    Request::builder().method(method).uri(url).body(body::empty()).unwrap()
}

/// A body that comes piece by piece, and its trailers.
pub fn piecewise() -> (mpsc::UnboundedSender<Frame<Bytes>>, Body) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let frames = futures_util::stream::unfold(receiver, |mut receiver: mpsc::UnboundedReceiver<_>| async {
        receiver.recv().await.map(|frame| (Ok::<_, BodyError>(frame), receiver))
    });
    (sender, StreamBody::new(frames).boxed_unsync())
}

pub fn data(text: &'static str) -> Frame<Bytes> {
    Frame::data(Bytes::from_static(text.as_bytes()))
}

pub fn trailer(name: &'static str, value: &'static str) -> Frame<Bytes> {
    let mut trailers = HeaderMap::new();
    trailers.insert(name, value.parse().unwrap());
    Frame::trailers(trailers)
}

/// Status and body of an answer, and its trailers.
pub async fn whole(response: Response<Incoming>) -> (u16, String, Option<HeaderMap>) {
    let status = response.status().as_u16();
    let collected = response.into_body().collect().await.unwrap();
    let trailers = collected.trailers().cloned();
    (status, String::from_utf8(collected.to_bytes().to_vec()).unwrap(), trailers)
}
