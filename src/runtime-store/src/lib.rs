//! Installed runtimes on disk: `<root>/<runtime>/<version>/`, owned by root, read-only, each with a manifest of its
//! content and its provenance.
//!
//! A version appears by one rename when it is whole and on disk, and disappears by one rename. Trees are walked
//! through directory descriptors and no link is ever followed, because an unprivileged program wrote them.
#![forbid(unsafe_code)]

mod error;
mod incoming;
mod remove;
mod store;
mod walk;

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests make the trees they need with plain writes")]
mod tests;

pub use error::StoreError;
pub use incoming::{Incoming, SealedTree};
pub use store::{Installed, Store, Verdict, read_tree};
pub use walk::Progress;
