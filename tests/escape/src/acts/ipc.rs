//! System V and POSIX objects that are found by key or by name, and so by anybody in the same namespace.

use std::fs::OpenOptions;

use nix::errno::Errno;

use crate::act::{Act, Args, Control, Failure, Prepare as _, Verdict, blocked};
use crate::acts::reach;
use crate::sys::{self, NULL, Word};

fn key(args: &Args<'_>) -> Result<Word<'static>, Failure> {
    Ok(Word::N(i64::from(args.number::<i32>(0)?)))
}

fn shm(args: &Args<'_>) -> Verdict {
    let id = sys::call(libc::SYS_shmget, [key(args)?, NULL, NULL])?;
    let attached = sys::call(libc::SYS_shmat, [Word::N(id), NULL, Word::N(i64::from(libc::SHM_RDONLY))]);
    Ok(match attached {
        Ok(_) => format!("attached segment {id}"),
        Err(errno) => format!("found segment {id} (attaching: {errno:?})"),
    })
}

fn msg(args: &Args<'_>) -> Verdict {
    reach(libc::SYS_msgget, [key(args)?, NULL], &[Errno::EACCES])
}

fn sem(args: &Args<'_>) -> Verdict {
    reach(libc::SYS_semget, [key(args)?, NULL, NULL], &[Errno::EACCES])
}

/// SHM_INFO, MSG_INFO and SEM_INFO count all objects of the namespace, whoever owns them.
fn count(_: &Args<'_>) -> Verdict {
    let mut info = [0_u8; 256];
    sys::call(libc::SYS_shmctl, [NULL, Word::N(14), Word::Out(&mut info)])?;
    let used = info.first_chunk::<4>().copied().map_or(0, i32::from_ne_bytes);
    if used > 0 { Ok(format!("{used} segments are there")) } else { blocked("no segment in this namespace") }
}

/// The kernel wants the name without its slash.
fn queue(args: &Args<'_>) -> Verdict {
    let name = Args(&[args.text(0).trim_start_matches('/').to_owned()]).path(0)?;
    let words = [Word::Text(&name), Word::N(i64::from(libc::O_RDONLY)), NULL, NULL];
    reach(libc::SYS_mq_open, words, &[Errno::EACCES])
}

fn posix_shm(args: &Args<'_>) -> Verdict {
    let path = format!("/dev/shm/{}", args.text(0).trim_start_matches('/'));
    let file = OpenOptions::new().read(true).open(&path)?;
    Ok(format!("opened {path}, {} bytes", file.metadata().prepared("size")?.len()))
}

const APART: &str = "ipc-namespace seccomp";

/// This area's acts. `escape-probe hold` makes the targets.
#[rustfmt::skip]
pub const ACTS: &[Act] = &[
    Act { id: "sysv-shm", about: "find a shared memory segment by its key", layers: APART, args: "KEY", control: Control::Target, run: shm },
    Act { id: "sysv-msg", about: "find a message queue by its key", layers: APART, args: "KEY", control: Control::Target, run: msg },
    Act { id: "sysv-sem", about: "find a semaphore set by its key", layers: APART, args: "KEY", control: Control::Target, run: sem },
    Act { id: "sysv-count", about: "count the shared memory segments of others", layers: APART, args: "", control: Control::Target, run: count },
    Act { id: "posix-queue", about: "find a POSIX message queue by its name", layers: APART, args: "NAME", control: Control::Target, run: queue },
    Act { id: "posix-shm", about: "open POSIX shared memory by its name", layers: "ipc-namespace mounts account", args: "NAME", control: Control::Target, run: posix_shm },
];
