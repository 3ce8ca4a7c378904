//! Arguments of `create`: a spec, spelled on the command line.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use clap_complete::ArgValueCandidates;
use model::{ByteSize, CpuQuota, Feature, Limits, TenantId};

use super::value;
use crate::complete;

const EXAMPLES: &str = "\
Examples:
  tenantctl create acme --runtime openclaw
  tenantctl create acme --runtime openclaw --version 2026.9.6 --memory-max 2G --cpu-quota 150%
  tenantctl create web --runtime generic --port 8080 -- /usr/bin/python3 -m http.server 8080
  tenantctl create acme --file acme.toml --dry-run";

/// Arguments of `create`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CreateArgs {
    /// Name: lower-case letters, digits and single dashes, beginning with a letter, at most 24
    pub tenant: TenantId,
    /// Runtime, as in "tenantctl runtime list"
    #[arg(long, required_unless_present = "file", conflicts_with = "file", add = ArgValueCandidates::new(complete::runtimes))]
    pub runtime: Option<String>,
    /// Version of the runtime; without it, the pinned one, or the newest installed
    #[arg(long, conflicts_with = "file")]
    pub version: Option<String>,
    /// For runtimes that take one: program and arguments in one string, split as a shell does; or write them after --
    #[arg(long, value_name = "WORDS", conflicts_with_all = ["file", "argv"])]
    pub command: Option<String>,
    /// Port of the gateway; without it, the runtime's
    #[arg(long, conflicts_with = "file", value_parser = value::port, allow_negative_numbers = true)]
    pub port: Option<u16>,
    /// Origin a browser may come from, for example https://acme.example.org; may be given again
    #[arg(long = "origin", conflicts_with = "file")]
    pub origins: Vec<String>,
    /// Environment variable of the gateway; may be given again
    #[arg(long = "env", value_name = "NAME=VALUE", conflicts_with = "file", value_parser = value::assignment)]
    pub environment: Vec<(String, String)>,
    /// Run without a protection that this host lacks, by name; may be given again
    #[arg(long, value_name = "FEATURE", conflicts_with = "file", value_parser = value::feature, add = ArgValueCandidates::new(complete::features))]
    pub accept_missing: Vec<Feature>,
    /// What the tenant may reach: only what is listed (deny), the rest when somebody has answered (ask), or nothing at all (off)
    #[arg(long, value_enum, conflicts_with = "file")]
    pub egress: Option<EgressDefault>,
    /// Profile of its egress; without --egress, what is not listed is treated as the profile says
    #[arg(long, conflicts_with = "file", add = ArgValueCandidates::new(complete::profiles))]
    pub profile: Option<String>,
    /// Preset of its egress, of those that the profile offers; may be given again
    #[arg(long = "preset", conflicts_with = "file", add = ArgValueCandidates::new(complete::presets))]
    pub presets: Vec<String>,
    /// One line for people
    #[arg(long, conflicts_with = "file")]
    pub description: Option<String>,
    /// Take the spec from a file instead
    #[arg(long, value_hint = ValueHint::FilePath)]
    pub file: Option<PathBuf>,
    /// Make and enable it, but do not start it
    #[arg(long)]
    pub no_start: bool,
    /// Only show the steps
    #[arg(long)]
    pub dry_run: bool,
    /// Program and arguments, for runtimes that take them
    #[arg(last = true, value_name = "COMMAND", conflicts_with = "file")]
    pub argv: Vec<String>,
    /// Limits.
    #[command(flatten)]
    pub limits: LimitArgs,
}

/// What a tenant may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EgressDefault {
    /// What is listed
    Deny,
    /// What is listed, and the rest when somebody has answered
    Ask,
    /// Nothing
    Off,
}

/// Limits on the command line.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitArgs {
    /// Most memory, for example 1536M (MemoryMax=)
    #[arg(long, value_name = "SIZE", value_parser = ByteSize::parse, allow_hyphen_values = true, conflicts_with = "file")]
    pub memory_max: Option<ByteSize>,
    /// Memory above which it is slowed down (MemoryHigh=)
    #[arg(long, value_name = "SIZE", value_parser = ByteSize::parse, allow_hyphen_values = true, conflicts_with = "file")]
    pub memory_high: Option<ByteSize>,
    /// Most swap (MemorySwapMax=)
    #[arg(long, value_name = "SIZE", value_parser = ByteSize::parse, allow_hyphen_values = true, conflicts_with = "file")]
    pub swap_max: Option<ByteSize>,
    /// Most processor time, in per cent of one processor, for example 150% (CPUQuota=)
    #[arg(long, value_name = "PERCENT", value_parser = CpuQuota::parse, allow_hyphen_values = true, conflicts_with = "file")]
    pub cpu_quota: Option<CpuQuota>,
    /// Share of processor time under load, 1 to 10000 (CPUWeight=)
    #[arg(long, value_name = "WEIGHT", value_parser = value::number, allow_hyphen_values = true, conflicts_with = "file")]
    pub cpu_weight: Option<u64>,
    /// Most processes and threads (TasksMax=)
    #[arg(long, value_name = "NUMBER", value_parser = value::number, allow_hyphen_values = true, conflicts_with = "file")]
    pub tasks_max: Option<u64>,
    /// Share of disk bandwidth under load, 1 to 10000 (IOWeight=)
    #[arg(long, value_name = "WEIGHT", value_parser = value::number, allow_hyphen_values = true, conflicts_with = "file")]
    pub io_weight: Option<u64>,
    /// Most disk space for its data (project quota)
    #[arg(long, value_name = "SIZE", value_parser = ByteSize::parse, allow_hyphen_values = true, conflicts_with = "file")]
    pub disk_max: Option<ByteSize>,
}

impl LimitArgs {
    /// The limits as a spec holds them.
    pub fn limits(&self) -> Limits {
        Limits {
            memory_max: self.memory_max,
            memory_high: self.memory_high,
            memory_swap_max: self.swap_max,
            cpu_quota: self.cpu_quota,
            cpu_weight: self.cpu_weight,
            tasks_max: self.tasks_max,
            io_weight: self.io_weight,
            disk_max: self.disk_max,
        }
    }
}
