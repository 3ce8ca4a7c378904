//! The only `unsafe` code of this program: system calls by number with borrowed memory, `fork`, and the two foreign
//! ways into the kernel (x32, i386) that no library offers.

use std::ffi::{CStr, c_long};
use std::os::fd::{FromRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid};

/// One argument of a system call. Memory is borrowed, so it outlives the call.
#[derive(Debug)]
pub enum Word<'a> {
    /// A number, a flag set, a file descriptor.
    N(i64),
    /// A path or another text ending in zero.
    Text(&'a CStr),
    /// Memory that the kernel reads.
    In(&'a [u8]),
    /// Memory that the kernel writes.
    Out(&'a mut [u8]),
}

impl Word<'_> {
    /// A set of 64 bits, as it is.
    pub fn bits(bits: u64) -> Self {
        Self::N(i64::from_ne_bytes(bits.to_ne_bytes()))
    }

    fn raw(self) -> c_long {
        match self {
            Self::N(number) => number,
            Self::Text(text) => text.as_ptr() as c_long,
            Self::In(bytes) => bytes.as_ptr() as c_long,
            Self::Out(bytes) => bytes.as_mut_ptr() as c_long,
        }
    }
}

/// A pointer that points nowhere, or a zero.
pub const NULL: Word<'static> = Word::N(0);

/// Makes a system call by its number.
///
/// Callers pass calls whose memory arguments are `Text`, `In` or `Out` of the size the call expects; calls that
/// change this process's own address space (`munmap`, `brk`) are not to be made through it.
pub fn call<const N: usize>(number: c_long, words: [Word<'_>; N]) -> Result<i64, Errno> {
    let mut raw = [0; 6];
    for (slot, word) in raw.iter_mut().zip(words) {
        *slot = word.raw();
    }
    let [a, b, c, d, e, f] = raw;
    // SAFETY: every pointer comes from memory borrowed for the length of the call (see above).
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    Errno::result(result)
}

/// A file descriptor that a call returned, closed when dropped.
pub fn owned(fd: i64) -> Result<OwnedFd, Errno> {
    let fd = i32::try_from(fd).map_err(|_| Errno::EBADF)?;
    // SAFETY: callers pass a descriptor which the kernel has just handed out to them and to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A close-on-exec pipe: reader, writer.
pub fn pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    let mut ends = [0; 8];
    call(libc::SYS_pipe2, [Word::Out(&mut ends), Word::N(i64::from(libc::O_CLOEXEC))])?;
    let [a, b, c, d, e, f, g, h] = ends;
    let end = |bytes| owned(i64::from(i32::from_ne_bytes(bytes)));
    Ok((end([a, b, c, d])?, end([e, f, g, h])?))
}

/// Runs `work` in a child that exits with its result.
pub fn fork(work: impl FnOnce() -> i32) -> Result<Pid, Errno> {
    // SAFETY: this program has one thread, so the child may do everything the parent may.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => leave(work()),
    }
}

/// Runs `work` in a child and waits for it.
pub fn in_child(work: impl FnOnce() -> i32) -> Result<WaitStatus, Errno> {
    waitpid(fork(work)?, None)
}

/// `clone` with namespace flags, like `fork` otherwise; the child ends at once with 0.
pub fn clone_and_end(flags: i64) -> Result<WaitStatus, Errno> {
    let pid = call(libc::SYS_clone, [Word::N(flags | i64::from(libc::SIGCHLD)), NULL, NULL, NULL, NULL])?;
    reap_or_leave(pid)
}

/// `clone3` with the given `struct clone_args`; the child ends at once with 0.
pub fn clone3_and_end(args: &[u8]) -> Result<WaitStatus, Errno> {
    let length = i64::try_from(args.len()).map_err(|_| Errno::E2BIG)?;
    let pid = call(libc::SYS_clone3, [Word::In(args), Word::N(length)])?;
    reap_or_leave(pid)
}

/// A thread made with these flags, which ends at once.
pub fn thread_that_ends(flags: i32) -> Result<i32, Errno> {
    const STACK: usize = 64 << 10;
    extern "C" fn end(_: *mut libc::c_void) -> i32 {
        0
    }
    // Never given back: nothing tells when the thread no longer needs it.
    let stack = Vec::leak(vec![0_u128; STACK / size_of::<u128>()]);
    // SAFETY: the stack is its own for ever and aligned; it touches nothing but that, and ends by exit(2), which ends a thread alone.
    let answer =
        unsafe { libc::clone(end, stack.as_mut_ptr_range().end.cast(), flags, std::ptr::null_mut()) };
    Errno::result(answer)
}

fn reap_or_leave(pid: i64) -> Result<WaitStatus, Errno> {
    match i32::try_from(pid).map_err(|_| Errno::ERANGE)? {
        0 => leave(0),
        pid => waitpid(Pid::from_raw(pid), None),
    }
}

/// Ends this process without running anything registered for exit.
pub fn leave(code: i32) -> ! {
    // SAFETY: _exit takes any number and does not return.
    unsafe { libc::_exit(code) }
}

/// `getpid` by the x32 table; the kernel answers ENOSYS where it has none.
pub fn getpid_x32() -> Result<i64, Errno> {
    const X32: c_long = 0x4000_0000;
    call(libc::SYS_getpid | X32, [])
}

/// A system call without arguments through `int 0x80`, which is numbered by the i386 table whatever the caller is.
pub fn int80(number: i32) -> i32 {
    let result: i32;
    // SAFETY: an i386 call without pointers touches no memory of ours; int 0x80 from 64-bit code clears r8 to r11.
    unsafe {
        std::arch::asm!("int 0x80", inlateout("eax") number => result,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _, options(nostack));
    }
    result
}
