//! Endpoints whose calls are looked at: documents in OpenShell's form, what they mean, what of them is refused, and what widens.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a step of a test that fails is a failed test"
)]

mod reading;

use policy::{Calls, Content, Level, Policy, Verdict, widens};
use reading::{Ask, call, document, endpoint, http, merged, policy as of, posted, refused, verdict};

const HOST: &str = "mcp.example.com";
const MCP: &str = include_str!("documents/mcp.yaml");
const RPC: &str = include_str!("documents/json-rpc.yaml");

fn mcp(rest: &str) -> Policy {
    of(&endpoint(&format!(
        "host: mcp.example.com, port: 443, path: /mcp, protocol: mcp, enforcement: enforce, {rest}"
    )))
}

fn says(policy: &Policy, method: &str, tool: Option<&str>) -> bool {
    posted(policy, HOST, "/mcp", &[call(method, tool)]) == Verdict::Allow
}

#[test]
fn a_document_of_mcp_loads_and_means_what_it_says() {
    let policy = of(MCP);
    for (method, tool, wanted) in [
        ("initialize", None, true),
        ("notifications/initialized", None, true),
        ("tools/call", Some("search_web"), true),
        ("tools/call", Some("create_issue"), true),
        ("tools/call", Some("github.search"), true),
        ("", None, true),
        ("tools/call", Some("github.search.code"), false),
        ("tools/call", Some("github.delete_repo"), false),
        ("tools/call", Some("send_email"), false),
        ("tools/call", Some("Search_web"), false),
        ("tools/call", Some("search_web "), false),
        ("tools/call", None, false),
        ("tools/list", None, false),
        ("Initialize", None, false),
        ("vendor/own", None, false),
    ] {
        assert_eq!(says(&policy, method, tool), wanted, "{method} {tool:?}");
    }
    for (method, path, wanted) in [
        ("GET", "/mcp", Verdict::Allow),
        ("DELETE", "/mcp", Verdict::Allow),
        ("POST", "/mcp", Verdict::Deny),
        ("PUT", "/mcp", Verdict::Deny),
        ("HEAD", "/mcp", Verdict::Deny),
        ("GET", "/other", Verdict::Deny),
    ] {
        assert_eq!(verdict(&policy, http(HOST, method, path)), wanted, "{method} {path}");
    }
}

#[test]
fn a_call_is_looked_at_in_a_post_of_the_length_that_is_read_and_nowhere_else() {
    let policy = of(MCP);
    let calls = [call("initialize", None)];
    let asked = |method, content| verdict(&policy, Ask { content, ..http(HOST, method, "/mcp") });
    let of_length = |bytes| Content::Calls(Calls { list: &calls, bytes });
    assert_eq!(asked("POST", of_length(131_072)), Verdict::Allow);
    assert_eq!(asked("POST", of_length(131_073)), Verdict::Deny);
    assert_eq!(asked("POST", Content::Unknown), Verdict::Deny);
    assert_eq!(asked("POST", Content::Calls(Calls { list: &[], bytes: 2 })), Verdict::Deny);
    for method in ["GET", "DELETE", "PUT", "post"] {
        assert_eq!(asked(method, of_length(100)), Verdict::Deny, "{method}");
        assert_eq!(asked(method, Content::Unknown), Verdict::Deny, "{method}");
    }
}

#[test]
fn of_several_calls_each_has_to_be_allowed() {
    let policy = of(MCP);
    let (yes, no) = (call("initialize", None), call("tools/call", Some("send_email")));
    let answer = call("", None);
    assert_eq!(posted(&policy, HOST, "/mcp", &[yes.clone(), answer, yes.clone()]), Verdict::Allow);
    for list in [[yes.clone(), no.clone()], [no.clone(), yes.clone()]] {
        assert_eq!(posted(&policy, HOST, "/mcp", &list), Verdict::Deny);
    }
    let list = [yes, no];
    let content = Content::Calls(Calls { list: &list, bytes: 100 });
    let explained = Ask { content, ..http(HOST, "POST", "/mcp") }.with(|request| policy.explain(request));
    assert!(
        explained.sentence.starts_with("tools/call send_email by POST mcp.example.com:443/mcp is denied"),
        "{explained}"
    );
}

