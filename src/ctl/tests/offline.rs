//! The verbs that need no daemon: `check`, `plan`, `explain --file`, against the policies of this source tree.
#![allow(clippy::unwrap_used, reason = "a step of a test that fails is a failed test")]

mod fake;

use std::fs::File;
use std::io::Write;
use std::path::Path;

use fake::{Around, Ended, Fake, run};
use model::Paths;
use tempfile::TempDir;

const SPEC: &str = "id = \"acme\"\nruntime = \"generic\"\ncommand = [\"/usr/bin/x\"]\n";
const FACTS: &str = r#"{"kernel":"6.12.0","systemd":257,"landlock_abi":6,"seccomp":true,"controllers":["cpu","io","memory","pids"],"project_quota":true,"nft":true,"memory_bytes":68719476736,"cpus":8}"#;

/// A host that has nothing but the policies and what is written here.
struct Host(TempDir);

impl Host {
    fn new() -> Self {
        let host = Host(tempfile::tempdir().unwrap());
        let share = host.0.path().join("usr/share/tenantd");
        std::fs::create_dir_all(&share).unwrap();
        let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
        std::os::unix::fs::symlink(policies, share.join("policies")).unwrap();
        host.write("facts.json", FACTS)
    }

    fn write(self, file: &str, text: &str) -> Self {
        let path = self.0.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
        self
    }

    fn at(&self, file: &str) -> String {
        self.0.path().join(file).display().to_string()
    }

    /// Runs tenantctl there; words with `@` name files of this host.
    fn run(&self, line: &str) -> Ended {
        let words: Vec<String> = line
            .split(' ')
            .map(|word| word.strip_prefix('@').map_or_else(|| word.to_owned(), |file| self.at(file)))
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let ended = run(
            Fake::default(),
            Around { paths: Some(Paths::below(self.0.path())), ..Around::default() },
            &words,
        );
        assert!(ended.calls.is_empty(), "the daemon was asked: {:?}", ended.calls);
        ended
    }
}

#[test]
fn check_reads_everything_below_etc_and_says_that_it_is_sound() {
    let host = Host::new();
    assert_eq!(host.run("check").out, "Nothing to check: no tenantd.toml and no tenants.\n");
    let host = host.write("etc/tenantd/tenantd.toml", "").write("etc/tenantd/tenants.d/acme.toml", SPEC);
    let ended = host.run("check");
    assert_eq!((ended.code, ended.out.as_str(), ended.err.as_str()), (0, "2 files are sound.\n", ""));
    assert_eq!(host.run("check @etc/tenantd").out, "2 files are sound.\n");
}

#[test]
fn check_points_at_the_line_and_goes_on() {
    let host = Host::new()
        .write("a.toml", "id = \"acme\"\nruntime = \"generic\"\nmemory = 3\n")
        .write("b.toml", SPEC)
        .write("c.toml", SPEC)
        .write("tenantd.toml", "[pools]\nuids = \"0-5\"\n");
    let ended = host.run("check @a.toml @b.toml @c.toml @tenantd.toml");
    assert_eq!((ended.code, ended.out.as_str()), (65, "3 of 4 files are not sound.\n"));
    for needle in [
        "a.toml: TOML parse error at line 3, column 1",
        "^^^^^^",
        "b.toml and ",
        "both describe tenant acme",
        "tenantd.toml: ",
    ] {
        assert!(ended.err.contains(needle), "{needle}: {}", ended.err);
    }
    let ended = host.run("check --json @a.toml @b.toml");
    let report: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((ended.code, ended.err.as_str()), (65, ""));
    assert_eq!(report[0]["ok"], false);
    assert_eq!(report[1], serde_json::json!({"file": host.at("b.toml"), "ok": true, "error": null}));
}

#[test]
fn check_refuses_a_misnamed_spec_where_tenantd_would() {
    let host = Host::new().write("etc/tenantd/tenants.d/web.toml", SPEC);
    let ended = host.run("check");
    assert_eq!(ended.code, 65);
    assert!(ended.err.contains("rename the file to acme.toml or correct the id"), "{}", ended.err);
    assert_eq!(host.run("check @nothing.toml").code, 66);
}

#[test]
fn settings_that_a_runtime_seals_or_has_no_file_for_are_found_by_check_and_by_plan() {
    let gateway = "id = \"acme\"\nruntime = \"openclaw\"\n";
    let host = Host::new()
        .write("good.toml", &format!("{gateway}[settings.models]\nmode = \"merge\"\n"))
        .write("sealed.toml", &format!("{gateway}[settings.gateway.auth]\nmode = \"none\"\n"))
        .write("nofile.toml", &format!("{SPEC}[settings]\na = 1\n"));
    assert_eq!(host.run("check @good.toml").out, "1 file is sound.\n");
    let ended = host.run("plan @good.toml --facts @facts.json");
    assert_eq!(ended.code, 0);
    assert!(ended.err.contains("(\"tenantctl runtime install openclaw\")"), "{}", ended.err);
    let template = host.at("usr/share/tenantd/policies/runtimes/openclaw/config.toml");
    for (file, needle) in [
        (
            "sealed.toml",
            format!("settings.gateway.auth.mode is sealed by the runtime, in {template}: take it out"),
        ),
        ("nofile.toml", "settings: runtime generic has no config file to add them to: take".to_owned()),
    ] {
        for line in [format!("check @{file}"), format!("plan @{file} --facts @facts.json")] {
            let ended = host.run(&line);
            assert_eq!(ended.code, 65, "{line}: {}", ended.err);
            assert!(ended.err.contains(&needle), "{line}: {}", ended.err);
        }
    }
}

