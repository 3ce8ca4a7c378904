//! Rebuilding the file tree: the old and the new mount calls, pivot_root, chroot.

use std::fs;

use nix::errno::Errno;

use crate::act::{Act, Args, Control, Failure, Prepare as _, Verdict};
use crate::acts::reach;
use crate::bytes::Bytes;
use crate::sys::{self, NULL, Word};

const AT_CWD: Word<'static> = Word::N(libc::AT_FDCWD as i64);
const NOWHERE: Word<'static> = Word::Text(c"/nonexistent/escape-probe");
/// A folder that is nowhere a mount point, so unmounting it asks for the right and then fails with EINVAL.
const NO_MOUNT_POINT: Word<'static> = Word::Text(c"/proc/self/task");

/// A folder to mount on: the given one, or a new one that is removed afterwards.
fn with_folder(args: &Args<'_>, act: impl FnOnce(Word<'_>) -> Verdict) -> Verdict {
    let given = args.text(0).to_owned();
    let path = if given.is_empty() { format!("escape-mount-{}", std::process::id()) } else { given.clone() };
    if given.is_empty() {
        fs::create_dir(&path).prepared("making a folder to mount on")?;
    }
    let name = Args(std::slice::from_ref(&path)).path(0)?;
    let verdict = act(Word::Text(&name));
    if verdict.is_ok() {
        let detach = Word::N(i64::from(libc::MNT_DETACH));
        sys::call(libc::SYS_umount2, [Word::Text(&name), detach]).prepared("unmounting again")?;
    }
    if given.is_empty() {
        fs::remove_dir(&path).prepared("removing the folder")?;
    }
    verdict
}

fn mount(args: &Args<'_>, source: &std::ffi::CStr, kind: &std::ffi::CStr, flags: u64) -> Verdict {
    let flags = Word::bits(flags);
    with_folder(args, |there| {
        reach(libc::SYS_mount, [Word::Text(source), there, Word::Text(kind), flags, NULL], &[])
    })
}

/// Makes a read-only mount writable. It would not be put back, so the control uses a mount of its own.
fn remount(args: &Args<'_>) -> Verdict {
    let path = args.path(0)?;
    let flags = Word::bits(libc::MS_REMOUNT | libc::MS_BIND);
    reach(libc::SYS_mount, [NULL, Word::Text(&path), NULL, flags, NULL], &[])
}

fn unmount(args: &Args<'_>) -> Verdict {
    let path = args.path(0)?;
    let there = if args.text(0).is_empty() { NO_MOUNT_POINT } else { Word::Text(&path) };
    reach(libc::SYS_umount2, [there, NULL], &[Errno::EINVAL])
}

fn attributes(_: &Args<'_>) -> Verdict {
    let none = Bytes::new().u64(0).u64(1).u64(0).u64(0).done();
    let words = [AT_CWD, NO_MOUNT_POINT, NULL, Word::In(&none), Word::N(32)];
    reach(libc::SYS_mount_setattr, words, &[Errno::EINVAL])
}

/// A detached copy of a tree, without the mounts that hide parts of it.
fn open_tree(args: &Args<'_>) -> Verdict {
    const OPEN_TREE_CLONE: i64 = 1;
    let path = args.text_or(0, "/").to_owned();
    let name = Args(&[path]).path(0)?;
    reach(libc::SYS_open_tree, [AT_CWD, Word::Text(&name), Word::N(OPEN_TREE_CLONE)], &[])
}

fn move_mount(_: &Args<'_>) -> Verdict {
    reach(libc::SYS_move_mount, [AT_CWD, NOWHERE, AT_CWD, NOWHERE, NULL], &[Errno::ENOENT])
}

/// LISTMOUNT of the whole namespace (Linux 6.8), by its number because libc does not name it yet.
fn list_mounts(_: &Args<'_>) -> Verdict {
    const LISTMOUNT: libc::c_long = 458;
    let request = Bytes::new().u32(24).u32(0).u64(u64::MAX).u64(0).done();
    let mut ids = [0; 512];
    reach(LISTMOUNT, [Word::In(&request), Word::Out(&mut ids), Word::N(64), NULL], &[])
}

/// Into the present root: harmless, and asks for the same right.
fn chroot(_: &Args<'_>) -> Verdict {
    reach(libc::SYS_chroot, [Word::Text(c"/")], &[])
}

fn overlay(args: &Args<'_>) -> Result<String, Failure> {
    mount(args, c"overlay", c"overlay", 0).or_else(|failure| match failure {
        // Without its options overlay answers EINVAL, after the right was checked.
        Failure::Blocked(errno, _) if errno == "EINVAL" => Ok("past the permission check".into()),
        other => Err(other),
    })
}

const MOUNT: &str = "capabilities seccomp";

/// This area's acts.
#[rustfmt::skip]
pub const ACTS: &[Act] = &[
    Act { id: "mount-tmpfs", about: "mount a file system of its own", layers: MOUNT, args: "[DIR]", control: Control::Root, run: |a| mount(a, c"escape", c"tmpfs", 0) },
    Act { id: "mount-bind", about: "mount a folder over another", layers: MOUNT, args: "[DIR]", control: Control::Root, run: |a| mount(a, c"/usr", c"", libc::MS_BIND) },
    Act { id: "mount-proc", about: "mount a fresh /proc, without its restrictions", layers: MOUNT, args: "[DIR]", control: Control::Root, run: |a| mount(a, c"proc", c"proc", 0) },
    Act { id: "mount-cgroup", about: "mount the control groups", layers: MOUNT, args: "[DIR]", control: Control::Root, run: |a| mount(a, c"cgroup2", c"cgroup2", 0) },
    Act { id: "mount-overlay", about: "mount an overlay", layers: MOUNT, args: "[DIR]", control: Control::Root, run: overlay },
    Act { id: "remount", about: "make a read-only mount writable (not put back)", layers: MOUNT, args: "MOUNTPOINT", control: Control::Root, run: remount },
    Act { id: "umount", about: "unmount what hides something", layers: MOUNT, args: "[MOUNTPOINT]", control: Control::Root, run: unmount },
    Act { id: "mount-setattr", about: "change the attributes of a mount", layers: MOUNT, args: "", control: Control::Root, run: attributes },
    Act { id: "open-tree", about: "copy a tree without the mounts that hide parts of it", layers: MOUNT, args: "[PATH]", control: Control::Root, run: open_tree },
    Act { id: "move-mount", about: "attach a detached mount", layers: MOUNT, args: "", control: Control::Root, run: move_mount },
    Act { id: "fsopen", about: "begin a mount by the new calls", layers: MOUNT, args: "", control: Control::Root, run: |_| reach(libc::SYS_fsopen, [Word::Text(c"tmpfs"), NULL], &[]) },
    Act { id: "fspick", about: "pick a mount to change it by the new calls", layers: MOUNT, args: "", control: Control::Root, run: |_| reach(libc::SYS_fspick, [AT_CWD, NOWHERE, NULL], &[Errno::ENOENT]) },
    Act { id: "list-mounts", about: "list every mount by listmount (Linux 6.8)", layers: "seccomp", args: "", control: Control::User, run: list_mounts },
    Act { id: "pivot-root", about: "change the root of the file tree", layers: MOUNT, args: "", control: Control::Root, run: |_| reach(libc::SYS_pivot_root, [NOWHERE, NOWHERE], &[Errno::ENOENT]) },
    Act { id: "chroot", about: "change its own root", layers: MOUNT, args: "", control: Control::Root, run: chroot },
];
