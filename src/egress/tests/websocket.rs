//! WebSockets and streams through the proxy, over real sockets.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod support;

use std::time::Duration;

use support::{World, mirror, policy};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

fn rules(messages: bool) -> String {
    let message = if messages { "\n          - allow: {method: WEBSOCKET_TEXT, path: /ws}" } else { "" };
    format!(
        "      - host: a.example\n        ports: [80]\n        protocol: websocket\n        enforcement: enforce\n        rules:\n          - allow: {{method: GET, path: /ws}}{message}"
    )
}

const OPEN: &str = "GET /ws HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n";

async fn server(mut stream: TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(!String::from_utf8_lossy(&head).to_lowercase().contains("permessage-deflate"));
    let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    stream.write_all(answer.as_bytes()).await.unwrap();
    let mut buffer = [0; 64];
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        let length = u8::try_from(length).unwrap();
        stream.write_all(&[&[0x82, length], &buffer[..length.into()]].concat()).await.unwrap();
    }
}

async fn open(world: &World) -> TcpStream {
    let (mut stream, _) = world.connect("a.example:80").await;
    stream.write_all(OPEN.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    stream
}

const TEXT: [u8; 8] = [0x81, 0x82, 1, 2, 3, 4, b'h', b'i'];

#[tokio::test]
async fn a_message_is_carried_if_a_rule_allows_it_and_closes_the_socket_if_none_does() {
    let world = World::new(&policy("deny", &rules(true)), None).await;
    world.serve(80, server).await;
    let mut stream = open(&world).await;
    stream.write_all(&TEXT).await.unwrap();
    let mut answer = [0; 10];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!((&answer[..2], &answer[2..]), (&[0x82, 8][..], &TEXT[..]));

    let world = World::new(&policy("deny", &rules(false)), None).await;
    world.serve(80, server).await;
    let mut stream = open(&world).await;
    stream.write_all(&TEXT).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert_eq!(answer, [0x88, 2, 0x03, 0xf0]);
}

#[tokio::test]
async fn a_websocket_that_is_opened_with_a_body_is_refused() {
    let world = World::new(&policy("deny", &rules(true)), None).await;
    world.serve(80, server).await;
    for body in ["Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", "Content-Length: 0\r\n"] {
        let (mut stream, _) = world.connect("a.example:80").await;
        let head = OPEN.replacen("\r\n", &format!("\r\n{body}"), 1);
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 400", "{body}");
    }
}

#[tokio::test]
async fn a_policy_that_forbids_a_websocket_ends_it() {
    let world = World::new(&policy("deny", &rules(true)), None).await;
    world.serve(80, server).await;
    let mut stream = open(&world).await;
    world.write(&policy("deny", ""));
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert_eq!(answer, [0x88, 2, 0x03, 0xf0]);
}

#[tokio::test]
async fn events_arrive_before_the_stream_ends_and_a_new_policy_cuts_it() {
    let world = World::new(&policy("deny", "      - {host: a.example, ports: [80]}"), None).await;
    world
        .serve(80, |mut stream| async move {
            let mut head = [0; 1024];
            assert!(stream.read(&mut head).await.unwrap() > 0);
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
                .await
                .unwrap();
            std::future::pending::<()>().await;
        })
        .await;
    let (mut stream, _) = world.connect("a.example:80").await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await.unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("data: 1\n\n") {
        assert!(
            tokio::time::timeout(Duration::from_secs(5), stream.read_buf(&mut seen)).await.unwrap().unwrap()
                > 0
        );
    }
    world.write(&policy("deny", ""));
    drop(tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut seen)).await.unwrap());
}

#[tokio::test]
async fn a_connection_whose_owner_the_kernel_does_not_know_is_not_served() {
    let world = World::new(&policy("deny", "      - {host: a.example, ports: [80]}"), None).await;
    world.serve(80, mirror).await;
    let say = |to: [u8; 4], host: &'static str| {
        let proxy = std::sync::Arc::clone(&world.proxy);
        async move {
            // The kernel knows the client's end as one to this listener: there is no redirection here.
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (stream, from) = listener.accept().await.unwrap();
            let refused = tenant_egress::transparent::serve(proxy, stream, from, (to, 80).into());
            let served = tokio::spawn(refused);
            client.write_all(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).await.ok();
            let mut answer = Vec::new();
            drop(client.read_to_end(&mut answer).await);
            served.await.unwrap();
            answer
        }
    };
    // Its owner is not known under that address: nothing is served.
    assert!(say(support::PUBLIC, "a.example").await.is_empty());
}
