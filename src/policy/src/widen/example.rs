//! Requests that show what a widening means: the first that the old policy decides lower about than the new one, else one like it.

use std::net::IpAddr;

use super::Grant;
use super::cover::Scope;
use crate::document::{Inspection, PathSelector, Rule, Unlisted};
use crate::merge::{Entry, Policy};
use crate::{
    Call, CallPattern, Calls, Content, Exchange, Glob, Host, HostPattern, Kind, Protocol, Request, Target,
};

/// Requests that are tried for one widening, at most.
const TRIED: usize = 400;
/// Different requests among them.
const MOST_REQUESTS: usize = 40;
/// Bytes of a body with a call.
const SHORT: usize = 100;
/// Methods of an HTTP request that stand for any.
const METHODS: [&str; 5] = ["DELETE", "POST", "PUT", "PATCH", "GET"];
/// Programs that stand for any.
const PROGRAMS: [&str; 3] = ["/usr/bin/node", "/usr/bin/curl", "/usr/local/bin/other"];

/// Both policies, and the entries of the old one that may be about the same.
#[derive(Clone, Copy)]
pub(super) struct Change<'p> {
    pub(super) old: &'p Policy,
    pub(super) new: &'p Policy,
    pub(super) before: &'p [Entry],
}

/// A request as it is tried.
struct Candidate {
    host: Host,
    port: u16,
    address: Option<IpAddr>,
    binary: String,
    exchange: Option<Asked>,
    now: u64,
}

/// A request of a candidate.
#[derive(Clone)]
struct Asked {
    kind: Kind,
    method: String,
    path: String,
    call: Option<(Call, usize)>,
}

impl Asked {
    fn new(kind: Kind, method: &str, path: &str) -> Self {
        Self { kind, method: method.to_owned(), path: path.to_owned(), call: None }
    }
}

impl Candidate {
    /// Whether the new policy decides higher; nothing where no such request can be.
    fn widens(&self, change: Change<'_>) -> Option<bool> {
        let target = match &self.exchange {
            Some(asked) => Some(Target::parse(&asked.path).ok()?),
            None => None,
        };
        let exchange = self.exchange.as_ref().zip(target.as_ref()).map(|(asked, target)| {
            let calls = asked.call.as_ref();
            let calls = calls.map(|(call, bytes)| Calls { list: std::slice::from_ref(call), bytes: *bytes });
            let content = calls.map_or(Content::None, Content::Calls);
            Exchange { content, ..Exchange::new(asked.kind, &asked.method, target) }
        });
        let binaries = [self.binary.as_str()];
        let (host, port, address, now) = (&self.host, self.port, self.address, self.now);
        let request = Request { host, port, address, binaries: &binaries, exchange, now };
        Some(change.old.decide(&request).verdict < change.new.decide(&request).verdict)
    }

    fn text(&self) -> String {
        let (method, path) = match &self.exchange {
            Some(asked) => (asked.method.as_str(), asked.path.as_str()),
            None => ("a connection to", ""),
        };
        let call = self.exchange.as_ref().and_then(|asked| asked.call.as_ref());
        let mut text = call.map_or_else(String::new, |(call, bytes)| format!("{call} in {bytes} bytes by "));
        text += &format!("{method} {}:{}{path}", self.host, self.port);
        // An address that a host has to have is part of what is allowed.
        if let Some(address) = self.address.filter(|address| Host::Address(*address) != self.host) {
            text += &format!(" at {address}");
        }
        text += &format!(" by {}", self.binary);
        if self.now > 0 { text + ", once what allowed it before has ended" } else { text }
    }
}

/// A request that a piece of an entry allows, and whether the old policy decides lower about it than the new one.
pub(super) fn example(
    change: Change<'_>,
    entry: &Entry,
    piece: &Scope<'_>,
    grant: Grant<'_>,
) -> (Option<String>, bool) {
    let Some(host) = host_of(entry) else { return (None, false) };
    let binaries: Vec<String> = match piece.binary {
        Some(glob) => vec![glob.sample()],
        None => PROGRAMS.map(str::to_owned).to_vec(),
    };
    let blocks = &entry.endpoint.allowed_ips;
    let addresses: Vec<Option<IpAddr>> = match blocks.is_empty() {
        true => vec![None],
        false => blocks.iter().take(16).map(|block| Some(block.first())).collect(),
    };
    // An entry that ends later, or not any more, allows what the old one did until it ended.
    let ends = change.before.iter().filter_map(|own| own.terms.expires).take(4);
    let times: Vec<u64> = std::iter::once(0).chain(ends).collect();
    let exchanges = exchanges(change, entry, grant);
    let mut candidates = Vec::new();
    for now in times {
        for address in &addresses {
            for exchange in &exchanges {
                candidates.extend(binaries.iter().map(|binary| Candidate {
                    host: host.clone(),
                    port: piece.port,
                    address: *address,
                    binary: binary.clone(),
                    exchange: Some(exchange.clone()),
                    now,
                }));
            }
        }
        if candidates.len() > TRIED {
            break;
        }
    }
    let mut candidates = candidates.into_iter();
    first_that_widens(change, &mut candidates)
}

