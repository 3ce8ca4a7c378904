use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn sealer() -> Sealer {
    Sealer::new(&[3; 32]).unwrap()
}

#[test]
fn a_document_opens_for_its_tenant_and_purpose_only() {
    let text = sealer().seal(Purpose::Session, "acme", &json!({"a": 1})).unwrap();
    let open = |purpose, tenant: &str| sealer().open::<Value>(purpose, tenant, &text);
    assert_eq!(open(Purpose::Session, "acme"), Some(json!({"a": 1})));
    assert_eq!(open(Purpose::Session, "beta"), None);
    assert_eq!(open(Purpose::Session, "acm"), None);
    assert_eq!(open(Purpose::Oidc, "acme"), None);
    assert_eq!(Sealer::new(&[4; 32]).unwrap().open::<Value>(Purpose::Session, "acme", &text), None);
}

#[test]
fn no_two_sealings_look_alike() {
    let seal = || sealer().seal(Purpose::Session, "acme", &json!({"a": 1})).unwrap();
    assert_ne!(seal(), seal());
}

#[test]
fn what_a_browser_would_cut_off_is_not_sealed() {
    assert_eq!(sealer().seal(Purpose::Session, "acme", &"x".repeat(4000)), None);
    assert_eq!(sealer().open::<Value>(Purpose::Session, "acme", &"A".repeat(100_000)), None);
    assert!(Sealer::new(&[0; 16]).is_none());
}

proptest! {
    #[test]
    fn a_cookie_with_any_bit_flipped_is_refused(place in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let mut text = sealer().seal(Purpose::Session, "acme", &json!({"role": "viewer"})).unwrap().into_bytes();
        let place = place.index(text.len());
        text[place] ^= 1 << bit;
        if let Ok(text) = String::from_utf8(text) {
            prop_assert_eq!(sealer().open::<Value>(Purpose::Session, "acme", &text), None);
        }
    }

    #[test]
    fn anything_else_is_refused(text in "\\PC{0,100}|[A-Za-z0-9_-]{0,200}") {
        prop_assert_eq!(sealer().open::<Value>(Purpose::Session, "acme", &text), None);
    }
}
