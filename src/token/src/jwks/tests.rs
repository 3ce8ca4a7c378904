use serde_json::json;

use super::*;
use crate::testing::vectors;

fn set(keys: Value) -> Result<KeySet, JwksError> {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes())
}

fn payload(set: &KeySet, jws: &str) -> Result<Vec<u8>, Refusal> {
    set.payload(&Unverified::parse(jws)?)
}

#[test]
fn a_set_may_have_keys_that_are_not_for_us() {
    let odd = json!([
        {"kty": "oct", "k": "AAAA", "kid": "rsa"},
        {"kty": "future"},
        vectors::rsa_of_1024_bits(),
        vectors::named(vectors::rsa(), "rsa"),
    ]);
    assert!(payload(&set(odd).unwrap(), vectors::RS256).is_ok());
    assert_eq!(set(json!([{"kty": "oct", "k": "AAAA"}])), Err(JwksError::Empty));
    assert_eq!(set(json!([])), Err(JwksError::Empty));
}

#[test]
fn what_is_no_set_is_refused() {
    for text in [
        "",
        "[]",
        "{}",
        r#"{"keys":{}}"#,
        r#"{"keys":[1]}"#,
        r#"{"keys":[{"kty":"oct","kid":1}]}"#,
        r#"{"keys":[],"keys":[]}"#,
        r#"{"keys":[{"kty":"oct","kty":"RSA"}]}"#,
    ] {
        assert_eq!(KeySet::parse(text.as_bytes()), Err(JwksError::Malformed), "{text}");
    }
    assert_eq!(set(json!(vec![vectors::p256(); 65])), Err(JwksError::TooMany));
}

#[test]
fn the_kid_chooses_the_key_and_the_key_the_algorithm() {
    let both = set(json!([vectors::named(vectors::p256(), "rsa"), vectors::named(vectors::p384(), "p384")]))
        .unwrap();
    assert!(payload(&both, vectors::ES384).is_ok());
    assert_eq!(payload(&both, vectors::RS256), Err(Refusal::OtherAlgorithm));
    assert_eq!(payload(&both, vectors::EDDSA), Err(Refusal::UnknownKey));
}

#[test]
fn two_keys_of_one_name_are_told_apart_by_their_type() {
    let both = set(json!([vectors::named(vectors::p256(), "p384"), vectors::named(vectors::p384(), "p384")]))
        .unwrap();
    assert!(payload(&both, vectors::ES384).is_ok());
    let same = set(json!([vectors::named(vectors::p384(), "p384"), vectors::named(vectors::p384(), "p384")]))
        .unwrap();
    assert_eq!(payload(&same, vectors::ES384), Err(Refusal::UnknownKey));
}

#[test]
fn a_token_without_kid_takes_the_only_key_that_fits() {
    let one = set(json!([vectors::rsa(), vectors::p256()])).unwrap();
    assert!(payload(&one, vectors::RFC7515_A2).is_ok());
    let two = set(json!([vectors::rsa(), vectors::named(vectors::rsa(), "other")])).unwrap();
    assert_eq!(payload(&two, vectors::RFC7515_A2), Err(Refusal::UnknownKey));
}

#[test]
fn the_public_rsa_key_is_no_hmac_key() {
    let n = crate::base64url::decode(vectors::rsa()["n"].as_str().unwrap()).unwrap();
    let message = format!("{}.e30", crate::base64url::encode(br#"{"alg":"HS256","kid":"rsa"}"#));
    let tag = ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &n), message.as_bytes());
    let token = format!("{message}.{}", crate::base64url::encode(tag.as_ref()));
    let keys = set(json!([vectors::named(vectors::rsa(), "rsa")])).unwrap();
    assert_eq!(payload(&keys, &token), Err(Refusal::Algorithm));
}
