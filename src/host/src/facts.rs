//! What this host offers, as the kernel and systemd say it.

use std::os::unix::fs::PermissionsExt;

use model::{Facts, Paths};
use nix::sys::utsname::uname;
use plan::HostError;

use crate::pools::kernel_file;
use crate::{Systemd, quota};

/// Loads the fence; failed, it says that the kernel or the program cannot.
const FENCE: &str = "tenantd-fence.service";

/// Looks at the host.
pub fn facts(paths: &Paths, systemd: &Systemd) -> Result<Facts, HostError> {
    let kernel = uname().map(|names| names.release().to_string_lossy().into_owned()).unwrap_or_default();
    let read = |file: &str| kernel_file(&paths.root().join(file));
    let controllers = read("sys/fs/cgroup/cgroup.controllers")?;
    Ok(Facts {
        kernel,
        systemd: systemd.version()?,
        landlock_abi: confine::landlock::abi(),
        seccomp: confine::seccomp::available(),
        controllers: controllers.split_ascii_whitespace().map(str::to_owned).collect(),
        project_quota: quota::is_available(paths)?,
        nft: nft_program(paths) && systemd.unit(FENCE)?.active_state != "failed",
        memory_bytes: memory_bytes(&read("proc/meminfo")?),
        cpus: cpus(&read("sys/devices/system/cpu/online")?),
    })
}

/// Whether the program that loads the fence is there.
fn nft_program(paths: &Paths) -> bool {
    ["usr/sbin/nft", "sbin/nft"].iter().any(|file| {
        let metadata = paths.root().join(file).metadata();
        metadata.is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    })
}

/// `MemTotal` of `/proc/meminfo`, in bytes.
fn memory_bytes(text: &str) -> u64 {
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.split_ascii_whitespace().next()?.parse().ok());
    kib.map_or(0, |kib: u64| kib.saturating_mul(1024))
}

/// Number of processors in a list such as `0-3,8`.
fn cpus(text: &str) -> u32 {
    let count = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        last.checked_sub(first)?.checked_add(1)
    };
    text.trim().split(',').filter_map(count).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_and_memory_are_read_as_the_kernel_writes_them() {
        assert_eq!(cpus("0-3,8\n"), 5);
        assert_eq!(cpus("0\n"), 1);
        assert_eq!(cpus(""), 0);
        assert_eq!(memory_bytes("MemTotal:       2048 kB\nMemFree: 1 kB\n"), 2 << 20);
    }
}