/// One of something that no entry names, asked about where it was refused.
pub(super) fn unlisted(change: Change<'_>) -> (Option<String>, bool) {
    debug_assert!(change.new.default_for_unlisted() == Unlisted::Ask, "nothing is asked about");
    let names = ["host.example.org", "host.example.com", "host.example.net"];
    let mut candidates = names.iter().filter_map(|name| {
        let (host, binary) = (Host::parse(name).ok()?, "/usr/bin/node".to_owned());
        Some(Candidate { host, port: 443, address: None, binary, exchange: None, now: 0 })
    });
    first_that_widens(change, &mut candidates)
}

/// An address that was closed.
pub(super) fn opened(change: Change<'_>, address: IpAddr) -> (Option<String>, bool) {
    let entries = change.new.entries().iter();
    let mut candidates = entries.take(TRIED).filter_map(|entry| {
        let (host, port) = (host_of(entry)?, *entry.endpoint.ports.first()?);
        let binary = "/usr/bin/node".to_owned();
        Some(Candidate { host, port, address: Some(address), binary, exchange: None, now: 0 })
    });
    first_that_widens(change, &mut candidates)
}

fn first_that_widens(
    change: Change<'_>,
    candidates: &mut dyn Iterator<Item = Candidate>,
) -> (Option<String>, bool) {
    let mut first = None;
    for candidate in candidates.take(TRIED) {
        match candidate.widens(change) {
            Some(true) => return (Some(candidate.text()), true),
            Some(false) if first.is_none() => first = Some(candidate.text()),
            Some(false) | None => {}
        }
    }
    (first, false)
}

fn host_of(entry: &Entry) -> Option<Host> {
    match &entry.endpoint.host {
        HostPattern::Exact(host) => Some(host.clone()),
        pattern @ HostPattern::Names(_) => {
            Host::parse(&pattern.to_string().replace("**", "x").replace('*', "x")).ok()
        }
        HostPattern::Anywhere => entry.endpoint.allowed_ips.first().map(|block| Host::Address(block.first())),
    }
}

/// Requests of a grant: one as its rule says, then those that a deny rule of the old policy refused.
fn exchanges(change: Change<'_>, entry: &Entry, grant: Grant<'_>) -> Vec<Asked> {
    let mut found = Vec::new();
    match grant {
        Grant::Rule(inspection, rule) => {
            found.extend(of_rule(inspection, rule));
            if entry.endpoint.allow_encoded_slash {
                let slashed = |asked: &Asked| format!("{}%2Fx", asked.path.trim_end_matches('/'));
                let encoded: Vec<_> =
                    found.iter().map(|asked| Asked { path: slashed(asked), ..asked.clone() }).collect();
                found.extend(encoded);
            }
        }
        Grant::Plain | Grant::Audit(_) => {
            found.extend(METHODS.map(|method| Asked::new(Kind::Request, method, "/x")));
        }
    }
    let inspected = change.before.iter().filter_map(|own| own.endpoint.inspection.as_ref());
    for inspection in inspected {
        for rule in inspection.deny.iter().chain(&inspection.allow) {
            found.extend(of_rule(inspection, rule));
        }
    }
    found.truncate(MOST_REQUESTS);
    found
}

fn of_rule(inspection: &Inspection, rule: &Rule) -> Vec<Asked> {
    if let (Some(limits), Some(pattern)) = (&inspection.calls, &rule.call) {
        return of_calls(&inspection.path, limits.most, pattern);
    }
    let methods: Vec<&str> = match (&rule.method, inspection.protocol) {
        (Some(method), Protocol::Rest) if method == "GET" => vec!["GET", "HEAD"],
        (Some(method), _) => vec![method],
        (None, Protocol::Rest | Protocol::JsonRpc | Protocol::Mcp) => METHODS.to_vec(),
        (None, Protocol::Websocket) => vec!["GET", "WEBSOCKET_TEXT"],
    };
    let query: Vec<String> = rule
        .query
        .iter()
        .map(|(name, globs)| {
            format!("{}={}", encoded(name), encoded(&globs.first().map_or_else(String::new, Glob::sample)))
        })
        .collect();
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    let path = match inspection.calls {
        Some(_) => path_of(&inspection.path),
        None => rule.path.sample().replace(' ', "%20") + &query,
    };
    let kind = |method: &str| match (inspection.protocol, method) {
        (Protocol::Rest | Protocol::JsonRpc | Protocol::Mcp, _) => Kind::Request,
        (Protocol::Websocket, "GET") => Kind::Upgrade,
        (Protocol::Websocket, _) => Kind::Message,
    };
    methods.into_iter().map(|method| Asked::new(kind(method), method, &path)).collect()
}

/// Calls in bodies as short as they come, and as long as they may.
fn of_calls(path: &PathSelector, most: usize, pattern: &CallPattern) -> Vec<Asked> {
    let asked = Asked::new(Kind::Request, "POST", &path_of(path));
    let samples = pattern.samples().into_iter().take(8);
    let calls = samples.flat_map(|call| [SHORT.min(most), most].map(|bytes| Some((call.clone(), bytes))));
    calls.map(|call| Asked { call, ..asked.clone() }).collect()
}

/// A path that an endpoint is about.
fn path_of(selector: &PathSelector) -> String {
    match selector {
        PathSelector::All => "/x".to_owned(),
        PathSelector::Below(own) => own.replace(' ', "%20"),
        PathSelector::Like(glob) => glob.sample().replace(' ', "%20"),
    }
}

/// A name or value as it may stand in a query.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b if b.is_ascii_alphanumeric() || b"-._~".contains(&b) => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        })
        .collect()
}
