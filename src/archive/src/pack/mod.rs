//! `tenant-archive pack`: a tree as one stream. The walk holds the directories on its way open and one small batch of names
//! of each; nothing is sorted and, but for hard links, nothing is remembered.

mod content;
mod hard_links;
mod sink;

use std::ffi::{CStr, OsString};
use std::fs::File;
use std::io::Write;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::at::{self, Name};
use crate::entry::{Entry, Kind, Time};
use crate::error::{Error, shown};
use crate::manifest::Summary;
use crate::path::{self, MAX_DEPTH, Tops};
use crate::report::Report;
use hard_links::HardLinks;
use sink::Sink;

/// How many bytes of names are read from a directory at a time.
const NAMES: usize = 8192;

/// Writes the top directories of `directory` to `output`. What cannot be kept is counted, and warned of.
pub fn pack<W: Write, R: Write>(
    directory: &OsString,
    tops: &Tops,
    output: W,
    report: &mut Report<R>,
) -> Result<Summary, Error> {
    let base = at::open_base(directory)?;
    let mut pack = Pack {
        sink: Sink::new(output, tops)?,
        report,
        links: HardLinks::default(),
        path: Vec::new(),
        levels: Vec::new(),
        names: vec![MaybeUninit::uninit(); NAMES],
        data: vec![0; content::BUFFER],
    };
    for top in tops.iter() {
        let opened = at::open_top(&base, top).and_then(|fd| Ok((rustix::fs::fstat(&fd)?, fd)));
        let (stat, fd) =
            opened.map_err(|source| Error::Open { path: shown(top.as_bytes()), source: source.into() })?;
        pack.path = top.as_bytes().to_vec();
        pack.directory(&stat)?;
        pack.levels.push(Level::new(fd, &stat, 0));
        pack.walk()?;
    }
    pack.sink.finish()
}

struct Level {
    fd: OwnedFd,
    device: u64,
    mtime: Time,
    names: Vec<(Name, FileType)>,
    /// Whether the last name was read.
    whole: bool,
    /// The length of the path above.
    path: usize,
}

impl Level {
    fn new(fd: OwnedFd, stat: &Stat, path: usize) -> Level {
        let mtime = at::mtime(stat);
        Level { fd, device: stat.st_dev, mtime, names: Vec::new(), whole: false, path }
    }
}

struct Pack<'report, W: Write, R> {
    sink: Sink<W>,
    report: &'report mut Report<R>,
    links: HardLinks,
    /// Of the current entry.
    path: Vec<u8>,
    levels: Vec<Level>,
    names: Vec<MaybeUninit<u8>>,
    data: Vec<u8>,
}

/// What became of an object that was looked at.
enum Looked {
    Packed,
    /// Into it.
    Down(OwnedFd, Stat),
}

