//! Sentences: object, cause, remedy. Everything in this crate fails with a [`HostError`].

use std::path::Path;

use model::Exit;
use nix::errno::Errno;
use plan::HostError;

/// A sentence with its exit code.
pub(crate) fn sentence(exit: Exit, message: impl Into<String>) -> HostError {
    HostError { message: message.into(), exit, source: None }
}

/// `cannot <act> <path>: <cause> (<remedy>)`.
pub(crate) fn os(act: &str, path: &Path, errno: Errno) -> HostError {
    HostError {
        message: format!("cannot {act} {}: {} ({})", path.display(), errno.desc(), remedy(errno)),
        exit: exit_of(errno),
        source: Some(Box::new(errno)),
    }
}

/// The same for an error of the standard library.
pub(crate) fn io(act: &str, path: &Path, error: &std::io::Error) -> HostError {
    os(act, path, Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))
}

fn exit_of(errno: Errno) -> Exit {
    if errno == Errno::EACCES || errno == Errno::EPERM {
        Exit::NoPermission
    } else if errno == Errno::ENOENT {
        Exit::NoInput
    } else {
        Exit::Io
    }
}

fn remedy(errno: Errno) -> &'static str {
    let table = [
        (Errno::ENOSPC, "the file system is full: free space or inodes there and try again"),
        (Errno::EDQUOT, "the quota there is used up: raise it or free space and try again"),
        (Errno::EFBIG, "the file size limit of tenantd.service is reached: raise LimitFSIZE="),
        (Errno::EROFS, "the file system is mounted read-only: see \"dmesg\" and mount it read-write"),
        (
            Errno::EPERM,
            "look for an immutable flag with \"lsattr -d\", and for what tenantd.service may write",
        ),
        (Errno::EACCES, "look at the modes of its parents and at what tenantd.service may write"),
        (Errno::ENOENT, "one of its parents is missing: reinstall tenantd or make it"),
        (Errno::EBUSY, "something is mounted there: see \"findmnt\" and unmount it"),
        (Errno::EMFILE, "too many open files: raise LimitNOFILE= of tenantd.service"),
        (Errno::ENFILE, "too many open files on this host: raise fs.file-max"),
        (Errno::EIO, "the device failed: see \"dmesg\""),
    ];
    table
        .into_iter()
        .find(|(known, _)| *known == errno)
        .map_or("see \"journalctl -u tenantd\" and try again", |(_, text)| text)
}
