//! Whether a request is one that a rule is about.

use crate::document::{Inspection, Protocol, Rule};
use crate::{CallPattern, Content, Exchange, Kind};

/// The first rule of the endpoint that allows the request.
pub(crate) fn allowing<'p>(inspection: &'p Inspection, exchange: &Exchange<'_>) -> Option<&'p Rule> {
    inspection.allow.iter().find(|rule| {
        covers_method(rule, inspection.protocol, exchange)
            && allows_calls(rule, inspection, exchange)
            && rule.path.matches(exchange.target.path())
            && rule.query.iter().all(|(name, globs)| {
                let mut values = exchange.target.values(name).peekable();
                values.peek().is_some() && values.all(|value| globs.iter().any(|glob| glob.matches(value)))
            })
    })
}

/// Whether the rule allows every call in the body, or, where calls are looked at, a request without a body.
fn allows_calls(rule: &Rule, inspection: &Inspection, exchange: &Exchange<'_>) -> bool {
    let Some(limits) = &inspection.calls else { return true };
    match (&rule.call, &exchange.content) {
        (None, Content::None) => true,
        (Some(pattern), Content::Calls(calls)) => {
            let named = |call| inspection.protocol != Protocol::Mcp || limits.take(call);
            exchange.method == "POST"
                && calls.bytes <= limits.most
                && !calls.list.is_empty()
                && calls.list.iter().all(|call| pattern.allows(call) && named(call))
        }
        (None, Content::Calls(_) | Content::Unknown) | (Some(_), Content::None | Content::Unknown) => false,
    }
}

/// Whether the rule refuses one of the calls in the body; what nobody has read may be any.
fn denies_calls(pattern: &CallPattern, content: Content<'_>) -> bool {
    match content {
        Content::None => false,
        Content::Unknown => true,
        Content::Calls(calls) => calls.list.iter().any(|call| pattern.denies(call)),
    }
}

/// The first rule of the endpoint that refuses the request, in any reading of its path.
pub(crate) fn denying<'p>(inspection: &'p Inspection, exchange: &Exchange<'_>) -> Option<&'p Rule> {
    let about = inspection.may_be_about(exchange.target);
    inspection.deny.iter().filter(|_| about).find(|rule| denies(rule, inspection.protocol, exchange))
}

/// Whether the rule refuses the request: of a repeated parameter one value is enough, and of several calls one.
fn denies(rule: &Rule, protocol: Protocol, exchange: &Exchange<'_>) -> bool {
    covers_method(rule, protocol, exchange)
        && rule.call.as_ref().is_none_or(|pattern| denies_calls(pattern, exchange.content))
        && exchange.target.readings().any(|path| rule.path.matches(path))
        && rule.query.iter().all(|(name, globs)| {
            exchange.target.values(name).any(|value| globs.iter().any(|glob| glob.matches(value)))
        })
}

/// Whether a rule of `protocol: rest` with this method is about requests with that one: a HEAD is a GET whose body is left out.
pub(crate) fn takes_method(own: &str, method: &str) -> bool {
    own.eq_ignore_ascii_case(method) || own.eq_ignore_ascii_case("GET") && method.eq_ignore_ascii_case("HEAD")
}

fn covers_method(rule: &Rule, protocol: Protocol, exchange: &Exchange<'_>) -> bool {
    let named = |method: &str| rule.method.as_deref().is_none_or(|own| own.eq_ignore_ascii_case(method));
    match (protocol, exchange.kind) {
        (Protocol::Rest, Kind::Request | Kind::Upgrade) => {
            rule.method.as_deref().is_none_or(|own| takes_method(own, exchange.method))
        }
        (Protocol::JsonRpc | Protocol::Mcp, Kind::Request) => named(exchange.method),
        (Protocol::Websocket, Kind::Upgrade) => named("GET"),
        (Protocol::Websocket, Kind::Message) => named("WEBSOCKET_TEXT"),
        (Protocol::Rest, Kind::Message)
        | (Protocol::Websocket, Kind::Request)
        | (Protocol::JsonRpc | Protocol::Mcp, Kind::Upgrade | Kind::Message) => false,
    }
}
