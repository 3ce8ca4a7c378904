//! Which kernel brought which rights, and what holds on a kernel that lacks them.

/// Below this ABI tenantd refuses: renaming across directories could not be handled (Linux 5.19, so Debian 12 has it).
pub const FLOOR: u32 = 2;

/// Rights that came with one ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The ABI that brings them.
    pub abi: u32,
    /// The first kernel with that ABI.
    pub kernel: &'static str,
    /// What it can hold.
    pub right: &'static str,
    /// What holds it on older kernels.
    pub by: &'static str,
}

const TABLE: [Held; 5] = [
    Held {
        abi: 3,
        kernel: "6.2",
        right: "truncate",
        by: "file ownership: everything outside the tenant's tree belongs to root and is mounted read-only, but for the copies in /run/tenantd/secrets: a gateway can empty its own until it starts the next time",
    },
    Held {
        abi: 4,
        kernel: "6.7",
        right: "TCP bind and connect",
        by: "the network namespace and its elements in the nft table",
    },
    Held { abi: 5, kernel: "6.10", right: "device ioctl", by: "PrivateDevices= and DevicePolicy=closed" },
    Held {
        abi: 6,
        kernel: "6.12",
        right: "abstract Unix sockets and signals",
        by: "the network namespace (abstract sockets belong to one) and one uid per tenant",
    },
    Held {
        abi: 7,
        kernel: "6.15",
        right: "audit records of denials",
        by: "nft counters, and the seccomp log where a policy asks for it",
    },
];

/// What a ruleset pinned at `abi` does not handle itself, oldest first.
pub fn held_elsewhere(abi: u32) -> impl Iterator<Item = &'static Held> {
    TABLE.iter().filter(move |held| held.abi > abi)
}

/// The first kernel with this ABI, for messages; `None` for an ABI this program does not know.
pub fn kernel_of(abi: u32) -> Option<&'static str> {
    match abi {
        1 => Some("5.13"),
        2 => Some("5.19"),
        _ => TABLE.iter().find_map(|held| (held.abi == abi).then_some(held.kernel)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_12_lacks_five_groups_of_rights_and_debian_13_one() {
        assert_eq!(held_elsewhere(2).count(), 5);
        assert_eq!(held_elsewhere(6).map(|held| held.abi).collect::<Vec<_>>(), [7]);
        assert_eq!(held_elsewhere(7).count(), 0);
    }

    #[test]
    fn every_abi_from_the_floor_on_has_its_kernel() {
        assert!((FLOOR..=7).all(|abi| kernel_of(abi).is_some()));
        assert_eq!(kernel_of(FLOOR), Some("5.19"));
    }
}
