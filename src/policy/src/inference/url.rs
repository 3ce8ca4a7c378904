//! The address of a model provider.

use std::net::IpAddr;

use crate::Host;

/// Where a provider is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderUrl {
    /// Whether over TLS.
    pub tls: bool,
    /// Host.
    pub host: Host,
    /// Port.
    pub port: u16,
    /// What comes before `/v1`, without a slash at its end.
    pub path: String,
}

impl ProviderUrl {
    /// Reads `https://api.example.com/base` or `http://127.0.0.1:11434`.
    pub fn parse(text: &str) -> Result<ProviderUrl, &'static str> {
        let (tls, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err("begins with https:// or http://"),
        };
        if !rest.bytes().all(|b| b.is_ascii_graphic()) || rest.contains(['@', '?', '#', '\\', '%']) {
            return Err("has no user, query, fragment, percent sign, space or backslash");
        }
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let (host, port) = split_port(authority)?;
        let host = Host::parse(host)?;
        if !tls && !inside(&host) {
            return Err(
                "is http only on this machine or at a private address: write https, or the address itself",
            );
        }
        let path = path.strip_suffix('/').unwrap_or(path);
        if path == "/v1" || path.ends_with("/v1") {
            return Err("ends before /v1: take that off, the proxy adds it");
        }
        let segments = path.strip_prefix('/').map(|path| path.split('/'));
        if segments.into_iter().flatten().any(|segment| matches!(segment, "" | "." | "..")) {
            return Err("has no empty segments and no dots as segments");
        }
        let port = port.unwrap_or(if tls { 443 } else { 80 });
        Ok(ProviderUrl { tls, host, port, path: path.to_owned() })
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), &'static str> {
    let end = authority.rfind(']').map_or(0, |at| at + 1);
    let (host, port) = match authority.get(end..).and_then(|rest| rest.find(':')) {
        Some(at) => authority.split_at(end + at),
        None => (authority, ""),
    };
    let Some(digits) = port.strip_prefix(':') else { return Ok((host, None)) };
    let number = if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok() } else { None };
    match number.filter(|port| *port > 0) {
        Some(port) => Ok((host, Some(port))),
        None => Err("has a port of 1 to 65535"),
    }
}

/// On this machine, or at an address of a private network. A name is neither: nobody says where it leads.
fn inside(host: &Host) -> bool {
    match host {
        Host::Name(name) => name == "localhost",
        Host::Address(IpAddr::V4(address)) => address.is_loopback() || address.is_private(),
        Host::Address(IpAddr::V6(address)) => address.is_loopback() || address.is_unique_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart() {
        let url = |text: &str| {
            let url = ProviderUrl::parse(text).unwrap();
            (url.tls, url.host.to_string(), url.port, url.path)
        };
        let wanted = |tls, host: &str, port, path: &str| (tls, host.to_owned(), port, path.to_owned());
        assert_eq!(url("https://API.example.com"), wanted(true, "api.example.com", 443, ""));
        assert_eq!(url("https://openrouter.ai/api/"), wanted(true, "openrouter.ai", 443, "/api"));
        assert_eq!(url("http://127.0.0.1:11434"), wanted(false, "127.0.0.1", 11434, ""));
        assert_eq!(url("http://[::1]:8000/x"), wanted(false, "[::1]", 8000, "/x"));
        assert_eq!(url("http://10.0.0.5"), wanted(false, "10.0.0.5", 80, ""));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for text in [
            "api.example.com",
            "ftp://a.example",
            "https://user@a.example",
            "https://a.example?x",
            "https://a.example#x",
            "https://a.example/v1",
            "https://a.example/v1/",
            "https://a.example/x/v1",
            "https://a.example//x",
            "https://a.example/../x",
            "https://a.example/%2e",
            "https://a.example:0",
            "https://a.example:65536",
            "https://a.example:+80",
            "https://",
            "http://a.example",
            "http://8.8.8.8",
            "http://169.254.169.254",
        ] {
            assert!(ProviderUrl::parse(text).is_err(), "{text}");
        }
    }
}
