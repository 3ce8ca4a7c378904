//! Keeping a tenant still: all its processes frozen, by the freezer of the kernel's control groups.

use model::TenantId;
use plan::HostError;

use crate::Systemd;

/// The units in which a tenant's own processes run: its gateway, and commands of `tenantctl exec`.
fn units(tenant: &TenantId) -> [String; 2] {
    [tenant.unit(), format!("tenant-exec-[0-9]*-{}.service", tenant.system_name())]
}

/// Freezes every process of a tenant, and says whether there was any. After an error none is frozen.
pub fn freeze_tenant(systemd: &Systemd, tenant: &TenantId) -> Result<bool, HostError> {
    let mut any = false;
    for (unit, brief) in systemd.list_any(&units(tenant))? {
        if brief.is_up() {
            if let Err(error) = systemd.freeze(&unit) {
                thaw_tenant(systemd, tenant)?;
                return Err(error);
            }
            any = true;
        }
    }
    Ok(any)
}

/// Lets a tenant's processes run again, whichever are frozen.
pub fn thaw_tenant(systemd: &Systemd, tenant: &TenantId) -> Result<(), HostError> {
    let mut first = Ok(());
    for (unit, brief) in systemd.list_any(&units(tenant))? {
        if brief.is_up() {
            first = first.and(systemd.thaw(&unit));
        }
    }
    first
}

/// Stops every unit in which a tenant's own processes run.
pub fn stop_tenant(systemd: &Systemd, tenant: &TenantId) -> Result<(), HostError> {
    let running = systemd.list_any(&units(tenant))?.into_iter().filter(|(_, brief)| brief.is_up());
    systemd.stop_all(&running.map(|(unit, _)| unit).collect::<Vec<_>>())
}
