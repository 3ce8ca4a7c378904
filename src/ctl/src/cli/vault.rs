//! Arguments of `secret …` and `vault …`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};
use clap_complete::ArgValueCandidates;
use model::TenantId;

use crate::complete;

const SET_EXAMPLES: &str = "\
Examples:
  tenantctl secret set acme telegram-token < token
  pass show acme/anthropic | tenantctl secret set acme anthropic
  tenantctl secret set acme tls-key --for file --from acme.key";

const EXPORT_EXAMPLES: &str = "\
Examples:
  tenantctl vault recovery export --to kek.recovery
  tenantctl vault recovery export --to kek.recovery --passphrase-from words";

/// What to do with secrets.
#[derive(Debug, Subcommand)]
pub enum SecretVerb {
    /// Seal a value that a tenant needs
    ///
    /// The value is read from standard input, or from a file, to its end: every byte counts, a newline at the end too. It is never
    /// shown again.
    #[command(after_help = SET_EXAMPLES)]
    Set {
        /// Which.
        #[command(flatten)]
        secret: SecretArgs,
        /// Who gets it: the egress proxy, which puts it into requests; or the gateway, as a file or an environment variable
        #[arg(long = "for", value_enum, default_value_t = SecretFor::Proxy)]
        kind: SecretFor,
        /// Read the value from this file instead of standard input
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        from: Option<PathBuf>,
        /// Restart the gateway, if it runs and gets this secret: no runtime so far takes one up without
        #[arg(long)]
        restart: bool,
    },
    /// Give a secret that is there another value
    Rotate {
        /// Which.
        #[command(flatten)]
        secret: SecretArgs,
        /// Read the value from this file instead of standard input
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        from: Option<PathBuf>,
        /// Restart the gateway, if it runs and gets this secret: no runtime so far takes one up without
        #[arg(long)]
        restart: bool,
    },
    /// List a tenant's secrets, without their values
    List {
        /// Name of the tenant
        #[arg(add = ArgValueCandidates::new(complete::tenants))]
        tenant: TenantId,
    },
    /// Remove a secret
    Remove(SecretArgs),
}

/// A secret of a tenant.
#[derive(Debug, Args)]
pub struct SecretArgs {
    /// Name of the tenant
    #[arg(add = ArgValueCandidates::new(complete::tenants))]
    pub tenant: TenantId,
    /// Name of the secret
    pub name: String,
}

/// Who gets a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SecretFor {
    /// The egress proxy: the tenant itself never has it
    Proxy,
    /// The gateway, as a file
    File,
    /// The gateway, as an environment variable
    Variable,
}

/// What to do with the keys.
#[derive(Debug, Subcommand)]
pub enum VaultVerb {
    /// Say whether the vault opens, and what is in it
    ///
    /// Ends with 78 when it is locked.
    Status,
    /// Make a new key-encryption key for this host; the old one is gone afterwards
    ///
    /// Backups that were made until now open only with a recovery copy of the old key, so one must have been exported.
    RotateKek {
        /// Do it without a recovery copy of the old key: backups made until now are lost
        #[arg(long)]
        give_up_backups: bool,
    },
    /// Make a new data-encryption key for a tenant and seal its secrets under it; the old one is gone afterwards
    RotateDek {
        /// Name of the tenant
        #[arg(add = ArgValueCandidates::new(complete::tenants))]
        tenant: TenantId,
    },
    /// Export and import the key-encryption key under a passphrase, to be kept away from this host
    #[command(
        subcommand,
        disable_help_subcommand = true,
        subcommand_value_name = "VERB",
        subcommand_help_heading = "Verbs"
    )]
    Recovery(RecoveryVerb),
}

/// What to do with a recovery copy.
#[derive(Debug, Subcommand)]
pub enum RecoveryVerb {
    /// Write a recovery copy; whoever has it and the passphrase has every secret and backup of this host
    #[command(after_help = EXPORT_EXAMPLES)]
    Export {
        /// The file to make; it must not be there yet
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        to: PathBuf,
        /// Read the passphrase from this file instead of the terminal
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        passphrase_from: Option<PathBuf>,
    },
    /// Take a recovery copy: as the key of this host if that is lost, else for backups of its host and time
    Import {
        /// The recovery copy
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// Read the passphrase from this file instead of the terminal
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        passphrase_from: Option<PathBuf>,
    },
}
