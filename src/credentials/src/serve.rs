//! One connection after the other, until nobody has come for a while.

use std::io::{self, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use listenfd::ListenFd;
use model::Paths;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use vault_store::VaultStore;

use crate::error::Error;
use crate::kek::Keyring;
use crate::{answer, asker, memory, proof};

/// How long it waits for the next one. Every gateway has a secret of its own, so nearly every start needs the KEK: a host that starts
/// many tenants, or restarts one every few minutes, opens it once. It costs `systemd-creds` 20 ms, more with a TPM; memory is locked.
const IDLE: Duration = Duration::from_secs(5 * 60);
/// How long PID 1 or the edge may take to read an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whom it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// PID 1, for a program of a tenant that starts.
    Starts,
    /// The edge.
    Proof,
}

/// Serves until it is idle.
pub fn serve(paths: &Paths, mode: Mode) -> Result<(), Error> {
    // A host that cannot is served all the same, and it is said so.
    if let Err(error) = memory::lock() {
        say(&error);
    }
    let listener = ListenFd::from_env()
        .take_unix_listener(0)
        .map_err(|error| Error::Kernel("take the socket over", error))?
        .ok_or(Error::NoSocket)?;
    listener.set_nonblocking(true).map_err(|error| Error::Kernel("set the socket up", error))?;
    let mut keyring = Keyring::default();
    while waits(&listener)? {
        match listener.accept() {
            Ok((connection, _)) => {
                if let Err(error) = one(paths, mode, &mut keyring, &connection) {
                    say(&error);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
            Err(error) => return Err(Error::Kernel("accept a connection", error)),
        }
    }
    Ok(())
}

fn say(error: &Error) {
    // Nobody is left to tell if standard error is gone.
    drop(writeln!(io::stderr(), "{error}"));
}

/// Whether somebody waits to be served.
fn waits(listener: &UnixListener) -> Result<bool, Error> {
    let limit = Timespec::try_from(IDLE).map_err(|error| Error::Kernel("wait", io::Error::other(error)))?;
    loop {
        match poll(&mut [PollFd::new(listener, PollFlags::IN)], Some(&limit)) {
            Err(rustix::io::Errno::INTR) => (),
            other => {
                return other.map(|ready| ready > 0).map_err(|errno| Error::Kernel("wait", errno.into()));
            }
        }
    }
}

fn one(paths: &Paths, mode: Mode, keyring: &mut Keyring, mut connection: &UnixStream) -> Result<(), Error> {
    let asker = match mode {
        Mode::Starts => asker::of(connection)?,
        Mode::Proof => proof::of(connection)?,
    };
    let store = VaultStore::open(&paths.vault())?;
    let bytes = answer::answer(&store, keyring, &asker)?;
    connection
        .set_nonblocking(false)
        .and_then(|()| connection.set_write_timeout(Some(PATIENCE)))
        .and_then(|()| connection.write_all(&bytes))
        .map_err(|error| Error::Kernel("answer", error))
}
