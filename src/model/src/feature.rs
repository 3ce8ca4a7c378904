//! Features of a host that a layer needs and that an operator may accept to miss, by name.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A named protection that this host may lack. `accept_missing` in a spec lists them by these names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Feature {
    /// cgroup v2 memory controller: `MemoryMax=` has no effect without it.
    CgroupMemory,
    /// cgroup v2 cpu controller: `CPUQuota=` and `CPUWeight=` have no effect without it.
    CgroupCpu,
    /// cgroup v2 pids controller: `TasksMax=` has no effect without it (the per-uid `RLIMIT_NPROC` still holds).
    CgroupPids,
    /// cgroup v2 io controller: `IOWeight=` has no effect without it.
    CgroupIo,
    /// Project quota on the file system of `/var/lib/tenants`.
    DiskQuota,
}

impl Feature {
    /// Every feature.
    pub const ALL: [Feature; 5] = [
        Feature::CgroupMemory,
        Feature::CgroupCpu,
        Feature::CgroupPids,
        Feature::CgroupIo,
        Feature::DiskQuota,
    ];

    /// The name used in specs.
    pub fn name(self) -> &'static str {
        match self {
            Feature::CgroupMemory => "cgroup-memory",
            Feature::CgroupCpu => "cgroup-cpu",
            Feature::CgroupPids => "cgroup-pids",
            Feature::CgroupIo => "cgroup-io",
            Feature::DiskQuota => "disk-quota",
        }
    }

    /// What an operator does to get it.
    pub fn remedy(self) -> &'static str {
        match self {
            Feature::CgroupMemory => {
                "boot with cgroup v2 and the memory controller (kernel command line: systemd.unified_cgroup_hierarchy=1 cgroup_enable=memory)"
            }
            Feature::CgroupCpu | Feature::CgroupPids | Feature::CgroupIo => {
                "boot with cgroup v2 (kernel command line: systemd.unified_cgroup_hierarchy=1, and no cgroup_disable= for this controller)"
            }
            Feature::DiskQuota => {
                "mount the file system of /var/lib/tenants with project quota (ext4: tune2fs -O project,quota and mount option prjquota; XFS: mount option prjquota)"
            }
        }
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
