//! Heads of requests to the explicit proxy, and what the first bytes of HTTP look like.

use httparse::Status;
use policy::Host;

use crate::gate::Place;

/// Header fields of a head, at most.
const FIELDS: usize = 100;

/// Whether these are the first bytes of an HTTP request; nothing as long as that is not known.
#[must_use]
pub fn looks_like_http(bytes: &[u8]) -> Option<bool> {
    const LONGEST: usize = 20;
    let end = bytes.iter().position(|byte| *byte == b' ');
    let method = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
    if method.len() > LONGEST || !method.iter().all(|byte| byte.is_ascii_alphabetic() || *byte == b'-') {
        return Some(false);
    }
    let end = end?;
    if method.is_empty() {
        return Some(false);
    }
    // HTTP/2 with prior knowledge begins so, too, and is refused as a request that nobody understands.
    bytes.get(end + 1).map(|first| *first == b'/' || *first == b'*' || first.is_ascii_alphabetic())
}

/// A head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// Not whole yet.
    More,
    /// Asks for a tunnel.
    Connect(Place, usize),
    /// Another request, whose head is whole.
    Request,
    /// No head.
    No(&'static str),
}

/// Reads the head of the first request of a connection to the explicit proxy.
#[must_use]
pub fn read(bytes: &[u8]) -> Head {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let length = match request.parse(bytes) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Head::More,
        Err(_) => return Head::No("it is no HTTP request"),
    };
    if request.method != Some("CONNECT") {
        return Head::Request;
    }
    let Some(place) = request.path.and_then(authority) else {
        return Head::No("CONNECT names a host and a port, as example.com:443");
    };
    let mut hosts = 0;
    for field in request.headers.iter() {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        if is("host") {
            hosts += 1;
            let text = std::str::from_utf8(field.value).ok();
            if text.and_then(|text| host_and_port(text, place.port)).as_ref() != Some(&place) {
                return Head::No("Host and the target of CONNECT differ");
            }
        }
        if is("proxy-authorization") || is("authorization") {
            return Head::No("this proxy takes no credentials");
        }
        if is("content-length") || is("transfer-encoding") {
            return Head::No("CONNECT has no body");
        }
    }
    if hosts > 1 { Head::No("there is more than one Host") } else { Head::Connect(place, length) }
}

/// Reads `host:port`, both written out.
#[must_use]
pub fn authority(text: &str) -> Option<Place> {
    let (host, port) = text.rsplit_once(':')?;
    let bare_v6 = host.contains(':') && !host.starts_with('[');
    let plain = !port.is_empty() && port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit());
    if bare_v6 || !plain || port.starts_with('0') {
        return None;
    }
    Some(Place { host: canonical(Host::parse(host).ok()?), port: port.parse().ok()? })
}

/// Reads a `Host` header field, whose port may be left out.
#[must_use]
pub fn host_and_port(text: &str, default: u16) -> Option<Place> {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let has_port = bracketed.map_or(text.contains(':'), |(_, rest)| !rest.is_empty());
    if has_port {
        return authority(text);
    }
    Some(Place { host: canonical(Host::parse(text).ok()?), port: default })
}

/// An IPv4 address that is written as an IPv6 one is that IPv4 address.
fn canonical(host: Host) -> Host {
    match host {
        Host::Address(address) => Host::Address(address.to_canonical()),
        Host::Name(_) => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tunnel_is_asked_for_in_one_way() {
        let read = |text: &str| super::read(text.as_bytes());
        let good = "CONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com:443\r\n\r\n";
        let place = Place { host: Host::parse("api.example.com").unwrap(), port: 443 };
        assert_eq!(read(good), Head::Connect(place, good.len()));
        assert_eq!(read(&good[..20]), Head::More);
        assert_eq!(read("GET http://a.example/ HTTP/1.1\r\n\r\n"), Head::Request);
        for line in [
            "a.example",
            "a.example:",
            "a.example:0",
            "a.example:0443",
            "a.example:+443",
            "a.example:65536",
            "u@a.example:443",
            "u:p@a.example:443",
            "http://a.example:443",
            "a.example:443/",
            "[::1:443",
            "::1:443",
            "a..example:443",
            "ä.example:443",
            "a.example:443:443",
            ":443",
        ] {
            assert!(matches!(read(&format!("CONNECT {line} HTTP/1.1\r\n\r\n")), Head::No(_)), "{line}");
        }
        for field in [
            "Host: b.example",
            "Host: a.example\r\nHost: a.example",
            "Content-Length: 5",
            "Transfer-Encoding: chunked",
            "Proxy-Authorization: Basic eDp5",
        ] {
            assert!(
                matches!(read(&format!("CONNECT a.example:443 HTTP/1.1\r\n{field}\r\n\r\n")), Head::No(_)),
                "{field}"
            );
        }
    }

    #[test]
    fn an_address_is_the_same_however_it_is_written() {
        let wanted = Host::Address([127, 0, 0, 1].into());
        for text in [
            "127.0.0.1",
            "2130706433",
            "0x7f000001",
            "017700000001",
            "127.1",
            "0177.0.0.1",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
        ] {
            let place = authority(&format!("{text}:80"));
            assert_eq!(place.map(|place| place.host), Some(wanted.clone()), "{text}");
        }
    }
}
