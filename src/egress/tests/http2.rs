//! HTTP/2 on both sides of a host whose requests are looked at, over real sockets.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response, Version};
use http_body_util::BodyExt as _;
use support::http2::{self, data, piecewise, request, trailer, whole};
use support::{TOKEN, World, mirror, policy};
use tenant_egress::body;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

const L7: &str = "      - host: a.example\n        ports: [443, 80]\n        protocol: rest\n        enforcement: enforce\n        rules:\n          - allow: {method: GET, path: /good/**}\n          - allow: {method: POST, path: /good/**}";

async fn world() -> World {
    World::new(&policy("deny", L7), None).await
}

#[tokio::test]
async fn each_stream_is_decided_by_itself() {
    let world = world().await;
    let heads = http2::noting(&world).await;
    let mut client = http2::client(&world, "a.example").await;
    let ask = |method, path: &str| request(method, &format!("https://a.example{path}"));
    // At the same time, on one connection.
    let good = client.send_request(ask("GET", "/good/one"));
    let refused = client.send_request(ask("GET", "/bad"));
    let other = client.send_request(ask("DELETE", "/good/one"));
    let last = client.send_request(ask("POST", "/good/two?x=1"));
    let (good, refused, other, last) = tokio::join!(good, refused, other, last);
    assert_eq!((good.unwrap().status().as_u16(), last.unwrap().status().as_u16()), (200, 200));
    for refused in [refused, other] {
        let (status, page, _) = whole(refused.unwrap()).await;
        assert!(status == 403 && page.contains("egress_denied"), "{status} {page}");
    }
    let mut seen: Vec<String> = heads
        .lock()
        .unwrap()
        .iter()
        .map(|head| format!("{:?} {} {}", head.version, head.method, head.uri))
        .collect();
    seen.sort();
    assert_eq!(
        seen,
        ["HTTP/2.0 GET https://a.example/good/one", "HTTP/2.0 POST https://a.example/good/two?x=1"]
    );
}

#[tokio::test]
async fn a_stream_that_names_another_host_or_two_goes_nowhere() {
    let world = world().await;
    let heads = http2::noting(&world).await;
    let mut client = http2::client(&world, "a.example").await;
    let with_host =
        |url: &str, host: &str| Request::builder().uri(url).header("host", host).body(body::empty()).unwrap();
    for (request, wanted) in [
        (request("GET", "https://b.example/good/x"), 421),
        (with_host("https://a.example/good/x", "b.example"), 421),
        (with_host("https://b.example/good/x", "a.example"), 421),
        (request("GET", "https://a.example:444/good/x"), 421),
        (request("GET", "https://u@a.example/good/x"), 400),
        (request("GET", "https://a.example/good/../bad"), 400),
        (request("GET", "https://a.example/good//x"), 400),
        (request("GET", "https://a.example/good/x"), 200),
        (with_host("https://a.example/good/x", "A.EXAMPLE:443"), 200),
    ] {
        let what = format!("{} {:?}", request.uri(), request.headers());
        let answer = client.send_request(request).await.unwrap();
        assert_eq!(answer.status(), wanted, "{what}");
    }
    let tunnel = client.send_request(request("CONNECT", "b.example:443")).await;
    assert!(tunnel.is_err() || tunnel.is_ok_and(|answer| answer.status() == 405), "no tunnel in a tunnel");
    let seen: Vec<String> = heads.lock().unwrap().iter().map(|head| head.uri.to_string()).collect();
    assert_eq!(seen, ["https://a.example/good/x"; 2]);
    assert!(heads.lock().unwrap().iter().all(|head| head.headers.get("host").is_none()));
}

