//! Endpoints: where to.

use model::egress::INFERENCE_HOST;

use super::inspection::{inspection, requests_of};
use crate::document::{Endpoint, Hosts, Protocol};
use crate::fields::{Fields, Unenforced, number_of};
use crate::problem::{Mark, Problems, shown};
use crate::yaml::Node;
use crate::{Cidr, Host, HostPattern, Reach, address};

const CREDENTIALS: &str =
    "secrets of a tenant are bound to hosts by \"tenantctl egress bind\", not by a policy; take it out";
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

pub(super) fn endpoint(node: &Node, hosts: &Hosts, problems: &mut Problems<'_>) -> Option<Endpoint> {
    let mut fields = Fields::of(node, "endpoint", problems)?;
    let allowed_ips = blocks(&mut fields, problems);
    let given = ports(&mut fields, problems);
    let has_port = given.is_some();
    let mut ports = given.unwrap_or_default();
    let host = fields.text("host", problems);
    let host = match fields.take("x-tenantd") {
        Some(entry) if host.is_none() => host_of(&entry.value, hosts, &mut ports, problems),
        Some(entry) => {
            problems.add(entry.mark, "an endpoint has a host or x-tenantd: { host_of: … }, not both");
            None
        }
        None => host_pattern(node.mark, host, &allowed_ips, problems),
    };
    if ports.is_empty() && !has_port {
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
    let protocol = inspection.as_ref().map(|inspection| inspection.protocol);
    let rewrites = allow_encoded_slash || request_body_credential_rewrite || websocket_credential_rewrite;
    if protocol.is_none() && rewrites {
        problems.add(
            node.mark,
            "allow_encoded_slash and the credential rewrites have no effect without a protocol: add \"protocol: rest\"",
        );
    }
    if request_body_credential_rewrite && protocol == Some(Protocol::Websocket) {
        problems.add(node.mark, NO_BODIES);
    }
    unlike_openshell(node.mark, host.as_ref(), &ports, &allowed_ips, problems);
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

const NO_BODIES: &str = "request_body_credential_rewrite is not enforced here for protocol: websocket, whose requests have no bodies: take it out";
/// Ports that OpenShell never opens (etcd, the servers and nodes of Kubernetes).
const CONTROL_PLANES: &[u16] = &[2379, 2380, 6443, 10250, 10255];
/// Zones of names that are nobody's in the public DNS.
const INSIDE: &[&str] = &["internal", "local", "lan", "home.arpa", "localdomain"];

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

/// Nothing where neither field is there.
fn ports(fields: &mut Fields<'_>, problems: &mut Problems<'_>) -> Option<Vec<u16>> {
    let one = fields.take("port");
    let many = fields.list("ports", problems);
    if let (Some(one), Some(_)) = (one, &many) {
        problems.add(one.mark, "an endpoint has port or ports, not both");
    }
    if one.is_none() && many.as_ref().is_none_or(|(_, nodes)| nodes.is_empty()) {
        return None;
    }
    let nodes =
        one.map(|entry| &entry.value).into_iter().chain(many.map(|(_, nodes)| nodes).unwrap_or_default());
    let read = |node: &Node| {
        number_of(node, "port", 1..=65535, problems).and_then(|number| u16::try_from(number).ok())
    };
    Some(nodes.filter_map(read).collect())
}

/// Says where a sound endpoint is something else here than where it comes from.
fn unlike_openshell(
    mark: Mark,
    host: Option<&HostPattern>,
    ports: &[u16],
    allowed_ips: &[Cidr],
    problems: &mut Problems<'_>,
) {
    if let Some(port) = ports.iter().find(|port| CONTROL_PLANES.contains(port)) {
        problems.notice(
            mark,
            format!("port {port} is one of a cluster's control plane, which OpenShell opens for nobody: here this endpoint opens it"),
        );
    }
    let name = match host {
        Some(pattern @ (HostPattern::Exact(Host::Name(_)) | HostPattern::Names(_))) => pattern.to_string(),
        Some(HostPattern::Exact(Host::Address(_)) | HostPattern::Anywhere) | None => return,
    };
    let below = |suffix: &str| name.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.'));
    if name == "inference.local" {
        problems.notice(
            mark,
            format!("inference.local is OpenShell's name for models: here they are at http://{INFERENCE_HOST}/v1, by \"tenantctl inference add\""),
        );
    } else if name != INFERENCE_HOST && allowed_ips.is_empty() && INSIDE.iter().any(|suffix| below(suffix)) {
        problems.notice(
            mark,
            format!("a name like {name} is at a private address, as a rule, and those are closed: list it in allowed_ips"),
        );
    }
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
