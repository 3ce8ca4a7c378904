//! Where questions of tenants are shown besides on this host.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A receiver of questions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Its address: `https`, or `http` at a loopback address of this host.
    pub url: String,
}

/// An address taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookAddress {
    /// Whether it is spoken to over TLS.
    pub tls: bool,
    /// Host, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// `Host` header.
    pub authority: String,
    /// Path and query.
    pub target: String,
}

impl Webhook {
    /// Whether its address is one; the error is cause and remedy.
    pub fn check(&self) -> Result<(), &'static str> {
        self.address().map(drop)
    }

    /// Its address taken apart.
    pub fn address(&self) -> Result<WebhookAddress, &'static str> {
        const WRONG: &str = "is no address: write it as \"https://HOST[:PORT]/PATH\"";
        if self.url.len() > 2048 || !self.url.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(WRONG);
        }
        if self.url.contains(['#', '@', '\\', '"', '<', '>', '^', '`', '{', '|', '}']) {
            return Err("has no user, password or fragment: the receiver knows tenantd by the signature");
        }
        let (tls, rest) = match self.url.split_once("://").ok_or(WRONG)? {
            ("https", rest) => (true, rest),
            ("http", rest) => (false, rest),
            _ => return Err(WRONG),
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !authority.ends_with(']') => {
                let digits = port.bytes().all(|b| b.is_ascii_digit());
                let port = port.parse().ok().filter(|port: &u16| digits && *port > 0);
                (host, port.ok_or(WRONG)?)
            }
            Some(_) | None => (authority, if tls { 443 } else { 80 }),
        };
        let bare = match host.strip_prefix('[') {
            Some(rest) => {
                let inner = rest.strip_suffix(']').ok_or(WRONG)?;
                inner.parse::<std::net::Ipv6Addr>().map_err(|_| WRONG)?;
                inner
            }
            None => host,
        };
        let named = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        if bare.is_empty() || (bare == host && !bare.bytes().all(named)) {
            return Err(WRONG);
        }
        if !tls && !bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()) {
            return Err(
                "is neither https nor at a loopback address: questions leave this host over verified TLS only",
            );
        }
        let target = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(WebhookAddress { tls, host: bare.to_owned(), port, authority: authority.to_owned(), target })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> Result<WebhookAddress, &'static str> {
        Webhook { url: url.to_owned() }.address()
    }

    #[test]
    fn an_address_is_https_or_on_this_host() {
        let one = of("https://hooks.example.org:8443/tenantd?room=1").unwrap();
        assert_eq!((one.tls, one.host.as_str(), one.port), (true, "hooks.example.org", 8443));
        assert_eq!(
            (one.authority.as_str(), one.target.as_str()),
            ("hooks.example.org:8443", "/tenantd?room=1")
        );
        assert_eq!(of("https://hooks.example.org").unwrap().target, "/");
        assert_eq!(of("https://hooks.example.org?x").unwrap().target, "/?x");
        let six = of("http://[::1]:8080/x").unwrap();
        assert_eq!((six.tls, six.host.as_str(), six.port), (false, "::1", 8080));
        assert_eq!(of("http://127.0.0.1/x").unwrap().port, 80);
    }

    #[test]
    fn what_is_none_is_refused() {
        for url in [
            "",
            "hooks.example.org",
            "ftp://hooks.example.org/",
            "http://hooks.example.org/",
            "http://localhost/",
            "http://127.0.0.1.example.org/",
            "http://10.0.0.1/",
            "https:///x",
            "https://user:word@hooks.example.org/",
            "https://127.0.0.1@hooks.example.org/",
            "https://hooks.example.org/#x",
            "https://hooks.example.org:0/",
            "https://hooks.example.org:+80/",
            "https://hooks.example.org:70000/",
            "https://hooks.example.org/a b",
            "https://hooks.example.org/\r\nx: y",
            "https://[::1/",
            "https://[x]/",
            "https://a:b:c/",
        ] {
            assert!(of(url).is_err(), "{url}");
        }
    }
}
