//! Whether a change allows anything that was not allowed before, and what.
//!
//! "No" is certain; "yes" may be wrong where two patterns would have to be taken apart, and says then that it is not proven.
//! What a new policy allows is looked at piece by piece: an entry, a port, a program, a rule. A piece is no widening if the old
//! policy allowed all of it by one piece of its own, and nothing that took away from that one has gone.

mod cover;
mod example;

use serde::Serialize;

use crate::document::{Binaries, Enforcement, Inspection, Rule, Unlisted};
use crate::merge::{Entry, Origin, Policy};
use crate::{Glob, Host, HostPattern};
use cover::{Scope, addresses_cover, deny_covers, may_deny, paths_cover, rule_covers, same};
use example::{Change, example};

/// Something that a change allows, or asks about, and the old policy did not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Widening {
    /// What, as a sentence.
    pub what: String,
    /// The entry of the new policy that allows it; nothing where it is not an entry.
    pub origin: Option<Origin>,
    /// A request that is newly allowed, or nearly so.
    pub example: Option<String>,
    /// Whether the example was decided by both policies and is indeed newly allowed.
    pub proven: bool,
}

/// One thing that a policy allows.
#[derive(Clone, Copy)]
enum Grant<'p> {
    /// Everything, unseen.
    Plain,
    /// What a rule matches.
    Rule(&'p Inspection, &'p Rule),
    /// What breaks the rules of an endpoint that only audits.
    Audit(&'p Inspection),
}

/// What `new` allows beyond `old`; empty if nothing.
pub fn widens(old: &Policy, new: &Policy) -> Vec<Widening> {
    let mut found = Vec::new();
    let change = Change { old, new, before: old.entries() };
    if old.default_for_unlisted() == Unlisted::Deny && new.default_for_unlisted() == Unlisted::Ask {
        let what = "destinations that no entry names were denied and are asked about now".to_owned();
        let (example, proven) = example::unlisted(change);
        found.push(Widening { what, origin: None, example, proven });
    }
    for block in old.closed() {
        if !new.closed().iter().any(|own| own.covers(block)) {
            let what = format!("addresses in {block} were closed and are not any more");
            let (example, proven) = example::opened(change, block.first());
            found.push(Widening { what, origin: None, example, proven });
        }
    }
    if new.default_for_unlisted() == Unlisted::Ask {
        gone(change, &mut found);
    }
    for entry in new.entries() {
        entry_widens(old, new, entry, &mut found);
    }
    found
}

/// Entries that refused what is asked about without them.
fn gone(change: Change<'_>, found: &mut Vec<Widening>) {
    let strict =
        |entry: &&Entry| entry.endpoint.inspection.is_some() || !entry.endpoint.allowed_ips.is_empty();
    for gone in change.old.entries().iter().filter(strict) {
        let pieces = Scope::pieces(gone);
        let left = |piece: &&Scope<'_>| !change.new.entries().iter().any(|own| piece.covered_by(own));
        let Some(piece) = pieces.iter().find(left) else { continue };
        let what = format!(
            "{}: what this entry refused is asked about, as the entry has gone or has become narrower",
            gone.origin
        );
        let before = std::slice::from_ref(gone);
        let (example, proven) = example(Change { before, ..change }, gone, piece, Grant::Plain);
        found.push(Widening { what, origin: None, example, proven });
    }
}

fn grants(entry: &Entry) -> Vec<Grant<'_>> {
    let Some(inspection) = &entry.endpoint.inspection else { return vec![Grant::Plain] };
    let rules = inspection.allow.iter().map(|rule| Grant::Rule(inspection, rule));
    let audit = (inspection.enforcement == Enforcement::Audit).then_some(Grant::Audit(inspection));
    rules.chain(audit).collect()
}

fn entry_widens(old: &Policy, new: &Policy, entry: &Entry, found: &mut Vec<Widening>) {
    let pieces = Scope::pieces(entry);
    // A program counts by its ancestors too, so any two lists of programs meet in some request, but for an empty one.
    let about = |policy: &'_ Policy| -> Vec<usize> {
        let meets =
            |(index, other): (usize, &Entry)| pieces.iter().any(|piece| piece.meets(other)).then_some(index);
        policy.entries().iter().enumerate().filter_map(meets).collect()
    };
    let pick = |policy: &Policy, index: &usize| policy.entries().get(*index).cloned();
    let before: Vec<Entry> = about(old).iter().filter_map(|index| pick(old, index)).collect();
    let after: Vec<Entry> = about(new).iter().filter_map(|index| pick(new, index)).collect();
    if same_set(&before, &after) {
        return;
    }
    for grant in grants(entry) {
        let missing = pieces.iter().find(|piece| {
            !asked_anyway(old, entry, grant, &before)
                && !before.iter().any(|own| covered(&before, &after, own, piece, grant))
        });
        if let Some(piece) = missing {
            found.push(report(Change { old, new, before: &before }, entry, piece, grant));
        }
    }
}

