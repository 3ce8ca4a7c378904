use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::chunk::Chunk;
use super::head::{Framing, check};
use super::{Checked, Patience, REFUSED, Refusal};

const LIMIT: usize = 32 << 10;

fn framing(lines: &str) -> Result<Framing, u16> {
    let head = format!("{lines}\r\n\r\n");
    match check(head.as_bytes(), LIMIT) {
        Ok(Some(found)) => {
            assert_eq!(found.length, head.len());
            Ok(found.framing)
        }
        Ok(None) => panic!("not complete: {lines:?}"),
        Err(refusal) => Err(refusal.status),
    }
}

fn with(fields: &str) -> Result<Framing, u16> {
    framing(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}"))
}

#[test]
fn a_plain_head_says_what_follows_it() {
    assert_eq!(framing("GET /a?b=c HTTP/1.1\r\nHost: a\r\nX: \u{e4}\tz"), Ok(Framing::Nothing));
    assert_eq!(framing("GET /a HTTP/1.0\r\nHost: a"), Ok(Framing::Nothing));
    assert_eq!(with("Content-Length: 12"), Ok(Framing::Length(12)));
    assert_eq!(with("Content-Length:\t0 "), Ok(Framing::Nothing));
    assert_eq!(with("transfer-encoding:chunked"), Ok(Framing::Chunked));
    assert_eq!(with("Upgrade: websocket\r\nConnection: upgrade"), Ok(Framing::Upgrade));
    assert_eq!(with("Expect: 100-continue\r\nContent-Length: 5"), Ok(Framing::Length(5)));
    assert_eq!(framing("GET https://a/x HTTP/1.1\r\nHost: a"), Ok(Framing::Nothing));
}

#[test]
fn what_two_parsers_could_read_in_two_ways_is_refused() {
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length:",
        "Content-Length: 99999999999999999999",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding:\x0bchunked",
        "Transfer-Encoding:",
        "Transfer-Encoding : chunked",
        "X: a\r\n b",
        "X: a\r\n\tTransfer-Encoding: chunked",
        " X: a",
        "X",
        ": a",
        "X Y: a",
        "X\0: a",
        "X: a\0b",
        "X: a\x7fb",
        "X: a\x01b",
        "X: a\nY: b",
        "X: a\rY: b",
        "Host: a",
        "Host: b",
        "Upgrade: websocket\r\nContent-Length: 5",
        "Upgrade: websocket\r\nTransfer-Encoding: chunked",
        "Expect: something",
    ] {
        assert_eq!(with(fields), Err(400), "{fields:?}");
    }
}

#[test]
fn request_lines_that_two_parsers_could_read_in_two_ways_are_refused() {
    for head in [
        "GET / HTTP/1.1",
        "GET / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked",
        "GET / HTTP/1.1\r\nHost:",
        "GET  / HTTP/1.1\r\nHost: a",
        "GET / HTTP/1.1 \r\nHost: a",
        " GET / HTTP/1.1\r\nHost: a",
        "GET /\tHTTP/1.1\r\nHost: a",
        "GET / HTTP/1.1\nHost: a",
        "\r\nGET / HTTP/1.1\r\nHost: a",
        "GET /\r\nHost: a",
        "GET / HTTP/0.9\r\nHost: a",
        "GET / HTTP/2.0\r\nHost: a",
        "GET / http/1.1\r\nHost: a",
        "GET /a b HTTP/1.1\r\nHost: a",
        "GET /a#b HTTP/1.1\r\nHost: a",
        "GET /\u{e4} HTTP/1.1\r\nHost: a",
        "GET a HTTP/1.1\r\nHost: a",
        "GET * HTTP/1.1\r\nHost: a",
        "GET ftp://a/ HTTP/1.1\r\nHost: a",
        "get / HTTP/1.1\r\nHost: a",
        "CONNECT a:443 HTTP/1.1\r\nHost: a",
        "TRACE / HTTP/1.1\r\nHost: a",
        "PRI * HTTP/2.0",
        "TENANTD-REFUSED /200/0 HTTP/1.1\r\nHost: a",
    ] {
        assert_eq!(framing(head), Err(400), "{head:?}");
    }
}

#[test]
fn what_is_too_long_is_refused_before_it_is_complete() {
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(9000));
    assert_eq!(check(long.as_bytes(), LIMIT).unwrap_err().status, 414);
    assert_eq!(check(&vec![b'A'; 9000], LIMIT).unwrap_err().status, 414);
    let large = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(LIMIT));
    assert_eq!(check(large.as_bytes(), LIMIT).unwrap_err().status, 431);
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(101));
    assert_eq!(check(many.as_bytes(), LIMIT).unwrap_err().status, 431);
}

fn chunks(body: &[u8]) -> Option<(usize, bool)> {
    let mut chunk = Chunk::START;
    let length = chunk.follow(body)?;
    Some((length, chunk == Chunk::Done))
}

#[test]
fn chunks_are_followed_to_the_last_byte_and_no_further() {
    for body in [
        &b"0\r\n\r\n"[..],
        b"5\r\nhello\r\n0\r\n\r\n",
        b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n",
        b"0A\r\n0123456789\r\n00\r\n\r\n",
    ] {
        let more = [body, b"GET / HTTP/1.1\r\n"].concat();
        assert_eq!(chunks(&more), Some((body.len(), true)), "{body:?}");
    }
    assert_eq!(chunks(b"5\r\nhel"), Some((6, false)));
}

