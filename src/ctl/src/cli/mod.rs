//! The command line: the one definition behind the parser, the help, the man pages and the completion.

mod approvals;
mod backup;
mod consent;
mod create;
mod edge;
mod egress;
mod inference;
mod runtime;
mod value;
mod vault;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueHint};
use clap_complete::ArgValueCandidates;
use model::TenantId;

pub use approvals::{AnswerArgs, ApprovalsVerb};
pub use backup::{BackupArgs, BackupVerb, RestoreArgs};
pub use consent::ConsentArgs;
pub use create::{CreateArgs, EgressDefault, LimitArgs};
pub use edge::{EdgeVerb, EnableArgs, LoginArgs, TokenVerb};
pub use egress::{
    BindArgs, EgressSetArgs, EgressVerb, LearnArgs, PresetArgs, PresetVerb, QuestionArgs, UnbindArgs,
    Unlisted,
};
pub use inference::{InferenceVerb, ProviderArgs};
pub use runtime::{InstallArgs, RuntimeVerb};
pub use vault::{RecoveryVerb, SecretArgs, SecretFor, SecretVerb, VaultVerb};

use crate::complete;

/// Create, run, inspect and delete isolated tenants
///
/// A tenant is one agent gateway with its own user, unit, network namespace and limits. tenantctl asks tenantd over
/// the system bus; check, plan, explain --file and doctor need no daemon. Whatever a tenant runs is an ordinary unit:
/// systemctl and journalctl work on tenant@NAME.service as well, with tenantd running or not.
#[derive(Debug, Parser)]
#[command(
    name = "tenantctl",
    version,
    disable_help_subcommand = true,
    max_term_width = 100,
    subcommand_value_name = "VERB",
    subcommand_help_heading = "Verbs"
)]
pub struct Cli {
    /// Print JSON with stable field names; errors too, on standard error
    #[arg(long, global = true)]
    pub json: bool,
    /// Print without colours (they are used on terminals only, and never when NO_COLOR is set)
    #[arg(long, global = true)]
    pub no_color: bool,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a tenant, enable it at boot and start it
    Create(Box<CreateArgs>),
    /// List all tenants
    List,
    /// Show what is wanted of a tenant and what was measured on it; without a name, the list
    ///
    /// Ends with 0 when the tenant is active and its gateway answers, with 3 when it does not run or does not answer
    /// (the status that systemctl uses), with 66 when there is no such tenant.
    Status {
        /// Name of the tenant
        #[arg(add = ArgValueCandidates::new(complete::tenants))]
        tenant: Option<TenantId>,
    },
    /// Start tenants; returns when their gateways answer
    Start(Tenants),
    /// Stop tenants
    Stop {
        /// Kill the processes instead of asking them to end
        #[arg(long)]
        now: bool,
        /// Which.
        #[command(flatten)]
        tenants: Tenants,
    },
    /// Stop tenants until somebody needs them: the next request through the edge starts them
    Sleep(Tenants),
    /// Restart tenants; returns when their gateways answer
    Restart(Tenants),
    /// Start tenants at boot
    Enable(Tenants),
    /// No longer start tenants at boot
    Disable(Tenants),
    /// Change a tenant's spec, key by key; comments in the file are kept
    #[command(after_help = SET_EXAMPLES)]
    Set(SetArgs),
    /// Create what is missing and change what differs, from spec files
    ///
    /// What the files allow their tenants beyond what is allowed now is shown first, with examples. On a terminal it is asked whether;
    /// elsewhere it is applied, or with --no-widening refused.
    #[command(after_help = APPLY_EXAMPLES)]
    Apply(ApplyArgs),
    /// Show the steps that would make a spec real; needs no daemon and no privilege
    #[command(after_help = PLAN_EXAMPLES)]
    Plan(PlanArgs),
    /// Check spec files and tenantd.toml; needs no daemon and no privilege
    Check {
        /// Files or directories; without any, everything below /etc/tenantd
        #[arg(value_hint = ValueHint::AnyPath)]
        files: Vec<PathBuf>,
    },
    /// Say which layer asked for what
    Explain(ExplainArgs),
    /// Show a tenant's journal: its gateway's messages and those of its network
    #[command(after_help = LOGS_EXAMPLES)]
    Logs {
        /// Name of the tenant
        #[arg(add = ArgValueCandidates::new(complete::tenants))]
        tenant: TenantId,
        /// Arguments for journalctl, for example -f, -n 50, --since today
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "JOURNALCTL ARGUMENT")]
        arguments: Vec<String>,
    },
    /// Run a command in a tenant's cell, under the confinement of its gateway
    ///
    /// The tenant need not run: in one that is stopped or has failed, to repair it, the command gets the tenant's network
    /// for as long as it runs. Its gateway is never started by this.
    #[command(after_help = EXEC_EXAMPLES)]
    Exec(ExecArgs),
    /// Make a tenant's objects on this host what its spec says
    Repair {
        /// Name of the tenant
        #[arg(add = ArgValueCandidates::new(complete::tenants))]
        tenant: TenantId,
        /// Only show the steps
        #[arg(long)]
        dry_run: bool,
        /// What becomes of a change that allows more than before.
        #[command(flatten)]
        consent: ConsentArgs,
    },
    /// Delete a tenant and, unless told to keep it, its data
    Delete(DeleteArgs),
    /// Back tenants up, sealed, and verify backups
    ///
    /// A backup holds a tenant's data, spec and secrets. It opens on this host, and on any other with a recovery copy of this host's
    /// key ("tenantctl vault recovery").
    Backup(BackupArgs),
    /// Restore a tenant from a backup
    ///
    /// A tenant that is not there is made as it was. One that is gets the data of the backup; its spec and secrets stay.
    Restore(RestoreArgs),
    /// Install, list, verify, pin and remove runtimes
    #[command(
        subcommand,
        disable_help_subcommand = true,
        subcommand_value_name = "VERB",
        subcommand_help_heading = "Verbs"
    )]
    Runtime(RuntimeVerb),
    /// Seal, list, rotate and remove secrets of tenants
    #[command(
        subcommand,
        disable_help_subcommand = true,
        subcommand_value_name = "VERB",
        subcommand_help_heading = "Verbs"
    )]
    Secret(SecretVerb),
    /// Look after the keys that seal them
    #[command(
        subcommand,
        disable_help_subcommand = true,
        subcommand_value_name = "VERB",
        subcommand_help_heading = "Verbs"
    )]
    Vault(VaultVerb),
    /// Open, close and look after the edge, by which tenants are reached from outside
    #[command(
        subcommand,
        disable_help_subcommand = true,
        subcommand_value_name = "VERB",
        subcommand_help_heading = "Verbs"
    )]
    Edge(EdgeVerb),
    /// Say and change what tenants may reach
    ///
    /// A tenant without egress reaches nothing. Every change shows what it allows beyond what was allowed before, and asks.
    #[command(
        subcommand,
        disable_help_subcommand = true,
        subcommand_value_name = "VERB",
        subcommand_help_heading = "Verbs"
    )]
    Egress(EgressVerb),
    /// See what tenants ask for, and answer
    #[command(
        subcommand,
        disable_help_subcommand = true,
        subcommand_value_name = "VERB",
        subcommand_help_heading = "Verbs"
    )]
    Approvals(ApprovalsVerb),
    /// Let tenants call models without having a provider's key
    #[command(
        subcommand,
        disable_help_subcommand = true,
        subcommand_value_name = "VERB",
        subcommand_help_heading = "Verbs"
    )]
    Inference(InferenceVerb),
    /// Show what tenants used of models
    Usage {
        /// Name of the tenant; without it, all
        #[arg(add = ArgValueCandidates::new(complete::tenants))]
        tenant: Option<TenantId>,
    },
    /// Issue and revoke tokens
    #[command(
        subcommand,
        disable_help_subcommand = true,
        subcommand_value_name = "VERB",
        subcommand_help_heading = "Verbs"
    )]
    Token(TokenVerb),
    /// Print a link that signs a browser in at a tenant, once
    Login(LoginArgs),
    /// Show what each role may do, for each runtime; needs no daemon
    Roles,
    /// Say what this host lacks and how to get it; needs no daemon
    ///
    /// Ends with 71 when something that tenants need is missing.
    Doctor,
}

