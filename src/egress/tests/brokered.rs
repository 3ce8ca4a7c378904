//! What is looked into though its policy does not say so: hosts to which a secret may go, and the tenant's models. And learning, which
//! allows nothing. Over real sockets.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod support;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use support::{TOKEN, World, client_config, mirror, policy};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

const L4: &str = "      - {host: a.example, ports: [443, 80, 8443]}\n      - {host: b.example, ports: [443]}";

fn bound(file: &mut serde_json::Value) {
    file["secrets"] = json!([{"name": "token", "host": "A.Example", "in": ["header"]}]);
}

async fn answer(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    drop(tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await.unwrap());
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(host: &str, token: &str) -> String {
    format!("GET /x HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n")
}

/// Notes one request of each connection, and answers it.
async fn noting(world: &World) -> Arc<Mutex<String>> {
    let seen: Arc<Mutex<String>> = Arc::default();
    let own = Arc::clone(&seen);
    world
        .serve_tls(&[], move |mut stream| {
            let seen = Arc::clone(&own);
            async move {
                while let Ok(byte) = stream.read_u8().await {
                    let whole = {
                        let mut seen = seen.lock().unwrap();
                        seen.push(char::from(byte));
                        seen.ends_with("\r\n\r\n")
                    };
                    if whole {
                        drop(stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok").await);
                        drop(stream.shutdown().await);
                        return;
                    }
                }
            }
        })
        .await;
    seen
}

#[tokio::test]
async fn a_host_to_which_a_secret_may_go_is_looked_into_and_no_other() {
    let world = World::with(&policy("deny", L4), None, bound).await;
    let seen = noting(&world).await;
    let mut stream = world.secure("a.example", &[]).await;
    let said = answer(&mut stream, &get("a.example", "tenantd:secret:token")).await;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    assert!(seen.lock().unwrap().contains(&format!("Bearer {TOKEN}\r\n")));
    assert_eq!(world.count("secret-used"), 1);
    seen.lock().unwrap().clear();
    // Requests in it are the host's own, and placeholders that are not bound go nowhere.
    let mut stream = world.secure("a.example", &[]).await;
    assert!(answer(&mut stream, &get("b.example", "own")).await.starts_with("HTTP/1.1 421"));
    let mut stream = world.secure("a.example", &[]).await;
    let said = answer(&mut stream, &get("a.example", "tenantd:secret:other")).await;
    assert!(said.starts_with("HTTP/1.1 403") && said.contains("secret_misplaced"), "{said}");
    world.serve(80, mirror).await;
    let (mut stream, _) = world.connect("a.example:80").await;
    let said = answer(&mut stream, &get("a.example", "tenantd:secret:token")).await;
    assert!(said.starts_with("HTTP/1.1 403") && said.contains("secret_misplaced"), "{said}");
    assert_eq!((seen.lock().unwrap().as_str(), world.count("secret-misplaced")), ("", 2));
    // Another host shows its own certificate: nothing ends here, and a placeholder is what it is.
    let (stream, _) = world.connect("b.example:443").await;
    let connector = TlsConnector::from(client_config(&world.server_ca));
    let mut stream = connector.connect("b.example".try_into().unwrap(), stream).await.unwrap();
    assert!(answer(&mut stream, &get("b.example", "tenantd:secret:token")).await.starts_with("HTTP/1.1 200"));
    assert!(seen.lock().unwrap().contains("Bearer tenantd:secret:token\r\n"));
}

#[tokio::test]
async fn a_secret_opens_no_host_that_the_policy_does_not_allow() {
    let other = "      - {host: b.example, ports: [443]}\n      - {host: a.example, ports: [8443]}";
    let world = World::with(&policy("deny", other), None, bound).await;
    let seen = noting(&world).await;
    let (_, said) = world.connect("a.example:443").await;
    assert!(said.starts_with("HTTP/1.1 403"), "{said}");
    assert!(world.looked_up().is_empty() && seen.lock().unwrap().is_empty());
    let (_, said) = world.connect("b.example:443").await;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
}

/// A provider on this machine that notes requests, and answers each.
async fn provider(world: &World) -> Arc<Mutex<Vec<String>>> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (at, place) = (SocketAddr::from(([127, 0, 0, 1], 11434)), listener.local_addr().unwrap());
    world.outside.places.lock().unwrap().insert(at, place);
    let requests: Arc<Mutex<Vec<String>>> = Arc::default();
    let own = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let requests = Arc::clone(&own);
            tokio::spawn(async move {
                loop {
                    let request = request(&mut stream).await;
                    if request.is_empty() {
                        return;
                    }
                    requests.lock().unwrap().push(request);
                    let body = r#"{"id":"1","object":"chat.completion","model":"small-1","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#;
                    let head = format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                        body.len()
                    );
                    drop(stream.write_all([head.as_str(), body].concat().as_bytes()).await);
                }
            });
        }
    });
    requests
}

