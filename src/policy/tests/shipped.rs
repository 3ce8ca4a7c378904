//! Presets and profiles as shipped.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a step of a test that fails is a failed test"
)]

mod reading;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use policy::{Document, HostPattern, Hosts, Kind, Layer, Level, Policy, Profile, Risk, Unlisted, Verdict};
use reading::{Ask, connect, http, verdict};

const NODE: &str = "/var/lib/tenantd/runtimes/x/1/node/bin/node";

fn shipped(directory: &str) -> BTreeMap<String, String> {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies").join(directory);
    let files = std::fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: std::path::PathBuf| {
        (path.file_stem().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(&path).unwrap())
    };
    files.map(read).collect()
}

fn presets() -> BTreeMap<String, Document> {
    let read = |(name, text): (String, String)| {
        let document =
            Document::parse(&name, &text, &Hosts::Unknown).unwrap_or_else(|refused| panic!("{refused}"));
        (name, document)
    };
    shipped("presets").into_iter().map(read).collect()
}

fn preset(name: &str) -> Policy {
    let document = presets().remove(name).unwrap();
    Policy::merge(vec![Layer { level: Level::Preset, document }], Vec::new()).unwrap()
}

#[test]
fn every_preset_loads_without_a_notice_and_says_which_risk_it_brings() {
    let presets = presets();
    assert!(presets.len() >= 10);
    for (name, document) in presets {
        assert!(document.notices.is_empty(), "{name}: {:?}", document.notices);
        let says = document.preset.unwrap();
        assert_eq!(says.name, name);
        assert!(
            says.risk.is_some() && says.why.unwrap().ends_with('.') && !says.description.is_empty(),
            "{name}"
        );
        assert!(document.default.is_none(), "{name}");
        for entry in document.policies {
            assert!(entry.endpoints.iter().all(|endpoint| endpoint.inspection.is_some()), "{name}");
        }
    }
}

#[test]
fn presets_of_package_registries_name_no_host() {
    for name in ["npm", "pypi", "cargo", "debian"] {
        let text = shipped("presets").remove(name).unwrap();
        assert!(text.contains("host_of:") && !text.contains("- host:"), "{name}");
        let unknown = Document::parse(name, &text, &Hosts::Known(BTreeMap::new()));
        assert!(unknown.is_err(), "{name}");
    }
}

#[test]
fn presets_are_as_narrow_as_they_say() {
    let by = |ask| Ask { binary: NODE, ..ask };
    for (name, ask, wanted) in [
        ("telegram", http("api.telegram.org", "POST", "/bot1:x/sendMessage"), Verdict::Allow),
        ("telegram", http("api.telegram.org", "GET", "/"), Verdict::Deny),
        ("slack", http("slack.com", "POST", "/api/chat.postMessage"), Verdict::Allow),
        ("slack", http("hooks.slack.com", "POST", "/services/x"), Verdict::Deny),
        (
            "slack",
            Ask { kind: Kind::Upgrade, ..http("wss-primary.slack.com", "GET", "/link") },
            Verdict::Allow,
        ),
        (
            "discord",
            Ask { kind: Kind::Upgrade, ..http("gateway-us-east1-b.discord.gg", "GET", "/") },
            Verdict::Allow,
        ),
        ("discord", http("discord.com", "POST", "/login"), Verdict::Deny),
        ("jira", http("acme.atlassian.net", "POST", "/rest/api/3/issue"), Verdict::Allow),
        ("jira", http("acme.atlassian.net", "DELETE", "/rest/api/3/issue/A-1"), Verdict::Deny),
        ("github", http("github.com", "POST", "/o/r/git-upload-pack"), Verdict::Allow),
        ("github", http("github.com", "POST", "/o/r/git-receive-pack"), Verdict::Deny),
        ("github", http("api.github.com", "POST", "/repos/o/r/issues"), Verdict::Deny),
        ("github-write", http("github.com", "POST", "/o/r/git-receive-pack"), Verdict::Allow),
        ("github-write", http("api.github.com", "POST", "/repos/o/r/hooks"), Verdict::Deny),
        ("gitlab", http("gitlab.com", "GET", "/api/v4/projects/g%2Fp"), Verdict::Allow),
        ("huggingface", http("huggingface.co", "GET", "/o/m/resolve/main/x"), Verdict::Allow),
        ("huggingface", http("huggingface.co", "POST", "/api/repos/create"), Verdict::Deny),
        ("npm", http("npm.invalid", "GET", "/@types%2fnode"), Verdict::Allow),
        ("npm", http("npm.invalid", "PUT", "/x"), Verdict::Deny),
    ] {
        assert_eq!(verdict(&preset(name), by(ask)), wanted, "{name}: {:?}", ask.http);
    }
    assert_eq!(
        verdict(&preset("telegram"), Ask { binary: "/usr/bin/curl", ..connect("api.telegram.org") }),
        Verdict::Deny
    );
}

