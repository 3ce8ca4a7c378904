//! Bodies that nobody reads fill what the kernel and the windows hold, and never the proxy. Over real sockets.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt as _;
use support::http2::{self, piecewise, request};
use support::{World, policy};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

const FULL: &str =
    "      - host: a.example\n        ports: [443, 80]\n        protocol: rest\n        access: full";
const L4: &str = "      - {host: a.example, ports: [443, 80]}";
/// What is tried, and how much of it may be on the way: what the kernel holds of four sockets at most, and something.
const ALL: usize = 256 << 20;
const MOST: usize = 96 << 20;
const CHUNK: usize = 256 << 10;

/// Writes until nothing is taken any more; how much was.
async fn fill(stream: &mut (impl AsyncWrite + Unpin)) -> usize {
    let chunk = vec![b'x'; CHUNK];
    let mut sum = 0;
    while sum < ALL {
        match tokio::time::timeout(Duration::from_secs(1), stream.write(&chunk)).await {
            Ok(count) => sum += count.unwrap(),
            Err(_) => return sum,
        }
    }
    sum
}

async fn until_head(stream: &mut (impl AsyncRead + Unpin)) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
}

#[tokio::test]
async fn what_a_server_does_not_read_is_not_taken_from_the_client() {
    for text in [FULL, L4] {
        let world = World::new(&policy("deny", text), None).await;
        world
            .serve(80, |mut stream| async move {
                until_head(&mut stream).await;
                std::future::pending::<()>().await;
            })
            .await;
        let (mut stream, _) = world.connect("a.example:80").await;
        let head =
            format!("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: {}\r\n\r\n", usize::MAX >> 16);
        stream.write_all(head.as_bytes()).await.unwrap();
        let taken = fill(&mut stream).await;
        assert!(taken < MOST, "{taken}");
    }
}

#[tokio::test]
async fn what_a_client_does_not_read_is_not_taken_from_the_server() {
    for text in [FULL, L4] {
        let world = World::new(&policy("deny", text), None).await;
        let (sender, mut taken) = tokio::sync::mpsc::unbounded_channel();
        world
            .serve(80, move |mut stream| {
                let sender = sender.clone();
                async move {
                    until_head(&mut stream).await;
                    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                    sender.send(fill(&mut stream).await).unwrap();
                }
            })
            .await;
        let (mut stream, _) = world.connect("a.example:80").await;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await.unwrap();
        let taken = taken.recv().await.unwrap();
        assert!(taken < MOST, "{taken}");
    }
}

#[tokio::test]
async fn a_stream_that_nobody_reads_holds_up_no_other() {
    let world = World::new(&policy("deny", FULL), None).await;
    let sent = Arc::new(AtomicUsize::new(0));
    let own = Arc::clone(&sent);
    world
        .serve_tls(&["h2"], move |stream| {
            let sent = Arc::clone(&own);
            http2::answer(stream, move |request| {
                let sent = Arc::clone(&sent);
                async move {
                    if request.uri().path() == "/small" {
                        return Response::new(tenant_egress::body::full("small"));
                    }
                    // Made only as it is taken.
                    let frames = futures_util::stream::unfold(sent, |sent| async {
                        sent.fetch_add(CHUNK, Ordering::Relaxed);
                        let data = bytes::Bytes::from(vec![b'x'; CHUNK]);
                        Some((Ok(hyper::body::Frame::data(data)), sent))
                    });
                    Response::new(http_body_util::StreamBody::new(frames).boxed_unsync())
                }
            })
        })
        .await;
    let mut client = http2::client(&world, "a.example").await;
    let unread = client.send_request(request("GET", "https://a.example/large")).await.unwrap();
    let mut before = usize::MAX;
    while before != sent.load(Ordering::Relaxed) {
        before = sent.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(before < MOST, "{before}");
    }
    assert!(before > 0);
    for _ in 0..10 {
        let small = client.send_request(request("GET", "https://a.example/small")).await.unwrap();
        let read = tokio::time::timeout(Duration::from_secs(10), small.into_body().collect()).await;
        assert_eq!(read.unwrap().unwrap().to_bytes(), "small");
    }
    // And what is read goes on.
    let mut body = unread.into_body();
    let mut sum = 0;
    while sum < 4 << 20 {
        sum += body.frame().await.unwrap().unwrap().into_data().unwrap().len();
    }
}

#[tokio::test]
async fn an_answer_may_come_before_the_request_has_ended() {
    let world = World::new(&policy("deny", FULL), None).await;
    world
        .serve_tls(&["h2"], |stream| {
            http2::answer(stream, |request| async move {
                drop(request);
                let mut response = Response::new(tenant_egress::body::full("enough"));
                *response.status_mut() = http::StatusCode::PAYLOAD_TOO_LARGE;
                response
            })
        })
        .await;
    let mut client = http2::client(&world, "a.example").await;
    let (frames, body) = piecewise();
    let ask = Request::builder().method("POST").uri("https://a.example/x").body(body).unwrap();
    frames.send(http2::data("something")).unwrap();
    let answer = tokio::time::timeout(Duration::from_secs(10), client.send_request(ask)).await.unwrap();
    let (status, body, _) = http2::whole(answer.unwrap()).await;
    assert_eq!((status, body.as_str()), (413, "enough"));
    drop(frames);
    let again = client.send_request(request("GET", "https://a.example/x")).await.unwrap();
    assert_eq!(again.status(), 413);
}
