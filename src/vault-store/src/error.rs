//! What can go wrong between the vault and the disk.

use std::io;
use std::path::{Path, PathBuf};

use model::Exit;
use nix::errno::Errno;
use thiserror::Error;
use vault::VaultError;

/// Why something was not done.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The kernel refused an operation.
    #[error("cannot {action} {path}: {source}{remedy}", path = .path.display(), remedy = remedy(.source))]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// What lies there is not a directory that root alone can enter.
    #[error(
        "{path} has mode {mode:04o} and belongs to uid {uid}: others could read or change the vault; look at who did that, then \"chown root:root\" and \"chmod 0700\" it",
        path = .path.display()
    )]
    Open {
        /// The directory.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// Its owner.
        uid: u32,
    },
    /// The files are not as they should be.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl StoreError {
    /// For `map_err`: what was tried on which file.
    pub(crate) fn io<E: Into<io::Error>>(action: &'static str, path: &Path) -> impl FnOnce(E) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source: source.into() }
    }

    /// How a program ends.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Io { .. } => Exit::Io,
            Self::Open { .. } => Exit::NoPermission,
            Self::Vault(VaultError::NoSecret { .. }) => Exit::NoInput,
            Self::Vault(VaultError::UnderWay { .. }) => Exit::TempFail,
            Self::Vault(VaultError::ForeignKek { .. }) => Exit::Config,
            Self::Vault(_) => Exit::Data,
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    [Errno::ENOSPC, Errno::EDQUOT].iter().any(|errno| error.raw_os_error() == Some(*errno as i32))
}

fn remedy(error: &io::Error) -> &'static str {
    if is_full(error) { ": make room on that disk and try again; nothing was changed" } else { "" }
}
