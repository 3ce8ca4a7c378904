//! Disk quota of a tenant's data: one project id on the top and on the three directories the tenant owns, inherited by
//! whatever is made in them, with a hard limit on bytes and on inodes.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::Path;

use model::{Key, Kind, Paths, Resource};
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, SFlag};
use plan::{HostError, Scope};

use crate::anchor::{Anchor, open_directory};
use crate::error::os;
use crate::sys::{self, Project, Space};
use crate::tree::TENANT_DIRECTORIES;
use crate::{Cancel, Systemd, files, removal};

/// One inode for so many bytes, ext4's own ratio: nobody's share of inodes is larger than his share of bytes.
const BYTES_PER_INODE: u64 = 16 << 10;
/// Inodes that even a small quota grants.
const FEWEST_INODES: u64 = 16_384;

/// Whether project quota is counted and enforced where the data of tenants lies.
pub(crate) fn is_available(paths: &Paths) -> Result<bool, HostError> {
    let mut path = paths.all_data();
    // O_PATH needs no permission to read: "tenantctl plan" and "doctor" ask this as anybody.
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let place = loop {
        match nix::fcntl::open(&path, flags, Mode::empty()) {
            Ok(place) => break place,
            Err(Errno::ENOENT) if path.pop() => {}
            Err(Errno::ENOENT) => return Ok(false),
            Err(errno) => return Err(os("open", &path, errno)),
        }
    };
    sys::state(&place).map_err(|errno| os("ask for the quota of", &path, errno))
}

/// The quota of a tenant's data; nothing where there is none or the file system has no quota.
pub(crate) fn observe(paths: &Paths, scope: &Scope) -> Result<Option<Resource>, HostError> {
    let path = paths.data(&scope.tenant);
    let Some(top) = Anchor::find(&path)? else { return Ok(None) };
    let failed = |errno| os("ask for the quota of", &path, errno);
    if !sys::state(&top).map_err(failed)? {
        return Ok(None);
    }
    let own = sys::project(&top).map_err(failed)?;
    if own.id == 0 {
        return Ok(None);
    }
    let space = sys::space(&top, own.id).map_err(failed)?;
    let mut whole = own.inherited;
    for (_, fd) in directories(&top)? {
        whole &= sys::project(&fd).map_err(failed)? == Project { id: own.id, inherited: true };
    }
    let key = Key { kind: Kind::Quota, name: path.display().to_string() };
    let wanted = if let Some(Resource::Quota { bytes, .. }) = scope.wanted.get(&key) { *bytes } else { 0 };
    let bytes = match (whole, space == granted(wanted)) {
        (true, true) => wanted,
        (true, false) => space.kib.saturating_mul(1024),
        (false, _) => 0,
    };
    Ok(Some(Resource::Quota { path, project: own.id, bytes }))
}

/// Puts the data tree into its project and sets the limits. What lies in it already is moved by a process of the
/// tenant's uid.
pub(crate) fn make(systemd: &Systemd, path: &Path, project: u32, bytes: u64) -> Result<(), HostError> {
    let failed = |errno| os("set the quota of", path, errno);
    let top = Anchor::find(path)?.ok_or_else(|| failed(Errno::ENOENT))?;
    sys::set_space(&top, project, granted(bytes)).map_err(failed)?;
    let wanted = Project { id: project, inherited: true };
    for (name, fd) in directories(&top)? {
        if sys::project(&fd).map_err(failed)? != wanted {
            sys::set_project(&fd, wanted).map_err(failed)?;
            let owner = nix::sys::stat::fstat(&fd).map_err(failed)?.st_uid;
            if holds_something(fd).map_err(failed)? {
                removal::move_into_project(systemd, &path.join(name), owner, project, &Cancel::new())?;
            }
        }
    }
    sys::set_project(&top, wanted).map_err(failed)
}

/// Takes limits and inheritance away; what lies in the tree keeps its project id, which limits nothing any more.
pub(crate) fn remove(path: &Path, project: u32) -> Result<(), HostError> {
    let failed = |errno| os("remove the quota of", path, errno);
    let Some(top) = Anchor::find(path)? else { return Ok(()) };
    sys::set_space(&top, project, Space { kib: 0, inodes: 0 }).map_err(failed)?;
    let none = Project { id: 0, inherited: false };
    for (_, fd) in directories(&top)? {
        sys::set_project(&fd, none).map_err(failed)?;
    }
    sys::set_project(&top, none).map_err(failed)
}

/// Whether an open directory has an entry; none of them is looked at.
fn holds_something(directory: OwnedFd) -> Result<bool, Errno> {
    let mut directory = Dir::from_fd(directory)?;
    for entry in directory.iter() {
        let entry = entry?;
        if ![c".", c".."].contains(&entry.file_name()) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn granted(bytes: u64) -> Space {
    if bytes == 0 {
        return Space { kib: 0, inodes: 0 };
    }
    Space { kib: bytes.div_ceil(1024), inodes: (bytes / BYTES_PER_INODE).max(FEWEST_INODES) }
}

fn directories(top: &Anchor) -> Result<Vec<(&'static str, OwnedFd)>, HostError> {
    let mut found = Vec::new();
    for name in TENANT_DIRECTORIES {
        let name_os = OsStr::new(name);
        if top.look(name_os)?.is_some_and(|stat| files::is(&stat, SFlag::S_IFDIR)) {
            found.push((name, open_directory(top, name_os)?));
        }
    }
    Ok(found)
}
