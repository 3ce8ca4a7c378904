//! A decision as a person reads it, and as a program does.

use std::fmt;

use serde::Serialize;

use crate::decide::{Decision, Reason, Request, Verdict, applies};
use crate::document::{Binaries, Protocol, Rule, Unlisted};
use crate::merge::{Entry, Origin, Policy};
use crate::{Call, Exchange, HostPattern, Kind, Reach};

/// What was decided, why, and what else was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The outcome.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// The same as a sentence.
    pub sentence: String,
    /// The entry that decided.
    pub origin: Option<Origin>,
    /// Line of the rule that decided, in the same document.
    pub rule_line: Option<usize>,
    /// Entries about the same host that did not decide, and why.
    pub others: Vec<Other>,
    /// What would change it.
    pub remedy: Option<String>,
}

/// An entry that did not decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Other {
    /// Where it came from.
    pub origin: Origin,
    /// Why it did not decide.
    pub why: String,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)?;
        if let Some(origin) = &self.origin {
            write!(f, "\n  by {origin}")?;
            if let Some(line) = self.rule_line {
                write!(f, ", rule in line {line}")?;
            }
        }
        for other in &self.others {
            write!(f, "\n  not by {}: {}", other.origin, other.why)?;
        }
        if let Some(remedy) = &self.remedy {
            write!(f, "\n  {remedy}")?;
        }
        Ok(())
    }
}

impl Policy {
    /// Decides, and says why. About a message where only the upgrade is looked at, that is what decides.
    pub fn explain(&self, request: &Request<'_>) -> Explanation {
        let Some(exchange) = request.exchange.filter(|exchange| exchange.kind == Kind::Message) else {
            return self.explain_one(request);
        };
        let upgrade = Exchange { kind: Kind::Upgrade, method: "GET", ..exchange };
        let upgrade = Request { exchange: Some(upgrade), ..*request };
        let decided = self.decide(&upgrade).entry.and_then(|entry| entry.endpoint.inspection.as_ref());
        if decided.is_none_or(|inspection| inspection.protocol != Protocol::Rest) {
            return self.explain_one(request);
        }
        let mut explanation = self.explain_one(&upgrade);
        explanation.sentence += "; messages on that WebSocket are not looked at (protocol: rest)";
        explanation
    }

    fn explain_one(&self, request: &Request<'_>) -> Explanation {
        let decision = self.decide(request);
        let decided = decision.entry.map(|entry| &entry.origin);
        let mut others: Vec<_> = self
            .candidates(request.host)
            .filter(|(_, entry)| Some(&entry.origin) != decided)
            .map(|(index, entry)| (index, other(entry, request)))
            .collect();
        others.sort_by_key(|(index, _)| *index);
        let why = because(decision.reason, decision.verdict, self.default_for_unlisted());
        Explanation {
            verdict: decision.verdict,
            reason: decision.reason,
            sentence: format!("{} {}: {why}", subject_of(request, &decision), word(decision.verdict)),
            origin: decided.cloned(),
            rule_line: decision.rule.map(|rule: &Rule| rule.mark.line),
            others: others.into_iter().map(|(_, other)| other).collect(),
            remedy: remedy(&decision, request),
        }
    }
}

fn subject(request: &Request<'_>) -> String {
    let target = format!("{}:{}", request.host, request.port);
    match &request.exchange {
        Some(exchange) => format!("{} {target}{}", exchange.method, exchange.target.path()),
        None => target,
    }
}

/// The request, and the call in it that decided.
fn subject_of(request: &Request<'_>, decision: &Decision<'_>) -> String {
    match decision.call {
        Some(call) => format!("{call} by {}", subject(request)),
        None => subject(request),
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Allow => "is allowed",
        Verdict::Inspect => "is connected, and each request decided by itself",
        Verdict::Ask => "is held and asked about",
        Verdict::Deny => "is denied",
    }
}

