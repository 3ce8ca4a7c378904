//! Policies and requests nobody thought of, from few words, so that they meet.
#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a step of a test that fails is a failed test")]

use policy::{Cidr, Document, Exchange, Host, Hosts, Kind, Layer, Level, Policy, Request, Target};
use proptest::prelude::*;
use proptest::sample::select;

const PATHS: &[&str] = &["/**", "/a", "/a/**", "/*/b", "/a/*", "/**/b", "/b*", "/a/b/**"];

fn rule() -> impl Strategy<Value = String> {
    let query = select(vec!["", "", "", ", query: { x: \"1\" }", ", query: { x: { any: [\"1\", \"2*\"] } }"]);
    (select(vec!["GET", "POST", "\"*\""]), select(PATHS), query)
        .prop_map(|(method, path, query)| format!("{{ method: {method}, path: \"{path}\"{query} }}"))
}

fn message_rule() -> impl Strategy<Value = String> {
    (select(vec!["GET", "WEBSOCKET_TEXT", "\"*\""]), select(PATHS))
        .prop_map(|(method, path)| format!("{{ method: {method}, path: \"{path}\" }}"))
}

fn rules(one: impl Strategy<Value = String> + Clone, most: usize) -> impl Strategy<Value = (String, String)> {
    (prop::collection::vec(one.clone(), 1..=most), prop::collection::vec(one, 0..2)).prop_map(
        |(allow, deny)| {
            let allow: Vec<_> = allow.iter().map(|rule| format!("{{ allow: {rule} }}")).collect();
            (allow.join(", "), deny.join(", "))
        },
    )
}

fn inspection() -> impl Strategy<Value = String> {
    let rest = (
        rules(rule().boxed(), 2),
        select(vec!["", "", "/a/**", "/a", "/*b"]),
        select(vec!["enforce", "enforce", "audit"]),
        any::<bool>(),
    )
        .prop_map(|((allow, deny), path, enforcement, slash)| {
            format!(
                ", protocol: rest, enforcement: {enforcement}, path: \"{path}\", rules: [{allow}], deny_rules: [{deny}], allow_encoded_slash: {slash}"
            )
        });
    let websocket = rules(message_rule().boxed(), 2).prop_map(|(allow, deny)| {
        format!(", protocol: websocket, enforcement: enforce, rules: [{allow}], deny_rules: [{deny}]")
    });
    prop_oneof![
        4 => rest,
        1 => websocket,
        3 => Just(String::new()),
        1 => Just(", protocol: rest, enforcement: enforce, access: read-only".to_owned()),
    ]
}

fn endpoint() -> impl Strategy<Value = String> {
    let hosts = vec![
        "host: a.example.com, ",
        "host: a.example.com, ",
        "host: b.example.com, ",
        "host: \"*.example.com\", ",
        "host: \"a*.example.com\", ",
        "host: \"**.example.com\", ",
        "host: \"a.*.example.com\", ",
        "host: 10.0.0.1, ",
        "",
    ];
    let ips = select(vec!["", "", "", "10.0.0.0/8", "10.0.0.1", "8.8.8.8", "10.0.0.0/8, 8.8.0.0/16"]);
    (select(hosts), select(vec!["443", "443", "443, 80", "80"]), ips, inspection()).prop_map(
        |(host, ports, ips, inspection)| {
            let ips = if host.is_empty() && ips.is_empty() { "10.0.0.0/8" } else { ips };
            format!("{{ {host}ports: [{ports}], allowed_ips: [{ips}]{inspection} }}")
        },
    )
}

