//! The tenant's network namespace, held by the process that made it, and found where `ip netns` and systemd's
//! `NetworkNamespacePath=` look for it.
//!
//! What lies there is a link to that process's namespace, not a mount: PID 1 reads the whole table of the host's mounts at
//! every change of it, and so does every sandbox many times (docs/adr/0009-a-process-holds-the-namespace.md).

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::PathBuf;
use std::process;

use caps::CapSet;
use model::{Paths, TenantId};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::statfs::{NSFS_MAGIC, fstatfs};
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout, pause};
use sd_notify::NotifyState;

use crate::error::Error;

/// The namespace the calling thread is in.
const OWN: &str = "/proc/thread-self/ns/net";

/// The namespace the calling thread is in now.
pub fn current() -> Result<File, Error> {
    File::open(OWN).map_err(|error| Error::kernel(format!("open {OWN}"), error))
}

/// Makes a namespace and moves the calling thread into it.
pub fn create() -> Result<File, Error> {
    unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| Error::kernel("make a network namespace", errno))?;
    current()
}

/// Lets `tenant`'s namespace be found: it is the one of this process's first thread.
pub fn publish(tenant: &TenantId) -> Result<(), Error> {
    let path = path(tenant);
    let failed = |error: io::Error| Error::kernel(format!("make the link {}", path.display()), error);
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(directory).map_err(failed)?;
    }
    let new = path.with_extension("new");
    remove(&new)?;
    symlink(format!("/proc/{}/ns/net", process::id()), &new).map_err(failed)?;
    fs::rename(&new, &path).map_err(failed)
}

/// Gives every capability up, tells PID 1 that the network is up, and holds the namespace until a signal ends the process.
pub fn hold() -> Result<(), Error> {
    for set in [CapSet::Effective, CapSet::Permitted, CapSet::Inheritable] {
        caps::clear(None, set)
            .map_err(|error| Error::kernel("give capabilities up", io::Error::other(error)))?;
    }
    sd_notify::notify(&[NotifyState::Ready])
        .map_err(|error| Error::kernel("tell PID 1 that the network is up", error))?;
    // journald counts the streams that are open.
    let nothing = File::options().read(true).write(true).open("/dev/null");
    let nothing = nothing.map_err(|error| Error::kernel("open /dev/null", error))?;
    for redirect in [dup2_stdin::<&File>, dup2_stdout, dup2_stderr] {
        redirect(&nothing).map_err(|errno| Error::kernel("let go of the journal", errno))?;
    }
    loop {
        pause();
    }
}

/// The namespace of `tenant`, if one is held.
pub fn held(tenant: &TenantId) -> Result<Option<File>, Error> {
    let path = path(tenant);
    let failed = |error: io::Error| Error::kernel(format!("open {}", path.display()), error);
    let file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(failed)?,
    };
    let kind = fstatfs(&file).map_err(|errno| failed(errno.into()))?.filesystem_type();
    Ok((kind == NSFS_MAGIC).then_some(file))
}

/// Moves the calling thread into `namespace`.
pub fn enter(namespace: &File) -> Result<(), Error> {
    setns(namespace, CloneFlags::CLONE_NEWNET)
        .map_err(|errno| Error::kernel("enter the network namespace", errno))
}

/// Lets `tenant`'s namespace no longer be found; it and the links in it go when its last process has gone.
pub fn retract(tenant: &TenantId) -> Result<(), Error> {
    remove(&path(tenant))
}

fn remove(path: &PathBuf) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::kernel(format!("remove {}", path.display()), error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn path(tenant: &TenantId) -> PathBuf {
    Paths::host().netns(tenant)
}
