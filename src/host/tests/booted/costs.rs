//! What each step costs, printed; nothing is asserted of a time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use host::RealHost;
use model::{Resource, World};
use plan::{Host, Op, Scope};

use crate::place::{limits, ready, settle, tenant, world};

fn without_unit(world: World) -> World {
    world
        .iter()
        .map(|(_, resource)| resource.clone())
        .filter(|resource| !matches!(resource, Resource::Unit { .. }))
        .collect()
}

/// Processor time so far in hundredths of a second of PID 1, the bus and this process; a busy machine does not change it.
fn processor_time() -> [u64; 3] {
    let bus = crate::place::say(&["systemctl", "show", "-P", "MainPID", "dbus.service"]).1;
    ["1", bus.as_str(), "self"].map(|pid| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields: Vec<&str> = text.rsplit(')').next().unwrap().split_ascii_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    })
}

/// Processor time of some work, per unit of it.
fn charge(what: &str, units: u32, work: impl FnOnce()) {
    let before = processor_time();
    work();
    let spent = processor_time()
        .into_iter()
        .zip(before)
        .map(|(after, before)| (after - before) * 10_000 / u64::from(units));
    println!(
        "{what}: processor time of PID 1, dbus-daemon, this process: {:?} us each",
        spent.collect::<Vec<_>>()
    );
}

/// Median time of each kind of step over some tenants.
fn medians(host: &mut RealHost, first: u32, count: u32, times: &mut BTreeMap<String, Vec<Duration>>) {
    let (paths, _) = ready();
    for number in first..first + count {
        let (id, uid) = tenant(&format!("cost-{number}"), 1000 + number);
        let wanted = without_unit(world(&paths, &id, uid));
        let whole = Instant::now();
        for (key, resource) in wanted.iter() {
            let begun = Instant::now();
            host.perform(&Op::Make { resource: resource.clone() }).unwrap();
            times.entry(format!("make {}", key.kind)).or_default().push(begun.elapsed());
        }
        let begun = Instant::now();
        host.observe(&Scope { tenant: id.clone(), uid: Some(uid), wanted: wanted.clone() }).unwrap();
        times.entry("observe".to_owned()).or_default().push(begun.elapsed());
        times.entry("whole tenant without start".to_owned()).or_default().push(whole.elapsed());
    }
}

fn print(title: &str, times: BTreeMap<String, Vec<Duration>>) {
    for (what, mut list) in times {
        list.sort();
        println!(
            "{title}: {what}: median {:?}, worst {:?}, {} times",
            list[list.len() / 2],
            list[list.len() - 1],
            list.len()
        );
    }
}

#[test]
#[ignore = "needs a throwaway host"]
fn the_thousandth_tenant_costs_what_the_first_does() {
    let (paths, systemd) = ready();
    let mut host = RealHost::new(paths.clone(), systemd.clone());
    let count: u32 = std::env::var("TENANTS").map_or(200, |text| text.parse().unwrap());
    let mut early = BTreeMap::new();
    charge("first 20", 20, || medians(&mut host, 0, 20, &mut early));
    print("first 20", early);
    medians(&mut host, 20, count - 40, &mut BTreeMap::new());
    let mut late = BTreeMap::new();
    charge("last 20", 20, || medians(&mut host, count - 20, 20, &mut late));
    print("last 20", late);
    let begun = Instant::now();
    let listed = systemd.list("tenant@*.service").unwrap().len();
    println!("list of {listed} loaded units: {:?}", begun.elapsed());
    let begun = Instant::now();
    println!("{} enabled, read in {:?}", host::enabled(&paths).unwrap().len(), begun.elapsed());
    let (id, _) = tenant("cost-0", 1000);
    for memory in [2u64 << 30, 3 << 30] {
        let begun = Instant::now();
        host.perform(&Op::Change {
            resource: Resource::Slice { unit: id.slice(), properties: limits(memory) },
        })
        .unwrap();
        println!("SetUnitProperties, four limits: {:?}", begun.elapsed());
    }
    let begun = Instant::now();
    charge("remove", count, || {
        for number in 0..count {
            let (id, uid) = tenant(&format!("cost-{number}"), 1000 + number);
            settle(&paths, &systemd, &id, uid, World::empty()).unwrap();
        }
    });
    println!("{count} removed one after the other: {:?}", begun.elapsed());
}

#[test]
#[ignore = "needs a throwaway host"]
fn a_list_is_one_question_however_many_run() {
    let (_, systemd) = ready();
    let count: u32 = std::env::var("TENANTS").map_or(200, |text| text.parse().unwrap());
    let names: Vec<String> = (0..count).map(|number| format!("listed@{number}.service")).collect();
    let in_parallel = |work: fn(&host::Systemd, &str)| {
        std::thread::scope(|scope| {
            for part in names.chunks(names.len().div_ceil(50)) {
                let systemd = &systemd;
                scope.spawn(move || part.iter().for_each(|name| work(systemd, name)));
            }
        });
    };
    let begun = Instant::now();
    in_parallel(|systemd, name| systemd.start(name).unwrap());
    println!("{count} oneshot units started, 50 at a time: {:?}", begun.elapsed());
    for _ in 0..5 {
        let begun = Instant::now();
        let found = systemd.list("listed@*.service").unwrap().len();
        println!("list of {found} active units: {:?}", begun.elapsed());
    }
    charge("list", 20, || (0..20).for_each(|_| drop(systemd.list("listed@*.service").unwrap())));
    in_parallel(|systemd, name| systemd.stop(name).unwrap());
    assert!(systemd.list("listed@*.service").unwrap().is_empty());
}
