//! tenantd's signing key: Ed25519, as a PKCS#8 document of RFC 8410.

use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde::Serialize;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{Claims, ClaimsError, Kind, MAX_TOKEN_BYTES, base64url};

/// Everything of the PKCS#8 document before the 32 bytes of the seed (RFC 8410, 7).
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
const SEED_BYTES: usize = 32;

/// A key or a token that cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum IssueError {
    /// The operating system gave no random bytes.
    #[error("cannot make a signing key: no random bytes from the operating system")]
    Random,
    /// The document holds no Ed25519 key.
    #[error("cannot use the signing key: not an Ed25519 key in PKCS#8 form, nor a seed of 32 bytes")]
    Key,
    /// The key's name is not one.
    #[error("cannot use the signing key: its name is not 1 to 64 letters, digits, \"-\" or \"_\"")]
    Kid,
    /// No token may say that.
    #[error("cannot issue the token: {0}")]
    Claims(#[from] ClaimsError),
    /// It would be longer than any that is accepted.
    #[error(
        "cannot issue the token: it would have more than {MAX_TOKEN_BYTES} bytes; choose a shorter subject"
    )]
    TooLong,
}

/// A private key and its name.
pub struct SigningKey {
    kid: String,
    pair: Ed25519KeyPair,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.kid)
    }
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'a str,
    typ: &'a str,
    kid: &'a str,
}

impl SigningKey {
    /// A new key: its PKCS#8 document, its name (made from the public key), and its public part, the `x` of a JWK.
    ///
    /// # Errors
    ///
    /// [`IssueError::Random`].
    pub fn generate() -> Result<(Zeroizing<Vec<u8>>, String, String), IssueError> {
        // Of its final size from the start: a growing vector would leave copies of the key behind.
        let mut pkcs8 = Zeroizing::new(Vec::with_capacity(PKCS8_PREFIX.len() + SEED_BYTES));
        let mut seed = Zeroizing::new([0; SEED_BYTES]);
        SystemRandom::new().fill(seed.as_mut_slice()).map_err(|_| IssueError::Random)?;
        pkcs8.extend_from_slice(&PKCS8_PREFIX);
        pkcs8.extend_from_slice(seed.as_slice());
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).map_err(|_| IssueError::Key)?;
        let public = pair.public_key().as_ref();
        let kid =
            digest(&SHA256, public).as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Ok((pkcs8, kid, base64url::encode(public)))
    }

    /// The key in `document`, under the name `kid`; also a bare seed of 32 bytes.
    ///
    /// # Errors
    ///
    /// [`IssueError::Key`] and [`IssueError::Kid`].
    pub fn from_pkcs8(kid: &str, document: &[u8]) -> Result<Self, IssueError> {
        if !is_kid(kid) {
            return Err(IssueError::Kid);
        }
        let pair = if document.len() == SEED_BYTES {
            Ed25519KeyPair::from_seed_unchecked(document)
        } else {
            Ed25519KeyPair::from_pkcs8_maybe_unchecked(document)
        };
        Ok(Self { kid: kid.to_owned(), pair: pair.map_err(|_| IssueError::Key)? })
    }

    /// Its name.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Its public part, the `x` of a JWK.
    #[must_use]
    pub fn x(&self) -> String {
        base64url::encode(self.pair.public_key().as_ref())
    }

    /// A token with these claims. What [`crate::verify`] would never accept is not issued.
    ///
    /// # Errors
    ///
    /// [`IssueError::Claims`] and [`IssueError::TooLong`].
    pub fn issue(&self, claims: &Claims, kind: Kind) -> Result<String, IssueError> {
        claims.check(kind)?;
        let header = Header { alg: "EdDSA", typ: kind.typ(), kid: &self.kid };
        let header = serde_json::to_vec(&header).map_err(|_| IssueError::TooLong)?;
        let payload = serde_json::to_vec(claims).map_err(|_| IssueError::TooLong)?;
        let token = self.sign(&header, &payload);
        if token.len() > MAX_TOKEN_BYTES { Err(IssueError::TooLong) } else { Ok(token) }
    }

    /// The compact JWS of any header and payload.
    pub(crate) fn sign(&self, header: &[u8], payload: &[u8]) -> String {
        let signed = format!("{}.{}", base64url::encode(header), base64url::encode(payload));
        let signature = self.pair.sign(signed.as_bytes());
        format!("{signed}.{}", base64url::encode(signature.as_ref()))
    }
}

fn is_kid(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=64).contains(&text.len()) && text.bytes().all(fits)
}

#[cfg(test)]
mod tests;
