//! Answers of servers that try something, and requests that are rare, over real sockets.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Request;
use http_body_util::BodyExt as _;
use support::http2::{self, data, piecewise, request, trailer, whole};
use support::{TOKEN, World, mirror, policy};
use tenant_egress::body;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const FULL: &str =
    "      - host: a.example\n        ports: [443, 80]\n        protocol: rest\n        access: full";

/// A server in plain text that answers each head with this, and notes what it saw.
async fn saying(world: &World, answer: &str) -> Arc<Mutex<String>> {
    let seen: Arc<Mutex<String>> = Arc::default();
    let (own, answer): (_, Arc<str>) = (Arc::clone(&seen), answer.into());
    world
        .serve(80, move |mut stream| {
            let (seen, answer) = (Arc::clone(&own), Arc::clone(&answer));
            async move {
                while let Ok(byte) = stream.read_u8().await {
                    let whole = {
                        let mut seen = seen.lock().unwrap();
                        seen.push(char::from(byte));
                        seen.ends_with("\r\n\r\n")
                    };
                    if whole && stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            }
        })
        .await;
    seen
}

fn get(path: &str) -> String {
    format!("GET http://a.example{path} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
}

#[tokio::test]
async fn an_answer_that_is_none_is_not_passed_on() {
    for (what, answer) in [
        (
            "an upgrade that nobody asked for",
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nevil",
        ),
        (
            "an upgrade to something else",
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nevil",
        ),
        ("two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nevil"),
        ("no length", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nevil"),
        ("a field that goes on", "HTTP/1.1 200 OK\r\nX: a\r\n evil: b\r\nContent-Length: 4\r\n\r\nevil"),
        ("HTTP/2.0", "HTTP/2.0 200 OK\r\nContent-Length: 4\r\n\r\nevil"),
        ("no HTTP", "220 mail.example ESMTP evil\r\n\r\n"),
        ("a NUL", "HTTP/1.1 200 OK\r\nX: a\0evil\r\nContent-Length: 4\r\n\r\nevil"),
    ] {
        let world = World::new(&policy("deny", FULL), None).await;
        saying(&world, answer).await;
        let said = world.say(&get("/x")).await;
        assert!(said.starts_with("HTTP/1.1 502") && !said.contains("evil"), "{what}: {said}");
    }
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 4\r\n\r\nevil", "x".repeat(1_000_000));
    let world = World::new(&policy("deny", FULL), None).await;
    saying(&world, &long).await;
    let said = world.say(&get("/x")).await;
    assert!(said.starts_with("HTTP/1.1 502") && !said.contains("evil"), "{said}");
    let world = World::new(&policy("deny", FULL), None).await;
    saying(
        &world,
        "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood",
    )
    .await;
    let said = world.say(&get("/x")).await;
    assert!(said.starts_with("HTTP/1.1 200") && said.ends_with("good"), "{said}");
}

#[tokio::test]
async fn what_belongs_to_the_servers_connection_goes_no_further() {
    let world = World::new(&policy("deny", FULL), None).await;
    let answer = "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: close\r\nUpgrade: h2c\r\nProxy-Authenticate: Basic\r\nX-Own: 1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n";
    world
        .serve_tls(&["http/1.1"], move |mut stream| async move {
            let mut buffer = [0; 4096];
            while let Ok(1..) = stream.read(&mut buffer).await {
                stream.write_all(answer.as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
            }
        })
        .await;
    let mut client = http2::client(&world, "a.example").await;
    for _ in 0..2 {
        let answer = client.send_request(request("GET", "https://a.example/x")).await.unwrap();
        assert_eq!(answer.headers()["x-own"], "1");
        for gone in [
            "connection",
            "x-hop",
            "keep-alive",
            "proxy-connection",
            "upgrade",
            "proxy-authenticate",
            "transfer-encoding",
        ] {
            assert!(!answer.headers().contains_key(gone), "{gone}");
        }
        assert_eq!(whole(answer).await.1, "good");
    }
}

#[tokio::test]
async fn an_answer_without_a_body_ends_where_it_ends() {
    for (method, answer, status) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", "200"),
        ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "200"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", "204"),
        ("GET", "HTTP/1.1 204 No Content\r\nContent-Length: 10\r\n\r\n", "204"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", "304"),
        ("DELETE", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "200"),
    ] {
        let world = World::new(&policy("deny", FULL), None).await;
        saying(&world, answer).await;
        let mut stream = TcpStream::connect(world.explicit).await.unwrap();
        for last in [false, true] {
            let close = if last { "Connection: close\r\n" } else { "" };
            let ask = format!("{method} http://a.example/x HTTP/1.1\r\nHost: a.example\r\n{close}\r\n");
            stream.write_all(ask.as_bytes()).await.unwrap();
        }
        let mut said = String::new();
        let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_string(&mut said)).await;
        assert!(read.is_ok_and(|read| read.is_ok()), "{method} {answer}: {said}");
        assert_eq!(said.matches(&format!("HTTP/1.1 {status}")).count(), 2, "{method} {answer}: {said}");
        assert!(said.ends_with("\r\n\r\n"), "{method} {answer}: {said}");
    }
}

#[tokio::test]
async fn cookies_that_http2_splits_are_one_for_http1() {
    let world = World::new(&policy("deny", FULL), None).await;
    world.serve_tls(&["http/1.1"], mirror).await;
    let mut client = http2::client(&world, "a.example").await;
    let ask = Request::builder().uri("https://a.example/x").header("cookie", "a=1").header("cookie", "b=2");
    let (status, head, _) = whole(client.send_request(ask.body(body::empty()).unwrap()).await.unwrap()).await;
    assert!(status == 200 && head.to_lowercase().contains("\r\ncookie: a=1; b=2\r\n"), "{head}");
}

#[tokio::test]
async fn a_placeholder_in_trailers_stays_one_or_goes_nowhere() {
    let text = format!("{FULL}\n        request_body_credential_rewrite: true");
    for text in [FULL, &text] {
        let world = World::new(&policy("deny", text), None).await;
        let (sender, mut trailers) = tokio::sync::mpsc::unbounded_channel();
        world
            .serve_tls(&["h2"], move |stream| {
                let sender = sender.clone();
                http2::answer(stream, move |request| {
                    let sender = sender.clone();
                    async move {
                        let all = request.into_body().collect().await;
                        let trailers = all.ok().and_then(|all| all.trailers().cloned()).unwrap_or_default();
                        sender.send(format!("{trailers:?}")).unwrap();
                        http::Response::new(body::empty())
                    }
                })
            })
            .await;
        let mut client = http2::client(&world, "a.example").await;
        for value in ["own", "tenantd:secret:token"] {
            let (frames, body) = piecewise();
            let ask = Request::builder().method("POST").uri("https://a.example/x").body(body).unwrap();
            frames.send(data("{}")).unwrap();
            frames.send(trailer("x-token", value)).unwrap();
            drop(frames);
            drop(client.send_request(ask).await);
            let seen = trailers.recv().await.unwrap();
            assert!(!seen.contains(TOKEN), "{seen}");
            assert!(value != "own" || seen.contains("own"), "{seen}");
        }
    }
}

#[tokio::test]
async fn heads_that_are_too_large_go_nowhere() {
    let world = World::new(&policy("deny", FULL), None).await;
    let heads = http2::noting(&world).await;
    let mut client = http2::client(&world, "a.example").await;
    let of = |count: usize| {
        let mut ask = request("GET", "https://a.example/x");
        for number in 0..count {
            let name = http::HeaderName::try_from(format!("x-{number}")).unwrap();
            ask.headers_mut().insert(name, "y".repeat(1000).parse().unwrap());
        }
        ask
    };
    let refused = client.send_request(of(100)).await;
    assert!(refused.is_err() || refused.is_ok_and(|answer| answer.status() == 431));
    let mut client = http2::client(&world, "a.example").await;
    assert_eq!(client.send_request(of(10)).await.unwrap().status(), 200);
    assert_eq!(heads.lock().unwrap().len(), 1);
    let seen = saying(&world, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    for (size, wanted) in [(100_000, "431"), (20_000, "200")] {
        let (mut stream, _) = world.connect("a.example:80").await;
        let ask = format!(
            "GET /x HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\nX: {}\r\n\r\n",
            "y".repeat(size)
        );
        drop(stream.write_all(ask.as_bytes()).await);
        let mut said = Vec::new();
        drop(tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut said)).await.unwrap());
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(said.is_empty() && wanted == "431" || said.split(' ').nth(1) == Some(wanted), "{said}");
        assert_eq!(seen.lock().unwrap().is_empty(), wanted == "431");
    }
}

#[tokio::test]
async fn a_tunnel_in_a_tunnel_goes_nowhere() {
    let world =
        World::new(&policy("deny", &format!("{FULL}\n      - {{host: b.example, ports: [443]}}")), None)
            .await;
    let seen = saying(&world, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let tunnel = "CONNECT b.example:443 HTTP/1.1\r\nHost: b.example:443\r\n\r\n";
    let (mut stream, _) = world.connect("a.example:80").await;
    stream.write_all(tunnel.as_bytes()).await.unwrap();
    let mut said = [0; 12];
    stream.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"HTTP/1.1 405");
    // And after a request to the proxy itself.
    let tunnel = &tunnel.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    let said = world.say(&(get("/x").replace("Connection: close\r\n", "") + tunnel)).await;
    assert!(said.starts_with("HTTP/1.1 200") && said.contains("HTTP/1.1 405"), "{said}");
    assert_eq!(seen.lock().unwrap().matches("HTTP/1.1").count(), 1);
    assert!(world.connect("b.example:443").await.1.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn what_comes_in_the_same_breath_as_connect_is_carried() {
    let world = World::new(&policy("deny", FULL), None).await;
    let seen = saying(&world, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let inner = "GET /inner HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";
    let said = world.say(&format!("CONNECT a.example:80 HTTP/1.1\r\n\r\n{inner}")).await;
    assert!(said.ends_with("ok") && said.matches("HTTP/1.1 200").count() == 2, "{said}");
    assert!(seen.lock().unwrap().starts_with("GET /inner "));
    // Nothing of it is a request to the proxy itself.
    let whole = get("/inner").replace("http://a.example", "http://b.example");
    let said = world.say(&format!("CONNECT a.example:80 HTTP/1.1\r\n\r\n{whole}")).await;
    assert!(said.contains("HTTP/1.1 421") && seen.lock().unwrap().matches("GET ").count() == 1, "{said}");
}
