//! Resources: the things tenantd makes on a host, each with the one key it is known by.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Kinds of resources in the order in which they are made; removal goes the other way. The order is the fail-closed
/// rule itself: a unit is last, everything that fences it comes before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// User and group records.
    Account,
    /// A directory.
    Directory,
    /// A disk quota.
    Quota,
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
    /// Limits of a slice.
    Slice,
    /// A unit that is started at boot.
    Enablement,
    /// A running unit.
    Unit,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Account => "account",
            Kind::Directory => "directory",
            Kind::Quota => "quota",
            Kind::File => "file",
            Kind::Link => "link",
            Kind::Slice => "slice",
            Kind::Enablement => "enablement",
            Kind::Unit => "unit",
        })
    }
}

/// What a resource is known by: its kind and its name (a path, a user name, a unit name).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// Kind; sorts first.
    pub kind: Kind,
    /// Name within the kind.
    pub name: String,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// Owner of a file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl Owner {
    /// root:root.
    pub const ROOT: Owner = Owner { uid: 0, gid: 0 };

    /// root, readable by one group.
    pub fn root_for(gid: u32) -> Owner {
        Owner { uid: 0, gid }
    }

    /// A tenant's uid and gid.
    pub fn tenant(uid: u32) -> Owner {
        Owner { uid, gid: uid }
    }
}

/// Content of a file. Sensitive content never shows in a plan, a log or an error.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    bytes: Vec<u8>,
    sensitive: bool,
}

impl Content {
    /// Content that may be shown.
    pub fn plain(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), sensitive: false }
    }

    /// Content that must not be shown.
    pub fn sensitive(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), sensitive: true }
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether the bytes must not be shown.
    pub fn is_sensitive(&self) -> bool {
        self.sensitive
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.sensitive { "sensitive" } else { "plain" };
        write!(f, "Content({} bytes, {what})", self.bytes.len())
    }
}

/// The user and group of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// User and group name.
    pub name: String,
    /// uid and gid.
    pub uid: u32,
    /// Shown as the real name.
    pub comment: String,
    /// Home directory.
    pub home: PathBuf,
}

/// A property value of a systemd unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PropertyValue {
    /// D-Bus type `t`; `u64::MAX` is systemd's infinity.
    U64(u64),
}

/// One thing on the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Resource {
    /// User and group.
    Account(Account),
    /// A directory; made by root inside directories that only root writes.
    Directory {
        /// Absolute path.
        path: PathBuf,
        /// Owner.
        owner: Owner,
        /// Permission bits.
        mode: u32,
        /// Whether its content belongs to the tenant: removed with it by a process of the tenant's uid, never walked by root.
        tenant_content: bool,
    },
    /// Project quota on a directory.
    Quota {
        /// Absolute path of the tree.
        path: PathBuf,
        /// Project id.
        project: u32,
        /// Most bytes.
        bytes: u64,
    },
    /// A regular file, written atomically.
    File {
        /// Absolute path.
        path: PathBuf,
        /// Owner.
        owner: Owner,
        /// Permission bits.
        mode: u32,
        /// Content.
        content: Content,
        /// Whether a running gateway sees a change only after a restart.
        restart: bool,
    },
    /// A symbolic link between root-owned places.
    Link {
        /// Absolute path.
        path: PathBuf,
        /// Target as written.
        target: PathBuf,
        /// Whether a running gateway sees a change only after a restart.
        restart: bool,
    },
    /// Persistent properties of a slice.
    Slice {
        /// Unit name.
        unit: String,
        /// Property name → value.
        properties: BTreeMap<String, PropertyValue>,
    },
    /// A unit that is started at boot.
    Enablement {
        /// Unit name.
        unit: String,
    },
    /// A unit that is running.
    Unit {
        /// Unit name.
        unit: String,
    },
}

impl Resource {
    /// The key this resource is known by.
    pub fn key(&self) -> Key {
        let (kind, name) = match self {
            Resource::Account(account) => (Kind::Account, account.name.clone()),
            Resource::Directory { path, .. } => (Kind::Directory, path.display().to_string()),
            Resource::Quota { path, .. } => (Kind::Quota, path.display().to_string()),
            Resource::File { path, .. } => (Kind::File, path.display().to_string()),
            Resource::Link { path, .. } => (Kind::Link, path.display().to_string()),
            Resource::Slice { unit, .. } => (Kind::Slice, unit.clone()),
            Resource::Enablement { unit } => (Kind::Enablement, unit.clone()),
            Resource::Unit { unit } => (Kind::Unit, unit.clone()),
        };
        Key { kind, name }
    }

    /// Whether a running gateway must be restarted to see this resource changed.
    pub fn needs_restart(&self) -> bool {
        match self {
            Resource::File { restart, .. } | Resource::Link { restart, .. } => *restart,
            Resource::Account(_)
            | Resource::Directory { .. }
            | Resource::Quota { .. }
            | Resource::Slice { .. }
            | Resource::Enablement { .. }
            | Resource::Unit { .. } => false,
        }
    }
}
