//! Becoming somebody else: user and group ids, capability sets, the switches that keep them down.

use std::fs;

use crate::act::{Act, Args, Control, Verdict, blocked};
use crate::acts::reach;
use crate::bytes::Bytes;
use crate::sys::{self, NULL, Word};

const ZERO: Word<'static> = Word::N(0);
const CAP_SYS_ADMIN: u32 = 21;

/// A line of `/proc/self/status`.
fn status(key: &str) -> Option<String> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':').map(|value| value.trim().to_owned()))
}

fn is_root(_: &Args<'_>) -> Verdict {
    let ids = status("Uid").unwrap_or_default();
    let uid = sys::call(libc::SYS_geteuid, [])?;
    if uid == 0 { Ok(format!("uids {ids}")) } else { blocked(format!("uids {ids}")) }
}

fn any_capability(_: &Args<'_>) -> Verdict {
    let sets = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];
    let held: Vec<String> = sets
        .iter()
        .filter_map(|set| {
            Some(format!("{set} {}", status(set).filter(|value| value.bytes().any(|b| b != b'0'))?))
        })
        .collect();
    if held.is_empty() { blocked("all five sets are empty") } else { Ok(held.join(", ")) }
}

fn effective_capability(_: &Args<'_>) -> Verdict {
    match status("CapEff") {
        Some(set) if set.bytes().any(|byte| byte != b'0') => Ok(format!("effective {set}")),
        set => blocked(format!("effective {}", set.unwrap_or_default())),
    }
}

fn extra_groups(_: &Args<'_>) -> Verdict {
    let gid = sys::call(libc::SYS_getgid, [])?.to_string();
    let groups = status("Groups").unwrap_or_default();
    let extra: Vec<_> = groups.split_whitespace().filter(|group| *group != gid).collect();
    if extra.is_empty() {
        blocked(format!("groups {groups:?}, gid {gid}"))
    } else {
        Ok(format!("also in {}", extra.join(" ")))
    }
}

fn switch_is_off(key: &str, off: &str) -> Verdict {
    match status(key) {
        Some(value) if value == off => Ok(format!("{key} is {value}")),
        value => blocked(format!("{key} is {}", value.unwrap_or_default())),
    }
}

/// setfsuid does not report errors: the second call tells which id is in force.
fn fsuid(_: &Args<'_>) -> Verdict {
    sys::call(libc::SYS_setfsuid, [ZERO])?;
    let now = sys::call(libc::SYS_setfsuid, [Word::N(-1)])?;
    if now == 0 {
        Ok("files are opened as root".into())
    } else {
        blocked(format!("the id for files is {now}"))
    }
}

fn groups(_: &Args<'_>) -> Verdict {
    let list = Bytes::new().u32(0).done();
    reach(libc::SYS_setgroups, [Word::N(1), Word::In(&list)], &[])
}

/// `capset`, version 3, with one set raised on top of what is held.
fn raise(effective: u32, permitted: u32, inheritable: u32) -> Verdict {
    const VERSION_3: u32 = 0x2008_0522;
    let header = Bytes::new().u32(VERSION_3).i32(0).done();
    let low = Bytes::new().u32(effective).u32(permitted).u32(inheritable);
    let data = low.u32(0).u32(0).u32(0).done();
    reach(libc::SYS_capset, [Word::In(&header), Word::In(&data)], &[])
}

fn ambient(_: &Args<'_>) -> Verdict {
    raise(1 << CAP_SYS_ADMIN, 1 << CAP_SYS_ADMIN, 1 << CAP_SYS_ADMIN).ok();
    let words =
        [Word::N(i64::from(libc::PR_CAP_AMBIENT)), Word::N(2), Word::N(i64::from(CAP_SYS_ADMIN)), ZERO, ZERO];
    reach(libc::SYS_prctl, words, &[])
}

fn prctl(option: i32, value: i64) -> Verdict {
    reach(libc::SYS_prctl, [Word::N(i64::from(option)), Word::N(value), ZERO, ZERO, ZERO], &[])
}

/// PR_SET_MM rewrites what `/proc/self` says of this process: here, where its stack begins.
fn set_mm(_: &Args<'_>) -> Verdict {
    const START_STACK: i64 = 5;
    let here = [0_u8];
    let words = [Word::N(i64::from(libc::PR_SET_MM)), Word::N(START_STACK), Word::In(&here), ZERO, ZERO];
    reach(libc::SYS_prctl, words, &[])
}

