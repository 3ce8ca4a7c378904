//! Resource limits: properties of the tenant's slice, resource limits of its processes, a quota on its data.

use model::{Facts, Feature, Limits, PropertyValue, Resource, Rlimit};

use super::{Layer, require};
use crate::draft::Part;
use crate::{Draft, Refusal, Tenant};

/// Limits in force.
pub(super) struct ResourceLimits;

impl Layer for ResourceLimits {
    fn name(&self) -> &'static str {
        "limits"
    }

    fn draft(&self, tenant: &Tenant, facts: &Facts, out: &mut Draft) -> Result<(), Refusal> {
        let limits = &tenant.limits;
        within_host(tenant, limits, facts)?;
        for (feature, asked) in [
            (
                Feature::CgroupMemory,
                limits.memory_max.or(limits.memory_high).or(limits.memory_swap_max).is_some(),
            ),
            (Feature::CgroupCpu, limits.cpu_quota.is_some() || limits.cpu_weight.is_some()),
            (Feature::CgroupPids, limits.tasks_max.is_some()),
            (Feature::CgroupIo, limits.io_weight.is_some()),
            (Feature::DiskQuota, limits.disk_max.is_some()),
        ] {
            if asked {
                require("limits", feature, tenant, facts)?;
            }
        }
        for (name, value) in slice_properties(limits) {
            out.ask(Part::SliceProperty { name: name.to_owned(), value: PropertyValue::U64(value) });
        }
        for (resource, value) in [
            ("CORE", Some(0)),
            ("NOFILE", Some(16_384)),
            ("MEMLOCK", Some(64 << 10)),
            ("NPROC", limits.tasks_max),
        ] {
            if let Some(value) = value {
                out.ask(Part::Rlimit(Rlimit { resource: resource.to_owned(), value }));
            }
        }
        if let Some(bytes) = limits.disk_max.filter(|_| facts.project_quota) {
            out.resource(Resource::Quota {
                path: tenant.paths.data(tenant.id()),
                project: tenant.allocation.project(),
                bytes: bytes.0,
            });
        }
        Ok(())
    }
}

/// Properties in systemd's D-Bus names and units.
fn slice_properties(limits: &Limits) -> Vec<(&'static str, u64)> {
    [
        ("MemoryMax", limits.memory_max.map(|size| size.0)),
        ("MemoryHigh", limits.memory_high.map(|size| size.0)),
        ("MemorySwapMax", limits.memory_swap_max.map(|size| size.0)),
        ("CPUQuotaPerSecUSec", limits.cpu_quota.map(|quota| quota.usec_per_sec())),
        ("CPUWeight", limits.cpu_weight),
        ("TasksMax", limits.tasks_max),
        ("IOWeight", limits.io_weight),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
}

fn within_host(tenant: &Tenant, limits: &Limits, facts: &Facts) -> Result<(), Refusal> {
    let refuse = |key, value: String, available: String| {
        Err(Refusal::AboveHost { tenant: tenant.id().clone(), key, value, available })
    };
    if let Some(memory) = limits.memory_max.filter(|memory| memory.0 > facts.memory_bytes) {
        return refuse("memory_max", memory.to_string(), format!("{}M of memory", facts.memory_bytes >> 20));
    }
    if let Some(quota) = limits.cpu_quota.filter(|quota| u64::from(quota.0) > u64::from(facts.cpus) * 100) {
        return refuse("cpu_quota", quota.to_string(), format!("{} processors", facts.cpus));
    }
    Ok(())
}
