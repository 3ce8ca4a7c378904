//! Who is over a limit waits alone; what is revoked ends; who sleeps is woken once.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is a failed test")]

mod support;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use model::Role;
use serde_json::json;
use support::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[tokio::test(flavor = "multi_thread")]
async fn one_tenant_at_its_limit_does_not_slow_another() {
    let mut setup = Setup::default();
    setup.limits.requests_per_tenant = 5;
    setup.limits.connections_per_tenant = 3;
    let host = Host::with(setup).await;
    host.route("acme", gateway().await.0);
    host.route("beta", gateway().await.0);
    let (acme, beta) = (host.token("acme", Role::Owner), host.token("beta", Role::Owner));
    let mut statuses = Vec::new();
    for _ in 0..20 {
        statuses.push(host.get("acme", &acme, "/").await.status);
    }
    assert!(
        statuses.iter().filter(|status| **status == 200).count() >= 10 && statuses.contains(&429),
        "{statuses:?}"
    );
    let limited = host.get("acme", &acme, "/").await;
    assert_eq!(
        (limited.status, limited.header("retry-after"), &limited.json()["error"]),
        (429, "1", &json!("too_many"))
    );
    let start = Instant::now();
    assert_eq!(host.get("beta", &beta, "/").await.status, 200);
    assert!(start.elapsed() < Duration::from_secs(1));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let bearer = format!("Bearer {acme}");
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(host.websocket("acme", &[("Authorization", &bearer)]).await);
    }
    assert!(open.iter().all(|(head, _)| head.starts_with("HTTP/1.1 101")));
    let (head, _) = host.websocket("acme", &[("Authorization", &bearer)]).await;
    assert!(head.starts_with("HTTP/1.1 429 "), "{head}");
    assert_eq!(host.get("beta", &beta, "/").await.status, 200);
    drop(open);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (head, _) = host.websocket("acme", &[("Authorization", &bearer)]).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_has_so_many_requests_connections_and_failures() {
    let mut setup = Setup::default();
    setup.limits.connections_per_ip = 4;
    setup.limits.failures_per_ip = 3;
    let host = Host::with(setup).await;
    host.route("acme", gateway().await.0);
    let token = host.token("acme", Role::Owner);
    for _ in 0..3 {
        assert_eq!(host.get("acme", "bad", "/").await.status, 401);
    }
    let answer = host.get("acme", &token, "/").await;
    assert_eq!(answer.status, 429);
    assert!(answer.header("retry-after").parse::<u32>().unwrap() > 1);
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(host.tenant_tls("acme").await);
    }
    let mut fifth = tokio::net::TcpStream::connect(host.https).await.unwrap();
    assert_eq!(soon(fifth.read(&mut [0; 1])).await.unwrap_or(0), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_revoked_ends_within_a_second_on_sockets_and_streams_that_are_open() {
    let host = Host::start().await;
    host.route("acme", gateway().await.0);
    let keeps = format!("Bearer {}", host.token_of("acme", Role::Owner, "bob", now() + 300));
    let (_, mut other) = host.websocket("acme", &[("Authorization", &keeps)]).await;
    let token = host.token("acme", Role::Owner);
    let bearer = format!("Bearer {token}");
    let (head, mut socket) = host.websocket("acme", &[("Authorization", &bearer)]).await;
    assert!(head.starts_with("HTTP/1.1 101 "));
    let stream = host.tenant_tls("acme").await;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request =
        Request::get("/stream").header("host", format!("acme.{DOMAIN}")).header("authorization", &bearer);
    let mut events =
        soon(sender.send_request(request.body(Full::<Bytes>::default()).unwrap())).await.unwrap().into_body();
    assert!(soon(events.frame()).await.unwrap().is_ok());
    host.revoke("subject", "alice");
    let start = Instant::now();
    let mut rest = Vec::new();
    soon(socket.read_to_end(&mut rest)).await.unwrap();
    assert!(
        rest.ends_with(&[0x88, 2, 0x03, 0xf0]),
        "no close frame 1008: {:?}",
        &rest[rest.len().saturating_sub(8)..]
    );
    while let Some(frame) = soon(events.frame()).await {
        if frame.is_err() {
            break;
        }
    }
    assert!(start.elapsed() < Duration::from_millis(1000), "{:?}", start.elapsed());
    assert_eq!(host.get("acme", &token, "/").await.status, 401);
    // Somebody else's goes on.
    other.write_all(b"still").await.unwrap();
    let mut start = [0; 4];
    soon(other.read_exact(&mut start)).await.unwrap();
    let mut told = vec![0; usize::from(u16::from_be_bytes([start[2], start[3]])) + 5];
    soon(other.read_exact(&mut told)).await.unwrap();
    assert!(told.ends_with(b"still"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_ends_with_its_token_its_role_and_its_route() {
    let host = Host::start().await;
    let (at, _) = gateway().await;
    host.route("acme", at);
    let open = async |token: String| {
        host.websocket("acme", &[("Authorization", &format!("Bearer {token}"))]).await.1
    };
    let ends = async |mut socket: Tls| {
        let start = Instant::now();
        soon(socket.read_to_end(&mut Vec::new())).await.unwrap();
        start.elapsed()
    };
    let short = open(host.token_of("acme", Role::Owner, "alice", now() + 2)).await;
    assert!(ends(short).await < Duration::from_secs(4));
    let socket = open(host.token("acme", Role::Operator)).await;
    let owner = model::edge::RoleRights {
        role: Role::Owner,
        methods: model::edge::Methods::All,
        websocket: true,
        scopes: Vec::new(),
    };
    host.route_with("acme", at, false, std::slice::from_ref(&owner));
    assert!(ends(socket).await < Duration::from_secs(3));
    let socket = open(host.token("acme", Role::Owner)).await;
    std::fs::remove_file(host.paths.route(&tenant("acme"))).unwrap();
    assert!(ends(socket).await < Duration::from_secs(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sleeping_tenant_is_woken_once_for_all_who_wait() {
    let host = Host::start().await;
    let listener = tokio::net::TcpSocket::new_v4().unwrap();
    listener.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let at = listener.local_addr().unwrap();
    host.route("acme", at);
    let (tell, told) = std::sync::mpsc::channel();
    let woken = wake_socket(&host.paths.wake_socket(), "ready", Duration::from_millis(1500), move || {
        tell.send(()).unwrap()
    });
    let runtime = tokio::runtime::Handle::current();
    std::thread::spawn(move || {
        told.recv().unwrap();
        let _inside = runtime.enter();
        runtime.spawn(serve_gateway(listener.listen(64).unwrap(), Seen::default()));
    });
    let token = host.token("acme", Role::Owner);
    let page = host.ask("acme", Some(&token), Request::get("/").header("accept", "text/html"), "");
    let all = futures_util::future::join_all((0..20).map(|_| host.get("acme", &token, "/")));
    let (page, all) = futures_util::future::join(page, all).await;
    assert!(
        page.status == 503
            && page.body.contains("http-equiv=\"refresh\"")
            && page.header("retry-after") == "2",
        "{page:?}"
    );
    assert!(all.iter().all(|answer| answer.status == 200), "{all:?}");
    assert_eq!(woken.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_tenant_stays_stopped_and_a_failure_tells_a_client_nothing() {
    for (word, error) in [("stopped", "stopped"), ("failed", "unavailable"), ("nonsense", "unavailable")] {
        let host = Host::start().await;
        host.route("acme", SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
        wake_socket(&host.paths.wake_socket(), word, Duration::ZERO, || ());
        let answer = host.get("acme", &host.token("acme", Role::Owner), "/").await;
        assert_eq!((answer.status, &answer.json()["error"]), (503, &json!(error)));
        assert!(!answer.body.contains("journalctl") && !answer.body.contains("127.0.0.1"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proof_header_is_asked_for_once_and_without_it_nothing_is_sent() {
    let host = Host::start().await;
    let (at, seen) = gateway().await;
    let owner = model::edge::RoleRights {
        role: Role::Owner,
        methods: model::edge::Methods::All,
        websocket: true,
        scopes: Vec::new(),
    };
    host.route_with("acme", at, true, &[owner]);
    let token = host.token("acme", Role::Owner);
    assert_eq!(host.get("acme", &token, "/").await.status, 503);
    assert_eq!(seen.load(Ordering::SeqCst), 0);
    let asked = proof_socket(&host.paths.proof_socket(), SECRET);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    for _ in 0..5 {
        assert_eq!(host.get("acme", &token, "/").await.status, 200);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn port_80_sends_to_https_and_only_for_names_of_ours() {
    let host = Host::start().await;
    let ask = async |head: String| {
        let mut stream = tokio::net::TcpStream::connect(host.http).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        soon(stream.read_to_string(&mut answer)).await.unwrap();
        answer
    };
    let answer = ask(format!("GET /a?b HTTP/1.1\r\nHost: ACME.{DOMAIN}\r\n\r\n")).await;
    assert!(
        answer.starts_with("HTTP/1.1 308 ")
            && answer.contains(&format!("location: https://acme.{DOMAIN}/a?b\r\n")),
        "{answer}"
    );
    assert!(ask("GET / HTTP/1.1\r\nHost: example.org\r\n\r\n".to_owned()).await.starts_with("HTTP/1.1 421 "));
    assert!(
        ask("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned()).await.starts_with("HTTP/1.1 400 ")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_end_websockets_are_told_to_go_and_answers_under_way_are_finished() {
    let host = Host::start().await;
    host.route("acme", gateway().await.0);
    let token = host.token("acme", Role::Owner);
    let (_, mut socket) = host.websocket("acme", &[("Authorization", &format!("Bearer {token}"))]).await;
    let slow = host.get("acme", &token, "/slow");
    let end = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        host.edge.stopping.send_replace(true);
        let mut rest = Vec::new();
        soon(socket.read_to_end(&mut rest)).await.unwrap();
        assert!(rest.ends_with(&[0x88, 2, 0x03, 0xe9]), "no close frame 1001");
    };
    let (slow, ()) = futures_util::future::join(slow, end).await;
    assert_eq!((slow.status, slow.body.as_str()), (200, "late"));
    soon(host.served).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_and_the_numbers_are_served_without_a_restart() {
    let host = Host::start().await;
    host.route("acme", gateway().await.0);
    assert_eq!(host.get("acme", &host.token("acme", Role::Owner), "/").await.status, 200);
    let text = tenant_edge::metrics::text(&host.edge);
    assert!(text.contains("tenantd_edge_requests_total{tenant=\"acme\",status=\"2xx\"} 1\n"), "{text}");
    assert!(text.contains("tenantd_edge_connections_total 1\n") && !text.contains("Bearer"), "{text}");
    let made = rcgen::generate_simple_self_signed(vec!["other.example".to_owned()]).unwrap();
    let directory = host.paths.edge().join("tls");
    put(&directory.join("key.pem"), "nonsense");
    tokio::time::sleep(Duration::from_millis(700)).await;
    drop(host.tenant_tls("acme").await);
    put(&directory.join("cert.pem"), &made.cert.pem());
    put(&directory.join("key.pem"), &made.signing_key.serialize_pem());
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let stream = tokio::net::TcpStream::connect(host.https).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from(format!("acme.{DOMAIN}")).unwrap();
    assert!(tokio_rustls::TlsConnector::from(host.trust).connect(name, stream).await.is_err());
}
