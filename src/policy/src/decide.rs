//! The decision about one connection or request.
//!
//! Entries that match host, port and program are looked at once, in any order; what is found is then weighed: a deny rule, an
//! allow rule, a rule that asks, audit, refusal. Nothing is allocated, and nothing depends on the order of the entries but
//! which of several equal ones is named.

use std::net::IpAddr;

use serde::Serialize;

use crate::document::{Endpoint, Enforcement, Inspection, Rule, Unlisted};
use crate::matching::{allowing, denying};
use crate::merge::{Entry, Policy};
use crate::{Call, Content, Host, HostPattern, Reach, Target, address};

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Host as the program named it.
    pub host: &'a Host,
    /// TCP port.
    pub port: u16,
    /// The address that would be connected to, if it is known already; of a host that is an address, that one.
    pub address: Option<IpAddr>,
    /// Path of the executable that connects, then those of its ancestors.
    pub binaries: &'a [&'a str],
    /// The request on the connection; nothing: whether there may be a connection at all.
    pub exchange: Option<Exchange<'a>>,
    /// Seconds since 1970.
    pub now: u64,
}

/// One request on a connection.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    /// What it is.
    pub kind: Kind,
    /// Method as written; of a message it says nothing.
    pub method: &'a str,
    /// Path and query; of a message, those of the upgrade.
    pub target: &'a Target,
    /// The body of a request.
    pub content: Content<'a>,
}

impl<'a> Exchange<'a> {
    /// A request without a body, an upgrade or a message.
    pub fn new(kind: Kind, method: &'a str, target: &'a Target) -> Self {
        Self { kind, method, target, content: Content::None }
    }
}

/// Kinds of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An HTTP request.
    Request,
    /// One that asks to become a WebSocket.
    Upgrade,
    /// A text message of the client on a WebSocket.
    Message,
}

/// The outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Not.
    Deny,
    /// Held until somebody has answered.
    Ask,
    /// The connection is taken, and each request on it decided by itself.
    Inspect,
    /// Yes.
    Allow,
}

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// An entry allows it, asks about it or wants to see the requests.
    Listed,
    /// No entry names this destination for this program.
    Unlisted,
    /// A deny rule.
    DenyRule,
    /// The endpoint is known and none of its rules allows the request.
    NoRule,
    /// The endpoint is known and takes no `%2F` in paths.
    EncodedSlash,
    /// The address may not be reached, or not by this entry.
    Address(Reach),
    /// The rules of the endpoint are broken, and it only audits.
    Audited,
}

/// What was decided, and by which entry.
#[must_use]
#[derive(Clone, Copy, Debug)]
pub struct Decision<'p> {
    /// The outcome.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// The entry that decided, the first of several; nothing where none matches.
    pub entry: Option<&'p Entry>,
    /// The rule of that entry.
    pub rule: Option<&'p Rule>,
    /// A deny rule that only audits, broken by a request that goes on.
    pub broken: Option<&'p Rule>,
    /// The call that was decided about, the first of several that are decided so.
    pub call: Option<&'p Call>,
}

/// The first of what was found, by place in the policy.
type First<'p> = Option<(usize, &'p Entry, Option<&'p Rule>)>;

#[derive(Default)]
struct Found<'p> {
    denied: First<'p>,
    broken: First<'p>,
    inspected: First<'p>,
    connects: First<'p>,
    /// Of the endpoints whose `path` is narrowest.
    rank: Option<(usize, bool)>,
    narrow: Narrow<'p>,
    /// Of entries that inspect nothing.
    plain: Narrow<'p>,
}

#[derive(Default)]
struct Narrow<'p> {
    allowed: First<'p>,
    asks: First<'p>,
    enforces: First<'p>,
    audits: First<'p>,
    /// Of those that ask besides.
    audits_asking: First<'p>,
    slash: First<'p>,
    address: Option<(usize, &'p Entry, Reach)>,
}

fn keep<'p>(first: &mut First<'p>, index: usize, entry: &'p Entry, rule: Option<&'p Rule>) {
    if first.is_none_or(|(known, ..)| index < known) {
        *first = Some((index, entry, rule));
    }
}

