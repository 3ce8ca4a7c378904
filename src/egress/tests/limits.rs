//! Terms of an entry of a policy: how much, how often, until when. Over real sockets.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Request;
use http_body_util::BodyExt as _;
use support::http2::{self, data, piecewise, request, whole};
use support::{World, mirror, policy};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const REST: &str = "protocol: rest\n        access: full";

fn entry(key: &str, host: &str, rest: &str, terms: &str) -> String {
    format!(
        "\n  {key}:\n    name: {key}\n    x-tenantd: {{{terms}}}\n    endpoints:\n      - host: {host}\n        ports: [80, 443, 5000]\n        {rest}"
    )
}

fn of(default: &str, entries: &[String]) -> String {
    policy(default, "").replace(" {}\n", &entries.concat())
}

/// `2026-11-27T12:00:00Z`, so many seconds from now.
fn from_now(seconds: u64) -> String {
    let at = tenant_egress::live::unix_now() + seconds;
    let (days, rest) = (at / 86_400 + 719_468, at % 86_400);
    // Years begin in March (H. Hinnant, "chrono-compatible low-level date algorithms").
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year + next;
    format!("\"{year:04}-{month:02}-{date:02}T{:02}:{:02}:{:02}Z\"", rest / 3600, rest / 60 % 60, rest % 60)
}

/// Sends everything back, and notes it.
async fn echo(world: &World, port: u16) -> Arc<Mutex<Vec<u8>>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let own = Arc::clone(&seen);
    world
        .serve(port, move |mut stream| {
            let seen = Arc::clone(&own);
            async move {
                let mut buffer = [0; 4096];
                while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                    seen.lock().unwrap().extend_from_slice(&buffer[..length]);
                    if stream.write_all(&buffer[..length]).await.is_err() {
                        return;
                    }
                }
            }
        })
        .await;
    seen
}

async fn exchange(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).await.unwrap();
    let mut answer = vec![0; bytes.len()];
    tokio::time::timeout(Duration::from_secs(5), stream.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(answer, bytes);
}

/// Whether it was cut, and did not only end.
async fn cut(stream: &mut TcpStream) -> bool {
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut Vec::new())).await;
    read.unwrap().is_err()
}

#[tokio::test]
async fn a_connection_sends_as_much_as_it_may_and_no_more() {
    let world = World::new(&of("deny", &[entry("a", "a.example", "", "max_bytes: \"1000\"")]), None).await;
    let seen = echo(&world, 5000).await;
    for sizes in [&[400, 600][..], &[1000]] {
        let (mut stream, said) = world.connect("a.example:5000").await;
        assert!(said.starts_with("HTTP/1.1 200"), "{said}");
        for size in sizes {
            exchange(&mut stream, &vec![0; *size]).await;
        }
        stream.write_all(&[1]).await.unwrap();
        assert!(cut(&mut stream).await);
    }
    // What it may send it may end, too.
    let (mut stream, _) = world.connect("a.example:5000").await;
    exchange(&mut stream, &[0; 1000]).await;
    stream.shutdown().await.unwrap();
    assert!(!cut(&mut stream).await);
    assert_eq!((world.count("max-bytes"), seen.lock().unwrap().as_slice()), (2, &[0; 3000][..]));
    // Nothing of what is too much from its beginning.
    let (mut stream, _) = world.connect("a.example:5000").await;
    stream.write_all(&[1; 1001]).await.unwrap();
    assert!(cut(&mut stream).await);
    assert!(!seen.lock().unwrap().ends_with(&[1; 1001]));
}

#[tokio::test]
async fn bodies_on_one_connection_count_together() {
    let world = World::new(&of("deny", &[entry("a", "a.example", REST, "max_bytes: \"1000\"")]), None).await;
    let heads = http2::noting(&world).await;
    let post = |size: usize| {
        let body = tenant_egress::body::full(vec![b'x'; size]);
        Request::builder().method("POST").uri("https://a.example/x").body(body).unwrap()
    };
    let mut client = http2::client(&world, "a.example").await;
    let (status, page, _) = whole(client.send_request(post(1001)).await.unwrap()).await;
    assert!(status == 413 && page.contains("larger than the policy allows"), "{page}");
    assert!(heads.lock().unwrap().is_empty());
    for _ in 0..2 {
        let (status, body, _) = whole(client.send_request(post(500)).await.unwrap()).await;
        assert_eq!((status, body.len()), (200, 500));
    }
    assert!(refused_or_broken(client.send_request(post(1)).await).await);
    // One that does not say how much it will be.
    let mut client = http2::client(&world, "a.example").await;
    let (frames, body) = piecewise();
    let ask = Request::builder().method("POST").uri("https://a.example/x").body(body).unwrap();
    let mut answer = client.send_request(ask).await.unwrap().into_body();
    frames.send(data("xxxxx")).unwrap();
    assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), "xxxxx");
    for _ in 0..200 {
        drop(frames.send(data("xxxxx")));
    }
    let mut sum = 5;
    let ended = loop {
        match tokio::time::timeout(Duration::from_secs(5), answer.frame()).await.unwrap() {
            Some(Ok(frame)) => sum += frame.into_data().unwrap().len(),
            ended => break ended,
        }
    };
    assert!(ended.is_some_and(|ended| ended.is_err()) && sum <= 1000, "{sum}");
}

