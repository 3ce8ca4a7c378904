//! The layers. Adding one is a file in this folder and a line in [`LAYERS`].

mod account;
mod data;
mod edge;
mod egress;
mod etc;
mod firewall;
mod landlock;
mod limits;
mod network;
mod runtime;
mod seccomp;
mod spec;
mod supervision;

use std::collections::BTreeMap;

use model::{
    CONFINEMENT_FORMAT, Confinement, Content, Facts, Feature, NETWORK_FORMAT, Network, Owner, Resource, World,
};
use serde::Serialize;

use crate::draft::{Draft, Part};
use crate::refusal::Refusal;
use crate::tenant::Tenant;

/// An isolation layer.
pub trait Layer: Sync {
    /// Its name, as in `tenantctl explain`.
    fn name(&self) -> &'static str;
    /// Asks for what it needs. Pure: no clock, no randomness, no files, no environment.
    fn draft(&self, tenant: &Tenant, facts: &Facts, out: &mut Draft) -> Result<(), Refusal>;
}

/// Every layer. The order means nothing.
pub static LAYERS: &[&dyn Layer] = &[
    &account::Account,
    &data::Data,
    &etc::Etc,
    &landlock::Landlock,
    &seccomp::Seccomp,
    &network::NetworkLinks,
    &firewall::Firewall,
    &edge::Edge,
    &egress::EgressProxy,
    &limits::ResourceLimits,
    &runtime::Runtime,
    &spec::SpecOnDisk,
    &supervision::Supervision,
];

/// Slots with the layers that asked for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct WantedParts(pub(crate) BTreeMap<String, Vec<&'static str>>);

/// What must exist for one tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The resources.
    pub world: World,
    /// Protections this tenant runs without, because its spec accepts that and the host lacks them.
    pub missing: Vec<Feature>,
    pub(crate) parts: WantedParts,
}

/// Asks every layer in `layers` and puts the answers together.
pub fn wanted(layers: &[&dyn Layer], tenant: &Tenant, facts: &Facts) -> Result<Wanted, Refusal> {
    let mut draft = Draft::new();
    let mut refusals = Vec::new();
    for layer in layers {
        draft.on_behalf_of(layer.name());
        if let Err(refusal) = layer.draft(tenant, facts, &mut draft) {
            refusals.push(refusal);
        }
    }
    // The least refusal, not the first: the report must not depend on the order of the layers.
    if let Some(refusal) = refusals.into_iter().min_by_key(ToString::to_string) {
        return Err(refusal);
    }
    let conflict = |conflict| Refusal::Conflict { tenant: tenant.id().clone(), conflict };
    let parts = draft.finish().map_err(conflict)?;
    let asked = parts.iter().map(|(slot, (_, layers))| (slot.clone(), layers.clone())).collect();
    let missing = Feature::ALL
        .into_iter()
        .filter(|f| !facts.has(*f) && tenant.spec.accept_missing.contains(f))
        .collect();
    let world = assemble_world(tenant, parts.into_values().map(|(part, _)| part))?;
    Ok(Wanted { world, missing, parts: WantedParts(asked) })
}

/// Puts the parts of shared files and units together.
fn assemble_world(tenant: &Tenant, parts: impl Iterator<Item = Part>) -> Result<World, Refusal> {
    let mut world = World::empty();
    let mut properties = BTreeMap::new();
    let mut confinement = empty_confinement(tenant);
    let mut links = None;
    let mut services = Vec::new();
    let mut gateway_port = 0;
    let mut intercept = false;
    let compiled = tenant.paths.compiled(tenant.id());
    let owner = Owner::root_for(tenant.allocation.uid);
    for part in parts {
        match part {
            Part::Resource(resource) => {
                world.put(resource);
            }
            Part::Program { argv, directory } => {
                confinement.argv = argv;
                confinement.directory = directory;
            }
            Part::Environment { name, value } => {
                confinement.environment.insert(name, value);
            }
            Part::Landlock(ruleset) => confinement.landlock = ruleset,
            Part::Seccomp(filters) => confinement.seccomp = filters,
            Part::Rlimit(limit) => confinement.rlimits.push(limit),
            Part::Link(link) => links = Some(link),
            Part::Service(service) => services.push(service),
            Part::Intercept => intercept = true,
            Part::GatewayPort(port) => gateway_port = port,
            Part::SliceProperty { name, value } => {
                properties.insert(name, value);
            }
            Part::Etc { name, text } => {
                let path = compiled.join("etc").join(name);
                world.put(Resource::File {
                    path,
                    owner,
                    mode: 0o644,
                    content: Content::plain(text),
                    restart: true,
                });
            }
        }
    }
    world.put(Resource::Slice { unit: tenant.id().slice(), properties });
    world.put(json_file(tenant, "confinement.json", &confinement)?);
    if let Some(link) = links {
        let (format, tenant_id) = (NETWORK_FORMAT, tenant.id().clone());
        let network = Network { format, tenant: tenant_id, link, services, gateway_port, intercept };
        world.put(json_file(tenant, "network.json", &network)?);
    }
    Ok(world)
}

fn empty_confinement(tenant: &Tenant) -> Confinement {
    Confinement {
        format: CONFINEMENT_FORMAT,
        tenant: tenant.id().clone(),
        uid: tenant.allocation.uid,
        argv: Vec::new(),
        environment: BTreeMap::new(),
        directory: String::new(),
        landlock: model::LandlockRuleset { abi: 0, rules: Vec::new(), bind_tcp: None },
        seccomp: Vec::new(),
        rlimits: Vec::new(),
    }
}

/// A compiled file: JSON, root-owned, readable by the tenant's group.
fn json_file(tenant: &Tenant, name: &str, value: &impl Serialize) -> Result<Resource, Refusal> {
    let bytes = serde_json::to_vec(value).map_err(|error| Refusal::Runtime {
        tenant: tenant.id().clone(),
        runtime: tenant.gateway.runtime.clone(),
        cause: format!("cannot write {name}: {error}"),
    })?;
    Ok(Resource::File {
        path: tenant.paths.compiled(tenant.id()).join(name),
        owner: Owner::root_for(tenant.allocation.uid),
        mode: 0o640,
        content: Content::plain(bytes),
        restart: true,
    })
}

/// Refuses a feature that the host lacks, unless the spec accepts that.
fn require(layer: &'static str, feature: Feature, tenant: &Tenant, facts: &Facts) -> Result<(), Refusal> {
    if facts.has(feature) || tenant.spec.accept_missing.contains(&feature) {
        return Ok(());
    }
    Err(Refusal::Missing { tenant: tenant.id().clone(), layer, feature })
}
