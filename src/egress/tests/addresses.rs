//! A request that goes to an address ends with the policy that allowed this address, however the proxy was asked for it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod support;

use std::time::Duration;

use support::{World, policy};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A server whose answer goes on: a byte, again and again.
async fn endless(mut stream: TcpStream) {
    let mut head = [0; 1024];
    assert!(stream.read(&mut head).await.unwrap() > 0);
    let mut piece = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    while stream.write_all(&piece).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(20)).await;
        piece = b"1\r\nx\r\n".to_vec();
    }
}

async fn goes_on(stream: &mut TcpStream) -> bool {
    let mut some = [0; 60];
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read_exact(&mut some)).await;
    read.unwrap().is_ok()
}

fn listed(blocks: &str) -> String {
    policy("deny", &format!("      - {{host: a.example, port: 80, allowed_ips: [{blocks}]}}"))
}

async fn in_force(world: &World, text: &str) {
    let mut changes = world.proxy.live.changes();
    changes.mark_unchanged();
    world.write(text);
    tokio::time::timeout(Duration::from_secs(5), changes.changed()).await.unwrap().unwrap();
}

async fn request(world: &World, in_tunnel: bool) -> TcpStream {
    let (mut stream, target) = if in_tunnel {
        (world.connect("a.example:80").await.0, "/")
    } else {
        (TcpStream::connect(world.explicit).await.unwrap(), "http://a.example/")
    };
    let head = format!("GET {target} HTTP/1.1\r\nHost: a.example\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    stream
}

#[tokio::test]
async fn a_policy_that_forbids_the_address_cuts_the_request_that_goes_there() {
    for in_tunnel in [false, true] {
        let world = World::new(&listed("93.184.215.0/24"), None).await;
        world.serve(80, endless).await;
        let mut stream = request(&world, in_tunnel).await;
        assert!(goes_on(&mut stream).await);
        // It is still at an address that is listed.
        in_force(&world, &listed("93.184.215.14/32, 8.8.8.8/32")).await;
        assert!(goes_on(&mut stream).await && goes_on(&mut stream).await);
        in_force(&world, &listed("8.8.8.8/32")).await;
        let mut rest = Vec::new();
        let end = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await;
        drop(end.unwrap());
        assert_eq!(world.count("cut"), 1);
    }
}
