//! The interfaces on the system bus. Each verb asks polkit first, then works on a thread of its own.

mod backup;
mod edge;
mod egress;
mod manager;
mod vault;

use std::sync::Arc;

use api::Error;
use futures_util::StreamExt;
use host::Cancel;
use model::TenantId;
use serde::Serialize;
use zbus::message::Header;

pub use backup::BackupObject;
pub use edge::EdgeObject;
pub use egress::{EgressObject, tell_changes};
pub use manager::Manager;
pub use vault::VaultObject;

use crate::failure::Failure;
use crate::run::blocking;
use crate::service::Service;

/// How the interfaces get their work done.
#[derive(Debug)]
struct Calls {
    service: Arc<Service>,
}

impl Calls {
    /// Work that answers with a document.
    async fn document<T: Serialize + Send + 'static>(
        &self,
        work: impl FnOnce(&Service) -> Result<T, Failure> + Send + 'static,
    ) -> Result<String, Error> {
        let service = self.service.clone();
        Ok(blocking(move || Ok(serde_json::to_string(&work(&service)?)?)).await?)
    }

    /// Work with any other answer.
    async fn plain<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Service) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Error> {
        let service = self.service.clone();
        Ok(blocking(move || work(&service)).await?)
    }

    /// Work that is cancelled when the caller has left the bus.
    async fn while_awaited<T: Send + 'static>(
        &self,
        bus: &zbus::Connection,
        header: &Header<'_>,
        work: impl FnOnce(&Service, &Cancel) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Error> {
        let service = self.service.clone();
        let cancel = Cancel::new();
        let cancelled = cancel.clone();
        let worker = blocking(move || work(&service, &cancelled));
        tokio::pin!(worker);
        tokio::select! {
            done = &mut worker => return Ok(done?),
            gone = caller_gone(bus, header) => gone?,
        }
        cancel.cancel();
        Ok(worker.await?)
    }
}

/// Returns when the sender of a message has left the bus: work that nobody waits for is ended.
async fn caller_gone(bus: &zbus::Connection, header: &Header<'_>) -> Result<(), Error> {
    let sender = header.sender().ok_or_else(|| Error::NotAllowed("the message names no sender".into()))?;
    let daemon = zbus::fdo::DBusProxy::new(bus).await?;
    let mut changes = daemon.receive_name_owner_changed_with_args(&[(0, sender.as_str()), (2, "")]).await?;
    match changes.next().await {
        Some(_) => Ok(()),
        None => Err(Error::Unavailable("the system bus closed the connection: run the command again".into())),
    }
}

fn id(text: &str) -> Result<TenantId, Error> {
    TenantId::parse(text).map_err(|error| Error::from(Failure::from(error)))
}
