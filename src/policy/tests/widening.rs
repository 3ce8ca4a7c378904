//! Every way in which a policy may widen is seen, with a request that shows it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a step of a test that fails is a failed test"
)]

use policy::{Document, Hosts, Layer, Level, Policy, Widening};

fn policy(endpoint: &str, rest: &str) -> Policy {
    let text =
        format!("version: 1\n{rest}\nnetwork_policies:\n  x:\n    endpoints:\n      - {{ {endpoint} }}\n");
    whole(&text)
}

fn whole(text: &str) -> Policy {
    let document =
        Document::parse("test", text, &Hosts::Unknown).unwrap_or_else(|why| panic!("{text}\n{why}"));
    Policy::merge(vec![Layer { level: Level::Tenant, document }], Vec::new()).unwrap()
}

/// What the second allows beyond the first; and the first nothing beyond the second.
fn widens(narrow: &Policy, wide: &Policy) -> Vec<Widening> {
    let back = policy::widens(wide, narrow);
    assert!(back.is_empty(), "{back:?}");
    policy::widens(narrow, wide)
}

fn proven(narrow: &Policy, wide: &Policy) -> String {
    let found = widens(narrow, wide);
    let shown = found.iter().find(|one| one.proven).unwrap_or_else(|| panic!("{found:?}"));
    shown.example.clone().unwrap()
}

const REST: &str = "host: a.example.org, port: 443, protocol: rest, enforcement: enforce";

#[test]
fn hosts_and_ports_widen() {
    let one = policy("host: a.example.org, port: 443", "");
    assert_eq!(
        proven(&one, &policy("host: '*.example.org', port: 443", "")),
        "DELETE x.example.org:443/x by /usr/bin/node"
    );
    let ports = proven(&one, &policy("host: a.example.org, ports: [443, 8443]", ""));
    assert_eq!(ports, "DELETE a.example.org:8443/x by /usr/bin/node");
}

#[test]
fn methods_paths_and_queries_widen() {
    let with = |rules: &str| policy(&format!("{REST}, rules: [{rules}]"), "");
    let one = with("{ allow: { method: GET, path: /v1/items, query: { page: '1' } } }");
    for (rule, example) in [
        (
            "{ method: GET, path: /v1/items, query: { page: '*' } }",
            "GET a.example.org:443/v1/items?page=x by",
        ),
        ("{ method: GET, path: /v1/items }", "GET a.example.org:443/v1/items by"),
        ("{ method: GET, path: '/v1/**', query: { page: '1' } }", "GET a.example.org:443/v1/x?page=1 by"),
        (
            "{ method: '*', path: /v1/items, query: { page: '1' } }",
            "DELETE a.example.org:443/v1/items?page=1 by",
        ),
    ] {
        let shown = proven(&one, &with(&format!("{{ allow: {rule} }}")));
        assert!(shown.starts_with(example), "{shown}");
    }
}

#[test]
fn reading_takes_in_asking_for_the_head_alone() {
    let with = |rules: &str| policy(&format!("{REST}, {rules}"), "");
    let reads = with("rules: [{ allow: { method: GET, path: /x } }]");
    let heads = with("rules: [{ allow: { method: HEAD, path: /x } }]");
    assert!(policy::widens(&reads, &heads).is_empty(), "{:?}", policy::widens(&reads, &heads));
    assert_eq!(proven(&heads, &reads), "GET a.example.org:443/x by /usr/bin/node");
    let denies = with("access: full, deny_rules: [{ method: GET, path: /x }]");
    assert_eq!(
        proven(&denies, &with("access: full, deny_rules: [{ method: HEAD, path: /x }]")),
        "GET a.example.org:443/x by /usr/bin/node"
    );
    let less = with("access: full, deny_rules: [{ method: HEAD, path: /x }]");
    assert_eq!(proven(&less, &with("access: full")), "HEAD a.example.org:443/x by /usr/bin/node");
}

#[test]
fn a_deny_rule_that_goes_is_shown_by_what_it_refused() {
    let with = |deny: &str| {
        policy(&format!("{REST}, rules: [{{ allow: {{ method: '*', path: '/**' }} }}]{deny}"), "")
    };
    let denies = with(", deny_rules: [{ method: POST, path: '/admin/*', query: { force: 'yes' } }]");
    let example = proven(&denies, &with(""));
    assert_eq!(example, "POST a.example.org:443/admin/x?force=yes by /usr/bin/node");
}

