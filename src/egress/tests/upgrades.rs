//! Requests to become a WebSocket, and what servers make of them, over real sockets.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod support;

use std::time::Duration;

use support::{World, policy};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const LISTED: &str = "      - {host: a.example, ports: [80]}";
const ASK: &str = "GET /ws HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A server that answers a head with this, then sends everything back and never hangs up.
async fn server(world: &World, answer: &'static str) -> tokio::sync::mpsc::UnboundedReceiver<Vec<u8>> {
    let (sender, seen) = tokio::sync::mpsc::unbounded_channel();
    world
        .serve(80, move |mut stream| {
            let sender = sender.clone();
            async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => return,
                    }
                }
                drop(sender.send(head));
                drop(stream.write_all(answer.as_bytes()).await);
                let mut buffer = [0; 256];
                while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                    drop(sender.send(buffer[..length].to_vec()));
                    drop(stream.write_all(&buffer[..length]).await);
                }
            }
        })
        .await;
    seen
}

async fn asked(world: &World) -> TcpStream {
    let (mut stream, said) = world.connect("a.example:80").await;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    stream.write_all(ASK.as_bytes()).await.unwrap();
    stream
}

async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = tokio::time::timeout(Duration::from_secs(10), stream.read_u8()).await.unwrap();
        head.push(byte.unwrap());
    }
    String::from_utf8(head).unwrap()
}

async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    drop(tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest)).await.unwrap());
    rest
}

#[tokio::test]
async fn a_plain_answer_to_an_upgrade_ends_with_the_policy() {
    let world = World::new(&policy("deny", LISTED), None).await;
    let mut seen =
        server(&world, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n").await;
    let mut stream = asked(&world).await;
    assert!(head(&mut stream).await.starts_with("HTTP/1.1 200"));
    let mut first = [0; 10];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"5\r\nhello\r\n");
    assert!(seen.recv().await.unwrap().starts_with(b"GET /ws"));
    world.write(&policy("deny", ""));
    assert!(!rest(&mut stream).await.ends_with(b"0\r\n\r\n"), "it does not look whole");
    assert_eq!(world.count("cut"), 1);
}

#[tokio::test]
async fn an_upgrade_that_is_not_answered_ends_with_the_policy() {
    let world = World::new(&policy("deny", LISTED), None).await;
    let mut seen = server(&world, "").await;
    let mut stream = asked(&world).await;
    assert!(seen.recv().await.unwrap().starts_with(b"GET /ws"));
    world.write(&policy("deny", ""));
    assert!(head(&mut stream).await.starts_with("HTTP/1.1 403"));
}

#[tokio::test]
async fn a_server_agrees_to_what_it_was_asked() {
    for (answer, wanted) in [
        (SWITCHED.to_owned(), "101"),
        (SWITCHED.replace("Upgrade: websocket", "Upgrade: h2c"), "502"),
        (SWITCHED.replace("Upgrade: websocket\r\n", ""), "502"),
        (SWITCHED.replace("Sec-WebSocket-Accept", "Sec-WebSocket-Extensions"), "502"),
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n".to_owned(), "403"),
    ] {
        let world = World::new(&policy("deny", LISTED), None).await;
        server(&world, Box::leak(answer.clone().into_boxed_str())).await;
        let mut stream = asked(&world).await;
        let said = head(&mut stream).await;
        assert_eq!(said.split(' ').nth(1), Some(wanted), "{answer}: {said}");
    }
}

const FRAME: [u8; 8] = [0x82, 0x82, 1, 2, 3, 4, b'h', b'i'];

#[tokio::test]
async fn a_websocket_sends_as_much_as_it_may_and_no_more() {
    let text = format!("{LISTED}\n    x-tenantd: {{max_bytes: \"16\"}}");
    let world = World::new(&policy("deny", &text), None).await;
    let mut seen = server(&world, SWITCHED).await;
    let mut stream = asked(&world).await;
    assert!(head(&mut stream).await.starts_with("HTTP/1.1 101"));
    seen.recv().await.unwrap();
    for _ in 0..2 {
        stream.write_all(&FRAME).await.unwrap();
        let mut back = [0; 8];
        stream.read_exact(&mut back).await.unwrap();
        assert_eq!(back, FRAME);
    }
    stream.write_all(&FRAME).await.unwrap();
    assert!(rest(&mut stream).await.is_empty());
    assert_eq!(world.count("max-bytes"), 1);
    let mut arrived = Vec::new();
    while let Ok(bytes) = seen.try_recv() {
        arrived.extend(bytes);
    }
    assert_eq!(arrived, [FRAME, FRAME].concat());
}

#[tokio::test]
async fn frames_that_come_before_the_answer_are_frames() {
    let text = "      - host: a.example\n        ports: [80]\n        protocol: websocket\n        enforcement: enforce\n        rules:\n          - allow: {method: GET, path: /ws}";
    for (allowed, rule) in [(true, "\n          - allow: {method: WEBSOCKET_TEXT, path: /ws}"), (false, "")] {
        let world = World::new(&policy("deny", &format!("{text}{rule}")), None).await;
        let mut seen = server(&world, SWITCHED).await;
        let (mut stream, _) = world.connect("a.example:80").await;
        stream.write_all(&[ASK.as_bytes(), &FRAME].concat()).await.unwrap();
        assert!(head(&mut stream).await.starts_with("HTTP/1.1 101"));
        assert!(seen.recv().await.unwrap().starts_with(b"GET /ws"));
        if allowed {
            assert_eq!(seen.recv().await.unwrap(), FRAME);
        } else {
            assert_eq!(rest(&mut stream).await, [0x88, 2, 0x03, 0xf0]);
            assert!(seen.try_recv().is_err());
        }
    }
}
