//! Making or entering namespaces: the usual first step of every container escape.

use std::fs::File;
use std::os::fd::AsRawFd as _;

use nix::errno::Errno;
use nix::sys::wait::WaitStatus;

use crate::act::{Act, Args, Control, Failure, Verdict};
use crate::acts::reach;
use crate::bytes::Bytes;
use crate::sys::{self, NULL, Word};

fn unshare(flag: i32) -> Verdict {
    // The act runs in a child of its own (see supervise), so the new namespace ends with it.
    reach(libc::SYS_unshare, [Word::N(i64::from(flag))], &[])
}

fn ended(status: Result<WaitStatus, Errno>) -> Verdict {
    match status? {
        WaitStatus::Exited(_, 0) => Ok("a child ran in the new namespace".into()),
        other => Err(Failure::NotTried(format!("the child ended by {other:?}"))),
    }
}

fn clone(flag: i32) -> Verdict {
    ended(sys::clone_and_end(i64::from(flag)))
}

fn clone3(flags: i32) -> Verdict {
    let args = Bytes::new().i64(i64::from(flags)).u64(0).u64(0).u64(0);
    let args = args.i64(i64::from(libc::SIGCHLD)).upto(88).done();
    ended(sys::clone3_and_end(&args))
}

/// Even the namespace it is in already may not be entered without CAP_SYS_ADMIN.
fn setns(path: &str) -> Verdict {
    let file = File::open(path)?;
    reach(libc::SYS_setns, [Word::N(i64::from(file.as_raw_fd())), NULL], &[])
}

fn setns_pid(args: &Args<'_>) -> Verdict {
    let pid = crate::acts::processes::pid(args)?;
    let fd = sys::call(libc::SYS_pidfd_open, [Word::N(pid), NULL])?;
    reach(libc::SYS_setns, [Word::N(fd), Word::N(i64::from(libc::CLONE_NEWNET))], &[])
}

/// A user namespace with root mapped inside, the form in which an attacker uses it.
fn mapped_user(_: &Args<'_>) -> Verdict {
    let uid = sys::call(libc::SYS_getuid, [])?;
    sys::call(libc::SYS_unshare, [Word::N(i64::from(libc::CLONE_NEWUSER | libc::CLONE_NEWNS))])?;
    let map = std::fs::OpenOptions::new().write(true).open("/proc/self/uid_map");
    std::io::Write::write_all(&mut map?, format!("0 {uid} 1").as_bytes())?;
    Ok("root in a user namespace of its own".into())
}

const APART: &str = "seccomp capabilities";
const USER: &str = "seccomp";

/// This area's acts.
#[rustfmt::skip]
pub const ACTS: &[Act] = &[
    Act { id: "unshare-user", about: "make a user namespace", layers: USER, args: "", control: Control::User, run: |_| unshare(libc::CLONE_NEWUSER) },
    Act { id: "unshare-user-root", about: "become root in a user namespace with its own mounts", layers: USER, args: "", control: Control::User, run: mapped_user },
    Act { id: "unshare-mount", about: "make a mount namespace", layers: APART, args: "", control: Control::Root, run: |_| unshare(libc::CLONE_NEWNS) },
    Act { id: "unshare-pid", about: "make a pid namespace", layers: APART, args: "", control: Control::Root, run: |_| unshare(libc::CLONE_NEWPID) },
    Act { id: "unshare-net", about: "make a network namespace", layers: APART, args: "", control: Control::Root, run: |_| unshare(libc::CLONE_NEWNET) },
    Act { id: "unshare-ipc", about: "make an IPC namespace", layers: APART, args: "", control: Control::Root, run: |_| unshare(libc::CLONE_NEWIPC) },
    Act { id: "unshare-uts", about: "make a UTS namespace", layers: APART, args: "", control: Control::Root, run: |_| unshare(libc::CLONE_NEWUTS) },
    Act { id: "unshare-cgroup", about: "make a cgroup namespace", layers: APART, args: "", control: Control::Root, run: |_| unshare(libc::CLONE_NEWCGROUP) },
    Act { id: "unshare-time", about: "make a time namespace", layers: APART, args: "", control: Control::Root, run: |_| unshare(0x80) },
    Act { id: "clone-user", about: "clone into a user namespace", layers: USER, args: "", control: Control::User, run: |_| clone(libc::CLONE_NEWUSER) },
    Act { id: "clone-mount", about: "clone into a mount namespace", layers: APART, args: "", control: Control::Root, run: |_| clone(libc::CLONE_NEWNS) },
    Act { id: "clone-pid", about: "clone into a pid namespace", layers: APART, args: "", control: Control::Root, run: |_| clone(libc::CLONE_NEWPID) },
    Act { id: "clone-net", about: "clone into a network namespace", layers: APART, args: "", control: Control::Root, run: |_| clone(libc::CLONE_NEWNET) },
    Act { id: "clone-ipc", about: "clone into an IPC namespace", layers: APART, args: "", control: Control::Root, run: |_| clone(libc::CLONE_NEWIPC) },
    Act { id: "clone-uts", about: "clone into a UTS namespace", layers: APART, args: "", control: Control::Root, run: |_| clone(libc::CLONE_NEWUTS) },
    Act { id: "clone-cgroup", about: "clone into a cgroup namespace", layers: APART, args: "", control: Control::Root, run: |_| clone(libc::CLONE_NEWCGROUP) },
    Act { id: "clone3-user", about: "clone3 into a user namespace, with flags that no filter can read", layers: USER, args: "", control: Control::User, run: |_| clone3(libc::CLONE_NEWUSER) },
    Act { id: "clone3-mount", about: "clone3 into a mount namespace, with flags that no filter can read", layers: APART, args: "", control: Control::Root, run: |_| clone3(libc::CLONE_NEWNS) },
    Act { id: "setns", about: "enter a namespace by its path", layers: "mounts capabilities seccomp", args: "PATH", control: Control::Root, run: |a| setns(a.text(0)) },
    Act { id: "setns-own", about: "use setns at all, on its own network namespace", layers: APART, args: "", control: Control::Root, run: |_| setns("/proc/self/ns/net") },
    Act { id: "setns-pid", about: "enter the namespaces of a process", layers: "capabilities seccomp pid-namespace", args: "PID", control: Control::Root, run: setns_pid },
];