/// One or more tenants.
#[derive(Debug, Args)]
pub struct Tenants {
    /// Names of tenants
    #[arg(required = true, value_name = "TENANT", add = ArgValueCandidates::new(complete::tenants))]
    pub tenants: Vec<TenantId>,
}

/// Arguments of `set`.
#[derive(Debug, Args)]
pub struct SetArgs {
    /// Name of the tenant
    #[arg(add = ArgValueCandidates::new(complete::tenants))]
    pub tenant: TenantId,
    /// What to change: version, description, port, origins, accept_missing, env.NAME, limits.NAME, settings.KEY; an
    /// empty value takes the key out, so that the default holds again
    #[arg(required = true, value_name = "KEY=VALUE", value_parser = value::assignment, add = ArgValueCandidates::new(complete::keys))]
    pub assignments: Vec<(String, String)>,
    /// Only show the steps
    #[arg(long)]
    pub dry_run: bool,
    /// What becomes of a change that allows more than before.
    #[command(flatten)]
    pub consent: ConsentArgs,
}

/// Arguments of `apply`.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// Spec file, directory of spec files, or - for standard input
    #[arg(short, long = "file", required = true, num_args = 1.., value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub files: Vec<PathBuf>,
    /// Only show the steps
    #[arg(long)]
    pub dry_run: bool,
    /// What becomes of a change that allows more than before.
    #[command(flatten)]
    pub consent: ConsentArgs,
}

