//! A directory that root alone can enter, and files in it that are whole or not there. By descriptor: what is put in the place of a
//! path meanwhile does not matter.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat, renameat};
use nix::sys::stat::{Mode, fstat, mkdirat};
use nix::unistd::{UnlinkatFlags, fsync, geteuid, unlinkat};

use crate::{StoreError, fault};

/// More than any file of the vault has.
const LONGEST: u64 = 128 * 1024;
const DIRECTORY: OFlag = OFlag::O_DIRECTORY.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// An open directory.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    descriptor: OwnedFd,
}

impl Directory {
    /// Opens `path`.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let descriptor =
            openat(AT_FDCWD, path, DIRECTORY, Mode::empty()).map_err(StoreError::io("open", path))?;
        Self::private(path.to_owned(), descriptor)
    }

    /// Opens the directory `name` in this one, if it is there.
    pub(crate) fn find(&self, name: &str) -> Result<Option<Self>, StoreError> {
        let path = self.path.join(name);
        match openat(&self.descriptor, name, DIRECTORY, Mode::empty()) {
            Ok(descriptor) => Self::private(path, descriptor).map(Some),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(StoreError::io("open", &path)(errno)),
        }
    }

    /// Opens the directory `name` in this one, making it first if it is missing.
    pub(crate) fn make(&self, name: &str) -> Result<Self, StoreError> {
        let path = self.path.join(name);
        match mkdirat(&self.descriptor, name, Mode::S_IRWXU) {
            Ok(()) => fsync(&self.descriptor).map_err(StoreError::io("keep", &path))?,
            Err(Errno::EEXIST) => (),
            Err(errno) => return Err(StoreError::io("make", &path)(errno)),
        }
        self.find(name)?.ok_or_else(|| StoreError::io("open", &path)(Errno::ENOENT))
    }

    /// Removes the empty directory `name` from this one.
    pub(crate) fn remove_directory(&self, name: &str) -> Result<(), StoreError> {
        self.unlink(name, UnlinkatFlags::RemoveDir)
    }

    /// The names in it, but for those that begin with a dot.
    pub(crate) fn names(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.all()?.into_iter().filter(|name| !name.starts_with('.')).collect())
    }

    /// Removes what interrupted writes and removals left.
    pub(crate) fn sweep(&self) -> Result<(), StoreError> {
        self.all()?.iter().filter(|name| name.starts_with('.')).try_for_each(|name| self.erase(name))
    }

    /// The bytes of a file, if it is there.
    pub(crate) fn read_if_there(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        match self.read(name) {
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            other => other.map(Some),
        }
    }

    /// Gives a file another name, on the disk when this returns. What had that name is gone.
    pub(crate) fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        let failed = |error: io::Error| StoreError::io("rename", &self.path.join(from))(error);
        fault::point().map_err(failed)?;
        renameat(&self.descriptor, from, &self.descriptor, to)
            .and_then(|()| fsync(&self.descriptor))
            .map_err(|errno| failed(errno.into()))?;
        fault::point().map_err(failed)
    }

    /// Fills `room` from the beginning of a file: how many bytes that were, and how many the file has. One that leaves room has said so itself
    /// and is not asked: read(2) gives less of a file only at its end.
    pub(crate) fn read_head(&self, name: &str, room: &mut [u8]) -> Result<(usize, u64), StoreError> {
        let mut file = self.open_file(name)?;
        let failed = |error: io::Error| StoreError::io("read", &self.path.join(name))(error);
        loop {
            match file.read(room) {
                Ok(read) if read < room.len() => return Ok((read, read as u64)),
                Ok(read) => return Ok((read, file.metadata().map_err(failed)?.len())),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) => return Err(failed(error)),
            }
        }
    }

    fn open_file(&self, name: &str) -> Result<File, StoreError> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let opened = openat(&self.descriptor, name, flags, Mode::empty());
        opened.map(File::from).map_err(|errno| StoreError::io("open", &self.path.join(name))(errno))
    }

    /// The bytes of a file.
    pub(crate) fn read(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        let path = self.path.join(name);
        let mut bytes = Vec::new();
        let read = self.open_file(name)?.take(LONGEST + 1).read_to_end(&mut bytes);
        match read {
            Ok(_) if bytes.len() as u64 <= LONGEST => Ok(bytes),
            Ok(_) => Err(StoreError::io("read", &path)(io::Error::from(io::ErrorKind::FileTooLarge))),
            Err(error) => Err(StoreError::io("read", &path)(error)),
        }
    }

    /// Gives a file these bytes: all of them or none, and on the disk when this returns.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.path.join(name);
        fault::point().map_err(StoreError::io("write", &path))?;
        let new = format!(".{name}");
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        let written = openat(&self.descriptor, new.as_str(), flags, mode)
            .map_err(io::Error::from)
            .map(File::from)
            .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
        if let Err(error) = written {
            // What is left of it is swept when the directory is opened the next time.
            self.unlink(&new, UnlinkatFlags::NoRemoveDir).ok();
            return Err(StoreError::io("write", &path)(error));
        }
        fault::point().map_err(StoreError::io("write", &path))?;
        renameat(&self.descriptor, new.as_str(), &self.descriptor, name)
            .and_then(|()| fsync(&self.descriptor))
            .map_err(StoreError::io("write", &path))?;
        fault::point().map_err(StoreError::io("write", &path))
    }

    /// Removes a file, overwritten first; gone from the disk, as far as a file system can promise that, when this returns. It loses its
    /// name before its bytes: one that is half overwritten would be taken for a damaged one after a crash.
    pub(crate) fn remove(&self, name: &str) -> Result<(), StoreError> {
        let path = self.path.join(name);
        fault::point().map_err(StoreError::io("remove", &path))?;
        let hidden = if name.starts_with('.') { name.to_owned() } else { format!(".{name}") };
        match renameat(&self.descriptor, name, &self.descriptor, hidden.as_str()) {
            Ok(()) => fsync(&self.descriptor).map_err(StoreError::io("remove", &path))?,
            Err(Errno::ENOENT) => return Ok(()),
            Err(errno) => return Err(StoreError::io("remove", &path)(errno)),
        }
        fault::point().map_err(StoreError::io("remove", &path))?;
        self.erase(&hidden)?;
        fault::point().map_err(StoreError::io("remove", &path))
    }

    /// Overwrites a file and takes its name away.
    fn erase(&self, name: &str) -> Result<(), StoreError> {
        let path = self.path.join(name);
        let flags = OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let overwritten = openat(&self.descriptor, name, flags, Mode::empty())
            .map_err(io::Error::from)
            .map(File::from)
            .and_then(|mut file| {
                let zeros = vec![0; usize::try_from(file.metadata()?.len()).unwrap_or_default()];
                file.write_all(&zeros)?;
                file.sync_all()
            });
        fault::point().map_err(StoreError::io("overwrite", &path))?;
        self.unlink(name, UnlinkatFlags::NoRemoveDir)?;
        // A link is not followed: what it leads to is none of the vault's.
        let harmless = [Errno::ENOENT, Errno::ELOOP].map(|errno| Some(errno as i32));
        match overwritten {
            Err(error) if !harmless.contains(&error.raw_os_error()) => {
                Err(StoreError::io("overwrite", &path)(error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn unlink(&self, name: &str, flags: UnlinkatFlags) -> Result<(), StoreError> {
        let path = self.path.join(name);
        match unlinkat(&self.descriptor, name, flags) {
            Ok(()) => fsync(&self.descriptor).map_err(StoreError::io("remove", &path)),
            Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(StoreError::io("remove", &path)(errno)),
        }
    }

    /// Every name in it.
    pub(crate) fn all(&self) -> Result<Vec<String>, StoreError> {
        let failed = |errno: Errno| StoreError::io("list", &self.path)(errno);
        let mut dir = Dir::openat(&self.descriptor, ".", DIRECTORY, Mode::empty()).map_err(failed)?;
        let mut names = Vec::new();
        for entry in dir.iter() {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn private(path: PathBuf, descriptor: OwnedFd) -> Result<Self, StoreError> {
        let about = fstat(descriptor.as_fd()).map_err(StoreError::io("examine", &path))?;
        let mode = about.st_mode & 0o7777;
        if mode & 0o077 != 0 || about.st_uid != geteuid().as_raw() {
            return Err(StoreError::Open { path, mode, uid: about.st_uid });
        }
        Ok(Self { path, descriptor })
    }
}
