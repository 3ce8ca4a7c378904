//! Published documents load unchanged and mean what they say; what is wrong is said with its place.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a step of a test that fails is a failed test"
)]

mod reading;

use policy::{Document, Hosts, Kind, Level, Verdict};
use reading::{Ask, connect, document, endpoint, http, policy as of, refused, verdict};

const DISCORD: &str = include_str!("documents/discord.yaml");
const JIRA: &str = include_str!("documents/jira.yaml");
const QUICKSTART: &str = include_str!("documents/quickstart.yaml");
const SLACK: &str = include_str!("documents/slack.yaml");
const TELEGRAM: &str = include_str!("documents/telegram.yaml");

#[test]
fn published_presets_load_and_mean_what_they_say() {
    for (text, yes, no) in [
        (DISCORD, http("discord.com", "POST", "/api/v10/x"), http("discord.com", "DELETE", "/api/v10/x")),
        (DISCORD, http("cdn.discordapp.com", "GET", "/a"), http("cdn.discordapp.com", "POST", "/a")),
        (JIRA, http("acme.atlassian.net", "GET", "/rest"), http("a.b.atlassian.net", "GET", "/rest")),
        (JIRA, http("api.atlassian.com", "POST", "/x"), http("atlassian.net", "GET", "/")),
        (SLACK, http("hooks.slack.com", "POST", "/services/x"), http("evil.slack.com", "GET", "/")),
        (
            TELEGRAM,
            http("api.telegram.org", "POST", "/bot1:x/sendMessage"),
            http("api.telegram.org", "GET", "/file/bot1:x/y"),
        ),
    ] {
        let policy = of(text);
        assert_eq!(verdict(&policy, yes), Verdict::Allow, "{}", yes.host);
        assert_eq!(verdict(&policy, no), Verdict::Deny, "{}", no.host);
        assert!(document(text).notices.iter().any(|notice| notice.what.contains("every program")));
    }
}

#[test]
fn the_quickstart_allows_curl_to_read_and_nobody_to_write() {
    let policy = of(QUICKSTART);
    let curl = |method| Ask { binary: "/usr/bin/curl", ..http("api.github.com", method, "/repos/a/b") };
    assert_eq!(verdict(&policy, curl("GET")), Verdict::Allow);
    assert_eq!(verdict(&policy, curl("POST")), Verdict::Deny);
    assert_eq!(verdict(&policy, http("api.github.com", "GET", "/zen")), Verdict::Deny);
    let connection = Ask { binary: "/usr/bin/curl", ..connect("api.github.com") };
    assert_eq!(verdict(&policy, connection), Verdict::Inspect);
    let startup = document(QUICKSTART).startup;
    assert_eq!(startup.read_write, ["/sandbox", "/tmp", "/dev/null"]);
}