/// Arguments of `plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Spec file
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// What the host offers, as JSON, instead of this host
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub facts: Option<PathBuf>,
    /// What exists, as JSON, instead of nothing
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub observed: Option<PathBuf>,
}

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Name of the tenant
    #[arg(required_unless_present = "file", conflicts_with = "file", add = ArgValueCandidates::new(complete::tenants))]
    pub tenant: Option<TenantId>,
    /// Explain a spec file instead of a tenant; needs no daemon
    #[arg(short, long, value_hint = ValueHint::FilePath)]
    pub file: Option<PathBuf>,
    /// With --file: what the host offers, as JSON, instead of this host
    #[arg(long, value_name = "FILE", requires = "file", value_hint = ValueHint::FilePath)]
    pub facts: Option<PathBuf>,
}

/// Arguments of `exec`.
#[derive(Debug, Args)]
pub struct ExecArgs {
    /// Name of the tenant
    #[arg(add = ArgValueCandidates::new(complete::tenants))]
    pub tenant: TenantId,
    /// Give the command a terminal of its own even if standard input or output is none here
    #[arg(long, conflicts_with = "no_tty")]
    pub tty: bool,
    /// Give the command pipes even on a terminal
    #[arg(long)]
    pub no_tty: bool,
    /// Program, looked up in the cell, and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// Arguments of `delete`.
#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// Name of the tenant
    #[arg(add = ArgValueCandidates::new(complete::tenants))]
    pub tenant: TenantId,
    /// Leave the tenant's data in /var/lib/tenants
    #[arg(long)]
    pub keep_data: bool,
    /// Destroy also what an earlier --keep-data left, and the tenant's backups in the directory that tenantd.toml names
    #[arg(long, conflicts_with = "keep_data")]
    pub destroy: bool,
    /// Delete data without asking; needed where there is no terminal to ask on
    #[arg(long)]
    pub yes: bool,
    /// Only show the steps
    #[arg(long)]
    pub dry_run: bool,
}

const SET_EXAMPLES: &str = "\
Examples:
  tenantctl set acme limits.memory_max=2G limits.cpu_quota=150%
  tenantctl set acme version=2026.9.6
  tenantctl set acme env.TZ=Europe/Berlin limits.disk_max=
  tenantctl set acme settings.models.mode=merge";

const APPLY_EXAMPLES: &str = "\
Examples:
  tenantctl apply -f acme.toml umbrella.toml
  tenantctl apply -f tenants/ --dry-run
  tenantctl apply -f tenants/ --no-widening
  ssh build cat acme.toml | tenantctl apply -f -";

const PLAN_EXAMPLES: &str = "\
Examples:
  tenantctl plan acme.toml
  tenantctl plan acme.toml --facts other-host.json";

const LOGS_EXAMPLES: &str = "\
Examples:
  tenantctl logs acme -f
  tenantctl logs acme -n 50 --no-pager
  tenantctl logs acme --since today -p warning";

const EXEC_EXAMPLES: &str = "\
Examples:
  tenantctl exec acme -- id
  tenantctl exec acme -- sh
  tenantctl exec acme -- cat state/notes.txt >notes.txt";
