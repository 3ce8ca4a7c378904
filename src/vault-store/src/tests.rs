//! On a real file system: whole files, ends at any step, what is put in the way.
#![allow(clippy::disallowed_methods, reason = "a test puts things in the way that are not whole")]

use std::cell::Cell;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};

use model::TenantId;
use nix::errno::Errno;
use tempfile::TempDir;
use vault::{Kek, Keks, Kind, Secret, SecretName};

use crate::{StoreError, TenantVault, VaultStore};

thread_local! {
    /// How many points are passed before the world ends.
    static POINTS: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Called before, within and after each change of a file.
pub(crate) fn may_go_on() -> io::Result<()> {
    let left = POINTS.get().checked_sub(1).ok_or_else(|| io::Error::from(Errno::EIO))?;
    POINTS.set(left);
    Ok(())
}

impl VaultStore {
    /// What interrupted changes left of a tenant's files.
    fn hidden(&self, tenant: &TenantId) -> Vec<String> {
        let directory = self.root.find(&tenant.system_name()).unwrap().unwrap();
        directory.all().unwrap().into_iter().filter(|name| name.starts_with('.')).collect()
    }
}

fn keks() -> Keks {
    Keks::new(Kek::from_bytes(&[7; 32]).unwrap(), None)
}

fn acme() -> TenantId {
    TenantId::parse("acme-corp").unwrap()
}

fn name(text: &str) -> SecretName {
    SecretName::parse(text).unwrap()
}

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec()).unwrap()
}

/// A vault directory with three secrets in it, and the store over it.
fn filled() -> (TempDir, VaultStore) {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o700)).unwrap();
    let store = VaultStore::open(directory.path()).unwrap();
    let mut vault = store.find_or_make(&acme(), &keks()).unwrap();
    for text in ["one", "two", "three"] {
        vault.set(&keks(), (&name(text), 0), Kind::Proxy, &secret(&format!("value of {text}"))).unwrap();
    }
    (directory, store)
}

fn value(vault: &TenantVault, keks: &Keks, text: &str) -> Option<String> {
    let version = vault.listing().newest_version(&name(text))?;
    let secret = vault.listing().open(keks, &name(text), version, Kind::Proxy).unwrap();
    Some(String::from_utf8(secret.expose().to_vec()).unwrap())
}

/// Does `change` with the world ending after 0, 1, 2… points, each time to a vault made anew; whether it ended well or not,
/// `holds` looks at what another process finds and settles. Returns how many points the whole change passes.
fn at_every_point(
    change: impl Fn(&VaultStore) -> Result<(), StoreError>,
    holds: impl Fn(&VaultStore, bool),
) -> usize {
    for points in 0.. {
        let (_directory, store) = filled();
        POINTS.set(points);
        let done = change(&store).is_ok();
        POINTS.set(usize::MAX);
        holds(&store, done);
        if done {
            return points;
        }
    }
    unreachable!()
}

#[test]
fn what_is_set_is_there_for_the_next_process() {
    let (directory, store) = filled();
    let vault = store.find(&acme()).unwrap().unwrap();
    assert_eq!(value(&vault, &keks(), "two").as_deref(), Some("value of two"));
    assert_eq!(vault.listing().secrets().count(), 3);
    assert_eq!(store.tenants().unwrap(), [acme()]);
    let path = directory.path().join("acme_corp");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o700);
    let file = fs::metadata(path.join("secret.one.1")).unwrap();
    assert_eq!(file.permissions().mode() & 0o7777, 0o600);
}

#[test]
fn a_new_value_that_is_interrupted_is_the_old_or_the_new_one() {
    let set = |store: &VaultStore| {
        let mut vault = store.find_or_make(&acme(), &keks())?;
        vault.set(&keks(), (&name("one"), 0), Kind::Proxy, &secret("new")).map(drop)
    };
    let points = at_every_point(set, |store, done| {
        let mut vault = store.find_or_make(&acme(), &keks()).unwrap();
        let found = value(&vault, &keks(), "one").unwrap();
        assert!(found == "new" || (found == "value of one" && !done), "{found}");
        vault.settle(&keks()).unwrap();
        assert_eq!(value(&vault, &keks(), "one").unwrap(), found);
        assert_eq!(value(&vault, &keks(), "two").as_deref(), Some("value of two"));
    });
    assert_eq!(points, 3 + 4, "write the new version, remove the old one");
}

