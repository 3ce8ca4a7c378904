//! Requests of HTTP/1.1 that two readers could end at different places: to the explicit proxy, in a tunnel, and in TLS that ends in the
//! proxy. What the server sees is asserted: nothing, or one request in the proxy's own framing.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use support::{World, policy};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

const L7: &str = "      - host: a.example\n        ports: [443, 80]\n        protocol: rest\n        enforcement: enforce\n        rules:\n          - allow: {method: GET, path: /good/**}\n          - allow: {method: POST, path: /good/**}";

type Seen = Arc<Mutex<String>>;

/// Notes everything, and answers every end of a head.
async fn note(mut stream: impl AsyncRead + AsyncWrite + Unpin, seen: Seen) {
    let mut tail = Vec::new();
    while let Ok(byte) = stream.read_u8().await {
        seen.lock().unwrap().push(char::from(byte));
        tail.push(byte);
        if tail.ends_with(b"\r\n\r\n") {
            tail.clear();
            drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await);
            drop(stream.flush().await);
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Explicit,
    Tunnel,
    Tls,
}

const WAYS: [Way; 3] = [Way::Explicit, Way::Tunnel, Way::Tls];

async fn heard(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), bytes: &[u8]) -> String {
    stream.write_all(bytes).await.unwrap();
    stream.flush().await.unwrap();
    let mut answer = Vec::new();
    // Something comes or it ends; then it is long enough for what should not come, and no fault if the connection is kept.
    let mut patience = Duration::from_secs(10);
    while let Ok(Ok(1..)) = tokio::time::timeout(patience, stream.read_buf(&mut answer)).await {
        patience = Duration::from_millis(700);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// What the client heard and what the server saw, by a world of its own. `TARGET/` stands for what comes before a path.
async fn send(way: Way, request: &str) -> (String, String) {
    let world = World::new(&policy("deny", L7), None).await;
    let seen = Seen::default();
    let (plain, secure) = (Arc::clone(&seen), Arc::clone(&seen));
    world.serve(80, move |stream| note(stream, Arc::clone(&plain))).await;
    world.serve_tls(&[], move |stream| note(stream, Arc::clone(&secure))).await;
    let before = if matches!(way, Way::Explicit) { "http://a.example/" } else { "/" };
    let bytes = request.replace("TARGET/", before);
    let answer = match way {
        Way::Explicit => {
            heard(&mut TcpStream::connect(world.explicit).await.unwrap(), bytes.as_bytes()).await
        }
        Way::Tunnel => heard(&mut world.connect("a.example:80").await.0, bytes.as_bytes()).await,
        Way::Tls => heard(&mut world.secure("a.example", &[]).await, bytes.as_bytes()).await,
    };
    let seen = seen.lock().unwrap().clone();
    (answer, seen)
}

async fn each(cases: &[(&str, &str)], judge: impl Fn(&str, Way, &str, &str)) {
    for part in cases.chunks(12) {
        let all = part.iter().flat_map(|case| WAYS.map(|way| (case, way)));
        let all = all.map(async |((what, request), way)| (*what, way, send(way, request).await));
        for (what, way, (answer, seen)) in join_all(all).await {
            judge(what, way, &answer, &seen);
        }
    }
}

fn post(head: &str, body: &str) -> String {
    format!("POST TARGET/good/x HTTP/1.1\r\nHost: a.example\r\n{head}\r\n\r\n{body}")
}

const BAD: &str = "GET TARGET/bad HTTP/1.1\r\nHost: a.example\r\n\r\n";

#[tokio::test]
async fn a_request_with_two_ends_goes_nowhere() {
    let chunks = format!("0\r\n\r\n{BAD}");
    let bodies = [
        ("two lengths", "Content-Length: 0\r\nContent-Length: 5"),
        ("two lengths in one field", "Content-Length: 5, 6"),
        ("a length with a sign", "Content-Length: +5"),
        ("a hexadecimal length", "Content-Length: 0x5"),
        ("a negative length", "Content-Length: -1"),
        ("no length", "Content-Length:"),
        ("an enormous length", "Content-Length: 99999999999999999999999"),
        ("another coding", "Transfer-Encoding: identity"),
        ("a coding after chunks", "Transfer-Encoding: chunked, identity"),
        ("almost chunks", "Transfer-Encoding: xchunked"),
        ("chunks in quotes", "Transfer-Encoding: \"chunked\""),
        ("chunks with a control character", "Transfer-Encoding: \u{b}chunked"),
        ("a space before the colon", "Transfer-Encoding : chunked"),
        ("a space before the colon of a length", "Content-Length : 5"),
        ("a line that goes on", "Content-Length: 5\r\n 6"),
        ("a field that goes on", "X: a\r\n b"),
        ("a field without a colon", "Content-Length 5"),
        ("a bare CR", "X: a\rContent-Length: 5"),
        ("a NUL", "X: a\0b"),
        ("two hosts", "Host: a.example"),
        ("another host", "Host: b.example"),
    ];
    let cases: Vec<(&str, String)> = bodies.map(|(what, head)| (what, post(head, &chunks))).into();
    let cases: Vec<(&str, &str)> = cases.iter().map(|(what, request)| (*what, request.as_str())).collect();
    each(&cases, |what, way, answer, seen| {
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{what} {way:?}: {answer}");
        assert!(!answer.contains(" 200 OK"), "{what} {way:?}: {answer}");
        assert_eq!(seen, "", "{what} {way:?}");
    })
    .await;
}

#[tokio::test]
async fn chunks_and_a_length_are_never_both_passed_on() {
    let body = format!("0\r\n\r\n{BAD}");
    let cases = [
        (
            "chunks, length",
            post(&format!("Transfer-Encoding: chunked\r\nContent-Length: {}", body.len()), &body),
        ),
        (
            "length, chunks",
            post(&format!("Content-Length: {}\r\nTransfer-Encoding: chunked", body.len()), &body),
        ),
        ("a length that is shorter", post("Content-Length: 1\r\nTransfer-Encoding: chunked", &body)),
        (
            "chunks, longer than the length",
            post("Content-Length: 1\r\nTransfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"),
        ),
        ("chunks twice", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", &body)),
        ("HTTP/1.0", post("Transfer-Encoding: chunked", &body).replace("HTTP/1.1", "HTTP/1.0")),
    ];
    let cases: Vec<(&str, &str)> = cases.iter().map(|(what, request)| (*what, request.as_str())).collect();
    each(&cases, |what, way, answer, seen| {
        let lower = seen.to_lowercase();
        assert!(!seen.contains("/bad"), "{what} {way:?}: {seen}");
        assert!(
            !(lower.contains("content-length") && lower.contains("transfer-encoding")),
            "{what} {way:?}: {seen}"
        );
        // What it announces it holds, or it is refused.
        let (head, body) = seen.split_once("\r\n\r\n").unwrap_or_default();
        if let Some(length) = head.to_lowercase().split("content-length: ").nth(1) {
            let length: usize = length.lines().next().unwrap().parse().unwrap();
            assert_eq!(length, body.len(), "{what} {way:?}: {seen}");
        }
        assert!(!seen.is_empty() || !answer.contains(" 200 OK"), "{what} {way:?}: {answer}");
    })
    .await;
}

#[tokio::test]
async fn broken_chunks_never_look_whole() {
    let chunked = |body: &str| post("Transfer-Encoding: chunked", &format!("{body}{BAD}"));
    let cases = [
        ("a size in 0x", chunked("0x5\r\nhello\r\n0\r\n\r\n")),
        ("a negative size", chunked("-5\r\nhello\r\n0\r\n\r\n")),
        ("a space before the size", chunked(" 5\r\nhello\r\n0\r\n\r\n")),
        ("a size that overflows", chunked("10000000000000005\r\nhello\r\n0\r\n\r\n")),
        ("a bare LF after a size", chunked("5\nhello\r\n0\r\n\r\n")),
        ("a bare LF after data", chunked("5\r\nhello\n0\r\n\r\n")),
        ("more data than the size", chunked("5\r\nhello!\r\n0\r\n\r\n")),
        ("a bare LF in an extension", chunked("5;a\nb\r\nhello\r\n0\r\n\r\n")),
        ("extensions without an end", chunked(&format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(40_000)))),
    ];
    let cases: Vec<(&str, &str)> = cases.iter().map(|(what, request)| (*what, request.as_str())).collect();
    each(&cases, |what, way, answer, seen| {
        assert!(!seen.contains("/bad") && !seen.contains("\r\n0\r\n\r\n"), "{what} {way:?}: {seen}");
        // The server of this test answers before a body has ended.
        assert!(
            !answer.contains("\"egress_denied\""),
            "what follows is no request: {what} {way:?}: {answer}"
        );
    })
    .await;
    let good = [
        ("an extension", post("Transfer-Encoding: chunked", "5;a=b\r\nhello\r\n0\r\n\r\n")),
        ("a quoted extension", post("Transfer-Encoding: chunked", "5;a=\"b\"\r\nhello\r\n0\r\n\r\n")),
        ("leading zeros", post("Transfer-Encoding: chunked", "0005\r\nhello\r\n0\r\n\r\n")),
        (
            "trailers",
            post(
                "Transfer-Encoding: chunked",
                "5\r\nhello\r\n0\r\nHost: b.example\r\nContent-Length: 7\r\n\r\n",
            ),
        ),
    ];
    let cases: Vec<(&str, &str)> = good.iter().map(|(what, request)| (*what, request.as_str())).collect();
    each(&cases, |what, way, answer, seen| {
        assert!(answer.starts_with("HTTP/1.1 200"), "{what} {way:?}: {answer}");
        assert!(seen.ends_with("\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), "{what} {way:?}: {seen}");
        assert!(
            !seen.contains("b.example") && !seen.to_lowercase().contains("content-length"),
            "{what}: {seen}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_first_line_is_written_in_one_way() {
    let of = |line: &str| format!("{line}\r\nHost: a.example\r\n\r\n");
    let bad = [
        ("two spaces", of("GET  TARGET/good/x HTTP/1.1")),
        ("a tab", of("GET\tTARGET/good/x\tHTTP/1.1")),
        ("a space in the path", of("GET TARGET/good/x y HTTP/1.1")),
        ("a space at the beginning", of(" GET TARGET/good/x HTTP/1.1")),
        ("no version", of("GET TARGET/good/x")),
        ("HTTP/1.2", of("GET TARGET/good/x HTTP/1.2")),
        ("HTTP/2.0", of("GET TARGET/good/x HTTP/2.0")),
        ("http/1.1", of("GET TARGET/good/x http/1.1")),
        ("a bare CR", of("GET TARGET/good/x\r HTTP/1.1")),
        ("no method", of("TARGET/good/x HTTP/1.1")),
        ("a method that is none", of("G@T TARGET/good/x HTTP/1.1")),
        ("a method that no rule allows", of("GETX TARGET/good/x HTTP/1.1")),
        ("every resource", of("OPTIONS * HTTP/1.1")),
        ("no host", "GET /good/x HTTP/1.1\r\n\r\n".to_owned()),
    ];
    let cases: Vec<(&str, &str)> = bad.iter().map(|(what, request)| (*what, request.as_str())).collect();
    each(&cases, |what, way, answer, seen| {
        assert!(!answer.contains(" 200 OK"), "{what} {way:?}: {answer}");
        assert_eq!(seen, "", "{what} {way:?}");
    })
    .await;
    let good = [
        ("plain", of("GET TARGET/good/x HTTP/1.1")),
        ("an empty line before", format!("\r\n{}", of("GET TARGET/good/x HTTP/1.1"))),
        ("lines that end with LF", of("GET TARGET/good/x HTTP/1.1").replace("\r\n", "\n")),
    ];
    let cases: Vec<(&str, &str)> = good.iter().map(|(what, request)| (*what, request.as_str())).collect();
    each(&cases, |what, way, answer, seen| {
        // Who takes a lenient line says it in the strict way to the server; who refuses it says nothing.
        let passed = seen.starts_with("GET /good/x HTTP/1.1\r\n") && answer.contains(" 200 OK");
        assert!(passed || seen.is_empty() && what != "plain", "{what} {way:?}: {answer} {seen}");
        assert!(!seen.replace("\r\n", "").contains('\n'), "{what} {way:?}: {seen}");
    })
    .await;
}

#[tokio::test]
async fn what_follows_a_request_is_decided_and_what_is_its_body_is_not() {
    let good = "GET TARGET/good/x HTTP/1.1\r\nHost: a.example\r\n\r\n";
    let body =
        format!("GET TARGET/good/x HTTP/1.1\r\nHost: a.example\r\nContent-Length: {}\r\n\r\n", BAD.len());
    let cases = [
        ("one after another", [good, BAD, good].concat()),
        (
            "a length of nothing",
            [&good.replace("\r\n\r\n", "\r\nContent-Length: 0\r\n\r\n"), BAD, good].concat(),
        ),
    ];
    let cases: Vec<(&str, &str)> = cases.iter().map(|(what, request)| (*what, request.as_str())).collect();
    each(&cases, |what, way, answer, seen| {
        assert!(!seen.contains("/bad") && seen.matches("/good/x").count() == 2, "{what} {way:?}: {seen}");
        assert_eq!(
            (answer.matches(" 200 OK").count(), answer.matches(" 403 ").count()),
            (2, 1),
            "{what} {way:?}"
        );
    })
    .await;
    // The body of a GET, in which a request is written, is a body to the server, too.
    for way in WAYS {
        let inner = "GET /bad HTTP/1.1\r\nHost: a.example\r\nX: y\r\n";
        let request = body.replace(&BAD.len().to_string(), &inner.len().to_string());
        let (answer, seen) = send(way, &[&request, inner].concat()).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{way:?}: {answer}");
        assert!(
            seen.to_lowercase().contains(&format!("content-length: {}\r\n", inner.len())),
            "{way:?}: {seen}"
        );
        assert!(seen.ends_with(&format!("\r\n\r\n{inner}")), "{way:?}: {seen}");
    }
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for_answers_nobody() {
    let world = World::new(&policy("deny", L7), None).await;
    world
        .serve(80, |mut stream| async move {
            let mut buffer = [0; 4096];
            while let Ok(1..) = stream.read(&mut buffer).await {
                let own = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine";
                let poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
                drop(stream.write_all([own, poison].concat().as_bytes()).await);
            }
        })
        .await;
    let mut stream = TcpStream::connect(world.explicit).await.unwrap();
    for _ in 0..5 {
        stream.write_all(b"GET http://a.example/good/x HTTP/1.1\r\nHost: a.example\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"mine") {
            assert!(stream.read_buf(&mut answer).await.unwrap() > 0);
            assert!(!answer.windows(6).any(|six| six == b"poison"));
        }
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    }
}
