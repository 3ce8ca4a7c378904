//! The edge: where it finds the gateway, and who may come in. Changing it restarts nothing.

use model::edge::{ROUTE_FORMAT, Route, internal_origin};
use model::{Content, Facts, Owner, Resource, delivery};

use super::Layer;
use crate::{Draft, Refusal, Tenant};

/// The tenant's route.
pub(super) struct Edge;

impl Layer for Edge {
    fn name(&self) -> &'static str {
        "edge"
    }

    fn draft(&self, tenant: &Tenant, _facts: &Facts, out: &mut Draft) -> Result<(), Refusal> {
        let gateway = &tenant.gateway;
        let has_secret = gateway.config.as_ref().is_some_and(|(_, text)| text.contains(delivery::MARK));
        let route = Route {
            format: ROUTE_FORMAT,
            tenant: tenant.id().clone(),
            address: tenant.allocation.network.tenant(),
            port: gateway.port,
            proof: has_secret,
            identity_header: gateway.identity_header.clone(),
            scopes_header: gateway.scopes_header.clone(),
            origin: internal_origin(tenant.id()),
            roles: gateway.roles.clone(),
        };
        let bytes = serde_json::to_vec(&route).map_err(|error| Refusal::Runtime {
            tenant: tenant.id().clone(),
            runtime: gateway.runtime.clone(),
            cause: format!("cannot write its route: {error}"),
        })?;
        // Read by the edge's user, which the plan does not know; the directory above is closed to everybody else.
        out.resource(Resource::File {
            path: tenant.paths.route(tenant.id()),
            owner: Owner::ROOT,
            mode: 0o644,
            content: Content::plain(bytes),
            restart: false,
        });
        Ok(())
    }
}
