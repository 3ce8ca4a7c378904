//! A small interpreter of the filters, and the meaning that a policy's filters must have: they are compared on random
//! policies and calls.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "compiled for tests only; a panic is a failed test"
)]

use std::collections::BTreeMap;
use std::sync::OnceLock;

use model::BpfFilter;
use proptest::prelude::*;

use super::compile::compile;
use super::policy::Policy;
use super::{instruction, names};
use crate::Sources;

const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
const AUDIT_ARCH_I386: u32 = 0x4000_0003;
const KILL: u32 = libc::SECCOMP_RET_KILL_PROCESS;
const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;

fn errno(number: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | u32::try_from(number).unwrap()
}

struct Call {
    arch: u32,
    number: u32,
    arguments: [u64; 6],
}

impl Call {
    fn native(number: u32, arguments: [u64; 6]) -> Self {
        Self { arch: AUDIT_ARCH_X86_64, number, arguments }
    }

    fn load(&self, offset: u32) -> u32 {
        match offset {
            0 => self.number,
            4 => self.arch,
            16..64 => {
                let bytes = self.arguments[usize::try_from((offset - 16) / 8).unwrap()].to_le_bytes();
                let half = if offset % 8 == 0 { &bytes[..4] } else { &bytes[4..] };
                u32::from_le_bytes(half.try_into().unwrap())
            }
            _ => panic!("load at {offset}"),
        }
    }
}

fn run(filter: &BpfFilter, call: &Call) -> u32 {
    let (mut at, mut accumulator) = (0, 0);
    loop {
        let step = instruction(filter.program[at]);
        at += 1;
        let mut jump = |taken| at += usize::from(if taken { step.jt } else { step.jf });
        match step.code {
            0x20 => accumulator = call.load(step.k),
            0x54 => accumulator &= step.k,
            0x05 => at += usize::try_from(step.k).unwrap(),
            0x15 => jump(accumulator == step.k),
            0x35 => jump(accumulator >= step.k),
            0x06 => return step.k,
            other => panic!("instruction {other:#x}"),
        }
    }
}

/// The stack as the kernel runs it: the most restrictive action, of the filter installed last among equals.
fn decide(filters: &[BpfFilter], call: &Call) -> u32 {
    let rank = |action: u32| match action & 0xffff_0000 {
        KILL => 0,
        libc::SECCOMP_RET_ERRNO => 1,
        ALLOW => 2,
        other => panic!("action {other:#x}"),
    };
    filters
        .iter()
        .rev()
        .map(|filter| run(filter, call))
        .reduce(|so_far, next| if rank(next) < rank(so_far) { next } else { so_far })
        .unwrap()
}

/// What a policy says about a call, without any filter.
fn meaning(policy: &Policy, number: u32, arguments: &[u64; 6]) -> u32 {
    let holds = |when: &[super::condition::Alternative]| {
        when.is_empty() || when.iter().any(|all| all.iter().all(|condition| condition.holds(arguments)))
    };
    if policy.kill.get(&number).is_some_and(|when| holds(when)) {
        return KILL;
    }
    if let Some(denied) = policy.deny.get(&number).filter(|denied| holds(&denied.when)) {
        return libc::SECCOMP_RET_ERRNO | denied.errno;
    }
    match policy.allow.get(&number) {
        Some(allowed) if holds(&allowed.when) => ALLOW,
        Some(allowed) => libc::SECCOMP_RET_ERRNO | allowed.otherwise.unwrap(),
        None => errno(libc::ENOSYS),
    }
}

fn shipped() -> Sources {
    Sources::read(std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies/seccomp")))
        .unwrap()
}

fn shipped_policies() -> &'static [(Policy, Vec<BpfFilter>); 2] {
    static SHIPPED: OnceLock<[(Policy, Vec<BpfFilter>); 2]> = OnceLock::new();
    SHIPPED.get_or_init(|| {
        ["node", "generic"]
            .map(|name| (Policy::read(&shipped(), name).unwrap(), compile(&shipped(), name).unwrap()))
    })
}

/// Values near those that policies compare with, so that conditions hold about as often as not.
fn argument() -> impl Strategy<Value = u64> {
    let constants: Vec<u64> = names::constants().map(|(_, value)| u64::from(value)).collect();
    let known = proptest::sample::select(constants);
    prop_oneof![
        Just(0),
        0..8_u64,
        known.clone(),
        (known, any::<u32>()).prop_map(|(low, high)| low | u64::from(high) << 32),
        any::<u64>()
    ]
}

fn condition() -> impl Strategy<Value = String> {
    (0..3_u8, 0..16_u32, 0..16_u32, 0..3_u8).prop_map(|(argument, mask, value, kind)| match kind {
        0 => format!("arg{argument} == {value}"),
        1 => format!("arg{argument} != {value}"),
        _ => format!("arg{argument} & {mask} in {{{}, {}}}", value & mask, mask),
    })
}

