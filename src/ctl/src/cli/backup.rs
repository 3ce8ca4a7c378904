//! Arguments of `backup …` and `restore`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};
use clap_complete::ArgValueCandidates;
use model::TenantId;

use crate::complete;

const BACKUP_EXAMPLES: &str = "\
Examples:
  tenantctl backup acme --to /srv/backups
  tenantctl backup --all --keep 14
  tenantctl backup acme --to - | ssh vault 'cat >acme.backup'
  tenantctl backup verify /srv/backups/acme-*.backup";

const RESTORE_EXAMPLES: &str = "\
Examples:
  tenantctl restore /srv/backups/acme-20261122T020000Z.backup
  tenantctl restore acme-20261122T020000Z.backup --as acme2 --no-start
  tenantctl restore acme-20261122T020000Z.backup --yes --no-widening";

/// Arguments of `backup`.
#[derive(Debug, Args)]
#[command(
    after_help = BACKUP_EXAMPLES,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    subcommand_value_name = "VERB",
    subcommand_help_heading = "Verbs"
)]
pub struct BackupArgs {
    /// Read backups instead of making one.
    #[command(subcommand)]
    pub verb: Option<BackupVerb>,
    /// Names of tenants
    #[arg(value_name = "TENANT", required_unless_present = "all", add = ArgValueCandidates::new(complete::tenants))]
    pub tenants: Vec<TenantId>,
    /// Every tenant
    #[arg(long, conflicts_with = "tenants")]
    pub all: bool,
    /// Directory to write to, or - for standard output; without it, as [backup] in tenantd.toml says
    #[arg(long, value_name = "DIRECTORY", value_hint = ValueHint::DirPath)]
    pub to: Option<PathBuf>,
    /// Remove the oldest backups of each tenant there, once a new one is verified, so that this many stay
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep: Option<u32>,
    /// Stop the gateway and start it again afterwards, instead of freezing it meanwhile
    #[arg(long)]
    pub stop: bool,
    /// Do not read the backup again after it was written
    #[arg(long)]
    pub no_verify: bool,
}

/// What to do with backups.
#[derive(Debug, Subcommand)]
pub enum BackupVerb {
    /// Read backups whole and say what is in them; nothing is restored
    ///
    /// Ends with 65 when one is damaged, with 78 when its key is not at hand.
    Verify {
        /// Backups
        #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
        files: Vec<PathBuf>,
    },
}

/// Arguments of `restore`.
#[derive(Debug, Args)]
#[command(after_help = RESTORE_EXAMPLES)]
pub struct RestoreArgs {
    /// The backup
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Restore as another tenant, with a new user, network and secret of its gateway
    #[arg(long = "as", value_name = "TENANT")]
    pub rename: Option<TenantId>,
    /// Replace the data of a tenant that is there; and do not ask whether one that is made may do what it is shown to
    #[arg(long)]
    pub yes: bool,
    /// Refuse, with exit status 65, to make a tenant that may reach anything
    #[arg(long)]
    pub no_widening: bool,
    /// Make a tenant that is not there, but do not start it
    #[arg(long)]
    pub no_start: bool,
}
