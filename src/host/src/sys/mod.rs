//! The system calls no library offers: quota by descriptor, project ids of directories, process descriptors.
//!
//! The only unsafe code of this crate. Each function takes an open descriptor and plain values, and owns the memory the
//! kernel writes to.
#![expect(
    unsafe_code,
    reason = "quotactl_fd(2), FS_IOC_FS*ETXATTR and pidfd_open(2) have no safe wrapper in nix 0.31"
)]

mod process;
mod quota;

pub(crate) use process::{has_ended, pidfd_open};
pub(crate) use quota::{Project, Space, project, set_project, set_space, space, state};
