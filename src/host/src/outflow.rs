//! Writing to a descriptor that a caller gave: one who stops reading holds nothing up for long.

use std::fs::File;
use std::io::{Error, ErrorKind, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::Cancel;

/// How long a caller may take nothing.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked whether the caller is still there.
const TICK: u16 = 500;
/// A pipe that is ready takes as many bytes at once (`PIPE_BUF`); with more, a write would wait.
const AT_ONCE: usize = 4096;

/// A caller's file, pipe or socket.
#[derive(Debug)]
pub struct Outflow<'a> {
    file: File,
    is_file: bool,
    cancel: &'a Cancel,
}

impl<'a> Outflow<'a> {
    /// Writes to `descriptor` until `cancel`.
    pub fn new(descriptor: OwnedFd, cancel: &'a Cancel) -> Result<Self, Error> {
        let file = File::from(descriptor);
        let is_file = file.metadata()?.is_file();
        Ok(Self { file, is_file, cancel })
    }

    /// Puts what was written onto the disk, where it is a file.
    pub fn sync(&self) -> Result<(), Error> {
        if self.is_file { self.file.sync_all() } else { Ok(()) }
    }

    fn wait(&self) -> Result<(), Error> {
        let ticks = PATIENCE.as_millis() / u128::from(TICK);
        for _ in 0..ticks {
            if self.cancel.is_cancelled() {
                return Err(Error::other("nobody waits for it any more"));
            }
            let mut ready = [PollFd::new(self.file.as_fd(), PollFlags::POLLOUT)];
            match poll(&mut ready, PollTimeout::from(TICK)) {
                Ok(0) | Err(Errno::EINTR) => (),
                Ok(_) => return Ok(()),
                Err(errno) => return Err(errno.into()),
            }
        }
        Err(Error::new(ErrorKind::TimedOut, format!("nothing was taken for {} s", PATIENCE.as_secs())))
    }
}

impl Write for Outflow<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        if self.is_file && !self.cancel.is_cancelled() {
            return self.file.write(bytes);
        }
        self.wait()?;
        self.file.write(bytes.get(..AT_ONCE).unwrap_or(bytes))
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use nix::unistd::pipe;

    use super::*;

    #[test]
    fn a_reader_gets_everything_and_one_that_is_gone_is_an_error() {
        let cancel = Cancel::new();
        let (reader, writer) = pipe().unwrap();
        let mut out = Outflow::new(writer, &cancel).unwrap();
        let sent = vec![7; 300_000];
        let got = std::thread::scope(|scope| {
            let reading = scope.spawn(|| {
                let mut got = vec![0; sent.len()];
                File::from(reader).read_exact(&mut got).unwrap();
                got
            });
            out.write_all(&sent).unwrap();
            reading.join().unwrap()
        });
        assert_eq!(got, sent);
        assert_eq!(out.write_all(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    }

    #[test]
    fn nothing_is_written_for_a_caller_who_left() {
        let cancel = Cancel::new();
        let mut file = tempfile::tempfile().unwrap();
        let mut out = Outflow::new(file.try_clone().unwrap().into(), &cancel).unwrap();
        out.write_all(b"before").unwrap();
        out.sync().unwrap();
        cancel.cancel();
        assert!(out.write_all(b"after").is_err());
        let mut text = String::new();
        std::io::Seek::rewind(&mut file).unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "before");
    }
}
