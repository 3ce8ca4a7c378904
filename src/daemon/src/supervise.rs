//! Start, stop, restart, enable: passed on to systemd, which is the supervisor. And a command inside the cell.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};

use host::{Cancel, ExecRequest};
use model::{Exit, TenantId};

use crate::failure::Failure;
use crate::journal::lock;
use crate::service::Service;

/// Numbers the units of commands in cells; the daemon's start time makes them unique across its restarts.
static NEXT_EXEC: AtomicU64 = AtomicU64::new(0);

impl Service {
    /// Starts a tenant and returns when its gateway answers.
    pub fn start(&self, id: &TenantId) -> Result<(), Failure> {
        self.existing(id)?;
        self.refuse_meanwhile(id)?;
        self.end_sleep(id)?;
        Ok(self.systemd.start(&id.unit())?)
    }

    /// Refuses to start anything of a tenant whose data is being read or exchanged.
    pub(crate) fn refuse_meanwhile(&self, id: &TenantId) -> Result<(), Failure> {
        let open = lock(&self.database).open_operation(id)?;
        match open.filter(|kind| ["backup", "restore", "create"].iter().any(|busy| kind.starts_with(busy))) {
            None => Ok(()),
            Some(kind) => {
                let text = format!(
                    "tenant {id}: an operation ({kind}) is under way: wait until it has ended and try again"
                );
                Err(Failure::new(Exit::TempFail, text))
            }
        }
    }

    /// Stops a tenant; with `now` its processes are killed first.
    pub fn stop(&self, id: &TenantId, now: bool) -> Result<(), Failure> {
        self.existing(id)?;
        if now {
            self.systemd.kill(&id.unit())?;
        }
        self.systemd.stop(&id.unit())?;
        self.end_sleep(id)
    }

    /// Restarts a tenant.
    pub fn restart(&self, id: &TenantId) -> Result<(), Failure> {
        self.existing(id)?;
        self.refuse_meanwhile(id)?;
        self.end_sleep(id)?;
        Ok(self.systemd.restart(&id.unit())?)
    }

    /// Starts it at boot, or no longer.
    pub fn enable(&self, id: &TenantId, enable: bool) -> Result<(), Failure> {
        self.existing(id)?;
        Ok(host::set_enabled(&self.paths, &id.unit(), enable)?)
    }

    /// Runs a command in the cell; answers its exit status. Cancelling ends it.
    pub fn exec(&self, id: &TenantId, command: Command, cancel: &Cancel) -> Result<u32, Failure> {
        let allocation = self.existing(id)?;
        self.refuse_meanwhile(id)?;
        if command.argv.is_empty() {
            return Err(Failure::new(
                Exit::Usage,
                format!("tenant {id}: no command was given: write it after \"--\""),
            ));
        }
        let [stdin, stdout, stderr] = command.streams;
        let request = ExecRequest {
            tenant: id.clone(),
            uid: allocation.uid,
            number: exec_number(),
            argv: command.argv,
            environment: command.environment,
            stdin,
            stdout,
            stderr,
        };
        Ok(host::exec(&self.systemd, request, cancel)?)
    }
}

/// A command for a cell.
#[derive(Debug)]
pub struct Command {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Variables asked for; `tenant-exec` lets only those of a terminal through.
    pub environment: BTreeMap<String, String>,
    /// Standard streams.
    pub streams: [OwnedFd; 3],
}

fn exec_number() -> u64 {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seconds = since_epoch.map_or(0, |age| age.as_secs());
    seconds.wrapping_mul(1 << 20).wrapping_add(NEXT_EXEC.fetch_add(1, Ordering::Relaxed))
}
