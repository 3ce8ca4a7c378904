//! Rotations are cut off after every step and go on from what lies on the disk. No value is lost, and nothing stays readable under an
//! old key.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a step of a test that fails is a failed test"
)]

mod disk;

use std::collections::BTreeMap;

use disk::{Disk, tenant};
use model::TenantId;
use proptest::prelude::*;
use vault::{Kek, Keks, VaultError};

const TENANTS: [&str; 2] = ["acme", "beta"];
const NAMES: [&str; 3] = ["a", "b", "c"];

type Values = BTreeMap<(TenantId, &'static str), Option<String>>;

fn values(disk: &Disk) -> Values {
    let keys = disk.tenants().into_iter().flat_map(|id| NAMES.map(|name| (id.clone(), name)));
    keys.map(|(id, name)| ((id.clone(), name), disk.value(&id, name))).collect()
}

fn filled() -> Disk {
    let mut disk = Disk::new(&TENANTS);
    for id in TENANTS {
        for name in NAMES {
            disk.set(&tenant(id), name, &format!("value of {name} of {id}"));
        }
    }
    disk
}

/// How many changes `work` makes, and a disk cut off after each number of them that is less.
fn cuts(before: &Disk, work: impl Fn(&mut Disk)) -> Vec<Disk> {
    let mut whole = before.clone().cut_after(Some(usize::MAX));
    work(&mut whole);
    let changes = usize::MAX - whole.left.unwrap();
    let cut_after = |left| {
        let mut cut = before.clone().cut_after(Some(left));
        work(&mut cut);
        cut.cut_after(None)
    };
    (0..=changes).map(cut_after).collect()
}

#[test]
fn a_rotation_of_the_kek_goes_on_after_a_crash_at_any_step() {
    let before = filled();
    let cuts = cuts(&before, Disk::rotate_kek);
    // Stored, one DEK of each tenant, promoted.
    assert_eq!(cuts.len(), 1 + 1 + TENANTS.len() + 1);
    for (number, mut disk) in cuts.into_iter().enumerate() {
        assert_eq!(values(&disk), values(&before), "after {number} changes");
        disk.go_on();
        assert_eq!(values(&disk), values(&before), "after {number} changes, and on");
        let old = Keks::new(Kek::from_bytes(&before.current_kek()).unwrap(), None);
        for id in disk.tenants() {
            let listing = disk.listing(&id);
            assert!(listing.is_held_by(disk.keks().newest().id()));
            assert_eq!(listing.next_step(&disk.keks()).unwrap(), None);
            let version = listing.newest_version(&disk::name("a")).unwrap();
            let with_old = listing.open(&old, &disk::name("a"), version, vault::Kind::Proxy);
            // Cut off before the first change, the rotation never began.
            assert_eq!(matches!(with_old, Err(VaultError::ForeignKek { .. })), number > 0);
        }
        assert_eq!(disk.current_kek() == before.current_kek(), number == 0);
    }
}

#[test]
fn a_rotation_of_a_dek_goes_on_after_a_crash_at_any_step() {
    let (before, acme) = (filled(), tenant("acme"));
    let cuts = cuts(&before, |disk| disk.rotate_dek(&tenant("acme")));
    assert_eq!(cuts.len(), 1 + 1 + NAMES.len() + 1);
    for (number, mut disk) in cuts.into_iter().enumerate() {
        assert_eq!(values(&disk), values(&before), "after {number} changes");
        disk.go_on();
        assert_eq!(values(&disk), values(&before), "after {number} changes, and on");
        let dek = if number == 0 { "dek.1" } else { "dek.2" };
        assert_eq!(disk.names(&acme), [dek, "secret.a.1", "secret.b.1", "secret.c.1"]);
        assert_eq!(disk.files(&tenant("beta")), before.files(&tenant("beta")));
    }
}

#[test]
fn nothing_that_was_sealed_anew_opens_under_the_old_dek() {
    let (mut disk, acme) = (filled(), tenant("acme"));
    let old = disk.files(&acme)["dek.1"].clone();
    disk.rotate_dek(&acme);
    // The old DEK, kept by somebody, in its old place and in that of the new one.
    for file in ["dek.1", "dek.2"] {
        let mut stolen = disk.clone();
        stolen.remove_file(&acme, "dek.2");
        stolen.put(&acme, file, &old);
        for name in NAMES {
            let opened = stolen.listing(&acme).open(&stolen.keks(), &disk::name(name), 1, vault::Kind::Proxy);
            assert!(opened.is_err());
        }
    }
}

#[test]
fn setting_and_removing_go_on_after_a_crash_at_any_step() {
    let (before, acme) = (filled(), tenant("acme"));
    for mut disk in cuts(&before, |disk| disk.set(&tenant("acme"), "a", "new")) {
        let now = disk.value(&acme, "a").unwrap();
        disk.go_on();
        assert!(disk.value(&acme, "a").unwrap() == now && (now == "new" || now == "value of a of acme"));
        assert_eq!(disk.names(&acme).len(), 1 + NAMES.len());
    }
    for mut disk in cuts(&before, |disk| disk.remove(&tenant("acme"), "a")) {
        disk.remove(&acme, "a");
        assert_eq!(disk.value(&acme, "a"), None);
        disk.set(&acme, "a", "new");
        assert_eq!(disk.names(&acme), ["dek.1", "secret.a.2", "secret.b.1", "secret.c.1"]);
    }
}

#[test]
fn a_tenant_made_during_a_rotation_of_the_kek_is_under_the_next_one() {
    let mut disk = filled().cut_after(Some(1));
    disk.rotate_kek();
    disk.left = None;
    let step = disk.listing(&tenant("gamma")).create(&disk.keks()).unwrap();
    disk.carry_out(&tenant("gamma"), step);
    assert!(disk.listing(&tenant("gamma")).is_held_by(disk.keks().newest().id()));
    assert!(!disk.listing(&tenant("acme")).is_held_by(disk.keks().newest().id()));
    disk.go_on();
    assert!(disk.tenants().iter().all(|id| disk.listing(id).is_held_by(disk.keks().newest().id())));
}

#[derive(Clone, Debug)]
enum Work {
    Set(usize, usize, u16),
    Remove(usize, usize),
    RotateDek(usize),
    RotateKek,
}

fn work() -> impl Strategy<Value = Work> {
    prop_oneof![
        (0..TENANTS.len(), 0..NAMES.len(), any::<u16>()).prop_map(|(t, n, v)| Work::Set(t, n, v)),
        (0..TENANTS.len(), 0..NAMES.len()).prop_map(|(t, n)| Work::Remove(t, n)),
        (0..TENANTS.len()).prop_map(Work::RotateDek),
        Just(Work::RotateKek),
    ]
}

/// Does it, and says which value it changes to what.
fn carry_out(disk: &mut Disk, work: &Work) -> Option<((TenantId, &'static str), Option<String>)> {
    match work {
        Work::Set(t, n, v) => {
            disk.set(&tenant(TENANTS[*t]), NAMES[*n], &v.to_string());
            Some(((tenant(TENANTS[*t]), NAMES[*n]), Some(v.to_string())))
        }
        Work::Remove(t, n) => {
            disk.remove(&tenant(TENANTS[*t]), NAMES[*n]);
            Some(((tenant(TENANTS[*t]), NAMES[*n]), None))
        }
        // A rotation that was cut off is under way still: then it goes on.
        Work::RotateDek(t) => {
            let id = tenant(TENANTS[*t]);
            if disk.names(&id).iter().filter(|file| file.starts_with("dek.")).count() == 1 {
                disk.rotate_dek(&id);
            } else {
                disk.settle(&id);
            }
            None
        }
        Work::RotateKek => {
            disk.rotate_kek();
            None
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn whatever_is_done_and_cut_off_wherever_every_value_is_the_old_or_the_new_one(
        works in prop::collection::vec((work(), prop::option::of(0usize..6)), 1..25),
    ) {
        let mut disk = filled();
        let mut expected = values(&disk);
        for (work, cut) in works {
            // A rotation of the KEK that was cut off goes on at the start, before anything else.
            disk.left = None;
            if matches!(work, Work::RotateKek) {
                disk.go_on();
            }
            disk.left = cut;
            let change = carry_out(&mut disk, &work);
            let now = values(&disk);
            if let Some((key, new)) = change {
                prop_assert!(now[&key] == new || (cut.is_some() && now[&key] == expected[&key]), "{:?}", work);
                expected.insert(key.clone(), now[&key].clone());
            }
            prop_assert_eq!(&now, &expected);
        }
        disk.left = None;
        disk.go_on();
        prop_assert_eq!(&values(&disk), &expected);
        for id in disk.tenants() {
            prop_assert_eq!(disk.listing(&id).next_step(&disk.keks()).unwrap(), None);
            prop_assert!(disk.listing(&id).is_held_by(disk.keks().newest().id()));
            let set = NAMES.iter().filter(|name| expected[&(id.clone(), **name)].is_some()).count();
            prop_assert_eq!(disk.names(&id).len(), 1 + set);
        }
    }
}
