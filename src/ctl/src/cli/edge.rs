//! Arguments of `edge …`, `token …` and `login`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand, ValueHint};
use clap_complete::ArgValueCandidates;
use model::{Role, TenantId};

use super::value;
use crate::complete;

const ENABLE_EXAMPLES: &str = "\
Examples:
  tenantctl edge enable --domain agents.example.org
  tenantctl edge enable --certificate fullchain.pem --key privkey.pem
  tenantctl edge enable --acme-contact admin@example.org --acme-terms-agreed";

const ISSUE_EXAMPLES: &str = "\
Examples:
  tenantctl token issue acme --role operator --ttl 1h
  TOKEN=$(tenantctl token issue acme --role viewer --subject dashboard)";

const REVOKE_EXAMPLES: &str = "\
Examples:
  tenantctl token revoke --jti 5f0c0de0aa11bb22cc33dd44ee55ff66
  tenantctl token revoke --subject alice@example.org
  tenantctl token revoke --tenant acme";

/// What to do with the edge.
#[derive(Debug, Subcommand)]
pub enum EdgeVerb {
    /// Open the edge: each tenant is at https://NAME.DOMAIN/
    ///
    /// The domain is written into /etc/tenantd/edge.toml, where everything else about the edge can be set; comments there are kept.
    /// Without a certificate a self-signed one is made, which browsers warn of. All names below the domain have to lead to this host.
    /// With --acme-contact each name gets one of its own from an authority, when it is first asked for; port 80 has to be reachable.
    #[command(after_help = ENABLE_EXAMPLES)]
    Enable(EnableArgs),
    /// Close the edge; settings, keys, revocations and the certificate stay
    Disable {
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// Show the edge
    ///
    /// Ends with 0 when it listens, with 3 when it does not.
    Status,
    /// Check the settings of the edge; needs no daemon and no privilege
    ///
    /// Ends with 78 when they are wrong, and says where.
    Check {
        /// The file; without one, /etc/tenantd/edge.toml
        #[arg(value_hint = ValueHint::FilePath)]
        file: Option<PathBuf>,
    },
    /// Put the settings in /etc/tenantd/edge.toml in force; wrong ones change nothing
    Reload,
    /// Sign tokens with a new key; what the old one signed stays valid until it expires
    RotateKey {
        /// Make everything void that older keys signed
        #[arg(long)]
        now: bool,
    },
}

/// Arguments of `edge enable`.
#[derive(Debug, Args)]
pub struct EnableArgs {
    /// Domain of which each tenant has a name, for example agents.example.org
    #[arg(long)]
    pub domain: Option<String>,
    /// Certificate chain for the domain and all names below it, PEM
    #[arg(long, value_name = "FILE", requires = "key", value_hint = ValueHint::FilePath)]
    pub certificate: Option<PathBuf>,
    /// Private key of the certificate, PEM without a passphrase
    #[arg(long, value_name = "FILE", requires = "certificate", value_hint = ValueHint::FilePath)]
    pub key: Option<PathBuf>,
    /// Make a new self-signed certificate in the place of the one that is there
    #[arg(long, conflicts_with = "certificate")]
    pub self_signed: bool,
    /// Order a certificate for each name by ACME; the authority writes to this address
    #[arg(long, value_name = "MAIL", requires = "acme_terms_agreed")]
    pub acme_contact: Option<String>,
    /// You agree to the terms of service of the authority
    #[arg(long, requires = "acme_contact")]
    pub acme_terms_agreed: bool,
    /// Directory of the authority; without it, that in the settings, or Let's Encrypt's
    #[arg(long, value_name = "URL", requires = "acme_contact", value_hint = ValueHint::Url)]
    pub acme_directory: Option<String>,
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
}

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub enum TokenVerb {
    /// Issue a token for a tenant: who has it may come in with it
    ///
    /// The token is printed on standard output and kept nowhere. Programs send it as "Authorization: Bearer TOKEN", or as the password
    /// in an address: wss://x:TOKEN@NAME.DOMAIN/
    #[command(after_help = ISSUE_EXAMPLES)]
    Issue {
        /// Name of the tenant
        #[arg(add = ArgValueCandidates::new(complete::tenants))]
        tenant: TenantId,
        /// As what: viewer, operator or owner ("tenantctl roles")
        #[arg(long, add = ArgValueCandidates::new(complete::roles))]
        role: Role,
        /// To whom, for the access log and for revoking; without it, the user who asks
        #[arg(long)]
        subject: Option<String>,
        /// How long it is valid: 90s, 30m, 24h at most
        #[arg(long, value_name = "TIME", default_value = "1h", value_parser = value::ttl)]
        ttl: u32,
    },
    /// Revoke what was issued until now; open connections end within a second
    #[command(after_help = REVOKE_EXAMPLES, group(ArgGroup::new("what").required(true)))]
    Revoke {
        /// One token or login, by the jti that was printed when it was issued
        #[arg(long, group = "what")]
        jti: Option<String>,
        /// Everything of one subject, at every tenant
        #[arg(long, group = "what")]
        subject: Option<String>,
        /// Everything for one tenant
        #[arg(long, group = "what", add = ArgValueCandidates::new(complete::tenants))]
        tenant: Option<TenantId>,
    },
}

/// Arguments of `login`.
#[derive(Debug, Args)]
pub struct LoginArgs {
    /// Name of the tenant
    #[arg(add = ArgValueCandidates::new(complete::tenants))]
    pub tenant: TenantId,
    /// As what: viewer, operator or owner ("tenantctl roles")
    #[arg(long, default_value = "owner", add = ArgValueCandidates::new(complete::roles))]
    pub role: Role,
    /// Who signs in, for the access log and for revoking; without it, the user who asks
    #[arg(long)]
    pub subject: Option<String>,
}
