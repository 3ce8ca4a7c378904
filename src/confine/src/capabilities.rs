//! Proof that this process has no capability, can get none, and is nobody but its tenant.
//!
//! Read from `/proc/self/status` and, independently, through capget(2) and prctl(2) by the crate `caps`: both must agree.
//! The unit empties the sets; here nothing is dropped, only checked, because dropping would hide a unit that is wrong.
//!
//! With an empty bounding set and no_new_privs, no execve(2) can add a capability, whatever the securebits say: those
//! only change what uid 0 gets, and uid 0 is out of reach. They are reported, not required.

use std::io;

use caps::CapSet;
use thiserror::Error;

use crate::status::Status;

/// The process is not what its confinement file is for.
#[derive(Debug, Error)]
pub enum CapabilityError {
    /// `/proc/self/status` cannot be read or lacks a line.
    #[error("capabilities: /proc/self/status {0} (the unit must leave its own process visible in /proc)")]
    Unreadable(String),
    /// A user or group id differs.
    #[error("identity: {which} is {found}, expected {expected} (check User= and Group= of the unit)")]
    Identity {
        /// `uid`, `gid` or `supplementary groups`.
        which: &'static str,
        /// What the kernel says.
        found: String,
        /// What the confinement file says.
        expected: u32,
    },
    /// A capability set is not empty.
    #[error(
        "capabilities: the {set} set is {found:#x}, expected empty (check CapabilityBoundingSet= and AmbientCapabilities= of the unit)"
    )]
    NotEmpty {
        /// Which set.
        set: &'static str,
        /// Its bits.
        found: u64,
    },
    /// no_new_privs is not set.
    #[error("capabilities: no_new_privs is not set (check NoNewPrivileges= of the unit)")]
    NewPrivileges,
    /// capget(2) or prctl(2) failed.
    #[error("capabilities: cannot ask the kernel: {0} (check SystemCallFilter= of the unit)")]
    Ask(String),
}

const SETS: [(&str, &str, CapSet); 5] = [
    ("inheritable", "CapInh", CapSet::Inheritable),
    ("permitted", "CapPrm", CapSet::Permitted),
    ("effective", "CapEff", CapSet::Effective),
    ("bounding", "CapBnd", CapSet::Bounding),
    ("ambient", "CapAmb", CapSet::Ambient),
];

/// Succeeds only for a process of exactly `uid` and `gid` whose five capability sets are empty, with no_new_privs.
pub fn prove_empty(uid: u32, gid: u32) -> Result<(), CapabilityError> {
    let status =
        Status::of_self().map_err(|error: io::Error| CapabilityError::Unreadable(error.to_string()))?;
    check(&status, uid, gid)?;
    for (set, _, kind) in SETS {
        let held = caps::read(None, kind).map_err(|error| CapabilityError::Ask(error.to_string()))?;
        if !held.is_empty() {
            let found = held.iter().fold(0, |bits, capability| bits | capability.bitmask());
            return Err(CapabilityError::NotEmpty { set, found });
        }
    }
    Ok(())
}

fn check(status: &Status, uid: u32, gid: u32) -> Result<(), CapabilityError> {
    for (which, key, expected) in [("uid", "Uid", uid), ("gid", "Gid", gid)] {
        let ids = status.numbers(key).ok_or_else(|| missing(key))?;
        if ids.len() != 4 || ids.iter().any(|id| *id != expected) {
            return Err(CapabilityError::Identity { which, found: format!("{ids:?}"), expected });
        }
    }
    let groups = status.numbers("Groups").ok_or_else(|| missing("Groups"))?;
    if groups.iter().any(|group| *group != gid) {
        let (which, found) = ("supplementary groups", format!("{groups:?}"));
        return Err(CapabilityError::Identity { which, found, expected: gid });
    }
    for (set, key, _) in SETS {
        let found = status.set(key).ok_or_else(|| missing(key))?;
        if found != 0 {
            return Err(CapabilityError::NotEmpty { set, found });
        }
    }
    match status.get("NoNewPrivs") {
        Some("1") => Ok(()),
        Some(_) => Err(CapabilityError::NewPrivileges),
        None => Err(missing("NoNewPrivs")),
    }
}

fn missing(key: &str) -> CapabilityError {
    CapabilityError::Unreadable(format!("has no line {key}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(change: &str, to: &str) -> Status {
        let text = "Uid:\t500\t500\t500\t500\nGid:\t500\t500\t500\t500\nGroups:\t500 \nNoNewPrivs:\t1\n\
                    CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n\
                    CapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\n";
        Status::parse(&text.replace(change, to))
    }

    #[test]
    fn an_empty_process_of_the_right_user_passes() {
        assert!(check(&status("", ""), 500, 500).is_ok());
    }

    #[test]
    fn every_deviation_is_refused_and_named() {
        let cases = [
            ("Uid:\t500\t500", "Uid:\t500\t0", "uid is"),
            ("Gid:\t500", "Gid:\t0", "gid is"),
            ("Groups:\t500 ", "Groups:\t500 27", "supplementary groups"),
            ("CapBnd:\t0000000000000000", "CapBnd:\t0000000000000400", "bounding set is 0x400"),
            ("CapAmb:\t0000000000000000", "CapAmb:\t0000000000000001", "ambient set is 0x1"),
            ("NoNewPrivs:\t1", "NoNewPrivs:\t0", "no_new_privs"),
            ("NoNewPrivs", "Other", "no line NoNewPrivs"),
        ];
        for (change, to, expected) in cases {
            let message = check(&status(change, to), 500, 500).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn another_tenants_user_is_refused() {
        assert!(check(&status("", ""), 501, 500).is_err());
        assert!(check(&status("", ""), 500, 501).is_err());
    }
}
