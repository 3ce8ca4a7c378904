//! What is open: WebSockets and answers that go on, each with the credential that it lives by.
//!
//! One task looks after all of them. A stream ends within a second when its credential is revoked or expires, its role loses the
//! right, or its tenant's route is gone.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use model::TenantId;
use tokio::sync::oneshot;

use crate::auth::Identity;
use crate::edge::{Edge, unix_now};
use crate::relay;
use crate::tenants::{NoRoute, Tenant};

/// How often they are looked at, if nothing changed.
const EVERY: Duration = Duration::from_millis(500);

/// Why a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its credential is dead, or worth less.
    Credential,
    /// The edge is being stopped.
    Stopping,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Streams {
    next: AtomicU64,
    open: Mutex<HashMap<u64, Entry>>,
}

#[derive(Debug)]
struct Entry {
    identity: Arc<Identity>,
    websocket: bool,
    end: oneshot::Sender<Why>,
}

/// One of them; forgotten when dropped.
#[derive(Debug)]
pub struct Stream {
    streams: Arc<Streams>,
    number: u64,
    end: oneshot::Receiver<Why>,
}

impl Stream {
    /// Ready when it has to end.
    pub fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Why> {
        Pin::new(&mut self.end).poll(cx).map(|why| why.unwrap_or(Why::Credential))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.streams.lock().remove(&self.number);
    }
}

impl Streams {
    /// Looks after a new one.
    pub fn enroll(self: &Arc<Self>, identity: &Arc<Identity>, websocket: bool) -> Stream {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (end, ended) = oneshot::channel();
        self.lock().insert(number, Entry { identity: Arc::clone(identity), websocket, end });
        Stream { streams: Arc::clone(self), number, end: ended }
    }

    /// How many.
    #[must_use]
    pub fn open(&self) -> u64 {
        u64::try_from(self.lock().len()).unwrap_or(u64::MAX)
    }

    /// Ends the WebSockets, which would not end by themselves.
    pub fn end_websockets(&self) {
        let mut open = self.lock();
        let sockets = open.iter().filter(|(_, entry)| entry.websocket).map(|(number, _)| *number);
        for number in sockets.collect::<Vec<_>>() {
            if let Some(entry) = open.remove(&number) {
                // One that has just ended by itself is as good.
                entry.end.send(Why::Stopping).ok();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Entry>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sweep(&self, edge: &Edge) {
        let now = unix_now();
        let tenants: std::collections::HashSet<TenantId> =
            self.lock().values().map(|entry| entry.identity.tenant.clone()).collect();
        // Outside of the lock: this may read files.
        let tenants: HashMap<TenantId, Result<Arc<Tenant>, NoRoute>> = tenants
            .into_iter()
            .map(|id| {
                let tenant = edge.tenants.get(&id, Instant::now());
                (id, tenant)
            })
            .collect();
        let lives = |entry: &Entry| {
            let tenant = match tenants.get(&entry.identity.tenant) {
                Some(Ok(tenant)) => tenant,
                Some(Err(NoRoute::Unknown)) => return false,
                Some(Err(NoRoute::Broken)) | None => return true,
            };
            let allowed = relay::may(&tenant.route(), entry.identity.role, None, entry.websocket).is_ok();
            allowed && edge.auth.is_alive(&entry.identity, now)
        };
        let mut open = self.lock();
        let dead: Vec<u64> =
            open.iter().filter(|(_, entry)| !lives(entry)).map(|(number, _)| *number).collect();
        for entry in dead.iter().filter_map(|number| open.remove(number)) {
            edge.numbers.ended.up();
            // One that has just ended by itself is as good.
            entry.end.send(Why::Credential).ok();
        }
    }
}

/// Looks after the streams, the certificate and idle connections, for as long as the process lives.
pub async fn look_after(edge: Arc<Edge>) {
    let mut changes = edge.live.changes();
    loop {
        // A sender that is gone, in tests with fixed files, changes nothing: then it is the clock alone.
        match tokio::time::timeout(EVERY, changes.changed()).await {
            Ok(Ok(())) | Err(_) => {}
            Ok(Err(_)) => tokio::time::sleep(EVERY).await,
        }
        edge.streams.sweep(&edge);
        edge.certificate.look();
        for tenant in edge.tenants.all() {
            tenant.pool.sweep();
        }
    }
}
