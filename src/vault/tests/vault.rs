//! The vault of a tenant over a disk that is a map: what is set is read, what is removed is gone, what is damaged is named.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a step of a test that fails is a failed test"
)]

mod disk;

use disk::{Disk, name, secret, tenant, value};
use model::TenantId;
use vault::{Kek, Keks, Kind, Listing, Step, VaultError};

fn acme() -> TenantId {
    tenant("acme")
}

/// A disk with a vault of acme and these secrets.
fn disk(secrets: &[(&str, &str)]) -> Disk {
    let mut disk = Disk::new(&["acme"]);
    for (secret_name, text) in secrets {
        disk.set(&acme(), secret_name, text);
    }
    disk
}

fn failure(disk: &Disk, secret_name: &str) -> String {
    let listing = disk.listing(&acme());
    let version = listing.newest_version(&name(secret_name)).unwrap();
    let Err(error) = listing.open(&disk.keks(), &name(secret_name), version, Kind::Proxy) else {
        panic!("{secret_name} opened")
    };
    let text = error.to_string();
    assert!(text.starts_with("tenant acme: ") && !text.contains("hunter"), "{text}");
    text
}

#[test]
fn what_is_set_is_read_and_the_new_value_replaces_the_old() {
    let mut disk = disk(&[("token", "hunter1"), ("key", "hunter3")]);
    assert_eq!(disk.value(&acme(), "token").as_deref(), Some("hunter1"));
    disk.set(&acme(), "token", "hunter2");
    assert_eq!(disk.value(&acme(), "token").as_deref(), Some("hunter2"));
    assert_eq!(disk.names(&acme()), ["dek.1", "secret.key.1", "secret.token.2"]);
    let listed: Vec<_> =
        disk.listing(&acme()).secrets().map(|s| (s.name.to_string(), s.version, s.kind)).collect();
    assert_eq!(listed, [("key".into(), 1, Some(Kind::Proxy)), ("token".into(), 2, Some(Kind::Proxy))]);
}

#[test]
fn no_value_is_on_the_disk() {
    let mut disk = disk(&[("token", "hunter1"), ("key", "hunter2")]);
    disk.rotate_dek(&acme());
    let files = disk.files(&acme());
    assert!(files.values().all(|bytes| !bytes.windows(6).any(|window| window == b"hunter")));
    assert!(files.values().all(|bytes| !bytes.windows(32).any(|window| window == disk.current_kek())));
}

#[test]
fn until_the_step_is_on_disk_the_old_value_stands_and_after_it_the_new_one() {
    let mut disk = disk(&[("token", "hunter1")]);
    let step = disk
        .listing(&acme())
        .set(&disk.keks(), (&name("token"), 0), Kind::Proxy, &secret("hunter2"))
        .unwrap();
    assert_eq!(disk.value(&acme(), "token").as_deref(), Some("hunter1"));
    disk.carry_out(&acme(), step);
    assert_eq!(disk.value(&acme(), "token").as_deref(), Some("hunter2"));
    assert_eq!(disk.names(&acme()), ["dek.1", "secret.token.1", "secret.token.2"]);
    disk.settle(&acme());
    assert_eq!(disk.names(&acme()), ["dek.1", "secret.token.2"]);
}

#[test]
fn a_secret_opens_as_its_own_kind_only() {
    let disk = disk(&[("token", "hunter1")]);
    for kind in [Kind::File, Kind::Variable, Kind::Gateway] {
        let opened = disk.listing(&acme()).open(&disk.keks(), &name("token"), 1, kind);
        assert!(matches!(opened, Err(VaultError::Sealed { .. })));
    }
    let missing = disk.listing(&acme()).open(&disk.keks(), &name("token"), 2, Kind::Proxy);
    assert!(matches!(missing, Err(VaultError::NoSecret { version: 2, .. })));
}

