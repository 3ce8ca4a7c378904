//! Carrying a plan out over any host: journal, perform, look again. "Applied" means *seen*.

use model::{Exit, TenantId, World};
use thiserror::Error;

use crate::diff::{Op, Plan, plan};

/// What of the host is looked at: one tenant's resources.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Whose.
    pub tenant: TenantId,
    /// uid of the account, where it is known: files are looked for by name, the account by both.
    pub uid: Option<u32>,
    /// What is wanted: every key in it is looked at, beside everything found under the tenant's own names.
    pub wanted: World,
}

/// A host that refused or failed: one sentence with object, cause and remedy, and how a program ends with it.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct HostError {
    /// The sentence.
    pub message: String,
    /// Exit code.
    pub exit: Exit,
    /// What lies beneath.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The effects. Two methods; a test double is a map with injected faults.
pub trait Host {
    /// What exists of a tenant.
    fn observe(&self, scope: &Scope) -> Result<World, HostError>;
    /// Carries one step out. Idempotent.
    fn perform(&mut self, op: &Op) -> Result<(), HostError>;
}

/// Where steps are written down before they run.
pub trait Journal {
    /// Says that step `number` of `total` is about to run. An error stops the work before the step.
    fn begin(&mut self, number: usize, total: usize, op: &Op) -> Result<(), HostError>;
}

/// Why a plan was not carried out.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// A step failed; the ones before it are done.
    #[error("tenant {tenant}: cannot carry out \"{op}\": {source}")]
    Step {
        /// Whose plan.
        tenant: TenantId,
        /// The step.
        op: String,
        /// The cause.
        source: HostError,
    },
    /// The host could not be looked at.
    #[error("tenant {tenant}: cannot look at the host: {source}")]
    Observe {
        /// Whose.
        tenant: TenantId,
        /// The cause.
        source: HostError,
    },
    /// Everything was carried out and still the host differs.
    #[error(
        "tenant {tenant}: after {rounds} rounds the host still differs ({left}): run \"tenantctl repair {tenant}\" and see \"journalctl -u tenantd\""
    )]
    Unsettled {
        /// Whose.
        tenant: TenantId,
        /// Rounds tried.
        rounds: u32,
        /// The first step that is left.
        left: String,
    },
}

impl ApplyError {
    /// Exit code of a program that ends with this error.
    pub fn exit(&self) -> Exit {
        match self {
            ApplyError::Step { source, .. } | ApplyError::Observe { source, .. } => source.exit,
            ApplyError::Unsettled { .. } => Exit::Os,
        }
    }
}

/// How often the host is looked at again before the work is given up.
const ROUNDS: u32 = 3;

/// Turns the host into `scope.wanted` and gives back the first plan, once the host has been seen to be so.
pub fn apply(host: &mut dyn Host, journal: &mut dyn Journal, scope: &Scope) -> Result<Plan, ApplyError> {
    let tenant = &scope.tenant;
    let look = |host: &dyn Host| {
        host.observe(scope).map_err(|source| ApplyError::Observe { tenant: tenant.clone(), source })
    };
    let first = plan(&scope.wanted, &look(host)?);
    let mut next = first.clone();
    for _ in 0..ROUNDS {
        for (number, op) in next.ops.iter().enumerate() {
            let failed = |source| ApplyError::Step { tenant: tenant.clone(), op: op.to_string(), source };
            journal.begin(number + 1, next.ops.len(), op).map_err(failed)?;
            host.perform(op).map_err(failed)?;
        }
        next = plan(&scope.wanted, &look(host)?);
        if next.is_empty() {
            return Ok(first);
        }
    }
    let left = next.ops.first().map(ToString::to_string).unwrap_or_default();
    Err(ApplyError::Unsettled { tenant: tenant.clone(), rounds: ROUNDS, left })
}
