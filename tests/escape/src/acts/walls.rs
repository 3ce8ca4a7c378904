//! Changing what must stay as it is: the cell's own sealed files and policy, and any file of the host.
//! Every act puts back what it changed, so that the positive control leaves its target as it was.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, symlink};
use std::path::Path;

use nix::errno::Errno;

use crate::act::{Act, Args, Control, Prepare as _, Verdict};
use crate::acts::files::{on_path, text_of};
use crate::acts::reach;
use crate::sys::{self, Word};

const AT_CWD: Word<'static> = Word::N(libc::AT_FDCWD as i64);

/// Opens for writing and, where the file can be read, writes its first byte again.
fn write(args: &Args<'_>) -> Verdict {
    let path = args.text(0);
    let file = OpenOptions::new().write(true).open(path)?;
    let mut first = [0];
    let readable = fs::File::open(path).and_then(|file| file.read_at(&mut first, 0)).unwrap_or(0) == 1;
    if readable {
        file.write_at(&first, 0)?;
    }
    Ok(if readable { "opened for writing and wrote its first byte again" } else { "opened for writing" }
        .into())
}

/// For files whose write is the effect (`/proc/sys`, `/sys`, cgroup files): writes the present value again.
fn rewrite(args: &Args<'_>) -> Verdict {
    let path = args.text(0);
    let value = text_of(path).unwrap_or_default();
    let value = if args.text(1).is_empty() { value.as_str() } else { args.text(1) };
    OpenOptions::new().write(true).open(path)?.write_all(value.as_bytes())?;
    Ok(format!("wrote {:?}", value.trim()))
}

fn create(args: &Args<'_>) -> Verdict {
    let path = args.text(0);
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(b"escape-probe\n")?;
    fs::remove_file(path).prepared("removing what was made")?;
    Ok("made, written and removed".into())
}

fn mkdir(args: &Args<'_>) -> Verdict {
    fs::create_dir(args.text(0))?;
    fs::remove_dir(args.text(0)).prepared("removing what was made")?;
    Ok("made and removed".into())
}

fn unlink(args: &Args<'_>) -> Verdict {
    fs::remove_file(args.text(0))?;
    Ok("removed".into())
}

fn rename(from: &Path, to: &Path) -> Verdict {
    fs::rename(from, to)?;
    fs::rename(to, from).prepared("renaming back")?;
    Ok(format!("renamed to {} and back", to.display()))
}

/// Moving a folder away and putting another in its place changes a sealed file without touching it.
fn rename_parent(args: &Args<'_>) -> Verdict {
    let parent = Path::new(args.text(0)).parent().unwrap_or(Path::new("/"));
    rename(parent, &parent.with_extension("escape"))
}

fn exchange(args: &Args<'_>) -> Verdict {
    let (one, other) = (args.path(0)?, args.path(1)?);
    let swap = || {
        let flags = Word::N(i64::from(libc::RENAME_EXCHANGE));
        sys::call(libc::SYS_renameat2, [AT_CWD, Word::Text(&one), AT_CWD, Word::Text(&other), flags])
    };
    swap()?;
    swap().prepared("exchanging back")?;
    Ok("exchanged with a file of its own, and back".into())
}

/// To its present length: the right is asked for all the same.
fn truncate(args: &Args<'_>) -> Verdict {
    let length = fs::metadata(args.text(0))?.len();
    let path = args.path(0)?;
    reach(libc::SYS_truncate, [Word::Text(&path), Word::bits(length)], &[])
}

fn chmod(args: &Args<'_>) -> Verdict {
    let mode = fs::metadata(args.text(0))?.mode() & 0o7777;
    on_path(libc::SYS_fchmodat, &args.path(0)?, i64::from(mode))
}

fn chown(args: &Args<'_>) -> Verdict {
    let meta = fs::metadata(args.text(0))?;
    let wanted: u32 = if args.text(1).is_empty() { meta.uid() } else { args.number(1)? };
    std::os::unix::fs::chown(args.text(0), Some(wanted), None)?;
    std::os::unix::fs::chown(args.text(0), Some(meta.uid()), None).prepared("giving it back")?;
    Ok(format!("owner set to {wanted}, and back to {}", meta.uid()))
}

