//! Files and links in directories that only root writes: made whole or not at all, read with a bound, never followed.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use model::{Exit, Owner};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, readlinkat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, symlinkat, unlinkat};
use plan::HostError;

use crate::anchor::Anchor;
use crate::error::{io, os, sentence};

/// Most names that are read of one directory.
const NAMES: usize = 100_000;

/// A regular file as found.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Owner.
    pub(crate) owner: Owner,
    /// Permission bits.
    pub(crate) mode: u32,
    /// The first bytes, as many as were asked for and one more where there are more.
    pub(crate) bytes: Vec<u8>,
}

/// Writes a file whole or not at all: a new file beside it is filled, given owner and mode, written to disk, and renamed
/// over it. Missing parents are made; a parent that is a link or that others may write is refused.
pub fn write_atomic(path: &Path, owner: Owner, mode: u32, bytes: &[u8]) -> Result<(), HostError> {
    let (parent, name) = Anchor::make_parent_of(path)?;
    refuse_other_kind(&parent, &name, SFlag::S_IFREG)?;
    let temporary = temporary_name(&name);
    discard(&parent, &temporary)?;
    let written = fill(&parent, &temporary, owner, mode, bytes).and_then(|()| {
        renameat(&parent, temporary.as_os_str(), &parent, name.as_os_str())
            .map_err(|errno| os("rename into place", path, errno))
    });
    if let Err(error) = written {
        discard(&parent, &temporary)?;
        return Err(error);
    }
    parent.sync()
}

/// Reads a file of at most `limit` bytes; nothing where it is missing. A link, a device or a larger file is an error.
pub fn read_bounded(path: &Path, limit: usize) -> Result<Option<Vec<u8>>, HostError> {
    let Some(seen) = look(path, limit)? else { return Ok(None) };
    if seen.bytes.len() > limit {
        let text =
            format!("{} is larger than {limit} bytes, which no such file is: look at it", path.display());
        return Err(sentence(Exit::OsFile, text));
    }
    Ok(Some(seen.bytes))
}

/// Removes a file or a link, and what an interrupted write left beside it. Nothing there is well.
pub fn remove(path: &Path) -> Result<(), HostError> {
    let (Some(parent), name) = Anchor::parent_of(path)? else { return Ok(()) };
    discard(&parent, &temporary_name(&name))?;
    discard(&parent, &name)?;
    parent.sync()
}

/// Plain names in a directory, sorted; names that begin with a dot or are not UTF-8 are left out.
pub fn list(directory: &Path) -> Result<Vec<String>, HostError> {
    let Some(anchor) = Anchor::find(directory)? else { return Ok(Vec::new()) };
    let names = anchor.names(NAMES)?.into_iter().filter_map(|name| name.into_string().ok());
    Ok(names.filter(|name| !name.starts_with('.')).collect())
}

/// The name under which `name` is written before it is renamed into place.
pub(crate) fn temporary_name(name: &OsStr) -> OsString {
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(".tenantd");
    temporary
}

/// A regular file with its first `limit` + 1 bytes, or nothing where it is missing.
pub(crate) fn look(path: &Path, limit: usize) -> Result<Option<Seen>, HostError> {
    let (Some(parent), name) = Anchor::parent_of(path)? else { return Ok(None) };
    refuse_other_kind(&parent, &name, SFlag::S_IFREG)?;
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let fd = match openat(&parent, name.as_os_str(), flags, Mode::empty()) {
        Ok(fd) => fd,
        Err(Errno::ENOENT) => return Ok(None),
        Err(errno) => return Err(os("open", path, errno)),
    };
    let stat = fstat(&fd).map_err(|errno| os("look at", path, errno))?;
    let mut bytes = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    File::from(fd).take(most).read_to_end(&mut bytes).map_err(|error| io("read", path, &error))?;
    Ok(Some(Seen { owner: Owner { uid: stat.st_uid, gid: stat.st_gid }, mode: stat.st_mode & 0o7777, bytes }))
}

/// The target of a link, or nothing where it is missing; anything but a link is an error.
pub(crate) fn look_link(path: &Path) -> Result<Option<PathBuf>, HostError> {
    let (Some(parent), name) = Anchor::parent_of(path)? else { return Ok(None) };
    refuse_other_kind(&parent, &name, SFlag::S_IFLNK)?;
    match readlinkat(&parent, name.as_os_str()) {
        Ok(target) => Ok(Some(PathBuf::from(target))),
        Err(Errno::ENOENT) => Ok(None),
        Err(errno) => Err(os("read link", path, errno)),
    }
}

/// Makes a link, or makes it point elsewhere, in one step.
pub(crate) fn write_link(path: &Path, target: &Path) -> Result<(), HostError> {
    let (parent, name) = Anchor::make_parent_of(path)?;
    refuse_other_kind(&parent, &name, SFlag::S_IFLNK)?;
    let temporary = temporary_name(&name);
    discard(&parent, &temporary)?;
    symlinkat(target, &parent, temporary.as_os_str()).map_err(|errno| os("make link", path, errno))?;
    if let Err(errno) = renameat(&parent, temporary.as_os_str(), &parent, name.as_os_str()) {
        discard(&parent, &temporary)?;
        return Err(os("rename into place", path, errno));
    }
    parent.sync()
}

/// What a file type is called in a sentence.
pub(crate) fn kind_name(stat: &FileStat) -> &'static str {
    let format = SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits());
    let table = [
        (SFlag::S_IFREG, "a file"),
        (SFlag::S_IFDIR, "a directory"),
        (SFlag::S_IFLNK, "a symbolic link"),
        (SFlag::S_IFIFO, "a fifo"),
        (SFlag::S_IFSOCK, "a socket"),
    ];
    table.into_iter().find(|(known, _)| *known == format).map_or("a device", |(_, name)| name)
}

