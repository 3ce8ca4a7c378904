use model::TenantId;
use policy::{Document, Hosts, Layer, Level, Policy, Verdict};
use proptest::prelude::*;

use super::*;
use crate::egress::destination::{Parsed, normal};

fn row(destination: Destination) -> Row {
    Row {
        number: 7,
        tenant: TenantId::parse("acme").unwrap(),
        allow: true,
        destination,
        shape: Shape::default(),
        made: 0,
        until: Some(5000),
        who: 1000,
        why: "because \"x\": \\ # - {}\u{e9}".into(),
    }
}

fn policy(rows: &[Row]) -> Result<Policy, String> {
    let text = document(rows).unwrap();
    let document =
        Document::parse("approvals", &text, &Hosts::Unknown).map_err(|error| format!("{error}\n{text}"))?;
    Policy::merge(vec![Layer { level: Level::Approval, document }], Vec::new())
        .map_err(|error| error.to_string())
}

fn verdict(policy: &Policy, destination: &Destination, now: u64) -> Verdict {
    Parsed::of(destination).unwrap().with(destination, now, |request| policy.decide(request).verdict)
}

fn to(host: &str, exchange: Option<(AskedKind, &str, &str)>) -> Destination {
    let exchange = exchange.map(|(kind, method, target)| AskedExchange {
        kind,
        method: method.into(),
        target: target.into(),
    });
    Destination {
        host: host.into(),
        port: 443,
        address: None,
        binary: Some("/usr/bin/curl".into()),
        exchange,
    }
}

#[test]
fn nothing_approved_is_no_document_and_a_denial_is_in_none() {
    assert_eq!(document(&[]), None);
    assert_eq!(document(&[Row { allow: false, ..row(to("a.example.org", None)) }]), None);
}

#[test]
fn an_approval_is_for_that_and_ends() {
    let request = to("a.example.org", Some((AskedKind::Request, "GET", "/x")));
    let one = policy(&[row(request.clone())]).unwrap();
    assert_eq!(verdict(&one, &request, 4999), Verdict::Allow);
    assert_eq!(verdict(&one, &request, 5000), Verdict::Deny);
    for other in [
        Destination { port: 80, ..request.clone() },
        Destination { binary: Some("/usr/bin/wget".into()), ..request.clone() },
        Destination { binary: None, ..request.clone() },
        to("b.example.org", Some((AskedKind::Request, "GET", "/x"))),
        to("x.a.example.org", Some((AskedKind::Request, "GET", "/x"))),
        to("a.example.org", Some((AskedKind::Request, "POST", "/x"))),
        to("a.example.org", Some((AskedKind::Request, "GET", "/x/y"))),
        to("a.example.org", Some((AskedKind::Message, "WEBSOCKET_TEXT", "/x"))),
    ] {
        assert_eq!(verdict(&one, &other, 1), Verdict::Deny, "{other:?}");
    }
}

#[test]
fn upgrades_and_messages_have_rules_of_their_own() {
    let upgrade = to("a.example.org", Some((AskedKind::Upgrade, "GET", "/ws")));
    let message = to("a.example.org", Some((AskedKind::Message, "WEBSOCKET_TEXT", "/ws")));
    let one = policy(&[row(upgrade.clone())]).unwrap();
    assert_eq!((verdict(&one, &upgrade, 1), verdict(&one, &message, 1)), (Verdict::Allow, Verdict::Deny));
    let both = policy(&[row(upgrade), Row { number: 8, ..row(message.clone()) }]).unwrap();
    assert_eq!(verdict(&both, &message, 1), Verdict::Allow);
}

