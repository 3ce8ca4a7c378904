//! `/etc/tenantd/tenantd.toml`: the operator's settings for the host, with a shipped default for every field.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::webhook::Webhook;
use crate::{Feature, LimitError, Limits, TenantNetwork};

/// Why the settings are refused.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// Not TOML, an unknown key, or a wrong type.
    #[error("{file}: {text}")]
    Syntax {
        /// Name of the file.
        file: String,
        /// What the TOML reader says.
        text: String,
    },
    /// A default limit is out of range.
    #[error("{file}: defaults.limits: {source}")]
    Limit {
        /// Name of the file.
        file: String,
        /// What is wrong.
        source: LimitError,
    },
    /// A pool is not one.
    #[error("{0:?} is not a pool: {1}")]
    Pool(String, &'static str),
}

/// A range of uids, written `"500000-523999"`; both ends belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UidPool {
    /// First uid.
    pub first: u32,
    /// Last uid.
    pub last: u32,
}

impl TryFrom<String> for UidPool {
    type Error = SettingsError;
    fn try_from(text: String) -> Result<Self, SettingsError> {
        let parsed = text.split_once('-').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
        match parsed {
            Some((first, last))
                if (60_000..=last).contains(&first)
                    && last < 0x7fff_0000
                    && !(first <= 65_535 && last >= 61_184) =>
            {
                Ok(Self { first, last })
            }
            Some(_) => Err(SettingsError::Pool(text, "uids from 65536 to 2147418111, first below last")),
            None => {
                Err(SettingsError::Pool(text, "write two uids with a dash, for example \"500000-523999\""))
            }
        }
    }
}

impl From<UidPool> for String {
    fn from(pool: UidPool) -> Self {
        format!("{}-{}", pool.first, pool.last)
    }
}

/// A pool of IPv4 addresses from which each tenant gets a /30, written `"10.210.0.0/16"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AddressPool {
    /// Network address.
    pub network: Ipv4Addr,
    /// Prefix length, 8 to 30.
    pub prefix: u8,
}

impl AddressPool {
    /// Number of /30 networks in it.
    pub fn len(self) -> u32 {
        1u32 << (30 - u32::from(self.prefix.min(30)))
    }

    /// Never true: a pool holds at least one /30.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The `n`-th /30.
    pub fn nth(self, n: u32) -> Option<TenantNetwork> {
        (n < self.len())
            .then(|| u32::from(self.network) + n * 4)
            .map(Ipv4Addr::from)
            .and_then(TenantNetwork::new)
    }

    /// Whether an address lies in it.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        let mask = u32::MAX << (32 - u32::from(self.prefix));
        u32::from(address) & mask == u32::from(self.network)
    }

    /// Whether this pool and a network share an address.
    pub fn overlaps(self, network: Ipv4Addr, prefix: u8) -> bool {
        let shorter = self.prefix.min(prefix);
        let mask = u32::MAX.checked_shl(32 - u32::from(shorter)).unwrap_or(0);
        u32::from(network) & mask == u32::from(self.network) & mask
    }
}

impl TryFrom<String> for AddressPool {
    type Error = SettingsError;
    fn try_from(text: String) -> Result<Self, SettingsError> {
        let parsed = text
            .split_once('/')
            .and_then(|(a, p)| Some((a.parse::<Ipv4Addr>().ok()?, p.parse::<u8>().ok()?)));
        let Some((network, prefix)) = parsed else {
            return Err(SettingsError::Pool(text, "write an IPv4 network, for example \"10.210.0.0/16\""));
        };
        if !(8..=30).contains(&prefix) {
            return Err(SettingsError::Pool(text, "the prefix length is between 8 and 30"));
        }
        if u32::from(network) & !(u32::MAX << (32 - u32::from(prefix))) != 0 {
            return Err(SettingsError::Pool(
                text,
                "bits beyond the prefix are set: write the network address",
            ));
        }
        if !(network.is_private() || is_shared(network)) {
            return Err(SettingsError::Pool(
                text,
                "tenants live in private (RFC 1918) or shared (RFC 6598) space",
            ));
        }
        Ok(Self { network, prefix })
    }
}

/// Shared address space, RFC 6598: 100.64.0.0/10.
fn is_shared(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    first == 100 && second & 0xc0 == 64
}

impl From<AddressPool> for String {
    fn from(pool: AddressPool) -> Self {
        format!("{}/{}", pool.network, pool.prefix)
    }
}

/// The host's settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where uids and addresses come from.
    pub pools: Pools,
    /// What a spec that is silent gets.
    pub defaults: Defaults,
    /// Package registries.
    pub registries: Registries,
    /// What tenants reach.
    pub egress: EgressSettings,
    /// Backups.
    pub backup: BackupSettings,
    /// What purging the package may remove.
    pub purge: Purge,
}

/// Pools.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pools {
    /// uids (and gids of the same number). Default 500000-523999: above people, below systemd's container range.
    pub uids: UidPool,
    /// Addresses. Default 10.210.0.0/16: 16,384 tenants.
    pub addresses: Vec<AddressPool>,
}

/// Defaults for specs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Defaults {
    /// Protections every tenant of this host may run without. Default: none.
    pub accept_missing: Vec<Feature>,
    /// Limits under those of the runtime.
    pub limits: Limits,
}

/// What tenants reach.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EgressSettings {
    /// Who is told what tenants ask for, by `tenantd-notify.service`. Default: nobody.
    pub webhook: Option<Webhook>,
}

