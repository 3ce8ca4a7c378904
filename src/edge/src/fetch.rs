//! Requests to external issuers and to a certificate authority: bounded in time and size, no redirect followed, TLS but to a loopback address.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// For everything about a request, from the look-up of the name to the end of the body, if nothing else is said.
const TIMEOUT: Duration = Duration::from_secs(5);
/// For one address of several.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Bytes of an answer, at most.
const MAX_BODY: usize = 256 << 10;

/// A request that failed.
#[derive(Debug, Error)]
pub(crate) enum FetchError {
    #[error("not an https address, nor http to a loopback address")]
    Address,
    #[error("its host has no address that may be used")]
    NoAddress,
    #[error("the certificate authority in ca_pem is not one PEM certificate or more")]
    Authority,
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("HTTP: {0}")]
    Http(#[from] hyper::Error),
    #[error("the request cannot be written: {0}")]
    Request(#[from] http::Error),
    #[error("no whole answer of at most {MAX_BODY} bytes: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    #[error("no answer within {} seconds", .0.as_secs())]
    Timeout(Duration),
    #[error("the edge is being stopped")]
    Interrupted,
    #[error("answered {0}, not 200")]
    Status(StatusCode),
}

/// Speaks with one issuer, or one authority.
pub(crate) struct Client {
    tls: TlsConnector,
    /// Whether plain HTTP is for this issuer, on a loopback address.
    plain: bool,
    timeout: Duration,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client(plain: {})", self.plain)
    }
}

impl Client {
    /// Believes the authorities of the system, and those in `ca_pem`. Reads files.
    pub(crate) fn new(ca_pem: Option<&str>, plain: bool) -> Result<Self, FetchError> {
        let mut roots = RootCertStore::empty();
        let system = rustls_native_certs::load_native_certs();
        for error in &system.errors {
            tracing::warn!("cannot read a certificate authority of the system: {error}");
        }
        roots.add_parsable_certificates(system.certs);
        if let Some(pem) = ca_pem {
            let mut any = false;
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                roots
                    .add(certificate.map_err(|_| FetchError::Authority)?)
                    .map_err(|_| FetchError::Authority)?;
                any = true;
            }
            if !any {
                return Err(FetchError::Authority);
            }
        }
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { tls: TlsConnector::from(Arc::new(config)), plain, timeout: TIMEOUT })
    }

    /// The same, as patient as this.
    pub(crate) fn within(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// The body at `address`, if it answers 200.
    pub(crate) async fn get(&self, address: &str) -> Result<Bytes, FetchError> {
        match self.send(Method::GET, address, None, String::new()).await? {
            (StatusCode::OK, body) => Ok(body),
            (status, _) => Err(FetchError::Status(status)),
        }
    }

    /// What `address` answers to the form `body`.
    pub(crate) async fn post_form(
        &self,
        address: &str,
        authorization: Option<&str>,
        body: String,
    ) -> Result<(StatusCode, Bytes), FetchError> {
        self.send(Method::POST, address, authorization, body).await
    }

    async fn send(
        &self,
        method: Method,
        address: &str,
        authorization: Option<&str>,
        body: String,
    ) -> Result<(StatusCode, Bytes), FetchError> {
        let uri = checked(address, self.plain).ok_or(FetchError::Address)?;
        let mut request = Request::builder().method(&method).uri(uri);
        request = request.header(ACCEPT, "application/json").header(USER_AGENT, "tenant-edge");
        if method == Method::POST {
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        if let Some(authorization) = authorization {
            let mut value = HeaderValue::from_str(authorization).map_err(http::Error::from)?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let request = request.body(Bytes::from(body))?;
        let (head, body) = self.request(request).await?.into_parts();
        Ok((head.status, body))
    }

    /// What is answered to a request with a whole address, whatever the status.
    pub(crate) async fn request(&self, request: Request<Bytes>) -> Result<Response<Bytes>, FetchError> {
        let (mut head, body) = request.into_parts();
        let uri = checked(&head.uri.to_string(), self.plain).ok_or(FetchError::Address)?;
        let host = uri.authority().ok_or(FetchError::Address)?.as_str();
        head.headers.insert(HOST, HeaderValue::from_str(host).map_err(http::Error::from)?);
        head.headers.insert(CONNECTION, HeaderValue::from_static("close"));
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        head.uri = target.parse().map_err(|_| FetchError::Address)?;
        let request = Request::from_parts(head, Full::new(body));
        let answered = tokio::time::timeout(self.timeout, self.exchange(&uri, request)).await;
        answered.map_err(|_| FetchError::Timeout(self.timeout))?
    }

    async fn exchange(
        &self,
        uri: &Uri,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Bytes>, FetchError> {
        let host = uri.host().ok_or(FetchError::Address)?.trim_matches(['[', ']']).to_owned();
        let secure = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let tcp = connect(&host, port, !secure).await?;
        if secure {
            let name = ServerName::try_from(host).map_err(|_| FetchError::Address)?;
            speak(self.tls.connect(name, tcp).await?, request).await
        } else {
            speak(tcp, request).await
        }
    }
}

/// `address` as one that may be asked: https, or, where that is meant, http to a loopback address.
pub(crate) fn checked(address: &str, plain: bool) -> Option<Uri> {
    if address.contains(['#', '@', ' ', '\\']) {
        return None;
    }
    let uri: Uri = address.parse().ok()?;
    match uri.scheme_str()? {
        "https" => uri.host().is_some_and(|host| !host.is_empty()).then_some(uri),
        "http" if plain && uri.host().is_some_and(is_loopback) => Some(uri),
        _ => None,
    }
}

fn is_loopback(host: &str) -> bool {
    let literal = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || literal.is_ok_and(|address| address.is_loopback())
}

async fn connect(host: &str, port: u16, loopback_only: bool) -> Result<TcpStream, FetchError> {
    let found = tokio::net::lookup_host((host, port)).await?;
    let mut last = FetchError::NoAddress;
    let usable = |address: &SocketAddr| !loopback_only || address.ip().is_loopback();
    for address in found.filter(usable).take(8) {
        match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = FetchError::Io(error),
            Err(_) => last = FetchError::Timeout(CONNECT_TIMEOUT),
        }
    }
    Err(last)
}

async fn speak<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Ends by itself when the sender and the body are dropped.
    tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, MAX_BODY).collect().await.map_err(FetchError::Body)?;
    Ok(Response::from_parts(head, body.to_bytes()))
}

#[cfg(test)]
mod tests;
