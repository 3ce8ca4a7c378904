//! Acting on other processes: signals, ptrace, reading and steering their memory, taking their descriptors.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::thread::sleep;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;

use crate::act::{Act, Args, Control, Failure, Prepare as _, Verdict};
use crate::acts::processes::{first_mapping, pid};
use crate::acts::reach;
use crate::bytes::Bytes;
use crate::sys::{self, NULL, Word};

const PTRACE_SEIZE: i64 = 0x4206;
/// Harmless to a process that is not stopped, and asks for the same right as SIGKILL.
const HARMLESS: i64 = libc::SIGCONT as i64;

fn signal(args: &Args<'_>) -> Verdict {
    reach(libc::SYS_kill, [Word::N(pid(args)?), Word::N(HARMLESS)], &[])
}

fn thread_signal(args: &Args<'_>) -> Verdict {
    let pid = pid(args)?;
    reach(libc::SYS_tgkill, [Word::N(pid), Word::N(pid), Word::N(HARMLESS)], &[])
}

/// `struct siginfo` with SI_QUEUE.
fn queued_signal(args: &Args<'_>) -> Verdict {
    let info = Bytes::new().i32(libc::SIGCONT).i32(0).i32(libc::SI_QUEUE).upto(128).done();
    reach(libc::SYS_rt_sigqueueinfo, [Word::N(pid(args)?), Word::N(HARMLESS), Word::In(&info)], &[])
}

fn pidfd(args: &Args<'_>) -> Result<i64, Errno> {
    let pid = pid(args).map_err(|_| Errno::EINVAL)?;
    sys::call(libc::SYS_pidfd_open, [Word::N(pid), NULL])
}

fn pidfd_open(args: &Args<'_>) -> Verdict {
    pid(args)?;
    Ok(format!("descriptor {}", pidfd(args)?))
}

fn pidfd_signal(args: &Args<'_>) -> Verdict {
    reach(libc::SYS_pidfd_send_signal, [Word::N(pidfd(args)?), Word::N(HARMLESS), NULL, NULL], &[])
}

/// A descriptor of `/proc/<pid>` serves as a pidfd too.
fn procfd_signal(args: &Args<'_>) -> Verdict {
    let folder = File::open(format!("/proc/{}", pid(args)?))?;
    let fd = i64::from(folder.as_raw_fd());
    reach(libc::SYS_pidfd_send_signal, [Word::N(fd), Word::N(HARMLESS), NULL, NULL], &[])
}

fn pidfd_getfd(args: &Args<'_>) -> Verdict {
    reach(libc::SYS_pidfd_getfd, [Word::N(pidfd(args)?), NULL, NULL], &[])
}

/// PTRACE_SEIZE does not stop the target, and ends when this process does.
fn seize(target: i64) -> Verdict {
    reach(libc::SYS_ptrace, [Word::N(PTRACE_SEIZE), Word::N(target), NULL, NULL], &[])
}

fn ptrace_child(_: &Args<'_>) -> Verdict {
    let child = sys::fork(|| {
        sleep(Duration::from_secs(2));
        0
    })
    .prepared("a child")?;
    let verdict = seize(i64::from(child.as_raw()));
    kill(child, Signal::SIGKILL).unwrap_or_default();
    waitpid(child, None).prepared("waiting for the child")?;
    verdict
}

/// Reads eight bytes, or writes back the eight bytes it read. EFAULT means that the right was given and only the
/// guessed address is wrong.
fn vm(args: &Args<'_>, write: bool) -> Verdict {
    let target = pid(args)?;
    let remote = first_mapping(target).unwrap_or(0x40_0000);
    let mut buffer = [0_u8; 8];
    let local = buffer.as_mut_ptr().expose_provenance() as u64;
    let local = Bytes::new().u64(local).u64(8).done();
    let remote = Bytes::new().u64(remote).u64(8).done();
    let transfer = |number| {
        let words = [Word::N(target), Word::In(&local), Word::N(1), Word::In(&remote), Word::N(1), NULL];
        reach(number, words, &[Errno::EFAULT])
    };
    let done = transfer(if write { libc::SYS_process_vm_writev } else { libc::SYS_process_vm_readv });
    // The kernel wrote into `buffer` behind the compiler's back.
    std::hint::black_box(&mut buffer);
    done
}