#[tokio::test]
async fn an_http2_client_reaches_a_server_of_http1() {
    let world = world().await;
    world.serve_tls(&["http/1.1"], mirror).await;
    let mut client = http2::client(&world, "a.example").await;
    for _ in 0..2 {
        let mut ask = request("GET", "https://a.example/good/x?y=1");
        ask.headers_mut().insert("te", "trailers".parse().unwrap());
        let (status, head, _) = whole(client.send_request(ask).await.unwrap()).await;
        assert!(status == 200 && head.starts_with("GET /good/x?y=1 HTTP/1.1\r\n"), "{head}");
        assert_eq!(head.to_lowercase().matches("\r\nhost: a.example\r\n").count(), 1, "{head}");
        assert!(!head.to_lowercase().contains("upgrade") && !head.contains("http2-settings"), "{head}");
    }
    let (status, ..) =
        whole(client.send_request(request("GET", "https://a.example/bad")).await.unwrap()).await;
    assert_eq!(status, 403);
}

#[tokio::test]
async fn a_client_of_http1_reaches_a_server_of_http2() {
    let world = world().await;
    let heads = http2::noting(&world).await;
    let mut stream = world.secure("a.example", &["http/1.1"]).await;
    let post = "POST /good/x HTTP/1.1\r\nHost: a.example\r\nConnection: X-Hop, keep-alive\r\nX-Hop: 1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    stream.write_all(post.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n0\r\n\r\n") {
        let read = tokio::time::timeout(Duration::from_secs(5), stream.read_buf(&mut answer)).await;
        assert!(read.is_ok_and(|read| read.unwrap() > 0), "{}", String::from_utf8_lossy(&answer));
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    let heads = heads.lock().unwrap();
    assert_eq!((heads.len(), heads[0].version), (1, Version::HTTP_2));
    for gone in ["x-hop", "connection", "transfer-encoding", "host"] {
        assert!(!heads[0].headers.contains_key(gone), "{gone}");
    }
}

#[tokio::test]
async fn bodies_and_trailers_are_carried_as_they_come() {
    let world = world().await;
    http2::noting(&world).await;
    let mut client = http2::client(&world, "a.example").await;
    let (frames, body) = piecewise();
    let ask = Request::builder().method("POST").uri("https://a.example/good/x").body(body).unwrap();
    let mut answer = client.send_request(ask).await.unwrap().into_body();
    let mut next = async || tokio::time::timeout(Duration::from_secs(5), answer.frame()).await.unwrap();
    // The server sends back what it was sent: each piece passes both ways before the next exists.
    for piece in ["one", "two", "three"] {
        frames.send(data(piece)).unwrap();
        assert_eq!(next().await.unwrap().unwrap().into_data().unwrap(), piece);
    }
    frames.send(trailer("x-checksum", "7")).unwrap();
    drop(frames);
    assert_eq!(next().await.unwrap().unwrap().into_trailers().unwrap()["x-checksum"], "7");
    assert!(next().await.is_none());
}

#[tokio::test]
async fn a_body_that_ends_early_never_looks_whole() {
    let world = world().await;
    let (said, mut hears) = mpsc::unbounded_channel();
    world
        .serve_tls(&["h2"], move |stream| {
            let said = said.clone();
            http2::answer(stream, move |request| {
                let said = said.clone();
                async move {
                    // Ends without an error only if the client's body did.
                    let ended = request.into_body().collect().await.map(|all| all.to_bytes());
                    said.send(ended.map_err(drop)).unwrap();
                    Response::new(body::empty())
                }
            })
        })
        .await;
    for whole in [true, false] {
        let mut client = http2::client(&world, "a.example").await;
        let (frames, body) = piecewise();
        let ask = Request::builder().method("POST").uri("https://a.example/good/x").body(body).unwrap();
        let answer = tokio::spawn(client.send_request(ask));
        frames.send(data("half")).unwrap();
        if whole {
            drop(frames);
            assert_eq!(hears.recv().await.unwrap().unwrap(), "half");
            assert_eq!(answer.await.unwrap().unwrap().status(), 200);
        } else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            // The request is taken back.
            answer.abort();
            assert!(hears.recv().await.unwrap().is_err());
        }
    }
}

