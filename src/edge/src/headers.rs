//! What of a request's head reaches a gateway, and of an answer's a client.
//!
//! Everything by which a client could claim to be somebody, or to come from somewhere, is dropped first; then the edge says it itself.

use std::net::{IpAddr, Ipv4Addr};

use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, Entry, HOST, HeaderName, HeaderValue, ORIGIN, SET_COOKIE, UPGRADE,
};
use http::{HeaderMap, Version};

use crate::auth;

/// Headers that end here, in both directions (RFC 9110, 7.6.1).
const HOP_BY_HOP: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "content-length",
];

/// Headers that only the edge may set, or that are for the edge alone.
const OURS: &[&str] = &[
    "authorization",
    "cf-connecting-ip",
    "expect",
    "forwarded",
    "host",
    "true-client-ip",
    "x-client-ip",
    "x-real-ip",
    "x-request-id",
];
const OUR_PREFIXES: &[&str] = &["x-forwarded-", "x-tenantd-", "tailscale-"];

/// What the edge says of a request.
#[derive(Debug)]
pub struct Said<'a> {
    /// `Host`, as it came.
    pub host: &'a str,
    /// Port in the addresses that people see.
    pub port: u16,
    /// The client's address.
    pub client: IpAddr,
    /// Number of the request in the journal.
    pub request_id: &'a str,
    /// Who, by whatever name.
    pub subject: &'a str,
    /// As what, under the header that the gateway reads it from.
    pub identity: (&'a str, &'static str),
    /// What the role may do there, under the header that carries it, if the gateway has one.
    pub scopes: Option<(&'a str, String)>,
    /// The origin that the gateway knows.
    pub origin: &'a str,
    /// The header that proves the edge.
    pub proof: Option<HeaderName>,
}

/// The head for the gateway. `upgrade` keeps a WebSocket's handshake.
#[must_use]
pub fn toward_gateway(mut headers: HeaderMap, said: &Said<'_>, upgrade: bool) -> HeaderMap {
    drop_hop_by_hop(&mut headers);
    let dropped: Vec<HeaderName> =
        headers.keys().filter(|name| is_ours(name.as_str(), said)).cloned().collect();
    for name in dropped {
        headers.remove(name);
    }
    strip_cookies(&mut headers);
    if headers.contains_key(ORIGIN) {
        set(&mut headers, ORIGIN, said.origin);
    }
    set(&mut headers, HOST, said.host);
    for (name, value) in [
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", said.host),
        ("x-forwarded-for", &client(said.client).to_string()),
        ("x-forwarded-port", &said.port.to_string()),
        ("x-request-id", said.request_id),
        ("x-tenantd-subject", &percent_encoded(said.subject)),
    ] {
        set(&mut headers, HeaderName::from_static(name), value);
    }
    if let Ok(name) = HeaderName::try_from(said.identity.0) {
        headers.insert(name, HeaderValue::from_static(said.identity.1));
    }
    if let Some((header, scopes)) = &said.scopes {
        if let Ok(name) = HeaderName::try_from(*header) {
            set(&mut headers, name, scopes);
        }
    }
    if let Some(proof) = &said.proof {
        let mut one = HeaderValue::from_static("1");
        one.set_sensitive(true);
        headers.insert(proof.clone(), one);
    }
    if upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
    headers
}

/// The client's address, as a gateway is told it. OpenClaw answers 403 to a proxy that names a loopback address, as it would be of somebody on
/// this host, or behind a tunnel that ends here: that one is told as an address that nobody has (TEST-NET-1, RFC 5737).
fn client(address: IpAddr) -> IpAddr {
    let address = address.to_canonical();
    if address.is_loopback() { IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)) } else { address }
}

