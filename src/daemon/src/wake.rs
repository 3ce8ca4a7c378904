//! The socket at which the edge asks for a sleeping tenant: one question of one line, one answer of one word.
//!
//! Whoever asks is root or the edge's user. Any number that wait for one tenant cost one start, few tenants start at once, and nothing
//! else of the daemon waits for them.

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use model::{Exit, TenantId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};

use crate::edge::reader;
use crate::failure::Failure;
use crate::journal::lock;
use crate::run::blocking;
use crate::service::Service;
use crate::sleep::Woken;

/// Questions at once; one more is hung up on.
const QUESTIONS: usize = 256;
/// Tenants that start at once for the edge.
const STARTS: usize = 8;
/// `wake `, the longest name, and a line end.
const LINE: usize = 5 + TenantId::MAX_BYTES + 1;
/// How long a question may take to be put.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a start that failed is not tried again.
const PAUSE: Duration = Duration::from_secs(10);

type Answers = watch::Receiver<Option<Woken>>;

/// Tenants being woken.
struct Waking {
    service: Arc<Service>,
    under_way: Mutex<HashMap<TenantId, Answers>>,
    failed: Mutex<HashMap<TenantId, Instant>>,
    starts: Semaphore,
}

/// Makes the socket and answers at it for as long as the daemon runs.
pub fn serve(service: Arc<Service>) -> Result<(), Failure> {
    let path = service.paths.wake_socket();
    let edge = match reader() {
        Ok(edge) => Some(edge),
        Err(failure) => {
            tracing::warn!("no sleeping tenant can be woken by the edge: {failure}");
            None
        }
    };
    let listener = listen(&path, edge.map(|(_, gid)| gid)).map_err(|error| {
        let text = format!("cannot listen at {}: {error}: see \"systemctl status tenantd\"", path.display());
        Failure::new(Exit::Os, text)
    })?;
    let waking = Arc::new(Waking {
        service,
        under_way: Mutex::default(),
        failed: Mutex::default(),
        starts: Semaphore::new(STARTS),
    });
    tokio::spawn(accept(listener, waking, edge.map(|(uid, _)| uid)));
    Ok(())
}

/// Until its mode is set, the socket is writable for root alone: the daemon's umask is 0022.
fn listen(path: &Path, group: Option<u32>) -> std::io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    std::os::unix::fs::chown(path, None, group)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

async fn accept(listener: UnixListener, waking: Arc<Waking>, edge: Option<u32>) {
    let room = Arc::new(Semaphore::new(QUESTIONS));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!("cannot take a question at the wake socket: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let asker = stream.peer_cred().map(|peer| peer.uid());
        if !asker.is_ok_and(|uid| uid == 0 || Some(uid) == edge) {
            tracing::warn!("somebody else than the edge asked at the wake socket");
            continue;
        }
        let Ok(place) = room.clone().try_acquire_owned() else { continue };
        let waking = waking.clone();
        tokio::spawn(async move {
            // Whoever does not put a question, or has hung up, is not told anything.
            waking.answer(stream).await.ok();
            drop(place);
        });
    }
}

impl Waking {
    async fn answer(self: Arc<Self>, mut stream: UnixStream) -> std::io::Result<()> {
        let Some(id) = tokio::time::timeout(PATIENCE, question(&mut stream)).await?? else { return Ok(()) };
        let word = match self.wake(id).await {
            Woken::Ready => "ready\n",
            Woken::Stopped => "stopped\n",
            Woken::Unknown => "unknown\n",
            Woken::Failed => "failed\n",
        };
        stream.write_all(word.as_bytes()).await
    }

    /// Joins the start that is under way, or begins one.
    async fn wake(self: Arc<Self>, id: TenantId) -> Woken {
        let mut answers = self.clone().join(id);
        let answer = answers.wait_for(Option::is_some).await;
        answer.ok().and_then(|answer| *answer).unwrap_or(Woken::Failed)
    }

    fn join(self: Arc<Self>, id: TenantId) -> Answers {
        let waking = self.clone();
        let mut under_way = lock(&self.under_way);
        if let Some(answers) = under_way.get(&id) {
            return answers.clone();
        }
        let (tell, answers) = watch::channel(None);
        under_way.insert(id.clone(), answers.clone());
        drop(under_way);
        tokio::spawn(async move {
            let answer = waking.start(&id).await;
            lock(&waking.under_way).remove(&id);
            tell.send_replace(Some(answer));
        });
        answers
    }

    async fn start(&self, id: &TenantId) -> Woken {
        if lock(&self.failed).get(id).is_some_and(|when| when.elapsed() < PAUSE) {
            return Woken::Failed;
        }
        let Ok(_place) = self.starts.acquire().await else { return Woken::Failed };
        let (service, asleep) = (self.service.clone(), id.clone());
        let woken = blocking(move || service.wake(&asleep)).await.unwrap_or_else(|failure| {
            tracing::warn!(tenant = %id, "cannot wake it for the edge: {failure}");
            Woken::Failed
        });
        let mut failed = lock(&self.failed);
        failed.retain(|_, when| when.elapsed() < PAUSE);
        if woken == Woken::Failed {
            failed.insert(id.clone(), Instant::now());
        }
        woken
    }
}

/// The tenant of `wake TENANT`; nothing if that is not what comes.
async fn question(stream: &mut UnixStream) -> std::io::Result<Option<TenantId>> {
    let mut line = [0; LINE];
    let mut filled = 0;
    loop {
        let room = line.get_mut(filled..).unwrap_or_default();
        let read = stream.read(room).await?;
        filled += read;
        let so_far = line.get(..filled).unwrap_or_default();
        match (parse(so_far), read) {
            (None, 1..) if !so_far.contains(&b'\n') && filled < LINE => {}
            (found, _) => return Ok(found),
        }
    }
}

fn parse(line: &[u8]) -> Option<TenantId> {
    let text = std::str::from_utf8(line).ok()?;
    TenantId::parse(text.strip_prefix("wake ")?.strip_suffix('\n')?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_whole_line_is_a_question() {
        assert_eq!(parse(b"wake acme\n"), TenantId::parse("acme").ok());
        for line in [
            "wake acme",
            "wake acme\n\n",
            "wake Acme\n",
            "acme\n",
            "wake  acme\n",
            "wake \n",
            "",
            "wake a\nwake b\n",
        ] {
            assert_eq!(parse(line.as_bytes()), None, "{line:?}");
        }
    }

    #[test]
    fn a_question_may_come_in_pieces_and_is_never_read_beyond_its_bound() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (mut ours, mut theirs) = UnixStream::pair().unwrap();
            let asking = async {
                for piece in ["wa", "ke acm", "e\n"] {
                    theirs.write_all(piece.as_bytes()).await.unwrap();
                    tokio::task::yield_now().await;
                }
            };
            let (asked, ()) = tokio::join!(question(&mut ours), asking);
            assert_eq!(asked.unwrap(), TenantId::parse("acme").ok());
            theirs.write_all(&[b'x'; 4 * LINE]).await.unwrap();
            assert_eq!(question(&mut ours).await.unwrap(), None);
            drop(theirs);
        });
    }
}
