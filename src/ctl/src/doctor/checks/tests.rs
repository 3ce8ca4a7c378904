//! From a sound host to hosts with one lack each.

use std::collections::BTreeSet;

use api::{EdgeStatus, VaultStatus};
use model::{Settings, TenantId};

use super::super::egress::WayOut;
use super::*;

type Change = Box<dyn FnOnce(&mut Evidence)>;

fn sound() -> Evidence {
    Evidence {
        facts: Ok(Facts {
            kernel: "6.12.0".into(),
            systemd: 257,
            landlock_abi: 6,
            seccomp: true,
            controllers: BTreeSet::from(["cpu", "io", "memory", "pids"].map(String::from)),
            project_quota: true,
            nft: true,
            memory_bytes: 64 << 30,
            cpus: 8,
        }),
        settings: Ok(Settings::default()),
        nsswitch: "passwd: files systemd\ngroup:\t\tfiles systemd\n".into(),
        nss_systemd: true,
        polkit: true,
        fence: Ok("active".into()),
        self_test: Ok("inactive".into()),
        daemon: Ok("active".into()),
        credentials: Ok("active".into()),
        identify: Ok("active".into()),
        egress: Ok(vec![way_out()]),
        vault: Some(Ok(open_vault())),
        edge: None,
        uid_conflicts: Ok(Vec::new()),
        address_conflicts: Ok(Vec::new()),
        legacy_tiocsti: "0".into(),
        max_user_namespaces: "0".into(),
        unprivileged_userns_clone: String::new(),
        kernel_config: "CONFIG_SCHED_CORE=y".into(),
    }
}

fn way_out() -> WayOut {
    WayOut {
        tenant: TenantId::parse("acme-corp").unwrap(),
        gateway: Ok("active".into()),
        socket: Ok("active".into()),
        file: Ok(()),
        authority: Some(Ok(())),
    }
}

fn way(found: &mut Evidence) -> &mut WayOut {
    &mut found.egress.as_mut().unwrap()[0]
}

fn open_vault() -> VaultStatus {
    VaultStatus { state: "open".into(), tenants: 1, secrets: 2, ..VaultStatus::default() }
}

/// Verdict and remedy of the check `name` once the sound host is changed.
fn after(name: &str, change: impl FnOnce(&mut Evidence)) -> (String, String) {
    let mut found = sound();
    change(&mut found);
    let report = checks(&found);
    let check = report.into_iter().find(|check| check.name == name).unwrap();
    (check.verdict, check.remedy)
}

fn facts(found: &mut Evidence) -> &mut Facts {
    found.facts.as_mut().unwrap()
}

fn status(found: &mut Evidence) -> &mut VaultStatus {
    found.vault.as_mut().unwrap().as_mut().unwrap()
}

#[test]
fn a_sound_host_has_nothing_to_repair() {
    for check in checks(&sound()) {
        assert_eq!((check.verdict.as_str(), check.remedy.as_str()), (OK, ""), "{check:?}");
    }
}

#[test]
fn each_lack_is_found_by_its_check_and_has_a_remedy() {
    let lacks: Vec<(&str, &str, Change)> = vec![
        ("Landlock", MISSING, Box::new(|e| facts(e).landlock_abi = 0)),
        ("Landlock", MISSING, Box::new(|e| facts(e).landlock_abi = 1)),
        ("seccomp", MISSING, Box::new(|e| facts(e).seccomp = false)),
        ("systemd", MISSING, Box::new(|e| facts(e).systemd = 251)),
        ("nftables", MISSING, Box::new(|e| facts(e).nft = false)),
        ("cgroup-memory", MISSING, Box::new(|e| facts(e).controllers.clear())),
        ("disk-quota", WARNING, Box::new(|e| facts(e).project_quota = false)),
        ("host", MISSING, Box::new(|e| e.facts = Err("no".into()))),
        ("accounts", MISSING, Box::new(|e| e.nss_systemd = false)),
        ("accounts", MISSING, Box::new(|e| e.nsswitch = "passwd: files\ngroup: files systemd".into())),
        ("polkit", WARNING, Box::new(|e| e.polkit = false)),
        ("settings", MISSING, Box::new(|e| e.settings = Err("bad".into()))),
        ("fence", MISSING, Box::new(|e| e.fence = Ok("inactive".into()))),
        ("self-test", MISSING, Box::new(|e| e.self_test = Ok("failed".into()))),
        ("tenantd", WARNING, Box::new(|e| e.daemon = Ok("failed".into()))),
        ("credentials", MISSING, Box::new(|e| e.credentials = Ok("inactive".into()))),
        ("credentials", WARNING, Box::new(|e| e.credentials = Err("no bus".into()))),
        ("identify", WARNING, Box::new(|e| e.identify = Ok("inactive".into()))),
        ("egress", WARNING, Box::new(|e| e.egress = Err("denied".into()))),
        ("egress", MISSING, Box::new(|e| way(e).socket = Ok("failed".into()))),
        ("egress", WARNING, Box::new(|e| way(e).socket = Err("no bus".into()))),
        ("egress", WARNING, Box::new(|e| way(e).gateway = Err("no bus".into()))),
        ("egress", MISSING, Box::new(|e| way(e).file = Err("is missing".into()))),
        ("egress", MISSING, Box::new(|e| way(e).authority = Some(Err("is missing".into())))),
        ("vault", WARNING, Box::new(|e| e.vault = None)),
        ("vault", WARNING, Box::new(|e| e.vault = Some(Err("only root is told".into())))),
        ("vault", MISSING, Box::new(|e| status(e).state = "locked".into())),
        ("vault", WARNING, Box::new(|e| status(e).rotating = true)),
        ("vault", MISSING, Box::new(|e| status(e).damaged.push("tenant acme: no".into()))),
        ("TIOCSTI", WARNING, Box::new(|e| e.legacy_tiocsti = "1".into())),
        ("core scheduling", WARNING, Box::new(|e| e.kernel_config = "# CONFIG_SCHED_CORE is not set".into())),
    ];
    for (name, verdict, change) in lacks {
        let (found, remedy) = after(name, change);
        assert_eq!(found, verdict, "{name}");
        assert!(!remedy.is_empty(), "{name}");
    }
}

