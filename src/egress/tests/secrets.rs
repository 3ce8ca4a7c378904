//! Secrets in requests and in messages, over real sockets.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use support::{ClientStream, ServerStream, TOKEN, World, mirror, policy};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{Mutex, mpsc};

const HOSTS: [&str; 2] = ["a.example", "b.example"];

fn rest() -> String {
    HOSTS
        .map(|host| {
            format!(
                "      - host: {host}\n        ports: [443, 80]\n        protocol: rest\n        request_body_credential_rewrite: true\n        access: full\n"
            )
        })
        .concat()
}

fn messages(rewrite: bool) -> String {
    format!(
        "      - host: a.example\n        ports: [443]\n        protocol: websocket\n        websocket_credential_rewrite: {rewrite}\n        enforcement: enforce\n        rules:\n          - allow: {{method: GET, path: /ws}}\n          - allow: {{method: WEBSOCKET_TEXT, path: /ws}}"
    )
}

/// Reads a head, and a body of the length that it announces.
async fn read_one(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut all = Vec::new();
    let mut wanted = None;
    while wanted.is_none_or(|wanted| all.len() < wanted) {
        let Ok(byte) = stream.read_u8().await else { break };
        all.push(byte);
        if wanted.is_none() && all.ends_with(b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&all).to_lowercase();
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
            wanted = Some(all.len() + length.map_or(0, |length| length.parse::<usize>().unwrap()));
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// Notes each request and answers with this.
async fn notes(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    seen: mpsc::UnboundedSender<String>,
    answer: Arc<str>,
) {
    loop {
        let request = read_one(&mut stream).await;
        if request.is_empty() || seen.send(request).is_err() {
            return;
        }
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{answer}", answer.len());
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
    }
}

async fn noting(world: &World, answer: &str) -> mpsc::UnboundedReceiver<String> {
    let (sender, seen) = mpsc::unbounded_channel();
    let answer: Arc<str> = answer.into();
    world.serve_tls(&[], move |stream| notes(stream, sender.clone(), Arc::clone(&answer))).await;
    seen
}

async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), request: String) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    tokio::time::timeout(Duration::from_secs(5), read_one(stream)).await.unwrap()
}

fn get(host: &str, secret: &str) -> String {
    format!("GET /x HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {secret}\r\n\r\n")
}

#[tokio::test]
async fn a_secret_goes_to_the_host_that_it_is_bound_to_and_to_no_other() {
    let world = World::new(&policy("deny", &rest()), None).await;
    let mut seen = noting(&world, "fine").await;
    let mut stream = world.secure("a.example", &[]).await;
    let answer = ask(&mut stream, get("a.example", "tenantd:secret:token")).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("fine"), "{answer}");
    let request = seen.recv().await.unwrap();
    assert!(request.contains(&format!("Bearer {TOKEN}\r\n")) && !request.contains("tenantd:secret"));
    assert_eq!(world.count("secret-used"), 1);
    // The next request on the same connection holds none.
    ask(&mut stream, get("a.example", "own")).await;
    assert!(seen.recv().await.unwrap().contains("Bearer own\r\n"));

    let mut stream = world.secure("b.example", &[]).await;
    let answer = ask(&mut stream, get("b.example", "tenantd:secret:token")).await;
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("secret_misplaced"), "{answer}");
    assert!(!answer.contains(TOKEN));
    assert_eq!(world.count("secret-misplaced"), 1);
    let mut stream = world.secure("b.example", &[]).await;
    assert!(ask(&mut stream, get("b.example", "own")).await.starts_with("HTTP/1.1 200"));
    assert!(seen.recv().await.unwrap().contains("Bearer own\r\n"));
}

#[tokio::test]
async fn a_secret_goes_into_a_body_where_the_policy_says_so() {
    for rewrite in [true, false] {
        let text = if rewrite { rest() } else { rest().replace("rewrite: true", "rewrite: false") };
        let world = World::new(&policy("deny", &text), None).await;
        let mut seen = noting(&world, "fine").await;
        let mut stream = world.secure("a.example", &[]).await;
        let body = "{\"key\": \"tenantd:secret:token\"}";
        let post = format!(
            "POST /x HTTP/1.1\r\nHost: a.example\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = ask(&mut stream, post).await;
        if rewrite {
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            assert!(seen.recv().await.unwrap().ends_with(&format!("{{\"key\": \"{TOKEN}\"}}")));
        } else {
            assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
            assert_eq!(world.count("secret-misplaced"), 1);
        }
    }
}

#[tokio::test]
async fn no_secret_goes_out_in_clear() {
    let world = World::new(&policy("deny", &rest()), None).await;
    world.serve(80, mirror).await;
    let (mut stream, _) = world.connect("a.example:80").await;
    let answer = ask(&mut stream, get("a.example", "tenantd:secret:token")).await;
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("secret_misplaced"), "{answer}");
    let whole = get("a.example", "tenantd:secret:token").replace("GET /x", "GET http://a.example:443/x");
    let answer =
        world.say(&whole.replace("Host: a.example", "Host: a.example:443\r\nConnection: close")).await;
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("secret_misplaced"), "{answer}");
    let (mut stream, _) = world.connect("a.example:80").await;
    assert!(ask(&mut stream, get("a.example", "own")).await.contains("Bearer own"));
}

