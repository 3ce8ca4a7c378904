//! Keeping a tenant still: its whole slice frozen, by systemd. Frozen by systemd and not by a write to the kernel's file, because systemd must
//! know: what it would start in a frozen control group never gets as far as its program, and systemd 257 waits for that.

use model::TenantId;
use plan::HostError;

use crate::Systemd;

/// Freezes every process of a tenant, and says whether there can be any. After an error nothing is frozen.
pub fn freeze_tenant(systemd: &Systemd, tenant: &TenantId) -> Result<bool, HostError> {
    let slice = tenant.slice();
    if !systemd.list_any(std::slice::from_ref(&slice))?.get(&slice).is_some_and(crate::Brief::is_up) {
        return Ok(false);
    }
    if let Err(error) = systemd.freeze(&slice) {
        systemd.thaw(&slice)?;
        return Err(error);
    }
    Ok(true)
}

/// Lets a tenant's processes run again.
pub fn thaw_tenant(systemd: &Systemd, tenant: &TenantId) -> Result<(), HostError> {
    systemd.thaw(&tenant.slice())
}

/// Stops every unit in which a tenant's own processes run.
pub fn stop_tenant(systemd: &Systemd, tenant: &TenantId) -> Result<(), HostError> {
    let units = [tenant.unit(), format!("tenant-exec-[0-9]*-{}.service", tenant.system_name())];
    let running = systemd.list_any(&units)?.into_iter().filter(|(_, brief)| brief.active_state != "inactive");
    systemd.stop_all(&running.map(|(unit, _)| unit).collect::<Vec<_>>())
}
