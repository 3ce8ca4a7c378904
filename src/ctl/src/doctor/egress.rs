//! The ways out of tenants: what is there of each, for `checks`.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use api::SecretSummary;
use host::{Systemd, files};
use model::egress::{AUTHORITY_SECRET, EGRESS_FORMAT, EgressFile};
use model::{Paths, TenantId};

/// Bytes of a compiled file, at most, as the proxy reads it.
const MOST: usize = 16 << 20;

/// The way out of one tenant that is there and has `[egress]` in its spec.
#[derive(Clone, Debug)]
pub(super) struct WayOut {
    /// Whose.
    pub(super) tenant: TenantId,
    /// `ActiveState` of its gateway.
    pub(super) gateway: Result<String, String>,
    /// `ActiveState` of its proxy's socket.
    pub(super) socket: Result<String, String>,
    /// What is wrong with what its proxy reads.
    pub(super) file: Result<(), String>,
    /// What is wrong with its certificate authority; nothing where tenantd was not asked.
    pub(super) authority: Option<Result<(), String>>,
}

/// Looks at every one of them.
pub(super) fn gather(paths: &Paths, systemd: &Systemd) -> Result<Vec<WayOut>, String> {
    let states = |pattern: &str| {
        let units = systemd.list(pattern).map_err(|error| error.to_string())?;
        Ok(units.into_iter().map(|(name, unit)| (name, unit.active_state)).collect())
    };
    let tenants = tenants(paths)?;
    if tenants.is_empty() {
        return Ok(Vec::new());
    }
    let (gateways, sockets) = (states("tenant@*.service"), states("tenant-egress@*.socket"));
    let way_out = |tenant: TenantId| WayOut {
        gateway: state(&gateways, &tenant.unit()),
        socket: state(&sockets, &tenant.egress_socket()),
        file: read(&paths.egress(&tenant).join("egress.json"), &tenant, 0),
        authority: None,
        tenant,
    };
    Ok(tenants.into_iter().map(way_out).collect())
}

/// A unit that is not loaded is not up.
fn state(states: &Result<BTreeMap<String, String>, String>, unit: &str) -> Result<String, String> {
    let states = states.as_ref().map_err(Clone::clone)?;
    Ok(states.get(unit).cloned().unwrap_or_else(|| "inactive".to_owned()))
}

/// Tenants that are there and have `[egress]`. A spec that cannot be read is the matter of `check`.
fn tenants(paths: &Paths) -> Result<Vec<TenantId>, String> {
    let specs = paths.specs();
    let unreadable = |error: std::io::Error| format!("{}: {error}", specs.display());
    let entries = match std::fs::read_dir(&specs) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(unreadable)?,
    };
    let mut tenants = Vec::new();
    for entry in entries {
        let name = entry.map_err(unreadable)?.file_name();
        let id = name.to_str().and_then(|name| TenantId::parse(name.strip_suffix(".toml")?).ok());
        let Some(id) = id else { continue };
        let spec = catalog::read_spec(paths, &id);
        if spec.is_ok_and(|(spec, _)| spec.egress.is_some()) && is_there(&paths.compiled(&id))? {
            tenants.push(id);
        }
    }
    tenants.sort();
    Ok(tenants)
}

/// A spec alone is no tenant yet.
fn is_there(directory: &Path) -> Result<bool, String> {
    directory.try_exists().map_err(|error| format!("{}: {error}", directory.display()))
}

/// Reads a compiled file as strictly as the proxy does. Whoever else could write it would decide what leaves.
fn read(path: &Path, tenant: &TenantId, owner: u32) -> Result<(), String> {
    let of = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Err("is missing".to_owned()),
        of => of.map_err(|error| format!("cannot be looked at: {error}"))?,
    };
    if !of.is_file() {
        return Err("is no file".to_owned());
    }
    let (uid, gid, mode) = (of.uid(), of.gid(), of.mode() & 0o7777);
    if (uid, gid) != (owner, owner) || mode != 0o644 {
        return Err(format!("is of {uid}:{gid} with mode {mode:04o}, not of {owner}:{owner} with mode 0644"));
    }
    let bytes = files::read_bounded(path, MOST).map_err(|error| error.to_string())?;
    let bytes = bytes.ok_or_else(|| "is missing".to_owned())?;
    let file: EgressFile =
        serde_json::from_slice(&bytes).map_err(|error| format!("cannot be understood: {error}"))?;
    if file.format != EGRESS_FORMAT {
        return Err(format!("has format {}, not {EGRESS_FORMAT}", file.format));
    }
    if file.tenant != *tenant {
        return Err(format!("is the one of tenant {}", file.tenant));
    }
    policy::compile(&file, None).map(drop).map_err(|error| format!("holds no policy: {error}"))
}

/// What is wrong with the authority among a tenant's secrets.
pub(super) fn authority(secrets: &[SecretSummary]) -> Result<(), String> {
    let Some(secret) = secrets.iter().find(|secret| secret.name == AUTHORITY_SECRET) else {
        return Err("is missing".to_owned());
    };
    match (&secret.problem, secret.kind.as_str()) {
        (Some(problem), _) => Err(format!("cannot be used: {problem}")),
        (None, "authority") => Ok(()),
        (None, kind) => Err(format!("cannot be used: its kind is {kind:?}")),
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "files that a test makes")]
#[path = "egress_tests.rs"]
mod tests;
