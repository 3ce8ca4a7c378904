//! Secrets sealed one by one, keys that rotate, recovery copies under a passphrase, archives sealed as streams.
//!
//! Pure over bytes: callers list, write and remove files; this crate says what is in them and what the next step is. Of its
//! surroundings it takes random bytes of the operating system and nothing else. Memory is wiped when it is dropped; to
//! lock it (`mlock`) and to switch core dumps off is up to the program, because that takes unsafe code. The layout of every
//! byte is in `docs/vault-formats.md`.
#![forbid(unsafe_code)]

mod archive;
mod change;
mod cipher;
mod dek;
mod error;
mod form;
mod kek;
mod listing;
mod name;
mod record;
mod recovery;
mod secret;
mod settle;
#[cfg(test)]
mod testing;

pub use archive::{ArchiveError, Opener, Sealer, Unopened};
pub use cipher::SealError;
pub use error::VaultError;
pub use form::FormError;
pub use kek::{BackupKey, Kek, KekError, KekId, Keks};
pub use listing::{Listing, RecordFile, SecretEntry, Step};
pub use name::{Kind, NameError, SecretName};
pub use recovery::{Passphrase, RecoveryError, export_kek, import_kek};
pub use secret::{Secret, SecretError};
