//! Traps that others fell into with policies of this kind, each with where it is told.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a step of a test that fails is a failed test"
)]

mod reading;

use policy::{Cidr, Host, Layer, Level, Policy, Reason, Verdict};
use reading::{Ask, connect, document, endpoint, http, merged, policy as of, verdict};

fn by(key: &str, binary: &str, fields: &str) -> String {
    format!(
        "version: 1\nnetwork_policies:\n  {key}:\n    endpoints:\n      - {{ {fields} }}\n    binaries: [{{ path: {binary} }}]\n"
    )
}

/// NemoClaw #272: presets without `binaries` let every program send data. It still means that, and it is said.
#[test]
fn an_entry_without_binaries_is_noticed_and_one_with_an_empty_list_is_nobodys() {
    let any = endpoint("host: a.example.com, port: 443");
    assert!(document(&any).notices.iter().any(|notice| notice.what.contains("every program")));
    assert_eq!(verdict(&of(&any), connect("a.example.com")), Verdict::Allow);
    let nobody = format!("{any}    binaries: []\n");
    assert_eq!(verdict(&of(&nobody), connect("a.example.com")), Verdict::Deny);
}

/// NemoClaw #804: `include_workdir` and a sealed directory below a writable one; Landlock grants the union.
#[test]
fn a_seal_below_a_writable_directory_is_noticed() {
    let text = "version: 1\nfilesystem_policy: { read_only: [/sandbox/.config, /sandboxes], read_write: [/sandbox] }";
    let notices = document(text).notices;
    let seals: Vec<_> = notices.iter().filter(|notice| notice.what.contains("does not hold")).collect();
    assert_eq!(seals.len(), 1, "{notices:?}");
}

/// NemoClaw #1437: one host serves everybody's projects, so writing to it is a way out. Reading alone is not.
#[test]
fn reading_a_shared_host_does_not_allow_writing_to_it() {
    let policy = of(&endpoint(
        "host: sentry.example, port: 443, protocol: rest, enforcement: enforce, rules: [{ allow: { method: GET, path: \"/**\" } }]",
    ));
    assert_eq!(verdict(&policy, http("sentry.example", "GET", "/api/1/envelope/")), Verdict::Allow);
    assert_eq!(verdict(&policy, http("sentry.example", "POST", "/api/1/envelope/")), Verdict::Deny);
}

/// OpenShell #774, NemoClaw #12058: a link is not the file it leads to. The reason names both.
#[test]
fn a_program_under_another_path_is_named_in_the_reason() {
    let policy = of(&by("a", "/usr/local/bin/node", "host: a.example.com, port: 443"));
    let explained = connect("a.example.com").with(|request| policy.explain(request));
    assert_eq!(explained.verdict, Verdict::Deny);
    let text = explained.to_string();
    assert!(text.contains("/usr/bin/node is another file") && text.contains("readlink -f"), "{text}");
}

/// OpenShell #2497: entries of one key that are merged into one give each program what was meant for another.
#[test]
fn entries_of_the_same_key_do_not_lend_each_other_programs_or_hosts() {
    let policy = merged(&[
        (Level::Preset, &by("x", "/usr/bin/git", "host: a.example.com, port: 443")),
        (Level::Approval, &by("x", "/usr/bin/node", "host: b.example.com, port: 443")),
    ]);
    assert_eq!(verdict(&policy, connect("b.example.com")), Verdict::Allow);
    assert_eq!(verdict(&policy, connect("a.example.com")), Verdict::Deny);
    assert_eq!(verdict(&policy, Ask { binary: "/usr/bin/git", ..connect("b.example.com") }), Verdict::Deny);
}

/// An entry that looks at nothing must not open what another one looks at.
#[test]
fn an_uninspected_entry_adds_nothing_beside_an_inspected_one() {
    let inspected = by(
        "a",
        "/usr/bin/node",
        "host: a.example.com, port: 443, protocol: rest, enforcement: enforce, access: read-only",
    );
    let plain = by("b", "/usr/bin/node", "host: \"*.example.com\", port: 443, access: full");
    let policy = merged(&[(Level::Preset, &inspected), (Level::Tenant, &plain)]);
    assert_eq!(verdict(&policy, http("a.example.com", "POST", "/")), Verdict::Deny);
    assert_eq!(verdict(&policy, http("b.example.com", "POST", "/")), Verdict::Allow);
}

