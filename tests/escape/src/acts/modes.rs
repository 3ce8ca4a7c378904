//! Making a program that gives more rights than its caller has: setuid and setgid bits, file capabilities.

use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use crate::act::{Act, Args, Control, Failure, Prepare as _, Verdict, blocked};
use crate::bytes::Bytes;
use crate::sys::{self, NULL, Word};

const AT_CWD: Word<'static> = Word::N(libc::AT_FDCWD as i64);
const SETUID: i64 = 0o4755;
const SETGID: i64 = 0o2775;

/// How the bits are asked for.
#[derive(Clone, Copy)]
enum Way {
    Chmod,
    Fchmod,
    Fchmodat,
    Fchmodat2,
    Openat,
    Openat2,
    Creat,
    Mknodat,
    SetgidFile,
    SetgidFolder,
}

fn raise(args: &Args<'_>, way: Way) -> Verdict {
    let path = format!("{}/escape-mode-{}", args.text_or(0, "."), std::process::id());
    prepare(&path, way)?;
    let asked = ask(&path, way);
    let mode = fs::symlink_metadata(&path).map(|meta| meta.mode());
    let removed =
        if matches!(way, Way::SetgidFolder) { fs::remove_dir(&path) } else { fs::remove_file(&path) };
    asked?;
    removed.prepared("removing the file")?;
    let mode = mode.prepared("reading the mode")?;
    if mode & 0o6000 == 0 {
        return blocked(format!("the call returned 0 but the mode is {mode:o}"));
    }
    Ok(format!("mode is {:o}", mode & 0o7777))
}

fn prepare(path: &str, way: Way) -> Result<(), Failure> {
    match way {
        Way::Openat | Way::Openat2 | Way::Creat | Way::Mknodat => Ok(()),
        Way::SetgidFolder => fs::create_dir(path).prepared("making a folder"),
        Way::Chmod | Way::Fchmod | Way::Fchmodat | Way::Fchmodat2 | Way::SetgidFile => {
            let file = File::create(path).prepared("making a file")?;
            file.set_permissions(fs::Permissions::from_mode(0o644)).prepared("giving it a plain mode")
        }
    }
}

fn ask(path: &str, way: Way) -> Result<i64, Failure> {
    let name = Args(&[path.to_owned()]).path(0)?;
    let text = Word::Text(&name);
    let flags = i64::from(libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY);
    let file_and_mode = i64::from(libc::S_IFREG) | SETUID;
    let done = match way {
        Way::Chmod => sys::call(libc::SYS_chmod, [text, Word::N(SETUID)]),
        Way::Fchmod => {
            let file = File::open(path).prepared("opening the file")?;
            sys::call(libc::SYS_fchmod, [Word::N(i64::from(file.as_raw_fd())), Word::N(SETUID)])
        }
        Way::Fchmodat => sys::call(libc::SYS_fchmodat, [AT_CWD, text, Word::N(SETUID)]),
        Way::Fchmodat2 => sys::call(libc::SYS_fchmodat2, [AT_CWD, text, Word::N(SETUID), NULL]),
        Way::Openat => sys::call(libc::SYS_openat, [AT_CWD, text, Word::N(flags), Word::N(SETUID)]),
        Way::Openat2 => {
            let how = Bytes::new().i64(flags).i64(SETUID).u64(0).done();
            sys::call(libc::SYS_openat2, [AT_CWD, text, Word::In(&how), Word::N(24)])
        }
        Way::Creat => sys::call(libc::SYS_creat, [text, Word::N(SETUID)]),
        Way::Mknodat => sys::call(libc::SYS_mknodat, [AT_CWD, text, Word::N(file_and_mode), NULL]),
        Way::SetgidFile | Way::SetgidFolder => sys::call(libc::SYS_chmod, [text, Word::N(SETGID)]),
    };
    Ok(done?)
}