/// The same fields as the policies of sandboxes that are published, by every section and protocol.
#[test]
fn a_document_with_every_field_that_is_enforced_loads() {
    let text = "
version: 1
filesystem_policy: { include_workdir: false, read_only: [/usr, /etc], read_write: [/tmp] }
landlock: { compatibility: hard_requirement }
process: { run_as_user: sandbox, run_as_group: sandbox }
x-tenantd: { default: ask }
network_policies:
  all:
    name: all-of-it
    endpoints:
      - { host: gateway.example.com, port: 443, protocol: websocket, enforcement: enforce,
          websocket_credential_rewrite: true,
          rules: [{ allow: { method: GET, path: \"/**\" } }, { allow: { method: WEBSOCKET_TEXT, path: /v1/* } }] }
      - { host: api.example.com, ports: [443, 8443], path: \"/v1/**\", protocol: rest, enforcement: audit,
          access: read-write, deny_rules: [{ method: \"*\", path: /v1/admin/** }], allow_encoded_slash: true,
          request_body_credential_rewrite: true, tls: terminate }
      - { host: \"*.internal.example\", port: 5432, protocol: tcp, allowed_ips: [10.20.0.0/16, fd00::/64] }
      - { port: 22, allowed_ips: [192.0.2.7], tls: skip }
      - { host: q.example.com, port: 443, protocol: rest, enforcement: enforce,
          rules: [{ allow: { method: GET, path: /d, query: { os: { any: [\"linux-*\", b] }, v: \"1.*\" } } }] }
    binaries: [{ path: /usr/bin/node }, { path: \"/opt/*/bin/java\" }]
    x-tenantd: { ask: false, expires: 2030-01-01T00:00:00Z, max_bytes: 10M, max_rate: 60, why: because }
";
    let read = document(text);
    assert_eq!(read.policies.first().unwrap().endpoints.len(), 5);
    let policy = of(text);
    let q = |path| verdict(&policy, http("q.example.com", "GET", path));
    assert_eq!(q("/d?os=linux-x&v=1.2"), Verdict::Allow);
    for path in ["/d?os=mac&v=1.2", "/d?os=linux-x", "/d?os=linux-x&v=1.2&v=2.0", "/d?os=linux-x&v=1.2.3"] {
        assert_eq!(q(path), Verdict::Deny, "{path}");
    }
    let ws = |kind, path| verdict(&policy, Ask { kind, ..http("gateway.example.com", "GET", path) });
    assert_eq!(ws(Kind::Upgrade, "/x"), Verdict::Allow);
    assert_eq!(ws(Kind::Request, "/x"), Verdict::Deny);
    assert_eq!(ws(Kind::Message, "/v1/a"), Verdict::Allow);
    assert_eq!(ws(Kind::Message, "/x"), Verdict::Deny);
    let audited = |path| verdict(&policy, http("api.example.com", "DELETE", path));
    assert_eq!(audited("/v1/x"), Verdict::Allow, "audit lets go on");
    assert_eq!(audited("/v2/x"), Verdict::Deny, "no endpoint is about this path");
    let inside = |address| verdict(&policy, Ask { port: 5432, address, ..connect("db.internal.example") });
    assert_eq!(inside("10.20.1.1"), Verdict::Allow);
    assert_eq!(inside("10.21.1.1"), Verdict::Deny);
    assert_eq!(inside("8.8.8.8"), Verdict::Deny, "allowed_ips limits public addresses too");
    assert_eq!(verdict(&policy, Ask { port: 22, ..connect("192.0.2.7") }), Verdict::Allow);
    assert_eq!(verdict(&policy, connect("unlisted.example.com")), Verdict::Ask);
    let late = Ask { now: 2_000_000_000, ..http("q.example.com", "GET", "/d?os=b&v=1.1") };
    assert_eq!(verdict(&policy, late), Verdict::Ask, "what has expired is unlisted");
}

/// Fields of an endpoint, and what is said of them.
const ENDPOINTS: &[(&str, &str)] = &[
    ("host: a.example.com, port: 443, protocol: graphql, access: full", "protocol: graphql is not enforced"),
    ("host: a.example.com, port: 443, protocol: sql", "protocol: sql is not enforced"),
    ("host: a.example.com, port: 443, mcp: {}", "mcp is not enforced"),
    ("host: a.example.com, port: 443, credential_signing: sigv4", "credential_signing is not enforced"),
    ("host: a.example.com, port: 443, prot: rest", "no field \"prot\""),
    ("host: a.example.com, port: 443, access: read-only", "access: read-only has no effect"),
    ("host: a.example.com, port: 443, rules: [{ allow: { method: GET, path: /a } }]", "rules has no effect"),
    ("host: a.example.com, port: 443, deny_rules: [{ method: GET, path: /a }]", "deny_rules has no effect"),
    ("host: a.example.com, port: 443, enforcement: audit", "enforcement: audit has no effect"),
    ("host: a.example.com, port: 443, path: /v1", "path has no effect"),
    ("host: a.example.com, port: 443, allow_encoded_slash: true", "no effect without a protocol"),
    ("host: a.example.com, port: 443, protocol: rest", "says what is allowed"),
    ("host: a.example.com, port: 443, protocol: rest, rules: []", "would refuse everything"),
    ("host: a.example.com, port: 443, protocol: rest, access: full, tls: skip", "tls: skip hides"),
    (
        "host: a.example.com, port: 443, protocol: rest, access: full, tls: passthrough",
        "tls: passthrough hides",
    ),
    (
        "host: a.example.com, port: 443, protocol: websocket, access: full, request_body_credential_rewrite: true",
        "request_body_credential_rewrite is not enforced",
    ),
    ("host: \"*\", port: 443", "take in every host"),
    ("host: a.example.com, port: 443, protocol: rest, access: full, rules: []", "exclude each other"),
    ("host: a.example.com, port: 443, protocol: rest, access: all", "access is read-only"),
    (
        "host: a.example.com, port: 443, protocol: websocket, rules: [{ allow: { method: POST, path: /a } }]",
        "never occurs",
    ),
    (
        "host: a.example.com, port: 443, protocol: rest, rules: [{ allow: { method: GET, path: /a%2fb } }]",
        "decoded",
    ),
    (
        "host: a.example.com, port: 443, protocol: rest, rules: [{ allow: { method: GET } }]",
        "method and path",
    ),
    ("host: a.example.com, port: 443, protocol: rest, rules: [{ method: GET, path: / }]", "no field"),
    ("host: a.example.com, port: 443, tls: none", "tls is skip"),
    ("host: a.example.com", "has a port"),
    ("host: a.example.com, port: 443, ports: [443]", "not both"),
    ("host: a.example.com, port: \"443\"", "port is a whole number"),
    ("host: a.example.com, port: 0443", "port is a whole number"),
    ("host: a.example.com, port: 65536", "from 1 to 65535"),
    ("port: 443", "has a host"),
    ("host: \"*.com\", port: 443", "three labels"),
    ("host: 127.0.0.1, port: 443", "loopback"),
    ("host: 0x7f.1, port: 443", "loopback"),
    ("host: a.example.com, port: 443, allowed_ips: [169.254.0.0/16]", "takes in"),
    ("host: a.example.com, port: 443, allowed_ips: [0.0.0.0/0]", "takes in"),
    ("host: a.example.com, port: 443, allowed_ips: [10.0.0.1/8]", "first address"),
    (
        "host: a.example.com, port: 443, protocol: rest, access: full, allow_encoded_slash: \"true\"",
        "true or false",
    ),
];

#[test]
fn what_is_not_enforced_is_an_error_that_names_it() {
    for (fields, needle) in ENDPOINTS {
        let message = refused(&endpoint(fields));
        assert!(message.starts_with("test.yaml:5:") && message.contains(needle), "{fields}: {message}");
    }
}

#[test]
fn what_no_document_holds_is_refused() {
    for (text, needle) in [
        ("", "empty"),
        ("network_policies: {}", "version is missing"),
        ("version: 2", "version"),
        ("version: \"1\"", "version is a whole number without quotes, 1, not"),
        (
            "version: 1\nlandlock: { compatibility: maybe }",
            "compatibility is best_effort, hard_requirement or strict",
        ),
        (
            "version: 1\nnetwork_policies: { a: { binaries: [{ path: /x, harness: true }] } }",
            "harness is not enforced",
        ),
        ("version: 1\nnetwork_middlewares: {}", "test.yaml:2:1: network_middlewares is not enforced"),
        ("version: 1\nprocess: { run_as_user: \"1500\" }", "run_as_user"),
        ("version: 1\nfilesystem_policy: { read_write: [/] }", "no absolute path"),
        ("version: 1\nversion: 1", "test.yaml:2:1: \"version\" stands here and in line 1"),
        ("a: &x 1\nb: *x", "anchor"),
        ("version: !!int 1", "tag"),
        ("version: 1\n---\nversion: 1", "second document"),
        ("version: [1", "not YAML"),
        ("? [a]\n: 1", "as a key"),
        ("version: 1\nnetwork_policies: { _provider_x: {} }", "_provider_"),
        ("version: 1\nnetwork_policies: { a: { binaries: [{ path: node }] } }", "absolute path"),
        ("version: 1\nnetwork_policies: { a: { x-tenantd: { expires: tomorrow } } }", "a time is written"),
    ] {
        let message = refused(text);
        assert!(message.contains(needle), "{text}: {message}");
    }
}

/// What stands in published documents and is no rule about the network: it loads, and what it does not do here is said.
#[test]
fn where_a_document_is_something_else_here_it_says_so() {
    let said = |text: &str| {
        let notices = document(text).notices;
        notices.into_iter().map(|notice| notice.what).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(said("version: 1\nlandlock:\nprocess:\nfilesystem_policy:\nnetwork_policies:\n"), "");
    assert!(said("version: 1\nlandlock: { compatibility: strict }").contains("compatibility: strict"));
    assert!(said("version: 1\nfilesystem_policy: { include_workdir: true }").contains("include_workdir"));
    let of_endpoint = |fields: &str| {
        said(&endpoint(&format!("{fields}, protocol: REST, enforcement: enforce, access: full")))
    };
    let usual = of_endpoint("host: a.example.com, port: 443");
    for (fields, needle) in [
        ("host: inference.local, port: 443", "http://inference.internal/v1"),
        ("host: host.openshell.internal, port: 11434", "allowed_ips"),
        ("host: \"*.svc.cluster.local\", port: 80", "allowed_ips"),
        ("host: a.example.com, port: 6443", "control plane"),
    ] {
        let notices = of_endpoint(fields);
        assert!(notices.contains(needle) && !usual.contains(needle), "{fields}: {notices}");
    }
    assert!(
        said(&endpoint("host: a.example.com, port: 443, tls: terminate"))
            .contains("tls: terminate has no effect")
    );
    assert!(!of_endpoint("host: db.internal, port: 5432, allowed_ips: [10.0.0.0/8]").contains("allowed_ips"));
    assert!(!of_endpoint("host: inference.internal, port: 80").contains("allowed_ips"));
}

#[test]
fn everything_wrong_is_said_at_once_with_the_line_and_a_caret() {
    let message = refused("version: 1\nnetwork_policies:\n  a:\n    endpoint: []\n    binary: []\n");
    assert_eq!(
        message,
        "test.yaml:4:5: policy \"a\" has no field \"endpoint\": take it out, or correct its name\n  |     endpoint: []\n  |     ^\n\
         test.yaml:5:5: policy \"a\" has no field \"binary\": take it out, or correct its name\n  |     binary: []\n  |     ^"
    );
}

#[test]
fn a_document_that_would_grow_or_nest_is_refused_before_it_is_built() {
    let deep = format!("version: 1\nx: {}1", "[".repeat(40));
    let deeper = format!("version: 1\nx: {}1", "[".repeat(100_000));
    let many = format!("version: 1\nx: [{}]", "1,".repeat(200_000));
    let large = format!("version: 1\n# {}", "x".repeat(policy::MOST_BYTES));
    let laughs = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]";
    for (text, needle) in [
        (deep.as_str(), "nested deeper"),
        (&deeper, "test.yaml:2:"),
        (&many, "more than 100000"),
        (&large, "1 MiB"),
        (laughs, "anchor"),
    ] {
        assert!(refused(text).contains(needle), "{needle}");
    }
}

#[test]
fn a_host_of_this_machine_is_taken_from_its_configuration() {
    let text = "preset: { name: npm }\nnetwork_policies:\n  npm:\n    endpoints:\n      - { x-tenantd: { host_of: npm }, protocol: rest, enforcement: enforce, access: read-only }\n";
    let known = [("npm".to_owned(), (policy::Host::parse("mirror.example.org").unwrap(), 8443))];
    let read = Document::parse("npm", text, &Hosts::Known(known.into())).unwrap();
    let endpoint = read.policies.first().unwrap().endpoints.first().unwrap();
    assert_eq!(
        (endpoint.host.to_string().as_str(), endpoint.ports.as_slice()),
        ("mirror.example.org", [8443].as_slice())
    );
    let missing = Document::parse("npm", text, &Hosts::Known([].into())).unwrap_err().to_string();
    assert!(missing.contains("[registries]"), "{missing}");
    let both = "version: 1\nx-tenantd: { default: ask }";
    let preset = policy::Layer { level: Level::Preset, document: document(both) };
    assert!(policy::Policy::merge(vec![preset], Vec::new()).unwrap_err().to_string().contains("take it out"));
}
