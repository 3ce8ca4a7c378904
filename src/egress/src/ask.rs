//! Questions to tenantd: one for each destination, however many connections wait for its answer.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::egress::{Answer, AnswerVerdict, Asking, Destination, Question};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, watch};

/// Bytes of an answer, at most.
const MOST: u64 = 16 << 10;
/// How long a report for learning may take, and how many are on their way at most.
const REPORT: Duration = Duration::from_secs(2);
const REPORTS: usize = 8;
/// Longer than tenantd waits: its own answer says more than ours.
const GRACE: Duration = Duration::from_secs(1);

/// Asks.
#[derive(Debug)]
pub struct Asker {
    socket: PathBuf,
    waiting: Mutex<BTreeMap<Destination, Waiting>>,
    reports: Arc<Semaphore>,
}

type Waiting = Arc<watch::Sender<Option<Answer>>>;

impl Asker {
    /// At this socket.
    #[must_use]
    pub fn new(socket: PathBuf) -> Self {
        Self { socket, waiting: Mutex::default(), reports: Arc::new(Semaphore::new(REPORTS)) }
    }

    /// What somebody answers. Whoever stops waiting takes the question back, if nobody else waits for the same.
    pub async fn ask(self: &Arc<Self>, destination: Destination, asking: &Asking) -> Answer {
        let hold = Duration::from_secs(asking.hold_sec).saturating_add(GRACE);
        let Some(mut answer) = self.join(destination, asking) else {
            return refusal(
                AnswerVerdict::Refused,
                "too many questions of this tenant wait for an answer".to_owned(),
            );
        };
        let answered = tokio::time::timeout(hold, answer.wait_for(Option::is_some)).await;
        match answered {
            Ok(Ok(answer)) => answer.clone(),
            Ok(Err(_)) => None,
            Err(_) => Some(refusal(AnswerVerdict::Expired, "nobody answered in time".to_owned())),
        }
        .unwrap_or_else(|| refusal(AnswerVerdict::Refused, "the question was lost".to_owned()))
    }

    /// Says what was tried, for learning. Nobody waits for that, and what cannot be said is lost.
    pub fn observe(self: &Arc<Self>, destination: Destination) {
        let Ok(permit) = Arc::clone(&self.reports).try_acquire_owned() else { return };
        let asker = Arc::clone(self);
        tokio::spawn(async move {
            let said = tokio::time::timeout(REPORT, asker.say(&Question::Observe(destination))).await;
            drop((said, permit));
        });
    }

    fn join(
        self: &Arc<Self>,
        destination: Destination,
        asking: &Asking,
    ) -> Option<watch::Receiver<Option<Answer>>> {
        let mut waiting = self.lock();
        if let Some(known) = waiting.get(&destination) {
            return Some(known.subscribe());
        }
        if waiting.len() >= usize::try_from(asking.waiting).unwrap_or(usize::MAX) {
            return None;
        }
        let (sender, receiver) = watch::channel(None);
        let sender = Arc::new(sender);
        waiting.insert(destination.clone(), Arc::clone(&sender));
        tokio::spawn(Arc::clone(self).carry(destination, sender));
        Some(receiver)
    }

    async fn carry(self: Arc<Self>, destination: Destination, sender: Waiting) {
        let question = Question::Ask(destination.clone());
        let mut said = std::pin::pin!(self.say(&question));
        let answer = loop {
            tokio::select! {
                answer = &mut said => break Some(answer),
                () = sender.closed() => {
                    let mut waiting = self.lock();
                    if sender.receiver_count() == 0 {
                        waiting.remove(&destination);
                        return;
                    }
                }
            }
        };
        let answer = match answer {
            Some(Ok(answer)) => answer,
            Some(Err(error)) => refusal(AnswerVerdict::Refused, format!("tenantd cannot be asked: {error}")),
            None => return,
        };
        self.lock().remove(&destination);
        sender.send_replace(Some(answer));
    }

    async fn say(&self, question: &Question) -> io::Result<Answer> {
        let mut stream = UnixStream::connect(&self.socket).await?;
        let mut line = serde_json::to_vec(question)?;
        line.push(b'\n');
        stream.write_all(&line).await?;
        let mut answer = String::new();
        BufReader::new((&mut stream).take(MOST)).read_line(&mut answer).await?;
        if !answer.ends_with('\n') {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it hung up"));
        }
        Ok(serde_json::from_str(&answer)?)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Destination, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refusal(verdict: AnswerVerdict, why: String) -> Answer {
    Answer { verdict, request: None, why }
}
