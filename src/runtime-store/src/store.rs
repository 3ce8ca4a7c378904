//! The directory of installed runtimes.

use std::ffi::OsStr;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, RenameFlags, open, openat, renameat2};
use nix::sys::stat::{Mode, fchmod, mkdirat};
use runtime::{Deviation, Difference, Manifest, Provenance, Version};

use crate::StoreError;
use crate::incoming::{Incoming, errno_of};
use crate::remove::remove;
use crate::walk::{Progress, Purpose, Walk, names};

/// Name of the manifest in an installed version.
pub(crate) const MANIFEST: &str = "manifest";
/// Name of the provenance in an installed version.
pub(crate) const PROVENANCE: &str = "provenance.json";

/// The directory of installed runtimes.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    dir: OwnedFd,
}

/// An installed version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Name of the runtime.
    pub runtime: String,
    /// Version.
    pub version: Version,
    /// Where it lies.
    pub path: PathBuf,
    /// Where it came from.
    pub provenance: Provenance,
}

/// What a verification found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Paths read.
    pub paths: u64,
    /// Bytes read.
    pub bytes: u64,
    /// What is not as it was sealed. Empty: everything is.
    pub deviations: Vec<Deviation>,
}

impl Store {
    pub(crate) const INCOMING: &'static str = ".incoming";
    pub(crate) const TRASH: &'static str = ".trash";

    /// Opens `root`, which must exist.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let dir = open(root, flags, Mode::empty()).map_err(StoreError::io("open", root))?;
        Ok(Self { root: root.to_owned(), dir })
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Every installed version, by runtime and version. A version that cannot be read is left out and named in the
    /// second list.
    pub fn list(&self) -> Result<(Vec<Installed>, Vec<StoreError>), StoreError> {
        let (mut installed, mut unreadable) = (Vec::new(), Vec::new());
        for runtime in self.names(&self.dir, &self.root)?.into_iter().filter(|name| !name.starts_with('.')) {
            let path = self.root.join(&runtime);
            let home = match open_dir(self.dir.as_fd(), &runtime) {
                Ok(home) => home,
                Err(Errno::ENOTDIR) => continue,
                Err(errno) => return Err(StoreError::io("open", &path)(errno)),
            };
            for name in self.names(&home, &path)? {
                let Ok(version) = Version::parse(&name) else { continue };
                match self.find(&runtime, &version) {
                    Ok(found) => installed.push(found),
                    Err(error) => unreadable.push(error),
                }
            }
        }
        installed.sort_by(|a, b| (&a.runtime, &a.version).cmp(&(&b.runtime, &b.version)));
        Ok((installed, unreadable))
    }

    /// The installed version `version` of `runtime`.
    pub fn find(&self, runtime: &str, version: &Version) -> Result<Installed, StoreError> {
        let (dir, path) = self.version_dir(runtime, version)?;
        let file = path.join(PROVENANCE);
        let provenance = Provenance::parse(&read(&dir, PROVENANCE, &file)?)
            .map_err(|source| StoreError::Provenance { path: file, source })?;
        Ok(Installed { runtime: runtime.to_owned(), version: version.clone(), path, provenance })
    }

    /// Reads every byte of an installed version and compares it with its manifest.
    pub fn verify(
        &self,
        runtime: &str,
        version: &Version,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Verdict, StoreError> {
        let installed = self.find(runtime, version)?;
        let (dir, path) = self.version_dir(runtime, version)?;
        let file = path.join(MANIFEST);
        let bad = |source| StoreError::Manifest { path: file.clone(), source };
        let manifest = Manifest::parse(&read(&dir, MANIFEST, &file)?).map_err(bad)?;
        let walk = Walk::over(Purpose::Read, dir.as_fd(), &path, &[MANIFEST, PROVENANCE], progress)?;
        let (paths, irregular) = (walk.entries.len(), walk.irregular);
        let found = Manifest::new(walk.entries).map_err(bad)?;
        let mut deviations = manifest.compare(&found);
        let changed = |path| Deviation { path, difference: Difference::Changed };
        // A manifest that was rewritten with the tree agrees with it, but not with the provenance.
        if manifest.tree_hash() != installed.provenance.tree {
            deviations.push(changed(MANIFEST.to_owned()));
        }
        deviations.extend(irregular.into_iter().map(changed));
        deviations.sort_by(|a, b| a.path.cmp(&b.path));
        deviations.dedup_by(|a, b| a.path == b.path);
        Ok(Verdict { paths: u64::try_from(paths).unwrap_or(u64::MAX), bytes: found.bytes(), deviations })
    }

    /// Removes an installed version: gone by one rename, then deleted. Whether a tenant uses it is the caller's
    /// question.
    pub fn remove(&self, runtime: &str, version: &Version) -> Result<(), StoreError> {
        let (dir, path) = self.version_dir(runtime, version)?;
        let trash = self.area(Self::TRASH)?;
        let home = self.runtime_dir(runtime)?;
        let doomed = format!("{runtime}-{version}");
        remove(trash.as_fd(), OsStr::new(&doomed)).map_err(StoreError::io("clear", &path))?;
        // rename(2) of a directory to another parent writes its "..".
        fchmod(&dir, Mode::S_IRWXU).map_err(StoreError::io("unseal", &path))?;
        renameat2(&home, version.as_str(), &trash, doomed.as_str(), RenameFlags::RENAME_NOREPLACE)
            .map_err(StoreError::io("remove", &path))?;
        remove(trash.as_fd(), OsStr::new(&doomed)).map_err(StoreError::io("delete", &path))
    }

    /// A private directory for one installation; `operation` names it, and whatever an earlier attempt of the same
    /// name left is deleted.
    pub fn incoming(&self, operation: &str) -> Result<Incoming<'_>, StoreError> {
        check_name(operation)?;
        Incoming::create(self, operation)
    }