/// A head, and a body as long as it says.
async fn request(stream: &mut TcpStream) -> String {
    let mut all = String::new();
    while let Ok(byte) = stream.read_u8().await {
        all.push(char::from(byte));
        let Some((head, body)) = all.split_once("\r\n\r\n") else { continue };
        let lower = head.to_lowercase();
        let length = lower.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
        if length.is_none_or(|length| body.len() >= length.parse().unwrap()) {
            break;
        }
    }
    all
}

fn models(secret: &'static str) -> impl FnOnce(&mut serde_json::Value) {
    move |file| {
        file["inference"] = json!({"providers": [{
            "name": "local", "api": "openai", "url": "http://127.0.0.1:11434", "secret": secret, "models": ["small-*"],
        }]});
    }
}

fn chat(target: &str, model: &str) -> String {
    let body =
        format!("{{\"model\":\"{model}\",\"messages\":[{{\"role\":\"user\",\"content\":\"hello\"}}]}}");
    format!(
        "POST {target}/v1/chat/completions HTTP/1.1\r\nHost: inference.internal\r\nAuthorization: Bearer own\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Answers to the same request by the explicit proxy, two tunnels, and a connection that was redirected.
async fn everywhere(world: &World, model: &str) -> [String; 4] {
    let whole = world.say(&chat("http://inference.internal", model)).await;
    let (mut stream, said) = world.connect("inference.internal:80").await;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    let plain = answer(&mut stream, &chat("", model)).await;
    let secure = answer(&mut world.secure("inference.internal", &[]).await, &chat("", model)).await;
    [whole, plain, secure, redirected(world, &chat("", model)).await]
}

/// There is no redirection here: the name is at the address of a listener.
async fn redirected(world: &World, request: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap();
    world.proxy.names.pin("inference.internal", &[to.ip()]);
    let mut client = TcpStream::connect(to).await.unwrap();
    let (stream, from) = listener.accept().await.unwrap();
    let proxy = Arc::clone(&world.proxy);
    tokio::spawn(tenant_egress::transparent::serve(proxy, stream, from, to));
    // One that names a port is for that port.
    answer(
        &mut client,
        &request.replace("Host: inference.internal", &format!("Host: inference.internal:{}", to.port())),
    )
    .await
}

#[tokio::test]
async fn a_model_is_reached_by_every_way_with_the_operators_key_and_no_other_is() {
    for text in [policy("deny", ""), policy("deny", "      - {host: inference.internal, ports: [80, 443]}")] {
        let world = World::with(&text, None, models("token")).await;
        let requests = provider(&world).await;
        for said in everywhere(&world, "small-1").await {
            assert!(said.starts_with("HTTP/1.1 200") && said.contains("\"total_tokens\":5"), "{said}");
        }
        let seen: Vec<String> = requests.lock().unwrap().drain(..).collect();
        assert_eq!(seen.len(), 4);
        for request in seen {
            let lower = request.to_lowercase();
            assert!(request.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{request}");
            assert!(lower.contains(&format!("authorization: bearer {TOKEN}\r\n")), "{request}");
            assert!(!lower.contains("bearer own") && !lower.contains("inference.internal"), "{request}");
        }
        for model in ["large-1", "SMALL-1", "xsmall-1", "", "small-1\\u0000"] {
            for said in everywhere(&world, model).await {
                assert!(said.starts_with("HTTP/1.1 4") && !said.contains("total_tokens"), "{model}: {said}");
            }
        }
        assert!(requests.lock().unwrap().is_empty() && world.looked_up().is_empty());
    }
}

#[tokio::test]
async fn only_paths_of_models_are_served_and_only_under_their_name() {
    let world =
        World::with(&policy("deny", "      - {host: a.example, ports: [80]}"), None, models("token")).await;
    let requests = provider(&world).await;
    world.serve(80, mirror).await;
    let ask = |target: &str, host: &str| {
        format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
    };
    for (target, host) in [
        ("http://inference.internal/", "inference.internal"),
        ("http://inference.internal/v1/files", "inference.internal"),
        ("http://inference.internal/v1/chat/completions", "inference.internal"),
        ("http://inference.internal/v1/chat/../../api/tags", "inference.internal"),
        ("http://inference.internal/v1/models", "a.example"),
        ("http://a.example/v1/models", "inference.internal"),
        ("http://x.inference.internal/v1/models", "x.inference.internal"),
        ("http://127.0.0.1:11434/v1/models", "127.0.0.1:11434"),
    ] {
        let said = world.say(&ask(target, host)).await;
        assert!(said.starts_with("HTTP/1.1 4"), "{target} {host}: {said}");
    }
    let (mut stream, _) = world.connect("a.example:80").await;
    let said = answer(&mut stream, &ask("/v1/models", "inference.internal")).await;
    assert!(said.starts_with("HTTP/1.1 421"), "{said}");
    assert!(requests.lock().unwrap().is_empty());
    let said = world.say(&chat("http://inference.internal", "small-1")).await;
    assert!(said.starts_with("HTTP/1.1 200") && requests.lock().unwrap().len() == 1, "{said}");
}

#[tokio::test]
async fn a_provider_whose_secret_is_missing_is_not_asked() {
    let world = World::with(&policy("deny", ""), None, models("absent")).await;
    let requests = provider(&world).await;
    for said in everywhere(&world, "small-1").await {
        assert!(said.starts_with("HTTP/1.1 4") || said.starts_with("HTTP/1.1 5"), "{said}");
        assert!(said.contains("\"error\""), "{said}");
    }
    assert!(requests.lock().unwrap().is_empty());
    // And a tenant without providers has no models.
    let world = World::new(&policy("ask", ""), Some("allow")).await;
    let requests = provider(&world).await;
    for said in everywhere(&world, "small-1").await {
        assert!(said.starts_with("HTTP/1.1 404") && said.contains("no_inference"), "{said}");
    }
    assert!(requests.lock().unwrap().is_empty() && world.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn learning_notes_what_is_refused_and_allows_nothing() {
    const RULES: &str = "      - host: a.example\n        ports: [443]\n        protocol: rest\n        enforcement: enforce\n        rules:\n          - allow: {method: GET, path: /x}";
    let world = World::new(&policy("deny", RULES), Some("allow")).await;
    let seen = noting(&world).await;
    let now = tenant_egress::live::unix_now();
    let learning = |end: Option<u64>| {
        move |world: &World| world.proxy.live.now().is_some_and(|now| now.learn_until == end)
    };
    let try_all = async || {
        let (_, said) = world.connect("b.example:443").await;
        assert!(said.starts_with("HTTP/1.1 403"), "{said}");
        let mut stream = world.secure("a.example", &[]).await;
        let post = get("a.example", "own").replace("GET /x", "POST /y?secret=1");
        assert!(answer(&mut stream, &post).await.starts_with("HTTP/1.1 403"));
        let mut stream = world.secure("a.example", &[]).await;
        assert!(answer(&mut stream, &get("a.example", "own")).await.starts_with("HTTP/1.1 200"));
    };
    world.approve(None, Some(now + 3600));
    world.until(learning(Some(now + 3600))).await;
    try_all().await;
    world.until(|world| world.asked.lock().unwrap().len() == 2).await;
    let noted: Vec<serde_json::Value> =
        world.asked.lock().unwrap().drain(..).map(|line| serde_json::from_str(&line).unwrap()).collect();
    let of =
        |host: &str| noted.iter().find(|line| line["observe"]["host"] == host).unwrap()["observe"].clone();
    assert_eq!((&of("b.example")["port"], &of("b.example")["exchange"]), (&json!(443), &json!(null)));
    assert_eq!(
        (&of("a.example")["exchange"]["method"], &of("a.example")["exchange"]["kind"]),
        (&json!("POST"), &json!("request"))
    );
    // Whatever is answered to a note: nothing is open afterwards.
    try_all().await;
    assert_eq!(seen.lock().unwrap().matches("GET /x ").count(), 2);
    assert!(!seen.lock().unwrap().contains("/y") && !world.looked_up().contains(&"b.example".to_owned()));
    // Its end is its end.
    world.until(|world| world.asked.lock().unwrap().len() == 2).await;
    world.approve(None, Some(now - 1));
    world.until(learning(Some(now - 1))).await;
    try_all().await;
    assert_eq!(world.asked.lock().unwrap().len(), 2);
}
