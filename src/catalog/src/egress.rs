//! From `[egress]` of a spec to what the tenant's proxy is given: profile, presets, the tenant's own document, where secrets may go,
//! providers. All of it is compiled here as the proxy will, so that no proxy gets what it cannot read.

use std::collections::BTreeMap;

use model::egress::{
    APPROVALS_FORMAT, AUTHORITY_SECRET, ApprovalsFile, Asking, EGRESS_FORMAT, EgressFile, HostAndPort,
    Inference, PolicyLevel, PolicyText, SecretUse,
};
use model::{EgressSpec, Registries, Settings, TenantId, UnlistedSpec};
use plan::Egress;
use policy::{Host, KnownProviders, Profile, Target, Unlisted};

use crate::{Catalog, Grant};

/// The profile of a spec that names none.
const DEFAULT_PROFILE: &str = "customers";

/// Profile and files; the error is cause and remedy.
pub(crate) fn prepare(
    catalog: &Catalog,
    tenant: &TenantId,
    section: &EgressSpec,
    grant: &Grant,
    settings: &Settings,
) -> Result<(Profile, Egress), String> {
    let name = section.profile.as_deref().unwrap_or(DEFAULT_PROFILE);
    let (path, text) = catalog.shipped("profiles", name, ".toml")?;
    let profile = Profile::parse(&path, &text).map_err(|error| error.to_string())?;
    for one in &section.secrets {
        check_secret(one)?;
    }
    let file = EgressFile {
        format: EGRESS_FORMAT,
        tenant: tenant.clone(),
        uid: grant.allocation.uid,
        layers: layers(catalog, tenant, section, (name, &profile))?,
        hosts: hosts(&settings.registries)?,
        closed: settings.pools.addresses.iter().map(|pool| String::from(*pool)).collect(),
        asking: Asking {
            hold_sec: profile.approvals.hold_sec,
            waiting: profile.approvals.waiting,
            per_hour: profile.approvals.per_hour,
        },
        secrets: section.secrets.clone(),
        inference: inference(catalog, section)?,
    };
    let approvals = ApprovalsFile {
        format: APPROVALS_FORMAT,
        tenant: tenant.clone(),
        document: grant.egress.approvals.clone(),
        learn_until: grant.egress.learn_until,
    };
    policy::compile(&file, Some(&approvals)).map_err(|error| error.to_string())?;
    Ok((profile, Egress { file, approvals, authority: grant.egress.authority.clone() }))
}

fn layers(
    catalog: &Catalog,
    tenant: &TenantId,
    section: &EgressSpec,
    (name, profile): (&str, &Profile),
) -> Result<Vec<PolicyText>, String> {
    let unlisted = match (section.unlisted, profile.egress.default) {
        (Some(UnlistedSpec::Ask), _) | (None, Unlisted::Ask) => "ask",
        (Some(UnlistedSpec::Deny), _) | (None, Unlisted::Deny) => "deny",
    };
    let mut layers = vec![PolicyText {
        level: PolicyLevel::Profile,
        name: format!("profile {name}"),
        text: format!("version: 1\nx-tenantd: {{ default: {unlisted} }}\n"),
    }];
    for preset in &section.presets {
        if !profile.egress.presets.contains(preset) {
            let offered = profile.egress.presets.join(", ");
            let preset: String = preset.chars().take(64).collect();
            return Err(format!(
                "profile {name} does not offer the preset {preset:?}, but {offered}: choose another profile, or take it out"
            ));
        }
        let (_, text) = catalog.shipped("presets", preset, ".yaml")?;
        layers.push(PolicyText { level: PolicyLevel::Preset, name: format!("preset {preset}"), text });
    }
    if let Some(text) = &section.policy {
        let name = format!("policy of {tenant}");
        layers.push(PolicyText { level: PolicyLevel::Tenant, name, text: text.clone() });
    }
    Ok(layers)
}

fn inference(catalog: &Catalog, section: &EgressSpec) -> Result<Inference, String> {
    let (path, text) = catalog.shipped("inference", "providers", ".toml")?;
    let known = KnownProviders::parse(&path, &text).map_err(|error| error.to_string())?;
    policy::inference(section, &known).map_err(|error| error.to_string())
}

/// Registries of this machine, by the names that presets use.
fn hosts(registries: &Registries) -> Result<BTreeMap<String, HostAndPort>, String> {
    let mut hosts = BTreeMap::new();
    for (name, address) in registries.named() {
        let Some(address) = address else { continue };
        let place = place(address).ok_or_else(|| {
            format!(
                "registries.{name} = {address:?} in tenantd.toml is no address: write it as \"https://registry.example.org/\""
            )
        })?;
        hosts.insert(name.to_owned(), place);
    }
    Ok(hosts)
}

/// Host and port of an address.
fn place(address: &str) -> Option<HostAndPort> {
    let (rest, usual) = match address.strip_prefix("https://") {
        Some(rest) => (rest, 443),
        None => (address.strip_prefix("http://")?, 80),
    };
    let authority = rest.split(['/', '?', '#']).next()?;
    // What stands before an @ is somebody's password.
    let authority = authority.rsplit('@').next()?;
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && !authority.ends_with(']') => (host, port.parse().ok()?),
        Some(_) | None => (authority, usual),
    };
    Host::parse(host).ok().map(|host| HostAndPort { host: host.to_string(), port })
}

fn check_secret(one: &SecretUse) -> Result<(), String> {
    let wrong = |why: &str| Err(format!("secret {:?}: {why}", one.name.chars().take(64).collect::<String>()));
    if one.name == AUTHORITY_SECRET {
        return wrong("is the tenant's own certificate authority, which goes nowhere: choose another");
    }
    if Host::parse(&one.host).is_err() {
        return wrong("host is neither a name nor an address");
    }
    if Target::parse(&one.path).is_err() || one.path.contains('?') {
        return wrong("path begins with / and has no query");
    }
    if one.port == 0 || one.places.is_empty() {
        return wrong("port is 1 to 65535, and \"in\" names a place at least");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_a_registry_is_a_host_and_a_port() {
        for (address, host, port) in [
            ("https://registry.example.org/", "registry.example.org", 443),
            ("http://mirror.example.org:8081/npm/", "mirror.example.org", 8081),
            ("https://user:secret@registry.example.org/x", "registry.example.org", 443),
            ("https://[2001:db8::1]:8443/", "[2001:db8::1]", 8443),
            ("https://[2001:db8::1]/", "[2001:db8::1]", 443),
        ] {
            assert_eq!(place(address), Some(HostAndPort { host: host.to_owned(), port }), "{address}");
        }
        for address in ["registry.example.org", "ftp://x.example.org/", "https://", "https://x:y/"] {
            assert_eq!(place(address), None, "{address}");
        }
    }
}
