//! Numbers that must not be given twice.

use super::*;
use crate::testing::{kek, listing, name, tenant};

fn keks() -> Keks {
    Keks::new(kek(1), None)
}

fn secret(text: &str) -> Secret {
    Secret::new(text.into()).unwrap()
}

/// A vault whose DEK has sealed `message` messages.
fn after(message: u64) -> Listing {
    let dek = Dek::make(tenant("acme"), 1, Given { message, version: 0 }).unwrap();
    listing(&[("dek.1", &dek.wrap(&kek(1)).unwrap())]).unwrap()
}

fn set(vault: &mut Listing, secret_name: &str) -> Result<(), VaultError> {
    let step = vault.set(&keks(), (&name(secret_name), 0), Kind::Proxy, &secret("x"))?;
    vault.apply(step)
}

#[test]
fn a_dek_seals_as_many_messages_as_it_may_and_then_asks_for_a_rotation() {
    let mut vault = after(MOST_MESSAGES - 2);
    set(&mut vault, "a").unwrap();
    set(&mut vault, "a").unwrap();
    let error = set(&mut vault, "a").unwrap_err();
    assert!(matches!(error, VaultError::Spent { generation: 1, .. }), "{error}");
    assert!(error.to_string().contains("rotate-dek acme"));
    let step = vault.rotate_dek(&keks()).unwrap();
    vault.apply(step).unwrap();
    while let Some(step) = vault.next_step(&keks()).unwrap() {
        vault.apply(step).unwrap();
    }
    set(&mut vault, "a").unwrap();
    assert_eq!(vault.newest_version(&name("a")), Some(3));
}

#[test]
fn removing_a_secret_gives_no_number_of_a_message_back() {
    let mut vault = after(MOST_MESSAGES - 1);
    set(&mut vault, "a").unwrap();
    while let Some(step) = vault.remove(&keks(), &name("a")).unwrap() {
        vault.apply(step).unwrap();
    }
    assert_eq!(vault.newest_version(&name("a")), None);
    assert!(matches!(set(&mut vault, "a"), Err(VaultError::Spent { .. })));
}

#[test]
fn every_message_under_a_dek_has_a_number_of_its_own() {
    let mut vault = after(0);
    let mut seen = std::collections::BTreeSet::new();
    for secret_name in ["a", "b", "a", "c", "b"] {
        set(&mut vault, secret_name).unwrap();
        let key = (name(secret_name), vault.newest_version(&name(secret_name)).unwrap());
        assert!(seen.insert(record::parse(&vault.records[&key]).unwrap().0.message));
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
}

#[test]
fn where_numbers_end_nothing_is_made() {
    let mut vault = after(0);
    let file = format!("secret.a.{}", u64::MAX);
    vault.apply(Step::Write { file, bytes: Vec::new() }).unwrap();
    assert!(matches!(set(&mut vault, "a"), Err(VaultError::NoNumber { last: u64::MAX, .. })));
    let dek = Dek::make(tenant("acme"), u32::MAX, Given::default()).unwrap().wrap(&kek(1)).unwrap();
    let last = listing(&[("dek.4294967295", &dek)]).unwrap();
    assert!(matches!(last.rotate_dek(&keks()), Err(VaultError::NoNumber { .. })));
}
