//! Seeing and reading other processes: `/proc`, and the calls that tell whether a pid exists.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};

use nix::errno::Errno;

use crate::act::{Act, Args, Control, Failure, Verdict, blocked};
use crate::acts::reach;
use crate::sys::{self, NULL, Word};

/// The pid argument, which must name one process and not a group.
pub fn pid(args: &Args<'_>) -> Result<i64, Failure> {
    Ok(i64::from(args.number::<u32>(0)?))
}

fn proc_path(args: &Args<'_>, name: &str) -> Result<String, Failure> {
    Ok(format!("/proc/{}/{name}", pid(args)?))
}

fn file(args: &Args<'_>, name: &str) -> Verdict {
    let mut bytes = Vec::new();
    fs::File::open(proc_path(args, name)?)?.take(65536).read_to_end(&mut bytes)?;
    if bytes.is_empty() { blocked("readable but empty") } else { Ok(format!("read {} bytes", bytes.len())) }
}

fn folder(args: &Args<'_>, name: &str) -> Verdict {
    Ok(format!("listed {} entries", fs::read_dir(proc_path(args, name)?)?.count()))
}

fn link(args: &Args<'_>, name: &str) -> Verdict {
    Ok(format!("it is {}", fs::read_link(proc_path(args, name)?)?.display()))
}

fn see(args: &Args<'_>) -> Verdict {
    let meta = fs::metadata(proc_path(args, "")?)?;
    Ok(format!("it is listed, uid {}", meta.uid()))
}

/// Opens each descriptor of the process by its link, which would give the object itself.
fn open_fds(args: &Args<'_>) -> Verdict {
    let mut last = Failure::from(Errno::ENOENT);
    for number in 0..32 {
        match fs::File::open(proc_path(args, &format!("fd/{number}"))?) {
            Ok(_) => return Ok(format!("opened its descriptor {number}")),
            Err(error) => last = error.into(),
        }
    }
    Err(last)
}

/// The first mapping that can be read, from `/proc/<pid>/maps`.
pub fn first_mapping(pid: i64) -> Option<u64> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let line = maps.lines().find(|line| line.contains(" r"))?;
    u64::from_str_radix(line.split('-').next()?, 16).ok()
}

fn memory(args: &Args<'_>) -> Verdict {
    let file = fs::File::open(proc_path(args, "mem")?)?;
    let at = first_mapping(pid(args)?).unwrap_or(0x40_0000);
    let mut word = [0; 8];
    file.read_at(&mut word, at)?;
    Ok(format!("read 8 bytes at {at:#x}"))
}

/// Any process whose uid is not the tenant's.
fn foreign(_: &Args<'_>) -> Verdict {
    let own = fs::metadata("/proc/self")?.uid();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.bytes().all(|byte| byte.is_ascii_digit()) {
            let uid = entry.metadata().map_or(own, |meta| meta.uid());
            if uid != own {
                found.push(format!("{name} (uid {uid})"));
            }
        }
    }
    let some: Vec<_> = found.iter().take(4).cloned().collect();
    if found.is_empty() {
        return blocked("only processes of its own uid are listed");
    }
    Ok(format!("{} foreign processes: {}", found.len(), some.join(", ")))
}

/// `kill(pid, 0)` answers EPERM for a process that exists and ESRCH for one that does not, hidden or not.
fn oracle(args: &Args<'_>) -> Verdict {
    let pid = pid(args)?;
    let word = || Word::N(pid);
    let ways: [(&str, Result<i64, Errno>); 6] = [
        ("kill", sys::call(libc::SYS_kill, [word(), NULL])),
        ("getpgid", sys::call(libc::SYS_getpgid, [word()])),
        ("getsid", sys::call(libc::SYS_getsid, [word()])),
        ("sched_getscheduler", sys::call(libc::SYS_sched_getscheduler, [word()])),
        ("getpriority", sys::call(libc::SYS_getpriority, [NULL, word()])),
        ("pidfd_open", sys::call(libc::SYS_pidfd_open, [word(), NULL])),
    ];
    // A filter answers EPERM too; asked about a pid that cannot exist, the kernel itself says ESRCH.
    let filtered = sys::call(libc::SYS_kill, [Word::N(0x3fff_fff0), NULL]) != Err(Errno::ESRCH);
    let telling: Vec<_> = ways
        .iter()
        .filter(|(name, answer)| {
            answer.is_ok() || (*name == "kill" && !filtered && *answer == Err(Errno::EPERM))
        })
        .map(|(name, _)| *name)
        .collect();
    if telling.is_empty() {
        return blocked("no call tells this pid from a free one");
    }
    Ok(format!("its existence is told by {}", telling.join(", ")))
}

/// Whether a user has a process at all: asked for the user's priority, the kernel says ESRCH where there is none.
fn user_by(call: i64, which: i64) -> impl Fn(&Args<'_>) -> Verdict {
    move |args| {
        let uid: u32 = args.number(0)?;
        let answer = sys::call(call, [Word::N(which), Word::N(i64::from(uid))])?;
        Ok(format!("uid {uid} has processes, it answered {answer}"))
    }
}

