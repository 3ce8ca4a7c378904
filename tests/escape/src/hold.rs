//! `escape-probe hold KIND ARGS`: makes the target of an act and keeps it until a signal or for an hour, so that
//! a positive control has something to reach. It prints one line when the target is ready.

use std::io::Write as _;
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener};
use std::thread;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use serde_json::json;

use crate::act::Args;
use crate::sys::{self, NULL, Word};

const SECONDS: i64 = 3600;
const IPC_CREATE: i64 = 0o1000 | 0o2000 | 0o666;
const IPC_RMID: i64 = 0;
const SIZE: i64 = 4096;

/// Undoes what cannot end with the process.
type Undo = Box<dyn FnOnce()>;
type Held = Result<Undo, String>;

/// A kind, its arguments and what makes it.
type Kind = (&'static str, &'static str, fn(&Args<'_>) -> Held);

/// Everything that can be held.
#[rustfmt::skip]
pub const KINDS: &[Kind] = &[
    ("sleep", "", |_| Ok(nothing())),
    ("tcp", "ADDR PORT", tcp),
    ("udp", "ADDR PORT", udp),
    ("unix", "PATH", unix),
    ("abstract", "NAME", abstract_name),
    ("sysv-shm", "KEY", |a| sysv(a, libc::SYS_shmget, libc::SYS_shmctl)),
    ("sysv-msg", "KEY", |a| sysv(a, libc::SYS_msgget, libc::SYS_msgctl)),
    ("sysv-sem", "KEY", |a| sysv(a, libc::SYS_semget, libc::SYS_semctl)),
    ("posix-queue", "NAME", queue),
    ("file", "PATH", file),
];

/// Makes one target, says so, waits, and removes it.
pub fn hold(words: &[String]) -> Result<(), String> {
    let kind = words.first().map_or("", String::as_str);
    let (_, _, make) =
        KINDS.iter().find(|(name, ..)| *name == kind).ok_or_else(|| format!("no kind {kind:?} to hold"))?;
    let mut ends = SigSet::empty();
    for signal in [Signal::SIGALRM, Signal::SIGTERM, Signal::SIGINT] {
        ends.add(signal);
    }
    ends.thread_block().map_err(|e| format!("blocking signals: {e}"))?;
    let undo =
        make(&Args(words.get(1..).unwrap_or_default())).map_err(|e| format!("cannot hold {words:?}: {e}"))?;
    let line = json!({"hold": kind, "pid": std::process::id(), "ready": true});
    let mut out = std::io::stdout();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|e| format!("standard output: {e}"))?;
    sys::call(libc::SYS_alarm, [Word::N(SECONDS)]).map_err(|e| format!("alarm: {e}"))?;
    let waited = ends.wait().map_err(|e| format!("waiting: {e}"));
    undo();
    waited.map(drop)
}

fn nothing() -> Undo {
    Box::new(|| {})
}

fn tcp(args: &Args<'_>) -> Held {
    let listener =
        TcpListener::bind(format!("{}:{}", args.text(0), args.text(1))).map_err(|e| e.to_string())?;
    thread::spawn(move || {
        for mut peer in listener.incoming().flatten() {
            peer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nheld\n").unwrap_or_default();
        }
    });
    Ok(nothing())
}

fn udp(args: &Args<'_>) -> Held {
    let socket = UdpSocket::bind(format!("{}:{}", args.text(0), args.text(1))).map_err(|e| e.to_string())?;
    thread::spawn(move || {
        let mut question = [0; 2048];
        while let Ok((length, peer)) = socket.recv_from(&mut question) {
            socket.send_to(question.get(..length).unwrap_or_default(), peer).unwrap_or_default();
        }
    });
    Ok(nothing())
}

fn unix(args: &Args<'_>) -> Held {
    let path = args.text(0).to_owned();
    let listener = UnixListener::bind(&path).map_err(|e| e.to_string())?;
    Ok(Box::new(move || {
        drop(listener);
        std::fs::remove_file(path).unwrap_or_default();
    }))
}

fn abstract_name(args: &Args<'_>) -> Held {
    let name = UnixAddr::from_abstract_name(args.text(0)).map_err(|e| e.to_string())?;
    let listener = UnixListener::bind_addr(&name).map_err(|e| e.to_string())?;
    Ok(Box::new(move || drop(listener)))
}

/// shmget(key, size, flags), semget(key, count, flags), msgget(key, flags).
fn sysv(args: &Args<'_>, get: libc::c_long, control: libc::c_long) -> Held {
    let key = i64::from(args.number::<i32>(0).map_err(|e| format!("{e:?}"))?);
    let made = if get == libc::SYS_msgget {
        sys::call(get, [Word::N(key), Word::N(IPC_CREATE)])
    } else {
        let size = if get == libc::SYS_shmget { SIZE } else { 1 };
        sys::call(get, [Word::N(key), Word::N(size), Word::N(IPC_CREATE)])
    };
    let id = made.map_err(|e| e.to_string())?;
    Ok(Box::new(move || {
        // semctl takes the semaphore's number before the command.
        let words = if control == libc::SYS_semctl {
            [Word::N(id), NULL, NULL]
        } else {
            [Word::N(id), Word::N(IPC_RMID), NULL]
        };
        sys::call(control, words).unwrap_or_default();
    }))
}

fn queue(args: &Args<'_>) -> Held {
    let text = args.text(0).trim_start_matches('/').to_owned();
    let name = std::ffi::CString::new(text).map_err(|e| e.to_string())?;
    let flags = i64::from(libc::O_CREAT | libc::O_EXCL | libc::O_RDWR);
    let made: Result<i64, Errno> =
        sys::call(libc::SYS_mq_open, [Word::Text(&name), Word::N(flags), Word::N(0o666), NULL]);
    made.map_err(|e| e.to_string())?;
    Ok(Box::new(move || {
        sys::call(libc::SYS_mq_unlink, [Word::Text(&name)]).unwrap_or_default();
    }))
}

fn file(args: &Args<'_>) -> Held {
    let path = args.text(0).to_owned();
    let made = std::fs::OpenOptions::new().write(true).create_new(true).open(&path);
    made.and_then(|mut file| file.write_all(b"held\n")).map_err(|e| e.to_string())?;
    Ok(Box::new(move || std::fs::remove_file(path).unwrap_or_default()))
}
