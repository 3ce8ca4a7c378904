//! Egress policies: a document is read or refused with a place inside it, and what was read decides and widens nothing by itself.

use policy::{Document, Exchange, Host, Hosts, Kind, Layer, Level, Policy, Request, Target, Verdict, widens};

/// A document; a first line that is a comment is also a request: host and target.
pub fn documents(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // In YAML a carriage return ends a line by itself.
    let lines = text.replace("\r\n", "\n").split(['\n', '\r']).count() + 1;
    let document = match Document::parse("fuzz.yaml", text, &Hosts::Unknown) {
        Ok(document) => document,
        Err(refused) => {
            assert!(!refused.0.is_empty());
            assert!(
                refused
                    .0
                    .iter()
                    .all(|problem| (1..=lines).contains(&problem.mark.line) && problem.mark.column >= 1)
            );
            return;
        }
    };
    let Ok(policy) = Policy::merge(vec![Layer { level: Level::Tenant, document }], Vec::new()) else {
        return;
    };
    assert!(widens(&policy, &policy).is_empty());
    let mut words = text.lines().next().unwrap_or_default().trim_start_matches(['#', ' ']).split(' ');
    let host = words.next().and_then(|word| Host::parse(word).ok());
    let target = words.next().and_then(|word| Target::parse(word).ok());
    if let Some(host) = &host {
        assert_eq!(&Host::parse(&host.to_string()).unwrap(), host);
    }
    let known =
        policy.entries().iter().filter_map(|entry| Host::parse(&entry.endpoint.host.to_string()).ok());
    for host in known.chain(host).take(8) {
        let exchange = target.as_ref().map(|target| Exchange::new(Kind::Request, "GET", target));
        let request =
            Request { host: &host, port: 443, address: None, binaries: &["/usr/bin/node"], exchange, now: 0 };
        let decision = policy.decide(&request);
        assert!(exchange.is_none() || decision.verdict != Verdict::Inspect);
        assert_eq!(policy.explain(&request).verdict, decision.verdict);
    }
}
