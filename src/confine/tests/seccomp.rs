//! The shipped filters, tried for real: each act in a child without them and in a child under them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is a failed test")]

mod support;

use std::sync::OnceLock;

use model::BpfFilter;
use support::{Outcome, bare, call, filtered, last_errno, program};

/// Arguments that no call does anything with.
const BAD: [i64; 6] = [-1; 6];

fn node() -> &'static [BpfFilter] {
    static NODE: OnceLock<Vec<BpfFilter>> = OnceLock::new();
    NODE.get_or_init(|| support::filters("node"))
}

/// The calls named by the unconditional entries of one kind, with the error number.
fn entries(kind: &str) -> Vec<(String, Option<i32>)> {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies/seccomp/base.toml"))
            .unwrap();
    let document: toml::Table = text.parse().unwrap();
    let unconditional = document[kind].as_array().unwrap().iter().filter(|entry| entry.get("when").is_none());
    let pairs = unconditional.flat_map(|entry| {
        let errno = entry
            .get("errno")
            .map(|name| if name.as_str() == Some("EPERM") { libc::EPERM } else { libc::ENOSYS });
        entry["calls"].as_array().unwrap().iter().map(move |call| (call.as_str().unwrap().to_owned(), errno))
    });
    pairs.collect()
}

#[test]
fn every_denied_call_is_refused_by_the_filter_and_by_nothing_else() {
    // Without privileges the kernel refuses many of them itself, so the control needs root.
    // SAFETY: asks a number.
    let is_root = unsafe { libc::geteuid() } == 0;
    for (name, errno) in entries("deny") {
        let errno = errno.unwrap();
        let act = || {
            // vhangup(2) hangs up the controlling terminal: have none.
            call("setsid", BAD).ok();
            call(&name, BAD)
        };
        assert_eq!(filtered(node(), act), Outcome::Refused(errno), "{name}");
        if is_root && errno == libc::EPERM {
            assert_ne!(bare(act), Outcome::Refused(errno), "{name} without the filter");
        }
    }
}

#[test]
fn every_killing_call_kills_and_does_not_without_the_filter() {
    for (name, _) in entries("kill") {
        assert_eq!(filtered(node(), || call(&name, BAD)), Outcome::Killed(libc::SIGSYS), "{name}");
        assert!(matches!(bare(|| call(&name, BAD)), Outcome::Refused(_)), "{name} without the filter");
    }
}

#[test]
fn an_unknown_call_looks_absent() {
    let unknown = || {
        // SAFETY: no kernel has this call.
        if unsafe { libc::syscall(1023) } < 0 { Err(last_errno()) } else { Ok(()) }
    };
    assert_eq!(filtered(node(), unknown), Outcome::Refused(libc::ENOSYS));
    // Known to this kernel, named by no entry.
    assert_ne!(bare(|| call("io_setup", BAD)), Outcome::Refused(libc::ENOSYS));
    assert_eq!(filtered(node(), || call("io_setup", BAD)), Outcome::Refused(libc::ENOSYS));
}

/// Acts that work without the filter and answer the given error under it.
#[test]
fn arguments_decide() {
    let family = libc::EAFNOSUPPORT;
    let socket =
        |domain: i32, kind: i32, protocol: i32| [domain.into(), kind.into(), protocol.into(), 0, 0, 0];
    let acts: &[(&str, [i64; 6], i32)] = &[
        ("socket", socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_KOBJECT_UEVENT), family),
        ("socket", socket(libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_MPTCP), family),
        ("socket", socket(libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_UDPLITE), family),
        ("madvise", [0, 0, libc::MADV_MERGEABLE.into(), 0, 0, 0], libc::EINVAL),
        ("personality", [0x0040_0000, 0, 0, 0, 0, 0], libc::EPERM),
        ("prctl", [libc::PR_SET_KEEPCAPS.into(), 0, 0, 0, 0, 0], libc::EINVAL),
        ("memfd_create", [c"x".as_ptr().addr().try_into().unwrap(), 0, 0, 0, 0, 0], libc::ENOSYS),
        ("sched_setscheduler", [0, libc::SCHED_FIFO.into(), -1, 0, 0, 0], libc::EPERM),
        ("prlimit64", [1, 7, 0, 0, 0, 0], libc::EPERM),
        ("clone", [(libc::CLONE_NEWUTS | libc::SIGCHLD).into(), -1, 0, 0, 0, 0], libc::EPERM),
        ("clone", [libc::CLONE_NEWUSER.into(), -1, 0, 0, 0, 0], libc::EPERM),
    ];
    for (name, arguments, errno) in acts {
        let control = bare(|| call(name, *arguments));
        assert_ne!(control, Outcome::Refused(*errno), "{name} {arguments:?} without the filter");
        assert_eq!(
            filtered(node(), || call(name, *arguments)),
            Outcome::Refused(*errno),
            "{name} {arguments:?}"
        );
    }
}