/// A deny rule of any layer wins, whatever comes later.
#[test]
fn a_later_layer_does_not_undo_a_deny_rule() {
    let denies = endpoint(
        "host: a.example.com, port: 443, protocol: rest, enforcement: enforce, access: full, deny_rules: [{ method: \"*\", path: \"/admin/**\" }]",
    );
    let allows =
        endpoint("host: a.example.com, port: 443, protocol: rest, enforcement: enforce, access: full");
    let policy = merged(&[(Level::Approval, &allows), (Level::Profile, &denies)]);
    assert_eq!(verdict(&policy, http("a.example.com", "GET", "/admin/x")), Verdict::Deny);
    assert_eq!(verdict(&policy, http("a.example.com", "get", "/%61dmin/%78")), Verdict::Deny);
}

/// `%2F` that an endpoint takes must not hide a path from its deny rules.
#[test]
fn an_encoded_slash_does_not_pass_a_deny_rule() {
    let fields = "host: a.example.com, port: 443, protocol: rest, enforcement: enforce, access: full, deny_rules: [{ method: \"*\", path: \"/admin/**\" }]";
    let strict = of(&endpoint(fields));
    let lax = of(&endpoint(&format!("{fields}, allow_encoded_slash: true")));
    assert_eq!(verdict(&lax, http("a.example.com", "GET", "/@scope%2Fname")), Verdict::Allow);
    assert_eq!(verdict(&lax, http("a.example.com", "GET", "/admin%2fx")), Verdict::Deny);
    assert_eq!(verdict(&strict, http("a.example.com", "GET", "/@scope%2Fname")), Verdict::Deny);
}

/// OpenShell takes a HEAD for a GET; a server answers both alike, so a rule against reading is one against both.
#[test]
fn a_rule_about_get_is_about_head_too() {
    let fields = "host: a.example.com, port: 443, protocol: rest, enforcement: enforce, access: read-only, deny_rules: [{ method: GET, path: \"/admin/**\" }]";
    let denies = of(&endpoint(fields));
    for method in ["GET", "HEAD", "head"] {
        assert_eq!(verdict(&denies, http("a.example.com", method, "/admin/x")), Verdict::Deny, "{method}");
        assert_eq!(verdict(&denies, http("a.example.com", method, "/x")), Verdict::Allow, "{method}");
    }
    assert_eq!(verdict(&denies, http("a.example.com", "OPTIONS", "/admin/x")), Verdict::Allow);
    let only = |method| {
        of(&endpoint(&format!(
            "host: a.example.com, port: 443, protocol: rest, enforcement: enforce, rules: [{{ allow: {{ method: {method}, path: /x }} }}]"
        )))
    };
    assert_eq!(verdict(&only("GET"), http("a.example.com", "HEAD", "/x")), Verdict::Allow);
    assert_eq!(verdict(&only("HEAD"), http("a.example.com", "GET", "/x")), Verdict::Deny);
}

/// OpenShell reads a missing `enforcement` as audit, which lets everything go on.
#[test]
fn rules_without_enforcement_are_enforced() {
    let text = endpoint("host: a.example.com, port: 443, protocol: rest, access: read-only");
    assert!(document(&text).notices.iter().any(|notice| notice.what.contains("read as enforce")));
    assert_eq!(verdict(&of(&text), http("a.example.com", "POST", "/")), Verdict::Deny);
}

