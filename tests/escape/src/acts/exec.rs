//! Running what must not run: programs dropped into writable places, programs without a file, setuid programs.

use std::ffi::{CStr, CString};
use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;

use nix::errno::Errno;
use nix::sys::wait::WaitStatus;

use crate::act::{Act, Args, Control, Failure, Prepare as _, Verdict, blocked};
use crate::sys::{self, NULL, Word};

const LOADER: &CStr = c"/lib64/ld-linux-x86-64.so.2";
/// Exit status of a child whose `execve` failed, plus the error number (below 100 for all that occur here).
const EXEC_FAILED: i32 = 128;

/// `argv` or `envp`: pointers to texts and a final null, as the kernel wants them.
fn pointers(texts: &[&CStr]) -> Vec<u8> {
    texts
        .iter()
        .map(|text| text.as_ptr().expose_provenance())
        .chain([0])
        .flat_map(usize::to_ne_bytes)
        .collect()
}

/// Runs a program in a child. `Ok` is its exit status; `Err` that it could not be started.
fn start(program: &CStr, argv: &[&CStr]) -> Result<i32, Failure> {
    let argv = pointers(argv);
    execute(|| sys::call(libc::SYS_execve, [Word::Text(program), Word::In(&argv), Word::In(&[0; 8])]))
}

fn execute(exec: impl FnOnce() -> Result<i64, Errno>) -> Result<i32, Failure> {
    let null = File::options().read(true).write(true).open("/dev/null").prepared("opening /dev/null")?;
    let nowhere = i64::from(null.as_raw_fd());
    let status = sys::in_child(|| {
        // The program's words are not ours: standard output carries only reports.
        for stream in 0..3 {
            sys::call(libc::SYS_dup2, [Word::N(nowhere), Word::N(stream)]).unwrap_or_default();
        }
        match exec() {
            Ok(_) => EXEC_FAILED,
            Err(errno) => EXEC_FAILED + errno as i32,
        }
    });
    match status.prepared("a child")? {
        WaitStatus::Exited(_, code) if code > EXEC_FAILED => Err(Errno::from_raw(code - EXEC_FAILED).into()),
        WaitStatus::Exited(_, code) => Ok(code),
        other => Err(Failure::Blocked("none".into(), format!("the program ended by {other:?}"))),
    }
}

/// A copy of this program that can be run if the place allows it; asked for `is-root`, it exits 0 or 10.
fn drop_copy(folder: &str) -> Result<String, Failure> {
    let path = format!("{folder}/escape-copy-{}", std::process::id());
    fs::copy("/proc/self/exe", &path).prepared("copying the program")?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).prepared("making it executable")?;
    Ok(path)
}

fn with_copy(args: &Args<'_>, act: impl FnOnce(&CStr) -> Verdict) -> Verdict {
    let path = drop_copy(args.text_or(0, "."))?;
    let verdict = CString::new(path.as_str()).prepared("path").and_then(|name| act(&name));
    fs::remove_file(&path).prepared("removing the copy")?;
    verdict
}

fn ran(code: i32) -> Verdict {
    if code == 0 || code == 10 {
        Ok(format!("it ran (exit status {code})"))
    } else {
        blocked(format!("exit status {code}"))
    }
}

fn dropped(args: &Args<'_>) -> Verdict {
    with_copy(args, |path| ran(start(path, &[path, c"is-root"])?))
}

/// `noexec` is checked on the file given to execve; the loader maps the program itself.
fn by_loader(args: &Args<'_>) -> Verdict {
    with_copy(args, |path| ran(start(LOADER, &[LOADER, path, c"is-root"])?))
}

fn by_script(args: &Args<'_>) -> Verdict {
    let path = format!("{}/escape-script-{}", args.text_or(0, "."), std::process::id());
    let made = File::create(&path).and_then(|mut file| file.write_all(b"#!/bin/sh\nexit 10\n"));
    made.prepared("writing the script")?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).prepared("making it executable")?;
    let name = CString::new(path.as_str()).prepared("path")?;
    let code = start(&name, &[&name]);
    fs::remove_file(&path).prepared("removing the script")?;
    ran(code?)
}

