//! Rules of an endpoint, and the presets of `access` as rules.

use crate::Glob;
use crate::document::{Protocol, Rule};
use crate::fields::{Fields, Unenforced, text_of};
use crate::problem::{Mark, Problems, shown};
use crate::yaml::{Node, Value};

const RULE: Unenforced = &[
    ("operation_type", "GraphQL is not looked into; use method and path"),
    ("operation_name", "GraphQL is not looked into; use method and path"),
    ("fields", "GraphQL is not looked into; use method and path"),
    ("tool", "it is of protocol: mcp"),
    ("params", "it is of protocol: mcp"),
    ("command", "SQL is not looked into; protocol: tcp passes its bytes unseen"),
];

/// The method of a client's text message on a WebSocket.
pub(crate) const MESSAGE: &str = "WEBSOCKET_TEXT";

/// `rules`, whose items are wrapped in `allow`, or `deny_rules`, whose items are not.
pub(super) fn rules_of(
    fields: &mut Fields<'_>,
    name: &str,
    problems: &mut Problems<'_>,
) -> Option<(Mark, Vec<Rule>)> {
    let (mark, nodes) = fields.list(name, problems)?;
    if nodes.is_empty() && name == "rules" {
        problems.add(mark, "rules is empty and would refuse everything: add one, or take the endpoint out");
    }
    let rules = nodes.iter().filter_map(|node| {
        if name == "deny_rules" {
            return rule(node, problems);
        }
        let mut wrapped = Fields::of(node, "a rule", problems)?;
        let allow = wrapped.take("allow");
        wrapped.finish(&[], problems);
        match allow {
            Some(entry) => rule(&entry.value, problems),
            None => {
                problems.add(node.mark, "a rule says what it allows: - allow: { method: GET, path: /** }");
                None
            }
        }
    });
    Some((mark, rules.collect()))
}

fn rule(node: &Node, problems: &mut Problems<'_>) -> Option<Rule> {
    let mut fields = Fields::of(node, "a rule", problems)?;
    let method = fields.text("method", problems);
    let path = fields.text("path", problems);
    let query = match fields.take("query") {
        Some(entry) => query(&entry.value, problems),
        None => Some(Vec::new()),
    };
    let others = fields.finish(RULE, problems);
    let (Some((method_mark, method)), Some((path_mark, path))) = (method, path) else {
        // What was said of other fields says more.
        if !others {
            problems.add(node.mark, "a rule has method and path: { method: GET, path: /v1/** }");
        }
        return None;
    };
    let named = method != "*";
    if named && !method.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_' || b == b'-') {
        problems.add(method_mark, format!("method is one word or \"*\", not {}", shown(method)));
    }
    if !path.starts_with('/') && path != "**" {
        problems.add(path_mark, format!("path {} begins with a slash", shown(path)));
    }
    if path.contains('%') {
        problems.add(
            path_mark,
            format!("path {} is compared with decoded paths: write the characters themselves", shown(path)),
        );
    }
    let glob = Glob::parse(path, '/').map_err(|why| {
        problems.add(path_mark, format!("path {}: {why}", shown(path)));
    });
    Some(Rule {
        mark: node.mark,
        method: named.then(|| method.to_ascii_uppercase()),
        path: glob.ok()?,
        query: query?,
        call: None,
    })
}

fn query(node: &Node, problems: &mut Problems<'_>) -> Option<Vec<(String, Vec<Glob>)>> {
    let Value::Map(entries) = &node.value else {
        problems.add(node.mark, format!("query is a map of parameters, not {}", node.kind()));
        return None;
    };
    let mut query = Vec::new();
    for entry in entries {
        let texts = match &entry.value.value {
            Value::Map(_) => {
                let mut fields = Fields::of(&entry.value, "a parameter", problems)?;
                let any = fields.texts("any", problems).map(|(_, texts)| texts).unwrap_or_default();
                fields.finish(&[], problems);
                if any.is_empty() {
                    problems.add(entry.mark, "a parameter has a pattern or { any: [patterns] }");
                }
                any
            }
            Value::Scalar { .. } | Value::List(_) => {
                text_of(&entry.value, "a parameter", problems).into_iter().collect()
            }
        };
        let globs = texts.into_iter().filter_map(|(mark, text)| {
            Glob::parse(text, '.').map_err(|why| problems.add(mark, format!("{}: {why}", shown(text)))).ok()
        });
        query.push((entry.key.clone(), globs.collect()));
    }
    Some(query)
}

/// Whether the rule matches every request.
pub(super) fn every_request(rule: &Rule) -> bool {
    rule.method.is_none() && matches!(rule.path.as_str(), "/**" | "**") && rule.query.is_empty()
}

/// The rules that an access preset stands for.
pub(super) fn preset(mark: Mark, access: &str, protocol: Protocol, problems: &mut Problems<'_>) -> Vec<Rule> {
    const READ: &[&str] = &["GET", "HEAD", "OPTIONS"];
    const WRITE: &[&str] = &["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH"];
    let methods: &[&str] = match (access, protocol) {
        ("full", Protocol::Rest | Protocol::Websocket) | ("read-write", Protocol::Websocket) => &["*"],
        ("read-only", Protocol::Rest) => READ,
        ("read-write", Protocol::Rest) => WRITE,
        ("read-only", Protocol::Websocket) => &["GET"],
        (access, Protocol::JsonRpc | Protocol::Mcp) => {
            problems.add(
                mark,
                format!("access: {access} is about requests, not about their calls: add rules instead"),
            );
            &[]
        }
        (other, _) => {
            problems.add(mark, format!("access is read-only, read-write or full, not {}", shown(other)));
            &[]
        }
    };
    let rule = |method: &&str| {
        let path = Glob::parse("/**", '/').ok()?;
        let method = (*method != "*").then(|| (*method).to_owned());
        Some(Rule { mark, method, path, query: Vec::new(), call: None })
    };
    methods.iter().filter_map(rule).collect()
}

/// Refuses methods that no request of the protocol has: such a rule would never match.
pub(super) fn check_methods(allow: &[Rule], deny: &[Rule], protocol: Protocol, problems: &mut Problems<'_>) {
    for rule in allow.iter().chain(deny) {
        let Some(method) = rule.method.as_deref() else { continue };
        let fits = match protocol {
            Protocol::Rest => method != MESSAGE,
            Protocol::Websocket => matches!(method, "GET" | MESSAGE),
            Protocol::JsonRpc | Protocol::Mcp => true,
        };
        if !fits {
            problems.add(
                rule.mark,
                format!("method {method} never occurs on this endpoint: protocol websocket has GET and {MESSAGE}, rest the others"),
            );
        }
    }
}
