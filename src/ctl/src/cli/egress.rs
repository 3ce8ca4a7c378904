//! Arguments of `egress …`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

const CHECK_EXAMPLES: &str = "\
Examples:
  tenantctl egress check policy.yaml
  tenantctl egress check /usr/share/tenantd/policies/presets/*.yaml";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  tenantctl egress explain policy.yaml --host api.github.com --binary /usr/bin/curl
  tenantctl egress explain policy.yaml --host api.github.com --method POST --path /user/repos
  tenantctl egress explain a.yaml b.yaml --host db.example.org --port 5432 --address 10.20.0.7";

/// What to do with egress policies.
#[derive(Debug, Subcommand)]
pub enum EgressVerb {
    /// Check policy documents; needs no daemon and no privilege
    ///
    /// A document is OpenShell's, version 1. Everything wrong with it is said as FILE:LINE:COLUMN: WHAT, a field that is not enforced
    /// too. Notices say where a document is read more strictly than it was written, and refuse nothing.
    #[command(after_help = CHECK_EXAMPLES)]
    Check {
        /// Policy documents; - for standard input
        #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
        files: Vec<PathBuf>,
    },
    /// Say what a policy decides about a connection or request, and by which rule; needs no daemon and no privilege
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(QuestionArgs),
}

/// Arguments of `egress explain`.
#[derive(Debug, Args)]
pub struct QuestionArgs {
    /// Policy documents; what one allows adds to the others, and a deny rule of any wins
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,
    /// Host as a program would name it
    #[arg(long)]
    pub host: String,
    /// TCP port
    #[arg(long, default_value_t = 443, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,
    /// Address that the host resolves to
    #[arg(long)]
    pub address: Option<IpAddr>,
    /// Executable that connects, then its ancestors
    #[arg(long = "binary", value_name = "PATH", value_hint = ValueHint::ExecutablePath)]
    pub binaries: Vec<String>,
    /// Method of a request, or WEBSOCKET_TEXT for a message on a WebSocket
    #[arg(long, requires = "path")]
    pub method: Option<String>,
    /// Path and query of a request, as in its first line
    #[arg(long, requires = "method")]
    pub path: Option<String>,
    /// The request asks to become a WebSocket
    #[arg(long, requires = "method")]
    pub upgrade: bool,
}