#[test]
fn ordinary_arguments_of_the_same_calls_are_answered_as_without_the_filter() {
    let acts: &[(&str, [i64; 6])] = &[
        ("socket", [libc::AF_UNIX.into(), (libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC).into(), 0, 0, 0, 0]),
        ("socket", [libc::AF_INET6.into(), (libc::SOCK_STREAM | libc::SOCK_NONBLOCK).into(), 0, 0, 0, 0]),
        ("socket", [libc::AF_NETLINK.into(), libc::SOCK_RAW.into(), libc::NETLINK_ROUTE.into(), 0, 0, 0]),
        ("personality", [0xffff_ffff, 0, 0, 0, 0, 0]),
        ("prctl", [libc::PR_GET_DUMPABLE.into(), 0, 0, 0, 0, 0]),
        ("prlimit64", [0, 7, 0, 0, 0, 0]),
        (
            "sched_setscheduler",
            [0, libc::SCHED_BATCH.into(), [0_i32; 1].as_ptr().addr().try_into().unwrap(), 0, 0, 0],
        ),
    ];
    for (name, arguments) in acts {
        assert_eq!(bare(|| call(name, *arguments)), Outcome::Done, "{name} {arguments:?} without the filter");
        assert_eq!(filtered(node(), || call(name, *arguments)), Outcome::Done, "{name} {arguments:?}");
    }
}

#[test]
fn no_file_gets_a_setuid_or_setgid_bit() {
    let directory = tempfile::tempdir().unwrap();
    let path = std::ffi::CString::new(directory.path().join("f").to_str().unwrap()).unwrap();
    let open = |flags: i32, mode: u32| {
        let path = path.clone();
        move || {
            // SAFETY: a live C string.
            if unsafe { libc::open(path.as_ptr(), flags, mode) } >= 0 { Ok(()) } else { Err(last_errno()) }
        }
    };
    let chmod = |mode: u32| {
        let path = path.clone();
        move || {
            // SAFETY: a live C string.
            if unsafe { libc::chmod(path.as_ptr(), mode) } >= 0 { Ok(()) } else { Err(last_errno()) }
        }
    };
    let refused = Outcome::Refused(libc::EPERM);
    assert_eq!(filtered(node(), open(libc::O_CREAT | libc::O_WRONLY, 0o4755)), refused);
    assert_eq!(filtered(node(), open(libc::O_CREAT | libc::O_WRONLY, 0o755)), Outcome::Done);
    assert_eq!(filtered(node(), open(libc::O_RDONLY, 0o6755)), Outcome::Done, "the mode does not count");
    assert_eq!(filtered(node(), chmod(0o2755)), refused);
    assert_eq!(filtered(node(), chmod(0o1700)), Outcome::Done);
    assert_eq!(bare(chmod(0o6755)), Outcome::Done);
    assert_eq!(bare(open(libc::O_CREAT | libc::O_WRONLY, 0o4755)), Outcome::Done);
    let device =
        [-100, path.as_ptr().addr().try_into().unwrap(), (libc::S_IFCHR | 0o600).into(), 0x103, 0, 0];
    assert_eq!(filtered(node(), || call("mknodat", device)), refused);
    let fifo = std::ffi::CString::new(directory.path().join("fifo").to_str().unwrap()).unwrap();
    let fifo = [-100, fifo.as_ptr().addr().try_into().unwrap(), (libc::S_IFIFO | 0o600).into(), 0, 0, 0];
    assert_eq!(filtered(node(), || call("mknodat", fifo)), Outcome::Done);
}

