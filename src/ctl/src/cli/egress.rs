//! Arguments of `egress …`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};
use clap_complete::ArgValueCandidates;
use model::TenantId;

use super::{ConsentArgs, value};
use crate::complete;

const CHECK_EXAMPLES: &str = "\
Examples:
  tenantctl egress check policy.yaml
  tenantctl egress check /usr/share/tenantd/policies/presets/*.yaml";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  tenantctl egress explain acme api.github.com --binary /usr/bin/curl
  tenantctl egress explain acme api.github.com POST /user/repos
  tenantctl egress explain acme db.example.org:5432 --address 10.20.0.7
  tenantctl egress explain --file a.yaml --file b.yaml api.github.com GET /zen";

const SET_EXAMPLES: &str = "\
Examples:
  tenantctl egress set acme --profile customers
  tenantctl egress set acme policy.yaml
  tenantctl egress set acme --clear
  tenantctl egress set acme --off";

const BIND_EXAMPLES: &str = "\
Examples:
  tenantctl egress bind acme github-token --to https://api.github.com/
  tenantctl egress bind acme telegram-token --to https://api.telegram.org/bot --in path";

/// What to do with egress.
#[derive(Debug, Subcommand)]
pub enum EgressVerb {
    /// List what a tenant may reach: every rule with where it came from and when it ends
    List {
        /// Name of the tenant
        #[arg(add = ArgValueCandidates::new(complete::tenants))]
        tenant: TenantId,
    },
    /// Say what the policy in force decides about a connection or request, and by which rule
    ///
    /// With --file the policy is that of these documents instead, which needs no daemon and no privilege.
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(QuestionArgs),
    /// Check policy documents; needs no daemon and no privilege
    ///
    /// A document is OpenShell's, version 1. Everything wrong with it is said as FILE:LINE:COLUMN: WHAT, a field that is not enforced
    /// too. Notes say where a document means something else here than where it comes from, and refuse nothing. Ends with 0 if all
    /// documents are sound and with 65 if one is not; where one could not be read, with the code for that (66: there is no such file).
    #[command(after_help = CHECK_EXAMPLES)]
    Check {
        /// Policy documents; - for standard input
        #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
        files: Vec<PathBuf>,
    },
    /// List, add and remove presets of a tenant
    #[command(
        subcommand,
        disable_help_subcommand = true,
        subcommand_value_name = "VERB",
        subcommand_help_heading = "Verbs"
    )]
    Preset(PresetVerb),
    /// Give a tenant a profile, a policy document of its own, or no egress at all
    #[command(after_help = SET_EXAMPLES)]
    Set(EgressSetArgs),
    /// Note for a while what a tenant tries, and propose the narrowest policy that allows it
    ///
    /// Nothing is allowed by learning: review the document, then give it with "tenantctl egress set".
    Learn(LearnArgs),
    /// Let the proxy put a secret into requests to one place
    ///
    /// The tenant writes tenantd:secret:NAME where the secret belongs, and never has its value.
    #[command(after_help = BIND_EXAMPLES)]
    Bind(BindArgs),
    /// No longer put a secret into requests
    Unbind(UnbindArgs),
}

/// Arguments of `egress explain`.
#[derive(Debug, Args)]
#[command(
    override_usage = "tenantctl egress explain [OPTIONS] TENANT HOST[:PORT] [METHOD PATH]\n       tenantctl egress explain [OPTIONS] --file FILE HOST[:PORT] [METHOD PATH]"
)]
pub struct QuestionArgs {
    /// Tenant (not with --file), host with or without a port (443), and for a request its method (WEBSOCKET_TEXT for a message on a
    /// WebSocket) and its path with query
    #[arg(required = true, value_name = "WORD", num_args = 1..=4)]
    pub words: Vec<String>,
    /// Decide by this policy document; may be given again: what one allows adds to the others, and a deny rule of any wins
    #[arg(long = "file", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,
    /// Address that the host resolves to
    #[arg(long)]
    pub address: Option<IpAddr>,
    /// Executable that connects; given again, its ancestors
    #[arg(long = "binary", value_name = "PATH", value_hint = ValueHint::ExecutablePath)]
    pub binaries: Vec<String>,
    /// The request asks to become a WebSocket
    #[arg(long)]
    pub upgrade: bool,
    /// Method of the MCP or JSON-RPC call in the request's body, such as tools/call
    #[arg(long, value_name = "METHOD")]
    pub call: Option<String>,
    /// Tool that it calls
    #[arg(long, value_name = "NAME", requires = "call")]
    pub tool: Option<String>,
}

/// What to do with presets.
#[derive(Debug, Subcommand)]
pub enum PresetVerb {
    /// List the presets that a tenant's profile offers, with their risks
    List {
        /// Name of the tenant
        #[arg(add = ArgValueCandidates::new(complete::tenants))]
        tenant: TenantId,
    },
    /// Add a preset; shows what that allows, and asks
    Add(PresetArgs),
    /// Take a preset away
    Remove(PresetArgs),
}

/// A preset of a tenant.
#[derive(Debug, Args)]
pub struct PresetArgs {
    /// Name of the tenant
    #[arg(add = ArgValueCandidates::new(complete::tenants))]
    pub tenant: TenantId,
    /// Name of the preset
    #[arg(add = ArgValueCandidates::new(complete::presets))]
    pub preset: String,
    /// What becomes of a change that allows more than before.
    #[command(flatten)]
    pub consent: ConsentArgs,
}

/// Arguments of `egress set`.
#[derive(Debug, Args)]
pub struct EgressSetArgs {
    /// Name of the tenant
    #[arg(add = ArgValueCandidates::new(complete::tenants))]
    pub tenant: TenantId,
    /// Policy document for this tenant, in the place of the one it has; - for standard input
    #[arg(value_hint = ValueHint::FilePath, required_unless_present_any = ["clear", "profile", "default", "off"])]
    pub file: Option<PathBuf>,
    /// Take its own policy document away
    #[arg(long, conflicts_with = "file")]
    pub clear: bool,
    /// Profile: which presets there are, what becomes of the rest, how long answers hold
    #[arg(long, add = ArgValueCandidates::new(complete::profiles))]
    pub profile: Option<String>,
    /// What becomes of a destination that no rule names
    #[arg(long, value_enum)]
    pub default: Option<Unlisted>,
    /// Take away everything: the tenant reaches nothing any more
    #[arg(long, conflicts_with_all = ["file", "clear", "profile", "default"])]
    pub off: bool,
    /// What becomes of a change that allows more than before.
    #[command(flatten)]
    pub consent: ConsentArgs,
}

/// What becomes of a destination that no rule names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Unlisted {
    /// Refuse
    Deny,
    /// Hold it until somebody has answered
    Ask,
}

/// Arguments of `egress learn`.
#[derive(Debug, Args)]
pub struct LearnArgs {
    /// Name of the tenant
    #[arg(add = ArgValueCandidates::new(complete::tenants))]
    pub tenant: TenantId,
    /// Begin anew, for so long: 15m, 1h, 7d
    #[arg(long = "for", value_name = "TIME", value_parser = value::span, required_unless_present_any = ["show", "stop"], conflicts_with_all = ["show", "stop"])]
    pub span: Option<u64>,
    /// Show what was noted, and the policy that is proposed
    #[arg(long, conflicts_with = "stop")]
    pub show: bool,
    /// End it; what was noted stays
    #[arg(long)]
    pub stop: bool,
}

/// Arguments of `egress bind`.
#[derive(Debug, Args)]
pub struct BindArgs {
    /// Name of the tenant
    #[arg(add = ArgValueCandidates::new(complete::tenants))]
    pub tenant: TenantId,
    /// Name of the secret
    pub secret: String,
    /// Where to: this host and port, this path and everything below it
    #[arg(long, value_name = "https://HOST[:PORT]/PATH")]
    pub to: String,
    /// Where in a request: header, query, path, body, websocket
    #[arg(long = "in", value_name = "PLACES", value_delimiter = ',', default_value = "header", value_parser = value::place)]
    pub places: Vec<model::egress::SecretPlace>,
    /// What becomes of a change that allows more than before.
    #[command(flatten)]
    pub consent: ConsentArgs,
}

/// Arguments of `egress unbind`.
#[derive(Debug, Args)]
pub struct UnbindArgs {
    /// Name of the tenant
    #[arg(add = ArgValueCandidates::new(complete::tenants))]
    pub tenant: TenantId,
    /// Name of the secret
    pub secret: String,
    /// Only there; without it, everywhere
    #[arg(long, value_name = "https://HOST[:PORT]/PATH")]
    pub to: Option<String>,
    /// What becomes of a change that allows more than before.
    #[command(flatten)]
    pub consent: ConsentArgs,
}