fn when() -> impl Strategy<Value = Vec<String>> {
    let alternative = proptest::collection::vec(condition(), 1..3).prop_map(|terms| terms.join(" and "));
    proptest::collection::vec(alternative, 0..4)
}

/// The text of a policy over calls 0 to 39.
fn policy_text() -> impl Strategy<Value = String> {
    let decision = (0..4_u8, when());
    proptest::collection::btree_map(0..40_u32, decision, 1..30).prop_map(|decisions| {
        let by_number: BTreeMap<u32, &str> = names::calls().collect();
        let mut text = "description = \"random\"\n[[deny]]\ncalls = [\"seccomp\"]\nerrno = \"EPERM\"\nwhy = \"closed\"\n".to_owned();
        for (number, (kind, when)) in decisions {
            let (table, key) = match kind {
                0 => ("allow", if when.is_empty() { "" } else { "otherwise = \"EINVAL\"" }),
                1 => ("deny", "errno = \"EPERM\""),
                2 => ("deny", "errno = \"ENOTTY\""),
                _ => ("kill", ""),
            };
            let name = by_number[&number];
            text += &format!("[[{table}]]\ncalls = [\"{name}\"]\nwhen = {when:?}\n{key}\nwhy = \"random\"\n");
        }
        text
    })
}

proptest! {
    #[test]
    fn a_random_policys_filters_mean_what_it_says(
        text in policy_text(),
        calls in proptest::collection::vec((0..48_u32, [argument(), argument(), argument(), argument(), argument(), argument()]), 64),
    ) {
        let sources = Sources::from_pairs([("random.toml", &text)]);
        let policy = Policy::read(&sources, "random").unwrap();
        let filters = compile(&sources, "random").unwrap();
        for (number, arguments) in calls {
            prop_assert_eq!(decide(&filters, &Call::native(number, arguments)), meaning(&policy, number, &arguments), "call {} {:?}\n{}", number, arguments, text);
        }
    }

    #[test]
    fn the_shipped_filters_mean_what_the_policies_say(
        number in 0..480_u32,
        arguments in [argument(), argument(), argument(), argument(), argument(), argument()],
    ) {
        for (policy, filters) in shipped_policies() {
            prop_assert_eq!(decide(filters, &Call::native(number, arguments)), meaning(policy, number, &arguments));
        }
    }
}

#[test]
fn i386_calls_kill_and_x32_calls_are_absent() {
    for (_, filters) in shipped_policies() {
        for (number, _) in names::calls() {
            let i386 = Call { arch: AUDIT_ARCH_I386, number, arguments: [0; 6] };
            assert_eq!(decide(filters, &i386), KILL);
            assert_eq!(decide(filters, &Call::native(number | 0x4000_0000, [0; 6])), errno(libc::ENOSYS));
        }
    }
}

#[test]
fn the_calls_that_openclaw_was_seen_to_make_are_allowed_but_for_clone3_and_io_uring() {
    let seen = "accept4 access arch_prctl bind brk capget chdir chmod clock_nanosleep clone close connect dup2 epoll_create1 epoll_ctl \
        epoll_pwait eventfd2 execve exit exit_group faccessat2 fchmod fchown fcntl fstat fsync ftruncate futex getcwd getdents64 getegid \
        geteuid getgid getgroups getpeername getpid getppid getrandom getrusage getsockname getsockopt gettid getuid inotify_add_watch \
        inotify_init1 inotify_rm_watch ioctl kill link listen lseek lstat madvise mkdir mmap mprotect munmap newfstatat openat openat2 \
        pipe2 poll prctl pread64 prlimit64 pwrite64 read readlink recvfrom recvmsg rename rmdir rseq rt_sigaction rt_sigprocmask \
        rt_sigreturn sched_getaffinity sched_getparam sched_getscheduler sched_yield sendmmsg sendmsg sendto set_robust_list \
        set_tid_address setsid setsockopt shutdown socket socketpair stat statfs statx symlink sysinfo uname unlink unlinkat utimensat \
        vfork wait4 write writev restart_syscall rt_sigsuspend rt_sigtimedwait sigaltstack tgkill membarrier mremap fadvise64";
    let (policy, _) = &shipped_policies()[0];
    for name in seen.split_whitespace() {
        assert!(policy.allow.contains_key(&names::call(name).unwrap()), "{name}");
    }
    assert_eq!(meaning(policy, names::call("clone3").unwrap(), &[0; 6]), errno(libc::ENOSYS));
    assert_eq!(meaning(policy, names::call("io_uring_setup").unwrap(), &[0; 6]), errno(libc::EPERM));
}

#[test]
fn refused_calls_are_not_logged_as_shipped() {
    assert!(shipped_policies().iter().flat_map(|(_, filters)| filters).all(|filter| !filter.log));
}
