//! A tenant's data as a stream, and back: `tenant-archive` in a transient unit, as the tenant and with nothing but its data. Root moves
//! bytes that it does not look into.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::thread;

use model::{Exit, TenantId};
use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use plan::HostError;

use crate::error::{os, sentence};
use crate::systemd::{Ended, Transient, Value};
use crate::{Cancel, Systemd};

const PROGRAM: &str = "/usr/lib/tenantd/tenant-archive";
/// More than the program says: at most 21 lines.
const MOST_SAID: u64 = 64 << 10;
/// Longest line of it that is passed on.
const LINE: usize = 1000;
/// A day: longer than any backup that still makes sense.
const TIMEOUT_USEC: u64 = 86_400_000_000;

/// What to do with a stream.
#[derive(Clone, Debug)]
pub enum ArchiveTask {
    /// Write the data below a directory to it.
    Pack {
        /// The tenant's uid.
        uid: u32,
        /// The directory that holds the tenant's three.
        directory: PathBuf,
    },
    /// Read it, into a directory whose three are empty.
    Unpack {
        /// The tenant's uid.
        uid: u32,
        /// The directory that holds the tenant's three.
        directory: PathBuf,
    },
    /// Read it and make nothing.
    Check {
        /// Tells two of them apart: a check belongs to no tenant of this host.
        number: u64,
    },
}

/// Runs the task with a pipe at its side while `work` writes or reads the other end of it, which must be gone when `work` returns. Gives
/// back the program's summary, a line of JSON, and what `work` gave. Cancelling kills the program.
pub fn archive<T>(
    systemd: &Systemd,
    tenant: &TenantId,
    task: &ArchiveTask,
    cancel: &Cancel,
    work: impl FnOnce(File) -> T,
) -> Result<(Result<String, HostError>, T), HostError> {
    let failed = |errno| os("make a pipe for", Path::new(PROGRAM), errno);
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).map_err(failed)?;
    let (said, stderr) = pipe2(OFlag::O_CLOEXEC).map_err(failed)?;
    let (theirs, ours) = match task {
        ArchiveTask::Pack { .. } => (writer, reader),
        ArchiveTask::Unpack { .. } | ArchiveTask::Check { .. } => (reader, writer),
    };
    let transient = transient(tenant, task, theirs, stderr);
    let unit = transient.unit.clone();
    let (ended, done) = thread::scope(|scope| {
        let worker = scope.spawn(|| systemd.run_transient(transient, cancel));
        let done = work(File::from(ours));
        (worker.join(), done)
    });
    let ended = ended.map_err(|_| {
        sentence(Exit::Software, format!("{unit}: the thread that waited for it ended: report this"))
    })?;
    let last = last_line(said);
    Ok((ended.and_then(|ended| verdict(&unit, &ended, last, cancel)), done))
}

fn verdict(unit: &str, ended: &Ended, last: String, cancel: &Cancel) -> Result<String, HostError> {
    if cancel.is_cancelled() {
        let text = "it was interrupted, because nobody waits for it any more: run the command again";
        return Err(sentence(Exit::TempFail, text));
    }
    if ended.result == "success" {
        return Ok(last);
    }
    let code = u8::try_from(ended.status).ok().and_then(Exit::from_code);
    match code.filter(|code| ended.code == libc::CLD_EXITED && *code != Exit::Ok) {
        Some(exit) if !last.is_empty() => Err(sentence(exit, last)),
        _ => {
            let text = format!(
                "{unit} ended with {} (status {}): see \"journalctl -u {unit}\"",
                ended.result, ended.status
            );
            Err(sentence(Exit::Os, text))
        }
    }
}

/// The last line that the program said, as a terminal may show it: a tenant that took the program over could say anything.
fn last_line(said: OwnedFd) -> String {
    let mut bytes = Vec::new();
    // All who could write are gone. What cannot be read was not said.
    drop(File::from(said).take(MOST_SAID).read_to_end(&mut bytes));
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().last().unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).take(LINE).collect()
}

fn transient(tenant: &TenantId, task: &ArchiveTask, stream: OwnedFd, stderr: OwnedFd) -> Transient {
    let shown = |path: &Path| path.display().to_string();
    let bind = |path: &Path| vec![(shown(path), shown(path), false, 0)];
    let (verb, stream_property, mut argv) = match task {
        ArchiveTask::Pack { directory, .. } => {
            ("pack", "StandardOutputFileDescriptor", vec![shown(directory)])
        }
        ArchiveTask::Unpack { directory, .. } => {
            ("unpack", "StandardInputFileDescriptor", vec![shown(directory)])
        }
        ArchiveTask::Check { .. } => ("check", "StandardInputFileDescriptor", Vec::new()),
    };
    argv.splice(0..0, [PROGRAM.to_owned(), verb.to_owned()]);
    let mut properties = sandbox();
    let mut seen = vec![("/usr".to_owned(), "/usr".to_owned(), false, 0)];
    properties.extend([
        ("Description", Value::Text(format!("Archive of tenant {tenant}: {verb}"))),
        (stream_property, Value::Descriptor(stream)),
        ("StandardErrorFileDescriptor", Value::Descriptor(stderr)),
    ]);
    match task {
        ArchiveTask::Pack { uid, directory } => {
            properties.extend(identity(*uid));
            seen.extend(bind(directory));
        }
        ArchiveTask::Unpack { uid, directory } => {
            properties.extend(identity(*uid));
            properties.push(("BindPaths", Value::Binds(bind(directory))));
        }
        ArchiveTask::Check { .. } => properties.push(("DynamicUser", Value::Flag(true))),
    }
    properties.push(("BindReadOnlyPaths", Value::Binds(seen)));
    Transient {
        unit: match task {
            ArchiveTask::Check { number } => format!("tenantd-archive-check-{number}.service"),
            ArchiveTask::Pack { .. } | ArchiveTask::Unpack { .. } => unit(verb, tenant),
        },
        argv,
        environment: BTreeMap::from([("LC_ALL".to_owned(), "C".to_owned())]),
        properties,
    }
}

