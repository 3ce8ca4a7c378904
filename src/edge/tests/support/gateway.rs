//! A gateway that tells what it was sent, streams, and speaks WebSocket as far as a relay can tell.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener};

/// How many requests it saw.
pub type Seen = Arc<AtomicUsize>;

pub async fn gateway() -> (SocketAddr, Seen) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let at = listener.local_addr().unwrap();
    let seen = Seen::default();
    tokio::spawn(serve_gateway(listener, Arc::clone(&seen)));
    (at, seen)
}

pub async fn serve_gateway(listener: TcpListener, seen: Seen) {
    for number in 0_u32.. {
        let (stream, _) = listener.accept().await.unwrap();
        let seen = Arc::clone(&seen);
        let service = service_fn(move |request| {
            seen.fetch_add(1, Ordering::SeqCst);
            async move {
                let mut response = answer(request).await?;
                response.headers_mut().insert("x-connection", number.into());
                Ok::<_, Infallible>(response)
            }
        });
        let served = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        tokio::spawn(async move { served.await.ok() });
    }
}

type Body = BoxBody<Bytes, std::io::Error>;

fn full(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).map_err(|never| match never {}).boxed()
}

async fn answer(mut request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path().to_owned();
    if path == "/socket" {
        let upgraded = hyper::upgrade::on(&mut request);
        let tell = json!(headers_of(&request)).to_string();
        tokio::spawn(async move {
            let mut stream = TokioIo::new(upgraded.await.unwrap());
            let (mut from, mut to) = tokio::io::split(&mut stream);
            let length = u16::try_from(tell.len()).unwrap().to_be_bytes();
            to.write_all(&[&[0x81, 126], &length[..], tell.as_bytes()].concat()).await.unwrap();
            tokio::io::copy(&mut from, &mut to).await.ok();
            to.shutdown().await.ok();
        });
        let response = Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
            .header("sec-websocket-protocol", "chat");
        return Ok(response.body(full("")).unwrap());
    }
    let response = match path.as_str() {
        "/stream" => streamed(u32::MAX, Duration::from_millis(50)),
        "/torn" => streamed(3, Duration::from_millis(10)),
        "/slow" => {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Response::new(full("late"))
        }
        "/cookies" => Response::builder()
            .header("set-cookie", "__Host-tenantd=stolen")
            .header("set-cookie", "theme=dark")
            .header("alt-svc", "h3=\":443\"")
            .header("connection", "x-inner")
            .header("x-inner", "1")
            .body(full("set"))
            .unwrap(),
        "/large" => Response::new(full(vec![b'x'; 8 << 20])),
        _ => {
            let (method, uri, headers) =
                (request.method().to_string(), request.uri().to_string(), headers_of(&request));
            let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            let text = String::from_utf8_lossy(&body[..body.len().min(1024)]).into_owned();
            Response::new(full(
                json!({"method": method, "uri": uri, "headers": headers, "length": body.len(), "body": text})
                    .to_string(),
            ))
        }
    };
    Ok(response)
}

fn headers_of(request: &Request<Incoming>) -> Vec<(String, String)> {
    let pairs = request.headers().iter();
    pairs
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect()
}

/// Events; after `count` of them the connection breaks.
fn streamed(count: u32, pause: Duration) -> Response<Body> {
    let events = futures(count, pause);
    Response::builder()
        .header("content-type", "text/event-stream")
        .body(StreamBody::new(events).boxed())
        .unwrap()
}

fn futures(
    count: u32,
    pause: Duration,
) -> impl futures_util::Stream<Item = Result<Frame<Bytes>, std::io::Error>> + Send + Sync {
    futures_util::stream::unfold(0, move |number| async move {
        tokio::time::sleep(pause).await;
        let event = if number < count {
            Ok(Frame::data(Bytes::from(format!("data: {number}\n\n"))))
        } else {
            Err(std::io::Error::other("torn"))
        };
        Some((event, number + 1))
    })
}

/// Answers questions for proof headers; counts them.
pub fn proof_socket(path: &Path, secret: &'static str) -> Seen {
    let listener = UnixListener::bind(path).unwrap();
    let seen = Seen::default();
    let count = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            let mut line = String::new();
            tokio::io::BufReader::new(&mut stream).read_line(&mut line).await.unwrap();
            let mut out = Vec::new();
            model::delivery::begin(&mut out);
            let secret = model::delivery::Delivered {
                name: "gateway",
                form: model::delivery::Form::Gateway,
                value: secret.as_bytes(),
            };
            model::delivery::add(&mut out, secret).unwrap();
            stream.write_all(&out).await.unwrap();
        }
    });
    seen
}

/// Answers questions to wake with this word, after `pause`, having done `first`; counts them.
pub fn wake_socket(
    path: &Path,
    word: &'static str,
    pause: Duration,
    first: impl Fn() + Send + 'static,
) -> Seen {
    let listener = UnixListener::bind(path).unwrap();
    let seen = Seen::default();
    let count = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            let mut line = [0; 64];
            let length = stream.read(&mut line).await.unwrap();
            assert!(line[..length].starts_with(b"wake "));
            tokio::time::sleep(pause).await;
            first();
            stream.write_all(format!("{word}\n").as_bytes()).await.unwrap();
        }
    });
    seen
}