/// The head for the client.
pub fn toward_client(headers: &mut HeaderMap, keep_length: bool) {
    let length = headers.get(CONTENT_LENGTH).cloned().filter(|_| keep_length);
    drop_hop_by_hop(headers);
    if let Some(length) = length {
        headers.insert(CONTENT_LENGTH, length);
    }
    // Where else this origin is to be found is not a gateway's to say.
    headers.remove("alt-svc");
    let kept: Vec<HeaderValue> = headers.get_all(SET_COOKIE).iter().filter_map(host_only).collect();
    if let Entry::Occupied(entry) = headers.entry(SET_COOKIE) {
        entry.remove_entry_mult();
    }
    for value in kept {
        headers.append(SET_COOKIE, value);
    }
}

/// Drops what says how long a body is: whoever sends it says that.
pub fn drop_framing(headers: &mut HeaderMap) {
    headers.remove(CONTENT_LENGTH);
}

/// Whether a head asks for a WebSocket by HTTP/1.1 (RFC 6455, 4.2.1).
#[must_use]
pub fn asks_for_websocket(headers: &HeaderMap, version: Version) -> bool {
    version == Version::HTTP_11
        && headers.get_all(UPGRADE).iter().count() == 1
        && headers.get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
        && listed(headers).any(|name| name.eq_ignore_ascii_case("upgrade"))
}

/// What `Connection` lists.
fn listed(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

fn drop_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> =
            listed(headers).filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok()).collect();
        for name in named {
            headers.remove(name);
        }
    }
    let dropped: Vec<HeaderName> =
        headers.keys().filter(|name| HOP_BY_HOP.contains(&name.as_str())).cloned().collect();
    for name in dropped {
        headers.remove(name);
    }
}

fn is_ours(name: &str, said: &Said<'_>) -> bool {
    name.contains('_')
        // What somebody may do is not for a client to say, whatever the gateway calls it.
        || name.ends_with("-scopes")
        || name.eq_ignore_ascii_case(said.identity.0)
        || said.scopes.as_ref().is_some_and(|(header, _)| name.eq_ignore_ascii_case(header))
        || OURS.contains(&name)
        || OUR_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// A cookie as a gateway may set it: for its own host. With `Domain` it would be every other tenant's, too (cookie tossing).
fn host_only(cookie: &HeaderValue) -> Option<HeaderValue> {
    if is_platform(cookie.as_bytes()) {
        return None;
    }
    let is_domain = |part: &[u8]| {
        let name = part.split(|byte| *byte == b'=').next().unwrap_or_default();
        name.trim_ascii().eq_ignore_ascii_case(b"domain")
    };
    let mut parts = cookie.as_bytes().split(|byte| *byte == b';');
    let first = parts.next().unwrap_or_default();
    let kept: Vec<&[u8]> = std::iter::once(first).chain(parts.filter(|part| !is_domain(part))).collect();
    HeaderValue::from_bytes(&kept.join(&b';')).ok()
}

/// A cookie, or a Set-Cookie, of the edge's own.
fn is_platform(cookie: &[u8]) -> bool {
    let name = cookie.split(|byte| matches!(byte, b'=' | b';')).next().unwrap_or_default().trim_ascii();
    // Names are compared without case: what a browser keeps apart, a gateway or a proxy may not.
    [auth::COOKIE, auth::LOGIN_COOKIE].iter().any(|ours| name.eq_ignore_ascii_case(ours.as_bytes()))
}

fn strip_cookies(headers: &mut HeaderMap) {
    if !headers.contains_key(COOKIE) {
        return;
    }
    let mut kept: Vec<u8> = Vec::new();
    for value in headers.get_all(COOKIE) {
        for cookie in value.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii) {
            if !cookie.is_empty() && !is_platform(cookie) {
                if !kept.is_empty() {
                    kept.extend_from_slice(b"; ");
                }
                kept.extend_from_slice(cookie);
            }
        }
    }
    headers.remove(COOKIE);
    if let Some(value) = HeaderValue::from_bytes(&kept).ok().filter(|value| !value.is_empty()) {
        headers.insert(COOKIE, value);
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    // What cannot be said is not left as the client said it.
    headers.remove(&name);
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Percent-encoded but for unreserved characters and `@ :`, which subjects have.
fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'@' | b':' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
#[path = "headers_tests.rs"]
mod tests;
