//! The programs that hold a socket: all of them, as a descriptor that was handed on must not let one pass for another.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use model::TenantId;

use crate::process::{self, Descriptors, Process};

/// Depth of groups, processes of a tenant, ancestors: at most.
const DEPTH: usize = 16;
const PROCESSES: usize = 16_384;
const ANCESTORS: usize = 64;
/// Descriptors that are looked at before the clock is again.
const STEP: usize = 256;

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
/// If not all processes can be looked at until then: nobody may be left out.
pub fn holders(tree: &Tree, tenant: &TenantId, inode: u64, until: Instant) -> io::Result<Vec<Vec<String>>> {
    let slice = tree.groups.join("tenants.slice").join(tenant.slice());
    let mut members = BTreeSet::new();
    // Not the tenant's programs: who asks, and who keeps the namespace. Neither takes a descriptor from anybody.
    collect(&slice, 0, &[tenant.egress_unit(), tenant.net_unit()], &mut members)?;
    let wanted = format!("socket:[{inode}]");
    let mut found = Vec::new();
    for pid in &members {
        let process = match Process::open(&tree.proc, *pid) {
            Err(error) if is_gone(&error) => continue,
            opened => opened?,
        };
        match holds(&process, OsStr::new(&wanted), until) {
            Ok(false) => {}
            Ok(true) => found.push(chain(&tree.proc, &process, &members)),
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(nix::libc::ESRCH)
}

fn collect(group: &Path, depth: usize, others: &[String], members: &mut BTreeSet<u32>) -> io::Result<()> {
    let too_many = || io::Error::other("there are too many groups or processes to look at");
    if depth > DEPTH {
        return Err(too_many());
    }
    let gone =
        |error: &io::Error| depth > 0 && (is_gone(error) || error.raw_os_error() == Some(nix::libc::ENODEV));
    let processes = match process::read_whole(&group.join("cgroup.procs")) {
        Err(error) if gone(&error) => return Ok(()),
        // A threaded group: its processes are listed where its domain begins.
        Err(error) if error.raw_os_error() == Some(nix::libc::EOPNOTSUPP) => String::new(),
        read => read?,
    };
    members.extend(processes.lines().filter_map(|line| line.parse::<u32>().ok()).filter(|pid| *pid > 0));
    if members.len() > PROCESSES {
        return Err(too_many());
    }
    // A directory counts itself twice, and each one in it once: this one holds files only.
    match fs::metadata(group).map(|group| group.nlink()) {
        Ok(2) => return Ok(()),
        Ok(_) => {}
        Err(error) if gone(&error) => return Ok(()),
        Err(error) => return Err(error),
    }
    for entry in fs::read_dir(group)? {
        let entry = entry?;
        let name = entry.file_name();
        if !others.iter().any(|other| name == **other) && entry.file_type()?.is_dir() {
            collect(&entry.path(), depth + 1, &[], members)?;
        }
    }
    Ok(())
}

/// Whether the process holds it. Its threads share their descriptors: no other ones can be made in a cell (`policies/seccomp/base.toml`). They
/// are looked at through the first thread, and where that has ended, or some were closed meanwhile, once more through the others.
fn holds(process: &Process, wanted: &OsStr, until: Instant) -> io::Result<bool> {
    match process.descriptors().and_then(|all| shows(&all, wanted, until)) {
        Ok(Shown::Held) => return Ok(true),
        Ok(Shown::Complete) => return Ok(false),
        Ok(Shown::Changed) => {}
        // The thread, not the process.
        Err(error) if is_gone(&error) => {}
        Err(error) => return Err(error),
    }
    for thread in process.threads()? {
        in_time(until)?;
        match process.descriptors_of(&thread).and_then(|all| shows(&all, wanted, until)) {
            Ok(Shown::Held) => return Ok(true),
            Ok(Shown::Complete) => return Ok(false),
            Ok(Shown::Changed) => {}
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

fn in_time(until: Instant) -> io::Result<()> {
    if Instant::now() < until {
        return Ok(());
    }
    Err(io::Error::other(
        "the tenant has more open files than can be looked at in time (fewer open files and processes take less)",
    ))
}

/// What descriptors tell of a socket.
#[derive(Debug, PartialEq, Eq)]
enum Shown {
    /// It is among them.
    Held,
    /// It is not.
    Complete,
    /// It is not, but some were closed while they were looked at, or there are none at all.
    Changed,
}

fn shows(descriptors: &Descriptors, wanted: &OsStr, until: Instant) -> io::Result<Shown> {
    let mut shown = if descriptors.names.is_empty() { Shown::Changed } else { Shown::Complete };
    for names in descriptors.names.chunks(STEP) {
        in_time(until)?;
        for name in names {
            match descriptors.link(name) {
                Ok(link) if link == wanted => return Ok(Shown::Held),
                Ok(_) => {}
                Err(error) if is_gone(&error) => shown = Shown::Changed,
                Err(error) => return Err(error),
            }
        }
    }
    Ok(shown)
}

/// The executable and those of the ancestors, up to the border of the tenant; nothing if its own cannot be told.
fn chain(proc: &Path, process: &Process, members: &BTreeSet<u32>) -> Vec<String> {
    let Some(own) = process.executable() else { return Vec::new() };
    let mut all = vec![own];
    let mut child = process.born();
    for _ in 1..ANCESTORS {
        let Some(born) = child.filter(|born| members.contains(&born.parent)) else { break };
        let Ok(parent) = Process::open(proc, born.parent) else { break };
        // A process that got the number of a parent that is gone is younger.
        child = parent.born().filter(|its| its.started <= born.started);
        if child.is_some() {
            all.extend(parent.executable());
        }
    }
    all
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a process to look at")]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsRawFd as _;
    use std::os::linux::fs::MetadataExt as _;
    use std::process::Stdio;

    use super::*;

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

    fn later() -> Instant {
        Instant::now() + std::time::Duration::from_secs(600)
    }

    fn list(group: &Path, processes: &str) {
        let mut file = fs::File::create(group.join("cgroup.procs")).unwrap();
        io::Write::write_all(&mut file, processes.as_bytes()).unwrap();
    }

    #[test]
    fn whoever_holds_a_socket_in_the_tenants_groups_is_found() {
        let (_groups, tree, acme) = acme();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let inode = inode(&listener);
        let found = holders(&tree, &acme, inode, later()).unwrap();
        assert_eq!(found.len(), 1);
        drop(listener);
        assert!(holders(&tree, &acme, inode, later()).unwrap().is_empty());
        assert!(holders(&tree, &TenantId::parse("other").unwrap(), inode, later()).is_err());
    }

    #[test]
    fn what_is_not_looked_at_in_time_is_not_answered() {
        let (_groups, tree, acme) = acme();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let error = holders(&tree, &acme, inode(&listener), Instant::now()).unwrap_err().to_string();
        assert!(error.contains("in time"), "{error}");
        assert_eq!(holders(&tree, &acme, inode(&listener), later()).unwrap().len(), 1);
        // Nor what comes late within one table.
        let process = Process::open(Path::new("/proc"), std::process::id()).unwrap();
        let first = process.descriptors().unwrap();
        let wanted = format!("socket:[{}]", inode(&listener));
        assert!(shows(&first, OsStr::new(&wanted), Instant::now()).is_err());
        assert_eq!(shows(&first, OsStr::new(&wanted), later()).unwrap(), Shown::Held);
    }

    #[test]
    fn the_proxy_is_left_out_and_nobody_hides_under_its_name() {
        let acme = TenantId::parse("acme").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        for (group, seen) in [
            ("tenant-egress@acme.service", 0),
            ("tenant-egress@acme.service/below", 0),
            ("tenant-net@acme.service", 0),
            ("tenant@acme.service/tenant-egress@acme.service", 1),
            ("tenant@acme.service/a/b/c", 1),
            ("tenant-egress@beta.service", 1),
        ] {
            let groups = tempfile::tempdir().unwrap();
            let mut at = groups.path().join("tenants.slice/tenants-acme.slice");
            let own = at.join(group);
            fs::create_dir_all(&own).unwrap();
            list(&own, &format!("{}\n", std::process::id()));
            list(&at, "");
            for part in Path::new(group).parent().unwrap() {
                at.push(part);
                list(&at, "");
            }
            let tree = Tree { groups: groups.path().to_owned(), proc: "/proc".into() };
            assert_eq!(holders(&tree, &acme, inode(&listener), later()).unwrap().len(), seen, "{group}");
        }
    }

    #[test]
    fn what_was_closed_meanwhile_or_is_not_there_at_all_is_looked_at_again() {
        let mut cat = std::process::Command::new("cat");
        let mut child = cat.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // Once it answers, it has opened what it opens.
        io::Write::write_all(child.stdin.as_mut().unwrap(), b"x").unwrap();
        io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        let process = Process::open(Path::new("/proc"), child.id()).unwrap();
        let none = OsStr::new("socket:[0]");
        let before = process.descriptors().unwrap();
        assert_eq!(shows(&before, none, later()).unwrap(), Shown::Complete);
        assert!(!holds(&process, none, later()).unwrap());
        child.kill().unwrap();
        // Ended, and not yet waited for: as a first thread that others outlive.
        while !process.descriptors().unwrap().names.is_empty() {
            std::thread::yield_now();
        }
        assert_eq!(shows(&before, none, later()).unwrap(), Shown::Changed);
        assert_eq!(shows(&process.descriptors().unwrap(), none, later()).unwrap(), Shown::Changed);
        assert!(!holds(&process, none, later()).unwrap());
        child.wait().unwrap();
        assert!(is_gone(&holds(&process, none, later()).unwrap_err()));
    }
}
