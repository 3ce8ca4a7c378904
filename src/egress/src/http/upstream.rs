//! Connections to servers, for requests: HTTP/1.1 and HTTP/2, kept for the next request for a short time.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::header::HOST;
use http::{Request, Response, Uri, Version};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use policy::{Cidr, Host, Reach};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use super::stream::Returning;
use crate::body::Body;
use crate::connect;
use crate::dial::{Answering, Dial, DialError, Server};
use crate::live::Live;
use crate::network::Network;

/// How long an idle connection is kept, and how many.
const KEPT: Duration = Duration::from_secs(15);
const MOST: usize = 64;
/// How long the head of an answer may take: models think for long.
const ANSWER: Duration = Duration::from_secs(900);
/// Bytes of a head, at most.
const HEAD: usize = 64 << 10;
const HEAD_LIST: u32 = 64 << 10;
/// Streams that were reset and are still known.
const RESETS: usize = 50;

/// Servers.
#[expect(missing_debug_implementations, reason = "it holds the network")]
pub struct Upstream {
    network: Arc<dyn Network>,
    live: Arc<Live>,
    any: TlsConnector,
    only_http1: TlsConnector,
    patience: Duration,
    pool: Arc<Pool>,
}

/// Idle connections.
#[derive(Default)]
pub(super) struct Pool {
    idle: Mutex<HashMap<Server, Vec<Kept>>>,
}

struct Kept {
    address: IpAddr,
    since: Instant,
    sender: Sender,
}

enum Sender {
    One(http1::SendRequest<Body>),
    Many(http2::SendRequest<Body>),
}

/// A connection in use.
pub(super) struct Lease {
    server: Server,
    address: IpAddr,
    sender: Sender,
    fresh: bool,
}

impl Lease {
    /// Where it leads.
    pub(super) fn address(&self) -> IpAddr {
        self.address
    }
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, HashMap<Server, Vec<Kept>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, server: &Server, open: &dyn Fn(IpAddr) -> bool) -> Option<Lease> {
        let mut idle = self.lock();
        let kept = idle.get_mut(server)?;
        kept.retain(|kept| kept.since.elapsed() < KEPT && kept.sender.is_ready());
        let index = kept.iter().rposition(|kept| open(kept.address))?;
        let found = kept.get_mut(index)?;
        let (address, server) = (found.address, server.clone());
        let sender = match &found.sender {
            Sender::Many(sender) => {
                let sender = sender.clone();
                found.since = Instant::now();
                Sender::Many(sender)
            }
            Sender::One(_) => kept.remove(index).sender,
        };
        Some(Lease { server, address, sender, fresh: false })
    }

    /// Keeps a connection that has served its request.
    pub(super) fn put(&self, lease: Lease) {
        let mut idle = self.lock();
        idle.retain(|_, kept| {
            kept.retain(|kept| kept.since.elapsed() < KEPT && kept.sender.is_ready());
            !kept.is_empty()
        });
        if idle.values().map(Vec::len).sum::<usize>() < MOST {
            let Lease { server, address, sender, .. } = lease;
            idle.entry(server).or_default().push(Kept { address, since: Instant::now(), sender });
        }
    }
}

impl Sender {
    fn is_ready(&self) -> bool {
        match self {
            Sender::One(sender) => !sender.is_closed(),
            Sender::Many(sender) => !sender.is_closed(),
        }
    }
}