/// Whether a file is of this type.
pub(crate) fn is(stat: &FileStat, kind: SFlag) -> bool {
    stat.st_mode & SFlag::S_IFMT.bits() == kind.bits()
}

/// The error for something of another type in the place of `expected`.
pub(crate) fn other_kind(path: &Path, stat: &FileStat, expected: &str) -> HostError {
    let text = format!(
        "{} is {} where {expected} belongs, and tenantd did not make it: move it away and try again",
        path.display(),
        kind_name(stat)
    );
    sentence(Exit::CantCreate, text)
}

fn refuse_other_kind(parent: &Anchor, name: &OsStr, kind: SFlag) -> Result<(), HostError> {
    let expected = if kind == SFlag::S_IFREG { "a file" } else { "a symbolic link" };
    match parent.look(name)? {
        Some(stat) if !is(&stat, kind) => Err(other_kind(&parent.path().join(name), &stat, expected)),
        Some(_) | None => Ok(()),
    }
}

fn fill(parent: &Anchor, name: &OsStr, owner: Owner, mode: u32, bytes: &[u8]) -> Result<(), HostError> {
    let path = parent.path().join(name);
    let failed = |errno| os("write", &path, errno);
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let fd = openat(parent, name, flags, Mode::from_bits_truncate(0o600)).map_err(failed)?;
    let mut file = File::from(fd);
    file.write_all(bytes).map_err(|error| io("write", &path, &error))?;
    fchown(&file, Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid))).map_err(failed)?;
    fchmod(&file, Mode::from_bits_truncate(mode)).map_err(failed)?;
    file.sync_all().map_err(|error| io("write", &path, &error))
}

fn discard(parent: &Anchor, name: &OsStr) -> Result<(), HostError> {
    match unlinkat(parent, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(errno) => Err(os("remove", &parent.path().join(name), errno)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    fn own() -> Owner {
        Owner { uid: nix::unistd::geteuid().as_raw(), gid: nix::unistd::getegid().as_raw() }
    }

    #[test]
    fn a_file_is_replaced_whole_with_owner_and_mode() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("etc/tenantd/tenants.d/acme.toml");
        for text in ["first", "second, and longer"] {
            write_atomic(&path, own(), 0o640, text.as_bytes()).unwrap();
            assert_eq!(read_bounded(&path, 100).unwrap().unwrap(), text.as_bytes());
        }
        assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o640);
        assert_eq!(list(path.parent().unwrap()).unwrap(), ["acme.toml"]);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn a_link_in_the_place_of_a_file_is_refused_and_its_target_untouched() {
        let root = tempfile::tempdir().unwrap();
        let (target, path) = (root.path().join("shadow"), root.path().join("file"));
        write_atomic(&target, own(), 0o600, b"secret").unwrap();
        symlink(&target, &path).unwrap();
        assert!(write_atomic(&path, own(), 0o644, b"x").unwrap_err().message.contains("is a symbolic link"));
        assert!(read_bounded(&path, 100).unwrap_err().message.contains("is a symbolic link"));
        assert_eq!(std::fs::read(&target).unwrap(), b"secret");
    }

    #[test]
    fn a_parent_that_is_a_link_is_refused() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("elsewhere")).unwrap();
        symlink("elsewhere", root.path().join("parent")).unwrap();
        let path = root.path().join("parent/file");
        let error = write_atomic(&path, own(), 0o644, b"x").unwrap_err();
        assert_eq!(error.exit, Exit::CantCreate);
        assert!(error.message.contains("follows no link"), "{error}");
        assert!(remove(&path).is_err());
    }

    #[test]
    fn a_parent_that_others_may_write_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().unwrap();
        let parent = root.path().join("open");
        std::fs::create_dir(&parent).unwrap();
        std::fs::set_permissions(&parent, std::fs::Permissions::from_mode(0o777)).unwrap();
        let error = write_atomic(&parent.join("file"), own(), 0o644, b"x").unwrap_err();
        assert!(error.message.contains("mode 0777"), "{error}");
        std::fs::set_permissions(&parent, std::fs::Permissions::from_mode(0o1777)).unwrap();
        assert!(
            write_atomic(&parent.join("file"), own(), 0o644, b"x").is_err(),
            "sticky is no excuse for the last"
        );
        assert!(
            write_atomic(&parent.join("mine/file"), own(), 0o644, b"x").is_ok(),
            "a directory of ours on the way is"
        );
    }

    #[test]
    fn a_fifo_does_not_hold_up_a_reader() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("fifo");
        nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
        assert!(read_bounded(&path, 100).unwrap_err().message.contains("is a fifo"));
    }

    #[test]
    fn more_bytes_than_the_bound_are_an_error() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("file");
        write_atomic(&path, own(), 0o644, &[b'x'; 101]).unwrap();
        assert!(read_bounded(&path, 100).unwrap_err().message.contains("larger than 100 bytes"));
    }

    #[test]
    fn a_link_is_replaced_in_one_step() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("compiled/runtime");
        write_link(&path, Path::new("/a")).unwrap();
        write_link(&path, Path::new("/b")).unwrap();
        assert_eq!(look_link(&path).unwrap(), Some(PathBuf::from("/b")));
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert_eq!(look_link(&path).unwrap(), None);
    }

    #[test]
    fn what_an_interrupted_write_left_is_written_over() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("file");
        std::fs::create_dir_all(root.path()).unwrap();
        std::fs::File::create(root.path().join(".file.tenantd")).unwrap();
        write_atomic(&path, own(), 0o644, b"x").unwrap();
        std::fs::File::create(root.path().join(".file.tenantd")).unwrap();
        remove(&path).unwrap();
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
    }
}
