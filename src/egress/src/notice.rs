//! A directory whose files are replaced: the kernel tells when one was (inotify(7)).

use std::io;
use std::path::Path;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::net::unix::pipe::Receiver;

/// A directory that is watched. Events come out of it as bytes come out of a pipe, and what they say does not matter.
#[derive(Debug)]
pub struct Notice(Receiver);

impl Notice {
    /// Of what happens in this directory from now on.
    ///
    /// # Errors
    ///
    /// If there is no such directory, or the kernel watches no more for this user.
    pub fn of(directory: &Path) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let replaced = AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_DELETE;
        inotify.add_watch(directory, replaced | AddWatchFlags::IN_ONLYDIR)?;
        Ok(Self(Receiver::from_owned_fd_unchecked(inotify.into())?))
    }

    /// Comes when something has happened.
    ///
    /// # Errors
    ///
    /// If the kernel does not tell any more.
    pub async fn changed(&self) -> io::Result<()> {
        let mut events = [0; 4096];
        loop {
            self.0.readable().await?;
            match self.0.try_read(&mut events) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write as _;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_file_that_is_replaced_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let (file, new) = (directory.path().join("file"), directory.path().join("new"));
        File::create(&file).unwrap();
        let notice = Notice::of(directory.path()).unwrap();
        let quiet = tokio::time::timeout(Duration::from_millis(50), notice.changed()).await;
        assert!(quiet.is_err(), "nothing has happened");
        for text in ["one", "two"] {
            File::create(&new).unwrap().write_all(text.as_bytes()).unwrap();
            std::fs::rename(&new, &file).unwrap();
            // What happened at once is told at once.
            tokio::time::timeout(Duration::from_secs(10), notice.changed()).await.unwrap().unwrap();
        }
        std::fs::remove_file(&file).unwrap();
        tokio::time::timeout(Duration::from_secs(10), notice.changed()).await.unwrap().unwrap();
        assert!(Notice::of(&file).is_err());
    }
}
