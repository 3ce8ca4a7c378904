//! From a tree to a document: its sections, and the entries of `network_policies`.

mod calls;
mod endpoint;
mod inspection;
mod rules;

use crate::document::{
    Binaries, Document, Endpoint, Hosts, NetworkPolicy, Preset, Risk, Startup, Terms, Unlisted,
};
use crate::fields::{Fields, Unenforced, number_of, text_of};
use crate::problem::{Mark, Problems, shown};
use crate::yaml::{Node, Value};
use crate::{Glob, time};

const TOP: Unenforced = &[
    ("ui", "a tenant has no screen; take it out"),
    ("network_middlewares", "no middleware runs here; take it out, and put what it forbids into rules"),
    ("inference", "take it out; providers and models of a tenant are set with tenantctl"),
];

const BINARY: Unenforced = &[("harness", "OpenShell does not read it either; take it out")];

/// A whole document; nothing where it is no map.
pub(crate) fn document(
    name: &str,
    root: &Node,
    hosts: &Hosts,
    problems: &mut Problems<'_>,
) -> Option<Document> {
    let mut fields = Fields::of(root, "the document", problems)?;
    let preset = fields.take("preset");
    let own = fields.take("x-tenantd");
    let mut document = Document {
        name: name.to_owned(),
        preset: preset.and_then(|entry| self::preset(&entry.value, problems)),
        default: None,
        startup: Startup::default(),
        policies: Vec::new(),
        notices: Vec::new(),
    };
    match fields.take("version") {
        Some(entry) => drop(number_of(&entry.value, "version", 1..=1, problems)),
        None if preset.is_some() => {}
        None => problems.add(fields.mark, "version is missing: write \"version: 1\""),
    }
    if let Some(entry) = own {
        extensions(&entry.value, &mut document, problems);
    }
    // Nothing below the name of a section is no section.
    let mut section = |name| fields.take(name).filter(|entry| !entry.value.is_null());
    if let Some(entry) = section("filesystem_policy") {
        filesystem(entry.mark, &entry.value, &mut document.startup, problems);
    }
    if let Some(entry) = section("landlock") {
        landlock(&entry.value, problems);
    }
    if let Some(entry) = section("process") {
        process(&entry.value, problems);
    }
    if let Some(entry) = fields.take("network_policies") {
        match &entry.value.value {
            Value::Map(entries) => {
                let read = |entry| policy(entry, hosts, problems);
                document.policies = entries.iter().filter_map(read).collect();
            }
            // "network_policies:" with nothing below is how a template begins, and says what it means.
            Value::Scalar { .. } if entry.value.is_null() => {}
            Value::Scalar { .. } | Value::List(_) => {
                problems.add(
                    entry.value.mark,
                    format!("network_policies is a map of policies by name, not {}", entry.value.kind()),
                );
            }
        }
    }
    fields.finish(TOP, problems);
    Some(document)
}

fn preset(node: &Node, problems: &mut Problems<'_>) -> Option<Preset> {
    let mut fields = Fields::of(node, "preset", problems)?;
    let name = fields.text("name", problems).map(|(_, text)| text.to_owned());
    let description = fields.text("description", problems).map(|(_, text)| text.to_owned());
    if name.is_none() {
        problems.add(node.mark, "preset has no name");
    }
    fields.finish(&[], problems);
    Some(Preset { name: name?, description: description.unwrap_or_default(), risk: None, why: None })
}

/// Our own keys of a document.
fn extensions(node: &Node, document: &mut Document, problems: &mut Problems<'_>) {
    let Some(mut fields) = Fields::of(node, "x-tenantd", problems) else { return };
    if let Some((mark, text)) = fields.text("default", problems) {
        match text {
            "deny" => document.default = Some(Unlisted::Deny),
            "ask" => document.default = Some(Unlisted::Ask),
            other => problems.add(mark, format!("default is deny or ask, not {}", shown(other))),
        }
    }
    let risk = fields.text("risk", problems).and_then(|(mark, text)| match text {
        "low" => Some(Risk::Low),
        "supply-chain" => Some(Risk::SupplyChain),
        "exfiltration" => Some(Risk::Exfiltration),
        other => {
            problems.add(mark, format!("risk is low, supply-chain or exfiltration, not {}", shown(other)));
            None
        }
    });
    let why = fields.text("why", problems).map(|(_, text)| text.to_owned());
    match &mut document.preset {
        Some(preset) => (preset.risk, preset.why) = (risk, why),
        None if risk.is_some() => {
            problems.add(node.mark, "risk is said by presets: add \"preset:\" with a name")
        }
        None => {}
    }
    fields.finish(&[], problems);
}

