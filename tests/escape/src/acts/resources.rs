//! Raising limits and priority, and leaving the control group.

use std::fs::{self, OpenOptions};
use std::io::Write as _;

use nix::errno::Errno;
use nix::sys::wait::WaitStatus;

use crate::act::{Act, Args, Control, Failure, Prepare as _, Verdict};
use crate::acts::reach;
use crate::bytes::Bytes;
use crate::sys::{self, NULL, Word};

const LIMITS: [(&str, i64); 9] = [
    ("NPROC", 6),
    ("NOFILE", 7),
    ("MEMLOCK", 8),
    ("MSGQUEUE", 12),
    ("SIGPENDING", 11),
    ("CORE", 4),
    ("AS", 9),
    ("RTPRIO", 14),
    ("NICE", 13),
];

/// The hard limit of the first resource that has one, plus one.
fn raise_limit(by_prlimit: bool) -> Verdict {
    for (name, resource) in LIMITS {
        let mut now = [0; 16];
        sys::call(libc::SYS_prlimit64, [NULL, Word::N(resource), NULL, Word::Out(&mut now)])?;
        let [soft, hard] = halves(now);
        let Some(more) = hard.checked_add(1).filter(|more| *more < u64::MAX) else { continue };
        let wanted = Bytes::new().u64(soft).u64(more).done();
        if by_prlimit {
            sys::call(libc::SYS_prlimit64, [NULL, Word::N(resource), Word::In(&wanted), NULL])?;
        } else {
            sys::call(libc::SYS_setrlimit, [Word::N(resource), Word::In(&wanted)])?;
        }
        return Ok(format!("hard limit {name} raised from {hard} to {more}"));
    }
    Err(Failure::NotTried("every limit is infinite already".into()))
}

fn halves(bytes: [u8; 16]) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, rest @ ..] = bytes;
    [u64::from_ne_bytes([a, b, c, d, e, f, g, h]), u64::from_ne_bytes(rest)]
}

/// Nice value down by one: a raise of priority.
fn nice(_: &Args<'_>) -> Verdict {
    let now = 20 - sys::call(libc::SYS_getpriority, [NULL, NULL])?;
    reach(libc::SYS_setpriority, [NULL, NULL, Word::N(now - 1)], &[])
}

fn scheduler(policy: i64) -> Verdict {
    let parameter = Bytes::new().i32(1).done();
    reach(libc::SYS_sched_setscheduler, [NULL, Word::N(policy), Word::In(&parameter)], &[])
}

/// SCHED_DEADLINE with a tenth of a processor.
fn deadline(_: &Args<'_>) -> Verdict {
    let attr = Bytes::new()
        .u32(48)
        .u32(6)
        .u64(0)
        .i32(0)
        .u32(0)
        .u64(10_000_000)
        .u64(100_000_000)
        .u64(100_000_000)
        .done();
    reach(libc::SYS_sched_setattr, [NULL, Word::In(&attr), NULL], &[])
}

fn io_priority(_: &Args<'_>) -> Verdict {
    const REALTIME: i64 = 1 << 13;
    reach(libc::SYS_ioprio_set, [Word::N(1), NULL, Word::N(REALTIME)], &[])
}

fn autogroup(_: &Args<'_>) -> Verdict {
    OpenOptions::new().write(true).open("/proc/self/autogroup")?.write_all(b"-1")?;
    Ok("the session's priority was raised".into())
}

/// Less likely to be killed when memory runs out: then a neighbour would be.
fn oom_score(_: &Args<'_>) -> Verdict {
    let now: i32 =
        fs::read_to_string("/proc/self/oom_score_adj")?.trim().parse().prepared("the present value")?;
    let less = (now - 1).max(-1000);
    OpenOptions::new()
        .write(true)
        .open("/proc/self/oom_score_adj")?
        .write_all(less.to_string().as_bytes())?;
    Ok(format!("lowered from {now} to {less}"))
}

/// Moves a child of its own out of the limits of its group; the child ends at once.
fn leave_group(args: &Args<'_>) -> Verdict {
    let path = format!("{}/cgroup.procs", args.text_or(0, "/sys/fs/cgroup"));
    let moved =
        || OpenOptions::new().write(true).open(&path)?.write_all(std::process::id().to_string().as_bytes());
    let status = sys::in_child(|| moved().err().map_or(0, |error| error.raw_os_error().unwrap_or(200)));
    match status.prepared("a child")? {
        WaitStatus::Exited(_, 0) => Ok(format!("a child joined {path}")),
        WaitStatus::Exited(_, code) => Err(Errno::from_raw(code).into()),
        other => Err(Failure::NotTried(format!("the child ended by {other:?}"))),
    }
}

fn lock_memory(args: &Args<'_>) -> Verdict {
    let mebibytes = args.bounded(0, 64, 1024)?;
    let size = usize::try_from(mebibytes * 1024 * 1024).prepared("size")?;
    let memory = vec![0_u8; size]; // not touched: it is the lock that must be refused, not the memory
    let length = i64::try_from(size).prepared("size")?;
    reach(libc::SYS_mlock, [Word::In(&memory), Word::N(length)], &[])?;
    Ok(format!("{mebibytes} MiB locked"))
}

const PRIORITY: &str = "capabilities seccomp limits";

/// This area's acts.
#[rustfmt::skip]
pub const ACTS: &[Act] = &[
    Act { id: "raise-limit", about: "raise a hard limit by setrlimit", layers: PRIORITY, args: "", control: Control::Root, run: |_| raise_limit(false) },
    Act { id: "raise-prlimit", about: "raise a hard limit by prlimit64", layers: PRIORITY, args: "", control: Control::Root, run: |_| raise_limit(true) },
    Act { id: "nice", about: "raise its own priority", layers: PRIORITY, args: "", control: Control::Root, run: nice },
    Act { id: "scheduler-fifo", about: "become a real-time process (FIFO)", layers: PRIORITY, args: "", control: Control::Root, run: |_| scheduler(1) },
    Act { id: "scheduler-rr", about: "become a real-time process (round robin)", layers: PRIORITY, args: "", control: Control::Root, run: |_| scheduler(2) },
    Act { id: "scheduler-deadline", about: "become a deadline process", layers: PRIORITY, args: "", control: Control::Root, run: deadline },
    Act { id: "io-priority", about: "take real-time IO priority", layers: PRIORITY, args: "", control: Control::Root, run: io_priority },
    Act { id: "autogroup", about: "raise the priority of its session", layers: "capabilities proc landlock", args: "", control: Control::Root, run: autogroup },
    Act { id: "oom-score", about: "be spared when memory runs out", layers: "capabilities landlock", args: "", control: Control::Root, run: oom_score },
    Act { id: "leave-cgroup", about: "leave the control group and its limits", layers: "mounts account landlock", args: "[GROUP]", control: Control::Root, run: leave_group },
    Act { id: "lock-memory", about: "lock more memory than the limit", layers: "limits seccomp", args: "[MIB]", control: Control::Root, run: lock_memory },
];
