//! Reading an archive.

use std::io::{Error, ErrorKind, Read};

use aead_stream::{DecryptorBE32, StreamPrimitive};
use model::TenantId;
use zeroize::Zeroizing;

use crate::archive::bulk::Bulk;
use crate::archive::header::Header;
use crate::archive::{ArchiveError, CHUNK};
use crate::cipher::TAG;
use crate::kek::{BackupKey, KekId};
use crate::secret::fill;

/// An archive whose header was read. Nothing of it is believed until it is opened.
#[derive(Debug)]
pub struct Unopened<R: Read> {
    header: Header,
    source: R,
}

impl<R: Read> Unopened<R> {
    /// Reads the header.
    pub fn read(mut source: R) -> Result<Self, ArchiveError> {
        Ok(Self { header: Header::read(&mut source)?, source })
    }

    /// Whose archive it says it is.
    pub fn tenant(&self) -> &TenantId {
        &self.header.tenant
    }

    /// The KEK that its key is derived from.
    pub fn kek(&self) -> KekId {
        self.header.kek
    }

    /// What was sealed, if the key is the one that the header names.
    pub fn open(self, key: &BackupKey) -> Result<Opener<R>, ArchiveError> {
        let Header { tenant, kek, .. } = self.header.clone();
        if tenant != key.tenant || kek != key.kek {
            return Err(ArchiveError::ForeignKey { tenant, kek });
        }
        let stream = Some(self.header.stream(key).decryptor());
        let chunk = Zeroizing::new(Vec::with_capacity(CHUNK + TAG));
        Ok(Opener {
            source: self.source,
            tenant,
            stream,
            chunk,
            given: 0,
            opened: 0,
            ahead: None,
            ended: false,
        })
    }
}

/// Gives what was sealed, chunk by chunk, each after it was seen to be untouched and in its place. Whether the archive was cut short
/// shows at its end only: whoever restores from it must be able to take back what they did until then. To verify an
/// archive, read it to its end and keep nothing.
#[expect(missing_debug_implementations, reason = "it holds what was sealed")]
pub struct Opener<R: Read> {
    source: R,
    tenant: TenantId,
    /// Nothing after the last chunk, or after an error.
    stream: Option<DecryptorBE32<Bulk>>,
    /// The chunk that is being given.
    chunk: Zeroizing<Vec<u8>>,
    /// How much of it was given.
    given: usize,
    /// How many chunks were opened.
    opened: u64,
    /// The first byte of the next chunk: there is one.
    ahead: Option<u8>,
    ended: bool,
}

impl<R: Read> Opener<R> {
    /// Opens the next chunk. After an error there is no next one, and nothing is given of the one that failed.
    fn next_chunk(&mut self) -> Result<(), Error> {
        let broken = ArchiveError::Broken { tenant: self.tenant.clone() };
        let stream = self.stream.take().ok_or_else(|| Error::other(broken))?;
        self.given = 0;
        let opened = self.read_sealed().and_then(|last| self.open_chunk(stream, last));
        if opened.is_err() {
            self.chunk.clear();
        }
        opened
    }

    /// Fills `chunk` with the next sealed one, and says whether it is the last: then nothing follows.
    fn read_sealed(&mut self) -> Result<bool, Error> {
        self.chunk.clear();
        self.chunk.extend(self.ahead.take());
        let room = CHUNK + TAG - self.chunk.len();
        // Into the room that is there already: a vector that moves leaves a copy behind.
        self.source.by_ref().take(room as u64).read_to_end(&mut self.chunk)?;
        let mut ahead = [0];
        let more = fill(&mut self.source, &mut ahead)?;
        self.ahead = ahead.into_iter().take(more).next();
        Ok(self.ahead.is_none())
    }

    fn open_chunk(&mut self, mut stream: DecryptorBE32<Bulk>, last: bool) -> Result<(), Error> {
        let sealed = ArchiveError::Sealed { tenant: self.tenant.clone(), chunk: self.opened + 1 };
        let failed = |_| Error::new(ErrorKind::InvalidData, sealed);
        if last {
            stream.decrypt_last_in_place(&[], &mut *self.chunk).map_err(failed)?;
            self.ended = true;
        } else {
            stream.decrypt_next_in_place(&[], &mut *self.chunk).map_err(failed)?;
            self.stream = Some(stream);
        }
        self.opened += 1;
        Ok(())
    }
}

#[cfg(test)]
impl<R: Read> Opener<R> {
    pub(super) fn chunk_capacity(&self) -> usize {
        self.chunk.capacity()
    }
}

impl<R: Read> Read for Opener<R> {
    fn read(&mut self, out: &mut [u8]) -> Result<usize, Error> {
        loop {
            let rest = self.chunk.get(self.given..).unwrap_or_default();
            if !rest.is_empty() || out.is_empty() {
                let length = rest.len().min(out.len());
                let (to, from) = (out.get_mut(..length), rest.get(..length));
                to.zip(from).into_iter().for_each(|(to, from)| to.copy_from_slice(from));
                self.given += length;
                return Ok(length);
            }
            if self.ended {
                return Ok(0);
            }
            self.next_chunk()?;
        }
    }
}