#[test]
fn a_record_in_another_place_does_not_open() {
    let mut disk = Disk::new(&["acme", "beta"]);
    for id in ["acme", "beta"] {
        disk.set(&tenant(id), "token", "hunter1");
        disk.set(&tenant(id), "key", "hunter2");
    }
    let [acmes, betas] = ["acme", "beta"].map(|id| disk.files(&tenant(id)).clone());
    // Of another tenant, with and without its DEK; of another name; of another version.
    disk.put(&acme(), "secret.token.1", &betas["secret.token.1"]);
    assert!(failure(&disk, "token").contains("does not open"));
    disk.put(&acme(), "dek.1", &betas["dek.1"]);
    let text = failure(&disk, "token");
    assert!(text.contains("dek.1 does not open") && text.contains("opens with nothing else"), "{text}");
    disk.put(&acme(), "dek.1", &acmes["dek.1"]);
    disk.put(&acme(), "secret.token.1", &acmes["secret.key.1"]);
    assert!(failure(&disk, "token").contains("does not open"));
    disk.put(&acme(), "secret.token.2", &acmes["secret.token.1"]);
    assert!(failure(&disk, "token").contains("does not open"));
    disk.put(&acme(), "dek.2", &acmes["dek.1"]);
    let error = disk.listing(&acme()).rotate_dek(&disk.keks()).unwrap_err();
    assert!(matches!(error, VaultError::UnderWay { .. }));
    disk.remove_file(&acme(), "dek.1");
    assert!(failure(&disk, "token").contains("needs DEK generation 1, which is not there"));
    let error = disk.listing(&acme()).rotate_dek(&disk.keks()).unwrap_err();
    assert!(error.to_string().contains("dek.2 does not open"), "{error}");
}

#[test]
fn a_secret_that_was_removed_and_set_again_does_not_take_its_old_records() {
    let mut disk = disk(&[("token", "hunter1"), ("key", "hunter2")]);
    let old = disk.files(&acme())["secret.token.1"].clone();
    disk.remove(&acme(), "token");
    assert_eq!(disk.value(&acme(), "token"), None);
    assert_eq!(disk.names(&acme()), ["dek.1", "secret.key.1"]);
    disk.rotate_dek(&acme());
    disk.set(&acme(), "token", "hunter3");
    assert_eq!(disk.names(&acme()), ["dek.2", "secret.key.1", "secret.token.2"]);
    disk.put(&acme(), "secret.token.2", &old);
    failure(&disk, "token");
}

#[test]
fn a_damaged_record_is_named_holds_no_other_up_and_is_mended_by_setting_or_removing_it() {
    for mend in
        [|disk: &mut Disk| disk.set(&acme(), "b", "hunter9"), |disk: &mut Disk| disk.remove(&acme(), "b")]
    {
        for damage in [&b""[..], b"tnd-secr\x02", &[0; 100]] {
            let mut disk = disk(&[("a", "hunter1"), ("b", "hunter2"), ("c", "hunter3")]);
            disk.put(&acme(), "secret.b.1", damage);
            assert_eq!(
                disk.listing(&acme()).check(&disk.keks()).unwrap_err().to_string(),
                failure(&disk, "b")
            );
            let text = failure(&disk, "b");
            assert!(
                text.contains("secret.b.1 cannot be read") && text.ends_with("set the secret anew"),
                "{text}"
            );
            let step = disk.listing(&acme()).rotate_dek(&disk.keks()).unwrap();
            disk.carry_out(&acme(), step);
            let error = disk.try_settle(&acme()).unwrap_err();
            assert!(error.to_string().contains("secret.b.1"), "{error}");
            assert_eq!(disk.names(&acme()), ["dek.1", "dek.2", "secret.a.1", "secret.b.1", "secret.c.1"]);
            mend(&mut disk);
            disk.settle(&acme());
            disk.listing(&acme()).check(&disk.keks()).unwrap();
            assert_eq!(disk.names(&acme()).first().unwrap(), "dek.2");
            assert_eq!(disk.value(&acme(), "a").as_deref(), Some("hunter1"));
            assert_eq!(disk.value(&acme(), "c").as_deref(), Some("hunter3"));
        }
    }
}

