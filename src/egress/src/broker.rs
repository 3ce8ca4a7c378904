//! What a tenant uses and never has: its secrets, and its model providers, under the newest policy.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use http::{Request, Response};

use crate::body::Body;
use crate::dial::Dial;
use crate::inference::{InferenceRoute, SystemClock};
use crate::live::Snapshot;
use crate::secrets::{SecretTable, Secrets};

type Made = Option<(Arc<Snapshot>, Arc<SecretTable>)>;

/// Secrets and models of one tenant.
pub struct Broker {
    secrets: Arc<Secrets>,
    models: InferenceRoute,
    made: Mutex<Made>,
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker").field("secrets", &self.secrets).finish_non_exhaustive()
    }
}

impl Broker {
    /// Of these secrets; usage is kept in the directory `state`.
    #[must_use]
    pub fn new(secrets: Secrets, state: &Path) -> Self {
        let secrets = Arc::new(secrets);
        let models = InferenceRoute::new(state, Arc::new(SystemClock::default()), Arc::clone(&secrets));
        Self { secrets, models, made: Mutex::default() }
    }

    /// Where secrets may go by this policy.
    #[must_use]
    pub fn table(&self, snapshot: &Arc<Snapshot>) -> Arc<SecretTable> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, table)) = made.as_ref() {
            if Arc::ptr_eq(of, snapshot) {
                return Arc::clone(table);
            }
        }
        let (table, unusable) = SecretTable::new(Arc::clone(&self.secrets), &snapshot.file.secrets);
        let models = self.models.settings(&snapshot.file.inference);
        for why in unusable.into_iter().chain(models) {
            tracing::warn!(TENANT = %snapshot.file.tenant, "{why}");
        }
        let table = Arc::new(table);
        *made = Some((Arc::clone(snapshot), Arc::clone(&table)));
        table
    }

    /// Answers a request to the tenant's models; nothing where it has none.
    pub async fn models(
        &self,
        snapshot: &Arc<Snapshot>,
        request: Request<Body>,
        dial: &dyn Dial,
    ) -> Option<Response<Body>> {
        if snapshot.file.inference.providers.is_empty() {
            return None;
        }
        // Settings go with the table.
        drop(self.table(snapshot));
        Some(self.models.serve(request, dial).await)
    }

    /// Writes what was used as it is used, for as long as this is polled.
    pub async fn keep(&self) {
        self.models.keep().await;
    }

    /// Writes what was used, before the end.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn flush(&self) -> std::io::Result<()> {
        self.models.flush()
    }
}