#[test]
fn an_approval_keeps_the_terms_of_the_entry_that_asked() {
    let text = "version: 1\nnetwork_policies:\n  x:\n    x-tenantd: { ask: true, max_bytes: 1M, max_rate: 10 }\n    endpoints:\n      \
                - host: db.example.org\n        port: 443\n        allowed_ips: [10.1.0.0/16]\n        protocol: rest\n        enforcement: enforce\n        \
                path: /api/**\n        request_body_credential_rewrite: true\n        rules: [{ allow: { method: GET, path: /** } }]\n";
    let asking = Document::parse("own", text, &Hosts::Unknown).unwrap();
    let layer = Layer { level: Level::Tenant, document: asking };
    let policy = Policy::merge(vec![layer.clone()], Vec::new()).unwrap();
    let address = Some("10.1.2.3".parse().unwrap());
    let asked = Destination { address, ..to("db.example.org", Some((AskedKind::Request, "GET", "/api/x"))) };
    assert_eq!(verdict(&policy, &asked, 1), Verdict::Ask);
    let shape =
        Parsed::of(&asked).unwrap().with(&asked, 1, |request| Shape::of(policy.decide(request).entry));
    let text = document(&[Row { shape, ..row(asked.clone()) }]).unwrap();
    let approved = Document::parse("approvals", &text, &Hosts::Unknown).unwrap();
    let terms = &approved.policies[0].terms;
    assert_eq!((terms.max_bytes, terms.max_rate, terms.expires), (Some(1 << 20), Some(10), Some(5000)));
    let layers = vec![layer, Layer { level: Level::Approval, document: approved }];
    let policy = Policy::merge(layers, Vec::new()).unwrap();
    assert_eq!(verdict(&policy, &asked, 1), Verdict::Allow);
    let other = Destination { address, ..to("db.example.org", Some((AskedKind::Request, "GET", "/api/y"))) };
    assert_eq!(verdict(&policy, &other, 1), Verdict::Ask);
}

#[test]
fn times_are_written_as_they_are_read() {
    for (seconds, text) in [
        (0, "1970-01-01T00:00:00Z"),
        (951_827_696, "2000-02-29T12:34:56Z"),
        (1_798_740_000, "2026-12-31T18:00:00Z"),
        (4_107_542_400, "2100-03-01T00:00:00Z"),
        (253_402_300_799, "9999-12-31T23:59:59Z"),
    ] {
        assert_eq!(utc(seconds), text);
    }
}

fn destinations() -> impl Strategy<Value = Destination> {
    let host = "[a-z][a-z0-9]{0,8}(\\.[a-z][a-z0-9-]{0,6}[a-z]){0,3}";
    let text = "/[ -~\u{e9}\u{4e2d}]{0,30}";
    let kind = prop_oneof![Just(AskedKind::Request), Just(AskedKind::Upgrade), Just(AskedKind::Message)];
    let exchange = proptest::option::of((kind, "[A-Za-z]{1,10}", text));
    (host, 1u16.., proptest::option::of(text), exchange).prop_filter_map(
        "no destination",
        |(host, port, binary, exchange)| {
            let exchange = exchange.map(|(kind, method, target)| AskedExchange {
                kind,
                method: match kind {
                    AskedKind::Request => method,
                    AskedKind::Upgrade => "GET".to_owned(),
                    AskedKind::Message => "WEBSOCKET_TEXT".to_owned(),
                },
                target,
            });
            normal(&Destination { host, port, address: None, binary, exchange }).ok()
        },
    )
}

proptest! {
    #[test]
    fn a_document_that_parses_allows_exactly_what_was_asked(one in destinations(), other in destinations()) {
        let plain = |text: &str| !text.contains(['{', '}', '\\', '%', '[']);
        let sayable = one.binary.as_deref().is_none_or(|path| plain(path) && !path.split('/').any(|part| matches!(part, "." | "..")))
            && one.exchange.as_ref().is_none_or(|exchange| plain(&exchange.target));
        match policy(&[row(one.clone())]) {
            Ok(policy) => {
                prop_assert_eq!(verdict(&policy, &one, 1), Verdict::Allow);
                // What differs in anything but the host is not allowed.
                for changed in [
                    Destination { host: other.host.clone(), ..one.clone() },
                    Destination { port: other.port, ..one.clone() },
                    Destination { binary: other.binary.clone(), ..one.clone() },
                    Destination { exchange: other.exchange.clone(), ..one.clone() },
                ] {
                    let open = one.binary.is_none() && Destination { binary: None, ..changed.clone() } == one;
                    // Without rules bytes pass unseen, whatever is asked on the connection.
                    let unseen = one.exchange.is_none() && Destination { exchange: None, ..changed.clone() } == one;
                    // A rule for requests is one for those, too, that ask to become a WebSocket, on which nothing can be said.
                    let upgrade = one.exchange.as_ref().is_some_and(|own| {
                        own.kind == AskedKind::Request
                            && changed.exchange.as_ref().is_some_and(|other| {
                                other.kind == AskedKind::Upgrade && (&other.method, &other.target) == (&own.method, &own.target)
                            })
                    });
                    let inspected = changed.exchange.is_none() && one.exchange.is_some();
                    if changed != one && !open && !unseen && !upgrade && !inspected {
                        prop_assert_eq!(verdict(&policy, &changed, 1), Verdict::Deny, "{:?} by {:?}", changed, one);
                    }
                }
            }
            Err(error) => prop_assert!(!sayable, "{}", error),
        }
    }
}
