//! What a client of HTTP/2 may ask of the proxy, and no more.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use support::{ClientStream, World, mirror, policy};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const LOOKED_AT: &str =
    "      - {host: a.example, port: 443, protocol: rest, access: read-only, enforcement: enforce}";
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// ENHANCE_YOUR_CALM.
const CALM: u32 = 11;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut out = length[1..].to_vec();
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
    out
}

/// `GET https://a.example/`: three fields of HPACK's own table, and the authority written out.
fn get() -> Vec<u8> {
    [&[0x82, 0x87, 0x84, 0x41, 9][..], b"a.example"].concat()
}

async fn opened(world: &World) -> ClientStream {
    let mut stream = world.secure("a.example", &["h2"]).await;
    stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await.unwrap();
    stream
}

/// Frames until the first of this kind, which is the result; nothing if the connection ends before.
async fn until(stream: &mut ClientStream, kind: u8) -> Option<Vec<u8>> {
    let read = async {
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.ok()?;
            let mut payload =
                vec![0; usize::try_from(u32::from_be_bytes([0, head[0], head[1], head[2]])).unwrap()];
            stream.read_exact(&mut payload).await.ok()?;
            if head[3] == kind {
                return Some(payload);
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), read).await.unwrap()
}

fn reason(goaway: &[u8]) -> u32 {
    u32::from_be_bytes(goaway[4..8].try_into().unwrap())
}

async fn world() -> World {
    let world = World::new(&policy("deny", LOOKED_AT), None).await;
    world.serve_tls(&["http/1.1"], mirror).await;
    world
}

#[tokio::test]
async fn streams_that_are_opened_and_reset_end_the_connection() {
    let world = world().await;
    let mut stream = opened(&world).await;
    stream.write_all(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &get())).await.unwrap();
    assert!(until(&mut stream, HEADERS).await.is_some());
    let mut flood = Vec::new();
    for number in 1..=1000u32 {
        let stream = 2 * number + 1;
        flood.extend(frame(HEADERS, END_STREAM | END_HEADERS, stream, &get()));
        flood.extend(frame(RESET, 0, stream, &8u32.to_be_bytes()));
    }
    drop(stream.write_all(&flood).await);
    assert_eq!(until(&mut stream, GOAWAY).await.map(|payload| reason(&payload)), Some(CALM));
    assert_eq!(until(&mut stream, GOAWAY).await, None);
    // No place is lost by that.
    world.until(|world| world.proxy.requests.available_permits() == 512).await;
}

#[tokio::test]
async fn fields_without_end_end_the_connection() {
    let world = world().await;
    let mut stream = opened(&world).await;
    stream.write_all(&frame(HEADERS, END_STREAM, 1, &get())).await.unwrap();
    // Fields that are never indexed, and add up.
    let field = [&[0x10, 1, b'x', 0x7f, 0xa1, 0x0f][..], &[b'y'; 2080]].concat();
    let mut sent = 0;
    while stream.write_all(&frame(CONTINUATION, 0, 1, &field)).await.is_ok() {
        sent += field.len();
        if sent > 64 << 20 {
            break;
        }
    }
    assert!(sent < 64 << 20, "{sent}");
    // The same in one piece, within the bounds, is a request.
    let mut stream = opened(&world).await;
    stream.write_all(&frame(HEADERS, END_STREAM, 1, &get())).await.unwrap();
    stream.write_all(&frame(CONTINUATION, END_HEADERS, 1, &field)).await.unwrap();
    assert!(until(&mut stream, HEADERS).await.is_some());
}

#[tokio::test]
async fn requests_at_once_are_bounded_over_all_connections() {
    let world = world().await;
    let all = Arc::clone(&world.proxy.requests).acquire_many_owned(512).await.unwrap();
    let mut stream = opened(&world).await;
    stream.write_all(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &get())).await.unwrap();
    let refused = until(&mut stream, HEADERS).await.unwrap();
    // A literal status, as HPACK's table has none for 503.
    assert!(refused.windows(3).any(|part| part == b"503") || refused.first() == Some(&0x48), "{refused:x?}");
    assert_eq!(world.count("requests-refused"), 1);
    let said =
        world.say("GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n").await;
    assert!(
        said.starts_with("HTTP/1.1 503") && said.contains("too_many") && said.contains("retry-after"),
        "{said}"
    );
    drop(all);
    stream.write_all(&frame(HEADERS, END_STREAM | END_HEADERS, 3, &get())).await.unwrap();
    let answered = until(&mut stream, HEADERS).await.unwrap();
    // 200 is the eighth of HPACK's table.
    assert_eq!(answered.first(), Some(&0x88), "{answered:x?}");
    assert_eq!(world.count("requests-refused"), 2);
    world.until(|world| world.proxy.requests.available_permits() == 512).await;
}