impl Upstream {
    /// Servers that are proven by these authorities.
    ///
    /// # Errors
    ///
    /// If there is no TLS to be had.
    pub fn new(
        network: Arc<dyn Network>,
        live: Arc<Live>,
        roots: RootCertStore,
        patience: Duration,
    ) -> Result<Self, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let only_http1 = TlsConnector::from(Arc::new(config.clone()));
        config.alpn_protocols.insert(0, b"h2".to_vec());
        let any = TlsConnector::from(Arc::new(config));
        Ok(Self { network, live, any, only_http1, patience, pool: Arc::default() })
    }

    /// A kept connection to an address that is still open.
    pub(super) fn kept(&self, server: &Server, open: &dyn Fn(IpAddr) -> bool) -> Option<Lease> {
        self.pool.take(server, open)
    }

    /// A new connection to one of these addresses, which were decided on.
    pub(super) async fn connect(
        &self,
        server: &Server,
        addresses: &[SocketAddr],
        upgrade: bool,
    ) -> Result<Lease, DialError> {
        let name = || format!("{}:{}", server.host, server.port);
        let late = || io::Error::from(io::ErrorKind::TimedOut);
        let mut last = DialError::Connect(name(), io::ErrorKind::AddrNotAvailable.into());
        for address in addresses {
            let stream = match connect::connect(&*self.network, &[*address], self.patience).await {
                Ok(stream) => stream,
                Err(error) => {
                    last = DialError::Connect(name(), error);
                    continue;
                }
            };
            let made = |sender| Lease { server: server.clone(), address: address.ip(), sender, fresh: true };
            if !server.tls {
                return one(stream).await.map(made).map_err(|error| DialError::Broken(name(), error));
            }
            let bare = server.host.trim_start_matches('[').trim_end_matches(']').to_owned();
            let own = ServerName::try_from(bare)
                .map_err(|error| DialError::Tls(name(), io::Error::other(error)))?;
            let connector = if upgrade { &self.only_http1 } else { &self.any };
            let secured = tokio::time::timeout(self.patience, connector.connect(own, stream)).await;
            let stream =
                secured.unwrap_or_else(|_| Err(late())).map_err(|error| DialError::Tls(name(), error))?;
            let many = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let sender = if many { self::many(stream).await } else { one(stream).await };
            return sender.map(made).map_err(|error| DialError::Broken(name(), error));
        }
        Err(last)
    }

    /// Sends a request; a kept connection that was closed meanwhile gives it back.
    pub(super) async fn exchange(
        &self,
        lease: Lease,
        request: Request<Body>,
    ) -> Result<(Response<Incoming>, Lease), Failed> {
        let name = format!("{}:{}", lease.server.host, lease.server.port);
        let Lease { server, address, sender, fresh } = lease;
        let sent = async {
            match sender {
                Sender::One(mut sender) => match sender.try_send_request(request).await {
                    Ok(response) => Ok((response, Sender::One(sender))),
                    Err(mut error) => Err((error.take_message(), error.into_error())),
                },
                Sender::Many(mut sender) => {
                    match sender.try_send_request(toward_http2(request, &server)).await {
                        Ok(response) => Ok((response, Sender::Many(sender))),
                        Err(mut error) => Err((error.take_message().map(toward_http1), error.into_error())),
                    }
                }
            }
        };
        match tokio::time::timeout(ANSWER, sent).await {
            Err(_) => Err(Failed { error: DialError::Late(name), unsent: None }),
            Ok(Err((unsent, error))) => {
                let unsent = unsent.filter(|_| !fresh).map(Box::new);
                Err(Failed { error: DialError::Broken(name, error), unsent })
            }
            Ok(Ok((response, sender))) => Ok((response, Lease { server, address, sender, fresh })),
        }
    }

    /// The answer's body, after whose end the connection is kept.
    pub(super) fn returning(&self, body: Incoming, lease: Lease) -> Returning {
        match &lease.sender {
            Sender::Many(_) => {
                if lease.fresh {
                    self.pool.put(lease);
                }
                Returning::new(body, None)
            }
            Sender::One(_) => Returning::new(body, Some((Arc::clone(&self.pool), lease))),
        }
    }

    async fn addresses(&self, server: &Server) -> Result<Vec<SocketAddr>, DialError> {
        let host = Host::parse(&server.host).map_err(|why| DialError::Closed(server.host.clone(), why))?;
        let found = match &host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => {
                let found = self.network.resolve(name).await;
                found.map_err(|error| DialError::Unresolved(server.host.clone(), error))?
            }
        };
        let open: Vec<_> = found.into_iter().filter(|ip| self.is_open(server, &host, *ip)).collect();
        if open.is_empty() {
            return Err(DialError::Closed(server.host.clone(), "it has no address that may be reached"));
        }
        Ok(open.into_iter().map(|ip| SocketAddr::new(ip, server.port)).collect())
    }

    fn is_open(&self, server: &Server, host: &Host, address: IpAddr) -> bool {
        if server.named_by_operator {
            let closed = |block: &Cidr| block.contains(address);
            // A provider's name may come to stand for a tenant's address one day.
            if self.live.now().is_none_or(|snapshot| snapshot.policy.closed().iter().any(closed)) {
                return false;
            }
            return match policy::reach(address) {
                Reach::Public | Reach::Listed(_) => true,
                Reach::Never(_) => address.is_loopback(),
            };
        }
        self.live.now().is_some_and(|snapshot| snapshot.policy.takes(host, address))
    }

    async fn send_to(&self, server: &Server, request: Request<Body>) -> Result<Response<Body>, DialError> {
        use http_body_util::BodyExt as _;
        let host = Host::parse(&server.host).map_err(|why| DialError::Closed(server.host.clone(), why))?;
        let kept = self.kept(server, &|address| self.is_open(server, &host, address));
        let lease = match kept {
            Some(lease) => lease,
            None => self.connect(server, &self.addresses(server).await?, false).await?,
        };
        let (response, lease) = match self.exchange(lease, request).await {
            Ok(done) => done,
            Err(Failed { unsent: Some(request), .. }) => {
                let lease = self.connect(server, &self.addresses(server).await?, false).await?;
                self.exchange(lease, *request).await.map_err(|failed| failed.error)?
            }
            Err(Failed { error, .. }) => return Err(error),
        };
        Ok(response.map(|body| self.returning(body, lease).boxed_unsync()))
    }
}

