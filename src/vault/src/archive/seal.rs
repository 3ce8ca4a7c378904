//! Writing an archive.

use std::io::{Error, Write};

use aead_stream::{EncryptorBE32, StreamPrimitive};
use model::TenantId;
use zeroize::Zeroizing;

use crate::archive::bulk::Bulk;
use crate::archive::header::Header;
use crate::archive::{ArchiveError, CHUNK};
use crate::cipher::{TAG, random};
use crate::kek::BackupKey;

/// Seals what is written to it. Without [`Sealer::finish`] there is no last chunk, and what was written does not open to its end.
#[must_use = "an archive that is not finished does not open to its end"]
#[expect(missing_debug_implementations, reason = "it holds what is being sealed")]
pub struct Sealer<W: Write> {
    out: W,
    tenant: TenantId,
    /// Nothing once a write failed: what a part of a chunk is followed by cannot be known.
    stream: Option<EncryptorBE32<Bulk>>,
    /// A chunk before it is sealed. Kept when full, because it may be the last.
    chunk: Zeroizing<Vec<u8>>,
}

impl<W: Write> Sealer<W> {
    /// Begins an archive of the key's tenant and writes its header.
    pub fn new(key: &BackupKey, out: W) -> Result<Self, ArchiveError> {
        let header = Header { tenant: key.tenant.clone(), kek: key.kek, salt: *random()? };
        Self::with(header, key, out)
    }

    pub(super) fn with(header: Header, key: &BackupKey, mut out: W) -> Result<Self, ArchiveError> {
        out.write_all(&header.bytes()).map_err(ArchiveError::Write)?;
        let stream = Some(header.stream(key).encryptor());
        let chunk = Zeroizing::new(Vec::with_capacity(CHUNK + TAG));
        Ok(Self { out, tenant: header.tenant, stream, chunk })
    }

    /// Writes the last chunk and gives the destination back, flushed. To keep it over a power cut is up to the caller.
    pub fn finish(mut self) -> Result<W, ArchiveError> {
        let Some(stream) = self.stream.take() else { return Err(self.broken()) };
        let sealed = stream.encrypt_last_in_place(&[], &mut *self.chunk);
        sealed.map_err(|_| ArchiveError::TooLarge { tenant: self.tenant.clone() })?;
        self.out.write_all(&self.chunk).and_then(|()| self.out.flush()).map_err(ArchiveError::Write)?;
        Ok(self.out)
    }

    /// Writes a chunk that is not the last.
    fn write_chunk(&mut self) -> Result<(), Error> {
        let Some(mut stream) = self.stream.take() else { return Err(Error::other(self.broken())) };
        let sealed = stream.encrypt_next_in_place(&[], &mut *self.chunk);
        sealed.map_err(|_| Error::other(ArchiveError::TooLarge { tenant: self.tenant.clone() }))?;
        self.out.write_all(&self.chunk)?;
        self.chunk.clear();
        self.stream = Some(stream);
        Ok(())
    }

    fn broken(&self) -> ArchiveError {
        ArchiveError::Broken { tenant: self.tenant.clone() }
    }
}

#[cfg(test)]
impl<W: Write> Sealer<W> {
    pub(super) fn chunk_capacity(&self) -> usize {
        self.chunk.capacity()
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        if self.stream.is_none() {
            return Err(Error::other(self.broken()));
        }
        if self.chunk.len() == CHUNK && !bytes.is_empty() {
            self.write_chunk()?;
        }
        let room = CHUNK.saturating_sub(self.chunk.len());
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.chunk.extend_from_slice(taken);
        Ok(taken.len())
    }

    /// Flushes the destination. What does not fill a chunk yet stays here.
    fn flush(&mut self) -> Result<(), Error> {
        self.out.flush()
    }
}
