//! Where things lie on the host. One table, so that no other crate spells a path.

use std::path::{Path, PathBuf};

use crate::TenantId;

/// The places of a host, all below one root so that a test can put them elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    root: PathBuf,
}

impl Paths {
    /// The places below `root`; `/` on a real host.
    pub fn below(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The places of the running host.
    pub fn host() -> Self {
        Self::below("/")
    }

    fn at(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// `/etc/tenantd/tenantd.toml`: the operator's settings.
    pub fn settings(&self) -> PathBuf {
        self.at("etc/tenantd/tenantd.toml")
    }

    /// `/etc/tenantd/tenants.d`: one spec file per tenant.
    pub fn specs(&self) -> PathBuf {
        self.at("etc/tenantd/tenants.d")
    }

    /// The spec file of one tenant.
    pub fn spec(&self, id: &TenantId) -> PathBuf {
        self.specs().join(format!("{id}.toml"))
    }

    /// `/etc/userdb`: user and group records that nss-systemd reads.
    pub fn userdb(&self) -> PathBuf {
        self.at("etc/userdb")
    }

    /// `/var/lib/tenantd`: tenantd's own state.
    pub fn state(&self) -> PathBuf {
        self.at("var/lib/tenantd")
    }

    /// The database of allocations and of operations under way.
    pub fn database(&self) -> PathBuf {
        self.state().join("state.db")
    }

    /// `/var/lib/tenantd/vault`: sealed secrets, `<tenant>/`.
    pub fn vault(&self) -> PathBuf {
        self.state().join("vault")
    }

    /// `/var/lib/tenantd/edge`: what the edge reads (`model::edge`), and nothing else.
    pub fn edge(&self) -> PathBuf {
        self.state().join("edge")
    }

    /// The way to one tenant's gateway.
    pub fn route(&self, id: &TenantId) -> PathBuf {
        self.edge().join("routes").join(format!("{}.json", id.system_name()))
    }

    /// `/var/lib/tenantd-edge`: the edge's own state.
    pub fn edge_state(&self) -> PathBuf {
        self.at("var/lib/tenantd-edge")
    }

    /// Where the edge's numbers are read.
    pub fn edge_metrics(&self) -> PathBuf {
        self.at("run/tenantd-edge/metrics.sock")
    }

    /// `/etc/tenantd/edge.toml`: the operator's settings of the edge.
    pub fn edge_settings(&self) -> PathBuf {
        self.at("etc/tenantd/edge.toml")
    }

    /// `/var/lib/tenantd/signing`: keys that sign tokens, sealed by the host's own key.
    pub fn signing(&self) -> PathBuf {
        self.state().join("signing")
    }

    /// Where the edge asks for a sleeping tenant to be woken.
    pub fn wake_socket(&self) -> PathBuf {
        self.at("run/tenantd/wake.sock")
    }

    /// Where the edge asks for the name of a gateway's proof header.
    pub fn proof_socket(&self) -> PathBuf {
        self.at("run/tenantd/proof.sock")
    }

    /// `/var/lib/tenantd/egress/<tenant>`: what one tenant's proxy reads (`model::egress`).
    pub fn egress(&self, id: &TenantId) -> PathBuf {
        self.state().join("egress").join(id.system_name())
    }

    /// The proxy's own state: what it has used of budgets. Written by it, so believed in nothing else.
    pub fn egress_state(&self, id: &TenantId) -> PathBuf {
        self.at("var/lib/private/tenant-egress").join(id.system_name())
    }

    /// Where proxies ask about destinations.
    pub fn ask_socket(&self) -> PathBuf {
        self.at("run/tenantd/closed/questions/ask.sock")
    }

    /// Where proxies ask which program a connection belongs to.
    pub fn identify_socket(&self) -> PathBuf {
        self.at("run/tenantd/closed/questions/identify.sock")
    }

    /// Installed runtimes, `<runtime>/<version>/`.
    pub fn runtimes(&self) -> PathBuf {
        self.state().join("runtimes")
    }

    /// Root-owned files compiled for one tenant; bound read-only into its cell.
    pub fn compiled(&self, id: &TenantId) -> PathBuf {
        self.state().join("compiled").join(id.system_name())
    }

    /// Data of one tenant: root-owned, holding `home/`, `state/` and `workspace/` owned by the tenant.
    pub fn data(&self, id: &TenantId) -> PathBuf {
        self.at("var/lib/tenants").join(id.system_name())
    }

    /// `/var/lib/tenants`.
    pub fn all_data(&self) -> PathBuf {
        self.at("var/lib/tenants")
    }

    /// `/usr/share/tenantd/policies`: security as data, as shipped.
    pub fn policies(&self) -> PathBuf {
        self.at("usr/share/tenantd/policies")
    }

    /// Where the network namespace of one tenant is found while its network is up.
    pub fn netns(&self, id: &TenantId) -> PathBuf {
        self.at("run/netns").join(format!("t-{}", id.system_name()))
    }

    /// `/run/tenantd/alarms`: tenants that were cut off because their fence did not hold.
    pub fn alarms(&self) -> PathBuf {
        self.at("run/tenantd/alarms")
    }

    /// Why one tenant was cut off, as long as that stands.
    pub fn alarm(&self, id: &TenantId) -> PathBuf {
        self.alarms().join(id.system_name())
    }

    /// The place where enabling a tenant puts its link.
    pub fn enabled_units(&self) -> PathBuf {
        self.at("etc/systemd/system/tenants.target.wants")
    }

    /// Where systemd keeps properties that were set for good: `<unit>.d/50-<Name>.conf`.
    pub fn unit_control(&self) -> PathBuf {
        self.at("etc/systemd/system.control")
    }

    /// The root everything lies below.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

/// Places inside the cell of an egress proxy, the same for every tenant.
pub mod egress_cell {
    /// `egress.json` and `approvals.json`, read-only.
    pub const FILES: &str = "/run/tenantd/egress";
}

/// Places inside a cell, the same for every tenant.
pub mod cell {
    /// The tenant's compiled files, read-only.
    pub const CELL: &str = "/run/tenantd/cell";
    /// The confinement file that `tenant-exec` reads.
    pub const CONFINEMENT: &str = "/run/tenantd/cell/confinement.json";
    /// A root-owned, world-readable file that Landlock must refuse: `tenant-exec` proves the ruleset on it.
    pub const CANARY: &str = "/run/tenantd/cell/canary";
    /// Rendered configuration of the gateway, read-only; `tenant-exec` copies it to [`crate::delivery::CONFIG`].
    pub const CONFIG: &str = "/run/tenantd/cell/config";
    /// Certificate of the authority by which the egress proxy speaks for others, PEM.
    pub const AUTHORITY: &str = "/run/tenantd/cell/egress-authority.pem";
    /// The sealed runtime, read-only.
    pub const RUNTIME: &str = "/run/tenantd/runtime";
}
