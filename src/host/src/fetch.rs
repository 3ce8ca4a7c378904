//! The download of a runtime: `runtime-fetch` in a confined transient unit of a user made for it, which can write one
//! directory and knows nothing of tenants. What it prints comes back line by line.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;

use model::Exit;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::pipe2;
use plan::HostError;

use crate::error::{os, sentence};
use crate::exec::status;
use crate::systemd::{Transient, Value};
use crate::{Cancel, Systemd};

const PROGRAM: &str = "/usr/lib/tenantd/runtime-fetch";
/// Where the unit sees the directory it works in.
const WORK: &str = "/run/tenantd-fetch";
/// Where the unit sees the directory or archive it is given.
const FROM: &str = "/run/tenantd-fetch-from";
/// Longest line that is kept; the rest of a longer one is dropped.
const LINE: usize = 8 << 10;
/// Milliseconds between two looks at whether the unit has ended.
const TICK: u16 = 100;

/// What to fetch.
#[derive(Debug)]
pub struct FetchRequest {
    /// Runtime name; part of the unit's name.
    pub runtime: String,
    /// Arguments of `runtime-fetch` besides `--policy`, `--work` and `--from`.
    pub arguments: Vec<String>,
    /// `policies/runtimes/<runtime>` as installed.
    pub policy: PathBuf,
    /// The directory that the unit may write.
    pub work: PathBuf,
    /// A directory or archive, opened by the caller, in place of the network.
    pub from: Option<OwnedFd>,
    /// npm configuration of the host, handed over as a credential.
    pub npmrc: Option<PathBuf>,
    /// Variables such as `HTTPS_PROXY` that the operator set for downloads.
    pub environment: BTreeMap<String, String>,
}

/// Runs the download to its end; gives back its exit status. Cancelling kills it.
pub fn fetch(
    systemd: &Systemd,
    request: FetchRequest,
    line: &mut dyn FnMut(&str),
    cancel: &Cancel,
) -> Result<u32, HostError> {
    let unit = format!("tenantd-fetch-{}-{}.service", request.runtime, std::process::id());
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)
        .map_err(|errno| os("make a pipe for", Path::new(PROGRAM), errno))?;
    let from = request.from.as_ref().map(path_of).transpose()?;
    let transient = transient(&unit, &request, from.as_deref(), writer);
    let ended = thread::scope(|scope| {
        let worker = scope.spawn(|| systemd.run_transient(transient, cancel));
        let mut lines = Lines::new(reader);
        while !worker.is_finished() {
            lines.wait();
            lines.read(line);
        }
        lines.read(line);
        lines.last(line);
        worker.join()
    });
    match ended {
        Ok(ended) => status(&unit, &ended?),
        Err(_) => {
            Err(sentence(Exit::Software, format!("{unit}: the thread that waited for it ended: report this")))
        }
    }
}

fn transient(unit: &str, request: &FetchRequest, from: Option<&str>, stdout: OwnedFd) -> Transient {
    let mut argv = vec![PROGRAM.to_owned()];
    argv.extend(request.arguments.iter().cloned());
    argv.extend([
        "--policy".to_owned(),
        request.policy.display().to_string(),
        "--work".to_owned(),
        WORK.to_owned(),
    ]);
    let bind = |source: &str, at: &str, optional| (source.to_owned(), at.to_owned(), optional, 0);
    // /run is hidden; a host's resolver, or the file that names it, may lie there.
    let mut seen = vec![bind("/run/systemd/resolve", "/run/systemd/resolve", true)];
    let resolver = std::fs::canonicalize("/etc/resolv.conf")
        .ok()
        .and_then(|path| path.into_os_string().into_string().ok());
    if let Some(file) = resolver.filter(|file| file.starts_with("/run/")) {
        seen.push(bind(&file, &file, true));
    }
    if let Some(from) = from {
        argv.extend(["--from".to_owned(), FROM.to_owned()]);
        seen.push(bind(from, FROM, false));
    }
    let mut properties = sandbox();
    properties.extend([
        ("Description", Value::Text(format!("Download of runtime {}", request.runtime))),
        ("BindPaths", Value::Binds(vec![bind(&request.work.display().to_string(), WORK, false)])),
        ("BindReadOnlyPaths", Value::Binds(seen)),
        ("PrivateNetwork", Value::Flag(from.is_some())),
        ("StandardOutputFileDescriptor", Value::Descriptor(stdout)),
    ]);
    if let Some(npmrc) = request.npmrc.as_ref().filter(|path| path.is_file()) {
        let pair = ("npmrc".to_owned(), npmrc.display().to_string());
        properties.push(("LoadCredential", Value::Pairs(vec![pair])));
    }
    Transient { unit: unit.to_owned(), argv, environment: request.environment.clone(), properties }
}

