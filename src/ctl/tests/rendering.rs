//! What `list`, `status`, `explain` and `runtime` print, against golden files: `BLESS=1` renews them.
#![allow(clippy::unwrap_used, reason = "a step of a test that fails is a failed test")]

mod fake;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use api::{Health, Installed, LandlockStatus, Measured, Status, Summary, Verdict};
use fake::{Ended, Fake, tenantctl};
use model::Feature;

fn golden(name: &str, ended: &Ended) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        File::create(&path).unwrap().write_all(ended.out.as_bytes()).unwrap();
    }
    assert_eq!(ended.out, std::fs::read_to_string(&path).unwrap_or_default(), "{name}");
    assert_eq!(ended.err, "");
    for line in ended.out.lines().filter(|_| !name.ends_with(".json")) {
        assert!(line.chars().count() <= 80, "{name}: wider than 80 columns: {line}");
    }
}

fn json<T: serde::Serialize>(document: &T) -> String {
    serde_json::to_string(document).unwrap()
}

fn summary(id: &str, state: &str) -> Summary {
    Summary {
        sleeping: false,
        id: id.into(),
        state: state.into(),
        enabled: state != "failed",
        runtime: "openclaw".into(),
        version: "2026.9.6".into(),
        address: "10.210.0.2".into(),
        uid: 500_000,
        memory_bytes: (state == "active").then_some(746_586_112),
        missing: if state == "active" { vec![Feature::DiskQuota] } else { vec![] },
        alarm: (id == "cut")
            .then(|| "tenant cut: the fence does not hold: 10.210.0.1:1 could be reached".into()),
    }
}

fn running() -> Status {
    let sets = ["inheritable", "permitted", "effective", "bounding", "ambient"];
    Status {
        summary: summary("acme-corp", "active"),
        last_backup: Some(1_790_000_000),
        unit: "tenant@acme_corp.service".into(),
        sub_state: "running".into(),
        result: "success".into(),
        slice: "tenants-acme_corp.slice".into(),
        user: "t-acme_corp".into(),
        netns: "/run/netns/t-acme_corp".into(),
        port: 18_789,
        pid: Some(4711),
        since: Some(2_800),
        health: Health::Ready,
        measured: Some(Measured {
            uid: 500_000,
            groups: vec![500_000],
            capabilities: sets.into_iter().map(|set| (set.to_owned(), "0000000000000000".to_owned())).collect(),
            no_new_privs: true,
            seccomp_mode: 2,
            seccomp_filters: 12,
            in_own_netns: true,
            in_own_slice: true,
            landlock: LandlockStatus {
                abi: 6,
                held_elsewhere: vec!["audit records of denials by nft counters, and the seccomp log where a policy asks for it".into()],
                proven_at_start: true,
            },
        }),
        limits: BTreeMap::from([
            ("MemoryMax".to_owned(), 1536 << 20),
            ("CPUQuotaPerSecUSec".to_owned(), 1_500_000),
            ("TasksMax".to_owned(), 512),
        ]),
        drift: vec![],
        restart_needed: false,
        open_operation: None,
    }
}

fn broken() -> Status {
    let mut status = running();
    status.summary.state = "active".into();
    status.health = Health::NotReady("answered 503 \x1b]0;owned\x07".into());
    status.restart_needed = true;
    status.open_operation = Some("change".into());
    status.drift = vec![
        "~ file /var/lib/tenantd/compiled/acme_corp/network.json 0:500000 0640 412 bytes".into(),
        "- account t-x".into(),
    ];
    if let Some(measured) = &mut status.measured {
        measured.capabilities.insert("bounding".into(), "000001ffffffffff".into());
        measured.no_new_privs = false;
        measured.seccomp_mode = 0;
        measured.seccomp_filters = 0;
        measured.in_own_netns = false;
        measured.landlock.proven_at_start = false;
    }
    status
}

fn stopped() -> Status {
    Status {
        summary: Summary { memory_bytes: None, ..summary("acme-corp", "failed") },
        sub_state: "failed".into(),
        result: "oom-kill".into(),
        pid: None,
        since: None,
        health: Health::Stopped,
        measured: None,
        limits: BTreeMap::new(),
        ..running()
    }
}

#[test]
fn list_is_a_line_per_tenant() {
    let tenants =
        vec![summary("web", "failed"), summary("acme-corp", "active"), summary("umbrella", "inactive")];
    golden("list.txt", &tenantctl(Fake::default().answer("list", json(&tenants)), "list"));
    golden("list.json", &tenantctl(Fake::default().answer("list", json(&tenants)), "list --json"));
    golden("list.txt", &tenantctl(Fake::default().answer("list", json(&tenants)), "status"));
    let cut = vec![summary("cut", "inactive")];
    golden("list-cut-off.txt", &tenantctl(Fake::default().answer("list", json(&cut)), "list"));
    let none = tenantctl(Fake::default().answer("list", "[]"), "list");
    assert_eq!(none.out, "No tenants. Make one with \"tenantctl create NAME --runtime RUNTIME\".\n");
}

