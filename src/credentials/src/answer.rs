//! The answer: a tenant's secrets that are its gateway's to have.

use model::{TenantId, delivery};
use vault::{Kind, Secret};
use vault_store::VaultStore;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::kek::Keyring;

/// What systemd passes on at most, for all credentials of a unit together.
const MOST: usize = 1 << 20;

/// The secrets of `tenant` that its gateway gets. The key is needed only if there are any.
pub fn answer(
    store: &VaultStore,
    keyring: &mut Keyring,
    tenant: &TenantId,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut secrets: Vec<(String, bool, Secret)> = Vec::new();
    if let Some(vault) = store.find(tenant)? {
        for entry in vault.listing().secrets() {
            let (as_variable, kind) = match entry.kind {
                Some(Kind::File) => (false, Kind::File),
                Some(Kind::Variable) => (true, Kind::Variable),
                // What cannot be read may have been the gateway's: opening it says what is wrong.
                None => (false, Kind::File),
                Some(Kind::Proxy | Kind::Gateway) => continue,
            };
            let secret = vault.listing().open(keyring.keks(store)?, &entry.name, entry.version, kind)?;
            secrets.push((entry.name.to_string(), as_variable, secret));
        }
    }
    let all: usize = secrets.iter().map(|(name, _, secret)| delivery::length(name, secret.expose())).sum();
    if all > MOST - 64 {
        return Err(Error::TooMuch(tenant.clone()));
    }
    // As large as it will be, so that it does not move and leave copies behind.
    let mut out = Zeroizing::new(Vec::with_capacity(all + 64));
    delivery::begin(&mut out);
    for (name, as_variable, secret) in &secrets {
        let delivered = delivery::Delivered { name, as_variable: *as_variable, value: secret.expose() };
        delivery::add(&mut out, delivered).map_err(|_| Error::TooMuch(tenant.clone()))?;
    }
    Ok(out)
}