#[test]
fn rules_that_are_no_longer_enforced_or_looked_at_widen() {
    let rules = "rules: [{ allow: { method: GET, path: '/**' } }]";
    let enforced = policy(&format!("{REST}, {rules}"), "");
    let audited = REST.replace("enforce\n", "").replace(": enforce", ": audit");
    assert_eq!(
        proven(&enforced, &policy(&format!("{audited}, {rules}"), "")),
        "DELETE a.example.org:443/x by /usr/bin/node"
    );
    assert_eq!(
        proven(&enforced, &policy("host: a.example.org, port: 443", "")),
        "DELETE a.example.org:443/x by /usr/bin/node"
    );
    let slash = policy(&format!("{REST}, {rules}, allow_encoded_slash: true"), "");
    assert_eq!(proven(&enforced, &slash), "GET a.example.org:443/x%2Fx by /usr/bin/node");
}

#[test]
fn programs_addresses_and_time_widen() {
    let binaries = |list: &str| {
        whole(&format!(
            "version: 1\nnetwork_policies:\n  x:\n    endpoints: [{{ host: a.example.org, port: 443 }}]\n{list}"
        ))
    };
    let node = binaries("    binaries: [{ path: /usr/bin/node }]\n");
    assert_eq!(proven(&node, &binaries("")), "DELETE a.example.org:443/x by /usr/bin/curl");
    let both = binaries("    binaries: [{ path: /usr/bin/node }, { path: /usr/bin/git }]\n");
    assert_eq!(proven(&node, &both), "DELETE a.example.org:443/x by /usr/bin/git");
    let ends = binaries("    x-tenantd: { expires: 2026-12-31 }\n");
    assert!(proven(&ends, &binaries("")).ends_with("once what allowed it before has ended"));
    let asks = binaries("    x-tenantd: { ask: true }\n");
    assert_eq!(proven(&asks, &binaries("")), "DELETE a.example.org:443/x by /usr/bin/node");
    let at = |list: &str| policy(&format!("host: a.example.org, port: 443, allowed_ips: [{list}]"), "");
    let example = proven(&at("10.1.0.0/24"), &at("10.1.0.0/24, 10.2.0.0/24"));
    assert_eq!(example, "DELETE a.example.org:443/x at 10.2.0.0 by /usr/bin/node");
}

/// What listed addresses allow must not depend on which addresses the machine has: it may have others tomorrow.
#[test]
fn an_address_that_is_listed_may_be_the_machines_own() {
    let any = policy("host: a.example.org, port: 443", "");
    let at = |list: &str| policy(&format!("host: a.example.org, port: 443, allowed_ips: [{list}]"), "");
    for list in ["8.8.8.8", "8.8.8.0/24", "10.0.0.1"] {
        let found = policy::widens(&any, &at(list));
        assert!(found.len() == 1 && found[0].example.as_ref().unwrap().contains(" at "), "{list}: {found:?}");
    }
    // It is so: there, the second policy reaches what the first one does not.
    let host = policy::Host::parse("a.example.org").unwrap();
    let verdict = |policy: Policy| {
        let address = Some([8, 8, 8, 8].into());
        let request =
            policy::Request { host: &host, port: 443, address, binaries: &[], exchange: None, now: 0 };
        policy.with_own(|_| true).decide(&request).verdict
    };
    assert!(verdict(any) < verdict(at("8.8.8.8")));
    assert!(policy::widens(&at("8.8.8.0/24"), &at("8.8.8.8")).is_empty());
}

#[test]
fn what_was_refused_and_is_asked_about_widens() {
    let denied = whole("version: 1\nnetwork_policies: {}\n");
    let asked = whole("version: 1\nx-tenantd: { default: ask }\nnetwork_policies: {}\n");
    assert_eq!(proven(&denied, &asked), "a connection to host.example.org:443 by /usr/bin/node");
    let strict = policy(
        &format!("{REST}, rules: [{{ allow: {{ method: GET, path: / }} }}]"),
        "x-tenantd: { default: ask }",
    );
    let found = policy::widens(&strict, &asked);
    assert!(found.iter().any(|one| one.proven && one.example.is_some()), "{found:?}");
}
