//! What an archive says of itself before it is opened, and the stream that follows from it.

use std::io::Read;

use aead_stream::NewStream;
use model::TenantId;

use crate::archive::{ArchiveError, Stream};
use crate::cipher::{Context, KEY};
use crate::form::{Form, FormError};
use crate::kek::{BackupKey, KekId};
use crate::secret::fill;

const FORM: Form = Form { magic: b"tnd-arch", what: "sealed archive" };

/// Bytes of the salt.
pub(super) const SALT: usize = 32;

/// Bytes of a header.
pub(super) const HEADER: usize = Form::BEGIN + KekId::BYTES + TenantId::MAX_BYTES + SALT;

/// Bytes of the nonce that all chunks share.
const PREFIX: usize = 7;

/// Whose archive it is, the KEK it needs, and the salt that makes its key its own.
#[derive(Clone, Debug)]
pub(super) struct Header {
    pub(super) tenant: TenantId,
    pub(super) kek: KekId,
    pub(super) salt: [u8; SALT],
}

impl Header {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = FORM.begin();
        bytes.extend_from_slice(self.kek.as_bytes());
        bytes.extend_from_slice(self.tenant.as_str().as_bytes());
        bytes.resize(HEADER - SALT, 0);
        bytes.extend_from_slice(&self.salt);
        bytes
    }

    /// Reads a header and not a byte more.
    pub(super) fn read(source: &mut impl Read) -> Result<Self, ArchiveError> {
        let mut bytes = [0; HEADER];
        let length = fill(source, &mut bytes).map_err(ArchiveError::Read)?;
        let mut fields = FORM.fields(bytes.get(..length).unwrap_or_default())?;
        let kek = KekId::from_bytes(fields.take()?);
        let tenant = tenant(&fields.take()?).ok_or(FormError::Field("tenant"))?;
        Ok(Self { tenant, kek, salt: fields.take()? })
    }

    /// The stream of this archive. The whole header goes into its key, so that under a changed header nothing opens.
    pub(super) fn stream(&self, key: &BackupKey) -> Stream {
        let header = self.bytes();
        let context = |purpose| Context::new(purpose, &[&header]);
        let salt = Some(self.salt.as_slice());
        let prefix = key.key.derive_bytes::<PREFIX>(salt, &context("tenantd archive 1 nonce"));
        let key = key.key.derive_bytes::<KEY>(salt, &context("tenantd archive 1 key"));
        Stream::new((&*key).into(), (&*prefix).into())
    }
}

/// The tenant in a field that is filled up with zeros.
fn tenant(field: &[u8; TenantId::MAX_BYTES]) -> Option<TenantId> {
    let text = std::str::from_utf8(field).ok()?;
    TenantId::parse(text.trim_end_matches('\0')).ok()
}
