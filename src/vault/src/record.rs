//! The record of one version of a secret: sealed under a DEK, bound to its tenant, name, version, kind, generation and number.

use crate::cipher::{Context, NONCE, SealError, TAG};
use crate::dek::{Dek, MOST_MESSAGES};
use crate::form::{Fields, Form, FormError};
use crate::name::{Kind, SecretName};
use crate::secret::Secret;

const FORM: Form = Form { magic: b"tnd-secr", what: "sealed secret" };

/// Bytes before the sealed value.
pub(crate) const HEAD: usize = Form::BEGIN + 13;
const SEALED_LEAST: usize = NONCE + 1 + TAG;
const SEALED_MOST: usize = NONCE + Secret::MAX + TAG;

/// What a record says of itself before it is opened. All of it is authenticated when it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    /// Generation of the DEK.
    pub(crate) generation: u32,
    /// Number of the message under that DEK, from 1.
    pub(crate) message: u64,
}

impl Header {
    fn bytes(self) -> Vec<u8> {
        let mut bytes = FORM.begin();
        bytes.push(self.kind.byte());
        bytes.extend_from_slice(&self.generation.to_be_bytes());
        bytes.extend_from_slice(&self.message.to_be_bytes());
        bytes
    }
}

/// The record of `secret` as this version of `name`, the `message`-th under `dek`.
pub(crate) fn seal(
    dek: &Dek,
    name: &SecretName,
    version: u64,
    (kind, message): (Kind, u64),
    secret: &Secret,
) -> Result<Vec<u8>, SealError> {
    let header = Header { kind, generation: dek.generation, message };
    let sealed = dek.key().seal(&context(dek, name, version, header), secret.expose())?;
    Ok([header.bytes(), sealed].concat())
}

/// Reads a record without opening it.
pub(crate) fn parse(bytes: &[u8]) -> Result<(Header, &[u8]), FormError> {
    let mut fields = FORM.fields(bytes)?;
    let header = header(&mut fields)?;
    Ok((header, fields.rest(SEALED_LEAST, SEALED_MOST)?))
}

/// What a record of `length` bytes that begins with these says it is for; nothing where [`parse`] would refuse it.
pub(crate) fn kind(head: &[u8], length: u64) -> Option<Kind> {
    let bounds = (HEAD + SEALED_LEAST) as u64..=(HEAD + SEALED_MOST) as u64;
    let header = header(&mut FORM.fields(head).ok()?).ok()?;
    bounds.contains(&length).then_some(header.kind)
}

fn header(fields: &mut Fields<'_>) -> Result<Header, FormError> {
    let [kind] = fields.take()?;
    let kind = Kind::from_byte(kind).ok_or(FormError::Field("kind"))?;
    let generation = fields.number32("generation", 1, u32::MAX)?;
    let message = fields.number64("number", 1, MOST_MESSAGES)?;
    Ok(Header { kind, generation, message })
}

/// The secret in what [`parse`] gave, if this is its DEK, name and version.
pub(crate) fn open(
    dek: &Dek,
    name: &SecretName,
    version: u64,
    header: Header,
    sealed: &[u8],
) -> Option<Secret> {
    let mut bytes = dek.key().open(&context(dek, name, version, header), sealed)?;
    Secret::new(std::mem::take(&mut *bytes)).ok()
}

fn context(dek: &Dek, name: &SecretName, version: u64, header: Header) -> Context {
    let tenant = dek.tenant.as_str().as_bytes();
    let fields = [tenant, name.as_str().as_bytes(), &version.to_be_bytes(), &header.bytes()];
    Context::new("tenantd secret 1", &fields)
}

#[cfg(test)]
mod tests;
