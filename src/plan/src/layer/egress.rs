//! Egress: what the tenant's proxy is given, and how the tenant's programs find it. Approvals change without a restart; so does the policy.

use std::path::PathBuf;

use model::egress::PROXY_PORT;
use model::{Content, Facts, Owner, Resource, delivery};
use serde::Serialize;

use super::Layer;
use crate::draft::Part;
use crate::{Draft, Refusal, Tenant};

/// The proxy's files, and the variables of the gateway.
pub(super) struct EgressProxy;

impl Layer for EgressProxy {
    fn name(&self) -> &'static str {
        "egress"
    }

    fn draft(&self, tenant: &Tenant, _facts: &Facts, out: &mut Draft) -> Result<(), Refusal> {
        let Some(egress) = &tenant.egress else { return Ok(()) };
        let directory = tenant.paths.egress(tenant.id());
        out.ask(Part::Intercept);
        out.resource(Resource::Directory {
            path: directory.clone(),
            owner: Owner::ROOT,
            mode: 0o755,
            tenant_content: false,
        });
        out.resource(file(tenant, directory.join("egress.json"), &egress.file)?);
        out.resource(file(tenant, directory.join("approvals.json"), &egress.approvals)?);
        if let Some(certificate) = &egress.authority {
            out.resource(Resource::File {
                path: tenant.paths.compiled(tenant.id()).join(AUTHORITY),
                owner: Owner::root_for(tenant.allocation.uid),
                mode: 0o640,
                content: Content::plain(certificate.as_bytes()),
                restart: true,
            });
        }
        for (name, value) in variables(tenant) {
            out.ask(Part::Environment { name: name.to_owned(), value });
        }
        Ok(())
    }
}

/// Name of [`model::cell::AUTHORITY`] among the compiled files.
const AUTHORITY: &str = "egress-authority.pem";

/// Read by a user that the plan does not know; the directory above is closed to everybody but root, and PID 1 binds.
fn file(tenant: &Tenant, path: PathBuf, document: &impl Serialize) -> Result<Resource, Refusal> {
    let bytes = serde_json::to_vec(document).map_err(|error| Refusal::Settings {
        tenant: tenant.id().clone(),
        cause: format!("egress: cannot write {}: {error}", path.display()),
    })?;
    Ok(Resource::File {
        path,
        owner: Owner::ROOT,
        mode: 0o644,
        content: Content::plain(bytes),
        restart: false,
    })
}

/// By which programs find the proxy and believe its certificates; in the place of what the runtime says, but not of what the spec does. Those that know none of these are led to it all the same, but then
/// refuse the certificates of hosts whose requests are looked at.
pub(super) fn variables(tenant: &Tenant) -> Vec<(&'static str, String)> {
    let Some(egress) = &tenant.egress else { return Vec::new() };
    let proxy = format!("http://127.0.0.1:{PROXY_PORT}");
    let direct = format!("localhost,127.0.0.1,{}", tenant.allocation.network.tenant());
    let mut variables = vec![
        ("HTTP_PROXY", proxy.clone()),
        ("HTTPS_PROXY", proxy.clone()),
        ("http_proxy", proxy.clone()),
        ("https_proxy", proxy),
        ("NO_PROXY", direct.clone()),
        ("no_proxy", direct),
        ("NODE_USE_ENV_PROXY", "1".to_owned()),
    ];
    if egress.authority.is_some() {
        let bundles = [
            "NODE_EXTRA_CA_CERTS",
            "SSL_CERT_FILE",
            "CURL_CA_BUNDLE",
            "REQUESTS_CA_BUNDLE",
            "GIT_SSL_CAINFO",
        ];
        variables.extend(bundles.map(|name| (name, delivery::AUTHORITIES.to_owned())));
    }
    variables.retain(|(name, _)| !tenant.spec.environment.contains_key(*name));
    variables
}
