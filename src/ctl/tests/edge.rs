//! `edge`, `token`, `login`, `roles` and `sleep`: what is asked of tenantd, and what is printed.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a step of a test that fails is a failed test"
)]

mod fake;

use std::fs;
use std::path::Path;

use api::{EdgeKey, EdgeStatus, IssuedLogin, IssuedToken};
use clap::Parser as _;
use ctl::cli::Cli;
use fake::{Around, Ended, Fake, run, tenantctl};
use model::Paths;

const ISSUER: &str = "domain = \"agents.example.org\"\n[[issuers]]\nname = \"example\"\nissuer = \"https://login.example.org\"\nclient_id = \"x\"\n";

fn json<T: serde::Serialize>(document: &T) -> String {
    serde_json::to_string(document).unwrap()
}

fn enabled() -> EdgeStatus {
    EdgeStatus {
        enabled: true,
        domain: Some("agents.example.org".into()),
        public_port: 443,
        socket: "active".into(),
        service: "inactive".into(),
        certificate: Some("self-signed".into()),
        self_signed_for: Some("agents.example.org".into()),
        keys: vec![
            EdgeKey { kid: "new".into(), retired: None },
            EdgeKey { kid: "old".into(), retired: Some(13_600) },
        ],
        revocations: 2,
        ..EdgeStatus::default()
    }
}

/// A host with this text in `/etc/tenantd/edge.toml`.
fn host(settings: Option<&str>) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("etc/tenantd")).unwrap();
    if let Some(text) = settings {
        fs::write(root.path().join("etc/tenantd/edge.toml"), text).unwrap();
    }
    root
}

fn on(root: &Path, fake: Fake, line: &str) -> Ended {
    let around = Around { paths: Some(Paths::below(root)), ..Around::default() };
    run(fake, around, &line.split(' ').collect::<Vec<_>>())
}

fn edge(before: &EdgeStatus) -> Fake {
    Fake::default().answer("edge", json(before)).answer("enable-edge", json(&enabled()))
}

#[test]
fn the_first_start_makes_a_certificate_and_settings_and_says_so() {
    let root = host(None);
    let ended = on(root.path(), edge(&EdgeStatus::default()), "edge enable --domain agents.example.org");
    assert_eq!((ended.code, ended.calls.len()), (0, 3), "{ended:?}");
    let first =
        "certificate \"Self-signed by tenantctl for agents.example.org\" \"-----BEGIN PRIVATE KEY-----\"";
    assert_eq!(ended.calls[1], first);
    assert!(ended.calls[2].ends_with("\n\ndomain = \"agents.example.org\"\n"), "{}", ended.calls[2]);
    for text in
        ["browsers will warn", "*.agents.example.org has to lead to this host", "tenantctl login NAME"]
    {
        assert!(ended.err.contains(text), "{}", ended.err);
    }
    assert!(
        ended.out.contains("edge: listens") && ended.out.contains("old, verifies for 1 h more"),
        "{}",
        ended.out
    );
}

