//! A tenant as the layers see it: valid spec, allocation, and its runtime rendered for it.

use std::collections::BTreeMap;

use model::edge::RoleRights;
use model::egress::{ApprovalsFile, EgressFile};
use model::{Allocation, BpfFilter, LandlockRuleset, Limits, Paths, Spec, TenantId};

/// One tenant with everything that a layer may ask.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// The spec, checked.
    pub spec: Spec,
    /// The spec as it lies on disk, comments and all.
    pub spec_text: String,
    /// What tenantd gave it.
    pub allocation: Allocation,
    /// Limits in force: the spec's, then the runtime's, then the host's.
    pub limits: Limits,
    /// Its runtime, rendered.
    pub gateway: Gateway,
    /// Landlock ruleset compiled from the runtime's profile for this kernel.
    pub landlock: LandlockRuleset,
    /// Seccomp filters compiled from the runtime's policy.
    pub seccomp: Vec<BpfFilter>,
    /// What its egress proxy is given; nothing for a tenant without one.
    pub egress: Option<Egress>,
    /// Where things lie.
    pub paths: Paths,
}

impl Tenant {
    /// The identifier.
    pub fn id(&self) -> &TenantId {
        &self.spec.id
    }
}

/// What a tenant's egress proxy is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Egress {
    /// Policy, secrets' places, providers.
    pub file: EgressFile,
    /// What was approved.
    pub approvals: ApprovalsFile,
    /// Certificate of the authority by which the proxy speaks for others, PEM; nothing before it was made.
    pub authority: Option<String>,
}

/// A runtime rendered for one tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// Runtime name.
    pub runtime: String,
    /// Installed version, or nothing for a runtime that installs nothing.
    pub version: Option<String>,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// The whole environment.
    pub environment: BTreeMap<String, String>,
    /// Configuration file: name and text; the text holds the gateway's secret.
    pub config: Option<(String, String)>,
    /// Port it listens on.
    pub port: u16,
    /// Path of the start-up check.
    pub startup_path: String,
    /// Text the answer must contain.
    pub startup_contains: String,
    /// Seconds until a start counts as failed.
    pub startup_timeout_sec: u32,
    /// Name of the request header that tells it who comes through the edge.
    pub identity_header: String,
    /// Name of the request header that carries a role's scopes.
    pub scopes_header: Option<String>,
    /// Who may come in through the edge, and what they may do.
    pub roles: Vec<RoleRights>,
}
