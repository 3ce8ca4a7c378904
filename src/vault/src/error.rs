//! What can be wrong with the vault of a tenant. Each is one sentence: object, cause, remedy. None says more of a ciphertext that
//! does not open than that it does not: the cipher cannot tell a wrong key from a changed byte.

use model::TenantId;
use thiserror::Error;

use crate::cipher::SealError;
use crate::form::FormError;
use crate::kek::KekId;
use crate::name::SecretName;

/// Why something was not done to the vault of a tenant. Nothing was changed.
#[derive(Debug, Error)]
pub enum VaultError {
    /// A name in the directory that is none of the vault's.
    #[error("tenant {tenant}: {file:?} in the vault is none of tenantd's files: look at it and move it away")]
    Stray {
        /// Whose vault.
        tenant: TenantId,
        /// Name of the file.
        file: String,
    },
    /// A file that cannot be read.
    #[error("tenant {tenant}: vault file {file} cannot be read: {source}; {remedy}", remedy = remedy(file))]
    Form {
        /// Whose vault.
        tenant: TenantId,
        /// Name of the file.
        file: String,
        /// What is wrong with it.
        source: FormError,
    },
    /// A file that does not open.
    #[error(
        "tenant {tenant}: vault file {file} does not open: it was changed, or belongs to another tenant, name, version, kind or key: {remedy}",
        remedy = remedy(file)
    )]
    Sealed {
        /// Whose vault.
        tenant: TenantId,
        /// Name of the file.
        file: String,
    },
    /// A DEK wrapped by a KEK that is not at hand.
    #[error(
        "tenant {tenant}: vault file {file} needs KEK {kek}, which is not at hand: import its recovery copy with \"tenantctl vault recovery import\""
    )]
    ForeignKek {
        /// Whose vault.
        tenant: TenantId,
        /// Name of the file.
        file: String,
        /// The KEK it needs.
        kek: KekId,
    },
    /// A record under a DEK that is not there.
    #[error(
        "tenant {tenant}: vault file {file} needs DEK generation {generation}, which is not there: restore dek.{generation} from a backup, or set the secret anew"
    )]
    NoGeneration {
        /// Whose vault.
        tenant: TenantId,
        /// Name of the file.
        file: String,
        /// The generation it needs.
        generation: u32,
    },
    /// No DEK at all.
    #[error(
        "tenant {tenant}: the vault has no DEK: it was never made, or was destroyed with its tenant: restore it from a backup"
    )]
    NoDek {
        /// Whose vault.
        tenant: TenantId,
    },
    /// A vault is there already.
    #[error("tenant {tenant}: there is a vault already: use it, or destroy it first")]
    Exists {
        /// Whose vault.
        tenant: TenantId,
    },
    /// No such secret.
    #[error(
        "tenant {tenant}: there is no secret {name} in version {version}: see \"tenantctl secret list {tenant}\""
    )]
    NoSecret {
        /// Whose vault.
        tenant: TenantId,
        /// Its name.
        name: SecretName,
        /// Its version.
        version: u64,
    },
    /// A version or a generation after which there is none.
    #[error(
        "tenant {tenant}: no number follows {last}, which tenantd never came to by itself: restore the vault from a backup"
    )]
    NoNumber {
        /// Whose vault.
        tenant: TenantId,
        /// The last number.
        last: u64,
    },
    /// As many messages under a DEK as are allowed.
    #[error(
        "tenant {tenant}: DEK generation {generation} has sealed all it may: run \"tenantctl vault rotate-dek {tenant}\""
    )]
    Spent {
        /// Whose vault.
        tenant: TenantId,
        /// The generation.
        generation: u32,
    },
    /// A rotation while another is under way.
    #[error("tenant {tenant}: a rotation of the DEK is under way: let it end first")]
    UnderWay {
        /// Whose vault.
        tenant: TenantId,
    },
    /// Sealing failed.
    #[error("tenant {tenant}: cannot seal: {source}")]
    Seal {
        /// Whose vault.
        tenant: TenantId,
        /// The cause.
        source: SealError,
    },
}

/// What to do about a file that is of no use.
fn remedy(file: &str) -> &'static str {
    if file.starts_with("secret.") {
        "restore it from a backup, or set the secret anew"
    } else {
        "restore it from a backup: what is sealed under it opens with nothing else"
    }
}
