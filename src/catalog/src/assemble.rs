//! From a spec, an allocation and a runtime to a tenant that the layers can draft. Pure, but for what was read before.

use confine::landlock::Places;
use model::{Allocation, Facts, Limits, Paths, Settings, Spec, SpecError, SpecFile};
use plan::{Gateway, Refusal, Tenant};
use policy::Profile;
use runtime::{Description, Values};

use crate::Catalog;

/// What a tenant is given: allocation and installed runtime version.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Uid, index, addresses.
    pub allocation: Allocation,
    /// Installed version of the runtime; nothing for one that installs nothing.
    pub version: Option<String>,
    /// What the daemon adds to the tenant's egress.
    pub egress: EgressGrant,
}

/// What is not in the spec: answers of operators, and the certificate authority that was made for the tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EgressGrant {
    /// What was approved, as a policy document.
    pub approvals: Option<String>,
    /// Until when what is refused is reported for learning.
    pub learn_until: Option<u64>,
    /// Certificate of its authority, PEM.
    pub authority: Option<String>,
}

/// A spec with what the host's settings add to it, checked.
pub fn complete(mut written: SpecFile, file: &str, settings: &Settings) -> Result<Spec, SpecError> {
    for feature in &settings.defaults.accept_missing {
        if !written.accept_missing.contains(feature) {
            written.accept_missing.push(*feature);
        }
    }
    written.validate(file)
}

/// Puts a tenant together.
pub fn assemble(
    catalog: &Catalog,
    runtime: (&Description, &str),
    (spec, spec_text): (Spec, String),
    grant: Grant,
    (settings, facts, paths): (&Settings, &Facts, &Paths),
) -> Result<Tenant, Refusal> {
    let (description, template) = runtime;
    let refuse = |cause: String| Refusal::Runtime {
        tenant: spec.id.clone(),
        runtime: description.name.clone(),
        cause,
    };
    let egress = match &spec.egress {
        None => None,
        Some(section) => {
            Some(crate::egress::prepare(catalog, &spec.id, section, &grant, settings).map_err(|cause| {
                Refusal::Settings { tenant: spec.id.clone(), cause: format!("egress: {cause}") }
            })?)
        }
    };
    let (profile, egress) = egress.unzip();
    let limits = limits_in_force(&spec, profile.as_ref(), description, settings);
    let port = spec.port.unwrap_or(description.port);
    let access = description.access();
    let origins = allowed_origins(&spec);
    let values = Values {
        tenant: &spec.id,
        address: grant.allocation.network.tenant(),
        bridge: grant.allocation.network.bridge(),
        port,
        origins: &origins,
        access: &access,
        memory_max: limits.memory_max,
    };
    let file = catalog.template_file(description);
    let config = description
        .check_settings((&file, template), &spec.settings)
        .map_err(|error| Refusal::Settings { tenant: spec.id.clone(), cause: error.to_string() })
        .and_then(|()| {
            let made = description.config_file((&file, template), &values, &spec.settings);
            made.map_err(|error| refuse(error.to_string()))
        })?;
    let gateway = Gateway {
        runtime: description.name.clone(),
        version: grant.version,
        argv: description.argv(&values, &spec.command).map_err(|error| refuse(error.to_string()))?,
        environment: description.environment(&values, &spec.environment),
        config: config.map(|file| (file.name, file.text)),
        port,
        startup_path: description.startup.path.clone(),
        startup_contains: description.startup.body_contains.clone(),
        startup_timeout_sec: description.startup.timeout_sec,
        identity_header: description.edge.identity_header.clone(),
        scopes_header: description.edge.scopes_header.clone(),
        roles: description.edge.roles.clone(),
    };
    let data = paths.data(&spec.id).display().to_string();
    let places = Places { data: &data, port };
    let landlock =
        confine::landlock::compile(&catalog.landlock, &description.landlock, facts.landlock_abi, &places)
            .map_err(|error| refuse(error.to_string()))?;
    let seccomp = confine::seccomp::compile(&catalog.seccomp, &description.seccomp)
        .map_err(|error| refuse(error.to_string()))?;
    let allocation = grant.allocation;
    let paths = paths.clone();
    Ok(Tenant { spec, spec_text, limits, allocation, gateway, landlock, seccomp, egress, paths })
}

/// Those of the spec, and the one that stands for the edge's.
fn allowed_origins(spec: &Spec) -> Vec<String> {
    spec.origins.iter().cloned().chain([model::edge::internal_origin(&spec.id)]).collect()
}

/// The spec's limits, then the profile's, then the runtime's, then the host's defaults.
fn limits_in_force(
    spec: &Spec,
    profile: Option<&Profile>,
    description: &Description,
    settings: &Settings,
) -> Limits {
    let own = match profile {
        Some(profile) => spec.limits.clone().or(&profile.limits),
        None => spec.limits.clone(),
    };
    own.or(&description.limits).or(&settings.defaults.limits)
}
