//! The label: whose backup it is, and all of tenantd's state that belongs to that tenant.

use model::TenantId;
use serde::{Deserialize, Serialize};

/// How the data was kept still while it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quiesced {
    /// Every process of the tenant was frozen: the data is as after a power cut at that moment.
    Frozen,
    /// The gateway was stopped, or did not run: the data is as it left it.
    Stopped,
}

/// A backup's label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// Whose data it is.
    pub tenant: TenantId,
    /// When it was made, in seconds since the epoch.
    pub made: u64,
    /// Name of the host.
    pub host: String,
    /// Version of tenantd.
    pub tenantd: String,
    /// How it was made.
    pub quiesced: Quiesced,
    /// Whether the tenant started at boot.
    pub enabled: bool,
    /// The spec as it was on disk (TOML).
    pub spec: String,
    /// The host's own settings, as they were on disk (TOML).
    pub settings: String,
}
