//! A naive evaluator: the words of ADR 0071 one after the other, over every entry, with its own matching. It shares no code
//! with the one it is compared with but the parsing of documents.
#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a step of a test that fails is a failed test")]

use std::net::IpAddr;

use policy::{
    Binaries, Call, CallMethod, CallPattern, Cidr, Content, Enforcement, Entry, Exchange, Host, HostPattern,
    Inspection, Kind, PathSelector, Policy, Protocol, Reach, Request, Rule, Unlisted, Verdict, reach,
};

/// Whether the pattern matches, by trying everything.
pub fn glob(pattern: &str, text: &str, separator: char) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    step(&pattern, 0, &text, separator)
}

fn step(pattern: &[char], at: usize, text: &[char], separator: char) -> bool {
    let Some(first) = pattern.get(at) else { return text.is_empty() };
    let edge = |index: Option<usize>| index.is_none_or(|i| pattern.get(i).is_none_or(|c| *c == separator));
    if *first == '*' && pattern.get(at + 1) == Some(&'*') && edge(at.checked_sub(1)) && edge(Some(at + 2)) {
        return (0..=text.len()).any(|taken| step(pattern, at + 2, &text[taken..], separator));
    }
    match (first, text.split_first()) {
        ('*', _) => (0..=text.len())
            .take_while(|taken| !text[..*taken].contains(&separator))
            .any(|taken| step(pattern, at + 1, &text[taken..], separator)),
        ('?', Some((c, rest))) => *c != separator && step(pattern, at + 1, rest, separator),
        (own, Some((c, rest))) => own == c && step(pattern, at + 1, rest, separator),
        (_, None) => false,
    }
}

fn host_matches(pattern: &HostPattern, host: &Host) -> bool {
    match pattern {
        HostPattern::Anywhere => true,
        HostPattern::Exact(own) => own == host,
        HostPattern::Names(_) => match host {
            Host::Name(name) => glob(&pattern.to_string(), name, '.'),
            Host::Address(_) => false,
        },
    }
}

fn selected(selector: &PathSelector, path: &str) -> bool {
    match selector {
        PathSelector::All => true,
        PathSelector::Below(above) => path == above || path.starts_with(&format!("{above}/")),
        PathSelector::Like(pattern) => glob(pattern.as_str(), path, '\0'),
    }
}

/// Whether the endpoint is about the path; one that looks at calls takes others for the same, and both readings.
fn is_about(inspection: &Inspection, path: &str) -> bool {
    if inspection.calls.is_none() {
        return selected(&inspection.path, path);
    }
    [path.to_owned(), path.replace("%2F", "/")].iter().any(|path| {
        let mut plain = String::new();
        let mut skips = false;
        for c in path.chars() {
            skips = (skips || c == ';') && c != '/';
            if !skips {
                plain.push(c.to_ascii_lowercase());
            }
        }
        while plain.len() > 1 && plain.ends_with('/') {
            plain.pop();
        }
        selected(&inspection.path, &plain)
    })
}

fn width(selector: &PathSelector) -> usize {
    match selector {
        PathSelector::All => 0,
        PathSelector::Below(above) => above.chars().count(),
        PathSelector::Like(pattern) => pattern.as_str().chars().filter(|c| !matches!(c, '*' | '?')).count(),
    }
}

fn method(rule: &Rule, protocol: Protocol, exchange: &Exchange<'_>) -> bool {
    let seen = match (protocol, exchange.kind) {
        (Protocol::Rest, Kind::Message) | (Protocol::Websocket, Kind::Request) => return false,
        (Protocol::JsonRpc | Protocol::Mcp, Kind::Upgrade | Kind::Message) => return false,
        (Protocol::Rest | Protocol::JsonRpc | Protocol::Mcp, _) => exchange.method.to_uppercase(),
        (Protocol::Websocket, Kind::Upgrade) => "GET".to_owned(),
        (Protocol::Websocket, Kind::Message) => "WEBSOCKET_TEXT".to_owned(),
    };
    let bodiless = |own: &str| protocol == Protocol::Rest && own == "GET" && seen == "HEAD";
    rule.method.as_ref().is_none_or(|own| *own == seen || bodiless(own))
}

const OF_CLIENTS: &str = " initialize ping tools/list tools/call resources/list resources/templates/list resources/read \
    resources/subscribe resources/unsubscribe prompts/list prompts/get completion/complete logging/setLevel tasks/get tasks/result \
    tasks/list tasks/cancel notifications/initialized notifications/cancelled notifications/progress \
    notifications/roots/list_changed notifications/tasks/status ";