/// Package registries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Registries {
    /// Address of the npm registry. Default: as the host's npm configuration says.
    pub npm: Option<String>,
    /// npm configuration file handed to the download. Default: `/root/.npmrc` where it exists.
    pub npmrc: Option<String>,
    /// Address of the Python package index, for the preset `pypi`. Default: none.
    pub pypi: Option<String>,
    /// Address of the Rust crate index, for the preset `cargo`. Default: none.
    pub cargo: Option<String>,
    /// Address of the Debian mirror, for the preset `debian`. Default: none.
    pub debian: Option<String>,
}

impl Registries {
    /// Addresses by the names that presets use (`host_of`).
    pub fn named(&self) -> [(&'static str, Option<&str>); 4] {
        [
            ("npm", self.npm.as_deref()),
            ("pypi", self.pypi.as_deref()),
            ("cargo", self.cargo.as_deref()),
            ("debian", self.debian.as_deref()),
        ]
    }
}

/// Where `tenantctl backup` puts backups when it is not told, as by its timer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BackupSettings {
    /// Directory, made by the operator. Default: `/var/backups/tenantd`.
    pub directory: String,
    /// How many backups of each tenant stay in a directory. Default: all.
    pub keep: Option<u32>,
    /// Whether gateways are stopped instead of frozen meanwhile. Default: no.
    pub stop: bool,
    /// Program and arguments that read a backup from standard input, in place of the directory; `{tenant}` stands for the name.
    /// Default: none.
    pub command: Vec<String>,
}

/// What purging the package may remove.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Purge {
    /// Whether purge removes tenants' data. Default: no.
    pub tenant_data: bool,
}

impl Default for BackupSettings {
    fn default() -> Self {
        Settings::default().backup
    }
}

impl Default for Pools {
    fn default() -> Self {
        Self {
            uids: UidPool { first: 500_000, last: 523_999 },
            addresses: vec![AddressPool { network: Ipv4Addr::new(10, 210, 0, 0), prefix: 16 }],
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            pools: Pools::default(),
            defaults: Defaults::default(),
            registries: Registries::default(),
            egress: EgressSettings::default(),
            backup: BackupSettings {
                directory: "/var/backups/tenantd".to_owned(),
                keep: None,
                stop: false,
                command: Vec::new(),
            },
            purge: Purge::default(),
        }
    }
}

impl Settings {
    /// Reads TOML; what is left out has its shipped default.
    pub fn parse(file: &str, text: &str) -> Result<Self, SettingsError> {
        let settings: Settings = toml::from_str(text)
            .map_err(|error| SettingsError::Syntax { file: file.to_owned(), text: error.to_string() })?;
        settings
            .defaults
            .limits
            .check()
            .map_err(|source| SettingsError::Limit { file: file.to_owned(), source })?;
        if settings.backup.keep == Some(0) || !settings.backup.directory.starts_with('/') {
            let text = "backup: directory is an absolute path, and keep is 1 or more".to_owned();
            return Err(SettingsError::Syntax { file: file.to_owned(), text });
        }
        if let Some(Err(why)) = settings.egress.webhook.as_ref().map(Webhook::check) {
            return Err(SettingsError::Syntax {
                file: file.to_owned(),
                text: format!("egress.webhook.url: {why}"),
            });
        }
        let pools = &settings.pools.addresses;
        for (i, a) in pools.iter().enumerate() {
            if pools.iter().skip(i + 1).any(|b| a.overlaps(b.network, b.prefix)) {
                return Err(SettingsError::Pool(
                    String::from(*a),
                    "it overlaps another pool of the same file",
                ));
            }
        }
        if pools.is_empty() {
            return Err(SettingsError::Pool(
                String::new(),
                "pools.addresses is empty: no tenant could have an address",
            ));
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_gives_the_shipped_defaults() {
        assert_eq!(Settings::parse("tenantd.toml", "").unwrap(), Settings::default());
        assert_eq!(Settings::default().pools.addresses[0].len(), 16_384);
    }

    #[test]
    fn pools_that_are_none_are_refused() {
        for text in [
            "pools.uids = \"5\"",
            "pools.uids = \"0-10\"",
            "pools.uids = \"61000-70000\"",
            "pools.uids = \"9000000-8000000\"",
            "pools.addresses = []",
            "pools.addresses = [\"10.210.0.1/16\"]",
            "pools.addresses = [\"8.8.0.0/16\"]",
            "pools.addresses = [\"10.0.0.0/31\"]",
            "pools.addresses = [\"10.0.0.0/8\", \"10.210.0.0/16\"]",
            "pools.address = []",
            "backup.keep = 0",
            "backup.directory = \"backups\"",
        ] {
            assert!(Settings::parse("tenantd.toml", text).is_err(), "{text}");
        }
    }

    #[test]
    fn overlap_with_a_route_is_seen_both_ways() {
        let pool = AddressPool::try_from("10.210.0.0/16".to_owned()).unwrap();
        assert!(pool.overlaps(Ipv4Addr::new(10, 0, 0, 0), 8));
        assert!(pool.overlaps(Ipv4Addr::new(10, 210, 3, 0), 24));
        assert!(!pool.overlaps(Ipv4Addr::new(10, 211, 0, 0), 16));
        assert_eq!(pool.nth(1).unwrap().tenant(), Ipv4Addr::new(10, 210, 0, 6));
        assert!(pool.nth(16_384).is_none());
    }
}
