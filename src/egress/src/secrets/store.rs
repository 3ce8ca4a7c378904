//! The values that this proxy was given.

use std::collections::BTreeMap;

use model::delivery::{self, DeliveryError, Form};
use model::egress::AUTHORITY_SECRET;
use zeroize::Zeroizing;

/// Values by name. They are wiped when this is dropped, and nothing prints them.
#[derive(Default)]
pub struct Secrets {
    values: BTreeMap<String, Zeroizing<Vec<u8>>>,
    authority: Option<Zeroizing<Vec<u8>>>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl Secrets {
    /// Reads what `tenant-credentials` delivered. What is not meant for a proxy is left out, and the key of the certificate
    /// authority is none of the secrets that can be placed.
    pub fn read(delivered: &[u8]) -> Result<Self, DeliveryError> {
        let mut secrets = Self::default();
        for secret in delivery::read(delivered)? {
            if secret.form != Form::Proxy {
                continue;
            }
            let value = Zeroizing::new(secret.value.to_vec());
            if secret.name == AUTHORITY_SECRET {
                secrets.authority = Some(value);
            } else {
                secrets.values.insert(secret.name.to_owned(), value);
            }
        }
        Ok(secrets)
    }

    /// PEM of the tenant's certificate authority.
    #[must_use]
    pub fn authority(&self) -> Option<&[u8]> {
        self.authority.as_ref().map(|value| value.as_slice())
    }

    /// Names of the secrets that can be placed.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// The value of one that can be placed.
    pub(crate) fn value(&self, name: &str) -> Option<&[u8]> {
        self.values.get(name).map(|value| value.as_slice())
    }

    /// One that can be placed, with its name.
    pub(super) fn get(&self, name: &str) -> Option<(&str, &[u8])> {
        self.values.get_key_value(name).map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// The one that a variable stands for; nothing if there is none, or more than one.
    pub(super) fn name_of_variable(&self, variable: &str) -> Option<&str> {
        let mut found = self.names().filter(|name| model::variable_of_secret(name) == variable);
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }
}
