//! tenantd's D-Bus interface, both sides: names, the client proxy, the documents that travel as JSON, and errors.
//!
//! Structured answers are JSON documents in a D-Bus string: the same documents that `tenantctl --json` prints (ADR 0003).
#![forbid(unsafe_code)]

mod backup;
mod document;
mod edge;
mod egress;
mod error;
mod proxy;
mod vault;

pub use backup::{Backup1Proxy, BackupSummary, Contents, RestoreSummary};
pub use document::{
    Check, Health, Installed, LandlockStatus, Measured, Outcome, Progress, Provenance, SecretSummary, Status,
    Summary, VaultStatus, Verdict,
};
pub use edge::{Edge1Proxy, EdgeKey, EdgeStatus, IssuedLogin, IssuedToken};
pub use egress::{
    Answered, Approval, AskedRequest, Change, Egress1Proxy, EgressEntry, EgressQuestion, EgressView,
    Explained, Learned, NewRisk, PresetView, ProviderView, TenantUsage, Widening,
};
pub use error::Error;
pub use proxy::Manager1Proxy;
pub use vault::Vault1Proxy;

/// Well-known bus name.
pub const BUS_NAME: &str = "org.tenantd.Manager1";
/// Object path.
pub const OBJECT_PATH: &str = "/org/tenantd/Manager1";
/// polkit actions, one per verb.
pub mod action {
    /// Names and states of tenants.
    pub const LIST: &str = "org.tenantd.list";
    /// Everything about one tenant.
    pub const STATUS: &str = "org.tenantd.status";
    /// Make a tenant.
    pub const CREATE: &str = "org.tenantd.create";
    /// Start, stop, restart, put to sleep, enable, disable.
    pub const START_STOP: &str = "org.tenantd.start-stop";
    /// Change a tenant's spec, repair it, run a command in its cell.
    pub const CHANGE: &str = "org.tenantd.change";
    /// Delete a tenant.
    pub const DELETE: &str = "org.tenantd.delete";
    /// Install, verify, pin and remove runtimes.
    pub const RUNTIME: &str = "org.tenantd.runtime";
    /// Back a tenant up, verify a backup.
    pub const BACKUP: &str = "org.tenantd.backup";
    /// Restore a backup.
    pub const RESTORE: &str = "org.tenantd.restore";
    /// Set, rotate and remove secrets of tenants.
    pub const SECRET: &str = "org.tenantd.secret";
    /// Rotate the keys of the vault, export and import its recovery copy.
    pub const VAULT: &str = "org.tenantd.vault";
    /// Open and close the edge, set its certificate, rotate the keys that sign tokens.
    pub const EDGE: &str = "org.tenantd.edge";
    /// Issue and revoke tokens and login links.
    pub const TOKEN: &str = "org.tenantd.token";
    /// See the questions of egress proxies, and nothing else.
    pub const QUESTIONS: &str = "org.tenantd.questions";
    /// Answer questions of egress proxies, take answers back.
    pub const APPROVE: &str = "org.tenantd.approve";
}
