//! Whether one thing takes in all of another. Every answer "yes" is certain, every "no" may be wrong; of [`Scope::meets`] and
//! [`may_deny`] it is the other way round.

use crate::document::{Binaries, Endpoint, Inspection, PathSelector, Protocol, Rule};
use crate::matching::takes_method;
use crate::merge::Entry;
use crate::{Cidr, Glob, Host, HostPattern, Reach, reach};

/// A piece of an entry: one port, and one pattern of programs or every program.
pub(super) struct Scope<'p> {
    pub(super) entry: &'p Entry,
    pub(super) port: u16,
    pub(super) binary: Option<&'p Glob>,
}

impl Scope<'_> {
    /// Whether the entry applies wherever this piece does.
    pub(super) fn covered_by(&self, own: &Entry) -> bool {
        let (had, wanted) = (&own.endpoint, &self.entry.endpoint);
        let hosts = match (&had.host, &wanted.host) {
            (HostPattern::Anywhere, HostPattern::Anywhere) => {
                blocks_cover(&had.allowed_ips, &wanted.allowed_ips)
            }
            (HostPattern::Anywhere, _) => false,
            (had, wanted) => had.covers(wanted),
        };
        let binaries = match (&*own.binaries, self.binary) {
            (Binaries::Any, _) => true,
            (Binaries::These(_), None) => false,
            (Binaries::These(globs), Some(wanted)) => globs.iter().any(|glob| glob.covers(wanted)),
        };
        let time = match (own.terms.expires, self.entry.terms.expires) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(had), Some(wanted)) => wanted <= had,
        };
        hosts && had.ports.contains(&self.port) && binaries && time
    }

    /// Whether some connection may be about this piece and the entry.
    pub(super) fn meets(&self, other: &Entry) -> bool {
        let nobody = matches!(&*other.binaries, Binaries::These(globs) if globs.is_empty());
        !nobody
            && other.endpoint.ports.contains(&self.port)
            && self.entry.endpoint.host.may_overlap(&other.endpoint.host)
    }
}

fn blocks_cover(had: &[Cidr], wanted: &[Cidr]) -> bool {
    wanted.iter().all(|wanted| had.iter().any(|own| own.covers(wanted)))
}

/// Whether the old entry may be reached at every address where the new one may.
pub(super) fn addresses_cover(old: &Entry, new: &Entry) -> bool {
    let (had, wanted) = (&old.endpoint.allowed_ips, &new.endpoint.allowed_ips);
    if let HostPattern::Exact(Host::Address(ip)) = &new.endpoint.host {
        let listed = had.iter().any(|block| block.contains(*ip));
        return listed || had.is_empty() || matches!(reach(*ip), Reach::Listed(_));
    }
    match (had.is_empty(), wanted.is_empty()) {
        (true, true) => true,
        (false, true) => false,
        (false, false) => blocks_cover(had, wanted),
        // A public address may be the machine's own, today or once: listed, it may be reached all the same.
        (true, false) => false,
    }
}

/// Whether the old terms are no stricter than the new ones.
pub(super) fn terms_cover(old: &Entry, new: &Entry) -> bool {
    let most = |had: Option<u64>, wanted: Option<u64>| had.is_none_or(|had| wanted.is_some_and(|w| w <= had));
    (new.terms.ask || !old.terms.ask)
        && most(old.terms.max_bytes, new.terms.max_bytes)
        && most(old.terms.max_rate, new.terms.max_rate)
}

