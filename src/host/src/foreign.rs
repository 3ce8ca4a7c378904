//! Reading a file that somebody with less privilege wrote: a regular one, of bounded size, never through a link.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use model::Exit;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, SFlag, fstat};
use plan::HostError;

use crate::error::{io, os, sentence};
use crate::files::is;

/// The bytes of the file; nothing where it is missing. A link, a pipe, a device or a larger file is an error.
pub fn read_foreign(path: &Path, limit: usize) -> Result<Option<Vec<u8>>, HostError> {
    // O_NONBLOCK: a pipe in the place of the file holds nobody up.
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let fd = match open(path, flags, Mode::empty()) {
        Ok(fd) => fd,
        Err(Errno::ENOENT) => return Ok(None),
        Err(errno) => return Err(os("open", path, errno)),
    };
    let stat = fstat(&fd).map_err(|errno| os("look at", path, errno))?;
    let odd = |what: &str| {
        sentence(Exit::OsFile, format!("{} is {what}, which no such file is: look at it", path.display()))
    };
    if !is(&stat, SFlag::S_IFREG) || stat.st_nlink != 1 {
        return Err(odd("no regular file with one name"));
    }
    let mut bytes = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    File::from(fd).take(most).read_to_end(&mut bytes).map_err(|error| io("read", path, &error))?;
    if bytes.len() > limit {
        return Err(odd(&format!("larger than {limit} bytes")));
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_a_plain_file_of_bounded_size_is_read() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("usage.json");
        assert_eq!(read_foreign(&file, 4).unwrap(), None);
        std::io::Write::write_all(&mut File::create(&file).unwrap(), b"abcd").unwrap();
        assert_eq!(read_foreign(&file, 4).unwrap().unwrap(), b"abcd");
        assert!(read_foreign(&file, 3).is_err());
        let link = root.path().join("link");
        symlink(&file, &link).unwrap();
        assert!(read_foreign(&link, 4).is_err());
        let pipe = root.path().join("pipe");
        nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).unwrap();
        assert!(read_foreign(&pipe, 4).is_err());
        std::fs::hard_link(&file, root.path().join("second")).unwrap();
        assert!(read_foreign(&file, 4).is_err());
    }
}