fn because(reason: Reason, verdict: Verdict, default: Unlisted) -> String {
    match (reason, default) {
        (Reason::Listed, _) if verdict == Verdict::Ask => "an entry for this destination asks".to_owned(),
        (Reason::Listed, _) => "an entry names this destination".to_owned(),
        (Reason::Unlisted, Unlisted::Deny) => "no entry names this destination for this program".to_owned(),
        (Reason::Unlisted, Unlisted::Ask) => {
            "no entry names this destination for this program, and the tenant asks about such".to_owned()
        }
        (Reason::DenyRule, _) => "a deny rule matches, and deny rules win".to_owned(),
        (Reason::NoRule, _) => "the endpoint is known, and none of its rules allows this request".to_owned(),
        (Reason::EncodedSlash, _) => {
            "the path holds an encoded slash, which this endpoint does not take".to_owned()
        }
        (Reason::Address(reach), _) => match reach {
            Reach::Never(what) => format!("its address is {what}, which no policy opens"),
            Reach::Listed(what) => {
                format!("its address is {what}, and no matching entry lists it in allowed_ips")
            }
            Reach::Public => "its address is not among the allowed_ips of the entry".to_owned(),
        },
        (Reason::Audited, _) => "it breaks the rules of the endpoint, which only audits".to_owned(),
    }
}

fn other(entry: &Entry, request: &Request<'_>) -> Other {
    let endpoint = &entry.endpoint;
    let why = if !endpoint.ports.contains(&request.port) {
        let ports: Vec<_> = endpoint.ports.iter().map(u16::to_string).collect();
        format!("it is about port {}", ports.join(", "))
    } else if entry.terms.expires.is_some_and(|end| request.now >= end) {
        "it has expired".to_owned()
    } else if !entry.binaries.match_any(request.binaries) {
        binaries(&entry.binaries, request.binaries)
    } else if endpoint.host == HostPattern::Anywhere && !applies(entry, request) {
        "it is about other addresses".to_owned()
    } else if endpoint.inspection.is_none() {
        "another entry for this destination inspects requests, or it allows no more than the one that decided"
            .to_owned()
    } else {
        "its rules say nothing else, or its path is not the narrowest".to_owned()
    };
    Other { origin: entry.origin.clone(), why }
}

fn binaries(wanted: &Binaries, asked: &[&str]) -> String {
    let globs = match wanted {
        Binaries::Any => return "it is about every program".to_owned(),
        Binaries::These(globs) if globs.is_empty() => return "its list of binaries is empty".to_owned(),
        Binaries::These(globs) => globs,
    };
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let namesake = globs.iter().find_map(|glob| {
        let asked = asked.iter().find(|path| name(path) == name(glob.as_str()))?;
        Some(format!(
            "it is about {glob}, and {asked} is another file: list the path that \"readlink -f\" shows"
        ))
    });
    namesake.unwrap_or_else(|| {
        let list: Vec<_> = globs.iter().take(4).map(|glob| glob.as_str()).collect();
        format!("it is about the programs {}", list.join(", "))
    })
}

fn remedy(decision: &Decision<'_>, request: &Request<'_>) -> Option<String> {
    if decision.verdict != Verdict::Deny {
        return None;
    }
    let inspection = decision.entry.and_then(|entry| entry.endpoint.inspection.as_ref());
    let text = match decision.reason {
        Reason::Unlisted => format!(
            "to allow it, add an endpoint with host {} and port {} to the tenant's document",
            request.host, request.port
        ),
        Reason::NoRule if inspection.is_some_and(|inspection| inspection.calls.is_some()) => {
            no_rule_for_calls(decision.call)
        }
        Reason::NoRule => "to allow it, add a rule with this method and path to the endpoint".to_owned(),
        Reason::EncodedSlash => "to allow it, set allow_encoded_slash: true on the endpoint".to_owned(),
        Reason::Address(Reach::Listed(_) | Reach::Public) => {
            "to allow it, list the address in allowed_ips of the endpoint".to_owned()
        }
        Reason::DenyRule => "to allow it, take out the deny rule".to_owned(),
        Reason::Address(Reach::Never(_)) | Reason::Listed | Reason::Audited => return None,
    };
    Some(text)
}

fn no_rule_for_calls(call: Option<&Call>) -> String {
    match call {
        Some(Call { method: Some(_), .. }) => {
            "to allow it, add a rule with this method, and this tool if it names one, to the endpoint"
                .to_owned()
        }
        Some(Call { method: None, .. }) => {
            "protocol: json-rpc has no answers to the server; mcp has".to_owned()
        }
        None => {
            "the endpoint decides by the calls in the body: ask about one with --call METHOD and --tool NAME"
                .to_owned()
        }
    }
}
