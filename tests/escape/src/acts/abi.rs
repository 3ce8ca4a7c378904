//! Other ways into the kernel (x32, i386), and typing into a terminal.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd as _;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;

use crate::act::{Act, Args, Control, Failure, Prepare as _, Verdict, blocked};
use crate::bytes::Bytes;
use crate::sys::{self, NULL, Word};

const TIOCGPTPEER: i64 = 0x5441;
const TIOCSPTLCK: i64 = 0x4004_5431;
const TIOCSCTTY: i64 = 0x540e;
const TIOCSTI: i64 = 0x5412;
const TIOCLINUX: i64 = 0x541c;

fn x32(_: &Args<'_>) -> Verdict {
    Ok(format!("the x32 getpid answers {}", sys::getpid_x32()?))
}

/// The i386 table by `int 0x80`, in a child because a kernel without it answers with a signal.
fn i386(number: i32) -> Verdict {
    match sys::in_child(|| if sys::int80(number) >= 0 { 0 } else { 1 }).prepared("a child")? {
        WaitStatus::Exited(_, 0) => Ok("the i386 call was answered".into()),
        WaitStatus::Exited(_, _) => blocked("the i386 call was refused"),
        WaitStatus::Signaled(_, Signal::SIGSYS, _) => {
            Err(Failure::Blocked("SIGSYS".into(), "killed by a seccomp filter".into()))
        }
        WaitStatus::Signaled(_, signal, _) => {
            Err(Failure::Blocked(format!("{signal}"), "no such gate".into()))
        }
        other => Err(Failure::NotTried(format!("the child ended by {other:?}"))),
    }
}

/// A new pseudoterminal, made this session's own, and an ioctl on it. Without /dev/ptmx the ioctl is made on a pipe,
/// where ENOTTY comes from the kernel and so means that no filter stopped it.
fn terminal(request: i64) -> Verdict {
    let letter = [b'x'; 8];
    let ask = |fd: i64| sys::call(libc::SYS_ioctl, [Word::N(fd), Word::N(request), Word::In(&letter)]);
    let reached = |errno| errno == Errno::ENOTTY || errno == Errno::EINVAL;
    let Ok(master) = OpenOptions::new().read(true).write(true).open("/dev/ptmx") else {
        let (reader, _writer) = sys::pipe().prepared("a pipe")?;
        return match ask(i64::from(reader.as_raw_fd())) {
            Err(errno) if reached(errno) => Ok(format!("no filter stopped it ({errno:?}, no terminal here)")),
            Err(errno) => Err(errno.into()),
            Ok(_) => Ok("done on a pipe".into()),
        };
    };
    let slave = controlling(&master).prepared("a terminal")?;
    let asked = ask(slave);
    // Closing the master would hang up this session, and so end it before its verdict.
    std::mem::forget(master);
    match asked {
        Ok(_) => Ok("the terminal took it".into()),
        Err(errno) if request == TIOCLINUX && reached(errno) => {
            Ok(format!("no filter stopped it ({errno:?})"))
        }
        Err(errno) => Err(errno.into()),
    }
}

fn controlling(master: &File) -> Result<i64, Errno> {
    let fd = i64::from(master.as_raw_fd());
    let unlock = Bytes::new().i32(0).done();
    sys::call(libc::SYS_ioctl, [Word::N(fd), Word::N(TIOCSPTLCK), Word::In(&unlock)])?;
    let flags = Word::N(i64::from(libc::O_RDWR | libc::O_NOCTTY));
    let slave = sys::call(libc::SYS_ioctl, [Word::N(fd), Word::N(TIOCGPTPEER), flags])?;
    // The act leads a session without a terminal (see supervise), so it may take this one.
    sys::call(libc::SYS_ioctl, [Word::N(slave), Word::N(TIOCSCTTY), NULL])?;
    Ok(slave)
}

/// This area's acts.
#[rustfmt::skip]
pub const ACTS: &[Act] = &[
    Act { id: "x32", about: "make a system call by the x32 table, which filters by number forget", layers: "seccomp", args: "", control: Control::User, run: x32 },
    Act { id: "i386", about: "make a system call by the i386 table (int 0x80)", layers: "seccomp", args: "", control: Control::User, run: |_| i386(20) },
    Act { id: "tiocsti", about: "type a letter into the terminal of whoever started it", layers: "seccomp", args: "", control: Control::Root, run: |_| terminal(TIOCSTI) },
    Act { id: "tioclinux", about: "paste into the console", layers: "seccomp", args: "", control: Control::User, run: |_| terminal(TIOCLINUX) },
];