fn filesystem(mark: Mark, node: &Node, startup: &mut Startup, problems: &mut Problems<'_>) {
    let Some(mut fields) = Fields::of(node, "filesystem_policy", problems) else { return };
    startup.include_workdir = fields.truth("include_workdir", problems).map(|(_, truth)| truth);
    for (name, paths) in [("read_only", &mut startup.read_only), ("read_write", &mut startup.read_write)] {
        for (mark, path) in fields.texts(name, problems).map(|(_, paths)| paths).unwrap_or_default() {
            let whole = path.starts_with('/') && !path.split('/').any(|part| part == "..");
            if !whole || name == "read_write" && path == "/" {
                problems.add(
                    mark,
                    format!("{name}: {} is no absolute path without \"..\" below the root", shown(path)),
                );
            }
            paths.push(path.to_owned());
        }
    }
    fields.finish(&[], problems);
    problems.notice(
        mark,
        "filesystem_policy grants no files here: what a tenant may read and write is said by tenantd's own Landlock rules, whatever it lists or include_workdir says",
    );
    // Landlock grants the union of what is listed, so a sealed directory below a writable one is not sealed.
    for inner in &startup.read_only {
        let below = |outer: &&String| {
            inner.strip_prefix(outer.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/'))
        };
        if let Some(outer) = startup.read_write.iter().find(below) {
            problems.notice(
                mark,
                format!("{inner} is read-only below {outer}, which is writable: such a seal does not hold"),
            );
        }
    }
}

fn landlock(node: &Node, problems: &mut Problems<'_>) {
    let Some(mut fields) = Fields::of(node, "landlock", problems) else { return };
    match fields.text("compatibility", problems) {
        // "strict" stands in documents that NemoClaw published, and means that a sandbox does not start without.
        Some((mark, word @ ("best_effort" | "hard_requirement" | "strict"))) => problems.notice(
            mark,
            format!("compatibility: {word} is not what decides here: a tenant without Landlock does not start, unless its spec accepts that it is missing"),
        ),
        None => {}
        Some((mark, other)) => problems.add(
            mark,
            format!("compatibility is best_effort, hard_requirement or strict, not {}", shown(other)),
        ),
    }
    fields.finish(&[], problems);
}

fn process(node: &Node, problems: &mut Problems<'_>) {
    let Some(mut fields) = Fields::of(node, "process", problems) else { return };
    for name in ["run_as_user", "run_as_group"] {
        // "sandbox" is the account made for this workload, as a tenant's own is.
        if let Some((mark, text)) = fields.text(name, problems).filter(|(_, text)| *text != "sandbox") {
            problems.add(
                mark,
                format!("{name} {} is not enforced here: tenantd chooses the account; write \"sandbox\" or take it out", shown(text)),
            );
        }
    }
    fields.finish(&[], problems);
}

fn policy(entry: &crate::yaml::Entry, hosts: &Hosts, problems: &mut Problems<'_>) -> Option<NetworkPolicy> {
    let key = entry.key.clone();
    if key.starts_with("_provider_") || key.is_empty() || key.len() > 128 || key.chars().any(char::is_control)
    {
        problems.add(
            entry.mark,
            "the key of a policy has 1 to 128 characters and does not begin with _provider_",
        );
    }
    let mut fields = Fields::of(&entry.value, format!("policy {}", shown(&key)), problems)?;
    let name = fields.text("name", problems).map_or_else(|| key.clone(), |(_, text)| text.to_owned());
    let endpoints = fields.list("endpoints", problems).map(|(_, nodes)| nodes).unwrap_or_default();
    let endpoints: Vec<_> =
        endpoints.iter().filter_map(|node| endpoint::endpoint(node, hosts, problems)).collect();
    let binaries = match fields.list("binaries", problems) {
        None => {
            problems.notice(
                entry.mark,
                format!("policy {} has no binaries: every program of the tenant may use it", shown(&key)),
            );
            Binaries::Any
        }
        Some((mark, [])) => {
            problems.notice(
                mark,
                format!("policy {} has an empty list of binaries: nobody may use it", shown(&key)),
            );
            Binaries::These(Vec::new())
        }
        Some((_, nodes)) => Binaries::These(nodes.iter().filter_map(|node| binary(node, problems)).collect()),
    };
    let terms = fields.take("x-tenantd").map(|entry| terms(&entry.value, problems)).unwrap_or_default();
    fields.finish(&[], problems);
    let looks_at_calls = |endpoint: &Endpoint| {
        endpoint.inspection.as_ref().is_some_and(|inspection| inspection.calls.is_some())
    };
    if let Some(endpoint) = endpoints.iter().find(|endpoint| terms.ask && looks_at_calls(endpoint)) {
        problems.add(
            endpoint.mark,
            "calls are not asked about, as an answer is for a method and path: take \"ask: true\" out of this policy",
        );
    }
    Some(NetworkPolicy { key, name, mark: entry.mark, endpoints, binaries, terms })
}

fn binary(node: &Node, problems: &mut Problems<'_>) -> Option<Glob> {
    let mut fields = Fields::of(node, "binary", problems)?;
    let path = fields.text("path", problems);
    fields.finish(BINARY, problems);
    let Some((mark, path)) = path else {
        problems.add(node.mark, "a binary has a path: { path: /usr/bin/curl }");
        return None;
    };
    if !path.starts_with('/') || path.split('/').any(|part| matches!(part, "." | "..")) {
        problems.add(mark, format!("binary {} is no absolute path without dot segments", shown(path)));
    }
    Glob::parse(path, '/').map_err(|why| problems.add(mark, format!("binary {}: {why}", shown(path)))).ok()
}

fn terms(node: &Node, problems: &mut Problems<'_>) -> Terms {
    let mut terms = Terms::default();
    let Some(mut fields) = Fields::of(node, "x-tenantd", problems) else { return terms };
    terms.ask = fields.truth("ask", problems).is_some_and(|(_, truth)| truth);
    if let Some((mark, text)) = fields.text("expires", problems) {
        match time::parse(text) {
            Ok(seconds) => terms.expires = Some(seconds),
            Err(why) => problems.add(mark, format!("expires {}: {why}", shown(text))),
        }
    }
    if let Some(entry) = fields.take("max_bytes") {
        terms.max_bytes = text_of(&entry.value, "max_bytes", problems).and_then(|(mark, text)| {
            let size = model::ByteSize::parse(text);
            size.map_err(|why| problems.add(mark, why.to_string())).ok().map(|size| size.0)
        });
    }
    if let Some(entry) = fields.take("max_rate") {
        terms.max_rate = number_of(&entry.value, "max_rate", 1..=1_000_000, problems);
    }
    terms.why = fields.text("why", problems).map(|(_, text)| text.to_owned());
    fields.finish(&[], problems);
    terms
}
