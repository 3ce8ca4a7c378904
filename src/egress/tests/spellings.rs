//! Hosts and paths that are written in other ways than usual, over real sockets: what is decided is what the server sees.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod support;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use support::{PUBLIC, World, policy};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const RULES: &str = "      - host: a.example\n        ports: [443, 80]\n        protocol: rest\n        enforcement: enforce\n        rules:\n          - allow: {method: GET, path: /good/**}\n        deny_rules:\n          - {method: GET, path: /good/secret/**}";

/// A server at these addresses that notes first lines, and answers "ok".
async fn noting(world: &World, at: &[SocketAddr]) -> Arc<Mutex<Vec<String>>> {
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = listener.local_addr().unwrap();
    world.outside.places.lock().unwrap().extend(at.iter().map(|address| (*address, place)));
    let own = Arc::clone(&lines);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let lines = Arc::clone(&own);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while let Ok(byte) = stream.read_u8().await {
                    head.push(byte);
                    if head.ends_with(b"\r\n\r\n") {
                        let line = String::from_utf8_lossy(&head).lines().next().unwrap().to_owned();
                        lines.lock().unwrap().push(line);
                        drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await);
                        head.clear();
                    }
                }
            });
        }
    });
    lines
}

/// The status of one request to the explicit proxy.
async fn status(world: &World, target: &str, host: &str) -> String {
    let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    world.say(&request).await.split(' ').nth(1).unwrap_or_default().to_owned()
}

/// The status of one request in a tunnel.
async fn in_tunnel(world: &World, to: &str, target: &str, host: &str) -> String {
    let (mut stream, said) = world.connect(to).await;
    if !said.starts_with("HTTP/1.1 200") {
        return said.split(' ').nth(1).unwrap_or_default().to_owned();
    }
    let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    drop(tokio::time::timeout(Duration::from_secs(5), stream.read_to_string(&mut answer)).await.unwrap());
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

/// Hosts at closed addresses, and hosts that are none.
const CLOSED: &[&str] = &[
    "127.0.0.1",
    "127.0.0.1.",
    "127.1",
    "127.0.1",
    "0177.0.0.1",
    "0x7f.0.0.1",
    "0X7F.1",
    "2130706433",
    "0x7f000001",
    "017700000001",
    "00000177.0.0.1",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:FFFF:7F00:0001]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "[::1%25lo]",
    "[::1%lo]",
    "[fe80::1%25eth0]",
    "[::1]x",
    "[127.0.0.1]",
    "::1",
    "0",
    "0.0.0.0",
    "[::]",
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "025177524776",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "10.1",
    "167772161",
    "256.0.0.1",
    "127.0.0.0x",
    "4294967296",
    "1.2.3.4.5",
    "127.0.0.1%00",
    "rebound.example",
    "ReBound.Example.",
];

#[tokio::test]
async fn a_closed_address_is_closed_however_it_is_written() {
    let world = World::new(&policy("ask", ""), Some("allow")).await;
    let closed = ["127.0.0.1:80", "[::1]:80", "169.254.169.254:80", "10.0.0.1:80", "[::ffff:127.0.0.1]:80"];
    let mut at: Vec<SocketAddr> = closed.iter().map(|text| text.parse().unwrap()).collect();
    at.push((PUBLIC, 80).into());
    let lines = noting(&world, &at).await;
    for host in CLOSED {
        for answer in [
            status(&world, &format!("http://{host}/"), host).await,
            in_tunnel(&world, &format!("{host}:80"), "/", host).await,
        ] {
            assert!(["400", "403", "421"].contains(&answer.as_str()), "{host}: {answer}");
        }
        let (_, said) = world.connect(&format!("{host}:443")).await;
        assert!(said.starts_with("HTTP/1.1 4"), "{host}: {said}");
    }
    assert_eq!(lines.lock().unwrap().len(), 0);
    let asked = world.asked.lock().unwrap().clone();
    assert!(asked.iter().all(|line| line.contains("rebound.example")), "{asked:?}");
    // An open one is the same however it is written, to whoever is asked, too.
    world.asked.lock().unwrap().clear();
    let open = ["93.184.215.14", "1572394766", "0x5db8d70e", "0135.0270.0327.016", "[::ffff:93.184.215.14]"];
    for host in open {
        assert_eq!(status(&world, &format!("http://{host}/"), host).await, "200", "{host}");
        assert_eq!(in_tunnel(&world, &format!("{host}:80"), "/", "93.184.215.14").await, "200", "{host}");
    }
    assert_eq!(lines.lock().unwrap().len(), 10);
    let asked = world.asked.lock().unwrap().clone();
    assert!(asked.iter().all(|line| line.contains("\"host\":\"93.184.215.14\"")), "{asked:?}");
}

