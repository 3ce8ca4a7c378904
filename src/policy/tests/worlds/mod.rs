//! Policies and requests nobody thought of, from few words, so that they meet.
#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a step of a test that fails is a failed test")]

use policy::{
    Call, Calls, Cidr, Content, Document, Exchange, Host, Hosts, Kind, Layer, Level, Policy, Request, Target,
};
use proptest::prelude::*;
use proptest::sample::select;

const PATHS: &[&str] = &["/**", "/a", "/a/**", "/*/b", "/a/*", "/**/b", "/b*", "/a/b/**"];

fn rule() -> impl Strategy<Value = String> {
    let query = select(vec!["", "", "", ", query: { x: \"1\" }", ", query: { x: { any: [\"1\", \"2*\"]} }"]);
    (select(vec!["GET", "HEAD", "POST", "\"*\""]), select(PATHS), query)
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

fn call_rule() -> impl Strategy<Value = String> {
    let methods = select(vec!["tools/list", "tools/call", "\"tools/*\"", "ping", "x/y"]);
    let tools = select(vec!["a", "\"a*\"", "{ any: [a.b, \"b.*\" ]}", "b"]);
    prop_oneof![
        3 => methods.prop_map(|method| format!("{{ method: {method} }}")),
        2 => tools.prop_map(|tool| format!("{{ method: tools/call, tool: {tool} }}")),
    ]
}

/// Rules that go together: where some name tools, none is about every tool.
fn calls() -> impl Strategy<Value = String> {
    let rpc = prop::collection::vec(select(vec!["a", "tools/call", "x/y", "\"*\""]), 1..3);
    let limits = || select(vec![50usize, 100, 200]);
    let rpc = (rpc, select(vec!["", "a", "x/y"]), limits()).prop_map(|(allow, deny, most)| {
        let allow: Vec<_> =
            allow.iter().map(|method| format!("{{ allow: {{ method: {method} }} }}")).collect();
        let deny = if deny.is_empty() { String::new() } else { format!("{{ method: {deny} }}") };
        format!(
            "protocol: json-rpc, json_rpc: {{ max_body_bytes: {most} }}, rules: [{}], deny_rules: [{deny}]",
            allow.join(", ")
        )
    });
    let mcp = (rules(call_rule().boxed(), 3), any::<bool>(), any::<bool>(), limits());
    let mcp = mcp.prop_map(|((allow, deny), profile, strict, most)| {
        let narrow = |rules: String| match allow.contains("tool:") {
            true => rules
                .replace("{ method: tools/call }", "{ method: ping }")
                .replace("\"tools/*\"", "tools/list"),
            false => rules,
        };
        let (allow, deny) = (narrow(allow.clone()), narrow(deny));
        let exact = |rules: String| if strict { rules } else { rules.replace("a*", "a").replace("b.*", "b") };
        let options = format!(
            "strict_tool_names: {strict}, allow_all_known_mcp_methods: {profile}, max_body_bytes: {most}"
        );
        format!(
            "protocol: mcp, mcp: {{ {options} }}, rules: [{}], deny_rules: [{}]",
            exact(allow),
            exact(deny)
        )
    });
    let place = (select(vec!["enforce", "enforce", "audit"]), select(vec!["", "", "/a", "/a/**"]));
    (prop_oneof![1 => rpc, 3 => mcp], place).prop_map(|(text, (enforcement, path))| {
        format!(", enforcement: {enforcement}, path: \"{path}\", {text}")
    })
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
        3 => calls(),
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
            let calls = inspection.contains("protocol: mcp") || inspection.contains("protocol: json-rpc");
            let host = if host.is_empty() && calls { "host: a.example.com, " } else { host };
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
        let calls = endpoints
            .iter()
            .any(|endpoint| endpoint.contains("protocol: mcp") || endpoint.contains("json-rpc"));
        let terms = if calls { terms.replace("ask: true", "ask: false") } else { terms.to_owned() };
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

/// The text of a document about calls at one place, so that two of them meet.
pub fn calls_document() -> impl Strategy<Value = String> {
    prop::collection::vec(calls(), 1..3).prop_map(|endpoints| {
        let list =
            endpoints.iter().map(|rest| format!("      - {{ host: a.example.com, port: 443{rest} }}\n"));
        format!("version: 1\nnetwork_policies:\n  p0:\n    endpoints:\n{}", list.collect::<String>())
    })
}

/// Calls there.
pub fn asked_calls() -> impl Strategy<Value = Asked> {
    (said(), select(vec!["/a", "/a", "/a/b"]), select(vec!["POST", "POST", "POST", "GET", "HEAD"])).prop_map(
        |(content, path, method)| Asked {
            host: Host::parse("a.example.com").unwrap(),
            port: 443,
            address: None,
            binary: "/usr/bin/node",
            kind: Kind::Request,
            method,
            target: Some(Target::parse(path).unwrap()),
            content,
            now: 0,
        },
    )
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
    content: Said,
    now: u64,
}

/// What a body holds.
#[derive(Clone, Debug)]
enum Said {
    Nothing,
    Unknown,
    Calls(Vec<Call>, usize),
}

fn said() -> impl Strategy<Value = Said> {
    let methods =
        select(vec!["", "a", "x/y", "ping", "tools/list", "tools/call", "tools/call", "tools/call", "Ping"]);
    let tools = prop::option::weighted(0.9, select(vec!["a", "ab", "a.b", "b", "b.c.d", "a b"]));
    let call = (methods, tools).prop_map(|(method, tool)| Call {
        method: (!method.is_empty()).then(|| method.to_owned()),
        tool: tool.map(str::to_owned),
    });
    let calls = (prop::collection::vec(call, 1..3), select(vec![10usize, 60, 100, 150, 250]));
    prop_oneof![
        2 => Just(Said::Nothing),
        1 => Just(Said::Unknown),
        4 => calls.prop_map(|(calls, bytes)| Said::Calls(calls, bytes)),
    ]
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
        "/A",
        "/a;x/B/",
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
        (select(vec!["GET", "POST", "POST", "DELETE", "get", "HEAD"]), said()),
        prop::option::weighted(0.85, select(paths)),
        select(vec![0u64, 100, 200]),
    )
        .prop_map(|(host, port, address, binary, kind, (method, content), path, now)| Asked {
            host: Host::parse(host).unwrap(),
            port,
            address: address.parse().ok(),
            binary,
            kind,
            method,
            target: path.map(|path| Target::parse(path).unwrap()),
            content,
            now,
        })
}

impl Asked {
    /// The question as the policy takes it.
    pub fn with<T>(&self, then: impl FnOnce(&Request<'_>) -> T) -> T {
        let content = match &self.content {
            Said::Nothing => Content::None,
            Said::Unknown => Content::Unknown,
            Said::Calls(list, bytes) => Content::Calls(Calls { list, bytes: *bytes }),
        };
        let exchange = self.target.as_ref();
        let exchange =
            exchange.map(|target| Exchange { content, ..Exchange::new(self.kind, self.method, target) });
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
