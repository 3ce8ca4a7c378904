//! Arguments of `approvals …`.

use clap::{Args, Subcommand};
use clap_complete::ArgValueCandidates;
use model::TenantId;

use super::value;
use crate::complete;

const APPROVE_EXAMPLES: &str = "\
Examples:
  tenantctl approvals approve 12-3f9a2b1c4d5e
  tenantctl approvals approve 12-3f9a2b1c4d5e --once
  tenantctl approvals approve 12-3f9a2b1c4d5e --for 8h --because 'release of Friday'
  tenantctl approvals deny 12-3f9a2b1c4d5e --until 2026-12-31";

/// What to do with questions and answers.
#[derive(Debug, Subcommand)]
pub enum ApprovalsVerb {
    /// List questions that wait, and those that nobody answered in time
    List {
        /// Name of the tenant; without it, all
        #[arg(add = ArgValueCandidates::new(complete::tenants), required_if_eq("answers", "true"))]
        tenant: Option<TenantId>,
        /// List the answers that hold instead
        #[arg(long)]
        answers: bool,
    },
    /// Show questions as they come, with the commands that answer them
    Watch {
        /// Name of the tenant; without it, all
        #[arg(add = ArgValueCandidates::new(complete::tenants))]
        tenant: Option<TenantId>,
    },
    /// Allow what was asked, and no more
    ///
    /// Without a time it holds as long as the tenant's profile says. A request that has changed since it was shown is refused.
    #[command(after_help = APPROVE_EXAMPLES)]
    Approve(AnswerArgs),
    /// Refuse what was asked; with a time it is not asked again until then
    Deny(AnswerArgs),
    /// Take an answer back
    Revoke {
        /// Name of the tenant
        #[arg(add = ArgValueCandidates::new(complete::tenants))]
        tenant: TenantId,
        /// Number of the answer, as in "approvals list TENANT --answers"
        number: u64,
    },
}

/// An answer.
#[derive(Debug, Args)]
pub struct AnswerArgs {
    /// The request as it is listed: its number, a dash, and what tells whether it has changed
    #[arg(value_name = "REQUEST", value_parser = value::request)]
    pub request: (u64, String),
    /// For those who wait now
    #[arg(long, conflicts_with_all = ["span", "until", "always"])]
    pub once: bool,
    /// For so long: 15m, 8h, 30d
    #[arg(long = "for", value_name = "TIME", value_parser = value::span, conflicts_with_all = ["until", "always"])]
    pub span: Option<u64>,
    /// Until then: 2026-12-31 or 2026-12-31T18:00:00Z
    #[arg(long, value_name = "DATE", value_parser = value::moment, conflicts_with = "always")]
    pub until: Option<u64>,
    /// For ever
    #[arg(long)]
    pub always: bool,
    /// Why, for those who look later
    #[arg(long, value_name = "REASON", default_value = "")]
    pub because: String,
}
