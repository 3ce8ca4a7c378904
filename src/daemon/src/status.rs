//! What is: listed cheaply for all tenants, measured thoroughly for one.

use std::path::Path;

use api::{Health, LandlockStatus, Status, Summary};
use host::UnitStatus;
use model::{Exit, Kind, TenantId};
use plan::{Scope, Tenant, Wanted, plan};

use crate::failure::Failure;
use crate::journal::lock;
use crate::service::Service;

impl Service {
    /// One line per tenant. Costs one query, one call to systemd and one directory, however many tenants there are, and
    /// one small spec file each.
    pub fn list(&self) -> Result<Vec<Summary>, Failure> {
        let tenants = lock(&self.database).tenants()?;
        let sleepers = lock(&self.database).sleepers()?;
        let units = self.systemd.list("tenant@*.service")?;
        let enabled = host::enabled(&self.paths)?;
        let settings = self.settings()?;
        let facts = self.facts()?;
        let mut lines = Vec::with_capacity(tenants.len());
        for (id, allocation) in tenants {
            let unit = id.unit();
            let written = catalog::read_spec(&self.paths, &id).map(|(spec, _)| spec);
            let state = units.get(&unit).map_or("inactive", |brief| brief.active_state.as_str());
            let (runtime, version, mut missing) = match written {
                Ok(spec) => (spec.runtime, spec.version.unwrap_or_default(), spec.accept_missing),
                Err(error) => (format!("? ({error})"), String::new(), Vec::new()),
            };
            missing.extend(settings.defaults.accept_missing.iter().copied());
            missing.sort();
            missing.dedup();
            missing.retain(|feature| !facts.has(*feature));
            let memory_bytes = if state == "active" { host::memory_current(&id.slice()) } else { None };
            lines.push(Summary {
                state: state.to_owned(),
                sleeping: state == "inactive" && sleepers.contains(id.as_str()),
                enabled: enabled.contains(&unit),
                runtime,
                version,
                address: allocation.network.tenant().to_string(),
                uid: allocation.uid,
                memory_bytes,
                missing,
                alarm: self.alarm(&id)?,
                id: id.to_string(),
            });
        }
        Ok(lines)
    }

    /// Everything about one tenant: what is wanted, and what was measured.
    pub fn status(&self, id: &TenantId) -> Result<Status, Failure> {
        let (tenant, wanted) = self.wanted_on_disk(id)?;
        let unit = self.systemd.unit(&id.unit())?;
        let measured = match unit.main_pid {
            Some(pid) => Some(host::measured(&self.paths, id, pid, landlock_of(&tenant))?),
            None => None,
        };
        let enabled = host::enabled(&self.paths)?.contains(&id.unit());
        let running = unit.active_state == "active";
        // Not below: both locks would be held to the end of the statement.
        let last_backup = lock(&self.database).last_backup(id)?;
        let open_operation = lock(&self.database).open_operation(id)?;
        Ok(Status {
            summary: Summary {
                id: id.to_string(),
                state: unit.active_state.clone(),
                sleeping: self.is_asleep(id, &unit)?,
                enabled,
                runtime: tenant.gateway.runtime.clone(),
                version: tenant.gateway.version.clone().unwrap_or_default(),
                address: tenant.allocation.network.tenant().to_string(),
                uid: tenant.allocation.uid,
                memory_bytes: if running { host::memory_current(&id.slice()) } else { None },
                missing: wanted.missing.clone(),
                alarm: self.alarm(id)?,
            },
            last_backup,
            unit: id.unit(),
            sub_state: unit.sub_state.clone(),
            result: unit.result.clone(),
            slice: id.slice(),
            user: id.user(),
            netns: self.paths.netns(id).display().to_string(),
            port: tenant.gateway.port,
            pid: unit.main_pid,
            since: unit.active_since,
            health: match &open_operation {
                // A frozen gateway does not answer, and nothing is to be started in its slice.
                Some(kind) if running => Health::NotReady(format!("not asked: {kind} is under way")),
                _ if running => self.health(id),
                _ => Health::Stopped,
            },
            measured,
            limits: self.systemd.slice_limits(&id.slice())?,
            drift: self.drift(id, &tenant, &wanted)?,
            restart_needed: restart_needed(&self.paths.compiled(id), &unit)?,
            open_operation,
        })
    }

    /// Why the self-test of the fence cut a tenant off, if it did.
    fn alarm(&self, id: &TenantId) -> Result<Option<String>, Failure> {
        let path = self.paths.alarm(id);
        match std::fs::read_to_string(&path) {
            Ok(why) => Ok(Some(why)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::new(
                Exit::Io,
                format!("cannot read {}: {error}: see \"journalctl -u tenantd-selftest\"", path.display()),
            )),
        }
    }

    /// The steps `repair` would take. Whether the unit runs and is enabled is the operator's business, not drift.
    fn drift(&self, id: &TenantId, tenant: &Tenant, wanted: &Wanted) -> Result<Vec<String>, Failure> {
        let scope =
            Scope { tenant: id.clone(), uid: Some(tenant.allocation.uid), wanted: wanted.world.clone() };
        let observed = plan::Host::observe(&self.host(), &scope)?;
        let steps = plan(&scope.wanted, &observed).ops;
        let counts = |kind: Kind| !matches!(kind, Kind::Unit | Kind::Enablement);
        Ok(steps.iter().filter(|op| counts(op.key().kind)).map(ToString::to_string).collect())
    }

    /// Asks the gateway's start-up path from inside the namespace, by a unit without any privilege: root reads no byte
    /// of the answer, only whether the unit succeeded.
    fn health(&self, id: &TenantId) -> Health {
        match self.systemd.start(&format!("tenant-health@{}.service", id.system_name())) {
            Ok(()) => Health::Ready,
            Err(error) => Health::NotReady(error.message),
        }
    }

    /// The unit's state in systemd's word.
    pub(crate) fn state_word(&self, id: &TenantId) -> Result<String, Failure> {
        Ok(self.systemd.unit(&id.unit())?.active_state)
    }
}

fn landlock_of(tenant: &Tenant) -> LandlockStatus {
    let abi = tenant.landlock.abi;
    let held = confine::landlock::held_elsewhere(abi);
    LandlockStatus {
        abi,
        held_elsewhere: held.map(|right| format!("{}: {}", right.right, right.by)).collect(),
        proven_at_start: true,
    }
}

/// Whether a compiled file is younger than the process that read it.
fn restart_needed(compiled: &Path, unit: &UnitStatus) -> Result<bool, Failure> {
    let Some(started) = unit.started else { return Ok(false) };
    for name in ["confinement.json", "network.json", "config"] {
        let changed = match std::fs::symlink_metadata(compiled.join(name)) {
            Ok(found) => found.modified(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => Err(error),
        };
        let changed = changed.map_err(|error| {
            Failure::new(
                Exit::Io,
                format!("cannot read {}: {error}: run \"tenantctl repair\"", compiled.join(name).display()),
            )
        })?;
        let seconds = changed.duration_since(std::time::UNIX_EPOCH).map_or(0, |age| age.as_secs());
        if seconds > started {
            return Ok(true);
        }
    }
    Ok(false)
}
