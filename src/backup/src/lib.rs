//! What stands in a backup before the tenant's data: a label that says what it is, and the files of the tenant's vault. Pure over
//! bytes. All of it is sealed, with the data behind it, as one archive; the layout is in `docs/backup-format.md`.
#![forbid(unsafe_code)]

mod head;
mod label;

pub use head::{Head, HeadError, VaultFile};
pub use label::{Label, Quiesced};
