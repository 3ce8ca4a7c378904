//! Arguments of `inference …`.

use clap::{Args, Subcommand};
use clap_complete::ArgValueCandidates;
use model::{Dollars, TenantId};

use super::{ConsentArgs, value};
use crate::complete;

const ADD_EXAMPLES: &str = "\
Examples:
  tenantctl inference add acme --provider anthropic --secret anthropic --model 'claude-*' --budget-day 5usd
  tenantctl inference add acme --provider local --api openai --url http://127.0.0.1:11434 --model '*'";

/// What to do with model providers.
#[derive(Debug, Subcommand)]
pub enum InferenceVerb {
    /// Let a tenant call models of a provider, at http://inference.internal/, without having its key
    #[command(after_help = ADD_EXAMPLES)]
    Add(Box<ProviderArgs>),
    /// List a tenant's providers and budgets
    List {
        /// Name of the tenant
        #[arg(add = ArgValueCandidates::new(complete::tenants))]
        tenant: TenantId,
    },
    /// Take a provider away
    Remove {
        /// Name of the tenant
        #[arg(add = ArgValueCandidates::new(complete::tenants))]
        tenant: TenantId,
        /// Name of the provider
        #[arg(long)]
        provider: String,
        /// What becomes of a change that allows more than before.
        #[command(flatten)]
        consent: ConsentArgs,
    },
}

/// A provider, and what may be spent. The budget is for all providers of the tenant together.
#[derive(Debug, Args)]
pub struct ProviderArgs {
    /// Name of the tenant
    #[arg(add = ArgValueCandidates::new(complete::tenants))]
    pub tenant: TenantId,
    /// Name of the provider: a known one, or any with --api and --url; one that is there is replaced
    #[arg(long)]
    pub provider: String,
    /// Name of the secret with its key
    #[arg(long)]
    pub secret: Option<String>,
    /// Models that may be used, with * for any characters; may be given again
    #[arg(long = "model", value_name = "PATTERN", required = true)]
    pub models: Vec<String>,
    /// What it speaks: openai or anthropic
    #[arg(long, value_parser = ["openai", "anthropic"])]
    pub api: Option<String>,
    /// Its address, up to what comes before /v1
    #[arg(long)]
    pub url: Option<String>,
    /// Money a day, for example 5usd
    #[arg(long, value_name = "AMOUNT", value_parser = value::dollars)]
    pub budget_day: Option<Dollars>,
    /// Money a month
    #[arg(long, value_name = "AMOUNT", value_parser = value::dollars)]
    pub budget_month: Option<Dollars>,
    /// Tokens a day
    #[arg(long, value_name = "NUMBER", value_parser = value::number)]
    pub tokens_day: Option<u64>,
    /// Tokens a month
    #[arg(long, value_name = "NUMBER", value_parser = value::number)]
    pub tokens_month: Option<u64>,
    /// Requests a minute
    #[arg(long, value_name = "NUMBER", value_parser = value::number)]
    pub requests_minute: Option<u64>,
    /// Tokens a minute
    #[arg(long, value_name = "NUMBER", value_parser = value::number)]
    pub tokens_minute: Option<u64>,
    /// When a day's or a month's is used up: stop, or only alert
    #[arg(long, value_parser = ["stop", "alert"])]
    pub when_spent: Option<String>,
    /// What becomes of a change that allows more than before.
    #[command(flatten)]
    pub consent: ConsentArgs,
}