fn keep_caps(_: &Args<'_>) -> Verdict {
    prctl(libc::PR_SET_SECUREBITS, 1 << 4)
}

fn ids(number: libc::c_long) -> Verdict {
    reach(number, [ZERO, ZERO, ZERO], &[])
}

const WHO: &str = "capabilities seccomp";

/// This area's acts.
#[rustfmt::skip]
pub const ACTS: &[Act] = &[
    Act { id: "is-root", about: "run as uid 0", layers: "account", args: "", control: Control::Root, run: is_root },
    Act { id: "caps-any", about: "hold a capability in any set, the bounding set included", layers: "capabilities", args: "", control: Control::Root, run: any_capability },
    Act { id: "caps-effective", about: "hold an effective capability", layers: "capabilities", args: "", control: Control::Root, run: effective_capability },
    Act { id: "extra-groups", about: "be in a group besides the tenant's own", layers: "account", args: "", control: Control::Root, run: extra_groups },
    Act { id: "may-gain", about: "run without no_new_privs", layers: "no-new-privs", args: "", control: Control::User, run: |_| switch_is_off("NoNewPrivs", "0") },
    Act { id: "unfiltered", about: "run without a seccomp filter", layers: "seccomp", args: "", control: Control::User, run: |_| switch_is_off("Seccomp", "0") },
    Act { id: "setuid", about: "become root by setuid", layers: WHO, args: "", control: Control::Root, run: |_| ids(libc::SYS_setuid) },
    Act { id: "setreuid", about: "become root by setreuid", layers: WHO, args: "", control: Control::Root, run: |_| ids(libc::SYS_setreuid) },
    Act { id: "setresuid", about: "become root by setresuid", layers: WHO, args: "", control: Control::Root, run: |_| ids(libc::SYS_setresuid) },
    Act { id: "setgid", about: "join group 0 by setgid", layers: WHO, args: "", control: Control::Root, run: |_| ids(libc::SYS_setgid) },
    Act { id: "setregid", about: "join group 0 by setregid", layers: WHO, args: "", control: Control::Root, run: |_| ids(libc::SYS_setregid) },
    Act { id: "setresgid", about: "join group 0 by setresgid", layers: WHO, args: "", control: Control::Root, run: |_| ids(libc::SYS_setresgid) },
    Act { id: "setgroups", about: "join group 0 by setgroups", layers: WHO, args: "", control: Control::Root, run: groups },
    Act { id: "setfsuid", about: "open files as root by setfsuid", layers: WHO, args: "", control: Control::Root, run: fsuid },
    Act { id: "capset", about: "raise CAP_SYS_ADMIN", layers: WHO, args: "", control: Control::Root, run: |_| raise(1 << CAP_SYS_ADMIN, 1 << CAP_SYS_ADMIN, 0) },
    Act { id: "capset-inheritable", about: "put a capability into the inheritable set", layers: WHO, args: "", control: Control::Root, run: |_| raise(0, 1 << CAP_SYS_ADMIN, 1 << CAP_SYS_ADMIN) },
    Act { id: "ambient", about: "raise an ambient capability", layers: WHO, args: "", control: Control::Root, run: ambient },
    Act { id: "securebits", about: "change the secure bits", layers: WHO, args: "", control: Control::Root, run: keep_caps },
    Act { id: "keep-caps", about: "ask to keep capabilities over setuid", layers: "seccomp", args: "", control: Control::User, run: |_| prctl(libc::PR_SET_KEEPCAPS, 1) },
    Act { id: "set-mm", about: "rewrite the description of its own memory (PR_SET_MM)", layers: WHO, args: "", control: Control::Root, run: set_mm },
    Act { id: "ptracer", about: "let any process trace it (PR_SET_PTRACER)", layers: "seccomp", args: "", control: Control::User, run: |_| prctl(libc::PR_SET_PTRACER, -1) },
    Act { id: "vhangup", about: "hang up the terminal of its session", layers: WHO, args: "", control: Control::Root, run: |_| reach(libc::SYS_vhangup, [], &[]) },
    Act { id: "cap-drop", about: "take a capability out of the bounding set (only with CAP_SETPCAP)", layers: WHO, args: "", control: Control::Root, run: |_| reach(libc::SYS_prctl, [Word::N(i64::from(libc::PR_CAPBSET_DROP)), Word::N(40), NULL, NULL, NULL], &[]) },
];
