//! Reading what a caller sends through a descriptor: bounded in length and in time.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use model::Exit;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use plan::HostError;
use zeroize::Zeroizing;

use crate::error::sentence;

/// How long a caller may take to send everything.
const PATIENCE: Duration = Duration::from_secs(10);

/// Everything from `descriptor`, at most `most` bytes and one more, which shows that there were too many. No copy is left.
pub fn read_secretly(descriptor: OwnedFd, what: &str, most: usize) -> Result<Zeroizing<Vec<u8>>, HostError> {
    let failed = |cause: String| sentence(Exit::Io, format!("cannot read {what} from the caller: {cause}"));
    let deadline = Instant::now() + PATIENCE;
    let mut source = File::from(descriptor);
    let mut bytes = Zeroizing::new(vec![0; most + 1]);
    let mut filled = 0;
    loop {
        wait(&source, deadline).map_err(|errno| {
            let late = errno == Errno::ETIMEDOUT;
            failed(if late {
                format!("it did not end within {} s", PATIENCE.as_secs())
            } else {
                errno.to_string()
            })
        })?;
        let room = bytes.get_mut(filled..).unwrap_or_default();
        let read = source.read(room).map_err(|error| failed(error.to_string()))?;
        filled += read;
        if read == 0 || filled > most {
            break;
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

fn wait(source: &File, deadline: Instant) -> Result<(), Errno> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = PollTimeout::try_from(left).map_err(|_| Errno::EINVAL)?;
        match poll(&mut [PollFd::new(source.as_fd(), PollFlags::POLLIN)], left) {
            Err(Errno::EINTR) => (),
            Ok(0) => return Err(Errno::ETIMEDOUT),
            other => return other.map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use nix::unistd::pipe;

    use super::*;

    fn sent(text: &[u8], most: usize) -> Result<Vec<u8>, HostError> {
        let (reader, writer) = pipe().unwrap();
        File::from(writer).write_all(text).unwrap();
        read_secretly(reader, "the value", most).map(|bytes| bytes.to_vec())
    }

    #[test]
    fn all_of_it_is_read_and_one_byte_more_than_allowed_at_most() {
        assert_eq!(sent(b"key\n", 10).unwrap(), b"key\n");
        assert_eq!(sent(b"", 10).unwrap(), b"");
        assert_eq!(sent(b"0123456789ABC", 10).unwrap(), b"0123456789A");
    }
}
