use proptest::prelude::*;
use ring::hmac;

use super::*;
use crate::testing::{
    AUDIENCE, HEADER, NOW, claims, expected, own_keys, payload, public, signed, signer, verify,
};
use crate::{IssueError, MAX_TOKEN_BYTES, SigningKey, base64url};

fn issued() -> String {
    signer().issue(&claims(), Kind::Access).unwrap()
}

/// The token with its parts changed.
fn with_parts(change: impl FnOnce(&mut Vec<String>)) -> String {
    let mut parts: Vec<String> = issued().split('.').map(str::to_owned).collect();
    change(&mut parts);
    parts.join(".")
}

fn encoded(text: &str) -> String {
    base64url::encode(text.as_bytes())
}

#[test]
fn an_honest_token_is_believed() {
    assert_eq!(verify(&issued()), Ok(claims()));
    assert_eq!(verify(&signed(HEADER, &payload(|_| {}))), Ok(claims()));
}

#[test]
fn a_token_without_signature_is_refused_whatever_none_is_called() {
    for none in ["none", "None", "NONE", "nOnE"] {
        let header = encoded(&format!(r#"{{"alg":"{none}","typ":"at+jwt","kid":"k1"}}"#));
        let payload = encoded(&payload(|_| {}));
        assert_eq!(verify(&format!("{header}.{payload}.")), Err(Refusal::Algorithm));
        let signature = with_parts(|_| {}).rsplit_once('.').unwrap().1.to_owned();
        assert_eq!(verify(&format!("{header}.{payload}.{signature}")), Err(Refusal::Algorithm));
    }
    assert_eq!(verify(&with_parts(|parts| parts[2].clear())), Err(Refusal::Signature));
}

#[test]
fn the_public_key_is_no_hmac_key() {
    let x = signer().x();
    for key in [x.as_bytes(), &base64url::decode(&x).unwrap()] {
        for (name, algorithm) in
            [("HS256", hmac::HMAC_SHA256), ("HS384", hmac::HMAC_SHA384), ("HS512", hmac::HMAC_SHA512)]
        {
            let header = format!(r#"{{"alg":"{name}","typ":"at+jwt","kid":"k1"}}"#);
            let message = format!("{}.{}", encoded(&header), encoded(&payload(|_| {})));
            let tag = hmac::sign(&hmac::Key::new(algorithm, key), message.as_bytes());
            let token = format!("{message}.{}", base64url::encode(tag.as_ref()));
            assert_eq!(verify(&token), Err(Refusal::Algorithm), "{name}");
        }
    }
}

#[test]
fn the_kid_names_one_of_our_keys_and_nothing_else() {
    for kid in [
        "../../../../dev/null",
        "/etc/passwd",
        "k1\\u0000",
        "K1",
        "k1 ",
        "k2",
        "https://evil.example/key",
        "' OR 1=1",
    ] {
        let token = signed(&format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"{kid}"}}"#), &payload(|_| {}));
        assert_eq!(verify(&token), Err(Refusal::UnknownKey), "{kid}");
    }
    let without = signed(r#"{"alg":"EdDSA","typ":"at+jwt"}"#, &payload(|_| {}));
    assert_eq!(verify(&without), Err(Refusal::UnknownKey));
    // Signed by another of our keys than the one it names.
    let other = SigningKey::from_pkcs8("k2", &[8; 32]).unwrap();
    let keys = own_keys(vec![public(&signer(), None), public(&other, None)]);
    let token = other.sign(HEADER.as_bytes(), payload(|_| {}).as_bytes());
    assert_eq!(crate::verify(&token, &keys, expected()), Err(Refusal::Signature));
}

#[test]
fn another_algorithm_than_the_keys_is_refused() {
    for algorithm in ["ES256", "ES384", "RS256", "PS256"] {
        let header = format!(r#"{{"alg":"{algorithm}","typ":"at+jwt","kid":"k1"}}"#);
        assert_eq!(verify(&signed(&header, &payload(|_| {}))), Err(Refusal::Algorithm));
    }
}

#[test]
fn a_header_that_brings_a_key_or_anything_else_is_refused() {
    for field in ["jwk", "jku", "x5u", "x5c", "crit", "b64", "zip", "enc", "x5t", "cty", "foo"] {
        let header = format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"k1","{field}":"x"}}"#);
        assert_eq!(verify(&signed(&header, &payload(|_| {}))), Err(Refusal::HeaderField), "{field}");
    }
    let twice = r#"{"alg":"EdDSA","typ":"at+jwt","kid":"k1","kid":"k1"}"#;
    assert_eq!(verify(&signed(twice, &payload(|_| {}))), Err(Refusal::Header));
}

#[test]
fn one_kind_of_token_is_never_the_other() {
    let mut ticket = claims();
    ticket.exp = NOW + 60;
    let keys = own_keys(vec![public(&signer(), None)]);
    let login = Expected { kind: Kind::Login, ..expected() };
    let ticket = signer().issue(&ticket, Kind::Login).unwrap();
    assert!(crate::verify(&ticket, &keys, login).is_ok());
    assert_eq!(verify(&ticket), Err(Refusal::Kind));
    assert_eq!(crate::verify(&issued(), &keys, login), Err(Refusal::Kind));
    for typ in ["JWT", "AT+JWT", "at+jwt ", "application/at+jwt", "tenantd-login+jwt", ""] {
        let header = format!(r#"{{"alg":"EdDSA","typ":"{typ}","kid":"k1"}}"#);
        assert_eq!(verify(&signed(&header, &payload(|_| {}))), Err(Refusal::Kind), "{typ}");
    }
    assert_eq!(verify(&signed(r#"{"alg":"EdDSA","kid":"k1"}"#, &payload(|_| {}))), Err(Refusal::Kind));
}

#[test]
fn another_tenants_token_opens_nothing() {
    for audience in [
        "https://beta.agents.example",
        "https://acme.agents.example:8443",
        "https://acme.agents.example/",
        "https://ACME.agents.example",
        "http://acme.agents.example",
        "acme.agents.example",
        "acme",
        "",
    ] {
        let token = signed(HEADER, &payload(|claims| claims["aud"] = audience.into()));
        assert_eq!(verify(&token), Err(Refusal::Audience), "{audience}");
    }
    // Our own audience is one, not one of several.
    let several = payload(|claims| claims["aud"] = serde_json::json!([AUDIENCE]));
    assert_eq!(verify(&signed(HEADER, &several)), Err(Refusal::Claims));
}

#[test]
fn another_issuers_token_is_refused() {
    for issuer in ["https://agents.example.evil", "https://agents.example/", "http://agents.example", ""] {
        let token = signed(HEADER, &payload(|claims| claims["iss"] = issuer.into()));
        assert_eq!(verify(&token), Err(Refusal::Issuer), "{issuer}");
    }
}

#[test]
fn times_are_held_to_the_second() {
    let keys = own_keys(vec![public(&signer(), None)]);
    let at = |now| crate::verify(&issued(), &keys, Expected { now, ..expected() }).map(|_| ());
    assert_eq!(at(NOW + 299), Ok(()));
    assert_eq!(at(NOW + 300), Err(Refusal::Expired));
    assert_eq!(at(i64::MAX), Err(Refusal::Expired));
    assert_eq!(at(NOW - 30), Ok(()));
    assert_eq!(at(NOW - 31), Err(Refusal::NotYet));
    assert_eq!(at(i64::MIN), Err(Refusal::NotYet));
    let later = payload(|claims| claims["nbf"] = (NOW + 31).into());
    assert_eq!(verify(&signed(HEADER, &later)), Err(Refusal::NotYet));
}

#[test]
fn a_token_that_lives_longer_than_any_may_is_refused() {
    for (iat, exp) in [(NOW, NOW + 86_401), (NOW, i64::MAX), (i64::MIN, NOW + 1), (NOW - 86_400, NOW + 1)] {
        let token = signed(
            HEADER,
            &payload(|claims| {
                claims["iat"] = iat.into();
                claims["exp"] = exp.into();
            }),
        );
        assert_eq!(verify(&token), Err(Refusal::TooLongLived), "{iat} {exp}");
    }
}

#[test]
fn every_claim_is_there_once_with_its_type_and_no_other_is() {
    let honest = payload(|_| {});
    for name in ["iss", "aud", "sub", "role", "jti", "iat", "nbf", "exp"] {
        let without = payload(|claims| {
            claims.remove(name);
        });
        assert_eq!(verify(&signed(HEADER, &without)), Err(Refusal::Claims), "{name}");
        let null = payload(|claims| claims[name] = serde_json::Value::Null);
        assert_eq!(verify(&signed(HEADER, &null)), Err(Refusal::Claims), "{name}");
        let value = serde_json::to_value(claims()).unwrap()[name].to_string();
        let twice = honest.replacen('{', &format!(r#"{{"{name}":{value},"#), 1);
        assert_eq!(verify(&signed(HEADER, &twice)), Err(Refusal::Claims), "{name} twice");
    }
    let more = payload(|claims| {
        claims.insert("admin".to_owned(), true.into());
    });
    assert_eq!(verify(&signed(HEADER, &more)), Err(Refusal::Claims));
    for (name, value) in [
        ("role", serde_json::json!("admin")),
        ("role", serde_json::json!("Owner")),
        ("exp", serde_json::json!("1800000300")),
        ("exp", serde_json::json!(1_800_000_300.5)),
        ("exp", serde_json::json!(u64::MAX)),
        ("sub", serde_json::json!("")),
        ("sub", serde_json::json!("a\u{7f}")),
        ("jti", serde_json::json!("0123456789ABCDEF0123456789ABCDEF")),
        ("jti", serde_json::json!("../../../../../../../../etc/shadow")),
    ] {
        let token = signed(HEADER, &payload(|claims| claims[name] = value.clone()));
        assert_eq!(verify(&token), Err(Refusal::Claims), "{name}: {value}");
    }
}

#[test]
fn claims_are_an_object_and_nothing_after_it() {
    let honest = payload(|_| {});
    let list = serde_json::to_value(claims()).unwrap();
    let list: Vec<_> =
        ["iss", "aud", "sub", "role", "jti", "iat", "nbf", "exp"].map(|name| list[name].clone()).into();
    let list = serde_json::to_string(&list).unwrap();
    for text in
        [&list, &format!("{honest}x"), &format!("{honest}{honest}"), "null", "{}", "\"\"", "[", "\u{feff}{}"]
    {
        assert_eq!(verify(&signed(HEADER, text)), Err(Refusal::Claims), "{text}");
    }
}

#[test]
fn there_are_three_parts_of_canonical_base64url() {
    let honest = issued();
    for token in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        honest.clone() + ".",
        honest.clone() + ".AAAA",
        format!(".{honest}"),
        honest.clone() + "=",
        honest.clone() + "==",
        honest.clone() + "\n",
        format!(" {honest}"),
        honest.clone() + "\0",
        honest.replace('.', ".."),
        honest.replace('_', "/").replace('-', "+") + "+",
        with_parts(|parts| parts[1].clear()),
        with_parts(|parts| parts[0].push('\u{e9}')),
        // The last digit of 64 bytes carries four spare bits.
        with_parts(|parts| {
            let last = parts[2].pop().unwrap();
            let digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
            let next = digits.chars().nth(digits.find(last).unwrap() + 1).unwrap();
            parts[2].push(next);
        }),
    ] {
        assert_eq!(verify(&token), Err(Refusal::Malformed), "{token}");
    }
    let two = with_parts(|parts| {
        parts.pop();
    });
    assert!(verify(&two).is_err());
}

#[test]
fn a_token_that_is_too_long_is_not_looked_at() {
    let long = "A".repeat(MAX_TOKEN_BYTES + 1);
    assert_eq!(verify(&long), Err(Refusal::TooLong));
    let mut endless = claims();
    endless.iss = "i".repeat(MAX_TOKEN_BYTES);
    assert_eq!(signer().issue(&endless, Kind::Access), Err(IssueError::TooLong));
    let token = signed(HEADER, &payload(|claims| claims["iss"] = endless.iss.clone().into()));
    assert_eq!(verify(&token), Err(Refusal::TooLong));
}

/// RFC 8032, 8.4: s and s + L would both verify, if it were not asked that s be below the group's order L.
#[test]
fn a_signature_has_one_form() {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let other = with_parts(|parts| {
        let mut signature = base64url::decode(&parts[2]).unwrap();
        let mut carry = 0_u16;
        for (byte, add) in signature[32..].iter_mut().zip(ORDER) {
            carry += u16::from(*byte) + u16::from(add);
            *byte = u8::try_from(carry & 0xff).unwrap();
            carry >>= 8;
        }
        parts[2] = base64url::encode(&signature);
    });
    assert_eq!(verify(&other), Err(Refusal::Signature));
    for signature in [vec![0; 64], vec![0; 63], vec![0; 65], vec![0; 128]] {
        let token = with_parts(|parts| parts[2] = base64url::encode(&signature));
        assert_eq!(verify(&token), Err(Refusal::Signature));
    }
}

#[test]
fn a_retired_key_verifies_until_its_time() {
    let keys = own_keys(vec![public(&signer(), Some(NOW + 10))]);
    let at = |now| crate::verify(&issued(), &keys, Expected { now, ..expected() }).map(|_| ());
    assert_eq!(at(NOW + 9), Ok(()));
    assert_eq!(at(NOW + 10), Err(Refusal::UnknownKey));
    assert!(keys.has("k1", NOW + 9) && !keys.has("k1", NOW + 10) && !keys.has("k2", NOW));
}

#[test]
fn keys_of_another_format_or_shape_are_refused() {
    let key = public(&signer(), None);
    let document = |format, x: &str| Keys {
        format,
        issuer: "https://agents.example".to_owned(),
        keys: vec![model::edge::SigningKey { x: x.to_owned(), ..key.clone() }],
    };
    assert!(OwnKeys::new(&document(KEYS_FORMAT, &key.x)).is_ok());
    assert_eq!(OwnKeys::new(&document(KEYS_FORMAT + 1, &key.x)), Err(KeyError::Unknown));
    for x in ["", "AAAA", &format!("{}=", key.x), &key.x[1..]] {
        assert_eq!(OwnKeys::new(&document(KEYS_FORMAT, x)), Err(KeyError::Malformed), "{x}");
    }
}

proptest! {
    #[test]
    fn a_token_with_any_bit_flipped_is_refused(place in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let mut token = issued().into_bytes();
        let place = place.index(token.len());
        token[place] ^= 1 << bit;
        if let Ok(token) = String::from_utf8(token) {
            prop_assert!(verify(&token).is_err(), "{}", token);
        }
    }

    #[test]
    fn a_token_with_any_byte_replaced_removed_or_added_is_refused(
        place in any::<prop::sample::Index>(), what in 0..3, byte in 0_u8..128,
    ) {
        let honest = issued();
        let mut token = honest.clone().into_bytes();
        let place = place.index(token.len());
        match what {
            0 => token[place] = byte,
            1 => { token.remove(place); }
            _ => token.insert(place, byte),
        }
        let token = String::from_utf8(token).unwrap();
        prop_assert!(token == honest || verify(&token).is_err(), "{}", token);
    }

    #[test]
    fn anything_else_is_refused_and_breaks_nothing(token in "\\PC{0,200}") {
        prop_assert!(verify(&token).is_err());
        prop_assert_eq!(crate::unverified_issuer(&token), None);
    }

    #[test]
    fn what_is_issued_is_believed(sub in "[^\\p{Cc}]{1,256}", jti in "[0-9a-f]{32}", life in 1_i64..86_401) {
        let mut honest = claims();
        (honest.sub, honest.jti, honest.exp) = (sub, jti, honest.iat + life);
        let token = signer().issue(&honest, Kind::Access).unwrap();
        prop_assert_eq!(crate::unverified_issuer(&token), Some(honest.iss.clone()));
        prop_assert_eq!(verify(&token), Ok(honest));
    }
}
