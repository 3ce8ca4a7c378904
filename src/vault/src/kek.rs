//! The key above all others, and what is derived from it. It encrypts nothing itself.

use std::fmt;

use model::TenantId;
use thiserror::Error;
use zeroize::ZeroizeOnDrop;

use crate::cipher::{Context, KEY, Key, SealError};

/// Names a KEK without saying anything about it: eight bytes derived from the key, shown as 16 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KekId([u8; KekId::BYTES]);

impl KekId {
    pub(crate) const BYTES: usize = 8;

    pub(crate) fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

impl fmt::Display for KekId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The key-encryption key of a host: 256 bits.
#[expect(missing_debug_implementations, reason = "a key that can be printed is printed one day")]
pub struct Kek {
    key: Key,
    wrapping: Key,
    id: KekId,
}

/// Why bytes are no KEK.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "a KEK has {KEY} bytes and this has {0}: restore the credential that holds it, or import a recovery copy"
)]
pub struct KekError(usize);

impl Kek {
    /// A new one. Its bytes exist nowhere else until the caller has stored [`Kek::expose`].
    pub fn generate() -> Result<Self, SealError> {
        Ok(Self::with(Key::random()?))
    }

    /// The KEK in `bytes`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KekError> {
        Key::from_slice(bytes).map(Self::with).ok_or(KekError(bytes.len()))
    }

    fn with(key: Key) -> Self {
        let id = *key.derive_bytes(None, &Context::new("tenantd kek 1 id", &[]));
        let wrapping = key.derive(&Context::new("tenantd kek 1 wrap", &[]));
        Self { key, wrapping, id: KekId(id) }
    }

    /// Its bytes, to be stored sealed by other means.
    pub fn expose(&self) -> &[u8; KEY] {
        self.key.expose()
    }

    /// Its name.
    pub fn id(&self) -> KekId {
        self.id
    }

    /// The key for archives of one tenant. It opens nothing but archives, and none of another tenant.
    pub fn backup_key(&self, tenant: &TenantId) -> BackupKey {
        let context = Context::new("tenantd kek 1 backup", &[tenant.as_str().as_bytes()]);
        BackupKey { tenant: tenant.clone(), kek: self.id, key: self.key.derive(&context) }
    }

    /// The key that wraps DEKs.
    pub(crate) fn wrapping(&self) -> &Key {
        &self.wrapping
    }
}

impl ZeroizeOnDrop for Kek {}

/// Seals and opens archives of one tenant.
#[expect(missing_debug_implementations, reason = "a key that can be printed is printed one day")]
pub struct BackupKey {
    pub(crate) tenant: TenantId,
    pub(crate) kek: KekId,
    pub(crate) key: Key,
}

impl ZeroizeOnDrop for BackupKey {}

/// The KEK in use, and beside it the next one while a rotation is under way.
///
/// A rotation goes: store a next KEK; carry out [`crate::Listing::next_step`] of every tenant until nothing is left and
/// [`crate::Listing::is_held_by`] says so; store the next KEK in the place of the current one, by one rename. After a crash
/// anywhere, what is stored says where to go on.
#[expect(missing_debug_implementations, reason = "a key that can be printed is printed one day")]
pub struct Keks {
    current: Kek,
    next: Option<Kek>,
    kept: Vec<Kek>,
}

impl Keks {
    /// What is stored: one KEK, or two while a rotation is under way.
    pub fn new(current: Kek, next: Option<Kek>) -> Self {
        Self { current, next, kept: Vec::new() }
    }

    /// With KEKs of other hosts or other times: nothing is wrapped by them, but what is opens.
    #[must_use]
    pub fn and_kept(self, kept: Vec<Kek>) -> Self {
        Self { kept, ..self }
    }

    /// The one that new things are wrapped by.
    pub fn newest(&self) -> &Kek {
        self.next.as_ref().unwrap_or(&self.current)
    }

    /// The one with this name, if it is at hand.
    pub fn find(&self, id: KekId) -> Option<&Kek> {
        let used = [Some(&self.current), self.next.as_ref()].into_iter().flatten();
        used.chain(&self.kept).find(|kek| kek.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(id: &str) -> TenantId {
        TenantId::parse(id).unwrap()
    }

    #[test]
    fn a_kek_is_known_by_its_bytes_and_nothing_derived_from_it_is_the_key() {
        let kek = Kek::generate().unwrap();
        let same = Kek::from_bytes(kek.expose()).unwrap();
        assert_eq!((kek.id(), kek.wrapping().expose()), (same.id(), same.wrapping().expose()));
        assert_eq!(kek.id().to_string().len(), 16);
        let [acme, beta] = ["acme", "beta"].map(|id| kek.backup_key(&tenant(id)));
        let keys = [kek.expose(), kek.wrapping().expose(), acme.key.expose(), beta.key.expose()];
        for (index, key) in keys.iter().enumerate() {
            assert!(keys[index + 1..].iter().all(|other| other != key));
            assert_ne!(&key[..KekId::BYTES], kek.id().as_bytes());
        }
    }

    #[test]
    fn bytes_of_another_length_are_no_kek() {
        for length in [0, 16, 31, 33, 64] {
            assert_eq!(Kek::from_bytes(&vec![1; length]).err(), Some(KekError(length)));
        }
    }

    #[test]
    fn the_next_kek_is_the_one_that_wraps_and_both_are_found() {
        let [current, next, other] = [1, 2, 3].map(|byte| Kek::from_bytes(&[byte; KEY]).unwrap());
        let (current_id, next_id) = (current.id(), next.id());
        let keks = Keks::new(current, Some(next));
        assert_eq!(keks.newest().id(), next_id);
        assert!(keks.find(current_id).is_some() && keks.find(next_id).is_some());
        assert!(keks.find(other.id()).is_none());
        let id = other.id();
        assert_eq!(Keks::new(other, None).newest().id(), id);
        let keks = keks.and_kept(vec![Kek::from_bytes(&[3; KEY]).unwrap()]);
        assert_eq!(keks.newest().id(), next_id);
        assert!(keks.find(id).is_some() && keks.find(current_id).is_some());
    }

    #[test]
    fn what_is_derived_never_changes() {
        let kek = Kek::from_bytes(&[1; KEY]).unwrap();
        assert_eq!(kek.id().to_string(), "5be9c25717ea8537");
    }
}
