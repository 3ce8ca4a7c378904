//! What reads bytes of strangers, for fuzzing: none of these panics.

use std::net::SocketAddr;

/// The first message of TLS.
pub fn client_hello(bytes: &[u8]) {
    let _read = crate::hello::read(bytes);
}

/// The head of a CONNECT.
pub fn connect_line(bytes: &[u8]) {
    let _read = crate::head::read(bytes);
}

/// A query.
pub fn dns(bytes: &[u8]) {
    let _read = crate::dns::read(bytes);
}

/// The head of a request.
pub fn http_head(bytes: &[u8]) {
    let _looks = crate::head::looks_like_http(bytes);
    let _host = crate::http::first_host(bytes, 80);
}

/// Frames of a WebSocket.
pub fn websocket(bytes: &[u8]) {
    let _client = crate::http::frames::Frames::new(true).follow(bytes);
    let _server = crate::http::frames::Frames::new(false).follow(bytes);
}

/// An answer of the kernel.
pub fn inet_diag(bytes: &[u8]) {
    let end = SocketAddr::from(([127, 0, 0, 1], 1));
    let _owner = crate::identity::answer(bytes, end, end, 1);
}
