//! A server of MCP that notes what comes, and clients of it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{World, policy};

/// Requests as a server got them: head and body.
pub type Seen = Arc<Mutex<Vec<(String, String)>>>;

const RULES: &str = "
        rules:
          - allow: {method: initialize}
          - allow: {method: notifications/initialized}
          - allow: {method: tools/call, tool: {any: [search, list]}}
        deny_rules:
          - {method: tools/call, tool: send_email}";

/// An endpoint of MCP at a.example, whose bodies have at most 2000 bytes.
pub fn mcp(enforcement: &str) -> String {
    endpoint(&format!(
        "protocol: mcp\n        mcp: {{max_body_bytes: 2000}}\n        enforcement: {enforcement}{RULES}"
    ))
}

/// One of JSON-RPC, with every method but one.
pub fn json_rpc() -> String {
    endpoint(
        "protocol: json-rpc\n        enforcement: enforce\n        rules:\n          - allow: {method: \"*\"}\n        deny_rules:\n          - {method: reports.delete}",
    )
}

fn endpoint(rest: &str) -> String {
    let place = "      - host: a.example\n        ports: [443, 80]\n        path: /mcp\n        ";
    policy("deny", &format!("{place}{rest}"))
}

/// Notes each request, and answers it.
pub async fn note(mut stream: impl AsyncRead + AsyncWrite + Unpin, seen: Seen) {
    while let Some(request) = request(&mut stream).await {
        let events = request.0.contains("text/event-stream");
        seen.lock().unwrap().push(request);
        let answer: &[u8] = match events {
            true => b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: a\n\n\r\n",
            false => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        };
        drop(stream.write_all(answer).await);
        drop(stream.flush().await);
    }
}

async fn request(stream: &mut (impl AsyncRead + Unpin)) -> Option<(String, String)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let lower = head.to_ascii_lowercase();
    let mut body = Vec::new();
    if let Some(length) = lower.lines().find_map(|line| line.strip_prefix("content-length: ")) {
        body.resize(length.parse().unwrap(), 0);
        stream.read_exact(&mut body).await.ok()?;
    } else if lower.contains("transfer-encoding: chunked") {
        while !body.ends_with(b"0\r\n\r\n") {
            body.push(stream.read_u8().await.ok()?);
        }
    }
    Some((head, String::from_utf8_lossy(&body).into_owned()))
}

/// A world with this policy and such servers.
pub async fn world(text: &str) -> (World, Seen) {
    let world = World::new(text, None).await;
    let seen = Seen::default();
    let (plain, secure) = (Arc::clone(&seen), Arc::clone(&seen));
    world.serve(80, move |stream| note(stream, Arc::clone(&plain))).await;
    world.serve_tls(&[], move |stream| note(stream, Arc::clone(&secure))).await;
    (world, seen)
}

/// A POST to the explicit proxy with more fields and this body.
pub fn post(fields: &str, body: &str) -> String {
    format!(
        "POST http://a.example/mcp HTTP/1.1\r\nHost: a.example\r\n{fields}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub const JSON: &str = "Content-Type: application/json\r\n";

/// A call of a tool.
pub fn tool(id: u32, name: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{name}","arguments":{{}}}}}}"#
    )
}

/// What is said to this, until nothing comes any more.
pub async fn heard(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), bytes: &[u8]) -> String {
    drop(stream.write_all(bytes).await);
    drop(stream.flush().await);
    let mut answer = Vec::new();
    let mut patience = Duration::from_secs(10);
    while let Ok(Ok(1..)) = tokio::time::timeout(patience, stream.read_buf(&mut answer)).await {
        patience = Duration::from_millis(400);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// The same by a new connection to the explicit proxy.
pub async fn say(world: &World, request: &str) -> String {
    heard(&mut TcpStream::connect(world.explicit).await.unwrap(), request.as_bytes()).await
}

/// The bodies that a server got so far, which it then forgets.
pub fn bodies(seen: &Seen) -> Vec<String> {
    std::mem::take(&mut *seen.lock().unwrap()).into_iter().map(|(_, body)| body).collect()
}
