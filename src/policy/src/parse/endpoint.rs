//! Endpoints.

use super::calls::{self, Options};
use super::rules::{self, every_request};
use crate::document::{Endpoint, Enforcement, Hosts, Inspection, PathSelector, Protocol, Rule};
use crate::fields::{Fields, Unenforced, number_of};
use crate::problem::{Mark, Problems, shown};
use crate::yaml::Node;
use crate::{Cidr, Glob, Host, HostPattern, Reach, address, path};

const CREDENTIALS: &str =
    "secrets of a tenant are bound to hosts with tenantctl, not by a policy; take it out";
const GRAPHQL: &str = "GraphQL is not looked into; take it out, and allow its path with protocol: rest";

const ENDPOINT: Unenforced = &[
    ("credential_binding", CREDENTIALS),
    ("allow_uninspected_credentials", CREDENTIALS),
    ("credential_signing", CREDENTIALS),
    ("signing_service", CREDENTIALS),
    ("signing_region", CREDENTIALS),
    ("persisted_queries", GRAPHQL),
    ("graphql_persisted_queries", GRAPHQL),
    ("graphql_max_body_bytes", GRAPHQL),
    ("mcp", "it is of protocol: mcp"),
    ("json_rpc", "it is of protocol: json-rpc"),
];

/// The fields of an endpoint that are about requests, before it is known what they mean together.
struct Requests<'n> {
    protocol: Option<(Mark, &'n str)>,
    tls: Option<(Mark, &'n str)>,
    enforcement: Option<(Mark, Enforcement)>,
    path: Option<(Mark, &'n str)>,
    access: Option<(Mark, &'n str)>,
    rules: Option<(Mark, Vec<Rule>)>,
    deny_rules: Option<(Mark, Vec<Rule>)>,
    calls: Option<Options>,
}

pub(super) fn endpoint(node: &Node, hosts: &Hosts, problems: &mut Problems<'_>) -> Option<Endpoint> {
    let mut fields = Fields::of(node, "endpoint", problems)?;
    let allowed_ips = blocks(&mut fields, problems);
    let mut ports = ports(&mut fields, problems);
    let host = fields.text("host", problems);
    let host = match fields.take("x-tenantd") {
        Some(entry) if host.is_none() => host_of(&entry.value, hosts, &mut ports, problems),
        Some(entry) => {
            problems.add(entry.mark, "an endpoint has a host or x-tenantd: { host_of: … }, not both");
            None
        }
        None => host_pattern(node.mark, host, &allowed_ips, problems),
    };
    if ports.is_empty() {
        problems.add(node.mark, "an endpoint has a port: write \"port: 443\"");
    }
    let flag = |name, fields: &mut Fields<'_>, problems: &mut Problems<'_>| {
        fields.truth(name, problems).is_some_and(|(_, truth)| truth)
    };
    let allow_encoded_slash = flag("allow_encoded_slash", &mut fields, problems);
    let request_body_credential_rewrite = flag("request_body_credential_rewrite", &mut fields, problems);
    let websocket_credential_rewrite = flag("websocket_credential_rewrite", &mut fields, problems);
    let requests = requests_of(&mut fields, problems);
    let calls = requests.calls;
    fields.finish(ENDPOINT, problems);
    let inspection = inspection(node.mark, requests, problems);
    let rewrites = allow_encoded_slash || request_body_credential_rewrite || websocket_credential_rewrite;
    if inspection.is_none() && rewrites {
        problems.add(
            node.mark,
            "allow_encoded_slash and the credential rewrites have no effect without a protocol: add \"protocol: rest\"",
        );
    }
    if calls.is_some() {
        suits_calls(
            node.mark,
            host.as_ref(),
            request_body_credential_rewrite || websocket_credential_rewrite,
            problems,
        );
    }
    ports.sort_unstable();
    ports.dedup();
    Some(Endpoint {
        mark: node.mark,
        host: host?,
        ports,
        allowed_ips,
        allow_encoded_slash,
        request_body_credential_rewrite,
        websocket_credential_rewrite,
        inspection,
    })
}

fn requests_of<'n>(fields: &mut Fields<'n>, problems: &mut Problems<'_>) -> Requests<'n> {
    let protocol = fields.text("protocol", problems);
    let calls = protocol.and_then(|(_, word)| calls::protocol(word));
    let calls = calls.map(|protocol| calls::options(protocol, fields, problems));
    Requests {
        protocol,
        tls: fields.text("tls", problems),
        enforcement: enforcement(fields, problems),
        path: fields.text("path", problems),
        access: fields.text("access", problems),
        rules: rules_of(fields, "rules", calls, problems),
        deny_rules: rules_of(fields, "deny_rules", calls, problems),
        calls,
    }
}

/// What an endpoint whose calls are looked at cannot have.
fn suits_calls(mark: Mark, host: Option<&HostPattern>, rewrites: bool, problems: &mut Problems<'_>) {
    if rewrites {
        problems.add(
            mark,
            "the credential rewrites are not for calls, which go on as they were decided: take them out",
        );
    }
    if host == Some(&HostPattern::Anywhere) {
        problems.add(mark, "an endpoint whose calls are looked at has a host");
    }
}

fn rules_of(
    fields: &mut Fields<'_>,
    name: &str,
    calls: Option<Options>,
    problems: &mut Problems<'_>,
) -> Option<(Mark, Vec<Rule>)> {
    match calls {
        Some(options) => calls::rules_of(fields, name, options, problems),
        None => rules::rules_of(fields, name, problems),
    }
}

fn blocks(fields: &mut Fields<'_>, problems: &mut Problems<'_>) -> Vec<Cidr> {
    let texts = fields.texts("allowed_ips", problems).map(|(_, texts)| texts).unwrap_or_default();
    let mut blocks = Vec::new();
    for (mark, text) in texts {
        match Cidr::parse(text) {
            Ok(block) => match address::never(&block) {
                None => blocks.push(block),
                Some(what) => {
                    problems.add(
                        mark,
                        format!("allowed_ips {text} takes in {what}, which no policy opens: leave it out"),
                    );
                }
            },
            Err(why) => problems.add(mark, format!("allowed_ips {}: {why}", shown(text))),
        }
    }
    blocks
}

fn ports(fields: &mut Fields<'_>, problems: &mut Problems<'_>) -> Vec<u16> {
    let one = fields.take("port");
    let many = fields.list("ports", problems);
    if let (Some(one), Some(_)) = (one, &many) {
        problems.add(one.mark, "an endpoint has port or ports, not both");
    }
    let nodes =
        one.map(|entry| &entry.value).into_iter().chain(many.map(|(_, nodes)| nodes).unwrap_or_default());
    let read = |node: &Node| {
        number_of(node, "port", 1..=65535, problems).and_then(|number| u16::try_from(number).ok())
    };
    nodes.filter_map(read).collect()
}

fn host_pattern(
    mark: Mark,
    host: Option<(Mark, &str)>,
    allowed_ips: &[Cidr],
    problems: &mut Problems<'_>,
) -> Option<HostPattern> {
    let Some((mark, text)) = host else {
        if allowed_ips.is_empty() {
            problems.add(mark, "an endpoint has a host; only one with allowed_ips may leave it out");
            return None;
        }
        return Some(HostPattern::Anywhere);
    };
    match HostPattern::parse(text) {
        Ok(HostPattern::Exact(Host::Address(ip))) => match address::reach(ip) {
            Reach::Never(what) => {
                problems.add(mark, format!("host {text} is {what}, which no policy opens: take it out"));
                None
            }
            Reach::Public | Reach::Listed(_) => Some(HostPattern::Exact(Host::Address(ip))),
        },
        Ok(pattern) => Some(pattern),
        Err(why) => {
            problems.add(mark, format!("host {}: {why}", shown(text)));
            None
        }
    }
}

/// A host that this machine's own configuration names.
fn host_of(
    node: &Node,
    hosts: &Hosts,
    ports: &mut Vec<u16>,
    problems: &mut Problems<'_>,
) -> Option<HostPattern> {
    let mut fields = Fields::of(node, "x-tenantd of an endpoint", problems)?;
    let found = fields.text("host_of", problems);
    fields.finish(&[], problems);
    let Some((mark, name)) = found else {
        problems.add(node.mark, "x-tenantd of an endpoint says host_of");
        return None;
    };
    match hosts {
        Hosts::Unknown => {
            ports.push(443);
            HostPattern::parse(&format!("{name}.invalid"))
                .map_err(|why| problems.add(mark, format!("host_of {}: {why}", shown(name))))
                .ok()
        }
        Hosts::Known(known) => {
            match known.get(name) {
                Some((host, port)) => {
                    ports.push(*port);
                    Some(HostPattern::Exact(host.clone()))
                }
                None => {
                    problems.add(
                    mark,
                    format!("this machine's configuration names no {}: set it under [registries] in tenantd.toml", shown(name)),
                );
                    None
                }
            }
        }
    }
}

fn enforcement(fields: &mut Fields<'_>, problems: &mut Problems<'_>) -> Option<(Mark, Enforcement)> {
    let (mark, text) = fields.text("enforcement", problems)?;
    match text {
        "enforce" => Some((mark, Enforcement::Enforce)),
        "audit" => Some((mark, Enforcement::Audit)),
        other => {
            problems.add(mark, format!("enforcement is enforce or audit, not {}", shown(other)));
            None
        }
    }
}

fn inspection(mark: Mark, requests: Requests<'_>, problems: &mut Problems<'_>) -> Option<Inspection> {
    let skip = match requests.tls {
        // "terminate" and "passthrough" are the words of documents before 2026-08.
        None | Some((_, "terminate")) => None,
        Some((mark, "skip" | "passthrough")) => Some(mark),
        Some((mark, other)) => {
            problems.add(mark, format!("tls is skip or left out, not {}", shown(other)));
            None
        }
    };
    let protocol = protocol(&requests, problems)?;
    if let Some(mark) = skip {
        problems.add(mark, "tls: skip hides the requests that protocol asks to see: take one of them out");
    }
    if requests.enforcement.is_none() {
        problems.notice(
            mark,
            "enforcement is left out and read as enforce (OpenShell reads audit): say which is meant",
        );
    }
    if requests.calls.is_some() && requests.path.is_none() {
        problems.notice(
            mark,
            "without path this endpoint is about every request to its host: give the path of the server",
        );
    }
    let path = requests.path.map_or(Some(PathSelector::All), |(mark, text)| match requests.calls {
        Some(_) => selector(mark, &path::alike(text), problems),
        None => selector(mark, text, problems),
    });
    let deny = requests.deny_rules.map(|(_, rules)| rules).unwrap_or_default();
    let allow = match (requests.calls, requests.access) {
        (Some(options), None) => calls::allowed(mark, options, requests.rules, &deny, problems)?,
        _ => allowed(mark, requests.access, requests.rules, protocol, problems)?,
    };
    rules::check_methods(&allow, &deny, protocol, problems);
    let enforcement = requests.enforcement.map_or(Enforcement::Enforce, |(_, enforcement)| enforcement);
    let calls = requests.calls.map(|options| options.limits);
    Some(Inspection { protocol, path: path?, enforcement, allow, deny, calls })
}

/// What is spoken, if requests are looked at.
fn protocol(requests: &Requests<'_>, problems: &mut Problems<'_>) -> Option<Protocol> {
    let protocol = match requests.protocol {
        None | Some((_, "tcp")) => {
            without_inspection(requests, problems);
            return None;
        }
        Some((_, "rest")) => Protocol::Rest,
        Some((_, "websocket")) => Protocol::Websocket,
        Some((_, "mcp")) => Protocol::Mcp,
        Some((_, "json-rpc")) => Protocol::JsonRpc,
        Some((mark, other @ ("graphql" | "sql"))) => {
            problems.add(
                mark,
                format!("protocol: {other} is not enforced here: use rest with the paths that are needed"),
            );
            return None;
        }
        Some((mark, other)) => {
            problems.add(
                mark,
                format!("protocol is rest, websocket, mcp, json-rpc or tcp, not {}", shown(other)),
            );
            return None;
        }
    };
    Some(protocol)
}

/// What an inspected endpoint allows, by `access` or by `rules`.
fn allowed(
    mark: Mark,
    access: Option<(Mark, &str)>,
    rules: Option<(Mark, Vec<Rule>)>,
    protocol: Protocol,
    problems: &mut Problems<'_>,
) -> Option<Vec<Rule>> {
    match (access, rules) {
        (Some((mark, _)), Some(_)) => {
            problems.add(mark, "access and rules exclude each other: keep one");
            None
        }
        (Some((mark, access)), None) => Some(rules::preset(mark, access, protocol, problems)),
        (None, Some((mark, rules))) => {
            if rules.is_empty() {
                problems.add(
                    mark,
                    "rules is empty and would refuse everything: add one, or take the endpoint out",
                );
            }
            Some(rules)
        }
        (None, None) => {
            problems.add(mark, "an endpoint with a protocol says what is allowed: add rules or access");
            None
        }
    }
}

/// Without a protocol nothing is looked at, so what would need looking is an error. What allows everything says nothing else
/// than its absence, and published documents hold it.
fn without_inspection(requests: &Requests<'_>, problems: &mut Problems<'_>) {
    const REMEDY: &str = "has no effect without a request protocol: add \"protocol: rest\", or take it out";
    if let Some((mark, access)) = requests.access.filter(|(_, access)| *access != "full") {
        problems.add(mark, format!("access: {access} {REMEDY}"));
    }
    if let Some((mark, rules)) = &requests.rules {
        if !rules.iter().any(every_request) {
            problems.add(*mark, format!("rules {REMEDY}"));
        }
    }
    if let Some((mark, _)) = &requests.deny_rules {
        problems.add(*mark, format!("deny_rules {REMEDY}"));
    }
    if let Some((mark, _)) = requests.path {
        problems.add(mark, format!("path {REMEDY}"));
    }
    if let Some((mark, Enforcement::Audit)) = requests.enforcement {
        problems.add(mark, format!("enforcement: audit {REMEDY}"));
    }
}

fn selector(mark: Mark, text: &str, problems: &mut Problems<'_>) -> Option<PathSelector> {
    if matches!(text, "" | "**" | "/**") {
        return Some(PathSelector::All);
    }
    if !text.starts_with('/') {
        problems.add(mark, format!("path {}: a path begins with a slash", shown(text)));
        return None;
    }
    if let Some(above) = text.strip_suffix("/**").filter(|above| !above.contains(['*', '?', '[', '{', '\\']))
    {
        return Some(PathSelector::Below(above.to_owned()));
    }
    // In this one field a star crosses slashes, so the separator is a character that no path holds.
    Glob::parse(text, '\0')
        .map(PathSelector::Like)
        .map_err(|why| problems.add(mark, format!("path {}: {why}", shown(text))))
        .ok()
}
