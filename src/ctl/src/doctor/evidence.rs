//! What `doctor` looks at, gathered once. Whatever cannot be looked at is kept as the reason why not.

use std::collections::BTreeSet;

use api::{EdgeStatus, VaultStatus};
use host::Systemd;
use model::{Facts, Paths, Settings};

use super::egress::{self, WayOut};

/// What was found.
#[derive(Clone, Debug)]
pub(super) struct Evidence {
    /// What a plan depends on.
    pub(super) facts: Result<Facts, String>,
    /// The operator's settings.
    pub(super) settings: Result<Settings, String>,
    /// `/etc/nsswitch.conf`.
    pub(super) nsswitch: String,
    /// Whether the module nss-systemd is installed.
    pub(super) nss_systemd: bool,
    /// Whether polkit's daemon is installed.
    pub(super) polkit: bool,
    /// `ActiveState` of the fence's unit.
    pub(super) fence: Result<String, String>,
    /// `ActiveState` of the unit that tries the fence.
    pub(super) self_test: Result<String, String>,
    /// `ActiveState` of the daemon's unit.
    pub(super) daemon: Result<String, String>,
    /// `ActiveState` of the socket where gateways are given their secrets.
    pub(super) credentials: Result<String, String>,
    /// `ActiveState` of the socket at which egress proxies ask for programs.
    pub(super) identify: Result<String, String>,
    /// Ways out of tenants.
    pub(super) egress: Result<Vec<WayOut>, String>,
    /// What tenantd says of the vault; nothing where it does not run and was not asked.
    pub(super) vault: Option<Result<VaultStatus, String>>,
    /// What tenantd says of the edge; nothing where it was not asked or did not answer.
    pub(super) edge: Option<EdgeStatus>,
    /// What the uid pool meets on this host.
    pub(super) uid_conflicts: Result<Vec<String>, String>,
    /// What the address pools meet on this host.
    pub(super) address_conflicts: Result<Vec<String>, String>,
    /// `/proc/sys/dev/tty/legacy_tiocsti`; empty where the kernel has no such switch.
    pub(super) legacy_tiocsti: String,
    /// `/proc/sys/user/max_user_namespaces`.
    pub(super) max_user_namespaces: String,
    /// Debian's `/proc/sys/kernel/unprivileged_userns_clone`, where there is one.
    pub(super) unprivileged_userns_clone: String,
    /// The kernel's build configuration, where it can be read.
    pub(super) kernel_config: String,
}

/// Looks at the host.
pub(super) fn gather(paths: &Paths) -> Evidence {
    let systemd = Systemd::system();
    let facts = host::facts(paths, &systemd).map_err(|error| error.to_string());
    let settings = catalog::read_settings(paths).map_err(|error| error.to_string());
    let pools = settings.as_ref().map(|settings| settings.pools.clone()).unwrap_or_default();
    let text =
        |file: &str| std::fs::read_to_string(paths.root().join(file)).unwrap_or_default().trim().to_owned();
    let state =
        |unit: &str| systemd.unit(unit).map(|unit| unit.active_state).map_err(|error| error.to_string());
    let kernel = text("proc/sys/kernel/osrelease");
    let links = own_links(paths);
    let addresses = pools.addresses.iter().map(|pool| host::pools::address_conflicts(paths, *pool, &links));
    Evidence {
        nsswitch: text("etc/nsswitch.conf"),
        nss_systemd: has_library(paths, "libnss_systemd.so.2"),
        polkit: ["usr/lib/polkit-1/polkitd", "usr/libexec/polkitd"]
            .iter()
            .any(|file| paths.root().join(file).exists()),
        fence: state("tenantd-fence.service"),
        self_test: state("tenantd-selftest.service"),
        daemon: state("tenantd.service"),
        credentials: state("tenantd-credentials.socket"),
        identify: state("tenantd-identify.socket"),
        egress: egress::gather(paths, &systemd),
        vault: None,
        edge: None,
        uid_conflicts: host::pools::uid_conflicts(paths, pools.uids, &BTreeSet::new())
            .map_err(|error| error.to_string()),
        address_conflicts: addresses
            .collect::<Result<Vec<_>, _>>()
            .map(|found| found.concat())
            .map_err(|error| error.to_string()),
        legacy_tiocsti: text("proc/sys/dev/tty/legacy_tiocsti"),
        max_user_namespaces: text("proc/sys/user/max_user_namespaces"),
        unprivileged_userns_clone: text("proc/sys/kernel/unprivileged_userns_clone"),
        kernel_config: text(&format!("boot/config-{kernel}")),
        facts,
        settings,
    }
}

/// Links that tenants own: their addresses come from the pools and are no conflict.
fn own_links(paths: &Paths) -> BTreeSet<String> {
    let entries = std::fs::read_dir(paths.root().join("sys/class/net")).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter(|name| {
            let index = name.strip_prefix("tb").or_else(|| name.strip_prefix("tv"));
            index.is_some_and(|index| !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit()))
        })
        .collect()
}

/// Libraries lie in a directory named after the machine on Debian, in `lib` or `lib64` elsewhere.
fn has_library(paths: &Paths, name: &str) -> bool {
    ["usr/lib", "lib", "usr/lib64"].iter().any(|place| {
        let directory = paths.root().join(place);
        let below = std::fs::read_dir(&directory).into_iter().flatten().flatten();
        directory.join(name).exists() || below.map(|entry| entry.path()).any(|path| path.join(name).exists())
    })
}