fn unit(verb: &str, tenant: &TenantId) -> String {
    format!("tenantd-archive-{verb}-{}.service", tenant.system_name())
}

/// Ends what a daemon that was killed left running.
pub fn end_archive(systemd: &Systemd, tenant: &TenantId) -> Result<(), HostError> {
    for name in ["pack", "unpack"].map(|verb| unit(verb, tenant)) {
        systemd.kill(&name)?;
        systemd.stop(&name)?;
        systemd.reset_failed(&name)?;
    }
    Ok(())
}

fn identity(uid: u32) -> [(&'static str, Value); 2] {
    [("User", Value::Text(uid.to_string())), ("Group", Value::Text(uid.to_string()))]
}

pub(crate) fn sandbox() -> Vec<(&'static str, Value)> {
    let text = |value: &str| Value::Text(value.to_owned());
    let texts = |values: &[&str]| Value::Texts(values.iter().map(|value| (*value).to_owned()).collect());
    let allowed =
        |values: &[&str]| Value::Filter(true, values.iter().map(|value| (*value).to_owned()).collect());
    vec![
        ("NoNewPrivileges", Value::Flag(true)),
        ("CapabilityBoundingSet", Value::Number(0)),
        ("ProtectSystem", text("strict")),
        ("ProtectHome", text("yes")),
        // The empty root of the cells: of the host there is nothing but programs and this tenant's data.
        ("RootDirectory", text("/usr/lib/tenantd/cell")),
        ("MountAPIVFS", Value::Flag(true)),
        (
            "TemporaryFileSystem",
            Value::Pairs(["/var", "/run"].map(|path| (path.to_owned(), "ro".to_owned())).into()),
        ),
        ("InaccessiblePaths", texts(&["+/sys"])),
        ("NoExecPaths", texts(&["+/var"])),
        ("PrivateNetwork", Value::Flag(true)),
        ("PrivateDevices", Value::Flag(true)),
        ("PrivateTmp", Value::Flag(true)),
        ("PrivateIPC", Value::Flag(true)),
        ("ProtectProc", text("invisible")),
        ("ProtectKernelTunables", Value::Flag(true)),
        ("ProtectKernelModules", Value::Flag(true)),
        ("ProtectKernelLogs", Value::Flag(true)),
        ("ProtectControlGroups", Value::Flag(true)),
        ("ProtectClock", Value::Flag(true)),
        ("ProtectHostname", Value::Flag(true)),
        ("RestrictNamespaces", Value::Number(0)),
        ("RestrictRealtime", Value::Flag(true)),
        // Not RestrictSUIDSGID=: systemd's filter then answers ENOSYS to openat2, by which the program keeps to its directory.
        ("LockPersonality", Value::Flag(true)),
        ("MemoryDenyWriteExecute", Value::Flag(true)),
        ("RestrictAddressFamilies", allowed(&[])),
        ("SystemCallFilter", allowed(&["@system-service"])),
        (
            "SystemCallFilter",
            Value::Filter(false, ["@privileged", "@resources", "@obsolete"].map(str::to_owned).into()),
        ),
        ("SystemCallErrorNumber", Value::Signed(libc::EPERM)),
        ("MemoryMax", Value::Number(64 << 20)),
        ("TasksMax", Value::Number(8)),
        ("LimitNOFILE", Value::Number(1024)),
        ("LimitCORE", Value::Number(0)),
        ("UMask", Value::Bits(0o077)),
        // Behind the tenants themselves.
        ("Nice", Value::Signed(5)),
        ("IOSchedulingPriority", Value::Signed(7)),
        ("TimeoutStartUSec", Value::Number(TIMEOUT_USEC)),
    ]
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn ended(code: i32, status: i32) -> Ended {
        let result = if status == 0 { "success" } else { "exit-code" };
        Ended { result: result.to_owned(), code, status }
    }

    #[test]
    fn what_the_program_says_is_its_last_line_without_control_characters() {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC).unwrap();
        File::from(writer).write_all(b"home/a: vanished\n\x1b[31mno\x07\n").unwrap();
        assert_eq!(last_line(reader), "[31mno");
    }

    #[test]
    fn how_it_ended_is_its_exit_code_and_its_sentence() {
        let go = Cancel::new();
        let said = |code, status, line: &str| {
            let verdict = verdict("u.service", &ended(code, status), line.to_owned(), &go);
            verdict.map_err(|error| (error.exit, error.message))
        };
        assert_eq!(said(libc::CLD_EXITED, 0, "{}"), Ok("{}".to_owned()));
        assert_eq!(said(libc::CLD_EXITED, 65, "refused"), Err((Exit::Data, "refused".to_owned())));
        assert_eq!(said(libc::CLD_KILLED, 9, "half a").unwrap_err().0, Exit::Os);
        assert_eq!(said(libc::CLD_EXITED, 65, "").unwrap_err().0, Exit::Os);
        go.cancel();
        assert_eq!(
            verdict("u", &ended(libc::CLD_EXITED, 0), String::new(), &go).unwrap_err().exit,
            Exit::TempFail
        );
    }
}
