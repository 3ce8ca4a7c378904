//! Making a backup: the tenant is kept still, its data read by a process of its own, sealed here, and written to the caller's file.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use api::BackupSummary;
use backup::{Head, Label, Quiesced};
use host::{ArchiveTask, Cancel, Outflow};
use model::{Exit, TenantId};
use vault::{BackupKey, Sealer};

use super::{archive_failure, head_failure, pump, stream_failure, summary};
use crate::failure::Failure;
use crate::journal::{lock, may_die};
use crate::service::Service;
use crate::state::OperationKind;

/// A tenant is frozen no longer than this, whatever hangs.
const MOST_FROZEN: Duration = Duration::from_secs(30 * 60);

/// More than a settings file has.
const MOST_SETTINGS: usize = 256 << 10;

impl Service {
    /// Backs a tenant up. Whatever fails, the tenant goes on as before, and what was written is no whole backup.
    pub fn back_up(
        &self,
        id: &TenantId,
        stop: bool,
        to: OwnedFd,
        cancel: &Cancel,
    ) -> Result<BackupSummary, Failure> {
        let _occupied = self.occupy(id)?;
        self.existing(id)?;
        let out = Outflow::new(to, cancel).map_err(|error| stream_failure("write", error))?;
        let runs = self.systemd.unit(&id.unit())?.is_up();
        let kind = if stop && runs { OperationKind::BackupStopped } else { OperationKind::Backup };
        // Before the key is chosen: no rotation destroys it while the operation is open.
        lock(&self.database).begin(id, kind, "")?;
        let made = self.hold_still(id, stop).and_then(|quiesced| match quiesced {
            Quiesced::Frozen => {
                self.thawed_in_time(id, cancel, || self.write_backup(id, quiesced, out, cancel))
            }
            Quiesced::Stopped => self.write_backup(id, quiesced, out, cancel),
        });
        may_die();
        // As long as the tenant does not go on, the operation is open and tried again.
        let stopped = kind == OperationKind::BackupStopped;
        let gone_on = self.let_go(id).and_then(|()| self.start_again(id, stopped));
        may_die();
        let gone_on = gone_on.and_then(|()| Ok(lock(&self.database).end(id)?));
        let mut made = match (made, gone_on) {
            (Err(failure), Err(second)) => return Err(failure.and_then(&second)),
            (made, gone_on) => gone_on.and(made)?,
        };
        // The backup is whole, whatever the gateway does.
        if stopped {
            made.problem = self.systemd.start(&id.unit()).err().map(|error| error.message);
        }
        Ok(made)
    }

    fn write_backup(
        &self,
        id: &TenantId,
        quiesced: Quiesced,
        out: Outflow<'_>,
        cancel: &Cancel,
    ) -> Result<BackupSummary, Failure> {
        let allocation = self.existing(id)?;
        let (key, kek, vault) = self.sealing_key(id)?;
        let (_, spec) = catalog::read_spec(&self.paths, id)?;
        let head = Head { label: self.label(id, quiesced, spec)?, vault };
        may_die();
        let task = ArchiveTask::Pack { uid: allocation.uid, directory: self.paths.data(id) };
        let (packed, sealed) =
            host::archive(&self.systemd, id, &task, cancel, |data| seal(&key, &head, data, out))?;
        // A full disk ends the program, too; the disk is what is to be told.
        let sealer = sealed?;
        let contents = packed?;
        // Only now: what the program did not read to its end gets no last chunk.
        let out = sealer.finish().map_err(archive_failure)?;
        out.sync().map_err(|error| stream_failure("write", error))?;
        lock(&self.database).note_backup(id, head.label.made, kek)?;
        tracing::info!(tenant = %id, kek = %kek, "backup");
        Ok(summary(&head, kek, contents))
    }

    /// Does the work on a frozen tenant, which is thawed after a time even if the work hangs: then it is cancelled, too.
    pub(super) fn thawed_in_time<T>(
        &self,
        id: &TenantId,
        cancel: &Cancel,
        work: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let (ended, waiting) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            let watch = scope.spawn(move || {
                if waiting.recv_timeout(MOST_FROZEN) != Err(RecvTimeoutError::Timeout) {
                    return Ok(false);
                }
                cancel.cancel();
                host::thaw_tenant(&self.systemd, id).map(|()| true)
            });
            let done = work();
            drop(ended);
            match watch.join() {
                Ok(Ok(false)) => done,
                Ok(late) => {
                    late?;
                    let text = format!(
                        "tenant {id} was frozen for {} minutes and goes on; this is given up: use a faster place, or stop the tenant first",
                        MOST_FROZEN.as_secs() / 60
                    );
                    Err(Failure::new(Exit::TempFail, text))
                }
                Err(_) => {
                    Err(Failure::new(Exit::Software, format!("tenant {id}: its watch ended: report this")))
                }
            }
        })
    }

    /// Stops or freezes a tenant.
    fn hold_still(&self, id: &TenantId, stop: bool) -> Result<Quiesced, Failure> {
        if stop {
            host::stop_tenant(&self.systemd, id)?;
            return Ok(Quiesced::Stopped);
        }
        may_die();
        let frozen = host::freeze_tenant(&self.systemd, id)?;
        Ok(if frozen { Quiesced::Frozen } else { Quiesced::Stopped })
    }

    /// Ends what reads the tenant's data, and thaws the tenant.
    pub(crate) fn let_go(&self, id: &TenantId) -> Result<(), Failure> {
        host::thaw_tenant(&self.systemd, id)?;
        Ok(host::end_archive(&self.systemd, id)?)
    }

    fn label(&self, id: &TenantId, quiesced: Quiesced, spec: String) -> Result<Label, Failure> {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Ok(Label {
            tenant: id.clone(),
            made: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs()),
            host: host.trim().to_owned(),
            tenantd: env!("CARGO_PKG_VERSION").to_owned(),
            quiesced,
            settings: host::files::read_bounded(&self.paths.settings(), MOST_SETTINGS)?
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .unwrap_or_default(),
            enabled: host::enabled(&self.paths)?.contains(&id.unit()),
            spec,
        })
    }
}

fn seal<'a>(
    key: &BackupKey,
    head: &Head,
    mut data: File,
    out: Outflow<'a>,
) -> Result<Sealer<Outflow<'a>>, Failure> {
    let mut sealer = Sealer::new(key, out).map_err(archive_failure)?;
    head.write(&mut sealer).map_err(|error| head_failure("write", error))?;
    let failed = |error| stream_failure("write", error);
    pump(&mut data, &mut sealer, (failed, failed))?;
    Ok(sealer)
}
