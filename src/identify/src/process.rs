//! One process, as /proc tells of it.

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::dir::Dir;
use nix::fcntl::{AtFlags, OFlag, open, openat, readlinkat};
use nix::libc::{S_IFMT, S_IFREG};
use nix::sys::stat::{Mode, fstatat};

/// Bytes of a file in /proc, at most, and those of most files there.
const MOST: u64 = 64 << 10;
const USUAL: usize = 4 << 10;

/// What identifies a process for as long as the machine runs: its number alone is used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Born {
    pub(crate) parent: u32,
    pub(crate) started: u64,
}

/// One process. What is read by this is never another one's under the same number: its directory in /proc ends with it.
#[derive(Debug)]
pub(crate) struct Process(OwnedFd);

/// Descriptors, as a thread has them.
#[derive(Debug)]
pub(crate) struct Descriptors {
    directory: Dir,
    /// Their numbers.
    pub(crate) names: Vec<CString>,
}

impl Process {
    pub(crate) fn open(proc: &Path, pid: u32) -> io::Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(Self(open(&proc.join(pid.to_string()), flags, Mode::empty())?))
    }

    /// Its threads.
    pub(crate) fn threads(&self) -> io::Result<Vec<CString>> {
        names(&mut Dir::openat(&self.0, "task", directory(), Mode::empty())?)
    }

    /// What its first thread has open; nothing once that has ended.
    pub(crate) fn descriptors(&self) -> io::Result<Descriptors> {
        self.open_descriptors(b"fd")
    }

    /// What a thread of it has open.
    pub(crate) fn descriptors_of(&self, thread: &CString) -> io::Result<Descriptors> {
        self.open_descriptors(&[b"task/", thread.as_bytes(), b"/fd"].concat())
    }

    fn open_descriptors(&self, path: &[u8]) -> io::Result<Descriptors> {
        let mut directory = Dir::openat(&self.0, path, directory(), Mode::empty())?;
        Ok(Descriptors { names: names(&mut directory)?, directory })
    }

    /// Parent and time of birth.
    pub(crate) fn born(&self) -> Option<Born> {
        let file = openat(&self.0, "stat", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()).ok()?;
        parse(&text(File::from(file)).ok()?)
    }

    /// The executable, as a path in the cell: only of a regular file that root owns and nobody else writes.
    pub(crate) fn executable(&self) -> Option<String> {
        let file = fstatat(&self.0, "exe", AtFlags::empty()).ok()?;
        let path = readlinkat(&self.0, "exe").ok()?.into_string().ok()?;
        // Replaced by an upgrade while it runs.
        let path = path.strip_suffix(" (deleted)").unwrap_or(&path);
        trusted(file.st_mode & S_IFMT == S_IFREG, file.st_uid, file.st_mode)
            .then(|| path.to_owned())
            .filter(|path| path.starts_with('/'))
    }
}

impl Descriptors {
    /// What one of them leads to.
    pub(crate) fn link(&self, name: &CString) -> io::Result<OsString> {
        Ok(readlinkat(&self.directory, name.as_c_str())?)
    }
}

fn directory() -> OFlag {
    OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC
}

fn names(directory: &mut Dir) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in directory.iter() {
        let entry = entry?;
        if !entry.file_name().to_bytes().starts_with(b".") {
            names.push(entry.file_name().to_owned());
        }
    }
    Ok(names)
}

pub(crate) fn read(path: &Path) -> io::Result<String> {
    text(File::open(path)?)
}

/// A file that may be longer than others.
pub(crate) fn read_whole(path: &Path) -> io::Result<String> {
    let mut text = String::with_capacity(USUAL);
    // What a file of the kernel says of its own length is not worth two system calls.
    File::open(path)?.take(u64::MAX).read_to_string(&mut text)?;
    Ok(text)
}

fn text(file: File) -> io::Result<String> {
    // With room for all of it: without, it would be read in many pieces.
    let mut text = Vec::with_capacity(USUAL);
    file.take(MOST).read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Parent and time of birth (proc_pid_stat(5)); the name of the program, which may hold anything, ends with the last parenthesis.
pub(crate) fn born(proc: &Path, pid: u32) -> Option<Born> {
    parse(&read(&proc.join(pid.to_string()).join("stat")).ok()?)
}

fn parse(stat: &str) -> Option<Born> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let started = fields.nth(17)?.parse().ok()?;
    Some(Born { parent, started })
}

/// The real uid.
pub(crate) fn uid(proc: &Path, pid: u32) -> Option<u32> {
    let status = read(&proc.join(pid.to_string()).join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

fn trusted(is_file: bool, uid: u32, mode: u32) -> bool {
    is_file && uid == 0 && mode & 0o022 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_a_program_cannot_forge_what_follows_it() {
        let rest = " S 7 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 1";
        let wanted = Some(Born { parent: 7, started: 4242 });
        assert_eq!(parse(&format!("12 (node){rest}")), wanted);
        assert_eq!(parse(&format!("12 (a) S 1 (b) c){rest}")), wanted);
        assert_eq!(parse("12 (node) S"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn this_program_is_born_and_a_file_that_others_write_tells_nothing() {
        let proc = Path::new("/proc");
        let own = std::process::id();
        assert_eq!(born(proc, own), born(proc, own));
        assert!(born(proc, own).is_some());
        assert_eq!(uid(proc, own), Some(nix::unistd::getuid().as_raw()));
        assert!(trusted(true, 0, 0o755));
        assert!(
            !trusted(true, 1000, 0o755)
                && !trusted(true, 0, 0o775)
                && !trusted(true, 0, 0o757)
                && !trusted(false, 0, 0o755)
        );
    }
}
