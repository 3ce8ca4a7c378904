//! The certificate authority of a tenant: key and certificate in the vault, the certificate in `state.db`. Made by a confined program, never
//! set or shown.

use model::egress::AUTHORITY_SECRET;
use model::{Exit, TenantId};
use vault::{Kind, Secret, SecretName};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::journal::lock;
use crate::service::Service;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

impl Service {
    /// Gives a tenant an authority if it has none that can be used. One half alone is none: both are made anew.
    pub(crate) fn ensure_authority(&self, id: &TenantId) -> Result<(), Failure> {
        let name = authority_name()?;
        let certificate = lock(&self.database).authority(id)?;
        if certificate.is_some() && self.has_own_secret(id, &name, Kind::Proxy)? {
            return Ok(());
        }
        let mut made = host::new_authority(&self.systemd, id)?;
        let certificate = certificate_of(&made).map_err(|why| {
            Failure::new(
                Exit::Software,
                format!("the certificate authority of tenant {id}: {why}: report this"),
            )
        })?;
        let secret = Secret::new(std::mem::take(&mut *made)).map_err(|error| {
            Failure::new(
                Exit::Software,
                format!("the certificate authority of tenant {id}: {error}: report this"),
            )
        })?;
        let version = self.set_own_secret(id, &name, Kind::Proxy, &secret)?;
        lock(&self.database).set_authority(id, &certificate)?;
        tracing::info!(tenant = %id, version, "made the certificate authority of the egress proxy");
        // A proxy that runs has the one before.
        self.end_proxy(id)
    }

    /// Ends a tenant's proxy, if it runs: the next connection starts one that has the secrets of today.
    pub(crate) fn end_proxy(&self, id: &TenantId) -> Result<(), Failure> {
        let unit = format!("tenant-egress@{}.service", id.system_name());
        if self.systemd.unit(&unit)?.is_up() { Ok(self.systemd.stop(&unit)?) } else { Ok(()) }
    }
}

/// Name of the secret.
fn authority_name() -> Result<SecretName, Failure> {
    SecretName::parse(AUTHORITY_SECRET).map_err(|error| Failure::new(Exit::Software, error.to_string()))
}

/// The one certificate in what the program wrote, which holds a key, too.
fn certificate_of(pem: &Zeroizing<Vec<u8>>) -> Result<String, &'static str> {
    let text = std::str::from_utf8(pem).map_err(|_| "it is no text")?;
    if !text.is_ascii() || text.matches(BEGIN).count() != 1 || text.matches("PRIVATE KEY-----").count() != 2 {
        return Err("it is not one certificate and one key");
    }
    let from = text.find(BEGIN).ok_or("it holds no certificate")?;
    let rest = text.get(from..).unwrap_or_default();
    let length = rest.find(END).ok_or("its certificate does not end")? + END.len();
    let certificate = rest.get(..length).unwrap_or_default();
    if certificate.contains("PRIVATE KEY") {
        return Err("its key is inside its certificate");
    }
    Ok(format!("{certificate}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<String, &'static str> {
        certificate_of(&Zeroizing::new(text.as_bytes().to_vec()))
    }

    #[test]
    fn the_certificate_is_taken_and_the_key_never() {
        let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        let certificate = format!("{BEGIN}\nBBBB\n{END}\n");
        for whole in [format!("{certificate}{key}"), format!("{key}{certificate}")] {
            assert_eq!(of(&whole).unwrap(), certificate);
        }
        let inside = format!("{BEGIN}\n{key}{END}\n");
        for odd in [
            "",
            key,
            &certificate,
            &inside,
            &format!("{certificate}{certificate}{key}"),
            &format!("{key}{BEGIN}\nBBBB"),
        ] {
            assert!(of(odd).is_err(), "{odd}");
        }
    }
}
