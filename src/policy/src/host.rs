//! Hosts as a request names them, and patterns of hosts as a policy writes them.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use crate::Glob;
use crate::address::loose_v4;

/// A host as it is decided on: a name in lower case without a final dot, or an address, however it was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// A DNS name.
    Name(String),
    /// An address.
    Address(IpAddr),
}

const LABEL: &str = "a name has labels of letters, digits, - and _, at most 63 bytes each and 253 together";

impl Host {
    /// Normalises a host. Names beyond ASCII are refused: the program that asks has to write the `xn--` form, so that nobody
    /// has to guess which of two mappings it meant.
    pub fn parse(text: &str) -> Result<Host, &'static str> {
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or("an IPv6 address ends with a bracket")?;
            return v6(inner);
        }
        if text.contains(':') {
            return v6(text);
        }
        if !text.is_ascii() {
            return Err("a name beyond ASCII is written in its xn-- form");
        }
        let lower = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        if let Some(address) = loose_v4(&lower) {
            return address.map(|address| Host::Address(IpAddr::V4(address)));
        }
        if lower.is_empty() || lower.len() > 253 || !lower.split('.').all(is_label) {
            return Err(LABEL);
        }
        Ok(Host::Name(lower))
    }
}

fn v6(text: &str) -> Result<Host, &'static str> {
    let address: Ipv6Addr =
        text.parse().map_err(|_| "not an IPv6 address: it is written fd00::1, without a zone")?;
    Ok(Host::Address(IpAddr::V6(address)))
}

fn is_label(label: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    (1..=63).contains(&label.len())
        && label.bytes().all(|b| inner(b) || b == b'-')
        && label.bytes().next().is_some_and(inner)
        && label.bytes().last().is_some_and(inner)
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Host::Address(address) => write!(f, "{address}"),
        }
    }
}

/// The hosts that an endpoint is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// This one.
    Exact(Host),
    /// Names of this form.
    Names(NamePattern),
    /// Any host whose address lies in `allowed_ips`: an endpoint without `host`.
    Anywhere,
}

/// A pattern of names: `*` for what is inside a label, `**` as the first label for one or more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern {
    glob: Glob,
    /// The labels at the end that hold no pattern: what the pattern is found by.
    suffix: String,
}

impl NamePattern {
    /// The labels at its end, without a pattern.
    pub(crate) fn suffix(&self) -> &str {
        &self.suffix
    }

    /// Whether the name is one of these.
    pub fn matches(&self, name: &str) -> bool {
        self.glob.matches(name)
    }
}