#[tokio::test]
async fn a_secret_takes_the_place_of_its_placeholder_in_a_header_and_stays_out_of_the_answer() {
    let world = world().await;
    let heads = http2::noting(&world).await;
    let mut client = http2::client(&world, "a.example").await;
    let ask = |value: &str| {
        let ask = Request::builder().uri("https://a.example/good/x").header("authorization", value);
        ask.body(body::empty()).unwrap()
    };
    assert_eq!(client.send_request(ask("Bearer tenantd:secret:token")).await.unwrap().status(), 200);
    assert_eq!(heads.lock().unwrap()[0].headers["authorization"], format!("Bearer {TOKEN}"));
    let refused = client.send_request(ask("Bearer tenantd:secret:other")).await.unwrap();
    let (status, page, _) = whole(refused).await;
    assert!(status == 403 && page.contains("secret_misplaced"), "{page}");
    assert_eq!((heads.lock().unwrap().len(), world.count("secret-used")), (1, 1));
    // In data and in trailers of the answer.
    for frame in [data(TOKEN), trailer("x-token", TOKEN)] {
        let (frames, body) = piecewise();
        let post = Request::builder().method("POST").uri("https://a.example/good/x").body(body).unwrap();
        let mut answer = client.send_request(post).await.unwrap().into_body();
        frames.send(data("fine")).unwrap();
        assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), "fine");
        frames.send(frame).unwrap();
        assert!(
            tokio::time::timeout(Duration::from_secs(5), answer.frame()).await.unwrap().unwrap().is_err()
        );
    }
    assert_eq!(world.count("secret-echoed"), 2);
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

#[tokio::test]
async fn http2_without_tls_is_not_taken() {
    for text in [policy("deny", L7), policy("deny", "      - {host: a.example, ports: [80]}")] {
        let world = World::new(&text, None).await;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let own = Arc::clone(&seen);
        world
            .serve(80, move |mut stream| {
                let seen = Arc::clone(&own);
                async move {
                    let mut byte = [0; 1];
                    while stream.read_exact(&mut byte).await.is_ok() {
                        seen.lock().unwrap().push(byte[0]);
                    }
                }
            })
            .await;
        let (mut stream, said) = world.connect("a.example:80").await;
        assert!(said.starts_with("HTTP/1.1 200"), "{said}");
        stream.write_all(PREFACE).await.unwrap();
        let mut answer = Vec::new();
        drop(tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await.unwrap());
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400"), "{answer:?}");
        // And to the proxy itself.
        let answer = world.say(std::str::from_utf8(PREFACE).unwrap()).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        assert!(seen.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn http2_is_spoken_in_tls_if_it_was_agreed_on() {
    let world = world().await;
    let heads = http2::noting(&world).await;
    for protocols in [&["http/1.1"][..], &[]] {
        let mut stream = world.secure("a.example", protocols).await;
        stream.write_all(PREFACE).await.unwrap();
        let mut answer = Vec::new();
        drop(tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await.unwrap());
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400"), "{answer:?}");
    }
    let mut client = http2::client(&world, "a.example").await;
    let answer = client.send_request(request("GET", "https://a.example/good/x")).await.unwrap();
    assert_eq!((answer.status().as_u16(), heads.lock().unwrap().len()), (200, 1));
}

#[tokio::test]
async fn an_upgrade_to_http2_is_not_passed_on() {
    let world = world().await;
    world.serve(80, mirror).await;
    let (mut stream, _) = world.connect("a.example:80").await;
    let ask = "GET /good/x HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
    for _ in 0..2 {
        stream.write_all(ask.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n")
            || answer.windows(4).filter(|four| four == b"\r\n\r\n").count() < 2
        {
            assert!(stream.read_buf(&mut answer).await.unwrap() > 0);
        }
        let answer = String::from_utf8(answer).unwrap().to_lowercase();
        assert!(answer.starts_with("http/1.1 200") && answer.contains("get /good/x http/1.1"), "{answer}");
        assert!(!answer.contains("h2c") && !answer.contains("http2-settings"), "{answer}");
    }
}
