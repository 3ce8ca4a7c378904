//! Connections to gateways: HTTP/1.1, kept for the next request for a short time.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::TcpStream;

use crate::body::{BodyError, Outgoing};
use crate::tenants::Tenant;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(2);
/// How long the head of an answer may take: longer than an agent's turn.
const ANSWER: Duration = Duration::from_secs(600);
/// How long a connection is kept. Node closes idle ones after five seconds.
const KEPT: Duration = Duration::from_secs(4);
/// How many of a tenant's are kept: as many as were in use at once a moment ago, so that a busy tenant connects no more.
const MOST: usize = 256;
/// Bytes of the buffer of a connection, at most: the head of an answer fits.
const BUFFER: usize = 64 << 10;

/// Why a gateway does not answer.
#[derive(Debug, Error)]
pub enum UpstreamError {
    /// Nobody listens.
    #[error("cannot connect to the gateway at {0}: {1}")]
    Connect(SocketAddr, std::io::Error),
    /// The client's body has a fault.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// It answered nothing, or no HTTP.
    #[error("the gateway broke the connection: {0}")]
    Broken(hyper::Error),
    /// It took too long.
    #[error("the gateway did not answer in time")]
    Late,
}

/// Idle connections to one gateway.
#[derive(Debug, Default)]
pub struct Pool {
    idle: Mutex<Vec<(SendRequest<Outgoing>, Instant)>>,
}

impl Pool {
    /// Closes all.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// Closes those that were kept long enough.
    pub fn sweep(&self) {
        self.lock().retain(|(sender, since)| !sender.is_closed() && since.elapsed() < KEPT);
    }

    fn take(&self) -> Option<SendRequest<Outgoing>> {
        let mut idle = self.lock();
        // The one that was used last: those that nobody needs grow old.
        let ready = idle.iter().rposition(|(sender, since)| sender.is_ready() && since.elapsed() < KEPT)?;
        Some(idle.remove(ready).0)
    }

    fn put(&self, sender: SendRequest<Outgoing>) {
        let mut idle = self.lock();
        if !sender.is_closed() && idle.len() < MOST {
            idle.push((sender, Instant::now()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(SendRequest<Outgoing>, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection in use; closed when dropped.
#[derive(Debug)]
pub struct Lease {
    tenant: Arc<Tenant>,
    sender: SendRequest<Outgoing>,
    fresh: bool,
}

impl Lease {
    /// The answer was read to its end: the connection may serve another.
    pub fn give_back(self) {
        self.tenant.pool.put(self.sender);
    }
}

/// A connection to the gateway: one that was kept, or a new one; always a new one for a tunnel.
///
/// # Errors
///
/// [`UpstreamError::Connect`], and others if the gateway breaks it at once.
pub async fn lease(tenant: &Arc<Tenant>, tunnel: bool) -> Result<Lease, UpstreamError> {
    let kept = if tunnel { None } else { tenant.pool.take() };
    let fresh = kept.is_none();
    let sender = match kept {
        Some(sender) => sender,
        None => connect(tenant).await?,
    };
    Ok(Lease { tenant: Arc::clone(tenant), sender, fresh })
}

/// Sends a request over it.
///
/// # Errors
///
/// [`UpstreamError`].
pub async fn send(
    mut lease: Lease,
    mut request: Request<Outgoing>,
) -> Result<(Response<Incoming>, Lease), UpstreamError> {
    // A kept connection may have been closed meanwhile. What was not sent is sent again; so is what changes nothing.
    let again = (!lease.fresh && request.method().is_safe() && request.body().is_end_stream())
        .then(|| head(&request));
    loop {
        let sent = tokio::time::timeout(ANSWER, lease.sender.try_send_request(request)).await;
        let mut failed = match sent {
            Ok(Ok(response)) => return Ok((response, lease)),
            Ok(Err(failed)) => failed,
            Err(_) => return Err(UpstreamError::Late),
        };
        let unsent = failed.take_message();
        let error = failed.into_error();
        request = match (unsent, &again) {
            (Some(unsent), _) if !lease.fresh => unsent,
            (None, Some(again)) if !lease.fresh => head(again),
            _ => return Err(why(error)),
        };
        lease.sender = connect(&lease.tenant).await?;
        lease.fresh = true;
    }
}

/// The same request without a body.
fn head<B>(request: &Request<B>) -> Request<Outgoing> {
    let mut copy = Request::new(Outgoing::empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

async fn connect(tenant: &Tenant) -> Result<SendRequest<Outgoing>, UpstreamError> {
    let route = tenant.route();
    let address = SocketAddr::from((route.address, route.port));
    let failed = |error| {
        tenant.numbers.unreachable.up();
        UpstreamError::Connect(address, error)
    };
    let connected = tokio::time::timeout(CONNECT, TcpStream::connect(address)).await;
    let stream = connected.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into())).map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    let mut builder = http1::Builder::new();
    builder.max_buf_size(BUFFER);
    let (sender, connection) =
        builder.handshake(TokioIo::new(stream)).await.map_err(UpstreamError::Broken)?;
    // Whoever waits for the answer learns of a fault.
    tokio::spawn(async move { drop(connection.with_upgrades().await) });
    Ok(sender)
}

fn why(error: hyper::Error) -> UpstreamError {
    let mut source = std::error::Error::source(&error);
    while let Some(inner) = source {
        if let Some(body) = inner.downcast_ref::<BodyError>() {
            return UpstreamError::Body(*body);
        }
        source = inner.source();
    }
    UpstreamError::Broken(error)
}
