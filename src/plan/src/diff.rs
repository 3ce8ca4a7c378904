//! From two worlds to a plan: what to do, in which order, and nothing left to choose.

use std::fmt;

use model::{Key, Kind, Resource, World};
use serde::{Deserialize, Serialize};

/// One step. Each is idempotent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub enum Op {
    /// Make what is not there.
    Make {
        /// What.
        resource: Resource,
    },
    /// Make what is there like this.
    Change {
        /// What it shall be.
        resource: Resource,
    },
    /// Remove what is there.
    Remove {
        /// What was observed.
        resource: Resource,
    },
    /// Restart a running unit, because something it reads only at its start has changed.
    Restart {
        /// Unit name.
        unit: String,
    },
}

impl Op {
    /// The key of the resource this step touches.
    pub fn key(&self) -> Key {
        match self {
            Op::Make { resource } | Op::Change { resource } | Op::Remove { resource } => resource.key(),
            Op::Restart { unit } => Key { kind: Kind::Unit, name: unit.clone() },
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::Make { resource } => write!(f, "+ {}{}", resource.key(), Detail(resource)),
            Op::Change { resource } => write!(f, "~ {}{}", resource.key(), Detail(resource)),
            Op::Remove { resource } => write!(f, "- {}", resource.key()),
            Op::Restart { unit } => write!(f, "! restart {unit}"),
        }
    }
}

struct Detail<'a>(&'a Resource);

impl fmt::Display for Detail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Resource::Account(account) => write!(f, " uid={}", account.uid),
            Resource::Directory { owner, mode, .. } => write!(f, " {}:{} {mode:04o}", owner.uid, owner.gid),
            Resource::Quota { project, bytes, .. } => write!(f, " project={project} bytes={bytes}"),
            Resource::File { owner, mode, content, .. } => {
                let shown = if content.is_sensitive() { " sensitive" } else { "" };
                write!(f, " {}:{} {mode:04o} {} bytes{shown}", owner.uid, owner.gid, content.bytes().len())
            }
            Resource::Link { target, .. } => write!(f, " -> {}", target.display()),
            Resource::Slice { properties, .. } => {
                for (name, model::PropertyValue::U64(value)) in properties {
                    write!(f, " {name}={value}")?;
                }
                Ok(())
            }
            Resource::Enablement { .. } | Resource::Unit { .. } => Ok(()),
        }
    }
}

/// An ordered list of steps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The steps.
    pub ops: Vec<Op>,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ops.is_empty() {
            return writeln!(f, "nothing to do");
        }
        self.ops.iter().try_for_each(|op| writeln!(f, "{op}"))
    }
}

/// The steps that turn `observed` into `wanted`.
///
/// Removals come first and in reverse order of making, so a unit stops before anything that fences it goes; then makes
/// and changes in order, so a unit starts after everything that fences it. A unit whose account, directories or quota
/// change is stopped for it.
pub fn plan(wanted: &World, observed: &World) -> Plan {
    let mut ops: Vec<Op> = Vec::new();
    let changed = |key: &Key, resource: &Resource| observed.get(key).is_some_and(|found| found != resource);
    let pull_down = wanted.iter().any(|(key, resource)| key.kind <= Kind::Quota && changed(key, resource))
        || observed.iter().any(|(key, _)| key.kind <= Kind::Quota && wanted.get(key).is_none());
    let mut stopped = Vec::new();
    for (key, resource) in observed.iter().rev() {
        let running_on_moving_ground = key.kind == Kind::Unit && pull_down;
        if wanted.get(key).is_none() || running_on_moving_ground {
            ops.push(Op::Remove { resource: resource.clone() });
            stopped.push(key.clone());
        }
    }
    let mut stale = false;
    for (key, resource) in wanted.iter() {
        match observed.get(key) {
            Some(found) if found == resource && !stopped.contains(key) => {}
            Some(_) if !stopped.contains(key) => {
                stale |= resource.needs_restart();
                ops.push(Op::Change { resource: resource.clone() });
            }
            Some(_) | None => {
                stale |= resource.needs_restart();
                ops.push(Op::Make { resource: resource.clone() });
            }
        }
    }
    stale |= observed.iter().any(|(key, resource)| resource.needs_restart() && wanted.get(key).is_none());
    if stale {
        let running =
            |key: &Key| key.kind == Kind::Unit && observed.get(key).is_some() && !stopped.contains(key);
        ops.extend(
            wanted
                .iter()
                .filter(|(key, _)| running(key))
                .map(|(key, _)| Op::Restart { unit: key.name.clone() }),
        );
    }
    Plan { ops }
}