#[test]
fn a_rotation_of_the_dek_goes_on_after_an_end_at_any_point() {
    let rotate = |store: &VaultStore| store.find_or_make(&acme(), &keks())?.rotate_dek(&keks());
    let points = at_every_point(rotate, |store, _| {
        let mut vault = store.find_or_make(&acme(), &keks()).unwrap();
        vault.settle(&keks()).unwrap();
        for text in ["one", "two", "three"] {
            assert_eq!(value(&vault, &keks(), text), Some(format!("value of {text}")));
        }
    });
    assert_eq!(points, 3 + 3 * 3 + 4, "a DEK, three records, the old DEK");
}

#[test]
fn another_kek_takes_over_after_an_end_at_any_point() {
    let both = || Keks::new(Kek::from_bytes(&[7; 32]).unwrap(), Some(Kek::from_bytes(&[8; 32]).unwrap()));
    let next = Keks::new(Kek::from_bytes(&[8; 32]).unwrap(), None);
    let settle = |store: &VaultStore| store.find_or_make(&acme(), &both())?.settle(&both());
    at_every_point(settle, |store, done| {
        let mut vault = store.find_or_make(&acme(), &both()).unwrap();
        assert!(vault.listing().is_held_by(next.newest().id()) || !done);
        vault.settle(&both()).unwrap();
        assert_eq!(value(&vault, &next, "three").as_deref(), Some("value of three"));
        assert!(vault.listing().open(&keks(), &name("three"), 1, Kind::Proxy).is_err());
    });
}

#[test]
fn a_removal_and_a_destruction_end_after_an_end_at_any_point() {
    let remove = |store: &VaultStore| store.find_or_make(&acme(), &keks())?.remove(&keks(), &name("one"));
    at_every_point(remove, |store, _| {
        let mut vault = store.find_to_change(&acme()).unwrap().unwrap();
        vault.remove(&keks(), &name("one")).unwrap();
        assert!(store.hidden(&acme()).is_empty());
        assert_eq!(value(&vault, &keks(), "one"), None);
        assert_eq!(value(&vault, &keks(), "two").as_deref(), Some("value of two"));
    });
}

#[test]
fn a_destruction_takes_everything_whatever_it_is() {
    let (directory, store) = filled();
    let path = directory.path().join("acme_corp");
    fs::write(path.join("notes"), "x").unwrap();
    fs::write(path.join(".dek.2"), "half").unwrap();
    fs::write(path.join("secret.one.1"), vec![0; 200 * 1024]).unwrap();
    assert!(store.find(&acme()).is_err());
    store.destroy(&acme()).unwrap();
    assert!(!path.exists());
    store.destroy(&acme()).unwrap();
}

#[test]
fn a_damaged_record_can_be_set_anew_also_while_a_rotation_waits_for_it() {
    let (directory, store) = filled();
    let record = directory.path().join("acme_corp/secret.one.1");
    let mut bytes = fs::read(&record).unwrap();
    bytes[40] ^= 1;
    fs::write(&record, bytes).unwrap();
    let mut vault = store.find_or_make(&acme(), &keks()).unwrap();
    assert!(vault.rotate_dek(&keks()).is_err());
    vault.set(&keks(), (&name("two"), 0), Kind::Proxy, &secret("another")).unwrap();
    vault.set(&keks(), (&name("one"), 0), Kind::Proxy, &secret("anew")).unwrap();
    let mut vault = store.find_or_make(&acme(), &keks()).unwrap();
    vault.settle(&keks()).unwrap();
    for (text, found) in [("one", "anew"), ("two", "another"), ("three", "value of three")] {
        assert_eq!(value(&vault, &keks(), text).as_deref(), Some(found));
    }
    let deks = store.deks(&acme()).unwrap().unwrap();
    assert!(deks.is_held_by(keks().newest().id()));
    assert_eq!(store.count(&acme()).unwrap(), 3);
}

#[test]
fn a_kept_kek_opens_what_is_taken_over_by_the_one_in_use() {
    let (_directory, store) = filled();
    let other = || Kek::from_bytes(&[9; 32]).unwrap();
    let both = Keks::new(other(), None).and_kept(vec![Kek::from_bytes(&[7; 32]).unwrap()]);
    let mut vault = store.find_or_make(&acme(), &both).unwrap();
    vault.settle(&both).unwrap();
    assert_eq!(value(&vault, &Keks::new(other(), None), "one").as_deref(), Some("value of one"));
}

