//! Requests to servers outside, as whatever makes them sees it.

use std::future::Future;
use std::pin::Pin;

use http::{Request, Response};
use thiserror::Error;

use crate::body::Body;

/// A server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Server {
    /// Whether over TLS, whose certificate is then verified for `host`.
    pub tls: bool,
    /// Name or address, in the form of `policy::Host`.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Whether the operator named it in the tenant's spec: it may then be on this machine or a private network, which a policy
    /// alone never opens. The metadata services stay closed.
    pub named_by_operator: bool,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum DialError {
    /// Its name or its addresses are closed.
    #[error("{0} may not be reached: {1}")]
    Closed(String, &'static str),
    /// The name is not known.
    #[error("{0} cannot be resolved: {1}")]
    Unresolved(String, std::io::Error),
    /// Nobody listens, or not in time.
    #[error("cannot connect to {0}: {1}")]
    Connect(String, std::io::Error),
    /// Its certificate is not good for the name, or it speaks no TLS.
    #[error("{0} does not prove to be who it is: {1}")]
    Tls(String, std::io::Error),
    /// It broke the connection or answered no HTTP.
    #[error("{0} broke the connection: {1}")]
    Broken(String, hyper::Error),
    /// It did not answer in time.
    #[error("{0} did not answer in time")]
    Late(String),
}

/// What is coming.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Result<Response<Body>, DialError>> + Send + 'a>>;

/// Sends requests.
pub trait Dial: Send + Sync {
    /// Sends `request`, whose target is a path and whose `Host` is set, to `server`.
    fn send<'a>(&'a self, server: &'a Server, request: Request<Body>) -> Answering<'a>;
}
