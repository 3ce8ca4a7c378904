//! AES-256-GCM and HKDF-SHA256 over keys that are wiped. Nobody outside this crate chooses a nonce.

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit};
use hkdf::Hkdf;
use sha2::Sha256;
use thiserror::Error;
use zeroize::Zeroizing;

/// Bytes of a key.
pub(crate) const KEY: usize = 32;
/// Bytes of a nonce.
pub(crate) const NONCE: usize = 12;
/// Bytes that sealing adds to what is sealed, nonce not counted.
pub(crate) const TAG: usize = 16;

/// Why something was not sealed.
#[derive(Debug, Error)]
pub enum SealError {
    /// No random bytes, so no key and no nonce.
    #[error("the operating system gives no random bytes ({0}): see getrandom(2) and try again")]
    Random(#[source] getrandom::Error),
    /// More than the cipher takes under one nonce.
    #[error("it is more than AES-GCM seals at once: seal it in parts")]
    TooLong,
}

/// Random bytes of the operating system.
pub(crate) fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, SealError> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(bytes.as_mut_slice()).map_err(SealError::Random)?;
    Ok(bytes)
}

/// 256 bits that nobody prints, wiped when dropped.
pub(crate) struct Key(Zeroizing<[u8; KEY]>);

impl Key {
    pub(crate) fn random() -> Result<Self, SealError> {
        Ok(Self(random()?))
    }

    /// The key in exactly 32 bytes.
    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Self> {
        let mut key = Zeroizing::new([0; KEY]);
        (bytes.len() == KEY).then(|| key.copy_from_slice(bytes))?;
        Some(Self(key))
    }

    pub(crate) fn expose(&self) -> &[u8; KEY] {
        &self.0
    }

    /// Another key for the purpose that `context` names. Without a salt that of RFC 5869: the key is uniform already.
    pub(crate) fn derive(&self, context: &Context) -> Self {
        Self(self.derive_bytes(None, context))
    }

    /// N bytes for the purpose that `context` names.
    pub(crate) fn derive_bytes<const N: usize>(
        &self,
        salt: Option<&[u8]>,
        context: &Context,
    ) -> Zeroizing<[u8; N]> {
        const { assert!(N <= 255 * 32, "HKDF-SHA256 gives no more") };
        let mut bytes = Zeroizing::new([0; N]);
        #[expect(
            clippy::expect_used,
            reason = "the only error is the length, which is checked when this is compiled"
        )]
        Hkdf::<Sha256>::new(salt, self.expose()).expand(&context.0, bytes.as_mut_slice()).expect("length");
        bytes
    }

    /// Nonce, what `plain` becomes, tag.
    pub(crate) fn seal(&self, context: &Context, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        self.seal_with(&*random()?, context, plain)
    }

    /// The same under a nonce that was never used with this key.
    pub(crate) fn seal_with(
        &self,
        nonce: &[u8; NONCE],
        context: &Context,
        plain: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        // With the capacity it needs: a vector that moves leaves a copy behind.
        let mut text = Zeroizing::new(Vec::with_capacity(plain.len() + TAG));
        text.extend_from_slice(plain);
        let cipher = Aes256Gcm::new(self.expose().into());
        cipher.encrypt_in_place(nonce.into(), &context.0, &mut *text).map_err(|_| SealError::TooLong)?;
        Ok([nonce.as_slice(), &text].concat())
    }

    /// What was sealed in the same context, or nothing: the cipher knows no reasons.
    pub(crate) fn open(&self, context: &Context, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, text) = sealed.split_first_chunk::<NONCE>()?;
        let mut text = Zeroizing::new(text.to_vec());
        let cipher = Aes256Gcm::new(self.expose().into());
        cipher.decrypt_in_place(nonce.into(), &context.0, &mut *text).ok()?;
        Some(text)
    }
}

/// What a key or a ciphertext is bound to: a purpose and its fields, each behind its length, so that no two lists of fields
/// are the same bytes.
pub(crate) struct Context(Vec<u8>);

impl Context {
    pub(crate) fn new(purpose: &str, fields: &[&[u8]]) -> Self {
        let mut bytes = Vec::new();
        for field in [purpose.as_bytes()].iter().chain(fields) {
            bytes.extend_from_slice(&(field.len() as u64).to_be_bytes());
            bytes.extend_from_slice(field);
        }
        Self(bytes)
    }
}

#[cfg(test)]
mod tests;
