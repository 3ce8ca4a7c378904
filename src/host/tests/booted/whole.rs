//! Whole tenants, many at once, and nothing left of them.

use std::collections::BTreeSet;

use model::World;

use crate::place::{ready, say, settle, tenant, world};

/// What a host shows of tenants.
fn traces() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for place in [
        "/etc/userdb",
        "/etc/systemd/system.control",
        "/etc/systemd/system",
        "/var/lib/tenants",
        "/var/lib/tenantd/compiled",
        "/sys/fs/cgroup/tenants.slice",
    ] {
        if let Ok(entries) = std::fs::read_dir(place) {
            found.extend(
                entries
                    .map(|entry| entry.unwrap().path().display().to_string())
                    .filter(|path| path.contains("crowd")),
            );
        }
    }
    let units = say(&["systemctl", "list-units", "--all", "--no-legend", "--plain"]).1;
    found.extend(units.lines().filter(|line| line.contains("crowd")).map(str::to_owned));
    found
}

#[test]
#[ignore = "needs a throwaway host"]
fn a_hundred_tenants_made_at_once_are_all_up_and_leave_nothing_behind() {
    let (paths, systemd) = ready();
    let count = 100;
    let begun = std::time::Instant::now();
    std::thread::scope(|scope| {
        for number in 0..count {
            let (paths, systemd) = (&paths, &systemd);
            scope.spawn(move || {
                let (id, uid) = tenant(&format!("crowd-{number}"), 100 + number);
                let wanted = world(paths, &id, uid);
                settle(paths, systemd, &id, uid, wanted.clone()).unwrap();
                assert!(settle(paths, systemd, &id, uid, wanted).unwrap().is_empty());
            });
        }
    });
    println!("{count} made and seen: {:?}", begun.elapsed());
    let listed = systemd.list("tenant@crowd*.service").unwrap();
    assert_eq!(listed.values().filter(|brief| brief.active_state == "active").count(), 100);
    let begun = std::time::Instant::now();
    std::thread::scope(|scope| {
        for number in 0..count {
            let (paths, systemd) = (&paths, &systemd);
            scope.spawn(move || {
                let (id, uid) = tenant(&format!("crowd-{number}"), 100 + number);
                settle(paths, systemd, &id, uid, World::empty()).unwrap();
            });
        }
    });
    println!("{count} removed: {:?}", begun.elapsed());
    assert_eq!(traces(), BTreeSet::new());
}

#[test]
#[ignore = "needs a throwaway host"]
fn a_change_restarts_or_stops_only_as_the_plan_says_and_settles() {
    let (paths, systemd) = ready();
    let (id, uid) = tenant("changing", 40);
    let mut wanted = world(&paths, &id, uid);
    settle(&paths, &systemd, &id, uid, wanted.clone()).unwrap();
    let first = systemd.unit(&id.unit()).unwrap().main_pid;
    wanted.put(model::Resource::Slice { unit: id.slice(), properties: crate::place::limits(3 << 30) });
    settle(&paths, &systemd, &id, uid, wanted.clone()).unwrap();
    assert_eq!(systemd.unit(&id.unit()).unwrap().main_pid, first, "limits change under a running gateway");
    wanted.put(model::Resource::Link {
        path: paths.compiled(&id).join("runtime"),
        target: "/var/lib".into(),
        restart: true,
    });
    settle(&paths, &systemd, &id, uid, wanted.clone()).unwrap();
    assert_ne!(systemd.unit(&id.unit()).unwrap().main_pid, first);
    std::fs::File::create(paths.compiled(&id).join("stranger")).unwrap();
    settle(&paths, &systemd, &id, uid, wanted).unwrap();
    assert!(!paths.compiled(&id).join("stranger").exists());
    settle(&paths, &systemd, &id, uid, World::empty()).unwrap();
}