#[test]
fn a_document_of_json_rpc_loads_and_means_what_it_says() {
    let policy = of(RPC);
    let says = |method: &str| posted(&policy, "rpc.example.com", "/rpc", &[call(method, None)]);
    assert_eq!(says("reports.list"), Verdict::Allow);
    for method in ["reports.delete", "reports.list.all", "Reports.list", ""] {
        assert_eq!(says(method), Verdict::Deny, "{method}");
    }
    let any = |method: &str| posted(&policy, "any.example.com", "/rpc", &[call(method, None)]);
    assert_eq!(any("a/b.c"), Verdict::Allow);
    assert_eq!(any("reports.delete"), Verdict::Deny);
    assert_eq!(any(""), Verdict::Deny, "an answer is no call");
    for method in ["GET", "DELETE"] {
        assert_eq!(verdict(&policy, http("any.example.com", method, "/rpc")), Verdict::Deny, "{method}");
    }
}

#[test]
fn every_method_of_mcp_is_allowed_by_its_option_and_rules_about_tools_narrow_it() {
    let every = mcp(
        "mcp: { allow_all_known_mcp_methods: true }, deny_rules: [{ tool: send_email }, { method: resources/read }]",
    );
    for (method, tool, wanted) in [
        ("ping", None, true),
        ("tools/call", Some("anything"), true),
        ("tools/call", Some("send_email"), false),
        ("tools/call", Some("any thing"), false),
        ("resources/read", None, false),
        ("vendor/own", None, false),
    ] {
        assert_eq!(says(&every, method, tool), wanted, "{method} {tool:?}");
    }
    let narrowed =
        mcp("mcp: { allow_all_known_mcp_methods: true }, rules: [{ allow: { tool: read_status } }]");
    for (method, tool, wanted) in [
        ("tools/list", None, true),
        ("tools/call", Some("read_status"), true),
        ("tools/call", Some("other"), false),
    ] {
        assert_eq!(says(&narrowed, method, tool), wanted, "{method} {tool:?}");
    }
    assert!(says(
        &mcp("mcp: { allow_all_known_mcp_methods: true }, rules: [{ allow: {} }]"),
        "tools/call",
        Some("x")
    ));
    let odd = "mcp: { strict_tool_names: false }, rules: [{ allow: { method: tools/call, params: { name: \"a b\" } } }]";
    assert!(says(&mcp(odd), "tools/call", Some("a b")) && !says(&mcp(odd), "tools/call", Some("a")));
}

#[test]
fn what_reads_more_decides_and_a_deny_rule_counts_for_what_nobody_can_read() {
    let rest = endpoint(
        "host: mcp.example.com, port: 443, path: /mcp, protocol: rest, enforcement: enforce, access: full",
    );
    let policy = merged(&[(Level::Preset, MCP), (Level::Tenant, &rest)]);
    assert!(!says(&policy, "tools/call", Some("other")));
    assert_eq!(verdict(&policy, http(HOST, "PUT", "/mcp")), Verdict::Deny);
    // A narrower endpoint of requests: it allows, but for what a deny rule refuses or may refuse.
    let files = rest.replace("path: /mcp", "path: /mcp/files");
    let wide = MCP.replace("path: /mcp", "path: /mcp/**");
    let policy = merged(&[(Level::Preset, &wide), (Level::Tenant, &files)]);
    let post = |content| verdict(&policy, Ask { content, ..http(HOST, "POST", "/mcp/files") });
    assert_eq!(posted(&policy, HOST, "/mcp/files", &[call("own", None)]), Verdict::Allow);
    assert_eq!(posted(&policy, HOST, "/mcp/files", &[call("tools/call", Some("send_email"))]), Verdict::Deny);
    assert_eq!(posted(&policy, HOST, "/mcp/files", &[call("tools/call", None)]), Verdict::Deny);
    assert_eq!((post(Content::None), post(Content::Unknown)), (Verdict::Allow, Verdict::Deny));
}

