//! `tenant-archive unpack`: makes a tree of an archive, or nothing.
//!
//! Each object is made new (`O_EXCL`) by one name in a directory that is held open, and gets its mode and time last. The
//! directories that are open are those on the way to the current entry.

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::at;
use crate::entry::{Entry, Kind, Time};
use crate::error::{Error, shown};
use crate::manifest::Summary;
use crate::path::Tops;
use crate::read::{Target, read};
use crate::undo;

/// Unpacks `input` below `directory`. Its top directories must be empty or not there. After an error they are again.
pub fn unpack(directory: &OsString, input: impl Read) -> Result<Summary, Error> {
    let base = at::open_base(directory)?;
    let mut tree =
        Tree { base, found: Vec::new(), open: Vec::new(), file: None, whole: Vec::new(), made: Vec::new() };
    let first = match read(input, &mut tree) {
        Ok(summary) => return Ok(summary),
        Err(first) => first,
    };
    tree.open.clear();
    // Those that got their modes already must let themselves be emptied.
    let opened = tree.whole.iter().try_for_each(|level| rustix::fs::fchmod(&level.fd, Mode::RWXU));
    tree.whole.clear();
    let opened = opened.map_err(|source| (b"the top directories".to_vec(), source));
    match opened.and_then(|()| undo::undo(&tree.base, &tree.made, &tree.found)) {
        Ok(()) => Err(first),
        Err((path, source)) => {
            Err(Error::Left { first: Box::new(first), path: shown(&path), source: source.into() })
        }
    }
}

/// A top directory that was there before, as it is to be put back.
pub struct Found {
    /// Its name.
    pub name: String,
    /// Its permission bits.
    pub mode: Mode,
    /// When it was last changed.
    pub mtime: Time,
}

struct Level {
    path: Vec<u8>,
    fd: OwnedFd,
    mode: Mode,
    mtime: Time,
}

struct Tree {
    base: OwnedFd,
    found: Vec<Found>,
    /// The directories on the way to the current entry.
    open: Vec<Level>,
    file: Option<File>,
    /// Top directories; their modes wait for the end, so that a refused archive leaves them as they were.
    whole: Vec<Level>,
    /// Top directories that are made here.
    made: Vec<String>,
}

impl Tree {
    fn directory(&self) -> &OwnedFd {
        self.open.last().map_or(&self.base, |level| &level.fd)
    }

    /// The file at `path`: its directory, open, and its name.
    fn file_at(&self, path: &[u8]) -> Result<(OwnedFd, CString), Errno> {
        let mut names = path.split(|byte| *byte == b'/').map(name);
        let top = names.next().ok_or(Errno::NOENT)??;
        let mut last = names.next().ok_or(Errno::NOENT)??;
        let mut directory = at::open_top(&self.base, top.to_str().map_err(|_| Errno::NOENT)?)?;
        for name in names {
            directory = at::open_directory(&directory, &last)?;
            last = name?;
        }
        Ok((directory, last))
    }

    fn hard_link(&self, target: &[u8], to: &CString) -> Result<(), Errno> {
        let (directory, from) = self.file_at(target)?;
        let stat = rustix::fs::statat(&directory, &from, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Errno::NOENT);
        }
        // Without AT_SYMLINK_FOLLOW, so that a link put there meanwhile is not followed.
        rustix::fs::linkat(&directory, &from, self.directory(), to, AtFlags::empty())
    }
}

impl Target for Tree {
    fn begin(&mut self, tops: &Tops) -> Result<(), Error> {
        let mut all = Vec::new();
        for top in tops.iter() {
            let fd = match at::open_top(&self.base, top) {
                Ok(fd) => fd,
                Err(Errno::NOENT) => continue,
                Err(source) => {
                    return Err(Error::Open { path: shown(top.as_bytes()), source: source.into() });
                }
            };
            let failed = |source: Errno| Error::Open { path: shown(top.as_bytes()), source: source.into() };
            let stat = rustix::fs::fstat(&fd).map_err(failed)?;
            if undo::holds_something(&fd).map_err(failed)? {
                return Err(Error::NotEmpty(shown(top.as_bytes())));
            }
            let mode = Mode::from_raw_mode(stat.st_mode);
            all.push(Found { name: top.to_owned(), mode, mtime: at::mtime(&stat) });
        }
        self.found = all;
        Ok(())
    }