#[test]
fn what_an_interrupted_write_left_is_swept_and_a_stray_file_is_refused() {
    let (directory, store) = filled();
    let path = directory.path().join("acme_corp");
    fs::write(path.join(".secret.one.2"), "half").unwrap();
    store.find_or_make(&acme(), &keks()).unwrap();
    assert!(!path.join(".secret.one.2").exists());
    fs::write(path.join("notes"), "x").unwrap();
    let error = store.find(&acme()).unwrap_err().to_string();
    assert!(error.contains("\"notes\" in the vault is none of tenantd's files"), "{error}");
}

#[test]
fn links_are_not_followed_and_a_vault_open_to_others_is_refused() {
    let (directory, store) = filled();
    let elsewhere = tempfile::tempdir().unwrap();
    let beta = TenantId::parse("beta").unwrap();
    symlink(elsewhere.path(), directory.path().join("beta")).unwrap();
    assert!(store.find_or_make(&beta, &keks()).is_err());
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);

    let record = directory.path().join("acme_corp/secret.one.1");
    fs::rename(&record, elsewhere.path().join("record")).unwrap();
    symlink(elsewhere.path().join("record"), &record).unwrap();
    assert!(store.find(&acme()).is_err());

    fs::set_permissions(directory.path(), Permissions::from_mode(0o750)).unwrap();
    let error = VaultStore::open(directory.path()).unwrap_err();
    assert_eq!(error.exit(), model::Exit::NoPermission);
    assert!(error.to_string().contains("has mode 0750"), "{error}");
}

#[test]
fn a_list_by_the_beginnings_of_records_is_that_of_whole_records() {
    let (directory, store) = filled();
    let file = |name: &str| directory.path().join("acme_corp").join(name);
    let largest = Secret::new(vec![1; Secret::MAX]).unwrap();
    let mut vault = store.find(&acme()).unwrap().unwrap();
    vault.set(&keks(), (&name("large"), 0), Kind::File, &largest).unwrap();
    fs::copy(file("secret.one.1"), file("secret.one.10")).unwrap();
    let record = fs::read(file("secret.large.1")).unwrap();
    let damages =
        [&b""[..], b"tnd-secr\x02", &record[..22], &record[..50], &[0; 60], &[&record[..], &[0]].concat()];
    for (number, bytes) in damages.into_iter().enumerate() {
        fs::write(file(&format!("secret.damaged{number}.1")), bytes).unwrap();
    }
    let whole = store.find(&acme()).unwrap().unwrap();
    let whole: Vec<_> = whole.listing().secrets().collect();
    assert_eq!(store.secrets(&acme()).unwrap(), whole);
    assert_eq!(whole.iter().filter(|entry| entry.kind.is_none()).count(), damages.len());
    assert_eq!(whole.iter().find(|entry| entry.name == name("one")).unwrap().version, 10);
    assert_eq!(store.secrets(&TenantId::parse("nobody").unwrap()).unwrap(), []);

    fs::write(file("notes"), "").unwrap();
    let error = store.secrets(&acme()).unwrap_err().to_string();
    assert!(error.contains("\"notes\" in the vault is none"), "{error}");
}

#[test]
fn a_list_of_many_secrets_is_that_of_whole_records_too_and_its_first_error_is_told() {
    let (directory, store) = filled();
    let file = |name: String| directory.path().join("acme_corp").join(name);
    let mut vault = store.find(&acme()).unwrap().unwrap();
    // Files around the length up to which they are not asked for it.
    for length in [972, 973, 974, 975, 4096] {
        let secret = Secret::new(vec![1; length]).unwrap();
        vault.set(&keks(), (&name(&format!("of-{length}")), 0), Kind::File, &secret).unwrap();
        let record = fs::read(file(format!("secret.of-{length}.1"))).unwrap();
        assert_eq!(record.len(), length + 50, "a head of 22 bytes, nonce and tag");
        for number in 0..400 {
            let shorter = if number % 7 == 0 { 40 } else { record.len() };
            fs::write(file(format!("secret.copy-{number}-of-{length}.1")), &record[..shorter]).unwrap();
        }
    }
    let whole = store.find(&acme()).unwrap().unwrap();
    let whole: Vec<_> = whole.listing().secrets().collect();
    assert_eq!(whole.len(), 3 + 5 * 401);
    assert_eq!(whole.iter().filter(|entry| entry.kind.is_none()).count(), 5 * 58);
    assert_eq!(store.secrets(&acme()).unwrap(), whole);

    for last in ["zz", "yy", "aa"] {
        symlink("/etc/hostname", file(format!("secret.{last}.1"))).unwrap();
        let error = store.secrets(&acme()).unwrap_err().to_string();
        assert!(error.contains(&format!("secret.{last}.1")), "{error}");
    }
}
