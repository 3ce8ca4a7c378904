//! How a verb fails: one sentence and an exit code, or silently because nobody reads any more.

use std::io;
use std::path::Path;

use api::Change;
use model::{Exit, IdError, SettingsError, SpecError};
use thiserror::Error;

/// Why a verb ended early.
#[derive(Debug, Error)]
pub enum Failure {
    /// Something for the person who asked.
    #[error("{message}")]
    Sentence {
        /// Exit code.
        exit: Exit,
        /// Object, cause and remedy.
        message: String,
    },
    /// A change allows more than before, and that was not wanted.
    #[error("{message}")]
    Wider {
        /// Object, cause and remedy.
        message: String,
        /// What each tenant would be allowed.
        changes: Vec<Change>,
    },
    /// Standard output was closed, as by `| head`: not a failure of ours.
    #[error("nobody reads the output any more")]
    ReaderGone,
}

/// Exit status of a verb that did what it was asked to; not always zero (see `status`, `exec`).
pub type Ended = Result<u8, Failure>;

impl Failure {
    /// A sentence with its exit code.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Failure::Sentence { exit, message: message.into() }
    }

    /// A file that cannot be read.
    pub fn reading(path: &Path, error: &io::Error) -> Self {
        let path = path.display();
        if error.kind() == io::ErrorKind::NotFound {
            Self::new(Exit::NoInput, format!("{path}: no such file or directory"))
        } else if error.kind() == io::ErrorKind::PermissionDenied {
            Self::new(Exit::NoPermission, format!("{path}: you may not read it: use sudo"))
        } else {
            Self::new(Exit::Io, format!("{path}: cannot be read: {error}"))
        }
    }

    /// An answer of tenantd that this program does not understand.
    pub fn foreign_answer(what: &str, error: &serde_json::Error) -> Self {
        Self::new(
            Exit::Software,
            format!(
                "tenantd's answer about {what} is not understood ({error}): tenantctl and tenantd are of different versions; restart tenantd with \"systemctl restart tenantd\""
            ),
        )
    }

    /// Status the program ends with.
    pub fn code(&self) -> u8 {
        match self {
            Failure::Sentence { exit, .. } => exit.code(),
            Failure::Wider { .. } => Exit::Data.code(),
            Failure::ReaderGone => Exit::Ok.code(),
        }
    }
}

impl From<api::Error> for Failure {
    fn from(error: api::Error) -> Self {
        let (exit, message) = error.verdict();
        Self::new(exit, message)
    }
}

impl From<zbus::Error> for Failure {
    fn from(error: zbus::Error) -> Self {
        api::Error::from(error).into()
    }
}

impl From<SpecError> for Failure {
    fn from(error: SpecError) -> Self {
        Self::new(Exit::Data, error.to_string())
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::new(Exit::Config, error.to_string())
    }
}

impl From<IdError> for Failure {
    fn from(error: IdError) -> Self {
        Self::new(Exit::Data, error.to_string())
    }
}

/// Writing to standard output or standard error failed.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() == io::ErrorKind::BrokenPipe {
            true => Failure::ReaderGone,
            false => Self::new(Exit::Io, format!("cannot write the output: {error}")),
        }
    }
}