fn same_set(before: &[Entry], after: &[Entry]) -> bool {
    before.len() == after.len()
        && before.iter().all(|own| {
            let count = |entries: &[Entry]| entries.iter().filter(|entry| same(own, entry)).count();
            count(before) == count(after)
        })
}

/// Whether what the entry asks about was asked about before, as nothing named it.
fn asked_anyway(old: &Policy, entry: &Entry, grant: Grant<'_>, before: &[Entry]) -> bool {
    let public = entry.endpoint.allowed_ips.is_empty()
        && !matches!(entry.endpoint.host, HostPattern::Exact(Host::Address(_)));
    let asks = entry.terms.ask && !matches!(grant, Grant::Audit(_));
    old.default_for_unlisted() == Unlisted::Ask && asks && public && before.is_empty()
}

/// Whether the old entry allowed all of this piece, and nothing of what took away from it is gone.
fn covered(before: &[Entry], after: &[Entry], own: &Entry, piece: &Scope<'_>, grant: Grant<'_>) -> bool {
    if !piece.covered_by(own) || !addresses_cover(own, piece.entry) || !cover::terms_cover(own, piece.entry) {
        return false;
    }
    let overlapping: Vec<&Entry> = before.iter().filter(|other| piece.meets(other)).collect();
    let inspected =
        || overlapping.iter().filter_map(|other| Some((*other, other.endpoint.inspection.as_ref()?)));
    let kept = |gone: &Entry| {
        let stays = |new: &&Entry| new.endpoint.inspection.is_some();
        Scope::pieces(gone).iter().all(|scope| after.iter().filter(stays).any(|new| scope.covered_by(new)))
    };
    let (wanted, slash) = match (grant, &own.endpoint.inspection) {
        // The old entry was unseen where another one inspected; so is the new one, as long as that other one is still there.
        (Grant::Plain, None) => return inspected().all(|(other, _)| kept(other)),
        (Grant::Rule(..) | Grant::Audit(_), None) => return inspected().next().is_none(),
        (Grant::Plain, Some(_)) => return false,
        (Grant::Rule(inspection, _) | Grant::Audit(inspection), Some(_)) => {
            (inspection, piece.entry.endpoint.allow_encoded_slash)
        }
    };
    let Some(had) = &own.endpoint.inspection else { return false };
    let narrowest = inspected().all(|(_, other)| other.rank() <= had.rank());
    let slashes = !slash || inspected().all(|(other, _)| other.endpoint.allow_encoded_slash);
    if !narrowest || !slashes || !paths_cover(had, wanted) {
        return false;
    }
    let denied = inspected()
        .filter(|(_, other)| other.enforcement == Enforcement::Enforce)
        .flat_map(|(other, inspection)| inspection.deny.iter().map(move |rule| (other, inspection, rule)))
        .filter(|(_, inspection, rule)| match grant {
            Grant::Rule(wanted, allow) => slash || may_deny(inspection, rule, wanted, allow),
            Grant::Plain | Grant::Audit(_) => true,
        });
    if !denied.into_iter().all(|gone| deny_covers(after, gone)) {
        return false;
    }
    let audits = had.enforcement == Enforcement::Audit
        && inspected().all(|(_, other)| other.enforcement == Enforcement::Audit);
    match grant {
        Grant::Rule(wanted, rule) => {
            let limits = had.protocol == wanted.protocol && cover::limits_cover(had, wanted);
            audits || limits && had.allow.iter().any(|own| rule_covers(had.protocol, own, rule))
        }
        Grant::Plain | Grant::Audit(_) => audits,
    }
}

fn report(change: Change<'_>, entry: &Entry, piece: &Scope<'_>, grant: Grant<'_>) -> Widening {
    let port = piece.port;
    let target = match grant {
        Grant::Plain => String::new(),
        Grant::Rule(_, rule) => match &rule.call {
            Some(call) => format!(", {call}"),
            None => format!(", {} {}", rule.method.as_deref().unwrap_or("any method"), rule.path),
        },
        Grant::Audit(_) => ", any request (audit)".to_owned(),
    };
    let who = piece.binary.map_or_else(|| "any program".to_owned(), |glob| glob.as_str().to_owned());
    let how = if entry.terms.ask { "asked about" } else { "allowed" };
    let what = format!("{}:{port}{target} by {who} is {how}", entry.endpoint.host);
    let (example, proven) = example(change, entry, piece, grant);
    Widening { what, origin: Some(entry.origin.clone()), example, proven }
}

impl Scope<'_> {
    /// The pieces of an entry: one port and one pattern of programs each. One that nobody may use has none.
    fn pieces(entry: &Entry) -> Vec<Scope<'_>> {
        let binaries: Vec<Option<&Glob>> = match &*entry.binaries {
            Binaries::Any => vec![None],
            Binaries::These(globs) => globs.iter().map(Some).collect(),
        };
        let ports = entry.endpoint.ports.iter();
        ports
            .flat_map(|port| binaries.iter().map(|binary| Scope { entry, port: *port, binary: *binary }))
            .collect()
    }
}
