//! Connections that were redirected: what they say has to fit the address that they went to. There is no redirection here; clients
//! connect to addresses of a listener on 127.0.0.1, which no name may have, and what would go on is seen by what is not refused before.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use support::{World, client_config, mirror, policy};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

const LISTED: &str = "      - {host: a.example, ports: [80, 443]}";

/// A client that was redirected, and where it wanted to go.
async fn redirected(world: &World) -> (TcpStream, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap();
    let client = TcpStream::connect(to).await.unwrap();
    let (stream, from) = listener.accept().await.unwrap();
    tokio::spawn(tenant_egress::transparent::serve(Arc::clone(&world.proxy), stream, from, to));
    (client, to)
}

async fn answer(client: &mut TcpStream, bytes: &[u8]) -> String {
    client.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    drop(tokio::time::timeout(Duration::from_secs(10), client.read_to_end(&mut answer)).await.unwrap());
    String::from_utf8_lossy(&answer).into_owned()
}

fn models(file: &mut serde_json::Value) {
    file["inference"] = json!({"providers": [
        {"name": "local", "api": "openai", "url": "http://127.0.0.1:11434", "models": ["small"]},
    ]});
}

#[tokio::test]
async fn a_name_is_believed_only_at_an_address_that_is_its_own() {
    let world = World::with(&policy("deny", LISTED), None, models).await;
    world.serve(80, mirror).await;
    let get = |host: &str, to: SocketAddr| {
        format!("GET /v1/none HTTP/1.1\r\nHost: {host}:{}\r\nConnection: close\r\n\r\n", to.port())
            .into_bytes()
    };
    for (number, host) in ["a.example", "A.Example.", "b.example", "inference.internal"].iter().enumerate() {
        let (mut client, to) = redirected(&world).await;
        let said = answer(&mut client, &get(host, to)).await;
        assert!(said.starts_with("HTTP/1.1 403") && said.contains("has not the address"), "{host}: {said}");
        assert_eq!(world.count("not-pinned"), u64::try_from(number + 1).unwrap());
    }
    // A listed name is looked up to see; no other is.
    assert_eq!(world.looked_up(), ["a.example"; 2]);
    world.proxy.names.pin("inference.internal", &[[127, 0, 0, 1].into()]);
    world.proxy.names.pin("a.example", &[[127, 0, 0, 1].into()]);
    let (mut client, to) = redirected(&world).await;
    let said = answer(&mut client, &get("inference.internal", to)).await;
    assert!(said.starts_with("HTTP/1.1 404") && said.contains("unknown_url"), "{said}");
    // That it is the name's does not open an address that is closed.
    let (mut client, to) = redirected(&world).await;
    let said = answer(&mut client, &get("a.example", to)).await;
    assert!(said.starts_with("HTTP/1.1 403") && !said.contains("has not the address"), "{said}");
}

#[tokio::test]
async fn a_request_names_one_host_and_the_port_that_it_went_to() {
    let world = World::with(&policy("deny", LISTED), None, models).await;
    world.proxy.names.pin("inference.internal", &[[127, 0, 0, 1].into()]);
    for head in [
        "Host: inference.internal:1",
        "Host: inference.internal:PORT\r\nHost: inference.internal:PORT",
        "Host: inference.internal:PORT\r\nHost: a.example",
        "Host: u@inference.internal:PORT",
        "Host: inference.internal:PORT, a.example",
        "Host:",
        "X: y",
        "Host : inference.internal:PORT",
        "Host: inference.internal:PORT\r\n X: y",
    ] {
        let (mut client, to) = redirected(&world).await;
        let head = head.replace("PORT", &to.port().to_string());
        let said = answer(&mut client, format!("GET /v1/none HTTP/1.1\r\n{head}\r\n\r\n").as_bytes()).await;
        assert!(said.starts_with("HTTP/1.1 400") && said.contains("malformed"), "{head}: {said}");
    }
    for bytes in [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"[..],
        b"GET /v1/none HTTP/2.0\r\nHost: inference.internal\r\n\r\n",
    ] {
        let (mut client, _) = redirected(&world).await;
        let said = answer(&mut client, bytes).await;
        assert!(said.starts_with("HTTP/1.1 400"), "{said}");
    }
    // A later request on the connection is for the same host.
    let (mut client, to) = redirected(&world).await;
    let one = |host: &str, close: &str| {
        format!("GET /v1/none HTTP/1.1\r\nHost: {host}:{}\r\n{close}\r\n", to.port())
    };
    let two = one("inference.internal", "") + &one("a.example", "Connection: close\r\n");
    let said = answer(&mut client, two.as_bytes()).await;
    assert!(said.starts_with("HTTP/1.1 404") && said.contains("HTTP/1.1 421"), "{said}");
    assert!(world.looked_up().is_empty());
}

#[tokio::test]
async fn tls_names_a_host_at_its_address_and_nothing_else_is_guessed() {
    let world = World::with(&policy("deny", LISTED), None, models).await;
    let tls = async |name: &'static str| {
        let (client, _) = redirected(&world).await;
        TlsConnector::from(client_config(&world.ca)).connect(name.try_into().unwrap(), client).await
    };
    for name in ["a.example", "b.example", "inference.internal", "127.0.0.1"] {
        let error = tls(name).await.unwrap_err();
        assert!(error.to_string().contains("AccessDenied"), "{name}: {error}");
    }
    assert_eq!(world.looked_up(), ["a.example"]);
    world.proxy.names.pin("inference.internal", &[[127, 0, 0, 1].into()]);
    assert!(tls("inference.internal").await.is_ok());
    world.proxy.names.pin("a.example", &[[127, 0, 0, 1].into()]);
    assert!(tls("a.example").await.unwrap_err().to_string().contains("AccessDenied"));
}

#[tokio::test]
async fn bytes_that_name_nobody_go_by_the_only_name_of_their_address() {
    // 127.0.0.1 stays closed, so nothing goes on, and nobody is asked.
    for pinned in [&["a.example"][..], &["a.example", "b.example"], &[]] {
        let world = World::new(&policy("ask", ""), Some("deny")).await;
        for name in pinned {
            world.proxy.names.pin(name, &[[127, 0, 0, 1].into()]);
        }
        let (mut client, _) = redirected(&world).await;
        assert_eq!(answer(&mut client, b"\0\0\0\x01 no protocol that is known").await, "");
        assert!(world.asked.lock().unwrap().is_empty() && world.looked_up().is_empty());
        let (nameless, denied) = (world.count("nameless"), world.count("deny"));
        assert_eq!((nameless, denied), if pinned.len() == 2 { (1, 0) } else { (0, 1) }, "{pinned:?}");
    }
}
