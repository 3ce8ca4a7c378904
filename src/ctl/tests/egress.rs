//! `egress check`, and what `egress explain` asks and says.
#![allow(clippy::unwrap_used, reason = "a step of a test that fails is a failed test")]

mod fake;

use std::path::Path;

use fake::{Around, Ended, Fake, run};

fn tenantctl(line: &str) -> Ended {
    let ended = run(Fake::default(), Around::default(), &line.split(' ').collect::<Vec<_>>());
    assert!(ended.calls.is_empty(), "the daemon was asked: {:?}", ended.calls);
    ended
}

fn tree(file: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file).display().to_string()
}

fn published(name: &str) -> String {
    tree(&format!("src/policy/tests/documents/{name}.yaml"))
}

#[test]
fn published_documents_are_sound_and_notices_refuse_nothing() {
    let ended = tenantctl(&format!("egress check {} {}", published("slack"), published("quickstart")));
    assert_eq!(ended.code, 0, "{}", ended.out);
    assert!(ended.out.contains("slack.yaml:9:3: note: policy \"slack\" has no binaries"), "{}", ended.out);
    assert!(ended.out.ends_with("2 documents are sound.\n"), "{}", ended.out);
}

#[test]
fn a_field_that_is_not_enforced_ends_with_65_and_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("policy.yaml");
    let text = "version: 1\nnetwork_middlewares: {}\n";
    std::io::Write::write_all(&mut std::fs::File::create(&file).unwrap(), text.as_bytes()).unwrap();
    let ended = tenantctl(&format!("egress check {}", file.display()));
    assert_eq!(ended.code, 65);
    assert!(ended.out.contains("policy.yaml:2:1: network_middlewares is not enforced here"), "{}", ended.out);
    let ended = tenantctl(&format!("--json egress check {}", file.display()));
    let report: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    let problem = report.pointer("/0/problems/0").unwrap();
    assert_eq!((problem["line"].as_u64(), problem["column"].as_u64()), (Some(2), Some(1)));
    assert_eq!(tenantctl(&format!("egress explain --file {} a.example.com", file.display())).code, 65);
    // One that cannot be read does not hide what the others are.
    let ended = tenantctl(&format!("egress check /nonexistent {} {}", published("slack"), file.display()));
    assert_eq!(ended.code, 66);
    assert!(ended.err.contains("/nonexistent"), "{}", ended.err);
    assert!(
        ended.out.contains("slack.yaml: sound\n") && ended.out.contains("policy.yaml: not sound\n"),
        "{}",
        ended.out
    );
    assert!(ended.out.ends_with("1 of 2 documents are not sound.\n"), "{}", ended.out);
    let ended = tenantctl("egress check /nonexistent");
    assert_eq!((ended.code, ended.out.as_str()), (66, ""));
}

#[test]
fn an_explanation_names_the_verdict_and_the_rule() {
    let quickstart = published("quickstart");
    let ask = |rest: &str| tenantctl(&format!("egress explain --file {quickstart} API.github.com {rest}"));
    let read = ask("GET /zen --binary /usr/bin/curl");
    assert_eq!(read.code, 0);
    assert!(read.out.starts_with("GET api.github.com:443/zen is allowed"), "{}", read.out);
    assert!(read.out.contains("github_api (tenant,") && read.out.contains("rule in line 27"), "{}", read.out);
    assert!(ask("POST /zen --binary /usr/bin/curl").out.contains("is denied"));
    let message = ask("WEBSOCKET_TEXT /zen --binary /usr/bin/curl").out;
    assert!(
        message.contains("is allowed") && message.contains("messages on that WebSocket are not looked at"),
        "{message}"
    );
    assert!(ask("--binary /usr/bin/wget").out.contains("not by github_api"));
    assert!(ask("--binary /usr/bin/curl --address 10.0.0.1").out.contains("private"));
    let host = tenantctl(&format!("egress explain --file {quickstart} a..b"));
    assert_eq!(host.code, 65, "{}", host.err);
}

#[test]
fn tenantd_is_told_whether_an_address_is_the_machines_own() {
    let asked = |rest: &str| {
        let fake = fake::Fake::default().answer("explain-egress", r#"{"text":"","explanation":{}}"#);
        let ended = fake::tenantctl(fake, &format!("egress explain acme {rest}"));
        assert_eq!(ended.code, 0, "{}", ended.err);
        let question = ended.calls[0].strip_prefix("explain-egress acme ").unwrap().to_owned();
        serde_json::from_str::<serde_json::Value>(&question).unwrap()["own"].clone()
    };
    for (rest, own) in [
        ("127.0.0.1:80", true),
        ("[::ffff:8.8.8.8]:80", false),
        ("8.8.8.8 --address 127.0.0.1", false),
        ("a.example.org --address 127.0.0.1", true),
        ("a.example.org --address 8.8.8.8", false),
        ("a.example.org", false),
    ] {
        assert_eq!(asked(rest), own, "{rest}");
    }
}