    fn enter(&mut self, entry: &Entry, last: &[u8]) -> Result<(), Error> {
        let failed = |source| made(entry, source);
        let name = name(last).map_err(failed)?;
        let fd = if self.open.is_empty() {
            let top = String::from_utf8_lossy(last).into_owned();
            if !self.found.iter().any(|found| found.name == top) {
                rustix::fs::mkdirat(&self.base, &name, Mode::RWXU).map_err(failed)?;
                self.made.push(top.clone());
            }
            at::open_top(&self.base, &top)
        } else {
            rustix::fs::mkdirat(self.directory(), &name, Mode::RWXU).map_err(failed)?;
            at::open_directory(self.directory(), &name)
        };
        let fd = fd.map_err(failed)?;
        let mode = Mode::from_raw_mode(entry.mode);
        self.open.push(Level { path: entry.path.clone(), fd, mode, mtime: entry.mtime });
        Ok(())
    }

    fn leave(&mut self, _: &[u8]) -> Result<(), Error> {
        let Some(level) = self.open.pop() else { return Ok(()) };
        if self.open.is_empty() {
            self.whole.push(level);
            return Ok(());
        }
        settle(&level)
    }

    fn open(&mut self, entry: &Entry, last: &[u8]) -> Result<(), Error> {
        let failed = |source| made(entry, source);
        let name = name(last).map_err(failed)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let fd = at::open(self.directory(), &name, flags, Mode::RUSR | Mode::WUSR).map_err(failed)?;
        if let Kind::File { size, map: Some(_) } = &entry.kind {
            rustix::fs::ftruncate(&fd, *size).map_err(failed)?;
        }
        self.file = Some(File::from(fd));
        Ok(())
    }

    fn data(&mut self, entry: &Entry, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let Some(file) = &self.file else { return Err(Error::make(&entry.path, Errno::BADF)) };
        file.write_all_at(bytes, offset).map_err(|source: io::Error| Error::make(&entry.path, source))
    }

    fn close(&mut self, entry: &Entry) -> Result<(), Error> {
        let Some(file) = self.file.take() else { return Ok(()) };
        rustix::fs::fchmod(&file, Mode::from_raw_mode(entry.mode))
            .and_then(|()| rustix::fs::futimens(&file, &at::times(entry.mtime)))
            .map_err(|source| Error::make(&entry.path, source))
    }

    fn link(&mut self, entry: &Entry, last: &[u8]) -> Result<(), Error> {
        let failed = |source| made(entry, source);
        let name = name(last).map_err(failed)?;
        if let Kind::HardLink { target } = &entry.kind {
            return self.hard_link(target, &name).map_err(|source| match source {
                Errno::NOENT | Errno::NOTDIR | Errno::LOOP => {
                    Error::refused(&entry.path, "it is a hard link to no file of the archive")
                }
                other => failed(other),
            });
        }
        rustix::fs::symlinkat(entry.target(), self.directory(), &name)
            .and_then(|()| {
                let times = at::times(entry.mtime);
                rustix::fs::utimensat(self.directory(), &name, &times, AtFlags::SYMLINK_NOFOLLOW)
            })
            .map_err(failed)
    }

    fn finish(&mut self) -> Result<(), Error> {
        for level in &self.whole {
            settle(level)?;
        }
        // What the disk had no room for may show only now.
        let synced = self.whole.first().map_or(Ok(()), |level| rustix::fs::syncfs(&level.fd));
        synced.map_err(|source| Error::make(b"the tree", source))
    }
}

/// The mode and time of a directory that is whole.
fn settle(level: &Level) -> Result<(), Error> {
    rustix::fs::fchmod(&level.fd, level.mode)
        .and_then(|()| rustix::fs::futimens(&level.fd, &at::times(level.mtime)))
        .map_err(|source| Error::make(&level.path, source))
}

fn name(bytes: &[u8]) -> Result<CString, Errno> {
    CString::new(bytes).map_err(|_| Errno::INVAL)
}

fn made(entry: &Entry, source: Errno) -> Error {
    match source {
        Errno::EXIST => Error::refused(&entry.path, "it is in the archive twice"),
        other => Error::make(&entry.path, other),
    }
}
