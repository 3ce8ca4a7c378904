//! The gateway's own secret: made by tenantd, never set or shown. `tenant-exec` puts it into the gateway's configuration.

use std::io::Write;

use model::egress::AUTHORITY_SECRET;
use model::{Exit, TenantId};
use vault::{Kind, Secret, SecretName};
use zeroize::Zeroizing;

use super::secrets::is_of_another_kind;
use crate::allocate::random_bytes;
use crate::failure::Failure;
use crate::journal::lock;
use crate::service::Service;

impl Service {
    /// Gives a tenant a new secret of its gateway.
    pub(crate) fn new_gateway_secret(&self, id: &TenantId) -> Result<(), Failure> {
        let name = SecretName::gateway();
        let version = self.set_own_secret(id, &name, Kind::Gateway, &generate()?)?;
        tracing::info!(tenant = %id, version, "made the secret of the gateway");
        Ok(())
    }

    /// Seals a secret that is tenantd's own.
    pub(crate) fn set_own_secret(
        &self,
        id: &TenantId,
        name: &SecretName,
        kind: Kind,
        secret: &Secret,
    ) -> Result<u64, Failure> {
        let mut held = self.vault.hold();
        let store = held.store()?;
        let keks = held.keyring.keks_or_first(&store)?;
        let mut vault = store.find_or_make(id, keks)?;
        if is_of_another_kind(&vault, name, kind) {
            return Err(taken(id, name));
        }
        let noted = lock(&self.database).secret_heads(id)?.get(name.as_str()).map_or(0, |head| head.version);
        let version = vault.set(keks, (name, noted), kind, secret)?;
        lock(&self.database).note_secret(id, name.as_str(), version)?;
        Ok(version)
    }

    /// Gives a tenant one if it has none that can be used: an older tenantd made none in the vault.
    pub(crate) fn ensure_gateway_secret(&self, id: &TenantId) -> Result<(), Failure> {
        let found = self.has_own_secret(id, &SecretName::gateway(), Kind::Gateway)?;
        if found { Ok(()) } else { self.new_gateway_secret(id) }
    }

    /// Whether a secret that is tenantd's own can be used.
    pub(crate) fn has_own_secret(
        &self,
        id: &TenantId,
        name: &SecretName,
        kind: Kind,
    ) -> Result<bool, Failure> {
        let mut held = self.vault.hold();
        let store = held.store()?;
        let vault = store.find(id)?;
        let noted = lock(&self.database).secret_heads(id)?.get(name.as_str()).map(|head| head.version);
        let entry = vault.as_ref().and_then(|vault| {
            let entry = vault.listing().secrets().find(|entry| entry.name == *name)?;
            Some((vault.listing(), entry))
        });
        Ok(entry.is_some_and(|(listing, entry)| {
            // A locked vault keeps nobody from a change: then its kind has to do.
            let opens = match held.keyring.keks(&store) {
                Ok(keks) => listing.open(keks, name, entry.version, kind).is_ok(),
                Err(_) => entry.kind == Some(kind),
            };
            // An older one that was put back is none: nobody else can set it anew.
            opens && noted.is_none_or(|noted| noted <= entry.version)
        }))
    }
}

/// 128 random bits in hexadecimal digits, which fit into the name of a header.
fn generate() -> Result<Secret, Failure> {
    let bytes = Zeroizing::new(random_bytes()?);
    // As large as it will be, so that it does not move and leave copies behind.
    let mut digits = Zeroizing::new(Vec::with_capacity(2 * bytes.len()));
    bytes.iter().try_for_each(|byte| write!(digits, "{byte:02x}")).map_err(|error| {
        Failure::new(Exit::Software, format!("cannot write digits: {error}: report this"))
    })?;
    Secret::new(std::mem::take(&mut *digits)).map_err(|error| {
        Failure::new(Exit::Software, format!("the secret of a gateway: {error}: report this"))
    })
}

/// Refuses to set or remove what is tenantd's own.
pub(super) fn refuse_own(id: &TenantId, name: &SecretName) -> Result<(), Failure> {
    if *name != SecretName::gateway() && name.as_str() != AUTHORITY_SECRET {
        return Ok(());
    }
    Err(Failure::new(
        Exit::NoPermission,
        format!(
            "secret {name} of tenant {id} is tenantd's own, which nobody sets or removes: choose another name; \"tenantctl repair {id}\" makes it where it is missing"
        ),
    ))
}

fn taken(id: &TenantId, name: &SecretName) -> Failure {
    Failure::new(
        Exit::Config,
        format!(
            "tenant {id} has a secret {name}, a name that is tenantd's own now: set it under another name, then run \"tenantctl secret remove {id} {name}\" and \"tenantctl repair {id}\""
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateways_secret_is_128_bits_in_digits_and_never_the_same() {
        let (one, other) = (generate().unwrap(), generate().unwrap());
        assert_eq!(one.expose().len(), 32);
        assert!(one.expose().iter().all(|byte| b"0123456789abcdef".contains(byte)));
        assert!(one.expose() != other.expose());
    }

    #[test]
    fn only_tenantds_own_name_is_refused() {
        let id: TenantId = "acme".parse().unwrap();
        assert!(refuse_own(&id, &SecretName::parse("gateway-key").unwrap()).is_ok());
        for name in ["gateway", AUTHORITY_SECRET] {
            let refusal = refuse_own(&id, &SecretName::parse(name).unwrap()).unwrap_err();
            assert!(refusal.sentence.contains("is tenantd's own"), "{}", refusal.sentence);
        }
    }
}
