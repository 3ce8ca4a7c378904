//! Units, limits and enablement, compared with what systemctl says.

use std::time::{Duration, Instant};

use model::{Account, Resource, World};
use plan::Host;

use crate::place::{limits, ready, say, settle, tenant};

fn show(unit: &str, property: &str) -> String {
    say(&["systemctl", "show", "-P", property, unit]).1
}

#[test]
#[ignore = "needs a throwaway host"]
fn an_account_resolves_once_it_is_whole_and_no_longer_when_removed() {
    let (paths, systemd) = ready();
    let (id, uid) = tenant("acct", 1);
    let account = Account { name: id.user(), uid, comment: "x".into(), home: "/nonexistent".into() };
    let resource = Resource::Account(account);
    settle(&paths, &systemd, &id, uid, World::from_iter([resource])).unwrap();
    let (found, line) = say(&["getent", "passwd", "t-acct"]);
    assert!(found && line.contains(":510001:510001:x:/nonexistent:/usr/sbin/nologin"), "{line}");
    assert!(say(&["getent", "group", "510001"]).1.starts_with("t-acct:"));
    assert!(say(&["getent", "passwd", "510001"]).1.starts_with("t-acct:"));
    settle(&paths, &systemd, &id, uid, World::empty()).unwrap();
    for question in ["t-acct", "510001"] {
        assert!(!say(&["getent", "passwd", question]).0 && !say(&["getent", "group", question]).0);
    }
}

#[test]
#[ignore = "needs a throwaway host"]
fn a_foreign_account_is_named_and_left_alone() {
    let (paths, systemd) = ready();
    let (id, uid) = tenant("foreign", 2);
    say(&["groupadd", "t-foreign"]);
    let account = Account { name: id.user(), uid, comment: "x".into(), home: "/nonexistent".into() };
    let error =
        settle(&paths, &systemd, &id, uid, World::from_iter([Resource::Account(account)])).unwrap_err();
    assert!(error.to_string().contains("account t-foreign exists already"), "{error}");
    assert_eq!(error.exit(), model::Exit::CantCreate);
    assert!(say(&["getent", "group", "t-foreign"]).0);
    say(&["groupdel", "t-foreign"]);
}

#[test]
#[ignore = "needs a throwaway host"]
fn limits_hold_at_once_and_after_a_reload_and_go_without_one() {
    let (paths, systemd) = ready();
    let (id, uid) = tenant("limited", 3);
    let slice = |memory| World::from_iter([Resource::Slice { unit: id.slice(), properties: limits(memory) }]);
    settle(&paths, &systemd, &id, uid, slice(1 << 30)).unwrap();
    assert_eq!(show(&id.slice(), "MemoryMax"), "1073741824");
    assert_eq!(show(&id.slice(), "CPUQuotaPerSecUSec"), "1.500000s");
    assert_eq!(show(&id.slice(), "NeedDaemonReload"), "no");
    settle(&paths, &systemd, &id, uid, slice(2 << 30)).unwrap();
    say(&["systemctl", "daemon-reload"]);
    assert_eq!(show(&id.slice(), "MemoryMax"), "2147483648");
    // One limit less: it must go from memory and from disk.
    let mut fewer = limits(2 << 30);
    fewer.remove("TasksMax");
    let wanted = World::from_iter([Resource::Slice { unit: id.slice(), properties: fewer }]);
    settle(&paths, &systemd, &id, uid, wanted.clone()).unwrap();
    assert_eq!(show(&id.slice(), "TasksMax"), "infinity");
    assert_eq!(show(&id.slice(), "NeedDaemonReload"), "no");
    assert!(settle(&paths, &systemd, &id, uid, wanted).unwrap().is_empty());
    settle(&paths, &systemd, &id, uid, World::empty()).unwrap();
    assert!(!paths.unit_control().join(format!("{}.d", id.slice())).exists());
    assert_eq!(show(&id.slice(), "MemoryMax"), "infinity", "a new tenant of that name starts without limits");
}

#[test]
#[ignore = "needs a throwaway host"]
fn a_limit_that_is_only_in_memory_is_made_to_last() {
    let (paths, systemd) = ready();
    let (id, uid) = tenant("runtime-only", 4);
    let slice = id.slice();
    say(&[
        "systemctl",
        "set-property",
        "--runtime",
        &slice,
        "MemoryMax=1G",
        "TasksMax=100",
        "CPUQuota=150%",
        "CPUWeight=50",
    ]);
    let wanted = World::from_iter([Resource::Slice { unit: slice.clone(), properties: limits(1 << 30) }]);
    assert_eq!(settle(&paths, &systemd, &id, uid, wanted).unwrap().len(), 1);
    assert!(paths.unit_control().join(format!("{slice}.d/50-MemoryMax.conf")).exists());
    settle(&paths, &systemd, &id, uid, World::empty()).unwrap();
}

