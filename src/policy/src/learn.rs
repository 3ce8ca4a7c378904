//! From what a tenant tried to the narrowest document that allows it, for somebody to review. Nothing is allowed by it alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;

use serde::Serialize;

use crate::{Host, Kind, Policy, Reach, Target};

/// Something that was tried.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Observed {
    /// Host as the program named it.
    pub host: Host,
    /// Port.
    pub port: u16,
    /// Address, where it was resolved.
    pub address: Option<IpAddr>,
    /// Executable that connected.
    pub binary: String,
    /// The request, where one was seen: kind, method, and path with query as in its first line.
    pub exchange: Option<(Kind, String, String)>,
}

/// What is proposed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Proposal {
    /// A document, version 1, without the rest that a tenant has.
    pub document: String,
    /// What was tried and is not in it, and why.
    pub left_out: Vec<LeftOut>,
}

/// Something that is not proposed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// What.
    pub what: String,
    /// Why.
    pub why: String,
}

/// With so many paths of one form a rule has a star for what differs; with fewer each is written out.
const MANY: usize = 4;

/// More than this is no list that anybody reviews.
const MOST: usize = 2000;
/// Longest path that a rule can hold with room to spare.
const LONGEST: usize = 1000;

/// What one program did at one place.
#[derive(Default)]
struct Seen {
    /// Paths by method.
    requests: BTreeMap<String, BTreeSet<Vec<String>>>,
    /// Methods and paths on WebSockets.
    messages: BTreeMap<String, BTreeSet<Vec<String>>>,
    unseen: bool,
    slash: bool,
}

/// Proposes a document that allows what was tried, and as little else as can be said in rules.
pub fn learn(observed: &[Observed], policy: &Policy) -> Proposal {
    let mut left_out = Vec::new();
    let mut places: BTreeMap<(&str, String, u16), Seen> = BTreeMap::new();
    let unique: BTreeSet<_> = observed.iter().collect();
    if let Some(more) = unique.len().checked_sub(MOST).filter(|more| *more > 0) {
        let why = "a proposal is made of at most 2000: review this one and learn again".to_owned();
        left_out.push(LeftOut { what: format!("{more} more"), why });
    }
    for one in unique.into_iter().take(MOST) {
        let target = match proposable(one, policy) {
            Ok(target) => target,
            Err(why) => {
                let what = format!("{}:{} by {}", one.host, one.port, one.binary);
                left_out.push(LeftOut { what, why });
                continue;
            }
        };
        let host = one.host.to_string();
        let seen = places.entry((&one.binary, host, one.port)).or_default();
        match (&one.exchange, target) {
            (Some((kind, method, _)), Some(target)) => {
                seen.slash |= target.encoded_slash();
                let segments = target.path().split('/').skip(1).map(escaped).collect();
                let (paths, method) = match kind {
                    Kind::Request => (&mut seen.requests, method.to_ascii_uppercase()),
                    Kind::Upgrade => (&mut seen.messages, "GET".to_owned()),
                    Kind::Message => (&mut seen.messages, "WEBSOCKET_TEXT".to_owned()),
                };
                paths.entry(method).or_default().insert(segments);
            }
            _ => seen.unseen = true,
        }
    }
    left_out.dedup();
    Proposal { document: document(&places), left_out }
}

/// The target of what was tried, or why it is not proposed.
fn proposable(one: &Observed, policy: &Policy) -> Result<Option<Target>, String> {
    let address = match &one.host {
        Host::Address(address) => Some(*address),
        Host::Name(_) => one.address,
    };
    match address.map_or(Reach::Public, |address| policy.reach(address)) {
        Reach::Public => {}
        Reach::Listed(what) => {
            return Err(format!("its address is {what}: if it is meant, add it with allowed_ips by hand"));
        }
        Reach::Never(what) => return Err(format!("its address is {what}, which no policy opens")),
    }
    if !one.binary.starts_with('/') || one.binary.chars().any(char::is_control) {
        return Err("the program that connected is not known by its path".to_owned());
    }
    if let Some((_, method, _)) = &one.exchange {
        if method.is_empty() || !method.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-') {
            return Err("its method is no word".to_owned());
        }
    }
    if one.exchange.as_ref().is_some_and(|(_, _, raw)| raw.len() > LONGEST) || one.binary.len() > LONGEST {
        return Err("its path is too long for a rule: allow a part of it by hand".to_owned());
    }
    let parsed = one.exchange.as_ref().map(|(_, _, raw)| Target::parse(raw)).transpose();
    parsed.map_err(|why| format!("{why}: such a request is refused whatever the policy says"))
}

