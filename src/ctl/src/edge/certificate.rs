//! A certificate and its key: given as files, or self-signed for the first start. They go to tenantd through pipes.

use std::os::fd::OwnedFd;
use std::path::Path;

use base64::Engine as _;
use model::Exit;
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    PublicKeyData,
};
use zeroize::Zeroizing;

use super::settings::text_of;
use crate::conceal;
use crate::failure::Failure;

/// Days for which a self-signed one is valid; browsers refuse more than 398.
const DAYS: i64 = 365;

/// Both, as PEM.
pub(super) struct Pair {
    certificate: String,
    key: Zeroizing<String>,
    /// For people.
    pub(super) what: String,
}

impl Pair {
    /// From files. A key that is seen to belong to another certificate is refused.
    pub(super) fn read(certificate: &Path, key: &Path) -> Result<Self, Failure> {
        let read = |path: &Path| text_of(path).map_err(|error| Failure::reading(path, &error));
        let pair = Self {
            what: format!("certificate {} with key {}", certificate.display(), key.display()),
            certificate: read(certificate)?,
            key: Zeroizing::new(read(key)?),
        };
        if belongs(&pair.certificate, &pair.key) == Some(false) {
            let text = format!(
                "{} is not the key of the first certificate in {}: give the two that belong together, the server's own certificate first",
                key.display(),
                certificate.display()
            );
            return Err(Failure::new(Exit::Data, text));
        }
        Ok(pair)
    }

    /// For a domain and every name below it, valid for a year from `now`.
    pub(super) fn self_signed(domain: &str, now: u64) -> Result<Self, Failure> {
        let failed = |cause: &dyn std::fmt::Display| {
            Failure::new(
                Exit::Software,
                format!(
                    "cannot make a self-signed certificate for {domain}: {cause}: give one with --certificate and --key"
                ),
            )
        };
        let mut params = CertificateParams::new(vec![format!("*.{domain}"), domain.to_owned()])
            .map_err(|error| failed(&error))?;
        params.distinguished_name.push(DnType::CommonName, "tenantd edge");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let day = |offset: i64| {
            let second = i64::try_from(now).ok()?.checked_add(offset * 86_400)?;
            let date = jiff::Timestamp::from_second(second).ok()?.to_zoned(jiff::tz::TimeZone::UTC).date();
            Some(rcgen::date_time_ymd(
                date.year().into(),
                date.month().unsigned_abs(),
                date.day().unsigned_abs(),
            ))
        };
        // From yesterday on: the clocks of browsers differ.
        let (Some(begin), Some(end)) = (day(-1), day(DAYS)) else {
            return Err(failed(&"the clock of this host is wrong"));
        };
        (params.not_before, params.not_after) = (begin, end);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|error| failed(&error))?;
        let certificate = params.self_signed(&key).map_err(|error| failed(&error))?;
        Ok(Self {
            what: format!("a self-signed certificate for {domain} and *.{domain}, for {DAYS} days"),
            // tenantd knows it by this line (RFC 7468, 2, lets it stand there).
            certificate: format!("Self-signed by tenantctl for {domain}\n{}", certificate.pem()),
            key: Zeroizing::new(key.serialize_pem()),
        })
    }

    /// Both on their way to tenantd.
    pub(super) fn send(&self) -> Result<(OwnedFd, OwnedFd), Failure> {
        Ok((conceal::send(self.certificate.as_bytes())?, conceal::send(self.key.as_bytes())?))
    }
}

/// Whether a key is that of the first certificate: its public half is in there, byte for byte. Nothing where the key is of a kind that
/// cannot be looked into here.
fn belongs(certificate: &str, key: &str) -> Option<bool> {
    let public = KeyPair::from_pem(key).ok()?.subject_public_key_info();
    let (_, rest) = certificate.split_once("-----BEGIN CERTIFICATE-----")?;
    let (body, _) = rest.split_once("-----END CERTIFICATE-----")?;
    let body: String = body.split_ascii_whitespace().collect();
    let der = base64::engine::general_purpose::STANDARD.decode(body).ok()?;
    Some(der.windows(public.len()).any(|window| window == public))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_self_signed_pair_belongs_together_and_names_the_domain() {
        let now = 1_790_000_000;
        let one = Pair::self_signed("agents.example.org", now).unwrap();
        let other = Pair::self_signed("agents.example.org", now).unwrap();
        assert_eq!(belongs(&one.certificate, &one.key), Some(true));
        assert_eq!(belongs(&one.certificate, &other.key), Some(false));
        assert_eq!(belongs(&one.certificate, "no key"), None);
        assert!(
            one.certificate
                .starts_with("Self-signed by tenantctl for agents.example.org\n-----BEGIN CERTIFICATE-----")
        );
    }
}
