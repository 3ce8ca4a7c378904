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

/// The tenant of a `/proc/PID/cgroup`: of the one hierarchy that systemd has its units in (cgroup2). Only the unit itself in the slice of
/// its own tenant counts: below a service, a tenant might make groups of any name.
fn unit(text: &str) -> Option<TenantId> {
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let (slices, service) = path.rsplit_once('/')?;
    let name = service.strip_prefix("tenant-egress@")?.strip_suffix(".service")?;
    let id = TenantId::from_system_name(name).ok()?;
    (slices == format!("tenants.slice/{}", id.slice())).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_unit_in_its_own_slice_is_a_proxy() {
        let of = |text: &str| unit(text).map(|id| id.to_string());
        let own = "0::/tenants.slice/tenants-acme_corp.slice/tenant-egress@acme_corp.service\n";
        assert_eq!(of(own).as_deref(), Some("acme-corp"));
        // In a container on a host with older hierarchies.
        assert_eq!(of(&format!("9:name=systemd:/\n2:cpu:/\n{own}")).as_deref(), Some("acme-corp"));
        for text in [
            "",
            "0::/\n",
            "0::/tenants.slice/tenants-acme.slice/tenant@acme.service\n",
            "0::/tenants.slice/tenants-beta.slice/tenant-egress@acme.service\n",
            "0::/system.slice/tenant-egress@acme.service\n",
            "0::/tenants.slice/tenants-acme.slice/tenant-egress@acme.service/sub\n",
            "0::/tenants.slice/tenants-acme.slice/tenant@acme.service/tenant-egress@acme.service\n",
            "0::/user.slice/tenants.slice/tenants-acme.slice/tenant-egress@acme.service\n",
            "0::/tenants.slice/tenants-a.slice/tenant-egress@../x.service\n",
            "1:name=systemd:/tenants.slice/tenants-acme.slice/tenant-egress@acme.service\n",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn a_test_is_no_proxy() {
        let (own, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(matches!(tenant_of(&own), Err(PeerError::Elsewhere(_))));
    }
}
