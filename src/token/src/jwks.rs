//! Key sets of external issuers (RFC 7517, 5).

use serde_json::Value;
use thiserror::Error;

use crate::jws::Unverified;
use crate::{PublicKey, Refusal, json};

/// Keys of a set, at most.
const MAX_KEYS: usize = 64;

/// A document that is no key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum JwksError {
    /// It is not a JSON object with a list of objects in `keys`, or names a member twice.
    #[error("not a JSON Web Key Set")]
    Malformed,
    /// It has more keys than anyone needs.
    #[error("a key set of more than {MAX_KEYS} keys")]
    TooMany,
    /// It has no key that we can verify a signature with.
    #[error("no usable key in the key set: Ed25519, P-256, P-384, or RSA of 2048 to 8192 bits")]
    Empty,
}

/// The usable keys of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySet(Vec<(Option<String>, PublicKey)>);

impl KeySet {
    /// From the text of a JWKS. Keys that are not for us are left out (RFC 7517, 5).
    ///
    /// # Errors
    ///
    /// [`JwksError`].
    pub fn parse(text: &[u8]) -> Result<Self, JwksError> {
        let set = json::object(text).ok_or(JwksError::Malformed)?;
        let listed = set.get("keys").and_then(Value::as_array).ok_or(JwksError::Malformed)?;
        if listed.len() > MAX_KEYS {
            return Err(JwksError::TooMany);
        }
        let mut keys = Vec::new();
        for key in listed {
            let jwk = key.as_object().ok_or(JwksError::Malformed)?;
            let kid = match jwk.get("kid") {
                None => None,
                Some(Value::String(kid)) => Some(kid.clone()),
                Some(_) => return Err(JwksError::Malformed),
            };
            if let Ok(key) = PublicKey::from_jwk(jwk) {
                keys.push((kid, key));
            }
        }
        if keys.is_empty() { Err(JwksError::Empty) } else { Ok(Self(keys)) }
    }

    /// The payload of a token that one of the keys signed: the one with its `kid`, or the only one that can have.
    pub(crate) fn payload(&self, unverified: &Unverified<'_>) -> Result<Vec<u8>, Refusal> {
        let header = unverified.header();
        let named = |kid: &Option<String>| header.kid.is_none() || *kid == header.kid;
        let mut of_name = self.0.iter().filter(|(kid, _)| named(kid)).map(|(_, key)| key).peekable();
        if of_name.peek().is_none() {
            return Err(Refusal::UnknownKey);
        }
        let mut fitting = of_name.filter(|key| key.accepts(header.algorithm));
        let key = fitting.next().ok_or(Refusal::OtherAlgorithm)?;
        // Two keys that fit, and nothing that says which: an issuer has to name its keys (OpenID Connect Core, 10.1).
        if fitting.next().is_some() { Err(Refusal::UnknownKey) } else { unverified.payload(key) }
    }
}

#[cfg(test)]
mod tests;
