//! `org.tenantd.Backup1`. The caller opens files; the daemon opens none that it is told the name of.

use std::sync::Arc;

use api::{Error, action};
use model::TenantId;
use zbus::message::Header;
use zbus::zvariant::OwnedFd;

use super::{Calls, id};
use crate::backup::RestoreRequest;
use crate::polkit::authorize;
use crate::service::Service;

/// Backups on the bus.
#[derive(Debug)]
pub struct BackupObject {
    calls: Calls,
}

impl BackupObject {
    /// Serves this daemon's.
    pub fn new(service: Arc<Service>) -> Self {
        Self { calls: Calls { service } }
    }
}

/// Another name for the tenant, or with an empty one its own.
fn rename(text: &str) -> Result<Option<TenantId>, Error> {
    if text.is_empty() { Ok(None) } else { id(text).map(Some) }
}

#[zbus::interface(name = "org.tenantd.Backup1")]
impl BackupObject {
    async fn back_up(
        &self,
        tenant: &str,
        stop: bool,
        to: OwnedFd,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Error> {
        let _allowed = authorize(bus, &header, action::BACKUP).await?;
        let id = id(tenant)?;
        self.calls
            .while_awaited(bus, &header, move |service, cancel| {
                Ok(serde_json::to_string(&service.back_up(&id, stop, to.into(), cancel)?)?)
            })
            .await
    }

    async fn verify(
        &self,
        archive: OwnedFd,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Error> {
        let _allowed = authorize(bus, &header, action::BACKUP).await?;
        self.calls
            .while_awaited(bus, &header, move |service, cancel| {
                Ok(serde_json::to_string(&service.verify_backup(archive.into(), cancel)?)?)
            })
            .await
    }

    async fn restore(
        &self,
        archive: OwnedFd,
        tenant: &str,
        replace: bool,
        start: bool,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Error> {
        let _allowed = authorize(bus, &header, action::RESTORE).await?;
        let request = RestoreRequest { archive: archive.into(), rename: rename(tenant)?, replace, start };
        self.calls
            .while_awaited(bus, &header, move |service, cancel| {
                Ok(serde_json::to_string(&service.restore(request, None, cancel)?)?)
            })
            .await
    }

    async fn check_restore(
        &self,
        archive: OwnedFd,
        tenant: &str,
        replace: bool,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Error> {
        let _allowed = authorize(bus, &header, action::RESTORE).await?;
        let request =
            RestoreRequest { archive: archive.into(), rename: rename(tenant)?, replace, start: false };
        self.calls.document(move |service| service.check_restore(request)).await
    }

    #[expect(clippy::too_many_arguments, reason = "the arguments are those of the method on the bus")]
    async fn restore_shown(
        &self,
        archive: OwnedFd,
        tenant: &str,
        replace: bool,
        start: bool,
        digest: String,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Error> {
        let _allowed = authorize(bus, &header, action::RESTORE).await?;
        let request = RestoreRequest { archive: archive.into(), rename: rename(tenant)?, replace, start };
        self.calls
            .while_awaited(bus, &header, move |service, cancel| {
                Ok(serde_json::to_string(&service.restore(request, Some(&digest), cancel)?)?)
            })
            .await
    }
}
