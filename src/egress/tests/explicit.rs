//! The explicit proxy, over real sockets.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use support::{World, client_config, mirror, policy};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::{TlsAcceptor, TlsConnector};

const L4: &str = "      - {host: a.example, ports: [443, 80, 5000]}";
const L7: &str = "      - host: a.example\n        ports: [443, 80]\n        protocol: rest\n        enforcement: enforce\n        rules:\n          - allow: {method: GET, path: /good/**}";

async fn tls(
    world: &World,
    stream: tokio::net::TcpStream,
    ca: &rustls::pki_types::CertificateDer<'static>,
    name: &'static str,
) -> std::io::Result<tokio_rustls::client::TlsStream<tokio::net::TcpStream>> {
    let _world = world;
    TlsConnector::from(client_config(ca)).connect(name.try_into().unwrap(), stream).await
}

async fn serve_tls(world: &World) {
    let acceptor = TlsAcceptor::from(Arc::clone(&world.server));
    world
        .serve(443, move |stream| {
            let acceptor = acceptor.clone();
            async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    mirror(stream).await;
                }
            }
        })
        .await;
}

async fn get(
    stream: &mut (impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin),
    path: &str,
    host: &str,
) -> String {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let length =
        tokio::time::timeout(Duration::from_secs(5), stream.read(&mut answer)).await.unwrap().unwrap_or(0);
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

#[tokio::test]
async fn what_is_listed_passes_untouched_and_the_rest_is_refused_readably() {
    let world = World::new(&policy("deny", L4), None).await;
    serve_tls(&world).await;
    let (stream, said) = world.connect("a.example:443").await;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    // The server's own certificate is seen: nothing was terminated.
    let mut stream = tls(&world, stream, &world.server_ca, "a.example").await.unwrap();
    assert!(get(&mut stream, "/x", "a.example").await.contains("GET /x"));
    let refused = world.say("CONNECT b.example:443 HTTP/1.1\r\n\r\n").await;
    assert!(
        refused.starts_with("HTTP/1.1 403")
            && refused.contains("egress_denied")
            && refused.contains("b.example"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_tunnel_to_one_host_reaches_no_other() {
    let world = World::new(&policy("deny", L4), None).await;
    serve_tls(&world).await;
    let (stream, _) = world.connect("a.example:443").await;
    let error = tls(&world, stream, &world.server_ca, "b.example").await.unwrap_err();
    assert!(error.to_string().contains("AccessDenied"), "{error}");
    world.serve(80, mirror).await;
    let (mut stream, _) = world.connect("a.example:80").await;
    assert!(get(&mut stream, "/", "a.example").await.starts_with("HTTP/1.1 200"));
    let (mut stream, _) = world.connect("a.example:80").await;
    assert!(get(&mut stream, "/", "b.example").await.starts_with("HTTP/1.1 421"));
}

#[tokio::test]
async fn requests_in_tls_are_decided_one_by_one() {
    let world = World::new(&policy("deny", L7), None).await;
    serve_tls(&world).await;
    let (stream, said) = world.connect("a.example:443").await;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    let mut stream = tls(&world, stream, &world.ca, "a.example").await.unwrap();
    let good = get(&mut stream, "/good/x?y=1", "a.example").await;
    assert!(good.starts_with("HTTP/1.1 200"), "{good}");
    let bad = get(&mut stream, "/bad", "a.example").await;
    assert!(bad.starts_with("HTTP/1.1 403") && bad.contains("egress_denied"), "{bad}");
    assert!(get(&mut stream, "/good/../bad", "a.example").await.starts_with("HTTP/1.1 400"));
    assert!(get(&mut stream, "/good/x", "b.example").await.starts_with("HTTP/1.1 421"));
    assert!(get(&mut stream, "/good/again", "a.example").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn whole_urls_are_requests_and_their_host_counts() {
    let world = World::new(&policy("deny", L7), None).await;
    world.serve(80, mirror).await;
    let ask = |target: &str, host: &str| {
        format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
    };
    let good = world.say(&ask("http://a.example/good/x", "a.example")).await;
    assert!(good.starts_with("HTTP/1.1 200") && good.contains("GET /good/x HTTP/1.1"), "{good}");
    for (target, host, wanted) in [
        ("http://a.example/bad", "a.example", "403"),
        ("http://b.example/good/x", "b.example", "403"),
        ("http://a.example/good/x", "b.example", "421"),
        ("/good/x", "a.example", "400"),
        ("https://a.example/good/x", "a.example", "400"),
        ("http://u@a.example/good/x", "a.example", "400"),
    ] {
        let answer = world.say(&ask(target, host)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {wanted}")), "{target} {host}: {answer}");
    }
}

#[tokio::test]
async fn a_question_opens_what_it_allows_and_nothing_else_does() {
    for (verdict, wanted) in
        [(Some("allow"), "200"), (Some("deny"), "403"), (Some("noted"), "403"), (None, "403")]
    {
        let world = World::new(&policy("ask", ""), verdict).await;
        serve_tls(&world).await;
        let (_stream, said) = world.connect("a.example:443").await;
        assert!(said.starts_with(&format!("HTTP/1.1 {wanted}")), "{verdict:?} {said}");
        let asked = world.asked.lock().unwrap().clone();
        assert!(asked.len() == 1 && asked[0].contains("\"host\":\"a.example\""), "{asked:?}");
    }
}

#[tokio::test]
async fn a_new_policy_cuts_what_it_forbids_and_nothing_else() {
    let world = World::new(&policy("deny", L4), None).await;
    world
        .serve(5000, |mut stream| async move {
            let mut byte = [0];
            while stream.read_exact(&mut byte).await.is_ok() && stream.write_all(&byte).await.is_ok() {}
        })
        .await;
    let (mut stream, said) = world.connect("a.example:5000").await;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    let mut byte = [0];
    stream.write_all(b"\x01").await.unwrap();
    stream.read_exact(&mut byte).await.unwrap();
    world.write(&policy("deny", &format!("{L4}\n      - {{host: b.example, ports: [443]}}")));
    tokio::time::sleep(Duration::from_millis(600)).await;
    stream.write_all(b"\x02").await.unwrap();
    stream.read_exact(&mut byte).await.unwrap();
    world.write(&policy("deny", "      - {host: b.example, ports: [443]}"));
    let ended = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut byte)).await.unwrap();
    assert!(ended.is_err() || ended.is_ok_and(|count| count == 0));
}

#[tokio::test]
async fn closed_addresses_are_closed_in_every_spelling() {
    let world =
        World::new(&policy("ask", "      - {host: rebound.example, ports: [443]}"), Some("allow")).await;
    serve_tls(&world).await;
    for host in [
        "127.0.0.1",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "169.254.169.254",
        "rebound.example",
        "0.0.0.0",
    ] {
        let (_stream, said) = world.connect(&format!("{host}:443")).await;
        assert!(said.starts_with("HTTP/1.1 403"), "{host}: {said}");
    }
    let (_stream, said) = world.connect("93.184.215.14:443").await;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
}

#[tokio::test]
async fn heads_without_an_end_are_ended() {
    let world = World::new(&policy("deny", L4), None).await;
    let long = world.say(&format!("CONNECT a.example:443 HTTP/1.1\r\nX: {}", "x".repeat(20_000))).await;
    assert!(long.starts_with("HTTP/1.1 400") || long.is_empty(), "{long}");
    let slow = world.say("CONNECT a.example:443 HTTP/1.1\r\n").await;
    assert!(slow.starts_with("HTTP/1.1 400"), "{slow}");
}

#[tokio::test]
async fn names_below_a_pattern_are_few_in_a_minute_for_tunnels_too() {
    let world = World::new(&policy("deny", "      - {host: \"*.a.example\", ports: [5000]}"), None).await;
    let mut refused = 0;
    for number in 0..70 {
        let (_, said) = world.connect(&format!("n{number}.a.example:5000")).await;
        assert!(said.starts_with("HTTP/1.1 403"), "{said}");
        refused = world.proxy.events.numbers.get("dns-tunnel");
    }
    assert_eq!(refused, 10);
}
