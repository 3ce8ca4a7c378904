//! Arguments of `runtime …`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};
use clap_complete::ArgValueCandidates;

use crate::complete;

const INSTALL_EXAMPLES: &str = "\
Examples:
  tenantctl runtime install openclaw
  tenantctl runtime install openclaw --version 2026.9.6
  tenantctl runtime install openclaw --from openclaw-2026.9.6.tar";

/// What to do with runtimes.
#[derive(Debug, Subcommand)]
pub enum RuntimeVerb {
    /// Download, check and seal a version of a runtime
    #[command(after_help = INSTALL_EXAMPLES)]
    Install(InstallArgs),
    /// List installed versions
    List,
    /// Read every file of installed versions again and compare it with what was sealed
    ///
    /// Ends with 65 when anything differs.
    Verify {
        /// Name of the runtime
        #[arg(add = ArgValueCandidates::new(complete::runtimes))]
        name: String,
        /// Version; without it, all installed ones
        version: Option<String>,
    },
    /// Remove a version that no tenant uses
    Remove {
        /// Name of the runtime
        #[arg(add = ArgValueCandidates::new(complete::runtimes))]
        name: String,
        /// Version
        version: String,
    },
    /// Make a version the one that new tenants get
    Pin {
        /// Name of the runtime
        #[arg(add = ArgValueCandidates::new(complete::runtimes))]
        name: String,
        /// Version
        version: String,
    },
}

/// Arguments of `runtime install`.
#[derive(Debug, Args)]
pub struct InstallArgs {
    /// Name of the runtime
    #[arg(add = ArgValueCandidates::new(complete::runtimes))]
    pub name: String,
    /// Version; without it, the newest that was tested with tenantd
    #[arg(long)]
    pub version: Option<String>,
    /// Take it from a directory or tar file instead of the registry
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub from: Option<PathBuf>,
    /// Accept a version that was not tested with tenantd
    #[arg(long)]
    pub untested: bool,
}
