//! One tenant's proxy: everything that its connections share.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::ask::Asker;
use crate::authority::Authority;
use crate::broker::Broker;
use crate::events::Events;
use crate::http::Upstream;
use crate::identity::Identity;
use crate::live::Live;
use crate::lookups::Lookups;
use crate::names::Names;
use crate::network::Network;
use crate::rates::Rates;

/// Requests at once, on all connections.
const REQUESTS: usize = 512;
/// WebSockets at once.
const WEBSOCKETS: usize = 512;

/// How long it waits for what.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the first bytes of a connection, or a head.
    pub head: Duration,
    /// For the first byte where the server may speak first.
    pub silence: Duration,
    /// For a connection to a server.
    pub connect: Duration,
    /// For a connection or query, before the program ends.
    pub idle: Duration,
    /// How long an answer of a name server counts.
    pub answer: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            silence: Duration::from_secs(1),
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            answer: Duration::from_secs(1),
        }
    }
}

/// What a proxy is made of.
#[expect(missing_debug_implementations, reason = "it holds the network and a key")]
pub struct Parts {
    /// Where its two files are.
    pub files: PathBuf,
    /// Where tenantd is asked.
    pub ask: PathBuf,
    /// Who connects.
    pub identity: Identity,
    /// The world outside.
    pub network: Arc<dyn Network>,
    /// Authorities that servers are proven by.
    pub roots: rustls::RootCertStore,
    /// By which it speaks for servers; without one it terminates no TLS.
    pub authority: Option<Authority>,
    /// Secrets and models.
    pub broker: Broker,
    /// Its patience.
    pub patience: Patience,
}

/// A proxy.
#[expect(missing_debug_implementations, reason = "it holds the network and a key")]
pub struct Proxy {
    /// The policy.
    pub live: Arc<Live>,
    /// Names and addresses.
    pub names: Names,
    /// Who connects.
    pub identity: Identity,
    /// Questions.
    pub asker: Arc<Asker>,
    /// The world outside.
    pub network: Arc<dyn Network>,
    /// Servers, for requests.
    pub upstream: Upstream,
    /// By which it speaks for servers.
    pub authority: Option<Authority>,
    /// Secrets and models.
    pub broker: Broker,
    /// What happened.
    pub events: Events,
    /// How much a minute.
    pub rates: Rates,
    /// Look-ups and names, how many.
    pub queries: crate::dns::Limits,
    /// What was looked up just now.
    pub recent: crate::recent::Recent,
    /// Whether anything goes on.
    pub activity: Arc<Activity>,
    /// Places of requests.
    pub requests: Arc<Semaphore>,
    /// Places of WebSockets.
    pub websockets: Arc<Semaphore>,
    /// Its patience.
    pub patience: Patience,
}

impl Proxy {
    /// Of these parts.
    ///
    /// # Errors
    ///
    /// If there is no TLS to be had.
    pub fn new(parts: Parts) -> Result<Arc<Self>, rustls::Error> {
        let Parts { files, ask, identity, network, roots, authority, broker, patience } = parts;
        let live = Arc::new(Live::new(files));
        let network: Arc<dyn Network> = Arc::new(Lookups::new(network));
        Ok(Arc::new(Self {
            upstream: Upstream::new(Arc::clone(&network), Arc::clone(&live), roots, patience.connect)?,
            live,
            names: Names::default(),
            identity,
            asker: Arc::new(Asker::new(ask)),
            network,
            authority,
            broker,
            events: Events::default(),
            rates: Rates::default(),
            queries: crate::dns::Limits::default(),
            recent: crate::recent::Recent::default(),
            activity: Arc::default(),
            requests: Arc::new(Semaphore::new(REQUESTS)),
            websockets: Arc::new(Semaphore::new(WEBSOCKETS)),
            patience,
        }))
    }
}

/// Connections and queries at work.
#[derive(Debug)]
pub struct Activity {
    open: AtomicUsize,
    last: Mutex<Instant>,
}

impl Default for Activity {
    fn default() -> Self {
        Self { open: AtomicUsize::new(0), last: Mutex::new(Instant::now()) }
    }
}

/// Something goes on as long as this lives.
#[derive(Debug)]
pub struct Busy(Arc<Activity>);

impl Activity {
    /// Something begins.
    #[must_use]
    pub fn begin(self: &Arc<Self>) -> Busy {
        self.open.fetch_add(1, Ordering::Relaxed);
        Busy(Arc::clone(self))
    }

    /// How many things go on.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Since when nothing goes on; nothing while something does.
    #[must_use]
    pub fn idle(&self) -> Option<Duration> {
        let idle = self.last.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
        (self.open() == 0).then_some(idle)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        *self.0.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
