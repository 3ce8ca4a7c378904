use serde_json::json;

use super::*;
use crate::testing::vectors;

fn key(jwk: &Value) -> Result<PublicKey, KeyError> {
    PublicKey::from_jwk(jwk.as_object().unwrap())
}

/// The signature of a compact JWS, by the algorithm `name`.
fn verifies(jwk: &Value, name: &str, jws: &str) -> Result<(), Refusal> {
    let (signed, signature) = jws.rsplit_once('.').unwrap();
    let algorithm = Algorithm::named(name).unwrap();
    key(jwk).unwrap().verify(algorithm, signed.as_bytes(), &base64url::decode(signature).unwrap())
}

#[test]
fn verifies_the_examples_of_rfc_7515_and_rfc_8037() {
    assert_eq!(verifies(&vectors::rsa(), "RS256", vectors::RFC7515_A2), Ok(()));
    assert_eq!(verifies(&vectors::rfc7515_a3_key(), "ES256", vectors::RFC7515_A3), Ok(()));
    assert_eq!(verifies(&vectors::rfc8037_key(), "EdDSA", vectors::RFC8037), Ok(()));
}

#[test]
fn an_example_with_one_bit_changed_does_not_verify() {
    for (jwk, name, jws) in [
        (vectors::rsa(), "RS256", vectors::RFC7515_A2),
        (vectors::rsa(), "PS256", vectors::PS256),
        (vectors::rfc7515_a3_key(), "ES256", vectors::RFC7515_A3),
        (vectors::p384(), "ES384", vectors::ES384),
        (vectors::rfc8037_key(), "EdDSA", vectors::RFC8037),
    ] {
        let (signed, signature) = jws.rsplit_once('.').unwrap();
        let (key, algorithm) = (key(&jwk).unwrap(), Algorithm::named(name).unwrap());
        let signature = base64url::decode(signature).unwrap();
        assert_eq!(key.verify(algorithm, signed.as_bytes(), &signature), Ok(()), "{name}");
        for place in 0..signature.len() {
            let mut changed = signature.clone();
            changed[place] ^= 1;
            assert_eq!(key.verify(algorithm, signed.as_bytes(), &changed), Err(Refusal::Signature), "{name}");
        }
        let mut message = signed.as_bytes().to_vec();
        message[3] ^= 1;
        assert_eq!(key.verify(algorithm, &message, &signature), Err(Refusal::Signature), "{name}");
    }
}

