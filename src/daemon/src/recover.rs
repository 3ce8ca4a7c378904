//! After a crash: every operation that was begun and not ended is ended. Creating rolls back, everything else forward.

use model::{TenantId, World};

use crate::failure::Failure;
use crate::journal::lock;
use crate::service::Service;
use crate::state::{Operation, OperationKind};

impl Service {
    /// Ends what was interrupted. One operation that cannot be ended does not keep the others; it stays open, is shown
    /// by `tenantctl status` and tried again at the next start.
    pub fn recover(&self) -> Result<(), Failure> {
        let open = lock(&self.database).open_operations()?;
        for operation in open {
            tracing::warn!(tenant = %operation.tenant, kind = operation.kind.word(), "ending an interrupted operation");
            match self.end_interrupted(&operation) {
                Ok(()) => tracing::info!(tenant = %operation.tenant, kind = operation.kind.word(), "ended"),
                Err(failure) => {
                    tracing::error!(tenant = %operation.tenant, kind = operation.kind.word(), "cannot end it: {failure}");
                }
            }
        }
        Ok(())
    }

    /// Starts a tenant that ran, without waiting for it: others wait for this daemon.
    pub(crate) fn start_again(&self, id: &TenantId, ran: bool) -> Result<(), Failure> {
        if ran { Ok(self.systemd.queue_start(&id.unit())?) } else { Ok(()) }
    }

    fn end_interrupted(&self, operation: &Operation) -> Result<(), Failure> {
        let id = &operation.tenant;
        let _occupied = self.occupy(id)?;
        let silent = |_: u32, _: &str| {};
        match operation.kind {
            OperationKind::Create | OperationKind::CreateOverKeptData => {
                self.roll_back_create(id, operation.kind, &silent)
            }
            OperationKind::Change | OperationKind::ChangeStopped => {
                let runs = operation.kind == OperationKind::Change;
                self.go_to(id, &operation.spec, runs, &silent)?;
                Ok(lock(&self.database).end(id)?)
            }
            OperationKind::Delete => {
                let destroyed = self.destroy_secrets(id).and(self.revoke_tenant(id));
                self.remove_objects(id, World::empty(), &silent)?;
                lock(&self.database).end_absent(id, false)?;
                destroyed
            }
            OperationKind::Backup | OperationKind::BackupStopped => {
                self.let_go(id)?;
                self.start_again(id, operation.kind == OperationKind::BackupStopped)?;
                Ok(lock(&self.database).end(id)?)
            }
            OperationKind::Restore | OperationKind::RestoreStopped => {
                self.take_restore_back(id)?;
                self.start_again(id, operation.kind == OperationKind::Restore)?;
                Ok(lock(&self.database).end(id)?)
            }
            OperationKind::Restored => {
                self.finish_restore(id)?;
                Ok(lock(&self.database).end(id)?)
            }
            OperationKind::DeleteKeepingData => {
                let kept = self.data_of(id)?;
                let revoked = self.revoke_tenant(id);
                self.remove_objects(id, kept, &silent)?;
                lock(&self.database).end_absent(id, true)?;
                revoked
            }
        }
    }
}