#[test]
fn another_spelling_of_the_path_does_not_get_round_the_rules_about_calls() {
    let wide =
        endpoint("host: mcp.example.com, port: 443, protocol: rest, enforcement: enforce, access: full");
    let slashes = wide.replace("access: full", "access: full, allow_encoded_slash: true");
    for rest in [&wide, &slashes] {
        let policy = merged(&[(Level::Preset, MCP), (Level::Tenant, rest)]);
        for path in ["/mcp", "/mcp/", "/MCP", "/mcp;x=1", "/Mcp;/"] {
            let said = |tool| posted(&policy, HOST, path, &[call("tools/call", Some(tool))]);
            assert_eq!((said("send_email"), said("search_web")), (Verdict::Deny, Verdict::Allow), "{path}");
            let unread = Ask { content: Content::Unknown, ..http(HOST, "POST", path) };
            assert_eq!(verdict(&policy, unread), Verdict::Deny, "{path}");
        }
        // What is another path for every server is the wider endpoint's.
        for path in ["/mcp2", "/v1/mcp", "/mc"] {
            assert_eq!(
                posted(&policy, HOST, path, &[call("tools/call", Some("send_email"))]),
                Verdict::Allow,
                "{path}"
            );
        }
    }
    let below = MCP.replace("path: /mcp", "path: /mcp/**");
    let policy = merged(&[(Level::Preset, &below), (Level::Tenant, &slashes)]);
    assert_eq!(posted(&policy, HOST, "/mcp%2Fx", &[call("tools/call", Some("send_email"))]), Verdict::Deny);
    // And what is looked at under more spellings than before widens.
    let exact = of(&endpoint(
        "host: mcp.example.com, port: 443, path: /mcp, protocol: rest, enforcement: audit, access: full",
    ));
    let spelled = mcp("mcp: { allow_all_known_mcp_methods: true }");
    assert!(!widens(&exact, &spelled).is_empty());
}

#[test]
fn audit_lets_go_on_what_cannot_be_read_too() {
    let policy = of(&MCP.replace("enforcement: enforce", "enforcement: audit"));
    assert!(says(&policy, "vendor/own", None) && says(&policy, "tools/call", Some("send_email")));
    assert_eq!(
        verdict(&policy, Ask { content: Content::Unknown, ..http(HOST, "POST", "/mcp") }),
        Verdict::Allow
    );
    assert_eq!(verdict(&policy, http(HOST, "PUT", "/other")), Verdict::Deny);
}

#[test]
fn what_is_not_enforced_of_calls_is_an_error_that_names_it() {
    const ALL: &str = "mcp: { allow_all_known_mcp_methods: true }";
    for (fields, needle) in [
        ("protocol: mcp", "says which are allowed"),
        ("protocol: mcp, access: full", "access: full is about requests"),
        ("protocol: mcp, rules: []", "rules is empty"),
        ("protocol: mcp, tls: skip, rules: [{ allow: { method: ping } }]", "tls: skip hides"),
        ("protocol: mcp, deny_rules: [{ method: ping }]", "says which are allowed"),
        ("protocol: mcp, json_rpc: {}, rules: [{ allow: { method: ping } }]", "json_rpc is not enforced"),
        (
            "protocol: mcp, mcp: { versions: [x] }, rules: [{ allow: { method: ping } }]",
            "versions is not enforced",
        ),
        (
            "protocol: mcp, mcp: { max_body_bytes: 0 }, rules: [{ allow: { method: ping } }]",
            "from 1 to 1048576",
        ),
        (
            "protocol: mcp, mcp: { max_body_bytes: 2000000 }, rules: [{ allow: { method: ping } }]",
            "from 1 to",
        ),
        ("protocol: mcp, mcp: { on_error: x }, rules: [{ allow: { method: ping } }]", "mcp has no field"),
        ("protocol: mcp, rules: [{ allow: { tool: a } }]", "a rule has a method"),
        ("protocol: mcp, rules: [{ allow: { method: ping, tool: a } }]", "tools/call, which alone"),
        ("protocol: mcp, rules: [{ allow: { method: \"tools/*\", tool: a } }]", "tools/call, which alone"),
        ("protocol: mcp, rules: [{ allow: { method: \"*\" } }]", "is a pattern"),
        ("protocol: mcp, rules: [{ allow: { method: \"resources/*\" } }]", "is a pattern"),
        ("protocol: mcp, rules: [{ allow: { method: ping, path: /mcp } }]", "path is not enforced"),
        ("protocol: mcp, rules: [{ allow: { method: ping, query: {} } }]", "query is not enforced"),
        (
            "protocol: mcp, rules: [{ allow: { method: tools/call, params: { name: a, arguments: {} } } }]",
            "arguments is not",
        ),
        (
            "protocol: mcp, rules: [{ allow: { method: tools/call, tool: a, params: { name: a } } }]",
            "keep one",
        ),
        ("protocol: mcp, rules: [{ allow: { method: tools/call, tool: { any: [] } } }]", "tool is a name"),
        (
            "protocol: mcp, rules: [{ allow: { method: tools/call } }, { allow: { method: tools/call, tool: a } }]",
            "about every tool",
        ),
        (
            "protocol: mcp, rules: [{ allow: { method: tools/call, tool: a } }], deny_rules: [{ method: \"tools/*\" }]",
            "about every tool",
        ),
        (
            "protocol: mcp, mcp: { strict_tool_names: false }, rules: [{ allow: { method: tools/call, tool: \"a*\" } }]",
            "strict_tool_names",
        ),
        (
            "protocol: mcp, request_body_credential_rewrite: true, rules: [{ allow: { method: ping } }]",
            "rewrites",
        ),
        ("protocol: json-rpc", "says which are allowed"),
        ("protocol: json-rpc, mcp: {}, rules: [{ allow: { method: a } }]", "mcp is not enforced"),
        (
            "protocol: json-rpc, json_rpc: { strict_tool_names: true }, rules: [{ allow: { method: a } }]",
            "json_rpc has no field",
        ),
        ("protocol: json-rpc, rules: [{ allow: { method: \"a.*\" } }]", "is a pattern"),
        ("protocol: json-rpc, rules: [{ allow: { method: a, tool: b } }]", "tool is not enforced"),
        ("protocol: json-rpc, rules: [{ allow: { method: a, params: {} } }]", "params is not enforced"),
        ("protocol: json-rpc, rules: [{ allow: {} }]", "a rule has a method"),
        ("protocol: rest, rules: [{ allow: { method: GET, path: /, tool: a } }]", "tool is not enforced"),
    ] {
        let message = refused(&endpoint(&format!("host: a.example.com, port: 443, {fields}")));
        assert!(message.starts_with("test.yaml:5:") && message.contains(needle), "{fields}: {message}");
    }
    let hostless = refused(&endpoint(&format!("port: 443, allowed_ips: [10.0.0.1], protocol: mcp, {ALL}")));
    assert!(hostless.contains("has a host"), "{hostless}");
    let asking = endpoint(&format!("host: a.example.com, port: 443, protocol: mcp, {ALL}"))
        + "    x-tenantd: { ask: true }\n";
    assert!(refused(&asking).contains("calls are not asked about"));
    assert!(document(&asking.replace("true }\n", "false }\n")).notices.len() > 1);
}

