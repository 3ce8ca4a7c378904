//! What holds a running gateway, read off the process and not off the spec.
//!
//! Only what the kernel itself says is read. The process is held by a descriptor meanwhile, so that a number that is
//! given to another process is noticed.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use api::{LandlockStatus, Measured};
use model::{Exit, Paths, TenantId};
use nix::errno::Errno;
use plan::HostError;

use crate::error::{os, sentence};
use crate::pools::kernel_file;
use crate::sys;

/// Reads a tenant's main process. `landlock` is what its confinement file pinned: the kernel tells nobody else's domain.
pub fn measured(
    paths: &Paths,
    tenant: &TenantId,
    pid: u32,
    landlock: LandlockStatus,
) -> Result<Measured, HostError> {
    let proc = PathBuf::from(format!("/proc/{pid}"));
    let failed = |errno| os("read", &proc, errno);
    let pidfd = sys::pidfd_open(pid)
        .map_err(|errno| if errno == Errno::ESRCH { ended(tenant) } else { failed(errno) })?;
    let status = kernel_file(&proc.join("status"))?;
    let cgroup = kernel_file(&proc.join("cgroup"))?;
    let own = std::fs::metadata(proc.join("ns/net")).map(|found| (found.dev(), found.ino())).ok();
    let pinned = std::fs::metadata(paths.netns(tenant)).map(|found| (found.dev(), found.ino())).ok();
    if sys::has_ended(&pidfd).map_err(failed)? {
        return Err(ended(tenant));
    }
    let field = |name: &str| {
        status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap_or("").trim()
    };
    let number = |name: &str| field(name).split_ascii_whitespace().next().and_then(|text| text.parse().ok());
    let sets = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];
    let names = ["inheritable", "permitted", "effective", "bounding", "ambient"];
    let set = |(name, set): (&str, &str)| (name.to_owned(), field(set).to_owned());
    Ok(Measured {
        uid: number("Uid").unwrap_or(u32::MAX),
        groups: field("Groups").split_ascii_whitespace().filter_map(|text| text.parse().ok()).collect(),
        capabilities: names.into_iter().zip(sets).map(set).collect::<BTreeMap<_, _>>(),
        no_new_privs: number("NoNewPrivs") == Some(1),
        seccomp_mode: number("Seccomp").unwrap_or(0),
        seccomp_filters: number("Seccomp_filters").unwrap_or(0),
        in_own_netns: own.is_some() && own == pinned,
        in_own_slice: in_slice(&cgroup, &tenant.slice()),
        landlock,
    })
}

/// The control group of a tenant's slice.
pub(crate) fn slice_group(slice: &str) -> PathBuf {
    PathBuf::from("/sys/fs/cgroup/tenants.slice").join(slice)
}

/// Bytes of memory that a slice uses, where the host accounts them and the slice is active.
#[must_use]
pub fn memory_current(slice: &str) -> Option<u64> {
    let file = slice_group(slice).join("memory.current");
    kernel_file(&file).ok()?.trim().parse().ok()
}

/// Whether the cgroup of the process lies below its slice, by the line of the unified hierarchy.
fn in_slice(cgroup: &str, slice: &str) -> bool {
    let path = cgroup.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("");
    path.split('/').any(|part| part == slice)
}

fn ended(tenant: &TenantId) -> HostError {
    let text = format!("tenant {tenant}: its main process ended while it was looked at: try again");
    sentence(Exit::TempFail, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn landlock() -> LandlockStatus {
        LandlockStatus { abi: 6, held_elsewhere: Vec::new(), proven_at_start: true }
    }

    #[test]
    fn this_process_is_read_as_it_is() {
        let tenant = TenantId::parse("acme").unwrap();
        let found = measured(&Paths::host(), &tenant, std::process::id(), landlock()).unwrap();
        assert_eq!(found.uid, nix::unistd::getuid().as_raw());
        assert_eq!(found.capabilities.len(), 5);
        assert!(found.capabilities.values().all(|set| set.len() == 16), "{found:?}");
        assert!(!found.in_own_netns);
        assert!(!found.in_own_slice);
    }

    #[test]
    fn a_process_that_ended_is_not_taken_for_another() {
        let tenant = TenantId::parse("acme").unwrap();
        let error = measured(&Paths::host(), &tenant, 4_194_303, landlock()).unwrap_err();
        assert_eq!(error.exit, Exit::TempFail);
    }

    #[test]
    fn a_slice_is_found_by_a_whole_part_of_the_path() {
        let text = "1:name=systemd:/x\n0::/tenants.slice/tenants-acme.slice/tenant@acme.service\n";
        assert!(in_slice(text, "tenants-acme.slice"));
        assert!(!in_slice(text, "tenants-ac.slice"));
    }
}
