//! Why a gateway or an egress proxy does not get its secrets.

use std::io;

use model::{Exit, TenantId};
use thiserror::Error;
use vault::{KekError, VaultError};
use vault_store::StoreError;

/// Every way in which `tenant-credentials` fails.
#[derive(Debug, Error)]
pub enum Error {
    /// Not started by its socket.
    #[error(
        "tenant-credentials is started by tenantd-credentials.socket only, and with --proof by tenantd-proof.socket: systemctl start tenantd-credentials.socket"
    )]
    NoSocket,
    /// The command line is not one.
    #[error("tenant-credentials takes no argument but --proof")]
    Usage,
    /// The kernel refused something.
    #[error("cannot {0}: {1}")]
    Kernel(&'static str, #[source] io::Error),
    /// The kernel does not lock memory.
    #[error(
        "cannot lock the memory of this process: {0}: raise LimitMEMLOCK= of tenantd-credentials.service"
    )]
    Memory(#[source] io::Error),
    /// Somebody asks for what is not theirs.
    #[error("refused: {0}")]
    Refused(String),
    /// The KEK does not open.
    #[error("the vault is locked: {0}; see \"tenantctl vault status\"")]
    Locked(String),
    /// The vault's files.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// More than systemd takes as one credential.
    #[error(
        "tenant {0}: its secrets have more than 1 MiB together, which systemd does not pass on: remove some"
    )]
    TooMuch(TenantId),
}

impl Error {
    /// How the program ends.
    pub fn exit(&self) -> Exit {
        match self {
            Self::NoSocket | Self::Usage => Exit::Usage,
            Self::Kernel(..) | Self::Memory(_) => Exit::Os,
            Self::Refused(_) => Exit::NoPermission,
            Self::Locked(_) => Exit::Config,
            Self::Store(error) => error.exit(),
            Self::TooMuch(_) => Exit::Data,
        }
    }
}

impl From<VaultError> for Error {
    fn from(error: VaultError) -> Self {
        Self::Store(error.into())
    }
}

impl From<KekError> for Error {
    fn from(error: KekError) -> Self {
        Self::Locked(error.to_string())
    }
}