#[test]
fn malformed_chunks_are_refused() {
    let long = [b"5;".as_slice(), &[b'a'; 300], b"\r\nhello\r\n0\r\n\r\n"].concat();
    for body in [
        &b"5\nhello\r\n0\r\n\r\n"[..],
        b"5 \r\nhello\r\n0\r\n\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n",
        b"+5\r\nhello\r\n",
        b"-1\r\n",
        b"\r\n\r\n",
        b";a\r\n",
        b"g\r\n",
        b"5\r\nhelloX\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"1000000000\r\n",
        b"5;a\nb\r\nhello\r\n",
        b"5;a\rb\r\nhello\r\n",
        b"0\r\nX: y\nGET",
        b"0\r\n X\r\n\r\n",
        b"0\r\nX: \0\r\n\r\n",
        &long,
    ] {
        assert_eq!(chunks(body), None, "{:?}", String::from_utf8_lossy(body));
    }
}

fn patience() -> Patience {
    Patience { head: Duration::from_millis(200), idle: Duration::from_millis(400), header_bytes: LIMIT }
}

/// What comes out of the reader when these pieces go in, and then nothing more.
async fn read(pieces: &[&[u8]]) -> (Vec<u8>, bool) {
    let (mut client, server) = tokio::io::duplex(1 << 20);
    let mut checked = Checked::new(server, patience(), Arc::default());
    let pieces: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.to_vec()).collect();
    tokio::spawn(async move {
        for piece in pieces {
            client.write_all(&piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        client.shutdown().await.unwrap();
    });
    let mut out = Vec::new();
    let done = tokio::time::timeout(Duration::from_millis(100), checked.read_to_end(&mut out)).await;
    (out, done.is_ok_and(|read| read.is_ok()))
}

const GOOD: &[u8] = b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nPOST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /c HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn plain_requests_come_out_as_they_went_in_however_they_are_cut() {
    for step in [1, 2, 3, 7, 64, GOOD.len()] {
        let pieces: Vec<&[u8]> = GOOD.chunks(step).collect();
        assert_eq!(read(&pieces).await, (GOOD.to_vec(), true), "{step}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_head_becomes_a_request_that_says_so_and_nothing_follows_it() {
    let bad = b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let (out, ended) = read(&[GOOD, bad]).await;
    let text = String::from_utf8(out).unwrap();
    let rest = text.strip_prefix(std::str::from_utf8(GOOD).unwrap()).unwrap();
    assert!(
        rest.starts_with(&format!("{REFUSED} /400/8 HTTP/1.1\r\n")) && rest.ends_with("\r\n\r\n"),
        "{rest}"
    );
    assert!(!text.contains("smuggled") && !ended);
    assert_eq!(Refusal::from_path("/400/8").reason, "Host is missing or given more than once");
}

#[tokio::test(start_paused = true)]
async fn a_malformed_chunk_ends_the_connection() {
    let (out, ended) =
        read(&[b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX"]).await;
    assert!(!ended && !out.ends_with(b"X"));
}

#[tokio::test(start_paused = true)]
async fn a_slow_head_is_refused_and_an_idle_connection_ends() {
    let (mut client, server) = tokio::io::duplex(1 << 10);
    let mut checked = Checked::new(server, patience(), Arc::default());
    client.write_all(b"GET / HTTP/1.1\r\nHos").await.unwrap();
    let mut out = [0; 256];
    let length = checked.read(&mut out).await.unwrap();
    assert!(out[..length].starts_with(format!("{REFUSED} /408/").as_bytes()));
    let (mut client, server) = tokio::io::duplex(1 << 10);
    let mut checked = Checked::new(server, patience(), Arc::default());
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    assert!(checked.read(&mut out).await.unwrap() > 0);
    let before = tokio::time::Instant::now();
    assert_eq!(checked.read(&mut out).await.unwrap(), 0);
    assert!(before.elapsed() >= Duration::from_millis(400));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_and_no_head_it_takes_has_a_bare_end_of_line(bytes in prop::collection::vec(prop::sample::select(&b"GET / HTP1.\r\n:aHostContent-Length5 \t\0;x"[..]), 0..200)) {
        if let Ok(Some(head)) = check(&bytes, LIMIT) {
            let text = &bytes[..head.length];
            prop_assert!(text.ends_with(b"\r\n\r\n"));
            let lone = |at: usize| text[at] == b'\n' && (at == 0 || text[at - 1] != b'\r');
            prop_assert!(!(0..text.len()).any(lone));
        }
        let mut chunk = Chunk::START;
        let whole = chunk.follow(&bytes);
        // Cut anywhere, the verdict is the same.
        let mut parts = Chunk::START;
        let cut = bytes.len() / 2;
        let first = parts.follow(&bytes[..cut]);
        let both = first.and_then(|first| if first < cut { Some(first) } else { Some(first + parts.follow(&bytes[cut..])?) });
        prop_assert_eq!(whole, both);
    }
}
