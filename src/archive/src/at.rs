//! Everything below DIRECTORY is opened here: one component at a time, by a directory's descriptor, never through a link.

use std::ffi::{CStr, OsString};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, RawDir, ResolveFlags, Stat, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;

use crate::entry::Time;
use crate::error::{Error, shown};

const RESOLVE: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

/// A name as system calls take it.
pub type Name = Box<CStr>;

/// Opens `name` in `directory`; `EXDEV` if something is mounted there.
pub fn open(directory: impl AsFd, name: &CStr, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY;
    let resolve = RESOLVE.union(ResolveFlags::NO_XDEV);
    // openat2(2): EAGAIN when a rename elsewhere made the kernel unsure; the next try is as good as the first.
    for _ in 0..64 {
        match rustix::fs::openat2(&directory, name, flags, mode, resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            result => return result,
        }
    }
    Err(Errno::AGAIN)
}

/// Opens the directory `name` in `directory`.
pub fn open_directory(directory: impl AsFd, name: &CStr) -> Result<OwnedFd, Errno> {
    open(directory, name, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())
}

/// Opens the top directory `name`, which may be a mount point of its own.
pub fn open_top(base: impl AsFd, name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat2(base, name, flags, Mode::empty(), RESOLVE)
}

/// Opens DIRECTORY. Its path is the caller's, so links in it are followed.
pub fn open_base(directory: &OsString) -> Result<OwnedFd, Error> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(directory, flags, Mode::empty())
        .map_err(|source| Error::Open { path: shown(directory.as_encoded_bytes()), source: source.into() })
}

/// Reads the next names of a directory into `names`, a few hundred at most, last one first. None at the end.
pub fn read_names(
    directory: impl AsFd,
    buffer: &mut [MaybeUninit<u8>],
    names: &mut Vec<(Name, FileType)>,
) -> Result<(), Errno> {
    let mut entries = RawDir::new(directory, buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        if ![c".", c".."].contains(&entry.file_name()) {
            names.push((entry.file_name().into(), entry.file_type()));
        }
        if entries.is_buffer_empty() && !names.is_empty() {
            break;
        }
    }
    names.reverse();
    Ok(())
}

/// The time of the last change of the content.
pub fn mtime(stat: &Stat) -> Time {
    Time { seconds: stat.st_mtime, nanos: u32::try_from(stat.st_mtime_nsec).unwrap_or_default() }
}

/// For `utimensat(2)`: the last change of the content, and nothing else.
pub fn times(time: Time) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: time.seconds, tv_nsec: i64::from(time.nanos) },
    }
}
