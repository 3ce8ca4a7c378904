//! `egress explain`: what is decided about a connection or request, by tenantd for a tenant or here for documents.

use std::path::Path;

use api::{EgressQuestion, Explained};
use model::{Exit, TenantId};
use policy::{Call, Content, Document, Exchange, Host, Hosts, Kind, Layer, Level, Policy, Request, Target};

use crate::apply::read;
use crate::cli::QuestionArgs;
use crate::failure::{Ended, Failure};
use crate::output::clean_lines;
use crate::session::Session;

/// Explains.
pub(crate) async fn explain(session: &mut Session, arguments: &QuestionArgs) -> Ended {
    let words: Vec<&str> = arguments.words.iter().map(String::as_str).collect();
    let (tenant, rest) = match (arguments.files.is_empty(), words.as_slice()) {
        (false, rest) => (None, rest),
        (true, [tenant, rest @ ..]) => (Some(TenantId::parse(tenant)?), rest),
        (true, []) => (None, [].as_slice()),
    };
    let (place, exchange) = match rest {
        [place] => (*place, None),
        [place, method, path] => (*place, Some((*method, *path))),
        _ => {
            let text = "egress explain takes TENANT HOST[:PORT] [METHOD PATH], or with --file HOST[:PORT] [METHOD PATH]";
            return Err(Failure::new(Exit::Usage, text));
        }
    };
    if arguments.call.is_some() && (exchange.is_none() || arguments.upgrade) {
        let text = "a call is in the body of a request: give METHOD PATH, as POST /mcp, and no --upgrade";
        return Err(Failure::new(Exit::Usage, text));
    }
    let (host, port) = place_of(place)?;
    let literal = Host::parse(&host).ok().and_then(|host| match host {
        Host::Address(address) => Some(address),
        Host::Name(_) => None,
    });
    let question = EgressQuestion {
        own: literal.or(arguments.address).is_some_and(own_address::is_own),
        host,
        port,
        address: arguments.address,
        binaries: arguments.binaries.clone(),
        method: exchange.map(|(method, _)| method.to_owned()),
        path: exchange.map(|(_, path)| path.to_owned()),
        upgrade: arguments.upgrade,
        call: arguments.call.clone(),
        tool: arguments.tool.clone(),
    };
    match tenant {
        Some(tenant) => by_tenantd(session, &tenant, &question).await,
        None => by_documents(session, arguments, &question),
    }
}

async fn by_tenantd(session: &mut Session, tenant: &TenantId, question: &EgressQuestion) -> Ended {
    let foreign = |error| Failure::foreign_answer("the policy", &error);
    let asked = serde_json::to_string(question).map_err(foreign)?;
    let answer = session.egress().await?.explain_egress(tenant.as_str(), &asked).await?;
    let explained: Explained = serde_json::from_str(&answer).map_err(foreign)?;
    session.print(&explained.explanation, |_| clean_lines(&explained.text))?;
    Ok(Exit::Ok.code())
}

fn by_documents(session: &mut Session, arguments: &QuestionArgs, question: &EgressQuestion) -> Ended {
    let mut layers = Vec::new();
    for path in &arguments.files {
        layers.push(Layer { level: Level::Tenant, document: document(session, path)? });
    }
    let policy =
        Policy::merge(layers, Vec::new()).map_err(|error| Failure::new(Exit::Data, error.to_string()))?;
    let policy = policy.with_own(own_address::is_own);
    let host = Host::parse(&question.host).map_err(|why| wrong("host", &question.host, why))?;
    let path = question.path.as_deref().unwrap_or("/");
    let target = Target::parse(path).map_err(|why| wrong("path", path, why))?;
    let kind = match (question.method.as_deref(), question.upgrade) {
        (Some("WEBSOCKET_TEXT"), _) => Kind::Message,
        (_, true) => Kind::Upgrade,
        (_, false) => Kind::Request,
    };
    let method = question.method.as_deref();
    let call = question.call.clone().map(|method| Call { method: Some(method), tool: question.tool.clone() });
    let content = Content::of(call.as_slice());
    let binaries: Vec<&str> = question.binaries.iter().map(String::as_str).collect();
    let explanation = policy.explain(&Request {
        host: &host,
        port: question.port,
        address: question.address,
        binaries: &binaries,
        exchange: method.map(|method| Exchange { content, ..Exchange::new(kind, method, &target) }),
        now: session.now,
    });
    session.print(&explanation, |_| clean_lines(&format!("{explanation}\n")))?;
    Ok(Exit::Ok.code())
}

fn document(session: &mut Session, path: &Path) -> Result<Document, Failure> {
    let (file, text) = read(session, path)?;
    Document::parse(&file, &text, &Hosts::Unknown)
        .map_err(|refused| Failure::new(Exit::Data, refused.to_string()))
}

fn wrong(what: &str, value: &str, why: &str) -> Failure {
    Failure::new(Exit::Data, format!("{what}: {value:?} is not usable: {why}"))
}

/// `HOST`, `HOST:PORT`, `[v6]:PORT` or an IPv6 address alone.
pub(crate) fn place_of(text: &str) -> Result<(String, u16), Failure> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') && !text.ends_with(']') => {
            (host, Some(port))
        }
        Some(_) | None => (text, None),
    };
    let number = match port {
        Some(port) => port.parse().ok().filter(|port| *port > 0),
        None => Some(443),
    };
    let number = number
        .ok_or_else(|| wrong("port", port.unwrap_or_default(), "a port is a number from 1 to 65535"))?;
    Ok((host.to_owned(), number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_host_and_perhaps_a_port() {
        for (text, host, port) in [
            ("a.example.org", "a.example.org", 443),
            ("a.example.org:80", "a.example.org", 80),
            ("2001:db8::1", "2001:db8::1", 443),
            ("[2001:db8::1]:8443", "[2001:db8::1]", 8443),
            ("[2001:db8::1]", "[2001:db8::1]", 443),
        ] {
            let found = place_of(text);
            assert_eq!(found.ok(), Some((host.to_owned(), port)), "{text}");
        }
        assert!(place_of("a:0").is_err() && place_of("a:x").is_err() && place_of("a:70000").is_err());
    }
}