#[test]
fn plan_prints_the_steps_in_order_with_no_daemon_and_no_privilege() {
    let host = Host::new().write("acme.toml", SPEC);
    let ended = host.run("plan @acme.toml --facts @facts.json");
    assert_eq!(ended.code, 0, "{}", ended.err);
    let steps: Vec<&str> = ended.out.lines().collect();
    assert!(steps[0].starts_with("+ account t-acme uid=500000"), "{}", ended.out);
    assert_eq!(*steps.last().unwrap(), "+ unit tenant@acme.service");
    assert!(ended.err.contains("first of the pools"), "{}", ended.err);
    let again = host.run("plan @acme.toml --facts @facts.json --json");
    let document: serde_json::Value = serde_json::from_str(&again.out).unwrap();
    assert_eq!(document["dry_run"], true);
    assert_eq!(document["steps"].as_array().unwrap().len(), steps.len());
}

#[test]
fn plan_keeps_the_version_that_an_existing_tenant_runs() {
    let spec = "id = \"acme\"\nruntime = \"openclaw\"\n";
    let host = Host::new()
        .write("acme.toml", spec)
        .write("var/lib/tenantd/runtimes/openclaw/2026.8.1/manifest", "")
        .write("var/lib/tenantd/runtimes/openclaw/2026.9.6/manifest", "");
    let link = |ended: Ended| {
        assert_eq!(ended.code, 0, "{}", ended.err);
        ended.out.lines().find(|line| line.contains("/acme/runtime ")).unwrap().to_owned()
    };
    let new = link(host.run("plan @acme.toml --facts @facts.json"));
    assert!(new.ends_with("/openclaw/2026.9.6"), "{new}");
    let host = host.write("etc/tenantd/tenants.d/acme.toml", &format!("version = \"2026.8.1\"\n{spec}"));
    let kept = link(host.run("plan @acme.toml --facts @facts.json"));
    assert!(kept.ends_with("/openclaw/2026.8.1"), "{kept}");
    let host = host.write("acme.toml", &format!("version = \"2026.9.6\"\n{spec}"));
    let named = link(host.run("plan @acme.toml --facts @facts.json"));
    assert!(named.ends_with("/openclaw/2026.9.6"), "{named}");
}

#[test]
fn plan_against_what_exists_is_a_difference() {
    let account = r#"[{"kind":"account","name":"t-gone","uid":500009,"comment":"","home":"/x"}]"#;
    let host = Host::new().write("acme.toml", SPEC).write("observed.json", account);
    let ended = host.run("plan @acme.toml --facts @facts.json --observed @observed.json");
    assert!(ended.out.starts_with("- account t-gone\n+ account t-acme"), "{}{}", ended.out, ended.err);
}

#[test]
fn plan_refuses_as_tenantd_would() {
    let host = Host::new()
        .write("big.toml", &format!("{SPEC}[limits]\nmemory_max = \"1T\"\n"))
        .write("none.toml", &SPEC.replace("generic", "nothing"))
        .write("old.json", &FACTS.replace("\"landlock_abi\":6", "\"landlock_abi\":1"))
        .write("acme.toml", SPEC)
        .write("bad.json", "{}x");
    for (line, code, needle) in [
        ("plan @big.toml --facts @facts.json", 65, "memory_max = 1T is more than this host has"),
        (
            "plan @none.toml --facts @facts.json",
            66,
            "no runtime named \"nothing\": tenantd knows generic, openclaw",
        ),
        ("plan @acme.toml --facts @bad.json", 65, "bad.json: does not describe facts"),
        (
            "plan @acme.toml --facts @facts.json --observed @bad.json",
            65,
            "bad.json: does not describe a world",
        ),
        ("plan @missing.toml", 66, "missing.toml: no such file"),
    ] {
        let ended = host.run(line);
        assert_eq!(ended.code, code, "{line}: {}", ended.err);
        assert!(ended.err.contains(needle), "{line}: {}", ended.err);
        assert_eq!(ended.out, "");
    }
    let ended = host.run("plan @acme.toml --facts @old.json");
    assert!(ended.code != 0 && ended.err.contains("Landlock"), "{}", ended.err);
}

#[test]
fn explain_names_the_layers_of_a_file() {
    let host = Host::new().write("acme.toml", SPEC);
    let ended = host.run("explain -f @acme.toml --facts @facts.json");
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.out.starts_with("WHAT "), "{}", ended.out);
    assert!(
        ended
            .out
            .lines()
            .any(|line| line.starts_with("confinement landlock ") && line.ends_with(" landlock"))
    );
    let json = host.run("explain -f @acme.toml --facts @facts.json --json");
    let lines: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert!(lines[0]["layers"].is_array());
}