#[test]
fn status_shows_what_was_measured_and_ends_as_systemctl_does() {
    for (file, status, code) in [
        ("status.txt", running(), 0),
        ("status-broken.txt", broken(), 3),
        ("status-stopped.txt", stopped(), 3),
        ("status-cut-off.txt", Status { summary: summary("cut", "inactive"), ..stopped() }, 3),
    ] {
        let ended = tenantctl(Fake::default().answer("status", json(&status)), "status acme-corp");
        golden(file, &ended);
        assert_eq!(ended.code, code, "{file}");
    }
    let ended = tenantctl(Fake::default().answer("status", json(&running())), "status acme-corp --json");
    golden("status.json", &ended);
    assert_eq!(serde_json::from_str::<Status>(&ended.out).unwrap(), running());
}

#[test]
fn explain_is_a_table_of_slots_and_layers() {
    let lines = r#"[{"what":"account t-acme","layers":["account"]},{"what":"confinement environment HOME","layers":["data","runtime"]}]"#;
    golden("explain.txt", &tenantctl(Fake::default().answer("explain", lines), "explain acme"));
}

fn installed(version: &str, pinned: bool) -> Installed {
    Installed {
        runtime: "openclaw".into(),
        version: version.into(),
        pinned,
        tested: pinned,
        tree_hash: "5f1b".repeat(16),
        bytes: 678_000_000,
        files: 38_729,
        tenants: if pinned { vec!["acme".into(), "web".into()] } else { vec![] },
        provenance: BTreeMap::from([("node".to_owned(), "26.10.0".to_owned())]),
    }
}

#[test]
fn runtimes_are_listed_and_an_installed_one_is_described() {
    let all = vec![installed("2026.9.6", true), installed("2026.10.1", false)];
    golden("runtime-list.txt", &tenantctl(Fake::default().answer("runtimes", json(&all)), "runtime list"));
    let fake = Fake::default().answer("install", json(&installed("2026.9.6", true)));
    let ended = tenantctl(fake, "runtime install openclaw");
    golden("runtime-install.txt", &ended);
    assert_eq!(ended.calls, ["install openclaw \"\" untested=false use_from=false \"\""]);
}

#[test]
fn a_runtime_from_a_file_travels_as_an_open_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("runtime.tar");
    File::create(&path).unwrap().write_all(b"tar").unwrap();
    let line = format!("runtime install openclaw --version 2026.9.6 --untested --from {}", path.display());
    let ended = tenantctl(Fake::default().answer("install", json(&installed("2026.9.6", true))), &line);
    assert_eq!(ended.calls, ["install openclaw \"2026.9.6\" untested=true use_from=true \"tar\""]);
    let ended = tenantctl(Fake::default(), "runtime install openclaw --from /nonexistent");
    assert_eq!((ended.code, ended.calls.len()), (66, 0));
}

#[test]
fn verify_reads_all_versions_and_ends_with_65_when_one_differs() {
    let verdict = |intact: bool| Verdict {
        intact,
        differences: if intact { vec![] } else { vec!["app/openclaw.mjs: content differs".into()] },
        files: 38_729,
        tree_hash: "5f1b".repeat(16),
    };
    let fake = Fake::default()
        .answer("runtimes", json(&vec![installed("2026.9.6", true), installed("2026.10.1", false)]))
        .answer("verify", json(&verdict(true)))
        .answer("verify", json(&verdict(false)));
    let ended = tenantctl(fake, "runtime verify openclaw");
    assert_eq!((ended.code, ended.calls.len()), (65, 3));
    assert!(ended.out.starts_with("openclaw 2026.9.6 is intact: 38729 files as sealed"), "{}", ended.out);
    assert!(
        ended.out.contains("openclaw 2026.10.1 is NOT as sealed:\n  app/openclaw.mjs: content differs\n"),
        "{}",
        ended.out
    );
    let none = tenantctl(Fake::default().answer("runtimes", "[]"), "runtime verify openclaw");
    assert_eq!(none.code, 66);
    let quiet = tenantctl(Fake::default(), "runtime pin openclaw 2026.9.6");
    assert_eq!(
        (quiet.code, quiet.out.as_str(), quiet.calls),
        (0, "", vec!["pin openclaw 2026.9.6".to_owned()])
    );
}