/// A request that was not answered.
pub(super) struct Failed {
    /// Why.
    pub(super) error: DialError,
    /// The request, if nothing of it was sent and it may be sent again.
    pub(super) unsent: Option<Box<Request<Body>>>,
}

impl Dial for Upstream {
    fn send<'a>(&'a self, server: &'a Server, request: Request<Body>) -> Answering<'a> {
        Box::pin(self.send_to(server, request))
    }
}

async fn one(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Sender, hyper::Error> {
    let (sender, connection) =
        http1::Builder::new().max_buf_size(HEAD).handshake(TokioIo::new(stream)).await?;
    // Whoever waits for an answer learns of a fault.
    tokio::spawn(async move { drop(connection.with_upgrades().await) });
    Ok(Sender::One(sender))
}

async fn many(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Sender, hyper::Error> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .max_header_list_size(HEAD_LIST)
        // Streams that a server resets are kept for a while; how many, and how often it may err, is bounded.
        .max_concurrent_reset_streams(RESETS)
        .initial_stream_window_size(256 << 10)
        .initial_connection_window_size(1 << 20);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move { drop(connection.await) });
    Ok(Sender::Many(sender))
}

fn toward_http2(mut request: Request<Body>, server: &Server) -> Request<Body> {
    let host = request.headers_mut().remove(HOST);
    let path = request.uri().path_and_query().cloned();
    let built = host.as_ref().and_then(|host| host.to_str().ok()).and_then(|host| {
        let scheme = if server.tls { "https" } else { "http" };
        Uri::builder().scheme(scheme).authority(host).path_and_query(path?).build().ok()
    });
    if let Some(uri) = built {
        *request.uri_mut() = uri;
    }
    *request.version_mut() = Version::HTTP_2;
    request
}

fn toward_http1(mut request: Request<Body>) -> Request<Body> {
    let host = request.uri().authority().and_then(|authority| authority.as_str().parse().ok());
    if let Some(host) = host {
        request.headers_mut().insert(HOST, host);
    }
    if let Some(path) = request.uri().path_and_query().cloned() {
        *request.uri_mut() = Uri::from(path);
    }
    *request.version_mut() = Version::HTTP_11;
    request
}
