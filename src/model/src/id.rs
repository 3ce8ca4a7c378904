//! Tenant identifiers and the names that follow from them.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

const MAX_BYTES: usize = TenantId::MAX_BYTES;

/// Words that would collide with units, sub-commands or accounts of the product itself.
const RESERVED: &[&str] = &[
    "all",
    "api",
    "console",
    "daemon",
    "default",
    "edge",
    "egress",
    "fence",
    "host",
    "localhost",
    "login",
    "net",
    "none",
    "root",
    "self",
    "slice",
    "sweep",
    "system",
    "systemd",
    "tenant",
    "tenantd",
    "tenants",
    "verify",
    "www",
];

/// A tenant's identifier: `[a-z][a-z0-9]*(-[a-z0-9]+)*`, at most 24 bytes, not a reserved word.
///
/// Its *system name* writes `_` for `-`, because systemd reads a dash in a slice name as nesting. Identifiers hold no
/// `_`, so the mapping is one to one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TenantId(String);

/// Why a string is no tenant identifier.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IdError {
    /// The form is wrong.
    #[error(
        "tenant name {0:?} is not of the form [a-z][a-z0-9]*(-[a-z0-9]+)*: use lower-case letters, digits and single dashes, beginning with a letter"
    )]
    Form(String),
    /// Longer than 24 bytes.
    #[error(
        "tenant name {0:?} has {1} bytes; at most {MAX_BYTES} fit into a user name: choose a shorter one"
    )]
    TooLong(String, usize),
    /// A reserved word.
    #[error("tenant name {0:?} is reserved for tenantd itself: choose another")]
    Reserved(String),
}

impl TenantId {
    /// Longest identifier in bytes: `t-` and 24 bytes stay under the 31 bytes `useradd` and `utmp` allow a user name.
    pub const MAX_BYTES: usize = 24;

    /// Checks `text` and makes an identifier of it.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let shown = || text.chars().take(64).collect::<String>();
        let starts_with_letter = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        let well_formed = starts_with_letter
            && text.split('-').all(|part| {
                !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
            });
        if !well_formed {
            return Err(IdError::Form(shown()));
        }
        if text.len() > MAX_BYTES {
            return Err(IdError::TooLong(shown(), text.len()));
        }
        if RESERVED.contains(&text) {
            return Err(IdError::Reserved(shown()));
        }
        Ok(Self(text.to_owned()))
    }

    /// The identifier behind a system name (`acme_corp` → `acme-corp`).
    pub fn from_system_name(name: &str) -> Result<Self, IdError> {
        if name.contains('-') {
            return Err(IdError::Form(name.chars().take(64).collect()));
        }
        Self::parse(&name.replace('_', "-"))
    }

    /// The identifier as written by people.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name used in units, users and paths: `_` for `-`.
    pub fn system_name(&self) -> String {
        self.0.replace('-', "_")
    }

    /// User and group name.
    pub fn user(&self) -> String {
        format!("t-{}", self.system_name())
    }

    /// The gateway's unit.
    pub fn unit(&self) -> String {
        format!("tenant@{}.service", self.system_name())
    }

    /// The unit that owns the tenant's network.
    pub fn net_unit(&self) -> String {
        format!("tenant-net@{}.service", self.system_name())
    }

    /// The unit that runs the tenant's egress proxy.
    pub fn egress_unit(&self) -> String {
        format!("tenant-egress@{}.service", self.system_name())
    }

    /// The sockets at which the proxy is reached from inside.
    pub fn egress_socket(&self) -> String {
        format!("tenant-egress@{}.socket", self.system_name())
    }

    /// The slice that carries the tenant's limits.
    pub fn slice(&self) -> String {
        format!("tenants-{}.slice", self.system_name())
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for TenantId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        Self::parse(&text)
    }
}

impl From<TenantId> for String {
    fn from(id: TenantId) -> Self {
        id.0
    }
}

impl std::str::FromStr for TenantId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_formed_names_are_taken() {
        for good in ["a", "acme", "acme-corp", "a1-2-3", "abcdefghijklmnopqrstuvwx"] {
            assert_eq!(TenantId::parse(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn names_out_of_form_are_refused() {
        for bad in
            ["", "-a", "a-", "a--b", "A", "1a", "a_b", "a.b", "a/b", "ä", "a b", "a\n", "a@b", "%i", "../x"]
        {
            assert!(matches!(TenantId::parse(bad), Err(IdError::Form(_))), "{bad:?}");
        }
        assert!(matches!(TenantId::parse("abcdefghijklmnopqrstuvwxy"), Err(IdError::TooLong(_, 25))));
        assert!(matches!(TenantId::parse("root"), Err(IdError::Reserved(_))));
    }

    #[test]
    fn system_names_map_back_to_one_identifier() {
        let id = TenantId::parse("acme-corp-2").unwrap();
        assert_eq!(id.system_name(), "acme_corp_2");
        assert_eq!(TenantId::from_system_name("acme_corp_2").unwrap(), id);
        assert!(TenantId::from_system_name("acme-corp").is_err());
        assert_eq!(id.slice(), "tenants-acme_corp_2.slice");
    }
}
