//! Whose egress proxy is at the other end of a socket: the tenant in whose `tenant-egress@NAME.service` the kernel says it runs.

use std::io::Read;
use std::os::unix::fs::MetadataExt;

use model::TenantId;
use tokio::net::UnixStream;

/// Bytes of `/proc/PID/cgroup` that are read: on a host with one hierarchy it is one line.
const MOST: u64 = 4096;

/// The tenant; nothing for anybody else. Where a process ends and its number is used again in between, its user is another.
pub(super) fn peer(stream: &UnixStream) -> Option<TenantId> {
    let peer = stream.peer_cred().ok()?;
    let place = format!("/proc/{}/cgroup", peer.pid()?);
    let file = std::fs::File::open(&place).ok()?;
    if peer.uid() == 0 || file.metadata().ok()?.uid() != peer.uid() {
        return None;
    }
    let mut text = String::new();
    file.take(MOST).read_to_string(&mut text).ok()?;
    tenant_of(&text)
}

fn tenant_of(cgroup: &str) -> Option<TenantId> {
    let path = cgroup.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let (slices, unit) = path.rsplit_once('/')?;
    let name = unit.strip_prefix("tenant-egress@")?.strip_suffix(".service")?;
    let id = TenantId::from_system_name(name).ok()?;
    (slices == format!("tenants.slice/{}", id.slice())).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_unit_in_its_own_slice_is_a_proxy() {
        let of = |text: &str| tenant_of(text).map(|id| id.to_string());
        let own = "0::/tenants.slice/tenants-acme_corp.slice/tenant-egress@acme_corp.service\n";
        assert_eq!(of(own).as_deref(), Some("acme-corp"));
        for text in [
            "",
            "0::/\n",
            "0::/tenants.slice/tenants-acme.slice/tenant@acme.service\n",
            "0::/tenants.slice/tenants-beta.slice/tenant-egress@acme.service\n",
            "0::/system.slice/tenant-egress@acme.service\n",
            "0::/tenants.slice/tenants-acme.slice/tenant-egress@acme.service/sub\n",
            "0::/user.slice/tenants.slice/tenants-acme.slice/tenant-egress@acme.service\n",
            "1:name=systemd:/tenants.slice/tenants-acme.slice/tenant-egress@acme.service\n",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn this_test_is_no_proxy() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (one, _other) = UnixStream::pair().unwrap();
            assert_eq!(peer(&one), None);
        });
    }
}