impl Policy {
    /// Decides. Of several calls in one body each has to be allowed: the one that is refused most decides.
    ///
    /// Cost: one hash look-up for the host and one for each of its labels, then the entries found for it; an entry costs the
    /// comparison of a port, the patterns of its binaries and those of its rules.
    pub fn decide<'p>(&'p self, request: &Request<'p>) -> Decision<'p> {
        let each = request.exchange.into_iter().flat_map(|exchange| {
            exchange.content.each().map(move |content| Exchange { content, ..exchange })
        });
        let decided = each.map(|exchange| self.decide_one(&Request { exchange: Some(exchange), ..*request }));
        // One that goes on only as nobody enforces its rules is told before one that is allowed.
        let order = |decision: &Decision<'_>| {
            (decision.verdict, decision.reason != Reason::Audited && decision.broken.is_none())
        };
        decided.min_by_key(order).unwrap_or_else(|| self.decide_one(request))
    }

    fn decide_one<'p>(&'p self, request: &Request<'p>) -> Decision<'p> {
        let mut found = Found::default();
        let mut request = *request;
        if let Host::Address(address) = request.host {
            request.address = Some(*address);
        }
        for (index, entry) in self.candidates(request.host) {
            if applies(entry, &request) {
                self.look(index, entry, &request, &mut found);
            }
        }
        self.weigh(&request, &found)
    }

    fn look<'p>(&'p self, index: usize, entry: &'p Entry, request: &Request<'_>, found: &mut Found<'p>) {
        let refused = request.address.and_then(|address| self.refuses(&entry.endpoint, address));
        let Some(inspection) = &entry.endpoint.inspection else {
            return grant(&mut found.plain, index, entry, None, refused);
        };
        keep(&mut found.inspected, index, entry, None);
        let Some(exchange) = &request.exchange else {
            match refused {
                None => keep(&mut found.connects, index, entry, None),
                Some(_) => grant(&mut found.narrow, index, entry, None, refused),
            }
            return;
        };
        if let Some(rule) = denying(inspection, exchange) {
            match inspection.enforcement {
                Enforcement::Enforce => keep(&mut found.denied, index, entry, Some(rule)),
                Enforcement::Audit => keep(&mut found.broken, index, entry, Some(rule)),
            }
        }
        if !inspection.is_about(exchange.target) {
            return;
        }
        let rank = inspection.rank();
        if found.rank.is_some_and(|known| rank < known) {
            return;
        }
        if found.rank.is_none_or(|known| rank > known) {
            (found.rank, found.narrow) = (Some(rank), Narrow::default());
        }
        let narrow = &mut found.narrow;
        match inspection.enforcement {
            Enforcement::Enforce => keep(&mut narrow.enforces, index, entry, None),
            Enforcement::Audit if refused.is_none() && entry.terms.ask => {
                keep(&mut narrow.audits_asking, index, entry, None);
            }
            Enforcement::Audit if refused.is_none() => {
                keep(&mut narrow.audits, index, entry, None);
            }
            Enforcement::Audit => {}
        }
        if exchange.target.encoded_slash() && !entry.endpoint.allow_encoded_slash {
            keep(&mut narrow.slash, index, entry, None);
        } else if let Some(rule) = allowing(inspection, exchange) {
            grant(narrow, index, entry, Some(rule), refused);
        } else if refused.is_some() {
            grant(narrow, index, entry, None, refused);
        }
    }

    /// How long a body may be for its calls to be looked at, by the endpoint that takes most; nothing: no endpoint that decides or refuses
    /// looks at the calls of this request.
    pub fn reads_calls(&self, request: &Request<'_>) -> Option<usize> {
        let exchange = request.exchange.as_ref()?;
        let applying = self.candidates(request.host).filter(|(_, entry)| applies(entry, request));
        let inspections = applying.filter_map(|(_, entry)| entry.endpoint.inspection.as_ref());
        let about: Vec<_> = inspections.filter(|inspection| inspection.is_about(exchange.target)).collect();
        let decides = about.iter().map(|inspection| inspection.rank()).max();
        // One that does not decide still refuses.
        let looks =
            |inspection: &&&Inspection| Some(inspection.rank()) == decides || !inspection.deny.is_empty();
        about.iter().filter(looks).filter_map(|inspection| inspection.calls.map(|calls| calls.most)).max()
    }

    /// Whether some entry about this host takes this address for it.
    pub fn takes(&self, host: &Host, ip: IpAddr) -> bool {
        self.candidates(host).any(|(_, entry)| {
            entry.endpoint.host != HostPattern::Anywhere && self.refuses(&entry.endpoint, ip).is_none()
        })
    }

    /// Why the endpoint may not be reached at this address; nothing if it may.
    fn refuses(&self, endpoint: &Endpoint, ip: IpAddr) -> Option<Reach> {
        let reach = self.reach(ip);
        let named = matches!(&endpoint.host, HostPattern::Exact(Host::Address(own)) if *own == ip);
        let listed = endpoint.allowed_ips.iter().any(|block| block.contains(ip));
        let open = match reach {
            Reach::Never(_) => false,
            Reach::Listed(_) => listed || named,
            Reach::Public => endpoint.allowed_ips.is_empty() || listed,
        };
        (!open).then_some(reach)
    }

    /// What may be done about an address on this machine.
    pub fn reach(&self, ip: IpAddr) -> Reach {
        let inner = match ip {
            IpAddr::V6(v6) => address::carried(v6).map(|(v4, _)| IpAddr::V4(v4)),
            IpAddr::V4(_) => None,
        };
        let closed = |ip| self.closed().iter().any(|block| block.contains(ip));
        if closed(ip) || inner.is_some_and(closed) {
            return Reach::Never("another tenant's");
        }
        match address::reach(ip) {
            Reach::Public if self.is_own(ip) => Reach::Listed("this machine's own"),
            reach @ (Reach::Public | Reach::Listed(_) | Reach::Never(_)) => reach,
        }
    }

    fn weigh<'p>(&self, request: &Request<'p>, found: &Found<'p>) -> Decision<'p> {
        let broken = found.broken.and_then(|(_, _, rule)| rule);
        let call = request.exchange.and_then(|exchange| exchange.content.first());
        let made = |verdict, reason, first: First<'p>| Decision {
            verdict,
            reason,
            entry: first.map(|(_, entry, _)| entry),
            rule: first.and_then(|(.., rule)| rule),
            broken,
            call,
        };
        if found.denied.is_some() {
            return made(Verdict::Deny, Reason::DenyRule, found.denied);
        }
        let inspects = found.inspected.is_some();
        let narrow = if inspects { &found.narrow } else { &found.plain };
        if narrow.allowed.is_some() {
            return made(Verdict::Allow, Reason::Listed, narrow.allowed);
        }
        if narrow.asks.is_some() {
            return made(Verdict::Ask, Reason::Listed, narrow.asks);
        }
        if inspects && request.exchange.is_none() && found.connects.is_some() {
            return made(Verdict::Inspect, Reason::Listed, found.connects);
        }
        if narrow.enforces.is_none() && narrow.slash.is_none() {
            // What an entry asks about when it keeps the rules is not let through because it breaks them.
            for (verdict, audits) in [(Verdict::Allow, narrow.audits), (Verdict::Ask, narrow.audits_asking)] {
                if audits.is_some() {
                    return made(verdict, Reason::Audited, audits);
                }
            }
        }
        if narrow.slash.is_some() {
            return made(Verdict::Deny, Reason::EncodedSlash, narrow.slash);
        }
        if let Some((index, entry, reach)) = narrow.address {
            return made(Verdict::Deny, Reason::Address(reach), Some((index, entry, None)));
        }
        if inspects {
            return made(Verdict::Deny, Reason::NoRule, narrow.enforces.or(found.inspected));
        }
        match request.address.map_or(Reach::Public, |address| self.reach(address)) {
            Reach::Public => {}
            closed @ (Reach::Listed(_) | Reach::Never(_)) => {
                return made(Verdict::Deny, Reason::Address(closed), None);
            }
        }
        let verdict = match self.default_for_unlisted() {
            Unlisted::Deny => Verdict::Deny,
            Unlisted::Ask => Verdict::Ask,
        };
        made(verdict, Reason::Unlisted, None)
    }
}

