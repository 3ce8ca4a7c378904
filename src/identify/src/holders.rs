//! The programs that hold a socket: all of them, as a descriptor that was handed on must not let one pass for another.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use model::TenantId;

use crate::process;

/// Depth of groups, processes of a tenant, ancestors: at most.
const DEPTH: usize = 16;
const PROCESSES: usize = 16_384;
const ANCESTORS: usize = 64;

/// Longer nobody waits for an answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where the kernel tells of groups and processes.
#[derive(Clone, Debug)]
pub struct Tree {
    /// The hierarchy of groups that systemd keeps.
    pub groups: PathBuf,
    /// /proc.
    pub proc: PathBuf,
}

impl Tree {
    /// This machine's, with one hierarchy or on a hybrid host.
    #[must_use]
    pub fn host() -> Self {
        let root = Path::new("/sys/fs/cgroup");
        let unified = root.join("unified");
        let groups = if root.join("cgroup.procs").exists() {
            root.to_owned()
        } else if unified.join("cgroup.procs").exists() {
            unified
        } else {
            root.join("systemd")
        };
        Self { groups, proc: "/proc".into() }
    }
}

/// Executables of each process of the tenant that holds the socket, each with those of its ancestors in the tenant. An empty list is
/// a process whose executable cannot be told.
///
/// # Errors
///
/// If not all processes can be looked at: nobody may be left out.
pub fn holders(tree: &Tree, tenant: &TenantId, inode: u64) -> io::Result<Vec<Vec<String>>> {
    let slice = tree.groups.join("tenants.slice").join(tenant.slice());
    let mut members = BTreeSet::new();
    collect(&slice, 0, &mut members)?;
    let wanted = format!("socket:[{inode}]");
    let mut found = Vec::new();
    let begun = Instant::now();
    let late = || begun.elapsed() > PATIENCE;
    for pid in &members {
        let born = process::born(&tree.proc, *pid);
        match holds(&tree.proc, *pid, OsStr::new(&wanted), &late) {
            Ok(false) => {}
            Ok(true) => {
                let chain = chain(&tree.proc, *pid, &members);
                // Another process under the same number tells nothing about this one.
                found.push(if process::born(&tree.proc, *pid) == born { chain } else { Vec::new() });
            }
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(nix::libc::ESRCH)
}

fn collect(group: &Path, depth: usize, members: &mut BTreeSet<u32>) -> io::Result<()> {
    let too_many = || io::Error::other("there are too many groups or processes to look at");
    if depth > DEPTH {
        return Err(too_many());
    }
    let processes = match fs::read_to_string(group.join("cgroup.procs")) {
        Err(error) if depth > 0 && (is_gone(&error) || error.raw_os_error() == Some(nix::libc::ENODEV)) => {
            return Ok(());
        }
        // A threaded group: its processes are listed where its domain begins.
        Err(error) if error.raw_os_error() == Some(nix::libc::EOPNOTSUPP) => String::new(),
        read => read?,
    };
    members.extend(processes.lines().filter_map(|line| line.parse::<u32>().ok()).filter(|pid| *pid > 0));
    if members.len() > PROCESSES {
        return Err(too_many());
    }
    for entry in fs::read_dir(group)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), depth + 1, members)?;
        }
    }
    Ok(())
}

/// Whether a thread of the process holds it: a thread may have descriptors of its own (clone(2) without `CLONE_FILES`, or unshare(2)), and
/// `/proc/PID/fd` shows those of the first thread, none when that one has ended.
fn holds(proc: &Path, pid: u32, wanted: &OsStr, late: &dyn Fn() -> bool) -> io::Result<bool> {
    for thread in fs::read_dir(proc.join(pid.to_string()).join("task"))? {
        if late() {
            return Err(io::Error::other("the tenant has too many open files to look at in time"));
        }
        match holds_itself(&thread?.path().join("fd"), wanted) {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

fn holds_itself(descriptors: &Path, wanted: &OsStr) -> io::Result<bool> {
    for entry in fs::read_dir(descriptors)? {
        match fs::read_link(entry?.path()) {
            Ok(link) if link.as_os_str() == wanted => return Ok(true),
            Ok(_) => {}
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

/// The executable and those of the ancestors, up to the border of the tenant; nothing if its own cannot be told.
fn chain(proc: &Path, pid: u32, members: &BTreeSet<u32>) -> Vec<String> {
    let Some(own) = process::executable(proc, pid) else { return Vec::new() };
    let mut all = vec![own];
    let mut next = process::born(proc, pid).map(|born| born.parent);
    while let Some(pid) = next.filter(|pid| members.contains(pid) && all.len() < ANCESTORS) {
        let executable = process::executable(proc, pid);
        let Some(born) = process::born(proc, pid) else { break };
        all.extend(executable);
        next = Some(born.parent);
    }
    all
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsRawFd as _;
    use std::os::linux::fs::MetadataExt as _;

    use super::*;

    /// A thread with descriptors of its own takes copies of those of other tests along.
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());

    /// A tenant acme whose only process is this one.
    fn acme() -> (tempfile::TempDir, Tree, TenantId) {
        let groups = tempfile::tempdir().unwrap();
        let inner = groups.path().join("tenants.slice/tenants-acme.slice/openclaw@acme.service/inner");
        fs::create_dir_all(&inner).unwrap();
        for at in
            ["tenants.slice/tenants-acme.slice", "tenants.slice/tenants-acme.slice/openclaw@acme.service"]
        {
            fs::File::create(groups.path().join(at).join("cgroup.procs")).unwrap();
        }
        let mut file = fs::File::create(inner.join("cgroup.procs")).unwrap();
        io::Write::write_all(&mut file, format!("{}\n", std::process::id()).as_bytes()).unwrap();
        let tree = Tree { groups: groups.path().to_owned(), proc: "/proc".into() };
        (groups, tree, TenantId::parse("acme").unwrap())
    }

    fn inode(listener: &TcpListener) -> u64 {
        fs::metadata(format!("/proc/thread-self/fd/{}", listener.as_raw_fd())).unwrap().st_ino()
    }

    #[test]
    fn whoever_holds_a_socket_in_the_tenants_groups_is_found() {
        let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (_groups, tree, acme) = acme();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let inode = inode(&listener);
        let found = holders(&tree, &acme, inode).unwrap();
        assert_eq!(found.len(), 1);
        drop(listener);
        assert!(holders(&tree, &acme, inode).unwrap().is_empty());
        assert!(holders(&tree, &TenantId::parse("other").unwrap(), inode).is_err());
    }

    #[test]
    fn a_thread_with_descriptors_of_its_own_hides_nothing() {
        use std::sync::mpsc::channel;
        let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (_groups, tree, acme) = acme();
        let (tells, told) = channel();
        let (ends, ended) = channel::<()>();
        let thread = std::thread::spawn(move || {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_FILES).unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            tells.send(inode(&listener)).unwrap();
            ended.recv().ok();
        });
        let inode = told.recv().unwrap();
        // The table of the first thread does not show it.
        let first = Path::new("/proc").join(std::process::id().to_string()).join("fd");
        let wanted = format!("socket:[{inode}]");
        assert!(!holds_itself(&first, OsStr::new(&wanted)).unwrap());
        assert_eq!(holders(&tree, &acme, inode).unwrap().len(), 1);
        drop(ends);
        thread.join().unwrap();
        assert!(holders(&tree, &acme, inode).unwrap().is_empty());
    }
}