/// `security.capability`, version 2, permitting everything with the effective bit set.
fn file_capability(args: &Args<'_>) -> Verdict {
    const REVISION_2_EFFECTIVE: u32 = 0x0200_0001;
    let path = format!("{}/escape-fcap-{}", args.text_or(0, "."), std::process::id());
    File::create(&path).prepared("making a file")?;
    let value = Bytes::new().u32(REVISION_2_EFFECTIVE).u32(u32::MAX).u32(0).u32(u32::MAX).u32(0).done();
    let name = Args(std::slice::from_ref(&path)).path(0)?;
    let words = [Word::Text(&name), Word::Text(c"security.capability"), Word::In(&value), Word::N(20), NULL];
    let done = sys::call(libc::SYS_setxattr, words);
    fs::remove_file(&path).prepared("removing the file")?;
    done?;
    Ok("a file of its own carries every capability".into())
}

fn device(args: &Args<'_>, kind: u32, major: u32, minor: u32) -> Verdict {
    let path = format!("{}/escape-node-{}", args.text_or(0, "."), std::process::id());
    let name = Args(std::slice::from_ref(&path)).path(0)?;
    let words = [
        AT_CWD,
        Word::Text(&name),
        Word::N(i64::from(kind | 0o600)),
        Word::bits(libc::makedev(major, minor)),
    ];
    sys::call(libc::SYS_mknodat, words)?;
    fs::remove_file(&path).prepared("removing the node")?;
    Ok(format!("made device {major}:{minor}"))
}

const BITS: &str = "seccomp";
const NODES: &str = "capabilities seccomp devices";

/// This area's acts. A filter that misses one way misses the whole rule, so every way is an act.
#[rustfmt::skip]
pub const ACTS: &[Act] = &[
    Act { id: "suid-chmod", about: "set the setuid bit by chmod", layers: BITS, args: "[DIR]", control: Control::User, run: |a| raise(a, Way::Chmod) },
    Act { id: "suid-fchmod", about: "set the setuid bit by fchmod", layers: BITS, args: "[DIR]", control: Control::User, run: |a| raise(a, Way::Fchmod) },
    Act { id: "suid-fchmodat", about: "set the setuid bit by fchmodat", layers: BITS, args: "[DIR]", control: Control::User, run: |a| raise(a, Way::Fchmodat) },
    Act { id: "suid-fchmodat2", about: "set the setuid bit by fchmodat2 (Linux 6.6)", layers: BITS, args: "[DIR]", control: Control::User, run: |a| raise(a, Way::Fchmodat2) },
    Act { id: "suid-openat", about: "make a setuid file by openat with a mode", layers: BITS, args: "[DIR]", control: Control::User, run: |a| raise(a, Way::Openat) },
    Act { id: "suid-openat2", about: "make a setuid file by openat2, whose mode no filter can see", layers: "seccomp no-new-privs mounts", args: "[DIR]", control: Control::User, run: |a| raise(a, Way::Openat2) },
    Act { id: "suid-creat", about: "make a setuid file by creat", layers: BITS, args: "[DIR]", control: Control::User, run: |a| raise(a, Way::Creat) },
    Act { id: "suid-mknodat", about: "make a setuid file by mknodat", layers: BITS, args: "[DIR]", control: Control::User, run: |a| raise(a, Way::Mknodat) },
    Act { id: "sgid-chmod", about: "set the setgid bit of a file", layers: BITS, args: "[DIR]", control: Control::User, run: |a| raise(a, Way::SetgidFile) },
    Act { id: "sgid-folder", about: "set the setgid bit of a folder", layers: BITS, args: "[DIR]", control: Control::User, run: |a| raise(a, Way::SetgidFolder) },
    Act { id: "file-capability", about: "give a file of its own every capability", layers: "capabilities seccomp", args: "[DIR]", control: Control::Root, run: file_capability },
    Act { id: "mknod-char", about: "make a character device node (1:3)", layers: NODES, args: "[DIR]", control: Control::Root, run: |a| device(a, libc::S_IFCHR, 1, 3) },
    Act { id: "mknod-mem", about: "make a node for the machine's memory (1:1)", layers: NODES, args: "[DIR]", control: Control::Root, run: |a| device(a, libc::S_IFCHR, 1, 1) },
    Act { id: "mknod-block", about: "make a node for a disk (8:0)", layers: NODES, args: "[DIR]", control: Control::Root, run: |a| device(a, libc::S_IFBLK, 8, 0) },
];