/// Notes that an entry allows, or asks, or would if the address were another.
fn grant<'p>(
    narrow: &mut Narrow<'p>,
    index: usize,
    entry: &'p Entry,
    rule: Option<&'p Rule>,
    refused: Option<Reach>,
) {
    match refused {
        Some(reach) if narrow.address.is_none_or(|(known, ..)| index < known) => {
            narrow.address = Some((index, entry, reach));
        }
        Some(_) => {}
        None if entry.terms.ask => keep(&mut narrow.asks, index, entry, rule),
        None => keep(&mut narrow.allowed, index, entry, rule),
    }
}

/// Whether an entry is about this connection: port, program and time. Its host was compared before. One that is about any
/// host is about those at its addresses, so it needs one.
pub(crate) fn applies(entry: &Entry, request: &Request<'_>) -> bool {
    let endpoint = &entry.endpoint;
    let there = match (&endpoint.host, request.address) {
        (HostPattern::Anywhere, Some(ip)) => endpoint.allowed_ips.iter().any(|block| block.contains(ip)),
        (HostPattern::Anywhere, None) => false,
        (HostPattern::Exact(_) | HostPattern::Names(_), _) => true,
    };
    there
        && endpoint.ports.contains(&request.port)
        && entry.terms.expires.is_none_or(|end| request.now < end)
        && entry.binaries.match_any(request.binaries)
}
