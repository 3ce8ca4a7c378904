//! The client's side of `org.tenantd.Vault1`.

use zbus::zvariant::Fd;

/// The vault of tenantd. Values and passphrases travel through descriptors, which the daemon reads to their end; no value comes back.
#[zbus::proxy(
    interface = "org.tenantd.Vault1",
    default_service = "org.tenantd.Manager1",
    default_path = "/org/tenantd/Manager1",
    gen_blocking = false
)]
pub trait Vault1 {
    /// A tenant's secrets without their values: JSON array of [`crate::SecretSummary`]. (`org.tenantd.status`)
    #[zbus(allow_interactive_auth)]
    fn list_secrets(&self, id: &str) -> Result<String, crate::Error>;
    /// Gives a secret a value: JSON [`crate::SecretSummary`]. `kind` is `proxy`, `file`, `variable`, or empty: then the secret must be
    /// there and stays of its kind. (`org.tenantd.secret`)
    #[zbus(allow_interactive_auth)]
    fn set_secret(&self, id: &str, name: &str, kind: &str, value: Fd<'_>) -> Result<String, crate::Error>;
    /// Removes a secret. (`org.tenantd.secret`)
    #[zbus(allow_interactive_auth)]
    fn remove_secret(&self, id: &str, name: &str) -> Result<(), crate::Error>;
    /// JSON [`crate::VaultStatus`]. (`org.tenantd.list`)
    #[zbus(allow_interactive_auth)]
    fn get_vault(&self) -> Result<String, crate::Error>;
    /// Makes a new KEK: JSON [`crate::VaultStatus`]. Refused while backups need the old one and no recovery copy of it was exported, unless
    /// with `give_up_backups`. (`org.tenantd.vault`)
    #[zbus(allow_interactive_auth)]
    fn rotate_kek(&self, give_up_backups: bool) -> Result<String, crate::Error>;
    /// Makes a new DEK for a tenant. (`org.tenantd.vault`)
    #[zbus(allow_interactive_auth)]
    fn rotate_dek(&self, id: &str) -> Result<(), crate::Error>;
    /// The recovery copy of the KEK under a passphrase. (`org.tenantd.vault`)
    #[zbus(allow_interactive_auth)]
    fn export_recovery(&self, passphrase: Fd<'_>) -> Result<Vec<u8>, crate::Error>;
    /// Takes a recovery copy: JSON [`crate::VaultStatus`]. (`org.tenantd.vault`)
    #[zbus(allow_interactive_auth)]
    fn import_recovery(&self, copy: Fd<'_>, passphrase: Fd<'_>) -> Result<String, crate::Error>;
}