fn network() -> impl Strategy<Value = String> {
    let binaries = select(vec![
        "",
        "",
        "    binaries: [{ path: /usr/bin/node }]\n",
        "    binaries: [{ path: \"/usr/bin/*\" }]\n",
        "    binaries: []\n",
    ]);
    let terms = select(vec![
        "",
        "",
        "",
        "    x-tenantd: { ask: true }\n",
        "    x-tenantd: { expires: 1970-01-01T00:01:40Z }\n",
    ]);
    (prop::collection::vec(endpoint(), 1..3), binaries, terms).prop_map(|(endpoints, binaries, terms)| {
        let list: String = endpoints.iter().map(|endpoint| format!("      - {endpoint}\n")).collect();
        format!("    endpoints:\n{list}{binaries}{terms}")
    })
}

/// The text of a document.
pub fn document() -> impl Strategy<Value = String> {
    let default = select(vec!["", "x-tenantd: { default: ask }\n", "x-tenantd: { default: deny }\n"]);
    (default, prop::collection::vec(network(), 0..4)).prop_map(|(default, networks)| {
        let entries = networks.iter().enumerate().map(|(index, text)| format!("  p{index}:\n{text}"));
        format!("version: 1\n{default}network_policies:\n{}", entries.collect::<String>())
    })
}

/// One of two policies: `text` at the level of a tenant.
pub fn policy(texts: &[&str]) -> Policy {
    let layer = |text: &&str| Layer {
        level: Level::Tenant,
        document: Document::parse("world", text, &Hosts::Unknown)
            .unwrap_or_else(|refused| panic!("{refused}\n{text}")),
    };
    Policy::merge(texts.iter().map(layer).collect(), vec![Cidr::parse("10.9.0.0/16").unwrap()]).unwrap()
}

/// What is asked, in words.
#[derive(Clone, Debug)]
pub struct Asked {
    host: Host,
    port: u16,
    address: Option<std::net::IpAddr>,
    binary: &'static str,
    kind: Kind,
    method: &'static str,
    target: Option<Target>,
    now: u64,
}

/// A question.
pub fn asked() -> impl Strategy<Value = Asked> {
    let hosts = vec![
        "a.example.com",
        "b.example.com",
        "a.b.example.com",
        "ab.example.com",
        "x.y.example.com",
        "10.0.0.1",
        "10.9.0.1",
        "8.8.8.8",
    ];
    let addresses = vec!["", "", "8.8.8.8", "1.1.1.1", "10.0.0.1", "10.9.0.1", "127.0.0.1"];
    let paths = vec![
        "/a",
        "/a/b",
        "/b",
        "/a/b/c",
        "/c/b",
        "/",
        "/a/",
        "/a%2Fb",
        "/ab",
        "/a?x=1",
        "/a/b?x=1&x=2",
        "/b?x=21&x=3",
    ];
    (
        select(hosts),
        select(vec![443, 443, 443, 80]),
        select(addresses),
        select(vec!["/usr/bin/node", "/usr/bin/curl", "/opt/x"]),
        select(vec![Kind::Request, Kind::Request, Kind::Upgrade, Kind::Message]),
        select(vec!["GET", "POST", "DELETE", "get"]),
        prop::option::weighted(0.85, select(paths)),
        select(vec![0u64, 100, 200]),
    )
        .prop_map(|(host, port, address, binary, kind, method, path, now)| Asked {
            host: Host::parse(host).unwrap(),
            port,
            address: address.parse().ok(),
            binary,
            kind,
            method,
            target: path.map(|path| Target::parse(path).unwrap()),
            now,
        })
}

impl Asked {
    /// The question as the policy takes it.
    pub fn with<T>(&self, then: impl FnOnce(&Request<'_>) -> T) -> T {
        let exchange =
            self.target.as_ref().map(|target| Exchange { kind: self.kind, method: self.method, target });
        then(&Request {
            host: &self.host,
            port: self.port,
            address: self.address,
            binaries: &[self.binary, "/usr/lib/systemd/systemd"],
            exchange,
            now: self.now,
        })
    }

    /// Whether it is about a request, not about a connection alone.
    pub fn is_request(&self) -> bool {
        self.target.is_some()
    }
}
