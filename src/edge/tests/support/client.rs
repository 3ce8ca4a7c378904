//! Clients that say exactly what they are told.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{DOMAIN, Host};

pub type Tls = TlsStream<TcpStream>;

/// How long a test waits for anything.
pub const SOON: Duration = Duration::from_secs(10);

pub async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(SOON, future).await.expect("it took too long")
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Host {
    /// A TLS connection with this name as SNI.
    pub async fn tls(&self, name: &str, alpn: &[u8]) -> Tls {
        let mut config = (*self.trust).clone();
        config.alpn_protocols = vec![alpn.to_vec()];
        let stream = TcpStream::connect(self.https).await.unwrap();
        let name = rustls::pki_types::ServerName::try_from(name.to_owned()).unwrap();
        soon(TlsConnector::from(Arc::new(config)).connect(name, stream)).await.unwrap()
    }

    pub async fn tenant_tls(&self, id: &str) -> Tls {
        self.tls(&format!("{id}.{DOMAIN}"), b"http/1.1").await
    }

    /// One request on a connection of its own, with a bearer token if there is one.
    pub async fn ask(
        &self,
        id: &str,
        token: Option<&str>,
        request: http::request::Builder,
        body: &str,
    ) -> Answer {
        let mut request = request.header("host", format!("{id}.{DOMAIN}"));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
        let stream = self.tenant_tls(id).await;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        whole(soon(sender.send_request(request)).await.unwrap()).await
    }

    pub async fn get(&self, id: &str, token: &str, path: &str) -> Answer {
        self.ask(id, Some(token), Request::builder().uri(path), "").await
    }

    /// An HTTP/2 connection.
    pub async fn second(&self, id: &str) -> hyper::client::conn::http2::SendRequest<Full<Bytes>> {
        let stream = self.tls(&format!("{id}.{DOMAIN}"), b"h2").await;
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    /// Sends these bytes, and reads until the edge closes the connection.
    pub async fn raw(&self, id: &str, bytes: &[u8]) -> String {
        let mut stream = self.tenant_tls(id).await;
        stream.write_all(bytes).await.unwrap();
        stream.flush().await.unwrap();
        let mut answer = Vec::new();
        // An end without a close_notify is an end, too.
        soon(stream.read_to_end(&mut answer)).await.ok();
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Opens a WebSocket; the head of the answer and the connection.
    pub async fn websocket(&self, id: &str, headers: &[(&str, &str)]) -> (String, Tls) {
        let mut stream = self.tenant_tls(id).await;
        let mut head = format!(
            "GET /socket HTTP/1.1\r\nHost: {id}.{DOMAIN}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        );
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let answer = read_head(&mut stream).await;
        (answer, stream)
    }
}

/// Up to the empty line.
pub async fn read_head(stream: &mut Tls) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match soon(stream.read_u8()).await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

pub async fn whole(response: Response<hyper::body::Incoming>) -> Answer {
    let (head, body) = response.into_parts();
    let body = soon(body.collect()).await.unwrap().to_bytes();
    Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    }
}
