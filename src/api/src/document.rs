//! The documents behind `--json`. Field names are stable; sizes are bytes, times are seconds since the epoch.

use std::collections::BTreeMap;

use model::Feature;
use serde::{Deserialize, Serialize};

/// One line of `tenantctl list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Identifier.
    pub id: String,
    /// `ActiveState` of the unit: `active`, `inactive`, `activating`, `failed`, …
    pub state: String,
    /// Whether it was put to sleep: the next request through the edge starts it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sleeping: bool,
    /// Whether it starts at boot.
    pub enabled: bool,
    /// Runtime name.
    pub runtime: String,
    /// Runtime version, or empty.
    pub version: String,
    /// Address inside.
    pub address: String,
    /// uid.
    pub uid: u32,
    /// Memory in use by the slice in bytes, where the host accounts it and the tenant runs.
    pub memory_bytes: Option<u64>,
    /// Protections it runs without.
    pub missing: Vec<Feature>,
    /// Why it was cut off: its fence did not hold when it was last tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alarm: Option<String>,
}

/// `tenantctl status`: what is wanted beside what was measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The line of the list.
    #[serde(flatten)]
    pub summary: Summary,
    /// When the last backup was made, in seconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_backup: Option<u64>,
    /// Unit name.
    pub unit: String,
    /// Sub-state and result of the unit: `running`, `failed (start-limit-hit)`, …
    pub sub_state: String,
    /// Why the unit last ended, in systemd's word: `success`, `exit-code`, `timeout`, `oom-kill`, …
    pub result: String,
    /// Slice name.
    pub slice: String,
    /// User name.
    pub user: String,
    /// Namespace path.
    pub netns: String,
    /// Gateway port.
    pub port: u16,
    /// Main process, where there is one.
    pub pid: Option<u32>,
    /// When the unit became active.
    pub since: Option<u64>,
    /// Answer of the gateway's start-up path, asked inside the namespace.
    pub health: Health,
    /// What was read off the running process, not off the spec.
    pub measured: Option<Measured>,
    /// Limits as systemd holds them: property → value; infinity is left out.
    pub limits: BTreeMap<String, u64>,
    /// Steps that `repair` would take; empty when the host is as the spec says.
    pub drift: Vec<String>,
    /// Whether the running gateway was started before its files last changed.
    pub restart_needed: bool,
    /// An operation that was interrupted and is still open, by kind.
    pub open_operation: Option<String>,
}

/// What the gateway said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// The unit does not run.
    Stopped,
    /// It answered as a ready gateway does.
    Ready,
    /// It answered otherwise, or not at all; the text says how.
    NotReady(String),
}

/// Read from `/proc/<pid>` of the main process and of its namespaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// Real uid.
    pub uid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// The five capability sets in hexadecimal: inheritable, permitted, effective, bounding, ambient.
    pub capabilities: BTreeMap<String, String>,
    /// `NoNewPrivs`.
    pub no_new_privs: bool,
    /// `Seccomp` mode: 2 is filter.
    pub seccomp_mode: u32,
    /// Number of filters.
    pub seccomp_filters: u32,
    /// Whether the process is in the namespace it should be in.
    pub in_own_netns: bool,
    /// Whether its cgroup lies below its slice.
    pub in_own_slice: bool,
    /// Landlock.
    pub landlock: LandlockStatus,
}

/// Landlock of a running gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LandlockStatus {
    /// ABI that was pinned.
    pub abi: u32,
    /// Rights the pinned ABI lacks, each with who holds it instead.
    pub held_elsewhere: Vec<String>,
    /// A gateway only starts once its ruleset has been seen to refuse a file; a running one is therefore proven.
    pub proven_at_start: bool,
}

/// What a change did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Whose.
    pub id: String,
    /// The steps, as `tenantctl plan` prints them.
    pub steps: Vec<String>,
    /// Whether they were only planned.
    pub dry_run: bool,
    /// Protections this tenant now runs without.
    pub missing: Vec<Feature>,
    /// State of the unit afterwards.
    pub state: String,
}

/// A progress message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// A tenant's or runtime's name.
    pub subject: String,
    /// 0 to 100.
    pub percent: u32,
    /// What is being done.
    pub text: String,
}

/// An installed version of a runtime.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    /// Runtime name.
    pub runtime: String,
    /// Version.
    pub version: String,
    /// Whether this is the one that new tenants get.
    pub pinned: bool,
    /// Whether this project tested it.
    pub tested: bool,
    /// Hash over the content manifest, hexadecimal.
    pub tree_hash: String,
    /// Bytes on disk.
    pub bytes: u64,
    /// Number of files.
    pub files: u64,
    /// Tenants that use it.
    pub tenants: Vec<String>,
    /// Where it came from.
    pub provenance: Provenance,
}

/// Where a runtime came from.
pub type Provenance = BTreeMap<String, String>;

/// Result of reading a runtime again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whether every file is as sealed.
    pub intact: bool,
    /// What differs, one line each, at most 100.
    pub differences: Vec<String>,
    /// Files read.
    pub files: u64,
    /// Hash over what was found.
    pub tree_hash: String,
}

/// One line of `tenantctl doctor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// `ok`, `missing`, `warning`.
    pub verdict: String,
    /// What was found.
    pub found: String,
    /// What to do; empty when nothing.
    pub remedy: String,
}

/// One secret of a tenant, without its value: one line of `tenantctl secret list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretSummary {
    /// Name.
    pub name: String,
    /// `proxy`, `file`, `variable` or `gateway`; `unreadable` or `missing` where something is wrong.
    pub kind: String,
    /// Version, from 1; it only grows.
    pub version: u64,
    /// When it was written.
    pub changed: Option<u64>,
    /// What is wrong with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// `tenantctl vault status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VaultStatus {
    /// `open`, `locked`, or `empty`: nothing was ever put in.
    pub state: String,
    /// Name of the KEK: 16 hexadecimal digits.
    pub kek: Option<String>,
    /// Whether a rotation of the KEK is under way.
    pub rotating: bool,
    /// Tenants with a vault.
    pub tenants: usize,
    /// Secrets of all of them.
    pub secrets: usize,
    /// What is wrong with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// For each tenant whose vault does not open as it should: the first thing wrong with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<String>,
}