#[tokio::test]
async fn an_answer_that_holds_the_secret_is_cut() {
    let world = World::new(&policy("deny", &rest()), None).await;
    // In the body.
    world.serve_tls(&[], mirror).await;
    let mut stream = world.secure("a.example", &[]).await;
    let answer = ask(&mut stream, get("a.example", "tenantd:secret:token")).await;
    assert!(!answer.contains(TOKEN) && answer.contains("get /x") == answer.contains("GET /x"), "{answer}");
    world.until(|world| world.count("secret-echoed") == 1).await;
    let mut stream = world.secure("a.example", &[]).await;
    assert!(ask(&mut stream, get("a.example", "own")).await.contains("Bearer own"));
    // In the head.
    let world = World::new(&policy("deny", &rest()), None).await;
    world
        .serve_tls(&[], |mut stream: ServerStream| async move {
            read_one(&mut stream).await;
            let head = format!("HTTP/1.1 302 Found\r\nLocation: /?{TOKEN}\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            drop(stream.shutdown().await);
        })
        .await;
    let mut stream = world.secure("a.example", &[]).await;
    let answer = ask(&mut stream, get("a.example", "tenantd:secret:token")).await;
    assert!(answer.starts_with("HTTP/1.1 502") && answer.contains("secret_echoed"), "{answer}");
    assert!(!answer.contains(TOKEN));
}

/// What a server of WebSockets reads and is told to write.
struct Ends {
    read: mpsc::UnboundedReceiver<Vec<u8>>,
    write: mpsc::UnboundedSender<Vec<u8>>,
}

const OPEN: &str = "GET /ws HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

async fn websocket(world: &World) -> (ClientStream, Ends) {
    let (sender, read) = mpsc::unbounded_channel();
    let (write, told) = mpsc::unbounded_channel::<Vec<u8>>();
    let told = Arc::new(Mutex::new(told));
    world
        .serve_tls(&["http/1.1"], move |mut stream: ServerStream| {
            let (sender, told) = (sender.clone(), Arc::clone(&told));
            async move {
                read_one(&mut stream).await;
                let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
                stream.write_all(answer.as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
                let mut told = told.lock().await;
                let mut buffer = vec![0; 4096];
                loop {
                    tokio::select! {
                        length = stream.read(&mut buffer) => match length {
                            Ok(length @ 1..) => drop(sender.send(buffer[..length].to_vec())),
                            Ok(0) | Err(_) => return,
                        },
                        Some(bytes) = told.recv() => {
                            stream.write_all(&bytes).await.unwrap();
                            stream.flush().await.unwrap();
                        }
                    }
                }
            }
        })
        .await;
    let mut stream = world.secure("a.example", &["http/1.1"]).await;
    stream.write_all(OPEN.as_bytes()).await.unwrap();
    let head = read_one(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    (stream, Ends { read, write })
}

/// A frame with a payload below 126 bytes.
fn frame(first: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    let mut out = vec![first, length | if mask.is_some() { 0x80 } else { 0 }];
    out.extend(mask.unwrap_or_default().iter().filter(|_| mask.is_some()));
    let mask = mask.unwrap_or_default();
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

/// The next frame of a client, whose payload is below 126 bytes, unmasked.
async fn next(ends: &mut Ends, ahead: &mut Vec<u8>) -> (u8, [u8; 4], String) {
    loop {
        if let [first, length, rest @ ..] = ahead.as_slice() {
            let length = usize::from(length & 0x7f);
            if let (true, Some(mask)) = (rest.len() >= length + 4, rest.first_chunk::<4>().copied()) {
                let text = rest[4..4 + length].iter().zip(mask.iter().cycle()).map(|(a, b)| a ^ b).collect();
                let found = (*first, mask, String::from_utf8(text).unwrap());
                ahead.drain(..6 + length);
                return found;
            }
        }
        ahead.extend(tokio::time::timeout(Duration::from_secs(5), ends.read.recv()).await.unwrap().unwrap());
    }
}

const MASK: Option<[u8; 4]> = Some([1, 2, 3, 4]);

#[tokio::test]
async fn a_message_is_filled_however_it_is_fragmented_and_all_else_passes() {
    let world = World::new(&policy("deny", &messages(true)), None).await;
    let (mut stream, mut ends) = websocket(&world).await;
    let mut ahead = Vec::new();
    let filled = format!("{{\"token\":\"{TOKEN}\"}}");
    let whole = frame(0x81, MASK, b"{\"token\":\"tenantd:secret:token\"}");
    let parts = [
        frame(0x01, MASK, b"{\"token\":\"tenantd:sec"),
        frame(0x89, MASK, b"ping"),
        frame(0x00, MASK, b""),
        frame(0x80, MASK, b"ret:token\"}"),
    ]
    .concat();
    stream.write_all(&whole).await.unwrap();
    let (first, mask, text) = next(&mut ends, &mut ahead).await;
    assert_eq!((first, text.as_str()), (0x81, filled.as_str()));
    for byte in parts {
        stream.write_all(&[byte]).await.unwrap();
    }
    let (first, _, text) = next(&mut ends, &mut ahead).await;
    assert_eq!((first, text.as_str()), (0x89, "ping"));
    let (first, other, text) = next(&mut ends, &mut ahead).await;
    assert_eq!((first, text.as_str()), (0x81, filled.as_str()));
    assert!(mask != other && mask != [1, 2, 3, 4], "a mask is random");
    // A binary message is not looked into.
    let binary = frame(0x82, MASK, b"tenantd:secret:token");
    stream.write_all(&[binary, frame(0x81, MASK, b"plain")].concat()).await.unwrap();
    assert_eq!(next(&mut ends, &mut ahead).await, (0x82, [1, 2, 3, 4], "tenantd:secret:token".to_owned()));
    assert_eq!(next(&mut ends, &mut ahead).await.2, "plain");
    assert_eq!(world.count("secret-used"), 2);
    ends.write.send(frame(0x81, None, b"hello")).unwrap();
    let mut answer = [0; 7];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer.as_slice(), frame(0x81, None, b"hello"));
}

async fn rest_of(stream: &mut ClientStream) -> Vec<u8> {
    let mut rest = Vec::new();
    // How TLS ends does not count.
    drop(tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await.unwrap());
    rest
}

#[tokio::test]
async fn a_placeholder_that_is_not_replaced_closes_the_websocket() {
    for (rewrite, text) in [(false, "tenantd:secret:token"), (true, "tenantd:secret:other")] {
        let world = World::new(&policy("deny", &messages(rewrite)), None).await;
        let (mut stream, mut ends) = websocket(&world).await;
        stream.write_all(&frame(0x81, MASK, b"before")).await.unwrap();
        assert_eq!(next(&mut ends, &mut Vec::new()).await.2, "before");
        stream.write_all(&frame(0x81, MASK, text.as_bytes())).await.unwrap();
        assert_eq!(rest_of(&mut stream).await, [0x88, 2, 0x03, 0xf0], "{rewrite}");
        assert_eq!(world.count("secret-misplaced"), 1);
        assert!(ends.read.try_recv().is_err(), "nothing more arrived");
    }
}

#[tokio::test]
async fn a_text_that_is_too_large_or_none_closes_the_websocket() {
    let large = [&[0x81, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 1][..], &[0; 4]].concat();
    for (bytes, code) in
        [(large, 1009_u16), (frame(0x81, MASK, b"\xff"), 1007), (frame(0xc1, MASK, b"x"), 1002)]
    {
        let world = World::new(&policy("deny", &messages(true)), None).await;
        let (mut stream, _ends) = websocket(&world).await;
        stream.write_all(&bytes).await.unwrap();
        let [high, low] = code.to_be_bytes();
        assert_eq!(rest_of(&mut stream).await, [0x88, 2, high, low]);
    }
}

#[tokio::test]
async fn a_message_that_sends_a_secret_back_closes_the_websocket() {
    let (begin, end) = TOKEN.split_at(7);
    let whole = frame(0x82, None, TOKEN.as_bytes());
    let parts = [frame(0x01, None, begin.as_bytes()), frame(0x80, None, end.as_bytes())].concat();
    let close = frame(0x88, None, &[b"\x03\xe8", TOKEN.as_bytes()].concat());
    for bytes in [whole, parts, close] {
        let world = World::new(&policy("deny", &messages(true)), None).await;
        let (mut stream, ends) = websocket(&world).await;
        ends.write.send([frame(0x81, None, b"fine"), bytes].concat()).unwrap();
        let rest = rest_of(&mut stream).await;
        let (fine, rest) = rest.split_at(6);
        assert_eq!(fine, frame(0x81, None, b"fine"));
        assert!(rest.ends_with(&[0x88, 2, 0x03, 0xf0]), "{rest:?}");
        assert!(!rest.windows(2).any(|two| two == &begin.as_bytes()[..2]), "{rest:?}");
        assert_eq!(world.count("secret-echoed"), 1);
    }
}

#[tokio::test]
async fn a_secret_that_the_newest_policy_no_longer_binds_is_not_sent() {
    let world = World::new(&policy("deny", &messages(true)), None).await;
    let (mut stream, mut ends) = websocket(&world).await;
    let token = frame(0x81, MASK, b"tenantd:secret:token");
    stream.write_all(&token).await.unwrap();
    assert_eq!(next(&mut ends, &mut Vec::new()).await.2, TOKEN);
    world.write(&policy("deny", &messages(false)));
    world.until(|world| !world.proxy.live.now().unwrap().file.layers[0].text.contains("rewrite: true")).await;
    stream.write_all(&token).await.unwrap();
    assert_eq!(rest_of(&mut stream).await, [0x88, 2, 0x03, 0xf0]);
    assert_eq!(world.count("secret-misplaced"), 1);
}
