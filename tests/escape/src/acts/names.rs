//! Learning that others exist: account names, host names, cgroups, namespaces, the journal, temporary files.

use std::ffi::CStr;
use std::fs;
use std::net::ToSocketAddrs as _;
use std::path::Path;

use crate::act::{Act, Args, Control, Prepare as _, Verdict, blocked};
use crate::sys::{self, Word};

fn accounts(args: &Args<'_>) -> Verdict {
    let own = fs::metadata("/proc/self")
        .prepared("own uid")
        .map(|meta| std::os::unix::fs::MetadataExt::uid(&meta))?;
    let wanted = args.text(0);
    for file in ["/etc/passwd", "/etc/group", "/etc/passwd-", "/etc/subuid", "/etc/shadow"] {
        let text = fs::read_to_string(file).unwrap_or_default();
        let mut lines = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let hit = lines.find(|fields| match fields.as_slice() {
            [name, ..] if !wanted.is_empty() => *name == wanted,
            [name, _, id, ..] => name.starts_with("t-") && *id != own.to_string(),
            _ => false,
        });
        if let Some([name, ..]) = hit.as_deref() {
            return Ok(format!("{file} names {name}"));
        }
    }
    blocked("no file names another tenant's account")
}

/// Asks the name service of systemd itself, as `getent passwd` would.
fn userdb(args: &Args<'_>) -> Verdict {
    use std::io::{Read as _, Write as _};
    let mut socket = std::os::unix::net::UnixStream::connect("/run/systemd/userdb/io.systemd.Multiplexer")
        .or_else(|_| std::os::unix::net::UnixStream::connect("/run/systemd/userdb/io.systemd.DynamicUser"))?;
    let query = format!(
        "{{\"method\":\"io.systemd.UserDatabase.GetUserRecord\",\"parameters\":{{\"userName\":{:?},\"service\":\"io.systemd.Multiplexer\"}}}}\0",
        args.text(0)
    );
    socket.set_read_timeout(Some(std::time::Duration::from_secs(3))).prepared("time limit")?;
    socket.write_all(query.as_bytes())?;
    let mut answer = [0; 512];
    let count = socket.read(&mut answer)?;
    Ok(format!("the service answers with {count} bytes"))
}

fn drop_ins(_: &Args<'_>) -> Verdict {
    for folder in ["/etc/userdb", "/run/userdb", "/usr/lib/userdb"] {
        if let Ok(entries) = fs::read_dir(folder) {
            let count = entries.count();
            if count > 0 {
                return Ok(format!("{folder} lists {count} accounts"));
            }
        }
    }
    blocked("no account drop-in can be listed")
}

fn utsname(args: &Args<'_>) -> Verdict {
    let mut names = [0; 6 * 65];
    sys::call(libc::SYS_uname, [Word::Out(&mut names)])?;
    let node = names.get(65..130).and_then(|field| CStr::from_bytes_until_nul(field).ok());
    let node = node.map(|text| text.to_string_lossy().into_owned()).unwrap_or_default();
    if node == args.text(0) {
        Ok(format!("uname tells the host's name, {node}"))
    } else {
        blocked(format!("uname tells {node:?}"))
    }
}

fn resolve(args: &Args<'_>) -> Verdict {
    let address = (args.text(0), 80).to_socket_addrs()?.next();
    address
        .map_or_else(|| blocked("no address"), |address| Ok(format!("{} is {}", args.text(0), address.ip())))
}

/// The first of these that can be listed and tells something.
fn first_listing(paths: &[&str]) -> Verdict {
    let mut last = blocked("nothing there to list");
    for path in paths {
        match fs::read_dir(path) {
            Ok(entries) => {
                let names: Vec<_> =
                    entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
                if !names.is_empty() {
                    let some: Vec<_> = names.iter().take(4).cloned().collect();
                    return Ok(format!("{path} lists {} names: {}", names.len(), some.join(" ")));
                }
            }
            Err(error) => last = Err(error.into()),
        }
    }
    last
}

fn temporary(args: &Args<'_>) -> Verdict {
    let name = args.text(0);
    let seen = ["/tmp", "/var/tmp", "/dev/shm", "/run/lock", "/run", "/dev/mqueue"]
        .map(|folder| format!("{folder}/{name}"))
        .into_iter()
        .find(|path| Path::new(path).symlink_metadata().is_ok());
    seen.map_or_else(|| blocked("no temporary folder shows that name"), |path| Ok(format!("{path} is there")))
}

/// Mount tables name the source folders of bind mounts, and control groups their tenant: of every process that can be seen.
fn mounts(args: &Args<'_>) -> Verdict {
    let wanted = args.text(0);
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    for process in processes.filter(|path| path.join("mountinfo").exists()) {
        for file in ["mountinfo", "mounts", "mountstats", "cgroup"] {
            let file = process.join(file);
            let text = fs::read_to_string(&file).unwrap_or_default();
            if let Some(line) = text.lines().find(|line| line.contains(wanted)) {
                return Ok(format!("{}: {line}", file.display()));
            }
        }
    }
    blocked(format!("no mount table names {wanted}"))
}

/// This area's acts.
#[rustfmt::skip]
pub const ACTS: &[Act] = &[
    Act { id: "names-accounts", about: "find another tenant's account in the account files", layers: "mounts", args: "[NAME]", control: Control::Root, run: accounts },
    Act { id: "names-userdb", about: "ask systemd's account service for a name", layers: "mounts", args: "NAME", control: Control::Root, run: userdb },
    Act { id: "names-userdb-files", about: "list the account drop-ins", layers: "mounts", args: "", control: Control::Root, run: drop_ins },
    Act { id: "names-host", about: "learn the host's name from the kernel", layers: "uts-namespace", args: "HOSTNAME", control: Control::Root, run: utsname },
    Act { id: "names-resolve", about: "resolve a name of the outer world or of a neighbour", layers: "network mounts", args: "NAME", control: Control::Target, run: resolve },
    Act { id: "names-cgroups", about: "list the control groups, which name every tenant", layers: "mounts", args: "", control: Control::Root, run: |_| first_listing(&["/sys/fs/cgroup/tenants.slice", "/sys/fs/cgroup", "/sys/fs/cgroup/systemd"]) },
    Act { id: "names-netns", about: "list the named network namespaces", layers: "mounts", args: "", control: Control::Root, run: |_| first_listing(&["/run/netns", "/var/run/netns"]) },
    Act { id: "names-journal", about: "list the host's journal files", layers: "mounts account", args: "", control: Control::Root, run: |_| first_listing(&["/var/log/journal", "/run/log/journal", "/var/log"]) },
    Act { id: "names-units", about: "list the units that PID 1 generated or loaded", layers: "mounts", args: "", control: Control::Root, run: |_| first_listing(&["/run/systemd/units", "/run/systemd/transient", "/run/systemd/system", "/run/systemd/generator", "/etc/systemd/system"]) },
    Act { id: "names-sessions", about: "list logins and lingering users", layers: "mounts", args: "", control: Control::Root, run: |_| first_listing(&["/run/systemd/users", "/run/user", "/var/lib/systemd/linger"]) },
    Act { id: "names-network", about: "list the host's links", layers: "network mounts", args: "", control: Control::Root, run: |_| first_listing(&["/sys/class/net", "/sys/devices/virtual/net"]) },
    Act { id: "names-temporary", about: "see a temporary file of another", layers: "mounts ipc-namespace", args: "NAME", control: Control::Target, run: temporary },
    Act { id: "names-mounts", about: "find a name in the mount tables and cgroup paths of processes", layers: "mounts", args: "NAME", control: Control::Root, run: mounts },
];