#[test]
fn a_missing_controller_that_the_settings_accept_is_a_warning() {
    let (verdict, _) = after("cgroup-io", |e| {
        facts(e).controllers.clear();
        e.settings.as_mut().unwrap().defaults.accept_missing.push(Feature::CgroupIo);
    });
    assert_eq!(verdict, WARNING);
}

#[test]
fn rights_that_the_kernel_lacks_are_named_with_who_holds_them() {
    let mut found = sound();
    facts(&mut found).landlock_abi = 2;
    let report = checks(&found);
    let landlock = report.iter().find(|check| check.name == "Landlock").unwrap();
    assert_eq!(landlock.verdict, OK);
    assert!(
        landlock.found.contains("held elsewhere: ") && landlock.found.contains(" by "),
        "{}",
        landlock.found
    );
}

#[test]
fn everything_that_is_the_matter_with_the_vault_is_told_with_its_tenant() {
    let mut found = sound();
    *status(&mut found) = VaultStatus {
        rotating: true,
        damaged: vec!["tenant acme: x does not open".into(), "tenant zeta: y is none of ours".into()],
        ..open_vault()
    };
    let report = checks(&found);
    let told: Vec<_> = report.iter().filter(|check| check.name == "vault").collect();
    assert_eq!(told.len(), 3, "{told:?}");
    for tenant in ["acme", "zeta"] {
        assert!(told.iter().any(|check| check.found.contains(tenant)), "{told:?}");
    }
    *status(&mut found) = VaultStatus { state: "empty".into(), ..VaultStatus::default() };
    assert!(checks(&found).iter().all(|check| check.verdict == OK));
}

#[test]
fn pool_conflicts_are_told_as_the_host_tells_them() {
    let mut found = sound();
    found.uid_conflicts = Ok(vec!["uid pool 1-2: it meets x: choose another".into()]);
    let report = checks(&found);
    assert!(report.iter().any(|check| check.verdict == MISSING && check.found.contains("it meets x")));
}

#[test]
fn what_is_wrong_with_the_edge_is_a_warning_and_an_edge_that_is_off_is_none() {
    let with = |status: EdgeStatus| after("edge", |found| found.edge = Some(status));
    let problems = vec!["it does not listen".to_owned()];
    let broken = with(EdgeStatus { problems, ..EdgeStatus::default() });
    assert_eq!(broken, (WARNING.to_owned(), "tenantctl edge status".to_owned()));
    assert_eq!(with(EdgeStatus::default()).0, OK);
    let open = EdgeStatus { domain: Some("agents.example.org".into()), ..EdgeStatus::default() };
    assert_eq!(with(open).0, OK);
    assert!(!checks(&sound()).iter().any(|check| check.name == "edge"));
}

#[test]
fn everything_that_is_the_matter_with_a_way_out_is_told_with_tenant_and_object() {
    let mut found = sound();
    *way(&mut found) = WayOut {
        socket: Ok("failed".into()),
        file: Err("is missing".into()),
        authority: Some(Err("is missing".into())),
        ..way_out()
    };
    let report = checks(&found);
    let told: Vec<_> = report.iter().filter(|check| check.name == "egress").collect();
    let objects = [
        "tenant-egress@acme_corp.socket is failed",
        "egress/acme_corp/egress.json is missing",
        "egress-authority is missing",
    ];
    assert_eq!(told.len(), objects.len(), "{told:?}");
    for (check, object) in told.iter().zip(objects) {
        assert!(check.found.starts_with("tenant acme-corp") && check.found.contains(object), "{check:?}");
    }
    assert!(told[0].remedy.contains("tenant-egress@acme_corp.socket"));
    assert!(told[1..].iter().all(|check| check.remedy == "tenantctl repair acme-corp"));
}

#[test]
fn a_tenant_that_does_not_run_needs_no_socket_and_one_nobody_told_about_no_authority() {
    let mut found = sound();
    let stopped = WayOut {
        gateway: Ok("inactive".into()),
        socket: Ok("inactive".into()),
        authority: None,
        ..way_out()
    };
    *way(&mut found) = stopped;
    assert!(checks(&found).iter().all(|check| check.verdict == OK));
    found.egress = Ok(Vec::new());
    assert!(checks(&found).iter().any(|check| check.found == "no tenant has a way out"));
}
