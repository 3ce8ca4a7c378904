//! What the layers ask for, slot by slot. Merging commutes: two layers may ask for the same, but not for different things.

use std::collections::BTreeMap;

use model::{BpfFilter, HostLink, LandlockRuleset, PropertyValue, Resource, Rlimit, Service};
use thiserror::Error;

/// One thing a layer asks for. Parts of one file or unit come from several layers and are put together at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A whole resource.
    Resource(Resource),
    /// What `tenant-exec` becomes.
    Program {
        /// Program and arguments.
        argv: Vec<String>,
        /// Working directory.
        directory: String,
    },
    /// One environment variable of the gateway.
    Environment {
        /// Name.
        name: String,
        /// Value.
        value: String,
    },
    /// The Landlock ruleset.
    Landlock(LandlockRuleset),
    /// The seccomp filters.
    Seccomp(Vec<BpfFilter>),
    /// One resource limit.
    Rlimit(Rlimit),
    /// The links and addresses.
    Link(HostLink),
    /// One service on the bridge address.
    Service(Service),
    /// Every connection that leaves the namespace goes to the proxy in it.
    Intercept,
    /// The gateway's port.
    GatewayPort(u16),
    /// One property of the slice.
    SliceProperty {
        /// Property name.
        name: String,
        /// Value.
        value: PropertyValue,
    },
    /// One file of the cell's `/etc`.
    Etc {
        /// Name below `/etc`.
        name: String,
        /// Content.
        text: String,
    },
}

impl Part {
    /// The slot this part fills; two parts with the same slot must be equal.
    pub fn slot(&self) -> String {
        match self {
            Part::Resource(resource) => resource.key().to_string(),
            Part::Program { .. } => "confinement program".into(),
            Part::Environment { name, .. } => format!("confinement environment {name}"),
            Part::Landlock(_) => "confinement landlock".into(),
            Part::Seccomp(_) => "confinement seccomp".into(),
            Part::Rlimit(limit) => format!("confinement rlimit {}", limit.resource),
            Part::Link(_) => "network link".into(),
            Part::Service(service) => format!("network service {service:?}"),
            Part::Intercept => "network intercept".into(),
            Part::GatewayPort(_) => "network port".into(),
            Part::SliceProperty { name, .. } => format!("slice property {name}"),
            Part::Etc { name, .. } => format!("etc {name}"),
        }
    }
}

/// Two layers that ask for different things in one slot.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("layers {first} and {second} disagree about {slot}: this is a fault of tenantd, please report it")]
pub struct Conflict {
    /// What they disagree about.
    pub slot: String,
    /// One layer; the two names are in alphabetical order, so that the message does not depend on who came first.
    pub first: &'static str,
    /// The other.
    pub second: &'static str,
}

/// The draft of one tenant: parts by slot, each with the layers that asked for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    layer: &'static str,
    parts: BTreeMap<String, (Part, Vec<&'static str>)>,
    conflict: Option<Conflict>,
}

impl Draft {
    /// An empty draft.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says which layer asks from here on.
    pub(crate) fn on_behalf_of(&mut self, layer: &'static str) {
        self.layer = layer;
    }

    /// Asks for a part. A disagreement is kept and reported by [`Draft::finish`]; the least one wins, so that the report
    /// does not depend on the order of the layers.
    pub fn ask(&mut self, part: Part) {
        let slot = part.slot();
        match self.parts.get_mut(&slot) {
            None => {
                self.parts.insert(slot, (part, vec![self.layer]));
            }
            Some((known, layers)) if *known == part => {
                if let Err(at) = layers.binary_search(&self.layer) {
                    layers.insert(at, self.layer);
                }
            }
            Some((_, layers)) => {
                let other = layers.first().copied().unwrap_or("?");
                let (first, second) =
                    if other < self.layer { (other, self.layer) } else { (self.layer, other) };
                let found = Conflict { slot, first, second };
                let earlier = self.conflict.take();
                self.conflict = Some(match earlier {
                    Some(known) if known.slot <= found.slot => known,
                    Some(_) | None => found,
                });
            }
        }
    }

    /// Asks for a whole resource.
    pub fn resource(&mut self, resource: Resource) {
        self.ask(Part::Resource(resource));
    }

    /// The parts by slot with the layers that asked, or the disagreement.
    pub fn finish(self) -> Result<BTreeMap<String, (Part, Vec<&'static str>)>, Conflict> {
        match self.conflict {
            Some(conflict) => Err(conflict),
            None => Ok(self.parts),
        }
    }
}
