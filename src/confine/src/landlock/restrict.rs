//! Putting a ruleset in force, all of it or nothing.

use std::io;
use std::path::Path;

use landlock::{
    Access, AccessFs, AccessNet, CompatLevel, Compatible, NetPort, PathBeneath, PathFd, PathFdError, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use model::{LandlockRule, LandlockRuleset};
use thiserror::Error;

use super::{abi, kernel_of, rights};

/// A ruleset is not in force.
#[derive(Debug, Error)]
pub enum LandlockError {
    /// The kernel is older than the one the ruleset was compiled on.
    #[error("landlock: the ruleset is pinned at ABI {pinned}, this kernel has {}", lacks(*.pinned, *.kernel))]
    TooOld {
        /// ABI of the ruleset.
        pinned: u32,
        /// ABI of the kernel; 0: none.
        kernel: u32,
    },
    /// The confinement file is not one that this program could have compiled.
    #[error("landlock: {0} (run \"tenantctl repair\" for this tenant)")]
    Malformed(String),
    /// A path that must be there cannot be opened.
    #[error("landlock: {0} (the unit must bind it into the cell, or the policy must call it optional)")]
    Path(#[source] PathFdError),
    /// The kernel refused a part of the ruleset.
    #[error("landlock: {what}: {source}")]
    Kernel {
        /// Which part.
        what: String,
        /// What the kernel said.
        #[source]
        source: Box<RulesetError>,
    },
    /// The proof failed: the canary must open before and must not open after.
    #[error("landlock: the canary {path} {how}; refusing to go on")]
    Unproven {
        /// The canary.
        path: String,
        /// What happened.
        how: String,
    },
}

fn lacks(pinned: u32, kernel: u32) -> String {
    let wanted = kernel_of(pinned).unwrap_or("a newer one");
    match kernel {
        0 => format!("none (boot Linux {wanted} or later, with landlock in lsm=)"),
        kernel => format!(
            "ABI {kernel} (boot Linux {wanted} or later, or run \"tenantctl repair\" for this tenant)"
        ),
    }
}

/// Restricts this thread and all it starts to the ruleset, and proves it on `canary`: a file that every user may read
/// and no rule grants. Returns the number of rules in force.
pub fn restrict(ruleset: &LandlockRuleset, canary: &Path) -> Result<usize, LandlockError> {
    let kernel = abi();
    if kernel < ruleset.abi {
        return Err(LandlockError::TooOld { pinned: ruleset.abi, kernel });
    }
    let unproven = |how: String| LandlockError::Unproven { path: canary.display().to_string(), how };
    if let Err(error) = std::fs::File::open(canary) {
        return Err(unproven(format!("cannot be opened even before: {error}")));
    }
    let (created, rules) = add_rules(create(ruleset)?, ruleset)?;
    let status = created.restrict_self().map_err(kernel_refused("cannot restrict this process"))?;
    if status.ruleset != RulesetStatus::FullyEnforced || !status.no_new_privs {
        return Err(LandlockError::Malformed(format!("the ruleset is in force only in part ({status:?})")));
    }
    match std::fs::File::open(canary) {
        Err(refused) if refused.kind() == io::ErrorKind::PermissionDenied => Ok(rules),
        Err(other) => Err(unproven(format!("answers \"{other}\" instead of being refused"))),
        Ok(_) => Err(unproven("can still be opened".to_owned())),
    }
}

fn create(ruleset: &LandlockRuleset) -> Result<RulesetCreated, LandlockError> {
    let number = ruleset.abi;
    let abi = rights::abi(number)
        .ok_or_else(|| LandlockError::Malformed(format!("cannot pin a ruleset at ABI {number}")))?;
    let mut wanted = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(abi))
        .map_err(kernel_refused("cannot handle file rights"))?;
    if ruleset.bind_tcp.is_some() {
        wanted =
            wanted.handle_access(AccessNet::BindTcp).map_err(kernel_refused("cannot handle TCP bind"))?;
    }
    let scopes = Scope::from_all(abi);
    if !scopes.is_empty() {
        wanted = wanted.scope(scopes).map_err(kernel_refused("cannot scope sockets and signals"))?;
    }
    wanted.create().map_err(kernel_refused("cannot create a ruleset"))
}

fn add_rules(
    mut created: RulesetCreated,
    ruleset: &LandlockRuleset,
) -> Result<(RulesetCreated, usize), LandlockError> {
    let mut count = 0;
    for rule in &ruleset.rules {
        let Some(beneath) = open(rule)? else { continue };
        let what = format!("cannot grant {} beneath {}", rule.access.join(", "), rule.path);
        created = created.add_rule(beneath).map_err(kernel_refused(what))?;
        count += 1;
    }
    for port in ruleset.bind_tcp.iter().flatten() {
        let what = format!("cannot grant TCP port {port}");
        created = created.add_rule(NetPort::new(*port, AccessNet::BindTcp)).map_err(kernel_refused(what))?;
        count += 1;
    }
    Ok((created, count))
}

fn open(rule: &LandlockRule) -> Result<Option<PathBeneath<PathFd>>, LandlockError> {
    let access = rights::set(&rule.access).map_err(|name| {
        LandlockError::Malformed(format!("there is no right \"{name}\" (rule for {})", rule.path))
    })?;
    match PathFd::new(&rule.path) {
        Ok(descriptor) => Ok(Some(PathBeneath::new(descriptor, access))),
        Err(error) if rule.optional && is_absent(&error) => Ok(None),
        Err(error) => Err(LandlockError::Path(error)),
    }
}

/// Missing, and not merely out of reach: an optional rule must not hide a fault.
fn is_absent(error: &PathFdError) -> bool {
    match error {
        PathFdError::OpenCall { source, .. } => source.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}

fn kernel_refused(what: impl Into<String>) -> impl FnOnce(RulesetError) -> LandlockError {
    let what = what.into();
    move |source| LandlockError::Kernel { what, source: Box::new(source) }
}