fn sandbox() -> Vec<(&'static str, Value)> {
    let text = |value: &str| Value::Text(value.to_owned());
    let texts = |values: &[&str]| Value::Texts(values.iter().map(|value| (*value).to_owned()).collect());
    let allowed =
        |values: &[&str]| Value::Filter(true, values.iter().map(|value| (*value).to_owned()).collect());
    vec![
        ("DynamicUser", Value::Flag(true)),
        ("NoNewPrivileges", Value::Flag(true)),
        ("CapabilityBoundingSet", Value::Number(0)),
        ("ProtectSystem", text("strict")),
        ("ProtectHome", text("yes")),
        ("PrivateTmp", Value::Flag(true)),
        ("PrivateDevices", Value::Flag(true)),
        ("ProtectProc", text("invisible")),
        ("ProtectKernelTunables", Value::Flag(true)),
        ("ProtectControlGroups", Value::Flag(true)),
        ("RestrictNamespaces", Value::Number(0)),
        ("RestrictSUIDSGID", Value::Flag(true)),
        ("LockPersonality", Value::Flag(true)),
        ("TemporaryFileSystem", Value::Pairs(vec![("/run".to_owned(), "ro".to_owned())])),
        (
            "InaccessiblePaths",
            texts(&["-/var/lib/tenants", "-/var/lib/tenantd", "-/etc/tenantd", "-/var/cache"]),
        ),
        ("RestrictAddressFamilies", allowed(&["AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK"])),
        ("SystemCallFilter", allowed(&["@system-service"])),
        ("SystemCallErrorNumber", Value::Signed(libc::EPERM)),
        ("MemoryMax", Value::Number(2 << 30)),
        ("TasksMax", Value::Number(256)),
        ("RuntimeMaxUSec", Value::Number(1_800_000_000)),
        ("TimeoutStartUSec", Value::Number(1_800_000_000)),
        ("UMask", Value::Bits(0o022)),
        ("KillMode", text("control-group")),
    ]
}

/// The path under which the caller's descriptor can be bound, provided it still leads to the same file.
fn path_of(fd: &OwnedFd) -> Result<String, HostError> {
    let link = PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()));
    let gone = || {
        let text = "the file or directory given as --from was moved, or cannot be reached by a path: give one that stays in place";
        sentence(Exit::NoInput, text)
    };
    let path = std::fs::read_link(&link).map_err(|_| gone())?;
    let (meant, found) =
        (std::fs::metadata(&link).map_err(|_| gone())?, std::fs::metadata(&path).map_err(|_| gone())?);
    if (meant.dev(), meant.ino()) != (found.dev(), found.ino()) || !(meant.is_file() || meant.is_dir()) {
        return Err(gone());
    }
    path.into_os_string().into_string().map_err(|_| gone())
}

/// Lines out of a pipe, each of bounded length.
struct Lines {
    pipe: File,
    line: Vec<u8>,
}

impl Lines {
    fn new(pipe: OwnedFd) -> Self {
        Self { pipe: File::from(pipe), line: Vec::new() }
    }

    /// Waits for bytes, for one tick at the most.
    fn wait(&self) {
        let mut fds = [PollFd::new(self.pipe.as_fd(), PollFlags::POLLIN)];
        let readable = poll(&mut fds, PollTimeout::from(TICK)).is_ok_and(|ready| ready > 0)
            && fds.iter().any(|fd| fd.revents().is_some_and(|events| events.contains(PollFlags::POLLIN)));
        if !readable {
            thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    /// Gives out every line that has come so far.
    fn read(&mut self, line: &mut dyn FnMut(&str)) {
        let mut buffer = [0u8; 4096];
        while let Ok(count) = self.pipe.read(&mut buffer) {
            if count == 0 {
                return;
            }
            for byte in buffer.iter().take(count) {
                if *byte == b'\n' {
                    self.last(line);
                } else if self.line.len() < LINE {
                    self.line.push(*byte);
                }
            }
        }
    }

    /// Gives out what has no newline yet.
    fn last(&mut self, line: &mut dyn FnMut(&str)) {
        if !self.line.is_empty() {
            line(&String::from_utf8_lossy(&self.line));
            self.line.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_and_bounded() {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).unwrap();
        let long = "x".repeat(LINE + 100);
        nix::unistd::write(&writer, format!("progress 1 a\n\n{long}\nend").as_bytes()).unwrap();
        drop(writer);
        let mut lines = Lines::new(reader);
        let mut found = Vec::new();
        lines.wait();
        lines.read(&mut |line| found.push(line.to_owned()));
        lines.last(&mut |line| found.push(line.to_owned()));
        assert_eq!(found.len(), 3);
        assert_eq!((found[0].as_str(), found[1].len(), found[2].as_str()), ("progress 1 a", LINE, "end"));
    }

    #[test]
    fn a_source_that_was_moved_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("archive.tar");
        let file = File::create(&path).unwrap();
        let fd = OwnedFd::from(file);
        assert_eq!(path_of(&fd).unwrap(), path.display().to_string());
        std::fs::rename(&path, root.path().join("elsewhere")).unwrap();
        File::create(&path).unwrap();
        assert!(path_of(&fd).is_ok(), "the kernel follows a rename");
        std::fs::remove_file(root.path().join("elsewhere")).unwrap();
        assert_eq!(path_of(&fd).unwrap_err().exit, Exit::NoInput);
    }
}