impl<W: Write, R: Write> Pack<'_, W, R> {
    /// Everything below the directories in `levels`, depth first.
    fn walk(&mut self) -> Result<(), Error> {
        while let Some(level) = self.levels.last_mut() {
            let Some((name, kind)) = level.names.pop() else {
                if level.whole {
                    self.up();
                } else {
                    self.more_names()?;
                }
                continue;
            };
            let above = self.path.len();
            self.path.push(b'/');
            self.path.extend_from_slice(name.to_bytes());
            match self.look(&name, kind) {
                Ok(Looked::Packed) => self.path.truncate(above),
                Ok(Looked::Down(fd, stat)) => self.levels.push(Level::new(fd, &stat, above)),
                Err(Trouble::Fatal(error)) => return Err(error),
                Err(Trouble::With(errno)) => {
                    self.left_out(errno)?;
                    self.path.truncate(above);
                }
            }
        }
        Ok(())
    }

    /// Leaves a directory. If names came or went meanwhile, some may be missing.
    fn up(&mut self) {
        let Some(level) = self.levels.pop() else { return };
        if !rustix::fs::fstat(&level.fd).is_ok_and(|stat| at::mtime(&stat) == level.mtime) {
            self.sink.summary.changed += 1;
            self.report.warn(&self.path, "changed while read");
        }
        self.path.truncate(level.path);
    }

    fn more_names(&mut self) -> Result<(), Error> {
        let Some(level) = self.levels.last_mut() else { return Ok(()) };
        let read = at::read_names(&level.fd, &mut self.names, &mut level.names);
        level.whole = read.is_err() || level.names.is_empty();
        read.or_else(|errno| self.left_out(errno))
    }

    /// Packs one object, of whatever kind it turns out to be.
    fn look(&mut self, name: &CStr, kind: FileType) -> Result<Looked, Trouble> {
        let Some(level) = self.levels.last() else { return Ok(Looked::Packed) };
        let kind = if matches!(kind, FileType::RegularFile | FileType::Directory) {
            kind
        } else {
            let stat = rustix::fs::statat(&level.fd, name, AtFlags::SYMLINK_NOFOLLOW)?;
            FileType::from_raw_mode(stat.st_mode)
        };
        if self.levels.len() >= MAX_DEPTH {
            self.sink.summary.left_out.too_deep += 1;
            self.report.warn(&self.path, "left out: too deep in the tree");
            return Ok(Looked::Packed);
        }
        match kind {
            FileType::RegularFile => self.file(name)?,
            FileType::Directory => return self.down(name),
            FileType::Symlink => self.symlink(name)?,
            FileType::Fifo => {
                self.sink.summary.left_out.fifos += 1;
                self.report.warn(&self.path, "left out: a FIFO");
            }
            FileType::Socket => {
                self.sink.summary.left_out.sockets += 1;
                self.report.warn(&self.path, "left out: a socket");
            }
            FileType::CharacterDevice | FileType::BlockDevice | FileType::Unknown => {
                self.sink.summary.left_out.devices += 1;
                self.report.warn(&self.path, "left out: a device");
            }
        }
        Ok(Looked::Packed)
    }

    fn down(&mut self, name: &CStr) -> Result<Looked, Trouble> {
        let Some(level) = self.levels.last() else { return Ok(Looked::Packed) };
        let fd = match at::open_directory(&level.fd, name) {
            Ok(fd) => fd,
            Err(errno @ Errno::ACCESS) => {
                // The directory itself can be kept.
                let stat = rustix::fs::statat(&level.fd, name, AtFlags::SYMLINK_NOFOLLOW)?;
                if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                    self.directory(&stat)?;
                }
                return Err(errno.into());
            }
            Err(errno) => return Err(errno.into()),
        };
        let stat = rustix::fs::fstat(&fd)?;
        if stat.st_dev != level.device {
            return Err(Errno::XDEV.into());
        }
        self.directory(&stat)?;
        Ok(Looked::Down(fd, stat))
    }

    fn directory(&mut self, stat: &Stat) -> Result<(), Error> {
        let entry = self.entry(stat, Kind::Directory);
        self.sink.entry(&entry, false)?;
        self.sink.end(&entry)
    }

    fn symlink(&mut self, name: &CStr) -> Result<(), Trouble> {
        let Some(level) = self.levels.last() else { return Ok(()) };
        let stat = rustix::fs::statat(&level.fd, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let target = rustix::fs::readlinkat(&level.fd, name, Vec::new())?.into_bytes();
        if path::leads_out(&self.path, &target) {
            self.sink.summary.left_out.links_out += 1;
            self.report.warn(&self.path, &format!("left out: a link that leads out, to {}", shown(&target)));
            return Ok(());
        }
        let kind = Kind::Symlink { target };
        let entry = Entry { path: self.path.clone(), mode: 0o777, mtime: at::mtime(&stat), kind };
        self.sink.entry(&entry, false)?;
        Ok(self.sink.end(&entry)?)
    }

    fn file(&mut self, name: &CStr) -> Result<(), Trouble> {
        let Some(level) = self.levels.last() else { return Ok(()) };
        // O_NONBLOCK, in case a FIFO took the file's place.
        let file = File::from(at::open(&level.fd, name, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty())?);
        let stat = rustix::fs::fstat(&file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Errno::NOENT.into());
        }
        if let Some(entry) = self.other_name(&stat)? {
            self.sink.entry(&entry, false)?;
            return Ok(self.sink.end(&entry)?);
        }
        let size = u64::try_from(stat.st_size).unwrap_or_default();
        let entry = self.entry(&stat, Kind::File { size, map: None });
        let read = content::put(&mut self.sink, entry, &file, &stat, &mut self.data)?;
        match read {
            content::Read::AsItWas => {}
            content::Read::Changed => {
                self.sink.summary.changed += 1;
                self.report.warn(&self.path, "changed while read");
            }
            content::Read::Failed(errno) => {
                self.sink.summary.left_out.unreadable += 1;
                self.report.warn(&self.path, &format!("kept with zeros for what cannot be read: {errno}"));
            }
        }
        Ok(())
    }

    /// The entry that says that this file came before, if it has several names and did.
    fn other_name(&mut self, stat: &Stat) -> Result<Option<Entry>, Error> {
        let target = match self.links.seen(stat, &self.path) {
            hard_links::Seen::Before(target) => target,
            hard_links::Seen::First => return Ok(None),
            hard_links::Seen::FarTooMany => return Err(Error::HardLinks { path: shown(&self.path) }),
            hard_links::Seen::TooMany => {
                self.sink.summary.left_out.hard_links += 1;
                self.report.warn(&self.path, "kept as a file of its own: too many hard links to remember");
                return Ok(None);
            }
        };
        let kind = Kind::HardLink { target };
        Ok(Some(Entry { path: self.path.clone(), mode: 0, mtime: Time::default(), kind }))
    }

    fn entry(&mut self, stat: &Stat, kind: Kind) -> Entry {
        let bits = Mode::from_raw_mode(stat.st_mode);
        if bits.intersects(Mode::SUID | Mode::SGID | Mode::SVTX) {
            self.sink.summary.left_out.special_bits += 1;
            self.report.warn(&self.path, "kept without its setuid, setgid or sticky bit");
        }
        let mode = (bits & (Mode::RWXU | Mode::RWXG | Mode::RWXO)).as_raw_mode();
        Entry { path: self.path.clone(), mode, mtime: at::mtime(stat), kind }
    }

    /// Counts an object that the kernel did not let us have.
    fn left_out(&mut self, errno: Errno) -> Result<(), Error> {
        match errno {
            Errno::XDEV => {
                self.sink.summary.left_out.mounts += 1;
                self.report.warn(&self.path, "left out: something is mounted there");
            }
            // Gone, or no longer of the kind that the directory said.
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::INVAL | Errno::AGAIN | Errno::STALE => {
                self.sink.summary.changed += 1;
                self.report.warn(&self.path, "changed while read");
            }
            Errno::MFILE | Errno::NFILE | Errno::NOMEM => {
                return Err(Error::Exhausted { path: shown(&self.path), source: errno.into() });
            }
            other => {
                self.sink.summary.left_out.unreadable += 1;
                self.report.warn(&self.path, &format!("cannot be read: {other}"));
            }
        }
        Ok(())
    }
}

/// Why an object was not packed.
enum Trouble {
    /// The archive cannot go on.
    Fatal(Error),
    /// This object cannot be had.
    With(Errno),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        Trouble::Fatal(error)
    }
}

impl From<Errno> for Trouble {
    fn from(errno: Errno) -> Trouble {
        Trouble::With(errno)
    }
}