/// URLs to the explicit proxy, the Host beside them, and what is answered.
const URLS: &[(&str, &str, &str)] = &[
    ("http://a.example/good/x", "a.example", "200"),
    ("HTTP://A.Example:80/good/x", "a.example", "200"),
    ("http://a.example./good/x", "A.EXAMPLE.", "200"),
    ("http://a.example/good/x", "a.example:80", "200"),
    ("http://a.example/good/x", "b.example", "421"),
    ("http://a.example/good/x", "a.example:81", "421"),
    ("http://a.example:81/good/x", "a.example", "421"),
    ("http://b.example/good/x", "a.example", "421"),
    ("http://b.example/good/x", "b.example", "403"),
    ("http://a.example:81/good/x", "a.example:81", "403"),
    ("http://a.example/good/x", "a.example,b.example", "400"),
    ("http://a.example/good/x", "a.example b.example", "400"),
    ("http://a.example/good/x", "u@a.example", "400"),
    ("http://a.example/good/x", "http://a.example", "400"),
    ("http://a.example/good/x", "", "400"),
    ("http://u@a.example/good/x", "a.example", "400"),
    ("http://u:p@a.example/good/x", "a.example", "400"),
    ("http://b.example@a.example/good/x", "a.example", "400"),
    ("http://a.example@b.example/good/x", "a.example", "400"),
    ("http://a.example:80@b.example/good/x", "a.example", "400"),
    ("http://a.example\\@b.example/good/x", "a.example", "400"),
    ("http://a.example:65616/good/x", "a.example", "400"),
    ("http://a.example:0/good/x", "a.example", "400"),
    ("http://a.example:/good/x", "a.example", "400"),
    ("http://a.example:080/good/x", "a.example", "400"),
    ("http://a.example:80:80/good/x", "a.example", "400"),
    ("http://a%2eexample/good/x", "a.example", "400"),
    ("http://a.example%00/good/x", "a.example", "400"),
    ("http:///good/x", "a.example", "400"),
    ("http:a.example/good/x", "a.example", "400"),
    ("//a.example/good/x", "a.example", "400"),
    ("a.example/good/x", "a.example", "400"),
    ("a.example:80", "a.example", "400"),
    ("https://a.example/good/x", "a.example", "400"),
    ("ftp://a.example/good/x", "a.example", "400"),
    ("ws://a.example/good/x", "a.example", "400"),
    ("file:///good/x", "a.example", "400"),
    ("/good/x", "a.example", "400"),
];

#[tokio::test]
async fn a_url_names_one_host() {
    let world = World::new(&policy("deny", RULES), None).await;
    let lines = noting(&world, &[(PUBLIC, 80).into()]).await;
    for &(target, host, wanted) in URLS {
        let before = lines.lock().unwrap().len();
        assert_eq!(status(&world, target, host).await, wanted, "{target} {host}");
        assert_eq!(lines.lock().unwrap().len() - before, usize::from(wanted == "200"), "{target} {host}");
    }
    // In a tunnel, too.
    for (target, host, wanted) in [
        ("/good/x", "A.example.:80", "200"),
        ("http://a.example/good/x", "a.example", "200"),
        ("http://b.example/good/x", "a.example", "421"),
        ("http://b.example/good/x", "b.example", "421"),
        ("http://a.example/good/x", "b.example", "421"),
        ("/good/x", "b.example", "421"),
        ("/good/x", "a.example:81", "421"),
        ("http://u@a.example/good/x", "a.example", "400"),
    ] {
        let before = lines.lock().unwrap().len();
        assert_eq!(in_tunnel(&world, "a.example:80", target, host).await, wanted, "{target} {host}");
        assert_eq!(lines.lock().unwrap().len() - before, usize::from(wanted == "200"), "{target} {host}");
    }
    assert!(lines.lock().unwrap().iter().all(|line| line == "GET /good/x HTTP/1.1"));
}

