//! A version on its way in: a private directory that a confined unit fills, that is sealed, and that becomes an
//! installed version by one rename. Dropped before that, it leaves nothing.

use std::ffi::OsStr;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, RenameFlags, openat, renameat2};
use nix::sys::stat::{Mode, fchmod, mkdirat};
use nix::unistd::{fchown, syncfs};
use runtime::{Manifest, Provenance, Version, check_machine};

use crate::StoreError;
use crate::remove::remove;
use crate::store::{Installed, MANIFEST, PROVENANCE, Store, open_dir};
use crate::walk::{Progress, Purpose, Walk};

/// The directory that the confined unit may write.
const WORK: &str = "work";
/// What it leaves in there.
const TREE: &str = "tree";

/// A version on its way in.
#[derive(Debug)]
pub struct Incoming<'a> {
    store: &'a Store,
    name: String,
    dir: OwnedFd,
    path: PathBuf,
}

impl<'a> Incoming<'a> {
    pub(crate) fn create(store: &'a Store, operation: &str) -> Result<Self, StoreError> {
        let area = store.area(Store::INCOMING)?;
        let path = store.root().join(Store::INCOMING).join(operation);
        remove(area.as_fd(), OsStr::new(operation)).map_err(StoreError::io("clear", &path))?;
        mkdirat(&area, operation, Mode::S_IRWXU).map_err(StoreError::io("make", &path))?;
        let dir = open_dir(area.as_fd(), operation).map_err(StoreError::io("open", &path))?;
        let incoming = Self { store, name: operation.to_owned(), dir, path };
        let work = incoming.work();
        mkdirat(&incoming.dir, WORK, Mode::S_IRWXU).map_err(StoreError::io("make", &work))?;
        let fd = open_dir(incoming.dir.as_fd(), WORK).map_err(StoreError::io("open", &work))?;
        // The unit's uid is not known before it runs (DynamicUser=); the parent directory keeps everyone else out.
        fchmod(&fd, Mode::from_bits_truncate(0o1777)).map_err(StoreError::io("open up", &work))?;
        Ok(incoming)
    }

    /// The directory to bind into the confined unit, mode 1777 below one of mode 0700. The unit leaves its result in
    /// `tree/` there.
    pub fn work(&self) -> PathBuf {
        self.path.join(WORK)
    }

    /// Takes the tree over from the unit, which must have ended with all its processes: owner root, modes 0444 and
    /// 0555, no setuid program, device, hard link or link that leaves the tree. `program` in it must run on this
    /// machine.
    pub fn seal(
        self,
        program: &str,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<SealedTree<'a>, StoreError> {
        let path = self.work().join(TREE);
        let work = open_dir(self.dir.as_fd(), WORK).map_err(StoreError::io("open", &self.work()))?;
        let tree = open_dir(work.as_fd(), TREE).map_err(StoreError::io("open", &path))?;
        // The unit may have made files of these names; they would be taken for ours.
        for reserved in [MANIFEST, PROVENANCE] {
            remove(tree.as_fd(), OsStr::new(reserved))
                .map_err(StoreError::io("clear", &path.join(reserved)))?;
        }
        let walk = Walk::over(Purpose::Seal, tree.as_fd(), &path, &[], progress)?;
        let manifest = Manifest::new(walk.entries)
            .and_then(|manifest| manifest.check_links().map(|()| manifest))
            .map_err(|source| StoreError::Manifest { path: path.clone(), source })?;
        self.check_program(&tree, &path, program)?;
        Ok(SealedTree { incoming: self, work, tree, manifest })
    }

    fn check_program(&self, tree: &OwnedFd, path: &Path, program: &str) -> Result<(), StoreError> {
        use std::io::Read;
        let path = path.join(program);
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = openat(tree, program, flags, Mode::empty()).map_err(|errno| {
            if errno == Errno::ENOENT {
                StoreError::Irregular { path: path.clone(), why: "is missing" }
            } else {
                StoreError::io("open", &path)(errno)
            }
        })?;
        let mut header = Vec::new();
        std::fs::File::from(fd)
            .take(20)
            .read_to_end(&mut header)
            .map_err(|error| StoreError::io("read", &path)(errno_of(&error)))?;
        check_machine(&header).map_err(|source| StoreError::Program { path, source })
    }
}

impl Drop for Incoming<'_> {
    fn drop(&mut self) {
        let removed = self
            .store
            .area(Store::INCOMING)
            .is_ok_and(|area| remove(area.as_fd(), OsStr::new(&self.name)).is_ok());
        // A drop has nobody to tell: the sweep at the daemon's next start deletes what is left and does tell.
        debug_assert!(removed || std::thread::panicking(), "{} could not be deleted", self.path.display());
    }
}

/// A sealed tree that is not yet an installed version.
#[derive(Debug)]
pub struct SealedTree<'a> {
    incoming: Incoming<'a>,
    work: OwnedFd,
    tree: OwnedFd,
    manifest: Manifest,
}

impl SealedTree<'_> {
    /// What was sealed.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Installs it as the version that `provenance` names: everything is on disk before the rename makes it appear.
    pub fn publish(self, provenance: &Provenance) -> Result<Installed, StoreError> {
        let (runtime, version) = (provenance.runtime.as_str(), &provenance.version);
        let path = self.incoming.work().join(TREE);
        let text = provenance
            .to_text()
            .map_err(|source| StoreError::Provenance { path: path.join(PROVENANCE), source })?;
        self.put(&path, MANIFEST, &self.manifest.to_text())?;
        self.put(&path, PROVENANCE, &text)?;
        let store = self.incoming.store;
        let home = store.runtime_dir(runtime)?;
        // rename(2) of a directory needs to write its "..", so it is made read-only after the rename.
        fchown(&self.tree, Some(nix::unistd::Uid::effective()), Some(nix::unistd::Gid::effective()))
            .map_err(StoreError::io("take over", &path))?;
        fchmod(&self.tree, Mode::from_bits_truncate(0o755)).map_err(StoreError::io("seal", &path))?;
        syncfs(&self.tree).map_err(StoreError::io("write out", &path))?;
        let taken = |errno| {
            if matches!(errno, Errno::EEXIST | Errno::ENOTEMPTY) {
                already(runtime, version)
            } else {
                StoreError::io("install", &store.root().join(runtime).join(version.as_str()))(errno)
            }
        };
        renameat2(&self.work, TREE, &home, version.as_str(), RenameFlags::RENAME_NOREPLACE).map_err(taken)?;
        fchmod(&self.tree, Mode::from_bits_truncate(0o555)).map_err(StoreError::io("seal", &path))?;
        nix::unistd::fsync(&home).map_err(StoreError::io("write out", store.root()))?;
        store.find(runtime, version)
    }

    fn put(&self, path: &Path, name: &str, text: &str) -> Result<(), StoreError> {
        let path = path.join(name);
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = openat(&self.tree, name, flags, Mode::from_bits_truncate(0o444))
            .map_err(StoreError::io("make", &path))?;
        let mut file = std::fs::File::from(fd);
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(|error| StoreError::io("write", &path)(errno_of(&error)))?;
        fchmod(&file, Mode::from_bits_truncate(0o444)).map_err(StoreError::io("seal", &path))
    }
}

fn already(runtime: &str, version: &Version) -> StoreError {
    StoreError::AlreadyInstalled { runtime: runtime.to_owned(), version: version.to_string() }
}

pub(crate) fn errno_of(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}
