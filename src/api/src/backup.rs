//! `org.tenantd.Backup1`: the client's side, and the documents it answers with.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use zbus::zvariant::Fd;

/// Backups of tenants. The caller opens the files.
#[zbus::proxy(
    interface = "org.tenantd.Backup1",
    default_service = "org.tenantd.Manager1",
    default_path = "/org/tenantd/Manager1",
    gen_blocking = false
)]
pub trait Backup1 {
    /// Writes a sealed backup of a tenant: JSON [`BackupSummary`]. Its processes are frozen meanwhile, or with `stop` its gateway is stopped and
    /// started again. Given up when the caller leaves the bus. (`org.tenantd.backup`)
    #[zbus(allow_interactive_auth)]
    fn back_up(&self, id: &str, stop: bool, to: Fd<'_>) -> Result<String, crate::Error>;
    /// Reads all of a backup and makes nothing: JSON [`BackupSummary`]. (`org.tenantd.backup`)
    #[zbus(allow_interactive_auth)]
    fn verify(&self, archive: Fd<'_>) -> Result<String, crate::Error>;
    /// Restores a backup, as tenant `id` if that is not empty: JSON [`RestoreSummary`]. A tenant that exists gets the data of the backup only with
    /// `replace`; one that does not is made, and started with `start`. (`org.tenantd.restore`)
    #[zbus(allow_interactive_auth)]
    fn restore(&self, archive: Fd<'_>, id: &str, replace: bool, start: bool) -> Result<String, crate::Error>;
    /// What restoring it so would allow beyond the policy in force: JSON [`crate::Change`]. A tenant that is there keeps its policy; one that is not
    /// has none that allows anything. Changes nothing. (`org.tenantd.restore`)
    #[zbus(allow_interactive_auth)]
    fn check_restore(&self, archive: Fd<'_>, id: &str, replace: bool) -> Result<String, crate::Error>;
    /// Restores, if what it allows is still what [`crate::Change`] with this digest showed. (`org.tenantd.restore`)
    #[zbus(allow_interactive_auth)]
    fn restore_shown(
        &self,
        archive: Fd<'_>,
        id: &str,
        replace: bool,
        start: bool,
        digest: &str,
    ) -> Result<String, crate::Error>;
}

/// A backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupSummary {
    /// Whose.
    pub tenant: String,
    /// When it was made, in seconds since the epoch.
    pub made: u64,
    /// Name of the host it was made on.
    pub host: String,
    /// Version of the tenantd that made it.
    pub tenantd: String,
    /// `frozen` or `stopped`: how the data was kept still.
    pub quiesced: String,
    /// Name of the KEK that opens it.
    pub kek: String,
    /// Secrets in it.
    pub secrets: usize,
    /// The settings (`tenantd.toml`) of the host it was made on.
    pub settings: String,
    /// What is in it, as the program says that read it as the tenant: a JSON [`Contents`].
    pub contents: String,
    /// What went wrong after it was made: the gateway that was stopped for it does not start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What is in a backup, or was left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// Regular files.
    pub files: u64,
    /// Directories.
    pub directories: u64,
    /// Symbolic links.
    pub links: u64,
    /// Further names of files.
    pub hard_links: u64,
    /// Their lengths together, in bytes.
    pub bytes: u64,
    /// Bytes of data before compression, without holes.
    pub stored: u64,
    /// What changed while it was read.
    pub changed: u64,
    /// What was left out, by the reason.
    pub left_out: BTreeMap<String, u64>,
}

/// What a restore did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreSummary {
    /// The tenant as it is now.
    pub tenant: String,
    /// Whether it was there before: then its spec and its secrets stayed as they were.
    pub replaced: bool,
    /// State of its unit.
    pub state: String,
    /// What was restored.
    pub backup: BackupSummary,
    /// What could not be restored or needs attention, a sentence each.
    pub problems: Vec<String>,
}
