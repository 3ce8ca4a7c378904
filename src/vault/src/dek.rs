//! The key of one tenant and generation, and the file that holds it wrapped by a KEK.

use model::TenantId;

use crate::cipher::{Context, KEY, Key, NONCE, SealError, TAG};
use crate::form::{Form, FormError};
use crate::kek::{Kek, KekId};

/// Most messages under one DEK. With random nonces of 96 bits the chance that any two of them are the same is then below 2^-41;
/// NIST SP 800-38D allows 2^32 messages.
pub(crate) const MOST_MESSAGES: u64 = 1 << 28;

const FORM: Form = Form { magic: b"tnd-wdek", what: "wrapped DEK" };

/// What is written down beside a DEK: numbers that must not be given again, although the records that had them are gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Given {
    /// Highest number of a message under this DEK.
    pub(crate) message: u64,
    /// Highest version of any secret of the tenant.
    pub(crate) version: u64,
}

impl Given {
    /// The higher of both, number by number.
    pub(crate) fn max(self, other: Given) -> Given {
        Given { message: self.message.max(other.message), version: self.version.max(other.version) }
    }
}

/// A data-encryption key.
pub(crate) struct Dek {
    pub(crate) tenant: TenantId,
    pub(crate) generation: u32,
    pub(crate) given: Given,
    key: Key,
}

impl Dek {
    pub(crate) fn make(tenant: TenantId, generation: u32, given: Given) -> Result<Self, SealError> {
        Ok(Self { tenant, generation, given, key: Key::random()? })
    }

    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    /// The file that holds it.
    pub(crate) fn wrap(&self, kek: &Kek) -> Result<Vec<u8>, SealError> {
        let header = header(kek.id(), self.generation, self.given);
        let context = context(&self.tenant, &header);
        Ok([header, kek.wrapping().seal(&context, self.key.expose())?].concat())
    }
}

/// The file of a DEK, read and not yet opened.
#[derive(Clone, Debug)]
pub(crate) struct WrappedDek {
    pub(crate) kek: KekId,
    pub(crate) generation: u32,
    given: Given,
    sealed: Vec<u8>,
}

impl WrappedDek {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, FormError> {
        let mut fields = FORM.fields(bytes)?;
        let kek = KekId::from_bytes(fields.take()?);
        let generation = fields.number32("generation", 1, u32::MAX)?;
        let message = fields.number64("number of messages", 0, MOST_MESSAGES)?;
        let version = fields.number64("highest version", 0, u64::MAX)?;
        let length = NONCE + KEY + TAG;
        let sealed = fields.rest(length, length)?.to_vec();
        Ok(Self { kek, generation, given: Given { message, version }, sealed })
    }

    /// The DEK, if this is the KEK and the tenant it was wrapped for.
    pub(crate) fn unwrap(&self, tenant: &TenantId, kek: &Kek) -> Option<Dek> {
        let header = header(self.kek, self.generation, self.given);
        let key = kek.wrapping().open(&context(tenant, &header), &self.sealed)?;
        let key = Key::from_slice(&key)?;
        Some(Dek { tenant: tenant.clone(), generation: self.generation, given: self.given, key })
    }
}

fn header(kek: KekId, generation: u32, given: Given) -> Vec<u8> {
    let mut header = FORM.begin();
    header.extend_from_slice(kek.as_bytes());
    header.extend_from_slice(&generation.to_be_bytes());
    header.extend_from_slice(&given.message.to_be_bytes());
    header.extend_from_slice(&given.version.to_be_bytes());
    header
}

fn context(tenant: &TenantId, header: &[u8]) -> Context {
    Context::new("tenantd dek 1", &[tenant.as_str().as_bytes(), header])
}

#[cfg(test)]
mod tests;