#[test]
#[ignore = "needs a throwaway host"]
fn enabling_agrees_with_systemctl_both_ways() {
    let (paths, systemd) = ready();
    let (id, uid) = tenant("enabled", 5);
    let is_enabled = || say(&["systemctl", "is-enabled", "tenant@enabled.service"]).1;
    assert_eq!(is_enabled(), "disabled");
    let wanted = World::from_iter([Resource::Enablement { unit: id.unit() }]);
    settle(&paths, &systemd, &id, uid, wanted.clone()).unwrap();
    assert_eq!(is_enabled(), "enabled");
    let ours = std::fs::canonicalize(paths.enabled_units().join(id.unit())).unwrap();
    say(&["systemctl", "disable", "tenant@enabled.service"]);
    assert!(!host::enabled(&paths).unwrap().contains(&id.unit()));
    say(&["systemctl", "enable", "tenant@enabled.service"]);
    let theirs = std::fs::canonicalize(paths.enabled_units().join(id.unit())).unwrap();
    assert_eq!(ours, theirs);
    assert!(settle(&paths, &systemd, &id, uid, wanted).unwrap().is_empty());
    settle(&paths, &systemd, &id, uid, World::empty()).unwrap();
    assert_eq!(is_enabled(), "disabled");
}

#[test]
#[ignore = "needs a throwaway host"]
fn a_start_that_fails_says_why_and_where_to_look() {
    let (paths, systemd) = ready();
    for (name, number, expected) in [
        ("bad-one", 6, "Result=exit-code, status 71): see \"journalctl -u tenant@bad_one.service -n 50\""),
        ("nonet", 7, "a unit it requires failed"),
    ] {
        let (id, uid) = tenant(name, number);
        let error = settle(&paths, &systemd, &id, uid, crate::place::world(&paths, &id, uid)).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        settle(&paths, &systemd, &id, uid, World::empty()).unwrap();
        assert_eq!(show(&id.unit(), "ActiveState"), "inactive", "nothing failed stays in systemctl --failed");
    }
    let error = systemd.start("no-such-tenant.service").unwrap_err();
    assert!(error.message.contains("there is no such unit file"), "{error}");
}

#[test]
#[ignore = "needs a throwaway host"]
fn a_start_limit_does_not_outlast_a_repair() {
    let (paths, systemd) = ready();
    let (id, uid) = tenant("often", 8);
    let world = crate::place::world(&paths, &id, uid);
    settle(&paths, &systemd, &id, uid, world.clone()).unwrap();
    for _ in 0..6 {
        systemd.stop(&id.unit()).unwrap();
        systemd.start(&id.unit()).unwrap();
    }
    assert!(systemd.unit(&id.unit()).unwrap().is_up());
    settle(&paths, &systemd, &id, uid, World::empty()).unwrap();
}

#[test]
#[ignore = "needs a throwaway host"]
fn a_start_returns_when_the_unit_is_up_and_a_stop_when_its_network_is_down() {
    let (paths, systemd) = ready();
    let (id, uid) = tenant("slow", 9);
    let begun = Instant::now();
    settle(&paths, &systemd, &id, uid, crate::place::world(&paths, &id, uid)).unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(3));
    let status = systemd.unit(&id.unit()).unwrap();
    assert_eq!((status.active_state.as_str(), status.main_pid.is_some()), ("active", true));
    assert!(status.started.is_some() && status.active_since >= status.started);
    settle(&paths, &systemd, &id, uid, World::empty()).unwrap();
    assert_eq!(show(&id.net_unit(), "ActiveState"), "inactive");
}

#[test]
#[ignore = "needs a throwaway host"]
fn a_lost_bus_is_found_again() {
    let (paths, systemd) = ready();
    assert!(systemd.version().unwrap() >= 252);
    say(&["systemctl", "restart", "dbus.service"]);
    std::thread::sleep(Duration::from_millis(500));
    let again = (0..10).any(|_| {
        std::thread::sleep(Duration::from_millis(200));
        systemd.version().is_ok()
    });
    assert!(again, "{:?}", systemd.version());
    let (id, uid) = tenant("afterbus", 10);
    settle(&paths, &systemd, &id, uid, crate::place::world(&paths, &id, uid)).unwrap();
    settle(&paths, &systemd, &id, uid, World::empty()).unwrap();
}

#[test]
#[ignore = "needs a throwaway host"]
fn facts_are_those_of_this_host() {
    let (paths, systemd) = ready();
    let facts = host::facts(&paths, &systemd).unwrap();
    println!("{facts:?}");
    assert!(facts.seccomp && facts.landlock_abi >= 2 && facts.cpus >= 1 && facts.memory_bytes > 1 << 28);
    let (id, uid) = tenant("observer", 11);
    let scope = plan::Scope { tenant: id, uid: Some(uid), wanted: World::empty() };
    assert!(host::RealHost::new(paths, systemd).observe(&scope).unwrap().is_empty());
}
