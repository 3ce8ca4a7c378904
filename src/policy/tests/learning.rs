//! What is proposed loads, allows what was tried, and says what it leaves out.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a step of a test that fails is a failed test"
)]

mod reading;

use policy::{Exchange, Host, Kind, Observed, Policy, Request, Target, Verdict, learn};
use proptest::prelude::*;
use reading::policy as of;

fn seen(host: &str, exchange: Option<(Kind, &str, &str)>) -> Observed {
    Observed {
        host: Host::parse(host).unwrap(),
        port: 443,
        address: None,
        binary: "/usr/bin/node".to_owned(),
        exchange: exchange.map(|(kind, method, path)| (kind, method.to_owned(), path.to_owned())),
    }
}

fn decide(policy: &Policy, one: &Observed) -> Verdict {
    let target = one.exchange.as_ref().map(|(_, _, path)| Target::parse(path).unwrap());
    let exchange = one.exchange.as_ref().zip(target.as_ref());
    let exchange = exchange.map(|((kind, method, _), target)| Exchange::new(*kind, method, target));
    let binaries = [one.binary.as_str()];
    let request = Request {
        host: &one.host,
        port: one.port,
        address: one.address,
        binaries: &binaries,
        exchange,
        now: 0,
    };
    policy.decide(&request).verdict
}

#[test]
fn paths_are_written_out_and_many_of_one_form_get_a_star() {
    let get = |path| seen("api.example.com", Some((Kind::Request, "GET", path)));
    let few = learn(&[get("/v1/users/1"), get("/v1/users/2"), get("/v1/me?x=1")], &Policy::default());
    assert_eq!(
        few.document,
        "version: 1\nnetwork_policies:\n  learned_0:\n    binaries: [{ path: \"/usr/bin/node\" }]\n    endpoints:\n      - host: \"api.example.com\"\n        port: 443\n        protocol: rest\n        enforcement: enforce\n        rules:\n          - allow: { method: GET, path: \"/v1/me\" }\n          - allow: { method: GET, path: \"/v1/users/1\" }\n          - allow: { method: GET, path: \"/v1/users/2\" }\n"
    );
    let many = learn(&["/u/1", "/u/2", "/u/3", "/u/4", "/u/"].map(get), &Policy::default());
    assert!(
        many.document.contains("path: \"/u/*\"") && many.document.contains("path: \"/u/\""),
        "{}",
        many.document
    );
    let policy = of(&many.document);
    assert_eq!(decide(&policy, &get("/u/5")), Verdict::Allow);
    assert_eq!(decide(&policy, &get("/u/5/x")), Verdict::Deny);
}

#[test]
fn places_inside_and_requests_with_two_readings_are_left_out() {
    let inside = Observed { address: Some("10.0.0.1".parse().unwrap()), ..seen("db.example.com", None) };
    let tried = [inside, seen("127.1", None), seen("a.example.com", Some((Kind::Request, "GET", "/a//b")))];
    let proposal = learn(&tried, &Policy::default());
    assert_eq!(proposal.document, "version: 1\nnetwork_policies: {}\n");
    assert_eq!(proposal.left_out.len(), 3, "{proposal:?}");
    assert!(of(&proposal.document).entries().is_empty());
}

fn observed() -> impl Strategy<Value = Observed> {
    let path = "/([a-c*?\\[{]{0,2}/){0,2}[a-d0-9]{0,2}(%C3%A9|%E2%80%A8)?(%2F[ab])?(\\?x=1)?";
    let kind = prop::sample::select(vec![Kind::Request, Kind::Upgrade, Kind::Message]);
    let method = prop::sample::select(vec!["GET", "POST", "get", "M-SEARCH"]);
    let host = prop::sample::select(vec!["a.example.com", "b.example.com", "8.8.8.8", "2606:4700::1"]);
    let binary = prop::sample::select(vec!["/usr/bin/node", "/opt/a b/[x]\"y"]);
    (host, 1..3u16, binary, prop::option::weighted(0.9, (kind, method, path))).prop_map(
        |(host, port, binary, exchange)| Observed {
            host: Host::parse(host).unwrap(),
            port,
            address: None,
            binary: binary.to_owned(),
            exchange: exchange.map(|(kind, method, path)| {
                (kind, if kind == Kind::Request { method } else { "GET" }.to_owned(), path)
            }),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(800))]

    #[test]
    fn what_is_proposed_loads_and_allows_what_was_tried(tried in prop::collection::vec(observed(), 0..24)) {
        let proposal = learn(&tried, &Policy::default());
        let policy = of(&proposal.document);
        for one in &tried {
            let readable = one.exchange.as_ref().is_none_or(|(_, _, path)| Target::parse(path).is_ok());
            if !readable {
                continue;
            }
            let verdict = decide(&policy, one);
            prop_assert!(verdict == Verdict::Allow, "{:?} {:?}\n{}", verdict, one, proposal.document);
        }
        for name in ["c.example.com", "a.example.com.evil.net"] {
            prop_assert_eq!(decide(&policy, &seen(name, None)), Verdict::Deny);
        }
    }
}
