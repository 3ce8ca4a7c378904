//! Archives sealed as streams: STREAM (Hoang, Reyhanitabar, Rogaway, Vizár 2015) over AES-256-GCM, 64 KiB a chunk. Whatever was
//! reordered, cut short, put together from others or added to does not open. Memory does not grow with the archive.

mod bulk;
mod header;
mod open;
mod seal;

use aead_stream::StreamBE32;
use model::TenantId;
use thiserror::Error;

use crate::archive::bulk::Bulk;
use crate::cipher::SealError;
use crate::form::FormError;
use crate::kek::KekId;

pub use open::{Opener, Unopened};
pub use seal::Sealer;

/// Bytes of a chunk before it is sealed. Only the last one may have fewer.
const CHUNK: usize = 65_536;

/// AES-256-GCM with 7 bytes of nonce from the key derivation, a counter of 32 bits and a byte that marks the last chunk.
type Stream = StreamBE32<Bulk>;

/// Why an archive was not written or not read.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// The header is not that of an archive.
    #[error("cannot read the archive: {0}; look for another copy")]
    Form(#[from] FormError),
    /// Reading failed.
    #[error("cannot read the archive: {0}")]
    Read(#[source] std::io::Error),
    /// Writing failed.
    #[error("cannot write the archive: {0}")]
    Write(#[source] std::io::Error),
    /// A key for another tenant or of another KEK.
    #[error(
        "the archive of tenant {tenant} needs KEK {kek}, which is not at hand: import its recovery copy with \"tenantctl vault recovery import\""
    )]
    ForeignKey {
        /// Whose archive.
        tenant: TenantId,
        /// The KEK it needs.
        kek: KekId,
    },
    /// A chunk that does not open.
    #[error(
        "chunk {chunk} of the archive of tenant {tenant} does not open: the archive was cut short, changed or put together from others: take another copy"
    )]
    Sealed {
        /// Whose archive.
        tenant: TenantId,
        /// Which chunk, from 1.
        chunk: u64,
    },
    /// More chunks than a counter of 32 bits tells apart.
    #[error("the archive of tenant {tenant} would be larger than 256 TiB: archive it in parts")]
    TooLarge {
        /// Whose archive.
        tenant: TenantId,
    },
    /// Writing failed before, so that what was written is no archive.
    #[error("the archive of tenant {tenant} is broken since a write failed: begin again")]
    Broken {
        /// Whose archive.
        tenant: TenantId,
    },
    /// There was no randomness for a salt.
    #[error("cannot seal the archive: {0}")]
    Seal(#[from] SealError),
}

#[cfg(test)]
mod tests;
