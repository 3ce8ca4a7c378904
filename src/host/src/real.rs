//! The real host: looks at everything of one tenant, and carries one step out at a time.

use std::collections::BTreeMap;

use model::{Exit, Key, Kind, Paths, PropertyValue, Resource, TenantId, World};
use plan::{Host, HostError, Op, Scope};

use crate::error::sentence;
use crate::systemd::{LIMITS, dropins, forget, persisted};
use crate::{Cancel, Systemd, account, enablement, files, quota, removal, tree};

/// The host this process runs on.
#[derive(Clone, Debug)]
pub struct RealHost {
    paths: Paths,
    systemd: Systemd,
    cancel: Cancel,
}

impl RealHost {
    /// The host whose files lie at `paths` and whose units `systemd` runs.
    #[must_use]
    pub fn new(paths: Paths, systemd: Systemd) -> Self {
        Self { paths, systemd, cancel: Cancel::new() }
    }

    /// Cancelled, the removal of a large tree stops with "try again" instead of holding up the end of the daemon.
    #[must_use]
    pub fn cancelled_by(mut self, cancel: &Cancel) -> Self {
        self.cancel = cancel.clone();
        self
    }

    fn observe_units(&self, scope: &Scope, world: &mut World) -> Result<(), HostError> {
        let own = scope.tenant.unit();
        let units = scope.wanted.iter().filter(|(key, _)| key.kind == Kind::Unit).map(|(key, _)| key.name.clone());
        let enablements = scope.wanted.iter().filter(|(key, _)| key.kind == Kind::Enablement);
        let enablements: Vec<String> = enablements.map(|(key, _)| key.name.clone()).chain([own.clone()]).collect();
        for unit in units.chain([own]) {
            if self.systemd.unit(&unit)?.is_up() {
                world.put(Resource::Unit { unit });
            }
        }
        for unit in enablements {
            if enablement::is_enabled(&self.paths, &unit)? {
                world.put(Resource::Enablement { unit });
            }
        }
        Ok(())
    }

    /// Limits are as wanted only when they are in force *and* on disk. A limit that is merely one of the two shows as
    /// something else than what is wanted, so that the plan sets it again.
    fn observe_slice(&self, scope: &Scope) -> Result<Option<Resource>, HostError> {
        let unit = scope.tenant.slice();
        let key = Key { kind: Kind::Slice, name: unit.clone() };
        let wanted = match scope.wanted.get(&key) {
            Some(Resource::Slice { properties, .. }) => Some(properties),
            Some(_) | None => None,
        };
        let state = self.systemd.slice(&unit)?;
        let on_disk = persisted(&self.paths, &unit)?;
        if wanted.is_none() && on_disk.is_none() && !state.active && !self.has_failed_units(&scope.tenant)? {
            return Ok(None);
        }
        let mut properties = BTreeMap::new();
        for (name, _) in LIMITS {
            let is_wanted = wanted.is_some_and(|wanted| wanted.contains_key(name));
            let is_on_disk = on_disk.as_ref().is_some_and(|names| names.contains(name));
            let value = match (state.limits.get(name), is_on_disk) {
                (Some(value), true) => Some(*value),
                (Some(value), false) => Some(*value).filter(|_| !is_wanted),
                (None, true) => Some(u64::MAX),
                (None, false) => None,
            };
            properties.extend(value.map(|value| (name.to_owned(), PropertyValue::U64(value))));
        }
        Ok(Some(Resource::Slice { unit, properties }))
    }

