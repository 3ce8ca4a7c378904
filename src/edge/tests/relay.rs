//! What goes through the edge, and what it says to whom.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is a failed test")]

mod support;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use model::Role;
use serde_json::json;
use support::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn sent(answer: &Answer) -> Vec<(String, String)> {
    serde_json::from_value(answer.json()["headers"].clone()).unwrap()
}

fn value<'a>(headers: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn get_and_post_reach_the_gateway_and_come_back() {
    let host = Host::start().await;
    host.route("acme", gateway().await.0);
    let token = host.token("acme", Role::Operator);
    let answer = host.get("acme", &token, "/a/b?c=d").await;
    assert_eq!(
        (answer.status, &answer.json()["method"], &answer.json()["uri"]),
        (200, &json!("GET"), &json!("/a/b?c=d"))
    );
    let answer = host.ask("acme", Some(&token), Request::post("/post"), &"x".repeat(200_000)).await;
    assert_eq!((answer.status, &answer.json()["length"]), (200, &json!(200_000)));
    let mut second = host.second("acme").await;
    let request = Request::post(format!("https://acme.{DOMAIN}/second"))
        .header("authorization", format!("Bearer {token}"))
        .body(Full::new(Bytes::from("hello")))
        .unwrap();
    let answer = whole(soon(second.send_request(request)).await.unwrap()).await;
    assert_eq!((answer.status, &answer.json()["body"]), (200, &json!("hello")));
    assert_eq!(value(&sent(&answer), "host"), [format!("acme.{DOMAIN}")]);
    assert_eq!(host.get("acme", &token, "/large").await.body.len(), 8 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_to_a_gateway_serves_the_next_request_whoever_sends_it() {
    let host = Host::start().await;
    host.route("acme", gateway().await.0);
    let (alice, bob) =
        (host.token("acme", Role::Owner), host.token_of("acme", Role::Viewer, "bob", now() + 300));
    let mut numbers = Vec::new();
    for (token, path) in
        [(&alice, "/a"), (&bob, "/b"), (&alice, "/cookies"), (&bob, "/large"), (&alice, "/c")]
    {
        let answer = host.get("acme", token, path).await;
        numbers.push(answer.header("x-connection").to_owned());
        // The connection's own task has to see the end of the answer, too.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(numbers, ["0"; 5]);
    // One whose answer was left half-read serves nobody.
    let stream = host.tenant_tls("acme").await;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("/stream").header("host", format!("acme.{DOMAIN}"));
    let request =
        request.header("authorization", format!("Bearer {alice}")).body(Full::<Bytes>::default()).unwrap();
    let mut body = soon(sender.send_request(request)).await.unwrap().into_body();
    assert!(soon(body.frame()).await.unwrap().is_ok());
    drop((body, sender));
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert_eq!(host.get("acme", &bob, "/d").await.header("x-connection"), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_claims_is_dropped_and_the_edge_says_it_itself() {
    let host = Host::start().await;
    proof_socket(&host.paths.proof_socket(), SECRET);
    let (at, _) = gateway().await;
    let roles = [model::edge::RoleRights {
        role: Role::Operator,
        methods: model::edge::Methods::All,
        websocket: true,
        scopes: vec!["operator.read".into(), "operator.write".into()],
    }];
    host.route_with("acme", at, true, &roles);
    let token = host.token_of("acme", Role::Operator, "Zoë <z@example.org>", now() + 300);
    let mut request =
        Request::post("/").header("origin", format!("https://acme.{DOMAIN}")).header("connection", "x-hop");
    for (name, value) in [
        ("x-forwarded-user", "owner"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-anything", "1"),
        ("forwarded", "for=1"),
        ("x-real-ip", "1.1.1.1"),
        ("x-tenantd-subject", "root"),
        ("x-openclaw-scopes", "operator.admin"),
        ("x_forwarded_user", "owner"),
        ("x-hop", "1"),
        ("te", "trailers"),
        ("cookie", "a=1; __Host-tenantd=secret; b=2"),
        ("x-request-id", "mine"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        (&format!("x-tenantd-{SECRET}"), "1"),
    ] {
        request = request.header(name, value);
    }
    let answer = host.ask("acme", Some(&token), request, "x").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let headers = sent(&answer);
    let one = |name: &str| value(&headers, name).join("|");
    assert_eq!(one("x-forwarded-user"), "operator");
    assert_eq!(one("x-forwarded-for"), "192.0.2.1", "OpenClaw refuses a proxy that names a loopback address");
    assert_eq!(one("x-openclaw-scopes"), "operator.read,operator.write");
    assert_eq!(one("x-forwarded-proto"), "https");
    assert_eq!(one("x-forwarded-host"), format!("acme.{DOMAIN}"));
    assert_eq!(one("x-forwarded-port"), "443");
    assert_eq!(one("x-tenantd-subject"), "Zo%C3%AB%20%3Cz@example.org%3E");
    assert_eq!(one("origin"), "https://acme.tenant.invalid");
    assert_eq!(one("cookie"), "a=1; b=2");
    assert_eq!(one(&format!("x-tenantd-{SECRET}")), "1");
    assert!(one("traceparent").starts_with("00-0af"));
    assert!(one("x-request-id").len() == 16);
    for gone in [
        "x-forwarded-anything",
        "forwarded",
        "x-real-ip",
        "x_forwarded_user",
        "x-hop",
        "te",
        "authorization",
        "connection",
    ] {
        assert_eq!(one(gone), "", "{gone}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_cannot_set_the_platforms_cookie_or_another_service_for_its_name() {
    let host = Host::start().await;
    host.route("acme", gateway().await.0);
    let answer = host.get("acme", &host.token("acme", Role::Viewer), "/cookies").await;
    let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["theme=dark"]);
    assert_eq!((answer.header("alt-svc"), answer.header("x-inner")), ("", ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_nothing_of_another_tenant_whatever_names_it() {
    let host = Host::start().await;
    let (acme, beta) = (gateway().await, gateway().await);
    host.route("acme", acme.0);
    host.route("beta", beta.0);
    let token = host.token("acme", Role::Owner);
    assert_eq!(host.get("acme", &token, "/").await.status, 200);
    assert_eq!(host.get("beta", &token, "/").await.status, 401);
    let forged = |name: &str| {
        format!(
            "GET / HTTP/1.1\r\nHost: {name}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        )
    };
    // Host of another than the connection was opened for.
    let answer = host.raw("acme", forged(&format!("beta.{DOMAIN}")).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 421 "), "{answer}");
    for name in ["example.org", "beta.example.org", "127.0.0.1", &format!("a.acme.{DOMAIN}")] {
        let answer = host.raw("acme", forged(name).as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 421 "), "{name}: {answer}");
    }
    let absolute = format!(
        "GET https://beta.{DOMAIN}/ HTTP/1.1\r\nHost: acme.{DOMAIN}\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    assert!(host.raw("acme", absolute.as_bytes()).await.starts_with("HTTP/1.1 400 "));
    let mut second = host.second("acme").await;
    let request =
        Request::get(format!("https://beta.{DOMAIN}/")).header("authorization", format!("Bearer {token}"));
    let answer =
        whole(soon(second.send_request(request.body(Full::default()).unwrap())).await.unwrap()).await;
    assert_eq!(answer.status, 421);
    assert_eq!(beta.1.load(std::sync::atomic::Ordering::SeqCst), 0);
    // Whoever may not know does not learn which tenants there are.
    assert_eq!(host.get("gamma", &token, "/").await.status, 401);
    assert_eq!(host.get("gamma", &host.token("gamma", Role::Owner), "/").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_does_what_the_route_says_and_nobody_else_does_anything() {
    let host = Host::start().await;
    let (at, seen) = gateway().await;
    host.route("acme", at);
    let viewer = host.token("acme", Role::Viewer);
    assert_eq!(host.get("acme", &viewer, "/").await.status, 200);
    let answer = host.ask("acme", Some(&viewer), Request::post("/"), "x").await;
    assert_eq!((answer.status, &answer.json()["error"]), (403, &json!("forbidden")));
    let (head, _) = host.websocket("acme", &[("Authorization", &format!("Bearer {viewer}"))]).await;
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    let answer = host.ask("acme", None, Request::get("/"), "").await;
    assert_eq!((answer.status, answer.header("www-authenticate")), (401, "Bearer"));
    assert!(answer.json()["request_id"].as_str().unwrap().len() == 16);
    let answer = host.ask("acme", None, Request::get("/").header("accept", "text/html,*/*"), "").await;
    assert_eq!((answer.status, answer.header("location")), (303, "/.tenantd/login"));
    assert_eq!(host.get("acme", "nonsense", "/").await.status, 401);
    let dead = host.token_of("acme", Role::Owner, "alice", now());
    assert_eq!(host.get("acme", &dead, "/").await.status, 401);
    assert_eq!(seen.load(std::sync::atomic::Ordering::SeqCst), 1);
    let answer = host.get("acme", &viewer, "/.tenantd/whoami").await;
    assert_eq!((answer.status, &answer.json()["role"]), (200, &json!("viewer")));
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_of_a_websocket_go_both_ways_with_half_close() {
    let host = Host::start().await;
    host.route("acme", gateway().await.0);
    let token = format!("Bearer {}", host.token("acme", Role::Operator));
    let (head, mut stream) =
        host.websocket("acme", &[("Authorization", &token), ("Sec-WebSocket-Protocol", "chat")]).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(
        head.contains("sec-websocket-protocol: chat") && head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        "{head}"
    );
    let mut start = [0; 4];
    soon(stream.read_exact(&mut start)).await.unwrap();
    let mut told = vec![0; usize::from(u16::from_be_bytes([start[2], start[3]]))];
    soon(stream.read_exact(&mut told)).await.unwrap();
    let headers: Vec<(String, String)> = serde_json::from_slice(&told).unwrap();
    assert_eq!(value(&headers, "x-forwarded-user"), ["operator"]);
    assert_eq!(value(&headers, "sec-websocket-key").len(), 1);
    // More than all buffers on the way hold, while nobody reads.
    let (mut from, mut to) = tokio::io::split(stream);
    let sent: Vec<u8> = (0..6_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let copy = sent.clone();
    let writing = tokio::spawn(async move {
        to.write_all(&copy).await.unwrap();
        to.shutdown().await.unwrap();
    });
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    let mut got = Vec::new();
    soon(from.read_to_end(&mut got)).await.unwrap();
    writing.await.unwrap();
    assert!(got == sent, "{} bytes of {}", got.len(), sent.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_by_http2_is_one_by_http1_to_the_gateway() {
    let host = Host::start().await;
    host.route("acme", gateway().await.0);
    let mut second = host.second("acme").await;
    // The settings that allow it come first.
    let token = host.token("acme", Role::Operator);
    let get =
        Request::get(format!("https://acme.{DOMAIN}/")).header("authorization", format!("Bearer {token}"));
    whole(soon(second.send_request(get.body(Full::default()).unwrap())).await.unwrap()).await;
    let mut request = Request::connect(format!("https://acme.{DOMAIN}/socket"))
        .header("authorization", format!("Bearer {token}"))
        .header("sec-websocket-version", "13")
        .body(Full::<Bytes>::default())
        .unwrap();
    request.extensions_mut().insert(hyper::ext::Protocol::from_static("websocket"));
    let mut response = soon(second.send_request(request)).await.unwrap();
    assert_eq!(response.status(), 200);
    let mut stream = hyper_util::rt::TokioIo::new(soon(hyper::upgrade::on(&mut response)).await.unwrap());
    let mut start = [0; 4];
    soon(stream.read_exact(&mut start)).await.unwrap();
    let mut told = vec![0; usize::from(u16::from_be_bytes([start[2], start[3]]))];
    soon(stream.read_exact(&mut told)).await.unwrap();
    stream.write_all(b"ping").await.unwrap();
    let mut echo = [0; 4];
    soon(stream.read_exact(&mut echo)).await.unwrap();
    assert_eq!(&echo, b"ping");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_arrive_as_they_are_sent_and_a_gateway_that_dies_is_an_aborted_answer() {
    let host = Host::start().await;
    host.route("acme", gateway().await.0);
    let token = host.token("acme", Role::Viewer);
    let stream = host.tenant_tls("acme").await;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = |path: &str| {
        let request = Request::get(path)
            .header("host", format!("acme.{DOMAIN}"))
            .header("authorization", format!("Bearer {token}"));
        request.body(Full::<Bytes>::default()).unwrap()
    };
    let mut body = soon(sender.send_request(request("/stream"))).await.unwrap().into_body();
    for number in 0..3 {
        let event = soon(body.frame()).await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(event, format!("data: {number}\n\n"));
    }
    drop(body);
    let mut second = host.second("acme").await;
    let request = Request::get(format!("https://acme.{DOMAIN}/torn"))
        .header("authorization", format!("Bearer {token}"));
    let response = soon(second.send_request(request.body(Full::default()).unwrap())).await.unwrap();
    assert!(soon(response.into_body().collect()).await.is_err());
    let answer = host
        .raw(
            "acme",
            format!("GET /torn HTTP/1.1\r\nHost: acme.{DOMAIN}\r\nAuthorization: Bearer {token}\r\n\r\n")
                .as_bytes(),
        )
        .await;
    assert!(answer.contains("data: 2") && !answer.ends_with("0\r\n\r\n"), "{answer}");
}
