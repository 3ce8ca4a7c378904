//! The rules of the pure core, each over many worlds.
#![allow(clippy::unwrap_used, reason = "a step of a test that fails is a failed test")]

mod fixture;

use fixture::{FakeHost, NoJournal, facts, holds, scope, tenant};
use model::{Feature, Kind, World};
use plan::{LAYERS, Op, Refusal, apply, explain, plan, wanted};
use proptest::prelude::*;

fn world_of(index: u32, extra: &str) -> World {
    wanted(LAYERS, &tenant("acme", index, extra), &facts()).unwrap().world
}

fn extras() -> impl Strategy<Value = String> {
    (
        prop::option::of(16u64..100_000),
        prop::option::of(1u64..10_000),
        prop::option::of(16u64..4096),
        prop::option::of(1u64..64),
        any::<[bool; 2]>(),
    )
        .prop_map(|(tasks, weight, memory, disk, [described, egress])| {
            let mut text = String::new();
            if described {
                text.push_str("description = \"x\"\n");
            }
            text.push_str("[limits]\n");
            for (key, value) in [
                ("tasks_max", tasks.map(|v| v.to_string())),
                ("cpu_weight", weight.map(|v| v.to_string())),
                ("memory_max", memory.map(|v| format!("\"{v}M\""))),
                ("disk_max", disk.map(|v| format!("\"{v}G\""))),
            ] {
                if let Some(value) = value {
                    text.push_str(&format!("{key} = {value}\n"));
                }
            }
            if egress {
                text.push_str("[egress]\n");
            }
            text
        })
}

