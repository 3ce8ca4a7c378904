//! Keeping a tenant still: all its processes frozen, by the freezer of the kernel's control groups.
//!
//! Its whole slice is: the gateway in whatever state, and commands of `tenantctl exec`. systemd's own `FreezeUnit` refuses units with a job
//! under way, which a command is to its end and a gateway while it starts; so a transient unit writes to the kernel's file.

use std::collections::BTreeMap;

use model::{Exit, TenantId};
use plan::HostError;

use crate::error::sentence;
use crate::measured::slice_group;
use crate::systemd::{Transient, Value};
use crate::{Cancel, Systemd};

/// Returns when the kernel says that nothing runs any more; after ten seconds everything runs again.
const FREEZE: &str = r#"cd -- "$1" || exit 1
echo 1 >cgroup.freeze || exit 1
tries=0
until grep -q '^frozen 1$' cgroup.events; do
    tries=$((tries + 1))
    if [ $tries -gt 200 ]; then echo 0 >cgroup.freeze; exit 1; fi
    sleep 0.05
done"#;

const THAW: &str = r#"cd -- "$1" 2>/dev/null || exit 0
echo 0 >cgroup.freeze"#;

/// Freezes every process of a tenant, and says whether it has a control group at all. After an error nothing is frozen.
pub fn freeze_tenant(systemd: &Systemd, tenant: &TenantId) -> Result<bool, HostError> {
    if !slice_group(&tenant.slice()).is_dir() {
        return Ok(false);
    }
    write(systemd, tenant, "freeze", FREEZE).map(|()| true)
}

/// Lets a tenant's processes run again.
pub fn thaw_tenant(systemd: &Systemd, tenant: &TenantId) -> Result<(), HostError> {
    if !slice_group(&tenant.slice()).is_dir() {
        return Ok(());
    }
    write(systemd, tenant, "thaw", THAW)
}

/// Stops every unit in which a tenant's own processes run.
pub fn stop_tenant(systemd: &Systemd, tenant: &TenantId) -> Result<(), HostError> {
    let units = [tenant.unit(), format!("tenant-exec-[0-9]*-{}.service", tenant.system_name())];
    let running = systemd.list_any(&units)?.into_iter().filter(|(_, brief)| brief.active_state != "inactive");
    systemd.stop_all(&running.map(|(unit, _)| unit).collect::<Vec<_>>())
}

fn write(systemd: &Systemd, tenant: &TenantId, verb: &str, script: &str) -> Result<(), HostError> {
    let group = slice_group(&tenant.slice()).display().to_string();
    let unit = format!("tenantd-{verb}-{}.service", tenant.system_name());
    let text = |value: &str| Value::Text(value.to_owned());
    let transient = Transient {
        unit: unit.clone(),
        argv: ["/bin/sh", "-c", script, "sh", &group].map(str::to_owned).to_vec(),
        environment: BTreeMap::from([("LC_ALL".to_owned(), "C".to_owned())]),
        properties: vec![
            ("Description", Value::Text(format!("{verb} tenant {tenant}"))),
            ("NoNewPrivileges", Value::Flag(true)),
            ("CapabilityBoundingSet", Value::Number(0)),
            ("ProtectSystem", text("strict")),
            ("ReadWritePaths", Value::Texts(vec![group])),
            ("ProtectHome", text("yes")),
            ("PrivateNetwork", Value::Flag(true)),
            ("PrivateTmp", Value::Flag(true)),
            ("RestrictAddressFamilies", Value::Filter(true, Vec::new())),
            ("TimeoutStartUSec", Value::Number(30_000_000)),
        ],
    };
    let ended = systemd.run_transient(transient, &Cancel::new())?;
    if ended.result == "success" {
        return Ok(());
    }
    let text = format!(
        "cannot {verb} tenant {tenant}: its processes did not follow (unit ended with {}, status {}): see \"journalctl -u {unit}\"; a backup with --stop needs no freezing",
        ended.result, ended.status
    );
    Err(sentence(Exit::Os, text))
}