async fn refused_or_broken(answer: hyper::Result<http::Response<hyper::body::Incoming>>) -> bool {
    match answer {
        Ok(answer) => answer.status().as_u16() != 200 || answer.into_body().collect().await.is_err(),
        Err(_) => true,
    }
}

#[tokio::test]
async fn a_chunked_body_that_is_too_much_never_looks_whole() {
    let world = World::new(&of("deny", &[entry("a", "a.example", REST, "max_bytes: \"10\"")]), None).await;
    let seen = echo(&world, 80).await;
    let (mut stream, _) = world.connect("a.example:80").await;
    let head = "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(format!("{head}a\r\n0123456789\r\n").as_bytes()).await.unwrap();
    let all = |seen: &Mutex<Vec<u8>>| String::from_utf8(seen.lock().unwrap().clone()).unwrap();
    world.until(|_| all(&seen).contains("0123456789")).await;
    stream.write_all(b"1\r\nX\r\n0\r\n\r\n").await.unwrap();
    cut(&mut stream).await;
    assert!(!all(&seen).contains('X') && !all(&seen).contains("\r\n0\r\n"), "{}", all(&seen));
}

#[tokio::test]
async fn connections_are_as_many_a_minute_as_they_may() {
    let entries = [entry("a", "a.example", "", "max_rate: 2"), entry("b", "b.example", "", "max_rate: 1000")];
    let world = World::new(&of("deny", &entries), None).await;
    echo(&world, 5000).await;
    for _ in 0..2 {
        let (mut stream, said) = world.connect("a.example:5000").await;
        assert!(said.starts_with("HTTP/1.1 200"), "{said}");
        exchange(&mut stream, b"\0hello").await;
    }
    let looked_up = world.outside.looked_up.lock().unwrap().len();
    let answer = world.say("CONNECT a.example:5000 HTTP/1.1\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("more than 2 a minute"), "{answer}");
    assert_eq!(world.outside.looked_up.lock().unwrap().len(), looked_up);
    let (mut stream, _) = world.connect("b.example:5000").await;
    exchange(&mut stream, b"\0hello").await;
}

#[tokio::test]
async fn requests_are_as_many_a_minute_as_they_may_on_however_many_connections() {
    let world = World::new(&of("deny", &[entry("a", "a.example", REST, "max_rate: 3")]), None).await;
    let heads = http2::noting(&world).await;
    world.serve(80, mirror).await;
    let get = || request("GET", "https://a.example/x");
    // Opening a connection is no request.
    let mut first = http2::client(&world, "a.example").await;
    let mut second = http2::client(&world, "a.example").await;
    assert_eq!(first.send_request(get()).await.unwrap().status(), 200);
    assert_eq!(first.send_request(get()).await.unwrap().status(), 200);
    assert_eq!(second.send_request(get()).await.unwrap().status(), 200);
    for client in [&mut first, &mut second] {
        let (status, page, _) = whole(client.send_request(get()).await.unwrap()).await;
        assert!(status == 403 && page.contains("more than 3 a minute"), "{page}");
    }
    let plain = "GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";
    assert!(world.say(plain).await.starts_with("HTTP/1.1 403"));
    assert_eq!(heads.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn an_entry_that_ends_cuts_its_open_connections_and_no_other() {
    for default in ["deny", "ask"] {
        let end = format!("expires: {}", from_now(5));
        let entries = [entry("a", "a.example", "", &end), entry("b", "b.example", "", "why: \"it stays\"")];
        let world = World::new(&of(default, &entries), None).await;
        let seen = echo(&world, 5000).await;
        let (mut ends, said) = world.connect("a.example:5000").await;
        assert!(said.starts_with("HTTP/1.1 200"), "{said}");
        let (mut stays, _) = world.connect("b.example:5000").await;
        exchange(&mut ends, b"\0hello").await;
        exchange(&mut stays, b"\0hello").await;
        assert!(cut(&mut ends).await);
        assert_eq!(world.count("cut"), 1);
        exchange(&mut stays, b"\0again").await;
        let (_, said) = world.connect("a.example:5000").await;
        assert!(said.starts_with("HTTP/1.1 403"), "{said}");
        assert_eq!(seen.lock().unwrap().as_slice(), b"\0hello\0hello\0again");
    }
}

#[tokio::test]
async fn an_entry_that_ends_cuts_its_stream_and_leaves_the_others_of_the_connection() {
    let path = |path: &str| format!("path: {path}\n        {REST}");
    let entries = [
        entry("short", "a.example", &path("/short/**"), &format!("expires: {}", from_now(5))),
        entry("long", "a.example", &path("/long/**"), "why: \"it stays\""),
    ];
    let world = World::new(&of("deny", &entries), None).await;
    let heads = http2::noting(&world).await;
    let mut client = http2::client(&world, "a.example").await;
    let mut open = async |path: &str| {
        let (frames, body) = piecewise();
        let url = format!("https://a.example{path}");
        let ask = Request::builder().method("POST").uri(url).body(body).unwrap();
        (frames, client.send_request(ask).await.unwrap().into_body())
    };
    let (short, mut short_answer) = open("/short/x").await;
    let (long, mut long_answer) = open("/long/x").await;
    short.send(data("hello")).unwrap();
    assert_eq!(short_answer.frame().await.unwrap().unwrap().into_data().unwrap(), "hello");
    let ended = tokio::time::timeout(Duration::from_secs(20), short_answer.frame()).await.unwrap();
    assert!(ended.unwrap().is_err());
    long.send(data("hello")).unwrap();
    assert_eq!(long_answer.frame().await.unwrap().unwrap().into_data().unwrap(), "hello");
    let ask = |path: &str| request("GET", &format!("https://a.example{path}"));
    assert_eq!(client.send_request(ask("/short/x")).await.unwrap().status(), 403);
    assert_eq!(client.send_request(ask("/long/x")).await.unwrap().status(), 200);
    assert_eq!(heads.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn an_approval_that_ends_or_is_taken_back_cuts_what_it_allowed() {
    let approval = |terms: &str| {
        of("deny", &[entry("a", "a.example", "", terms)]).replace("x-tenantd:\n  default: deny\n", "")
    };
    for ends in [true, false] {
        let world = World::new(&policy("deny", ""), None).await;
        echo(&world, 5000).await;
        let (_, said) = world.connect("a.example:5000").await;
        assert!(said.starts_with("HTTP/1.1 403"), "{said}");
        let terms =
            if ends { format!("expires: {}", from_now(5)) } else { "why: \"it is needed\"".to_owned() };
        world.approve(Some(&approval(&terms)), None);
        let approved =
            |world: &World| world.proxy.live.now().is_some_and(|now| now.policy.entries().len() == 1);
        world.until(approved).await;
        let (mut stream, said) = world.connect("a.example:5000").await;
        assert!(said.starts_with("HTTP/1.1 200"), "{said}");
        exchange(&mut stream, b"\0hello").await;
        if !ends {
            world.approve(None, None);
        }
        assert!(cut(&mut stream).await);
        assert_eq!(world.count("cut"), 1);
        let (_, said) = world.connect("a.example:5000").await;
        assert!(said.starts_with("HTTP/1.1 403"), "{said}");
    }
}

#[tokio::test]
async fn a_new_policy_cuts_the_streams_that_it_forbids_and_decides_the_next_ones() {
    let rules = |paths: &[&str]| {
        let allow = paths.iter().map(|path| format!("\n          - allow: {{method: \"*\", path: {path}}}"));
        let rest = format!(
            "protocol: rest\n        enforcement: enforce\n        rules:{}",
            allow.collect::<String>()
        );
        of("deny", &[entry("a", "a.example", &rest, "why: \"a test\"")])
    };
    let world = World::new(&rules(&["/one/**", "/two/**"]), None).await;
    let heads = http2::noting(&world).await;
    let mut client = http2::client(&world, "a.example").await;
    let mut open = async |path: &str| {
        let (frames, body) = piecewise();
        let url = format!("https://a.example{path}");
        let ask = Request::builder().method("POST").uri(url).body(body).unwrap();
        (frames, client.send_request(ask).await.unwrap().into_body())
    };
    let (_one, mut one_answer) = open("/one/x").await;
    let (two, mut two_answer) = open("/two/x").await;
    world.write(&rules(&["/two/**"]));
    let ended = tokio::time::timeout(Duration::from_secs(20), one_answer.frame()).await.unwrap();
    assert!(ended.unwrap().is_err());
    two.send(data("hello")).unwrap();
    assert_eq!(two_answer.frame().await.unwrap().unwrap().into_data().unwrap(), "hello");
    let ask = |path: &str| request("GET", &format!("https://a.example{path}"));
    assert_eq!(client.send_request(ask("/one/x")).await.unwrap().status(), 403);
    assert_eq!(client.send_request(ask("/two/x")).await.unwrap().status(), 200);
    assert_eq!(heads.lock().unwrap().len(), 3);
}