/// Some resources of a tenant are there, some are not, some are as another spec had them.
fn half_made() -> impl Strategy<Value = World> {
    (extras(), prop::collection::vec(any::<bool>(), 64)).prop_map(|(extra, keep)| {
        let full = world_of(1, &extra);
        full.iter().zip(keep).filter(|(_, keep)| *keep).map(|((_, resource), _)| resource.clone()).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_plan_turns_any_observed_world_into_the_wanted_one(extra in extras(), observed in half_made()) {
        let target = world_of(1, &extra);
        let mut host = FakeHost { world: observed, ..FakeHost::default() };
        apply(&mut host, &mut NoJournal, &scope("acme", target.clone())).unwrap();
        prop_assert_eq!(&host.world, &target);
        prop_assert!(plan(&target, &host.world).is_empty());
    }

    #[test]
    fn removal_needs_no_config(observed in half_made()) {
        let mut host = FakeHost { world: observed, ..FakeHost::default() };
        apply(&mut host, &mut NoJournal, &scope("acme", World::empty())).unwrap();
        prop_assert!(host.world.is_empty());
    }

    #[test]
    fn no_prefix_of_a_plan_has_a_running_unit_without_its_fence(extra in extras(), observed in half_made(), build in any::<bool>()) {
        let target = if build { world_of(1, &extra) } else { World::empty() };
        let fenced = |world: &World| ["file /var/lib/tenantd/compiled/acme/network.json", "file /var/lib/tenantd/compiled/acme/confinement.json", "account t-acme"]
            .iter().all(|key| holds(world, key));
        // The rule is about what the plan does: a host that already runs an unfenced unit is stopped or fenced by it.
        prop_assume!(!holds(&observed, "unit tenant@acme.service") || fenced(&observed));
        let mut host = FakeHost { world: observed, ..FakeHost::default() };
        apply(&mut host, &mut NoJournal, &scope("acme", target)).unwrap();
        for world in &host.history {
            prop_assert!(!holds(world, "unit tenant@acme.service") || fenced(world));
        }
    }

    #[test]
    fn dying_at_any_step_and_going_on_converges(extra in extras(), observed in half_made(), at in 0usize..40, build in any::<bool>()) {
        let target = if build { world_of(1, &extra) } else { World::empty() };
        let mut host = FakeHost { world: observed, fail_at: Some(at), ..FakeHost::default() };
        let goal = scope("acme", target.clone());
        if apply(&mut host, &mut NoJournal, &goal).is_err() {
            host.fail_at = None;
            apply(&mut host, &mut NoJournal, &goal).unwrap();
        }
        prop_assert_eq!(&host.world, &target);
    }

    #[test]
    fn shuffling_the_layers_changes_nothing(extra in extras(), order in Just((0..LAYERS.len()).collect::<Vec<_>>()).prop_shuffle()) {
        let shuffled: Vec<_> = order.into_iter().map(|i| LAYERS[i]).collect();
        let subject = tenant("acme", 1, &extra);
        prop_assert_eq!(wanted(&shuffled, &subject, &facts()), wanted(LAYERS, &subject, &facts()));
    }

    #[test]
    fn two_tenants_share_no_resource(a in 0u32..16_000, b in 0u32..16_000) {
        prop_assume!(a != b);
        let one = wanted(LAYERS, &tenant("acme", a, ""), &facts()).unwrap().world;
        let two = wanted(LAYERS, &tenant("acme-corp", b, ""), &facts()).unwrap().world;
        for (key, _) in one.iter() {
            prop_assert!(two.get(key).is_none(), "{key}");
        }
    }

    #[test]
    fn a_plan_survives_the_wire(extra in extras()) {
        let made = plan(&world_of(1, &extra), &World::empty());
        let text = serde_json::to_string(&made).unwrap();
        prop_assert_eq!(serde_json::from_str::<plan::Plan>(&text).unwrap(), made);
    }
}

#[test]
fn a_changed_file_restarts_a_running_unit_and_starts_no_stopped_one() {
    let before = world_of(1, "");
    let after = world_of(1, "[limits]\ntasks_max = 64\n");
    let restarts = |observed: &World, wanted: &World| {
        plan(wanted, observed).ops.iter().filter(|op| matches!(op, Op::Restart { .. })).count()
    };
    assert_eq!(restarts(&before, &after), 1);
    let stopped = |world: &World| {
        world.iter().filter(|(key, _)| key.kind != Kind::Unit).map(|(_, r)| r.clone()).collect::<World>()
    };
    assert_eq!(restarts(&stopped(&before), &stopped(&after)), 0);
}

#[test]
fn limits_of_the_slice_alone_restart_nothing() {
    let plan = plan(
        &world_of(1, "[limits]\nmemory_max = \"1G\"\n"),
        &world_of(1, "[limits]\nmemory_max = \"2G\"\n"),
    );
    let printed = plan.to_string();
    assert!(printed.contains("~ slice tenants-acme.slice MemoryMax=1073741824"), "{printed}");
    assert!(!printed.contains("restart"), "{printed}");
}

#[test]
fn a_missing_feature_is_refused_by_name_and_can_be_accepted_by_name() {
    let mut host = facts();
    host.controllers.clear();
    let spec = "[limits]\nmemory_max = \"1G\"\n";
    let refusal = wanted(LAYERS, &tenant("acme", 1, spec), &host).unwrap_err();
    assert!(matches!(refusal, Refusal::Missing { feature: Feature::CgroupMemory, .. }), "{refusal}");
    assert!(refusal.to_string().contains("accept_missing = [\"cgroup-memory\"]"));
    let accepted = tenant("acme", 1, &format!("accept_missing = [\"cgroup-memory\"]\n{spec}"));
    assert_eq!(wanted(LAYERS, &accepted, &host).unwrap().missing, [Feature::CgroupMemory]);
}

#[test]
fn a_kernel_below_the_landlock_floor_is_refused_whatever_the_spec_says() {
    let host = model::Facts { landlock_abi: 1, ..facts() };
    let refusal = wanted(LAYERS, &tenant("acme", 1, ""), &host).unwrap_err();
    assert!(refusal.to_string().contains("Landlock ABI 2"), "{refusal}");
}

#[test]
fn a_limit_above_the_host_is_refused_with_both_numbers() {
    let refusal =
        wanted(LAYERS, &tenant("acme", 1, "[limits]\nmemory_max = \"1T\"\n"), &facts()).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "tenant acme: memory_max = 1T is more than this host has (65536M of memory): lower it"
    );
}

#[test]
fn a_secret_shows_in_no_plan_and_no_debug_output() {
    let made = plan(&world_of(1, ""), &World::empty());
    assert!(!made.to_string().contains("0707") && !format!("{made:?}").contains("0707"));
}

#[test]
fn every_slot_names_the_layer_that_asked() {
    let lines = explain(&wanted(LAYERS, &tenant("acme", 1, ""), &facts()).unwrap());
    assert!(lines.iter().any(|line| line.what == "confinement landlock" && line.layers == ["landlock"]));
    assert!(lines.iter().all(|line| !line.layers.is_empty()));
}

#[test]
fn a_tenant_with_a_way_out_finds_its_proxy_and_one_without_has_no_trace_of_it() {
    let text = |extra: &str, path: &str| {
        let world = world_of(1, extra);
        let found = world.iter().find(|(key, _)| key.to_string() == format!("file {path}"));
        found.map(|(_, resource)| format!("{resource:?}")).unwrap_or_default()
    };
    let world = |extra: &str| world_of(1, extra);
    let policy = "file /var/lib/tenantd/egress/acme/egress.json";
    assert!(holds(&world("[egress]\n"), policy) && !holds(&world(""), policy));
    let resolv = "/var/lib/tenantd/compiled/acme/etc/resolv.conf";
    assert_ne!(text("[egress]\n", resolv), text("", resolv));
    // A policy that changes restarts no gateway.
    assert!(text("[egress]\n", "/var/lib/tenantd/egress/acme/egress.json").contains("restart: false"));
    assert!(text("", "/var/lib/tenantd/compiled/acme/network.json").contains("restart: true"));
    assert_ne!(
        text("[egress]\n", "/var/lib/tenantd/compiled/acme/network.json"),
        text("", "/var/lib/tenantd/compiled/acme/network.json")
    );
}

#[test]
fn the_way_out_replaces_what_a_runtime_says_of_proxies_and_not_what_a_spec_does() {
    let value = |extra: &str| {
        let mut tenant = tenant("acme", 1, extra);
        let said = tenant.spec.environment.get("HTTPS_PROXY").cloned().unwrap_or_default();
        tenant.gateway.environment.insert("HTTPS_PROXY".to_owned(), said);
        let world = wanted(LAYERS, &tenant, &facts()).unwrap().world;
        let path = "file /var/lib/tenantd/compiled/acme/confinement.json";
        let (_, file) = world.iter().find(|(key, _)| key.to_string() == path).unwrap();
        let model::Resource::File { content, .. } = file else { panic!("a file") };
        let file: model::Confinement = serde_json::from_slice(content.bytes()).unwrap();
        file.environment["HTTPS_PROXY"].clone()
    };
    assert_eq!(value(""), "");
    assert_eq!(value("[egress]\n"), "http://127.0.0.1:3128");
    assert_eq!(value("[environment]\nHTTPS_PROXY = \"http://x\"\n[egress]\n"), "http://x");
}