fn named(pattern: &CallPattern, call: &Call) -> bool {
    match (&pattern.method, &call.method) {
        (CallMethod::Answer, method) => method.is_none(),
        (_, None) => false,
        (CallMethod::Any, Some(_)) => true,
        (CallMethod::Known, Some(method)) => OF_CLIENTS.contains(&format!(" {method} ")),
        (CallMethod::Like(own), Some(method)) => glob(own.as_str(), method, '.'),
    }
}

fn tool(pattern: &CallPattern, call: &Call) -> Option<bool> {
    if pattern.tools.is_empty() || call.method.as_deref() != Some("tools/call") {
        return Some(true);
    }
    call.tool.as_ref().map(|tool| pattern.tools.iter().any(|own| glob(own.as_str(), tool, '.')))
}

/// Whether the rule allows what is in the body, as far as the endpoint looks at it.
fn allows_content(inspection: &Inspection, rule: &Rule, exchange: &Exchange<'_>) -> bool {
    let Some(limits) = inspection.calls else { return true };
    let strict = |call: &Call| {
        let tool = call.tool.as_deref().unwrap_or_default();
        let usual = tool.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        let is_tool = inspection.protocol == Protocol::Mcp && call.method.as_deref() == Some("tools/call");
        !is_tool
            || call.tool.is_some()
                && (!limits.strict_tool_names || usual && !tool.is_empty() && tool.len() <= 128)
    };
    match (&exchange.content, &rule.call) {
        (Content::None, None) => true,
        (Content::Calls(calls), Some(pattern)) => {
            let [call] = calls.list else { return false };
            exchange.method == "POST"
                && calls.bytes <= limits.most
                && strict(call)
                && named(pattern, call)
                && tool(pattern, call) == Some(true)
        }
        _ => false,
    }
}

fn denies_content(rule: &Rule, exchange: &Exchange<'_>) -> bool {
    match (&rule.call, &exchange.content) {
        (None, _) | (Some(_), Content::Unknown) => true,
        (Some(_), Content::None) => false,
        (Some(pattern), Content::Calls(calls)) => {
            calls.list.iter().any(|call| named(pattern, call) && tool(pattern, call) != Some(false))
        }
    }
}

fn allows(inspection: &Inspection, exchange: &Exchange<'_>) -> bool {
    inspection.allow.iter().any(|rule| {
        method(rule, inspection.protocol, exchange)
            && allows_content(inspection, rule, exchange)
            && glob(rule.path.as_str(), exchange.target.path(), '/')
            && rule.query.iter().all(|(name, globs)| {
                let values: Vec<_> = exchange.target.values(name).collect();
                !values.is_empty() && values.iter().all(|v| globs.iter().any(|g| glob(g.as_str(), v, '.')))
            })
    })
}

fn denies(inspection: &Inspection, exchange: &Exchange<'_>) -> bool {
    let path = exchange.target.path();
    let paths = [path.to_owned(), path.replace("%2F", "/")];
    (is_about(inspection, path) || paths.iter().any(|path| selected(&inspection.path, path)))
        && inspection.deny.iter().any(|rule| {
            method(rule, inspection.protocol, exchange)
                && denies_content(rule, exchange)
                && paths.iter().any(|path| glob(rule.path.as_str(), path, '/'))
                && rule.query.iter().all(|(name, globs)| {
                    let mut values = exchange.target.values(name);
                    values.any(|v| globs.iter().any(|g| glob(g.as_str(), v, '.')))
                })
        })
}

fn admits(entry: &Entry, address: Option<IpAddr>, closed: &[Cidr]) -> bool {
    let Some(address) = address else { return true };
    let listed = entry.endpoint.allowed_ips.iter().any(|block| block.contains(address));
    let own = entry.endpoint.host == HostPattern::Exact(Host::Address(address));
    if closed.iter().any(|block| block.contains(address)) {
        return false;
    }
    match reach(address) {
        Reach::Never(_) => false,
        Reach::Listed(_) => listed || own,
        Reach::Public => listed || entry.endpoint.allowed_ips.is_empty(),
    }
}

fn binaries(entry: &Entry, request: &Request<'_>) -> bool {
    match &*entry.binaries {
        Binaries::Any => true,
        Binaries::These(globs) => {
            request.binaries.iter().any(|path| globs.iter().any(|own| glob(own.as_str(), path, '/')))
        }
    }
}