impl HostPattern {
    /// Reads the `host` of an endpoint.
    pub fn parse(text: &str) -> Result<HostPattern, &'static str> {
        if !text.contains('*') {
            if text.contains(['?', '[']) && !text.starts_with('[') {
                return Err("a host takes * and ** and no other pattern");
            }
            return Host::parse(text).map(HostPattern::Exact);
        }
        if !text.is_ascii() {
            return Err("a name beyond ASCII is written in its xn-- form");
        }
        let lower = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let labels: Vec<&str> = lower.split('.').collect();
        if labels.len() == 1 {
            return Err(
                "a pattern without a domain would take in every host: name those that are meant, or have the tenant asked (x-tenantd: { default: ask })",
            );
        }
        if labels.len() == 2 {
            return Err(
                "a pattern of hosts has at least three labels, as *.example.com: two would take in everybody's names",
            );
        }
        for (index, label) in labels.iter().enumerate() {
            let first = index == 0;
            let whole = *label == "*" || first && *label == "**";
            let inside = first && !label.contains("**") && is_label(&label.replace('*', "x"));
            if !(whole || inside || is_label(label)) {
                return Err(
                    "* stands inside the first label or as a whole later one, ** only as the whole first label",
                );
            }
        }
        let suffix: Vec<&str> =
            labels.iter().rev().take_while(|label| !label.contains('*')).copied().collect();
        if suffix.len() < 2 {
            return Err("the last two labels of a pattern of hosts are written out");
        }
        let suffix = suffix.into_iter().rev().collect::<Vec<_>>().join(".");
        if loose_v4(&suffix).is_some() {
            return Err("a pattern is about names: blocks of addresses stand in allowed_ips");
        }
        Ok(HostPattern::Names(NamePattern { glob: Glob::parse(&lower, '.')?, suffix }))
    }

    /// Whether the host is one of these; where any is, its address decides.
    pub fn matches(&self, host: &Host) -> bool {
        match (self, host) {
            (HostPattern::Exact(own), _) => own == host,
            (HostPattern::Names(pattern), Host::Name(name)) => pattern.matches(name),
            (HostPattern::Names(_), Host::Address(_)) => false,
            (HostPattern::Anywhere, _) => true,
        }
    }

    /// Whether every host of the other is one of these; "no" may be wrong.
    pub fn covers(&self, other: &HostPattern) -> bool {
        match (self, other) {
            (HostPattern::Anywhere, _) => true,
            (_, HostPattern::Exact(host)) => self.matches(host),
            (HostPattern::Names(own), HostPattern::Names(other)) => own.glob.covers(&other.glob),
            (HostPattern::Exact(_), HostPattern::Names(_))
            | (HostPattern::Exact(_) | HostPattern::Names(_), HostPattern::Anywhere) => false,
        }
    }

    /// Whether a host may be one of both; "yes" may be wrong.
    pub fn may_overlap(&self, other: &HostPattern) -> bool {
        match (self, other) {
            (HostPattern::Anywhere, _) | (_, HostPattern::Anywhere) => true,
            (HostPattern::Exact(host), pattern) | (pattern, HostPattern::Exact(host)) => {
                pattern.matches(host)
            }
            (HostPattern::Names(own), HostPattern::Names(other)) => own.glob.may_overlap(&other.glob),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostPattern::Exact(host) => host.fmt(f),
            HostPattern::Names(pattern) => pattern.glob.fmt(f),
            HostPattern::Anywhere => f.write_str("any host at its allowed_ips"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_one_spelling() {
        for (text, wanted) in [
            ("Example.COM.", "example.com"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("_dmarc.example.com", "_dmarc.example.com"),
            ("127.1", "127.0.0.1"),
            ("0X7F000001", "127.0.0.1"),
            ("127.0.0.1.", "127.0.0.1"),
            ("[::1]", "[::1]"),
            ("::ffff:7f00:1", "[::ffff:127.0.0.1]"),
        ] {
            assert_eq!(Host::parse(text).unwrap().to_string(), wanted, "{text}");
        }
        for text in [
            "",
            ".",
            "a..b",
            "bücher.example",
            "ex ample.com",
            "a%2eb.com",
            "[::1",
            "fe80::1%eth0",
            "-a.com",
            "a-.com",
            "example.com:443",
            "example。com",
            "1.2.3.4.5",
            "a.256",
            "x/y",
            "user@example.com",
        ] {
            assert!(Host::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn one_star_is_one_label_and_two_are_many() {
        let matches = |pattern: &str, host: &str| {
            HostPattern::parse(pattern).unwrap().matches(&Host::parse(host).unwrap())
        };
        assert!(matches("*.example.com", "a.example.com"));
        assert!(matches("*.Example.com", "A.example.com."));
        for host in ["example.com", "a.b.example.com", "aexample.com", "a.example.com.evil.net"] {
            assert!(!matches("*.example.com", host), "{host}");
        }
        assert!(matches("**.example.com", "a.b.example.com") && matches("**.example.com", "a.example.com"));
        assert!(!matches("**.example.com", "example.com"));
        assert!(matches("*-api.example.com", "eu-api.example.com"));
        assert!(matches("api.*.example.com", "api.eu.example.com"));
        assert!(!matches("api.*.example.com", "api.example.com"));
        for pattern in [
            "*",
            "*.com",
            "**",
            "**.com",
            "a.**.example.com",
            "a*b.**.com",
            "x.y*.example.com",
            "*.*.com",
            "a.b.*",
            "*.0.0.1",
            "api.?.example.com",
        ] {
            assert!(HostPattern::parse(pattern).is_err(), "{pattern}");
        }
    }
}
