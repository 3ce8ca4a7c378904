//! Project quota through `quotactl_fd(2)` (Linux 5.14; tenantd's floor is 5.19) and `FS_IOC_FS[GS]ETXATTR`.
//!
//! The generic `Q_GETQUOTA`/`Q_SETQUOTA` reach ext4 and XFS alike (fs/quota/quota.c).

use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

use nix::errno::Errno;

/// `PRJQUOTA` of linux/quota.h.
const PROJECT_QUOTA: libc::c_int = 2;
/// `Q_XGETQSTATV` of linux/dqblk_xfs.h: answers for every file system that has quota.
const GET_STATE: libc::c_int = (b'X' as libc::c_int) << 8 | 8;
/// `FS_QUOTA_PDQ_ACCT | FS_QUOTA_PDQ_ENFD`.
const PROJECT_ACCOUNTED_AND_ENFORCED: u16 = 1 << 4 | 1 << 5;
/// `QIF_BLIMITS | QIF_ILIMITS` of linux/quota.h.
const LIMITS: u32 = 1 | 4;
/// `FS_XFLAG_PROJINHERIT` of linux/fs.h.
const INHERIT: u32 = 0x200;

/// What a project may use: hard limits; 0 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Space {
    /// Kibibytes.
    pub(crate) kib: u64,
    /// Inodes.
    pub(crate) inodes: u64,
}

/// The project of a directory and whether what is made in it belongs to it too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Project {
    /// Project id; 0 is none.
    pub(crate) id: u32,
    /// Inherited by what is made in it.
    pub(crate) inherited: bool,
}

/// `struct fsxattr` of linux/fs.h.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct FsXattr {
    flags: u32,
    extent_size: u32,
    extents: u32,
    project: u32,
    copy_extent_size: u32,
    padding: [u8; 8],
}

/// `struct fs_qfilestatv` of linux/dqblk_xfs.h.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct QuotaFile {
    inode: u64,
    blocks: u64,
    extents: u32,
    padding: u32,
}

/// `struct fs_quota_statv` of linux/dqblk_xfs.h.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct QuotaState {
    version: i8,
    padding_1: u8,
    flags: u16,
    in_core: u32,
    files: [QuotaFile; 3],
    time_limits: [i32; 3],
    warn_limits: [u16; 3],
    padding_3: u16,
    padding_4: u32,
    padding_2: [u64; 7],
}

mod request {
    use super::FsXattr;
    nix::ioctl_read!(get_xattr, b'X', 31, FsXattr);
    nix::ioctl_write_ptr!(set_xattr, b'X', 32, FsXattr);
}

/// Whether project quota is counted and enforced where `fd` lies.
pub(crate) fn state(fd: &impl AsFd) -> Result<bool, Errno> {
    let mut state = QuotaState { version: 1, ..QuotaState::default() };
    match quotactl(fd, GET_STATE, 0, ptr::from_mut(&mut state).cast()) {
        Ok(()) => Ok(state.flags & PROJECT_ACCOUNTED_AND_ENFORCED == PROJECT_ACCOUNTED_AND_ENFORCED),
        Err(errno) if [Errno::ENOSYS, Errno::ESRCH, Errno::EINVAL, Errno::ENOTBLK].contains(&errno) => {
            Ok(false)
        }
        Err(errno) => Err(errno),
    }
}

/// Hard limits of a project.
pub(crate) fn space(fd: &impl AsFd, id: u32) -> Result<Space, Errno> {
    let mut block = no_block();
    match quotactl(fd, libc::Q_GETQUOTA, id, ptr::from_mut(&mut block).cast()) {
        Ok(()) => Ok(Space { kib: block.dqb_bhardlimit, inodes: block.dqb_ihardlimit }),
        Err(errno) if errno == Errno::ENOENT || errno == Errno::ESRCH => Ok(Space { kib: 0, inodes: 0 }),
        Err(errno) => Err(errno),
    }
}

/// Sets the hard limits of a project; no soft ones, so there is no grace period.
pub(crate) fn set_space(fd: &impl AsFd, id: u32, space: Space) -> Result<(), Errno> {
    let mut block = no_block();
    block.dqb_bhardlimit = space.kib;
    block.dqb_ihardlimit = space.inodes;
    block.dqb_valid = LIMITS;
    quotactl(fd, libc::Q_SETQUOTA, id, ptr::from_mut(&mut block).cast())
}

/// The project of an open directory.
pub(crate) fn project(fd: &impl AsFd) -> Result<Project, Errno> {
    let attributes = xattr(fd)?;
    Ok(Project { id: attributes.project, inherited: attributes.flags & INHERIT != 0 })
}

/// Puts an open directory into a project.
pub(crate) fn set_project(fd: &impl AsFd, project: Project) -> Result<(), Errno> {
    let mut attributes = xattr(fd)?;
    attributes.project = project.id;
    attributes.flags =
        if project.inherited { attributes.flags | INHERIT } else { attributes.flags & !INHERIT };
    // SAFETY: the pointer is to a live `struct fsxattr`, which the kernel reads during the call only.
    unsafe { request::set_xattr(fd.as_fd().as_raw_fd(), ptr::from_ref(&attributes)) }?;
    Ok(())
}

fn xattr(fd: &impl AsFd) -> Result<FsXattr, Errno> {
    let mut attributes = FsXattr::default();
    // SAFETY: the pointer is to a live `struct fsxattr`, which the kernel writes during the call only.
    unsafe { request::get_xattr(fd.as_fd().as_raw_fd(), ptr::from_mut(&mut attributes)) }?;
    Ok(attributes)
}

fn no_block() -> libc::dqblk {
    libc::dqblk {
        dqb_bhardlimit: 0,
        dqb_bsoftlimit: 0,
        dqb_curspace: 0,
        dqb_ihardlimit: 0,
        dqb_isoftlimit: 0,
        dqb_curinodes: 0,
        dqb_btime: 0,
        dqb_itime: 0,
        dqb_valid: 0,
    }
}

fn quotactl(fd: &impl AsFd, command: libc::c_int, id: u32, data: *mut libc::c_void) -> Result<(), Errno> {
    let command = libc::QCMD(command, PROJECT_QUOTA);
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: `data` points to the structure that `command` takes, alive in the caller's frame for the whole call.
    let answer = unsafe { libc::syscall(libc::SYS_quotactl_fd, fd, command, id, data) };
    Errno::result(answer).map(drop)
}
