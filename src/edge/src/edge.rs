//! What every connection shares.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use model::{Paths, TenantId};
use ring::rand::{SecureRandom, SystemRandom};
use thiserror::Error;
use tokio::sync::watch;

use crate::acme::{self, ByName};
use crate::auth::{Authenticator, StateError};
use crate::limits::{Counts, Rates};
use crate::live::{Live, LiveError};
use crate::log::Log;
use crate::metrics::Numbers;
use crate::streams::Streams;
use crate::tenants::Tenants;
use crate::tls::Certificate;

/// The edge could not be set up.
#[derive(Debug, Error)]
pub enum StartError {
    /// Its compiled files.
    #[error(transparent)]
    Live(#[from] LiveError),
    /// Its own state.
    #[error(transparent)]
    State(#[from] StateError),
    /// No thread for the access log.
    #[error("cannot start the thread of the access log: {0}")]
    Log(#[source] std::io::Error),
    /// No randomness.
    #[error("cannot get random bytes from the kernel")]
    Random,
}

/// Where things are, and how patient the edge is.
#[derive(Clone, Debug)]
pub struct Options {
    /// The places of the host.
    pub paths: Paths,
    /// The edge's own state.
    pub state: PathBuf,
    /// How long clients may take.
    pub patience: Patience,
}

/// How long clients may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a TLS handshake.
    pub handshake: Duration,
    /// For the head of a request.
    pub head: Duration,
    /// For the next part of a body.
    pub body: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// For a WebSocket or an answer to end, when the edge is stopped.
    pub drain: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            handshake: seconds(10),
            head: seconds(10),
            body: seconds(30),
            idle: seconds(75),
            drain: seconds(10),
        }
    }
}

/// Limits by address, subject and tenant.
#[derive(Debug, Default)]
pub struct Limits {
    /// Connections.
    pub connections: Arc<Counts<()>>,
    /// Connections by address.
    pub ip_connections: Arc<Counts<std::net::IpAddr>>,
    /// Requests and WebSockets under way by tenant.
    pub tenant_seats: Arc<Counts<TenantId>>,
    /// WebSockets by subject.
    pub subject_sockets: Arc<Counts<String>>,
    /// Requests by address.
    pub ip_requests: Rates<std::net::IpAddr>,
    /// Requests by subject.
    pub subject_requests: Rates<String>,
    /// Requests by tenant.
    pub tenant_requests: Rates<TenantId>,
    /// Bad credentials by address.
    pub ip_failures: Rates<std::net::IpAddr>,
}

/// All of it.
#[derive(Debug)]
pub struct Edge {
    /// Where things are.
    pub options: Options,
    /// The compiled files.
    pub live: Arc<Live>,
    /// Who comes.
    pub auth: Authenticator,
    /// The certificate that was given.
    pub certificate: Arc<Certificate>,
    /// Certificates by name.
    pub acme: Arc<acme::Names>,
    /// Tenants with a route.
    pub tenants: Tenants,
    /// Limits.
    pub limits: Limits,
    /// What is open.
    pub streams: Arc<Streams>,
    /// What is counted.
    pub numbers: Numbers,
    /// The access log.
    pub log: Log,
    /// Whether the edge is being stopped.
    pub stopping: watch::Sender<bool>,
    first: u32,
    requests: AtomicU64,
}

impl Edge {
    /// Sets everything up, within a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    pub fn new(options: Options) -> Result<Arc<Self>, StartError> {
        let directory = options.paths.edge();
        let live = Live::start(directory.clone())?;
        let auth = Authenticator::new(Arc::clone(&live), &options.state)?;
        let mut first = [0; 4];
        SystemRandom::new().fill(&mut first).map_err(|_| StartError::Random)?;
        let names = Arc::new(acme::Names::default());
        acme::load(&names, live.now().and_then(|files| files.edge.acme.clone()).as_ref(), &options.state);
        Ok(Arc::new(Self {
            live,
            auth,
            certificate: Certificate::new(directory.join("tls")),
            acme: names,
            tenants: Tenants::new(options.paths.clone()),
            limits: Limits::default(),
            streams: Arc::default(),
            numbers: Numbers::default(),
            log: Log::start().map_err(StartError::Log)?,
            stopping: watch::Sender::new(false),
            first: u32::from_be_bytes(first),
            requests: AtomicU64::new(0),
            options,
        }))
    }

    /// Which certificate a connection gets.
    pub fn resolver(&self) -> Arc<ByName> {
        Arc::new(ByName { names: Arc::clone(&self.acme), otherwise: Arc::clone(&self.certificate) })
    }

    /// The number of a new request: unique, and says nothing.
    pub fn request_id(&self) -> String {
        format!("{:08x}{:08x}", self.first, self.requests.fetch_add(1, Ordering::Relaxed))
    }
}

/// Unix seconds.
#[must_use]
pub fn unix_now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}
