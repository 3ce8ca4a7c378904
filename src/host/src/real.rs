//! The real host: looks at everything of one tenant, and carries one step out at a time.

use std::collections::BTreeMap;

use model::{Exit, Key, Kind, Paths, PropertyValue, Resource, World};
use plan::{Host, HostError, Op, Scope};

use crate::error::sentence;
use crate::systemd::{LIMITS, dropins, forget, persisted};
use crate::{Brief, Cancel, Systemd, account, enablement, files, measured, quota, removal, tree};

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

    /// The tenant's units, the wanted ones and its slice, in one question.
    fn look_at_units(&self, scope: &Scope) -> Result<BTreeMap<String, Brief>, HostError> {
        let wanted =
            scope.wanted.iter().filter(|(key, _)| key.kind == Kind::Unit).map(|(key, _)| key.name.clone());
        let own = [scope.tenant.unit(), scope.tenant.net_unit(), scope.tenant.slice()];
        self.systemd.list_any(&wanted.chain(own).collect::<Vec<_>>())
    }

    fn observe_units(
        &self,
        scope: &Scope,
        units: BTreeMap<String, Brief>,
        world: &mut World,
    ) -> Result<(), HostError> {
        let is_ours = |name: &str| name != scope.tenant.net_unit() && name != scope.tenant.slice();
        for (unit, _) in units.into_iter().filter(|(name, brief)| is_ours(name) && brief.is_up()) {
            world.put(Resource::Unit { unit });
        }
        let wanted = scope.wanted.iter().filter(|(key, _)| key.kind == Kind::Enablement);
        for unit in wanted.map(|(key, _)| key.name.clone()).chain([scope.tenant.unit()]) {
            if enablement::is_enabled(&self.paths, &unit)? {
                world.put(Resource::Enablement { unit });
            }
        }
        Ok(())
    }

    /// Limits are as wanted only when they are in force *and* on disk. A limit that is merely one of the two shows as
    /// something else than what is wanted, so that the plan sets it again.
    fn observe_slice(
        &self,
        scope: &Scope,
        units: &BTreeMap<String, Brief>,
    ) -> Result<Option<Resource>, HostError> {
        let unit = scope.tenant.slice();
        let key = Key { kind: Kind::Slice, name: unit.clone() };
        let wanted = match scope.wanted.get(&key) {
            Some(Resource::Slice { properties, .. }) => Some(properties),
            Some(_) | None => None,
        };
        let on_disk = persisted(&self.paths, &unit)?;
        let is_active = units.get(&unit).is_some_and(Brief::is_up);
        let has_failed = units.values().any(|brief| brief.active_state == "failed");
        if wanted.is_none() && on_disk.is_none() && !is_active && !has_failed {
            return Ok(None);
        }
        let in_force = self.systemd.slice_limits(&unit)?;
        let mut properties = BTreeMap::new();
        for (name, _) in LIMITS {
            let is_wanted = wanted.is_some_and(|wanted| wanted.contains_key(name));
            let is_on_disk = on_disk.as_ref().is_some_and(|names| names.contains(name));
            let value = match (in_force.get(name), is_on_disk) {
                (Some(value), true) => Some(*value),
                (Some(value), false) => Some(*value).filter(|_| !is_wanted),
                (None, true) => Some(u64::MAX),
                (None, false) => None,
            };
            properties.extend(value.map(|value| (name.to_owned(), PropertyValue::U64(value))));
        }
        Ok(Some(Resource::Slice { unit, properties }))
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
            Resource::Slice { unit, properties } => self.systemd.set_limits(unit, properties),
            Resource::Enablement { unit } => enablement::set_enabled(&self.paths, unit, true),
            Resource::Unit { unit } => self.systemd.start(unit),
        }
    }

    /// Sets what is wanted and takes away what else limits the slice.
    fn change_limits(&self, slice: &str, wanted: &BTreeMap<String, PropertyValue>) -> Result<(), HostError> {
        let on_disk = persisted(&self.paths, slice)?.unwrap_or_default();
        let mut limits = wanted.clone();
        let in_force = self.systemd.slice_limits(slice)?;
        for (name, _) in LIMITS {
            if !wanted.contains_key(name) && (on_disk.contains(name) || in_force.contains_key(name)) {
                limits.insert(name.to_owned(), PropertyValue::U64(u64::MAX));
            }
        }
        self.systemd.set_limits(slice, &limits)
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
        let net = unit.strip_prefix("tenant@").map(|rest| format!("tenant-net@{rest}"));
        let units: Vec<String> = [unit.to_owned()].into_iter().chain(net).collect();
        self.systemd.stop_all(&units)
    }

    /// Stopping the slice ends whatever still runs in it: commands of `tenantctl exec` above all.
    fn remove_slice(&self, slice: &str) -> Result<(), HostError> {
        let name = slice.strip_prefix("tenants-").and_then(|rest| rest.strip_suffix(".slice"));
        let name = name.ok_or_else(|| sentence(Exit::Software, format!("{slice} is no tenant's slice")))?;
        let units =
            [format!("tenant@{name}.service"), format!("tenant-net@{name}.service"), slice.to_owned()];
        let found = self.systemd.list_any(&units)?;
        // Setting a limit gives even a slice that never ran a control group, which only a stop takes away again.
        let idle = found.get(slice).is_none_or(|brief| brief.active_state == "inactive");
        if idle && measured::slice_group(slice).is_dir() {
            self.systemd.start(slice)?;
            self.systemd.stop_all(&[slice.to_owned()])?;
        }
        let loaded = found.into_iter().filter(|(_, brief)| brief.active_state != "inactive");
        self.systemd.stop_all(&loaded.map(|(unit, _)| unit).collect::<Vec<_>>())?;
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
        let units = self.look_at_units(scope)?;
        let rest = [quota::observe(&self.paths, scope)?, self.observe_slice(scope, &units)?];
        for found in rest.into_iter().flatten() {
            world.put(found);
        }
        self.observe_units(scope, units, &mut world)?;
        Ok(world)
    }

    fn perform(&mut self, op: &Op) -> Result<(), HostError> {
        match op {
            Op::Change { resource: Resource::Slice { unit, properties } } => {
                self.change_limits(unit, properties)
            }
            Op::Make { resource } | Op::Change { resource } => self.make(resource),
            Op::Remove { resource } => self.remove(resource),
            // Its network goes down with it, so that a changed network file is read, too.
            Op::Restart { unit } => self.remove_unit(unit).and_then(|()| self.systemd.start(unit)),
        }
    }
}
