//! Results of jobs. One listener reads every `JobRemoved` as it comes and keeps the last ones, so that a result is not
//! missed when the signal overtakes the reply that names the job, and no slow waiter holds up the connection.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::oneshot;
use zbus::zvariant::{ObjectPath, OwnedObjectPath};
use zbus::{Connection, MatchRule, MessageStream};

use super::bus::{BusError, DESTINATION, Link, MANAGER, lock};

/// How many past results are kept: far more than can lie between a reply and the look at it.
const KEPT: usize = 8192;
/// How often PID 1 is asked whether a job still exists, in case its signal got lost (bus restarted, PID 1 re-executed).
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// The jobs of one connection.
#[derive(Clone, Debug)]
pub(super) struct Jobs {
    state: Arc<Mutex<State>>,
    listening: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
struct State {
    past: VecDeque<(String, String)>,
    waiting: BTreeMap<String, Vec<oneshot::Sender<String>>>,
}

impl Jobs {
    /// Starts listening on a new connection.
    pub(super) async fn listen(connection: &Connection) -> Result<Self, BusError> {
        let rule = MatchRule::builder()
            .msg_type(zbus::message::Type::Signal)
            .sender(DESTINATION)?
            .interface(MANAGER)?
            .member("JobRemoved")?
            .build();
        let stream = MessageStream::for_match_rule(rule, connection, Some(KEPT)).await?;
        let jobs = Self { state: Arc::default(), listening: Arc::new(AtomicBool::new(true)) };
        tokio::spawn(jobs.clone().collect(stream));
        Ok(jobs)
    }

    /// Whether the connection still delivers.
    pub(super) fn is_listening(&self) -> bool {
        self.listening.load(Ordering::Acquire)
    }

    /// Waits until a job is gone; gives back systemd's word for how: `done`, `failed`, `dependency`, `timeout`,
    /// `canceled`, `skipped`, …, or `gone` when PID 1 has forgotten it without our hearing of it.
    pub(super) async fn wait(&self, link: &Link, job: &OwnedObjectPath) -> Result<String, BusError> {
        let Some(mut receiver) = self.expect(job.as_str()) else { return Ok(self.result_of(job.as_str())) };
        loop {
            match tokio::time::timeout(LOOK_AGAIN, &mut receiver).await {
                Ok(Ok(result)) => return Ok(result),
                Ok(Err(_)) => return Ok("gone".to_owned()),
                Err(_) => {
                    let asked = link.properties(job.as_str(), "org.freedesktop.systemd1.Job").await;
                    if matches!(asked, Err(BusError::Refused { .. })) {
                        return Ok(self.result_of(job.as_str()));
                    }
                    asked?;
                }
            }
        }
    }

    async fn collect(self, mut stream: MessageStream) {
        while let Some(Ok(message)) = stream.next().await {
            let body = message.body();
            if let Ok((_, path, _, result)) = body.deserialize::<(u32, ObjectPath<'_>, String, String)>() {
                self.ended(path.as_str(), result);
            }
        }
        self.listening.store(false, Ordering::Release);
        lock(&self.state).waiting.clear();
    }

    fn ended(&self, job: &str, result: String) {
        let mut state = lock(&self.state);
        for waiter in state.waiting.remove(job).unwrap_or_default() {
            // A waiter that has gone away needs no answer.
            drop(waiter.send(result.clone()));
        }
        if state.past.len() == KEPT {
            state.past.pop_front();
        }
        state.past.push_back((job.to_owned(), result));
    }

    /// A receiver for the job's result, or nothing when it is known already.
    fn expect(&self, job: &str) -> Option<oneshot::Receiver<String>> {
        let mut state = lock(&self.state);
        if state.past.iter().any(|(path, _)| path == job) {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        state.waiting.entry(job.to_owned()).or_default().push(sender);
        Some(receiver)
    }

    fn result_of(&self, job: &str) -> String {
        let state = lock(&self.state);
        let known = state.past.iter().rev().find(|(path, _)| path == job);
        known.map_or_else(|| "gone".to_owned(), |(_, result)| result.clone())
    }
}