/// Maps a file of a writable place executable, as `dlopen` would.
fn mapped(args: &Args<'_>) -> Verdict {
    with_copy(args, |path| {
        let file = File::open(path.to_string_lossy().as_ref()).prepared("opening the copy")?;
        let prot = i64::from(libc::PROT_READ | libc::PROT_EXEC);
        let fd = Word::N(i64::from(file.as_raw_fd()));
        sys::call(
            libc::SYS_mmap,
            [NULL, Word::N(4096), Word::N(prot), Word::N(i64::from(libc::MAP_PRIVATE)), fd, NULL],
        )?;
        Ok("mapped executable".into())
    })
}

fn memory_file(flags: i64) -> Result<File, Failure> {
    let fd = sys::call(libc::SYS_memfd_create, [Word::Text(c"escape"), Word::N(flags)])?;
    let mut file = File::from(sys::owned(fd).prepared("memfd")?);
    let mut own = File::open("/proc/self/exe").prepared("opening the program")?;
    std::io::copy(&mut own, &mut file).prepared("filling the memory file")?;
    Ok(file)
}

fn memfd(_: &Args<'_>) -> Verdict {
    let file = memory_file(0)?;
    let argv = pointers(&[c"escape-probe", c"is-root"]);
    let words = [
        Word::N(i64::from(file.as_raw_fd())),
        Word::Text(c""),
        Word::In(&argv),
        Word::In(&[0; 8]),
        Word::N(i64::from(libc::AT_EMPTY_PATH)),
    ];
    ran(execute(|| sys::call(libc::SYS_execveat, words))?)
}

/// With MFD_NOEXEC_SEAL (Linux 6.3) the file starts without execute bits, and they cannot be added.
fn memfd_by_path(flags: i64) -> Verdict {
    let file = memory_file(flags)?;
    file.set_permissions(fs::Permissions::from_mode(0o755)).unwrap_or_default();
    let path = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd())).prepared("path")?;
    ran(start(&path, &[&path, c"is-root"])?)
}

fn run_program(args: &Args<'_>) -> Verdict {
    let path = args.path(0)?;
    let word = args.path(1)?;
    let argv: &[&CStr] = if args.text(1).is_empty() { &[&path] } else { &[&path, &word] };
    Ok(format!("it ran (exit status {})", start(&path, argv)?))
}

/// The target is a copy of this program that root made setuid, or gave capabilities; its own verdict is the answer.
fn privileged(args: &Args<'_>, question: &CStr) -> Verdict {
    let path = args.path(0)?;
    match start(&path, &[&path, question])? {
        0 => Ok(format!("the program answers {} with yes", question.to_string_lossy())),
        10 => blocked("it ran, without gaining anything"),
        other => Err(Failure::NotTried(format!("exit status {other}: not a copy of this program?"))),
    }
}

const NOEXEC: &str = "mounts landlock";

/// This area's acts.
#[rustfmt::skip]
pub const ACTS: &[Act] = &[
    Act { id: "exec-dropped", about: "run a program that the tenant wrote there (/tmp, its data)", layers: NOEXEC, args: "DIR", control: Control::User, run: dropped },
    Act { id: "exec-by-loader", about: "run a dropped program through the dynamic loader", layers: NOEXEC, args: "DIR", control: Control::User, run: by_loader },
    Act { id: "exec-script", about: "run a dropped script by its first line", layers: NOEXEC, args: "DIR", control: Control::User, run: by_script },
    Act { id: "exec-mapped", about: "map a dropped library executable", layers: "mounts", args: "DIR", control: Control::User, run: mapped },
    Act { id: "exec-memfd", about: "run a program that exists only in memory, by execveat", layers: "seccomp", args: "", control: Control::User, run: memfd },
    Act { id: "exec-memfd-path", about: "run a program that exists only in memory, by its /proc path", layers: "seccomp", args: "", control: Control::User, run: |_| memfd_by_path(0) },
    Act { id: "exec-memfd-sealed", about: "run a program from a memory file that was made not to be executable", layers: "seccomp", args: "", control: Control::Own, run: |_| memfd_by_path(8) },
    Act { id: "exec", about: "run a program of the host that the runtime does not need", layers: "mounts landlock", args: "PATH [WORD]", control: Control::User, run: run_program },
    Act { id: "exec-setuid", about: "become root by a setuid-root copy of this program", layers: "no-new-privs mounts capabilities", args: "PATH", control: Control::User, run: |a| privileged(a, c"is-root") },
    Act { id: "exec-file-caps", about: "gain a capability by a program that carries it", layers: "no-new-privs mounts capabilities", args: "PATH", control: Control::User, run: |a| privileged(a, c"caps-any") },
];
