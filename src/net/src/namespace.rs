//! The tenant's network namespace, pinned where `ip netns` and systemd's `NetworkNamespacePath=` look for it.
//!
//! The pin is a mount in the host's mount namespace: this program's unit must not have one of its own.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use model::{Paths, TenantId};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::statfs::{NSFS_MAGIC, fstatfs};

use crate::error::Error;

/// The namespace the calling thread is in.
const OWN: &str = "/proc/thread-self/ns/net";

/// The namespace the calling thread is in now, to come back to.
pub fn current() -> Result<File, Error> {
    File::open(OWN).map_err(|error| Error::kernel(format!("open {OWN}"), error))
}

/// The pinned namespace of `tenant`, if it is pinned.
pub fn pinned(tenant: &TenantId) -> Result<Option<File>, Error> {
    let path = path(tenant);
    let failed = |error: io::Error| Error::kernel(format!("open {}", path.display()), error);
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).bits();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(failed)?,
    };
    // A plain file is what a killed run leaves between making the file and mounting on it.
    let kind = fstatfs(&file).map_err(|errno| failed(errno.into()))?.filesystem_type();
    Ok((kind == NSFS_MAGIC).then_some(file))
}

/// Makes a namespace for `tenant`, moves the calling thread into it, and pins it.
pub fn create(tenant: &TenantId) -> Result<File, Error> {
    let path = path(tenant);
    let failed =
        |error: io::Error| Error::kernel(format!("pin the network namespace at {}", path.display()), error);
    prepare(&path).map_err(failed)?;
    unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| Error::kernel("make a network namespace", errno))?;
    mount(Some(OWN), &path, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .map_err(|errno| failed(errno.into()))?;
    current()
}

/// Moves the calling thread into `namespace`.
pub fn enter(namespace: &File) -> Result<(), Error> {
    setns(namespace, CloneFlags::CLONE_NEWNET)
        .map_err(|errno| Error::kernel("enter the network namespace", errno))
}

/// Takes the pin away; the namespace and the links in it go when their last process has gone.
pub fn unpin(tenant: &TenantId) -> Result<(), Error> {
    let path = path(tenant);
    loop {
        match umount2(&path, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
            Ok(()) => (), // and once more, in case it was mounted twice
            Err(Errno::EINVAL | Errno::ENOENT) => break,
            Err(errno) => return Err(Error::kernel(format!("unmount {}", path.display()), errno)),
        }
    }
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::kernel(format!("remove {}", path.display()), error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn path(tenant: &TenantId) -> PathBuf {
    Paths::host().netns(tenant)
}

/// The empty file to mount on, in a directory that is made if this boot has none yet.
fn prepare(path: &Path) -> io::Result<()> {
    let make = || {
        let flags = (OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC).bits();
        OpenOptions::new().write(true).create(true).mode(0o444).custom_flags(flags).open(path).map(drop)
    };
    match (make(), path.parent()) {
        (Err(error), Some(directory)) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(directory)?;
            fs::set_permissions(directory, Permissions::from_mode(0o755))?;
            make()
        }
        (other, _) => other,
    }
}
