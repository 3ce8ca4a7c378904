//! A command inside a tenant's cell: a transient unit in its slice, with the caller's three streams.
//!
//! The sandbox is not made here: the drop-in `tenant-exec-.service.d/10-cell.conf` gives every such unit what
//! `tenant@.service` has, and `tenant-exec` puts Landlock and seccomp on top. Without the drop-in there is no
//! confinement file where `tenant-exec` looks for it, and it ends.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use model::{Exit, TenantId};
use plan::HostError;

use crate::error::sentence;
use crate::systemd::{Ended, Transient, Value};
use crate::{Cancel, Systemd};

const LAUNCHER: &str = "/usr/lib/tenantd/tenant-exec";

/// What to run and for whom.
#[derive(Debug)]
pub struct ExecRequest {
    /// In whose cell.
    pub tenant: TenantId,
    /// Its uid and gid.
    pub uid: u32,
    /// Tells units of one tenant apart; never used twice while one runs.
    pub number: u64,
    /// Command and arguments, as `tenant-exec` takes them after `--`.
    pub argv: Vec<String>,
    /// Asked-for variables; `tenant-exec` lets only those of a terminal through.
    pub environment: BTreeMap<String, String>,
    /// Standard input.
    pub stdin: OwnedFd,
    /// Standard output.
    pub stdout: OwnedFd,
    /// Standard error.
    pub stderr: OwnedFd,
}

/// Runs the command to its end; gives back its exit status, or 128 and the signal that ended it. Cancelling kills it.
pub fn exec(systemd: &Systemd, request: ExecRequest, cancel: &Cancel) -> Result<u32, HostError> {
    let name = request.tenant.system_name();
    let unit = format!("tenant-exec-{}-{name}.service", request.number);
    let mut argv = vec![LAUNCHER.to_owned(), "--".to_owned()];
    argv.extend(request.argv);
    let text = |value: &str| Value::Text(value.to_owned());
    let transient = Transient {
        unit: unit.clone(),
        argv,
        environment: request.environment,
        properties: vec![
            ("Description", Value::Text(format!("Command in the cell of tenant {}", request.tenant))),
            ("Slice", Value::Text(request.tenant.slice())),
            ("User", Value::Text(request.uid.to_string())),
            ("Group", Value::Text(request.uid.to_string())),
            ("KillMode", text("control-group")),
            ("StandardInputFileDescriptor", Value::Descriptor(request.stdin)),
            ("StandardOutputFileDescriptor", Value::Descriptor(request.stdout)),
            ("StandardErrorFileDescriptor", Value::Descriptor(request.stderr)),
        ],
    };
    let ended = systemd.run_transient(transient, cancel)?;
    let network = request.tenant.net_unit();
    // Code 0: it was never run.
    if ended.code == 0 && !systemd.unit(&network)?.is_up() {
        let text = format!(
            "tenant {}: its network did not come up: see \"journalctl -u {network}\" and \"tenantctl doctor\"",
            request.tenant
        );
        return Err(sentence(Exit::Unavailable, text));
    }
    status(&unit, &ended)
}

/// Exit status of a transient unit as a shell would say it.
pub(crate) fn status(unit: &str, ended: &Ended) -> Result<u32, HostError> {
    let number = u32::try_from(ended.status).unwrap_or(255);
    if ended.code == libc::CLD_EXITED {
        Ok(number)
    } else if ended.code == libc::CLD_KILLED || ended.code == libc::CLD_DUMPED {
        Ok(number.saturating_add(128))
    } else {
        let text = format!(
            "cannot run {unit}: systemd could not start it (Result={}): see \"journalctl -u {unit}\"",
            ended.result
        );
        Err(sentence(Exit::Os, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_status_reads_as_in_a_shell() {
        let ended = |code, status| Ended { result: "x".to_owned(), code, status };
        assert_eq!(status("u", &ended(libc::CLD_EXITED, 7)).unwrap(), 7);
        assert_eq!(status("u", &ended(libc::CLD_KILLED, 9)).unwrap(), 137);
        assert!(status("u", &ended(0, 0)).unwrap_err().message.contains("Result=x"));
    }
}