/// Whether the first selector takes every path of the second.
fn selector_covers(had: &PathSelector, wanted: &PathSelector) -> bool {
    match (had, wanted) {
        (PathSelector::All, _) => true,
        (PathSelector::Below(had), PathSelector::Below(wanted)) => {
            wanted.strip_prefix(had.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
        (had, wanted) => had == wanted,
    }
}

/// Whether the old endpoint is about every path that the new one is about.
pub(super) fn paths_cover(had: &Inspection, wanted: &Inspection) -> bool {
    // Of one that looks at calls each path stands for others, too.
    let alike = had.calls.is_some() || wanted.calls.is_none() || had.path == PathSelector::All;
    alike && selector_covers(&had.path, &wanted.path)
}

/// Whether the old rule is about all that the new one is about, on endpoints of one protocol.
pub(super) fn rule_covers(protocol: Protocol, had: &Rule, wanted: &Rule) -> bool {
    let methods = match (had.method.as_deref(), wanted.method.as_deref()) {
        (None, _) => true,
        (Some(had), Some(wanted)) => had == wanted || protocol == Protocol::Rest && takes_method(had, wanted),
        (Some(_), None) => false,
    };
    let calls = match (&had.call, &wanted.call) {
        (None, None) => true,
        (Some(had), Some(wanted)) => had.covers(wanted),
        (None, Some(_)) | (Some(_), None) => false,
    };
    methods && calls && had.path.covers(&wanted.path) && query_covers(had, wanted)
}

/// Each parameter that the first asks for is one that the second asks for, as narrowly.
fn query_covers(had: &Rule, wanted: &Rule) -> bool {
    had.query.iter().all(|(name, globs)| {
        wanted.query.iter().any(|(other, narrower)| {
            name == other && narrower.iter().all(|wanted| globs.iter().any(|own| own.covers(wanted)))
        })
    })
}

/// Whether a deny rule may refuse something that the other rule allows.
pub(super) fn may_deny(denies: &Inspection, deny: &Rule, allows: &Inspection, allow: &Rule) -> bool {
    let meet = |a: &str, b: &str| takes_method(a, b) || takes_method(b, a);
    let methods = denies.protocol != allows.protocol
        || deny.method.as_deref().zip(allow.method.as_deref()).is_none_or(|(deny, allow)| meet(deny, allow));
    let calls = match (&deny.call, &allow.call) {
        (Some(deny), Some(allow)) => deny.may_overlap(allow),
        // Where calls are looked at, a rule without one is about requests without a body.
        (Some(_), None) => allows.calls.is_none(),
        (None, _) => true,
    };
    methods && calls && deny.path.may_overlap(&allow.path)
}

/// Whether the old endpoint takes every call that the new one takes.
pub(super) fn limits_cover(had: &Inspection, wanted: &Inspection) -> bool {
    match (&had.calls, &wanted.calls) {
        (Some(had), Some(wanted)) => had.cover(wanted),
        (None, None) => true,
        (None, Some(_)) | (Some(_), None) => false,
    }
}

/// Whether a deny rule of the old policy still stands, or a wider one.
pub(super) fn deny_covers(after: &[Entry], (entry, inspection, rule): (&Entry, &Inspection, &Rule)) -> bool {
    super::Scope::pieces(entry).iter().all(|piece| {
        after.iter().any(|new| {
            let Some(now) = &new.endpoint.inspection else { return false };
            now.enforcement == crate::Enforcement::Enforce
                && now.protocol == inspection.protocol
                && piece.covered_by(new)
                && paths_cover(now, inspection)
                && now.deny.iter().any(|own| rule_covers(now.protocol, own, rule))
        })
    })
}

/// Whether two entries say the same, wherever they came from.
pub(super) fn same(a: &Entry, b: &Entry) -> bool {
    let terms =
        |entry: &Entry| (entry.terms.ask, entry.terms.expires, entry.terms.max_bytes, entry.terms.max_rate);
    a.binaries == b.binaries && terms(a) == terms(b) && same_endpoint(&a.endpoint, &b.endpoint)
}

fn same_endpoint(a: &Endpoint, b: &Endpoint) -> bool {
    let rest = |e: &Endpoint| {
        (e.allow_encoded_slash, e.request_body_credential_rewrite, e.websocket_credential_rewrite)
    };
    let inspections = match (&a.inspection, &b.inspection) {
        (None, None) => true,
        (Some(a), Some(b)) => {
            (a.protocol, &a.path, a.enforcement, a.calls) == (b.protocol, &b.path, b.enforcement, b.calls)
                && same_rules(&a.allow, &b.allow)
                && same_rules(&a.deny, &b.deny)
        }
        (None, Some(_)) | (Some(_), None) => false,
    };
    a.host == b.host
        && a.ports == b.ports
        && a.allowed_ips == b.allowed_ips
        && rest(a) == rest(b)
        && inspections
}

fn same_rules(a: &[Rule], b: &[Rule]) -> bool {
    let key = |rule: &Rule| (rule.method.clone(), rule.path.clone(), rule.query.clone(), rule.call.clone());
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| key(a) == key(b))
}
