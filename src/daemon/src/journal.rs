//! Steps are written down before they run, and told to whoever waits.

use std::sync::{Mutex, MutexGuard, PoisonError};

use model::{Exit, TenantId};
use plan::{HostError, Journal, Op};

use crate::state::{Database, StateError};

/// Who is told how far an operation has come: per cent and text.
pub type Progress = dyn Fn(u32, &str) + Send + Sync;

/// The journal of one operation.
pub struct StepJournal<'a> {
    database: &'a Mutex<Database>,
    tenant: &'a TenantId,
    progress: &'a Progress,
}

impl<'a> StepJournal<'a> {
    /// A journal for an operation that was begun in the database.
    pub fn new(database: &'a Mutex<Database>, tenant: &'a TenantId, progress: &'a Progress) -> Self {
        Self { database, tenant, progress }
    }
}

impl Journal for StepJournal<'_> {
    fn begin(&mut self, number: usize, total: usize, op: &Op) -> Result<(), HostError> {
        let text = op.to_string();
        lock(self.database).step(self.tenant, number, total, &text).map_err(host_error)?;
        let percent = (number.saturating_sub(1) * 100).checked_div(total).unwrap_or(0);
        (self.progress)(u32::try_from(percent).unwrap_or(100), &text);
        tracing::debug!(tenant = %self.tenant, number, total, "{text}");
        may_die();
        Ok(())
    }
}

/// Where a test may let the daemon die.
pub(crate) fn may_die() {
    #[cfg(feature = "fault-injection")]
    crate::fault::die_at_step();
}

/// The database. A thread that panicked while holding it ended the process (`panic = "abort"`), so poison cannot be seen.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn host_error(error: StateError) -> HostError {
    let exit: Exit = error.exit();
    HostError { message: error.to_string(), exit, source: Some(Box::new(error)) }
}
