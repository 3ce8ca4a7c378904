//! Tries an act in a child of this process, confined or not, and says how it ended.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its part; a panic is a failed test")]

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use confine::Sources;
use model::BpfFilter;

/// How an act ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It succeeded.
    Done,
    /// It was answered with this error number.
    Refused(i32),
    /// The process was killed by this signal.
    Killed(i32),
}

/// The policies of this source tree.
pub fn sources(kind: &str) -> Sources {
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    Sources::read(&policies.join(kind)).unwrap()
}

/// The filters of a shipped policy.
pub fn filters(name: &str) -> Vec<BpfFilter> {
    confine::seccomp::compile(&sources("seccomp"), name).unwrap()
}

/// The act without any confinement: the positive control.
pub fn bare(act: impl FnOnce() -> Result<(), i32>) -> Outcome {
    in_child(act)
}

/// The act under a stack of filters.
pub fn filtered(filters: &[BpfFilter], act: impl FnOnce() -> Result<(), i32>) -> Outcome {
    in_child(|| {
        no_new_privs();
        confine::seccomp::install(filters).unwrap();
        act()
    })
}

/// One system call with these arguments.
pub fn call(name: &str, arguments: [i64; 6]) -> Result<(), i32> {
    let number = confine::seccomp::names::call(name).unwrap();
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: only used with arguments that are numbers or addresses the kernel refuses.
    let answer = unsafe { libc::syscall(i64::from(number), a, b, c, d, e, f) };
    if answer >= 0 { Ok(()) } else { Err(last_errno()) }
}

/// `errno` of the last call.
pub fn last_errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// What the filters need from the unit.
pub fn no_new_privs() {
    // SAFETY: changes one flag of this process.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, 0);
}

/// Runs a program under a stack of filters; its exit status and output.
pub fn program(filters: &[BpfFilter], script: &str) -> (Option<i32>, String) {
    let filters = filters.to_vec();
    #[allow(clippy::disallowed_methods, reason = "a test of how programs fare")]
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(script);
    // SAFETY: the closure only makes system calls and allocates; glibc's allocator is usable after fork.
    unsafe {
        command.pre_exec(move || {
            no_new_privs();
            confine::seccomp::install(&filters).map_err(std::io::Error::other)
        })
    };
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.code(), text.into_owned())
}

/// Runs an act in a forked child; a panic there counts as its own kind of failure.
pub fn in_child(act: impl FnOnce() -> Result<(), i32>) -> Outcome {
    // SAFETY: the child runs the closure and leaves with _exit; glibc's allocator is usable after fork.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let code = match std::panic::catch_unwind(std::panic::AssertUnwindSafe(act)) {
            Ok(Ok(())) => 0,
            Ok(Err(errno)) => errno,
            Err(_) => 255,
        };
        // SAFETY: ends this child only, without running what the parent registered.
        unsafe { libc::_exit(code) };
    }
    assert!(child > 0, "fork: errno {}", last_errno());
    let mut status = 0;
    // SAFETY: waits for the child made above.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    if libc::WIFSIGNALED(status) {
        return Outcome::Killed(libc::WTERMSIG(status));
    }
    match libc::WEXITSTATUS(status) {
        0 => Outcome::Done,
        255 => panic!("the child panicked"),
        errno => Outcome::Refused(errno),
    }
}