    fn has_failed_units(&self, tenant: &TenantId) -> Result<bool, HostError> {
        for unit in [tenant.unit(), tenant.net_unit()] {
            if self.systemd.unit(&unit)?.active_state == "failed" {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn make(&self, resource: &Resource) -> Result<(), HostError> {
        match resource {
            Resource::Account(wanted) => account::make(&self.paths, wanted),
            Resource::Directory { path, owner, mode, .. } => tree::make(path, *owner, *mode),
            Resource::Quota { path, project, bytes } => quota::make(&self.systemd, path, *project, *bytes),
            Resource::File { path, owner, mode, content, .. } => {
                files::write_atomic(path, *owner, *mode, content.bytes())
            }
            Resource::Link { path, target, .. } => files::write_link(path, target),
            Resource::Slice { unit, properties } => self.set_limits(unit, properties),
            Resource::Enablement { unit } => enablement::set_enabled(&self.paths, unit, true),
            Resource::Unit { unit } => self.systemd.start(unit),
        }
    }

    /// Sets what is wanted and takes away what else limits the slice.
    fn set_limits(&self, slice: &str, wanted: &BTreeMap<String, PropertyValue>) -> Result<(), HostError> {
        let on_disk = persisted(&self.paths, slice)?.unwrap_or_default();
        let mut limits = wanted.clone();
        let state = self.systemd.slice(slice)?;
        for (name, _) in LIMITS {
            if !wanted.contains_key(name) && (on_disk.contains(name) || state.limits.contains_key(name)) {
                limits.insert(name.to_owned(), PropertyValue::U64(u64::MAX));
            }
        }
        if limits.is_empty() { Ok(()) } else { self.systemd.set_limits(slice, &limits) }
    }

    fn remove(&self, resource: &Resource) -> Result<(), HostError> {
        match resource {
            Resource::Account(found) => account::remove(&self.paths, found),
            Resource::Directory { path, owner, tenant_content: true, .. } => {
                removal::remove_tree(&self.systemd, path, owner.uid, &self.cancel)
            }
            Resource::Directory { path, .. } => match tree::remove_empty(path)? {
                true => Ok(()),
                false => Err(tree::not_empty(path)),
            },
            Resource::Quota { path, project, .. } => quota::remove(path, *project),
            Resource::File { path, .. } | Resource::Link { path, .. } => files::remove(path),
            Resource::Slice { unit, .. } => self.remove_slice(unit),
            Resource::Enablement { unit } => enablement::set_enabled(&self.paths, unit, false),
            Resource::Unit { unit } => self.remove_unit(unit),
        }
    }

    /// Stops the gateway and its network, and forgets how they ended.
    fn remove_unit(&self, unit: &str) -> Result<(), HostError> {
        self.systemd.stop(unit)?;
        self.systemd.reset_failed(unit)?;
        if let Some(net) = unit.strip_prefix("tenant@").map(|rest| format!("tenant-net@{rest}")) {
            self.systemd.stop(&net)?;
            self.systemd.reset_failed(&net)?;
        }
        Ok(())
    }

    /// Stopping the slice ends whatever still runs in it: commands of `tenantctl exec` above all.
    fn remove_slice(&self, slice: &str) -> Result<(), HostError> {
        let name = slice.strip_prefix("tenants-").and_then(|rest| rest.strip_suffix(".slice"));
        let name = name.ok_or_else(|| sentence(Exit::Software, format!("{slice} is no tenant's slice")))?;
        self.systemd.stop(slice)?;
        for unit in [format!("tenant@{name}.service"), format!("tenant-net@{name}.service"), slice.to_owned()] {
            self.systemd.reset_failed(&unit)?;
        }
        if dropins(&self.paths, slice).is_dir() { forget(&self.paths, slice) } else { Ok(()) }
    }
}

impl Host for RealHost {
    fn observe(&self, scope: &Scope) -> Result<World, HostError> {
        let mut world = World::empty();
        if let Some(found) = account::observe(&self.paths, scope)? {
            world.put(Resource::Account(found));
        }
        tree::observe(&self.paths, scope, &mut world)?;
        let rest = [quota::observe(&self.paths, scope)?, self.observe_slice(scope)?];
        for found in rest.into_iter().flatten() {
            world.put(found);
        }
        self.observe_units(scope, &mut world)?;
        Ok(world)
    }

    fn perform(&mut self, op: &Op) -> Result<(), HostError> {
        match op {
            Op::Make { resource } | Op::Change { resource } => self.make(resource),
            Op::Remove { resource } => self.remove(resource),
            Op::Restart { unit } => self.systemd.restart(unit),
        }
    }
}
