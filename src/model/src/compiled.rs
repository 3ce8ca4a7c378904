//! The root-owned files that tenantd writes and the small programs read: one direction, three files, JSON, strict.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::TenantId;

/// Format number of `confinement.json`; a program refuses any other.
pub const CONFINEMENT_FORMAT: u32 = 1;
/// Format number of `network.json`.
pub const NETWORK_FORMAT: u32 = 1;
/// Format number of `readiness.json`.
pub const READINESS_FORMAT: u32 = 1;

/// Everything `tenant-exec` does before it becomes the gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confinement {
    /// [`CONFINEMENT_FORMAT`].
    pub format: u32,
    /// Whose file this is.
    pub tenant: TenantId,
    /// The only uid and gid under which it may be applied.
    pub uid: u32,
    /// Program and arguments; `argv[0]` is an absolute path.
    pub argv: Vec<String>,
    /// The whole environment; nothing is inherited but what systemd passes for credentials.
    pub environment: BTreeMap<String, String>,
    /// Working directory.
    pub directory: String,
    /// Landlock.
    pub landlock: LandlockRuleset,
    /// Seccomp filters in the order of installation; the last one installed is asked first.
    pub seccomp: Vec<BpfFilter>,
    /// Resource limits set for soft and hard alike.
    pub rlimits: Vec<Rlimit>,
}

/// A Landlock ruleset in the kernel's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LandlockRuleset {
    /// The ABI whose rights are all handled; pinned when the file was compiled, never raised or lowered at run time.
    pub abi: u32,
    /// What is granted beneath which path.
    pub rules: Vec<LandlockRule>,
    /// TCP ports that may be bound, from ABI 4 on; `None` leaves binding to the namespace.
    pub bind_tcp: Option<Vec<u16>>,
}

/// Rights granted beneath one path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LandlockRule {
    /// Absolute path in the cell.
    pub path: String,
    /// Names of rights as in landlock(7), lower case without prefix: `read_file`, `write_file`, `execute`, `refer`, …
    pub access: Vec<String>,
    /// Whether the path may be missing (for example `/lib64`): then the rule is left out.
    #[serde(default)]
    pub optional: bool,
}

/// One compiled seccomp filter: classic BPF, each instruction packed as `code << 48 | jt << 40 | jf << 32 | k`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BpfFilter {
    /// What it is for, in messages: `kill`, `allow`, `otherwise 22`, `deny 1`.
    pub name: String,
    /// Instructions.
    pub program: Vec<u64>,
    /// Whether calls it refuses go to the audit log. Off as shipped: a tenant could fill the log at will.
    #[serde(default)]
    pub log: bool,
}

/// One resource limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rlimit {
    /// Name as in getrlimit(2) without the prefix: `NPROC`, `NOFILE`, `CORE`, …
    pub resource: String,
    /// Soft and hard value.
    pub value: u64,
}

/// Everything `tenant-net` builds for one tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// [`NETWORK_FORMAT`].
    pub format: u32,
    /// Whose file this is; also the alias of its links.
    pub tenant: TenantId,
    /// Links and addresses.
    pub link: HostLink,
    /// What the tenant may reach on its bridge address. Empty: nothing at all.
    pub services: Vec<Service>,
    /// Port of the gateway, for the probe of the fence.
    pub gateway_port: u16,
    /// Whether every connection that would leave the namespace is handed to the egress proxy in it
    /// ([`crate::egress::TRANSPARENT_PORT`]).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub intercept: bool,
}

/// The pair of links and their addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostLink {
    /// Name of the bridge, `tb<n>`.
    pub bridge: String,
    /// Name of the host's end, `tv<n>`.
    pub host: String,
    /// The bridge's address.
    pub bridge_address: Ipv4Addr,
    /// The tenant's address.
    pub tenant_address: Ipv4Addr,
    /// MAC of the bridge, locally administered; both sides know each other's permanently and speak no ARP.
    pub bridge_mac: [u8; 6],
    /// MAC of the tenant's `eth0`.
    pub tenant_mac: [u8; 6],
}

/// A protocol and port on the tenant's bridge address that the fence lets through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "protocol", rename_all = "lowercase")]
pub enum Service {
    /// A TCP port.
    Tcp {
        /// Port number.
        port: u16,
    },
    /// A UDP port.
    Udp {
        /// Port number.
        port: u16,
    },
}

/// How `tenant-ready` learns that the gateway answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Readiness {
    /// [`READINESS_FORMAT`].
    pub format: u32,
    /// Whose file this is.
    pub tenant: TenantId,
    /// Where to connect inside the namespace.
    pub address: Ipv4Addr,
    /// Port.
    pub port: u16,
    /// Path of the start-up check, for example `/startupz`.
    pub path: String,
    /// Text that the body must contain, because some gateways answer 200 to any path; empty: the status suffices.
    pub body_contains: String,
    /// Seconds until it gives up.
    pub timeout_sec: u32,
}