#[test]
fn nothing_is_typed_into_a_shared_terminal() {
    let pty = || {
        // SAFETY: opens a terminal of this test's own.
        let (_controller, mut terminal) = (0, 0);
        let mut controller = 0;
        // SAFETY: two live integers; no name, settings or size.
        let made = unsafe {
            libc::openpty(
                &raw mut controller,
                &raw mut terminal,
                std::ptr::null_mut(),
                std::ptr::null(),
                std::ptr::null(),
            )
        };
        if made != 0 {
            return Err(0);
        }
        // SAFETY: makes it the controlling terminal of this child's new session.
        if unsafe { libc::setsid() } < 0 || unsafe { libc::ioctl(terminal, libc::TIOCSCTTY, 0) } < 0 {
            return Err(last_errno());
        }
        // SAFETY: reads one byte from a live string.
        if unsafe { libc::ioctl(terminal, libc::TIOCSTI, c"x".as_ptr()) } < 0 {
            Err(last_errno())
        } else {
            Ok(())
        }
    };
    // Since Linux 6.2 the sysctl dev.tty.legacy_tiocsti may refuse it with EIO.
    assert!(matches!(bare(pty), Outcome::Done | Outcome::Refused(libc::EIO)));
    assert_eq!(filtered(node(), pty), Outcome::Refused(libc::EPERM));
    let unknown_request = || call("ioctl", [0, 0x1234_5678, 0, 0, 0, 0]);
    assert_eq!(filtered(node(), unknown_request), Outcome::Refused(libc::ENOTTY));
}

#[test]
fn nothing_is_loaded_into_a_socket() {
    let set = |level: i32, option: i32| {
        move || {
            // SAFETY: takes numbers.
            let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM, 0) };
            // No value: the kernel answers EFAULT or EINVAL once it has looked at the option.
            call("setsockopt", [socket.into(), level.into(), option.into(), 0, 4, 0])
        }
    };
    let options = [
        (libc::SOL_SOCKET, libc::SO_ATTACH_FILTER),
        (libc::SOL_SOCKET, libc::SO_ATTACH_BPF),
        (libc::SOL_TCP, libc::TCP_ULP),
        (libc::SOL_UDP, 100),
    ];
    for (level, option) in options {
        assert_ne!(
            bare(set(level, option)),
            Outcome::Refused(libc::EPERM),
            "{level} {option} without the filter"
        );
        assert_eq!(filtered(node(), set(level, option)), Outcome::Refused(libc::EPERM), "{level} {option}");
    }
    let ordinary = set(libc::SOL_SOCKET, libc::SO_REUSEADDR);
    assert_eq!(filtered(node(), ordinary), bare(ordinary));
}

#[test]
fn a_filter_cannot_be_added_after_the_stack() {
    assert_eq!(filtered(node(), || call("seccomp", [1, 0, 0, 0, 0, 0])), Outcome::Refused(libc::EPERM));
    assert_eq!(filtered(node(), || call("prctl", [22, 2, 0, 0, 0, 0])), Outcome::Refused(libc::EINVAL));
}

#[test]
fn a_stack_that_leaves_seccomp_open_is_not_believed() {
    let only_kill: Vec<_> = node().iter().filter(|filter| filter.name == "kill").cloned().collect();
    let install = move || {
        support::no_new_privs();
        match confine::seccomp::install(&only_kill) {
            Err(confine::seccomp::SeccompError::Unproven(_)) => Ok(()),
            _ => Err(1),
        }
    };
    assert_eq!(bare(install), Outcome::Done);
}

#[test]
fn ordinary_programs_run() {
    let scripts = [
        "ls -l /usr/bin >/dev/null && (sleep 0.01 & wait) && echo a | tr a b | grep -q b",
        "d=$(mktemp -d) && cd $d && touch a && cp -a a b && mv b c && ln -s c d && mkfifo p && chmod 640 c && tar cf t.tar . && rm -r $d",
        "command -v git >/dev/null || exit 0; d=$(mktemp -d) && cd $d && git init -q . && echo x >f && git add f && \
         git -c user.name=n -c user.email=e@x commit -qm m && git log --oneline && git gc -q && rm -rf $d",
        "command -v python3 >/dev/null || exit 0; python3 -c 'import subprocess,threading,socket,tempfile,os;\
         t=threading.Thread(target=print);t.start();t.join();subprocess.run([\"true\"],check=True);socket.socket();\
         tempfile.TemporaryFile().write(b\"x\");os.sched_getaffinity(0);os.getrandom(8)'",
        "command -v curl >/dev/null || exit 0; curl -s --max-time 5 file:///etc/passwd >/dev/null",
        "command -v bash >/dev/null || exit 0; bash -c 'ulimit -n 100; set -m; sleep 0.01 & wait'",
    ];
    for name in ["node", "generic"] {
        let filters = support::filters(name);
        for script in scripts {
            let (status, output) = program(&filters, script);
            assert_eq!(status, Some(0), "{name}: {script}\n{output}");
        }
    }
}