#[test]
fn a_certificate_that_fits_is_left_alone_and_a_given_one_is_sent() {
    let root = host(Some("domain = \"agents.example.org\" # ours\n"));
    let ended = on(root.path(), edge(&enabled()), "edge enable");
    assert_eq!(ended.calls, ["edge", "enable-edge\ndomain = \"agents.example.org\" # ours\n"]);

    let moved = on(root.path(), edge(&enabled()), "edge enable --domain b.example.org");
    assert!(moved.calls[1].contains("Self-signed by tenantctl for b.example.org"), "{:?}", moved.calls);
    assert_eq!(moved.calls[2], "enable-edge\ndomain = \"b.example.org\" # ours\n");

    let (certificate, key) = (root.path().join("c.pem"), root.path().join("k.pem"));
    fs::write(&certificate, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    fs::write(&key, "-----BEGIN RSA PRIVATE KEY-----\n").unwrap();
    let line = format!("edge enable --certificate {} --key {}", certificate.display(), key.display());
    let given = on(root.path(), edge(&enabled()), &line);
    assert_eq!(
        given.calls[1],
        "certificate \"-----BEGIN CERTIFICATE-----\" \"-----BEGIN RSA PRIVATE KEY-----\""
    );
}

#[test]
fn an_authority_goes_into_the_settings_and_what_is_there_stays() {
    let root = host(None);
    let acme = "--acme-contact admin@example.org --acme-terms-agreed";
    let ended =
        on(root.path(), edge(&EdgeStatus::default()), &format!("edge enable --domain a.example.org {acme}"));
    let text = "domain = \"a.example.org\"\n\n[acme]\ncontact = \"admin@example.org\"\nterms_agreed = true\n";
    assert!(ended.calls[2].ends_with(text), "{}", ended.calls[2]);

    let there = "domain = \"agents.example.org\"\n\n[acme] # ours\ncontact = \"b@example.org\" # for now\nca_file = \"/etc/ca.pem\"\nterms_agreed = true\n";
    let root = host(Some(there));
    let line = format!("edge enable {acme} --acme-directory https://ca.example/dir");
    let ended = on(root.path(), edge(&enabled()), &line);
    let wanted =
        there.replace("b@example.org", "admin@example.org") + "directory = \"https://ca.example/dir\"\n";
    assert_eq!(ended.calls[1], format!("enable-edge\n{wanted}"));

    let ordered = EdgeStatus { acme: Some("https://ca.example/dir".into()), ..enabled() };
    let ended = on(
        root.path(),
        Fake::default().answer("edge", json(&enabled())).answer("enable-edge", json(&ordered)),
        &line,
    );
    assert!(ended.err.contains("https://ca.example/dir certifies each name"), "{}", ended.err);
    assert!(!ended.err.contains("browsers will warn"), "{}", ended.err);
    assert!(ended.out.contains("by name: ordered by ACME from https://ca.example/dir"), "{}", ended.out);
}

#[test]
fn nobody_agrees_to_terms_by_accident_and_a_wrong_authority_is_refused_first() {
    let root = host(Some("domain = \"agents.example.org\"\n"));
    let refused = |arguments: &str| {
        let ended = on(root.path(), Fake::default(), &format!("edge enable {arguments}"));
        assert!(ended.calls.is_empty(), "{arguments}: {:?}", ended.calls);
        ended
    };
    for alone in
        ["--acme-contact=a@b.example", "--acme-terms-agreed", "--acme-directory=https://ca.example/dir"]
    {
        assert!(Cli::try_parse_from(["tenantctl", "edge", "enable", alone]).is_err(), "{alone}");
    }
    let ended = refused("--acme-contact admin --acme-terms-agreed");
    assert_eq!(ended.code, 78);
    assert!(ended.err.contains("edge.toml:4:11: \"admin\" is not a mail address"), "{}", ended.err);
    let ended = refused("--acme-contact a@b.example --acme-terms-agreed --acme-directory http://ca.example/");
    assert!(ended.err.contains("edge.toml:6:13"), "{}", ended.err);

    let file = root.path().join("acme.toml");
    fs::write(&file, "domain = \"a.example.org\"\n[acme]\ncontact = \"a@b.example\"\nterms_agreed = false\n")
        .unwrap();
    let ended = on(root.path(), Fake::default(), &format!("edge check {}", file.display()));
    assert_eq!(ended.code, 78);
    assert!(ended.err.contains("acme.toml:4:16: the authority gives certificates"), "{}", ended.err);
    let odd = host(Some("domain = \"agents.example.org\"\nacme = 5\n"));
    let ended = on(odd.path(), Fake::default(), "edge enable --acme-contact a@b.example --acme-terms-agreed");
    assert_eq!((ended.code, ended.calls.len()), (78, 0), "{}", ended.err);
}

#[test]
fn a_dry_run_asks_and_changes_nothing() {
    let root = host(None);
    let ended = on(root.path(), edge(&EdgeStatus::default()), "edge enable --domain a.example.org --dry-run");
    assert_eq!(ended.calls, ["edge"]);
    assert!(ended.out.starts_with("+ a self-signed certificate for a.example.org"), "{}", ended.out);
    assert!(ended.out.ends_with("Nothing was changed (--dry-run).\n"));
    assert!(on(root.path(), Fake::default(), "edge disable --dry-run").calls.is_empty());
}

#[test]
fn wrong_settings_are_refused_before_tenantd_is_asked() {
    let ended = on(host(None).path(), Fake::default(), "edge enable");
    assert_eq!((ended.code, ended.calls.len()), (64, 0), "{}", ended.err);
    let ended = on(host(None).path(), Fake::default(), "edge enable --domain example");
    assert_eq!((ended.code, ended.calls.len()), (78, 0));
    let ended = on(host(Some("domain = \n")).path(), Fake::default(), "edge enable --domain a.example.org");
    assert_eq!((ended.code, ended.calls.len()), (78, 0), "{}", ended.err);
}

#[test]
fn check_works_without_a_daemon_and_points_at_the_place() {
    let root = host(Some(ISSUER));
    let ended = on(root.path(), Fake::default(), "edge check");
    assert_eq!((ended.code, ended.calls.len()), (78, 0));
    let place = format!("{}/etc/tenantd/edge.toml:3:8: this issuer has no rules", root.path().display());
    assert!(ended.err.contains(&place), "{}", ended.err);
    assert!(ended.err.ends_with("3 | name = \"example\"\n  |        ^^^^^^^^^\n"), "{}", ended.err);

    let sound = root.path().join("sound.toml");
    fs::write(&sound, "domain = \"agents.example.org\"\n").unwrap();
    let ended = on(root.path(), Fake::default(), &format!("edge check {}", sound.display()));
    assert_eq!((ended.code, ended.out), (0, format!("{} is sound.\n", sound.display())));
    assert_eq!(on(host(None).path(), Fake::default(), "edge check").code, 66);
    let rule = "[[issuers.rules]]\nclaim = \"sub\"\nvalue = \"x\"\ntenant = \"acme\"\nrole = \"owner\"\n";
    fs::write(&sound, format!("{ISSUER}ca_file = \"/nonexistent/ca.pem\"\n{rule}")).unwrap();
    let ended = on(root.path(), Fake::default(), &format!("edge check {}", sound.display()));
    assert!(ended.err.contains("sound.toml:6:11: /nonexistent/ca.pem: no such file"), "{}", ended.err);
}

#[test]
fn status_tells_by_its_exit_whether_the_edge_listens() {
    assert_eq!(tenantctl(edge(&enabled()), "edge status").code, 0);
    let ended = tenantctl(edge(&EdgeStatus::default()), "edge status");
    assert_eq!(ended.code, 3);
    assert!(ended.out.contains("edge: disabled") && ended.out.contains("certificate: none"), "{}", ended.out);
    let broken =
        EdgeStatus { socket: "failed".into(), changed: true, problems: vec!["it is so".into()], ..enabled() };
    let ended = tenantctl(edge(&broken), "edge status");
    assert_eq!(ended.code, 3);
    for text in ["does not listen (failed)", "run \"tenantctl edge", "problem: it is so"] {
        assert!(ended.out.contains(text), "{}", ended.out);
    }
    let ended = tenantctl(edge(&enabled()), "edge status --json");
    assert_eq!(serde_json::from_str::<EdgeStatus>(&ended.out).unwrap(), enabled());
}

#[test]
fn a_token_is_all_that_standard_output_has() {
    let token = IssuedToken {
        token: "aaa.bbb.ccc".into(),
        jti: "0123".into(),
        subject: "root".into(),
        role: "operator".into(),
        tenant: "acme".into(),
        url: "https://acme.agents.example.org/".into(),
        expires: 15_400,
    };
    let issue = || Fake::default().answer("issue", json(&token));
    let ended = tenantctl(issue(), "token issue acme --role operator --ttl 90m");
    assert_eq!((ended.code, ended.out.as_str()), (0, "aaa.bbb.ccc\n"));
    assert_eq!(ended.calls, ["issue acme operator \"\" 5400"]);
    for text in ["valid for 1 h 30 min", "https://acme.agents.example.org/", "revoke --jti 0123"] {
        assert!(ended.err.contains(text), "{}", ended.err);
    }
    assert!(!ended.err.contains("aaa.bbb"), "a token does not get into a log beside");
    let ended = tenantctl(issue(), "token issue acme --role viewer --subject a@example.org --json");
    assert_eq!(
        (ended.calls[0].as_str(), ended.err.as_str()),
        ("issue acme viewer \"a@example.org\" 3600", "")
    );
    assert_eq!(serde_json::from_str::<IssuedToken>(&ended.out).unwrap(), token);
}

#[test]
fn a_link_is_for_an_owner_unless_said_otherwise() {
    let login = IssuedLogin {
        url: "https://acme.agents.example.org/.tenantd/login?ticket=a.b.c".into(),
        jti: "0123".into(),
        subject: "root".into(),
        role: "owner".into(),
        tenant: "acme".into(),
        expires: 10_300,
    };
    let ended = tenantctl(Fake::default().answer("login", json(&login)), "login acme");
    assert_eq!(ended.calls, ["login acme owner \"\""]);
    assert_eq!(ended.out, format!("{}\n", login.url));
    assert!(ended.err.contains("once, within 5 min, as owner"), "{}", ended.err);
}

#[test]
fn exactly_one_thing_is_revoked() {
    let revoked = |by: &str, value: &str| {
        let answer = format!("{{\"by\":\"{by}\",\"value\":\"{value}\",\"before\":1,\"until\":2}}");
        tenantctl(Fake::default().answer("revoke", answer), &format!("token revoke --{by} {value}"))
    };
    let ended = revoked("tenant", "acme");
    assert_eq!(ended.calls, ["revoke tenant acme"]);
    assert!(ended.out.starts_with("Everything issued until now for tenant acme is revoked"), "{}", ended.out);
    assert_eq!(revoked("jti", "0123").calls, ["revoke jti 0123"]);
    assert_eq!(revoked("subject", "a@example.org").calls, ["revoke subject a@example.org"]);
}

#[test]
fn a_new_key_is_asked_for_gently_or_at_once() {
    let rotate = || Fake::default().answer("rotate-key", json(&enabled()));
    assert_eq!(tenantctl(rotate(), "edge rotate-key").calls, ["rotate-key now=false"]);
    let ended = tenantctl(rotate(), "edge rotate-key --now");
    assert_eq!(ended.calls, ["rotate-key now=true"]);
    assert!(ended.err.contains("is void"), "{}", ended.err);
}

#[test]
fn the_matrix_of_roles_is_that_of_the_shipped_runtimes() {
    let root = tempfile::tempdir().unwrap();
    let share = root.path().join("usr/share/tenantd");
    fs::create_dir_all(&share).unwrap();
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    std::os::unix::fs::symlink(policies, share.join("policies")).unwrap();
    let ended = on(root.path(), Fake::default(), "roles");
    assert_eq!((ended.code, ended.calls.len()), (0, 0));
    assert!(ended.out.starts_with("RUNTIME"), "{}", ended.out);
    let viewer = |runtime: &str| {
        let line =
            ended.out.lines().find(|line| line.starts_with(runtime) && line.contains("viewer")).unwrap();
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(viewer("generic"), ["generic", "viewer", "GET,", "HEAD", "no", "-"]);
    assert!(viewer("openclaw").contains(&"operator.read".to_owned()), "{}", ended.out);
}

#[test]
fn tenants_are_put_to_sleep_and_listed_so() {
    assert_eq!(tenantctl(Fake::default(), "sleep acme beta").calls, ["sleep acme", "sleep beta"]);
    let list = r#"[{"id":"acme","state":"inactive","sleeping":true,"enabled":true,"runtime":"generic","version":"","address":"10.210.0.2","uid":500000,"memory_bytes":null,"missing":[]}]"#;
    let ended = tenantctl(Fake::default().answer("list", list), "list");
    assert!(ended.out.contains("acme    sleeping"), "{}", ended.out);
}