fn utimes(args: &Args<'_>) -> Verdict {
    let path = args.path(0)?;
    on_path(libc::SYS_utimensat, &path, 0)
}

fn setxattr(args: &Args<'_>) -> Verdict {
    let path = args.path(0)?;
    let done = reach(
        libc::SYS_setxattr,
        [Word::Text(&path), Word::Text(c"user.escape"), Word::In(b"x"), Word::N(1), Word::N(0)],
        &[Errno::EOPNOTSUPP],
    )?;
    sys::call(libc::SYS_removexattr, [Word::Text(&path), Word::Text(c"user.escape")]).unwrap_or_default();
    Ok(done)
}

fn plant_symlink(args: &Args<'_>) -> Verdict {
    symlink(args.text(0), args.text(1))?;
    Ok("planted; what root does with it is judged".into())
}

fn plant_hardlink(args: &Args<'_>) -> Verdict {
    fs::hard_link(args.text(0), args.text(1))?;
    Ok("planted; what root does with it is judged".into())
}

/// A name of one's own in front of a sealed file: bind, remount and overlay need rights that `mount` tests; this
/// one asks whether a file can be made beside a sealed one.
fn beside(args: &Args<'_>) -> Verdict {
    let path = format!("{}.escape", args.text(0));
    create(&Args(&[path]))
}

const SEALED: &str = "mounts account landlock";

/// This area's acts.
#[rustfmt::skip]
pub const ACTS: &[Act] = &[
    Act { id: "write", about: "write into a sealed or foreign file", layers: SEALED, args: "PATH", control: Control::Root, run: write },
    Act { id: "rewrite", about: "write a setting of the kernel (/proc/sys, /sys, a cgroup file)", layers: SEALED, args: "PATH [VALUE]", control: Control::Root, run: rewrite },
    Act { id: "create", about: "make a file where a service of the host would pick it up (cron, units, linger)", layers: SEALED, args: "PATH", control: Control::Root, run: create },
    Act { id: "beside", about: "make a file beside a sealed one", layers: SEALED, args: "PATH", control: Control::Root, run: beside },
    Act { id: "mkdir", about: "make a folder outside the tenant's tree", layers: SEALED, args: "PATH", control: Control::Root, run: mkdir },
    Act { id: "unlink", about: "remove a sealed or foreign file (not put back)", layers: SEALED, args: "PATH", control: Control::Root, run: unlink },
    Act { id: "rename", about: "rename a sealed or foreign file", layers: SEALED, args: "PATH TO", control: Control::Root, run: |a| rename(Path::new(a.text(0)), Path::new(a.text(1))) },
    Act { id: "rename-parent", about: "rename the folder above a sealed file", layers: SEALED, args: "PATH", control: Control::Root, run: rename_parent },
    Act { id: "exchange", about: "exchange a sealed file with one of its own", layers: SEALED, args: "PATH OWN", control: Control::Root, run: exchange },
    Act { id: "truncate", about: "truncate a sealed or foreign file (to its present length)", layers: SEALED, args: "PATH", control: Control::Root, run: truncate },
    Act { id: "chmod", about: "change the mode of a sealed or foreign file", layers: SEALED, args: "PATH", control: Control::Root, run: chmod },
    Act { id: "chown", about: "take or give away a file", layers: "account mounts capabilities seccomp", args: "PATH [UID]", control: Control::Root, run: chown },
    Act { id: "utimes", about: "change the times of a sealed or foreign file", layers: SEALED, args: "PATH", control: Control::Root, run: utimes },
    Act { id: "setxattr", about: "mark a sealed or foreign file with an extended attribute", layers: SEALED, args: "PATH", control: Control::Root, run: setxattr },
    Act { id: "plant-symlink", about: "leave a symbolic link where root will work later (not removed)", layers: "daemon", args: "TARGET AT", control: Control::Neighbour, run: plant_symlink },
    Act { id: "plant-hardlink", about: "leave a hard link where root will work later (not removed)", layers: "daemon mounts", args: "TARGET AT", control: Control::Root, run: plant_hardlink },
];
