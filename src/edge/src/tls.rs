//! The certificate, read anew when it changes, and how TLS is spoken.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use thiserror::Error;

/// Bytes of a PEM file, at most.
const MOST: u64 = 1 << 20;

/// Why a certificate is not taken.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("cannot read {}: {source} (run \"tenantctl edge enable\")", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is not PEM of the right kind.
    #[error("cannot use {}: {source}", path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// The two do not belong together, or the key is of an unknown kind.
    #[error("cannot use the certificate in {}: {source}", path.display())]
    Pair {
        /// Which directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
}

/// The certificate in force.
#[derive(Debug)]
pub struct Certificate {
    directory: PathBuf,
    now: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    stamps: Option<[Option<SystemTime>; 2]>,
    key: Option<Arc<CertifiedKey>>,
}

impl Certificate {
    /// Of `cert.pem` and `key.pem` in `directory`, as they are now.
    #[must_use]
    pub fn new(directory: PathBuf) -> Arc<Self> {
        let certificate = Self { directory, now: RwLock::default() };
        certificate.look();
        Arc::new(certificate)
    }

    /// Reads them again if they changed. What was in force stays if they are wrong.
    pub fn look(&self) {
        let stamp =
            |name: &str| std::fs::metadata(self.directory.join(name)).and_then(|file| file.modified()).ok();
        let stamps = Some(["cert.pem", "key.pem"].map(stamp));
        let mut now = self.now.write().unwrap_or_else(PoisonError::into_inner);
        if now.stamps == stamps {
            return;
        }
        now.stamps = stamps;
        match read(&self.directory) {
            Ok(key) => {
                tracing::info!("certificate in force");
                now.key = Some(Arc::new(key));
            }
            Err(error) => tracing::error!("{error}; what was in force stays in force"),
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.now.read().unwrap_or_else(PoisonError::into_inner).key.clone()
    }
}

fn read(directory: &Path) -> Result<CertifiedKey, CertificateError> {
    let text = |name: &str| {
        let path = directory.join(name);
        let mut text = Vec::new();
        match File::open(&path).and_then(|file| file.take(MOST).read_to_end(&mut text)) {
            Ok(_) => Ok((path, zeroize::Zeroizing::new(text))),
            Err(source) => Err(CertificateError::Read { path, source }),
        }
    };
    let (path, chain) = text("cert.pem")?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&chain).collect();
    let chain = chain.map_err(|source| CertificateError::Pem { path, source })?;
    let (path, key) = text("key.pem")?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|source| CertificateError::Pem { path, source })?;
    CertifiedKey::from_der(chain, key, &ring::default_provider())
        .map_err(|source| CertificateError::Pair { path: directory.to_path_buf(), source })
}

/// TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1, no client certificates.
///
/// # Errors
///
/// [`rustls::Error`] if the library cannot do that.
pub fn config(resolver: Arc<dyn ResolvesServerCert>) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = ring::Ticketer::new()?;
    // Two tickets at each handshake are for clients that open many connections at once.
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}
