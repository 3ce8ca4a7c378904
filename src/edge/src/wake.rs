//! Waking a sleeping tenant: one question to tenantd for any number of requests that wait.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::TenantId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::watch;

/// How long a request waits, at most.
const PATIENCE: Duration = Duration::from_secs(120);
/// How many wait for one tenant, at most.
const MOST: usize = 64;
/// Bytes of an answer, at most.
const ANSWER: u64 = 64;

/// What tenantd says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// The gateway answers.
    Ready,
    /// Its administrator stopped it.
    Stopped,
    /// It could not be started, or nobody could be asked.
    Failed,
    /// Still starting, when time was up.
    Late,
    /// Too many wait already.
    Crowded,
}

/// One tenant's.
#[derive(Debug)]
pub struct Wake {
    socket: PathBuf,
    waiting: AtomicUsize,
    under_way: Arc<Mutex<Option<watch::Receiver<Option<Woken>>>>>,
}

impl Wake {
    /// Asks at this socket.
    #[must_use]
    pub fn new(socket: PathBuf) -> Self {
        Self { socket, waiting: AtomicUsize::new(0), under_way: Arc::default() }
    }

    /// Wakes the tenant and waits for it, at most `limit`.
    pub async fn wake(&self, tenant: &TenantId, limit: Duration) -> Woken {
        let place = Waiting::enter(&self.waiting);
        if place.before >= MOST {
            return Woken::Crowded;
        }
        let mut answer = self.question(tenant);
        let waited = tokio::time::timeout(limit.min(PATIENCE), answer.wait_for(Option::is_some)).await;
        match waited {
            Ok(Ok(answer)) => answer.unwrap_or(Woken::Failed),
            Ok(Err(_)) => Woken::Failed,
            Err(_) => Woken::Late,
        }
    }

    /// The question under way, or a new one. It goes on if who asked it goes away.
    fn question(&self, tenant: &TenantId) -> watch::Receiver<Option<Woken>> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = &*under_way {
            return answer.clone();
        }
        let (tell, answer) = watch::channel(None);
        *under_way = Some(answer.clone());
        let (socket, tenant, done) = (self.socket.clone(), tenant.clone(), Arc::clone(&self.under_way));
        tokio::spawn(async move {
            let asked = tokio::time::timeout(PATIENCE, ask(&socket, &tenant)).await;
            let woken = match asked {
                Ok(Ok(woken)) => woken,
                Ok(Err(error)) => {
                    tracing::error!(tenant = %tenant, "cannot ask {} to wake tenant {tenant}: {error} (is tenantd running?)", socket.display());
                    Woken::Failed
                }
                Err(_) => Woken::Late,
            };
            if woken == Woken::Failed {
                let unit = tenant.unit();
                tracing::error!(tenant = %tenant, "tenant {tenant} did not wake up: see \"journalctl -u {unit}\"");
            }
            *done.lock().unwrap_or_else(PoisonError::into_inner) = None;
            // Nobody may wait any more.
            tell.send(Some(woken)).ok();
        });
        answer
    }
}

async fn ask(socket: &std::path::Path, tenant: &TenantId) -> std::io::Result<Woken> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(format!("wake {tenant}\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.take(ANSWER).read_to_string(&mut answer).await?;
    match answer.trim_end() {
        "ready" => Ok(Woken::Ready),
        "stopped" => Ok(Woken::Stopped),
        "failed" | "unknown" => Ok(Woken::Failed),
        other => Err(std::io::Error::other(format!("the answer was {:?}", other.escape_debug().to_string()))),
    }
}

struct Waiting<'a> {
    waiting: &'a AtomicUsize,
    before: usize,
}

impl<'a> Waiting<'a> {
    fn enter(waiting: &'a AtomicUsize) -> Self {
        Self { waiting, before: waiting.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
