//! The header by which a gateway knows its edge: asked for, and kept for a short time.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use http::HeaderName;
use model::TenantId;
use model::delivery::{self, Form};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

/// How long an answer counts.
const KEPT: Duration = Duration::from_secs(10);
/// How long a failure counts, so that many requests do not ask at once.
const FAILED: Duration = Duration::from_secs(1);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of an answer, at most.
const MOST: u64 = 4096;

/// Why there is none.
#[derive(Clone, Debug, Error)]
pub enum ProofError {
    /// No answer.
    #[error("cannot ask {0} for the proof header: {1} (see \"journalctl -u tenantd-proof\")")]
    Ask(String, String),
    /// The answer holds none.
    #[error("there is no proof header in the answer: {0} (see \"journalctl -u tenantd-proof\")")]
    None(&'static str),
}

/// One tenant's.
#[derive(Debug)]
pub struct Proof {
    socket: PathBuf,
    kept: Mutex<Option<(Instant, Result<HeaderName, ProofError>)>>,
}

impl Proof {
    /// Asks at this socket.
    #[must_use]
    pub fn new(socket: PathBuf) -> Self {
        Self { socket, kept: Mutex::default() }
    }

    /// The name of the header. Whoever comes while it is being asked for waits for the same answer.
    ///
    /// # Errors
    ///
    /// [`ProofError`].
    pub async fn header(&self, tenant: &TenantId) -> Result<HeaderName, ProofError> {
        let mut kept = self.kept.lock().await;
        if let Some((at, answer)) = &*kept {
            let counts = if answer.is_ok() { KEPT } else { FAILED };
            if at.elapsed() < counts {
                return answer.clone();
            }
        }
        let asked = tokio::time::timeout(PATIENCE, self.ask(tenant)).await;
        let answer = asked.unwrap_or_else(|_| Err(self.failed("no answer in time")));
        *kept = Some((Instant::now(), answer.clone()));
        answer
    }

    /// Forgets it: the gateway may have been restarted with another.
    pub async fn forget(&self) {
        *self.kept.lock().await = None;
    }

    fn failed(&self, error: impl std::fmt::Display) -> ProofError {
        ProofError::Ask(self.socket.display().to_string(), error.to_string())
    }

    async fn ask(&self, tenant: &TenantId) -> Result<HeaderName, ProofError> {
        let failed = |error| self.failed(error);
        let mut stream = UnixStream::connect(&self.socket).await.map_err(failed)?;
        stream.write_all(format!("{tenant}\n").as_bytes()).await.map_err(failed)?;
        let mut answer = Zeroizing::new(Vec::with_capacity(512));
        stream.take(MOST).read_to_end(&mut answer).await.map_err(failed)?;
        let secrets = delivery::read(&answer).map_err(|_| ProofError::None("it was refused"))?;
        let secret = secrets.iter().find(|secret| secret.form == Form::Gateway);
        let secret = secret.ok_or(ProofError::None("the tenant has no secret of its gateway"))?;
        let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if secret.value.is_empty() || secret.value.len() > 128 || !secret.value.iter().all(plain) {
            return Err(ProofError::None("it cannot stand in a header"));
        }
        let name = Zeroizing::new([b"x-tenantd-", secret.value].concat());
        HeaderName::from_bytes(&name).map_err(|_| ProofError::None("it cannot stand in a header"))
    }
}
