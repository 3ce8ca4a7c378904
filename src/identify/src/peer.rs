//! The tenant whose proxy is at the other end of a Unix socket.

use std::os::fd::AsFd;
use std::path::Path;

use model::TenantId;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use thiserror::Error;

use crate::process;

/// Why it is nobody's.
#[derive(Debug, Error)]
pub enum PeerError {
    /// The kernel does not tell.
    #[error("the kernel does not tell who is at the other end: {0}")]
    Unknown(#[from] nix::Error),
    /// The process is gone, or is another.
    #[error("process {0} is gone, or is not the one that connected")]
    Gone(u32),
    /// It is in no unit of a proxy.
    #[error("process {0} is not in a unit tenant-egress@TENANT.service")]
    Elsewhere(u32),
}

/// The tenant whose `tenant-egress@.service` has opened the other end.
///
/// # Errors
///
/// [`PeerError`].
pub fn tenant_of(stream: &impl AsFd) -> Result<TenantId, PeerError> {
    let peer = getsockopt(stream, PeerCredentials)?;
    let pid = u32::try_from(peer.pid()).ok().filter(|pid| *pid > 0).ok_or(PeerError::Gone(0))?;
    let proc = Path::new("/proc");
    // What is read between two looks at the same birth is of one process; that it is the one that connected, its uid says.
    let born = process::born(proc, pid).ok_or(PeerError::Gone(pid))?;
    let text = process::read(&proc.join(pid.to_string()).join("cgroup")).map_err(|_| PeerError::Gone(pid))?;
    let uid = process::uid(proc, pid);
    if uid != Some(peer.uid()) || process::born(proc, pid) != Some(born) {
        return Err(PeerError::Gone(pid));
    }
    unit(&text).ok_or(PeerError::Elsewhere(pid))
}

/// The tenant of a `/proc/PID/cgroup`. Only systemd makes groups directly below slices; below a service, a tenant might.
fn unit(text: &str) -> Option<TenantId> {
    let named = text.lines().find_map(|line| line.split_once(":name=systemd:").map(|(_, path)| path));
    let path = named.or_else(|| text.lines().find_map(|line| line.strip_prefix("0::")))?;
    let (slices, service) = path.strip_prefix('/')?.rsplit_once('/')?;
    if !slices.split('/').all(|slice| slice.ends_with(".slice")) {
        return None;
    }
    let name = service.strip_prefix("tenant-egress@")?.strip_suffix(".service")?;
    TenantId::from_system_name(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_known_by_systemds_own_group_only() {
        let acme = Some(TenantId::parse("acme").unwrap());
        let unit = |path: &str| unit(&format!("0::{path}\n"));
        assert_eq!(unit("/tenants.slice/tenants-acme.slice/tenant-egress@acme.service"), acme);
        for path in [
            "/",
            "",
            "/tenant-egress@acme.service",
            "/a.slice/tenant-egress@.service",
            "/a.slice/tenant-egress@Acme.service",
            "/a.slice/openclaw@x.service/tenant-egress@acme.service",
            "/a.slice/tenant-egress@acme.service/sub",
            "/user.slice/user-1000.slice/user@1000.service/app.slice/tenant-egress@acme.service",
            "/a.slice/tenant-egress@../x.service",
        ] {
            assert_eq!(unit(path), None, "{path}");
        }
        assert_eq!(unit("/a.slice/tenant-egress@a_b.service"), Some(TenantId::parse("a-b").unwrap()));
        let hybrid = "2:cpu:/\n1:name=systemd:/a.slice/tenant-egress@acme.service\n0::/a.slice/tenant-egress@acme.service\n";
        assert_eq!(super::unit(hybrid), acme);
    }

    #[test]
    fn a_test_is_no_proxy() {
        let (own, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(matches!(tenant_of(&own), Err(PeerError::Elsewhere(_))));
    }
}