#[test]
fn an_old_version_and_an_old_dek_stay_while_the_new_value_does_not_open() {
    let mut disk = disk(&[("token", "hunter1")]);
    let step = disk
        .listing(&acme())
        .set(&disk.keks(), (&name("token"), 0), Kind::Proxy, &secret("hunter2"))
        .unwrap();
    let Step::Write { file, mut bytes } = step else { panic!("set removes") };
    bytes[40] ^= 1;
    disk.put(&acme(), &file, &bytes);
    assert!(disk.try_settle(&acme()).is_err());
    let step = disk.listing(&acme()).rotate_dek(&disk.keks()).unwrap();
    disk.carry_out(&acme(), step);
    assert!(disk.try_settle(&acme()).is_err());
    assert_eq!(disk.names(&acme()), ["dek.1", "dek.2", "secret.token.1", "secret.token.2"]);
    let kept = disk.listing(&acme()).open(&disk.keks(), &name("token"), 1, Kind::Proxy).unwrap();
    assert_eq!(value(&kept), "hunter1");
    // One that only says that it is under the new DEK keeps the old DEK too.
    bytes[10..14].copy_from_slice(&2u32.to_be_bytes());
    disk.put(&acme(), "secret.token.2", &bytes);
    disk.remove_file(&acme(), "secret.token.1");
    assert!(disk.try_settle(&acme()).unwrap_err().to_string().contains("secret.token.2 does not open"));
    assert!(disk.names(&acme()).contains(&"dek.1".to_owned()));
}

#[test]
fn a_kek_that_is_not_at_hand_is_named() {
    let mut disk = disk(&[("token", "hunter1")]);
    let needed = disk.keks().newest().id();
    let other = Keks::new(Kek::generate().unwrap(), None);
    let listing = disk.listing(&acme());
    for error in [
        listing.open(&other, &name("token"), 1, Kind::Proxy).err().unwrap(),
        listing.set(&other, (&name("token"), 0), Kind::Proxy, &secret("x")).unwrap_err(),
        listing.next_step(&other).unwrap_err(),
    ] {
        assert!(matches!(&error, VaultError::ForeignKek { kek, .. } if *kek == needed));
        assert!(error.to_string().contains(&format!("needs KEK {needed}, which is not at hand: import")));
    }
    // A DEK of somebody else, under that name: the id of the KEK is bytes 9 to 17.
    let empty = Listing::read(acme(), []).unwrap();
    let Step::Write { file, mut bytes } = empty.create(&other).unwrap() else { panic!("create removes") };
    bytes[9..17].copy_from_slice(&disk.files(&acme())["dek.1"][9..17]);
    disk.put(&acme(), &file, &bytes);
    assert!(failure(&disk, "token").contains("dek.1 does not open"));
}

#[test]
fn files_that_are_none_of_the_vaults_are_refused_by_name() {
    for file in [
        "",
        "dek",
        "dek.",
        "dek.0",
        "dek.01",
        "dek.-1",
        "dek.+1",
        "dek.4294967296",
        "dek.1.2",
        "secret.a",
        "secret.a.0",
        "secret.A.1",
        "secret..1",
        "secret.a.1.bak",
        "secret.a.18446744073709551616",
        "secret.a.1 ",
        "kek",
        "../dek.1",
    ] {
        let error = Listing::read(acme(), [(file.to_owned(), Vec::new())]).unwrap_err();
        assert!(matches!(&error, VaultError::Stray { file: named, .. } if named == file), "{error}");
    }
}

#[test]
fn a_vault_is_made_once_and_without_one_nothing_is_set() {
    let disk = disk(&[("token", "hunter1")]);
    assert!(matches!(disk.listing(&acme()).create(&disk.keks()), Err(VaultError::Exists { .. })));
    let empty = Listing::read(acme(), []).unwrap();
    let error = empty.set(&disk.keks(), (&name("token"), 0), Kind::Proxy, &secret("x")).unwrap_err();
    assert!(matches!(error, VaultError::NoDek { .. }));
    assert!(matches!(empty.rotate_dek(&disk.keks()), Err(VaultError::NoDek { .. })));
    assert_eq!(empty.next_step(&disk.keks()).unwrap(), None);
    assert_eq!(empty.remove(&disk.keks(), &name("token")).unwrap(), None);
}