#[test]
fn reading_and_writing_at_github_do_not_widen_each_other() {
    let texts = shipped("presets");
    let layer = |name: &str| Layer {
        level: Level::Preset,
        document: Document::parse(name, &texts[name], &Hosts::Unknown).unwrap(),
    };
    let both = Policy::merge(vec![layer("github"), layer("github-write")], Vec::new()).unwrap();
    let widened = policy::widens(&preset("github"), &both);
    assert!(widened.iter().any(|w| w.proven && w.what.contains("git-receive-pack")), "{widened:?}");
    assert!(policy::widens(&both, &preset("github")).is_empty());
}

#[test]
fn profiles_load_and_offer_presets_that_exist() {
    let presets = presets();
    let profiles: BTreeMap<_, _> = shipped("profiles")
        .into_iter()
        .map(|(name, text)| (name.clone(), Profile::parse(&name, &text).unwrap()))
        .collect();
    let names: BTreeSet<_> = profiles.keys().map(String::as_str).collect();
    assert_eq!(names, ["customers", "sensitive", "solo", "team"].into());
    for (name, profile) in &profiles {
        for offered in &profile.egress.presets {
            assert!(presets.contains_key(offered), "{name} offers {offered}");
        }
        let strict = matches!(name.as_str(), "customers" | "sensitive");
        assert_eq!(profile.egress.default, if strict { Unlisted::Deny } else { Unlisted::Ask }, "{name}");
        assert_eq!(profile.approvals.always, name == "solo", "{name}");
    }
    for offered in &profiles["sensitive"].egress.presets {
        assert_eq!(presets[offered].preset.as_ref().unwrap().risk, Some(Risk::Low), "{offered}");
    }
}

#[test]
fn hosts_of_presets_are_names() {
    for (name, document) in presets() {
        for endpoint in document.policies.iter().flat_map(|policy| &policy.endpoints) {
            assert!(endpoint.host != HostPattern::Anywhere && endpoint.allowed_ips.is_empty(), "{name}");
        }
    }
}

#[test]
fn a_profile_that_makes_no_sense_is_refused() {
    let text = shipped("profiles").remove("customers").unwrap();
    for (from, to, needle) in [
        ("lifetime = \"1h\"", "lifetime = \"31d\"", "longer than"),
        ("always = false", "always = true", "take one out"),
        ("hold_sec = 20", "hold_sec = 0", "1 to 300"),
        ("waiting = 5", "waiting = 0", "at least 1"),
        ("lifetime = \"1h\"", "lifetime = \"1w\"", "no time span"),
        ("[approvals]", "[config]\nseal = true\n\n[approvals]", "unknown field"),
        ("default = \"deny\"", "default = \"allow\"", "unknown variant"),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        let message = Profile::parse("x.toml", &changed).unwrap_err().to_string();
        assert!(message.starts_with("x.toml: ") && message.contains(needle), "{to}: {message}");
    }
}
