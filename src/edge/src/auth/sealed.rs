//! Small documents that a browser keeps for us and can neither read nor change: AES-256-GCM (NIST SP 800-38D) under a key
//! that never leaves this host, bound to a purpose and a tenant.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::random;

/// Bytes of a sealed document as text, at most; browsers keep 4096 of a cookie.
const MAX_SEALED: usize = 3800;

/// What a document is for. One sealed for one purpose opens for no other.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    Session,
    Oidc,
}

pub(super) struct Sealer(LessSafeKey);

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer")
    }
}

impl Sealer {
    /// With a key of 32 bytes.
    pub(super) fn new(key: &[u8]) -> Option<Self> {
        UnboundKey::new(&AES_256_GCM, key).ok().map(|key| Self(LessSafeKey::new(key)))
    }

    /// `document` as text. The nonce is random: 2^32 documents of one key before a repetition is worth a thought
    /// (SP 800-38D, 8.3), and there is one a login.
    pub(super) fn seal<T: Serialize>(&self, purpose: Purpose, tenant: &str, document: &T) -> Option<String> {
        let nonce = random::bytes::<NONCE_LEN>()?;
        let mut bytes = serde_json::to_vec(document).ok()?;
        let aad = Aad::from(aad(purpose, tenant));
        let tag =
            self.0.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), aad, &mut bytes).ok()?;
        let text = URL_SAFE_NO_PAD.encode([&nonce, bytes.as_slice(), tag.as_ref()].concat());
        (text.len() <= MAX_SEALED).then_some(text)
    }

    /// The document in `text`, if this key sealed it for this purpose and tenant.
    pub(super) fn open<T: DeserializeOwned>(&self, purpose: Purpose, tenant: &str, text: &str) -> Option<T> {
        if text.len() > MAX_SEALED {
            return None;
        }
        let mut bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let document = self.0.open_in_place(nonce, Aad::from(aad(purpose, tenant)), sealed).ok()?;
        serde_json::from_slice(document).ok()
    }
}

fn aad(purpose: Purpose, tenant: &str) -> Vec<u8> {
    let purpose = match purpose {
        Purpose::Session => "tenantd session\0",
        Purpose::Oidc => "tenantd oidc\0",
    };
    [purpose.as_bytes(), tenant.as_bytes()].concat()
}

#[cfg(test)]
mod tests;
