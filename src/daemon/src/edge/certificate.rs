//! The certificate and its key: taken as text, looked at no further than their armour, and replaced as a pair.

use std::os::fd::OwnedFd;

use model::{Exit, Paths};

use super::files::Files;
use crate::failure::Failure;
use crate::service::Service;

/// Bytes of a chain and of a key, at most: what a pipe holds.
const MOST_BYTES: usize = 64 * 1024;
/// Before the armour of a certificate that `tenantctl` made, and then its domain (RFC 7468, 2, lets explaining text stand there).
const SELF_SIGNED: &str = "Self-signed by tenantctl for ";

impl Service {
    /// Takes a certificate chain and its key.
    pub fn set_certificate(&self, certificate: OwnedFd, key: OwnedFd) -> Result<(), Failure> {
        let certificate = host::read_secretly(certificate, "the certificate", MOST_BYTES)?;
        let key = host::read_secretly(key, "the key of the certificate", MOST_BYTES)?;
        check(&certificate, &key).map_err(|why| Failure::new(Exit::Data, why))?;
        let _inner = self.edge.hold();
        let files = Files::of(&self.paths);
        // Both lie beside before either is replaced: a crash in between is made good at the next start.
        files.write_tls("next-key.pem", &key)?;
        files.write_tls("next-cert.pem", &certificate)?;
        finish(&files)?;
        tracing::info!(self_signed = self_signed_for(&certificate).is_some(), "the edge has a certificate");
        Ok(())
    }
}

/// Ends the replacement that a crash interrupted.
pub(super) fn finish_interrupted(paths: &Paths) -> Result<(), Failure> {
    finish(&Files::of(paths))
}

fn finish(files: &Files) -> Result<(), Failure> {
    if let (Some(certificate), Some(key)) = (files.tls("next-cert.pem")?, files.tls("next-key.pem")?) {
        files.write_tls("key.pem", &zeroize::Zeroizing::new(key))?;
        files.write_tls("cert.pem", &certificate)?;
    }
    files.remove_tls("next-cert.pem")?;
    files.remove_tls("next-key.pem")
}

/// The domain of a certificate that `tenantctl` made.
pub(super) fn self_signed_for(certificate: &[u8]) -> Option<String> {
    let first = certificate.split(|byte| *byte == b'\n').next()?;
    std::str::from_utf8(first).ok()?.strip_prefix(SELF_SIGNED).map(str::to_owned)
}

fn check(certificate: &[u8], key: &[u8]) -> Result<(), String> {
    let remedy = "give a chain with --certificate and its key with --key, both PEM";
    if certificate.len() > MOST_BYTES || key.len() > MOST_BYTES {
        return Err(format!("the certificate or its key has more than {MOST_BYTES} bytes: {remedy}"));
    }
    let (Ok(certificate), Ok(key)) = (std::str::from_utf8(certificate), std::str::from_utf8(key)) else {
        return Err(format!("the certificate or its key is no text: {remedy}"));
    };
    let count = |text: &str, label: &str| {
        let begin = text.matches(&format!("-----BEGIN {label}-----")).count();
        if begin == text.matches(&format!("-----END {label}-----")).count() { begin } else { 0 }
    };
    if count(certificate, "CERTIFICATE") == 0 || certificate.contains("PRIVATE KEY-----") {
        return Err(format!("what was given as the certificate is none, or holds a key as well: {remedy}"));
    }
    if key.contains("ENCRYPTED") {
        let how = "take the passphrase off with \"openssl pkey -in FILE -out NEW\"";
        return Err(format!("the key of the certificate is encrypted: {how}"));
    }
    let labels = ["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"];
    match labels.iter().map(|label| count(key, label)).sum::<usize>() {
        1 => Ok(()),
        found => Err(format!("what was given as the key holds {found} keys: {remedy}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n";

    #[test]
    fn a_chain_and_one_key_are_taken_and_nothing_else() {
        let checked = |certificate: &str, key: &str| check(certificate.as_bytes(), key.as_bytes());
        assert_eq!(checked(CERTIFICATE, KEY), Ok(()));
        assert_eq!(checked(&CERTIFICATE.repeat(3), &KEY.replace("PRIVATE", "EC PRIVATE")), Ok(()));
        for (certificate, key, why) in [
            ("", KEY, "is none"),
            (KEY, KEY, "is none"),
            (&*format!("{CERTIFICATE}{KEY}"), KEY, "holds a key"),
            ("-----BEGIN CERTIFICATE-----\n", KEY, "is none"),
            (CERTIFICATE, CERTIFICATE, "holds 0 keys"),
            (CERTIFICATE, &KEY.repeat(2), "holds 2 keys"),
            (CERTIFICATE, &KEY.replace("PRIVATE", "ENCRYPTED PRIVATE"), "is encrypted"),
            (CERTIFICATE, &"x".repeat(MOST_BYTES + 1), "more than 65536 bytes"),
        ] {
            assert!(checked(certificate, key).unwrap_err().contains(why), "{why}");
        }
    }

    #[test]
    fn a_certificate_that_tenantctl_made_is_known_by_its_first_line() {
        let made = format!("Self-signed by tenantctl for agents.example.org\n{CERTIFICATE}");
        assert_eq!(check(made.as_bytes(), KEY.as_bytes()), Ok(()));
        assert_eq!(self_signed_for(made.as_bytes()).as_deref(), Some("agents.example.org"));
        assert_eq!(self_signed_for(CERTIFICATE.as_bytes()), None);
    }
}
