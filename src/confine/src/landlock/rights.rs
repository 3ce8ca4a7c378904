//! The names of Landlock's file rights, as in landlock(7) in lower case, and the ABI that brought each.

use landlock::{ABI, AccessFs, BitFlags};

const RIGHTS: [(&str, AccessFs, u32); 16] = [
    ("execute", AccessFs::Execute, 1),
    ("write_file", AccessFs::WriteFile, 1),
    ("read_file", AccessFs::ReadFile, 1),
    ("read_dir", AccessFs::ReadDir, 1),
    ("remove_dir", AccessFs::RemoveDir, 1),
    ("remove_file", AccessFs::RemoveFile, 1),
    ("make_char", AccessFs::MakeChar, 1),
    ("make_dir", AccessFs::MakeDir, 1),
    ("make_reg", AccessFs::MakeReg, 1),
    ("make_sock", AccessFs::MakeSock, 1),
    ("make_fifo", AccessFs::MakeFifo, 1),
    ("make_block", AccessFs::MakeBlock, 1),
    ("make_sym", AccessFs::MakeSym, 1),
    ("refer", AccessFs::Refer, 2),
    ("truncate", AccessFs::Truncate, 3),
    ("ioctl_dev", AccessFs::IoctlDev, 5),
];

#[cfg(any(test, feature = "compile"))]
/// The highest ABI whose every right is in the table; a ruleset cannot be pinned higher.
pub(super) const HIGHEST: u32 = 7;

/// The right of this name and the ABI that brought it.
pub(super) fn right(name: &str) -> Option<(AccessFs, u32)> {
    RIGHTS.iter().find_map(|(known, right, since)| (*known == name).then_some((*right, *since)))
}

/// All of these names as one set, or the name that is unknown.
pub(super) fn set(names: &[String]) -> Result<BitFlags<AccessFs>, &str> {
    names.iter().try_fold(BitFlags::EMPTY, |set, name| match right(name) {
        Some((right, _)) => Ok(set | right),
        None => Err(name.as_str()),
    })
}

/// The crate's value for an ABI number that rulesets can be pinned at.
pub(super) fn abi(number: u32) -> Option<ABI> {
    Some(match number {
        2 => ABI::V2,
        3 => ABI::V3,
        4 => ABI::V4,
        5 => ABI::V5,
        6 => ABI::V6,
        7 => ABI::V7,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use landlock::Access;

    use super::*;

    #[test]
    fn every_right_of_every_abi_has_a_name() {
        for number in super::super::FLOOR..=HIGHEST {
            let named = RIGHTS.iter().filter(|(_, _, since)| *since <= number);
            let named = named.fold(BitFlags::EMPTY, |set, (_, right, _)| set | *right);
            assert_eq!(named, AccessFs::from_all(abi(number).unwrap()), "ABI {number}");
        }
    }
}
