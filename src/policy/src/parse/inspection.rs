//! How requests to an endpoint are looked at.

use super::calls::{self, Options};
use super::rules::{self, every_request};
use crate::document::{Enforcement, Inspection, PathSelector, Protocol, Rule};
use crate::fields::Fields;
use crate::problem::{Mark, Problems, shown};
use crate::{Glob, path};

const REMEDY: &str = "has no effect without a request protocol: add \"protocol: rest\", or take it out";

/// The fields of an endpoint that are about requests, before it is known what they mean together.
pub(super) struct Requests<'n> {
    /// In small letters.
    protocol: Option<(Mark, String)>,
    tls: Option<(Mark, &'n str)>,
    enforcement: Option<(Mark, Enforcement)>,
    path: Option<(Mark, &'n str)>,
    access: Option<(Mark, &'n str)>,
    rules: Option<(Mark, Vec<Rule>)>,
    deny_rules: Option<(Mark, Vec<Rule>)>,
    pub(super) calls: Option<Options>,
}

pub(super) fn requests_of<'n>(fields: &mut Fields<'n>, problems: &mut Problems<'_>) -> Requests<'n> {
    let protocol = fields.text("protocol", problems).map(|(mark, word)| (mark, word.to_ascii_lowercase()));
    let calls = protocol.as_ref().and_then(|(_, word)| calls::protocol(word));
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

pub(super) fn inspection(
    mark: Mark,
    requests: Requests<'_>,
    problems: &mut Problems<'_>,
) -> Option<Inspection> {
    let protocol = protocol(&requests, problems);
    match (requests.tls, protocol) {
        // "terminate" and "passthrough" are the words of documents before 2026-08.
        (None, _) | (Some((_, "terminate")), Some(_)) | (Some((_, "skip" | "passthrough")), None) => {}
        (Some((mark, "terminate")), None) => problems.notice(mark, format!("tls: terminate {REMEDY}")),
        (Some((mark, word @ ("skip" | "passthrough"))), Some(_)) => problems.add(
            mark,
            format!("tls: {word} hides the requests that protocol asks to see: take one of them out"),
        ),
        (Some((mark, other)), _) => {
            problems.add(mark, format!("tls is skip or left out, not {}", shown(other)));
        }
    }
    let protocol = protocol?;
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
    let Some((mark, word)) = requests.protocol.as_ref().filter(|(_, word)| word != "tcp") else {
        without_inspection(requests, problems);
        return None;
    };
    let what = match word.as_str() {
        "rest" => return Some(Protocol::Rest),
        "websocket" => return Some(Protocol::Websocket),
        "mcp" => return Some(Protocol::Mcp),
        "json-rpc" => return Some(Protocol::JsonRpc),
        "graphql" => {
            "protocol: graphql is not enforced here: use rest with the paths that are needed".to_owned()
        }
        "sql" => "protocol: sql is not enforced here: tcp passes its bytes unseen".to_owned(),
        other => format!("protocol is rest, websocket, mcp, json-rpc or tcp, not {}", shown(other)),
    };
    problems.add(*mark, what);
    None
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
        (None, Some((_, rules))) => Some(rules),
        (None, None) => {
            problems.add(mark, "an endpoint with a protocol says what is allowed: add rules or access");
            None
        }
    }
}

/// Without a protocol nothing is looked at, so what would need looking is an error. What allows everything says nothing else
/// than its absence, and published documents hold it.
fn without_inspection(requests: &Requests<'_>, problems: &mut Problems<'_>) {
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
