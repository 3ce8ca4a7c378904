//! Reading what is not the tenant's: other tenants' data, sealed files, the host's own.

use std::ffi::CStr;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use nix::errno::Errno;

use crate::act::{Act, Args, Control, Prepare as _, Verdict, blocked};
use crate::acts::reach;
use crate::bytes::Bytes;
use crate::sys::{self, NULL, Word};

const AT_CWD: Word<'static> = Word::N(libc::AT_FDCWD as i64);
const MOST: u64 = 1024 * 1024;

/// Up to 1 MiB of a file, as text.
pub fn text_of(path: &str) -> Result<String, std::io::Error> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn read(args: &Args<'_>) -> Verdict {
    Ok(format!("read {} bytes", text_of(args.text(0))?.len()))
}

fn list(args: &Args<'_>) -> Verdict {
    let names: Vec<String> = fs::read_dir(args.text(0))?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into())
        .collect();
    if names.is_empty() {
        return blocked("an empty folder");
    }
    Ok(format!("{} entries: {}", names.len(), names.iter().take(5).cloned().collect::<Vec<_>>().join(" ")))
}

fn stat(args: &Args<'_>) -> Verdict {
    Ok(format!("it exists, {} bytes", fs::symlink_metadata(args.text(0))?.len()))
}

fn open(args: &Args<'_>, flags: i32) -> Verdict {
    let path = args.path(0)?;
    let flags = i64::from(flags | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY);
    reach(libc::SYS_openat, [AT_CWD, Word::Text(&path), Word::N(flags)], &[])
}

fn openat2(args: &Args<'_>) -> Verdict {
    let path = args.path(0)?;
    let how = Bytes::new().u64(0).u64(0).u64(0).done();
    reach(libc::SYS_openat2, [AT_CWD, Word::Text(&path), Word::In(&how), Word::N(24)], &[])
}

/// The lookup itself succeeded, but what the act wants to find there is missing.
fn find_in(args: &Args<'_>) -> Verdict {
    let (path, wanted) = (args.text(0), args.text(1));
    let text = text_of(path)?;
    match text.lines().find(|line| line.contains(wanted)) {
        Some(line) => Ok(format!("{path} tells: {}", line.chars().take(120).collect::<String>())),
        None => blocked(format!("{path} has {} bytes, none of them about {wanted}", text.len())),
    }
}

fn same_as(args: &Args<'_>) -> Verdict {
    let text = text_of(args.text(0))?;
    if text.trim() == args.text(1) { Ok("equal".into()) } else { blocked("another value") }
}

fn symlink_read(args: &Args<'_>) -> Verdict {
    let (target, at) = (args.text(0), args.text(1));
    symlink(target, at).prepared("making the link")?;
    let read = text_of(at);
    fs::remove_file(at).prepared("removing the link")?;
    Ok(format!("read {} bytes through a link", read?.len()))
}

fn hardlink(args: &Args<'_>) -> Verdict {
    fs::hard_link(args.text(0), args.text(1))?;
    let read = text_of(args.text(1));
    fs::remove_file(args.text(1)).prepared("removing the link")?;
    Ok(format!("linked, and read {} bytes through the link", read?.len()))
}

/// `/proc/self/fd` links of descriptors given at start: a directory or a socket of the host would be a way out.
fn inherited(_: &Args<'_>) -> Verdict {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")?.flatten() {
        let number = entry.file_name().to_string_lossy().parse::<i32>().unwrap_or(0);
        let target = fs::read_link(entry.path()).unwrap_or_default();
        // Our own: the report's pipe and the folder that is being read.
        let ours =
            target.starts_with("/proc") || (number < 6 && target.to_string_lossy().starts_with("pipe:"));
        if number > 2 && !ours {
            found.push(format!("{number} -> {}", target.display()));
        }
    }
    if found.is_empty() { blocked("only standard streams are open") } else { Ok(found.join(", ")) }
}

/// A handle for inode 2, which is the root folder on ext4: it names a file without any path.
fn open_by_handle(args: &Args<'_>) -> Verdict {
    let folder = File::open(args.text_or(0, ".")).prepared("opening a folder on the file system")?;
    let mut handle = Bytes::new().u32(8).i32(1).u32(2).u32(0).done();
    let fd = i64::from(std::os::fd::AsRawFd::as_raw_fd(&folder));
    reach(
        libc::SYS_open_by_handle_at,
        [Word::N(fd), Word::Out(&mut handle), Word::N(i64::from(libc::O_RDONLY))],
        &[Errno::ESTALE],
    )
}

fn name_to_handle(args: &Args<'_>) -> Verdict {
    let path = args.path(0)?;
    let mut handle = Bytes::new().u32(128).upto(8 + 128).done();
    let mut mount = [0; 4];
    let words = [AT_CWD, Word::Text(&path), Word::Out(&mut handle), Word::Out(&mut mount), NULL];
    reach(libc::SYS_name_to_handle_at, words, &[])
}

