//! What the tests of documents share.
#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a step of a test that fails is a failed test")]

use policy::{
    Call, Calls, Content, Document, Exchange, Host, Hosts, Kind, Layer, Level, Policy, Request, Target,
    Verdict,
};

/// A document that loads.
pub fn document(text: &str) -> Document {
    Document::parse("test.yaml", text, &Hosts::Unknown).unwrap_or_else(|refused| panic!("{refused}"))
}

/// What a document is refused with.
pub fn refused(text: &str) -> String {
    match Document::parse("test.yaml", text, &Hosts::Unknown) {
        Ok(_) => panic!("taken:\n{text}"),
        Err(refused) => refused.to_string(),
    }
}

/// The policy of one document of a tenant.
pub fn policy(text: &str) -> Policy {
    merged(&[(Level::Tenant, text)])
}

/// The policy of several.
pub fn merged(layers: &[(Level, &str)]) -> Policy {
    let layers = layers.iter().map(|(level, text)| Layer { level: *level, document: document(text) });
    Policy::merge(layers.collect(), Vec::new()).unwrap()
}

/// An endpoint in a document of its own, any program.
pub fn endpoint(fields: &str) -> String {
    format!("version: 1\nnetwork_policies:\n  a:\n    endpoints:\n      - {{ {fields} }}\n")
}

/// One question, for the tests to write in a line.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    pub host: &'a str,
    pub port: u16,
    pub binary: &'a str,
    pub address: &'a str,
    pub kind: Kind,
    pub http: Option<(&'a str, &'a str)>,
    pub content: Content<'a>,
    pub now: u64,
}

/// A connection by node.
pub fn connect(host: &str) -> Ask<'_> {
    let (kind, content) = (Kind::Request, Content::None);
    Ask { host, port: 443, binary: "/usr/bin/node", address: "", kind, http: None, content, now: 0 }
}

/// A request by node.
pub fn http<'a>(host: &'a str, method: &'a str, path: &'a str) -> Ask<'a> {
    Ask { http: Some((method, path)), ..connect(host) }
}

impl Ask<'_> {
    pub fn with<T>(self, then: impl FnOnce(&Request<'_>) -> T) -> T {
        let host = Host::parse(self.host).unwrap();
        let target = self.http.map(|(_, path)| Target::parse(path).unwrap());
        let exchange = self.http.zip(target.as_ref()).map(|((method, _), target)| Exchange {
            kind: self.kind,
            method,
            target,
            content: self.content,
        });
        let address = (!self.address.is_empty()).then(|| self.address.parse().unwrap());
        then(&Request {
            host: &host,
            port: self.port,
            address,
            binaries: &[self.binary, "/usr/lib/systemd/systemd"],
            exchange,
            now: self.now,
        })
    }
}

/// The verdict.
pub fn verdict(policy: &Policy, ask: Ask<'_>) -> Verdict {
    ask.with(|request| policy.decide(request).verdict)
}

/// A call; one without a method is an answer.
pub fn call(method: &str, tool: Option<&str>) -> Call {
    Call { method: (!method.is_empty()).then(|| method.to_owned()), tool: tool.map(str::to_owned) }
}

/// What is decided of a POST with these calls, in 100 bytes.
pub fn posted(policy: &Policy, host: &str, path: &str, calls: &[Call]) -> Verdict {
    let content = Content::Calls(Calls { list: calls, bytes: 100 });
    verdict(policy, Ask { content, ..http(host, "POST", path) })
}