/// The verdict by the book: of several calls in one body the one that is refused most.
pub fn decide(policy: &Policy, request: &Request<'_>) -> Verdict {
    match request.exchange {
        Some(exchange @ Exchange { content: Content::Calls(calls), .. }) if calls.list.len() > 1 => {
            let each = calls.list.iter().map(|call| {
                let list = std::slice::from_ref(call);
                let exchange =
                    Exchange { content: Content::Calls(policy::Calls { list, ..calls }), ..exchange };
                one(policy, &Request { exchange: Some(exchange), ..*request })
            });
            each.min().unwrap()
        }
        _ => one(policy, request),
    }
}

fn one(policy: &Policy, request: &Request<'_>) -> Verdict {
    let address = match request.host {
        Host::Address(address) => Some(*address),
        Host::Name(_) => request.address,
    };
    let there = |entry: &&Entry| {
        let listed = |ip| entry.endpoint.allowed_ips.iter().any(|block| block.contains(ip));
        host_matches(&entry.endpoint.host, request.host)
            && (entry.endpoint.host != HostPattern::Anywhere || address.is_some_and(listed))
            && entry.endpoint.ports.contains(&request.port)
            && entry.terms.expires.is_none_or(|end| request.now < end)
            && binaries(entry, request)
    };
    let matching: Vec<&Entry> = policy.entries().iter().filter(there).collect();
    let inspected: Vec<(&Entry, &Inspection)> =
        matching.iter().filter_map(|e| e.endpoint.inspection.as_ref().map(|i| (*e, i))).collect();
    let admitted = |entry: &Entry| admits(entry, address, policy.closed());
    if matching.is_empty() {
        let open = address.is_none_or(|ip| {
            reach(ip) == Reach::Public && !policy.closed().iter().any(|block| block.contains(ip))
        });
        return if open && policy.default_for_unlisted() == Unlisted::Ask {
            Verdict::Ask
        } else {
            Verdict::Deny
        };
    }
    let best = |entries: Vec<&Entry>| {
        let open: Vec<_> = entries.into_iter().filter(|entry| admitted(entry)).collect();
        match (open.iter().any(|entry| !entry.terms.ask), open.is_empty()) {
            (true, _) => Verdict::Allow,
            (false, false) => Verdict::Ask,
            (false, true) => Verdict::Deny,
        }
    };
    if inspected.is_empty() {
        return best(matching);
    }
    let Some(exchange) = &request.exchange else {
        let any = inspected.iter().any(|(entry, _)| admitted(entry));
        return if any { Verdict::Inspect } else { Verdict::Deny };
    };
    requests(&inspected, exchange, &admitted, best)
}

fn requests(
    inspected: &[(&Entry, &Inspection)],
    exchange: &Exchange<'_>,
    admitted: &dyn Fn(&Entry) -> bool,
    best: impl Fn(Vec<&Entry>) -> Verdict,
) -> Verdict {
    let enforced = |inspection: &Inspection| inspection.enforcement == Enforcement::Enforce;
    if inspected.iter().any(|(_, inspection)| enforced(inspection) && denies(inspection, exchange)) {
        return Verdict::Deny;
    }
    let about: Vec<_> =
        inspected.iter().filter(|(_, inspection)| is_about(inspection, exchange.target.path())).collect();
    let width =
        |inspection: &Inspection| 2 * width(&inspection.path) + usize::from(inspection.calls.is_some());
    let Some(most) = about.iter().map(|(_, inspection)| width(inspection)).max() else {
        return Verdict::Deny;
    };
    let narrow: Vec<_> = about.into_iter().filter(|(_, inspection)| width(inspection) == most).collect();
    let takes = |entry: &Entry| !exchange.target.path().contains("%2F") || entry.endpoint.allow_encoded_slash;
    let allowing = narrow.iter().filter(|(entry, inspection)| takes(entry) && allows(inspection, exchange));
    let verdict = best(allowing.map(|(entry, _)| *entry).collect());
    let audited = narrow.iter().any(|(entry, _)| admitted(entry))
        && narrow.iter().all(|(entry, inspection)| !enforced(inspection) && takes(entry));
    if verdict == Verdict::Deny && audited {
        return best(narrow.iter().map(|(entry, _)| *entry).collect());
    }
    verdict
}
