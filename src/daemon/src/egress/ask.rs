//! The socket at which egress proxies ask: one question of one line, one answer of one line. Whose proxy asks the kernel says.
//!
//! A connection is bounded in bytes and time, each tenant in connections, and nothing else of the daemon waits for them.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use model::egress::{Answer, AnswerVerdict, Destination, Question};
use model::{Exit, TenantId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::desk::{Answers, Put};
use super::destination::{line, normal};
use super::now;
use crate::failure::Failure;
use crate::journal::lock;
use crate::run::blocking;
use crate::service::Service;

/// Connections at once; one more is hung up on.
const CONNECTIONS: usize = 512;
/// Of them, those of one tenant.
const EACH: usize = 32;
/// A question, with its line end.
const LINE: usize = 8 << 10;
/// How long a question may take to be put.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two lines about those who may not ask.
const PAUSE: Duration = Duration::from_secs(60);
/// Between two looks at what has ended.
const PRUNING: Duration = Duration::from_secs(60);

/// How many connections each tenant has.
type Counts = Arc<Mutex<BTreeMap<TenantId, usize>>>;

/// Makes the socket and answers at it for as long as the daemon runs.
pub fn serve(service: Arc<Service>) -> Result<(), Failure> {
    let path = service.paths.ask_socket();
    let listener = listen(&path).map_err(|error| {
        let text = format!(
            "no egress proxy can ask: cannot listen at {}: {error}: see \"systemctl status tenantd\"",
            path.display()
        );
        Failure::new(Exit::Os, text)
    })?;
    tokio::spawn(prune(service.clone()));
    tokio::spawn(accept(listener, service));
    Ok(())
}

/// Proxies have users that come and go, which no mode of the socket can name. So whoever reaches it may connect, and only proxies reach it:
/// it lies below a directory that nobody but root walks, and is bound into their units. Who is no proxy is not heard besides.
fn listen(path: &Path) -> std::io::Result<UnixListener> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
        if let Some(closed) = directory.parent() {
            std::fs::set_permissions(closed, std::fs::Permissions::from_mode(0o700))?;
        }
        std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o755))?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
    Ok(listener)
}

async fn prune(service: Arc<Service>) {
    loop {
        let pruning = service.clone();
        if let Err(failure) = blocking(move || pruning.prune_approvals()).await {
            tracing::error!("cannot end approvals: {failure}");
        }
        tokio::time::sleep(PRUNING).await;
    }
}

async fn accept(listener: UnixListener, service: Arc<Service>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let counts = Counts::default();
    let mut warned: Option<Instant> = None;
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!("cannot take a question at the ask socket: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(tenant) = identify::tenant_of(&stream) else {
            // Anybody may connect, as often as they like.
            if warned.is_none_or(|at| at.elapsed() > PAUSE) {
                tracing::warn!("somebody else than an egress proxy asked at the ask socket");
                warned = Some(Instant::now());
            }
            continue;
        };
        let Some(seat) = Seat::take(&counts, &tenant) else { continue };
        let Ok(place) = room.clone().try_acquire_owned() else { continue };
        let service = service.clone();
        tokio::spawn(async move {
            // Whoever does not put a question, or has hung up, is not told anything.
            answer(&service, &tenant, stream).await.ok();
            drop((seat, place));
        });
    }
}

/// One connection of a tenant.
struct Seat(Counts, TenantId);

impl Seat {
    fn take(counts: &Counts, tenant: &TenantId) -> Option<Self> {
        let mut held = lock(counts);
        let count = held.entry(tenant.clone()).or_default();
        if *count >= EACH {
            return None;
        }
        *count += 1;
        Some(Self(counts.clone(), tenant.clone()))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut held = lock(&self.0);
        if let Some(count) = held.get_mut(&self.1) {
            *count = count.saturating_sub(1);
        }
        held.retain(|_, count| *count > 0);
    }
}

async fn answer(service: &Arc<Service>, tenant: &TenantId, mut stream: UnixStream) -> std::io::Result<()> {
    let answer = match timeout(PATIENCE, question(&mut stream)).await?? {
        Some(Question::Ask(asked)) => match normal(&asked) {
            Ok(asked) => ask(service, tenant, asked, &mut stream).await?,
            Err(why) => refused(why.to_owned()),
        },
        Some(Question::Observe(seen)) => observe(service, tenant, seen).await,
        None => refused(format!("that is no question: it is one line of JSON of at most {LINE} bytes")),
    };
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    timeout(PATIENCE, stream.write_all(&line)).await?
}

/// Reads one line; nothing if that is no question.
async fn question(stream: &mut UnixStream) -> std::io::Result<Option<Question>> {
    let mut bytes = vec![0; LINE];
    let mut filled = 0;
    loop {
        let read = stream.read(bytes.get_mut(filled..).unwrap_or_default()).await?;
        filled += read;
        let so_far = bytes.get(..filled).unwrap_or_default();
        if let Some(line) = so_far.strip_suffix(b"\n") {
            let one = !line.contains(&b'\n');
            return Ok(serde_json::from_slice(line).ok().filter(|_| one));
        }
        if read == 0 || so_far.contains(&b'\n') {
            return Ok(None);
        }
    }
}

async fn observe(service: &Arc<Service>, tenant: &TenantId, seen: Destination) -> Answer {
    let (service, id) = (service.clone(), tenant.clone());
    if let Err(failure) = blocking(move || service.note_tried(&id, &seen)).await {
        tracing::warn!(tenant = %tenant, "cannot note what was tried: {failure}");
    }
    Answer { verdict: AnswerVerdict::Noted, request: None, why: "noted".to_owned() }
}

