//! The tenant's certificate authority: made once, kept in the vault, and used to speak for servers whose requests are looked at.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use policy::Host;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use thiserror::Error;
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

/// Certificates that are kept, at most.
const MOST: usize = 256;
/// Days for which the authority and a certificate count.
const YEARS: i64 = 3650;
const LEAF: i64 = 30;
/// A certificate is made anew after so long.
const FRESH: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// Why there is none.
#[derive(Debug, Error)]
pub enum AuthorityError {
    /// The secret is none.
    #[error("the secret egress-authority is not a certificate and its key in PEM: {0}")]
    Pem(String),
    /// A certificate cannot be made.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// TLS does not take it.
    #[error("cannot use a certificate: {0}")]
    Tls(#[from] rustls::Error),
}

/// An authority.
#[expect(missing_debug_implementations, reason = "it holds a key")]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    /// One key for every certificate of this run.
    leaf: KeyPair,
    made: Mutex<HashMap<Host, (std::time::Instant, TlsAcceptor)>>,
}

/// Makes an authority: certificate and key, PEM.
///
/// # Errors
///
/// [`AuthorityError::Make`].
pub fn new_authority(tenant: &str) -> Result<Zeroizing<String>, AuthorityError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = named(&format!("tenantd egress {tenant}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    between(&mut params, YEARS);
    let certificate = params.self_signed(&key)?;
    let secret = Zeroizing::new(key.serialize_pem());
    Ok(Zeroizing::new(format!("{}{}", certificate.pem(), *secret)))
}

fn named(name: &str) -> DistinguishedName {
    let mut own = DistinguishedName::new();
    own.push(DnType::CommonName, name);
    own
}

/// From a day ago, as clocks differ.
fn between(params: &mut CertificateParams, days: i64) {
    let day = std::time::Duration::from_secs(24 * 3600);
    let now = std::time::SystemTime::now();
    let end = u32::try_from(days).ok().and_then(|days| now.checked_add(day.saturating_mul(days)));
    params.not_before = now.checked_sub(day).unwrap_or(now).into();
    params.not_after = end.unwrap_or(now).into();
}

impl Authority {
    /// Reads a certificate and its key.
    ///
    /// # Errors
    ///
    /// [`AuthorityError::Pem`].
    pub fn read(pem: &[u8]) -> Result<Self, AuthorityError> {
        let wrong = |error: &dyn std::fmt::Display| AuthorityError::Pem(error.to_string());
        let certificate = CertificateDer::from_pem_slice(pem).map_err(|error| wrong(&error))?;
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|error| wrong(&error))?;
        let key = KeyPair::try_from(&key).map_err(|error| wrong(&error))?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|error| wrong(&error))?;
        let leaf = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        Ok(Self { issuer, certificate, leaf, made: Mutex::default() })
    }

    /// Speaks TLS for a host.
    ///
    /// # Errors
    ///
    /// If no certificate can be made.
    pub fn acceptor(&self, host: &Host) -> Result<TlsAcceptor, AuthorityError> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, acceptor)) = made.get(host) {
            if since.elapsed() < FRESH {
                return Ok(acceptor.clone());
            }
        }
        if made.len() >= MOST {
            let oldest = made.iter().min_by_key(|(_, (since, _))| *since).map(|(host, _)| host.clone());
            if let Some(oldest) = oldest {
                made.remove(&oldest);
            }
        }
        let acceptor = self.make(host)?;
        made.insert(host.clone(), (std::time::Instant::now(), acceptor.clone()));
        Ok(acceptor)
    }

    fn make(&self, host: &Host) -> Result<TlsAcceptor, AuthorityError> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![match host {
            Host::Name(name) => SanType::DnsName(name.clone().try_into()?),
            Host::Address(address) => SanType::IpAddress(*address),
        }];
        params.distinguished_name = DistinguishedName::new();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        between(&mut params, LEAF);
        let leaf = params.signed_by(&self.leaf, &self.issuer)?;
        let chain = vec![leaf.der().clone(), self.certificate.clone()];
        let key = PrivatePkcs8KeyDer::from(self.leaf.serialize_der());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key.into())?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

impl From<AuthorityError> for io::Error {
    fn from(error: AuthorityError) -> Self {
        io::Error::other(error)
    }
}