#[test]
fn calls_tools_bodies_and_names_widen() {
    let rules = |list: &str| mcp(&format!("rules: [{list}]"));
    let one = rules("{ allow: { method: tools/call, tool: search } }");
    let proven = |narrow: &Policy, wide: &Policy| {
        assert!(widens(wide, narrow).is_empty(), "{:?}", widens(wide, narrow));
        let found = widens(narrow, wide);
        let shown = found.iter().find(|one| one.proven).unwrap_or_else(|| panic!("{found:?}"));
        (shown.what.clone(), shown.example.clone().unwrap())
    };
    let (what, example) = proven(&one, &rules("{ allow: { method: tools/call, tool: \"s*\" } }"));
    assert_eq!(what, "mcp.example.com:443, tools/call s* by any program is allowed");
    assert_eq!(example, "tools/call sx in 100 bytes by POST mcp.example.com:443/mcp by /usr/bin/node");
    proven(&one, &rules("{ allow: { method: tools/call } }"));
    proven(&one, &rules("{ allow: { method: tools/call, tool: search } }, { allow: { method: ping } }"));
    proven(&one, &mcp("mcp: { allow_all_known_mcp_methods: true }"));
    let (_, example) = proven(
        &one,
        &mcp("mcp: { max_body_bytes: 70000 }, rules: [{ allow: { method: tools/call, tool: search } }]"),
    );
    assert!(example.starts_with("tools/call search in 70000 bytes"), "{example}");
    let strict = |strict| {
        mcp(&format!(
            "mcp: {{ strict_tool_names: {strict} }}, rules: [{{ allow: {{ method: tools/call }} }}]"
        ))
    };
    assert!(proven(&strict(true), &strict(false)).1.starts_with("tools/call x y in"));
    let denies = |deny: &str| mcp(&format!("mcp: {{ allow_all_known_mcp_methods: true }}{deny}"));
    let (what, example) = proven(&denies(", deny_rules: [{ tool: send_email }]"), &denies(""));
    assert_eq!(what, "mcp.example.com:443, any method of MCP by any program is allowed");
    assert!(example.starts_with("tools/call send_email in"), "{example}");
    // Looking at requests only is less than looking at calls.
    let rest = of(&endpoint(
        "host: mcp.example.com, port: 443, path: /mcp, protocol: rest, enforcement: enforce, access: full",
    ));
    assert!(!widens(&one, &rest).is_empty());
}
