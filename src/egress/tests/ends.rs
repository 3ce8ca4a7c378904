//! What was allowed ends when it is no longer, over real sockets.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod support;

use std::time::Duration;

use support::{World, policy};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const LISTED: &str = "      - {host: a.example, ports: [80, 5000]}";

async fn echo(mut stream: TcpStream) {
    let mut buffer = [0; 64];
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        stream.write_all(&buffer[..length]).await.unwrap();
    }
}

async fn lives(stream: &mut TcpStream) -> bool {
    if stream.write_all(b"\x00hello").await.is_err() {
        return false;
    }
    let mut answer = [0; 6];
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read_exact(&mut answer)).await;
    read.unwrap().is_ok()
}

async fn ended(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    drop(tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await.unwrap());
}

async fn in_force(world: &World, entries: usize) {
    let mut changes = world.proxy.live.changes();
    let there = |now: &Option<std::sync::Arc<tenant_egress::live::Snapshot>>| {
        now.as_ref().is_some_and(|now| now.policy.entries().len() == entries)
    };
    tokio::time::timeout(Duration::from_secs(5), changes.wait_for(there)).await.unwrap().unwrap();
    // Whoever holds a connection hears of it.
    tokio::time::sleep(Duration::from_millis(100)).await;
}

#[tokio::test]
async fn the_end_of_an_approval_ends_the_connection_that_asked_for_it() {
    let world = World::new(&policy("ask", ""), Some("allow")).await;
    world.serve(5000, echo).await;
    let (mut stream, said) = world.connect("a.example:5000").await;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    assert!(lives(&mut stream).await);
    // Allowed once: it goes on, whatever else changes.
    world.write(&policy(
        "ask",
        "      - {host: b.example, ports: [80]}\n      - {host: c.example, ports: [80]}",
    ));
    in_force(&world, 2).await;
    assert!(lives(&mut stream).await);
    world.write(&policy("ask", LISTED));
    in_force(&world, 1).await;
    assert!(lives(&mut stream).await);
    world.write(&policy("ask", ""));
    ended(&mut stream).await;
}

#[tokio::test]
async fn a_policy_that_cannot_be_read_now_allows_nothing_until_it_can() {
    let world = World::new(&policy("deny", LISTED), None).await;
    world.serve(5000, echo).await;
    let (mut stream, _) = world.connect("a.example:5000").await;
    assert!(lives(&mut stream).await);
    let file = world.directory.path().join("egress.json");
    // Opened, and not read.
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    ended(&mut stream).await;
    assert!(world.proxy.live.now().is_none());
    std::fs::remove_dir(&file).unwrap();
    world.write(&policy("deny", LISTED));
    in_force(&world, 1).await;
    let (mut stream, _) = world.connect("a.example:5000").await;
    assert!(lives(&mut stream).await);
    // What is damaged changes nothing.
    std::fs::File::create(&file).and_then(|mut file| std::io::Write::write_all(&mut file, b"{")).unwrap();
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(lives(&mut stream).await);
}

#[tokio::test]
async fn what_is_still_sent_after_the_answer_ends_with_the_policy() {
    let world = World::new(&policy("deny", LISTED), None).await;
    let (seen, mut hears) = tokio::sync::mpsc::unbounded_channel();
    world
        .serve(80, move |mut stream| {
            let seen = seen.clone();
            async move {
                let mut buffer = [0; 1024];
                assert!(stream.read(&mut buffer).await.unwrap() > 0);
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
                while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                    if seen.send(length).is_err() {
                        return;
                    }
                }
            }
        })
        .await;
    let (mut stream, _) = world.connect("a.example:80").await;
    let head = "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    world.write(&policy("deny", ""));
    in_force(&world, 0).await;
    while hears.try_recv().is_ok() {}
    for _ in 0..20 {
        drop(stream.write_all(b"5\r\nhello\r\n").await);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(hears.try_recv().is_err());
}
