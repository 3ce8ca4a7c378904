//! Why an operation on installed runtimes failed: object, cause, remedy.

use std::path::{Path, PathBuf};

use model::Exit;
use nix::errno::Errno;
use runtime::{ElfError, ManifestError, ProvenanceError};
use thiserror::Error;

/// Why an operation on installed runtimes failed.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The disk is full, or a quota is reached.
    #[error("{path}: cannot {action}: no space is left on the disk: free some, then try again")]
    DiskFull {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
    },
    /// The kernel refused.
    #[error("{path}: cannot {action}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Cause.
        source: Errno,
    },
    /// The version is there.
    #[error(
        "{runtime} {version} is already installed: verify it with \"tenantctl runtime verify {runtime} {version}\", or remove it first"
    )]
    AlreadyInstalled {
        /// The runtime.
        runtime: String,
        /// The version.
        version: String,
    },
    /// The version is not there.
    #[error(
        "{runtime} {version} is not installed: install it with \"tenantctl runtime install {runtime} --version {version}\""
    )]
    NotInstalled {
        /// The runtime.
        runtime: String,
        /// The version.
        version: String,
    },
    /// A name that cannot be a directory of the store.
    #[error("{0:?} cannot name a runtime or an operation: use lower-case letters, digits and dashes")]
    Name(String),
    /// A path in the tree that must not be sealed.
    #[error(
        "{path}: it {why}: this is no runtime that can be trusted, fetch it again from a registry you trust"
    )]
    Irregular {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The runtime's program cannot run here.
    #[error("{path}: {source}: fetch the runtime for this machine")]
    Program {
        /// The program.
        path: PathBuf,
        /// What is wrong with it.
        source: ElfError,
    },
    /// The manifest cannot be used.
    #[error("{path}: {source}: remove this version and install it again")]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ManifestError,
    },
    /// The provenance cannot be used.
    #[error("{path}: {source}: remove this version and install it again")]
    Provenance {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ProvenanceError,
    },
}

impl StoreError {
    /// Turns an error of the kernel into a sentence.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(Errno) -> Self + use<> {
        let path = path.to_owned();
        move |source| {
            if matches!(source, Errno::ENOSPC | Errno::EDQUOT) {
                Self::DiskFull { action, path }
            } else {
                Self::Io { action, path, source }
            }
        }
    }

    /// The exit code for it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::DiskFull { .. } | Self::Io { .. } => Exit::Io,
            Self::AlreadyInstalled { .. } => Exit::CantCreate,
            Self::Name(_) => Exit::Usage,
            Self::NotInstalled { .. } => Exit::NoInput,
            Self::Irregular { .. }
            | Self::Program { .. }
            | Self::Manifest { .. }
            | Self::Provenance { .. } => Exit::Data,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_ends_with_the_code_that_the_table_gives_full_disks() {
        for errno in [Errno::ENOSPC, Errno::EDQUOT] {
            let error = StoreError::io("write", Path::new("/x"))(errno);
            assert!(matches!(error, StoreError::DiskFull { .. }), "{error}");
            assert_eq!(error.exit().code(), 74, "{error}");
        }
        assert_eq!(StoreError::io("write", Path::new("/x"))(Errno::EIO).exit().code(), 74);
    }
}