    /// Deletes what interrupted installations and removals left. For the start of the daemon, when none is running.
    pub fn sweep(&self) -> Result<(), StoreError> {
        for name in [Self::INCOMING, Self::TRASH] {
            let area = self.area(name)?;
            for left in self.names(&area, &self.root.join(name))? {
                remove(area.as_fd(), OsStr::new(&left))
                    .map_err(StoreError::io("delete", &self.root.join(name).join(&left)))?;
            }
        }
        Ok(())
    }

    fn names(&self, dir: &OwnedFd, path: &Path) -> Result<Vec<String>, StoreError> {
        let found = names(dir.as_fd()).map_err(StoreError::io("list", path))?;
        Ok(found.into_iter().filter_map(|name| name.into_string().ok()).collect())
    }

    /// One of the store's own directories, mode 0700, made where it is missing.
    pub(crate) fn area(&self, name: &str) -> Result<OwnedFd, StoreError> {
        self.subdir(name, Mode::S_IRWXU)
    }

    /// The directory of a runtime, mode 0755, made where it is missing.
    pub(crate) fn runtime_dir(&self, runtime: &str) -> Result<OwnedFd, StoreError> {
        check_name(runtime)?;
        self.subdir(runtime, Mode::from_bits_truncate(0o755))
    }

    fn subdir(&self, name: &str, mode: Mode) -> Result<OwnedFd, StoreError> {
        let path = self.root.join(name);
        match mkdirat(&self.dir, name, mode) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(StoreError::io("make", &path)(errno)),
        }
        let dir = open_dir(self.dir.as_fd(), name).map_err(StoreError::io("open", &path))?;
        fchmod(&dir, mode).map_err(StoreError::io("set the mode of", &path))?;
        Ok(dir)
    }

    fn version_dir(&self, runtime: &str, version: &Version) -> Result<(OwnedFd, PathBuf), StoreError> {
        check_name(runtime)?;
        let path = self.root.join(runtime).join(version.as_str());
        let missing = |errno| {
            if errno == Errno::ENOENT {
                StoreError::NotInstalled { runtime: runtime.to_owned(), version: version.to_string() }
            } else {
                StoreError::io("open", &path)(errno)
            }
        };
        let home = open_dir(self.dir.as_fd(), runtime).map_err(missing)?;
        let dir = open_dir(home.as_fd(), version.as_str()).map_err(missing)?;
        Ok((dir, path))
    }
}

/// Reads a tree that need not be sealed. For pinning the content of a newly tested version.
pub fn read_tree(path: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Manifest, StoreError> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    let dir = open(path, flags, Mode::empty()).map_err(StoreError::io("open", path))?;
    let walk = Walk::over(Purpose::Read, dir.as_fd(), path, &[MANIFEST, PROVENANCE], progress)?;
    Manifest::new(walk.entries)
        .and_then(|manifest| manifest.check_links().map(|()| manifest))
        .map_err(|source| StoreError::Manifest { path: path.to_owned(), source })
}

/// Opens the directory `name` in `dir`; a link is refused.
pub(crate) fn open_dir(dir: BorrowedFd<'_>, name: &str) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    openat(dir, name, flags, Mode::empty())
}

fn read(dir: &OwnedFd, name: &str, path: &Path) -> Result<String, StoreError> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let fd = openat(dir, name, flags, Mode::empty()).map_err(StoreError::io("open", path))?;
    let mut text = String::new();
    std::fs::File::from(fd)
        .read_to_string(&mut text)
        .map_err(|error| StoreError::io("read", path)(errno_of(&error)))?;
    Ok(text)
}

fn check_name(name: &str) -> Result<(), StoreError> {
    let formed = name.len() <= 64
        && name.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if formed { Ok(()) } else { Err(StoreError::Name(name.chars().take(64).collect())) }
}
