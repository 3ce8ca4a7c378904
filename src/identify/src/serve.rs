//! The program: answers proxies, a line for a line, and ends when nobody has asked for a while.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use listenfd::ListenFd;
use model::{Exit, TenantId};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::{Tree, holders, tenant_of};

/// Milliseconds without a question, before the program ends.
const IDLE: u16 = 60_000;
/// Connections at once, of all tenants.
const AT_ONCE: usize = 256;
/// And of each. A proxy asks four questions at once, and keeps one connection; the seat of one that it closed is free only when its thread
/// has seen that.
const AT_ONCE_EACH: usize = 8;
/// How long a connection may be silent: less than a proxy waits for a seat. And bytes of a question.
const SILENT: Duration = Duration::from_secs(1);
const MOST: u64 = 64;
/// Questions of one connection.
const QUESTIONS: usize = 4096;
/// Bytes of a thread's stack.
const STACK: usize = 256 << 10;
/// Bytes that are read at once.
const BUFFER: usize = 256;

/// Runs until nobody asks any more.
#[must_use]
pub fn run() -> Exit {
    match listener().and_then(|listener| serve(&listener)) {
        Ok(()) => Exit::Ok,
        Err(error) => {
            say(&format_args!("{error}"));
            Exit::Os
        }
    }
}

fn say(what: &dyn std::fmt::Display) {
    // Nobody is left to tell if standard error is gone.
    drop(writeln!(io::stderr(), "{what}"));
}

fn listener() -> io::Result<UnixListener> {
    const HOW: &str =
        "tenant-identify is started by tenantd-identify.socket only: systemctl start tenantd-identify.socket";
    let mut given = ListenFd::from_env();
    if given.len() != 1 {
        return Err(io::Error::other(HOW));
    }
    given.take_unix_listener(0)?.ok_or_else(|| io::Error::other(HOW))
}

/// Connections of each tenant that are being answered.
static SEATS: Mutex<BTreeMap<TenantId, usize>> = Mutex::new(BTreeMap::new());

/// A place among those of one tenant: its questions, however costly, take no other tenant's.
struct Seat(TenantId);

impl Seat {
    fn take(tenant: &TenantId) -> Option<Self> {
        let mut seats = SEATS.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = seats.entry(tenant.clone()).or_default();
        (*taken < AT_ONCE_EACH).then(|| {
            *taken += 1;
            Self(tenant.clone())
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = SEATS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = seats.get_mut(&self.0) {
            *taken = taken.saturating_sub(1);
        }
        seats.retain(|_, taken| *taken > 0);
    }
}

fn serve(listener: &UnixListener) -> io::Result<()> {
    let busy = Arc::new(AtomicUsize::new(0));
    let asked = Arc::new(Mutex::new(Instant::now()));
    let tree = Arc::new(Tree::host());
    listener.set_nonblocking(true)?;
    loop {
        let ready = poll(&mut [PollFd::new(listener.as_fd(), PollFlags::POLLIN)], PollTimeout::from(IDLE));
        match ready {
            Ok(0) => {
                // A connection that was kept may have ended just now.
                let idle = asked.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
                if busy.load(Ordering::Acquire) == 0 && idle >= Duration::from_millis(IDLE.into()) {
                    return Ok(());
                }
                continue;
            }
            Err(nix::Error::EINTR) => continue,
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        if busy.fetch_add(1, Ordering::AcqRel) >= AT_ONCE {
            // The proxy refuses the connection, and its program tries again.
            busy.fetch_sub(1, Ordering::AcqRel);
            continue;
        }
        let (done, tree, asked) = (Arc::clone(&busy), Arc::clone(&tree), Arc::clone(&asked));
        let begun = std::thread::Builder::new().stack_size(STACK).spawn(move || {
            // What is wrong with one is no news: anybody may connect.
            answer_all(stream, &tree).ok();
            *asked.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            done.fetch_sub(1, Ordering::AcqRel);
        });
        if begun.is_err() {
            busy.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

fn answer_all(stream: UnixStream, tree: &Tree) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(SILENT))?;
    stream.set_write_timeout(Some(SILENT))?;
    let tenant = tenant_of(&stream).map_err(io::Error::other)?;
    let Some(_seat) = Seat::take(&tenant) else { return Ok(()) };
    let mut out = stream.try_clone()?;
    let mut input = BufReader::with_capacity(BUFFER, stream);
    for _ in 0..QUESTIONS {
        let mut line = String::new();
        if (&mut input).take(MOST).read_line(&mut line)? == 0 {
            return Ok(());
        }
        let Some(inode) = question(&line) else {
            return Err(io::Error::other(format!("the proxy of {tenant} asks what is no question")));
        };
        let mut answer = match holders(tree, &tenant, inode) {
            Ok(holders) => serde_json::json!({ "holders": holders }),
            Err(error) => serde_json::json!({ "error": error.to_string() }),
        }
        .to_string();
        answer.push('\n');
        out.write_all(answer.as_bytes())?;
    }
    Ok(())
}

/// `inode N`.
fn question(line: &str) -> Option<u64> {
    let digits = line.strip_prefix("inode ")?.strip_suffix('\n')?;
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|inode| plain && *inode > 0)
}

#[cfg(test)]
mod tests {
    use super::question;

    #[test]
    fn there_is_one_question() {
        assert_eq!(question("inode 42\n"), Some(42));
        for line in [
            "inode 42",
            "inode \n",
            "inode 0\n",
            "inode +1\n",
            "inode 1 \n",
            "inode 99999999999999999999\n",
            "pid 1\n",
            "",
        ] {
            assert_eq!(question(line), None, "{line:?}");
        }
    }
}
