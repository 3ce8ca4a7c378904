//! `org.tenantd.Vault1`.

use std::sync::Arc;

use api::{Error, action};
use zbus::message::Header;
use zbus::zvariant::OwnedFd;

use super::{Calls, id};
use crate::polkit::authorize;
use crate::service::Service;

/// The vault on the bus.
#[derive(Debug)]
pub struct VaultObject {
    calls: Calls,
}

impl VaultObject {
    /// Serves this daemon's.
    pub fn new(service: Arc<Service>) -> Self {
        Self { calls: Calls { service } }
    }
}

#[zbus::interface(name = "org.tenantd.Vault1")]
impl VaultObject {
    async fn list_secrets(
        &self,
        tenant: &str,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Error> {
        let _allowed = authorize(bus, &header, action::STATUS).await?;
        let id = id(tenant)?;
        self.calls.document(move |service| service.secrets(&id)).await
    }

    async fn set_secret(
        &self,
        tenant: &str,
        name: String,
        kind: String,
        value: OwnedFd,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Error> {
        let _allowed = authorize(bus, &header, action::SECRET).await?;
        let id = id(tenant)?;
        self.calls
            .document(move |service| {
                let kind = Some(kind.as_str()).filter(|kind| !kind.is_empty());
                service.set_secret(&id, &name, kind, value.into())
            })
            .await
    }

    async fn remove_secret(
        &self,
        tenant: &str,
        name: String,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), Error> {
        let _allowed = authorize(bus, &header, action::SECRET).await?;
        let id = id(tenant)?;
        self.calls.plain(move |service| service.remove_secret(&id, &name)).await
    }

    async fn get_vault(
        &self,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Error> {
        let _allowed = authorize(bus, &header, action::LIST).await?;
        self.calls.document(Service::vault_status).await
    }

    async fn rotate_kek(
        &self,
        give_up_backups: bool,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Error> {
        let _allowed = authorize(bus, &header, action::VAULT).await?;
        self.calls.document(move |service| service.rotate_kek(give_up_backups)).await
    }

    async fn rotate_dek(
        &self,
        tenant: &str,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), Error> {
        let _allowed = authorize(bus, &header, action::VAULT).await?;
        let id = id(tenant)?;
        self.calls.plain(move |service| service.rotate_dek(&id)).await
    }

    async fn export_recovery(
        &self,
        passphrase: OwnedFd,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Vec<u8>, Error> {
        let _allowed = authorize(bus, &header, action::VAULT).await?;
        self.calls.plain(move |service| service.export_recovery(passphrase.into())).await
    }

    async fn import_recovery(
        &self,
        copy: OwnedFd,
        passphrase: OwnedFd,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Error> {
        let _allowed = authorize(bus, &header, action::VAULT).await?;
        self.calls.document(move |service| service.import_recovery(copy.into(), passphrase.into())).await
    }
}
