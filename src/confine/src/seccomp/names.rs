//! Names of system calls and of their arguments' values, as numbers of x86_64.
//!
//! The tables are data files; a test compares them with libc's.

use std::collections::BTreeMap;
use std::sync::OnceLock;

const CALLS: &str = include_str!("calls.tbl");
const CONSTANTS: &str = include_str!("constants.tbl");

/// The number of a system call.
pub fn call(name: &str) -> Option<u32> {
    static BY_NAME: OnceLock<BTreeMap<&str, u32>> = OnceLock::new();
    BY_NAME.get_or_init(|| calls().map(|(number, name)| (name, number)).collect()).get(name).copied()
}

/// Every known system call: number and name.
pub fn calls() -> impl Iterator<Item = (u32, &'static str)> {
    rows(CALLS).filter_map(|(number, name)| Some((number.parse().ok()?, name)))
}

/// The value of a named constant.
pub fn constant(name: &str) -> Option<u32> {
    constants().find_map(|(known, value)| (known == name).then_some(value))
}

/// Every named constant.
pub fn constants() -> impl Iterator<Item = (&'static str, u32)> {
    rows(CONSTANTS)
        .filter_map(|(name, value)| Some((name, u32::from_str_radix(value.strip_prefix("0x")?, 16).ok()?)))
}

/// An error number by name, for `errno` and `otherwise`.
pub fn errno(name: &str) -> Option<u32> {
    let known = [
        ("EPERM", libc::EPERM),
        ("EACCES", libc::EACCES),
        ("EINVAL", libc::EINVAL),
        ("ENOTTY", libc::ENOTTY),
        ("ENOSYS", libc::ENOSYS),
        ("EOPNOTSUPP", libc::EOPNOTSUPP),
        ("ENOPROTOOPT", libc::ENOPROTOOPT),
        ("EAFNOSUPPORT", libc::EAFNOSUPPORT),
    ];
    known.into_iter().find_map(|(known, value)| (known == name).then(|| value.unsigned_abs()))
}

fn rows(table: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    table.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_both_tables_is_read() {
        assert_eq!(calls().count(), CALLS.lines().count() - 1);
        assert_eq!(constants().count(), CONSTANTS.lines().count() - 1);
    }

    #[test]
    fn the_numbers_are_those_of_libc() {
        let same = [
            ("read", libc::SYS_read),
            ("clone", libc::SYS_clone),
            ("clone3", libc::SYS_clone3),
            ("openat", libc::SYS_openat),
            ("socket", libc::SYS_socket),
            ("seccomp", libc::SYS_seccomp),
            ("openat2", libc::SYS_openat2),
            ("fchmodat2", libc::SYS_fchmodat2),
            ("mseal", libc::SYS_mseal),
            ("io_uring_setup", libc::SYS_io_uring_setup),
        ];
        for (name, number) in same {
            assert_eq!(call(name).map(i64::from), Some(number), "{name}");
        }
    }

    #[test]
    fn the_constants_are_those_of_libc() {
        let same = [
            ("AF_NETLINK", i64::from(libc::AF_NETLINK)),
            ("SOCK_SEQPACKET", i64::from(libc::SOCK_SEQPACKET)),
            ("TIOCSTI", i64::try_from(libc::TIOCSTI).unwrap()),
            ("TIOCGPTPEER", i64::try_from(libc::TIOCGPTPEER).unwrap()),
            ("FICLONE", i64::try_from(libc::FICLONE).unwrap()),
            ("PR_SET_NAME", i64::from(libc::PR_SET_NAME)),
            ("CLONE_NEWUSER", i64::from(libc::CLONE_NEWUSER)),
            ("CLONE_NEWNET", i64::from(libc::CLONE_NEWNET)),
            ("CLONE_THREAD", i64::from(libc::CLONE_THREAD)),
            ("CLONE_FILES", i64::from(libc::CLONE_FILES)),
            ("CLOSE_RANGE_UNSHARE", i64::from(libc::CLOSE_RANGE_UNSHARE)),
            ("O_CREAT", i64::from(libc::O_CREAT)),
            ("__O_TMPFILE", i64::from(libc::O_TMPFILE & !libc::O_DIRECTORY)),
            ("SOL_UDP", i64::from(libc::SOL_UDP)),
            ("MADV_MERGEABLE", i64::from(libc::MADV_MERGEABLE)),
            ("S_ISUID", i64::from(libc::S_ISUID)),
            ("MFD_NOEXEC_SEAL", i64::from(libc::MFD_NOEXEC_SEAL)),
        ];
        for (name, value) in same {
            assert_eq!(constant(name).map(i64::from), Some(value), "{name}");
        }
    }
}
