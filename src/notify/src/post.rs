//! One signed request to the receiver: bounded in time, no redirect followed, over verified TLS unless the receiver is on this host.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use model::WebhookAddress;
use ring::hmac;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// For one address of several.
const CONNECT: Duration = Duration::from_secs(3);
/// Addresses that are tried.
const ADDRESSES: usize = 8;
/// Bytes of the head of an answer; its body is not read.
const MOST_HEAD: usize = 16 << 10;

/// Why there can be no posts.
#[derive(Debug, Error)]
pub enum PosterError {
    /// Not a name or address that a certificate can be for.
    #[error("the host of egress.webhook.url is no name for TLS: correct it in /etc/tenantd/tenantd.toml")]
    Name,
    /// The TLS library refuses.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The receiver has it.
    Taken,
    /// The receiver does not want it, and would not want it again.
    Refused(String),
    /// It may have been lost: try again.
    Lost(String),
}

/// Posts to one receiver.
pub struct Poster {
    address: WebhookAddress,
    tls: TlsConnector,
    name: Option<ServerName<'static>>,
    key: hmac::Key,
    timeout: Duration,
}

impl std::fmt::Debug for Poster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Poster").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Poster {
    /// Believes these authorities. `timeout` is for everything about a request, from the look-up of the name to the head of the answer.
    pub fn new(
        address: WebhookAddress,
        roots: RootCertStore,
        secret: &[u8],
        timeout: Duration,
    ) -> Result<Self, PosterError> {
        let name = match address.tls {
            true => Some(ServerName::try_from(address.host.clone()).map_err(|_| PosterError::Name)?),
            false => None,
        };
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        Ok(Self { address, tls: TlsConnector::from(Arc::new(config)), name, key, timeout })
    }

    /// Posts a document; `now` is when, in seconds since 1970.
    pub async fn post(&self, delivery: &str, body: &[u8], now: u64) -> Sent {
        match tokio::time::timeout(self.timeout, self.exchange(delivery, body, now)).await {
            Ok(Ok(status)) => verdict(status),
            Ok(Err(why)) => Sent::Lost(why),
            Err(_) => Sent::Lost(format!("no answer within {} s", self.timeout.as_secs())),
        }
    }

    async fn exchange(&self, delivery: &str, body: &[u8], now: u64) -> Result<StatusCode, String> {
        let request = self.request(delivery, body, now).map_err(|error| error.to_string())?;
        let tcp = self.connect().await?;
        match &self.name {
            Some(name) => {
                let tls = self.tls.connect(name.clone(), tcp).await;
                speak(tls.map_err(|error| format!("TLS: {error}"))?, request).await
            }
            None => speak(tcp, request).await,
        }
    }

    fn request(&self, delivery: &str, body: &[u8], now: u64) -> Result<Request<Full<Bytes>>, http::Error> {
        Request::post(&self.address.target)
            .header(HOST, &self.address.authority)
            .header(CONNECTION, "close")
            .header(USER_AGENT, "tenantd-notify")
            .header(CONTENT_TYPE, "application/json")
            .header("x-tenantd-delivery", delivery)
            .header("x-tenantd-timestamp", now)
            .header("x-tenantd-signature", self.signature(now, body))
            .body(Full::new(Bytes::copy_from_slice(body)))
    }

    /// Of the time as it stands in its header, a dot, and the body.
    fn signature(&self, now: u64, body: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(now.to_string().as_bytes());
        context.update(b".");
        context.update(body);
        let hex: String = context.sign().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("sha256={hex}")
    }

    async fn connect(&self) -> Result<TcpStream, String> {
        let WebhookAddress { host, port, tls, .. } = &self.address;
        let found = tokio::net::lookup_host((host.as_str(), *port)).await;
        let found = found.map_err(|error| format!("{host} cannot be looked up: {error}"))?;
        let mut last = format!("{host} has no address");
        let usable = |address: &SocketAddr| *tls || address.ip().is_loopback();
        for address in found.filter(usable).take(ADDRESSES) {
            match tokio::time::timeout(CONNECT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = format!("cannot connect to {address}: {error}"),
                Err(_) => last = format!("cannot connect to {address} within {} s", CONNECT.as_secs()),
            }
        }
        Err(last)
    }
}

/// Nothing of what the receiver says is repeated but a number.
fn verdict(status: StatusCode) -> Sent {
    let said = format!("answered {}", status.as_u16());
    match status.as_u16() {
        200..=299 => Sent::Taken,
        300..=399 => Sent::Refused(said + ", and redirects are not followed: write the address it means"),
        408 | 425 | 429 | 500..=599 => Sent::Lost(said),
        _ => Sent::Refused(said),
    }
}

async fn speak<S>(stream: S, request: Request<Full<Bytes>>) -> Result<StatusCode, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let wrong = |error: hyper::Error| format!("HTTP: {error}");
    let mut builder = hyper::client::conn::http1::Builder::new();
    builder.max_buf_size(MOST_HEAD);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(wrong)?;
    // Ends by itself when the sender and the answer are dropped.
    tokio::spawn(connection);
    Ok(sender.send_request(request).await.map_err(wrong)?.status())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_that_anybody_computes() {
        let address = model::Webhook { url: "http://127.0.0.1:1/".into() }.address().unwrap();
        let poster =
            Poster::new(address, RootCertStore::empty(), b"0123456789abcdef", Duration::from_secs(1))
                .unwrap();
        // printf '1764240000.{"kind":"question"}' | openssl dgst -sha256 -hmac 0123456789abcdef
        assert_eq!(
            poster.signature(1_764_240_000, br#"{"kind":"question"}"#),
            "sha256=0bf02bcca1319383ca24b2fb735b688bf03906fb0afb60682965a48342fc53c9"
        );
    }

    #[test]
    fn only_what_may_be_better_later_is_tried_again() {
        let of = |status: u16| verdict(StatusCode::from_u16(status).unwrap());
        assert!([200, 202, 204].iter().all(|status| of(*status) == Sent::Taken));
        assert!([408, 429, 500, 503].iter().all(|status| matches!(of(*status), Sent::Lost(_))));
        assert!(
            [301, 302, 307, 400, 401, 404, 410].iter().all(|status| matches!(of(*status), Sent::Refused(_)))
        );
    }
}
