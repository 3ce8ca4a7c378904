//! The edge as the daemon holds it: settings compiled, keys that sign, tokens issued and revoked. The edge itself only reads.

mod certificate;
mod files;
mod keys;
mod settings;
mod status;
mod tokens;

use std::sync::{Mutex, MutexGuard};
use std::time::SystemTime;

use model::{Exit, Paths};
use token::SigningKey;

use crate::failure::Failure;
use crate::journal::lock;

pub(crate) use files::reader;
pub(crate) use tokens::Wish;

/// Its listening sockets, what they start, and where it asks for proof headers.
const SOCKET: &str = "tenantd-edge.socket";
/// Port 80, which only leads to the other: the edge does without where somebody else has it.
const HTTP_SOCKET: &str = "tenantd-edge-http.socket";
const SERVICE: &str = "tenantd-edge.service";
const PROOF_SOCKET: &str = "tenantd-proof.socket";

/// What the edge is given: one at a time changes it.
#[derive(Debug, Default)]
pub struct Edge {
    inner: Mutex<Inner>,
}

/// What only one operation at a time has.
#[derive(Debug, Default)]
pub(crate) struct Inner {
    /// The key that signs, once it was needed; in memory that is locked.
    signer: Option<SigningKey>,
}

/// What has to be there, and what a crash interrupted.
pub(crate) fn prepare(paths: &Paths) -> Result<(), Failure> {
    files::prepare_directories(paths)?;
    certificate::finish_interrupted(paths)
}

impl Edge {
    pub(crate) fn hold(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}

/// Unix seconds.
fn now() -> Result<i64, Failure> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok();
    since.and_then(|since| i64::try_from(since.as_secs()).ok()).ok_or_else(|| {
        Failure::new(Exit::Os, "the host's clock is before 1970: set it, tokens are valid for a time")
    })
}

impl From<token::IssueError> for Failure {
    fn from(error: token::IssueError) -> Self {
        let exit = match &error {
            token::IssueError::Random => Exit::Os,
            token::IssueError::Key | token::IssueError::Kid => Exit::OsFile,
            token::IssueError::Claims(_) | token::IssueError::TooLong => Exit::Data,
        };
        Failure::new(exit, error.to_string())
    }
}
