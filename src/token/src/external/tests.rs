use serde_json::json;

use super::*;
use crate::testing::{NOW, signer, vectors};

const ISSUER: &str = "https://id.example";

fn id_token() -> IdToken<'static> {
    IdToken { issuer: ISSUER, client_id: "tenantd", nonce: "n-1", now: NOW }
}

fn access_token() -> AccessToken<'static> {
    AccessToken { issuer: ISSUER, audience: "tenantd", client_id: "tenantd", now: NOW }
}

fn keys() -> KeySet {
    let mut keys = vectors::all();
    keys.push(json!({"kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": signer().x()}));
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

fn claims() -> Value {
    json!({"iss": ISSUER, "aud": "tenantd", "sub": "u1", "iat": NOW, "exp": NOW + 300})
}

fn token(typ: Option<&str>, change: impl FnOnce(&mut Value)) -> String {
    let mut claims = claims();
    change(&mut claims);
    let mut header = json!({"alg": "EdDSA", "kid": "k1"});
    if let Some(typ) = typ {
        header["typ"] = json!(typ);
    }
    signer().sign(header.to_string().as_bytes(), claims.to_string().as_bytes())
}

fn login(change: impl FnOnce(&mut Value)) -> Result<(), Refusal> {
    let token = token(Some("JWT"), |claims| {
        claims["nonce"] = json!("n-1");
        change(claims);
    });
    id_token().verify(&token, &keys()).map(|_| ())
}

fn access(typ: Option<&str>, change: impl FnOnce(&mut Value)) -> Result<(), Refusal> {
    access_token().verify(&token(typ, change), &keys()).map(|_| ())
}

/// Made by PyJWT over OpenSSL.
#[test]
fn tokens_of_another_implementation_are_believed() {
    for token in [vectors::RS256, vectors::PS256, vectors::ES256, vectors::ES384, vectors::EDDSA] {
        let verified = id_token().verify(token, &keys()).unwrap();
        let claims = verified.claims();
        assert_eq!((claims.subject.as_str(), claims.issued, claims.expires), ("u1", NOW, NOW + 300));
        assert_eq!(crate::unverified_issuer(token).as_deref(), Some(ISSUER));
    }
}

#[test]
fn an_id_token_answers_this_login_of_this_client() {
    assert_eq!(login(|_| {}), Ok(()));
    assert_eq!(login(|claims| claims["nonce"] = json!("n-2")), Err(Refusal::Nonce));
    assert_eq!(login(|claims| claims["nonce"] = json!(["n-1"])), Err(Refusal::Nonce));
    assert_eq!(login(|claims| claims["aud"] = json!("other")), Err(Refusal::Audience));
    assert_eq!(login(|claims| claims["aud"] = json!(["tenantd"])), Ok(()));
    assert_eq!(login(|claims| claims["aud"] = json!(["other", "tenantd"])), Err(Refusal::Audience));
    assert_eq!(
        login(|claims| {
            claims["aud"] = json!(["other", "tenantd"]);
            claims["azp"] = json!("tenantd");
        }),
        Ok(())
    );
    assert_eq!(login(|claims| claims["azp"] = json!("other")), Err(Refusal::Audience));
    assert_eq!(login(|claims| claims["iss"] = json!("https://id.example/")), Err(Refusal::Issuer));
    assert_eq!(login(|claims| claims["events"] = json!({})), Err(Refusal::Kind));
    let without = token(Some("JWT"), |_| {});
    assert_eq!(id_token().verify(&without, &keys()), Err(Refusal::Nonce));
    assert_eq!(IdToken { nonce: "", ..id_token() }.verify(&without, &keys()), Err(Refusal::Nonce));
}

#[test]
fn an_id_token_is_no_access_token_and_the_other_way_round() {
    assert_eq!(access(Some("at+jwt"), |_| {}), Ok(()));
    assert_eq!(access(Some("application/at+jwt"), |_| {}), Ok(()));
    assert_eq!(access(Some("JWT"), |_| {}), Ok(()));
    assert_eq!(access(None, |_| {}), Ok(()));
    assert_eq!(access(Some("JWT"), |claims| claims["nonce"] = json!("n-1")), Err(Refusal::Kind));
    let copied = token(Some("JWT"), |claims| claims["nonce"] = json!("n-1"));
    let of_another_client = AccessToken { client_id: "edge", ..access_token() };
    assert!(of_another_client.verify(&copied, &keys()).is_ok());
    assert_eq!(access(Some("logout+jwt"), |_| {}), Err(Refusal::Kind));
    assert_eq!(access(Some("tenantd-login+jwt"), |_| {}), Err(Refusal::Kind));
    assert_eq!(access(Some("JWT"), |claims| claims["events"] = json!({})), Err(Refusal::Kind));
    let access = token(Some("at+jwt"), |claims| claims["nonce"] = json!("n-1"));
    assert_eq!(id_token().verify(&access, &keys()), Err(Refusal::Kind));
}

#[test]
fn times_are_needed_and_held() {
    assert_eq!(access(None, |claims| claims["exp"] = json!(NOW)), Err(Refusal::Expired));
    assert_eq!(access(None, |claims| claims["iat"] = json!(NOW + 31)), Err(Refusal::NotYet));
    assert_eq!(access(None, |claims| claims["nbf"] = json!(NOW + 31)), Err(Refusal::NotYet));
    assert_eq!(access(None, |claims| claims["nbf"] = json!(NOW + 30)), Ok(()));
    for name in ["iat", "exp", "sub"] {
        let without = |claims: &mut Value| {
            claims.as_object_mut().unwrap().remove(name);
        };
        assert_eq!(access(None, without), Err(Refusal::Claims), "{name}");
    }
    // A fraction is a NumericDate; a text, an exponent or a list is not.
    assert_eq!(access(None, |claims| claims["exp"] = json!(1_800_000_000.9)), Err(Refusal::Expired));
    assert_eq!(access(None, |claims| claims["exp"] = json!(1_800_000_001.9)), Ok(()));
    for value in [json!("1800000300"), json!(1e300), json!([NOW]), json!(null), json!(u64::MAX)] {
        assert_eq!(access(None, |claims| claims["exp"] = value.clone()), Err(Refusal::Claims), "{value}");
    }
}

#[test]
fn claims_that_two_readers_could_read_differently_are_refused() {
    let text = claims().to_string().replacen('{', r#"{"sub":"admin","#, 1);
    let twice = signer().sign(br#"{"alg":"EdDSA","kid":"k1"}"#, text.as_bytes());
    assert_eq!(access_token().verify(&twice, &keys()), Err(Refusal::Claims));
    assert_eq!(crate::unverified_issuer(&twice), None);
    for (name, value) in [
        ("iss", json!([ISSUER])),
        ("sub", json!(7)),
        ("sub", json!("")),
        ("sub", json!("a\nb")),
        ("jti", json!(7)),
    ] {
        assert_eq!(
            access(None, |claims| claims[name] = value.clone()),
            Err(Refusal::Claims),
            "{name}: {value}"
        );
    }
    for audience in [json!(null), json!({"tenantd": true}), json!([["tenantd"]]), json!("Tenantd"), json!([])]
    {
        assert_eq!(
            access(None, |claims| claims["aud"] = audience.clone()),
            Err(Refusal::Audience),
            "{audience}"
        );
    }
}

#[test]
fn a_key_of_our_own_verifies_nothing_external_unless_it_is_in_the_set() {
    let others = KeySet::parse(json!({ "keys": vectors::all() }).to_string().as_bytes()).unwrap();
    assert_eq!(access_token().verify(&token(None, |_| {}), &others), Err(Refusal::UnknownKey));
}