/// Names that lead inside, addresses in disguise, and a private network opened too widely.
#[test]
fn a_name_does_not_lead_to_places_inside() {
    let listed = of(&endpoint("host: a.example.com, port: 443"));
    let wide = of(&endpoint("host: a.example.com, port: 443, allowed_ips: [10.0.0.0/8, 100.64.0.0/10]"));
    for address in [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
    ] {
        let ask = Ask { address, ..connect("a.example.com") };
        assert_eq!(verdict(&listed, ask), Verdict::Deny, "{address}");
    }
    let inside = Ask { address: "10.0.0.1", ..connect("a.example.com") };
    assert_eq!(verdict(&wide, inside), Verdict::Allow);
    let metadata = Ask { address: "100.100.100.200", ..connect("a.example.com") };
    assert_eq!(verdict(&wide, metadata), Verdict::Deny, "a metadata service inside a listed block");
    let layer = Layer {
        level: Level::Tenant,
        document: document(&endpoint("host: a.example.com, port: 443, allowed_ips: [10.0.0.0/8]")),
    };
    let guarded = Policy::merge(vec![layer], vec![Cidr::parse("10.210.0.0/16").unwrap()]).unwrap();
    let neighbour = Ask { address: "10.210.0.6", ..connect("a.example.com") };
    assert_eq!(verdict(&guarded, neighbour), Verdict::Deny, "another tenant");
    assert_eq!(verdict(&guarded, inside), Verdict::Allow);
}

/// A service that listens on the host's public address is no more a tenant's than one on its private ones.
#[test]
fn a_name_does_not_lead_to_this_machines_public_address() {
    let own = |text: &str| of(text).with_own(|ip| ip == std::net::IpAddr::from([8, 8, 8, 8]));
    let here = Ask { address: "8.8.8.8", ..connect("a.example.com") };
    let beside = Ask { address: "8.8.8.9", ..connect("a.example.com") };
    let listed = own(&endpoint("host: a.example.com, port: 443"));
    assert_eq!((verdict(&listed, here), verdict(&listed, beside)), (Verdict::Deny, Verdict::Allow));
    let opened = own(&endpoint("host: a.example.com, port: 443, allowed_ips: [8.8.8.8]"));
    assert_eq!(verdict(&opened, here), Verdict::Allow);
    let asking = own("version: 1\nx-tenantd: { default: ask }");
    assert_eq!((verdict(&asking, here), verdict(&asking, beside)), (Verdict::Deny, Verdict::Ask));
    // Where nobody knows, it is an address as any other.
    assert_eq!(verdict(&of(&endpoint("host: a.example.com, port: 443")), here), Verdict::Allow);
}

/// Asking about a place inside would be a way to have an operator open it.
#[test]
fn places_inside_are_never_asked_about() {
    let policy = of("version: 1\nx-tenantd: { default: ask }");
    assert_eq!(verdict(&policy, connect("a.example.com")), Verdict::Ask);
    for host in ["127.0.0.1", "2130706433", "0x7f.1", "[::1]", "10.0.0.1", "169.254.169.254"] {
        let decided = connect(host).with(|request| {
            let decision = policy.decide(request);
            (decision.verdict, matches!(decision.reason, Reason::Address(_)))
        });
        assert_eq!(decided, (Verdict::Deny, true), "{host}");
    }
}

/// Names carry data out, so only those are looked up that somebody could be allowed to reach.
#[test]
fn a_name_nobody_may_reach_is_not_resolved() {
    let policy = of(&endpoint("host: \"*.example.com\", port: 443"));
    assert!(policy.resolves(&Host::parse("a.example.com").unwrap(), 0));
    assert!(!policy.resolves(&Host::parse("secret.evil.example").unwrap(), 0));
    assert!(!policy.resolves(&Host::parse("x.a.example.com").unwrap(), 0));
}

/// An entry that asks and only audits must not let through what breaks its rules: what keeps them is asked about.
#[test]
fn what_breaks_the_rules_of_an_entry_that_asks_is_asked_about() {
    let audit = endpoint(
        "host: a.example.com, port: 443, protocol: rest, enforcement: audit, rules: [{ allow: { method: GET, path: \"/a\" } }]",
    );
    assert_eq!(verdict(&of(&audit), http("a.example.com", "GET", "/b")), Verdict::Allow);
    let asking = of(&format!("{audit}    x-tenantd: {{ ask: true }}\n"));
    for path in ["/a", "/b"] {
        assert_eq!(verdict(&asking, http("a.example.com", "GET", path)), Verdict::Ask, "{path}");
    }
}