/// Answers from what holds, or puts the question and waits.
async fn ask(
    service: &Arc<Service>,
    tenant: &TenantId,
    asked: Destination,
    stream: &mut UnixStream,
) -> std::io::Result<Answer> {
    let (looking, id, about) = (service.clone(), tenant.clone(), asked.clone());
    let known =
        blocking(move || Ok((looking.standing(&id, &about)?, looking.egress_file(&id)?.asking))).await;
    let (standing, asking) = match known {
        Ok(known) => known,
        Err(failure) => {
            tracing::error!(tenant = %tenant, "cannot take a question: {failure}");
            return Ok(refused("tenantd cannot ask now: its journal says why".to_owned()));
        }
    };
    if let Some(row) = standing {
        let verdict = if row.allow { AnswerVerdict::Allow } else { AnswerVerdict::Deny };
        return Ok(Answer {
            verdict,
            request: None,
            why: format!("answered before, in approval {}", row.number),
        });
    }
    let put = lock(&service.egress.desk).put(tenant, asked.clone(), &asking, now());
    match put {
        Put::Refused(why) => {
            if lock(&service.egress.desk).tells_refusal(tenant, now()) {
                tracing::warn!(tenant = %tenant, host = %asked.host, port = asked.port, "request not raised: {why}");
            }
            Ok(refused(why.to_owned()))
        }
        Put::Waits { number, answers, raised } => {
            let waiting = Waiting { service, tenant, number };
            if raised {
                tracing::info!(tenant = %tenant, request = number, host = %asked.host, port = asked.port, binary = asked.binary.as_deref(), "request raised: {}", line(&asked));
                service.egress.changed.send(number).ok();
            }
            let hold = Duration::from_secs(asking.hold_sec.min(300));
            waiting.wait(answers, hold, stream).await
        }
    }
}

/// A connection that waits. However it ends, the desk is told.
struct Waiting<'a> {
    service: &'a Service,
    tenant: &'a TenantId,
    number: u64,
}

impl Waiting<'_> {
    async fn wait(
        &self,
        mut answers: Answers,
        hold: Duration,
        stream: &mut UnixStream,
    ) -> std::io::Result<Answer> {
        let mut more = [0];
        tokio::select! {
            answer = answers.wait_for(Option::is_some) => {
                let answer = answer.ok().and_then(|answer| answer.clone());
                Ok(answer.unwrap_or_else(|| refused("the tenant is gone".to_owned())))
            }
            () = tokio::time::sleep(hold) => Ok(Answer {
                verdict: AnswerVerdict::Expired,
                request: Some(self.number),
                why: format!("nobody answered within {} s", hold.as_secs()),
            }),
            // Hung up, or said something more: either way it takes the question back.
            _ = stream.read(&mut more) => Err(std::io::ErrorKind::ConnectionAborted.into()),
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if lock(&self.service.egress.desk).leave(self.tenant, self.number, now()) {
            tracing::info!(tenant = %self.tenant, request = self.number, "nobody waits for the request any more");
            self.service.egress.changed.send(self.number).ok();
        }
    }
}

fn refused(why: String) -> Answer {
    Answer { verdict: AnswerVerdict::Refused, request: None, why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_one_line_in_any_pieces_and_never_longer_than_its_bound() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let whole =
                r#"{"ask":{"host":"a.example.org","port":443,"address":null,"binary":null,"exchange":null}}"#;
            for (text, sound) in [
                (format!("{whole}\n"), true),
                (format!("{whole}\n\n"), false),
                (format!("{whole}\n{whole}\n"), false),
                (whole.replace("port", "Port") + "\n", false),
                ("x".repeat(LINE + 1), false),
                (format!("{}{whole}\n", " ".repeat(LINE)), false),
            ] {
                let (mut ours, mut theirs) = UnixStream::pair().unwrap();
                let asking = async {
                    for piece in text.as_bytes().chunks(50) {
                        theirs.write_all(piece).await.ok();
                    }
                    drop(theirs);
                };
                let (asked, ()) = tokio::join!(question(&mut ours), asking);
                assert_eq!(asked.unwrap().is_some(), sound, "{} bytes", text.len());
            }
        });
    }

    #[test]
    fn the_socket_lies_where_no_other_account_comes() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _entered = runtime.enter();
        let root = tempfile::tempdir().unwrap();
        let path = model::Paths::below(root.path()).ask_socket();
        let _listener = listen(&path).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let above: Vec<_> = path.ancestors().take(3).map(mode).collect();
        assert_eq!(above, [0o666, 0o755, 0o700]);
        // It is there again after a restart.
        listen(&path).unwrap();
    }

    #[test]
    fn a_tenant_has_so_many_connections_and_the_next_one_its_own() {
        let counts = Counts::default();
        let (acme, beta) = (TenantId::parse("acme").unwrap(), TenantId::parse("beta").unwrap());
        let mut seats: Vec<_> = (0..EACH).map(|_| Seat::take(&counts, &acme).unwrap()).collect();
        assert!(Seat::take(&counts, &acme).is_none() && Seat::take(&counts, &beta).is_some());
        seats.pop();
        assert!(Seat::take(&counts, &acme).is_some());
        drop(seats);
        assert!(lock(&counts).is_empty());
    }
}

#[cfg(test)]
#[path = "flow_tests.rs"]
mod flow;
