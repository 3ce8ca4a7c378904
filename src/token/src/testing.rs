//! Keys and tokens for the tests of this crate.

use model::Role;
use model::edge::{KEYS_FORMAT, Keys};

use crate::{Claims, Expected, Kind, OwnKeys, Refusal, SigningKey};

pub(crate) const NOW: i64 = 1_800_000_000;
pub(crate) const AUDIENCE: &str = "https://acme.agents.example";

/// The key with which tenantd signs in these tests, always the same.
pub(crate) fn signer() -> SigningKey {
    SigningKey::from_pkcs8("k1", &[7; 32]).unwrap()
}

pub(crate) fn public(key: &SigningKey, retired: Option<i64>) -> model::edge::SigningKey {
    model::edge::SigningKey { kid: key.kid().to_owned(), x: key.x(), retired }
}

pub(crate) fn own_keys(keys: Vec<model::edge::SigningKey>) -> OwnKeys {
    let keys = Keys { format: KEYS_FORMAT, issuer: "https://agents.example".to_owned(), keys };
    OwnKeys::new(&keys).unwrap()
}

pub(crate) fn claims() -> Claims {
    Claims {
        iss: "https://agents.example".to_owned(),
        aud: AUDIENCE.to_owned(),
        sub: "alice@example".to_owned(),
        role: Role::Operator,
        jti: "0123456789abcdef0123456789abcdef".to_owned(),
        iat: NOW,
        nbf: NOW,
        exp: NOW + 300,
    }
}

pub(crate) fn expected() -> Expected<'static> {
    Expected { audience: AUDIENCE, kind: Kind::Access, now: NOW }
}

/// Verifies as the edge of acme does, with the one key of [`signer`].
pub(crate) fn verify(token: &str) -> Result<Claims, Refusal> {
    let keys = own_keys(vec![public(&signer(), None)]);
    crate::verify(token, &keys, expected()).map(crate::Verified::into_claims)
}

/// A token with this header and these claims, correctly signed by [`signer`].
pub(crate) fn signed(header: &str, payload: &str) -> String {
    signer().sign(header.as_bytes(), payload.as_bytes())
}

/// The header of an honest access token.
pub(crate) const HEADER: &str = r#"{"alg":"EdDSA","typ":"at+jwt","kid":"k1"}"#;

/// The claims of an honest access token, as JSON, with `change` made to the object.
pub(crate) fn payload(change: impl FnOnce(&mut serde_json::Map<String, serde_json::Value>)) -> String {
    let mut value = serde_json::to_value(claims()).unwrap();
    change(value.as_object_mut().unwrap());
    value.to_string()
}

pub(crate) mod vectors;