#[tokio::test]
async fn a_tunnel_goes_to_one_port() {
    let world = World::new(&policy("deny", "      - {host: a.example, ports: [80, 5000]}"), None).await;
    for (to, wanted) in [
        ("a.example:5000", "200"),
        ("A.EXAMPLE.:5000", "200"),
        ("a.example:22", "403"),
        ("a.example:25", "403"),
        ("a.example:65535", "403"),
        ("a.example:0", "400"),
        ("a.example:65536", "400"),
        ("a.example:70536", "400"),
        ("a.example:05000", "400"),
        ("a.example:+5000", "400"),
        ("a.example:-5000", "400"),
        ("a.example:0x1388", "400"),
        ("a.example:5000/", "400"),
        ("a.example:5000:5000", "400"),
        ("a.example:", "400"),
        ("a.example", "400"),
        (":5000", "400"),
        ("u@a.example:5000", "400"),
        ("http://a.example:5000", "400"),
        ("//a.example:5000", "400"),
        ("/a.example:5000", "400"),
        ("a.example:5000?b.example:80", "400"),
        ("a.example:5000#", "400"),
        ("*", "400"),
    ] {
        let (stream, said) = world.connect(to).await;
        assert_eq!(said.split(' ').nth(1), Some(wanted), "{to}: {said}");
        drop(stream);
    }
}

/// Paths, and what becomes of them where `%2F` is not taken, and where it is.
const PATHS: &[(&str, &str, &str)] = &[
    ("/good/x", "200", "200"),
    ("/good/a/../b", "400", "400"),
    ("/good/%78", "200", "200"),
    ("/good/x;y=z", "200", "200"),
    ("/good/..x/.y", "200", "200"),
    ("/good/x?y=/../bad&z=%2f", "200", "200"),
    ("/good/", "200", "200"),
    ("/bad", "403", "403"),
    ("/GOOD/x", "403", "403"),
    ("/good/../bad", "400", "400"),
    ("/good/%2e%2e/bad", "400", "400"),
    ("/good/%2E./bad", "400", "400"),
    ("/good/./a/../../bad", "400", "400"),
    ("/good/x/../..", "400", "400"),
    ("/good/secret/x", "403", "403"),
    ("/good/x/../secret/x", "400", "400"),
    ("/good/s%65cret/x", "403", "403"),
    ("/good/secret%2fx", "403", "403"),
    ("/good%2fx", "403", "403"),
    ("/good/x%2fy", "403", "200"),
    ("/good/x%2Fy", "403", "200"),
    ("/good/x%2f..%2f..%2fbad", "400", "400"),
    ("/good/..%2fbad", "400", "400"),
    ("/good/%2e%2e%2fbad", "400", "400"),
    ("/good/x%2f", "400", "400"),
    ("/good//x", "400", "400"),
    ("//good/x", "400", "400"),
    ("/../good/x", "400", "400"),
    ("/good/..;/bad", "400", "400"),
    ("/good/..;x=y/bad", "400", "400"),
    ("/good/;/bad", "400", "400"),
    ("/good/.;/x", "400", "400"),
    ("/good/%5c..%5cbad", "400", "400"),
    ("/good/..\\bad", "400", "400"),
    ("/good/%252e%252e/bad", "400", "400"),
    ("/good/x%00", "400", "400"),
    ("/good/x%0d%0aX:y", "400", "400"),
    ("/good/%", "400", "400"),
    ("/good/%zz", "400", "400"),
    ("/good/%c0%ae%c0%ae/bad", "400", "400"),
    ("/good/\u{e4}", "400", "400"),
];

#[tokio::test]
async fn a_path_is_decided_in_the_reading_that_the_server_may_have() {
    for slashes in [false, true] {
        let rules = format!("{RULES}\n        allow_encoded_slash: {slashes}");
        let world = World::new(&policy("deny", &rules), None).await;
        let lines = noting(&world, &[(PUBLIC, 80).into()]).await;
        for (path, without, with) in PATHS {
            let wanted = if slashes { with } else { without };
            for tunnel in [false, true] {
                let answer = match tunnel {
                    false => status(&world, &format!("http://a.example{path}"), "a.example").await,
                    true => in_tunnel(&world, "a.example:80", path, "a.example").await,
                };
                assert_eq!(answer, *wanted, "{path} {slashes} {tunnel}");
                let seen: Vec<String> = lines.lock().unwrap().drain(..).collect();
                let expected = (*wanted == "200").then(|| format!("GET {path} HTTP/1.1"));
                assert_eq!(seen, Vec::from_iter(expected), "{path} {slashes} {tunnel}");
            }
        }
        // What follows "#" is no part of a path, and goes nowhere.
        assert_eq!(in_tunnel(&world, "a.example:80", "/good/x#/../../bad", "a.example").await, "200");
        assert_eq!(lines.lock().unwrap().as_slice(), ["GET /good/x HTTP/1.1"]);
    }
}