fn inotify(args: &Args<'_>) -> Verdict {
    let path = args.path(0)?;
    let fd = sys::call(libc::SYS_inotify_init1, [NULL]).prepared("inotify_init1")?;
    let events = Word::N(i64::from(libc::IN_ALL_EVENTS));
    reach(libc::SYS_inotify_add_watch, [Word::N(fd), Word::Text(&path), events], &[])
}

fn fanotify(_: &Args<'_>) -> Verdict {
    let class = i64::from(libc::FAN_CLASS_CONTENT);
    reach(libc::SYS_fanotify_init, [Word::N(class), Word::N(i64::from(libc::O_RDONLY))], &[])
}

/// Addresses in `/proc/kallsyms` are zeros for those who may not know them.
fn kallsyms(_: &Args<'_>) -> Verdict {
    let text = text_of("/proc/kallsyms")?;
    let real = text.lines().filter(|line| !line.starts_with("0000000000000000")).count();
    if real == 0 { blocked("every address is zero") } else { Ok(format!("{real} kernel addresses")) }
}

/// A path that climbs out of the working directory by `..` and by the process's own root link.
fn climb(args: &Args<'_>) -> Verdict {
    let path = args.text(0).trim_start_matches('/');
    let ups = "../".repeat(40);
    for way in
        [format!("{ups}{path}"), format!("/proc/self/root/{path}"), format!("/proc/self/cwd/{ups}{path}")]
    {
        if let Ok(text) = text_of(&way) {
            return Ok(format!("read {} bytes by {way}", text.len()));
        }
    }
    Err(fs::metadata(Path::new("/").join(path)).err().map_or(Errno::EACCES.into(), Into::into))
}

/// Makes a system call on a path, to which the caller may add words.
pub fn on_path(number: libc::c_long, path: &CStr, more: i64) -> Verdict {
    reach(number, [AT_CWD, Word::Text(path), Word::N(more), NULL], &[])
}

const HIDDEN: &str = "mounts account landlock";

/// This area's acts.
#[rustfmt::skip]
pub const ACTS: &[Act] = &[
    Act { id: "read", about: "read a file that is not the tenant's", layers: HIDDEN, args: "PATH", control: Control::Root, run: read },
    Act { id: "list-folder", about: "list a folder that is not the tenant's", layers: HIDDEN, args: "PATH", control: Control::Root, run: list },
    Act { id: "stat", about: "learn that a path exists", layers: "mounts account", args: "PATH", control: Control::Root, run: stat },
    Act { id: "open", about: "open a file or device for reading", layers: HIDDEN, args: "PATH", control: Control::Root, run: |a| open(a, libc::O_RDONLY) },
    Act { id: "open-write", about: "open a file or device for writing", layers: HIDDEN, args: "PATH", control: Control::Root, run: |a| open(a, libc::O_WRONLY) },
    Act { id: "open-path", about: "hold a file by O_PATH, which needs no right to read it", layers: HIDDEN, args: "PATH", control: Control::Root, run: |a| open(a, libc::O_PATH) },
    Act { id: "openat2", about: "open a file through openat2 (older filters do not know the call)", layers: HIDDEN, args: "PATH", control: Control::Root, run: openat2 },
    Act { id: "climb", about: "read a file by climbing with .. and /proc/self/root", layers: HIDDEN, args: "PATH", control: Control::Root, run: climb },
    Act { id: "find-in", about: "find a name (another tenant's) in a readable file", layers: "mounts proc", args: "PATH TEXT", control: Control::Root, run: find_in },
    Act { id: "same-as", about: "learn a value of the host, such as its machine-id, from a file", layers: "mounts", args: "PATH TEXT", control: Control::Root, run: same_as },
    Act { id: "symlink-read", about: "read a foreign file through a symbolic link of one's own", layers: HIDDEN, args: "PATH AT", control: Control::Root, run: symlink_read },
    Act { id: "hardlink", about: "make a hard link to a foreign file and read through it", layers: HIDDEN, args: "PATH AT", control: Control::Root, run: hardlink },
    Act { id: "inherited-fds", about: "find a descriptor left open by whoever started the program", layers: "unit", args: "", control: Control::User, run: inherited },
    Act { id: "open-by-handle", about: "open a file of the host by its inode number, without a path", layers: "capabilities seccomp", args: "[DIR]", control: Control::Root, run: open_by_handle },
    Act { id: "name-to-handle", about: "take a file handle of a foreign path", layers: "seccomp mounts", args: "PATH", control: Control::Root, run: name_to_handle },
    Act { id: "inotify", about: "watch what happens to a foreign file", layers: HIDDEN, args: "PATH", control: Control::Root, run: inotify },
    Act { id: "fanotify", about: "watch and veto every file access of the host", layers: "seccomp capabilities", args: "", control: Control::Root, run: fanotify },
    Act { id: "kallsyms", about: "read kernel addresses from /proc/kallsyms", layers: "proc mounts capabilities", args: "", control: Control::Root, run: kallsyms },
];
