//! Making a backup: the tenant is kept still, its data read by a process of its own, sealed here, and written to the caller's file.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::time::{SystemTime, UNIX_EPOCH};

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
        let allocation = self.existing(id)?;
        let unusable = |error| Failure::new(Exit::Io, format!("cannot write the backup: {error}"));
        let out = Outflow::new(to, cancel).map_err(unusable)?;
        let (key, kek, vault) = self.sealing_key(id)?;
        let runs = self.systemd.unit(&id.unit())?.is_up();
        let kind = if stop && runs { OperationKind::BackupStopped } else { OperationKind::Backup };
        let (_, spec) = catalog::read_spec(&self.paths, id)?;
        lock(&self.database).begin(id, kind, "")?;
        let made = self.hold_still(id, kind).and_then(|quiesced| {
            may_die();
            let label = self.label(id, quiesced, spec)?;
            let head = Head { label, vault };
            let task = ArchiveTask::Pack { uid: allocation.uid, directory: self.paths.data(id) };
            let (packed, sealed) =
                host::archive(&self.systemd, id, &task, cancel, |data| seal(&key, &head, data, out))?;
            // A full disk ends the program, too; the disk is what is to be told.
            let sealer = sealed?;
            let contents = packed?;
            // Only now: what the program did not read to its end gets no last chunk.
            let out = sealer.finish().map_err(archive_failure)?;
            out.sync().map_err(unusable)?;
            Ok(summary(&head.label, kek, head.vault.len(), contents))
        });
        may_die();
        let gone_on = self.let_go(id, kind);
        may_die();
        let ended = lock(&self.database).end(id);
        let made = match (made, gone_on) {
            (Err(failure), Err(second)) => return Err(failure.and_then(&second)),
            (made, gone_on) => {
                let made = made?;
                gone_on?;
                made
            }
        };
        ended?;
        lock(&self.database).note_backup(id, made.made, kek)?;
        tracing::info!(tenant = %id, kek = %kek, "backup");
        Ok(made)
    }

    /// Stops or freezes a tenant.
    fn hold_still(&self, id: &TenantId, kind: OperationKind) -> Result<Quiesced, Failure> {
        if kind == OperationKind::BackupStopped {
            self.systemd.stop(&id.unit())?;
        }
        may_die();
        // Also commands of "tenantctl exec", which a stop of the gateway does not end.
        let frozen = host::freeze_tenant(&self.systemd, id)?;
        Ok(if frozen && kind == OperationKind::Backup { Quiesced::Frozen } else { Quiesced::Stopped })
    }

    /// Lets a tenant go on that was kept still for a backup.
    pub(crate) fn let_go(&self, id: &TenantId, kind: OperationKind) -> Result<(), Failure> {
        host::thaw_tenant(&self.systemd, id)?;
        if kind == OperationKind::BackupStopped {
            self.systemd.start(&id.unit())?;
        }
        Ok(())
    }

    fn label(&self, id: &TenantId, quiesced: Quiesced, spec: String) -> Result<Label, Failure> {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Ok(Label {
            tenant: id.clone(),
            made: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs()),
            host: host.trim().to_owned(),
            tenantd: env!("CARGO_PKG_VERSION").to_owned(),
            quiesced,
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
    head.write(&mut sealer).map_err(head_failure)?;
    let failed = |error| stream_failure("write", error);
    pump(&mut data, &mut sealer, (failed, failed))?;
    Ok(sealer)
}