/// A segment as a pattern: what would be read as one stands for any character. A percent sign occurs only in `%2F`.
fn escaped(segment: &str) -> String {
    segment
        .chars()
        .map(|c| if matches!(c, '*' | '?' | '[' | ']' | '{' | '}' | '%') { '?' } else { c })
        .collect()
}

fn document(places: &BTreeMap<(&str, String, u16), Seen>) -> String {
    if places.is_empty() {
        return "version: 1\nnetwork_policies: {}\n".to_owned();
    }
    let mut text = "version: 1\nnetwork_policies:\n".to_owned();
    let mut binaries: BTreeMap<&str, Vec<(&str, u16, &Seen)>> = BTreeMap::new();
    for ((binary, host, port), seen) in places {
        binaries.entry(binary).or_default().push((host, *port, seen));
    }
    for (index, (binary, places)) in binaries.into_iter().enumerate() {
        let path: String = escaped(binary);
        let written = writeln!(
            text,
            "  learned_{index}:\n    binaries: [{{ path: {} }}]\n    endpoints:",
            quoted(&path)
        );
        debug_assert!(written.is_ok(), "a string takes what is written");
        for (host, port, seen) in places {
            text.push_str(&endpoints(host, port, seen));
        }
    }
    text
}

fn endpoints(host: &str, port: u16, seen: &Seen) -> String {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let begin = format!("      - host: {}\n        port: {port}\n", quoted(host));
    // A connection that was not looked into would be cut by rules, so there is none where one was seen.
    if seen.unseen || seen.requests.is_empty() && seen.messages.is_empty() {
        return begin;
    }
    let mut text = String::new();
    for (protocol, methods) in [("rest", &seen.requests), ("websocket", &seen.messages)] {
        if methods.is_empty() {
            continue;
        }
        text.push_str(&begin);
        text.push_str(&format!("        protocol: {protocol}\n        enforcement: enforce\n"));
        if seen.slash {
            text.push_str("        allow_encoded_slash: true\n");
        }
        text.push_str("        rules:\n");
        for (method, paths) in methods {
            for path in narrowed(paths) {
                text.push_str(&format!(
                    "          - allow: {{ method: {method}, path: {} }}\n",
                    quoted(&path)
                ));
            }
        }
    }
    text
}

/// Patterns for these paths: those of one length that differ in one place, if there are many, get a star there.
fn narrowed(paths: &BTreeSet<Vec<String>>) -> BTreeSet<String> {
    let mut rest = paths.clone();
    let mut starred: BTreeSet<Vec<String>> = BTreeSet::new();
    let longest = paths.iter().map(Vec::len).max().unwrap_or(0);
    for place in 0..longest {
        let mut forms: BTreeMap<Vec<String>, Vec<Vec<String>>> = BTreeMap::new();
        for path in rest.iter().filter(|path| path.get(place).is_some_and(|segment| !segment.is_empty())) {
            let form =
                path.iter().enumerate().map(|(i, own)| if i == place { "*".to_owned() } else { own.clone() });
            forms.entry(form.collect()).or_default().push(path.clone());
        }
        for (form, members) in forms.into_iter().filter(|(_, members)| members.len() >= MANY) {
            rest.retain(|path| !members.contains(path));
            starred.insert(form);
        }
    }
    rest.iter().chain(&starred).map(|path| format!("/{}", path.join("/"))).collect()
}

/// A text in double quotes, as YAML and JSON have it.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if !c.is_ascii() => quoted.push_str(&format!("\\U{:08x}", u32::from(c))),
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