fn set_priority(args: &Args<'_>) -> Verdict {
    let pid = pid(args)?;
    let now = sys::call(libc::SYS_getpriority, [NULL, Word::N(pid)])?;
    // The kernel returns 20 - nice.
    reach(libc::SYS_setpriority, [NULL, Word::N(pid), Word::N(20 - now)], &[])
}

fn set_affinity(args: &Args<'_>) -> Verdict {
    let pid = pid(args)?;
    let mut mask = [0; 128];
    let size = sys::call(libc::SYS_sched_getaffinity, [Word::N(pid), Word::N(128), Word::Out(&mut mask)])?;
    reach(libc::SYS_sched_setaffinity, [Word::N(pid), Word::N(size), Word::In(&mask)], &[])
}

fn set_limit(args: &Args<'_>) -> Verdict {
    let pid = pid(args)?;
    let nofile = || Word::N(7);
    let mut limit = [0; 16];
    sys::call(libc::SYS_prlimit64, [Word::N(pid), nofile(), NULL, Word::Out(&mut limit)])?;
    reach(libc::SYS_prlimit64, [Word::N(pid), nofile(), Word::In(&limit), NULL], &[])
}

const HIDDEN: &str = "proc account";

/// This area's acts.
#[rustfmt::skip]
pub const ACTS: &[Act] = &[
    Act { id: "proc-foreign", about: "see any process of another uid in /proc", layers: "proc", args: "", control: Control::Root, run: foreign },
    Act { id: "proc-see", about: "see a process in /proc", layers: "proc", args: "PID", control: Control::Root, run: see },
    Act { id: "proc-environ", about: "read the environment of a process", layers: HIDDEN, args: "PID", control: Control::Own, run: |a| file(a, "environ") },
    Act { id: "proc-cmdline", about: "read the arguments of a process", layers: "proc", args: "PID", control: Control::Own, run: |a| file(a, "cmdline") },
    Act { id: "proc-status", about: "read the state, uid and capabilities of a process", layers: "proc", args: "PID", control: Control::Own, run: |a| file(a, "status") },
    Act { id: "proc-maps", about: "read the memory map of a process", layers: HIDDEN, args: "PID", control: Control::Own, run: |a| file(a, "maps") },
    Act { id: "proc-mountinfo", about: "read the mounts of a process", layers: HIDDEN, args: "PID", control: Control::Own, run: |a| file(a, "mountinfo") },
    Act { id: "proc-cgroup", about: "read the cgroup, and so the unit, of a process", layers: "proc", args: "PID", control: Control::Own, run: |a| file(a, "cgroup") },
    Act { id: "proc-net", about: "read the sockets of a process's network namespace", layers: HIDDEN, args: "PID", control: Control::Own, run: |a| file(a, "net/tcp") },
    Act { id: "proc-mem", about: "read the memory of a process through /proc", layers: HIDDEN, args: "PID", control: Control::Own, run: memory },
    Act { id: "proc-root", about: "walk the file tree of a process through its root link", layers: HIDDEN, args: "PID", control: Control::Own, run: |a| folder(a, "root/") },
    Act { id: "proc-cwd", about: "walk the working folder of a process", layers: HIDDEN, args: "PID", control: Control::Own, run: |a| folder(a, "cwd/") },
    Act { id: "proc-exe", about: "learn the program of a process", layers: HIDDEN, args: "PID", control: Control::Own, run: |a| link(a, "exe") },
    Act { id: "proc-fd", about: "list the open files of a process", layers: HIDDEN, args: "PID", control: Control::Own, run: |a| folder(a, "fd") },
    Act { id: "proc-fd-open", about: "open the open files of a process", layers: HIDDEN, args: "PID", control: Control::Own, run: open_fds },
    Act { id: "proc-ns", about: "name the namespaces of a process", layers: HIDDEN, args: "PID", control: Control::Own, run: |a| link(a, "ns/net") },
    Act { id: "pid-oracle", about: "learn whether a pid exists without /proc", layers: "pid-namespace", args: "PID", control: Control::Own, run: oracle },
    Act { id: "user-priority", about: "learn whether a user has processes, by their priority", layers: "seccomp", args: "UID", control: Control::Own, run: |a| user_by(libc::SYS_getpriority, 2)(a) },
    Act { id: "user-io-priority", about: "learn whether a user has processes, by their IO priority", layers: "seccomp", args: "UID", control: Control::Own, run: |a| user_by(libc::SYS_ioprio_get, 3)(a) },
    Act { id: "priority-pid", about: "set the priority of a process (to what it is)", layers: "account pid-namespace", args: "PID", control: Control::Own, run: set_priority },
    Act { id: "affinity-pid", about: "set the processors of a process (to what they are)", layers: "account pid-namespace seccomp", args: "PID", control: Control::Own, run: set_affinity },
    Act { id: "prlimit-pid", about: "set a limit of a process (to what it is)", layers: "account pid-namespace seccomp", args: "PID", control: Control::Own, run: set_limit },
];
