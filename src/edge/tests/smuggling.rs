//! Requests that two parsers could read in two ways end at the edge, and so does their connection.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is a failed test")]

mod support;

use std::sync::atomic::Ordering;

use model::Role;
use support::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_hidden_behind_a_refused_head_reaches_a_gateway() {
    let host = Host::start().await;
    let (at, seen) = gateway().await;
    host.route("acme", at);
    let token = host.token("acme", Role::Owner);
    let name = format!("acme.{DOMAIN}");
    let smuggled = format!("GET /smuggled HTTP/1.1\r\nHost: {name}\r\nAuthorization: Bearer {token}\r\n\r\n");
    let length = smuggled.len();
    let auth = format!("Host: {name}\r\nAuthorization: Bearer {token}\r\n");
    let cases = [
        // CL.TE and TE.CL.
        format!(
            "POST / HTTP/1.1\r\n{auth}Content-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}",
            length + 5
        ),
        format!(
            "POST / HTTP/1.1\r\n{auth}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n{length:x}\r\n{smuggled}\r\n0\r\n\r\n"
        ),
        // TE.TE.
        format!(
            "POST / HTTP/1.1\r\n{auth}Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n{smuggled}"
        ),
        format!("POST / HTTP/1.1\r\n{auth}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("POST / HTTP/1.1\r\n{auth}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("POST / HTTP/1.1\r\n{auth}X: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("POST / HTTP/1.1\r\n{auth}Content-Length: 0\r\nContent-Length: {length}\r\n\r\n{smuggled}"),
        format!("POST / HTTP/1.1\r\n{auth}Content-Length: {length}, 0\r\n\r\n{smuggled}"),
        format!("POST / HTTP/1.0\r\n{auth}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"),
        // Ends of lines.
        format!("GET / HTTP/1.1\n{auth}\r\n{smuggled}"),
        format!("GET / HTTP/1.1\r\n{auth}X: a\n\r\n{smuggled}"),
        format!("GET / HTTP/1.1\r\n{auth}X: a\rContent-Length: {length}\r\n\r\n{smuggled}"),
        format!("GET / HTTP/1.1\r\n{auth}X: a\0b\r\n\r\n{smuggled}"),
        // Whose it is.
        format!("GET / HTTP/1.1\r\n{auth}Host: beta.{DOMAIN}\r\n\r\n{smuggled}"),
        format!("GET https://beta.{DOMAIN}/ HTTP/1.1\r\n{auth}\r\n{smuggled}"),
        format!("GET / HTTP/1.1\r\nAuthorization: Bearer {token}\r\n\r\n{smuggled}"),
        format!("GET / HTTP/1.1\r\n Host: {name}\r\nAuthorization: Bearer {token}\r\n\r\n{smuggled}"),
        // Other methods and versions.
        format!("CONNECT {name}:443 HTTP/1.1\r\n{auth}\r\n{smuggled}"),
        format!("TRACE / HTTP/1.1\r\n{auth}\r\n{smuggled}"),
        format!("GET /\r\n{smuggled}"),
        format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{smuggled}"),
        format!("TENANTD-REFUSED /200/0 HTTP/1.1\r\n{auth}\r\n{smuggled}"),
        // An upgrade with a body.
        format!(
            "GET / HTTP/1.1\r\n{auth}Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: {length}\r\n\r\n{smuggled}"
        ),
    ];
    for case in &cases {
        let answer = host.raw("acme", case.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{case:?}\n{answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{case:?}\n{answer}");
        assert!(answer.contains("connection: close") && answer.contains("\"request_id\""), "{answer}");
    }
    assert_eq!(seen.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_before_a_refused_one_is_answered_first() {
    let host = Host::start().await;
    host.route("acme", gateway().await.0);
    let token = host.token("acme", Role::Owner);
    let good = format!("GET /first HTTP/1.1\r\nHost: acme.{DOMAIN}\r\nAuthorization: Bearer {token}\r\n\r\n");
    let answer = host
        .raw("acme", format!("{good}{good}GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n{good}").as_bytes())
        .await;
    let statuses: Vec<&str> =
        answer.match_indices("HTTP/1.1 ").map(|(at, _)| &answer[at + 9..at + 12]).collect();
    assert_eq!(statuses, ["200", "200", "400"], "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_chunk_is_a_400_and_its_body_no_whole_request() {
    let host = Host::start().await;
    host.route("acme", gateway().await.0);
    let token = host.token("acme", Role::Owner);
    let head = format!(
        "POST / HTTP/1.1\r\nHost: acme.{DOMAIN}\r\nAuthorization: Bearer {token}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    for chunks in [
        "5\r\nhelloX\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "zz\r\n",
        "5\r\nhello\r\n-1\r\n",
    ] {
        let answer = host
            .raw("acme", format!("{head}{chunks}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
            .await;
        assert!(
            answer.starts_with("HTTP/1.1 400 ") && answer.matches("HTTP/1.1 ").count() == 1,
            "{chunks:?}: {answer}"
        );
    }
    let answer = host.raw("acme", format!("{head}5;x=y\r\nhello\r\n0\r\nX: y\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"body\":\"hello\""), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_after_an_upgrade_that_is_not_granted_are_no_request() {
    let host = Host::start().await;
    let (at, seen) = gateway().await;
    host.route("acme", at);
    let token = host.token("acme", Role::Viewer);
    let good =
        format!("GET /smuggled HTTP/1.1\r\nHost: acme.{DOMAIN}\r\nAuthorization: Bearer {token}\r\n\r\n");
    for upgrade in ["websocket", "h2c"] {
        let head = format!(
            "GET / HTTP/1.1\r\nHost: acme.{DOMAIN}\r\nAuthorization: Bearer {token}\r\nConnection: upgrade\r\nUpgrade: {upgrade}\r\n\r\n"
        );
        let answer = host.raw("acme", format!("{head}{good}").as_bytes()).await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
    // The one with h2c is an ordinary request.
    assert_eq!(seen.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_and_long_heads_and_large_bodies_are_refused() {
    let mut setup = Setup::default();
    setup.limits.body_bytes = 1000;
    let host = Host::with(setup).await;
    host.route("acme", gateway().await.0);
    let token = host.token("acme", Role::Owner);
    let auth = format!("Host: acme.{DOMAIN}\r\nAuthorization: Bearer {token}\r\n");
    let status = async |request: String| host.raw("acme", request.as_bytes()).await[9..12].to_owned();
    assert_eq!(status(format!("GET /{} HTTP/1.1\r\n{auth}\r\n", "x".repeat(9000))).await, "414");
    assert_eq!(status(format!("GET / HTTP/1.1\r\n{auth}X: {}\r\n\r\n", "x".repeat(40_000))).await, "431");
    assert_eq!(status(format!("POST / HTTP/1.1\r\n{auth}Content-Length: 1001\r\n\r\n")).await, "413");
    let chunk = "x".repeat(0x400);
    assert_eq!(
        status(format!(
            "POST / HTTP/1.1\r\n{auth}Transfer-Encoding: chunked\r\n\r\n400\r\n{chunk}\r\n0\r\n\r\n"
        ))
        .await,
        "413"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_are_let_go() {
    let host = Host::start().await;
    host.route("acme", gateway().await.0);
    let token = host.token("acme", Role::Owner);
    // Nothing at all, before and after the handshake.
    let mut silent = tokio::net::TcpStream::connect(host.https).await.unwrap();
    assert_eq!(soon(silent.read(&mut [0; 1])).await.unwrap_or(0), 0);
    assert_eq!(host.raw("acme", b"").await, "");
    let answer = host.raw("acme", b"GET / HTTP/1.1\r\nHo").await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    let answer = host.raw("acme", format!("POST / HTTP/1.1\r\nHost: acme.{DOMAIN}\r\nAuthorization: Bearer {token}\r\nContent-Length: 9\r\n\r\nabc").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    // One byte at a time is no way to stay.
    let mut stream = host.tenant_tls("acme").await;
    let start = std::time::Instant::now();
    for byte in std::iter::repeat(b'G') {
        if stream.write_all(&[byte]).await.is_err() || start.elapsed() > SOON {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(start.elapsed() < std::time::Duration::from_secs(5));
}
