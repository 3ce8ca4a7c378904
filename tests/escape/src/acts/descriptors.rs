//! Descriptors that only one thread has: whoever asks the process which sockets it holds would not see them.

use crate::act::{Act, Control, Verdict};
use crate::acts::reach;
use crate::sys::{self, Word};

/// A thread in all but its descriptors.
const APART: i32 =
    libc::CLONE_VM | libc::CLONE_FS | libc::CLONE_SIGHAND | libc::CLONE_THREAD | libc::CLONE_SYSVSEM;

fn thread() -> Verdict {
    let thread = sys::thread_that_ends(APART)?;
    Ok(format!("thread {thread} ran with descriptors of its own"))
}

fn unshare() -> Verdict {
    reach(libc::SYS_unshare, [Word::N(i64::from(libc::CLONE_FILES))], &[])
}

/// Closes nothing: no descriptor is as large.
fn close_range() -> Verdict {
    let none = i64::from(i32::MAX);
    reach(
        libc::SYS_close_range,
        [Word::N(none), Word::N(none), Word::N(i64::from(libc::CLOSE_RANGE_UNSHARE))],
        &[],
    )
}

/// This area's acts.
#[rustfmt::skip]
pub const ACTS: &[Act] = &[
    Act { id: "thread-descriptors", about: "start a thread with descriptors of its own", layers: "seccomp", args: "", control: Control::User, run: |_| thread() },
    Act { id: "unshare-descriptors", about: "take a thread's descriptors apart", layers: "seccomp", args: "", control: Control::User, run: |_| unshare() },
    Act { id: "close-range-unshare", about: "take a thread's descriptors apart by close_range", layers: "seccomp", args: "", control: Control::User, run: |_| close_range() },
];
