//! The runtime: what is run, with which environment and configuration, and how it is known to be ready.

use std::path::Path;

use model::{Content, Facts, Owner, READINESS_FORMAT, Readiness, Resource};

use super::{Layer, egress, json_file};
use crate::draft::Part;
use crate::{Draft, Refusal, Tenant};

/// The gateway itself.
pub(super) struct Runtime;

impl Layer for Runtime {
    fn name(&self) -> &'static str {
        "runtime"
    }

    fn draft(&self, tenant: &Tenant, _facts: &Facts, out: &mut Draft) -> Result<(), Refusal> {
        let gateway = &tenant.gateway;
        let compiled = tenant.paths.compiled(tenant.id());
        let directory = tenant.paths.data(tenant.id()).display().to_string();
        out.ask(Part::Program { argv: gateway.argv.clone(), directory });
        // A runtime says that there is no proxy, so that no file of the tenant's names one; a tenant with a way out has one.
        let ways_out = egress::variables(tenant);
        let own = |name: &String| !ways_out.iter().any(|(other, _)| other == name);
        for (name, value) in gateway.environment.iter().filter(|(name, _)| own(name)) {
            out.ask(Part::Environment { name: name.clone(), value: value.clone() });
        }
        if let Some((name, text)) = &gateway.config {
            out.resource(Resource::File {
                path: compiled.join("config").join(name),
                owner: Owner::root_for(tenant.allocation.uid),
                mode: 0o640,
                content: Content::sensitive(text.as_bytes()),
                restart: true,
            });
        }
        out.resource(runtime_tree(tenant, &compiled));
        out.resource(json_file(tenant, "readiness.json", &readiness(tenant))?);
        Ok(())
    }
}

/// The link that `tenant@.service` binds into the cell: the installed version, or an empty directory.
fn runtime_tree(tenant: &Tenant, compiled: &Path) -> Resource {
    let gateway = &tenant.gateway;
    let target = match &gateway.version {
        Some(version) => tenant.paths.runtimes().join(&gateway.runtime).join(version),
        None => tenant.paths.state().join("empty"),
    };
    Resource::Link { path: compiled.join("runtime"), target, restart: true }
}

fn readiness(tenant: &Tenant) -> Readiness {
    Readiness {
        format: READINESS_FORMAT,
        tenant: tenant.id().clone(),
        address: std::net::Ipv4Addr::LOCALHOST,
        port: tenant.gateway.port,
        path: tenant.gateway.startup_path.clone(),
        body_contains: tenant.gateway.startup_contains.clone(),
        timeout_sec: tenant.gateway.startup_timeout_sec,
    }
}
