//! What this host offers, as far as a plan depends on it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::Feature;

/// A cgroup v2 controller, by the kernel's name.
pub type Controller = String;

/// What was found on the host. Pure input of every layer; made by `host`, or read from a file by `tenantctl plan --facts`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// Kernel release, as `uname -r` prints it.
    pub kernel: String,
    /// systemd's major version.
    pub systemd: u32,
    /// Landlock ABI of the kernel; 0 when Landlock is absent or not enabled (`lsm=`).
    pub landlock_abi: u32,
    /// Whether seccomp filters can be installed.
    pub seccomp: bool,
    /// cgroup v2 controllers available at the root of the tree.
    pub controllers: BTreeSet<Controller>,
    /// Whether `/var/lib/tenants` is on a file system with project quota turned on.
    pub project_quota: bool,
    /// Whether the kernel and the `nft` program can load the fence.
    pub nft: bool,
    /// Bytes of memory of the host.
    pub memory_bytes: u64,
    /// Number of processors online.
    pub cpus: u32,
}

impl Facts {
    /// Whether the host has `feature`.
    pub fn has(&self, feature: Feature) -> bool {
        let controller = |name: &str| self.controllers.contains(name);
        match feature {
            Feature::CgroupMemory => controller("memory"),
            Feature::CgroupCpu => controller("cpu"),
            Feature::CgroupPids => controller("pids"),
            Feature::CgroupIo => controller("io"),
            Feature::DiskQuota => self.project_quota,
        }
    }
}