fn process_madvise(args: &Args<'_>) -> Verdict {
    let fd = pidfd(args)?;
    let at = first_mapping(pid(args)?).unwrap_or(0x40_0000);
    let range = Bytes::new().u64(at & !4095).u64(4096).done();
    let words = [Word::N(fd), Word::In(&range), Word::N(1), Word::N(i64::from(libc::MADV_COLD)), NULL];
    reach(libc::SYS_process_madvise, words, &[Errno::ENOMEM])
}

fn kcmp(args: &Args<'_>) -> Verdict {
    let own = i64::from(std::process::id());
    reach(libc::SYS_kcmp, [Word::N(own), Word::N(pid(args)?), Word::N(1), NULL, NULL], &[])
}

fn move_pages(args: &Args<'_>) -> Verdict {
    reach(libc::SYS_move_pages, [Word::N(pid(args)?), NULL, NULL, NULL, NULL, NULL], &[])
}

fn robust_list(args: &Args<'_>) -> Verdict {
    let (mut head, mut length) = ([0; 8], [0; 8]);
    let words = [Word::N(pid(args)?), Word::Out(&mut head), Word::Out(&mut length)];
    reach(libc::SYS_get_robust_list, words, &[])
}

fn perf_on(args: &Args<'_>) -> Verdict {
    let attr = crate::acts::kernel::perf_attributes();
    let words = [Word::In(&attr), Word::N(pid(args)?), Word::N(-1), Word::N(-1), NULL];
    reach(libc::SYS_perf_event_open, words, &[])
}

/// Sends to every process it may reach: only those of its own cell, or the gateway's neighbours too?
fn everybody(_: &Args<'_>) -> Verdict {
    match sys::call(libc::SYS_kill, [Word::N(1), Word::N(HARMLESS)]) {
        Ok(_) => Ok("process 1 took a signal".into()),
        Err(errno) => Err(Failure::from(errno)),
    }
}

const OTHERS: &str = "account pid-namespace seccomp landlock";
const TRACE: &str = "seccomp account pid-namespace landlock";

/// This area's acts.
#[rustfmt::skip]
pub const ACTS: &[Act] = &[
    Act { id: "signal", about: "signal a process (SIGCONT)", layers: OTHERS, args: "PID", control: Control::Own, run: signal },
    Act { id: "signal-init", about: "signal process 1", layers: OTHERS, args: "", control: Control::Root, run: everybody },
    Act { id: "signal-thread", about: "signal a thread of a process (tgkill)", layers: OTHERS, args: "PID", control: Control::Own, run: thread_signal },
    Act { id: "signal-queued", about: "queue a signal to a process (rt_sigqueueinfo)", layers: OTHERS, args: "PID", control: Control::Own, run: queued_signal },
    Act { id: "pidfd-open", about: "hold a process by a pidfd", layers: "seccomp pid-namespace", args: "PID", control: Control::User, run: pidfd_open },
    Act { id: "pidfd-signal", about: "signal a process through a pidfd", layers: TRACE, args: "PID", control: Control::Root, run: pidfd_signal },
    Act { id: "procfd-signal", about: "signal a process through its folder in /proc", layers: TRACE, args: "PID", control: Control::Root, run: procfd_signal },
    Act { id: "pidfd-getfd", about: "take an open file out of a process", layers: TRACE, args: "PID", control: Control::Root, run: pidfd_getfd },
    Act { id: "ptrace", about: "trace a process", layers: TRACE, args: "PID", control: Control::Root, run: |a| seize(pid(a)?) },
    Act { id: "ptrace-child", about: "trace a child of its own", layers: "seccomp", args: "", control: Control::User, run: ptrace_child },
    Act { id: "vm-read", about: "read the memory of a process (process_vm_readv)", layers: TRACE, args: "PID", control: Control::Root, run: |a| vm(a, false) },
    Act { id: "vm-write", about: "write the memory of a process (process_vm_writev)", layers: TRACE, args: "PID", control: Control::Root, run: |a| vm(a, true) },
    Act { id: "process-madvise", about: "page out the memory of a process", layers: TRACE, args: "PID", control: Control::Root, run: process_madvise },
    Act { id: "kcmp", about: "compare kernel objects with those of a process", layers: TRACE, args: "PID", control: Control::Root, run: kcmp },
    Act { id: "move-pages", about: "move the memory of a process between nodes", layers: TRACE, args: "PID", control: Control::Root, run: move_pages },
    Act { id: "robust-list", about: "learn an address inside a process (get_robust_list)", layers: TRACE, args: "PID", control: Control::Root, run: robust_list },
    Act { id: "perf-pid", about: "count the events of a process", layers: TRACE, args: "PID", control: Control::Root, run: perf_on },
];
