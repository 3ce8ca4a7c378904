//! Removes what a failed `unpack` made, by directory descriptors, however deep and however many.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::at::{self, Name};
use crate::unpack::Found;

const NAMES: usize = 8192;

/// Empties the top directories and removes those that were `made`. The error names what could not be removed.
pub fn undo(base: &OwnedFd, made: &[String], found: &[Found]) -> Result<(), (Vec<u8>, Errno)> {
    let mut result = Ok(());
    let names = made.iter().chain(found.iter().map(|found| &found.name));
    for top in names {
        let once = || at::open_top(base, top).map_err(|source| (Vec::new(), source)).and_then(empty);
        // Somebody may move things about meanwhile; what is lost then is found by beginning again.
        let emptied = once()
            .or_else(|_| once())
            .or_else(|_| once())
            .map_err(|(path, source)| ([top.as_bytes(), &path].concat(), source));
        result = result.and(emptied);
    }
    for top in made {
        let removed = rustix::fs::unlinkat(base, top.as_str(), AtFlags::REMOVEDIR);
        result = result.and(removed.map_err(|source| (top.clone().into_bytes(), source)));
    }
    for Found { name, mode, mtime } in found {
        let back = at::open_top(base, name).and_then(|fd| {
            rustix::fs::fchmod(&fd, *mode)?;
            rustix::fs::futimens(&fd, &at::times(*mtime))
        });
        result = result.and(back.map_err(|source| (name.clone().into_bytes(), source)));
    }
    result
}

/// Whether there is anything in a directory.
pub fn holds_something(directory: &OwnedFd) -> Result<bool, Errno> {
    let mut names = Vec::new();
    at::read_names(directory, &mut [MaybeUninit::uninit(); NAMES], &mut names)?;
    Ok(!names.is_empty())
}

struct Level {
    fd: OwnedFd,
    names: Vec<(Name, FileType)>,
    /// The directory in `names` of the level above that this is.
    name: Option<Name>,
}

/// Removes all that is in a directory. The error has the path below it.
fn empty(directory: OwnedFd) -> Result<(), (Vec<u8>, Errno)> {
    let mut buffer = [MaybeUninit::uninit(); NAMES];
    let mut levels = vec![Level { fd: directory, names: Vec::new(), name: None }];
    loop {
        let step = step(&mut levels, &mut buffer);
        match step {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(source) => {
                let names = levels.iter().filter_map(|level| level.name.as_ref());
                let path = names.flat_map(|name| [b"/", name.to_bytes()].concat()).collect();
                return Err((path, source));
            }
        }
    }
}

/// One removal, or one level down or up. False at the end.
fn step(levels: &mut Vec<Level>, buffer: &mut [MaybeUninit<u8>]) -> Result<bool, Errno> {
    let Some(level) = levels.last_mut() else { return Ok(false) };
    if level.names.is_empty() {
        // From the beginning: what was removed is gone, and nothing is missed if the directory moved its names.
        rustix::fs::seek(&level.fd, rustix::fs::SeekFrom::Start(0))?;
        at::read_names(&level.fd, buffer, &mut level.names)?;
    }
    let Some((name, kind)) = level.names.pop() else {
        let name = levels.pop().and_then(|level| level.name);
        if let (Some(name), Some(above)) = (name, levels.last()) {
            rustix::fs::unlinkat(&above.fd, &*name, AtFlags::REMOVEDIR)?;
        }
        return Ok(!levels.is_empty());
    };
    if kind != FileType::Directory {
        match rustix::fs::unlinkat(&level.fd, &*name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => return Ok(true),
            // Of unknown type, or changed meanwhile.
            Err(Errno::ISDIR) => {}
            Err(source) => return Err(source),
        }
    }
    match rustix::fs::unlinkat(&level.fd, &*name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => return Ok(true),
        Err(Errno::NOTEMPTY | Errno::ACCESS) => {}
        // Changed meanwhile: seen again when this directory is read again.
        Err(Errno::NOTDIR) => return Ok(true),
        Err(source) => return Err(source),
    }
    let fd = open_anyhow(&level.fd, &name)?;
    levels.push(Level { fd, names: Vec::new(), name: Some(name) });
    Ok(true)
}

/// Opens a directory whose mode may forbid it, and gives it one that lets it be emptied.
fn open_anyhow(directory: impl AsFd, name: &Name) -> Result<OwnedFd, Errno> {
    let fd = match at::open_directory(&directory, name) {
        Err(Errno::ACCESS) => {
            let path = at::open(&directory, name, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
            // fchmod(2) takes no O_PATH descriptor; this link leads to the very object that it holds.
            rustix::fs::chmod(format!("/proc/self/fd/{}", path.as_raw_fd()), Mode::RWXU)?;
            at::open_directory(&directory, name)?
        }
        other => other?,
    };
    rustix::fs::fchmod(&fd, Mode::RWXU)?;
    Ok(fd)
}
