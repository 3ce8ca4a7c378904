//! The program: answers proxies, a line for a line, and ends when nobody has asked for a while.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use listenfd::ListenFd;
use model::{Exit, TenantId};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::pace::{PATIENCE, Pace};
use crate::seats::Seat;
use crate::{Tree, holders, tenant_of};

/// Milliseconds without a question, before the program ends.
const IDLE: u16 = 60_000;
/// Connections at once, of all tenants.
const AT_ONCE: usize = 256;
/// With more than these none is kept for another question.
const KEPT: usize = AT_ONCE / 2;
/// How long nobody is let in after an error that passes: there are no descriptors left, or no memory.
const PAUSE: Duration = Duration::from_millis(100);
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
        let Some(stream) = accepted(listener.accept().map(|(stream, _)| stream))? else { continue };
        let Some(seat) = Seat::take(&stream) else { continue };
        if busy.fetch_add(1, Ordering::AcqRel) >= AT_ONCE {
            // The proxy refuses the connection, and its program tries again.
            busy.fetch_sub(1, Ordering::AcqRel);
            continue;
        }
        let (count, tree, asked) = (Arc::clone(&busy), Arc::clone(&tree), Arc::clone(&asked));
        let begun = std::thread::Builder::new().stack_size(STACK).spawn(move || {
            // What is wrong with one is no news: anybody may connect.
            answer_peer(&stream, &tree, &count).ok();
            drop((seat, stream));
            *asked.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            count.fetch_sub(1, Ordering::AcqRel);
        });
        if begun.is_err() {
            busy.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// The connection, if there is one; what passes is waited for, as this program serves all tenants.
fn accepted(stream: io::Result<UnixStream>) -> io::Result<Option<UnixStream>> {
    match stream {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) if is_final(&error) => Err(error),
        Err(error) => {
            say(&format_args!("cannot accept a connection, and will try again: {error}"));
            std::thread::sleep(PAUSE);
            Ok(None)
        }
    }
}

/// It is about the listening socket: accept(2) says the same ever after.
fn is_final(error: &io::Error) -> bool {
    const FINAL: [i32; 5] = [libc::EBADF, libc::EFAULT, libc::EINVAL, libc::ENOTSOCK, libc::EOPNOTSUPP];
    error.raw_os_error().is_none_or(|code| FINAL.contains(&code))
}

fn answer_peer(stream: &UnixStream, tree: &Tree, busy: &AtomicUsize) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(SILENT))?;
    stream.set_write_timeout(Some(SILENT))?;
    let tenant = tenant_of(stream).map_err(io::Error::other)?;
    answer_all(stream, &tenant, tree, busy)
}

fn answer_all(stream: &UnixStream, tenant: &TenantId, tree: &Tree, busy: &AtomicUsize) -> io::Result<()> {
    let pace = Pace::of(tenant);
    let (mut out, mut input) = (stream, BufReader::with_capacity(BUFFER, stream));
    for _ in 0..QUESTIONS {
        let mut line = String::new();
        if (&mut input).take(MOST).read_line(&mut line)? == 0 {
            return Ok(());
        }
        let Some(inode) = question(&line) else {
            return Err(io::Error::other(format!("the proxy of {tenant} asks what is no question")));
        };
        let until = Instant::now() + PATIENCE;
        let found = pace.turn(until).and_then(|_turn| holders(tree, tenant, inode, until));
        let mut answer = match found {
            Ok(holders) => serde_json::json!({ "holders": holders }),
            Err(error) => serde_json::json!({ "error": error.to_string() }),
        }
        .to_string();
        answer.push('\n');
        out.write_all(answer.as_bytes())?;
        if busy.load(Ordering::Acquire) > KEPT {
            return Ok(());
        }
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
    use super::*;

    /// A tenant without a process, and what it hears for these questions on one connection when so many are busy.
    fn asked(name: &str, questions: &str, busy: usize) -> Vec<String> {
        let (directory, tenant) = (tempfile::tempdir().unwrap(), TenantId::parse(name).unwrap());
        let slice = directory.path().join("tenants.slice").join(tenant.slice());
        std::fs::create_dir_all(&slice).unwrap();
        std::fs::File::create(slice.join("cgroup.procs")).unwrap();
        let tree = Tree { groups: directory.path().to_owned(), proc: "/proc".into() };
        let (own, mut other) = UnixStream::pair().unwrap();
        other.write_all(questions.as_bytes()).unwrap();
        other.shutdown(std::net::Shutdown::Write).unwrap();
        answer_all(&own, &tenant, &tree, &AtomicUsize::new(busy)).ok();
        drop(own);
        // Reset, where a question was left.
        BufReader::new(other).lines().map_while(Result::ok).collect()
    }

    const NONE: &str = "{\"holders\":[]}";

    #[test]
    fn a_connection_is_kept_while_there_are_places_for_others() {
        let questions = "inode 1\ninode 2\ninode 3\n";
        assert_eq!(asked("serve-kept", questions, KEPT), [NONE; 3]);
        assert_eq!(asked("serve-kept", questions, KEPT + 1), [NONE]);
        assert_eq!(asked("serve-kept", "inode 1\nwhat\ninode 3\n", 1), [NONE]);
    }

    #[test]
    fn a_tenant_that_is_costly_is_told_so_and_no_other() {
        assert_eq!(asked("serve-costly", "inode 1\n", 1), [NONE]);
        Pace::of(&TenantId::parse("serve-costly").unwrap()).pay(Duration::from_secs(600));
        let refused = asked("serve-costly", "inode 1\ninode 2\n", 1);
        assert_eq!(refused.len(), 2);
        assert!(refused.iter().all(|line| line.starts_with("{\"error\":\"looking through")), "{refused:?}");
        assert_eq!(asked("serve-other", "inode 1\n", 1), [NONE]);
    }

    #[test]
    fn no_shortage_ends_the_program() {
        for code in
            [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM, libc::ECONNABORTED, libc::EAGAIN]
        {
            assert!(accepted(Err(io::Error::from_raw_os_error(code))).unwrap().is_none(), "{code}");
        }
        for code in [libc::EBADF, libc::EINVAL] {
            assert!(accepted(Err(io::Error::from_raw_os_error(code))).is_err(), "{code}");
        }
        assert!(accepted(UnixStream::pair().map(|(stream, _)| stream)).unwrap().is_some());
    }

    #[test]
    fn there_are_descriptors_for_all_connections() {
        // One for the connection, up to 17 for groups in groups, and those of a process.
        const EACH: usize = 24;
        let unit = include_str!("../../../units/tenantd-identify.service");
        let limit = unit.lines().find_map(|line| line.strip_prefix("LimitNOFILE=")).unwrap();
        assert!(limit.parse::<usize>().unwrap() >= AT_ONCE * EACH);
    }

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