#[test]
fn a_key_takes_only_the_algorithms_of_its_type() {
    let names = ["EdDSA", "ES256", "ES384", "RS256", "PS256"];
    let taken = |jwk: &Value| {
        let key = key(jwk).unwrap();
        names.into_iter().filter(|name| key.accepts(Algorithm::named(name).unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(taken(&vectors::ed25519()), ["EdDSA"]);
    assert_eq!(taken(&vectors::p256()), ["ES256"]);
    assert_eq!(taken(&vectors::p384()), ["ES384"]);
    assert_eq!(taken(&vectors::rsa()), ["RS256", "PS256"]);
    let mut only = vectors::rsa();
    only["alg"] = json!("PS256");
    assert_eq!(taken(&only), ["PS256"]);
    only["alg"] = json!("ES256");
    assert_eq!(taken(&only), Vec::<&str>::new());
}

#[test]
fn an_algorithm_of_another_type_is_refused_before_the_signature() {
    assert_eq!(verifies(&vectors::ed25519(), "ES256", vectors::RFC7515_A3), Err(Refusal::OtherAlgorithm));
    assert_eq!(verifies(&vectors::rsa(), "EdDSA", vectors::RFC8037), Err(Refusal::OtherAlgorithm));
    assert_eq!(verifies(&vectors::rsa(), "PS256", vectors::RFC7515_A2), Err(Refusal::Signature));
}

/// CVE-2022-21449: r = s = 0 verified in some libraries.
#[test]
fn zeros_are_no_signature() {
    for (jwk, name, length) in [
        (vectors::p256(), "ES256", 64),
        (vectors::p384(), "ES384", 96),
        (vectors::ed25519(), "EdDSA", 64),
        (vectors::rsa(), "RS256", 256),
        (vectors::rsa(), "PS256", 256),
    ] {
        let algorithm = Algorithm::named(name).unwrap();
        let verdict = key(&jwk).unwrap().verify(algorithm, b"message", &vec![0; length]);
        assert_eq!(verdict, Err(Refusal::Signature), "{name}");
    }
}

#[test]
fn weak_rsa_keys_are_refused() {
    assert_eq!(key(&vectors::rsa_of_1024_bits()), Err(KeyError::Weak));
    for e in ["Aw", "AQ", "AQAA", "", "AA", "__________8"] {
        let mut jwk = vectors::rsa();
        jwk["e"] = json!(e);
        assert_eq!(key(&jwk), Err(KeyError::Weak), "{e}");
    }
    let mut huge = vectors::rsa();
    huge["n"] = json!(base64url::encode(&[0xff; 1025]));
    assert_eq!(key(&huge), Err(KeyError::Weak));
    // 2048 bits, the first of which are zero.
    huge["n"] = json!(base64url::encode(&[&[0x0f][..], &[0xff; 255]].concat()));
    assert_eq!(key(&huge), Err(KeyError::Weak));
}

#[test]
fn a_leading_zero_of_the_modulus_is_forgiven() {
    let mut jwk = vectors::rsa();
    let n = base64url::decode(jwk["n"].as_str().unwrap()).unwrap();
    jwk["n"] = json!(base64url::encode(&[&[0], n.as_slice()].concat()));
    assert_eq!(verifies(&jwk, "RS256", vectors::RFC7515_A2), Ok(()));
}

#[test]
fn parts_have_their_length_and_spelling() {
    let refused = |jwk: Value, name: &str, value: Value| {
        let mut jwk = jwk;
        jwk[name] = value;
        key(&jwk).unwrap_err()
    };
    for value in [
        json!(null),
        json!(7),
        json!(""),
        json!("AAAA"),
        json!("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU="),
    ] {
        assert_eq!(refused(vectors::p256(), "x", value.clone()), KeyError::Malformed);
        assert_eq!(refused(vectors::p384(), "y", value.clone()), KeyError::Malformed);
        assert_eq!(refused(vectors::ed25519(), "x", value), KeyError::Malformed);
    }
    assert_eq!(refused(vectors::rsa(), "n", json!("+/+/")), KeyError::Malformed);
    assert_eq!(refused(vectors::rsa(), "alg", json!(1)), KeyError::Malformed);
    // A point of P-384 under the name of P-256.
    assert_eq!(refused(vectors::p384(), "crv", json!("P-256")), KeyError::Malformed);
}

#[test]
fn a_point_that_is_not_on_its_curve_verifies_nothing() {
    let mut jwk = vectors::rfc7515_a3_key();
    jwk["y"] = jwk["x"].clone();
    assert_eq!(verifies(&jwk, "ES256", vectors::RFC7515_A3), Err(Refusal::Signature));
}

#[test]
fn keys_that_are_for_something_else_are_refused() {
    let with = |name: &str, value: Value| {
        let mut jwk = vectors::p256();
        jwk[name] = value;
        key(&jwk)
    };
    assert!(with("use", json!("sig")).is_ok());
    assert!(with("key_ops", json!(["verify"])).is_ok());
    assert_eq!(with("use", json!("enc")), Err(KeyError::Unknown));
    assert_eq!(with("use", json!(["sig"])), Err(KeyError::Unknown));
    assert_eq!(with("key_ops", json!(["encrypt"])), Err(KeyError::Unknown));
    assert_eq!(with("key_ops", json!("verify")), Err(KeyError::Unknown));
    assert_eq!(with("alg", json!("HS256")), Err(KeyError::Unknown));
    assert_eq!(with("alg", json!("none")), Err(KeyError::Unknown));
    assert_eq!(with("crv", json!("secp256k1")), Err(KeyError::Unknown));
    assert_eq!(with("kty", json!("OKP")), Err(KeyError::Unknown));
    assert_eq!(with("d", json!("AAAA")), Err(KeyError::Private));
    assert_eq!(key(&json!({"kty": "oct", "k": "AAAA"})), Err(KeyError::Unknown));
    assert_eq!(key(&json!({})), Err(KeyError::Unknown));
}
